"""The Lasso solver against scikit-learn, closed forms, the optimality conditions and nasty input."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path

from leaplib.base.errors import InputError
from leaplib.models import lasso_newton as newton
from leaplib.models import lasso_path as module
from leaplib.models.lasso_path import LassoPaths, lasso_paths

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
def complete():
    X = features(240, 48)
    Y, folds = labels(X, 24), random_folds(240)
    return X, Y, folds, lasso_paths(X, Y, folds)


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


@pytest.mark.parametrize("case", ["complete", "missing"])
def test_predictions_equal_those_of_scikit_learn(case, request):
    X, Y, folds, paths = request.getfixturevalue(case)
    for k, j, Xt, yt, coef, alphas in every_fit(X, Y, folds, paths):
        if k > 1:
            break
        expected = X @ (theirs := reference(Xt, yt, alphas)) + yt.mean() - Xt.mean(0) @ theirs
        ours = X @ coef + paths.intercept[k, :, j]
        error = np.sqrt(((ours - expected) ** 2).mean(0))
        assert np.all(error <= 1e-3 * np.maximum(expected.std(0), 1e-2 * yt.std())), (k, j)


@pytest.mark.parametrize("case", ["complete", "missing"])
def test_gap_is_kept_and_reported(case, request):
    X, Y, folds, paths = request.getfixturevalue(case)
    for k, j, Xt, yt, coef, alphas in every_fit(X, Y, folds, paths):
        gap = gaps(Xt, yt, coef, alphas)
        assert gap.max() <= 1e-4
        np.testing.assert_allclose(paths.gap[k, :, j], gap, atol=1e-7)


@pytest.mark.parametrize("case", ["complete", "missing"])
def test_optimality_conditions(case, request):
    """The gradient is alpha times the sign where a coefficient is not zero, and no larger elsewhere."""
    X, Y, folds, paths = request.getfixturevalue(case)
    for _, _, Xt, yt, coef, alphas in every_fit(X, Y, folds, paths):
        gradient = (Xt - Xt.mean(0)).T @ (yt[:, None] - yt.mean() - (Xt - Xt.mean(0)) @ coef) / len(yt)
        slack = 0.02 * alphas + 1e-4 * alphas[0]
        assert np.all(np.abs(gradient) <= alphas + slack)
        assert np.all(np.where(coef != 0, np.abs(gradient - alphas * np.sign(coef)), 0) <= slack)


def test_intercept_makes_residuals_sum_to_zero(missing):
    X, Y, folds, paths = missing
    for k, j, Xt, yt, coef, _ in every_fit(X, Y, folds, paths):
        residual = yt[:, None] - Xt @ coef - paths.intercept[k, :, j]
        assert np.abs(residual.mean(0)).max() < 1e-6


def test_penalties_come_from_the_whole_labelled_set(missing):
    X, Y, _, paths = missing
    for j in range(Y.shape[1]):
        rows = ~np.isnan(Y[:, j])
        Xc, yc = X[rows] - X[rows].mean(0), Y[rows, j] - Y[rows, j].mean()
        largest = np.abs(Xc.T @ yc).max() / rows.sum()
        np.testing.assert_allclose(paths.alphas[:, j], largest * np.logspace(0, -3, 10), rtol=1e-10)


def chosen_alphas(predict, Y, folds, A):
    """Index of the penalty with the best mean Spearman over held-out folds; constants score 0."""
    best = []
    for j in range(Y.shape[1]):
        scores = np.zeros((K, A))
        for k in range(K):
            rows = ~np.isnan(Y[:, j]) & (folds == k)
            for a, prediction in enumerate(predict(k, j)[rows].T):
                if np.ptp(prediction) > 1e-9:
                    scores[k, a] = spearmanr(prediction, Y[rows, j]).statistic
        best.append(scores.mean(0).argmax())
    return np.array(best)


def test_cross_validation_chooses_the_same_penalty(complete):
    X, Y, folds, paths = complete
    ours = chosen_alphas(lambda k, j: X @ paths.coef[k, :, :, j].T.astype(float), Y, folds, 10)
    theirs = chosen_alphas(
        lambda k, j: X @ reference(*training_set(X, Y, folds, k, j), paths.alphas[:, j]), Y, folds, 10
    )
    assert (ours == theirs).mean() >= 0.99
    assert len(set(ours)) > 1


def test_orthonormal_design_has_a_closed_form():
    """With X'X / n = I the solution is the soft threshold of X'y / n."""
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((100, 20))
    X = np.linalg.qr(Z - Z.mean(0))[0] * 10
    Y = labels(X, 6)
    paths = lasso_paths(X, Y)
    c = X.T @ (Y - Y.mean(0)) / 100
    for a, alpha in enumerate(paths.alphas):
        expected = np.sign(c) * np.maximum(np.abs(c) - alpha, 0)
        np.testing.assert_allclose(paths.coef[0, a], expected, atol=2e-3 * np.abs(c).max())
    np.testing.assert_allclose(paths.alphas[0], np.abs(c).max(0))


def test_without_folds_one_model_on_all_rows(complete):
    X, Y, _, _ = complete
    paths = lasso_paths(X, Y[:, :3])
    assert paths.coef.shape == (1, 10, 48, 3)
    assert gaps(X, Y[:, 0], paths.coef[0, :, :, 0].T, paths.alphas[:, 0]).max() <= 1e-4
    assert not paths.coef[0, 0].any()  # at alpha_max, on the set that it comes from, nothing enters


def test_shapes_and_types(complete):
    X, Y, _, paths = complete
    assert paths.coef.shape == (K, 10, X.shape[1], Y.shape[1]) and paths.coef.dtype == np.float64
    assert paths.intercept.shape == paths.gap.shape == (K, 10, Y.shape[1])
    assert paths.alphas.shape == (10, Y.shape[1]) and np.all(np.diff(paths.alphas, axis=0) < 0)


def test_routes_agree(missing):
    """Shared, near and own give the same answer to the same problem."""
    X, Y, folds, paths = missing
    shared, near, own = module._groups(~np.isnan(Y), X.shape[1])
    assert [len(g) for g in shared] == [18] and [len(c) for _, c in near] == [18] and len(own) == 8
    alone = [lasso_paths(X, Y[:, [j]], folds) for j in (0, 20, 40)]
    for j, path in zip((0, 20, 40), alone, strict=True):
        assert_same_predictions(X, path, paths, [0], [j])


def assert_same_predictions(X, ours, theirs, columns, other, tolerance=1e-3):
    for k in range(ours.coef.shape[0]):
        a = X @ ours.coef[k][..., columns] + ours.intercept[k][:, None, columns]
        b = X @ theirs.coef[k][..., other] + theirs.intercept[k][:, None, other]
        spread = b.std(1, keepdims=True).max(0)
        assert np.all(np.sqrt(((a - b) ** 2).mean(1)) <= tolerance * spread)


def test_permuting_perturbations_permutes_results(missing):
    X, Y, folds, paths = missing
    order = np.random.default_rng(0).permutation(Y.shape[1])
    permuted = lasso_paths(X, Y[:, order], folds)
    assert_same_predictions(X, permuted, paths, np.arange(len(order)), order)
    np.testing.assert_allclose(permuted.alphas, paths.alphas[:, order], rtol=1e-12)


def test_deterministic(missing):
    X, Y, folds, paths = missing
    again = lasso_paths(X, Y, folds)
    np.testing.assert_array_equal(again.coef, paths.coef)
    np.testing.assert_array_equal(again.intercept, paths.intercept)


def test_held_out_labels_do_not_matter(missing):
    """Fold k's model does not see the labels of fold k, nor values that stand behind a NaN."""
    X, Y, folds, paths = missing
    changed = Y.copy()
    changed[folds == 2] = changed[folds == 2][::-1] * 5
    changed[np.isnan(Y)] = np.nan
    scale = lasso_paths(X, changed, folds)
    for j in (0, 20):
        Xt, yt = training_set(X, changed, folds, 2, j)
        assert gaps(Xt, yt, scale.coef[2, :, :, j].T, scale.alphas[:, j]).max() <= 1e-4
        Xt, yt = training_set(X, changed, folds, 1, j)
        assert gaps(Xt, yt, paths.coef[1, :, :, j].T, paths.alphas[:, j]).max() > 1e-3


