"""How much better or worse than LEAP: a row a candidate, its difference and the interval of it."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from leaplib.figures import style
from leaplib.figures.comparison import RHO

COLUMNS = ("candidate", "difference", "low", "high")
XLABEL = f"Difference to LEAP in {RHO} per perturbation"
KEY, GOAL_KEY = "dots: mean; lines: 95% interval", "; dashed: the goal"
LABEL_WIDTH = 36.0  # mm of a row's name
DASHES = (0, (3, 1.5))


def gains(ax: Axes, frame: pd.DataFrame, *, goal: float = np.nan, title: str = "", xlabel: str = XLABEL) -> Axes:
    """Draw a row a candidate: a dot at its difference to LEAP, a line over the interval, LEAP itself as a line at 0.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        As `leaplib.runs.candidates.gains` of one task: candidate, difference, low, high; from top to bottom. A
        candidate without a difference keeps its row, marked "no data"; one without an interval is a dot alone.
    goal : float
        Difference that was aimed at: a dashed line. NaN: none.
    title, xlabel : str
        What dots and lines are is written under the latter.

    Returns
    -------
    Axes
    """
    rows = style.checked(frame, COLUMNS)
    ax.set_title(title, loc="left")
    if rows["difference"].isna().all():
        return style.no_data(ax)
    ax.axvline(0, color=style.COLOURS["LEAP"], linewidth=0.7, zorder=1, label="LEAP")
    aimed = bool(np.isfinite(goal))
    if aimed:
        ax.axvline(goal, color=style.NOTE, linewidth=0.7, linestyle=DASHES, zorder=1, label="goal")
    for row, (name, difference, low, high) in enumerate(rows.itertuples(index=False)):
        _row(ax, row, str(name), difference, (low, high))
    ax.set_yticks(range(len(rows)), [style.wrap(name, LABEL_WIDTH, 6) for name in rows["candidate"]])
    ax.tick_params(axis="y", length=0)
    ax.set(ylim=(len(rows) - 0.4, -0.6), xlabel=f"{xlabel}\n({KEY}{GOAL_KEY if aimed else ''})")
    ax.grid(axis="x", color=style.PALE, linewidth=0.5)
    return ax


def _row(ax: Axes, row: int, name: str, difference: float, interval: tuple[float, float]) -> None:
    if np.isnan(difference):
        ax.annotate("no data", (0.01, row), xycoords=("axes fraction", "data"), color=style.MUTED, va="center")
        return
    colour = style.colour(name)
    if np.isfinite(interval).all():
        ax.hlines(row, *interval, color=colour, linewidth=1.1, zorder=2, label=f"_interval {name}")
    ax.scatter([difference], [row], s=11, facecolor=colour, edgecolor="white", linewidth=0.3, zorder=3,
               label=f"_{name}")  # fmt: skip


def row_height(names: pd.Series) -> float:
    """Return the height in mm that a row needs: that of the longest name, broken into lines."""
    lines = max((style.wrap(name, LABEL_WIDTH, 6).count("\n") + 1 for name in names), default=1)
    return 2.2 + 2.6 * lines
