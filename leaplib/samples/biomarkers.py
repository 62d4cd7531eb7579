"""Genes that drive the predictions of a perturbation, how firmly, and which gene sets they come from.

A gene's weight is the change of the prediction for a rise of its expression by one SD, all other genes held: the
derivative of the prediction by the standardised expression. For a linear head on a DAMAE's code it is traced through
the encoder, which is a network of ReLUs and so linear around every sample: at a sample the derivative is exact, the
product of the weight matrices over the hidden units that are on. Its mean over samples needs only how often each
hidden unit is on.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from leaplib.base.errors import InputError
from leaplib.models.base import seen
from leaplib.representation.damae import DAMAE
from leaplib.sources.genes import gene_name

BLOCK = 32  # perturbations traced at a time: bounds the memory
COLUMNS = {"Term": "gene_set", "ES": "es", "NES": "nes", "NOM p-val": "p", "FDR q-val": "fdr", "Lead_genes": "leading"}


def gene_weights(model: Any, X: pd.DataFrame, perturbations: Sequence[Any] | None = None) -> np.ndarray:
    """Return the weight of each gene in each regressor of a fitted model, averaged over samples.

    Parameters
    ----------
    model : fitted model
        Linear heads on DAMAEs (`representations_` and `members_`, such as `leaplib.LEAP`), linear in standardised genes
        (`coef_`, folds x genes x perturbations or without folds), or any with a method
        `gene_weights(X, perturbations)`.
    X : DataFrame, samples x genes
        Where the derivative is taken; for a model that is linear in genes it makes no difference.
    perturbations : sequence of str, optional

    Returns
    -------
    array, regressors x genes x perturbations
        Genes as in `model.genes_`; the regressors of one representation after those of another.
    """
    names = seen(model.perturbations_, perturbations)
    if hasattr(model, "gene_weights"):
        return np.asarray(model.gene_weights(X, names))
    columns = model.perturbations_.get_indexer(names)
    if not hasattr(model, "representations_"):
        coef = np.asarray(model.coef_)[..., columns]
        return coef if coef.ndim == 3 else coef[None]
    scaled = model.representations_.scaler.transform(X).to_numpy(dtype=float)
    parts = []
    for damae, member in zip(model.representations_.damaes, model.members_, strict=True):
        first, last = _encoder(damae, scaled)
        parts.append(first @ (last @ member.coef_[:, :, columns]))  # folds x components x perturbations
    return np.concatenate(parts)


def _encoder(damae: DAMAE, scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two matrices whose product is the mean derivative of the code (genes x components)."""
    state = {name: weight.numpy().astype(float).T for name, weight in damae.network_.encoder.state_dict().items()}
    first = state["0.weight"]
    if not damae.n_hidden:
        return first, np.eye(first.shape[1])
    on = (scaled @ first + state["0.bias"] > 0).mean(axis=0)
    return first, on[:, None] * state["3.weight"]  # behind ReLU and dropout


def _blocks(model: Any, X: pd.DataFrame, perturbations: Sequence[str] | None) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each perturbation with the weights of its genes, regressors x genes."""
    names = seen(model.perturbations_, perturbations)
    for start in range(0, len(names), BLOCK):
        part = names[start : start + BLOCK]
        weights = gene_weights(model, X, list(part))
        yield from ((name, weights[:, :, number]) for number, name in enumerate(part))


def mean_weights(model: Any, X: pd.DataFrame, perturbations: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the weight of every gene (mean over regressors and samples), genes x perturbations."""
    columns = {name: weights.mean(axis=0) for name, weights in _blocks(model, X, perturbations)}
    return pd.DataFrame(columns, index=model.genes_)


def biomarkers(
    model: Any, X: pd.DataFrame, perturbations: Sequence[str] | None = None, n_top: int = 50
) -> pd.DataFrame:
    """Return the `n_top` genes with the largest absolute weights of each perturbation, and how stable they are.

    Returns
    -------
    DataFrame
        perturbation, rank (from 1), gene, weight (mean over regressors), stability (share of the regressors that have
        the gene among their own `n_top`), agreement (of the perturbation: mean Spearman correlation between the
        weights of two regressors of different representations or folds; NaN with one regressor).
    """
    parts = []
    for name, weights in _blocks(model, X, perturbations):
        frame = pd.DataFrame({"perturbation": name, "gene": model.genes_, "weight": weights.mean(axis=0)})
        frame = frame.assign(stability=in_top(weights, n_top).mean(axis=0), agreement=rank_agreement(weights))
        parts.append(frame.sort_values("weight", key=lambda w: -w.abs(), kind="stable").head(n_top))
        parts[-1].insert(1, "rank", np.arange(1, len(parts[-1]) + 1))
    return pd.concat(parts, ignore_index=True)


