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
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from leaplib.figures import comparison, diagrams, learned, rows, style
from leaplib.figures.style import Drawn
from leaplib.results.comparisons import RANKS, curve_means, models_only, perturbation_values, ranks, split_values
from leaplib.tasks import POCKET, TASKS

Size = tuple[float, float]

SPLIT_NAMES = {"holdout": "splits", "tissue": "unseen tissues", "xenograft": "subsets of PDX"}
DRUG_SCREENS = ("drugs", "xenografts")
COLUMNS = ["task", "model", "member", "split", "data", "level", "metric", "perturbation", "test_set", "value"]
LETTERS = "ABCDEFGHIJKLMN"
PANELS = {"1a": "A", "2a": "B", "3a": "C", "4a": "D", "5a": "E", "4b": "F"}  # the paper's letters of figure 3, and ours
FIGURE_2_TASKS, MEMBERS_TASKS = ("1b", "2a"), ("1a", "2a")  # of figures 2 and S5: the first that is real
METRIC_NAMES = {"spearman": style.RHO, "pearson": "Pearson's r"}
MIN_COLUMNS, MAX_COLUMNS = 2, 5  # of flowcharts side by side
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


def whole_splits(task: str) -> str:
    """Return how to call splits whose test samples are taken together: no subsets of xenografts, which overlap."""
    return "sets of all PDX" if task in TASKS and TASKS[task].design == "xenograft" else ""


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


def boxes(ax: Axes, scores: pd.DataFrame, task: str, letter: str, published: pd.DataFrame | None = None,
          reported_only: bool = False, level: str = "per_perturbation", study: str = "") -> pd.DataFrame:  # fmt: skip
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
    stages = diagrams.marks().query("kind == 'heading'")
    names = stages["text"].str.replace("-|", "").str.replace("|", " ")
    return fig, pd.DataFrame({"stage": names, "number": stages["number"].astype(int)})


def best_other_model(values: pd.DataFrame) -> str:
    """Return the model with the highest mean that is not LEAP, one of its members or a control."""
    names = values["model"].astype(str)
    rivals = ~names.isin([*style.CONTROLS, style.REPRODUCIBILITY]) & ~names.str.startswith(("LEAP", "PS-LASSO"))
    means = values[rivals].groupby("model")["value"].mean().dropna()
    return str(means.idxmax()) if len(means) else "other model"


@style.styled
def figure_2(scores: pd.DataFrame, task: str | None = None, published: pd.DataFrame | None = None, *,
             best_rival: str | None = None, reported_only: bool = False,
             size: Size = (style.TWO_COLUMNS, 82)) -> Drawn:  # fmt: skip
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
def critical_difference(scores: pd.DataFrame, *, task: str | None = None, metric: str = "spearman",
                        size: Size | None = None) -> Drawn:  # fmt: skip
    """Draw the mean ranks of all models over perturbations, a panel a task: `leaplib.results.comparisons.ranks`."""
    values = style.checked(ranks(style.checked(scores, COLUMNS), metric), RANKS)
    values = values if task is None else values[values["task"] == task]
    parts = [part for _, part in values.groupby("task")] or [values]
    n_rows, n_columns = (len(parts) + 1) // 2, min(len(parts), 2)
    page = size or ((style.ONE_COLUMN, style.TWO_COLUMNS)[n_columns - 1], min(55 * n_rows, style.MAX_HEIGHT))
    fig, axes = style.figure(*page, nrows=n_rows, ncols=n_columns, squeeze=False)
    for ax in axes.flat[len(parts) :]:
        ax.set_axis_off()
    for ax, part, letter in zip(axes.flat, parts, LETTERS, strict=False):
        style.head(ax, _ranks_title(part), letter if len(parts) > 1 else "", data_of(part))
        note = "lines at the right join what is not told apart"
        comparison.mean_ranks(ax, part, f"mean rank by {METRIC_NAMES.get(metric, metric)} (1: best);\n{note}")
    return fig, plotted([part.assign(panel=letter) for part, letter in zip(parts, LETTERS, strict=False)])


def _ranks_title(part: pd.DataFrame) -> str:
    """Return a panel's title: the task, the numbers of splits and perturbations, and Friedman's test."""
    if part.empty:
        return ""
    one = part.iloc[0]
    number = counts(one["task"], one["n_splits"], one["n_perturbations"], whole_splits(one["task"]))
    p = f"= {one['p_friedman']:.3f}" if one["p_friedman"] >= 0.001 else "< 0.001"
    return f"{words(one['task'])[0]}\n{number}; Friedman's p {p}"


