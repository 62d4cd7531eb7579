"""Tables as providers publish them (text, workbook, zip archive): all cells as text, every flaw an InputError.

Each row of a table is indexed by its number in the file (the header is row 1), so that messages can name it.
A `Place` carries the file's name and the remedy into every message.
"""

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import openpyxl
import pandas as pd

from leaplib.base.errors import DAMAGE, InputError
from leaplib.sources import archives
from leaplib.sources.manifest import limit_of

# No member of a published archive comes near this; more is a damaged or hostile archive.
MEMBER_LIMIT = 512 * 2**20  # bytes, unpacked
HTML = re.compile(rb"\s*<(!doctype|html|head|\?xml)", re.IGNORECASE)
# A spreadsheet turns genes such as MARCH1 and SEPT2 into dates; MARC1 and MARCH1 both became 1-Mar, so that no way
# leads back.
DATE = re.compile(r"\d{1,2}-(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)|\d{4}-\d\d-\d\d.*", re.IGNORECASE)


@dataclass(frozen=True)
class Place:
    """Where a table lies, and how to get a sound one.

    Parameters
    ----------
    path : Path
    source : str
        The file's name in the manifest.
    part : str
        Sheet or archive member, empty for the file itself.
    mend : str
        What to do, where it is not to fetch the source.
    """

    path: Path
    source: str
    part: str = ""
    mend: str = ""

    def error(self, problem: str, remedy: str = "") -> InputError:
        """Return the error that names the file, the problem and the remedy."""
        where = f"{self.path}: {self.part}" if self.part else str(self.path)
        remedy = (
            remedy
            or self.mend
            or f"put the provider's file in its place (`leap data fetch {self.source}` says from where)"
        )
        return InputError(f"{where}: {problem}: {remedy}")

    def within(self, part: str) -> "Place":
        """Return the place of a sheet or a member."""
        return replace(self, part=part)

    @property
    def limit(self) -> int:
        """Bytes that the file may unpack to, by the manifest."""
        return limit_of(self.source)


@contextmanager
def refusing_damage(place: Place, problem: str) -> Iterator[None]:
    """Make an InputError of what a parser raises in this block; errors that are one already pass."""
    try:
        yield
    except InputError:
        raise
    except DAMAGE as error:
        reason = f"{type(error).__name__} {error.__cause__ or error}"[:150].strip()
        raise place.error(f"{problem}, or a damaged one ({reason})") from error


def check_file(place: Place) -> bytes:
    """Return the first 4,096 bytes of a file; refuse a missing or empty one and a web page."""
    try:
        with open(place.path, "rb") as handle:
            start = handle.read(4096)
    except OSError as error:
        raise place.error(f"cannot be read ({error.strerror})") from error
    if not start.strip():
        raise place.error("the file is empty")
    if HTML.match(start.removeprefix(b"\xef\xbb\xbf")):
        raise place.error("a web page, not the data: the download was refused or redirected")
    return start


def read_text_table(place: Place, columns: Sequence[str], sep: str = ",") -> pd.DataFrame:
    """Return columns of a text table, as text; empty fields are missing values.

    Raises
    ------
    InputError
        When the file is missing, empty, binary, a web page or no table, lacks a column, or has no rows.
    """
    check_file(place)
    return parse_table(place.path.read_bytes(), place, columns, sep)


def parse_table(data: bytes, place: Place, columns: Sequence[str], sep: str) -> pd.DataFrame:
    """Return columns of a text table given as bytes; as `read_text_table`."""
    try:
        frame = parse_all(data, place, sep)
    except UnicodeDecodeError:
        frame = parse_all(data, place, sep, "latin-1")  # older exports hold single letters such as a micro sign
    check_columns(list(frame.columns), columns, place)
    return _stripped(frame[list(columns)], place)


