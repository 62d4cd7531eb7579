"""Genes whose expression is known to go with the response to a drug, and whether a model's weights find them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.sources.identifiers import normalise_drug


@dataclass(frozen=True)
class KnownPositive:
    """A mechanism, its drugs, and genes that are expected to drive sensitivity.

    Parameters
    ----------
    mechanism : str
    drugs : tuple of str
    sensitive : tuple of str
        Genes that are more expressed in sensitive samples.
    resistant : tuple of str
        Genes that are more expressed in resistant samples.
    source : str
    """

    mechanism: str
    drugs: tuple[str, ...]
    sensitive: tuple[str, ...] = ()
    resistant: tuple[str, ...] = ()
    source: str = ""

    @property
    def signs(self) -> dict[str, int]:
        """Return the expected direction of each gene: 1 sensitive, -1 resistant."""
        return dict.fromkeys(self.sensitive, 1) | dict.fromkeys(self.resistant, -1)


MAPK_OUTPUT = ("PHLDA1", "SPRY2", "SPRY4", "DUSP4", "DUSP6", "CCND1", "EPHA2", "EPHA4", "ETV4", "ETV5")
KNOWN_POSITIVES = (
    KnownPositive(
        "EGFR / ERBB2 inhibitors",
        ("Afatinib", "AST-1306", "AZD3759", "CI-1033", "CP724714", "Erlotinib", "Gefitinib", "Lapatinib", "Neratinib",
         "Osimertinib", "PF-00299804", "Pelitinib", "Sapitinib"),
        ("EGFR", "ERBB2", "ERBB3", "GRB7", "AREG", "EREG", "TGFA"),
        source="targets and partner; ligands: Khambata-Ford et al., J Clin Oncol 2007; Yonesaka et al., Clin Cancer "
        "Res 2008; GRB7, of ERBB2's amplicon: Stein et al., EMBO J 1994",
    ),
    KnownPositive(
        "MEK / ERK inhibitors",
        ("CI-1040", "PD0325901", "Refametinib", "Selumetinib", "Trametinib", "SCH772984", "Ulixertinib", "VX-11e"),
        MAPK_OUTPUT,
        source="MAPK pathway activity score: Wagle et al., npj Precis Oncol 2018; Dry et al., Cancer Res 2010",
    ),
    KnownPositive(
        "BRAF inhibitors: MAPK output",
        ("AZ628", "Dabrafenib", "PLX-4720", "SB590885", "Vemurafenib"),
        MAPK_OUTPUT,
        source="the pathway's output under BRAF V600E: Pratilas et al., PNAS 2009; Wagle et al., npj Precis Oncol 2018",
    ),
    KnownPositive(
        "BRAF inhibitors: melanocyte lineage",
        ("AZ628", "Dabrafenib", "PLX-4720", "SB590885", "Vemurafenib"),
        ("MITF", "TYR", "MLANA", "DCT", "SOX10", "PMEL"),
        source="Konieczkowski et al., Cancer Discov 2014; Johannessen et al., Nature 2013",
    ),
    KnownPositive(
        "MDM2 inhibitors",
        ("Nutlin-3", "Nutlin-3a (-)", "Idasanutlin", "AMG-232"),
        ("AEN", "BAX", "CCNG1", "CDKN1A", "DDB2", "FDXR", "MDM2", "RPS27L", "SESN1", "TNFRSF10B", "TRIAP1", "XPC",
         "ZMAT3"),
        source="13 targets of TP53: Jeay et al., eLife 2015",
    ),
    KnownPositive(
        "BCL2 inhibitors",
        ("ABT737", "Navitoclax", "Venetoclax"),
        ("BCL2", "BCL2L11"),
        ("MCL1", "BCL2A1"),
        source="Tse et al., Cancer Res 2008; Souers et al., Nat Med 2013; Al-Harbi et al., Blood 2011 (BCL2A1)",
    ),
    KnownPositive(
        "Topoisomerase inhibitors",
        ("Camptothecin", "Etoposide", "Irinotecan", "SN-38", "Topotecan"),
        ("SLFN11",),
        source="Zoppoli et al., PNAS 2012; Barretina et al., Nature 2012",
    ),
    KnownPositive(
        "HSP90 inhibitor tanespimycin",
        ("Tanespimycin",),
        ("NQO1",),
        source="Kelland et al., J Natl Cancer Inst 1999; Barretina et al., Nature 2012",
    ),
    KnownPositive(
        "Substrates of the pump ABCB1",
        ("Docetaxel", "Doxorubicin", "Paclitaxel", "Vinblastine", "Vinorelbine"),
        (),
        ("ABCB1",),
        source="Gottesman et al., Nat Rev Cancer 2002; Szakacs et al., Cancer Cell 2004",
    ),
)  # fmt: skip


def gene_percentiles(weights: pd.DataFrame, high_is_sensitive: bool = True,
                     known: Sequence[KnownPositive] = KNOWN_POSITIVES) -> pd.DataFrame:  # fmt: skip
    """Return where the known genes stand among all genes.

    Parameters
    ----------
    weights : DataFrame, genes x drugs
        As `leaplib.samples.biomarkers.mean_weights`.
    high_is_sensitive : bool
        True for AAC, False for AUC.
    known : sequence of KnownPositive
        Drugs and genes that are not in `weights` are left out.

    Returns
    -------
    DataFrame
        mechanism, drug, gene, expected ("sensitive" | "resistant"), weight, percentile: the share of the other genes
        whose weight is less in the expected direction (1: the first of all, 0.5: chance).
    """
    ranks = _percentiles(weights, high_is_sensitive)
    rows = []
    for item, drugs in _present(weights, known):
        for gene in weights.index.intersection(list(item.signs), sort=False):
            sign = item.signs[gene]
            expected, places = (
                "sensitive" if sign > 0 else "resistant",
                _signed(ranks.loc[gene, drugs].to_numpy(), sign),
            )
            rows += [(item.mechanism, drug, gene, expected, weights.loc[gene, drug], place)
                     for drug, place in zip(drugs, places, strict=True)]  # fmt: skip
    return pd.DataFrame(rows, columns=["mechanism", "drug", "gene", "expected", "weight", "percentile"])


def recovery(weights: pd.DataFrame, high_is_sensitive: bool = True,
             known: Sequence[KnownPositive] = KNOWN_POSITIVES, n_permutations: int = 10_000,
             seed: int = 0) -> pd.DataFrame:  # fmt: skip
    """Tell for each mechanism whether its genes stand where they are expected.

    Parameters
    ----------
    weights, high_is_sensitive, known
        As in `gene_percentiles`.
    n_permutations : int
    seed : int

    Returns
    -------
    DataFrame, one row a mechanism with drugs and genes in `weights`
        mechanism, drugs, genes, percentile (mean over drugs and genes), best_gene, best_percentile (mean over drugs),
        p_genes (against as many genes drawn at random; genes of one programme vary together, so that it flatters),
        p_drugs (the same genes for as many other drugs drawn at random: whether they say anything of these drugs in
        particular; NaN with fewer than 20 other drugs), source. Each p is (1 + hits) / (1 + permutations), one-sided.
    """
    ranks, rows = _percentiles(weights, high_is_sensitive), []
    for item, drugs in _present(weights, known):
        signs = pd.Series({gene: sign for gene, sign in item.signs.items() if gene in weights.index}, dtype=float)
        if signs.empty:
            continue
        turned = _signed(ranks.loc[signs.index].to_numpy(), signs.to_numpy()[:, None])
        table = pd.DataFrame(turned, index=signs.index, columns=ranks.columns)
        own, rng = table[drugs], np.random.default_rng(seed)
        found = float(own.to_numpy().mean())
        by_gene = own.mean(axis=1)
        rows.append({"mechanism": item.mechanism, "drugs": len(drugs), "genes": len(signs), "percentile": found,
                     "best_gene": by_gene.idxmax(), "best_percentile": by_gene.max(),
                     "p_genes": _p_genes(ranks[drugs].to_numpy(), signs.to_numpy(), found, n_permutations, rng),
                     "p_drugs": _p_drugs(table.drop(columns=drugs), len(drugs), found, n_permutations, rng),
                     "source": item.source})  # fmt: skip
    return pd.DataFrame(rows)


def _percentiles(weights: pd.DataFrame, high_is_sensitive: bool) -> pd.DataFrame:
    """Return the share of the other genes with a weight that is lower (ties count half), by drug."""
    if len(weights) < 2:
        raise InputError(f"weights of {len(weights)} genes: ranks need two or more")
    ranked = weights.rank(axis=0) if high_is_sensitive else (-weights).rank(axis=0)
    return (ranked - 1) / (len(weights) - 1)


def _signed(percentile: np.ndarray, sign: np.ndarray | int) -> np.ndarray:
    """Turn percentiles round where a gene is expected in resistant samples."""
    return np.where(np.asarray(sign) > 0, percentile, 1 - percentile)


def _present(weights: pd.DataFrame, known: Sequence[KnownPositive]) -> list[tuple[KnownPositive, list[str]]]:
    """Return the mechanisms with drugs in `weights`, and these drugs as they are spelled there."""
    spelled = {normalise_drug(drug): drug for drug in weights.columns}
    found = [(item, [spelled[key] for key in map(normalise_drug, item.drugs) if key in spelled]) for item in known]
    return [(item, drugs) for item, drugs in found if drugs]


def _p_genes(ranks: np.ndarray, signs: np.ndarray, found: float, n: int, rng: np.random.Generator) -> float:
    """Return the share of random sets of genes (the same for all drugs) that do as well."""
    mean = ranks.mean(axis=1)
    drawn = np.array([mean[rng.choice(len(mean), len(signs), replace=False)] for _ in range(n)])
    return float((1 + (np.where(signs > 0, drawn, 1 - drawn).mean(axis=1) >= found - 1e-12).sum()) / (1 + n))


def _p_drugs(others: pd.DataFrame, n_drugs: int, found: float, n: int, rng: np.random.Generator) -> float:
    """Return the share of random sets of other drugs for which the genes stand as high."""
    if others.shape[1] < max(20, n_drugs):
        return np.nan
    mean = others.to_numpy().mean(axis=0)
    drawn = np.array([mean[rng.choice(len(mean), n_drugs, replace=False)].mean() for _ in range(n)])
    return float((1 + (drawn >= found - 1e-12).sum()) / (1 + n))
