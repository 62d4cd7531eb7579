"""Other laboratories: predictions of unseen lines against studies that no model of the task was trained on.

The paper (Results, "LEAP outperforms...", supplementary figure 3) holds predictions and the training studies' own
measurements against PRISM: two studies agree only so far, which bounds what a model can reach. Here that is done with
each study that is held out (`leaplib.tasks.Task.external`), for unseen lines and unseen tissues. Split by split the
pairs of the training set are left out, and models and measurements are scored on the same pairs.

How much of a score is a property of the line in its laboratory, whatever the drug? Some lines respond more than others
to almost every drug, for reasons of growth, assay and batch. Geeleher, Cox and Huang named this the general level of
drug sensitivity, and showed that it confounds biomarkers unless models are conditioned on it. Here it is a yardstick:
the mean standardised response of a line to all *other* drugs of the screen, without any expression. It needs the
line's own measurements and so is no model for unseen lines. Beside it stands the growth rate, alone. Every model is
scored on the labels as they were measured, and on what is left of them once general sensitivity, or growth, was
regressed out of their ranks, drug by drug; each screen's labels by its own general sensitivity. Within the screen and
outside it scores are on the same pairs: unseen lines that both laboratories measured.

References
----------
Geeleher, Cox and Huang (2016), Cancer biomarker discovery is improved by accounting for variability in general levels
of drug sensitivity in pre-clinical models, Genome Biology 17:190.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.base.layout import Layout
from leaplib.base.metrics import LOW_RESPONDS, pearson, score, spearman
from leaplib.base.store import is_done, load_frame
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.prepare import load_cohort, load_external, load_task_splits
from leaplib.cohorts.splits import Split
from leaplib.profiles import Profile, get_profile
from leaplib.results.comparisons import REPRODUCIBILITY
from leaplib.runs.engine import UNPREPARED, run_of, score_split
from leaplib.runs.experiment import COLUMNS, current_results, gaps_of, named
from leaplib.runs.recipes import checked_candidates
from leaplib.sources import wheels
from leaplib.tasks import MIN_EXTERNAL, Task, get_task

EXTERNAL_COLUMNS = ["task", "study", *COLUMNS[1:]]
SENSITIVITY, GROWTH = "General sensitivity", "Growth rate"
MEASURED = "as measured"
LABELS = {MEASURED: "", f"without {SENSITIVITY.lower()}": SENSITIVITY, f"without {GROWTH.lower()}": GROWTH}
"""The labels that models are scored on, and what was regressed out of them."""
WITHIN, OUTSIDE = "within", "outside"
MIN_DRUGS = 5  # other drugs that a line needs
SENSITIVITY_COLUMNS = ["task", "study", "where", "labels", "model", "mean", "sd", "within_tissue", "n_perturbations",
                       "n_splits", "data"]  # fmt: skip
Truths = dict[str, dict[str, pd.DataFrame]]
Predictions = Iterable[tuple[Mapping[str, Any], pd.DataFrame]]


# ---- unseen pairs, and scores on them


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
    return _both(external.loc[split.test[split.test.isin(external.index)]], cohort)


def _both(external: pd.DataFrame, cohort: Cohort) -> pd.DataFrame:
    """Return what an external study measured where the training studies did too, of drugs with enough lines."""
    shared = external.where(cohort.response.loc[external.index, external.columns].notna())
    return shared.loc[:, shared.notna().sum() >= MIN_EXTERNAL]


def unseen_truths(cohort: Cohort, splits: Mapping[str, Split], studies: Mapping[str, pd.DataFrame]) -> Truths:
    """Return, by study, the unseen pairs of each split that has some."""
    found = {study: {name: unseen_pairs(external, cohort, split) for name, split in splits.items()}
             for study, external in studies.items()}  # fmt: skip
    found = {study: {name: truth for name, truth in of.items() if truth.shape[1]} for study, of in found.items()}
    return {study: of for study, of in found.items() if of}


def scored(task: str, cohort: Cohort, splits: Mapping[str, Split], truths: Truths,
           predictions: Predictions) -> Iterator[tuple[str, pd.DataFrame, Mapping[str, Any]]]:  # fmt: skip
    """Yield the scores of a task's own labels, and of predictions, against each external study: study, scores, about.

    The model "Label reproducibility" is the training studies' own measurement. A few-shot model is scored on the lines
    that each of its test sets leaves. A split refuses lines that it trained on.
    """
    label = {"task": {"id": task}, "model": REPRODUCIBILITY, "member": -1, "data": cohort.data}
    for about, prediction in chain(((label | {"split": name}, cohort.response) for name in splits), predictions):
        split = splits[about["split"]]
        for study, of in truths.items():
            if split.name in of:
                truth = of[split.name]
                known = prediction.loc[prediction.index.get_level_values(-1).isin(truth.index), truth.columns]
                tested = replace(split, test=truth.index, left_out=())
                yield study, score_split(truth, known, tested, cohort.label), about


def _prepared(profile: Profile, task: Task) -> tuple[Cohort, dict[str, Split], dict[str, pd.DataFrame], Truths]:
    """Return a task's cohort, its splits, what external studies measured, and the unseen pairs."""
    cohort, studies = load_cohort(profile, task)[0], load_external(profile, task)
    splits = {split.name: split for split in load_task_splits(profile, task, cohort)}
    return cohort, splits, studies, unseen_truths(cohort, splits, studies)


