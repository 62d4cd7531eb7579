"""PS-LGBM: leaplib against a loop over scikit-learn's interface of LightGBM, on the same cores in one run.

    python benchmarks/lgbm.py [--simulated] [--json out.json] [--perturbations 4] [--budget 25]

Data as in `benchmarks/lasso.py`: the codes of the demo profile's first autoencoder with measured drug responses
(missing labels) and with noisy gene expression (complete labels), a few random perturbations of each; simulated
where the archives are absent, and the output says so. The grid has the paper's two learning rates and the ends of
its feature fractions; five folds.

Two peers, both an `LGBMRegressor` for each perturbation, fold and grid point, with LightGBM's own 255 bins:

loop
    One after the other at the default `n_jobs`, all cores: what one writes first. In random order until its
    budget is spent. Its threads wait for each other, so on a busy machine it can be many times slower still.
parallel
    Perturbations in processes of joblib, `n_jobs=1` each. All of them, so that accuracies can be compared: mean
    Spearman correlation on the held-out folds at the best grid point, and of the fold ensemble on test samples.

Run on an idle machine if the seconds are to mean anything. The first peer's figure counts fits, whose number of
trees is fixed; the second's the whole run.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from lasso import load_data, simulate
from lightgbm import LGBMRegressor

from leaplib.base.errors import InputError
from leaplib.base.metrics import spearman
from leaplib.models.trees import PSLgbm

K = 5
GRID = {"learning_rate": [0.005, 0.01], "feature_fraction": [0.05, 0.25]}
POINTS = list(product(*GRID.values()))


def regressor(point: tuple[float, float], n_jobs: int | None) -> LGBMRegressor:
    return LGBMRegressor(
        n_estimators=400, max_depth=10, num_leaves=31, min_child_samples=5, reg_alpha=1, reg_lambda=1,
        learning_rate=point[0], colsample_bytree=point[1], random_state=0, n_jobs=n_jobs, verbosity=-1,
    )  # fmt: skip


def fit(X: np.ndarray, y: np.ndarray, folds: np.ndarray, k: int, point: tuple, n_jobs: int | None) -> LGBMRegressor:
    rows = (folds != k) & ~np.isnan(y)
    return regressor(point, n_jobs).fit(X[rows], y[rows])


def tune(X: np.ndarray, y: np.ndarray, folds: np.ndarray, new: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the best mean score on the held-out folds and the ensemble's predictions, by the parallel peer."""
    scores, predictions = np.zeros((K, len(POINTS))), np.zeros((K, len(POINTS), len(new)))
    for k, (g, point) in product(range(K), enumerate(POINTS)):
        model, held = fit(X, y, folds, k, point, 1), folds == k
        scores[k, g] = spearman(y[held, None], model.predict(X[held])[:, None])[0]
        predictions[k, g] = model.predict(new)
    best = np.nanmean(scores, axis=0).argmax()
    return float(np.nanmean(scores, axis=0)[best]), predictions[:, best].mean(axis=0)


def timed(function: Callable, *arguments) -> tuple[float, object]:
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def by_processes(X, Y, folds, new) -> tuple[np.ndarray, np.ndarray]:
    work = (delayed(tune)(X, y, folds, new) for y in Y.T)
    scores, predictions = zip(*Parallel(torch.get_num_threads(), batch_size=1)(work), strict=True)
    return np.array(scores), np.array(predictions).T


def seconds_of_a_fit(X: np.ndarray, Y: np.ndarray, folds: np.ndarray, budget: float) -> tuple[float, int]:
    """Return the loop's mean seconds a fit, over fits in random order until the budget is spent, and their number."""
    order = list(product(range(Y.shape[1]), range(K), POINTS))
    start = time.perf_counter()
    done = 0
    for i in np.random.default_rng(0).permutation(len(order)):
        j, k, point = order[i]
        fit(X, Y[:, j], folds, k, point, None).predict(X[folds == k])
        done += 1
        if time.perf_counter() - start > budget:
            break
    return (time.perf_counter() - start) / done, done


def case(name: str, X: np.ndarray, Y: np.ndarray, count: int, budget: float) -> dict[str, float]:
    """Compare on some random perturbations."""
    rng = np.random.default_rng(0)
    rows, Y = rng.permutation(len(X)), Y[:, rng.permutation(Y.shape[1])[:count]]
    train, test = np.split(rows, [int(0.8 * len(X))])
    folds = rng.permutation(np.arange(len(train)) % K)
    arguments = X[train], Y[train], folds
    ours, model = timed(PSLgbm(grid=GRID).fit, *arguments)
    processes, (scores, predictions) = timed(by_processes, *arguments, X[test])
    loop, fits = seconds_of_a_fit(*arguments, budget)
    figures = {"seconds": ours, "parallel": processes, "loop": loop * count * K * len(POINTS), "fits": fits}
    figures |= {"cv": float(model.cv_score_.mean()), "cv_loop": float(scores.mean())}
    figures["test"] = float(np.nanmean(spearman(Y[test], model.predict(X[test]).to_numpy())))
    figures["test_loop"] = float(np.nanmean(spearman(Y[test], predictions)))
    print(
        f"{name}: {len(train)} samples, {count} perturbations; " + ", ".join(f"{k} {v:.4g}" for k, v in figures.items())
    )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulated", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--perturbations", type=int, default=4, help="of each kind")
    parser.add_argument("--budget", type=float, default=25, help="seconds for the loop, of each kind")
    options = parser.parse_args()
    try:
        embeddings, complete, drugs = simulate() if options.simulated else load_data("auto")
    except InputError as error:
        print(f"{error}\nSIMULATED data of the same shapes instead")
        options.simulated = True
        embeddings, complete, drugs = simulate()
    X = embeddings[0]
    each = [
        case(name, X, np.asarray(Y, dtype=float), options.perturbations, options.budget)
        for name, Y in (("missing", drugs), ("complete", complete))
    ]
    total = {key: sum(figures[key] for figures in each) for key in each[0]}
    results = {
        "speedup_vs_loop": total["loop"] / total["seconds"],
        "speedup_vs_parallel_loop": total["parallel"] / total["seconds"],
        "cv_spearman": total["cv"] / 2,
        "cv_spearman_loop": total["cv_loop"] / 2,
        "test_spearman": total["test"] / 2,
        "test_spearman_loop": total["test_loop"] / 2,
        "fits_of_the_loop": total["fits"],
        "seconds_per_fit": total["seconds"] / (2 * options.perturbations * K * len(POINTS)),
        "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "cores": torch.get_num_threads(),
        "simulated": options.simulated,
    }
    for key, value in results.items():
        print(f"{key:30s}{value:.4g}" if isinstance(value, float) else f"{key:30s}{value}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
