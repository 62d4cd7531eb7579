"""What a run would do, on paper: jobs, their states, core-hours and memory, and how it scales with cores.

A job's core-seconds are its work, in the units of its estimator, times the median rate of jobs of its kind in the
profile's run log; where the log has none, times a rate measured on the demo.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from statistics import geometric_mean, median_low

import pandas as pd

from leaplib.runs.jobs import DONE, MEAN, STATES, TRAINING, Job
from leaplib.runs.records import read_log

OVERHEAD = 0.06  # core-seconds of any job
LEAST = 0.01  # seconds that a clock tells
RECENT = 25  # jobs of a kind that tell of the next
RATES = {
    TRAINING: 0.022, MEAN: 6.0, "PP-LGBM": 1.2, "PP-MLP": 0.22, "PP-tDNN": 0.074, "PS-KNN": 0.007, "PS-LASSO": 2.3,
    "PS-LASSO on identity": 80.0, "PS-LGBM": 0.6, "PS-RF": 12.0, "PS-RIDGE": 0.6, "PS-TCRP": 22.0, "LEAP+": 0.8,
    "elastic net": 3.0, "Training mean": 5.0, "Tissue mean": 5.0,
}  # fmt: skip
"""Core-seconds a unit of work on one core of a virtual machine (x86-64 with AMX), on the demo."""


def estimate(job: Job, rates: Mapping[str, float] | None = None) -> float:
    """Return a job's core-seconds; `rates` go before the shipped ones."""
    known, kind = RATES | dict(rates or {}), job.cost
    usual = TRAINING if kind.startswith("codes ") else kind.partition(" on ")[0]
    return OVERHEAD + known.get(kind, known.get(usual, 1.0)) * job.work


class Pace:
    """How long a run will take from here: what jobs are estimated at, corrected by what those before them took.

    A kind of jobs is corrected by the lower median of its own ratios of seconds to estimates, with one more for the
    machine, the geometric mean over kinds: a first job that compiles, or one that others slowed down, tells little.

    Parameters
    ----------
    jobs : iterable of (id, stage, kind, core-seconds)
        To be done.
    workers : int
        Jobs that are done at a time.
    """

    def __init__(self, jobs: Iterable[tuple[str, int, str, float]], workers: int):
        self.waiting = {job: (stage, kind, cost) for job, stage, kind, cost in jobs}
        self.workers, self.ratios = max(1, workers), dict[str, list[float]]()

    def end(self, job: str, seconds: float | None) -> None:
        """Note that a job has ended, after so many seconds where it was done."""
        _, kind, cost = self.waiting.pop(job)
        if seconds is not None:
            self.ratios.setdefault(kind, []).append(max(seconds, LEAST) / cost)

    def left(self) -> float:
        """Return the seconds from here: of each stage in turn, by all workers, but no less than its longest job."""
        machine = geometric_mean([1.0, *map(median_low, self.ratios.values())])
        costs: dict[int, list[float]] = {}
        for stage, kind, cost in self.waiting.values():
            costs.setdefault(stage, []).append(cost * median_low([machine, *self.ratios.get(kind, [])[-RECENT:]]))
        under_way = sum(costs[min(costs)][: self.workers]) / 2 if costs else 0.0  # half done, on average
        return max(0.0, sum(max(sum(s) / self.workers, max(s)) for s in costs.values()) - under_way / self.workers)


def calibrated(log: pd.DataFrame) -> dict[str, float]:
    """Return the median rate of each kind of jobs in a run log (`leaplib.runs.records.read_log`)."""
    entries = computed(log)
    rates = ((entries["core_seconds"] - OVERHEAD).clip(lower=0) / entries["work"]).groupby(entries["cost"]).median()
    return {str(kind): float(rate) for kind, rate in rates.items()}


def computed(log: pd.DataFrame) -> pd.DataFrame:
    """Return the entries of jobs that were computed, the last of each."""
    done = log[log["state"].isin(["computed", "partly failed"]) & (log["work"] > 0)]
    return done.drop_duplicates("job", keep="last")


def table(jobs: Sequence[Job]) -> pd.DataFrame:
    """Return one row a job: job, stage, kind, task, split, model, state, core_seconds, memory_gb.

    Core-seconds are estimated at rates calibrated by the profile's own run log, where it has entries of a kind.
    """
    columns = ["job", "stage", "kind", "task", "split", "model", "state", "core_seconds", "memory_gb"]
    rates = calibrated(read_log(jobs[0].profile.name)) if jobs else {}
    rows = [{"job": job.id, "stage": job.stage, "kind": job.kind, **job.where, "model": job.cost,
             "state": job.state(), "core_seconds": estimate(job, rates), "memory_gb": job.memory_gb}
            for job in jobs]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def makespan(plan: pd.DataFrame, cores: int) -> float:
    """Return the seconds that the jobs to be done take on so many cores: longest first, stage after stage."""
    seconds = 0.0
    for _, stage in plan[plan["state"] != DONE].groupby("stage"):
        busy = [0.0] * min(cores, len(stage))
        for cost in sorted(stage["core_seconds"], reverse=True):
            heapq.heappush(busy, heapq.heappop(busy) + cost)
        seconds += max(busy)
    return seconds


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
    shown = plan.drop(columns="job").round(2) if every else summary(plan).round(3)
    waiting = plan[plan["state"] != DONE]
    states = ", ".join(f"{(plan['state'] == state).sum():,} {state}" for state in STATES)
    lines = [shown.to_string(index=False), "",
             f"{len(plan):,} jobs: {states}.",
             f"To do: about {waiting['core_seconds'].sum() / 3600:.2f} core-hours; at most "
             f"{plan['memory_gb'].max():.1f} GB a job."]  # fmt: skip
    for number in cores:
        seconds = makespan(plan, number)
        speedup = makespan(plan, 1) / seconds if seconds else 1.0
        lines.append(f"On {number:,.0f} cores: about {timedelta(seconds=round(seconds))}, {speedup:,.1f} times as fast "
                     "as on one.")  # fmt: skip
    log = computed(read_log(jobs[0].profile.name))
    lines.append(f"Run log: {len(log):,} jobs took {log['core_seconds'].sum() / 3600:.2f} core-hours. Estimates "
                 f"rest on its own rates, and for kinds of jobs that it lacks on shipped ones.")  # fmt: skip
    return "\n".join(lines)
