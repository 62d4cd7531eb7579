"""What a run would do, on paper: jobs, their states, core-hours and memory, and how it scales with cores."""

import heapq
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pandas as pd

from leaplib.runs.costs import RATES, calibrated, check, estimate, kind_of, memory_of
from leaplib.runs.jobs import DONE, STATES, Job, OnSplit, Unprepared, task_by_task
from leaplib.runs.run_log import read_log


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
    found = check(read_log(profile))
    if found.empty:
        return f"Estimates rest on shipped rates for {len(RATES)} kinds of jobs; this profile has no run log yet."
    total, guess = found["core_seconds"].sum(), found["estimated"].sum()
    error = np.median(np.repeat(found["median_error"].to_numpy(), found["n"].to_numpy()))
    return (f"Run log: {found['n'].sum():,} jobs took {total / 3600:.2f} core-hours; by the shipped rates "
            f"{guess / 3600:.2f} (median error of a job about {error:.0%}). Estimates here use the log's own "
            "rates.")  # fmt: skip


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
