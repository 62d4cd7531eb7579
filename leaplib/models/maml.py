"""Model-agnostic meta-learning (MAML) of many small networks at once, with second-order gradients.

The networks are p - H - H - 1 with ReLU. A task is a support set and a query set from one tissue: the inner
loop takes gradient steps on the support, and the outer loss is the squared error on the query after them.
B perturbations at G grid points learn in step; the grid points of a perturbation share their tasks.

What makes it fast is that no matrix is ever copied for a task. A gradient step adds M'D to a matrix, M being
the inputs of its layer (the support) and D the moves of its outputs. So a changed layer gives new inputs V its
old answer plus (V M') D: a task's network is the initial one and what it remembers of its steps, and
the inner products V M' of a few samples stand in for the changed matrices. For the first layer, by far the
largest, these are inner products of the features, the same for all grid points. The inner gradient is
written out, so the outer one, through the inner steps, is a single backward pass.

All random numbers come from tables for the seed and the epoch which the perturbations share: what is drawn
for one does not depend on which others learn beside it.

From top to bottom: `meta_train` (the loop over epochs, in chunks of perturbations), `meta_loss`, `inner_loop`
and `fine_tuned`, `upper_layers`, and `TaskSampler` (what is drawn).

References
----------
Finn et al., Model-agnostic meta-learning, ICML 2017 (arXiv:1703.03400). Adam: Kingma and Ba, ICLR 2015.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from leaplib.base.device import side_by_side

MIN_LABELS = 4
"""Labelled samples that make a tissue a task: two for the support and two for the query, since the loss of a
single sample is little but its noise."""
HIDDEN_ELEMENTS = {"cpu": 400_000, "cuda": 8_000_000}
"""Size of a hidden layer of a chunk: on a CPU what a core's cache can hold, on a GPU what keeps it busy."""


class Weights(NamedTuple):
    """Networks of B perturbations at G grid points."""

    first: Tensor  # (B, p + 1, G * H): side by side, so grid points share one product; the last row is the bias
    second: Tensor  # (B * G, H, H)
    second_bias: Tensor  # (B * G, 1, H)
    third: Tensor  # (B * G, H, 1)
    third_bias: Tensor  # (B * G, 1, 1)


class Tasks(NamedTuple):
    """S tasks of each of B perturbations: K places for support samples, then K for query samples."""

    x: Tensor  # (B, S, 2 * K, p + 1); the last feature is 1
    y: Tensor  # (B, S, 2 * K)
    share: Tensor  # (B, S, 2 * K): 1 / (size of the support or of the query), 0 where the place is empty


class Step(NamedTuple):
    """What N tasks remember of a step: the inputs of layers 2 and 3 (the support), and the moves of their outputs.

    A move is minus the rate times the slope of the loss.
    """

    hidden: Tensor  # (N, K, H)
    hidden2: Tensor  # (N, K, H)
    move2: Tensor  # (N, K, H)
    move3: Tensor  # (N, K, 1)


