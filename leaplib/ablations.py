"""Run the variants of `leaplib.variants` on a task's own cohort and splits: what is done is found again.

Three kinds of files, each found by the key of all that it depends on: codes of representations (one a split
where the training set alone is seen), predictions of members (one regressor on one representation), and scores of
variants, which average members. What two variants share is computed once; the ordinary PS-LASSO and
its representations are those of `leaplib.experiment`.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leaplib import __version__
from leaplib.damae import DAMAE
from leaplib.errors import InputError
from leaplib.experiment import TaskRun, log, member_name
from leaplib.layout import Layout, slug
from leaplib.leap import average
from leaplib.models import BY_NAME, make
from leaplib.pretraining import embedding_key
from leaplib.profiles import Profile, get_profile
from leaplib.progress import progress
from leaplib.scopes import Origin, Source, encode, names_of, origins_of, sources_of, used
from leaplib.scores import score_split
from leaplib.splits import SEED, Split, tissue_folds, tuning_folds
from leaplib.store import is_done, key_of, load_frame, save_frame
from leaplib.tasks import Task, get_task
from leaplib.variants import OWN, Variant, not_run, resolve

COLUMNS = ["task", "group", "variant", "model", "member", "split", "level", "perturbation", "test_set", "metric",
           "value", "data", "note"]  # fmt: skip
ORDINARY = Variant("", "")
NOT_YET = "not run yet"
REPEAT_SEED = 1000  # apart from those of the splits' own folds


@dataclass
class Ablations:
    """The variants of one task: what each predicts on each split.

    Parameters
    ----------
    run : TaskRun
    force : bool
        Compute again what is done, once.
    """

    run: TaskRun
    force: bool = False
    made: set[Path] = field(default_factory=set)

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

    def number(self, variant: Variant) -> int:
        """Return how many representations a variant averages."""
        return variant.n_representations or self.run.profile.n_representations

    def number_of_kind(self, variant: Variant, variants: Iterable[Variant]) -> int:
        """Return how many representations of a variant's kind the variants want, to be trained together."""
        return max(self.number(other) for other in variants if other.recipe() == variant.recipe())

    def score(self, variant: Variant, split: Split, n_together: int) -> pd.DataFrame:
        """Return the scores of a resolved variant on a split, made now or before.

        `n_together` representations of its kind are wanted in all; they are trained together.
        """
        path, configuration = self._scores(variant, split)
        if not self._is_done(path, configuration):
            found = [self.member(variant, split, *member, n_together=n_together) for member in self._members(variant)]
            truth, prediction = self.run.cohort.response.loc[split.test], average(found).astype(np.float32)
            self._save(score_split(truth, prediction, split), path, configuration)
        return load_frame(path)

    def saved(self, variant: Variant, split: Split) -> pd.DataFrame | None:
        """Return the scores of a resolved variant on a split where they are done, else None."""
        path, configuration = self._scores(variant, split)
        return load_frame(path) if is_done(path, configuration) else None

    def _members(self, variant: Variant) -> list[tuple[int, int]]:
        """Return number and repeat of each regressor that a variant averages."""
        return [(number, repeat) for number in range(self.number(variant)) for repeat in range(variant.repeats)]

    def _scores(self, variant: Variant, split: Split) -> tuple[Path, dict[str, Any]]:
        """Return where the scores of a variant lie, and what they depend on."""
        keys = [key_of(self._member_configuration(variant, split, *member)) for member in self._members(variant)]
        configuration = {"members": keys,
                         "test": list(split.test), "left_out": [list(held) for held in split.left_out]}  # fmt: skip
        return self._path("scores", split, configuration), configuration

    def named(self, scores: pd.DataFrame, variant: Variant, split: str = "", note: str = "") -> pd.DataFrame:
        """Say of which task, variant and split scores are."""
        model = "LEAP" if self.number(variant) > 1 else variant.model
        return scores.assign(task=self.run.task.id, group=variant.group, variant=variant.name, model=model, member=-1,
                             split=split, data=self.run.cohort.data, note=note)[COLUMNS]  # fmt: skip

    def member(self, variant: Variant, split: Split, number: int, repeat: int, n_together: int = 1) -> pd.DataFrame:
        """Return the predictions of one regressor on one representation, made now or before, or by the task's run."""
        ordinary = Layout(self.run.profile.name).prediction(self.run.task.id, split.name, member_name(number))
        if self._is_ordinary(variant, number, repeat) and self._is_done(
            ordinary, self.run.configuration(split, member_name(number))
        ):
            return load_frame(ordinary)
        configuration = self._member_configuration(variant, split, number, repeat)
        path = self._path("predictions", split, configuration)
        if not self._is_done(path, configuration):
            started = time.perf_counter()
            found = self._predict(variant, split, self.codes(variant, split, number, n_together), repeat)
            self._save(found.astype(np.float32), path, configuration)
            log(self.run.profile, task=self.run.task.id, split=split.name, ablation=asdict(variant.settings()),
                seconds=time.perf_counter() - started)  # fmt: skip
        return load_frame(path)

    def _is_ordinary(self, variant: Variant, number: int, repeat: int) -> bool:
        """Tell whether a member is one of the task's own PS-LASSOs."""
        same = (variant.model, variant.ensemble, variant.folds, repeat) == ("PS-LASSO", "folds", OWN, 0)
        return same and self._has_codes(variant, number)

    def _has_codes(self, variant: Variant, number: int) -> bool:
        """Tell whether a representation is one of the task's own."""
        return variant.recipe() == ORDINARY and number < self.run.profile.n_representations

    def _member_configuration(self, variant: Variant, split: Split, number: int, repeat: int) -> dict[str, Any]:
        own = self._has_codes(variant, number)
        return {
            "codes": {"own": embedding_key(self.run.profile, self.run.task)} if own else self._recipe(variant, split),
            "number": number,
            "model": variant.model,
            "settings": self.run.settings(variant.model) | {"ensemble": variant.ensemble},
            "train": list(split.train),
            "test": list(split.test),
            "folds": self._folds(variant, split, repeat).tolist(),
            "cohort": self.run.cohort.hash,
            "version": __version__,
        }

    def _folds(self, variant: Variant, split: Split, repeat: int) -> pd.Series:
        """Return the tuning folds; those of a repeat are random."""
        if repeat or variant.folds == "plain":
            return tuning_folds(split.train, SEED + REPEAT_SEED * repeat)
        tissue = self.run.cohort.samples["tissue"]
        return tissue_folds(split.train, tissue) if variant.folds == "tissue" else split.folds

    def _predict(self, variant: Variant, split: Split, codes: pd.DataFrame, repeat: int) -> pd.DataFrame:
        run, train = self.run, split.train
        model = make(BY_NAME[variant.model], run.settings(variant.model), run.device)
        model.set_params(ensemble=variant.ensemble)
        folds, tissue = self._folds(variant, split, repeat), run.cohort.samples["tissue"].loc[train]
        model.fit(codes.loc[train], run.cohort.response.loc[train], folds, tissue, run.cohort.fingerprints)
        return model.predict(codes.loc[split.test])

    def codes(self, variant: Variant, split: Split, number: int, n_together: int = 1) -> pd.DataFrame:
        """Return representation `number` of the own source's samples, trained now or before."""
        if self._has_codes(variant, number):
            return self.run.embedding.codes[number]
        configuration = self._recipe(variant, split)
        folder = self.folder / "representations" / key_of(configuration)[:16]
        keys = {folder / f"codes_{seed}.parquet": configuration | {"number": seed}
                for seed in range(max(n_together, number + 1)) if not self._has_codes(variant, seed)}  # fmt: skip
        missing = {path: key for path, key in keys.items() if not self._is_done(path, key)}
        if missing:
            self._pretrain(variant, split, missing)
        return load_frame(folder / f"codes_{number}.parquet")

    def _pretrain(self, variant: Variant, split: Split, missing: dict[Path, dict]) -> None:
        """Train representations together and save their codes."""
        profile, seeds = self.run.profile, [configuration["number"] for configuration in missing.values()]
        n_genes = variant.n_genes or profile.n_genes
        codes = encode(self.sources, variant, split, seeds, n_genes, self.run.device, dict(profile.damae))
        for (path, configuration), frame in zip(missing.items(), codes, strict=True):
            self._save(frame, path, configuration)

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
            "version": __version__,
        }

    def _path(self, kind: str, split: Split, configuration: dict) -> Path:
        return self.folder / kind / self.run.task.id / slug(split.name) / f"{key_of(configuration)[:16]}.parquet"

    def _is_done(self, path: Path, configuration: dict) -> bool:
        return (path in self.made or not self.force) and is_done(path, configuration)

    def _save(self, frame: pd.DataFrame, path: Path, configuration: dict) -> None:
        save_frame(frame, path, configuration)
        self.made.add(path)


