"""Choosing among the candidates of `runs.candidates` without a look at any test sample: nested cross-validation.

The training set of a split is divided as the task divides all samples: each tuning fold in turn is held out (a fold of
tissues for unseen tissues), and candidates are tuned, fitted and averaged on the others alone. What is best on the
folds held out is the choice; the split's own test set then tells what the choice is worth.
`leaplib.runs.experiment.run_candidates` makes the scores.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.cohorts.splits import INNER
from leaplib.runs.candidates import REFERENCE


def choice(inner: pd.DataFrame, test: pd.DataFrame | None = None) -> pd.DataFrame:
    """Rank candidates by what they gain on LEAP within the training sets, the mean over tasks.

    Parameters
    ----------
    inner : DataFrame
        As `leaplib.runs.experiment.run_candidates` within training sets, of one or several tasks, LEAP among the
        candidates.
    test : DataFrame, optional
        As there, on test sets. Only the splits count whose training sets `inner` is from: the test samples of
        others are among those chosen on.

    Returns
    -------
    DataFrame
        candidate, rank (1: chosen), inner_gain (relative to LEAP, mean over tasks), and of each task inner_<task> and,
        where it was given, test_<task> (mean Spearman correlations); best first, those that failed (NaN) last.

    Raises
    ------
    InputError
        Where LEAP is not among the candidates, or a task lacks some that another has.
    """
    own = inner["split"].str.partition(INNER)[0].unique()
    wide = {"inner": _means(inner)} | ({} if test is None else {"test": _means(test[test["split"].isin(own)])})
    if REFERENCE not in wide["inner"].index:
        raise InputError(f"no scores of {REFERENCE}: add it to the candidates")
    lacking = [name for name, part in inner.groupby("candidate") if part["task"].nunique() < inner["task"].nunique()]
    if lacking:
        raise InputError(f"candidate {lacking[0]!r} lacks scores of a task: choose on the same")
    relative = wide["inner"] / wide["inner"].loc[REFERENCE] - 1
    columns = [means.reindex(wide["inner"].index).add_prefix(f"{name}_") for name, means in wide.items()]
    table = pd.concat([relative.mean(axis=1, skipna=False).rename("inner_gain"), *columns], axis=1)
    table = table.sort_values("inner_gain", ascending=False).reset_index()
    return table.rename_axis(columns=None).assign(rank=np.arange(1, len(table) + 1))[
        ["candidate", "rank", *table.columns[1:]]]  # fmt: skip


def readable_choice(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as `choice` as people read it."""
    scores = [str(column) for column in table.columns[3:]]
    words = {"inner": "within training sets", "test": "on their test sets"}
    named = {column: f"task {column.partition('_')[2]}, {words[column.partition('_')[0]]}" for column in scores}
    text = pd.DataFrame({"rank": table["rank"], "gain on LEAP there": table["inner_gain"].map(_percent)})
    for column, name in named.items():
        text[name] = table[column].map(lambda value: "" if pd.isna(value) else f"{value:.4f}")
    return text.set_index(pd.Index(table["candidate"], name="candidate"))


def _means(scores: pd.DataFrame) -> pd.DataFrame:
    """Return mean Spearman correlations over perturbations, then splits: candidates x tasks; NaN if one failed."""
    values = scores[scores["metric"] == "spearman"].groupby(["candidate", "task", "split"], sort=False)["value"].mean()
    return values.groupby(["candidate", "task"], sort=False).agg(lambda part: part.mean(skipna=False)).unstack("task")


def choice_verdict(table: pd.DataFrame, name: str = "LEAP+") -> str:
    """Return, as Markdown, whether a candidate is what would have been chosen, from a table as `choice`."""
    rows = table.set_index("candidate")
    best, own = rows.iloc[0].to_dict(), rows.loc[name].to_dict()
    failed = rows.index[rows["inner_gain"].isna() & rows.index.isin([REFERENCE, name])]
    if len(failed):
        return f"**No verdict** within the training sets: {' and '.join(failed)} failed there."
    if own["rank"] == 1:
        text = f"Within the training sets **{name} is the best** of {len(rows)} candidates"
    else:
        text = (f"Within the training sets {name} is **number {own['rank']:.0f} of {len(rows)}**; "
                f"{rows.index[0]} is the best ({_gains(best)})")  # fmt: skip
    return f"{text}: {_gains(own)}.{_afterwards(rows, name)}"


def _gains(row: Mapping[Any, Any]) -> str:
    return f"{_percent(row['inner_gain'])} on LEAP there"


def _percent(gain: float) -> str:
    return "failed" if pd.isna(gain) else f"{gain:+.1%}"


def _afterwards(rows: pd.DataFrame, name: str) -> str:
    """Say how the choice and the named candidate do on the test sets."""
    tasks = [name.removeprefix("test_") for name in map(str, rows.columns) if name.startswith("test_")]
    parts = []
    for task in tasks:
        scores = rows[f"test_{task}"]
        level = scores.loc[REFERENCE]
        names = list(dict.fromkeys([rows.index[0], name]))
        told = " and ".join(f"{one} {_percent(scores.loc[one] / level - 1)}" for one in names)
        parts.append(f" On the test samples of task {task}, which the choice did not see: {told}.")
    return "".join(parts)
