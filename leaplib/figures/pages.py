"""Pages of panels: the paper's figures and its supplement's, those of pretraining, ablations and candidates.

Every page is a function from frames to (figure, what it draws). Arguments that they share:

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

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaplib.figures import diagrams, panels, style
from leaplib.figures.style import Drawn
from leaplib.results.comparisons import RANKS, curve_means, models_only, perturbation_values, ranks, split_values
from leaplib.tasks import POCKET, TASKS

Size = tuple[float, float]

SPLIT_NAMES = {"holdout": "splits", "tissue": "unseen tissues", "xenograft": "subsets of PDX"}
DRUG_SCREENS = ("drugs", "xenografts")
COLUMNS = ["task", "model", "member", "split", "data", "level", "metric", "perturbation", "test_set", "value"]
OF_SPLITS = ["task", "split", "value", "n_perturbations", "data"]  # one value a split
LETTERS = "ABCDEFGHIJKLMN"
PANELS = {"1a": "A", "2a": "B", "3a": "C", "4a": "D", "5a": "E", "4b": "F"}  # the paper's letters of figure 3, and ours
FIGURE_2_TASKS, MEMBERS_TASKS = ("1b", "2a"), ("1a", "2a")  # of figures 2 and S5: the first that is real
METRIC_NAMES = {"spearman": style.RHO, "pearson": "Pearson's r"}
MIN_COLUMNS, MAX_COLUMNS = 2, 5  # of flowcharts side by side
GAINS = ["task", "candidate", "mean", "difference", "low", "high", "n_perturbations", "n_splits", "data"]


class Panel(NamedTuple):
    """What is drawn on one Axes, by what, and the title that follows from it."""

    frame: pd.DataFrame
    draw: Callable[[Axes, pd.DataFrame], Any]
    title: Callable[[pd.DataFrame], str]


def filled(fig: Figure, axes: Iterable[Axes], parts: Sequence[Panel], offset: float = -24) -> Drawn:
    """Draw panels on the Axes of a page, with letters where there are several; return the page and what it draws."""
    letters = dict(enumerate(LETTERS if len(parts) > 1 else ""))
    for place, ax in enumerate(axes):
        if place >= len(parts):
            ax.set_axis_off()
            continue
        frame, draw, title = parts[place]
        style.head(ax, title(frame) if len(frame) else "", letters.get(place, ""), data_of(frame), offset)
        draw(ax, frame)
    return fig, plotted([part.frame.assign(panel=letter) for part, letter in zip(parts, LETTERS, strict=False)])


def plotted(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return what several panels draw as one frame, `panel` first."""
    full = [part for part in parts if len(part)]
    if not full:
        return pd.DataFrame(columns=["panel"])
    frame = pd.concat(full, ignore_index=True)
    return frame[["panel", *frame.columns.drop("panel")]]


# ---- what panels say


def words(task: str, study: str = "") -> tuple[str, str, str]:
    """Return a task's title, and how to call its splits and its perturbations; a study is held out for validation."""
    known = TASKS.get(task)
    if known is None:
        return task, "splits", "perturbations"
    about = f"external validation by {study}" if study else f"{known.title[0].lower()}{known.title[1:]}"
    return f"Task {task}: {about}", SPLIT_NAMES[known.design], "drugs" if known.screen in DRUG_SCREENS else "genes"


def counts(task: str, n_splits: float, n_perturbations: float | None = None, splits: str = "") -> str:
    """Return "n = 10 splits, 1,539 genes" of a task; splits may have a name of their own."""
    _, split_name, perturbation_name = words(task)
    known = [style.counted(int(n_splits), splits or split_name)]
    if n_perturbations and pd.notna(n_perturbations):
        known.append(style.counted(int(n_perturbations), perturbation_name))
    return f"n = {', '.join(known)}"


def counts_of(values: pd.DataFrame) -> str:
    """Return the counts of one task's values (`OF_SPLITS`)."""
    known = values.dropna(subset=["value"])
    return counts(values["task"].iloc[0], known["split"].nunique(), known["n_perturbations"].max())


def counts_of_tests(values: pd.DataFrame) -> str:
    """Return the counts of one task's tests; these take the subsets of the xenografts, which overlap, together."""
    task = str(values["task"].iloc[0])
    splits = "sets of all PDX" if task in TASKS and TASKS[task].design == "xenograft" else ""
    return counts(task, values["n_splits"].max(), values["n_perturbations"].max(), splits)


