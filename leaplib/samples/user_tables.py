"""A user's own tables, samples as rows: CSV, TSV or parquet, every flaw an InputError that names the place.

The first column holds the names of the samples; the header names genes (or perturbations).
"""

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError, first_line
from leaplib.cohorts.cohort import check_unique
from leaplib.sources.tabular import Place, check_file, read_text_table, refuse_gaps, refuse_repeats

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
SUFFIXES = (*SEPARATORS, ".parquet")
REMEDY = "give a CSV, TSV or parquet table with one row a sample"
MISSING = frozenset({"", "na", "nan", "n/a", "null", "none"})
ENTREZ = re.compile(r"\s*\(\d+\)$")
DATE = re.compile(r"\d{1,2}-(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec)(-\d+)?", re.IGNORECASE)


class UserPlace(Place):
    """Where a user's table lies."""

    def error(self, problem: str, remedy: str = REMEDY) -> InputError:
        """Return the error that names the file, the problem and the remedy."""
        return super().error(problem, remedy)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table of numbers, samples x columns; empty cells and NA are NaN.

    Parameters
    ----------
    path : str or Path
        `.csv` (commas), `.tsv` or `.txt` (tabs), or `.parquet`. In text the first column names the samples, and its
        header may be absent, as R writes it. In parquet the index does, or the first column if it holds text.

    Returns
    -------
    DataFrame of float64, samples x columns
        Names of samples and columns are text.

    Raises
    ------
    InputError
        When the file cannot be read as such a table: names the file, and row, column or sample.
    """
    place = UserPlace(Path(path), "")
    if place.path.suffix.lower() not in SUFFIXES:
        raise place.error(f"unknown kind of table {place.path.suffix!r}", f"use one of {', '.join(SUFFIXES)}")
    frame = _read_parquet(place) if place.path.suffix.lower() == ".parquet" else _read_text(place)
    if not frame.size:
        raise place.error("holds no values", "give one row a sample and one column a gene or perturbation")
    for axis, what in ((frame.index, "sample"), (frame.columns, "column")):
        check_unique(axis, what, str(place.path))
        if "" in axis:
            raise place.error(f"a {what} has no name", "name it or delete it")
    infinite = np.argwhere(np.isinf(frame.to_numpy()))
    if len(infinite):
        row, column = infinite[0]
        raise place.error(f"sample {frame.index[row]!r}, column {frame.columns[column]!r}: infinite value",
                          "mend it or leave the cell empty")  # fmt: skip
    return frame


def _read_parquet(place: Place) -> pd.DataFrame:
    """Return a parquet table as numbers by sample."""
    try:
        frame = pd.read_parquet(place.path)
    except (OSError, ValueError) as error:
        raise place.error(f"no readable parquet file ({first_line(error)})", "save the table again") from error
    if isinstance(frame.index, pd.RangeIndex) and frame.shape[1] and not _is_number(frame.iloc[:, 0]):
        frame = frame.set_index(frame.columns[0])
    for column in frame.columns:
        if not _is_number(frame[column]):
            raise place.error(f"column {column!r} holds no numbers", "give numbers, one column a gene or perturbation")
    values = frame.to_numpy(dtype=np.float64, na_value=np.nan)
    return pd.DataFrame(values, index=_names(frame.index), columns=_names(frame.columns))


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _names(index: Iterable[object]) -> pd.Index:
    return pd.Index([str(name).strip() for name in index])


def _read_text(place: Place) -> pd.DataFrame:
    """Return a text table as numbers by sample."""
    if b"\0" in check_file(place):
        raise place.error("a binary file, not a text table", "save it as CSV or TSV in UTF-8")
    separator = SEPARATORS[place.path.suffix.lower()]
    try:
        with open(place.path, encoding="utf-8-sig", newline="") as handle:
            rows = ((number, row) for number, row in enumerate(csv.reader(handle, delimiter=separator), 1) if row)
            return _frame(rows, separator, place)
    except UnicodeDecodeError as error:
        raise place.error("not in UTF-8", "save it as CSV or TSV in UTF-8") from error
    except csv.Error as error:
        raise place.error(f"not a table ({error})", "save it as CSV or TSV in UTF-8") from error


def _frame(rows: Iterator[tuple[int, list[str]]], separator: str, place: Place) -> pd.DataFrame:
    """Build the table from numbered rows of text, the header first."""
    _, header = next(rows)
    names: list[str] = []
    values: list[np.ndarray] = []
    for number, row in rows:
        if not values and len(row) == len(header) + 1:  # as R writes tables: no name over the samples' column
            header = ["", *header]
        if len(header) < 2 or len(row) != len(header):
            kind = "tabs" if separator == "\t" else "commas"
            raise place.error(f"row {number} has {len(row)} fields, the header {len(header)}",
                              f"separate fields by {kind}, use decimal points; is the file whole?")  # fmt: skip
        names.append(row[0].strip())
        values.append(_numbers(row[1:], header[1:], number, place))
    table = np.array(values) if values else np.empty((0, max(len(header) - 1, 0)))
    return pd.DataFrame(table, index=names, columns=_names(header[1:]))


def _numbers(cells: list[str], header: list[str], number: int, place: Place) -> np.ndarray:
    """Return the cells of a row as numbers."""
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:  # the slow way: with gaps, or to name the culprit
        return np.array([_number(cell, name, number, place) for cell, name in zip(cells, header, strict=True)])


def _number(cell: str, column: str, number: int, place: Place) -> float:
    try:
        return np.nan if cell.strip().lower() in MISSING else float(cell)
    except ValueError:
        raise place.error(f"row {number}, column {column!r}: {cell!r} is not a number",
                          "give a number, or leave the cell empty") from None  # fmt: skip


def read_expression(path: str | Path) -> pd.DataFrame:
    """Read expression, samples x genes; `TP53 (7157)` becomes `TP53`.

    Raises
    ------
    InputError
        As `read_table`; when a gene's name is a date, which is what Excel makes of some symbols, stands twice once
        Entrez numbers are cut off, or is an Ensembl number.
    """
    frame = read_table(path)
    frame.columns = frame.columns.str.replace(ENTREZ, "", regex=True)
    check_unique(frame.columns, "gene", str(path))
    dates = [gene for gene in frame.columns if DATE.fullmatch(gene)]
    if dates:
        raise InputError(f"{path}: gene {dates[0]!r} is a date ({len(dates)} such): Excel changed a symbol such as "
                         "SEPTIN1 or MARCHF1; take the genes' names from the table before Excel")  # fmt: skip
    ensembl = frame.columns.str.match(r"ENS[A-Z]*G\d{6,}")
    if ensembl.mean() > 0.5:
        raise InputError(f"{path}: genes are Ensembl numbers such as {frame.columns[ensembl][0]!r}: use gene symbols")
    return frame


def read_response(path: str | Path) -> pd.DataFrame:
    """Read responses, samples x perturbations, empty where not measured; as `read_table`."""
    return read_table(path)


def read_groups(path: str | Path) -> pd.Series:
    """Read the group (tissue) of each sample from a text table with the columns sample and group.

    Raises
    ------
    InputError
        When the file is no such table, a cell is empty, or a sample stands twice.
    """
    place = UserPlace(Path(path), "")
    if place.path.suffix.lower() not in SEPARATORS:
        raise place.error(f"unknown kind of table {place.path.suffix!r}", f"use one of {', '.join(SEPARATORS)}")
    frame = read_text_table(place, ("sample", "group"), SEPARATORS[place.path.suffix.lower()])
    refuse_gaps(frame, ("sample", "group"), place)
    refuse_repeats(frame, ("sample",), place)
    return frame.set_index("sample")["group"]
