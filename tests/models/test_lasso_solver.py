"""The Lasso solver against scikit-learn, closed forms, the optimality conditions and nasty input."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path

from leaplib.base.errors import InputError
from leaplib.models import lasso as module
from leaplib.models.lasso import LassoPaths, lasso_paths

K = 5


def features(n, p, seed=0):
    """ReLU features of a few factors: skewed, nearly collinear, far from the origin."""
    rng = np.random.default_rng(seed)
    hidden = rng.standard_normal((n, p // 4)) @ rng.standard_normal((p // 4, p)) / np.sqrt(p // 4)
    X = np.maximum(hidden + 0.2 * rng.standard_normal((n, p)), 0) * rng.uniform(0.5, 3, p)
    return X + 2.0


def labels(X, L, noise=1.0, seed=1):
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((X.shape[1], L)) * (rng.random((X.shape[1], L)) < 0.2)
    weights[0] += 1
    signal = X @ weights
    return signal / signal.std(0) + noise * rng.standard_normal(signal.shape) + rng.uniform(-3, 3, L)


def random_folds(n, seed=2):
    return np.random.default_rng(seed).permutation(np.arange(n) % K)


def knock_out(Y, share, seed=3):
    """Each label column misses at its own samples."""
    Y = Y.copy()
    Y[np.random.default_rng(seed).random(Y.shape) < share] = np.nan
    return Y


@pytest.fixture(scope="module")
def missing():
    """All routes at once: complete columns (shared), 3% missing (near), most missing (own)."""
    X = features(240, 48)
    Y, folds = labels(X, 44), random_folds(240)
    Y[:, 18:36] = knock_out(Y[:, 18:36], 0.03)
    Y[:, 36:] = knock_out(Y[:, 36:], 0.8)
    return X, Y, folds, lasso_paths(X, Y, folds)


def training_set(X, Y, folds, k, j):
    rows = ~np.isnan(Y[:, j]) & (folds != k)
    return X[rows], Y[rows, j]


def reference(X, y, alphas):
    """scikit-learn's coefficients (p, A) at tol 1e-8, on centred data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        Xc = X - X.mean(0)
        return lasso_path(Xc, y - y.mean(), alphas=alphas, precompute=True, tol=1e-8, max_iter=100_000)[1]


def gaps(X, y, coef, alphas):
    """Duality gap over null loss by the textbook, from the samples."""
    Xc, yc, n = X - X.mean(0), y - y.mean(), len(y)
    r = yc[:, None] - Xc @ coef
    steepest = np.abs(Xc.T @ r).max(0) / n
    theta = np.minimum(yc @ r / np.maximum((r * r).sum(0), 1e-300), alphas / np.maximum(steepest, 1e-300))
    primal = (r * r).sum(0) / (2 * n) + alphas * np.abs(coef).sum(0)
    dual = (yc @ yc - ((yc[:, None] - theta * r) ** 2).sum(0)) / (2 * n)
    return (primal - dual) / (yc @ yc / (2 * n))


def every_fit(X, Y, folds, paths):
    """Yield fold, perturbation, training set, coefficients (p, A) and penalties."""
    for k in range(paths.coef.shape[0]):
        for j in range(Y.shape[1]):
            yield (k, j, *training_set(X, Y, folds, k, j), paths.coef[k, :, :, j].T.astype(float), paths.alphas[:, j])


def assert_same(X, ours, theirs, tolerance=1e-5):
    """Expect equal predictions of both at all penalties."""
    a, b = (X @ paths.coef + paths.intercept[:, :, None] for paths in (ours, theirs))
    assert (np.sqrt(((a - b) ** 2).mean(2)) <= tolerance * b.std(2).max(1, keepdims=True)).all()


def columns_of(paths, columns):
    return LassoPaths(*(a[..., columns] for a in vars(paths).values()))


def test_predictions_gaps_and_gradients_are_those_of_the_optimum(missing):
    """Against scikit-learn, the duality gap by the textbook and the optimality conditions, on all routes."""
    X, Y, folds, paths = missing
    for k, j, Xt, yt, coef, alphas in every_fit(X, Y, folds, paths):
        residual = yt[:, None] - Xt @ coef - paths.intercept[k, :, j]
        assert np.abs(residual.mean(0)).max() < 1e-6
        assert np.abs(gaps(Xt, yt, coef, alphas)).max() <= 1e-9 and paths.gap[k, :, j].max() <= 1e-9
        gradient, slack = (Xt - Xt.mean(0)).T @ residual / len(yt), 1e-6 * alphas[0]
        assert np.all(np.abs(gradient) <= alphas + slack)
        assert np.all(np.where(coef != 0, np.abs(gradient - alphas * np.sign(coef)), 0) <= slack)
        if k == 0:
            expected = X @ (theirs := reference(Xt, yt, alphas)) + yt.mean() - Xt.mean(0) @ theirs
            error = np.sqrt(((X @ coef + paths.intercept[k, :, j] - expected) ** 2).mean(0))
            assert np.all(error <= 1e-3 * np.maximum(expected.std(0), 1e-2 * yt.std())), (k, j)


