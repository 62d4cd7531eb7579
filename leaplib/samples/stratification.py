"""Responders against non-responders by what a model predicted for them."""

import numpy as np
import pandas as pd
from scipy.stats import mannwhitneyu

from leaplib.base.errors import InputError
from leaplib.figures import pages, stratification, style

GROUPS = ("low", "middle", "high")
SHARE = 0.25
MIN_SAMPLES = 12


def stratify(predicted: pd.DataFrame, observed: pd.Series, perturbation: str, share: float = SHARE,
             high_is_sensitive: bool = True, data: str = "real") -> pd.DataFrame:  # fmt: skip
    """Join predictions and measurements of a perturbation, and call responders.

    Parameters
    ----------
    predicted : DataFrame
        sample, perturbation, prediction, lower, upper, as `leaplib.samples.own_samples.OwnModel.predict` returns.
    observed : Series, by sample
        NaN where not measured.
    perturbation : str
    share : float
        Share of the measured samples that are called responders: those that respond best.
    high_is_sensitive : bool
        True for AAC, False for AUC.
    data : {"real", "simulated"}

    Returns
    -------
    DataFrame, one row a measured sample, by falling prediction
        perturbation, sample, prediction, lower, upper, observed, group (third of the samples by prediction: low,
        middle, high), responder, data.

    Raises
    ------
    InputError
        For an unknown perturbation, or fewer than 12 measured samples.
    """
    rows = predicted[predicted["perturbation"] == perturbation]
    if rows.empty:
        raise InputError(f"perturbation {perturbation!r} was not predicted: use one of the model's")
    frame = rows[["perturbation", "sample", "prediction", "lower", "upper"]].copy()
    frame["observed"] = observed.reindex(frame["sample"]).to_numpy(dtype=float)
    frame = frame.dropna(subset=["observed"]).sort_values("prediction", ascending=False, ignore_index=True)
    if len(frame) < MIN_SAMPLES:
        raise InputError(f"{perturbation}: {len(frame)} measured samples: {MIN_SAMPLES} are needed to divide them")
    order = frame["prediction"].rank(method="first")
    frame["group"] = np.array(GROUPS)[np.ceil(order * len(GROUPS) / len(frame)).astype(int) - 1]
    benefit = frame["observed"] if high_is_sensitive else -frame["observed"]
    frame["responder"] = benefit.rank(method="first", ascending=False) <= max(1, round(share * len(frame)))
    return frame.assign(data=data)


def roc(frame: pd.DataFrame, high_is_sensitive: bool = True) -> tuple[pd.DataFrame, float, float]:
    """Return the ROC curve of the prediction for responders, the area under it, and the p-value of Mann and Whitney.

    Parameters
    ----------
    frame : DataFrame
        As `stratify` returns it.
    high_is_sensitive : bool

    Returns
    -------
    DataFrame
        false_positive, true_positive, from (0, 0) to (1, 1); samples with equal predictions are one step.
    float
        Area: the chance that a responder is predicted above a non-responder.
    float
        One-sided.
    """
    score = frame["prediction"] if high_is_sensitive else -frame["prediction"]
    responders, others = score[frame["responder"]], score[~frame["responder"]]
    test = mannwhitneyu(responders, others, alternative="greater")
    counts = frame.assign(score=score).groupby("score")["responder"].agg(["sum", "size"]).iloc[::-1].cumsum()
    true = np.r_[0, counts["sum"] / len(responders)]
    false = np.r_[0, (counts["size"] - counts["sum"]) / len(others)]
    curve = pd.DataFrame({"false_positive": false, "true_positive": true})
    return curve, float(test.statistic / (len(responders) * len(others))), float(test.pvalue)


@style.styled
def page(frame: pd.DataFrame, label: str = "response", high_is_sensitive: bool = True, *,
         size: pages.Size = (style.TWO_COLUMNS, 62)) -> pages.Drawn:  # fmt: skip
    """Draw a stratification: A observed response by predicted third, B ROC curve, C predictions with intervals.

    Parameters
    ----------
    frame : DataFrame
        As `stratify` returns it.
    label : str
        What the response is, such as "AAC".
    high_is_sensitive : bool
    size : tuple of float
        Width and height in mm.

    Returns
    -------
    Figure, DataFrame
    """
    fig, axes = style.figure(*size, ncols=3, width_ratios=(0.8, 1, 1.7))
    name, kind = str(frame["perturbation"].iloc[0]), pages.data_of(frame)
    curve, area, p = roc(frame, high_is_sensitive)
    stratification.thirds(axes[0], frame, title=name, ylabel=f"Observed {label}")
    stratification.roc(axes[1], curve, area, p, title=f"Responders: the best {frame['responder'].mean():.0%}")
    stratification.intervals(axes[2], frame, title="Held-out samples by prediction", ylabel=label)
    for letter, ax in zip("ABC", axes, strict=True):
        style.panel_letter(ax, letter)
    style.data_note(axes[2], kind)
    return fig, frame
