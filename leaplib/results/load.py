"""All that is saved of a profile, in one object: what figures, tables and claims are made of, without computing."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.base.layout import Layout
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.prepare import load_cohort, saved_flow
from leaplib.profiles import Profile, get_profile
from leaplib.results import published
from leaplib.results.external import external_scores
from leaplib.results.scores import COLUMNS, load_scores
from leaplib.runs.ablations import COLUMNS as ABLATION_COLUMNS
from leaplib.runs.ablations import load_variants
from leaplib.runs.candidate_jobs import beyond_on
from leaplib.runs.candidates import CANDIDATES, COMPARED, N_CHOSEN_ON, N_INNER
from leaplib.runs.candidates import COLUMNS as CANDIDATE_COLUMNS
from leaplib.runs.job_list import TASKS_OF, TRIED_ON
from leaplib.runs.run_log import model_times
from leaplib.runs.task_run import run_of
from leaplib.runs.variants import ablations_of
from leaplib.tasks import TASKS, get_task


class Results:
    """Saved results of a profile, each part read when it is first asked for; nothing is trained or predicted.

    Parameters
    ----------
    profile : Profile or str
    tasks : sequence of str, optional
        Only these; by default all of the profile.
    **parts : DataFrame
        Parts to use in place of the saved ones, by attribute: a frame that was filtered, for instance.
    """

    def __init__(self, profile: Profile | str, tasks: Sequence[str] | None = None, **parts: Any):
        self.profile = get_profile(profile) if isinstance(profile, str) else profile
        self.tasks = self.profile.tasks if tasks is None else tuple(tasks)
        self._gaps: dict[str, str] = {}
        vars(self).update(parts)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Scores of all tasks, as `leaplib.results.scores.load_scores`."""
        nothing = pd.DataFrame(columns=COLUMNS).astype({"member": int, "test_set": int, "value": float})
        return self._all({f"task {task}": (load_scores, self.profile, [task]) for task in self.tasks}, nothing)

    @cached_property
    def external(self) -> pd.DataFrame:
        """Scores against external studies, as `scores`; the task is "2a external"."""
        tasks = [task for task in self.tasks if TASKS[task].external and task in set(self.scores["task"])]
        wanted = {
            f"external validation of task {task}": (external_scores, self.profile, get_task(task)) for task in tasks
        }
        return self._all(wanted, self.scores.head(0))

    @cached_property
    def cohorts(self) -> dict[str, Cohort]:
        """The cohorts that were prepared, by task."""
        found = {task: self._attempt(f"cohort of task {task}", self._cohort, task) for task in self.tasks}
        return {task: cohort for task, cohort in found.items() if cohort is not None}

    @cached_property
    def flows(self) -> pd.DataFrame:
        """Counts after each selection rule: task, branch, step, tissues, samples, perturbations, pairs, data."""
        nothing = pd.DataFrame(columns=["task", "branch", "step", "samples", "data"])
        return self._all({f"cohort of task {task}": (self._flow, task) for task in self.tasks}, nothing)

    @cached_property
    def ablations(self) -> pd.DataFrame:
        """Scores of the ablations, as `leaplib.runs.ablations.load_variants`."""
        chosen = [(task, variants) for task, variants in ablations_of(self.profile) if task.id in self.tasks]
        wanted = {f"ablations of task {task.id} ({variants[0].group})": (load_variants, self.profile, task, variants)
                  for task, variants in chosen}  # fmt: skip
        return self._all(wanted, pd.DataFrame(columns=ABLATION_COLUMNS))

    @cached_property
    def candidates(self) -> pd.DataFrame:
        """Scores of the candidates on the way to LEAP+, as `leaplib.runs.experiment.run_candidates`."""
        tasks = sorted(set(TASKS_OF["10"]) & set(self.tasks), key=lambda task: (task != TRIED_ON, task))
        return self._all({f"candidates on task {task}": (self._candidates, task) for task in tasks},
                         pd.DataFrame(columns=CANDIDATE_COLUMNS))  # fmt: skip

    @cached_property
    def inner(self) -> pd.DataFrame:
        """Scores of the candidates within training sets of the task that they are chosen on."""
        wanted = {f"candidates within task {TRIED_ON}": (self._candidates, TRIED_ON, N_CHOSEN_ON, N_INNER)}
        return self._all(wanted if TRIED_ON in self.tasks else {}, pd.DataFrame(columns=CANDIDATE_COLUMNS))

    @cached_property
    def times(self) -> pd.DataFrame:
        """What each model took: task, split, model, seconds, core_seconds."""
        return model_times(self.profile.name)

    @cached_property
    def published(self) -> pd.DataFrame:
        """What the paper reports: task, model, level, metric, mean, sd."""
        return published.published_scores()

    @property
    def missing(self) -> pd.DataFrame:
        """What has no results, and why (which says the command that makes them): missing, why."""
        for part in ("scores", "external", "cohorts", "flows", "ablations", "candidates", "inner"):
            getattr(self, part)
        return pd.DataFrame(self._gaps.items(), columns=["missing", "why"])

    def _all(self, wanted: dict[str, tuple], nothing: pd.DataFrame) -> pd.DataFrame:
        """Put together what loaders return; what has nothing is noted."""
        found = [self._attempt(what, *call) for what, call in wanted.items()]
        found = [frame for frame in found if frame is not None]
        return pd.concat(found, ignore_index=True) if found else nothing

    def _attempt(self, what: str, load: Callable, *arguments: Any) -> Any:
        try:
            return load(*arguments)
        except InputError as error:
            self._gaps[what] = str(error)
            return None

    def _cohort(self, task: str) -> Cohort:
        self._flow(task)  # or it would be prepared
        return load_cohort(self.profile, get_task(task))[0]

    def _flow(self, task: str) -> pd.DataFrame:
        flow, data = saved_flow(self.profile, get_task(task))
        return flow.assign(task=task, data=data)[["task", *flow.columns, "data"]]

    def _candidates(self, task: str, n_splits: int | None = None, n_inner: int | None = 0) -> pd.DataFrame:
        command = f"run `leap run --profile {self.profile.name} --notebooks 10` first"
        if not (Layout(self.profile.name).results / "beyond" / task).is_dir():
            raise InputError(f"no candidates on task {task}: {command}")
        tried = beyond_on(run_of(self.profile, get_task(task)))
        names = tuple(CANDIDATES) if task == TRIED_ON else COMPARED
        found = tried.saved(names, tried.splits(n_splits, n_inner))
        if np.isnan(found["value"].to_numpy(dtype=float)).all():
            raise InputError(f"the candidates on task {task} are of other data, settings or code: {command}")
        return found
