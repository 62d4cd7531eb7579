"""Five DAMAEs as one stack against five trained one by one with a plain PyTorch loop, in one run.

    python benchmarks/damae.py [--json out.json] [--samples 975] [--genes 6163] [--epochs 10]

Both follow the same schedule: `epochs` on 80% of the samples, watched on the rest, then as many on all of
them. The peer is what one would write first: an nn.Module, a DataLoader, autograd and Adam, in float32, with
donors drawn by one random index an entry (cheaper than the permutation of each column in VIME's own code).
Its losses are printed beside ours, since speed counts only where the training is the same. A second table
takes an epoch apart, and compares it with its matrix products alone.

JSON keys: `speedup_vs_loop` (seconds of the loop / seconds of the stack at `precision="auto"`),
`speedup_vs_loop_float32`, `seconds_loop`, `seconds_stack`, `seconds_stack_float32`,
`validation_loss_loop`, `validation_loss_stack`, `parts` (milliseconds of an epoch), `gemm_share` (the products
alone / the epoch), `precision`, `threads`, `samples`, `genes`, `epochs`.
"""

import argparse
import json
import math
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from leaplib.damae import DAMAE, _Feed, _precision, _Stack, fit_damaes
from leaplib.device import resolve_device

SEEDS = (0, 1, 2, 3, 4)


