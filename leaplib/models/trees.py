"""PS-LGBM and PP-LGBM: boosted trees, one tuned model a perturbation or one for all pairs; PS-RF: random forests.

**PS-LGBM at scale.** Some hundred thousand small models are fitted (perturbations x folds x grid points). LightGBM
alone would spend much of its time on binning the same features again and on threads that wait for each other. Here
the features are binned once a fold, on all its training samples; a perturbation takes the rows in which it was
measured, and perturbations run side by side, a thread each. So with missing labels the bins rest on a few more
samples than a model of that perturbation alone would use; with complete labels the two are equal to the bit.

**PP-LGBM at scale.** The rows of all measured pairs never exist together: LightGBM reads them in batches and keeps
one byte a value, once a fold for all grid points.

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
from sklearn.ensemble import RandomForestRegressor

from leaplib.base.compute import side_by_side
from leaplib.cohorts.splits import N_FOLDS
from leaplib.models.base import Training
from leaplib.models.tuning import FoldModel, Tuned

BATCH = 4096  # rows of pairs that exist at a time


def cores(n_jobs: int | None) -> int:
    """Return the number of threads to use: those that torch may use in this process where none is given."""
    return n_jobs or torch.get_num_threads()


class PairRows(lightgbm.Sequence):
    """Rows [features of the sample, components of the perturbation] of pairs, made when asked for.

    Parameters
    ----------
    X : array, n x p
    Z : array, L x c
    sample, perturbation : arrays of int
        The two of each pair.
    """

    batch_size = BATCH

    def __init__(self, X: np.ndarray, Z: np.ndarray, sample: np.ndarray, perturbation: np.ndarray):
        self.X, self.Z = X, Z
        self.sample, self.perturbation = sample, perturbation

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.sample)

    def __getitem__(self, index: int | slice | list[int]) -> np.ndarray:
        """Return one row, or some."""
        return np.concatenate([self.X[self.sample[index]], self.Z[self.perturbation[index]]], axis=-1)


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
        """Return predictions, G x samples x perturbations."""
        return self.of_rows(X).swapaxes(1, 2)

    def predict_one(self, model: bytes, rows: Any) -> np.ndarray:
        """Return a model's prediction of each row."""
        raise NotImplementedError

    def of_rows(self, rows: "np.ndarray | PairRows") -> np.ndarray:
        """Return the prediction of each model for each row, 0 where there is no model."""
        one = self.predict_one
        work = (delayed(one)(model, rows) if model else delayed(np.zeros)(len(rows)) for model in self.models().ravel())
        return np.array(Parallel(cores(None), backend="threading")(work)).reshape(*self.size.shape, len(rows))


@dataclass
class BoostedModels(Packed):
    """Boosted models of perturbations on the samples' features, packed as LightGBM's own text, compressed."""

    def predict_one(self, model: bytes, rows: "np.ndarray | PairRows") -> np.ndarray:
        """Return a model's prediction of each row."""
        booster = lightgbm.Booster(model_str=zlib.decompress(model).decode())
        starts = range(0, len(rows), BATCH)
        return np.concatenate([booster.predict(rows[start : start + BATCH], num_threads=1) for start in starts])


@dataclass
class PairModels(BoostedModels):
    """Boosted models of all pairs."""

    components: np.ndarray  # of the perturbations' fingerprints, L x c

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return predictions, G x samples x perturbations."""
        shape = len(X), len(self.components)
        pairs = PairRows(X, self.components, *np.indices(shape).reshape(2, -1))
        return self.of_rows(pairs).reshape(-1, *shape)


class Boosted(Tuned):
    """What the two models share: LightGBM's parameters and the loop over trees."""

    n_estimators: int
    num_leaves: int

    def work(self, n_train: int, n_pairs: int, n_test: int, n_perturbations: int) -> float:
        """Return pairs x trees in millions, over folds and grid points; a tree of 1,000 leaves counts twice."""
        return n_pairs * self.n_estimators * len(self.points()) * N_FOLDS * (1 + self.num_leaves / 1000) / 1e6

    def _settings(self, threads: int) -> dict[str, Any]:
        """Return LightGBM's parameters but for those of the grid.

        Histograms are built column by column: their sums then do not depend on the number of threads.
        """
        names = ("max_depth", "num_leaves", "min_data_in_leaf", "reg_alpha", "reg_lambda", "max_bin")
        given = self.get_params()
        own = {name: given[name] for name in names if name in given}
        fixed = {"objective": "regression", "verbosity": -1, "deterministic": True, "force_col_wise": True}
        return own | fixed | {"seed": given["random_state"], "num_threads": threads}

    def _grow(self, dataset: lightgbm.Dataset, settings: Mapping[str, Any]) -> bytes:
        """Fit one model and return its text: a booster that was trained takes many times the memory."""
        booster = lightgbm.Booster(dict(settings), dataset)
        for _ in range(self.n_estimators):
            booster.update()
        return zlib.compress(booster.model_to_string().encode(), level=1)


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
        dataset = lightgbm.Dataset(data.X, np.zeros(len(data.X)), params=self._settings(1)).construct()
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
        return [self._grow(part, self._settings(1) | point) for point in self.points()]


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
        Threads; by default as many as torch may use. Results do not depend on it.
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
        settings = self._settings(cores(self.n_jobs))
        dataset = pair_dataset(data, settings)
        models = [[self._grow(dataset, settings | point)] for point in self.points()]
        return PairModels.of(models, components=np.asarray(data.fingerprints))

    def _settings(self, threads: int) -> dict[str, Any]:
        # Histograms of 4,000 leaves of 756 features take 3 GB, of more features much more. A tenth of a million
        # pairs holds every sample and perturbation many times, so that the bins are settled.
        # On one thread histograms by rows have the same sums as by columns, in half the time.
        ways = {"force_row_wise": threads == 1, "force_col_wise": threads > 1}
        return super()._settings(threads) | ways | {"histogram_pool_size": 4096, "bin_construct_sample_cnt": 100_000}


def pair_dataset(data: Training, settings: Mapping[str, Any]) -> lightgbm.Dataset:
    """Return the binned features and the labels of all measured pairs, one sample after the other."""
    assert data.fingerprints is not None
    sample, perturbation = np.nonzero(~np.isnan(data.Y))
    rows = PairRows(data.X, data.fingerprints, sample, perturbation)
    return lightgbm.Dataset(rows, data.Y[sample, perturbation], params=dict(settings)).construct()


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