def run_variants(profile: Profile | str, task: Task | str, variants: Sequence[Variant], device: str = "auto",
                 force: bool = False) -> pd.DataFrame:  # fmt: skip
    """Run variants on a task and return their scores; what is done already is not computed again.

    Parameters
    ----------
    profile : Profile or str
        Its `n_ablation_splits` says on how many holdouts; unseen tissues are all run.
    task : Task or str
        With cell lines as the test set (1a to 4b).
    variants : sequence of Variant
    device : {"auto", "cpu", "cuda"}
    force : bool
        Compute again what is done, but for the task's own representations.

    Returns
    -------
    DataFrame
        As `leaplib.scores.load_scores`, and the columns group, variant (name) and note; variants in their order.
        `note` is "" but for a variant that cannot be run with the sources at hand: it has one row, without a
        value, whose note says "not run" and why.

    Raises
    ------
    InputError
        For a task on xenografts, or two variants of one name in a group.
    """
    profile = get_profile(profile) if isinstance(profile, str) else profile
    task = get_task(task) if isinstance(task, str) else task
    _check_names(variants)
    names, ablations = names_of(task), Ablations(TaskRun(profile, task, device), force)
    left_out = not_run(variants, names, [origin.role for origin in ablations.origins])
    resolved = {variant: ablations.resolved(variant) for variant in variants if variant not in left_out}
    jobs = [(variant, split) for split in ablations.splits for variant in resolved]
    frames = []
    for variant, split in progress(jobs, f"ablations of task {task.id}"):
        found = ablations.score(
            resolved[variant], split, ablations.number_of_kind(resolved[variant], resolved.values())
        )
        frames.append(ablations.named(found, variant, split=split.name))
    frames += [ablations.named(_NOTHING, variant, note=note) for variant, note in left_out.items()]
    return _in_order(pd.concat(frames, ignore_index=True), variants)


