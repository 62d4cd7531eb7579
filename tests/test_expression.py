import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler

from leaplib.errors import InputError
from leaplib.expression import ExpressionScaler, log_tpm, variable_genes


@pytest.fixture
def table(rng):
    values = rng.normal(size=(40, 6)) * [1, 5, 3, 0, 2, 4] + 10
    return pd.DataFrame(values, columns=list("ABCDEF"))


def test_log_tpm(table):
    assert log_tpm(pd.DataFrame({"A": [0.0, 1.0, 3.0]}))["A"].tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(InputError, match="negative expression of gene 'A' in sample 'x'"):
        log_tpm(pd.DataFrame({"A": [-1.0]}, index=["x"]))


def test_most_variable_genes_of_each_source_are_united(table, rng):
    other = pd.DataFrame(rng.normal(size=(40, 5)) * [9, 1, 1, 8, 1], columns=list("ABCDG"))
    assert variable_genes({"one": table}, 2).tolist() == ["B", "F"]
    # Only genes that both share: A, B, C, D. Of the first B and C, of the second A and D.
    assert variable_genes({"one": table, "two": other}, 2).tolist() == ["A", "B", "C", "D"]
    with pytest.raises(InputError, match="no gene in common"):
        variable_genes({"one": table, "two": other.add_prefix("x")}, 2)


def test_scaler_equals_scikit_learn_and_keeps_training_statistics(table):
    train, test = table.iloc[:30], table.iloc[30:]
    scaler = ExpressionScaler(n_genes=6).fit(train)
    reference = StandardScaler().fit(train)
    np.testing.assert_allclose(scaler.transform(train), reference.transform(train), atol=1e-6)
    np.testing.assert_allclose(scaler.transform(test), reference.transform(test), atol=1e-5)
    assert scaler.transform(train)["D"].abs().max() < 1e-6  # a constant gene does not divide by zero


def test_columns_are_found_by_name(table):
    scaler = ExpressionScaler(n_genes=3).fit(table)
    shuffled = table[list("FEDCBA")].assign(extra=1.0)
    pd.testing.assert_frame_equal(scaler.transform(shuffled), scaler.transform(table))


def test_errors_name_gene_and_sample(table):
    scaler = ExpressionScaler(n_genes=3).fit(table)
    with pytest.raises(InputError, match=r"1 of 3 learned genes are missing, 'C' first"):
        scaler.transform(table.drop(columns="C"))
    with pytest.raises(InputError, match="none of the learned genes"):
        scaler.transform(table.add_prefix("x"))
    broken = table.copy()
    broken.loc[7, "B"] = np.nan
    with pytest.raises(InputError, match="sample 7"):
        scaler.transform(broken)
