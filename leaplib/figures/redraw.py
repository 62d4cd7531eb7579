"""Every figure from saved results alone, in seconds: nothing is trained and no cohort is prepared (notebook 07)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd
from IPython.display import Image, Markdown

from leaplib.base.errors import InputError
from leaplib.base.layout import Layout
from leaplib.cohorts import prepare as data
from leaplib.figures import figures
from leaplib.figures.pages import COLUMNS, Drawn, data_of
from leaplib.profiles import Profile, get_profile
from leaplib.representation import pretraining
from leaplib.results.load import Results
from leaplib.results.published import published_scores
from leaplib.results.scores import load_scores
from leaplib.results.tables import bars_frame, number_frame, steps_frame
from leaplib.runs import ablations
from leaplib.runs.ablations import ABLATION_TASKS, additions_of, corrections_of, steps_of
from leaplib.runs.recipes import Recipe as Variant
from leaplib.tasks import get_task

# One task of each screen, and the only branch of it that is shown (None: all).
FLOWS = {"1a": None, "2a": None, "5a": "PDX Encyclopedia"}
ABLATED = [get_task(task) for task in ABLATION_TASKS]
SCREEN_DPI = 150  # pixels an inch of the page, as notebooks show figures
DRUGS = get_task("2a")  # of pretraining, external validation and additional ablations


@dataclass(frozen=True)
class Saved:
    """Saved results of a profile, each read when it is first asked for, and what was drawn of them.

    Parameters
    ----------
    name : str
        Of the profile.
    """

    name: str
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def profile(self) -> Profile:
        """The profile."""
        return get_profile(self.name)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Scores of all tasks that have results; without rows where no task has."""
        there = any((Layout(self.name).results / "scores").rglob("*.parquet"))
        nothing = pd.DataFrame(columns=COLUMNS).astype({"member": int, "test_set": int, "value": float})
        return load_scores(self.name) if there else nothing

    def external(self) -> pd.DataFrame:
        """Return the scores against the external study."""
        results = Results(self.name, [DRUGS.id])
        if results.external.empty:
            raise InputError(results.why("external") or results.why("scores"))
        return results.external

    def flows(self) -> Drawn:
        """Draw the data preparation, one task a screen."""
        saved = {task: data.saved_flow(self.profile, get_task(task)) for task in FLOWS}
        shown = {task: flow if FLOWS[task] is None else flow[flow["branch"] == FLOWS[task]]
                 for task, (flow, _) in saved.items()}  # fmt: skip
        return figures.supplementary_figure_1(shown, data={task: kind for task, (_, kind) in saved.items()})

    def curves(self) -> Drawn:
        """Draw the learning curves of the drug tasks' DAMAEs."""
        frame = pretraining.learning_curves(self.profile, DRUGS)
        return figures.learning_curves(frame, data=_kind(self.profile))

    def codes(self) -> Drawn:
        """Draw the samples in the first of these representations."""
        embedding = pretraining.saved_embedding(self.profile, DRUGS)
        return figures.representation(pretraining.code_map(embedding), data=_kind(self.profile))

    def variants(self, *chosen: tuple[str, Sequence[Variant]]) -> pd.DataFrame:
        """Return the saved scores of variants, each with its task; an InputError where there are none of any task."""
        parts, errors = [], []
        for task, variants in chosen:
            try:
                parts.append(ablations.load_variants(self.profile, task, variants))
            except InputError as error:
                errors.append(error)
        if not parts:
            raise errors[0]
        return pd.concat(parts, ignore_index=True)

    def steps(self) -> Drawn:
        """Draw the steps of the ablation."""
        scores = self.variants(*((task.id, steps_of(self.profile, task)) for task in ABLATED))
        return figures.supplementary_figure_4(steps_frame(scores))

    def additions(self) -> Drawn:
        """Draw the comparisons that the paper lacks."""
        corrections = [(task.id, corrections_of(self.profile, task)) for task in ABLATED]
        scores = self.variants((DRUGS.id, additions_of(self.profile)), *corrections)
        return figures.ablation_bars(bars_frame(scores))

    def numbers(self) -> Drawn:
        """Draw LEAP by the number of its representations."""
        scores = self.variants((DRUGS.id, additions_of(self.profile)))
        return figures.number_of_representations(number_frame(scores))


