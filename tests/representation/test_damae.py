"""DAMAE: does it learn, does it do what the method says, and is it the same every time?"""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from leaplib.base.errors import InputError
from leaplib.base.store import key_of
from leaplib.representation import damae as module
from leaplib.representation.damae import DAMAE, corrupt

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = {"n_hidden": 32, "n_components": 8, "batch_size": 64, "max_epochs": 6, "learning_rate": 1e-3,
         "precision": "float32", "device": "cpu"}  # fmt: skip
STILL = SMALL | {"max_epochs": 1, "learning_rate": 1e-12}  # the network stays as it was drawn
ROUNDING = {"rtol": 1e-4, "atol": 1e-5}  # of sums in float32 over some steps of Adam


def low_rank(n=240, p=120, rank=6, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, p)) / np.sqrt(rank)
    X += noise * rng.normal(size=(n, p))
    return ((X - X.mean(0)) / X.std(0)).astype(np.float32)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)  # what `corrupt` draws from, where it is called alone


@pytest.fixture(scope="module")
def X():
    return low_rank()


@pytest.fixture(scope="module")
def frame(X):
    return pd.DataFrame(X, columns=[f"G{i}" for i in range(X.shape[1])])


@pytest.fixture(scope="module")
def fitted(X):
    return DAMAE(**SMALL).fit(X)


def test_a_second_hidden_layer_stands_on_either_side_and_is_saved(X, tmp_path):
    model = DAMAE(**SMALL | {"n_layers": 2}).fit(X)
    for half, (n_in, n_out) in ((model.network_.encoder, (120, 8)), (model.network_.decoder, (8, 120))):
        widths = [(layer.in_features, layer.out_features) for layer in half if isinstance(layer, torch.nn.Linear)]
        assert widths == [(n_in, 32), (32, 32), (32, n_out)]
    model.save(tmp_path / "damae")
    np.testing.assert_array_equal(DAMAE.load(tmp_path / "damae").transform(X), model.transform(X))
    about = json.loads((tmp_path / "damae.json").read_text())
    about["configuration"]["n_layers"] = 10**9
    del about["checksum"]
    (tmp_path / "damae.json").write_text(json.dumps(about | {"checksum": key_of(about)}))
    with pytest.raises(InputError, match="2 hidden layers, not 1000000000"):
        DAMAE.load(tmp_path / "damae")


def error_of(model, X):
    with torch.no_grad():
        return float(((model.network_(torch.tensor(X)) - torch.tensor(X)) ** 2).mean())


def held_out(X, seed):
    return np.split(np.random.default_rng(seed).permutation(len(X)), [round(0.2 * len(X))])


# It learns.


def test_without_hidden_layers_corruption_and_noise_it_comes_to_pca():
    """The best linear autoencoder spans the principal components (Baldi and Hornik 1989)."""
    X = low_rank(n=400)
    settings = {"n_hidden": 0, "corruption": 0, "noise": 0, "max_epochs": 300, "holdout": 0, "learning_rate": 3e-3}
    model, pca = DAMAE(**SMALL | settings).fit(X), PCA(8).fit(X)
    of_pca = np.mean((pca.inverse_transform(pca.transform(X)) - X) ** 2)
    assert of_pca < error_of(model, X) < 1.05 * of_pca
    np.testing.assert_allclose(model.history_["train_loss"].iloc[-1], error_of(model, X), rtol=0.02)


def test_layers_are_those_of_the_paper():
    sizes = [tuple(weight.shape) for name, weight in DAMAE(max_epochs=1, holdout=0, device="cpu").fit(low_rank(9, 20))
             .network_.named_parameters() if name.endswith("weight")]  # fmt: skip
    assert sizes == [(512, 20), (256, 512), (512, 256), (20, 512)]


def test_weights_start_within_one_over_the_root_of_the_inputs(X):
    """Uniform, as torch has them."""
    for name, weight in DAMAE(**STILL | {"holdout": 0}).fit(X).network_.named_parameters():
        if name.endswith("weight"):
            bound = 1 / np.sqrt(weight.shape[1])
            assert 0.9 * bound < weight.abs().max().item() <= bound * (1 + 1e-6), name
            assert weight.std().item() == pytest.approx(bound / np.sqrt(3), rel=0.15), name


# The corruption is VIME's. A value tells its sample and gene: X[sample, gene] = sample * p + gene.


def coded(n, p):
    return torch.arange(n * p, dtype=torch.float32).reshape(n, p)


