"""What a run keeps beside its results: failures, each until its job succeeds, and a log of what each job took."""

import errno
import json
import os
import resource
import socket
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from leaplib.base.errors import first_line
from leaplib.base.layout import Layout, slug
from leaplib.base.store import storage, write_text

COLUMNS = ["time", "job", "kind", "task", "split", "model", "state", "cost", "work", "seconds", "core_seconds",
           "memory_gb", "threads", "host", "device", "processor"]  # fmt: skip


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


def keep(profile: str, failure: Failure) -> Path:
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


def log_path(profile: str) -> Path:
    """Return the file of a profile's run log."""
    return Layout(profile).results / "run_log.jsonl"


def log(profile: str, **entry: object) -> None:
    """Append one line to a profile's run log, in one piece, and on a line of its own after one that was cut off.

    A line that another run is still writing looks cut off too; an empty line then stands between the two, which
    readers pass over. No lock: where the results lie on a network drive there may be none.
    """
    path = log_path(profile)
    line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds"), **entry}, default=str) + "\n"
    with storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = os.fstat(handle).st_size
            cut_off = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            text = ("\n" * cut_off + line).encode()
            if os.write(handle, text) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(handle)


def read_log(profile: str, layout: Layout | None = None) -> pd.DataFrame:
    """Return the entries of a profile's run log, oldest first; `layout` says where another home's lies.

    Returns
    -------
    DataFrame
        `COLUMNS`: kind, task, split and model of the job, seconds (wall clock), core_seconds (all threads),
        memory_gb (largest resident size of its process), cost and work (see `leaplib.runs.jobs`). Lines that are no
        entries (a run that was killed while it wrote one) are counted in `attrs["unreadable"]`.
    """
    path = log_path(profile) if layout is None else layout.results / log_path(profile).name
    lines = path.read_bytes().splitlines() if path.exists() else []
    entries, unreadable = [], 0
    for line in filter(None, lines):
        try:
            entries.append(dict(json.loads(line)))
        except (ValueError, TypeError):
            unreadable += 1
    table = pd.DataFrame(entries).reindex(columns=COLUMNS)
    table.attrs["unreadable"] = unreadable
    return table


def model_times(profile: str) -> pd.DataFrame:
    """Return what each model took on each split, the last time that it was computed: task, split, model, seconds.

    DAMAEs stand under their pool in place of a task. What was found done took no time and is not there.
    """
    log = read_log(profile)
    entries = log[log["kind"].isin(["fit", "pretrain"]) & log["seconds"].notna()]
    last = entries.drop_duplicates("job", keep="last")
    found = last[["task", "split", "model", "seconds", "core_seconds"]].reset_index(drop=True)
    found.attrs["unreadable"] = log.attrs["unreadable"]
    return found


@contextmanager
def measured() -> Iterator[dict[str, float | str]]:
    """Fill a dictionary with what the block took: seconds, core_seconds, memory_gb, host.

    Durations come from clocks that never jump. The peak of memory is the block's own where the system lets it be
    reset (Linux), else the process's so far.
    """
    found: dict[str, float | str] = {"host": socket.gethostname()}
    _reset_peak()
    wall, cpu = time.perf_counter(), sum(os.times()[:4])  # of all threads, and of children that were waited for
    try:
        yield found
    finally:
        found["seconds"] = round(time.perf_counter() - wall, 3)
        found["core_seconds"] = round(sum(os.times()[:4]) - cpu, 3)
        found["memory_gb"] = round(_peak_bytes() / 1e9, 3)


def _reset_peak() -> None:
    """Let the kernel forget the largest resident size so far, where it can."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return  # not Linux, or not allowed: the peak is then the process's


def _peak_bytes() -> int:
    """Return the largest resident size in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
