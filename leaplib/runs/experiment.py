"""What a notebook calls: models, variants or candidates on tasks are run, and their saved scores loaded.

What is done is found. Loading computes and prepares nothing: what is current is told by the cohorts and
representations that are saved, not by the times of files.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.base.layout import Layout
from leaplib.base.metrics import METRICS, OVERALL
from leaplib.base.store import key_of, load_frame, provenance
from leaplib.cohorts.prepare import data_kind, own_splits, prepared, saved_about
from leaplib.cohorts.splits import INNER
from leaplib.models.table import CONTROLS, MODELS, USUAL, check_models, with_few_shot
from leaplib.profiles import PROFILES, Profile, get_profile
from leaplib.runs import recipes, records
from leaplib.runs.engine import NORMALISED, SCORE_COLUMNS, UNPREPARED, run_of
from leaplib.runs.jobs import Job, ablation_jobs, candidate_jobs, curve_jobs, in_stages, task_jobs
from leaplib.runs.pool import Backend, run_jobs
from leaplib.runs.recipes import ESTIMATORS, LEAP, Recipe
from leaplib.tasks import TASKS, Task, get_task

COLUMNS = ["task", "model", "member", "split", *SCORE_COLUMNS, "data"]
ABLATION_COLUMNS = ["task", "group", "variant", "model", "member", "split", *SCORE_COLUMNS, "data", "note"]
CANDIDATE_COLUMNS = ["task", "candidate", "split", "perturbation", "metric", "value", "seconds", "data"]
CURVE_COLUMNS = ["task", "model", "share", "n_train", "split", "metric", "value", "data"]
NOT_YET, FAILED = "not run yet", "failed"
REPORTED = ("spearman", "pearson", "auroc")
"""Metrics of candidates."""
MOST_MEMBERS = 100
NOTHING = pd.DataFrame([("per_perturbation", "", 0, "spearman", np.nan)], columns=SCORE_COLUMNS)
Part = tuple[pd.DataFrame, Mapping[str, Any]]


def run(profile: Profile | str, tasks: Sequence[Task | str] | None = None, models: Sequence[str] = USUAL,
        device: str = "auto", jobs: int | None = None, force: bool = False,
        splits: str | Path | None = None) -> pd.DataFrame:  # fmt: skip
    """Run models on tasks and return their scores; what is done already is not computed again.

    What fails is recorded and warned of, and the rest goes on; its scores are missing (NaN).

    Parameters
    ----------
    profile : Profile or str
    tasks : sequence of Task or str, optional
        By default those of the profile.
    models : sequence of str
        Keys of `leaplib.models.table.MODELS`, by default the usual ones. The means always run, and models only on
        the designs that they are for.
    device : {"auto", "cpu", "cuda"}
    jobs : int, optional
        Processes, each with one thread; by default as many as there are cores. Results do not depend on it.
    force : bool
        Compute again what is done.
    splits : str or Path, optional
        A file of one's own splits of a task (`leaplib.cohorts.splits.read_splits`); the task is the only one then.

    Returns
    -------
    DataFrame
        As `load_scores`.
    """
    profile = get_profile(profile)
    chosen = [get_task(task) for task in tasks or profile.tasks]
    if splits and len(chosen) != 1:
        raise InputError(f"{splits}: splits are of one task: name it, and no other")
    found = [job for task in chosen for job in task_jobs(profile, task, check_models(models), device, splits)]
    _do(found, jobs, force, f"task {', '.join(task.id for task in chosen)}")
    if splits:
        return load_own(profile, chosen[0], models, splits)
    return load_scores(profile, [task.id for task in chosen])


def run_ablations(profile: Profile | str, tasks: Sequence[str] | None = None, device: str = "auto",
                  jobs: int | None = None, force: bool = False) -> pd.DataFrame:  # fmt: skip
    """Run all ablations, those of some tasks or all, and return their scores, as `run_variants`."""
    profile = get_profile(profile)
    parts = [run_variants(profile, task, variants, device, force, jobs)
             for task, variants in recipes.ablations_of(profile) if not tasks or task.id in tasks]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def run_variants(profile: Profile | str, task: Task | str, variants: Sequence[Recipe], device: str = "auto",
                 force: bool = False, jobs: int | None = None) -> pd.DataFrame:  # fmt: skip
    """Run variants of the ablations on a task and return their scores; what is done already is not computed again.

    Parameters
    ----------
    profile : Profile or str
        Its `n_ablation_splits` says on how many holdouts; unseen tissues are all run.
    task : Task or str
        With cell lines as the test set (1a to 4b).
    variants : sequence of Recipe
        Such as `leaplib.runs.recipes.steps_of` gives.
    device, force, jobs
        As in `run`.

    Returns
    -------
    DataFrame
        As `load_scores`, and the columns group, variant (name) and note; variants in their order.
        `note` is "" but for a variant that cannot be run with the sources at hand, or failed: it has one row, without
        a value, whose note says why.

    Raises
    ------
    InputError
        For a task on xenografts, or two variants of one name in a group.
    """
    profile, task = get_profile(profile), get_task(task)
    _do(ablation_jobs(profile, task, variants, device), jobs, force, f"ablations of task {task.id}")
    return load_variants(profile, task, variants)


def run_candidates(profile: Profile | str, task: Task | str, candidates: Sequence[str] | None = None,
                   n_splits: int | None = None, n_inner: int | None = 0, device: str = "auto", force: bool = False,
                   jobs: int | None = None) -> pd.DataFrame:  # fmt: skip
    """Run candidates of the way to LEAP+ on a task; what is done already is not computed again.

    Parameters
    ----------
    profile : Profile or str
    task : Task or str
    candidates : sequence of str, optional
        Names of `leaplib.runs.recipes.CANDIDATES`, by default all that the profile tries.
    n_splits : int, optional
        Only the first so many splits; by default all.
    n_inner : int or None
        0: candidates are fitted on the training set of each split and scored on its test set. Else they stay within
        the training set (nested cross-validation): so many of its tuning folds (None: all) are held out in turn, and
        candidates are tuned and fitted on the others. Representations are those of the task's pool, as LEAP's are: no
        response reaches them.
    device, force, jobs
        As in `run`.

    Returns
    -------
    DataFrame
        As `load_candidates`; an inner split is called "holdout-0, inner 0" .... What failed is missing (NaN).

    Raises
    ------
    InputError
        For an unknown candidate, and for inner splits of a task on xenografts.
    """
    profile, task = get_profile(profile), get_task(task)
    candidates = candidates or recipes.candidates_of(profile)
    found = candidate_jobs(profile, task, candidates, n_splits, n_inner, device)
    _do(found, jobs, force, f"candidates, task {task.id}")
    if any(job.failure for job in found):
        rows = [(task.id, name, UNPREPARED, "", metric, np.nan, np.nan, data_kind(profile, task.screen))
                for name in candidates for metric in REPORTED]  # fmt: skip
        return pd.DataFrame(rows, columns=CANDIDATE_COLUMNS)
    return load_candidates(profile, task, candidates, n_splits, n_inner)


def run_curves(profile: Profile | str, task: Task | str, device: str = "auto", jobs: int | None = None,
               force: bool = False) -> pd.DataFrame:  # fmt: skip
    """Run models on shares of a task's training lines, as the profile says, and return their scores: `load_curves`."""
    profile, task = get_profile(profile), get_task(task)
    _do(curve_jobs(profile, task, device), jobs, force, f"learning curves, task {task.id}")
    return load_curves(profile, task)