def test_corruption_replaces_thirty_percent_by_the_genes_value_in_other_samples():
    n, p = 200, 400
    origin = corrupt(coded(n, p), noise=0.0).numpy().astype(int)
    assert (origin % p == np.arange(p)).all()  # the same gene
    donor, replaced = origin // p, origin // p != np.arange(n)[:, None]
    assert abs(replaced.mean() - 0.3) < 0.01
    assert replaced.mean(0).std() == pytest.approx(np.sqrt(0.21 / n), rel=0.2)  # each entry for itself
    assert replaced.mean(1).std() == pytest.approx(np.sqrt(0.21 / p), rel=0.2)
    given = np.bincount(donor[replaced], minlength=n)
    assert given.min() > 0.5 * given.mean() and given.max() < 2 * given.mean()  # every sample gives
    varied = [np.unique(row[hit]).size / hit.sum() for row, hit in zip(donor, replaced, strict=True)]
    assert np.mean(varied) > 0.6  # a sample's entries come from many samples (0.75 expected)


def test_whole_rows_take_a_samples_replaced_entries_from_one_donor():
    n, p, donors, shares = 50, 400, [], []
    for _ in range(200):
        donor = corrupt(coded(n, p), noise=0.0, masking="row").numpy().astype(int) // p
        replaced = donor != np.arange(n)[:, None]
        assert all(len(np.unique(row[hit])) == 1 for row, hit in zip(donor, replaced, strict=True))
        donors.append(donor[7][replaced[7]][0])
        shares.append(replaced.mean())
    assert np.mean(shares) == pytest.approx(0.3, abs=0.01)
    counts = np.bincount(donors, minlength=n)  # those of sample 7 over the batches
    assert counts[7] == 0 and (counts > 0).sum() > 45 and counts.max() < 20


def test_noise_has_its_size_and_is_independent():
    first, second = (corrupt(torch.zeros(300, 200)).numpy() for _ in range(2))
    assert first.std() == pytest.approx(0.01, rel=0.02) and abs(first.mean()) < 2e-4
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.03
    assert np.corrcoef(first)[np.triu_indices(300, 1)].std() == pytest.approx(1 / np.sqrt(200), rel=0.1)
    assert torch.equal(corrupt(coded(9, 9), 0.0, 0.0), coded(9, 9))


@pytest.mark.parametrize(("setting", "rises"), [({"corruption": 0.9}, 0), ({"noise": 3.0}, 1), ({"dropout": 0.9}, 1)])
def test_training_is_on_spoilt_input_with_dropout_and_validation_on_clean_input_without(X, setting, rises):
    none = STILL | {"corruption": 0, "noise": 0, "dropout": 0, "random_state": 4}
    plain, spoilt = (DAMAE(**none | changes).fit(X) for changes in ({}, setting))
    held, rest = held_out(X, 4)
    for model in (plain, spoilt):  # the final network is the one that was watched, as neither has moved
        np.testing.assert_allclose(model.history_["validation_loss"], error_of(model, X[held]), rtol=1e-5)
    np.testing.assert_allclose(plain.history_["train_loss"], error_of(plain, X[rest]), rtol=1e-4)
    difference = spoilt.history_["train_loss"][0] / plain.history_["train_loss"][0] - 1
    assert difference > 1e-3 if rises else abs(difference) > 1e-5


def test_an_epoch_takes_each_sample_once_in_new_order(monkeypatch):
    X, batches = np.repeat(np.arange(103, dtype=np.float32)[:, None], 3, 1), []
    monkeypatch.setattr(module, "corrupt", lambda clean, *settings: batches.append(clean[:, 0].tolist()) or clean)
    DAMAE(**STILL | {"batch_size": 25, "holdout": 0, "max_epochs": 2}).fit(X)
    assert [len(batch) for batch in batches] == [21, 21, 21, 20, 20] * 2
    first, second = np.split(np.concatenate(batches), 2)
    assert sorted(first) == sorted(second) == list(range(103)) and (first != second).any()


def test_what_is_set_of_the_corruption_reaches_the_training(X, monkeypatch):
    given = []
    monkeypatch.setattr(module, "corrupt", lambda clean, *settings: given.append(settings) or clean)
    for masking in ("row", "column"):
        DAMAE(**STILL | {"masking": masking, "corruption": 0.4, "noise": 0.2, "holdout": 0, "batch_size": 999}).fit(X)
    assert given == [(0.4, 0.2, "row"), (0.4, 0.2, "column")]


# Holdout and early stopping.


