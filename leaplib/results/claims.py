"""The quantitative claims of the paper against what a run found.

A claim (`leaplib.results.claim_list`) is data: a published number, a function that finds ours in saved results, and a
rule. Verdicts:

- *holds*, *holds in direction*, *does not hold*: what the rule says, from real data alone, however few splits a
  profile has (their number stands in the row);
- *not testable here*: the data are simulated in whole or in part, or something that the claim speaks of was not run or
  is not recorded. Where there is a number it is given all the same.

======== ========================================================== ====================================================
rule     holds                                                      holds in direction
======== ========================================================== ====================================================
gain     above 0, and off by at most 50% of the published gain      above 0
         (`GAIN_SHARE`), or by 0.01 (`GAIN_LEAST`) if that is more
order    above 0, and so is the 95% interval of every comparison,   above 0
         where there are intervals
value    off by at most 0.03 (`VALUE`)                              the same sign
close    off by at most 0.05 (`CLOSE`)                              never
count    off by at most 2% (`COUNT`)                                off by at most 10% (`COUNT_ROUGH`)
at most  not above the published value                              never
at least not below the published value                              never
factor   at least 50% of the published factor (`FACTOR_SHARE`)      above 1
share    not below the published share                              above one half
======== ========================================================== ====================================================

Everything else does not hold.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from leaplib.results.evidence import Evidence
from leaplib.results.measures import Finding, UntestedError
from leaplib.results.print_tables import PrintTable, plain

HOLDS, DIRECTION, FAILS, UNTESTED = "holds", "holds in direction", "does not hold", "not testable here"
COLOURS = {HOLDS: "#CFE8D5", DIRECTION: "#FFF2C2", FAILS: "#F6CFCB", UNTESTED: "#E6E6E6"}
GAIN_SHARE, GAIN_LEAST = 0.5, 0.01
VALUE, CLOSE = 0.03, 0.05
COUNT, COUNT_ROUGH = 0.02, 0.10
FACTOR_SHARE = 0.5
COLUMNS = ["claim", "section", "published", "ours", "difference", "data", "n", "verdict", "note"]


@dataclass(frozen=True)
class Claim:
    """One claim.

    Parameters
    ----------
    claim : str
        What is claimed, in short words of ours.
    section : str
        Where it stands in the paper.
    published : float
        From `leaplib.results.published` or `leaplib.tasks`; NaN where the paper gives an order and no number.
    measure : callable
        Finds ours in the evidence, or raises `leaplib.results.measures.UntestedError`.
    rule : str
        A key of `RULES`.
    """

    claim: str
    section: str
    published: float
    measure: Callable[[Evidence], Finding]
    rule: str

    def row(self, evidence: Evidence) -> dict[str, object]:
        """Return the claim's row: `COLUMNS`."""
        row: dict[str, object] = {"claim": self.claim, "section": self.section, "published": self.published}
        try:
            found = self.measure(evidence)
        except UntestedError as reason:
            return row | {"ours": np.nan, "difference": np.nan, "data": "none", "n": "", "verdict": UNTESTED,
                          "note": str(reason)}  # fmt: skip
        note = found.note if found.data == "real" else f"{found.data} data"
        return row | {"ours": found.value, "difference": found.value - self.published, "data": found.data,
                      "n": found.n, "verdict": UNTESTED if note else RULES[self.rule](found, self.published),
                      "note": note}  # fmt: skip


def _graded(holds: bool, direction: bool = False) -> str:
    return HOLDS if holds else DIRECTION if direction else FAILS


def _gain(found: Finding, published: float) -> str:
    near = abs(found.value - published) <= max(GAIN_SHARE * published, GAIN_LEAST)
    return _graded(found.value > 0 and near, found.value > 0)


def _order(found: Finding, published: float) -> str:
    return _graded(found.value > 0 and not found.low <= 0, found.value > 0)  # a NaN interval is none


