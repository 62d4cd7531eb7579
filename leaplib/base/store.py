"""What lies on disk is whole or absent: atomic writes and locks, and results that are found again by their key.

A key holds the code that a result depends on: a hash over the modules that compute it, comments and docstrings aside.
"""

import ast
import errno
import hashlib
import json
import os
import platform
import re
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from leaplib.base.errors import DAMAGE, InputError, StorageError, first_line

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO,
              errno.ENOTDIR, errno.EISDIR, errno.EEXIST)  # fmt: skip
LEFT_OVER = re.compile(r"^\..+\.(?P<host>[^.~]+)~(?P<process>\d+)~[0-9a-f]{8}\.(part|old)(\.[^.]+)?$")
MOST_BYTES = 8 << 30  # of a frame: some hundred times the largest of a run
CHECKSUM, NO_CHECKSUM = "sha256 of the file", "0" * 64
_SEAL = re.compile(rb'("sha256 of the file": ")[0-9a-f]{64}')
PACKAGE = Path(__file__).resolve().parents[1]
SETTINGS = {"leaplib.tasks", "leaplib.profiles", "leaplib.models.table", "leaplib.runs.recipes"}
"""Modules that are data: what they say of a result is in its key as it is."""
PACKAGES = ("leaplib", "numpy", "numba", "pandas", "scipy", "scikit-learn", "torch")


def _beside(path: Path, state: str) -> Path:
    """Return a hidden name beside `path` that no other process, here or on another machine, takes too.

    It keeps the suffix of `path`, so that writers which look at it work.
    """
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())
    return path.with_name(f".{path.stem}.{host}~{os.getpid()}~{uuid.uuid4().hex[:8]}.{state}{path.suffix}")


