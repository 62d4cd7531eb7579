"""PS-LGBM and PP-LGBM: boosted trees, one tuned model a perturbation or one for all pairs; PS-RF: random forests.

**PS-LGBM at scale.** Some hundred thousand small models are fitted (perturbations x folds x grid points). LightGBM
alone would spend much of its time on binning the same features again and on threads that wait for each other. Here
the features are binned once a fold, on all its training samples; a perturbation takes the rows in which it was
measured, and perturbations run side by side, a thread each. So with missing labels the bins rest on a few more
samples than a model of that perturbation alone would use; with complete labels the two are equal to the bit.

**PP-LGBM at scale.** Each cut of a tree is one of lines or of perturbations, so a leaf is always some lines times some
perturbations. `boost` grows LightGBM's trees (best leaf first, the same bins, gains and limits) on that: a leaf keeps
its lines and its perturbations in the order of each feature, and a cut of a line's feature is found from the sums of
the residuals of each line, without a histogram of pairs. The rows of all pairs never exist.

**Bins.** At some hundred samples most of the time goes into scanning histograms. 63 bins (LightGBM's own advice for
speed) take half the time of its default 255, at the same accuracy: on test samples the mean Spearman correlation
changed by -0.0015 (standard error 0.0018) over 70 drugs and by +0.0024 over 70 standardised genes.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import lightgbm
import numpy as np
import torch
from joblib import Parallel, delayed
from numba import njit
from sklearn.ensemble import RandomForestRegressor

from leaplib.base.compute import side_by_side
from leaplib.base.errors import InputError
from leaplib.cohorts.splits import N_FOLDS
from leaplib.models.base import Training
from leaplib.models.tuning import FoldModel, Tuned


def cores(n_jobs: int | None) -> int:
    """Return the number of threads to use: those that torch may use in this process where none is given."""
    return n_jobs or torch.get_num_threads()


@dataclass
class Packed(FoldModel):
    """Models at G grid points, packed into bytes: one of each of L perturbations, or one of all pairs."""

    text: np.ndarray  # bytes of all models, end to end
    size: np.ndarray  # (G, L) or (G, 1): bytes of each model, 0 for a perturbation without labels

    @classmethod
    def of(cls, models: Sequence[Sequence[bytes]] | np.ndarray, **others: np.ndarray) -> Self:
        """Return models, a row for each grid point."""
        text = np.frombuffer(b"".join(model for point in models for model in point), dtype=np.uint8)
        return cls(text, np.array([[len(model) for model in point] for point in models]), **others)

    def models(self) -> np.ndarray:
        """Return the bytes of each model."""
        parts = np.split(self.text, self.size.cumsum()[:-1])
        return np.array([part.tobytes() for part in parts], dtype=object).reshape(self.size.shape)

    def keep(self, points: np.ndarray) -> Self:
        """Return the models at one grid point a perturbation (or that of all pairs, its point the same for all)."""
        column = np.arange(self.size.shape[1])
        kept = Packed.of(self.models()[points[column], column][None])
        return replace(self, text=kept.text, size=kept.size)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return predictions, G x samples x perturbations, 0 where there is no model."""
        one = self.predict_one
        work = (delayed(one)(model, X) if model else delayed(np.zeros)(len(X)) for model in self.models().ravel())
        found = np.array(Parallel(cores(None), backend="threading")(work))
        return found.reshape(*self.size.shape, len(X)).swapaxes(1, 2)

    def predict_one(self, model: bytes, rows: Any) -> np.ndarray:
        """Return a model's prediction of each row."""
        raise NotImplementedError


@dataclass
class BoostedModels(Packed):
    """Boosted models of perturbations on the samples' features, packed as LightGBM's own text, compressed."""

    def predict_one(self, model: bytes, rows: np.ndarray) -> np.ndarray:
        """Return a model's prediction of each row."""
        return lightgbm.Booster(model_str=zlib.decompress(model).decode()).predict(rows, num_threads=1)


class Boosted(Tuned):
    """What the two models share: their work."""

    n_estimators: int
    num_leaves: int

    def work(self, n_train: int, n_pairs: int, n_test: int, n_perturbations: int) -> float:
        """Return pairs x trees in millions, over folds and grid points; a tree of 1,000 leaves counts twice."""
        return n_pairs * self.n_estimators * len(self.points()) * N_FOLDS * (1 + self.num_leaves / 1000) / 1e6