def load_curves(profile: Profile, task: Task) -> pd.DataFrame:
    """Return the saved scores of models on shares of a task's training lines, computing nothing.

    Returns
    -------
    DataFrame
        task, model, share, n_train (samples), split, metric, value (mean over perturbations, then test sets), data.
    """
    run, frames = run_of(profile, task), []
    for split, share in run.curve_splits():
        for name in (MODELS[key].name for key in profile.curve_models):
            rows = run.saved(split, recipes.RECIPES[name])
            if rows is not None:
                rows = rows[(rows["level"] == "per_perturbation") & (rows["perturbation"] == "")]
                about: dict[str, Any] = {"task": task.id, "model": name, "share": share, "data": run.cohort.data,
                         "n_train": len(split.train), "split": split.name.partition(INNER)[0]}  # fmt: skip
                frames.append(rows.groupby("metric", sort=False)["value"].mean().reset_index().assign(**about))
    if not frames:
        raise InputError(f"no learning curves of task {task.id}: run `leap run --profile {profile.name} "
                         "--notebooks 10` first")  # fmt: skip
    return pd.concat(frames, ignore_index=True)[CURVE_COLUMNS]


def _do(found: Sequence[Job], n_jobs: int | None, force: bool, label: str) -> None:
    """Do jobs and warn of what failed: how much, and the first few."""
    outcomes = run_jobs(in_stages(found), Backend(n_jobs), force, label)
    failed = [outcome.failure for outcome in outcomes if outcome.failure]
    if failed:
        first = "; ".join(failure.line() for failure in failed[:3])
        warnings.warn(f"{len(failed)} of {len(outcomes)} jobs failed: {first}{' ...' if len(failed) > 3 else ''}",
                      RuntimeWarning, stacklevel=3)  # fmt: skip


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


