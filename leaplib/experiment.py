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
from leaplib.errors import InputError
from leaplib.layout import Layout
from leaplib.leap import average
from leaplib.pretraining import Embedding, embed
from leaplib.profiles import Profile, get_profile
from leaplib.progress import progress
from leaplib.regressors import PSKNN, PSLasso, TissueMean, TrainingMean, shuffle_labels
from leaplib.scores import load_scores, score_split
from leaplib.splits import SEED, Split
from leaplib.store import is_done, key_of, load_frame, save_frame
from leaplib.tasks import Task, get_task

Job = tuple[Split, str]

# Command-line name -> name in tables and figures.
MODELS = {"ps-knn": "PS-KNN", "ps-lasso": "PS-LASSO", "leap": "LEAP"}
CONTROLS = {
    "training-mean": "Training mean",
    "tissue-mean": "Tissue mean",
    "leap-shuffled": "LEAP (shuffled labels)",
}


def member_name(number: int) -> str:
    """Return the name of the PS-LASSO on representation `number`."""
    return f"PS-LASSO r{number}"


def check_models(models: Sequence[str]) -> tuple[str, ...]:
    """Return command-line model names as they are; an unknown one is an InputError that lists the known."""
    for model in models:
        if model not in MODELS:
            raise InputError(f"model {model!r} is unknown: use one of {', '.join(MODELS)}")
    return tuple(models)


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
        """Representations of the task's screen."""
        return embed(self.profile, self.task.screen, self.device)

    def configuration(self, split: Split, model: str) -> dict:
        """Return all that a result depends on."""
        return {
            "task": asdict(self.task),
            "model": model,
            "split": split.name,
            "samples": key_of({"train": list(split.train), "test": list(split.test), "folds": list(split.folds),
                               "left_out": [list(held) for held in split.left_out]}),
            "cohort": self.cohort.hash,
            "data": self.cohort.data,
            "representations": None if model in ("Training mean", "Tissue mean") else self.embedding.key,
            "seed": SEED,
            "version": __version__,
        }  # fmt: skip

    def predict(self, split: Split, model: str) -> pd.DataFrame:
        """Fit a model on the training samples of a split and predict its test samples."""
        labels = self.cohort.response.loc[split.train]
        if model == "LEAP":
            return average([self.result(split, name, force=False) for name in self.members])
        if model == CONTROLS["leap-shuffled"]:
            shuffled = shuffle_labels(labels, seed=SEED)
            return average([self._lasso(split, shuffled, i) for i in range(len(self.members))])
        if model.startswith("PS-LASSO"):
            return self._lasso(split, labels, self.members.index(model))
        if model == "PS-KNN":
            codes = self.embedding.codes[0]
            return PSKNN().fit(codes.loc[split.train], labels).predict(codes.loc[split.test])
        control = TrainingMean() if model == CONTROLS["training-mean"] else TissueMean()
        samples = self.cohort.samples
        return control.fit(samples.loc[split.train], labels).predict(samples.loc[split.test])

    @property
    def members(self) -> list[str]:
        """Names of LEAP's members."""
        return [member_name(number) for number in range(self.profile.n_representations)]

    def _lasso(self, split: Split, labels: pd.DataFrame, number: int) -> pd.DataFrame:
        codes = self.embedding.codes[number]
        model = PSLasso(device=self.device).fit(codes.loc[split.train], labels, split.folds)
        return model.predict(codes.loc[split.test])

    def result(self, split: Split, model: str, force: bool = False) -> pd.DataFrame:
        """Return a model's predictions on a split, computed and scored now or before."""
        layout, configuration = Layout(self.profile.name), self.configuration(split, model)
        path = layout.prediction(self.task.id, split.name, model)
        scores = layout.scores(self.task.id, split.name, model)
        if not force and is_done(path, configuration) and is_done(scores, configuration):
            return load_frame(path)
        started = time.perf_counter()
        prediction = self.predict(split, model).astype(np.float32)
        save_frame(prediction, path, configuration)
        truth = self.cohort.response.loc[split.test]
        save_frame(score_split(truth, prediction, split), scores, configuration)
        log(self.profile, task=self.task.id, split=split.name, model=model, seconds=time.perf_counter() - started)
        return prediction


def log(profile: Profile, **entry: object) -> None:
    """Append one line to the profile's run log (JSON lines)."""
    path = Layout(profile.name).results / "run_log.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as handle:
        handle.write(json.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds"), **entry}) + "\n")


def jobs_of(run: TaskRun, models: Sequence[str]) -> tuple[list[Job], list[Job]]:
    """Return the (split, model) jobs of a task, those that others wait for first, then LEAP's averages."""
    names = [name for name in MODELS if name in models]
    first: list[Job] = []
    last: list[Job] = []
    for number, split in enumerate(run.splits):
        first += [(split, CONTROLS["training-mean"]), (split, CONTROLS["tissue-mean"])]
        if "ps-knn" in names:
            first.append((split, MODELS["ps-knn"]))
        if "leap" in names:
            first += [(split, member) for member in run.members]
            last.append((split, MODELS["leap"]))
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
        Command-line names: ps-knn, ps-lasso, leap. The controls always run.
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
