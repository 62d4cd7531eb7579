"""A user's own tables: what is no table of samples, which column names the samples, which unit each sample is in.

What is understood stands in tables of rules: `ID`, `names_of` and `ADVICE` (which columns are what), `UNITS` and
`HINTS` (units, told sample by sample). Every flaw is an InputError that names the place; what was left out or
found is told in `attrs["notes"]` of a table.
"""

import csv
import re
from collections.abc import Callable, Iterable
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
OTHER_SIGNS = {";": "semicolons", "\t": "tabs", ",": "commas"}
SUFFIXES = (*SEPARATORS, ".parquet")
MISSING = ("", "na", "nan", "n/a", "#n/a", "<na>", "null", "none")


def place_of(path: str | Path, suffixes: Iterable[str] = SUFFIXES) -> Place:
    """Return where a table lies; a suffix that is none of a table is an InputError."""
    place = Place(Path(path), "", mend="give a CSV, TSV or parquet table with one row a sample")
    if place.path.suffix.lower() not in suffixes:
        raise place.error(f"unknown kind of table {place.path.suffix!r}", f"use one of {', '.join(suffixes)}")
    return place


def refuse_overwriting(out: str | Path, *inputs: str | Path | None) -> None:
    """Refuse an output that is an input, or a folder that holds one, however the paths are written."""
    for path in [each for each in inputs if each is not None]:
        whole = [Path(path).absolute(), Path(path).resolve()]
        if Path(out).resolve() in {place for each in whole for place in (each, *each.parents)}:
            raise InputError(f"{out}: is the input {path}, or holds it, which would be lost: choose another --out")


# What a column is

NUMBER = re.compile(r"\d+(\.\d*)?(e\+?\d+)?", re.IGNORECASE)
NEARLY = re.compile(r"[-+<>~]?\s*\d[\d.,_'\s]*(e[-+]?\d+)?\s*%?", re.IGNORECASE)  # 5_822, 1,5, 12%: meant as numbers
UNNAMED = re.compile(r"|index|row(_?(names?|numbers?))?|x1?|unnamed:.*|\.\.\.1", re.IGNORECASE)
ID = re.compile(  # headers of what names or describes samples, never a gene or a perturbation
    r"(.*[\s_.-])?(ids?|identifier|barcode|accession|names?)|(?-i:.*[a-z](ID|Id|Name))|unnamed:.*|isdefault.*"
    r"|((cosmic|depmap|ccle|sanger|cell|tumou?r)[\s_.-]?)*(cosmic|depmap|cell|line|sample|model|patient|donor)s?(id|name)?",
    re.IGNORECASE,
)
GENES = re.compile(r"(hugo[\s_.-]?)?(gene|symbol|ensembl|ensg|entrez|probe|hgnc|description).*", re.IGNORECASE)


class Cells(NamedTuple):
    """What a file holds, before it is known which column names the samples."""

    header: list[str]
    rows: list[int]  # their numbers in the file
    texts: dict[int, list[str]]  # of the first column, of ids and of columns that hold text, by position
    numbers: np.ndarray  # rows x columns, NaN where missing or text

    def is_name(self, at: int) -> bool:
        """Tell whether a column of text could name samples: each cell differs, and not all are numbers."""
        cells = self.texts[at]
        return all(cells) and len(set(cells)) == len(cells) and not all(map(NUMBER.fullmatch, cells))

    def is_id(self, at: int) -> bool:
        """Tell whether a column holds ids: by its header or, near the front, by its whole numbers."""
        if ID.fullmatch(self.header[at]):
            return True
        column, others = self.numbers[:, at], self.numbers[:, 4:50]
        distinct = len(np.unique(column)) == len(column) and bool((column >= 1000).all() and (column % 1 == 0).all())
        return 0 < at < 4 and distinct and bool((others % 1 > 0).any())

    def has_row_numbers(self) -> bool:
        """Tell whether the first column counts rows: from 0 or 1 on, or unnamed and small (of a larger table)."""
        if not all(map(NUMBER.fullmatch, self.texts[0])):
            return False
        numbers = sorted(map(float, self.texts[0]))
        counted = numbers in ([float(i + k) for i in range(len(numbers))] for k in (0, 1))
        small = numbers[-1] < 1e5 and not any(number % 1 for number in numbers)
        return counted or (small and bool(UNNAMED.fullmatch(self.header[0])))


