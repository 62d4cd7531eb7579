"""PS-RIDGE on raw expression: one ridge regression a perturbation on all standardised genes, no autoencoder."""

import pandas as pd

from leaplib.expression import ExpressionScaler
from leaplib.expression_model import ExpressionModel
from leaplib.regressors import DualRidge
from leaplib.splits import tuning_folds


class PSRidge(ExpressionModel):
    """Perturbation-specific ridge regression on the genes themselves: what LEAP has to surpass.

    Genes are chosen and standardised as for LEAP; `leaplib.regressors.DualRidge` does the rest.

    Parameters
    ----------
    n_genes : int
        Most variable genes kept a source.
    random_state : int
        Seed of the tuning folds.
    n_penalties : int
        Penalties tried a perturbation.

    Attributes
    ----------
    scaler_ : ExpressionScaler
    regressor_ : DualRidge
    coef_ : DataFrame, genes x perturbations
        Weights of the standardised genes, mean over the fold models: what drives the predictions.

    Examples
    --------
    >>> model = PSRidge(random_state=0)  # doctest: +SKIP
    >>> model.fit(X, Y, unlabelled=X_new).predict(X_new)  # doctest: +SKIP
    """

    def __init__(self, n_genes: int = 5000, random_state: int = 0, n_penalties: int = 10):
        self.n_genes = n_genes
        self.random_state = random_state
        self.n_penalties = n_penalties

    def _fit(self, X: pd.DataFrame, Y: pd.DataFrame, groups: pd.Series | None, pool: pd.DataFrame,
             sources: pd.Series | None) -> None:  # fmt: skip
        self.scaler_ = ExpressionScaler(self.n_genes).fit(pool, sources=sources)
        folds = tuning_folds(X.index, self.random_state, groups)
        self.regressor_ = DualRidge(self.n_penalties).fit(self.scaler_.transform(X), Y, folds)

    def _predict(self, X: pd.DataFrame) -> pd.DataFrame:
        return self.regressor_.predict(self.scaler_.transform(X))

    @property
    def coef_(self) -> pd.DataFrame:
        """Weights of the standardised genes."""
        return pd.DataFrame(self.regressor_.coef_, index=self.scaler_.genes_, columns=self.perturbations_)
