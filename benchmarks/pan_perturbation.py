"""PP-tDNN and PP-MLP against a plain PyTorch loop over written-out pairs, in one run.

    python benchmarks/pan_perturbation.py [--json out.json] [--lines 605] [--perturbations 40] [--epochs 2]
    python benchmarks/pan_perturbation.py --profile --lines 815 --perturbations 408     # where an epoch's time goes

The peer is what one writes first: the architecture in `nn.Sequential`, and batches of which each pair holds its
line's features and its perturbation's components, side by side, in float32. Both train for the same epochs, on
as many batches of the same size, and look at the held-out lines after each epoch. The default shape is that of
one fold of task 2a in the demo profile; the data are simulated, on whose values the time does not depend.
PP-tDNN is timed at dropout 0.1, PP-MLP at both batch sizes of its grid together; on one thread unless `--threads`
says otherwise, since threads that wait for a busy core make any ratio.

`--profile` counts the matrix products of an epoch in float32 (forward, gradients of units and of weights, held-out
lines), times each of their shapes alone by `torch.mm`, and sets the sum, the least time at these multiply-adds,
against the processor time of the epoch; the operations other than products are timed one by one, by kind.

JSON keys: `speedup_vs_plain_tdnn`, `speedup_vs_plain_mlp` (in the precision that the models choose),
`speedup_vs_plain_tdnn_float32`, `speedup_vs_plain_mlp_float32`, `seconds_per_epoch_tdnn`, `seconds_per_epoch_mlp`,
`peak_memory_gb` (of the models, before the peer runs), `precision`, and the arguments.
"""

import argparse
import json
import resource
import time
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from leaplib.base.compute import machine, resolve_device, resolve_precision
from leaplib.models.base import Training
from leaplib.models.networks import Network, PairModels, Pairs, PPMlp, PPTdnn, held_out_lines, loss_on, train

CASES = {
    "tdnn": (PPTdnn(), [{"dropout": 0.1}]),
    "mlp": (PPMlp(), [{"learning_rate": 1e-3, "batch_size": size} for size in (2048, 8192)]),
}
N_FEATURES, N_BITS, MISSING = 256, 2048, 0.1
KINDS = {
    "products": ("mm", "addmm"),
    "dropout": ("random_", "ge", "mul", "_to_copy", "where", "empty"),
    "ReLU": ("relu", "threshold_backward"),
    "sums of rows": ("embedding", "embedding_dense_backward", "add", "cat"),
    "Adam": ("_fused_adam_", "_foreach_add_"),
}
"""Operations of torch by what they are for; Python is whatever no operation takes."""


def simulate(n_lines: int, n_perturbations: int) -> Training:
    rng = np.random.default_rng(0)
    labels = rng.normal(size=(n_lines, n_perturbations))
    labels[rng.random(labels.shape) < MISSING] = np.nan
    bits = (rng.random((n_perturbations, N_BITS)) < 0.03).astype(float)
    return Training(rng.normal(size=(n_lines, N_FEATURES)), labels, fingerprints=bits)


def prepare(model: PPTdnn | PPMlp, data: Training) -> tuple[PairModels, Pairs, Pairs]:
    """Return what both train on: a fold model without its networks, the pairs of lines to fit and to hold out."""
    held = held_out_lines(data.Y, (0, 0))
    untrained = model._untrained(data, data.Y[~held])
    fitted, watched = (untrained.pairs(data.X[rows], data.Y[rows]) for rows in (~held, held))
    return untrained, fitted, watched


def plain_forward(network: Network, dropout: float, pairs: Pairs) -> Tensor:
    """Return the output of pairs, one row of each table a pair."""
    ends = [pairs.lines[pairs.line], pairs.components[pairs.perturbation]]
    for i, layers in enumerate((network.line, network.perturbation)):
        for layer in layers:
            ends[i] = functional.dropout(layer(ends[i]).relu(), dropout, network.training)
    units = network.first(torch.cat(ends, dim=1)).relu()
    for layer in network.hidden:
        units = layer(functional.dropout(units, dropout, network.training)).relu()
    return network.last(units).squeeze(1)


def plain_loop(recipe: SimpleNamespace, network: Network, fitted: Pairs, held: Pairs) -> None:
    adam = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    for _ in range(recipe.max_epochs):
        network.train()
        for batch in fitted.batches(recipe.batch_size, torch.Generator().manual_seed(0)):
            adam.zero_grad()
            recipe.loss(plain_forward(network, recipe.dropout, batch), batch.label).backward()
            adam.step()
        network.eval()
        with torch.no_grad():
            recipe.loss(plain_forward(network, recipe.dropout, held), held.label)


