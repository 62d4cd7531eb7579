"""Methods compared on the same perturbations and splits: models, variants of an ablation, candidates for LEAP+.

Two questions, two tests. *Is one better on most perturbations?* Wilcoxon's signed-rank test over perturbations. *Would
it be better again on other samples?* A paired t-test over splits; random holdouts share most of their training samples,
so their differences are no independent draws, and the variance is corrected for it (Nadeau and Bengio 2003).

The interval of a difference is of a bootstrap of perturbations *and* splits: both are drawn anew, with replacement and
independently of each other, since they are crossed (Owen 2007). The subsets of xenografts, where there is one split,
count as splits; they overlap, so that their intervals are too narrow.

References
----------
Holm (1979), A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6(2).
Nadeau and Bengio (2003), Inference for the generalization error, Machine Learning 52(3).
Owen (2007), The pigeonhole bootstrap, Ann. Appl. Stat. 1(2).
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from leaplib.base.errors import InputError
from leaplib.cohorts.cohort import check_unique
from leaplib.cohorts.splits import INNER, XENOGRAFTS
from leaplib.models.table import names
from leaplib.results.scores import models_only
from leaplib.runs.ablations import REFERENCES
from leaplib.tasks import get_task

REFERENCE = "LEAP"
TEST_SHARE = 0.2
"""Share of the samples that a random holdout tests on."""
N_RESAMPLES, AT_ONCE = 5000, 500  # resamples, and those in memory together
WON = ["perturbations_won", "n_perturbations", "splits_won", "n_splits"]
COLUMNS = ["task", "model", "difference", "low", "high", "p", "p_holm", *WON, "data"]
GAINS = ["task", "candidate", "mean", "gain", "difference", "low", "high", "p", *WON, "seconds", "data"]
TESTS = ["compared_with", "difference", "n_perturbations", "perturbations_won", "p_perturbations",
         "p_perturbations_holm", "splits_won", "p_splits", "p_splits_holm"]  # fmt: skip


def paired_test(a: pd.DataFrame, b: pd.DataFrame, test_share: float | None = TEST_SHARE) -> dict[str, float]:
    """Compare the scores of method `a` with those of method `b`.

    Parameters
    ----------
    a, b : DataFrame, perturbations x splits
        Larger is better; matched by name. A pair of which either is NaN is left out.
    test_share : float, optional
        Share of the samples in each test set of random holdouts; None where test sets do not overlap (unseen tissues):
        the t-test is then the plain paired one.

    Returns
    -------
    dict
        difference (mean over splits of the mean of a - b over perturbations) and sd (over splits); n_perturbations,
        perturbations_won, p_perturbations (two-sided, without differences of 0); n_splits, splits_won, t, p_splits
        (two-sided, n_splits - 1 degrees of freedom). NaN where a test is not defined.
    """
    if test_share is not None and not 0 < test_share < 1:
        raise InputError(f"test_share must be between 0 and 1, or None for test sets that do not overlap: {test_share}")
    difference = _difference(a, b)
    of_perturbations = difference.mean(axis=1).dropna().to_numpy()
    of_splits = difference.mean(axis=0).dropna().to_numpy()
    changed = of_perturbations[of_perturbations != 0]
    t, p = _resampled_t(of_splits, 0.0 if test_share is None else test_share / (1 - test_share))
    return {
        "difference": float(of_splits.mean()),
        "sd": float(of_splits.std(ddof=1)) if len(of_splits) > 1 else np.nan,
        "n_perturbations": len(of_perturbations),
        "perturbations_won": int((of_perturbations > 0).sum()),
        "p_perturbations": float(stats.wilcoxon(changed).pvalue) if len(changed) else np.nan,
        "n_splits": len(of_splits),
        "splits_won": int((of_splits > 0).sum()),
        "t": t,
        "p_splits": p,
    }


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


def _resampled_t(differences: np.ndarray, ratio: float) -> tuple[float, float]:
    """Return t and p of the mean of n differences whose test sets are `ratio` times the training sets.

    The variance of the mean is (1 / n + ratio) times that of the differences.
    """
    n = len(differences)
    if n < 2 or np.ptp(differences) <= 1e-12 * np.abs(differences).max():  # equal but for rounding
        return np.nan, np.nan
    t = differences.mean() / np.sqrt((1 / n + ratio) * differences.var(ddof=1))
    return float(t), float(2 * stats.t.sf(abs(t), n - 1))


def holm(p: np.ndarray) -> np.ndarray:
    """Return p-values adjusted by Holm's procedure; NaN is no test, and stays."""
    adjusted = np.full(len(p), np.nan)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]  # NaN comes last
    adjusted[order] = np.minimum(np.maximum.accumulate(np.arange(len(order), 0, -1) * p[order]), 1.0)
    return adjusted


