"""What was learned: curves and codes of pretraining; and one perturbation's predictions against what was observed."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from leaplib.figures import style

# Six colours by three markers. Colours that are close in grey never share a marker.
GROUP_COLOURS = ("#015C9F", "#61207E", "#CF2D28", "#F68B0B", "#2F9354", "#92D1FA")
GROUP_MARKERS = ("o", "^", "s")
N_GROUPS = 15  # the largest tissues, with a colour and marker of their own
OTHER, UNKNOWN = "other", "unknown"
TRAINING: dict[str, Any] = {"linewidth": 0.6, "linestyle": (0, (2, 1.2))}
TINTS = {"low": 0.25, "middle": 0.55, "high": 1.0}  # of LEAP's colour, by third of the predictions


@style.panel("representation", "train_loss", "validation_loss", "epoch")
def learning_curves(ax: Axes, frame: pd.DataFrame) -> None:
    """Draw training and validation loss of each representation, and the epoch that did best.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns representation (0, 1, ...), epoch, train_loss, validation_loss.
    """
    numbers = sorted(int(number) for number in frame["representation"].unique())
    parts = {f"DAMAE {number + 1}": (style.representation_colour(number), frame[frame["representation"] == number])
             for number in numbers}  # fmt: skip
    for colour, rows in parts.values():
        ax.plot(rows["epoch"], rows["train_loss"], color=colour, label="_training", **TRAINING)
        ax.plot(rows["epoch"], rows["validation_loss"], color=colour, label="_validation", linewidth=0.9)
        best = rows.nsmallest(1, "validation_loss")
        ax.plot(best["epoch"], best["validation_loss"], "o", color=colour, label="_best", markersize=3.2,
                markeredgecolor="white", markeredgewidth=0.4, zorder=4)  # fmt: skip
    ax.set(xlabel="Epoch", ylabel="Reconstruction loss\n(mean squared error, standardised expression)")
    kinds = [
        Line2D([], [], color=style.INK, label="training (corrupted input, dropout)", **TRAINING),
        Line2D([], [], color=style.INK, linewidth=0.9, label="validation (clean input)"),
        Line2D([], [], color=style.INK, linestyle="", marker="o", markersize=3, label="best epoch"),
    ]
    blank = [Line2D([], [], linestyle="", label="")] * (len(parts) - len(kinds))
    own = [Line2D([], [], color=colour, label=name, linewidth=1.4) for name, (colour, _) in parts.items()]
    ax.legend(handles=[*kinds, *blank, *own], loc="upper right", ncols=2 if len(own) > 2 else 1)


@style.panel("x", "y", "group")
def codes(ax: Axes, frame: pd.DataFrame) -> None:
    """Draw samples in two components of a representation, coloured by group (tissue); small groups are pooled.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns x, y, group.
    """
    tissues = frame.loc[frame["group"] != OTHER, "group"].value_counts().sort_index()
    largest = list(tissues.sort_values(ascending=False, kind="stable").index[:N_GROUPS])
    names = frame["group"].where(frame["group"].isin(largest), OTHER)
    for place, name in enumerate([*largest, OTHER]):
        rows = frame[names == name]
        looks = {"marker": GROUP_MARKERS[(place + place // len(GROUP_COLOURS)) % len(GROUP_MARKERS)], "s": 7,
                 "color": GROUP_COLOURS[place % len(GROUP_COLOURS)], "zorder": 2}  # fmt: skip
        look: dict[str, Any] = {"marker": ".", "s": 14, "color": style.FAINT, "zorder": 1} if name == OTHER else looks
        if len(rows):
            ax.scatter(rows["x"], rows["y"], label=f"{name} ({len(rows):,})", linewidth=0.25, edgecolor="white", **look)
    ax.set(xlabel="First principal component", ylabel="Second principal component")
    beside: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5), "alignment": "left"}
    ax.legend(title="Tissue (samples)", handlelength=0.8, **beside)


@style.panel("group", "observed")
def thirds(ax: Axes, frame: pd.DataFrame, ylabel: str) -> None:
    """Draw what was observed in samples of low, middle and high prediction: boxes, and a point a sample.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns group ("low", "middle", "high"), observed.
    ylabel : str
    """
    rng = np.random.default_rng(0)  # the points' places across their box
    sets = [frame.loc[frame["group"] == group, "observed"].dropna() for group in TINTS]
    for place, (values, (group, share)) in enumerate(zip(sets, TINTS.items(), strict=True)):
        across = place + rng.uniform(-0.28, 0.28, len(values))
        colour = style.tint(style.colour("LEAP"), share)
        ax.scatter(across, values, color=colour, s=5, edgecolor="white", linewidth=0.2, zorder=2, label=f"_{group}")
    style.boxes(ax, range(len(TINTS)), sets, 0.62, ["none"] * len(TINTS))
    ax.set(xticks=range(len(TINTS)), xticklabels=list(TINTS), xlim=(-0.5, len(TINTS) - 0.5))
    ax.set(xlabel="Third by prediction", ylabel=ylabel)


@style.panel("false_positive", "true_positive")
def roc(ax: Axes, frame: pd.DataFrame, area: float, p: float) -> None:
    """Draw a ROC curve beside the diagonal of chance.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns false_positive, true_positive.
    area, p : float
        Written into the panel.
    """
    ax.plot([0, 1], [0, 1], color=style.FAINT, linewidth=0.6, linestyle=(0, (3, 2)), label="_chance")
    ax.plot(frame["false_positive"], frame["true_positive"], color=style.colour("LEAP"), linewidth=1.2, label="_roc")
    said = f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001"
    ax.text(0.97, 0.05, f"area {area:.2f}\n{said}", ha="right", va="bottom", transform=ax.transAxes)
    ax.set(xlabel="Non-responders called (share)", ylabel="Responders found (share)", aspect="equal")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))


@style.panel("lower", "upper", "observed", "prediction")
def intervals(ax: Axes, frame: pd.DataFrame, ylabel: str) -> None:
    """Draw samples by rising prediction: interval, prediction, and what was observed (hollow outside the interval).

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns prediction, lower, upper (NaN: no interval), observed.
    ylabel : str
    """
    drawn = frame.sort_values("prediction", ignore_index=True)
    out = drawn[(drawn["observed"] < drawn["lower"]) | (drawn["observed"] > drawn["upper"])]
    within = drawn.drop(index=out.index)
    ax.plot(drawn["prediction"], color=style.colour("LEAP"), linewidth=1.2, zorder=2.5, label="prediction")
    ax.vlines(drawn.index, drawn["lower"], drawn["upper"], color=style.colour("PS-LASSO"), linewidth=0.7,
              label="interval")  # fmt: skip
    ax.scatter(within.index, within["observed"], s=4, color=style.INK, linewidth=0, zorder=3, label="observed")
    ax.scatter(out.index, out["observed"], s=6, facecolor="white", edgecolor=style.NOTE, linewidth=0.6, zorder=3,
               label="observed, outside")  # fmt: skip
    ax.set(xlabel="Samples, by prediction", ylabel=ylabel, xlim=(-1, len(drawn)))
    ax.legend(loc="upper left")
