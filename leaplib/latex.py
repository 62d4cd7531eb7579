r"""Printed tables as LaTeX: one file a table, to be read with \input."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from leaplib.files import write_text
from leaplib.layout import Layout
from leaplib.print_tables import PrintTable, is_text

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
PREAMBLE = r"% Needs \usepackage{booktabs,longtable}; a wide table fits a landscape page (\usepackage{pdflscape})."


def save_latex(tables: Iterable[PrintTable], profile: str) -> list[Path]:
    """Write each printed table to `figures/<profile>/tables/<name>.tex`."""
    folder = Layout(profile).tables
    return [write_text(folder / f"{table.name}.tex", latex(table)) for table in tables]


def latex(table: PrintTable) -> str:
    """Return a table as a longtable with booktabs rules, title as caption.

    The best model is bold; rows on simulated data carry a dagger, which a line under the table explains.
    """
    columns = "".join("l" if is_text(table.cells[column]) else "r" for column in table.cells)
    names = [str(column) for column in table.cells]
    header = " & ".join(rf"\textbf{{{escape(name[0].upper() + name[1:])}}}" for name in names) + r" \\"
    marked = table.data.isin(["simulated", "mixed"])
    foot = [rf"\multicolumn{{{len(columns)}}}{{l}}{{{NOTE}}} \\"] if marked.any() else []
    lines = [
        PREAMBLE,
        r"\begingroup\scriptsize\setlength{\tabcolsep}{3pt}",
        rf"\begin{{longtable}}{{{columns}}}",
        rf"\caption{{{escape(table.title)}}}\label{{tab:{table.name.replace('_', '-')}}} \\",
        r"\toprule", header, r"\midrule", r"\endfirsthead",
        r"\toprule", header, r"\midrule", r"\endhead",
        r"\bottomrule", *foot, r"\endlastfoot",
        *_rows(table, marked),
        r"\end{longtable}",
        r"\endgroup",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


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
