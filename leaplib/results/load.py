"""All that is saved of a profile, in one object: what figures, tables and claims are made of, without computing."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

import pandas as pd

from leaplib.base.errors import InputError
from leaplib.base.layout import Layout, data_folder, slug
from leaplib.base.store import is_done, key_of, load_frame, package_version, save_frame, stamps
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.prepare import cohort, saved_flow
from leaplib.profiles import Profile, get_profile
from leaplib.results import external as outside
from leaplib.results.comparisons import compare_models, published_scores
from leaplib.runs import experiment
from leaplib.runs.jobs import TASKS_OF, TRIED_ON
from leaplib.runs.recipes import COMPARED, N_CHOSEN_ON, N_INNER, ablations_of, candidates_of
from leaplib.runs.records import model_times
from leaplib.tasks import HARMONISE, TASKS, get_task, harmonised

RESTS_ON = "scores", "predictions", "representations", "failures"


class Results:
    """Saved results of a profile, each part read when it is first asked for; nothing is trained or predicted.

    What is put together or scored for a part is kept in `results/<profile>/derived/` until one of the files that it
    may rest on changes: notebooks side by side ask for the same.

    Parameters
    ----------
    profile : Profile or str
    tasks : sequence of str, optional
        Only these; by default all of the profile.
    **parts : DataFrame
        Parts to use in place of the saved ones, by attribute: a frame that was filtered, for instance.
    """

    def __init__(self, profile: Profile | str, tasks: Sequence[str] | None = None, **parts: Any):
        self.profile = get_profile(profile)
        self.tasks = self.profile.tasks if tasks is None else tuple(tasks)
        self._gaps: dict[tuple[str, str], str] = {}
        vars(self).update(parts)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Scores of all tasks, as `leaplib.runs.experiment.load_scores`."""
        wanted = {f"task {task}": (experiment.load_scores, self.profile, [task]) for task in self.tasks}
        return self._frame("scores", wanted, experiment.COLUMNS)

    @cached_property
    def external(self) -> pd.DataFrame:
        """Scores against external studies, as `scores`, and the study."""
        tasks = [task for task in self._scored if TASKS[task].external]
        wanted = {f"external validation of task {task}": (self._saved, task, outside.external_scores) for task in tasks}
        return self._frame("external", wanted, outside.EXTERNAL_COLUMNS)

    @cached_property
    def sensitivity(self) -> pd.DataFrame:
        """Scores with and without general sensitivity, as `leaplib.results.external.sensitivity_scores`."""
        tasks = [task for task in self._scored if TASKS[task].screen == "drugs"]
        load = outside.sensitivity_scores
        wanted = {f"general sensitivity of task {task}": (self._saved, task, load) for task in tasks}
        return self._frame("sensitivity", wanted, outside.SENSITIVITY_COLUMNS)

    @cached_property
    def all_scores(self) -> pd.DataFrame:
        """`scores`, whose study is "", and `external`."""
        own = self.scores.assign(study="")
        return pd.concat([own, self.external], ignore_index=True) if len(self.external) else own

    @cached_property
    def harmonised(self) -> pd.DataFrame:
        """Scores of task 5a under each way to bring cell lines and xenografts together, as `scores`."""
        ways = [harmonised(get_task("5a"), how).id for how in HARMONISE]
        wanted = {"ways to bring cell lines and xenografts together": (experiment.load_scores, self.profile, ways)}
        return self._frame("harmonised", wanted if "5a" in self.tasks else {}, experiment.COLUMNS)

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """LEAP against each other model (`leaplib.results.comparisons.compare_models`)."""
        return compare_models(self.all_scores)

    @cached_property
    def cohorts(self) -> dict[str, Cohort]:
        """The cohorts that were prepared, by task."""
        wanted = {f"cohort of task {task}": (self._saved, task, cohort) for task in self.tasks}
        return {what.split()[-1]: found for what, found in self._found("cohorts", wanted).items()}

    @cached_property
    def flows(self) -> pd.DataFrame:
        """Counts after each selection rule: task, branch, step, tissues, samples, perturbations, pairs, data."""
        wanted = {f"cohort of task {task}": (self._flow, task) for task in self.tasks}
        return self._frame("flows", wanted, ["task", "branch", "step", "samples", "data"])

    @cached_property
    def ablations(self) -> pd.DataFrame:
        """Scores of the ablations, as `leaplib.runs.experiment.load_variants`."""
        load = experiment.load_variants
        wanted = {f"ablations of task {task.id} ({variants[0].group})": (load, self.profile, task, variants)
                  for task, variants in ablations_of(self.profile) if task.id in self.tasks}  # fmt: skip
        return self._frame("ablations", wanted, experiment.ABLATION_COLUMNS)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Scores of models by their number of training lines, as `leaplib.runs.experiment.load_curves`."""
        wanted = {f"learning curves of task {TRIED_ON}": (self._saved, TRIED_ON, experiment.load_curves)}
        return self._frame("curves", wanted if TRIED_ON in self.tasks else {}, experiment.CURVE_COLUMNS)

    @cached_property
    def candidates(self) -> pd.DataFrame:
        """Scores of the candidates on the way to LEAP+, as `leaplib.runs.experiment.run_candidates`."""
        tasks = sorted(set(TASKS_OF["10"]) & set(self.tasks), key=lambda task: (task != TRIED_ON, task))
        wanted = {f"candidates on task {task}": (self._candidates, task) for task in tasks}
        return self._frame("candidates", wanted, experiment.CANDIDATE_COLUMNS)

    @cached_property
    def external_candidates(self) -> pd.DataFrame:
        """Scores of the candidates against external studies, as `candidates` but for the seconds, and the study."""
        wanted = {f"external validation of candidates on task {task}": (
                      self._saved, task, outside.candidate_scores, self._compared(task))
                  for task in TASKS_OF["10"] if task in self.tasks and TASKS[task].external}  # fmt: skip
        return self._frame("external_candidates", wanted, ["study", *experiment.CANDIDATE_COLUMNS])

    @cached_property
    def inner(self) -> pd.DataFrame:
        """Scores of the candidates within training sets of the task that they are chosen on."""
        wanted = {f"candidates within task {TRIED_ON}": (self._candidates, TRIED_ON, N_CHOSEN_ON, N_INNER)}
        return self._frame("inner", wanted if TRIED_ON in self.tasks else {}, experiment.CANDIDATE_COLUMNS)

    @cached_property
    def times(self) -> pd.DataFrame:
        """What each model took: task, split, model, seconds, core_seconds."""
        return model_times(self.profile.name)

    @cached_property
    def published(self) -> pd.DataFrame:
        """What the paper reports: task, model, level, metric, mean, sd."""
        return published_scores()

    @property
    def missing(self) -> pd.DataFrame:
        """What has no results, and why (which says the command that makes them): missing, why."""
        for part in ("scores", "external", "flows", "ablations", "candidates", "external_candidates", "inner",
                     "sensitivity", "curves"):  # fmt: skip
            getattr(self, part)
        found = {what: why for (_, what), why in self._gaps.items()}
        return pd.DataFrame(found.items(), columns=["missing", "why"])

    @property
    def _scored(self) -> list[str]:
        """The tasks that have scores."""
        there = set(self.scores["task"].unique())
        return [task for task in self.tasks if task in there]

    def why(self, part: str) -> str:
        """Return why a part of the results, such as "ablations", has gaps."""
        getattr(self, part)
        return "; ".join(dict.fromkeys(why for (of, _), why in self._gaps.items() if of == part))

    def _frame(self, part: str, wanted: dict[str, tuple], columns: list[str]) -> pd.DataFrame:
        """Put together what loaders return, now or before."""
        layout = Layout(self.profile.name)
        folders = [*(layout.results / name for name in RESTS_ON), layout.processed, data_folder() / "raw"]
        state = {"profile": asdict(self.profile), "code": package_version(), "files": key_of(stamps(folders))}
        found = self._found(part, {what: (self._kept, state, part, what, *how) for what, how in wanted.items()})
        if found:
            return pd.concat(found.values(), ignore_index=True)
        numbers = {"member": int, "test_set": int, "value": float}
        return pd.DataFrame(columns=columns).astype({name: numbers[name] for name in numbers if name in columns})

    def _kept(self, state: dict[str, Any], part: str, what: str, load: Callable, *arguments: Any) -> pd.DataFrame:
        """Return what a loader returns, now or before in the same state of all files."""
        path = Layout(self.profile.name).results / "derived" / f"{slug(f'{part} {what}')}.parquet"
        about = state | {"part": part, "what": what}
        if not is_done(path, about):
            save_frame(load(*arguments), path, about)
        return load_frame(path)

    def _found(self, part: str, wanted: dict[str, tuple]) -> dict[str, Any]:
        """Return what loaders return; what has nothing is noted."""
        found = {}
        for what, (load, *arguments) in wanted.items():
            try:
                found[what] = load(*arguments)
            except InputError as error:
                self._gaps[part, what] = str(error)
        return found

    def _saved(self, task: str, load: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a loader returns for a task whose cohort is saved: otherwise it would be prepared."""
        self._flow(task)
        return load(self.profile, get_task(task), *arguments)

    def _flow(self, task: str) -> pd.DataFrame:
        flow, data = saved_flow(self.profile, get_task(task))
        return flow.assign(task=task, data=data)[["task", *flow.columns, "data"]]

    def _candidates(self, task: str, n_splits: int | None = None, n_inner: int | None = 0) -> pd.DataFrame:
        command = f"run `leap run --profile {self.profile.name} --notebooks 10` first"
        if not any((Layout(self.profile.name).results / "scores" / task).rglob("candidates/*.parquet")):
            raise InputError(f"no candidates on task {task}: {command}")
        n_splits = n_splits or (self.profile.n_ablation_splits if task == TRIED_ON else None)
        found = experiment.load_candidates(self.profile, get_task(task), self._compared(task), n_splits, n_inner)
        if found["value"].isna().all():
            raise InputError(f"the candidates on task {task} are of other data, settings or code: {command}")
        return found

    def _compared(self, task: str) -> tuple[str, ...]:
        """Return the candidates that notebook 10 runs on a task."""
        return candidates_of(self.profile) if task == TRIED_ON else COMPARED
