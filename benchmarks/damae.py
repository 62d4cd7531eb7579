"""Five DAMAEs as one stack against five trained one by one with a plain PyTorch loop, in one run.

    python benchmarks/damae.py [--simulated] [--json out.json] [--device auto] [--epochs 4] [--batch-size 1024]

Real data: the expression of GDSC and CCLE, all genes (975 x 6,163). Without the archives, or with `--simulated`,
data of the same shape are simulated, and the output says so.

Both sides follow one schedule: `epochs` on 80% of the samples, watched on the rest, then on all samples for the
best number of epochs. The batch is the paper's; the learning rate is ten times the paper's, so that a few epochs
get somewhere. The peer is what one would write first: an nn.Module, autograd and Adam in float32, donors drawn by
one random index an entry. It holds out the same samples, and its validation loss is printed beside ours, since
speed counts only where the training is the same. The matrix products of an epoch are also timed alone: their share
of the epoch tells how much there is left to gain.
"""

import argparse
import json
import math
import platform
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import leaplib  # before torch: it sets how idle threads wait

# isort: split
import numpy as np
import torch
from torch import Tensor, nn

from leaplib.base.device import resolve_device, resolve_precision
from leaplib.base.errors import InputError
from leaplib.cohorts.expression import ExpressionScaler
from leaplib.cohorts.prepare import screen_of
from leaplib.cohorts.selection import pca_outliers
from leaplib.profiles import get_profile
from leaplib.representation.damae import DAMAE, _Feed, _Stack, _stream, fit_damaes

SEEDS = (0, 1, 2, 3, 4)
SHAPE = 975, 6163
RATE = 1e-3


def load_data() -> np.ndarray:
    """Return the standardised expression of the drug screen, all genes."""
    expression = screen_of(get_profile("demo"), "drugs").expression
    expression = expression.drop(index=pca_outliers(expression))
    return np.array(ExpressionScaler(expression.shape[1]).fit_transform(expression))


def simulate() -> np.ndarray:
    """Return standardised data of the same shape: sixty common factors, and noise."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((SHAPE[0], 60)) @ rng.standard_normal((60, SHAPE[1])) / 8
    X += 0.7 * rng.standard_normal(SHAPE)
    return ((X - X.mean(0)) / X.std(0)).astype(np.float32)


class PlainDAMAE(nn.Module):
    """The same network, as one would write it first."""

    def __init__(self, n_genes: int):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(n_genes, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, 256))
        self.decoder = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, n_genes))

    def forward(self, values: Tensor) -> Tensor:
        """Return the reconstruction."""
        return self.decoder(self.encoder(values))


def spoil(values: Tensor) -> Tensor:
    donors = torch.gather(values, 0, torch.randint(len(values), values.shape, device=values.device))
    return torch.where(torch.rand_like(values) < 0.3, donors, values) + 0.01 * torch.randn_like(values)


def plain_training(samples: Tensor, epochs: int, batch_size: int, held: Tensor | None = None) -> list[float]:
    """Train one network, and return its validation losses."""
    model, losses = PlainDAMAE(samples.shape[1]).to(samples.device), []
    adam = torch.optim.Adam(model.parameters(), lr=RATE)
    for _ in range(epochs):
        model.train()
        order = torch.randperm(len(samples), device=samples.device)
        for rows in order.chunk(math.ceil(len(samples) / batch_size)):
            batch = samples[rows]
            adam.zero_grad()
            nn.functional.mse_loss(model(spoil(batch)), batch).backward()
            adam.step()
        if held is not None:
            model.eval()
            with torch.no_grad():
                losses.append(nn.functional.mse_loss(model(held), held).item())
    return losses


def plain_loop(X: np.ndarray, epochs: int, batch_size: int, device: str) -> tuple[float, int]:
    """Train the networks one by one; return their mean validation loss and their epochs, all together."""
    samples, lowest, total = torch.from_numpy(X).to(resolve_device(device)), [], 0
    for seed in SEEDS:
        torch.manual_seed(seed)
        order = torch.randperm(len(X), generator=_stream(seed, "holdout"))
        n_held = round(0.2 * len(X))
        losses = plain_training(samples[order[n_held:]], epochs, batch_size, samples[order[:n_held]])
        best = int(np.argmin(losses)) + 1
        plain_training(samples, best, batch_size)
        lowest.append(min(losses))
        total += epochs + best
    return float(np.mean(lowest)), total


def stack(X: np.ndarray, epochs: int, batch_size: int, device: str, precision: str = "auto") -> tuple[float, int]:
    """Train the networks together; return as `plain_loop` does."""
    models = fit_damaes(X, SEEDS, learning_rate=RATE, batch_size=batch_size, max_epochs=epochs, patience=epochs,
                        min_delta=0, device=device, precision=precision)  # fmt: skip
    loss = np.mean([model.history_["validation_loss"].min() for model in models])
    return float(loss), sum(len(model.history_) + model.best_epoch_ for model in models)


def seconds_of(function: Callable[..., object], *arguments: object) -> tuple[float, object]:
    """Return how long a call takes, a GPU's work included, and what it returns."""
    started = time.perf_counter()
    result = function(*arguments)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started, result


