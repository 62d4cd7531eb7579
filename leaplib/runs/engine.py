"""One task of a profile: what each recipe predicts on each split, and its scores, found again where they are done.

Fits are saved as predictions, models of the tables and candidates as predictions and scores, ablations as scores. Each
file is found again by the key of all that it depends on; what two recipes share is made once.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError, StorageError
from leaplib.base.layout import Layout, slug
from leaplib.base.metrics import OVERALL, metrics_of, normalised, score
from leaplib.base.store import code_version, is_done, key_of, load_frame, save_frame
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.prepare import at_hand, load_cohort, load_task_splits, own_path, stamp
from leaplib.cohorts.splits import (
    INNER,
    OWN,
    SEED,
    SHARE,
    XENOGRAFTS,
    Split,
    inner_splits,
    load_splits,
    thinned,
    tissue_folds,
    tuning_folds,
)
from leaplib.models.base import Regressor, average
from leaplib.models.naive import MeanEffects, shuffle_labels
from leaplib.models.table import BY_NAME
from leaplib.profiles import Profile
from leaplib.runs import features
from leaplib.runs.features import Features, sees_codes, settings_of
from leaplib.runs.recipes import (
    CANDIDATE,
    CODE,
    CODES,
    ESTIMATORS,
    SAMPLES,
    SHUFFLED,
    Recipe,
    code_of,
    not_run,
)
from leaplib.tasks import Task

MOST_FAILED = 16
"""Parts that may fail before a model, not some perturbations, is taken to have failed."""
N_FEW_SHOT_SETS = 10
"""Test sets on which few-shot models are fine-tuned (paper, Methods, "Challenge II")."""
NORMALISED = "normalised"
"""Level of scores over all pairs of what truth and prediction have above the mean effects."""
REPEAT_SEED = 1000  # apart from those of the splits' own folds
SCORE_COLUMNS = ["level", "perturbation", "test_set", "metric", "value"]
UNPREPARED = "not prepared"
"""Split of a task whose data could not be prepared: all its models are missing there."""
CELLS_AT_ONCE = 2**22  # labels of the test sets that are scored together: bounds the memory, to some 0.5 GB
Configuration = dict[str, Any]
Errors = dict[str, Exception]

_runs: dict[tuple[str, ...], "TaskRun"] = {}


def run_of(profile: Profile, task: Task, device: str = "auto") -> "TaskRun":
    """Return a task's run; the data of the last two stay in memory while their files stay the same."""
    files = stamp(profile, task)
    if len(files) == 1:  # no file is there, or no longer
        load_cohort(profile, task)
        files = stamp(profile, task)
    key = repr(profile), repr(task), device, *files
    if key not in _runs:
        while len(_runs) > 1:
            _runs.pop(next(iter(_runs)))
        _runs[key] = TaskRun(profile, task, device)
    return _runs[key]


