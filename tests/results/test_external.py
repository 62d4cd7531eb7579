from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from leaplib.base.errors import InputError
from leaplib.cohorts import prepare as data
from leaplib.results import external, tables
from leaplib.results.external import sensitivity_scores
from leaplib.results.load import Results
from leaplib.runs.experiment import run, run_candidates
from leaplib.runs.recipes import CANDIDATES
from leaplib.tasks import get_task
from tests.frames import load_predictions, results_of
from tests.runs.test_experiment import TINY

PROFILE = replace(TINY, max_perturbations=9, n_shuffled=0, damae={**TINY.damae, "max_epochs": 5})
TASK = get_task("2a")
TISSUES = replace(get_task("4b"), n_tissues=2, min_samples_per_tissue=20)  # of GDSC v1 alone: three studies are others


@pytest.fixture(scope="module", autouse=True)
def results(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEAP_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("LEAP_DATA", raising=False)
        run(PROFILE, [TASK], ["ps-knn", "ps-ridge"])
        run_candidates(PROFILE, TASK, ["PS-RIDGE"])
        run(PROFILE, [TISSUES], ["ps-knn", "ps-tcrp"])
        yield


@pytest.fixture
def study():
    cohort = data.load_cohort(PROFILE, TASK)[0]
    return cohort, data.load_external(PROFILE, TASK)["PRISM"], data.load_task_splits(PROFILE, TASK, cohort)


def test_a_third_of_the_drugs_drawn_are_those_of_the_external_study(study):
    cohort, held_out, _ = study
    assert held_out.shape[1] >= 3 and held_out.columns.isin(cohort.response.columns).all()


def test_pairs_are_measured_by_both_and_no_training_pair_is_among_them(study):
    cohort, held_out, splits = study
    for split in splits:
        found = external.unseen_pairs(held_out, cohort, split)
        for drug in held_out:
            lines = [line for line in split.test if line in held_out.index and pd.notna(held_out.loc[line, drug])
                     and pd.notna(cohort.response.loc[line, drug])]  # fmt: skip
            assert (drug in found) == (len(lines) >= 15)
            if drug in found:
                assert list(found[drug].dropna().index) == lines
                np.testing.assert_array_equal(found.loc[lines, drug], held_out.loc[lines, drug])
        assert not set(found.index) & set(split.train)


def test_scores_are_correlations_with_the_external_measurement(study):
    cohort, held_out, splits = study
    scores = external.external_scores(PROFILE, TASK)
    assert set(scores["task"]) == {"2a"} and set(scores["study"]) == {"PRISM"} and set(scores["data"]) == {"simulated"}
    means = {"Training mean", "Tissue mean", "Mean effects"}
    assert set(scores["model"]) == {"Label reproducibility", "PS-KNN", "PS-RIDGE", *means}
    assert set(scores.query("level == 'per_perturbation'")["metric"]) == {"spearman", "pearson", "mse", "auroc"}
    rows = scores.query("metric == 'spearman' and perturbation != ''").set_index(["model", "split", "perturbation"])
    for split in splits:
        predicted = load_predictions(PROFILE, "2a", split.name, "PS-KNN")
        truth = external.unseen_pairs(held_out, cohort, split)
        for drug in truth:
            measured = truth[drug].dropna()
            other = {"PS-KNN": predicted, "Label reproducibility": cohort.response}
            for model, frame in other.items():
                expected = spearmanr(measured, frame.loc[measured.index, drug])[0]
                assert rows.loc[(model, split.name, drug), "value"] == pytest.approx(expected, abs=1e-6)


def test_what_the_external_study_says_of_training_lines_changes_nothing(study, monkeypatch):
    """The guard by which training pairs are left out: without it these scores would change."""
    _, held_out, splits = study
    before = external.external_scores(PROFILE, TASK)
    absurd = held_out.copy()
    absurd.loc[absurd.index.isin(splits[0].train)] = 99.0
    monkeypatch.setattr(external, "load_external", lambda *_: {"PRISM": absurd})
    after = external.external_scores(PROFILE, TASK)
    first = before["split"] == "holdout-0"
    pd.testing.assert_frame_equal(before[first], after[first])
    assert not before[~first].equals(after[~first])


def test_reproducibility_and_counts_are_over_all_common_lines(study):
    cohort, held_out, _ = study
    table = external.reproducibility(PROFILE, TASK).set_index("perturbation")
    for drug in table.index:
        both = pd.concat([held_out[drug], cohort.response[drug]], axis=1, join="inner").dropna()
        assert table.loc[drug, "n"] == len(both) >= 15
        assert table.loc[drug, "spearman"] == pytest.approx(spearmanr(*both.to_numpy().T)[0])
    text = external.counts(PROFILE, TASK)
    assert set(table["study"]) == {"PRISM"}
    assert text.startswith(f"**PRISM** (simulated data) and the training studies both tested {len(table)} drugs")
    assert f"{table['spearman'].mean():.3f}" in text


def test_no_external_study_is_an_error_that_names_those_that_would_do(home):
    task = replace(TASK, external=())
    with pytest.raises(InputError, match="task 2a: no external study is at hand that tested a drug in 15 unseen lines"):
        external.external_scores(PROFILE, task)


def test_unseen_tissues_are_held_against_all_studies_that_are_not_trained_on():
    """Few-shot models on the lines that their test sets leave, each of them by an independent correlation."""
    cohort = data.load_cohort(PROFILE, TISSUES)[0]
    splits = data.load_task_splits(PROFILE, TISSUES, cohort)
    studies, scores = data.load_external(PROFILE, TISSUES), external.external_scores(PROFILE, TISSUES)
    assert set(studies) == {"PRISM", "CCLE", "CTRP"} and set(scores["study"]) == {"CTRP", "PRISM"}  # in 15 unseen lines
    rows = scores.query("metric == 'spearman' and perturbation != ''")
    rows = rows.set_index(["study", "split", "model", "perturbation"])["value"].sort_index()
    checked = 0
    for (study, name), _ in rows.groupby(["study", "split"]):
        split = next(split for split in splits if split.name == name)
        truth = external.unseen_pairs(studies[study], cohort, split)
        few = load_predictions(PROFILE, "4b", name, "PS-TCRP (10-shot)")
        for drug in truth:
            found = []
            for number in few.index.unique("test_set"):
                part = few.loc[number, drug]
                lines = [line for line in part.index if line in truth.index and pd.notna(truth.loc[line, drug])]
                assert not set(lines) & set(split.left_out[number])
                found.append(spearmanr(truth.loc[lines, drug], part[lines])[0])
            assert rows[study, name, "PS-TCRP (10-shot)", drug] == pytest.approx(np.mean(found), abs=1e-6)
            checked += 1
    assert checked


def test_candidates_are_scored_like_the_model_that_they_are():
    found = external.candidate_scores(PROFILE, TASK, tuple(CANDIDATES))
    assert set(found["candidate"]) == {"PS-RIDGE"}  # the others were not run
    model = external.external_scores(PROFILE, TASK).query("model == 'PS-RIDGE' and perturbation != ''")
    keys = ["study", "split", "perturbation", "metric"]
    pd.testing.assert_series_equal(
        found.set_index(keys)["value"].sort_index(), model.set_index(keys)["value"].sort_index(), atol=1e-6
    )


def test_results_hold_the_tasks_and_their_validation():
    results = Results(PROFILE, ["2a"])
    assert set(results.scores["task"]) == set(results.external["task"]) == {"2a"}
    assert set(results.all_scores["study"]) == {"", "PRISM"}
    assert set(results.comparisons["study"]) <= {"", "PRISM"}


def test_candidates_stand_beside_leap_within_and_outside_by_each_score():
    rng = np.random.default_rng(0)
    metrics = ("spearman", "pearson", "auroc", "mse")
    rows = [("2a", candidate, "holdout-0", f"drug {drug}", metric, rng.random(), "real")
            for candidate in ("LEAP", "LEAP+") for drug in range(5) for metric in metrics]  # fmt: skip
    columns = ["task", "candidate", "split", "perturbation", "metric", "value", "data"]
    within = pd.DataFrame(rows, columns=columns)
    outside = pd.concat([within.assign(study=study, value=1 - within["value"]) for study in ("CCLE", "CTRP")])
    table = tables.external_candidates(results_of(candidates=within, external_candidates=outside))
    assert table["study"].unique().tolist() == ["CCLE", "CTRP", "this screen"] and len(table) == 3 * 3 * 2
    table = table.set_index(["study", "score", "candidate"])["difference"]
    there = table["this screen"]
    np.testing.assert_allclose(table["CCLE"][there.index], -there, atol=1e-12)
    means = within.query("metric == 'auroc'").groupby("candidate")["value"].mean()
    assert table["this screen", "AUROC", "LEAP+"] == pytest.approx(means["LEAP+"] - means["LEAP"])


def test_general_sensitivity_stands_beside_models_on_the_same_pairs():
    table = sensitivity_scores(PROFILE, TASK)
    assert {"General sensitivity", "PS-KNN", "Tissue mean"} <= set(table["model"])
    assert set(zip(table["study"], table["where"], strict=True)) == {
        ("", "within"),
        ("PRISM", "within"),
        ("PRISM", "outside"),
    }
    keys = ["study", "where", "labels", "model"]
    means = table.set_index(keys)["mean"]
    outside = external.external_scores(PROFILE, TASK).query("metric == 'spearman' and perturbation != ''")
    for model in ("PS-KNN", "Tissue mean"):
        expected = outside[outside["model"] == model].groupby("split")["value"].mean().mean()
        assert means["PRISM", "outside", "as measured", model] == pytest.approx(expected, abs=1e-6)
    left = means[:, "within", "without general sensitivity", "General sensitivity"]
    assert (left.abs() < 0.1).all()  # simulated lines have no general sensitivity: nothing to take away
