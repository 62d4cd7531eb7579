from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr

from leaplib import LEAP, InputError
from leaplib.samples.biomarkers import attributions, biomarkers, enrich, gene_weights, mean_weights
from leaplib.samples.known_positives import known_positives, recovery

SMALL = {"n_hidden": 24, "n_components": 8, "learning_rate": 1e-3, "batch_size": 64, "max_epochs": 30}


@pytest.fixture(scope="module")
def table(simulation):
    screen = simulation.dependencies
    varied = screen.dependency.columns[screen.dependency.std() > 0.21][:5]
    x = screen.expression.iloc[:150]
    return x, screen.dependency.loc[x.index, varied]


@pytest.fixture(scope="module", params=[24, 0])
def fitted(table, request):
    return LEAP(n_representations=2, n_genes=60, device="cpu", damae=SMALL | {"n_hidden": request.param}).fit(*table)


def test_weights_are_the_derivatives_that_autograd_finds(table, fitted):
    x = table[0].iloc[:7]
    found = gene_weights(fitted, x)
    assert found.shape == (10, 60, 5)
    scaled = torch.tensor(fitted.representations_.scaler.transform(x).to_numpy())
    for r, (damae, member) in enumerate(zip(fitted.representations_.damaes, fitted.members_, strict=True)):
        for fold, j in ((0, 0), (3, 4)):
            inputs = scaled.clone().requires_grad_()
            values = damae.network_.encoder(inputs)
            (values @ torch.tensor(member.coef_[fold][:, j], dtype=torch.float32)).sum().backward()
            np.testing.assert_allclose(found[5 * r + fold, :, j], inputs.grad.mean(axis=0), atol=1e-6)


def test_weights_are_the_slope_of_the_prediction(table, fitted):
    x, name = table[0].iloc[:1], table[1].columns[1]
    slope = gene_weights(fitted, x, [name])[:, :, 0].mean(axis=0)
    scale = fitted.representations_.scaler.scale_
    top = np.argsort(-np.abs(slope))[:3]
    for gene in fitted.genes_[top]:
        step = x.copy()
        step[gene] += 0.01 * scale[gene]
        rise = (fitted.predict(step) - fitted.predict(x))[name].iloc[0] / 0.01
        assert rise == pytest.approx(slope[fitted.genes_.get_loc(gene)], abs=2e-3)


def test_attributions_are_weight_times_value(table, fitted):
    x, name = table[0].iloc[[4]], table[1].columns[0]
    frame = attributions(fitted, x, name)
    scaled = fitted.representations_.scaler.transform(x).iloc[0]
    weight = pd.Series(gene_weights(fitted, x, [name])[:, :, 0].mean(axis=0), fitted.genes_)
    np.testing.assert_allclose(frame["contribution"], (scaled * weight)[frame["gene"]], rtol=1e-5)
    assert frame["contribution"].abs().is_monotonic_decreasing
    if fitted.representations_.damaes[0].n_hidden == 0:  # linear: contributions and the value at 0 give the prediction
        none = x * 0 + fitted.representations_.scaler.mean_.reindex(x.columns).fillna(0)
        total = fitted.predict(none)[name].iloc[0] + frame["contribution"].sum()
        assert total == pytest.approx(fitted.predict(x)[name].iloc[0], abs=1e-4)
    with pytest.raises(InputError, match="one sample, not of 2"):
        attributions(fitted, table[0].iloc[:2], name)


def test_the_table_of_biomarkers(table, fitted):
    x, y = table
    frame = biomarkers(fitted, x, n_top=10)
    assert frame.groupby("perturbation").size().to_dict() == dict.fromkeys(y.columns, 10)
    weights = mean_weights(fitted, x)
    each = gene_weights(fitted, x)
    for j, name in enumerate(y.columns):
        part = frame[frame["perturbation"] == name]
        expected = weights[name].sort_values(key=np.abs, ascending=False).head(10)
        assert part["gene"].tolist() == expected.index.tolist()
        np.testing.assert_allclose(part["weight"], expected)
        own = [set(fitted.genes_[np.argsort(-np.abs(one))[:10]]) for one in each[:, :, j] if np.abs(one).max() > 0]
        np.testing.assert_allclose(part["stability"], [sum(gene in top for top in own) / 10 for gene in part["gene"]])


