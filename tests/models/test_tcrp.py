"""PS-TCRP: meta-steps against plain autograd, what the tasks are made of, and few-shot fine-tuning."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import mse_loss, pad

from leaplib.base.errors import InputError
from leaplib.models.tcrp import PSTcrp, TaskSampler, meta_train

pytestmark = pytest.mark.usefixtures("one_thread")
GRID = {"meta_rate": [1e-2], "inner_rate": [1e-3, 1e-2]}


def small(**settings):
    defaults = {"n_hidden": 6, "n_epochs": 25, "n_tasks": 4, "n_shots": 10, "grid": GRID, "device": "cpu"}
    return PSTcrp(**defaults | settings)


class Cohort:
    """Samples of five tissues, the last too small; slope and offset of the labels differ between tissues."""

    def __init__(self):
        rng = np.random.default_rng(0)
        code = np.repeat(range(5), [40, 30, 24, 12, 1])
        self.groups, names = np.array(list("abcde"))[code], [f"line {i}" for i in range(len(code))]
        X, drugs = rng.normal(size=(len(code), 8)), [f"drug {j}" for j in range(4)]
        slopes, offset = rng.normal(size=(8, 4)) + 0.3 * rng.normal(size=(5, 8, 4)), rng.normal(scale=2, size=(5, 4))
        Y = np.einsum("np,npl->nl", X, slopes[code]) + offset[code] + 0.2 * rng.normal(size=(len(code), 4))
        self.X, self.complete = pd.DataFrame(X, index=names), pd.DataFrame(Y, index=names, columns=drugs)
        self.Y = self.complete.mask(rng.random(Y.shape) < 0.1)
        self.folds = rng.permutation(np.arange(len(code)) % 3)

    def fit(self, model, labels=None):
        return model.fit(self.X, self.Y if labels is None else labels, self.folds, self.groups)


@pytest.fixture(scope="module")
def cohort():
    return Cohort()


def plain(parameters, x):
    """Return the output of a network p - H - H - 1 given by its three matrices and biases."""
    first, bias1, second, bias2, third, bias3 = parameters
    return (torch.relu(torch.relu(x @ first + bias1) @ second + bias2) @ third + bias3).squeeze(-1)


def plain_steps(parameters, x, y, rate, n_steps):
    """Return the parameters after gradient steps, through which one can differentiate."""
    for _ in range(n_steps):
        slopes = torch.autograd.grad(mse_loss(plain(parameters, x), y), parameters, create_graph=True)
        parameters = [value - rate * slope for value, slope in zip(parameters, slopes, strict=True)]
    return parameters


def plain_maml(parameters, epochs, meta_rate, inner_rate, n_steps):
    """Meta-train one network; each epoch is a list of (support x, y, query x, y)."""
    parameters = [value.clone().requires_grad_() for value in parameters]
    adam = torch.optim.Adam(parameters, lr=meta_rate)
    for tasks in epochs:
        tuned = [plain_steps(parameters, xs, ys, inner_rate, n_steps) for xs, ys, _, _ in tasks]
        losses = [mse_loss(plain(network, xq), yq) for network, (_, _, xq, yq) in zip(tuned, tasks, strict=True)]
        adam.zero_grad()
        torch.stack(losses).mean().backward()
        adam.step()
    return parameters


def unpacked(tasks, number):
    """Return the tasks of one perturbation as `plain_maml` takes them, without the empty places."""
    K = tasks.x.shape[2] // 2
    found = []
    for x, y, share in zip(tasks.x[number, :, :, :-1], tasks.y[number], tasks.share[number], strict=True):
        sides = [(x[side][share[side] > 0], y[side][share[side] > 0]) for side in (slice(K), slice(K, 2 * K))]
        found.append((*sides[0], *sides[1]))
    return found


def parameters_of(layers, point, number):
    """Return the matrices and biases of one network."""
    return [torch.as_tensor(part) for layer in layers for part in (layer[point, number, :-1], layer[point, number, -1])]


def problem(L=3, n=70, p=5):
    rng = np.random.default_rng(1)
    x, y = (torch.from_numpy(rng.normal(size=shape)) for shape in ((n, p), (L, n)))
    tissues = torch.from_numpy(rng.choice(5, n, p=[0.4, 0.3, 0.2, 0.08, 0.02]))
    return x, y, torch.from_numpy(rng.random((L, n)) < 0.8), tissues


@pytest.mark.parametrize("n_steps", [1, 3])
def test_meta_training_is_that_of_plain_second_order_autograd(n_steps):
    x, *others = problem()
    rates = {"meta_rate": (1e-2, 3e-2), "inner_rate": (0.05, 0.2)}
    untrained, settings = (PSTcrp(4, epochs, 6, 4, n_steps, grid=rates) for epochs in (0, 3))
    start, trained = (meta_train(x, *others, chosen, [7, 0]) for chosen in (untrained, settings))
    sampler = TaskSampler(pad(x, (0, 1), value=1), *others, settings, [7, 0])
    for number in range(3):
        epochs = [unpacked(sampler.draw(epoch), number) for epoch in range(3)]
        for point, at in enumerate(settings.points()):
            expected = plain_maml(parameters_of(start, point, number), epochs, *at.values(), n_steps)
            for ours, theirs in zip(parameters_of(trained, point, number), expected, strict=True):
                torch.testing.assert_close(ours, theirs.detach(), rtol=1e-8, atol=1e-8)
        assert not np.allclose(trained[0][0, number], start[0][0, number], atol=1e-3)


def test_adapting_is_plain_gradient_descent_on_the_labels_that_there_are(cohort):
    model = cohort.fit(small(grid={"meta_rate": [1e-2], "inner_rate": [0.05]}))
    X, Y = cohort.X[:14], cohort.Y[:14]
    tuned = model.adapt(X, Y).predict(cohort.X)
    for number, drug in enumerate(cohort.Y):
        known = np.array(Y[drug].notna())
        expected = []
        for fold in model.parts_[0]:
            inputs, mean, scale = (
                (cohort.X - fold.x_mean) / fold.x_scale,
                fold.y_mean[0, number],
                fold.y_scale[0, number],
            )
            x, y = torch.tensor(np.array(inputs)), torch.tensor(np.array((Y[drug] - mean) / scale))
            layers = [np.array(layer, dtype=float) for layer in (fold.first, fold.second, fold.third)]
            network = [part.requires_grad_() for part in parameters_of(layers, 0, number)]
            network = plain_steps(network, x[:14][known], y[known], 0.05, model.n_adapt_steps)
            expected.append(plain(network, x).detach().numpy() * scale + mean)
        np.testing.assert_allclose(tuned[drug], np.mean(expected, axis=0), rtol=1e-3, atol=1e-3)
    assert 0.8 < Y.notna().to_numpy().mean() < 1


def test_tasks_are_of_one_tissue_disjoint_and_of_known_labels():
    _, y, known, tissues = problem(L=4, n=90)
    rows = torch.arange(90).double()[:, None]
    sampler = TaskSampler(rows, y, known, tissues, PSTcrp(4, 1, 12, 10), [0, 0])
    counts = np.array([[(known[j] & (tissues == t)).sum() for t in range(5)] for j in range(4)])
    assert (counts[:, 4] < 4).all() and (counts[:, 3] < 20).all()  # what the two rules are for
    seen = set()
    for epoch in range(30):
        tasks = sampler.draw(epoch)
        drawn = tasks.x[..., 0].long()
        for j in range(4):
            each = zip(drawn[j], tasks.share[j], strict=True)
            repeats = np.bincount([check_task(*task, known[j], tissues, counts[j]) for task in each], minlength=5)
            assert np.ptp(repeats[counts[j] >= 4]) <= 1 and repeats[4] == 0
            torch.testing.assert_close(tasks.y[j], y[j][drawn[j]])
        seen.update(drawn[tasks.share > 0].tolist())
    assert len(seen) > 80


def check_task(rows, share, known, tissues, counts):
    support, query = rows[:10][share[:10] > 0], rows[10:][share[10:] > 0]
    used = torch.cat([support, query])
    tissue = int(tissues[support[0]])
    assert len(used.unique()) == len(used) and known[used].all() and (tissues[used] == tissue).all()
    assert len(support) == min(10, counts[tissue] // 2)
    assert len(query) == min(10, counts[tissue] - len(support))
    torch.testing.assert_close(torch.stack([share[:10].sum(), share[10:].sum()]), torch.ones(2).double())
    return tissue


def test_tasks_and_first_weights_follow_the_seed_and_tasks_the_epoch():
    arguments, seeds = problem(), ([0, 0], [0, 0], [1, 0], [0, 1])
    one, same, *others = (TaskSampler(*arguments, PSTcrp(4, 1, 6, 4), seed) for seed in seeds)
    assert torch.equal(same.draw(0).x, one.draw(0).x)
    assert all(not torch.equal(tasks.x, one.draw(0).x) for tasks in (one.draw(1), *(other.draw(0) for other in others)))
    start, *rest = (meta_train(*arguments, small(n_epochs=0), seed)[0] for seed in seeds[1:])
    assert not any(np.allclose(start, other) for other in rest)


def test_missing_labels_never_enter():
    x, y, known, tissues = problem()
    settings = PSTcrp(4, 5, 6, 4, grid={"meta_rate": [1e-2], "inner_rate": [1e-2]})
    found = [meta_train(x, labels, known, tissues, settings, [0, 0]) for labels in (y, torch.where(known, y, 1e9))]
    for clean, other in zip(*found, strict=True):
        np.testing.assert_array_equal(clean, other)


def test_neither_the_perturbations_beside_it_nor_their_order_nor_blocks_matter(cohort, monkeypatch):
    def both(labels):
        model = cohort.fit(small(), labels)
        return pd.concat([model.predict(cohort.X), model.adapt(cohort.X[:12], labels[:12]).predict(cohort.X)])

    together = both(cohort.Y)
    others = [both(cohort.Y[["drug 2"]]), both(cohort.Y.iloc[:, ::-1])]
    monkeypatch.setattr(PSTcrp, "block", 3)
    for found in (*others, both(cohort.Y)):
        np.testing.assert_allclose(found, together[found.columns], rtol=1e-3, atol=1e-3)


def test_adapting_leaves_the_original_and_unlabelled_perturbations_as_they_were(cohort, tmp_path):
    model = cohort.fit(small())
    before = model.predict(cohort.X)
    labels = cohort.Y.iloc[:10].assign(**{"drug 2": np.nan}, other=1.0)
    tuned = model.adapt(cohort.X.iloc[:10], labels.iloc[:, ::-1])
    after = tuned.predict(cohort.X)
    pd.testing.assert_frame_equal(model.predict(cohort.X), before, check_exact=True)
    assert [drug for drug in after if not np.allclose(after[drug], before[drug])] == ["drug 0", "drug 1", "drug 3"]
    again = PSTcrp.load(tuned.save(tmp_path / "tuned"))
    pd.testing.assert_frame_equal(again.predict(cohort.X), after, check_exact=True)
    later = PSTcrp.load(model.save(tmp_path / "model")).adapt(cohort.X.iloc[:10], labels)
    pd.testing.assert_frame_equal(later.predict(cohort.X), after, check_exact=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, Y: (X[:9], Y[:9]), "9 target samples: 10-shot needs at least 10"),
        (lambda X, Y: (X, Y[:9]), "different samples"),
        (lambda X, Y: (X, Y.to_numpy()[:9]), "10 rows"),
        (lambda X, Y: (X, Y.replace(Y.iloc[0, 0], np.inf)), "finite"),
        (lambda X, Y: (X.iloc[:, :3], Y), "3 columns"),
        (lambda X, Y: (X, Y.drop(columns="drug 1")), "'drug 1' has no column"),
        (lambda X, Y: (X, Y.to_numpy()[:, :3]), "'drug 0' has no column"),
    ],
)
def test_targets_that_cannot_be_used(cohort, change, message):
    model = cohort.fit(small(n_epochs=1))
    with pytest.raises(InputError, match=message):
        model.adapt(*change(cohort.X[:10], cohort.complete[:10]))


def test_a_perturbation_without_a_usable_tissue_is_named(cohort):
    scarce = cohort.Y.copy()
    keep = [np.flatnonzero(cohort.groups == tissue)[:3] for tissue in "abc"]
    scarce.loc[~np.isin(np.arange(len(scarce)), keep), "drug 1"] = np.nan
    with pytest.warns(UserWarning, match=r"1 perturbations \(drug 1\)"):
        model = cohort.fit(small(), scarce)
    assert model.pooled_.tolist() == ["drug 1"]
    assert np.isfinite(model.predict(cohort.X).to_numpy()).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cohort.fit(small()).pooled_.empty


def test_constant_and_nearly_absent_labels_give_constants_and_finite_numbers(cohort):
    odd = cohort.complete.copy()
    odd["drug 0"] = 3.0
    odd.loc[odd.index[1:], "drug 1"] = np.nan  # in one fold only: that fold's model has no label
    with pytest.warns(UserWarning, match="drug 1"):
        prediction = cohort.fit(small(n_epochs=2), odd).predict(cohort.X)
    np.testing.assert_allclose(prediction["drug 0"], 3)
    assert np.ptp(prediction["drug 1"]) < 1e-9 and np.isfinite(prediction.to_numpy()).all()


def test_missing_groups_and_settings_out_of_range(cohort):
    with pytest.raises(InputError, match="needs the tissue of each sample: give `groups`"):
        small().fit(cohort.X, cohort.Y, cohort.folds)
    with pytest.raises(InputError, match="n_tasks must be at least 1"):
        cohort.fit(small(n_tasks=0))
    with pytest.raises(InputError, match="positive meta_rate and inner_rate"):
        cohort.fit(small(grid={"meta_rate": [1e-3]}))


def test_more_threads_change_nothing_but_rounding():
    arguments = *problem(L=7), PSTcrp(4, 5, 6, 4, grid={"meta_rate": [1e-2], "inner_rate": [1e-2]}), [0, 0]
    before = torch.get_num_threads()
    try:
        found = [torch.set_num_threads(number) or meta_train(*arguments) for number in (1, 3)]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    for one, three in zip(*found, strict=True):
        np.testing.assert_allclose(one, three, rtol=1e-10, atol=1e-12)