def _kind(profile: Profile) -> str:
    """Return what the drug screen rests on."""
    return "real" if data.is_real(profile, DRUGS.screen) else "simulated"


@dataclass(frozen=True)
class Recipe:
    """How a figure is drawn from saved results, and the number of the notebook that makes these."""

    notebook: str
    draw: Callable[[Saved], Drawn]


FIGURES = {
    "figure_1": Recipe("00", lambda saved: figures.figure_1()),
    "figure_2": Recipe("03", lambda saved: figures.figure_2(
        saved.scores, published=published_scores(), reported_only=True)),
    "figure_3": Recipe("03,04,05", lambda saved: figures.figure_3(saved.scores, published_scores())),
    "supplementary_figure_1": Recipe("01", Saved.flows),
    "supplementary_figure_2": Recipe("03", lambda saved: figures.supplementary_figure_2(
        saved.scores, "1b", published_scores(), reported_only=True)),
    "supplementary_figure_3": Recipe("03", lambda saved: figures.supplementary_figure_3(
        saved.external(), published_scores())),
    "supplementary_figure_4": Recipe("06", Saved.steps),
    "supplementary_figure_5": Recipe("03", lambda saved: figures.supplementary_figure_5(
        saved.scores, published=published_scores())),
    "supplementary_figure_6": Recipe("04", lambda saved: figures.supplementary_figure_6(saved.scores)),
    "supplementary_figure_7": Recipe("04", lambda saved: figures.supplementary_figure_7(saved.scores)),
    "supplementary_figure_8": Recipe("05", lambda saved: figures.supplementary_figure_8(saved.scores)),
    "damae_learning_curves": Recipe("02", Saved.curves),
    "damae_codes": Recipe("02", Saved.codes),
    "ablations_additional": Recipe("06", Saved.additions),
    "ablations_number_of_damaes": Recipe("06", Saved.numbers),
}  # fmt: skip


def figure(name: str, saved: Saved) -> Image | Markdown:
    """Draw a figure from saved results and save it; where these are missing, return a line that says how to make them.

    What is shown is the file that was saved: nothing is drawn once more to be shown.

    Parameters
    ----------
    name : str
        Of `FIGURES`.
    saved : Saved
        Its `log` gets a line.

    Returns
    -------
    Image or Markdown
        What a notebook shows. For a figure to change, see `leaplib.figures.figures`.
    """
    if name not in FIGURES:
        raise InputError(f"figure {name!r} is unknown: use one of {', '.join(FIGURES)}")
    started = time.perf_counter()
    try:
        fig, drawn = FIGURES[name].draw(saved)
    except InputError as error:
        return _left_out(name, saved, f"{error}. ")
    ours = drawn[drawn["source"] == "this run"] if "source" in drawn else drawn
    if ours.empty:
        return _left_out(name, saved, "")
    paths = figures.save(fig, drawn, saved.name, name)
    saved.log.append({"figure": name, "seconds": time.perf_counter() - started, "file": str(paths[0]),
                      "tasks": ", ".join(dict.fromkeys(ours["task"])) if "task" in ours else "",
                      "data": data_of(ours, "")})  # fmt: skip
    (picture,) = (path for path in paths if path.suffix == ".png")
    return Image(filename=str(picture), width=round(fig.get_figwidth() * SCREEN_DPI), alt=name)


def _left_out(name: str, saved: Saved, why: str) -> Markdown:
    command = f"leap run --profile {saved.name} --notebooks {FIGURES[name].notebook}"
    saved.log.append({"figure": name, "seconds": 0.0, "file": f"left out: {command}", "tasks": "", "data": ""})
    return Markdown(f"*Left out: its results are missing.* {why}`{command}` makes them.")


def summary(saved: Saved) -> pd.DataFrame:
    """Return what was drawn: figure, tasks, data, seconds, file (or the command that makes what is missing)."""
    return pd.DataFrame(saved.log, columns=["figure", "tasks", "data", "seconds", "file"])
