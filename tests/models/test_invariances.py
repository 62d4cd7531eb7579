"""What must not matter, or in a known way: the order of samples and perturbations, the labels' origin and unit.

Which models it holds for, and why not for the others:

- Order of perturbations: the PS models, which fit each perturbation for itself, but PS-TCRP, which draws the initial
  weights of all perturbations from one stream. PP models see the fingerprints' principal components, whose rounding
  depends on the order, and the networks among them draw pairs in their order.
- Order of samples (folds alike): PS-KNN, PS-LASSO and so LEAP's average; the means; PS-LGBM up to the rounding of
  histogram sums. PS-TCRP and the networks draw samples by position.
- A constant added to the labels: all but PP-MLP, whose loss does not see location or scale; its output stays as it is.
- Labels times a positive factor: as before, but for the boosted trees, whose L1 penalty is in units of the labels:
  they scale without it.
"""

import numpy as np
import pandas as pd
import pytest

from leaplib.cohorts.splits import Split
from leaplib.models.base import average
from leaplib.models.knn import PSKNN
from leaplib.models.lasso import PSLasso
from leaplib.models.naive import MeanEffects, TissueMean, TrainingMean
from leaplib.models.networks import PPMlp, PPTdnn
from leaplib.models.ridge import DualRidge, SharedKernelRidge
from leaplib.models.tcrp import PSTcrp  # fmt: skip
from leaplib.models.trees import PPLgbm, PSForest, PSLgbm
from leaplib.runs.engine import score_split

pytestmark = pytest.mark.usefixtures("one_thread")
N, P, L = 60, 6, 5


class Means:
    """The controls, called like the models."""

    def __init__(self, model):
        self.model = model

    def fit(self, X, Y, folds, groups, fingerprints):
        self.groups = groups
        self.model.fit(pd.DataFrame({"tissue": groups}), Y)
        return self

    def predict(self, X):
        return self.model.predict(pd.DataFrame({"tissue": np.resize(["a", "b", "new"], len(X))}, index=X.index))


class Averaged:
    """LEAP on two given representations: PS-LASSO on each, averaged."""

    def fit(self, X, Y, folds, groups, fingerprints):
        self.members = [PSLasso().fit(part, Y, folds) for part in (X.iloc[:, :4], X.iloc[:, 2:])]
        return self

    def predict(self, X):
        parts = (X.iloc[:, :4], X.iloc[:, 2:])
        return average([model.predict(part) for model, part in zip(self.members, parts, strict=True)])


def lgbm(**settings):
    return PSLgbm(20, grid={"learning_rate": [0.1], "feature_fraction": [0.5, 1.0]}, n_jobs=1, **settings)


MODELS = {
    "Training mean": lambda: Means(TrainingMean()),
    "Tissue mean": lambda: Means(TissueMean()),
    "Mean effects": lambda: Means(MeanEffects()),
    "PS-KNN": lambda: PSKNN(),
    "PS-LASSO": lambda: PSLasso(),
    "LEAP": Averaged,
    "PS-RIDGE": lambda: DualRidge(),
    "LEAP+": lambda: SharedKernelRidge(),
    "PS-LGBM": lgbm,
    "PS-RF": lambda: PSForest(5, 0.8, {"max_features": [0.5]}),
    "PS-LGBM without L1": lambda: lgbm(reg_alpha=0.0),
    "PP-LGBM": lambda: PPLgbm(20, grid={"learning_rate": [0.1], "reg_alpha": [1.0]}, n_jobs=1),
    "PP-LGBM without L1": lambda: PPLgbm(20, grid={"learning_rate": [0.1], "reg_alpha": [0.0]}, n_jobs=1),
    "PP-tDNN": lambda: PPTdnn(max_epochs=5, learning_rate=1e-2, grid={"dropout": [0, 0.1]}, towers=[8, 4], joint=[4],
                              precision="float32", device="cpu"),
    "PP-MLP": lambda: PPMlp(max_epochs=5, grid={"learning_rate": [1e-2], "batch_size": [128]}, hidden=[8, 4],
                            precision="float32", device="cpu"),
    "PS-TCRP": lambda: PSTcrp(4, 6, n_shots=4, grid={"meta_rate": [1e-2], "inner_rate": [1e-3]}, device="cpu"),
}  # fmt: skip


