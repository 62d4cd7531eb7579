from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from leaplib.base.errors import InputError
from leaplib.base.layout import Layout
from leaplib.base.store import provenance
from leaplib.cohorts.prepare import pool_of
from leaplib.cohorts.splits import thinned, tuning_folds
from leaplib.models.base import average
from leaplib.models.knn import PSKNN
from leaplib.models.lasso import PSLasso
from leaplib.models.ridge import DualRidge, SharedKernelRidge
from leaplib.models.table import CONTROLS, MODELS, USUAL
from leaplib.representation.pretraining import make_representation
from leaplib.results import comparisons
from leaplib.runs.engine import TaskRun
from leaplib.runs.experiment import load_own, load_scores, run, run_curves
from leaplib.runs.recipes import CANDIDATES, CHANCE, LEAP, MEANS, RECIPES
from leaplib.tasks import get_task
from tests.conftest import tiny
from tests.frames import load_predictions

TINY = tiny(32, 16, 15, max_perturbations=6, n_genes=150, simulated_genes=300)
DRUGS = get_task("2a")
TISSUES = replace(get_task("4b"), n_tissues=3, min_samples_per_tissue=12)


@pytest.fixture(scope="module")
def scores(shared_home):
    return run(TINY, [DRUGS])


@pytest.fixture(scope="module")
def tissue_scores(shared_home):
    return run(TINY, [TISSUES], tuple(MODELS))


def test_every_model_and_control_has_scores(scores):
    holdout = {MODELS[key].name for key in USUAL if "holdout" in MODELS[key].designs}
    assert set(scores["model"]) == holdout | set(CONTROLS.values())
    assert set(scores["data"]) == {"simulated"}
    assert set(scores.loc[scores["model"] == "PS-LASSO", "member"]) == {0, 1}
    shuffled = scores[scores["model"] == "LEAP (shuffled labels)"]
    assert shuffled["split"].unique().tolist() == ["holdout-0"]  # n_shuffled = 1
    means = scores.query("split == 'holdout-0' and perturbation == '' and metric == 'spearman'")
    means = means.groupby(["level", "model"])["value"].mean()["per_perturbation"]
    assert means["LEAP (shuffled labels)"] < means["LEAP"] - 0.1


def test_few_shot_models_are_fine_tuned_on_what_a_test_set_leaves_out_and_scored_on_the_rest(tissue_scores):
    run = TaskRun(TINY, TISSUES)
    split, codes = run.splits[0], run.embedding.codes[0]
    seen, tissue = codes.loc[split.train], run.cohort.samples["tissue"].loc[split.train]
    fitted = run.estimator(RECIPES["PS-TCRP"]).fit(seen, run.cohort.response.loc[split.train], split.folds, tissue)
    held = split.left_out[2]
    rest = split.test.difference(held, sort=False)
    expected = fitted.adapt(codes.loc[held], run.cohort.response.loc[held]).predict(codes.loc[rest])
    saved = load_predictions(TINY, "4b", split.name, "PS-TCRP (10-shot)").xs(2, level="test_set")
    assert saved.index.equals(rest)
    np.testing.assert_allclose(saved, expected, rtol=1e-5, atol=1e-6)
    truth = run.cohort.response.loc[rest]
    values = [spearmanr(truth[drug], expected[drug], nan_policy="omit").statistic for drug in truth]
    rows = tissue_scores[(tissue_scores["split"] == split.name) & (tissue_scores["model"] == "PS-TCRP (10-shot)")]
    rows = rows[(rows["level"] == "per_perturbation") & (rows["metric"] == "spearman") & (rows["perturbation"] == "")]
    np.testing.assert_allclose(rows.set_index("test_set")["value"][2], np.nanmean(values), rtol=1e-5)
    zero = load_predictions(TINY, "4b", split.name, "PS-TCRP").loc[rest]
    assert np.abs(zero - saved).to_numpy().max() > 1e-4


