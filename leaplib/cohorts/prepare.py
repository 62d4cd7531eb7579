"""Screens, pools, cohorts and splits of a profile: prepared once, then loaded."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.base.layout import Layout, slug
from leaplib.base.store import (
    atomic_folder,
    code_version,
    is_done,
    key_of,
    load_frame,
    locked,
    provenance,
    save_frame,
    sha256,
)
from leaplib.cohorts.cohort import Cohort, hash_frame
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
from leaplib.cohorts.splits import INNER, Split, load_splits, make_splits, read_splits, save_splits
from leaplib.profiles import Profile, get_profile
from leaplib.sources import depmap, manifest
from leaplib.sources.screens import DrugScreen, GeneScreen
from leaplib.sources.studies import drug_files, read_drug_screen, takes_rna_seq
from leaplib.sources.xenografts import Xenografts, read_pdx
from leaplib.tasks import DATA, POCKET, TASKS, Task, get_task, on_pocket

PDX_FILE = "pdxe"
EXTERNAL, FLOW = "external.parquet", "flow.parquet"
STAGE = "leaplib.cohorts.prepare"
POCKET_HOLDOUTS = 10  # of so few lines that any holdout alone says little
# DepMap's release behind each screen of genes, and the simulated screen that stands in.
GENE_SCREENS = {
    "dependencies": ("23Q4", "dependencies"),
    "dependencies-22q4": ("22Q4", "earlier"),
    "effects-18q3": ("18Q3", "effects"),
}


_simulate = lru_cache(maxsize=2)(simulate)  # the tasks share it


def _simulation_of(profile: Profile) -> Simulation:
    return _simulate(profile.simulated_lines, profile.simulated_genes)


def drug_screen(profile: Profile) -> DrugScreen:
    """Return the drug screen of a profile: the studies at hand, or the simulated one where the profile asks for it.

    Raises
    ------
    InputError
        When an archive is missing or damaged: it can be had by one command, so nothing is simulated
        in its place.
    """
    return _simulation_of(profile).drugs if profile.simulated else _read(read_drug_screen, _checksums("real", "drugs"))


def gene_screen(profile: Profile, name: str = "dependencies") -> GeneScreen:
    """Return a screen of genes (a key of `GENE_SCREENS`): DepMap's where its files are there, else what stands in."""
    release, stand_in = GENE_SCREENS[name]
    kind = data_kind(profile, name)
    if kind == "real":
        return _read(depmap.read_gene_screen, _checksums(kind, name), release)
    if kind == POCKET:
        return _read(depmap.read_pocket, _checksums(kind, name))
    return getattr(_simulation_of(profile), stand_in)


def xenograft_screen(profile: Profile) -> tuple[DrugScreen, Xenografts]:
    """Return cell lines and xenografts: real where the PDX Encyclopedia's file is there, else both simulated.

    Xenografts can only be joined to cell lines of their own kind, so that simulated ones come with simulated lines.
    """
    if data_kind(profile, "xenografts") == "real":
        return drug_screen(profile), _read(read_pdx, _checksums("real", "xenografts"), manifest.path(PDX_FILE))
    return _simulation_of(profile).drugs, _simulation_of(profile).xenografts


@lru_cache(maxsize=3)
def _read(reader: Callable[..., Any], checksums: tuple[tuple[str, str], ...], *arguments: Any) -> Any:
    """Read a screen; `checksums` make the cache forget files that changed."""
    return reader(*arguments)


def screen_of(profile: Profile, name: str) -> DrugScreen | GeneScreen:
    """Return a screen of cell lines by its name, as in `Task.screen`."""
    if name == "xenografts":
        return xenograft_screen(profile)[0]
    return drug_screen(profile) if name == "drugs" else gene_screen(profile, name)


def needed(name: str) -> tuple[str, ...]:
    """Return the files, in the manifest, that make a screen (as `Task.screen`) real; the wheels aside."""
    if name in GENE_SCREENS:
        return depmap.files(GENE_SCREENS[name][0])
    return (PDX_FILE,) if name == "xenografts" else ()


def fetching(*names: str) -> str:
    """Return the command that fetches what these screens lack."""
    sources = [source for name in names for source in manifest.lacking(needed(name))]
    return f"`leap data fetch {' '.join(dict.fromkeys(source.group or source.name for source in sources))}`"


