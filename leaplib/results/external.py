"""External validation: predictions of unseen lines against studies that no model of the task was trained on.

The paper (Results, "LEAP outperforms...", supplementary figure 3) holds predictions and the training studies' own
measurements against PRISM: two studies agree only so far, which bounds what a model can reach. Here that is done with
each study that is held out (`leaplib.tasks.Task.external`), for unseen lines and unseen tissues. Split by split the
pairs of the training set are left out, and models and measurements are scored on the same pairs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from leaplib.base.errors import InputError
from leaplib.base.layout import Layout
from leaplib.base.metrics import score
from leaplib.base.store import is_done, load_frame
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.prepare import load_cohort, load_external, load_task_splits
from leaplib.cohorts.splits import Split
from leaplib.profiles import Profile, get_profile
from leaplib.runs.engine import run_of
from leaplib.runs.experiment import COLUMNS, current_results, gaps_of, named
from leaplib.runs.recipes import checked_candidates
from leaplib.runs.scoring import UNPREPARED, score_few_shot, score_split
from leaplib.tasks import MIN_EXTERNAL, Task, get_task

REPRODUCIBILITY = "Label reproducibility"
EXTERNAL_COLUMNS = ["task", "study", *COLUMNS[1:]]
Truths = dict[str, dict[str, pd.DataFrame]]


def unseen_pairs(external: pd.DataFrame, cohort: Cohort, split: Split) -> pd.DataFrame:
    """Return what an external study measured of a split's test lines, where the training studies did too.

    Parameters
    ----------
    external : DataFrame, lines x drugs
        One study of `leaplib.cohorts.prepare.load_external`.
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
    """Return the scores of a task's saved predictions against each external study.

    A few-shot model is scored on the lines that each of its test sets leaves.

    Returns
    -------
    DataFrame
        As `leaplib.runs.experiment.load_scores`, and the study. The model "Label reproducibility" is the training
        studies' own measurement.

    Raises
    ------
    InputError
        When there is no external study, no result, or no drug with 15 unseen lines.
    """
    cohort, splits, truths = _unseen(profile, task)
    where = {"task": {"id": task.id}, "data": cohort.data}
    parts: dict[str, list] = {study: [
        (score_unseen(truth, cohort.response, splits[name], cohort.label),
         {**where, "model": REPRODUCIBILITY, "member": -1, "split": name}) for name, truth in of.items()
    ] for study, of in truths.items()}  # fmt: skip
    gaps = gaps_of(profile.name, [task.id])
    predictions = Layout(profile.name).results / "predictions" / task.id
    for path, about in current_results(profile.name, [task.id], bool(gaps)):
        predicted = load_frame(predictions / path.parent.name / path.name)
        for study, of in truths.items():
            if about["split"] in of:
                scores = score_unseen(of[about["split"]], predicted, splits[about["split"]], cohort.label)
                parts[study].append((scores, about))
    frames = []
    for study, found in parts.items():
        own = [(gap, at) for gap, at in gaps if at["split"] in (*truths[study], UNPREPARED)]
        frames.append(named(found, own).assign(study=study))
    return pd.concat(frames, ignore_index=True)[EXTERNAL_COLUMNS]


def candidate_scores(profile: Profile, task: Task, names: Sequence[str]) -> pd.DataFrame:
    """Return the scores of saved candidates against each external study.

    Returns
    -------
    DataFrame
        As `leaplib.runs.experiment.load_candidates` but for the seconds, and the study; what is not saved has no row.
    """
    cohort, splits, truths = _unseen(profile, task)
    run, frames = run_of(profile, task), []
    for candidate in checked_candidates(names):
        for name, split in splits.items():
            path = run.path("predictions", split, candidate)
            if is_done(path, run.configuration(split, candidate)):
                predicted, about = load_frame(path), {"candidate": candidate.name, "split": name}
                frames += [score_unseen(of[name], predicted, split, cohort.label).assign(study=study, **about)
                           for study, of in truths.items() if name in of]  # fmt: skip
    if not frames:
        raise InputError(f"no predictions of candidates on task {task.id}: run `leap run --profile {profile.name} "
                         "--notebooks 10` first")  # fmt: skip
    table = pd.concat(frames, ignore_index=True).assign(task=task.id, data=cohort.data)
    columns = ["task", "study", "candidate", "split", "perturbation", "metric", "value", "data"]
    return table.loc[(table["perturbation"] != "") & (table["test_set"] == -1), columns]


