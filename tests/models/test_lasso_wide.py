"""Wide tables are fitted by another solver: to the same solutions, with the same degenerate cases."""

import numpy as np
import pytest
from sklearn.linear_model import Lasso

from leaplib.models import lasso_path as module
from leaplib.models.lasso import PSLasso
from leaplib.models.lasso_path import lasso_paths


@pytest.fixture(scope="module")
def problem():
    """90 samples, 200 features, 6 perturbations: one constant, one measured in a single fold, one with two labels."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 200)) * rng.uniform(0.5, 2, 200) + 4
    Y = X[:, :4] @ rng.normal(size=(4, 6)) + rng.normal(size=(90, 6))
    folds = rng.permutation(np.arange(90) % 5)
    Y[rng.random(Y.shape) < 0.1] = np.nan
    Y[:, 3] = np.where(folds % 2, 0.3, 0.1 + 0.2)  # equal but for rounding
    Y[folds != 2, 4] = np.nan
    Y[2:, 5] = np.nan
    return X, Y, folds


@pytest.mark.parametrize("whole", [False, True])
def test_the_solutions_are_those_of_the_exact_solver(problem, whole, monkeypatch):
    X, Y, folds = problem
    folds = None if whole else folds
    grid = {"n_alphas": 5, "eps": 0.05}
    exact = lasso_paths(X, Y, folds, **grid)
    monkeypatch.setattr(module, "WIDE", 100)
    wide = lasso_paths(X, Y, folds, **grid, tol=1e-9)
    assert wide.coef.shape == exact.coef.shape == (1 if whole else 5, 5, 200, 6)
    np.testing.assert_allclose(wide.alphas, exact.alphas, rtol=1e-9)
    np.testing.assert_allclose(wide.coef, exact.coef, atol=1e-3)
    np.testing.assert_allclose(X @ wide.coef, X @ exact.coef, atol=5e-3)
    np.testing.assert_allclose(wide.intercept, exact.intercept, atol=5e-3)
    assert exact.gap.max() < 1e-9 and wide.gap.max() <= 1e-9


def test_gaps_are_below_what_is_asked_for_and_true(problem, monkeypatch):
    X, Y, folds = problem
    monkeypatch.setattr(module, "WIDE", 100)
    paths = lasso_paths(X, Y, folds, tol=1e-3)
    assert 1e-5 < paths.gap.max() <= 1e-3
    x, y = X[folds != 1], Y[folds != 1, 0]
    x, y = x[~np.isnan(y)], y[~np.isnan(y)]
    for coef, intercept, alpha, gap in zip(*(a[1, :, ..., 0] for a in (paths.coef, paths.intercept)),
                                           paths.alphas[:, 0], paths.gap[1, :, 0], strict=True):  # fmt: skip
        residual = y - x @ coef - intercept
        primal = residual @ residual / 2 / len(y) + alpha * np.abs(coef).sum()
        best = Lasso(alpha, tol=1e-11, max_iter=100_000).fit(x, y)
        rest = y - best.predict(x)
        optimum = rest @ rest / 2 / len(y) + alpha * np.abs(best.coef_).sum()
        assert -1e-9 < (primal - optimum) / (y.var() / 2) <= gap + 1e-9
        centred, slope = y - y.mean(), np.abs((x - x.mean(0)).T @ residual).max()
        dual = residual * min(1, alpha * len(y) / slope)  # a feasible point of the dual problem
        bound = (centred @ dual - dual @ dual / 2) / len(y)
        np.testing.assert_allclose(gap, (primal - bound) / (y.var() / 2), rtol=1e-5, atol=1e-9)


def test_a_bound_on_sweeps_that_is_met_is_told_by_the_gap(problem, monkeypatch):
    X, Y, folds = problem
    monkeypatch.setattr(module, "WIDE", 100)
    monkeypatch.setattr("leaplib.models.lasso_wide.SWEEPS", 2)
    with pytest.warns(RuntimeWarning, match="duality gap above 0.0001"):
        lasso_paths(X, Y, folds)


def test_ps_lasso_on_more_genes_than_a_representation_has_is_scikit_learns():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, module.WIDE + 1))
    Y = X[:, :2] @ rng.normal(size=(2, 3)) + 0.3 * rng.normal(size=(60, 3))
    folds = rng.permutation(np.arange(60) % 5)
    model = PSLasso().fit(X, Y, folds)
    assert model.gap_ <= 1e-4
    for fold in range(5):
        for j, alpha in enumerate(model.alpha_):
            own = Lasso(alpha, tol=1e-9, max_iter=100_000).fit(X[folds != fold], Y[folds != fold, j])
            np.testing.assert_allclose(
                X @ model.coef_[fold, :, j] + model.intercept_[fold, j], own.predict(X), atol=0.05
            )
    assert model.fit(X, Y, folds).predict(X).equals(PSLasso().fit(X, Y, folds).predict(X))
