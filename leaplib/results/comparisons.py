"""Methods compared on the same perturbations and splits: models, variants of an ablation, candidates for LEAP+.

Two questions, two tests. *Is one better on most perturbations?* Wilcoxon's signed-rank test over perturbations. *Would
it be better again on other samples?* A paired t-test over splits and, for the size of the difference, the 95% interval
of the same t. Random holdouts share most of their training samples, so that their differences are no independent draws,
and the variance is corrected for it (`interval`); unseen tissues do not overlap, and take the plain t. A single split
has no interval (NaN), and neither have xenografts: their subsets are of one split.

References
----------
Holm (1979), A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6(2).
Nadeau and Bengio (2003), Inference for the generalization error, Machine Learning 52(3).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from leaplib.base.errors import InputError
from leaplib.cohorts.cohort import check_unique
from leaplib.cohorts.splits import INNER, XENOGRAFTS
from leaplib.models.table import names
from leaplib.results.scores import models_only
from leaplib.runs.recipes import REFERENCES
from leaplib.tasks import get_task

REFERENCE = "LEAP"
CRITERION = ("spearman", "pearson", "auroc")
"""What candidates are chosen by, written down before they were scored: the mean of what they gain in each."""
TEST_TO_TRAINING = {"holdout": 0.2 / 0.8, "tissue": 0.0, "xenograft": np.nan}
"""By the design of a task, how large a test set is by its training set; 0: they do not overlap, NaN: one split."""
REPRESENTATION_SPREAD = 0.002
"""What two sets of five DAMAEs may differ by in LEAP's mean Spearman correlation over the holdouts of task 2a.

A round value: two sets, of versions 0.6 and 0.8, gave 0.366 and 0.367; the SD over three disjoint sets is still to be
measured. No sentence, order or verdict rests on a smaller difference, which may turn with the seeds or the processor.
"""
LEVEL = 0.95  # of intervals
BETTER, WORSE, APART = "better", "worse", "not told apart"
WON = ["perturbations_won", "n_perturbations", "splits_won", "n_splits"]
COLUMNS = ["task", "study", "model", "difference", "low", "high", "p", "p_holm", "p_splits", *WON, "data"]
GAINS = ["task", "candidate", "mean", "gain", "difference", "low", "high", "p", "p_splits", *WON, "seconds", "data"]
TESTS = ["compared_with", "difference", "low", "high", "n_perturbations", "perturbations_won", "p_perturbations",
         "p_perturbations_holm", "splits_won", "p_splits", "p_splits_holm"]  # fmt: skip


def paired_test(a: pd.DataFrame, b: pd.DataFrame, ratio: float = TEST_TO_TRAINING["holdout"]) -> dict[str, float]:
    """Compare the scores of method `a` with those of method `b`.

    Parameters
    ----------
    a, b : DataFrame, perturbations x splits
        Larger is better; matched by name. A pair of which either is NaN is left out.
    ratio : float
        As in `interval`.

    Returns
    -------
    dict
        difference (mean over splits of the mean of a - b over perturbations) with low and high (its `interval`);
        n_perturbations, perturbations_won, p_perturbations (two-sided, without differences of 0); n_splits,
        splits_won, p_splits (two-sided). NaN where something is not defined.
    """
    difference = _difference(a, b)
    of_perturbations = difference.mean(axis=1).dropna().to_numpy()
    of_splits = difference.mean(axis=0).dropna().to_numpy()
    changed = of_perturbations[of_perturbations != 0]
    low, high = interval(of_splits, ratio)
    error = _error(of_splits, ratio)
    t = abs(of_splits.mean()) / error if error else np.nan
    return {
        "difference": float(of_splits.mean()),
        "low": low,
        "high": high,
        "n_perturbations": len(of_perturbations),
        "perturbations_won": int((of_perturbations > 0).sum()),
        "p_perturbations": float(stats.wilcoxon(changed).pvalue) if len(changed) else np.nan,
        "n_splits": len(of_splits),
        "splits_won": int((of_splits > 0).sum()),
        "p_splits": float(2 * stats.t.sf(t, len(of_splits) - 1)),
    }


def interval(differences: np.ndarray, ratio: float = TEST_TO_TRAINING["holdout"]) -> tuple[float, float]:
    """Return the 95% interval of the mean difference over splits, corrected for overlap (Nadeau and Bengio 2003).

    The variance of the mean of n differences is taken as (1 / n + ratio) times that of the differences, with n - 1
    degrees of freedom. Measured on two equally good learners (least squares on halves of the features, 100 to 400
    samples, seven settings, 1,500 to 4,000 data sets each): it covers 0 in 91% to 95% with 10 holdouts and in 94% to
    95% with 3, where the plain t covers it in 67% to 74% and in 90% to 92%.

    Parameters
    ----------
    differences : array, one value a split
    ratio : float
        Size of a test set by that of its training set; 0 where test sets do not overlap, NaN where there is no
        interval (`TEST_TO_TRAINING`).

    Returns
    -------
    low, high : float
        NaN with a single split.
    """
    if ratio < 0:
        raise InputError(f"the size of a test set by that of its training set cannot be {ratio}")
    half = _error(differences, ratio) * stats.t.ppf((1 + LEVEL) / 2, len(differences) - 1)
    return float(differences.mean() - half), float(differences.mean() + half)


def _error(differences: np.ndarray, ratio: float) -> float:
    """Return the standard error of the mean over splits; 0 where they are equal but for rounding."""
    n = len(differences)
    if n < 2:
        return np.nan
    equal = np.ptp(differences) <= 1e-12 * np.abs(differences).max()
    return float(np.sqrt((1 / n + ratio) * differences.var(ddof=1) * (not equal)))


def _difference(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Return a - b, perturbations x splits, after checks."""
    for axis, what in (("index", "perturbation"), ("columns", "split")):
        one, other = getattr(a, axis), getattr(b, axis)
        for labels in (one, other):
            check_unique(labels, what, "scores to compare")
        apart = one.symmetric_difference(other)
        if len(apart):
            raise InputError(f"{what} {apart[0]!r} was scored for one method only ({len(apart)} such): drop it")
    difference = a.astype(float) - b.loc[a.index, a.columns].astype(float)
    if np.isinf(difference.to_numpy()).any():
        raise InputError("scores to compare: a score is infinite")
    if difference.isna().all(axis=None):
        raise InputError("scores to compare: no perturbation has a score of both methods in any split")
    return difference


