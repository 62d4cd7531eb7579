"""All that a run computes as one list of jobs: which there are, whether each is done, and doing it.

Jobs come in stages: DAMAEs (one a pool and seed), models (one a task, split and model), LEAP's averages. Those of the
ablations are in `leaplib.runs.ablation_jobs`, those of the way to LEAP+ in `leaplib.runs.candidate_jobs`. A job
knows its work and its files, not how it is scheduled.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from leaplib.base.errors import InputError, StorageError
from leaplib.base.store import is_done, key_of, missing_of
from leaplib.cohorts.prepare import pool_name
from leaplib.cohorts.splits import Split
from leaplib.models.table import CONTROLS
from leaplib.profiles import Profile
from leaplib.representation import pretraining
from leaplib.runs import failures
from leaplib.runs.task_run import TaskRun, run_of, sees_codes
from leaplib.tasks import Task

DONE, TO_DO, STALE, FAILED = "done", "to do", "stale", "failed"
STATES = (DONE, TO_DO, STALE, FAILED)
Results = list[tuple[Path, dict[str, Any]]]


@dataclass(frozen=True)
class Job:
    """One piece of work on one task; the kinds are below.

    Parameters
    ----------
    profile : Profile
    task : Task
    device : {"auto", "cpu", "cuda"}
    """

    profile: Profile
    task: Task
    device: str = "auto"
    kind: ClassVar[str] = ""
    in_stage: ClassVar[int] = 1
    on_gpu: ClassVar[bool] = False

    @property
    def id(self) -> str:
        """Name of the job, unlike any other's."""
        raise NotImplementedError

    @property
    def stage(self) -> int:
        """Jobs wait for those of the stages before."""
        return self.in_stage

    @property
    def gpu(self) -> bool:
        """Whether the job is one for a GPU, where there are some: DAMAEs, and Lassos in batches."""
        return self.on_gpu

    @property
    def where(self) -> dict[str, str]:
        """Task, split and model, for the log and for records of failures."""
        return {"task": self.task.id, "split": "", "model": ""}

    @property
    def run(self) -> TaskRun:
        """The run of its task, its data in memory from job to job."""
        return run_of(self.profile, self.task, self.device)

    def results(self) -> Results:
        """Return the files that the job writes, and the configuration of each."""
        raise NotImplementedError

    def inputs(self) -> list[Path]:
        """Return the files of other jobs that the job cannot do without."""
        return []

    def do(self, force: bool, errors: dict[str, Exception]) -> None:
        """Do the work; `errors` takes those of perturbations that failed alone."""
        raise NotImplementedError

    @property
    def key(self) -> str:
        """Key of all that the job makes."""
        return key_of({str(path.name): key_of(configuration) for path, configuration in self.results()})

    def is_done(self) -> bool:
        """Tell whether all is there, whole, of just this configuration, and lacks no perturbation."""
        return all(is_done(path, configuration) and not missing_of(path) for path, configuration in self.results())

    def state(self) -> str:
        """Return "done", "to do", "stale" (made of other data, settings or code) or "failed" (the last time)."""
        if failures.find(self.profile.name, self.id, self.key):
            return FAILED
        if self.is_done():
            return DONE
        return STALE if any(path.exists() for path, _ in self.results()) else TO_DO


NOTHING = failures.Failure("", "", "", "")


@dataclass(frozen=True)
class Unprepared(Job):
    """What stands for the jobs of a task whose data could not be prepared: it failed before it began."""

    kind: ClassVar[str] = "prepare"
    in_stage: ClassVar[int] = 0
    failure: failures.Failure = NOTHING

    @property
    def id(self) -> str:
        """Name of the job."""
        return self.failure.job

    @property
    def key(self) -> str:
        """None is known."""
        return self.failure.key

    def results(self) -> Results:
        """Return nothing: it is not known what there would be."""
        return []

    def is_done(self) -> bool:
        """Return that it is not."""
        return False

    def state(self) -> str:
        """Return that it failed."""
        return FAILED


@dataclass(frozen=True)
class Pretrain(Job):
    """Train one DAMAE of a task's pool."""

    kind: ClassVar[str] = "pretrain"
    in_stage: ClassVar[int] = 0
    on_gpu: ClassVar[bool] = True
    seed: int = 0

    @property
    def id(self) -> str:
        """Name of the job."""
        return f"pretrain {pool_name(self.profile, self.task)} DAMAE {self.seed}"

    @property
    def where(self) -> dict[str, str]:
        """The pool in place of a task."""
        return {"task": pool_name(self.profile, self.task), "split": "", "model": "DAMAE"}

    def results(self) -> Results:
        """Return the files of this seed and those that all share."""
        return pretraining.results(self.profile, self.task, self.seed)

    def is_done(self) -> bool:
        """Tell whether it is trained; weights are no frame, and are looked for beside."""
        return pretraining.is_trained(self.profile, self.task, self.seed)

    def do(self, force: bool, errors: dict[str, Exception]) -> None:
        """Train it."""
        pretraining.train(self.profile, self.task, [self.seed], self.device)


