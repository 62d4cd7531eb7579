"""The figures of the paper's supplement: one function an output, from frames to (figure, what it draws).

As in `leaplib.figures`, where they are found too.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes

from leaplib import pages
from leaplib.plotting import comparison, flowchart, style
from leaplib.scores import split_values
from leaplib.tasks import TASKS

MIN_COLUMNS, MAX_COLUMNS = 2, 5  # of flowcharts side by side


@style.styled
def supplementary_figure_1(flows: Mapping[str, pd.DataFrame], *, data: Mapping[str, str] | None = None,
                           size: pages.Size | None = None) -> pages.Drawn:  # fmt: skip
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
    needs = {task: flowchart.page_height(flow, column, pages.words(task)["perturbation_name"])
             for task, flow in flows.items()}  # fmt: skip
    heights = [max(needs.get(task, 30) for task in row) for row in rows]
    fig, axes = style.figure(*(size or (page, min(sum(heights) + 2, style.MAX_HEIGHT))), mosaic=mosaic,
                             height_ratios=heights)  # fmt: skip
    tallest = {task: height - flowchart.TITLE for row, height in zip(rows, heights, strict=True) for task in row}
    for task, ax in axes.items():
        _flow(ax, flows.get(task, pd.DataFrame()), task, tallest[task])
    for row in rows:
        _level_titles([axes[task] for task in row])
    for letter, (task, ax) in zip(pages.LETTERS, axes.items(), strict=False):
        pages.letter_and_note(
            ax, letter, (data or {}).get(task, pages.data_of(flows.get(task, pd.DataFrame()))), offset=-9
        )
    drawn = [flow.assign(panel=letter, task=task)
             for letter, (task, flow) in zip(pages.LETTERS, flows.items(), strict=False)]  # fmt: skip
    return fig, pages.plotted(drawn)


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
    known, words = TASKS.get(task), pages.words(task)
    flowchart.flowchart(ax, flow, perturbation_name=words["perturbation_name"], title=words["title"],
                        external=known.external if known else (), min_height=height)  # fmt: skip


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
        As `leaplib.scores.load_scores`.
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
        As `leaplib.scores.load_scores`, task "2a external"; the reproducibility (the training studies' own
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
def supplementary_figure_5(scores: pd.DataFrame, task: str = "1a", *,
                           size: pages.Size = (style.ONE_COLUMN, 70)) -> pages.Drawn:  # fmt: skip
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
    part = style.checked(scores, pages.COLUMNS)
    part = part[(part["task"] == task) & part["model"].isin(["PS-LASSO", "LEAP"])]
    values = split_values(part, "per_perturbation", "spearman").sort_values(
        ["model", "member"], ascending=[False, True], kind="stable"
    )
    numbers = (values["member"] + 1).astype(int).astype(str)
    values = values.assign(name=values["model"].where(values["model"] == "LEAP", "PS-LASSO r" + numbers))
    fig, ax = style.figure(*size)
    comparison.members(ax, values, n_perturbations=pages.n_perturbations(part), **pages.words(task))
    style.data_note(ax, pages.data_of(values))
    return fig, pages.plotted([values.assign(panel="A")])
