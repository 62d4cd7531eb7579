"""Lasso paths of many responses with missing labels: leaplib against the solvers of the field, one thread each.

    python benchmarks/lasso.py                          # drug responses of GDSC and the demo's codes; else simulated
    python benchmarks/lasso.py --samples 815 --features 256 --responses 1539 --missing 0.1     # any simulated shape
    python benchmarks/lasso.py --peers scikit-learn,adelie --seconds 30 --json out.json

The problem, for each response and each of five folds: the paths over ten penalties, the same for all solvers, of

    1/(2n) ||y - b0 - X b||^2 + alpha ||b||_1

on the samples of the training set that have the label. Peers are fitted response by response on centred data, as long
as `--seconds` says and on the same random order of responses, each at its own default tolerance and at a tight one.
Those that take a Gram matrix (scikit-learn, adelie) get that of the fold for nothing where no label is missing.
Times are processor time. The gap is the largest duality gap over the null loss, computed here from the coefficients
for all solvers alike.
A peer that is not installed is left out with a word: `pip install adelie celer skglm python-glmnet`.
"""

import argparse
import json
import os
import resource
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from leaplib import __version__
from leaplib.base.compute import limited, machine
from leaplib.base.errors import InputError
from leaplib.cohorts.prepare import cohort
from leaplib.models.lasso import lasso_paths
from leaplib.representation.pretraining import embed

K, N_ALPHAS = 5, 10
COMPLETE = 815, 1539
"""Samples and genes of task 1a in the paper."""

Problem = tuple[np.ndarray, np.ndarray, np.ndarray]  # X (n, p), Y (n, L) with NaN, folds (n,)


def by_sklearn(X: np.ndarray, y: np.ndarray, gram: np.ndarray, alphas: np.ndarray, tol: float) -> np.ndarray:
    from sklearn.linear_model import lasso_path

    return lasso_path(X, y, alphas=alphas, precompute=gram, Xy=X.T @ y, tol=tol, max_iter=100_000)[1].T


def by_adelie(X: np.ndarray, y: np.ndarray, gram: np.ndarray, alphas: np.ndarray, tol: float) -> np.ndarray:
    from adelie.solver import gaussian_cov

    state = gaussian_cov(gram / len(X), X.T @ y / len(X), lmda_path=alphas, tol=tol, early_exit=False,
                         progress_bar=False)  # fmt: skip
    return state.betas.toarray()


def by_celer(X: np.ndarray, y: np.ndarray, _: None, alphas: np.ndarray, tol: float) -> np.ndarray:
    from celer import celer_path

    return celer_path(X, y, "lasso", alphas=alphas, tol=tol)[1].T


def by_skglm(X: np.ndarray, y: np.ndarray, _: None, alphas: np.ndarray, tol: float) -> np.ndarray:
    from skglm import Lasso

    return Lasso(fit_intercept=False, tol=tol).path(X, y, alphas)[1].T


def by_glmnet(X: np.ndarray, y: np.ndarray, _: None, alphas: np.ndarray, tol: float) -> np.ndarray:
    from glmnet import ElasticNet

    model = ElasticNet(lambda_path=alphas, standardize=False, fit_intercept=False, n_splits=0, tol=tol)
    return model.fit(X, y).coef_path_.T


PEERS: dict[str, tuple[Callable[..., np.ndarray], str, bool, tuple[float, float]]] = {
    "scikit-learn": (by_sklearn, "scikit-learn", True, (1e-4, 1e-12)),
    "adelie": (by_adelie, "adelie", True, (1e-7, 1e-20)),
    "celer": (by_celer, "celer", False, (1e-6, 1e-12)),
    "glmnet": (by_glmnet, "python-glmnet", False, (1e-7, 1e-20)),
    "skglm": (by_skglm, "skglm", False, (1e-4, 1e-10)),
}
"""Solver, package, whether it takes a Gram matrix, and its default tolerance and a tight one, each in its own units."""


