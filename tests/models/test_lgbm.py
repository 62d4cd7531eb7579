import lightgbm
import numpy as np
import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.models.base import Training, fingerprint_components
from leaplib.models.trees import PairRows, PPLgbm, PSLgbm, pair_dataset

pytestmark = pytest.mark.usefixtures("one_thread")
GRID = {"learning_rate": [0.05, 0.1], "feature_fraction": [0.4]}
TREES = 30


def problem(n=200, missing=0.0, levels=None):
    """Samples with four perturbations that follow the features, `levels` values a feature if given."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(n, 8)) if levels is None else rng.integers(levels, size=(n, 8)).astype(float)
    y = x @ rng.normal(size=(8, 4)) + rng.normal(size=(n, 4))
    y[rng.random(y.shape) < missing] = np.nan
    return x, y, rng.permutation(np.arange(n) % 5)


def ps(**changes):
    return PSLgbm(**{"n_estimators": TREES, "grid": GRID, "n_jobs": 1} | changes)


def settings(point, **changes):
    """PS-LGBM's parameters, by LightGBM's names."""
    fixed = {"objective": "regression", "max_depth": 10, "num_leaves": 31, "min_data_in_leaf": 5, "max_bin": 63}
    run = {"reg_alpha": 1.0, "reg_lambda": 1.0, "seed": 0, "num_threads": 1, "force_col_wise": True, "verbosity": -1}
    return fixed | run | point | changes


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_perturbations_have_lightgbms_own_models_to_the_bit(missing):
    """On the rows in which they were measured; the others enter by the bins alone."""
    x, y, folds = problem(missing=missing)
    rows = np.flatnonzero(folds != 3)
    grid = {"learning_rate": [0.1], "feature_fraction": [0.4]}
    found = ps(grid=grid).fit(x, y, folds).predict_folds(x)[3]
    [point] = ps(grid=grid).points()
    whole = lightgbm.Dataset(x[rows], np.zeros(len(rows)), params=settings(point))
    for j in range(y.shape[1]):
        measured = rows[~np.isnan(y[rows, j])]
        bins = {"reference": whole, "params": settings(point)} if missing else {}
        own = lightgbm.train(settings(point), lightgbm.Dataset(x[measured], y[measured, j], **bins), TREES)
        np.testing.assert_array_equal(found[:, j], own.predict(x))


def test_perturbations_depend_on_the_seed_but_not_on_their_block_or_on_threads(monkeypatch):
    x, y, folds = problem(missing=0.2)
    one, other = (ps(random_state=seed).fit(x, y, folds).predict(x) for seed in (0, 1))
    assert not np.allclose(one, other)
    monkeypatch.setattr(PSLgbm, "block", 3)
    pd.testing.assert_frame_equal(ps(n_jobs=2).fit(x, y, folds).predict(x), one, check_exact=True)


@pytest.mark.parametrize("labels", [np.full(60, 2.5), np.r_[1.0, 2.0, np.full(58, np.nan)]], ids=["constant", "two"])
def test_labels_that_cannot_be_split_predict_their_mean_and_no_label_nothing(labels):
    x, y, folds = problem(60)
    folds[:2] = 0, 1
    y[:, 0], y[folds != 2, 1] = labels, np.nan
    model = ps().fit(x, y, folds)
    prediction = model.predict(x)[0]
    np.testing.assert_allclose(prediction, 2.5 if labels[0] == 2.5 else prediction[0])
    without = model.predict_folds(x)[2]
    assert not without[:, 1].any() and without[:, 2:].all()


def pairs(n=80, perturbations=20, missing=0.2):
    """Perturbations with one bit respond to the first feature, those without it the other way round."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(n, 5))
    bits = (rng.random((perturbations, 12)) < 0.5).astype(float)
    bits[:, 0] = np.arange(perturbations) % 2
    y = x[:, :1] * np.where(bits[:, 0] > 0, 1, -1) + 0.3 * rng.normal(size=(n, perturbations))
    y[rng.random(y.shape) < missing] = np.nan
    return x, y, rng.permutation(np.arange(n) % 5), bits


