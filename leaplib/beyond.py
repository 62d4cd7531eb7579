"""What was tried on the way from LEAP to LEAP+, the losing variants too: run on a task's own splits, and compared.

Each candidate is a regressor on some features of the samples, or an average of others. LEAP and PS-RIDGE are those of
`leaplib.task_run`; scores of the others are saved and found again by the key of all that they depend on.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from leaplib.comparisons import bootstrap_interval
from leaplib.errors import InputError
from leaplib.layout import Layout, slug
from leaplib.leap import average
from leaplib.profiles import Profile, get_profile
from leaplib.progress import progress
from leaplib.regressors import DualRidge, SharedKernelRidge
from leaplib.regressors.base import Regressor
from leaplib.regressors.plus import rank_scores
from leaplib.scores import score_split
from leaplib.splits import Split
from leaplib.statistics import TEST_SHARE, paired_test
from leaplib.store import is_done, load_frame, save_frame
from leaplib.task_run import TaskRun
from leaplib.tasks import Task, get_task
from leaplib.threads import limited

REFERENCE = "LEAP"
FEATURES = ("genes", "more genes", "ranked genes", "codes", "genes and codes")
"""As LEAP's DAMAEs see them; as LEAP+ sees them; ranked within each sample; all codes side by side; both."""
N_DIRECTIONS = 20


@dataclass(frozen=True)
class Candidate:
    """A regressor on features, or the mean of other candidates.

    Parameters
    ----------
    name : str
    features : str
        One of `FEATURES`.
    estimator : type of Regressor, or None
        None: one of the runs' own models, or a mean.
    settings : mapping
        Parameters of the estimator that differ from its defaults.
    ranks : bool
        Labels are replaced by their rank scores before the fit, for regressors that do not do so themselves.
    directions : int
        Average predictions with their projection onto so many principal directions of the training labels; 0: do not.
    mean_of : tuple of str
        Candidates that are averaged.
    """

    name: str
    features: str = "genes"
    estimator: type[Regressor] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    ranks: bool = False
    directions: int = 0
    mean_of: tuple[str, ...] = ()


def _plus(name: str, features: str = "more genes", **settings: Any) -> Candidate:
    return Candidate(name, features, SharedKernelRidge, settings)


CANDIDATES = {
    candidate.name: candidate
    for candidate in (
        Candidate(REFERENCE),
        Candidate("PS-LASSO"),
        Candidate("PS-RIDGE"),
        Candidate("LEAP+"),
        Candidate("mean of LEAP and PS-RIDGE", mean_of=(REFERENCE, "PS-RIDGE")),
        Candidate("mean of LEAP and LEAP+", mean_of=(REFERENCE, "LEAP+")),
        Candidate("ridge on codes", "codes", DualRidge),
        Candidate("ridge on genes and codes", "genes and codes", DualRidge),
        Candidate("PS-RIDGE, smoothed over perturbations", "genes", DualRidge, directions=N_DIRECTIONS),
        Candidate("ridge on rank scores", "genes", DualRidge, ranks=True),
        _plus("LEAP+ on the DAMAEs' genes", "genes"),
        _plus("LEAP+ on genes ranked within a sample", "ranked genes"),
        _plus("LEAP+ on codes", "codes"),
        _plus("LEAP+ on genes and codes", "genes and codes"),
        _plus("LEAP+ without ranks", ranks=False),
        _plus("LEAP+, perturbations alone", share=0.0),
        _plus("LEAP+, share 0.3", share=0.3),
        _plus("LEAP+, share 0.8", share=0.8),
        _plus("LEAP+, one fit on all samples", ensemble="refit"),
    )
}


