"""Tables as providers publish them (text, workbook, zip archive): all cells as text, every flaw an InputError.

Each row of a table is indexed by its number in the file (the header is row 1), so that messages can name it.
A `Place` carries the file's name and the remedy into every message.
"""

import copy
import csv
import io
import re
import stat
import textwrap
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv as arrow_csv

from leaplib.base.errors import DAMAGE, InputError
from leaplib.sources.manifest import LIMIT, is_outside, load

FORMATS = tomllib.loads(Path(__file__).with_name("formats.toml").read_text(encoding="utf-8"))
HTML = re.compile(rb"\s*<(!doctype|html|head|\?xml)", re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # can be unpacked piece by piece
CHUNK = 1 << 20
BLOCK = 1 << 26  # bytes of text parsed at once: a row of 19,000 genes takes some hundred kilobytes


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
        default = f"put the provider's file in its place (`leap data fetch {self.source}` says from where)"
        return InputError(f"{self}: {problem}: {remedy or self.mend or default}")

    def __str__(self) -> str:
        return f"{self.path}: {self.part}" if self.part else str(self.path)

    def within(self, part: str) -> "Place":
        """Return the place of a sheet or a member."""
        return replace(self, part=part)

    @property
    def limit(self) -> int:
        """Bytes that the file may unpack to, by the manifest."""
        known = load()
        return known[self.source].limit if self.source in known else LIMIT


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


# Text


def read_text_table(place: Place, columns: Sequence[str], sep: str = ",") -> pd.DataFrame:
    """Return columns of a text table, as text; empty fields are missing values."""
    check_file(place)
    return parse_table(place.path.read_bytes(), place, columns, sep)


def parse_table(data: bytes, place: Place, columns: Sequence[str], sep: str = ",") -> pd.DataFrame:
    """Return columns of a text table given as bytes, each cell without blanks around it."""
    if b"\0" in data:
        raise place.error("a binary file or UTF-16, not a text table in UTF-8")
    try:
        data.decode()
    except UnicodeDecodeError:
        data = data.decode("latin-1").encode()  # older exports hold single letters such as a micro sign
    header = read_header(data, place, sep)
    check_columns(header, columns, place)
    frame = read_columns(data, place, header, {header.index(column): pa.string() for column in columns}, sep)
    return _stripped(frame.to_pandas().set_axis(list(columns), axis=1), place)


def read_header(data: bytes, place: Place, sep: str = ",") -> list[str]:
    """Return the column names of a text table."""
    try:
        header = next(csv.reader(io.TextIOWrapper(io.BytesIO(data), "utf-8", newline=""), delimiter=sep), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise place.error("not a text table, perhaps still compressed or not in UTF-8") from error
    if not any(header):
        raise place.error("not a table: the first line is empty")
    if sep == "," and len(header) == 1 and re.search(r"[;\t]", header[0]):
        raise place.error("has semicolons or tabs between fields, as of spreadsheets with decimal commas, not commas")
    return [name.removeprefix("\ufeff").strip() for name in header]


def read_columns(
    data: bytes, place: Place, header: Sequence[str], types: Mapping[int, pa.DataType], sep: str = ","
) -> pa.Table:
    """Read columns of a text table by position, as these types; every row needs as many fields as the header."""
    wanted = {str(at): kind for at, kind in types.items()}
    options = arrow_csv.ReadOptions(column_names=[str(at) for at in range(len(header))], skip_rows=1, block_size=BLOCK)
    parsing = arrow_csv.ParseOptions(delimiter=sep, newlines_in_values=pa.float32() not in types.values())
    converting = arrow_csv.ConvertOptions(include_columns=list(wanted), column_types=wanted)
    try:
        return arrow_csv.read_csv(pa.BufferReader(data), options, parsing, converting)
    except pa.ArrowInvalid as error:
        text = str(error)
        column = re.search(r"column #(\d+)", text)
        where = f"column {header[int(column[1])]!r}: " if column else ""
        comma = "; numbers need a decimal point, not a comma" if re.search(r"'-?\d+,\d+'|got \d", text) else ""
        raise place.error(f"{where}not a {'CSV ' if sep == ',' else ''}table ({text[:150].strip()}){comma}") from error


def check_columns(has: Sequence[str], needed: Sequence[str], place: Place) -> None:
    """Raise when a column is missing or there twice; say which ones there are."""
    missing = [column for column in needed if column not in has]
    if missing:
        shown = textwrap.shorten(", ".join(map(str, has)), 300, placeholder=" ...")
        raise place.error(f"lacks the column {', '.join(map(repr, missing))}: has {shown or 'none'}")
    repeated = [column for column in needed if list(has).count(column) > 1]
    if repeated:
        raise place.error(f"the column {repeated[0]!r} is there twice")


def _stripped(frame: pd.DataFrame, place: Place) -> pd.DataFrame:
    """Return the rows that are not blank, each cell without blanks around it."""
    frame.index = pd.RangeIndex(2, len(frame) + 2)
    frame = frame.apply(lambda column: column.str.strip()).replace("", None).dropna(how="all")
    if frame.empty:
        raise place.error("has a header but no rows")
    return frame


# Archives and workbooks


@contextmanager
def open_archive(place: Place, what: str = "zip archive") -> Iterator[zipfile.ZipFile]:
    """Open a zip archive whose members are harmless by what it says of them; nothing is ever unpacked to disk."""
    check_file(place)
    with refusing_damage(place, f"no {what}"), zipfile.ZipFile(place.path) as archive:
        for member in archive.infolist():
            if stat.S_ISLNK(member.external_attr >> 16):
                raise zipfile.BadZipFile(f"member {member.filename!r} is a link")
            if is_outside(member.filename):
                raise zipfile.BadZipFile(f"member {member.filename!r} lies outside the archive's folder")
            if member.flag_bits & 1 or member.compress_type not in METHODS:
                raise zipfile.BadZipFile(f"member {member.filename!r} is encrypted, or packed in an unusual way")
        size, limit = sum(member.file_size for member in archive.infolist()), place.limit
        if size > limit:
            raise zipfile.BadZipFile(f"it would unpack to {size:,} bytes, beyond the {limit:,} that are expected")
        yield archive


def _pieces(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield a member's bytes in pieces; one that states a smaller size than it has is refused."""
    # zipfile stops at the stated size, but only after it has unpacked all: let it go one byte further, in pieces.
    further = copy.copy(member)
    further.file_size += 1
    size = 0
    with archive.open(further) as handle:
        while piece := handle.read(CHUNK):
            size += len(piece)
            if size > member.file_size:
                raise zipfile.BadZipFile(f"{member.filename} unpacks to more than the {member.file_size} it states")
            yield piece


def read_members(place: Place, names: Sequence[str]) -> list[bytes]:
    """Return members of a zip archive, found by the end of their path; they are checked against its CRC."""
    with open_archive(place) as archive:
        found = []
        for name in names:
            members = [info for info in archive.infolist() if f"/{info.filename}".endswith(f"/{name}")]
            if len(members) != 1:
                raise place.error(f"{name} is {'twice' if members else 'not'} in the archive")
            found.append(b"".join(_pieces(archive, members[0])))
        return found


@contextmanager
def open_workbook(place: Place) -> Iterator[pd.ExcelFile]:
    """Open an xlsx workbook; one that is damaged or hostile is an InputError.

    It is a zip archive, which openpyxl unpacks in part at one go: hence the look at what its members unpack to.
    Entities of XML, which can multiply, are refused by defusedxml, which openpyxl takes where it is installed.
    """
    with open_archive(place, "xlsx workbook") as archive:
        for member in archive.infolist():
            for _ in _pieces(archive, member):
                pass
        with pd.ExcelFile(place.path, engine="openpyxl") as book:
            yield book


def read_cells(book: pd.ExcelFile, sheet: str, place: Place) -> pd.DataFrame:
    """Return the cells of a sheet as they are, indexed from row 1."""
    if sheet not in book.sheet_names:
        raise place.error(f"lacks the sheet {sheet!r}: has {', '.join(map(str, book.sheet_names))}")
    with refusing_damage(place, f"{sheet!r} is no sheet of an xlsx workbook"):
        cells = pd.read_excel(book, sheet_name=sheet, header=None, dtype=object, na_filter=False)
        return cells.set_axis(range(1, len(cells) + 1))


def read_sheet(book: pd.ExcelFile, sheet: str, place: Place, columns: Sequence[str]) -> pd.DataFrame:
    """Return columns of a sheet, as text; empty cells are missing values."""
    cells, place = read_cells(book, sheet, place), place.within(f"sheet {sheet!r}")
    header = header_of(cells)
    check_columns(header, columns, place)
    frame = cells.iloc[1:, [header.index(column) for column in columns]].astype(str)
    return _stripped(frame.set_axis(list(columns), axis=1), place)


def header_of(cells: pd.DataFrame) -> list[str]:
    """Return the first row of a sheet as column names."""
    return [str(cell).strip() for cell in cells.iloc[0]] if len(cells) else []


# Cells


def numbers(frame: pd.DataFrame, column: str, place: Place, low: float = -np.inf, high: float = np.inf) -> pd.Series:
    """Return a column as numbers; the first that is no finite one from `low` to `high` is named."""
    value = pd.to_numeric(frame[column], errors="coerce").astype(float)
    bad = ~value.between(low, high) | np.isinf(value)
    if bad.any():
        row = first(bad)
        found = frame.loc[row, column]
        limits = "" if np.isinf(low) and np.isinf(high) else f" from {low:g} to {high:g}"
        comma = "has a decimal comma, and " if DECIMAL_COMMA.fullmatch(str(found)) else ""
        raise place.error(f"row {row}, column {column!r}: {found!r} {comma}is not a finite number{limits}")
    return value


def first(bad: pd.Series) -> Any:
    """Return the label of the first row that is bad."""
    return bad.index[int(bad.to_numpy().argmax())]


def refuse_gaps(frame: pd.DataFrame, columns: Sequence[str], place: Place) -> None:
    """Raise when one of these cells is empty."""
    for column in columns:
        if frame[column].isna().any():
            raise place.error(f"row {first(frame[column].isna())}, column {column!r} is empty")


def refuse_repeats(frame: pd.DataFrame, columns: Sequence[str], place: Place) -> None:
    """Raise when a row repeats an earlier one in these columns."""
    repeated = frame.duplicated(list(columns))
    if repeated.any():
        row = first(repeated)
        found = ", ".join(f"{column} {frame.loc[row, column]}" for column in columns)
        remedy = "take the file as published, or delete one of the two"
        raise place.error(f"row {row} repeats an earlier row ({found})", remedy)


def refuse_cells(bad: np.ndarray, cells: pd.DataFrame, place: Place, rule: str) -> None:
    """Raise when a cell of a matrix of samples x genes is bad; names the first."""
    if bad.any():
        row, column = divmod(int(np.argmax(bad)), cells.shape[1])
        found = f"{cells.index.name} {cells.index[row]!r}, gene {cells.columns[column]!r}"
        raise place.error(f"{found} is {str(cells.iloc[row, column])[:100]!r}, and {rule}")
