"""Plans: what there is to do, what it costs, how it scales; estimates against a log."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from leaplib.__main__ import main
from leaplib.models.table import MODELS
from leaplib.profiles import PROFILES
from leaplib.runs import jobs as plan
from leaplib.runs.jobs import ablation_jobs, calibrated, estimate, in_stages, task_jobs
from leaplib.runs.pool import Backend, run_jobs
from leaplib.runs.recipes import additions_of
from leaplib.runs.records import read_log
from leaplib.tasks import get_task
from tests.conftest import tiny

TINY = tiny()
TASK = get_task("2a")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEAP_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("LEAP_DATA", raising=False)
        yield


def jobs(profile=TINY):
    return in_stages(task_jobs(profile, TASK, ("ps-knn", "leap"), "cpu"))


def test_states_costs_and_sums_of_a_plan(shared):
    before = plan.plan_of(jobs())
    assert set(before["state"]) == {"to do"}
    assert (before["core_seconds"] > 0).all()
    run_jobs([job for job in jobs() if job.stage == 0], Backend(1))
    after = plan.plan_of(jobs())
    assert after.loc[after["kind"] == "pretrain", "state"].tolist() == ["done", "done"]
    sums = plan.summed(after)
    assert sums["done"].sum() == 2
    assert sums[["done", "to do", "stale", "failed"]].to_numpy().sum() == len(after)
    assert sums["core_hours"].sum() * 3600 == pytest.approx(after.loc[after["state"] != "done", "core_seconds"].sum())
    text = plan.plan_text(jobs(), [1, 8])
    assert f"{len(after)} jobs: 2 done, {len(after) - 2} to do, 0 stale, 0 failed." in text
    assert "On 8 cores: about" in text
    assert "Run log: 2 jobs took" in text
    log = read_log(TINY.name)
    assert (set(log["state"]), set(calibrated(log))) == ({"computed"}, {"DAMAE"})


def test_time_on_cores_by_hand():
    stages = [[4.0, 3.0, 3.0], [5.0]]
    assert [plan.makespan(stages, cores) for cores in (1, 2, 100)] == [15, 5 + 5, 4 + 5]
    assert plan.makespan([], 4) == 0


def test_rates_are_the_medians_of_what_was_computed():
    entries = pd.DataFrame({"job": list("abcd"), "state": "computed", "cost": "PP-MLP", "work": [2.0, 2, 2, 0],
                            "core_seconds": [3.06, 4.06, 50.0, 9.0]})  # fmt: skip
    failed = entries.assign(job=list("wxyz"), state="failed", core_seconds=1e9)
    earlier = entries[:1].assign(core_seconds=1e6)
    assert calibrated(pd.concat([earlier, entries, failed])) == {"PP-MLP": pytest.approx(2.0)}


def time_left(log, rates):
    """Of a recorded run, from the fifth job on: the time left as estimated, as it was, and each job's seconds."""
    known = plan.RATES | rates
    costs = [plan.OVERHEAD + known.get(kind, known.get(kind.partition(" on ")[0], known["DAMAE"])) * work
             for kind, work in zip(log["cost"], log["work"], strict=True)]  # fmt: skip
    pace = plan.Pace(zip(range(len(log)), [0] * len(log), log["cost"], costs, strict=True), 1)
    rows = []
    for number, seconds in enumerate(log["core_seconds"]):
        pace.end(number, seconds)
        rows.append((pace.left(), log["core_seconds"][number + 1 :].sum(), seconds))
    return pd.DataFrame(rows[4:-1], columns=["estimated", "left", "step"])


def within(found, factor):
    """The share of a run's time in which the estimate was within a factor of the truth."""
    ratio = found["estimated"] / found["left"]
    return found.loc[ratio.between(1 / factor, factor), "step"].sum() / found["step"].sum()


def test_the_time_left_is_estimated_within_a_factor_from_the_fifth_job_on():
    """On the log of a smoke run, whose small jobs are far from the demo's that the shipped rates come from."""
    log = pd.read_csv(Path(__file__).with_name("recorded_log.csv"))
    first = time_left(log, {})
    assert within(first, 1.5) > 0.9
    assert 1 / 1.5 < first["estimated"][0] / first["left"][0] < 1.5
    entries = log.assign(job=range(len(log)), state="computed")
    again = time_left(log, calibrated(entries))
    assert within(again, 1.5) > 0.95
    slow = log.assign(core_seconds=3 * log["core_seconds"])  # another machine: the first jobs tell
    assert within(time_left(slow, calibrated(entries)), 2) > 0.9


def test_workers_share_what_is_left_but_not_a_single_job():
    pace = plan.Pace([("a", 0, "m", 4.0), ("b", 0, "m", 4.0), ("c", 1, "m", 6.0)], 2)
    assert pace.left() == 4 + 6 - 2  # half of those under way is done
    pace.end("a", 8.0)
    pace.end("b", None)
    assert 6 < pace.left() < 12
    pace.end("c", 1.0)
    assert pace.left() == 0


def test_work_grows_as_it_should(shared):
    fits = {job.where["model"]: job for job in task_jobs(TINY, TASK, tuple(MODELS), "cpu") if job.stage}
    trees = replace(TINY, models={**TINY.models, "ps-lgbm": {**TINY.models["ps-lgbm"], "n_estimators": 40}})
    more = {job.where["model"]: job.work for job in task_jobs(trees, TASK, ("ps-lgbm",), "cpu") if job.stage}
    assert more["PS-LGBM"] == pytest.approx(2 * fits["PS-LGBM"].work)  # 40 trees for 20
    assert fits["LEAP (shuffled labels)"].work == pytest.approx(2 * fits["PS-LASSO r0"].work)
    for job in fits.values():
        assert estimate(job, {job.cost: 1e6}) == pytest.approx(1e6 * job.work + plan.OVERHEAD)
        assert job.memory_gb > 0.5


def test_every_kind_of_job_has_a_rate(shared):
    """Of the shipped rates: a model without one would cost next to nothing."""
    fits = [job for task in ("2a", "5a") for job in task_jobs(TINY, get_task(task), tuple(MODELS), "cpu")]
    found = {job.cost for job in [*fits, *ablation_jobs(TINY, TASK, additions_of(TINY), "cpu")]}
    assert {kind.partition(" on ")[0] for kind in found if not kind.startswith("codes ")} <= set(plan.RATES)


def test_the_command(home, capsys, monkeypatch):
    monkeypatch.setitem(PROFILES, "smoke", TINY)
    assert main(["plan", "--profile", "smoke", "--tasks", "2a", "--models", "ps-knn", "--cores", "2,128"]) == 0
    printed = capsys.readouterr().out
    assert "On 128 cores" in printed
    assert "core-hours" in printed
    assert main(["plan", "--profile", "smoke", "--tasks", "2a", "--models", "ps-knn", "--list"]) == 0
    assert "holdout-1" in capsys.readouterr().out
    assert main(["plan", "--profile", "smoke", "--notebooks", "07"]) == 0
    assert "Nothing to compute" in capsys.readouterr().out
    assert main(["plan", "--profile", "smoke", "--tasks", "9z"]) == 2
