"""What pretraining does: learning curves, and where the samples lie in the representation."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from leaplib.figures import style

# Six colours by three markers. Colours that are close in grey never share a marker.
GROUP_COLOURS = ("#015C9F", "#61207E", "#CF2D28", "#F68B0B", "#2F9354", "#92D1FA")
GROUP_MARKERS = ("o", "^", "s")
TRAINING: dict[str, Any] = {"linewidth": 0.6, "linestyle": (0, (2, 1.2))}
OTHER, UNKNOWN = "other", "unknown"


def learning_curves(ax: Axes, frame: pd.DataFrame, *, title: str = "") -> Axes:
    """Draw training and validation loss of each representation, and the epoch that did best.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns representation (0, 1, ...), epoch, train_loss, validation_loss.
    title : str
    """
    columns = ("representation", "epoch", "train_loss", "validation_loss")
    drawn = style.checked(frame, columns).dropna(subset=["train_loss", "validation_loss"], how="all")
    if style.begin(ax, drawn["epoch"], title):
        return ax
    numbers = sorted(int(number) for number in drawn["representation"].unique())
    best_look: dict[str, Any] = {"markersize": 3.2, "markeredgecolor": "white", "markeredgewidth": 0.4, "zorder": 4}
    for number in numbers:
        rows, colour = drawn[drawn["representation"] == number], style.representation_colour(number)
        ax.plot(rows["epoch"], rows["train_loss"], color=colour, label=f"_training {number}", **TRAINING)
        ax.plot(rows["epoch"], rows["validation_loss"], color=colour, label=f"_validation {number}", linewidth=0.9)
        if rows["validation_loss"].notna().any():
            best = rows.loc[[rows["validation_loss"].idxmin()]]
            ax.plot(best["epoch"], best["validation_loss"], "o", color=colour, label="_best", **best_look)
    ax.set(xlabel="Epoch", ylabel="Reconstruction loss\n(mean squared error, standardised expression)")
    _curve_legend(ax, numbers)
    return ax


def _curve_legend(ax: Axes, numbers: Sequence[int]) -> None:
    """Say what the lines mean, whatever their colour, and beside it whose they are."""
    kinds = [
        Line2D([], [], color=style.INK, label="training (corrupted input, dropout)", **TRAINING),
        Line2D([], [], color=style.INK, linewidth=0.9, label="validation (clean input)"),
        Line2D([], [], color=style.INK, linestyle="", marker="o", markersize=3, label="best epoch"),
    ]
    blank = [Line2D([], [], linestyle="", label="")] * (len(numbers) - len(kinds))
    colours = {f"DAMAE {number + 1}": style.representation_colour(number) for number in numbers}
    own = [Line2D([], [], color=colour, label=name, linewidth=1.4) for name, colour in colours.items()]
    ax.legend(handles=[*kinds, *blank, *own], loc="upper right", ncols=2 if len(own) > 2 else 1)


def pooled(groups: pd.Series, n_groups: int) -> pd.Series:
    """Return groups with all but the `n_groups` largest called "other"; ties go by name."""
    counts = groups[groups != OTHER].value_counts().rename_axis("group").reset_index(name="n")
    largest = counts.sort_values(["n", "group"], ascending=[False, True])["group"].head(n_groups)
    return groups.where(groups.isin(largest), OTHER)


def codes(ax: Axes, frame: pd.DataFrame, *, n_groups: int = 15, title: str = "") -> Axes:
    """Draw samples in two components of a representation, coloured by group (tissue).

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns x, y, group ("unknown" does not count as a tissue).
    n_groups : int
        Largest groups with a colour and marker of their own; the rest are pooled as "other".
    title : str
        The counts are written under it.
    """
    drawn = style.checked(frame, ("x", "y", "group")).dropna()
    groups = drawn["group"].astype(str)
    n_tissues = groups[groups != UNKNOWN].nunique()
    count = f"n = {len(drawn):,} samples of {n_tissues} tissue{'s' if n_tissues != 1 else ''}"
    if style.begin(ax, drawn["x"], title, count):
        return ax
    names = pooled(groups, n_groups)
    order = [name for name in names.value_counts().index if name != OTHER]
    for place, name in enumerate([OTHER, *order] if (names == OTHER).any() else order):
        _group(ax, drawn[names == name], name, place - int((names == OTHER).any()))
    ax.set(xlabel="First principal component", ylabel="Second principal component")
    handles, labels = ax.get_legend_handles_labels()
    if (names == OTHER).any():
        handles, labels = [*handles[1:], handles[0]], [*labels[1:], labels[0]]
    beside: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5), "alignment": "left"}
    ax.legend(handles, labels, title="Tissue (samples)", handlelength=0.8, **beside)
    return ax


def _group(ax: Axes, rows: pd.DataFrame, name: str, place: int) -> None:
    """Draw one group; `place` -1 is the pooled rest, in grey."""
    colour = style.FAINT if place < 0 else GROUP_COLOURS[place % len(GROUP_COLOURS)]
    marker = "." if place < 0 else GROUP_MARKERS[(place + place // len(GROUP_COLOURS)) % len(GROUP_MARKERS)]
    size, layer = (14, 1) if place < 0 else (7, 2)
    look: dict[str, Any] = {"s": size, "zorder": layer, "marker": marker, "linewidth": 0.25, "edgecolor": "white"}
    ax.scatter(rows["x"], rows["y"], color=colour, label=f"{name} ({len(rows):,})", **look)
