"""The quantitative claims of the paper against what a run found.

A claim (`claims.csv`) is data: where it stands, the published number, what ours is measured by (`MEASURES`) and a rule.
Published numbers are the paper's tables, its sentences, or follow from them; none where it gives an order alone.
Verdicts:

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

from collections.abc import Callable
from importlib.resources import files

import numpy as np
import pandas as pd

from leaplib.results.load import Results
from leaplib.results.measures import MEASURES, Finding, UntestedError

HOLDS, DIRECTION, FAILS, UNTESTED = "holds", "holds in direction", "does not hold", "not testable here"
GAIN_SHARE, GAIN_LEAST = 0.5, 0.01
VALUE, CLOSE = 0.03, 0.05
COUNT, COUNT_ROUGH = 0.02, 0.10
FACTOR_SHARE = 0.5
COLUMNS = ["claim", "section", "published", "ours", "difference", "data", "n", "verdict", "note"]
RULES: dict[str, Callable[[float, float, float], tuple[bool, bool]]] = {
    "gain": lambda ours, paper, low: (
        ours > 0 and abs(ours - paper) <= max(GAIN_SHARE * paper, GAIN_LEAST),
        ours > 0,
    ),
    "order": lambda ours, paper, low: (ours > 0 and not low <= 0, ours > 0),  # a NaN interval is none
    "value": lambda ours, paper, low: (abs(ours - paper) <= VALUE, np.sign(ours) == np.sign(paper)),
    "close": lambda ours, paper, low: (abs(ours - paper) <= CLOSE, False),
    "count": lambda ours, paper, low: (
        abs(ours - paper) <= COUNT * paper,
        abs(ours - paper) <= COUNT_ROUGH * paper,
    ),
    "at most": lambda ours, paper, low: (ours <= paper, False),
    "at least": lambda ours, paper, low: (ours >= paper, False),
    "factor": lambda ours, paper, low: (ours >= FACTOR_SHARE * paper, ours > 1),
    "share": lambda ours, paper, low: (ours >= paper, ours > 0.5),
}
"""Whether a claim holds, and in direction, by our value, the published one and the lower end of our interval."""


def claim_list() -> pd.DataFrame:
    """Return the claims: claim, section, published, rule, measure, arguments."""
    with files("leaplib.results").joinpath("claims.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file)


def claims(results: Results, chosen: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the verdict on each claim.

    Parameters
    ----------
    results : Results
    chosen : DataFrame, optional
        As `claim_list`, which is the default.

    Returns
    -------
    DataFrame
        `COLUMNS`: `ours` and `difference` (ours - published) are NaN where nothing was found; `data` is real,
        simulated, mixed or none; `n` says what ours rests on, `note` why a claim is not testable here.
    """
    rows = []
    for claim in (claim_list() if chosen is None else chosen).to_dict("records"):
        try:
            found = MEASURES[claim["measure"]](results, *claim["arguments"].split("; "))
        except UntestedError as reason:
            found = Finding(np.nan, "none", "", note=str(reason))
        note = f"{found.data} data" if found.data in ("simulated", "mixed") else found.note
        row = {name: claim[name] for name in ("claim", "section", "published")}
        verdict = UNTESTED if note else judge(claim["rule"], found, claim["published"])
        rows.append(row | {"ours": found.value, "difference": found.value - claim["published"], "data": found.data,
                           "n": found.n, "verdict": verdict, "note": note})  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def judge(rule: str, found: Finding, published: float) -> str:
    """Return the verdict of a rule on a number that was found."""
    holds, direction = RULES[rule](found.value, published, found.low)
    return HOLDS if holds else DIRECTION if direction else FAILS