def unseen_truths(profile: Profile, task: Task) -> tuple[Cohort, dict[str, Split], Truths]:
    """Return a task's cohort, its splits and, by study, the unseen pairs of each split that has some."""
    cohort = load_cohort(profile, task)[0]
    splits = {split.name: split for split in load_task_splits(profile, task, cohort)}
    found = {}
    for study, external in load_external(profile, task).items():
        pairs = {name: unseen_pairs(external, cohort, split) for name, split in splits.items()}
        found[study] = {name: truth for name, truth in pairs.items() if truth.shape[1]}
    return cohort, splits, {study: of for study, of in found.items() if of}


def _unseen(profile: Profile, task: Task) -> tuple[Cohort, dict[str, Split], Truths]:
    """Return `unseen_truths`, or raise where there are none."""
    cohort, splits, truths = unseen_truths(profile, task)
    if not truths:
        raise InputError(f"task {task.id}: no external study is at hand that tested a drug in {MIN_EXTERNAL} unseen "
                         "lines: `leap data status` tells how to get one")  # fmt: skip
    return cohort, splits, truths


def score_unseen(truth: pd.DataFrame, prediction: pd.DataFrame, split: Split, label: str) -> pd.DataFrame:
    """Score on the lines of the truth; a split refuses lines that it trained on."""
    known = prediction.loc[prediction.index.get_level_values(-1).isin(truth.index), truth.columns]
    how = score_split if prediction.index.nlevels == 1 else score_few_shot
    return how(truth, known, replace(split, test=truth.index, left_out=()), label)


def reproducibility(profile: Profile | str, task: Task | str) -> pd.DataFrame:
    """Return how far training studies and each external study agree, drug by drug, over all lines that both tested.

    Returns
    -------
    DataFrame
        study, perturbation, n (lines), spearman, pearson; drugs with fewer than 15 such lines are left out.
    """
    profile, task = get_profile(profile), get_task(task)
    cohort, frames = load_cohort(profile, task)[0], []
    for study, (both, measured) in _both(cohort, load_external(profile, task)).items():
        table = score(both, measured, cohort.label).pivot(index=["perturbation", "n"], columns="metric", values="value")
        frames.append(table.reset_index().rename_axis(columns=None).assign(study=study))
    columns = ["study", "perturbation", "n", "spearman", "pearson"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def _both(cohort: Cohort, external: Mapping[str, pd.DataFrame]) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Return, by study, what it measured where training studies did too, and what these measured."""
    found = {}
    for study, theirs in external.items():
        measured = cohort.response.loc[theirs.index, theirs.columns]
        both = theirs.where(measured.notna())
        found[study] = both.loc[:, both.notna().sum() >= MIN_EXTERNAL], measured
    return found


def counts(profile: Profile, task: Task) -> str:
    """Return, in two sentences a study, what it shares with the training studies, and what a split leaves."""
    cohort, _, truths = _unseen(profile, task)
    both, drugs = _both(cohort, load_external(profile, task)), reproducibility(profile, task)
    texts = []
    for study, of in truths.items():
        shared, agreement = both[study][0], drugs.loc[drugs["study"] == study, "spearman"]
        counted = [(truth.shape[1], len(truth), int(truth.notna().to_numpy().sum())) for truth in of.values()]
        unseen = [_range(numbers) for numbers in zip(*counted, strict=True)]
        texts.append(
            f"**{study}** ({cohort.data} data) and the training studies both tested {len(agreement)} drugs, in "
            f"{shared.notna().any(axis=1).sum():,} lines and {shared.notna().to_numpy().sum():,} pairs; Spearman's "
            f"correlation of the two is {agreement.mean():.3f}, in the mean over drugs. Unseen in a split are "
            f"{unseen[0]} drugs, {unseen[1]} lines and {unseen[2]} pairs."
        )
    return "\n\n".join(texts)


def _range(numbers: Iterable[int]) -> str:
    """Return "3 to 5", or "4" where all are the same."""
    found = sorted(set(numbers))
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,} to {found[-1]:,}"
