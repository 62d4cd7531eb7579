"""Pages of the paper's supplement: figures S1 to S8, as in `leaplib.figures.pages`, which says what they share."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product

import pandas as pd
from matplotlib.axes import Axes

from leaplib.figures import comparison, diagrams, pages, rows, style
from leaplib.figures.pages import Size
from leaplib.figures.style import Drawn
from leaplib.results.comparisons import models_only, split_values
from leaplib.tasks import TASKS

METRIC_NAMES = {"spearman": style.RHO, "pearson": "Pearson's r"}
MEMBERS_TASKS = ("1a", "2a")  # of supplementary figure 5: the first that is real
MIN_COLUMNS, MAX_COLUMNS = 2, 5  # of flowcharts side by side


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
    lines = _page_rows(columns)
    mosaic = _mosaic(lines, columns)
    page = size[0] if size else (style.TWO_COLUMNS if len(mosaic[0]) > MIN_COLUMNS else style.ONE_COLUMN)
    cell = (page - 2) / len(mosaic[0]) - 2  # a little less than the layout will give
    cells = Counter(task for line in mosaic for task in line)
    needs = {}
    for task, flow in flows.items():
        boxes = diagrams.plan(flow, cell * cells[task] / columns[task], pages.words(task)[2])
        needs[task] = diagrams.chart_height(boxes)
    heights = [max(needs[task] for task in line) + diagrams.TITLE for line in lines]
    page_size = size or (page, min(sum(heights) + 2, style.MAX_HEIGHT))
    fig, axes = style.figure(*page_size, mosaic=mosaic, height_ratios=heights)
    for line, height in zip(lines, heights, strict=True):
        for task in line:
            held_out = TASKS[task].held_out(set(flows[task]["branch"])) if task in TASKS and len(flows[task]) else ()
            diagrams.flowchart(axes[task], flows[task], perturbation_name=pages.words(task)[2], external=held_out,
                               min_height=height - diagrams.TITLE)  # fmt: skip
    drawn, letters = [], iter(pages.LETTERS)
    for line in lines:
        titles = [style.wrap(pages.words(task)[0], style.width_mm(axes[task]) - 2, 6.5) for task in line]
        most = max(title.count("\n") for title in titles)
        for task, title, letter in zip(line, titles, letters, strict=False):
            kind = pages.data_of(flows[task])
            padded = title + "\n" * (most - title.count("\n"))  # titles side by side begin at one height
            style.head(axes[task], padded, letter, kind, -9)
            drawn.append(flows[task].drop(columns="data", errors="ignore").assign(panel=letter, task=task, data=kind))
    return fig, pages.plotted(drawn)


def _page_rows(columns: Mapping[str, int]) -> list[list[str]]:
    """Put charts side by side: each into the first row where its columns fit."""
    lines: list[list[str]] = []
    for task, count in columns.items():
        free = [line for line in lines if sum(columns[other] for other in line) + count <= MAX_COLUMNS]
        if free:
            free[0].append(task)
        else:
            lines.append([task])
    return lines


def _mosaic(lines: Sequence[Sequence[str]], columns: Mapping[str, int]) -> list[list[str]]:
    """Return a mosaic in which a chart is as many cells wide as it has columns, or a multiple where a row has room."""
    totals = [sum(columns[task] for task in line) for line in lines]
    widest = max(MIN_COLUMNS, *totals)
    pairs = zip(lines, totals, strict=True)
    full = [[task for task in line for _ in range(columns[task] * (widest // total))] for line, total in pairs]
    return [line + ["."] * (widest - len(line)) for line in full]


@style.styled
def supplementary_figure_2(
    scores: pd.DataFrame,
    task: str = "1b",
    published: pd.DataFrame | None = None,
    *,
    reported_only: bool = False,
    size: Size = (style.TWO_COLUMNS, 76),
) -> Drawn:
    """Draw all models on one task: A per perturbation, B over all pairs at once."""
    part = style.checked(scores, pages.COLUMNS)
    fig, axes = style.figure(*size, ncols=2)
    drawn = [
        pages.boxes(ax, part, task, letter, published, reported_only, level).assign(level=level)
        for ax, letter, level in zip(axes, "AB", ("per_perturbation", "overall"), strict=True)
    ]
    return fig, pages.plotted(drawn)


@style.styled
def supplementary_figure_3(scores: pd.DataFrame, *, task: str = "2a", size: Size | None = None) -> Drawn:
    """Draw the external validation, a row a study: models against the labels' reproducibility, LEAP against it by drug.

    Scores are as `Results.external`; the reproducibility (the training studies' own measurements of the same pairs)
    is the model "Label reproducibility".
    """
    part = style.checked(scores, [*pages.COLUMNS, "study"])
    part = part[part["task"] == task]
    studies = list(part["study"].unique()) or [""]
    page = size or (style.TWO_COLUMNS, min(82 * len(studies), style.MAX_HEIGHT))
    fig, axes = style.figure(*page, nrows=len(studies), ncols=2, width_ratios=(1.5, 1), squeeze=False)
    drawn = []
    for row, study in enumerate(studies):
        of, letters = part[part["study"] == study], pages.LETTERS[2 * row : 2 * row + 2]
        frames = [pages.boxes(axes[row, 0], of, task, letters[0], study=study),
                  pages.scatter(axes[row, 1], of, task, style.REPRODUCIBILITY, letters[1])]  # fmt: skip
        drawn += [frame.assign(study=study) for frame in frames]
    return fig, pages.plotted(drawn)


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
        rows.steps(ax, part, published=pages.data_of(part) == "real")

    return pages.stacked(values, "task", draw, lambda task: pages.words(task)[0], 140, 26, size)


@style.styled
def supplementary_figure_5(
    scores: pd.DataFrame,
    task: str | None = None,
    published: pd.DataFrame | None = None,
    *,
    size: Size = (style.ONE_COLUMN, 70),
) -> Drawn:
    """Draw PS-LASSO on each representation against LEAP, which averages them.

    The task is 1a, as in the paper, or 2a where 1a is not real; the published PS-LASSO stands beside the first
    representation's.
    """
    part = style.checked(scores, pages.COLUMNS)
    task = task or pages.real_task(part, MEMBERS_TASKS)
    part = part[(part["task"] == task) & part["model"].isin(["PS-LASSO", "LEAP"])]
    values = split_values(part, "per_perturbation", "spearman")
    values = values.sort_values(["model", "member"], ascending=[False, True], kind="stable")
    numbers = (values["member"] + 1).astype(int).astype(str)
    values = values.assign(name=values["model"].where(values["model"] == "LEAP", "PS-LASSO r" + numbers))
    marks = pages.published_marks(published, values, task)
    marks = marks.assign(name=marks["model"].replace("PS-LASSO", "PS-LASSO r1"))
    title, splits, _ = pages.words(task)
    number = pages.counts(task, values.dropna(subset=["value"])["split"].nunique(), pages.n_perturbations(part))
    title = f"{title}\n{number}\nlines: {splits}; bars: means"
    fig, drawn = pages.alone(comparison.members, values, title, size, published=marks)
    drawn = pages.beside(drawn, marks) if len(marks) else drawn.assign(source="this run")
    return fig, pages.plotted([drawn.assign(panel="A")])


@style.styled
def supplementary_figure_6(
    scores: pd.DataFrame, tasks: Sequence[str] = ("3a", "4a"), *, frames: bool = False, size: Size | None = None
) -> Drawn:
    """Draw all models by tissue, a panel a task: median over test sets, point size by its 95% interval.

    Tissues are the splits, from left to right by falling value of LEAP.
    """
    return _by_tissue(scores, tasks, ("spearman",), frames, size)


@style.styled
def supplementary_figure_7(
    scores: pd.DataFrame, tasks: Sequence[str] = ("3b", "4b"), *, frames: bool = False, size: Size | None = None
) -> Drawn:
    """Draw all models by tissue as `supplementary_figure_6`, Spearman's correlation beside Pearson's in one order."""
    return _by_tissue(scores, tasks, ("spearman", "pearson"), frames, size)


def _by_tissue(
    scores: pd.DataFrame, tasks: Sequence[str], metrics: Sequence[str], frames: bool, size: Size | None
) -> Drawn:
    """Draw a row of panels a task that has results, a column a metric."""
    part = style.checked(scores, pages.COLUMNS)
    values = split_intervals(part[part["task"].isin(tasks) & part["metric"].isin(metrics)])
    there = set(values["task"])
    present = [task for task in tasks if frames or task in there]
    heights = [88 if task in there else 30 for task in present] or [88]
    page = size or (style.TWO_COLUMNS, min(16 + sum(heights), style.MAX_HEIGHT))  # the legend, and panels
    fig, axes = style.figure(*page, nrows=len(heights), ncols=len(metrics), squeeze=False, height_ratios=heights)
    for ax in axes.flat[len(present) * len(metrics) :]:
        style.no_data(ax)
    widest = float(values["width"].max()) if values["width"].notna().any() else 0.0
    letters = dict(zip(product(tasks, metrics), pages.LETTERS, strict=False))
    drawn = []
    for ax, (task, metric) in zip(axes.flat, product(present, metrics), strict=False):
        if task not in there:
            pages.empty(ax, task, letters[task, metric])
            continue
        ours = values[values["task"] == task]
        leading = comparison.group_order(ours[ours["metric"] == "spearman"])
        order = list(dict.fromkeys([*leading, *ours["group"]]))
        shown = ours[ours["metric"] == metric].assign(panel=letters[task, metric])
        title = _tissue_title(task, shown, pages.n_perturbations(part[part["task"] == task]))
        style.head(ax, title, letters[task, metric], pages.data_of(ours))
        ylabel = f"{METRIC_NAMES[metric]} per perturbation\n(median over test sets)"
        comparison.points(ax, shown, order, widest, ylabel=ylabel)
        drawn.append(shown)
    comparison.legend(fig, values, widest)
    return fig, pages.plotted(drawn)


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
    about = pages.counts(task, known["group"].nunique(), n_perturbations, "unseen tissues")
    fewest, most = (known["n"].min(), known["n"].max()) if len(known) else (0, 0)
    sets = style.counted(most, "test sets") if fewest == most else f"{fewest:,} to {most:,} test sets"
    return f"{pages.words(task)[0]}\n{about}, {sets}"


@style.styled
def supplementary_figure_8(scores: pd.DataFrame, task: str = "5a", *, size: Size = (style.TWO_COLUMNS, 80)) -> Drawn:
    """Draw all models by drug: mean and standard deviation over subsets of the xenografts.

    Scores need a row for each perturbation and test set; drugs stand from left to right by falling value of LEAP.
    """
    part = style.checked(scores, pages.COLUMNS)
    part = models_only(part[(part["task"] == task) & (part["perturbation"] != "") & (part["test_set"] >= 0)])
    part = part[part["metric"] == "spearman"].rename(columns={"perturbation": "group"})
    subsets = part.groupby(["task", "group", "model", "data"], sort=False)["value"]
    values = subsets.agg(value="mean", sd="std", n="count").reset_index()
    known, (title, splits, _) = values.dropna(subset=["value"]), pages.words(task)
    number = pages.counts(task, int(known["n"].max()) if len(known) else 0, known["group"].nunique())
    options = {"groups": comparison.group_order(values), "ylabel": f"{style.RHO}\n(mean ± SD over {splits})"}
    fig, drawn = pages.alone(comparison.points, values, f"{title}\n{number}", size, **options)
    comparison.legend(fig, values)
    return fig, pages.plotted([drawn.assign(panel="A")])
