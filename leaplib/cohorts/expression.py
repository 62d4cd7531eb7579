"""Expression as the autoencoders see it: gene choice, each gene to mean 0 and SD 1, domains brought together."""

from collections.abc import Mapping
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from leaplib.base.errors import InputError
from leaplib.base.matrices import LARGEST, numeric
from leaplib.base.store import load_frame, save_frame
from leaplib.cohorts.cohort import check_expression, check_unique
from leaplib.tasks import HARMONISE


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
    shared = reduce(pd.Index.intersection, (frame.columns for frame in sources.values()))
    if not len(shared):
        raise InputError(f"{', '.join(sources)}: no gene in common: check that all use gene symbols as columns")
    if len(set(map(type, shared))) > 1:  # nothing orders text and numbers
        raise InputError(f"{', '.join(sources)}: some columns are named by numbers: use gene symbols as columns")
    shared = shared.sort_values()
    chosen: set[str] = set()
    for frame in sources.values():
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
        if not isinstance(X, pd.DataFrame):
            raise InputError(f"expression: expected a DataFrame with samples as rows, got {type(X).__name__}")
        check_unique(X.columns, "gene", "expression")
        missing, n_genes = self.genes_.difference(X.columns), len(self.genes_)
        if len(missing) == n_genes:
            such = f"such as {self.genes_[0]!r}"
            raise InputError(f"expression: none of the learned genes is a column: expected gene symbols {such}")
        if len(missing):
            problem = f"{len(missing)} of {n_genes} learned genes are missing, {missing[0]!r} first"
            raise InputError(f"expression: {problem}: add these columns")
        values = X[self.genes_]
        fits = (np.abs(numeric(values, "expression")) <= LARGEST).all(axis=1)
        if not fits.all():
            row = X.index[~fits][0]
            raise InputError(f"expression: sample {row!r} has missing or infinite values: mend it or drop the sample")
        return ((values - self.mean_) / self.scale_).astype(np.float32)

    def save(self, path: str | Path) -> Path:
        """Write mean and scale of the genes as parquet."""
        check_is_fitted(self)
        save_frame(pd.DataFrame({"mean": self.mean_, "scale": self.scale_}), Path(path), {})
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> "ExpressionScaler":
        """Read what `save` wrote; a missing or damaged file is an InputError."""
        learned = load_frame(Path(path))
        scaler = cls(len(learned))
        scaler.genes_, scaler.mean_, scaler.scale_ = learned.index, learned["mean"], learned["scale"]
        return scaler


def harmonise(expression: pd.DataFrame, domain: pd.Series, how: str) -> pd.DataFrame:
    """Bring the samples of several domains (such as cell lines and xenografts) together, all samples at once.

    Nothing is kept for further samples: this is for transductive use.

    Parameters
    ----------
    expression : DataFrame, samples x genes
        On a log scale.
    domain : Series
        Domain of each sample; further samples are ignored.
    how : {"together", "per domain", "combat"}
        "together": each gene to mean 0 and SD 1 (population) over all samples. "per domain": over the samples of
        each domain. "combat": empirical Bayes batch correction with the domains as batches (Johnson et al. 2007,
        parametric, no covariates; by scanpy), then as "together".

    Returns
    -------
    DataFrame of float32, samples x genes
        A gene that is constant (over all samples, or within a domain) is 0 there; so is, after ComBat, one that
        is constant within every domain, as nothing but the domain is left in it.

    Raises
    ------
    InputError
        For another way, samples or genes that repeat, values that are missing or infinite, a sample without a
        domain, and domains with fewer than 2 samples ("per domain" and "combat").

    References
    ----------
    Johnson, Li, Rabinovic (2007), Adjusting batch effects in microarray expression data using empirical Bayes
    methods, Biostatistics 8(1).
    """
    if how not in HARMONISE:
        raise InputError(f"harmonisation {how!r} is unknown: use one of {', '.join(HARMONISE)}")
    check_expression(expression, "z-score", "expression")  # whose values may be negative
    values = expression.to_numpy(dtype=float)
    codes = np.zeros(len(values), dtype=int) if how == "together" else _domains(expression.index, domain)
    if how == "combat" and codes.any():
        values = _combat(values, codes)
    groups = codes if how == "per domain" else np.zeros_like(codes)
    scaled = np.empty(values.shape, dtype=np.float32)
    for group in range(groups.max() + 1):
        rows = groups == group
        scaled[rows] = _standardised(values[rows])
    return pd.DataFrame(scaled, index=expression.index, columns=expression.columns)


def _domains(samples: pd.Index, domain: pd.Series) -> np.ndarray:
    """Return the number of each sample's domain; every domain needs 2 samples."""
    check_unique(domain.index, "sample", "domains")
    labels = domain.reindex(samples)
    if labels.isna().any():
        raise InputError(f"sample {labels.index[labels.isna()][0]!r} has no domain: name one for every sample")
    sizes = labels.value_counts()
    if sizes.min() < 2:
        raise InputError(f"domain {sizes.idxmin()!r} has {sizes.min()} sample: at least 2 are needed for its SD")
    return pd.factorize(labels, sort=True)[0]


def _constant(values: np.ndarray) -> np.ndarray:
    """Tell which columns are constant but for rounding."""
    return values.std(axis=0) <= 1e-12 * np.abs(values).max(axis=0)


def _standardised(values: np.ndarray) -> np.ndarray:
    """Return each column with mean 0 and SD 1; constant ones are 0."""
    constant = _constant(values)
    return np.where(constant, 0.0, (values - values.mean(axis=0)) / np.where(constant, 1.0, values.std(axis=0)))


def _combat(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the values, samples x genes, less the effects of the batches."""
    import anndata  # both are slow to load, and few need them
    import scanpy

    # A gene that varies in no batch is kept from the library: its 0 / 0 would end the search for all genes.
    varies = ~np.all([_constant(values[codes == code]) for code in np.unique(codes)], axis=0)
    corrected = np.zeros_like(values)
    batches = pd.DataFrame({"batch": pd.Categorical(codes.astype(str))}, index=np.arange(len(codes)).astype(str))
    genes = pd.DataFrame(index=np.flatnonzero(varies).astype(str))
    table = anndata.AnnData(values[:, varies], batches, genes)
    with np.errstate(divide="ignore"):  # by the variance of a gene that is constant in one batch, at the first step
        corrected[:, varies] = scanpy.pp.combat(table, key="batch", inplace=False)
    if not np.isfinite(corrected).all():
        raise InputError("ComBat has no solution: it needs at least 2 genes, of different variance within a domain")
    return corrected
