"""The figures of the paper: one function an output, from frames to (figure, what it draws).

Panels come from `leaplib.plotting`; here they are put on a page. Every function takes the page size in mm
(`size`), and `save` writes a figure and its data to the profile's folder.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaplib.layout import Layout
from leaplib.plotting import comparison, flowchart, scheme, style
from leaplib.plotting import representation as pretraining
from leaplib.scores import models_only, perturbation_values, split_values
from leaplib.tasks import TASKS

Size = tuple[float, float]
Drawn = tuple[Figure, pd.DataFrame]

PANELS = {"1a": "A", "2a": "B", "3a": "C", "4a": "D", "5a": "E"}  # letters of the paper's figure 3
SPLIT_NAMES = {"holdout": "splits", "tissue": "unseen tissues"}
PERTURBATION_NAMES = {"drugs": "drugs", "dependencies": "genes"}
KEYS = ["task", "model", "member", "split", "data"]
COLUMNS = [*KEYS, "level", "metric", "perturbation", "test_set", "value"]
LETTERS = "ABCDEFGHIJKLMN"
MIN_COLUMNS, MAX_COLUMNS = 2, 5  # of flowcharts side by side


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


def _words(task: str) -> dict[str, str]:
    """Return how to call a task, its splits and its perturbations."""
    known = TASKS.get(task)
    if known is None:
        return {"title": f"Task {task}", "split_name": "splits", "perturbation_name": "perturbations"}
    return {"title": f"Task {task}: {known.title[0].lower()}{known.title[1:]}",
            "split_name": SPLIT_NAMES.get(known.design, "splits"),
            "perturbation_name": PERTURBATION_NAMES.get(known.screen, "perturbations")}  # fmt: skip


def _data_of(frame: pd.DataFrame, otherwise: str = "real") -> str:
    """Return what a panel rests on: "real" only where all of it does."""
    if "data" not in frame.columns:
        return otherwise
    return next((kind for kind in frame["data"] if kind != "real"), "real")


def _published(published: pd.DataFrame | None, task: str, models: Sequence[str], reported_only: bool) -> pd.DataFrame:
    """Return the published per-perturbation Spearman correlations of a task."""
    columns = ["task", "model", "level", "metric", "mean", "sd"]
    frame = style.checked(pd.DataFrame() if published is None else published, columns)
    rows = frame[(frame["task"] == task) & (frame["metric"] == "spearman") & (frame["level"] == "per_perturbation")]
    return rows if reported_only else rows[rows["model"].isin(models)]


def _boxes(ax: Axes, scores: pd.DataFrame, task: str, letter: str, published: pd.DataFrame | None,
           reported_only: bool) -> pd.DataFrame:  # fmt: skip
    """Draw one task's box plots with letter, title and note; return what is drawn."""
    part = scores[scores["task"] == task]
    values = models_only(split_values(part, "per_perturbation", "spearman"))
    if _data_of(part) != "real":
        published = None  # there is nothing to compare simulated data with
    marks = _published(published, task, list(values["model"]), reported_only)
    comparison.model_boxes(ax, values, marks, n_perturbations=_n_perturbations(part), **_words(task))
    _letter(ax, letter, _data_of(part))
    ours = values[["task", "data", "model", "split", "value"]].assign(source="this run")
    theirs = marks.rename(columns={"mean": "value"})[["task", "model", "value", "sd"]].assign(source="published")
    return pd.concat([ours, theirs], ignore_index=True).assign(panel=letter)


def _n_perturbations(part: pd.DataFrame) -> int | None:
    """Return how many perturbations have a score."""
    return perturbation_values(part, "spearman").dropna(subset=["value"])["perturbation"].nunique() or None


def _letter(ax: Axes, letter: str, data: str, offset: float = -24) -> None:
    """Write a panel's letter, and the note where its data are not real."""
    style.panel_letter(ax, letter, offset)
    style.data_note(ax, data)


