import lightgbm
import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from leaplib.base.errors import InputError
from leaplib.models.base import Training
from leaplib.models.lgbm import PairRows, PPLgbm, PSLgbm, pair_dataset
from leaplib.models.pairs import fingerprint_components

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
    fixed = {"objective": "regression", "max_depth": 10, "num_leaves": 31, "min_data_in_leaf": 5}
    run = {
        "reg_alpha": 1.0,
        "reg_lambda": 1.0,
        "max_bin": 63,
        "seed": 0,
        "num_threads": 1,
        "force_col_wise": True,
        "verbosity": -1,
    }
    return fixed | run | point | changes


def test_complete_labels_give_lightgbms_own_models_to_the_bit():
    x, y, folds = problem()
    model = ps()
    fitted = model._fit_folds(Training(x, y), folds)
    for fold in (0, 3):
        rows = folds != fold
        for g, point in enumerate(model.points()):
            own = lightgbm.train(settings(point), lightgbm.Dataset(x[rows], y[rows, 1]), TREES)
            np.testing.assert_array_equal(fitted[fold].predict(x)[g, :, 1], own.predict(x))


def test_rows_without_a_label_enter_by_the_bins_alone():
    x, y, folds = problem(missing=0.3)
    rows = np.flatnonzero(folds != 0)
    [point] = ps(grid={"learning_rate": [0.1]}).points()
    prediction = ps(grid={"learning_rate": [0.1]})._fit_fold(Training(x[rows], y[rows]), 0).predict(x)[0]
    for j in range(y.shape[1]):
        measured = rows[~np.isnan(y[rows, j])]
        whole = lightgbm.Dataset(x[rows], np.zeros(len(rows)), params=settings(point))
        of_the_fold = lightgbm.train(
            settings(point), lightgbm.Dataset(x[measured], y[measured, j], whole, params=settings(point)), TREES
        )
        np.testing.assert_array_equal(prediction[:, j], of_the_fold.predict(x))
        alone = lightgbm.train(settings(point), lightgbm.Dataset(x[measured], y[measured, j]), TREES)
        assert np.corrcoef(prediction[:, j], alone.predict(x))[0, 1] > 0.97