def bootstrap_interval(differences: np.ndarray, n_resamples: int = N_RESAMPLES, seed: int = 0,
                       coverage: float = 0.95) -> tuple[float, float]:  # fmt: skip
    """Return a percentile interval of the mean over splits of the mean over perturbations.

    Parameters
    ----------
    differences : array, perturbations x splits
        NaN where there is no score; with fewer than two scores the interval is NaN.
    n_resamples, seed : int
    coverage : float
        Between 0 and 1.
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


def compare_models(scores: pd.DataFrame, reference: str = REFERENCE, metric: str = "spearman",
                   n_resamples: int = N_RESAMPLES, seed: int = 0) -> pd.DataFrame:  # fmt: skip
    """Compare a model with each other one on each task; controls are left out, and what shares no score with it.

    Returns
    -------
    DataFrame
        `COLUMNS`: difference (reference - model) with its interval; the signed-rank test's p, after Holm's correction
        within the task in p_holm; how many perturbations and splits the reference wins, of those with both scores.
    """
    found = []
    for task, part in models_only(scores).groupby("task", sort=False):
        wide = _matrices(part, "model", metric)
        others = [name for name in names() if name != reference and name in wide and reference in wide]
        tests = [{"model": name} | _against(wide[reference], wide[name], str(task), n_resamples, seed)
                 for name in others if _shared(wide[reference], wide[name])]  # fmt: skip
        if tests:
            table = pd.DataFrame(tests).rename(columns={"p_perturbations": "p"})
            found.append(table.assign(task=task, data=part["data"].iloc[0], p_holm=holm(table["p"].to_numpy())))
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
            {"name": name, "compared_with": other} | _against(wide[name], wide[other], str(task), 0)
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
        `GAINS`: mean, gain (relative to the reference), difference with its interval, p of the signed-rank test, how
        many are won, seconds (a split); best first. NaN where either failed.
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
        candidate, rank (1: chosen), inner_gain (relative to LEAP, mean over tasks), and of each task inner_<task> and,
        where it was given, test_<task> (mean Spearman correlations); best first, those that failed (NaN) last.
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
    table.insert(0, "inner_gain", (within / within.loc[REFERENCE] - 1).mean(axis=1, skipna=False))
    table = table.sort_values("inner_gain", ascending=False)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table.rename_axis(columns=None).reset_index()


def _means(scores: pd.DataFrame) -> pd.DataFrame:
    """Return mean Spearman correlations over perturbations, then splits: candidates x tasks; NaN if one failed."""
    values = scores[scores["metric"] == "spearman"].groupby(["candidate", "task", "split"], sort=False)["value"].mean()
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


def _against(a: pd.DataFrame, b: pd.DataFrame, task: str, n_resamples: int = N_RESAMPLES, seed: int = 0) -> dict:
    """Compare two methods where both have scores; `n_resamples` 0: without an interval."""
    a, b = a.align(b, join="inner")
    design = get_task(task.partition(" ")[0]).design
    test = paired_test(a, b, TEST_SHARE if design == "holdout" else None)
    low, high = bootstrap_interval((a - b).to_numpy(), n_resamples, seed) if n_resamples else (np.nan, np.nan)
    return test | {"low": low, "high": high}
