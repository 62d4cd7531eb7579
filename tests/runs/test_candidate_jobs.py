from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.results.comparisons import gains
from leaplib.results.verdicts import verdict
from leaplib.runs import failures, plan
from leaplib.runs.candidate_jobs import Trial, candidate_jobs
from leaplib.runs.candidates import CANDIDATES, COMPARED, N_CHOSEN_ON, N_INNER, Beyond
from leaplib.runs.costs import estimate, kind_of, work_of
from leaplib.runs.experiment import run_candidates
from leaplib.runs.job_list import TASKS_OF, TRIED_ON, notebook_jobs
from leaplib.runs.jobs import in_stages
from leaplib.runs.run_log import read_log
from leaplib.tasks import get_task
from tests.frames import results_of
from tests.runs.test_candidates import TINY

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "10_beyond_leap.ipynb"
FEW = ("LEAP", "PS-RIDGE", "mean of LEAP and PS-RIDGE", "ridge on codes", "ridge on rank scores")
TASK = get_task("2a")


@pytest.fixture(scope="module")
def scores(shared_home):
    return run_candidates(TINY, TASK, FEW, device="cpu")


def trials(**arguments):
    return [job for job in candidate_jobs(TINY, TASK, device="cpu", **arguments) if isinstance(job, Trial)]


def test_each_candidate_is_in_one_job_a_split_and_those_of_own_models_together(shared_home):
    for arguments, splits in (({}, 2), ({"n_splits": 1}, 1), ({"n_splits": 1, "n_inner": None}, 5)):
        jobs = trials(**arguments)
        assert len({job.split_name for job in jobs}) == splits and len({job.id for job in jobs}) == len(jobs)
        for name in {job.split_name for job in jobs}:
            assert sorted(one for job in jobs if job.split_name == name for one in job.names) == sorted(CANDIDATES)
        assert {len(job.names) for job in jobs} == {1, 7}
        own = next(job for job in jobs if len(job.names) > 1)
        assert all(CANDIDATES[name].estimator is None for name in own.names)


def test_trials_wait_for_what_they_use(shared_home):
    outer = {job.names[0]: job for job in trials(n_splits=1)}
    inner = {job.names[0]: job for job in trials(n_splits=1, n_inner=1)}
    assert {job.stage for job in outer.values()} == {3} and {job.stage for job in inner.values()} == {1}
    fits = {path.stem for path in outer["LEAP"].inputs() if "predictions" in path.parts}
    assert {"leap", "ps-ridge", "leap-plus"} <= fits and len(fits) == 4
    assert not any("predictions" in path.parts for path in inner["LEAP"].inputs())
    assert not outer["ridge on rank scores"].inputs()
    names = {path.name for path in outer["LEAP+ on codes"].inputs()}
    assert names == {"embedding_0.parquet", "embedding_1.parquet"}
    widths = [
        path for job in candidate_jobs(TINY, TASK, device="cpu") if job.kind == "width" for path, _ in job.results()
    ]
    assert set(widths) < set(outer["LEAP+ on codes of three widths"].inputs()) and len(widths) == 2
    assert {name for name, job in outer.items() if job.gpu} == {"LEAP", "LEAP on rank scores"}


def test_a_plan_counts_them_and_the_log_calibrates_them(scores):
    jobs = in_stages(candidate_jobs(TINY, TASK, FEW, device="cpu"))
    table = plan.table(jobs)
    assert set(table["state"]) == {"done"} and len(table) == len(jobs) == 2 + 2 * 3
    rest = [job for job in candidate_jobs(TINY, TASK, device="cpu") if job.kind in ("trial", "width")]
    assert all(estimate(job) > 0 and np.isfinite(estimate(job)) for job in rest)
    kinds = {"own models", "Lasso", "elastic net", "ridge", "LEAP+"}
    assert {kind_of(job) for job in rest} == {f"trial {kind}" for kind in kinds} | {"DAMAE of another width"}
    log = read_log(TINY.name)
    assert set(log.loc[log["kind"] == "trial", "cost"]) == {"trial own models", "trial ridge"}
    (small, *_, large) = sorted(work_of(job) for job in trials(n_splits=1, n_inner=1) if kind_of(job) == "trial ridge")
    assert 0 < small < large  # ridge on each code fits two of them


def test_processes_give_what_one_gives(scores, tmp_path, monkeypatch):
    monkeypatch.setenv("LEAP_HOME", str(tmp_path))
    again = run_candidates(TINY, TASK, FEW, device="cpu", jobs=2)
    pd.testing.assert_frame_equal(again.drop(columns="seconds"), scores.drop(columns="seconds"))


