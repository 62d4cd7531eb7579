"""What results say: the paper's quantitative claims against a run, and verdicts in a few sentences.

A claim (`claims.csv`) is data: where it stands, the published number, a rule, and what ours is measured by (one of
`MEASURES`). Published numbers are the paper's tables, its sentences, or follow from them;
none where it gives an order alone.
Verdicts:

- *holds*, *holds in direction*, *does not hold*: what the rule says, from real data and models at the paper's settings
  alone, however many splits are done (their number stands in the row);
- *not testable here*: the data are not the paper's kind (simulated, or a pocket of real gene effects) in whole or in
  part, the profile is not the paper's (`thinned`), something that the claim speaks of was not run or is not recorded,
  or the published number cannot be. Where there is a number it is given all the same. Counts of samples and
  perturbations do not depend on the profile.

======== ========================================================== ====================================================
rule     holds                                                      holds in direction
======== ========================================================== ====================================================
gain     interval above 0, and off by at most 50% of the published  at least a third of it (`THIRD`)
         gain (`GAIN_SHARE`), or by 0.01 (`GAIN_LEAST`) if more
order    every comparison's interval above 0                        at least a third of the published, if there is one
value    off by at most 0.03 (`VALUE`)                              the same sign, at least a third of it
close    off by at most 0.05 (`CLOSE`)                              never
count    off by at most 2% (`COUNT`)                                off by at most 10% (`COUNT_ROUGH`)
at most  not above the published value by more than the spread      never
at least not below the published value by more than the spread      never
factor   at least 50% of the published factor (`FACTOR_SHARE`)      at least a third of it
share    not below the published share                              above one half
======== ========================================================== ====================================================

Gains and orders are above the spread in either case: the differences that another set of DAMAEs makes
(`leaplib.results.comparisons.REPRESENTATION_SPREAD`). A missing interval is not above 0. Everything else does not hold.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.base.store import load_frame
from leaplib.cohorts.selection import PDX
from leaplib.models.table import FEW_SHOT, MODELS
from leaplib.profiles import PROFILES, Profile
from leaplib.representation.pretraining import folder_of
from leaplib.results import comparisons, external
from leaplib.results.comparisons import MEAN, REFERENCE, REPRESENTATION_SPREAD, REPRODUCIBILITY, models_only, told
from leaplib.results.load import Results
from leaplib.results.printing import markdown, number, percent, with_interval
from leaplib.runs.experiment import FAILED, NOT_YET
from leaplib.runs.recipes import REFERENCES
from leaplib.tasks import TASKS, Task, data_words, get_task

HOLDS, DIRECTION, FAILS, UNTESTED = "holds", "holds in direction", "does not hold", "not testable here"
GAIN_SHARE, GAIN_LEAST, THIRD = 0.5, 0.01, 1 / 3
VALUE, CLOSE = 0.03, 0.05
COUNT, COUNT_ROUGH = 0.02, 0.10
FACTOR_SHARE = 0.5
COLUMNS = ["claim", "section", "published", "ours", "difference", "data", "n", "verdict", "note"]
ANY_PROFILE = ("count", "study", "lost")
"""Measures of what selection rules leave, before a profile draws among it."""
NO_SETTINGS = ("name", "about", "tasks", "simulated", "simulated_lines", "simulated_genes", "n_shuffled",
               "n_identity_genes", "n_averaged", "leaves_out", "max_simulated")  # fmt: skip
"""Fields of a profile that the models of the claims do not depend on."""
DAMAE = "DAMAE"
SHUFFLED = "LEAP (shuffled labels)"
SIMPLEST = "PS-RIDGE"
"""Of the candidates: a ridge regression on the genes, without autoencoders."""
COMPARED = {comparisons.BETTER: "better than", comparisons.WORSE: "worse than", comparisons.APART: "not told from"}
TOLD = ("A difference is told where its 95% interval over splits excludes 0 (one split has none) and it is larger than "
        f"{REPRESENTATION_SPREAD:g}, which is what another set of DAMAEs makes.")  # fmt: skip


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
    low, high : float
        Ends of its 95% interval, NaN where there is none.
    spread : float
        What another set of DAMAEs changes, in the unit of the value; 0 where that does not matter.
    note : str
        Why the number is no test of the claim; "" where it is.
    """

    value: float
    data: str
    n: str
    low: float = np.nan
    high: float = np.nan
    spread: float = 0.0
    note: str = ""


