"""DAMAE: the data-augmented masked autoencoder of LEAP, which turns expression into a representation.

Genes -> 512 -> 256 -> 512 -> genes: in each batch, 30% of the entries take the same gene's value in another sample, a
little noise is added, and the network has to give the clean batch back; the 256 values are the representation. Part of
the samples is held out to find the number of epochs; then a network is trained on all samples for that number.
LEAP: arXiv:2502.15646, methods, "Representation algorithm". The corruption: Yoon et al., VIME, NeurIPS 2020.
"""

import json
import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from leaplib.base.compute import progress, resolve_device, resolve_precision
from leaplib.base.errors import DAMAGE, InputError, first_line
from leaplib.base.matrices import finite_matrix, in_order
from leaplib.base.store import atomic_path, key_of, sha256, versions, write_text

FORMAT = "leaplib.representation.damae/3"
LEAST = {"n_components": 1, "n_layers": 1, "learning_rate": 1e-30, "batch_size": 2, "max_epochs": 1, "patience": 1}
BELOW = {"dropout": 1, "corruption": 1, "holdout": 1, "random_state": 2**63}


def corrupt(clean: Tensor, corruption: float = 0.3, noise: float = 0.01, masking: str = "column") -> Tensor:
    """Return a batch (samples x genes) with entries replaced by the gene's value in another sample, and noise.

    Samples in a circle, the donor of sample i is sample i + d; d is drawn for each gene ("column") or for all ("row").
    """
    n_samples, n_genes = clean.shape
    d = torch.randint(1, n_samples, (n_genes if masking == "column" else 1,), device=clean.device)
    circle = torch.cat([clean.T, clean.T], dim=1).unfold(1, n_samples, 1)  # genes x d x samples, a view
    donors = circle[torch.arange(n_genes, device=clean.device), d].T
    replaced = torch.rand_like(clean) < corruption
    return torch.where(replaced, donors, clean).add_(torch.randn_like(clean), alpha=noise)


def learn_genes(model: Any, X: pd.DataFrame | np.ndarray) -> None:
    """Let a model know the number of genes, and their names where X is a frame."""
    model.n_features_in_, names = np.shape(X)[1], getattr(X, "columns", None)
    model.__dict__.pop("feature_names_in_", None)  # of an earlier fit to a frame
    model.__dict__ |= {} if names is None else {"feature_names_in_": names.to_numpy(dtype=object)}


class Autoencoder(nn.Module):
    """The network; without hidden units, it is linear both ways."""

    def __init__(self, n_genes: int, n_hidden: int, n_components: int, dropout: float, n_layers: int = 1):
        super().__init__()

        def layers(n_in: int, n_out: int) -> nn.Sequential:
            outer, sizes = [], [n_in, *[n_hidden] * n_layers] if n_hidden else [n_in]
            for before, after in pairwise(sizes):
                outer += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
            return nn.Sequential(*outer, nn.Linear(sizes[-1], n_out))

        self.encoder, self.decoder = layers(n_genes, n_components), layers(n_components, n_genes)

    def forward(self, values: Tensor) -> Tensor:
        """Return the reconstruction of samples."""
        return self.decoder(self.encoder(values))


