"""Screens, pools, cohorts and splits of a profile: prepared once, then loaded."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from leaplib.base.code_version import code_version
from leaplib.base.errors import DAMAGE, InputError, first_line
from leaplib.base.files import locked, sha256, write_text
from leaplib.base.layout import Layout
from leaplib.base.store import is_done, key_of, load_frame, save_frame
from leaplib.cohorts.cohort import FRAMES, Cohort, hash_frame
from leaplib.cohorts.expression import by_source, harmonise, join_domains, variable_genes
from leaplib.cohorts.selection import (
    PDX,
    Flow,
    pca_outliers,
    prepare_dependencies,
    prepare_drugs,
    prepare_external,
    prepare_xenografts,
)
from leaplib.cohorts.simulation import Simulation, simulate
from leaplib.cohorts.splits import Split, load_splits, make_splits, save_splits
from leaplib.profiles import Profile, get_profile
from leaplib.sources import depmap, manifest, read_drug_screen, read_pdx
from leaplib.sources.drugs import drug_files
from leaplib.sources.screens import DrugScreen, GeneScreen
from leaplib.sources.xenografts import Xenografts
from leaplib.tasks import Task, get_task

Found = TypeVar("Found")

PDX_FILE = "pdxe"
RECORD = "preparation.json"
EXTERNAL, FLOW, DESCRIPTION = "external.parquet", "flow.csv", "cohort.json"
Record = dict[str, Any]
# DepMap's release behind each screen of genes, and the simulated screen that stands in.
GENE_SCREENS = {
    "dependencies": ("23Q4", "dependencies"),
    "dependencies-22q4": ("22Q4", "earlier"),
    "effects-18q3": ("18Q3", "effects"),
}


@lru_cache(maxsize=2)
def simulation(n_lines: int, n_genes: int) -> Simulation:
    """Return the simulated cohort of a size (kept in memory: the tasks share it)."""
    return simulate(n_lines, n_genes)


def _simulation_of(profile: Profile) -> Simulation:
    return simulation(profile.simulated_lines, profile.simulated_genes)


@lru_cache(maxsize=1)
def _real_drug_screen(checksums: tuple[str, ...]) -> DrugScreen:
    """Read the screen; `checksums` make the cache forget files that changed, here and below."""
    return read_drug_screen()


def drug_screen(profile: Profile) -> DrugScreen:
    """Return the drug screen of a profile: the studies at hand, or the simulated one where the profile asks for it.

    Raises
    ------
    InputError
        When an archive is missing or damaged: it can be had by one command, so nothing is simulated
        in its place.
    """
    return _simulation_of(profile).drugs if profile.simulated else _real_drug_screen(_checksums(*drug_files()))


def gene_screen(profile: Profile, name: str = "dependencies") -> GeneScreen:
    """Return a screen of genes: DepMap's where all its files are there, else the simulated one.

    Parameters
    ----------
    profile : Profile
    name : {"dependencies", "dependencies-22q4", "effects-18q3"}

    Raises
    ------
    InputError
        When a file that is there is not what it should be.
    """
    release, stand_in = GENE_SCREENS[name]
    if is_real(profile, name):
        return _real_gene_screen(release, _checksums(*depmap.files(release), "cy"))
    return getattr(_simulation_of(profile), stand_in)


@lru_cache(maxsize=1)
def _real_gene_screen(release: str, checksums: tuple[str, ...]) -> GeneScreen:
    return depmap.read_gene_screen(release)


def xenograft_screen(profile: Profile) -> tuple[DrugScreen, Xenografts]:
    """Return cell lines and xenografts: real where the PDX Encyclopedia's file is there, else both simulated.

    Xenografts can only be joined to cell lines of their own kind, so that simulated ones come with simulated lines.
    """
    if is_real(profile, "xenografts"):
        return drug_screen(profile), _real_xenografts(_checksums(PDX_FILE))
    return _simulation_of(profile).drugs, _simulation_of(profile).xenografts


@lru_cache(maxsize=1)
def _real_xenografts(checksums: tuple[str, ...]) -> Xenografts:
    return read_pdx(manifest.path(PDX_FILE))


def is_real(profile: Profile, name: str) -> bool:
    """Tell whether a screen rests on real files, or else on the simulated cohort.

    Parameters
    ----------
    profile : Profile
    name : str
        As `Task.screen`.
    """
    if profile.simulated or name == "drugs":
        return not profile.simulated
    if name == "xenografts":
        return manifest.get_source(PDX_FILE).target.is_file()
    return depmap.is_here(GENE_SCREENS[name][0])


def _checksums(*names: str) -> tuple[str, ...]:
    """Return the checksums of files of the manifest."""
    return tuple(manifest.checksum(name) for name in names)


def screen_of(profile: Profile, name: str) -> DrugScreen | GeneScreen:
    """Return a screen of cell lines by its name, as in `Task.screen`."""
    if name == "xenografts":
        return xenograft_screen(profile)[0]
    return drug_screen(profile) if name == "drugs" else gene_screen(profile, name)


def screen_key(profile: Profile, name: str) -> dict:
    """Return what identifies a screen's content: checksums of its files, or the simulation's size."""
    if not is_real(profile, name):
        return {"simulated": [profile.simulated_lines, profile.simulated_genes]}
    if name in GENE_SCREENS:
        return {"depmap": list(_checksums(*depmap.files(GENE_SCREENS[name][0]), "cy"))}
    archives = {"drugs": list(_checksums(*drug_files()))}
    return archives | ({"pdx": list(_checksums(PDX_FILE))} if name == "xenografts" else {})


@dataclass(frozen=True)
class Pool:
    """Expression that autoencoders are trained on: all samples of the sources of a task, labelled or not.

    Parameters
    ----------
    name : str
        Of its folder; that of a simulated pool says so.
    expression : DataFrame, samples x genes
    domain : Series
        Source of each sample; genes are chosen in each source and united.
    tissue : Series
        Tissue of each sample, missing where it is not known.
    n_genes : int
        Most variable genes to be kept of each source.
    key : dict
        What identifies the content.
    data : {"real", "simulated"}
    """

    name: str
    expression: pd.DataFrame
    domain: pd.Series
    tissue: pd.Series
    n_genes: int
    key: dict
    data: str


def pool_name(profile: Profile, task: Task) -> str:
    """Return the name of a task's pool: tasks with the same name share their representations."""
    how = "" if task.harmonise == "together" else f"-{task.harmonise.replace(' ', '-')}"
    return f"{task.pool}{how}{'' if is_real(profile, task.screen) else '-simulated'}"


