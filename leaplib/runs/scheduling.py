"""Do jobs: in this process, in local processes (joblib) or on a cluster (dask); one outcome a job, whatever happens.

A job that fails is recorded and the others go on; one that waits for it is not tried. Only a disk that refuses stops
a run. What is done is on disk, so that a run that is stopped, or killed, goes on where it was.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed
from joblib.externals.loky import process_executor
from joblib.externals.loky.process_executor import BrokenProcessPool

from leaplib.base.compute import n_cores
from leaplib.base.errors import InputError, StorageError
from leaplib.base.layout import Layout, data_folder, home
from leaplib.base.progress import Progress
from leaplib.base.store import sweep
from leaplib.runs import failures
from leaplib.runs.jobs import Job, Unprepared, task_by_task
from leaplib.runs.outcomes import COMPUTED, FAILED, LOST, PARTLY, Outcome, Runner, do, key_if_any, lost
from leaplib.runs.plan import estimate, kind_of, work_of
from leaplib.runs.run_log import log, log_path


@dataclass(frozen=True)
class Backend:
    """Where jobs run.

    Parameters
    ----------
    jobs : int, optional
        Local processes; by default the environment's LEAP_JOBS, else one a core. With 1, this process.
    threads : int
        Of each job.
    scheduler : str, optional
        Address of a dask scheduler, such as "tcp://10.0.0.1:8786", in place of local processes.
    """

    jobs: int | None = None
    threads: int = 1
    scheduler: str | None = None

    @property
    def n_jobs(self) -> int:
        """Local processes."""
        return self.jobs or int(os.environ.get("LEAP_JOBS", 0)) or max(1, n_cores() // self.threads)


def run_jobs(jobs: Sequence[Job], backend: Backend | None = None, force: bool = False, label: str = "jobs",
             retry: bool | None = None) -> list[Outcome]:  # fmt: skip
    """Do jobs stage by stage and return what became of each.

    Parameters
    ----------
    jobs : sequence of Job
        Of one profile.
    backend : Backend, optional
    force : bool
        Compute again what is done.
    label : str
        For the progress that is shown.
    retry : bool, optional
        Try again what failed before; by default unless a batch is under way, which has just tried it.

    Raises
    ------
    StorageError
        When results cannot be written. What was done stays.
    """
    backend, retry = backend or Backend(), failures.try_again() if retry is None else retry
    if not jobs:
        return []
    profile, outcomes, by_id = jobs[0].profile.name, {}, {job.id: job for job in jobs}
    failed: dict[Path, str] = {}
    for folder in (Layout(profile).results, Layout(profile).processed, Layout(profile).figures):
        sweep(folder)
    costs = {job.id: _cost(job, force) for job in task_by_task(jobs)}
    with Progress(costs, label, str(log_path(profile))) as progress, _runner(backend, profile) as runner:
        for stage in sorted({job.stage for job in jobs}):
            waiting = {job.id: job for job in jobs if job.stage == stage}
            for outcome in _outcomes(list(waiting.values()), failed, runner, force, retry):
                outcomes[outcome.job] = outcome
                _record(by_id[outcome.job], outcome)
                progress.step(outcome.job, outcome.failure is not None, outcome.job)
                if outcome.state in (FAILED, LOST):
                    failed |= {path: outcome.job for path, _ in waiting[outcome.job].results()}
    return [outcomes[job.id] for job in jobs]


def _cost(job: Job, force: bool) -> float:
    """Return the core-seconds that a job will take, as far as they can be told."""
    try:
        return 0.0 if not force and job.is_done() else estimate(job)
    except (InputError, StorageError):
        raise
    except Exception:  # its data cannot be read: when it is done, that is its failure, and recorded
        return 0.0


def _outcomes(jobs: Sequence[Job], failed: Mapping[Path, str], runner: "Runner", force: bool,
              retry: bool) -> Iterator[Outcome]:  # fmt: skip
    """Do jobs but those that need what failed: these are said to have failed for it."""
    causes = {job.id: cause for job in jobs if (cause := _cause(job, failed, force))}
    for job in jobs:
        if job.id in causes:
            yield _failed(job, causes[job.id])
    yield from runner([job for job in jobs if job.id not in causes], force, retry)


def _cause(job: Job, failed: Mapping[Path, str], force: bool) -> failures.Failure | None:
    """Return why a job cannot be tried, or None."""
    if isinstance(job, Unprepared):
        return job.failure
    lacking = [failed[path] for path in job.inputs() if path in failed] if failed else []
    if not lacking or (not force and job.is_done()):
        return None
    return failures.failure_of(job.id, key_if_any(job), RuntimeError(f"not tried: {lacking[0]} failed"), **job.where)


def _failed(job: Job, failure: failures.Failure) -> Outcome:
    """Return the outcome of a job that failed."""
    entry = {"job": job.id, "kind": job.kind, **job.where, "state": FAILED, "error": failure.error}
    return Outcome(job.id, FAILED, entry, failure)


def _record(job: Job, outcome: Outcome) -> None:
    """Log what was computed, and keep or forget its failure."""
    profile = job.profile.name
    if not outcome.entry:
        return
    if outcome.failure:
        failures.record(profile, outcome.failure)
    else:
        failures.forget(profile, job.id)
    size = {"cost": kind_of(job), "work": round(work_of(job), 6)} if outcome.state in (COMPUTED, PARTLY) else {}
    log(profile, **outcome.entry, **size)


@contextmanager
def _runner(backend: Backend, profile: str) -> Iterator[Runner]:
    """Yield what does the jobs of a stage."""
    if backend.scheduler:
        from leaplib.runs.cluster import cluster_runner  # distributed is slow to import

        with cluster_runner(backend.scheduler, backend.threads, profile) as runner:
            yield runner
    elif backend.n_jobs == 1:
        yield lambda jobs, force, retry: (do(job, force, backend.threads, retry) for job in jobs)
    else:
        yield lambda jobs, force, retry: _in_processes(jobs, backend, force, retry)


def _in_processes(jobs: Sequence[Job], backend: Backend, force: bool, retry: bool) -> Iterator[Outcome]:
    """Do jobs in local processes; those that were under way when a process died are tried again alone."""
    waiting = {job.id: job for job in jobs}
    while waiting:
        started: list[Job] = []
        try:
            for outcome in _parallel(list(waiting.values()), backend, force, retry, started):
                waiting.pop(outcome.job)
                yield outcome
        except BrokenProcessPool:
            for job in started:
                if waiting.pop(job.id, None):
                    yield from _alone(job, backend, force, retry)


def _parallel(jobs: Sequence[Job], backend: Backend, force: bool, retry: bool,
              started: list[Job]) -> Iterator[Outcome]:  # fmt: skip
    """Do jobs in processes, and note which were started."""
    places = {"LEAP_HOME": str(home()), "LEAP_DATA": str(data_folder())}

    def tasks() -> Iterator[Any]:
        for job in jobs:
            started.append(job)
            yield delayed(_in_process)(places, job, force, backend.threads, retry)

    n_jobs = max(backend.n_jobs, 2)  # with one, joblib would not start a process
    parallel = Parallel(n_jobs, backend="loky", return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1)
    yield from parallel(tasks())


def _in_process(places: dict[str, str], job: Job, force: bool, threads: int, retry: bool) -> Outcome:
    """Do a job in a process that may have served a run in other folders before.

    A task's data stay in memory from job to job; loky would take them for a leak and start a new process.
    """
    process_executor._MAX_MEMORY_LEAK_SIZE = 1 << 40
    os.environ.update(places)
    return do(job, force, threads, retry)


def _alone(job: Job, backend: Backend, force: bool, retry: bool) -> Iterator[Outcome]:
    """Do one job in a process; where that dies again, the job is the reason."""
    try:
        yield from _parallel([job], backend, force, retry, [])
    except BrokenProcessPool as error:
        yield lost(job, error)
