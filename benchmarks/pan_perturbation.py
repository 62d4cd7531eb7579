"""PP-tDNN and PP-MLP against a plain PyTorch loop over written-out pairs, in one run.

    python benchmarks/pan_perturbation.py [--json out.json] [--lines 605] [--perturbations 40] [--epochs 2]

The peer is what one writes first: the architecture in `nn.Sequential`, and batches of which each pair holds its
line's features and its perturbation's components, side by side, in float32. Both train for the same epochs, on
as many batches of the same size, and look at the held-out lines after each epoch. The default shape is that of
one fold of task 2a in the demo profile; the data are simulated, on whose values the time does not depend.
PP-tDNN is timed at dropout 0.1, PP-MLP at both batch sizes of its grid together; on one thread unless `--threads`
says otherwise, since threads that wait for a busy core make any ratio.

JSON keys: `speedup_vs_plain_tdnn`, `speedup_vs_plain_mlp` (in the precision that the models choose),
`speedup_vs_plain_tdnn_float32`, `speedup_vs_plain_mlp_float32`, `seconds_per_epoch_tdnn`, `seconds_per_epoch_mlp`,
`peak_memory_gb` (of the models, before the peer runs), `precision`, and the arguments.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from leaplib.base.compute import resolve_device, resolve_precision
from leaplib.models.base import Training
from leaplib.models.networks import Network, PairModels, Pairs, PPMlp, PPTdnn, held_out_lines, train

CASES = {
    "tdnn": (PPTdnn(), [{"dropout": 0.1}]),
    "mlp": (PPMlp(), [{"learning_rate": 1e-3, "batch_size": size} for size in (2048, 8192)]),
}
N_FEATURES, N_BITS, MISSING = 256, 2048, 0.1


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
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = resolve_device("cpu")
    data = simulate(arguments.lines, arguments.perturbations)
    figures = {name: value for name, value in vars(arguments).items() if name != "json"}
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
