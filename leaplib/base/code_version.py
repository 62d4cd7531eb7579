"""What code a result depends on: a hash over the modules that compute it, comments and docstrings aside."""

import ast
import hashlib
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
SETTINGS = {"leaplib.tasks", "leaplib.profiles", "leaplib.models.table", "leaplib.runs.recipes"}
"""Modules that are data: what they say of a result is in its key as it is."""


@lru_cache(maxsize=64)
def code_version(*modules: str) -> str:
    """Return a hash over modules of leaplib and all others of it that they import, in sixteen hexadecimal digits.

    So the code of a stage counts, and that of all stages that it builds on: a mended reader of files makes the cohort
    stale, and every result on it.

    Parameters
    ----------
    modules : str
        Dotted names, such as "leaplib.models.naive".

    Notes
    -----
    Comments, docstrings and layout do not count: the hash is over the syntax tree. Nor do `SETTINGS`.
    """
    digest = hashlib.sha256()
    for name in sorted(_closure(modules)):
        digest.update(f"{name}\n{_parsed(_text(name))[0]}\n".encode())
    return digest.hexdigest()[:16]


@lru_cache(maxsize=1)
def package_version() -> str:
    """Return a hash over all files of the package, data and all, in sixteen hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.*")):
        if path.suffix in (".py", ".csv", ".toml"):
            digest.update(f"{path.relative_to(PACKAGE)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _closure(modules: tuple[str, ...]) -> set[str]:
    """Return modules and what they import, directly or not."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found and name not in SETTINGS:
            found.add(name)
            waiting += [other for other in _parsed(_text(name))[1] if _file(other).is_file()]
    return found


def _file(name: str) -> Path:
    """Return the source file of a module of leaplib."""
    path = PACKAGE.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _text(name: str) -> str:
    return _file(name).read_text(encoding="utf-8")


@lru_cache(maxsize=512)
def _parsed(text: str) -> tuple[str, list[str]]:
    """Return the syntax of a module without docstrings, and what of leaplib it may import."""
    tree, found = ast.parse(text), []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, ast.ImportFrom):
            found += [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return ast.dump(tree), [module for module in found if module.startswith("leaplib.")]
