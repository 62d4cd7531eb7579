from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from leaplib.base.errors import InputError
from leaplib.base.layout import Layout
from leaplib.cohorts import prepare as data
from leaplib.cohorts.expression import harmonise
from leaplib.representation import pretraining
from leaplib.representation.pretraining import code_map, domain_mixing, saved_embedding, tissue_agreement
from leaplib.results import comparisons, tables
from leaplib.results.comparisons import perturbation_values, split_values
from leaplib.results.load import Results
from leaplib.runs.engine import TaskRun, on_scale_of
from leaplib.runs.experiment import load_scores, run
from leaplib.runs.recipes import LEAP, MEANS, RECIPES
from leaplib.tasks import HARMONISE, get_task, harmonised
from tests.frames import load_predictions
from tests.runs import test_experiment

TINY = replace(test_experiment.TINY, damae={**test_experiment.TINY.damae, "max_epochs": 5})
TASK = get_task("5a")
MODELS = ["pp-mlp", "ps-knn", "ps-lasso", "ps-tcrp", "leap"]


@pytest.fixture(scope="module", autouse=True)
def scores(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEAP_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("LEAP_DATA", raising=False)
        yield run(TINY, [TASK], MODELS)


def test_all_lines_train_and_xenografts_are_tested_ten_less_at_a_time():
    run = TaskRun(TINY, TASK)
    split, model = run.splits[0], run.cohort.samples["disease_model"]
    assert len(run.splits) == 1 and len(split.left_out) == 10
    assert set(model[split.train]) == {"cell line"} and set(model[split.test]) == {"xenograft"}
    assert len(split.train) + len(split.test) == len(model)
    assert all(len(held) == 10 and held.isin(split.test).all() for held in split.left_out)
    assert len({tuple(held) for held in split.left_out}) == 10


def test_scores_of_drugs_and_subsets_can_be_worked_out_again(scores):
    run = TaskRun(TINY, TASK)
    split = run.splits[0]
    predicted, truth = load_predictions(TINY, "5a", "PDX", "LEAP"), run.cohort.response.loc[split.test]
    rows = scores.query("model == 'LEAP' and metric == 'spearman' and level == 'per_perturbation'")
    for number, samples in enumerate(split.test_sets()):
        expected = {d: spearmanr(truth.loc[samples, d], predicted.loc[samples, d], nan_policy="omit")[0] for d in truth}
        part = rows[rows["test_set"] == number].set_index("perturbation")["value"]
        np.testing.assert_allclose(part[list(expected)], list(expected.values()), rtol=1e-6)
        np.testing.assert_allclose(part[""], np.mean(list(expected.values())), rtol=1e-6)
    whole = perturbation_values(scores, "spearman").query("model == 'LEAP'").set_index("perturbation")["value"]
    for drug in truth:
        assert whole[drug] == pytest.approx(spearmanr(truth[drug], predicted[drug], nan_policy="omit")[0])


def test_each_subset_counts_as_a_split_and_there_is_no_squared_error(scores):
    assert "mse" not in set(scores["metric"])
    values = split_values(scores, "per_perturbation", "spearman").query("model == 'PS-KNN'")
    assert values["split"].tolist() == [f"subset {number}" for number in range(10)]
    table = comparisons.summary(scores).query("model == 'PS-TCRP (10-shot)' and metric == 'spearman'")
    assert (table["n_splits"] == 10).all() and table["sd"].notna().all()


def test_the_table_by_drug_has_mean_and_sd_over_subsets_and_no_published_value_beside_simulated_data(scores):
    table = tables.supplementary_table_7(scores)
    rows = scores.query("model == 'LEAP' and metric == 'pearson' and perturbation == 'Erlotinib' and test_set >= 0")
    found = table.query("model == 'LEAP' and metric == 'pearson' and drug == 'Erlotinib'").iloc[0]
    assert found["mean"] == pytest.approx(rows["value"].mean()) and found["sd"] == pytest.approx(rows["value"].std())
    assert found["n_splits"] == 10 and table["published_mean"].isna().all()
    real = tables.supplementary_table_7(scores.assign(task="5b", data="real"))
    paper = real.query("model == 'LEAP' and drug == 'Erlotinib'").set_index("metric")["published_mean"]
    assert np.isnan(paper.pop("auroc"))  # the paper has none
    assert paper.to_dict() == {"spearman": 0.5589, "pearson": 0.6069}


@pytest.mark.parametrize("recipe", [*(RECIPES[name] for name in ("PP-MLP", "PS-KNN", "PS-LASSO", "PS-TCRP")), LEAP,
                                    MEANS[1]], ids=lambda recipe: recipe.name)  # fmt: skip
def test_responses_of_xenografts_change_no_zero_shot_prediction(recipe):
    run = TaskRun(TINY, TASK)
    split, response = run.splits[0], run.cohort.response.copy()
    response.loc[split.test] = 1e6
    run.__dict__["cohort"] = replace(run.cohort, response=response, _hash=[])
    found = run.in_memory(recipe, split, response.columns).astype(np.float32)
    pd.testing.assert_frame_equal(found, load_predictions(TINY, "5a", "PDX", recipe.label), rtol=1e-5, atol=1e-6)


def test_a_model_fine_tuned_on_ten_xenografts_never_predicts_them():
    split = TaskRun(TINY, TASK).splits[0]
    predicted = load_predictions(TINY, "5a", "PDX", "PS-TCRP (10-shot)")
    for number, held in enumerate(split.left_out):
        assert set(predicted.loc[number].index) == set(split.test) - set(held)


def test_chance_is_drawn_anew_for_each_subset():
    predicted = load_predictions(TINY, "5a", "PDX", "LEAP (shuffled labels)")
    first, second = predicted.loc[0], predicted.loc[1]
    common = first.index.intersection(second.index)
    assert predicted.index.unique("test_set").tolist() == list(range(10))
    assert not np.allclose(first.loc[common], second.loc[common])


def test_labels_of_another_unit_are_brought_to_the_scale_of_training():
    rng = np.random.default_rng(0)
    training = pd.DataFrame(rng.normal([0.2, 0.5, 0.5], 0.1, (40, 3)), columns=list("abc"))
    target = pd.DataFrame({"a": [-80.0, 20, 100, np.nan], "b": [5.0, np.nan, np.nan, np.nan], "c": [7.0, 7, 7, 7]})
    found = on_scale_of(training, target)
    assert found["a"].mean() == pytest.approx(training["a"].mean())
    assert found["a"].std() == pytest.approx(training["a"].std())
    assert found["a"].rank().equals(target["a"].rank()) and found[["b", "c"]].isna().all(axis=None)


def test_ways_to_join_the_domains_differ_and_the_paper_s_way_is_the_task_itself():
    for how in HARMONISE[1:]:
        run(TINY, [harmonised(TASK, how)], ["ps-knn"])
    table = tables.tidy("domain shift", Results(TINY))
    assert table["harmonise"].drop_duplicates().tolist() == list(HARMONISE)
    assert {"PS-KNN", "Training mean", "Tissue mean"} <= set(table["model"]) and "LEAP" not in set(table["model"])
    knn = table[table["model"] == "PS-KNN"].set_index("harmonise")["mean"]
    assert knn.nunique() == 3
    ours = split_values(load_scores(TINY, ["5a"]), "per_perturbation", "spearman").query("model == 'PS-KNN'")
    assert knn["together"] == pytest.approx(ours["value"].mean())
    assert set(load_scores(TINY)["task"]) == {"5a"}  # the alternatives are no tasks of the paper


def test_domains_mix_when_they_are_harmonised():
    """The simulated shift keeps xenografts apart; standardising each domain, or ComBat, takes it away."""
    table = domain_mixing(TINY, TASK).set_index("harmonise")
    assert table.loc["together", "among_lines"] < 0.2
    assert (table.loc[["per domain", "combat"], "among_lines"] > 0.5).all()
    pool = data.pool_of(TINY, TASK)
    assert table["by_chance"].iloc[0] == pytest.approx((pool.domain == "cell lines").sum() / (len(pool.domain) - 1))


def test_a_pool_is_harmonised_on_genes_chosen_before():
    plain, per_domain = (data.pool_of(TINY, harmonised(TASK, how)) for how in ("together", "per domain"))
    assert per_domain.expression.shape[1] < plain.expression.shape[1]
    expected = harmonise(plain.expression[per_domain.expression.columns], plain.domain, "per domain")
    pd.testing.assert_frame_equal(per_domain.expression, expected)
    assert per_domain.n_genes == per_domain.expression.shape[1]
    assert len({data.pool_name(TINY, harmonised(TASK, how)) for how in ("together", "per domain", "combat")}) == 3


def test_no_response_reaches_the_representations(monkeypatch):
    """Pools hold expression alone: absurd responses everywhere leave every code as it was."""
    before = pretraining.embed(TINY, TASK).codes[0]
    lines, tumours = data.xenograft_screen(TINY)
    absurd = replace(lines, responses=lines.responses.assign(aac=0.5)), replace(tumours, response=tumours.response * 0)
    monkeypatch.setattr(data, "xenograft_screen", lambda profile: absurd)
    after = pretraining.embed(TINY, TASK, force=True).codes[0]
    pd.testing.assert_frame_equal(before, after, rtol=1e-3, atol=1e-3)  # float32, trained twice


def test_source_and_tissue_of_each_sample_lie_beside_the_codes(monkeypatch):
    lines, tumours = data.xenograft_screen(TINY)
    tissue = pd.concat([lines.samples["tissue"], tumours.samples["tissue"]])
    found = pretraining.embed(TINY, TASK)
    expected = tissue.reindex(found.codes[0].index).fillna("unknown").tolist()
    assert found.tissue.fillna("unknown").tolist() == expected and 1 < expected.count("unknown") < len(expected)
    assert set(found.domain[tumours.expression.index]) == {"PDX Encyclopedia"}
    drawn = code_map(found)
    assert drawn["group"].tolist() == expected
    (Layout(TINY.name).results / "representations" / data.pool_name(TINY, TASK) / "samples.parquet").unlink()
    with pytest.raises(InputError, match=r"samples.parquet: cannot be read .*: run the notebook"):
        saved_embedding(TINY, TASK)
    assert pretraining.embed(TINY, TASK).tissue.fillna("unknown").tolist() == expected


def test_agreement_of_tissues_by_hand():
    """Two groups of six far from each other, one Lung among the Skin; a line without a tissue lies between."""
    codes = pd.DataFrame({"x": [*range(6), *range(100, 106), 50.0]}, index=list("abcdefghijklm"))
    tissue = pd.Series([*["Lung"] * 7, *["Skin"] * 5, None], index=codes.index)
    (row,) = tissue_agreement(pretraining.Embedding([codes], tissue, tissue, "")).to_dict("records")
    assert row["same_tissue"] == pytest.approx((6 * 1 + 5 * 0.8 + 0) / 12)
    assert row["by_chance"] == pytest.approx((7 / 12) ** 2 + (5 / 12) ** 2)