def n_perturbations(part: pd.DataFrame) -> int:
    """Return how many perturbations have a score."""
    return perturbation_values(part, "spearman").dropna(subset=["value"])["perturbation"].nunique()


def data_of(frame: pd.DataFrame) -> str:
    """Return what a panel rests on: "real" only where all of it does."""
    kinds = frame.get("data", pd.Series(dtype=str)).unique()
    return next((kind for kind in kinds if kind != "real"), "real")


def real_task(scores: pd.DataFrame, tasks: Sequence[str]) -> str:
    """Return the first of these tasks whose scores rest on real data, else the last one that has scores."""
    there = [task for task in tasks if (scores["task"] == task).any()]
    real = [task for task in there if data_of(scores[scores["task"] == task]) == "real"]
    return (real or there[-1:] or list(tasks[-1:]))[0]


def best_rival_of(values: pd.DataFrame) -> str:
    """Return the pan-perturbation model with the highest mean; where none ran, the best that is not LEAP's own."""
    names = values["model"].astype(str)
    rivals = ~names.isin([*style.CONTROLS, style.REPRODUCIBILITY]) & ~names.str.startswith(("LEAP", "PS-LASSO"))
    pan = rivals & names.str.startswith("PP-")
    means = values[pan if pan.any() else rivals].groupby("model")["value"].mean().dropna()
    return str(means.idxmax()) if len(means) else "other model"


# ---- panels of scores, beside the published


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


def boxes(ax: Axes, scores: pd.DataFrame, task: str, letter: str, published: pd.DataFrame | None = None,
          reported_only: bool = False, level: str = "per_perturbation", study: str = "") -> pd.DataFrame:  # fmt: skip
    """Draw one task's box plots with letter, title and note; return what is drawn."""
    part = scores[scores["task"] == task]
    values = models_only(split_values(part, level, "spearman"))
    marks = published_marks(published, values, task, reported_only, level)
    number = counts(task, values.dropna(subset=["value"])["split"].nunique(), n_perturbations(part))
    style.head(ax, f"{words(task, study)[0]}\n{number}", letter, data_of(part))
    ylabel = f"{style.RHO} overall\n(all pairs at once)" if level == "overall" else panels.YLABEL
    panels.model_boxes(ax, values, marks, ylabel)
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
    panels.perturbation_scatter(ax, wide, rival, "LEAP")
    return values[values["perturbation"].isin(wide["perturbation"])].assign(source="this run", panel=letter)


def empty(ax: Axes, task: str, letter: str) -> None:
    """Draw an empty frame in place of a task without results, and say what is missing."""
    known = TASKS[task]
    needed = "PDX Encyclopedia" if known.screen == "xenografts" else known.studies[0]
    why = "not run yet" if known.screen == "drugs" else f"{needed} is not at hand"
    style.head(ax, words(task)[0], letter)
    style.no_data(ax, f"no results on real data:\n{why}")


# ---- pages


@style.styled
def figure_1(frame: pd.DataFrame | None = None, *, size: Size = (diagrams.WIDTH, diagrams.HEIGHT)) -> Drawn:
    """Draw the LEAP scheme; it needs no frame."""
    fig, ax = style.figure(*size)
    fig.set_layout_engine("constrained", w_pad=0, h_pad=0)
    diagrams.scheme(ax)
    stages = diagrams.marks().query("kind == 'heading'")
    names = stages["text"].str.replace("-|", "").str.replace("|", " ")
    return fig, pd.DataFrame({"stage": names, "number": stages["number"].astype(int)})


@style.styled
def figure_2(scores: pd.DataFrame, task: str | None = None, published: pd.DataFrame | None = None, *,
             best_rival: str | None = None, reported_only: bool = False,
             size: Size = (style.TWO_COLUMNS, 82)) -> Drawn:  # fmt: skip
    """Draw one task: A all models over splits, B LEAP against the best pan-perturbation model, per perturbation.

    The task is 1b, as in the paper, or 2a where 1b is not real; `best_rival` names another model for B.
    """
    part = style.checked(scores, COLUMNS)
    task = task or real_task(part, FIGURE_2_TASKS)
    part = part[part["task"] == task]
    fig, axes = style.figure(*size, ncols=2, width_ratios=(1.5, 1))
    drawn = boxes(axes[0], part, task, "A", published, reported_only)
    rival = best_rival or best_rival_of(models_only(split_values(part, "per_perturbation", "spearman")))
    return fig, plotted([drawn, scatter(axes[1], part, task, rival)])


