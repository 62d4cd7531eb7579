import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import Lasso

from leaplib.base.errors import InputError
from leaplib.cohorts.splits import tissue_folds
from leaplib.models.lasso import PSLasso


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(120, 20))
    weights = rng.normal(size=(20, 6)) * (rng.random((20, 6)) < 0.3)
    y = x @ weights + rng.normal(scale=1.5, size=(120, 6))
    y[rng.random(y.shape) < 0.2] = np.nan
    folds = rng.integers(0, 5, 120)
    return x, y, folds, rng.normal(size=(40, 20)), weights


def by_hand(x, y, folds, new):
    """One perturbation's PS-LASSO written with scikit-learn, step by step; NaN folds have no usable score."""
    measured = ~np.isnan(y)
    x, y, folds = x[measured], y[measured], folds[measured]
    centred = x - x.mean(axis=0)
    largest = np.abs(centred.T @ (y - y.mean())).max() / len(y)
    alphas = np.geomspace(largest, 1e-3 * largest, 10)
    n_folds = folds.max() + 1
    scores, predictions = np.zeros((n_folds, 10)), np.zeros((n_folds, 10, len(new)))
    for fold in range(n_folds):
        held = folds == fold
        for i, alpha in enumerate(alphas):
            model = Lasso(alpha, tol=1e-10, max_iter=100_000).fit(x[~held], y[~held])
            if np.unique(y[held]).size < 2:
                scores[fold, i] = np.nan
            elif np.abs(model.coef_).max() > 0:
                scores[fold, i] = spearmanr(y[held], model.predict(x[held])).statistic
            predictions[fold, i] = model.predict(new)
    best = np.nanmean(scores, axis=0).argmax()
    return predictions[:, best].mean(axis=0), alphas[best]


def test_equals_the_procedure_written_out_with_scikit_learn(problem):
    x, y, folds, new, _ = problem
    model = PSLasso().fit(x, y, folds)
    predicted = model.predict(new).to_numpy()
    for column in range(y.shape[1]):
        reference, alpha = by_hand(x, y[:, column], folds, new)
        np.testing.assert_allclose(model.alpha_[column], alpha, rtol=1e-4)
        error = np.sqrt(np.mean((predicted[:, column] - reference) ** 2)) / reference.std()
        assert error < 1e-2


def test_a_refit_is_scikit_learns_lasso_on_all_rows(problem):
    x, y, folds, new, _ = problem
    model, parts = PSLasso(ensemble="refit").fit(x, y, folds), PSLasso().fit(x, y, folds)
    predicted = model.predict(new).to_numpy()
    np.testing.assert_array_equal(model.alpha_, parts.alpha_)
    assert model.coef_.shape == (1, 20, 6) and model.intercept_.shape == (1, 6)
    for column, alpha in enumerate(parts.alpha_):
        measured = ~np.isnan(y[:, column])
        reference = Lasso(alpha, tol=1e-12, max_iter=100_000).fit(x[measured], y[measured, column])
        np.testing.assert_allclose(predicted[:, column], reference.predict(new), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(model.coef_[0, :, column], reference.coef_, atol=1e-6)
    assert not np.allclose(predicted, parts.predict(new), atol=1e-3)


def test_one_fold_a_tissue_with_tissues_of_one_and_two_lines():
    rng = np.random.default_rng(8)
    sizes = [1, 1, 2, 2, *[8] * 23]
    tissue = pd.Series(np.repeat([f"tissue {i:02}" for i in range(27)], sizes))
    tissue = tissue.sample(frac=1, random_state=0, ignore_index=True)
    x = rng.normal(size=(len(tissue), 6))
    y = x @ rng.normal(size=(6, 2)) + rng.normal(size=(len(tissue), 2))
    y[np.flatnonzero(tissue == "tissue 26"), 0] = np.nan  # a tissue in which the first was not measured
    y[np.flatnonzero(tissue == "tissue 03"), 1] = 0.5  # equal labels: no usable score
    folds, new = tissue_folds(tissue.index, tissue), rng.normal(size=(10, 6))
    model = PSLasso().fit(x, y, folds)
    predicted = model.predict(new)
    for column in range(2):
        measured = ~np.isnan(y[:, column])
        kept = pd.factorize(folds[measured], sort=True)[0]
        reference, alpha = by_hand(x[measured], y[measured, column], kept, new)
        if column == 0:  # the model that holds out the tissue without labels is fitted on all others
            whole = Lasso(alpha, tol=1e-10, max_iter=100_000).fit(x[measured], y[measured, 0]).predict(new)
            reference = (26 * reference + whole) / 27
        np.testing.assert_allclose(model.alpha_[column], alpha)
        np.testing.assert_allclose(predicted[column], reference, rtol=1e-6, atol=1e-6)
    assert model.coef_.shape == (27, 6, 2)


def test_folds_that_are_not_numbered_from_0_are_refused(problem):
    x, y, folds, _, _ = problem
    for wrong in (np.where(folds == 0, -1, folds), np.full(len(x), -1)):
        with pytest.raises(InputError, match="numbered from 0, but one is -1"):
            PSLasso().fit(x, y, wrong)
    with pytest.raises(InputError, match="without gaps"):
        PSLasso().fit(x, y, folds + 1)


def test_a_model_saved_by_another_version_is_refused_in_one_line(tmp_path, rng, monkeypatch):
    model = PSLasso(n_alphas=3).fit(rng.normal(size=(30, 4)), rng.normal(size=(30, 2)))
    parameters = model.get_params()
    monkeypatch.setattr(PSLasso, "get_params", lambda self, deep=True: parameters | {"device": "cpu"})
    model.save(tmp_path / "model")
    with pytest.raises(InputError, match=r"saved by another version of leaplib .*'device'"):
        PSLasso.load(tmp_path / "model")
