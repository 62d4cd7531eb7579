import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from leaplib import InputError
from leaplib.samples.matching import Reference
from leaplib.samples.units import detect_units, to_log

GENES = [f"G{i}" for i in range(40)]


def table(n=30, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(rng.gamma(2, 2, (n, 40)), [f"s{i}" for i in range(n)], GENES)


@pytest.mark.parametrize(
    ("change", "units"),
    [
        (lambda x: x, "log"),
        (lambda x: 2**x - 1, "tpm"),
        (lambda x: (10 * 2**x).round(), "counts"),
        (lambda x: (x.T - x.mean(axis=1)).div(x.std(axis=1)).T, "z-score"),
        (lambda x: x.mask(x < 1), "log"),
    ],
)
def test_units_are_told_by_the_values(change, units):
    assert detect_units(change(table()), "x.csv") == units


@pytest.mark.parametrize("change", [lambda x: np.log2(2**x - 0.999), lambda x: x.round()])
def test_unclear_units_must_be_declared(change):
    with pytest.raises(InputError, match=r"^x\.csv: .*declare the units"):
        detect_units(change(table()), "x.csv")


def test_units_become_log2():
    counts = pd.DataFrame([[1.0, 3.0], [0.0, 50.0]], ["a", "b"], ["G0", "G1"])
    np.testing.assert_allclose(to_log(counts, "counts", "x"), np.log2([[250_001, 750_001], [1, 1_000_001]]))
    np.testing.assert_allclose(to_log(counts, "tpm", "x"), np.log2([[2, 4], [1, 51]]))
    assert to_log(counts - 1, "z-score", "x").equals(counts - 1)
    cases = {"tpm": (counts - 1, "sample 'b' has negative"), "log": (counts, "'b' has values above"),
             "counts": (counts * np.array([[1], [0]]), "'b' has no counts")}  # fmt: skip
    for units, (values, message) in cases.items():
        with pytest.raises(InputError, match=message):
            to_log(values, units, "x")


def test_missing_genes_take_the_training_mean_are_counted_and_limited():
    training, new = table(), table(5, seed=1)
    reference = Reference.fit(training, "log2(TPM+1)", pd.Index(GENES[:30]))
    same, notes = reference.prepare(new, "log")
    pd.testing.assert_frame_equal(same, new[GENES[:30]])
    assert notes == []
    holed = new.drop(columns=["G3", "G35"]).assign(other=1.0)
    holed.iloc[1, 0] = np.nan
    ready, notes = reference.prepare(holed, "log")
    assert notes[0].startswith("warning: 1 of 30 genes are missing (G3)")
    assert notes[1].startswith("warning: 1 empty cells in 1 samples")
    assert (ready["G3"] == training["G3"].mean()).all() and ready.iloc[1, 0] == training["G0"].mean()
    with pytest.raises(
        InputError, match="7 of the model's 30 genes are missing, 'G0' first: more than the limit of 20%"
    ):
        reference.prepare(new[GENES[7:]], "log")
    reference.prepare(new[GENES[7:]], "log", max_missing=0.25)
    holed.iloc[2, :10] = np.nan
    with pytest.raises(InputError, match="sample 's2'"):
        reference.prepare(holed, "log")


def test_transposed_tables_and_unknown_ways_are_refused():
    reference = Reference.fit(table(), "log2(TPM+1)", pd.Index(GENES))
    with pytest.raises(InputError, match="genes are the rows: transpose"):
        reference.prepare(table(5).T, "log")
    with pytest.raises(InputError, match="match 'magic' is unknown: use one of none, domain, quantile"):
        reference.prepare(table(5), "log", match="magic")
    with pytest.raises(InputError, match="max-missing"):
        reference.prepare(table(5), "log", max_missing=1.5)


def test_a_log_table_is_z_scored_for_a_model_of_z_scores():
    x = table()
    z = x.sub(x.mean(axis=1), axis=0).div(x.std(axis=1, ddof=0), axis=0)
    reference = Reference.fit(z, "z-score", pd.Index(GENES[:30]))
    ready, notes = reference.prepare(3 * x + 1, "log")
    np.testing.assert_allclose(ready, z[GENES[:30]])
    assert "z-scored over its 40 known genes" in notes[0]
    with pytest.raises(InputError, match="'s4' does not vary"):
        reference.prepare(x.mul(x.index != "s4", axis=0), "log")


def test_z_scores_need_matching_for_a_model_on_a_log_scale():
    reference = Reference.fit(table(), "log2(TPM+1)", pd.Index(GENES))
    with pytest.raises(InputError, match="z-scores, but the model was trained on log2"):
        reference.prepare(table(12) - 4, "z-score")
    reference.prepare(table(12) - 4, "z-score", match="domain")


def test_domain_matching_undoes_an_affine_shift_of_each_gene():
    x = table(200)
    rng = np.random.default_rng(3)
    shifted = x * rng.uniform(0.5, 2, 40) + rng.normal(0, 3, 40)
    reference = Reference.fit(x, "log2(TPM+1)", pd.Index(GENES))
    np.testing.assert_allclose(reference.prepare(shifted, "log", "domain")[0], x)
    assert np.abs(reference.prepare(shifted, "log")[0] - x).to_numpy().mean() > 1
    with pytest.raises(InputError, match="9 samples are too few"):
        reference.prepare(shifted.iloc[:9], "log", "domain")


def test_quantile_matching_undoes_a_monotone_change_of_each_sample():
    x = table(60)
    reference = Reference.fit(x, "log2(TPM+1)", pd.Index(GENES))
    ready = reference.prepare(np.exp(x / 3), "log", "quantile")[0]
    np.testing.assert_array_equal(rankdata(ready, axis=1), rankdata(x, axis=1))
    profile = np.sort(x, axis=1).mean(axis=0)
    np.testing.assert_allclose(np.sort(ready, axis=1), np.tile(profile, (60, 1)), atol=0.02)
