"""Models against each other: over splits, over perturbations, members against LEAP, and within groups."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from leaplib.figures import style
from leaplib.figures.style import RHO

YLABEL = f"{RHO} per perturbation\n(mean over perturbations)"
BOX, POINTS = 0.32, 0.16  # widths of a box and of the points beside it, of the distance between models
MIN_PLACES = 6  # for models in a panel
BESIDE = 0.29  # from the middle of a box to that of its points, and to its published mark
GROUP_WIDTH, STEP = 0.84, 0.14  # at most, that a group's models and each of them take of the distance between groups
LINE = 16  # characters of a slanting label's line
CHARACTER = 1.3  # mm that a character takes at 6 pt, at most
LARGEST, MIDDLE, SMALLEST = 26.0, 11.0, 3.0  # areas of points in square points


def model_boxes(ax: Axes, frame: pd.DataFrame, published: pd.DataFrame | None = None, ylabel: str = YLABEL) -> Axes:
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
    ylabel : str
    """
    values = style.checked(frame, ("model", "split", "value"))
    marks = style.checked(pd.DataFrame() if published is None else published, ("model", "mean", "sd"))
    marks = marks.dropna(subset=["mean"])
    drawn = values.dropna(subset=["value"])
    if drawn.empty and marks.empty:
        return style.no_data(ax)
    names, ours = style.model_order([*values["model"], *marks["model"]]), set(values["model"])
    if len(drawn):
        _boxes(ax, drawn, names, 0 if len(marks) else BESIDE / 2)
    _published(ax, marks, names, set(drawn["model"]))
    _model_ticks(ax, names, ours)
    _reference_lines(ax, names, drawn.loc[drawn["model"] == style.REPRODUCIBILITY, "value"])
    reach = (marks["mean"] + marks["sd"].fillna(0)).groupby(marks["model"]).max()
    for place, name in enumerate(names):
        if name in ours:
            _fewer(ax, place, drawn[drawn["model"] == name], drawn["split"].nunique(), reach.get(name, 0.0))
    ax.set_ylabel(ylabel)
    return ax


def _boxes(ax: Axes, drawn: pd.DataFrame, names: Sequence[str], right: float) -> None:
    """Draw boxes, `right` of a model's place, and points; a split keeps its place across beside every box."""
    sets = {str(name): values for name, values in drawn.groupby("model")["value"] if len(values) > 1}
    faces = [style.tint(style.colour(name), 0.85) for name in sets]
    if sets:
        style.boxes(ax, [names.index(name) + right for name in sets], list(sets.values()), BOX, faces)
    place, alone = drawn["model"].map(names.index), ~drawn["model"].isin(sets)
    rank = drawn["split"].rank(method="dense") - 1
    across = place + right - BESIDE + POINTS * (rank / max(rank.max(), 1) - 0.5 * (rank.max() > 0))
    ax.scatter(place.where(alone, across), drawn["value"], s=np.where(alone, 14, 4), edgecolor=style.INK,
               facecolor=drawn["model"].map(style.colour), linewidth=0.3, zorder=3)  # fmt: skip


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


def _fewer(ax: Axes, place: int, rows: pd.DataFrame, splits: int, reach: float) -> None:
    """Write how many values a model has where it has fewer than others, above what reaches highest there."""
    clear = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}  # over the line that parts the controls
    small: dict[str, Any] = {"fontsize": 6, "color": style.MUTED, "ha": "center", "va": "bottom", "bbox": clear}
    if rows.empty:
        ax.annotate("no data", (place, 0.02), xycoords=("data", "axes fraction"), rotation=90, **small)
    elif rows["split"].nunique() < splits:
        top = max(rows["value"].max(), reach, 0.0)  # never under the zero line, which would run through the words
        ax.annotate(f"n = {rows['split'].nunique()}", (place, top), (0, 3), textcoords="offset points", **small)


def _zero_line(ax: Axes) -> None:
    """Draw zero where it is in range, and keep the range."""
    low, high = ax.get_ylim()
    ax.set_ylim(low, high)
    if low < 0 < high:
        ax.axhline(0, color=style.MUTED, linewidth=0.5, linestyle=style.DASHED, zorder=0, label="_zero")


def _reference_lines(ax: Axes, names: Sequence[str], labels: pd.Series) -> None:
    """Draw zero, part models from what is none, and draw the labels' median reproducibility."""
    _zero_line(ax)
    edges = {sum(name in style.CONTROLS for name in names): "_controls"}
    if style.REPRODUCIBILITY in names:
        edges[len(names) - 1] = "_reproducibility"
    top = 0.88 if ax.get_legend() else 1
    for edge, label in edges.items():
        if 0 < edge < len(names):
            ax.axvline(edge - 0.5, ymax=top, color=style.FAINT, linewidth=0.5, zorder=0, label=label)
    if len(labels):
        look: dict[str, Any] = {"color": style.INK, "linewidth": 0.6, "linestyle": (0, (1, 1.5)), "zorder": 0}
        ax.axhline(labels.median(), label="_median reproducibility", **look)


