"""Files that are whole or absent: atomic writes, locks and checksums."""

import errno
import hashlib
import os
import re
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock

from leaplib.base.errors import StorageError

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO,
              errno.ENOTDIR, errno.EISDIR, errno.EEXIST)  # fmt: skip
LEFT_OVER = re.compile(r"^\..+\.(?P<host>[^.~]+)~(?P<process>\d+)~[0-9a-f]{8}\.(part|old)(\.[^.]+)?$")


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
