"""How far a run is: bars while a person waits, plain lines where output goes to a file, silence in batch notebooks."""

import os
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from multiprocessing import parent_process
from typing import TypeVar

from IPython import get_ipython
from tqdm import tqdm

Item = TypeVar("Item")
EVERY = 30.0  # seconds between plain lines


def progress(items: Iterable[Item], label: str, total: int | None = None) -> Iterable[Item]:
    """Wrap `items` in a progress bar, in a terminal or in JupyterLab.

    Nothing is shown when output goes to a file, in worker processes, nor in notebooks that papermill runs (the
    runner sets LEAP_BATCH), whose output a bar would flood.
    """
    return tqdm(items, desc=label, total=total, leave=False, disable=_quiet())


class Progress:
    """The progress of jobs, as a context manager.

    In a terminal or JupyterLab a bar; where output goes to a file, a plain line every half minute and at the
    end; nothing in notebooks that papermill runs (the runner sets LEAP_BATCH), whose output it would flood.

    Parameters
    ----------
    costs : mapping of str to float
        Estimated core-seconds of what there is to do, by the job's id: the time that is left follows from them.
    label : str
    log : str
        Where the run log is, to be named in plain lines.
    """

    def __init__(self, costs: Mapping[str, float], label: str, log: str = ""):
        self.costs, self.label, self.log = costs, label, log
        self.left, self.spent, self.count, self.failed = sum(costs.values()), 0.0, 0, 0
        self.begin = self.last = time.monotonic()
        self.silent = bool(os.environ.get("LEAP_BATCH"))
        self.bar = tqdm(desc=label, total=len(costs), leave=False, disable=_quiet())

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *raised: object) -> None:
        self.bar.close()
        if self.bar.disable and self.count:
            self._say()

    def step(self, job: str, failed: bool = False, note: str = "") -> None:
        """Count a job that has ended; `note` says what was last."""
        self.count, self.failed = self.count + 1, self.failed + failed
        self.spent += self.costs.get(job, 0)
        self.bar.set_postfix_str(f"{note}, about {self.remaining()} left" + self._bad(), refresh=False)
        self.bar.update()
        if self.bar.disable and time.monotonic() - self.last >= EVERY:
            self._say()

    def remaining(self) -> str:
        """Return about how long it will take from here, as h:mm:ss, from costs and the pace so far."""
        elapsed = time.monotonic() - self.begin
        pace = elapsed / self.spent if self.spent else 0.0
        return str(timedelta(seconds=round(max(self.left - self.spent, 0) * pace)))

    def _bad(self) -> str:
        return f", {self.failed} failed" if self.failed else ""

    def _say(self) -> None:
        """Print a plain line."""
        self.last = time.monotonic()
        elapsed = timedelta(seconds=round(self.last - self.begin))
        end = f"; about {self.remaining()} left" if self.count < len(self.costs) else ""
        log = f" (log: {self.log})" if self.log else ""
        if not self.silent:
            print(
                f"{self.label}: {self.count} of {len(self.costs)} jobs in {elapsed}{self._bad()}{end}{log}", flush=True
            )


def byte_bar(label: str, begin: int, total: int) -> tqdm:
    """Return a bar for a transfer of `total` bytes (0: unknown) that goes on at byte `begin`; shown as `progress` is.

    Use it as a context manager and call its `update` with the number of bytes that came.
    """
    size = total or None
    return tqdm(desc=label, initial=begin, total=size, unit="B", unit_scale=True, leave=False, disable=_quiet())


def _quiet() -> bool:
    """Tell whether nobody waits before a screen."""
    shell = get_ipython()
    watched = sys.stderr.isatty() or (shell is not None and hasattr(shell, "kernel"))
    return bool(os.environ.get("LEAP_BATCH")) or parent_process() is not None or not watched