def training_set(problem: Problem, k: int, j: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features and labels of a fold's training set that have the label, centred."""
    X, Y, folds = problem
    rows = (folds != k) & ~np.isnan(Y[:, j])
    return np.asfortranarray(X[rows] - X[rows].mean(0)), Y[rows, j] - Y[rows, j].mean()


def gap(X: np.ndarray, y: np.ndarray, coef: np.ndarray, alphas: np.ndarray) -> float:
    """Return the largest duality gap of a path (A, p) over the null loss."""
    n, gaps = len(X), []
    for beta, alpha in zip(coef, alphas, strict=True):
        residual = y - X @ beta
        scale = min(1.0, alpha * n / max(np.abs(X.T @ residual).max(), 1e-300))
        primal = residual @ residual / (2 * n) + alpha * np.abs(beta).sum()
        gaps.append(primal - (scale * (residual @ y) - scale**2 * (residual @ residual) / 2) / n)
    return max(gaps) / (y @ y / (2 * n))


def grams(problem: Problem) -> list[np.ndarray] | None:
    """Return the Gram matrix of each fold, if no label is missing."""
    if np.isnan(problem[1]).any():
        return None
    return [X.T @ X for X, _ in (training_set(problem, k, 0) for k in range(K))]


def peer(name: str, tol: float, problem: Problem, alphas: np.ndarray, seconds: float) -> tuple[float, float, float]:
    """Return seconds a path, the largest gap and the memory (MB) of a peer on as many responses as time allows."""
    solve, _, takes_gram, _ = PEERS[name]
    shared, order = grams(problem), np.random.default_rng(0).permutation(problem[1].shape[1])

    def fit(j: int, k: int) -> tuple[float, float]:
        X, y = training_set(problem, k, j)
        start = time.process_time()
        gram = None if not takes_gram else X.T @ X if shared is None else shared[k]
        coef = solve(X, y / y.std(), gram, alphas[:, j] / y.std(), tol) * y.std()  # some tolerances are absolute
        return time.process_time() - start, gap(X, y, coef, alphas[:, j])

    def fits() -> Iterator[tuple[float, float]]:
        taken = 0.0
        for j in order[1:]:
            for k in range(K):
                yield (found := fit(j, k))
                taken += found[0]
            if taken > seconds:
                return

    with limited(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fits that did not converge: their gap says so
        fit(order[0], 0)  # compiles
        before = memory()
        times, gaps = zip(*fits(), strict=True)
    return float(np.mean(times)), max(gaps), memory() - before


def ours(problem: Problem) -> tuple[float, float, float, np.ndarray]:
    """Return what `peer` does, of all responses at once, and the penalties (A, L)."""
    X, Y, folds = problem
    with limited(1):
        lasso_paths(X, Y[:, :20], folds, N_ALPHAS)  # compiles
        before, start = memory(), time.process_time()
        paths = lasso_paths(X, Y, folds, N_ALPHAS)
        seconds = (time.process_time() - start) / (K * Y.shape[1])
    some = np.random.default_rng(0).permutation(Y.shape[1])[:50]
    largest = max(gap(*training_set(problem, k, j), paths.coef[k, :, :, j], paths.alphas[:, j])
                  for j in some for k in range(K))  # fmt: skip
    return seconds, largest, memory() - before, paths.alphas


def memory() -> float:
    """Return the largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def alone(function: Callable, *arguments: object) -> tuple:
    """Return function(*arguments), computed in a process of its own: its memory is its own."""
    with ProcessPoolExecutor(1, get_context("forkserver")) as pool:
        return pool.submit(function, *arguments).result()


def compare(name: str, problem: Problem, peers: list[str], seconds: float) -> list[dict[str, object]]:
    """Time one problem with all solvers and print the table."""
    X, Y, _ = problem
    missing = np.isnan(Y).mean()
    print(f"\n{name}: {len(X)} samples, {X.shape[1]} features, {Y.shape[1]} responses, {missing:.1%} missing\n")
    print(f"| {'solver':13s}| {'version':8s}| {'tolerance':9s}| ms a path | times ours | {'gap':8s}| memory, MB |")
    print(f"|{'---|' * 7}")
    base, largest, used, alphas = alone(ours, problem)
    rows: list[dict[str, object]] = []
    for peer_name, tol in [("leaplib", 0.0), *((p, tol) for p in peers for tol in PEERS[p][3])]:
        release = __version__ if peer_name == "leaplib" else version(PEERS[peer_name][1])
        taken, reached, size = (base, largest, used) if tol == 0 else alone(peer, peer_name, tol, problem, alphas,
                                                                              seconds)  # fmt: skip
        rows.append({"problem": name, "solver": peer_name, "version": release, "tolerance": tol,
                     "ms_per_path": taken * 1e3, "ratio": taken / base, "gap": reached, "memory_mb": size})  # fmt: skip
        print(f"| {peer_name:13s}| {release:8s}| {tol or 'none':<9}| {taken * 1e3:9.2f} | {taken / base:10.1f} "
              f"| {reached:.1e} | {size:10.0f} |", flush=True)  # fmt: skip
    return rows


def simulate(n: int, p: int, responses: int, missing: float) -> Problem:
    """Return nearly collinear codes of common factors, and noisy labels of the factors with random gaps."""
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((n, 120)) * np.linspace(2, 0.1, 120)
    X = np.maximum(factors @ rng.standard_normal((120, p)) / 4 - 0.5, 0)
    Y = with_noise(factors @ rng.standard_normal((120, responses)), rng)
    Y[rng.random(Y.shape) < missing] = np.nan
    return X, Y, rng.permutation(np.arange(n) % K)


def with_noise(signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return each column standardised, plus noise with twice its SD: scores of about 0.3, as in life."""
    return (signal - signal.mean(0)) / signal.std(0) + 2 * rng.standard_normal(signal.shape)


def real() -> dict[str, Problem]:
    """Return both problems on the demo's codes: drug responses with their gaps, and genes with noise without any."""
    drugs, codes = cohort("paper", "2a"), embed("demo", "2a").codes[0]
    rng = np.random.default_rng(0)
    X = codes.loc[drugs.samples.index].to_numpy(dtype=float)
    genes = rng.choice(drugs.expression.shape[1], min(COMPLETE[1], drugs.expression.shape[1]), replace=False)
    labels = with_noise(drugs.expression.to_numpy(dtype=float)[:, genes], rng)
    folds, rows = rng.permutation(np.arange(len(X)) % K), rng.permutation(len(X))[: COMPLETE[0]]
    return {"complete labels, codes of GDSC": (X[rows], labels[rows], folds[rows]),
            "drug responses of GDSC": (X, drugs.response.to_numpy(dtype=float), folds)}  # fmt: skip


def problems(options: argparse.Namespace) -> dict[str, Problem]:
    """Return the problems that are asked for, by name."""
    if options.samples or options.features or options.responses or options.missing is not None:
        shape = options.samples or COMPLETE[0], options.features or 256, options.responses or COMPLETE[1]
        return {"simulated": simulate(*shape, options.missing or 0.0)}
    try:
        return real()
    except InputError as error:
        print(f"{error}\nSimulated data of the same shapes instead")
        return {"simulated, complete labels": simulate(COMPLETE[0], 256, COMPLETE[1], 0.0),
                "simulated, with gaps": simulate(946, 256, 408, 0.15)}  # fmt: skip


def at_hand(names: list[str]) -> list[str]:
    """Return the peers that are installed, and say which are not."""
    found = []
    for name in names:
        try:
            version(PEERS[name][1])
            found.append(name)
        except PackageNotFoundError:
            print(f"{name}: left out, not installed (pip install {PEERS[name][1]})")
    return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("samples", "features", "responses"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--missing", type=float, help="share of missing labels, at random")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--seconds", type=float, default=15, help="for each peer and tolerance")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(f"one thread of {machine()['processor']}")
    peers = at_hand([name for name in options.peers.split(",") if name])
    found = problems(options).items()
    rows = [row for name, problem in found for row in compare(name, problem, peers, options.seconds)]
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
