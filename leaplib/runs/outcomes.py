"""Doing one job, and what became of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from leaplib.base.compute import limited, machine
from leaplib.base.errors import StorageError
from leaplib.runs import failures
from leaplib.runs.jobs import Job
from leaplib.runs.run_log import measured

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
    failure: failures.Failure | None = None


def do(job: Job, force: bool, threads: int, retry: bool) -> Outcome:
    """Do a job and say what became of it; of what is raised only StorageError passes."""
    where = {"job": job.id, "kind": job.kind, **job.where, "threads": threads}
    try:
        failed = failures.find(job.profile.name, job.id, job.key)
        if failed and not retry:
            return Outcome(job.id, PARTLY if failed.perturbations else FAILED, {}, failed)
        if not force and not failed and job.is_done():
            return Outcome(job.id, DONE, {})
        errors: dict[str, Exception] = {}
        with limited(threads), measured() as taken:
            job.do(True, errors)
        failure = _partial(job, errors)
        state = PARTLY if failure else COMPUTED
        entry = {**where, "state": state, **taken, **machine(job.device)}
        return Outcome(job.id, state, entry, failure)
    except StorageError:
        raise
    except Exception as error:  # whatever it is, the other jobs go on; it is kept with its traceback
        failure = failures.failure_of(job.id, key_if_any(job), error, **job.where)
        return Outcome(job.id, FAILED, {**where, "state": FAILED, "error": failure.error}, failure)


def key_if_any(job: Job) -> str:
    """Return a job's key, or "" where not even its data can be read."""
    try:
        return job.key
    except Exception:  # the failure at hand is the one to report
        return ""


def _partial(job: Job, errors: dict[str, Exception]) -> failures.Failure | None:
    """Return the record of perturbations that failed alone."""
    if not errors:
        return None
    first = failures.failure_of(job.id, job.key, next(iter(errors.values())), **job.where)
    named = {name: f"{type(error).__name__}: {error}".splitlines()[0] for name, error in errors.items()}
    return failures.Failure(**{**vars(first), "perturbations": named})


def lost(job: Job, error: Exception) -> Outcome:
    """Return the outcome of a job whose process died."""
    failure = failures.failure_of(job.id, job.key, error, **job.where)
    message = "its process died (killed, or out of memory): free memory or use fewer --jobs, and run again"
    failure = failures.Failure(**{**vars(failure), "error": message})
    entry = {"job": job.id, "kind": job.kind, **job.where, "state": LOST, "error": message}
    return Outcome(job.id, LOST, entry, failure)


Runner = Callable[[Sequence[Job], bool, bool], Iterator[Outcome]]
"""What does the jobs of a stage: jobs, whether to force them, and whether to try again what failed."""
