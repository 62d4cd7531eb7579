"""All that a run computes as one list of jobs: which there are, whether each is done, and doing it.

Jobs come in stages: representations, fits, means of fits, means of these. A job knows its work and its files, not how
it is scheduled.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from leaplib.base.errors import InputError, StorageError
from leaplib.base.store import has_key, key_of, missing_of
from leaplib.cohorts.prepare import pool_name
from leaplib.cohorts.splits import INNER, Split
from leaplib.models.table import USUAL
from leaplib.profiles import Profile
from leaplib.representation import pretraining
from leaplib.runs.engine import TaskRun, run_of
from leaplib.runs.features import WIDTH_FACTORS, sees_codes
from leaplib.runs.recipes import (
    AVERAGED,
    CODE,
    COMPARED,
    EXTRA_TASK,
    LEAP,
    N_CHOSEN_ON,
    N_INNER,
    SHUFFLED,
    WIDTHS,
    Recipe,
    ablations_of,
    candidates_of,
    check_names,
    checked_candidates,
    recipes_of,
    resolve,
)
from leaplib.runs.records import Failure, failure_of, find, forget, preparing, try_again
from leaplib.tasks import COMPARED as MODELS_COMPARED
from leaplib.tasks import HARMONISE, TASKS, Task, get_task, harmonised

DONE, TO_DO, STALE, FAILED = "done", "to do", "stale", "failed"
STATES = (DONE, TO_DO, STALE, FAILED)
TRAINING, MEAN = "DAMAE", "mean"
PATIENT = 0.05  # a DAMAE stops early after about this much divided by its learning rate, in epochs
PROCESS_GB = 0.75  # libraries and a task's data
Results = list[tuple[Path, dict[str, Any]]]

TASKS_OF = {"03": ("1a", "1b", "2a"), "04": ("3a", "3b", "4a", "4b"), "05": ("5a", "5b"),
            "10": ("1a", "2a", "3b", "4a", "4b", "5a")}  # fmt: skip
"""Tasks whose models a notebook shows; 02 shows DAMAEs, 06 the ablations."""
MODELS_OF = {"10": ("ps-lasso", "ps-ridge", "leap", "leap-plus")}
"""Models that a notebook shows, where not all."""
TRIED_ON = "2a"
"""The task on which notebook 10 runs all candidates, and chooses among them; on its other tasks it runs few."""


@dataclass(frozen=True)
class Size:
    """What a job costs: core-seconds are `work`, in the units of its estimator, times the rate of its `kind`.

    Parameters
    ----------
    kind : str
        What its rate is known under: a model, and what it sees if not codes of DAMAEs.
    work : float
    memory_gb : float
        About what it needs at most, its process included.
    """

    kind: str = MEAN
    work: float = 0.0
    memory_gb: float = PROCESS_GB


@dataclass(frozen=True)
class Job:
    """One piece of work on one task; the kinds are below.

    Files, keys and size are worked out once, while the data of its task are in memory, and go with the job from then
    on: what is done is told without another look at the data.

    Parameters
    ----------
    profile : Profile
    task : Task
    device : {"auto", "cpu", "cuda"}
    """

    profile: Profile
    task: Task
    device: str = "auto"
    kind = ""
    """What sort of job it is, for the log."""
    gpu = True
    """Whether the job is one for a GPU, where there are some."""
    stage = 0
    """Jobs wait for those of the stages before."""

    @property
    def id(self) -> str:
        """Name of the job, unlike any other's."""
        raise NotImplementedError

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

    @cached_property
    def files(self) -> list[tuple[Path, str]]:
        """The files that the job writes, and the key of each."""
        return [(path, key_of(configuration)) for path, configuration in self.results()]

    @cached_property
    def inputs(self) -> list[Path]:
        """The files of other jobs that the job cannot do without."""
        return []

    @cached_property
    def size(self) -> Size:
        """What it costs."""
        return Size()

    def do(self, force: bool, errors: dict[str, Exception]) -> None:
        """Do the work; `errors` takes those of perturbations that failed alone."""
        raise NotImplementedError

    @cached_property
    def key(self) -> str:
        """Key of all that the job makes."""
        return key_of({path.name: key for path, key in self.files})

    def is_done(self) -> bool:
        """Tell whether all is there, whole, of just these keys, and lacks no perturbation."""
        return all(has_key(path, key) and not missing_of(path) for path, key in self.files)

    def is_settled(self) -> bool:
        """Tell whether it is done, and no failure on record says otherwise."""
        return self.is_done() and not find(self.profile.name, self.id, self.key)

    def cause(self, failed: Mapping[Path, str]) -> Failure | None:
        """Return why it cannot be tried, or None; `failed` names the jobs that were to write files."""
        lacking = [failed[path] for path in self.inputs if path in failed] if failed else []
        error = RuntimeError(f"not tried: {lacking[0]} failed") if lacking else None
        return failure_of(self.id, self.key, error, **self.where) if error else None

    def state(self) -> str:
        """Return "done", "to do", "stale" (made of other data, settings or code) or "failed" (the last time)."""
        if find(self.profile.name, self.id, self.key):
            return FAILED
        if self.is_done():
            return DONE
        return STALE if any(path.exists() for path, _ in self.files) else TO_DO


