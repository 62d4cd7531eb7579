"""PP-tDNN and PP-MLP: one neural network for all pairs of a cell line and a perturbation.

In both, the features of the line and the principal components of the perturbation's fingerprint go through a
subnetwork each (PP-MLP has none), and what comes out, side by side, through common layers to one number. A line
belongs to as many pairs as there are perturbations, so nothing is computed a pair before the two meet: a step
runs the subnetworks once a line and once a perturbation, and so the two halves of the first common layer, since
a linear layer of two vectors side by side is the sum of a linear layer of each. The pairs of the batch then add
up the rows that they need. Without dropout that is exact. With it, the pairs of a batch share the dropout of
their line and of their perturbation in the subnetworks: each pair alone sees what it would see otherwise, and
the gradient has the same expectation.

From top to bottom: `Network` (the forward pass), `Pairs` (what it is trained on), `Schedule` (learning rate and early
stopping), `train` (the loop over epochs), `PairModels` (what is kept) and `PPTdnn` and `PPMlp` (what users see).

References
----------
LEAP: arXiv:2502.15646, Methods, "Regression algorithms". tDNN: Xia et al., Briefings in Bioinformatics 2022.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.preprocessing import RobustScaler
from torch import Tensor, nn
from torch.nn.functional import embedding, linear, mse_loss
from torch.nn.utils import parameters_to_vector, skip_init, vector_to_parameters

from leaplib.base.compute import progress, resolve_device, resolve_precision, side_by_side
from leaplib.base.errors import InputError
from leaplib.cohorts.splits import N_FOLDS
from leaplib.models.base import Training
from leaplib.models.tuning import FoldModel, Tuned, fold_numbers

HELD_OUT = 0.1  # share of the lines that training is watched on
BLOCK = 2**12  # pairs that go through the common layers at a time: their units stay in the cache, memory small


def one_minus_pearson(prediction: Tensor, label: Tensor) -> Tensor:
    """Return 1 - Pearson's correlation over pairs; 1 for a constant prediction."""
    prediction, label = prediction - prediction.mean(), label - label.mean()
    return 1 - (prediction @ label) / (prediction.norm() * label.norm()).clamp_min(1e-12)


def untrained(*widths: int) -> list[nn.Linear]:
    """Return layers whose weights are yet to be drawn."""
    return [skip_init(nn.Linear, n_in, n_out) for n_in, n_out in pairwise(widths)]


