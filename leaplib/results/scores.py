"""Scores as they are saved, brought to one value a split or a perturbation."""

import pandas as pd

from leaplib.cohorts.splits import XENOGRAFTS

KEYS = ("task", "study", "model", "member")
"""What a score is of; scores without a study are of the task's own screen."""


def split_values(scores: pd.DataFrame, level: str | None = None, metric: str | None = None) -> pd.DataFrame:
    """Return one value a split: the mean over its test sets of the mean over perturbations.

    On xenografts there is one split, and each of its test sets counts as one: "subset 0" ....

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.runs.experiment.load_scores`.
    level, metric : str, optional
        Only these; all by default.

    Returns
    -------
    DataFrame
        task, study (where scores say it), model, member, level, metric, split, data, value.
    """
    rows = scores[scores["perturbation"] == ""]
    rows = rows if level is None else rows[rows["level"] == level]
    rows = rows if metric is None else rows[rows["metric"] == metric]
    subsets = "subset " + rows["test_set"].astype(str)
    rows = rows.assign(split=rows["split"].where(rows["split"] != XENOGRAFTS, subsets))
    keys = [key for key in (*KEYS, "level", "metric", "split", "data") if key in rows]
    return rows.groupby(keys, sort=False)["value"].mean().reset_index()


def variant_values(scores: pd.DataFrame) -> pd.DataFrame:
    """Return one value a variant and split, as `split_values`: task, group, name, model, level, ..., split, value."""
    rows = scores[(scores["perturbation"] == "") & (scores["note"] == "")].rename(columns={"variant": "name"})
    keys = ["task", "group", "name", "model", "level", "metric", "data", "split"]
    return rows.groupby(keys, sort=False)["value"].mean().reset_index()


def perturbation_values(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return one value a perturbation: the mean over splits, all test samples of each.

    Returns
    -------
    DataFrame
        task, study (where scores say it), model, member, perturbation, data, value.
    """
    rows = scores[(scores["perturbation"] != "") & (scores["test_set"] == -1) & (scores["metric"] == metric)]
    keys = [key for key in (*KEYS, "perturbation", "data") if key in rows]
    return rows.groupby(keys, sort=False)["value"].mean().reset_index()


def models_only(values: pd.DataFrame) -> pd.DataFrame:
    """Leave out the members of LEAP but the first, which stands for PS-LASSO."""
    return values[values["member"] <= 0]
