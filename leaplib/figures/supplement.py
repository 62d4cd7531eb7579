"""Pages of the paper's supplement: figures S1 to S8, as in `leaplib.figures.pages`, which says what they share."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaplib.figures import comparison, flowchart, groups, pages, rows, style
from leaplib.figures.pages import Drawn, Size
from leaplib.results.scores import models_only, split_values
from leaplib.tasks import TASKS

METRIC_NAMES = {"spearman": style.RHO, "pearson": "Pearson's r"}
MEMBERS_TASKS = ("1a", "2a")  # of supplementary figure 5: the first that is real
MIN_COLUMNS, MAX_COLUMNS = 2, 5  # of flowcharts side by side


@style.styled
def supplementary_figure_1(
    flows: Mapping[str, pd.DataFrame], *, data: Mapping[str, str] | None = None, size: Size | None = None
) -> Drawn:
    """Draw the flowchart of the data preparation of each task, side by side where they fit.

    Parameters
    ----------
    flows : mapping of task id to DataFrame
        branch, step, samples, perturbations, pairs (see `leaplib.cohorts.selection`), and perhaps data.
    data : mapping of task id to {"real", "simulated"}, optional
        What each rests on, where its flow does not say it.
    size : tuple of float, optional
    """
    widths = {task: max(len(flowchart.branches(flow)), 1) for task, flow in flows.items()} or {"": 1}
    lines = _page_rows(widths)
    mosaic = _mosaic(lines, widths)
    page = size[0] if size else (style.TWO_COLUMNS if len(mosaic[0]) > MIN_COLUMNS else style.ONE_COLUMN)
    cell = (page - 2) / len(mosaic[0]) - 2  # a little less than the layout will give
    cells = Counter(task for line in mosaic for task in line)
    needs = {
        task: flowchart.page_height(flow, cell * cells[task] / widths[task], pages.words(task)["perturbation_name"])
        for task, flow in flows.items()
    }
    heights = [max(needs.get(task, 30) for task in line) for line in lines]
    page_size = size or (page, min(sum(heights) + 2, style.MAX_HEIGHT))
    fig, axes = style.figure(*page_size, mosaic=mosaic, height_ratios=heights)
    for line, height in zip(lines, heights, strict=True):
        for task in line:
            _flow(axes[task], flows.get(task, pd.DataFrame()), task, height - flowchart.TITLE)
        _level_titles([axes[task] for task in line])
    drawn = []
    for letter, task in zip(pages.LETTERS, (task for line in lines for task in line), strict=False):
        flow = flows.get(task, pd.DataFrame())
        rests_on = (data or {}).get(task, pages.data_of(flow))
        pages.letter_and_note(axes[task], letter, rests_on, offset=-9)
        drawn.append(flow.drop(columns="data", errors="ignore").assign(panel=letter, task=task, data=rests_on))
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


def _flow(ax: Axes, flow: pd.DataFrame, task: str, height: float) -> None:
    """Draw one task's flowchart, for `height` millimetres."""
    known, words = TASKS.get(task), pages.words(task)
    held_out = known.held_out(set(flow["branch"])) if known and len(flow) else ()
    named = {"perturbation_name": words["perturbation_name"], "title": words["title"]}
    flowchart.flowchart(ax, flow, **named, external=held_out, min_height=height)


def _level_titles(line: Sequence[Axes]) -> None:
    """Give titles side by side the same number of lines, so that they begin at one height."""
    titles = [ax.get_title(loc="left") for ax in line]
    most = max(title.count("\n") for title in titles)
    for ax, title in zip(line, titles, strict=True):
        ax.set_title(title + "\n" * (most - title.count("\n")), loc="left")


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
    parts = [part for _, part in values.groupby("task", sort=False)] or [values]
    heights = [26 + rows.height(part["name"]) for part in parts]
    page = size or (140, min(sum(heights), style.MAX_HEIGHT))
    fig, axes = style.figure(*page, nrows=len(parts), height_ratios=heights, squeeze=False)
    drawn = []
    for ax, part, letter in zip(axes.flat, parts, pages.LETTERS, strict=False):
        title = ""
        if len(part):
            title = f"{pages.words(part['task'].iloc[0])['title']}\n{pages.counts(part)}; bars: means; lines: SD"
        rows.steps(ax, part, published=pages.data_of(part) == "real", title=title)
        pages.letter_and_note(ax, letter if len(parts) > 1 else "", pages.data_of(part), offset=-9)
        drawn.append(part.assign(change=part["step"].map(rows.changes(part)), panel=letter))
    return fig, pages.plotted(drawn)


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
    fig, ax = style.figure(*size)
    comparison.members(ax, values, marks, n_perturbations=pages.n_perturbations(part), **pages.words(task))
    style.data_note(ax, pages.data_of(values))
    drawn = [values.assign(source="this run"), pages.as_drawn(marks)]
    return fig, pages.plotted([part.assign(panel="A") for part in drawn if len(part)])


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
    n_rows = max(len(present), 1)
    heights = [88 if task in there else 30 for task in present] or [88]
    page = size or (style.TWO_COLUMNS, min(16 + sum(heights), style.MAX_HEIGHT))  # the legend, and panels
    fig, axes = style.figure(*page, nrows=n_rows, ncols=len(metrics), squeeze=False, height_ratios=heights)
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
        leading = groups.group_order(ours[ours["metric"] == "spearman"])
        order = list(dict.fromkeys([*leading, *ours["group"]]))
        shown = ours[ours["metric"] == metric].assign(panel=letters[task, metric])
        ylabel = f"{METRIC_NAMES[metric]} per perturbation\n(median over test sets)"
        groups.points(ax, shown, order, widest, title=_tissue_title(part, task, shown), ylabel=ylabel)
        pages.letter_and_note(ax, letters[task, metric], pages.data_of(ours))
        drawn.append(shown)
    _group_legend(fig, values, widest)
    return fig, pages.plotted(drawn)


def _group_legend(fig: Figure, values: pd.DataFrame, widest: float = 0) -> None:
    """Name the models under the panels, those without any value too."""
    present = set(values.dropna(subset=["value"])["model"])
    if present:
        groups.legend(fig, list(values["model"]), widest, absent=[m for m in values["model"] if m not in present])


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


def _tissue_title(scores: pd.DataFrame, task: str, values: pd.DataFrame) -> str:
    """Return a panel's title with the numbers of tissues, perturbations and test sets."""
    names, known = pages.words(task), values.dropna(subset=["value"])
    number = pages.n_perturbations(scores[scores["task"] == task])
    about = style.counts(known["group"].nunique(), "unseen tissues", number, names["perturbation_name"])
    fewest, most = (known["n"].min(), known["n"].max()) if len(known) else (0, 0)
    sets = style.counted(most, "test sets") if fewest == most else f"{fewest:,} to {most:,} test sets"
    return f"{names['title']}\n{about}, {sets}"


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
    known, names = values.dropna(subset=["value"]), pages.words(task)
    n_subsets = int(known["n"].max()) if len(known) else 0
    about = style.counts(n_subsets, names["split_name"], known["group"].nunique(), names["perturbation_name"])
    fig, ax = style.figure(*size)
    ylabel = f"{style.RHO}\n(mean ± SD over {names['split_name']})"
    groups.points(ax, values, groups.group_order(values), title=f"{names['title']}\n{about}", ylabel=ylabel)
    style.data_note(ax, pages.data_of(values))
    _group_legend(fig, values)
    return fig, pages.plotted([values.assign(panel="A")])