def told(row: Mapping[Any, Any]) -> str:
    """Return what a difference with its interval tells: "better", "worse" or "not told apart".

    The interval excludes 0 and the difference is larger than `REPRESENTATION_SPREAD`; without an interval nothing is
    told.
    """
    if abs(row["difference"]) <= REPRESENTATION_SPREAD:
        return APART
    return BETTER if row["low"] > 0 else WORSE if row["high"] < 0 else APART


def holm(p: np.ndarray) -> np.ndarray:
    """Return p-values adjusted by Holm's procedure; NaN is no test, and stays."""
    adjusted = np.full(len(p), np.nan)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]  # NaN comes last
    adjusted[order] = np.minimum(np.maximum.accumulate(np.arange(len(order), 0, -1) * p[order]), 1.0)
    return adjusted


def compare_models(scores: pd.DataFrame, reference: str = REFERENCE, metric: str = "spearman") -> pd.DataFrame:
    """Compare a model with each other one, on each task and against each study that scores name.

    Controls are left out, and what shares no score with the model.

    Returns
    -------
    DataFrame
        `COLUMNS`: difference (reference - model) with its interval; the signed-rank test's p, after Holm's correction
        within task and study in p_holm; the p over splits; how many perturbations and splits the reference wins, of
        those with both scores.
    """
    found = []
    scores = scores if "study" in scores else scores.assign(study="")
    for (task, study), part in models_only(scores).groupby(["task", "study"], sort=False):
        wide = _matrices(part, "model", metric)
        others = [name for name in names() if name != reference and name in wide and reference in wide]
        tests = [{"model": name} | _against(wide[reference], wide[name], str(task))
                 for name in others if _shared(wide[reference], wide[name])]  # fmt: skip
        if tests:
            table = pd.DataFrame(tests).rename(columns={"p_perturbations": "p"})
            about = {"task": str(task), "study": str(study), "data": part["data"].iloc[0]}
            found.append(table.assign(**about, p_holm=holm(table["p"].to_numpy())))
    return pd.concat(found, ignore_index=True)[COLUMNS] if found else pd.DataFrame(columns=COLUMNS)


def compare_variants(scores: pd.DataFrame) -> pd.DataFrame:
    """Test each variant against the one before it in its group, or against the group's reference (`REFERENCES`).

    Returns
    -------
    DataFrame
        task, group, name, level, metric (Spearman's correlation per perturbation), `TESTS`; Holm within task and group.
    """
    found = []
    for (task, group), part in scores[scores["note"] == ""].groupby(["task", "group"], sort=False):
        wide = _matrices(part, "variant", "spearman")
        pairs = _pairs(list(wide), REFERENCES.get(str(group)))
        tests = [
            {"name": name, "compared_with": other} | _against(wide[name], wide[other], str(task))
            for name, other in pairs
            if _shared(wide[name], wide[other])
        ]
        if tests:
            table = pd.DataFrame(tests).assign(task=str(task), group=str(group))
            corrected = {f"{p}_holm": holm(table[p].to_numpy()) for p in ("p_perturbations", "p_splits")}
            found.append(table.assign(**corrected))
    table = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["task", "group", "name", *TESTS])
    return table.assign(level="per_perturbation", metric="spearman")[
        ["task", "group", "name", "level", "metric", *TESTS]
    ]


def _pairs(variants: list[str], reference: str | None) -> Iterable[tuple[str, str]]:
    """Return which variant is compared with which."""
    if reference is None:
        return zip(variants[1:], variants, strict=False)
    return [(name, reference) for name in variants if name != reference and reference in variants]


