"""All that a run computes as one list of jobs: which there are, whether each is done, and doing it.

Jobs come in stages: representations, fits, means of fits, means of these. A job knows its work and its files, not how
it is scheduled.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from leaplib.base.errors import InputError, StorageError
from leaplib.base.store import is_done, key_of, missing_of
from leaplib.cohorts.prepare import pool_name
from leaplib.cohorts.splits import INNER, Split
from leaplib.models.table import USUAL
from leaplib.profiles import Profile
from leaplib.representation import pretraining
from leaplib.runs import failures
from leaplib.runs.ablations import EXTRA_TASK, ablations_of, check_names, left_out, resolve
from leaplib.runs.candidates import CANDIDATES, COMPARED, N_CHOSEN_ON, N_INNER, candidate_splits, checked_candidates
from leaplib.runs.engine import TaskRun, run_of
from leaplib.runs.features import WIDTH_FACTORS, WIDTHS, sees_codes
from leaplib.runs.recipes import AVERAGED, LEAP, Recipe, recipes_of
from leaplib.tasks import COMPARED as MODELS_COMPARED
from leaplib.tasks import HARMONISE, Task, get_task, harmonised

DONE, TO_DO, STALE, FAILED = "done", "to do", "stale", "failed"
STATES = (DONE, TO_DO, STALE, FAILED)
Results = list[tuple[Path, dict[str, Any]]]

TASKS_OF = {"03": ("1a", "1b", "2a"), "04": ("3a", "3b", "4a", "4b"), "05": ("5a", "5b"),
            "10": ("1a", "2a", "3b", "4a", "4b", "5a")}  # fmt: skip
"""Tasks whose models a notebook shows; 02 shows DAMAEs, 06 the ablations."""
MODELS_OF = {"10": ("ps-lasso", "ps-ridge", "leap", "leap-plus")}
"""Models that a notebook shows, where not all."""
TRIED_ON = "2a"
"""The task on which notebook 10 runs all candidates, and chooses among them; on its other tasks it runs few."""


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

    @property
    def id(self) -> str:
        """Name of the job, unlike any other's."""
        raise NotImplementedError

    @property
    def kind(self) -> str:
        """What sort of job it is, for the log."""
        raise NotImplementedError

    @property
    def stage(self) -> int:
        """Jobs wait for those of the stages before."""
        return 0

    @property
    def gpu(self) -> bool:
        """Whether the job is one for a GPU, where there are some."""
        return True

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

    kind = "prepare"
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
    """Train one DAMAE of a task's pool, of the usual width or of another that some candidates see beside."""

    seed: int = 0
    factor: float = 1.0

    @property
    def kind(self) -> str:
        """Another width is a kind of its own: it is no part of LEAP's time."""
        return "pretrain" if self.factor == 1 else "width"

    @property
    def _name(self) -> str:
        return "DAMAE" if self.factor == 1 else f"DAMAE x {self.factor:g}"

    @property
    def id(self) -> str:
        """Name of the job."""
        return f"{self.kind} {pool_name(self.profile, self.task)} {self._name} {self.seed}"

    @property
    def where(self) -> dict[str, str]:
        """The pool in place of a task."""
        return {"task": pool_name(self.profile, self.task), "split": "", "model": self._name}

    def results(self) -> Results:
        """Return the files of this seed and those that all share."""
        if self.factor != 1:
            return [self.run.features.width_file(self.factor)]
        return pretraining.results(self.profile, self.task, self.seed)

    def is_done(self) -> bool:
        """Tell whether it is trained; weights are no frame, and are looked for beside."""
        return super().is_done() if self.factor != 1 else pretraining.is_trained(self.profile, self.task, self.seed)

    def do(self, force: bool, errors: dict[str, Exception]) -> None:
        """Train it."""
        if self.factor != 1:
            self.run.features.width(self.factor, force)
        else:
            pretraining.train(self.profile, self.task, [self.seed], self.device)


