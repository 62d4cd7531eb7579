"""DAMAE: does it learn, does it do what the method says, and is it the same every time?"""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA

from leaplib.base.errors import InputError
from leaplib.representation import damae as module
from leaplib.representation.damae import DAMAE, fit_damaes

SMALL = {"n_hidden": 32, "n_components": 8, "batch_size": 64, "max_epochs": 6, "learning_rate": 1e-3,
         "precision": "float32", "device": "cpu"}  # fmt: skip


def low_rank(n=240, p=120, rank=6, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, p)) / np.sqrt(rank)
    X += noise * rng.normal(size=(n, p))
    return ((X - X.mean(0)) / X.std(0)).astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Networks as small as these are slower on several threads, far slower where cores are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def X():
    return low_rank()


@pytest.fixture(scope="module")
def fitted(X):
    return DAMAE(**SMALL).fit(X)


def reconstruct(model, X):
    hidden = torch.from_numpy(model.transform(X)) @ model.weights_["decoder.0.weight"].T
    hidden = (hidden + model.weights_["decoder.0.bias"]).relu()
    return (hidden @ model.weights_["decoder.1.weight"].T + model.weights_["decoder.1.bias"]).numpy()


def feed_of(X, rows=None, **settings):
    settings = DAMAE(**{**SMALL, "batch_size": 1024, **settings})
    rows = torch.arange(len(X))[None] if rows is None else rows
    return module._Feed(settings, list(range(len(rows))), torch.as_tensor(X), rows)


# It learns.


def test_reconstruction_beats_the_mean_and_approaches_pca():
    X = low_rank(n=400)
    train, test = X[:320], X[320:]
    settings = {**SMALL, "n_hidden": 64, "max_epochs": 300, "learning_rate": 3e-3}
    model = DAMAE(**settings).fit(train)
    pca = PCA(8).fit(train)
    error = np.mean((reconstruct(model, test) - test) ** 2)
    of_pca = np.mean((pca.inverse_transform(pca.transform(test)) - test) ** 2)
    of_mean = np.mean((train.mean(0) - test) ** 2)
    assert of_pca < error < 0.4 * of_mean
    assert error < of_pca + 0.15 * of_mean


def test_without_hidden_layers_corruption_and_noise_it_comes_to_pca():
    """The best linear autoencoder spans the principal components (Baldi and Hornik 1989)."""
    X = low_rank(n=400)
    settings = {**SMALL, "n_hidden": 0, "corruption": 0, "noise": 0, "max_epochs": 300, "holdout": 0}
    model, pca = DAMAE(**settings | {"learning_rate": 3e-3}).fit(X), PCA(8).fit(X)
    weights = {name: tensor.numpy() for name, tensor in model.weights_.items()}
    back = model.transform(X) @ weights["decoder.0.weight"].T + weights["decoder.0.bias"]
    error = np.mean((back - X) ** 2)
    of_pca = np.mean((pca.inverse_transform(pca.transform(X)) - X) ** 2)
    assert of_pca < error < 1.05 * of_pca
    codes = X @ weights["encoder.0.weight"] + weights["encoder.0.bias"]
    np.testing.assert_allclose(model.transform(X), codes, atol=1e-5)
    np.testing.assert_allclose(model.history_["train_loss"].iloc[-1], error, rtol=0.02)  # nothing is spoilt or dropped


