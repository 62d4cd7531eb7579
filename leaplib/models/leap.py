"""LEAP, and its rivals without an autoencoder, PS-RIDGE and LEAP+: models of raw expression."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from leaplib.models.expression_model import ExpressionModel, check_tables
from leaplib.models.kernel import SharedKernelRidge
from leaplib.models.lasso import PSLasso
from leaplib.models.ridge import DualRidge
from leaplib.representation.kinds import Representations


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

    Genes are chosen and standardised as for LEAP; `leaplib.models.kernel` does the rest.

    Parameters
    ----------
    n_genes : int
        Most variable genes kept a source.
    random_state : int
        Seed of the tuning folds.
    share : float
        How much perturbations have in common, see `leaplib.models.kernel`.
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
