"""Tidy tables as people read them: what the workbook and LaTeX hold, and what notebooks show."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from leaplib.models.table import names
from leaplib.results.tables import COUNTS, ORDER, mean_sd

LEVELS = {"per_perturbation": "", "overall": "overall "}
METRICS = {"spearman": "Spearman", "pearson": "Pearson", "mse": "MSE"}
PAPER = ", paper"
SIMULATED = "#FBE9D9"
"""Background of rows on simulated data."""
DIGITS = 4
TITLES = {
    "table_1": "Tasks, with the counts of this run beside the paper's",
    "supplementary_table_1": "Studies, each after its own selection rules, beside the paper's counts",
    "supplementary_table_2": "Gene dependency in unseen cell lines, release 22Q4 (task 1b)",
    "supplementary_table_3": "Models compared on all tasks",
    "supplementary_table_4": "Ablation: nine steps from PP-LGBM to LEAP",
    "supplementary_table_5": "Regressors on one representation against LEAP",
    "supplementary_table_6": "LEAP tuned by plain, tissue-grouped and leave-one-tissue-out cross-validation",
    "supplementary_table_7": "Drug response of xenografts, drug by drug",
    "comparisons": "LEAP against each other model: difference of Spearman's correlation per perturbation",
    "claims": "The paper's claims against this run",
}
KEYS = {
    "supplementary_table_4": ("task", "step", "name"),
    "supplementary_table_5": ("task", "strategy"),
    "supplementary_table_6": ("task", "strategy"),
    "supplementary_table_7": ("task", "drug", "model"),
}
NUMBER = re.compile(r"([<+-]? ?\d[\d.,]*( \([\d.]+\)| of \d+| to -?[\d.]+)?)?")
VALUES = ["mean", "sd", "published_mean", "published_sd"]
RESPONSES = "AAC, AUC: area above, and under, the dose-response curve"
SCORES = "mean (SD) over splits (on xenografts, over subsets), best model of each task and metric in bold"


@dataclass(frozen=True)
class PrintTable:
    """A table ready for print.

    Parameters
    ----------
    name : str
        Of its file.
    title : str
        What it shows, and on which data.
    cells : DataFrame
        Text, or whole numbers (counts).
    bold : DataFrame of bool
        Of the same shape.
    data : Series of str
        real, simulated, mixed or none, by row.
    colours : Series of str
        Background of each row's last cell; empty for none.
    """

    name: str
    title: str
    cells: pd.DataFrame
    bold: pd.DataFrame
    data: pd.Series
    colours: pd.Series = field(default_factory=lambda: pd.Series(dtype=str))


def print_table(name: str, table: pd.DataFrame, digits: int = DIGITS) -> PrintTable:
    """Lay out one of the paper's tables, or the comparisons.

    Parameters
    ----------
    name : str
        As in `TITLES`.
    table : DataFrame
        The tidy table of that name.
    digits : int
        Decimals of scores.
    """
    if name in ("table_1", "supplementary_table_1"):
        return _counts(name, table)
    if name == "comparisons":
        return _comparisons(table, digits)
    return _scores(name, table, digits)


def print_tables(tables: Mapping[str, pd.DataFrame], digits: int = DIGITS) -> dict[str, PrintTable]:
    """Lay out all tables, by name."""
    return {name: print_table(name, table, digits) for name, table in tables.items()}


def styled(table: PrintTable) -> Styler:
    """Return a table as notebooks show it: the best in bold, simulated rows shaded, verdicts in their colour."""
    cells = table.cells.reset_index(drop=True)
    marked = table.data.isin(["simulated", "mixed"]).to_numpy()[:, None]
    css = np.where(table.bold, "font-weight: bold;", "").astype(object)
    css += np.where([is_text(cells[column]) for column in cells], "text-align: left;", "").astype(object)
    css += np.where(marked, f"background-color: {SIMULATED}; color: black;", "").astype(object)
    for row, colour in enumerate(table.colours):
        css[row, -1] += f"background-color: {colour}; color: black;"
    styles = pd.DataFrame(css, cells.index, cells.columns)
    return (
        cells.style.hide()
        .apply(lambda _: styles, axis=None)
        .format(thousands=",", escape="html")
        .set_caption(escape(table.title))
    )


def is_text(values: pd.Series) -> bool:
    """Tell whether a column holds words, set to the left, rather than numbers, set to the right."""
    return any(isinstance(value, str) and not NUMBER.fullmatch(value) for value in values)


def titled(name: str, data: pd.Series, about: str = "") -> str:
    """Return a table's title: its number, what it shows, on which data."""
    number = "" if name in ("comparisons", "claims") else f"{name.replace('_', ' ').capitalize()}. "
    kinds = [kind for kind in ("real", "simulated", "mixed") if (data == kind).any()]
    mark = " (simulated rows are marked)" if kinds == ["real", "simulated"] else ""
    listed = " and ".join(filter(None, [", ".join(kinds[:-1]), *kinds[-1:]])) or "none"
    return f"{number}{TITLES[name]}{f'; {about}' if about else ''}. Data: {listed}{mark}."