def judge(rule: str, found: Finding, published: float) -> str:
    """Return the verdict of a rule on a number that was found."""
    ours, paper, off = found.value, np.nan_to_num(published), abs(found.value - published)
    part = ours * np.sign(paper) >= THIRD * abs(paper)  # at least a third of the published, on the same side of 0
    above, shown = ours > found.spread, found.low > 0 and ours > found.spread
    holds, direction = {
        "gain": (shown and off <= max(GAIN_SHARE * paper, GAIN_LEAST), above and part),
        "order": (shown, above and part),
        "value": (off <= VALUE, part),
        "close": (off <= CLOSE, False),
        "count": (off <= COUNT * paper, off <= COUNT_ROUGH * paper),
        "at most": (ours <= paper + found.spread, False),
        "at least": (ours >= paper - found.spread, False),
        "factor": (ours >= FACTOR_SHARE * paper, part),
        "share": (ours >= paper, ours > 0.5),
    }[rule]
    return HOLDS if holds else DIRECTION if direction else FAILS


def claim_list() -> pd.DataFrame:
    """Return the claims: claim, section, published, rule, measure, arguments, note (why it cannot be tested)."""
    return pd.read_csv(Path(__file__).with_name("claims.csv")).fillna({"note": ""})


def thinned(profile: Profile) -> str:
    """Return which settings of a profile are not the paper's; "" where all are."""
    names = [field.name for field in fields(Profile) if field.name not in NO_SETTINGS]
    apart = [name for name in names if getattr(profile, name) != getattr(PROFILES["paper"], name)]
    said = ", ".join(apart) if len(apart) < 4 else f"{len(apart)} differ, see notebook 00"
    return f"not at the paper's settings ({said})" if apart else ""


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
    if chosen is None:  # asked for by a table, a verdict and a notebook
        if "claimed" not in vars(results):
            vars(results)["claimed"] = claims(results, claim_list())
        return vars(results)["claimed"].copy()
    rows, settings = [], thinned(results.profile)
    for claim in chosen.to_dict("records"):
        try:
            found = MEASURES[claim["measure"]](results, *claim["arguments"].split("; "))
        except UntestedError as reason:
            found = Finding(np.nan, "none", "", note=str(reason))
        kind = "" if found.data in ("real", "none") else data_words(found.data)
        note = claim["note"] or kind or ("" if claim["measure"] in ANY_PROFILE else settings) or found.note
        verdict = UNTESTED if note else judge(claim["rule"], found, claim["published"])
        rows.append(claim | {"ours": found.value, "difference": found.value - claim["published"], "data": found.data,
                             "n": found.n, "verdict": verdict, "note": note})  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


# ---- measures: each finds one number, with the data and the numbers that it rests on


def score(results: Results, task: str, model: str, level: str = MEAN[0]) -> Finding:
    """Return a model's mean Spearman correlation over splits."""
    return _found(results, task, _means(results, task, [model], level), models=[model])


def gain(results: Results, task: str, model: str, other: str) -> Finding:
    """Return a model's relative gain over another, on the splits that both ran on."""
    means = _means(results, task, [model, other])
    return _found(results, task, *_relative(means[model], means[other]))


def share(results: Results, task: str, model: str, other: str) -> Finding:
    """Return one model's score over all pairs as a share of another's."""
    means = _means(results, task, [model, other], "overall")
    return _found(results, task, means[model] / means[other].mean())


def difference(results: Results, task: str, model: str, other: str) -> Finding:
    """Return one model's score less another's."""
    means = _means(results, task, [model, other])
    return _found(results, task, means[model] - means[other], REPRESENTATION_SPREAD, [model, other])


def margin(results: Results, task: str, level: str = MEAN[0]) -> Finding:
    """Return how far LEAP is above the best of the paper's other models; low is the lowest of all comparisons."""
    means = _means(results, task, [REFERENCE, *rivals(task)], level)
    return _found(results, task, means.drop(columns=REFERENCE).rsub(means[REFERENCE], axis=0), REPRESENTATION_SPREAD)