def test_a_candidate_that_fails_leaves_a_gap_and_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setenv("LEAP_HOME", str(tmp_path))
    predict = Beyond.predict

    def failing(self, candidate, split):
        if candidate.name == "ridge on codes":
            raise FloatingPointError("no inverse")
        return predict(self, candidate, split)

    with monkeypatch.context() as broken:
        broken.setattr(Beyond, "predict", failing)
        with pytest.warns(RuntimeWarning, match="2 of .* jobs failed: .*ridge on codes.*no inverse"):
            found = run_candidates(TINY, TASK, FEW, device="cpu")
    lost = found["candidate"] == "ridge on codes"
    assert found.loc[lost, "value"].isna().all() and found.loc[~lost, "value"].notna().all()
    assert gains(found).set_index("candidate")["difference"].isna().to_dict() == {
        name: name == "ridge on codes" for name in FEW}  # fmt: skip
    assert {failure.model for failure in failures.recorded(TINY.name)} == {"trial ridge on codes"}
    counted = []
    monkeypatch.setattr(Beyond, "predict", lambda *a: counted.append(a[1].name) or predict(*a))
    mended = run_candidates(TINY, TASK, FEW, device="cpu")
    assert counted == ["ridge on codes"] * 2 and mended["value"].notna().all()
    assert not failures.recorded(TINY.name)


def test_a_task_that_cannot_be_prepared_is_a_gap(tmp_path, monkeypatch):
    monkeypatch.setenv("LEAP_HOME", str(tmp_path))

    def fails(*_):
        raise KeyError("column that is not there")

    monkeypatch.setattr("leaplib.cohorts.prepare.prepare", fails)
    with pytest.warns(RuntimeWarning, match="1 of 1 jobs failed: prepare 2a for candidates: KeyError"):
        found = run_candidates(TINY, TASK, FEW, device="cpu")
    assert set(found["candidate"]) == set(FEW) and found["value"].isna().all()
    assert set(found["data"]) == {"simulated"}
    times = pd.DataFrame(columns=["task", "split", "model", "seconds", "core_seconds"])
    results = results_of(candidates=found, times=times)
    assert gains(found)["difference"].isna().all() and "**No verdict**" in verdict(results, "candidates 2a")


def test_a_damaged_score_is_made_again(scores):
    (job,) = [job for job in trials(n_splits=1) if job.names == ("ridge on rank scores",)]
    path, _ = job.results()[0]
    assert job.state() == "done"
    path.write_bytes(path.read_bytes()[:-20])
    assert job.state() == "stale"
    again = run_candidates(TINY, TASK, FEW, device="cpu")
    pd.testing.assert_frame_equal(again.drop(columns="seconds"), scores.drop(columns="seconds"))


def test_other_candidates_beside_are_the_same_job_but_another_result(scores):
    few, more = (
        next(job for job in candidate_jobs(TINY, TASK, names, 1, device="cpu") if "LEAP" in getattr(job, "names", ()))
        for names in (("LEAP",), ("LEAP", "LEAP+"))
    )
    assert few.is_done() and not more.is_done() and few.key != more.key


def test_the_notebook_and_the_command_line_run_the_same(shared_home):
    cells = nbformat.read(NOTEBOOK, 4).cells
    values: dict = {}
    exec(next(cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])), values)
    assert (values["tried_on"], values["n_chosen_on"], values["n_inner"]) == (TRIED_ON, N_CHOSEN_ON, N_INNER)
    assert {values["tried_on"], *values["tasks"]} == set(TASKS_OF["10"]) and values["n_splits"] is None
    jobs = notebook_jobs(replace(TINY, tasks=("1a", "2a")), ["10"], "cpu")
    tried = [job for job in jobs if isinstance(job, Trial)]
    found = {(job.task.id, job.is_inner, name) for job in tried for name in job.names}
    assert found == {("2a", inner, name) for inner in (False, True) for name in CANDIDATES} | {
        ("1a", False, name) for name in COMPARED}  # fmt: skip
    assert len({job.split_name for job in tried if job.is_inner}) == N_INNER


def test_bad_choices_are_named(shared_home):
    with pytest.raises(InputError, match="candidate 'magic' is unknown"):
        candidate_jobs(TINY, TASK, ["magic"])
    with pytest.raises(InputError, match="task 5a: its training set holds no xenografts"):
        candidate_jobs(TINY, get_task("5a"), FEW, n_inner=2, device="cpu")
