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

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaplib.figures import comparison, representation, rows, scheme, style
from leaplib.results.scores import models_only, perturbation_values, split_values
from leaplib.tasks import POCKET, TASKS

Size = tuple[float, float]
Drawn = tuple[Figure, pd.DataFrame]

SPLIT_NAMES = {"holdout": "splits", "tissue": "unseen tissues", "xenograft": "subsets of PDX"}
DRUG_SCREENS = ("drugs", "xenografts")
COLUMNS = ["task", "model", "member", "split", "data", "level", "metric", "perturbation", "test_set", "value"]
LETTERS = "ABCDEFGHIJKLMN"
PANELS = {"1a": "A", "2a": "B", "3a": "C", "4a": "D", "5a": "E"}  # letters of the paper's figure 3
FIGURE_2_TASKS = ("1b", "2a")  # the first that is real
GAINS = ["task", "candidate", "mean", "difference", "low", "high", "n_perturbations", "n_splits", "data"]


def words(task: str, study: str = "") -> dict[str, str]:
    """Return how to call a task, its splits and its perturbations; the study is one held out for validation."""
    known = TASKS.get(task)
    if known is None:
        return {"title": f"Task {task}", "split_name": "splits", "perturbation_name": "perturbations"}
    about = f"external validation by {study}" if study else f"{known.title[0].lower()}{known.title[1:]}"
    return {
        "title": f"Task {known.id}: {about}",
        "split_name": SPLIT_NAMES.get(known.design, "splits"),
        "perturbation_name": "drugs" if known.screen in DRUG_SCREENS else "genes",
    }


def data_of(frame: pd.DataFrame, otherwise: str = "real") -> str:
    """Return what a panel rests on: "real" only where all of it does."""
    if "data" not in frame.columns:
        return otherwise
    return next((kind for kind in frame["data"] if kind != "real"), "real")


def real_task(scores: pd.DataFrame, tasks: Sequence[str]) -> str:
    """Return the first of these tasks whose scores rest on real data, else the last one that has scores."""
    there = [task for task in tasks if (scores["task"] == task).any()]
    real = [task for task in there if data_of(scores[scores["task"] == task]) == "real"]
    return (real or there[-1:] or list(tasks[-1:]))[0]


def published_marks(
    published: pd.DataFrame | None,
    values: pd.DataFrame,
    task: str,
    reported_only: bool = False,
    level: str = "per_perturbation",
) -> pd.DataFrame:
    """Return the published Spearman correlations to draw beside a task's values: none beside simulated data."""
    columns = ["task", "model", "level", "metric", "mean", "sd"]
    frame = style.checked(pd.DataFrame() if published is None else published, columns)
    marks = frame[(frame["task"] == task) & (frame["metric"] == "spearman") & (frame["level"] == level)]
    if data_of(values) != "real":
        return marks.head(0)
    return marks if reported_only else marks[marks["model"].isin(values["model"])]


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
    ylabel = f"{style.RHO} overall\n(all pairs at once)" if level == "overall" else comparison.YLABEL
    comparison.model_boxes(
        ax, values, marks, n_perturbations=n_perturbations(part), ylabel=ylabel, **words(task, study)
    )
    letter_and_note(ax, letter, data_of(part))
    ours = values[["task", "data", "model", "split", "value"]].assign(source="this run")
    return pd.concat([ours, as_drawn(marks)], ignore_index=True).assign(panel=letter)


def as_drawn(marks: pd.DataFrame) -> pd.DataFrame:
    """Return published values as they stand in the frame of what is drawn."""
    return marks.drop(columns=["level", "metric"]).rename(columns={"mean": "value"}).assign(source="published")


def scatter(ax: Axes, part: pd.DataFrame, task: str, rival: str, letter: str = "B") -> pd.DataFrame:
    """Draw LEAP against a rival, one point a perturbation, over the splits of both; return what is drawn."""
    kind = data_of(part)
    known = part[part["model"].isin(["LEAP", rival]) & (part["perturbation"] != "") & part["value"].notna()]
    models = known.groupby("split")["model"].nunique()
    part = part[part["split"].isin(models.index[models == 2])]
    values = models_only(perturbation_values(part, "spearman"))
    values = values[values["model"].isin(["LEAP", rival])]
    wide = values.pivot_table(index="perturbation", columns="model", values="value", sort=False)
    wide = wide.reindex(columns=[rival, "LEAP"]).dropna().reset_index()
    names = words(task)
    n_splits = split_values(part, "per_perturbation", "spearman")["split"].nunique()
    against = rival.lower() if rival == style.REPRODUCIBILITY else rival
    comparison.perturbation_scatter(
        ax,
        wide,
        rival,
        "LEAP",
        title=f"Task {task}: LEAP against {against}",
        mean_over=style.counted(n_splits, names["split_name"]),
        perturbation_name=names["perturbation_name"],
    )
    letter_and_note(ax, letter, kind)
    drawn = values[values["perturbation"].isin(wide["perturbation"])].drop(columns="member")
    return drawn.assign(source="this run", panel=letter)


