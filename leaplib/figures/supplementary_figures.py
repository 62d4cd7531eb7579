"""The figures of the paper's supplement: one function an output, from frames to (figure, what it draws).

As in `leaplib.figures.figures`, where they are found too.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaplib.figures import ablation, comparison, flowchart, groups, pages, style
from leaplib.results.scores import models_only, split_values
from leaplib.tasks import TASKS

METRIC_NAMES = {"spearman": comparison.RHO, "pearson": "Pearson's r"}
STEPS_WIDE, STEPS_FRAME = 140, 26  # mm: width of the page of an ablation, height of a panel without its rows
MEMBERS_TASKS = ("1a", "2a")  # of supplementary figure 5: the first that is real
LEGEND, TISSUES_HIGH = 16, 88  # mm: room for the legend, height of a panel of tissues with their slanting names
MIN_COLUMNS, MAX_COLUMNS = 2, 5  # of flowcharts side by side


@style.styled
def supplementary_figure_1(flows: Mapping[str, pd.DataFrame], *, data: Mapping[str, str] | None = None,
                           size: pages.Size | None = None) -> pages.Drawn:  # fmt: skip
    """Draw the flowchart of the data preparation of each task, side by side where they fit.

    Parameters
    ----------
    flows : mapping of task id to DataFrame
        branch, step, samples, perturbations, pairs (see `leaplib.cohorts.selection`).
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
    cell = (page - 2) / len(mosaic[0]) - 2  # a little less than the layout will give
    cells = Counter(task for row in mosaic for task in row)
    needs = {task: flowchart.page_height(flow, cell * cells[task] / widths[task],
                                         pages.words(task)["perturbation_name"])
             for task, flow in flows.items()}  # fmt: skip
    heights = [max(needs.get(task, 30) for task in row) for row in rows]
    fig, axes = style.figure(*(size or (page, min(sum(heights) + 2, style.MAX_HEIGHT))), mosaic=mosaic,
                             height_ratios=heights)  # fmt: skip
    tallest = {task: height - flowchart.TITLE for row, height in zip(rows, heights, strict=True) for task in row}
    for task, ax in axes.items():
        _flow(ax, flows.get(task, pd.DataFrame()), task, tallest[task])
    for row in rows:
        _level_titles([axes[task] for task in row])
    drawn = []
    for letter, task in zip(pages.LETTERS, (task for row in rows for task in row), strict=False):
        flow = flows.get(task, pd.DataFrame())
        rests_on = (data or {}).get(task, pages.data_of(flow))
        pages.letter_and_note(axes[task], letter, rests_on, offset=-9)
        drawn.append(flow.assign(panel=letter, task=task, data=rests_on))
    return fig, pages.plotted(drawn)


def _page_rows(columns: Mapping[str, int]) -> list[list[str]]:
    """Put charts side by side: each into the first row where its columns fit."""
    rows: list[list[str]] = []
    for task, count in columns.items():
        free = [row for row in rows if sum(columns[other] for other in row) + count <= MAX_COLUMNS]
        if free:
            free[0].append(task)
        else:
            rows.append([task])
    return rows


