import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import Lasso

from leaplib.regressors import PSLasso, shuffle_labels


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
    """One perturbation's PS-LASSO written with scikit-learn, step by step."""
    measured = ~np.isnan(y)
    x, y, folds = x[measured], y[measured], folds[measured]
    centred = x - x.mean(axis=0)
    largest = np.abs(centred.T @ (y - y.mean())).max() / len(y)
    alphas = np.geomspace(largest, 1e-3 * largest, 10)
    scores, predictions = np.zeros((5, 10)), np.zeros((5, 10, len(new)))
    for fold in range(5):
        held = folds == fold
        for i, alpha in enumerate(alphas):
            model = Lasso(alpha, tol=1e-10, max_iter=100_000).fit(x[~held], y[~held])
            if np.abs(model.coef_).max() > 0:
                scores[fold, i] = spearmanr(y[held], model.predict(x[held])).statistic
            predictions[fold, i] = model.predict(new)
    best = scores.mean(axis=0).argmax()
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
    assert model.gap_ <= 1e-4


def test_signal_is_recovered_and_shuffled_labels_score_nothing(problem):
    x, y, folds, new, weights = problem
    frame = pd.DataFrame(y)
    found = PSLasso().fit(x, y, folds).predict(new).to_numpy()
    shuffled = PSLasso().fit(x, shuffle_labels(frame, 0).to_numpy(), folds).predict(new).to_numpy()
    truth = new @ weights
    varied = np.abs(weights).sum(axis=0) > 0.5
    assert np.mean([spearmanr(truth[:, j], found[:, j]).statistic for j in np.flatnonzero(varied)]) > 0.7
    noise = [
        np.nan_to_num(np.corrcoef(truth[:, j], shuffled[:, j] + 1e-12 * new[:, 0])[0, 1])
        for j in np.flatnonzero(varied)
    ]
    assert abs(np.mean(noise)) < 0.35


def test_a_second_fit_and_chunks_change_nothing(problem, monkeypatch):
    x, y, folds, new, _ = problem
    model = PSLasso().fit(x, y, folds)
    first = model.predict(new)
    assert model.fit(x, y, folds).predict(new).equals(first)
    monkeypatch.setattr(PSLasso, "block", 2)
    np.testing.assert_allclose(PSLasso().fit(x, y, folds).predict(new), first, rtol=1e-3, atol=1e-4)


def test_default_folds_follow_the_seed(problem):
    x, y, _, new, _ = problem
    one = PSLasso(random_state=1).fit(x, y).predict(new)
    assert PSLasso(random_state=1).fit(x, y).predict(new).equals(one)
    assert not PSLasso(random_state=2).fit(x, y).predict(new).equals(one)