@pytest.mark.parametrize("variant", [{}, {"n_hidden": 0}, {"masking": "row"}, {"corruption": 0, "noise": 0}], ids=str)
def test_gradients_are_those_of_autograd(X, variant):
    settings = DAMAE(**SMALL | variant)
    samples = torch.from_numpy(X)
    stack = module._Stack(settings, [0, 1], samples)
    feed = feed_of(X, torch.arange(len(X)).expand(2, -1), **variant)
    layers, hidden = (module.LAYERS, (0, 2)) if settings.n_hidden else (("encoder.0", "decoder.0"), ())
    clean, spoilt, drop = next(feed.epoch())
    names = [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]
    for number in range(2):
        weights = {name: tensor.requires_grad_() for name, tensor in stack.weights_of(number).items()}
        values = spoilt[number].T
        for layer, name in enumerate(layers):
            matrix, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
            values = values @ (matrix if name.startswith("encoder") else matrix.T) + bias
            if layer in hidden:
                values = values.relu() * drop[layer][number].T
        torch.nn.functional.mse_loss(values, clean[number].T).backward()
        expected = [weights[name].grad for name in names]
        if number == 0:
            loss = stack.learn(clean, spoilt, drop, 0.0)
        for slope, gradient in zip(stack.slopes, expected, strict=True):  # of half the sum of squares
            mean = slope[number].view_as(gradient) * 2 / clean[number].numel()
            torch.testing.assert_close(mean, gradient, rtol=1e-4, atol=1e-7)
        wanted = torch.nn.functional.mse_loss(values, clean[number].T)
        torch.testing.assert_close(loss[number], wanted, rtol=1e-5, atol=0.0)


def test_a_step_is_that_of_adam(X):
    settings = DAMAE(**SMALL)
    stack, feed = module._Stack(settings, [3], torch.from_numpy(X)), feed_of(X)
    before = [weight.clone() for weight in stack.weights]
    stack.learn(*next(feed.epoch()), 0.01)
    for old, new, slope in zip(before, stack.weights, stack.slopes, strict=True):
        gradient = slope * 2 / X.size
        torch.testing.assert_close(old - new, 0.01 * gradient / (gradient.abs() + 1e-8), rtol=1e-3, atol=1e-7)


# The corruption is VIME's.