def n_perturbations(part: pd.DataFrame) -> int | None:
    """Return how many perturbations have a score."""
    return perturbation_values(part, "spearman").dropna(subset=["value"])["perturbation"].nunique() or None


def counts(values: pd.DataFrame) -> str:
    """Return "n = 10 splits, 649 drugs" of one task's values, with their columns task, split and n_perturbations."""
    known = values.dropna(subset=["value"])
    names = words(str(known["task"].iloc[0]) if len(known) else "")
    number = int(known["n_perturbations"].max()) if known["n_perturbations"].notna().any() else None
    return style.counts(known["split"].nunique(), names["split_name"], number, names["perturbation_name"])


def empty(ax: Axes, task: str, letter: str) -> None:
    """Draw an empty frame in place of a task without results, and say what is missing."""
    known = TASKS[task]
    needed = "PDX Encyclopedia" if known.screen == "xenografts" else known.studies[0]
    why = "not run yet" if known.screen == "drugs" else f"{needed} is not at hand"
    ax.set_title(words(task)["title"], loc="left")
    style.no_data(ax, f"no results on real data:\n{why}")
    style.panel_letter(ax, letter, -24)


def letter_and_note(ax: Axes, letter: str, data: str, offset: float = -24) -> None:
    """Write a panel's letter ("": it stands alone), and the note where its data are not real."""
    if letter:
        style.panel_letter(ax, letter, offset)
    style.data_note(ax, data)


