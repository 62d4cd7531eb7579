"""Jobs run in this process, in several, or on a dask cluster: the same results, and one outcome each."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import dask
import pandas as pd
import pytest
from distributed import Client, LocalCluster

from leaplib.base.errors import InputError, StorageError
from leaplib.base.layout import Layout
from leaplib.base.store import key_of, load_frame, save_frame, write_text
from leaplib.runs import pool, records
from leaplib.runs.experiment import load_scores
from leaplib.runs.jobs import Job, in_stages, pretraining_jobs, task_jobs
from leaplib.runs.pool import Backend, run_jobs
from leaplib.runs.records import read_log
from leaplib.tasks import get_task
from tests.conftest import tiny

TINY = tiny()
TASK = get_task("2a")
MODELS = ("ps-knn", "ps-lasso", "leap", "pp-mlp")


def jobs(models=MODELS, profile=TINY):
    return in_stages(task_jobs(profile, TASK, models, "cpu"))


def act(name, deed, job, errors):
    """A job whose work is to do something to its process."""
    path = job.files[0][0]
    marks = list(path.parent.glob(f"{name}.started*"))
    write_text(path.parent / f"{name}.started{len(marks)}", "")
    if deed == "die" or (deed == "die once" and not marks):
        os.kill(os.getpid(), signal.SIGKILL)
    if deed == "raise":
        raise ValueError("as told\nsecond line")
    if deed == "full":
        raise StorageError("no room")
    save_frame(pd.DataFrame({"process": [os.getpid()]}), path, {"name": name})


def pretend(gpu=False, **deeds):
    return [
        Job(TINY, TASK, "cpu", "pretend", f"pretend {name}", partial(act, name, deed), gpu=gpu,
            files=[(Layout(TINY.name).results / f"{name}.parquet", key_of({"name": name}))])
        for name, deed in deeds.items()
    ]  # fmt: skip


def outcomes(found):
    return {outcome.job.removeprefix("pretend "): outcome.state for outcome in found}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Scores of a run in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEAP_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("LEAP_DATA", raising=False)
        run_jobs(jobs(), Backend(1))
        return load_scores(TINY)


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """A cluster of two workers with a home of their own, set as this process's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEAP_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("LEAP_DATA", raising=False)
        place = {"LEAP_HOME": os.environ["LEAP_HOME"]}  # for workers that are started again, too
        with (
            dask.config.set({"distributed.scheduler.allowed-failures": 1}),
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, env=place) as found,
        ):
            yield found, os.environ["LEAP_HOME"]


@pytest.fixture
def scheduler(workers, monkeypatch):
    """Return its scheduler's address, with its home set as this process's."""
    monkeypatch.setenv("LEAP_HOME", workers[1])
    monkeypatch.delenv("LEAP_DATA", raising=False)
    return workers[0].scheduler_address


