"""Models against each other: box plots over splits, scatter over perturbations, members against LEAP."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from leaplib.figures import style

RHO = "Spearman's ρ"  # noqa: RUF001
YLABEL = f"{RHO} per perturbation\n(mean over perturbations)"
BOX, POINTS = 0.32, 0.16  # widths of a box and of the points beside it, of the distance between models
MIN_PLACES = 6  # for models in a panel
BESIDE = 0.29  # from the middle of a box to that of its points, and to its published mark


def counted(number: int, plural: str) -> str:
    """Return "1 split", "1,539 genes" or "1 subset of PDX"."""
    noun, of, rest = plural.partition(" of ")
    return f"{number:,} {noun.removesuffix('s') if number == 1 else noun}{of}{rest}"


def counts(splits: int, split_name: str, n_perturbations: int | None, perturbation_name: str) -> str:
    """Return "n = 10 splits, 1,539 genes"."""
    known = [] if n_perturbations is None else [counted(n_perturbations, perturbation_name)]
    return "n = " + ", ".join([counted(splits, split_name), *known])


def model_boxes(ax: Axes, frame: pd.DataFrame, published: pd.DataFrame | None = None, *, title: str = "",
                n_perturbations: int | None = None, split_name: str = "splits",
                perturbation_name: str = "perturbations", ylabel: str = YLABEL) -> Axes:  # fmt: skip
    """Draw one box per model with one point per split left of it, and published values right of it.

    Boxes show median and quartiles, whiskers reach to the last point within 1.5 interquartile ranges. Points stand
    beside the box, in its colour: a narrow box would vanish under them. A model with a single value is a larger
    point.

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

    Returns
    -------
    Axes
    """
    values = style.checked(frame, ("model", "split", "value"))
    marks = style.checked(pd.DataFrame() if published is None else published, ("model", "mean", "sd"))
    marks = marks.dropna(subset=["mean"])
    drawn = values.dropna(subset=["value"])
    splits = drawn["split"].nunique()
    count = counts(splits, split_name, n_perturbations, perturbation_name)
    ax.set_title("\n".join(filter(None, [title, count])), loc="left")
    if drawn.empty and marks.empty:
        return style.no_data(ax)
    names = style.model_order([*values["model"], *marks["model"]])
    _boxes(ax, drawn, names, 0 if len(marks) else BESIDE / 2)
    _published(ax, marks, names, set(drawn["model"]))
    _model_ticks(ax, names, set(values["model"]))
    _reference_lines(ax, names)
    _reproducibility(ax, drawn.loc[drawn["model"] == style.REPRODUCIBILITY, "value"])
    _fewer(ax, drawn, names, splits, set(values["model"]))
    ax.set_ylabel(ylabel)
    return ax


def _boxes(ax: Axes, drawn: pd.DataFrame, names: Sequence[str], right: float) -> None:
    """Draw boxes, `right` of a model's place, and points; a split keeps its place across beside every box."""
    rank = {split: i for i, split in enumerate(sorted(drawn["split"].unique()))}
    spread = np.linspace(-0.5, 0.5, len(rank)) * POINTS if len(rank) > 1 else np.zeros(1)
    for place, name in enumerate(names):
        rows = drawn[drawn["model"] == name]
        alone = len(rows) == 1
        if len(rows) > 1:
            _box(ax, place + right, rows["value"], name)
        across = place if alone else place + right - BESIDE + spread[[rank[split] for split in rows["split"]]]
        ax.scatter(np.broadcast_to(across, len(rows)), rows["value"], s=14 if alone else 4, zorder=3,
                   edgecolor=style.INK, linewidth=0.3, facecolor=style.colour(name), label=f"_{name}")  # fmt: skip


def _box(ax: Axes, place: float, values: pd.Series, name: str) -> None:
    line = {"color": style.INK, "linewidth": 0.5}
    face = {"facecolor": style.tint(style.colour(name), 0.85), "edgecolor": style.INK, "linewidth": 0.5}
    box = ax.boxplot([values.to_numpy()], positions=[place], widths=BOX, showfliers=False, patch_artist=True,
                     manage_ticks=False, whiskerprops=line, capprops=line, boxprops=face,
                     medianprops=line | {"linewidth": 1.1})  # fmt: skip
    box["boxes"][0].set_label(f"_{name}")


