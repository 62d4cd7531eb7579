"""Genes that drive the predictions of a perturbation, and how firmly.

A gene's weight is the change of the prediction for a rise of its expression by one SD, all other genes held: the
derivative of the prediction by the standardised expression. For a linear head on a DAMAE's code it is traced through
the encoder, which is a network of ReLUs and so linear around every sample: at a sample the derivative is exact, the
product of the weight matrices over the hidden units that are on. Its mean over samples needs only how often each
hidden unit is on.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from leaplib.base.errors import InputError
from leaplib.models.base import seen
from leaplib.representation.damae import DAMAE

N_TOP = 50
BLOCK = 32  # perturbations traced at a time: bounds the memory


def trace(damae: DAMAE, scaled: pd.DataFrame, coef: np.ndarray) -> np.ndarray:
    """Return the mean derivative of a linear function of a DAMAE's code by its input.

    Parameters
    ----------
    damae : DAMAE, fitted
    scaled : DataFrame, samples x genes
        Standardised as the DAMAE's training data; the derivative is exact at each and averaged over them.
    coef : array, components x heads
        Weights of the linear functions.

    Returns
    -------
    array, genes x heads
    """
    on, first, rest = _encoder(damae, scaled)
    return first @ (on.mean(axis=0)[:, None] * (rest @ coef))


def _encoder(damae: DAMAE, scaled: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which hidden units are on (samples x units), and the weights before and behind them.

    An encoder without hidden units is linear: its code takes their place, all of it on.
    """
    weights = {name: weight.numpy().astype(float) for name, weight in damae.weights_.items()}
    first = weights["encoder.0.weight"]
    if not damae.n_hidden:
        return np.ones((len(scaled), first.shape[1])), first, np.eye(first.shape[1])
    hidden = scaled.to_numpy(dtype=float) @ first + weights["encoder.0.bias"]
    return (hidden > 0).astype(float), first, weights["encoder.1.weight"]


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
    scaled = model.representations_.scaler.transform(X)
    parts = []
    for damae, member in zip(model.representations_.damaes, model.members_, strict=True):
        coef = member.coef_[:, :, columns]  # folds x components x perturbations
        flat = trace(damae, scaled, coef.transpose(1, 0, 2).reshape(coef.shape[1], -1))
        parts.append(flat.reshape(len(flat), coef.shape[0], -1).transpose(1, 0, 2))
    return np.concatenate(parts)


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


def biomarkers(model: Any, X: pd.DataFrame, perturbations: Sequence[str] | None = None,
               n_top: int = N_TOP) -> pd.DataFrame:  # fmt: skip
    """Return the genes with the largest weights of each perturbation, and how stable they are.

    Parameters
    ----------
    model : fitted model, as in `gene_weights`
    X : DataFrame, samples x genes
    perturbations : sequence of str, optional
    n_top : int
        Genes a perturbation, by the absolute weight.

    Returns
    -------
    DataFrame
        perturbation, rank (from 1), gene, weight (mean over regressors), stability (share of the regressors that have
        the gene among their own `n_top`), agreement (of the perturbation: mean Spearman correlation between the
        weights of two regressors of different representations or folds; NaN with one regressor).
    """
    rows = [_top(name, weights, model.genes_, n_top) for name, weights in _blocks(model, X, perturbations)]
    return pd.concat(rows, ignore_index=True)


def _top(name: str, weights: np.ndarray, genes: pd.Index, n_top: int) -> pd.DataFrame:
    mean = weights.mean(axis=0)
    order = np.argsort(-np.abs(mean), kind="stable")[:n_top]
    stability = in_top(weights, n_top).mean(axis=0)
    return pd.DataFrame({"perturbation": name, "rank": np.arange(1, len(order) + 1), "gene": genes[order],
                         "weight": mean[order], "stability": stability[order],
                         "agreement": rank_agreement(weights)})  # fmt: skip


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
    """Return what each gene contributes to the prediction of one sample.

    Parameters
    ----------
    model : fitted model, as in `gene_weights`
    sample : DataFrame, 1 x genes
    perturbation : str

    Returns
    -------
    DataFrame, one row a gene, the largest contribution first
        gene, weight (derivative at the sample), value (standardised expression), contribution (weight x value).
    """
    if len(sample) != 1:
        raise InputError(f"attributions are those of one sample, not of {len(sample)}")
    scaler = model.representations_.scaler if hasattr(model, "representations_") else model.scaler_
    weight = gene_weights(model, sample, [perturbation])[:, :, 0].mean(axis=0)
    value = scaler.transform(sample).to_numpy(dtype=float)[0]
    frame = pd.DataFrame({"gene": model.genes_, "weight": weight, "value": value, "contribution": weight * value})
    return frame.sort_values("contribution", key=np.abs, ascending=False, kind="stable", ignore_index=True)
