"""What is computed, as data: a recipe says what is seen, what is fitted on it, and what becomes of the predictions.

The models of the tables, the variants of the ablations (paper, supplementary tables 4 to 6, and additions) and the
candidates on the way from LEAP to LEAP+, the losing ones too, are lists of recipes; `leaplib.runs.engine` makes them.
"""

import tomllib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from leaplib.base.errors import InputError
from leaplib.base.store import code_version, key_of
from leaplib.cohorts.prepare import data_kind
from leaplib.models.naive import MeanEffects, TissueMean, TrainingMean
from leaplib.models.table import BY_NAME, CONTROLS, FEW_SHOT, MODELS, Model
from leaplib.profiles import Profile
from leaplib.representation.pretraining import AUTOENCODERS
from leaplib.tasks import Task, get_task

TRAINING, OWN, SECOND, THIRD = "training set", "own", "second", "third"
SCOPES = (TRAINING, OWN, SECOND, THIRD)
"""What scaler and autoencoder see: the split's training set, all samples of the task's own source, those of the second
source too, those of the third too."""
ALL = "all"
CODE, CODES, GENES, SAMPLES = "code", "codes", "genes", "table of samples"
"""What a model sees: the code of one DAMAE, all codes side by side, genes as LEAP's DAMAEs see them, or what is known
of the sample."""
SHUFFLED = "shuffled"
CODE_OF_STAGE = "leaplib.runs.engine"

ESTIMATORS: dict[str, Any] = {name: model.estimator for name, model in BY_NAME.items() if model.estimator} | {
    CONTROLS["training-mean"]: TrainingMean,
    CONTROLS["tissue-mean"]: TissueMean,
    CONTROLS["mean-effects"]: MeanEffects,
}
AVERAGED = "PS-LASSO"
"""The model whose fits LEAP averages; in tables its first fit stands for it."""


