"""The representations that the ablations compare, in one table: what a regressor sees of a sample's expression."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.utils.validation import check_is_fitted

from leaplib.base.errors import InputError
from leaplib.base.matrices import finite_matrix, in_order
from leaplib.representation.damae import DAMAE


class Identity(TransformerMixin, BaseEstimator):
    """The scaled expression itself, with the genes of `fit` in their order.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Genes, where X was a DataFrame.
    """

    def fit(self, X: pd.DataFrame | np.ndarray, y: object = None) -> "Identity":
        """Learn the genes of X, samples x genes, finite."""
        self._fit(finite_matrix(X))
        self.n_features_in_ = np.shape(X)[1]
        if isinstance(X, pd.DataFrame):
            self.feature_names_in_ = X.columns.to_numpy(dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_  # of an earlier fit to a frame
        return self

    def transform(self, X: pd.DataFrame | np.ndarray) -> np.ndarray:
        """Return the representation of samples (float32, samples x components); X and errors as in `DAMAE`."""
        check_is_fitted(self, "n_features_in_")
        return self._transform(finite_matrix(in_order(X, self)))

    def _fit(self, values: np.ndarray) -> None:
        """Learn from values, samples x genes: nothing here."""

    def _transform(self, values: np.ndarray) -> np.ndarray:
        return values


class Components(Identity):
    """Principal components of the expression; equal for all seeds, as the decomposition is exact.

    Parameters
    ----------
    n_components : int
        Components; fewer where there are fewer genes, or samples less one.

    Attributes
    ----------
    pca_ : sklearn.decomposition.PCA
    """

    def __init__(self, n_components: int = 256):
        self.n_components = n_components

    def _fit(self, values: np.ndarray) -> None:
        if len(values) < 2 or self.n_components < 1:
            raise InputError(f"{self.n_components} components of {len(values)} samples: give at least 1 of at least 2")
        n_components = min(self.n_components, len(values) - 1, values.shape[1])
        self.pca_ = PCA(n_components, svd_solver="full").fit(values)

    def _transform(self, values: np.ndarray) -> np.ndarray:
        return self.pca_.transform(values)


@dataclass(frozen=True)
class Representation:
    """A representation and what it is called.

    Parameters
    ----------
    name : str
        In tables, figures and `make_representation`.
    about : str
        What it is, in a few words.
    estimator : type
    settings : mapping
        Parameters of DAMAE that make the variant what it is.
    """

    name: str
    about: str
    estimator: type[Identity] | type[DAMAE] = DAMAE
    settings: Mapping[str, Any] = field(default_factory=dict)


REPRESENTATIONS = {
    row.name: row
    for row in (
        Representation("identity", "scaled expression as it is", Identity),
        Representation("pca", "principal components, as many as DAMAE's code has", Components),
        Representation("ae", "autoencoder: no corruption, no noise", settings={"corruption": 0.0, "noise": 0.0}),
        Representation("masked ae", "corruption only", settings={"noise": 0.0}),
        Representation("noise ae", "noise only", settings={"corruption": 0.0}),
        Representation("damae", "corruption and noise"),
        Representation("damae, row corruption", "replaced entries from one donor a sample",
                       settings={"masking": "row"}),
        Representation("damae, no hidden layer", "linear encoder and decoder", settings={"n_hidden": 0}),
    )
}  # fmt: skip


def make_representation(name: str, random_state: int, **damae: Any) -> Identity | DAMAE:
    """Return a transformer, not yet fitted: `fit(X)`, then `transform(X)` gives samples x components.

    Parameters
    ----------
    name : str
        Of `REPRESENTATIONS`.
    random_state : int
        Seed of an autoencoder; the others draw nothing at random.
    **damae
        Settings of `DAMAE` that all autoencoders share. What makes a variant what it is prevails;
        "pca" takes `n_components` alone, "identity" nothing.

    Raises
    ------
    InputError
        For an unknown name (the known are listed) or setting.
    """
    if name not in REPRESENTATIONS:
        raise InputError(f"representation {name!r} is unknown: use one of {'; '.join(REPRESENTATIONS)}")
    unknown = damae.keys() - DAMAE().get_params()
    if unknown:
        raise InputError(f"setting {min(unknown)!r} is unknown: DAMAE has {', '.join(DAMAE().get_params())}")
    row = REPRESENTATIONS[name]
    model = DAMAE(**{**damae, **row.settings, "random_state": random_state})
    if row.estimator is Components:
        return Components(model.n_components)
    return model if row.estimator is DAMAE else Identity()