def load_variants(profile: Profile | str, task: Task | str, variants: Sequence[Variant]) -> pd.DataFrame:
    """Return the saved scores of variants on a task, computing nothing.

    Returns
    -------
    DataFrame
        As `run_variants`. A variant without scores of the current data, settings and version has a note instead,
        and one with scores on a part of the splits has these.

    Raises
    ------
    InputError
        As `run_variants`, and when no variant has scores: it says which command makes them.
    """
    profile = get_profile(profile) if isinstance(profile, str) else profile
    task = get_task(task) if isinstance(task, str) else task
    _check_names(variants)
    names, ablations = names_of(task), Ablations(TaskRun(profile, task))
    command = f"run `leap run --profile {profile.name} --notebooks 06`"
    if not (ablations.folder / "scores" / task.id).is_dir():
        raise InputError(f"no ablations of task {task.id} in {ablations.folder}: {command}")
    notes = not_run(variants, names, [origin.role for origin in ablations.origins])
    frames = []
    for variant in variants:
        resolved = ablations.resolved(variant)
        found = {split.name: ablations.saved(resolved, split) for split in ablations.splits if variant not in notes}
        frames += [ablations.named(part, variant, name) for name, part in found.items() if part is not None]
        if all(part is None for part in found.values()):
            note = notes.get(variant, NOT_YET)
            frames.append(ablations.named(_NOTHING, variant, note=note))
    table = pd.concat(frames, ignore_index=True)
    if not (table["split"] != "").any():
        raise InputError(f"the ablations of task {task.id} are of other data, settings or version: {command}")
    return table


_NOTHING = pd.DataFrame(
    [("per_perturbation", "", 0, "spearman", np.nan)],
    columns=["level", "perturbation", "test_set", "metric", "value"],
)


def _check_names(variants: Sequence[Variant]) -> None:
    """Raise InputError where two variants could not be told apart."""
    names = pd.Index([(variant.group, variant.name) for variant in variants])
    if not names.is_unique:
        group, name = names[names.duplicated()][0]
        raise InputError(f"two variants of group {group!r} have the name {name!r}: give each its own")


def _in_order(scores: pd.DataFrame, variants: Sequence[Variant]) -> pd.DataFrame:
    """Return scores in the order of the variants."""
    place = {(variant.group, variant.name): number for number, variant in enumerate(variants)}
    order = [place[key] for key in zip(scores["group"], scores["variant"], strict=True)]
    return scores.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)
