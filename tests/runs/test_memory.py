"""Memory grows with perturbations as what is kept does: what is worked on at a time has a fixed size."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from leaplib.cohorts.splits import Split
from leaplib.models import lasso
from leaplib.models.base import average
from leaplib.models.lasso import PSLasso
from leaplib.runs import engine as scores

K, P = 5, 12


def peak(function):
    """Return the most memory that a call holds beyond what was there, in bytes, and its result."""
    tracemalloc.start()
    try:
        result = function()
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()


def problem(n_perturbations, n=80):
    rng = np.random.default_rng(7)
    x = rng.normal(size=(n, P))
    y = x @ rng.normal(size=(P, n_perturbations)) + rng.normal(scale=2, size=(n, n_perturbations))
    y[rng.random(y.shape) < 0.05] = np.nan
    return x, y, rng.permutation(np.arange(n) % K)


@pytest.fixture
def blocks(monkeypatch):
    """Small blocks of perturbations, and a list of the sizes that the solver is given."""
    seen = []
    solve = lasso.lasso_paths

    def recorded(x, y, *arguments, **options):
        seen.append(y.shape[1])
        return solve(x, y, *arguments, **options)

    monkeypatch.setattr(lasso, "lasso_paths", recorded)
    monkeypatch.setattr(PSLasso, "block", 16)
    return seen


@pytest.mark.parametrize("ensemble", ["folds", "refit"])
def test_the_lasso_works_on_one_block_of_perturbations_at_a_time(blocks, ensemble):
    x, y, folds = problem(50)
    PSLasso(ensemble=ensemble).fit(x, y, folds)
    once = [16, 16, 16, 2]
    assert blocks == (once if ensemble == "folds" else [size for size in once for _ in range(2)])


def test_what_a_fitted_lasso_keeps_is_in_proportion_to_perturbations(blocks):
    kept = {}
    for n_perturbations in (16, 64):
        x, y, folds = problem(n_perturbations)
        model = PSLasso().fit(x, y, folds)
        kept[n_perturbations] = sum(array.nbytes for array in model._arrays().values())
        for part in model.parts_:
            for fold in part:  # an array that is a view would keep the whole path alive
                assert all(array.base is None or array.base.size == array.size for array in fold.arrays().values())
    per_perturbation = 8 * (K * (P + 2) + 2)
    assert kept == {n_perturbations: n_perturbations * per_perturbation for n_perturbations in kept}


def test_predictions_hold_one_block_beside_the_result(blocks):
    x, y, folds = problem(160)
    model = PSLasso().fit(x, y, folds)
    new = np.random.default_rng(0).normal(size=(500, P))
    used, prediction = peak(lambda: model.predict(new))
    block = 500 * 16 * 8
    assert used < 2.1 * prediction.to_numpy().nbytes + 2 * (K + 2) * block  # parts and the whole


def holdout(n_perturbations, n_test_sets, n=60):
    rng = np.random.default_rng(3)
    names = pd.Index([f"line-{number}" for number in range(n)])
    truth = pd.DataFrame(rng.random((n, n_perturbations)), names).rename(columns="gene-{}".format)
    prediction = (truth + rng.normal(size=truth.shape)).astype(np.float32)
    held = tuple(names[np.sort(rng.choice(n, 10, replace=False))] for _ in range(n_test_sets))
    train = pd.Index(["other"])
    return truth.mask(rng.random(truth.shape) < 0.1), prediction, Split("x", train, names, pd.Series(0, train), held)


def test_scores_of_test_sets_are_the_same_however_many_are_scored_at_once(monkeypatch):
    found = {}
    keys = ["level", "perturbation", "test_set", "metric"]
    for cells in (1, 5 * 50 * 30, 2**30):
        monkeypatch.setattr(scores, "CELLS_AT_ONCE", cells)
        found[cells] = scores.score_split(*holdout(30, 23)).sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(found[1], found[2**30], check_exact=True)
    pd.testing.assert_frame_equal(found[5 * 50 * 30], found[2**30], check_exact=True)


def test_memory_for_scores_does_not_grow_with_test_sets(monkeypatch):
    monkeypatch.setattr(scores, "CELLS_AT_ONCE", 4 * 50 * 400)
    few, many = (peak(lambda n=n: scores.score_split(*holdout(400, n)))[0] for n in (4, 40))
    assert many < 1.3 * few


def test_an_average_holds_one_frame_beside_its_parts():
    rng = np.random.default_rng(0)
    frames = [pd.DataFrame(rng.random((200, 500))) for _ in range(7)]
    used, mean = peak(lambda: average(frames))
    assert used < 1.5 * mean.to_numpy().nbytes
    np.testing.assert_array_equal(mean.to_numpy(), np.mean([frame.to_numpy() for frame in frames], axis=0))