def names_of(cells: Cells, place: Place) -> int:
    """Return the position of the column that names the samples.

    DepMap's ModelID does; else the first column where it holds text, or the next text of which no cell repeats; else
    the first column, if it holds whole numbers which are no numbers of rows beside ids.
    """
    header, first = cells.header, cells.texts[0]
    if "ModelID" in header:
        return header.index("ModelID")
    numeric, counted = all(map(NUMBER.fullmatch, first)), cells.has_row_numbers()
    texts = [at for at in sorted(cells.texts) if cells.is_name(at)]
    if texts and (counted or not numeric):
        return texts[0]
    ids = [header[at] for at in range(1, len(header)) if cells.is_id(at)]
    if counted and ids:
        raise place.error(
            f"the first column numbers the rows, and {ids[0]!r} may name the samples",
            f"delete the first column or make {ids[0]!r} the first",
        )
    if numeric and (any(float(cell) % 1 for cell in first) or (len(set(first)) < len(first) and not cells.is_id(0))):
        raise place.error(
            f"the first column, {header[0]!r}, holds values such as {first[0]!r}, no names",
            "was it saved without its index? Give the samples' names in the first column",
        )
    return 0


ADVICE: list[tuple[str, Callable[[Cells], bool], str]] = [
    (
        "the first row holds numbers, no names of columns",
        lambda cells: sum(bool(re.fullmatch(r"-?\d*\.\d+", name)) for name in cells.header) > len(cells.header) / 2,
        "add a header of gene symbols or perturbations",
    ),
    (
        "a long table, one row a measurement",
        lambda cells: len(cells.texts) > 1 and len(cells.header) < 20 and not any(map(cells.is_name, cells.texts))
        and len(set(cells.texts[0])) < len(cells.rows),
        "make it wide, one row a sample and one column a perturbation (as pandas' pivot does)",
    ),
    (
        "genes are the rows",
        lambda cells: len(cells.texts) > 1 and any(GENES.fullmatch(cells.header[at]) for at in cells.texts),
        "transpose the table, one row a sample, and keep one column of names",
    ),
]  # fmt: skip
"""What is no table of samples: what it is instead, how that is known, what to do."""


