"""PP-tDNN and PP-MLP: are they the networks they claim to be, and are they trained as they should?"""

import math

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from sklearn.preprocessing import RobustScaler
from torch import nn

from leaplib.base.errors import InputError
from leaplib.models import networks as module
from leaplib.models.networks import Learner, Network, Pairs, PPMlp, PPTdnn, Recipe, Schedule, Sizes
from leaplib.models.pairs import fingerprint_components

TDNN = Sizes((7, 5), (12, 8), (10, 6, 4))
MLP = Sizes((7, 5), (), (10, 6, 4))
each_sizes = pytest.mark.parametrize("sizes", [TDNN, MLP], ids=["tDNN", "MLP"])
SMALL = {
    "PP-tDNN": lambda **more: PPTdnn(**{"batch_size": 64, "max_epochs": 3, "grid": {"dropout": [0.1]}, "towers": [8],
                                        "joint": [6, 4], "precision": "float32", "device": "cpu"} | more),
    "PP-MLP": lambda **more: PPMlp(**{"max_epochs": 3, "grid": {"learning_rate": [1e-2], "batch_size": [64]},
                                      "hidden": [8, 4], "precision": "float32", "device": "cpu"} | more),
}  # fmt: skip
each_model = pytest.mark.parametrize("name", SMALL)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Networks as small as these are slower on several threads, far slower where cores are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def recipe(loss=module.squared_error, **more):
    return Recipe(**{"loss": loss, "dropout": 0.0, "learning_rate": 1e-3, "batch_size": 16, "max_epochs": 3,
                     "patience": 20, "min_delta": 0.0} | more)  # fmt: skip


def tables(seed=0, n=9, n_perturbations=6, dtype=torch.float64):
    """Return features, components and labels with gaps."""
    rng = np.random.default_rng(seed)
    labels = rng.normal(size=(n, n_perturbations))
    labels[rng.random(labels.shape) < 0.3] = np.nan
    parts = rng.normal(size=(n, 7)), rng.normal(size=(n_perturbations, 5)), labels
    return [torch.from_numpy(part).to(dtype) for part in parts]


def study(seed=0, n=80, n_perturbations=7):
    rng = np.random.default_rng(seed)
    X, bits = rng.normal(size=(n, 6)), (rng.random((n_perturbations, 12)) < 0.4).astype(float)
    Y = X @ rng.normal(size=(6, n_perturbations)) + rng.normal(size=(n, n_perturbations))
    Y[rng.random(Y.shape) < 0.2] = np.nan
    return X, Y, np.arange(n) % 5, bits


def fit(model, X, Y, folds, bits):
    return model.fit(X, Y, folds, fingerprints=bits)


class Plain(nn.Module):
    """The same network in torch's own layers, on pairs written out side by side."""

    def __init__(self, sizes, layers):
        super().__init__()
        made = []
        for weight, bias in layers:
            linear = nn.Linear(*weight.shape).to(weight.dtype)
            linear.weight.data, linear.bias.data = weight.detach().T.clone(), bias.detach().clone()
            made.append(linear)
        n = len(sizes.towers)
        with_relu = [[step for linear in part for step in (linear, nn.ReLU())] for part in (made[:n], made[n : 2 * n])]
        self.line, self.perturbation = (nn.Sequential(*part) for part in with_relu)
        *hidden, last = made[2 * n :]
        self.joint = nn.Sequential(*[step for linear in hidden for step in (linear, nn.ReLU())], last)

    def forward(self, lines, components):
        return self.joint(torch.cat([self.line(lines), self.perturbation(components)], dim=1))[:, 0]


# The network.


@each_sizes
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_the_forward_pass_is_that_of_plain_layers_on_written_out_pairs(sizes, dtype, tolerance):
    lines, components, labels = tables(dtype=dtype)
    layers = sizes.cut(sizes.draw(torch.Generator().manual_seed(1)).to(dtype))
    pairs = Pairs.measured(lines, components, labels)
    plain = Plain(sizes, layers)(lines[pairs.line], components[pairs.perturbation])
    torch.testing.assert_close(pairs.predict(Network(sizes, layers)), plain, atol=tolerance, rtol=tolerance)


