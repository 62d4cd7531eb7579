"""Profiles: how much of everything a run does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from leaplib.base.errors import InputError
from leaplib.tasks import TASKS


@dataclass(frozen=True)
class Profile:
    """Sizes of a run; what is computed is the same in all profiles.

    Parameters
    ----------
    name : str
    about : str
        One sentence for the notebooks: what this profile does less of than the paper.
    tasks : tuple of str
        Tasks run unless others are asked for.
    simulated : bool
        Take the simulated cohort even where real files are present (tests).
    n_splits : int
        Random holdouts (10 in the paper).
    n_tissues : int or None
        Tissues that take their turn, largest first; None: as many as the task says.
    n_shuffled : int
        Splits on which LEAP is also run on shuffled labels.
    n_ablation_splits : int
        Of the random holdouts, how many the ablations and the losing candidates run on.
    n_averaged : int
        Most DAMAEs that the ablation of their number averages; those beyond `n_representations` are trained for it.
    n_curve_splits : int
        Splits of the learning curves: how models do with fewer training lines.
    curve_shares : tuple of float
        Shares of the training lines there.
    curve_models : tuple of str
        Models there, by command-line name.
    leaves_out : tuple of str
        Ablations and candidates, by name, that are left to larger profiles.
    n_test_sets : int
        Leave-10-out test sets per unseen tissue (1,000 in the paper).
    max_perturbations : int or None
        Perturbations kept, drawn at random with a fixed seed; None keeps all.
    max_simulated : int or None
        The same where responses are simulated; None: as many as of real ones.
    n_genes : int
        Most variable genes per source (5,000 in the paper).
    n_identity_genes : int or None
        The same for the ablation without an autoencoder, whose Lassos take seconds each; None: `n_genes`.
    n_representations : int
        DAMAEs in LEAP (5 in the paper).
    damae : mapping
        Settings of the autoencoder that differ from `leaplib.DAMAE`'s defaults (the paper's).
    models : mapping of str to mapping
        Parameters of models, by command-line name, that differ from their defaults, which are the paper's.
    simulated_lines : int
        Cell lines of the simulated cohort where it stands in.
    """

    name: str
    about: str
    tasks: tuple[str, ...]
    simulated: bool = False
    n_splits: int = 10
    n_tissues: int | None = None
    n_shuffled: int = 10
    n_ablation_splits: int = 10
    n_averaged: int = 10
    n_curve_splits: int = 10
    curve_shares: tuple[float, ...] = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
    curve_models: tuple[str, ...] = ("ps-lasso", "ps-ridge", "leap", "leap-plus", "ps-rf")
    leaves_out: tuple[str, ...] = ()
    n_test_sets: int = 1000
    max_perturbations: int | None = None
    max_simulated: int | None = None
    n_genes: int = 5000
    n_identity_genes: int | None = None
    n_representations: int = 5
    damae: Mapping[str, Any] = field(default_factory=dict)
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    simulated_lines: int = 600
    simulated_genes: int = 2000


FAST = ("ps-lasso", "ps-ridge", "leap", "leap-plus")
"""Models of the learning curves, but for the forest."""
SLOWEST = (
    "linear encoder",
    "linear encoders",
    "masked autoencoder",
    "noise autoencoder",
    "ridge on each code",
    "LEAP+, share 0.2",
    "LEAP+, share 0.8",
    "each gene from a sample of its own",
    "all genes from one sample",
    "with hidden layer",
    "without hidden layer",
)
"""Ablations and candidates that are no part of the paper and need autoencoders of their own, or are one of many."""

PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "smoke",
            "a minute's check that everything works: simulated data, few lines, genes and perturbations",
            tasks=tuple(TASKS),
            simulated=True,
            n_splits=2,
            n_tissues=2,
            n_shuffled=1,
            n_ablation_splits=1,
            n_averaged=4,
            n_curve_splits=2,
            curve_shares=(0.4, 1.0),
            curve_models=FAST,
            leaves_out=SLOWEST,
            n_test_sets=10,
            max_perturbations=8,
            n_genes=300,
            n_identity_genes=100,
            n_representations=3,
            damae={"n_hidden": 64, "n_components": 32, "learning_rate": 1e-3, "batch_size": 64, "max_epochs": 15},
            models={
                "pp-lgbm": {"n_estimators": 20, "num_leaves": 31, "grid": {"learning_rate": [0.1], "reg_alpha": [0.0]}},
                "pp-tdnn": {
                    "max_epochs": 4,
                    "batch_size": 256,
                    "towers": [64, 32],
                    "joint": [32, 16],
                    "grid": {"dropout": [0.1]},
                },
                "pp-mlp": {
                    "max_epochs": 4,
                    "hidden": [64, 32, 16],
                    "grid": {"learning_rate": [5e-3], "batch_size": [512]},
                },
                "ps-lgbm": {"n_estimators": 20, "grid": {"learning_rate": [0.1], "feature_fraction": [0.25]}},
                "ps-rf": {"n_estimators": 5},
                "ps-tcrp": {"n_epochs": 8, "grid": {"meta_rate": [1e-2], "inner_rate": [1e-2]}},
            },
            simulated_lines=480,
            simulated_genes=500,
        ),
        Profile(
            "demo",
            "real responses at a laptop's pace: fewer splits, unseen tissues and drugs than the paper, ablations and "
            "candidates on one split, some left out, narrower autoencoders on fewer genes, one grid point for all "
            "models but those on the Lasso, smaller forests and networks (those over all perturbations, PP, are too "
            "small to keep their place)",
            tasks=tuple(TASKS),
            n_splits=3,
            n_tissues=3,
            n_shuffled=1,
            n_ablation_splits=1,
            n_averaged=5,
            n_curve_splits=3,
            curve_shares=(0.2, 0.5, 1.0),
            curve_models=FAST,
            leaves_out=SLOWEST,
            n_test_sets=50,
            max_perturbations=24,
            max_simulated=10,
            n_genes=1500,
            n_identity_genes=300,
            damae={
                "n_hidden": 256,
                "n_components": 128,
                "learning_rate": 1e-3,
                "batch_size": 256,
                "max_epochs": 50,
                "patience": 10,
                "min_delta": 1e-3,
            },
            models={
                "pp-lgbm": {
                    "n_estimators": 20,
                    "num_leaves": 31,
                    "grid": {"learning_rate": [0.2], "reg_alpha": [0.0]},
                },
                "pp-tdnn": {
                    "max_epochs": 8,
                    "batch_size": 1024,
                    "towers": [128, 64, 32],
                    "joint": [32, 16, 8],
                    "grid": {"dropout": [0.1]},
                },
                "pp-mlp": {
                    "max_epochs": 10,
                    "hidden": [128, 64, 32, 16],
                    "grid": {"learning_rate": [5e-3], "batch_size": [1024]},
                },
                "ps-lgbm": {"n_estimators": 30, "grid": {"learning_rate": [0.05], "feature_fraction": [0.1]}},
                "ps-tcrp": {"n_epochs": 40, "grid": {"meta_rate": [1e-3], "inner_rate": [1e-2]}},
            },
            simulated_lines=480,
            simulated_genes=400,
        ),
        Profile("paper", "the paper's settings in full, on whatever real data is there", tasks=tuple(TASKS)),
    )
}


def get_profile(name: "str | Profile") -> Profile:
    """Return a profile by name, or as it is; an unknown name is an InputError that lists the known ones."""
    if isinstance(name, Profile):
        return name
    if name not in PROFILES:
        raise InputError(f"profile {name!r} is unknown: use one of {', '.join(PROFILES)}")
    return PROFILES[name]