# Reading


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table of numbers, samples x columns; empty cells and NA are NaN, names are text.

    In text (`.csv` with commas, `.tsv` or `.txt` with tabs) the name over the samples may be absent, as R writes it;
    titles and comments above the header, blank rows and columns and trailing commas are passed over. `names_of` finds
    the column of names, whose header is `attrs["names"]`; `attrs["notes"]` tells what was left out.
    """
    place = place_of(path)
    cells = (_read_parquet if place.path.suffix.lower() == ".parquet" else _read_text)(place)
    if not cells.numbers.size:
        raise place.error("holds no values", "give one row a sample and one column a gene or perturbation")
    for what, holds, remedy in ADVICE:
        if holds(cells):
            raise place.error(what, remedy)
    names = names_of(cells, place)
    kept, notes = _columns(cells, names, place)
    frame = pd.DataFrame(cells.numbers[:, kept], as_names(cells.texts[names]), [cells.header[at] for at in kept])
    if DEFAULT_ENTRY in cells.header and cells.header[names] == "ModelID":
        default = [cell.lower() in ("yes", "true", "1") for cell in cells.texts[cells.header.index(DEFAULT_ENTRY)]]
        frame = frame[default]
    for axis, what in ((frame.index, "sample"), (frame.columns, "column")):
        check_unique(axis, what, str(path))
        if "" in axis:
            raise place.error(f"a {what} has no name", "name it or delete it")
    for row, column in np.argwhere(np.isinf(frame.to_numpy())):
        where = f"sample {frame.index[row]!r}, column {frame.columns[column]!r}"
        raise place.error(f"{where}: infinite value", "mend it or leave the cell empty")
    frame.attrs = {"names": cells.header[names], "notes": notes}
    return frame


def as_names(names: Iterable[object]) -> pd.Index:
    """Return names of samples as text, whole numbers in one way, however a program wrote them (905930.0, 1e+05)."""
    texts = [str(name).strip() for name in names]
    whole = [bool(re.fullmatch(r"\d+\.0*|\d\.?\d*e\+\d+", text)) and not float(text) % 1 for text in texts]
    return pd.Index([str(int(float(text))) if is_whole else text for text, is_whole in zip(texts, whole, strict=True)])


def _columns(cells: Cells, names: int, place: Place) -> tuple[list[int], list[str]]:
    """Return the positions of genes or perturbations, and what to tell of the other columns."""
    for at, column in cells.texts.items():
        if at and not ID.fullmatch(cells.header[at]) and any(map(is_number, column)):
            row = next((row for row, cell in enumerate(column) if cell and not is_number(cell)), 0)
            _refuse_cell(column[row], cells.rows[row], cells.header[at], place)
    left, kept = list[int](), list[int]()
    for at, name in enumerate(cells.header):
        if at == names or (not name and np.isnan(cells.numbers[:, at]).all() and not any(cells.texts.get(at, ""))):
            continue  # the names, or a blank column
        (left if at in cells.texts or cells.is_id(at) else kept).append(at)
    if not kept:
        raise place.error("holds no numbers", "give one column a gene or perturbation")
    notes = [f"{place.path}: samples are named by the column {cells.header[names]!r}"] if names else []
    odd = [cells.header[at] for at in left if at or not UNNAMED.fullmatch(cells.header[0])]
    if odd:
        said = f"{len(odd)} columns of ids or text ({', '.join(odd[:4])}{', ...' * (len(odd) > 4)}) are left out"
        notes.append(f"{'' if all(map(ID.fullmatch, odd)) else 'warning: '}{place.path}: {said}")
    return kept, notes


def _read_parquet(place: Place) -> Cells:
    try:
        frame = pd.read_parquet(place.path)
    except (OSError, ValueError) as error:
        raise place.error(f"no readable parquet file ({first_line(error)})", "save the table again") from error
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index(names=[name or "" for name in frame.index.names], allow_duplicates=True)
    header = [str(name).strip() for name in frame.columns]
    number = [is_numeric_dtype(kind) and not is_bool_dtype(kind) for kind in frame.dtypes]
    texts = {at: ["" if pd.isna(cell) else str(cell).strip() for cell in frame.iloc[:, at]]
             for at, name in enumerate(header) if not at or not number[at] or ID.fullmatch(name)}  # fmt: skip
    values = np.full(frame.shape, np.nan)
    values[:, number] = frame.loc[:, number].to_numpy(dtype=np.float64, na_value=np.nan)
    return Cells(header, list(range(1, len(frame) + 1)), texts, values)


def _read_text(place: Place) -> Cells:
    check_file(place)
    rows, values = list[int](), list[np.ndarray]()
    try:
        with open(place.path, encoding="utf-8-sig", newline="") as handle:
            lines = csv.reader(handle, delimiter=SEPARATORS[place.path.suffix.lower()])
            numbered = ((number, row) for number, row in enumerate(lines, 1) if any(map(str.strip, row)))
            header, body = _header(list(islice(numbered, 20)), place)
            texts: dict[int, list[str]] = {at: [] for at, name in enumerate(header) if not at or ID.fullmatch(name)}
            for number, row in chain(body, numbered):
                rows.append(number)
                values.append(_numbers(row, number, header, texts, values, place))
    except (UnicodeDecodeError, csv.Error) as error:
        problem = f"not in UTF-8, or no table ({first_line(error)})"
        raise place.error(problem, "save it as CSV or TSV in UTF-8") from error
    return Cells(header, rows, texts, np.array(values) if values else np.empty((0, 0)))


def _header(head: list[tuple[int, list[str]]], place: Place) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Find the header among the first rows that are not blank; return it and the rows below it."""
    widths = [max(at for at, cell in enumerate(row, 1) if cell.strip()) for _, row in head]
    most, start = max(widths), 0
    alone = head[0][1][0] if widths[0] == 1 else ""
    other = next((name for sign, name in OTHER_SIGNS.items() if alone.count(sign) > (most > 1)), "")
    if most < 2 or other:
        found = f"has {other} between fields" if other else "has one column"
        remedy = "separate fields as the suffix says (.csv by commas, .tsv by tabs), with decimal points"
        raise place.error(found, remedy)
    while 2 * widths[start] < most or (head[start][1][0].startswith("#") and widths[start] < most - 1):
        start += 1
    row, body = head[start][1], head[start + 1 :]
    header = [cell.strip() for cell in row[: widths[start]]]
    if body and len(body[0][1]) == len(row) + 1:  # as R writes tables, no name over the samples; or a trailing comma
        if max(widths[start + 1 :]) > widths[start]:
            return ["", *header], body
        if not (UNNAMED.fullmatch(header[0]) or ID.fullmatch(header[0])):
            raise place.error(
                "rows end with a comma more than the header", "delete the comma, or name the first column"
            )
    return header, body