def dask_worker(address, folder, *options):
    """Start a worker from the command line, on a port of its own, as on another machine."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"]
    return subprocess.Popen([*command, "--local-directory", str(folder), *options], stderr=subprocess.DEVNULL)


def test_processes_give_the_same_to_the_bit(undisturbed, home):
    found = run_jobs(jobs(), Backend(2))
    assert {outcome.state for outcome in found} == {"computed"}
    pd.testing.assert_frame_equal(load_scores(TINY), undisturbed, check_exact=True)
    assert {outcome.state for outcome in run_jobs(jobs(), Backend(2))} == {"done"}


def test_a_dask_cluster_gives_the_same_to_the_bit(undisturbed, scheduler):
    found = run_jobs(jobs(), Backend(scheduler=scheduler))
    assert {outcome.state for outcome in found} == {"computed"}
    pd.testing.assert_frame_equal(load_scores(TINY), undisturbed, check_exact=True)
    log = read_log(TINY.name)
    assert len(log) == len(jobs())
    assert (log["memory_gb"] > 0.05).all()


def test_what_fails_is_kept_with_its_traceback_and_the_rest_goes_on(home):
    found = run_jobs(pretend(a="", b="raise", c=""), Backend(2))
    assert outcomes(found) == {"a": "computed", "b": "failed", "c": "computed"}
    (failure,) = records.recorded(TINY.name)
    assert failure.line() == "pretend b: ValueError: as told"
    assert "raise ValueError" in failure.traceback
    # not tried again by what runs in its wake, but by the next command; what was done is not done again
    again = run_jobs(pretend(a="", b="", c=""), Backend(2), retry=False)
    assert outcomes(again) == {"a": "done", "b": "failed", "c": "done"}
    (other,) = pretend(b="")
    other = replace(other, files=[(other.files[0][0], "another key")])  # of other data: it has not failed
    assert outcomes(run_jobs([other], Backend(2), retry=False)) == {"b": "computed"}
    again = run_jobs(pretend(a="", b="", c=""), Backend(2), force=True)
    assert outcomes(again) == {"a": "computed", "b": "computed", "c": "computed"}
    assert not records.recorded(TINY.name)


@pytest.mark.parametrize("deed, state", [("die once", "computed"), ("die", "lost")])
def test_a_process_that_dies_takes_no_other_job_with_it(home, deed, state):
    # one job alone kills: of two, one could be ended by the other's death before its own first try, and die when alone
    names = {f"j{number}": "" for number in range(6)}
    found = run_jobs(pretend(deadly=deed, **names), Backend(2))
    states = outcomes(found)
    assert states.pop("deadly") == state
    assert set(states) == set(names)  # done, where a result was on its way when the other process died
    assert set(states.values()) <= {"computed", "done"}
    failures = [failure.line() for failure in records.recorded(TINY.name)]
    assert len(failures) == (state == "lost")
    assert all("its process died" in line for line in failures)


def test_a_disk_that_refuses_stops_the_run_and_what_was_done_stays(home):
    with pytest.raises(StorageError, match="no room"):
        run_jobs(pretend(a="", b="full"), Backend(2))
    assert not records.recorded(TINY.name)
    assert outcomes(run_jobs(pretend(a="", b=""), Backend(2)))["b"] == "computed"


def test_jobs_for_a_gpu_go_to_workers_that_have_one(scheduler, tmp_path):
    todo = pretend(gpu=True, **{f"g{number}": "" for number in range(4)})
    gpu = dask_worker(scheduler, tmp_path, "--resources", "GPU=1", "--no-nanny")
    try:
        with Client(scheduler) as client:
            while not any(info["resources"] for info in client.scheduler_info(n_workers=-1)["workers"].values()):
                time.sleep(0.1)
                assert gpu.poll() is None
        run_jobs(todo, Backend(scheduler=scheduler))
    finally:
        gpu.terminate()
        gpu.wait(120)
    assert {load_frame(path)["process"][0] for job in todo for path, _ in job.files} == {gpu.pid}


def test_a_cluster_that_loses_all_workers_is_not_waited_for_without_end(home, monkeypatch):
    monkeypatch.setattr(pool, "PATIENCE", 0.3)
    monkeypatch.setattr(pool, "LOOK", 0.1)
    monkeypatch.setattr(pool.Cluster, "_check_workers", lambda *_: None)
    with (
        LocalCluster(n_workers=0, dashboard_address=None) as none,
        pytest.raises(InputError, match="no worker left: start some, and run the same command again"),
    ):
        run_jobs(pretend(a=""), Backend(scheduler=none.scheduler_address))


def test_clusters_that_cannot_work_are_refused(scheduler, monkeypatch, tmp_path):
    todo = jobs(("ps-knn",))[:1]
    with monkeypatch.context() as patch, pytest.raises(InputError, match="no dask scheduler answers there"):
        patch.setattr(pool, "WAIT", 2)
        run_jobs(todo, Backend(scheduler="tcp://127.0.0.1:1"), force=True)
    with (
        LocalCluster(n_workers=0, dashboard_address=None) as none,
        pytest.raises(InputError, match=r"no worker came in"),
        monkeypatch.context() as patch,
    ):
        patch.setattr(pool, "WAIT", 4)
        run_jobs(todo, Backend(scheduler=none.scheduler_address), force=True)
    workers = {"tcp://a": {"nthreads": 2, "resources": {}}}
    with monkeypatch.context() as patch, pytest.raises(InputError, match="several threads: start workers with --nthr"):
        patch.setattr(pool.Cluster, "workers", lambda cluster: workers)
        run_jobs(todo, Backend(scheduler=scheduler), force=True)
    with monkeypatch.context() as patch, pytest.raises(InputError, match=r"does not see .*elsewhere"):
        patch.setenv("LEAP_HOME", str(tmp_path / "elsewhere"))  # the workers have the former
        run_jobs(todo, Backend(scheduler=scheduler), force=True)
    with monkeypatch.context() as patch, pytest.raises(InputError, match="another version of leaplib"):
        patch.setattr(pool, "code_version", lambda *a, **k: "other")
        run_jobs(todo, Backend(scheduler=scheduler), force=True)


def test_a_worker_of_a_cluster_that_dies(scheduler):  # last of the cluster: its own keeper may give up on a worker
    found = run_jobs(pretend(d="", bad="die", unlucky="die once"), Backend(scheduler=scheduler))
    states = outcomes(found)
    assert states.pop("bad") == "lost"
    assert set(states) == {"d", "unlucky"}  # done, where a result was on its way from a worker that died of another job
    assert set(states.values()) <= {"computed", "done"}


def test_stages_and_names(home):
    found = jobs()
    assert len({job.id for job in found}) == len(found)
    assert [job.stage for job in found] == sorted(job.stage for job in found)
    assert {job.kind for job in found if job.stage == 0} == {"pretrain"}
    assert {job.where["model"] for job in found if job.stage == 2} == {"LEAP"}
    assert sum(job.gpu for job in found) == 2 + 2 * 2 + 1  # DAMAEs, members of LEAP on two splits, shuffled on one


def test_results_that_are_left_from_other_settings_are_stale(home):
    run_jobs(jobs(("ps-knn",)), Backend(1))
    assert {job.state() for job in jobs(("ps-knn",))} == {"done"}
    longer = replace(TINY, damae={**TINY.damae, "max_epochs": 5})
    states = {job.id: job.state() for job in jobs(("ps-knn",), longer)}
    assert states["fit 2a holdout-0 PS-KNN"] == "stale"
    assert states["fit 2a holdout-0 Tissue mean"] == "done"
    assert states["pretrain drugs-simulated DAMAE 0"] == "stale"
    weights = Path(Layout(TINY.name).results / "representations/drugs-simulated/damae_1.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert [job.state() for job in pretraining_jobs(TINY, TASK, "cpu")] == ["done", "stale"]