@dataclass(eq=False, repr=False)
class PSLgbm(Boosted):
    """Perturbation-specific LightGBM (paper, Methods, "Regression algorithms").

    Parameters
    ----------
    n_estimators, max_depth, num_leaves, min_data_in_leaf, reg_alpha, reg_lambda
        As in LightGBM: trees, their largest depth, leaves and smallest leaf; L1 and L2 penalty of leaf values.
    max_bin : int
        Bins of a feature.
    grid : mapping of sequences, optional
        Parameters of LightGBM, by the names used here, and their values to try, from the simplest model on;
        by default `default_grid`.
    random_state : int
        Seed of the features drawn for each tree, and of the folds when `fit` is not given any.
    n_jobs : int, optional
        Perturbations fitted side by side; by default as many as torch may use threads. Results do not depend on it.
    """

    default_grid: ClassVar[Mapping[str, Any]] = {
        "learning_rate": (0.005, 0.01),
        "feature_fraction": (0.05, 0.1, 0.15, 0.2, 0.25),
    }
    fold_model: ClassVar = BoostedModels
    block: ClassVar = 32  # half a megabyte a model, 5 folds, 10 grid points: below 1 GB

    n_estimators: int = 400
    max_depth: int = 10
    num_leaves: int = 31
    min_data_in_leaf: int = 5
    reg_alpha: float = 1.0
    reg_lambda: float = 1.0
    max_bin: int = 63
    grid: Mapping[str, Any] | None = None
    n_jobs: int | None = None

    def _fit_fold(self, data: Training, fold: int) -> BoostedModels:
        dataset = lightgbm.Dataset(data.X, np.zeros(len(data.X)), params=self._settings()).construct()
        work = (delayed(self._fit_one)(dataset, labels) for labels in data.Y.T)
        models = Parallel(cores(self.n_jobs), backend="threading")(work)
        return BoostedModels.of(list(zip(*models, strict=True)))

    def _fit_one(self, dataset: lightgbm.Dataset, labels: np.ndarray) -> list[bytes]:
        """Fit one perturbation at all grid points."""
        measured = np.flatnonzero(~np.isnan(labels))
        if not len(measured):
            return [b""] * len(self.points())
        part = dataset.subset(measured.tolist()).construct()
        part.set_label(labels[measured])  # only now: when it is built, a subset takes its labels from the whole
        return [self._grow(part, self._settings() | point) for point in self.points()]

    def _settings(self) -> dict[str, Any]:
        """Return LightGBM's parameters but for those of the grid."""
        names = ("max_depth", "num_leaves", "min_data_in_leaf", "reg_alpha", "reg_lambda", "max_bin")
        given = self.get_params()
        own = {name: given[name] for name in names if name in given}
        fixed = {"objective": "regression", "verbosity": -1, "deterministic": True, "force_col_wise": True}
        return own | fixed | {"seed": given["random_state"], "num_threads": 1}

    def _grow(self, dataset: lightgbm.Dataset, settings: Mapping[str, Any]) -> bytes:
        """Fit one model and return its text: a booster that was trained takes many times the memory."""
        booster = lightgbm.Booster(dict(settings), dataset)
        for _ in range(self.n_estimators):
            booster.update()
        return zlib.compress(booster.model_to_string().encode(), level=1)