def runs_of(name: str, data: Training, epochs: int, who: str) -> list[Callable[[], object]]:
    """Return what trains a case, one function a recipe; `who` is a precision, or plain."""
    model, points = CASES[name]
    untrained, fitted, watched = prepare(model, data)
    recipes = [model.how({**point, "max_epochs": epochs, "patience": epochs + 1}) for point in points]
    if who == "plain":
        return [lambda r=recipe: plain_loop(r, untrained.network(), fitted, watched) for recipe in recipes]
    precision, stream = resolve_precision(who, torch.device("cpu")), torch.Generator()
    return [lambda r=recipe: train(untrained.network(), r, fitted, watched, precision, stream) for recipe in recipes]


def seconds(runs: list[Callable[[], object]]) -> float:
    started = time.perf_counter()
    for run in runs:
        run()
    return time.perf_counter() - started


def fastest(name: str, data: Training, arguments: argparse.Namespace) -> dict[str, float]:
    """Return seconds an epoch by who trains, the best of some rounds in which they take turns."""
    runs = {who: runs_of(name, data, arguments.epochs, who) for who in ("auto", "float32", "plain")}
    rounds = [{who: seconds(run) for who, run in runs.items()} for _ in range(arguments.repeats)]
    return {who: min(taken[who] for taken in rounds) / arguments.epochs for who in runs}


class Watch(TorchDispatchMode):
    """Notes the processor time of all operations, by name, and the shapes and strides of matrix products."""

    def __init__(self):
        super().__init__()
        self.seconds, self.products = Counter(), Counter()

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        name = function.overloadpacket.__name__
        started = time.process_time()
        result = function(*arguments, **(named or {}))
        self.seconds[name] += time.process_time() - started
        if name in KINDS["products"]:
            self.products[tuple((matrix.shape, matrix.stride()) for matrix in arguments[-2:])] += 1
        return result


def least_of(function: Callable[[], object], times: int) -> float:
    """Return the processor time of the fastest of some calls."""
    taken = []
    for _ in range(times):
        started = time.process_time()
        function()
        taken.append(time.process_time() - started)
    return min(taken)


def of_product(matrices: tuple) -> float:
    """Return the seconds of a product of two matrices that lie in memory as these."""
    left, right = (torch.empty_strided(*matrix).uniform_(-1, 1) for matrix in matrices)
    return least_of(lambda: torch.mm(left, right), 10)


def profile_of(name: str, data: Training, repeats: int) -> None:
    """Print what an epoch of each recipe of a case takes, and what of it is matrix products."""
    model, points = CASES[name]
    untrained, fitted, watched = prepare(model, data)
    for point, run in zip(points, runs_of(name, data, 1, "float32"), strict=True):
        measured = least_of(run, repeats)
        with Watch() as watch:
            run()
        count = sum(n * a[0][0] * a[0][1] * b[0][1] for (a, b), n in watch.products.items())
        least = sum(n * of_product(matrices) for matrices, n in watch.products.items())
        recipe, network = model.how(point), untrained.network()
        held = least_of(lambda r=recipe, n=network: loss_on(watched, n, r), repeats)
        print(f"\n{model.title}, {point}, {len(fitted.label)} pairs, an epoch:")
        print(f"  multiply-adds {count / 1e9:.0f} G at {2e-9 * count / least:.0f} GFLOP/s: {least:.2f} s at least")
        print(f"  measured {measured:.2f} s: products alone {least / measured:.0%}; without all else "
              f"{measured / least:.2f} times as fast; held-out lines {held:.2f} s of it")  # fmt: skip
        total = {kind: sum(watch.seconds[one] for one in names) for kind, names in KINDS.items()}
        total["other"] = watch.seconds.total() - sum(total.values())
        print("  operations, s: " + ", ".join(f"{kind} {seconds:.2f}" for kind, seconds in total.items()))


def memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", help="write the figures here")
    parser.add_argument("--lines", type=int, default=605)
    parser.add_argument("--perturbations", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--profile", action="store_true", help="only say where an epoch's time goes")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = resolve_device("cpu")
    data = simulate(arguments.lines, arguments.perturbations)
    if arguments.profile:
        print(machine("cpu")["processor"], torch.backends.cpu.get_cpu_capability(), f"{arguments.threads} thread(s)")
        for name in CASES:
            profile_of(name, data, arguments.repeats)
        print(f"\npeak memory {memory():.2f} GB")
        return
    figures = {name: value for name, value in vars(arguments).items() if name not in ("json", "profile")}
    figures["precision"] = str(resolve_precision("auto", device))
    for name in CASES:
        for run in runs_of(name, data, 1, "auto"):
            run()
    figures["peak_memory_gb"] = memory()
    for name in CASES:
        taken = fastest(name, data, arguments)
        figures[f"seconds_per_epoch_{name}"] = taken["auto"]
        figures[f"speedup_vs_plain_{name}"] = taken["plain"] / taken["auto"]
        figures[f"speedup_vs_plain_{name}_float32"] = taken["plain"] / taken["float32"]
    for key, value in figures.items():
        print(f"{key:32s}{value:.4g}" if isinstance(value, float) else f"{key:32s}{value}")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as handle:
            json.dump(figures, handle, indent=1)


if __name__ == "__main__":
    main()
