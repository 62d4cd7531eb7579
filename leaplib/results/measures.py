"""What a claim is measured by: functions of the evidence, each with the data and the numbers that it rests on."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from leaplib.models.table import CONTROLS, FEW_SHOT, MODELS
from leaplib.results.ablation_tables import split_means
from leaplib.results.evidence import Evidence
from leaplib.results.external import REPRODUCIBILITY, SUFFIX
from leaplib.results.scores import split_values
from leaplib.runs.ablations import FAILED, NOT_YET
from leaplib.tasks import TASKS

PER_PERTURBATION, OVERALL = "per_perturbation", "overall"
TCRP = MODELS["ps-tcrp"].name
SECONDS_PER_HOUR = 3600


class UntestedError(Exception):
    """The evidence lacks what a claim needs; the message says what."""


@dataclass(frozen=True)
class Finding:
    """One number that was found.

    Parameters
    ----------
    value : float
    data : {"real", "simulated", "mixed"}
    n : str
        What it rests on, such as "3 splits, 30 perturbations".
    low : float
        Lower end of a 95% interval, NaN where there is none.
    note : str
        Why the number is no test of the claim; "" where it is.
    """

    value: float
    data: str
    n: str
    low: float = np.nan
    note: str = ""


def data_of(kinds: Collection[str]) -> str:
    """Return "real" or "simulated", or "mixed" where there are both."""
    found = set(kinds)
    return found.pop() if len(found) == 1 else "mixed"


def score(evidence: Evidence, task: str, model: str = "LEAP", level: str = PER_PERTURBATION,
          metric: str = "spearman") -> Finding:  # fmt: skip
    """Return a model's mean score over splits."""
    rows = _values(evidence, task, [model], level, metric)
    return Finding(rows["value"].mean(), data_of(rows["data"]), _n(evidence, rows))


def gain(evidence: Evidence, task: str, model: str, other: str) -> Finding:
    """Return a model's relative gain over another, on the splits that both ran on."""
    means = _common(evidence, task, [model, other], PER_PERTURBATION)
    return _found(evidence, task, _relative(means[model], means[other]), means)


def margin(evidence: Evidence, task: str, level: str = PER_PERTURBATION) -> Finding:
    """Return how far LEAP is above the best of the paper's other models that fit a task.

    Per perturbation, the lower end is the lowest of all comparisons with LEAP.
    """
    others = rivals(task)
    means = _common(evidence, task, ["LEAP", *others], level)
    found = _found(evidence, task, (means["LEAP"].mean() - means[others].mean()).min(), means)
    table = evidence.comparisons
    lows = table[(table["task"] == task) & table["model"].isin(others)]["low"]
    known = level == PER_PERTURBATION and lows.notna().all()
    return replace(found, low=float(lows.min()) if known else np.nan)


def rivals(task: str) -> list[str]:
    """Return the paper's models that are compared with LEAP on a task."""
    design = TASKS[task.removesuffix(SUFFIX)].design
    return [name for model in MODELS.values() if model.published and design in model.designs and model.name != "LEAP"
            for name in (model.name, *([model.name + FEW_SHOT] if model.few_shot else []))]  # fmt: skip


def share(evidence: Evidence, task: str, model: str, other: str, level: str) -> Finding:
    """Return one model's score as a share of another's."""
    means = _common(evidence, task, [model, other], level)
    return _found(evidence, task, means[model].mean() / means[other].mean(), means)


def difference(evidence: Evidence, task: str, model: str, other: str) -> Finding:
    """Return one model's score less another's."""
    means = _common(evidence, task, [model, other], PER_PERTURBATION)
    return _found(evidence, task, (means[model] - means[other]).mean(), means)


def above(evidence: Evidence, task: str, other: str) -> Finding:
    """Return how far LEAP is above another model, with the lower end of the interval of the paired difference."""
    found = difference(evidence, task, "LEAP", other)
    table = evidence.comparisons
    lows = table[(table["task"] == task) & (table["model"] == other)]["low"]
    return replace(found, low=float(lows.min()) if len(lows) else np.nan)


