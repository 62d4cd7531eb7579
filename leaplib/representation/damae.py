"""DAMAE: the data-augmented masked autoencoder that turns expression into a representation.

The network is genes -> 512 -> 256 -> 512 -> genes. Each batch is spoilt (30% of the entries take the same
gene's value in another sample, and a little Gaussian noise is added) and the network has to give the clean
batch back; the 256 values in the middle are the representation. Ablations leave out parts of this: corruption, noise,
the layers of 512, or a donor for each gene. LEAP uses several DAMAEs from several seeds,
so the unit of work is a stack of S networks that train in step, by batched matrix products. All random
numbers of a network come from its own generators: it does not matter which others train beside it.

From top to bottom: `DAMAE` (what users see), `fit_damaes` (several at once), `_train` (the loop over epochs),
`_Stack` (S networks: forward, backward, Adam) and `_Feed` (spoilt batches). Tensors are (S, genes, samples):
with the samples last, spoiling copies whole runs of memory. Forward and backward pass are written out, so
that buffers are reused and each product has the layout that is fastest on a CPU.

References
----------
LEAP: arXiv:2502.15646. The corruption: Yoon et al., VIME, NeurIPS 2020. Adam: Kingma and Ba, ICLR 2015.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from sklearn.base import BaseEstimator, TransformerMixin
from torch import Tensor

from leaplib.base.device import resolve_device, resolve_precision
from leaplib.base.errors import DAMAGE, InputError, first_line
from leaplib.base.files import atomic_path, sha256, write_text
from leaplib.base.matrices import finite_matrix, in_order
from leaplib.base.progress import progress
from leaplib.base.store import key_of, versions

AGAIN = "train and save the DAMAE again"
FORMAT = "leaplib.representation.damae/2"
LAYERS = ("encoder.0", "encoder.1", "decoder.0", "decoder.1")
HIDDEN = (0, 2)  # layers with ReLU and dropout; the code and the reconstruction are linear
LINEAR = ("encoder.0", "decoder.0")  # the layers without outer hidden units
MASKINGS = ("column", "row")
ADAM_EPSILON = 1e-8
TABLE = 2**18  # random numbers in a table, see _Feed
BOUNDS = {"n_hidden": (0, math.inf), "n_components": (1, math.inf), "dropout": (0, 0.99), "corruption": (0, 0.99),
          "noise": (0, math.inf), "learning_rate": (0, math.inf), "warm_up": (0, math.inf),
          "batch_size": (2, math.inf),  # a sample needs a donor beside it
          "max_epochs": (1, math.inf), "patience": (1, math.inf), "min_delta": (0, math.inf),
          "holdout": (0, 0.99)}  # fmt: skip


class DAMAE(TransformerMixin, BaseEstimator):
    """Data-augmented masked autoencoder.

    Parameters
    ----------
    n_hidden : int
        Units of the two outer hidden layers (ReLU). With 0 there are none: genes -> code -> genes, linear both
        ways, and dropout has nothing to act on.
    n_components : int
        Units of the code, which is what `transform` returns.
    dropout : float
        Share of the outer hidden units set to 0 in training.
    corruption : float
        Share of the entries of a batch, each chosen for itself, that are replaced by the same gene's value in
        another sample of the batch, the donor.
    masking : {"column", "row"}
        Where the donors of a sample's replaced entries come from, drawn anew for each batch. Samples in a circle,
        the donor of sample i is sample i + d, with d uniform over 1 to batch size - 1. "column": each gene draws its
        own d, so that a sample's entries come from many donors. "row": all genes share one d, so that all replaced
        entries of a sample come from one donor, a piece of a real profile with its correlations.
    noise : float
        SD of the Gaussian noise added to every entry, in the units of X.
    learning_rate : float
        Of Adam.
    warm_up : int
        Epochs over which the learning rate rises linearly to `learning_rate`; 0 for none.
    batch_size : int
        Largest batch. An epoch is cut into the fewest equal batches of at most this size; the few samples
        that are left over sit that epoch out.
    max_epochs, patience, min_delta : int, int, float
        Training on the part that is not held out ends after `max_epochs`, or when the validation loss has not
        fallen by more than `min_delta` for `patience` epochs.
    holdout : float
        Share of the samples held out to find the number of epochs; the network is then trained anew on all
        samples for that number. With 0, it is trained once, on all samples, for `max_epochs`.
    precision : {"auto", "float32", "bfloat16"}
        Of matrix products and batches (bfloat16 rounds to 1 part in 256); weights and Adam stay in float32.
        "auto" is bfloat16 on CUDA and on CPUs with matrix units for it (AMX), else float32.
    random_state : int
        Seed of holdout, initial weights, batch order, corruption, noise and dropout.
    device : {"auto", "cpu", "cuda"}

    Attributes
    ----------
    history_ : DataFrame
        epoch (from 1), train_loss (spoilt input, dropout) and validation_loss (clean input) of the training
        with a holdout: mean squared errors, where 1 is no better than the mean if genes have SD 1.
    best_epoch_ : int
        Number of epochs of the final training.
    precision_ : str
        What "auto" came to.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Genes, where X was a DataFrame.
    weights_ : dict of Tensor
        `encoder.0.weight` (genes x hidden), `encoder.0.bias`, ..., float32, on the CPU.

    References
    ----------
    LEAP (arXiv:2502.15646), methods, "Representation algorithm"; Yoon et al., VIME, NeurIPS 2020.
    """

    def __init__(self, n_hidden: int = 512, n_components: int = 256, dropout: float = 0.2,
                 corruption: float = 0.3, masking: str = "column", noise: float = 0.01,
                 learning_rate: float = 1e-4, warm_up: int = 0, batch_size: int = 1024, max_epochs: int = 3000,
                 patience: int = 20, min_delta: float = 1e-5, holdout: float = 0.2, precision: str = "auto",
                 random_state: int = 0, device: str = "auto"):  # fmt: skip
        self.n_hidden = n_hidden
        self.n_components = n_components
        self.dropout = dropout
        self.corruption = corruption
        self.masking = masking
        self.noise = noise
        self.learning_rate = learning_rate
        self.warm_up = warm_up
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.min_delta = min_delta
        self.holdout = holdout
        self.precision = precision
        self.random_state = random_state
        self.device = device

    def fit(self, X: pd.DataFrame | np.ndarray, y: object = None) -> "DAMAE":
        """Train on X, samples x genes, standardised (each gene to mean 0 and SD 1) and finite.

        Raises
        ------
        InputError
            For missing or infinite values, too few samples, or settings out of range.
        """
        _fit_stack([self], X)
        return self

    def transform(self, X: pd.DataFrame | np.ndarray) -> np.ndarray:
        """Return the codes of samples, without corruption, noise or dropout.

        Parameters
        ----------
        X : DataFrame or array, samples x genes
            Scaled as the training data. The columns of a frame are put in the order of training; other
            columns are ignored.

        Returns
        -------
        array of float32, samples x n_components

        Raises
        ------
        InputError
            If genes are missing (they are named), or values are missing or infinite.
        """
        self._check_is_fitted()
        values, weights = torch.from_numpy(finite_matrix(in_order(X, self))), self.weights_
        for number, layer in enumerate(self._layers()[: len(self._layers()) // 2]):
            values = values @ weights[f"{layer}.weight"] + weights[f"{layer}.bias"]
            values = values.relu() if number in self._hidden() else values
        return values.numpy()

    def _check_is_fitted(self) -> None:
        if not hasattr(self, "weights_"):
            raise InputError("this DAMAE is not fitted: call fit first")

    def save(self, prefix: str | Path) -> Path:
        """Write `prefix`.safetensors (weights) and `prefix`.json (all else); return the latter's path."""
        self._check_is_fitted()
        weights, sidecar = _paths(prefix)
        with atomic_path(weights) as temporary:
            temporary.write_bytes(save(self.weights_))
        genes = self.feature_names_in_.tolist() if hasattr(self, "feature_names_in_") else None
        history = {name: column.astype(object).where(column.notna(), None).tolist()
                   for name, column in self.history_.items()}  # fmt: skip
        text = {"format": FORMAT, "configuration": self.get_params(), "best_epoch": self.best_epoch_,
                "precision": self.precision_, "weights_sha256": sha256(weights), "versions": versions(),
                "history": history, "genes": genes}  # fmt: skip
        return write_text(sidecar, json.dumps(text | {"checksum": key_of(text)}, indent=1))

    @classmethod
    def load(cls, prefix: str | Path) -> "DAMAE":
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If a file is missing, damaged, or belongs to another DAMAE.
        """
        weights, sidecar = _paths(prefix)
        try:
            text = json.loads(sidecar.read_text(encoding="utf-8"))
            checksum = text.pop("checksum", None)
            if checksum not in (None, key_of(text)):
                raise InputError(f"{sidecar} is damaged: train and save the DAMAE again")
            if text["format"] != FORMAT:
                raise InputError(f"{sidecar} is not in the format {FORMAT}: {AGAIN}")
            if sha256(weights) != text["weights_sha256"]:
                raise InputError(f"{weights} is damaged, or of another DAMAE than {sidecar.name}: {AGAIN}")
            model = cls(**text["configuration"])
            history = pd.DataFrame(text["history"], dtype=float)
            model._set_fitted(load_file(weights), text["best_epoch"], history, text["precision"], text["genes"])
            sizes = [len(model.weights_[f"{layer}.bias"]) for layer in model._layers()]
            genes = getattr(model, "feature_names_in_", range(model.n_features_in_))
            fits = len(genes) == len(set(genes)) == model.n_features_in_
        except InputError:
            raise
        except (*DAMAGE, SafetensorError) as error:
            reason = first_line(error)
            raise InputError(f"no readable DAMAE at {prefix} (.safetensors, .json): {reason}: {AGAIN}") from error
        if sizes != model._sizes(model.n_features_in_)[1:] or not fits:
            raise InputError(f"{weights} does not fit the configuration in {sidecar.name}: {AGAIN}")
        return model

    def _set_fitted(self, weights: dict[str, Tensor], best_epoch: int, history: pd.DataFrame, precision: str,
                    genes: Sequence[str] | None) -> None:  # fmt: skip
        self.weights_, self.best_epoch_, self.precision_ = weights, best_epoch, precision
        self.history_ = history.astype({"epoch": int})
        self.n_features_in_ = len(weights["encoder.0.weight"])
        if genes is not None:
            self.feature_names_in_ = np.asarray(genes, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_  # of an earlier fit to a frame

    def _sizes(self, n_genes: int) -> list[int]:
        """Return the units of all layers, from genes to genes."""
        outer = [self.n_hidden] if self.n_hidden else []
        return [n_genes, *outer, self.n_components, *outer, n_genes]

    def _layers(self) -> tuple[str, ...]:
        """Return the names of the layers."""
        return LAYERS if self.n_hidden else LINEAR

    def _hidden(self) -> tuple[int, ...]:
        """Return the numbers of the layers with ReLU and dropout."""
        return HIDDEN if self.n_hidden else ()

    def _rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch (from 0)."""
        return self.learning_rate * min(1.0, (epoch + 1) / (self.warm_up + 1))