@style.styled
def figure_3(scores: pd.DataFrame, published: pd.DataFrame | None = None, *, left_out: Mapping[str, str] | None = None,
             frames: bool = False, size: Size | None = None) -> Drawn:  # fmt: skip
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
            drawn.append(boxes(ax, scores, task, PANELS[task], published))
        else:
            empty(ax, task, PANELS[task])
    return fig, plotted(drawn)


@style.styled
def critical_difference(scores: pd.DataFrame, *, size: Size | None = None) -> Drawn:
    """Draw the mean ranks of all models over perturbations, a panel a task: `leaplib.results.comparisons.ranks`."""
    values = style.checked(ranks(style.checked(scores, COLUMNS)), RANKS)
    tasks = [part for _, part in values.groupby("task")] or [values]
    n_rows, n_columns = (len(tasks) + 1) // 2, min(len(tasks), 2)
    page = size or ((style.ONE_COLUMN, style.TWO_COLUMNS)[n_columns - 1], min(55 * n_rows, style.MAX_HEIGHT))
    fig, axes = style.figure(*page, nrows=n_rows, ncols=n_columns, squeeze=False)

    def title(part: pd.DataFrame) -> str:
        p = part["p_friedman"].iloc[0]
        said = f"= {p:.3f}" if p >= 0.001 else "< 0.001"
        return f"{words(part['task'].iloc[0])[0]}\n{counts_of_tests(part)}\nFriedman's p {said}"

    return filled(fig, axes.flat, [Panel(part, panels.mean_ranks, title) for part in tasks])


@style.styled
def lines_needed(frame: pd.DataFrame, *, size: Size = (120, 75)) -> Drawn:
    """Draw how scores grow with the training lines: `leaplib.runs.experiment.load_curves`, or of one's own tables."""
    needed = ["task", "model", "share", "n_train", "split", "metric", "value", "data"]
    values = curve_means(style.checked(frame, needed))

    def title(part: pd.DataFrame) -> str:
        task = str(part["task"].iloc[0])
        return f"{words(task)[0]}\n{counts(task, part['n_splits'].max())}; bars: 95% intervals"

    return alone(values, panels.by_lines, title, size)


def alone(frame: pd.DataFrame, draw: Callable[[Axes, pd.DataFrame], Any], title: Callable[[pd.DataFrame], str],
          size: Size) -> Drawn:  # fmt: skip
    """Draw one panel on a page of its own."""
    fig, ax = style.figure(*size)
    return filled(fig, [ax], [Panel(frame, draw, title)])


@style.styled
def learning_curves(frame: pd.DataFrame, *, size: Size = (style.ONE_COLUMN, 65)) -> Drawn:
    """Draw the losses of each DAMAE by epoch: representation, epoch, train_loss, validation_loss, data."""
    return alone(frame, panels.learning_curves, lambda _: "Pretraining of the drug tasks' DAMAEs", size)


@style.styled
def codes(frame: pd.DataFrame, *, size: Size = (120, 80)) -> Drawn:
    """Draw the samples in two components (x, y) of a representation; the largest tissues (group) have colours."""

    def title(part: pd.DataFrame) -> str:
        tissues = style.counted(part.loc[part["group"] != panels.UNKNOWN, "group"].nunique(), "tissues")
        return f"Samples in the first of the drug tasks' DAMAEs\nn = {len(part):,} samples of {tissues}"

    return alone(frame, panels.codes, title, size)


@style.styled
def two_laboratories(frame: pd.DataFrame, *, size: Size = (style.TWO_COLUMNS, 62)) -> Drawn:
    """Draw how the tissues of two laboratories rank genes alike: `leaplib.sources.depmap.agreement`."""
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