@each_sizes
@pytest.mark.parametrize("loss", [module.squared_error, module.one_minus_pearson])
def test_the_gradient_of_a_batch_is_that_of_plain_layers_on_written_out_pairs(sizes, loss):
    lines, components, labels = tables(1)
    vector = sizes.draw(torch.Generator().manual_seed(2)).double()
    plain = Plain(sizes, sizes.cut(vector))
    learner = Learner(recipe(loss), sizes, vector, torch.float64)
    batch = Pairs.measured(lines, components, labels).part(torch.tensor([3, 1, 4, 15, 9, 2, 6, 5]))
    loss(plain(lines[batch.line], components[batch.perturbation]), batch.label).backward()
    learner.learn(batch, rate=0.0)
    linears = [step for step in plain.modules() if isinstance(step, nn.Linear)]
    for (weight, bias), linear in zip(sizes.cut(learner.gradient), linears, strict=True):
        torch.testing.assert_close(weight, linear.weight.grad.T, atol=1e-10, rtol=1e-10)
        torch.testing.assert_close(bias, linear.bias.grad, atol=1e-10, rtol=1e-10)


@each_sizes
def test_a_step_is_one_of_torchs_adam(sizes):
    lines, components, labels = tables(2)
    vector = sizes.draw(torch.Generator().manual_seed(3)).double()
    plain = Plain(sizes, sizes.cut(vector))
    pairs = Pairs.measured(lines, components, labels)
    adam = torch.optim.Adam(plain.parameters(), lr=1e-2, weight_decay=1e-3)
    learner = Learner(recipe(weight_decay=1e-3), sizes, vector, torch.float64)
    for _ in range(3):
        adam.zero_grad()
        module.squared_error(plain(lines[pairs.line], components[pairs.perturbation]), pairs.label).backward()
        adam.step()
        learner.learn(pairs, rate=1e-2)
    theirs = plain(lines[pairs.line], components[pairs.perturbation])
    torch.testing.assert_close(pairs.predict(learner.still), theirs, atol=1e-8, rtol=1e-8)


def test_the_papers_networks_have_the_papers_layers():
    towers, joint = PPTdnn()._widths()
    assert Sizes((256, 500), towers, joint).layers == [
        (256, 1000), (1000, 500), (500, 250), (500, 1000), (1000, 500), (500, 250),
        (500, 250), (250, 125), (125, 60), (60, 30), (30, 1)]  # fmt: skip
    assert Sizes((256, 500), *PPMlp()._widths()).layers == [
        (756, 512), (512, 256), (256, 128), (128, 64), (64, 32), (32, 16), (16, 1)]  # fmt: skip


def test_initial_weights_are_as_large_as_those_of_torchs_layers():
    sizes = Sizes((256, 100), (), (64, 9))
    drawn = sizes.cut(sizes.draw(torch.Generator().manual_seed(0)))
    for (n_in, _), (weight, bias) in zip(sizes.layers, drawn, strict=True):
        assert weight.abs().max() <= n_in**-0.5 and bias.abs().max() <= n_in**-0.5
        assert weight.numel() < 100 or abs(weight.std() * (3 * n_in) ** 0.5 - 1) < 0.1


def test_dropout_takes_its_share():
    stream = torch.Generator().manual_seed(0)
    network = Network(TDNN, TDNN.cut(TDNN.draw(stream)), dropout=0.25, stream=stream)
    dropped = network._drop(torch.ones(400, 250))
    assert dropped.unique().tolist() == [0, 1]
    assert abs((dropped == 0).float().mean() - 0.25) < 0.005
    assert network.scale == pytest.approx(1 / 0.75)


