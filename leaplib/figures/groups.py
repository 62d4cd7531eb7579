"""Models side by side within groups: tissues or drugs."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from leaplib.figures import style

GROUP_WIDTH, STEP = 0.84, 0.14  # at most, that a group's models and each of them take of the distance between groups
LINE = 16  # characters of a slanting label's line
CHARACTER = 1.3  # mm that a character takes at 6 pt, at most
LARGEST, MIDDLE, SMALLEST = 26.0, 11.0, 3.0  # areas of points in square points
EDGE: dict[str, Any] = {"edgecolor": style.INK, "linewidth": 0.35}


def group_order(frame: pd.DataFrame, leader: str = "LEAP") -> list[str]:
    """Return the groups by falling value of a model, then those without, by the mean over models.

    Parameters
    ----------
    frame : DataFrame
        Columns group, model, value.
    leader : str

    """
    means = frame.groupby("group")["value"].mean()
    lead = frame[frame["model"] == leader].groupby("group")["value"].mean().reindex(means.index)
    return list(pd.DataFrame({"lead": lead, "mean": means}).sort_values(["lead", "mean"], ascending=False).index)


def points(
    ax: Axes,
    frame: pd.DataFrame,
    groups: Sequence[str],
    widest: float = 0.0,
    *,
    title: str = "",
    ylabel: str = "",
) -> Axes:
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
    title, ylabel : str
    """
    values = style.checked(frame, ("group", "model", "value", *({"width", "sd"} & set(frame))))
    if style.begin(ax, values["value"], title):
        return ax
    drawn = values.dropna(subset=["value"])
    for name, place in _places(values["model"]).items():
        rows = drawn[drawn["model"] == name]
        across = [groups.index(group) + place for group in rows["group"]]
        if "sd" in rows:
            bars: dict[str, Any] = {"elinewidth": 0.5, "capsize": 1.2, "capthick": 0.5, "zorder": 2}
            ax.errorbar(across, rows["value"], yerr=rows["sd"], fmt="none", ecolor=style.INK, **bars)
        sizes = areas(rows["width"], widest) if "width" in rows else MIDDLE
        look: dict[str, Any] = EDGE | {"facecolor": style.colour(name), "zorder": 3}
        ax.scatter(across, rows["value"], s=sizes, label=f"_{name}", **look)
    _frame(ax, groups, ylabel)
    return ax


def areas(widths: pd.Series, widest: float) -> np.ndarray:
    """Return areas of points in square points: in proportion to the width, but never too small to see."""
    if not widest > 0:
        return np.full(len(widths), MIDDLE)
    return np.maximum(LARGEST * widths.fillna(0).to_numpy() / widest, SMALLEST)


def _places(models: pd.Series) -> dict[str, float]:
    """Return where each model stands within a group, 0 being the middle."""
    names = style.model_order(models)
    step = min(GROUP_WIDTH / len(names), STEP)
    return {name: step * (number - (len(names) - 1) / 2) for number, name in enumerate(names)}


def _frame(ax: Axes, groups: Sequence[str], ylabel: str) -> None:
    """Name the groups, shade every other one, and draw zero where it is in range."""
    _group_ticks(ax, groups)
    ax.tick_params(axis="x", length=0)
    ax.set(xlim=(-0.5, len(groups) - 0.5), ylabel=ylabel)
    for place in range(0, len(groups), 2):
        ax.axvspan(place - 0.5, place + 0.5, facecolor=style.PALE, linewidth=0, zorder=-1)
    low, high = ax.get_ylim()
    if low < 0 < high:
        ax.axhline(0, color=style.MUTED, linewidth=0.5, linestyle=(0, (4, 2)), zorder=0, label="_zero")
    ax.set_ylim(low, high)


def _group_ticks(ax: Axes, groups: Sequence[str]) -> None:
    """Write the groups' names level where they fit so, else slanting."""
    column = style.size_mm(ax)[0] / len(groups)
    longest = max(len(word) for group in groups for word in group.split())
    if longest * CHARACTER <= column:
        ax.set_xticks(range(len(groups)), [style.wrap(group, column, 6) for group in groups])
        return
    names = ["\n".join(textwrap.wrap(group, LINE, break_long_words=False)) for group in groups]
    slope: dict[str, Any] = {"rotation": 60, "ha": "right", "rotation_mode": "anchor", "multialignment": "right"}
    ax.set_xticks(range(len(groups)), names, linespacing=1.0, **slope)


def legend(fig: Figure, models: Sequence[str], widest: float = 0, *, absent: Sequence[str] = ()) -> None:
    """Say under the panels whose points they are and, where they differ, what their sizes mean.

    Parameters
    ----------
    fig : Figure
    models : sequence of str
    widest : float
        As in `points`; 0: all points are of one size.
    absent : sequence of str
        Models of which there is no point.
    """
    names = style.model_order(models)
    if not names:
        return
    handles = [_handle(f"{name} (no data)" if name in absent else name, style.colour(name), 16) for name in names]
    widths = _round_widths(widest)
    columns, place = 4 if len(widths) else 6, "left" if len(widths) else "center"
    by_rows = [handle for column in range(columns) for handle in handles[column::columns]]  # a legend fills columns
    look: dict[str, Any] = {"loc": f"outside lower {place}", "ncols": columns, "alignment": "left"}
    fig.legend(handles=by_rows, title="from left to right in each group", **look)
    if len(widths):
        pairs = zip(widths, areas(widths, widest), strict=True)
        sizes = [_handle(f"{width:g}", "white", area) for width, area in pairs]
        fig.legend(handles=sizes, loc="outside lower right", title="width of the 95% interval", ncols=len(sizes))


def _handle(name: str, colour: str, area: float) -> Line2D:
    look: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": area**0.5, "markerfacecolor": colour}
    return Line2D([], [], label=name, markeredgecolor=style.INK, markeredgewidth=EDGE["linewidth"], **look)


def _round_widths(widest: float) -> pd.Series:
    """Return up to three round widths to explain sizes with."""
    parts = [float(f"{widest * share:.1g}") for share in (0.25, 0.5, 1)] if widest > 0 else []
    return pd.Series(sorted(set(parts)), dtype=float)