@dataclass(eq=False, repr=False)
class DAMAE(TransformerMixin, BaseEstimator):
    """Data-augmented masked autoencoder, an estimator of scikit-learn; its parameters are explained beside them.

    One seed drives all that is drawn, whatever else is trained; two trainings from it are equal up to rounding.

    Attributes
    ----------
    network_ : Autoencoder
    history_ : DataFrame
        epoch (from 1), train_loss (spoilt input, dropout), validation_loss (clean held-out samples; NaN without): mean
        squared errors of the training with a holdout, where 1 is no better than the mean if genes have SD 1.
    best_epoch_, precision_ : int, str: epochs of the final training, and what "auto" came to
    n_features_in_, feature_names_in_ : int, ndarray of str: genes; the names where X was a DataFrame
    """

    n_hidden: int = 512  # units of the two outer hidden layers (ReLU, dropout); 0: none, and all is linear
    n_components: int = 256  # units of the code
    dropout: float = 0.2  # share of the hidden units set to 0 in training
    corruption: float = 0.3  # share of the entries replaced, each chosen for itself
    masking: str = "column"  # as in VIME, each gene draws its donors; "row": all that a sample takes is of one donor
    noise: float = 0.01  # SD, in the units of X
    learning_rate: float = 1e-4  # of Adam; the paper does not give it
    batch_size: int = 1024  # at most: an epoch is cut into the fewest batches, as equal as can be
    max_epochs: int = 3000  # the paper's limit
    patience: int = 20  # epochs without improvement on the held-out samples before training stops
    min_delta: float = 1e-5  # fall of the validation loss that counts as an improvement
    holdout: float = 0.2  # share of the samples; 0: one training, on all samples, for max_epochs
    precision: str = "float32"  # of products; auto: bfloat16 (1 part in 256) where CUDA or AMX makes it fast
    random_state: int = 0
    device: str = "auto"  # or cpu, cuda
    n_layers: int = 1  # hidden layers before the code, and as many behind it

    def fit(self, X: pd.DataFrame | np.ndarray, y: object = None) -> "DAMAE":
        """Train on X, samples x genes, standardised (each gene to mean 0 and SD 1) and finite."""
        values = finite_matrix(X)
        n_held = self._check(len(values))
        samples = torch.tensor(values, device=resolve_device(self.device))
        self.precision_ = str(resolve_precision(self.precision, samples.device)).removeprefix("torch.")
        self.best_epoch_, history = self.max_epochs, None
        if n_held:
            held, rest = np.split(np.random.default_rng(self.random_state).permutation(len(values)), [n_held])
            _, history, self.best_epoch_ = self._train(samples[rest], self.max_epochs, samples[held])
        self.network_, final, _ = self._train(samples, self.best_epoch_)
        self.history_ = final if history is None else history
        learn_genes(self, X)
        return self

    def _check(self, n_samples: int) -> int:
        """Return how many samples are held out; an InputError for settings or samples out of range."""
        for name in sorted(self.get_params().keys() - {"masking", "precision", "device"}):
            value, least, below = getattr(self, name), LEAST.get(name, 0), BELOW.get(name, math.inf)
            if not least <= value < below:
                raise InputError(f"{name} must be at least {least} and below {below}, not {value}")
        if self.masking not in ("column", "row"):
            raise InputError(f"masking must be column or row, not {self.masking!r}")
        n_held = max(1, round(self.holdout * n_samples)) if self.holdout else 0
        if n_samples - n_held < 2:
            raise InputError(f"{n_samples} samples are too few: training needs 2 beside the {n_held} held out")
        return n_held

    def _train(self, samples: Tensor, epochs: int, held: Tensor | None = None) -> tuple[Autoencoder, pd.DataFrame, int]:
        """Return a network, its losses and the best epoch; with samples held out, these may stop the training."""
        n, device = len(samples), samples.device
        n_batches = min(math.ceil(n / self.batch_size), n // 2)  # a sample needs a donor beside it
        autocast = torch.autocast(device.type, torch.bfloat16, enabled=self.precision_ == "bfloat16")
        losses, best, best_epoch = [], math.inf, 0
        with torch.random.fork_rng():  # the caller's generators stay as they are
            torch.manual_seed(self.random_state)
            network = Autoencoder(samples.shape[1], self.n_hidden, self.n_components, self.dropout, self.n_layers)
            network.to(device)
            adam = torch.optim.Adam(network.parameters(), self.learning_rate, fused=True)
            for epoch in progress(range(1, epochs + 1), "DAMAE"):
                trained, watched = 0.0, math.nan
                for rows in torch.randperm(n, device=device).tensor_split(n_batches):
                    clean = samples[rows]
                    with autocast:
                        spoilt = corrupt(clean, self.corruption, self.noise, self.masking)
                        loss = nn.functional.mse_loss(network(spoilt), clean)
                    adam.zero_grad()
                    loss.backward()
                    adam.step()
                    trained += loss.item() / n_batches
                if held is not None:
                    with torch.inference_mode(), autocast:
                        watched = nn.functional.mse_loss(network.eval()(held), held).item()
                    network.train()
                losses.append((epoch, trained, watched))
                if not math.isfinite(trained if held is None else trained + watched):
                    raise InputError(f"training diverged in epoch {epoch}: lower learning_rate")
                if watched < best - self.min_delta:
                    best, best_epoch = watched, epoch
                if held is not None and epoch - best_epoch >= self.patience:
                    break
        history = pd.DataFrame(losses, columns=["epoch", "train_loss", "validation_loss"])
        return network.cpu().eval(), history, best_epoch

    def transform(self, X: pd.DataFrame | np.ndarray) -> np.ndarray:
        """Return the codes of samples (float32) that are scaled as those of training; a frame may have more genes."""
        check_is_fitted(self, "network_")
        with torch.inference_mode():
            return self.network_.encoder(torch.tensor(finite_matrix(in_order(X, self)))).numpy()

    def save(self, prefix: str | Path) -> Path:
        """Write `prefix`.safetensors (weights) and `prefix`.json (all else); return the latter's path."""
        check_is_fitted(self, "network_")
        weights, sidecar = Path(f"{prefix}.safetensors"), Path(f"{prefix}.json")
        with atomic_path(weights) as temporary:
            temporary.write_bytes(save(self.network_.state_dict()))
        history = self.history_.astype(object).where(self.history_.notna(), None).to_dict("list")
        genes = list(self.feature_names_in_) if hasattr(self, "feature_names_in_") else None
        about = {"format": FORMAT, "configuration": self.get_params(), "best_epoch": self.best_epoch_,
                 "precision": self.precision_, "history": history, "genes": genes, "weights_sha256": sha256(weights),
                 "versions": versions()}  # fmt: skip
        return write_text(sidecar, json.dumps(about | {"checksum": key_of(about)}, indent=1))

    @classmethod
    def load(cls, prefix: str | Path) -> "DAMAE":
        """Read what `save` wrote; an InputError if a file is missing, damaged, or belongs to another DAMAE."""
        weights, sidecar = Path(f"{prefix}.safetensors"), Path(f"{prefix}.json")
        try:
            about = json.loads(sidecar.read_text(encoding="utf-8"))
            checksum = about.pop("checksum")
            if about["format"] != FORMAT or checksum != key_of(about) or sha256(weights) != about["weights_sha256"]:
                raise ValueError(f"damaged, of another DAMAE, or not in the format {FORMAT}")
            model, state = cls(**about["configuration"]), load_file(weights)
            model.best_epoch_, model.precision_ = about["best_epoch"], about["precision"]
            model.history_ = pd.DataFrame(about["history"], dtype=float).astype({"epoch": int})
            n_genes = model.n_features_in_ = state["encoder.0.weight"].shape[1]
            if about["genes"] is not None:
                model.feature_names_in_ = np.array(about["genes"], dtype=object)
                if not len(about["genes"]) == len(set(about["genes"])) == n_genes:
                    raise ValueError(f"{n_genes} genes are expected")
            n_layers = sum(name.startswith("encoder.") and name.endswith(".weight") for name in state) - 1
            if model.n_hidden and model.n_layers != n_layers:
                raise ValueError(f"{n_layers} hidden layers, not {model.n_layers}")
            with torch.device("meta"):  # takes no memory, whatever sizes the file asks for
                network = Autoencoder(n_genes, model.n_hidden, model.n_components, model.dropout, model.n_layers)
            network.load_state_dict(state, assign=True)
            model.network_ = network.eval()
            return model
        except (*DAMAGE, SafetensorError) as error:
            problem = f"no readable DAMAE ({sidecar.name}, {weights.name}): {first_line(error)}"
            raise InputError(f"{prefix}: {problem}: train and save the DAMAE again") from error