def study(seed: int = 0):
    """Labels that are linear in the features, a tenth missing, and 20 new samples."""
    rng = np.random.default_rng(seed)
    samples, drugs = [f"line {i}" for i in range(N)], [f"drug {j}" for j in range(L)]
    X = pd.DataFrame(rng.normal(size=(N, P)), index=samples, columns=list("ABCDEF"))
    Y = pd.DataFrame(X.to_numpy() @ rng.normal(size=(P, L)) + rng.normal(size=(N, L)), index=samples, columns=drugs)
    parts = np.arange(N) % 5, rng.choice(["a", "b"], N), pd.DataFrame(rng.random((L, 9)) < 0.5, index=drugs)
    new = pd.DataFrame(rng.normal(size=(20, P)), index=[f"new {i}" for i in range(20)], columns=list("ABCDEF"))
    return X, Y.mask(rng.random(Y.shape) < 0.1), *parts, new


@pytest.fixture(scope="module")
def predictions():
    """Prediction of each model, made when first asked for."""
    made: dict[str, pd.DataFrame] = {}

    def get(name: str) -> pd.DataFrame:
        if name not in made:
            *training, new = study()
            made[name] = MODELS[name]().fit(*training).predict(new)
        return made[name]

    return get


def close(found: pd.DataFrame, expected: pd.DataFrame, tolerance: float) -> None:
    assert found.index.equals(expected.index)
    scale = expected.to_numpy().std() + 1e-12
    assert np.abs(found[expected.columns] - expected).to_numpy().max() <= tolerance * scale


@pytest.mark.parametrize(("name", "tolerance"), [
    ("Training mean", 0), ("Tissue mean", 0), ("Mean effects", 1e-12), ("PS-KNN", 0), ("PS-LASSO", 1e-5),
    ("LEAP", 1e-5), ("PS-LGBM", 0), ("PS-RF", 0), ("PS-RIDGE", 1e-10), ("LEAP+", 1e-6),
])  # fmt: skip
def test_the_order_of_perturbations(name, tolerance, predictions) -> None:
    X, Y, folds, groups, bits, new = study()
    order = np.random.default_rng(1).permutation(L)
    found = MODELS[name]().fit(X, Y.iloc[:, order], folds, groups, bits).predict(new)
    assert found.columns.equals(Y.columns[order])
    close(found, predictions(name), tolerance)


@pytest.mark.parametrize(("name", "tolerance"), [
    ("Training mean", 1e-12), ("Tissue mean", 1e-12), ("Mean effects", 1e-12), ("PS-KNN", 1e-12), ("PS-LASSO", 1e-4),
    ("LEAP", 1e-4), ("PS-LGBM", 1e-5), ("PS-RIDGE", 1e-8), ("LEAP+", 1e-6),
])  # fmt: skip
def test_the_order_of_samples(name, tolerance, predictions) -> None:
    X, Y, folds, groups, bits, new = study()
    order = np.random.default_rng(1).permutation(N)
    found = MODELS[name]().fit(X.iloc[order], Y.iloc[order], folds[order], groups[order], bits).predict(new)
    close(found, predictions(name), tolerance)


@pytest.mark.parametrize(("name", "tolerance"), [
    ("Training mean", 1e-12), ("Tissue mean", 1e-12), ("Mean effects", 1e-12), ("PS-KNN", 1e-12), ("PS-LASSO", 1e-4),
    ("LEAP", 1e-4), ("PP-tDNN", 1e-3), ("PS-TCRP", 1e-3), ("PS-RIDGE", 1e-8), ("LEAP+", 1e-6),
])  # fmt: skip
def test_a_constant_added_to_the_labels(name, tolerance, predictions) -> None:
    X, Y, folds, groups, bits, new = study()
    found = MODELS[name]().fit(X, Y + 8, folds, groups, bits).predict(new)
    close(found - 8, predictions(name), tolerance)


