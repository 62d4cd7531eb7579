"""A user's own tables, samples as rows: CSV, TSV or parquet, and the units of expression.

The first column holds the names of the samples; the header names genes (or perturbations). Every flaw is an
InputError that names the place.
"""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from leaplib.base.errors import InputError, first_line
from leaplib.base.store import atomic_path
from leaplib.cohorts.cohort import check_unique
from leaplib.sources.tabular import Place, check_file, read_text_table, refuse_gaps, refuse_repeats

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
SUFFIXES = (*SEPARATORS, ".parquet")
MISSING = ("", "na", "nan", "n/a", "null", "none")
UNITS = {"counts": "counts", "tpm": "TPM", "log": "log2(TPM+1)", "z-score": "z-scores"}
LOG_LIMIT = 40.0  # log2 of more than a million million: no log scale reaches it


def place_of(path: str | Path, suffixes: Iterable[str] = SUFFIXES) -> Place:
    """Return where a table lies; a suffix that is none of a table is an InputError."""
    place = Place(Path(path), "", mend="give a CSV, TSV or parquet table with one row a sample")
    if place.path.suffix.lower() not in suffixes:
        raise place.error(f"unknown kind of table {place.path.suffix!r}", f"use one of {', '.join(suffixes)}")
    return place


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table of numbers, samples x columns; empty cells and NA are NaN, names are text.

    In text (`.csv` with commas, `.tsv` or `.txt` with tabs) the first column names the samples, and its header may
    be absent, as R writes it. In parquet the index does, or the first column if it holds text.
    """
    place = place_of(path)
    frame = _read_parquet(place) if place.path.suffix.lower() == ".parquet" else _read_text(place)
    if not frame.size:
        raise place.error("holds no values", "give one row a sample and one column a gene or perturbation")
    for axis, what in ((frame.index, "sample"), (frame.columns, "column")):
        check_unique(axis, what, str(path))
        if "" in axis:
            raise place.error(f"a {what} has no name", "name it or delete it")
    for row, column in np.argwhere(np.isinf(frame.to_numpy())):
        where = f"sample {frame.index[row]!r}, column {frame.columns[column]!r}"
        raise place.error(f"{where}: infinite value", "mend it or leave the cell empty")
    return frame


def _read_parquet(place: Place) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(place.path)
    except (OSError, ValueError) as error:
        raise place.error(f"no readable parquet file ({first_line(error)})", "save the table again") from error
    if isinstance(frame.index, pd.RangeIndex) and frame.shape[1] and not is_numeric_dtype(frame.iloc[:, 0]):
        frame = frame.set_index(frame.columns[0])
    for column in frame.select_dtypes(exclude="number"):
        raise place.error(f"column {column!r} holds no numbers", "give numbers, one column a gene or perturbation")
    values = frame.to_numpy(dtype=np.float64, na_value=np.nan)
    return pd.DataFrame(values, index=_names(frame.index), columns=_names(frame.columns))


def _names(index: Iterable[object]) -> pd.Index:
    return pd.Index([str(name).strip() for name in index])


def _read_text(place: Place) -> pd.DataFrame:
    check_file(place)
    header: list[str] = []
    names: list[str] = []
    values: list[np.ndarray] = []
    try:
        with open(place.path, encoding="utf-8-sig", newline="") as handle:
            rows = csv.reader(handle, delimiter=SEPARATORS[place.path.suffix.lower()])
            for number, row in enumerate(rows, 1):
                if row and not header:
                    header = row
                elif row:
                    if not names and len(row) == len(header) + 1:  # as R writes tables: no name over the samples
                        header = ["", *header]
                    names.append(row[0])
                    values.append(_numbers(row, header, number, place))
    except (UnicodeDecodeError, csv.Error) as error:
        problem = f"not in UTF-8, or no table ({first_line(error)})"
        raise place.error(problem, "save it as CSV or TSV in UTF-8") from error
    table = np.array(values) if values else np.empty((0, 0))
    return pd.DataFrame(table, index=_names(names), columns=_names(header[1:]) if values else None)


def _numbers(row: list[str], header: list[str], number: int, place: Place) -> np.ndarray:
    """Return the cells behind the sample's name as numbers."""
    if len(header) < 2 or len(row) != len(header):
        remedy = "separate fields as the suffix says (.csv by commas), use decimal points; is the file whole?"
        raise place.error(f"row {number} has {len(row)} fields, the header {len(header)}", remedy)
    try:
        return np.array(row[1:], dtype=np.float64)
    except ValueError:  # the slow way: with gaps, or to name the culprit
        cells = pd.Series(row[1:], header[1:]).str.strip()
        cells = cells.mask(cells.str.lower().isin(MISSING))
        values = pd.to_numeric(cells, errors="coerce")
        for column, cell in cells[values.isna() & cells.notna()].items():
            problem = f"row {number}, column {column!r}: {cell!r} is not a number"
            raise place.error(problem, "give a number, or leave the cell empty") from None
        return values.to_numpy(dtype=np.float64)


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
    refuse_repeats(frame, ("sample",), place)
    return frame.set_index("sample")["group"]


