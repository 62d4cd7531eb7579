"""A row a name: values of alternatives, steps with their changes, gains over LEAP; and a score by a number."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from leaplib.figures import style

STARS = {0.001: "***", 0.01: "**", 0.05: "*"}
STAR_NOTE = "paired test against the step before: * p < 0.05, ** p < 0.01, *** p < 0.001"
XLABEL = f"{style.RHO} per perturbation (mean over perturbations)"
GAINS_XLABEL = f"Difference to LEAP in {style.RHO} per perturbation"
WIDTH, GAINS_WIDTH = 44.0, 36.0  # mm of a row's name
SHIFT = 0.26  # from a row's middle to its published mark


def height(names: pd.Series, gap: float = 2.6, width: float = WIDTH) -> float:
    """Return the height in mm that a row a name needs, each as high as the longest name."""
    lines = max((style.wrap(name, width, 6).count("\n") + 1 for name in names), default=1)
    return (gap + 2.6 * lines) * max(names.nunique(), 1)


def spread(ax: Axes, frame: pd.DataFrame, *, title: str = "", xlabel: str = XLABEL, joined: bool = False) -> Axes:
    """Draw a row a name: one point a split, a bar at their mean, a line of one SD to both sides.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns name, split, value; names from top to bottom. One without values keeps its row, marked "no data".
    title, xlabel : str
    joined : bool
        Join the means by a line, where each row follows on the one above.
    """
    values = style.checked(frame, ("name", "split", "value"))
    if style.begin(ax, values["value"], title):
        return ax
    drawn = values.dropna(subset=["value"])
    names = list(dict.fromkeys(values["name"]))
    for row, name in enumerate(names):
        _spread_row(ax, row, name, drawn.loc[drawn["name"] == name, "value"])
    if joined:
        means = drawn.groupby("name")["value"].mean().reindex(names)
        ax.plot(means, range(len(names)), color=style.FAINT, linewidth=0.7, zorder=1, label="_means")
    _name_rows(ax, names, WIDTH, xlabel)
    return ax


def _spread_row(ax: Axes, row: int, name: str, values: pd.Series) -> None:
    if values.empty:
        return _no_row(ax, row)
    blue, mean, sd = style.COLOURS["LEAP"], values.mean(), values.std()
    look: dict[str, Any] = {"s": 4, "facecolor": "white", "edgecolor": style.INK, "linewidth": 0.35, "zorder": 4}
    ax.scatter(values, np.full(len(values), row), label=f"_{name}", **look)
    if len(values) > 1:
        ax.hlines(row, mean - sd, mean + sd, color=blue, linewidth=0.8, zorder=2, label=f"_SD {name}")
    ax.vlines(mean, row - 0.2, row + 0.2, color=blue, linewidth=1.6, zorder=3, label=f"_mean {name}")


def _no_row(ax: Axes, row: int) -> None:
    ax.annotate("no data", (0.01, row), xycoords=("axes fraction", "data"), color=style.MUTED, va="center")


def _name_rows(ax: Axes, names: list[str], width: float, xlabel: str) -> None:
    """Name the rows, the first at the top."""
    ax.set_yticks(range(len(names)), [style.wrap(name, width, 6) for name in names])
    ax.tick_params(axis="y", length=0)
    ax.set(ylim=(len(names) - 0.4, -0.6), xlabel=xlabel)
    ax.grid(axis="x", color=style.PALE, linewidth=0.5)


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
    """
    columns = ("step", "name", "split", "value", "p_value", "published_mean", "published_sd")
    values = style.checked(frame, columns).sort_values("step", kind="stable")
    named = values.assign(name=values["step"].map("{:.0f}  ".format) + values["name"])
    starred = values["p_value"].notna().any()
    spread(ax, named, title=title, xlabel="\n".join([xlabel, STAR_NOTE]) if starred else xlabel, joined=True)
    if values["value"].notna().any():
        _changes(ax, changes(values), values.groupby("step")["p_value"].first())
        marks = values.groupby("step").first().reset_index().dropna(subset=["published_mean"])
        if published and len(marks):
            rows = values["step"].drop_duplicates().searchsorted(marks["step"]) + SHIFT
            style.published(ax, marks["published_mean"], rows, xerr=marks["published_sd"])
            ax.legend(loc="best", handlelength=1.0)
    return ax


