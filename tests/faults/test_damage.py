"""Files damaged while nobody looked: only what they hold is made again, and is the same to the byte."""

import os
import shutil
import time

import pytest

from leaplib.__main__ import main
from tests.faults import injection
from tests.faults.injection import COMMAND, POOL, command, points, resumed, run

PRETRAINED = [f"pretrain drugs-simulated DAMAE {seed}" for seed in range(2)]
RESULTS, PREPARED = "data/results/tiny", "data/processed/tiny"
KINDS = {
    f"{RESULTS}/predictions/2a/holdout-0/ps-knn.parquet": ["fit 2a holdout-0 PS-KNN"],
    f"{RESULTS}/predictions/2a/holdout-0/ps-lasso-r1.parquet": ["fit 2a holdout-0 PS-LASSO r1"],
    f"{RESULTS}/scores/2a/holdout-0/leap.parquet": ["fit 2a holdout-0 LEAP"],
    f"{POOL}/embedding_1.parquet": PRETRAINED[1:],
    f"{POOL}/history_0.parquet": PRETRAINED[:1],
    f"{POOL}/damae_0.safetensors": PRETRAINED[:1],
    f"{POOL}/damae_1.json": PRETRAINED[1:],
    f"{POOL}/scaler.parquet": PRETRAINED[:1],
    f"{POOL}/samples.parquet": PRETRAINED[:1],
    f"{PREPARED}/task_2a/expression.parquet": [],
    f"{PREPARED}/task_2a/response.parquet": [],
    f"{PREPARED}/task_2a/flow.parquet": [],
    f"{PREPARED}/task_2a/external.parquet": [],
    f"{PREPARED}/splits/task_2a": [],
    f"{RESULTS}/derived/scores-task-2a.parquet": [],
    "figures/tiny/tables/supplementary_table_3.csv": [],
}
"""Files of each kind (or the beginning of their names), and the jobs that make them anew; the data are prepared ahead
of all jobs, tables after them."""


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def replace(path):
    """Put a file of another kind, well formed, in its place."""
    foreign = {".parquet": f"{RESULTS}/scores/2a/holdout-0/tissue-mean.parquet", ".json": f"{POOL}/damae_0.json",
               ".csv": f"{POOL}/damae_0.json", ".safetensors": f"{POOL}/damae_1.safetensors"}  # fmt: skip
    source = path.parents[[parent.name for parent in path.parents].index("home")] / foreign[path.suffix]
    shutil.copyfile(source, path)


def remove(path):
    path.unlink()


CASES = [(name, deed) for name in KINDS for deed in (truncate, flip, empty, replace, remove)]
FAST = [number for number, (name, deed) in enumerate(CASES, start=1)
        if (deed is flip and ("json" in name or "embedding" in name))
        or (deed is truncate and "knn" in name)]  # fmt: skip


@pytest.mark.parametrize("name, deed", points(CASES, FAST))
def test_a_damaged_file_is_made_again(copy, undisturbed, name, deed):
    path = next(copy.joinpath(name).parent.glob(copy.joinpath(name).name + "*"))
    before = path.read_bytes()
    deed(path)
    assert not path.exists() or path.read_bytes() != before
    resumed(copy, undisturbed, set(KINDS[name]))


@pytest.mark.parametrize("deed", [truncate, flip, empty])
@pytest.mark.faults
def test_a_damaged_run_log_costs_its_lines_alone(copy, undisturbed, deed):
    path = copy / RESULTS / "run_log.jsonl"
    deed(path)
    (copy / RESULTS / "scores/2a/holdout-0/ps-knn.parquet").unlink()
    before = len(injection.computed(copy))
    assert run(copy).code == 0
    assert injection.computed(copy)[before:] == ["fit 2a holdout-0 PS-KNN"]
    injection.assert_same(injection.snapshot(copy), undisturbed)


@pytest.mark.faults
def test_what_is_a_folder_now_stops_the_run_in_one_line(copy, undisturbed):
    path = copy / RESULTS / "scores/2a/holdout-0/ps-knn.parquet"
    path.unlink()
    path.mkdir()
    ended = run(copy)
    assert ended.code == 1
    assert ended.err.startswith(f"leap: {path}: cannot be written (Is a directory)")
    assert ended.err.count("\n") == 1
    path.rmdir()
    resumed(copy, undisturbed)


@pytest.mark.parametrize("when", points([(0,), (-1e9,), (4e9,)], fast=(3,)))
def test_times_of_files_do_not_matter(copy, undisturbed, when):
    for number, path in enumerate(sorted(copy.rglob("*"))):
        os.utime(path, (when + number % 7, when - number % 5))
    resumed(copy, undisturbed, set())


@pytest.mark.parametrize("step", points([(-1000.0,), (86400.0 * 365,)], fast=()))
def test_a_clock_that_jumps_during_a_run(home, undisturbed, step):
    def jumping(patch):
        began, calls = time.time(), []
        patch.setattr("time.time", lambda: calls.append(1) or began + step * len(calls))
        patch.setattr("time.time_ns", lambda: calls.append(1) or int(1e9 * (began + step * len(calls))))

    assert run(home, fault=jumping).code == 0
    injection.assert_same(injection.snapshot(home), undisturbed)


def test_results_that_are_gone_are_computed_again_by_a_process_that_had_them(home, undisturbed):
    def twice():
        assert command() == 0
        shutil.rmtree(home / "data")
        return command()

    assert run(home, twice).code == 0
    injection.assert_same(injection.snapshot(home), undisturbed)


@pytest.mark.faults
@pytest.mark.parametrize("folder", ["data", RESULTS, PREPARED, f"{RESULTS}/scores", str(POOL)])
def test_a_folder_that_is_deleted_while_nothing_runs(copy, undisturbed, folder):
    shutil.rmtree(copy / folder)
    resumed(copy, undisturbed)


@pytest.mark.faults
def test_a_process_whose_home_moves(home, undisturbed, tmp_path):
    def here_and_there():
        assert main(COMMAND) == 0
        os.environ["LEAP_HOME"] = str(home / "there")
        return command()

    assert run(home, here_and_there).code == 0
    injection.assert_same(injection.snapshot(home / "there"), undisturbed)
