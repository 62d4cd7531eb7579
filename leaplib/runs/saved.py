"""Saved scores of the models of the tables as one tidy frame: nothing is computed or prepared."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.base.layout import Layout
from leaplib.base.metrics import METRICS, OVERALL
from leaplib.base.store import key_of, load_frame, provenance
from leaplib.cohorts.prepare import data_kind, saved_about
from leaplib.models.table import CONTROLS, MODELS, USUAL, with_few_shot
from leaplib.profiles import PROFILES, Profile
from leaplib.runs import records
from leaplib.runs.recipes import ESTIMATORS, LEAP, code_of
from leaplib.runs.scoring import SCORE_COLUMNS, UNPREPARED
from leaplib.tasks import TASKS

COLUMNS = ["task", "model", "member", "split", *SCORE_COLUMNS, "data"]
MOST_MEMBERS = 100
About = dict[str, Any]
Part = tuple[pd.DataFrame, Mapping[str, Any]]


def load_scores(profile: Profile | str, tasks: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the saved scores of a profile.

    Parameters
    ----------
    profile : Profile or str
    tasks : sequence of str, optional
        By default all of the paper that have results.

    Returns
    -------
    DataFrame
        Columns task, model, member (number of the representation, -1 where it does not apply), split, level,
        perturbation, test_set, metric, value, data (see `leaplib.tasks.DATA`).

    Raises
    ------
    InputError
        When there is no result: it says which command makes one.
    """
    name = profile if isinstance(profile, str) else profile.name
    gaps = gaps_of(name, tasks)
    return named([(load_frame(path), about) for path, about in current_results(name, tasks, bool(gaps))], gaps)


def gaps_of(profile: str, tasks: Sequence[str] | None = None) -> list[Part]:
    """Return, for each model that failed on a split, scores that are missing (NaN), for tables and figures to show.

    Of a task whose data could not be prepared all models are missing, on a split named `UNPREPARED`.
    """
    levels = {"per_perturbation": METRICS, "overall": OVERALL}
    rows = [(level, "", 0, metric, np.nan) for level, metrics in levels.items() for metric in metrics]
    nothing = pd.DataFrame(rows, columns=SCORE_COLUMNS)
    found: list[Part] = []
    for failure in records.recorded(profile):
        if failure.perturbations or failure.task not in (tasks or TASKS):
            continue
        data = _saved(profile, failure.task, "data") or _data_of(profile, failure.task)
        where = {"task": {"id": failure.task}, "split": failure.split or UNPREPARED, "data": data}
        found += [(nothing, where | {"model": model, "member": member}) for model, member in _failed_models(failure)]
    return found


def _failed_models(failure: records.Failure) -> Iterator[tuple[str, int]]:
    """Yield the models, controls too, that have no scores for a failure, and their numbers."""
    if failure.job == records.preparing(failure.task):
        design = TASKS[failure.task.partition(" ")[0]].design
        for name in (*CONTROLS.values(), *(MODELS[key].name for key in USUAL if design in MODELS[key].designs)):
            yield from ((one, -1) for one in with_few_shot(name))
    elif failure.split and failure.model and failure.job.startswith("fit "):
        members = {part.label: part for part in LEAP.parts(MOST_MEMBERS)}
        part = members.get(failure.model)
        yield from [(part.name, part.number)] if part else ((name, -1) for name in with_few_shot(failure.model))


def _data_of(profile: str, task: str) -> str:
    """Return what a task's data would be, had they been prepared."""
    known = PROFILES.get(profile)
    return data_kind(known, TASKS[task.partition(" ")[0]].screen) if known else "simulated"


def current_results(profile: str, tasks: Sequence[str] | None = None, none_will_do: bool = False) -> list[tuple]:
    """Return the files of saved scores and what is recorded of each, without those of other data or code.

    What is current is told by the cohorts and representations that are saved, not by the times of files.

    Parameters
    ----------
    profile : str
    tasks : sequence of str, optional
        By default all of the paper that have results.
    none_will_do : bool
        Return an empty list, rather than raise, where there is no result.

    Raises
    ------
    InputError
        As `load_scores`.
    """
    folder = Layout(profile).results / "scores"
    files = sorted(path for task in (tasks or TASKS) for path in folder.glob(f"{task}/*/*.parquet"))
    if not files and not none_will_do:
        wanted = f"task {', '.join(tasks)}" if tasks else "any task"
        raise InputError(f"no results of {wanted} in {folder}: run `leap run --profile {profile}` first")
    pools, found = _saved_pools(profile), []
    cohorts: dict[str, str | None] = {}
    for path in files:
        recorded = provenance(path)
        if recorded is None:
            raise InputError(f"{path}: cannot be read: run `leap run` again, which makes it anew")
        about = recorded["configuration"]
        task = about["task"]["id"]
        known = about["cohort"] == cohorts.setdefault(task, _saved(profile, task, "hash"))
        models = about.get("models", [""])
        if known and set(models) <= set(ESTIMATORS) and about["code"] == code_of(*models):
            found += [(path, about)] if about["representations"] in pools else []
    if not found and not none_will_do:
        raise InputError(f"the results in {folder} are of other data, settings or code: run "
                         f"`leap run --profile {profile}` again")  # fmt: skip
    return found


def _saved(profile: str, task: str, what: str) -> str | None:
    """Return an entry of a task's cohort as it is saved, such as its hash."""
    return saved_about(profile, task).get(what)


def _saved_pools(profile: str) -> set[str | None]:
    """Return the keys of the representations that are saved; None for what rests on none."""
    files = (Layout(profile).results / "representations").glob("*/scaler.parquet")
    return {None, *(key_of(recorded["configuration"]) for path in files if (recorded := provenance(path)))}


def named(parts: Sequence[Part], gaps: Sequence[Part] = ()) -> pd.DataFrame:
    """Put scores together and say of which task, model and split each are; a gap counts where there are no scores.

    Parameters
    ----------
    parts, gaps : sequence of (scores, what is recorded of them)

    Returns
    -------
    DataFrame
        As `load_scores`.
    """
    known = {tuple(_about(about).values()) for _, about in parts}
    parts = [*parts, *(gap for gap in gaps if tuple(_about(gap[1]).values()) not in known)]
    return pd.concat([frame.assign(**_about(about)) for frame, about in parts], ignore_index=True)[COLUMNS]


def _about(about: Mapping[str, Any]) -> About:
    """Return task, model, number of the representation (-1 where it does not apply), split and kind of data."""
    return {"task": about["task"]["id"], **{name: about[name] for name in ("model", "member", "split", "data")}}