@pytest.mark.parametrize("recipe", [*MEANS, *RECIPES.values(), CHANCE], ids=lambda recipe: recipe.name)
def test_labels_of_test_samples_change_no_prediction(recipe, tissue_scores):
    """Absurd responses of the unseen tissue: every model predicts what it predicted before."""
    run = TaskRun(TINY, TISSUES)
    split = run.splits[0]
    response = run.cohort.response.copy()
    response.loc[split.test] = np.where(np.arange(len(split.test))[:, None] % 2, np.nan, 1e6)
    run.__dict__["cohort"] = replace(run.cohort, response=response, _hash=[])
    found = run.in_memory(recipe, split, response.columns).astype(np.float32)
    pd.testing.assert_frame_equal(found, load_predictions(TINY, "4b", split.name, recipe.label), rtol=1e-5, atol=1e-6)


def test_members_equal_the_estimator_on_the_saved_codes(scores):
    run = TaskRun(TINY, DRUGS)
    split, codes = run.splits[0], run.embedding.codes[1]
    model = PSLasso().fit(codes.loc[split.train], run.cohort.response.loc[split.train], split.folds)
    expected = model.predict(codes.loc[split.test])
    np.testing.assert_allclose(load_predictions(TINY, "2a", split.name, "PS-LASSO r1"), expected, rtol=1e-5, atol=1e-6)


def test_leap_on_other_views_is_the_mean_of_lassos_on_each(tissue_scores):
    run = TaskRun(TINY, TISSUES)
    split, labels = run.splits[0], run.cohort.response.loc[run.splits[0].train]
    for name, kind in (("LEAP on PCA views", "pca view"), ("LEAP on random projections", "random projection")):
        codes = [make_representation(kind, seed, n_components=16).fit_transform(run.genes) for seed in range(2)]
        frames = [pd.DataFrame(values, run.genes.index) for values in codes]
        members = [PSLasso().fit(frame.loc[split.train], labels, split.folds) for frame in frames]
        expected = average([member.predict(frame.loc[split.test])
                            for member, frame in zip(members, frames, strict=True)])  # fmt: skip
        np.testing.assert_allclose(load_predictions(TINY, "4b", split.name, name), expected, rtol=1e-4, atol=1e-5)


def test_leaps_layer_under_another_regressor_takes_the_first_from_the_tables(tissue_scores):
    run = TaskRun(TINY, TISSUES)
    split, labels = run.splits[0], run.cohort.response.loc[run.splits[0].train]
    members = [PSKNN().fit(codes.loc[split.train], labels).predict(codes.loc[split.test])
               for codes in run.embedding.codes]  # fmt: skip
    np.testing.assert_allclose(
        load_predictions(TINY, "4b", split.name, "LEAP over PS-KNN"), average(members), rtol=1e-5
    )
    first, second = RECIPES["LEAP over PS-KNN"].parts(2)
    assert first == RECIPES["PS-KNN"] and not second.name and second.number == 1


def test_ridge_sees_the_genes_that_the_autoencoders_see_and_no_code(scores):
    run = TaskRun(TINY, DRUGS)
    split, pool = run.splits[1], pool_of(TINY, DRUGS)
    genes = sorted(pool.expression.var().nlargest(TINY.n_genes).index)
    values = pool.expression[genes]
    values = (values - values.mean()) / values.std(ddof=0)
    model = DualRidge().fit(values.loc[split.train], run.cohort.response.loc[split.train], split.folds)
    saved = load_predictions(TINY, "2a", split.name, "PS-RIDGE")
    np.testing.assert_allclose(saved, model.predict(values.loc[split.test]), rtol=1e-4, atol=1e-5)
    assert run.genes.columns.tolist() == genes


