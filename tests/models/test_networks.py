"""PP-tDNN and PP-MLP: are they the networks they claim to be, and are they trained as they should?"""

import copy
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from sklearn.preprocessing import RobustScaler
from torch.nn.functional import mse_loss

from leaplib.base.errors import InputError
from leaplib.models import networks as module
from leaplib.models.base import Training, fingerprint_components
from leaplib.models.networks import Network, Pairs, PPMlp, PPTdnn, Schedule, held_out_lines, train

pytestmark = pytest.mark.usefixtures("one_thread")
WIDTHS = {"PP-tDNN": ((12, 8), (10, 6, 4)), "PP-MLP": ((), (10, 6, 4))}
SMALL = {
    "PP-tDNN": lambda grid=None, **more: PPTdnn(
        batch_size=64, max_epochs=3, grid=grid or {"dropout": [0.1]}, towers=[8], joint=[6, 4], precision="float32",
        device="cpu", **more),
    "PP-MLP": lambda grid=None, **more: PPMlp(
        max_epochs=3, grid=grid or {"learning_rate": [1e-2], "batch_size": [64]}, hidden=[8, 4], precision="float32",
        device="cpu", **more),
}  # fmt: skip
each_model = pytest.mark.parametrize("name", SMALL)
ALONE_AND_BESIDE = {
    "PP-tDNN": ({"dropout": [0.1]}, {"dropout": [0.4, 0.1]}),
    "PP-MLP": ({"learning_rate": [0.01], "batch_size": [64]}, {"learning_rate": [0.01], "batch_size": [99, 64]}),
}


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def network_and_pairs(name, seed=0, n=9, n_perturbations=6):
    """Return a network and measured pairs, both in double precision, and the labels, with gaps."""
    rng = np.random.default_rng(seed)
    labels = rng.normal(size=(n, n_perturbations))
    labels[rng.random(labels.shape) < 0.3] = np.nan
    tables = rng.normal(size=(n, 7)), rng.normal(size=(n_perturbations, 5)), labels
    pairs = Pairs.measured(*(torch.from_numpy(table) for table in tables))
    return Network((7, 5), *WIDTHS[name], stream(seed)).double(), pairs, labels


def study(seed=0, n=80, n_perturbations=7):
    rng = np.random.default_rng(seed)
    X, bits = rng.normal(size=(n, 6)), (rng.random((n_perturbations, 12)) < 0.4).astype(float)
    Y = X @ rng.normal(size=(6, n_perturbations)) + rng.normal(size=(n, n_perturbations))
    Y[rng.random(Y.shape) < 0.2] = np.nan
    return X, Y, np.arange(n) % 5, None, bits


def recipe(**changes):
    return SimpleNamespace(**{"loss": mse_loss, "dropout": 0.0, "learning_rate": 1e-2, "batch_size": 999,
                              "max_epochs": 3, "patience": 20, "min_delta": 0.0, "cut_after": None,
                              "weight_decay": 0.0} | changes)  # fmt: skip


def written_out(network, pairs, masks=None):
    """Return the output for pairs whose inputs stand side by side, with given dropout after the ReLUs."""
    masks = iter(masks or [])
    ends = []
    for layers, table, index in ((network.line, pairs.lines, pairs.line),
                                 (network.perturbation, pairs.components, pairs.perturbation)):  # fmt: skip
        units = table[index]
        for layer in layers:
            units = layer(units).relu() * next(masks, torch.ones(len(table), 1).double())[index]
        ends.append(units)
    units = network.first(torch.cat(ends, dim=1)).relu()
    for layer in network.hidden:
        units = layer(units * next(masks, 1.0)).relu()
    return network.last(units)[:, 0]


@each_model
@pytest.mark.parametrize("loss", [mse_loss, module.one_minus_pearson])
@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_output_and_gradient_are_those_of_plain_layers_on_written_out_pairs(name, loss, dropout, monkeypatch):
    """With dropout too, which follows each hidden layer but the last."""
    network, pairs, _ = network_and_pairs(name)
    masks, drop = [], Network.drop
    if dropout:
        monkeypatch.setattr(Network, "drop", lambda *given: masks.append(drop(*given)) or masks[-1])
    network.set_dropout(dropout, stream())
    output = pairs.predict(network)
    masks = [(mask != 0).double() / 0.75 for mask in masks]
    plain = written_out(network, pairs, masks)
    torch.testing.assert_close(output, plain, atol=1e-10, rtol=1e-10)
    slopes = [torch.autograd.grad(loss(values, pairs.label), list(network.parameters())) for values in (output, plain)]
    torch.testing.assert_close(*slopes, atol=1e-10, rtol=1e-10)
    towers, joint = WIDTHS[name]
    assert [mask.shape[1] for mask in masks] == ([*towers, *towers, *joint[:-1]] if dropout else [])


