import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import KNeighborsRegressor

from leaplib.base.errors import InputError
from leaplib.models.knn import PSKNN
from leaplib.models.naive import MeanEffects, TissueMean, TrainingMean, shuffle_labels

SAMPLES = pd.DataFrame({"tissue": ["Lung", "Lung", "Skin", "Skin"]}, index=list("abcd"))
LABELS = pd.DataFrame({"x": [1.0, 3.0, 5.0, np.nan], "y": [np.nan, np.nan, 2.0, 4.0]}, index=list("abcd"))


def test_training_mean_leaves_missing_labels_out():
    predicted = TrainingMean().fit(SAMPLES, LABELS).predict(SAMPLES.iloc[:2])
    assert predicted.to_numpy().tolist() == [[3.0, 3.0], [3.0, 3.0]]


def test_tissue_mean_falls_back_on_the_training_mean():
    new = pd.DataFrame({"tissue": ["Lung", "Skin", "Bone"]}, index=list("pqr"))
    predicted = TissueMean().fit(SAMPLES, LABELS).predict(new)
    assert predicted.loc["p"].tolist() == [2.0, 3.0]  # no label of y in lung
    assert predicted.loc["q"].tolist() == [5.0, 3.0]
    assert predicted.loc["r"].tolist() == [3.0, 3.0]  # an unseen tissue


def test_mean_effects_add_the_lines_own_effect_else_its_tissues_else_none():
    new = pd.DataFrame({"tissue": ["Lung", "Skin", "Bone", "Skin"]}, index=["a", "p", "q", "r"])
    labels = LABELS.assign(z=[0.0, 4.0, 2.0, 2.0])
    predicted = MeanEffects().fit(SAMPLES, labels).predict(new)
    lines = {"a": (-2 - 2) / 2, "b": (0 + 2) / 2, "c": (2 - 1 + 0) / 3, "d": (1 + 0) / 2}  # above means of 3, 3 and 2
    effects = [lines["a"], (lines["c"] + lines["d"]) / 2, 0, (lines["c"] + lines["d"]) / 2]
    np.testing.assert_allclose(predicted, np.add.outer(effects, [3.0, 3.0, 2.0]))
    assert predicted.index.equals(new.index) and predicted.columns.equals(labels.columns)


def test_shuffling_keeps_values_and_gaps_but_cuts_the_link(rng):
    values = rng.normal(size=(300, 3))
    values[::4, 1] = np.nan
    labels = pd.DataFrame(values)
    shuffled = shuffle_labels(labels, seed=1)
    assert shuffled.isna().equals(labels.isna())
    for column in labels:
        assert np.array_equal(np.sort(shuffled[column].dropna()), np.sort(labels[column].dropna()))
        assert abs(shuffled[column].corr(labels[column])) < 0.2
    assert shuffle_labels(labels, seed=1).equals(shuffled)
    assert not shuffle_labels(labels, seed=2).equals(shuffled)
    assert np.isnan(labels.iloc[0, 1])  # the input stays as it was


def test_equals_scikit_learn_on_each_perturbations_own_lines(rng):
    train, new = rng.normal(size=(60, 7)), rng.normal(size=(9, 7))
    labels = np.where(rng.random((60, 5)) < 0.3, np.nan, rng.normal(size=(60, 5)))
    predicted = PSKNN().fit(train, labels).predict(new).to_numpy()
    for column in range(5):
        measured = ~np.isnan(labels[:, column])
        reference = KNeighborsRegressor(5).fit(train[measured], labels[measured, column])
        np.testing.assert_allclose(predicted[:, column], reference.predict(new), rtol=1e-12)


def test_with_fewer_labels_than_neighbours_all_are_averaged():
    labels = np.array([[1.0], [3.0], [np.nan], [np.nan]])
    assert PSKNN().fit(np.arange(4.0)[:, None], labels).predict(np.array([[0.0]])).iloc[0, 0] == 2.0


def test_frames_keep_their_names_and_bad_tables_are_refused():
    x = pd.DataFrame(np.arange(6.0).reshape(3, 2), index=list("abc"))
    y = pd.DataFrame({"drug": [1.0, 2.0, 3.0]}, index=list("abc"))
    predicted = PSKNN(1).fit(x, y).predict(x.rename(index=str.upper))
    assert predicted.index.tolist() == list("ABC")
    assert predicted["drug"].tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(InputError, match="align"):
        PSKNN().fit(x, y.iloc[::-1])
    with pytest.raises(InputError, match="2 rows of labels for 3"):
        PSKNN().fit(x, y.to_numpy()[:2])
    with pytest.raises(InputError, match="'drug' has no measured label"):
        PSKNN().fit(x, y * np.nan)
    with pytest.raises(InputError, match="sample 'b'"):
        PSKNN().fit(x.mask(x == 3), y)
    with pytest.raises(InputError, match="1 columns, but the model was fitted on 2"):
        PSKNN().fit(x, y).predict(x.iloc[:, :1])
    with pytest.raises(InputError, match="infinite label of sample 'a'"):
        PSKNN().fit(x, y.replace(1.0, np.inf))