def with_masks(plain, pairs, masks, scale):
    """Return the output of the plain network on written-out pairs, with given dropout after the ReLUs."""
    masks = iter(masks)
    ends = []
    for tower, rows, index in ((plain.line, pairs.lines, pairs.line),
                               (plain.perturbation, pairs.components, pairs.perturbation)):  # fmt: skip
        units = rows[index]
        for linear in tower[::2]:
            units = linear(units).relu() * next(masks)[index] * scale
        ends.append(units)
    units = torch.cat(ends, dim=1)
    *hidden, before_last, last = plain.joint[::2]
    for linear in hidden:
        units = linear(units).relu() * next(masks) * scale
    return last(before_last(units).relu())[:, 0]


@each_sizes
def test_with_dropout_too_output_and_gradient_are_those_of_plain_layers(sizes, monkeypatch):
    masks, drop = [], Network._drop
    monkeypatch.setattr(Network, "_drop", lambda self, units: masks.append(drop(self, units)) or masks[-1])
    pairs = Pairs.measured(*tables(4))
    vector = sizes.draw(torch.Generator().manual_seed(5)).double()
    learner = Learner(recipe(dropout=0.25), sizes, vector, torch.float64, torch.Generator().manual_seed(6))
    plain = Plain(sizes, sizes.cut(vector))
    output = pairs.predict(learner.network)
    module.squared_error(output, pairs.label).backward()
    kept = [(mask != 0).double() for mask in masks]
    expected = with_masks(plain, pairs, kept, 256 / 192)
    module.squared_error(expected, pairs.label).backward()
    torch.testing.assert_close(output, expected, atol=1e-10, rtol=1e-10)
    linears = [step for step in plain.modules() if isinstance(step, nn.Linear)]
    for (weight, bias), linear in zip(sizes.cut(learner.gradient), linears, strict=True):
        torch.testing.assert_close(weight, linear.weight.grad.T, atol=1e-10, rtol=1e-10)
        torch.testing.assert_close(bias, linear.bias.grad, atol=1e-10, rtol=1e-10)


@each_sizes
def test_dropout_follows_each_hidden_layer_but_the_last(sizes, monkeypatch):
    seen = []
    monkeypatch.setattr(Network, "_drop", lambda self, units: seen.append(units.shape[1]) or units)
    lines, components, labels = tables(dtype=torch.float32)
    layers = sizes.cut(sizes.draw(torch.Generator()))
    Pairs.measured(lines, components, labels).predict(Network(sizes, layers))
    assert seen == [*sizes.towers, *sizes.towers, *sizes.joint[:-1]]


def test_the_loss_of_pp_mlp_is_one_minus_pearson():
    rng = np.random.default_rng(0)
    prediction, label = rng.normal(size=(2, 50))
    found = module.one_minus_pearson(torch.from_numpy(prediction), torch.from_numpy(label))
    assert float(found) == pytest.approx(1 - pearsonr(prediction, label).statistic, abs=1e-12)


def test_a_constant_prediction_has_a_loss_of_one_and_a_finite_gradient():
    prediction = torch.full((5,), 2.0, requires_grad=True)
    loss = module.one_minus_pearson(prediction, torch.arange(5.0))
    loss.backward()
    assert loss.item() == 1 and torch.isfinite(prediction.grad).all()


def test_bfloat16_trains_to_the_same_loss():
    X, Y, _, _ = study(n=200)
    lines, labels = module._tensor(X), module._tensor(Y)
    pairs = Pairs.measured(lines, torch.eye(7), labels)
    sizes, losses = Sizes((6, 7), (16,), (16, 8)), []
    for precision in (torch.float32, torch.bfloat16):
        vector = module.train(recipe(learning_rate=1e-2, max_epochs=20, batch_size=128), sizes, pairs, pairs, (0,),
                              precision)  # fmt: skip
        losses.append(float(module.squared_error(pairs.predict(Network(sizes, sizes.cut(vector))), pairs.label)))
    assert losses[0] < 0.5 * float(pairs.label.var())
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