@dataclass(frozen=True)
class Recipe:
    """A way to predict: one fit, or the mean of several.

    Parameters
    ----------
    group, name : str
        The ablation (within which variants are compared) or the list of candidates that it belongs to, "" for the
        models of the tables, and what it is called there. A part of a mean that is no model of the tables has neither.
    features : str
        What the model sees of a sample: "code", "codes", "genes" or "table of samples".
    genes : {"own", "all"}
        Sources that choose the genes: the most variable ones of each, united.
    scaling, pretraining : {"training set", "own", "second", "third"}
        What the preprocessing (choice of genes, standardisation) and the autoencoder see, see `SCOPES`.
    representation : str
        As `leaplib.representation.pretraining.make_representation` knows it.
    n_genes : int or None
        Most variable genes a source; None: as the profile says.
    correction : {"together", "per domain", "combat"}
        How sources are brought together (`leaplib.cohorts.expression.harmonise`).
    n_representations : int or None
        Averaged, from as many seeds; None: as the profile says.
    model : str
        Of `ESTIMATORS`.
    settings : tuple of (str, value)
        Parameters of the estimator beside those of the profile.
    labels : {"own", "shuffled"}
        Fitted to: the labels, or labels shuffled within each perturbation.
    ensemble : {"folds", "refit"}
        The mean of the fold models, or one model fitted on the whole training set.
    repeats : int
        Cross-validations on one representation, averaged.
    folds : {"own", "plain", "tissue"}
        Tuning folds: those of the task's splits (grouped by tissue for unseen tissues), five at random, or one
        tissue a fold.
    number, repeat : int
        Of one fit: the seed of its representation, and which cross-validation.
    mean_of : tuple of Recipe
        What it is the mean of, if not of its own fits.
    few_shot : bool
        The predictions of the model after it was fine-tuned on samples of the target.
    keeps_parts : bool
        Fits are saved, and shared with other recipes; else they are made in memory.
    """

    group: str = ""
    name: str = ""
    features: str = CODE
    genes: str = OWN
    scaling: str = OWN
    pretraining: str = OWN
    representation: str = "damae"
    n_genes: int | None = None
    correction: str = "together"
    n_representations: int | None = 1
    model: str = AVERAGED
    settings: tuple[tuple[str, Any], ...] = ()
    labels: str = OWN
    ensemble: str = "folds"
    repeats: int = 1
    folds: str = OWN
    number: int = 0
    repeat: int = 0
    mean_of: "tuple[Recipe, ...]" = ()
    few_shot: bool = False
    keeps_parts: bool = True

    def __post_init__(self) -> None:
        allowed = {"genes": (OWN, ALL), "scaling": SCOPES, "pretraining": SCOPES, "ensemble": ("folds", "refit"),
                   "correction": ("together", "per domain", "combat"), "folds": (OWN, "plain", "tissue"),
                   "labels": (OWN, SHUFFLED), "model": tuple(ESTIMATORS)}  # fmt: skip
        for field, known in allowed.items():
            if getattr(self, field) not in known:
                raise InputError(f"variant {self.name!r}: {field} {getattr(self, field)!r} is unknown: use one of "
                                 f"{', '.join(known)}")  # fmt: skip

    @property
    def is_fit(self) -> bool:
        """Tell whether it is one fit, not a mean."""
        return not self.group and not self.mean_of and (self.n_representations, self.repeats) == (1, 1)

    @property
    def is_member(self) -> bool:
        """Tell whether it is one of the fits that LEAP averages, the first of which stands for them in tables."""
        return self.is_fit and self.name == AVERAGED

    @property
    def label(self) -> str:
        """Name in logs and files."""
        name = self.name or f"{self.model} {key_of(asdict(self))[:8]}"
        return name + (f" r{self.number}" if self.is_member else "") + (FEW_SHOT if self.few_shot else "")

    @property
    def shown(self) -> str:
        """Name in tables and figures."""
        return (self.name or self.label) + (FEW_SHOT if self.few_shot and self.name else "")

    @property
    def inductive(self) -> bool:
        """Tell whether scaler or autoencoder see a split's training set alone."""
        return TRAINING in (self.scaling, self.pretraining)

    @property
    def one_by_one(self) -> bool:
        """Tell whether each perturbation is predicted without a look at the labels of the others."""
        return not getattr(ESTIMATORS[self.model], "pan_perturbation", False)

    def seen(self) -> "Recipe":
        """Return what the representation depends on alone, but for its number; the rest as by default."""
        return Recipe(genes=self.genes, scaling=self.scaling, pretraining=self.pretraining, n_genes=self.n_genes,
                      representation=self.representation, correction=self.correction)  # fmt: skip

    def parts(self, n_representations: int) -> "tuple[Recipe, ...]":
        """Return what it is the mean of; nothing of one fit. `n_representations` is the profile's."""
        if self.is_fit or self.mean_of:
            return self.mean_of
        one = replace(self, group="", name="", n_representations=1, repeats=1, keeps_parts=True)
        numbers = range(self.n_representations or n_representations)
        return tuple(_named(replace(one, number=i, repeat=j)) for i in numbers for j in range(self.repeats))

    def saved_parts(self, n_representations: int) -> "tuple[Recipe, ...]":
        """Return the parts that are results of their own."""
        return self.parts(n_representations) if self.keeps_parts else ()

    def with_parts(self, n_representations: int) -> "Iterator[Recipe]":
        """Yield the results below it, each before what rests on it, and itself."""
        for part in self.saved_parts(n_representations):
            yield from part.with_parts(n_representations)
        yield self

    def depth(self, n_representations: int) -> int:
        """Return how many results stand below it, each resting on the next, and itself."""
        parts = self.saved_parts(n_representations)
        return 1 + max((part.depth(n_representations) for part in parts), default=0)

    def fits(self, n_representations: int) -> "list[Recipe]":
        """Return all fits that it rests on."""
        parts = self.parts(n_representations)
        return [fit for part in parts for fit in part.fits(n_representations)] or [self]


def _named(fit: Recipe) -> Recipe:
    """Give a fit that is one of the models of the tables its name; of LEAP's members, each has it."""
    known = RECIPES.get(fit.model)
    named = replace(fit, name=fit.model)
    return named if known and replace(named, number=0 if named.is_member else named.number) == known else fit


def _recipe(model: Model) -> Recipe:
    """Return the recipe of a model of the tables."""
    if model.averages:
        return Recipe(name=model.name, model=model.averages, representation=model.representation,
                      n_representations=None)  # fmt: skip
    return Recipe(name=model.name, model=model.name, features=CODE if model.features == "codes" else GENES)


RECIPES = {model.name: _recipe(model) for model in MODELS.values()}
"""The models of the tables, by name."""
LEAP = RECIPES["LEAP"]
MEANS = tuple(Recipe(name=CONTROLS[key], model=CONTROLS[key], features=SAMPLES)
              for key in ("training-mean", "tissue-mean", "mean-effects"))  # fmt: skip
