"""One task of a profile: what each model predicts on each split, found again where it is done.

LEAP is the average of PS-LASSO over the representations, so its members are fitted once and serve as
PS-LASSO's results too (PS-LASSO in the tables is the first representation's).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from leaplib.base.layout import Layout
from leaplib.base.store import is_done, key_of, load_frame, save_frame
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.prepare import load_cohort, load_task_splits, stamp
from leaplib.cohorts.splits import SEED, XENOGRAFTS, Split
from leaplib.models.base import Regressor
from leaplib.models.leap import average
from leaplib.models.naive import TissueMean, TrainingMean, shuffle_labels
from leaplib.models.table import BY_NAME, CONTROLS, FEW_SHOT, MODELS, N_FEW_SHOT_SETS, code_of, make, with_few_shot
from leaplib.profiles import Profile
from leaplib.representation.pretraining import Embedding, embed, embedding_key, standardised, standardised_key
from leaplib.runs import failures
from leaplib.runs.scoring import score_few_shot, score_split, without_prediction
from leaplib.tasks import Task


def member_name(number: int) -> str:
    """Return the name of the PS-LASSO on representation `number`."""
    return f"PS-LASSO r{number}"


_runs: dict[tuple[str, ...], "TaskRun"] = {}


def run_of(profile: Profile, task: Task, device: str = "auto") -> "TaskRun":
    """Return a task's run; the data of the last two stay in memory while their files stay the same."""
    if len(stamp(profile, task)) == 1:  # no file is there, or no longer
        load_cohort(profile, task)
    key = (key_of({"profile": asdict(profile), "task": asdict(task), "device": device}), *stamp(profile, task))
    if key not in _runs:
        while len(_runs) > 1:
            _runs.pop(next(iter(_runs)))
        _runs[key] = TaskRun(profile, task, device)
    return _runs[key]