def _numbers(
    row: list[str], number: int, header: list[str], texts: dict[int, list[str]], above: list[np.ndarray], place: Place
) -> np.ndarray:
    """Return a row's cells as numbers, NaN where text: that goes to `texts`, where it may start a column of text."""
    if len(row) < len(header) or any(map(str.strip, row[len(header) :])):
        remedy = "separate fields as the suffix says (.csv by commas), use decimal points; is the file whole?"
        raise place.error(f"row {number} has {len(row)} fields, the header {len(header)}", remedy)
    for at, cells in texts.items():
        cells.append(row[at].strip())
        row[at] = "nan"
    row = row[: len(header)]
    with suppress(ValueError):  # a cell is no number: which one, and why, is told below
        if "_" not in "".join(row):  # numpy takes 5_822 for a number
            return np.array(row, dtype=np.float64)
    for at, cell in enumerate(map(str.strip, row)):
        if cell.lower() in MISSING:
            row[at] = "nan"
        elif not is_number(cell):
            if NEARLY.fullmatch(cell) or any(values[at] == values[at] for values in above):
                _refuse_cell(cell, number, header[at], place)
            texts[at], row[at] = [""] * len(above) + [cell], "nan"
    return np.array(row, dtype=np.float64)


def is_number(cell: str) -> bool:
    """Tell whether a cell holds a number, written as programs write them."""
    try:
        return "_" not in cell and not np.isnan(float(cell))
    except ValueError:
        return False


def _refuse_cell(cell: str, row: int, column: str, place: Place) -> None:
    remedy = "write it with a decimal point and no other commas" if "," in cell else "or leave the cell empty"
    raise place.error(f"row {row}, column {column!r}: {cell!r} is not a number", f"give a number, {remedy}")


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


# Units, told sample by sample

LINEAR = 40.0  # the largest value of a log scale: log2 of more than a million million
MILLION = 1.5e6  # TPM of a sample add up to a million at most
LOGGED = 5e6  # so do those behind log2(TPM+1), less exactly after a correction of batches
FEW = 500  # genes: of fewer, totals tell nothing
DEPTH = 3e8  # counts of a sample: no library is larger


class Unit(NamedTuple):
    """What values of a unit are called, what each sample's have, in words and by its numbers (see `measure`)."""

    name: str
    has: str
    fits: Callable[[pd.DataFrame], pd.Series]


UNITS = {
    "z-score": Unit(
        "z-scores",
        "mean 0 and SD 1 over the genes of a sample",
        lambda s: (s["mean"].abs() < 0.5) & s["sd"].between(0.5, 2) & (s["low"] < 0),
    ),
    "log": Unit(
        "log2(TPM+1)",
        "2^x - 1 that add up to about a million",
        lambda s: (s["high"] <= LINEAR) & s["behind"].between(s["least"], LOGGED),
    ),
    "tpm": Unit(
        "TPM",
        "totals of at most a million",
        lambda s: (s["low"] >= 0) & ((s["high"] > LINEAR) | s["few"]) & s["total"].between(s["least"], MILLION),
    ),
    "counts": Unit(
        "counts",
        "whole numbers, or totals of millions",
        lambda s: (s["low"] >= 0) & (s["whole"] | (s["high"] > LINEAR)) & (s["total"] <= DEPTH),
    ),
}
"""What a sample's values can be. A sample that fits several is unclear, but for the two scales without logarithm."""

