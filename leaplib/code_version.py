"""What code a result depends on: a hash over the modules that compute it, comments and docstrings aside."""

import ast
import hashlib
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
SILENT = {"errors", "files", "layout", "progress", "run_log", "store", "code_version", "failures", "__init__",
          "models", "profiles", "tasks", "variants"}  # fmt: skip
"""Modules of leaplib that say where and how a result is kept, or give settings: these count as they are."""
DATA = {"cohort", "data", "preparation", "simulation", "splits"}
"""Modules that prepare data, which count as they come out."""


@lru_cache(maxsize=64)
def code_version(*modules: str, alone: tuple[str, ...] = (), prepares: bool = False) -> str:
    """Return a hash over modules of leaplib and all others of it that they import, in sixteen hexadecimal digits.

    Parameters
    ----------
    modules : str
        Dotted names, such as "leaplib.regressors.knn".
    alone : tuple of str
        Modules that count without what they import, as those do that bring the others together.
    prepares : bool
        Whether code that prepares data counts too.

    Notes
    -----
    Comments, docstrings and layout do not count: the hash is over the syntax tree. Nor does code that says where
    files lie, or that prepares data, splits and settings, whose content is part of a result's key.
    """
    digest = hashlib.sha256()
    for name in sorted({*_closure(modules, prepares), *alone}):
        digest.update(f"{name}\n{_code(name)}\n".encode())
    return digest.hexdigest()[:16]


def _closure(modules: tuple[str, ...], prepares: bool = False) -> set[str]:
    """Return modules and what they import, directly or not."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found and not _is_silent(name, prepares):
            found.add(name)
            waiting += _imports(name)
    return found


def _is_silent(name: str, prepares: bool) -> bool:
    last = name.rpartition(".")[2]
    return last in SILENT or (not prepares and (last in DATA or name.startswith("leaplib.sources")))


def _file(name: str) -> Path:
    """Return the source file of a module of leaplib."""
    path = PACKAGE.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@lru_cache(maxsize=256)
def _tree(name: str) -> ast.Module:
    tree = ast.parse(_file(name).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and body and _is_text(body[0]):
            node.body = body[1:] or [ast.Pass()]
    return tree


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _code(name: str) -> str:
    return ast.dump(_tree(name))


def _imports(name: str) -> list[str]:
    """Return the modules of leaplib that a module imports; of a package, those that the names come from."""
    found = []
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "leaplib" and not node.level:
            found += [_defining(node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith("leaplib.")]
    return [module for module in found if _file(module).is_file() and module != "leaplib"]


def _defining(module: str, name: str) -> str:
    """Return the module that a name imported from `module` is defined in, looking through a package's `__init__`."""
    inner = f"{module}.{name}"
    if _file(inner).is_file():
        return inner
    if _file(module).name != "__init__.py":
        return module
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ImportFrom) and any((alias.asname or alias.name) == name for alias in node.names):
            return node.module or module
    return module