@dataclass(frozen=True)
class TaskRun:
    """One task of one profile: its data, and what each model predicts on each split."""

    profile: Profile
    task: Task
    device: str = "auto"

    @cached_property
    def cohort(self) -> Cohort:
        """The task's cohort."""
        return load_cohort(self.profile, self.task)[0]

    @cached_property
    def splits(self) -> list[Split]:
        """The task's splits."""
        return load_task_splits(self.profile, self.task, self.cohort)

    @cached_property
    def embedding(self) -> Embedding:
        """Representations of the task's pool."""
        return embed(self.profile, self.task, self.device)

    @cached_property
    def expression(self) -> pd.DataFrame:
        """Standardised expression of the task's pool, of the DAMAEs' genes, for models without a representation."""
        return standardised(self.profile, self.task)

    @cached_property
    def embedding_key(self) -> str:
        """What identifies these representations, trained or not."""
        return embedding_key(self.profile, self.task)

    @cached_property
    def _keys(self) -> dict[int, str]:
        """Keys of the task's own splits, with up to 1,000 test sets each, made once."""
        return {id(split): samples_key(split) for split in self.splits}

    def configuration(self, split: Split, model: str) -> dict:
        """Return all that a result depends on."""
        return {
            "task": asdict(self.task),
            "model": model,
            "settings": self.settings(model),
            "split": split.name,
            "samples": self._keys.get(id(split)) or samples_key(split),
            "cohort": self.cohort.hash,
            "data": self.cohort.data,
            "members": len(self.members) if _averages(model) else None,
            "seed": SEED,
            "code": code_of(model),
            **self._features_keys(model),
        }  # fmt: skip

    def _features_keys(self, model: str) -> dict[str, str | None]:
        """Return the keys of what a model sees of the samples."""
        if _sees_genes(model):
            return {"representations": None, "expression": standardised_key(self.profile, self.task)}
        return {"representations": self.embedding_key if sees_codes(model) else None}

    def settings(self, model: str) -> dict:
        """Return a model's parameters that differ from the paper's; those of PS-LASSO for LEAP too."""
        name = model.partition(" r")[0].removesuffix(FEW_SHOT)
        known = BY_NAME.get("PS-LASSO" if _averages(name) else name)
        return dict(self.profile.models.get(known.key, {})) if known else {}

    def predict(self, split: Split, model: str, errors: dict[str, Exception] | None = None) -> dict[str, pd.DataFrame]:
        """Fit a model on the training samples of a split and predict its test samples.

        Parameters
        ----------
        split : Split
        model : str
        errors : dict, optional
            Takes the error of each perturbation whose own model failed; it has no prediction (NaN) then.
            Without it the first error is raised.

        Returns
        -------
        dict of str to DataFrame
            Samples x perturbations by name of the model. A few-shot model gives two: zero-shot, and
            fine-tuned on each of the first test sets' left-out samples, whose index has the level `test_set` too.
        """
        labels = self.cohort.response.loc[split.train]
        if model == "LEAP":
            return {model: self._averaged(split, {} if errors is None else errors)}
        if model in (CONTROLS["training-mean"], CONTROLS["tissue-mean"]):
            control = TrainingMean() if model == CONTROLS["training-mean"] else TissueMean()
            samples = self.cohort.samples
            return {model: control.fit(samples.loc[split.train], labels).predict(samples.loc[split.test])}

        def part(perturbations: pd.Index) -> dict[str, pd.DataFrame]:
            return self._fitted(split, model, labels, perturbations)

        one_by_one = model not in BY_NAME or not BY_NAME[model].pan_perturbation
        if errors is None or not one_by_one:
            return part(labels.columns)
        return failures.contained(part, labels.columns, errors)

    def _averaged(self, split: Split, errors: dict[str, Exception]) -> pd.DataFrame:
        """Average LEAP's members; what a member has no prediction of, LEAP has none of either."""
        found = {name: self.result(split, name) for name in self.members}
        for name, frame in found.items():
            for perturbation in without_prediction(frame):
                errors.setdefault(perturbation, RuntimeError(f"{name} failed"))
        return average(list(found.values()))

    def _fitted(self, split: Split, model: str, labels: pd.DataFrame,
                perturbations: pd.Index) -> dict[str, pd.DataFrame]:  # fmt: skip
        """Fit a model on labels of the training samples and predict some perturbations of the test samples."""
        if model == CONTROLS["leap-shuffled"]:
            return {model: self._shuffled(split, labels, perturbations)}
        number = self.members.index(model) if model in self.members else 0
        name = "PS-LASSO" if model in self.members else model
        fitted = self._fit(name, split, labels[perturbations], number)
        found = {model: self._predict(name, fitted, split.test, number)}
        return found | ({model + FEW_SHOT: self._few_shot(fitted, split)} if BY_NAME[name].few_shot else {})

    def _shuffled(self, split: Split, labels: pd.DataFrame, perturbations: pd.Index) -> pd.DataFrame:
        """Predict with LEAP trained on shuffled labels, shuffled alike whichever perturbations are asked for.

        Chance on a handful of drugs is wide: with xenografts each test set has a shuffle of its own (index: test_set,
        sample), so that the spread over test sets shows it.
        """
        if split.name != XENOGRAFTS:
            return self._leap(split, shuffle_labels(labels, seed=SEED)[perturbations], split.test)
        parts = {number: self._leap(split, shuffle_labels(labels, seed=SEED + number)[perturbations], samples)
                 for number, samples in enumerate(split.test_sets())}  # fmt: skip
        return pd.concat(parts, names=["test_set", "sample"])

    def _leap(self, split: Split, labels: pd.DataFrame, samples: pd.Index) -> pd.DataFrame:
        """Fit LEAP and predict, without keeping its members."""
        fitted = [self._fit("PS-LASSO", split, labels, number) for number in range(len(self.members))]
        return average([self._predict("PS-LASSO", model, samples, number) for number, model in enumerate(fitted)])

    def _fit(self, name: str, split: Split, labels: pd.DataFrame, number: int) -> Regressor:
        """Fit a model on the training samples: on one representation, or on all genes."""
        model = make(BY_NAME[name], self.settings(name), self.device)
        features, tissue = self._features(name, number).loc[split.train], self.cohort.samples["tissue"]
        return model.fit(features, labels, split.folds, tissue.loc[split.train], self.cohort.fingerprints)

    def _predict(self, name: str, model: Regressor, samples: pd.Index, number: int) -> pd.DataFrame:
        return model.predict(self._features(name, number).loc[samples])

    def _features(self, name: str, number: int) -> pd.DataFrame:
        """Return what a model sees of all samples of the pool."""
        if _sees_genes(name):
            return self.expression
        return self.embedding.codes[number]

    def _few_shot(self, model: Regressor, split: Split) -> pd.DataFrame:
        """Fine-tune on the samples that each of the first test sets leaves out and predict the others."""
        codes, response = self.embedding.codes[0], self.cohort.response[model.perturbations_]
        parts = {}
        for number, (held, rest) in enumerate(zip(split.left_out, split.test_sets(), strict=True)):
            if number == N_FEW_SHOT_SETS:
                break
            labels = response.loc[held]
            if split.name == XENOGRAFTS:
                labels = on_scale_of(response.loc[split.train], labels)
            adapted = model.adapt(codes.loc[held], labels)
            parts[number] = adapted.predict(codes.loc[rest])
        return pd.concat(parts, names=["test_set", "sample"])

    @property
    def members(self) -> list[str]:
        """Names of LEAP's members."""
        return [member_name(number) for number in range(self.profile.n_representations)]

    def names(self, models: Sequence[str], number: int) -> list[str]:
        """Return what is to be fitted on split `number` for these models (keys of `MODELS`), controls and all.

        What LEAP averages comes before it.
        """
        keys = [key for key, model in MODELS.items() if key in models and self.task.design in model.designs]
        found = [CONTROLS["training-mean"], CONTROLS["tissue-mean"]]
        found += [MODELS[key].name for key in keys if key not in ("ps-lasso", "leap")]
        if "leap" in keys:
            shuffled = [CONTROLS["leap-shuffled"]] if number < self.profile.n_shuffled else []
            return [*found, *shuffled, *self.members, "LEAP"]
        return [*found, *(self.members[:1] if "ps-lasso" in keys else [])]

    def result(self, split: Split, model: str, force: bool = False,
               errors: dict[str, Exception] | None = None) -> pd.DataFrame:  # fmt: skip
        """Return a model's predictions on a split, computed and scored now or before; `errors` as in `predict`."""
        if not force and self.is_done(split, model):
            return load_frame(Layout(self.profile.name).prediction(self.task.id, split.name, model))
        found = {name: prediction.astype(np.float32) for name, prediction in self.predict(split, model, errors).items()}
        for name in self.outputs(model):
            self._save(split, name, found[name])
        return found[model]

    @staticmethod
    def outputs(model: str) -> tuple[str, ...]:
        """Return the names of what fitting a model gives."""
        return tuple(with_few_shot(model))

    def is_done(self, split: Split, model: str) -> bool:
        """Tell whether predictions and scores of just this configuration are there."""
        return all(is_done(path, self.configuration(split, name)) for name in self.outputs(model)
                   for path in self.files(split, name))  # fmt: skip

    def files(self, split: Split, model: str) -> tuple[Path, Path]:
        """Return the files of a model's predictions and scores on a split."""
        layout = Layout(self.profile.name)
        return layout.prediction(self.task.id, split.name, model), layout.scores(self.task.id, split.name, model)

    def _save(self, split: Split, model: str, prediction: pd.DataFrame) -> None:
        """Save predictions and their scores."""
        configuration, (predictions, scores) = self.configuration(split, model), self.files(split, model)
        without = without_prediction(prediction)
        save_frame(prediction, predictions, configuration, without)
        truth = self.cohort.response.loc[split.test]
        score = score_split if prediction.index.nlevels == 1 else score_few_shot
        save_frame(score(truth, prediction, split), scores, configuration, without)