def fit_damaes(X: pd.DataFrame | np.ndarray, random_states: Sequence[int] = (0, 1, 2, 3, 4),
               **settings: Any) -> list[DAMAE]:  # fmt: skip
    """Train one DAMAE a seed on the same samples, all of them in step.

    Parameters
    ----------
    X : DataFrame or array, samples x genes
        As in `DAMAE.fit`.
    random_states : sequence of int
    **settings
        Passed on to `DAMAE`.

    Returns
    -------
    list of DAMAE
        Fitted, and equal (to rounding) to DAMAEs that were trained one by one.
    """
    models = [DAMAE(random_state=int(seed), **settings) for seed in random_states]
    if not models:
        raise InputError("random_states is empty: give at least one seed")
    _fit_stack(models, X)
    return models


def _fit_stack(models: list[DAMAE], X: pd.DataFrame | np.ndarray) -> None:
    """Fit models that differ in their seed only: find the number of epochs, then train on all samples."""
    settings, values = models[0], finite_matrix(X)
    n_held = _check_settings(settings, len(values))
    device = resolve_device(settings.device)
    samples = torch.from_numpy(values).to(device, resolve_precision(settings.precision, device))
    seeds = [model.random_state for model in models]
    epochs, watched = [settings.max_epochs] * len(seeds), None
    if n_held:
        order = torch.stack([torch.randperm(len(values), generator=_stream(seed, "holdout")) for seed in seeds])
        watched = _train(settings, seeds, samples, order[:, n_held:], epochs, held=order[:, :n_held])
        epochs = [log.best_epoch for log in watched]
    final = _train(settings, seeds, samples, torch.arange(len(values)).expand(len(seeds), -1), epochs)
    precision = str(samples.dtype).removeprefix("torch.")
    genes = X.columns.tolist() if isinstance(X, pd.DataFrame) else None
    for model, n_epochs, log, told in zip(models, epochs, final, watched or final, strict=True):
        model._set_fitted(log.weights, n_epochs, told.history(), precision, genes)


