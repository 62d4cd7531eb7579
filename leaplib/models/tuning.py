"""The tuner and the fold ensemble that all models share (paper, Methods, "Hyper-parameter tuning procedure").

A model says how the training set of one fold is fitted at every grid point (`Tuned._fit_fold`); scoring,
choosing and averaging (or, for the ablations, fitting the choice anew on all samples) are done here, once for all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import product
from typing import Any, ClassVar

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from leaplib.base.errors import InputError
from leaplib.base.metrics import spearman
from leaplib.cohorts.splits import random_folds
from leaplib.models.base import Regressor, Training


def mean_over_folds(scores: np.ndarray) -> np.ndarray:
    """Return the mean (G x L) of scores (K x G x L) over the folds that have labels, 0 where none has."""
    usable = ~np.isnan(scores)
    return np.where(usable, scores, 0.0).sum(axis=0) / np.maximum(usable.sum(axis=0), 1)


def best_per_perturbation(scores: np.ndarray) -> np.ndarray:
    """Return the best grid point of each perturbation.

    Parameters
    ----------
    scores : array, K x G x L
        Of K folds; NaN (no usable labels in the fold) is left out of the mean.

    Returns
    -------
    array of int, L
        Ties go to the grid point that comes first, so grids run from the simplest model.
    """
    # Equal but for rounding counts as equal.
    return np.argmax(np.round(mean_over_folds(scores), 12), axis=0)


def best_overall(scores: np.ndarray) -> np.ndarray:
    """Return, for each perturbation, the grid point with the best mean over perturbations (PP models)."""
    best = np.argmax(np.round(mean_over_folds(scores).mean(axis=1), 12))
    return np.full(scores.shape[2], best)


def fold_numbers(folds: np.ndarray) -> range:
    """Return the numbers of the folds, 0 to K - 1; where all samples are in fold -1, none is held out: one fold, 0."""
    return range(max(folds.max() + 1, 1))


@dataclass
class FoldModel:
    """What was fitted on the training set of one fold, at each of G grid points; its fields are arrays.

    Subclasses give `predict` and `keep`. After `keep` there is one grid point, G = 1: for each
    perturbation its best.
    """

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return predictions, G x samples x perturbations."""
        raise NotImplementedError

    def keep(self, points: np.ndarray) -> "FoldModel":
        """Return the model at grid point `points[j]` for perturbation j."""
        raise NotImplementedError

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the state as named arrays, for a file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass
class LinearModels(FoldModel):
    """Linear models of L perturbations at G penalties."""

    coef: np.ndarray  # (G, p, L)
    intercept: np.ndarray  # (G, L)
    penalty: np.ndarray  # (G, L)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return predictions, G x samples x perturbations."""
        return X @ self.coef + self.intercept[:, None, :]

    def keep(self, points: np.ndarray) -> "LinearModels":
        """Return the models at one penalty a perturbation."""
        at = points, np.arange(len(points))
        coef = np.ascontiguousarray(self.coef.swapaxes(1, 2)[at].T)  # as after a file, to the bit
        return LinearModels(coef[None], self.intercept[at][None], self.penalty[at][None])