def pp(**changes):
    small = {"n_estimators": 25, "num_leaves": 30, "grid": {"learning_rate": [0.1], "reg_alpha": [0.0, 1.0]}}
    return PPLgbm(**small | {"n_jobs": 1} | changes)


def test_pp_lgbm_without_fingerprints_says_what_it_needs():
    x, y, folds, _ = pairs()
    with pytest.raises(InputError, match="PP-LGBM needs fingerprints"):
        pp().fit(x, y, folds)


@pytest.mark.parametrize("ensemble", ["folds", "refit"])
def test_pp_lgbm_is_lightgbm_on_the_matrix_of_measured_pairs_at_the_best_point(ensemble):
    """Rows made on the fly, chunk by chunk, are the same model as one matrix; unmeasured pairs are in neither."""
    x, y, folds, bits = pairs()
    z = fingerprint_components(bits)
    everything = np.hstack([np.repeat(x, len(z), axis=0), np.tile(z, (len(x), 1))])
    grid = {"learning_rate": [0.01, 0.1], "reg_alpha": [0.0, 1.0]}
    model = pp(ensemble=ensemble, grid=grid).fit(x, y, folds, fingerprints=bits)
    assert model.point_[0] > 0 and model.get_params()["grid"] == grid
    options = settings(model.points()[model.point_[0]], num_leaves=30, max_depth=20, reg_lambda=0.0)
    found = model.predict_folds(x)
    for fold, prediction in enumerate(found):
        rows = np.flatnonzero(folds != fold) if ensemble == "folds" else np.arange(len(x))
        sample, drug = np.nonzero(~np.isnan(y[rows]))
        matrix = np.hstack([x[rows][sample], z[drug]])
        own = lightgbm.train(options, lightgbm.Dataset(matrix, y[rows][sample, drug]), 25)
        np.testing.assert_array_equal(prediction, own.predict(everything).reshape(len(x), len(z)))
    assert len(found) == (5 if ensemble == "folds" else 1)


def test_rows_of_pairs_are_made_in_batches(monkeypatch):
    x, y, _, bits = pairs()
    read = []
    made = PairRows.__getitem__
    monkeypatch.setattr(PairRows, "batch_size", 100)
    monkeypatch.setattr(PairRows, "__getitem__", lambda rows, i: read.append(made(rows, i)) or read[-1])
    dataset = pair_dataset(Training(x, y, None, bits), {"verbosity": -1})
    assert dataset.num_data() == np.isfinite(y).sum()
    assert max(len(part) for part in read if part.ndim == 2) == 100
    sample, drug = np.nonzero(~np.isnan(y))
    np.testing.assert_array_equal(np.vstack([p for p in read if p.ndim == 2]), np.hstack([x[sample], bits[drug]]))


def test_pp_lgbm_does_not_depend_on_threads():
    x, y, folds, bits = pairs()
    predictions = [pp(n_jobs=n).fit(x, y, folds, fingerprints=bits).predict(x) for n in (1, 2)]
    pd.testing.assert_frame_equal(*predictions, check_exact=True)


def test_components_keep_distances_and_only_what_is_not_rounding():
    rng = np.random.default_rng(0)
    bits = (rng.random((12, 40)) < 0.3).astype(float)
    z = fingerprint_components(bits)
    assert z.shape == (12, 11)
    np.testing.assert_allclose(z @ z.T, (bits - bits.mean(0)) @ (bits - bits.mean(0)).T, atol=1e-12)
    assert fingerprint_components(bits, 5).shape == (12, 5)
    np.testing.assert_allclose(fingerprint_components(bits, 5), z[:, :5], atol=1e-12)
    assert fingerprint_components(np.vstack([bits, bits])).shape == (24, 11)
    np.testing.assert_array_equal(fingerprint_components(bits[[3, 3]]), np.zeros((2, 1)))