def pool_key(profile: Profile, task: Task) -> dict:
    """Return what identifies the content of a task's pool: the expression alone, not the labels."""
    if is_real(profile, task.screen):
        content: dict[str, object] = {"expression": prepared(profile, task)["pool"]}
    else:
        content = {"simulated": [profile.simulated_lines, profile.simulated_genes],
                   "code": code_version("leaplib.cohorts.prepare")}  # fmt: skip
    return {"pool": task.pool, "harmonise": task.harmonise} | content


def pool_of(profile: Profile, task: Task, key: dict | None = None) -> Pool:
    """Return a task's pool: the expression of all lines of its screen, outliers aside, and of its xenografts.

    `key` stands for that of `pool_key`, which it is otherwise.
    """
    screen = screen_of(profile, task.screen)
    expression = screen.expression.drop(index=pca_outliers(screen.expression))
    domain, tissue = pd.Series("cell lines", index=expression.index), screen.samples["tissue"]
    n_genes = profile.n_genes
    if task.pool == "xenografts":
        tumours = xenograft_screen(profile)[1]
        domain = pd.concat([domain, pd.Series(PDX, index=tumours.expression.index)])
        tissue = pd.concat([tissue, tumours.samples["tissue"]])
        expression = join_domains(expression, tumours.expression, screen.unit)
    if task.harmonise != "together":  # otherwise the scaler does it
        genes = variable_genes(by_source(expression, domain), n_genes)  # before variances are made equal
        expression, n_genes = harmonise(expression[genes], domain, task.harmonise), len(genes)
    key = pool_key(profile, task) if key is None else key
    tissue = tissue.reindex(expression.index)
    return Pool(pool_name(profile, task), expression, domain, tissue, n_genes, key, screen.data)


