"""Tidy tables as people read them, laid out once: a Styler for notebooks, of which workbook and LaTeX are written."""

import copy
import io
import re
import textwrap
from collections.abc import Mapping
from functools import partial
from html import escape, unescape
from math import ceil
from pathlib import Path

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
from leaplib.models.table import CONTROLS, names
from leaplib.results.external import REPRODUCIBILITY
from leaplib.tasks import DATA

DIGITS = 4
ORDER = [REPRODUCIBILITY, *CONTROLS.values(), *names()]
FILE = "supplementary_tables.xlsx"
AAC = "; AAC, AUC: area above, and under, the dose-response curve"
SCORES = (
    "; mean (SD) over splits (on xenografts, over subsets), best model of each task and metric in bold; AUROC: of "
    "responders, the best tenth of the tested samples"
)
TITLES = {
    "table_1": "Tasks, with the counts of this run beside the paper's" + AAC,
    "supplementary_table_1": "Studies, each after its own selection rules, beside the paper's counts" + AAC,
    "supplementary_table_2": "Gene dependency in unseen cell lines, release 22Q4 (task 1b)" + SCORES,
    "supplementary_table_3": "Models compared on all tasks" + SCORES,
    "supplementary_table_4": "Ablation: nine steps from PP-LGBM to LEAP" + SCORES,
    "supplementary_table_5": "Regressors on one representation against LEAP" + SCORES,
    "supplementary_table_6": "LEAP tuned by plain, tissue-grouped and leave-one-tissue-out cross-validation" + SCORES,
    "supplementary_table_7": "Drug response of xenografts, drug by drug" + SCORES,
    "comparisons": "LEAP less each other model: difference of Spearman's correlation per perturbation; intervals over "
    "splits (Nadeau and Bengio on holdouts, none on xenografts); signed-rank test over perturbations",
    "claims": "The paper's claims against this run",
    "data_preparation": "Counts after each selection rule",
    "ablations_additional": "Comparisons that the paper lacks, each with its group's reference" + SCORES,
    "domain_shift": "Ways to bring cell lines and xenografts together: mean Spearman correlation over drugs",
    "beyond_leap": "Candidates on the way to LEAP+ against LEAP",
    "beyond_leap_external": "Candidates against LEAP within the screen and against other laboratories' measurements, "
    "mean over perturbations",
    "general_sensitivity": "Lines that respond to everything: Spearman's correlation per perturbation on labels as "
    "measured, and without each line's general sensitivity or growth rate, on pairs that both laboratories measured",
    "beyond_leap_choice": "Candidates ranked within training sets, by what they gain on LEAP there; mean Spearman "
    "correlations within training sets (inner) and on their test sets (test)",
}
LEVELS = {"per_perturbation": "", "overall": "overall "}
METRICS = {"spearman": "Spearman", "pearson": "Pearson", "auroc": "AUROC", "mse": "MSE"}
KEYS = ("group", "task", "study", "step", "name", "strategy", "drug", "model")
WORDS = {"compared_with": "against", "low": "95% interval", "p_holm": "p (Holm)",
         "core_seconds": "core-seconds", "p_splits": "p over splits",
         "p_perturbations_holm": "p over perturbations", "p_splits_holm": "p over splits",
         "inner_gain": "gain on LEAP there"}  # fmt: skip
WITHIN = ("high", "n_perturbations", "n_splits", "data")  # said with others, or last
PAPER, PUBLISHED = ", paper", ["published_mean", "published_sd"]
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
    if "metric" in table:
        cells, bold = _scores(table, digits)
    else:
        cells, bold = (_counts if "table" in name else _columns)(table, digits), pd.DataFrame(index=table.index)
    kept = {*KEYS, "data"} - {"study"}  # "" within the task's own screen
    cells = cells.loc[:, [column in kept or (cells[column] != "").any() for column in cells]]
    css = np.where(bold.reindex(columns=cells.columns, fill_value=False), "font-weight: bold;", "").astype(object)
    css += np.array([_alignment(cells[column]) for column in cells], dtype=object)
    shaded = cells["data"].isin(["simulated", "mixed"]) if "data" in cells else pd.Series(False, cells.index)
    css[shaded] += f"background-color: {SIMULATED}; color: black;"
    if "verdict" in cells:
        colours = "background-color: " + cells["verdict"].map(VERDICTS) + "; color: black;"
        css[:, cells.columns.get_loc("verdict")] += colours.to_numpy()
    title = _titled(name, cells.get("data"))
    cells.columns = [column[0].upper() + column[1:] for column in map(str, cells)]
    styles = pd.DataFrame(css, cells.index, cells.columns)
    shown = cells.style.hide().apply(lambda _: styles, axis=None)
    return shown.format(thousands=",", escape="html").format_index(escape="html", axis=1).set_caption(escape(title))


