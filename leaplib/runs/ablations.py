"""The ablations as data: what each variant of LEAP does otherwise (paper, supplementary tables 4 to 6, and additions).

Each step of the paper's nine is the step before with the fields replaced that its name tells of.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.cohorts.prepare import at_hand, data_kind, prepared
from leaplib.profiles import Profile, get_profile
from leaplib.runs import records
from leaplib.runs.engine import TaskRun, run_of
from leaplib.runs.recipes import ALL, OWN, SCOPES, SECOND, THIRD, TRAINING, Recipe
from leaplib.runs.scopes import names_of
from leaplib.runs.scoring import SCORE_COLUMNS
from leaplib.tasks import Task, get_task

COLUMNS = ["task", "group", "variant", "model", "member", "split", *SCORE_COLUMNS, "data", "note"]
NOT_YET, FAILED = "not run yet", "failed"
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


def steps(n_genes: int | None = None) -> tuple[Recipe, ...]:
    """Return the nine steps from the state of the art before (PP-LGBM) to LEAP (supplementary table 4)."""
    first = Recipe(STEPS, "PP-LGBM", scaling=TRAINING, pretraining=TRAINING, n_genes=n_genes, model="PP-LGBM",
                   ensemble="refit")  # fmt: skip
    return tuple(accumulate(_CHANGES, lambda last, change: replace(last, name=change[0], **change[1]), initial=first))


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
        replace(one, group="ensembles", name="5 models on one representation"),
        replace(one, group="ensembles", name="25 models on one representation", repeats=5),
        replace(several, group="ensembles", name="LEAP"),
    )


TUNING = tuple(
    Recipe("tuning", name, n_representations=None, folds=folds)
    for name, folds in (("5-fold", "plain"), ("5-fold grouped by tissue", OWN), ("leave one tissue out", "tissue"))
)
"""Supplementary table 6, on tasks of unseen tissues."""

ABLATION_TASKS, TUNING_TASKS, EXTRA_TASK = ("1a", "2a"), ("3a", "4a"), "2a"
"""Tasks of the steps, ensembles and batch corrections; of the ways to tune; of what the paper lacks (notebook 06)."""

N_DAMAES = 10
NUMBER = "Number of DAMAEs"


LAYER, DAMAES = "Layer of representations", "DAMAEs: LEAP"


def layers() -> tuple[Recipe, ...]:
    """Return LEAP's Lassos on as many other views of the genes as it has DAMAEs."""
    kinds = {"PCA views": "pca view", "random projections": "random projection", "linear encoders": "linear encoder"}
    several = Recipe(LAYER, DAMAES, n_representations=None)
    return (*(replace(several, name=name, representation=kind) for name, kind in kinds.items()), several)


def additions_of(profile: Profile) -> tuple[Recipe, ...]:
    """Return comparisons that the paper lacks; but for layers and numbers, on one representation from one seed."""
    n_genes = profile.n_identity_genes
    genes = f", {n_genes} genes" if n_genes else ""
    return (
        Recipe("Representation", f"expression as it is{genes}", representation="identity", n_genes=n_genes),
        Recipe("Representation", "PCA", representation="pca"),
        Recipe("Representation", "autoencoder", representation="ae"),
        Recipe("Representation", "masked autoencoder", representation="masked ae"),
        Recipe("Representation", "noise autoencoder", representation="noise ae"),
        Recipe("Representation", "PCA of half of the genes", representation="pca view"),
        Recipe("Representation", "random projection", representation="random projection"),
        Recipe("Representation", "linear encoder", representation="linear encoder"),
        Recipe("Representation", "DAMAE"),
        *layers(),
        Recipe("Corruption", "each gene from a sample of its own"),
        Recipe("Corruption", "all genes from one sample", representation="damae, row corruption"),
        Recipe("Hidden layer", "with hidden layer"),
        Recipe("Hidden layer", "without hidden layer", representation="damae, no hidden layer"),
        Recipe("Pretraining", "training set alone (inductive)", scaling=TRAINING, pretraining=TRAINING),
        Recipe("Pretraining", "all samples (transductive)"),
        *(Recipe(NUMBER, str(n), n_representations=n) for n in range(1, N_DAMAES + 1)),
    )


CORRECTION = "Batch correction"


def corrections_of(profile: Profile, task: Task) -> tuple[Recipe, ...]:
    """Return the variants that bring the sources together in different ways, before scaler and autoencoder."""
    one = steps_of(profile, task)[-2]
    names = {"together": "none", "per domain": "each source standardised", "combat": "ComBat"}
    return tuple(replace(one, group=CORRECTION, name=name, correction=how) for how, name in names.items())


