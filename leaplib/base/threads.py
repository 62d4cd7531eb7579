"""How many cores a job takes: set once for all libraries that have threads of their own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numba
import torch
from threadpoolctl import threadpool_limits


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