@dataclass(frozen=True)
class OnSplit(Job):
    """Work for a recipe on one split, told by its name."""

    split_name: str = ""
    recipe: Recipe = LEAP

    @property
    def split(self) -> Split:
        """The split itself."""
        return self.run.split(self.split_name)

    @property
    def id(self) -> str:
        """Name of the job."""
        return " ".join(filter(None, [self.kind, self.task.id, self.split_name, self.recipe.group, self.recipe.label]))

    @property
    def where(self) -> dict[str, str]:
        """Task, split and model."""
        return {"task": self.task.id, "split": self.split_name, "model": self.recipe.label}


@dataclass(frozen=True)
class Codes(OnSplit):
    """Train the representation that a fit sees, where that is not the pool's."""

    kind = "codes"

    @property
    def id(self) -> str:
        """Name of the job."""
        mark = key_of(asdict(self.recipe.seen()))[:8]
        inductive = self.recipe.inductive
        pool = f"{self.task.id} {self.split_name}" if inductive else pool_name(self.profile, self.task)
        return f"codes {pool} {self.recipe.representation} {mark} {self.recipe.number}"

    def results(self) -> Results:
        """Return its codes."""
        return [self.run.codes_file(self.recipe, self.split)]

    def do(self, force: bool, errors: dict[str, Exception]) -> None:
        """Train it."""
        self.run.codes(self.recipe, self.split, force)


@dataclass(frozen=True)
class Fit(OnSplit):
    """Make what a recipe predicts on one split: fit, or average, and score."""

    @property
    def kind(self) -> str:
        """A model of the tables on one of the task's own splits, a part of a mean, or a variant or candidate."""
        if self.recipe.group:
            return "score"
        return "fit" if self.recipe.name and INNER not in self.split_name else "part"

    @property
    def stage(self) -> int:
        """A mean waits for its parts."""
        return self.recipe.depth(self.profile.n_representations)

    @property
    def gpu(self) -> bool:
        """Lassos are for a GPU, in batches."""
        n = self.profile.n_representations
        waits = self.recipe.saved_parts(n) and not self.recipe.stacked
        return not waits and any(fit.model == AVERAGED for fit in self.recipe.fits(n))

    def results(self) -> Results:
        """Return predictions and scores."""
        return self.run.written(self.split, self.recipe)

    def inputs(self) -> list[Path]:
        """Return the predictions of the parts, or what the fits see."""
        run, split = self.run, self.split
        found = [run.files(split, part)[0] for part in run.saved_parts(self.recipe)]
        for fit in run.fits(self.recipe) if self.recipe.stacked or not found else ():
            if run.needs_training(fit):
                found.append(run.codes_file(fit, split)[0])
            elif fit.features == WIDTHS:
                found += [*codes_of(run), *(run.features.width_file(factor)[0] for factor in WIDTH_FACTORS)]
            elif sees_codes(fit.features):
                found += codes_of(run)
        return list(dict.fromkeys(found))

    def do(self, force: bool, errors: dict[str, Exception]) -> None:
        """Make it."""
        self.run.result(self.split, self.recipe, force, errors)


def codes_of(run: TaskRun) -> list[Path]:
    """Return the codes of all DAMAEs of a task's pool."""
    folder = pretraining.folder_of(run.profile, run.task)
    return [folder / f"embedding_{seed}.parquet" for seed in range(run.profile.n_representations)]


def pretraining_jobs(profile: Profile, task: Task, device: str = "auto") -> list[Job]:
    """Return the jobs that train the DAMAEs of a task's pool."""
    return [Pretrain(profile, task, device, seed) for seed in range(profile.n_representations)]


def recipe_jobs(run: TaskRun, split: Split, recipes: Iterable[Recipe]) -> list[Job]:
    """Return the jobs of recipes on a split, those of their parts and of what they see before them."""
    found: list[Job] = []
    where = (run.profile, run.task, run.device)
    for recipe in recipes:
        parts = run.saved_parts(recipe)
        found += recipe_jobs(run, split, parts)
        for fit in [] if parts else run.fits(recipe):
            if run.needs_training(fit):
                found.append(Codes(*where, split.name, fit))
            if fit.features == WIDTHS:
                found += [Pretrain(*where, 0, factor) for factor in WIDTH_FACTORS]
        found.append(Fit(*where, split.name, recipe))
    return found


