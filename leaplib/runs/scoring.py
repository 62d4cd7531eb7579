"""Scores of predictions on the test sets of a split."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from leaplib.base.metrics import OVERALL, metrics_of, score
from leaplib.cohorts.splits import XENOGRAFTS, Split

SCORE_COLUMNS = ["level", "perturbation", "test_set", "metric", "value"]
UNPREPARED = "not prepared"
"""Split of a task whose data could not be prepared: all its models are missing there."""
CELLS_AT_ONCE = 2**22  # labels of the test sets that are scored together: bounds the memory, to some 0.5 GB


def score_split(truth: pd.DataFrame, prediction: pd.DataFrame, split: Split, label: str = "AAC") -> pd.DataFrame:
    """Score predictions on a split's test sets; the label tells which samples respond.

    Returns
    -------
    DataFrame
        Columns level, perturbation, test_set, metric, value. Rows with a perturbation hold its score over
        all test samples (test_set -1) and, on xenografts, over each test set; rows without hold the mean over
        perturbations (level per_perturbation) or the score over all pairs (overall; no AUROC) of each test set. On
        xenografts truth and prediction have different units, and there is no MSE. A perturbation without any
        prediction, whose own model failed, has no score.
    """
    truth = _with_prediction(truth, prediction)
    single = score(truth, prediction, label).assign(level="per_perturbation", test_set=-1)
    test_sets = split.test_sets()
    positions = np.array([truth.index.get_indexer(samples) for samples in test_sets])
    at_once = max(1, CELLS_AT_ONCE // max(1, positions.shape[1] * truth.shape[1]))
    observed, predicted = truth.to_numpy(), prediction.loc[truth.index, truth.columns].to_numpy()
    parts = [_score_test_sets(observed, predicted, positions[start : start + at_once], label)
             for start in range(0, len(positions), at_once)]  # fmt: skip
    means = pd.concat(parts, ignore_index=True)
    means["test_set"] = means.groupby(["level", "metric"]).cumcount()
    each = {number: score(truth.loc[samples], prediction.loc[samples], label)
            for number, samples in enumerate(test_sets) if split.name == XENOGRAFTS}  # fmt: skip
    return _joined(single, each, means.assign(perturbation=""))


def score_few_shot(truth: pd.DataFrame, prediction: pd.DataFrame, split: Split, label: str = "AAC") -> pd.DataFrame:
    """Score predictions that differ from test set to test set (index: test_set, sample).

    Returns
    -------
    DataFrame
        As `score_split`; a perturbation's score is its mean over the test sets.
    """
    truth = _with_prediction(truth, prediction)
    singles, means = {}, []
    for number in prediction.index.unique("test_set"):
        part = prediction.loc[number]
        singles[number] = score(truth.loc[part.index], part, label)
        rows = np.arange(len(part))[None]
        observed = truth.loc[part.index, part.columns].to_numpy()
        scores = _score_test_sets(observed, part.to_numpy(), rows, label)
        means.append(scores.assign(test_set=number, perturbation=""))
    single = pd.concat(singles).groupby(["perturbation", "metric"], sort=False)["value"].mean().reset_index()
    single = single.assign(level="per_perturbation", test_set=-1)
    return _joined(single, singles if split.name == XENOGRAFTS else {}, pd.concat(means))


def without_prediction(prediction: pd.DataFrame) -> list[str]:
    """Return the perturbations that have no prediction at all: their own models failed."""
    return list(prediction.columns[prediction.isna().all()])


def _with_prediction(truth: pd.DataFrame, prediction: pd.DataFrame) -> pd.DataFrame:
    """Take out of the truth the perturbations that have no prediction at all."""
    failed = truth.columns.isin(without_prediction(prediction))
    values = truth.to_numpy(copy=True)  # in the same order in memory: the sums of the others stay the same to the bit
    values[:, failed] = np.nan
    return pd.DataFrame(values, truth.index, truth.columns) if failed.any() else truth


def _joined(single: pd.DataFrame, each: Mapping[int, pd.DataFrame], means: pd.DataFrame) -> pd.DataFrame:
    """Put together scores of perturbations, of perturbations in each test set (xenografts alone), and means."""
    parts = [part.assign(level="per_perturbation", test_set=number) for number, part in each.items()]
    frame = pd.concat([single, *parts, means], ignore_index=True)[SCORE_COLUMNS]
    return frame[frame["metric"] != "mse"].reset_index(drop=True) if each else frame


def _score_test_sets(truth: np.ndarray, prediction: np.ndarray, positions: np.ndarray, label: str) -> pd.DataFrame:
    """Score several test sets at once; `positions` holds the rows of one test set in each of its rows."""
    part, predicted = truth[positions], prediction[positions]
    pairs, predicted_pairs = (values.reshape(len(positions), -1, 1) for values in (part, predicted))
    frames = []
    for name, metric in metrics_of(label).items():
        per_perturbation = metric(part, predicted)
        usable = ~np.isnan(per_perturbation)
        mean = np.where(usable, per_perturbation, 0).sum(axis=1) / np.where(
            usable.any(axis=1), usable.sum(axis=1), np.nan
        )
        frames.append(pd.DataFrame({"level": "per_perturbation", "metric": name, "value": mean}))
        if name in OVERALL:
            values = metric(pairs, predicted_pairs)[:, 0]
            frames.append(pd.DataFrame({"level": "overall", "metric": name, "value": values}))
    return pd.concat(frames, ignore_index=True)