def load_own(profile: Profile | str, task: Task | str, models: Sequence[str], splits: str | Path) -> pd.DataFrame:
    """Return the saved scores of models on the splits of a user's file, as `load_scores`."""
    profile, task = get_profile(profile), get_task(task)
    run, frames = run_of(profile, task), []
    for split in own_splits(profile, task, splits):
        wanted = recipes.recipes_of(models, task.design, False)
        for recipe in [output for one in wanted for output in run.outputs(one)]:
            rows, member = run.saved(split, recipe), recipe.number if recipe.is_member else -1
            if rows is not None:
                about: dict[str, Any] = {"task": task.id, "model": recipe.shown, "member": member,
                                         "split": split.name, "data": run.cohort.data}  # fmt: skip
                frames.append(rows.assign(**about)[COLUMNS])
    if not frames:
        raise InputError(f"{splits}: no model has scores on these splits: run `leap run --splits` first")
    return pd.concat(frames, ignore_index=True)


def gaps_of(profile: str, tasks: Sequence[str] | None = None) -> list[Part]:
    """Return, for each model that failed on a split, scores that are missing (NaN), for tables and figures to show.

    Of a task whose data could not be prepared all models are missing, on a split named `UNPREPARED`.
    """
    levels = {"per_perturbation": METRICS, "overall": OVERALL, NORMALISED: OVERALL[:2]}
    rows = [(level, "", 0, metric, np.nan) for level, metrics in levels.items() for metric in metrics]
    nothing = pd.DataFrame(rows, columns=SCORE_COLUMNS)
    found: list[Part] = []
    for failure in records.recorded(profile):
        if failure.perturbations or failure.task not in (tasks or TASKS):
            continue
        known, task = PROFILES.get(profile), TASKS[failure.task.partition(" ")[0]]
        data = saved_about(profile, failure.task).get("data")
        data = data or (data_kind(known, task.screen) if known else "simulated")
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
    cohorts = {task: saved_about(profile, task).get("hash") for task in (tasks or TASKS)}
    for path in files:
        recorded = provenance(path)
        if recorded is None:
            raise InputError(f"{path}: cannot be read: run `leap run` again, which makes it anew")
        about = recorded["configuration"]
        known = about["cohort"] == cohorts.get(about["task"]["id"])
        models = about.get("models", [""])
        if known and set(models) <= set(ESTIMATORS) and about["code"] == recipes.code_of(*models):
            found += [(path, about)] if about["representations"] in pools else []
    if not found and not none_will_do:
        raise InputError(f"the results in {folder} are of other data, settings or code: run "
                         f"`leap run --profile {profile}` again")  # fmt: skip
    return found


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