def splits_won(evidence: Evidence, task: str) -> Finding:
    """Return the share of splits (tissues) in which LEAP is above all other models."""
    others = rivals(task)
    means = _common(evidence, task, ["LEAP", *others], PER_PERTURBATION)
    return _found(evidence, task, (means["LEAP"] > means[others].max(axis=1)).mean(), means)


def tasks_won(evidence: Evidence, tasks: Sequence[str]) -> Finding:
    """Return the share of tasks on which LEAP is above all other models."""
    found = [margin(evidence, task) for task in tasks]
    won = np.mean([each.value > 0 for each in found])
    return Finding(float(won), data_of([each.data for each in found]), f"{len(tasks)} tasks")


def gap_of_gains(evidence: Evidence, tasks: Sequence[str], others: Sequence[str]) -> Finding:
    """Return LEAP's smallest gain over PP-LGBM on some tasks less its largest on others."""
    ours, theirs = ([gain(evidence, task, "LEAP", "PP-LGBM") for task in part] for part in (tasks, others))
    value = min(each.value for each in ours) - max(each.value for each in theirs)
    return Finding(value, data_of([each.data for each in [*ours, *theirs]]), f"{len(ours) + len(theirs)} tasks")


def largest_p(evidence: Evidence, tasks: Sequence[str]) -> Finding:
    """Return the largest p-value (Holm) of LEAP against the other models of some tasks; 1 where LEAP is behind."""
    parts = []
    for task in tasks:
        table = evidence.comparisons[evidence.comparisons["task"] == task]
        _check(task, rivals(task), table["model"])
        parts.append(table[table["model"].isin(rivals(task))])
    table = pd.concat(parts)
    p = table["p_holm"].where(table["difference"] > 0, 1.0)
    return Finding(float(p.max()), data_of(table["data"]), f"{len(table)} comparisons")


def above_members(evidence: Evidence, task: str) -> Finding:
    """Return how far LEAP is above the best of its members."""
    values = split_values(evidence.scores[evidence.scores["task"] == task], PER_PERTURBATION, "spearman")
    _check(task, ["LEAP", "PS-LASSO"], values["model"])
    means = values.groupby(["model", "member"])["value"].mean()
    return Finding(float(means["LEAP"].item() - means["PS-LASSO"].max()), data_of(values["data"]),
                   f"{len(means['PS-LASSO'])} representations, {_n(evidence, values)}")  # fmt: skip


def step_gain(evidence: Evidence, task: str, group: str, after: int, before: int) -> Finding:
    """Return the relative gain of one variant of an ablation over another, both by number from 1.

    In place of a variant that sources at hand make equal to one before it, and that was not run for that, the last one
    that was run stands.
    """
    rows = _ablation(evidence, task, group)
    if rows.empty:
        raise UntestedError(f"task {task} has no ablation ({group})")
    ran = rows[rows["note"] == ""]
    pending = set(rows.loc[rows["note"].isin([NOT_YET, FAILED]), "number"])
    earlier = max((number for number in set(ran["number"]) if number <= before), default=0)
    if after not in set(ran["number"]) or not earlier or pending & set(range(earlier, before + 1)):
        raise UntestedError(f"ablation of task {task} ({group}): {before} or {after} was not run")
    means = ran.pivot(index="split", columns="number", values="value")[[after, earlier]].dropna()
    means.attrs["data"] = data_of(ran["data"])
    found = _found(evidence, task, _relative(means[after], means[earlier]), means)
    return found if earlier == before else replace(found, n=f"{found.n}, {earlier} in place of {before}")


def step_gap(evidence: Evidence, task: str, group: str, pairs: Sequence[tuple[int, int]]) -> Finding:
    """Return the gain of the first pair (after, before) of variants less the largest of the others that were run."""
    first, *others = pairs
    found = step_gain(evidence, task, group, *first)
    rows = _ablation(evidence, task, group)
    ran = set(rows.loc[rows["note"] == "", "number"])
    gains = [step_gain(evidence, task, group, *pair).value for pair in others if pair[0] in ran]
    if not gains:
        raise UntestedError(f"ablation of task {task} ({group}): nothing to compare with was run")
    return Finding(found.value - max(gains), found.data, found.n)


