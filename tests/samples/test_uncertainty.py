import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, mannwhitneyu

from leaplib import InputError
from leaplib.figures import panels
from leaplib.samples import stratification
from leaplib.samples.uncertainty import (
    Applicability,
    Calibration,
    coverage,
    cv_plus,
    error_by_applicability,
    labels_needed,
    rank_of,
)


class Ridge:
    """A model of two representations (the features, and these with noise) and five folds, by least squares."""

    def __init__(self, X, Y, representations=2):
        self.folds_ = pd.Series(np.arange(len(X)) % 5, index=X.index)
        self.perturbations_, self.n = Y.columns, representations
        x = X.to_numpy()
        self.weights = np.empty((representations, 5, x.shape[1], Y.shape[1]))
        for fold in range(5):
            for j, name in enumerate(Y):
                rows = (self.folds_ != fold).to_numpy() & Y[name].notna().to_numpy()
                for r in range(representations):
                    penalty = np.eye(x.shape[1]) * (1 + 20 * r)
                    gram = x[rows].T @ x[rows] + penalty
                    self.weights[r, fold, :, j] = np.linalg.solve(gram, x[rows].T @ Y[name].to_numpy()[rows])

    def predict_each(self, X):
        return np.einsum("np,rkpl->rknl", X.to_numpy(), self.weights)


def simulated(n, seed, n_perturbations=3, noise=1.0):
    rng = np.random.default_rng(seed)
    effects = np.random.default_rng(99).normal(size=(4, n_perturbations))
    x = rng.normal(size=(n, 4))
    y = x @ effects + noise * rng.standard_t(3, size=(n, n_perturbations))
    index = [f"s{seed}-{i}" for i in range(n)]
    return pd.DataFrame(x, index), pd.DataFrame(y, index, [f"drug-{j}" for j in range(n_perturbations)])


@pytest.mark.parametrize("level", [0.8, 0.9])
@pytest.mark.parametrize("representations", [1, 2])
def test_intervals_hold_their_level_for_exchangeable_samples(level, representations):
    hits, n = 0, 0
    for seed in range(12):  # calibration sets of their own: coverage varies over them too
        X, Y = simulated(120, seed)
        new, truth = simulated(150, 1000 + seed)
        model = Ridge(X, Y, representations)
        found = Calibration.fit(model, X, Y).intervals(model, new, level)
        table = coverage(truth, found["lower"], found["upper"])
        hits, n = hits + (table["covered"] * table["n"]).sum(), n + table["n"].sum()
        assert ((found["lower"] < found["prediction"]) & (found["prediction"] < found["upper"])).mean(axis=None) > 0.99
    effective = 12 * 3 * 60  # fewer than n: samples of one calibration set share its quantile
    low, high = binom.ppf([0.001, 0.999], effective, level) / effective
    assert n == 12 * 450
    assert low < hits / n < high + 0.01  # the finite-sample rank errs to the safe side, by 1 / 121


def test_scores_are_those_of_models_that_did_not_see_the_sample():
    X, Y = simulated(40, 1)
    Y.iloc[3, 1] = np.nan
    model = Ridge(X, Y)
    calibration = Calibration.fit(model, X, Y)
    each = model.predict_each(X)
    for i, j in ((0, 0), (7, 2), (14, 1)):
        own = each[:, i % 5, i, j]
        usual = np.median([each[:, k % 5, k, j].std() for k in range(40) if not np.isnan(Y.iloc[k, j])])
        assert calibration.usual.iloc[j] == pytest.approx(usual)
        expected = abs(Y.iloc[i, j] - own.mean()) / (own.std() + usual)
        assert calibration.scores.iloc[i, j] == pytest.approx(expected)
    assert np.isnan(calibration.scores.iloc[3, 1])
    with pytest.raises(InputError, match="training samples"):
        Calibration.fit(model, X.iloc[::-1], Y)
    model = Ridge(X, Y, representations=1)  # errors in the unit of the response
    own = model.predict_each(X)[0][model.folds_, np.arange(40)]
    np.testing.assert_allclose(Calibration.fit(model, X, Y).scores, np.abs(Y - own))


