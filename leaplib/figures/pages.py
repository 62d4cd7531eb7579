"""What the pages of figures share: words for a task, the panels on them, letters and notes, and what is drawn."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaplib.figures import comparison, style
from leaplib.results.scores import models_only, perturbation_values, split_values
from leaplib.tasks import TASKS

Size = tuple[float, float]
Drawn = tuple[Figure, pd.DataFrame]

EXTERNAL = " external"  # behind a task: its models on the studies held out for external validation
SPLIT_NAMES = {"holdout": "splits", "tissue": "unseen tissues", "xenograft": "subsets of PDX"}
DRUG_SCREENS = ("drugs", "xenografts")
KEYS = ["task", "model", "member", "split", "data"]
COLUMNS = [*KEYS, "level", "metric", "perturbation", "test_set", "value"]
LETTERS = "ABCDEFGHIJKLMN"
OVERALL = f"{comparison.RHO} overall\n(all pairs at once)"


def words(task: str) -> dict[str, str]:
    """Return how to call a task, its splits and its perturbations."""
    known = TASKS.get(task.removesuffix(EXTERNAL))
    if known is None:
        return {"title": f"Task {task}", "split_name": "splits", "perturbation_name": "perturbations"}
    about = "external validation" if task.endswith(EXTERNAL) else f"{known.title[0].lower()}{known.title[1:]}"
    return {"title": f"Task {known.id}: {about}",
            "split_name": SPLIT_NAMES.get(known.design, "splits"),
            "perturbation_name": "drugs" if known.screen in DRUG_SCREENS else "genes"}  # fmt: skip


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


def published_marks(published: pd.DataFrame | None, task: str, models: Sequence[str], reported_only: bool = False,
                    level: str = "per_perturbation") -> pd.DataFrame:  # fmt: skip
    """Return the published Spearman correlations of a task."""
    columns = ["task", "model", "level", "metric", "mean", "sd"]
    frame = style.checked(pd.DataFrame() if published is None else published, columns)
    rows = frame[(frame["task"] == task) & (frame["metric"] == "spearman") & (frame["level"] == level)]
    return rows if reported_only else rows[rows["model"].isin(models)]


def boxes(ax: Axes, scores: pd.DataFrame, task: str, letter: str, published: pd.DataFrame | None = None,
          reported_only: bool = False, level: str = "per_perturbation") -> pd.DataFrame:  # fmt: skip
    """Draw one task's box plots with letter, title and note; return what is drawn."""
    part = scores[scores["task"] == task]
    values = models_only(split_values(part, level, "spearman"))
    if data_of(part) != "real":
        published = None  # there is nothing to compare simulated data with
    marks = published_marks(published, task, list(values["model"]), reported_only, level)
    ylabel = OVERALL if level == "overall" else comparison.YLABEL
    comparison.model_boxes(ax, values, marks, n_perturbations=n_perturbations(part), ylabel=ylabel, **words(task))
    letter_and_note(ax, letter, data_of(part))
    ours = values[["task", "data", "model", "split", "value"]].assign(source="this run")
    return pd.concat([ours, as_drawn(marks)], ignore_index=True).assign(panel=letter)


def as_drawn(marks: pd.DataFrame) -> pd.DataFrame:
    """Return published values as they stand in the frame of what is drawn."""
    frame = marks.drop(columns=["level", "metric"]).rename(columns={"mean": "value"})
    return frame.assign(source="published")


def scatter(ax: Axes, part: pd.DataFrame, task: str, rival: str) -> pd.DataFrame:
    """Draw LEAP against a rival, one point a perturbation; return what is drawn."""
    kind, part = data_of(part), _of_both(part, rival)
    values = models_only(perturbation_values(part, "spearman"))
    values = values[values["model"].isin(["LEAP", rival])]
    wide = values.pivot_table(index="perturbation", columns="model", values="value", sort=False)
    wide = wide.reindex(columns=[rival, "LEAP"]).dropna().reset_index()
    names = words(task)
    n_splits = split_values(part, "per_perturbation", "spearman")["split"].nunique()
    splits = comparison.counted(n_splits, names["split_name"])
    against = rival.lower() if rival == style.REPRODUCIBILITY else rival
    title = f"Task {task.removesuffix(EXTERNAL)}: LEAP against {against}"
    comparison.perturbation_scatter(ax, wide, rival, "LEAP", title=title, mean_over=splits,
                                    perturbation_name=names["perturbation_name"])  # fmt: skip
    letter_and_note(ax, "B", kind)
    drawn = values[values["perturbation"].isin(wide["perturbation"])].drop(columns="member")
    return drawn.assign(source="this run", panel="B")


def _of_both(part: pd.DataFrame, rival: str) -> pd.DataFrame:
    """Return the scores on splits on which both LEAP and a rival have some, so that means are over the same."""
    known = part[part["model"].isin(["LEAP", rival]) & (part["perturbation"] != "") & part["value"].notna()]
    models = known.groupby("split")["model"].nunique()
    return part[part["split"].isin(models.index[models == 2])]


def n_perturbations(part: pd.DataFrame) -> int | None:
    """Return how many perturbations have a score."""
    return perturbation_values(part, "spearman").dropna(subset=["value"])["perturbation"].nunique() or None


def counts(values: pd.DataFrame) -> str:
    """Return "n = 10 splits, 649 drugs" of one task's values, with their columns task, split and n_perturbations."""
    known = values.dropna(subset=["value"])
    names = words(str(known["task"].iloc[0]) if len(known) else "")
    number = int(known["n_perturbations"].max()) if known["n_perturbations"].notna().any() else None
    return comparison.counts(known["split"].nunique(), names["split_name"], number, names["perturbation_name"])


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
