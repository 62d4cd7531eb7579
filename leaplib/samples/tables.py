"""A user's own tables: which column names the samples, which are genes or perturbations, what is no such table.

What is understood, and what is said of all else, stands in `rules.toml`. Every flaw is an InputError that names the
file; what was found or left out is told in `attrs["notes"]` of a table.
"""

import csv
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from leaplib.base.errors import InputError, first_line
from leaplib.base.store import atomic_path
from leaplib.cohorts.cohort import check_unique
from leaplib.sources.depmap import DEFAULT_ENTRY
from leaplib.sources.tabular import Place, check_file, read_text_table, refuse_gaps, refuse_repeats

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
SUFFIXES = (*SEPARATORS, ".parquet")
OTHER_SIGNS = {";": "semicolons", "\t": "tabs", ",": "commas"}
RULES = tomllib.loads(Path(__file__).with_name("rules.toml").read_text(encoding="utf-8"))
PATTERNS = {kind: re.compile("|".join(forms), re.IGNORECASE) for kind, forms in RULES["patterns"].items()}
Row = tuple[int, list[str]]  # its number in the file, and its cells


def fits(kind: str, text: str) -> bool:
    """Tell whether a header or a cell is of a kind: a key of `[patterns]`."""
    return PATTERNS[kind].fullmatch(text) is not None


def refusal(kind: str, where: object, **found: object) -> InputError:
    """Return the error of a kind (a key of `[refusals]`) about a file."""
    return InputError(f"{where}: {RULES['refusals'][kind].format(**found)}")


def told(kind: str, n: int, where: object = "", **found: object) -> list[str]:
    """Return what is said of n things (a key of `[notes]`), nothing where there are none."""
    _, warning, text = RULES["notes"][kind].format(n=n, **found).rpartition("warning: ")
    return [f"{warning}{where}{': ' if where else ''}{text}"] if n else []


def shown(names: Sequence[str] | pd.Index, n: int = 3) -> str:
    """Return the first names of several."""
    return ", ".join([*names[:n], *["..."] * (len(names) > n)])


def place_of(path: str | Path, suffixes: Iterable[str] = SUFFIXES) -> Place:
    """Return where a table lies; a suffix that is none of a table is an InputError."""
    place = Place(Path(path), "", mend="give a CSV, TSV or parquet table with one row a sample")
    if place.path.suffix.lower() not in suffixes:
        raise refusal("suffix", place, suffix=place.path.suffix, known=", ".join(suffixes))
    return place


def refuse_overwriting(out: str | Path, *inputs: str | Path | None) -> None:
    """Refuse an output that is an input, or a folder that holds one, however the paths are written."""
    for path in [Path(each) for each in inputs if each is not None]:
        whole = path.absolute(), path.resolve()
        if Path(out).resolve() in {place for each in whole for place in (each, *each.parents)}:
            raise refusal("overwritten", out, path=path)


# What a column is


class Cells(NamedTuple):
    """What a file holds, before it is known which column names the samples."""

    header: list[str]
    texts: dict[int, list[str]]  # of the first column, of ids and of columns that hold text, by position
    numbers: np.ndarray  # rows x columns, NaN where missing or text

    def is_name(self, at: int) -> bool:
        """Tell whether a column of text could name samples: each cell differs, and not all are numbers."""
        cells = self.texts[at]
        return all(cells) and len(set(cells)) == len(cells) and not all(fits("number", cell) for cell in cells)

    def is_id(self, at: int) -> bool:
        """Tell whether a column holds ids: by its header or, near the front, by its whole numbers."""
        if fits("id", self.header[at]) or not 0 < at < 4:
            return fits("id", self.header[at])
        column, others = self.numbers[:, at], self.numbers[:, 4:50]
        whole = bool((np.isfinite(column) & (column >= 1000)).all()) and not (column % 1).any()
        return whole and len(np.unique(column)) == len(column) and bool((others % 1 > 0).any())

    def is_blank(self, at: int) -> bool:
        """Tell whether a column has neither a name nor values."""
        return not self.header[at] and np.isnan(self.numbers[:, at]).all() and not any(self.texts.get(at, ""))


def names_of(cells: Cells, place: Place) -> int:
    """Return the position of the column that names the samples.

    DepMap's ModelID does; else the first column where it holds text, or the next text of which no cell repeats; else
    the first column, if it holds whole numbers which are no numbers of rows beside ids.
    """
    header, first = cells.header, cells.texts[0]
    if "ModelID" in header:
        return header.index("ModelID")
    numbers = sorted(float(cell) for cell in first if fits("number", cell))
    numeric, whole = len(numbers) == len(first), not any(number % 1 for number in numbers)
    counted = numeric and (_number_rows(numbers) or (whole and numbers[-1] < 1e5 and fits("unnamed", header[0])))
    texts = [at for at in sorted(cells.texts) if cells.is_name(at)]
    if texts and (counted or not numeric):
        return texts[0]
    ids = [name for at, name in enumerate(header) if counted and at and cells.is_id(at) and not fits("unnamed", name)]
    if ids:
        raise refusal("row_numbers", place, name=ids[0])
    named = cells.is_id(0) or fits("unnamed", header[0])  # a name that repeats is told as such
    if numeric and (not whole or (len(set(numbers)) < len(numbers) and not named)):
        raise refusal("no_index", place, name=header[0], value=first[0])
    return 0


