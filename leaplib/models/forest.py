"""PS-RF: a tuned random forest a perturbation, the baseline that benchmarks of drug response rank high."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.ensemble import RandomForestRegressor
from sklearn.tree import DecisionTreeRegressor

from leaplib.base.compute import side_by_side
from leaplib.cohorts.splits import N_FOLDS
from leaplib.models.base import Training
from leaplib.models.tuning import FoldModel, Tuned

CPU = torch.device("cpu")
NODES = ("left", "right", "feature", "threshold", "value")


@dataclass
class ForestModels(FoldModel):
    """Forests of T trees of L perturbations at G grid points; a leaf is its own left and right."""

    left: np.ndarray  # of all nodes, forest by forest; counted within the forest, as is `right`
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray  # a sample goes left where its feature is not above it
    value: np.ndarray
    size: np.ndarray  # (G, L): nodes of each forest
    roots: np.ndarray  # (G, L, T)

    def parts(self) -> list[slice]:
        """Return where the nodes of each forest lie."""
        return [slice(end - size, end) for end, size in zip(self.size.cumsum(), self.size.ravel(), strict=True)]

    def keep(self, points: np.ndarray) -> "ForestModels":
        """Return the forests at one grid point a perturbation."""
        chosen, parts = points * len(points) + np.arange(len(points)), self.parts()
        nodes = {name: np.concatenate([getattr(self, name)[parts[i]] for i in chosen]) for name in NODES}
        roots = self.roots.reshape(-1, self.roots.shape[2])[chosen]
        return replace(self, **nodes, size=self.size.ravel()[chosen][None], roots=roots[None])

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return predictions, G x samples x perturbations."""
        samples, roots = X.astype(np.float32), self.roots.reshape(-1, self.roots.shape[2])
        found = [self._forest(samples, part, root) for part, root in zip(self.parts(), roots, strict=True)]
        return np.array(found).reshape(*self.size.shape, len(X)).swapaxes(1, 2)

    def _forest(self, X: np.ndarray, part: slice, roots: np.ndarray) -> np.ndarray:
        """Send samples down all trees of a forest, and return the mean of the leaves that they come to."""
        left, right, feature, threshold, value = (getattr(self, name)[part] for name in NODES)
        place, before = np.broadcast_to(roots[:, None], (len(roots), len(X))), None
        while before is None or (place != before).any():
            above = X[np.arange(len(X)), feature[place]] > threshold[place]
            before, place = place, np.where(above, right[place], left[place])
        return value[place].mean(axis=0)


@dataclass(eq=False, repr=False)
class PSForest(Tuned):
    """Perturbation-specific random forest of scikit-learn, tuned and averaged over the folds as PS-LASSO is.

    Parameters
    ----------
    n_estimators : int
        Trees.
    max_samples : float
        Share of the training samples drawn for each tree, with replacement.
    grid : mapping of sequences, optional
        Parameters of `sklearn.ensemble.RandomForestRegressor` and their values to try; by default two of "max_features"
        (the share of the features tried at a split), where larger leaves and fewer features scored less.
    random_state : int
        Seed of all draws, and of the folds when `fit` is not given any.
    """

    fold_model: ClassVar = ForestModels
    block: ClassVar = 32  # a third of a megabyte a forest
    default_grid: ClassVar[Mapping[str, Any]] = {"max_features": (0.01, 0.03), "min_samples_leaf": (5,)}

    n_estimators: int = 100
    max_samples: float = 0.3
    grid: Mapping[str, Sequence[Any]] | None = None
    random_state: int = 0

    def work(self, n_train: int, n_pairs: int, n_test: int, n_perturbations: int) -> float:
        """Return pairs x trees in millions, over folds and grid points."""
        return n_pairs * self.n_estimators * len(self.points()) * N_FOLDS / 1e6

    def _fit_fold(self, data: Training, fold: int) -> ForestModels:
        samples = data.X.astype(np.float32)
        labels = [column for _ in self.points() for column in data.Y.T]
        settings = [point for point in self.points() for _ in data.Y.T]
        forests = side_by_side(lambda one: self._grow(samples, *one), zip(labels, settings, strict=True), CPU)
        nodes, roots = zip(*forests, strict=True)
        shape = len(self.points()), data.Y.shape[1]
        joined = {name: np.concatenate(parts) for name, *parts in zip(NODES, *nodes, strict=True)}
        size = np.array([len(part[0]) for part in nodes]).reshape(shape)
        return ForestModels(**joined, size=size, roots=np.array(roots).reshape(*shape, -1))

    def _grow(self, X: np.ndarray, y: np.ndarray, point: Mapping[str, Any]) -> tuple[list[np.ndarray], np.ndarray]:
        """Fit a forest on the samples that are measured; return its nodes (`NODES`), tree by tree, and their roots."""
        measured = ~np.isnan(y)
        if not measured.any():  # one leaf, of value 0, for all trees
            return [np.zeros(1, np.int32)] * 3 + [np.zeros(1)] * 2, np.zeros(self.n_estimators, dtype=np.int64)
        drawn = max(round(self.max_samples * measured.sum()), 1)
        forest = RandomForestRegressor(self.n_estimators, max_samples=drawn, random_state=self.random_state, **point)
        trees = forest.fit(X[measured], y[measured]).estimators_
        roots = np.cumsum([0, *(tree.tree_.node_count for tree in trees)])[:-1]
        parts = [nodes_of(tree, root) for tree, root in zip(trees, roots, strict=True)]
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)], roots


def nodes_of(model: DecisionTreeRegressor, root: int) -> tuple[np.ndarray, ...]:
    """Return the nodes of a tree (`NODES`), counted from `root`."""
    tree = model.tree_
    leaf, own = tree.children_left < 0, np.arange(tree.node_count)
    left, right = (root + np.where(leaf, own, ways) for ways in (tree.children_left, tree.children_right))
    feature = np.where(leaf, 0, tree.feature)
    return *(array.astype(np.int32) for array in (left, right, feature)), tree.threshold, tree.value[:, 0, 0]
