"""The ablations as data: what each variant of LEAP does otherwise (paper, supplementary tables 4 to 6, and additions).

A variant says how a representation comes about and what is fitted on it; `leaplib.runs.ablations` runs it.
Each step of the paper's nine is the step before with the fields replaced that its name tells of.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from leaplib.base.errors import InputError
from leaplib.cohorts.prepare import is_real
from leaplib.profiles import Profile
from leaplib.tasks import Task, get_task

TRAINING, OWN, SECOND, THIRD = "training set", "own", "second", "third"
SCOPES = (TRAINING, OWN, SECOND, THIRD)
"""What scaler and autoencoder see: the split's training set, all samples of the task's own source, those of the second
source too, those of the third too."""
ALL = "all"


@dataclass(frozen=True)
class Variant:
    """LEAP with something done otherwise.

    Parameters
    ----------
    group : str
        Ablation that it belongs to; within a group variants are compared.
    name : str
        What differs, in a few words.
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
    model : {"PS-LASSO", "PP-LGBM"}
    ensemble : {"folds", "refit"}
        The mean of the fold models, or one model fitted on the whole training set.
    repeats : int
        Cross-validations on one representation, averaged.
    folds : {"own", "plain", "tissue"}
        Tuning folds: those of the task's splits (grouped by tissue for unseen tissues), five at random, or one
        tissue a fold.
    """

    group: str
    name: str
    genes: str = OWN
    scaling: str = OWN
    pretraining: str = OWN
    representation: str = "damae"
    n_genes: int | None = None
    correction: str = "together"
    n_representations: int | None = 1
    model: str = "PS-LASSO"
    ensemble: str = "folds"
    repeats: int = 1
    folds: str = OWN

    def __post_init__(self) -> None:
        allowed = {"genes": (OWN, ALL), "scaling": SCOPES, "pretraining": SCOPES, "ensemble": ("folds", "refit"),
                   "correction": ("together", "per domain", "combat"), "folds": (OWN, "plain", "tissue"),
                   "model": ("PS-LASSO", "PP-LGBM")}  # fmt: skip
        for field, known in allowed.items():
            if getattr(self, field) not in known:
                raise InputError(f"variant {self.name!r}: {field} {getattr(self, field)!r} is unknown: use one of "
                                 f"{', '.join(known)}")  # fmt: skip

    def settings(self) -> "Variant":
        """Return the variant without group and name: equal settings give equal results."""
        return replace(self, group="", name="")

    def recipe(self) -> "Variant":
        """Return what the representation depends on alone, the rest as by default."""
        return Variant("", "", self.genes, self.scaling, self.pretraining, self.representation, self.n_genes,
                       self.correction)  # fmt: skip

    @property
    def inductive(self) -> bool:
        """Tell whether scaler or autoencoder see a split's training set alone."""
        return TRAINING in (self.scaling, self.pretraining)


STEPS = "steps"
_CHANGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("PS-LASSO instead of PP-LGBM", {"model": "PS-LASSO"}),
    ("genes of all sources", {"genes": ALL}),
    ("scaler sees its whole source", {"scaling": OWN}),
    ("DAMAE sees its whole source", {"pretraining": OWN}),
    ("both see the second source", {"scaling": SECOND, "pretraining": SECOND}),
    ("both see the third source", {"scaling": THIRD, "pretraining": THIRD}),
    ("mean of the 5 fold models", {"ensemble": "folds"}),
    ("mean over DAMAEs: LEAP", {"n_representations": None}),
)


def steps(n_genes: int | None = None) -> tuple[Variant, ...]:
    """Return the nine steps from the state of the art before (PP-LGBM) to LEAP (supplementary table 4)."""
    first = Variant(STEPS, "PP-LGBM", OWN, TRAINING, TRAINING, n_genes=n_genes, model="PP-LGBM", ensemble="refit")
    return tuple(accumulate(_CHANGES, lambda last, change: replace(last, name=change[0], **change[1]), initial=first))


