"""PS-TCRP: a network a perturbation whose initial weights are meta-learned over tissues, zero-shot or fine-tuned.

The networks are p - H - H - 1 with ReLU. A task is a support set and a query set from one tissue: the inner loop takes
gradient steps on the support, and the outer loss is the squared error on the query after them. B perturbations at G
grid points learn in step; the grid points of a perturbation share their tasks.

The first matrix, by far the largest, is never copied for a task. A gradient step adds x'm to it, x being the support
and m the moves of the layer's outputs; so afterwards it answers V as before, plus (V x') m, and the inner products V x'
are the same for all grid points.

All random numbers come from tables for the seed and the epoch which the perturbations share: what is drawn for one does
not depend on which others learn beside it.

References
----------
Finn et al., Model-agnostic meta-learning, ICML 2017 (arXiv:1703.03400).
"""

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from torch.nn.functional import pad

from leaplib.base.compute import resolve_device, side_by_side
from leaplib.base.errors import InputError
from leaplib.cohorts.splits import N_FOLDS
from leaplib.models.base import Training
from leaplib.models.tuning import FoldModel, Tuned

MIN_LABELS = 4
"""Labelled samples that make a tissue a task: two for the support and two for the query, since the loss of a
single sample is little but its noise."""
HIDDEN_ELEMENTS = {"cpu": 400_000, "cuda": 8_000_000}
"""Size of a hidden layer of a chunk: on a CPU what a core's cache can hold, on a GPU what keeps it busy."""


class Tasks(NamedTuple):
    """S tasks of each of B perturbations: K places for support samples, then K for query samples."""

    x: Tensor  # (B, S, 2 * K, p + 1); the last feature is 1
    y: Tensor  # (B, S, 2 * K)
    share: Tensor  # (B, S, 2 * K): 1 / (size of the support or of the query), 0 where the place is empty


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

    def _fit_fold(self, data: Training, fold: int) -> TcrpModels:
        device = resolve_device(self.device)
        x_mean, x_scale = data.X.mean(axis=0), data.X.std(axis=0)
        x_scale[x_scale == 0] = 1
        frame = pd.DataFrame(data.Y)
        y_mean, y_scale = frame.mean().fillna(0).to_numpy(), frame.std(ddof=0).fillna(0).to_numpy()
        Y = np.nan_to_num((data.Y - y_mean) / np.where(y_scale > 0, y_scale, 1))
        tissues = np.unique(np.asarray(data.groups), return_inverse=True)[1]
        arrays = ((data.X - x_mean) / x_scale).astype(np.float32), Y.T.astype(np.float32), ~np.isnan(data.Y.T), tissues
        x, y, known, codes = (torch.as_tensor(values, device=device) for values in arrays)
        state = meta_train(x, y, known, codes, self, [self.random_state, fold])
        pooled, inner = (
            without_tissue(known, codes).cpu().numpy(),
            np.array([[at["inner_rate"]] for at in self.points()]),
        )
        shape = len(inner), len(y)
        state += [np.broadcast_to(values, shape).copy() for values in (inner, pooled, y_mean, y_scale)]
        state += [x_mean, x_scale]
        return TcrpModels(*state)

    def _joined(self, name: str) -> np.ndarray:
        """Return an array of the kept networks, folds x perturbations."""
        folds = zip(*self.parts_, strict=True)
        return np.array([np.concatenate([getattr(model, name)[0] for model in fold]) for fold in folds])

    @property
    def pooled_(self) -> pd.Index:
        """Perturbations that had no usable tissue in some fold."""
        return self.perturbations_[np.flatnonzero(self._joined("pooled").any(axis=0))]


def meta_train(
    x: Tensor, y: Tensor, known: Tensor, tissues: Tensor, model: "PSTcrp", seed: Sequence[int]
) -> list[np.ndarray]:
    """Learn the initial weights of L perturbations at G grid points.

    Parameters
    ----------
    x : Tensor, n x p
    y : Tensor, L x n
        Any finite number where not known.
    known : Tensor of bool, L x n
    tissues : Tensor of int, n
        From 0.
    model : PSTcrp
        How the networks learn.
    seed : sequence of int

    Returns
    -------
    list of array
        The matrices of the three layers, G x L x (inputs + 1) x outputs; the last rows are the biases.
    """
    x = pad(x, (0, 1), value=1)
    size = _chunk(len(y), model, x.device)
    parts = [slice(start, start + size) for start in range(0, len(y), size)]

    def learn(part: slice) -> list[np.ndarray]:
        return _learn(TaskSampler(x, y[part], known[part], tissues, model, seed), model, seed)

    found = side_by_side(learn, parts, x.device)
    return [np.concatenate(arrays, axis=1) for arrays in zip(*found, strict=True)]


