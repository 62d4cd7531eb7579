"""Zip archives from elsewhere: members are read in pieces, up to a limit; nothing is ever unpacked to disk.

What an archive says of itself is not believed: a member may state a small size and unpack to a large one.
"""

import copy
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from leaplib.sources.manifest import is_outside

CHUNK = 1 << 20
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # can be unpacked piece by piece
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)
"""What reading an archive that is no archive, damaged or hostile raises, beside OSError."""


@contextmanager
def open_archive(file: "str | IO[bytes]", limit: int) -> Iterator[zipfile.ZipFile]:
    """Open an archive whose members are harmless by what it says of them.

    Parameters
    ----------
    file : path or binary file
    limit : int
        Bytes that all members together may unpack to.

    Raises
    ------
    zipfile.BadZipFile
        When it is no archive, a member lies outside the folder, is a link, encrypted or packed in an unusual way, or
        the members are larger than `limit`.
    """
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            _check(member)
        _check_size(sum(member.file_size for member in archive.infolist()), limit)
        yield archive


def read(archive: zipfile.ZipFile, member: str | zipfile.ZipInfo, limit: int) -> bytes:
    """Return a member's bytes, checked against the archive's CRC.

    Raises
    ------
    KeyError
        When there is no such member.
    zipfile.BadZipFile
        When it is damaged, or larger than it says or than `limit`.
    """
    return b"".join(pieces(archive, member, limit))


def pieces(archive: zipfile.ZipFile, member: str | zipfile.ZipInfo, limit: int) -> Iterator[bytes]:
    """Yield a member's bytes; as `read`."""
    info = archive.getinfo(member) if isinstance(member, str) else member
    _check_size(info.file_size, limit)
    # zipfile stops at the stated size, but only after it has unpacked all: let it go one byte further, in pieces.
    further = copy.copy(info)
    further.file_size += 1
    size = 0
    with archive.open(further) as handle:
        while piece := handle.read(CHUNK):
            size += len(piece)
            if size > info.file_size:
                raise zipfile.BadZipFile(f"{info.filename} unpacks to more than the {info.file_size} bytes it states")
            yield piece


def check_sizes(archive: zipfile.ZipFile, limit: int) -> None:
    """Unpack each member, piece by piece, and forget it: for readers that would unpack it in one go."""
    for member in archive.infolist():
        for _ in pieces(archive, member, limit):
            pass


def _check(member: zipfile.ZipInfo) -> None:
    """Refuse a member that no provider's archive has."""
    if is_outside(member.filename):
        raise zipfile.BadZipFile(f"member {member.filename!r} lies outside the archive's folder")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise zipfile.BadZipFile(f"member {member.filename!r} is a link")
    if member.flag_bits & 1 or member.compress_type not in METHODS:
        raise zipfile.BadZipFile(f"member {member.filename!r} is encrypted, or packed in an unusual way")


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise zipfile.BadZipFile(f"it would unpack to {size:,} bytes, beyond the {limit:,} that are expected")
