"""Scores: made from predictions, saved, loaded and brought to one value a split or a perturbation."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from leaplib.errors import InputError
from leaplib.layout import Layout
from leaplib.metrics import METRICS, score
from leaplib.profiles import Profile
from leaplib.splits import XENOGRAFTS, Split
from leaplib.store import load_frame, provenance
from leaplib.tasks import TASKS

SCORE_COLUMNS = ["level", "perturbation", "test_set", "metric", "value"]
CELLS_AT_ONCE = 2**22  # labels of the test sets that are scored together: bounds the memory, to some 0.5 GB


def score_split(truth: pd.DataFrame, prediction: pd.DataFrame, split: Split) -> pd.DataFrame:
    """Score predictions on a split's test sets.

    Returns
    -------
    DataFrame
        Columns level, perturbation, test_set, metric, value. Rows with a perturbation hold its score over
        all test samples (test_set -1) and, on xenografts, over each test set; rows without hold the mean over
        perturbations (level per_perturbation) or the score over all pairs (overall) of each test set. On
        xenografts truth and prediction have different units, and there is no MSE.
    """
    single = score(truth, prediction).assign(level="per_perturbation", test_set=-1)
    test_sets = split.test_sets()
    positions = np.array([truth.index.get_indexer(samples) for samples in test_sets])
    at_once = max(1, CELLS_AT_ONCE // max(1, positions.shape[1] * truth.shape[1]))
    observed, predicted = truth.to_numpy(), prediction.loc[truth.index, truth.columns].to_numpy()
    parts = [_score_test_sets(observed, predicted, positions[start : start + at_once])
             for start in range(0, len(positions), at_once)]  # fmt: skip
    means = pd.concat(parts, ignore_index=True)
    means["test_set"] = means.groupby(["level", "metric"]).cumcount()
    each = {number: score(truth.loc[samples], prediction.loc[samples])
            for number, samples in enumerate(test_sets) if split.name == XENOGRAFTS}  # fmt: skip
    return _joined(single, each, means.assign(perturbation=""))


def score_few_shot(truth: pd.DataFrame, prediction: pd.DataFrame, split: Split) -> pd.DataFrame:
    """Score predictions that differ from test set to test set (index: test_set, sample).

    Returns
    -------
    DataFrame
        As `score_split`; a perturbation's score is its mean over the test sets.
    """
    singles, means = {}, []
    for number in prediction.index.unique("test_set"):
        part = prediction.loc[number]
        singles[number] = score(truth.loc[part.index], part)
        rows = np.arange(len(part))[None]
        observed = truth.loc[part.index, part.columns].to_numpy()
        means.append(_score_test_sets(observed, part.to_numpy(), rows).assign(test_set=number, perturbation=""))
    single = pd.concat(singles).groupby(["perturbation", "metric"], sort=False)["value"].mean().reset_index()
    single = single.assign(level="per_perturbation", test_set=-1)
    return _joined(single, singles if split.name == XENOGRAFTS else {}, pd.concat(means))


def _joined(single: pd.DataFrame, each: Mapping[int, pd.DataFrame], means: pd.DataFrame) -> pd.DataFrame:
    """Put together scores of perturbations, of perturbations in each test set (xenografts alone), and means."""
    parts = [part.assign(level="per_perturbation", test_set=number) for number, part in each.items()]
    frame = pd.concat([single, *parts, means], ignore_index=True)[SCORE_COLUMNS]
    return frame[frame["metric"] != "mse"].reset_index(drop=True) if each else frame


def _score_test_sets(truth: np.ndarray, prediction: np.ndarray, positions: np.ndarray) -> pd.DataFrame:
    """Score several test sets at once; `positions` holds the rows of one test set in each of its rows."""
    part, predicted = truth[positions], prediction[positions]
    pairs, predicted_pairs = (values.reshape(len(positions), -1, 1) for values in (part, predicted))
    frames = []
    for name, metric in METRICS.items():
        per_perturbation = metric(part, predicted)
        usable = ~np.isnan(per_perturbation)
        mean = np.where(usable, per_perturbation, 0).sum(axis=1) / np.where(
            usable.any(axis=1), usable.sum(axis=1), np.nan
        )
        for level, values in (("per_perturbation", mean), ("overall", metric(pairs, predicted_pairs)[:, 0])):
            frames.append(pd.DataFrame({"level": level, "metric": name, "value": values}))
    return pd.concat(frames, ignore_index=True)


def load_scores(profile: Profile | str, tasks: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the saved scores of a profile.

    Parameters
    ----------
    profile : Profile or str
    tasks : sequence of str, optional
        By default all of the paper that have results.

    Returns
    -------
    DataFrame
        Columns task, model, member (number of the representation, -1 where it does not apply), split, level,
        perturbation, test_set, metric, value, data (real or simulated).

    Raises
    ------
    InputError
        When there is no result: it says which command makes one.
    """
    name = profile if isinstance(profile, str) else profile.name
    parts = []
    for configuration in current_results(name, tasks):
        path = Layout(name).scores(configuration["task"]["id"], configuration["split"], configuration["model"])
        parts.append(named(load_frame(path), configuration))
    return pd.concat(parts, ignore_index=True)


