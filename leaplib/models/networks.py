"""PP-tDNN and PP-MLP: one neural network for all pairs of a cell line and a perturbation.

In both, the features of the line and the principal components of the perturbation's fingerprint go through a
subnetwork each (PP-MLP has none), and what comes out, side by side, through common layers to one number. A line
belongs to as many pairs as there are perturbations, so nothing is computed a pair before the two meet: a step
runs the subnetworks once a line and once a perturbation, and so the two halves of the first common layer, since
a linear layer of two vectors side by side is the sum of a linear layer of each. The pairs of the batch then add
up the rows that they need. Without dropout that is exact. With it, the pairs of a batch share the dropout of
their line and of their perturbation in the subnetworks: each pair alone sees what it would see otherwise, and
the gradient has the same expectation.

From bottom to top: `PPTdnn` and `PPMlp` (what users see), `PairModels` (what is kept of them), `train` (the loop
over epochs), `Schedule` (learning rate and early stopping), `Network` (the forward pass) and `Sizes`.

References
----------
LEAP: arXiv:2502.15646, Methods, "Regression algorithms". tDNN: Xia et al., Briefings in Bioinformatics 2022.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.preprocessing import RobustScaler
from torch import Tensor

from leaplib.base.device import resolve_device, resolve_precision, side_by_side
from leaplib.base.errors import InputError
from leaplib.base.progress import progress
from leaplib.cohorts.splits import N_FOLDS
from leaplib.models.base import Training
from leaplib.models.pairs import fingerprint_components, require_fingerprints
from leaplib.models.tuning import FoldModel, Tuned, fold_numbers

HELD_OUT = 0.1  # share of the lines that training is watched on
BLOCK = 2**12  # pairs that go through the common layers at a time: their units stay in the cache, memory small

Loss = Callable[[Tensor, Tensor], Tensor]


def squared_error(prediction: Tensor, label: Tensor) -> Tensor:
    """Return the mean squared error over pairs."""
    return (prediction - label).square().mean()


def one_minus_pearson(prediction: Tensor, label: Tensor) -> Tensor:
    """Return 1 - Pearson's correlation over pairs; 1 for a constant prediction."""
    prediction, label = prediction - prediction.mean(), label - label.mean()
    return 1 - (prediction @ label) / (prediction.norm() * label.norm()).clamp_min(1e-12)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: see `PPTdnn` and `PPMlp` for the meaning of the fields."""

    loss: Loss
    dropout: float
    learning_rate: float
    batch_size: int
    max_epochs: int
    patience: int
    min_delta: float
    cut_after: int | None = None
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Sizes:
    """Units of a network's layers.

    Parameters
    ----------
    inputs : (int, int)
        Features of a line, components of a perturbation.
    towers : tuple of int
        Hidden layers of each of the two subnetworks; none: the inputs go to the common layers as they are.
    joint : tuple of int
        Common hidden layers.
    """

    inputs: tuple[int, int]
    towers: tuple[int, ...]
    joint: tuple[int, ...]

    @property
    def ends(self) -> tuple[int, int]:
        """Units of the line and of the perturbation where they meet."""
        return (self.towers[-1], self.towers[-1]) if self.towers else self.inputs

    @property
    def layers(self) -> list[tuple[int, int]]:
        """Inputs and outputs of each layer: both subnetworks, then the common layers."""
        towers = [layer for n_inputs in self.inputs for layer in pairwise((n_inputs, *self.towers))]
        return [*towers, *pairwise((sum(self.ends), *self.joint, 1))]

    def cut(self, vector: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the layers' weights (inputs x outputs) and biases, views of a vector that holds them all."""
        parts = iter(vector.split([n for n_in, n_out in self.layers for n in (n_in * n_out, n_out)]))
        return [(next(parts).view(layer), next(parts)) for layer in self.layers]

    def draw(self, stream: torch.Generator) -> Tensor:
        """Return random initial weights in one vector, uniform in +-1 / sqrt(inputs of the layer)."""
        drawn = [(2 * torch.rand((n_in + 1) * n_out, generator=stream) - 1) / math.sqrt(n_in)
                 for n_in, n_out in self.layers]  # fmt: skip
        return torch.cat(drawn)


