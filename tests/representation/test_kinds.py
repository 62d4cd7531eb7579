import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from leaplib.base.errors import InputError
from leaplib.representation.damae import DAMAE
from leaplib.representation.pretraining import AUTOENCODERS, REPRESENTATIONS, make_representation

SMALL = {"n_hidden": 16, "n_components": 8, "batch_size": 64, "max_epochs": 3, "learning_rate": 1e-3,
         "precision": "float32", "device": "cpu"}  # fmt: skip
STUDY = [name for name in REPRESENTATIONS if any(mark in name for mark in ("width", "epochs", "corruption 0", "two"))]
each = pytest.mark.parametrize("name", [name for name in REPRESENTATIONS if name not in STUDY])


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 5)) @ rng.normal(size=(5, 30)) + rng.normal(size=(50, 30))
    return pd.DataFrame(values, [f"s{i}" for i in range(50)], [f"G{i}" for i in range(30)]).astype(np.float32)


def pca(n_components=256):
    return make_representation("pca", 0, n_components=n_components)


@each
def test_all_have_one_face(name, X):
    model = make_representation(name, 3, **SMALL)
    codes = model.fit(X).transform(X)
    assert codes.shape == (50, 30 if name == "identity" else 8)
    assert codes.dtype == np.float32 and np.isfinite(codes).all()
    mixed = X.sample(frac=1, axis=1, random_state=0).assign(EXTRA=1.0)
    for same in (clone(model).fit_transform(X), model.transform(mixed)):
        np.testing.assert_allclose(same, codes, atol=1e-4)
    np.testing.assert_allclose(model.transform(X.iloc[:1]), codes[:1], atol=1e-4)
    with pytest.raises(InputError, match=r"2 genes.*G3, G7"):
        model.transform(X.drop(columns=["G3", "G7"]))
    with pytest.raises(InputError, match="X has 29 genes"):
        model.transform(X.to_numpy()[:, 1:])
    broken = X.copy()
    broken.iloc[4, 2] = np.nan
    for take in (model.transform, model.fit):
        with pytest.raises(InputError, match="sample s4, gene G2"):
            take(broken)
    np.testing.assert_allclose(model.fit(X.to_numpy()).transform(X.to_numpy()), codes, atol=1e-4)
    assert not hasattr(model, "feature_names_in_")


@each
def test_what_is_drawn_follows_the_seed(name, X):
    one, other = (make_representation(name, seed, **SMALL).fit_transform(X) for seed in (0, 1))
    assert np.allclose(one, other, atol=1e-4) == (name in ("identity", "pca"))


def test_settings_are_shared_but_what_makes_a_variant_what_it_is_prevails():
    for name, own in AUTOENCODERS.items():
        assert make_representation(name, 5, **SMALL).get_params() == DAMAE(**SMALL | own, random_state=5).get_params()
    assert make_representation("damae", 0).get_params() == DAMAE().get_params()
    assert make_representation("ae", 0, corruption=0.5, noise=1.0).corruption == 0
    assert make_representation("masked ae", 0, corruption=0.5).corruption == 0.5
    assert make_representation("pca", 0).n_components == DAMAE().n_components


def test_identity_is_the_expression_itself(X):
    np.testing.assert_array_equal(make_representation("identity", 0).fit_transform(X), X.to_numpy())


def test_pca_is_that_of_the_singular_vectors(X):
    new, mean = X.iloc[:5] + 1, X.to_numpy(dtype=float).mean(axis=0)
    vt = np.linalg.svd(X.to_numpy(dtype=float) - mean, full_matrices=False)[2]
    codes = pca(4).fit(X).transform(new)
    np.testing.assert_allclose(np.abs(codes), np.abs((new.to_numpy() - mean) @ vt[:4].T), atol=1e-3)


def test_a_view_is_the_pca_of_half_of_the_genes_and_four_fifths_of_the_samples(X):
    view = make_representation("pca view", 1, n_components=4).fit(X)
    genes = X.columns[view.columns_]
    assert len(set(genes)) == 15
    others = X.assign(**dict.fromkeys(X.columns.difference(genes), 0.0))
    np.testing.assert_array_equal(view.transform(others), view.transform(X))
    mean = X[genes].to_numpy(dtype=float) - view.model_.mean_
    np.testing.assert_allclose(view.transform(X), mean @ view.model_.components_.T, atol=1e-4)
    assert view.model_.n_samples_ == 40


def test_random_projections_keep_distances_in_the_mean(X):
    values = X.to_numpy(dtype=float)
    before = np.linalg.norm(values[:1] - values[1:], axis=1)
    codes = [make_representation("random projection", seed, n_components=25).fit_transform(X) for seed in range(99)]
    after = np.mean([np.square(np.linalg.norm(code[:1] - code[1:], axis=1)) for code in codes], axis=0)
    np.testing.assert_allclose(after, before**2, rtol=0.15)


def test_pca_has_no_more_components_than_the_samples_have():
    values = np.random.default_rng(0).normal(size=(9, 40))
    assert pca().fit_transform(values).shape == (9, 8)
    assert pca().fit_transform(values.T).shape == (40, 9)
    with pytest.raises(InputError, match="at least 2"):
        pca().fit(values[:1])
    with pytest.raises(InputError, match="at least 1"):
        pca(0).fit(values)


def test_what_is_unknown_is_refused(X):
    with pytest.raises(InputError, match="'umap' is unknown: use one of identity; pca; pca view"):
        make_representation("umap", 0)
    for name in ("identity", "pca", "damae"):
        with pytest.raises(InputError, match="setting 'depth' is unknown"):
            make_representation(name, 0, depth=3)
    with pytest.raises(NotFittedError):
        make_representation("identity", 0).transform(X)
