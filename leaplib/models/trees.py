"""Boosted trees as arrays: what LightGBM fitted, compact, for files and for predictions without its boosters.

A booster that was trained keeps histograms and scores many times the size of its trees, and thousands of models
are kept. So the trees are read from the booster's text into arrays, and the booster goes. Predictions equal
LightGBM's to the bit: thresholds and leaf values are its float64, and trees are added in its order.
"""

from dataclasses import dataclass
from typing import NamedTuple

import lightgbm
import numpy as np
from scipy import sparse


class Forest(NamedTuple):
    """The trees of one boosted model, laid end to end.

    A node sends a sample left where its feature is at most the threshold. A child that is not negative is a
    node of the same tree, and -1 - i is its leaf i; a tree of one leaf has no node.
    """

    n_leaves: np.ndarray  # of each tree; 0 for a tree that could not be grown
    feature: np.ndarray  # of each node, as the next three
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray  # of each leaf

    @property
    def starts(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions of each tree's first node and first leaf, and, last, of the ends."""
        nodes = np.maximum(self.n_leaves.astype(np.int64) - 1, 0)
        return np.append(0, np.cumsum(nodes)), np.append(0, np.cumsum(self.n_leaves, dtype=np.int64))


def read_forest(booster: lightgbm.Booster, n_trees: int, num_leaves: int) -> Forest:
    """Return the trees of a booster; `n_trees` and `num_leaves` are the most it could have."""
    names = ("num_leaves", "split_feature", "threshold", "left_child", "right_child", "leaf_value")
    lines: dict[str, list[str]] = {name: [] for name in names}
    for line in booster.model_to_string().splitlines():  # numbers have 17 digits: nothing is lost
        name, _, values = line.partition("=")
        if name in lines:
            lines[name].append(values)
    n_leaves, feature, threshold, left, right, value = (np.fromstring(" ".join(lines[n]), sep=" ") for n in names)
    missing = n_trees - len(n_leaves)
    child = np.min_scalar_type(-num_leaves)
    return Forest(
        np.pad(n_leaves.astype(np.int32), (0, missing)),
        feature.astype(np.min_scalar_type(booster.num_feature())),
        threshold,
        left.astype(child),
        right.astype(child),
        value,
    )


def no_forest(n_trees: int) -> Forest:
    """Return the model of a perturbation without labels: no trees, it predicts 0."""
    empty = np.empty(0, np.uint8), np.empty(0), np.empty(0, np.int8), np.empty(0, np.int8), np.empty(0)
    return Forest(np.zeros(n_trees, np.int32), *empty)


def leaves_reached(forest: Forest, X: np.ndarray, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Follow samples down all trees, of which some features are known.

    Parameters
    ----------
    forest : Forest
    X : array, n x p
        The model's features `first` to `first + p - 1`. At a node of any other feature a sample goes both ways.

    Returns
    -------
    leaf, row : arrays of int
        Each leaf that each row may reach.
    """
    left, right, child = _absolute_children(forest)
    row = np.tile(np.arange(len(X), dtype=np.int32), len(child))
    child = np.repeat(child, len(X))
    reached = []
    while True:
        inside = child >= 0
        reached.append((~child[~inside], row[~inside]))
        if not inside.any():
            break
        node, row = child[inside], row[inside]
        column = forest.feature[node].astype(np.int32) - first
        known = (column >= 0) & (column < X.shape[1])
        low = X[row, np.where(known, column, 0)] <= forest.threshold[node]
        ways = np.flatnonzero(low | ~known), np.flatnonzero(~(low & known))
        child = np.concatenate([left[node[ways[0]]], right[node[ways[1]]]])
        row = np.concatenate([row[way] for way in ways])
    leaves, rows = zip(*reached, strict=True)
    return np.concatenate(leaves), np.concatenate(rows)


def _absolute_children(forest: Forest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return left and right children and the trees' roots, as positions in the forest (leaf i: -1 - i)."""
    nodes, leaves = forest.starts
    per_node = np.diff(nodes)
    node, leaf = (np.repeat(start[:-1], per_node).astype(np.int32) for start in (nodes, leaves))
    sides = (side.astype(np.int32) for side in (forest.left, forest.right))
    left, right = (np.where(side >= 0, side + node, side - leaf) for side in sides)
    roots = np.where(per_node > 0, nodes[:-1], ~leaves[:-1]).astype(np.int32)
    return left, right, roots[forest.n_leaves > 0]


def predict_samples(forest: Forest, X: np.ndarray) -> np.ndarray:
    """Return the prediction of each row of X."""
    leaf, row = leaves_reached(forest, X)
    by_tree = np.zeros((len(forest.n_leaves), len(X)))
    by_tree[np.repeat(np.arange(len(forest.n_leaves)), forest.n_leaves)[leaf], row] = forest.value[leaf]
    return by_tree.sum(axis=0)  # over the outer axis: tree after tree


def predict_pairs(forest: Forest, X: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """Return the predictions (n x L) of all pairs of a row of X and a row of Z, the model's features being [X, Z].

    The leaf of a pair is the one that both its rows may reach. So each tree costs a descent of n rows and one of L
    rows, and a sparse product that writes each pair once, instead of n x L descents.
    """
    prediction = np.zeros((len(X), len(Z)))
    for tree in _trees(forest):
        leaf, row = leaves_reached(tree, X)
        x = sparse.csr_array((np.ones(len(leaf)), (row, leaf)), shape=(len(X), len(tree.value)))
        leaf, row = leaves_reached(tree, Z, X.shape[1])
        z = sparse.csr_array((tree.value[leaf], (leaf, row)), shape=(len(tree.value), len(Z)))
        prediction += (x @ z).toarray()
    return prediction


def _trees(forest: Forest) -> list[Forest]:
    """Return the trees as forests of one."""
    nodes, leaves = forest.starts
    parts = [np.split(forest.n_leaves, len(forest.n_leaves))]
    parts += [np.split(a, nodes[1:-1]) for a in (forest.feature, forest.threshold, forest.left, forest.right)]
    trees = zip(*parts, np.split(forest.value, leaves[1:-1]), strict=True)
    return [Forest(*tree) for tree in trees if tree[0][0] > 0]


@dataclass
class Forests:
    """The trees of a grid of models, laid end to end: as `Forest`, but `n_leaves` is points x models x trees."""

    n_leaves: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray

    def models(self) -> list[list[Forest]]:
        """Return the models, a list for each grid point."""
        n_points, n_models, n_trees = self.n_leaves.shape
        counts = self.n_leaves.reshape(-1, n_trees)
        nodes = np.cumsum(np.maximum(counts - 1, 0).sum(axis=1))[:-1]
        split = [np.split(a, nodes) for a in (self.feature, self.threshold, self.left, self.right)]
        values = np.split(self.value, np.cumsum(counts.sum(axis=1))[:-1])
        forests = [Forest(*parts) for parts in zip(counts, *split, values, strict=True)]
        return [forests[i * n_models : (i + 1) * n_models] for i in range(n_points)]


def join(models: list[list[Forest]]) -> dict[str, np.ndarray]:
    """Return models, a list for each grid point, as the fields of `Forests`."""
    columns = zip(*(forest for point in models for forest in point), strict=True)
    joined = dict(zip(Forest._fields, map(np.concatenate, columns), strict=True))
    return joined | {"n_leaves": joined["n_leaves"].reshape(len(models), len(models[0]), -1)}
