"""The quantitative claims of the paper against what a run found.

A claim (`claims.csv`) is data: where it stands, the published number, a rule, and what ours is measured by (one of
`MEASURES`). Published numbers are the paper's tables, its sentences, or follow from them;
none where it gives an order alone.
Verdicts:

- *holds*, *holds in direction*, *does not hold*: what the rule says, from real data alone, however few splits a
  profile has (their number stands in the row);
- *not testable here*: the data are not the paper's kind (simulated, or a pocket of real gene effects) in whole or in
  part, or something that the claim speaks of was not run or
  is not recorded. Where there is a number it is given all the same.

======== ========================================================== ====================================================
rule     holds                                                      holds in direction
======== ========================================================== ====================================================
gain     above 0, and off by at most 50% of the published gain      above 0
         (`GAIN_SHARE`), or by 0.01 (`GAIN_LEAST`) if that is more
order    above 0, and so is the 95% interval of every comparison,   above 0
         where there are intervals
value    off by at most 0.03 (`VALUE`)                              the same sign
close    off by at most 0.05 (`CLOSE`)                              never
count    off by at most 2% (`COUNT`)                                off by at most 10% (`COUNT_ROUGH`)
at most  not above the published value                              never
at least not below the published value                              never
factor   at least 50% of the published factor (`FACTOR_SHARE`)      above 1
share    not below the published share                              above one half
======== ========================================================== ====================================================

Everything else does not hold.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files

import numpy as np
import pandas as pd

from leaplib.models.table import FEW_SHOT, MODELS
from leaplib.results.external import REPRODUCIBILITY
from leaplib.results.load import Results
from leaplib.results.scores import models_only, split_values, variant_values
from leaplib.runs.ablations import FAILED, NOT_YET
from leaplib.tasks import TASKS, Task, data_words

PER_PERTURBATION = "per_perturbation"
HOLDS, DIRECTION, FAILS, UNTESTED = "holds", "holds in direction", "does not hold", "not testable here"
GAIN_SHARE, GAIN_LEAST = 0.5, 0.01
VALUE, CLOSE = 0.03, 0.05
COUNT, COUNT_ROUGH = 0.02, 0.10
FACTOR_SHARE = 0.5
COLUMNS = ["claim", "section", "published", "ours", "difference", "data", "n", "verdict", "note"]
RULES: dict[str, Callable[[float, float, float], tuple[bool, bool]]] = {
    "gain": lambda ours, paper, low: (
        ours > 0 and abs(ours - paper) <= max(GAIN_SHARE * paper, GAIN_LEAST),
        ours > 0,
    ),
    "order": lambda ours, paper, low: (ours > 0 and not low <= 0, ours > 0),  # a NaN interval is none
    "value": lambda ours, paper, low: (abs(ours - paper) <= VALUE, np.sign(ours) == np.sign(paper)),
    "close": lambda ours, paper, low: (abs(ours - paper) <= CLOSE, False),
    "count": lambda ours, paper, low: (
        abs(ours - paper) <= COUNT * paper,
        abs(ours - paper) <= COUNT_ROUGH * paper,
    ),
    "at most": lambda ours, paper, low: (ours <= paper, False),
    "at least": lambda ours, paper, low: (ours >= paper, False),
    "factor": lambda ours, paper, low: (ours >= FACTOR_SHARE * paper, ours > 1),
    "share": lambda ours, paper, low: (ours >= paper, ours > 0.5),
}
"""Whether a claim holds, and in direction, by our value, the published one and the lower end of our interval."""


class UntestedError(Exception):
    """The results lack what a claim needs; the message says what."""


@dataclass(frozen=True)
class Finding:
    """One number that was found.

    Parameters
    ----------
    value : float
    data : one of `leaplib.tasks.DATA`, "mixed" or "none"
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