def stacked(values: pd.DataFrame, by: str, draw: Callable[[Axes, pd.DataFrame], Any], width: float, room: float,
            size: Size | None) -> Drawn:  # fmt: skip
    """Draw a panel of rows a group of values, under each other; `room` is what a panel needs beside its rows."""
    groups = [part for _, part in values.groupby(by, sort=False)] or [values]
    heights = [room + panels.height(part["name"]) for part in groups]
    page = size or (width, min(sum(heights), style.MAX_HEIGHT))
    fig, axes = style.figure(*page, nrows=len(groups), height_ratios=heights, squeeze=False)

    def title(part: pd.DataFrame) -> str:
        return f"{words(part[by].iloc[0])[0]}\n{counts_of(part)}; bars: means; blue lines: SD over splits"

    return filled(fig, axes.flat, [Panel(part, draw, title) for part in groups], -9)


@style.styled
def ablation_bars(frame: pd.DataFrame, *, size: Size | None = None) -> Drawn:
    """Draw alternatives under each other, a panel a group: splits, mean and SD.

    Columns task, group (title of the panel), name, split, value, n_perturbations, data; in the order of drawing.
    """
    values = style.checked(frame, ["task", "group", "name", *OF_SPLITS[1:]])
    return stacked(values, "group", panels.spread, 120, 22, size)


@style.styled
def number_of_representations(frame: pd.DataFrame, *, size: Size = (style.ONE_COLUMN, 65)) -> Drawn:
    """Draw how LEAP's score grows with its representations: task, number, split, value, n_perturbations, data."""

    def title(part: pd.DataFrame) -> str:
        tasks = ", ".join(part["task"].unique())
        return f"LEAP by the number of its representations (task {tasks})\n{counts_of(part)}"

    return alone(style.checked(frame, ["task", "number", *OF_SPLITS[1:]]), panels.by_number, title, size)


@style.styled
def beyond_leap(frame: pd.DataFrame, *, size: Size | None = None) -> Drawn:
    """Draw what candidates gain over LEAP, a panel a task: the one with the most candidates left, others right.

    Columns `GAINS`, as `leaplib.results.comparisons.gains_table`.
    """
    values = style.checked(frame, GAINS)
    levels = values[values["candidate"] == "LEAP"].set_index("task")["mean"]
    values = values[values["candidate"] != "LEAP"]
    tasks = [part for _, part in values.groupby("task", sort=False)] or [values]
    first = max(tasks, key=len)
    tasks = [first, *(part for part in tasks if part is not first)]
    heights = [19 + panels.height(part["candidate"], 2.2, panels.GAINS_WIDTH) for part in tasks]
    right = heights[1:] or heights
    page = size or (style.TWO_COLUMNS if heights[1:] else 120, min(max(heights[0], sum(right)), style.MAX_HEIGHT))
    mosaic = [[0, place] for place in range(1, len(tasks))] or [[0]]
    fig, axes = style.figure(*page, mosaic=mosaic, height_ratios=right)

    def title(part: pd.DataFrame) -> str:
        task = part["task"].iloc[0]
        said = f"; LEAP: {levels[task]:.3f}" if task in levels else ""
        return f"{words(task)[0]}\n{counts_of_tests(part)}{said}"

    return filled(fig, [axes[place] for place in range(len(tasks))],
                  [Panel(part, panels.gains, title) for part in tasks], -9)  # fmt: skip


@style.styled
def general_sensitivity(frame: pd.DataFrame, *, task: str = "2a", size: Size | None = None) -> Drawn:
    """Draw what is left of scores without general sensitivity: within the screen and outside, a row a study.

    Columns `leaplib.results.external.SENSITIVITY_COLUMNS`; without an external study the screen's own pairs are drawn.
    """
    columns = ["task", "study", "where", "labels", "model", "mean", "n_perturbations", "n_splits", "data"]
    values = style.checked(frame, columns)
    values = values[values["task"] == task]
    studies = [study for study in values["study"].unique() if study] or [""]
    n_models = max(values["model"].nunique(), 1)
    page = size or (style.TWO_COLUMNS, min(len(studies) * (20 + 4.5 * n_models), style.MAX_HEIGHT))
    fig, axes = style.figure(*page, nrows=len(studies), ncols=2, sharey="row", sharex=True, squeeze=False)

    def title(part: pd.DataFrame) -> str:
        one = part.iloc[0]
        place = "this screen" if one["where"] == "within" else f"measured by {one['study']}"
        return f"Task {task}: {place}\n{counts(task, part['n_splits'].max(), part['n_perturbations'].max())}"

    parts = [values[(values["study"] == study) & (values["where"] == where)]
             for study in studies for where in ("within", "outside")]  # fmt: skip
    page_and_drawn = filled(fig, axes.flat, [Panel(part, panels.labels, title) for part in parts])
    kinds, names = axes[0, 0].get_legend_handles_labels()
    fig.legend(kinds, names, loc="outside lower center", ncols=max(len(kinds), 1))
    return page_and_drawn


