from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from leaplib import InputError
from leaplib.samples.known_positives import KNOWN_POSITIVES, KnownPositive, gene_percentiles, recovery

KNOWN = (
    KnownPositive("target", ("Drug A", "drug-b", "absent"), ("T1", "T2", "missing"), ("R1",), "a paper"),
    KnownPositive("not screened", ("absent",), ("T1",)),
)


@pytest.fixture
def weights():
    rng = np.random.default_rng(0)
    genes = [*(f"G{i}" for i in range(97)), "T1", "T2", "R1"]
    frame = pd.DataFrame(rng.normal(size=(100, 32)), genes, ["drug a", "Drug-B", *(f"other {i}" for i in range(30))])
    frame.loc[["T1", "T2", "R1"], ["drug a", "Drug-B"]] = [[9, 8], [7, 6], [-9, -9]]
    return frame


def test_percentiles_count_the_genes_below_in_the_expected_direction(weights):
    frame = gene_percentiles(weights, known=KNOWN)
    table = frame.pivot(index="gene", columns="drug", values="percentile")
    assert table.loc["T1"].tolist() == [1, 1] and table.loc["R1"].tolist() == [1, 1]
    np.testing.assert_allclose(table.loc["T2"], 98 / 99)
    assert frame.set_index("gene")["expected"].to_dict() == {"T1": "sensitive", "T2": "sensitive", "R1": "resistant"}
    turned = gene_percentiles(-weights, high_is_sensitive=False, known=KNOWN)
    np.testing.assert_allclose(turned["percentile"], frame["percentile"])
    with pytest.raises(InputError, match="ranks need two"):
        gene_percentiles(weights.head(1), known=KNOWN)


def test_recovery_finds_planted_genes_and_says_so_of_no_others(weights):
    found = recovery(weights, known=KNOWN, n_permutations=2000)
    assert found["mechanism"].tolist() == ["target"]
    row = found.iloc[0]
    assert (row["drugs"], row["genes"], row["source"]) == (2, 3, "a paper")
    assert row["percentile"] == pytest.approx((1 + 98 / 99 + 1) / 3)
    assert row["p_genes"] < 0.003 and row["p_drugs"] < 0.003
    pd.testing.assert_frame_equal(found, recovery(weights, known=KNOWN, n_permutations=2000))
    assert np.isnan(recovery(weights.iloc[:, :20], known=KNOWN, n_permutations=10)["p_drugs"].iloc[0])


def test_genes_that_lead_for_every_drug_are_no_finding_about_some(weights):
    weights.loc[["T1", "T2"]], weights.loc["R1"] = 9.0, -9.0
    row = recovery(weights, known=KNOWN, n_permutations=500).iloc[0]
    assert row["p_genes"] < 0.01 and row["p_drugs"] == 1


def test_p_of_genes_is_the_share_of_all_sets_that_do_as_well():
    weights = pd.DataFrame({"d": np.arange(8.0)}, list("abcdefgh"))
    known = (KnownPositive("two", ("d",), ("f", "h")),)
    row = recovery(weights, known=known, n_permutations=20_000).iloc[0]
    exact = np.mean([sum(pair) >= 5 + 7 for pair in combinations(range(8), 2)])
    assert row["p_genes"] == pytest.approx(exact, abs=0.01)
    assert row["percentile"] == pytest.approx((5 + 7) / 14) and row["best_gene"] == "h"


def test_p_values_under_no_effect_are_uniform():
    rng = np.random.default_rng(1)
    values = []
    for seed in range(150):
        weights = pd.DataFrame(rng.normal(size=(60, 30)), [f"G{i}" for i in range(60)], [f"d{i}" for i in range(30)])
        known = (KnownPositive("none", ("d1", "d7"), ("G1", "G2"), ("G3",)),)
        values.append(recovery(weights, known=known, n_permutations=99, seed=seed)[["p_genes", "p_drugs"]].iloc[0])
    shares = (pd.DataFrame(values) <= 0.2).mean()
    assert shares.between(0.08, 0.33).all()


def test_the_table_is_well_formed():
    for item in KNOWN_POSITIVES:
        assert item.drugs and item.source and (item.sensitive or item.resistant)
        genes = [*item.sensitive, *item.resistant]
        assert len(set(genes)) == len(genes) and all(gene == gene.upper() for gene in genes)
    assert len({item.mechanism for item in KNOWN_POSITIVES}) == len(KNOWN_POSITIVES)


def test_p_of_genes_turns_random_genes_round_as_it_does_the_known_ones():
    weights = pd.DataFrame({"d": [0.0, 1, 2, 3, 4], "e": [0.0, 4, 3, 2, 1]}, list("abcde"))  # only a is low in both
    row = recovery(weights, known=(KnownPositive("low", ("d", "e"), (), ("a",)),), n_permutations=5000).iloc[0]
    assert row["percentile"] == 1 and row["p_genes"] == pytest.approx(1 / 5, abs=0.02)
