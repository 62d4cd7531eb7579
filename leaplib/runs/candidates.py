"""What was tried on the way from LEAP to LEAP+, the losing variants too: run on a task's own splits, and compared.

Each candidate is a regressor on some features of the samples, or an average of others. LEAP and PS-RIDGE are those of
`leaplib.runs.task_run`; scores of all are saved and found again by the key of all that they depend on.
`leaplib.runs.experiment.run_candidates` runs them, as jobs.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from leaplib.base.code_version import code_version
from leaplib.base.errors import InputError
from leaplib.base.layout import Layout, slug
from leaplib.base.store import is_done, load_frame, save_frame
from leaplib.cohorts.splits import INNER, Split, inner_splits
from leaplib.models.base import Regressor
from leaplib.models.elastic_net import PSElasticNet
from leaplib.models.kernel import SharedKernelRidge, rank_scores
from leaplib.models.lasso import PSLasso
from leaplib.models.leap import average
from leaplib.models.ridge import DualRidge
from leaplib.models.table import BY_NAME, make
from leaplib.runs.candidate_features import (
    BOTH,
    CODES,
    COMPONENTS,
    DENOISED,
    EACH_CODE,
    GENES,
    MORE_GENES,
    RANKED,
    TISSUE,
    WIDTHS,
    Features,
)
from leaplib.runs.scoring import UNPREPARED, score_split
from leaplib.runs.task_run import TaskRun

REFERENCE = "LEAP"
COMPARED = (REFERENCE, "PS-LASSO", "PS-RIDGE", "LEAP+")
"""The candidates that are compared on every task."""
N_CHOSEN_ON, N_INNER = 1, 3
"""Training sets, and folds of each, on which notebook 10 chooses."""
COLUMNS = ["task", "candidate", "split", "perturbation", "metric", "value", "seconds", "data"]
N_DIRECTIONS = 20
SHRINKAGE = 0.5  # of stacked weights, towards their mean over perturbations


@dataclass(frozen=True)
class Candidate:
    """A regressor on features, or a mean of other candidates.

    Parameters
    ----------
    name : str
    features : str
        One of `leaplib.runs.candidate_features.FEATURES`.
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
    stacked : bool
        The weights of the mean are learned, as `stack_weights` does.
    """

    name: str
    features: str = GENES
    estimator: type[Regressor] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    ranks: bool = False
    directions: int = 0
    mean_of: tuple[str, ...] = ()
    stacked: bool = False

    @property
    def is_model(self) -> bool:
        """Tell whether it is one of the runs' own models."""
        return self.estimator is None and not self.mean_of

    @property
    def parts(self) -> list["Candidate"]:
        """The candidates that it is the mean of, or itself."""
        return [CANDIDATES[name] for name in self.mean_of] or [self]


def _plus(name: str, features: str = GENES, **settings: Any) -> Candidate:
    return Candidate(name, features, SharedKernelRidge, settings)


