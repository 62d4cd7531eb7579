"""Doing one job, and what became of it."""

from dataclasses import dataclass, replace
from typing import Any

from leaplib.base.compute import limited, machine
from leaplib.base.errors import StorageError
from leaplib.runs.jobs import Job
from leaplib.runs.records import Failure, failure_of, find, forget, keep, log, measured

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
            job.do(True, errors)
        failure = _partial(job, errors)
        return Outcome(
            job.id, PARTLY if failure else COMPUTED, {"threads": threads, **taken, **machine(job.device)}, failure
        )
    except StorageError:
        raise
    except Exception as error:  # whatever it is, the other jobs go on; it is kept with its traceback
        return unsuccessful(job, error)


def unsuccessful(job: Job, error: BaseException, state: str = FAILED, why: str = "") -> Outcome:
    """Return the outcome of a job that failed or, where its process died, is lost."""
    failure = failure_of(job.id, job.key, error, **job.where)
    failure = replace(failure, error=why) if why else failure
    return Outcome(job.id, state, {"error": failure.error}, failure)


def lost(job: Job, error: BaseException) -> Outcome:
    """Return the outcome of a job whose process died."""
    why = "its process died (killed, or out of memory): free memory or use fewer --jobs, and run again"
    return unsuccessful(job, error, LOST, why)


def _partial(job: Job, errors: dict[str, Exception]) -> Failure | None:
    """Return the record of perturbations that failed alone."""
    if not errors:
        return None
    first = failure_of(job.id, job.key, next(iter(errors.values())), **job.where)
    named = {name: f"{type(error).__name__}: {error}".splitlines()[0] for name, error in errors.items()}
    return replace(first, perturbations=named)


def record(job: Job, outcome: Outcome) -> None:
    """Log what was computed, and keep or forget its failure."""
    if not outcome.entry:
        return
    if outcome.failure:
        keep(job.profile.name, outcome.failure)
    else:
        forget(job.profile.name, job.id)
    size = {"cost": job.size.kind, "work": round(job.size.work, 6)} if "seconds" in outcome.entry else {}
    log(job.profile.name, job=job.id, kind=job.kind, **job.where, state=outcome.state, **outcome.entry, **size)
