"""Models against each other: box plots over splits, scatter over perturbations, members against LEAP."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from leaplib.figures import style
from leaplib.figures.style import RHO

YLABEL = f"{RHO} per perturbation\n(mean over perturbations)"
BOX, POINTS = 0.32, 0.16  # widths of a box and of the points beside it, of the distance between models
MIN_PLACES = 6  # for models in a panel
BESIDE = 0.29  # from the middle of a box to that of its points, and to its published mark
DASHED, DOTTED = (0, (4, 2)), (0, (1, 1.5))


def model_boxes(
    ax: Axes,
    frame: pd.DataFrame,
    published: pd.DataFrame | None = None,
    *,
    title: str = "",
    n_perturbations: int | None = None,
    split_name: str = "splits",
    perturbation_name: str = "perturbations",
    ylabel: str = YLABEL,
) -> Axes:
    """Draw one box per model with one point per split left of it, and published values right of it.

    Boxes show median and quartiles, whiskers reach to the last point within 1.5 interquartile ranges. Points stand
    beside the box: a narrow box would vanish under them. A model with a single value is a larger point.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns model, split, value. A model without any value keeps its place, marked "no data".
    published : DataFrame, optional
        Columns model, mean, sd (NaN: not given). Models that are not in `frame` get a place too.
    title : str
        The counts are written under it.
    n_perturbations : int, optional
        How many perturbations each value is a mean of.
    split_name, perturbation_name : str
        What to call splits and perturbations, in the plural.
    ylabel : str
    """
    values = style.checked(frame, ("model", "split", "value"))
    marks = style.checked(pd.DataFrame() if published is None else published, ("model", "mean", "sd"))
    marks = marks.dropna(subset=["mean"])
    drawn = values.dropna(subset=["value"])
    splits = drawn["split"].nunique()
    count = style.counts(splits, split_name, n_perturbations, perturbation_name)
    if style.begin(ax, pd.Series([*drawn["value"], *marks["mean"]], dtype=float), title, count):
        return ax
    names = style.model_order([*values["model"], *marks["model"]])
    _boxes(ax, drawn, names, 0 if len(marks) else BESIDE / 2)
    _published(ax, marks, names, set(drawn["model"]))
    _model_ticks(ax, names, set(values["model"]))
    _reference_lines(ax, names, drawn.loc[drawn["model"] == style.REPRODUCIBILITY, "value"])
    reach = (marks["mean"] + marks["sd"].fillna(0)).groupby(marks["model"]).max()
    _fewer(ax, drawn, [name if name in set(values["model"]) else "" for name in names], splits, reach)
    ax.set_ylabel(ylabel)
    return ax


def _boxes(ax: Axes, drawn: pd.DataFrame, names: Sequence[str], right: float) -> None:
    """Draw boxes, `right` of a model's place, and points; a split keeps its place across beside every box."""
    rank = {split: i for i, split in enumerate(sorted(drawn["split"].unique()))}
    spread = np.linspace(-0.5, 0.5, len(rank)) * POINTS if len(rank) > 1 else np.zeros(1)
    for place, name in enumerate(names):
        rows = drawn[drawn["model"] == name]
        alone = len(rows) == 1
        across = place if alone else place + right - BESIDE + spread[[rank[split] for split in rows["split"]]]
        if len(rows) > 1:
            style.box(ax, place + right, rows["value"], BOX, style.tint(style.colour(name), 0.85), label=f"_{name}")
        look: dict[str, Any] = {"s": 14 if alone else 4, "edgecolor": style.INK, "linewidth": 0.3, "zorder": 3}
        places = np.broadcast_to(across, len(rows))
        ax.scatter(places, rows["value"], facecolor=style.colour(name), label=f"_{name}", **look)


def _published(ax: Axes, marks: pd.DataFrame, names: Sequence[str], ours: set[str]) -> None:
    """Draw published means and SDs, right of the box where there is one, and the legend that says so."""
    if len(marks):
        places = [names.index(name) + (BESIDE if name in ours else 0) for name in marks["model"]]
        style.published(ax, places, marks["mean"], yerr=marks["sd"])
        ax.legend(loc="upper left", bbox_to_anchor=(0, 1.0), handlelength=1.0)
        low, high = ax.get_ylim()
        ax.set_ylim(low, high + 0.12 * (high - low))  # room for it


def _model_ticks(ax: Axes, names: Sequence[str], ours: set[str]) -> None:
    """Name the models: LEAP in bold, those that are published only in grey."""
    style.slanted(ax, [style.SHORT.get(name, name) for name in names])
    for label, name in zip(ax.get_xticklabels(), names, strict=True):
        label.set_color(style.INK if name in ours else style.MUTED)
        label.set_fontweight("bold" if name == "LEAP" else "normal")
    room = max(MIN_PLACES - len(names), 0) / 2  # few boxes are no wider for it
    ax.set_xlim(-0.6 - room, len(names) - 0.4 + room)


def _fewer(ax: Axes, drawn: pd.DataFrame, names: Sequence[str], splits: int, marks: pd.Series) -> None:
    """Write how many values a model has where it has fewer than the others, above what reaches highest there."""
    counts, tops = drawn.groupby("model")["split"].nunique(), drawn.groupby("model")["value"].max()
    clear = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}  # over the line that parts the controls
    small: dict[str, Any] = {"fontsize": 6, "color": style.MUTED, "ha": "center", "va": "bottom", "bbox": clear}
    for place, name in enumerate(names):
        if name and counts.get(name, 0) == 0:
            ax.annotate("no data", (place, 0.02), xycoords=("data", "axes fraction"), rotation=90, **small)
        elif counts.get(name, splits) < splits:
            at = (
                place,
                max(tops[name], marks.get(name, 0.0), 0.0),
            )  # never under the zero line, which would run through the words
            ax.annotate(f"n = {counts[name]}", at, (0, 3), textcoords="offset points", **small)


