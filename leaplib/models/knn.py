"""PS-KNN, the paper's baseline."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import pairwise_distances

from leaplib.base.errors import InputError
from leaplib.models.base import Regressor, Training


@dataclass(eq=False, repr=False)
class PSKNN(Regressor):
    """Perturbation-specific nearest neighbours, the paper's baseline (no tuning, no ensembling).

    Parameters
    ----------
    n_neighbors : int
        Neighbours averaged, among the training samples in which the perturbation was measured
        (Euclidean distance; ties go to the sample that comes first). Where fewer were measured, all of them.
    """

    n_neighbors: int = 5

    def work(self, n_train: int, n_pairs: int, n_test: int, n_perturbations: int) -> float:
        """Return training samples x test samples x perturbations, in millions."""
        return n_train * n_test * n_perturbations / 1e6

    def _fit(self, data: Training, folds: np.ndarray | None) -> None:
        if self.n_neighbors < 1:
            raise InputError(f"n_neighbors must be at least 1, not {self.n_neighbors}")
        self.X_, self.Y_ = data.X, data.Y

    def _arrays(self) -> dict[str, np.ndarray]:
        return {"X": self.X_, "Y": self.Y_}

    def _restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.X_, self.Y_ = arrays["X"], arrays["Y"]

    def _predict(self, X: np.ndarray) -> np.ndarray:
        order = np.argsort(pairwise_distances(X, self.X_), axis=1, kind="stable")
        return np.array([self._mean_of_nearest(row) for row in order]).reshape(len(X), self.Y_.shape[1])

    def _mean_of_nearest(self, order: np.ndarray) -> np.ndarray:
        """Mean over the first `n_neighbors` measured labels of each perturbation, samples in `order`."""
        labels = self.Y_[order]
        measured = ~np.isnan(labels)
        nearest = measured & (np.cumsum(measured, axis=0) <= self.n_neighbors)
        return np.where(nearest, labels, 0.0).sum(axis=0) / nearest.sum(axis=0)