CANDIDATES = {
    candidate.name: candidate
    for candidate in (
        Candidate(REFERENCE, EACH_CODE),
        Candidate("PS-LASSO", EACH_CODE),
        Candidate("PS-RIDGE"),
        Candidate("LEAP+"),
        Candidate("mean of LEAP and PS-RIDGE", mean_of=(REFERENCE, "PS-RIDGE")),
        Candidate("mean of LEAP and LEAP+", mean_of=(REFERENCE, "LEAP+")),
        Candidate("LEAP, PS-RIDGE and LEAP+, stacked", mean_of=(REFERENCE, "PS-RIDGE", "LEAP+"), stacked=True),
        Candidate("LEAP on rank scores", EACH_CODE, PSLasso, ranks=True),
        Candidate("ridge on each code", EACH_CODE, DualRidge),
        Candidate("elastic net on each code", EACH_CODE, PSElasticNet),
        Candidate("ridge on codes", CODES, DualRidge),
        Candidate("ridge on codes of three widths", WIDTHS, DualRidge),
        Candidate("ridge on principal components", COMPONENTS, DualRidge),
        Candidate("ridge on a linear denoising autoencoder", DENOISED, DualRidge),
        Candidate("ridge on genes and codes", BOTH, DualRidge),
        Candidate("ridge on genes and tissue", TISSUE, DualRidge),
        Candidate("PS-RIDGE, smoothed over perturbations", GENES, DualRidge, directions=N_DIRECTIONS),
        Candidate("ridge on rank scores", GENES, DualRidge, ranks=True),
        _plus("LEAP+ on twice as many genes", MORE_GENES),
        _plus("LEAP+ on genes ranked within a sample", RANKED),
        _plus("LEAP+ on codes", CODES),
        _plus("LEAP+ on codes of three widths", WIDTHS),
        _plus("LEAP+ on a linear denoising autoencoder", DENOISED),
        _plus("LEAP+ on genes and codes", BOTH),
        _plus("LEAP+ on genes and tissue", TISSUE),
        _plus("LEAP+ without ranks", ranks=False),
        _plus("LEAP+, perturbations alone", share=0.0),
        _plus("LEAP+, share 0.3", share=0.3),
        _plus("LEAP+, share 0.8", share=0.8),
        _plus("LEAP+, one fit on all samples", ensemble="refit"),
    )
}
AVERAGED = {name for candidate in CANDIDATES.values() for name in candidate.mean_of}
Fitted = tuple[Regressor, pd.DataFrame]


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


def stack_weights(held_out: np.ndarray, labels: np.ndarray, shrinkage: float = SHRINKAGE) -> np.ndarray:
    """Return weights of models, not negative and of sum 1, that fit the labels best, shrunk towards their mean.

    Parameters
    ----------
    held_out : array, models x samples x perturbations
        Predictions of training samples by models that were fitted without them.
    labels : array, samples x perturbations
        NaN where not measured.
    shrinkage : float
        From 0 (each perturbation by itself) to 1 (all have the mean of their weights).

    Returns
    -------
    array, models x perturbations
    """
    weights = np.empty((len(held_out), labels.shape[1]))
    for j, column in enumerate(labels.T):
        measured = ~np.isnan(column)
        models = held_out[:, measured, j]
        centred = (models - models.mean(axis=1, keepdims=True)).T
        weights[:, j] = nnls(centred, column[measured] - column[measured].mean())[0]
    total = weights.sum(axis=0)
    weights = np.where(total > 0, weights / np.where(total > 0, total, 1.0), 1 / len(weights))
    return (1 - shrinkage) * weights + shrinkage * weights.mean(axis=1, keepdims=True)