def data_kind(profile: Profile, name: str) -> str:
    """Return what a screen (as `Task.screen`) rests on: one of `leaplib.tasks.DATA`."""
    if profile.simulated:
        return "simulated"
    if not manifest.lacking(needed(name)):
        return "real"
    return POCKET if name == "dependencies" else "simulated"


def standing() -> str:
    """Say in one line which tasks are real now, and what the next files would add."""
    wheels = [source.name for source in manifest.lacking(depmap.POCKET_FILES)]
    if wheels:
        return f"No task can run: {', '.join(wheels)} missing. Next: `leap data fetch wheels`."
    kinds = {task.id: data_kind(get_profile("paper"), task.screen) for task in TASKS.values()}
    said = [f"{kind}: {', '.join(id for id in kinds if kinds[id] == kind)}" for kind in DATA if kind in kinds.values()]
    text = f"Tasks by their data: {'; '.join(said)}."
    gaps = {id: {source.name for source in manifest.lacking(needed(TASKS[id].screen))} for id in kinds}
    fewest = min(filter(None, gaps.values()), key=len, default=set())
    added = [id for id, files in gaps.items() if files and files <= fewest]
    if added:
        text += f" Next: {fetching(*(TASKS[id].screen for id in added))} makes {', '.join(added)} real."
    return text


def at_hand(profile: Profile, task: Task) -> Task:
    """Return a task as the data at hand have it: on the pocket its label, thresholds and pool are others.

    The pocket's autoencoders are those of the drugs, whose expression it shares unless that is RNA-seq.
    """
    on = data_kind(profile, task.screen) == POCKET
    return on_pocket(task, "pocket" if takes_rna_seq() else "drugs") if on else task


def _checksums(kind: str, name: str) -> tuple[tuple[str, str], ...]:
    """Return the files that a screen is read from, each with its checksum."""
    if kind == POCKET:
        files = list(depmap.POCKET_FILES)
    else:
        files = [*needed(name), *(["cy"] if name in GENE_SCREENS else drug_files())]
    return tuple((file, manifest.checksum(file)) for file in files)


def screen_key(profile: Profile, name: str) -> dict:
    """Return what identifies a screen's content: checksums of its files, or the simulation's size."""
    kind = data_kind(profile, name)
    if kind != "simulated":
        return {"files": dict(_checksums(kind, name))}
    return {"simulated": [profile.simulated_lines, profile.simulated_genes]}


@dataclass(frozen=True)
class Pool:
    """Expression that autoencoders are trained on: all samples of the sources of a task, labelled or not.

    Parameters
    ----------
    expression : DataFrame, samples x genes
    domain : Series
        Source of each sample; genes are chosen in each source and united.
    tissue : Series
        Tissue of each sample, missing where it is not known.
    n_genes : int
        Most variable genes to be kept of each source.
    data : one of `leaplib.tasks.DATA`
    """

    expression: pd.DataFrame
    domain: pd.Series
    tissue: pd.Series
    n_genes: int
    data: str


def pool_name(profile: Profile, task: Task) -> str:
    """Return the name of a task's pool: tasks with the same name share their representations."""
    how = "" if task.harmonise == "together" else f"-{task.harmonise.replace(' ', '-')}"
    simulated = data_kind(profile, task.screen) == "simulated"
    return f"{at_hand(profile, task).pool}{how}{'-simulated' if simulated else ''}"


def pool_key(profile: Profile, task: Task) -> dict:
    """Return what identifies the content of a task's pool: the expression alone, not the labels."""
    if data_kind(profile, task.screen) == "simulated":
        content = screen_key(profile, task.screen) | {"code": code_version(STAGE)}
    else:
        content = {"expression": prepared(profile, task)["pool"]}
    return {"pool": at_hand(profile, task).pool, "harmonise": task.harmonise} | content


def pool_of(profile: Profile, task: Task) -> Pool:
    """Return a task's pool: the expression of all lines of its screen, outliers aside, and of its xenografts."""
    screen = screen_of(profile, "drugs" if at_hand(profile, task).pool == "drugs" else task.screen)
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
    return Pool(expression, domain, tissue.reindex(expression.index), n_genes, screen.data)


