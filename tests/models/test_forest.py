import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor

from leaplib.models.trees import PSForest

GRID = {"max_features": [0.2, 0.6], "min_samples_leaf": [4]}


@pytest.fixture(scope="module")
def study():
    rng = np.random.default_rng(0)
    X, folds = rng.normal(size=(90, 15)), np.arange(90) % 3
    Y = X[:, :3] + 0.3 * rng.normal(size=(90, 3))
    Y[rng.random(Y.shape) < 0.2] = np.nan
    Y[folds != 1, 2] = np.nan  # the model that holds fold 1 out has no label of it
    return X, Y, folds, rng.normal(size=(20, 15))


def test_predictions_are_the_mean_of_scikit_learns_forests(study):
    X, Y, folds, new = study
    model = PSForest(12, grid=GRID, random_state=4).fit(X, Y, folds)
    for j in (0, 1):
        share = GRID["max_features"][model.point_[j]]
        forests = []
        for fold in range(3):
            rows = (folds != fold) & ~np.isnan(Y[:, j])
            drawn = round(0.3 * rows.sum())
            forest = RandomForestRegressor(
                12, min_samples_leaf=4, max_samples=drawn, max_features=share, random_state=4
            )
            forests.append(forest.fit(X[rows], Y[rows, j]).predict(new))
        np.testing.assert_allclose(model.predict(new)[j], np.mean(forests, axis=0), rtol=1e-12)
    assert set(model.point_) <= {0, 1}


def test_a_fold_without_labels_counts_as_a_forest_that_says_0(study):
    X, Y, folds, new = study
    each = PSForest(5, grid=GRID).fit(X, Y, folds).predict_folds(new)
    assert (each[1, :, 2] == 0).all() and (each[[0, 2], :, 2] != 0).all()
