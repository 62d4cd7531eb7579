"""Pages of panels: the paper's figures 1 to 3, those of pretraining, ablations and candidates, and what pages share.

Every page is a function from frames to (figure, what it draws); the supplement's are in `leaplib.figures.supplement`.
Arguments that they share:

scores : DataFrame
    As `leaplib.results.load.Results.scores`.
published : DataFrame, optional
    task, model, level, metric, mean, sd: drawn beside results on real data.
reported_only : bool
    Show published models too that were not run here.
frames : bool
    Draw tasks without results as empty frames that say what is missing, in place of leaving them out.
size : tuple of float
    Width and height in mm; where it is optional, it follows from the content by default.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from leaplib.figures import comparison, diagrams, learned, rows, style
from leaplib.figures.style import Drawn
from leaplib.results.comparisons import models_only, perturbation_values, split_values
from leaplib.tasks import POCKET, TASKS

Size = tuple[float, float]

SPLIT_NAMES = {"holdout": "splits", "tissue": "unseen tissues", "xenograft": "subsets of PDX"}
DRUG_SCREENS = ("drugs", "xenografts")
COLUMNS = ["task", "model", "member", "split", "data", "level", "metric", "perturbation", "test_set", "value"]
LETTERS = "ABCDEFGHIJKLMN"
PANELS = {"1a": "A", "2a": "B", "3a": "C", "4a": "D", "5a": "E", "4b": "F"}  # the paper's letters of figure 3, and ours
FIGURE_2_TASKS = ("1b", "2a")  # the first that is real
GAINS = ["task", "candidate", "mean", "difference", "low", "high", "n_perturbations", "n_splits", "data"]


def words(task: str, study: str = "") -> tuple[str, str, str]:
    """Return a task's title, and how to call its splits and its perturbations; a study is held out for validation."""
    known = TASKS.get(task)
    if known is None:
        return f"Task {task}", "splits", "perturbations"
    about = f"external validation by {study}" if study else f"{known.title[0].lower()}{known.title[1:]}"
    return f"Task {task}: {about}", SPLIT_NAMES[known.design], "drugs" if known.screen in DRUG_SCREENS else "genes"


def counts(task: str, n_splits: int, n_perturbations: float | None, splits: str = "") -> str:
    """Return "n = 10 splits, 1,539 genes" of a task; splits may have a name of their own."""
    _, split_name, perturbation_name = words(task)
    known = [style.counted(n_splits, splits or split_name)]
    if n_perturbations and pd.notna(n_perturbations):
        known.append(style.counted(int(n_perturbations), perturbation_name))
    return f"n = {', '.join(known)}"


def counts_of(values: pd.DataFrame) -> str:
    """Return the counts of one task's values, with their columns task, split, value and n_perturbations."""
    known = values.dropna(subset=["value"])
    task = str(known["task"].iloc[0]) if len(known) else ""
    return counts(task, known["split"].nunique(), known["n_perturbations"].max())


def data_of(frame: pd.DataFrame) -> str:
    """Return what a panel rests on: "real" only where all of it does."""
    return next((kind for kind in frame.get("data", []) if kind != "real"), "real")


def real_task(scores: pd.DataFrame, tasks: Sequence[str]) -> str:
    """Return the first of these tasks whose scores rest on real data, else the last one that has scores."""
    there = [task for task in tasks if (scores["task"] == task).any()]
    real = [task for task in there if data_of(scores[scores["task"] == task]) == "real"]
    return (real or there[-1:] or list(tasks[-1:]))[0]


def published_marks(published: pd.DataFrame | None, values: pd.DataFrame, task: str, reported_only: bool = False,
                    level: str = "per_perturbation") -> pd.DataFrame:  # fmt: skip
    """Return the published Spearman correlations to draw beside a task's values: none beside simulated data."""
    columns = ["task", "model", "level", "metric", "mean", "sd"]
    frame = style.checked(pd.DataFrame() if published is None else published, columns)
    marks = frame[(frame["task"] == task) & (frame["metric"] == "spearman") & (frame["level"] == level)]
    if data_of(values) != "real":
        return marks.head(0)
    return marks if reported_only else marks[marks["model"].isin(values["model"])]