class Linear:
    perturbations_ = pd.Index(["a", "b"])
    genes_ = pd.Index(["G0", "G1", "G2"])

    def __init__(self, coef):
        self.coef_ = coef


@pytest.mark.parametrize("folds", [1, 3])
def test_a_model_on_genes_gives_its_weights_as_they_are(folds):
    coef = np.array([[1.0, 0], [-3, 0], [2, 5]])
    model = Linear(coef if folds == 1 else np.stack([coef] * folds))
    np.testing.assert_array_equal(gene_weights(model, None, ["b"]), np.stack([coef[:, [1]]] * folds))
    frame = biomarkers(model, None, ["a"], n_top=2)
    assert frame["gene"].tolist() == ["G1", "G2"] and frame["weight"].tolist() == [-3, 2]
    assert (frame["stability"] == 1).all()


def test_stability_and_agreement_leave_out_regressors_without_weights():
    weights = np.array([[3.0, -2, 1], [0, 0, 0], [1, -2, 3]])
    frame = biomarkers(Linear(weights[:, :, None].repeat(2, axis=2)), None, ["a"], n_top=2).set_index("gene")
    assert frame["stability"].to_dict() == {"G0": 1 / 3, "G1": 2 / 3}  # of equal weights, the first
    np.testing.assert_allclose(frame["agreement"], spearmanr(weights[0], weights[2]).statistic)
    assert biomarkers(Linear(weights[:2, :, None].repeat(2, axis=2)), None)["agreement"].isna().all()


# Enrichment


@pytest.fixture
def ranking():
    values = np.random.default_rng(0).normal(size=300)
    return pd.Series(values, [f"G{i}" for i in range(300)]).sort_values(ascending=False)


def score_by_hand(ranking, genes):
    """Weighted running sum of Subramanian et al. 2005, p = 1."""
    hit = ranking.index.isin(genes)
    walk = np.cumsum(np.where(hit, ranking.abs() / ranking.abs()[hit].sum(), -1 / (~hit).sum()))
    return walk[np.argmax(np.abs(walk))]


def test_a_planted_set_leads_and_scores_are_those_by_hand(ranking):
    rng = np.random.default_rng(1)
    sets = {f"random {i}": list(rng.choice(ranking.index, 20, replace=False)) for i in range(8)}
    sets |= {"top": [*ranking.index[:30:2], "not ranked"], "bottom": list(ranking.index[-24:])}
    sets |= {"small": list(ranking.index[:9]), "large": list(ranking.index[:60])}  # out of range: left out
    found = enrich(ranking.sample(frac=1, random_state=0), sets, max_size=50, n_permutations=200)
    assert set(found["gene_set"].head(2)) == {"top", "bottom"} and len(found) == 10
    by_name = found.set_index("gene_set")
    assert by_name.loc["top", "nes"] > 1.5 and by_name.loc["bottom", "nes"] < -1.5
    assert by_name.loc["top", "genes"] == 15 and by_name.loc["top", "p"] == 1 / 200
    for name in by_name.index:
        assert by_name.loc[name, "es"] == pytest.approx(score_by_hand(ranking, sets[name]), abs=1e-6)
    assert set(by_name.loc["bottom", "leading"].split(";")) <= set(sets["bottom"])
    pd.testing.assert_frame_equal(found, enrich(ranking, sets, max_size=50, n_permutations=200))
    with pytest.raises(InputError, match="no gene set has 10 to 500"):
        enrich(ranking, {"small": sets["small"]})
    for bad in (ranking * 0, ranking.mask(ranking > 2), pd.concat([ranking, ranking])):
        with pytest.raises(InputError, match="one finite weight a gene"):
            enrich(bad, sets)


# Known positives