def load_cohort(profile: Profile, task: Task) -> tuple[Cohort, pd.DataFrame]:
    """Return a task's cohort and the counts of its selection rules, prepared now or before.

    Returns
    -------
    Cohort
    DataFrame
        branch, step, tissues, samples, perturbations, pairs (see `leaplib.cohorts.selection`).
    """
    folder = Layout(profile.name).cohort(task.id)
    record = prepared(profile, task)
    try:
        _check_files(folder, record, list(record["files"]))
        return Cohort.load(folder), _saved(folder, lambda: pd.read_csv(folder / FLOW))
    except (InputError, OSError):  # damaged since: make it anew
        prepared(profile, task, force=True)
        return Cohort.load(folder), pd.read_csv(folder / FLOW)


def _check_files(folder: Path, record: Record, names: Sequence[str]) -> None:
    """Raise InputError where a file of a preparation is not as it was written, if that is on record."""
    for name in names:
        if sha256(folder / name) != record.get("files", {}).get(name):
            raise InputError(f"{folder / name}: is not as it was written: delete the folder and prepare again")


def stamp(profile: Profile, task: Task) -> tuple[str, ...]:
    """Return what changes when a task's prepared files do: where they lie, their sizes and times."""
    folder = Layout(profile.name).cohort(task.id)
    found = [str(folder)]
    for path in sorted(folder.glob("[!.]*")):
        with suppress(FileNotFoundError):  # another process prepares just now
            stat = path.stat()
            found.append(f"{path.name} {stat.st_ino} {stat.st_size} {stat.st_mtime_ns}")
    return tuple(found)


def prepared(profile: Profile, task: Task, force: bool = False) -> Record:
    """Prepare a task's cohort unless that is done, and return what identifies it.

    One process prepares, others wait for it; the record is written last.

    Returns
    -------
    dict
        key (of the preparation), pool (hash of its expression), files (checksums by name).
    """
    folder = Layout(profile.name).cohort(task.id)
    with locked(folder):
        record = _record(folder)
        key = _cohort_key(profile, task)
        if force or record.get("key") != key or "files" not in record:
            cohort, flow, external = prepare(profile, task)
            pool = pool_of(profile, replace(task, harmonise="together"), key={})
            (folder / RECORD).unlink(missing_ok=True)
            cohort.save(folder)
            write_text(folder / FLOW, flow.to_csv(index=False))
            save_frame(external, folder / EXTERNAL, {"preparation": key})
            files = [f"{name}.parquet" for name in FRAMES if getattr(cohort, name) is not None]
            record = {"key": key, "pool": hash_frame(pool.expression),
                      "files": {name: sha256(folder / name) for name in (*files, FLOW, DESCRIPTION)}}  # fmt: skip
            write_text(folder / RECORD, json.dumps(record | {"checksum": key_of(record)}))
    return record


def _record(folder: Path) -> Record:
    """Return the record of a preparation; an absent or damaged one is as good as none."""
    try:
        record = dict(json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError):
        return {}
    return record if record.pop("checksum", None) == key_of(record) else {}


def _saved(folder: Path, read: Callable[[], Found]) -> Found:
    """Return what was saved with a cohort; a file that cannot be read is an InputError."""
    try:
        return read()
    except DAMAGE as error:
        reason = first_line(error)
        raise InputError(f"{folder}: cannot be read ({reason}): delete the folder and prepare again") from error


def saved_flow(profile: Profile, task: Task) -> tuple[pd.DataFrame, str]:
    """Return a task's counts and whether they are of real or simulated data, as they were saved: nothing is prepared.

    Raises
    ------
    InputError
        When the task's cohort was not prepared, or was damaged since.
    """
    folder = Layout(profile.name).cohort(task.id)
    try:
        record = _record(folder)
        _check_files(folder, record, (FLOW, DESCRIPTION))
        kind = _saved(folder, lambda: json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))["data"])
        return _saved(folder, lambda: pd.read_csv(folder / FLOW)), kind
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"task {task.id}: no cohort in {folder}: run notebook 01 to prepare the data") from error


def load_external(profile: Profile, task: Task) -> pd.DataFrame:
    """Return what the external study of a task measured, lines x drugs; no columns where there is no such study."""
    path = Layout(profile.name).cohort(task.id) / EXTERNAL
    record = prepared(profile, task)
    if not is_done(path, {"preparation": record["key"]}):  # damaged since: make it anew
        prepared(profile, task, force=True)
    return load_frame(path)