def beside(values: pd.DataFrame, marks: pd.DataFrame) -> pd.DataFrame:
    """Return values and the published marks beside them as one frame of what is drawn."""
    theirs = marks.drop(columns=["level", "metric"]).rename(columns={"mean": "value"})
    return pd.concat([values.assign(source="this run"), theirs.assign(source="published")], ignore_index=True)


def boxes(
    ax: Axes,
    scores: pd.DataFrame,
    task: str,
    letter: str,
    published: pd.DataFrame | None = None,
    reported_only: bool = False,
    level: str = "per_perturbation",
    study: str = "",
) -> pd.DataFrame:
    """Draw one task's box plots with letter, title and note; return what is drawn."""
    part = scores[scores["task"] == task]
    values = models_only(split_values(part, level, "spearman"))
    marks = published_marks(published, values, task, reported_only, level)
    number = counts(task, values.dropna(subset=["value"])["split"].nunique(), n_perturbations(part))
    style.head(ax, f"{words(task, study)[0]}\n{number}", letter, data_of(part))
    ylabel = f"{style.RHO} overall\n(all pairs at once)" if level == "overall" else comparison.YLABEL
    comparison.model_boxes(ax, values, marks, ylabel)
    return beside(values[["task", "data", "model", "split", "value"]], marks).assign(panel=letter)


def scatter(ax: Axes, part: pd.DataFrame, task: str, rival: str, letter: str = "B") -> pd.DataFrame:
    """Draw LEAP against a rival, one point a perturbation, over the splits of both; return what is drawn."""
    known = part[part["model"].isin(["LEAP", rival]) & (part["perturbation"] != "") & part["value"].notna()]
    models = known.groupby("split")["model"].nunique()
    shared = part[part["split"].isin(models.index[models == 2])]
    values = models_only(perturbation_values(shared, "spearman"))
    values = values[values["model"].isin(["LEAP", rival])].drop(columns="member")
    wide = values.pivot_table(index="perturbation", columns="model", values="value", sort=False)
    wide = wide.reindex(columns=[rival, "LEAP"]).dropna().reset_index()
    _, split_name, perturbation_name = words(task)
    splits = style.counted(split_values(shared, "per_perturbation", "spearman")["split"].nunique(), split_name)
    number = f"n = {style.counted(len(wide), perturbation_name)}, mean of {splits}"
    against = rival.lower() if rival == style.REPRODUCIBILITY else rival
    style.head(ax, f"Task {task}: LEAP against {against}\n{number}", letter, data_of(part))
    comparison.perturbation_scatter(ax, wide, rival, "LEAP")
    return values[values["perturbation"].isin(wide["perturbation"])].assign(source="this run", panel=letter)


def n_perturbations(part: pd.DataFrame) -> int:
    """Return how many perturbations have a score."""
    return perturbation_values(part, "spearman").dropna(subset=["value"])["perturbation"].nunique()


def empty(ax: Axes, task: str, letter: str) -> None:
    """Draw an empty frame in place of a task without results, and say what is missing."""
    known = TASKS[task]
    needed = "PDX Encyclopedia" if known.screen == "xenografts" else known.studies[0]
    why = "not run yet" if known.screen == "drugs" else f"{needed} is not at hand"
    style.head(ax, words(task)[0], letter)
    style.no_data(ax, f"no results on real data:\n{why}")


