from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from leaplib.base.errors import InputError
from leaplib.base.layout import slug
from leaplib.cohorts.splits import INNER
from leaplib.models.ridge import DualRidge
from leaplib.models.table import CONTROLS
from leaplib.results.claims import verdict
from leaplib.results.comparisons import gains
from leaplib.runs import records
from leaplib.runs.engine import TaskRun
from leaplib.runs.experiment import run_candidates
from leaplib.runs.jobs import TASKS_OF, TRIED_ON, candidate_jobs, notebook_jobs
from leaplib.runs.recipes import CANDIDATES, COMPARED, DAMAE_STUDY, LEAP, N_CHOSEN_ON, N_INNER, RECIPES
from leaplib.tasks import get_task
from tests.conftest import tiny
from tests.frames import results_of

TINY = tiny(32, 16, 8, max_perturbations=6, n_genes=120, simulated_lines=260, simulated_genes=300)
NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "10_beyond_leap.ipynb"
FEW = ("LEAP", "PS-RIDGE", "mean of LEAP and PS-RIDGE", "ridge on codes", "LEAP+ on codes")
TASK = get_task("2a")


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEAP_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("LEAP_DATA", raising=False)
        yield run_candidates(TINY, "2a", device="cpu")


def test_every_candidate_has_a_score_of_each_perturbation_and_split(scores):
    counts = scores.groupby(["candidate", "metric"]).size()
    assert set(scores["candidate"]) == set(CANDIDATES) and (counts == 2 * 6).all()
    assert set(scores["metric"]) == {"spearman", "pearson", "auroc"} and set(scores["data"]) == {"simulated"}
    assert scores["value"].notna().all() and (scores["seconds"] >= 0).all()


def predicted(run, name, split):
    """What a candidate predicts, all in memory or from saved results of its parts."""
    return run.predict(split, CANDIDATES[name])[CANDIDATES[name]]


def test_candidates_are_what_their_names_say(scores):
    run = TaskRun(TINY, get_task("2a"), "cpu")
    split = run.splits[1]
    labels = run.cohort.response.loc[split.train]
    leap, ridge = (run.result(split, recipe) for recipe in (LEAP, RECIPES["PS-RIDGE"]))
    np.testing.assert_allclose(predicted(run, "mean of LEAP and PS-RIDGE", split), (leap + ridge) / 2, atol=1e-6)
    np.testing.assert_allclose(predicted(run, "PS-LASSO", split), run.result(split, RECIPES["PS-LASSO"]))
    codes = [(code - code.mean()) / code.std(ddof=0) for code in run.embedding.codes]
    beside = pd.concat(codes, axis=1, keys=["0", "1"])
    for name, tables in (("ridge on each code", run.embedding.codes), ("ridge on codes", [beside])):
        each = [DualRidge().fit(table.loc[split.train].to_numpy(), labels, split.folds)
                .predict(table.loc[split.test].to_numpy()) for table in tables]  # fmt: skip
        np.testing.assert_allclose(predicted(run, name, split), np.mean(each, axis=0), atol=1e-6)
    truth, drug = run.cohort.response.loc[split.test], labels.columns[2]
    rows = scores.query("candidate == 'ridge on codes' and metric == 'spearman' and perturbation == @drug")
    expected = spearmanr(truth[drug], each[0].iloc[:, 2], nan_policy="omit").statistic
    assert rows.set_index("split")["value"][split.name] == pytest.approx(expected)


def test_the_notebook_needs_no_other_models(scores):
    jobs = notebook_jobs(replace(TINY, tasks=("2a", "5b")), ["10"], "cpu")
    fits = {job.where["model"] for job in jobs if job.kind == "fit"}
    members = {f"PS-LASSO r{number}" for number in range(2)}
    assert fits == {"LEAP", *members, "PS-RIDGE", "LEAP+", *CONTROLS.values()}
    assert {job.task.id for job in jobs} == {"2a"}
    both = notebook_jobs(replace(TINY, tasks=("2a",)), ["03", "10"], "cpu")
    assert len({job.id for job in both}) == len(both) > len(jobs)


def test_a_second_run_computes_nothing_and_bad_choices_are_named(scores, monkeypatch):
    monkeypatch.setattr(TaskRun, "predict", lambda *a: pytest.fail("computed again"))
    pd.testing.assert_frame_equal(run_candidates(TINY, "2a", device="cpu"), scores)
    assert len({slug(name) for name in CANDIDATES}) == len(CANDIDATES)  # files of their own
    with pytest.raises(InputError, match="task 5a: its training set holds no xenografts"):
        candidate_jobs(TINY, get_task("5a"), FEW, n_inner=2, device="cpu")
    with pytest.raises(InputError, match="candidate 'magic' is unknown: use one of LEAP; PS-LASSO; PS-RIDGE"):
        run_candidates(TINY, "2a", ["magic"])
    with pytest.raises(InputError, match="task 2a: no scores of LEAP"):
        gains(scores[scores["candidate"] != "LEAP"])


