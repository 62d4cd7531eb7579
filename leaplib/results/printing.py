"""Tidy tables as people read them, laid out once: a Styler for notebooks, of which workbook and LaTeX are written."""

import copy
import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from html import escape, unescape
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet
from pandas.api.types import is_float_dtype
from pandas.io.formats.style import Styler

from leaplib.base.layout import Layout
from leaplib.base.store import atomic_path, write_text
from leaplib.models.table import names
from leaplib.results.comparisons import MEAN, ORDER
from leaplib.results.comparisons import PAPER as PUBLISHED
from leaplib.tasks import DATA

DIGITS = 4
FILE = "supplementary_tables.xlsx"
LEVELS = {"per_perturbation": "", "overall": "overall ", "normalised": "normalised "}
METRICS = {"spearman": "Spearman", "pearson": "Pearson", "auroc": "AUROC", "mse": "MSE"}
KEYS = ("group", "task", "study", "step", "name", "strategy", "drug", "model")
WORDS = {"compared_with": "against", "low": "95% interval", "p_holm": "p (Holm)",
         "core_seconds": "core-seconds", "p_splits": "p over splits",
         "p_perturbations_holm": "p over perturbations", "p_splits_holm": "p over splits",
         "inner_gain": "gain on LEAP there"}  # fmt: skip
WITHIN = ("high", "n_perturbations", "n_splits", "data")  # said with others, or last
SIGNED, PAPER = ("difference", "inner_gain"), ", paper"
SIMULATED = "#FBE9D9"
VERDICTS = {"holds": "#CFE8D5", "holds in direction": "#FFF2C2", "does not hold": "#F6CFCB",
            "not testable here": "#E6E6E6"}  # fmt: skip
"""Backgrounds of rows on simulated data, and of verdicts."""
NUMBER = re.compile(r"([<+-]? ?\d[\d.,]*%?( \([\d.]+\)| of \d+| to [+-][\d.]+)?)?")
WIDEST, LONG, HEADING = 60, 26, 11  # characters: of a column, of a text that LaTeX breaks, of a heading's line there
PARAGRAPH = r">{\raggedright\arraybackslash}p{3.4cm}"
PREAMBLE = (r"% Needs \usepackage{array,booktabs,longtable} and \usepackage[table]{xcolor}; "
            r"wide tables want a landscape page (\usepackage{pdflscape}).")  # fmt: skip