def plotted(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return what several panels draw as one frame, `panel` first."""
    full = [part for part in parts if len(part)]
    if not full:
        return pd.DataFrame(columns=["panel"])
    frame = pd.concat(full, ignore_index=True)
    return frame[["panel", *frame.columns.drop("panel")]]


def alone(draw: Callable[..., Axes], frame: pd.DataFrame, title: str, size: Size, **options: Any) -> Drawn:
    """Draw one panel on a page of its own."""
    fig, ax = style.figure(*size)
    style.head(ax, title, data=data_of(frame))
    draw(ax, frame, **options)
    return fig, frame


def stacked(values: pd.DataFrame, by: str, draw: Callable[[Axes, pd.DataFrame], Any], title: Callable[[str], str],
            width: float, room: float, size: Size | None) -> Drawn:  # fmt: skip
    """Draw a panel of rows a group of values, under each other; `room` is what a panel needs beside its rows."""
    parts = [part for _, part in values.groupby(by, sort=False)] or [values]
    heights = [room + rows.height(part["name"]) for part in parts]
    page = size or (width, min(sum(heights), style.MAX_HEIGHT))
    fig, axes = style.figure(*page, nrows=len(parts), height_ratios=heights, squeeze=False)
    for ax, part, letter in zip(axes.flat, parts, LETTERS, strict=False):
        about = f"{title(part[by].iloc[0])}\n{counts_of(part)}; bars: means; lines: SD" if len(part) else ""
        style.head(ax, about, letter if len(parts) > 1 else "", data_of(part), -9)
        draw(ax, part)
    return fig, plotted([part.assign(panel=letter) for part, letter in zip(parts, LETTERS, strict=False)])


@style.styled
def figure_1(frame: pd.DataFrame | None = None, *, size: Size = (diagrams.WIDTH, diagrams.HEIGHT)) -> Drawn:
    """Draw the LEAP scheme; it needs no frame."""
    fig, ax = style.figure(*size)
    fig.set_layout_engine("constrained", w_pad=0, h_pad=0)
    diagrams.scheme(ax)
    stages = {heading.replace("-\n", "").replace("\n", " "): n for heading, (_, _, n) in diagrams.STAGES.items()}
    return fig, pd.DataFrame(stages.items(), columns=["stage", "number"])


def best_other_model(values: pd.DataFrame) -> str:
    """Return the model with the highest mean that is not LEAP, one of its members or a control."""
    names = values["model"].astype(str)
    rivals = ~names.isin([*style.CONTROLS, style.REPRODUCIBILITY]) & ~names.str.startswith(("LEAP", "PS-LASSO"))
    means = values[rivals].groupby("model")["value"].mean().dropna()
    return str(means.idxmax()) if len(means) else "other model"


@style.styled
def figure_2(
    scores: pd.DataFrame,
    task: str | None = None,
    published: pd.DataFrame | None = None,
    *,
    best_rival: str | None = None,
    reported_only: bool = False,
    size: Size = (style.TWO_COLUMNS, 82),
) -> Drawn:
    """Draw one task: A all models over splits, B LEAP against the best other model, per perturbation.

    The task is 1b, as in the paper, or 2a where 1b is not real; `best_rival` names another model for B.
    """
    part = style.checked(scores, COLUMNS)
    task = task or real_task(part, FIGURE_2_TASKS)
    part = part[part["task"] == task]
    fig, axes = style.figure(*size, ncols=2, width_ratios=(1.5, 1))
    drawn = boxes(axes[0], part, task, "A", published, reported_only)
    rival = best_rival or best_other_model(models_only(split_values(part, "per_perturbation", "spearman")))
    return fig, plotted([drawn, scatter(axes[1], part, task, rival)])


@style.styled
def figure_3(
    scores: pd.DataFrame,
    published: pd.DataFrame | None = None,
    *,
    reported_only: bool = False,
    left_out: Mapping[str, str] | None = None,
    frames: bool = False,
    size: Size | None = None,
) -> Drawn:
    """Draw all models on each task that has results: A 1a, B 2a, C 3a, D 4a, E 5a, F 4b.

    `left_out` says of a task what would make it real: where its data are simulated and another task's are not, this
    line stands in place of its panel.
    """
    scores = style.checked(scores, COLUMNS)
    there = [task for task in PANELS if (scores["task"] == task).any()]
    simulated = [task for task in there if data_of(scores[scores["task"] == task]) == "simulated"]
    absent = {task: why for task, why in (left_out or {}).items() if task in simulated and len(simulated) < len(there)}
    there = [task for task in there if task not in absent]
    tasks = list(PANELS) if frames else there
    n_rows = max((len(tasks) + 1) // 2, 1)
    fig, axes = style.figure(*(size or (style.TWO_COLUMNS, 76 * n_rows)), nrows=n_rows, ncols=2, squeeze=False)
    for ax in axes.flat[len(tasks) :]:
        ax.set_axis_off()
    if not tasks:
        style.no_data(axes.flat[0])
    lines = [f"{PANELS[task]}  {words(task)[0]}: simulated, and left out; {why} makes it real"
             for task, why in absent.items()]  # fmt: skip
    if lines:
        fig.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=6, color=style.NOTE)
    drawn = []
    for ax, task in zip(axes.flat, tasks, strict=False):
        if task in there:
            drawn.append(boxes(ax, scores, task, PANELS[task], published, reported_only))
        else:
            empty(ax, task, PANELS[task])
    return fig, plotted(drawn)


@style.styled
def learning_curves(frame: pd.DataFrame, *, size: Size = (style.ONE_COLUMN, 65)) -> Drawn:
    """Draw the losses of each DAMAE by epoch: representation, epoch, train_loss, validation_loss, data."""
    return alone(learned.learning_curves, frame, "Pretraining of the drug tasks' DAMAEs", size)


@style.styled
def codes(frame: pd.DataFrame, *, size: Size = (120, 80)) -> Drawn:
    """Draw the samples in two components (x, y) of a representation; the largest tissues (group) have colours."""
    groups = style.checked(frame, ("x", "y", "group"))["group"]
    n_tissues = groups[groups != learned.UNKNOWN].nunique()
    number = f"n = {len(groups):,} samples of {style.counted(n_tissues, 'tissues')}"
    return alone(learned.codes, frame, f"Samples in the first of the drug tasks' DAMAEs\n{number}", size)


@style.styled
def two_laboratories(frame: pd.DataFrame, *, size: Size = (style.TWO_COLUMNS, 62)) -> Drawn:
    """Draw how the tissues of two laboratories rank genes alike: `leaplib.sources.pocket.agreement`."""
    wide = frame.pivot(index="tissue", columns="other", values="value")
    fig, ax = style.figure(*size)
    sns.heatmap(wide, ax=ax, cmap="RdBu", center=0, annot=True, fmt=".2f", annot_kws={"fontsize": 6}, cbar=False)
    ax.set_xticklabels(wide.columns, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticklabels(wide.index, rotation=0)
    ax.tick_params(length=0)
    ax.set(xlabel="Project Score: share of vulnerable lines", ylabel="DepMap: minus\nmean effect")
    number = f"n = {frame['n_genes'].iloc[0]} genes; {style.RHO} of deviations from the mean over tissues"
    level = f"(of the values themselves {frame['level'].min():.2f} to {frame['level'].max():.2f})"
    style.head(ax, f"Two laboratories, tissue by tissue\n{number}\n{level}")
    return fig, frame.assign(data=POCKET)


@style.styled
def ablation_bars(frame: pd.DataFrame, *, size: Size | None = None) -> Drawn:
    """Draw alternatives under each other, a panel a group: splits, mean and SD.

    Columns task, group (title of the panel), name, split, value, n_perturbations, data; in the order of drawing.
    """
    values = style.checked(frame, ["task", "group", "name", "split", "value", "n_perturbations", "data"])
    return stacked(values, "group", rows.spread, str, 120, 22, size)


@style.styled
def number_of_representations(frame: pd.DataFrame, *, size: Size = (style.ONE_COLUMN, 65)) -> Drawn:
    """Draw how LEAP's score grows with its representations: task, number, split, value, n_perturbations, data."""
    values = style.checked(frame, ["task", "number", "split", "value", "n_perturbations", "data"])
    tasks = f" (task {', '.join(values['task'].unique())})" if len(values) else ""
    title = f"LEAP by the number of its representations{tasks}\n{counts_of(values)}"
    axis = {"xlabel": "Representations (DAMAEs) averaged", "ylabel": comparison.YLABEL}
    fig, drawn = alone(rows.by_number, values, title, size, **axis)
    return fig, plotted([drawn.assign(panel="A")])


@style.styled
def beyond_leap(frame: pd.DataFrame, *, size: Size | None = None) -> Drawn:
    """Draw what candidates gain over LEAP, a panel a task: the one with the most candidates left, others right.

    Columns `GAINS`, as `leaplib.results.comparisons.gains_table`.
    """
    values = style.checked(frame, GAINS)
    levels = values[values["candidate"] == "LEAP"].set_index("task")["mean"]
    values = values[values["candidate"] != "LEAP"]
    parts = {str(task): part for task, part in values.groupby("task", sort=False)}
    parts = dict(sorted(parts.items(), key=lambda item: len(item[1]) < values["task"].value_counts().max()))
    parts = parts or {"": values}
    heights = [19 + rows.height(part["candidate"], 2.2, rows.GAINS_WIDTH) for part in parts.values()]
    first, *others = parts
    right = heights[1:] or heights
    page = size or (style.TWO_COLUMNS if others else 120, min(max(heights[0], sum(right)), style.MAX_HEIGHT))
    fig, axes = style.figure(*page, mosaic=[[first, task] for task in others] or [[first]], height_ratios=right)
    for (task, part), letter in zip(parts.items(), LETTERS, strict=False):
        style.head(axes[task], _gains_title(part, task, levels), letter if others else "", data_of(part), -9)
        rows.gains(axes[task], part)
    return fig, plotted([part.assign(panel=letter) for part, letter in zip(parts.values(), LETTERS, strict=False)])


def _gains_title(part: pd.DataFrame, task: str, levels: pd.Series) -> str:
    """Return a panel's title: the task, LEAP's own score, and the numbers of splits and perturbations."""
    if part.empty:
        return ""
    xenografts = task in TASKS and TASKS[task].design == "xenograft"
    splits = "sets of all PDX" if xenografts else ""  # no subsets: those of one set overlap
    number = counts(task, int(part["n_splits"].max()), part["n_perturbations"].max(), splits)
    return f"{words(task)[0]}\n{number}" + (f"; LEAP: {levels[task]:.3f}" if task in levels else "")


@style.styled
def general_sensitivity(frame: pd.DataFrame, *, task: str = "2a", size: Size | None = None) -> Drawn:
    """Draw what is left of scores without general sensitivity: within the screen and outside, a row a study.

    Columns `leaplib.results.external.SENSITIVITY_COLUMNS`; without an external study the screen's own pairs are drawn.
    """
    columns = ["task", "study", "where", "labels", "model", "mean", "n_perturbations", "n_splits", "data"]
    values = style.checked(frame, columns)
    values = values[values["task"] == task]
    studies = [study for study in values["study"].unique() if study] or [""]
    values = values[values["study"].isin(studies)]
    n_models = max(values["model"].nunique(), 1)
    page = size or (style.TWO_COLUMNS, min(len(studies) * (20 + 4.5 * n_models), style.MAX_HEIGHT))
    fig, axes = style.figure(*page, nrows=len(studies), ncols=2, sharey="row", sharex=True, squeeze=False)
    places = [(study, where) for study in studies for where in ("within", "outside")]
    drawn = []
    for ax, (study, where), letter in zip(axes.flat, places, LETTERS, strict=False):
        part = values[(values["study"] == study) & (values["where"] == where)]
        name = "this screen" if where == "within" else f"measured by {study}"
        number = counts(task, int(part["n_splits"].max()), part["n_perturbations"].max()) if len(part) else ""
        style.head(ax, f"Task {task}: {name}\n{number}" if len(part) else "", letter, data_of(part))
        rows.labels(ax, part)
        drawn.append(part.assign(panel=letter))
    return fig, plotted(drawn)
