"""One perturbation, samples it was not trained on: observed response by prediction, ROC curve, intervals."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from leaplib.figures import style
from leaplib.figures.comparison import counted

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

    Returns
    -------
    Axes
    """
    drawn = style.checked(frame, ("group", "observed")).dropna()
    ax.set_title("\n".join(filter(None, [title, f"n = {counted(len(drawn), 'samples')}"])), loc="left")
    if drawn.empty:
        return style.no_data(ax)
    rng = np.random.default_rng(0)  # the points' places across their box
    for place, (group, tint) in enumerate(TINTS.items()):
        values = drawn.loc[drawn["group"] == group, "observed"].to_numpy()
        colour = style.tint(style.colour("LEAP"), tint)
        ax.scatter(place + rng.uniform(-0.28, 0.28, len(values)), values, s=5, color=colour, edgecolor="white",
                   linewidth=0.2, zorder=2, label=f"_{group}")  # fmt: skip
        ax.boxplot(values, positions=[place], widths=0.62, showfliers=False, zorder=3,
                   medianprops={"color": style.INK, "linewidth": 1.2}, **_thin())  # fmt: skip
    ax.set(xticks=range(len(TINTS)), xticklabels=list(TINTS), xlabel="Third by prediction", ylabel=ylabel)
    return ax


def _thin() -> dict[str, Any]:
    """Return thin lines for the parts of a box."""
    return {name: {"color": style.INK, "linewidth": 0.5} for name in ("boxprops", "whiskerprops", "capprops")}


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

    Returns
    -------
    Axes
    """
    drawn = style.checked(curve, ("false_positive", "true_positive"))
    ax.set_title(title, loc="left")
    if drawn.empty:
        return style.no_data(ax)
    ax.plot([0, 1], [0, 1], color=style.FAINT, linewidth=0.6, linestyle=(0, (3, 2)), label="_chance")
    ax.plot(drawn["false_positive"], drawn["true_positive"], color=style.colour("LEAP"), linewidth=1.2, label="_roc")
    said = f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001"
    ax.text(0.97, 0.05, f"area {area:.2f}\n{said}", ha="right", va="bottom", transform=ax.transAxes)
    ax.set(xlabel="Non-responders called (share)", ylabel="Responders found (share)", aspect="equal",
           xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))  # fmt: skip
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

    Returns
    -------
    Axes
    """
    drawn = style.checked(frame, ("prediction", "lower", "upper", "observed")).sort_values("prediction")
    known = drawn.dropna(subset=["lower", "upper"])
    within = ((known["observed"] >= known["lower"]) & (known["observed"] <= known["upper"])).sum()
    said = f"{within:,} of {len(known):,} within their interval"
    ax.set_title("\n".join(filter(None, [title, said])), loc="left")
    if drawn.empty:
        return style.no_data(ax)
    place = np.arange(len(drawn))
    outside = ((drawn["observed"] < drawn["lower"]) | (drawn["observed"] > drawn["upper"])).to_numpy()
    colour, observed = style.colour("LEAP"), drawn["observed"].to_numpy()
    ax.vlines(place, drawn["lower"], drawn["upper"], color=style.colour("PS-LASSO"), linewidth=0.7, label="_intervals")
    ax.plot(place, drawn["prediction"], color=colour, linewidth=1.2, label="_prediction")
    ax.scatter(place[~outside], observed[~outside], s=4, color=style.INK, linewidth=0, zorder=3, label="_within")
    ax.scatter(place[outside], observed[outside], s=6, facecolor="white", edgecolor=style.NOTE, linewidth=0.6,
               zorder=3, label="_outside")  # fmt: skip
    ax.set(xlabel="Samples, by prediction", ylabel=ylabel, xlim=(-1, len(drawn)))
    ax.legend(handles=[
        Line2D([], [], color=colour, linewidth=1.2, label="prediction"),
        Line2D([], [], color=style.colour("PS-LASSO"), linewidth=1.2, label="interval"),
        Line2D([], [], linestyle="", marker="o", markersize=2.2, color=style.INK, label="observed"),
        Line2D([], [], linestyle="", marker="o", markersize=2.6, markerfacecolor="white", markeredgewidth=0.6,
               color=style.NOTE, label="observed, outside"),
    ], loc="upper left")  # fmt: skip
    return ax