def _cohort_key(profile: Profile, task: Task) -> str:
    return key_of({"task": replace(task, harmonise="together"), "screen": screen_key(profile, task.screen),
                   "code": code_version("leaplib.cohorts.prepare"),
                   "max_perturbations": profile.max_perturbations})  # fmt: skip


def prepare(profile: Profile, task: Task) -> tuple[Cohort, pd.DataFrame, pd.DataFrame]:
    """Prepare a task's cohort from its screen, without saving it.

    Returns
    -------
    Cohort
    DataFrame
        Counts after each rule.
    DataFrame, lines x drugs
        Responses of the external study; without columns where there is none.
    """
    external = pd.DataFrame()
    if task.screen == "xenografts":
        cohort, flow = prepare_xenografts(*xenograft_screen(profile), task)
    elif task.screen == "drugs":
        cohort, flow = prepare_drugs(drug_screen(profile), task)
        external, _ = prepare_external(drug_screen(profile), task, cohort)
    else:
        cohort, flow = prepare_dependencies(gene_screen(profile, task.screen), task)
    cohort, flow = _draw(profile, cohort, flow, external.columns)
    return cohort, flow, external[external.columns.intersection(cohort.response.columns)]


def _draw(profile: Profile, cohort: Cohort, flow: pd.DataFrame, external: pd.Index) -> tuple[Cohort, pd.DataFrame]:
    """Keep as many perturbations as the profile says, drawn at random.

    Up to a third of them are drawn among those of the external study, or there would be nothing to validate.
    """
    limit, columns = profile.max_perturbations, cohort.response.columns
    if limit is None or limit >= len(columns):
        return cohort, flow
    rng = np.random.default_rng(0)
    shared = rng.permutation(columns[columns.isin(external)])[: limit // 3]
    others = rng.permutation(columns[~columns.isin(shared)])[: limit - len(shared)]
    cohort = cohort.subset(perturbations=columns[columns.isin(shared) | columns.isin(others)])
    last = Flow(cohort.samples["tissue"])
    step = f"profile {profile.name}: {limit} drawn at random"
    step += f", {len(shared)} of them among those of the external study" if len(shared) else ""
    last.count_matrix("all", step, cohort.response)
    return cohort, pd.concat([flow, last.frame()], ignore_index=True)


def load_task_splits(profile: Profile, task: Task, cohort: Cohort) -> list[Split]:
    """Return a task's splits; made once and saved, so that every model and rerun sees the same."""
    folder = Layout(profile.name).processed / "splits"
    identity = {"task": task.id, "cohort": cohort.hash, "n": [profile.n_splits, profile.n_test_sets],
                "code": code_version("leaplib.cohorts.prepare")}  # fmt: skip
    path = folder / f"task_{task.id}-{key_of(identity)[:12]}.parquet"
    with locked(path):
        if not is_done(path, identity):  # absent, damaged since, or foreign: the seed makes the same again
            save_splits(make_splits(cohort, task, profile.n_splits, profile.n_test_sets), path, identity)
        splits = load_splits(path)
    return splits[: profile.n_tissues] if task.design == "tissue" else splits


def cohort(profile: Profile | str, task: Task | str) -> Cohort:
    """Return the cohort of a task, prepared now or before."""
    return load_cohort(get_profile(profile), get_task(task))[0]


def splits(profile: Profile | str, task: Task | str) -> list[Split]:
    """Return the splits of a task: the same for every model, and in every run."""
    return load_task_splits(get_profile(profile), get_task(task), cohort(profile, task))


def lost(profile: Profile | str) -> pd.DataFrame:
    """Return what did not join in the drug screen: study, what (line or drug), raw, reason."""
    return drug_screen(get_profile(profile)).lost


def describe_lost(frame: pd.DataFrame) -> str:
    """Return, as Markdown, what did not join: one item a study and reason, with every name.

    Parameters
    ----------
    frame : DataFrame
        study, what, raw, reason, as `lost` returns it.
    """
    if frame.empty:
        return "Every cell line and every drug found its partner."
    items = []
    for (study, what, reason), part in frame.groupby(["study", "what", "reason"], sort=True):
        names = sorted(part["raw"].astype(str).unique(), key=str.casefold)
        count = f"{len(names)} {what}{'s' if len(names) > 1 else ''}"
        items.append(f"- **{study}**, {count}, {reason}: {', '.join(names)}.")
    return "\n".join(items)