@style.styled
def lines_needed(frame: pd.DataFrame, *, metric: str = "spearman", size: Size = (120, 75)) -> Drawn:
    """Draw how scores grow with the training lines: `leaplib.runs.experiment.load_curves`, or of one's own tables."""
    needed = ["task", "model", "share", "n_train", "split", "metric", "value", "data"]
    values = curve_means(style.checked(frame, needed), metric)
    task = str(values["task"].iloc[0]) if len(values) else ""
    title = f"{words(task)[0] if task in TASKS else task}\n{counts(task, values['n_splits'].max(), None)}"
    title += "; bars: 95% intervals"
    axis = {"xlabel": "Training lines", "ylabel": f"{METRIC_NAMES.get(metric, metric)} per perturbation"}
    return alone(comparison.by_lines, values, title, size, **axis)


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
    parts = {str(task): part for task, part in values.groupby("task", sort=False)} or {"": values}
    first = max(parts, key=lambda task: len(parts[task]))
    parts = {first: parts[first]} | parts
    heights = [19 + rows.height(part["candidate"], 2.2, rows.GAINS_WIDTH) for part in parts.values()]
    others = [task for task in parts if task != first]
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
    number = counts(task, int(part["n_splits"].max()), part["n_perturbations"].max(), whole_splits(task))
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
    kinds, names = axes[0, 0].get_legend_handles_labels()
    fig.legend(kinds, names, loc="outside lower center", ncols=max(len(kinds), 1))
    return fig, plotted(drawn)


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
        if free:
            free[0].append(task)
        else:
            lines.append([task])
    mosaic = _mosaic(lines, columns)
    page = size[0] if size else (style.TWO_COLUMNS if len(mosaic[0]) > MIN_COLUMNS else style.ONE_COLUMN)
    cell = (page - 2) / len(mosaic[0]) - 2  # a little less than the layout will give
    cells = Counter(task for line in mosaic for task in line)
    needs = {}
    for task, flow in flows.items():
        boxes = diagrams.plan(flow, cell * cells[task] / columns[task], words(task)[2])
        needs[task] = diagrams.chart_height(boxes)
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
    pairs = zip(lines, totals, strict=True)
    full = [[task for task in line for _ in range(columns[task] * (widest // total))] for line, total in pairs]
    return [line + ["."] * (widest - len(line)) for line in full]


@style.styled
def supplementary_figure_2(scores: pd.DataFrame, task: str = "1b", published: pd.DataFrame | None = None, *,
                           reported_only: bool = False, size: Size = (style.TWO_COLUMNS, 76)) -> Drawn:  # fmt: skip
    """Draw all models on one task: A per perturbation, B over all pairs at once."""
    part = style.checked(scores, COLUMNS)
    fig, axes = style.figure(*size, ncols=2)
    drawn = [
        boxes(ax, part, task, letter, published, reported_only, level).assign(level=level)
        for ax, letter, level in zip(axes, "AB", ("per_perturbation", "overall"), strict=True)
    ]
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
        of, letters = part[part["study"] == study], LETTERS[2 * row : 2 * row + 2]
        frames = [boxes(axes[row, 0], of, task, letters[0], study=study),
                  scatter(axes[row, 1], of, task, style.REPRODUCIBILITY, letters[1])]  # fmt: skip
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
    columns = ["task", "step", "name", "split", "value", "n_perturbations", "data", "p_value"]
    values = style.checked(steps, [*columns, "published_mean", "published_sd"])
    changes = [part["step"].map(rows.changes(part)) for _, part in values.groupby("task")]
    values = values.assign(change=pd.concat(changes) if changes else None)

    def draw(ax: Axes, part: pd.DataFrame) -> None:
        rows.steps(ax, part, published=data_of(part) == "real")

    return stacked(values, "task", draw, lambda task: words(task)[0], 140, 26, size)


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
    title, splits, _ = words(task)
    number = counts(task, values.dropna(subset=["value"])["split"].nunique(), n_perturbations(part))
    title = f"{title}\n{number}\nlines: {splits}; bars: means"
    fig, drawn = alone(comparison.members, values, title, size, published=marks)
    drawn = beside(drawn, marks) if len(marks) else drawn.assign(source="this run")
    return fig, plotted([drawn.assign(panel="A")])


@style.styled
def supplementary_figure_6(scores: pd.DataFrame, tasks: Sequence[str] = ("3a", "4a"), *, frames: bool = False,
                           size: Size | None = None) -> Drawn:  # fmt: skip
    """Draw all models by tissue, a panel a task: median over test sets, point size by its 95% interval.

    Tissues are the splits, from left to right by falling value of LEAP.
    """
    return _by_tissue(scores, tasks, ("spearman",), frames, size)


@style.styled
def supplementary_figure_7(scores: pd.DataFrame, tasks: Sequence[str] = ("3b", "4b"), *, frames: bool = False,
                           size: Size | None = None) -> Drawn:  # fmt: skip
    """Draw all models by tissue as `supplementary_figure_6`, Spearman's correlation beside Pearson's in one order."""
    return _by_tissue(scores, tasks, ("spearman", "pearson"), frames, size)


def _by_tissue(scores: pd.DataFrame, tasks: Sequence[str], metrics: Sequence[str], frames: bool,
               size: Size | None) -> Drawn:  # fmt: skip
    """Draw a row of panels a task that has results, a column a metric."""
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
        leading = comparison.group_order(ours[ours["metric"] == "spearman"])
        order = list(dict.fromkeys([*leading, *ours["group"]]))
        shown = ours[ours["metric"] == metric].assign(panel=letters[task, metric])
        title = _tissue_title(task, shown, n_perturbations(part[part["task"] == task]))
        style.head(ax, title, letters[task, metric], data_of(ours))
        ylabel = f"{METRIC_NAMES[metric]} per perturbation\n(median over test sets)"
        comparison.points(ax, shown, order, widest, ylabel=ylabel)
        drawn.append(shown)
    comparison.legend(fig, values, widest)
    return fig, plotted(drawn)


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
    about = counts(task, known["group"].nunique(), n_perturbations, "unseen tissues")
    fewest, most = (known["n"].min(), known["n"].max()) if len(known) else (0, 0)
    sets = style.counted(most, "test sets") if fewest == most else f"{fewest:,} to {most:,} test sets"
    return f"{words(task)[0]}\n{about}, {sets}"


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
    known, (title, splits, _) = values.dropna(subset=["value"]), words(task)
    number = counts(task, int(known["n"].max()) if len(known) else 0, known["group"].nunique())
    options = {"groups": comparison.group_order(values), "ylabel": f"{style.RHO}\n(mean ± SD over {splits})"}
    fig, drawn = alone(comparison.points, values, f"{title}\n{number}", size, **options)
    comparison.legend(fig, values)
    return fig, plotted([drawn.assign(panel="A")])