class Network(nn.Module):
    """A network of pairs, with random weights uniform in +-1 / sqrt(inputs of the layer), as torch's layers have them.

    Parameters
    ----------
    inputs : (int, int)
        Features of a line, components of a perturbation.
    towers : sequence of int
        Hidden layers of each of the two subnetworks; none: the inputs go to the common layers as they are.
    joint : sequence of int
        Common hidden layers.
    stream : Generator
        Of the weights.
    """

    threshold: int = 0  # of 256: the share of the units that are dropped
    stream: torch.Generator | None = None

    def __init__(self, inputs: tuple[int, int], towers: Sequence[int], joint: Sequence[int], stream: torch.Generator):
        super().__init__()
        self.ends = (towers[-1], towers[-1]) if towers else inputs
        line, perturbation = (untrained(n_inputs, *towers) for n_inputs in inputs)
        self.first, *hidden, self.last = untrained(sum(self.ends), *joint, 1)
        self.line, self.perturbation, self.hidden = map(nn.ModuleList, (line, perturbation, hidden))
        for layer in (*line, *perturbation, self.first, *hidden, self.last):
            for values in (layer.weight.data.T, layer.bias.data):
                drawn = 2 * torch.rand(values.shape, generator=stream) - 1
                values.copy_(drawn / math.sqrt(layer.in_features))

    def set_dropout(self, share: float, stream: torch.Generator) -> None:
        """Set a share of the units, resolved to 1/256, to 0 after each hidden layer but the last, while training."""
        self.threshold, self.stream = round(256 * share), stream

    def halves(self, lines: Tensor, components: Tensor) -> tuple[Tensor, Tensor]:
        """Return what lines (n x units) and perturbations (L x units) add to the first common layer."""
        line, perturbation = self._through(self.line, lines), self._through(self.perturbation, components)
        ours, theirs = self.first.weight.split(self.ends, dim=1)
        bias = self.first.bias
        # Gradients of a row sum over its pairs, hence not in half precision.
        return linear(line, ours).to(bias.dtype), linear(perturbation, theirs).to(bias.dtype) + bias

    def output(self, sums: Tensor) -> Tensor:
        """Return the output for pairs, given the first common layer's sums (pairs x units)."""
        for layer in self.hidden:
            sums = layer(self.drop(sums).relu())
        with torch.autocast(sums.device.type, enabled=False):
            return self.last(sums.relu().to(self.last.weight.dtype))[:, 0]

    def _through(self, layers: nn.ModuleList, units: Tensor) -> Tensor:
        for layer in layers:
            units = self.drop(layer(units)).relu()
        return units

    def drop(self, units: Tensor) -> Tensor:
        """Set units to 0 at random, while training, and scale the others up."""
        if not self.training or not self.threshold:
            return units
        words = torch.empty(-(-units.numel() // 8), dtype=torch.int64, device=units.device)
        words.random_(-(2**63), None, generator=self.stream)  # 8 bytes at a time: far faster than one by one
        kept = words.view(torch.uint8)[: units.numel()].view(units.shape) >= self.threshold
        return units * (256 / (256 - self.threshold)) * kept.view(torch.uint8).to(units.dtype)


@dataclass
class Pairs:
    """Pairs, by number of line and of perturbation in their tables."""

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

    def batches(self, size: int, stream: torch.Generator) -> list["Pairs"]:
        """Cut the pairs, in random order, into the fewest batches of at most `size` that are (all but) equal."""
        order = torch.randperm(len(self.label), generator=stream, device=stream.device)
        parts = order.tensor_split(math.ceil(len(order) / size))
        return [
            replace(self, line=self.line[part], perturbation=self.perturbation[part], label=self.label[part])
            for part in parts
        ]

    def predict(self, network: Network) -> Tensor:
        """Return a network's output for these pairs."""
        lines, perturbations = network.halves(self.lines, self.components)
        numbers = zip(self.line.split(BLOCK), self.perturbation.split(BLOCK), strict=True)
        return torch.cat([network.output(embedding(i, lines) + embedding(j, perturbations)) for i, j in numbers])


@dataclass
class Schedule:
    """Learning rate and early stopping, from the losses on the lines held out.

    An epoch is flat when its loss is not more than `min_delta` below the best so far. The rate is divided by 10 after
    every `cut_after` flat epochs in a row (None: never), and `patience` of them end the training.
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


def train(
    network: Network, how: SimpleNamespace, fitted: Pairs, held: Pairs, precision: torch.dtype, stream: torch.Generator
) -> None:
    """Train one network on pairs, watched on those of other lines; it stays as it is at the end of training.

    Parameters
    ----------
    network : Network
    how : SimpleNamespace
        loss, dropout, learning_rate, batch_size, max_epochs, patience, min_delta, cut_after and weight_decay: see
        `PPTdnn` and `PPMlp`.
    fitted, held : Pairs
    precision : dtype
        Of matrix products in training, but for the output layer.
    stream : Generator
        Of batches and dropout.
    """
    network.set_dropout(how.dropout, stream)
    adam = torch.optim.Adam(network.parameters(), weight_decay=how.weight_decay, fused=True)
    schedule = Schedule(how.learning_rate, how.patience, how.min_delta, how.cut_after)
    mixed = torch.autocast(stream.device.type, precision, enabled=precision == torch.bfloat16)
    for _ in range(how.max_epochs):
        for group in adam.param_groups:
            group["lr"] = schedule.rate
        for batch in fitted.batches(how.batch_size, stream):
            adam.zero_grad()
            with mixed:
                output = batch.predict(network)
            how.loss(output, batch.label).backward()
            adam.step()
        schedule.note(loss_on(held, network, how))
        if schedule.over:
            break


def loss_on(pairs: Pairs, network: Network, how: SimpleNamespace) -> float:
    """Return the loss without dropout, in full precision."""
    network.eval()
    with torch.no_grad():
        loss = how.loss(pairs.predict(network), pairs.label)
    network.train()
    return float(loss)


def held_out_lines(labels: np.ndarray, seed: Sequence[int]) -> np.ndarray:
    """Choose the lines that training is watched on: a mask, true for a tenth of the lines that have labels.

    Whole lines, since the question is how well a network does on unseen lines; pairs of lines that it is
    trained on would tell nothing of that.
    """
    labelled = np.flatnonzero(~np.isnan(labels).all(axis=1))
    if len(labelled) < 2:
        raise InputError(f"{len(labelled)} training sample(s) with labels: a neural network needs at least 2")
    order = torch.randperm(len(labelled), generator=stream_of(seed, "held out")).numpy()
    held = np.zeros(len(labels), dtype=bool)
    held[labelled[order[: max(1, round(HELD_OUT * len(labelled)))]]] = True
    return held


def stream_of(seed: Sequence[int], purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return the random stream of one seed for one purpose."""
    number = ("held out", "weights", "batches").index(purpose)
    mixed = np.random.SeedSequence([*seed, number]).generate_state(1)[0]
    return torch.Generator(device).manual_seed(int(mixed))


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

    def network(self, seed: Sequence[int] = (0,)) -> Network:
        """Return a network as those kept, with random weights."""
        inputs = len(self.centre), self.components.shape[1]
        return Network(inputs, self.towers.tolist(), self.joint.tolist(), stream_of(seed, "weights"))

    def pairs(self, X: np.ndarray, Y: np.ndarray, device: torch.device | str = "cpu") -> Pairs:
        """Return the measured pairs, as the networks take them."""
        arrays = (X - self.centre) / self.scale, self.components, (Y - self.unit[0]) / self.unit[1]
        return Pairs.measured(*(torch.tensor(values, dtype=torch.float32, device=device) for values in arrays))

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return predictions, G x samples x perturbations; on the CPU, wherever the networks were trained."""
        shape = len(X), len(self.components)
        pairs, network, output = self.pairs(X, np.zeros(shape)), self.network().eval(), []
        with torch.no_grad():
            for vector in torch.from_numpy(self.weights):
                vector_to_parameters(vector, network.parameters())
                output.append(pairs.predict(network))
        return self.unit[0] + self.unit[1] * torch.stack(output).view(-1, *shape).numpy()

    def keep(self, points: np.ndarray) -> "PairModels":
        """Return the network at one grid point, the same for all perturbations."""
        return replace(self, weights=self.weights[points[:1]])


class PairRegressor(Tuned):
    """What the two models share. They say how wide the layers are (`_widths`) and how they are trained."""

    fold_model: ClassVar = PairModels
    pan_perturbation: ClassVar = True
    title: ClassVar[str]
    loss: Callable[[Tensor, Tensor], Tensor]
    cut_after: ClassVar[int | None] = None
    scale_inputs: ClassVar[bool] = False
    scale_labels: ClassVar[bool] = False

    def _widths(self) -> tuple[Sequence[int], Sequence[int]]:
        """Return the hidden units of each subnetwork and of the common layers."""
        raise NotImplementedError

    def how(self, point: Mapping[str, Any]) -> SimpleNamespace:
        """Return how a network is trained at one grid point."""
        own = {"weight_decay": 0.0, "loss": self.loss, "cut_after": self.cut_after}
        return SimpleNamespace(**{**own, **self.get_params(), **point})

    def work(self, n_train: int, n_pairs: int, n_test: int, n_perturbations: int) -> float:
        """Return pairs x epochs x thousands of weights between hidden layers, in millions, over folds and points."""
        weights = sum(a * b for a, b in pairwise(width for part in self._widths() for width in part))
        return n_pairs * self.max_epochs * len(self.points()) * N_FOLDS * weights / 1e9

    def _fit_folds(self, data: Training, folds: np.ndarray) -> list[FoldModel]:
        """Fit the folds side by side: the networks are too small to share one among cores."""
        numbers, device = fold_numbers(folds), resolve_device(self.device)
        return side_by_side(lambda k: self._fit_fold(data.rows(folds != k), k), numbers, device)

    def _fit_fold(self, data: Training, fold: int) -> PairModels:
        device, seed = resolve_device(self.device), (self.random_state, fold)
        precision = resolve_precision(self.precision, device)
        held = held_out_lines(data.Y, seed)
        model = self._untrained(data, data.Y[~held])
        fitted, watched = (model.pairs(data.X[rows], data.Y[rows], device) for rows in (~held, held))
        weights = []
        for point in progress(self.points(), f"{self.title}, fold {fold}"):
            network = model.network(seed).to(device)
            train(network, self.how(point), fitted, watched, precision, stream_of(seed, "batches", device))
            weights.append(parameters_to_vector(network.parameters()).detach().cpu().numpy())
        return replace(model, weights=np.array(weights))

    def _untrained(self, data: Training, labels: np.ndarray) -> PairModels:
        """Return a fold model that has all but its networks, with the labels' unit."""
        components = data.components(self.title, self.n_components)
        centre, scale = np.zeros(data.X.shape[1]), np.ones(data.X.shape[1])
        if self.scale_inputs:
            scaler = RobustScaler().fit(data.X)
            centre, scale = scaler.center_, scaler.scale_
            components = RobustScaler().fit_transform(components)
        unit = (np.nanmean(labels), np.nanstd(labels) or 1.0) if self.scale_labels else (0.0, 1.0)
        towers, joint = (np.array(widths, dtype=np.int64) for widths in self._widths())
        return PairModels(np.empty((0, 0)), towers, joint, components, centre, scale, np.array(unit))


@dataclass(eq=False, repr=False)
class PPTdnn(PairRegressor):
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
    loss = staticmethod(mse_loss)
    cut_after: ClassVar = 10
    scale_labels: ClassVar = True
    default_grid: ClassVar = {"dropout": (0, 0.1, 0.25, 0.45, 0.7)}

    n_components: int = 500
    learning_rate: float = 1e-3
    batch_size: int = 4096
    max_epochs: int = 100
    patience: int = 20
    min_delta: float = 1e-5
    grid: Mapping[str, Sequence[float]] | None = None
    towers: Sequence[int] = (1000, 500, 250)
    joint: Sequence[int] = (250, 125, 60, 30)
    precision: str = "auto"
    device: str = "auto"

    def _widths(self) -> tuple[Sequence[int], Sequence[int]]:
        return self.towers, self.joint


@dataclass(eq=False, repr=False)
class PPMlp(PairRegressor):
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
    loss = staticmethod(one_minus_pearson)
    scale_inputs: ClassVar = True
    default_grid: ClassVar = {"learning_rate": (5e-4, 1e-3, 2e-3, 5e-3, 1e-2), "batch_size": (2048, 8192)}

    n_components: int = 500
    dropout: float = 0.2
    weight_decay: float = 1e-5
    max_epochs: int = 200
    patience: int = 20
    min_delta: float = 1e-3
    grid: Mapping[str, Sequence[float]] | None = None
    hidden: Sequence[int] = (512, 256, 128, 64, 32, 16)
    precision: str = "auto"
    device: str = "auto"

    def _widths(self) -> tuple[Sequence[int], Sequence[int]]:
        return (), self.hidden
