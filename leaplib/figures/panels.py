"""Panels on given Axes: models against each other, a row a name, and what was learned."""

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
LEVEL = 0.05  # of p-values below which models are told apart
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
        ax.set_ylim(top=ax.get_ylim()[1] + 0.12 * np.ptp(ax.get_ylim()))  # room for it


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
def by_lines(ax: Axes, frame: pd.DataFrame) -> None:
    """Draw the mean of each model by its number of training samples, and its interval as a bar (NaN: none).

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns model, n_train, mean, low, high, as `leaplib.results.comparisons.curve_means`.
    """
    names, most = style.model_order(frame["model"]), frame["n_train"].max()
    for place, name in enumerate(names):
        part = frame[frame["model"] == name].sort_values("n_train")
        across = part["n_train"] + 0.008 * most * (place - (len(names) - 1) / 2)  # bars beside each other
        bars = [part["mean"] - part["low"], part["high"] - part["mean"]]
        ax.errorbar(across, part["mean"], yerr=bars, color=style.colour(name), marker="o", markersize=2.5, linewidth=1,
                    elinewidth=0.6, capsize=1.2, capthick=0.5, label=name)  # fmt: skip
    ax.set(xlim=(0, 1.05 * most), xlabel="Training lines", ylabel=f"{RHO} per perturbation")
    ax.legend(loc="lower right", ncols=2)


@style.panel("model", "other", "rank", "other_rank", "p_holm")
def mean_ranks(ax: Axes, frame: pd.DataFrame) -> None:
    """Draw the mean rank of each model, best at the top; lines at the right join models that are not told apart.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        A row a pair of models, of one task, as `leaplib.results.comparisons.ranks`.
    """
    ranks = dict(zip(frame["model"], frame["rank"], strict=True))
    ranks |= dict(zip(frame["other"], frame["other_rank"], strict=True))
    names = sorted(ranks, key=ranks.__getitem__)
    apart = {frozenset(pair) for pair in frame.loc[frame["p_holm"] < LEVEL, ["model", "other"]].itertuples(index=False)}
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
    ax.set(ylim=(len(names) - 0.5, -0.5), xlim=(0.9, len(names) + 0.35 * (column + 1)),
           xlabel=f"mean rank by {RHO} (1: best);\nlines at the right join what is not told apart")  # fmt: skip
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


# ---- a row a name: alternatives, steps with their changes, gains over LEAP; and a score by a number

STARS = {0.001: "***", 0.01: "**", 0.05: "*"}
STAR_NOTE = "paired test against the step before: * p < 0.05, ** p < 0.01, *** p < 0.001"
XLABEL = f"{style.RHO} per perturbation (mean over perturbations)"
GAINS_XLABEL = f"Difference to LEAP in {style.RHO} per perturbation\n(dots: mean; lines: 95% interval)"
WIDTH, GAINS_WIDTH = 44.0, 36.0  # mm of a row's name
SHIFT = 0.26  # from a row's middle to its published mark


def height(names: pd.Series, gap: float = 2.6, width: float = WIDTH) -> float:
    """Return the height in mm that a row a name needs, each as high as the longest name."""
    lines = max((style.wrap(name, width, 6).count("\n") + 1 for name in names), default=1)
    return (gap + 2.6 * lines) * max(names.nunique(), 1)


def _name_rows(ax: Axes, names: Sequence[str], xlabel: str, missing: Sequence[str] = (), width: float = WIDTH) -> None:
    """Name the rows, the first at the top; those that are missing say so."""
    ax.set_yticks(range(len(names)), [style.wrap(name, width, 6) for name in names])
    ax.tick_params(axis="y", length=0)
    ax.set(ylim=(len(names) - 0.4, -0.6), xlabel=xlabel)
    ax.grid(axis="x", color=style.PALE, linewidth=0.5)
    for name in missing:
        ax.annotate("no data", (0.01, names.index(name)), xycoords=("axes fraction", "data"), color=style.MUTED,
                    va="center")  # fmt: skip


@style.panel("name", "split", "value")
def spread(ax: Axes, frame: pd.DataFrame, xlabel: str = XLABEL) -> None:
    """Draw a row a name: one point a split, a bar at their mean, a line of one SD to both sides.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns name, split, value; names from top to bottom. One without values keeps its row, marked "no data".
    xlabel : str
    """
    names, drawn = list(dict.fromkeys(frame["name"])), frame.dropna(subset=["value"])
    row = drawn["name"].map(names.index)
    blue, sets = style.COLOURS["LEAP"], drawn["value"].groupby(row)
    mean, sd = sets.mean(), sets.std().dropna()
    ax.scatter(drawn["value"], row, s=4, facecolor="white", edgecolor=style.INK, linewidth=0.35, zorder=4,
               label="_splits")  # fmt: skip
    ax.hlines(sd.index, mean[sd.index] - sd, mean[sd.index] + sd, color=blue, linewidth=0.8, zorder=2, label="_SD")
    ax.vlines(mean, mean.index - 0.2, mean.index + 0.2, color=blue, linewidth=1.6, zorder=3, label="_mean")
    _name_rows(ax, names, xlabel, [name for name in names if name not in set(drawn["name"])])