NOTHING = Failure("", "", "", "")


@dataclass(frozen=True)
class Unprepared(Job):
    """What stands for the jobs of a task whose data could not be prepared: it failed before it began."""

    kind = "prepare"
    failure: Failure = NOTHING

    @property
    def id(self) -> str:
        """Name of the job."""
        return self.failure.job

    def results(self) -> Results:
        """Return nothing: it is not known what there would be."""
        return []

    def is_done(self) -> bool:
        """Return that it is not."""
        return False

    def cause(self, failed: Mapping[Path, str]) -> Failure:
        """Return what failed."""
        return self.failure

    def state(self) -> str:
        """Return that it failed."""
        return FAILED


@dataclass(frozen=True)
class Pretrain(Job):
    """Train one DAMAE of a task's pool, of the usual width or of another that some candidates see beside."""

    seed: int = 0
    factor: float = 1.0

    @property
    def kind(self) -> str:  # type: ignore[override]
        """Another width is a kind of its own: it is no part of LEAP's time."""
        return "pretrain" if self.factor == 1 else "width"

    @property
    def id(self) -> str:
        """Name of the job."""
        return f"{self.kind} {self.where['task']} {self.where['model']} {self.seed}"

    @property
    def where(self) -> dict[str, str]:
        """The pool in place of a task."""
        name = "DAMAE" if self.factor == 1 else f"DAMAE x {self.factor:g}"
        return {"task": pool_name(self.profile, self.task), "split": "", "model": name}

    def results(self) -> Results:
        """Return the files of this seed and those that all share."""
        if self.factor != 1:
            return [self.run.features.width_file(self.factor)]
        return pretraining.results(self.profile, self.task, self.seed)

    @cached_property
    def size(self) -> Size:
        """That of the pool, and of the width."""
        return _training(self, TRAINING, self.profile.n_genes, self.factor)

    def is_done(self) -> bool:
        """Tell whether it is trained; weights are no frame, and are looked for beside."""
        return super().is_done() if self.factor != 1 else pretraining.is_trained(self.profile, self.task, self.seed)

    def do(self, force: bool, errors: dict[str, Exception]) -> None:
        """Train it."""
        if self.factor != 1:
            self.run.features.width(self.factor, force)
        else:
            pretraining.train(self.profile, self.task, [self.seed], self.device)


