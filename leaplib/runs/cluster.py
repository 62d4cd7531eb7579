"""Do jobs on an existing dask cluster: any workers that share the results folder, GPUs by resource label.

The scheduler is trusted as the user's own shell is: dask sends functions as pickles, so connect to none but your own
(TLS: distributed's own settings).
"""

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distributed import Client, Future, KilledWorker, as_completed

from leaplib.base.code_version import code_version
from leaplib.base.errors import InputError
from leaplib.base.layout import Layout
from leaplib.base.store import write_text
from leaplib.runs.jobs import Job
from leaplib.runs.outcomes import Outcome, Runner, do, lost
from leaplib.runs.plan import estimate

GPU = "GPU"
WAIT = 60  # seconds for the first worker
PATIENCE = 300  # seconds without any worker, later on: they may be started anew
POLL = 0.1
EVERYTHING = "leaplib.runs.engine", "leaplib.cohorts.prepare"


@contextmanager
def cluster_runner(address: str, threads: int, profile: str) -> Iterator[Runner]:
    """Connect to a scheduler and yield what does the jobs of a stage on its workers.

    Parameters
    ----------
    address : str
        Such as "tcp://10.0.0.1:8786".
    threads : int
        Of each job.
    profile : str

    Raises
    ------
    InputError
        When the scheduler does not answer, has no workers, or these have other code, another results folder, or
        several threads.
    """
    try:
        client = Client(address, timeout=15)
    except (OSError, ValueError) as error:
        raise InputError(f"--scheduler {address}: no dask scheduler answers there: start one with `dask scheduler`, "
                         "and use the address that it prints") from error  # fmt: skip
    with client:
        check_workers(client, address, profile)
        yield lambda jobs, force, retry: _on_workers(client, jobs, force, threads, retry)


def check_workers(client: Client, address: str, profile: str) -> None:
    """Raise InputError unless every worker can do jobs as this process would."""
    try:
        client.wait_for_workers(1, timeout=WAIT)
    except TimeoutError as error:
        raise InputError(f"--scheduler {address}: no worker came in {WAIT} s: start some with `dask worker {address} "
                         "--nthreads 1`") from error  # fmt: skip
    several = [name for name, info in _workers(client).items() if info["nthreads"] > 1]
    if several:
        raise InputError(f"dask worker {several[0]} has several threads: start workers with --nthreads 1, as many as "
                         "there are cores")  # fmt: skip
    token = write_text(Layout(profile).results / f".cluster-{uuid.uuid4().hex}", "seen")
    try:
        for worker, (seen, code) in client.run(_place, profile, token.name).items():
            if code != code_version(*EVERYTHING):
                raise InputError(f"dask worker {worker} has another version of leaplib: install this one there")
            if not seen:
                raise InputError(f"dask worker {worker} does not see {token.parent}: share the folder with it, and "
                                 "start it with LEAP_HOME set to it")  # fmt: skip
    finally:
        token.unlink(missing_ok=True)


def _place(profile: str, token: str) -> tuple[bool, str]:
    """Tell, on a worker, whether it sees the results, and its code."""
    return (Path(Layout(profile).results) / token).is_file(), code_version(*EVERYTHING)


def _workers(client: Client) -> dict[str, dict[str, Any]]:
    return client.scheduler_info(n_workers=-1)["workers"]


def _on_workers(client: Client, jobs: Sequence[Job], force: bool, threads: int, retry: bool) -> Iterator[Outcome]:
    """Do jobs on workers, the longest first; those for a GPU on workers that have one, where there are any."""
    has_gpu = any(GPU in info["resources"] for info in _workers(client).values())

    def submitted(job: Job) -> Future:
        resources = {GPU: 1} if has_gpu and job.gpu else {}
        key = f"{job.id} {uuid.uuid4().hex[:8]}"
        return client.submit(do, job, force, threads, retry, key=key, pure=False, resources=resources)

    futures = {submitted(job): job for job in sorted(jobs, key=estimate, reverse=True)}
    suspects = []
    try:
        for future, result in _results(client, list(futures)):
            if _killed(result):
                suspects.append(futures[future])
            else:
                yield result
        for job in suspects:  # it may have shared a worker with the one that killed it: alone, each shows itself
            for _, result in _results(client, [submitted(job)]):
                yield lost(job, result[1]) if _killed(result) else result
    finally:
        client.cancel(list(futures))


def _results(client: Client, futures: Sequence[Future]) -> Iterator[tuple[Future, Any]]:
    """Yield futures as they end, with results, or exceptions as triples, and let go of each.

    What is let go of is not done again when the worker that did it dies of another job.

    Raises
    ------
    InputError
        When there was no worker for `PATIENCE` seconds.
    """
    waiting = as_completed(futures, with_results=True, raise_errors=False)
    seen = looked = time.monotonic()
    while not waiting.is_empty():
        for future, result in waiting.next_batch(block=False):
            yield future, result
            future.release()
        time.sleep(0 if waiting.has_ready() else POLL)
        if time.monotonic() - looked > PATIENCE / 30:
            looked = time.monotonic()
            seen = looked if _workers(client) else seen
            if looked - seen > PATIENCE:
                raise InputError("the dask cluster has no worker left: start some, and run the same command again; "
                                 "what was done stays")  # fmt: skip


def _killed(result: Any) -> bool:
    """Tell whether a job's workers died; what else went wrong outside of the job is raised."""
    error = result[1] if isinstance(result, tuple) else result
    if isinstance(error, BaseException) and not isinstance(error, KilledWorker):
        raise error
    return isinstance(error, KilledWorker)