@style.panel("step", "name", "split", "p_value", "published_mean", "published_sd", "value")
def steps(ax: Axes, frame: pd.DataFrame, published: bool = True) -> None:
    """Draw the steps of an ablation one under the other, and what each changes against the one before.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns step (1, 2, ...), name, split, value, p_value (of the change; NaN: none), published_mean,
        published_sd (NaN: not given).
    published : bool
        Draw the published values.
    """
    values = frame.sort_values("step", kind="stable")
    by_step = values.groupby("step")
    named = values.assign(name=values["step"].map("{:.0f}  ".format) + values["name"])
    spread(ax, named, "\n".join([XLABEL, STAR_NOTE]) if values["p_value"].notna().any() else XLABEL)
    means = by_step["value"].mean()
    ax.plot(means, range(len(means)), color=style.FAINT, linewidth=0.7, zorder=1, label="_means")
    _write_changes(ax, changes(values), by_step["p_value"].first())
    marks = by_step.first().assign(row=range(len(means))).dropna(subset=["published_mean"])
    if published and len(marks):
        style.published(ax, marks["published_mean"], marks["row"] + SHIFT, xerr=marks["published_sd"])
        ax.legend(loc="best", handlelength=1.0)


def changes(frame: pd.DataFrame) -> pd.Series:
    """Return by how much each step's mean differs from that of the step before, over the splits of both.

    NaN for the first step, and where two steps share no split.
    """
    wide = frame.pivot_table(index="split", columns="step", values="value")
    return wide.reindex(columns=sorted(frame["step"].unique())).diff(axis=1).mean()


def _write_changes(ax: Axes, differences: pd.Series, p_values: pd.Series) -> None:
    """Write the change of each step, with stars where it is significant, right of its row."""
    at: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "center", "annotation_clip": False}
    for row, (difference, p_value) in enumerate(zip(differences, p_values, strict=True)):
        if pd.notna(difference):
            stars = next((sign for bound, sign in STARS.items() if p_value < bound), "")
            ax.annotate(f"{difference:+.4f} {stars}".replace("-", "−").strip(), (1.02, row), **at)  # noqa: RUF001
    if differences.notna().any():
        ax.annotate("change", (1.02, -0.9), color=style.MUTED, **at)


@style.panel("candidate", "low", "high", "difference")
def gains(ax: Axes, frame: pd.DataFrame) -> None:
    """Draw a row a candidate: a dot at its difference to LEAP, a line over the interval, LEAP itself as a line at 0.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns candidate, difference, low, high; from top to bottom. A candidate without a difference keeps its
        row, marked "no data"; one without an interval is a dot alone.
    """
    values = frame.reset_index(drop=True)
    drawn = values.dropna(subset=["difference"])
    known = drawn.dropna(subset=["low", "high"])
    ax.axvline(0, color=style.COLOURS["LEAP"], linewidth=0.7, zorder=1, label="LEAP")
    ax.hlines(known.index, known["low"], known["high"], color=known["candidate"].map(style.colour), linewidth=1.1,
              zorder=2, label="_intervals")  # fmt: skip
    ax.scatter(drawn["difference"], drawn.index, s=11, facecolor=drawn["candidate"].map(style.colour),
               edgecolor="white", linewidth=0.3, zorder=3)  # fmt: skip
    missing = values.loc[values["difference"].isna(), "candidate"]
    _name_rows(ax, list(values["candidate"]), GAINS_XLABEL, list(missing), GAINS_WIDTH)


@style.panel("model", "labels", "mean")
def labels(ax: Axes, frame: pd.DataFrame) -> None:
    """Draw a row a model: a mark on each kind of labels, a full dot on those as measured.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns model, labels, mean; models from top to bottom, the first kind of labels is drawn full.
    """
    names, kinds = list(dict.fromkeys(frame["model"])), list(dict.fromkeys(frame["labels"]))
    for kind, marker in zip(kinds, "osD", strict=False):
        part = frame[frame["labels"] == kind]
        colours = part["model"].map(style.colour)
        ax.scatter(part["mean"], part["model"].map(names.index), s=13, marker=marker, edgecolor=colours,
                   facecolor=colours if kind == kinds[0] else "white", linewidth=0.8, zorder=3, label=kind)  # fmt: skip
    ax.axvline(0, color=style.FAINT, linewidth=0.6, zorder=1)
    _name_rows(ax, names, XLABEL)


@style.panel("number", "split", "value")
def by_number(ax: Axes, frame: pd.DataFrame) -> None:
    """Draw how a score grows with a number: a point a split, a line through the means, a band of one SD.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns number, split, value.
    """
    blue, sets = style.COLOURS["LEAP"], frame.dropna(subset=["value"]).groupby("number")["value"]
    mean, sd = sets.mean(), sets.std()
    if sd.notna().any():
        ax.fill_between(mean.index, mean - sd, mean + sd, color=style.tint(blue, 0.2), linewidth=0, zorder=0,
                        label="SD over splits")  # fmt: skip
    ax.scatter(frame["number"], frame["value"], s=6, facecolor=style.tint(blue, 0.5), linewidth=0, zorder=2,
               label="split")  # fmt: skip
    ax.plot(mean.index, mean, color=blue, marker="o", markersize=3, linewidth=1, zorder=3, label="mean")
    ax.set(xticks=list(mean.index), xlabel="Representations (DAMAEs) averaged", ylabel=YLABEL)
    ax.legend(loc="lower right")


# ---- what was learned: curves and codes of pretraining, one perturbation's predictions

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
    ax.set_ylim(top=ax.get_ylim()[1] + 0.2 * np.ptp(ax.get_ylim()))  # room for the legend
    ax.legend(loc="upper left", ncols=2)