def _training(job: Job, kind: str, n_genes: int, factor: float = 1.0) -> Size:
    """Return the size of a training: samples, genes and epochs, until it stops early, the refit included."""
    settings: dict[str, Any] = {"learning_rate": 1e-4, "max_epochs": 3000, **job.profile.damae}
    epochs = min(settings["max_epochs"], PATIENT / settings["learning_rate"])
    samples, most = job.run.cohort.expression.shape
    work = samples * min(n_genes, most) * epochs * 2 * factor / 1e6
    return Size(kind, work, PROCESS_GB + samples * most * 8 / 1e9)


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

    @cached_property
    def size(self) -> Size:
        """That of the own source."""
        other = self.recipe.representation
        kind = TRAINING if other == "damae" else f"codes {other}"
        return _training(self, kind, self.recipe.n_genes or self.profile.n_genes)

    def do(self, force: bool, errors: dict[str, Exception]) -> None:
        """Train it."""
        self.run.codes(self.recipe, self.split, force)


@dataclass(frozen=True)
class Fit(OnSplit):
    """Make what a recipe predicts on one split: fit, or average, and score."""

    @property
    def kind(self) -> str:  # type: ignore[override]
        """A model of the tables on one of the task's own splits, a part of a mean, or a variant or candidate."""
        if self.recipe.group:
            return "score"
        return "fit" if self.recipe.name and INNER not in self.split_name else "part"

    @property
    def stage(self) -> int:  # type: ignore[override]
        """A mean waits for its parts."""
        return self.recipe.depth(self.profile.n_representations)

    @property
    def fits(self) -> list[Recipe]:
        """The fits that it makes itself; none, where it averages what is saved."""
        n = self.profile.n_representations
        return [] if self.recipe.saved_parts(n) and not self.recipe.stacked else self.recipe.fits(n)

    @property
    def gpu(self) -> bool:  # type: ignore[override]
        """Lassos are for a GPU, in batches."""
        return any(fit.model == AVERAGED for fit in self.fits)

    def results(self) -> Results:
        """Return predictions and scores."""
        return self.run.written(self.split, self.recipe)

    @cached_property
    def inputs(self) -> list[Path]:
        """The predictions of the parts, or what the fits see."""
        run, split = self.run, self.split
        found = [run.files(split, part)[0] for part in run.saved_parts(self.recipe)]
        for fit in self.fits:
            if run.needs_training(fit):
                found.append(run.codes_file(fit, split)[0])
            elif fit.features == WIDTHS:
                found += [*codes_of(run), *(run.features.width_file(factor)[0] for factor in WIDTH_FACTORS)]
            elif sees_codes(fit.features):
                found += codes_of(run)
        return list(dict.fromkeys(found))

    @cached_property
    def size(self) -> Size:
        """That of its fits; of a mean, the cells of its predictions."""
        run, split, cohort = self.run, self.split, self.run.cohort
        n_train, n_test, n_perturbations = len(split.train), len(split.test), cohort.response.shape[1]
        n_pairs, cells = round(cohort.n_pairs * n_train / len(cohort.response)), n_test * n_perturbations / 1e6
        kept = cohort.n_pairs if self.recipe.model.startswith("PP") else n_train * n_perturbations
        memory = PROCESS_GB + cohort.expression.size * 8 / 1e9 + kept * 200 / 1e9
        if not self.fits:
            return Size(MEAN, cells, memory)
        first = self.fits[0]
        seen = {"damae": first.features}.get(first.representation, first.representation)
        usual = seen == CODE or self.recipe.name == first.model
        sets = len(split.left_out) if self.task.design == "xenograft" and self.recipe.labels == SHUFFLED else 1
        works = [getattr(run.estimator(fit), "work", lambda *_: cells)(n_train, n_pairs, n_test, n_perturbations)
                 for fit in self.fits]  # fmt: skip
        return Size(first.model + ("" if usual else f" on {seen}"), max(1, sets) * sum(works), memory)

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
            chance = number < profile.n_shuffled and task.id in TASKS  # of 5a, under the paper's harmonisation alone
            yield from recipe_jobs(run, split, recipes_of(models, task.design, chance))

    return _prepared_jobs(jobs, profile, task, device)


