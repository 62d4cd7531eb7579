import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.cohorts.selection import gene_set_membership, morgan

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def test_salts_and_stereochemistry_do_not_matter():
    smiles = pd.Series({
        "alanine": "C[C@@H](N)C(=O)O", "mirror": "C[C@H](N)C(=O)O", "flat": "CC(N)C(=O)O",
        "salt": "CC(N)C(=O)O.Cl", "aspirin": ASPIRIN,
    })  # fmt: skip
    bits = morgan(smiles)
    assert bits.shape == (5, 2048)
    for name in ("mirror", "flat", "salt"):
        assert bits.loc[name].equals(bits.loc["alanine"])
    assert not bits.loc["aspirin"].equals(bits.loc["alanine"])


def test_bits_are_morgan_radius_2():
    from rdkit import Chem
    from rdkit.Chem import AllChem

    reference = AllChem.GetMorganFingerprintAsBitVect(Chem.MolFromSmiles(ASPIRIN), 2, nBits=2048)
    found = morgan(pd.Series({"aspirin": ASPIRIN})).loc["aspirin"]
    assert found.to_numpy().nonzero()[0].tolist() == list(reference.GetOnBits())


@pytest.mark.parametrize("smiles", ["C1CC", "", None, "not a molecule"])
def test_an_unreadable_structure_is_named(smiles):
    with pytest.raises(InputError, match="drug 'x'"):
        morgan(pd.Series({"x": smiles}, dtype=object))


def test_membership():
    matrix = gene_set_membership(["TP53", "MDM2", "KRAS"], {"P53": ["TP53", "MDM2"], "OTHER": ["ALB"], "RAS": ["KRAS"]})
    assert matrix.columns.tolist() == ["P53", "RAS"]  # a set without any of the genes is left out
    assert matrix.loc["MDM2"].tolist() == [1, 0]
