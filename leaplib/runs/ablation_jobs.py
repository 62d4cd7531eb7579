"""The jobs of the ablations: representations, regressors on them, and scores of what they average."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from leaplib.base.store import key_of
from leaplib.profiles import Profile
from leaplib.runs import failures
from leaplib.runs.ablations import Ablations, check_names
from leaplib.runs.jobs import Job, OnSplit, Results, codes_of, prepared_jobs, pretraining_jobs
from leaplib.runs.task_run import TaskRun, run_of
from leaplib.runs.variants import Variant
from leaplib.tasks import Task

NONE = Variant("", "")


@dataclass(frozen=True)
class Ablation(OnSplit):
    """Work for a variant, as it can be run with the sources at hand."""

    variant: Variant = NONE
    number: int = -1
    repeat: int = 0

    @property
    def id(self) -> str:
        """Name of the job."""
        mark = key_of({"variant": asdict(self.variant), "number": self.number, "repeat": self.repeat})[:8]
        return f"ablation {self.kind} {self.task.id} {self.split_name} {self.variant.group} {self.variant.name} {mark}"

    @property
    def where(self) -> dict[str, str]:
        """Task, split and model."""
        return {"task": self.task.id, "split": self.split_name, "model": f"ablation {self.kind}"}

    @property
    def ablations(self) -> Ablations:
        """The runner of its task."""
        return ablations_on(self.run)


_ablations: dict[int, tuple[TaskRun, Ablations]] = {}


def ablations_on(run: TaskRun) -> Ablations:
    """Return the ablations of a run; their sources stay in memory with it."""
    if id(run) not in _ablations:
        _ablations.clear()
        _ablations[id(run)] = run, Ablations(run)
    return _ablations[id(run)][1]


@dataclass(frozen=True)
class Codes(Ablation):
    """Train one representation of a variant's kind."""

    kind: ClassVar[str] = "codes"
    in_stage: ClassVar[int] = 0
    on_gpu: ClassVar[bool] = True

    def results(self) -> Results:
        """Return its codes."""
        return [self.ablations.codes_file(self.variant, self.split, self.number)]

    def do(self, force: bool, errors: dict[str, Exception]) -> None:
        """Train it."""
        self.ablations.codes(self.variant, self.split, self.number, force)


@dataclass(frozen=True)
class Member(Ablation):
    """Fit one regressor of a variant, unless the task's own run has it."""

    kind: ClassVar[str] = "member"
    in_stage: ClassVar[int] = 2

    @property
    def gpu(self) -> bool:
        """Lassos are."""
        return "LASSO" in self.variant.model

    def results(self) -> Results:
        """Return its predictions."""
        return [self.ablations.member_file(self.variant, self.split, self.number, self.repeat)]

    def inputs(self) -> list[Path]:
        """Return its codes, or those of its pool."""
        if self.ablations.is_own(self.variant, self.number):
            return codes_of(self.profile, self.task)
        return [self.ablations.codes_file(self.variant, self.split, self.number)[0]]

    def is_done(self) -> bool:
        """Tell whether it, or the task's own, is there."""
        own = self.ablations.by_task(self.variant, self.split, self.number, self.repeat)
        return own or super().is_done()

    def do(self, force: bool, errors: dict[str, Exception]) -> None:
        """Fit it."""
        self.ablations.member(self.variant, self.split, self.number, self.repeat, force, errors)


@dataclass(frozen=True)
class Score(Ablation):
    """Average the members of a variant and score."""

    kind: ClassVar[str] = "score"
    in_stage: ClassVar[int] = 3

    def results(self) -> Results:
        """Return the scores."""
        return [self.ablations.scores_file(self.variant, self.split)]

    def inputs(self) -> list[Path]:
        """Return the predictions of its members."""
        members = self.ablations.members(self.variant)
        return [self.ablations.member_file(self.variant, self.split, *member)[0] for member in members]

    def do(self, force: bool, errors: dict[str, Exception]) -> None:
        """Score it."""
        self.ablations.score(self.variant, self.split, force, errors)


def ablation_jobs(profile: Profile, task: Task, variants: Sequence[Variant], device: str = "auto") -> list[Job]:
    """Return the jobs of variants on a task, its DAMAEs first; what variants share stands once."""
    check_names(variants)
    name = f"{failures.preparing(task.id)} for ablations"
    return prepared_jobs(lambda: _ablation_jobs(profile, task, variants, device), profile, task, device, name)


def _ablation_jobs(profile: Profile, task: Task, variants: Sequence[Variant], device: str) -> list[Job]:
    ablations = ablations_on(run_of(profile, task, device))
    left_out = ablations.left_out(variants)
    found: dict[Any, Job] = {}
    for variant in (ablations.resolved(variant) for variant in variants if variant not in left_out):
        for split in ablations.splits:
            args = (profile, task, device, split.name, variant)
            for number, repeat in ablations.members(variant):
                if not ablations.is_own(variant, number):
                    found.setdefault(ablations.codes_file(variant, split, number)[0], Codes(*args, number))
                member = ablations.member_file(variant, split, number, repeat)[0]
                found.setdefault(member, Member(*args, number, repeat))
            found.setdefault(ablations.scores_file(variant, split)[0], Score(*args))
    return pretraining_jobs(profile, task, device) + list(found.values())
