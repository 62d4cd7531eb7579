import numpy as np
import pytest
from scipy.linalg import solve
from scipy.spatial.distance import cdist
from scipy.stats import norm

from leaplib.base.errors import InputError
from leaplib.models.base import Training
from leaplib.models.ridge import SharedKernelRidge, rank_scores


@pytest.fixture(scope="module")
def problem():
    """60 samples of 8 features; 5 perturbations, the first four of which have much in common."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(60, 8)).astype(np.float32).astype(float)
    common = np.sin(x[:, :1]) + x[:, 1:2]
    y = common * [1, -1, 2, 0.5, 0] + x[:, 2:3] * [0, 1, 0, 0, 1] + rng.normal(scale=0.8, size=(60, 5))
    return x, np.exp(y), rng.integers(0, 5, 60), rng.normal(size=(15, 8))


def kernels(x, new):
    """The kernel of the samples and that between new and training samples, centred on the training samples."""
    distances, across = cdist(x, x, "sqeuclidean"), cdist(new, x, "sqeuclidean")
    width = np.median(distances)
    kernel, across = np.exp(-distances / width), np.exp(-across / width)
    centring = np.eye(len(x)) - 1 / len(x)
    return centring @ kernel @ centring, (across - kernel.mean(axis=0)) @ centring


def standardised(scores):
    return (scores - scores.mean(axis=0)) / scores.std(axis=0)


@pytest.mark.parametrize(("share", "ranks"), [(0.0, False), (0.4, True), (0.9, False)])
def test_it_is_the_gaussian_process_with_the_product_of_both_kernels(problem, share, ranks):
    """Written out: the covariance of all (sample, perturbation) pairs at once, and one solve."""
    x, y, _, new = problem
    models = SharedKernelRidge(share, ranks, grid={"penalty": [30.0, 0.7]})._fit_fold(Training(x, y), 0)
    kernel, across = kernels(x, new)
    Z = standardised(rank_scores(y) if ranks else y)
    tasks = share * np.corrcoef(Z.T) + (1 - share) * np.eye(5)
    for point, penalty in enumerate((30.0, 0.7)):
        noise = penalty * np.trace(kernel) / 60
        weights = solve(np.kron(kernel, tasks) + noise * np.eye(300), Z.ravel())
        scores = (np.kron(across, tasks) @ weights).reshape(15, 5)
        expected = [np.polyval(np.polyfit(Z[:, j], y[:, j], 1), scores[:, j]) for j in range(5)]
        np.testing.assert_allclose(models.predict(new)[point], np.transpose(expected), rtol=1e-6)


def test_scores_are_normal_quantiles_of_ranks_with_ties_in_the_middle():
    y = np.array([[3.0, 1], [1, 1], [np.nan, 1], [2, 5], [9, np.nan]])
    found = rank_scores(y)
    np.testing.assert_allclose(found[[1, 3, 0, 4], 0], norm.ppf([1 / 8, 3 / 8, 5 / 8, 7 / 8]))
    np.testing.assert_allclose(found[:4, 1], norm.ppf([1.5 / 4, 1.5 / 4, 1.5 / 4, 3.5 / 4]))
    assert np.isnan(found[2, 0]) and np.isnan(found[4, 1])


def test_gaps_are_filled_by_exact_ridge_and_predictions_are_on_the_labels_scale(problem):
    x, y, folds, new = problem
    gaps = np.where(np.random.default_rng(1).random(y.shape) < 0.3, np.nan, y)
    model = SharedKernelRidge(0.3, ranks=True)._fit_fold(Training(x, gaps), 0)
    kernel, _ = kernels(x, new)
    scores, rows = rank_scores(gaps), ~np.isnan(gaps)
    unit, filled = np.trace(kernel) / 60, scores.copy()
    for j in range(5):
        seen = rows[:, j]
        part = kernel[np.ix_(seen, seen)] + 1e6  # an intercept that costs next to nothing
        weights = solve(part + unit * np.eye(seen.sum()), scores[seen, j])
        filled[~seen, j] = (kernel[np.ix_(~seen, seen)] + 1e6) @ weights
    Z = standardised(filled)
    np.testing.assert_allclose(np.abs(model.scores), np.abs(model.vectors.T @ Z @ np.linalg.svd(Z)[2].T), atol=1e-4)
    lines = [np.polyfit(Z[rows[:, j], j], gaps[rows[:, j], j], 1) for j in range(5)]
    np.testing.assert_allclose(model.level, np.array(lines)[:, 1], rtol=1e-3)
    predicted = SharedKernelRidge().fit(x, 100 * gaps + 7, folds).predict(new)
    np.testing.assert_allclose(predicted, 100 * SharedKernelRidge().fit(x, gaps, folds).predict(new) + 7, rtol=1e-7)


def test_derivatives_equal_finite_differences(problem):
    x, y, folds, new = problem
    model = SharedKernelRidge().fit(x, y, folds).parts_[0][2]
    found, step = model.derivative(new, np.array([3, 0])), 1e-4
    assert found.shape == (8, 2)
    for feature in range(8):
        moved = [model.predict(new + sign * step * np.eye(8)[feature])[0] for sign in (1, -1)]
        expected = ((moved[0] - moved[1]) / (2 * step)).mean(axis=0)[[3, 0]]
        np.testing.assert_allclose(found[feature], expected, rtol=1e-5, atol=1e-7)


def test_constant_labels_equal_samples_and_folds_without_labels(problem):
    x, y, folds, new = problem
    labels = y.copy()
    labels[:, 1] = 0.25
    labels[:, 2] = np.where(np.arange(60) == 7, 4.0, np.nan)
    predicted = SharedKernelRidge().fit(x, labels, folds).predict(new).to_numpy()
    np.testing.assert_allclose(predicted[:, 1], 0.25)
    np.testing.assert_allclose(predicted[:, 2], 4.0 * 4 / 5)  # the fold that holds the only label out says 0
    equal = SharedKernelRidge().fit(np.full((60, 3), 0.3), y, folds).predict(np.ones((2, 3)))
    np.testing.assert_allclose(equal, np.tile(np.mean([y[folds != k].mean(axis=0) for k in range(5)], axis=0), (2, 1)))


@pytest.mark.parametrize("wrong", [{"share": 1.0}, {"share": -0.1}, {"grid": {"penalty": [1.0, 0.0]}}])
def test_settings_that_are_none_are_refused(problem, wrong):
    x, y, folds, _ = problem
    with pytest.raises(InputError, match="use 0 <= share < 1, penalties above 0"):
        SharedKernelRidge(**wrong).fit(x, y, folds)