CHANCE = replace(LEAP, name=CONTROLS["leap-shuffled"], labels=SHUFFLED, keeps_parts=False)
"""LEAP on shuffled labels."""


def recipes_of(models: Sequence[str], design: str, chance: bool) -> list[Recipe]:
    """Return the recipes of models (keys of `MODELS`) on tasks of a design, controls and all; chance goes with LEAP."""
    keys = [key for key, model in MODELS.items() if key in models and design in model.designs]
    found = [*MEANS, *(RECIPES[MODELS[key].name] for key in keys)]
    return [*found, CHANCE] if chance and LEAP in found else found


def code_of(*models: str) -> str:
    """Return the version of the code that results of these models depend on (see `leaplib.base.store.code_version`)."""
    return code_version(*sorted({ESTIMATORS[model].__module__ for model in models}), CODE_OF_STAGE)


# ---- lists of recipes: variants of the ablations, candidates on the way from LEAP to LEAP+

STEPS, ENSEMBLES, NUMBER, CORRECTION = "steps", "ensembles", "Number of DAMAEs", "Batch correction"
LAYER, DAMAES = "Layer of representations", "DAMAEs: LEAP"
CANDIDATE = "candidates"
"""The group whose predictions are held against other studies."""
ABLATION_TASKS, TUNING_TASKS, EXTRA_TASK = ("1a", "2a"), ("3a", "4a"), "2a"
"""Tasks of the steps, ensembles and batch corrections; of the ways to tune; of what the paper lacks (notebook 06)."""
REFERENCES = {"Representation": "DAMAE", LAYER: DAMAES, "Corruption": "each gene from a sample of its own",
              "Hidden layer": "with hidden layer", "Pretraining": "all samples (transductive)", NUMBER: "1",
              CORRECTION: "none"}  # fmt: skip