@each_model
def test_training_takes_steps_of_torchs_adam(name):
    network, pairs, _ = network_and_pairs(name)
    plain = copy.deepcopy(network)
    adam = torch.optim.Adam(plain.parameters(), lr=1e-2, weight_decay=1e-3)
    for _ in range(3):
        adam.zero_grad()
        mse_loss(written_out(plain, pairs), pairs.label).backward()
        adam.step()
    train(network, recipe(weight_decay=1e-3), pairs, pairs, torch.float32, stream())
    torch.testing.assert_close(pairs.predict(network), written_out(plain, pairs), atol=1e-8, rtol=1e-8)


def test_the_papers_networks_have_the_papers_layers():
    tdnn, mlp = Network((256, 500), PPTdnn().towers, PPTdnn().joint, stream()), PPMlp().hidden
    sizes = [[(layer.in_features, layer.out_features) for layer in part]
             for part in (tdnn.line, tdnn.perturbation, (tdnn.first, *tdnn.hidden, tdnn.last))]  # fmt: skip
    towers = [(1000, 500), (500, 250)]
    common = [(500, 250), (250, 125), (125, 60), (60, 30), (30, 1)]
    assert sizes == [[(256, 1000), *towers], [(500, 1000), *towers], common]
    assert mlp == (512, 256, 128, 64, 32, 16) and Network((256, 500), (), mlp, stream()).first.in_features == 756


def test_dropout_takes_its_share_while_training():
    network = Network((7, 5), (), (4,), stream())
    network.set_dropout(0.25, stream())
    units = torch.ones(400, 250)
    dropped = network.drop(units)
    torch.testing.assert_close(dropped.unique(), torch.tensor([0, 1 / 0.75]))
    assert abs((dropped == 0).float().mean() - 0.25) < 0.005
    assert torch.equal(network.eval().drop(units), units)


def test_the_loss_of_pp_mlp_is_one_minus_pearson():
    prediction, label = np.random.default_rng(0).normal(size=(2, 50))
    found = module.one_minus_pearson(torch.from_numpy(prediction), torch.from_numpy(label))
    assert float(found) == pytest.approx(1 - pearsonr(prediction, label).statistic, abs=1e-12)
    constant = torch.full((5,), 2.0, requires_grad=True)
    loss = module.one_minus_pearson(constant, torch.arange(5.0))
    loss.backward()
    assert loss.item() == 1 and torch.isfinite(constant.grad).all()


def test_bfloat16_trains_to_the_same_loss():
    X, Y, *_ = study(n=200)
    pairs = Pairs.measured(*(torch.tensor(values, dtype=torch.float32) for values in (X, np.eye(7), Y)))
    losses = []
    for precision in (torch.float32, torch.bfloat16):
        network = Network((6, 7), (16,), (16, 8), stream())
        train(network, recipe(max_epochs=20, batch_size=128), pairs, pairs, precision, stream())
        losses.append(float(mse_loss(pairs.predict(network), pairs.label).detach()))
    assert losses[0] < 0.5 * float(pairs.label.var())
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


def test_each_measured_pair_is_in_one_batch_of_an_epoch_and_no_other_is():
    _, pairs, labels = network_and_pairs("PP-MLP")
    batches = pairs.batches(7, stream())
    seen = [pair for batch in batches for pair in zip(batch.line.tolist(), batch.perturbation.tolist(), strict=True)]
    assert sorted(seen) == list(map(tuple, np.argwhere(~np.isnan(labels)).tolist()))
    sizes = [len(batch.label) for batch in batches]
    assert max(sizes) <= 7 and max(sizes) - min(sizes) <= 1
    for batch in batches:
        np.testing.assert_array_equal(batch.label, labels[batch.line, batch.perturbation])


