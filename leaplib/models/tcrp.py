"""PS-TCRP: a network a perturbation whose initial weights are meta-learned over tissues, zero-shot or fine-tuned."""

import copy
import warnings
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from torch.nn.functional import pad

from leaplib.base.compute import resolve_device
from leaplib.base.errors import InputError
from leaplib.cohorts.splits import N_FOLDS
from leaplib.models.base import Training
from leaplib.models.maml import Settings, inner_loop, meta_train, upper_layers, without_tissue
from leaplib.models.tuning import FoldModel, Tuned


@dataclass
class TcrpModels(FoldModel):
    """Networks of L perturbations at G grid points, and the scales of the training set."""

    first: np.ndarray  # (G, L, p + 1, H); the last row is the bias, here and below
    second: np.ndarray  # (G, L, H + 1, H)
    third: np.ndarray  # (G, L, H + 1, 1)
    inner_rate: np.ndarray  # (G, L)
    pooled: np.ndarray  # (G, L): no tissue was usable
    y_mean: np.ndarray  # (G, L)
    y_scale: np.ndarray  # (G, L)
    x_mean: np.ndarray  # (p,)
    x_scale: np.ndarray  # (p,)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return predictions, G x samples x perturbations; in double precision, so that the batch does not matter."""
        inputs = self._inputs(X)
        points = zip(*(torch.from_numpy(layer).double() for layer in self.layers), strict=True)
        output = [upper_layers(torch.einsum("ni,lih->lnh", inputs, first), *upper) for first, *upper in points]
        return (torch.stack(output).numpy() * self.y_scale[..., None] + self.y_mean[..., None]).swapaxes(1, 2)

    @property
    def layers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The three layers."""
        return self.first, self.second, self.third

    def _inputs(self, X: np.ndarray) -> Tensor:
        return pad(torch.from_numpy((X - self.x_mean) / self.x_scale), (0, 1), value=1)

    def keep(self, points: np.ndarray) -> "TcrpModels":
        """Return the networks at one grid point a perturbation."""
        names = [field.name for field in fields(self) if not field.name.startswith("x_")]
        return replace(self, **{name: getattr(self, name)[points, np.arange(len(points))][None] for name in names})

    def adapt(self, X: np.ndarray, Y: np.ndarray, n_steps: int) -> "TcrpModels":
        """Return the networks after gradient steps on target samples; a perturbation without labels is as it was."""
        x, known = self._inputs(X).float(), ~np.isnan(Y.T)
        scale = np.where(self.y_scale > 0, self.y_scale, 1)[..., None]
        labels = (np.nan_to_num(Y.T) - self.y_mean[..., None]) / scale  # (G, L, samples)
        weight = self.inner_rate[..., None] * known / np.maximum(known.sum(1, keepdims=True), 1)
        y, weight = (torch.from_numpy(values).float() for values in (labels, weight))
        first, *upper = (torch.from_numpy(layer) for layer in self.layers)
        start = torch.einsum("ki,glih->glkh", x, first)
        moved, (second, third) = inner_loop(start, x @ x.T, upper, y, weight, n_steps)
        return replace(self, first=(first + x.T @ moved).numpy(), second=second.numpy(), third=third.numpy())


@dataclass(eq=False, repr=False)
class PSTcrp(Tuned):
    """Perturbation-specific TCRP: model-agnostic meta-learning (MAML) over tissues.

    For each perturbation, the initial weights of a network p - 20 - 20 - 1 (ReLU) are learned such that a
    gradient step on a few samples of a tissue predicts others of that tissue well (Ma et al. 2021). An
    epoch draws 12 tasks, each of one tissue; the gradient of the outer loss goes through the inner steps
    (second order). Outer and inner rate are tuned by cross-validation, and predictions are averaged over
    the fold models. `predict` uses the weights as learned (zero-shot); `adapt` fine-tunes them on samples of
    the target (10-shot).

    Parameters
    ----------
    n_hidden : int
        Units of each hidden layer.
    n_epochs : int
    n_tasks : int
        Tasks an epoch.
    n_shots : int
        Samples of the support of a task, at most as many in its query, and the fewest that `adapt` takes.
    n_steps : int
        Steps of the inner loop in training.
    n_adapt_steps : int
        Steps of `adapt`.
    grid : mapping, optional
        `meta_rate` (of Adam) and `inner_rate`; by default the paper's.
    random_state : int
        Seed of the initial weights and tasks, and of the folds when `fit` is not given any.
    device : {"auto", "cpu", "cuda"}

    Attributes
    ----------
    cv_score_ : array, perturbations
        Mean Spearman correlation, zero-shot, on the held-out folds at the grid point chosen.
    inner_rate_ : array, perturbations
        Inner rate chosen.
    pooled_ : Index
        Perturbations without a usable tissue in the training set of some fold; see below.

    Notes
    -----
    What the texts leave open, and what is done here:

    Outer step
        One step of Adam an epoch, on the mean loss of its tasks: the batch of tasks of Finn et al. (2017).
    Inner loop
        One gradient step (`n_steps`) on the mean squared error of the support, as Finn et al. train. `adapt`
        takes 10 (`n_adapt_steps`): they too train with one step and find that up to 10 go on improving
        predictions. Both run on the full support at the inner rate of the grid point, without momentum.
    Support and query
        10 samples each, since the target gives 10. A tissue with fewer than 20 labelled samples gives half of
        them, rounded down, to the support, and the others to the query: drugs of a few dozen cell lines would
        have no task otherwise.
    Usable tissues
        Those with at least 4 labelled samples in the training set, so that support and query have two each; a
        tissue with one line takes no part. An epoch goes through the usable tissues in random order; where
        they are fewer than the tasks they come again, each about as often as the others, with samples drawn anew.
    No usable tissue
        All labelled samples serve as one tissue; `fit` warns and `pooled_` names the perturbation.
    Scaling
        Features are standardised over the training samples of the fold, labels too, of each perturbation:
        the rates of the grid suit no other scale for all perturbations alike. A perturbation whose training
        labels are all equal predicts their value (0 where a fold leaves it none).
    Initial weights
        Uniform within +- 1 / sqrt(inputs), torch's default for linear layers. Perturbations and
        grid points of a fold start from the same weights and draw from the same tables of random numbers, so
        that grid points differ by their rates only, and a perturbation's model does not depend on the others.
    Tuning
        By zero-shot predictions of the held-out fold: when a model is tuned there is no target to adapt to.
        So the inner rate that `adapt` uses was chosen for the weights it leads to, not for adapting.

    References
    ----------
    Ma et al., Nature Cancer 2, 233-244 (2021); Finn et al., ICML 2017 (arXiv:1703.03400).
    """

    fold_model: ClassVar = TcrpModels
    default_grid: ClassVar = {"meta_rate": (5e-4, 1e-3), "inner_rate": (5e-4, 1e-3, 2e-3, 5e-3, 1e-2)}
    block: ClassVar = 256

    n_hidden: int = 20
    n_epochs: int = 200
    n_tasks: int = 12
    n_shots: int = 10
    n_steps: int = 1
    n_adapt_steps: int = 10
    grid: Any = None
    device: str = "auto"

    def work(self, n_train: int, n_pairs: int, n_test: int, n_perturbations: int) -> float:
        """Return perturbations x tasks in millions, over epochs, folds and grid points."""
        return n_perturbations * self.n_tasks * self.n_epochs * len(self.points()) * N_FOLDS / 1e6

    def adapt(self, X: Any, Y: Any) -> "PSTcrp":
        """Return a new model, fine-tuned on samples of the target; this one stays as it is.

        A perturbation with missing labels is fine-tuned on those it has; with none it stays zero-shot.

        Parameters
        ----------
        X : DataFrame or array, samples x features
            At least `n_shots` samples; all that are given are used.
        Y : DataFrame or array, samples x perturbations
            NaN where not measured. A frame may list further perturbations, in any order.

        Raises
        ------
        InputError
            For fewer than `n_shots` samples, perturbations that Y does not list, or values that cannot be used.
        """
        check_is_fitted(self)
        values, labels = self._targets(X, Y)
        model = copy.copy(self)
        ends = np.cumsum([models[0].third.shape[1] for models in self.parts_])[:-1]
        blocks = np.split(labels, ends, axis=1)
        parts = zip(self.parts_, blocks, strict=True)
        model.parts_ = [[fold.adapt(values, block, self.n_adapt_steps) for fold in models] for models, block in parts]
        return model

    def _targets(self, X: Any, Y: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return checked features and labels of target samples."""
        values = self._values(X)
        if len(values) < self.n_shots:
            raise InputError(f"{len(values)} target samples: {self.n_shots}-shot needs at least {self.n_shots}")
        frame = Y if isinstance(Y, pd.DataFrame) else pd.DataFrame(np.asarray(Y, dtype=np.float64))
        if not isinstance(Y, pd.DataFrame) and frame.shape[1] == len(self.perturbations_):
            frame.columns = self.perturbations_
        if isinstance(X, pd.DataFrame) and isinstance(Y, pd.DataFrame) and not X.index.equals(Y.index):
            raise InputError("target features and labels list different samples: align their rows first")
        absent = self.perturbations_.difference(frame.columns, sort=False)
        if len(absent):
            raise InputError(
                f"perturbation {absent[0]!r} has no column of target labels: add it (NaN where not measured)"
            )
        labels = frame[self.perturbations_].to_numpy(dtype=np.float64)
        if len(labels) != len(values) or np.isinf(labels).any():
            raise InputError(f"target labels: expected {len(values)} rows of finite numbers or NaN")
        return values, labels

    def _fit(self, data: Training, folds: np.ndarray | None) -> None:
        self._check(data)
        super()._fit(data, folds)
        if len(self.pooled_):
            some = ", ".join(map(str, self.pooled_[:10]))
            few = "no tissue has enough labelled samples for a task: all samples are one tissue for"
            warnings.warn(f"{few} {len(self.pooled_)} perturbations ({some})", stacklevel=3)

    def _check(self, data: Training) -> None:
        if data.groups is None:
            raise InputError("PS-TCRP needs the tissue of each sample: give `groups`")
        for name in ("n_hidden", "n_epochs", "n_tasks", "n_shots", "n_steps", "n_adapt_steps"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")
        for point in self.points():
            if set(point) != set(self.default_grid) or min(point.values()) <= 0:
                raise InputError(f"grid point {point}: give a positive meta_rate and inner_rate")

    def _settings(self) -> Settings:
        points = self.points()
        meta, inner = (tuple(point[name] for point in points) for name in self.default_grid)
        return Settings(meta, inner, self.n_hidden, self.n_epochs, self.n_tasks, self.n_shots, self.n_steps)

    def _fit_fold(self, data: Training, fold: int) -> TcrpModels:
        settings, device = self._settings(), resolve_device(self.device)
        x_mean, x_scale = data.X.mean(axis=0), data.X.std(axis=0)
        x_scale[x_scale == 0] = 1
        frame = pd.DataFrame(data.Y)
        y_mean, y_scale = frame.mean().fillna(0).to_numpy(), frame.std(ddof=0).fillna(0).to_numpy()
        Y = np.nan_to_num((data.Y - y_mean) / np.where(y_scale > 0, y_scale, 1))
        tissues = np.unique(np.asarray(data.groups), return_inverse=True)[1]
        arrays = ((data.X - x_mean) / x_scale).astype(np.float32), Y.T.astype(np.float32), ~np.isnan(data.Y.T), tissues
        x, y, known, codes = (torch.as_tensor(values, device=device) for values in arrays)
        state = meta_train(x, y, known, codes, settings, [self.random_state, fold])
        pooled, inner = without_tissue(known, codes).cpu().numpy(), np.array(settings.inner_rates)[:, None]
        shape = len(inner), len(y)
        state += [np.broadcast_to(values, shape).copy() for values in (inner, pooled, y_mean, y_scale)]
        state += [x_mean, x_scale]
        return TcrpModels(*state)

    def _joined(self, name: str) -> np.ndarray:
        """Return an array of the kept networks, folds x perturbations."""
        folds = zip(*self.parts_, strict=True)
        return np.array([np.concatenate([getattr(model, name)[0] for model in fold]) for fold in folds])

    @property
    def inner_rate_(self) -> np.ndarray:
        """Inner rate of each perturbation."""
        return self._joined("inner_rate")[0]

    @property
    def pooled_(self) -> pd.Index:
        """Perturbations that had no usable tissue in some fold."""
        return self.perturbations_[np.flatnonzero(self._joined("pooled").any(axis=0))]