def _value(found: Finding, published: float) -> str:
    return _graded(abs(found.value - published) <= VALUE, np.sign(found.value) == np.sign(published))


def _close(found: Finding, published: float) -> str:
    return _graded(abs(found.value - published) <= CLOSE)


def _count(found: Finding, published: float) -> str:
    off = abs(found.value - published) / published
    return _graded(off <= COUNT, off <= COUNT_ROUGH)


def _at_most(found: Finding, published: float) -> str:
    return _graded(found.value <= published)


def _at_least(found: Finding, published: float) -> str:
    return _graded(found.value >= published)


def _factor(found: Finding, published: float) -> str:
    return _graded(found.value >= FACTOR_SHARE * published, found.value > 1)


def _share(found: Finding, published: float) -> str:
    return _graded(found.value >= published, found.value > 0.5)


RULES: dict[str, Callable[[Finding, float], str]] = {
    "gain": _gain,
    "order": _order,
    "value": _value,
    "close": _close,
    "count": _count,
    "at most": _at_most,
    "at least": _at_least,
    "factor": _factor,
    "share": _share,
}


def claims_table(evidence: Evidence, claims: Sequence[Claim]) -> pd.DataFrame:
    """Return the verdict on each claim.

    Returns
    -------
    DataFrame
        `COLUMNS`: `ours` and `difference` (ours - published) are NaN where nothing was found; `data` is real,
        simulated, mixed or none; `n` says what ours rests on, `note` why a claim is not testable here.
    """
    return pd.DataFrame([claim.row(evidence) for claim in claims], columns=COLUMNS)


def print_claims(table: pd.DataFrame, digits: int = 3) -> PrintTable:
    """Lay out the claims for print, each verdict in its colour."""
    numbers = {column: [_number(value, digits) for value in table[column]] for column in ("published", "ours")}
    signed = [_number(value, digits, "+") for value in table["difference"]]
    words = ["claim", "section", "published", "ours", "difference", "data", "n", "note", "verdict"]
    cells = table.assign(**numbers, difference=signed)[words]
    printed = plain("claims", cells, table["data"])
    colours = table["verdict"].map(COLOURS)
    return PrintTable(printed.name, printed.title, printed.cells, printed.bold, printed.data, colours)


def _number(value: float, digits: int, sign: str = "") -> str:
    """Return a count as such, other numbers with some decimals, nothing for NaN."""
    if pd.isna(value):
        return ""
    return f"{value:{sign},.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:{sign}.{digits}f}"


def conclusion(table: pd.DataFrame) -> str:
    """Return, as Markdown, how many claims hold, which do not and why others cannot be tested."""
    counts = table["verdict"].value_counts()
    tested = table[table["verdict"] != UNTESTED]
    hold, direction, fail = (counts.get(verdict, 0) for verdict in (HOLDS, DIRECTION, FAILS))
    text = (
        f"Of {len(table)} claims, {len(tested)} can be tested on real data: {hold} hold, {direction} hold in direction "
    )
    text += f"alone, {fail} do not hold."
    items = [f"- **{row['verdict'].capitalize()}**: {row['claim']} ({row['section']}): {_compared(row)}."
             for row in tested[tested["verdict"] != HOLDS].to_dict("records")]  # fmt: skip
    reasons = table[table["verdict"] == UNTESTED]["note"].value_counts()
    if len(reasons):
        listed = "; ".join(f"{reason} ({number})" for reason, number in reasons.items())
        items.append(f"- **Not testable here**, {reasons.sum()} claims: {listed}.")
    return "\n".join([text, "", *items])


def _compared(row: Mapping[Any, Any]) -> str:
    """Return "the paper has 0.160, this run 0.090 (3 splits, 30 perturbations)"."""
    theirs = "" if pd.isna(row["published"]) else f"the paper has {_number(row['published'], 3)}, "
    return f"{theirs}this run {_number(row['ours'], 3)} ({row['n']})"