def test_penalties_come_from_the_whole_labelled_set(missing):
    X, Y, _, paths = missing
    for j in range(Y.shape[1]):
        rows = ~np.isnan(Y[:, j])
        Xc, yc = X[rows] - X[rows].mean(0), Y[rows, j] - Y[rows, j].mean()
        largest = np.abs(Xc.T @ yc).max() / rows.sum()
        np.testing.assert_allclose(paths.alphas[:, j], largest * np.logspace(0, -3, 10), rtol=1e-10)


def test_orthonormal_design_has_a_closed_form():
    """With X'X / n = I the solution is the soft threshold of X'y / n; without folds one model is fitted on all rows."""
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((100, 20))
    X = np.linalg.qr(Z - Z.mean(0))[0] * 10
    Y = labels(X, 6)
    paths = lasso_paths(X, Y)
    c = X.T @ (Y - Y.mean(0)) / 100
    assert paths.coef.shape == (1, 10, 20, 6) and not paths.coef[0, 0].any()
    expected = np.sign(c) * np.maximum(np.abs(c) - paths.alphas[:, None], 0)
    np.testing.assert_allclose(paths.coef[0], expected, atol=1e-9 * np.abs(c).max())


def test_routes_agree_and_the_order_of_perturbations_does_not_matter(missing):
    X, Y, folds, paths = missing
    order = np.random.default_rng(0).permutation(Y.shape[1])
    assert_same(X, lasso_paths(X, Y[:, order], folds), columns_of(paths, order))
    for j in (0, 20, 40):  # alone, each has matrices of its own
        assert_same(X, lasso_paths(X, Y[:, [j]], folds), columns_of(paths, [j]))


def test_held_out_labels_do_not_matter_but_for_the_penalties(missing):
    X, Y, folds, _ = missing
    turned, columns = Y.copy(), [0, 20, 40]
    turned[folds == 2] = turned[folds == 2] * -1
    found = lasso_paths(X, turned, folds)
    assert found.gap.max() <= 1e-9  # among them paths on which a feature leaves and comes in again with the other sign
    for j in columns:
        Xt, yt = training_set(X, Y, folds, 2, j)
        assert gaps(Xt, yt, found.coef[2, :, :, j].T, found.alphas[:, j]).max() <= 1e-9
        Xt, yt = training_set(X, Y, folds, 1, j)
        assert gaps(Xt, yt, found.coef[1, :, :, j].T, found.alphas[:, j]).max() > 1e-3


# Nasty input


def assert_solved(X, Y, folds, **options):
    """Fit; expect finite values and gaps of all fits with usable labels that are true and next to nothing."""
    paths = lasso_paths(X, Y, folds, **options)
    assert all(np.isfinite(a).all() for a in (paths.coef, paths.intercept, paths.alphas))
    assert paths.gap.max() <= 1e-8
    for _, _, Xt, yt, coef, alphas in every_fit(X, Y, np.full(len(X), -1) if folds is None else folds, paths):
        if len(yt) > 1 and np.ptp(yt) > 0:
            assert gaps(Xt, yt, coef, alphas).max() <= 1e-6
    return paths


def test_constant_features():
    X = features(80, 12)
    X[:, 3], X[:, 5] = 7.0, 0.0
    Y, folds = labels(X, 4), random_folds(80)
    X[folds != 0, 7] = 1.0  # constant in one training set only
    paths = assert_solved(X, Y, folds)
    assert not paths.coef[:, :, [3, 5]].any() and not paths.coef[0, :, 7].any()
    assert not lasso_paths(np.ones((80, 3)), Y).coef.any()


