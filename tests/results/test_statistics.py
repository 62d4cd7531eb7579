import numpy as np
import pandas as pd
import pytest
from scipy import stats

from leaplib.base.errors import InputError
from leaplib.results.statistics import holm, neighbours, paired_test


def scores(seed=0, shift=0.0, n=40, splits=10):
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
    a, b = scores(1, 0.02), scores(2)
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
    a, b = scores(1, 0.02), scores(2)
    found, plain = paired_test(a, b, test_share=None), stats.ttest_rel(a.mean(), b.mean())
    assert found["t"] == pytest.approx(plain.statistic)
    assert found["p_splits"] == pytest.approx(plain.pvalue)


@pytest.mark.parametrize("n", [12, 40, 300])
def test_perturbations_equal_scipys_signed_rank_test(n):
    a, b = scores(1, 0.03, n), scores(2, n=n)
    wanted = stats.wilcoxon(a.mean(axis=1), b.mean(axis=1))
    assert paired_test(a, b)["p_perturbations"] == pytest.approx(wanted.pvalue)
    assert paired_test(b, a)["p_perturbations"] == pytest.approx(wanted.pvalue)


def test_turned_around_the_sign_changes_and_ties_are_won_by_none():
    a, b = scores(1, 0.01), scores(2)
    b.iloc[:3] = a.iloc[:3]
    one, other = paired_test(a, b), paired_test(b, a)
    assert one["difference"] == -other["difference"] and one["t"] == -other["t"]
    assert one["p_splits"] == other["p_splits"]
    assert one["perturbations_won"] + other["perturbations_won"] == one["n_perturbations"] - 3
    assert one["p_perturbations"] == pytest.approx(paired_test(a.iloc[3:], b.iloc[3:])["p_perturbations"])


def test_rows_and_columns_are_matched_by_name():
    a, b = scores(1, 0.01), scores(2)
    mixed = b.sample(frac=1, random_state=0).sample(frac=1, axis=1, random_state=0)
    assert paired_test(a, mixed) == pytest.approx(paired_test(a, b))


def test_a_pair_with_a_missing_score_is_left_out_of_both():
    a, b = scores(1, 0.01), scores(2)
    a.iloc[0, 0], b.iloc[1, 1], a.iloc[2], b["holdout-9"] = np.nan, np.nan, np.nan, np.nan
    found = paired_test(a, b)
    both = a.notna() & b.notna()
    assert (found["n_perturbations"], found["n_splits"]) == (39, 9)
    a, b = (frame.where(both).drop(index="p2", columns="holdout-9") for frame in (a, b))
    assert found["difference"] == pytest.approx((a.mean() - b.mean()).mean())
    assert found["p_perturbations"] == pytest.approx(stats.wilcoxon(a.mean(axis=1), b.mean(axis=1)).pvalue)
    assert paired_test(a, b) == pytest.approx(found)


def test_what_is_not_defined_is_nan():
    a, b = scores(1, 0.01), scores(2)
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


def test_successive_steps_are_compared_and_adjusted_for_their_number():
    steps = {"c": scores(3, 0.08), "a": scores(1), "b": scores(2, 0.03), "unused": scores(4)}
    table = neighbours(steps, ["a", "b", "c"])
    assert table[["before", "after"]].to_numpy().tolist() == [["a", "b"], ["b", "c"]]
    for row, (before, after) in zip(table.to_dict("records"), [("a", "b"), ("b", "c")], strict=True):
        single = paired_test(steps[after], steps[before])
        assert {name: row[name] for name in single} == single
    for name in ("p_perturbations", "p_splits"):
        low, high = table[name].min(), table[name].max()
        wanted = table[name].map({low: min(1, 2 * low), high: min(1, max(2 * low, high))})
        np.testing.assert_allclose(table[f"{name}_holm"], wanted)
    assert (table["difference"] > 0).all()
    plain = neighbours(steps, ["a", "b"], test_share=None)
    assert plain["t"][0] == paired_test(steps["b"], steps["a"], None)["t"]


def test_what_cannot_be_compared_is_named():
    a, b = scores(1), scores(2)
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
    with pytest.raises(InputError, match="step 'z' has no scores: those at hand are 'a'"):
        neighbours({"a": a}, ["a", "z"])
    with pytest.raises(InputError, match="at least 2"):
        neighbours({"a": a}, ["a"])