def changes(frame: pd.DataFrame) -> pd.Series:
    """Return by how much each step's mean differs from that of the step before, over the splits of both.

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


def gains(ax: Axes, frame: pd.DataFrame, *, title: str = "", xlabel: str = GAINS_XLABEL) -> Axes:
    """Draw a row a candidate: a dot at its difference to LEAP, a line over the interval, LEAP itself as a line at 0.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns candidate, difference, low, high; from top to bottom. A candidate without a difference keeps its
        row, marked "no data"; one without an interval is a dot alone.
    title, xlabel : str
    """
    values = style.checked(frame, ("candidate", "difference", "low", "high"))
    if style.begin(ax, values["difference"], title):
        return ax
    ax.axvline(0, color=style.COLOURS["LEAP"], linewidth=0.7, zorder=1, label="LEAP")
    for row, (name, difference, *interval) in enumerate(values.itertuples(index=False)):
        if np.isnan(difference):
            _no_row(ax, row)
            continue
        colour = style.colour(name)
        if np.isfinite(interval).all():
            ax.hlines(row, *interval, color=colour, linewidth=1.1, zorder=2, label=f"_interval {name}")
        look: dict[str, Any] = {"s": 11, "facecolor": colour, "edgecolor": "white", "linewidth": 0.3, "zorder": 3}
        ax.scatter([difference], [row], label=f"_{name}", **look)
    _name_rows(ax, list(values["candidate"]), GAINS_WIDTH, f"{xlabel}\n(dots: mean; lines: 95% interval)")
    return ax


def labels(ax: Axes, frame: pd.DataFrame, *, title: str = "", xlabel: str = XLABEL) -> Axes:
    """Draw a row a model: a dot on each kind of labels, full on those as measured.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns model, labels, mean; models from top to bottom, the first kind of labels is drawn full.
    title, xlabel : str
    """
    values = style.checked(frame, ("model", "labels", "mean"))
    if style.begin(ax, values["mean"], title):
        return ax
    names, kinds = list(dict.fromkeys(values["model"])), list(dict.fromkeys(values["labels"]))
    for kind, marker in zip(kinds, "osD", strict=False):
        part = values[values["labels"] == kind]
        colours = [style.colour(name) for name in part["model"]]
        faces = colours if kind == kinds[0] else "white"
        ax.scatter(part["mean"], part["model"].map(names.index), s=13, marker=marker, facecolor=faces,
                   edgecolor=colours, linewidth=0.8, zorder=3, label=kind)  # fmt: skip
    ax.axvline(0, color=style.FAINT, linewidth=0.6, zorder=1)
    shapes = zip(("full dots", "squares", "diamonds"), kinds, strict=False)
    _name_rows(ax, names, WIDTH, f"{xlabel}\n({'; '.join(f'{shape}: {kind}' for shape, kind in shapes)})")
    return ax


def by_number(ax: Axes, frame: pd.DataFrame, *, title: str = "", xlabel: str = "", ylabel: str = "") -> Axes:
    """Draw how a score grows with a number: a point a split, a line through the means, a band of one SD.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Columns number, split, value.
    title, xlabel, ylabel : str
    """
    drawn = style.checked(frame, ("number", "split", "value")).dropna(subset=["value"])
    if style.begin(ax, drawn["value"], title):
        return ax
    blue = style.COLOURS["LEAP"]
    sets = drawn.groupby("number")["value"]
    mean, sd = sets.mean(), sets.std()
    if sd.notna().any():
        band: dict[str, Any] = {"color": style.tint(blue, 0.2), "linewidth": 0, "zorder": 0}
        ax.fill_between(mean.index, mean - sd, mean + sd, label="SD over splits", **band)
    look: dict[str, Any] = {"s": 6, "facecolor": style.tint(blue, 0.5), "linewidth": 0, "zorder": 2}
    ax.scatter(drawn["number"], drawn["value"], label="split", **look)
    ax.plot(mean.index, mean, color=blue, marker="o", markersize=3, linewidth=1, zorder=3, label="mean")
    ax.set(xticks=list(mean.index), xlabel=xlabel, ylabel=ylabel)
    ax.legend(loc="lower right")
    return ax