def smoothed(prediction: pd.DataFrame, labels: pd.DataFrame, n_directions: int = N_DIRECTIONS) -> pd.DataFrame:
    """Average predictions with their projection onto the leading principal directions of the training labels.

    Parameters
    ----------
    prediction, labels : DataFrame, samples x perturbations
        Missing labels count as the mean; each perturbation is standardised.
    n_directions : int
    """
    mean, sd = labels.mean(), labels.std(ddof=0)
    sd = sd.where(sd > 0, 1.0)
    directions = np.linalg.svd(((labels - mean) / sd).fillna(0.0), full_matrices=False)[2][:n_directions]
    standard = (prediction - mean) / sd
    return (standard + standard.to_numpy() @ directions.T @ directions) / 2 * sd + mean


@dataclass(frozen=True)
class Beyond:
    """The candidates on one task."""

    run: TaskRun

    @cached_property
    def features(self) -> dict[str, pd.DataFrame]:
        """Features of all samples of the task's pool, by `FEATURES`."""
        genes, codes = self.run.expression[1], _side_by_side(self.run.embedding.codes)
        ranks = pd.DataFrame(rankdata(genes, axis=1), genes.index, genes.columns)
        # Both sides weigh the same: the mean square of a sample is the number of genes.
        scaled = codes * np.sqrt(genes.shape[1] / codes.shape[1])
        both = pd.concat([genes, scaled.loc[genes.index]], axis=1)
        return dict(zip(FEATURES, (genes, self.run.expression[2], _standardised(ranks), codes, both), strict=True))

    def predict(self, candidate: Candidate, split: Split) -> pd.DataFrame:
        """Return predictions of the test samples."""
        if candidate.mean_of:
            return average([self.predict(CANDIDATES[name], split) for name in candidate.mean_of])
        if candidate.estimator is None:
            name = self.run.members[0] if candidate.name == "PS-LASSO" else candidate.name  # as in the tables
            return self.run.result(split, name).astype(np.float64)
        features, labels = self.features[candidate.features], self.run.cohort.response.loc[split.train]
        wanted = pd.DataFrame(rank_scores(labels.to_numpy()), labels.index, labels.columns)
        model = candidate.estimator(**candidate.settings)
        model.fit(features.loc[split.train], wanted if candidate.ranks else labels, split.folds)
        prediction = model.predict(features.loc[split.test])
        return smoothed(prediction, labels, candidate.directions) if candidate.directions else prediction

    def score(self, candidate: Candidate, split: Split, force: bool = False) -> pd.DataFrame:
        """Return Spearman's and Pearson's correlation of each perturbation, made now or before."""
        configuration = self.run.configuration(split, REFERENCE) | {
            "model": candidate.name, "candidate": asdict(candidate) | {"estimator": str(candidate.estimator)},
            "leap": self.run.settings(REFERENCE), "leap-plus": self.run.settings("LEAP+")}  # fmt: skip
        folder = Layout(self.run.profile.name).results / "beyond" / self.run.task.id / slug(split.name)
        path = folder / f"{slug(candidate.name)}.parquet"
        if force or not is_done(path, configuration):
            started = time.process_time()
            with limited(1):  # as jobs are, so that results do not depend on the number of cores
                prediction = self.predict(candidate, split)
            seconds = time.process_time() - started
            rows = score_split(self.run.cohort.response.loc[split.test], prediction, split)
            rows = rows[(rows["perturbation"] != "") & (rows["test_set"] == -1) & (rows["metric"] != "mse")]
            save_frame(rows[["perturbation", "metric", "value"]].assign(seconds=seconds), path, configuration)
        return load_frame(path)