# Batches and the lines held out.


def test_each_measured_pair_is_in_one_batch_of_an_epoch_and_no_other_is():
    lines, components, labels = tables()
    pairs = Pairs.measured(lines, components, labels)
    batches = pairs.batches(7, torch.Generator().manual_seed(0))
    seen = [pair for batch in batches for pair in zip(batch.line.tolist(), batch.perturbation.tolist(), strict=True)]
    assert sorted(seen) == list(map(tuple, np.argwhere(~np.isnan(labels.numpy())).tolist()))
    sizes = [len(batch.label) for batch in batches]
    assert max(sizes) <= 7 and max(sizes) - min(sizes) <= 1
    for batch in batches:
        torch.testing.assert_close(batch.label, labels[batch.line, batch.perturbation])


def test_whole_lines_are_held_out_a_tenth_of_those_with_labels():
    _, Y, _, _ = study(n=200)
    Y[::4] = np.nan
    held = module.held_out_lines(Y, (0, 1))
    assert held.sum() == 15 and not held[::4].any()
    assert not np.array_equal(held, module.held_out_lines(Y, (0, 2)))


def test_without_lines_to_hold_out_there_is_no_training():
    labels = np.full((4, 3), np.nan)
    labels[2] = 1.0
    with pytest.raises(InputError, match="at least 2"):
        module.held_out_lines(labels, (0,))


@each_model
def test_training_takes_nothing_from_the_labels_of_lines_held_out(name, monkeypatch):
    """They only tell when to stop: where no loss is noted, absurd ones change no weight."""
    monkeypatch.setattr(Schedule, "note", lambda self, loss: None)
    X, Y, _, bits = study()
    held = module.held_out_lines(Y, (0, 3))
    weights = [SMALL[name]()._fit_fold(module.Training(X, labels, fingerprints=bits), 3).weights
               for labels in (Y, np.where(held[:, None], Y**2 - 1e3, Y), np.where(held[:, None], Y, -Y))]  # fmt: skip
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


# The schedule.


def test_the_rate_is_cut_after_ten_flat_epochs_and_training_ends_after_twenty():
    schedule = Schedule(1e-3, patience=20, min_delta=1e-5, cut_after=10)
    schedule.note(1.0)
    schedule.note(0.5)
    rates = []
    for epoch in range(20):
        assert not schedule.over
        schedule.note(0.5 - 1e-6 * (epoch % 2))  # better, but by less than min_delta
        rates.append(schedule.rate)
    assert rates[:9] == [1e-3] * 9 and rates[9:19] == pytest.approx([1e-4] * 10)
    assert schedule.over


def test_an_improvement_starts_the_count_again_and_leaves_the_rate_cut():
    schedule = Schedule(1e-3, patience=20, min_delta=1e-5, cut_after=10)
    schedule.note(1.0)
    for _ in range(15):
        schedule.note(1.0)
    schedule.note(0.9)
    assert schedule.flat == 0 and schedule.rate == pytest.approx(1e-4)
    for _ in range(19):
        schedule.note(math.nan)
    assert not schedule.over and schedule.rate == pytest.approx(1e-5)


def test_without_a_cut_the_rate_stays():
    schedule = Schedule(5e-3, patience=20, min_delta=1e-3)
    for _ in range(20):
        schedule.note(1.0)
    assert schedule.rate == 5e-3 and not schedule.over


def test_training_ends_after_its_patience_with_the_weights_of_that_epoch(monkeypatch):
    """A loss that never falls after the first epoch: three flat epochs later it is over, as if four were asked for."""
    X, Y, _, bits = study()
    data = module.Training(X, Y, fingerprints=bits)
    losses = iter([0.1] + [0.5] * 8)
    monkeypatch.setattr(Learner, "loss_on", lambda self, pairs: next(losses))
    stopped = SMALL["PP-MLP"](max_epochs=9, patience=3)._fit_fold(data, 0)
    assert len(list(losses)) == 5
    monkeypatch.setattr(Learner, "loss_on", lambda self, pairs: 0.1)
    np.testing.assert_array_equal(stopped.weights, SMALL["PP-MLP"](max_epochs=4)._fit_fold(data, 0).weights)


