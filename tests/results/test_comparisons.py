"""Methods compared: tests against scipy, intervals against a plain loop, and what is left out."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from leaplib.base.errors import InputError
from leaplib.results.comparisons import (
    COLUMNS,
    choice,
    compare_models,
    curve_means,
    gains,
    holm,
    interval,
    paired_test,
    ranks,
)
from tests.frames import SPLITS, make_scores, make_subset_scores


def matrix(scores, model, member=-1):
    part = scores[(scores["model"] == model) & (scores["member"] == member) & (scores["perturbation"] != "")]
    return part.pivot(index="perturbation", columns="split", values="value")


@pytest.fixture(scope="module")
def scores():
    return make_scores("1a")


@pytest.fixture(scope="module")
def table(scores):
    return compare_models(scores)


def test_numbers_are_those_of_pandas_and_scipy(scores, table):
    assert list(table.columns) == COLUMNS
    for row in table.to_dict("records"):
        difference = matrix(scores, "LEAP") - matrix(scores, row["model"], 0 if row["model"] == "PS-LASSO" else -1)
        means = difference.mean(axis=1)
        assert row["difference"] == pytest.approx(difference.to_numpy().mean())
        assert row["p"] == pytest.approx(stats.wilcoxon(means).pvalue)
        assert (row["perturbations_won"], row["n_perturbations"]) == ((means > 0).sum(), 12)
        assert (row["splits_won"], row["n_splits"]) == ((difference.mean() > 0).sum(), 3)
        apart = difference.mean().to_numpy()
        error = np.sqrt((1 / 3 + 1 / 4) * apart.var(ddof=1))
        assert (row["low"], row["high"]) == pytest.approx(stats.t(2, apart.mean(), error).interval(0.95))
        assert row["p_splits"] == pytest.approx(2 * stats.t(2).sf(abs(apart.mean() / error)))


def test_holm_is_over_the_models_of_a_task():
    both = pd.concat([make_scores("1a"), make_scores("2a", models=("PS-KNN", "LEAP"))])
    table = compare_models(both)
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
    pd.testing.assert_frame_equal(compare_models(other), table)
    assert compare_models(scores[scores["model"] != "LEAP"]).empty


def test_on_xenografts_each_subset_is_a_split():
    scores = make_subset_scores()
    found = compare_models(scores).set_index("model").loc["PS-KNN"]
    rows = scores[(scores["metric"] == "spearman") & (scores["perturbation"] != "") & (scores["test_set"] >= 0)]
    means = rows.groupby("model")["value"].mean()
    assert (found["n_splits"], found["n_perturbations"]) == (10, 5)
    assert found["difference"] == pytest.approx(means["LEAP"] - means["PS-KNN"])
    assert found[["low", "high", "p_splits"]].isna().all()  # subsets of one split overlap: there is no interval
    pearson = compare_models(scores, metric="pearson")
    assert (pearson["difference"] == 0).all() and pearson["p"].isna().all()  # all are 7 in these frames


def test_intervals_of_one_split_are_none_and_of_equal_splits_a_point():
    assert np.isnan(interval(np.array([0.3]))).all() and np.isnan(interval(np.array([0.3, 0.2]), np.nan)).all()
    assert interval(np.full(4, 0.1 + 0.2)) == pytest.approx((0.3, 0.3))
    with pytest.raises(InputError, match="cannot be -1"):
        interval(np.zeros(3), -1)


# ---- the paired test


def drawn(seed=0, shift=0.0, n=40, splits=10):
    rng = np.random.default_rng(seed)
    values = rng.uniform(0, 0.5, (n, 1)) + 0.05 * rng.normal(size=(n, splits)) + shift
    return pd.DataFrame(values, [f"p{i}" for i in range(n)], [f"holdout-{i}" for i in range(splits)])


@pytest.mark.parametrize("n", [12, 300])  # exact p-values, and the normal approximation
def test_the_paired_test_equals_scipys(n):
    a, b = drawn(1, 0.03, n), drawn(2, n=n)
    b.iloc[:3] = a.iloc[:3]  # won by none
    found, turned = paired_test(a, b.iloc[::-1, ::-1], 0.0), paired_test(b, a, 0.0)
    plain = stats.ttest_rel(a.mean(), b.mean())
    assert found["p_splits"] == turned["p_splits"] == pytest.approx(plain.pvalue)
    assert (found["low"], found["high"]) == pytest.approx(plain.confidence_interval(0.95))
    assert found["difference"] == pytest.approx(-turned["difference"]) and found["low"] == pytest.approx(
        -turned["high"]
    )
    apart = stats.wilcoxon(*(frame.iloc[3:].mean(axis=1) for frame in (a, b)))
    assert found["p_perturbations"] == pytest.approx(apart.pvalue)
    assert found["perturbations_won"] + turned["perturbations_won"] == found["n_perturbations"] - 3 == n - 3
    assert paired_test(a, b, 1.0)["p_splits"] > found["p_splits"]
    assert paired_test(a * np.nan, b) == paired_test(a, b.add_prefix("other ")) == {}
    with pytest.raises(InputError, match="infinite"):
        paired_test(a.replace(a.iloc[0, 0], np.inf), b)


def test_a_pair_with_a_missing_score_is_left_out_of_both():
    a, b = drawn(1, 0.01), drawn(2)
    a.iloc[0, 0], b.iloc[1, 1], a.iloc[2], b["holdout-9"] = np.nan, np.nan, np.nan, np.nan
    found = paired_test(a, b)
    both = a.notna() & b.notna()
    assert (found["n_perturbations"], found["n_splits"]) == (39, 9)
    a, b = (frame.where(both).drop(index="p2", columns="holdout-9") for frame in (a, b))
    assert found["difference"] == pytest.approx((a.mean() - b.mean()).mean())
    assert paired_test(a, b) == pytest.approx(found)


def test_what_is_not_defined_is_nan():
    a, b = drawn(1, 0.01), drawn(2)
    single = paired_test(a[["holdout-3"]], b[["holdout-3"]])
    assert np.isnan([single["low"], single["high"], single["p_splits"]]).all()
    assert single["n_splits"] == 1 and 0 < single["p_perturbations"] < 1
    same = paired_test(a, a)
    assert np.isnan([same["p_splits"], same["p_perturbations"]]).all()
    assert (same["difference"], same["perturbations_won"], same["splits_won"]) == (0, 0, 0)
    a = pd.DataFrame([[0.1 + 0.2, 0.3], [0.0, 0.0]])  # splits that differ by the same but for rounding
    shifted = paired_test(a, 0 * a)
    assert shifted["difference"] == pytest.approx(0.15) and np.isnan(shifted["p_splits"])


def test_holm_by_hand():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03])), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(holm(np.array([0.9, np.nan, 0.6, 0.001])), [1, np.nan, 1, 0.003])
    assert np.isnan(holm(np.array([np.nan]))).all()


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
    assert row["difference"] == pytest.approx(apart.mean())
    assert (row["low"], row["high"]) == pytest.approx(interval(apart.mean(axis=0)))
    assert row["gain"] == pytest.approx(apart.mean() / wide.loc["LEAP"].to_numpy().mean())
    assert row["p"] == pytest.approx(stats.wilcoxon(apart.mean(axis=1)).pvalue) and row["seconds"] == 2
    with pytest.raises(InputError, match="task 2a: no scores of LEAP: add it"):
        gains(scores[scores["candidate"] != "LEAP"])


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


def test_the_choice_is_by_the_mean_gain_over_tasks_and_scores():
    first = frame({"LEAP": within(0.29), "LEAP+": within(0.32), "PS-RIDGE": within(0.35)})
    second = frame({"LEAP": within(0.09), "LEAP+": within(0.14), "PS-RIDGE": within(0.09)}, "4a")
    test = frame({"LEAP": {"holdout-0": 0.29}, "LEAP+": {"holdout-0": 0.35}, "PS-RIDGE": {"holdout-0": 0.32}})
    # Test samples of another split are among those that were chosen on: no part of it.
    other = test.assign(split="holdout-1", value=-1.0)
    table = choice(pd.concat([first, second]), pd.concat([test, other]))
    assert table["candidate"].tolist() == ["LEAP+", "PS-RIDGE", "LEAP"] and table["rank"].tolist() == [1, 2, 3]
    assert table["inner_gain"].tolist() == pytest.approx([(0.03 + 0.05) / 2, 0.06 / 2, 0])
    pearson = first.assign(metric="pearson", value=first["value"].where(first["candidate"] != "LEAP+", 0.0))
    by_both = choice(pd.concat([first, pearson])).set_index("candidate")
    assert by_both["inner_gain"]["LEAP+"] == pytest.approx((0.03 - 0.3) / 2) and by_both["rank"]["PS-RIDGE"] == 1
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


def blocks(values, models, task="2a", splits=("holdout-0",)):
    """Scores whose perturbations are the rows of an array, models its columns; splits differ by a constant."""
    rows = [(task, model, -1, split, "per_perturbation", f"p{p:02}", -1, "spearman", value + number, "real")
            for number, split in enumerate(splits) for p, row in enumerate(values)
            for model, value in zip(models, row, strict=True)]  # fmt: skip
    return pd.DataFrame(rows, columns=make_scores().columns)


def test_ranks_are_those_of_conovers_example():
    """Twelve homeowners rank four grasses: T2 = 3.19, and sums further apart than 11.49 differ at the level of 5%."""
    text = """4 3 2 1  4 2 3 1  3 1.5 1.5 4  3 1 2 4  4 2 1 3  2 2 2 4
              1 3 2 4  2 4 1 3  3.5 1 2 3.5  4 1 3 2  4 2 3 1  3.5 1 2 3.5"""
    values = -np.array(text.split(), dtype=float).reshape(12, 4)  # the least rank is the best score
    models = ["LEAP", "PS-LASSO", "PS-RIDGE", "PS-KNN"]
    table = ranks(blocks(values, models, splits=("holdout-0", "holdout-1")))
    sums = dict(zip(table["model"], 12 * table["rank"], strict=True))
    sums |= dict(zip(table["other"], 12 * table["other_rank"], strict=True))
    assert sums == pytest.approx({"LEAP": 38, "PS-LASSO": 23.5, "PS-RIDGE": 24.5, "PS-KNN": 34})
    assert table["model"].iloc[0] == "PS-LASSO" and (table["rank"] <= table["other_rank"]).all()
    t = stats.t.isf(table["p"] / 2, 33)
    apart = 12 * (table["other_rank"] - table["rank"])
    np.testing.assert_allclose(stats.t.isf(0.025, 33) * apart / t, 11.48, atol=0.02)
    np.testing.assert_allclose(table["p_holm"], holm(table["p"].to_numpy()))
    assert table["p_friedman"].iloc[0] == pytest.approx(stats.friedmanchisquare(*values.T).pvalue)
    assert set(table["n_perturbations"]) == {12} and set(table["n_splits"]) == {2}


def test_curves_have_means_and_intervals_over_splits():
    values = {0.2: [0.1, 0.2, 0.3], 1.0: [0.5, 0.5, np.nan], 0.5: [0.4]}
    rows = [("2a", "LEAP", share, 100 * share + number, f"holdout-{number}", metric, value, "real")
            for share, of in values.items() for number, value in enumerate(of)
            for metric in ("spearman", "mse")]  # fmt: skip
    columns = ["task", "model", "share", "n_train", "split", "metric", "value", "data"]
    table = curve_means(pd.DataFrame(rows, columns=columns)).set_index("share")
    assert table["mean"].to_dict() == pytest.approx({0.2: 0.2, 1.0: 0.5, 0.5: 0.4})
    assert table["n_train"].to_dict() == {0.2: 21, 1.0: 101, 0.5: 50}
    assert table["n_splits"].tolist() == [3, 2, 1]
    assert tuple(table.loc[0.2, ["low", "high"]]) == pytest.approx(interval(np.array(values[0.2])))
    assert tuple(table.loc[1.0, ["low", "high"]]) == (0.5, 0.5) and table.loc[0.5, ["low", "high"]].isna().all()


def test_ranks_are_of_models_on_what_all_of_them_have():
    values = np.random.default_rng(0).normal(size=(9, 4))
    models = ["LEAP", "PS-LASSO", "PS-KNN", "Tissue mean"]
    whole = ranks(blocks(values[:8, :3], models[:3]))
    scores = blocks(values, models)
    scores.loc[(scores["perturbation"] == "p08") & (scores["model"] == "LEAP"), "value"] = np.nan
    failed = scores[scores["model"] == "LEAP"].assign(model="PP-MLP", value=np.nan)
    pd.testing.assert_frame_equal(ranks(pd.concat([scores, failed])), whole)
    assert ranks(scores[scores["model"] != "LEAP"]).empty  # two models are a paired test's
    agreed = ranks(blocks(np.arange(12.0).reshape(4, 3), models[:3]))
    assert agreed["p"].tolist() == [0, 0, 0]  # all perturbations rank alike


def test_only_splits_that_both_ran_on_count(scores, table):
    lacking = scores[~((scores["model"] == "PS-KNN") & (scores["split"] == SPLITS[2]))]
    found = compare_models(lacking).set_index("model")
    difference = (matrix(scores, "LEAP") - matrix(scores, "PS-KNN"))[SPLITS[:2]]
    assert found.loc["PS-KNN", "n_splits"] == 2
    assert found.loc["PS-KNN", "difference"] == pytest.approx(difference.to_numpy().mean())
    assert found.loc["PP-MLP", "n_splits"] == 3
    apart = scores[(scores["split"] == SPLITS[0]) == (scores["model"] == "LEAP")]
    assert compare_models(apart).empty


def null_differences(n_sets, n_splits, n=120, p=4):
    """Differences of two learners, equally good over data sets, each least squares on its own half of the features."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_sets, n, 2 * p))
    y = X.sum(axis=2) + np.sqrt(2 * p) * rng.normal(size=(n_sets, n))
    found = np.empty((n_sets, n_splits))
    for split in range(n_splits):
        order = rng.permuted(np.tile(np.arange(n), (n_sets, 1)), axis=1)
        (A, a), (B, b) = ((np.take_along_axis(X, part[:, :, None], 1), np.take_along_axis(y, part, 1))
                          for part in (order[:, : 4 * n // 5], order[:, 4 * n // 5 :]))  # fmt: skip
        moments = A.transpose(0, 2, 1) @ A, A.transpose(0, 2, 1) @ a[:, :, None]
        one, other = (B[:, :, half] @ np.linalg.solve(moments[0][:, half, half], moments[1][:, half])
                      for half in (slice(p), slice(p, None)))  # fmt: skip
        found[:, split] = stats.pearsonr(one[..., 0], b, axis=1)[0] - stats.pearsonr(other[..., 0], b, axis=1)[0]
    return found


@pytest.mark.parametrize(("n_splits", "naive"), [(10, 0.8), (3, 0.93)])
def test_the_interval_covers_what_overlapping_holdouts_hide_and_a_naive_one_does_not(n_splits, naive):
    differences = null_differences(1200, n_splits)
    corrected, plain = (np.array([interval(row, ratio) for row in differences]) for ratio in (0.25, 0.0))
    assert ((corrected[:, 0] <= 0) & (corrected[:, 1] >= 0)).mean() > 0.93
    assert ((plain[:, 0] <= 0) & (plain[:, 1] >= 0)).mean() < naive