def test_candidates_wait_for_what_they_use(scores):
    jobs = candidate_jobs(TINY, TASK, n_splits=1, device="cpu")
    outer = {job.where["model"]: job for job in jobs if job.kind == "score"}
    assert outer["LEAP"].stage == 3 and outer["ridge on codes"].stage == 1
    fits = {path.stem for path in outer["mean of LEAP and PS-RIDGE"].inputs if "predictions" in path.parts}
    assert fits == {"leap", "ps-ridge"}
    assert not outer["LEAP+, share 0.5"].inputs
    assert {path.name for path in outer["LEAP+ on codes"].inputs} == {"embedding_0.parquet", "embedding_1.parquet"}


def test_a_candidate_that_fails_leaves_a_gap_and_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setenv("LEAP_HOME", str(tmp_path))
    predict = TaskRun.predict

    def failing(self, split, recipe, errors=None):
        if recipe.name == "ridge on codes":
            raise FloatingPointError("no inverse")
        return predict(self, split, recipe, errors)

    with monkeypatch.context() as broken:
        broken.setattr(TaskRun, "predict", failing)
        with pytest.warns(RuntimeWarning, match="2 of .* jobs failed: .*ridge on codes.*no inverse"):
            found = run_candidates(TINY, "2a", FEW, device="cpu")
    lost = found["candidate"] == "ridge on codes"
    assert found.loc[lost, "value"].isna().all() and found.loc[~lost, "value"].notna().all()
    assert gains(found).set_index("candidate")["difference"].isna().to_dict() == {
        name: name == "ridge on codes" for name in FEW}  # fmt: skip
    assert {failure.model for failure in records.recorded(TINY.name)} == {"ridge on codes"}
    counted = []
    monkeypatch.setattr(TaskRun, "predict", lambda *a: counted.append(a[2].name) or predict(*a))
    mended = run_candidates(TINY, "2a", FEW, device="cpu")
    assert counted == ["ridge on codes"] * 2 and mended["value"].notna().all()
    assert not records.recorded(TINY.name)


def test_a_task_that_cannot_be_prepared_is_a_gap(tmp_path, monkeypatch):
    monkeypatch.setenv("LEAP_HOME", str(tmp_path))

    def fails(*_):
        raise KeyError("column that is not there")

    monkeypatch.setattr("leaplib.cohorts.prepare.prepare", fails)
    with pytest.warns(RuntimeWarning, match="1 of 1 jobs failed: prepare 2a for candidates: KeyError"):
        found = run_candidates(TINY, "2a", FEW, device="cpu")
    assert set(found["candidate"]) == set(FEW) and found["value"].isna().all()
    assert set(found["data"]) == {"simulated"}
    times = pd.DataFrame(columns=["task", "split", "model", "seconds", "core_seconds"])
    results = results_of(candidates=found, times=times)
    assert gains(found)["difference"].isna().all() and "**No verdict**" in verdict(results, "candidates 2a")


def test_the_notebook_and_the_command_line_run_the_same(shared_home):
    cells = nbformat.read(NOTEBOOK, 4).cells
    values: dict = {}
    exec(next(cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])), values)
    assert (values["tried_on"], values["n_chosen_on"], values["n_inner"]) == (TRIED_ON, N_CHOSEN_ON, N_INNER)
    assert {values["tried_on"], *values["tasks"]} == set(TASKS_OF["10"]) and values["n_splits"] is None
    jobs = notebook_jobs(replace(TINY, tasks=("1a", "2a")), ["10"], "cpu")
    tried = [job for job in jobs if job.kind == "score"]
    found = {(job.task.id, INNER in job.where["split"], job.where["model"]) for job in tried}
    assert found == {("2a", inner, name) for inner in (False, True) for name in CANDIDATES} | {
        ("1a", False, name) for name in COMPARED}  # fmt: skip
    assert len({job.where["split"] for job in tried if INNER in job.where["split"]}) == N_INNER


def test_the_study_of_damaes_runs_where_it_is_asked_for_within_training_sets(scores):
    small = replace(TINY, damae=TINY.damae | {"max_epochs": 2})
    names = ["LEAP", "LEAP, damae, two hidden layers", "LEAP, damae, corruption 0.5"]
    assert set(names) < set(DAMAE_STUDY) and not set(DAMAE_STUDY) - {"LEAP"} & set(CANDIDATES)
    found = run_candidates(small, "2a", names, n_splits=1, n_inner=1, device="cpu")
    assert found["split"].unique().tolist() == [f"holdout-0{INNER}0"] and found["value"].notna().all()
    means = found.query("metric == 'spearman'").groupby("candidate")["value"].mean()
    assert means.nunique() == 3