@pytest.mark.parametrize("name", ["PS-LGBM", "PP-LGBM"])
def test_a_constant_added_to_the_labels_of_trees(name, predictions) -> None:
    """LightGBM rounds labels to single precision, so that of two splits that are all but equal the other may win."""
    X, Y, folds, groups, bits, new = study()
    found = MODELS[name]().fit(X, Y + 8, folds, groups, bits).predict(new) - 8
    apart = np.abs(found - predictions(name)).to_numpy() / predictions(name).to_numpy().std()
    assert np.median(apart) < 1e-4 and apart.max() < 0.1


@pytest.mark.parametrize(("name", "tolerance"), [
    ("Training mean", 1e-12), ("Tissue mean", 1e-12), ("Mean effects", 1e-12), ("PS-KNN", 1e-12), ("PS-LASSO", 1e-4),
    ("LEAP", 1e-4), ("PS-LGBM without L1", 1e-5), ("PP-LGBM without L1", 1e-5), ("PP-tDNN", 1e-3), ("PS-TCRP", 1e-3),
    ("PS-RF", 1e-12), ("PS-RIDGE", 1e-8), ("LEAP+", 1e-6),
])  # fmt: skip
def test_labels_in_another_unit(name, tolerance, predictions) -> None:
    X, Y, folds, groups, bits, new = study()
    found = MODELS[name]().fit(X, Y * 4, folds, groups, bits).predict(new)
    close(found / 4, predictions(name), tolerance)


def test_pp_mlp_sees_neither_origin_nor_unit_of_the_labels(predictions) -> None:
    """Its output's own origin, which the loss does not see either, is left to rounding."""
    X, Y, folds, groups, bits, new = study()
    found, expected = MODELS["PP-MLP"]().fit(X, 4 * Y + 2, folds, groups, bits).predict(new), predictions("PP-MLP")
    close(found - found.to_numpy().mean(), expected - expected.to_numpy().mean(), 1e-3)


@pytest.mark.parametrize("name", ["PS-KNN", "PS-LASSO", "PS-LGBM"])
def test_other_perturbations_do_not_matter(name, predictions) -> None:
    """What a PS model predicts for one perturbation is the same whichever others there are, one twice included."""
    X, Y, folds, groups, _bits, new = study()
    alone = MODELS[name]().fit(X, Y[["drug 2"]], folds, groups).predict(new)
    close(alone, predictions(name)[["drug 2"]], 1e-5)
    more = Y.assign(copy=Y["drug 0"], other=Y["drug 1"] * 100 - 7)
    close(MODELS[name]().fit(X, more, folds, groups).predict(new)[Y.columns], predictions(name), 1e-5)


def test_scores_of_test_sets_do_not_depend_on_the_order() -> None:
    rng = np.random.default_rng(0)
    names = [f"line {i}" for i in range(9)], [f"drug {j}" for j in range(4)]
    truth, prediction = (pd.DataFrame(rng.integers(-3, 4, (9, 4)).astype(float), *names) for _ in range(2))  # with ties
    truth = truth.mask(rng.random((9, 4)) < 0.2)
    folds, rows, columns = pd.Series(0, index=["training"]), rng.permutation(9), rng.permutation(4)
    held = tuple(truth.index[[i]] for i in range(8))
    split, again = (Split("tissue", folds.index, lines, folds, held) for lines in (truth.index, truth.index[rows]))
    keys = ["level", "perturbation", "test_set", "metric"]
    expected = score_split(truth, prediction, split).set_index(keys).sort_index()
    found = score_split(truth.iloc[rows, columns], prediction.iloc[rows], again).set_index(keys).sort_index()
    pd.testing.assert_frame_equal(found[expected.columns], expected, atol=1e-9, rtol=1e-9)