def task_jobs(profile: Profile, task: Task, models: Sequence[str], device: str = "auto") -> list[Job]:
    """Return the jobs of models (keys of `MODELS`) and controls on a task, its DAMAEs first.

    Where its data cannot be prepared, for another reason than bad input, there is one job, an `Unprepared`.
    """

    def jobs(run: TaskRun) -> Iterable[Job]:
        for number, split in enumerate(run.splits):
            chance = number < profile.n_shuffled
            yield from recipe_jobs(run, split, recipes_of(models, task.design, chance))

    return _prepared_jobs(jobs, profile, task, device)


def ablation_jobs(profile: Profile, task: Task, variants: Sequence[Recipe], device: str = "auto") -> list[Job]:
    """Return the jobs of variants on a task, its DAMAEs first; what variants share stands once."""
    check_names(variants)

    def jobs(run: TaskRun) -> Iterable[Job]:
        absent = left_out(run, variants)
        resolved = [resolve(variant, run.roles) for variant in variants if variant not in absent]
        for split in run.ablation_splits:
            yield from recipe_jobs(run, split, resolved)

    return _prepared_jobs(jobs, profile, task, device, " for ablations")


def candidate_jobs(profile: Profile, task: Task, names: Sequence[str] = tuple(CANDIDATES), n_splits: int | None = None,
                   n_inner: int | None = 0, device: str = "auto") -> list[Job]:  # fmt: skip
    """Return the jobs of candidates on splits of a task, or of its training sets, as `run_candidates` takes them."""
    candidates = checked_candidates(names)

    def jobs(run: TaskRun) -> Iterable[Job]:
        for split in candidate_splits(run, n_splits, n_inner):
            yield from recipe_jobs(run, split, candidates)

    return _prepared_jobs(jobs, profile, task, device, " for candidates")


def _prepared_jobs(jobs: Callable[[TaskRun], Iterable[Job]], profile: Profile, task: Task, device: str,
                   purpose: str = "") -> list[Job]:  # fmt: skip
    """Return the jobs of a task, or what stands for them where its data cannot be prepared.

    Bad input, and what the disk refuses, passes; a batch does not try again what has just failed.
    """
    name = failures.preparing(task.id) + purpose
    before = failures.find(profile.name, name, "")
    if before and not failures.try_again():
        return [Unprepared(profile, task, device, before)]
    try:
        found = in_stages([*pretraining_jobs(profile, task, device), *jobs(run_of(profile, task, device))])
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


def notebook_jobs(profile: Profile, numbers: Sequence[str], device: str = "auto") -> list[Job]:
    """Return what the notebooks with these numbers show, as jobs, each once and in stages.

    Jobs bear the names of splits, so that cohorts and splits are prepared now where they are not.
    """
    wanted = [(get_task(task), MODELS_OF.get(number, USUAL)) for number in numbers
              for task in TASKS_OF.get(number, ()) if task in profile.tasks]  # fmt: skip
    found = [job for task, models in wanted for job in task_jobs(profile, task, models, device)]
    if "02" in numbers:
        found += pretraining_jobs(profile, get_task(EXTRA_TASK), device)
    if "05" in numbers:
        for how in HARMONISE[1:]:
            found += task_jobs(profile, harmonised(get_task("5a"), how), MODELS_COMPARED, device)
    if "06" in numbers:
        for task, variants in ablations_of(profile):
            found += ablation_jobs(profile, task, variants, device)
    if "10" in numbers:
        found += _beyond_jobs(profile, device)
    return in_stages(found)


def _beyond_jobs(profile: Profile, device: str) -> list[Job]:
    """Return the candidates on the way to LEAP+, on all splits, and within some training sets."""
    found: list[Job] = []
    for task in (get_task(name) for name in TASKS_OF["10"] if name in profile.tasks):
        all_of_them = task.id == TRIED_ON
        names, n_splits = (tuple(CANDIDATES), profile.n_ablation_splits) if all_of_them else (COMPARED, None)
        found += candidate_jobs(profile, task, names, n_splits, device=device)
    if TRIED_ON in profile.tasks:
        found += candidate_jobs(profile, get_task(TRIED_ON), tuple(CANDIDATES), N_CHOSEN_ON, N_INNER, device)
    return found