def test_threads_are_given_back(complete):
    X, Y, folds, _ = complete
    before = torch.get_num_threads()
    lasso_paths(X, Y[:, :2], folds)
    assert torch.get_num_threads() == before


# Nasty input


def assert_promise(X, Y, paths, folds=None):
    folds = np.full(len(X), -1) if folds is None else folds
    assert all(np.isfinite(a).all() for a in (paths.coef, paths.intercept, paths.alphas, paths.gap))
    assert paths.gap.max() <= 1e-4
    for _, _, Xt, yt, coef, alphas in every_fit(X, Y, folds, paths):
        if len(yt) > 1 and np.ptp(yt) > 0:
            assert gaps(Xt, yt, coef, alphas).max() <= 1.1e-4


def test_constant_features():
    X = features(80, 12)
    X[:, 3] = 7.0
    X[:, 5] = 0.0
    Y, folds = labels(X, 4), random_folds(80)
    X[folds != 0, 7] = 1.0  # constant in one training set only
    paths = lasso_paths(X, Y, folds)
    assert_promise(X, Y, paths, folds)
    assert not paths.coef[:, :, [3, 5]].any() and not paths.coef[0, :, 7].any()


def test_all_features_constant():
    paths = lasso_paths(np.ones((20, 3)), labels(features(20, 8), 2))
    assert not paths.coef.any() and np.isfinite(paths.alphas).all()