class Network:
    """The forward pass of a network with given weights.

    Parameters
    ----------
    sizes : Sizes
    layers : list of (Tensor, Tensor)
        As from `Sizes.cut`.
    precision : dtype
        Of the matrix products; sums over pairs and the output layer are in the weights' own precision.
    dropout : float
        Share of the units set to 0 after each hidden layer but the last, resolved to 1/256.
    stream : Generator, optional
        Of the dropout.
    """

    def __init__(self, sizes: Sizes, layers: list[tuple[Tensor, Tensor]], precision: torch.dtype | None = None,
                 dropout: float = 0.0, stream: torch.Generator | None = None):  # fmt: skip
        self.sizes, self.layers, self.stream = sizes, layers, stream
        self.precision = layers[0][0].dtype if precision is None else precision
        self.threshold = round(256 * dropout)
        self.scale = 256 / (256 - self.threshold)  # of what follows a layer with dropout

    def halves(self, lines: Tensor, components: Tensor) -> tuple[Tensor, Tensor]:
        """Return what lines (n x units) and perturbations (L x units) add to the first common layer."""
        n_hidden = len(self.sizes.towers)
        weight, bias = self.layers[2 * n_hidden]
        line = self._tower(lines, self.layers[:n_hidden])
        perturbation = self._tower(components, self.layers[n_hidden : 2 * n_hidden])
        ours, theirs = weight.to(self.precision).split(self.sizes.ends)
        scale = self.scale if n_hidden else 1.0
        # Gradients of a row sum over its pairs, hence the better precision.
        return (line @ ours).to(bias.dtype) * scale, (perturbation @ theirs).to(bias.dtype) * scale + bias

    def output(self, sums: Tensor) -> Tensor:
        """Return the output for pairs, given the first common layer's sums (pairs x units), which are overwritten."""
        *hidden, (weight, bias) = self.layers[2 * len(self.sizes.towers) + 1 :]
        units = sums.to(self.precision)
        for layer in hidden:
            units = self._linear(self._drop(units).relu_(), *layer, self.scale)
        return (units.relu_().to(bias.dtype) @ weight + bias)[:, 0]

    def _tower(self, inputs: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
        units, scale = inputs.to(self.precision), 1.0
        for layer in layers:
            units, scale = self._drop(self._linear(units, *layer, scale)).relu_(), self.scale
        return units

    def _linear(self, inputs: Tensor, weight: Tensor, bias: Tensor, scale: float) -> Tensor:
        return torch.addmm(bias.to(self.precision), inputs, weight.to(self.precision), alpha=scale)

    def _drop(self, units: Tensor) -> Tensor:
        """Set units to 0 at random before their ReLU, which then passes nothing of them, neither forth nor back."""
        if self.threshold:
            words = torch.empty(-(-units.numel() // 8), dtype=torch.int64, device=units.device)
            words.random_(-(2**63), None, generator=self.stream)
            kept = words.view(torch.uint8)[: units.numel()] >= self.threshold
            # As bytes: converting from bool is far slower. Detached: a product that autograd knows costs another.
            units.detach().mul_(kept.view(torch.uint8).view(units.shape).to(units.dtype))
        return units


def pick(rows: Tensor, index: Tensor) -> Tensor:
    """Return rows by number; of two equal ways, the one whose gradient is summed in a fixed order."""
    return rows.index_select(0, index) if rows.device.type == "cpu" else rows[index]


@dataclass
class Pairs:
    """Measured pairs, by number of line and of perturbation in their tables."""

    lines: Tensor  # n x features
    components: Tensor  # L x components
    line: Tensor
    perturbation: Tensor
    label: Tensor

    @classmethod
    def measured(cls, lines: Tensor, components: Tensor, labels: Tensor) -> "Pairs":
        """Return all pairs that have a label (n x L, NaN where not measured)."""
        line, perturbation = torch.nonzero(~labels.isnan(), as_tuple=True)
        return cls(lines, components, line, perturbation, labels[line, perturbation])

    def part(self, chosen: Tensor) -> "Pairs":
        """Return some of the pairs."""
        return replace(self, line=self.line[chosen], perturbation=self.perturbation[chosen], label=self.label[chosen])

    def batches(self, size: int, stream: torch.Generator) -> list["Pairs"]:
        """Cut the pairs, in random order, into the fewest batches of at most `size` that are (all but) equal."""
        order = torch.randperm(len(self.label), generator=stream, device=stream.device)
        return [self.part(chosen) for chosen in order.tensor_split(math.ceil(len(order) / size))]

    def predict(self, network: Network) -> Tensor:
        """Return a network's output for these pairs."""
        lines, perturbations = network.halves(self.lines, self.components)
        numbers = zip(self.line.split(BLOCK), self.perturbation.split(BLOCK), strict=True)
        return torch.cat([network.output(pick(lines, i) + pick(perturbations, j)) for i, j in numbers])


@dataclass
class Schedule:
    """Learning rate and early stopping, from the losses on the lines held out.

    An epoch is flat when its loss is not more than `min_delta` below the best so far.

    Parameters
    ----------
    rate : float
        Learning rate; divided by 10 after every `cut_after` flat epochs in a row (None: never).
    patience : int
        Flat epochs in a row that end the training.
    """

    rate: float
    patience: int
    min_delta: float
    cut_after: int | None = None
    best: float = math.inf
    flat: int = 0

    @property
    def over(self) -> bool:
        """Whether training ends."""
        return self.flat >= self.patience

    def note(self, loss: float) -> None:
        """Note the loss of an epoch."""
        if loss < self.best - self.min_delta:
            self.best, self.flat = loss, 0
            return
        self.flat += 1
        if self.cut_after and self.flat % self.cut_after == 0:
            self.rate /= 10


class Learner:
    """A network in training: its weights, one vector for Adam, and their gradient, another."""

    def __init__(self, recipe: Recipe, sizes: Sizes, vector: Tensor, precision: torch.dtype,
                 stream: torch.Generator | None = None):  # fmt: skip
        self.loss, self.vector, self.gradient = recipe.loss, vector, torch.zeros_like(vector)
        layers = sizes.cut(vector)
        for layer, slope in zip(layers, sizes.cut(self.gradient), strict=True):
            for part, grad in zip(layer, slope, strict=True):
                part.requires_grad_().grad = grad
        self.network = Network(sizes, layers, precision, recipe.dropout, stream)
        self.still = Network(sizes, sizes.cut(vector))
        vector.grad = self.gradient
        self.adam = torch.optim.Adam([vector], weight_decay=recipe.weight_decay, fused=True)

    def learn(self, batch: Pairs, rate: float) -> None:
        """Let Adam take one step."""
        self.gradient.zero_()
        self.loss(batch.predict(self.network), batch.label).backward()
        self.adam.param_groups[0]["lr"] = rate
        self.adam.step()

    def loss_on(self, pairs: Pairs) -> float:
        """Return the loss without dropout, in full precision."""
        with torch.no_grad():
            return float(self.loss(pairs.predict(self.still), pairs.label))


def train(recipe: Recipe, sizes: Sizes, fitted: Pairs, held: Pairs, seed: Sequence[int],
          precision: torch.dtype) -> Tensor:  # fmt: skip
    """Train one network.

    Parameters
    ----------
    recipe, sizes : Recipe, Sizes
    fitted : Pairs
        Of the lines to train on.
    held : Pairs
        Of the lines that training is watched on.
    seed : sequence of int
    precision : dtype
        Of matrix products in training.

    Returns
    -------
    Tensor
        All weights, as of the end of training.
    """
    device = fitted.label.device
    stream = _stream(seed, "batches", device)
    learner = Learner(recipe, sizes, sizes.draw(_stream(seed, "weights")).to(device), precision, stream)
    schedule = Schedule(recipe.learning_rate, recipe.patience, recipe.min_delta, recipe.cut_after)
    for _ in range(recipe.max_epochs):
        for batch in fitted.batches(recipe.batch_size, stream):
            learner.learn(batch, schedule.rate)
        schedule.note(learner.loss_on(held))
        if schedule.over:
            break
    return learner.vector.detach().cpu()


def held_out_lines(labels: np.ndarray, seed: Sequence[int]) -> np.ndarray:
    """Choose the lines that training is watched on: a mask, true for a tenth of the lines that have labels.

    Whole lines, since the question is how well a network does on unseen lines; pairs of lines that it is
    trained on would tell nothing of that.
    """
    labelled = np.flatnonzero(~np.isnan(labels).all(axis=1))
    if len(labelled) < 2:
        raise InputError(f"{len(labelled)} training sample(s) with labels: a neural network needs at least 2")
    order = torch.randperm(len(labelled), generator=_stream(seed, "held out")).numpy()
    held = np.zeros(len(labels), dtype=bool)
    held[labelled[order[: max(1, round(HELD_OUT * len(labelled)))]]] = True
    return held


def _stream(seed: Sequence[int], purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return the random stream of one seed for one purpose."""
    number = ("held out", "weights", "batches").index(purpose)
    mixed = np.random.SeedSequence([*seed, number]).generate_state(1)[0]
    return torch.Generator(device).manual_seed(int(mixed))


def _tensor(values: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """Return values as a float32 tensor."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(device)


@dataclass
class PairModels(FoldModel):
    """Networks at G grid points, and what turns features into their input and their output into labels."""

    weights: np.ndarray  # (G, all weights of a network)
    towers: np.ndarray  # units of the hidden layers of a subnetwork
    joint: np.ndarray  # units of the common hidden layers
    components: np.ndarray  # (L, c): the perturbations, as the networks take them
    centre: np.ndarray  # (p,): taken off the features
    scale: np.ndarray  # (p,): the features are divided by it
    unit: np.ndarray  # (2,): label = unit[0] + unit[1] x output

    @property
    def sizes(self) -> Sizes:
        """Units of the networks' layers."""
        inputs = len(self.centre), self.components.shape[1]
        return Sizes(inputs, tuple(self.towers.tolist()), tuple(self.joint.tolist()))

    def pairs(self, data: Training, device: torch.device) -> Pairs:
        """Return the measured pairs, as the networks are trained on them."""
        lines, labels = (data.X - self.centre) / self.scale, (data.Y - self.unit[0]) / self.unit[1]
        return Pairs.measured(*(_tensor(values, device) for values in (lines, self.components, labels)))

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return predictions, G x samples x perturbations; on the CPU, wherever the networks were trained."""
        lines, components = _tensor((X - self.centre) / self.scale), _tensor(self.components)
        with torch.no_grad():
            output = [self._output(vector, lines, components) for vector in torch.from_numpy(self.weights)]
        return self.unit[0] + self.unit[1] * torch.stack(output).numpy()

    def _output(self, vector: Tensor, lines: Tensor, components: Tensor) -> Tensor:
        """Return the output of one network for all pairs, some lines at a time."""
        network = Network(self.sizes, self.sizes.cut(vector))
        line, perturbation = network.halves(lines, components)
        some = max(1, BLOCK // len(components))
        parts = [network.output((rows[:, None] + perturbation).flatten(0, 1)) for rows in line.split(some)]
        return torch.cat(parts).view(len(lines), -1)

    def keep(self, points: np.ndarray) -> "PairModels":
        """Return the network at one grid point, the same for all perturbations."""
        return replace(self, weights=self.weights[points[:1]])


class _PairRegressor(Tuned):
    """What the two models share. They say how networks are built (`_widths`) and trained (`_recipe`)."""

    fold_model: ClassVar = PairModels
    pan_perturbation: ClassVar = True
    max_epochs: int
    title: ClassVar[str]
    scale_inputs: ClassVar[bool]
    scale_labels: ClassVar[bool]

    def work(self, n_train: int, n_pairs: int, n_test: int, n_perturbations: int) -> float:
        """Return pairs x epochs x thousands of weights between hidden layers, in millions, over folds and points."""
        weights = sum(a * b for a, b in pairwise(width for part in self._widths() for width in part))
        return n_pairs * self.max_epochs * len(self.points()) * N_FOLDS * weights / 1e9

    def _widths(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the hidden units of each subnetwork and of the common layers."""
        raise NotImplementedError

    def _recipe(self, point: dict[str, Any]) -> Recipe:
        """Return how a network is trained at one grid point."""
        raise NotImplementedError

    def _fit_folds(self, data: Training, folds: np.ndarray) -> list[FoldModel]:
        """Fit the folds side by side: the networks are too small to share one among cores."""
        numbers, device = fold_numbers(folds), resolve_device(self.device)
        return side_by_side(lambda k: self._fit_fold(data.rows(folds != k), k), numbers, device)

    def _fit_fold(self, data: Training, fold: int) -> PairModels:
        device, seed = resolve_device(self.device), (self.random_state, fold)
        held = held_out_lines(data.Y, seed)
        model = self._untrained(data, data.Y[~held])
        fitted, watched = (model.pairs(data.rows(rows), device) for rows in (~held, held))
        precision = resolve_precision(self.precision, device)
        points = progress(self.points(), f"{self.title}, fold {fold}")
        weights = [train(self._recipe(point), model.sizes, fitted, watched, seed, precision) for point in points]
        return replace(model, weights=torch.stack(weights).numpy())

    def _untrained(self, data: Training, labels: np.ndarray) -> PairModels:
        """Return a fold model that has all but its networks, with the labels' unit."""
        components = fingerprint_components(require_fingerprints(data, self.title), self.n_components)
        centre, scale = np.zeros(data.X.shape[1]), np.ones(data.X.shape[1])
        if self.scale_inputs:
            scaler = RobustScaler().fit(data.X)
            centre, scale = scaler.center_, scaler.scale_
            components = RobustScaler().fit_transform(components)
        unit = (np.nanmean(labels), np.nanstd(labels) or 1.0) if self.scale_labels else (0.0, 1.0)
        towers, joint = (np.array(widths, dtype=np.int64) for widths in self._widths())
        return PairModels(np.empty((0, 0)), towers, joint, components, centre, scale, np.array(unit))


class PPTdnn(_PairRegressor):
    """PP-tDNN: a subnetwork of the line and one of the perturbation, joined (Xia et al. 2022).

    Each subnetwork has 1000, 500 and 250 units, the common layers 250, 125, 60 and 30; ReLU; dropout after each
    hidden layer but the last; mean squared error. Labels are brought to mean 0 and SD 1 (over all pairs) for
    training, so that the learning rate and `min_delta` mean the same whatever they are measured in; predictions
    are in the units of the labels.

    Parameters
    ----------
    n_components : int
        Principal components of the fingerprints.
    learning_rate : float
        Of Adam, at first; divided by 10 after every 10 flat epochs.
    batch_size : int
        Largest batch, in measured pairs of a line and a perturbation, drawn at random. Not in the paper; on drug
        responses 1,024 scored alike, within 0.01 in Spearman's correlation, for two and a half times the work.
    max_epochs, patience, min_delta : int, int, float
        Training ends after `max_epochs`, or `patience` epochs after the loss on a tenth of the training lines,
        held out, last fell by more than `min_delta`. The weights are those of the end, not of the best epoch: the
        loss is mostly about differences between perturbations, and is flat long before the order of the lines
        within a perturbation is learned (80 drugs of task 2a, cross-validated Spearman within drugs: 0.245 at the
        best epoch, 0.269 at the end; PP-MLP 0.253 and 0.281).
    grid : mapping, optional
        Values of `dropout` to try; by default the paper's.
    towers, joint : sequence of int
        Units of the hidden layers of each subnetwork, and of the common ones.
    random_state : int
        Seed of the lines held out, initial weights, batches and dropout, and of the folds when `fit` is not
        given any.
    precision : {"auto", "float32", "bfloat16"}
        Of matrix products in training, but for the output layer; weights, sums, loss and prediction are in
        float32. "auto" is bfloat16 on CUDA and on CPUs with matrix units for it (AMX), else float32.
    device : {"auto", "cpu", "cuda"}
    """

    title: ClassVar = "PP-tDNN"
    scale_inputs: ClassVar = False
    scale_labels: ClassVar = True
    default_grid: ClassVar = {"dropout": (0, 0.1, 0.25, 0.45, 0.7)}

    def __init__(self, n_components: int = 500, learning_rate: float = 1e-3, batch_size: int = 4096,
                 max_epochs: int = 100, patience: int = 20, min_delta: float = 1e-5,
                 grid: Mapping[str, Sequence[float]] | None = None, towers: Sequence[int] = (1000, 500, 250),
                 joint: Sequence[int] = (250, 125, 60, 30), random_state: int = 0, precision: str = "auto",
                 device: str = "auto"):  # fmt: skip
        self.n_components = n_components
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.min_delta = min_delta
        self.grid = grid
        self.towers = towers
        self.joint = joint
        self.random_state = random_state
        self.precision = precision
        self.device = device

    def _widths(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return tuple(self.towers), tuple(self.joint)

    def _recipe(self, point: dict[str, Any]) -> Recipe:
        return Recipe(squared_error, point["dropout"], self.learning_rate, self.batch_size, self.max_epochs,
                      self.patience, self.min_delta, cut_after=10)  # fmt: skip


class PPMlp(_PairRegressor):
    """PP-MLP: a plain network of features and components side by side, trained to correlate.

    Hidden layers of 512, 256, 128, 64, 32 and 16 units; ReLU; dropout after each but the last; inputs scaled
    robustly (median 0, interquartile range 1). The loss is 1 - Pearson's correlation over the pairs of a batch,
    to which location and scale of the output are all the same: predictions are right in their order, not in
    their units, and their mean squared error says nothing. That is so in the paper, and nothing is mended
    here. The mean over fold models is one of such outputs.

    Parameters
    ----------
    n_components : int
        Principal components of the fingerprints.
    dropout : float
    weight_decay : float
        Of Adam.
    max_epochs, patience, min_delta : int, int, float
        As in `PPTdnn`.
    grid : mapping, optional
        Values of `learning_rate` and `batch_size` (measured pairs of a line and a perturbation, at most) to
        try; by default the paper's.
    hidden : sequence of int
        Units of the hidden layers.
    random_state : int
        As in `PPTdnn`.
    precision : {"auto", "float32", "bfloat16"}
        Of matrix products in training, but for the output layer; weights, sums, loss and prediction are in
        float32. "auto" is bfloat16 on CUDA and on CPUs with matrix units for it (AMX), else float32.
    device : {"auto", "cpu", "cuda"}
    """

    title: ClassVar = "PP-MLP"
    scale_inputs: ClassVar = True
    scale_labels: ClassVar = False
    default_grid: ClassVar = {"learning_rate": (5e-4, 1e-3, 2e-3, 5e-3, 1e-2), "batch_size": (2048, 8192)}

    def __init__(self, n_components: int = 500, dropout: float = 0.2, weight_decay: float = 1e-5,
                 max_epochs: int = 200, patience: int = 20, min_delta: float = 1e-3,
                 grid: Mapping[str, Sequence[float]] | None = None, hidden: Sequence[int] = (512, 256, 128, 64, 32, 16),
                 random_state: int = 0, precision: str = "auto",
                 device: str = "auto"):  # fmt: skip
        self.n_components = n_components
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.patience = patience
        self.min_delta = min_delta
        self.grid = grid
        self.hidden = hidden
        self.random_state = random_state
        self.precision = precision
        self.device = device

    def _widths(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (), tuple(self.hidden)

    def _recipe(self, point: dict[str, Any]) -> Recipe:
        return Recipe(one_minus_pearson, self.dropout, point["learning_rate"], point["batch_size"], self.max_epochs,
                      self.patience, self.min_delta, weight_decay=self.weight_decay)  # fmt: skip
