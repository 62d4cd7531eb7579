"""Files that are whole or absent: atomic writes and checksums."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
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
    """
    path = Path(path).resolve()
    temporary, old = (path.with_name(f".{path.name}.{os.getpid()}.{state}") for state in ("part", "old"))
    for left in (temporary, old):  # by a build that was killed under the same process number
        shutil.rmtree(left, ignore_errors=True)
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


def write_text(path: str | Path, text: str) -> Path:
    """Write `text` to `path` atomically (UTF-8) and return the path."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