@dataclass
class _Log:
    """What happened to one network in training."""

    max_epochs: int
    losses: list[tuple[float, float | None]] = field(default_factory=list)
    best: float = math.inf
    best_epoch: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)

    def over(self, trained: float, watched: float | None, patience: int, min_delta: float) -> bool:
        """Note the losses of an epoch (`watched` is None with nothing held out), and tell whether it was the last."""
        self.losses.append((trained, watched))
        epoch = len(self.losses)
        if not (math.isfinite(trained) and (watched is None or math.isfinite(watched))):
            raise InputError(f"training diverged in epoch {epoch}: lower learning_rate or raise warm_up")
        if watched is not None and watched < self.best - min_delta:
            self.best, self.best_epoch = watched, epoch
        flat = watched is not None and epoch - self.best_epoch >= patience
        return flat or epoch >= self.max_epochs

    def history(self) -> pd.DataFrame:
        """Return the losses, one row an epoch."""
        frame = pd.DataFrame(self.losses, columns=["train_loss", "validation_loss"], dtype=float)
        frame.insert(0, "epoch", range(1, len(frame) + 1))
        return frame


def _train(settings: DAMAE, seeds: list[int], samples: Tensor, rows: Tensor, max_epochs: list[int],
           held: Tensor | None = None) -> list[_Log]:  # fmt: skip
    """Train one network a seed; one that is done leaves the stack, and the others go on.

    Parameters
    ----------
    samples : Tensor, samples x genes
        In the precision and on the device of the batches.
    rows : Tensor of int, seeds x m
        The samples that each network is trained on.
    max_epochs : list of int
    held : Tensor of int, seeds x k, optional
        The samples that each network is watched on, to stop early.
    """
    stack, feed = _Stack(settings, seeds, samples), _Feed(settings, seeds, samples, rows)
    clean = None if held is None else torch.stack([samples[part].T for part in held.to(samples.device)])
    logs = [_Log(limit) for limit in max_epochs]
    here = logs  # the networks still in the stack
    for epoch in progress(range(max(max_epochs)), "DAMAE"):
        trained = torch.stack([stack.learn(*batch, settings._rate(epoch)) for batch in feed.epoch()]).mean(0).tolist()
        watched = [None] * len(here) if clean is None else stack.loss(clean).tolist()
        over = [log.over(own, held_out, settings.patience, settings.min_delta)
                for log, own, held_out in zip(here, trained, watched, strict=True)]  # fmt: skip
        for number in np.flatnonzero(over).tolist():
            here[number].weights = stack.weights_of(number)
        stay = np.flatnonzero(np.logical_not(over)).tolist()
        here = [here[number] for number in stay]
        if not here:
            break
        if any(over):
            stack.keep(stay)
            feed.keep(stay)
            clean = None if clean is None else clean[stay]
    return logs