HINTS: list[tuple[Callable[[pd.Series], bool], str]] = [
    (
        lambda s: s["whole"] and s["high"] <= LINEAR,
        "small whole numbers may be counts or rounded logarithms: declare the units",
    ),
    (lambda s: s["high"] > LINEAR, "mend or drop what is wrong, or give TPM"),
    (
        lambda s: s["low"] < 0 and abs(s["mean"]) < 1,
        "z-scores of genes over samples, or ratios: give the values before, or predict 10 samples or more with "
        "--units z-score --match domain",
    ),
    (lambda s: s["low"] < 0, "for log2(TPM+1) after a correction of batches declare --units log"),
    (
        lambda s: s["behind"] > LOGGED,
        "log2 of counts, VST or microarray: give TPM or counts, or predict with --match quantile",
    ),
    (lambda s: True, "ln, log10 or FPKM: give TPM or log2(TPM+1), or predict with --match quantile"),
]
"""What to do with a sample that fits no unit: the first that applies."""


def measure(values: pd.DataFrame) -> pd.DataFrame:
    """Return what tells the unit of each sample (NaN where missing): the columns that `UNITS` and `HINTS` use."""
    x = values.to_numpy()
    n, total = (~np.isnan(x)).sum(axis=1), np.nansum(x, axis=1)
    behind = np.nansum(np.exp2(np.minimum(x, 2 * LINEAR)) - 1, axis=1)
    low, high = np.nanmin(x, axis=1), np.nanmax(x, axis=1)
    whole = (np.isnan(x) | (x % 1 == 0)).all(axis=1)
    # TPM of a whole transcriptome add up to about a million, and genes have fifty on average.
    least = np.select([n >= 10_000, n >= FEW], [250_000.0, 3.0 * n], 0.0)
    parts = {"low": low, "high": high, "mean": total / n, "sd": np.nanstd(x, axis=1), "total": total, "behind": behind}
    return pd.DataFrame(parts | {"whole": whole, "few": n < FEW, "least": least}, values.index)


def detect_units(expression: pd.DataFrame, where: str, measured: pd.DataFrame) -> str:
    """Tell what a table of expression holds: a key of `UNITS`, the same for each sample.

    Samples of different units, and a sample that fits none, are an InputError that names file, `where`, and samples.
    """
    fits = {unit: rule.fits(measured) for unit, rule in UNITS.items()}
    whole, linear = measured["whole"], measured["high"] > LINEAR
    told = pd.Series("", measured.index)
    told[fits["counts"] & linear & (whole | (measured["total"] > MILLION))] = "counts"
    told[fits["tpm"] & ~whole] = "tpm"
    told[fits["log"] & ~whole & (measured["low"] >= 0)] = "log"
    told[fits["z-score"]] = "z-score"
    unclear = told == ""
    if unclear.any():
        sample = measured[unclear].iloc[0]
        hint = next(hint for applies, hint in HINTS if applies(sample))
        _refuse_units(expression, measured, unclear, where, "neither counts, TPM, log2(TPM+1) nor z-scores", hint)
    if told.nunique() > 1:
        parts = [f"{UNITS[str(unit)].name} ({len(of)}: {', '.join(of[:3])}{', ...' * (len(of) > 3)})"
                 for unit, of in sorted(told.groupby(told).groups.items(), key=lambda item: len(item[1]))]  # fmt: skip
        raise InputError(f"{where}: samples of different units, {' and '.join(parts)}: give all in one")
    return str(told.iloc[0])


def _refuse_units(
    expression: pd.DataFrame, measured: pd.DataFrame, bad: pd.Series, where: str, problem: str, remedy: str
) -> None:
    sample, of = measured.index[bad][0], measured[bad].iloc[0]
    more = f" and {bad.sum() - 1} more" if bad.sum() > 1 else ""
    extent = f"values from {of['low']:.4g} to {of['high']:.4g} ({expression.loc[sample].idxmax()!r})"
    sums = f"total {of['total']:.3g}" + f", 2^x - 1 add up to {of['behind']:.3g}" * bool(of["high"] <= LINEAR)
    raise InputError(f"{where}: sample {sample!r}{more}: {problem} ({extent}, {sums}): {remedy}")