def load_cohort(profile: Profile, task: Task) -> tuple[Cohort, pd.DataFrame]:
    """Return a task's cohort and the counts of its selection rules, prepared now or before.

    Returns
    -------
    Cohort
    DataFrame
        branch, step, tissues, samples, perturbations, pairs (see `leaplib.cohorts.selection`).
    """
    folder = _whole(profile, task)
    return _loaded(*stamp(profile, task)), load_frame(folder / FLOW)


@lru_cache(maxsize=3)
def _loaded(folder: str, *files: str) -> Cohort:
    """Read a cohort, kept in memory while its files stay: a notebook asks for the same several times."""
    return Cohort.load(folder)


def load_external(profile: Profile, task: Task) -> dict[str, pd.DataFrame]:
    """Return what each external study of a task measured, lines x drugs, by study, in the task's order."""
    return by_study(load_frame(_whole(profile, task) / EXTERNAL), task)


def by_study(records: pd.DataFrame, task: Task) -> dict[str, pd.DataFrame]:
    """Return measurements of external studies (study, line, drug, response) as `load_external` does."""
    wide = {study: part.pivot(index="line", columns="drug", values="response").rename_axis(index=None, columns=None)
            for study, part in records.groupby("study")}  # fmt: skip
    return {study: wide[study] for study in task.external if study in wide}


def _whole(profile: Profile, task: Task) -> Path:
    """Return the folder of a task's cohort, prepared now or before; anew where a file of it was damaged since."""
    folder, about = Layout(profile.name).cohort(task.id), prepared(profile, task)
    if not all(is_done(folder / f"{name}.parquet", about) for name in (*about["frames"], "external")):
        prepared(profile, task, force=True)
    return folder


def prepared(profile: Profile, task: Task, force: bool = False) -> dict[str, Any]:
    """Prepare a task's cohort unless that is done, and return what each of its files says of it.

    One process prepares, others wait for it.

    Returns
    -------
    dict
        As `Cohort.about`; also preparation (the key) and pool (hash of its expression).
    """
    folder = Layout(profile.name).cohort(task.id)
    own = replace(at_hand(profile, task), harmonise="together")
    key = key_of({"task": own, "screen": screen_key(profile, task.screen), "code": code_version(STAGE),
                  "max_perturbations": most_perturbations(profile, task)})  # fmt: skip
    with locked(folder):
        about = saved_about(profile.name, task.id)
        if force or about.get("preparation") != key:
            cohort, flow, external = prepare(profile, task)
            pool = pool_of(profile, replace(task, harmonise="together"))
            about = cohort.about | {"preparation": key, "pool": hash_frame(pool.expression)}
            with atomic_folder(folder) as new:
                cohort.save(new, about)
                save_frame(external, new / EXTERNAL, about)
                save_frame(flow, new / FLOW, about)
    return about


def saved_about(profile: str, task: str) -> dict[str, Any]:
    """Return what `prepared` did, of a cohort that is saved; empty where none is. Nothing is prepared."""
    recorded = provenance(Layout(profile).cohort(task) / FLOW)
    return recorded["configuration"] if recorded else {}


def saved_flow(profile: Profile, task: Task) -> tuple[pd.DataFrame, str]:
    """Return a task's counts and whether they are of real or simulated data, as they were saved: nothing is prepared.

    Raises
    ------
    InputError
        When the task's cohort was not prepared, or was damaged since.
    """
    folder, about = Layout(profile.name).cohort(task.id), saved_about(profile.name, task.id)
    if "preparation" not in about:
        raise InputError(f"task {task.id}: no cohort in {folder}: run notebook 01 to prepare the data")
    return load_frame(folder / FLOW), about["data"]


def stamp(profile: Profile, task: Task) -> tuple[str, ...]:
    """Return what changes when a task's prepared files do: where they lie, their sizes and times."""
    folder = Layout(profile.name).cohort(task.id)
    found = [str(folder)]
    for path in sorted(folder.glob("[!.]*")):
        with suppress(FileNotFoundError):  # another process prepares just now
            stat = path.stat()
            found.append(f"{path.name} {stat.st_ino} {stat.st_size} {stat.st_mtime_ns}")
    return tuple(found)