def compare_candidates(profile: Profile | str, task: Task | str, candidates: Sequence[str] = tuple(CANDIDATES),
                       n_splits: int | None = None, device: str = "auto",
                       force: bool = False) -> pd.DataFrame:  # fmt: skip
    """Run candidates on a task's splits; what is done already is not computed again.

    Parameters
    ----------
    profile : Profile or str
    task : Task or str
    candidates : sequence of str
        Names of `CANDIDATES`.
    n_splits : int, optional
        Only the first so many splits; by default all.
    device : {"auto", "cpu", "cuda"}
    force : bool
        Compute again what is done.

    Returns
    -------
    DataFrame
        task, candidate, split, perturbation, metric, value, seconds (of the CPU, once a split, without what the runs'
        own models had saved before), data.
    """
    unknown = [name for name in candidates if name not in CANDIDATES]
    if unknown:
        raise InputError(f"candidate {unknown[0]!r} is unknown: use one of {'; '.join(CANDIDATES)}")
    profile = get_profile(profile) if isinstance(profile, str) else profile
    run = TaskRun(profile, get_task(task) if isinstance(task, str) else task, device)
    beyond = Beyond(run)
    jobs = [(split, name) for split in run.splits[:n_splits] for name in candidates]
    frames = [
        beyond.score(CANDIDATES[name], split, force).assign(task=run.task.id, candidate=name, split=split.name)
        for split, name in progress(jobs, f"beyond LEAP, task {run.task.id}")
    ]
    columns = ["task", "candidate", "split", "perturbation", "metric", "value", "seconds", "data"]
    return pd.concat(frames, ignore_index=True).assign(data=run.cohort.data)[columns]


def gains(scores: pd.DataFrame, reference: str = REFERENCE, metric: str = "spearman") -> pd.DataFrame:
    """Compare candidates with a reference, paired over perturbations and splits.

    Parameters
    ----------
    scores : DataFrame
        As `compare_candidates`; of one or several tasks.
    reference : str
    metric : {"spearman", "pearson"}

    Returns
    -------
    DataFrame
        task, candidate, mean, gain (relative to the reference), difference with its 95% interval (low, high), p (of
        Wilcoxon's test over perturbations), perturbations_won, n_perturbations, splits_won, n_splits, seconds (a
        split), data; best first.
    """
    rows = []
    for task, part in scores[scores["metric"] == metric].groupby("task", sort=False):
        wide = {name: values.pivot(index="perturbation", columns="split", values="value")
                for name, values in part.groupby("candidate", sort=False)}  # fmt: skip
        if reference not in wide:
            raise InputError(f"task {task}: no scores of {reference}: add it to the candidates")
        test_share = TEST_SHARE if get_task(str(task)).design == "holdout" else None
        for name, values in wide.items():
            seconds = part[part["candidate"] == name].groupby("split")["seconds"].first().mean()
            found = {"task": task, "candidate": name, "mean": values.mean().mean(), "seconds": seconds}
            rows.append(found | _against(values, wide[reference], test_share) | {"data": part["data"].iloc[0]})
    columns = ["task", "candidate", "mean", "gain", "difference", "low", "high", "p", "perturbations_won",
               "n_perturbations", "splits_won", "n_splits", "seconds", "data"]  # fmt: skip
    table = pd.DataFrame(rows)[columns]
    order = table.groupby("task", sort=False)["mean"].rank(ascending=False, method="first")
    return (
        table.assign(order=order, at=pd.factorize(table["task"])[0])
        .sort_values(["at", "order"])[columns]
        .reset_index(drop=True)
    )


def _against(values: pd.DataFrame, reference: pd.DataFrame, test_share: float | None) -> dict[str, Any]:
    """Compare one candidate's scores, perturbations x splits, with the reference's."""
    test = paired_test(values, reference, test_share)
    low, high = bootstrap_interval((values - reference).to_numpy())
    level = reference.mean().mean()
    kept = ("difference", "perturbations_won", "n_perturbations", "splits_won", "n_splits")
    gain = test["difference"] / level if level > 0 else np.nan
    return {name: test[name] for name in kept} | {"gain": gain, "low": low, "high": high, "p": test["p_perturbations"]}


def _side_by_side(codes: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the codes of all representations as one table, each column standardised."""
    return pd.concat([_standardised(part).add_prefix(f"{number} ") for number, part in enumerate(codes)], axis=1)


def _standardised(frame: pd.DataFrame) -> pd.DataFrame:
    sd = frame.std(ddof=0)
    return (frame - frame.mean()) / sd.where(sd > 1e-12, 1.0)