def _plotted(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return what several panels draw as one frame, `panel` first."""
    full = [part for part in parts if len(part)]
    if not full:
        return pd.DataFrame(columns=["panel"])
    frame = pd.concat(full, ignore_index=True)
    return frame[["panel", *(column for column in frame if column != "panel")]]


@style.styled
def figure_1(*, size: Size = (style.TWO_COLUMNS, scheme.HEIGHT)) -> Drawn:
    """Draw the LEAP scheme."""
    fig, ax = style.figure(*size)
    fig.set_layout_engine("constrained", w_pad=0, h_pad=0)
    scheme.scheme(ax)
    stages = [(heading.replace("-\n", "").replace("\n", " "), number) for heading, number in scheme.STAGES.items()]
    return fig, pd.DataFrame(stages, columns=["stage", "number"])


def best_other_model(values: pd.DataFrame) -> str | None:
    """Return the model with the highest mean that is not LEAP, one of its members or a control."""
    known = values[
        ~values["model"].isin(style.CONTROLS) & ~values["model"].astype(str).str.startswith(("LEAP", "PS-LASSO"))
    ]
    means = known.groupby("model")["value"].mean().dropna()
    return str(means.idxmax()) if len(means) else None


@style.styled
def figure_2(scores: pd.DataFrame, task: str, published: pd.DataFrame | None = None, *,
             best_rival: str | None = None, reported_only: bool = False,
             size: Size = (style.TWO_COLUMNS, 82)) -> Drawn:  # fmt: skip
    """Draw one task: A all models over splits, B LEAP against the best other model, per perturbation.

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.scores.load_scores`.
    task : str
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
    part = style.checked(scores, COLUMNS)
    part = part[part["task"] == task]
    fig, axes = style.figure(*size, ncols=2, width_ratios=(1.5, 1))
    boxes = _boxes(axes[0], part, task, "A", published, reported_only)
    rival = (
        best_rival or best_other_model(models_only(split_values(part, "per_perturbation", "spearman"))) or "other model"
    )
    points = _scatter(axes[1], part, task, rival)
    return fig, _plotted([boxes, points])


def _scatter(ax: Axes, part: pd.DataFrame, task: str, rival: str) -> pd.DataFrame:
    """Draw LEAP against a rival, one point a perturbation; return what is drawn."""
    values = models_only(perturbation_values(part, "spearman"))
    values = values[values["model"].isin(["LEAP", rival])]
    wide = values.pivot_table(index="perturbation", columns="model", values="value", sort=False)
    wide = wide.reindex(columns=[rival, "LEAP"]).dropna().reset_index()
    words = _words(task)
    splits = comparison.counted(part["split"].nunique(), words["split_name"])
    title = f"Task {task}: LEAP against {rival}"
    comparison.perturbation_scatter(ax, wide, rival, "LEAP", title=title, mean_over=splits,
                                    perturbation_name=words["perturbation_name"])  # fmt: skip
    _letter(ax, "B", _data_of(part))
    drawn = values[values["perturbation"].isin(wide["perturbation"])].drop(columns="member")
    return drawn.assign(source="this run", panel="B")


@style.styled
def figure_3(scores: pd.DataFrame, published: pd.DataFrame | None = None, *, extra: Sequence[str] = ("4b",),
             reported_only: bool = False, size: Size | None = None) -> Drawn:  # fmt: skip
    """Draw all models on each task that has results: A 1a, B 2a, C 3a, D 4a, E 5a, then `extra`.

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.scores.load_scores`.
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
    letters = PANELS | dict(zip(extra, LETTERS[len(PANELS) :], strict=False))
    scores = style.checked(scores, COLUMNS)
    tasks = [task for task in letters if (scores["task"] == task).any()]
    rows = max((len(tasks) + 1) // 2, 1)
    fig, axes = style.figure(*(size or (style.TWO_COLUMNS, 76 * rows)), nrows=rows, ncols=2, squeeze=False)
    for ax in axes.flat[len(tasks) :]:
        ax.set_axis_off()
    if not tasks:
        style.no_data(axes.flat[0])
    parts = [_boxes(ax, scores, task, letters[task], published, reported_only)
             for ax, task in zip(axes.flat, tasks, strict=False)]  # fmt: skip
    return fig, _plotted(parts)


@style.styled
def supplementary_figure_1(flows: Mapping[str, pd.DataFrame], *, data: Mapping[str, str] | None = None,
                           size: Size | None = None) -> Drawn:  # fmt: skip
    """Draw the flowchart of the data preparation of each task.

    Parameters
    ----------
    flows : mapping of task id to DataFrame
        branch, step, samples, perturbations, pairs (see `leaplib.preparation`).
    data : mapping of task id to {"real", "simulated"}, optional
        What each rests on; a column `data` in a flow does the same.
    size : tuple of float, optional
        Width and height in mm; by default the height follows from the number of steps.

    Returns
    -------
    Figure, DataFrame
    """
    widths = {task: max(len(flowchart.branches(flow)), 1) for task, flow in flows.items()} or {"": 1}
    rows = _page_rows(widths)
    mosaic = _mosaic(rows, widths)
    page = size[0] if size else (style.TWO_COLUMNS if len(mosaic[0]) > MIN_COLUMNS else style.ONE_COLUMN)
    column = (page - 2) / len(mosaic[0]) - 1  # a little less than the layout will give
    needs = {
        task: flowchart.page_height(flow, column, _words(task)["perturbation_name"]) for task, flow in flows.items()
    }
    heights = [max(needs.get(task, 30) for task in row) for row in rows]
    fig, axes = style.figure(*(size or (page, min(sum(heights) + 2, style.MAX_HEIGHT))), mosaic=mosaic,
                             height_ratios=heights)  # fmt: skip
    tallest = {task: height - flowchart.TITLE for row, height in zip(rows, heights, strict=True) for task in row}
    for task, ax in axes.items():
        _flow(ax, flows.get(task, pd.DataFrame()), task, tallest[task])
    for row in rows:
        _level_titles([axes[task] for task in row])
    for letter, (task, ax) in zip(LETTERS, axes.items(), strict=False):
        _letter(ax, letter, (data or {}).get(task, _data_of(flows.get(task, pd.DataFrame()))), offset=-9)
    return fig, _plotted([flow.assign(panel=letter, task=task)
                          for letter, (task, flow) in zip(LETTERS, flows.items(), strict=False)])  # fmt: skip


def _page_rows(columns: Mapping[str, int]) -> list[list[str]]:
    """Put charts side by side as long as their columns fit, then in a new row."""
    rows: list[list[str]] = [[]]
    for task, count in columns.items():
        if rows[-1] and sum(columns[other] for other in rows[-1]) + count > MAX_COLUMNS:
            rows.append([])
        rows[-1].append(task)
    return rows


def _mosaic(rows: Sequence[Sequence[str]], columns: Mapping[str, int]) -> list[list[str]]:
    """Return a mosaic in which a chart is as many cells wide as it has columns; the rest stays free."""
    full = [[task for task in row for _ in range(columns[task])] for row in rows]
    widest = max(MIN_COLUMNS, *(len(row) for row in full))
    return [row + ["."] * (widest - len(row)) for row in full]


def _flow(ax: Axes, flow: pd.DataFrame, task: str, height: float) -> None:
    """Draw one task's flowchart, for `height` millimetres."""
    known, words = TASKS.get(task), _words(task)
    flowchart.flowchart(ax, flow, perturbation_name=words["perturbation_name"], title=words["title"],
                        external=known.external if known else (), min_height=height)  # fmt: skip


def _level_titles(row: Sequence[Axes]) -> None:
    """Give titles side by side the same number of lines, so that they begin at one height."""
    titles = [ax.get_title(loc="left") for ax in row]
    lines = max(title.count("\n") for title in titles)
    for ax, title in zip(row, titles, strict=True):
        ax.set_title(title + "\n" * (lines - title.count("\n")), loc="left")


@style.styled
def supplementary_figure_5(scores: pd.DataFrame, task: str = "1a", *,
                           size: Size = (style.ONE_COLUMN, 70)) -> Drawn:  # fmt: skip
    """Draw PS-LASSO on each representation against LEAP, which averages them.

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.scores.load_scores`.
    task : str
    size : tuple of float
        Width and height in mm.

    Returns
    -------
    Figure, DataFrame
    """
    part = style.checked(scores, COLUMNS)
    part = part[(part["task"] == task) & part["model"].isin(["PS-LASSO", "LEAP"])]
    values = split_values(part, "per_perturbation", "spearman").sort_values(
        ["model", "member"], ascending=[False, True], kind="stable"
    )
    numbers = (values["member"] + 1).astype(int).astype(str)
    values = values.assign(name=values["model"].where(values["model"] == "LEAP", "PS-LASSO r" + numbers))
    fig, ax = style.figure(*size)
    comparison.members(ax, values, n_perturbations=_n_perturbations(part), **_words(task))
    style.data_note(ax, _data_of(values))
    return fig, _plotted([values.assign(panel="A")])


@style.styled
def learning_curves(frame: pd.DataFrame, *, data: str = "real", title: str = "Pretraining of the DAMAEs",
                    size: Size = (style.ONE_COLUMN, 65)) -> Drawn:  # fmt: skip
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
    style.data_note(ax, _data_of(frame, data))
    return fig, frame


@style.styled
def representation(frame: pd.DataFrame, *, data: str = "real", n_groups: int = 15,
                       title: str = "Samples in the representation",
                       size: Size = (120, 80)) -> Drawn:  # fmt: skip
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
    style.data_note(ax, _data_of(frame, data))
    return fig, frame
