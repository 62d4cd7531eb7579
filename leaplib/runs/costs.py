"""What a job costs: core-seconds and memory, estimated from its size by rates that a run log calibrates.

Each model has a unit of work, the count of what it does most of (fits of trees on samples, steps of networks on pairs,
penalties of Lassos), and its core-seconds are base + rate x work. The rates are those of `RATES`, measured on the demo;
`calibrated` fits them anew to a profile's own log.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from leaplib.models.base import Regressor
from leaplib.models.elastic_net import PSElasticNet
from leaplib.models.kernel import SharedKernelRidge
from leaplib.models.lasso import PSLasso
from leaplib.models.ridge import DualRidge
from leaplib.models.table import BY_NAME, CONTROLS, FEW_SHOT
from leaplib.models.tuning import Tuned
from leaplib.runs.ablation_jobs import Ablation, Codes, Member
from leaplib.runs.candidate_features import EACH_CODE
from leaplib.runs.candidate_jobs import Trial, Width
from leaplib.runs.candidates import CANDIDATES, REFERENCE
from leaplib.runs.jobs import Fit, Job, OnSplit, Pretrain, Unprepared

HEADS: dict[type[Regressor], str] = {
    PSLasso: "Lasso", PSElasticNet: "elastic net", DualRidge: "ridge", SharedKernelRidge: "LEAP+"}  # fmt: skip
UNITS_OF = {PSLasso: "PS-LASSO", PSElasticNet: "PS-LASSO", DualRidge: "PS-RIDGE", SharedKernelRidge: "LEAP+"}
"""What a trial's estimator is called, and the model whose units of work it has."""
N_FOLDS = 5
PATIENT = 0.05  # a DAMAE stops early after about this much divided by its learning rate, in epochs
PROCESS_GB = 0.75  # libraries and a task's data


@dataclass(frozen=True)
class Size:
    """How large the data of a job are: training samples and their measured pairs, test samples, perturbations."""

    train: int
    pairs: int
    test: int
    perturbations: int


@dataclass(frozen=True)
class Rate:
    """Core-seconds are base + rate x work."""

    base: float
    rate: float


def size_of(job: OnSplit) -> Size:
    """Return the size of a job on a split."""
    split, response = job.split, job.run.cohort.response
    pairs = _pairs(job, len(split.train))
    return Size(len(split.train), pairs, len(split.test), response.shape[1])


def _pairs(job: OnSplit, n_train: int) -> int:
    """Return about how many pairs a training set has: its share of all."""
    response = job.run.cohort.response
    return round(job.run.cohort.n_pairs * n_train / len(response))


def kind_of(job: Job) -> str:
    """Return what a job's cost is known under: its model, "DAMAE", or a kind of its own."""
    if isinstance(job, Pretrain):
        return "DAMAE"
    if isinstance(job, Codes):
        return f"codes {job.variant.representation}"
    if isinstance(job, Member):
        return job.variant.model + (" identity" if job.variant.representation == "identity" else "")
    if isinstance(job, Width):
        return "DAMAE of another width"
    if isinstance(job, Trial):
        return f"trial {_head_of(job)}"
    return job.model.partition(" r")[0].removesuffix(FEW_SHOT) if isinstance(job, Fit) else "score"


def _head_of(job: Trial) -> str:
    """Return the kind of regressor that a trial fits: the runs' own models share a job."""
    estimator = CANDIDATES[job.names[0]].estimator
    return "own models" if estimator is None else HEADS[estimator]


def work_of(job: Job) -> float:
    """Return a job's work in millions of the units of its kind."""
    if isinstance(job, Unprepared):
        return 0.0
    if isinstance(job, (Pretrain, Codes)):
        return _training(job)
    if isinstance(job, Width):
        return _training(job) * job.factor
    assert isinstance(job, OnSplit)
    if isinstance(job, Trial):
        return _trying(job)
    size, kind = size_of(job), kind_of(job).removesuffix(" identity")
    if kind == CONTROLS["leap-shuffled"]:
        sets = max(1, len(job.split.left_out)) if job.task.design == "xenograft" else 1
        return sets * job.profile.n_representations * _units(job, "PS-LASSO", size)
    return _units(job, kind, size) if kind in BY_NAME and kind != "LEAP" else size.test * size.perturbations / 1e6


