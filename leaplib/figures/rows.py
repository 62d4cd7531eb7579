"""A row a name: values of alternatives, steps with their changes, gains over LEAP; and a score by a number."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from leaplib.figures import style

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
def by_number(ax: Axes, frame: pd.DataFrame, *, xlabel: str = "", ylabel: str = "") -> None:
    """Draw how a score grows with a number: a point a split, a line through the means, a band of one SD.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns number, split, value.
    xlabel, ylabel : str
    """
    blue, sets = style.COLOURS["LEAP"], frame.dropna(subset=["value"]).groupby("number")["value"]
    mean, sd = sets.mean(), sets.std()
    if sd.notna().any():
        ax.fill_between(mean.index, mean - sd, mean + sd, color=style.tint(blue, 0.2), linewidth=0, zorder=0,
                        label="SD over splits")  # fmt: skip
    ax.scatter(frame["number"], frame["value"], s=6, facecolor=style.tint(blue, 0.5), linewidth=0, zorder=2,
               label="split")  # fmt: skip
    ax.plot(mean.index, mean, color=blue, marker="o", markersize=3, linewidth=1, zorder=3, label="mean")
    ax.set(xticks=list(mean.index), xlabel=xlabel, ylabel=ylabel)
    ax.legend(loc="lower right")
