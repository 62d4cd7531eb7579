"""Two runs at once, workers that die, Ctrl-C, and whole runs of several processes that are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from leaplib.__main__ import main
from tests.faults import injection
from tests.faults.injection import COMMAND, at, command, finish, interrupt, points, resumed, run, start

ROOT = Path(__file__).resolve().parents[2]
HERE = lambda: main((*COMMAND, "--jobs", "2"))  # noqa: E731


@pytest.mark.parametrize("delay", points([(0.0,), (0.3,), (1.0,)], fast=(1,)))
def test_two_runs_at_once_on_one_folder(home, undisturbed, delay):
    first = start(home)
    time.sleep(delay)
    second = start(home)
    assert [finish(home, process).code for process in (first, second)] == [0, 0]
    injection.assert_same(injection.snapshot(home), undisturbed)
    resumed(home, undisturbed, set())


@pytest.mark.faults
@pytest.mark.parametrize("number", [3, 14, 25])
def test_one_of_two_runs_is_killed(home, undisturbed, number):
    processes = start(home, fault=at("os.replace", number, injection.kill)), start(home)
    assert [finish(home, process).code for process in processes] == [injection.KILLED, 0]
    left_over = {name for name in injection.snapshot(home) if name not in undisturbed}
    assert all(name.rpartition("/")[2].startswith(".") for name in left_over)
    resumed(home, undisturbed, set())


INTERRUPTED = [
    ("os.replace", 2),
    ("leaplib.cohorts.prepare.prepare", 1),
    ("torch.optim.Adam.step", 5),
    ("leaplib.runs.engine.save_frame", 2),
    ("leaplib.runs.pool.log", 4),
    ("leaplib.results.tables.summary", 1),
]


@pytest.mark.parametrize("target, number", points(INTERRUPTED, fast=(4,)))
def test_ctrl_c_is_one_line_and_exit_code_130(home, undisturbed, target, number):
    ended = run(home, fault=at(target, number, interrupt))
    assert ended.code == 130
    assert ended.err == "leap: interrupted; the same command goes on where it stopped\n"
    assert not [path for path in (home / "data").rglob(".*") if path.is_file()]
    resumed(home, undisturbed)


@pytest.mark.faults
def test_a_worker_that_dies_once_costs_nothing(home, undisturbed):
    def two():
        code = HERE()
        return code or command()

    ended = run(home, two, lambda patch: patch.setattr("leaplib.runs.jobs.fit", injection.dies_once))
    assert (ended.code, ended.err) == (0, "")
    assert (home / "fit-2a-holdout-0-ps-knn.died").exists()
    injection.assert_same(injection.snapshot(home), undisturbed)
    assert not list((home / "data/results/tiny").glob("failures/*"))


@pytest.mark.faults
def test_a_worker_that_dies_every_time_is_recorded_as_lost(home, undisturbed):
    ended = run(home, HERE, lambda patch: patch.setattr("leaplib.runs.jobs.fit", injection.dies_always))
    assert ended.code == 1
    lines = ended.err.strip().splitlines()
    assert "1 failed" in lines[0]
    assert lines[1].startswith("  fit 2a holdout-0 PS-KNN: its process died (killed, or out of memory)")
    assert len(lines) == 2
    record = json.loads((home / "data/results/tiny/failures/fit-2a-holdout-0-ps-knn.json").read_text())
    assert record["job"] == "fit 2a holdout-0 PS-KNN"
    log = [json.loads(line) for line in (home / "data/results/tiny/run_log.jsonl").read_text().splitlines()]
    assert [entry["state"] for entry in log if entry["job"] == record["job"]] == ["lost"]
    resumed(home, undisturbed, {record["job"]})


def _group(home, jobs="2"):
    """Start a run of several processes as a group of its own."""
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); " \
           "from leaplib import profiles; from leaplib.__main__ import main; from tests.faults.injection " \
           "import TINY, COMMAND; profiles.PROFILES['tiny'] = TINY; " \
           f"sys.exit(main((*COMMAND, '--jobs', '{jobs}')))"  # fmt: skip
    home.mkdir()
    environment = {**os.environ, "LEAP_HOME": str(home), "PYTHONPATH": str(ROOT), "LEAP_JOBS": ""}
    environment = {name: value for name, value in environment.items() if value and name != "LEAP_DATA"}
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment, start_new_session=True, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


def _until(home, lines, process):
    """Wait until so many jobs are in the log."""
    until = time.monotonic() + injection.PATIENCE
    while len(injection.computed(home)) < lines and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)


@pytest.mark.faults
@pytest.mark.parametrize("lines", [0, 2, 4])
def test_a_run_of_several_processes_that_is_killed(home, undisturbed, lines):
    process = _group(home)
    if lines:
        _until(home, lines, process)
    else:
        time.sleep(8)  # while it begins
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    resumed(home, undisturbed)


@pytest.mark.faults
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_reaches_all_processes(home, undisturbed, jobs):
    process = _group(home, jobs)
    _until(home, 3, process)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=120)
    line, *others = error.splitlines()
    assert line == "leap: interrupted; the same command goes on where it stopped"
    assert all("resource_tracker" in other or "warnings.warn" in other for other in others)  # Python's own, of workers
    assert process.returncode == 130
    resumed(home, undisturbed)