class TaskRun(Features):
    """One task of one profile: its data, what models see of them, and what each recipe predicts on each split."""

    def __init__(self, profile: Profile, task: Task, device: str = "auto"):
        super().__init__(profile, task, device)
        self.n = profile.n_representations
        self._inner: dict[str, Split] = {}
        self._keys: dict[str, str] = {}

    @cached_property
    def cohort(self) -> Cohort:
        """The task's cohort."""
        return load_cohort(self.profile, self.task)[0]

    @cached_property
    def splits(self) -> list[Split]:
        """The task's splits."""
        return load_task_splits(self.profile, self.task, self.cohort)

    @property
    def ablation_splits(self) -> list[Split]:
        """The splits of the ablations: of holdouts the first few."""
        return self.splits[: self.profile.n_ablation_splits if self.task.design == "holdout" else None]

    def some_splits(self, n_splits: int | None = None, n_inner: int | None = 0) -> list[Split]:
        """Return the first splits, or with `n_inner` those of their training sets, so many folds held out in turn.

        Raises
        ------
        InputError
            For inner splits of a task on xenografts, whose training set holds none to choose on.
        """
        if n_inner == 0:
            return self.splits[:n_splits]
        if self.task.design == "xenograft":
            raise InputError(
                f"task {self.task.id}: its training set holds no xenografts to choose on: use another task"
            )
        groups = self.cohort.samples["tissue"] if self.task.design == "tissue" else None
        found = [inner for split in self.splits[:n_splits] for inner in inner_splits(split, groups, n_inner)]
        return [self._inner.setdefault(split.name, split) for split in found]

    def split(self, name: str) -> Split:
        """Return the split of a name, which may be an inner one."""
        if INNER in name and name not in self._inner:
            whole, _, own = name.partition(INNER)
            if whole.startswith(OWN):
                kept = load_splits(own_path(self.profile, self.task, name))
                self._inner |= {split.name: split for split in kept}
                return self._inner[name]
            if own.startswith(SHARE):
                return self.thinned(self.split(whole), float(own.removeprefix(SHARE)))
            self.some_splits(n_inner=None)
        return self._inner.get(name) or next(split for split in self.splits if split.name == name)

    def thinned(self, split: Split, share: float) -> Split:
        """Return a split with a share of its training samples (`leaplib.cohorts.splits.thinned`)."""
        if self.task.design == "xenograft":
            raise InputError(f"task {self.task.id}: shares of the training lines are for unseen lines and tissues")
        groups = self.cohort.samples["tissue"] if self.task.design == "tissue" else None
        found = thinned(split, share, self.cohort.response, groups)
        return self._inner.setdefault(found.name, found)

    def curve_splits(self) -> list[tuple[Split, float]]:
        """Return the splits of the learning curves, thinned, each with its share."""
        whole = self.splits[: self.profile.n_curve_splits]
        return [(self.thinned(split, share), share) for split in whole for share in self.profile.curve_shares]

    @cached_property
    def origins(self) -> list[features.Source]:
        """What identifies the sources that ablations join, the task's own first."""
        return features.origins_of(self.profile, self.task)

    @property
    def roles(self) -> list[str]:
        """The roles of these sources."""
        return [origin.role for origin in self.origins]

    @cached_property
    def sources(self) -> list[features.Source]:
        """Their expression."""
        return features.sources_of(self.profile, self.task)

    def left_out(self, variants: Sequence[Recipe]) -> dict[Recipe, str]:
        """Return the variants that cannot be told apart with the sources at hand, and why."""
        return not_run(variants, features.names_of(at_hand(self.profile, self.task)), self.roles)

    # ---- what a fit is made of

    def estimator(self, fit: Recipe) -> Any:
        """Return the estimator of a fit, with the profile's settings and its own."""
        estimator = ESTIMATORS[fit.model](**self._settings(fit.model) | dict(fit.settings))
        own = {"device": self.device, "ensemble": fit.ensemble}
        return estimator.set_params(**{name: own[name] for name in own if name in estimator.get_params()})

    def _settings(self, model: str) -> dict[str, Any]:
        """Return the profile's parameters of a model that differ from the paper's."""
        return dict(self.profile.models.get(BY_NAME[model].key, {})) if model in BY_NAME else {}

    def needs_training(self, fit: Recipe) -> bool:
        """Tell whether a fit sees a representation that is not one of the pool's own."""
        return fit.features == CODE and (fit.seen() != Recipe() or fit.number >= self.n)

    def _seen(self, fit: Recipe, split: Split) -> pd.DataFrame:
        """Return what a fit sees of all samples."""
        if fit.features == SAMPLES:
            return self.cohort.samples
        return self.codes(fit, split) if self.needs_training(fit) else self.frame(fit.features, fit.number)

    def folds(self, fit: Recipe, split: Split) -> pd.Series:
        """Return the tuning folds; those of a repeat are random."""
        if fit.repeat or fit.folds == "plain":
            return tuning_folds(split.train, SEED + REPEAT_SEED * fit.repeat)
        return tissue_folds(split.train, self.cohort.samples["tissue"]) if fit.folds == "tissue" else split.folds

    def codes(self, fit: Recipe, split: Split, force: bool = False) -> pd.DataFrame:
        """Return a representation that is not the pool's, of the own source's samples, trained now or before."""
        path, configuration = self.codes_file(fit, split)
        if force or not is_done(path, configuration):
            how = (configuration["n_genes"], self.device, dict(self.profile.damae))
            save_frame(features.encode(self.sources, fit.seen(), split, fit.number, *how), path, configuration)
        return load_frame(path)

    def codes_file(self, fit: Recipe, split: Split) -> tuple[Path, Configuration]:
        """Return where the representation that a fit sees lies, and what it depends on."""
        configuration = {
            "recipe": asdict(fit.seen()),
            "n_genes": fit.n_genes or self.profile.n_genes,
            "sources": [origin.key for origin in features.used(self.origins, fit.seen())],
            "damae": settings_of(self.profile),
            "split": {"train": list(split.train), "test": list(split.test)} if fit.inductive else None,
            "code": code_version(features.MADE_BY),
        }
        folder = Layout(self.profile.name).results / "representations" / key_of(configuration)[:16]
        return folder / f"codes_{fit.number}.parquet", configuration | {"number": fit.number}

    # ---- predictions

    def predict(self, split: Split, recipe: Recipe, errors: Errors | None = None) -> dict[Recipe, pd.DataFrame]:
        """Predict the test samples of a split.

        Parameters
        ----------
        split : Split
        recipe : Recipe
        errors : dict, optional
            Takes the error of each perturbation that cannot be predicted; it has no prediction (NaN) then.
            Without it the first error is raised.

        Returns
        -------
        dict of Recipe to DataFrame
            Samples x perturbations; as it was asked for, and fine-tuned on each of the first test sets' left-out
            samples (with an index of test_set and sample) where the model can be.
        """
        perturbations = self.cohort.response.columns
        if parts := recipe.saved_parts(self.n):
            return {recipe: self._mean(recipe, split, [self.result(split, part) for part in parts], errors)}

        def made(some: pd.Index) -> dict[Recipe, pd.DataFrame]:
            if not recipe.is_fit:
                return {recipe: self.in_memory(recipe, split, some)}
            model = self._fit(recipe, split, self._labels(recipe, split)[some])
            found = {recipe: model.predict(self._seen(recipe, split).loc[split.test])}
            return found | {tuned: self._few_shot(model, recipe, split) for tuned in self.outputs(recipe)[1:]}

        if errors is None or not recipe.one_by_one:
            return made(perturbations)
        return contained(made, perturbations, errors)

    def in_memory(self, recipe: Recipe, split: Split, perturbations: pd.Index) -> pd.DataFrame:
        """Predict with all that a recipe rests on fitted in memory.

        Chance on a handful of drugs is wide: with xenografts each test set has a shuffle of its own (index: test_set,
        sample), so that the spread over test sets shows it.
        """
        if parts := recipe.parts(self.n):
            return self._mean(recipe, split, [self.in_memory(part, split, perturbations) for part in parts])
        seen = self._seen(recipe, split)
        if recipe.labels == SHUFFLED and split.name == XENOGRAFTS:
            sets = {}
            for number, samples in enumerate(split.test_sets()):
                labels = self._labels(recipe, split, number)[perturbations]
                sets[number] = self._fit(recipe, split, labels).predict(seen.loc[samples])
            return pd.concat(sets, names=["test_set", "sample"])
        model = self._fit(recipe, split, self._labels(recipe, split)[perturbations])
        return model.predict(seen.loc[split.test])

    def _fit(self, fit: Recipe, split: Split, labels: pd.DataFrame) -> Regressor:
        """Fit an estimator on the training samples."""
        tissue = self.cohort.samples["tissue"].loc[split.train]
        seen = self._seen(fit, split).loc[split.train]
        return self.estimator(fit).fit(seen, labels, self.folds(fit, split), tissue, self.cohort.fingerprints)

    def _labels(self, fit: Recipe, split: Split, number: int = 0) -> pd.DataFrame:
        """Return what a fit is fitted to; labels are shuffled alike whichever perturbations are asked for."""
        labels = self.cohort.response.loc[split.train]
        return shuffle_labels(labels, seed=SEED + number) if fit.labels == SHUFFLED else labels

    def _few_shot(self, model: Any, fit: Recipe, split: Split) -> pd.DataFrame:
        """Fine-tune on the samples that each of the first test sets leaves out and predict the others."""
        seen, response = self._seen(fit, split), self.cohort.response[model.perturbations_]
        parts = {}
        test_sets = zip(split.left_out[:N_FEW_SHOT_SETS], split.test_sets()[:N_FEW_SHOT_SETS], strict=True)
        for number, (held, rest) in enumerate(test_sets):
            labels = response.loc[held]
            if split.name == XENOGRAFTS:
                labels = on_scale_of(response.loc[split.train], labels)
            parts[number] = model.adapt(seen.loc[held], labels).predict(seen.loc[rest])
        return pd.concat(parts, names=["test_set", "sample"])

    def _mean(self, recipe: Recipe, split: Split, found: Sequence[pd.DataFrame],
              errors: Errors | None = None) -> pd.DataFrame:  # fmt: skip
        """Average predictions; what a part has no prediction of, the mean has none of either."""
        for part, frame in zip(recipe.parts(self.n), found, strict=True):
            for perturbation in without_prediction(frame):
                ({} if errors is None else errors).setdefault(perturbation, RuntimeError(f"{part.label} failed"))
        return average(found)

    # ---- results

    def outputs(self, recipe: Recipe) -> list[Recipe]:
        """Return what making a recipe gives: itself and, where its model is fine-tuned too, that."""
        tuned = bool(recipe.is_fit and recipe.name in BY_NAME and BY_NAME[recipe.name].few_shot)
        return [recipe, replace(recipe, few_shot=True)] if tuned else [recipe]

    def result(self, split: Split, recipe: Recipe, force: bool = False, errors: Errors | None = None) -> pd.DataFrame:
        """Return the predictions (of an ablation: the scores) of a recipe on a split, made now or before."""
        if force or not self.is_done(split, recipe):
            for fit in (
                [] if recipe.saved_parts(self.n) else recipe.fits(self.n)
            ):  # before the clock starts: others see it
                self._seen(fit, split)
            started = time.process_time()
            for output, prediction in self.predict(split, recipe, errors).items():
                self._save(split, output, prediction, time.process_time() - started)
        return load_frame(next(iter(self.files(split, recipe).values())))

    def _save(self, split: Split, recipe: Recipe, prediction: pd.DataFrame, seconds: float) -> None:
        """Save predictions, scores, or both."""
        configuration, files = self.configuration(split, recipe), self.files(split, recipe)
        without, prediction = without_prediction(prediction), prediction.astype(np.float32)
        if "predictions" in files:
            save_frame(prediction, files["predictions"], configuration, without)
        if "scores" in files:
            scores = score_split(self.cohort.response.loc[split.test], prediction, split, self.cohort.label)
            if recipe.group:
                scores = scores.assign(seconds=seconds)
            elif split.name != XENOGRAFTS:  # of another unit
                scores = pd.concat([scores, self._normalised(split, prediction.drop(columns=without))])
            save_frame(scores, files["scores"], configuration, without)

    def _normalised(self, split: Split, prediction: pd.DataFrame) -> pd.DataFrame:
        """Return the normalised scores of predictions, of few-shot models those of each test set."""
        samples, response = self.cohort.samples, self.cohort.response
        model = MeanEffects().fit(samples.loc[split.train], response.loc[split.train])
        effects, found = model.predict(samples.loc[split.test]), []
        few_shot = prediction.index.nlevels > 1
        numbers: Any = prediction.index.unique(0) if few_shot else [0]
        for number in numbers:
            part = pd.DataFrame(prediction.loc[number]) if few_shot else prediction
            scores = normalised(response.loc[part.index, part.columns], part, effects)
            found.append(scores.assign(level=NORMALISED, perturbation="", test_set=number))
        return pd.concat(found)[SCORE_COLUMNS]

    def is_done(self, split: Split, recipe: Recipe) -> bool:
        """Tell whether just what the recipe gives today is there."""
        return all(is_done(path, configuration) for path, configuration in self.written(split, recipe))

    def saved(self, split: Split, recipe: Recipe) -> pd.DataFrame | None:
        """Return the scores of a recipe on a split where they are done, else None."""
        path = self.path("scores", split, recipe)
        return load_frame(path) if is_done(path, self.configuration(split, recipe)) else None

    def written(self, split: Split, recipe: Recipe) -> list[tuple[Path, Configuration]]:
        """Return the files that making a recipe leaves, and what each depends on."""
        return [(path, self.configuration(split, output)) for output in self.outputs(recipe)
                for path in self.files(split, output).values()]  # fmt: skip

    def files(self, split: Split, recipe: Recipe) -> dict[str, Path]:
        """Return what is saved of a recipe on a split, and where, what `result` returns first.

        Predictions of fits, models and candidates on test sets, and scores of what has a name.
        """
        own = not recipe.group or (recipe.group == CANDIDATE and INNER not in split.name)
        kinds = [*(["predictions"] if own else []), *(["scores"] if recipe.name else [])]
        return {kind: self.path(kind, split, recipe) for kind in kinds}

    def path(self, kind: str, split: Split, recipe: Recipe) -> Path:
        """Return where a result lies."""
        folder = Layout(self.profile.name).results / kind / self.task.id
        folder = folder.joinpath(*map(slug, split.name.split(INNER)), *([slug(recipe.group)] if recipe.group else []))
        return folder / f"{slug(recipe.label)}.parquet"

    def configuration(self, split: Split, recipe: Recipe) -> Configuration:
        """Return all that a result depends on."""
        fits = recipe.fits(self.n)
        models = sorted({fit.model for fit in fits})
        own = any(sees_codes(fit.features) and not self.needs_training(fit) for fit in fits)
        found = {
            "task": asdict(self.task),
            "model": recipe.shown,
            "member": recipe.number if recipe.is_member else -1,
            "recipe": asdict(recipe),
            "fits": len(fits),  # with the recipe they are known
            "side_by_side": self.n if any(fit.features == CODES for fit in fits) else 0,
            "settings": {model: self._settings(model) for model in models if model in BY_NAME},
            "split": split.name,
            "samples": self._samples_key(split),
            "cohort": self.cohort.hash,
            "data": self.cohort.data,
            "seed": SEED,
            "models": models,
            "code": code_of(*models),
            "representations": self.pool_keys[0] if own else None,
            "codes": [key_of(self.codes_file(fit, split)[1]) for fit in fits if self.needs_training(fit)],
        }
        genes = any(fit.features not in (CODE, SAMPLES) for fit in fits)
        return found | ({"expression": self.pool_keys[1]} if genes else {})

    def _samples_key(self, split: Split) -> str:
        """Return what identifies the samples of a split, with up to 1,000 test sets each; made once."""
        if split.name not in self._keys:
            self._keys[split.name] = key_of(
                {"train": list(split.train), "test": list(split.test), "folds": list(split.folds),
                 "left_out": [list(held) for held in split.left_out]})  # fmt: skip
        return self._keys[split.name]