class _Stack:
    """S autoencoders of one shape: forward and backward pass, and Adam.

    Matrices are stored tall, the units of the wider side along the rows: those of the encoder apply
    transposed, those of the decoder as they are. The gradients of the two large ones then come out of a
    product of a plain and a transposed matrix, which is the fastest kind on matrix units (AMX).
    """

    def __init__(self, settings: DAMAE, seeds: list[int], samples: Tensor):
        self.dtype, self.layers, self.hidden = samples.dtype, settings._layers(), settings._hidden()
        self.n_encoders = len(self.layers) // 2
        self.weights: list[Tensor] = []  # matrix and bias of each layer, float32, seeds first
        streams = [_stream(seed, "weights") for seed in seeds]
        for number, (n_in, n_out) in enumerate(pairwise(settings._sizes(samples.shape[1]))):
            for shape in ((n_in, n_out) if number < self.n_encoders else (n_out, n_in)), (n_out, 1):
                drawn = torch.stack([torch.rand(shape, generator=stream) for stream in streams])
                self.weights.append(((2 * drawn - 1) / math.sqrt(n_in)).to(samples.device))
        self.adam = torch.optim.Adam(self.weights, fused=True)
        self._make_buffers()

    def _make_buffers(self) -> None:
        """Make what products read and write; in float32, these are the weights and gradients themselves."""
        self.working = [weight.to(self.dtype) for weight in self.weights]
        self.slopes = [torch.empty_like(weight) for weight in self.working]
        self.grads = [slope.to(weight.dtype) for slope, weight in zip(self.slopes, self.weights, strict=True)]
        for weight, grad in zip(self.weights, self.grads, strict=True):
            weight.grad = grad
        matrices, self.biases = self.working[::2], self.working[1::2]
        self.maps = [matrix.mT for matrix in matrices[: self.n_encoders]] + matrices[self.n_encoders :]
        self.rooms: dict[int, Tensor] = {}

    def forward(self, values: Tensor, drop: Mapping[int, Tensor] | None = None) -> list[Tensor]:
        """Return the input of each layer and, last, the reconstruction; `drop` scales hidden units, by layer."""
        inputs = []
        for number, (matrix, bias) in enumerate(zip(self.maps, self.biases, strict=True)):
            inputs.append(values)
            room = self._room(values.shape[2]) if number == len(self.layers) - 1 else None
            values = torch.baddbmm(bias, matrix, values, out=room)
            if number in self.hidden:
                values.relu_()
            if drop and number in drop:
                values.mul_(drop[number])
        return [*inputs, values]

    def _room(self, n_samples: int) -> Tensor:
        """Return the buffer for a reconstruction: fresh memory of this size costs as much as the product."""
        if n_samples not in self.rooms:
            bias = self.biases[-1]
            self.rooms[n_samples] = bias.new_empty((*bias.shape[:2], n_samples))
        return self.rooms[n_samples]

    def loss(self, clean: Tensor) -> Tensor:
        """Return each network's mean squared error on clean samples, without dropout."""
        return _mean_square(self.forward(clean)[-1].sub_(clean).float())

    def learn(self, clean: Tensor, spoilt: Tensor, drop: Mapping[int, Tensor], rate: float) -> Tensor:
        """Take one step of Adam, and return each network's loss before it.

        The slopes are those of half the sum of squares. They are larger than those of the mean by a constant
        factor, which makes no difference to Adam if its epsilon is larger by the same: a pass is saved.
        """
        *inputs, slope = self.forward(spoilt, drop)
        loss = _mean_square(slope.sub_(clean))
        self.adam.param_groups[0].update(lr=rate, eps=ADAM_EPSILON * slope[0].numel() / 2)
        for number in reversed(range(len(self.layers))):
            values = inputs[number]
            left, right = (values, slope) if number < self.n_encoders else (slope, values)
            torch.bmm(left, right.mT, out=self.slopes[2 * number])
            torch.sum(slope, 2, keepdim=True, out=self.slopes[2 * number + 1])
            if number > 0:
                slope = torch.bmm(self.maps[number].mT, slope)
            if number - 1 in self.hidden:  # ReLU and dropout: a unit that was 0 passes nothing back
                slope.mul_(drop[number - 1]).mul_(values.sign())
        self._step()
        return loss

    def _step(self) -> None:
        """Let Adam move the weights down their slopes (in float32, copies onto themselves, which do nothing)."""
        for grad, slope in zip(self.grads, self.slopes, strict=True):
            grad.copy_(slope)
        self.adam.step()
        for weight, copy in zip(self.weights, self.working, strict=True):
            copy.copy_(weight)

    def keep(self, stay: list[int]) -> None:
        """Drop all networks but these."""
        for weight in self.weights:
            state = self.adam.state[weight]
            weight.grad, weight.data = None, weight.data[stay]
            state.update({name: state[name][stay] for name in ("exp_avg", "exp_avg_sq")})
        self._make_buffers()

    def weights_of(self, number: int) -> dict[str, Tensor]:
        """Return a copy of one network's weights, on the CPU."""
        parts = [f"{layer}.{part}" for layer in self.layers for part in ("weight", "bias")]
        own = [weight[number].clone().cpu() for weight in self.weights]
        return {part: weight.squeeze(1) if part.endswith("bias") else weight
                for part, weight in zip(parts, own, strict=True)}  # fmt: skip