def detect_units(expression: pd.DataFrame, where: str) -> str:
    """Tell what a table of expression (samples x genes, NaN where missing) holds: a key of `UNITS`.

    Negative values with samples of mean about 0 and SD about 1 are z-scores; values of more than 40 are linear,
    counts where all are whole numbers and TPM otherwise; else they are log2(TPM+1). What fits none of them is an
    InputError that names the file, `where`.
    """
    values = expression.to_numpy()
    whole = bool((values == np.round(values))[~np.isnan(values)].all())
    if np.nanmin(values) < 0:
        mean, sd = np.nanmean(values, axis=1), np.nanstd(values, axis=1)
        if np.median(np.abs(mean)) < 0.5 and 0.5 < np.median(sd) < 2:
            return "z-score"
        raise InputError(
            f"{where}: negative values, and no z-scores of samples: give log2(TPM+1), or declare the units"
        )
    if np.nanmax(values) > LOG_LIMIT:
        return "counts" if whole else "tpm"
    if whole:
        raise InputError(f"{where}: small whole numbers may be counts or rounded logarithms: declare the units")
    return "log"


def refuse_samples(bad: pd.Series, where: str, problem: str) -> None:
    """Raise an InputError that names the first sample for which `bad` is true."""
    if bad.any():
        raise InputError(f"{where}: sample {bad.index[bad][0]!r} {problem}")


def as_log(expression: pd.DataFrame, units: str, where: str) -> tuple[pd.DataFrame, str, str]:
    """Return expression as log2(TPM+1) (z-scores as they are), its units, and a sentence about them.

    Counts become log2(CPM+1), counts per million of the sample's total: without the lengths of the genes there are
    no TPM. `units` is a key of `UNITS`, or "auto" to detect them; `where` is the file to name in messages.
    """
    if units not in ("auto", *UNITS):
        raise InputError(f"units {units!r} are unknown: use one of auto, {', '.join(UNITS)}")
    refuse_samples(expression.isna().all(axis=1), where, "has no values: drop it")
    found = detect_units(expression, where) if units == "auto" else units
    how = "detected" if units == "auto" else "declared"
    note = f"{where}: {len(expression):,} samples x {expression.shape[1]:,} genes, {UNITS[found]} ({how})"
    if found != "z-score":
        problem = f"has negative values, which {UNITS[found]} never are: declare other units"
        refuse_samples((expression < 0).any(axis=1), where, problem)
    if found == "log":
        problem = f"has values above {LOG_LIMIT:g}, too much for a log scale: declare counts or tpm"
        refuse_samples((expression > LOG_LIMIT).any(axis=1), where, problem)
    if found == "counts":
        total = expression.sum(axis=1)
        refuse_samples(total <= 0, where, "has no counts: drop it")
        expression = expression.div(total, axis=0) * 1e6
    if found in ("counts", "tpm"):
        expression = pd.DataFrame(np.log2(expression + 1))
    return expression, found, note
