"""What a notebook calls: run models, or variants, on a task and return their scores; what is done is found again."""

import warnings
from collections.abc import Sequence

import pandas as pd

from leaplib.ablation.ablations import load_variants
from leaplib.ablation.variants import Variant
from leaplib.models import MODELS, check_models
from leaplib.profiles import Profile, get_profile
from leaplib.running.jobs import ablation_jobs, in_stages, task_jobs
from leaplib.running.scheduling import Backend, Outcome, run_jobs
from leaplib.scores import load_scores
from leaplib.tasks import Task, get_task


def run_task(profile: Profile | str, task: Task | str, models: Sequence[str] = tuple(MODELS), device: str = "auto",
             jobs: int | None = None, force: bool = False) -> pd.DataFrame:  # fmt: skip
    """Run models on a task and return their scores; what is done already is not computed again.

    What fails is recorded and warned of, and the rest goes on; its scores are missing (NaN).

    Parameters
    ----------
    profile : Profile or str
    task : Task or str
    models : sequence of str
        Keys of `leaplib.models.MODELS`. The controls always run, and models only on the designs that they are for.
    device : {"auto", "cpu", "cuda"}
    jobs : int, optional
        Processes, each with one thread; by default as many as there are cores. Results do not depend on it.
    force : bool
        Compute again what is done.

    Returns
    -------
    DataFrame
        As `leaplib.scores.load_scores`.
    """
    profile = get_profile(profile) if isinstance(profile, str) else profile
    task = get_task(task) if isinstance(task, str) else task
    found = in_stages(task_jobs(profile, task, check_models(models), device))
    warn_of(run_jobs(found, Backend(jobs), force, f"task {task.id}"))
    return load_scores(profile, [task.id])


def run_variants(profile: Profile | str, task: Task | str, variants: Sequence[Variant], device: str = "auto",
                 force: bool = False, jobs: int | None = None) -> pd.DataFrame:  # fmt: skip
    """Run variants of the ablations on a task and return their scores; what is done already is not computed again.

    Parameters
    ----------
    profile : Profile or str
        Its `n_ablation_splits` says on how many holdouts; unseen tissues are all run.
    task : Task or str
        With cell lines as the test set (1a to 4b).
    variants : sequence of Variant
    device : {"auto", "cpu", "cuda"}
    force : bool
        Compute again what is done.
    jobs : int, optional
        As in `run_task`.

    Returns
    -------
    DataFrame
        As `leaplib.scores.load_scores`, and the columns group, variant (name) and note; variants in their order.
        `note` is "" but for a variant that cannot be run with the sources at hand, or failed: it has one row, without
        a value, whose note says why.

    Raises
    ------
    InputError
        For a task on xenografts, or two variants of one name in a group.
    """
    profile = get_profile(profile) if isinstance(profile, str) else profile
    task = get_task(task) if isinstance(task, str) else task
    found = in_stages(ablation_jobs(profile, task, variants, device))
    warn_of(run_jobs(found, Backend(jobs), force, f"ablations of task {task.id}"))
    return load_variants(profile, task, variants)


def warn_of(outcomes: Sequence[Outcome]) -> None:
    """Warn of what failed: how much, and the first few."""
    failed = [outcome.failure for outcome in outcomes if outcome.failure]
    if failed:
        first = "; ".join(failure.line() for failure in failed[:3])
        warnings.warn(f"{len(failed)} of {len(outcomes)} jobs failed: {first}{' ...' if len(failed) > 3 else ''}",
                      RuntimeWarning, stacklevel=3)  # fmt: skip
