from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.base.layout import Layout
from leaplib.cohorts.splits import Split, inner_splits, tuning_folds
from leaplib.models.ridge import DualRidge
from leaplib.runs.engine import TaskRun
from leaplib.runs.experiment import load_scores, run_candidates
from leaplib.runs.recipes import CANDIDATES
from leaplib.tasks import get_task
from tests.runs.test_candidates import TINY

FEW = ("LEAP", "PS-LASSO", "PS-RIDGE", "LEAP+", "mean of LEAP and PS-RIDGE", "ridge on codes")


@pytest.fixture(scope="module")
def inner(shared_home):
    return run_candidates(TINY, "2a", FEW, n_splits=1, n_inner=2, device="cpu")


def split_of(n=40, tissues=8):
    samples = pd.Index([f"line {i}" for i in range(n + 10)])
    tissue = pd.Series([f"tissue {i % tissues}" for i in range(n + 10)], index=samples)
    return Split("holdout-0", samples[:n], samples[n:], tuning_folds(samples[:n], 0)), tissue


def test_inner_splits_divide_the_training_set_and_leave_the_test_set_out():
    split, _ = split_of()
    found = inner_splits(split)
    assert [one.name for one in found] == [f"holdout-0, inner {fold}" for fold in range(5)]
    tested = [sample for one in found for sample in one.test]
    assert sorted(tested) == sorted(split.train)
    for one in found:
        assert set(one.train) | set(one.test) == set(split.train)
        assert not set(one.train) & set(one.test) and sorted(one.folds.unique()) == [0, 1, 2, 3, 4]
    assert len(inner_splits(split, n_inner=2)) == 2


def test_inner_splits_of_unseen_tissues_hold_whole_tissues_out():
    split, tissue = split_of()
    grouped = replace(split, folds=tuning_folds(split.train, 0, tissue))
    for one in inner_splits(grouped, tissue):
        assert not set(tissue[one.train]) & set(tissue[one.test])
        assert (one.folds.groupby(tissue[one.train]).nunique() == 1).all()


def test_no_response_of_a_test_sample_reaches_the_choice(shared_home, inner):
    """With absurd responses of the split's test samples all inner predictions are what they were."""
    runs = [TaskRun(TINY, get_task("2a"), "cpu") for _ in range(2)]
    split, response = runs[0].splits[0], runs[0].cohort.response.copy()
    response.loc[split.test] = np.random.default_rng(0).normal(100, 50, (len(split.test), response.shape[1]))
    vars(runs[1]).update(cohort=replace(runs[0].cohort, response=response, _hash=[]), splits=runs[0].splits)
    one = inner_splits(split)[0]
    for name in FEW:
        first, second = (run.in_memory(CANDIDATES[name], one, response.columns) for run in runs)
        pd.testing.assert_frame_equal(first, second)


def test_own_models_are_fitted_on_the_inner_training_set(shared_home, inner):
    run = TaskRun(TINY, get_task("2a"), "cpu")
    one = inner_splits(run.splits[0])[1]
    genes, labels = run.genes, run.cohort.response
    model = DualRidge().fit(genes.loc[one.train], labels.loc[one.train], one.folds)
    prediction, truth = model.predict(genes.loc[one.test]), labels.loc[one.test]
    expected = [prediction[drug].corr(truth[drug], method="spearman") for drug in labels]
    rows = inner[(inner["split"] == one.name) & (inner["candidate"] == "PS-RIDGE") & (inner["metric"] == "spearman")]
    np.testing.assert_allclose(rows["value"], expected, atol=1e-9)
    on_splits = run_candidates(TINY, "2a", FEW, n_splits=1, device="cpu")
    assert set(on_splits["split"]) == {"holdout-0"}
    results = Layout(TINY.name).results  # inner splits are no results of the task, which tables would show
    assert {path.name for kind in ("predictions", "scores") for path in (results / kind / "2a").iterdir()} == {
        "holdout-0"}  # fmt: skip
    assert set(load_scores(TINY, ["2a"])["split"]) == {"holdout-0"}


def test_a_second_choice_computes_nothing(shared_home, inner, monkeypatch):
    monkeypatch.setattr(TaskRun, "predict", lambda *a: pytest.fail("computed again"))
    pd.testing.assert_frame_equal(run_candidates(TINY, "2a", FEW, n_splits=1, n_inner=2, device="cpu"), inner)


def test_what_cannot_be_run_within_training_sets_is_named():
    with pytest.raises(InputError, match="candidate 'magic' is unknown"):
        run_candidates(TINY, "2a", ["magic"], n_inner=None)
    with pytest.raises(InputError, match="task 5a: its training set holds no xenografts"):
        run_candidates(TINY, "5a", FEW, n_inner=None)
