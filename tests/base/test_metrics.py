import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import roc_auc_score

from leaplib.base.errors import InputError
from leaplib.base.metrics import METRICS, OVERALL, auroc, mse, normalised, overall, pearson, score, spearman

TOLERANCE = 1e-12


def by_sklearn(truth, prediction):
    """Responders are counted one by one."""
    best = sorted(truth, reverse=True)[: -(-len(truth) // 10)]
    responds = np.array([value >= best[-1] for value in truth])
    if responds.sum() < 2 or (~responds).sum() < responds.sum():
        return np.nan
    return roc_auc_score(responds, prediction)


def by_scipy(metric, truth, prediction):
    """One column after the other, the degenerate cases as they are decided."""
    values = []
    for t, p in zip(truth.T, prediction.T, strict=True):
        t, p = t[~np.isnan(t)], p[~np.isnan(t)]
        if metric == "mse":
            values.append(np.mean((t - p) ** 2) if len(t) else np.nan)
        elif metric == "auroc":
            values.append(by_sklearn(t, p) if len(t) else np.nan)
        elif len(t) < 2 or np.ptp(t) == 0:
            values.append(np.nan)
        elif np.ptp(p) == 0:
            values.append(0.0)
        else:
            values.append({"spearman": spearmanr, "pearson": pearsonr}[metric](t, p).statistic)
    return np.array(values)


def with_gaps(rng, n=60, n_perturbations=40, missing=0.3):
    truth = rng.normal(size=(n, n_perturbations))
    truth[rng.random(truth.shape) < missing] = np.nan
    return truth, rng.normal(size=truth.shape)


@pytest.mark.parametrize("missing", [0.0, 0.3, 0.95])
def test_equals_scipy_and_sklearn(rng, missing):
    truth, prediction = with_gaps(rng, missing=missing)
    for name, metric in METRICS.items():
        expected = by_scipy(name, truth, prediction)
        np.testing.assert_allclose(metric(truth, prediction), expected, rtol=TOLERANCE, atol=TOLERANCE)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.none() | st.integers(-3, 3), st.integers(-2, 2)), min_size=1, max_size=25))