@njit(nogil=True, cache=True)
def divide(order: np.ndarray, above: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the members (columns) that are not above and those that are, in the order of each row."""
    n_left, both = order.shape[1] - above[order[0]].sum(), np.empty_like(order)
    for row in range(len(order)):
        left, right = 0, n_left
        for at in range(order.shape[1]):
            member = order[row, at]
            side = above[member]
            both[row, right if side else left] = member
            left, right = left + 1 - side, right + side
    return both[:, :n_left], both[:, n_left:]


@njit(nogil=True, cache=True)
def best_cut(
    order: np.ndarray, bins: np.ndarray, totals: np.ndarray, counts: np.ndarray, l1: float, least: int, new: np.ndarray
) -> tuple[float, int, int]:
    """Return how much the best cut of a leaf gains, its feature and the first bin above it.

    Parameters
    ----------
    order : array, features x members
        Lines (or perturbations) of the leaf, in the order of each feature.
    bins : array, features x all lines (or perturbations)
    totals, counts : array, all lines (or perturbations)
        Sum and number of the residuals of each in the leaf.
    l1, least : float, int
        L1 penalty of leaf values; fewest pairs of a leaf.
    new : array
        0 at 0 and 1 at any other distance of two bins: a branch instead would be guessed wrongly too often.
    """
    total, count = totals[order[0]].sum(), counts[order[0]].sum()
    start = max(abs(total) - l1, 0.0) ** 2 / count
    best, feature, first = start, 0, 0
    for row in range(len(order)):
        above, n_above, bin_of = 0.0, 0.0, bins[row]
        member = order[row, -1]
        lower = bin_of[member]
        for at in range(order.shape[1] - 2, -1, -1):  # from above, as LightGBM: so are ties resolved
            above += totals[member]
            n_above += counts[member]
            n_below = count - n_above
            member = order[row, at]
            upper, lower = lower, bin_of[member]
            up, down = max(abs(above) - l1, 0.0), max(abs(total - above) - l1, 0.0)
            found = (up * up * n_below + down * down * n_above) * new[upper - lower]
            if found > best * n_above * n_below and n_above >= least and n_below >= least:
                best, feature, first = found / (n_above * n_below), row, upper
    return best - start, feature, first


@njit(nogil=True, cache=True)
def boost(
    residual: np.ndarray, measured: np.ndarray, orders: tuple, bins: tuple, rate: float, l1: float,
    n_trees: int, n_leaves: int, max_depth: int, least: int,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Grow trees on the residuals (lines x perturbations, 0 where not measured), which are left over in place.

    Returns
    -------
    cuts : array, trees x (leaves - 1) x 3
        The leaf that is cut, what is above it becoming the next leaf; the feature; the first bin above, 0: no cut.
    values : array, trees x leaves
    """
    cuts, values = np.zeros((n_trees, n_leaves - 1, 3), np.uint16), np.zeros((n_trees, n_leaves), np.float32)
    depth, gains, best = np.zeros(n_leaves), np.zeros(n_leaves), np.zeros((n_leaves, 2), np.int64)
    unit = 2.0 ** (np.ceil(np.log2(np.abs(residual).max() + 1e-300)) - 30)  # sums of its multiples are exact, so that
    residual[:] = np.rint(residual / unit) * unit  # ties are resolved alike in whatever order lines and features come
    new = (np.arange(max(bins[0].max(), bins[1].max()) + 1) > 0).astype(np.float64)
    for tree in range(n_trees):
        lines, perturbations, fresh = [orders[0][:, :]], [orders[1][:, :]], np.array([0])
        depth[0] = 0
        for number in range(1, n_leaves + 1):
            for leaf in fresh:
                totals = np.zeros(len(residual)), np.zeros(residual.shape[1])
                counts = np.zeros(len(residual)), np.zeros(residual.shape[1])
                for i in lines[leaf][0]:
                    for j in perturbations[leaf][0]:
                        totals[0][i] += residual[i, j]
                        totals[1][j] += residual[i, j]
                        counts[0][i] += measured[i, j]
                        counts[1][j] += measured[i, j]
                total, count = totals[0].sum(), counts[0].sum()
                values[tree, leaf] = rate * np.sign(total) * max(abs(total) - l1, 0.0) / count
                gains[leaf] = 0.0
                if depth[leaf] != max_depth and count >= 2 * least:
                    ours = best_cut(lines[leaf], bins[0], totals[0], counts[0], l1, least, new)
                    theirs = best_cut(perturbations[leaf], bins[1], totals[1], counts[1], l1, least, new)
                    gains[leaf], best[leaf, 0], best[leaf, 1] = ours
                    if theirs[0] > ours[0]:
                        gains[leaf], best[leaf, 0], best[leaf, 1] = theirs[0], len(bins[0]) + theirs[1], theirs[2]
            leaf = np.argmax(gains[:number])
            if number == n_leaves or gains[leaf] <= 0:
                break
            cuts[tree, number - 1, 0] = leaf
            cuts[tree, number - 1, 1:] = best[leaf]
            grow(lines, perturbations, bins, leaf, best[leaf, 0], best[leaf, 1])
            depth[leaf] += 1
            depth[number] = depth[leaf]
            fresh = np.array([leaf, number])
        for leaf in range(len(lines)):
            for i in lines[leaf][0]:
                for j in perturbations[leaf][0]:
                    residual[i, j] -= np.rint(values[tree, leaf] / unit) * unit * measured[i, j]
    return cuts, values


@njit(nogil=True, cache=True)
def grow(lines: list, perturbations: list, bins: tuple, leaf: int, feature: int, first: int) -> None:
    """Cut a leaf: what is above the cut becomes the last leaf."""
    if feature < len(bins[0]):
        lines[leaf], above = divide(lines[leaf], bins[0][feature] >= first)
        lines.append(above)
        perturbations.append(perturbations[leaf])
    else:
        perturbations[leaf], above = divide(perturbations[leaf], bins[1][feature - len(bins[0])] >= first)
        perturbations.append(above)
        lines.append(lines[leaf])


@njit(nogil=True, cache=True)
def drop(cuts: np.ndarray, values: np.ndarray, orders: tuple, bins: tuple) -> np.ndarray:
    """Return what trees predict, lines x perturbations: each tree is grown again on new lines."""
    found = np.zeros((orders[0].shape[1], orders[1].shape[1]))
    for tree in range(len(cuts)):
        lines, perturbations = [orders[0][:, :]], [orders[1][:, :]]
        for leaf, feature, first in cuts[tree]:
            if first == 0:
                break
            grow(lines, perturbations, bins, leaf, feature, first)
        for leaf in range(len(lines)):
            for i in lines[leaf][0]:
                for j in perturbations[leaf][0]:
                    found[i, j] += values[tree, leaf]
    return found


def edges(X: np.ndarray, max_bin: int) -> np.ndarray:
    """Return the upper edges of all bins of each feature (row) but the last: halfway between values, infinite if none.

    Where there are more values than bins, the bins hold equally many.
    """
    found = np.full((X.shape[1], max_bin - 1), np.inf)
    for feature, column in enumerate(X.T):
        values = np.unique(column)
        last = np.arange(1, min(max_bin, len(values))) * len(values) // min(max_bin, len(values))
        found[feature, : len(last)] = (values[last - 1] + values[last]) / 2
    return found


def binned(X: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Return the bin of each value, features x members."""
    return np.array([np.searchsorted(row, column) for row, column in zip(upper, X.T, strict=True)], dtype=np.uint16)


@dataclass
class PairModels(FoldModel):
    """Boosted models of all pairs at G grid points."""

    cuts: np.ndarray  # (G, trees, leaves - 1, 3)
    values: np.ndarray  # (G, trees, leaves)
    line_edges: np.ndarray  # (p, bins - 1)
    perturbation_bins: np.ndarray  # (c, L)
    mean: np.ndarray  # of the labels

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return predictions, G x samples x perturbations."""
        bins = binned(X, self.line_edges), self.perturbation_bins
        orders = tuple(np.arange(part.shape[1], dtype=np.uint16)[None] for part in bins)
        work = (delayed(drop)(*model, orders, bins) for model in zip(self.cuts, self.values, strict=True))
        return self.mean + np.array(Parallel(cores(None), backend="threading")(work))

    def keep(self, points: np.ndarray) -> "PairModels":
        """Return the model at one grid point, the same for all perturbations."""
        return replace(self, cuts=self.cuts[points[:1]], values=self.values[points[:1]])


@dataclass(eq=False, repr=False)
class PPLgbm(Boosted):
    """Pan-perturbation LightGBM on the sample's features and the perturbation's fingerprint.

    Parameters
    ----------
    n_estimators, max_depth, num_leaves, min_data_in_leaf
        As in LightGBM: trees, their largest depth, leaves and smallest leaf.
    max_bin : int
        Bins of a feature.
    n_components : int
        Principal components of the fingerprints (see `fingerprint_components`).
    grid : mapping of sequences, optional
        Parameters of LightGBM, by the names used here, and their values to try, from the simplest model on;
        by default `default_grid`.
    random_state : int
        Seed of the folds when `fit` is not given any; the trees draw nothing at random.
    n_jobs : int, optional
        Grid points fitted side by side; by default as many as torch may use threads. Results do not depend on it.
    ensemble : {"folds", "refit"}
        Predict with the average of the fold models, or (ablations) with one model fitted on the whole training set
        at the chosen grid point.
    """

    default_grid: ClassVar[Mapping[str, Any]] = {
        "learning_rate": (0.01, 0.02, 0.03, 0.04, 0.05),
        "reg_alpha": (1.0, 0.0),
    }
    fold_model: ClassVar = PairModels
    pan_perturbation: ClassVar[bool] = True

    n_estimators: int = 500
    max_depth: int = 20
    num_leaves: int = 4000
    min_data_in_leaf: int = 5
    max_bin: int = 63
    n_components: int = 500
    grid: Mapping[str, Any] | None = None
    n_jobs: int | None = None

    def _fit_folds(self, data: Training, folds: np.ndarray) -> list[FoldModel]:
        components = data.components("PP-LGBM", self.n_components)
        return super()._fit_folds(replace(data, fingerprints=components), folds)

    def _fit_fold(self, data: Training, fold: int) -> PairModels:
        components = np.asarray(data.fingerprints)
        line_edges = edges(data.X, self.max_bin)
        bins = binned(data.X, line_edges), binned(components, edges(components, self.max_bin))
        orders = tuple(part.argsort(axis=1, kind="stable").astype(np.uint16) for part in bins)
        measured, mean = ~np.isnan(data.Y), np.nanmean(data.Y)
        largest = max(*data.X.shape, *components.shape, self.num_leaves)
        if largest > 2**15:
            raise InputError(f"PP-LGBM takes at most {2**15} lines, features or leaves, not {largest}: give it fewer")
        names = "learning_rate", "reg_alpha", "n_estimators", "num_leaves", "max_depth", "min_data_in_leaf"
        settings = [{"learning_rate": 0.1, "reg_alpha": 0.0} | self.get_params() | point for point in self.points()]
        work = (
            delayed(boost)(np.where(measured, data.Y - mean, 0.0), measured.astype(float), orders, bins,
                           *(setting[name] for name in names))
            for setting in settings
        )  # fmt: skip
        cuts, values = map(np.array, zip(*Parallel(cores(self.n_jobs), backend="threading")(work), strict=True))
        return PairModels(cuts, values, line_edges, bins[1], mean)


NODE = np.dtype(
    [("left", "i4"), ("right", "i4"), ("feature", "i4"), ("threshold", "f8"), ("value", "f8"), ("root", "?")]
)
"""A node: a sample goes left where its feature is not above the threshold; a leaf is its own left and right."""


def pack(forest: RandomForestRegressor) -> bytes:
    """Return the nodes of a forest, tree by tree."""
    parts, start = [], 0
    for tree in (model.tree_ for model in forest.estimators_):
        nodes, leaf, own = np.zeros(tree.node_count, NODE), tree.children_left < 0, np.arange(tree.node_count)
        nodes["left"], nodes["right"] = (start + np.where(leaf, own, ways)
                                         for ways in (tree.children_left, tree.children_right))  # fmt: skip
        nodes["feature"], nodes["threshold"] = np.where(leaf, 0, tree.feature), tree.threshold
        nodes["value"], nodes["root"][0] = tree.value[:, 0, 0], True
        parts.append(nodes)
        start += len(nodes)
    return np.concatenate(parts).tobytes()


@dataclass
class ForestModels(Packed):
    """Random forests of perturbations, packed as their nodes."""

    def predict_one(self, model: bytes, rows: np.ndarray) -> np.ndarray:
        """Send samples down all trees of a forest, and return the mean of the leaves that they come to."""
        nodes, X = np.frombuffer(model, NODE), rows.astype(np.float32)
        left, right, feature, threshold, value, root = (np.ascontiguousarray(nodes[name]) for name in NODE.names or ())
        place, before = np.tile(np.flatnonzero(root)[:, None], len(X)), None
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

    def work(self, n_train: int, n_pairs: int, n_test: int, n_perturbations: int) -> float:
        """Return pairs x trees in millions, over folds and grid points."""
        return n_pairs * self.n_estimators * len(self.points()) * N_FOLDS / 1e6

    def _fit_fold(self, data: Training, fold: int) -> ForestModels:
        X = data.X.astype(np.float32)
        jobs = [(labels, point) for point in self.points() for labels in data.Y.T]
        forests = side_by_side(lambda job: self._grow(X, *job), jobs, torch.device("cpu"))
        return ForestModels.of(np.array(forests, dtype=object).reshape(-1, data.Y.shape[1]))

    def _grow(self, X: np.ndarray, y: np.ndarray, point: Mapping[str, Any]) -> bytes:
        """Fit a forest on the samples that are measured."""
        measured = ~np.isnan(y)
        if not measured.any():
            return b""
        drawn = max(round(self.max_samples * measured.sum()), 1)
        forest = RandomForestRegressor(self.n_estimators, max_samples=drawn, random_state=self.random_state, **point)
        return pack(forest.fit(X[measured], y[measured]))
