import numpy as np
import pandas as pd

from leaplib.models.naive import TissueMean, TrainingMean, shuffle_labels

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
