"""What holds for every model, whatever it fits: one line in MODELS adds one."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from leaplib.base.errors import InputError
from leaplib.models.base import Training
from leaplib.models.knn import PSKNN
from leaplib.models.lasso import PSLasso
from leaplib.models.naive import shuffle_labels
from leaplib.models.networks import PPMlp, PPTdnn
from leaplib.models.ridge import DualRidge, SharedKernelRidge
from leaplib.models.tcrp import PSTcrp
from leaplib.models.trees import PPLgbm, PSForest, PSLgbm
from leaplib.models.tuning import Tuned

MODELS = {
    "PS-KNN": lambda: PSKNN(),
    "PS-LASSO": lambda: PSLasso(),
    "PS-RIDGE": lambda: DualRidge(),
    "LEAP+": lambda: SharedKernelRidge(grid={"penalty": [3.0, 1.0, 0.3]}),
    "PS-TCRP": lambda: PSTcrp(n_epochs=20, grid={"meta_rate": [2e-2], "inner_rate": [1e-3, 1e-2]}, device="cpu"),
    "PP-tDNN": lambda: PPTdnn(batch_size=128, max_epochs=12, learning_rate=1e-2, grid={"dropout": [0, 0.1]},
                              towers=[24, 16], joint=[16, 8], precision="float32", device="cpu"),
    "PP-MLP": lambda: PPMlp(max_epochs=8, grid={"learning_rate": [1e-2], "batch_size": [128, 256]}, hidden=[32, 16],
                            precision="float32", device="cpu"),
    "PS-LGBM": lambda: PSLgbm(25, num_leaves=15, grid={"learning_rate": [0.1], "feature_fraction": [0.5, 1.0]}),
    "PS-RF": lambda: PSForest(6, max_samples=0.8, grid={"max_features": [0.3, 1.0]}),
    "PP-LGBM": lambda: PPLgbm(40, num_leaves=40, n_jobs=1, grid={"learning_rate": [0.1, 0.2], "reg_alpha": [1.0]}),
}  # fmt: skip
"""Name -> a small instance of the model."""

pytestmark = pytest.mark.usefixtures("one_thread")
each_model = pytest.mark.parametrize("name", MODELS)
each_tuned = pytest.mark.parametrize("name", [name for name, make in MODELS.items() if isinstance(make(), Tuned)])


class Study:
    """120 training and 60 new samples of five tissues; labels are linear in the features, and in the
    fingerprints where these are asked for, with gaps."""

    def __init__(self, seed: int = 3, n: int = 180, p: int = 12, perturbations: int = 8, bits: int = 24):
        rng = np.random.default_rng(seed)
        samples = [f"line {i}" for i in range(n)]
        drugs = [f"drug {j}" for j in range(perturbations)]
        self.tissues = pd.Series(rng.choice(list("abcde"), n), index=samples)
        features = rng.normal(size=(n, p)) + 0.5 * rng.normal(size=(5, p))[pd.factorize(self.tissues)[0]]
        bits_of = (rng.random((perturbations, bits)) < 0.4).astype(float)
        weights = bits_of @ rng.normal(size=(bits, p)) / np.sqrt(bits)
        self.truth = pd.DataFrame(features @ weights.T / 2, index=samples, columns=drugs)
        labels = self.truth + rng.normal(scale=0.3, size=self.truth.shape)
        self.X = pd.DataFrame(features, index=samples)
        self.Y = labels.mask(rng.random(labels.shape) < 0.1)
        self.fingerprints = pd.DataFrame(bits_of, index=drugs)
        self.train, self.test = pd.Index(samples[:120]), pd.Index(samples[120:])
        self.folds = pd.Series(rng.permutation(np.arange(120) % 5), index=self.train)

    def fit(self, model, Y=None, folds=None):
        rows, labels = self.train, (self.Y if Y is None else Y).loc[self.train]
        folds = self.folds if folds is None else folds
        return model.fit(self.X.loc[rows], labels, folds, self.tissues.loc[rows], self.fingerprints)

    def predict(self, model):
        return model.predict(self.X.loc[self.test])

    def data(self, Y):
        """Return the training set as the fold models take it."""
        X, tissues = self.X.loc[self.train].to_numpy(), self.tissues[self.train].to_numpy()
        return Training(X, Y.loc[self.train].to_numpy(), tissues, self.fingerprints.to_numpy())

    def score(self, prediction):
        pairs = zip(self.truth.loc[self.test].to_numpy().T, prediction.to_numpy().T, strict=True)
        return np.mean([spearmanr(*pair).statistic for pair in pairs])


@pytest.fixture(scope="module")
def study():
    return Study()


@pytest.fixture(scope="module")
def fitted(study):
    """Each model, fitted when first asked for; `of_folds`: the models of each fold at all grid points."""

    @cache
    def fit(name):
        model = MODELS[name]()
        if isinstance(model, Tuned):
            fit_folds, model.of_folds = model._fit_folds, []
            model._fit_folds = lambda *of: model.of_folds.extend(fit_folds(*of)) or model.of_folds
        study.fit(model)
        vars(model).pop("_fit_folds", None)
        return model

    return fit


@each_model
def test_signal_is_recovered_and_shuffled_labels_score_nothing(name, study, fitted):
    prediction = study.predict(fitted(name))
    assert prediction.index.equals(study.test) and prediction.columns.equals(study.Y.columns)
    assert np.isfinite(prediction.to_numpy()).all() and study.score(prediction) > 0.6
    shuffled = study.score(study.predict(study.fit(MODELS[name](), shuffle_labels(study.Y, 0))))
    assert abs(np.nan_to_num(shuffled)) < 0.4


@each_model
def test_a_second_fit_is_equal_to_the_bit(name, study, fitted):
    before = study.predict(fitted(name))
    pd.testing.assert_frame_equal(study.predict(study.fit(fitted(name))), before, check_exact=True)


@each_model
def test_a_saved_model_predicts_the_same_to_the_bit_and_is_no_other(name, study, fitted, tmp_path):
    model = fitted(name)
    again = type(model).load(model.save(tmp_path / "model"))
    pd.testing.assert_frame_equal(study.predict(again), study.predict(model), check_exact=True)
    assert again.get_params() == model.get_params()
    other = PSKNN if not isinstance(model, PSKNN) else PSLasso
    with pytest.raises(InputError, match=f"holds a {type(model).__name__}"):
        other.load(tmp_path / "model")
    with pytest.raises(InputError, match="not a saved model"):
        type(model).load(tmp_path / "nothing")


@each_model
def test_some_perturbations_can_be_asked_for_of_samples_in_any_order(name, study, fitted):
    model, wanted, new = fitted(name), ["drug 7", "drug 2"], study.X.loc[study.test]
    pd.testing.assert_frame_equal(model.predict(new, wanted), study.predict(model)[wanted], check_exact=True)
    np.testing.assert_allclose(model.predict(new[::-1]).loc[study.test], study.predict(model), rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="'drug 99' was not among those that the model was fitted on"):
        model.predict(new, ["drug 1", "drug 99"])


@each_tuned
def test_a_fold_model_never_sees_its_held_out_fold(name, study, fitted):
    """Absurd labels in one fold leave the model that holds this fold out as it is."""
    samples, poisoned, first = study.train[study.folds.to_numpy() == 2], study.Y.copy(), fitted(name).of_folds
    poisoned.loc[samples] = poisoned.loc[samples] * -1e3 + 17
    second = MODELS[name]()._fit_folds(study.data(poisoned), study.folds.to_numpy())
    new = study.X.loc[study.test].to_numpy()
    if name != "PS-LASSO":  # its penalties are those of the whole training set
        np.testing.assert_array_equal(first[2].predict(new), second[2].predict(new))
    assert not np.array_equal(first[1].predict(new), second[1].predict(new))


@each_tuned
def test_the_prediction_is_the_mean_of_the_fold_models_at_the_best_point(name, study, fitted):
    model, models, data = fitted(name), fitted(name).of_folds, study.data(study.Y)
    folds, new = study.folds.to_numpy(), study.X.loc[study.test].to_numpy()
    held = [(data.X[folds == k], data.Y[folds == k]) for k in range(5)]
    scores = np.array([[[correlation(Y[:, j], grid[:, j]) for j in range(Y.shape[1])] for grid in fold.predict(X)]
                       for fold, (X, Y) in zip(models, held, strict=True)]).mean(axis=0)  # fmt: skip
    overall = np.full(scores.shape[1], scores.mean(axis=1).argmax())
    best = overall if model.pan_perturbation else scores.argmax(axis=0)
    np.testing.assert_array_equal(model.point_, best)
    np.testing.assert_allclose(model.cv_score_, scores[best, np.arange(len(best))], atol=1e-9)
    mean = np.mean([fold.predict(new) for fold in models], axis=0)[best, :, np.arange(len(best))].T
    np.testing.assert_allclose(study.predict(model), mean, rtol=1e-6, atol=1e-8)


def correlation(truth, prediction):
    measured = ~np.isnan(truth)
    return 0.0 if np.ptp(prediction[measured]) == 0 else spearmanr(truth[measured], prediction[measured]).statistic


@each_tuned
def test_one_model_fitted_on_all_samples_predicts_where_it_is_asked_for(name, study, fitted, tmp_path):
    """It is tuned on the models of the folds, which are those of the ensemble."""
    model, folds = MODELS[name]().set_params(ensemble="refit"), fitted(name)
    fit_folds = model._fit_folds
    model._fit_folds = lambda data, of: folds.of_folds if of.max() > 0 else fit_folds(data, of)
    study.fit(model)
    prediction = study.predict(model)
    np.testing.assert_array_equal(model.point_, folds.point_)
    np.testing.assert_array_equal(model.cv_score_, folds.cv_score_)
    [whole] = MODELS[name]()._fit_folds(study.data(study.Y), np.full(len(study.train), -1))
    new = study.X.loc[study.test].to_numpy()
    expected = whole.predict(new)[model.point_, :, np.arange(len(model.point_))].T
    np.testing.assert_allclose(prediction, expected, rtol=1e-5, atol=1e-6)
    assert not np.allclose(prediction, study.predict(folds), atol=1e-3)
    again = type(model).load(model.save(tmp_path))
    pd.testing.assert_frame_equal(study.predict(again), prediction, check_exact=True)


def test_an_ensemble_of_another_kind_is_refused(study):
    with pytest.raises(InputError, match="ensemble must be 'folds' or 'refit', not 'mean'"):
        study.fit(PSLasso(ensemble="mean"))


@pytest.mark.parametrize("name", ["PS-LASSO", "PS-RIDGE", "PP-LGBM"])
def test_more_folds_than_five_some_of_one_or_two_samples(name, study, tmp_path):
    """A fold without a usable score counts in the prediction, but not in the choice of the grid point."""
    folds = study.folds.copy()
    folds.iloc[:4] = [5, 6, 6, 11]
    folds.iloc[4:40] = np.arange(36) % 4 + 7
    model = study.fit(MODELS[name](), folds=folds)
    assert [len(models) for models in model.parts_] == [12] and np.isfinite(model.cv_score_).all()
    assert study.score(study.predict(model)) > 0.5
    again = type(model).load(model.save(tmp_path))
    pd.testing.assert_frame_equal(study.predict(again), study.predict(model), check_exact=True)
