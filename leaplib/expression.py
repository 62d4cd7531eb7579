"""Expression as the autoencoders see it: gene choice, then each gene to mean 0 and SD 1."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from leaplib.cohort import check_expression, check_unique
from leaplib.errors import InputError


def log_tpm(tpm: pd.DataFrame, where: str = "expression") -> pd.DataFrame:
    """Return log2(TPM + 1); infinite, missing or negative counts are an InputError that names them."""
    check_expression(tpm, "log2(TPM+1)", where)
    return pd.DataFrame(np.log2(tpm.to_numpy(dtype=float) + 1), index=tpm.index, columns=tpm.columns)


def variable_genes(sources: Mapping[str, pd.DataFrame], n_genes: int) -> pd.Index:
    """Return the union of each source's most variable genes, among the genes that all sources share.

    Parameters
    ----------
    sources : mapping of name to DataFrame (samples x genes)
    n_genes : int
        Genes kept a source (5,000 in the paper, Methods, "RNAseq data preprocessing").

    Returns
    -------
    Index
        Gene names, sorted. Ties in variance go to the name that sorts first.

    Raises
    ------
    InputError
        When the sources share no gene.
    """
    frames = list(sources.values())
    shared = frames[0].columns
    for frame in frames[1:]:
        shared = shared.intersection(frame.columns)
    if not len(shared):
        raise InputError(f"{', '.join(sources)}: no gene in common: check that all use gene symbols as columns")
    shared = shared.sort_values()
    chosen: set[str] = set()
    for frame in frames:
        variance = frame[shared].var(axis=0, ddof=0)
        chosen.update(variance.sort_values(ascending=False, kind="stable").index[:n_genes])
    return pd.Index(sorted(chosen), name="gene")


def join_domains(lines: pd.DataFrame, tumours: pd.DataFrame, unit: str) -> pd.DataFrame:
    """Put cell lines and xenografts into one table of the genes that both have.

    Parameters
    ----------
    lines : DataFrame, samples x genes
        In `unit`.
    tumours : DataFrame, samples x genes
        On a log scale.
    unit : {"log2(TPM+1)", "z-score"}
        Where cell lines are z-scored over their genes (a microarray), every sample is brought to mean 0 and SD 1
        over the common genes.

    Returns
    -------
    DataFrame, float32
        Lines first; genes in the order of the lines.

    Raises
    ------
    InputError
        When no gene is common, or a sample does not vary over the common genes.
    """
    genes = lines.columns[lines.columns.isin(tumours.columns)]
    if not len(genes):
        raise InputError("cell lines and xenografts have no gene in common: use gene symbols as columns in both")
    joined = pd.concat([lines[genes], tumours[genes]]).rename_axis(index=None).astype(np.float32)
    if unit != "z-score":
        return joined
    spread = joined.std(axis=1, ddof=0)
    if not (spread > 0).all():
        raise InputError(f"expression: sample {spread.index[~(spread > 0)][0]!r} does not vary over the "
                         f"{len(genes)} common genes: drop it")  # fmt: skip
    return joined.sub(joined.mean(axis=1), axis=0).div(spread, axis=0)


def by_source(expression: pd.DataFrame, sources: pd.Series) -> dict[str, pd.DataFrame]:
    """Return the samples of each source."""
    return {str(name): expression.loc[samples] for name, samples in sources.groupby(sources).groups.items()}


class ExpressionScaler(TransformerMixin, BaseEstimator):
    """Choose the variable genes and standardise them; `transform` reuses the training statistics.

    Parameters
    ----------
    n_genes : int
        Most variable genes kept a source.

    Attributes
    ----------
    genes_ : Index
        Genes kept, in the order of the output's columns.
    mean_, scale_ : Series
        Mean and SD (population) of each gene; the SD of a constant gene is set to 1.
    """

    def __init__(self, n_genes: int = 5000):
        self.n_genes = n_genes

    def fit(self, X: pd.DataFrame, y: object = None, sources: pd.Series | None = None) -> "ExpressionScaler":
        """Learn genes, means and SDs.

        Parameters
        ----------
        X : DataFrame, samples x genes
        y : ignored
        sources : Series, optional
            Source of each sample; genes are then chosen in each source and united.
        """
        groups = {"expression": X} if sources is None else by_source(X, sources)
        self.genes_ = variable_genes(groups, self.n_genes)
        values = X[self.genes_]
        self.mean_ = values.mean(axis=0)
        scale = values.std(axis=0, ddof=0)
        self.scale_ = scale.where(scale > 1e-12, 1.0)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return samples x genes_, standardised, float32.

        Raises
        ------
        InputError
            When a sample table lacks genes that were learned; the message counts and names them.
        """
        check_is_fitted(self)
        check_unique(X.columns, "gene", "expression")
        missing = self.genes_.difference(X.columns)
        if len(missing) == len(self.genes_):
            raise InputError(
                f"expression: none of the learned genes is a column: expected gene symbols such as {self.genes_[0]!r}"
            )
        if len(missing):
            raise InputError(
                f"expression: {len(missing)} of {len(self.genes_)} learned genes are missing, "
                f"{missing[0]!r} first: add these columns"
            )
        values = X[self.genes_]
        if not np.isfinite(values.to_numpy(dtype=float)).all():
            row = X.index[~np.isfinite(values.to_numpy(dtype=float)).all(axis=1)][0]
            raise InputError(f"expression: sample {row!r} has missing or infinite values: mend it or drop the sample")
        return ((values - self.mean_) / self.scale_).astype(np.float32)
