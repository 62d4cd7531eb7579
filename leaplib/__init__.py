"""leaplib: predicting how cancer models respond to gene knockouts and drugs, from gene expression.

`import leaplib as lp` has all that a notebook calls, each name loaded when it is first used:

- data: `status`, `cohort`, `splits`, `embed`, `lost`, `PROFILES`, `TASKS`;
- runs: `run`, `run_ablations`, `run_candidates`, `run_curves`;
- results: `Results`, `reference`, `table`, `save_tables`, `verdict`, `claims`, `figure`, and `pages`,
  `supplement`, `style` to adapt figures;
- models: `LEAP`, `PSRidge`, `LEAPPlus`, `PSKNN`, `PSLasso`, `DAMAE`;
- own samples: `own`, `rehearse`, `biomarkers`, `known_positives`, `stratification`, `uncertainty`.
"""

import os
from importlib import import_module
from typing import Any

# Idle OpenMP threads sleep instead of spinning: where other processes share the cores, small matrix
# products are otherwise slowed down more than tenfold. It must be set before torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.8.0"

ROOMS = {
    "base.errors": ("InputError",),
    "base.layout": ("Layout",),
    "base.metrics": ("spearman",),
    "base.store": ("versions",),
    "profiles": ("PROFILES", "get_profile"),
    "tasks": ("TASKS", "data_words", "get_task"),
    "sources.manifest": ("status",),
    "sources.wheels": ("read_collection",),
    "cohorts.cohort": ("Cohort",),
    "cohorts.expression": ("ExpressionScaler",),
    "cohorts.prepare": ("cohort", "describe_lost", "lost", "splits"),
    "representation.damae": ("DAMAE",),
    "representation.pretraining": ("domain_mixing", "embed", "learning_curves", "tissue_agreement"),
    "models.knn": ("PSKNN",),
    "models.lasso": ("PSLasso",),
    "models.leap": ("LEAP", "LEAPPlus", "PSRidge"),
    "models.table": ("hyper_parameters",),
    "results.claims": ("claims", "verdict"),
    "results.comparisons": ("compare_models",),
    "results.external": ("reproducibility",),
    "results.load": ("Results",),
    "results.reference": ("reference",),
    "figures.draw": ("drawn", "figure", "save_figure"),
    "results.printing": ("latex",),
    "results.tables": ("TABLES", "save_tables", "table", "tidy"),
    "runs.recipes": ("ABLATION_TASKS", "DAMAE_STUDY", "TUNING_TASKS"),
    "runs.experiment": ("run", "run_ablations", "run_candidates", "run_curves"),
    "runs.notebooks": ("describe",),
    "samples.rehearsal": ("rehearse",),
}
"""Where each public name stands."""
MODULES = {
    "biomarkers": "samples.biomarkers",
    "known_positives": "samples.known_positives",
    "own": "samples.own_samples",
    "pages": "figures.pages",
    "stratification": "samples.stratification",
    "style": "figures.style",
    "supplement": "figures.pages",
    "uncertainty": "samples.uncertainty",
}
"""Modules that are public as a whole, under a shorter name."""
_PLACES = {name: module for module, names in ROOMS.items() for name in names}
__all__ = sorted([*_PLACES, *MODULES])


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used: workers and the command line import what they need alone."""
    if name in MODULES:
        return import_module(f"leaplib.{MODULES[name]}")
    if name in _PLACES:
        return getattr(import_module(f"leaplib.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
