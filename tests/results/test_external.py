from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from leaplib.base.errors import InputError
from leaplib.cohorts import prepare as data
from leaplib.results import external
from leaplib.results.load import Results
from leaplib.runs.experiment import run_task
from leaplib.tasks import get_task
from tests.frames import load_predictions
from tests.runs.test_experiment import TINY

PROFILE = replace(TINY, max_perturbations=9, n_shuffled=0)
TASK = get_task("2a")


@pytest.fixture(scope="module", autouse=True)
def results(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEAP_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("LEAP_DATA", raising=False)
        run_task(PROFILE, TASK, ["ps-knn"])
        yield


@pytest.fixture
def study():
    cohort = data.load_cohort(PROFILE, TASK)[0]
    return cohort, data.load_external(PROFILE, TASK), data.load_task_splits(PROFILE, TASK, cohort)


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
    assert set(scores["task"]) == {"2a external"} and set(scores["data"]) == {"simulated"}
    assert set(scores["model"]) == {"Label reproducibility", "PS-KNN", "Training mean", "Tissue mean"}
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
    monkeypatch.setattr(external, "load_external", lambda *_: absurd)
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
    assert text.startswith(f"**PRISM** (simulated data) and the training studies both tested {len(table)} drugs")
    assert f"{table['spearman'].mean():.3f}" in text


def test_no_external_study_is_an_error_that_names_those_that_would_do(home):
    task = replace(TASK, external=())
    with pytest.raises(InputError, match="task 2a: no external study is at hand that tested a drug in 15 unseen lines"):
        external.external_scores(PROFILE, task)


def test_results_hold_the_tasks_and_their_validation():
    results = Results(PROFILE, ["2a"])
    assert set(results.scores["task"]) == {"2a"} and set(results.external["task"]) == {"2a external"}
    assert list(results.all_scores) == list(external.external_scores(PROFILE, TASK))
