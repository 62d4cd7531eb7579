"""The jobs of the way to LEAP+: the candidates of `leaplib.runs.candidates` on splits, and within training sets.

Candidates that are made of the runs' own models share fits, and are one job a split; each other is a job of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from leaplib.cohorts.prepare import pool_name
from leaplib.cohorts.splits import INNER, Split
from leaplib.profiles import Profile
from leaplib.runs import failures
from leaplib.runs.candidate_features import WIDTH_FACTORS, WIDTHS, Features, sees_codes
from leaplib.runs.candidates import CANDIDATES, Beyond, checked_candidates
from leaplib.runs.jobs import Job, OnSplit, Results, codes_of, prepared_jobs, pretraining_jobs
from leaplib.runs.task_run import TaskRun, run_of
from leaplib.tasks import Task


@dataclass(frozen=True)
class Width(Job):
    """Train a DAMAE of another width, whose codes some candidates see beside the pool's own."""

    kind: ClassVar[str] = "width"
    in_stage: ClassVar[int] = 0
    on_gpu: ClassVar[bool] = True
    factor: float = 1.0

    @property
    def id(self) -> str:
        """Name of the job."""
        return f"width {pool_name(self.profile, self.task)} DAMAE x {self.factor:g}"

    @property
    def where(self) -> dict[str, str]:
        """The pool in place of a task."""
        return {"task": pool_name(self.profile, self.task), "split": "", "model": f"DAMAE x {self.factor:g}"}

    def results(self) -> Results:
        """Return its codes."""
        return [Features(self.run).width_file(self.factor)]

    def do(self, force: bool, errors: dict[str, Exception]) -> None:
        """Train it."""
        Features(self.run).width(self.factor, force)


@dataclass(frozen=True)
class Trial(OnSplit):
    """Score candidates on a split of the task, or on an inner one of its training set."""

    kind: ClassVar[str] = "trial"
    names: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Name of the job."""
        more = f" and {len(self.names) - 1} more" if len(self.names) > 1 else ""
        return f"trial {self.task.id} {self.split_name} {self.names[0]}{more}"

    @property
    def stage(self) -> int:
        """On the task's own splits after its models; none are fitted on inner ones."""
        return 1 if self.is_inner else 3

    @property
    def gpu(self) -> bool:
        """Lassos are."""
        return any(self.tried.is_lasso(candidate) for candidate in self.tried.fits_of(self.names, self.split))

    @property
    def where(self) -> dict[str, str]:
        """Task, split and the first candidate."""
        return {"task": self.task.id, "split": self.split_name, "model": f"trial {self.names[0]}"}

    @property
    def is_inner(self) -> bool:
        """Tell whether the split is one of a training set."""
        return INNER in self.split_name

    @property
    def tried(self) -> Beyond:
        """The candidates of its task."""
        return beyond_on(self.run)

    @property
    def split(self) -> Split:
        """The split itself."""
        return self.tried.split(self.split_name)

    def results(self) -> Results:
        """Return the scores of each candidate."""
        return [self.tried.scores_file(CANDIDATES[name], self.split) for name in self.names]

    def inputs(self) -> list[Path]:
        """Return predictions of the runs' own models, codes, and codes of other widths, as far as they are used."""
        tried, split = self.tried, self.split
        found = tried.own_files(self.names, split)
        features = {candidate.features for candidate in tried.fits_of(self.names, split)}
        if any(sees_codes(name) for name in features):
            found += codes_of(self.profile, self.task)
        if WIDTHS in features:
            found += [tried.features.width_file(factor)[0] for factor in WIDTH_FACTORS]
        return found

    def do(self, force: bool, errors: dict[str, Exception]) -> None:
        """Score them."""
        for name in self.names:
            self.tried.score(CANDIDATES[name], self.split, force)


_beyond: dict[int, tuple[TaskRun, Beyond]] = {}


def beyond_on(run: TaskRun) -> Beyond:
    """Return the candidates of a run; their features stay in memory with it."""
    if id(run) not in _beyond:
        _beyond.clear()
        _beyond[id(run)] = run, Beyond(run)
    return _beyond[id(run)][1]


def candidate_jobs(profile: Profile, task: Task, names: Sequence[str] = tuple(CANDIDATES), n_splits: int | None = None,
                   n_inner: int | None = 0, device: str = "auto") -> list[Job]:  # fmt: skip
    """Return the jobs of candidates on splits of a task, as `Beyond.splits` chooses them, its DAMAEs first.

    The runs' own models are fitted where their predictions are not there; `leaplib.runs.jobs.task_jobs` does
    it in parallel.
    """
    checked_candidates(names)

    def jobs() -> list[Job]:
        splits = beyond_on(run_of(profile, task, device)).splits(n_splits, n_inner)
        trials: list[Job] = [Trial(profile, task, device, split.name, group) for split in splits
                             for group in _groups(names)]  # fmt: skip
        widths = WIDTH_FACTORS if any(CANDIDATES[name].features == WIDTHS for name in names) else ()
        trained: list[Job] = [Width(profile, task, device, factor) for factor in widths]
        return pretraining_jobs(profile, task, device) + trained + trials

    return prepared_jobs(jobs, profile, task, device, f"{failures.preparing(task.id)} for candidates")


def _groups(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return candidates that share fits together, each other alone."""
    shared = tuple(name for name in names if CANDIDATES[name].estimator is None)
    return [*([shared] if shared else []), *((name,) for name in names if name not in shared)]
