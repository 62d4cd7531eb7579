from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.decomposition import PCA

from leaplib.base.errors import InputError
from leaplib.base.layout import slug
from leaplib.cohorts.splits import INNER
from leaplib.models.lasso import PSElasticNet
from leaplib.models.ridge import DualRidge, rank_scores
from leaplib.models.table import CONTROLS
from leaplib.results.claims import verdict
from leaplib.results.comparisons import gains
from leaplib.runs import records
from leaplib.runs.engine import TaskRun, smoothed, stack_weights
from leaplib.runs.experiment import run_candidates
from leaplib.runs.features import linear_denoised
from leaplib.runs.jobs import TASKS_OF, TRIED_ON, candidate_jobs, notebook_jobs
from leaplib.runs.recipes import CANDIDATES, COMPARED, DAMAE_STUDY, FEATURES, LEAP, N_CHOSEN_ON, N_INNER, RECIPES
from leaplib.tasks import get_task
from tests.conftest import tiny
from tests.frames import results_of

TINY = tiny(32, 16, 15, max_perturbations=6, n_genes=120, simulated_lines=260, simulated_genes=300)
NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "10_beyond_leap.ipynb"
FEW = ("LEAP", "PS-RIDGE", "mean of LEAP and PS-RIDGE", "ridge on codes", "ridge on rank scores")
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
    rank = predicted(run, "ridge on rank scores", split)
    genes = run.genes
    model = DualRidge().fit(genes.loc[split.train], rank_scores(labels.to_numpy()), split.folds)
    np.testing.assert_allclose(rank, model.predict(genes.loc[split.test]))
    elastic = predicted(run, "elastic net on each code", split)
    each = [PSElasticNet().fit(codes.loc[split.train], labels, split.folds).predict(codes.loc[split.test])
            for codes in run.embedding.codes]  # fmt: skip
    np.testing.assert_allclose(elastic, (each[0] + each[1]) / 2)
    truth, drug = run.cohort.response.loc[split.test], labels.columns[2]
    rows = scores.query("candidate == 'ridge on rank scores' and metric == 'spearman' and perturbation == @drug")
    expected = spearmanr(truth[drug], rank[drug], nan_policy="omit").statistic
    assert rows.set_index("split")["value"][split.name] == pytest.approx(expected)


def test_features_are_what_their_names_say(scores):
    run = TaskRun(TINY, get_task("2a"), "cpu")
    genes = run.genes
    one = {name: run.frame(name) for name in FEATURES}
    assert all(frame.loc[genes.index].notna().all(axis=None) for frame in one.values())
    assert one["codes"].shape[1] == 2 * 16 and one["more genes"].shape[1] == 240
    assert one["codes of three widths"].shape[1] == 8 + 16 + 32 and one["principal components"].shape[1] == 16
    np.testing.assert_allclose(one["codes"].std(ddof=0), 1, rtol=1e-5)
    np.testing.assert_allclose(one["ranked genes"].mean(), 0, atol=1e-9)
    components = PCA(16, svd_solver="full").fit_transform(genes)
    np.testing.assert_allclose(one["principal components"], components, atol=1e-4)
    beside = one["genes and tissue"].iloc[:, genes.shape[1] :]
    assert beside.shape[1] == run.embedding.tissue.nunique()
    np.testing.assert_allclose(np.square(beside.to_numpy()).sum(), genes.size)


def test_a_linear_denoising_autoencoder_is_the_best_map_from_corrupted_to_clean_genes():
    """Against least squares on a hundred thousand corrupted copies of the samples."""
    rng = np.random.default_rng(0)
    genes = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 6)) + rng.normal(size=(60, 6))
    genes = (genes - genes.mean(axis=0)) / genes.std(axis=0)
    clean = np.tile(genes, (2000, 1))
    donors = rng.integers(60, size=clean.shape)
    corrupted = np.where(rng.random(clean.shape) < 0.3, genes[donors, np.arange(6)], clean)
    best = np.linalg.lstsq(corrupted, clean, rcond=None)[0]
    found = linear_denoised(pd.DataFrame(genes), 0.3)
    np.testing.assert_allclose(found, genes @ best, atol=0.03)
    np.testing.assert_allclose(linear_denoised(pd.DataFrame(genes), 0.0), genes, atol=1e-9)


def test_stacked_weights_are_non_negative_least_squares_shrunk_to_their_mean():
    rng = np.random.default_rng(0)
    models = rng.normal(size=(3, 200, 2))
    labels = np.stack([0.7 * models[0, :, 0] + 0.3 * models[1, :, 0] + 5, models[2, :, 1] - models[0, :, 1]], axis=1)
    labels[::7, 0] = np.nan
    own = stack_weights(models, labels, shrinkage=0)
    np.testing.assert_allclose(own[:, 0], [0.7, 0.3, 0], atol=1e-9)
    assert own[0, 1] == 0 and own[2, 1] > 0.8 and own.min() >= 0
    np.testing.assert_allclose(own.sum(axis=0), 1)
    half = stack_weights(models, labels, shrinkage=0.5)
    np.testing.assert_allclose(half, (own + own.mean(axis=1, keepdims=True)) / 2)
    np.testing.assert_allclose(stack_weights(-models[:1], models[0]), 1)  # nothing fits: equal weights


def test_a_stacked_mean_weighs_by_samples_that_models_were_fitted_without(scores):
    run = TaskRun(TINY, get_task("2a"), "cpu")
    split, name = run.splits[0], "LEAP, PS-RIDGE and LEAP+, stacked"
    labels, genes = run.cohort.response.loc[split.train], run.genes
    parts = [replace(part, held_out=True, keeps_parts=False) for part in CANDIDATES[name].mean_of]
    each = np.stack([run.in_memory(part, split, labels.columns).to_numpy() for part in parts])
    folds = DualRidge().fit(genes.loc[split.train], labels, split.folds).predict_folds(genes.loc[split.train])
    np.testing.assert_allclose(each[1], np.stack([folds[fold, row] for row, fold in enumerate(split.folds)]))
    weights = stack_weights(each, labels.to_numpy())
    expected = sum(weight * run.result(split, part)
                   for weight, part in zip(weights, CANDIDATES[name].mean_of, strict=True))  # fmt: skip
    np.testing.assert_allclose(predicted(run, name, split), expected, rtol=1e-5)


def test_smoothing_averages_with_the_projection():
    rng = np.random.default_rng(0)
    labels, prediction = pd.DataFrame(rng.normal(2, 3, (30, 4))), pd.DataFrame(rng.normal(2, 3, (5, 4)))
    np.testing.assert_allclose(smoothed(prediction, labels, 4), prediction)
    mean, sd = labels.mean(), labels.std(ddof=0)
    leading = np.linalg.eigh(np.corrcoef(labels.T))[1][:, -1:]
    expected = (
        (prediction - mean) / sd @ (np.eye(4) + leading @ leading.T) / 2
    ).to_numpy() * sd.to_numpy() + mean.to_numpy()
    np.testing.assert_allclose(smoothed(prediction, labels, 1), expected)


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
    assert not outer["ridge on rank scores"].inputs
    assert {path.name for path in outer["LEAP+ on codes"].inputs} == {"embedding_0.parquet", "embedding_1.parquet"}
    assert len(outer["LEAP+ on codes of three widths"].inputs) == 4
    assert {name for name, job in outer.items() if job.gpu} == {
        "LEAP on rank scores", "LEAP, PS-RIDGE and LEAP+, stacked"}  # fmt: skip


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
