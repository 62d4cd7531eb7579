"""Model-agnostic meta-learning (MAML) of many small networks at once, with second-order gradients.

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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from leaplib.base.compute import side_by_side

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


@dataclass(frozen=True)
class Settings:
    """How networks learn: rates of Adam and of the inner loop at each grid point, and as in `PSTcrp`."""

    meta_rates: tuple[float, ...]
    inner_rates: tuple[float, ...]
    n_hidden: int
    n_epochs: int
    n_tasks: int
    n_shots: int
    n_steps: int

    def chunk(self, n: int, device: torch.device) -> int:
        """Return how many of n perturbations learn in step, on a CPU by a core to itself."""
        each = len(self.meta_rates) * self.n_tasks * self.n_shots * self.n_hidden
        workers = torch.get_num_threads() if device.type == "cpu" else 1
        return max(1, min(HIDDEN_ELEMENTS[device.type] // each, -(-n // workers)))


def meta_train(
    x: Tensor, y: Tensor, known: Tensor, tissues: Tensor, settings: Settings, seed: Sequence[int]
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
    settings : Settings
    seed : sequence of int

    Returns
    -------
    list of array
        The matrices of the three layers, G x L x (inputs + 1) x outputs; the last rows are the biases.
    """
    x = pad(x, (0, 1), value=1)
    size = settings.chunk(len(y), x.device)
    parts = [slice(start, start + size) for start in range(0, len(y), size)]

    def learn(part: slice) -> list[np.ndarray]:
        return _learn(TaskSampler(x, y[part], known[part], tissues, settings, seed), settings, seed)

    found = side_by_side(learn, parts, x.device)
    return [np.concatenate(arrays, axis=1) for arrays in zip(*found, strict=True)]


def _learn(sampler: "TaskSampler", settings: Settings, seed: Sequence[int]) -> list[np.ndarray]:
    start = [torch.as_tensor(layer).to(sampler.x) for layer in initial_weights(sampler.x.shape[1], settings, seed)]
    points = [
        [layer.repeat(len(sampler.y), 1, 1).requires_grad_() for layer in start] for _ in settings.meta_rates
    ]  # each with a rate of its own
    groups = [{"params": layers, "lr": rate} for layers, rate in zip(points, settings.meta_rates, strict=True)]
    adam, rates = torch.optim.Adam(groups, fused=True), sampler.x.new_tensor(settings.inner_rates)
    for epoch in range(settings.n_epochs):
        adam.zero_grad()
        layers = [torch.stack(layer) for layer in zip(*points, strict=True)]
        outer_loss(layers, sampler.draw(epoch), rates, settings.n_steps).backward()
        adam.step()
    return [torch.stack(layer).detach().cpu().numpy() for layer in zip(*points, strict=True)]


def initial_weights(n_inputs: int, settings: Settings, seed: Sequence[int]) -> list[np.ndarray]:
    """Return random layers, uniform within +- 1 / sqrt(inputs), biases too, as torch.nn.Linear has them.

    `n_inputs` counts the constant 1. All perturbations and grid points start from these.
    """
    rng, H = np.random.default_rng([*seed, 0]), settings.n_hidden
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

    def __init__(self, x: Tensor, y: Tensor, known: Tensor, tissues: Tensor, settings: Settings, seed: Sequence[int]):
        self.x, self.y, self.settings, self.seed = x, y, settings, seed
        tissue, pooled = torch.arange(int(tissues.max()) + 1, device=x.device), without_tissue(known, tissues)[:, None]
        self.member = known[:, None] & (torch.where(pooled, 0, tissues)[:, None] == tissue[:, None])
        self.sizes = self.member.sum(2)
        self.usable = (self.sizes >= MIN_LABELS) | (pooled & (tissue == 0))

    def draw(self, epoch: int) -> Tasks:
        """Return the tasks of an epoch."""
        K, S, device = self.settings.n_shots, self.settings.n_tasks, self.x.device
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