def test_the_quantile_by_hand():
    # 9 residuals 1 ... 9, all models predict 0: at 0.9 the 9th of 9 + 1, at 0.8 the 8th, at 0.5 the 5th.
    scores, folds, zero = np.arange(1.0, 10.0), np.arange(9) % 5, np.zeros((5, 2))
    for level, bound in ((0.9, 9), (0.8, 8), (0.5, 5), (0.81, 9)):
        lower, upper = cv_plus(zero, np.ones((5, 2)), scores, folds, level)
        assert (upper == bound).all() and (lower == -bound).all()
    lower, upper = cv_plus(zero, np.ones((5, 2)), np.r_[scores, np.nan], np.r_[folds, 0], 0.95)
    assert np.isnan(lower).all() and np.isnan(upper).all()
    # Two folds that predict 0 and 10, scale 2 for the second: ends 0 + {1, 2}, 10 + 2 * {3, 4}.
    lower, upper = cv_plus(np.array([[0.0], [10.0]]), np.array([[1.0], [2.0]]), np.array([1.0, 2, 3, 4]),
                           np.array([0, 0, 1, 1]), 0.6)  # fmt: skip
    assert upper[0] == 16  # the 3rd of 1, 2, 16, 18
    assert lower[0] == -1  # the 2nd of -2, -1, 2, 4


def test_few_labels_have_no_interval_and_a_reason():
    assert [labels_needed(level) for level in (0.5, 0.8, 0.9, 0.95, 0.99)] == [1, 4, 9, 19, 99]
    for level in (0.5, 0.8, 0.9, 0.95, 0.99):
        needed = labels_needed(level)
        assert rank_of(level, needed) == needed and rank_of(level, needed - 1) == needed
    X, Y = simulated(40, 1)
    Y.iloc[12:, 0] = np.nan
    model = Ridge(X, Y)
    calibration = Calibration.fit(model, X, Y)
    found = calibration.intervals(model, X, 0.95)
    assert found["lower"]["drug-0"].isna().all() and found["lower"]["drug-1"].notna().all()
    assert calibration.notes(0.95).tolist() == ["12 labels: an interval needs 19", "", ""]
    assert calibration.intervals(model, X, 0.9)["lower"].notna().all(axis=None)
    for level in (0, 1, 90):
        with pytest.raises(InputError, match="between 0 and 1"):
            calibration.intervals(model, X, level)


def test_intervals_widen_where_representations_disagree():
    X, Y = simulated(60, 1)
    model = Ridge(X, Y)
    found = Calibration.fit(model, X, Y).intervals(model, pd.concat([X * 0, X * 30]), 0.9)
    width = found["upper"] - found["lower"]
    assert (width.iloc[60:].median() > 3 * width.iloc[:60].median()).all()


def test_coverage_counts_only_what_was_measured():
    lower = pd.DataFrame({"a": [0.0, 0, 0], "b": [np.nan] * 3, "c": [0.0] * 3}, ["x", "y", "z"])
    truth = pd.DataFrame({"c": [np.nan] * 3, "a": [2.0, 0.5, np.nan], "b": [1.0] * 3}, ["x", "y", "z"])
    table = coverage(truth, lower, lower + 1)
    assert table.to_dict("records") == [{"perturbation": "a", "n": 2, "covered": 0.5, "width": 1.0}]


def test_applicability_of_an_outlier_a_copy_and_the_training_set():
    rng = np.random.default_rng(0)
    training = [pd.DataFrame(rng.normal(size=(200, 6)) * scale) for scale in (1, 100)]
    measure = Applicability.fit(training)
    outlier, copy, fresh = ([f * 0 + 50 * scale for f, scale in zip(training, (1, 100), strict=True)],
                            training, [pd.DataFrame(rng.normal(size=(300, 6)) * s) for s in (1, 100)])  # fmt: skip
    assert (measure.score([frame.head(1) for frame in outlier])["applicability"] == 1 / 201).all()
    assert (measure.score(copy)["applicability"] >= measure.score(copy)["applicability"].min()).all()
    own = pd.Series(measure.distances).rank(ascending=False) / 201
    assert (measure.score(copy)["applicability"] > own).all()  # its own copy is among its neighbours
    score = measure.score(fresh)["applicability"]
    assert abs(score.mean() - 0.5) < 0.1 and 0.05 < (score < 0.2).mean() < 0.35
    assert measure.score(fresh)["distance"].median() == pytest.approx(1, abs=0.1)


def test_distance_by_hand():
    line = pd.DataFrame({"x": [0.0, 1, 2, 3, 4, 5, 6]})
    measure = Applicability.fit([line])  # each without itself: 0 is 1, 2, 3, 4, 5 away, on average 3
    own = np.array([3, 2.2, 1.8, 1.8, 1.8, 2.2, 3])
    np.testing.assert_allclose(measure.distances, own / 2.2)
    found = measure.score([pd.DataFrame({"x": [3.0, 100.0]}, ["in", "out"])])
    np.testing.assert_allclose(found["distance"], [1.2 / 2.2, 96 / 2.2])
    assert found["applicability"].tolist() == [1.0, 1 / 8]
    with pytest.raises(InputError, match="more than 5 training samples, not 5"):
        Applicability.fit([line.head(5)])


