"""Genes whose expression is known to go with the response to a drug, and whether a model's weights find them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.sources.genes import gene_name
from leaplib.sources.identifiers import normalise_drug

COLUMNS = ["mechanism", "drugs", "genes", "percentile", "best_gene", "best_percentile", "p_genes", "p_drugs", "source"]
FEWEST_DRUGS = 20  # others, to draw from


def known_positives() -> pd.DataFrame:
    """Return mechanism, drugs, genes more expressed in sensitive and in resistant samples (lists), and source."""
    table = pd.read_csv(Path(__file__).with_name("known_positives.csv"), dtype=str, keep_default_na=False)
    lists = ["drugs", "sensitive", "resistant"]
    return table.assign(**{name: table[name].map(lambda text: text.split("; ") if text else []) for name in lists})


def recovery(
    weights: pd.DataFrame,
    high_is_sensitive: bool = True,
    known: pd.DataFrame | None = None,
    n_permutations: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Tell for each mechanism whether its genes stand where they are expected.

    Parameters
    ----------
    weights : DataFrame, genes x drugs
        As `leaplib.samples.biomarkers.mean_weights`.
    high_is_sensitive : bool
        True for AAC, False for AUC.
    known : DataFrame, optional
        As `known_positives`; drugs and genes that are not in `weights` are left out.
    n_permutations, seed : int

    Returns
    -------
    DataFrame, one row a mechanism with drugs and genes in `weights`
        mechanism, drugs, genes, percentile (share of the other genes whose weight is less in the expected direction,
        mean over drugs and genes; 0.5: chance), best_gene, best_percentile (mean over drugs), p_genes (against as
        many genes drawn at random; genes of one programme vary together, so that it flatters), p_drugs (the same
        genes for as many other drugs drawn at random: whether they say anything of these drugs in particular; NaN
        with fewer than 20 other drugs), source. Each p is (1 + hits) / (1 + permutations), one-sided.
    """
    if len(weights) < 2:
        raise InputError(f"weights of {len(weights)} genes: ranks need two or more")
    weights = weights.rename(index=gene_name)
    ranks = ((weights if high_is_sensitive else -weights).rank(axis=0) - 1) / (len(weights) - 1)
    spelled = {normalise_drug(drug): drug for drug in weights.columns}
    rows, items = [], known_positives() if known is None else known
    for item in cast("Iterable[Any]", items.itertuples()):
        drugs = [spelled[key] for key in map(normalise_drug, item.drugs) if key in spelled]
        signs = pd.Series(dict.fromkeys(item.sensitive, 1.0) | dict.fromkeys(item.resistant, -1.0), dtype=float)
        signs = signs.rename(gene_name)
        signs = signs[signs.index.isin(weights.index)]
        if not drugs or signs.empty:
            continue
        sign, rng = signs.to_numpy(), np.random.default_rng(seed)
        table = _turned(ranks.loc[signs.index], sign[:, None])
        by_gene, others = table[drugs].mean(axis=1), table.drop(columns=drugs).mean(axis=0)
        found = float(table[drugs].to_numpy().mean())
        random_genes = _turned(_drawn(ranks[drugs].mean(axis=1), len(signs), n_permutations, rng), sign)
        p_genes, p_drugs = _p(random_genes, found), np.nan
        if len(others) >= max(FEWEST_DRUGS, len(drugs)):
            p_drugs = _p(_drawn(others, len(drugs), n_permutations, rng), found)
        best = by_gene.idxmax(), by_gene.max()
        rows.append((item.mechanism, len(drugs), len(signs), found, *best, p_genes, p_drugs, item.source))
    return pd.DataFrame(rows, columns=COLUMNS)


def _turned(percentile: Any, sign: np.ndarray) -> Any:
    """Turn percentiles round where a gene is expected in resistant samples."""
    return 0.5 + sign * (percentile - 0.5)


def _drawn(values: pd.Series, size: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `size` of the values, without replacement, n times."""
    pool = values.to_numpy()
    return np.array([pool[rng.choice(len(pool), size, replace=False)] for _ in range(n)])


def _p(drawn: np.ndarray, found: float) -> float:
    """Return the share of draws whose mean is as high."""
    return float((1 + (drawn.mean(axis=1) >= found - 1e-12).sum()) / (1 + len(drawn)))