def rivals(task: str) -> list[str]:
    """Return the paper's models that are compared with LEAP on a task."""
    design = _task(task).design
    return [name for model in MODELS.values() if model.published and design in model.designs and model.name != REFERENCE
            for name in (model.name, *([model.name + FEW_SHOT] if model.few_shot else []))]  # fmt: skip


def n_splits(results: Results, task: str) -> Finding:
    """Return the number of splits (tissues) of a task."""
    found = score(results, task, REFERENCE)
    return replace(found, value=float(found.n.split()[0]))


def splits_won(results: Results, task: str) -> Finding:
    """Return the share of splits (tissues) in which LEAP is above all other models."""
    return _found(results, task, _won(results, task).astype(float))


def splits_lost(results: Results, task: str, *expected: str) -> Finding:
    """Return how far the splits that LEAP does not win are those expected: common ones by those of either."""
    won = _won(results, task)
    ours = set(won.index[~won])
    return replace(splits_won(results, task), value=len(ours & set(expected)) / len(ours | set(expected)))


def _won(results: Results, task: str) -> pd.Series:
    """Tell in which splits LEAP is above all other models."""
    means = _means(results, task, [REFERENCE, *rivals(task)])
    return means[REFERENCE] > means.drop(columns=REFERENCE).max(axis=1) + REPRESENTATION_SPREAD


def tasks_won(results: Results, tasks: str) -> Finding:
    """Return the share of tasks on which LEAP is above all other models."""
    found = [margin(results, task) for task in tasks.split()]
    won = np.mean([each.value > each.spread for each in found])
    return Finding(float(won), data_of([each.data for each in found]), f"{len(found)} tasks")


def gap_of_gains(results: Results, tasks: str, others: str) -> Finding:
    """Return LEAP's smallest gain over PP-LGBM on some tasks less its largest on others."""
    ours, theirs = ([gain(results, task, REFERENCE, "PP-LGBM") for task in part.split()] for part in (tasks, others))
    value = min(each.value for each in ours) - max(each.value for each in theirs)
    low = min(each.low for each in ours) - max(each.high for each in theirs)  # wider than need be
    both = [*ours, *theirs]
    data, spread = data_of([each.data for each in both]), max(each.spread for each in both)
    return Finding(value, data, f"{len(both)} tasks", low, spread=spread)


def largest_p(results: Results, tasks: str) -> Finding:
    """Return the largest p-value of LEAP against the other models of some tasks; 1 where it is not ahead of one.

    Of the tests over perturbations (Holm) and over splits.
    """
    parts = []
    for task in tasks.split():
        compared = _rows(results.comparisons, task)
        _check(task, rivals(task), compared["model"])
        parts.append(compared[compared["model"].isin(rivals(task))])
    table = pd.concat(parts)
    p = table[["p_holm", "p_splits"]].max(axis=1, skipna=False).where(table["difference"] > REPRESENTATION_SPREAD, 1.0)
    return Finding(float(p.max(skipna=False)), data_of(table["data"]), f"{len(table)} comparisons")


def above_members(results: Results, task: str) -> Finding:
    """Return how far LEAP is above the best of its members."""
    values = comparisons.split_values(_rows(results.scores, task), *MEAN)
    _check(task, [REFERENCE, "PS-LASSO"], values["model"])
    wide = values.pivot(index="split", columns=["model", "member"], values="value")
    apart = wide["PS-LASSO"].rsub(pd.DataFrame(wide[REFERENCE]).mean(axis=1), axis=0).dropna()
    found = _found(results, task, apart, REPRESENTATION_SPREAD)
    return replace(found, n=f"{apart.shape[1]} representations, {found.n}")


def step_gain(results: Results, task: str, group: str, pair: str) -> Finding:
    """Return the relative gain of one variant of an ablation over another: "9-8", by number from 1.

    In place of a variant that sources at hand make equal to one before it, and that was not run for that, the last one
    that was run stands.
    """
    gains, spread, earlier = _step(results, task, group, pair)
    found, before = _found(results, task, gains, spread, part="ablations"), pair.split("-")[1]
    return found if str(earlier) == before else replace(found, n=f"{found.n}, {earlier} in place of {before}")