def test_duplicated_features():
    X = features(80, 12)
    X = np.hstack([X, X, X[:, :3] * 2])
    Y, folds = labels(X, 5), random_folds(80)
    assert_promise(X, Y, lasso_paths(X, Y, folds), folds)


def test_fewer_samples_than_features():
    X = features(30, 60)
    Y, folds = labels(X, 5, noise=0.3), random_folds(30)
    assert_promise(X, Y, lasso_paths(X, Y, folds), folds)


def test_fifteen_samples():
    X = features(200, 40)
    Y, folds = labels(X, 20), random_folds(200)
    Y[15:, 4] = np.nan
    Y[:-15, 9] = np.nan
    paths = lasso_paths(X, Y, folds)
    assert_promise(X, Y, paths, folds)
    assert paths.coef[:, -1, :, 4].any()


def test_equal_labels_get_their_mean():
    X = features(60, 10)
    Y, folds = labels(X, 6), random_folds(60)
    Y[:, 1] = 0.1
    Y[folds != 3, 2] = -4.0  # equal in one training set only
    Y[:, 3] = np.nan
    Y[1:, 4] = np.nan
    paths = lasso_paths(X, Y, folds)
    assert_promise(X, Y[:, [0, 1, 2, 5]], LassoPaths(*(a[..., [0, 1, 2, 5]] for a in vars(paths).values())), folds)
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
    assert_promise(X[:, :1], Y, lasso_paths(X[:, :1], Y))


