"""Screens: what the preparation starts from, with one name for each line and each drug."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

JOINS = ["study", "what", "raw", "canonical", "how"]


def no_structures() -> pd.Series:
    """Return SMILES by drug, of no drug."""
    return pd.Series(dtype=str, name="smiles").rename_axis("drug")


@dataclass(frozen=True)
class Study:
    """What the file of one drug study holds; lines and drugs are named as there.

    Parameters
    ----------
    records : DataFrame
        study, line, drug, aac (0 to 1); one row a measurement, repeats kept.
    smiles : Series
        SMILES by drug, where known.
    expression : DataFrame, lines x genes, float32, or None
        log2(TPM + 1), where the file has RNA-seq.
    """

    records: pd.DataFrame
    smiles: pd.Series = field(default_factory=no_structures)
    expression: pd.DataFrame | None = None


@dataclass(frozen=True)
class DrugScreen:
    """Expression of cell lines and their responses to drugs over several studies.

    Parameters
    ----------
    expression : DataFrame, lines x genes
        All lines with expression, also those without a response; values in `unit`.
    responses : DataFrame
        line, drug, study, aac (0 to 1); one row a measurement, repeats kept, lines without expression
        included.
    samples : DataFrame
        Indexed by line, all of the above; tissue and cancer_type missing where unknown.
    smiles : Series
        SMILES by drug, of the drugs whose structure is known.
    lost : DataFrame
        study, what ("line" | "drug"), raw (name), reason: everything that does not join, by name.
    unit : {"log2(TPM+1)", "z-score"}
    platform : str
        How expression was measured.
    data : {"real", "simulated"}
    joins : DataFrame
        study, what, raw, canonical, how: the name that each name was given; `how` as in `LineIndex.match`
        for a line, and for a drug how its structure was found (`DrugIndex.match`).
    """

    expression: pd.DataFrame
    responses: pd.DataFrame
    samples: pd.DataFrame
    smiles: pd.Series
    lost: pd.DataFrame
    unit: str
    platform: str
    data: str
    joins: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=JOINS))


@dataclass(frozen=True)
class GeneScreen:
    """Expression of cell lines and their dependency on genes.

    Parameters
    ----------
    expression : DataFrame, lines x genes
        Values in `unit`.
    dependency : DataFrame, lines x genes
        Probability of dependency, gene effect or (pocket) minus the effect; NaN where not screened.
    samples : DataFrame
        Indexed by line; tissue, cancer_type.
    gene_sets : mapping of str to sequence of str
        Sets of genes by name: the fingerprint of a gene tells of which it is a member.
    unit : {"log2(TPM+1)", "z-score"}
    platform : str
        How expression was measured.
    data : one of `leaplib.tasks.DATA`
    """

    expression: pd.DataFrame
    dependency: pd.DataFrame
    samples: pd.DataFrame
    gene_sets: Mapping[str, Sequence[str]]
    unit: str
    platform: str
    data: str