def steps_of(profile: Profile, task: Task) -> tuple[Variant, ...]:
    """Return the nine steps for a task's data.

    The simulated cohort may have no more genes than are to be chosen; half of them are then, or there would be
    no choice for step 3 to change.
    """
    few = not is_real(profile, task.screen) and profile.simulated_genes <= profile.n_genes
    return steps(profile.simulated_genes // 2 if few else None)


def ensembles_of(profile: Profile, task: Task) -> tuple[Variant, ...]:
    """Return the variants of supplementary table 5: regressors on one representation, and on several."""
    *_, one, several = steps_of(profile, task)
    return (
        replace(one, group="ensembles", name="5 models on one representation"),
        replace(one, group="ensembles", name="25 models on one representation", repeats=5),
        replace(several, group="ensembles", name="LEAP"),
    )


TUNING = tuple(
    Variant("tuning", name, n_representations=None, folds=folds)
    for name, folds in (("5-fold", "plain"), ("5-fold grouped by tissue", OWN), ("leave one tissue out", "tissue"))
)
"""Supplementary table 6, on tasks of unseen tissues."""

ABLATION_TASKS, TUNING_TASKS, EXTRA_TASK = ("1a", "2a"), ("3a", "4a"), "2a"
"""Tasks of the steps, ensembles and batch corrections; of the ways to tune; of what the paper lacks (notebook 06)."""

N_DAMAES = 10
NUMBER = "Number of DAMAEs"


def additions_of(profile: Profile) -> tuple[Variant, ...]:
    """Return comparisons that the paper lacks; but for the last, on one representation from one seed."""
    n_genes = profile.n_identity_genes
    genes = f", {n_genes} genes" if n_genes else ""
    return (
        Variant("Representation", f"expression as it is{genes}", representation="identity", n_genes=n_genes),
        Variant("Representation", "PCA", representation="pca"),
        Variant("Representation", "autoencoder", representation="ae"),
        Variant("Representation", "masked autoencoder", representation="masked ae"),
        Variant("Representation", "noise autoencoder", representation="noise ae"),
        Variant("Representation", "DAMAE"),
        Variant("Corruption", "each gene from a sample of its own"),
        Variant("Corruption", "all genes from one sample", representation="damae, row corruption"),
        Variant("Hidden layer", "with hidden layer"),
        Variant("Hidden layer", "without hidden layer", representation="damae, no hidden layer"),
        Variant("Pretraining", "training set alone (inductive)", scaling=TRAINING, pretraining=TRAINING),
        Variant("Pretraining", "all samples (transductive)"),
        *(Variant(NUMBER, str(n), n_representations=n) for n in range(1, N_DAMAES + 1)),
    )


CORRECTION = "Batch correction"


def corrections_of(profile: Profile, task: Task) -> tuple[Variant, ...]:
    """Return the variants that bring the sources together in different ways, before scaler and autoencoder."""
    one = steps_of(profile, task)[-2]
    names = {"together": "none", "per domain": "each source standardised", "combat": "ComBat"}
    return tuple(replace(one, group=CORRECTION, name=name, correction=how) for how, name in names.items())


REFERENCES = {"Representation": "DAMAE", "Corruption": "each gene from a sample of its own",
              "Hidden layer": "with hidden layer", "Pretraining": "all samples (transductive)", NUMBER: "1",
              CORRECTION: "none"}  # fmt: skip
"""What the others of a group of additions are compared with; the paper's variants follow on each other."""


def resolve(variant: Variant, present: Collection[str]) -> Variant:
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


def needed(variant: Variant) -> list[str]:
    """Return the sources beside its own that make a variant what it is."""
    widest = max(SCOPES.index(scope) for scope in (variant.scaling, variant.pretraining))
    beside = list(SCOPES[SCOPES.index(SECOND) : widest + 1])
    return beside or ([SECOND, THIRD] if variant.genes == ALL else [])


def not_run(variants: Sequence[Variant], names: dict[str, str], present: Collection[str]) -> dict[Variant, str]:
    """Return the variants that the sources at hand make equal to one before them in their group, and why.

    Parameters
    ----------
    variants : sequence of Variant
    names : dict
        Names of the sources by role.
    present : collection of str
        Roles of the sources that are there.
    """
    seen: set[Variant] = set()
    reasons = {}
    for variant in variants:
        settings = replace(resolve(variant, present), name="")
        if settings in seen:
            absent = [names[role] for role in needed(variant) if role not in present]
            reasons[variant] = f"not run: {' and '.join(absent)} not at hand"
        seen.add(settings)
    return reasons


def ablations_of(profile: Profile) -> list[tuple[Task, tuple[Variant, ...]]]:
    """Return all variants of notebook 06, with the task that they are of."""
    found = []
    for task in map(get_task, ABLATION_TASKS):
        found += [(task, steps_of(profile, task)), (task, ensembles_of(profile, task)),
                  (task, corrections_of(profile, task))]  # fmt: skip
    found += [(get_task(task), TUNING) for task in TUNING_TASKS]
    return [*found, (get_task(EXTRA_TASK), additions_of(profile))]
