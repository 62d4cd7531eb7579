import numpy as np
import pytest
from sklearn.linear_model import ElasticNet

from leaplib.base.errors import InputError
from leaplib.models.base import Training
from leaplib.models.lasso import PSElasticNet


def data(n=60, p=8, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) + 3
    Y = np.stack([X[:, 0] + 0.1 * rng.normal(size=n), X[:, 1] - X[:, 2] + 2 * rng.normal(size=n)], axis=1)
    Y[::6, 1] = np.nan
    return X, Y


def test_each_point_of_the_path_is_scikit_learn_s_elastic_net():
    X, Y = data()
    model = PSElasticNet({"l1_ratio": [0.9, 0.2]}, n_alphas=4, eps=0.05)
    found = model._fit_fold(Training(X, Y), 0)
    assert found.coef.shape == (8, 8, 2) and found.intercept.shape == (8, 2)
    for j in range(2):
        kept = ~np.isnan(Y[:, j])
        centred = X[kept] - X[kept].mean(axis=0)
        products = np.abs(centred.T @ (Y[kept, j] - Y[kept, j].mean())).max() / kept.sum()
        for point, (ratio, step) in enumerate((r, s) for r in (0.9, 0.2) for s in range(4)):
            alpha = products / ratio * 0.05 ** (step / 3)
            peer = ElasticNet(alpha=alpha, l1_ratio=ratio, tol=1e-10, max_iter=100_000).fit(X[kept], Y[kept, j])
            np.testing.assert_allclose(found.coef[point, :, j], peer.coef_, atol=2e-3)
            np.testing.assert_allclose(found.intercept[point, j], peer.intercept_, atol=2e-2)
    np.testing.assert_allclose(found.coef[[0, 4]], 0, atol=1e-9)  # the largest penalties
    np.testing.assert_allclose(found.predict(X)[0], np.tile(np.nanmean(Y, axis=0), (60, 1)), atol=1e-9)


def test_models_that_are_kept_are_those_of_their_points():
    X, Y = data()
    found = PSElasticNet(n_alphas=4)._fit_fold(Training(X, Y), 0)
    kept = found.keep(np.array([3, 7]))
    expected = found.predict(X)[[3, 7], :, [0, 1]].T
    np.testing.assert_allclose(kept.predict(X)[0], expected)


def test_it_predicts_and_tunes():
    X, Y = data(120)
    model = PSElasticNet().fit(X[:90], Y[:90])
    assert np.corrcoef(model.predict(X[90:])[0], Y[90:, 0])[0, 1] > 0.95
    assert model.cv_score_[0] > model.cv_score_[1] > 0


@pytest.mark.parametrize(
    "settings", [{"grid": {"l1_ratio": [0.0]}}, {"grid": {"l1_ratio": [1.1]}}, {"n_alphas": 0}, {"eps": 1.0}]
)
def test_settings_out_of_range_are_named(settings):
    with pytest.raises(InputError, match="use shares above 0 and at most 1"):
        PSElasticNet(**settings).fit(*data())
