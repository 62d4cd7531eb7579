"""Where and how a job computes: the device of tensors, the precision of products, the threads of all libraries."""

import os
import platform
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from multiprocessing import parent_process
from pathlib import Path
from typing import TypeVar

import numba
import torch
from IPython import get_ipython
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from leaplib.base.errors import InputError

P = TypeVar("P")
R = TypeVar("R")


def resolve_device(device: str = "auto") -> torch.device:
    """Return the torch device for "auto", "cpu" or "cuda".

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        "auto" is CUDA where torch sees it, else the CPU.

    Raises
    ------
    InputError
        For another name, or for "cuda" on a machine without it.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device {device!r} is unknown: use auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device 'cuda' was asked for, but torch sees no GPU: use auto or cpu")
    # Denormals slow first-order solvers down some twenty times and change no result.
    torch.set_flush_denormal(True)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """Return the type that matrix products of a network are computed in.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16"}
        "auto" is bfloat16 on CUDA and on CPUs with matrix units for it (AMX), else float32.
    device : torch.device

    Raises
    ------
    InputError
        For another name.
    """
    if precision not in ("auto", "float32", "bfloat16"):
        raise InputError(f"precision {precision!r} is unknown: use auto, float32 or bfloat16")
    if precision == "auto":
        fast = device.type == "cuda" or torch.cpu.get_capabilities().get("amx_bf16", False)
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


@cache
def machine(device: str = "auto") -> dict[str, str]:
    """Return what a job computes on, for its record: device ("cpu" or "cuda") and the name of the processor or GPU."""
    kind = resolve_device(device).type
    if kind == "cuda":
        return {"device": kind, "processor": torch.cuda.get_device_name()}
    about = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", about.read_text(encoding="utf-8")) if about.is_file() else []
    return {"device": kind, "processor": names[0] if names else platform.processor()}


def side_by_side(function: Callable[[P], R], parts: Iterable[P], device: torch.device) -> list[R]:
    """Return function(part) of each part: on a GPU one after the other, else a thread a core.

    The products of small models are small: a core that works alone on data in its cache is faster than all
    cores on one product, which wait for each other.
    """
    parts, threads = list(parts), torch.get_num_threads()
    if device.type != "cpu" or min(threads, len(parts)) <= 1:
        return [function(part) for part in parts]
    with ThreadPoolExecutor(threads, initializer=_one_thread) as pool:
        try:
            return [future.result() for future in [pool.submit(function, part) for part in parts]]
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)  # for threads yet to come, which take the number that was set last


def _one_thread() -> None:
    """Set up a thread: both settings are its own."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def n_cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Let the block use so many threads, in torch, BLAS, OpenMP and numba.

    Sums depend, in their last digits, on how they are divided among threads. Jobs run on one thread each unless more
    are asked for, so that their results are the same wherever they run.
    """
    before = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(threads)
    numba.set_num_threads(min(threads, before[1]))
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before[0])
        numba.set_num_threads(before[1])


def progress(items: Iterable[P], label: str, total: int | None = None) -> Iterable[P]:
    """Wrap `items` in a progress bar, in a terminal or in JupyterLab.

    Nothing is shown when output goes to a file, in worker processes, nor in notebooks that papermill runs (the
    runner sets LEAP_BATCH), whose output a bar would flood.
    """
    return tqdm(items, desc=label, total=total, leave=False, disable=quiet())


def byte_bar(label: str, begin: int, total: int) -> tqdm:
    """Return a bar for a transfer of `total` bytes (0: unknown) that goes on at byte `begin`; shown as `progress` is.

    Use it as a context manager and call its `update` with the number of bytes that came.
    """
    size = total or None
    return tqdm(desc=label, initial=begin, total=size, unit="B", unit_scale=True, leave=False, disable=quiet())


def quiet() -> bool:
    """Tell whether nobody waits before a screen."""
    shell = get_ipython()
    watched = sys.stderr.isatty() or (shell is not None and hasattr(shell, "kernel"))
    return bool(os.environ.get("LEAP_BATCH")) or parent_process() is not None or not watched
