"""Lasso paths: leaplib against scikit-learn and skglm, on the same cores in one run.

    python benchmarks/lasso.py [--simulated] [--json out.json] [--device auto]

Real data: the drug responses of GDSC v2 and v1 (task 2a, all drugs) and the codes of the demo profile's
autoencoders, which are trained now where `make run` has not done so yet. Without the archives, or with
`--simulated`, data of the same shapes are simulated, and the output says so.

Two cases, five folds and ten penalties each:

complete
    The shape of task 1a: 815 samples, 1,539 perturbations without a missing label. The labels are
    the standardised expression of random genes plus noise, so that the codes predict them about as
    well as they predict gene dependencies (Spearman about 0.3).
missing
    The measured drug responses, each drug with its own missing cell lines.

scikit-learn is `lasso_path` with a precomputed Gram matrix (one a fold for complete labels, one a
drug and fold otherwise); skglm is `skglm.Lasso` for each penalty, largest first. Both run at their
default tolerance, in parallel over perturbations with joblib, on a random subset. Exactness is
measured against scikit-learn at tol 1e-8.
"""

import argparse
import json
import resource
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed, parallel_config
from scipy.stats import rankdata
from skglm import Lasso
from sklearn.linear_model import lasso_path

from leaplib.base.errors import InputError
from leaplib.cohorts.prepare import drug_screen
from leaplib.cohorts.selection import prepare_drugs
from leaplib.models.lasso_path import lasso_paths
from leaplib.profiles import get_profile
from leaplib.representation.pretraining import embed
from leaplib.tasks import get_task

K = 5
COMPLETE = 815, 1539
EXPLAINED = 0.01
"""Fits that explain less of the training labels are left out of the relative error: at tol 1e-8
scikit-learn's own predictions are not known to 1e-3 there."""


def load_data(device: str) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Return the embeddings, the complete labels and the labels with NaN; all on the same samples."""
    profile = get_profile("demo")
    cohort, _ = prepare_drugs(drug_screen(profile), get_task("2a"), fingerprints=False)
    codes = embed(profile, get_task("2a"), device).codes
    genes = np.random.default_rng(0).choice(cohort.expression.shape[1], COMPLETE[1], replace=False)
    signal = cohort.expression.to_numpy(dtype=float)[:, genes]
    print(
        f"GDSC v2 and v1: {len(cohort.samples)} lines, {cohort.response.shape[1]} drugs, {len(codes)} representations"
    )
    samples = cohort.samples.index
    return [c.loc[samples].to_numpy(dtype=float) for c in codes], with_noise(signal), cohort.response.to_numpy()


def with_noise(signal: np.ndarray) -> np.ndarray:
    """Return each column standardised, plus noise with twice its SD."""
    signal = (signal - signal.mean(0)) / signal.std(0)
    return signal + 2 * np.random.default_rng(1).standard_normal(signal.shape)


def simulate(n: int = 975, p: int = 256) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Return nearly collinear ReLU codes of common factors, and labels that depend on the factors."""
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((n, 120)) * np.linspace(2, 0.1, 120)
    embeddings = [np.maximum(factors @ rng.standard_normal((120, p)) / 4 - 0.5, 0) for _ in range(5)]
    complete, drugs = (with_noise(factors @ rng.standard_normal((120, L))) for L in (COMPLETE[1], 664))
    share = rng.choice([0.02, 0.07, 0.3, 0.7], drugs.shape[1], p=[0.4, 0.45, 0.1, 0.05])
    drugs[rng.random(drugs.shape) < share] = np.nan
    return embeddings, complete, drugs


def training_set(X: np.ndarray, Y: np.ndarray, folds: np.ndarray, k: int, j: int) -> tuple[np.ndarray, np.ndarray]:
    rows = (folds != k) & ~np.isnan(Y[:, j])
    return X[rows] - X[rows].mean(0), Y[rows, j] - Y[rows, j].mean()


def by_sklearn(X, Y, folds, alphas, grams, j, **options) -> list[np.ndarray]:
    """Return the K paths (p, A) of one perturbation; ``grams`` are the folds', if they are shared."""
    paths = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(K):
            Xt, yt = training_set(X, Y, folds, k, j)
            gram = Xt.T @ Xt if grams is None else grams[k]
            paths.append(lasso_path(Xt, yt, alphas=alphas[:, j], precompute=gram, Xy=Xt.T @ yt, **options)[1])
    return paths


def by_skglm(X, Y, folds, alphas, grams, j) -> list[np.ndarray]:
    """Return the K paths (p, A) of one perturbation."""
    paths = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(K):
            rows = (folds != k) & ~np.isnan(Y[:, j])
            Xt = np.asfortranarray(X[rows])
            paths.append(np.stack([Lasso(alpha=a).fit(Xt, Y[rows, j]).coef_ for a in alphas[:, j]], 1))
    return paths


def peer(run: Callable, sample: np.ndarray, arguments: tuple, **options) -> tuple[float, list]:
    """Return seconds a perturbation of a peer on all cores, and its paths."""
    cores = torch.get_num_threads()
    with parallel_config("loky", n_jobs=cores, inner_max_num_threads=1), Parallel(batch_size=1) as parallel:
        parallel(delayed(run)(*arguments, j) for j in sample[: 2 * cores])  # starts workers, compiles
        start = time.perf_counter()
        paths = parallel(delayed(run)(*arguments, j, **options) for j in sample)
        return (time.perf_counter() - start) / len(sample), paths


