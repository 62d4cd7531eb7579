"""Do jobs: in this process, in local processes or on a dask cluster; one outcome a job, whatever happens.

A job that fails is recorded and the others go on; one that waits for it is not tried. Only a disk that refuses stops
a run. What is done is on disk, so that a run that is stopped, or killed, goes on where it was.

A cluster's scheduler is trusted as the user's own shell is: dask sends functions as pickles, so connect to none but
your own (TLS: distributed's own settings). Local processes listen on no port.
"""

import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing import get_context, parent_process
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from tqdm import tqdm

from leaplib.base.compute import limited, machine, n_cores, quiet
from leaplib.base.errors import InputError, StorageError
from leaplib.base.layout import Layout, data_folder, home
from leaplib.base.store import code_version, sweep, write_text
from leaplib.runs.jobs import Job, Pace, calibrated, estimate
from leaplib.runs.records import Failure, failure_of, find, forget, keep, log, log_path, measured, read_log, try_again

GPU = "GPU"
WAIT = 60  # seconds for the first worker of a cluster
PATIENCE = 300  # seconds without any worker, later on: they may be started anew
EVERY = 30.0  # seconds between plain lines of progress
LOOK = 10  # seconds between looks at the workers
EVERYTHING = "leaplib.runs.engine", "leaplib.cohorts.prepare"

