"""All that a profile's saved results tell, in one object: what the paper's tables and claims are held against.

Nothing is trained or predicted here. What has no results is listed in `missing` with the command that makes it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from leaplib.base.errors import InputError
from leaplib.base.layout import Layout
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.prepare import load_cohort
from leaplib.profiles import Profile, get_profile
from leaplib.results import ablation_tables, tables
from leaplib.results.comparisons import compare_models
from leaplib.results.external import external_scores
from leaplib.results.scores import load_scores, models_only, split_values
from leaplib.runs.ablations import COLUMNS as ABLATION_COLUMNS
from leaplib.runs.ablations import load_variants
from leaplib.runs.run_log import model_times
from leaplib.runs.variants import ABLATION_TASKS, STEPS, TUNING, TUNING_TASKS, ensembles_of, steps_of
from leaplib.tasks import TASKS, get_task

SCORE_COLUMNS = ["task", "model", "member", "split", "level", "perturbation", "test_set", "metric", "value", "data"]


@dataclass(frozen=True)
class Evidence:
    """Saved results of a profile, and the tables that follow from them.

    Parameters
    ----------
    scores : DataFrame
        As `load_scores`, of all tasks with results; the external validation is the task "2a external".
    ablations : DataFrame
        As `leaplib.runs.experiment.run_variants`.
    counts : DataFrame
        As `leaplib.results.tables.table_1`.
    flows : DataFrame
        As `leaplib.results.tables.data_preparation`.
    log : DataFrame
        The run log: task, split, model, seconds; the last run of each.
    missing : DataFrame
        missing (what has no results), why (which says the command).
    """

    scores: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=SCORE_COLUMNS))
    ablations: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=ABLATION_COLUMNS))
    counts: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["task", "studies", "data"]))
    flows: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["task", "branch", "step", "samples"]))
    log: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["task", "split", "model", "seconds"]))
    missing: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["missing", "why"]))

    @cached_property
    def split_scores(self) -> pd.DataFrame:
        """One value a split, task, model, level and metric; of LEAP's members the first, as PS-LASSO."""
        return models_only(split_values(self.scores))

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """LEAP against each other model (`leaplib.results.comparisons.compare_models`)."""
        return compare_models(self.scores)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the paper's tables for which there are results, tidy, by file name."""
        data = dict(zip(self.counts["task"], self.counts["data"], strict=True))
        flows = {str(task): flow for task, flow in self.flows.groupby("task", sort=False)}
        scores, ablations = self.scores, self.ablations
        makers: dict[str, tuple[bool, Callable[[], pd.DataFrame]]] = {
            "table_1": (len(self.counts) > 0, lambda: self.counts),
            "supplementary_table_1": (len(flows) > 0, lambda: tables.supplementary_table_1(flows, data)),
            "supplementary_table_2": ("1b" in set(scores["task"]), lambda: tables.supplementary_table_2(scores)),
            "supplementary_table_3": (len(scores) > 0, lambda: tables.summary(scores)),
            "supplementary_table_4": (self._ran(STEPS), lambda: ablation_tables.supplementary_table_4(ablations)),
            "supplementary_table_5": (self._ran("ensembles"), lambda: ablation_tables.supplementary_table_5(ablations)),
            "supplementary_table_6": (self._ran("tuning"), lambda: ablation_tables.supplementary_table_6(ablations)),
            "supplementary_table_7": (bool({"5a", "5b"} & set(scores["task"])),
                                      lambda: tables.supplementary_table_7(scores)),
            "comparisons": (len(self.comparisons) > 0, lambda: self.comparisons),
        }  # fmt: skip
        return {name: make() for name, (there, make) in makers.items() if there}

    def _ran(self, group: str) -> bool:
        return group in set(self.ablations["group"])


def load_evidence(profile: Profile | str, tasks: Sequence[str] | None = None,
                  models: Sequence[str] | None = None) -> Evidence:  # fmt: skip
    """Return what a profile's saved results tell.

    Parameters
    ----------
    profile : Profile or str
    tasks : sequence of str, optional
        Only these; by default all of the profile.
    models : sequence of str, optional
        Only these, by their names in tables; by default all.

    Raises
    ------
    InputError
        When no task has results: it says which command makes them.
    """
    profile = get_profile(profile) if isinstance(profile, str) else profile
    wanted = tuple(tasks) if tasks is not None else profile.tasks
    missing: dict[str, str] = {}
    scores = _scores(profile, wanted, missing)
    given = {
        "scores": scores if models is None else scores[scores["model"].isin(models)],
        "log": model_times(profile.name),
    }
    variants = [_attempt(f"ablations of task {task}", missing, _variants, profile, task)
                for task in (*ABLATION_TASKS, *TUNING_TASKS) if task in wanted]  # fmt: skip
    if ran := [part for part in variants if part is not None]:
        given["ablations"] = pd.concat(ran, ignore_index=True)
    cohorts = {task: _attempt(f"cohort of task {task}", missing, _cohort, profile, task) for task in wanted}
    if ready := {task: pair for task, pair in cohorts.items() if pair is not None}:
        given["counts"] = tables.table_1({task: cohort for task, (cohort, _) in ready.items()})
        given["flows"] = tables.data_preparation({task: flow for task, (_, flow) in ready.items()})
    return Evidence(missing=pd.DataFrame(missing.items(), columns=["missing", "why"]), **given)


def _scores(profile: Profile, wanted: Sequence[str], missing: dict[str, str]) -> pd.DataFrame:
    """Return the scores of tasks, those against an external study too; note what has none."""
    parts = [_attempt(f"task {task}", missing, load_scores, profile, [task]) for task in wanted]
    if all(part is None for part in parts):
        raise InputError(f"no results of task {', '.join(wanted)} in {Layout(profile.name).results}: run "
                         f"`leap run --profile {profile.name}` first")  # fmt: skip
    parts += [_attempt("external validation", missing, external_scores, profile, get_task(task))
              for task in wanted if TASKS[task].external and f"task {task}" not in missing]  # fmt: skip
    return pd.concat([part for part in parts if part is not None], ignore_index=True)


def _attempt(what: str, missing: dict[str, str], load: Callable, *arguments: Any) -> Any:
    """Return what a loader returns; where it has nothing, note why and return None."""
    try:
        return load(*arguments)
    except InputError as error:
        missing[what] = str(error)
        return None


def _variants(profile: Profile, task: str) -> pd.DataFrame:
    """Return the saved scores of the paper's ablations of a task."""
    chosen = TUNING
    if task in ABLATION_TASKS:
        chosen = steps_of(profile, get_task(task)) + ensembles_of(profile, get_task(task))
    return load_variants(profile, task, chosen)


def _cohort(profile: Profile, task: str) -> tuple[Cohort, pd.DataFrame]:
    """Return a prepared cohort and its counts."""
    if not (Layout(profile.name).cohort(task) / "preparation.json").exists():
        raise InputError(f"task {task} is not prepared: run `leap run --profile {profile.name} --notebooks 01`")
    return load_cohort(profile, get_task(task))