def parse_all(data: bytes, place: Place, sep: str = ",", encoding: str = "utf-8-sig") -> pd.DataFrame:
    """Return all columns of a text table, as text; empty fields are missing values.

    Raises
    ------
    UnicodeDecodeError
        When the bytes are not in this encoding.
    InputError
        When they are binary or no table, or a row has more or fewer fields than the header.
    """
    if b"\0" in data:
        raise place.error("a binary file or UTF-16, not a text table in UTF-8")
    # Only the empty field is missing: "NA" could be the name of a line or a drug. Every row is parsed whole, so that
    # surplus fields do not go unseen.
    options: dict[str, Any] = {"sep": sep, "encoding": encoding, "dtype": str, "keep_default_na": False,
                               "na_values": [""], "skip_blank_lines": False}  # fmt: skip
    try:
        frame = pd.read_csv(io.BytesIO(data), **options)
        header = pd.read_csv(io.BytesIO(data), header=None, nrows=1, **options).iloc[0]  # names as they are
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        what = "CSV table" if sep == "," else "table"
        raise place.error(f"not a {what} or one with decimal commas ({str(error).strip()})") from error
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes surplus fields for row names
        raise place.error("rows have more fields than the header: decimal commas, or a shifted header")
    if frame.iloc[:, -1].isna().any():
        _refuse_short_rows(data, frame.shape[1], place, sep, encoding)
    frame.index = pd.RangeIndex(2, len(frame) + 2)
    return frame.set_axis(header.fillna("").str.strip().to_list(), axis=1)


def _refuse_short_rows(data: bytes, width: int, place: Place, sep: str, encoding: str) -> None:
    """Raise when a row has fewer fields than the header; pandas fills it up with missing values."""
    lines = io.TextIOWrapper(io.BytesIO(data), encoding, newline="")
    try:
        for number, row in enumerate(csv.reader(lines, delimiter=sep), start=1):
            if len(row) < width and any(map(str.strip, row)):
                raise place.error(f"row {number} has {len(row)} fields, the header {width}: the file is cut off")
    except csv.Error as error:
        raise place.error(f"not a table ({error})") from error


def check_columns(has: Sequence[str], needed: Sequence[str], place: Place) -> None:
    """Raise when a column is missing or there twice; say which ones there are."""
    missing = [column for column in needed if column not in has]
    if missing:
        shown = ", ".join(map(str, has))
        shown = shown if len(shown) <= 300 else shown[:300] + " ..."
        raise place.error(f"lacks the column {', '.join(map(repr, missing))}: has {shown or 'none'}")
    repeated = [column for column in needed if list(has).count(column) > 1]
    if repeated:
        raise place.error(f"the column {repeated[0]!r} is there twice")


def _stripped(frame: pd.DataFrame, place: Place) -> pd.DataFrame:
    """Return the rows that are not blank, each cell without blanks around it."""
    frame = frame.apply(lambda column: column.str.strip()).replace("", None).dropna(how="all")
    if frame.empty:
        raise place.error("has a header but no rows")
    return frame


@contextmanager
def open_workbook(place: Place) -> Iterator[openpyxl.Workbook]:
    """Open an xlsx workbook for reading row by row; one that is damaged or hostile is an InputError.

    It is a zip archive, which openpyxl unpacks in part at one go, hence the look at what it unpacks to. Entities of
    XML, which can multiply, are refused by defusedxml, which openpyxl takes where it is installed.
    """
    check_file(place)
    with open(place.path, "rb") as handle, refusing_damage(place, "no xlsx workbook"):
        with archives.open_archive(handle, place.limit) as archive:
            archives.check_sizes(archive, place.limit)
        handle.seek(0)
        book = openpyxl.load_workbook(handle, read_only=True, data_only=True)
        yield book
        book.close()


