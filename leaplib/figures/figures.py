"""The figures of the paper: one function an output, from frames to (figure, what it draws).

Panels come from `leaplib.figures`; here, and for the supplement in `leaplib.figures.supplementary_figures`, they are
put on a page. All are found here: `figures.supplementary_figure_6`. Every function takes the page size in mm
(`size`), and `save` writes a figure and its data to the profile's folder.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaplib.base.layout import Layout
from leaplib.figures import ablation, comparison, pages, scheme, style
from leaplib.figures import gains as against_leap
from leaplib.figures import representation as pretraining
from leaplib.figures.supplementary_figures import (
    supplementary_figure_1,
    supplementary_figure_2,
    supplementary_figure_3,
    supplementary_figure_4,
    supplementary_figure_5,
    supplementary_figure_6,
    supplementary_figure_7,
    supplementary_figure_8,
)
from leaplib.results.scores import models_only, split_values
from leaplib.tasks import TASKS

__all__ = [
    "ablation_bars",
    "best_other_model",
    "beyond_leap",
    "figure_1",
    "figure_2",
    "figure_3",
    "learning_curves",
    "number_of_representations",
    "representation",
    "save",
    "supplementary_figure_1",
    "supplementary_figure_2",
    "supplementary_figure_3",
    "supplementary_figure_4",
    "supplementary_figure_5",
    "supplementary_figure_6",
    "supplementary_figure_7",
    "supplementary_figure_8",
]

PANELS = {"1a": "A", "2a": "B", "3a": "C", "4a": "D", "5a": "E"}  # letters of the paper's figure 3
FIGURE_2_TASKS = ("1b", "2a")  # the first that is real
BARS_WIDE, BARS_FRAME = 120, 22  # mm: width of a page of alternatives, height of a panel without its rows

GAINS_COLUMNS = [
    "task",
    "candidate",
    "mean",
    "difference",
    "low",
    "high",
    "n_perturbations",
    "n_splits",
    "goal",
    "data",
]
ALL_XENOGRAFTS = {"xenograft": "sets of all PDX"}  # no subsets: those of one set overlap
GAINS_FRAME = 19  # mm: height of a panel of gains without its rows


def save(fig: Figure, data: pd.DataFrame, profile_name: str, name: str) -> list[Path]:
    """Write a figure (PDF, SVG, PNG) and what it draws (CSV) to the profile's figures folder, and close it.

    Parameters
    ----------
    fig : Figure
    data : DataFrame
    profile_name : str
    name : str
        File name without suffix, such as "figure_2".

    Returns
    -------
    list of Path
    """
    paths = style.save_figure(fig, data, Layout(profile_name).figures, name)
    plt.close(fig)  # a notebook shows it by naming it, once
    return paths


@style.styled
def figure_1(*, size: pages.Size = (style.TWO_COLUMNS, scheme.HEIGHT)) -> pages.Drawn:
    """Draw the LEAP scheme."""
    fig, ax = style.figure(*size)
    fig.set_layout_engine("constrained", w_pad=0, h_pad=0)
    scheme.scheme(ax)
    stages = [(heading.replace("-\n", "").replace("\n", " "), number) for heading, number in scheme.STAGES.items()]
    return fig, pd.DataFrame(stages, columns=["stage", "number"])


def best_other_model(values: pd.DataFrame) -> str | None:
    """Return the model with the highest mean that is not LEAP, one of its members or a control."""
    no_models = [*style.CONTROLS, style.REPRODUCIBILITY]
    known = values[~values["model"].isin(no_models) & ~values["model"].astype(str).str.startswith(("LEAP", "PS-LASSO"))]
    means = known.groupby("model")["value"].mean().dropna()
    return str(means.idxmax()) if len(means) else None


@style.styled
def figure_2(scores: pd.DataFrame, task: str | None = None, published: pd.DataFrame | None = None, *,
             best_rival: str | None = None, reported_only: bool = False,
             size: pages.Size = (style.TWO_COLUMNS, 82)) -> pages.Drawn:  # fmt: skip
    """Draw one task: A all models over splits, B LEAP against the best other model, per perturbation.

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.results.scores.load_scores`.
    task : str, optional
        By default 1b, as in the paper, or 2a where 1b is not real.
    published : DataFrame, optional
        task, model, level, metric, mean, sd.
    best_rival : str, optional
        Model on the x axis of B; by default the one with the highest mean that is not LEAP, one of its
        members or a control.
    reported_only : bool
        Show published models too that were not run here.
    size : tuple of float
        Width and height in mm.

    Returns
    -------
    Figure, DataFrame
    """
    part = style.checked(scores, pages.COLUMNS)
    task = task or pages.real_task(part, FIGURE_2_TASKS)
    part = part[part["task"] == task]
    fig, axes = style.figure(*size, ncols=2, width_ratios=(1.5, 1))
    boxes = pages.boxes(axes[0], part, task, "A", published, reported_only)
    rival = (
        best_rival or best_other_model(models_only(split_values(part, "per_perturbation", "spearman"))) or "other model"
    )
    points = pages.scatter(axes[1], part, task, rival)
    return fig, pages.plotted([boxes, points])


@style.styled
def figure_3(scores: pd.DataFrame, published: pd.DataFrame | None = None, *, extra: Sequence[str] = ("4b",),
             reported_only: bool = False, size: pages.Size | None = None) -> pages.Drawn:  # fmt: skip
    """Draw all models on each task that has results: A 1a, B 2a, C 3a, D 4a, E 5a, then `extra`.

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.results.scores.load_scores`.
    published : DataFrame, optional
        task, model, level, metric, mean, sd.
    extra : sequence of str
        Further tasks, lettered from F.
    reported_only : bool
        Show published models too that were not run here.
    size : tuple of float, optional
        Width and height in mm; by default the height follows from the number of panels.

    Returns
    -------
    Figure, DataFrame
    """
    letters = PANELS | dict(zip(extra, pages.LETTERS[len(PANELS) :], strict=False))
    scores = style.checked(scores, pages.COLUMNS)
    tasks = [task for task in letters if (scores["task"] == task).any()]
    rows = max((len(tasks) + 1) // 2, 1)
    fig, axes = style.figure(*(size or (style.TWO_COLUMNS, 76 * rows)), nrows=rows, ncols=2, squeeze=False)
    for ax in axes.flat[len(tasks) :]:
        ax.set_axis_off()
    if not tasks:
        style.no_data(axes.flat[0])
    parts = [pages.boxes(ax, scores, task, letters[task], published, reported_only)
             for ax, task in zip(axes.flat, tasks, strict=False)]  # fmt: skip
    return fig, pages.plotted(parts)


@style.styled
def learning_curves(frame: pd.DataFrame, *, data: str = "real", title: str = "Pretraining of the drug tasks' DAMAEs",
                    size: pages.Size = (style.ONE_COLUMN, 65)) -> pages.Drawn:  # fmt: skip
    """Draw the losses of each DAMAE by epoch.

    Parameters
    ----------
    frame : DataFrame
        representation, epoch, train_loss, validation_loss; a column `data` does the same as the argument.
    data : {"real", "simulated"}
    title : str
    size : tuple of float
        Width and height in mm.

    Returns
    -------
    Figure, DataFrame
    """
    fig, ax = style.figure(*size)
    pretraining.learning_curves(ax, frame, title=title)
    kind = pages.data_of(frame, data)
    style.data_note(ax, kind)
    return fig, frame.assign(data=kind)


@style.styled
def representation(frame: pd.DataFrame, *, data: str = "real", n_groups: int = 15,
                       title: str = "Samples in the first of the drug tasks' DAMAEs",
                       size: pages.Size = (120, 80)) -> pages.Drawn:  # fmt: skip
    """Draw the samples in two components of a representation, coloured by tissue.

    Parameters
    ----------
    frame : DataFrame
        x, y, group; a column `data` does the same as the argument.
    data : {"real", "simulated"}
    n_groups : int
        Largest tissues with a colour of their own.
    title : str
    size : tuple of float
        Width and height in mm.

    Returns
    -------
    Figure, DataFrame
    """
    fig, ax = style.figure(*size)
    pretraining.codes(ax, frame, n_groups=n_groups, title=title)
    kind = pages.data_of(frame, data)
    style.data_note(ax, kind)
    return fig, frame.assign(data=kind)


@style.styled
def ablation_bars(frame: pd.DataFrame, *, xlabel: str = ablation.XLABEL,
                  size: pages.Size | None = None) -> pages.Drawn:  # fmt: skip
    """Draw alternatives under each other, a panel a group: splits, mean and SD.

    Parameters
    ----------
    frame : DataFrame
        Columns task, group (title of the panel), name, split, value, n_perturbations (that a value is the mean
        of), data; groups and names in the order in which they are drawn.
    xlabel : str
    size : tuple of float, optional
        Width and height in mm; by default the height follows from the number of names.

    Returns
    -------
    Figure, DataFrame
    """
    rows = style.checked(frame, ["task", "group", "name", "split", "value", "n_perturbations", "data"])
    parts = [part for _, part in rows.groupby("group", sort=False)] or [rows]
    heights = [BARS_FRAME + ablation.row_height(part["name"]) * max(part["name"].nunique(), 1) for part in parts]
    fig, axes = style.figure(*(size or (BARS_WIDE, min(sum(heights), style.MAX_HEIGHT))), nrows=len(parts),
                             height_ratios=heights, squeeze=False)  # fmt: skip
    letters = dict(zip(rows["group"].unique(), pages.LETTERS, strict=False))
    for ax, part in zip(axes.flat, parts, strict=True):
        group = part["group"].iloc[0] if len(part) else ""
        title = f"{group}\n{pages.counts(part)}; bars: means; lines: SD"
        ablation.spread(ax, part, title=title, xlabel=xlabel)
        pages.letter_and_note(ax, letters[group] if len(parts) > 1 else "", pages.data_of(part), offset=-9)
    return fig, pages.plotted([rows.assign(panel=rows["group"].map(letters))])


@style.styled
def number_of_representations(frame: pd.DataFrame, *, title: str = "LEAP by the number of its representations",
                              size: pages.Size = (style.ONE_COLUMN, 65)) -> pages.Drawn:  # fmt: skip
    """Draw how LEAP's score grows with the number of representations that it averages.

    Parameters
    ----------
    frame : DataFrame
        Columns task, number (1, 2, ...), split, value (mean per-perturbation Spearman), n_perturbations (that it is
        the mean of), data.
    title : str
        The task is written behind it, the counts under it.
    size : tuple of float
        Width and height in mm.

    Returns
    -------
    Figure, DataFrame
    """
    rows = style.checked(frame, ["task", "number", "split", "value", "n_perturbations", "data"])
    fig, ax = style.figure(*size)
    about = f"{title} (task {', '.join(rows['task'].unique())})" if len(rows) else title
    ablation.by_number(ax, rows, title=f"{about}\n{pages.counts(rows)}", xlabel="Representations (DAMAEs) averaged",
                       ylabel=comparison.YLABEL)  # fmt: skip
    style.data_note(ax, pages.data_of(rows))
    return fig, pages.plotted([rows.assign(panel="A")])


@style.styled
def beyond_leap(frame: pd.DataFrame, *, reference: str = "LEAP", size: pages.Size | None = None) -> pages.Drawn:
    """Draw what candidates gain over LEAP, a panel a task: the one with the most candidates left, the others right.

    Parameters
    ----------
    frame : DataFrame
        As `leaplib.results.tables.gains_table`: task, candidate, mean, difference, low, high, n_perturbations,
        n_splits, goal (relative to LEAP's mean; NaN: none), data; tasks and candidates as they are drawn.
    reference : str
        The candidate that the zero line stands for.
    size : tuple of float, optional
        Width and height in mm; by default both follow from the number of tasks and candidates.

    Returns
    -------
    Figure, DataFrame
    """
    rows = style.checked(frame, GAINS_COLUMNS)
    levels = rows[rows["candidate"] == reference].set_index("task")["mean"]
    rows = rows[rows["candidate"] != reference]
    most = rows["task"].value_counts(sort=False).reindex(rows["task"].unique())
    first = str(most.idxmax()) if len(most) else ""
    tasks = [first, *(str(task) for task in most.index if task != first)]
    fig, axes = _gains_page(rows, tasks, size)
    letters = dict(zip(tasks, pages.LETTERS, strict=False))
    for task in tasks:
        part = rows[rows["task"] == task]
        goal = float(part["goal"].max() * levels.get(task, float("nan")))
        against_leap.gains(axes[task], part, goal=goal, title=_gains_title(part, task, levels))
        pages.letter_and_note(axes[task], letters[task] if len(tasks) > 1 else "", pages.data_of(part), offset=-9)
    drawn = [rows[rows["task"] == task].assign(panel=letters[task]) for task in tasks]
    return fig, pages.plotted(drawn)


def _gains_page(rows: pd.DataFrame, tasks: Sequence[str], size: pages.Size | None) -> tuple[Figure, dict[str, Axes]]:
    """Return Axes by task: the first in the left column, if there are others, and these in the right one."""
    parts = [rows.loc[rows["task"] == task, "candidate"] for task in tasks]
    heights = [GAINS_FRAME + against_leap.row_height(names) * max(len(names), 1) for names in parts]
    others = heights[1:] or heights
    mosaic = [[tasks[0], task] for task in tasks[1:]] or [[tasks[0]]]
    page = size or (style.TWO_COLUMNS if len(tasks) > 1 else BARS_WIDE,
                    min(max(heights[0], sum(others)), style.MAX_HEIGHT))  # fmt: skip
    return style.figure(*page, mosaic=mosaic, height_ratios=others)


def _gains_title(part: pd.DataFrame, task: str, levels: pd.Series) -> str:
    """Return a panel's title: the task, LEAP's own score, and the numbers of splits and perturbations."""
    if part.empty:
        return ""
    names = pages.words(task)
    splits = (pages.SPLIT_NAMES | ALL_XENOGRAFTS).get(TASKS[task].design if task in TASKS else "", "splits")
    counts = comparison.counts(int(part["n_splits"].max()), splits, int(part["n_perturbations"].max()),
                               names["perturbation_name"])  # fmt: skip
    level = f"; LEAP: {levels[task]:.3f}" if task in levels else ""
    return f"{names['title']}\n{counts}{level}"