def plotted(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return what several panels draw as one frame, `panel` first."""
    full = [part for part in parts if len(part)]
    if not full:
        return pd.DataFrame(columns=["panel"])
    frame = pd.concat(full, ignore_index=True)
    return frame[["panel", *(column for column in frame if column != "panel")]]


@style.styled
def figure_1(frame: pd.DataFrame | None = None, *, size: Size = (style.TWO_COLUMNS, scheme.HEIGHT)) -> Drawn:
    """Draw the LEAP scheme; it needs no frame."""
    fig, ax = style.figure(*size)
    fig.set_layout_engine("constrained", w_pad=0, h_pad=0)
    scheme.scheme(ax)
    stages = [(heading.replace("-\n", "").replace("\n", " "), number) for heading, number in scheme.STAGES.items()]
    return fig, pd.DataFrame(stages, columns=["stage", "number"])


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
    extra: Sequence[str] = ("4b",),
    reported_only: bool = False,
    left_out: Mapping[str, str] | None = None,
    frames: bool = False,
    size: Size | None = None,
) -> Drawn:
    """Draw all models on each task that has results: A 1a, B 2a, C 3a, D 4a, E 5a, then `extra` from F.

    `left_out` says of a task what would make it real: where its data are simulated and another task's are not, this
    line stands in place of its panel.
    """
    letters = PANELS | dict(zip(extra, LETTERS[len(PANELS) :], strict=False))
    scores = style.checked(scores, COLUMNS)
    there = [task for task in letters if (scores["task"] == task).any()]
    simulated = [task for task in there if data_of(scores[scores["task"] == task]) == "simulated"]
    absent = [task for task in simulated if task in (left_out or {})] if len(simulated) < len(there) else []
    there = [task for task in there if task not in absent]
    tasks = list(letters) if frames else there
    n_rows = max((len(tasks) + 1) // 2, 1)
    fig, axes = style.figure(*(size or (style.TWO_COLUMNS, 76 * n_rows)), nrows=n_rows, ncols=2, squeeze=False)
    for ax in axes.flat[len(tasks) :]:
        ax.set_axis_off()
    if not tasks:
        style.no_data(axes.flat[0])
    if absent and left_out:
        lines = [
            f"{letters[task]}  {words(task)['title']}: simulated, and left out; {left_out[task]} makes it real"
            for task in absent
        ]
        fig.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=6, color=style.NOTE)
    drawn = []
    for ax, task in zip(axes.flat, tasks, strict=False):
        if task in there:
            drawn.append(boxes(ax, scores, task, letters[task], published, reported_only))
        else:
            empty(ax, task, letters[task])
    return fig, plotted(drawn)


@style.styled
def learning_curves(frame: pd.DataFrame, *, data: str = "real", size: Size = (style.ONE_COLUMN, 65)) -> Drawn:
    """Draw the losses of each DAMAE by epoch: representation, epoch, train_loss, validation_loss."""
    return _alone(representation.learning_curves, frame, data, size, "Pretraining of the drug tasks' DAMAEs")


@style.styled
def codes(frame: pd.DataFrame, *, data: str = "real", size: Size = (120, 80)) -> Drawn:
    """Draw the samples in two components (x, y) of a representation; the largest tissues (group) have colours."""
    return _alone(representation.codes, frame, data, size, "Samples in the first of the drug tasks' DAMAEs")


def _alone(panel: Callable[..., Axes], frame: pd.DataFrame, data: str, size: Size, title: str) -> Drawn:
    """Draw one panel on a page of its own; `data` is what it rests on where the frame does not say it."""
    fig, ax = style.figure(*size)
    panel(ax, frame, title=title)
    kind = data_of(frame, data)
    style.data_note(ax, kind)
    return fig, frame.assign(data=kind)


@style.styled
def two_laboratories(frame: pd.DataFrame, *, size: Size = (style.TWO_COLUMNS, 62)) -> Drawn:
    """Draw how the tissues of two laboratories rank genes alike: `leaplib.sources.pocket.agreement`."""
    wide = frame.pivot(index="tissue", columns="other", values="value")
    fig, ax = style.figure(*size)
    most = wide.abs().to_numpy().max()
    places = np.arange(wide.shape[1]), np.arange(len(wide))
    ax.pcolormesh(*places, wide, cmap="RdBu", vmin=-most, vmax=most)
    ax.invert_yaxis()
    for (row, column), value in np.ndenumerate(wide.to_numpy()):
        colour = "white" if abs(value) > 0.7 * most else style.INK
        ax.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=6, color=colour)
    style.slanted(ax, list(wide.columns))
    ax.set_yticks(range(len(wide)), wide.index)
    ax.set(xlabel="Project Score: share of vulnerable lines", ylabel="DepMap: minus\nmean effect")
    counted = f"n = {frame['n_genes'].iloc[0]} genes; {style.RHO} of deviations from the mean over tissues"
    low, high = frame["level"].min(), frame["level"].max()
    ax.set_title(
        f"Two laboratories, tissue by tissue\n{counted}\n(of the values themselves {low:.2f} to {high:.2f})", loc="left"
    )
    return fig, frame.assign(data=POCKET)


@style.styled
def ablation_bars(frame: pd.DataFrame, *, xlabel: str = rows.XLABEL, size: Size | None = None) -> Drawn:
    """Draw alternatives under each other, a panel a group: splits, mean and SD.

    Columns task, group (title of the panel), name, split, value, n_perturbations, data; in the order of drawing.
    """
    values = style.checked(frame, ["task", "group", "name", "split", "value", "n_perturbations", "data"])
    parts = [part for _, part in values.groupby("group", sort=False)] or [values]
    heights = [22 + rows.height(part["name"]) for part in parts]
    page = size or (120, min(sum(heights), style.MAX_HEIGHT))
    fig, axes = style.figure(*page, nrows=len(parts), height_ratios=heights, squeeze=False)
    letters = dict(zip(values["group"].unique(), LETTERS, strict=False))
    for ax, part in zip(axes.flat, parts, strict=True):
        group = part["group"].iloc[0] if len(part) else ""
        rows.spread(ax, part, title=f"{group}\n{counts(part)}; bars: means; lines: SD", xlabel=xlabel)
        letter_and_note(ax, letters[group] if len(parts) > 1 else "", data_of(part), offset=-9)
    return fig, plotted([values.assign(panel=values["group"].map(letters))])


@style.styled
def number_of_representations(
    frame: pd.DataFrame,
    *,
    title: str = "LEAP by the number of its representations",
    size: Size = (style.ONE_COLUMN, 65),
) -> Drawn:
    """Draw how LEAP's score grows with its representations: task, number, split, value, n_perturbations, data."""
    values = style.checked(frame, ["task", "number", "split", "value", "n_perturbations", "data"])
    fig, ax = style.figure(*size)
    about = f"{title} (task {', '.join(values['task'].unique())})" if len(values) else title
    xlabel = "Representations (DAMAEs) averaged"
    rows.by_number(ax, values, title=f"{about}\n{counts(values)}", xlabel=xlabel, ylabel=comparison.YLABEL)
    style.data_note(ax, data_of(values))
    return fig, plotted([values.assign(panel="A")])


@style.styled
def beyond_leap(frame: pd.DataFrame, *, reference: str = "LEAP", size: Size | None = None) -> Drawn:
    """Draw what candidates gain over a reference, a panel a task: the one with the most candidates left, others right.

    Columns `GAINS`, as `leaplib.results.tables.gains_table`.
    """
    values = style.checked(frame, GAINS)
    levels = values[values["candidate"] == reference].set_index("task")["mean"]
    values = values[values["candidate"] != reference]
    most = values["task"].value_counts(sort=False).reindex(values["task"].unique())
    first = str(most.idxmax()) if len(most) else ""
    tasks = [first, *(str(task) for task in most.index if task != first)]
    parts = {task: values[values["task"] == task] for task in tasks}
    heights = [19 + rows.height(part["candidate"], gap=2.2, width=rows.GAINS_WIDTH) for part in parts.values()]
    others = heights[1:] or heights
    page = size or (style.TWO_COLUMNS if tasks[1:] else 120, min(max(heights[0], sum(others)), style.MAX_HEIGHT))
    mosaic = [[first, task] for task in tasks[1:]] or [[first]]
    fig, axes = style.figure(*page, mosaic=mosaic, height_ratios=others)
    for (task, part), letter in zip(parts.items(), LETTERS, strict=False):
        rows.gains(axes[task], part, title=_gains_title(part, task, levels))
        letter_and_note(axes[task], letter if len(tasks) > 1 else "", data_of(part), offset=-9)
    return fig, plotted([part.assign(panel=letter) for part, letter in zip(parts.values(), LETTERS, strict=False)])


@style.styled
def general_sensitivity(frame: pd.DataFrame, *, task: str = "2a", size: Size | None = None) -> Drawn:
    """Draw what is left of scores without general sensitivity: within the screen and outside, a row a study.

    Columns as `leaplib.results.sensitivity.COLUMNS`; without any external study the screen's own pairs are drawn.
    """
    columns = ["task", "study", "where", "labels", "model", "mean", "n_perturbations", "n_splits", "data"]
    values = style.checked(frame, columns)
    values = values[values["task"] == task]
    studies = [study for study in values["study"].unique() if study] or [""]
    values = values[values["study"].isin(studies)]
    n_models = max(values["model"].nunique(), 1)
    page = size or (style.TWO_COLUMNS, min(len(studies) * (20 + 4.5 * n_models), style.MAX_HEIGHT))
    fig, axes = style.figure(*page, nrows=len(studies), ncols=2, sharey="row", sharex=True, squeeze=False)
    drawn = []
    for row, study in enumerate(studies):
        for column, where in enumerate(("within", "outside")):
            part = values[(values["study"] == study) & (values["where"] == where)]
            letter = LETTERS[2 * row + column]
            name = "this screen" if where == "within" else f"measured by {study}"
            title = ""
            if len(part):
                names, numbers = words(task), part[["n_splits", "n_perturbations"]].max().astype(int)
                numbered = style.counts(
                    numbers.iloc[0], names["split_name"], numbers.iloc[1], names["perturbation_name"]
                )
                title = f"Task {task}: {name}\n{numbered}"
            rows.labels(axes[row, column], part, title=title)
            letter_and_note(axes[row, column], letter, data_of(part))
            drawn.append(part.assign(panel=letter))
    return fig, plotted(drawn)


def _gains_title(part: pd.DataFrame, task: str, levels: pd.Series) -> str:
    """Return a panel's title: the task, LEAP's own score, and the numbers of splits and perturbations."""
    if part.empty:
        return ""
    names = words(task)
    design = TASKS[task].design if task in TASKS else ""
    splits = "sets of all PDX" if design == "xenograft" else names["split_name"]  # no subsets: those of one set overlap
    numbers = int(part["n_splits"].max()), splits, int(part["n_perturbations"].max()), names["perturbation_name"]
    level = f"; LEAP: {levels[task]:.3f}" if task in levels else ""
    return f"{names['title']}\n{style.counts(*numbers)}{level}"