def spearman(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation of each column with ``truth``; 0 for a constant column."""
    a, b = rankdata(prediction, axis=0), rankdata(truth)
    a, b = a - a.mean(0), b - b.mean()
    return b @ a / np.maximum(np.sqrt((a * a).sum(0) * (b @ b)), 1e-12)


def compare(X, Y, folds, ours, sample, paths) -> tuple[float, float, float]:
    """Return the largest relative error of the predictions, the share of equal alphas, Spearman."""
    errors, equal, best = [], [], []
    for j, theirs in zip(sample, paths, strict=True):
        scores = np.zeros((2, K, len(ours.alphas)))
        for k in range(K):
            Xt, yt = training_set(X, Y, folds, k, j)
            mine, reference = ours.coef[k, :, :, j].T.astype(float), theirs[k]
            fitted = Xt @ reference
            large = fitted.var(0) >= EXPLAINED * yt.var()
            errors.append((np.sqrt(((Xt @ mine - fitted) ** 2).mean(0)) / np.maximum(fitted.std(0), 1e-300))[large])
            held_out = (folds == k) & ~np.isnan(Y[:, j])
            scores[:, k] = [spearman(X[held_out] @ coef, Y[held_out, j]) for coef in (mine, reference)]
        chosen = scores.mean(1).argmax(1)
        equal.append(chosen[0] == chosen[1])
        best.append(scores.mean(1)[0].max())
    return float(np.concatenate(errors).max()), float(np.mean(equal)), float(np.mean(best))


def case(name: str, X: np.ndarray, Y: np.ndarray, counts: tuple[int, int, int]) -> dict[str, float]:
    """Time one case and compare; ``counts`` are perturbations for scikit-learn, skglm, exactness."""
    rng = np.random.default_rng(0)
    folds = rng.permutation(np.arange(len(X)) % K)
    lasso_paths(X, Y[:, :20], folds)
    start = time.perf_counter()
    ours = lasso_paths(X, Y, folds)
    seconds = (time.perf_counter() - start) / Y.shape[1]
    grams = None
    if not np.isnan(Y).any():
        grams = [Xt.T @ Xt for Xt, _ in (training_set(X, Y, folds, k, 0) for k in range(K))]
    arguments = X, Y, folds, ours.alphas, grams
    order = rng.permutation(Y.shape[1])
    sklearn, _ = peer(by_sklearn, order[: counts[0]], arguments)
    skglm, _ = peer(by_skglm, order[: counts[1]], arguments)
    _, exact = peer(by_sklearn, order[: counts[2]], arguments, tol=1e-8, max_iter=100_000)
    error, agreement, score = compare(X, Y, folds, ours, order[: counts[2]], exact)
    print(f"\n{name}: {len(X)} samples, {Y.shape[1]} perturbations, Spearman {score:.2f}")
    for who, value in (("leaplib", seconds), ("scikit-learn", sklearn), ("skglm", skglm)):
        print(f"  {who:13s}{value / K * 1e3:9.2f} ms a path {value / seconds:8.1f} x")
    print(f"  largest gap {ours.gap.max():.1e}, relative error {error:.1e}, same alpha {agreement:.1%}", flush=True)
    return {
        "sklearn": sklearn / seconds,
        "skglm": skglm / seconds,
        "error": error,
        "agreement": agreement,
        "gap": float(ours.gap.max()),
        "ms_per_path": seconds / K * 1e3,
    }


def stage(embeddings: list[np.ndarray], Y: np.ndarray) -> float:
    """Return the seconds of task 1a's regression for one split: 5 representations x 5 folds."""
    folds = np.random.default_rng(0).permutation(np.arange(len(Y)) % K)
    start = time.perf_counter()
    for i in range(5):
        lasso_paths(embeddings[i % len(embeddings)], Y, folds)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulated", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    options = parser.parse_args()
    try:
        embeddings, complete, drugs = simulate() if options.simulated else load_data(options.device)
    except InputError as error:
        print(f"{error}\nSIMULATED data of the same shapes instead")
        options.simulated = True
        embeddings, complete, drugs = simulate()
    rows = np.random.default_rng(0).permutation(len(complete))[: COMPLETE[0]]
    embeddings = [e.astype(np.float64) for e in embeddings]
    seconds = stage([e[rows] for e in embeddings], complete[rows])
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"task 1a's regression, one split: {seconds:.1f} s, peak memory {memory:.2f} GB")
    full = case("complete", embeddings[0][rows], complete[rows], (40, 6, 150))
    nan = case("missing", embeddings[0], drugs, (40, 10, 120))
    results = {
        "speedup_vs_sklearn_complete": full["sklearn"],
        "speedup_vs_skglm_complete": full["skglm"],
        "speedup_vs_sklearn_missing": nan["sklearn"],
        "speedup_vs_skglm_missing": nan["skglm"],
        "max_relative_error": max(full["error"], nan["error"]),
        "alpha_agreement": min(full["agreement"], nan["agreement"]),
        "max_gap": max(full["gap"], nan["gap"]),
        "ms_per_path_complete": full["ms_per_path"],
        "ms_per_path_missing": nan["ms_per_path"],
        "seconds_task_1a_split": seconds,
        "peak_memory_gb": memory,
        "cores": torch.get_num_threads(),
        "simulated": options.simulated,
    }
    print()
    for key, value in results.items():
        print(f"{key:30s}{value:.4g}" if isinstance(value, float) else f"{key:30s}{value}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