def by_drug(evidence: Evidence, task: str, drug: str, metric: str = "spearman") -> Finding:
    """Return LEAP's score on one drug of the xenografts, mean over their subsets."""
    rows = evidence.scores
    rows = rows[(rows["task"] == task) & (rows["perturbation"] == drug) & (rows["model"] == "LEAP")]
    rows = rows[(rows["metric"] == metric) & (rows["test_set"] >= 0)].dropna(subset=["value"])
    _check(task, ["LEAP"], rows["model"])
    return Finding(rows["value"].mean(), data_of(rows["data"]), f"{len(rows)} subsets")


def reproducibility(evidence: Evidence, task: str) -> Finding:
    """Return how far the training studies' own measurements agree with the external study."""
    found = score(evidence, task + SUFFIX, REPRODUCIBILITY)
    return replace(found, note=_other_study(evidence, task))


def above_reproducibility(evidence: Evidence, task: str) -> Finding:
    """Return LEAP's score against the external study less that of the training studies' own measurements."""
    found = difference(evidence, task + SUFFIX, "LEAP", REPRODUCIBILITY)
    return replace(found, note=_other_study(evidence, task))


def count(evidence: Evidence, task: str, column: str) -> Finding:
    """Return how many samples or perturbations a task's selection rules leave, before a profile draws among them."""
    table = evidence.counts[evidence.counts["task"] == task]
    if table.empty:
        raise UntestedError(f"task {task} has no cohort")
    data, present = table["data"].item(), table["studies"].item().split(", ")
    absent = [study for study in TASKS[task].studies if data == "real" and study not in present]
    flow = evidence.flows[evidence.flows["task"] == task]
    flow = flow[~flow["step"].str.startswith("profile ")]
    flow = flow if (flow["branch"] != "all").all() else flow[flow["branch"] == "all"]
    note = f"without {' and '.join(absent)}" if absent else ""
    return Finding(float(flow[column].iloc[-1]), data, flow["step"].iloc[-1], note=note)


def lost(evidence: Evidence, task: str, step: str) -> Finding:
    """Return how many samples a selection rule of a task with a single study removes."""
    flow = evidence.flows[evidence.flows["task"] == task].reset_index(drop=True)
    places = flow.index[flow["step"] == step]
    if not len(places) or evidence.counts.empty:
        raise UntestedError(f"task {task} has no cohort")
    data = evidence.counts.set_index("task").loc[task, "data"]
    samples = flow["samples"]
    return Finding(float(samples[places[0] - 1] - samples[places[0]]), str(data), step)


def hours(evidence: Evidence, task: str, model: str) -> Finding:
    """Return the hours that a model took on a task, in all splits that the log has; LEAP's are those of its members."""
    data = evidence.scores[evidence.scores["task"] == task]["data"]
    if data.empty:
        raise UntestedError(f"task {task} has no results")
    log = evidence.log[evidence.log["task"] == task]
    own = log["model"].str.fullmatch(r"PS-LASSO r\d+|LEAP") if model == "LEAP" else log["model"] == model
    if not own.any():
        raise UntestedError(f"the run log has no {model} on task {task}")
    n = f"{log[own]['split'].nunique()} splits, on this machine, without the autoencoders"
    return Finding(log[own]["seconds"].sum() / SECONDS_PER_HOUR, data_of(data), n)


def pretraining_hours(evidence: Evidence, task: str) -> Finding:
    """Return the hours that the DAMAEs of a task's pool took, one after the other (the paper: on four GPUs)."""
    data = data_of(evidence.scores[evidence.scores["task"] == task]["data"])
    pool = TASKS[task].pool + ("-simulated" if data == "simulated" else "")
    log = evidence.log[(evidence.log["model"] == "DAMAE") & (evidence.log["task"] == pool)]
    if log.empty:
        raise UntestedError(f"the run log has no DAMAE of {pool}")
    return Finding(log["seconds"].sum() / SECONDS_PER_HOUR, data, f"{len(log)} DAMAEs, on this machine")


