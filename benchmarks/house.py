"""How fat the house is: lines, modules, names and directions of leaplib, read off the source tree.

Run `python benchmarks/house.py` for the table; with `--check` it fails above the limits (`make lint` does).
"""

import argparse
import ast
import io
import json
import re
import sys
import tokenize
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("base", "tasks", "profiles", "sources", "cohorts", "representation", "models", "runs", "results", "figures",
         "samples", "report", "__init__", "__main__")  # fmt: skip
"""From the lowest room to the highest: a module imports from its own room and from those before it."""
GOALS = {"code lines of leaplib": 8500, "modules": 80, "modules at the top": 4, "lines of damae.py": 220,
         "names that notebooks use": 60, "modules that notebooks import from": 4, "imports into a higher room": 0,
         "circles of modules": 0, "README, bytes": 9216, "README, longest line": 100, "test lines": 12000}  # fmt: skip
LIMITS = GOALS | {"code lines of leaplib": 11825, "test lines": 16720}
"""What `--check` holds: the goals and, on the way to them, what was reached. Lower a limit when the house shrinks."""


def code_lines(path: Path) -> int:
    """Return the lines of a module without blank lines, comments and docstrings."""
    text = path.read_text(encoding="utf-8")
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
                              tokenize.ENDMARKER):  # fmt: skip
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):  # docstrings, of attributes too
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, node.end_lineno + 1))
    return len(lines)


def room_of(module: str) -> str:
    """Return the room of a module, by its dotted name."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def name_of(path: Path) -> str:
    """Return the dotted name of a module of leaplib."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Return the modules of leaplib that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = (ROOT / inner.replace(".", "/")).with_suffix(".py").is_file()
                found.add(inner if is_module else node.module)
    return {name for name in found if name.split(".")[0] == "leaplib"}


def upward(modules: dict[str, set[str]]) -> list[str]:
    """Return the imports that run from a lower room into a higher one."""
    rank = {room: number for number, room in enumerate(ROOMS)}
    return [f"{name} -> {other}" for name, others in sorted(modules.items()) for other in sorted(others)
            if rank[room_of(other)] > rank[room_of(name)] and other != "leaplib"]  # fmt: skip


def circles(modules: dict[str, set[str]]) -> list[str]:
    """Return groups of modules that import each other, directly or not."""

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        waiting = [start]
        while waiting:
            new = modules.get(waiting.pop(), set()) - found
            found |= new
            waiting += new
        return found

    ahead = {name: reached(name) for name in modules}
    groups = {frozenset({other for other in ahead[name] if name in ahead.get(other, ())})
              for name in modules if name in ahead[name]}  # fmt: skip
    return [", ".join(sorted(group)) for group in groups]


def notebook_names(paths: Iterable[Path]) -> tuple[set[str], set[str]]:
    """Return the names of leaplib that notebooks use, and the modules that they import from."""
    used, modules = set(), set()
    for path in paths:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        tree = ast.parse("\n".join(line for line in text.splitlines() if not line.startswith("%")))
        bound = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                bound |= {alias.asname or alias.name: alias.name for alias in node.names if "leaplib" in alias.name}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("leaplib"):
                bound |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
                modules.add(node.module)
        modules |= {name for name in bound.values() if name == "leaplib"}
        for node in ast.walk(tree):
            chain = re.fullmatch(r"(\w+)\.([\w.]+)", ast.unparse(node)) if isinstance(node, ast.Attribute) else None
            if chain and chain[1] in bound:
                used.add(f"{bound[chain[1]]}.{chain[2]}")
        used |= {name for name in bound.values() if name != "leaplib"}
    return {name for name in used if not any(other.startswith(f"{name}.") for other in used)}, modules


def measure() -> dict[str, int]:
    """Return what `GOALS` bounds."""
    paths = sorted((ROOT / "leaplib").rglob("*.py"))
    modules = {name_of(path): imports(path) for path in paths}
    used, from_modules = notebook_names(sorted((ROOT / "notebooks").glob("*.ipynb")))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tests = sorted((ROOT / "tests").rglob("*.py"))
    return {
        "code lines of leaplib": sum(map(code_lines, paths)),
        "modules": len(paths),
        "modules at the top": sum(path.parent == ROOT / "leaplib" for path in paths),
        "lines of damae.py": len(next((ROOT / "leaplib").rglob("damae.py")).read_text(encoding="utf-8").splitlines()),
        "names that notebooks use": len(used),
        "modules that notebooks import from": len(from_modules),
        "imports into a higher room": len(upward(modules)),
        "circles of modules": len(circles(modules)),
        "README, bytes": len(readme.encode()),
        "README, longest line": max(map(len, readme.splitlines())),
        "test lines": sum(len(path.read_text(encoding="utf-8").splitlines()) for path in tests),
    }


def main() -> None:
    """Print the table, and where the lines lie; with --check fail above the limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 above a limit")
    check = parser.parse_args().check
    found = measure()
    for name, value in found.items():
        above = "" if value <= GOALS[name] else f"   above; limit {LIMITS[name]:,}"
        print(f"{name:36s} {value:8,d}   goal {GOALS[name]:6,d}{above}")
    paths = sorted((ROOT / "leaplib").rglob("*.py"))
    for room in ROOMS:
        own = [path for path in paths if room_of(name_of(path)) == room]
        print(f"  {room:16s} {len(own):3d} modules {sum(map(code_lines, own)):6,d} lines")
    modules = {name_of(path): imports(path) for path in paths}
    for line in [*upward(modules), *circles(modules)]:
        print("  " + line)
    if check and any(value > LIMITS[name] for name, value in found.items()):
        sys.exit(1)


if __name__ == "__main__":
    main()