def test_corruption_keeps_each_genes_values_and_replaces_thirty_percent():
    n, p = 200, 400
    X = np.arange(n * p, dtype=np.float32).reshape(n, p)  # a value tells its sample and gene
    clean, spoilt, _ = next(feed_of(X, noise=0.0).epoch())
    np.testing.assert_array_equal(clean[0].T, X)
    origin = spoilt[0].T.numpy().astype(int)
    assert (origin % p == np.arange(p)).all()  # the same gene
    replaced = origin // p != np.arange(n)[:, None]
    assert abs(replaced.mean() - 0.3) < 0.01
    assert replaced.mean(0).std() == pytest.approx(np.sqrt(0.21 / n), rel=0.2)  # each entry for itself
    assert replaced.mean(1).std() == pytest.approx(np.sqrt(0.21 / p), rel=0.2)
    donors = np.bincount(origin[replaced] // p, minlength=n)
    assert donors.min() > 0.5 * donors.mean()  # every sample gives
    assert donors.max() < 2 * donors.mean()
    pairs = [np.unique(row[hit]).size / hit.sum() for row, hit in zip(origin // p, replaced, strict=True)]
    assert np.mean(pairs) > 0.6  # a sample's entries come from many samples (0.75 expected)


def test_whole_rows_take_a_samples_replaced_entries_from_one_donor():
    n, p = 50, 400
    X = np.arange(n * p, dtype=np.float32).reshape(n, p)  # a value tells its sample and gene
    feed, own = feed_of(X, torch.arange(n).expand(2, -1), noise=0.0, masking="row"), np.arange(n)[:, None]
    donors, shares = [], []
    for _ in range(300):
        _, spoilt, _ = next(feed.epoch())
        origin = spoilt[0].T.numpy().astype(int)
        assert (origin % p == np.arange(p)).all()  # the same gene
        replaced = origin // p != own
        of_each = [np.unique(row[hit]) for row, hit in zip(origin // p, replaced, strict=True)]
        assert all(len(found) == 1 for found in of_each)
        donors.append(np.concatenate(of_each))
        shares.append(replaced.mean(1))
    assert np.mean(shares) == pytest.approx(0.3, abs=0.01)
    assert np.std(shares) == pytest.approx(np.sqrt(0.21 / p), rel=0.1)  # each entry for itself
    counts = np.bincount(np.array(donors)[:, 7], minlength=n)  # those of sample 7 over the batches
    assert counts[7] == 0 and (counts > 0).sum() > 45 and counts.max() < 20
    spoilt = next(feed.epoch())[1].numpy()
    both = [np.unique((page.T.astype(int) // p - own)[page.T.astype(int) // p != own] % n) for page in spoilt]
    assert len(both[0]) == len(both[1]) == 1 and both[0] != both[1]  # each network draws for itself


def test_columns_take_them_from_many_donors_and_train_to_something_else(X, fitted):
    assert fitted.masking == "column"
    np.testing.assert_array_equal(DAMAE(**SMALL, masking="column").fit(X).transform(X), fitted.transform(X))
    other = DAMAE(**SMALL, masking="row").fit(X)
    assert np.abs(other.transform(X) - fitted.transform(X)).max() > 1e-3


def test_nothing_is_spoilt_without_corruption_and_noise(X):
    clean, spoilt, drop = next(feed_of(X, corruption=0, noise=0).epoch())
    assert torch.equal(clean, spoilt) and set(drop) == {0, 2}
    clean, spoilt, _ = next(feed_of(X, corruption=0, noise=0.1).epoch())
    assert (spoilt - clean).std() == pytest.approx(0.1, rel=0.02)
    clean, spoilt, drop = next(feed_of(X, noise=0, n_hidden=0).epoch())
    assert (spoilt != clean).float().mean() == pytest.approx(0.3, abs=0.01)
    assert drop == {}


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_replaced_values_are_exact_in_both_precisions(X, precision):
    samples = torch.from_numpy(X).to(precision)
    clean, spoilt, _ = next(feed_of(samples, noise=0.0).epoch())
    assert (spoilt != clean).float().mean() == pytest.approx(0.3, abs=0.03)
    for gene in range(X.shape[1]):
        assert torch.isin(spoilt[0, gene], clean[0, gene]).all()


def test_entries_are_replaced_independently_of_each_other():
    """Over many batches, two entries are replaced together as often as chance has it."""
    feed = feed_of(np.arange(40.0, dtype=np.float32)[:, None].repeat(6, 1), noise=0.0)
    replaced = torch.stack([(spoilt != clean)[0].flatten() for _ in range(3000) for clean, spoilt, _ in feed.epoch()])
    between = np.corrcoef(replaced.T.float())[np.triu_indices(240, 1)]
    assert between.std() == pytest.approx(1 / np.sqrt(3000), rel=0.05)
    assert abs(between.mean()) < 1e-3


def test_marginals_stay_and_correlations_fall():
    X = low_rank(n=600, p=60)
    _, spoilt, _ = next(feed_of(X, noise=0.0).epoch())
    spoilt = spoilt[0].T.numpy()
    np.testing.assert_allclose(spoilt.mean(0), X.mean(0), atol=0.12)
    np.testing.assert_allclose(spoilt.std(0), X.std(0), atol=0.12)
    upper = np.triu_indices(60, 1)
    before, after = np.corrcoef(X.T)[upper], np.corrcoef(spoilt.T)[upper]
    assert after @ before / (before @ before) == pytest.approx(0.7**2, abs=0.05)


def test_every_batch_is_corrupted_anew(X):
    feed = feed_of(X, noise=0.0)
    masks = [(spoilt != clean).clone() for _ in range(2) for clean, spoilt, _ in feed.epoch()]
    both = (masks[0] & masks[1]).float().mean()
    assert both == pytest.approx(0.09, abs=0.015)


def test_noise_has_its_size_and_is_independent():
    X = np.zeros((300, 200), dtype=np.float32)
    feed = feed_of(X, noise=0.01)
    first = next(feed.epoch())[1][0].numpy().copy()
    second = next(feed.epoch())[1][0].numpy()
    assert first.std() == pytest.approx(0.01, rel=0.02)
    assert abs(first.mean()) < 2e-4
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.03
    between = np.corrcoef(first)[np.triu_indices(200, 1)]
    assert np.abs(between).max() < 0.35
    assert between.std() == pytest.approx(1 / np.sqrt(300), rel=0.1)


def test_dropout_drops_its_share_and_keeps_the_mean(X):
    _, _, drop = next(feed_of(X, dropout=0.2, n_hidden=128).epoch())
    assert set(drop) == {0, 2}
    for factors in drop.values():
        assert (factors == 0).float().mean() == pytest.approx(0.2, abs=0.01)
        assert factors.mean() == pytest.approx(1, abs=0.02)
        assert factors.unique().numel() == 2
    assert not torch.equal(drop[0], drop[2])


def test_an_epoch_takes_each_sample_at_most_once_in_new_order():
    X = np.repeat(np.arange(103, dtype=np.float32)[:, None], 3, 1)
    feed = feed_of(X, batch_size=25)
    orders = [torch.cat([clean[0, 0].clone() for clean, _, _ in feed.epoch()]).tolist() for _ in range(2)]
    for order in orders:
        assert len(order) == len(set(order)) == 100  # 5 batches of 20
    assert orders[0] != orders[1]


# Holdout and early stopping.


def test_held_out_samples_are_not_seen_before_the_refit(X, monkeypatch):
    calls = []
    train = module._train

    def spy(settings, seeds, samples, rows, limits, held=None):
        calls.append((rows, held, limits))
        return train(settings, seeds, samples, rows, limits, held)

    monkeypatch.setattr(module, "_train", spy)
    models = fit_damaes(X, (0, 1), **SMALL)
    (rows, held, _), (everything, nothing, epochs) = calls
    for number in range(2):
        assert len(held[number]) == 48
        assert sorted([*rows[number].tolist(), *held[number].tolist()]) == list(range(240))
        assert everything[number].tolist() == list(range(240))
    assert set(held[0].tolist()) != set(held[1].tolist())
    assert nothing is None
    assert epochs == [model.best_epoch_ for model in models]


def test_validation_loss_is_of_held_out_samples_only(X, monkeypatch):
    """Whatever the held-out samples hold, it does not reach the training loss."""
    seed = SMALL | {"random_state": 5}
    order = torch.randperm(len(X), generator=module._stream(5, "holdout"))
    altered = X.copy()
    altered[order[:48]] = 7.0
    first, second = DAMAE(**seed).fit(X).history_, DAMAE(**seed).fit(altered).history_
    common = min(len(first), len(second))
    pd.testing.assert_series_equal(first["train_loss"][:common], second["train_loss"][:common])
    assert (second["validation_loss"] > 10 * first["validation_loss"][0]).all()


def test_validation_is_on_clean_samples_without_dropout(X):
    """At a rate of almost 0 the final network is the one that was watched, and its error can be computed."""
    still = {"max_epochs": 1, "learning_rate": 1e-12, "dropout": 0.5, "corruption": 0.9, "random_state": 4}
    model = DAMAE(**SMALL | still).fit(X)
    held = X[torch.randperm(len(X), generator=module._stream(4, "holdout"))[:48]]
    error = np.mean((reconstruct(model, held) - held) ** 2)
    np.testing.assert_allclose(model.history_["validation_loss"][0], error, rtol=1e-5)


def test_early_stopping_returns_the_best_epoch(X):
    model = DAMAE(**SMALL | {"max_epochs": 400, "learning_rate": 1e-2, "patience": 7}).fit(X)
    loss = model.history_.set_index("epoch")["validation_loss"]
    assert model.best_epoch_ == len(loss) - 7 < 393
    assert loss[model.best_epoch_] <= loss.min() + 1e-5


def test_the_final_network_had_the_best_number_of_epochs(X):
    stopped = DAMAE(**SMALL | {"max_epochs": 400, "learning_rate": 1e-2, "patience": 7}).fit(X)
    fixed = {"max_epochs": stopped.best_epoch_, "holdout": 0, "learning_rate": 1e-2}
    direct = DAMAE(**SMALL | fixed).fit(X)
    np.testing.assert_array_equal(stopped.transform(X), direct.transform(X))
    assert direct.history_["validation_loss"].isna().all()
    assert direct.best_epoch_ == len(direct.history_) == stopped.best_epoch_


def test_min_delta_is_what_counts_as_an_improvement():
    log = module._Log(max_epochs=100)
    assert not log.over(1.0, 1.0, 2, 0.1)
    assert not log.over(1.0, 0.95, 2, 0.1)
    assert log.over(1.0, 0.91, 2, 0.1)
    assert log.best_epoch == 1


def test_warm_up_raises_the_rate_to_its_height():
    model = DAMAE(learning_rate=0.4, warm_up=3)
    np.testing.assert_allclose([model._rate(epoch) for epoch in range(5)], [0.1, 0.2, 0.3, 0.4, 0.4])
    assert DAMAE(learning_rate=0.4)._rate(0) == 0.4


# Seeds.


def test_a_seed_gives_the_same_and_another_seed_something_else(X, fitted):
    again = DAMAE(**SMALL).fit(X)
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
    pd.testing.assert_frame_equal(again.history_, fitted.history_)
    second = again.fit(X)
    np.testing.assert_array_equal(second.transform(X), fitted.transform(X))
    other = DAMAE(**SMALL, random_state=1).fit(X)
    assert np.abs(other.transform(X) - fitted.transform(X)).max() > 0.1


def test_the_global_generators_are_neither_used_nor_moved(X, fitted):
    torch.manual_seed(11)
    np.random.seed(11)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    again = DAMAE(**SMALL).fit(X)
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("stream", ["holdout", "weights", "batches"])
def test_each_random_stream_follows_the_seed(X, stream, monkeypatch):
    """Where any one stream is that of another seed, the training is another."""
    original, model = module._stream, DAMAE(**SMALL | {"random_state": 3})
    before = model.fit(X).history_

    def altered(seed, purpose, *device):
        return original(4 if (seed, purpose) == (3, stream) else seed, purpose, *device)

    monkeypatch.setattr(module, "_stream", altered)
    assert not model.fit(X).history_.equals(before)


@pytest.mark.parametrize("variant", [{}, {"n_hidden": 0}, {"masking": "row"}], ids=str)
def test_together_is_alone(X, variant):
    """Networks leave the stack at different epochs, and none notices the others."""
    settings = SMALL | {"max_epochs": 60, "learning_rate": 1e-2, "patience": 3} | variant
    together = fit_damaes(X, (0, 1, 2, 3), **settings)
    assert len({model.best_epoch_ for model in together}) > 1
    for model in together:
        alone = DAMAE(random_state=model.random_state, **settings).fit(X)
        assert alone.best_epoch_ == model.best_epoch_
        np.testing.assert_allclose(alone.history_, model.history_, rtol=1e-4)
        scale = alone.transform(X).std()
        np.testing.assert_allclose(model.transform(X), alone.transform(X), atol=1e-3 * scale)


def test_together_is_alone_in_bfloat16(X):
    settings = SMALL | {"precision": "bfloat16", "batch_size": 200}
    for model in fit_damaes(X, (0, 1, 2), **settings):
        alone = DAMAE(random_state=model.random_state, **settings).fit(X)
        np.testing.assert_allclose(alone.history_, model.history_, rtol=1e-3)
        scale = alone.transform(X).std()
        np.testing.assert_allclose(model.transform(X), alone.transform(X), atol=0.05 * scale)


def test_order_of_seeds_does_not_matter(X):
    forward, backward = fit_damaes(X, (0, 1), **SMALL), fit_damaes(X, (1, 0), **SMALL)
    np.testing.assert_allclose(forward[0].transform(X), backward[1].transform(X), atol=1e-5)


# Precision and devices.


def test_bfloat16_comes_close_to_float32(X):
    settings = SMALL | {"max_epochs": 60, "holdout": 0}
    exact = DAMAE(**settings).fit(X)
    rough = DAMAE(**settings | {"precision": "bfloat16"}).fit(X)
    assert rough.weights_["encoder.0.weight"].dtype == torch.float32
    np.testing.assert_allclose(rough.history_["train_loss"], exact.history_["train_loss"], rtol=0.02)


def test_no_gpu_is_needed_and_one_that_is_missing_is_said(X):
    DAMAE(**SMALL | {"device": "auto"}).fit(X)
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no GPU"):
            DAMAE(**SMALL | {"device": "cuda"}).fit(X)


# Transform.


def test_transform_is_deterministic_and_sample_by_sample(X, fitted):
    codes = fitted.transform(X)
    assert codes.shape == (240, 8)
    assert codes.dtype == np.float32
    np.testing.assert_array_equal(codes, fitted.transform(X))
    np.testing.assert_allclose(fitted.transform(X[:1]), codes[:1], atol=1e-5)


def test_frames_are_put_in_order_and_missing_genes_are_named(X):
    frame = pd.DataFrame(X, columns=[f"G{i}" for i in range(X.shape[1])])
    model = DAMAE(**SMALL).fit(frame)
    assert model.feature_names_in_.tolist() == frame.columns.tolist()
    mixed = frame.sample(frac=1, axis=1, random_state=0).assign(EXTRA=1.0)
    np.testing.assert_array_equal(model.transform(mixed), model.transform(X))
    with pytest.raises(InputError, match=r"2 genes.*G3, G7"):
        model.transform(frame.drop(columns=["G3", "G7"]))
    with pytest.raises(InputError, match=r"119 genes.*120"):
        model.transform(X[:, :-1])


def test_it_is_an_estimator_of_scikit_learn(fitted, X):
    settings = clone(fitted).get_params()
    assert settings == fitted.get_params()
    np.testing.assert_array_equal(clone(fitted).fit_transform(X), fitted.transform(X))
    with pytest.raises(InputError, match="not fitted"):
        DAMAE().transform(X)
    with pytest.raises(InputError, match="not fitted"):
        DAMAE().save("nowhere")


# Bad input.


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_named(X, fitted, value):
    frame = pd.DataFrame(X.copy(), columns=[f"G{i}" for i in range(X.shape[1])])
    frame.iloc[4, 2] = value
    with pytest.raises(InputError, match="sample 4, gene G2"):
        DAMAE(**SMALL).fit(frame)
    with pytest.raises(InputError, match="missing or infinite"):
        fitted.transform(frame.to_numpy())


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_samples(X, n):
    with pytest.raises(InputError, match="samples"):
        DAMAE(**SMALL).fit(X[:n])


def test_three_samples_are_enough(X):
    assert np.isfinite(DAMAE(**SMALL).fit(X[:3]).transform(X)).all()


@pytest.mark.parametrize("bad", [[["a", "b"]], [1.0, 2.0], np.zeros((3, 0))])
def test_what_is_not_a_matrix_of_numbers(bad):
    with pytest.raises(InputError, match="X must"):
        DAMAE(**SMALL).fit(bad)


@pytest.mark.parametrize(
    "setting",
    [{"corruption": 1.0}, {"dropout": -0.1}, {"holdout": 1}, {"batch_size": 1}, {"max_epochs": 0},
     {"n_hidden": -1}, {"masking": "rows"}, {"precision": "float16"}, {"patience": 0},
     {"learning_rate": 0.0}, {"noise": -1.0}],
)  # fmt: skip
def test_settings_out_of_range(X, setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        DAMAE(**SMALL | setting).fit(X)


def test_training_that_diverges_is_said(X):
    for losses in ((np.nan, 1.0), (1.0, np.inf), (np.inf, None)):
        with pytest.raises(InputError, match="diverged in epoch 1"):
            module._Log(max_epochs=9).over(*losses, 2, 0.1)
    with pytest.raises(InputError, match="diverged"):
        DAMAE(**SMALL | {"learning_rate": 1e25, "max_epochs": 30}).fit(X)


def test_no_seeds(X):
    with pytest.raises(InputError, match="random_states"):
        fit_damaes(X, ())


def test_constant_genes_and_extreme_scales_train(X):
    odd = X.copy()
    odd[:, 0] = 0
    odd[:, 1] = odd[:, 2]
    odd[:, 3] *= 1e-6
    odd[:, 4] *= 1e3
    model = DAMAE(**SMALL).fit(odd)
    assert np.isfinite(model.transform(odd)).all()
    assert np.isfinite(model.history_).all().all()


# Save and load.


@pytest.fixture
def saved(X, tmp_path):
    frame = pd.DataFrame(X, columns=[f"G{i}" for i in range(X.shape[1])])
    model = DAMAE(**SMALL, random_state=3).fit(frame)
    model.save(tmp_path / "damae_3")
    return model, frame, tmp_path / "damae_3"


def test_saved_and_loaded_is_equal_to_the_bit(saved):
    model, frame, prefix = saved
    loaded = DAMAE.load(prefix)
    np.testing.assert_array_equal(loaded.transform(frame), model.transform(frame))
    assert loaded.get_params() == model.get_params()
    assert (loaded.best_epoch_, loaded.precision_) == (model.best_epoch_, "float32")
    pd.testing.assert_frame_equal(loaded.history_, model.history_)
    assert loaded.feature_names_in_.tolist() == model.feature_names_in_.tolist()
    assert sorted(path.name for path in prefix.parent.iterdir()) == ["damae_3.json", "damae_3.safetensors"]
    sidecar = json.loads(prefix.with_suffix(".json").read_text())
    assert sidecar["configuration"]["random_state"] == 3
    assert sidecar["versions"]["torch"]


@pytest.mark.parametrize("variant", [{"n_hidden": 0}, {"masking": "row"}, {"corruption": 0, "noise": 0}], ids=str)
def test_variants_come_back_and_repeat(X, variant, tmp_path):
    model = DAMAE(**SMALL | variant).fit(X)
    model.save(tmp_path / "a")
    loaded = DAMAE.load(tmp_path / "a")
    assert loaded.get_params() == model.get_params()
    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    np.testing.assert_array_equal(loaded.fit(X).transform(X), model.transform(X))


def test_files_from_before_masking_was_a_choice_are_read(saved):
    model, frame, prefix = saved
    sidecar = prefix.with_suffix(".json")
    text = json.loads(sidecar.read_text())
    del text["configuration"]["masking"], text["checksum"]
    sidecar.write_text(json.dumps(text))
    loaded = DAMAE.load(prefix)
    assert loaded.masking == "column"
    np.testing.assert_array_equal(loaded.transform(frame), model.transform(frame))


def test_a_folder_will_do_and_arrays_have_no_genes(fitted, X, tmp_path):
    fitted.save(tmp_path)
    loaded = DAMAE.load(tmp_path)
    assert not hasattr(loaded, "feature_names_in_")
    np.testing.assert_array_equal(loaded.transform(X), fitted.transform(X))


def test_a_history_without_holdout_survives(X, tmp_path):
    model = DAMAE(**SMALL | {"holdout": 0}).fit(X)
    model.save(tmp_path / "a")
    pd.testing.assert_frame_equal(DAMAE.load(tmp_path / "a").history_, model.history_)


def test_damaged_missing_and_foreign_files_are_refused(saved, X):
    _, frame, prefix = saved
    weights, sidecar = prefix.with_suffix(".safetensors"), prefix.with_suffix(".json")
    good = weights.read_bytes(), sidecar.read_text()
    weights.write_bytes(good[0][:-4] + b"\0\0\0\1")
    with pytest.raises(InputError, match="damaged"):
        DAMAE.load(prefix)
    DAMAE(**SMALL | {"n_hidden": 16}).fit(frame).save(prefix)
    sidecar.write_text(good[1])  # of the one, with the weights of the other
    with pytest.raises(InputError, match="another"):
        DAMAE.load(prefix)
    weights.write_bytes(good[0])
    for edit in ({"format": "else"}, {"configuration": {"n_layers": 3}}, {"configuration": {"n_hidden": 5}},
                 {"configuration": {"n_hidden": 0}}):  # fmt: skip
        sidecar.write_text(json.dumps(json.loads(good[1]) | edit))
        with pytest.raises(InputError):
            DAMAE.load(prefix)
    for text in ("", "{", "[]", "{}"):
        sidecar.write_text(text)
        with pytest.raises(InputError):
            DAMAE.load(prefix)
    weights.unlink()
    sidecar.write_text(good[1])
    with pytest.raises(InputError, match="no readable DAMAE"):
        DAMAE.load(prefix)
