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
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    return tqdm(items, desc=label, total=total, leave=False, disable=bool(os.environ.get("LEAP_BATCH")) or not watched)