SPECIAL = str.maketrans({character: rf"\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "[": "{[}", "*": "{*}", "\n": " "})  # fmt: skip
"""What LaTeX would read as a command; [ and * belong to the \\\\ before them at the start of a row."""


def styled(name: str, table: pd.DataFrame, digits: int = DIGITS) -> Styler:
    """Return a table as people read it: the best in bold, simulated rows shaded, verdicts in their colour.

    Parameters
    ----------
    name : str
        Of `leaplib.results.tables.TABLES`.
    table : DataFrame
        The tidy table of that name.
    digits : int
        Decimals of scores.
    """
    table = table.reset_index(drop=True)
    bold = pd.DataFrame(index=table.index)
    if "metric" in table:
        cells, bold = _scores(table, digits)
    else:
        cells = _columns(table, digits)
    kept = {*KEYS, "data"} - {"study"}  # "" within the task's own screen
    cells = cells.loc[:, [column in kept or (cells[column] != "").any() for column in cells]]
    css = np.where(bold.reindex(columns=cells.columns, fill_value=False), "font-weight: bold;", "").astype(object)
    css += [f"text-align: {'left;' if _is_text(cells[name]) else 'right;number-format: #,##0;'}" for name in cells]
    if "data" in cells:
        css[cells["data"].isin(["simulated", "mixed"])] += f"background-color: {SIMULATED}; color: black;"
    if "verdict" in cells:
        colours = "background-color: " + cells["verdict"].map(VERDICTS) + "; color: black;"
        css[:, cells.columns.get_loc("verdict")] += colours.to_numpy()
    title = _title(name, cells.get("data"))
    cells.columns = [column[0].upper() + column[1:] for column in map(str, cells)]
    shown = cells.style.hide().apply(lambda _: css, axis=None)
    return shown.format(thousands=",", escape="html").format_index(escape="html", axis=1).set_caption(escape(title))


def _is_text(values: pd.Series) -> bool:
    """Tell whether a column has words, which stand to the left; numbers stand to the right."""
    return any(isinstance(value, str) and not NUMBER.fullmatch(value) for value in values)


def _title(name: str, data: pd.Series | None) -> str:
    """Return a table's title: its number, what it shows (`titles.csv`), on which data."""
    title = pd.read_csv(Path(__file__).with_name("titles.csv"), index_col="table")["title"][name]
    title = f"{name.replace('_', ' ').capitalize()}. {title}" if "table" in name else title
    if data is None:
        return f"{title}."
    kinds = [kind for kind in (*DATA, "mixed") if (data == kind).any()]
    mark = " (simulated rows are shaded)" if "simulated" in kinds and len(kinds) > 1 else ""
    return f"{title}. Data: {'; '.join(kinds) or 'none'}{mark}."


def _columns(table: pd.DataFrame, digits: int) -> pd.DataFrame:
    """Lay out a table column by column, each by what it holds; ends of intervals and totals stand within others.

    Beside counts stand the paper's.
    """
    cells = pd.DataFrame(index=table.index)
    digits = min(digits, 3) if "verdict" in table else digits
    paper = {column.removeprefix("paper_"): column for column in map(str, table) if column.startswith("paper_")}
    own = [column for column in map(str, table) if column not in paper and column not in paper.values()]
    for column in [*own, *(column for pair in paper.items() for column in pair)]:
        values: Any = table[column]
        word = WORDS.get(column, column.replace("_", " "))
        if column in WITHIN or f"{column}_holm" in table:
            continue
        if column == "low":
            values = [_ends(low, high, digits, " to ") for low, high in table[["low", "high"]].to_numpy()]
        elif column.endswith("_won"):
            pairs = table[[column, f"n_{column.removesuffix('_won')}"]].to_numpy(dtype=float)
            values = ["" if np.isnan(won) or not of else f"{won:.0f} of {of:.0f}" for won, of in pairs]
        elif column == "gain":
            values = values.map(percent)
        elif column == "p" or column.startswith("p_"):
            values = values.map(p_value)
        elif column in paper.values():
            word, values = column.removeprefix("paper_") + PAPER, values.astype(object).where(values.notna(), "")
        elif is_float_dtype(values):
            sign, decimals = "+" if column in SIGNED else "", 2 if column == "core_seconds" else digits
            values = [number(value, decimals, sign) for value in values]
        cells[word] = pd.Series(values, table.index).fillna("")
    if "candidate" in table and "difference" in table:
        compared = ["difference", "95% interval", "gain", "p", "p over splits", "perturbations won", "splits won"]
        cells.loc[table["candidate"] == "LEAP", cells.columns.intersection(compared)] = ""  # with itself
    return cells.assign(data=table["data"]) if "data" in table else cells


def _scores(table: pd.DataFrame, digits: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lay out scores, one row a model (or variant), the paper's beside, then tests; and tell the best."""
    keys = [key for key in KEYS if key in table and (key != "model" or not {"name", "strategy"} & set(table))]
    if "drug" in keys:
        table = table.assign(order=table["model"].map(ORDER.index)).sort_values(["task", "drug", "order"])
    rows = table.drop_duplicates(keys).reset_index(drop=True)
    cells, bold, tests = rows[keys].copy(), pd.DataFrame(index=rows.index), pd.DataFrame(index=rows.index)
    groups = [key for key in keys if key in ("group", "task", "study", "drug")]
    for level, prefix in LEVELS.items():
        for metric, label in METRICS.items():
            part = table[(table["level"] == level) & (table["metric"] == metric)]
            part, column = rows[keys].merge(part, how="left", on=keys), f"{prefix}{label}"
            theirs = part[PUBLISHED].where(part["data"] == "real")  # nothing to compare simulated data with
            cells[column] = [mean_sd(mean, sd, digits) for mean, sd in part[["mean", "sd"]].to_numpy()]
            cells[column + PAPER] = [mean_sd(mean, sd, digits) for mean, sd in theirs.to_numpy()]
            bold[column] = _best(part, metric, groups, digits)
            if "compared_with" in part and (level, metric) == MEAN:
                tests = _columns(part.loc[:, "compared_with":"p_splits_holm"].assign(n_splits=part["n_splits"]), digits)
    grouped = table.groupby(keys, sort=False)
    splits = grouped["n_splits"].max().to_numpy().astype(int)
    note = grouped["note"].max().to_numpy() if "note" in table else ""
    return pd.concat([cells, tests], axis=1).assign(splits=splits, note=note, data=rows["data"]), bold


def _best(part: pd.DataFrame, metric: str, groups: list[str], digits: int) -> pd.Series:
    """Tell which rows hold the best of several models in their group, ties at the printed decimals too.

    Controls are no models, and what only the paper has was not run.
    """
    values = part["mean"].astype(float).round(digits).where(part["model"].isin(names()))
    of = (-values if metric == "mse" else values).groupby([part[group] for group in groups])
    return (of.rank(method="min", ascending=False) == 1) & (of.transform("count") > 1)


# ---- numbers


def mean_sd(mean: float, sd: float, digits: int = DIGITS) -> str:
    """Return "0.3504 (0.0119)", or "369595 (338536)" of thousands; without an SD or a mean where there is none."""
    if pd.isna(mean):
        return ""
    digits = digits if abs(mean) < 1000 else 0
    mean = round(mean, digits) + 0.0  # never "-0.000"
    return f"{mean:.{digits}f}" if pd.isna(sd) else f"{mean:.{digits}f} ({sd:.{digits}f})"


def number(value: float, digits: int, sign: str = "") -> str:
    """Return a count as such, other numbers with some decimals, nothing for NaN."""
    if pd.isna(value):
        return ""
    return f"{value:{sign},.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:{sign}.{digits}f}"


def percent(value: float) -> str:
    """Return "+5.0%", nothing for NaN."""
    return "" if pd.isna(value) else f"{value:+.1%}"


def p_value(value: float) -> str:
    """Return a p-value with two digits, nothing where there is none."""
    if pd.isna(value):
        return ""
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def _ends(low: float, high: float, digits: int, between: str) -> str:
    return "" if pd.isna(low) else f"{low:+.{digits}f}{between}{high:+.{digits}f}"


def with_interval(row: Mapping[Any, Any], digits: int = DIGITS) -> str:
    """Return "+0.0123 [+0.0045, +0.0200]"."""
    if pd.isna(row["difference"]):
        return ""
    ends = _ends(row["low"], row["high"], digits, ", ")
    return f"{row['difference']:+.{digits}f}" + (f" [{ends}]" if ends else "")


def markdown(rows: Sequence[Mapping[str, Any]], missing: str = "\N{EN DASH}") -> str:
    """Return rows as a table."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] * len(names), *([row.get(name) or missing for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(map(str, line))} |".replace("  ", " ") for line in lines)


# ---- files


def cells_of(table: Styler) -> pd.DataFrame:
    """Return what a table shows, as text and counts."""
    return vars(table)["data"]


def _caption(table: Styler) -> str:
    """Return a table's title as plain text."""
    return unescape(str(vars(table)["caption"]))


def save_workbook(tables: Mapping[str, Styler], profile: str) -> Path:
    """Write tables to `figures/<profile>/tables/supplementary_tables.xlsx`, a sheet each.

    The first row of a sheet is its title, the second the header, which stays in view. Text that begins with "=" stays
    text, and control characters, which no workbook holds, go.
    """
    content = io.BytesIO()
    with pd.ExcelWriter(content, engine="openpyxl") as writer:
        for name, table in tables.items():
            clean, title = copy.deepcopy(table), name.replace("_", " ").capitalize()
            vars(clean)["data"] = cells_of(table).map(_printable)
            clean.to_excel(writer, sheet_name=title, index=False, startrow=1, freeze_panes=(2, 0))
            _finish(writer.sheets[title], cells_of(table), _caption(table))
    path = Layout(profile).tables / FILE
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getvalue())
    return path


def _printable(value: object) -> object:
    return ILLEGAL_CHARACTERS_RE.sub("\ufffd", value) if isinstance(value, str) else value


def _finish(sheet: Worksheet, cells: pd.DataFrame, caption: str) -> None:
    """Write the title, set widths and page, and leave no formula."""
    for cell in (cell for row in sheet.iter_rows() for cell in row if cell.data_type == "f"):
        cell.data_type = "s"
    total = 0.0
    for position, column in enumerate(map(str, cells), start=1):
        width = min(max([6, *map(len, column.split()), *cells[column].astype(str).str.len()]), WIDEST) + 2
        sheet.column_dimensions[get_column_letter(position)].width = width
        sheet.cell(2, position).alignment = Alignment(wrap_text=True, vertical="bottom")
        total += width
    title = sheet.cell(1, 1, caption)
    title.font, title.alignment = Font(bold=True, size=12), Alignment(wrap_text=True, vertical="top")
    sheet.merge_cells(start_row=1, end_row=1, start_column=1, end_column=cells.shape[1])
    sheet.row_dimensions[1].height = 16 * ceil(1.3 * len(caption) / total)  # points; a title's letters are larger
    sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", sheet.PAPERSIZE_A4
    sheet.sheet_properties.pageSetUpPr.fitToPage, sheet.page_setup.fitToHeight = True, 0
    sheet.print_title_rows = "1:2"


def save_latex(tables: Mapping[str, Styler], profile: str) -> list[Path]:
    r"""Write each table to `figures/<profile>/tables/<name>.tex`, to be read with \input."""
    folder = Layout(profile).tables
    return [write_text(folder / f"{name}.tex", latex(table)) for name, table in tables.items()]


def latex(table: Styler) -> str:
    """Return a table as longtables: scores per perturbation, over all pairs, and tests each on a page's width."""
    columns = list(map(str, cells_of(table)))
    overall = [column for column in columns if column.startswith(("Overall ", "Normalised "))]
    both = {column.partition(" ")[2].removesuffix(PAPER) for column in overall}
    parts = {" Per perturbation.": [column for column in columns if column.removesuffix(PAPER) in both],
             " Over all pairs at once.": overall}  # fmt: skip
    if overall and "Against" in columns:
        parts[" Tests."] = columns[columns.index("Against") : columns.index("Splits")]
    parts = parts if overall else {"": []}
    apart = [column for part in parts.values() for column in part]
    texts = [_longtable(table, [column for column in apart if column not in part], about)
             for about, part in parts.items()]  # fmt: skip
    return "\n".join([PREAMBLE, *texts])


def _longtable(table: Styler, hidden: list[Any], about: str) -> str:
    """Return a table but for some columns; its caption has its own number, and gets no other from LaTeX."""
    cells = cells_of(table).drop(columns=hidden)
    longest = {column: cells[column].astype(str).str.len().max() for column in cells if _is_text(cells[column])}
    kinds = ["r" if column not in longest else PARAGRAPH if longest[column] > LONG else "l" for column in cells]
    part = copy.deepcopy(table).format(_latex_text).format_index(_latex_heading, axis=1).hide(hidden, axis=1)
    text = part.to_latex(environment="longtable", hrules=True, convert_css=True, column_format="".join(kinds),
                         caption=latex_escape(_caption(table) + about))  # fmt: skip
    text = text.replace(r"\caption{", r"\caption*{").replace(r"\caption[]{", r"\caption*{")
    return "\\begingroup\\scriptsize\\setlength{\\tabcolsep}{3pt}\n" + text + "\\endgroup\n"


def latex_escape(text: str) -> str:
    """Return text with LaTeX's special characters escaped, in one line."""
    return " ".join(text.splitlines()).translate(SPECIAL)


def _latex_text(value: object) -> str:
    return latex_escape(value) if isinstance(value, str) else f"{value:,}"


def _latex_heading(name: object) -> str:
    """Return a heading in bold, broken into lines, for they are often longer than what stands under them."""
    lines = textwrap.wrap(str(name), HEADING, break_long_words=False)
    return r"\shortstack{" + r"\\".join(rf"\textbf{{{latex_escape(line)}}}" for line in lines) + "}"
