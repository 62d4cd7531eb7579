"""Tuned ridge regressions of many responses with missing labels: leaplib against himalaya and scikit-learn, one thread.

    python benchmarks/ridge.py                                             # drug responses of GDSC; else simulated
    python benchmarks/ridge.py --samples 800 --features 2000 --responses 400 --missing 0.1

Each solver chooses, for each response, one of ten penalties over the same five folds on four fifths of the samples, and
predicts the rest: PS-RIDGE against himalaya's `KernelRidgeCV` (linear kernel; all responses at once where no label is
missing, else one by one) and scikit-learn's `GridSearchCV` of `KernelRidge` on a kernel made once, and `RidgeCV` (its
own leave-one-out); LEAP+ against the same two on its Gaussian kernel. Kernels of the peers are given, centred, outside
the time, which is processor time. The score is Spearman's correlation of a response on the samples held out, mean over
responses.
A peer that is not installed is left out with a word: `pip install himalaya`.
"""

import argparse
import json
import os
import time
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from lasso import alone, memory, simulate
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV, PredefinedSplit

from leaplib import __version__
from leaplib.base.compute import limited, machine
from leaplib.base.errors import InputError
from leaplib.base.metrics import spearman
from leaplib.cohorts.prepare import cohort
from leaplib.models.ridge import DualRidge, SharedKernelRidge, squared_distances

UNITS = np.geomspace(300, 0.03, 10)
"""Penalties in units of the mean eigenvalue of the kernel."""
OURS = {"linear": ("PS-RIDGE", DualRidge), "Gaussian": ("LEAP+", SharedKernelRidge)}
PEERS = {"himalaya": "himalaya", "KernelRidge": "scikit-learn", "RidgeCV": "scikit-learn"}

Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # X (n, p), Y (n, L) with NaN, folds (n,), training (n,)