DEAD = "its process died (killed, or out of memory): free memory or use fewer --jobs, and run again"
DONE, COMPUTED, PARTLY, FAILED, LOST = "done", "computed", "partly failed", "failed", "lost"


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Parameters
    ----------
    job : str
        Its id.
    state : {"done", "computed", "partly failed", "failed", "lost"}
        Done before; computed now; computed but for some perturbations; failed; its process died.
    entry : dict
        For the run log.
    failure : Failure, optional
    """

    job: str
    state: str
    entry: dict[str, Any]
    failure: Failure | None = None


def do(job: Job, force: bool, threads: int, retry: bool) -> Outcome:
    """Do a job and say what became of it; of what is raised only StorageError passes."""
    try:
        failed = find(job.profile.name, job.id, job.key)
        if failed and not retry:
            return Outcome(job.id, PARTLY if failed.perturbations else FAILED, {}, failed)
        if not force and not failed and job.is_done():
            return Outcome(job.id, DONE, {})
        errors: dict[str, Exception] = {}
        with limited(threads), measured() as taken:
            job.deed(job, errors)
        entry = {"threads": threads, **taken, **machine(job.device)}
        if not errors:
            return Outcome(job.id, COMPUTED, entry)
        named = {name: f"{type(error).__name__}: {error}".splitlines()[0] for name, error in errors.items()}
        first = failure_of(job.id, job.key, next(iter(errors.values())), **job.where)
        return Outcome(job.id, PARTLY, entry, replace(first, perturbations=named))
    except StorageError:
        raise
    except Exception as error:  # whatever it is, the other jobs go on; it is kept with its traceback
        return unsuccessful(job, error)


def unsuccessful(job: Job, error: BaseException, state: str = FAILED, why: str = "") -> Outcome:
    """Return the outcome of a job that failed or, where its process died, is lost."""
    failure = failure_of(job.id, job.key, error, **job.where)
    failure = replace(failure, error=why) if why else failure
    return Outcome(job.id, state, {"error": failure.error}, failure)


def record(job: Job, outcome: Outcome) -> None:
    """Log what was computed, and keep or forget its failure."""
    if not outcome.entry:
        return
    if outcome.failure:
        keep(job.profile.name, outcome.failure)
    else:
        forget(job.profile.name, job.id)
    size = {"cost": job.cost, "work": round(job.work, 6)} if "seconds" in outcome.entry else {}
    log(job.profile.name, job=job.id, kind=job.kind, **job.where, state=outcome.state, **outcome.entry, **size)


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


class Local:
    """Processes of this machine that do jobs; with one, jobs are done in this process.

    They are forked from a server that has the library loaded, and started again when one has died.
    """

    died = BrokenProcessPool

    def __init__(self, n_jobs: int):
        self.size = self.most = n_jobs
        self.executor: ProcessPoolExecutor | None = None

    def submit(self, job: Job, *how: Any) -> Future:
        """Have a job done."""
        if self.size == 1:
            future: Future = Future()
            future.set_result(do(job, *how))
            return future
        places = {"LEAP_HOME": str(home()), "LEAP_DATA": str(data_folder())}
        try:
            return (self.executor or self._started()).submit(_in_process, places, job, *how)
        except BrokenProcessPool:
            return self._started().submit(_in_process, places, job, *how)

    def _started(self) -> ProcessPoolExecutor:
        context = get_context("forkserver")
        context.set_forkserver_preload([__name__])
        self.executor = ProcessPoolExecutor(self.size, context, _end_with_parent)
        return self.executor

    def check(self) -> None:
        """Do nothing: processes that died are started again."""

    def close(self) -> None:
        """End the processes."""
        if self.executor:
            self.executor.shutdown(cancel_futures=True)


def _in_process(places: Mapping[str, str], job: Job, *how: Any) -> Outcome:
    """Do a job in a process whose server may have been started by a run in other folders."""
    os.environ.update(places)
    return do(job, *how)


def _end_with_parent() -> None:
    """Let this process end when the one that it works for is killed."""

    def follow(parent: Any) -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, args=(parent_process(),), daemon=True).start()


class Cluster:
    """Workers of a dask cluster that share the results folder; jobs for a GPU go to those that have one.

    Parameters
    ----------
    address : str
        Of the scheduler, such as "tcp://10.0.0.1:8786".
    profile : str

    Raises
    ------
    InputError
        When the scheduler does not answer, has no workers, or these have other code, another results folder, or
        several threads.
    """

    def __init__(self, address: str, profile: str):
        from distributed import Client, KilledWorker  # slow to import

        self.died = KilledWorker
        self.most = float("inf")
        try:
            self.client = Client(address, timeout=WAIT / 4)
        except (OSError, ValueError) as error:
            raise InputError(f"--scheduler {address}: no dask scheduler answers there: start one with "
                             "`dask scheduler`, and use the address that it prints") from error  # fmt: skip
        try:
            self._check_workers(address, profile)
        except BaseException:
            self.close()
            raise
        self.size, self.seen = len(self.workers()), time.monotonic()
        self.has_gpu = any(GPU in info["resources"] for info in self.workers().values())

    def workers(self) -> dict[str, dict[str, Any]]:
        """Return what the scheduler knows of each worker."""
        return self.client.scheduler_info(n_workers=-1)["workers"]

    def submit(self, job: Job, *how: Any) -> Any:
        """Have a job done."""
        resources = {GPU: 1} if self.has_gpu and job.gpu else {}
        key = f"{job.id} {uuid.uuid4().hex[:8]}"
        return self.client.submit(do, job, *how, key=key, pure=False, resources=resources)

    def check(self) -> None:
        """Raise InputError when there was no worker for `PATIENCE` seconds."""
        now = time.monotonic()
        self.seen = now if self.workers() else self.seen
        if now - self.seen > PATIENCE:
            raise InputError("the dask cluster has no worker left: start some, and run the same command again; "
                             "what was done stays")  # fmt: skip

    def close(self) -> None:
        """Leave the cluster."""
        self.client.close()

    def _check_workers(self, address: str, profile: str) -> None:
        """Raise InputError unless every worker can do jobs as this process would."""
        try:
            self.client.wait_for_workers(1, timeout=WAIT)
        except TimeoutError as error:
            raise InputError(f"--scheduler {address}: no worker came in {WAIT} s: start some with `dask worker "
                             f"{address} --nthreads 1`") from error  # fmt: skip
        several = [name for name, info in self.workers().items() if info["nthreads"] > 1]
        if several:
            raise InputError(f"dask worker {several[0]} has several threads: start workers with --nthreads 1, as many "
                             "as there are cores")  # fmt: skip
        token = write_text(Layout(profile).results / f".cluster-{uuid.uuid4().hex}", "seen")
        try:
            for worker, (seen, code) in self.client.run(_place, profile, token.name).items():
                if code != code_version(*EVERYTHING):
                    raise InputError(f"dask worker {worker} has another version of leaplib: install this one there")
                if not seen:
                    raise InputError(f"dask worker {worker} does not see {token.parent}: share the folder with it, "
                                     "and start it with LEAP_HOME set to it")  # fmt: skip
        finally:
            token.unlink(missing_ok=True)


def _place(profile: str, token: str) -> tuple[bool, str]:
    """Tell, on a worker, whether it sees the results, and its code."""
    return (Path(Layout(profile).results) / token).is_file(), code_version(*EVERYTHING)


class Progress(AbstractContextManager["Progress"]):
    """The progress of jobs, as a context manager.

    In a terminal or JupyterLab a bar, with the job under way; where output goes to a file, a plain line every half
    minute and at the end; nothing in notebooks that papermill runs (the runner sets LEAP_BATCH), whose output it
    would flood.

    Parameters
    ----------
    label : str
    total : int
        Jobs in all.
    pace : Pace
        Of those that are to be done.
    log : str
        Where the run log is, to be named in plain lines.
    """

    def __init__(self, label: str, total: int, pace: Pace, log: Path):
        self.label, self.total, self.pace, self.log = label, total, pace, log
        self.failed, self.begun = 0, list[str]()
        self.start = self.last = time.monotonic()
        self.bar = tqdm(desc=label, total=total, initial=self._count(), leave=False, disable=quiet())

    def _count(self) -> int:
        return self.total - len(self.pace.waiting)

    def __exit__(self, *raised: object) -> None:
        self.bar.close()
        if self.bar.disable:
            self._say()

    def begin(self, job: str) -> None:
        """Show a job that is under way."""
        self.begun.append(job)
        self._show()

    def end(self, job: str, seconds: float | None, failed: bool) -> None:
        """Count a job that has ended, after so many seconds where it was done."""
        self.pace.end(job, seconds)
        self.failed += failed
        self.bar.update()
        self._show()

    def _show(self) -> None:
        """Bring the bar up to date, or print a line when it is time for one."""
        if not self.bar.disable and time.monotonic() - self.last >= 0.5:
            self.last = time.monotonic()
            under_way = next((job for job in self.begun if job in self.pace.waiting), "")
            self.bar.set_postfix_str(f"{under_way}{self._left()}")
        elif self.bar.disable and time.monotonic() - self.last >= EVERY:
            self._say()

    def _left(self) -> str:
        bad = f", {self.failed} failed" if self.failed else ""
        return f"{bad}; about {timedelta(seconds=round(self.pace.left()))} left" if self.pace.waiting else bad

    def _say(self) -> None:
        """Print a plain line."""
        self.last = time.monotonic()
        elapsed = timedelta(seconds=round(self.last - self.start))
        if not os.environ.get("LEAP_BATCH"):
            print(f"{self.label}: {self._count()} of {self.total} jobs in {elapsed}{self._left()} (log: {self.log})",
                  flush=True)  # fmt: skip


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
    backend, retry = backend or Backend(), try_again() if retry is None else retry
    if not jobs:
        return []
    profile, by_id = jobs[0].profile.name, {job.id: job for job in jobs}
    for folder in (Layout(profile).results, Layout(profile).processed, Layout(profile).figures):
        sweep(folder)
    found = {job.id: Outcome(job.id, DONE, {}) for job in jobs if not force and job.is_settled()}
    to_do = [job for job in jobs if job.id not in found]
    if not to_do:
        return [found[job.id] for job in jobs]
    failed: dict[Path, str] = {}
    with closing(Cluster(backend.scheduler, profile) if backend.scheduler else Local(backend.n_jobs)) as pool:
        rates = calibrated(read_log(profile))
        pace = Pace(((job.id, job.stage, job.cost, estimate(job, rates)) for job in to_do), pool.size)
        with Progress(label, len(jobs), pace, log_path(profile)) as progress:
            for stage in sorted({job.stage for job in to_do}):
                waiting = [job for job in to_do if job.stage == stage]
                for outcome in _outcomes(pool, waiting, failed, progress, force, backend.threads, retry):
                    found[outcome.job] = outcome
                    record(by_id[outcome.job], outcome)
                    progress.end(outcome.job, outcome.entry.get("seconds"), outcome.failure is not None)
                    if outcome.state in (FAILED, LOST):
                        failed |= {path: outcome.job for path, _ in by_id[outcome.job].files}
    return [found[job.id] for job in jobs]


def _outcomes(pool: Local | Cluster, jobs: Sequence[Job], failed: Mapping[Path, str], progress: Progress,
              *how: Any) -> Iterator[Outcome]:  # fmt: skip
    """Do jobs but those that need what failed: these are said to have failed for it.

    Those that were under way when a process died are tried again, each alone: the one that dies again is the reason.
    """
    ready, suspects = [], []
    for job in jobs:
        if cause := job.cause(failed):
            yield Outcome(job.id, FAILED, {"error": cause.error}, cause)
        else:
            ready.append(job)
    for job, future in _ended(pool, ready, progress, *how):
        if isinstance(future.exception(), pool.died):
            suspects.append(job)
        else:
            yield future.result()
    for suspect in suspects:
        for job, future in _ended(pool, [suspect], progress, *how):
            error = future.exception()
            yield unsuccessful(job, error, LOST, DEAD) if isinstance(error, pool.died) else future.result()


def _ended(pool: Local | Cluster, jobs: Sequence[Job], progress: Progress, *how: Any) -> Iterator[tuple[Job, Any]]:
    """Have jobs done and yield each as it ends; no more than the pool's most are handed over at a time."""
    waiting, running, ended = list(reversed(jobs)), dict[Any, Job](), Queue[Any]()
    try:
        while waiting or running:
            while waiting and len(running) < pool.most:
                job = waiting.pop()
                progress.begin(job.id)
                future = pool.submit(job, *how)
                running[future] = job
                future.add_done_callback(ended.put)
            try:
                future = ended.get(timeout=LOOK)
            except Empty:
                pool.check()
                continue
            yield running.pop(future), future
    finally:
        for future in running:
            future.cancel()
