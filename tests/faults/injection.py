"""Runs in forked processes, with a fault put in at a chosen call: what a real one would leave behind stays behind."""

import errno
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from leaplib.__main__ import main
from leaplib.base.layout import slug
from leaplib.results import tables
from leaplib.results.load import Results
from leaplib.runs import jobs
from tests.conftest import tiny

TINY = tiny(max_epochs=3, name="tiny", n_splits=1, max_perturbations=5, n_shuffled=1, simulated_lines=150,
            simulated_genes=80)  # fmt: skip
COMMAND = ("run", "--profile", "tiny", "--tasks", "2a", "--models", "ps-knn,leap", "--device", "cpu")
FITS = ("Training mean", "Tissue mean", "Mean effects", "PS-KNN", "LEAP (shuffled labels)", "PS-LASSO r0",
        "PS-LASSO r1", "LEAP")  # fmt: skip
POOL = Path("data/results/tiny/representations/drugs-simulated")
PATIENCE = 300  # seconds
KILLED = -signal.SIGKILL
Action = Callable[[], int]


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code (negative: the signal that killed it) and what it wrote."""

    code: int
    out: str
    err: str


def command() -> int:
    """Do what `leap run` does, and save the table that it prints."""
    code = main(COMMAND)
    if code == 0:
        tables.table("supplementary table 3", Results("tiny"))
    return code


def start(home: Path, action: Action = command, fault: Callable[[pytest.MonkeyPatch], None] | None = None) -> int:
    """Fork a process that does something in a home; return its number."""
    home.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    process = os.fork()
    if process:
        return process
    code = 99
    try:
        code = _act(home, action, fault)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _act(home: Path, action: Action, fault: Callable[[pytest.MonkeyPatch], None] | None) -> int:
    os.environ["LEAP_HOME"] = str(home)
    os.environ.pop("LEAP_DATA", None)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(home / f"{name}.{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), number)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    if fault:
        fault(pytest.MonkeyPatch())
    return action()


def finish(home: Path, process: int) -> Ended:
    """Wait for a process."""
    until = time.monotonic() + PATIENCE
    while not (ended := os.waitpid(process, os.WNOHANG))[0]:
        if time.monotonic() > until:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            raise TimeoutError(f"no end after {PATIENCE} s")
        time.sleep(0.01)
    texts = []
    for name in ("out", "err"):
        path = home / f"{name}.{process}"
        texts.append(path.read_text() if path.exists() else "")
        path.unlink(missing_ok=True)
    return Ended(os.waitstatus_to_exitcode(ended[1]), *texts)


def run(home: Path, action: Action = command, fault: Callable[[pytest.MonkeyPatch], None] | None = None) -> Ended:
    """Do something in a process of its own and wait for its end."""
    return finish(home, start(home, action, fault))


def kill() -> None:
    """Die as by SIGKILL, at once and without clearing up."""
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt() -> None:
    """Press Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


def refuse(number: int) -> Callable[[], None]:
    """Return what a system call does that fails with this error."""

    def fail() -> None:
        raise OSError(number, os.strerror(number))

    return fail


full_disk = refuse(errno.ENOSPC)
read_only = refuse(errno.EROFS)


def at(target: str, number: int, deed: Callable[[], None], after: bool = False,
       ever_after: bool = False) -> Callable[[pytest.MonkeyPatch], None]:  # fmt: skip
    """Return a fault: at call `number` (from 1) of the function `target` something happens, before it or after it."""

    def install(patch: pytest.MonkeyPatch) -> None:
        owner, _, name = target.rpartition(".")
        place = pytest.importorskip(owner) if owner in sys.modules else _attribute(owner)
        original, calls = getattr(place, name), []

        def wrapped(*args, **kwargs):
            calls.append(1)
            now = len(calls) == number or (ever_after and len(calls) > number)
            if now and not after:
                deed()
            found = original(*args, **kwargs)
            if now and after:
                deed()
            return found

        patch.setattr(place, name, wrapped)

    return install


def _attribute(dotted: str) -> object:
    module, _, name = dotted.rpartition(".")
    return getattr(sys.modules[module], name)


def snapshot(home: Path) -> dict[str, bytes]:
    """Return what a run leaves, by path: results, prepared data and tables.

    But for its log and what is put together of results, whose keys hold the times of their files.
    """
    files = [path for folder in ("data", "figures") for path in sorted((home / folder).rglob("*")) if path.is_file()]
    own = [path for path in files if path.name != "run_log.jsonl" and path.parent.name != "derived"]
    return {str(path.relative_to(home)): path.read_bytes() for path in own}


def copied(home: Path, to: Path) -> Path:
    """Copy a home."""
    return Path(shutil.copytree(home, to))


def computed(home: Path) -> list[str]:
    """Return the jobs that the run log says were computed, oldest first."""
    path = home / "data/results/tiny/run_log.jsonl"
    found = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line)["job"])
        except ValueError:
            continue
    return found


def files_of_jobs() -> dict[str, list[Path]]:
    """Return the files that each job leaves, by their names alone; what DAMAEs share, the first one leaves."""
    shared = [POOL / "scaler.parquet", POOL / "samples.parquet"]
    names = ("history_{}.parquet", "embedding_{}.parquet", "damae_{}.safetensors", "damae_{}.json")
    found = {f"pretrain drugs-simulated DAMAE {seed}": [POOL / name.format(seed) for name in names]
            for seed in range(TINY.n_representations)}  # fmt: skip
    found["pretrain drugs-simulated DAMAE 0"] += shared
    for model in FITS:
        found[f"fit 2a holdout-0 {model}"] = [
            Path(f"data/results/tiny/{kind}/2a/holdout-0/{slug(model)}.parquet") for kind in ("predictions", "scores")
        ]
    return found


def missing_jobs(home: Path) -> set[str]:
    """Return the jobs of which a file is not there."""
    return {job for job, files in files_of_jobs().items() if not all((home / file).is_file() for file in files)}


def resumed(home: Path, undisturbed: dict[str, bytes], missing: set[str] | None = None,
            action: Action = command) -> Ended:  # fmt: skip
    """Run the same command again; it must finish, compute only what is missing, and leave what the undisturbed left."""
    missing = missing_jobs(home) if missing is None else missing
    before = computed(home)
    ended = run(home, action)
    assert (ended.code, ended.err) == (0, "")
    assert sorted(computed(home)[len(before) :]) == sorted(missing)
    assert_same(snapshot(home), undisturbed)
    return ended


def points(values: Sequence[tuple], fast: Sequence[int]) -> list:
    """Return the parameters of a test, all but some (by number, from 1) for `make faults` alone."""
    return [pytest.param(*value, marks=() if number in fast else pytest.mark.faults)
            for number, value in enumerate(values, start=1)]  # fmt: skip


def assert_same(found: dict[str, bytes], expected: dict[str, bytes]) -> None:
    """Compare two snapshots, to the byte."""
    assert sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []


make = jobs.fit


def dies_once(split, recipe, job, *how) -> None:
    """Make a model; that of PS-KNN ends its process the first time."""
    mark = Path(os.environ["LEAP_HOME"]) / f"{slug(job.id)}.died"
    if "KNN" in job.id and not mark.exists():
        mark.touch()
        kill()
    make(split, recipe, job, *how)


def dies_always(split, recipe, job, *how) -> None:
    """Make a model; that of PS-KNN ends its process every time."""
    if "KNN" in job.id:
        kill()
    make(split, recipe, job, *how)
