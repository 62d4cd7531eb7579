"""What a run would do, on paper: jobs, their states, core-hours and memory, and how it scales with cores.

A job's core-seconds are its work, in the units of its estimator, times the median rate of jobs of its kind in the
profile's run log; where the log has none, times a rate measured on the demo.
"""

import heapq
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pandas as pd

from leaplib.runs.jobs import DONE, STATES, Codes, Fit, Job, OnSplit, Pretrain, Unprepared, task_by_task
from leaplib.runs.recipes import CODE, Recipe
from leaplib.runs.run_log import read_log

PATIENT = 0.05  # a DAMAE stops early after about this much divided by its learning rate, in epochs
PROCESS_GB = 0.75  # libraries and a task's data
LEAST = 0.02  # core-seconds of any job
TRAINING, MEAN = "DAMAE", "mean"
RATES = {
    TRAINING: 0.022, MEAN: 6.0, "PP-LGBM": 1.2, "PP-MLP": 0.22, "PP-tDNN": 0.074, "PS-KNN": 0.007, "PS-LASSO": 2.3,
    "PS-LASSO on identity": 80.0, "PS-LGBM": 0.6, "PS-RF": 7.0, "PS-RIDGE": 0.6, "PS-TCRP": 22.0, "LEAP+": 0.8,
    "elastic net": 3.0, "Training mean": 5.0, "Tissue mean": 5.0,
}  # fmt: skip
"""Core-seconds a unit of work on one core of a virtual machine (x86-64 with AMX), on the demo."""


def kind_of(job: Job) -> str:
    """Return what a job's cost is known under: a model, and what it sees if not codes of DAMAEs."""
    if isinstance(job, Pretrain):
        return TRAINING
    if isinstance(job, Codes):
        other = job.recipe.representation
        return TRAINING if other == "damae" else f"codes {other}"
    fits = _fits(job)
    if not fits or not isinstance(job, Fit):
        return MEAN
    first = fits[0]
    seen = {"damae": first.features}.get(first.representation, first.representation)
    usual = seen == CODE or job.recipe.name == first.model
    return first.model + ("" if usual else f" on {seen}")


def _fits(job: Job) -> list[Recipe]:
    """Return the fits that a job makes itself."""
    if not isinstance(job, Fit) or (job.run.saved_parts(job.recipe) and not job.recipe.stacked):
        return []
    return job.run.fits(job.recipe)


def work_of(job: Job) -> float:
    """Return a job's work in the units of its kind."""
    if not isinstance(job, (Pretrain, OnSplit)):
        return 0.0
    run, profile = job.run, job.profile
    if not isinstance(job, Fit):
        settings: Mapping[str, Any] = {"learning_rate": 1e-4, "max_epochs": 3000, **profile.damae}
        epochs = min(settings["max_epochs"], PATIENT / settings["learning_rate"])
        genes = (job.recipe.n_genes if isinstance(job, Codes) else None) or profile.n_genes
        factor = job.factor if isinstance(job, Pretrain) else 1.0
        samples, most = run.cohort.expression.shape
        return samples * min(genes, most) * epochs * 2 * factor / 1e6  # the refit included
    n_train, n_test, n_perturbations = len(job.split.train), len(job.split.test), run.cohort.response.shape[1]
    n_pairs = round(run.cohort.n_pairs * n_train / len(run.cohort.response))
    fits = _fits(job)
    sets = max(1, len(job.split.left_out)) if job.task.design == "xenograft" and job.recipe.labels == "shuffled" else 1
    cells = n_test * n_perturbations / 1e6
    works = [getattr(run.estimator(fit), "work", lambda *_: cells)(n_train, n_pairs, n_test, n_perturbations)
             for fit in fits]  # fmt: skip
    return sets * sum(works) if fits else cells


def estimate(job: Job, rates: Mapping[str, float] | None = None) -> float:
    """Return a job's core-seconds; `rates` go before the shipped ones."""
    known, kind = RATES | dict(rates or {}), kind_of(job)
    usual = TRAINING if kind.startswith("codes ") else kind.partition(" on ")[0]
    return max(LEAST, known.get(kind, known.get(usual, 1.0)) * work_of(job))


def calibrated(log: pd.DataFrame) -> dict[str, float]:
    """Return the median rate of each kind of jobs in a run log (`leaplib.runs.run_log.read_log`)."""
    entries = computed(log)
    rates = (entries["core_seconds"] / entries["work"]).groupby(entries["cost"]).median()
    return {str(kind): float(rate) for kind, rate in rates.items()}


def computed(log: pd.DataFrame) -> pd.DataFrame:
    """Return the entries of jobs that were computed, the last of each."""
    done = log[log["state"].isin(["computed", "partly failed"]) & (log["work"] > 0)]
    return done.drop_duplicates("job", keep="last")


def memory_of(job: Job) -> float:
    """Return about how much memory a job needs at most, in GB, its process included."""
    if isinstance(job, Unprepared):
        return PROCESS_GB
    cells, cohort = 0, job.run.cohort
    if isinstance(job, OnSplit):
        pan = job.recipe.model.startswith("PP")
        cells = cohort.n_pairs if pan else len(job.split.train) * cohort.response.shape[1]
    return PROCESS_GB + cohort.expression.size * 8 / 1e9 + cells * 200 / 1e9


