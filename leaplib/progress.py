"""Progress bars while a person waits, silence in batch."""

import os
import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(items: Iterable[Item], label: str, total: int | None = None) -> Iterable[Item]:
    """Wrap `items` in a progress bar, in a terminal or in JupyterLab.

    Nothing is shown when output goes to a file, nor in notebooks that papermill runs (the runner sets
    LEAP_BATCH), whose logs a bar would flood.
    """
    return tqdm(items, desc=label, total=total, leave=False, disable=_quiet())


def byte_bar(label: str, begin: int, total: int) -> tqdm:
    """Return a bar for a transfer of `total` bytes (0: unknown) that goes on at byte `begin`; shown as `progress` is.

    Use it as a context manager and call its `update` with the number of bytes that came.
    """
    size = total or None
    return tqdm(desc=label, initial=begin, total=size, unit="B", unit_scale=True, leave=False, disable=_quiet())


def _quiet() -> bool:
    """Tell whether nobody waits before a screen."""
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    return bool(os.environ.get("LEAP_BATCH")) or not watched