def _published(ax: Axes, marks: pd.DataFrame, names: Sequence[str], ours: set[str]) -> None:
    """Draw published means and SDs, right of the box where there is one, and the legend that says so."""
    if marks.empty:
        return
    places = [names.index(name) + (BESIDE if name in ours else 0) for name in marks["model"]]
    ax.errorbar(places, marks["mean"], yerr=marks["sd"].fillna(0), fmt="D", color=style.INK, markersize=2.6,
                markerfacecolor="white", markeredgewidth=0.6, elinewidth=0.6, capsize=1.2, capthick=0.5,
                zorder=4, label="published mean ± SD")  # fmt: skip
    ax.legend(loc="upper left", bbox_to_anchor=(0, 1.0), handlelength=1.0)


def _model_ticks(ax: Axes, names: Sequence[str], ours: set[str]) -> None:
    """Name the models: LEAP in bold, those that are published only in grey."""
    labels = [style.SHORT.get(name, name) for name in names]
    ax.set_xticks(range(len(names)), labels, rotation=45, ha="right", rotation_mode="anchor")
    ax.tick_params(axis="x", length=0)
    for label, name in zip(ax.get_xticklabels(), names, strict=True):
        label.set_color(style.INK if name in ours else style.MUTED)
        label.set_fontweight("bold" if name == "LEAP" else "normal")
    room = max(MIN_PLACES - len(names), 0) / 2  # few boxes are no wider for it
    ax.set_xlim(-0.6 - room, len(names) - 0.4 + room)


def _fewer(ax: Axes, drawn: pd.DataFrame, names: Sequence[str], splits: int, ours: set[str]) -> None:
    """Write how many values a model has where it has fewer than the others."""
    counts, tops = drawn.groupby("model")["split"].nunique(), drawn.groupby("model")["value"].max()
    clear = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}  # over the line that parts the controls
    small: dict[str, Any] = {"fontsize": 6, "color": style.MUTED, "ha": "center", "va": "bottom", "bbox": clear}
    for place, name in enumerate(names):
        if name in ours and counts.get(name, 0) == 0:
            ax.annotate("no data", (place, 0.02), xycoords=("data", "axes fraction"), rotation=90, **small)
        elif counts.get(name, splits) < splits:
            at = (place, max(tops[name], 0.0))  # never under the zero line, which would run through the words
            ax.annotate(f"n = {counts[name]}", at, (0, 3), textcoords="offset points", **small)


def _legend_room(ax: Axes) -> tuple[float, float]:
    """Leave room for the legend, where there is one, and return the limits."""
    low, high = ax.get_ylim()
    high += 0.12 * (high - low) if ax.get_legend() else 0
    ax.set_ylim(low, high)
    return low, high


def _reference_lines(ax: Axes, names: Sequence[str]) -> None:
    """Draw zero where it is in range, and part models from what is none."""
    low, high = _legend_room(ax)
    if low < 0 < high:
        ax.axhline(0, color=style.MUTED, linewidth=0.5, linestyle=(0, (4, 2)), zorder=0, label="_zero")
    edges = {sum(name in style.CONTROLS for name in names): "_controls"}
    if style.REPRODUCIBILITY in names:
        edges[len(names) - 1] = "_reproducibility"
    for edge, label in edges.items():
        if 0 < edge < len(names):
            top = 0.88 if ax.get_legend() else 1
            ax.axvline(edge - 0.5, ymax=top, color=style.FAINT, linewidth=0.5, zorder=0, label=label)


def _reproducibility(ax: Axes, values: pd.Series) -> None:
    """Draw the median reproducibility of the labels through the panel, so that models can be held against it."""
    if len(values):
        ax.axhline(values.median(), color=style.INK, linewidth=0.6, linestyle=(0, (1, 1.5)), zorder=0,
                   label="_median reproducibility")  # fmt: skip


