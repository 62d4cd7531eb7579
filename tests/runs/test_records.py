import json
import threading

import numpy as np
import pytest

from leaplib.runs.records import log, log_path, measured, model_times, read_log


def test_entries_come_back_and_damaged_lines_are_counted(home):
    assert read_log("smoke").empty
    log("smoke", job="a", kind="fit", seconds=1.5)
    with open(log_path("smoke"), "a") as handle:
        handle.write('{"job": "b", "se\n[1]\n')
    log("smoke", job="c", kind="fit", seconds=2.5)
    found = read_log("smoke")
    assert found["job"].tolist() == ["a", "c"]
    assert found.attrs["unreadable"] == 2


def test_lines_of_several_writers_stay_whole(home):
    def write(name):
        for number in range(50):
            log("smoke", job=f"{name}-{number}", text="x" * 500)

    writers = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = read_log("smoke")
    assert sorted(found["job"]) == sorted(f"{name}-{number}" for name in "abcd" for number in range(50))
    assert found.attrs["unreadable"] == 0
    lines = [json.loads(line) for line in log_path("smoke").read_text().splitlines() if line]
    assert all(line["text"] == "x" * 500 for line in lines)


def test_a_line_that_another_run_is_still_writing_harms_neither(home, monkeypatch):
    log("smoke", job="a", kind="fit")
    with monkeypatch.context() as other_run:
        other_run.setattr("os.pread", lambda *_: b"x")  # seen before its last byte is there
        log("smoke", job="b", kind="fit")
    found = read_log("smoke")
    assert found["job"].tolist() == ["a", "b"]
    assert found.attrs["unreadable"] == 0


def test_the_last_time_of_a_job_counts(home):
    for seconds in (1, 2):
        log("smoke", job="fit 2a a LEAP", kind="fit", task="2a", split="a", model="LEAP", seconds=seconds)
    log("smoke", job="score", kind="score", task="2a", split="a", model="", seconds=5)
    log("smoke", job="fit 2a a PS-KNN", kind="fit", task="2a", split="a", model="PS-KNN", state="failed")
    assert model_times("smoke")["seconds"].tolist() == [2]


def test_time_and_memory_are_those_of_the_block_though_a_clock_jumps(monkeypatch):
    monkeypatch.setattr("time.time", lambda: -1e9)
    with measured() as small:
        pass
    with measured() as large:
        values = np.ones(40_000_000)  # 0.32 GB
        total = values.sum()
    assert total == 40_000_000
    assert 0 <= large["seconds"] < 5
    assert large["core_seconds"] > 0
    assert large["memory_gb"] - small["memory_gb"] == pytest.approx(0.32, abs=0.1)
