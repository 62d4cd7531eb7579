"""One perturbation, samples it was not trained on: observed response by prediction, ROC curve, intervals."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from leaplib.figures import style

TINTS = {"low": 0.25, "middle": 0.55, "high": 1.0}  # of LEAP's colour


def thirds(ax: Axes, frame: pd.DataFrame, *, title: str = "", ylabel: str = "Observed response") -> Axes:
    """Draw what was observed in samples of low, middle and high prediction: boxes, and a point a sample.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns group ("low", "middle", "high"), observed.
    title : str
        The count is written under it.
    ylabel : str
    """
    drawn = style.checked(frame, ("group", "observed")).dropna()
    if style.begin(ax, drawn["observed"], title, f"n = {style.counted(len(drawn), 'samples')}"):
        return ax
    rng = np.random.default_rng(0)  # the points' places across their box
    for place, (group, tint) in enumerate(TINTS.items()):
        values = drawn.loc[drawn["group"] == group, "observed"]
        colour = style.tint(style.colour("LEAP"), tint)
        across = place + rng.uniform(-0.28, 0.28, len(values))
        look: dict[str, Any] = {"s": 5, "edgecolor": "white", "linewidth": 0.2, "zorder": 2}
        ax.scatter(across, values, color=colour, label=f"_{group}", **look)
        style.box(ax, place, values, 0.62)
    ax.set(xticks=range(len(TINTS)), xticklabels=list(TINTS), xlim=(-0.5, len(TINTS) - 0.5))
    ax.set(xlabel="Third by prediction", ylabel=ylabel)
    return ax


def roc(ax: Axes, curve: pd.DataFrame, area: float, p: float, *, title: str = "") -> Axes:
    """Draw a ROC curve beside the diagonal of chance.

    Parameters
    ----------
    ax : Axes
    curve : DataFrame
        Columns false_positive, true_positive.
    area, p : float
        Written into the panel.
    title : str
    """
    drawn = style.checked(curve, ("false_positive", "true_positive"))
    if style.begin(ax, drawn["true_positive"], title):
        return ax
    ax.plot([0, 1], [0, 1], color=style.FAINT, linewidth=0.6, linestyle=(0, (3, 2)), label="_chance")
    ax.plot(drawn["false_positive"], drawn["true_positive"], color=style.colour("LEAP"), linewidth=1.2, label="_roc")
    said = f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001"
    ax.text(0.97, 0.05, f"area {area:.2f}\n{said}", ha="right", va="bottom", transform=ax.transAxes)
    ax.set(xlabel="Non-responders called (share)", ylabel="Responders found (share)", aspect="equal")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return ax


def intervals(ax: Axes, frame: pd.DataFrame, *, title: str = "", ylabel: str = "Response") -> Axes:
    """Draw samples by rising prediction: interval, prediction, and what was observed (hollow outside the interval).

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns prediction, lower, upper (NaN: no interval), observed.
    title : str
        How many observations lie within their interval is written under it.
    ylabel : str
    """
    drawn = style.checked(frame, ("prediction", "lower", "upper", "observed")).sort_values("prediction")
    known = drawn.dropna(subset=["lower", "upper"])
    within = ((known["observed"] >= known["lower"]) & (known["observed"] <= known["upper"])).sum()
    said = f"{within:,} of {len(known):,} within their interval"
    if style.begin(ax, drawn["prediction"], title, said):
        return ax
    place = np.arange(len(drawn))
    outside = ((drawn["observed"] < drawn["lower"]) | (drawn["observed"] > drawn["upper"])).to_numpy()
    colour, observed = style.colour("LEAP"), drawn["observed"].to_numpy()
    ax.vlines(place, drawn["lower"], drawn["upper"], color=style.colour("PS-LASSO"), linewidth=0.7, label="_intervals")
    ax.plot(place, drawn["prediction"], color=colour, linewidth=1.2, label="_prediction")
    ax.scatter(place[~outside], observed[~outside], s=4, color=style.INK, linewidth=0, zorder=3, label="_within")
    look: dict[str, Any] = {"s": 6, "facecolor": "white", "edgecolor": style.NOTE, "linewidth": 0.6, "zorder": 3}
    ax.scatter(place[outside], observed[outside], label="_outside", **look)
    ax.set(xlabel="Samples, by prediction", ylabel=ylabel, xlim=(-1, len(drawn)))
    lasso = style.colour("PS-LASSO")
    dot: dict[str, Any] = {"linestyle": "", "marker": "o"}
    hollow = dot | {"markersize": 2.6, "markerfacecolor": "white", "markeredgewidth": 0.6, "color": style.NOTE}
    handles = [
        Line2D([], [], color=colour, linewidth=1.2, label="prediction"),
        Line2D([], [], color=lasso, linewidth=1.2, label="interval"),
        Line2D([], [], color=style.INK, markersize=2.2, label="observed", **dot),
        Line2D([], [], label="observed, outside", **hollow),
    ]
    ax.legend(handles=handles, loc="upper left")
    return ax