def _trying(job: Trial) -> float:
    """Return the work of what a trial fits, of the runs' own models in Lassos: they take the most."""
    size = size_of(job)
    fits = [candidate for candidate in job.tried.fits_of(job.names, job.split)
            if candidate.estimator is not None or candidate.name == REFERENCE]  # fmt: skip
    return sum((job.profile.n_representations if candidate.features == EACH_CODE else 1)
               * _units(job, UNITS_OF[candidate.estimator or PSLasso], size) for candidate in fits)  # fmt: skip


def _training(job: Job) -> float:
    """Return samples x genes x epochs of an autoencoder, the refit included."""
    profile = job.profile
    settings: Mapping[str, Any] = {"learning_rate": 1e-4, "max_epochs": 3000, **profile.damae}
    epochs = min(settings["max_epochs"], PATIENT / settings["learning_rate"])
    genes = profile.n_genes
    if isinstance(job, Ablation):
        genes = job.variant.n_genes or genes
    expression = job.run.cohort.expression
    return len(expression) * min(genes, expression.shape[1]) * epochs * 2 / 1e6


def _units(job: OnSplit, name: str, size: Size) -> float:
    """Return the work of one model on one split."""
    estimator = BY_NAME[name].estimator
    assert estimator is not None
    model = estimator(**job.run.settings(name))
    settings = model.get_params()
    points = len(model.points()) if isinstance(model, Tuned) and not isinstance(model, PSLasso) else 1
    if name == "PS-KNN":
        return size.train * size.test * size.perturbations / 1e6
    if isinstance(model, PSLasso):  # all penalties at once
        return size.perturbations * size.train * (N_FOLDS + 1) / 1e6
    if isinstance(model, (DualRidge, SharedKernelRidge)):  # a kernel's inverses, then a product a perturbation
        return N_FOLDS * size.train**2 * (size.train + 10 * size.perturbations) / 1e9
    epochs = settings.get("n_estimators") or settings.get("n_epochs") or settings.get("max_epochs") or 1
    rows = size.perturbations * settings["n_tasks"] if "n_tasks" in settings else size.pairs
    return rows * epochs * points * N_FOLDS * _breadth(settings) / 1e6


def _breadth(settings: Mapping[str, Any]) -> float:
    """Return how much a step costs: leaves of a tree, or weights of a network, in thousands."""
    layers = [*settings.get("towers", ()), *settings.get("joint", ()), *settings.get("hidden", ())]
    if not layers:
        return 1 + settings.get("num_leaves", 0) / 1000
    return sum(a * b for a, b in pairwise(layers)) / 1000


RATES = {
    "DAMAE": Rate(0.0, 0.0217),
    "DAMAE of another width": Rate(2.8, 0.0212),
    "LEAP": Rate(0.0631, 0.0),
    "LEAP (shuffled labels)": Rate(0.0, 3.29),
    "LEAP+": Rate(0.0, 0.683),
    "PP-LGBM": Rate(3.66, 1.01),
    "PP-MLP": Rate(0.261, 0.21),
    "PP-tDNN": Rate(0.351, 0.0701),
    "PS-KNN": Rate(0.0405, 0.00621),
    "PS-LASSO": Rate(0.0687, 2.22),
    "PS-LASSO identity": Rate(0.0, 79.7),
    "PS-LGBM": Rate(1.28, 0.545),
    "PS-RIDGE": Rate(0.045, 0.488),
    "PS-TCRP": Rate(1.79, 21.6),
    "Tissue mean": Rate(0.0327, 0.0),
    "Training mean": Rate(0.0299, 0.0),
    "codes ae": Rate(0.0, 0.0283),
    "codes damae": Rate(0.0689, 0.0263),
    "codes damae, no hidden layer": Rate(0.0, 0.0157),
    "codes damae, row corruption": Rate(0.0, 0.0248),
    "codes identity": Rate(0.0, 0.00338),
    "codes masked ae": Rate(0.0, 0.0196),
    "codes noise ae": Rate(0.0, 0.0287),
    "codes pca": Rate(0.0, 0.00277),
    "score": Rate(0.026, 0.0),
    "trial LEAP+": Rate(0.4, 0.6),
    "trial Lasso": Rate(0.0, 8.5),
    "trial elastic net": Rate(6.51, 2.66),
    "trial own models": Rate(0.17, 13.9),
    "trial ridge": Rate(0.336, 0.309),
}
"""Core-seconds of the demo's jobs, on one core each of a virtual machine (x86-64 with AMX)."""


