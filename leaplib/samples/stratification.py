"""Responders against non-responders by what a model predicted for them."""

import numpy as np
import pandas as pd
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_auc_score, roc_curve

from leaplib.base.errors import InputError
from leaplib.figures import pages, panels, style

GROUPS = ("low", "middle", "high")
MIN_SAMPLES = 12


def stratify(
    predicted: pd.DataFrame,
    observed: pd.Series,
    perturbation: str,
    share: float = 0.25,
    high_is_sensitive: bool = True,
    data: str = "real",
) -> pd.DataFrame:
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
    score, responder = frame["prediction"] if high_is_sensitive else -frame["prediction"], frame["responder"]
    false, true, _ = roc_curve(responder, score, drop_intermediate=False)
    p = mannwhitneyu(score[responder], score[~responder], alternative="greater").pvalue
    curve = pd.DataFrame({"false_positive": false, "true_positive": true})
    return curve, float(roc_auc_score(responder, score)), float(p)


@style.styled
def page(frame: pd.DataFrame, label: str = "response", high_is_sensitive: bool = True) -> style.Drawn:
    """Draw a stratification: A observed response by predicted third, B ROC curve, C predictions with intervals.

    Parameters
    ----------
    frame : DataFrame
        As `stratify` returns it.
    label : str
        What the response is, such as "AAC".
    high_is_sensitive : bool

    Returns
    -------
    Figure, DataFrame
    """
    fig, axes = style.figure(style.TWO_COLUMNS, 62, ncols=3, width_ratios=(0.8, 1, 1.7))
    name, kind = str(frame["perturbation"].iloc[0]), pages.data_of(frame)
    curve, area, p = roc(frame, high_is_sensitive)
    style.head(axes[0], f"{name}\nn = {style.counted(len(frame), 'samples')}", "A")
    panels.thirds(axes[0], frame, f"Observed {label}")
    style.head(axes[1], f"Responders: the best {frame['responder'].mean():.0%}", "B")
    panels.roc(axes[1], curve, area, p)
    within, known = frame["observed"].between(frame["lower"], frame["upper"]), frame["lower"].notna()
    said = f"{within.sum():,} of {known.sum():,} within their interval"
    style.head(axes[2], f"Held-out samples by prediction\n{said}", "C", kind)
    panels.intervals(axes[2], frame, label)
    return fig, frame