@pytest.mark.parametrize(("n", "p", "repeated"), [(80, 12, 12), (30, 60, 0), (40, 48, 0), (15, 40, 3)])
def test_repeated_features_and_fewer_samples_than_features(n, p, repeated):
    """Newton's method alone does not solve all of these."""
    X = features(n, p)
    X = np.hstack([X, X[:, :repeated], 2 * X[:, : repeated // 4]])
    assert_solved(X, labels(X, 8, noise=0.3), random_folds(n))


def test_a_few_labels_among_many():
    X = features(200, 40)
    Y, folds = labels(X, 20), random_folds(200)
    Y[15:, 4] = np.nan
    Y[:-15, 9] = np.nan
    assert assert_solved(X, Y, folds).coef[:, -1, :, 4].any()


def test_equal_labels_get_their_mean():
    X = features(60, 10)
    Y, folds = labels(X, 6), random_folds(60)
    Y[:, 1] = 0.1
    Y[folds != 3, 2] = -4.0  # equal in one training set only
    Y[:, 3] = np.nan
    Y[1:, 4] = np.nan
    paths = assert_solved(X, Y, folds)
    assert not paths.coef[..., [1, 3, 4]].any() and not paths.coef[3, ..., 2].any() and paths.coef[0, ..., 2].any()
    np.testing.assert_allclose(paths.intercept[..., 1], 0.1)
    np.testing.assert_allclose(paths.intercept[3, :, 2], -4.0)
    assert not paths.intercept[..., 3].any()
    others = [k for k in range(K) if k != folds[0]]
    np.testing.assert_allclose(paths.intercept[others, :, 4], Y[0, 4])
    assert not paths.intercept[folds[0], :, 4].any()


def test_one_penalty_and_one_feature():
    X = features(50, 8)
    Y = labels(X, 3)
    paths = lasso_paths(X, Y, n_alphas=1)
    assert paths.alphas.shape == (1, 3) and not paths.coef.any()
    np.testing.assert_allclose(paths.intercept[0, 0], Y.mean(0))
    assert_solved(X[:, :1], Y, None)


@pytest.mark.parametrize(("x_scale", "y_scale"), [(1e-6, 1e6), (1e6, 1e6)])
def test_scales(x_scale, y_scale):
    """The problem scales: coefficients with y / x, penalties with x y."""
    X = features(90, 16)
    Y, folds = knock_out(labels(X, 20), 0.03), random_folds(90)
    paths, scaled = lasso_paths(X, Y, folds), lasso_paths(X * x_scale, Y * y_scale, folds)
    np.testing.assert_allclose(scaled.alphas, paths.alphas * x_scale * y_scale, rtol=1e-9)
    back = LassoPaths(scaled.coef * x_scale / y_scale, scaled.intercept / y_scale, paths.alphas, scaled.gap)
    assert_same(X, back, paths)


def test_the_gap_holds_where_noise_is_nearly_interpolated():
    """Collinear features, no more samples than these, no signal: float32 coefficients would not do."""
    rng = np.random.default_rng(4)
    n, p = 254, 256
    left, right = (np.linalg.qr(rng.normal(size=(rows, n)))[0] for rows in (n, p))
    X = left * np.geomspace(250, 0.5, n) @ right.T
    paths = lasso_paths(X, rng.normal(size=(n, 6)))
    assert paths.gap.max() <= 1e-4
    assert (paths.coef[0, -1] != 0).sum(axis=0).min() > 0.8 * n


def test_a_fit_that_is_not_solved_is_said(monkeypatch):
    X = features(60, 8)
    monkeypatch.setattr(module, "TOLERANCE", -1.0)  # no gap is below
    with pytest.warns(RuntimeWarning, match=r"30 Lasso fits .* above -1 .* perturbation 0 in fold 0 at penalty 0"):
        lasso_paths(X, labels(X, 3))


@pytest.mark.parametrize("options", [{"n_alphas": 0}, {"eps": 0.0}, {"eps": 1.0}])
def test_options_out_of_range(options):
    with pytest.raises(InputError, match="use n_alphas >= 1 and 0 < eps < 1"):
        lasso_paths(features(20, 8), np.ones((20, 2)), **options)


# Wide tables


@pytest.fixture
def wide(monkeypatch):
    """90 samples, 200 features, 6 perturbations: one constant, one measured in a single fold, one with two labels."""
    monkeypatch.setattr(module, "WIDE", 100)
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
def test_wide_tables_have_the_solutions_of_the_exact_solver(wide, whole, monkeypatch):
    X, Y, folds = wide
    folds, grid = None if whole else folds, {"n_alphas": 5, "eps": 0.05}
    monkeypatch.setattr(module, "TOLERANCE", 1e-9)
    found = lasso_paths(X, Y, folds, **grid)
    monkeypatch.setattr(module, "WIDE", 1000)
    exact = lasso_paths(X, Y, folds, **grid)
    assert found.coef.shape == exact.coef.shape == (1 if whole else 5, 5, 200, 6)
    np.testing.assert_allclose(found.alphas, exact.alphas, rtol=1e-9)
    np.testing.assert_allclose(found.coef, exact.coef, atol=1e-3)
    np.testing.assert_allclose(X @ found.coef, X @ exact.coef, atol=5e-3)
    np.testing.assert_allclose(found.intercept, exact.intercept, atol=5e-3)


def test_gaps_of_wide_tables_are_below_what_is_asked_for_and_true(wide, monkeypatch):
    X, Y, folds = wide
    monkeypatch.setattr(module, "TOLERANCE", 1e-3)
    paths = lasso_paths(X, Y, folds)
    assert 1e-5 < paths.gap.max() <= 1e-3
    for k, j, Xt, yt, coef, alphas in every_fit(X, Y[:, :3], folds, paths):
        own, best = gaps(Xt, yt, coef, alphas), gaps(Xt, yt, reference(Xt, yt, alphas), alphas)
        assert (best <= 1e-4).all() and (own <= paths.gap[k, :, j] + 1e-6).all()