def _alignment(values: pd.Series) -> str:
    """Return the style of a column: words to the left, numbers to the right."""
    if any(isinstance(value, str) and not NUMBER.fullmatch(value) for value in values):
        return "text-align: left;"
    return "text-align: right;number-format: #,##0;"


def _titled(name: str, data: pd.Series | None) -> str:
    """Return a table's title: its number, what it shows, on which data."""
    number = f"{name.replace('_', ' ').capitalize()}. " if "table" in name else ""
    title = number + TITLES[name]
    if data is None:
        return f"{title}."
    kinds = [kind for kind in (*DATA, "mixed") if (data == kind).any()]
    mark = " (simulated rows are shaded)" if "simulated" in kinds and len(kinds) > 1 else ""
    return f"{title}. Data: {'; '.join(kinds) or 'none'}{mark}."


def _columns(table: pd.DataFrame, digits: int) -> pd.DataFrame:
    """Lay out a table column by column, each by what it holds; ends of intervals and totals stand within others."""
    cells = pd.DataFrame(index=table.index)
    digits = min(digits, 3) if "verdict" in table else digits
    shown = [column for column in map(str, table) if column not in WITHIN and f"{column}_holm" not in table]
    for column in shown:
        values, word = table[column], WORDS.get(column, column.replace("_", " "))
        if column == "low":
            ends = table[["low", "high"]].to_numpy()
            texts = ["" if np.isnan(low) else f"{low:+.{digits}f} to {high:+.{digits}f}" for low, high in ends]
            values = pd.Series(texts, table.index)
        elif column.endswith("_won"):
            pairs = table[[column, f"n_{column.removesuffix('_won')}"]].to_numpy(dtype=float)
            texts = ["" if np.isnan(won) or not of else f"{won:.0f} of {of:.0f}" for won, of in pairs]
            values = pd.Series(texts, table.index)
        elif column == "gain":
            values = values.map(percent)
        elif column == "p" or column.startswith("p_"):
            values = values.map(p_value)
        elif column.startswith("paper_"):
            word, values = column.removeprefix("paper_") + PAPER, values.astype(object).where(values.notna(), "")
        elif is_float_dtype(values):
            sign = "+" if column in ("difference", "inner_gain") else ""
            values = values.map(partial(number, digits=2 if column == "core_seconds" else digits, sign=sign))
        cells[word] = values.fillna("")
    if "candidate" in table and "difference" in table:
        compared = ["difference", "95% interval", "gain", "p", "p over splits", "perturbations won", "splits won"]
        cells.loc[table["candidate"] == "LEAP", compared] = ""  # with itself
    return cells.assign(data=table["data"]) if "data" in table else cells


def _counts(table: pd.DataFrame, digits: int) -> pd.DataFrame:
    """Lay out counts: ours, and the paper's beside each."""
    theirs = [column for column in map(str, table) if column.startswith("paper_")]
    pairs = [column for paper in theirs for column in (paper.removeprefix("paper_"), paper)]
    return _columns(table[[*table.columns.difference(pairs, sort=False), *pairs]], digits)


def _scores(table: pd.DataFrame, digits: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lay out scores, one row a model (or variant), the paper's beside, then tests; and tell the best."""
    keys = [key for key in KEYS if key in table and (key != "model" or not {"name", "strategy"} & set(table))]
    if "drug" in keys:
        table = table.assign(order=table["model"].map(ORDER.index)).sort_values(["task", "drug", "order"])
    rows = table.drop_duplicates(keys).reset_index(drop=True)
    cells, bold, tests = rows[keys].copy(), pd.DataFrame(index=rows.index), pd.DataFrame(index=rows.index)
    for level, prefix in LEVELS.items():
        for metric, label in METRICS.items():
            part = table[(table["level"] == level) & (table["metric"] == metric)]
            part = rows[keys].merge(part, how="left", on=keys)
            theirs = part[PUBLISHED].where(part["data"] == "real")  # nothing to compare simulated data with
            column = f"{prefix}{label}"
            cells[column] = [mean_sd(mean, sd, digits) for mean, sd in part[["mean", "sd"]].to_numpy()]
            cells[column + PAPER] = [mean_sd(mean, sd, digits) for mean, sd in theirs.to_numpy()]
            bold[column] = _best(
                part, metric, [key for key in keys if key in ("group", "task", "study", "drug")], digits
            )
            if "compared_with" in part and (level, metric) == ("per_perturbation", "spearman"):
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
    values = -values if metric == "mse" else values
    of = values.groupby([part[group] for group in groups])
    return (values == of.transform("max")) & (of.transform("count") > 1)


def mean_sd(mean: float, sd: float, digits: int = DIGITS) -> str:
    """Return "0.3504 (0.0119)", or "369595 (338536)" of thousands; without an SD or a mean where there is none."""
    if pd.isna(mean):
        return ""
    digits = digits if abs(mean) < 1000 else 0
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


def with_interval(row: Mapping, digits: int = DIGITS) -> str:
    """Return "+0.0123 [+0.0045, +0.0200]"."""
    if pd.isna(row["difference"]):
        return ""
    interval = "" if pd.isna(row["low"]) else f" [{row['low']:+.{digits}f}, {row['high']:+.{digits}f}]"
    return f"{row['difference']:+.{digits}f}{interval}"


def save_workbook(tables: Mapping[str, Styler], profile: str) -> Path:
    """Write tables to `figures/<profile>/tables/supplementary_tables.xlsx`, a sheet each.

    The first row of a sheet is its title, the second the header, which stays in view. Text that begins with "=" stays
    text, and control characters, which no workbook holds, go.
    """
    content = io.BytesIO()
    with pd.ExcelWriter(content, engine="openpyxl") as writer:
        for name, table in tables.items():
            clean = copy.deepcopy(table)
            vars(clean)["data"] = cells_of(table).map(
                lambda value: ILLEGAL_CHARACTERS_RE.sub("\ufffd", value) if isinstance(value, str) else value
            )
            title = name.replace("_", " ").capitalize()
            clean.to_excel(writer, sheet_name=title, index=False, startrow=1, freeze_panes=(2, 0))
            _finish(writer.sheets[title], table)
    path = Layout(profile).tables / FILE
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getvalue())
    return path