def claim_list() -> pd.DataFrame:
    """Return the claims: claim, section, published, rule, measure, arguments."""
    with files("leaplib.results").joinpath("claims.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file)


def claims(results: Results, chosen: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the verdict on each claim.

    Parameters
    ----------
    results : Results
    chosen : DataFrame, optional
        As `claim_list`, which is the default.

    Returns
    -------
    DataFrame
        `COLUMNS`: `ours` and `difference` (ours - published) are NaN where nothing was found; `data` is one of
        `leaplib.tasks.DATA`, mixed or none; `n` says what ours rests on, `note` why a claim is not testable here.
    """
    rows = []
    for claim in (claim_list() if chosen is None else chosen).to_dict("records"):
        try:
            found = MEASURES[claim["measure"]](results, *claim["arguments"].split("; "))
        except UntestedError as reason:
            found = Finding(np.nan, "none", "", note=str(reason))
        note = found.note if found.data in ("real", "none") else data_words(found.data)
        row = {name: claim[name] for name in ("claim", "section", "published")}
        verdict = UNTESTED if note else judge(claim["rule"], found, claim["published"])
        rows.append(row | {"ours": found.value, "difference": found.value - claim["published"], "data": found.data,
                           "n": found.n, "verdict": verdict, "note": note})  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def judge(rule: str, found: Finding, published: float) -> str:
    """Return the verdict of a rule on a number that was found."""
    holds, direction = RULES[rule](found.value, published, found.low)
    return HOLDS if holds else DIRECTION if direction else FAILS


# ---- measures: each finds one number, with the data and the numbers that it rests on


def data_of(kinds: Collection[str]) -> str:
    """Return the one kind of data, or "mixed" where there are several."""
    found = set(kinds)
    return found.pop() if len(found) == 1 else "mixed"


def score(results: Results, task: str, model: str, level: str = PER_PERTURBATION) -> Finding:
    """Return a model's mean Spearman correlation over splits."""
    means = _means(results, task, [model], level)
    return _found(results, task, means[model].mean(), means)


def gain(results: Results, task: str, model: str, other: str) -> Finding:
    """Return a model's relative gain over another, on the splits that both ran on."""
    means = _means(results, task, [model, other])
    return _found(results, task, _relative(means[model], means[other]), means)


def share(results: Results, task: str, model: str, other: str) -> Finding:
    """Return one model's score over all pairs as a share of another's."""
    means = _means(results, task, [model, other], "overall")
    return _found(results, task, means[model].mean() / means[other].mean(), means)


def difference(results: Results, task: str, model: str, other: str) -> Finding:
    """Return one model's score less another's; of LEAP with the lower end of the paired difference's interval."""
    means = _means(results, task, [model, other])
    lows = _comparisons(results, task, [other])["low"] if model == "LEAP" else pd.Series(dtype=float)
    return replace(_found(results, task, (means[model] - means[other]).mean(), means), low=lows.min())


def margin(results: Results, task: str, level: str = PER_PERTURBATION) -> Finding:
    """Return how far LEAP is above the best of the paper's other models; low is the lowest of all comparisons."""
    others = rivals(task)
    means = _means(results, task, ["LEAP", *others], level)
    found = _found(results, task, (means["LEAP"].mean() - means[others].mean()).min(), means)
    return replace(found, low=_comparisons(results, task, others)["low"].min(skipna=False)
                   if level == PER_PERTURBATION else np.nan)  # fmt: skip


def rivals(task: str) -> list[str]:
    """Return the paper's models that are compared with LEAP on a task."""
    design = _task(task).design
    return [name for model in MODELS.values() if model.published and design in model.designs and model.name != "LEAP"
            for name in (model.name, *([model.name + FEW_SHOT] if model.few_shot else []))]  # fmt: skip


def splits_won(results: Results, task: str) -> Finding:
    """Return the share of splits (tissues) in which LEAP is above all other models."""
    others = rivals(task)
    means = _means(results, task, ["LEAP", *others])
    return _found(results, task, (means["LEAP"] > means[others].max(axis=1)).mean(), means)


def tasks_won(results: Results, tasks: str) -> Finding:
    """Return the share of tasks on which LEAP is above all other models."""
    found = [margin(results, task) for task in tasks.split()]
    won = np.mean([each.value > 0 for each in found])
    return Finding(float(won), data_of([each.data for each in found]), f"{len(found)} tasks")


def gap_of_gains(results: Results, tasks: str, others: str) -> Finding:
    """Return LEAP's smallest gain over PP-LGBM on some tasks less its largest on others."""
    ours, theirs = ([gain(results, task, "LEAP", "PP-LGBM") for task in part.split()] for part in (tasks, others))
    value = min(each.value for each in ours) - max(each.value for each in theirs)
    return Finding(value, data_of([each.data for each in [*ours, *theirs]]), f"{len(ours) + len(theirs)} tasks")


def largest_p(results: Results, tasks: str) -> Finding:
    """Return the largest p-value (Holm) of LEAP against the other models of some tasks; 1 where LEAP is behind."""
    for task in tasks.split():
        _check(task, rivals(task), _rows(results.comparisons, task)["model"])
    table = pd.concat([_comparisons(results, task, rivals(task)) for task in tasks.split()])
    p = table["p_holm"].where(table["difference"] > 0, 1.0)
    return Finding(float(p.max()), data_of(table["data"]), f"{len(table)} comparisons")


def above_members(results: Results, task: str) -> Finding:
    """Return how far LEAP is above the best of its members."""
    scores = results.scores[results.scores["task"] == task]
    values = split_values(scores, PER_PERTURBATION, "spearman")
    _check(task, ["LEAP", "PS-LASSO"], values["model"])
    means = values.groupby(["model", "member"])["value"].mean()
    found = _found(results, task, means["LEAP"].item() - means["PS-LASSO"].max(), values)
    return replace(found, n=f"{len(means['PS-LASSO'])} representations, {found.n}")


def step_gain(results: Results, task: str, group: str, pair: str) -> Finding:
    """Return the relative gain of one variant of an ablation over another: "9-8", by number from 1.

    In place of a variant that sources at hand make equal to one before it, and that was not run for that, the last one
    that was run stands.
    """
    after, before = map(int, pair.split("-"))
    rows = _ablation(results, task, group)
    ran = rows[rows["note"] == ""]
    pending = set(rows.loc[rows["note"].isin([NOT_YET, FAILED]), "number"])
    earlier = max((number for number in set(ran["number"]) if number <= before), default=0)
    if after not in set(ran["number"]) or not earlier or pending & set(range(earlier, before + 1)):
        raise UntestedError(f"ablation of task {task} ({group}): {before} or {after} was not run")
    means = ran.pivot(index="split", columns="number", values="value")[[after, earlier]].dropna()
    found = _found(results, task, _relative(means[after], means[earlier]), means.assign(split=means.index), ran["data"])
    return found if earlier == before else replace(found, n=f"{found.n}, {earlier} in place of {before}")


def step_gap(results: Results, task: str, group: str, pairs: str) -> Finding:
    """Return the gain of the first pair of variants less the largest of the others that were run: "9-8 8-7"."""
    first, *others = pairs.split()
    found = step_gain(results, task, group, first)
    rows = _ablation(results, task, group)
    ran = set(rows.loc[rows["note"] == "", "number"])
    gains = [step_gain(results, task, group, pair).value for pair in others if int(pair.split("-")[0]) in ran]
    if not gains:
        raise UntestedError(f"ablation of task {task} ({group}): nothing to compare with was run")
    return Finding(found.value - max(gains), found.data, found.n)


def by_drug(results: Results, task: str, drug: str) -> Finding:
    """Return LEAP's Spearman correlation on one drug of the xenografts, mean over their subsets."""
    rows = results.scores.query("task == @task and perturbation == @drug and model == 'LEAP' and metric == 'spearman'")
    rows = rows[rows["test_set"] >= 0].dropna(subset=["value"])
    _check(task, ["LEAP"], rows["model"])
    return Finding(rows["value"].mean(), data_of(rows["data"]), f"{len(rows)} subsets")


def count(results: Results, task: str, column: str) -> Finding:
    """Return how many samples or perturbations a task's selection rules leave, before a profile draws among them."""
    flow = _flow(results, task)
    data = flow["data"].iloc[0]
    absent = [study for study in TASKS[task].studies if data == "real" and study not in set(flow["branch"])]
    flow = flow[~flow["step"].str.startswith("profile ")]
    flow = flow if (flow["branch"] != "all").all() else flow[flow["branch"] == "all"]
    note = f"without {' and '.join(absent)}" if absent else ""
    return Finding(float(flow[column].iloc[-1]), data, flow["step"].iloc[-1], note=note)


def lost(results: Results, task: str, step: str) -> Finding:
    """Return how many samples a selection rule of a task with a single study removes."""
    flow = _flow(results, task)
    removed = -flow["samples"].diff()[flow["step"] == step]
    if removed.empty:
        raise UntestedError(f"task {task} has no rule {step!r}")
    return Finding(float(removed.iloc[0]), flow["data"].iloc[0], step)


def hours(results: Results, task: str, model: str) -> Finding:
    """Return the hours that a model took on a task, in all splits that the log has; LEAP's are those of its members."""
    data = _data(results, task)
    times = results.times[results.times["task"] == task]
    own = times["model"].str.fullmatch(r"PS-LASSO r\d+|LEAP") if model == "LEAP" else times["model"] == model
    if not own.any():
        raise UntestedError(f"the run log has no {model} on task {task}")
    n = f"{times[own]['split'].nunique()} splits, on this machine, without the autoencoders"
    return Finding(times[own]["seconds"].sum() / 3600, data, n)


def pretraining_hours(results: Results, task: str) -> Finding:
    """Return the hours that the DAMAEs of a task's pool took, one after the other (the paper: on four GPUs)."""
    data = _data(results, task)
    pool = TASKS[task].pool + ("-simulated" if data == "simulated" else "")
    times = results.times.query("model == 'DAMAE' and task == @pool")
    if times.empty:
        raise UntestedError(f"the run log has no DAMAE of {pool}")
    return Finding(times["seconds"].sum() / 3600, data, f"{len(times)} DAMAEs, on this machine")


def times_as_fast(results: Results, task: str, other: str) -> Finding:
    """Return another model's hours on a task by LEAP's."""
    ours, theirs = hours(results, task, "LEAP"), hours(results, task, other)
    return replace(ours, value=theirs.value / ours.value)


MEASURES: dict[str, Callable[..., Finding]] = {
    measure.__name__: measure
    for measure in (score, gain, share, difference, margin, splits_won, tasks_won, gap_of_gains, largest_p,
                    above_members, step_gain, step_gap, by_drug, count, lost, hours, pretraining_hours, times_as_fast)
}  # fmt: skip


def _means(results: Results, task: str, models: Sequence[str], level: str = PER_PERTURBATION) -> pd.DataFrame:
    """Return Spearman's correlations of some models, splits x models, where all of them ran; split and data beside."""
    rows = models_only(split_values(_rows(results.all_scores, task), level, "spearman"))
    _check(task, models, rows["model"])
    rows = rows[rows["model"].isin(models)]
    table = rows.pivot(index="split", columns="model", values="value")[list(models)].dropna()
    if table.empty:
        raise UntestedError(f"task {task} has no split with results of {' and '.join(models)}")
    return table.assign(split=table.index, data=data_of(rows["data"]))


def _check(task: str, models: Sequence[str], present: pd.Series) -> None:
    """Raise UntestedError when a model has no result."""
    absent = [model for model in models if model not in set(present)]
    if absent:
        lacking = f" of {', '.join(absent)}" if len(present) else ""
        raise UntestedError(f"task {task} has no results{lacking}")


def _comparisons(results: Results, task: str, models: Sequence[str]) -> pd.DataFrame:
    """Return how LEAP compares with some models on a task."""
    rows = _rows(results.comparisons, task)
    return rows[rows["model"].isin(models)]


def _task(name: str) -> Task:
    """Return the task of a claim, such as "2a", or "2a external"."""
    return TASKS[name.partition(" ")[0]]


def _rows(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rows of a claim's task; with "external" those of the first external study that there is."""
    task = _task(name)
    rows = frame[frame["task"] == task.id]
    studies = [study for study in task.external if study in set(rows["study"])] if name != task.id else [""]
    return rows[rows["study"].isin(studies[:1])]


def _ablation(results: Results, task: str, group: str) -> pd.DataFrame:
    """Return Spearman's correlation per perturbation: number of the variant (from 1), split, value, data, note."""
    rows = results.ablations.query("task == @task and group == @group")
    if rows.empty:
        raise UntestedError(f"task {task} has no ablation ({group})")
    order = {name: number for number, name in enumerate(rows["variant"].unique(), start=1)}
    left_out = rows[rows["note"] != ""].rename(columns={"variant": "name"})
    means = pd.concat([variant_values(rows).assign(note=""), left_out])
    means = means[(means["level"] == PER_PERTURBATION) & (means["metric"] == "spearman")]
    return means.assign(number=means["name"].map(order))


def _flow(results: Results, task: str) -> pd.DataFrame:
    flow = results.flows[results.flows["task"] == task]
    if flow.empty:
        raise UntestedError(f"task {task} has no cohort")
    return flow


def _data(results: Results, task: str) -> str:
    data = results.scores.loc[results.scores["task"] == task, "data"]
    if data.empty:
        raise UntestedError(f"task {task} has no results")
    return data_of(data)


def _relative(scores: pd.Series, reference: pd.Series) -> float:
    """Return the relative gain of one mean over another."""
    if reference.mean() <= 0:
        raise UntestedError("there is no relative gain over a score that is not above 0")
    return scores.mean() / reference.mean() - 1


def _found(results: Results, task: str, value: float, rows: pd.DataFrame, data: Collection[str] = ()) -> Finding:
    """Return a finding that rests on the splits and data of some rows; how many perturbations, and of which study."""
    scores, known = _rows(results.all_scores, task), _task(task).external
    n = scores.loc[scores["perturbation"] != "", "perturbation"].nunique()
    study = next((name for name in scores["study"] if name), "")
    other = REPRODUCIBILITY in rows and study != known[0]
    return Finding(float(value), data_of(rows["data"] if len(data) == 0 else data),
                   f"{rows['split'].nunique()} splits, {n} perturbations{f' of {study}' if study else ''}",
                   note=f"another study than {known[0]}" if other else "")  # fmt: skip