def _chunk(n: int, model: "PSTcrp", device: torch.device) -> int:
    """Return how many of n perturbations learn in step, on a CPU by a core to itself."""
    each = len(model.points()) * model.n_tasks * model.n_shots * model.n_hidden
    workers = torch.get_num_threads() if device.type == "cpu" else 1
    return max(1, min(HIDDEN_ELEMENTS[device.type] // each, -(-n // workers)))


def _learn(sampler: "TaskSampler", model: "PSTcrp", seed: Sequence[int]) -> list[np.ndarray]:
    start = [torch.as_tensor(layer).to(sampler.x) for layer in initial_weights(sampler.x.shape[1], model, seed)]
    points = [
        [layer.repeat(len(sampler.y), 1, 1).requires_grad_() for layer in start] for _ in model.points()
    ]  # each with a rate of its own
    groups = [{"params": layers, "lr": at["meta_rate"]} for layers, at in zip(points, model.points(), strict=True)]
    adam = torch.optim.Adam(groups, fused=True)
    rates = sampler.x.new_tensor([at["inner_rate"] for at in model.points()])
    for epoch in range(model.n_epochs):
        adam.zero_grad()
        layers = [torch.stack(layer) for layer in zip(*points, strict=True)]
        outer_loss(layers, sampler.draw(epoch), rates, model.n_steps).backward()
        adam.step()
    return [torch.stack(layer).detach().cpu().numpy() for layer in zip(*points, strict=True)]


def initial_weights(n_inputs: int, model: "PSTcrp", seed: Sequence[int]) -> list[np.ndarray]:
    """Return random layers, uniform within +- 1 / sqrt(inputs), biases too, as torch.nn.Linear has them.

    `n_inputs` counts the constant 1. All perturbations and grid points start from these.
    """
    rng, H = np.random.default_rng([*seed, 0]), model.n_hidden
    shapes = (n_inputs - 1, H), (H, H), (H, 1)
    return [rng.uniform(-1, 1, (n_in + 1, n_out)) / np.sqrt(n_in) for n_in, n_out in shapes]


def outer_loss(layers: Sequence[Tensor], tasks: Tasks, rates: Tensor, n_steps: int) -> Tensor:
    """Return the mean over tasks of the mean squared error on the query, summed over networks.

    Parameters
    ----------
    layers : sequence of Tensor, G x B x (inputs + 1) x outputs
    tasks : Tasks
    rates : Tensor, G
        Of the inner loop.
    n_steps : int
        Steps of the inner loop.
    """
    _, S, R, _ = tasks.x.shape
    K = R // 2
    first, *upper = layers
    answers = torch.einsum("bsri,gbih->gbsrh", tasks.x, first)
    gram = tasks.x @ tasks.x[:, :, :K].mT
    upper = [layer[:, :, None].expand(-1, -1, S, -1, -1).contiguous() for layer in upper]
    weight = rates[:, None, None, None] * tasks.share[..., :K]
    moved, upper = inner_loop(answers[..., :K, :], gram[..., :K, :], upper, tasks.y[..., :K], weight, n_steps)
    output = upper_layers(answers[..., K:, :] + gram[..., K:, :] @ moved, *upper)
    return (tasks.share[..., K:] * (output - tasks.y[..., K:]) ** 2).sum() / S


def inner_loop(
    start: Tensor, gram: Tensor, upper: list[Tensor], y: Tensor, weight: Tensor, n_steps: int
) -> tuple[Tensor, list[Tensor]]:
    """Take gradient steps on the support of each of some tasks (of whatever leading dimensions).

    Parameters
    ----------
    start : Tensor, K x H
        What the first layer answers to the support before the first step.
    gram : Tensor, K x K
        Inner products of the support.
    upper : list of Tensor
        The other two layers, of each task its own.
    y : Tensor, K
    weight : Tensor, K
        Inner rate x share of a sample in the loss.
    n_steps : int

    Returns
    -------
    moved : Tensor, K x H
        The steps added x'moved to the first matrix, x being the support.
    upper : list of Tensor
        The other layers after the steps.
    """

    def loss(answers: Tensor, *layers: Tensor) -> Tensor:
        return (weight * (upper_layers(answers, *layers) - y) ** 2).sum()

    moved = torch.zeros_like(start)
    for _ in range(n_steps):
        slope, *slopes = torch.func.grad(loss, argnums=(0, 1, 2))(start + gram @ moved, *upper)
        moved = moved - slope
        upper = [layer - change for layer, change in zip(upper, slopes, strict=True)]
    return moved, upper


def upper_layers(answers: Tensor, second: Tensor, third: Tensor) -> Tensor:
    """Return the networks' output, given what their first layers answer."""
    hidden = answers.relu() @ second[..., :-1, :] + second[..., -1:, :]
    return (hidden.relu() @ third[..., :-1, :] + third[..., -1:, :])[..., 0]


class TaskSampler:
    """Draws the tasks of B perturbations.

    A tissue is usable for a perturbation with at least `MIN_LABELS` labelled samples there. An epoch goes
    through the usable tissues in random order, as often as it takes to fill the S tasks, so that each comes
    as often as any other, give or take one; each task draws its samples anew. The support takes K of the
    tissue's labelled samples, or half of them (rounded down) where these are fewer; the query up to K others.
    A perturbation without a usable tissue has all its labelled samples as the one tissue (`pooled`).
    """

    def __init__(self, x: Tensor, y: Tensor, known: Tensor, tissues: Tensor, model: "PSTcrp", seed: Sequence[int]):
        self.x, self.y, self.model, self.seed = x, y, model, seed
        tissue, pooled = torch.arange(int(tissues.max()) + 1, device=x.device), without_tissue(known, tissues)[:, None]
        self.member = known[:, None] & (torch.where(pooled, 0, tissues)[:, None] == tissue[:, None])
        self.sizes = self.member.sum(2)
        self.usable = (self.sizes >= MIN_LABELS) | (pooled & (tissue == 0))

    def draw(self, epoch: int) -> Tasks:
        """Return the tasks of an epoch."""
        K, S, device = self.model.n_shots, self.model.n_tasks, self.x.device
        rng = np.random.default_rng([*self.seed, 1 + epoch])
        tables = rng.random(self.sizes.shape[1]), rng.random((S, len(self.x)))
        by_tissue, by_sample = (torch.from_numpy(table).to(device) for table in tables)
        order = torch.where(self.usable, by_tissue, torch.inf).argsort(1)
        turn = torch.arange(S, device=device) % self.usable.sum(1, keepdim=True)
        tissue = order.gather(1, turn)
        member = self.member[torch.arange(len(self.y), device=device)[:, None], tissue]
        keys = torch.where(member, by_sample, torch.inf)
        drawn = keys.topk(min(2 * K, len(self.x)), dim=2, largest=False).indices
        place, share = places(self.sizes.gather(1, tissue)[..., None], K)
        rows = drawn.gather(2, place.clamp(max=drawn.shape[2] - 1))
        return Tasks(self.x[rows], self.y.gather(1, rows.flatten(1)).view(rows.shape), share.to(self.y.dtype))


def without_tissue(known: Tensor, tissues: Tensor) -> Tensor:
    """Return which perturbations have no usable tissue."""
    member = tissues == torch.arange(int(tissues.max()) + 1, device=tissues.device)[:, None]
    return ((known.float() @ member.float().T) < MIN_LABELS).all(1)


def places(size: Tensor, n_shots: int) -> tuple[Tensor, Tensor]:
    """Return, for tissues of some sizes (..., 1), which of the samples drawn is where, and its share of the loss.

    Support and query have `n_shots` places each; of the samples drawn the first go to the support.
    """
    support = size.div(2, rounding_mode="floor").clamp(max=n_shots)
    query = (size - support).clamp(max=n_shots)
    number = torch.arange(n_shots, device=size.device)
    place = torch.cat([number.expand(*size.shape[:-1], -1), support + number], dim=-1)
    share = torch.cat([(number < taken) / taken.clamp(min=1) for taken in (support, query)], dim=-1)
    return place, share