def in_top(weights: np.ndarray, n_top: int) -> np.ndarray:
    """Tell which genes are among the `n_top` largest absolute weights of each regressor (regressors x genes).

    A weight of 0 is never among them: a Lasso may have dropped everything.
    """
    size = np.abs(weights)
    n_top = min(n_top, size.shape[1])
    least = -np.partition(-size, n_top - 1, axis=1)[:, [n_top - 1]]
    return (size >= least) & (size > 0)


def rank_agreement(weights: np.ndarray) -> float:
    """Return the mean Spearman correlation between the weights of two regressors, those that are all 0 left out."""
    varied = weights[np.ptp(weights, axis=1) > 0]
    if len(varied) < 2:
        return np.nan
    table = np.corrcoef(rankdata(varied, axis=1))
    return float(table[np.triu_indices(len(varied), 1)].mean())


def attributions(model: Any, sample: pd.DataFrame, perturbation: str) -> pd.DataFrame:
    """Return what each gene contributes to the prediction of one sample (1 x genes), the largest first.

    Returns
    -------
    DataFrame, one row a gene
        gene, weight (derivative at the sample), value (standardised expression), contribution (weight x value).
    """
    if len(sample) != 1:
        raise InputError(f"attributions are those of one sample, not of {len(sample)}")
    weight = gene_weights(model, sample, [perturbation])[:, :, 0].mean(axis=0)
    value = model.representations_.scaler.transform(sample).to_numpy(dtype=float)[0]
    frame = pd.DataFrame({"gene": model.genes_, "weight": weight, "value": value, "contribution": weight * value})
    return frame.sort_values("contribution", key=np.abs, ascending=False, kind="stable", ignore_index=True)


def enrich(
    ranking: pd.Series, gene_sets: Mapping[str, Sequence[str]], max_size: int = 500, n_permutations: int = 1000
) -> pd.DataFrame:
    """Find the gene sets whose genes stand at one end of a ranking: preranked enrichment analysis, by gseapy.

    The null permutes genes, which vary together in a set and not in a permutation: p and FDR rank sets, and are no
    proof of one.

    Parameters
    ----------
    ranking : Series
        Weight of each gene, such as a column of `mean_weights`.
    gene_sets : mapping of set name to genes
        As `leaplib.sources.read_collection` gives them. Genes that are not ranked do not count; sets with fewer than
        10 or more than `max_size` ranked genes are left out.

    Returns
    -------
    DataFrame, one row a set, the largest absolute normalised score first
        gene_set, genes (ranked), es (enrichment score, from -1 to 1), nes (normalised by the mean of the permutations
        of its sign), p (at least 1 / n_permutations), fdr, leading (genes of the leading edge, joined by ";").

    References
    ----------
    Subramanian et al., PNAS 2005; Fang et al., GSEApy, Bioinformatics 2023.
    """
    import gseapy  # slow to load, and few need it

    ranking = ranking.rename(gene_name)
    if ranking.isna().any() or ranking.nunique() < 2 or ranking.index.has_duplicates:
        raise InputError("the ranking needs one finite weight a gene, not all equal: a model without weights has none")
    named = {name: list(map(gene_name, genes)) for name, genes in gene_sets.items()}
    known = {name: list(dict.fromkeys(ranking.index.intersection(genes))) for name, genes in named.items()}
    sets = {name: genes for name, genes in known.items() if 10 <= len(genes) <= max_size}
    if not sets:
        raise InputError(f"no gene set has 10 to {max_size} of the {len(ranking):,} ranked genes: use symbols in both")
    options = {"outdir": None, "min_size": 10, "max_size": max_size, "seed": 0, "threads": 1, "no_plot": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of how it calls pandas
        result = gseapy.prerank(ranking, sets, permutation_num=n_permutations, **options)
    frame = result.res2d.rename(columns=COLUMNS)[list(COLUMNS.values())]
    frame = frame.astype(dict.fromkeys(("es", "nes", "p", "fdr"), float))
    frame["p"] = frame["p"].clip(lower=1 / n_permutations)
    frame.insert(1, "genes", frame["gene_set"].map(lambda name: len(sets[name])))
    return frame.sort_values("nes", key=lambda nes: -nes.abs(), kind="stable", ignore_index=True)