@contextmanager
def storage(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into a StorageError that names the file; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise StorageError(f"{path}: cannot be written ({os.strerror(error.errno)}): make room or make the folder "
                           "writable; the same command then goes on where it stopped") from error  # fmt: skip


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` and rename it into place on success.

    Parameters
    ----------
    path : str or Path
        Where the file shall be; missing parent folders are made.

    Yields
    ------
    Path
        Where to write. It keeps the suffix of `path`, so that writers which look at it work.
        When the block raises, the temporary file is removed and `path` stays as it was.

    Raises
    ------
    StorageError
        When the disk is full or the folder cannot be written to.
    """
    path = Path(path)
    temporary = _beside(path, "part")
    with storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` and let it take the place of `path` on success.

    Parameters
    ----------
    path : str or Path
        Where the folder shall be; missing parent folders are made. A folder that is there is replaced whole.

    Yields
    ------
    Path
        An empty folder to fill. When the block raises, it is removed and `path` stays as it was.

    Raises
    ------
    StorageError
        As `atomic_path`.
    """
    path = Path(path).resolve()
    temporary, old = _beside(path, "part"), _beside(path, "old")
    with storage(path):
        try:
            temporary.mkdir(parents=True)
            yield temporary
            if path.exists():
                os.replace(path, old)
            os.replace(temporary, path)
        finally:
            if old.exists() and not path.exists():
                os.replace(old, path)
            for folder in (temporary, old):
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Let one process of this machine at a time into the block; others wait for their turn.

    The lock, a file in the folder for temporary files, goes with the process that holds it: a killed run leaves
    none behind.
    """
    name = hashlib.sha256(str(Path(path).resolve()).encode()).hexdigest()[:32]
    folder = _temporary_folder() / f"leaplib-{os.getuid() if hasattr(os, 'getuid') else 'locks'}"
    with storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{name}.lock")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _temporary_folder() -> Path:
    """Return the folder for temporary files; where none can be written to, a StorageError says so."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise StorageError(f"{error.strerror or error}: make room there, or let TMPDIR name a folder that can be "
                           "written to; the same command then goes on where it stopped") from error  # fmt: skip


def sweep(folder: str | Path) -> list[Path]:
    """Remove what killed processes of this machine left half-written under `folder`, and return it.

    Told by the process number in the name, not by age: a clock that jumps does no harm.

    Raises
    ------
    StorageError
        When the folder cannot be written to.
    """
    host, removed = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname()), []
    for path in sorted(Path(folder).rglob(".*~*~*")):
        found = LEFT_OVER.match(path.name)
        if not found or found["host"] != host or psutil.pid_exists(int(found["process"])):
            continue
        with storage(path):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        removed.append(path)
    return removed


def write_text(path: str | Path, text: str) -> Path:
    """Write `text` to `path` atomically (UTF-8) and return the path."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def stamps(folders: Iterable[Path]) -> dict[str, tuple[int, int]]:
    """Return size and time of each file under folders, hidden ones aside: what differs when one of them changes."""
    found: dict[str, tuple[int, int]] = {}
    for folder in folders:
        for file in sorted(folder.rglob("[!.]*")):
            with suppress(FileNotFoundError):  # another process replaces it just now
                stat = file.stat()
                found |= {str(file): (stat.st_size, stat.st_mtime_ns)} if file.is_file() else {}
    return found


def key_of(configuration: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a configuration: the same key, the same result."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True, default=str).encode()).hexdigest()


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Return the versions of what a result depends on."""
    return {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}


def save_frame(frame: pd.DataFrame, path: Path, configuration: Mapping[str, Any],
               without: Iterable[str] = ()) -> Path:  # fmt: skip
    """Write a frame with its configuration, key and package versions in the file's metadata.

    `without` names perturbations that the frame should have results of, and has not: see `missing_of`.
    """
    provenance = {"key": key_of(configuration), "configuration": configuration, "versions": versions()}
    provenance |= {"file": path.name}
    provenance |= {"without": names} if (names := list(without)) else {}
    provenance |= {CHECKSUM: NO_CHECKSUM}
    table = pa.Table.from_pandas(frame)
    metadata = {**(table.schema.metadata or {}), b"leap": json.dumps(provenance, default=str).encode()}
    content = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), content)
    with atomic_path(path) as temporary:
        temporary.write_bytes(_sealed(content.getvalue().to_pybytes()))
    return path


def _sealed(content: bytes) -> bytes:
    """Write the checksum of a whole file, made while zeros stand in its place, into the file."""
    return _SEAL.sub(rb"\g<1>" + hashlib.sha256(content).hexdigest().encode(), content)


def _read(path: Path) -> bytes:
    """Return a file's content; a single wrong byte of it, wherever, is a ValueError."""
    content = path.read_bytes()
    if _sealed(_SEAL.sub(rb"\g<1>" + NO_CHECKSUM.encode(), content)) != content or not _SEAL.search(content):
        raise ValueError("not as it was written")
    return content


def provenance(path: Path) -> dict[str, Any] | None:
    """Return what `save_frame` recorded, or None where there is no readable result."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return _provenance(path, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(maxsize=65536)
def _provenance(path: Path, *identity: int) -> dict[str, Any] | None:
    """Read all of a file, so that a single wrong byte is found, and remember what it recorded."""
    try:
        metadata = pq.read_schema(pa.BufferReader(_read(path))).metadata or {}
        recorded = json.loads(metadata[b"leap"])
    except (pa.ArrowException, *DAMAGE):
        return None  # truncated, altered or foreign: as good as absent, the run writes it again
    if not isinstance(recorded, dict) or not {"key", "configuration"} <= set(recorded):
        return None
    return recorded if recorded.get("file") == path.name else None  # else a copy of another


def is_done(path: Path, configuration: Mapping[str, Any]) -> bool:
    """Tell whether a file holds, whole, the result of just this configuration."""
    return has_key(path, key_of(configuration))


def has_key(path: Path, key: str) -> bool:
    """Tell whether a file holds, whole, the result of this key."""
    recorded = provenance(path)
    return recorded is not None and recorded["key"] == key


def _table(content: bytes) -> pa.Table:
    """Return the table that a parquet file holds; a few bytes can ask for any amount of memory, so it is bounded."""
    with pq.ParquetFile(pa.BufferReader(content)) as file:
        about = file.metadata
        stated = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
        needed = max(stated, 8 * about.num_rows * about.num_columns)
    if needed > MOST_BYTES:
        raise ValueError(f"{about.num_rows:,} rows x {about.num_columns:,} columns, {needed:,} bytes, are too many")
    return pq.read_table(pa.BufferReader(content))


def missing_of(path: Path) -> list[str]:
    """Return the perturbations that a saved frame lacks, since they failed."""
    return (provenance(path) or {}).get("without", [])


def load_frame(path: Path) -> pd.DataFrame:
    """Read a frame; a missing or damaged file is an InputError that says how to make it again."""
    try:
        return _table(_read(path)).to_pandas()
    except (pa.ArrowException, *DAMAGE) as error:
        raise InputError(
            f"{path}: cannot be read ({first_line(error)}): run the notebook or `leap run` again, which makes it anew"
        ) from error


# ---- the code that a result depends on


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
    for path in sorted(PACKAGE.glob("sources/*.toml")):  # the rules of its readers
        digest.update(path.read_bytes())
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