def step_gap(results: Results, task: str, group: str, pairs: str) -> Finding:
    """Return the gain of the first pair of variants less the largest of the others that were run: "9-8 8-7"."""
    first, *others = pairs.split()
    gains, spread, _ = _step(results, task, group, first)
    rows = _ablation(results, task, group)
    ran = set(rows.loc[rows["note"] == "", "number"])
    apart = {pair: gains - _step(results, task, group, pair)[0] for pair in others if int(pair.split("-")[0]) in ran}
    if not apart:
        raise UntestedError(f"ablation of task {task} ({group}): nothing to compare with was run")
    return _found(results, task, pd.DataFrame(apart).dropna(), spread, part="ablations")


def _step(results: Results, task: str, group: str, pair: str) -> tuple[pd.Series, float, int]:
    """Return the relative gains of a pair of variants by split, their spread, and what stands for the second."""
    after, before = map(int, pair.split("-"))
    rows = _ablation(results, task, group)
    ran, pending = rows[rows["note"] == ""], rows.loc[rows["note"].isin([NOT_YET, FAILED]), "number"]
    earlier = max((number for number in set(ran["number"]) if number <= before), default=0)
    if after not in set(ran["number"]) or not earlier or pending.between(earlier, before).any():
        raise UntestedError(f"ablation of task {task} ({group}): {before} or {after} was not run")
    means = ran.pivot(index="split", columns="number", values="value")[[after, earlier]].dropna()
    return *_relative(means[after], means[earlier]), earlier


def _ablation(results: Results, task: str, group: str) -> pd.DataFrame:
    """Return Spearman's correlation per perturbation: number of the variant (from 1), split, value, data, note."""
    rows = results.ablations.query("task == @task and group == @group")
    if rows.empty:
        raise UntestedError(f"task {task} has no ablation ({group})")
    order = {name: number for number, name in enumerate(rows["variant"].unique(), start=1)}
    ran = comparisons.split_values(rows[rows["note"] == ""], *MEAN).assign(note="")
    means = pd.concat([ran, rows[rows["note"] != ""]])
    return means.assign(number=means["variant"].map(order))


def by_drug(results: Results, task: str, drug: str) -> Finding:
    """Return LEAP's Spearman correlation on one drug of the xenografts, mean over their subsets."""
    rows = results.scores.query("task == @task and perturbation == @drug and model == 'LEAP' and metric == 'spearman'")
    rows = rows[rows["test_set"] >= 0].dropna(subset=["value"])
    _check(task, [REFERENCE], rows["model"])
    return Finding(rows["value"].mean(), data_of(rows["data"]), f"{len(rows)} subsets")


def count(results: Results, task: str, column: str) -> Finding:
    """Return how many samples, perturbations or pairs a task's selection rules leave, before a profile draws."""
    flow = _flow(results, task)
    present, last = set(flow["branch"]), flow[flow["branch"] == "all"] if (flow["branch"] == "all").any() else flow
    data = flow["data"].iloc[0]
    absent = [study for study in TASKS[task].studies if data == "real" and study not in present]
    note = f"without {' and '.join(absent)}" if absent else ""
    return Finding(float(last[column].iloc[-1]), data, last["step"].iloc[-1], note=note)


def study(results: Results, task: str, name: str, column: str) -> Finding:
    """Return how many samples, perturbations or pairs of one study its own rules leave (supplementary table 1)."""
    flow = _flow(results, task).query("branch == @name")
    own = flow["step"] == "median of repeats"
    flow = flow[own] if name in TASKS[task].studies and own.any() else flow  # what follows are the held-out study's
    if flow.empty:
        raise UntestedError(f"without {name}")
    return Finding(float(flow[column].iloc[-1]), flow["data"].iloc[-1], flow["step"].iloc[-1])


def lost(results: Results, task: str, step: str) -> Finding:
    """Return how many samples a selection rule of a task with a single study removes."""
    flow = _flow(results, task)
    removed = -flow["samples"].diff()[flow["step"] == step]
    if removed.empty:
        raise UntestedError(f"task {task} has no rule {step!r}")
    return Finding(float(removed.iloc[0]), flow["data"].iloc[0], step)


def _flow(results: Results, task: str) -> pd.DataFrame:
    """Return the counts of a task's rules, before a profile draws among what they leave."""
    flow = results.flows[results.flows["task"] == task]
    if flow.empty:
        raise UntestedError(f"task {task} has no cohort")
    return flow[~flow["step"].str.startswith("profile ")]