def test_leap_plus_is_not_mistaken_for_leap(scores):
    layout, run = Layout(TINY.name), TaskRun(TINY, DRUGS)
    paths = [layout.prediction("2a", "holdout-0", model) for model in ("LEAP", "LEAP+")]
    assert paths[0] != paths[1] and all(path.is_file() for path in paths)
    settings = replace(TINY, models={"ps-lasso": {"n_alphas": 3}, "leap-plus": {"share": 0.2}})
    (member,) = {fit.model for fit in LEAP.fits(2)}
    assert TaskRun(settings, DRUGS).estimator(RECIPES["LEAP+"]).share == 0.2
    assert TaskRun(settings, DRUGS).estimator(RECIPES[member]).n_alphas == 3
    split = run.splits[0]
    expression = run.genes
    model = SharedKernelRidge().fit(expression.loc[split.train], run.cohort.response.loc[split.train], split.folds)
    np.testing.assert_allclose(load_predictions(TINY, "2a", split.name, "LEAP+"),
                               model.predict(expression.loc[split.test]), rtol=1e-4, atol=1e-5)  # fmt: skip


def test_results_of_ridge_outlive_the_autoencoders_but_not_another_choice_of_genes(scores):
    def key(model, **changes):
        run = TaskRun(replace(TINY, **changes), DRUGS)
        run.__dict__["splits"] = TaskRun(TINY, DRUGS).splits
        return run.configuration(run.splits[0], (RECIPES | CANDIDATES)[model])

    trained_longer = {"damae": {**TINY.damae, "max_epochs": 16}}
    assert key("PS-RIDGE", **trained_longer) == key("PS-RIDGE")
    assert key("PS-KNN", **trained_longer) != key("PS-KNN")
    for mean in ("LEAP", "ridge on codes"):
        assert key(mean, n_representations=3) != key(mean)
    assert key("PS-RIDGE", n_genes=149) != key("PS-RIDGE")
    assert key("PS-RIDGE", models={"ps-ridge": {"n_penalties": 3}}) != key("PS-RIDGE")


def test_scores_can_be_worked_out_again_from_predictions(scores):
    run = TaskRun(TINY, DRUGS)
    split = run.splits[1]
    truth, predicted = run.cohort.response.loc[split.test], load_predictions(TINY, "2a", split.name, "LEAP")
    single = [spearmanr(truth[d], predicted[d], nan_policy="omit").statistic for d in truth]
    pairs = pd.concat([truth.stack(), predicted.stack()], axis=1, join="inner").dropna()
    rows = scores[(scores["model"] == "LEAP") & (scores["split"] == split.name) & (scores["perturbation"] == "")]
    found = rows.set_index(["level", "metric"])["value"]
    np.testing.assert_allclose(found["per_perturbation", "spearman"], np.mean(single), rtol=1e-6)
    np.testing.assert_allclose(found["overall", "spearman"], spearmanr(pairs[0], pairs[1]).statistic, rtol=1e-6)
    np.testing.assert_allclose(found["overall", "mse"], ((pairs[0] - pairs[1]) ** 2).mean(), rtol=1e-6)


def test_normalised_scores_are_of_what_lies_above_the_mean_effects(scores, tissue_scores):
    run = TaskRun(TINY, DRUGS)
    split, response = run.splits[1], run.cohort.response
    tissue, means = run.cohort.samples["tissue"], response.loc[split.train].mean()
    of_tissue = (response.loc[split.train] - means).mean(axis=1).groupby(tissue.loc[split.train]).mean()
    effects = np.add.outer(tissue.loc[split.test].map(of_tissue).fillna(0).to_numpy(), means.to_numpy())
    truth, predicted = (frame.loc[split.test] - effects for frame in
                        (response, load_predictions(TINY, "2a", split.name, "LEAP")))  # fmt: skip
    pairs = pd.concat([truth.stack(), predicted.stack()], axis=1, join="inner").dropna()
    rows = scores[(scores["level"] == "normalised") & (scores["split"] == split.name)].set_index(["model", "metric"])
    assert (rows["perturbation"] == "").all() and rows.loc["LEAP", "test_set"].tolist() == [0, 0]
    np.testing.assert_allclose(rows.loc[("LEAP", "pearson"), "value"], pairs.corr().iloc[0, 1], rtol=1e-6)
    np.testing.assert_allclose(rows.loc[("LEAP", "spearman"), "value"], spearmanr(pairs).statistic, rtol=1e-6)
    assert rows.loc["Mean effects", "value"].tolist() == [0, 0]
    unseen = tissue_scores[tissue_scores["level"] == "normalised"].groupby("model")
    assert (unseen.get_group("Training mean")["value"] == 0).all()  # a tissue without training lines has no effect
    assert set(unseen.get_group("PS-TCRP (10-shot)")["test_set"]) == set(range(5))
    shown = comparisons.summary(scores).query("level == 'normalised'")
    assert set(shown["metric"]) == {"spearman", "pearson"} and set(shown["model"]) == set(scores["model"])