def _number_rows(numbers: list[float]) -> bool:
    """Tell whether sorted numbers are those of rows, from 0 or 1."""
    return numbers in ([*range(len(numbers))], [*range(1, len(numbers) + 1)])


def _refuse_others(cells: Cells, place: Place) -> None:
    """Refuse what is no table of samples, and columns of numbers with a cell that is none."""
    if not cells.numbers.size:
        raise refusal("empty", place)
    for at, column in cells.texts.items():
        if at and not fits("id", cells.header[at]) and any(fits("meant", cell) for cell in column):
            row = next((row for row, cell in enumerate(column) if cell and np.isnan(_number(cell))), 0)
            raise refusal("no_number", place, sample=cells.texts[0][row], column=cells.header[at], cell=column[row])
    several, first = len(cells.texts) > 1, cells.texts[0]
    if sum(fits("decimal", name) for name in cells.header) > len(cells.header) / 2:
        raise refusal("header", place)
    if several and len(cells.header) < 20 and len(set(first)) < len(first) and not any(map(cells.is_name, cells.texts)):
        raise refusal("long", place)
    if several and any(fits("gene", cells.header[at]) for at in cells.texts):
        raise refusal("genes_as_rows", place)


def _columns(cells: Cells, names: int, place: Place) -> tuple[list[int], list[str]]:
    """Return the positions of genes or perturbations, and what to tell of the other columns."""
    columns = [at for at in range(len(cells.header)) if at != names and not cells.is_blank(at)]
    kept = [at for at in columns if at not in cells.texts and not cells.is_id(at)]
    if not kept:
        raise refusal("no_numbers", place)
    notes = told("samples_by", names, place, name=cells.header[names])
    left = [cells.header[at] for at in sorted({*columns} - {*kept}) if at or not fits("unnamed", cells.header[0])]
    kind = "ids_left_out" if all(fits("id", name) for name in left) else "text_left_out"
    return kept, notes + told(kind, len(left), place, names=shown(left, 4))


