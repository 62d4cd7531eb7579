"""Scores as they are saved: loaded and brought to one value a split or a perturbation."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.base.layout import Layout
from leaplib.base.metrics import METRICS
from leaplib.base.store import key_of, load_frame, provenance
from leaplib.cohorts.prepare import is_real
from leaplib.cohorts.splits import XENOGRAFTS
from leaplib.models.table import CONTROLS, MODELS, code_of, with_few_shot
from leaplib.profiles import PROFILES, Profile
from leaplib.runs import failures
from leaplib.runs.scoring import SCORE_COLUMNS, UNPREPARED
from leaplib.tasks import TASKS

COLUMNS = ["task", "model", "member", "split", *SCORE_COLUMNS, "data"]
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
        perturbation, test_set, metric, value, data (real or simulated).

    Raises
    ------
    InputError
        When there is no result: it says which command makes one.
    """
    name = profile if isinstance(profile, str) else profile.name
    gaps, parts = gaps_of(name, tasks), []
    for configuration in current_results(name, tasks, bool(gaps)):
        path = Layout(name).scores(configuration["task"]["id"], configuration["split"], configuration["model"])
        parts.append((load_frame(path), configuration))
    return named(parts, gaps)


def gaps_of(profile: str, tasks: Sequence[str] | None = None) -> list[Part]:
    """Return, for each model that failed on a split, scores that are missing (NaN), for tables and figures to show.

    Of a task whose data could not be prepared all models are missing, on a split named `UNPREPARED`.
    """
    rows = [(level, "", 0, metric, np.nan) for level in ("per_perturbation", "overall") for metric in METRICS]
    nothing = pd.DataFrame(rows, columns=SCORE_COLUMNS)
    found: list[Part] = []
    for failure in failures.recorded(profile):
        if failure.perturbations or failure.task not in (tasks or TASKS):
            continue
        data = _saved(profile, failure.task, "data") or _data_of(profile, failure.task)
        where = {"task": {"id": failure.task}, "split": failure.split or UNPREPARED, "data": data}
        found += [(nothing, where | {"model": model}) for model in _failed_models(failure)]
    return found


def _failed_models(failure: failures.Failure) -> list[str]:
    """Return the models, controls too, that have no scores for a failure."""
    if failure.job == failures.preparing(failure.task):
        design = TASKS[failure.task.partition(" ")[0]].design
        return [*CONTROLS.values(), *(name for model in MODELS.values() if design in model.designs
                                      for name in with_few_shot(model.name))]  # fmt: skip
    known = failure.split and failure.model and failure.job.startswith("fit ")
    return with_few_shot(failure.model) if known else []


def _data_of(profile: str, task: str) -> str:
    """Return what a task's data would be, had they been prepared."""
    known = PROFILES.get(profile)
    return "real" if known and is_real(known, TASKS[task.partition(" ")[0]].screen) else "simulated"


def current_results(profile: str, tasks: Sequence[str] | None = None, none_will_do: bool = False) -> list[dict]:
    """Return the configurations of saved results, without those of an earlier cohort, representation or code.

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
        configuration = recorded["configuration"]
        task = configuration["task"]["id"]
        cohort = cohorts.setdefault(task, _saved(profile, task, "hash"))
        current = configuration["cohort"] == cohort and configuration["code"] == code_of(configuration["model"])
        if current and configuration["representations"] in pools:
            found.append(configuration)
    if not found and not none_will_do:
        raise InputError(f"the results in {folder} are of other data, settings or code: run "
                         f"`leap run --profile {profile}` again")  # fmt: skip
    return found


def _saved(profile: str, task: str, what: str) -> str | None:
    """Return an entry of a task's cohort as it is saved, such as its hash."""
    try:
        return json.loads((Layout(profile).cohort(task) / "cohort.json").read_text(encoding="utf-8"))[what]
    except (OSError, ValueError, KeyError):
        return None


def _saved_pools(profile: str) -> set[str | None]:
    """Return the keys of the representations that are saved; None for what rests on none."""
    keys: set[str | None] = {None}
    for path in (Layout(profile).results / "representations").glob("*/scaler.parquet"):
        if recorded := provenance(path):
            keys.add(key_of(recorded["configuration"]))
    return keys


def named(parts: Sequence[Part], gaps: Sequence[Part] = ()) -> pd.DataFrame:
    """Put scores together and say of which task, model and split each are; a gap counts where there are no scores.

    Parameters
    ----------
    parts, gaps : sequence of (scores, configuration)

    Returns
    -------
    DataFrame
        As `load_scores`.
    """
    known = {tuple(_about(configuration).values()) for _, configuration in parts}
    parts = [*parts, *(gap for gap in gaps if tuple(_about(gap[1]).values()) not in known)]
    of_part = np.repeat(np.arange(len(parts)), [len(frame) for frame, _ in parts])
    about = pd.DataFrame([_about(configuration) | {"data": configuration["data"]} for _, configuration in parts])
    scores = pd.concat([frame for frame, _ in parts], ignore_index=True)
    return pd.concat([scores, about.iloc[of_part].reset_index(drop=True)], axis=1)[COLUMNS]


def _about(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return task, model, number of the representation (-1 where it does not apply) and split."""
    model, number = configuration["model"], -1
    if member := re.fullmatch(r"(.+) r(\d+)", model):
        model, number = member[1], int(member[2])
    return {"task": configuration["task"]["id"], "model": model, "member": number, "split": configuration["split"]}


def split_values(scores: pd.DataFrame, level: str | None = None, metric: str | None = None) -> pd.DataFrame:
    """Return one value a split: the mean over its test sets of the mean over perturbations.

    On xenografts there is one split, and each of its test sets counts as one: "subset 0" ....

    Parameters
    ----------
    scores : DataFrame
        As `load_scores`.
    level, metric : str, optional
        Only these; all by default.

    Returns
    -------
    DataFrame
        task, model, member, level, metric, split, data, value.
    """
    rows = scores[scores["perturbation"] == ""]
    rows = rows if level is None else rows[rows["level"] == level]
    rows = rows if metric is None else rows[rows["metric"] == metric]
    subsets = "subset " + rows["test_set"].astype(str)
    rows = rows.assign(split=rows["split"].where(rows["split"] != XENOGRAFTS, subsets))
    keys = ["task", "model", "member", "level", "metric", "split", "data"]
    return rows.groupby(keys, sort=False)["value"].mean().reset_index()


def variant_values(scores: pd.DataFrame) -> pd.DataFrame:
    """Return one value a variant and split, as `split_values`: task, group, name, model, level, ..., split, value."""
    rows = scores[(scores["perturbation"] == "") & (scores["note"] == "")].rename(columns={"variant": "name"})
    keys = ["task", "group", "name", "model", "level", "metric", "data", "split"]
    return rows.groupby(keys, sort=False)["value"].mean().reset_index()


def perturbation_values(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return one value a perturbation: the mean over splits, all test samples of each.

    Returns
    -------
    DataFrame
        task, model, member, perturbation, data, value.
    """
    rows = scores[(scores["perturbation"] != "") & (scores["test_set"] == -1) & (scores["metric"] == metric)]
    keys = ["task", "model", "member", "perturbation", "data"]
    return rows.groupby(keys, sort=False)["value"].mean().reset_index()


def models_only(values: pd.DataFrame) -> pd.DataFrame:
    """Leave out the members of LEAP but the first, which stands for PS-LASSO."""
    return values[values["member"] <= 0]