def test_test_sets_of_a_tissue_leave_ten_lines_out(tissue_scores):
    run = TaskRun(TINY, TISSUES)
    split = run.splits[0]
    rows = tissue_scores[(tissue_scores["split"] == split.name) & (tissue_scores["model"] == "LEAP")]
    rows = rows[(rows["perturbation"] == "") & (rows["level"] == "per_perturbation") & (rows["metric"] == "spearman")]
    assert sorted(rows["test_set"]) == list(range(5))
    truth = run.cohort.response.loc[split.test]
    predicted = load_predictions(TINY, "4b", split.name, "LEAP")
    for number, held in enumerate(split.left_out):
        part = truth.drop(index=held)
        values = [spearmanr(part[d], predicted.loc[part.index, d], nan_policy="omit").statistic for d in part]
        found = rows.set_index("test_set")["value"][number]
        np.testing.assert_allclose(found, np.nanmean(values), rtol=1e-6)


def test_learning_curves_are_of_models_on_shares_of_the_training_lines(scores, monkeypatch):
    profile = replace(TINY, curve_shares=(0.3, 1.0), curve_models=("ps-ridge", "ps-lasso"), n_curve_splits=1)
    curves = run_curves(profile, DRUGS, jobs=1)
    run = TaskRun(profile, DRUGS)
    whole = run.splits[0]
    part = thinned(whole, 0.3, run.cohort.response)
    assert curves.groupby("share")["n_train"].unique().map(list).to_dict() == {0.3: [len(part.train)],
                                                                                1.0: [len(whole.train)]}  # fmt: skip
    found = curves.set_index(["model", "share", "metric"])["value"]
    own = scores[(scores["split"] == "holdout-0") & (scores["perturbation"] == "") & (scores["member"] <= 0)]
    own = own[own["level"] == "per_perturbation"].set_index(["model", "metric"])["value"]
    for model in ("PS-RIDGE", "PS-LASSO"):
        assert found[model, 1.0, "spearman"] == own[model, "spearman"]  # that of the tables
    genes, response = run.frame("genes"), run.cohort.response
    fitted = DualRidge().fit(genes.loc[part.train], response.loc[part.train], part.folds)
    expected = fitted.predict(genes.loc[part.test])
    values = [spearmanr(response.loc[part.test, d], expected[d], nan_policy="omit").statistic for d in response]
    np.testing.assert_allclose(found["PS-RIDGE", 0.3, "spearman"], np.mean(values), rtol=1e-4)
    assert set(load_scores(TINY.name, ["2a"])["split"]) == {"holdout-0", "holdout-1"}  # no shares among the scores
    monkeypatch.setattr(TaskRun, "predict", None)
    pd.testing.assert_frame_equal(run_curves(profile, DRUGS, jobs=1), curves)
    with pytest.raises(InputError, match="unseen lines"):
        TaskRun(TINY, get_task("5a")).thinned(whole, 0.3)