def known(*rows):
    return pd.DataFrame(rows, columns=["mechanism", "drugs", "sensitive", "resistant", "source"])


KNOWN = known(("target", ["Drug A", "drug-b", "absent"], ["T1", "T2", "missing"], ["R1"], "a paper"),
              ("not screened", ["absent"], ["T1"], [], ""))  # fmt: skip


@pytest.fixture
def weights():
    rng = np.random.default_rng(0)
    genes = [*(f"G{i}" for i in range(97)), "T1", "T2", "R1"]
    frame = pd.DataFrame(rng.normal(size=(100, 32)), genes, ["drug a", "Drug-B", *(f"other {i}" for i in range(30))])
    frame.loc[["T1", "T2", "R1"], ["drug a", "Drug-B"]] = [[9, 8], [7, 6], [-9, -9]]
    return frame


def test_recovery_finds_planted_genes_and_says_so_of_no_others(weights):
    found = recovery(weights, known=KNOWN, n_permutations=2000)
    assert found["mechanism"].tolist() == ["target"]
    row = found.iloc[0]
    assert (row["drugs"], row["genes"], row["source"]) == (2, 3, "a paper")
    assert row["percentile"] == pytest.approx((1 + 98 / 99 + 1) / 3)
    assert row["p_genes"] < 0.003 and row["p_drugs"] < 0.003
    turned = recovery(-weights, high_is_sensitive=False, known=KNOWN, n_permutations=2000)
    pd.testing.assert_frame_equal(found, turned)
    assert np.isnan(recovery(weights.iloc[:, :20], known=KNOWN, n_permutations=10)["p_drugs"].iloc[0])
    with pytest.raises(InputError, match="ranks need two"):
        recovery(weights.head(1), known=KNOWN)


def test_genes_that_lead_for_every_drug_are_no_finding_about_some(weights):
    weights.loc[["T1", "T2"]], weights.loc["R1"] = 9.0, -9.0
    row = recovery(weights, known=KNOWN, n_permutations=500).iloc[0]
    assert row["p_genes"] < 0.01 and row["p_drugs"] == 1


def test_p_of_genes_is_the_share_of_all_sets_that_do_as_well():
    scores = pd.DataFrame({"d": np.arange(8.0)}, list("abcdefgh"))
    row = recovery(scores, known=known(("two", ["d"], ["f", "h"], [], "")), n_permutations=20_000).iloc[0]
    exact = np.mean([sum(pair) >= 5 + 7 for pair in combinations(range(8), 2)])
    assert row["p_genes"] == pytest.approx(exact, abs=0.01)
    assert row["percentile"] == pytest.approx((5 + 7) / 14) and row["best_gene"] == "h"
    scores = pd.DataFrame({"d": [0.0, 1, 2, 3, 4], "e": [0.0, 4, 3, 2, 1]}, list("abcde"))  # only a is low in both
    row = recovery(scores, known=known(("low", ["d", "e"], [], ["a"], "")), n_permutations=5000).iloc[0]
    assert row["percentile"] == 1 and row["p_genes"] == pytest.approx(1 / 5, abs=0.02)


def test_p_values_under_no_effect_are_uniform():
    rng, values, none = np.random.default_rng(1), [], known(("none", ["d1", "d7"], ["G1", "G2"], ["G3"], ""))
    for seed in range(150):
        random = pd.DataFrame(rng.normal(size=(60, 30)), [f"G{i}" for i in range(60)], [f"d{i}" for i in range(30)])
        values.append(recovery(random, known=none, n_permutations=99, seed=seed)[["p_genes", "p_drugs"]].iloc[0])
    assert (pd.DataFrame(values) <= 0.2).mean().between(0.08, 0.33).all()


def test_the_table_of_known_positives_is_well_formed():
    table = known_positives()
    assert len(table) == 9 and table["mechanism"].is_unique and table["source"].str.len().gt(0).all()
    for row in table.itertuples():
        genes = [*row.sensitive, *row.resistant]
        assert row.drugs and genes and len(set(genes)) == len(genes) and all(gene == gene.upper() for gene in genes)