def refuse_turned(table: pd.DataFrame, rows: pd.Index, columns: pd.Index, where: str) -> None:
    """Refuse a table whose rows are what its columns should be, or the other way round."""
    right = table.index.isin(rows).sum() + table.columns.isin(columns).sum()
    if table.index.isin(columns).sum() + table.columns.isin(rows).sum() > right:
        raise InputError(f"{where}: genes or perturbations are the rows: transpose the table, one row a sample")


def refuse_samples(bad: pd.Series, where: str, problem: str) -> None:
    """Raise an InputError that names the first sample for which `bad` is true."""
    if bad.any():
        more = f" (and {bad.sum() - 1} more)" if bad.sum() > 1 else ""
        raise InputError(f"{where}: sample {bad.index[bad][0]!r}{more} {problem}")


def _without_floor(expression: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return log2(TPM + 0.001), which its floor tells, as log2(TPM+1), and what was added."""
    floor = np.nanmin(expression.to_numpy())
    power = floor * np.log10(2)
    if not (
        -4.5 < power < -0.5 and abs(power - round(power)) < 1e-3 and (expression <= floor + 1e-3).mean(axis=None) > 1e-3
    ):
        return expression, ""
    return np.log2(np.maximum(np.exp2(expression) - 10.0 ** round(power), 0) + 1), f"{10.0 ** round(power):g}"


def as_log(
    expression: pd.DataFrame, units: str, where: str, tpm: bool = True, matched: bool = False
) -> tuple[pd.DataFrame, str, str]:
    """Return expression as log2(TPM+1) (z-scores as they are), its units, and a sentence about them.

    Counts become log2(CPM+1), counts per million of the sample's total: without the lengths of the genes there are
    no TPM.

    Parameters
    ----------
    expression : DataFrame, samples x genes
        NaN where missing.
    units : str
        A key of `UNITS`, which every sample then has to fit, or "auto" to detect them.
    where : str
        File to name in messages.
    tpm : bool
        Whether logarithms have to be those of TPM; for a model of z-scores any logarithm serves.
    matched : bool
        Whether the table will be matched to another platform: what is declared is then not questioned.
    """
    if units not in ("auto", *UNITS):
        raise InputError(f"units {units!r} are unknown: use one of auto, {', '.join(UNITS)}")
    refuse_samples(expression.isna().all(axis=1), where, "has no values: drop it")
    added = ""
    if units in ("auto", "log"):
        expression, added = _without_floor(expression)
    measured = measure(expression)
    if not tpm or matched:
        measured["behind"], measured["least"] = 1.0, 0.0
    found = detect_units(expression, where, measured) if units == "auto" else units
    unit = UNITS[found]
    odd = ~unit.fits(measured) & (not matched or found in ("counts", "tpm"))
    if odd.any():
        like = [other for other, rule in UNITS.items() if rule.fits(measured[odd]).iloc[0]]
        remedy = f"declare {' or '.join(sorted(like))}" if like else "give TPM or counts"
        _refuse_units(expression, measured, odd, where, f"no {unit.name}, which have {unit.has}", remedy)
    if found == "z-score" and not matched and _is_by_gene(expression, measured):
        raise InputError(f"{where}: z-scores of genes over samples: give the values before, or match by --match domain")
    how = "detected" if units == "auto" else "declared"
    note = f"{where}: {len(expression):,} samples x {expression.shape[1]:,} genes, {unit.name} ({how})"
    note += f", from log2(TPM + {added})" if added else ""
    if found == "counts":
        refuse_samples(measured["total"] <= 0, where, "has no counts: drop it")
        expression = expression.div(expression.sum(axis=1), axis=0) * 1e6
    if found in ("counts", "tpm"):
        expression = pd.DataFrame(np.log2(expression + 1))
    return expression, found, note


def _is_by_gene(z: pd.DataFrame, measured: pd.DataFrame) -> bool:
    """Tell z-scores of each gene over the samples from those of each sample: the means of genes are alike."""
    exact = (measured["mean"].abs() < 0.02) & ((measured["sd"] - 1).abs() < 0.02)
    return len(z) >= 10 and not exact.all() and z.mean(axis=0).std() < min(0.4, 2 / np.sqrt(len(z)))
