"""What `benchmarks/drevalpy_models.py` hands over, without drevalpy: our folds as rows, and shorter fingerprints."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leaplib.cohorts.splits import holdouts


@pytest.fixture(scope="module")
def script():
    path = Path(__file__).parents[1] / "benchmarks" / "drevalpy_models.py"
    spec = importlib.util.spec_from_file_location("drevalpy_models", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_measured_pair_has_one_role_and_a_line_is_on_one_side(script):
    rng, lines = np.random.default_rng(0), pd.Index([f"line {i}" for i in range(40)], name="line")
    response = pd.DataFrame(rng.random((40, 6)), lines, [f"drug {j}" for j in range(6)])
    response = response.mask(rng.random(response.shape) < 0.2)
    split = holdouts(lines, 1)[0]
    roles = script.roles(split, response)
    pairs = pd.concat(roles.values())
    assert len(pairs) == response.notna().to_numpy().sum() and not pairs.duplicated(["line", "drug"]).any()
    assert (pairs["response"].to_numpy() == [response.loc[line, drug] for line, drug, _ in pairs.to_numpy()]).all()
    assert set(roles["test"]["line"]) == set(split.test)
    assert set(roles["validation"]["line"]) == set(split.train[split.folds == 0])
    assert all(set(part["drug"]) == set(response.columns) for part in roles.values())


def test_fingerprints_of_fewer_bits_are_those_that_rdkit_makes(script):
    from rdkit.Chem import MolFromSmiles
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    molecule = MolFromSmiles("CC(=O)OC1=CC=CC=C1C(=O)O")
    long, short = (GetMorganGenerator(fpSize=size).GetFingerprintAsNumPy(molecule) for size in (2048, 128))
    assert script.folded(pd.DataFrame([long]), 128).to_numpy().tolist() == [short.tolist()]
