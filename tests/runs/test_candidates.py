from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.decomposition import PCA

from leaplib.base.errors import InputError
from leaplib.models.elastic_net import PSElasticNet
from leaplib.models.kernel import rank_scores
from leaplib.models.ridge import DualRidge
from leaplib.models.table import CONTROLS
from leaplib.profiles import get_profile
from leaplib.results.comparisons import gains
from leaplib.runs import candidates as trials
from leaplib.runs.candidate_features import FEATURES, Features, linear_denoised
from leaplib.runs.candidates import CANDIDATES, Beyond, smoothed, stack_weights
from leaplib.runs.experiment import run_candidates
from leaplib.runs.job_list import notebook_jobs
from leaplib.runs.task_run import TaskRun
from leaplib.tasks import get_task

TINY = replace(
    get_profile("smoke"), n_splits=2, n_test_sets=5, max_perturbations=6, n_genes=120, n_representations=2,
    simulated_lines=260, simulated_genes=300,
    damae={"n_hidden": 32, "n_components": 16, "learning_rate": 1e-3, "batch_size": 64, "max_epochs": 15},
)  # fmt: skip


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEAP_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("LEAP_DATA", raising=False)
        yield run_candidates(TINY, "2a", device="cpu")


def test_every_candidate_has_a_score_of_each_perturbation_and_split(scores):
    counts = scores.groupby(["candidate", "metric"]).size()
    assert set(scores["candidate"]) == set(CANDIDATES) and (counts == 2 * 6).all()
    assert set(scores["metric"]) == {"spearman", "pearson"} and set(scores["data"]) == {"simulated"}
    assert scores["value"].notna().all() and (scores["seconds"] >= 0).all()


def test_candidates_are_what_their_names_say(scores):
    run = TaskRun(TINY, get_task("2a"), "cpu")
    tried, split = Beyond(run), run.splits[1]
    labels = run.cohort.response.loc[split.train]
    leap, ridge = (run.result(split, name) for name in ("LEAP", "PS-RIDGE"))
    mean = tried.predict(CANDIDATES["mean of LEAP and PS-RIDGE"], split)
    np.testing.assert_allclose(mean, (leap + ridge) / 2, atol=1e-6)
    np.testing.assert_allclose(tried.predict(CANDIDATES["PS-LASSO"], split), run.result(split, "PS-LASSO r0"))
    rank = tried.predict(CANDIDATES["ridge on rank scores"], split)
    genes = run.expression
    model = DualRidge().fit(genes.loc[split.train], rank_scores(labels.to_numpy()), split.folds)
    np.testing.assert_allclose(rank, model.predict(genes.loc[split.test]))
    elastic = tried.predict(CANDIDATES["elastic net on each code"], split)
    each = [PSElasticNet().fit(codes.loc[split.train], labels, split.folds).predict(codes.loc[split.test])
            for codes in run.embedding.codes]  # fmt: skip
    np.testing.assert_allclose(elastic, (each[0] + each[1]) / 2)
    truth, drug = run.cohort.response.loc[split.test], labels.columns[2]
    rows = scores.query("candidate == 'ridge on rank scores' and metric == 'spearman' and perturbation == @drug")
    expected = spearmanr(truth[drug], rank[drug], nan_policy="omit").statistic
    assert rows.set_index("split")["value"][split.name] == pytest.approx(expected)


def test_features_are_what_their_names_say(scores):
    run = TaskRun(TINY, get_task("2a"), "cpu")
    features, genes = Features(run), run.expression
    frames = {name: features.frames(name) for name in FEATURES}
    assert len(frames["each code"]) == 2 and all(
        len(found) == 1 for name, found in frames.items() if name != "each code"
    )
    one = {name: found[0] for name, found in frames.items()}
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
    tried, split = Beyond(run), run.splits[0]
    candidate = CANDIDATES["LEAP, PS-RIDGE and LEAP+, stacked"]
    labels, genes = run.cohort.response.loc[split.train], run.expression
    ridge = DualRidge().fit(genes.loc[split.train], labels, split.folds)
    folds = ridge.predict_folds(genes.loc[split.train])
    held_out = np.stack([folds[fold, row] for row, fold in enumerate(split.folds)])
    np.testing.assert_allclose(tried._held_out(CANDIDATES["PS-RIDGE"], split), held_out)
    each = np.stack([tried._held_out(CANDIDATES[name], split) for name in candidate.mean_of])
    weights = stack_weights(each, labels.to_numpy())
    expected = sum(weight * tried.predict(CANDIDATES[name], split)
                   for weight, name in zip(weights, candidate.mean_of, strict=True))  # fmt: skip
    np.testing.assert_allclose(tried.predict(candidate, split), expected)


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


def test_a_second_run_computes_nothing(scores, monkeypatch):
    monkeypatch.setattr(Beyond, "predict", lambda *a: pytest.fail("computed again"))
    pd.testing.assert_frame_equal(run_candidates(TINY, "2a", device="cpu"), scores)


def test_gains_are_paired_and_sorted(scores):
    table = gains(scores)
    assert table["mean"].is_monotonic_decreasing and len(table) == len(CANDIDATES)
    assert table.columns[:4].tolist() == ["task", "candidate", "mean", "gain"]
    values = scores[scores["metric"] == "spearman"].groupby(["candidate", "split"])["value"].mean().unstack()
    row = table.set_index("candidate").loc["PS-RIDGE"]
    difference = values.loc["PS-RIDGE"] - values.loc["LEAP"]
    assert row["difference"] == pytest.approx(difference.mean())
    assert row["gain"] == pytest.approx(difference.mean() / values.loc["LEAP"].mean())
    assert (row["splits_won"], row["n_splits"]) == ((difference > 0).sum(), 2)
    assert row["low"] < row["difference"] < row["high"]
    assert table.set_index("candidate").loc["LEAP", "difference"] == 0


def test_unknown_candidates_and_a_missing_reference_are_named(scores):
    with pytest.raises(InputError, match="candidate 'magic' is unknown: use one of LEAP; PS-LASSO; PS-RIDGE"):
        run_candidates(TINY, "2a", ["magic"])
    with pytest.raises(InputError, match="task 2a: no scores of LEAP"):
        gains(scores[scores["candidate"] != "LEAP"])


def test_names_are_files_of_their_own():
    assert len({trials.slug(name) for name in CANDIDATES}) == len(CANDIDATES)