def prepare(profile: Profile, task: Task) -> tuple[Cohort, pd.DataFrame, pd.DataFrame]:
    """Prepare a task's cohort from its screen, without saving it.

    Returns
    -------
    Cohort
    DataFrame
        Counts after each rule.
    DataFrame
        Responses of external studies: study, line, drug, response; no rows where there is none.
    """
    external = pd.DataFrame(columns=["study", "line", "drug", "response"])
    if task.screen == "xenografts":
        cohort, flow = prepare_xenografts(*xenograft_screen(profile), task)
    elif task.screen == "drugs":
        cohort, flow = prepare_drugs(drug_screen(profile), task)
        external, _ = prepare_external(drug_screen(profile), task, cohort)
    else:
        cohort, flow = prepare_dependencies(gene_screen(profile, task.screen), at_hand(profile, task))
    cohort, flow = _draw(profile, task, cohort, flow, pd.Index(external["drug"].unique()))
    return cohort, flow, external[external["drug"].isin(cohort.response.columns)].reset_index(drop=True)


def most_perturbations(profile: Profile, task: Task) -> int | None:
    """Return how many perturbations of a task a profile keeps at most; None: all."""
    of_their_own = not profile.simulated and data_kind(profile, task.screen) == "simulated"
    return (profile.max_simulated if of_their_own else None) or profile.max_perturbations


def _draw(profile: Profile, task: Task, cohort: Cohort, flow: pd.DataFrame,
          external: pd.Index) -> tuple[Cohort, pd.DataFrame]:  # fmt: skip
    """Keep as many perturbations as the profile says, drawn at random.

    Up to a third of them are drawn among those of external studies, or there would be nothing to validate.
    """
    limit, columns = most_perturbations(profile, task), cohort.response.columns
    if limit is None or limit >= len(columns):
        return cohort, flow
    rng = np.random.default_rng(0)
    shared = rng.permutation(columns[columns.isin(external)])[: limit // 3]
    others = rng.permutation(columns[~columns.isin(shared)])[: limit - len(shared)]
    cohort = cohort.subset(perturbations=columns[columns.isin(shared) | columns.isin(others)])
    last = Flow(cohort.samples["tissue"])
    step = f"profile {profile.name}: {limit} drawn at random"
    step += f", {len(shared)} of them among those of external studies" if len(shared) else ""
    last.count("all", step, cohort.response)
    return cohort, pd.concat([flow, last.frame()], ignore_index=True)


def load_task_splits(profile: Profile, task: Task, cohort: Cohort) -> list[Split]:
    """Return a task's splits; made once and saved, so that every model and rerun sees the same."""
    folder, n_splits = Layout(profile.name).processed / "splits", profile.n_splits
    if cohort.data == POCKET:
        task, n_splits = at_hand(profile, task), max(n_splits, POCKET_HOLDOUTS)
    identity = {"task": task.id, "cohort": cohort.hash, "n": [n_splits, profile.n_test_sets],
                "code": code_version(STAGE)}  # fmt: skip
    path = folder / f"task_{task.id}-{key_of(identity)[:12]}.parquet"
    with locked(path):
        if not is_done(path, identity):  # absent, damaged since, or foreign: the seed makes the same again
            save_splits(make_splits(cohort, task, n_splits, profile.n_test_sets), path, identity)
        splits = load_splits(path)
    return splits[: profile.n_tissues] if task.design == "tissue" else splits


def own_path(profile: Profile, task: Task, name: str) -> Path:
    """Return where the splits of a user's file are kept, by the name of one of them."""
    return Layout(profile.name).processed / "splits" / f"task_{task.id}-{slug(name.partition(INNER)[0])}.parquet"


def own_splits(profile: Profile, task: Task, file: str | Path) -> list[Split]:
    """Return the splits of a user's file (`read_splits`), kept with its checksum for all processes of a run."""
    known = load_cohort(profile, task)[0]
    found = read_splits(file, known, task, profile.n_test_sets)
    identity = {"file": str(file), "sha256": sha256(Path(file)), "task": task.id, "cohort": known.hash}
    save_splits(found, own_path(profile, task, found[0].name), identity)
    return found


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