def samples_key(split: Split) -> str:
    """Return what identifies the samples of a split: training and test set, folds, those left out."""
    return key_of({"train": list(split.train), "test": list(split.test), "folds": list(split.folds),
                   "left_out": [list(held) for held in split.left_out]})  # fmt: skip


def sees_codes(name: str) -> bool:
    """Tell whether a model sees the codes of DAMAEs."""
    return not _sees_genes(name) and name not in (CONTROLS["training-mean"], CONTROLS["tissue-mean"])


def _averages(name: str) -> bool:
    """Tell whether a model is the average of PS-LASSOs: LEAP, or its control."""
    return name in ("LEAP", CONTROLS["leap-shuffled"])


def _sees_genes(name: str) -> bool:
    """Tell whether a model sees the genes themselves."""
    return name in BY_NAME and BY_NAME[name].features == "expression"


def on_scale_of(training: pd.DataFrame, target: pd.DataFrame) -> pd.DataFrame:
    """Bring labels of another unit to the mean and SD of the training labels, perturbation by perturbation.

    Change of a tumour's volume in percent and AAC have nothing but their direction in common; correlations do not
    depend on the scale. A perturbation whose labels do not vary (a single one) tells nothing and becomes missing.
    """
    spread = target.std()
    standard = (target - target.mean()) / spread.where(spread > 0)
    return standard * training.std() + training.mean()
