"""General sensitivity: how much of a score is a property of the line in its laboratory, whatever the drug.

Some lines respond more than others to almost every drug, for reasons of growth, assay and batch. Geeleher, Cox and
Huang named this the general level of drug sensitivity, and showed that it confounds biomarkers unless models are
conditioned on it. Here it is a yardstick: the mean standardised response of a line to all *other* drugs of the screen,
without any expression. It needs the line's own measurements and so is no model for unseen lines. Beside it stands the
growth rate, alone. Every model is scored on the labels as they were measured, and on what is left of them once general
sensitivity, or growth, was regressed out of their ranks, drug by drug; each screen's labels by its own general
sensitivity. Within the screen and outside it scores are on the same pairs: unseen lines that both laboratories
measured.

References
----------
Geeleher, Cox and Huang (2016), Cancer biomarker discovery is improved by accounting for variability in general levels
of drug sensitivity in pre-clinical models, Genome Biology 17:190.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from leaplib.base.layout import Layout
from leaplib.base.metrics import LOW_RESPONDS, pearson, spearman
from leaplib.base.store import load_frame
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.prepare import load_external
from leaplib.cohorts.splits import Split
from leaplib.profiles import Profile
from leaplib.results.external import unseen_truths
from leaplib.runs.experiment import current_results
from leaplib.sources import wheels
from leaplib.tasks import Task

SENSITIVITY, GROWTH = "General sensitivity", "Growth rate"
MEASURED = "as measured"
LABELS = {MEASURED: "", f"without {SENSITIVITY.lower()}": SENSITIVITY, f"without {GROWTH.lower()}": GROWTH}
"""The labels that models are scored on, and what was regressed out of them."""
WITHIN, OUTSIDE = "within", "outside"
MIN_DRUGS = 5
COLUMNS = ["task", "study", "where", "labels", "model", "mean", "sd", "within_tissue", "n_perturbations", "n_splits",
           "data"]  # fmt: skip


def general_sensitivity(response: pd.DataFrame, min_drugs: int = MIN_DRUGS) -> pd.DataFrame:
    """Return each line's mean standardised response to all drugs but the one of the column.

    Parameters
    ----------
    response : DataFrame, lines x drugs
        NaN where not measured.
    min_drugs : int
        Other drugs that a line needs.

    Returns
    -------
    DataFrame, lines x drugs
        In SDs; NaN where a line was tested with fewer other drugs.
    """
    spread = response.std(ddof=0)
    standard = (response - response.mean()) / spread.where(spread > 0)
    own = standard.notna().astype(int)
    others = -own.sub(own.sum(axis=1), axis=0)
    total = -standard.fillna(0.0).sub(standard.sum(axis=1), axis=0)
    return total / others.where(others >= min_drugs)


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
    ranks = [frame.rank() for frame in (truth, prediction.where(truth.notna()))]
    by = groups.loc[truth.index].fillna("").to_numpy()
    one, other = (frame - frame.groupby(by).transform("mean") for frame in ranks)
    return pearson(one.to_numpy(), other.fillna(0.0).to_numpy())


def growth_rates(cohort: Cohort) -> pd.Series:
    """Return the growth rate of a cohort's lines (`leaplib.sources.wheels.read_growth_rates`), NaN where not known."""
    if cohort.data != "real" or "model_id" not in cohort.samples:
        return pd.Series(np.nan, cohort.samples.index)
    return cohort.samples["model_id"].map(wheels.read_growth_rates())


def sensitivity_scores(profile: Profile, task: Task) -> pd.DataFrame:
    """Return the scores of yardsticks and saved models with and without general sensitivity, within and outside.

    Returns
    -------
    DataFrame
        `COLUMNS`, one row a study, where, labels and model: mean and SD over splits of the mean Spearman correlation
        over drugs, and the mean within tissues. With study "" all pairs of the task's own screen; else those that it
        shares with that study: "within" by the screen's labels, "outside" by the study's.

    Raises
    ------
    InputError
        When there are no results.
    """
    cohort, splits, truths = unseen_truths(profile, task)
    covariates = _covariates(cohort, cohort.response)
    labels = {("", WITHIN): _labels(cohort.response, covariates)}
    for study, measured in load_external(profile, task).items():
        labels[study, WITHIN] = labels["", WITHIN]
        labels[study, OUTSIDE] = _labels(measured, _covariates(cohort, measured))
    rows = []
    for name, model, prediction in _predictions(profile, task, splits, covariates):
        for (study, where), kinds in labels.items():
            shared = truths.get(study, {}).get(name) if study else cohort.response.loc[splits[name].test]
            if shared is None:
                continue
            for kind, values in kinds.items():
                truth = values.reindex(index=shared.index, columns=shared.columns).where(shared.notna())
                truth, known = _scorable(truth, prediction)
                per_drug = spearman(truth.to_numpy(), known.to_numpy())
                tissue = spearman_within(truth, known, cohort.samples["tissue"])
                usable = ~np.isnan(per_drug)
                if usable.any():
                    rows.append((study, where, kind, model, name, per_drug[usable].mean(),
                                 np.nanmean(tissue[usable]), usable.sum()))  # fmt: skip
    table = pd.DataFrame(rows, columns=["study", "where", "labels", "model", "split", "mean", "tissue", "n"])
    groups = table.groupby(["study", "where", "labels", "model"], sort=False)
    means = groups.agg(sd=("mean", "std"), mean=("mean", "mean"), within_tissue=("tissue", "mean"),
                       n_perturbations=("n", "max"), n_splits=("split", "nunique")).reset_index()  # fmt: skip
    return means.assign(task=task.id, data=cohort.data)[COLUMNS]


def _covariates(cohort: Cohort, response: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return general sensitivity and growth rate, lines x drugs."""
    growth = growth_rates(cohort).reindex(response.index).to_numpy()
    wide = np.repeat(growth[:, None], response.shape[1], axis=1)
    return {SENSITIVITY: general_sensitivity(response), GROWTH: pd.DataFrame(wide, response.index, response.columns)}


def _labels(response: pd.DataFrame, covariates: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the labels of each kind (`LABELS`), as far as there is what was to be regressed out.

    It is regressed out of ranks, by ranks: scores are correlations of ranks, and a line through skewed responses would
    leave a negative one.
    """
    ranks = response.rank()
    found = {kind: without(ranks, covariates[what].where(response.notna()).rank()) if what else response
             for kind, what in LABELS.items()}  # fmt: skip
    return {kind: values for kind, values in found.items() if values.notna().any(axis=None)}


def _predictions(profile: Profile, task: Task, splits: dict[str, Split],
                 covariates: dict[str, pd.DataFrame]) -> Iterator[tuple[str, str, pd.DataFrame]]:  # fmt: skip
    """Yield split, model and prediction: yardsticks first, then saved models, of several members the first."""
    for name, split in splits.items():
        for model, values in covariates.items():
            part = values.loc[split.test]
            if part.notna().any(axis=None):
                yield name, model, -part if model == GROWTH and task.label in LOW_RESPONDS else part
    folder = Layout(profile.name).results / "predictions" / task.id
    for path, about in current_results(profile.name, [task.id]):
        prediction = load_frame(folder / path.parent.name / path.name)
        if about["member"] <= 0 and prediction.index.nlevels == 1:
            yield about["split"], about["model"], prediction


def _scorable(truth: pd.DataFrame, prediction: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return truth where there is a prediction, and the predictions of these lines and drugs."""
    known = prediction.reindex(index=truth.index, columns=truth.columns)
    return truth.where(known.notna()), known
