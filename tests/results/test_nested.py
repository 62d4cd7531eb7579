from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.base.layout import Layout
from leaplib.cohorts.splits import Split, inner_splits, tuning_folds
from leaplib.models.ridge import DualRidge
from leaplib.results import nested
from leaplib.results.nested import choice, choice_verdict
from leaplib.runs.candidates import CANDIDATES, Beyond
from leaplib.runs.experiment import run_candidates
from leaplib.runs.task_run import TaskRun
from leaplib.tasks import get_task
from tests.runs.test_candidates import TINY

FEW = ("LEAP", "PS-LASSO", "PS-RIDGE", "LEAP+", "mean of LEAP and PS-RIDGE", "LEAP, PS-RIDGE and LEAP+, stacked")


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
        first, second = (Beyond(run).predict(CANDIDATES[name], one) for run in runs)
        pd.testing.assert_frame_equal(first, second)


def test_own_models_are_fitted_on_the_inner_training_set(shared_home, inner):
    run = TaskRun(TINY, get_task("2a"), "cpu")
    one = inner_splits(run.splits[0])[1]
    genes, labels = run.expression, run.cohort.response
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


def test_a_second_choice_computes_nothing(shared_home, inner, monkeypatch):
    monkeypatch.setattr(Beyond, "predict", lambda *a: pytest.fail("computed again"))
    pd.testing.assert_frame_equal(run_candidates(TINY, "2a", FEW, n_splits=1, n_inner=2, device="cpu"), inner)


def frame(values, task="2a"):
    rows = [(name, split, f"drug {j}", value + 0.01 * j) for name, per_split in values.items()
            for split, value in per_split.items() for j in range(3)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["candidate", "split", "perturbation", "value"])
    return table.assign(task=task, metric="spearman", seconds=0.0, data="real")


def within(value):
    return {"holdout-0, inner 0": value - 0.01, "holdout-0, inner 1": value + 0.01}


def test_the_choice_is_by_the_mean_relative_gain_over_tasks():
    first = frame({"LEAP": within(0.29), "LEAP+": within(0.32), "PS-RIDGE": within(0.35)})
    second = frame({"LEAP": within(0.09), "LEAP+": within(0.14), "PS-RIDGE": within(0.09)}, "4a")
    test = frame({"LEAP": {"holdout-0": 0.29}, "LEAP+": {"holdout-0": 0.35}, "PS-RIDGE": {"holdout-0": 0.32}})
    # Test samples of another split are among those that were chosen on: no part of it.
    other = test.assign(split="holdout-1", value=-1.0)
    table = choice(pd.concat([first, second]), pd.concat([test, other]))
    assert table["candidate"].tolist() == ["LEAP+", "PS-RIDGE", "LEAP"] and table["rank"].tolist() == [1, 2, 3]
    assert table["inner_gain"].tolist() == pytest.approx([(0.03 / 0.3 + 0.05 / 0.1) / 2, 0.06 / 0.3 / 2, 0])
    assert table["inner_4a"].tolist() == pytest.approx([0.15, 0.1, 0.1])
    assert table["test_2a"].tolist() == pytest.approx([0.36, 0.33, 0.3])
    shown = nested.readable_choice(table)
    assert shown.columns.tolist() == ["rank", "gain on LEAP there", "task 2a, within training sets",
                                      "task 4a, within training sets", "task 2a, on their test sets"]  # fmt: skip
    assert shown.loc["LEAP+"].tolist() == [1, "+30.0%", "0.3300", "0.1500", "0.3600"]
    text = choice_verdict(table)
    assert "**LEAP+ is the best** of 3 candidates: +30.0%" in text and "LEAP+ +20.0%." in text
    other = choice_verdict(table, "PS-RIDGE")
    assert "PS-RIDGE is **number 2 of 3**; LEAP+ is the best" in other
    assert "task 2a, which the choice did not see: LEAP+ +20.0% and PS-RIDGE +10.0%." in other


def test_what_cannot_be_chosen_on_is_named():
    one = frame({"LEAP": within(0.3), "LEAP+": within(0.3)})
    with pytest.raises(InputError, match="candidate 'LEAP\\+' lacks scores of a task"):
        choice(pd.concat([one, frame({"LEAP": within(0.1)}, "4a")]))
    with pytest.raises(InputError, match="no scores of LEAP: add it"):
        choice(frame({"LEAP+": within(0.3)}))
    with pytest.raises(InputError, match="candidate 'magic' is unknown"):
        run_candidates(TINY, "2a", ["magic"], n_inner=None)
    with pytest.raises(InputError, match="task 5a: its training set holds no xenografts"):
        run_candidates(TINY, "5a", FEW, n_inner=None)


def test_a_candidate_that_failed_on_an_inner_fold_is_not_chosen():
    values = {"LEAP": within(0.3), "LEAP+": within(0.4), "PS-RIDGE": within(0.35)}
    table = frame(values)
    failed = (table["candidate"] == "LEAP+") & (table["split"] == "holdout-0, inner 1")
    table.loc[failed, "value"] = np.nan
    chosen = choice(table)
    assert chosen["candidate"].tolist() == ["PS-RIDGE", "LEAP", "LEAP+"] and np.isnan(chosen["inner_gain"].iloc[-1])
    assert nested.readable_choice(chosen).loc["LEAP+"].tolist() == [3, "failed", ""]
    assert choice_verdict(chosen) == "**No verdict** within the training sets: LEAP+ failed there."
    assert "**PS-RIDGE is the best** of 3 candidates" in choice_verdict(chosen, "PS-RIDGE")
    table.loc[table["candidate"] == "LEAP", "value"] = np.nan
    assert "LEAP+ and LEAP failed there" in choice_verdict(choice(table)) or "LEAP and LEAP+ failed there" in (
        choice_verdict(choice(table)))  # fmt: skip