def test_error_in_bins_of_applicability():
    truth = pd.DataFrame({"a": [0.0, 2, 0, 2], "b": [0.0, 20, np.nan, 20]}, list("wxyz"))
    away = pd.DataFrame({"a": [1.0, 1, 0, 0], "b": [0.0] * 4}, list("wxyz"))
    table = error_by_applicability(truth, truth + away, pd.Series([0.1, 0.2, 0.8, 0.9], list("wxyz")), n_bins=2)
    assert table["samples"].tolist() == [2, 2] and table["low"].tolist() == [0.1, 0.8]
    np.testing.assert_allclose(table["error"], [0.5, 0])  # an error of one SD in one of two drugs


# Responders


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    samples = [f"s{i}" for i in range(60)]
    truth = pd.Series(rng.normal(size=60), samples).round(1)
    predicted = pd.DataFrame({"sample": samples, "perturbation": "drug", "prediction": truth.to_numpy() / 2})
    predicted["prediction"] = (predicted["prediction"] + 0.4 * rng.normal(size=60)).round(1)  # with ties
    predicted = predicted.assign(lower=predicted["prediction"] - 1, upper=predicted["prediction"] + 1)
    truth.iloc[:3] = np.nan
    return predicted, truth


def test_thirds_and_responders(table):
    frame = stratification.stratify(*table, "drug")
    assert len(frame) == 57 and frame["prediction"].is_monotonic_decreasing
    assert frame["group"].value_counts().to_dict() == {"low": 19, "middle": 19, "high": 19}
    means = frame.groupby("group")["prediction"].agg(["min", "max"])
    assert means.loc[["low", "middle", "high"]].to_numpy().ravel().tolist() == sorted(means.to_numpy().ravel())
    assert frame["responder"].sum() == 14
    assert frame.loc[frame["responder"], "observed"].min() >= frame.loc[~frame["responder"], "observed"].max()
    for truth, drug, message in ((table[1], "other", "'other' was not predicted"),
                                 (table[1].iloc[3:14], "drug", "11 measured samples: 12 are needed")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            stratification.stratify(table[0], truth, drug)
    turned = stratification.stratify(*table, "drug", high_is_sensitive=False)
    assert turned.loc[turned["responder"], "observed"].max() <= turned.loc[~turned["responder"], "observed"].min()


@pytest.mark.parametrize("high", [True, False])
def test_area_and_p_are_those_of_mann_and_whitney(table, high):
    frame = stratification.stratify(*table, "drug", high_is_sensitive=high)
    curve, area, p = stratification.roc(frame, high)
    score, hit = frame["prediction"] * (1 if high else -1), frame["responder"]
    test = mannwhitneyu(score[hit], score[~hit], alternative="greater")
    assert area == pytest.approx(test.statistic / (hit.sum() * (~hit).sum())) and area > 0.6
    assert p == pytest.approx(test.pvalue) and 0 < p < 0.05
    assert np.trapezoid(curve["true_positive"], curve["false_positive"]) == pytest.approx(area)
    assert len(curve) == frame["prediction"].nunique() + 1  # ties are one step


def test_the_page_shows_what_it_is_given(table):
    frame = stratification.stratify(*table, "drug", data="simulated")
    fig, drawn = stratification.page(frame, "AAC")
    assert drawn is frame
    boxes, curve, bars = fig.axes
    said = {text.get_text() for text in fig.findobj(match=lambda artist: hasattr(artist, "get_text"))}
    assert {"A", "B", "C", "simulated data"} <= said
    assert "n = 57 samples" in boxes.get_title(loc="left") and boxes.get_ylabel() == "Observed AAC"
    points = {c.get_label(): len(c.get_offsets()) for c in boxes.collections}
    assert points == {"_low": 19, "_middle": 19, "_high": 19}
    within = (frame["observed"].between(frame["lower"], frame["upper"])).sum()
    marks = {c.get_label(): c for c in bars.collections}
    assert (
        len(marks["observed"].get_offsets()) == within and len(marks["observed, outside"].get_offsets()) == 57 - within
    )
    assert f"{within} of 57 within their interval" in bars.get_title(loc="left")
    assert len(marks["interval"].get_segments()) == 57
    assert len(next(line for line in curve.lines if line.get_label() == "_roc").get_xdata()) > 5


def test_panels_without_rows_say_so():
    for draw, rest in ((panels.thirds, ("",)), (panels.intervals, ("",)), (panels.roc, (0.5, 1.0))):
        ax = plt.figure().add_subplot()
        draw(ax, pd.DataFrame(), *rest)
        assert "no data" in {text.get_text() for text in ax.texts}
    plt.close("all")