def estimate(job: Job, rates: Mapping[str, Rate] | None = None) -> float:
    """Return a job's core-seconds."""
    known = RATES | dict(rates or {})
    rate = known.get(kind_of(job)) or known.get("DAMAE" if isinstance(job, Codes) else "PS-LASSO", Rate(1, 1))
    return rate.base + rate.rate * work_of(job)


def memory_of(job: Job) -> float:
    """Return about how much memory a job needs at most, in GB, its process included."""
    cells = 0.0
    if isinstance(job, Unprepared):
        return PROCESS_GB
    if isinstance(job, OnSplit):
        size = size_of(job)
        cells = size.pairs if job.where["model"].startswith("PP") else size.train * size.perturbations
    return PROCESS_GB + job.run.cohort.expression.size * 8 / 1e9 + cells * 200 / 1e9


def calibrated(log: pd.DataFrame) -> dict[str, Rate]:
    """Fit base and rate of each kind to a run log, so that relative errors are small; both are at least 0.

    Parameters
    ----------
    log : DataFrame
        As `leaplib.runs.run_log.read_log` returns it.
    """
    entries = computed(log)
    return {str(kind): _fitted(part) for kind, part in entries.groupby("cost")}


def computed(log: pd.DataFrame) -> pd.DataFrame:
    """Return the entries of jobs that were computed, the last of each."""
    done = log[log["state"].isin(["computed", "partly failed"]) & log["work"].notna()]
    return done.drop_duplicates("job", keep="last")


def _fitted(part: pd.DataFrame) -> Rate:
    """Fit one kind: weighted least squares on 1 / seconds, or the median rate where all have the same work."""
    work, seconds = part["work"].to_numpy(dtype=float), part["core_seconds"].to_numpy(dtype=float).clip(0.01)
    if np.ptp(work) <= 0.05 * work.max(initial=0):
        return Rate(0.0, float(np.median(seconds / np.maximum(work, 1e-9))))
    columns = np.column_stack([np.ones_like(work), work]) / seconds[:, None]
    base, rate = nnls(columns, np.ones(len(part)))[0]
    return Rate(float(base), float(rate))


def check(log: pd.DataFrame, rates: Mapping[str, Rate] | None = None) -> pd.DataFrame:
    """Hold estimates against a log.

    Returns
    -------
    DataFrame
        cost (kind), n (jobs), core_seconds (their sum), estimated (its estimate), median_error (of single jobs,
        relative).
    """
    known = RATES | dict(rates or {})
    entries = computed(log)
    entries = entries[entries["cost"].isin(list(known))]
    guess = np.array([known[kind].base + known[kind].rate * work
                      for kind, work in zip(entries["cost"], entries["work"], strict=True)])  # fmt: skip
    entries = entries.assign(estimated=guess, error=np.abs(guess / entries["core_seconds"].clip(lower=0.01) - 1))
    found = entries.groupby("cost").agg(n=("job", "size"), core_seconds=("core_seconds", "sum"),
                                        estimated=("estimated", "sum"), median_error=("error", "median"))  # fmt: skip
    return found.reset_index()