def _mosaic(rows: Sequence[Sequence[str]], columns: Mapping[str, int]) -> list[list[str]]:
    """Return a mosaic in which a chart is as many cells wide as it has columns, or a multiple where a row has room."""
    totals = [sum(columns[task] for task in row) for row in rows]
    widest = max(MIN_COLUMNS, *totals)
    full = [[task for task in row for _ in range(columns[task] * (widest // total))]
            for row, total in zip(rows, totals, strict=True)]  # fmt: skip
    return [row + ["."] * (widest - len(row)) for row in full]


def _flow(ax: Axes, flow: pd.DataFrame, task: str, height: float) -> None:
    """Draw one task's flowchart, for `height` millimetres."""
    known, words = TASKS.get(task), pages.words(task)
    held_out = [study for study in known.external if study in set(flow["branch"])][:1] if known and len(flow) else []
    flowchart.flowchart(ax, flow, perturbation_name=words["perturbation_name"], title=words["title"],
                        external=held_out, min_height=height)  # fmt: skip


def _level_titles(row: Sequence[Axes]) -> None:
    """Give titles side by side the same number of lines, so that they begin at one height."""
    titles = [ax.get_title(loc="left") for ax in row]
    lines = max(title.count("\n") for title in titles)
    for ax, title in zip(row, titles, strict=True):
        ax.set_title(title + "\n" * (lines - title.count("\n")), loc="left")


@style.styled
def supplementary_figure_2(scores: pd.DataFrame, task: str = "1b", published: pd.DataFrame | None = None, *,
                           reported_only: bool = False,
                           size: pages.Size = (style.TWO_COLUMNS, 76)) -> pages.Drawn:  # fmt: skip
    """Draw all models on one task: A per perturbation, B over all pairs at once.

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.results.scores.load_scores`.
    task : str
    published : DataFrame, optional
        task, model, level, metric, mean, sd.
    reported_only : bool
        Show published models too that were not run here.
    size : tuple of float
        Width and height in mm.

    Returns
    -------
    Figure, DataFrame
    """
    part = style.checked(scores, pages.COLUMNS)
    fig, axes = style.figure(*size, ncols=2)
    levels = ("per_perturbation", "overall")
    drawn = [pages.boxes(ax, part, task, letter, published, reported_only, level).assign(level=level)
             for ax, letter, level in zip(axes, "AB", levels, strict=True)]  # fmt: skip
    return fig, pages.plotted(drawn)


@style.styled
def supplementary_figure_3(scores: pd.DataFrame, published: pd.DataFrame | None = None, *, task: str = "2a",
                           size: pages.Size = (style.TWO_COLUMNS, 82)) -> pages.Drawn:  # fmt: skip
    """Draw the external validation: A models against the labels' reproducibility, B LEAP against it by drug.

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.results.scores.load_scores`, task "2a external"; the reproducibility (the training studies' own
        measurements of the same pairs) is the model "Label reproducibility".
    published : DataFrame, optional
        task, model, level, metric, mean, sd.
    task : str
        The task that the models were trained for.
    size : tuple of float
        Width and height in mm.

    Returns
    -------
    Figure, DataFrame
    """
    name = task + pages.EXTERNAL
    part = style.checked(scores, pages.COLUMNS)
    part = part[part["task"] == name]
    fig, axes = style.figure(*size, ncols=2, width_ratios=(1.5, 1))
    boxes = pages.boxes(axes[0], part, name, "A", published, reported_only=False)
    points = pages.scatter(axes[1], part, name, style.REPRODUCIBILITY)
    return fig, pages.plotted([boxes, points])


@style.styled
def supplementary_figure_4(steps: pd.DataFrame, *, size: pages.Size | None = None) -> pages.Drawn:
    """Draw the steps of the ablation, a panel a task: splits, mean, SD, and the change against the step before.

    Parameters
    ----------
    steps : DataFrame
        Columns task, step (1, 2, ...), name, split, value (mean per-perturbation Spearman), n_perturbations
        (that it is the mean of), data, p_value (paired test against the step before; NaN: none),
        published_mean, published_sd (NaN: not given). Published values are drawn where a task's data are real.
    size : tuple of float, optional
        Width and height in mm; by default the height follows from the number of steps.

    Returns
    -------
    Figure, DataFrame
        The frame: panel, the columns of `steps`, change.
    """
    columns = ["task", "step", "name", "split", "value", "n_perturbations", "data", "p_value", "published_mean",
               "published_sd"]  # fmt: skip
    rows = style.checked(steps, columns)
    tasks = list(dict.fromkeys(rows["task"])) or [""]
    parts = [rows[rows["task"] == task] for task in tasks]
    heights = [STEPS_FRAME + ablation.row_height(part["name"]) * max(part["step"].nunique(), 1) for part in parts]
    page = size or (STEPS_WIDE, min(sum(heights), style.MAX_HEIGHT))
    fig, axes = style.figure(*page, nrows=len(tasks), height_ratios=heights, squeeze=False)
    drawn = [_steps(ax, part, task) for ax, part, task in zip(axes.flat, parts, tasks, strict=True)]
    letters = pages.LETTERS if len(tasks) > 1 else [""]
    for ax, part, letter in zip(axes.flat, parts, letters, strict=False):
        pages.letter_and_note(ax, letter, pages.data_of(part), offset=-9)
    return fig, pages.plotted([part.assign(panel=letter)
                               for part, letter in zip(drawn, pages.LETTERS, strict=False)])  # fmt: skip


def _steps(ax: Axes, steps: pd.DataFrame, task: str) -> pd.DataFrame:
    """Draw one task's steps with their title; return what is drawn."""
    title = f"{pages.words(task)['title']}\n{pages.counts(steps)}; bars: means; lines: SD" if task else ""
    ablation.steps(ax, steps, published=pages.data_of(steps) == "real", title=title)
    return steps.assign(change=steps["step"].map(ablation.changes(steps)))


@style.styled
def supplementary_figure_5(scores: pd.DataFrame, task: str | None = None, published: pd.DataFrame | None = None, *,
                           size: pages.Size = (style.ONE_COLUMN, 70)) -> pages.Drawn:  # fmt: skip
    """Draw PS-LASSO on each representation against LEAP, which averages them.

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.results.scores.load_scores`.
    task : str, optional
        By default 1a, as in the paper, or 2a where 1a is not real.
    published : DataFrame, optional
        task, model, level, metric, mean, sd; the published PS-LASSO stands beside the first representation's.
    size : tuple of float
        Width and height in mm.

    Returns
    -------
    Figure, DataFrame
    """
    part = style.checked(scores, pages.COLUMNS)
    task = task or pages.real_task(part, MEMBERS_TASKS)
    part = part[(part["task"] == task) & part["model"].isin(["PS-LASSO", "LEAP"])]
    values = split_values(part, "per_perturbation", "spearman").sort_values(
        ["model", "member"], ascending=[False, True], kind="stable"
    )
    numbers = (values["member"] + 1).astype(int).astype(str)
    values = values.assign(name=values["model"].where(values["model"] == "LEAP", "PS-LASSO r" + numbers))
    marks = pages.published_marks(published if pages.data_of(values) == "real" else None, task, ["PS-LASSO", "LEAP"])
    marks = marks.assign(name=marks["model"].replace("PS-LASSO", "PS-LASSO r1"))
    fig, ax = style.figure(*size)
    comparison.members(ax, values, marks, n_perturbations=pages.n_perturbations(part), **pages.words(task))
    style.data_note(ax, pages.data_of(values))
    drawn = [values.assign(source="this run"), pages.as_drawn(marks)]
    return fig, pages.plotted([part.assign(panel="A") for part in drawn if len(part)])


@style.styled
def supplementary_figure_6(scores: pd.DataFrame, tasks: Sequence[str] = ("3a", "4a"), *,
                           size: pages.Size | None = None) -> pages.Drawn:  # fmt: skip
    """Draw all models by tissue, a panel a task: median over test sets, point size by its 95% interval.

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.results.scores.load_scores`; tissues are the splits, from left to right by falling value of LEAP.
    tasks : sequence of str
    size : tuple of float, optional
        Width and height in mm; by default the height follows from the number of tasks.

    Returns
    -------
    Figure, DataFrame
        The frame: panel, task, group (tissue), model, metric, value, width, n (test sets), data.
    """
    return _by_tissue(scores, tasks, ("spearman",), size)


@style.styled
def supplementary_figure_7(scores: pd.DataFrame, tasks: Sequence[str] = ("3b", "4b"), *,
                           size: pages.Size | None = None) -> pages.Drawn:  # fmt: skip
    """Draw all models by tissue as `supplementary_figure_6`, Spearman's correlation beside Pearson's.

    Both panels of a task have their tissues in the same order, that of LEAP's Spearman correlation.

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.results.scores.load_scores`.
    tasks : sequence of str
    size : tuple of float, optional
        Width and height in mm; by default the height follows from the number of tasks.

    Returns
    -------
    Figure, DataFrame
        As `supplementary_figure_6`.
    """
    return _by_tissue(scores, tasks, ("spearman", "pearson"), size)


def _by_tissue(scores: pd.DataFrame, tasks: Sequence[str], metrics: Sequence[str],
               size: pages.Size | None) -> pages.Drawn:  # fmt: skip
    """Draw a row of panels a task that has results, a column a metric."""
    part = style.checked(scores, pages.COLUMNS)
    values = split_intervals(part[part["task"].isin(tasks) & part["metric"].isin(metrics)])
    present = [task for task in tasks if (values["task"] == task).any()]
    rows = max(len(present), 1)
    page = size or (style.TWO_COLUMNS, min(LEGEND + TISSUES_HIGH * rows, style.MAX_HEIGHT))
    fig, axes = style.figure(*page, nrows=rows, ncols=len(metrics), squeeze=False)
    for ax in axes.flat[len(present) * len(metrics) :]:
        style.no_data(ax)
    widest = float(values["width"].max()) if values["width"].notna().any() else 0.0
    letters = dict(zip(product(tasks, metrics), pages.LETTERS, strict=False))
    drawn = [_tissues(ax, part, values[values["task"] == task], task, metric, widest, letters[task, metric])
             for ax, (task, metric) in zip(axes.flat, product(present, metrics), strict=False)]  # fmt: skip
    _group_legend(fig, values, widest)
    return fig, pages.plotted(drawn)


def _tissues(ax: Axes, scores: pd.DataFrame, values: pd.DataFrame, task: str, metric: str, widest: float,
             letter: str) -> pd.DataFrame:  # fmt: skip
    """Draw one panel of tissues with letter, title and note; return what is drawn."""
    order = list(dict.fromkeys([*groups.group_order(values[values["metric"] == "spearman"]), *values["group"]]))
    rows = values[values["metric"] == metric]
    groups.sized_points(ax, rows, order, widest, title=_tissue_title(scores, task, rows),
                        ylabel=f"{METRIC_NAMES[metric]} per perturbation\n(median over test sets)")  # fmt: skip
    pages.letter_and_note(ax, letter, pages.data_of(values))
    return rows.assign(panel=letter)


def _group_legend(fig: Figure, values: pd.DataFrame, widest: float = 0) -> None:
    """Name the models under the panels, those without any value too."""
    present = set(values.dropna(subset=["value"])["model"])
    if present:
        groups.legend(fig, list(values["model"]), widest, absent=[m for m in values["model"] if m not in present])


def split_intervals(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the median over a split's test sets of the mean over perturbations, and its 95% interval's width.

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.results.scores.load_scores`.

    Returns
    -------
    DataFrame
        task, group (the split), model, metric, data, value (median), width (97.5th minus 2.5th percentile,
        NaN for a single test set), n (test sets).
    """
    rows = models_only(scores[(scores["perturbation"] == "") & (scores["level"] == "per_perturbation")])
    sets = rows.rename(columns={"split": "group"}).groupby(["task", "group", "model", "metric", "data"],
                                                           sort=False)["value"]  # fmt: skip
    frame = pd.DataFrame({"value": sets.median(), "width": sets.quantile(0.975) - sets.quantile(0.025),
                          "n": sets.count()})  # fmt: skip
    return frame.assign(width=frame["width"].where(frame["n"] > 1)).reset_index()


def _tissue_title(scores: pd.DataFrame, task: str, values: pd.DataFrame) -> str:
    """Return a panel's title with the numbers of tissues, perturbations and test sets."""
    names, known = pages.words(task), values.dropna(subset=["value"])
    counts = [comparison.counted(known["group"].nunique(), "unseen tissues")]
    number = pages.n_perturbations(scores[scores["task"] == task])
    counts += [] if number is None else [comparison.counted(number, names["perturbation_name"])]
    fewest, most = (known["n"].min(), known["n"].max()) if len(known) else (0, 0)
    sets = comparison.counted(most, "test sets") if fewest == most else f"{fewest:,} to {most:,} test sets"
    return f"{names['title']}\nn = {', '.join(counts)}, {sets}"


@style.styled
def supplementary_figure_8(scores: pd.DataFrame, task: str = "5a", *,
                           size: pages.Size = (style.TWO_COLUMNS, 80)) -> pages.Drawn:  # fmt: skip
    """Draw all models by drug: mean and standard deviation over subsets of the xenografts.

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.results.scores.load_scores`, with a row for each perturbation and test set; drugs stand from
        left to right by falling value of LEAP.
    task : str
    size : tuple of float
        Width and height in mm.

    Returns
    -------
    Figure, DataFrame
        The frame: panel, task, group (drug), model, data, value (mean), sd, n (subsets).
    """
    part = style.checked(scores, pages.COLUMNS)
    rows = models_only(part[(part["task"] == task) & (part["perturbation"] != "") & (part["test_set"] >= 0)])
    rows = rows[rows["metric"] == "spearman"].rename(columns={"perturbation": "group"})
    subsets = rows.groupby(["task", "group", "model", "data"], sort=False)["value"]
    values = subsets.agg(value="mean", sd="std", n="count").reset_index()
    known, names = values.dropna(subset=["value"]), pages.words(task)
    counts = (comparison.counted(int(known["n"].max()) if len(known) else 0, names["split_name"]),
              comparison.counted(known["group"].nunique(), names["perturbation_name"]))  # fmt: skip
    fig, ax = style.figure(*size)
    groups.means(ax, values, groups.group_order(values), title=f"{names['title']}\nn = {', '.join(counts)}",
                 ylabel=f"{comparison.RHO}\n(mean ± SD over {names['split_name']})")  # fmt: skip
    style.data_note(ax, pages.data_of(values))
    _group_legend(fig, values)
    return fig, pages.plotted([values.assign(panel="A")])