def test_equals_scipy_and_sklearn_on_small_and_degenerate_columns(pairs):
    truth = np.array([[np.nan if t is None else t] for t, _ in pairs], dtype=float)
    prediction = np.array([[p] for _, p in pairs], dtype=float)
    for name, metric in METRICS.items():
        expected = by_scipy(name, truth, prediction)
        np.testing.assert_allclose(metric(truth, prediction), expected, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_correlations_do_not_depend_on_scale(rng, scale):
    truth, prediction = with_gaps(rng)
    for metric in (spearman, pearson):  # and leave their arguments as they were
        scaled = metric(truth * scale, prediction / scale)
        np.testing.assert_allclose(scaled, metric(truth, prediction), rtol=1e-10)


def test_constant_and_missing_columns_are_as_decided(rng):
    truth, prediction = rng.normal(size=(30, 5)), rng.normal(size=(30, 5))
    prediction[:, 0] = 0.37
    truth[20:, 1], prediction[:20, 1] = np.nan, 1.0  # constant where measured
    truth[:, 2] = prediction[:, 2] = 2.5
    truth[1:, 3] = np.nan  # one sample
    truth[2:, 4] = np.nan  # two are enough
    for metric in (spearman, pearson):
        found = metric(truth, prediction)
        assert found[:2].tolist() == [0, 0] and np.isnan(found[2:4]).all() and abs(found[4]) == pytest.approx(1)
    assert np.isnan(mse(truth, prediction)).tolist() == [False] * 5
    assert auroc(truth, prediction)[:2].tolist() == [0.5, 0.5]
    assert np.isnan(mse(np.full((3, 1), np.nan), np.ones((3, 1)))).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_noise_on_a_constant_is_no_order(rng, dtype):
    truth = rng.normal(size=(50, 1))
    steps = rng.integers(-3, 4, (50, 1)) * np.finfo(dtype).eps
    noisy = (dtype(0.7) * (1 + steps)).astype(dtype)
    assert np.ptp(noisy) > 0
    assert spearman(truth, noisy)[0] == 0
    assert pearson(truth, noisy)[0] == 0
    assert np.isnan(spearman(noisy, truth))[0]
    signal = 1 + 1e-4 * truth  # small, but an order
    np.testing.assert_allclose([pearson(truth, signal)[0], spearman(truth, signal.astype(dtype))[0]], 1, rtol=1e-3)


def test_responders_are_at_the_end_that_the_label_says(rng):
    truth, prediction = with_gaps(rng)
    low = auroc(truth, prediction, low_responds=True)
    np.testing.assert_allclose(low, by_scipy("auroc", -truth, -prediction), atol=TOLERANCE)
    frames = pd.DataFrame(truth).rename(columns=str), pd.DataFrame(prediction).rename(columns=str)
    for label, expected in (("AAC", auroc(truth, prediction)), ("AUC", low), ("gene effect", low),
                            ("gene dependency", auroc(truth, prediction))):  # fmt: skip
        np.testing.assert_array_equal(score(*frames, label).query("metric == 'auroc'")["value"], expected)


def test_responders_that_tie_all_count_unless_they_are_the_most():
    truth = np.array([3, 2, 2, *[0.0] * 17])[:, None]  # a tenth is two, and a third ties with the second
    prediction = np.array([5, 4, 0, *range(1, 18)])[:, None]
    responds = truth[:, 0] >= 2
    assert auroc(truth, prediction)[0] == pytest.approx(roc_auc_score(responds, prediction[:, 0]))
    assert np.isnan(auroc(np.minimum(truth, 0), prediction)[0])
    assert np.isnan(auroc(np.where(truth == 3, 1.0, 0.0), prediction)[0])  # the second best ties with all others
    assert np.isnan(auroc(truth[[0, 1, 3, 4]], prediction[[0, 1, 3, 4]])[0])  # a tenth of four is one


@pytest.mark.parametrize("metric", METRICS)
def test_grid_points_and_test_sets_are_broadcast(rng, metric):
    truth, _ = with_gaps(rng, n=25, n_perturbations=7)
    grid = rng.normal(size=(3, 25, 7))
    function = METRICS[metric]
    expected = np.stack([by_scipy(metric, truth, prediction) for prediction in grid])
    np.testing.assert_allclose(function(truth, grid), expected, rtol=TOLERANCE, atol=TOLERANCE)
    test_sets = np.stack([np.where(rng.random((25, 1)) < 0.5, truth, np.nan) for _ in range(4)])
    expected = np.stack([by_scipy(metric, part, grid[0]) for part in test_sets])
    np.testing.assert_allclose(function(test_sets, grid[0]), expected, rtol=TOLERANCE, atol=TOLERANCE)
    both = function(test_sets[:, None], grid)
    assert both.shape == (4, 3, 7)
    np.testing.assert_allclose(both[2, 1], function(test_sets[2], grid[1]), rtol=TOLERANCE, equal_nan=True)


@pytest.mark.parametrize("metric", METRICS.values())
def test_what_is_no_truth_or_no_prediction_is_an_error(rng, metric):
    ones = np.ones
    for truth, prediction, message in ((ones((5, 3)), ones((5, 4)), r"\(5, 3\).*\(5, 4\)"),
                                       (ones(5), ones(5), "samples"),
                                       (ones((2, 5, 3)), ones((3, 5, 3)), "do not fit"),
                                       (np.full((5, 3), np.inf), ones((5, 3)), "infinite")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            metric(truth, prediction)
    for value in (np.nan, np.inf):  # a prediction has to be there where a label was measured, and only there
        truth, prediction = with_gaps(rng)
        prediction[np.isnan(truth)] = value
        assert np.isfinite(metric(truth, prediction)).all()
        prediction[tuple(np.argwhere(~np.isnan(truth))[5])] = value
        with pytest.raises(InputError, match="model has failed"):
            metric(truth, prediction)


def test_overall_scores_all_measured_pairs_at_once_and_rewards_knowing_the_drugs(rng):
    truth, prediction = with_gaps(rng)
    truth += 3 * rng.normal(size=truth.shape[1])
    pairs = truth[~np.isnan(truth)], prediction[~np.isnan(truth)]
    scores = overall(truth, prediction)
    assert tuple(scores) == OVERALL
    np.testing.assert_allclose(scores["spearman"], spearmanr(*pairs).statistic, atol=TOLERANCE)
    np.testing.assert_allclose(scores["pearson"], pearsonr(*pairs).statistic, atol=TOLERANCE)
    np.testing.assert_allclose(scores["mse"], np.mean((pairs[0] - pairs[1]) ** 2), rtol=TOLERANCE)
    truth = rng.normal(size=(40, 30)) + 5 * rng.normal(size=30)
    means = np.broadcast_to(truth.mean(0), truth.shape)
    assert overall(truth, means)["spearman"] > 0.9
    assert (spearman(truth, means) == 0).all()
    above, effects, known = rng.normal(size=truth.shape), pd.DataFrame(means), pd.DataFrame(truth)
    known, lines = known.where(above < 1), np.arange(40)[::-1]
    for share, expected in ((0.0, 0), (2.0, 1), (-0.5, -1)):  # of what truth has above the effects
        prediction = effects + share * (pd.DataFrame(truth) - effects)
        found = normalised(known, prediction.astype(np.float32).loc[lines] if not share else prediction, effects)
        np.testing.assert_allclose(found["value"], expected, atol=1e-9)


def test_score_is_a_tidy_frame_matched_by_name(rng):
    values, predicted = with_gaps(rng, n=20, n_perturbations=3)
    truth = pd.DataFrame(values, [f"line-{i}" for i in range(20)], ["A", "B", "C"])
    prediction = pd.DataFrame(predicted, truth.index, truth.columns)
    shuffled = prediction.sample(frac=1, random_state=0)[["C", "A", "B"]].assign(D=np.nan)
    frame = score(truth, shuffled)
    assert frame.columns.tolist() == ["perturbation", "metric", "value", "n"]
    assert len(frame) == 3 * len(METRICS)
    row = frame[(frame["perturbation"] == "B") & (frame["metric"] == "spearman")].iloc[0]
    assert row["value"] == spearman(values, predicted)[1]
    assert row["n"] == truth["B"].notna().sum()
    assert overall(truth, shuffled[truth.columns]) == overall(values, predicted)
    for lacking, message in ((truth.drop(index="line-3"), "1 samples: line-3"), (truth[["A", "C"]], "1 pert.*: B"),
                             (pd.concat([truth, truth]), "twice")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            score(truth, lacking)
