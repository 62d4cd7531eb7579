"""Run (task, split, model) jobs: what is done is found again, what is missing is computed.

LEAP is the average of PS-LASSO over the representations, so its members are fitted once and serve as
PS-LASSO's results too (PS-LASSO in the tables is the first representation's).
"""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed

from leaplib import __version__
from leaplib.cohort import Cohort
from leaplib.data import load_cohort, load_task_splits
from leaplib.layout import Layout
from leaplib.leap import average
from leaplib.models import BY_NAME, CONTROLS, FEW_SHOT, MODELS, N_FEW_SHOT_SETS, check_models, make
from leaplib.pretraining import Embedding, embed, standardised, standardised_key
from leaplib.profiles import Profile, get_profile
from leaplib.progress import progress
from leaplib.regressors import TissueMean, TrainingMean, shuffle_labels
from leaplib.regressors.base import Regressor
from leaplib.scores import load_scores, score_few_shot, score_split
from leaplib.splits import SEED, XENOGRAFTS, Split
from leaplib.store import is_done, key_of, load_frame, save_frame
from leaplib.tasks import Task, get_task

Job = tuple[Split, str]


def member_name(number: int) -> str:
    """Return the name of the PS-LASSO on representation `number`."""
    return f"PS-LASSO r{number}"


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
    def expression(self) -> dict[int, pd.DataFrame]:
        """Standardised expression of the task's pool by `Model.n_genes_factor`, for models without a representation."""
        factors = {model.n_genes_factor for model in MODELS.values() if model.features == "expression"}
        return {factor: standardised(self.profile, self.task, factor) for factor in sorted(factors)}

    def configuration(self, split: Split, model: str) -> dict:
        """Return all that a result depends on."""
        return {
            "task": asdict(self.task),
            "model": model,
            "settings": self.settings(model),
            "split": split.name,
            "samples": key_of({"train": list(split.train), "test": list(split.test), "folds": list(split.folds),
                               "left_out": [list(held) for held in split.left_out]}),
            "cohort": self.cohort.hash,
            "data": self.cohort.data,
            "seed": SEED,
            "version": __version__,
            **self._features_keys(model),
        }  # fmt: skip

    def _features_keys(self, model: str) -> dict[str, str | int | None]:
        """Return the keys of what a model sees of the samples."""
        if _sees_genes(model):
            key = standardised_key(self.profile, self.task)
            return {"representations": None, "expression": key, "n_genes_factor": BY_NAME[model].n_genes_factor}
        no_features = model in (CONTROLS["training-mean"], CONTROLS["tissue-mean"])
        return {"representations": None if no_features else self.embedding.key}

    def settings(self, model: str) -> dict:
        """Return a model's parameters that differ from the paper's; those of PS-LASSO for LEAP too."""
        name = model.partition(" r")[0].removesuffix(FEW_SHOT)
        known = BY_NAME.get("PS-LASSO" if name in ("LEAP", CONTROLS["leap-shuffled"]) else name)
        return dict(self.profile.models.get(known.key, {})) if known else {}

    def predict(self, split: Split, model: str) -> dict[str, pd.DataFrame]:
        """Fit a model on the training samples of a split and predict its test samples.

        Returns
        -------
        dict of str to DataFrame
            Samples x perturbations by name of the model. A few-shot model gives two: zero-shot, and
            fine-tuned on each of the first test sets' left-out samples, whose index has the level `test_set` too.
        """
        labels = self.cohort.response.loc[split.train]
        if model == "LEAP":
            return {model: average([self.result(split, name, force=False) for name in self.members])}
        if model == CONTROLS["leap-shuffled"]:
            return {model: self._shuffled(split, labels)}
        if model in (CONTROLS["training-mean"], CONTROLS["tissue-mean"]):
            control = TrainingMean() if model == CONTROLS["training-mean"] else TissueMean()
            samples = self.cohort.samples
            return {model: control.fit(samples.loc[split.train], labels).predict(samples.loc[split.test])}
        number = self.members.index(model) if model in self.members else 0
        name = "PS-LASSO" if model in self.members else model
        fitted = self._fit(name, split, labels, number)
        found = {model: self._predict(name, fitted, split.test, number)}
        return found | ({model + FEW_SHOT: self._few_shot(fitted, split)} if BY_NAME[name].few_shot else {})

    def _shuffled(self, split: Split, labels: pd.DataFrame) -> pd.DataFrame:
        """Predict with LEAP trained on shuffled labels.

        Chance on a handful of drugs is wide: with xenografts each test set has a shuffle of its own (index: test_set,
        sample), so that the spread over test sets shows it.
        """
        if split.name != XENOGRAFTS:
            return self._leap(split, shuffle_labels(labels, seed=SEED), split.test)
        parts = {number: self._leap(split, shuffle_labels(labels, seed=SEED + number), samples)
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
            return self.expression[BY_NAME[name].n_genes_factor]
        return self.embedding.codes[number]

    def _few_shot(self, model: Regressor, split: Split) -> pd.DataFrame:
        """Fine-tune on the samples that each of the first test sets leaves out and predict the others."""
        codes, response = self.embedding.codes[0], self.cohort.response
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

    def result(self, split: Split, model: str, force: bool = False) -> pd.DataFrame:
        """Return a model's predictions on a split, computed and scored now or before."""
        few_shot = model in BY_NAME and BY_NAME[model].few_shot
        names = (model, model + FEW_SHOT) if few_shot else (model,)
        if not force and all(self._is_done(split, name) for name in names):
            return load_frame(Layout(self.profile.name).prediction(self.task.id, split.name, model))
        started = time.perf_counter()
        found = {name: prediction.astype(np.float32) for name, prediction in self.predict(split, model).items()}
        for name in names:
            self._save(split, name, found[name])
        log(self.profile, task=self.task.id, split=split.name, model=model, seconds=time.perf_counter() - started)
        return found[model]

    def _is_done(self, split: Split, model: str) -> bool:
        """Tell whether predictions and scores of just this configuration are there."""
        layout, configuration = Layout(self.profile.name), self.configuration(split, model)
        files = (layout.prediction(self.task.id, split.name, model), layout.scores(self.task.id, split.name, model))
        return all(is_done(path, configuration) for path in files)

    def _save(self, split: Split, model: str, prediction: pd.DataFrame) -> None:
        """Save predictions and their scores."""
        layout, configuration = Layout(self.profile.name), self.configuration(split, model)
        save_frame(prediction, layout.prediction(self.task.id, split.name, model), configuration)
        truth = self.cohort.response.loc[split.test]
        score = score_split if prediction.index.nlevels == 1 else score_few_shot
        save_frame(score(truth, prediction, split), layout.scores(self.task.id, split.name, model), configuration)


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


def log(profile: Profile, **entry: object) -> None:
    """Append one line to the profile's run log (JSON lines)."""
    path = Layout(profile.name).results / "run_log.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as handle:
        handle.write(json.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds"), **entry}) + "\n")


def jobs_of(run: TaskRun, models: Sequence[str]) -> tuple[list[Job], list[Job]]:
    """Return the (split, model) jobs of a task, those that others wait for first, then LEAP's averages."""
    names = [key for key, model in MODELS.items() if key in models and run.task.design in model.designs]
    alone = [MODELS[key].name for key in names if key not in ("ps-lasso", "leap")]
    first: list[Job] = []
    last: list[Job] = []
    for number, split in enumerate(run.splits):
        first += [(split, CONTROLS["training-mean"]), (split, CONTROLS["tissue-mean"])]
        first += [(split, name) for name in alone]
        if "leap" in names:
            first += [(split, member) for member in run.members]
            last.append((split, "LEAP"))
            if number < run.profile.n_shuffled:
                first.append((split, CONTROLS["leap-shuffled"]))
        elif "ps-lasso" in names:
            first.append((split, run.members[0]))
    return first, last


def run_task(profile: Profile | str, task: Task | str, models: Sequence[str] = tuple(MODELS), device: str = "auto",
             jobs: int = 1, force: bool = False) -> pd.DataFrame:  # fmt: skip
    """Run models on a task and return their scores; what is done already is not computed again.

    Parameters
    ----------
    profile : Profile or str
    task : Task or str
    models : sequence of str
        Keys of `leaplib.models.MODELS`. The controls always run, and models only on the designs that they are for.
    device : {"auto", "cpu", "cuda"}
    jobs : int
        Processes; each gets its share of the cores as threads.
    force : bool
        Compute again what is done.

    Returns
    -------
    DataFrame
        As `leaplib.scores.load_scores`.
    """
    profile = get_profile(profile) if isinstance(profile, str) else profile
    task = get_task(task) if isinstance(task, str) else task
    run = TaskRun(profile, task, device)
    first, last = jobs_of(run, check_models(models))
    if jobs == 1:
        _run_in_turn(run, first, last, force)
    else:
        _run_in_processes(run, first, jobs, force)
        _run_in_processes(run, last, jobs, force)
    return load_scores(profile, [task.id])


def _run_in_turn(run: TaskRun, first: Sequence[Job], last: Sequence[Job], force: bool) -> None:
    """Run split by split, so that a run that is stopped leaves whole splits behind."""
    place = {split.name: number for number, split in enumerate(run.splits)}
    ordered = sorted([*first, *last], key=lambda job: place[job[0].name])
    for split, model in progress(ordered, f"task {run.task.id}"):
        run.result(split, model, force)


def _run_in_processes(run: TaskRun, batch: Sequence[Job], jobs: int, force: bool) -> None:
    """Run jobs that do not wait for each other in processes, the cores divided among them."""
    _ = run.embedding  # trained before the workers need it
    threads = max(1, (os.cpu_count() or 1) // jobs)
    work = (delayed(_worker)(run.profile, run.task, run.device, *job, force, threads) for job in batch)
    for _ in progress(Parallel(jobs, return_as="generator")(work), f"task {run.task.id}", len(batch)):
        pass


_runs: dict[str, TaskRun] = {}


def _worker(profile: Profile, task: Task, device: str, split: Split, model: str, force: bool, threads: int) -> None:
    """Do one job in a process of its own; the task's data stay in memory from job to job."""
    torch.set_num_threads(threads)
    key = key_of({"profile": asdict(profile), "task": asdict(task), "device": device})
    if key not in _runs:
        _runs.clear()
        _runs[key] = TaskRun(profile, task, device)
    _runs[key].result(split, model, force)
