"""What failed in a run: kept with its traceback until it succeeds, shown in summaries, never in the way of the rest."""

import json
import os
import traceback
from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import pandas as pd

from leaplib.base.errors import StorageError, first_line
from leaplib.base.layout import Layout, slug
from leaplib.base.store import storage, write_text

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Failure:
    """A job, or some perturbations of it, that failed.

    Parameters
    ----------
    job : str
    key : str
        Of the result that should have been.
    error : str
        One line.
    traceback : str
    perturbations : dict of str to str
        Where only these failed: the error of each, in one line.
    task, split, model : str
    """

    job: str
    key: str
    error: str
    traceback: str
    perturbations: Mapping[str, str] = field(default_factory=dict)
    task: str = ""
    split: str = ""
    model: str = ""

    def line(self) -> str:
        """Return the failure in one line."""
        if not self.perturbations:
            return f"{self.job}: {self.error}"
        names = list(self.perturbations)
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        return f"{self.job}, perturbation {shown} alone: {self.error}"


def failure_of(job: str, key: str, error: BaseException, task: str = "", split: str = "",
               model: str = "") -> Failure:  # fmt: skip
    """Return the record of an exception."""
    text = "".join(traceback.format_exception(error))
    return Failure(job, key, f"{type(error).__name__}: {first_line(error)}", text, task=task, split=split, model=model)


def folder(profile: str) -> Path:
    """Return where the failures of a profile lie."""
    return Layout(profile).results / "failures"


def _path(profile: str, job: str) -> Path:
    return folder(profile) / f"{slug(job)}.json"


def preparing(task: str) -> str:
    """Return the name of the job that prepares a task's data."""
    return f"prepare {task}"


def record(profile: str, failure: Failure) -> Path:
    """Save a failure in place of an earlier one of the same job."""
    return write_text(_path(profile, failure.job), json.dumps(asdict(failure), indent=1))


def forget(profile: str, job: str) -> None:
    """Remove the record of a job that succeeded."""
    path = _path(profile, job)
    if path.exists():
        with storage(path):
            path.unlink(missing_ok=True)


def find(profile: str, job: str, key: str) -> Failure | None:
    """Return how a job failed to make the result with this key, or None."""
    found = _read(_path(profile, job))
    return found if found and found.key == key else None


def recorded(profile: str) -> list[Failure]:
    """Return all failures that are on record, in the order of their jobs' names."""
    found = (_read(path) for path in sorted(folder(profile).glob("*.json")))
    return [failure for failure in found if failure]


def _read(path: Path) -> Failure | None:
    """Read a record; one that is missing or damaged says nothing, and the job is tried again."""
    try:
        return Failure(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def try_again() -> bool:
    """Tell whether what failed before is to be tried again: by a person, but not by a batch that has just tried it."""
    return not os.environ.get("LEAP_BATCH")


MOST = 16
"""Parts that may fail before a model, not some perturbations, is taken to have failed."""


def contained(compute: Callable[[pd.Index], dict[Name, pd.DataFrame]], perturbations: pd.Index,
              errors: dict[str, Exception]) -> dict[Name, pd.DataFrame]:  # fmt: skip
    """Compute for all perturbations at once, and where that fails, find those that make it fail by halving.

    Parameters
    ----------
    compute : callable
        From perturbations to frames with a column each, by name.
    perturbations : Index
    errors : dict
        Takes the error of each perturbation that failed; its columns are NaN.

    Raises
    ------
    Exception
        The first one, when all perturbations fail, or too many parts of them.
    """
    found, waiting, first, n_failed = [], [perturbations], None, 0
    while waiting:
        part = waiting.pop()
        try:
            found.append(compute(part))
        except (StorageError, MemoryError):
            raise
        except Exception as error:  # whatever a model raises: it is recorded, and the others go on
            first, n_failed = first or error, n_failed + 1
            if n_failed > MOST + len(perturbations).bit_length():
                raise first from None
            if len(part) == 1:
                errors[str(part[0])] = error
            else:
                waiting += [part[: len(part) // 2], part[len(part) // 2 :]]
    if not found:
        raise first or ValueError("no perturbations")
    return {name: pd.concat([part[name] for part in found], axis=1).reindex(columns=perturbations)
            for name in found[0]}  # fmt: skip