def times_as_fast(evidence: Evidence, task: str, other: str) -> Finding:
    """Return another model's hours on a task by LEAP's."""
    ours, theirs = hours(evidence, task, "LEAP"), hours(evidence, task, other)
    return Finding(theirs.value / ours.value, ours.data, ours.n)


def training_mean_share(evidence: Evidence, task: str) -> Finding:
    """Return the overall score of a model that knows no sample, as a share of LEAP's."""
    return share(evidence, task, CONTROLS["training-mean"], "LEAP", OVERALL)


def _values(evidence: Evidence, task: str, models: Sequence[str], level: str, metric: str) -> pd.DataFrame:
    rows = evidence.split_scores
    rows = rows[(rows["task"] == task) & (rows["level"] == level) & (rows["metric"] == metric)]
    _check(task, models, rows["model"])
    return rows[rows["model"].isin(models)]


def _check(task: str, models: Sequence[str], present: pd.Series) -> None:
    """Raise UntestedError when a model has no result."""
    absent = [model for model in models if model not in set(present)]
    if present.empty:
        raise UntestedError(f"task {task} has no results")
    if absent:
        raise UntestedError(f"task {task} has no results of {', '.join(absent)}")


def _other_study(evidence: Evidence, task: str) -> str:
    """Return a note where the external study is not that of the paper."""
    study = TASKS[task].external[0]
    flow = evidence.flows[evidence.flows["task"] == task]
    return "" if study in set(flow["branch"]) else f"another study than {study}"


def _common(evidence: Evidence, task: str, models: Sequence[str], level: str) -> pd.DataFrame:
    """Return Spearman's correlations of some models, splits x models, where all of them ran; data in `attrs`."""
    rows = _values(evidence, task, models, level, "spearman")
    table = rows.pivot(index="split", columns="model", values="value")[list(models)].dropna()
    if table.empty:
        raise UntestedError(f"task {task} has no split with results of {' and '.join(models)}")
    table.attrs["data"] = data_of(rows["data"])
    return table


def _ablation(evidence: Evidence, task: str, group: str) -> pd.DataFrame:
    """Return Spearman's correlation per perturbation: number of the variant (from 1), split, value, data, note."""
    rows = evidence.ablations
    rows = rows[(rows["task"] == task) & (rows["group"] == group)]
    order = {name: number for number, name in enumerate(rows["variant"].unique(), start=1)}
    left_out = rows[rows["note"] != ""].rename(columns={"variant": "name"})
    means = pd.concat([split_means(rows).assign(note=""), left_out])
    means = means[(means["level"] == PER_PERTURBATION) & (means["metric"] == "spearman")]
    return means.assign(number=means["name"].map(order))


def _relative(scores: pd.Series, reference: pd.Series) -> float:
    """Return the relative gain of one mean over another."""
    if reference.mean() <= 0:
        raise UntestedError("there is no relative gain over a score that is not above 0")
    return scores.mean() / reference.mean() - 1


def _found(evidence: Evidence, task: str, value: float, means: pd.DataFrame) -> Finding:
    """Return a finding that rests on the splits of a table."""
    return Finding(float(value), means.attrs["data"], f"{len(means)} splits, {_perturbations(evidence, task)}")


def _n(evidence: Evidence, rows: pd.DataFrame) -> str:
    return f"{rows['split'].nunique()} splits, {_perturbations(evidence, rows['task'].iloc[0])}"


def _perturbations(evidence: Evidence, task: str) -> str:
    """Return how many perturbations a task has and, in external validation, of which study."""
    rows = evidence.scores[evidence.scores["task"] == task]
    text = f"{rows.loc[rows['perturbation'] != '', 'perturbation'].nunique()} perturbations"
    branches = set(evidence.flows.loc[evidence.flows["task"] == task.removesuffix(SUFFIX), "branch"])
    known = TASKS[task.removesuffix(SUFFIX)].external if task.endswith(SUFFIX) else ()
    return text + "".join([f" of {study}" for study in known if study in branches][:1])