def _finish(sheet: Worksheet, table: Styler) -> None:
    """Write the title, set widths and page, and leave no formula."""
    for row in sheet.iter_rows():
        for cell in row:
            if cell.data_type == "f":
                cell.data_type = "s"
    total = 0.0
    for position, column in enumerate(map(str, cells_of(table)), start=1):
        longest = max([6, *map(len, column.split()), *cells_of(table)[column].astype(str).str.len()])
        width = min(longest, WIDEST) + 2
        sheet.column_dimensions[get_column_letter(position)].width = width
        sheet.cell(2, position).alignment = Alignment(wrap_text=True, vertical="bottom")
        total += width
    title = sheet.cell(1, 1, _caption(table))
    title.font, title.alignment = Font(bold=True, size=12), Alignment(wrap_text=True, vertical="top")
    sheet.merge_cells(start_row=1, end_row=1, start_column=1, end_column=cells_of(table).shape[1])
    sheet.row_dimensions[1].height = 16 * ceil(1.3 * len(title.value) / total)  # points; a title's letters are larger
    sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", sheet.PAPERSIZE_A4
    sheet.sheet_properties.pageSetUpPr.fitToPage, sheet.page_setup.fitToHeight = True, 0
    sheet.print_title_rows = "1:2"


def cells_of(table: Styler) -> pd.DataFrame:
    """Return what a table shows, as text and counts."""
    return vars(table)["data"]


def _caption(table: Styler) -> str:
    """Return a table's title as plain text."""
    return unescape(str(vars(table)["caption"]))


def save_latex(tables: Mapping[str, Styler], profile: str) -> list[Path]:
    r"""Write each table to `figures/<profile>/tables/<name>.tex`, to be read with \input."""
    folder = Layout(profile).tables
    return [write_text(folder / f"{name}.tex", latex(table)) for name, table in tables.items()]


def latex(table: Styler) -> str:
    """Return a table as longtables: scores per perturbation, over all pairs, and tests each on a page's width."""
    columns = [str(column) for column in cells_of(table)]
    overall = [column for column in columns if column.startswith("Overall ")]
    tests = columns[columns.index("Against") : columns.index("Splits")] if "Against" in columns else []
    both = {column.removeprefix("Overall ").removesuffix(PAPER) for column in overall}
    scores = [column for column in columns if column.removesuffix(PAPER) in both]
    parts = {" Per perturbation.": scores, " Over all pairs at once.": overall, " Tests.": tests}
    parts = {about: part for about, part in parts.items() if part} if overall else {"": []}
    apart = [column for part in parts.values() for column in part]
    texts = [PREAMBLE]
    for about, part in parts.items():
        texts.append(_longtable(table, [name for name in columns if name not in apart or name in part], about))
    return "\n".join(texts)


def _longtable(table: Styler, columns: list[str], about: str) -> str:
    """Return some columns of a table; its caption has its own number, and gets no other from LaTeX."""
    cells, kinds = cells_of(table)[columns], []
    for column in columns:
        words = "left" in _alignment(cells[column])
        kinds.append("r" if not words else PARAGRAPH if cells[column].astype(str).str.len().max() > LONG else "l")
    part = copy.deepcopy(table).format(_latex_text).format_index(_latex_heading, axis=1)
    part.hide([column for column in cells_of(table) if column not in columns], axis=1)
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