@dataclass(eq=False, repr=False, kw_only=True)
class Tuned(Regressor):
    """A model tuned by cross-validation, whose prediction is the mean of the fold models at the best point.

    With `ensemble` "refit" it is that of one model instead, fitted on the whole training set at the best point.

    The best grid point has the largest Spearman correlation on the held-out folds (mean over folds): that
    of each perturbation (PS models) or the mean over perturbations (PP models).

    Subclasses have a parameter `grid` where they tune over one (None: `default_grid`, the paper's); they name their
    `FoldModel` and give `_fit_fold`.

    Parameters
    ----------
    random_state : int
        Seed of the folds when `fit` is not given any, and of all else that is drawn.
    ensemble : {"folds", "refit"}
        Predict with the average of the fold models, or (ablations) with one fitted on the whole training set.

    Attributes
    ----------
    point_ : array of int, perturbations
        Grid point chosen.
    cv_score_ : array, perturbations
        Mean Spearman correlation on the held-out folds at that point.
    parts_ : list of list of FoldModel
        Of each block of perturbations, the fold models (or the one fitted anew).
    """

    fold_model: ClassVar[type[FoldModel]]
    default_grid: ClassVar[Mapping[str, Any]] = {}
    pan_perturbation: ClassVar[bool] = False
    block: ClassVar[int | None] = None  # perturbations tuned at a time: bounds the memory
    random_state: int = 0
    ensemble: str = "folds"

    def points(self) -> list[dict[str, Any]]:
        """Return the grid points that are tried, in the order of ties: the last parameter runs fastest."""
        grid = self.get_params().get("grid") or self.default_grid
        return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]

    def _fit_fold(self, data: Training, fold: int) -> FoldModel:
        """Fit all grid points on the training set of a fold (its number serves as part of a seed)."""
        raise NotImplementedError

    def _fit_folds(self, data: Training, folds: np.ndarray) -> list[FoldModel]:
        """Fit all grid points on the training set of every fold."""
        return [self._fit_fold(data.rows(folds != fold), fold) for fold in fold_numbers(folds)]

    def _fit(self, data: Training, folds: np.ndarray | None) -> None:
        if self.ensemble not in ("folds", "refit"):
            raise InputError(f"ensemble must be 'folds' or 'refit', not {self.ensemble!r}")
        folds = random_folds(len(data.X), self.random_state) if folds is None else folds
        n = data.Y.shape[1]
        size = self.block or n
        found = [self._tune(data.columns(slice(start, start + size)), folds) for start in range(0, n, size)]
        parts, points, scores = zip(*found, strict=True)
        self.parts_ = list(parts)
        self.point_, self.cv_score_ = np.concatenate(points), np.concatenate(scores)

    def _tune(self, data: Training, folds: np.ndarray) -> tuple[list[FoldModel], np.ndarray, np.ndarray]:
        """Return the models that predict, the best grid points and their scores."""
        models = self._fit_folds(data, folds)
        held = zip(models, (data.rows(folds == fold) for fold in range(len(models))), strict=True)
        scores = np.array([spearman(part.Y, model.predict(part.X)) for model, part in held])  # NaN: no usable labels
        points = (best_overall if self.pan_perturbation else best_per_perturbation)(scores)
        chosen = mean_over_folds(scores)[points, np.arange(len(points))]
        if self.ensemble == "refit":
            return [self._refit(data, points)], points, chosen
        return [model.keep(points) for model in models], points, chosen

    def _refit(self, data: Training, points: np.ndarray) -> FoldModel:
        """Fit the best grid points on the whole training set."""
        model = self
        if self.pan_perturbation:  # one point for all: the others need not be fitted
            best = self.points()[points[0]]
            model, points = clone(self).set_params(grid={name: [best[name]] for name in best}), np.zeros_like(points)
        return model._fit_folds(data, np.full(len(data.X), -1))[0].keep(points)

    def _predict(self, X: np.ndarray) -> np.ndarray:
        parts = [np.mean([model.predict(X)[0] for model in models], axis=0) for models in self.parts_]
        return np.concatenate(parts, axis=-1)

    def predict_folds(self, X: Any) -> np.ndarray:
        """Return the predictions of each model of the ensemble, models x samples x perturbations.

        Model k is the one that was fitted without fold k (with `ensemble` "refit" there is one, fitted on all).
        """
        check_is_fitted(self)
        values = self._values(X)
        parts = [np.stack([model.predict(values)[0] for model in models]) for models in self.parts_]
        return np.concatenate(parts, axis=-1)

    def _joined(self, name: str) -> np.ndarray:
        """Return an array of the models that predict, models x ... x perturbations."""
        models = zip(*self.parts_, strict=True)
        return np.stack([np.concatenate([getattr(part, name)[0] for part in parts], axis=-1) for parts in models])

    def _arrays(self) -> dict[str, np.ndarray]:
        state = {"point": self.point_, "cv_score": self.cv_score_}
        for part, models in enumerate(self.parts_):
            for fold, model in enumerate(models):
                state |= {f"{part}/{fold}/{name}": array for name, array in model.arrays().items()}
        return state

    def _restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.point_, self.cv_score_ = arrays["point"], arrays["cv_score"]
        states: dict[int, dict[int, dict[str, np.ndarray]]] = {}
        for key, array in arrays.items():
            if "/" in key:
                part, fold, name = key.split("/", 2)
                states.setdefault(int(part), {}).setdefault(int(fold), {})[name] = array
        self.parts_ = [[self.fold_model(**states[i][k]) for k in sorted(states[i])] for i in sorted(states)]