def _unseen(profile: Profile, task: Task) -> tuple[Cohort, dict[str, Split], dict[str, pd.DataFrame], Truths]:
    """Return as `_prepared`, or raise where there are no unseen pairs."""
    found = _prepared(profile, task)
    if not found[-1]:
        raise InputError(f"task {task.id}: no external study is at hand that tested a drug in {MIN_EXTERNAL} unseen "
                         "lines: `leap data status` tells how to get one")  # fmt: skip
    return found


def _predictions(profile: Profile, task: Task, none_will_do: bool = False) -> Predictions:
    """Yield what is recorded of each saved prediction of a task, and the prediction."""
    folder = Layout(profile.name).results / "predictions" / task.id
    for path, about in current_results(profile.name, [task.id], none_will_do):
        yield about, load_frame(folder / path.parent.name / path.name)


def external_scores(profile: Profile, task: Task) -> pd.DataFrame:
    """Return the scores of a task's saved predictions against each external study.

    Returns
    -------
    DataFrame
        As `leaplib.runs.experiment.load_scores`, and the study; with the model "Label reproducibility" (`scored`).

    Raises
    ------
    InputError
        When there is no external study, no result, or no drug with 15 unseen lines.
    """
    cohort, splits, _, truths = _unseen(profile, task)
    gaps, frames = gaps_of(profile.name, [task.id]), []
    found = list(scored(task.id, cohort, splits, truths, _predictions(profile, task, bool(gaps))))
    for study, of in truths.items():
        own = [(gap, at) for gap, at in gaps if at["split"] in (*of, UNPREPARED)]
        parts = [(scores, about) for against, scores, about in found if against == study]
        frames.append(named(parts, own).assign(study=study))
    return pd.concat(frames, ignore_index=True)[EXTERNAL_COLUMNS]


def candidate_scores(profile: Profile, task: Task, names: Sequence[str]) -> pd.DataFrame:
    """Return the scores of saved candidates against each external study.

    Returns
    -------
    DataFrame
        As `leaplib.runs.experiment.load_candidates` but for the seconds, and the study; what is not saved has no row.
    """
    cohort, splits, _, truths = _unseen(profile, task)
    run = run_of(profile, task)
    saved = []
    for candidate in checked_candidates(names):
        for split in splits.values():
            path = run.path("predictions", split, candidate)
            if is_done(path, run.configuration(split, candidate)):
                saved.append(({"model": candidate.name, "split": split.name}, load_frame(path)))
    if not saved:
        raise InputError(f"no predictions of candidates on task {task.id}: run `leap run --profile {profile.name} "
                         "--notebooks 10` first")  # fmt: skip
    frames = [scores.assign(study=study, candidate=about["model"], split=about["split"])
              for study, scores, about in scored(task.id, cohort, splits, truths, saved)
              if about["model"] != REPRODUCIBILITY]  # fmt: skip
    table = pd.concat(frames, ignore_index=True).assign(task=task.id, data=cohort.data)
    columns = ["task", "study", "candidate", "split", "perturbation", "metric", "value", "data"]
    return table.loc[(table["perturbation"] != "") & (table["test_set"] == -1), columns]