def _reference_lines(ax: Axes, names: Sequence[str], labels: pd.Series) -> None:
    """Draw zero where it is in range, part models from what is none, and draw the labels' median reproducibility."""
    low, high = ax.get_ylim()
    ax.set_ylim(low, high)
    if low < 0 < high:
        ax.axhline(0, color=style.MUTED, linewidth=0.5, linestyle=DASHED, zorder=0, label="_zero")
    edges = {sum(name in style.CONTROLS for name in names): "_controls"}
    if style.REPRODUCIBILITY in names:
        edges[len(names) - 1] = "_reproducibility"
    top = 0.88 if ax.get_legend() else 1
    for edge, label in edges.items():
        if 0 < edge < len(names):
            ax.axvline(edge - 0.5, ymax=top, color=style.FAINT, linewidth=0.5, zorder=0, label=label)
    if len(labels):
        label = "_median reproducibility"
        ax.axhline(labels.median(), color=style.INK, linewidth=0.6, linestyle=DOTTED, zorder=0, label=label)


def perturbation_scatter(
    ax: Axes,
    frame: pd.DataFrame,
    x: str,
    y: str,
    *,
    title: str = "",
    perturbation_name: str = "perturbations",
    mean_over: str = "",
) -> Axes:
    """Draw one point a perturbation, a model on each axis, and say how many lie above the diagonal.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns perturbation and the two models: the correlation of each perturbation, mean over splits.
    x, y : str
        The models.
    title : str
        The count is written under it.
    perturbation_name : str
        What to call perturbations, in the plural.
    mean_over : str
        What each value is a mean of, such as "10 splits".
    """
    drawn = style.checked(frame, ("perturbation", x, y)).dropna()
    count = f"n = {style.counted(len(drawn), perturbation_name)}" + (f", mean of {mean_over}" if mean_over else "")
    if style.begin(ax, drawn[x], title, count):
        return ax
    above, below = drawn[y] > drawn[x], drawn[y] < drawn[x]
    ax.scatter(
        drawn[x],
        drawn[y],
        s=4,
        c=[style.colour(y) if up else style.colour(x) for up in above],
        alpha=0.65,
        linewidth=0,
        label="_perturbations",
    )
    low, high = drawn[[x, y]].to_numpy().min(), drawn[[x, y]].to_numpy().max()
    room = 0.05 * (high - low) or 0.05
    ends = (low - room, high + room)
    ax.plot(ends, ends, color=style.INK, linewidth=0.6, zorder=0, label="_diagonal")
    if ends[0] < 0 < ends[1]:
        ax.axhline(0, color=style.FAINT, linewidth=0.5, zorder=0)
        ax.axvline(0, color=style.FAINT, linewidth=0.5, zorder=0)
    ax.set(xlim=ends, ylim=ends, aspect="equal", xlabel=f"{x}, {RHO}", ylabel=f"{y}, {RHO}")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))  # few enough that five characters fit under each
    clear: dict[str, Any] = {"bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1.5}, "transform": ax.transAxes}
    up, down = (f"{name} higher\n{which.sum():,} ({which.mean():.0%})" for name, which in ((y, above), (x, below)))
    ax.text(0.03, 0.97, up, ha="left", va="top", **clear)
    ax.text(0.97, 0.03, down, ha="right", va="bottom", **clear)
    return ax


def members(
    ax: Axes,
    frame: pd.DataFrame,
    published: pd.DataFrame | None = None,
    *,
    title: str = "",
    n_perturbations: int | None = None,
    split_name: str = "splits",
    perturbation_name: str = "perturbations",
    ylabel: str = YLABEL,
) -> Axes:
    """Draw each member of LEAP against LEAP: one point a split, a line through each split, bars at means.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns name, split, value; names in the order in which they are drawn.
    published : DataFrame, optional
        Columns name (one of those), mean, sd (NaN: not given).
    title, n_perturbations, split_name, perturbation_name, ylabel
        As in `model_boxes`.
    """
    drawn = style.checked(frame, ("name", "split", "value")).dropna(subset=["value"])
    count = style.counts(drawn["split"].nunique(), split_name, n_perturbations, perturbation_name)
    if style.begin(ax, drawn["value"], title, f"{count}\nlines: {split_name}; bars: means"):
        return ax
    wide = drawn.pivot_table(index="split", columns="name", values="value", sort=False)
    names = [name for name in dict.fromkeys(frame["name"]) if name in wide]
    for _, row in wide[names].iterrows():
        ax.plot(range(len(names)), row, color=style.FAINT, linewidth=0.4, zorder=1, label="_split")
    look: dict[str, Any] = {"s": 9, "edgecolor": style.INK, "linewidth": 0.35, "zorder": 3}
    for place, name in enumerate(names):
        values = wide[name].dropna()
        ax.scatter(np.full(len(values), place), values, facecolor=style.colour(name), label=f"_{name}", **look)
        ax.hlines(values.mean(), place - 0.27, place + 0.27, color=style.INK, linewidth=1.1, zorder=2)
    marks = style.checked(pd.DataFrame() if published is None else published, ("name", "mean", "sd"))
    _published(ax, marks[marks["name"].isin(names)].rename(columns={"name": "model"}), names, set(names))
    style.slanted(ax, names)
    ax.set(xlim=(-0.5, len(names) - 0.5), ylabel=ylabel)
    return ax
