"""Tests of two methods that were scored on the same perturbations and splits.

Two questions, two tests. *Is one better on most perturbations?* Wilcoxon's signed-rank test over perturbations. *Would
it be better again on other samples?* A paired t-test over splits; random holdouts share most of their training samples,
so their differences are no independent draws, and the variance is corrected for it (Nadeau and Bengio 2003).

References
----------
Nadeau and Bengio (2003), Inference for the generalization error, Machine Learning 52(3).
Holm (1979), A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6(2).
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy import stats

from leaplib.base.errors import InputError
from leaplib.cohorts.cohort import check_unique

TEST_SHARE = 0.2
"""Share of the samples that a random holdout tests on."""


def paired_test(a: pd.DataFrame, b: pd.DataFrame, test_share: float | None = TEST_SHARE) -> dict[str, float]:
    """Compare the scores of method `a` with those of method `b`.

    Parameters
    ----------
    a, b : DataFrame, perturbations x splits
        Scores, larger is better; rows and columns are matched by name. A pair of which either is NaN is left out.
    test_share : float, optional
        Share of the samples in each test set of random holdouts. None where test sets do not overlap
        (unseen tissues): the t-test is then the plain paired one.

    Returns
    -------
    dict
        difference (mean over splits of the mean of a - b over perturbations) and sd (over splits); n_perturbations,
        perturbations_won (a > b in the mean over splits) and p_perturbations (Wilcoxon's signed-rank test of these
        means, two-sided, without those that are 0); n_splits, splits_won, t and p_splits (two-sided, n_splits - 1
        degrees of freedom). NaN where a test is not defined: of p_perturbations if all differences are 0, of sd, t
        and p_splits for a single split, of t and p_splits if all splits differ by the same.

    Raises
    ------
    InputError
        When the frames list other perturbations or splits, names repeat, a score is infinite, no pair is left, or
        `test_share` is out of range.
    """
    if test_share is not None and not 0 < test_share < 1:
        raise InputError(f"test_share must be between 0 and 1, or None for test sets that do not overlap: {test_share}")
    difference = _difference(a, b)
    of_perturbations = difference.mean(axis=1).dropna().to_numpy()
    of_splits = difference.mean(axis=0).dropna().to_numpy()
    t, p = _resampled_t(of_splits, 0.0 if test_share is None else test_share / (1 - test_share))
    return {"difference": float(of_splits.mean()),
            "sd": float(of_splits.std(ddof=1)) if len(of_splits) > 1 else np.nan,
            "n_perturbations": len(of_perturbations), "perturbations_won": int((of_perturbations > 0).sum()),
            "p_perturbations": _wilcoxon(of_perturbations),
            "n_splits": len(of_splits), "splits_won": int((of_splits > 0).sum()), "t": t, "p_splits": p}  # fmt: skip


def neighbours(scores: Mapping[str, pd.DataFrame], order: Sequence[str],
               test_share: float | None = TEST_SHARE) -> pd.DataFrame:  # fmt: skip
    """Compare each step of an ablation with the one before it.

    Parameters
    ----------
    scores : mapping of step to DataFrame, perturbations x splits
    order : sequence of str
        The steps to compare, at least 2.
    test_share : float, optional
        As in `paired_test`.

    Returns
    -------
    DataFrame
        before, after, what `paired_test` returns (after - before), p_perturbations_holm, p_splits_holm: adjusted for
        the number of comparisons in this table.

    Raises
    ------
    InputError
        For a step without scores, fewer than 2 steps, and as in `paired_test`.
    """
    absent = [step for step in order if step not in scores]
    if absent:
        raise InputError(f"step {absent[0]!r} has no scores: those at hand are {', '.join(map(repr, scores))}")
    if len(order) < 2:
        raise InputError(f"{len(order)} step cannot be compared: give at least 2")
    table = pd.DataFrame([{"before": before, "after": after} | paired_test(scores[after], scores[before], test_share)
                          for before, after in pairwise(order)])  # fmt: skip
    for name in ("p_perturbations", "p_splits"):
        table[f"{name}_holm"] = holm(table[name].to_numpy())
    return table


def holm(p: np.ndarray) -> np.ndarray:
    """Return p-values adjusted by Holm's procedure; NaN is no test, and stays."""
    adjusted = np.full(len(p), np.nan)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]  # NaN comes last
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1.0)
    return adjusted


def _difference(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Return a - b, perturbations x splits, after checks."""
    for axis, what in (("index", "perturbation"), ("columns", "split")):
        one, other = getattr(a, axis), getattr(b, axis)
        for names in (one, other):
            check_unique(names, what, "scores to compare")
        apart = one.symmetric_difference(other)
        if len(apart):
            raise InputError(f"{what} {apart[0]!r} was scored for one method only ({len(apart)} such): drop it")
    if np.isinf(a.to_numpy(dtype=float)).any() or np.isinf(b.to_numpy(dtype=float)).any():
        raise InputError("scores to compare: a score is infinite")
    difference = a.astype(float) - b.loc[a.index, a.columns].astype(float)
    if difference.isna().all(axis=None):
        raise InputError("scores to compare: no perturbation has a score of both methods in any split")
    return difference


def _wilcoxon(differences: np.ndarray) -> float:
    """Return the p-value of the signed-rank test, NaN where all differences are 0."""
    differences = differences[differences != 0]
    return float(stats.wilcoxon(differences).pvalue) if len(differences) else np.nan


def _resampled_t(differences: np.ndarray, ratio: float) -> tuple[float, float]:
    """Return t and p of the mean of n differences whose test sets are `ratio` times the training sets.

    The variance of the mean is (1 / n + ratio) times that of the differences.
    """
    n = len(differences)
    if n < 2 or np.ptp(differences) <= 1e-12 * np.abs(differences).max():  # equal but for rounding
        return np.nan, np.nan
    t = differences.mean() / np.sqrt((1 / n + ratio) * differences.var(ddof=1))
    return float(t), float(2 * stats.t.sf(abs(t), n - 1))