# ---- how far laboratories agree


def reproducibility(profile: Profile | str, task: Task | str) -> pd.DataFrame:
    """Return how far training studies and each external study agree, drug by drug, over all lines that both tested.

    Returns
    -------
    DataFrame
        study, perturbation, n (lines), spearman, pearson; drugs with fewer than 15 such lines are left out.
    """
    profile, task = get_profile(profile), get_task(task)
    cohort, columns = load_cohort(profile, task)[0], ["study", "perturbation", "n", "spearman", "pearson"]
    frames = [pd.DataFrame(columns=columns)]
    for study, external in load_external(profile, task).items():
        found = score(_both(external, cohort), cohort.response.loc[external.index, external.columns], cohort.label)
        table = found.pivot(index=["perturbation", "n"], columns="metric", values="value")
        frames.append(table.reset_index().rename_axis(columns=None).assign(study=study)[columns])
    return pd.concat(frames[1:] or frames, ignore_index=True)


def counts(profile: Profile, task: Task) -> str:
    """Return, in two sentences a study, what it shares with the training studies, and what a split leaves."""
    cohort, _, studies, truths = _unseen(profile, task)
    agreements, texts = reproducibility(profile, task).groupby("study")["spearman"], []
    for study, of in truths.items():
        shared, agreement = _both(studies[study], cohort).notna(), agreements.get_group(study)
        counted = [(truth.shape[1], len(truth), int(truth.notna().to_numpy().sum())) for truth in of.values()]
        unseen = [_range(numbers) for numbers in zip(*counted, strict=True)]
        texts.append(
            f"**{study}** ({cohort.data} data) and the training studies both tested {len(agreement)} drugs, in "
            f"{shared.any(axis=1).sum():,} lines and {shared.to_numpy().sum():,} pairs; Spearman's "
            f"correlation of the two is {agreement.mean():.3f}, in the mean over drugs. Unseen in a split are "
            f"{unseen[0]} drugs, {unseen[1]} lines and {unseen[2]} pairs."
        )
    return "\n\n".join(texts)


def _range(numbers: Iterable[int]) -> str:
    """Return "3 to 5", or "4" where all are the same."""
    found = sorted(set(numbers))
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,} to {found[-1]:,}"


# ---- general sensitivity


def general_sensitivity(response: pd.DataFrame) -> pd.DataFrame:
    """Return each line's mean standardised response to all drugs but the one of the column.

    Parameters
    ----------
    response : DataFrame, lines x drugs
        NaN where not measured.

    Returns
    -------
    DataFrame, lines x drugs
        In SDs; NaN where a line was tested with fewer than `MIN_DRUGS` other drugs.
    """
    spread = response.std(ddof=0)
    standard = (response - response.mean()) / spread.where(spread > 0)
    own = standard.notna().astype(int)
    others = -own.sub(own.sum(axis=1), axis=0)
    total = -standard.fillna(0.0).sub(standard.sum(axis=1), axis=0)
    return total / others.where(others >= MIN_DRUGS)


def without(response: pd.DataFrame, covariate: pd.DataFrame) -> pd.DataFrame:
    """Return labels less their least-squares line on a covariate, drug by drug; NaN where either is missing."""
    known = covariate.where(response.notna())
    labels = response.where(known.notna())
    x, y = known - known.mean(), labels - labels.mean()
    return y - x * ((x * y).sum() / (x**2).sum().where(lambda total: total > 0))


def spearman_within(truth: pd.DataFrame, prediction: pd.DataFrame, groups: pd.Series) -> np.ndarray:
    """Return Spearman's partial correlation of each drug given the group (tissue) of its lines.

    Ranks over all measured lines, less the mean rank of their group: what a group's mean explains counts for nothing.
    """
    codes, _ = pd.factorize(groups.loc[truth.index].fillna(""))
    member = np.eye(codes.max() + 1)[codes]  # lines x groups

    def centred(frame: pd.DataFrame) -> np.ndarray:
        ranks = frame.rank().to_numpy()
        known = ~np.isnan(ranks)
        total, count = member.T @ np.where(known, ranks, 0.0), member.T @ known
        return ranks - member @ (total / np.maximum(count, 1))

    return pearson(centred(truth), np.nan_to_num(centred(prediction.where(truth.notna()))))