@dataclass(frozen=True)
class OnSplit(Job):
    """Work on one split, told by its name."""

    split_name: str = ""

    @property
    def split(self) -> Split:
        """The split itself."""
        return next(split for split in self.run.splits if split.name == self.split_name)


@dataclass(frozen=True)
class Fit(OnSplit):
    """Fit one model on one split, predict and score; of LEAP, average its members."""

    kind: ClassVar[str] = "fit"
    model: str = ""

    @property
    def id(self) -> str:
        """Name of the job."""
        return f"fit {self.task.id} {self.split_name} {self.model}"

    @property
    def stage(self) -> int:
        """LEAP waits for its members."""
        return 2 if self.model == "LEAP" else 1

    @property
    def gpu(self) -> bool:
        """LEAP's members and its control are."""
        return "LASSO" in self.model or self.model == CONTROLS["leap-shuffled"]

    @property
    def where(self) -> dict[str, str]:
        """Task, split and model."""
        return {"task": self.task.id, "split": self.split_name, "model": self.model}

    def results(self) -> Results:
        """Return predictions and scores."""
        run, split = self.run, self.split
        return [(path, run.configuration(split, name)) for name in run.outputs(self.model)
                for path in run.files(split, name)]  # fmt: skip

    def inputs(self) -> list[Path]:
        """Return the codes of its pool or, of LEAP, its members' predictions."""
        if self.model == "LEAP":
            return [self.run.files(self.split, name)[0] for name in self.run.members]
        return codes_of(self.profile, self.task) if sees_codes(self.model) else []

    def do(self, force: bool, errors: dict[str, Exception]) -> None:
        """Fit it."""
        self.run.result(self.split, self.model, force, errors)


def codes_of(profile: Profile, task: Task) -> list[Path]:
    """Return the codes of all DAMAEs of a task's pool."""
    folder = pretraining.folder_of(profile, task)
    return [folder / f"embedding_{seed}.parquet" for seed in range(profile.n_representations)]


def pretraining_jobs(profile: Profile, task: Task, device: str = "auto") -> list[Job]:
    """Return the jobs that train the DAMAEs of a task's pool."""
    return [Pretrain(profile, task, device, seed) for seed in range(profile.n_representations)]


def task_jobs(profile: Profile, task: Task, models: Sequence[str], device: str = "auto") -> list[Job]:
    """Return the jobs of models (keys of `MODELS`) and controls on a task, its DAMAEs first.

    Where its data cannot be prepared, for another reason than bad input, there is one job, an `Unprepared`.
    """

    def jobs() -> list[Job]:
        run = run_of(profile, task, device)
        fits: list[Job] = [Fit(profile, task, device, split.name, name) for number, split in enumerate(run.splits)
                           for name in run.names(models, number)]  # fmt: skip
        return pretraining_jobs(profile, task, device) + fits

    return prepared_jobs(jobs, profile, task, device, failures.preparing(task.id))


def prepared_jobs(jobs: Callable[[], list[Job]], profile: Profile, task: Task, device: str, name: str) -> list[Job]:
    """Return the jobs of a task, or what stands for them where its data cannot be prepared.

    Bad input, and what the disk refuses, passes; a batch does not try again what has just failed.
    """
    before = failures.find(profile.name, name, "")
    if before and not failures.try_again():
        return [Unprepared(profile, task, device, before)]
    try:
        found = jobs()
    except (InputError, StorageError):
        raise
    except Exception as error:  # whatever it is, the other tasks go on; it is kept with its traceback
        return [Unprepared(profile, task, device, failures.failure_of(name, "", error, task=task.id))]
    failures.forget(profile.name, name)
    return found


def in_stages(jobs: Iterable[Job]) -> list[Job]:
    """Return jobs each once, stage by stage, else in their order."""
    once = {job.id: job for job in jobs}
    return sorted(once.values(), key=lambda job: job.stage)


def task_by_task(jobs: Iterable[Job]) -> list[Job]:
    """Return jobs ordered by their tasks, for a look at them all: the data of a few tasks alone stay in memory."""
    return sorted(jobs, key=lambda job: job.task.id)
