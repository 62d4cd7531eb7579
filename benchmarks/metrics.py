"""Metrics over samples x perturbations against a loop over scipy, in one run.

    python benchmarks/metrics.py [--json out.json] [--samples 204] [--perturbations 1539] [--missing 0.2]

The peer goes over the perturbations and calls `scipy.stats.spearmanr` and `pearsonr` (scikit-learn's `roc_auc_score`
for the AUROC, numpy's mean for the squared error) on the measured samples. Both must agree to 1e-12.

JSON keys: `speedup_vs_loop` (all metrics together), `speedup_vs_loop_spearman`, `_pearson`, `_mse`, `_auroc`,
`max_difference`, `samples`, `perturbations`, `missing`.
"""

import argparse
import json
import math
import time
from collections.abc import Callable

import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import roc_auc_score

from leaplib.base.metrics import METRICS


def loop(metric: Callable[..., float], truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    values = []
    for column in range(truth.shape[1]):
        measured = ~np.isnan(truth[:, column])
        values.append(metric(truth[measured, column], prediction[measured, column]))
    return np.array(values)


PEERS: dict[str, Callable[..., float]] = {
    "spearman": lambda truth, prediction: spearmanr(truth, prediction).statistic,
    "pearson": lambda truth, prediction: pearsonr(truth, prediction).statistic,
    "auroc": lambda truth, prediction: roc_auc_score(
        truth >= np.sort(truth)[len(truth) - math.ceil(len(truth) / 10)], prediction
    ),
    "mse": lambda truth, prediction: np.mean((truth - prediction) ** 2),
}


def fastest(function: Callable[[], np.ndarray], repeats: int) -> tuple[float, np.ndarray]:
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - started)
    return min(seconds), result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", help="write the figures here")
    parser.add_argument("--samples", type=int, default=204)
    parser.add_argument("--perturbations", type=int, default=1539)
    parser.add_argument("--missing", type=float, default=0.2)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    prediction = rng.normal(size=(arguments.samples, arguments.perturbations))
    truth = np.round(prediction + rng.normal(size=prediction.shape), 2)  # rounded, so that there are ties
    truth[rng.random(truth.shape) < arguments.missing] = np.nan

    figures: dict[str, float] = {}
    total = np.zeros(2)
    difference = 0.0
    print(f"{arguments.samples} samples x {arguments.perturbations} perturbations, {arguments.missing:.0%} missing")
    for name, metric in METRICS.items():
        ours, values = fastest(lambda metric=metric: metric(truth, prediction), 7)
        theirs, expected = fastest(lambda name=name: loop(PEERS[name], truth, prediction), 3)
        total += theirs, ours
        difference = max(difference, np.abs(values - expected).max())
        figures[f"speedup_vs_loop_{name}"] = theirs / ours
        print(f"  {name:10s} loop {1000 * theirs:8.1f} ms   leaplib {1000 * ours:7.1f} ms   {theirs / ours:6.1f} x")
    figures["speedup_vs_loop"] = total[0] / total[1]
    figures["max_difference"] = float(difference)
    print(f"  together {figures['speedup_vs_loop']:.1f} x, largest difference {difference:.1e}")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as handle:
            json.dump({**figures, **{k: v for k, v in vars(arguments).items() if k != "json"}}, handle, indent=1)


if __name__ == "__main__":
    main()