"""What the others of a group of additions are compared with; the paper's variants follow on each other."""
COMPARED = ("LEAP", "PS-LASSO", "PS-RIDGE", "LEAP+")
"""The candidates that are compared on every task."""
N_CHOSEN_ON, N_INNER = 1, 3
"""Training sets, and folds of each, on which notebook 10 chooses."""
_TABLE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def _fields(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a recipe from its line of the table."""
    found = {"name": name, **fields}
    if "mean_of" in fields:
        found["mean_of"] = tuple(RECIPES[model] for model in fields["mean_of"])
    if "settings" in fields:
        found["settings"] = tuple(fields["settings"].items())
    if "n_representations" in fields:
        found["n_representations"] = fields["n_representations"] or None
    return found


def _listed(group: str, **usual: Any) -> tuple[Recipe, ...]:
    """Return the recipes of a list of the table; `usual` goes for those that are no means of models of the tables."""
    return tuple(Recipe(group, **({} if "mean_of" in fields else usual) | _fields(name, fields))
                 for name, fields in _TABLE[group].items())  # fmt: skip


def steps(n_genes: int | None = None) -> tuple[Recipe, ...]:
    """Return the nine steps from the state of the art before (PP-LGBM) to LEAP (supplementary table 4)."""
    found = [Recipe(STEPS, n_genes=n_genes)]
    for name, fields in _TABLE[STEPS].items():
        found.append(replace(found[-1], **_fields(name, fields)))
    return tuple(found[1:])


def steps_of(profile: Profile, task: Task) -> tuple[Recipe, ...]:
    """Return the nine steps for a task's data.

    The simulated cohort may have no more genes than are to be chosen; half of them are then, or there would be
    no choice for step 3 to change.
    """
    few = data_kind(profile, task.screen) == "simulated" and profile.simulated_genes <= profile.n_genes
    return steps(profile.simulated_genes // 2 if few else None)


def ensembles_of(profile: Profile, task: Task) -> tuple[Recipe, ...]:
    """Return the variants of supplementary table 5: regressors on one representation, and on several."""
    *_, one, several = steps_of(profile, task)
    return (
        replace(one, group=ENSEMBLES, name="5 models on one representation"),
        replace(one, group=ENSEMBLES, name="25 models on one representation", repeats=5),
        replace(several, group=ENSEMBLES, name="LEAP"),
    )


def corrections_of(profile: Profile, task: Task) -> tuple[Recipe, ...]:
    """Return the variants that bring the sources together in different ways, before scaler and autoencoder."""
    one = steps_of(profile, task)[-2]
    names = {"together": "none", "per domain": "each source standardised", "combat": "ComBat"}
    return tuple(replace(one, group=CORRECTION, name=name, correction=how) for how, name in names.items())


TUNING = _listed("tuning")
"""Supplementary table 6, on tasks of unseen tissues."""


def additions_of(profile: Profile) -> tuple[Recipe, ...]:
    """Return comparisons that the paper lacks; but for layers and numbers, on one representation from one seed."""
    n_genes = profile.n_identity_genes
    first, *found = [variant for group in REFERENCES if group in _TABLE for variant in _listed(group)]
    first = replace(first, name=first.name + (f", {n_genes} genes" if n_genes else ""), n_genes=n_genes)
    found += [Recipe(NUMBER, str(n), n_representations=n) for n in range(1, profile.n_averaged + 1)]
    return tuple(variant for variant in (first, *found) if variant.name not in profile.leaves_out)


def ablations_of(profile: Profile) -> list[tuple[Task, tuple[Recipe, ...]]]:
    """Return all variants of notebook 06, with the task that they are of."""
    lists = (steps_of, ensembles_of, corrections_of)
    found = [(task, of(profile, task)) for task in map(get_task, ABLATION_TASKS) for of in lists]
    found += [(get_task(task), TUNING) for task in TUNING_TASKS]
    return [*found, (get_task(EXTRA_TASK), additions_of(profile))]


def resolve(variant: Recipe, present: Collection[str]) -> Recipe:
    """Return a variant as it can be run with the sources that are there ("own", "second", "third")."""
    others = [role for role in (SECOND, THIRD) if role in present]

    def scope(wanted: str) -> str:
        within = [role for role in SCOPES[: SCOPES.index(wanted) + 1] if role in (TRAINING, OWN, *others)]
        return within[-1]

    return replace(
        variant,
        genes=variant.genes if others else OWN,
        scaling=scope(variant.scaling),
        pretraining=scope(variant.pretraining),
        correction=variant.correction if others else "together",
    )


def not_run(variants: Sequence[Recipe], names: dict[str, str], present: Collection[str]) -> dict[Recipe, str]:
    """Return the variants that the sources at hand make equal to one before them in their group, and why.

    Parameters
    ----------
    variants : sequence of Recipe
    names : dict
        Names of the sources by role.
    present : collection of str
        Roles of the sources that are there.
    """
    seen: set[Recipe] = set()
    reasons = {}
    for variant in variants:
        settings = replace(resolve(variant, present), name="")
        if settings in seen:
            widest = max(SCOPES.index(scope) for scope in (variant.scaling, variant.pretraining))
            beside = SCOPES[SCOPES.index(SECOND) : widest + 1] or (SECOND, THIRD)
            absent = [names[role] for role in beside if role not in present]
            reasons[variant] = f"not run: {' and '.join(absent)} not at hand"
        seen.add(settings)
    return reasons


def check_names(variants: Sequence[Recipe]) -> None:
    """Raise InputError where two variants could not be told apart."""
    names = pd.Index([(variant.group, variant.name) for variant in variants])
    if not names.is_unique:
        group, name = names[names.duplicated()][0]
        raise InputError(f"two variants of group {group!r} have the name {name!r}: give each its own")


CANDIDATES = {candidate.name: candidate for candidate in _listed(CANDIDATE, keeps_parts=False)}
STUDIED = [kind for kind in AUTOENCODERS if kind.startswith("damae, ") and kind != "damae, row corruption"]
DAMAE_STUDY = {"LEAP": CANDIDATES["LEAP"]} | {
    f"LEAP, {kind}": Recipe(CANDIDATE, f"LEAP, {kind}", representation=kind, n_representations=None, keeps_parts=False)
    for kind in STUDIED
}
"""LEAP with DAMAEs of another width, depth, number of epochs or corruption: hours of training a variant at the paper's
settings, so that they run where they are named."""


def candidates_of(profile: Profile) -> tuple[str, ...]:
    """Return the names of the candidates that a profile tries."""
    return tuple(name for name in CANDIDATES if name not in profile.leaves_out)


def checked_candidates(names: Sequence[str]) -> list[Recipe]:
    """Return candidates by name; an unknown one is an InputError that lists the known."""
    known = CANDIDATES | DAMAE_STUDY
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"candidate {unknown[0]!r} is unknown: use one of {'; '.join(known)}")
    return [known[name] for name in names]