def current_results(profile: str, tasks: Sequence[str] | None = None) -> list[dict]:
    """Return the configurations of saved results, without those of an earlier cohort, representation or version.

    Of each task the newest file tells what is current.

    Parameters
    ----------
    profile : str
    tasks : sequence of str, optional
        By default all of the paper that have results.

    Raises
    ------
    InputError
        As `load_scores`.
    """
    folder = Layout(profile).results / "scores"
    files = sorted(path for task in (tasks or TASKS) for path in folder.glob(f"{task}/*/*.parquet"))
    if not files:
        wanted = f"task {', '.join(tasks)}" if tasks else "any task"
        raise InputError(f"no results of {wanted} in {folder}: run `leap run --profile {profile}` first")
    newest: dict[str, dict] = {}
    found = []
    for path in sorted(files, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        recorded = provenance(path)
        if recorded is None:
            raise InputError(f"{path}: cannot be read: delete it and run `leap run` again")
        configuration = recorded["configuration"]
        kept = newest.setdefault(configuration["task"]["id"], {})
        identity = {key: configuration[key] for key in ("cohort", "version", "representations") if configuration[key]}
        if all(kept.setdefault(key, value) == value for key, value in identity.items()):
            found.append((str(path), configuration))
    return [configuration for _, configuration in sorted(found, key=lambda pair: pair[0])]


def named(scores: pd.DataFrame, configuration: Mapping[str, Any]) -> pd.DataFrame:
    """Say of which task, model and split scores are."""
    model, number = configuration["model"], -1
    if member := re.fullmatch(r"(.+) r(\d+)", model):
        model, number = member[1], int(member[2])
    frame = scores.assign(task=configuration["task"]["id"], model=model, split=configuration["split"],
                          member=number, data=configuration["data"])  # fmt: skip
    return frame[["task", "model", "member", "split", "level", "perturbation", "test_set", "metric", "value", "data"]]


def load_predictions(profile: Profile | str, task: str, split: str, model: str) -> pd.DataFrame:
    """Return the saved predictions of a model on a split, samples x perturbations."""
    name = profile if isinstance(profile, str) else profile.name
    return load_frame(Layout(name).prediction(task, split, model))


def split_values(scores: pd.DataFrame, level: str | None = None, metric: str | None = None) -> pd.DataFrame:
    """Return one value a split: the mean over its test sets of the mean over perturbations.

    On xenografts there is one split, and each of its test sets counts as one: "subset 0" ....

    Parameters
    ----------
    scores : DataFrame
        As `load_scores`.
    level, metric : str, optional
        Only these; all by default.

    Returns
    -------
    DataFrame
        task, model, member, level, metric, split, data, value.
    """
    rows = scores[scores["perturbation"] == ""]
    rows = rows if level is None else rows[rows["level"] == level]
    rows = rows if metric is None else rows[rows["metric"] == metric]
    subsets = "subset " + rows["test_set"].astype(str)
    rows = rows.assign(split=rows["split"].where(rows["split"] != XENOGRAFTS, subsets))
    keys = ["task", "model", "member", "level", "metric", "split", "data"]
    return rows.groupby(keys, sort=False)["value"].mean().reset_index()


def perturbation_values(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return one value a perturbation: the mean over splits, all test samples of each.

    Returns
    -------
    DataFrame
        task, model, member, perturbation, data, value.
    """
    rows = scores[(scores["perturbation"] != "") & (scores["test_set"] == -1) & (scores["metric"] == metric)]
    keys = ["task", "model", "member", "perturbation", "data"]
    return rows.groupby(keys, sort=False)["value"].mean().reset_index()


def models_only(values: pd.DataFrame) -> pd.DataFrame:
    """Leave out the members of LEAP but the first, which stands for PS-LASSO."""
    return values[values["member"] <= 0]