def test_held_out_samples_do_not_reach_the_training(X):
    altered = X.copy()
    altered[held_out(X, 5)[0]] = 7.0
    first, second = (DAMAE(**SMALL, random_state=5).fit(values).history_ for values in (X, altered))
    np.testing.assert_allclose(first["train_loss"], second["train_loss"], **ROUNDING)
    assert (second["validation_loss"] > 10 * first["validation_loss"][0]).all()


@pytest.mark.parametrize("min_delta", [1e-5, 0.02])
def test_early_stopping_and_the_refit_for_the_best_number_of_epochs(X, min_delta):
    longer = SMALL | {"max_epochs": 400, "learning_rate": 1e-2}
    model = DAMAE(**longer, patience=7, min_delta=min_delta).fit(X)
    best, best_epoch = np.inf, 0
    for epoch, loss in zip(model.history_["epoch"], model.history_["validation_loss"], strict=True):
        best, best_epoch = (loss, epoch) if loss < best - min_delta else (best, best_epoch)
        assert epoch - best_epoch < 7 or epoch == len(model.history_)
    assert model.best_epoch_ == best_epoch == len(model.history_) - 7 < 393
    direct = DAMAE(**longer | {"max_epochs": best_epoch, "holdout": 0}).fit(X)  # on all samples
    np.testing.assert_allclose(model.transform(X), direct.transform(X), rtol=1e-3, atol=1e-3)
    assert direct.history_["validation_loss"].isna().all() and direct.best_epoch_ == len(direct.history_) == best_epoch


def test_the_rate_is_that_of_adam(X):
    """Its first steps are as long as the rate."""
    settings = SMALL | {"holdout": 0, "batch_size": 1024, "max_epochs": 1}
    start, full = (DAMAE(**settings | {"learning_rate": rate}).fit(X).network_.state_dict()["encoder.0.weight"]
                   for rate in (1e-12, 1e-3))  # fmt: skip
    assert (full - start).abs().max().item() == pytest.approx(1e-3, rel=1e-3)


# Seeds.


def test_a_seed_gives_the_same_whatever_else_is_drawn_and_another_seed_something_else(X, fitted):
    torch.manual_seed(11)
    np.random.seed(11)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    other = DAMAE(**SMALL, random_state=1).fit(X)
    again = DAMAE(**SMALL).fit(X)
    for model in (again, clone(other).set_params(random_state=0).fit(X), other.set_params(random_state=0)):
        near = np.allclose(model.transform(X), fitted.transform(X), **ROUNDING)
        assert near == (model is not other)
    np.testing.assert_allclose(again.history_, fitted.history_, **ROUNDING)
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert set(held_out(X, 0)[0]) != set(held_out(X, 1)[0])


# Precision and devices.


def test_bfloat16_comes_close_to_float32(X):
    exact, rough = (DAMAE(**SMALL | {"max_epochs": 60, "holdout": 0, "precision": precision}).fit(X)
                    for precision in ("float32", "bfloat16"))  # fmt: skip
    assert (exact.precision_, rough.precision_) == ("float32", "bfloat16")
    assert DAMAE().precision == "float32"  # on every processor, unless asked otherwise
    assert rough.network_.encoder[0].weight.dtype == torch.float32
    np.testing.assert_allclose(rough.history_["train_loss"], exact.history_["train_loss"], rtol=0.02)
    assert np.abs(rough.transform(X) - exact.transform(X)).max() > 1e-4


def test_no_gpu_is_needed_and_one_that_is_missing_is_said(X):
    DAMAE(**SMALL | {"device": "auto"}).fit(X)
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no GPU"):
            DAMAE(**SMALL | {"device": "cuda"}).fit(X)


# Transform, and what is refused.


def test_transform_is_sample_by_sample_and_puts_frames_in_order(frame, fitted):
    model, codes = DAMAE(**SMALL).fit(frame), fitted.transform(frame.to_numpy())
    assert codes.shape == (240, 8) and codes.dtype == np.float32
    np.testing.assert_allclose(fitted.transform(frame.to_numpy()[:1]), codes[:1], **ROUNDING)
    mixed = frame.sample(frac=1, axis=1, random_state=0).assign(EXTRA=1.0)
    np.testing.assert_allclose(model.transform(mixed), codes, **ROUNDING)
    assert model.feature_names_in_.tolist() == frame.columns.tolist() and not hasattr(fitted, "feature_names_in_")
    with pytest.raises(InputError, match=r"2 genes.*G3, G7"):
        model.transform(frame.drop(columns=["G3", "G7"]))
    with pytest.raises(InputError, match=r"119 genes.*120"):
        model.transform(frame.to_numpy()[:, :-1])
    assert clone(fitted).get_params() == fitted.get_params()
    for call in (lambda: DAMAE().transform(frame), lambda: DAMAE().save("nowhere")):
        with pytest.raises(NotFittedError):
            call()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_named(frame, fitted, value):
    broken = frame.copy()
    broken.iloc[4, 2] = value
    with pytest.raises(InputError, match="sample 4, gene G2"):
        DAMAE(**SMALL).fit(broken)
    with pytest.raises(InputError, match="missing or infinite"):
        fitted.transform(broken.to_numpy())