@pytest.mark.parametrize("x_scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("y_scale", [1e-6, 1e6])
def test_scales(x_scale, y_scale):
    """The problem scales: coefficients with y / x, penalties with x y."""
    X = features(90, 16)
    Y, folds = knock_out(labels(X, 20), 0.03), random_folds(90)
    paths, scaled = lasso_paths(X, Y, folds), lasso_paths(X * x_scale, Y * y_scale, folds)
    np.testing.assert_allclose(scaled.alphas, paths.alphas * x_scale * y_scale, rtol=1e-9)
    back = LassoPaths(scaled.coef * x_scale / y_scale, scaled.intercept / y_scale, paths.alphas, scaled.gap)
    assert_promise(X, Y, back, folds)


def test_features_of_very_different_scales():
    X = features(120, 16) * np.logspace(-6, 6, 16)
    Y, folds = labels(features(120, 16), 5), random_folds(120)
    assert_promise(X, Y, lasso_paths(X, Y, folds), folds)


def problems_of(X, Y, share=True):
    """Problems for the solver itself, whose features are centred: one Gram matrix, or a copy for each."""
    Xc, Yc = X - X.mean(0), Y - Y.mean(0)
    gram = torch.as_tensor(Xc.T @ Xc / len(X))[None]
    c = torch.as_tensor(Yc.T @ Xc / len(X))
    alphas = c.abs().amax(1, keepdim=True) * torch.logspace(0, -3, 10, dtype=torch.float64)
    inverse, invertible = module._invert(gram)
    if not share:
        gram, inverse, invertible = (a.repeat(len(c), *[1] * (a.ndim - 1)) for a in (gram, inverse, invertible))
    return newton.Problems(gram, inverse, invertible, c, torch.as_tensor((Yc**2).mean(0)), alphas)


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize(("n", "repeated"), [(240, 0), (40, 0), (120, 12)])
def test_all_paths_side_by_side_equal_each_alone(n, repeated, share):
    """What a GPU runs gives what a CPU runs, also with fewer samples than features and with repeated ones."""
    X = features(n, 48)
    X = np.hstack([X, X[:, :repeated]])
    problems = problems_of(X, labels(X, 6), share)
    alone = newton.solve_paths(problems)
    coef, gap = torch.zeros_like(alone.coef), torch.zeros_like(alone.gap)
    newton._follow_batch(problems, coef, gap, torch.zeros_like(gap, dtype=torch.bool))
    assert max(gap.max(), alone.gap.max()) < 1e-9
    fitted, expected = (torch.as_tensor(X - X.mean(0)) @ a.mT for a in (coef, alone.coef))
    np.testing.assert_allclose(fitted, expected, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize(("n", "repeated"), [(240, 0), (30, 0), (120, 12)])
def test_homotopy_alone_follows_the_path(n, repeated):
    """The safety net by itself, from the largest penalty to the smallest, against the optimality conditions."""
    X = features(n, 48)
    X = np.hstack([X, X[:, :repeated]])
    problems = problems_of(X, labels(X, 3))
    G, p = problems.gram[0].numpy(), X.shape[1]
    work = np.empty((p, p + 1)), np.empty(2 * p, np.int64)
    for c, null, alphas in zip(problems.c.numpy(), problems.null.numpy(), problems.alphas.numpy(), strict=True):
        b, gradient = np.zeros(p), np.zeros(p)
        for start, end in itertools.pairwise(alphas):
            assert newton._homotopy(G, c, start, end, b, gradient, work)
            np.testing.assert_allclose(gradient, c - G @ b, atol=1e-9 * alphas[0])
            assert newton._gap(c, null, end, b, gradient) < 1e-9
            assert np.abs(gradient).max() <= end * (1 + 1e-6)
            np.testing.assert_allclose(gradient[b != 0], end * np.sign(b[b != 0]), rtol=1e-6)


def test_few_samples_need_the_safety_net_and_get_it():
    """Newton's method alone does not solve all of these: the test above would else show nothing."""
    X = features(40, 48)
    problems = problems_of(X, labels(X, 8))
    G, settled = problems.gram[0].numpy(), []
    p = X.shape[1]
    work = np.empty((p, p + 1)), np.empty(2 * p, np.int64), np.empty(p), np.zeros(p), np.zeros(p)
    for c, alphas in zip(problems.c.numpy(), problems.alphas.numpy(), strict=True):
        sign = np.sign(c) * (np.abs(c) > alphas[-1])
        settled.append(newton._newton(G, G, False, c, c, alphas[-1], sign, np.zeros(p), np.zeros(p), work))
    assert not all(settled)
    assert newton.solve_paths(problems).gap.max() < 1e-9


def test_a_fit_that_is_not_solved_is_said():
    X = features(60, 8)
    Y = labels(X, 3)
    with pytest.warns(RuntimeWarning, match=r"duality gap above 1e-300 .* perturbation 2 in fold 0 at penalty 2"):
        lasso_paths(X, Y, tol=1e-300)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_must_be_finite(value):
    X = features(20, 8)
    X[3, 2] = value
    with pytest.raises(InputError, match="X has NaN"):
        lasso_paths(X, labels(features(20, 8), 2))


def test_labels_must_not_be_infinite():
    X = features(20, 8)
    Y = labels(X, 2)
    Y[0, 0] = np.inf
    with pytest.raises(InputError, match="Y has infinite"):
        lasso_paths(X, Y)


@pytest.mark.parametrize(("x", "y"), [((20, 4), (19, 2)), ((20,), (20, 2)), ((20, 4), (20,)), ((20, 0), (20, 1))])
def test_shapes_must_fit(x, y):
    with pytest.raises(InputError, match="same rows"):
        lasso_paths(np.ones(x), np.ones(y))


@pytest.mark.parametrize(
    "folds",
    [
        np.arange(19) % 5,
        np.arange(20) % 5 + 1,
        np.arange(20) % 5 * 2,
        np.zeros(20, int),
        np.arange(20) % 5 - 1,
        np.arange(20) % 5 / 1,
    ],
)
def test_folds_must_be_numbered(folds):
    with pytest.raises(InputError, match="folds must"):
        lasso_paths(features(20, 8), np.ones((20, 2)), folds)


@pytest.mark.parametrize("options", [{"n_alphas": 0}, {"eps": 0.0}, {"eps": 1.0}, {"tol": 0.0}])
def test_options_out_of_range(options):
    with pytest.raises(InputError, match="n_alphas >= 1"):
        lasso_paths(features(20, 8), np.ones((20, 2)), **options)


def test_the_gap_holds_where_noise_is_nearly_interpolated():
    """Collinear features, no more samples than these, no signal: float32 coefficients would not do."""
    rng = np.random.default_rng(4)
    n, p = 254, 256
    left, right = (np.linalg.qr(rng.normal(size=(rows, n)))[0] for rows in (n, p))
    X = left * np.geomspace(250, 0.5, n) @ right.T
    paths = lasso_paths(X, rng.normal(size=(n, 6)), device="cpu")
    assert paths.gap.max() <= 1e-4
    assert (paths.coef[0, -1] != 0).sum(axis=0).min() > 0.8 * n