def gains(scores: pd.DataFrame, reference: str = REFERENCE, metric: str = "spearman") -> pd.DataFrame:
    """Compare candidates with a reference.

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.runs.experiment.run_candidates`, of one or several tasks.
    reference : str
    metric : {"spearman", "pearson"}

    Returns
    -------
    DataFrame
        `GAINS`: mean, gain (relative to the reference), difference with its interval, p of the signed-rank test and
        over splits, how many are won, seconds (a split); best first. NaN where either failed.
    """
    tables = []
    for task, part in scores.groupby("task", sort=False):
        wide = _matrices(part, "candidate", metric)
        if reference not in wide:
            raise InputError(f"task {task}: no scores of {reference}: add it to the candidates")
        level, nothing = wide[reference].mean().mean(), dict.fromkeys(WON, 0)
        seconds = part.drop_duplicates(["candidate", "split"]).groupby("candidate")["seconds"].mean()
        rows = [{"candidate": name, "mean": values.mean().mean(), "seconds": seconds[name]}
                | (_against(values, wide[reference], str(task)) if _shared(values, wide[reference]) else nothing)
                for name, values in wide.items()]  # fmt: skip
        table = pd.DataFrame(rows).assign(task=task, data=part["data"].iloc[0])
        table = table.rename(columns={"p_perturbations": "p"}).reindex(columns=GAINS)
        table["gain"] = table["difference"] / level if level > 0 else np.nan
        tables.append(table.sort_values("mean", ascending=False, kind="stable"))
    return pd.concat(tables, ignore_index=True)


def choice(inner: pd.DataFrame, test: pd.DataFrame | None = None) -> pd.DataFrame:
    """Rank candidates by what they gain on LEAP within the training sets (nested cross-validation), mean over tasks.

    Each tuning fold of a training set in turn was held out, and candidates were tuned, fitted and averaged on the
    others alone; what is best on the folds held out is the choice, and no test sample had a say in it.

    Parameters
    ----------
    inner : DataFrame
        As `leaplib.runs.experiment.run_candidates` within training sets.
    test : DataFrame, optional
        As there, on test sets. Only the splits count whose training sets `inner` is from: the test samples of
        others are among those chosen on.

    Returns
    -------
    DataFrame
        candidate, rank (1: chosen), inner_gain (over LEAP: the mean over tasks and the scores of `CRITERION`), and of
        each task inner_<task> and, where it was given, test_<task> (mean Spearman correlations); best first, those
        that failed (NaN) last.
    """
    own = inner["split"].str.partition(INNER)[0].unique()
    within = _means(inner)
    if REFERENCE not in within.index:
        raise InputError(f"no scores of {REFERENCE}: add it to the candidates")
    lacking = [name for name, part in inner.groupby("candidate") if part["task"].nunique() < inner["task"].nunique()]
    if lacking:
        raise InputError(f"candidate {lacking[0]!r} lacks scores of a task: choose on the same")
    table = within.add_prefix("inner_")
    if test is not None:
        same = test["split"].isin(own) & test["task"].isin(inner["task"])
        table = table.join(_means(test[same]).add_prefix("test_"))
    scored = [_means(inner, metric) for metric in CRITERION if (inner["metric"] == metric).any()]
    gained = [(values - values.loc[REFERENCE]).mean(axis=1, skipna=False) for values in scored]
    table.insert(0, "inner_gain", pd.concat(gained, axis=1).mean(axis=1, skipna=False))
    table = table.sort_values("inner_gain", ascending=False)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table.rename_axis(columns=None).reset_index()


def _means(scores: pd.DataFrame, metric: str = "spearman") -> pd.DataFrame:
    """Return the means of a score over perturbations, then splits: candidates x tasks; NaN if one failed."""
    values = scores[scores["metric"] == metric].groupby(["candidate", "task", "split"], sort=False)["value"].mean()
    return values.groupby(["candidate", "task"], sort=False).agg(lambda part: part.mean(skipna=False)).unstack("task")


def _matrices(scores: pd.DataFrame, by: str, metric: str) -> dict[Any, pd.DataFrame]:
    """Return each method's scores over all test samples of a split, perturbations x splits; a subset is a split."""
    rows = scores[scores["metric"] == metric]
    if "test_set" in rows:
        subset = rows["split"] == XENOGRAFTS
        rows = rows[(rows["perturbation"] != "") & np.where(subset, rows["test_set"] >= 0, rows["test_set"] == -1)]
        numbered = "subset " + rows["test_set"].astype(str)
        rows = rows.assign(split=rows["split"].where(rows["split"] != XENOGRAFTS, numbered))
    return {name: part.pivot(index="perturbation", columns="split", values="value")
            for name, part in rows.groupby(by, sort=False)}  # fmt: skip


def _shared(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    """Tell whether two methods have scores of the same perturbations on the same splits."""
    a, b = a.align(b, join="inner")
    return bool((a - b).notna().any(axis=None))


def _against(a: pd.DataFrame, b: pd.DataFrame, task: str) -> dict[str, float]:
    """Compare two methods where both have scores."""
    a, b = a.align(b, join="inner")
    return paired_test(a, b, ratio_of(task))


def ratio_of(task: str) -> float:
    """Return `TEST_TO_TRAINING` of a task, such as "5a combat"."""
    return TEST_TO_TRAINING[get_task(task.partition(" ")[0]).design]
