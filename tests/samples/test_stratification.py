import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from leaplib import InputError
from leaplib.figures import stratification as panels
from leaplib.samples import stratification


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
    assert (
        means.loc["low", "max"] <= means.loc["middle", "min"] and means.loc["middle", "max"] <= means.loc["high", "min"]
    )
    assert frame["responder"].sum() == 14
    assert frame.loc[frame["responder"], "observed"].min() >= frame.loc[~frame["responder"], "observed"].max()
    turned = stratification.stratify(*table, "drug", high_is_sensitive=False)
    assert turned.loc[turned["responder"], "observed"].max() <= turned.loc[~turned["responder"], "observed"].min()


@pytest.mark.parametrize("high", [True, False])
def test_the_roc_curve_is_that_of_scikit_learn(table, high):
    frame = stratification.stratify(*table, "drug", high_is_sensitive=high)
    score = frame["prediction"] * (1 if high else -1)
    curve, area, p = stratification.roc(frame, high)
    false, true, _ = roc_curve(frame["responder"], score, drop_intermediate=False)
    np.testing.assert_allclose(curve, np.c_[false, true])
    assert area == pytest.approx(roc_auc_score(frame["responder"], score)) and area > 0.6
    assert 0 < p < 0.05


def test_too_few_samples_and_unknown_drugs(table):
    predicted, truth = table
    with pytest.raises(InputError, match="'other' was not predicted"):
        stratification.stratify(predicted, truth, "other")
    with pytest.raises(InputError, match="drug: 11 measured samples: 12 are needed"):
        stratification.stratify(predicted, truth.iloc[3:14], "drug")


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
    assert len(marks["_within"].get_offsets()) == within and len(marks["_outside"].get_offsets()) == 57 - within
    assert f"{within} of 57 within their interval" in bars.get_title(loc="left")
    assert len(marks["_intervals"].get_segments()) == 57
    assert len(next(line for line in curve.lines if line.get_label() == "_roc").get_xdata()) > 5


def test_panels_without_rows_say_so():
    for draw in (lambda ax: panels.thirds(ax, pd.DataFrame()), lambda ax: panels.intervals(ax, pd.DataFrame()),
                 lambda ax: panels.roc(ax, pd.DataFrame(), 0.5, 1.0)):  # fmt: skip
        ax = plt.figure().add_subplot()
        draw(ax)
        assert "no data" in {text.get_text() for text in ax.texts}
    plt.close("all")