def pooled(results: Results, tasks: str, what: str) -> Finding:
    """Return the genes, lines or xenografts that the DAMAEs of the pools of some tasks see together."""
    folders = [folder_of(results.profile, TASKS[task]) for task in tasks.split()]
    for folder in folders:
        if not (folder / "samples.parquet").exists():
            raise UntestedError(f"no DAMAEs of {folder.name}")
    samples = pd.concat([load_frame(folder / "samples.parquet") for folder in folders])
    genes = {gene for folder in folders for gene in load_frame(folder / "scaler.parquet").index}
    tumours = samples["domain"] == PDX
    counts = {"genes": len(genes), "lines": samples.index[~tumours].nunique(), "xenografts": int(tumours.sum())}
    data = data_of([_flow(results, task)["data"].iloc[0] for task in tasks.split()])
    return Finding(float(counts[what]), data, ", ".join(folder.name for folder in folders))


def hours(results: Results, task: str, model: str) -> Finding:
    """Return the hours that a model took on a task, in all splits that the log has; LEAP's are those of its members.

    Those of the DAMAEs are of the task's pool, one after the other (the paper: on four GPUs).
    """
    kinds = results.scores.loc[results.scores["task"] == task, "data"]
    if kinds.empty:
        raise UntestedError(f"task {task} has no results")
    data = data_of(kinds)
    pool = TASKS[task].pool + ("-simulated" if data == "simulated" else "")
    times = results.times[results.times["task"] == (pool if model == DAMAE else task)]
    own = times[times["model"].str.fullmatch(r"PS-LASSO r\d+|LEAP") if model == REFERENCE else times["model"] == model]
    if own.empty:
        raise UntestedError(f"the run log has no {model} {f'of {pool}' if model == DAMAE else f'on task {task}'}")
    n = f"{own['split'].nunique()} splits, on this machine, without the autoencoders"
    n = f"{len(own)} DAMAEs, on this machine" if model == DAMAE else n
    return Finding(own["seconds"].sum() / 3600, data, n)


def times_as_fast(results: Results, task: str, other: str) -> Finding:
    """Return another model's hours on a task by LEAP's."""
    ours, theirs = hours(results, task, REFERENCE), hours(results, task, other)
    return replace(ours, value=theirs.value / ours.value)


MEASURES: dict[str, Callable[..., Finding]] = {
    measure.__name__: measure
    for measure in (score, gain, share, difference, margin, n_splits, splits_won, splits_lost, tasks_won, gap_of_gains,
                    largest_p, above_members, step_gain, step_gap, by_drug, count, study, lost, pooled, hours,
                    times_as_fast)
}  # fmt: skip


def data_of(kinds: Collection[str]) -> str:
    """Return the one kind of data, or "mixed" where there are several."""
    found = set(kinds)
    return found.pop() if len(found) == 1 else "mixed"


@lru_cache(maxsize=2)
def _values(results: Results, level: str) -> pd.DataFrame:
    """Return Spearman's correlations of all tasks and models, one a split, which many claims ask for."""
    return models_only(comparisons.split_values(results.all_scores, level, "spearman"))


def _means(results: Results, task: str, models: Sequence[str], level: str = MEAN[0]) -> pd.DataFrame:
    """Return Spearman's correlations of some models, splits x models, where all of them ran."""
    rows = _rows(_values(results, level), task)
    _check(task, models, rows["model"])
    table = rows.pivot(index="split", columns="model", values="value")[list(models)].dropna()
    if table.empty:
        raise UntestedError(f"task {task} has no split with results of {' and '.join(models)}")
    return table


def _check(task: str, models: Sequence[str], present: pd.Series) -> None:
    """Raise UntestedError when a model has no result."""
    absent = [model for model in models if model not in set(present)]
    if absent:
        lacking = f" of {', '.join(absent)}" if len(present) else ""
        raise UntestedError(f"task {task} has no results{lacking}")


def _task(name: str) -> Task:
    """Return the task of a claim, such as "2a", or "2a external"."""
    return TASKS[name.partition(" ")[0]]


