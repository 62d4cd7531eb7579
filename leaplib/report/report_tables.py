"""Tables as HTML pages show them: numbers a person reads, simulated data and verdicts marked."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from leaplib.base.errors import InputError, first_line
from leaplib.results.tables import mean_sd

MEASURED = re.compile(r"-?[\d,]*\.?\d+(e[-+]?\d+)?%?( \([\d.]+\))?")
MAX_ROWS = 2000  # of a table on a page; its CSV has them all
LONG = 40  # characters from which a text may break into lines
VERDICTS = {"holds": "good", "holds in direction": "fair", "does not hold": "bad", "not testable here": "open"}
METRICS = {"spearman": "Spearman", "pearson": "Pearson", "mse": "MSE"}
LEVELS = {"per_perturbation": "Per perturbation", "overall": "Over all pairs at once"}
LAST = ["n_splits", "data"]  # stand behind the scores
SPREAD = ["metric", "mean", "sd", "published_mean", "published_sd"]


class Cell(NamedTuple):
    """A cell's text, and the class that styles it ("": none)."""

    text: str
    style: str


class HtmlTable(NamedTuple):
    """A table on a page: title ("": none), headings, rows, and how many rows there are in all."""

    title: str
    headings: list[Cell]
    rows: list[tuple[Cell, ...]]
    n_rows: int


def read_csv(path: Path) -> pd.DataFrame:
    """Read a figure's or a table's CSV; "NA" is a text, an empty field is missing.

    Raises
    ------
    InputError
        When the file is no CSV.
    """
    try:
        return pd.read_csv(path, keep_default_na=False, na_values=[""], low_memory=False)
    except (OSError, ValueError) as error:
        mend = "delete it and run its notebook again"
        raise InputError(f"{path}: no readable table ({first_line(error)}): {mend}") from error


def data_of(frame: pd.DataFrame) -> str:
    """Return "simulated", "partly simulated", or "" where the column `data` does not say so."""
    if "data" not in frame:
        return ""
    values = set(frame["data"].dropna().astype(str))
    if not values & {"simulated", "mixed"}:
        return ""
    return "partly simulated" if values & {"real", "mixed"} else "simulated"


def html_table(frame: pd.DataFrame, title: str = "", max_rows: int = MAX_ROWS) -> HtmlTable:
    """Return a frame's columns (its index is left out) as cells of a page."""
    shown = frame.head(max_rows)
    columns = [_column(shown.iloc[:, number]) for number in range(shown.shape[1])]
    headings = [Cell(str(name).replace("_", " "), "number" if cells and cells[0].style == "number" else "")
                for name, cells in zip(frame.columns, columns, strict=True)]  # fmt: skip
    return HtmlTable(title, headings, list(zip(*columns, strict=True)), len(frame))


def _column(column: pd.Series) -> list[Cell]:
    """Return the cells of one column."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        integral = bool((column.dropna() % 1 == 0).all())
        return [Cell(_number(value, integral), "number") for value in column]
    return [_text(str(column.name), "" if pd.isna(value) else str(value)) for value in column]


def _number(value: float, integral: bool) -> str:
    """Return a number with four significant digits, or in full where it counts something."""
    if pd.isna(value):
        return ""
    return f"{value:,.0f}" if integral or 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def _text(column: str, text: str) -> Cell:
    """Return a text's cell: a verdict in its colour, simulated data marked, a measured value as a number."""
    if column == "verdict":
        return Cell(text, f"verdict {VERDICTS[text]}" if text in VERDICTS else "")
    if column == "data":
        return Cell(text, "simulated" if text in ("simulated", "mixed") else "")
    if MEASURED.fullmatch(text):
        return Cell(text, "number")
    return Cell(text, "long" if len(text) > LONG else "")


def readable(frame: pd.DataFrame) -> list[HtmlTable]:
    """Return a tidy table of scores as people read it, a table a level: metrics side by side, "mean (SD)".

    Parameters
    ----------
    frame : DataFrame
        Columns metric, mean, sd, perhaps level, published_mean and published_sd, and others that say what a row
        is about (task, model, drug, ...).

    Returns
    -------
    list of HtmlTable
        Empty for a table of another kind.
    """
    keys = [str(column) for column in frame if column not in (*SPREAD, "level")]
    if not {"metric", "mean", "sd"} <= set(frame) or not keys:
        return []
    levels = frame["level"].astype(str) if "level" in frame else pd.Series("", frame.index, dtype=object)
    if frame[[*keys, "metric"]].assign(level=levels).duplicated().any():
        return []
    order = sorted(levels.unique(), key=lambda level: [*LEVELS, level].index(level))
    return [html_table(_side_by_side(frame[levels == level], keys), LEVELS.get(level, level)) for level in order]


def _side_by_side(part: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return one row for each combination of `keys`, with a column a metric and the paper's value beside it."""
    rows = part[list(keys)].drop_duplicates()
    for metric in [name for name in METRICS if name in set(part["metric"])]:
        found = part[part["metric"] == metric]
        values = {METRICS[metric]: _mean_sd(found, "")}
        published = _mean_sd(found, "published_") if "published_mean" in found else []
        if "data" in found:  # there is nothing to compare simulated data with
            published = [text if data == "real" else "" for text, data in zip(published, found["data"], strict=False)]
        if any(published):
            values[f"{METRICS[metric]} in the paper"] = published
        rows = rows.merge(found[list(keys)].assign(**values), how="left", on=list(keys))
    last = [column for column in LAST if column in rows]
    return rows[[*rows.columns.difference(last, sort=False), *last]]


def _mean_sd(rows: pd.DataFrame, prefix: str) -> list[str]:
    sd = rows[f"{prefix}sd"] if f"{prefix}sd" in rows else [None] * len(rows)
    return [mean_sd(mean, spread) for mean, spread in zip(rows[f"{prefix}mean"], sd, strict=True)]