@pytest.mark.parametrize("bad", [[["a", "b"]], [1.0, 2.0], np.zeros((3, 0)), *(np.ones((n, 4)) for n in (0, 1, 2))])
def test_what_is_no_matrix_or_too_small(bad):
    with pytest.raises(InputError, match=r"X must|X: expected|samples are too few"):
        DAMAE(**SMALL).fit(bad)


def test_three_samples_constant_genes_and_extreme_scales_train(X):
    odd = X.copy()
    odd[:, 0], odd[:, 1] = 0, odd[:, 2]
    odd[:, 3:5] *= [1e-6, 1e3]
    for values in (X[:3], odd):
        model = DAMAE(**SMALL).fit(values)
        assert np.isfinite(model.transform(values)).all() and np.isfinite(model.history_).all(axis=None)


@pytest.mark.parametrize(
    "setting",
    [{"corruption": 1.0}, {"dropout": -0.1}, {"holdout": 1}, {"batch_size": 1}, {"max_epochs": 0}, {"n_hidden": -1},
     {"masking": "rows"}, {"precision": "float16"}, {"patience": 0}, {"learning_rate": 0.0}, {"noise": -1.0},
     {"random_state": -1}],
)  # fmt: skip
def test_settings_out_of_range(X, setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        DAMAE(**SMALL | setting).fit(X)


@pytest.mark.parametrize("holdout", [0, 0.2])
def test_training_that_diverges_is_said(X, holdout):
    with pytest.raises(InputError, match="diverged in epoch"):
        DAMAE(**SMALL | {"learning_rate": 1e25, "max_epochs": 30, "holdout": holdout}).fit(X)


# Save and load.


@pytest.mark.parametrize("variant", [{}, {"n_hidden": 0}, {"masking": "row"}, {"holdout": 0}], ids=str)
def test_saved_and_loaded_is_equal(frame, variant, tmp_path):
    model = DAMAE(**SMALL | variant, random_state=3).fit(frame if variant else frame.to_numpy())
    model.save(tmp_path / "damae_3")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damae_3.json", "damae_3.safetensors"]
    loaded = DAMAE.load(tmp_path / "damae_3")
    for name, weight in model.network_.state_dict().items():
        assert torch.equal(loaded.network_.state_dict()[name], weight)
    np.testing.assert_allclose(loaded.transform(frame.to_numpy()), model.transform(frame.to_numpy()), **ROUNDING)
    assert loaded.get_params() == model.get_params()
    assert (loaded.best_epoch_, loaded.precision_) == (model.best_epoch_, "float32")
    pd.testing.assert_frame_equal(loaded.history_, model.history_)
    assert list(getattr(loaded, "feature_names_in_", ())) == (list(frame.columns) if variant else [])
    assert json.loads((tmp_path / "damae_3.json").read_text())["versions"]["torch"]


def test_damaged_missing_and_foreign_files_are_refused(frame, tmp_path):
    """Edits of the description are in tests/malformed/test_saved.py."""
    for name, n_hidden in (("a", 32), ("b", 16)):
        DAMAE(**SMALL | {"n_hidden": n_hidden}).fit(frame).save(tmp_path / name)
    weights, sidecar = tmp_path / "a.safetensors", tmp_path / "a.json"
    good = weights.read_bytes(), sidecar.read_bytes()
    for path, content in ((weights, good[0][:-4] + b"\0\0\0\1"), (weights, (tmp_path / "b.safetensors").read_bytes()),
                          (sidecar, (tmp_path / "b.json").read_bytes()), (sidecar, b""), (sidecar, b"{"),
                          (sidecar, b"[]"), (sidecar, good[1].replace(b'"best_epoch": ', b'"best_epoch": 1')),
                          (sidecar, None), (weights, None)):  # fmt: skip
        weights.write_bytes(good[0])
        sidecar.write_bytes(good[1])
        DAMAE.load(tmp_path / "a")
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        with pytest.raises(InputError, match=r"a: no readable DAMAE \(a.json, a.safetensors\): .*save the DAMAE again"):
            DAMAE.load(tmp_path / "a")
