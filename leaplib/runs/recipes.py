"""What is computed, as data: a recipe says what is seen, what is fitted on it, and what becomes of the predictions.

The models of the tables, the variants of the ablations (`leaplib.runs.ablations`) and the candidates on the way to
LEAP+ (`leaplib.runs.candidates`) are lists of recipes; `leaplib.runs.engine` makes them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from leaplib.base.code_version import code_version
from leaplib.base.errors import InputError
from leaplib.base.store import key_of
from leaplib.models.elastic_net import PSElasticNet
from leaplib.models.kernel import rank_scores
from leaplib.models.naive import TissueMean, TrainingMean
from leaplib.models.table import BY_NAME, CONTROLS, FEW_SHOT, MODELS, Model

TRAINING, OWN, SECOND, THIRD = "training set", "own", "second", "third"
SCOPES = (TRAINING, OWN, SECOND, THIRD)
"""What scaler and autoencoder see: the split's training set, all samples of the task's own source, those of the second
source too, those of the third too."""
ALL = "all"
CODE, GENES, SAMPLES = "code", "genes", "table of samples"
RANKS, SHUFFLED = "ranks", "shuffled"
CODE_OF_STAGE = "leaplib.runs.engine"

ESTIMATORS: dict[str, Any] = {name: model.estimator for name, model in BY_NAME.items() if model.estimator} | {
    "elastic net": PSElasticNet,
    CONTROLS["training-mean"]: TrainingMean,
    CONTROLS["tissue-mean"]: TissueMean,
}
TRANSFORMED = {RANKS: (rank_scores, "LEAP+")}
"""What labels are replaced by, and the model whose code that is."""
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
        What the model sees of a sample: the code of one representation, standardised genes, or another of
        `leaplib.runs.features.FEATURES`.
    genes : {"own", "all"}
        Sources that choose the genes: the most variable ones of each, united.
    scaling, pretraining : {"training set", "own", "second", "third"}
        What the preprocessing (choice of genes, standardisation) and the autoencoder see, see `SCOPES`.
    representation : str
        As `leaplib.representation.kinds.make_representation` knows it.
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
    labels : {"own", "ranks", "shuffled"}
        Fitted to: the labels, their rank scores, or labels shuffled within each perturbation.
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
    stacked : bool
        The weights of the mean are learned on samples that the models were fitted without.
    directions : int
        Average predictions with their projection onto so many principal directions of the training labels; 0: do not.
    held_out : bool
        Predict training samples by the models fitted without them, instead of test samples.
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
    stacked: bool = False
    directions: int = 0
    held_out: bool = False
    few_shot: bool = False
    keeps_parts: bool = True

    def __post_init__(self) -> None:
        allowed = {"genes": (OWN, ALL), "scaling": SCOPES, "pretraining": SCOPES, "ensemble": ("folds", "refit"),
                   "correction": ("together", "per domain", "combat"), "folds": (OWN, "plain", "tissue"),
                   "labels": (OWN, RANKS, SHUFFLED), "model": tuple(ESTIMATORS)}  # fmt: skip
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
        pan = getattr(ESTIMATORS[self.model], "pan_perturbation", False)
        return not (pan or self.directions or self.stacked)

    def seen(self) -> "Recipe":
        """Return what the representation depends on alone, but for its number; the rest as by default."""
        return Recipe(genes=self.genes, scaling=self.scaling, pretraining=self.pretraining, n_genes=self.n_genes,
                      representation=self.representation, correction=self.correction)  # fmt: skip

    def parts(self, n_representations: int) -> "tuple[Recipe, ...]":
        """Return what it is the mean of; nothing of one fit. `n_representations` is the profile's."""
        if self.is_fit or self.mean_of:
            return tuple(replace(part, held_out=self.held_out) for part in self.mean_of)
        one = replace(self, group="", name="", n_representations=1, repeats=1, directions=0, keeps_parts=True)
        numbers = range(self.n_representations or n_representations)
        return tuple(_named(replace(one, number=i, repeat=j)) for i in numbers for j in range(self.repeats))

    def saved_parts(self, n_representations: int) -> "tuple[Recipe, ...]":
        """Return the parts that are results of their own."""
        return self.parts(n_representations) if self.keeps_parts else ()

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
MEANS = tuple(Recipe(name=CONTROLS[key], model=CONTROLS[key], features=SAMPLES) for key in ("training-mean",
                                                                                         "tissue-mean"))  # fmt: skip
CHANCE = replace(LEAP, name=CONTROLS["leap-shuffled"], labels=SHUFFLED, keeps_parts=False)
"""LEAP on shuffled labels."""


def recipes_of(models: Sequence[str], design: str, chance: bool) -> list[Recipe]:
    """Return the recipes of models (keys of `MODELS`) on tasks of a design, controls and all; chance goes with LEAP."""
    keys = [key for key, model in MODELS.items() if key in models and design in model.designs]
    found = [*MEANS, *(RECIPES[MODELS[key].name] for key in keys)]
    return [*found, CHANCE] if chance and LEAP in found else found


def code_of(*models: str) -> str:
    """Return the version of the code that results of these models depend on (see `leaplib.base.code_version`)."""
    return code_version(*sorted({ESTIMATORS[model].__module__ for model in models}), CODE_OF_STAGE)
