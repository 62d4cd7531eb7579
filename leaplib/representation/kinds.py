"""What a regressor sees of a sample: DAMAEs on standardised genes, and the representations they are compared with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.random_projection import GaussianRandomProjection
from sklearn.utils.validation import check_is_fitted

from leaplib.base.errors import InputError
from leaplib.base.matrices import finite_matrix, in_order
from leaplib.cohorts.expression import ExpressionScaler
from leaplib.representation.damae import DAMAE

AUTOENCODERS: dict[str, Mapping[str, Any]] = {
    "ae": {"corruption": 0.0, "noise": 0.0},
    "masked ae": {"noise": 0.0},
    "noise ae": {"corruption": 0.0},
    "damae": {},
    "damae, row corruption": {"masking": "row"},
    "damae, no hidden layer": {"n_hidden": 0},
    "linear encoder": {"n_hidden": 0, "noise": 0.0, "masking": "row"},
    "damae, half width": {"n_hidden": 256, "n_components": 128},
    "damae, double width": {"n_hidden": 1024, "n_components": 512},
    "damae, two hidden layers": {"n_layers": 2},
    "damae, 100 epochs": {"holdout": 0.0, "max_epochs": 100},
    "damae, 1,000 epochs": {"holdout": 0.0, "max_epochs": 1000},
    "damae, corruption 0.15": {"corruption": 0.15},
    "damae, corruption 0.5": {"corruption": 0.5},
}
"""The settings of DAMAE that make each variant what it is."""


class Identity(TransformerMixin, BaseEstimator):
    """The scaled expression itself, with the genes of `fit` in their order; input and errors as in `DAMAE`."""

    def fit(self, X: pd.DataFrame | np.ndarray, y: object = None) -> Self:
        """Learn the genes of X, samples x genes."""
        self._fit(finite_matrix(X))
        self.n_features_in_ = np.shape(X)[1]
        self.__dict__.pop("feature_names_in_", None)  # of an earlier fit to a frame
        if isinstance(X, pd.DataFrame):
            self.feature_names_in_ = X.columns.to_numpy(dtype=object)
        return self

    def transform(self, X: pd.DataFrame | np.ndarray) -> np.ndarray:
        """Return the representation of samples (float32, samples x components)."""
        check_is_fitted(self, "n_features_in_")
        return self._transform(finite_matrix(in_order(X, self)))

    def _fit(self, values: np.ndarray) -> None:
        pass

    def _transform(self, values: np.ndarray) -> np.ndarray:
        return values


class Components(Identity):
    """Principal components, `n_components` or as many as genes and samples (less one) allow; no seed is needed."""

    def __init__(self, n_components: int = 256):
        self.n_components = n_components

    def _fit(self, values: np.ndarray) -> None:
        if len(values) < 2 or self.n_components < 1:
            raise InputError(f"{self.n_components} components of {len(values)} samples: give at least 1 of at least 2")
        n_components = min(self.n_components, len(values) - 1, values.shape[1])
        self.pca_ = PCA(n_components, svd_solver="full").fit(values)

    def _transform(self, values: np.ndarray) -> np.ndarray:
        return self.pca_.transform(values)


class View(Components):
    """Principal components of a part of the genes and samples, drawn by a seed."""

    def __init__(self, n_components: int = 256, genes: float = 0.5, samples: float = 0.8, random_state: int = 0):
        super().__init__(n_components)
        self.genes = genes
        self.samples = samples
        self.random_state = random_state

    def _fit(self, values: np.ndarray) -> None:
        rng = np.random.default_rng(self.random_state)
        rows, columns = (
            np.sort(rng.choice(n, max(round(share * n), 1), replace=False))
            for n, share in zip(values.shape, (self.samples, self.genes), strict=True)
        )
        self.columns_ = columns
        super()._fit(values[np.ix_(rows, columns)])

    def _transform(self, values: np.ndarray) -> np.ndarray:
        return super()._transform(values[:, self.columns_])


class Projection(Identity):
    """Random projections of the genes: weights are normal, drawn by a seed, with variance 1 / `n_components`."""

    def __init__(self, n_components: int = 256, random_state: int = 0):
        self.n_components = n_components
        self.random_state = random_state

    def _fit(self, values: np.ndarray) -> None:
        self.projection_ = GaussianRandomProjection(self.n_components, random_state=self.random_state).fit(values)

    def _transform(self, values: np.ndarray) -> np.ndarray:
        return self.projection_.transform(values).astype(np.float32)


OTHERS = {"identity": Identity, "pca": Components, "pca view": View, "random projection": Projection}
"""What is no autoencoder."""
REPRESENTATIONS = (*OTHERS, *AUTOENCODERS)


def make_representation(name: str, random_state: int, **damae: Any) -> Identity | DAMAE:
    """Return a transformer, not yet fitted, by its name in `REPRESENTATIONS`.

    `damae` are the settings that all autoencoders share; what makes a variant what it is prevails. Others take of them
    `n_components` and the seed, or what they know of these.
    """
    if name not in REPRESENTATIONS:
        raise InputError(f"representation {name!r} is unknown: use one of {'; '.join(REPRESENTATIONS)}")
    unknown = damae.keys() - DAMAE().get_params()
    if unknown:
        raise InputError(f"setting {min(unknown)!r} is unknown: DAMAE has {', '.join(DAMAE().get_params())}")
    damae = {**damae, **AUTOENCODERS.get(name, {}), "random_state": random_state}
    if name in AUTOENCODERS:
        return DAMAE(**damae)
    model = OTHERS[name]()
    return model.set_params(**{key: value for key, value in damae.items() if key in model.get_params()})


class Representations:
    """The scaler and the DAMAEs (both fitted) that LEAP's regressors share."""

    def __init__(self, scaler: ExpressionScaler, damaes: Sequence[DAMAE]):
        self.scaler, self.damaes = scaler, list(damaes)

    @classmethod
    def fit(
        cls,
        expression: pd.DataFrame,
        seeds: Sequence[int],
        n_genes: int = 5000,
        device: str = "auto",
        sources: pd.Series | None = None,
        **damae: Any,
    ) -> Self:
        """Choose genes, standardise and train one DAMAE a seed on all samples of `expression`.

        `sources` names the source of each sample: genes are chosen in each source and united.
        """
        if not len(seeds):
            raise InputError("no seeds: give at least one, as many as there shall be representations")
        scaler = ExpressionScaler(n_genes).fit(expression, sources=sources)
        scaled = scaler.transform(expression)
        return cls(scaler, [DAMAE(random_state=seed, device=device, **damae).fit(scaled) for seed in seeds])

    def transform(self, expression: pd.DataFrame) -> list[pd.DataFrame]:
        """Return one frame a DAMAE, samples x components."""
        scaled = self.scaler.transform(expression)
        return [pd.DataFrame(damae.transform(scaled), index=expression.index) for damae in self.damaes]

    def save(self, folder: str | Path) -> Path:
        """Write `scaler.parquet` and, for each DAMAE, `damae_<number>` (.safetensors, .json) to a folder."""
        folder = Path(folder)
        self.scaler.save(folder / "scaler.parquet")
        for number, damae in enumerate(self.damaes):
            damae.save(folder / f"damae_{number}")
        return folder

    @classmethod
    def load(cls, folder: str | Path, n_damaes: int) -> Self:
        """Read what `save` wrote, or a run's pretraining; a missing or damaged file is an InputError."""
        scaler = ExpressionScaler.load(Path(folder) / "scaler.parquet")
        return cls(scaler, [DAMAE.load(Path(folder) / f"damae_{number}") for number in range(n_damaes)])
