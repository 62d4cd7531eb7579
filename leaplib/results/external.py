"""External validation: predictions of unseen lines against a study that no model was trained on.

The paper (Results, "LEAP outperforms...", supplementary figure 3) holds predictions and the training studies' own
measurements against PRISM: two studies agree only so far, which bounds what a model can reach. Split by split the
pairs of the training set are left out, and models and measurements are scored on the same pairs.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from leaplib import __version__
from leaplib.base.errors import InputError
from leaplib.base.layout import Layout
from leaplib.base.metrics import score
from leaplib.base.store import load_frame, save_frame
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.prepare import drug_screen, load_cohort, load_external, load_task_splits
from leaplib.cohorts.splits import Split
from leaplib.profiles import Profile, get_profile
from leaplib.results.scores import current_results, gaps_of, load_scores, named
from leaplib.runs.scoring import UNPREPARED, score_split
from leaplib.tasks import MIN_EXTERNAL, TASKS, Task

SUFFIX = " external"
REPRODUCIBILITY = "Label reproducibility"


def unseen_pairs(external: pd.DataFrame, cohort: Cohort, split: Split) -> pd.DataFrame:
    """Return what the external study measured of a split's test lines, where the training studies did too.

    Parameters
    ----------
    external : DataFrame, lines x drugs
        As `leaplib.cohorts.prepare.load_external` returns it.
    cohort : Cohort
    split : Split

    Returns
    -------
    DataFrame, test lines x drugs
        NaN where not measured by both; drugs with fewer than 15 such lines are left out.
    """
    lines = split.test[split.test.isin(external.index)]
    shared = external.loc[lines].where(cohort.response.loc[lines, external.columns].notna())
    return shared.loc[:, shared.notna().sum() >= MIN_EXTERNAL]


def external_scores(profile: Profile, task: Task) -> pd.DataFrame:
    """Return the scores of a task's saved predictions against the external study, and save them.

    Parameters
    ----------
    profile : Profile
    task : Task
        One with results and an external study, such as 2a.

    Returns
    -------
    DataFrame
        As `leaplib.results.scores.load_scores`, of the task "2a external". The model "Label reproducibility" is the
        training studies' own measurement.

    Raises
    ------
    InputError
        When there is no external study, no result, or no drug with 15 unseen lines.
    """
    cohort = load_cohort(profile, task)[0]
    splits = {split.name: split for split in load_task_splits(profile, task, cohort)}
    truths = _truths(profile, task)
    if not truths:
        raise InputError(f"task {task.id}: no external study is at hand that tested a drug in {MIN_EXTERNAL} unseen "
                         "lines: `leap data status` tells how to get one")  # fmt: skip
    label = {"task": {"id": task.id + SUFFIX}, "data": cohort.data}
    parts = []
    for name, truth in truths.items():
        scores = _score(truth, cohort.response, splits[name])
        parts.append((scores, {**label, "model": REPRODUCIBILITY, "split": name}))
    gaps = gaps_of(profile.name, [task.id])
    for configuration in current_results(profile.name, [task.id], bool(gaps)):
        name = configuration["split"]
        path = Layout(profile.name).prediction(task.id, name, configuration["model"])
        parts.append((_score(truths[name], load_frame(path), splits[name]), {**configuration, **label}))
    scores = named(parts, [(gap, {**where, **label}) for gap, where in gaps])
    save_frame(scores, _path(profile, task), {**label, "cohort": cohort.hash, "version": __version__})
    return scores


def saved_scores(profile: Profile, task: Task) -> pd.DataFrame:
    """Return what `external_scores` saved last; an InputError where it saved nothing."""
    path = _path(profile, task)
    if not path.exists():
        raise InputError(f"task {task.id}: no external validation in {path.parent}: run notebook 03")
    return load_frame(path)


def _path(profile: Profile, task: Task) -> Path:
    return Layout(profile.name).results / "external" / f"{task.id}.parquet"


def _truths(profile: Profile, task: Task) -> dict[str, pd.DataFrame]:
    """Return the unseen pairs of each split, and nothing where no split has any."""
    cohort, external = load_cohort(profile, task)[0], load_external(profile, task)
    splits = load_task_splits(profile, task, cohort)
    truths = {split.name: unseen_pairs(external, cohort, split) for split in splits}
    return truths if any(truth.shape[1] for truth in truths.values()) else {}


def all_scores(profile: Profile | str) -> pd.DataFrame:
    """Return the saved scores of all the paper's tasks, and of their external validation where there is one.

    Parameters
    ----------
    profile : Profile or str

    Returns
    -------
    DataFrame
        As `leaplib.results.scores.load_scores`.
    """
    profile = get_profile(profile) if isinstance(profile, str) else profile
    scores = load_scores(profile)
    prepared = scores.loc[scores["split"] != UNPREPARED, "task"].unique()
    tasks = [TASKS[task] for task in prepared if TASKS[task].external]
    validated = [task for task in tasks if _truths(profile, task)]
    return pd.concat([scores, *(external_scores(profile, task) for task in validated)], ignore_index=True)


def _score(truth: pd.DataFrame, prediction: pd.DataFrame, split: Split) -> pd.DataFrame:
    """Score on the lines of the truth; a split refuses lines that it trained on."""
    return score_split(truth, prediction, replace(split, test=truth.index, left_out=()))


def reproducibility(profile: Profile, task: Task) -> pd.DataFrame:
    """Return how far training studies and external study agree, drug by drug, over all lines that both tested.

    Returns
    -------
    DataFrame
        perturbation, n (lines), spearman, pearson; drugs with fewer than 15 such lines are left out.
    """
    cohort, external = load_cohort(profile, task)[0], load_external(profile, task)
    measured = cohort.response.loc[external.index, external.columns]
    both = external.where(measured.notna())
    both = both.loc[:, both.notna().sum() >= MIN_EXTERNAL]
    table = score(both, measured).pivot(index=["perturbation", "n"], columns="metric", values="value")
    return table.reset_index().rename_axis(columns=None)[["perturbation", "n", "spearman", "pearson"]]


def counts(profile: Profile, task: Task) -> str:
    """Return, in two sentences, what the external study shares with the training studies, and what a split leaves."""
    cohort, external = load_cohort(profile, task)[0], load_external(profile, task)
    drugs = reproducibility(profile, task)
    both = external[drugs["perturbation"]].where(cohort.response.loc[external.index, drugs["perturbation"]].notna())
    truths = list(_truths(profile, task).values())
    study = task.with_studies(drug_screen(profile).responses["study"].unique()).external[0]
    return (
        f"**{study}** ({cohort.data} data) and the training studies both tested {len(drugs)} drugs, in "
        f"{both.notna().any(axis=1).sum():,} lines and {both.notna().to_numpy().sum():,} pairs; Spearman's correlation "
        f"of the two is {drugs['spearman'].mean():.3f}, in the mean over drugs. Unseen in a split are "
        f"{_range(truth.shape[1] for truth in truths)} drugs, {_range(len(truth) for truth in truths)} lines and "
        f"{_range(int(truth.notna().to_numpy().sum()) for truth in truths)} pairs."
    )


def _range(numbers: Iterable[int]) -> str:
    """Return "3 to 5", or "4" where all are the same."""
    low, *_, high = (*(found := sorted(numbers)), found[-1])
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