def perturbation_scatter(ax: Axes, frame: pd.DataFrame, x: str, y: str) -> Axes:
    """Draw one point a perturbation, a model on each axis, and say how many lie above the diagonal.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns perturbation and the two models: the correlation of each perturbation, mean over splits.
    x, y : str
        The models.
    """
    drawn = style.checked(frame, ("perturbation", x, y)).dropna()
    if drawn.empty:
        return style.no_data(ax)
    above, below = drawn[y] > drawn[x], drawn[y] < drawn[x]
    colours = [style.colour(y) if up else style.colour(x) for up in above]
    ax.scatter(drawn[x], drawn[y], s=4, c=colours, alpha=0.65, linewidth=0, label="_perturbations")
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


@style.panel("name", "split", "value")
def members(ax: Axes, frame: pd.DataFrame, published: pd.DataFrame) -> None:
    """Draw each member of LEAP against LEAP: one point a split, a line through each split, bars at means.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns name, split, value; names in the order in which they are drawn.
    published : DataFrame
        Columns name, mean, sd (NaN: not given).
    """
    drawn = frame.dropna(subset=["value"])
    wide = drawn.pivot_table(index="split", columns="name", values="value", sort=False)
    names = [name for name in dict.fromkeys(frame["name"]) if name in wide]
    ax.plot(wide[names].T.to_numpy(), color=style.FAINT, linewidth=0.4, zorder=1, label="_split")
    places = drawn["name"].map(names.index)
    ax.scatter(places, drawn["value"], s=9, facecolor=drawn["name"].map(style.colour), edgecolor=style.INK,
               linewidth=0.35, zorder=3)  # fmt: skip
    means = drawn["value"].groupby(places).mean()
    ax.hlines(means, means.index - 0.27, means.index + 0.27, color=style.INK, linewidth=1.1, zorder=2)
    marks = style.checked(published, ("name", "mean", "sd"))
    _published(ax, marks[marks["name"].isin(names)].rename(columns={"name": "model"}), names, set(names))
    style.slanted(ax, names)
    ax.set(xlim=(-0.5, len(names) - 0.5), ylabel=YLABEL)


@style.panel("model", "n_train", "low", "high", "mean")
def by_lines(ax: Axes, frame: pd.DataFrame, xlabel: str, ylabel: str) -> None:
    """Draw the mean of each model by its number of training samples, and its interval as a bar (NaN: none).

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns model, n_train, mean, low, high, as `leaplib.results.comparisons.curve_means`.
    xlabel, ylabel : str
    """
    names, most = style.model_order(frame["model"]), frame["n_train"].max()
    for place, name in enumerate(names):
        part = frame[frame["model"] == name].sort_values("n_train")
        across = part["n_train"] + 0.008 * most * (place - (len(names) - 1) / 2)  # bars beside each other
        bars = [part["mean"] - part["low"], part["high"] - part["mean"]]
        ax.errorbar(across, part["mean"], yerr=bars, color=style.colour(name), marker="o", markersize=2.5, linewidth=1,
                    elinewidth=0.6, capsize=1.2, capthick=0.5, label=name)  # fmt: skip
    ax.set(xlim=(0, 1.05 * most), xlabel=xlabel, ylabel=ylabel)
    ax.legend(loc="lower right", ncols=2)


@style.panel("model", "other", "rank", "other_rank", "p_holm")
def mean_ranks(ax: Axes, frame: pd.DataFrame, xlabel: str, level: float = 0.05) -> None:
    """Draw the mean rank of each model, best at the top; lines at the right join models that are not told apart.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        A row a pair of models, of one task, as `leaplib.results.comparisons.ranks`.
    xlabel : str
    level : float
        A pair is told apart where its p_holm is below.
    """
    ranks = dict(zip(frame["model"], frame["rank"], strict=True))
    ranks |= dict(zip(frame["other"], frame["other_rank"], strict=True))
    names = sorted(ranks, key=ranks.__getitem__)
    apart = {frozenset(pair) for pair in frame.loc[frame["p_holm"] < level, ["model", "other"]].itertuples(index=False)}
    ax.hlines(range(len(names)), 0.9, [ranks[name] for name in names], color=style.FAINT, linewidth=0.5, zorder=1)
    ax.scatter([ranks[name] for name in names], range(len(names)), s=MIDDLE * 1.5, c=list(map(style.colour, names)),
               edgecolor=style.INK, linewidth=0.35, zorder=3)  # fmt: skip
    last, column = -1, 0
    for first, name in enumerate(names):
        alike = [place for place in range(first, len(names)) if frozenset((name, names[place])) not in apart]
        if alike[-1] > max(first, last):  # else the line lies within one that is drawn
            across = len(names) + 0.35 * (column + 1)
            ax.plot([across] * 2, [first - 0.2, alike[-1] + 0.2], color=style.INK, linewidth=1.8, label="_alike")
            last, column = alike[-1], column + 1
    ax.set_yticks(range(len(names)), [style.SHORT.get(name, name) for name in names])
    ax.set(ylim=(len(names) - 0.5, -0.5), xlim=(0.9, len(names) + 0.35 * (column + 1)), xlabel=xlabel)
    ax.set_xticks(range(1, len(names) + 1))


