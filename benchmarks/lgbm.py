"""PS-LGBM: leaplib against a loop over scikit-learn's interface of LightGBM, on the same cores in one run.

    python benchmarks/lgbm.py [--simulated] [--json out.json] [--perturbations 4] [--budget 25]
    python benchmarks/lgbm.py --pan --lines 300 --perturbations 60 --trees 20    # settings of PP-LGBM instead

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

`--pan` grows some trees of PP-LGBM (learning rate 0.15) at settings of LightGBM that may cost less, on one thread and
in processor time, LightGBM's share apart, with Spearman's correlation within drugs on 131 other lines. Its features
are 256 principal components of the expression; simulated codes have fingerprints that say nothing.

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
from lasso import COMPLETE, Problem, real, simulate
from lightgbm import Booster, LGBMRegressor
from sklearn.decomposition import PCA

from leaplib.base.errors import InputError
from leaplib.base.metrics import spearman
from leaplib.cohorts.prepare import cohort
from leaplib.models.base import Training, fingerprint_components
from leaplib.models.trees import PairRows, PPLgbm, PSLgbm, pair_dataset

K = 5
GRID = {"learning_rate": [0.005, 0.01], "feature_fraction": [0.05, 0.25]}
POINTS = list(product(*GRID.values()))
PAN = {
    "as it is": {},
    "31 bins": {"max_bin": 31},
    "15 bins": {"max_bin": 15},
    "gradients in 16 steps": {"use_quantized_grad": True, "num_grad_quant_bins": 16, "quant_train_renew_leaf": True},
    "by columns": {"force_col_wise": True, "force_row_wise": False},
    "half of the pairs a tree": {"bagging_fraction": 0.5, "bagging_freq": 1},
    "a quarter of the features a tree": {"feature_fraction": 0.25},
    "a quarter, 31 bins": {"feature_fraction": 0.25, "max_bin": 31},
    "a tenth, 31 bins": {"feature_fraction": 0.1, "max_bin": 31},
}
"""Settings of PP-LGBM."""


def data(simulated: bool) -> dict[str, Problem]:
    if not simulated:
        try:
            return real()
        except InputError as error:
            print(f"{error}\nSIMULATED data of the same shapes instead")
    shapes = {"simulated, complete": (COMPLETE[0], 256, COMPLETE[1], 0.0), "simulated, gaps": (946, 256, 408, 0.15)}
    return {name: simulate(*shape) for name, shape in shapes.items()}


def pan(options: argparse.Namespace) -> None:
    """Print what settings of PP-LGBM save and how they score."""
    rng = np.random.default_rng(0)
    if options.simulated:
        X, Y, _ = simulate(options.lines + 131, 256, options.perturbations, 0.1)
        bits = rng.random((options.perturbations, 2048)) < 0.03
    else:
        drugs = cohort("paper", "2a")
        chosen = rng.permutation(drugs.response.columns)[: options.perturbations]
        X = PCA(256, whiten=True, random_state=0).fit_transform(drugs.expression.to_numpy(float))
        Y, bits = drugs.response[chosen].to_numpy(float), drugs.fingerprints.loc[chosen].to_numpy()
    train, test = np.split(rng.permutation(len(X))[: options.lines + 131], [options.lines])
    components, model = fingerprint_components(bits), PPLgbm(n_jobs=1)
    training, new = Training(X[train], Y[train], fingerprints=components), np.indices((len(test), len(bits)))
    first = 0.0
    for name, changed in PAN.items():
        settings = model._settings(1) | {"learning_rate": 0.15} | changed
        start = time.process_time()
        dataset = pair_dataset(training, settings)
        booster = Booster(dict(settings), dataset)
        binned = time.process_time()
        for _ in range(options.trees):
            booster.update()
        grown = time.process_time()
        found = booster.predict(PairRows(X[test], components, *new.reshape(2, -1))[:]).reshape(new[0].shape)
        first = first or grown - binned
        print(f"{name:35s}bins {binned - start:.2f} s, a tree {(grown - binned) / options.trees:.3f} s, "
              f"{first / (grown - binned):.2f} times as fast, Spearman {np.nanmean(spearman(Y[test], found)):.4f}",
              flush=True)  # fmt: skip


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
    parser.add_argument("--pan", action="store_true", help="settings of PP-LGBM")
    parser.add_argument("--lines", type=int, default=300, help="of --pan")
    parser.add_argument("--trees", type=int, default=20, help="of --pan")
    options = parser.parse_args()
    if options.pan:
        pan(options)
        return
    problems = data(options.simulated)
    each = [case(name, X, Y, options.perturbations, options.budget) for name, (X, Y, _) in problems.items()]
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
        "simulated": any("simulated" in name for name in problems),
    }
    for key, value in results.items():
        print(f"{key:30s}{value:.4g}" if isinstance(value, float) else f"{key:30s}{value}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