def kernel_of(name: str, X: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return a kernel of all samples, centred on the training samples."""
    if name == "linear":
        centred = X - X[train].mean(0)
        return centred @ centred.T
    distances = squared_distances(X, X)
    kernel = np.exp(-distances / np.median(distances[np.ix_(train, train)]))
    center = kernel[train].mean(0)
    return kernel - center - center[:, None] + center[train].mean()


def by_himalaya(kernel: np.ndarray, penalties: np.ndarray, data: Data, columns: np.ndarray) -> np.ndarray:
    """Return predictions of all samples x some responses that miss at the same samples."""
    from himalaya.kernel_ridge import KernelRidgeCV

    _, Y, folds, train = data
    rows = train & ~np.isnan(Y[:, columns[0]])
    split = PredefinedSplit(folds[rows])
    model = KernelRidgeCV(alphas=penalties, kernel="precomputed", cv=split, warn=False)
    mean = Y[np.ix_(rows, columns)].mean(0)
    return model.fit(kernel[np.ix_(rows, rows)], Y[np.ix_(rows, columns)] - mean).predict(kernel[:, rows]) + mean


def by_kernel_ridge(kernel: np.ndarray, penalties: np.ndarray, data: Data, columns: np.ndarray) -> np.ndarray:
    """Return predictions as `by_himalaya`, of one response."""
    _, Y, folds, train = data
    y = Y[:, columns[0]]
    rows = train & ~np.isnan(y)
    search = GridSearchCV(KernelRidge(kernel="precomputed"), {"alpha": penalties}, cv=PredefinedSplit(folds[rows]),
                          scoring="neg_mean_squared_error")  # fmt: skip
    search.fit(kernel[np.ix_(rows, rows)], y[rows] - y[rows].mean())
    return (search.predict(kernel[:, rows]) + y[rows].mean())[:, None]


def by_ridge_cv(_: np.ndarray, penalties: np.ndarray, data: Data, columns: np.ndarray) -> np.ndarray:
    """Return predictions as `by_himalaya`, of one response."""
    X, Y, _, train = data
    rows = train & ~np.isnan(Y[:, columns[0]])
    return RidgeCV(alphas=penalties).fit(X[rows], Y[rows, columns[0]]).predict(X)[:, None]


SOLVERS = {"himalaya": by_himalaya, "KernelRidge": by_kernel_ridge, "RidgeCV": by_ridge_cv}


def peer(solver: str, kernel_name: str, data: Data, seconds: float) -> tuple[float, float, float]:
    """Return seconds a response, score and memory (MB) of a peer on as many responses as time allows."""
    X, Y, _, train = data
    kernel = kernel_of(kernel_name, X, train)
    penalties = UNITS * np.trace(kernel[np.ix_(train, train)]) / train.sum()
    order = np.random.default_rng(0).permutation(Y.shape[1])
    together = solver == "himalaya" and not np.isnan(Y).any()
    parts = [order] if together else [np.array([column]) for column in order[1:]]
    done, scores, taken = 0, [], 0.0
    with limited(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        SOLVERS[solver](kernel, penalties, data, order[:1])  # what is loaded once
        before = memory()
        for part in parts:
            start = time.process_time()
            found = SOLVERS[solver](kernel, penalties, data, part)
            taken += time.process_time() - start
            scores += list(spearman(Y[~train][:, part], found[~train]))
            done += len(part)
            if taken > seconds:
                break
    return taken / done, float(np.nanmean(scores)), memory() - before


def ours(kernel_name: str, data: Data) -> tuple[float, float, float]:
    """Return what `peer` does, of all responses at once."""
    X, Y, folds, train = data
    with limited(1):
        before, start = memory(), time.process_time()
        model = OURS[kernel_name][1]().fit(X[train], Y[train], folds[train])
        found = model.predict(X[~train]).to_numpy()
        seconds = time.process_time() - start
    return seconds / Y.shape[1], float(np.nanmean(spearman(Y[~train], found))), memory() - before


def compare(problem: str, data: Data, seconds: float) -> list[dict[str, object]]:
    """Time one problem with all solvers and print the table."""
    X, Y, _, _ = data
    print(f"\n{problem}: {len(X)} samples, {X.shape[1]} features, {Y.shape[1]} responses, "
          f"{np.isnan(Y).mean():.1%} missing\n\n| kernel   | solver      | version | ms a response | times ours | "
          f"Spearman | memory, MB |\n|{'---|' * 7}")  # fmt: skip
    rows: list[dict[str, object]] = []
    for kernel, (name, _) in OURS.items():
        base, score, used = alone(ours, kernel, data)
        found = [(name, __version__, base, score, used)]
        for solver, package in PEERS.items():
            if kernel == "Gaussian" and solver == "RidgeCV":
                continue  # it takes no kernel
            try:
                found.append((solver, version(package), *alone(peer, solver, kernel, data, seconds)))
            except PackageNotFoundError:
                print(f"{solver}: left out, not installed (pip install {package})")
        for solver, release, taken, score, used in found:
            print(f"| {kernel:9s}| {solver:12s}| {release:8s}| {taken * 1e3:13.1f} | {taken / base:10.1f} "
                  f"| {score:8.3f} | {used:10.0f} |", flush=True)  # fmt: skip
            rows.append({"problem": problem, "kernel": kernel, "solver": solver, "version": release, "spearman": score,
                         "ms_per_response": taken * 1e3, "ratio": taken / base, "memory_mb": used})  # fmt: skip
    return rows


def prepared(X: np.ndarray, Y: np.ndarray) -> Data:
    """Return the data with standardised features, five folds, and a fifth of the samples held out."""
    rng = np.random.default_rng(0)
    train = rng.permutation(len(X)) < 0.8 * len(X)
    sd = X[train].std(0)
    X = (X - X[train].mean(0))[:, sd > 0] / sd[sd > 0]
    return X, Y, rng.permutation(np.arange(len(X)) % 5), train


def problems(options: argparse.Namespace) -> dict[str, Data]:
    """Return the problems that are asked for, by name."""
    if options.samples or options.features or options.responses or options.missing is not None:
        shape = options.samples or 800, options.features or 2000, options.responses or 400
        return {"simulated": prepared(*simulate(*shape, options.missing or 0.0)[:2])}
    try:
        drugs = cohort("paper", "2a")
    except InputError as error:
        print(f"{error}\nSimulated data of a like shape instead")
        return {f"simulated, {missing:.0%} missing": prepared(*simulate(946, 3000, 408, missing)[:2])
                for missing in (0.0, 0.15)}  # fmt: skip
    X, Y = (frame.to_numpy(dtype=float) for frame in (drugs.expression, drugs.response))
    return {"drug responses of GDSC": prepared(X, Y),
            "the same, gaps filled by the mean": prepared(X, np.where(np.isnan(Y), np.nanmean(Y, 0), Y))}  # fmt: skip


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("samples", "features", "responses"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--missing", type=float, help="share of missing labels, at random")
    parser.add_argument("--seconds", type=float, default=15, help="for each peer")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(f"one thread of {machine()['processor']}")
    rows = [row for name, data in problems(options).items() for row in compare(name, data, options.seconds)]
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