def ablation_jobs(profile: Profile, task: Task, variants: Sequence[Recipe], device: str = "auto") -> list[Job]:
    """Return the jobs of variants on a task, its DAMAEs first; what variants share stands once."""
    check_names(variants)

    def jobs(run: TaskRun) -> Iterable[Job]:
        absent = run.left_out(variants)
        resolved = [resolve(variant, run.roles) for variant in variants if variant not in absent]
        for split in run.ablation_splits:
            yield from recipe_jobs(run, split, resolved)

    return _prepared_jobs(jobs, profile, task, device, " for ablations")


def candidate_jobs(profile: Profile, task: Task, names: Sequence[str] | None = None, n_splits: int | None = None,
                   n_inner: int | None = 0, device: str = "auto") -> list[Job]:  # fmt: skip
    """Return the jobs of candidates on splits of a task, or of its training sets, as `run_candidates` takes them."""
    candidates = checked_candidates(names or candidates_of(profile))

    def jobs(run: TaskRun) -> Iterable[Job]:
        for split in run.some_splits(n_splits, n_inner):
            yield from recipe_jobs(run, split, candidates)

    return _prepared_jobs(jobs, profile, task, device, " for candidates")


def _prepared_jobs(jobs: Callable[[TaskRun], Iterable[Job]], profile: Profile, task: Task, device: str,
                   purpose: str = "") -> list[Job]:  # fmt: skip
    """Return the jobs of a task, or what stands for them where its data cannot be prepared.

    Bad input, and what the disk refuses, passes; a batch does not try again what has just failed.
    """
    name = preparing(task.id) + purpose
    before = find(profile.name, name, "")
    if before and not try_again():
        return [Unprepared(profile, task, device, before)]
    try:
        found = in_stages([*pretraining_jobs(profile, task, device), *jobs(run_of(profile, task, device))])
        for job in found:
            _ = job.key, job.inputs, job.size
    except (InputError, StorageError):
        raise
    except Exception as error:  # whatever it is, the other tasks go on; it is kept with its traceback
        return [Unprepared(profile, task, device, failure_of(name, "", error, task=task.id))]
    forget(profile.name, name)
    return found


def in_stages(jobs: Iterable[Job]) -> list[Job]:
    """Return jobs each once, stage by stage, else in their order."""
    once = {job.id: job for job in jobs}
    return sorted(once.values(), key=lambda job: job.stage)


def notebook_jobs(profile: Profile, numbers: Sequence[str], device: str = "auto") -> list[Job]:
    """Return what the notebooks with these numbers show, as jobs, each once and in stages.

    Jobs bear the names of splits, so that cohorts and splits are prepared now where they are not.
    """
    wanted: list[tuple[Task, Callable[..., list[Job]]]] = []
    for number in numbers:
        models = MODELS_OF.get(number, USUAL)
        wanted += [(get_task(task), partial(task_jobs, models=models))
                   for task in TASKS_OF.get(number, ()) if task in profile.tasks]  # fmt: skip
    if "02" in numbers:
        wanted.append((get_task(EXTRA_TASK), pretraining_jobs))
    if "05" in numbers:
        wanted += [(harmonised(get_task("5a"), how), partial(task_jobs, models=MODELS_COMPARED))
                   for how in HARMONISE[1:]]  # fmt: skip
    if "06" in numbers:
        wanted += [(task, partial(ablation_jobs, variants=variants)) for task, variants in ablations_of(profile)]
    if "10" in numbers:  # candidates on all splits, and within some training sets
        few = {"n_splits": profile.n_ablation_splits}
        wanted += [(get_task(task), partial(candidate_jobs, **(few if task == TRIED_ON else {"names": COMPARED})))
                   for task in TASKS_OF["10"] if task in profile.tasks]  # fmt: skip
        if TRIED_ON in profile.tasks:
            wanted.append((get_task(TRIED_ON), partial(candidate_jobs, n_splits=N_CHOSEN_ON, n_inner=N_INNER)))
    wanted.sort(key=lambda pair: pair[0].id)  # the data of a task are read once, those of few stay in memory
    return in_stages(job for task, jobs in wanted for job in jobs(profile, task, device=device))
