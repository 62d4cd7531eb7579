"""Methods compared: tests against scipy, intervals against a plain loop, and what is left out."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from leaplib.base.errors import InputError
from leaplib.results.comparisons import COLUMNS, bootstrap_interval, choice, compare_models, gains, holm, paired_test
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


# ---- the paired test


def drawn(seed=0, shift=0.0, n=40, splits=10):
    rng = np.random.default_rng(seed)
    values = rng.uniform(0, 0.5, (n, 1)) + 0.05 * rng.normal(size=(n, splits)) + shift
    return pd.DataFrame(values, [f"p{i}" for i in range(n)], [f"holdout-{i}" for i in range(splits)])


def test_values_computed_by_hand():
    a = pd.DataFrame({"x": [0.5, 0.4, 0.1], "y": [0.7, 0.1, 0.3]}, index=["p", "q", "r"])
    b = pd.DataFrame({"x": [0.2, 0.4, 0.2], "y": [0.4, 0.0, 0.4]}, index=["p", "q", "r"])
    found = paired_test(a, b)
    # Splits differ by (0.3 + 0 - 0.1) / 3 = 1/15 and (0.3 + 0.1 - 0.1) / 3 = 1/10, perturbations by 0.3, 0.05, -0.1.
    assert found["difference"] == pytest.approx(1 / 12)
    assert found["sd"] == pytest.approx(1 / 30 / np.sqrt(2))
    assert (found["n_perturbations"], found["perturbations_won"]) == (3, 2)
    assert (found["n_splits"], found["splits_won"]) == (2, 2)
    # t = (1/12) / sqrt((1/2 + 1/4) / 1800), and with 1 degree of freedom p = 1 - 2 atan(t) / pi.
    assert found["t"] == pytest.approx(1 / 12 / np.sqrt(0.75 / 1800))
    assert found["p_splits"] == pytest.approx(1 - 2 * np.arctan(found["t"]) / np.pi)
    assert found["p_perturbations"] == pytest.approx(6 / 8)  # ranks 3 + 1 against 2: 6 of 8 signs are as uneven


def test_random_holdouts_equal_nadeau_and_bengio():
    a, b = drawn(1, 0.02), drawn(2)
    found = paired_test(a, b)
    difference = (a.mean() - b.mean()).to_numpy()
    t = difference.mean() / np.sqrt((1 / 10 + 0.2 / 0.8) * difference.var(ddof=1))
    assert found["t"] == pytest.approx(t)
    assert found["p_splits"] == pytest.approx(2 * stats.t(9).sf(abs(t)))
    plain = stats.ttest_rel(a.mean(), b.mean())
    assert found["t"] == pytest.approx(plain.statistic / np.sqrt(1 + 10 / 4))  # a plain test is too sure
    assert found["p_splits"] > plain.pvalue
    other = paired_test(a, b, test_share=0.5)
    assert other["t"] == pytest.approx(plain.statistic / np.sqrt(1 + 10))
    assert other["p_perturbations"] == found["p_perturbations"]


def test_unseen_tissues_equal_scipys_paired_t_test():
    a, b = drawn(1, 0.02), drawn(2)
    found, plain = paired_test(a, b, test_share=None), stats.ttest_rel(a.mean(), b.mean())
    assert found["t"] == pytest.approx(plain.statistic)
    assert found["p_splits"] == pytest.approx(plain.pvalue)


@pytest.mark.parametrize("n", [12, 300])
def test_perturbations_equal_scipys_signed_rank_test(n):
    a, b = drawn(1, 0.03, n), drawn(2, n=n)
    wanted = stats.wilcoxon(a.mean(axis=1), b.mean(axis=1))
    assert paired_test(a, b)["p_perturbations"] == pytest.approx(wanted.pvalue)
    assert paired_test(b, a)["p_perturbations"] == pytest.approx(wanted.pvalue)


def test_turned_around_the_sign_changes_and_ties_are_won_by_none():
    a, b = drawn(1, 0.01), drawn(2)
    b.iloc[:3] = a.iloc[:3]
    one, other = paired_test(a, b), paired_test(b, a)
    assert one["difference"] == -other["difference"] and one["t"] == -other["t"]
    assert one["p_splits"] == other["p_splits"]
    assert one["perturbations_won"] + other["perturbations_won"] == one["n_perturbations"] - 3
    assert one["p_perturbations"] == pytest.approx(paired_test(a.iloc[3:], b.iloc[3:])["p_perturbations"])


def test_rows_and_columns_are_matched_by_name():
    a, b = drawn(1, 0.01), drawn(2)
    mixed = b.sample(frac=1, random_state=0).sample(frac=1, axis=1, random_state=0)
    assert paired_test(a, mixed) == pytest.approx(paired_test(a, b))


def test_a_pair_with_a_missing_score_is_left_out_of_both():
    a, b = drawn(1, 0.01), drawn(2)
    a.iloc[0, 0], b.iloc[1, 1], a.iloc[2], b["holdout-9"] = np.nan, np.nan, np.nan, np.nan
    found = paired_test(a, b)
    both = a.notna() & b.notna()
    assert (found["n_perturbations"], found["n_splits"]) == (39, 9)
    a, b = (frame.where(both).drop(index="p2", columns="holdout-9") for frame in (a, b))
    assert found["difference"] == pytest.approx((a.mean() - b.mean()).mean())
    assert found["p_perturbations"] == pytest.approx(stats.wilcoxon(a.mean(axis=1), b.mean(axis=1)).pvalue)
    assert paired_test(a, b) == pytest.approx(found)


def test_what_is_not_defined_is_nan():
    a, b = drawn(1, 0.01), drawn(2)
    single = paired_test(a[["holdout-3"]], b[["holdout-3"]])
    assert np.isnan([single["sd"], single["t"], single["p_splits"]]).all()
    assert single["n_splits"] == 1 and 0 < single["p_perturbations"] < 1
    same = paired_test(a, a)
    assert np.isnan([same["t"], same["p_splits"], same["p_perturbations"]]).all()
    assert (same["difference"], same["perturbations_won"], same["splits_won"]) == (0, 0, 0)
    a = pd.DataFrame([[0.1 + 0.2, 0.3], [0.0, 0.0]])  # splits that differ by the same but for rounding
    shifted = paired_test(a, 0 * a)
    assert shifted["difference"] == pytest.approx(0.15) and np.isnan([shifted["t"], shifted["p_splits"]]).all()


def test_holm_by_hand():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03])), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(holm(np.array([0.9, np.nan, 0.6, 0.001])), [1, np.nan, 1, 0.003])
    assert np.isnan(holm(np.array([np.nan]))).all()


def test_what_cannot_be_compared_is_named():
    a, b = drawn(1), drawn(2)
    with pytest.raises(InputError, match=r"perturbation 'p7' was scored for one method only \(1 such\)"):
        paired_test(a, b.drop(index="p7"))
    with pytest.raises(InputError, match="split 'holdout-0' was scored for one method"):
        paired_test(a.drop(columns="holdout-0"), b)
    with pytest.raises(InputError, match="perturbation 'p0' stands more than once"):
        paired_test(pd.concat([a, a.iloc[:1]]), b)
    with pytest.raises(InputError, match="infinite"):
        paired_test(a.replace(a.iloc[0, 0], np.inf), b)
    with pytest.raises(InputError, match="no perturbation has a score of both"):
        paired_test(a * np.nan, b)
    for share in (0.0, 1.0):
        with pytest.raises(InputError, match="test_share must be between"):
            paired_test(a, b, share)


# ---- candidates


def candidates(means, task="2a"):
    rng = np.random.default_rng(0)
    level = rng.normal(0, 0.1, (20, 3))
    rows = [(task, name, split, f"p{p}", "spearman", mean + level[p, s] + rng.normal(0, 0.01), 2.0, "real")
            for name, mean in means.items() for s, split in enumerate(SPLITS) for p in range(20)]  # fmt: skip
    columns = ["task", "candidate", "split", "perturbation", "metric", "value", "seconds", "data"]
    return pd.DataFrame(rows, columns=columns)


def test_gains_are_relative_paired_and_best_first():
    scores = pd.concat([candidates({"LEAP": 0.4, "LEAP+": 0.44, "PS-LASSO": 0.38}), candidates({"LEAP": 0.3}, "4a")])
    table = gains(scores)
    assert table[["task", "candidate"]].to_numpy().tolist() == [
        ["2a", "LEAP+"], ["2a", "LEAP"], ["2a", "PS-LASSO"], ["4a", "LEAP"]]  # fmt: skip
    wide = scores.query("task == '2a'").pivot(index=["candidate", "perturbation"], columns="split", values="value")
    apart = (wide.loc["LEAP+"] - wide.loc["LEAP"]).to_numpy()
    row = table.iloc[0]
    assert row["difference"] == pytest.approx(apart.mean()) and (row["low"], row["high"]) == bootstrap_interval(apart)
    assert row["gain"] == pytest.approx(apart.mean() / wide.loc["LEAP"].to_numpy().mean())
    assert row["p"] == pytest.approx(stats.wilcoxon(apart.mean(axis=1)).pvalue) and row["seconds"] == 2
    with pytest.raises(InputError, match="task 2a: no scores of PS-RIDGE: add it"):
        gains(scores, "PS-RIDGE")


def test_a_candidate_that_failed_is_a_gap_and_counts_where_it_did_not():
    scores = candidates({"LEAP": 0.4, "LEAP+": 0.44})
    lost = (scores["candidate"] == "LEAP+") & (scores["split"] == SPLITS[0])
    row = gains(scores.assign(value=scores["value"].where(~lost))).set_index("candidate").loc["LEAP+"]
    rest = gains(scores[scores["split"] != SPLITS[0]]).set_index("candidate").loc["LEAP+"]
    assert row["n_splits"] == 2 and row["difference"] == pytest.approx(rest["difference"])
    gone = gains(scores.assign(value=scores["value"].where(scores["candidate"] != "LEAP+")))
    assert gone["candidate"].tolist() == ["LEAP", "LEAP+"]
    assert gone.iloc[1][["mean", "gain", "difference", "low", "p"]].isna().all() and gone.iloc[1]["n_splits"] == 0


def frame(values, task="2a"):
    rows = [(name, split, f"drug {j}", value + 0.01 * j) for name, per_split in values.items()
            for split, value in per_split.items() for j in range(3)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["candidate", "split", "perturbation", "value"])
    return table.assign(task=task, metric="spearman", seconds=0.0, data="real")


def within(value):
    return {"holdout-0, inner 0": value - 0.01, "holdout-0, inner 1": value + 0.01}


def test_the_choice_is_by_the_mean_relative_gain_over_tasks():
    first = frame({"LEAP": within(0.29), "LEAP+": within(0.32), "PS-RIDGE": within(0.35)})
    second = frame({"LEAP": within(0.09), "LEAP+": within(0.14), "PS-RIDGE": within(0.09)}, "4a")
    test = frame({"LEAP": {"holdout-0": 0.29}, "LEAP+": {"holdout-0": 0.35}, "PS-RIDGE": {"holdout-0": 0.32}})
    # Test samples of another split are among those that were chosen on: no part of it.
    other = test.assign(split="holdout-1", value=-1.0)
    table = choice(pd.concat([first, second]), pd.concat([test, other]))
    assert table["candidate"].tolist() == ["LEAP+", "PS-RIDGE", "LEAP"] and table["rank"].tolist() == [1, 2, 3]
    assert table["inner_gain"].tolist() == pytest.approx([(0.03 / 0.3 + 0.05 / 0.1) / 2, 0.06 / 0.3 / 2, 0])
    assert table["inner_4a"].tolist() == pytest.approx([0.15, 0.1, 0.1])
    assert table["test_2a"].tolist() == pytest.approx([0.36, 0.33, 0.3])


def test_what_cannot_be_chosen_on_is_named_and_what_failed_is_last():
    one = frame({"LEAP": within(0.3), "LEAP+": within(0.4), "PS-RIDGE": within(0.35)})
    with pytest.raises(InputError, match=r"candidate 'LEAP\+' lacks scores of a task"):
        choice(pd.concat([one, frame({"LEAP": within(0.1)}, "4a")]))
    with pytest.raises(InputError, match="no scores of LEAP: add it"):
        choice(one[one["candidate"] != "LEAP"])
    failed = (one["candidate"] == "LEAP+") & (one["split"] == "holdout-0, inner 1")
    chosen = choice(one.assign(value=one["value"].where(~failed)))
    assert chosen["candidate"].tolist() == ["PS-RIDGE", "LEAP", "LEAP+"] and np.isnan(chosen["inner_gain"].iloc[-1])