def test_tuning_chooses_as_lightgbms_cross_validation():
    """`lgb.cv` bins all samples together; with few levels a feature the bins are the same."""
    x, y, folds = problem(levels=6)
    grid = {"learning_rate": [0.01, 0.2], "feature_fraction": [0.25, 1.0]}
    model = ps(grid=grid).fit(x, y, folds)
    splits = [(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(5)]
    for j in range(y.shape[1]):
        scores, predictions = [], []
        for point in model.points():
            data = lightgbm.Dataset(x, y[:, j])
            cv = lightgbm.cv(settings(point), data, TREES, folds=splits, return_cvbooster=True)["cvbooster"]
            held = zip(cv.boosters, splits, strict=True)
            scores.append(np.mean([spearmanr(b.predict(x[test]), y[test, j]).statistic for b, (_, test) in held]))
            predictions.append(np.mean(cv.predict(x), axis=0))
        assert model.point_[j] == np.argmax(scores)
        assert model.cv_score_[j] == pytest.approx(max(scores), abs=1e-9)
        np.testing.assert_allclose(model.predict(x)[j], predictions[model.point_[j]], rtol=1e-12)


def test_perturbations_do_not_depend_on_their_block_or_on_threads(monkeypatch):
    x, y, folds = problem(missing=0.2)
    one = ps().fit(x, y, folds).predict(x)
    monkeypatch.setattr(PSLgbm, "block", 3)
    pd.testing.assert_frame_equal(ps(n_jobs=2).fit(x, y, folds).predict(x), one, check_exact=True)


def test_the_seed_draws_the_features_of_the_trees():
    x, y, folds = problem()
    one, same, other = (ps(random_state=seed).fit(x, y, folds).predict(x) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(one, same, check_exact=True)
    assert not np.allclose(one, other)


@pytest.mark.parametrize("labels", [np.full(60, 2.5), np.r_[1.0, 2.0, np.full(58, np.nan)]], ids=["constant", "two"])
def test_labels_that_cannot_be_split_predict_their_mean(labels):
    x, _, folds = problem(60)
    folds[:2] = 0, 1
    prediction = ps().fit(x, labels[:, None], folds).predict(x)[0]
    np.testing.assert_allclose(prediction, prediction[0])
    if not np.isnan(labels).any():
        np.testing.assert_allclose(prediction, 2.5)


def test_a_fold_whose_training_set_has_no_label_predicts_nothing():
    x, y, folds = problem(60)
    y[folds != 2, 0] = np.nan
    fitted = ps()._fit_fold(Training(x, y).rows(folds != 2), 2).predict(x)
    assert not fitted[:, :, 0].any()
    assert fitted[:, :, 1:].all()


def test_the_grids_of_the_paper():
    assert len(PSLgbm().points()) == len(PPLgbm().points()) == 10
    assert PSLgbm().points()[0] == {"learning_rate": 0.005, "feature_fraction": 0.05}
    assert {point["reg_alpha"] for point in PPLgbm().points()} == {0, 1}


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


def test_pp_lgbm_equals_lightgbm_on_the_matrix_of_measured_pairs():
    """Rows made on the fly, chunk by chunk, are the same model as one matrix; unmeasured pairs are in neither."""
    x, y, folds, bits = pairs()
    z = fingerprint_components(bits)
    rows = folds != 1
    sample, drug = np.nonzero(~np.isnan(y[rows]))
    matrix = np.hstack([x[rows][sample], z[drug]])
    model = pp()
    fitted = model._fit_folds(Training(x, y, None, bits), folds)[1].predict(x)
    everything = np.hstack([np.repeat(x, len(z), axis=0), np.tile(z, (len(x), 1))])
    for g, point in enumerate(model.points()):
        options = settings(point, num_leaves=30, max_depth=20, reg_lambda=0.0)
        own = lightgbm.train(options, lightgbm.Dataset(matrix, y[rows][sample, drug]), 25)
        np.testing.assert_array_equal(fitted[g], own.predict(everything).reshape(len(x), len(z)))


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


def test_pp_lgbm_learns_how_fingerprints_change_the_response():
    x, y, folds, bits = pairs(n=120)
    new = np.random.default_rng(9).normal(size=(50, 5))
    sign = np.where(bits[:, 0] > 0, 1, -1)
    prediction = pp().fit(x, y, folds, fingerprints=bits).predict(new).to_numpy()
    blind = pp().fit(x, y, folds, fingerprints=np.ones_like(bits)).predict(new).to_numpy()
    assert (prediction * new[:, :1] * sign > 0).mean() > 0.8
    assert (blind * new[:, :1] * sign > 0).mean() < 0.65


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


def test_pp_lgbm_refitted_is_lightgbm_on_all_measured_pairs_at_the_best_point():
    x, y, folds, bits = pairs()
    z = fingerprint_components(bits)
    sample, drug = np.nonzero(~np.isnan(y))
    matrix = np.hstack([x[sample], z[drug]])
    everything = np.hstack([np.repeat(x, len(z), axis=0), np.tile(z, (len(x), 1))])
    grid = {"learning_rate": [0.01, 0.1], "reg_alpha": [0.0, 1.0]}
    model = pp(ensemble="refit", grid=grid).fit(x, y, folds, fingerprints=bits)
    point = model.points()[model.point_[0]]
    assert model.point_[0] > 0 and model.get_params()["grid"] == grid
    options = settings(point, num_leaves=30, max_depth=20, reg_lambda=0.0)
    own = lightgbm.train(options, lightgbm.Dataset(matrix, y[sample, drug]), 25)
    np.testing.assert_array_equal(model.predict(x), own.predict(everything).reshape(len(x), len(z)))


def test_pp_lgbm_refits_the_best_point_alone(monkeypatch):
    x, y, folds, bits = pairs()
    grown, grow = [], PPLgbm._grow
    monkeypatch.setattr(PPLgbm, "_grow", lambda self, *given: grown.append(1) or grow(self, *given))
    pp(ensemble="refit").fit(x, y, folds, fingerprints=bits)
    assert len(grown) == 5 * 2 + 1
