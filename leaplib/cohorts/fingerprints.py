"""Fingerprints of perturbations: Morgan bits of drugs, gene-set membership of genes."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from rdkit import Chem, RDLogger
from rdkit.Chem import rdFingerprintGenerator
from rdkit.Chem.SaltRemover import SaltRemover

from leaplib.base.errors import InputError

RADIUS = 2
N_BITS = 2048


def clean_molecule(smiles: str, name: str) -> Chem.Mol:
    """Parse a SMILES and remove salts and stereochemistry (paper, Methods, "Drug fingerprints").

    Of several remaining components the one with most heavy atoms is kept.

    Raises
    ------
    InputError
        When rdkit cannot parse the SMILES; the message names the drug.
    """
    with_log = RDLogger.logger()
    with_log.setLevel(RDLogger.CRITICAL)
    molecule = Chem.MolFromSmiles(smiles) if isinstance(smiles, str) and smiles else None
    with_log.setLevel(RDLogger.WARNING)
    if molecule is None:
        raise InputError(f"drug {name!r}: its SMILES {smiles!r} cannot be parsed: correct it or drop the drug")
    molecule = SaltRemover().StripMol(molecule, dontRemoveEverything=True)
    parts = Chem.GetMolFrags(molecule, asMols=True)
    molecule = max(parts, key=lambda part: part.GetNumHeavyAtoms())
    Chem.RemoveStereochemistry(molecule)
    return molecule


def morgan(smiles: pd.Series) -> pd.DataFrame:
    """Morgan fingerprints of drugs.

    Parameters
    ----------
    smiles : Series
        SMILES by drug name.

    Returns
    -------
    DataFrame, drugs x 2,048 bits, uint8
    """
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=N_BITS)
    bits = [generator.GetFingerprintAsNumPy(clean_molecule(text, str(name))) for name, text in smiles.items()]
    matrix = np.array(bits, dtype=np.uint8).reshape(len(smiles), N_BITS)
    return pd.DataFrame(matrix, index=smiles.index, columns=[f"bit_{i}" for i in range(N_BITS)])


def gene_set_membership(genes: Sequence[str], gene_sets: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Membership of genes in gene sets (MSigDB C2 CGP in the paper).

    Sets that hold none of the genes are left out, as in DeepDEP.

    Returns
    -------
    DataFrame, genes x sets, uint8
    """
    index = pd.Index(genes)
    columns = {name: index.isin(set(members)).astype(np.uint8) for name, members in gene_sets.items()}
    matrix = pd.DataFrame(columns, index=index)
    return matrix.loc[:, matrix.any(axis=0)]