# The models.


@each_model
def test_a_grid_point_trains_alike_whichever_others_are_tried(name):
    X, Y, _, bits = study()
    grids = {
        "PP-tDNN": ({"dropout": [0.1]}, {"dropout": [0.4, 0.1]}),
        "PP-MLP": ({"learning_rate": [0.01], "batch_size": [64]}, {"learning_rate": [0.01], "batch_size": [99, 64]}),
    }
    data = module.Training(X, Y, fingerprints=bits)
    alone, beside = (SMALL[name](grid=grid)._fit_fold(data, 0).weights for grid in grids[name])
    np.testing.assert_array_equal(alone[0], beside[1])


@each_model
def test_the_global_random_state_is_neither_used_nor_moved(name):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = fit(SMALL[name](), *study()).predict(study()[0])
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    np.testing.assert_array_equal(first, fit(SMALL[name](), *study()).predict(study()[0]))


@each_model
def test_another_seed_is_another_network(name):
    first, second = (fit(SMALL[name](random_state=seed), *study()).predict(study()[0]) for seed in (0, 1))
    assert not np.allclose(first, second)


@each_model
def test_what_stands_in_for_a_missing_label_does_not_matter(name, monkeypatch):
    """Pairs without a label never enter: they are not even among the pairs."""
    seen = []
    measured = Pairs.measured.__func__
    monkeypatch.setattr(
        Pairs, "measured", classmethod(lambda cls, *parts: seen.append(measured(cls, *parts)) or seen[-1])
    )
    X, Y, _, bits = study()
    model = SMALL[name]()._fit_fold(module.Training(X, Y, fingerprints=bits), 0)
    assert sum(len(pairs.label) for pairs in seen) == (~np.isnan(Y)).sum()
    assert all(torch.isfinite(pairs.label).all() for pairs in seen) and np.isfinite(model.weights).all()


@each_model
def test_without_fingerprints_it_is_refused(name):
    X, Y, folds, _ = study()
    with pytest.raises(InputError, match=f"{name} needs fingerprints: give `fingerprints`"):
        SMALL[name]().fit(X, Y, folds)


def test_pp_mlp_takes_labels_on_any_scale():
    X, Y, folds, bits = study()
    plain, doubled, moved = (fit(SMALL["PP-MLP"](), X, labels, folds, bits).predict(X).to_numpy()
                             for labels in (Y, 1024 * Y, 1e3 * Y + 50))  # fmt: skip
    np.testing.assert_array_equal(doubled, plain)
    assert np.corrcoef(moved.ravel(), plain.ravel())[0, 1] > 0.9999


def test_pp_tdnn_predicts_in_the_units_of_the_labels():
    X, Y, folds, bits = study()
    plain, scaled = (fit(SMALL["PP-tDNN"](), X, labels, folds, bits).predict(X) for labels in (Y, 1e3 * Y + 50))
    np.testing.assert_allclose(scaled, 1e3 * plain + 50, rtol=1e-2, atol=1)


def test_pp_mlp_scales_its_inputs_by_training_lines_and_perturbations():
    X, Y, _, bits = study()
    X[:, 2] = np.where(np.arange(len(X)) % 10 == 0, 3.0, 1.0)  # an interquartile range of 0
    model = SMALL["PP-MLP"]()._fit_fold(module.Training(X, Y, fingerprints=bits), 0)
    np.testing.assert_allclose((X - model.centre) / model.scale, RobustScaler().fit_transform(X))
    assert model.scale[2] == 1
    np.testing.assert_allclose(model.components, RobustScaler().fit_transform(fingerprint_components(bits)))