def plain(name: str, cells: pd.DataFrame, data: pd.Series, about: str = "") -> PrintTable:
    """Return a table without bold cells."""
    bold = pd.DataFrame(False, index=cells.index, columns=cells.columns)
    return PrintTable(name, titled(name, data, about), cells, bold, data)


def _counts(name: str, table: pd.DataFrame) -> PrintTable:
    """Lay out counts: ours, and the paper's beside each."""
    counted = [column for column in COUNTS if column in table]
    ahead = [column for column in map(str, table) if column not in ("data", *counted) and column[:6] != "paper_"]
    cells = table[ahead].rename(columns=lambda text: text.replace("_", " "))
    for column in counted:
        cells[column] = table[column]
        cells[column + PAPER] = table[f"paper_{column}"].astype(object).where(table[f"paper_{column}"].notna(), "")
    return plain(name, cells.assign(data=table["data"]), table["data"], RESPONSES)


def _scores(name: str, table: pd.DataFrame, digits: int) -> PrintTable:
    """Lay out scores: one row a model (or step, strategy), "mean (SD)" a metric, the paper's beside."""
    keys = list(KEYS.get(name, ("task", "model")))
    if "drug" in keys:
        order = table["model"].map(ORDER.index)
        table = table.assign(order=order).sort_values(["task", "drug", "order"], kind="stable")
    shown = table["data"] == "real"  # nothing to compare simulated data with
    table = table.assign(**{column: table[column].where(shown) for column in ("published_mean", "published_sd")})
    rows = table.drop_duplicates(keys)[list(dict.fromkeys([*keys, "model", "data"]))].reset_index(drop=True)
    cells, bold = rows[keys].copy(), {}
    for level, prefix in LEVELS.items():
        for metric, label in METRICS.items():
            part = table[(table["level"] == level) & (table["metric"] == metric)]
            part = rows.merge(part[[*keys, *VALUES]], how="left", on=keys)
            column = f"{prefix}{label}"
            cells[column] = _texts(part["mean"], part["sd"], digits)
            cells[column + PAPER] = _texts(part["published_mean"], part["published_sd"], digits)
            bold[column] = _best(part, metric, [key for key in keys if key in ("task", "drug")], digits)
    grouped = table.groupby(keys, sort=False)
    cells["splits"] = grouped["n_splits"].max().to_numpy().astype(int)
    cells["note"] = grouped["note"].max().to_numpy() if "note" in table else ""
    cells["data"] = rows["data"]
    cells = cells.loc[:, [column in keys or (cells[column] != "").any() for column in cells]]
    marks = pd.DataFrame(bold).reindex(columns=cells.columns, fill_value=False)
    return PrintTable(name, titled(name, rows["data"], SCORES), cells, marks, rows["data"])


def _texts(means: pd.Series, sds: pd.Series, digits: int) -> list[str]:
    return [mean_sd(mean, sd, digits) for mean, sd in zip(means, sds, strict=True)]


def _best(part: pd.DataFrame, metric: str, groups: list[str], digits: int) -> pd.Series:
    """Tell which rows hold the best of several models in their group, ties at the printed decimals too.

    Controls are no models, and what only the paper has was not run.
    """
    values = part["mean"].astype(float).round(digits).where(part["model"].isin(names()))
    values = -values if metric == "mse" else values
    of = [part[group] for group in groups]
    return (values == values.groupby(of).transform("max")) & (values.groupby(of).transform("count") > 1)


def _comparisons(table: pd.DataFrame, digits: int) -> PrintTable:
    """Lay out LEAP against each other model."""
    won = {what: [f"{a} of {b}" for a, b in zip(table[f"{what}_won"], table[f"n_{what}"], strict=True)]
           for what in ("perturbations", "splits")}  # fmt: skip
    cells = pd.DataFrame({
        "task": table["task"],
        "model": table["model"],
        "LEAP - model": [f"{value:+.{digits}f}" for value in table["difference"]],
        "95% interval": [interval(low, high, digits) for low, high in zip(table["low"], table["high"], strict=True)],
        "p": [p_value(value) for value in table["p"]],
        "p (Holm)": [p_value(value) for value in table["p_holm"]],
        "perturbations won": won["perturbations"],
        "splits won": won["splits"],
        "data": table["data"],
    })  # fmt: skip
    about = "bootstrap over perturbations and splits; signed-rank test over perturbations"
    return plain("comparisons", cells, table["data"], about)


def interval(low: float, high: float, digits: int) -> str:
    """Return "-0.0012 to 0.0345", nothing where there is none."""
    return "" if np.isnan(low) else f"{low:.{digits}f} to {high:.{digits}f}"


def p_value(value: float) -> str:
    """Return a p-value with two digits, nothing where there is none."""
    if np.isnan(value):
        return ""
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"
