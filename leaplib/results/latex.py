r"""Printed tables as LaTeX: one file a table, to be read with \input."""

import textwrap
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from leaplib.base.files import write_text
from leaplib.base.layout import Layout
from leaplib.results.print_tables import PAPER, PrintTable, is_text

SPECIAL = {character: rf"\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",  # both would belong to the \\ before them at the start of a row
    "*": "{*}",
}
MARK = r"$^\dagger$"
NOTE = f"{MARK}Simulated data, in whole or in part."
PREAMBLE = r"% Needs \usepackage{array,booktabs,longtable}; wide tables want a landscape page (\usepackage{pdflscape})."
LONG, HEADING = 26, 11  # characters: of a text from which it breaks into lines, of a heading's line
PARAGRAPH = r">{\raggedright\arraybackslash}p{3.4cm}"
CHARACTER, SEPARATION, PAGE = 3.7, 6, 740  # points: a character of \scriptsize, between columns, a landscape A4 page


def save_latex(tables: Iterable[PrintTable], profile: str) -> list[Path]:
    """Write each printed table to `figures/<profile>/tables/<name>.tex`."""
    folder = Layout(profile).tables
    return [write_text(folder / f"{table.name}.tex", latex(table)) for table in tables]


def latex(table: PrintTable) -> str:
    """Return a table as a longtable with booktabs rules, title as caption.

    The best model is bold; rows on simulated data carry a dagger, which a line under the table explains. Scores that
    do not fit beside each other on a landscape page become two tables: per perturbation, and over all pairs.
    """
    if _width(table.cells) <= PAGE or not any(map(_overall, table.cells.columns)):
        return "\n".join([PREAMBLE, *_longtable(table)]) + "\n"
    names = [str(column) for column in table.cells]
    scores = [name for name in names if _overall(name) or f"overall {name}" in names]
    scores += [name + PAPER for name in scores if name + PAPER in names]
    lines = [PREAMBLE]
    for about, overall in (("Per perturbation", False), ("Over all pairs at once", True)):
        kept = [name for name in names if name not in scores or _overall(name) == overall]
        part = replace(table, title=f"{table.title} {about}.", cells=table.cells[kept], bold=table.bold[kept])
        lines += _longtable(part)
    return "\n".join(lines) + "\n"


def _overall(name: str) -> bool:
    return name.startswith("overall ")


def _longtable(table: PrintTable) -> list[str]:
    """Return the lines of a table; its caption has its own number, and gets no other from LaTeX."""
    columns = [_column(table.cells[column]) for column in table.cells]
    header = " & ".join(_heading(str(name), kind) for name, kind in zip(table.cells, columns, strict=True)) + r" \\"
    marked = table.data.isin(["simulated", "mixed"])
    foot = [rf"\multicolumn{{{len(columns)}}}{{l}}{{{NOTE}}} \\"] if marked.any() else []
    return [
        rf"\begingroup\scriptsize\setlength{{\tabcolsep}}{{{SEPARATION // 2}pt}}",
        rf"\begin{{longtable}}{{{''.join(columns)}}}",
        rf"\caption*{{{escape(table.title)}}} \\",
        r"\toprule", header, r"\midrule", r"\endfirsthead",
        r"\toprule", header, r"\midrule", r"\endhead",
        r"\bottomrule", *foot, r"\endlastfoot",
        *_rows(table, marked),
        r"\end{longtable}",
        r"\endgroup",
    ]  # fmt: skip


def _column(values: pd.Series) -> str:
    """Return a column's type: numbers to the right, words to the left, and long texts in lines."""
    if not is_text(values):
        return "r"
    return PARAGRAPH if values.astype(str).str.len().max() > LONG else "l"


def _heading(name: str, column: str) -> str:
    """Return a heading in bold, broken into lines, for they are often longer than what stands under them."""
    lines = textwrap.wrap(name[0].upper() + name[1:], HEADING, break_long_words=False)
    side = "r" if column == "r" else "l"
    return rf"\shortstack[{side}]{{" + r"\\".join(rf"\textbf{{{escape(line)}}}" for line in lines) + "}"


def _width(cells: pd.DataFrame) -> float:
    """Return about how wide a table is, in points."""
    texts = cells.astype(str)
    letters = [max(min(texts[column].str.len().max(), LONG), *map(len, str(column).split())) for column in texts]
    return sum(letters) * CHARACTER + len(letters) * SEPARATION


def _rows(table: PrintTable, marked: pd.Series) -> list[str]:
    """Return the rows, with a thin rule where the first column changes and repeats within."""
    lines, before = [], None
    for values, bold, mark in zip(table.cells.to_numpy(dtype=object), table.bold.to_numpy(), marked, strict=True):
        if before is not None and values[0] != before and table.cells.iloc[:, 0].duplicated().any():
            lines.append(r"\addlinespace")
        before = values[0]
        texts = [rf"\textbf{{{_text(value)}}}" if strong else _text(value)
                 for value, strong in zip(values, bold, strict=True)]  # fmt: skip
        lines.append(" & ".join([*texts[:-1], texts[-1] + (MARK if mark else "")]) + r" \\")
    return lines


def escape(text: str) -> str:
    """Return text with LaTeX's special characters escaped, in one line."""
    return "".join(SPECIAL.get(character, character) for character in " ".join(text.splitlines()))


def _text(value: object) -> str:
    return escape(value) if isinstance(value, str) else f"{value:,}"