# Reading


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table of numbers, samples x columns; empty cells and NA are NaN, names are text.

    In text (`.csv` with commas, `.tsv` or `.txt` with tabs) the name over the samples may be absent, as R writes it;
    titles and comments above the header, blank rows and columns and trailing commas are passed over. `names_of` finds
    the column of names, whose header is `attrs["names"]`; `attrs["notes"]` tells what was left out.
    """
    place = place_of(path)
    cells = (_read_parquet if place.path.suffix.lower() == ".parquet" else _read_text)(place)
    _refuse_others(cells, place)
    names = names_of(cells, place)
    kept, notes = _columns(cells, names, place)
    frame = pd.DataFrame(cells.numbers[:, kept], as_names(cells.texts[names]), [cells.header[at] for at in kept])
    if DEFAULT_ENTRY in cells.header and cells.header[names] == "ModelID":
        frame = frame[[fits("yes", cell) for cell in cells.texts[cells.header.index(DEFAULT_ENTRY)]]]
    for axis, what in ((frame.index, "sample"), (frame.columns, "column")):
        check_unique(axis, what, str(path))
        if "" in axis:
            raise refusal("no_name", place, what=what)
    _refuse_summaries(frame, place)
    for row, column in np.argwhere(np.isinf(frame.to_numpy())):
        raise refusal("infinite", place, sample=frame.index[row], column=frame.columns[column])
    if len(frame) > 1 and all(map(str.isdecimal, frame.index)) and _number_rows(sorted(map(float, frame.index))):
        notes += told("rows", len(frame), place)
    frame.attrs = {"names": cells.header[names], "notes": notes}
    return frame


def _refuse_summaries(frame: pd.DataFrame, place: Place) -> None:
    """Refuse a row that is named after a summary of the others and holds it, roughly: SDs and rounding differ."""
    names = {name: RULES["summaries"].get(name.casefold()) for name in frame.index}
    others = frame[[not what for what in names.values()]]
    for name, what in names.items():
        if what and len(others) > 1:
            alike = np.isclose(frame.loc[name], others.agg(what), rtol=0.05, atol=0.01, equal_nan=True)
            if alike.mean() > 0.95:
                raise refusal("summary", place, name=name, what=what)


def as_names(names: Iterable[object]) -> pd.Index:
    """Return names of samples as text, whole numbers in one way, however a program wrote them (905930.0, 1e+05)."""
    texts = [str(name).strip() for name in names]
    return pd.Index([str(int(float(text))) if fits("whole", text) and not float(text) % 1 else text for text in texts])


def refuse_turned(table: pd.DataFrame, rows: pd.Index, columns: pd.Index, where: str) -> None:
    """Refuse a table whose rows are what its columns should be, or the other way round."""
    own, wanted = [set(table.index), set(table.columns)], [set(rows), set(columns)]
    right = sum(len(names & of) for names, of in zip(own, wanted, strict=True))
    if sum(len(names & of) for names, of in zip(own, wanted[::-1], strict=True)) > right:
        raise refusal("turned", where)


def _read_parquet(place: Place) -> Cells:
    try:
        frame = pd.read_parquet(place.path)
    except (OSError, ValueError) as error:
        raise refusal("parquet", place, reason=first_line(error)) from error
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index(names=[name or "" for name in frame.index.names], allow_duplicates=True)
    header = [str(name).strip() for name in frame.columns]
    number = np.array([is_numeric_dtype(kind) and not is_bool_dtype(kind) for kind in frame.dtypes])
    texts = {}
    for at in (at for at, name in enumerate(header) if not at or not number[at] or fits("id", name)):
        texts[at] = ["" if pd.isna(cell) else str(cell).strip() for cell in frame.iloc[:, at]]
    values = np.full(frame.shape, np.nan)
    values[:, number] = frame.loc[:, number].to_numpy(dtype=np.float64, na_value=np.nan)
    return Cells(header, texts, values)


def _read_text(place: Place) -> Cells:
    check_file(place)
    values = list[np.ndarray]()
    try:
        with open(place.path, encoding="utf-8-sig", newline="") as handle:
            lines = csv.reader(handle, delimiter=SEPARATORS[place.path.suffix.lower()])
            numbered = ((number, row) for number, row in enumerate(lines, 1) if any(map(str.strip, row)))
            header, rows = _header(numbered, place)
            texts: dict[int, list[str]] = {at: [] for at, name in enumerate(header) if not at or fits("id", name)}
            for number, row in rows:
                if len(row) < len(header) or any(map(str.strip, row[len(header) :])):
                    raise refusal("fields", place, row=number, found=len(row), header=len(header))
                values.append(_numbers(row[: len(header)], texts, values))
    except (UnicodeDecodeError, csv.Error) as error:
        raise refusal("text", place, reason=first_line(error)) from error
    return Cells(header, texts, np.array(values) if values else np.empty((0, 0)))


def _header(rows: Iterator[Row], place: Place) -> tuple[list[str], Iterator[Row]]:
    """Find the header among the first rows that are not blank; return it and the rows below it."""
    head = list(islice(rows, 20))
    widths = [max(at for at, cell in enumerate(row, 1) if cell.strip()) for _, row in head]
    most, start, alone = max(widths), 0, head[0][1][0] if widths[0] == 1 else ""
    for sign, other in OTHER_SIGNS.items():
        if alone.count(sign) > (most > 1):
            raise refusal("separator", place, other=other)
    if most < 2:
        raise refusal("one_column", place)
    while 2 * widths[start] < most or (head[start][1][0].startswith("#") and widths[start] < most - 1):
        start += 1
    row, body = head[start][1], head[start + 1 :]
    header = [cell.strip() for cell in row[: widths[start]]]
    if body and len(body[0][1]) == len(row) + 1:  # as R writes tables, no name over the samples; or a trailing comma
        if max(widths[start + 1 :]) > widths[start]:
            header.insert(0, "")
        elif not (fits("unnamed", header[0]) or fits("id", header[0])):
            raise refusal("trailing", place)
    return header, chain(body, rows)


def _numbers(row: list[str], texts: dict[int, list[str]], above: list[np.ndarray]) -> np.ndarray:
    """Return a row's cells as numbers, NaN where text: that goes to `texts`, where it may start a column of text."""
    for at, cells in texts.items():
        cells.append(row[at].strip())
        row[at] = "nan"
    with suppress(ValueError):  # a cell is no number: which one is told below
        if "_" not in "".join(row):  # numpy takes 5_822 for a number
            return np.array(row, dtype=np.float64)
    numbers = np.array([_number(cell) for cell in row])
    for at in map(int, np.flatnonzero(np.isnan(numbers))):
        if not fits("missing", row[at].strip()):
            texts[at] = [*("" if np.isnan(values[at]) else str(values[at]) for values in above), row[at].strip()]
    return numbers


def _number(cell: str) -> float:
    """Return the number in a cell, written as programs write them; NaN where there is none."""
    with suppress(ValueError):
        return float("nan" if "_" in cell else cell)
    return np.nan


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as the suffix says: CSV, TSV or parquet."""
    with atomic_path(path) as temporary:
        if path.suffix.lower() == ".parquet":
            frame.to_parquet(temporary, index=False)
        else:
            sep = SEPARATORS[path.suffix.lower()]
            frame.to_csv(temporary, sep=sep, index=False, float_format="%.6g", lineterminator="\n")


def read_groups(path: str | Path) -> pd.Series:
    """Read the group (tissue) of each sample from a text table with the columns sample and group."""
    place = place_of(path, SEPARATORS)
    frame = read_text_table(place, ("sample", "group"), SEPARATORS[place.path.suffix.lower()])
    refuse_gaps(frame, ("sample", "group"), place)
    frame["sample"] = as_names(frame["sample"])
    refuse_repeats(frame, ("sample",), place)
    return frame.set_index("sample")["group"]