def perturbation_scatter(ax: Axes, frame: pd.DataFrame, x: str, y: str, *, title: str = "",
                         perturbation_name: str = "perturbations", mean_over: str = "") -> Axes:  # fmt: skip
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

    Returns
    -------
    Axes
    """
    drawn = style.checked(frame, ("perturbation", x, y)).dropna()
    count = f"n = {counted(len(drawn), perturbation_name)}" + (f", mean of {mean_over}" if mean_over else "")
    ax.set_title("\n".join(filter(None, [title, count])), loc="left")
    if drawn.empty:
        return style.no_data(ax)
    above = drawn[y] > drawn[x]
    colours = [style.colour(y) if up else style.colour(x) for up in above]
    ax.scatter(drawn[x], drawn[y], s=4, c=colours, alpha=0.65, linewidth=0, label="_perturbations")
    low, high = drawn[[x, y]].to_numpy().min(), drawn[[x, y]].to_numpy().max()
    room = 0.05 * (high - low) or 0.05
    ends = (low - room, high + room)
    ax.plot(ends, ends, color=style.INK, linewidth=0.6, zorder=0, label="_diagonal")
    for line in (ax.axhline, ax.axvline):
        if ends[0] < 0 < ends[1]:
            line(0, color=style.FAINT, linewidth=0.5, zorder=0)
    ax.set(xlim=ends, ylim=ends, aspect="equal", xlabel=f"{x}, {RHO}", ylabel=f"{y}, {RHO}")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))  # few enough that five characters fit under each
    _shares(ax, above, drawn[y] < drawn[x], x, y)
    return ax


def _shares(ax: Axes, above: pd.Series, below: pd.Series, x: str, y: str) -> None:
    """Write how many points lie above and below the diagonal into their corners."""
    clear = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    up, down = (f"{name} higher\n{which.sum():,} ({which.mean():.0%})" for name, which in ((y, above), (x, below)))
    ax.text(0.03, 0.97, up, transform=ax.transAxes, ha="left", va="top", bbox=clear)
    ax.text(0.97, 0.03, down, transform=ax.transAxes, ha="right", va="bottom", bbox=clear)


def members(ax: Axes, frame: pd.DataFrame, published: pd.DataFrame | None = None, *, title: str = "",
            n_perturbations: int | None = None, split_name: str = "splits",
            perturbation_name: str = "perturbations", ylabel: str = YLABEL) -> Axes:  # fmt: skip
    """Draw each member of LEAP against LEAP: one point a split, a line through each split, bars at means.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns name, split, value; names in the order in which they are drawn.
    published : DataFrame, optional
        Columns name (one of those), mean, sd (NaN: not given).
    title : str
        The counts are written under it.
    n_perturbations : int, optional
        How many perturbations each value is a mean of.
    split_name, perturbation_name : str
        What to call splits and perturbations, in the plural.
    ylabel : str

    Returns
    -------
    Axes
    """
    drawn = style.checked(frame, ("name", "split", "value")).dropna(subset=["value"])
    count = counts(drawn["split"].nunique(), split_name, n_perturbations, perturbation_name)
    ax.set_title("\n".join(filter(None, [title, f"{count}\nlines: {split_name}; bars: means"])), loc="left")
    if drawn.empty:
        return style.no_data(ax)
    wide = drawn.pivot_table(index="split", columns="name", values="value", sort=False)
    names = [name for name in dict.fromkeys(frame["name"]) if name in wide]
    for _, row in wide[names].iterrows():
        ax.plot(range(len(names)), row, color=style.FAINT, linewidth=0.4, zorder=1, label="_split")
    for place, name in enumerate(names):
        _member(ax, place, name, wide[name].dropna())
    marks = style.checked(pd.DataFrame() if published is None else published, ("name", "mean", "sd"))
    _published(ax, marks[marks["name"].isin(names)].rename(columns={"name": "model"}), names, set(names))
    _legend_room(ax)
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    ax.tick_params(axis="x", length=0)
    ax.set(xlim=(-0.5, len(names) - 0.5), ylabel=ylabel)
    return ax


def _member(ax: Axes, place: int, name: str, values: pd.Series) -> None:
    ax.scatter(np.full(len(values), place), values, s=9, facecolor=style.colour(name), edgecolor=style.INK,
               linewidth=0.35, zorder=3, label=f"_{name}")  # fmt: skip
    ax.hlines(values.mean(), place - 0.27, place + 0.27, color=style.INK, linewidth=1.1, zorder=2)