def _about(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return task, model, number of the representation (-1 where it does not apply), split and kind of data."""
    return {"task": about["task"]["id"], **{name: about[name] for name in ("model", "member", "split", "data")}}


def load_variants(profile: Profile | str, task: Task | str, variants: Sequence[Recipe]) -> pd.DataFrame:
    """Return the saved scores of variants on a task, computing nothing.

    Returns
    -------
    DataFrame
        As `run_variants`. A variant without scores of the current data, settings and version has a
        note instead, and one with scores on a part of the splits has these.

    Raises
    ------
    InputError
        As there, and when no variant has scores: it says which command makes them.
    """
    profile, task = get_profile(profile), get_task(task)
    recipes.check_names(variants)
    prepared(profile, task)  # before files are told by their times: they may be of other data
    run = run_of(profile, task)
    notes, frames = run.left_out(variants), []
    for variant in variants:
        several = (variant.n_representations or profile.n_representations) > 1
        about: dict[str, Any] = {"task": task.id, "group": variant.group, "variant": variant.name, "member": -1,
                 "model": "LEAP" if several else variant.model, "data": run.cohort.data}  # fmt: skip
        resolved, splits = recipes.resolve(variant, run.roles), [] if variant in notes else run.ablation_splits
        saved = {split.name: run.saved(split, resolved) for split in splits}
        found = [frame.assign(**about, split=name, note="") for name, frame in saved.items() if frame is not None]
        if not found:
            note = notes.get(variant) or (FAILED if _has_failed(profile.name, task.id, variant) else NOT_YET)
            found = [NOTHING.assign(**about, split="", note=note)]
        frames += [frame[ABLATION_COLUMNS] for frame in found]
    table = pd.concat(frames, ignore_index=True)
    if not (table["split"] != "").any():
        there = any(run.path("scores", split, variants[0]).parent.is_dir() for split in run.ablation_splits)
        reason = "are of other data, settings or version" if there else "were not run"
        raise InputError(f"the ablations of task {task.id} {reason}: run `leap run --profile {profile.name} "
                         "--notebooks 06`")  # fmt: skip
    return table


def _has_failed(profile: str, task: str, variant: Recipe) -> bool:
    """Tell whether a failure of a variant is on record."""
    named = f" {variant.group} {variant.name}"
    return any(failure.task == task and failure.job.endswith(named) for failure in records.recorded(profile))


def load_candidates(profile: Profile, task: Task, names: Sequence[str], n_splits: int | None = None,
                    n_inner: int | None = 0) -> pd.DataFrame:  # fmt: skip
    """Return the saved scores of candidates, computing nothing; where there are none, they are missing (NaN).

    Returns
    -------
    DataFrame
        task, candidate, split, perturbation, metric, value, seconds (of the CPU, without what the models of the tables
        took, and without what makes the features), data.
    """
    run, frames = run_of(profile, task), []
    gaps = [(name, -1, metric) for name in run.cohort.response for metric in REPORTED]
    nothing = pd.DataFrame(gaps, columns=["perturbation", "test_set", "metric"]).assign(value=np.nan, seconds=np.nan)
    for split in run.some_splits(n_splits, n_inner):
        for candidate in recipes.checked_candidates(names):
            rows = run.saved(split, candidate)
            rows = nothing if rows is None else rows
            rows = rows[(rows["perturbation"] != "") & (rows["test_set"] == -1) & rows["metric"].isin(REPORTED)]
            frames.append(rows.assign(task=task.id, candidate=candidate.name, split=split.name, data=run.cohort.data))
    return pd.concat(frames, ignore_index=True)[CANDIDATE_COLUMNS]