def test_own_splits_have_results_of_their_own(scores, tmp_path):
    task, path = TaskRun(TINY, DRUGS), tmp_path / "bench.csv"
    samples, response, genes = task.cohort.samples.index, task.cohort.response, task.frame("genes")
    train, test = samples[:200], samples[200:]
    parts = np.where(samples.isin(train), "train", "test")
    table = pd.DataFrame({"split": "holdout-0", "sample": samples, "part": parts})
    table.to_csv(path, index=False)
    own = run(TINY, [DRUGS], ["ps-ridge"], jobs=2, splits=path)
    assert set(own["model"]) == {"PS-RIDGE", "Training mean", "Tissue mean", "Mean effects"}
    predicted = DualRidge().fit(genes.loc[train], response.loc[train], tuning_folds(train, 0)).predict(genes.loc[test])
    values = [spearmanr(response.loc[test, d], predicted[d], nan_policy="omit").statistic for d in response]
    shown = comparisons.summary(own.assign(data="real")).set_index(["model", "level", "metric"])
    np.testing.assert_allclose(shown.loc[("PS-RIDGE", *comparisons.MEAN), "mean"], np.mean(values), rtol=1e-4)
    assert shown["published_mean"].isna().all()
    pd.testing.assert_frame_equal(load_scores(TINY.name, ["2a"]), scores)
    split = task.split(own["split"].iloc[0])
    assert split.name.startswith("own bench ") and own["split"].nunique() == 1
    recorded = provenance(task.path("scores", split, RECIPES["PS-RIDGE"]))["configuration"]
    assert recorded["split"] == split.name
    assert recorded["samples"] != task.configuration(task.splits[0], RECIPES["PS-RIDGE"])["samples"]
    table.iloc[::-1].to_csv(path, index=False)
    with pytest.raises(InputError, match="no model has scores on these splits"):
        load_own(TINY, DRUGS, ["ps-ridge"], path)
    with pytest.raises(InputError, match="splits are of one task"):
        run(TINY, ["2a", "4a"], splits=path)


def test_tissue_mean_knows_nothing_of_an_unseen_tissue(tissue_scores):
    part = comparisons.by_split(tissue_scores)
    assert (part["Tissue mean"] == 0).all()
    assert (part["Training mean"] == 0).all()
    assert part["LEAP"].mean() > 0.1


def test_a_second_run_computes_nothing(scores, shared_home, monkeypatch):
    files = {path: path.stat().st_mtime_ns for path in Layout(TINY.name).results.rglob("*.parquet")}
    monkeypatch.setattr(TaskRun, "predict", lambda *a: pytest.fail("computed again"))
    monkeypatch.setattr("leaplib.representation.pretraining.train", lambda *a: pytest.fail("trained again"))
    again = run(TINY, [DRUGS])
    pd.testing.assert_frame_equal(again, scores)
    assert files == {path: path.stat().st_mtime_ns for path in Layout(TINY.name).results.rglob("*.parquet")}


def test_what_is_missing_or_damaged_is_computed_and_equal(scores, shared_home, monkeypatch):
    layout = Layout(TINY.name)
    broken = layout.prediction("2a", "holdout-0", "PS-KNN")
    gone = layout.scores("2a", "holdout-1", "LEAP")
    broken.write_bytes(broken.read_bytes()[:200])
    gone.unlink()
    done = []
    original = TaskRun.predict
    monkeypatch.setattr(
        TaskRun, "predict", lambda self, s, r, e: done.append((s.name, r.label)) or original(self, s, r, e)
    )
    pd.testing.assert_frame_equal(run(TINY, [DRUGS]), scores)
    assert sorted(done) == [("holdout-0", "PS-KNN"), ("holdout-1", "LEAP")]


def test_results_carry_their_provenance(scores):
    recorded = provenance(Layout(TINY.name).prediction("2a", "holdout-0", "LEAP"))
    configuration = recorded["configuration"]
    assert configuration["seed"] == 0
    assert configuration["cohort"] == TaskRun(TINY, DRUGS).cohort.hash
    assert {"torch", "numpy", "leaplib"} <= set(recorded["versions"])


def test_unknown_names_and_missing_results(home):
    with pytest.raises(InputError, match="model 'ps-magic' is unknown: use one of pp-lgbm"):
        run(TINY, [DRUGS], models=["ps-magic"])
    with pytest.raises(InputError, match="profile 'huge' is unknown"):
        run("huge", ["2a"])
    with pytest.raises(InputError, match="task '9z' is unknown"):
        run("smoke", ["9z"])
    with pytest.raises(InputError, match="leap run --profile smoke"):
        load_scores("smoke")
