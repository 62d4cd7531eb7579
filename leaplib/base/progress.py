"""How far a run is: bars while a person waits, plain lines where output goes to a file, silence in batch notebooks."""

import os
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
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


class Progress(AbstractContextManager["Progress"]):
    """The progress of jobs, as a context manager.

    In a terminal or JupyterLab a bar, with the job under way; where output goes to a file, a plain line every half
    minute and at the end; nothing in notebooks that papermill runs (the runner sets LEAP_BATCH), whose output it
    would flood.

    Parameters
    ----------
    label : str
    total, done : int
        Jobs in all, and those that are done before it begins.
    left : callable
        Returns the seconds that are left.
    log : str
        Where the run log is, to be named in plain lines.
    """

    def __init__(self, label: str, total: int, done: int, left: Callable[[], float], log: str = ""):
        self.label, self.total, self.left, self.log = label, total, left, log
        self.count, self.failed, self.under_way = done, 0, dict[str, None]()
        self.start = self.last = time.monotonic()
        self.bar = tqdm(desc=label, total=total, initial=done, leave=False, disable=_quiet())

    def __exit__(self, *raised: object) -> None:
        self.bar.close()
        if self.bar.disable:
            self._say()

    def begin(self, job: str) -> None:
        """Show a job that is under way."""
        self.under_way[job] = None
        self._show()

    def end(self, job: str) -> None:
        """Show it no longer."""
        del self.under_way[job]

    def step(self, failed: bool = False) -> None:
        """Count a job that has ended."""
        self.count, self.failed = self.count + 1, self.failed + failed
        self.bar.update()
        self._show()

    def _show(self) -> None:
        """Bring the bar up to date, or print a line when it is time for one."""
        if not self.bar.disable and time.monotonic() - self.last >= 0.5:
            self.last = time.monotonic()
            self.bar.set_postfix_str(f"{next(iter(self.under_way), '')}{self._left()}")
        elif self.bar.disable and time.monotonic() - self.last >= EVERY:
            self._say()

    def _left(self) -> str:
        bad = f", {self.failed} failed" if self.failed else ""
        return f"{bad}; about {timedelta(seconds=round(self.left()))} left" if self.count < self.total else bad

    def _say(self) -> None:
        """Print a plain line."""
        self.last = time.monotonic()
        elapsed, log = timedelta(seconds=round(self.last - self.start)), f" (log: {self.log})" if self.log else ""
        if not os.environ.get("LEAP_BATCH"):
            print(f"{self.label}: {self.count} of {self.total} jobs in {elapsed}{self._left()}{log}", flush=True)


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
