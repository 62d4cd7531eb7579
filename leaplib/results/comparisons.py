"""LEAP against each other model on each task: paired tests and intervals, from saved scores alone.

A model's score on a perturbation is Spearman's correlation over all test samples of a split; on xenografts, where there
is one split, over each of its subsets. The p-value is of `statistics.paired_test` over perturbations, Holm's
correction within a task. The interval is of a bootstrap of perturbations *and* splits: both are drawn anew, with
replacement and independently of each other, since they are crossed (each perturbation is scored in each split). The
subsets of xenografts overlap, so that their intervals are too narrow.

References
----------
Owen (2007), The pigeonhole bootstrap, Ann. Appl. Stat. 1(2).
"""

from typing import Any

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.cohorts.splits import XENOGRAFTS
from leaplib.models.table import names
from leaplib.results.scores import models_only
from leaplib.results.statistics import TEST_SHARE, holm, paired_test
from leaplib.tasks import TASKS, get_task

N_RESAMPLES = 5000
SEED = 0
COVERAGE = 0.95
AT_ONCE = 500  # resamples; bounds the memory
REFERENCE = "LEAP"
COLUMNS = ["task", "model", "difference", "low", "high", "p", "p_holm", "perturbations_won", "n_perturbations",
           "splits_won", "n_splits", "data"]  # fmt: skip


def compare_models(scores: pd.DataFrame, reference: str = REFERENCE, metric: str = "spearman",
                   n_resamples: int = N_RESAMPLES, seed: int = SEED) -> pd.DataFrame:  # fmt: skip
    """Compare a model with each other one on each task.

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.results.scores.load_scores`. Controls are left out, and tasks without the reference.
    reference : str
    metric : {"spearman", "pearson"}
    n_resamples : int
    seed : int

    Returns
    -------
    DataFrame
        `COLUMNS`: difference (reference - model, mean over splits of the mean over perturbations) with its
        bootstrap interval; the signed-rank test's p, after Holm's correction in p_holm; how many perturbations and
        splits the reference wins, and of how many that both models ran on. Models that share no split with the
        reference, since something failed, are left out.
    """
    rows = models_only(_rows(scores, metric))
    known = [model for model in names() if model != reference]
    found = []
    for task in dict.fromkeys(rows["task"]):
        part = rows[rows["task"] == task]
        matrices = {model: _matrix(values) for model, values in part.groupby("model")}
        if reference not in matrices:
            continue
        first = matrices[reference]
        others = [model for model in known if model in matrices and _share_scores(first, matrices[model])]
        tests = [{"model": model} | _compare(first, matrices[model], task, n_resamples, seed) for model in others]
        if tests:
            table = pd.DataFrame(tests).assign(task=task, data=part["data"].iloc[0])
            found.append(table.assign(p_holm=holm(table["p"].to_numpy())))
    return pd.concat(found, ignore_index=True)[COLUMNS] if found else pd.DataFrame(columns=COLUMNS)


