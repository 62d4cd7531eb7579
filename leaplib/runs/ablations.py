"""The variants of `leaplib.runs.variants` on a task's own cohort and splits: what is done is found again.

Three kinds of files, each found by the key of all that it depends on: codes of representations (one a split
where the training set alone is seen), predictions of members (one regressor on one representation), and scores of
variants, which average members. What two variants share is computed once; the ordinary PS-LASSO and
its representations are those of `leaplib.runs.task_run`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leaplib.base.code_version import code_version
from leaplib.base.errors import InputError
from leaplib.base.layout import Layout, slug
from leaplib.base.store import is_done, key_of, load_frame, save_frame
from leaplib.cohorts.prepare import prepared
from leaplib.cohorts.splits import SEED, Split, tissue_folds, tuning_folds
from leaplib.models.leap import average
from leaplib.models.table import BY_NAME, code_of, make
from leaplib.profiles import Profile, get_profile
from leaplib.representation.damae import DAMAE
from leaplib.representation.pretraining import embedding_key
from leaplib.runs import failures
from leaplib.runs.scopes import Origin, Source, encode, names_of, origins_of, sources_of, used
from leaplib.runs.scoring import score_split, without_prediction
from leaplib.runs.task_run import TaskRun, member_name, run_of
from leaplib.runs.variants import OWN, Variant, not_run, resolve
from leaplib.tasks import Task, get_task

COLUMNS = ["task", "group", "variant", "model", "member", "split", "level", "perturbation", "test_set", "metric",
           "value", "data", "note"]  # fmt: skip
ORDINARY = Variant("", "")
NOT_YET, FAILED = "not run yet", "failed"
REPEAT_SEED = 1000  # apart from those of the splits' own folds


@dataclass(frozen=True)
class Ablations:
    """The variants of one task: what each predicts on each split.

    Parameters
    ----------
    run : TaskRun
    """

    run: TaskRun

    @cached_property
    def origins(self) -> list[Origin]:
        """What identifies the sources at hand, the task's own first."""
        return origins_of(self.run.profile, self.run.task)

    @cached_property
    def sources(self) -> list[Source]:
        """Their expression."""
        return sources_of(self.run.profile, self.run.task)

    @property
    def splits(self) -> list[Split]:
        """The task's splits, of holdouts the first few."""
        few = self.run.profile.n_ablation_splits if self.run.task.design == "holdout" else None
        return self.run.splits[:few]

    @property
    def folder(self) -> Path:
        """Where results lie."""
        return Layout(self.run.profile.name).results / "ablations"

    def resolved(self, variant: Variant) -> Variant:
        """Return a variant as it can be run here."""
        return resolve(variant, [origin.role for origin in self.origins])

    def left_out(self, variants: Sequence[Variant]) -> dict[Variant, str]:
        """Return the variants that cannot be told apart with the sources at hand, and why."""
        return not_run(variants, names_of(self.run.task), [origin.role for origin in self.origins])

    def number(self, variant: Variant) -> int:
        """Return how many representations a variant averages."""
        return variant.n_representations or self.run.profile.n_representations

    def score(self, variant: Variant, split: Split, force: bool = False,
              errors: dict[str, Exception] | None = None) -> pd.DataFrame:  # fmt: skip
        """Return the scores of a resolved variant on a split, made now or before.

        `errors` takes the perturbations of which a member has no prediction.
        """
        path, configuration = self.scores_file(variant, split)
        if force or not is_done(path, configuration):
            found = [self.member(variant, split, *member) for member in self.members(variant)]
            truth, prediction = self.run.cohort.response.loc[split.test], average(found).astype(np.float32)
            without = without_prediction(prediction)
            (errors if errors is not None else {}).update(
                {name: RuntimeError(f"no prediction by a member of {variant.name!r}") for name in without}
            )
            save_frame(score_split(truth, prediction, split), path, configuration, without)
        return load_frame(path)

    def saved(self, variant: Variant, split: Split) -> pd.DataFrame | None:
        """Return the scores of a resolved variant on a split where they are done, else None."""
        path, configuration = self.scores_file(variant, split)
        return load_frame(path) if is_done(path, configuration) else None

    def members(self, variant: Variant) -> list[tuple[int, int]]:
        """Return number and repeat of each regressor that a variant averages."""
        return [(number, repeat) for number in range(self.number(variant)) for repeat in range(variant.repeats)]

    def scores_file(self, variant: Variant, split: Split) -> tuple[Path, dict[str, Any]]:
        """Return where the scores of a variant lie, and what they depend on."""
        keys = [key_of(self._member_configuration(variant, split, *member)) for member in self.members(variant)]
        configuration = {"members": keys,
                         "test": list(split.test), "left_out": [list(held) for held in split.left_out]}  # fmt: skip
        return self._path("scores", split, configuration), configuration

    def named(self, scores: pd.DataFrame, variant: Variant, split: str = "", note: str = "") -> pd.DataFrame:
        """Say of which task, variant and split scores are."""
        model = "LEAP" if self.number(variant) > 1 else variant.model
        return scores.assign(task=self.run.task.id, group=variant.group, variant=variant.name, model=model, member=-1,
                             split=split, data=self.run.cohort.data, note=note)[COLUMNS]  # fmt: skip

    def member(self, variant: Variant, split: Split, number: int, repeat: int, force: bool = False,
               errors: dict[str, Exception] | None = None) -> pd.DataFrame:  # fmt: skip
        """Return the predictions of one regressor on one representation, made now or before, or by the task's run.

        `errors` is as in `TaskRun.predict`.
        """
        if not force and self.by_task(variant, split, number, repeat):
            return load_frame(self.run.files(split, member_name(number))[0])
        path, configuration = self.member_file(variant, split, number, repeat)
        if force or not is_done(path, configuration):
            found = self._predict(variant, split, self.codes(variant, split, number), repeat, errors)
            save_frame(found.astype(np.float32), path, configuration, without_prediction(found))
        return load_frame(path)

    def member_file(self, variant: Variant, split: Split, number: int, repeat: int) -> tuple[Path, dict[str, Any]]:
        """Return where the predictions of a member lie, and what they depend on."""
        configuration = self._member_configuration(variant, split, number, repeat)
        return self._path("predictions", split, configuration), configuration

    def by_task(self, variant: Variant, split: Split, number: int, repeat: int) -> bool:
        """Tell whether a member is one of the task's own PS-LASSOs, and done."""
        return self._is_ordinary(variant, number, repeat) and self.run.is_done(split, member_name(number))

    def _is_ordinary(self, variant: Variant, number: int, repeat: int) -> bool:
        """Tell whether a member is one of the task's own PS-LASSOs."""
        same = (variant.model, variant.ensemble, variant.folds, repeat) == ("PS-LASSO", "folds", OWN, 0)
        return same and self.is_own(variant, number)

    def is_own(self, variant: Variant, number: int) -> bool:
        """Tell whether a representation is one of the task's own."""
        return variant.recipe() == ORDINARY and number < self.run.profile.n_representations

    def _member_configuration(self, variant: Variant, split: Split, number: int, repeat: int) -> dict[str, Any]:
        own = self.is_own(variant, number)
        return {
            "codes": {"own": embedding_key(self.run.profile, self.run.task)} if own else self._recipe(variant, split),
            "number": number,
            "model": variant.model,
            "settings": self.run.settings(variant.model) | {"ensemble": variant.ensemble},
            "train": list(split.train),
            "test": list(split.test),
            "folds": self._folds(variant, split, repeat).tolist(),
            "cohort": self.run.cohort.hash,
            "code": [code_of(variant.model), code_version("leaplib.runs.ablations")],
        }

    def _folds(self, variant: Variant, split: Split, repeat: int) -> pd.Series:
        """Return the tuning folds; those of a repeat are random."""
        if repeat or variant.folds == "plain":
            return tuning_folds(split.train, SEED + REPEAT_SEED * repeat)
        tissue = self.run.cohort.samples["tissue"]
        return tissue_folds(split.train, tissue) if variant.folds == "tissue" else split.folds

    def _predict(self, variant: Variant, split: Split, codes: pd.DataFrame, repeat: int,
                 errors: dict[str, Exception] | None) -> pd.DataFrame:  # fmt: skip
        run, train, known = self.run, split.train, BY_NAME[variant.model]
        folds, tissue = self._folds(variant, split, repeat), run.cohort.samples["tissue"].loc[train]

        def part(perturbations: pd.Index) -> dict[str, pd.DataFrame]:
            model = make(known, run.settings(variant.model), run.device)
            model.set_params(ensemble=variant.ensemble)
            labels = run.cohort.response.loc[train, perturbations]
            model.fit(codes.loc[train], labels, folds, tissue, run.cohort.fingerprints)
            return {variant.model: model.predict(codes.loc[split.test])}

        perturbations = run.cohort.response.columns
        if errors is None or known.pan_perturbation:
            return part(perturbations)[variant.model]
        return failures.contained(part, perturbations, errors)[variant.model]

    def codes(self, variant: Variant, split: Split, number: int, force: bool = False) -> pd.DataFrame:
        """Return representation `number` of the own source's samples, trained now or before."""
        if self.is_own(variant, number):
            return self.run.embedding.codes[number]
        path, configuration = self.codes_file(variant, split, number)
        if force or not is_done(path, configuration):
            profile, n_genes = self.run.profile, variant.n_genes or self.run.profile.n_genes
            frame = encode(self.sources, variant, split, [number], n_genes, self.run.device, dict(profile.damae))[0]
            save_frame(frame, path, configuration)
        return load_frame(path)

    def codes_file(self, variant: Variant, split: Split, number: int) -> tuple[Path, dict[str, Any]]:
        """Return where representation `number` of a variant's kind lies, and what it depends on."""
        configuration = self._recipe(variant, split)
        folder = self.folder / "representations" / key_of(configuration)[:16]
        return folder / f"codes_{number}.parquet", configuration | {"number": number}

    def _recipe(self, variant: Variant, split: Split) -> dict[str, Any]:
        """Return all that a representation depends on but its number."""
        recipe = variant.recipe()
        settings = DAMAE(**dict(self.run.profile.damae)).get_params()
        return {
            "recipe": asdict(recipe),
            "n_genes": variant.n_genes or self.run.profile.n_genes,
            "sources": [origin.key for origin in used(self.origins, recipe)],
            "damae": {name: value for name, value in settings.items() if name not in ("random_state", "device")},
            "split": {"train": list(split.train), "test": list(split.test)} if recipe.inductive else None,
            "code": code_version("leaplib.runs.scopes"),
        }

    def _path(self, kind: str, split: Split, configuration: dict) -> Path:
        return self.folder / kind / self.run.task.id / slug(split.name) / f"{key_of(configuration)[:16]}.parquet"


