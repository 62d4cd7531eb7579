"""What each notebook shows, as one list of jobs."""

from collections.abc import Sequence

from leaplib.models.table import MODELS
from leaplib.profiles import Profile
from leaplib.runs.ablation_jobs import ablation_jobs
from leaplib.runs.candidate_jobs import candidate_jobs
from leaplib.runs.candidates import CANDIDATES, N_CHOSEN_ON, N_INNER
from leaplib.runs.candidates import COMPARED as CONTENDERS
from leaplib.runs.jobs import Job, in_stages, pretraining_jobs, task_jobs
from leaplib.runs.variants import EXTRA_TASK, ablations_of
from leaplib.tasks import COMPARED, HARMONISE, get_task, harmonised

TASKS_OF = {"03": ("1a", "1b", "2a"), "04": ("3a", "3b", "4a", "4b"), "05": ("5a", "5b"),
            "10": ("1a", "2a", "3b", "4a", "4b", "5a")}  # fmt: skip
"""Tasks whose models a notebook shows; 02 shows DAMAEs, 06 the ablations."""
MODELS_OF = {"10": ("ps-lasso", "ps-ridge", "leap", "leap-plus")}
"""Models that a notebook shows, where not all."""
TRIED_ON = "2a"
"""The task on which notebook 10 runs all candidates, and chooses among them; on its other tasks it runs few."""


def notebook_jobs(profile: Profile, numbers: Sequence[str], device: str = "auto") -> list[Job]:
    """Return what the notebooks with these numbers show, as jobs, each once and in stages.

    Jobs bear the names of splits, so that cohorts and splits are prepared now where they are not.
    """
    wanted = [(get_task(task), MODELS_OF.get(number, tuple(MODELS))) for number in numbers
              for task in TASKS_OF.get(number, ()) if task in profile.tasks]  # fmt: skip
    found = [job for task, models in wanted for job in task_jobs(profile, task, models, device)]
    if "02" in numbers:
        found += pretraining_jobs(profile, get_task(EXTRA_TASK), device)
    if "05" in numbers:
        for how in HARMONISE[1:]:
            found += task_jobs(profile, harmonised(get_task("5a"), how), COMPARED, device)
    if "06" in numbers:
        for task, variants in ablations_of(profile):
            found += ablation_jobs(profile, task, variants, device)
    if "10" in numbers:
        found += _beyond_jobs(profile, device)
    return in_stages(found)


def _beyond_jobs(profile: Profile, device: str) -> list[Job]:
    """Return the candidates on the way to LEAP+, on all splits, and within some training sets."""
    found: list[Job] = []
    for task in (get_task(name) for name in TASKS_OF["10"] if name in profile.tasks):
        names = tuple(CANDIDATES) if task.id == TRIED_ON else CONTENDERS
        found += candidate_jobs(profile, task, names, device=device)
    if TRIED_ON in profile.tasks:
        found += candidate_jobs(profile, get_task(TRIED_ON), tuple(CANDIDATES), N_CHOSEN_ON, N_INNER, device)
    return found