@dataclass(frozen=True)
class Settings:
    """How networks learn.

    Parameters
    ----------
    meta_rates, inner_rates : tuple of float, G
        Rate of Adam and of the inner loop at each grid point.
    n_hidden, n_epochs, n_tasks, n_shots, n_steps : int
        As in `leaplib.models.PSTcrp`.
    """

    meta_rates: tuple[float, ...]
    inner_rates: tuple[float, ...]
    n_hidden: int
    n_epochs: int
    n_tasks: int
    n_shots: int
    n_steps: int

    def chunk(self, n: int, device: torch.device) -> int:
        """Return how many of n perturbations learn in step."""
        each = len(self.meta_rates) * self.n_tasks * self.n_shots * self.n_hidden
        return max(1, min(HIDDEN_ELEMENTS[device.type] // each, -(-n // workers(device))))


def workers(device: torch.device) -> int:
    """Return how many chunks learn at a time.

    On a CPU each has a core to itself: the products are too small to be worth dividing among cores.
    """
    return torch.get_num_threads() if device.type == "cpu" else 1


def meta_train(x: Tensor, y: Tensor, known: Tensor, tissues: Tensor, settings: Settings,
               seed: Sequence[int]) -> list[np.ndarray]:  # fmt: skip
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
        sampler = TaskSampler(x, y[part], known[part], tissues, settings, seed)
        return as_arrays(_learn(sampler, settings, seed))

    found = side_by_side(learn, parts, x.device)
    return [np.concatenate(arrays, axis=1) for arrays in zip(*found, strict=True)]


def _learn(sampler: "TaskSampler", settings: Settings, seed: Sequence[int]) -> Weights:
    """Return the initial weights that a chunk of perturbations has learnt."""
    weights = initial_weights(sampler.x, len(sampler.y), settings, seed)
    inner, meta = (sampler.x.new_tensor(rates) for rates in (settings.inner_rates, settings.meta_rates))
    adam = Adam(weights, meta)
    for epoch in range(settings.n_epochs):
        loss = meta_loss(weights, sampler.draw(epoch), inner, settings.n_steps)
        adam.step(torch.autograd.grad(loss.sum(), weights))
    return Weights(*(weight.detach() for weight in weights))


def initial_weights(x: Tensor, B: int, settings: Settings, seed: Sequence[int]) -> Weights:
    """Return random weights, the same for all perturbations and grid points.

    They are uniform within +- 1 / sqrt(inputs of the layer), biases too, as torch.nn.Linear has them.
    """
    rng, G, H = np.random.default_rng([*seed, 0]), len(settings.inner_rates), settings.n_hidden
    layers = []
    for n_in, n_out in ((x.shape[1] - 1, H), (H, H), (H, 1)):
        drawn = rng.uniform(-1, 1, (n_in + 1, n_out)) / np.sqrt(n_in)
        layers.append(torch.as_tensor(drawn, dtype=x.dtype, device=x.device))
    first, second, third = layers
    upper = [part.expand(B * G, -1, -1) for part in (second[:-1], second[-1:], third[:-1], third[-1:])]
    stacks = [first.repeat(1, G).expand(B, -1, -1), *upper]
    return Weights(*(stack.contiguous().requires_grad_() for stack in stacks))


def as_arrays(weights: Weights) -> list[np.ndarray]:
    """Return the matrices as `meta_train` does."""
    B, inputs, width = weights.first.shape
    H = weights.second.shape[1]
    first = weights.first.view(B, inputs, width // H, H).permute(2, 0, 1, 3)
    upper = [torch.cat(pair, dim=1).unflatten(0, (B, width // H)).transpose(0, 1)
             for pair in (weights[1:3], weights[3:])]  # fmt: skip
    return [np.ascontiguousarray(layer.cpu().numpy()) for layer in (first, *upper)]


def as_weights(layers: Sequence[np.ndarray]) -> Weights:
    """Return the weights from matrices as `meta_train` returns them."""
    first, second, third = (torch.from_numpy(layer).transpose(0, 1) for layer in layers)
    upper = [layer.flatten(0, 1) for layer in (second, third)]
    pairs = [part for layer in upper for part in (layer[:, :-1], layer[:, -1:])]
    return Weights(first.transpose(1, 2).flatten(2), *pairs)


class Adam:
    """Adam with a rate for each grid point.

    Its rate scales the way from the start, and nothing else: so torch's Adam walks at rate 1, and the weights
    are the start plus the rate times that way.
    """

    def __init__(self, weights: Weights, rates: Tensor):
        B, H = len(weights.first), weights.second.shape[1]
        wide, tall = rates.repeat_interleave(H), rates.repeat(B)[:, None, None]
        self.rates = [wide, *[tall] * (len(weights) - 1)]
        self.weights = [weight.detach() for weight in weights]  # the same memory, out of sight of autograd
        self.starts = [weight.clone() for weight in self.weights]
        self.ways = [torch.zeros_like(weight) for weight in self.weights]
        self.adam = torch.optim.Adam(self.ways, lr=1.0, fused=True)

    def step(self, slopes: Sequence[Tensor]) -> None:
        """Move the weights, in place."""
        for way, slope in zip(self.ways, slopes, strict=True):
            way.grad = slope
        self.adam.step()
        for weight, start, rate, way in zip(self.weights, self.starts, self.rates, self.ways, strict=True):
            torch.addcmul(start, rate, way, out=weight)


def meta_loss(weights: Weights, tasks: Tasks, rates: Tensor, n_steps: int) -> Tensor:
    """Return the outer loss of each network, B x G: the mean over tasks of the mean squared error on the query.

    Parameters
    ----------
    weights : Weights
    tasks : Tasks
    rates : Tensor, G
        Of the inner loop.
    n_steps : int
        Steps of the inner loop.
    """
    (B, S, R, _), K, G = tasks.x.shape, tasks.x.shape[2] // 2, len(rates)
    gram = tasks.x @ tasks.x[:, :, :K].mT
    gram = gram[:, None].expand(-1, G, -1, -1, -1)
    y, share = (values[:, None, :, :, None].expand(-1, G, -1, -1, -1) for values in (tasks.y, tasks.share))
    pull = share[:, :, :, :K] * (2 * rates[:, None, None, None])
    into, query = first_layer(weights, tasks.x).flatten(1, 3)
    moved, steps = inner_loop(weights, into, flat(gram[:, :, :, :K]), flat(y[:, :, :, :K]), flat(pull), n_steps)
    query = torch.baddbmm(query, flat(gram[:, :, :, K:]), moved)
    output = upper_layers(weights, query, steps)[2].view(B, G, S, R - K, 1)
    return (share[:, :, :, K:] * (output - y[:, :, :, K:]) ** 2).sum((2, 3, 4)) / S


def flat(values: Tensor) -> Tensor:
    """Return values of B x G x S tasks as one batch of N = B G S."""
    return values.flatten(0, 2)


def first_layer(weights: Weights, x: Tensor) -> Tensor:
    """Return what the first layer answers to support and query, 2 x B x G x S x K x H."""
    B, S, R, inputs = x.shape
    H = weights.second.shape[1]
    answers = torch.bmm(x.view(B, S * R, inputs), weights.first)
    return answers.view(B, S, 2, R // 2, -1, H).permute(2, 0, 4, 1, 3, 5).contiguous()


def inner_loop(weights: Weights, start: Tensor, gram: Tensor, y: Tensor, pull: Tensor,
               n_steps: int) -> tuple[Tensor, list[Step]]:  # fmt: skip
    """Take gradient steps on the support of each of N tasks.

    Parameters
    ----------
    weights : Weights
    start : Tensor, N x K x H
        What the first layer answers to the support samples before the first step.
    gram : Tensor, N x K x K
        Inner products of the support samples.
    y : Tensor, N x K x 1
    pull : Tensor, N x K x 1
        2 x inner rate x share: the step per unit of error.
    n_steps : int

    Returns
    -------
    moved : Tensor, N x K x H
        The steps added x'moved to the first matrix, x being the support samples.
    steps : list of Step
    """
    moved, into = torch.zeros_like(start), start
    steps: list[Step] = []
    for _ in range(n_steps):
        if steps:
            into = torch.baddbmm(start, gram, moved)
        hidden, hidden2, output = upper_layers(weights, into, steps)
        move3 = pull * (y - output)
        move2 = times(move3, weights.third.mT)
        for past in steps:
            move2 = move2 + move3 @ (past.move3.mT @ past.hidden2)
        move2 = move2 * active(hidden2)
        move1 = times(move2, weights.second.mT)
        for past in steps:
            move1 = move1 + (move2 @ past.move2.mT) @ past.hidden
        move1 = move1 * active(hidden)
        moved = moved + move1 if steps else move1
        steps.append(Step(hidden, hidden2, move2, move3))
    return moved, steps


def fine_tuned(weights: Weights, x: Tensor, y: Tensor, pull: Tensor, n_steps: int) -> Weights:
    """Return the weights after gradient steps on one support set of each perturbation.

    Parameters
    ----------
    weights : Weights
        B perturbations, G grid points.
    x : Tensor, K x (p + 1)
        The last feature is 1.
    y : Tensor, B x G x 1 x K x 1
    pull : Tensor, B x G x 1 x K x 1
        As in `inner_loop`.
    n_steps : int
    """
    B, G, H = *y.shape[:2], weights.second.shape[1]
    start = (x @ weights.first).view(B, -1, G, H).transpose(1, 2).flatten(0, 1)
    moved, steps = inner_loop(weights, start, (x @ x.T).expand(B * G, -1, -1), flat(y), flat(pull), n_steps)
    return Weights(
        weights.first + x.T @ moved.view(B, G, -1, H).transpose(1, 2).flatten(2),
        weights.second + sum(step.hidden.mT @ step.move2 for step in steps),
        weights.second_bias + sum(step.move2.sum(1, keepdim=True) for step in steps),
        weights.third + sum(step.hidden2.mT @ step.move3 for step in steps),
        weights.third_bias + sum(step.move3.sum(1, keepdim=True) for step in steps),
    )


def upper_layers(weights: Weights, into: Tensor, steps: Sequence[Step]) -> tuple[Tensor, Tensor, Tensor]:
    """Return both hidden layers (N x K x H) and the output (N x K x 1) of N tasks after their steps.

    `into` is what the first layer answers.
    """
    hidden = into.relu()
    into2 = times(hidden, weights.second, weights.second_bias)
    for past in steps:
        into2 = torch.baddbmm(into2, torch.bmm(hidden, past.hidden.mT).add_(1), past.move2)
    hidden2 = into2.relu()
    output = times(hidden2, weights.third, weights.third_bias)
    for past in steps:
        output = torch.baddbmm(output, torch.bmm(hidden2, past.hidden2.mT).add_(1), past.move3)
    return hidden, hidden2, output


def times(values: Tensor, matrix: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the product of each task's values with its network's matrix, plus a bias."""
    product = torch.bmm(values.reshape(len(matrix), -1, values.shape[2]), matrix)
    product = product if bias is None else product.add_(bias)
    return product.view(*values.shape[:2], -1)


def active(hidden: Tensor) -> Tensor:
    """Return 1 for the units that are on, else 0; where a unit goes on or off does not move with the weights."""
    return hidden.detach().sign()


class TaskSampler:
    """Draws the tasks of B perturbations.

    A tissue is usable for a perturbation with at least `MIN_LABELS` labelled samples there. An epoch goes
    through the usable tissues in random order, as often as it takes to fill the S tasks, so that each comes
    as often as any other, give or take one; each task draws its samples anew. The support takes K of the
    tissue's labelled samples, or half of them (rounded down) where these are fewer; the query up to K others.
    A perturbation without a usable tissue has all its labelled samples as the one tissue (`pooled`).
    """

    def __init__(self, x: Tensor, y: Tensor, known: Tensor, tissues: Tensor, settings: Settings,
                 seed: Sequence[int]):  # fmt: skip
        self.x, self.y, self.settings, self.seed = x, y, settings, seed
        tissue, pooled = torch.arange(int(tissues.max()) + 1, device=x.device)[:, None], without_tissue(known, tissues)
        own = torch.where(pooled[:, None], 0, tissues)
        member = known[:, None] & (own[:, None] == tissue)
        self.sizes = member.sum(2)
        self.usable = (self.sizes >= MIN_LABELS) | (pooled[:, None] & (tissue[:, 0] == 0))
        width, needed = int(self.sizes.max()), 2 * settings.n_shots
        members = (~member).to(torch.uint8).argsort(dim=2, stable=True)[:, :, :width]
        self.members = pad(members, (0, max(0, needed - members.shape[2])))

    def draw(self, epoch: int) -> Tasks:
        """Return the tasks of an epoch."""
        K, each = self.settings.n_shots, torch.arange(len(self.y), device=self.x.device)[:, None]
        tissue_keys, sample_keys = self._tables(epoch)
        order = tissue_keys.masked_fill(~self.usable, torch.inf).argsort(1)
        turn = torch.arange(self.settings.n_tasks, device=self.x.device) % self.usable.sum(1, keepdim=True)
        tissue = order.gather(1, turn)
        members, size = self.members[each, tissue], self.sizes.gather(1, tissue)[..., None]
        keys = sample_keys.expand(len(self.y), -1, -1).gather(2, members)
        keys.masked_fill_(torch.arange(members.shape[2], device=keys.device) >= size, torch.inf)
        drawn = members.gather(2, keys.topk(2 * K, dim=2, largest=False).indices)
        place, share = places(size, K)
        rows = drawn.gather(2, place)
        y = self.y.gather(1, rows.flatten(1)).view(rows.shape)
        return Tasks(self.x[rows], y, share.to(y.dtype))

    def _tables(self, epoch: int) -> tuple[Tensor, Tensor]:
        """Return random numbers: one a perturbation and tissue (equal for all perturbations), one a task and sample."""
        rng = np.random.default_rng([*self.seed, 1 + epoch])
        tables = rng.random(self.sizes.shape[1]), rng.random((self.settings.n_tasks, len(self.x)))
        by_tissue, by_sample = (torch.from_numpy(table).to(self.x.device) for table in tables)
        return by_tissue.expand(self.sizes.shape), by_sample


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