def group_order(frame: pd.DataFrame) -> list[str]:
    """Return the groups by falling value of LEAP, then those without, by the mean over models.

    Parameters
    ----------
    frame : DataFrame
        Columns group, model, value.
    """
    means = frame.groupby("group")["value"].mean()
    lead = frame[frame["model"] == "LEAP"].groupby("group")["value"].mean().reindex(means.index)
    return list(pd.DataFrame({"lead": lead, "mean": means}).sort_values(["lead", "mean"], ascending=False).index)


@style.panel("group", "model", "value")
def points(ax: Axes, frame: pd.DataFrame, groups: Sequence[str], widest: float = 0.0, *, ylabel: str = "") -> None:
    """Draw one point a model in each group, larger where its interval is wider, with a bar where it has an SD.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns group, model, value; perhaps width (of the interval; NaN: not known, the smallest point) and sd
        (NaN: no bar).
    groups : sequence of str
        From left to right.
    widest : float
        Width of the interval of the largest point: the same in all panels that share a legend; 0: all
        points are of one size.
    ylabel : str
    """
    names = style.model_order(frame["model"])
    drawn = frame.dropna(subset=["value"])
    drawn = drawn.sort_values("model", key=lambda models: models.map(names.index), kind="stable")
    place = drawn["model"].map(names.index) - (len(names) - 1) / 2
    across = drawn["group"].map(list(groups).index) + min(GROUP_WIDTH / len(names), STEP) * place
    if "sd" in drawn:
        bars: dict[str, Any] = {"elinewidth": 0.5, "capsize": 1.2, "capthick": 0.5, "zorder": 2}
        ax.errorbar(across, drawn["value"], yerr=drawn["sd"], fmt="none", ecolor=style.INK, **bars)
    sizes = areas(drawn["width"], widest) if "width" in drawn else MIDDLE
    ax.scatter(across, drawn["value"], s=sizes, facecolor=drawn["model"].map(style.colour), edgecolor=style.INK,
               linewidth=0.35, zorder=3)  # fmt: skip
    _group_ticks(ax, groups)
    ax.tick_params(axis="x", length=0)
    ax.set(xlim=(-0.5, len(groups) - 0.5), ylabel=ylabel)
    for group in range(0, len(groups), 2):
        ax.axvspan(group - 0.5, group + 0.5, facecolor=style.PALE, linewidth=0, zorder=-1)
    _zero_line(ax)


def areas(widths: pd.Series, widest: float) -> np.ndarray:
    """Return areas of points in square points: in proportion to the width, but never too small to see."""
    if not widest > 0:
        return np.full(len(widths), MIDDLE)
    return np.maximum(LARGEST * widths.fillna(0).to_numpy() / widest, SMALLEST)


def _group_ticks(ax: Axes, groups: Sequence[str]) -> None:
    """Write the groups' names level where they fit so, else slanting."""
    column = style.width_mm(ax) / len(groups)
    longest = max(len(word) for group in groups for word in group.split())
    if longest * CHARACTER <= column:
        ax.set_xticks(range(len(groups)), [style.wrap(group, column, 6) for group in groups])
        return
    names = ["\n".join(textwrap.wrap(group, LINE, break_long_words=False)) for group in groups]
    slope: dict[str, Any] = {"rotation": 60, "ha": "right", "rotation_mode": "anchor", "multialignment": "right"}
    ax.set_xticks(range(len(groups)), names, linespacing=1.0, **slope)


def legend(fig: Figure, values: pd.DataFrame, widest: float = 0) -> None:
    """Say under the panels whose points they are, and, where sizes differ, what these mean.

    Parameters
    ----------
    fig : Figure
    values : DataFrame
        Columns model, value; models without any value are named as such.
    widest : float
        As in `points`; 0: all points are of one size.
    """
    present = set(values.dropna(subset=["value"])["model"])
    if not present:
        return
    handles = [_handle(name if name in present else f"{name} (no data)", style.colour(name), 16)
               for name in style.model_order(values["model"])]  # fmt: skip
    shares = (0.25, 0.5, 1) if widest > 0 else ()
    widths = pd.Series(sorted({float(f"{widest * share:.1g}") for share in shares}), dtype=float)
    columns, place = (4, "left") if len(widths) else (6, "center")
    by_rows = [handle for column in range(columns) for handle in handles[column::columns]]  # a legend fills columns
    look: dict[str, Any] = {"loc": f"outside lower {place}", "ncols": columns, "alignment": "left"}
    fig.legend(handles=by_rows, title="from left to right in each group", **look)
    if len(widths):
        pairs = zip(widths, areas(widths, widest), strict=True)
        sizes = [_handle(f"{width:g}", "white", area) for width, area in pairs]
        fig.legend(handles=sizes, loc="outside lower right", title="width of the 95% interval", ncols=len(sizes))


def _handle(name: str, colour: str, area: float) -> Line2D:
    look: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": area**0.5, "markerfacecolor": colour}
    return Line2D([], [], label=name, markeredgecolor=style.INK, markeredgewidth=0.35, **look)