@style.styled
def supplementary_figure_1(flows: Mapping[str, pd.DataFrame], *, size: Size | None = None) -> Drawn:
    """Draw the flowchart of the data preparation of each task, side by side where they fit.

    Parameters
    ----------
    flows : mapping of task id to DataFrame
        branch, step, samples, perturbations, pairs (see `leaplib.cohorts.selection`), and perhaps data.
    size : tuple of float, optional
    """
    flows = flows or {"": pd.DataFrame()}
    columns = {task: max(len(diagrams.branches(flow)), 1) for task, flow in flows.items()}
    lines: list[list[str]] = []
    for task, count in columns.items():  # side by side: each in the first line where its columns fit
        free = [line for line in lines if sum(columns[other] for other in line) + count <= MAX_COLUMNS]
        if not free:
            lines.append([])
        (free or lines[-1:])[0].append(task)
    mosaic = _mosaic(lines, columns)
    page = size[0] if size else (style.TWO_COLUMNS if len(mosaic[0]) > MIN_COLUMNS else style.ONE_COLUMN)
    cell = (page - 2) / len(mosaic[0]) - 2  # a little less than the layout will give
    cells = Counter(task for line in mosaic for task in line)
    needs = {task: diagrams.chart_height(diagrams.plan(flow, cell * cells[task] / columns[task], words(task)[2]))
             for task, flow in flows.items()}  # fmt: skip
    heights = [max(needs[task] for task in line) + diagrams.TITLE for line in lines]
    page_size = size or (page, min(sum(heights) + 2, style.MAX_HEIGHT))
    fig, axes = style.figure(*page_size, mosaic=mosaic, height_ratios=heights)
    for line, height in zip(lines, heights, strict=True):
        for task in line:
            held_out = TASKS[task].held_out(set(flows[task]["branch"])) if task in TASKS and len(flows[task]) else ()
            diagrams.flowchart(axes[task], flows[task], words(task)[2], held_out, height - diagrams.TITLE)
    drawn, letters = [], iter(LETTERS)
    for line in lines:
        titles = [style.wrap(words(task)[0], style.width_mm(axes[task]) - 2, 6.5) for task in line]
        most = max(title.count("\n") for title in titles)
        for task, title, letter in zip(line, titles, letters, strict=False):
            kind = data_of(flows[task])
            padded = title + "\n" * (most - title.count("\n"))  # titles side by side begin at one height
            style.head(axes[task], padded, letter, kind, -9)
            drawn.append(flows[task].drop(columns="data", errors="ignore").assign(panel=letter, task=task, data=kind))
    return fig, plotted(drawn)