def contained(compute: Callable[[pd.Index], dict[Recipe, pd.DataFrame]], perturbations: pd.Index,
              errors: Errors) -> dict[Recipe, pd.DataFrame]:  # fmt: skip
    """Compute for all perturbations at once, and where that fails, find those that make it fail by halving.

    Parameters
    ----------
    compute : callable
        From perturbations to frames with a column each, by recipe.
    perturbations : Index
    errors : dict
        Takes the error of each perturbation that failed; its columns are NaN.

    Raises
    ------
    Exception
        The first one, when all perturbations fail, or too many parts of them.
    """
    found, waiting, first, n_failed = [], [perturbations], None, 0
    while waiting:
        part = waiting.pop()
        try:
            found.append(compute(part))
        except (StorageError, MemoryError):
            raise
        except Exception as error:  # whatever a model raises: it is recorded, and the others go on
            first, n_failed = first or error, n_failed + 1
            if n_failed > MOST_FAILED + len(perturbations).bit_length():
                raise first from None
            if len(part) == 1:
                errors[str(part[0])] = error
            else:
                waiting += [part[: len(part) // 2], part[len(part) // 2 :]]
    if not found:
        raise first or ValueError("no perturbations")
    return {name: pd.concat([part[name] for part in found], axis=1).reindex(columns=perturbations)
            for name in found[0]}  # fmt: skip


def on_scale_of(training: pd.DataFrame, target: pd.DataFrame) -> pd.DataFrame:
    """Bring labels of another unit to the mean and SD of the training labels, perturbation by perturbation.

    Change of a tumour's volume in percent and AAC have nothing but their direction in common; correlations do not
    depend on the scale. A perturbation whose labels do not vary (a single one) tells nothing and becomes missing.
    """
    spread = target.std()
    standard = (target - target.mean()) / spread.where(spread > 0)
    return standard * training.std() + training.mean()


# ---- scores


def score_split(truth: pd.DataFrame, prediction: pd.DataFrame, split: Split, label: str = "AAC") -> pd.DataFrame:
    """Score predictions on a split's test sets; the label tells which samples respond.

    Parameters
    ----------
    truth, prediction : DataFrame, samples x perturbations
        Predictions that differ from test set to test set have an index of test_set and sample.
    split : Split
    label : str

    Returns
    -------
    DataFrame
        Columns level, perturbation, test_set, metric, value. Rows with a perturbation hold its score over all test
        samples, or its mean over test sets where predictions differ (test_set -1), and, on xenografts, over each
        test set; rows without hold the mean over perturbations (level per_perturbation) or the score over all pairs
        (overall; no AUROC) of each test set. On xenografts truth and prediction have different units, and there is
        no MSE. A perturbation without any prediction, whose own model failed, has no score.
    """
    truth, differ = _with_prediction(truth, prediction), prediction.index.nlevels > 1
    prediction = prediction[truth.columns] if differ else prediction.loc[truth.index, truth.columns]
    samples, predicted = prediction.index.get_level_values(-1), prediction.to_numpy()
    observed = truth.to_numpy()[truth.index.get_indexer(samples)]
    if differ:
        of, numbers = prediction.index.get_level_values(0), prediction.index.unique(0)
        rows = [np.flatnonzero(of == number) for number in numbers]
    else:
        rows = [samples.get_indexer(chosen) for chosen in split.test_sets()]
        numbers = pd.RangeIndex(len(rows))
    at_once = 1 if differ else max(1, CELLS_AT_ONCE // max(1, len(rows[0]) * truth.shape[1]))
    means = pd.concat([_score_test_sets(observed, predicted, np.array(rows[start : start + at_once]), label)
                       for start in range(0, len(rows), at_once)], ignore_index=True)  # fmt: skip
    means["test_set"] = numbers[means.groupby(["level", "metric"]).cumcount().to_numpy()]
    xenografts = split.name == XENOGRAFTS
    each = [score(truth.loc[samples[own]], pd.DataFrame(predicted[own], samples[own], truth.columns), label)
            .assign(test_set=number)
            for number, own in zip(numbers, rows, strict=True) if differ or xenografts]  # fmt: skip
    if differ:
        single = pd.concat(each).groupby(["perturbation", "metric"], sort=False)["value"].mean().reset_index()
    else:
        single = score(truth, prediction, label)
    parts = pd.concat([single.assign(test_set=-1), *(each if xenografts else [])]).assign(level="per_perturbation")
    frame = pd.concat([parts, means.assign(perturbation="")], ignore_index=True)[SCORE_COLUMNS]
    return frame[frame["metric"] != "mse"].reset_index(drop=True) if xenografts else frame


def without_prediction(prediction: pd.DataFrame) -> list[str]:
    """Return the perturbations that have no prediction at all: their own models failed."""
    return list(prediction.columns[prediction.isna().all()])


def _with_prediction(truth: pd.DataFrame, prediction: pd.DataFrame) -> pd.DataFrame:
    """Take out of the truth the perturbations that have no prediction at all."""
    failed = truth.columns.isin(without_prediction(prediction))
    values = truth.to_numpy(copy=True)  # in the same order in memory: the sums of the others stay the same to the bit
    values[:, failed] = np.nan
    return pd.DataFrame(values, truth.index, truth.columns) if failed.any() else truth


def _score_test_sets(truth: np.ndarray, prediction: np.ndarray, positions: np.ndarray, label: str) -> pd.DataFrame:
    """Score several test sets at once; `positions` holds the rows of one test set in each of its rows."""
    part, predicted = truth[positions], prediction[positions]
    pairs, predicted_pairs = (values.reshape(len(positions), -1, 1) for values in (part, predicted))
    frames = []
    for name, metric in metrics_of(label).items():
        per_perturbation = metric(part, predicted)
        usable = ~np.isnan(per_perturbation)
        mean = np.where(usable, per_perturbation, 0).sum(axis=1) / np.where(
            usable.any(axis=1), usable.sum(axis=1), np.nan
        )
        frames.append(pd.DataFrame({"level": "per_perturbation", "metric": name, "value": mean}))
        if name in OVERALL:
            values = metric(pairs, predicted_pairs)[:, 0]
            frames.append(pd.DataFrame({"level": "overall", "metric": name, "value": values}))
    return pd.concat(frames, ignore_index=True)
