"""External validation: predictions of unseen lines against a study that no model was trained on.

The paper (Results, "LEAP outperforms...", supplementary figure 3) holds predictions and the training studies' own
measurements against PRISM: two studies agree only so far, which bounds what a model can reach. Split by split the
pairs of the training set are left out, and models and measurements are scored on the same pairs.
"""

from collections.abc import Iterable
from dataclasses import replace

import pandas as pd

from leaplib.base.errors import InputError
from leaplib.base.layout import Layout
from leaplib.base.metrics import score
from leaplib.base.store import load_frame
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.prepare import drug_screen, load_cohort, load_external, load_task_splits
from leaplib.cohorts.splits import Split
from leaplib.profiles import Profile, get_profile
from leaplib.results.scores import current_results, gaps_of, named
from leaplib.runs.scoring import score_split
from leaplib.tasks import MIN_EXTERNAL, Task, get_task

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
    """Return the scores of a task's saved predictions against the external study.

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
    cohort, splits, truths = _unseen(profile, task)
    if not any(truth.shape[1] for truth in truths.values()):
        raise InputError(f"task {task.id}: no external study is at hand that tested a drug in {MIN_EXTERNAL} unseen "
                         "lines: `leap data status` tells how to get one")  # fmt: skip
    label = {"task": {"id": task.id + SUFFIX}, "data": cohort.data}
    measured = {**label, "model": REPRODUCIBILITY, "member": -1}
    parts = [(_score(truth, cohort.response, splits[name]), {**measured, "split": name})
             for name, truth in truths.items()]  # fmt: skip
    gaps = gaps_of(profile.name, [task.id])
    predictions = Layout(profile.name).results / "predictions" / task.id
    for path, about in current_results(profile.name, [task.id], bool(gaps)):
        name = about["split"]
        predicted = load_frame(predictions / path.parent.name / path.name)
        parts.append((_score(truths[name], predicted, splits[name]), {**about, **label}))
    return named(parts, [(gap, {**where, **label}) for gap, where in gaps])


def _unseen(profile: Profile, task: Task) -> tuple[Cohort, dict[str, Split], dict[str, pd.DataFrame]]:
    """Return a task's cohort, its splits and the unseen pairs of each."""
    cohort, external = load_cohort(profile, task)[0], load_external(profile, task)
    splits = {split.name: split for split in load_task_splits(profile, task, cohort)}
    return cohort, splits, {name: unseen_pairs(external, cohort, split) for name, split in splits.items()}


def _score(truth: pd.DataFrame, prediction: pd.DataFrame, split: Split) -> pd.DataFrame:
    """Score on the lines of the truth; a split refuses lines that it trained on."""
    return score_split(truth, prediction, replace(split, test=truth.index, left_out=()))


def reproducibility(profile: Profile | str, task: Task | str) -> pd.DataFrame:
    """Return how far training studies and external study agree, drug by drug, over all lines that both tested.

    Returns
    -------
    DataFrame
        perturbation, n (lines), spearman, pearson; drugs with fewer than 15 such lines are left out.
    """
    both, measured = _both(get_profile(profile), get_task(task))
    table = score(both, measured).pivot(index=["perturbation", "n"], columns="metric", values="value")
    return table.reset_index().rename_axis(columns=None)[["perturbation", "n", "spearman", "pearson"]]


def _both(profile: Profile, task: Task) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what the external study measured where training studies did too, and what these measured."""
    cohort, external = load_cohort(profile, task)[0], load_external(profile, task)
    measured = cohort.response.loc[external.index, external.columns]
    both = external.where(measured.notna())
    both = both.loc[:, both.notna().sum() >= MIN_EXTERNAL]
    return both, measured


def counts(profile: Profile, task: Task) -> str:
    """Return, in two sentences, what the external study shares with the training studies, and what a split leaves."""
    cohort, _, truths = _unseen(profile, task)
    both, drugs = _both(profile, task)[0], reproducibility(profile, task)
    study = task.with_studies(drug_screen(profile).responses["study"].unique()).external[0]
    counted = [(truth.shape[1], len(truth), int(truth.notna().to_numpy().sum())) for truth in truths.values()]
    unseen = [_range(numbers) for numbers in zip(*counted, strict=True)]
    return (
        f"**{study}** ({cohort.data} data) and the training studies both tested {len(drugs)} drugs, in "
        f"{both.notna().any(axis=1).sum():,} lines and {both.notna().to_numpy().sum():,} pairs; Spearman's correlation "
        f"of the two is {drugs['spearman'].mean():.3f}, in the mean over drugs. Unseen in a split are "
        f"{unseen[0]} drugs, {unseen[1]} lines and {unseen[2]} pairs."
    )


def _range(numbers: Iterable[int]) -> str:
    """Return "3 to 5", or "4" where all are the same."""
    found = sorted(set(numbers))
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,} to {found[-1]:,}"
