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
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from leaplib.base.device import resolve_device, resolve_precision
from leaplib.models.base import Training
from leaplib.models.networks import Pairs, PPMlp, PPTdnn, Recipe, Sizes, held_out_lines, train

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


def prepare(model: PPTdnn | PPMlp, data: Training) -> tuple[Sizes, Pairs, Pairs]:
    """Return what both train on: the sizes of the layers, and the pairs of lines to fit and to hold out."""
    held = held_out_lines(data.Y, (0, 0))
    untrained = model._untrained(data, data.Y[~held])
    fitted, watched = (untrained.pairs(data.rows(rows), torch.device("cpu")) for rows in (~held, held))
    return untrained.sizes, fitted, watched


class Plain(nn.Module):
    """The network as torch's own layers."""

    def __init__(self, sizes: Sizes, dropout: float):
        super().__init__()
        n = len(sizes.towers)
        parts = sizes.layers[:n], sizes.layers[n : 2 * n]
        self.line, self.perturbation = (self.stack(part, [dropout] * n) for part in parts)
        *hidden, last = sizes.layers[2 * n :]
        self.joint = self.stack(hidden, [dropout] * (len(hidden) - 1) + [0.0])
        self.joint.append(nn.Linear(*last))

    @staticmethod
    def stack(layers: list[tuple[int, int]], dropouts: list[float]) -> nn.Sequential:
        """Return layers, each with its ReLU and dropout."""
        steps = [step for layer, dropout in zip(layers, dropouts, strict=True)
                 for step in (nn.Linear(*layer), nn.ReLU(), nn.Dropout(dropout))]  # fmt: skip
        return nn.Sequential(*steps)

    def forward(self, lines: Tensor, components: Tensor) -> Tensor:
        """Return the output of pairs, one row of each table a pair."""
        return self.joint(torch.cat([self.line(lines), self.perturbation(components)], dim=1)).squeeze(1)


def plain_loop(recipe: Recipe, sizes: Sizes, fitted: Pairs, held: Pairs) -> None:
    model = Plain(sizes, recipe.dropout)
    adam = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    stream = torch.Generator().manual_seed(0)
    for _ in range(recipe.max_epochs):
        model.train()
        for batch in fitted.batches(recipe.batch_size, stream):
            adam.zero_grad()
            output = model(batch.lines[batch.line], batch.components[batch.perturbation])
            recipe.loss(output, batch.label).backward()
            adam.step()
        model.eval()
        with torch.no_grad():
            recipe.loss(model(held.lines[held.line], held.components[held.perturbation]), held.label)


def runs_of(name: str, data: Training, epochs: int, who: str) -> list[Callable[[], object]]:
    """Return what trains a case, one function a recipe; `who` is a precision, or plain."""
    model, points = CASES[name]
    prepared = prepare(model, data)
    recipes = [replace(model._recipe(point), max_epochs=epochs, patience=epochs + 1) for point in points]
    if who == "plain":
        return [lambda r=recipe: plain_loop(r, *prepared) for recipe in recipes]
    precision = resolve_precision(who, torch.device("cpu"))
    return [lambda r=recipe: train(r, *prepared, (0,), precision) for recipe in recipes]


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