def _rows(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rows of a claim's task; with "external" those of the first external study that there is."""
    task = _task(name)
    rows = frame[frame["task"] == task.id]
    if "study" not in rows:
        return rows
    studies = [study for study in task.external if study in rows["study"].unique()] if name != task.id else [""]
    return rows[rows["study"].isin(studies[:1])]


def _relative(scores: pd.Series, reference: pd.Series) -> tuple[pd.Series, float]:
    """Return by split what scores gain, relative to a reference's mean, and the spread in the same unit."""
    level = reference.mean()
    if level <= 0:
        raise UntestedError("there is no relative gain over a score that is not above 0")
    return (scores - reference) / level, REPRESENTATION_SPREAD / level


def _found(results: Results, task: str, values: pd.Series | pd.DataFrame, spread: float = 0.0,
           models: Sequence[str] = (), part: str = "all_scores") -> Finding:  # fmt: skip
    """Return the mean over splits with its interval; of several columns the least of each.

    `n` says how many splits and perturbations that rests on and, where one is held out, of which study.
    """
    apart, ratio = pd.DataFrame(values), comparisons.ratio_of(task)
    low, high = np.min([comparisons.interval(apart[name].to_numpy(), ratio) for name in apart], axis=0)
    scores, known = getattr(results, part), _task(task).external
    rows = _rows(scores.filter(["task", "study", "perturbation", "data"]), task)
    n = rows.loc[rows["perturbation"] != "", "perturbation"].nunique()
    held_out = next(filter(None, rows["study"].unique()), "") if "study" in rows else ""
    about = f"{len(apart)} splits, {n} perturbations{f' of {held_out}' if held_out else ''}"
    note = f"another study than {known[0]}" if REPRODUCIBILITY in models and held_out != known[0] else ""
    return Finding(float(apart.mean().min()), data_of(rows["data"].unique()), about, low, high, spread, note)


# ---- verdicts: a small table and a few sentences that follow from the numbers


def verdict(results: Results, about: str) -> str:
    """Return, as Markdown, what the results say about something, and what they do not.

    A difference is told where its 95% interval over splits excludes 0 and it is larger than what another set of DAMAEs
    changes (`leaplib.results.comparisons.told`).

    Parameters
    ----------
    results : Results
    about : str
        "task 1a 2a" (one or several), "external 2a", "ablations 1a", "ensembles 1a", "tuning 3a", "additions",
        "autoencoders 2a 4a", "beyond 2a 4a", "candidates 2a", "choice", "domains" or "claims".
    """
    subject, _, task = about.partition(" ")
    if subject not in VERDICTS:
        raise InputError(f"a verdict about {about!r} is unknown: use one of {', '.join(VERDICTS)}, with a task")
    part, tell = VERDICTS[subject]
    if not len(getattr(results, part)):
        return f"**{about.capitalize()}**: no results, and nothing to tell. {results.why(part)}"
    return tell(results, task)


def _sentence(name: str, found: Mapping[str, str], other: str) -> str:
    """Say on which tasks something is better, worse or not told from another, by what is found on each."""
    tasks = {kind: ", ".join(task for task in found if found[task] == kind) for kind in COMPARED}
    parts = [f"{COMPARED[kind]} {other} on task{'s' * (', ' in on)} {on}" for kind, on in tasks.items() if on]
    return f"**{name}** is {'; '.join(parts)}." if parts else f"**{name}** has no results."


def _tasks(results: Results, tasks: str) -> str:
    """Say how LEAP compares with the best of the paper's other models on some tasks."""
    rows, found = [], {}
    for task in tasks.split():
        part = results.scores[results.scores["task"] == task]
        means = comparisons.by_split(part).mean() if len(part) else pd.Series(dtype=float)
        compared = _rows(results.comparisons, task).set_index("model").to_dict("index")
        others = means.reindex([name for name in rivals(task) if name in compared]).dropna()
        beside = (REFERENCE, "PS-RIDGE", "LEAP+", "Tissue mean", SHUFFLED)
        row = {"task": task} | {name: number(means.get(name, np.nan), 3) for name in beside}
        if len(others):
            best = str(others.idxmax())
            found[task] = told(compared[best])
            row |= {"best other model of the paper": f"{best} {others[best]:.3f}",
                    "LEAP less it": with_interval(compared[best], 3)}  # fmt: skip
        splits = part.loc[part["model"] == REFERENCE, "split"].nunique()
        rows.append(row | {"splits": splits, "data": next(iter(part["data"]), "")})
    settings = thinned(results.profile)
    caution = f"Models are {settings}: their order here is no verdict on the paper's." if settings else ""
    text = _sentence(REFERENCE, found, "the best of the paper's other models")
    return f"{markdown(rows)}\n\n{text} {TOLD} {caution}".strip()


def _versus(results: Results, tasks: str, names: Sequence[str]) -> str:
    """Say how candidates compare with LEAP on some tasks, by default all."""
    table = comparisons.gains_table(results.candidates, results.times)
    table = table[table["task"].isin(tasks.split())] if tasks else table
    rows = []
    for task, part in table.groupby("task", sort=False):
        found = part.set_index("candidate").to_dict("index")
        row = {"task": task, "LEAP": number(found[REFERENCE]["mean"], 3)}
        for name in [name for name in names if name in found]:
            row |= {name: number(found[name]["mean"], 3), f"{name} less LEAP": with_interval(found[name], 3)}
        rows.append(row | {"data": part["data"].iloc[0]})
    known = table[table["difference"].notna()].to_dict("records")
    texts = [_sentence(name, {row["task"]: told(row) for row in known if row["candidate"] == name}, REFERENCE)
             for name in names]  # fmt: skip
    return f"{markdown(rows)}\n\n{' '.join(texts)} {TOLD}"


def _sorted_out(rows: pd.DataFrame, names: pd.Series, than: str) -> list[str]:
    """Return an item each for what is better, not told apart, and worse."""
    items: dict[str, list[str]] = {comparisons.BETTER: [], comparisons.APART: [], comparisons.WORSE: []}
    for name, row in zip(names, rows.to_dict("records"), strict=True):
        items[told(row)].append(f"{name} ({row['difference']:+.4f})")
    heads = (f"Better than {than}", "Not told apart", f"Worse than {than}")
    return [f"- {head}: {'; '.join(found)}." for head, found in zip(heads, items.values(), strict=True) if found]


def _ablations(results: Results, task: str, group: str) -> str:
    """Say which variants of a task are better than what they are compared with."""
    table = comparisons.ablation_table(results.ablations[results.ablations["task"] == task], [group])
    rows, reference = table.query("level == 'per_perturbation' and metric == 'spearman'"), REFERENCES.get(group)
    tested, n = rows[rows["compared_with"].notna()], int(rows["n_splits"].max())
    names = "step " + rows["step"].astype(str) + ", " + rows["name"] if "step" in rows else rows["name"]
    left_out = "; ".join((names + ", " + rows["note"])[rows["note"] != ""])
    about = f"**Task {task}{f', {group}' if reference else ''}** ({data_words(rows['data'].iloc[0])}, " \
            f"{n} split{'s' * (n != 1)})"  # fmt: skip
    items = _sorted_out(tested, names[tested.index], f'"{reference}"' if reference else "the one before")
    items += [f"- Left out: {left_out}."] if left_out else []
    return "\n".join([f"{about}:", "", *items] if items else [f"{about}. Nothing to compare."])


def _additions(results: Results, task: str) -> str:
    """Say what each comparison that the paper lacks supports."""
    rows = results.ablations[results.ablations["group"].isin(REFERENCES)]
    pairs = rows[["task", "group"]].drop_duplicates().to_numpy()
    return "\n\n".join(_ablations(results, one, group) for one, group in pairs if task in ("", one))


def _candidates(results: Results, task: str) -> str:
    """Say which candidate has the highest mean on a task, and how it compares with the simplest."""
    task = task or results.candidates["task"].iloc[0]
    scores = results.candidates[results.candidates["task"] == task]
    table, title = comparisons.gains(scores), get_task(task).title
    names = list(table.dropna(subset="difference")["candidate"])
    head = f"**Task {task}**, {title[0].lower()}{title[1:]} ({data_words(table['data'].iloc[0])})"
    if len(names) < 2:
        return f"{head}. **No verdict**: LEAP, or all others, failed."
    best = names[0]
    other = next(name for name in (SIMPLEST, REFERENCE, *names) if name in names and name != best)
    row = comparisons.gains(scores, reference=other).set_index("candidate").to_dict("index")[best]
    text = f"{head}: of {len(table)} candidates **{best}** has the highest mean, {row['mean']:.3f}. " \
           f"It is {COMPARED[told(row)]} {other}: {with_interval(row, 3)}."  # fmt: skip
    failed = table.loc[table["mean"].isna(), "candidate"]
    return f"{text} **Failed**: {'; '.join(failed)}." if len(failed) else text


def _choice(results: Results, name: str) -> str:
    """Say whether LEAP+, or another candidate, is what would have been chosen within the training sets."""
    rows = comparisons.choice(results.inner, results.candidates).set_index("candidate")
    name, gain = name or "LEAP+", rows["inner_gain"]
    failed = rows.index[gain.isna() & rows.index.isin([REFERENCE, name])]
    if len(failed):
        return f"**No verdict** within the training sets: {' and '.join(failed)} failed there."
    first = str(rows.index[0])
    text = (f"Within the training sets **{first}** gains most on LEAP, of {len(rows)} candidates: {gain[first]:+.3f} "
            "in the mean of Spearman, Pearson and the AUROC of responders.")  # fmt: skip
    if name != first:
        close = "not told from it" if gain[first] - gain[name] <= REPRESENTATION_SPREAD else "behind it"
        text += f" {name} is number {rows['rank'][name]}, {close}: {gain[name]:+.3f}."
    for test in map(str, rows.filter(like="test_")):
        share = percent(rows[test][name] / rows[test][REFERENCE] - 1) or "failed"
        text += f" On the test samples of task {test[5:]}, which the choice did not see, {name}: {share}."
    return text


def _domains(results: Results, task: str) -> str:
    """Say how much it matters how cell lines and xenografts are brought together."""
    table = comparisons.domain_shift(results.harmonised)
    leap = table[table["model"] == REFERENCE].set_index("harmonise")["mean"]
    row = {str(how): number(mean, 3) for how, mean in leap.items()}
    return (f"{markdown([row])}\n\nLEAP on task 5a by the way to join domains: the largest difference is "
            f"{leap.max() - leap.min():.3f}, and one split has no interval.")  # fmt: skip


def _external(results: Results, task: str) -> str:
    return external.counts(results.profile, get_task(task))


def _claims(results: Results, _: str) -> str:
    """Say how many claims hold, which do not and why others cannot be tested."""
    table, of_data = claims(results), claim_list()["measure"].isin(ANY_PROFILE)  # in one order
    counts, tested = table["verdict"].value_counts(), table[table["verdict"] != UNTESTED]
    hold, direction, fail = (counts.get(name, 0) for name in (HOLDS, DIRECTION, FAILS))
    text = (f"Of {len(table)} claims, {len(tested)} can be tested here: {hold} hold, {direction} in direction alone, "
            f"{fail} not; {of_data[tested.index].sum()} of these are counts of the data at hand.")  # fmt: skip
    rows = [{"verdict": row["verdict"], "claim": row["claim"], "paper": number(row["published"], 3),
             "this run": number(row["ours"], 3), "of": row["n"]}
            for row in tested[tested["verdict"] != HOLDS].to_dict("records")]  # fmt: skip
    reasons = table[table["verdict"] == UNTESTED]["note"].value_counts()
    why = [{"not testable here, since": reason, "claims": n} for reason, n in reasons.items()]
    return "\n\n".join([text, *(markdown(part) for part in (rows, why) if part)])


VERDICTS: dict[str, tuple[str, Callable[[Results, str], str]]] = {
    "task": ("scores", _tasks),
    "external": ("external", _external),
    "ablations": ("ablations", partial(_ablations, group="steps")),
    "ensembles": ("ablations", partial(_ablations, group="ensembles")),
    "tuning": ("ablations", partial(_ablations, group="tuning")),
    "additions": ("ablations", _additions),
    "autoencoders": ("candidates", partial(_versus, names=["PS-LASSO", "PS-RIDGE"])),
    "candidates": ("candidates", _candidates),
    "choice": ("inner", _choice),
    "beyond": ("candidates", partial(_versus, names=["LEAP+"])),
    "domains": ("harmonised", _domains),
    "claims": ("scores", _claims),
}
"""What a verdict can be about, the part of the results that it rests on, and what tells it."""