REFERENCES = {"Representation": "DAMAE", LAYER: DAMAES, "Corruption": "each gene from a sample of its own",
              "Hidden layer": "with hidden layer", "Pretraining": "all samples (transductive)", NUMBER: "1",
              CORRECTION: "none"}  # fmt: skip
"""What the others of a group of additions are compared with; the paper's variants follow on each other."""


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


def needed(variant: Recipe) -> list[str]:
    """Return the sources beside its own that make a variant what it is."""
    widest = max(SCOPES.index(scope) for scope in (variant.scaling, variant.pretraining))
    beside = list(SCOPES[SCOPES.index(SECOND) : widest + 1])
    return beside or ([SECOND, THIRD] if variant.genes == ALL else [])


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
            absent = [names[role] for role in needed(variant) if role not in present]
            reasons[variant] = f"not run: {' and '.join(absent)} not at hand"
        seen.add(settings)
    return reasons


def ablations_of(profile: Profile) -> list[tuple[Task, tuple[Recipe, ...]]]:
    """Return all variants of notebook 06, with the task that they are of."""
    found = []
    for task in map(get_task, ABLATION_TASKS):
        found += [(task, steps_of(profile, task)), (task, ensembles_of(profile, task)),
                  (task, corrections_of(profile, task))]  # fmt: skip
    found += [(get_task(task), TUNING) for task in TUNING_TASKS]
    return [*found, (get_task(EXTRA_TASK), additions_of(profile))]


def left_out(run: TaskRun, variants: Sequence[Recipe]) -> dict[Recipe, str]:
    """Return the variants that cannot be told apart with the sources at hand of a task, and why."""
    return not_run(variants, names_of(at_hand(run.profile, run.task)), run.roles)


def check_names(variants: Sequence[Recipe]) -> None:
    """Raise InputError where two variants could not be told apart."""
    names = pd.Index([(variant.group, variant.name) for variant in variants])
    if not names.is_unique:
        group, name = names[names.duplicated()][0]
        raise InputError(f"two variants of group {group!r} have the name {name!r}: give each its own")


def load_variants(profile: Profile | str, task: Task | str, variants: Sequence[Recipe]) -> pd.DataFrame:
    """Return the saved scores of variants on a task, computing nothing.

    Returns
    -------
    DataFrame
        As `run_ablations`. A variant without scores of the current data, settings and version has a
        note instead, and one with scores on a part of the splits has these.

    Raises
    ------
    InputError
        As there, and when no variant has scores: it says which command makes them.
    """
    profile = get_profile(profile)
    task = get_task(task)
    check_names(variants)
    prepared(profile, task)  # before files are told by their times: they may be of other data
    run = run_of(profile, task)
    notes = left_out(run, variants)
    command = f"run `leap run --profile {profile.name} --notebooks 06`"
    frames: list[pd.DataFrame] = []
    for variant in variants:
        resolved = resolve(variant, run.roles)
        several = (variant.n_representations or profile.n_representations) > 1
        about: dict[str, Any] = {"task": task.id, "group": variant.group, "variant": variant.name, "member": -1,
                 "model": "LEAP" if several else variant.model, "data": run.cohort.data}  # fmt: skip
        splits = [] if variant in notes else run.ablation_splits
        saved = {split.name: run.saved(split, resolved) for split in splits}
        found = [frame.assign(**about, split=name, note="") for name, frame in saved.items() if frame is not None]
        if not found:
            note = notes.get(variant) or (FAILED if _has_failed(profile.name, task.id, variant) else NOT_YET)
            found = [_NOTHING.assign(**about, split="", note=note)]
        frames += [frame[COLUMNS] for frame in found]
    table = pd.concat(frames, ignore_index=True)
    if not (table["split"] != "").any():
        there = any(run.path("scores", split, variants[0]).parent.is_dir() for split in run.ablation_splits)
        reason = "are of other data, settings or version" if there else "were not run"
        raise InputError(f"the ablations of task {task.id} {reason}: {command}")
    return table


def _has_failed(profile: str, task: str, variant: Recipe) -> bool:
    """Tell whether a failure of a variant is on record."""
    named = f" {variant.group} {variant.name}"
    return any(failure.task == task and failure.job.endswith(named) for failure in records.recorded(profile))


_NOTHING = pd.DataFrame([("per_perturbation", "", 0, "spearman", np.nan)], columns=SCORE_COLUMNS)
