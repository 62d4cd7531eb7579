import numpy as np
import pytest
from sklearn.linear_model import Ridge

from leaplib.base.errors import InputError
from leaplib.models.base import Training
from leaplib.models.ridge import DualRidge


@pytest.fixture(scope="module")
def problem():
    """90 samples of 130 features; labels that miss nowhere, at shared places, at a few, and nearly everywhere."""
    rng = np.random.default_rng(2)
    x = 3 + rng.normal(size=(90, 130)) * rng.uniform(0.2, 3, 130)
    y = 50 + x[:, :9] @ rng.normal(size=(9, 9)) + rng.normal(scale=3, size=(90, 9))
    y[rng.random(90) < 0.3, 2:4] = np.nan
    for column, share in enumerate((0.05, 0.2, 0.45, 0.6, 0.9), start=4):
        y[rng.random(90) < share, column] = np.nan
    return x, y, rng.integers(0, 5, 90), rng.normal(3, 2, size=(20, 130))


def penalties_of(x):
    """The grid in closed form: the mean squared distance of the samples to their mean, times 300 to 0.03."""
    return np.square(x - x.mean(axis=0)).sum(axis=1).mean() * np.geomspace(300, 0.03, 10)


def test_each_fold_penalty_and_perturbation_equals_scikit_learn(problem):
    x, y, folds, new = problem
    models = DualRidge()._fit_folds(Training(x, y), folds)
    for fold, model in enumerate(models):
        found = model.predict(new)
        for point, penalty in enumerate(penalties_of(x)):
            for column in range(y.shape[1]):
                rows = (folds != fold) & ~np.isnan(y[:, column])
                reference = Ridge(penalty, solver="cholesky").fit(x[rows], y[rows, column]).predict(new)
                np.testing.assert_allclose(found[point, :, column], reference, rtol=1e-8, atol=1e-8)


def test_weights_of_features_give_the_prediction(problem):
    x, y, folds, new = problem
    for ensemble in ("folds", "refit"):
        model = DualRidge(ensemble=ensemble).fit(x, y, folds)
        assert model.coef_.shape == (130, 9) and model.intercept_.shape == model.penalty_.shape == (9,)
        np.testing.assert_allclose(new @ model.coef_ + model.intercept_, model.predict(new), rtol=1e-9)


def test_blocks_of_perturbations_change_nothing(problem, monkeypatch):
    x, y, folds, new = problem
    first = DualRidge().fit(x, y, folds)
    monkeypatch.setattr(DualRidge, "block", 2)
    blocks = DualRidge().fit(x, y, folds)
    assert len(blocks.parts_) == 5
    np.testing.assert_array_equal(blocks.point_, first.point_)
    np.testing.assert_allclose(blocks.predict(new), first.predict(new), rtol=1e-10)
    np.testing.assert_allclose(blocks.coef_, first.coef_, rtol=1e-8, atol=1e-12)


def test_constant_labels_are_predicted_as_they_are_and_choose_the_largest_penalty(problem):
    x, y, folds, new = problem
    y = np.where(np.isnan(y), np.nan, 0.1)
    model = DualRidge().fit(x, y, folds)
    np.testing.assert_allclose(model.predict(new), 0.1, rtol=1e-14)
    assert (np.ptp(model.predict(new), axis=0) == 0).all()
    assert (model.point_ == 0).all() and (model.cv_score_ == 0).all() and (model.coef_ == 0).all()


def test_equal_samples_predict_the_mean(problem):
    _, y, folds, _ = problem
    model = DualRidge().fit(np.full((90, 4), 0.3), y, folds)
    expected = np.mean([np.nanmean(y[folds != fold], axis=0) for fold in range(5)], axis=0)
    np.testing.assert_allclose(model.predict(np.ones((3, 4))), np.tile(expected, (3, 1)))


def test_few_labels(problem):
    """One label, held out by one fold, whose model has none and says 0; and two labels."""
    x, _, folds, new = problem
    y = np.full((90, 2), np.nan)
    y[3, 0], y[[4, 5], 1] = 2.0, [1.0, 3.0]
    model = DualRidge().fit(x, y, folds)
    np.testing.assert_allclose(model.predict(new)[0], 2.0 * 4 / 5)
    assert np.isfinite(model.predict(new).to_numpy()).all() and (model.point_ == 0).all()


def test_default_folds_follow_the_seed_and_need_five_samples(problem):
    x, y, _, new = problem
    one = DualRidge(random_state=1).fit(x, y).predict(new)
    assert DualRidge(random_state=1).fit(x, y).predict(new).equals(one)
    assert not DualRidge(random_state=2).fit(x, y).predict(new).equals(one)
    with pytest.raises(InputError, match="4 training samples: at least 5"):
        DualRidge().fit(x[:4], y[:4, :1])


@pytest.mark.parametrize("wrong", [{"n_penalties": 0}, {"smallest": 0.0}, {"smallest": 400.0}])
def test_a_grid_that_is_none_is_refused(problem, wrong):
    x, y, folds, _ = problem
    with pytest.raises(InputError, match="use n_penalties >= 1 and 0 < smallest <= largest"):
        DualRidge(**wrong).fit(x, y, folds)