def _mosaic(lines: Sequence[Sequence[str]], columns: Mapping[str, int]) -> list[list[str]]:
    """Return a mosaic in which a chart is as many cells wide as it has columns, or a multiple where a row has room."""
    totals = [sum(columns[task] for task in line) for line in lines]
    widest = max(MIN_COLUMNS, *totals)
    full = [[task for task in line for _ in range(columns[task] * (widest // total))]
            for line, total in zip(lines, totals, strict=True)]  # fmt: skip
    return [line + ["."] * (widest - len(line)) for line in full]


@style.styled
def supplementary_figure_2(scores: pd.DataFrame, task: str = "1b", published: pd.DataFrame | None = None, *,
                           reported_only: bool = False, size: Size = (style.TWO_COLUMNS, 76)) -> Drawn:  # fmt: skip
    """Draw all models on one task: A per perturbation, B over all pairs at once."""
    part = style.checked(scores, COLUMNS)
    fig, axes = style.figure(*size, ncols=2)
    levels = {"A": "per_perturbation", "B": "overall"}
    drawn = [boxes(ax, part, task, letter, published, reported_only, level).assign(level=level)
             for ax, (letter, level) in zip(axes, levels.items(), strict=True)]  # fmt: skip
    return fig, plotted(drawn)


@style.styled
def supplementary_figure_3(scores: pd.DataFrame, *, task: str = "2a", size: Size | None = None) -> Drawn:
    """Draw the external validation, a row a study: models against the labels' reproducibility, LEAP against it by drug.

    Scores are as `Results.external`; the reproducibility (the training studies' own measurements of the same pairs)
    is the model "Label reproducibility".
    """
    part = style.checked(scores, [*COLUMNS, "study"])
    part = part[part["task"] == task]
    studies = list(part["study"].unique()) or [""]
    page = size or (style.TWO_COLUMNS, min(82 * len(studies), style.MAX_HEIGHT))
    fig, axes = style.figure(*page, nrows=len(studies), ncols=2, width_ratios=(1.5, 1), squeeze=False)
    drawn = []
    for row, study in enumerate(studies):
        of, (left, right) = part[part["study"] == study], axes[row]
        frames = [boxes(left, of, task, LETTERS[2 * row], study=study),
                  scatter(right, of, task, style.REPRODUCIBILITY, LETTERS[2 * row + 1])]  # fmt: skip
        drawn += [frame.assign(study=study) for frame in frames]
    return fig, plotted(drawn)


@style.styled
def supplementary_figure_4(steps: pd.DataFrame, *, size: Size | None = None) -> Drawn:
    """Draw the steps of the ablation, a panel a task: splits, mean, SD, and the change against the step before.

    Parameters
    ----------
    steps : DataFrame
        Columns task, step (1, 2, ...), name, split, value (mean per-perturbation Spearman), n_perturbations
        (that it is the mean of), data, p_value (paired test against the step before; NaN: none),
        published_mean, published_sd (NaN: not given). Published values are drawn where a task's data are real.
    size : tuple of float, optional
    """
    columns = ["task", "step", "name", *OF_SPLITS[1:], "p_value", "published_mean", "published_sd"]
    values = style.checked(steps, columns)
    changes = [part["step"].map(panels.changes(part)) for _, part in values.groupby("task")]
    values = values.assign(change=pd.concat(changes) if changes else None)

    def draw(ax: Axes, part: pd.DataFrame) -> None:
        panels.steps(ax, part, published=data_of(part) == "real")

    return stacked(values, "task", draw, 140, 26, size)


@style.styled
def supplementary_figure_5(scores: pd.DataFrame, task: str | None = None, published: pd.DataFrame | None = None, *,
                           size: Size = (style.ONE_COLUMN, 70)) -> Drawn:  # fmt: skip
    """Draw PS-LASSO on each representation against LEAP, which averages them.

    The task is 1a, as in the paper, or 2a where 1a is not real; the published PS-LASSO stands beside the first
    representation's.
    """
    part = style.checked(scores, COLUMNS)
    task = task or real_task(part, MEMBERS_TASKS)
    part = part[(part["task"] == task) & part["model"].isin(["PS-LASSO", "LEAP"])]
    values = split_values(part, "per_perturbation", "spearman")
    values = values.sort_values(["model", "member"], ascending=[False, True], kind="stable")
    numbers = (values["member"] + 1).astype(int).astype(str)
    values = values.assign(name=values["model"].where(values["model"] == "LEAP", "PS-LASSO r" + numbers))
    marks = published_marks(published, values, task)
    marks = marks.assign(name=marks["model"].replace("PS-LASSO", "PS-LASSO r1"))

    def title(values: pd.DataFrame) -> str:
        number = counts(task, values.dropna(subset=["value"])["split"].nunique(), n_perturbations(part))
        return f"{words(task)[0]}\n{number}\nlines: {words(task)[1]}; bars: means"

    fig, _ = alone(values, partial(panels.members, published=marks), title, size)
    drawn = beside(values, marks) if len(marks) else values.assign(source="this run")
    return fig, plotted([drawn.assign(panel="A")])


@style.styled
def supplementary_figure_6(scores: pd.DataFrame, tasks: Sequence[str] = ("3a", "4a"), *, frames: bool = False,
                           metrics: Sequence[str] = ("spearman",), size: Size | None = None) -> Drawn:  # fmt: skip
    """Draw all models by tissue, a row a task, a column a metric: median over test sets, point size by its interval.

    Tissues are the splits, from left to right by falling value of LEAP.
    """
    part = style.checked(scores, COLUMNS)
    values = split_intervals(part[part["task"].isin(tasks) & part["metric"].isin(metrics)])
    there = set(values["task"])
    present = [task for task in tasks if frames or task in there]
    heights = [88 if task in there else 30 for task in present] or [88]
    page = size or (style.TWO_COLUMNS, min(16 + sum(heights), style.MAX_HEIGHT))  # the legend, and panels
    fig, axes = style.figure(*page, nrows=len(heights), ncols=len(metrics), squeeze=False, height_ratios=heights)
    for ax in axes.flat[len(present) * len(metrics) :]:
        style.no_data(ax)
    widest = float(values["width"].max()) if values["width"].notna().any() else 0.0
    letters = dict(zip(product(tasks, metrics), LETTERS, strict=False))
    drawn = []
    for ax, (task, metric) in zip(axes.flat, product(present, metrics), strict=False):
        if task not in there:
            empty(ax, task, letters[task, metric])
            continue
        ours = values[values["task"] == task]
        leading = panels.group_order(ours[ours["metric"] == "spearman"])
        shown = ours[ours["metric"] == metric].assign(panel=letters[task, metric])
        title = _tissue_title(task, shown, n_perturbations(part[part["task"] == task]))
        style.head(ax, title, letters[task, metric], data_of(ours))
        ylabel = f"{METRIC_NAMES[metric]} per perturbation\n(median over test sets)"
        panels.points(ax, shown, list(dict.fromkeys([*leading, *ours["group"]])), widest, ylabel=ylabel)
        drawn.append(shown)
    panels.legend(fig, values, widest)
    return fig, plotted(drawn)


def supplementary_figure_7(scores: pd.DataFrame, tasks: Sequence[str] = ("3b", "4b"), *, frames: bool = False,
                           size: Size | None = None) -> Drawn:  # fmt: skip
    """Draw all models by tissue as `supplementary_figure_6`, Spearman's correlation beside Pearson's in one order."""
    return supplementary_figure_6(scores, tasks, frames=frames, metrics=("spearman", "pearson"), size=size)


def split_intervals(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the median over a split's test sets of the mean over perturbations, and its 95% interval's width.

    Returns
    -------
    DataFrame
        task, group (the split), model, metric, data, value (median), width (97.5th minus 2.5th percentile,
        NaN for a single test set), n (test sets).
    """
    values = models_only(scores[(scores["perturbation"] == "") & (scores["level"] == "per_perturbation")])
    keys = ["task", "group", "model", "metric", "data"]
    sets = values.rename(columns={"split": "group"}).groupby(keys, sort=False)["value"]
    width, n = sets.quantile(0.975) - sets.quantile(0.025), sets.count()
    return pd.DataFrame({"value": sets.median(), "width": width.where(n > 1), "n": n}).reset_index()


def _tissue_title(task: str, values: pd.DataFrame, n_perturbations: int) -> str:
    """Return a panel's title with the numbers of tissues, perturbations and test sets."""
    known = values.dropna(subset=["value"])
    fewest, most = (known["n"].min(), known["n"].max()) if len(known) else (0, 0)
    sets = style.counted(most, "test sets") if fewest == most else f"{fewest:,} to {most:,} test sets"
    return f"{words(task)[0]}\n{counts(task, known['group'].nunique(), n_perturbations, 'unseen tissues')}, {sets}"


@style.styled
def supplementary_figure_8(scores: pd.DataFrame, task: str = "5a", *, size: Size = (style.TWO_COLUMNS, 80)) -> Drawn:
    """Draw all models by drug: mean and standard deviation over subsets of the xenografts.

    Scores need a row for each perturbation and test set; drugs stand from left to right by falling value of LEAP.
    """
    part = style.checked(scores, COLUMNS)
    part = models_only(part[(part["task"] == task) & (part["perturbation"] != "") & (part["test_set"] >= 0)])
    part = part[part["metric"] == "spearman"].rename(columns={"perturbation": "group"})
    subsets = part.groupby(["task", "group", "model", "data"], sort=False)["value"]
    values = subsets.agg(value="mean", sd="std", n="count").reset_index()

    def title(values: pd.DataFrame) -> str:
        known = values.dropna(subset=["value"])
        return f"{words(task)[0]}\n{counts(task, values['n'].max(), known['group'].nunique())}"

    ylabel = f"{style.RHO}\n(mean ± SD over {words(task)[1]})"
    draw = partial(panels.points, groups=panels.group_order(values), ylabel=ylabel)
    fig, drawn = alone(values, draw, title, size)
    panels.legend(fig, values)
    return fig, drawn
