import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr

from leaplib import LEAP, InputError
from leaplib.samples.biomarkers import (
    attributions,
    biomarkers,
    gene_weights,
    in_top,
    mean_weights,
    rank_agreement,
)

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
            values = inputs
            for number, layer in enumerate(damae._layers()[: len(damae._layers()) // 2]):
                values = values @ damae.weights_[f"{layer}.weight"] + damae.weights_[f"{layer}.bias"]
                values = values.relu() if number in damae._hidden() else values
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


def test_top_and_agreement_leave_out_regressors_without_weights():
    weights = np.array([[3.0, -2, 1, 0], [0, 0, 0, 0], [1, -2, 3, 0]])
    assert in_top(weights, 2).tolist() == [[True, True, False, False], [False] * 4, [False, True, True, False]]
    assert rank_agreement(weights) == pytest.approx(spearmanr(weights[0], weights[2]).statistic)
    assert np.isnan(rank_agreement(weights[:2]))
