"""LEAP against each model: tests against scipy, intervals against a plain loop, and what is left out."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from leaplib.base.errors import InputError
from leaplib.results.comparisons import COLUMNS, bootstrap_interval, compare_models
from tests.frames import SPLITS, make_scores, make_subset_scores


def matrix(scores, model, member=-1):
    part = scores[(scores["model"] == model) & (scores["member"] == member) & (scores["perturbation"] != "")]
    return part.pivot(index="perturbation", columns="split", values="value")


@pytest.fixture(scope="module")
def scores():
    return make_scores("1a")


@pytest.fixture(scope="module")
def table(scores):
    return compare_models(scores, n_resamples=400)


def test_numbers_are_those_of_pandas_and_scipy(scores, table):
    assert list(table.columns) == COLUMNS
    for row in table.to_dict("records"):
        difference = matrix(scores, "LEAP") - matrix(scores, row["model"], 0 if row["model"] == "PS-LASSO" else -1)
        means = difference.mean(axis=1)
        assert row["difference"] == pytest.approx(difference.to_numpy().mean())
        assert row["p"] == pytest.approx(stats.wilcoxon(means).pvalue)
        assert (row["perturbations_won"], row["n_perturbations"]) == ((means > 0).sum(), 12)
        assert (row["splits_won"], row["n_splits"]) == ((difference.mean() > 0).sum(), 3)
        assert row["low"] < row["difference"] < row["high"]


def test_holm_is_over_the_models_of_a_task():
    both = pd.concat([make_scores("1a"), make_scores("2a", models=("PS-KNN", "LEAP"))])
    table = compare_models(both, n_resamples=10)
    first, second = (table[table["task"] == task] for task in ("1a", "2a"))
    ordered = first.sort_values("p")
    by_hand = (ordered["p"] * np.arange(len(ordered), 0, -1)).cummax().clip(upper=1)
    np.testing.assert_allclose(ordered["p_holm"], by_hand)
    assert second["p_holm"].tolist() == second["p"].tolist()
    assert (first["p_holm"] > first["p"]).any()


def test_models_alone_are_compared_and_members_but_the_first_are_not(scores, table):
    assert table["model"].tolist() == ["PP-MLP", "PS-KNN", "PS-LASSO"]  # no control, not LEAP itself
    other = scores.copy()
    other.loc[(other["member"] > 0), "value"] += 5
    pd.testing.assert_frame_equal(compare_models(other, n_resamples=400), table)
    assert compare_models(scores[scores["model"] != "LEAP"]).empty


def test_only_splits_that_both_ran_on_count(scores, table):
    lacking = scores[~((scores["model"] == "PS-KNN") & (scores["split"] == SPLITS[2]))]
    found = compare_models(lacking, n_resamples=400).set_index("model")
    difference = (matrix(scores, "LEAP") - matrix(scores, "PS-KNN"))[SPLITS[:2]]
    assert found.loc["PS-KNN", "n_splits"] == 2
    assert found.loc["PS-KNN", "difference"] == pytest.approx(difference.to_numpy().mean())
    assert found.loc["PP-MLP", "n_splits"] == 3
    apart = scores[(scores["split"] == SPLITS[0]) == (scores["model"] == "LEAP")]
    assert compare_models(apart, n_resamples=400).empty


def test_on_xenografts_each_subset_is_a_split():
    scores = make_subset_scores()
    found = compare_models(scores, n_resamples=50).set_index("model").loc["PS-KNN"]
    rows = scores[(scores["metric"] == "spearman") & (scores["perturbation"] != "") & (scores["test_set"] >= 0)]
    means = rows.groupby("model")["value"].mean()
    assert (found["n_splits"], found["n_perturbations"]) == (10, 5)
    assert found["difference"] == pytest.approx(means["LEAP"] - means["PS-KNN"])


def test_another_metric():
    scores = make_subset_scores()
    table = compare_models(scores, metric="pearson", n_resamples=20)
    assert (table["difference"] == 0).all()  # all Pearson correlations are 7 in these frames
    assert table["p"].isna().all()


def by_loop(differences, n, seed):
    """A plain bootstrap over both axes, with another generator."""
    rng = np.random.RandomState(seed)
    means = []
    for _ in range(n):
        rows = rng.randint(0, len(differences), len(differences))
        columns = rng.randint(0, differences.shape[1], differences.shape[1])
        of_splits = [np.nanmean(differences[rows, column]) for column in columns]
        means.append(np.nanmean(of_splits))
    return np.quantile(means, [0.025, 0.975])


def test_the_interval_is_that_of_a_plain_loop():
    rng = np.random.default_rng(1)
    effects = rng.normal(0.02, 0.05, (40, 1)) + rng.normal(0, 0.03, (1, 6)) + rng.normal(0, 0.02, (40, 6))
    effects[rng.random(effects.shape) < 0.1] = np.nan
    low, high = bootstrap_interval(effects, 6000, seed=3)
    np.testing.assert_allclose([low, high], by_loop(effects, 6000, 4), atol=0.05 * (high - low))


@pytest.mark.parametrize("axis", [0, 1])
def test_both_perturbations_and_splits_are_drawn(axis):
    along = np.random.default_rng(0).normal(0, 1, 30)
    differences = np.repeat(along[:, None], 30, axis=1) if axis == 0 else np.repeat(along[None], 30, axis=0)
    low, high = bootstrap_interval(differences, 4000)
    expected = 2 * stats.norm.ppf(0.975) * along.std() / np.sqrt(30)
    assert high - low == pytest.approx(expected, rel=0.1)


def test_a_wider_coverage_is_a_wider_interval_and_a_seed_gives_the_same_again():
    differences = np.random.default_rng(2).normal(size=(15, 4))
    narrow, wide = (bootstrap_interval(differences, 1000, coverage=c) for c in (0.8, 0.99))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    assert bootstrap_interval(differences, 1000, seed=7) == bootstrap_interval(differences, 1000, seed=7)
    assert bootstrap_interval(differences, 1000, seed=7) != bootstrap_interval(differences, 1000, seed=8)


def test_intervals_that_are_not_defined_and_bad_requests():
    assert np.isnan(bootstrap_interval(np.array([[0.3]]))).all()
    assert np.isnan(bootstrap_interval(np.full((4, 3), np.nan))).all()
    gaps = np.where(np.eye(5, 4) > 0, np.nan, 0.25)
    np.testing.assert_allclose(bootstrap_interval(gaps, 300), 0.25)
    np.testing.assert_allclose(bootstrap_interval(np.full((5, 2), 0.25), 1200), 0.25)  # not a multiple of a batch
    for arguments in ({"coverage": 1.0}, {"n_resamples": 0}):
        with pytest.raises(InputError, match="bootstrap: coverage"):
            bootstrap_interval(np.zeros((2, 2)), **arguments)