def sensitivity_scores(profile: Profile, task: Task) -> pd.DataFrame:
    """Return the scores of yardsticks and saved models with and without general sensitivity, within and outside.

    Returns
    -------
    DataFrame
        `SENSITIVITY_COLUMNS`, one row a study, where, labels and model: mean and SD over splits of the mean Spearman
        correlation over drugs, and the mean within tissues. With study "" all pairs of the task's own screen; else
        those that it shares with that study: "within" by the screen's labels, "outside" by the study's.

    Raises
    ------
    InputError
        When there are no results.
    """
    cohort, splits, studies, truths = _prepared(profile, task)
    covariates = _covariates(cohort, cohort.response)
    labels = {("", WITHIN): _labels(cohort.response, covariates)}
    for study, measured in studies.items():
        labels[study, WITHIN] = labels["", WITHIN]
        labels[study, OUTSIDE] = _labels(measured, _covariates(cohort, measured))
    rows = []
    for about, prediction in chain(_yardsticks(task, splits, covariates), _predictions(profile, task)):
        name = about["split"]
        for (study, where), kinds in labels.items():
            shared = truths.get(study, {}).get(name) if study else cohort.response.loc[splits[name].test]
            if shared is None or about["member"] > 0 or prediction.index.nlevels > 1:
                continue  # of several members the first; no few-shot model
            known = prediction.reindex(index=shared.index, columns=shared.columns)
            for kind, values in kinds.items():
                truth = values.reindex_like(shared).where(shared.notna() & known.notna())
                by_drug = spearman(truth.to_numpy(), known.to_numpy())
                tissue, usable = spearman_within(truth, known, cohort.samples["tissue"]), ~np.isnan(by_drug)
                if usable.any():
                    rows.append((study, where, kind, about["model"], name, by_drug[usable].mean(),
                                 np.nanmean(tissue[usable]), usable.sum()))  # fmt: skip
    table = pd.DataFrame(rows, columns=["study", "where", "labels", "model", "split", "mean", "tissue", "n"])
    groups = table.groupby(["study", "where", "labels", "model"], sort=False)
    means = groups.agg(sd=("mean", "std"), mean=("mean", "mean"), within_tissue=("tissue", "mean"),
                       n_perturbations=("n", "max"), n_splits=("split", "nunique")).reset_index()  # fmt: skip
    return means.assign(task=task.id, data=cohort.data)[SENSITIVITY_COLUMNS]


def _covariates(cohort: Cohort, response: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return general sensitivity and growth rate (NaN where it is not known), lines x drugs."""
    growth = pd.Series(np.nan, response.index)
    if cohort.data == "real" and "model_id" in cohort.samples:
        growth = cohort.samples["model_id"].map(wheels.read_growth_rates()).reindex(response.index)
    return {SENSITIVITY: general_sensitivity(response), GROWTH: pd.DataFrame(dict.fromkeys(response, growth))}


def _labels(response: pd.DataFrame, covariates: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the labels of each kind (`LABELS`), as far as there is what was to be regressed out.

    It is regressed out of ranks, by ranks: scores are correlations of ranks, and a line through skewed responses would
    leave a negative one.
    """
    ranks = response.rank()
    found = {kind: without(ranks, covariates[what].where(response.notna()).rank()) if what else response
             for kind, what in LABELS.items()}  # fmt: skip
    return {kind: values for kind, values in found.items() if values.notna().any(axis=None)}


def _yardsticks(task: Task, splits: Mapping[str, Split], covariates: Mapping[str, pd.DataFrame]) -> Predictions:
    """Yield general sensitivity and growth rate as if they were predictions."""
    for split in splits.values():
        for model, values in covariates.items():
            part = values.loc[split.test]
            if part.notna().any(axis=None):
                lower = model == GROWTH and task.label in LOW_RESPONDS
                yield {"model": model, "member": -1, "split": split.name}, -part if lower else part
