"""All that a run computes as one list of jobs: which there are, whether each is done, and doing it.

Jobs come in stages: representations, fits, means of fits, means of these. A job knows its work and its files, not how
it is scheduled.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from functools import cached_property, lru_cache, partial
from pathlib import Path
from statistics import geometric_mean, median_low
from typing import Any

import pandas as pd

from leaplib.base.errors import InputError, StorageError
from leaplib.base.store import has_key, key_of, missing_of
from leaplib.cohorts.prepare import own_splits, pool_name
from leaplib.cohorts.splits import INNER, Split
from leaplib.models.table import MODELS, USUAL
from leaplib.profiles import Profile
from leaplib.representation import pretraining
from leaplib.runs import recipes
from leaplib.runs.engine import Errors, TaskRun, run_of
from leaplib.runs.features import sees_codes
from leaplib.runs.recipes import CODE, COMPARED, EXTRA_TASK, N_CHOSEN_ON, N_INNER, SHUFFLED, Recipe
from leaplib.runs.records import Failure, failure_of, find, forget, preparing, read_log, try_again
from leaplib.tasks import COMPARED as MODELS_COMPARED
from leaplib.tasks import HARMONISE, TASKS, Task, get_task, harmonised

DONE, TO_DO, STALE, FAILED = "done", "to do", "stale", "failed"
STATES = (DONE, TO_DO, STALE, FAILED)
TRAINING, MEAN = "DAMAE", "mean"
PATIENT = 0.05  # a DAMAE stops early after about this much divided by its learning rate, in epochs
PROCESS_GB = 0.75  # libraries and a task's data

OVERHEAD = 0.06  # core-seconds of any job
LEAST = 0.01  # seconds that a clock tells
RECENT = 25  # jobs of a kind that tell of the next
RATES = {
    TRAINING: 0.022, MEAN: 6.0, "PP-LGBM": 1.2, "PP-MLP": 0.22, "PP-tDNN": 0.074, "PS-KNN": 0.007, "PS-LASSO": 2.3,
    "PS-LASSO on identity": 80.0, "PS-LGBM": 0.6, "PS-RF": 12.0, "PS-RIDGE": 0.6, "PS-TCRP": 22.0, "LEAP+": 0.8,
    "Training mean": 5.0, "Tissue mean": 5.0, "Mean effects": 5.0,
}  # fmt: skip
"""Core-seconds a unit of work on one core of a virtual machine (x86-64 with AMX), on the demo."""

TASKS_OF = {"03": ("1a", "1b", "2a"), "04": ("3a", "3b", "4a", "4b"), "05": ("5a", "5b"),
            "10": ("1a", "2a", "3b", "4a", "4b", "5a")}  # fmt: skip
"""Tasks whose models a notebook shows; 02 shows DAMAEs, 06 the ablations."""
MODELS_OF = {"10": ("ps-lasso", "ps-ridge", "leap", "leap-plus")}
"""Models that a notebook shows, where not all."""
TRIED_ON = "2a"
"""The task on which notebook 10 runs all candidates, and chooses among them; on its other tasks it runs few."""


@dataclass(frozen=True)
class Job:
    """One piece of work on one task, as data.

    Files, keys and costs are worked out once, while the data of its task are in memory, and go with the job from then
    on: what is done is told without another look at the data.

    Parameters
    ----------
    profile : Profile
    task : Task
    device : {"auto", "cpu", "cuda"}
    kind : str
        What sort of job it is, for the log: "pretrain" or "codes" (representations), "fit" (a model of the
        tables on one of the task's own splits), "part" (of a mean), "score" (a variant or candidate), "prepare".
    id : str
        Name of the job, unlike any other's.
    deed : callable
        Does the work, of the job and a dictionary that takes the errors of perturbations that failed alone.
    where : mapping
        Task, split and model, for the log and for records of failures.
    files : sequence of (Path, str)
        That the job writes, and the key of each.
    inputs : sequence of Path
        Files of other jobs that the job cannot do without.
    cost, work, memory_gb
        What it costs: core-seconds are `work`, in the units of its estimator, times the rate of `cost` (a model, and
        what it sees if not codes of DAMAEs); about what memory it needs at most, its process included.
    stage : int
        Jobs wait for those of the stages before.
    gpu : bool
        Whether the job is one for a GPU, where there are some.
    is_whole : callable, optional
        Tells whether files are whole that are no frames.
    failure : Failure, optional
        Of the preparation of the task's data: it failed before it began, and stands for all jobs of its task.
    """

    profile: Profile
    task: Task
    device: str
    kind: str
    id: str
    deed: Callable[["Job", Errors], object]
    where: Mapping[str, str] = field(default_factory=lambda: {"task": "", "split": "", "model": ""})
    files: Sequence[tuple[Path, str]] = ()
    inputs: Sequence[Path] = ()
    cost: str = MEAN
    work: float = 0.0
    memory_gb: float = PROCESS_GB
    stage: int = 0
    gpu: bool = False
    is_whole: Callable[[], bool] | None = None
    failure: Failure | None = None

    @property
    def run(self) -> TaskRun:
        """The run of its task, its data in memory from job to job."""
        return run_of(self.profile, self.task, self.device)

    @cached_property
    def key(self) -> str:
        """Key of all that the job makes."""
        return key_of({path.name: key for path, key in self.files})

    def is_done(self) -> bool:
        """Tell whether all is there, whole, of just these keys, and lacks no perturbation."""
        there = not self.failure and all(has_key(path, key) and not missing_of(path) for path, key in self.files)
        return there and (self.is_whole is None or self.is_whole())

    def is_settled(self) -> bool:
        """Tell whether it is done, and no failure on record says otherwise."""
        return self.is_done() and not find(self.profile.name, self.id, self.key)

    def cause(self, failed: Mapping[Path, str]) -> Failure | None:
        """Return why it cannot be tried, or None; `failed` names the jobs that were to write files."""
        lacking = next((failed[path] for path in self.inputs if path in failed), None)
        if self.failure or lacking is None:
            return self.failure
        return failure_of(self.id, self.key, RuntimeError(f"not tried: {lacking} failed"), **self.where)

    def state(self) -> str:
        """Return "done", "to do", "stale" (made of other data, settings or code) or "failed" (the last time)."""
        if self.failure or find(self.profile.name, self.id, self.key):
            return FAILED
        if self.is_done():
            return DONE
        return STALE if any(path.exists() for path, _ in self.files) else TO_DO


def train(seed: int, job: Job, errors: Errors) -> None:
    """Train a DAMAE of the task's pool."""
    pretraining.train(job.profile, job.task, [seed], job.device)


def train_codes(split: str, fit: Recipe, job: Job, errors: Errors) -> None:
    """Train the representation that a fit sees, where that is not the pool's."""
    job.run.codes(fit, job.run.split(split), force=True)


def fit(split: str, recipe: Recipe, job: Job, errors: Errors) -> None:
    """Make what a recipe predicts on one split: fit, or average, and score."""
    job.run.result(job.run.split(split), recipe, True, errors)


def _job(run: TaskRun, kind: str, name: str, deed: Callable[..., object], results: Iterable[tuple[Path, dict]],
         where: tuple[str, str, str], **how: Any) -> Job:  # fmt: skip
    """Return a job of a task; `results` are its files and the configuration of each."""
    files = [(path, key_of(configuration)) for path, configuration in results]
    places = dict(zip(("task", "split", "model"), where, strict=True))
    return Job(run.profile, run.task, run.device, kind, f"{kind} {name}", deed, places, files, **how)


def _training(run: TaskRun, n_genes: int, cost: str = TRAINING, factor: float = 1.0) -> dict[str, Any]:
    """Return what a training costs: samples, genes and epochs, until it stops early, the refit included."""
    settings: dict[str, Any] = {"learning_rate": 1e-4, "max_epochs": 3000, **run.profile.damae}
    epochs = min(settings["max_epochs"], PATIENT / settings["learning_rate"])
    samples, most = run.cohort.expression.shape
    work = samples * min(n_genes, most) * epochs * 2 * factor / 1e6
    return {"cost": cost, "work": work, "memory_gb": PROCESS_GB + samples * most * 8 / 1e9, "gpu": True}


@lru_cache(maxsize=2)
def _pool_jobs(run: TaskRun) -> list[Job]:
    """Return the jobs that train the DAMAEs of a task's pool."""
    pool, at = pool_name(run.profile, run.task), (run.profile, run.task)
    return [_job(run, "pretrain", f"{pool} DAMAE {seed}", partial(train, seed), pretraining.results(*at, seed),
                 (pool, "", "DAMAE"), is_whole=partial(pretraining.is_trained, *at, seed),
                 **_training(run, run.profile.n_genes)) for seed in range(run.n)]  # fmt: skip


def _codes_job(run: TaskRun, split: Split, recipe: Recipe) -> Job:
    """Return the job that trains the representation that a fit sees, where that is not the pool's."""
    kind, mark = recipe.representation, key_of(asdict(recipe.seen()))[:8]
    pool = f"{run.task.id} {split.name}" if recipe.inductive else pool_name(run.profile, run.task)
    cost = _training(run, recipe.n_genes or run.profile.n_genes, TRAINING if kind == "damae" else f"codes {kind}")
    return _job(run, "codes", f"{pool} {kind} {mark} {recipe.number}", partial(train_codes, split.name, recipe),
                [run.codes_file(recipe, split)], (run.task.id, split.name, recipe.label), **cost)  # fmt: skip


def _fit_job(run: TaskRun, split: Split, recipe: Recipe) -> Job:
    """Return the job that makes what a recipe predicts on one split; a mean waits for its parts."""
    kind = "score" if recipe.group else "fit" if recipe.name and INNER not in split.name else "part"
    fits = [] if recipe.saved_parts(run.n) else recipe.fits(run.n)
    name = " ".join(filter(None, [run.task.id, split.name, recipe.group, recipe.label]))
    return _job(run, kind, name, partial(fit, split.name, recipe), run.written(split, recipe),
                (run.task.id, split.name, recipe.label), inputs=_inputs(run, split, recipe, fits),
                stage=recipe.depth(run.n), gpu=any(one.model == recipes.AVERAGED for one in fits),
                **_fitting(run, split, recipe, fits))  # fmt: skip


def _inputs(run: TaskRun, split: Split, recipe: Recipe, fits: Sequence[Recipe]) -> list[Path]:
    """Return the predictions of the parts of a recipe, and what its fits see."""
    pool = [run.folder / f"embedding_{seed}.parquet" for seed in range(run.n)]
    found = [next(iter(run.files(split, part).values())) for part in recipe.saved_parts(run.n)]
    for one in fits:
        if run.needs_training(one):
            found.append(run.codes_file(one, split)[0])
        elif sees_codes(one.features):
            found += pool
    return list(dict.fromkeys(found))


def _fitting(run: TaskRun, split: Split, recipe: Recipe, fits: Sequence[Recipe]) -> dict[str, Any]:
    """Return what fits cost; a mean that of the cells of its predictions."""
    cohort = run.cohort
    n_train, n_test, n_perturbations = len(split.train), len(split.test), cohort.response.shape[1]
    n_pairs, cells = round(cohort.n_pairs * n_train / len(cohort.response)), n_test * n_perturbations / 1e6
    kept = cohort.n_pairs if recipe.model.startswith("PP") else n_train * n_perturbations
    memory = PROCESS_GB + cohort.expression.size * 8 / 1e9 + kept * 200 / 1e9
    if not fits:
        return {"cost": MEAN, "work": cells, "memory_gb": memory}
    first = fits[0]
    seen = first.features if first.representation == "damae" else first.representation
    usual = seen == CODE or recipe.name == first.model
    sets = len(split.left_out) if run.task.design == "xenograft" and recipe.labels == SHUFFLED else 1
    works = [getattr(run.estimator(one), "work", lambda *_: cells)(n_train, n_pairs, n_test, n_perturbations)
             for one in fits]  # fmt: skip
    cost = first.model + ("" if usual else f" on {seen}")
    return {"cost": cost, "work": max(1, sets) * sum(works), "memory_gb": memory}


def _recipe_jobs(run: TaskRun, split: Split, wanted: Iterable[Recipe]) -> Iterator[Job]:
    """Yield the jobs of recipes on a split, those of their parts and of what they see before them."""
    for recipe in dict.fromkeys(below for one in wanted for below in one.with_parts(run.n)):
        for one in [] if recipe.saved_parts(run.n) else recipe.fits(run.n):
            if run.needs_training(one):
                yield _codes_job(run, split, one)
        yield _fit_job(run, split, recipe)


def task_jobs(profile: Profile, task: Task, models: Sequence[str], device: str = "auto",
              splits: str | Path | None = None) -> list[Job]:  # fmt: skip
    """Return the jobs of models (keys of `MODELS`) and controls on a task, its DAMAEs first.

    On the splits of a user's file (`leaplib.cohorts.splits.read_splits`), where there is one, without shuffled labels.
    Where its data cannot be prepared, for another reason than bad input, there is one job, which has failed.
    """

    def jobs(run: TaskRun) -> Iterator[Job]:
        for number, split in enumerate(own_splits(profile, task, splits) if splits else run.splits):
            other = splits or task.id not in TASKS  # of 5a, under the paper's harmonisation alone
            chance = number < profile.n_shuffled and not other
            yield from _recipe_jobs(run, split, recipes.recipes_of(models, task.design, chance))

    return _prepared_jobs(jobs, profile, task, device)


def pretraining_jobs(profile: Profile, task: Task, device: str = "auto") -> list[Job]:
    """Return the jobs that train the DAMAEs of a task's pool."""
    return _prepared_jobs(lambda run: (), profile, task, device)


def ablation_jobs(profile: Profile, task: Task, variants: Sequence[Recipe], device: str = "auto") -> list[Job]:
    """Return the jobs of variants on a task, its DAMAEs first; what variants share stands once."""
    recipes.check_names(variants)

    def jobs(run: TaskRun) -> Iterator[Job]:
        absent = run.left_out(variants)
        resolved = [recipes.resolve(variant, run.roles) for variant in variants if variant not in absent]
        for split in run.ablation_splits:
            yield from _recipe_jobs(run, split, resolved)

    return _prepared_jobs(jobs, profile, task, device, " for ablations")


def candidate_jobs(profile: Profile, task: Task, names: Sequence[str] | None = None, n_splits: int | None = None,
                   n_inner: int | None = 0, device: str = "auto") -> list[Job]:  # fmt: skip
    """Return the jobs of candidates on splits of a task, or of its training sets, as `run_candidates` takes them."""
    candidates = recipes.checked_candidates(names or recipes.candidates_of(profile))

    def jobs(run: TaskRun) -> Iterator[Job]:
        for split in run.some_splits(n_splits, n_inner):
            yield from _recipe_jobs(run, split, candidates)

    return _prepared_jobs(jobs, profile, task, device, " for candidates")


def curve_jobs(profile: Profile, task: Task, device: str = "auto") -> list[Job]:
    """Return the jobs of models on shares of a task's training lines, as the profile says."""
    models = [recipes.RECIPES[MODELS[key].name] for key in profile.curve_models]

    def jobs(run: TaskRun) -> Iterator[Job]:
        for split, _ in run.curve_splits():
            yield from _recipe_jobs(run, split, models)

    return _prepared_jobs(jobs, profile, task, device, " for learning curves")


def _prepared_jobs(jobs: Callable[[TaskRun], Iterable[Job]], profile: Profile, task: Task, device: str,
                   purpose: str = "") -> list[Job]:  # fmt: skip
    """Return the jobs of a task, or what stands for them where its data cannot be prepared.

    Bad input, and what the disk refuses, passes; a batch does not try again what has just failed.
    """
    name = preparing(task.id) + purpose
    failure = None if try_again() else find(profile.name, name, "")
    if failure is None:
        try:
            run = run_of(profile, task, device)
            found = in_stages([*_pool_jobs(run), *jobs(run)])
            forget(profile.name, name)
            return found
        except (InputError, StorageError):
            raise
        except Exception as error:  # whatever it is, the other tasks go on; it is kept with its traceback
            failure = failure_of(name, "", error, task=task.id)
    where = {"task": task.id, "split": "", "model": ""}
    return [Job(profile, task, device, "prepare", name, lambda *_: None, where, failure=failure)]


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
        wanted += [
            (task, partial(ablation_jobs, variants=variants)) for task, variants in recipes.ablations_of(profile)
        ]
    if "10" in numbers:  # candidates on all splits, and within some training sets
        few = {"n_splits": profile.n_ablation_splits}
        wanted += [(get_task(task), partial(candidate_jobs, **(few if task == TRIED_ON else {"names": COMPARED})))
                   for task in TASKS_OF["10"] if task in profile.tasks]  # fmt: skip
        if TRIED_ON in profile.tasks:
            wanted.append((get_task(TRIED_ON), partial(candidate_jobs, n_splits=N_CHOSEN_ON, n_inner=N_INNER)))
            wanted.append((get_task(TRIED_ON), curve_jobs))
    wanted.sort(key=lambda pair: pair[0].id)  # the data of a task are read once, those of few stay in memory
    return in_stages(job for task, jobs in wanted for job in jobs(profile, task, device=device))


# ---- what jobs cost, and a run will take


def estimate(job: Job, rates: Mapping[str, float] | None = None) -> float:
    """Return a job's core-seconds; `rates` go before the shipped ones."""
    known, kind = RATES | dict(rates or {}), job.cost
    usual = TRAINING if kind.startswith("codes ") else kind.partition(" on ")[0]
    return OVERHEAD + known.get(kind, known.get(usual, 1.0)) * job.work


class Pace:
    """How long a run will take from here: what jobs are estimated at, corrected by what those before them took.

    A kind of jobs is corrected by the lower median of its own ratios of seconds to estimates, with one more for the
    machine, the geometric mean over kinds: a first job that compiles, or one that others slowed down, tells little.

    Parameters
    ----------
    jobs : iterable of (id, stage, kind, core-seconds)
        To be done.
    workers : int
        Jobs that are done at a time.
    """

    def __init__(self, jobs: Iterable[tuple[str, int, str, float]], workers: int):
        self.waiting = {job: (stage, kind, cost) for job, stage, kind, cost in jobs}
        self.workers, self.ratios = max(1, workers), dict[str, list[float]]()

    def end(self, job: str, seconds: float | None) -> None:
        """Note that a job has ended, after so many seconds where it was done."""
        _, kind, cost = self.waiting.pop(job)
        if seconds is not None:
            self.ratios.setdefault(kind, []).append(max(seconds, LEAST) / cost)

    def left(self) -> float:
        """Return the seconds from here: of each stage in turn, by all workers, but no less than its longest job."""
        machine = geometric_mean([1.0, *map(median_low, self.ratios.values())])
        costs: dict[int, list[float]] = {}
        for stage, kind, cost in self.waiting.values():
            costs.setdefault(stage, []).append(cost * median_low([machine, *self.ratios.get(kind, [])[-RECENT:]]))
        under_way = sum(costs[min(costs)][: self.workers]) / 2 if costs else 0.0  # half done, on average
        return max(0.0, makespan(costs.values(), self.workers) - under_way / self.workers)


def calibrated(log: pd.DataFrame) -> dict[str, float]:
    """Return the median rate of each kind of jobs in a run log (`leaplib.runs.records.read_log`)."""
    entries = computed(log)
    rates = ((entries["core_seconds"] - OVERHEAD).clip(lower=0) / entries["work"]).groupby(entries["cost"]).median()
    return {str(kind): float(rate) for kind, rate in rates.items()}


def computed(log: pd.DataFrame) -> pd.DataFrame:
    """Return the entries of jobs that were computed, the last of each."""
    done = log[log["state"].isin(["computed", "partly failed"]) & (log["work"] > 0)]
    return done.drop_duplicates("job", keep="last")


def plan_of(jobs: Sequence[Job]) -> pd.DataFrame:
    """Return one row a job: job, stage, kind, task, split, model, state, core_seconds, memory_gb.

    Core-seconds are estimated at rates calibrated by the profile's own run log, where it has entries of a kind.
    """
    columns = ["job", "stage", "kind", "task", "split", "model", "state", "core_seconds", "memory_gb"]
    rates = calibrated(read_log(jobs[0].profile.name)) if jobs else {}
    rows = [{"job": job.id, "stage": job.stage, "kind": job.kind, **job.where, "model": job.cost,
             "state": job.state(), "core_seconds": estimate(job, rates), "memory_gb": job.memory_gb}
            for job in jobs]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def makespan(costs: Iterable[Sequence[float]], cores: int) -> float:
    """Return the seconds that stages of jobs take: each by all cores, but no less than its longest job."""
    return sum(max(sum(stage) / cores, *stage) for stage in costs)


def summed(plan: pd.DataFrame) -> pd.DataFrame:
    """Return one row a stage, kind, task and model: how many jobs in each state, core-hours to do, memory."""
    keys = ["stage", "kind", "task", "model"]
    counts = (
        plan.groupby([*keys, "state"], sort=False).size().unstack(fill_value=0).reindex(columns=STATES, fill_value=0)
    )
    left = plan.assign(core_seconds=plan["core_seconds"].where(plan["state"] != DONE, 0)).groupby(keys, sort=False)
    return counts.assign(core_hours=left["core_seconds"].sum() / 3600, memory_gb=left["memory_gb"].max()).reset_index()


def plan_text(jobs: Sequence[Job], cores: Sequence[int], every: bool = False) -> str:
    """Return a plan as the command line prints it."""
    plan = plan_of(jobs)
    if plan.empty:
        return "Nothing to compute: these notebooks show what others have left."
    shown = plan.drop(columns="job").round(2) if every else summed(plan).round(3)
    waiting = plan[plan["state"] != DONE]
    states = ", ".join(f"{(plan['state'] == state).sum():,} {state}" for state in STATES)
    lines = [shown.to_string(index=False), "",
             f"{len(plan):,} jobs: {states}.",
             f"To do: about {waiting['core_seconds'].sum() / 3600:.2f} core-hours; at most "
             f"{plan['memory_gb'].max():.1f} GB a job."]  # fmt: skip
    stages = [list(costs) for _, costs in waiting.groupby("stage")["core_seconds"]]
    for number in cores:
        seconds = makespan(stages, number)
        speedup = makespan(stages, 1) / seconds if seconds else 1.0
        lines.append(f"On {number:,.0f} cores: about {timedelta(seconds=round(seconds))}, {speedup:,.1f} times as fast "
                     "as on one.")  # fmt: skip
    log = computed(read_log(jobs[0].profile.name))
    lines.append(f"Run log: {len(log):,} jobs took {log['core_seconds'].sum() / 3600:.2f} core-hours. Estimates "
                 f"rest on its own rates, and for kinds of jobs that it lacks on shipped ones.")  # fmt: skip
    return "\n".join(lines)