class _Feed:
    """Batches for the networks of a stack: clean, spoilt, and the dropout of their hidden units.

    Each network has its own samples, batch order and random numbers. Instead of a random number for every
    entry, every gene of every batch reads a run of numbers that begins at a random place:

    - Donors. Think of the samples of a batch as a circle: a gene takes its values from a random number of
      places further on. For each entry that is another sample, all equally likely, and each gene for itself
      (or, with whole rows, the same number for all genes).
      The run is in the batch, written twice.
    - Which entries are replaced, the noise, and (for hidden units instead of genes) dropout. The runs are in
      tables of 2**18 random numbers, drawn once a training. Two genes share the numbers of a sample only if
      their runs begin at the same place, once in 2**18.
    """

    def __init__(self, settings: DAMAE, seeds: list[int], samples: Tensor, rows: Tensor):
        self.samples, self.rows, self.n_hidden = samples, rows.to(samples.device), settings.n_hidden
        self.hidden, self.whole_rows = settings._hidden(), settings.masking == "row"
        self.streams = [_stream(seed, "batches", samples.device) for seed in seeds]
        n_rows = rows.shape[1]
        self.n_batches = min(math.ceil(n_rows / settings.batch_size), n_rows // 2)
        self.size = n_rows // self.n_batches
        self.replaced = self._table(torch.rand, lambda uniform: uniform < settings.corruption)
        self.kept = self._table(torch.rand, lambda uniform: (uniform >= settings.dropout) / (1 - settings.dropout))
        self.noise = self._table(torch.randn, lambda normal: normal * settings.noise)
        self._make_buffers()

    def _table(self, draw: Callable[..., Tensor], use: Callable[[Tensor], Tensor]) -> Tensor:
        """Return a table for each network, made of random numbers from its own stream."""
        length, device = TABLE + self.size, self.samples.device
        drawn = torch.stack([draw(length, generator=own, device=device) for own in self.streams])
        return use(drawn).to(self.samples.dtype)

    def _make_buffers(self) -> None:
        n_networks, n_genes = len(self.streams), self.samples.shape[1]
        self.twice = self.samples.new_empty((n_networks, n_genes, 2 * self.size))
        self.spoilt, self.scratch = (self.samples.new_empty((n_networks, n_genes, self.size)) for _ in range(2))
        self.drop = {layer: self.samples.new_empty((n_networks, self.n_hidden, self.size)) for layer in self.hidden}
        self.loaded = False

    def keep(self, stay: list[int]) -> None:
        """Drop all networks but these."""
        self.streams = [self.streams[number] for number in stay]
        self.rows, self.replaced, self.kept, self.noise = (
            table[stay] for table in (self.rows, self.replaced, self.kept, self.noise))  # fmt: skip
        self._make_buffers()

    def epoch(self) -> Iterator[tuple[Tensor, Tensor, dict[int, Tensor]]]:
        """Yield clean batch, spoilt batch and dropout factors, in buffers that the next batch overwrites."""
        for rows in self._order().split(self.size, dim=1)[: self.n_batches]:
            self._load(rows)
            for factors in self.drop.values():
                self._read_runs(self.kept, factors)
            yield self.twice[:, :, : self.size], self._spoil(), self.drop

    def _order(self) -> Tensor:
        """Return each network's samples in random order; in a single batch, order means nothing."""
        if self.n_batches == 1:
            return self.rows
        n_rows = self.rows.shape[1]
        orders = [torch.randperm(n_rows, generator=own, device=own.device) for own in self.streams]
        return self.rows.gather(1, torch.stack(orders))

    def _load(self, rows: Tensor) -> None:
        """Write the samples of a batch twice, one after the other; a single batch is written once and stays."""
        if self.loaded and self.n_batches == 1:
            return
        for page, own in zip(self.twice, rows, strict=True):
            page[:, : self.size] = self.samples[own].T
        self.twice[:, :, self.size :] = self.twice[:, :, : self.size]
        self.loaded = True

    def _spoil(self) -> Tensor:
        """Replace a share of the entries by another sample's value of the gene, and add noise."""
        self._read_runs(self.twice, self.spoilt, 1, self.size - 1, 2 * self.size, together=self.whole_rows)
        self._read_runs(self.replaced, self.scratch)
        torch.lerp(self.twice[:, :, : self.size], self.spoilt, self.scratch, out=self.spoilt)  # exact at 0 and 1
        self._read_runs(self.noise, self.scratch)
        return self.spoilt.add_(self.scratch)

    def _read_runs(self, source: Tensor, out: Tensor, first: int = 0, last: int = TABLE, step: int = 0,
                   together: bool = False) -> None:  # fmt: skip
        """Fill the rows of `out`, (S, rows, size), with runs from each network's own part of `source`.

        A run begins `first` to `last` places, at random (`together`: the same for all rows of a network), from the
        row's place, `step` times its number.
        """
        n_networks, n_rows, size = out.shape
        n_drawn = 1 if together else n_rows
        drawn = [torch.randint(first, last + 1, (n_drawn,), generator=own, device=own.device) for own in self.streams]
        own_part = torch.arange(n_networks, device=out.device)[:, None] * source[0].numel()
        begin = torch.stack(drawn) + own_part + step * torch.arange(n_rows, device=out.device)
        runs = source.view(-1).as_strided((source.numel() - size + 1, size), (1, 1))
        torch.index_select(runs, 0, begin.view(-1), out=out.view(-1, size))


def _mean_square(values: Tensor) -> Tensor:
    """Return each network's mean of squares; a gene's sum is rounded to the precision of the values."""
    return torch.linalg.vector_norm(values, dim=2).float().square().sum(1) / values[0].numel()


def _stream(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return the random stream of one seed for one purpose."""
    number = ("holdout", "weights", "batches").index(purpose)
    mixed = np.random.SeedSequence([seed, number]).generate_state(1)[0]
    return torch.Generator(device).manual_seed(int(mixed))


def _check_settings(settings: DAMAE, n_samples: int) -> int:
    """Return how many samples are held out; raise InputError for settings or numbers of samples out of range."""
    for name, (low, high) in BOUNDS.items():
        value = getattr(settings, name)
        if not low <= value < high or (name == "learning_rate" and value == 0):
            raise InputError(f"{name} must be at least {low} and below {high}, not {value}")
    if settings.masking not in MASKINGS:
        raise InputError(f"masking must be one of {', '.join(MASKINGS)}, not {settings.masking!r}")
    n_held = max(1, round(settings.holdout * n_samples)) if settings.holdout else 0
    if n_samples - n_held < 2:
        raise InputError(f"{n_samples} samples are too few: training needs 2 beside the {n_held} held out")
    return n_held


def _paths(prefix: str | Path) -> tuple[Path, Path]:
    """Return the paths of weights and sidecar; in a folder, they are called damae."""
    path = Path(prefix)
    path = path / "damae" if path.is_dir() else path
    return path.with_name(path.name + ".safetensors"), path.with_name(path.name + ".json")