def sheet_rows(book: openpyxl.Workbook, sheet: str, place: Place) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a sheet as tuples of cell values, the header first; a missing sheet is an InputError."""
    if sheet not in book.sheetnames:
        raise place.error(f"lacks the sheet {sheet!r}: has {', '.join(book.sheetnames)}")
    with refusing_damage(place, f"{sheet!r} is no sheet of an xlsx workbook"):
        opened = book[sheet]
        opened.reset_dimensions()  # some programs state a wrong size, and rows would be cut
        yield from opened.iter_rows(values_only=True)


def header_of(book: openpyxl.Workbook, sheet: str, place: Place) -> list[str]:
    """Return the column names of a sheet (its first row)."""
    return [_text(cell) or "" for cell in next(sheet_rows(book, sheet, place), ())]


def read_sheet(book: openpyxl.Workbook, sheet: str, place: Place, columns: Sequence[str]) -> pd.DataFrame:
    """Return columns of a sheet, as text; empty cells are missing values.

    Raises
    ------
    InputError
        When the sheet is missing, lacks a column, or has no rows.
    """
    place = place.within(f"sheet {sheet!r}") if sheet in book.sheetnames else place
    header = header_of(book, sheet, place)
    check_columns(header, columns, place)
    positions = [header.index(column) for column in columns]
    rows = sheet_rows(book, sheet, place)
    next(rows)
    cells = [[_text(row[i]) if i < len(row) else None for i in positions] for row in rows]
    frame = pd.DataFrame(cells, columns=list(columns), index=pd.RangeIndex(2, len(cells) + 2), dtype=object)
    return _stripped(frame.astype(str).where(frame.notna(), None), place)


def _text(cell: object) -> str | None:
    """Return a cell as text."""
    return None if cell is None else str(cell).strip()


def read_zip_members(place: Place, names: Sequence[str]) -> dict[str, bytes]:
    """Return files of a zip archive, found by name in whichever folder; nothing is written to disk.

    Raises
    ------
    InputError
        When the archive is missing or damaged, lacks a file, holds it twice, or it is beyond `MEMBER_LIMIT`.
    """
    check_file(place)
    with refusing_damage(place, "no zip archive"), archives.open_archive(str(place.path), place.limit) as archive:
        return {name: archives.read(archive, _member(archive, name, place), MEMBER_LIMIT) for name in names}


def _member(archive: zipfile.ZipFile, name: str, place: Place) -> zipfile.ZipInfo:
    """Return the one member with this file name."""
    found = [info for info in archive.infolist() if PurePosixPath(info.filename).name == name]
    if len(found) != 1:
        raise place.error(f"{name} is {'twice' if found else 'not'} in the archive")
    if found[0].file_size > MEMBER_LIMIT:
        size = found[0].file_size / 2**20
        raise place.error(f"{name} would unpack to {size:,.0f} MiB, beyond {MEMBER_LIMIT / 2**20:,.0f}")
    return found[0]


def numbers(frame: pd.DataFrame, column: str, place: Place, low: float = -np.inf, high: float = np.inf) -> pd.Series:
    """Return a column as numbers.

    Raises
    ------
    InputError
        When a cell is no finite number from `low` to `high`; names the first, and decimal commas as such.
    """
    value = pd.to_numeric(frame[column], errors="coerce").astype(float)
    bad = ~value.between(low, high) | np.isinf(value)
    if bad.any():
        row = frame.index[int(bad.to_numpy().argmax())]
        found = frame.loc[row, column]
        if re.fullmatch(r"[-+]?\d*,\d+([eE][-+]?\d+)?", str(found)):
            raise place.error(f"row {row}, column {column!r}: {found!r} has a decimal comma",
                              "take the file as published, or save it with decimal points")  # fmt: skip
        limits = "" if np.isinf(low) and np.isinf(high) else f" from {low:g} to {high:g}"
        raise place.error(f"row {row}, column {column!r}: {found!r} is not a finite number{limits}")
    return value


def refuse_gaps(frame: pd.DataFrame, columns: Sequence[str], place: Place) -> None:
    """Raise when one of these cells is empty."""
    for column in columns:
        if frame[column].isna().any():
            row = frame.index[int(frame[column].isna().to_numpy().argmax())]
            raise place.error(f"row {row}, column {column!r} is empty")


def refuse_repeats(frame: pd.DataFrame, columns: Sequence[str], place: Place) -> None:
    """Raise when a row repeats an earlier one in these columns."""
    repeated = frame.duplicated(list(columns))
    if repeated.any():
        row = frame.index[int(repeated.to_numpy().argmax())]
        found = ", ".join(f"{column} {frame.loc[row, column]}" for column in columns)
        raise place.error(f"row {row} repeats an earlier row ({found})",
                          "take the file as published, or delete one of the two")  # fmt: skip
