"""What each choice changes: rows of mean and spread, steps with their changes, and the number of representations."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from leaplib.figures import style
from leaplib.figures.comparison import RHO

STARS = {0.001: "***", 0.01: "**", 0.05: "*"}
STAR_NOTE = "paired test against the step before: * p < 0.05, ** p < 0.01, *** p < 0.001"
XLABEL = f"{RHO} per perturbation (mean over perturbations)"
LABEL_WIDTH = 44.0  # mm of a row's name
SHIFT = 0.26  # from a row's middle to its published mark


def spread(ax: Axes, frame: pd.DataFrame, *, title: str = "", xlabel: str = XLABEL, joined: bool = False) -> Axes:
    """Draw a row a name: one point a split, a bar at their mean, a line of one SD to both sides.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns name, split, value; names from top to bottom. A name without any value keeps its row,
        marked "no data".
    title, xlabel : str
    joined : bool
        Join the means by a line, where each row follows on the one above.

    Returns
    -------
    Axes
    """
    values = style.checked(frame, ("name", "split", "value"))
    drawn = values.dropna(subset=["value"])
    ax.set_title(title, loc="left")
    if drawn.empty:
        return style.no_data(ax)
    names = list(dict.fromkeys(values["name"]))
    means = drawn.groupby("name")["value"].mean().reindex(names)
    for row, name in enumerate(names):
        _row(ax, row, name, drawn.loc[drawn["name"] == name, "value"])
    if joined:
        ax.plot(means, range(len(names)), color=style.FAINT, linewidth=0.7, zorder=1, label="_means")
    ax.set_yticks(range(len(names)), [style.wrap(name, LABEL_WIDTH, 6) for name in names])
    ax.tick_params(axis="y", length=0)
    ax.set(ylim=(len(names) - 0.4, -0.6), xlabel=xlabel)
    ax.grid(axis="x", color=style.PALE, linewidth=0.5)
    return ax


def _row(ax: Axes, row: int, name: str, values: pd.Series) -> None:
    if values.empty:
        ax.annotate("no data", (0.01, row), xycoords=("axes fraction", "data"), color=style.MUTED, va="center")
        return
    blue = style.COLOURS["LEAP"]
    ax.scatter(values, np.full(len(values), row), s=4, facecolor="white", edgecolor=style.INK, linewidth=0.35,
               zorder=4, label=f"_{name}")  # fmt: skip
    if len(values) > 1:
        ax.hlines(row, values.mean() - values.std(), values.mean() + values.std(), color=blue, linewidth=0.8,
                  zorder=2, label=f"_SD {name}")  # fmt: skip
    ax.vlines(values.mean(), row - 0.2, row + 0.2, color=blue, linewidth=1.6, zorder=3, label=f"_mean {name}")


def row_height(names: pd.Series) -> float:
    """Return the height in mm that a row needs: that of the longest name, broken into lines."""
    lines = max((style.wrap(name, LABEL_WIDTH, 6).count("\n") + 1 for name in names), default=1)
    return 2.6 + 2.6 * lines


def steps(ax: Axes, frame: pd.DataFrame, *, published: bool = True, title: str = "", xlabel: str = XLABEL) -> Axes:
    """Draw the steps of an ablation one under the other, and what each changes against the one before.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns step (1, 2, ...), name, split, value, p_value (of the change; NaN: none), published_mean,
        published_sd (NaN: not given).
    published : bool
        Draw the published values.
    title, xlabel : str

    Returns
    -------
    Axes
    """
    columns = ("step", "name", "split", "value", "p_value", "published_mean", "published_sd")
    rows = style.checked(frame, columns).sort_values("step", kind="stable")
    named = rows.assign(name=rows["step"].map("{:.0f}  ".format) + rows["name"])
    stars = rows["p_value"].notna().any()
    spread(ax, named, title=title, xlabel="\n".join([xlabel, STAR_NOTE]) if stars else xlabel, joined=True)
    if rows["value"].notna().any():
        _changes(ax, changes(rows), rows.groupby("step")["p_value"].first())
        if published:
            _published(ax, rows.groupby("step").first())
    return ax


def changes(frame: pd.DataFrame) -> pd.Series:
    """Return by how much each step's mean differs from that of the step before, over the splits of both.

    Parameters
    ----------
    frame : DataFrame
        Columns step, split, value.

    Returns
    -------
    Series, by step
        NaN for the first step, and where two steps share no split.
    """
    wide = frame.pivot_table(index="split", columns="step", values="value")
    return wide.reindex(columns=sorted(frame["step"].unique())).diff(axis=1).mean()


def _changes(ax: Axes, differences: pd.Series, p_values: pd.Series) -> None:
    """Write the change of each step, with stars where it is significant, right of its row."""
    at: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "center", "annotation_clip": False}
    for row, (difference, p_value) in enumerate(zip(differences, p_values.reindex(differences.index), strict=True)):
        if pd.notna(difference):
            stars = next((sign for bound, sign in STARS.items() if p_value < bound), "")
            ax.annotate(f"{difference:+.4f} {stars}".replace("-", "−").strip(), (1.02, row), **at)  # noqa: RUF001
    if differences.notna().any():
        ax.annotate("change", (1.02, -0.9), color=style.MUTED, **at)


def _published(ax: Axes, marks: pd.DataFrame) -> None:
    """Draw published means and SDs under each row's own, and the legend that says so."""
    places = np.arange(len(marks))[marks["published_mean"].notna()] + SHIFT
    given = marks.dropna(subset=["published_mean"])
    if given.empty:
        return
    ax.errorbar(given["published_mean"], places, xerr=given["published_sd"].fillna(0), fmt="D", color=style.INK,
                markersize=2.6, markerfacecolor="white", markeredgewidth=0.6, elinewidth=0.6, capsize=1.2,
                capthick=0.5, zorder=4, label="published mean ± SD")  # fmt: skip
    ax.legend(loc="best", handlelength=1.0)


def by_number(ax: Axes, frame: pd.DataFrame, *, title: str = "", xlabel: str = "", ylabel: str = "") -> Axes:
    """Draw how a score grows with a number: a point a split, a line through the means, a band of one SD.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns number, split, value.
    title, xlabel, ylabel : str

    Returns
    -------
    Axes
    """
    drawn = style.checked(frame, ("number", "split", "value")).dropna(subset=["value"])
    ax.set_title(title, loc="left")
    if drawn.empty:
        return style.no_data(ax)
    blue = style.COLOURS["LEAP"]
    sets = drawn.groupby("number")["value"]
    mean, sd = sets.mean(), sets.std()
    if sd.notna().any():
        ax.fill_between(mean.index, mean - sd, mean + sd, color=style.tint(blue, 0.2), linewidth=0, zorder=0,
                        label="SD over splits")  # fmt: skip
    ax.scatter(drawn["number"], drawn["value"], s=6, facecolor=style.tint(blue, 0.5), linewidth=0, zorder=2,
               label="split")  # fmt: skip
    ax.plot(mean.index, mean, color=blue, marker="o", markersize=3, linewidth=1, zorder=3, label="mean")
    ax.set(xticks=list(mean.index), xlabel=xlabel, ylabel=ylabel)
    ax.legend(loc="lower right")
    return ax
