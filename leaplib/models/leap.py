"""LEAP, and its rivals without an autoencoder, PS-RIDGE and LEAP+: raw expression in, predicted responses out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from leaplib.base.errors import InputError
from leaplib.base.store import atomic_folder, load_frame, save_frame, write_text
from leaplib.cohorts.cohort import check_unique
from leaplib.cohorts.expression import ExpressionScaler
from leaplib.cohorts.splits import tuning_folds
from leaplib.models.base import as_labels, as_matrix, average, rebuilt, seen
from leaplib.models.lasso import PSLasso
from leaplib.models.ridge import DualRidge, SharedKernelRidge
from leaplib.models.tuning import Tuned
from leaplib.representation.pretraining import Representations


class ExpressionModel(BaseEstimator):
    """A model of responses to perturbations from raw expression: the mean of a regressor on each representation.

    Genes are chosen and standardised here; standardised, they are the only representation, unless a subclass learns
    others (`_represent`). Subclasses have the parameters `n_genes` and `random_state` and give `_regressor()`.

    Attributes
    ----------
    representations_ : Representations
        The scaler of the genes, and the autoencoders if there are any.
    members_ : list of Tuned
        The regressor on each representation.
    folds_ : Series
        Tuning fold of each training sample.
    """

    n_genes: int
    random_state: int
    n_representations: int = 0

    def _regressor(self) -> Tuned:
        raise NotImplementedError

    def _represent(self, pool: pd.DataFrame, sources: pd.Series | None) -> Representations:
        """Learn from all expression, and the source of each sample."""
        return Representations(ExpressionScaler(self.n_genes).fit(pool, sources=sources), [])

    def fit(self, X: pd.DataFrame, Y: pd.DataFrame, unlabelled: pd.DataFrame | None = None,
            groups: pd.Series | None = None) -> Self:  # fmt: skip
        """Train on expression and responses.

        Parameters
        ----------
        X : DataFrame, samples x genes
            Expression on a log scale.
        Y : DataFrame, samples x perturbations
            NaN where not measured; the same samples as X, in any order.
        unlabelled : DataFrame, samples x genes, optional
            Further expression for the choice of genes, standardisation and pretraining only, such as that of the
            samples to predict. Samples that stand in X too are taken once.
        groups : Series, optional
            Group (tissue) of each sample: tuning folds then never divide a group.

        Raises
        ------
        InputError
            When samples or genes of the tables do not match, repeat, or values are missing.
        """
        check_tables(X, Y)
        return self._fit(self._represent(*_pool(X, unlabelled)), X, Y, groups)

    def _fit(self, learned: Representations, X: pd.DataFrame, Y: pd.DataFrame, groups: pd.Series | None) -> Self:
        """Fit the regressors on what was learned of expression."""
        self.perturbations_, self.representations_ = Y.columns, learned
        self.folds_ = tuning_folds(X.index, self.random_state, groups)
        self.members_ = [self._regressor().fit(part, Y.loc[X.index], self.folds_) for part in self.features(X)]
        return self

    def predict(self, X: pd.DataFrame, perturbations: Sequence[Any] | None = None) -> pd.DataFrame:
        """Return predicted responses, samples x perturbations (all, or those asked for)."""
        check_is_fitted(self)
        columns = seen(self.perturbations_, perturbations)
        return average(self.predict_members(X))[columns]

    def predict_members(self, X: pd.DataFrame) -> list[pd.DataFrame]:
        """Return the predictions of each representation's regressor."""
        check_is_fitted(self)
        return [member.predict(part) for member, part in zip(self.members_, self.features(X), strict=True)]

    def predict_each(self, X: pd.DataFrame) -> np.ndarray:
        """Return the predictions of every fold's model, representations x folds x samples x perturbations.

        The models of fold k were fitted without the training samples of fold k (`folds_`).
        """
        check_is_fitted(self)
        members = zip(self.members_, self.features(X), strict=True)
        return np.stack([member.predict_folds(part) for member, part in members])

    def features(self, X: pd.DataFrame) -> list[pd.DataFrame]:
        """Return what the regressors see of samples, one frame (samples x components or genes) a representation."""
        check_is_fitted(self, "representations_")
        return self.representations_.transform(X)

    @property
    def genes_(self) -> pd.Index:
        """Genes that `predict` needs."""
        return self.representations_.scaler.genes_

    def save(self, folder: str | Path) -> Path:
        """Write the fitted model to a folder of its own (replaced if there): safetensors, JSON and parquet."""
        check_is_fitted(self)
        parameters = {k: dict(value) if isinstance(value, Mapping) else value for k, value in self.get_params().items()}
        meta = {"model": type(self).__name__, "parameters": parameters, "perturbations": self.perturbations_.tolist()}
        with atomic_folder(folder) as temporary:
            self.representations_.save(temporary)
            for place, member in zip(self._places(), self.members_, strict=True):
                member.save(temporary / place)
            save_frame(self.folds_.to_frame("fold"), temporary / "folds.parquet", {})
            write_text(temporary / "settings.json", json.dumps(meta, indent=1))
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote; predictions are equal to the bit.

        Raises
        ------
        InputError
            If a file is missing or damaged, or holds another kind of model.
        """
        folder = Path(folder)
        try:
            meta = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
            kind, parameters, names = meta["model"], meta["parameters"], meta["perturbations"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{folder}: not a saved {cls.__name__} ({error}): save it again") from error
        model = rebuilt(cls, kind, parameters, folder)
        model.perturbations_ = pd.Index(names)
        model.folds_ = load_frame(folder / "folds.parquet")["fold"]
        model.representations_ = Representations.load(folder, model.n_representations)
        regressor = type(model._regressor())
        model.members_ = [regressor.load(folder / place) for place in model._places()]
        return model

    def _places(self) -> list[str]:
        """Return the folders of the regressors within that of the model."""
        return [f"member_{number}" for number in range(self.n_representations)] or ["regressor"]


def check_tables(X: pd.DataFrame, Y: pd.DataFrame) -> None:
    """Refuse tables that are no frames, repeat a name, or list different samples."""
    for frame, what in ((X, "expression"), (Y, "responses")):
        if not isinstance(frame, pd.DataFrame):
            raise InputError(f"{what}: expected a DataFrame with samples as rows, got {type(frame).__name__}")
        check_unique(frame.index, "sample", what)
        check_unique(frame.columns, "column", what)
    as_matrix(X, "expression")
    as_labels(Y, len(Y))
    apart = X.index.symmetric_difference(Y.index)
    if len(apart):
        raise InputError(f"sample {apart[0]!r} is not in both expression and responses ({len(apart)} such)")


def _pool(X: pd.DataFrame, unlabelled: pd.DataFrame | None) -> tuple[pd.DataFrame, pd.Series | None]:
    """Return all expression, labelled or not, and where each sample comes from."""
    if unlabelled is None:
        return X, None
    if not isinstance(unlabelled, pd.DataFrame):
        raise InputError(f"unlabelled: expected a DataFrame with samples as rows, got {type(unlabelled).__name__}")
    as_matrix(unlabelled, "unlabelled expression")
    check_unique(unlabelled.columns, "column", "unlabelled expression")
    check_unique(unlabelled.index, "sample", "unlabelled expression")
    further = unlabelled.loc[unlabelled.index.difference(X.index, sort=False)]
    if not len(X.columns.intersection(further.columns)):
        raise InputError("expression and unlabelled expression have no gene in common: use the same gene symbols")
    pool = pd.concat([X, further], join="inner")
    return pool, pd.Series(np.where(pool.index.isin(X.index), "labelled", "unlabelled"), index=pool.index)


@dataclass(eq=False, repr=False)
class LEAP(ExpressionModel):
    """Layered Ensemble of Autoencoders and Predictors (arXiv 2502.15646, Figure 1).

    Five DAMAEs, trained without labels from five seeds, each give a representation; on each a PS-LASSO is
    tuned by 5-fold cross-validation and averaged over the folds; LEAP is the mean of the five.

    Parameters
    ----------
    n_representations : int
        DAMAEs.
    n_genes : int
        Most variable genes kept a source.
    random_state : int
        Seed of everything: the DAMAEs use `random_state`, `random_state + 1`, ..., the folds `random_state`.
    device : {"auto", "cpu", "cuda"}
        Where the DAMAEs are trained.
    damae : mapping, optional
        Settings of `leaplib.DAMAE` that differ from its defaults, which are the paper's.
    n_alphas : int
        Penalties tried a perturbation.

    Examples
    --------
    >>> model = LEAP(n_representations=5, random_state=0)  # doctest: +SKIP
    >>> model.fit(X, Y, unlabelled=X_new).predict(X_new)  # doctest: +SKIP
    """

    n_representations: int = 5
    n_genes: int = 5000
    random_state: int = 0
    device: str = "auto"
    damae: Mapping[str, Any] | None = None
    n_alphas: int = 10

    def _regressor(self) -> PSLasso:
        return PSLasso(self.n_alphas)

    def _represent(self, pool: pd.DataFrame, sources: pd.Series | None) -> Representations:
        seeds = range(self.random_state, self.random_state + self.n_representations)
        return Representations.fit(pool, seeds, self.n_genes, self.device, sources, **dict(self.damae or {}))

    def fit_members(self, representations: Representations, X: pd.DataFrame, Y: pd.DataFrame,
                    groups: pd.Series | None = None) -> "LEAP":  # fmt: skip
        """Fit the PS-LASSOs on representations that were trained before; otherwise as `fit`."""
        check_tables(X, Y)
        return self._fit(representations, X, Y, groups)


@dataclass(eq=False, repr=False)
class PSRidge(ExpressionModel):
    """Perturbation-specific ridge regression on the genes themselves: what LEAP has to surpass.

    Genes are chosen and standardised as for LEAP; `leaplib.models.ridge` does the rest.

    Parameters
    ----------
    n_genes : int
        Most variable genes kept a source.
    random_state : int
        Seed of the tuning folds.
    n_penalties : int
        Penalties tried a perturbation.
    """

    n_genes: int = 5000
    random_state: int = 0
    n_penalties: int = 10

    def _regressor(self) -> DualRidge:
        return DualRidge(self.n_penalties)

    @property
    def coef_(self) -> pd.DataFrame:
        """Weights of the standardised genes, genes x perturbations: the mean over the fold models."""
        return pd.DataFrame(self.members_[0].coef_, index=self.genes_, columns=self.perturbations_)

    def gene_weights(self, X: pd.DataFrame, perturbations: Sequence[str]) -> np.ndarray:
        """Return the weights of each fold model, folds x genes x perturbations (the same at all samples `X`)."""
        columns = self.perturbations_.get_indexer(pd.Index(perturbations))
        return np.take(self.members_[0].fold_coef_, columns, axis=2)


@dataclass(eq=False, repr=False)
class LEAPPlus(ExpressionModel):
    """LEAP+: Gaussian kernel ridge regression on the genes, one penalty for all perturbations.

    Genes are chosen and standardised as for LEAP; `leaplib.models.ridge` does the rest.

    Parameters
    ----------
    n_genes : int
        Most variable genes kept a source.
    random_state : int
        Seed of the tuning folds.
    share : float
        How much perturbations have in common, see `leaplib.models.ridge`.
    """

    n_genes: int = 5000
    random_state: int = 0
    share: float = 0.0

    def _regressor(self) -> SharedKernelRidge:
        return SharedKernelRidge(self.share)

    def gene_weights(self, X: pd.DataFrame, perturbations: Sequence[str]) -> np.ndarray:
        """Return the derivatives of each fold model, folds x genes x perturbations, mean over the samples `X`."""
        columns, genes = self.perturbations_.get_indexer(pd.Index(perturbations)), self.features(X)[0].to_numpy(float)
        return np.stack([model.derivative(genes, columns) for model in chain(*self.members_[0].parts_)])