def _rows(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return one row a perturbation and split; on xenografts each subset is one."""
    rows = scores[(scores["perturbation"] != "") & (scores["metric"] == metric)]
    subset = (rows["split"] == XENOGRAFTS) & (rows["test_set"] >= 0)
    whole = (rows["split"] != XENOGRAFTS) & (rows["test_set"] == -1)
    numbered = "subset " + rows["test_set"].astype(str)
    return rows.assign(split=rows["split"].where(~subset, numbered))[subset | whole]


def _matrix(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.pivot(index="perturbation", columns="split", values="value")


def _share_scores(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    """Tell whether two models have scores of the same perturbations on the same splits."""
    a, b = a.align(b, join="inner")
    return bool((a - b).notna().any(axis=None))


def _compare(a: pd.DataFrame, b: pd.DataFrame, task: str, n_resamples: int, seed: int) -> dict[str, float]:
    """Compare two models where both have scores."""
    a, b = a.align(b, join="inner")
    design = TASKS[task.partition(" ")[0]].design
    test = paired_test(a, b, TEST_SHARE if design == "holdout" else None)
    low, high = bootstrap_interval((a - b).to_numpy(), n_resamples, seed)
    kept = ("difference", "perturbations_won", "n_perturbations", "splits_won", "n_splits")
    return {name: test[name] for name in kept} | {"low": low, "high": high, "p": test["p_perturbations"]}


def bootstrap_interval(differences: np.ndarray, n_resamples: int = N_RESAMPLES, seed: int = SEED,
                       coverage: float = COVERAGE) -> tuple[float, float]:  # fmt: skip
    """Return a percentile interval of the mean over splits of the mean over perturbations.

    Parameters
    ----------
    differences : array, perturbations x splits
        NaN where there is no score.
    n_resamples : int
    seed : int
    coverage : float
        Between 0 and 1.

    Returns
    -------
    float, float
        NaN where there is a single perturbation and a single split, or no score.

    Raises
    ------
    InputError
        When `coverage` or `n_resamples` is out of range.
    """
    if not 0 < coverage < 1 or n_resamples < 1:
        raise InputError(f"bootstrap: coverage {coverage} must be between 0 and 1, resamples {n_resamples} at least 1")
    usable = ~np.isnan(differences)
    if usable.sum() < 2:
        return np.nan, np.nan
    rng = np.random.default_rng(seed)
    sizes = [len(part) for part in np.array_split(np.arange(n_resamples), -(-n_resamples // AT_ONCE))]
    means = np.concatenate([_resampled(np.where(usable, differences, 0.0), usable, size, rng) for size in sizes])
    tail = (1 - coverage) / 2
    low, high = np.nanquantile(means, [tail, 1 - tail])
    return float(low), float(high)


def _resampled(values: np.ndarray, usable: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return the mean of `size` resamples, in each of which every perturbation and split has a count."""
    rows, columns = (rng.multinomial(n, np.full(n, 1 / n), size).astype(float) for n in values.shape)
    weight = rows @ usable  # resamples x splits
    of_splits = np.divide(rows @ values, weight, out=np.zeros_like(weight), where=weight > 0)
    total = (columns * (weight > 0)).sum(axis=1)
    return np.divide((columns * of_splits).sum(axis=1), total, out=np.full(size, np.nan), where=total > 0)


def gains(scores: pd.DataFrame, reference: str = REFERENCE, metric: str = "spearman") -> pd.DataFrame:
    """Compare candidates with a reference, paired over perturbations and splits.

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.runs.experiment.run_candidates`; of one or several tasks.
    reference : str
    metric : {"spearman", "pearson"}

    Returns
    -------
    DataFrame
        task, candidate, mean, gain (relative to the reference), difference with its 95% interval (low, high), p (of
        Wilcoxon's test over perturbations), perturbations_won, n_perturbations, splits_won, n_splits, seconds (a
        split), data; best first.
    """
    rows = []
    for task, part in scores[scores["metric"] == metric].groupby("task", sort=False):
        wide = {name: values.pivot(index="perturbation", columns="split", values="value")
                for name, values in part.groupby("candidate", sort=False)}  # fmt: skip
        if reference not in wide:
            raise InputError(f"task {task}: no scores of {reference}: add it to the candidates")
        test_share = TEST_SHARE if get_task(str(task)).design == "holdout" else None
        for name, values in wide.items():
            seconds = part[part["candidate"] == name].groupby("split")["seconds"].first().mean()
            found = {"task": task, "candidate": name, "mean": values.mean().mean(), "seconds": seconds}
            rows.append(found | _against(values, wide[reference], test_share) | {"data": part["data"].iloc[0]})
    columns = ["task", "candidate", "mean", "gain", "difference", "low", "high", "p", "perturbations_won",
               "n_perturbations", "splits_won", "n_splits", "seconds", "data"]  # fmt: skip
    table = pd.DataFrame(rows)[columns]
    order = table.groupby("task", sort=False)["mean"].rank(ascending=False, method="first")
    return (
        table.assign(order=order, at=pd.factorize(table["task"])[0])
        .sort_values(["at", "order"])[columns]
        .reset_index(drop=True)
    )


def _against(values: pd.DataFrame, reference: pd.DataFrame, test_share: float | None) -> dict[str, Any]:
    """Compare one candidate's scores, perturbations x splits, with the reference's; NaN where either failed."""
    kept = ("difference", "perturbations_won", "n_perturbations", "splits_won", "n_splits")
    if (values - reference).isna().all(axis=None):
        return dict.fromkeys(("difference", "gain", "low", "high", "p"), np.nan) | dict.fromkeys(kept[1:], 0)
    test = paired_test(values, reference, test_share)
    low, high = bootstrap_interval((values - reference).to_numpy())
    level = reference.mean().mean()
    gain = test["difference"] / level if level > 0 else np.nan
    return {name: test[name] for name in kept} | {"gain": gain, "low": low, "high": high, "p": test["p_perturbations"]}
