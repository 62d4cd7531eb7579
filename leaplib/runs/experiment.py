"""What a notebook calls: models, variants or candidates on tasks are run and scored; what is done is found."""

import warnings
from collections.abc import Sequence

import pandas as pd

from leaplib.cohorts.prepare import data_kind
from leaplib.models.table import USUAL, check_models
from leaplib.profiles import Profile, get_profile
from leaplib.runs.ablations import ablations_of, load_variants
from leaplib.runs.candidates import CANDIDATES, load_candidates, no_scores
from leaplib.runs.jobs import Unprepared, ablation_jobs, candidate_jobs, in_stages, task_jobs
from leaplib.runs.outcomes import Outcome
from leaplib.runs.pool import Backend, run_jobs
from leaplib.runs.recipes import Recipe
from leaplib.runs.saved import load_scores
from leaplib.tasks import Task, get_task


def run(profile: Profile | str, tasks: Sequence[Task | str] | None = None, models: Sequence[str] = USUAL,
        device: str = "auto", jobs: int | None = None, force: bool = False) -> pd.DataFrame:  # fmt: skip
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

    Returns
    -------
    DataFrame
        As `leaplib.runs.saved.load_scores`.
    """
    profile = get_profile(profile)
    chosen = [get_task(task) for task in tasks or profile.tasks]
    found = in_stages(job for task in chosen for job in task_jobs(profile, task, check_models(models), device))
    warn_of(run_jobs(found, Backend(jobs), force, f"task {', '.join(task.id for task in chosen)}"))
    return load_scores(profile, [task.id for task in chosen])


def run_task(profile: Profile | str, task: Task | str, models: Sequence[str] = USUAL, device: str = "auto",
             jobs: int | None = None, force: bool = False) -> pd.DataFrame:  # fmt: skip
    """Run models on one task, as `run`."""
    return run(profile, [task], models, device, jobs, force)


def run_ablations(profile: Profile | str, tasks: Sequence[str] | None = None, device: str = "auto",
                  jobs: int | None = None, force: bool = False) -> pd.DataFrame:  # fmt: skip
    """Run all ablations, those of some tasks or all, and return their scores, as `run_variants`."""
    profile = get_profile(profile)
    parts = [run_variants(profile, task, variants, device, force, jobs)
             for task, variants in ablations_of(profile) if not tasks or task.id in tasks]  # fmt: skip
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
        Such as `leaplib.runs.ablations.steps_of` gives.
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
    found = in_stages(ablation_jobs(profile, task, variants, device))
    warn_of(run_jobs(found, Backend(jobs), force, f"ablations of task {task.id}"))
    return load_variants(profile, task, variants)


def run_candidates(profile: Profile | str, task: Task | str, candidates: Sequence[str] = tuple(CANDIDATES),
                   n_splits: int | None = None, n_inner: int | None = 0, device: str = "auto", force: bool = False,
                   jobs: int | None = None) -> pd.DataFrame:  # fmt: skip
    """Run candidates of the way to LEAP+ on a task; what is done already is not computed again.

    Parameters
    ----------
    profile : Profile or str
    task : Task or str
    candidates : sequence of str
        Names of `leaplib.runs.candidates.CANDIDATES`.
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
        As `leaplib.runs.candidates.load_candidates`; an inner split is called "holdout-0, inner 0" .... What failed is
        missing (NaN).

    Raises
    ------
    InputError
        For an unknown candidate, and for inner splits of a task on xenografts.
    """
    profile, task = get_profile(profile), get_task(task)
    found = in_stages(candidate_jobs(profile, task, candidates, n_splits, n_inner, device))
    warn_of(run_jobs(found, Backend(jobs), force, f"candidates, task {task.id}"))
    if any(isinstance(job, Unprepared) for job in found):
        return no_scores(candidates, task.id, data_kind(profile, task.screen))
    return load_candidates(profile, task, candidates, n_splits, n_inner)


def warn_of(outcomes: Sequence[Outcome]) -> None:
    """Warn of what failed: how much, and the first few."""
    failed = [outcome.failure for outcome in outcomes if outcome.failure]
    if failed:
        first = "; ".join(failure.line() for failure in failed[:3])
        warnings.warn(f"{len(failed)} of {len(outcomes)} jobs failed: {first}{' ...' if len(failed) > 3 else ''}",
                      RuntimeWarning, stacklevel=3)  # fmt: skip
