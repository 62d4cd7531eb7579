"""Profiles: how much of everything a run does, as `profiles.toml` has it."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
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


def _profiles() -> dict[str, Profile]:
    """Read the profiles; all but the paper's are quick."""
    read = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    quick, found = read.pop("quick"), {}
    for name, table in read.items():
        table |= quick if name != "paper" else {}
        settings: Any = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
        found[name] = Profile(name, tasks=tuple(TASKS), **settings)
    return found


PROFILES = _profiles()


def get_profile(name: "str | Profile") -> Profile:
    """Return a profile by name, or as it is; an unknown name is an InputError that lists the known ones."""
    if isinstance(name, Profile):
        return name
    if name not in PROFILES:
        raise InputError(f"profile {name!r} is unknown: use one of {', '.join(PROFILES)}")
    return PROFILES[name]