def load_variants(profile: Profile | str, task: Task | str, variants: Sequence[Variant]) -> pd.DataFrame:
    """Return the saved scores of variants on a task, computing nothing.

    Returns
    -------
    DataFrame
        As `run_variants`. A variant without scores of the current data, settings and version has a
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
    ablations = Ablations(run_of(profile, task))
    command = f"run `leap run --profile {profile.name} --notebooks 06`"
    if not (ablations.folder / "scores" / task.id).is_dir():
        raise InputError(f"no ablations of task {task.id} in {ablations.folder}: {command}")
    notes = ablations.left_out(variants)
    frames: list[pd.DataFrame] = []
    for variant in variants:
        resolved = ablations.resolved(variant)
        found = {split.name: ablations.saved(resolved, split) for split in ablations.splits if variant not in notes}
        frames += [ablations.named(part, variant, name) for name, part in found.items() if part is not None]
        if all(part is None for part in found.values()):
            note = notes.get(variant) or (FAILED if _has_failed(profile.name, task.id, variant) else NOT_YET)
            frames.append(ablations.named(_NOTHING, variant, note=note))
    table = pd.concat(frames, ignore_index=True)
    if not (table["split"] != "").any():
        raise InputError(f"the ablations of task {task.id} are of other data, settings or version: {command}")
    return table


def _has_failed(profile: str, task: str, variant: Variant) -> bool:
    """Tell whether a failure of a variant is on record."""
    named = f" {variant.group} {variant.name} "
    return any(failure.task == task and named in failure.job for failure in failures.recorded(profile))


_NOTHING = pd.DataFrame(
    [("per_perturbation", "", 0, "spearman", np.nan)],
    columns=["level", "perturbation", "test_set", "metric", "value"],
)


def check_names(variants: Sequence[Variant]) -> None:
    """Raise InputError where two variants could not be told apart."""
    names = pd.Index([(variant.group, variant.name) for variant in variants])
    if not names.is_unique:
        group, name = names[names.duplicated()][0]
        raise InputError(f"two variants of group {group!r} have the name {name!r}: give each its own")