def table(jobs: Sequence[Job]) -> pd.DataFrame:
    """Return one row a job: job, stage, kind, task, split, model, state, core_seconds, memory_gb, megabytes.

    Core-seconds are estimated at rates calibrated by the profile's own run log, where it has entries of a kind;
    megabytes are what the job reads and writes.
    """
    if not jobs:
        return pd.DataFrame(columns=["job", "stage", "kind", "task", "split", "model", "state", "core_seconds",
                                     "memory_gb", "megabytes"])  # fmt: skip
    rates = calibrated(read_log(jobs[0].profile.name))
    rows = [{"job": job.id, "stage": job.stage, "kind": job.kind, **job.where, "model": kind_of(job),
             "state": job.state(), "core_seconds": estimate(job, rates), "memory_gb": memory_of(job),
             "megabytes": megabytes_of(job)} for job in task_by_task(jobs)]  # fmt: skip
    return pd.DataFrame(rows).set_index("job").loc[[job.id for job in jobs]].reset_index()


def megabytes_of(job: Job) -> float:
    """Return about how much data a job moves: expression or codes and labels in, predictions out."""
    if isinstance(job, Unprepared):
        return 0.0
    cohort = job.run.cohort
    if not isinstance(job, OnSplit):
        return cohort.expression.size * 8 / 1e6
    codes = len(cohort.expression) * 256 * 4
    return (codes + cohort.response.size * 8 + len(job.split.test) * cohort.response.shape[1] * 4) / 1e6


def makespan(plan: pd.DataFrame, cores: int) -> float:
    """Return the seconds that the jobs to be done take on so many cores: longest first, stage after stage."""
    seconds = 0.0
    for _, stage in plan[plan["state"] != DONE].groupby("stage"):
        busy = [0.0] * min(cores, len(stage))
        for cost in sorted(stage["core_seconds"], reverse=True):
            heapq.heappush(busy, heapq.heappop(busy) + cost)
        seconds += max(busy)
    return seconds


def critical_path(plan: pd.DataFrame) -> float:
    """Return the seconds that no number of cores goes below: the longest job of each stage."""
    return float(plan[plan["state"] != DONE].groupby("stage")["core_seconds"].max().sum())


def scaling(plan: pd.DataFrame, cores: Sequence[int]) -> pd.DataFrame:
    """Return, for numbers of cores: seconds, speedup over one core, efficiency."""
    alone = makespan(plan, 1)
    rows = []
    for number in cores:
        seconds = makespan(plan, number)
        speedup = alone / seconds if seconds else 1.0
        rows.append({"cores": number, "seconds": seconds, "speedup": speedup, "efficiency": speedup / number})
    return pd.DataFrame(rows)


def summary(plan: pd.DataFrame) -> pd.DataFrame:
    """Return one row a stage, kind, task and model: how many jobs in each state, core-hours to do, memory."""
    keys = ["stage", "kind", "task", "model"]
    counts = (
        plan.groupby([*keys, "state"], sort=False).size().unstack(fill_value=0).reindex(columns=STATES, fill_value=0)
    )
    left = plan.assign(core_seconds=plan["core_seconds"].where(plan["state"] != DONE, 0)).groupby(keys, sort=False)
    return counts.assign(core_hours=left["core_seconds"].sum() / 3600, memory_gb=left["memory_gb"].max()).reset_index()


def text(jobs: Sequence[Job], cores: Sequence[int], every: bool = False) -> str:
    """Return a plan as the command line prints it."""
    plan = table(jobs)
    if plan.empty:
        return "Nothing to compute: these notebooks show what others have left."
    shown = plan.drop(columns=["job", "megabytes"]).round(2) if every else summary(plan).round(3)
    waiting = plan[plan["state"] != DONE]
    states = ", ".join(f"{(plan['state'] == state).sum():,} {state}" for state in STATES)
    lines = [shown.to_string(index=False), "",
             f"{len(plan):,} jobs: {states}.",
             f"To do: about {waiting['core_seconds'].sum() / 3600:.2f} core-hours; at most "
             f"{plan['memory_gb'].max():.1f} GB a job; {waiting['megabytes'].sum() / 1000:.2f} GB read and written; "
             f"critical path {_time(critical_path(plan))}."]  # fmt: skip
    for number, seconds, speedup, efficiency in scaling(plan, cores).to_numpy():
        lines.append(f"On {number:,.0f} cores: about {_time(seconds)}, {speedup:,.1f} times as fast as on one "
                     f"(efficiency {efficiency:.0%}).")  # fmt: skip
    return "\n".join([*lines, _accuracy(jobs[0].profile.name)])


def _accuracy(profile: str) -> str:
    """Say how good estimates were so far: those of the shipped rates against the run log."""
    log = computed(read_log(profile))
    log = log[log["cost"].isin(list(RATES))]
    if log.empty:
        return f"Estimates rest on shipped rates for {len(RATES)} kinds of jobs; this profile has no run log yet."
    guess = (log["work"] * log["cost"].map(RATES)).clip(lower=LEAST)
    error = (guess / log["core_seconds"].clip(lower=0.01) - 1).abs().median()
    return (f"Run log: {len(log):,} jobs took {log['core_seconds'].sum() / 3600:.2f} core-hours; by the shipped rates "
            f"{guess.sum() / 3600:.2f} (median error of a job about {error:.0%}). Estimates here use the log's own "
            "rates.")  # fmt: skip


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
