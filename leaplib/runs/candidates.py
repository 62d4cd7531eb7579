"""What was tried on the way from LEAP to LEAP+, the losing variants too, as data, and its saved scores."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.cohorts.splits import Split
from leaplib.profiles import Profile
from leaplib.representation.kinds import AUTOENCODERS
from leaplib.runs.engine import CANDIDATES as GROUP
from leaplib.runs.engine import N_DIRECTIONS, TaskRun, run_of
from leaplib.runs.features import BOTH, CODES, COMPONENTS, DENOISED, MORE_GENES, RANKED, TISSUE, WIDTHS
from leaplib.runs.recipes import CODE, GENES, RANKS, RECIPES, Recipe
from leaplib.runs.scoring import UNPREPARED
from leaplib.tasks import Task

REFERENCE = "LEAP"
COMPARED = (REFERENCE, "PS-LASSO", "PS-RIDGE", "LEAP+")
"""The candidates that are compared on every task."""
N_CHOSEN_ON, N_INNER = 1, 3
"""Training sets, and folds of each, on which notebook 10 chooses."""
COLUMNS = ["task", "candidate", "split", "perturbation", "metric", "value", "seconds", "data"]
REPORTED = ("spearman", "pearson", "auroc")


def _own(name: str) -> Recipe:
    """Return a candidate that is a model of the tables."""
    return _mean(name, name)


def _mean(name: str, *models: str, **how: Any) -> Recipe:
    """Return the mean of models of the tables."""
    return Recipe(GROUP, name, mean_of=tuple(RECIPES[model] for model in models), **how)


def _on(name: str, features: str, model: str, labels: str = "own", **how: Any) -> Recipe:
    """Return a model on some features; on codes, the mean over representations."""
    number = None if features == CODE else 1
    return Recipe(GROUP, name, features, model=model, labels=labels, n_representations=number, keeps_parts=False, **how)


def _plus(name: str, features: str = GENES, **settings: Any) -> Recipe:
    """Return LEAP+ with something done otherwise."""
    return _on(name, features, "LEAP+", settings=tuple(settings.items()))


CANDIDATES = {
    candidate.name: candidate
    for candidate in (
        _own(REFERENCE),
        _own("PS-LASSO"),
        _own("PS-RIDGE"),
        _own("LEAP+"),
        _mean("mean of LEAP and PS-RIDGE", REFERENCE, "PS-RIDGE"),
        _mean("mean of LEAP and LEAP+", REFERENCE, "LEAP+"),
        _mean("LEAP, PS-RIDGE and LEAP+, stacked", REFERENCE, "PS-RIDGE", "LEAP+", stacked=True),
        _on("LEAP on rank scores", CODE, "PS-LASSO", RANKS),
        _on("ridge on each code", CODE, "PS-RIDGE"),
        _on("elastic net on each code", CODE, "elastic net"),
        _on("ridge on codes", CODES, "PS-RIDGE"),
        _on("ridge on codes of three widths", WIDTHS, "PS-RIDGE"),
        _on("ridge on principal components", COMPONENTS, "PS-RIDGE"),
        _on("ridge on a linear denoising autoencoder", DENOISED, "PS-RIDGE"),
        _on("ridge on genes and codes", BOTH, "PS-RIDGE"),
        _on("ridge on genes and tissue", TISSUE, "PS-RIDGE"),
        _on("PS-RIDGE, smoothed over perturbations", GENES, "PS-RIDGE", directions=N_DIRECTIONS),
        _on("ridge on rank scores", GENES, "PS-RIDGE", RANKS),
        _plus("LEAP+ on twice as many genes", MORE_GENES),
        _plus("LEAP+ on genes ranked within a sample", RANKED),
        _plus("LEAP+ on codes", CODES),
        _plus("LEAP+ on codes of three widths", WIDTHS),
        _plus("LEAP+ on a linear denoising autoencoder", DENOISED),
        _plus("LEAP+ on genes and codes", BOTH),
        _plus("LEAP+ on genes and tissue", TISSUE),
        _plus("LEAP+ on rank scores", ranks=True),
        _plus("LEAP+ on rank scores, share 0.5", ranks=True, share=0.5),  # LEAP+ until version 0.7
        _plus("LEAP+, share 0.2", share=0.2),
        _plus("LEAP+, share 0.5", share=0.5),
        _plus("LEAP+, share 0.8", share=0.8),
        replace(_plus("LEAP+, one fit on all samples"), ensemble="refit"),
    )
}
DAMAE_STUDY = {
    candidate.name: candidate
    for candidate in (
        _own(REFERENCE),
        *(
            Recipe(GROUP, f"LEAP, {kind}", representation=kind, n_representations=None, keeps_parts=False)
            for kind in AUTOENCODERS
            if kind.startswith("damae, ") and kind != "damae, row corruption"
        ),
    )
}
"""LEAP with DAMAEs of another width, depth, number of epochs or corruption: hours of training a variant at the paper's
settings, so that they run where they are named."""


def checked_candidates(names: Sequence[str]) -> list[Recipe]:
    """Return candidates by name; an unknown one is an InputError that lists the known."""
    known = CANDIDATES | DAMAE_STUDY
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"candidate {unknown[0]!r} is unknown: use one of {'; '.join(known)}")
    return [known[name] for name in names]


def candidate_splits(run: TaskRun, n_splits: int | None = None, n_inner: int | None = 0) -> list[Split]:
    """Return the splits of a task, or with `n_inner` those of its training sets, as `run_candidates` takes them."""
    return run.splits[:n_splits] if n_inner == 0 else run.inner_splits(n_splits, n_inner)


def load_candidates(profile: Profile, task: Task, names: Sequence[str], n_splits: int | None = None,
                    n_inner: int | None = 0) -> pd.DataFrame:  # fmt: skip
    """Return the saved scores of candidates, computing nothing; where there are none, they are missing (NaN).

    Returns
    -------
    DataFrame
        task, candidate, split, perturbation, metric, value, seconds (of the CPU, without what the models of the tables
        took, and without what makes the features), data.
    """
    run = run_of(profile, task)
    gaps = [(name, metric) for name in run.cohort.response for metric in REPORTED]
    nothing = pd.DataFrame(gaps, columns=["perturbation", "metric"]).assign(value=np.nan, seconds=np.nan)
    frames = []
    for split in candidate_splits(run, n_splits, n_inner):
        for candidate in checked_candidates(names):
            rows = run.saved(split, candidate)
            if rows is None:
                rows = nothing
            else:
                rows = rows[(rows["perturbation"] != "") & (rows["test_set"] == -1) & rows["metric"].isin(REPORTED)]
            frames.append(rows.assign(task=task.id, candidate=candidate.name, split=split.name, data=run.cohort.data))
    return pd.concat(frames, ignore_index=True)[COLUMNS]


def no_scores(names: Sequence[str], task: str, data: str) -> pd.DataFrame:
    """Return a table as `load_candidates` for a task that could not be prepared: one gap a candidate."""
    rows = [(task, name, UNPREPARED, "", metric, np.nan, np.nan, data) for name in names
            for metric in REPORTED]  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)