def test_whole_lines_are_held_out_a_tenth_of_those_with_labels():
    Y = study(n=200)[1]
    Y[::4] = np.nan
    held = held_out_lines(Y, (0, 1))
    assert held.sum() == 15 and not held[::4].any()
    assert not np.array_equal(held, held_out_lines(Y, (0, 2)))
    with pytest.raises(InputError, match="at least 2"):
        held_out_lines(Y[:2], (0,))


@each_model
def test_training_takes_nothing_from_the_labels_of_lines_held_out(name, monkeypatch):
    """They only tell when to stop: where no loss is noted, absurd ones do not change the model of that fold."""
    monkeypatch.setattr(Schedule, "note", lambda self, loss: None)
    X, Y, folds, *others = study()
    rows = np.flatnonzero(folds != 3)
    held = np.isin(np.arange(len(Y)), rows[held_out_lines(Y[rows], (0, 3))])[:, None]
    labels = Y, np.where(held, Y**2 - 1e3, Y), np.where(held, Y, -Y)
    found = [SMALL[name]().fit(X, each, folds, *others).predict_folds(X)[3] for each in labels]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_the_rate_is_cut_after_ten_flat_epochs_and_training_ends_after_twenty():
    schedule, rates = Schedule(1e-3, patience=20, min_delta=1e-5, cut_after=10), []
    better_by_too_little = [0.5 - 1e-6 * (epoch % 2) for epoch in range(15)]
    for loss in (1.0, 0.5, *better_by_too_little, 0.4, *[math.nan] * 20):
        assert not schedule.over
        schedule.note(loss)
        rates.append(schedule.rate)
    assert schedule.over
    assert rates == pytest.approx([1e-3] * 11 + [1e-4] * 16 + [1e-5] * 10 + [1e-6])
    constant = Schedule(5e-3, patience=20, min_delta=1e-3)
    for _ in range(20):
        constant.note(1.0)
    assert constant.rate == 5e-3 and not constant.over


def test_training_ends_after_its_patience_with_the_weights_of_that_epoch(monkeypatch):
    """A loss that never falls after the first epoch: three flat epochs later it is over, as if four were asked for."""
    losses, networks = iter([0.1] + [0.5] * 8), []
    monkeypatch.setattr(module, "loss_on", lambda *given: next(losses))
    for chosen in (recipe(max_epochs=9, patience=3, batch_size=7), recipe(max_epochs=4, batch_size=7)):
        network, pairs, _ = network_and_pairs("PP-MLP")
        train(network, chosen, pairs, pairs, torch.float32, stream())
        networks.append(network)
    assert len(list(losses)) == 1
    torch.testing.assert_close(*(network.state_dict() for network in networks), atol=0, rtol=0)


@each_model
def test_a_grid_point_trains_alike_whichever_others_are_tried(name):
    X, Y, _, _, bits = study()
    data = Training(X, Y, fingerprints=bits)
    alone, beside = (SMALL[name](grid)._fit_fold(data, 0).weights for grid in ALONE_AND_BESIDE[name])
    np.testing.assert_array_equal(alone[0], beside[1])


@each_model
def test_the_seed_alone_makes_the_network_and_torchs_own_random_state_is_left_alone(name):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = SMALL[name]().fit(*study()).predict(study()[0])
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again, other = (SMALL[name](random_state=seed).fit(*study()).predict(study()[0]) for seed in (0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


@each_model
def test_without_fingerprints_it_is_refused(name):
    with pytest.raises(InputError, match=f"{name} needs fingerprints: give `fingerprints`"):
        SMALL[name]().fit(*study()[:3])


def test_pp_mlp_scales_its_inputs_by_training_lines_and_perturbations():
    X, Y, folds, _, bits = study()
    X[:, 2] = np.where(np.arange(len(X)) % 10 == 0, 3.0, 1.0)  # an interquartile range of 0
    model = SMALL["PP-MLP"]().fit(X, Y, folds, fingerprints=bits).parts_[0][0]
    np.testing.assert_allclose((X - model.centre) / model.scale, RobustScaler().fit(X[folds != 0]).transform(X))
    assert model.scale[2] == 1
    np.testing.assert_allclose(model.components, RobustScaler().fit_transform(fingerprint_components(bits)))
