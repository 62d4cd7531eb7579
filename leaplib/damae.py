"""DAMAE: the data-augmented masked autoencoder that turns expression into a representation.

The network is genes -> 512 -> 256 -> 512 -> genes. Each batch is spoilt (30% of the entries take the same
gene's value in another sample, and a little Gaussian noise is added) and the network has to give the clean
batch back; the 256 values in the middle are the representation. LEAP uses several DAMAEs from several seeds,
so the unit of work is a stack of S networks that train in step, by batched matrix products. All random
numbers of a network come from its own generators: it does not matter which others train beside it.

From top to bottom: `DAMAE` (what users see), `fit_damaes` (several at once), `_train` (the loop over epochs),
`_Stack` (S networks: forward, backward, Adam) and `_Feed` (spoilt batches). Tensors are (S, genes, samples):
with the samples last, spoiling copies whole runs of memory. Forward and backward pass are written out, since
with reused buffers and the right layout for each product an epoch takes half the time on a CPU.

References
----------
LEAP: arXiv:2502.15646. The corruption: Yoon et al., VIME, NeurIPS 2020. Adam: Kingma and Ba, ICLR 2015.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from sklearn.base import BaseEstimator, TransformerMixin
from torch import Tensor

from leaplib.device import resolve_device, resolve_precision
from leaplib.errors import InputError
from leaplib.files import atomic_path, sha256, write_text
from leaplib.progress import progress
from leaplib.store import versions

FORMAT = "leaplib.damae/1"
LAYERS = ("encoder.0", "encoder.1", "decoder.0", "decoder.1")
HIDDEN = (0, 2)  # layers with ReLU and dropout; the code and the reconstruction are linear
NOISE_TABLE = 2**18  # normal numbers drawn once a network; each gene of each batch reads a random run of them


class DAMAE(TransformerMixin, BaseEstimator):
    """Data-augmented masked autoencoder.

    Parameters
    ----------
    n_hidden : int
        Units of the two outer hidden layers (ReLU).
    n_components : int
        Units of the code, which is what `transform` returns.
    dropout : float
        Share of the outer hidden units set to 0 in training (resolved to 1/256, as is `corruption`).
    corruption : float
        Share of the entries of a batch replaced by the same gene's value in another sample of the batch.
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
        Of matrix products and batches; weights and Adam stay in float32. "auto" is bfloat16 on CUDA and on
        CPUs with matrix units for it (AMX), else float32.
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
                 corruption: float = 0.3, noise: float = 0.01, learning_rate: float = 1e-4, warm_up: int = 0,
                 batch_size: int = 1024, max_epochs: int = 3000, patience: int = 20, min_delta: float = 1e-5,
                 holdout: float = 0.2, precision: str = "auto", random_state: int = 0,
                 device: str = "auto"):  # fmt: skip
        self.n_hidden = n_hidden
        self.n_components = n_components
        self.dropout = dropout
        self.corruption = corruption
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
        code = torch.from_numpy(_checked(self._in_order(X)))
        resolve_device("cpu")
        for number in range(2):
            code = code @ self.weights_[f"encoder.{number}.weight"] + self.weights_[f"encoder.{number}.bias"]
            code = code.relu() if number == 0 else code
        return code.numpy()

    def _in_order(self, X: pd.DataFrame | np.ndarray) -> pd.DataFrame | np.ndarray:
        """Return X with the columns of training, in their order."""
        if not hasattr(self, "weights_"):
            raise InputError("this DAMAE is not fitted: call fit first")
        if isinstance(X, pd.DataFrame) and hasattr(self, "feature_names_in_"):
            missing = [str(gene) for gene in self.feature_names_in_ if gene not in X.columns]
            if missing:
                raise InputError(f"{len(missing)} genes of the DAMAE are missing: {', '.join(missing[:10])}")
            return X.loc[:, list(self.feature_names_in_)]
        if np.ndim(X) == 2 and np.shape(X)[1] != self.n_features_in_:
            raise InputError(f"X has {np.shape(X)[1]} genes, the DAMAE was trained on {self.n_features_in_}")
        return X

    def save(self, prefix: str | Path) -> Path:
        """Write `prefix`.safetensors (weights) and `prefix`.json (all else); return the latter's path."""
        weights, sidecar = _paths(prefix)
        with atomic_path(weights) as temporary:
            save_file(self.weights_, temporary)
        genes = self.feature_names_in_.tolist() if hasattr(self, "feature_names_in_") else None
        history = {name: column.astype(object).where(column.notna(), None).tolist()
                   for name, column in self.history_.items()}  # fmt: skip
        text = {"format": FORMAT, "configuration": self.get_params(), "best_epoch": self.best_epoch_,
                "n_features": self.n_features_in_, "weights_sha256": sha256(weights), "versions": versions(),
                "history": history, "genes": genes}  # fmt: skip
        return write_text(sidecar, json.dumps(text, indent=1))

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
            if text["format"] != FORMAT:
                raise InputError(f"{sidecar} is not in the format {FORMAT}: train and save the DAMAE again")
            if sha256(weights) != text["weights_sha256"]:
                raise InputError(f"{weights} is damaged, or of another DAMAE than {sidecar.name}")
            model = cls(**text["configuration"])
            history = pd.DataFrame(text["history"], dtype=float)
            state = load_file(weights), text["best_epoch"], history, text["genes"], text["n_features"]
            model._set_fitted(*state)
        except (OSError, KeyError, TypeError, UnicodeError, json.JSONDecodeError, SafetensorError) as error:
            raise InputError(f"no readable DAMAE at {prefix} (.safetensors, .json): {error}") from error
        if {name: tuple(tensor.shape) for name, tensor in model.weights_.items()} != model._shapes():
            raise InputError(f"{weights} does not fit the configuration in {sidecar.name}")
        return model

    def _set_fitted(self, weights: dict[str, Tensor], best_epoch: int, history: pd.DataFrame,
                    genes: Sequence[str] | None, n_features: int) -> None:  # fmt: skip
        self.weights_, self.best_epoch_, self.n_features_in_ = weights, best_epoch, n_features
        self.history_ = history.astype({"epoch": int})
        if genes is not None:
            self.feature_names_in_ = np.asarray(genes, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_  # of an earlier fit to a frame

    def _sizes(self, n_genes: int) -> list[int]:
        """Return the units of all layers, from genes to genes."""
        return [n_genes, self.n_hidden, self.n_components, self.n_hidden, n_genes]

    def _rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch (from 0)."""
        return self.learning_rate * min(1.0, (epoch + 1) / (self.warm_up + 1))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of `weights_`."""
        shapes: dict[str, tuple[int, ...]] = {}
        for number, (n_in, n_out) in enumerate(pairwise(self._sizes(self.n_features_in_))):
            shapes[f"{LAYERS[number]}.weight"] = (n_in, n_out) if number < 2 else (n_out, n_in)
            shapes[f"{LAYERS[number]}.bias"] = (n_out,)
        return shapes


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
    settings, values = models[0], _checked(X)
    n_samples, n_genes = values.shape
    _check_settings(settings, n_samples)
    device = resolve_device(settings.device)
    samples = torch.from_numpy(values).to(device, resolve_precision(settings.precision, device))
    seeds = [model.random_state for model in models]
    limits = [settings.max_epochs] * len(models)
    everything = torch.arange(n_samples).expand(len(seeds), -1)
    if settings.holdout:
        n_held = max(1, round(settings.holdout * n_samples))
        order = torch.stack([torch.randperm(n_samples, generator=_stream(seed, "holdout")) for seed in seeds])
        watched = _train(settings, seeds, samples, order[:, n_held:], limits, held=order[:, :n_held])
        limits = [log.best_epoch for log in watched]
    final = _train(settings, seeds, samples, everything, limits)
    genes = X.columns.tolist() if isinstance(X, pd.DataFrame) else None
    for number, model in enumerate(models):
        history = (watched if settings.holdout else final)[number].history()
        model._set_fitted(final[number].weights, limits[number], history, genes, n_genes)


@dataclass
class _Log:
    """What happened to one network in training."""

    max_epochs: int
    losses: list[list[float]] = field(default_factory=list)
    best: float = math.inf
    best_epoch: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)

    def over(self, losses: list[float], patience: int, min_delta: float) -> bool:
        """Note the losses (training, validation) of an epoch, and tell whether it was the last."""
        self.losses.append(losses)
        epoch = len(self.losses)
        if math.isnan(losses[1]):  # nothing is held out
            return epoch >= self.max_epochs
        if losses[1] < self.best - min_delta:
            self.best, self.best_epoch = losses[1], epoch
        return epoch >= self.max_epochs or epoch - self.best_epoch >= patience

    def history(self) -> pd.DataFrame:
        """Return the losses, one row an epoch."""
        frame = pd.DataFrame(self.losses, columns=["train_loss", "validation_loss"])
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
        trained = torch.stack([stack.learn(*batch, settings._rate(epoch)) for batch in feed.epoch()]).mean(0)
        watched = torch.full_like(trained, math.nan) if clean is None else stack.loss(clean)
        losses = zip(here, trained.tolist(), watched.tolist(), strict=True)
        over = [log.over(pair, settings.patience, settings.min_delta) for log, *pair in losses]
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
        self.dtype = samples.dtype
        self.weights: list[Tensor] = []  # matrix and bias of each layer, float32, seeds first
        streams = [_stream(seed, "weights") for seed in seeds]
        for number, (n_in, n_out) in enumerate(pairwise(settings._sizes(samples.shape[1]))):
            for shape in ((n_in, n_out) if number < 2 else (n_out, n_in)), (n_out, 1):
                drawn = torch.stack([torch.rand(shape, generator=stream) for stream in streams])
                self.weights.append(((2 * drawn - 1) / math.sqrt(n_in)).to(samples.device))
        self.adam = torch.optim.Adam(self.weights, fused=True)
        self._make_buffers()

    def _make_buffers(self) -> None:
        """Make the copies of the weights that products use, and room for gradients and reconstructions."""
        self.working = [weight.to(self.dtype) for weight in self.weights]
        self.slopes = [torch.empty_like(weight) for weight in self.working]
        exact = self.dtype == torch.float32
        self.grads = self.slopes if exact else [torch.empty_like(weight) for weight in self.weights]
        for weight, grad in zip(self.weights, self.grads, strict=True):
            weight.grad = grad
        self.rooms: dict[int, Tensor] = {}

    def forward(self, values: Tensor, drop: Sequence[Tensor] = ()) -> list[Tensor]:
        """Return the input of each layer and, last, the reconstruction; `drop` scales the hidden units."""
        inputs = []
        for number in range(len(LAYERS)):
            inputs.append(values)
            matrix, bias = self.working[2 * number : 2 * number + 2]
            last = number == len(LAYERS) - 1
            room = self._room(matrix, values) if last else None
            values = torch.bmm(matrix.mT if number < 2 else matrix, values, out=room).add_(bias)
            if number in HIDDEN:
                values.relu_()
                if drop:
                    values *= drop[HIDDEN.index(number)]
        return [*inputs, values]

    def _room(self, matrix: Tensor, values: Tensor) -> Tensor:
        """Return the buffer for a reconstruction: fresh memory of this size costs as much as the product."""
        n_samples = values.shape[2]
        if n_samples not in self.rooms:
            self.rooms[n_samples] = values.new_empty((len(matrix), matrix.shape[1], n_samples))
        return self.rooms[n_samples]

    def loss(self, clean: Tensor) -> Tensor:
        """Return each network's mean squared error on clean samples, without dropout."""
        return _mean_square(self.forward(clean)[-1].sub_(clean).float())

    def learn(self, clean: Tensor, spoilt: Tensor, drop: Sequence[Tensor], rate: float) -> Tensor:
        """Take one step of Adam, and return each network's loss before it."""
        *inputs, slope = self.forward(spoilt, drop)
        loss = _mean_square(slope.sub_(clean))
        slope.mul_(2 / slope[0].numel())
        for number in reversed(range(len(LAYERS))):
            matrix, values = self.working[2 * number], inputs[number]
            left, right = (values, slope) if number < 2 else (slope, values)
            torch.bmm(left, right.mT, out=self.slopes[2 * number])
            torch.sum(slope, 2, keepdim=True, out=self.slopes[2 * number + 1])
            if number > 0:
                slope = torch.bmm(matrix if number < 2 else matrix.mT, slope)
            if number - 1 in HIDDEN:  # ReLU and dropout: a unit that was 0 passes nothing back
                slope.mul_(drop[HIDDEN.index(number - 1)]).mul_(values.sign())
        self._step(rate)
        return loss

    def _step(self, rate: float) -> None:
        """Let Adam move the weights down their slopes."""
        if self.dtype != torch.float32:
            for grad, slope in zip(self.grads, self.slopes, strict=True):
                grad.copy_(slope)
        self.adam.param_groups[0]["lr"] = rate
        self.adam.step()
        if self.dtype != torch.float32:
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
        parts = [f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias")]
        own = [weight[number].clone().cpu() for weight in self.weights]
        return {part: weight.squeeze(1) if part.endswith("bias") else weight
                for part, weight in zip(parts, own, strict=True)}  # fmt: skip


class _Feed:
    """Batches for the networks of a stack: clean, spoilt, and the dropout of their hidden units.

    Each network has its own samples, batch order and random numbers. To find donors, think of the samples of
    a batch as a circle: each gene takes its values from a random number of places further on. That is another
    sample for every entry, all of them equally likely, and each gene for itself; and it makes a gene's donors
    a run in memory (of the batch written twice), as its noise is a run of a table of normal numbers.
    """

    def __init__(self, settings: DAMAE, seeds: list[int], samples: Tensor, rows: Tensor):
        self.settings, self.samples, self.rows = settings, samples, rows.to(samples.device)
        self.streams = [_stream(seed, "batches", samples.device) for seed in seeds]
        n_rows = rows.shape[1]
        self.n_batches = min(math.ceil(n_rows / settings.batch_size), n_rows // 2)
        self.size = n_rows // self.n_batches
        self.n_bytes = self.size * (samples.shape[1] + len(HIDDEN) * settings.n_hidden)
        table = NOISE_TABLE + self.size
        drawn = [torch.randn(table, generator=own, device=own.device) for own in self.streams]
        self.normals = torch.stack(drawn).mul_(settings.noise).to(samples.dtype)
        self._make_buffers()

    def _make_buffers(self) -> None:
        shape = (len(self.streams), self.samples.shape[1], self.size)
        self.twice = self.samples.new_empty((*shape[:2], 2 * self.size))
        self.spoilt, self.scratch = self.samples.new_empty(shape), self.samples.new_empty(shape)
        words = torch.empty((shape[0], -(-self.n_bytes // 8)), dtype=torch.int64, device=self.samples.device)
        self.words, self.loaded = words, False

    def keep(self, stay: list[int]) -> None:
        """Drop all networks but these."""
        self.streams = [self.streams[number] for number in stay]
        self.rows, self.normals = self.rows[stay], self.normals[stay]
        self._make_buffers()

    def epoch(self) -> Iterator[tuple[Tensor, Tensor, list[Tensor]]]:
        """Yield clean batch, spoilt batch and dropout factors, in buffers that the next batch overwrites."""
        if self.n_batches > 1:
            n_rows = self.rows.shape[1]
            orders = [torch.randperm(n_rows, generator=own, device=own.device) for own in self.streams]
            rows = torch.stack([own[order] for own, order in zip(self.rows, orders, strict=True)])
        else:
            rows = self.rows
        for number in range(self.n_batches):
            self._load(rows[:, number * self.size : (number + 1) * self.size])
            coins = self._coins()
            yield self.twice[:, :, : self.size], self._spoil(coins), self._drop(coins)

    def _load(self, rows: Tensor) -> None:
        """Write the samples of a batch twice, one after the other; a batch of all samples stays."""
        if self.loaded and self.n_batches == 1:
            return
        for page, own in zip(self.twice, rows, strict=True):
            page[:, : self.size] = self.samples[own].T
        self.twice[:, :, self.size :] = self.twice[:, :, : self.size]
        self.loaded = True

    def _coins(self) -> Tensor:
        """Return random bytes: for each entry, then for each hidden unit of each sample."""
        for words, stream in zip(self.words, self.streams, strict=True):
            words.random_(-(2**63), None, generator=stream)
        return self.words.view(torch.uint8)[:, : self.n_bytes]

    def _spoil(self, coins: Tensor) -> Tensor:
        """Replace a share of the entries by another sample's value of the gene, and add noise."""
        n_genes, clean = self.samples.shape[1], self.twice[:, :, : self.size]
        self._read_runs(self.twice, 1, self.size, 2 * self.size, self.spoilt)
        replaced = coins[:, : n_genes * self.size] < _of_256(self.settings.corruption)
        # As bytes: converting from bool takes 20 times as long.
        self.scratch.copy_(replaced.view(torch.uint8).view(clean.shape))
        torch.lerp(clean, self.spoilt, self.scratch, out=self.spoilt)  # exact, for weights of 0 and 1
        self._read_runs(self.normals, 0, NOISE_TABLE, 0, self.scratch)
        return self.spoilt.add_(self.scratch)

    def _read_runs(self, source: Tensor, low: int, high: int, step: int, out: Tensor) -> None:
        """For each network and gene, read `size` numbers that begin `low` to `high - 1` places into its part.

        A network's part of `source` begins where its first index says, a gene's `step` numbers further on.
        """
        n_genes, device = self.samples.shape[1], source.device
        drawn = [torch.randint(low, high, (n_genes,), generator=own, device=device) for own in self.streams]
        parts = torch.arange(len(source), device=device)[:, None] * source[0].numel()
        begin = torch.stack(drawn) + parts + torch.arange(n_genes, device=device) * step
        runs = source.view(-1).as_strided((source.numel() - self.size + 1, self.size), (1, 1))
        torch.index_select(runs, 0, begin.view(-1), out=out.view(-1, self.size))

    def _drop(self, coins: Tensor) -> list[Tensor]:
        """Return, for each hidden layer, 0 for the units dropped and 1 / (share kept) for the others."""
        threshold = _of_256(self.settings.dropout)
        n_units = self.settings.n_hidden
        kept = coins[:, self.samples.shape[1] * self.size :] >= threshold
        factors = kept.view(torch.uint8).to(self.samples.dtype).mul_(256 / (256 - threshold))
        return list(factors.view(-1, len(HIDDEN), n_units, self.size).unbind(1))


def _mean_square(values: Tensor) -> Tensor:
    """Return each network's mean of squares; a gene's sum is rounded to the precision of the values."""
    return torch.linalg.vector_norm(values, dim=2).float().square().sum(1) / values[0].numel()


def _of_256(share: float) -> int:
    """Return a share as the threshold of a random byte."""
    return round(256 * share)


def _stream(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return the random stream of one seed for one purpose."""
    number = ("holdout", "weights", "batches").index(purpose)
    mixed = np.random.SeedSequence([seed, number]).generate_state(1)[0]
    return torch.Generator(device).manual_seed(int(mixed))


def _checked(X: pd.DataFrame | np.ndarray) -> np.ndarray:
    """Return X as a finite float32 matrix."""
    try:
        values = np.array(X, dtype=np.float32, order="C")
    except (TypeError, ValueError) as error:
        raise InputError(f"X must hold numbers, samples x genes: {error}") from error
    if values.ndim != 2 or values.size == 0:
        raise InputError(f"X must be a matrix, samples x genes, but has the shape {values.shape}")
    if not np.isfinite(values).all():
        sample, gene = np.argwhere(~np.isfinite(values))[0]
        if isinstance(X, pd.DataFrame):
            sample, gene = X.index[sample], X.columns[gene]
        raise InputError(f"X has a missing or infinite value (sample {sample}, gene {gene}): drop or fill it")
    return values


def _check_settings(settings: DAMAE, n_samples: int) -> None:
    """Raise InputError for settings out of range, or too few samples for them."""
    for name in ("n_hidden", "n_components", "max_epochs", "patience"):
        if getattr(settings, name) < 1:
            raise InputError(f"{name} must be at least 1, not {getattr(settings, name)}")
    for name in ("noise", "warm_up", "min_delta"):
        if not getattr(settings, name) >= 0:
            raise InputError(f"{name} must not be negative, but is {getattr(settings, name)}")
    if not settings.learning_rate > 0:
        raise InputError(f"learning_rate must be positive, not {settings.learning_rate}")
    for name in ("dropout", "corruption", "holdout"):
        if not 0 <= getattr(settings, name) < 0.99:
            raise InputError(f"{name} must lie in [0, 0.99), not {getattr(settings, name)}")
    if settings.batch_size < 2:
        raise InputError(f"batch_size must be at least 2, to hold donors, not {settings.batch_size}")
    n_held = max(1, round(settings.holdout * n_samples)) if settings.holdout else 0
    if n_samples - n_held < 2:
        raise InputError(f"{n_samples} samples are too few: training needs 2 beside the {n_held} held out")


def _paths(prefix: str | Path) -> tuple[Path, Path]:
    """Return the paths of weights and sidecar; in a folder, they are called damae."""
    path = Path(prefix)
    path = path / "damae" if path.is_dir() else path
    return path.with_name(path.name + ".safetensors"), path.with_name(path.name + ".json")