@dataclass(frozen=True)
class Beyond:
    """The candidates on one task.

    Models that means are of stay in memory for the split at hand.
    """

    run: TaskRun
    _fits: dict[tuple[str, str], list[Fitted]] = field(default_factory=dict)
    _inner: dict[str, Split] = field(default_factory=dict)

    @cached_property
    def features(self) -> Features:
        """Features of all samples of the task's pool."""
        return Features(self.run)

    def splits(self, n_splits: int | None = None, n_inner: int | None = 0) -> list[Split]:
        """Return splits of the task, or of its training sets.

        Parameters
        ----------
        n_splits : int, optional
            Only the first so many; by default all.
        n_inner : int or None
            0 for the task's own splits; else the training set of each is divided, and the first so many folds are held
            out in turn (None: all).

        Raises
        ------
        InputError
            For inner splits of a task on xenografts, whose training set holds none to choose on.
        """
        own = self.run.splits[:n_splits]
        if n_inner == 0:
            return own
        task = self.run.task
        if task.design == "xenograft":
            raise InputError(f"task {task.id}: its training set holds no xenografts to choose on: use another task")
        groups = self.run.cohort.samples["tissue"] if task.design == "tissue" else None
        found = [inner for split in own for inner in inner_splits(split, groups, n_inner)]
        for split in found:
            self._inner.setdefault(split.name, split)
        return [self._inner[split.name] for split in found]

    def split(self, name: str) -> Split:
        """Return the split of a name, which may be an inner one."""
        if INNER in name and name not in self._inner:
            self.splits(n_inner=None)
        return self._inner.get(name) or next(split for split in self.run.splits if split.name == name)

    def is_own(self, candidate: Candidate, split: Split) -> bool:
        """Tell whether a candidate is one of the runs' own models on one of their own splits."""
        return candidate.is_model and any(split is own for own in self.run.splits)

    def own_files(self, names: Sequence[str], split: Split) -> list[Path]:
        """Return the predictions of the runs' own models that candidates use."""
        parts = {part.name: part for name in names for part in CANDIDATES[name].parts if self.is_own(part, split)}
        return [self.run.files(split, self._own_name(part))[0] for part in parts.values()]

    def fits_of(self, names: Sequence[str], split: Split) -> list[Candidate]:
        """Return what is fitted for candidates on a split, each once; stacked weights take fits of their parts."""
        parts = {part.name: part for name in names for part in CANDIDATES[name].parts
                 if CANDIDATES[name].stacked or not self.is_own(part, split)}  # fmt: skip
        return list(parts.values())

    @staticmethod
    def is_lasso(candidate: Candidate) -> bool:
        """Tell whether a candidate fits the Lassos of LEAP."""
        return candidate.estimator is PSLasso or candidate.name in (REFERENCE, "PS-LASSO")

    def _own_name(self, candidate: Candidate) -> str:
        """Return the runs' name for one of their models: PS-LASSO is that on the first representation, as in tables."""
        return self.run.members[0] if candidate.name == "PS-LASSO" else candidate.name

    def predict(self, candidate: Candidate, split: Split) -> pd.DataFrame:
        """Return predictions of the test samples; the runs' own models are taken from there on its own splits."""
        labels = self.run.cohort.response.loc[split.train]
        if candidate.mean_of:
            found = [self.predict(CANDIDATES[name], split) for name in candidate.mean_of]
            return average(found) if not candidate.stacked else self._stacked(candidate, split, found)
        if self.is_own(candidate, split):
            return self.run.result(split, self._own_name(candidate)).astype(np.float64)
        fits = self.fitted(candidate, split)
        prediction = average([model.predict(features.loc[split.test]) for model, features in fits])
        return smoothed(prediction, labels, candidate.directions) if candidate.directions else prediction

    def fitted(self, candidate: Candidate, split: Split) -> list[Fitted]:
        """Return a candidate's regressors, fitted on the training samples, each with the features that it sees."""
        key = (split.name, candidate.name)
        if key in self._fits:
            return self._fits[key]
        frames = self.features.frames(candidate.features)[: 1 if candidate.name == "PS-LASSO" else None]
        found = [(self._fit(candidate, split, features), features) for features in frames]
        if candidate.name in AVERAGED:
            for other in [known for known in self._fits if known[0] != split.name]:
                del self._fits[other]
            self._fits[key] = found
        return found

    def _fit(self, candidate: Candidate, split: Split, features: pd.DataFrame) -> Regressor:
        labels = self.run.cohort.response.loc[split.train]
        if candidate.ranks:
            labels = pd.DataFrame(rank_scores(labels.to_numpy()), labels.index, labels.columns)
        return self._model(candidate).fit(features.loc[split.train], labels, split.folds)

    def _model(self, candidate: Candidate) -> Regressor:
        if not candidate.is_model and candidate.estimator is not PSLasso:
            assert candidate.estimator is not None
            return candidate.estimator(**candidate.settings)
        name = "PS-LASSO" if self.is_lasso(candidate) else candidate.name
        return make(BY_NAME[name], self.run.settings(name), self.run.device)

    def _stacked(self, candidate: Candidate, split: Split, predictions: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """Average predictions by weights that are learned on samples that the models were fitted without."""
        labels = self.run.cohort.response.loc[split.train]
        held_out = np.stack([self._held_out(CANDIDATES[name], split) for name in candidate.mean_of])
        weights = stack_weights(held_out, labels.to_numpy())
        mean = np.einsum("mnj,mj->nj", np.stack([prediction.to_numpy() for prediction in predictions]), weights)
        return pd.DataFrame(mean, predictions[0].index, predictions[0].columns)

    def _held_out(self, candidate: Candidate, split: Split) -> np.ndarray:
        """Return predictions of each training sample by the models that were fitted without its fold."""
        own = split.folds.to_numpy(), np.arange(len(split.train))
        parts = [model.predict_folds(features.loc[split.train])[own]
                 for model, features in self.fitted(candidate, split)]  # fmt: skip
        return np.mean(parts, axis=0)

    def score(self, candidate: Candidate, split: Split, force: bool = False) -> pd.DataFrame:
        """Return Spearman's and Pearson's correlation of each perturbation, made now or before."""
        path, configuration = self.scores_file(candidate, split)
        if force or not is_done(path, configuration):
            for part in self.fits_of([candidate.name], split):  # before the clock starts: others see them too
                self.features.frames(part.features)
            started = time.process_time()
            prediction = self.predict(candidate, split)
            seconds = time.process_time() - started
            rows = score_split(self.run.cohort.response.loc[split.test], prediction, split)
            rows = rows[(rows["perturbation"] != "") & (rows["test_set"] == -1) & (rows["metric"] != "mse")]
            save_frame(rows[["perturbation", "metric", "value"]].assign(seconds=seconds), path, configuration)
        return load_frame(path)

    def scores_file(self, candidate: Candidate, split: Split) -> tuple[Path, dict[str, Any]]:
        """Return where the scores of a candidate lie, and what they depend on."""
        folder = Layout(self.run.profile.name).results / "beyond" / self.run.task.id / slug(split.name)
        return folder / f"{slug(candidate.name)}.parquet", self._configuration(candidate, split)

    def saved(self, names: Sequence[str], splits: Sequence[Split]) -> pd.DataFrame:
        """Return the saved scores of candidates, computing nothing; where there are none, they are missing (NaN).

        Returns
        -------
        DataFrame
            task, candidate, split, perturbation, metric, value, seconds (of the CPU, without what the runs' own
            models had saved before, and without what makes the features), data.
        """
        frames = [self._saved(CANDIDATES[name], split).assign(candidate=name, split=split.name)
                  for split in splits for name in names]  # fmt: skip
        table = pd.concat(frames, ignore_index=True)
        return table.assign(task=self.run.task.id, data=self.run.cohort.data)[COLUMNS]

    def _saved(self, candidate: Candidate, split: Split) -> pd.DataFrame:
        path, configuration = self.scores_file(candidate, split)
        if is_done(path, configuration):
            return load_frame(path)
        rows = [(name, metric) for name in self.run.cohort.response for metric in ("spearman", "pearson")]
        return pd.DataFrame(rows, columns=["perturbation", "metric"]).assign(value=np.nan, seconds=np.nan)

    def _configuration(self, candidate: Candidate, split: Split) -> dict[str, Any]:
        """Return all that a candidate's scores depend on."""
        estimators = {estimator.__module__ for estimator in (PSLasso, DualRidge, SharedKernelRidge, PSElasticNet)}
        code = code_version(*estimators, "leaplib.runs.candidates")
        return self.run.configuration(split, REFERENCE) | {
            "model": candidate.name, "candidate": asdict(candidate) | {"estimator": str(candidate.estimator)},
            "leap": self.run.settings(REFERENCE), "leap-plus": self.run.settings("LEAP+"), "code of all": code,
            "damae": dict(self.run.profile.damae)}  # fmt: skip


def no_scores(names: Sequence[str], task: str, data: str) -> pd.DataFrame:
    """Return a table as `Beyond.saved` for a task that could not be prepared: one gap a candidate."""
    rows = [(task, name, UNPREPARED, "", metric, np.nan, np.nan, data) for name in names
            for metric in ("spearman", "pearson")]  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def checked_candidates(names: Sequence[str]) -> None:
    """Raise InputError for a name that is not of `CANDIDATES`."""
    unknown = [name for name in names if name not in CANDIDATES]
    if unknown:
        raise InputError(f"candidate {unknown[0]!r} is unknown: use one of {'; '.join(CANDIDATES)}")
