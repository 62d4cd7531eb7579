"""Which gene sets stand at the ends of a ranking of genes: preranked gene-set enrichment analysis, by gseapy."""

import warnings
from collections.abc import Mapping, Sequence

import pandas as pd

from leaplib.base.errors import InputError

COLUMNS = {"Term": "gene_set", "ES": "es", "NES": "nes", "NOM p-val": "p", "FDR q-val": "fdr", "Lead_genes": "leading"}


def enrich(ranking: pd.Series, gene_sets: Mapping[str, Sequence[str]], min_size: int = 10, max_size: int = 500,
           n_permutations: int = 1000, seed: int = 0) -> pd.DataFrame:  # fmt: skip
    """Find the gene sets whose genes stand at one end of a ranking.

    The null permutes genes, which vary together in a set and not in a permutation: p and FDR rank sets, and are no
    proof of one.

    Parameters
    ----------
    ranking : Series
        Weight of each gene, such as a column of `leaplib.samples.biomarkers.mean_weights`.
    gene_sets : mapping of set name to genes
        As `leaplib.sources.read_collection` gives them; genes that are not ranked do not count.
    min_size, max_size : int
        Sets with fewer or more ranked genes are left out.
    n_permutations : int
    seed : int

    Returns
    -------
    DataFrame, one row a set, the largest absolute normalised score first
        gene_set, genes (ranked), es (enrichment score, from -1 to 1), nes (normalised by the mean of the permutations
        of its sign), p (at least 1 / n_permutations), fdr, leading (genes of the leading edge, joined by ";").

    Raises
    ------
    InputError
        When weights are missing or all equal, or no set is left.

    References
    ----------
    Subramanian et al., PNAS 2005; Fang et al., GSEApy, Bioinformatics 2023.
    """
    import gseapy  # slow to load, and few need it

    if ranking.isna().any() or ranking.nunique() < 2 or ranking.index.has_duplicates:
        raise InputError("the ranking needs one finite weight a gene, not all equal: a model without weights has none")
    known = {name: [gene for gene in genes if gene in ranking.index] for name, genes in gene_sets.items()}
    sizes = pd.Series({name: len(set(genes)) for name, genes in known.items()}, dtype=int)
    kept = sizes[sizes.between(min_size, max_size)]
    if kept.empty:
        raise InputError(
            f"no gene set has {min_size} to {max_size} of the {len(ranking):,} ranked genes: use symbols in both"
        )
    sets = {name: known[name] for name in kept.index}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of how it calls pandas
        result = gseapy.prerank(ranking, sets, outdir=None, min_size=min_size, max_size=max_size, seed=seed,
                                permutation_num=n_permutations, threads=1, no_plot=True)  # fmt: skip
    frame = result.res2d.rename(columns=COLUMNS)
    frame = frame.astype(dict.fromkeys(("es", "nes", "p", "fdr"), float))
    frame["p"] = frame["p"].clip(lower=1 / n_permutations)
    frame.insert(1, "genes", frame["gene_set"].map(kept))
    order = frame["nes"].abs().sort_values(ascending=False, kind="stable").index
    return frame.loc[order, ["gene_set", "genes", "es", "nes", "p", "fdr", "leading"]].reset_index(drop=True)