def peak_memory(function: Callable[..., object], *arguments: object) -> float:
    """Return the GB that a call needs in a process of its own (imports included), or on the GPU."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_peak, function, *arguments).result()


def _peak(function: Callable[..., object], *arguments: object) -> float:
    function(*arguments)
    if arguments[-1] == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    lines = status.read_text().splitlines()  # getrusage would count the process that started this one, too
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20


def products_of(model: _Stack, inputs: Sequence[Tensor], output: Tensor) -> None:
    """Multiply as a forward and a backward pass do, and do nothing else; the slopes have the outputs' shapes."""
    slopes = [*inputs[1:], output]
    for number, (matrix, values, slope) in enumerate(zip(model.maps, inputs, slopes, strict=True)):
        torch.bmm(matrix, values, out=output if number == 3 else None)
        left, right = (values, slope) if number < 2 else (slope, values)
        torch.bmm(left, right.mT, out=model.slopes[2 * number])
        if number > 0:
            torch.bmm(matrix.mT, slope)


def epoch_and_products(X: np.ndarray, batch_size: int, device: str, precision: str) -> tuple[float, float, float]:
    """Return the ms of an epoch on all samples, of its matrix products alone, and their GFLOP/s."""
    where = resolve_device(device)
    settings = DAMAE(batch_size=batch_size)
    samples = torch.from_numpy(X).to(where, resolve_precision(precision, where))
    model = _Stack(settings, list(SEEDS), samples)
    feed = _Feed(settings, list(SEEDS), samples, torch.arange(len(X)).expand(len(SEEDS), -1))
    *inputs, output = model.forward(next(feed.epoch())[1])

    def epoch() -> None:
        for batch in feed.epoch():
            model.learn(*batch, RATE)

    def products() -> None:
        for _ in range(feed.n_batches):
            products_of(model, inputs, output)

    turns = [(seconds_of(epoch)[0], seconds_of(products)[0]) for _ in range(5)]  # in turns: the cores may be shared
    ours, alone = (min(seconds) for seconds in zip(*turns, strict=True))
    per_sample = sum(2 * matrix.numel() * (2 if number == 0 else 3) for number, matrix in enumerate(model.maps))
    return 1e3 * ours, 1e3 * alone, per_sample * feed.size * feed.n_batches / alone / 1e9


def compare(X: np.ndarray, options: argparse.Namespace) -> dict[str, float]:
    """Train on both sides, in turns; the fastest round of each counts."""
    arguments = X, options.epochs, options.batch_size, options.device
    for warm_up in plain_loop, stack:
        warm_up(X[:100], 1, *arguments[2:])
    rounds: dict[str, list] = {"loop": [], "stack": [], "stack_float32": []}
    for _ in range(options.rounds):
        rounds["loop"].append(seconds_of(plain_loop, *arguments))
        rounds["stack"].append(seconds_of(stack, *arguments))
        rounds["stack_float32"].append(seconds_of(stack, *arguments, "float32"))
    figures: dict[str, float] = {}
    for name, runs in rounds.items():
        figures[f"seconds_{name}"], (loss, epochs) = min(runs)
        figures[f"validation_loss_{name}"] = loss
        figures[f"ms_per_epoch_{name}"] = 1e3 * figures[f"seconds_{name}"] / epochs * len(SEEDS)
    for key, name in (("speedup_vs_loop", "stack"), ("speedup_vs_loop_float32", "stack_float32")):
        figures[key] = figures["ms_per_epoch_loop"] / figures[f"ms_per_epoch_{name}"]
    figures["peak_memory_gb"] = peak_memory(stack, X, 1, *arguments[2:])
    figures["peak_memory_gb_loop"] = peak_memory(plain_loop, X, 1, *arguments[2:])
    return figures


def machine(device: str) -> dict[str, object]:
    """Return what the figures depend on."""
    where = resolve_device(device)
    cpuinfo = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
             ] if cpuinfo.exists() else []  # fmt: skip
    return {
        "device": torch.cuda.get_device_name() if where.type == "cuda" else "cpu",
        "precision": str(resolve_precision("auto", where)).removeprefix("torch."),
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": torch.get_num_threads(),
        "torch": torch.__version__,
        "leaplib": leaplib.__version__,
    }


def report(figures: dict) -> None:
    print(f"\n{'five DAMAEs':32s}{'seconds':>9s}{'ms an epoch':>13s}{'speedup':>9s}{'validation loss':>17s}")
    labels = {"loop": "plain PyTorch loop, float32", "stack": f"stack, auto = {figures['precision']}",
              "stack_float32": "stack, float32"}  # fmt: skip
    for name, label in labels.items():
        pace = figures[f"ms_per_epoch_{name}"]
        print(f"{label:32s}{figures[f'seconds_{name}']:9.1f}{pace:13.0f}{figures['ms_per_epoch_loop'] / pace:9.2f}"
              f"{figures[f'validation_loss_{name}']:17.4f}")  # fmt: skip
    print()
    for key, value in figures.items():
        if not key.startswith(("seconds", "ms", "validation")):
            print(f"{key:30s}{value:.4g}" if isinstance(value, float) else f"{key:30s}{value}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulated", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=2, help="runs of each; the fastest counts")
    options = parser.parse_args()
    options.device = resolve_device(options.device).type
    try:
        X = simulate() if options.simulated else load_data()
    except InputError as error:
        print(f"{error}\nSIMULATED data of the same shape instead")
        X, options.simulated = simulate(), True
    figures: dict[str, object] = dict(compare(X, options))
    for suffix, precision in (("", "auto"), ("_float32", "float32")):
        epoch, alone, speed = epoch_and_products(X, options.batch_size, options.device, precision)
        figures |= {f"gemm_share{suffix}": alone / epoch, f"gemm_gflops{suffix}": speed}
    figures |= machine(options.device)
    figures |= {"samples": X.shape[0], "genes": X.shape[1], "epochs": options.epochs,
                "batch_size": options.batch_size, "simulated": options.simulated}  # fmt: skip
    report(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