class PlainDAMAE(nn.Module):
    """The same network, as one would write it first."""

    def __init__(self, n_genes: int):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(n_genes, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, 256))
        self.decoder = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, n_genes))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the reconstruction."""
        return self.decoder(self.encoder(values))


def spoil(values: torch.Tensor) -> torch.Tensor:
    donors = torch.gather(values, 0, torch.randint(len(values), values.shape))
    return torch.where(torch.rand(values.shape) < 0.3, donors, values) + 0.01 * torch.randn(values.shape)


def plain_training(X: torch.Tensor, epochs: int, held: torch.Tensor | None = None) -> float:
    """Train one network, and return its last validation loss."""
    model, loss = PlainDAMAE(X.shape[1]), math.nan
    adam = torch.optim.Adam(model.parameters(), lr=1e-4)
    loader = DataLoader(TensorDataset(X), batch_size=1024, shuffle=True)
    for _ in range(epochs):
        model.train()
        for (batch,) in loader:
            adam.zero_grad()
            nn.functional.mse_loss(model(spoil(batch)), batch).backward()
            adam.step()
        if held is not None:
            model.eval()
            with torch.no_grad():
                loss = nn.functional.mse_loss(model(held), held).item()
    return loss


def plain_loop(X: np.ndarray, epochs: int) -> float:
    """Train five networks one by one, each with a holdout and again on all; return the validation loss."""
    samples, losses = torch.from_numpy(X), []
    for seed in SEEDS:
        torch.manual_seed(seed)
        order = torch.randperm(len(X))
        n_held = round(0.2 * len(X))
        losses.append(plain_training(samples[order[n_held:]], epochs, samples[order[:n_held]]))
        plain_training(samples, epochs)
    return statistics.mean(losses)


def stack(X: np.ndarray, epochs: int, precision: str, device: str) -> float:
    settings = {"max_epochs": epochs, "patience": epochs, "precision": precision, "device": device}
    models = fit_damaes(X, SEEDS, **settings)
    return statistics.mean(model.history_["validation_loss"].iloc[-1] for model in models)


def timed(function: Callable[..., float], *arguments: object) -> tuple[float, float]:
    started = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - started, result


def fastest(function: Callable[[], object], device: torch.device, repeats: int = 7) -> float:
    """Return the shortest of some runs, in milliseconds: what the work takes undisturbed."""
    seconds = []
    for _ in range(repeats):
        if device.type == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return 1000 * min(seconds)


def parts(X: np.ndarray, device: torch.device) -> dict[str, float]:
    """Return what an epoch on all samples consists of, in milliseconds."""
    settings = DAMAE(device=device.type)
    samples = torch.from_numpy(X).to(device, _precision("auto", device))
    model = _Stack(settings, list(SEEDS), samples)
    feed = _Feed(settings, list(SEEDS), samples, torch.arange(len(X)).expand(len(SEEDS), -1))
    clean, spoilt, drop = next(feed.epoch())
    *inputs, output = model.forward(spoilt, drop)
    slopes = [*inputs[1:], output]

    def products() -> None:
        for number, (matrix, way, slope) in enumerate(zip(model.working[::2], inputs, slopes, strict=True)):
            out = output if number == 3 else None
            torch.bmm(matrix.mT if number < 2 else matrix, way, out=out)
            pair = (way, slope) if number < 2 else (slope, way)
            torch.bmm(pair[0], pair[1].mT, out=model.slopes[2 * number])
            if number:
                torch.bmm(matrix if number < 2 else matrix.mT, slope)

    def epoch() -> None:
        for batch in feed.epoch():
            model.learn(*batch, 1e-4)

    flops = sum(2 * len(X) * matrix.numel() * (2 if number == 0 else 3)
                for number, matrix in enumerate(model.working[::2]))  # fmt: skip
    result = {
        "corruption and noise": fastest(feed._spoil, device),
        "forward, loss, backward and Adam": fastest(lambda: model.learn(clean, spoilt, drop, 1e-4), device),
        "of these, Adam (with casts)": fastest(model._step, device),
        "of these, matrix products": fastest(products, device),
        "epoch": fastest(epoch, device),
    }
    return {**result, "GFLOP/s in the products": flops / result["of these, matrix products"] / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", help="write the figures here")
    parser.add_argument("--samples", type=int, default=975)
    parser.add_argument("--genes", type=int, default=6163)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=2, help="runs of each; the fastest counts")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    device = resolve_device(arguments.device)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(arguments.samples, 60)) @ rng.normal(size=(60, arguments.genes)) / 8
    X = (X + rng.normal(size=X.shape) * 0.5).astype(np.float32)
    X = (X - X.mean(0)) / X.std(0)

    stack(X, 1, "auto", device.type), plain_training(torch.from_numpy(X), 1)  # warm up
    loop, auto, exact = [], [], []
    for _ in range(arguments.rounds):
        loop.append(timed(plain_loop, X, arguments.epochs))
        auto.append(timed(stack, X, arguments.epochs, "auto", device.type))
        exact.append(timed(stack, X, arguments.epochs, "float32", device.type))
    (seconds_loop, loss_loop), (seconds, loss), (seconds_exact, _) = min(loop), min(auto), min(exact)
    epoch = parts(X, device)
    figures = {
        "speedup_vs_loop": seconds_loop / seconds,
        "speedup_vs_loop_float32": seconds_loop / seconds_exact,
        "seconds_loop": seconds_loop,
        "seconds_stack": seconds,
        "seconds_stack_float32": seconds_exact,
        "validation_loss_loop": loss_loop,
        "validation_loss_stack": loss,
        "gemm_share": epoch["of these, matrix products"] / epoch["epoch"],
        "parts": epoch,
        "precision": str(_precision("auto", device)).removeprefix("torch."),
        "device": device.type,
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "samples": arguments.samples,
        "genes": arguments.genes,
        "epochs": arguments.epochs,
    }
    report(figures)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as handle:
            json.dump(figures, handle, indent=1)


def report(figures: dict) -> None:
    print(f"Five DAMAEs, {figures['samples']} x {figures['genes']}, {figures['epochs']} epochs with a holdout "
          f"and as many on all samples; {figures['threads']} threads, {figures['device']}")  # fmt: skip
    rows = (("plain PyTorch loop, float32", "seconds_loop"), ("stack, float32", "seconds_stack_float32"),
            (f"stack, auto = {figures['precision']}", "seconds_stack"))  # fmt: skip
    for name, key in rows:
        print(f"  {name:32s} {figures[key]:8.1f} s {figures['seconds_loop'] / figures[key]:6.1f} x")
    print(f"  validation loss after them: loop {figures['validation_loss_loop']:.4f}, "
          f"stack {figures['validation_loss_stack']:.4f}")  # fmt: skip
    print(f"An epoch on all samples, {figures['precision']} (ms):")
    for name, value in figures["parts"].items():
        print(f"  {name:36s} {value:8.1f}")
    print(f"  matrix products alone / epoch        {figures['gemm_share']:8.2f}")


if __name__ == "__main__":
    main()
