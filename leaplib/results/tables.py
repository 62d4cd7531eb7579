"""Tables from saved results: each a tidy frame by name, saved as CSV, and shown as people read it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from leaplib.base.errors import InputError
from leaplib.base.layout import Layout
from leaplib.base.store import atomic_path
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.selection import PDX
from leaplib.cohorts.splits import XENOGRAFTS
from leaplib.results import comparisons, printing
from leaplib.results.claims import claims
from leaplib.results.comparisons import SCORES, beside_paper, models_only, published, summary
from leaplib.results.load import Results
from leaplib.runs.recipes import REFERENCES, STEPS
from leaplib.tasks import POCKET_STUDIES, TASKS, Task

COUNTS = ["samples", "perturbations", "pairs"]
PAPER_COUNTS = [f"paper_{what}" for what in COUNTS]


def studies() -> pd.DataFrame:
    """Return supplementary table 1 of the paper: study, disease_model, label, samples, perturbations, pairs."""
    return pd.read_csv(Path(__file__).with_name("studies.csv"))


def table_1(cohorts: dict[str, Cohort]) -> pd.DataFrame:
    """Return the tasks, with the counts of this run beside the paper's, missing where it gives none."""
    rows = []
    for task, cohort in ((TASKS[name], cohort) for name, cohort in cohorts.items()):
        names = "simulated cohort" if cohort.data == "simulated" else _studies(cohort, task)
        ours = (len(cohort.samples), cohort.response.shape[1], cohort.n_pairs)
        theirs = [getattr(task, name) or pd.NA for name in PAPER_COUNTS]
        rows.append((task.challenge, task.id, task.title, cohort.label, names, *ours, *theirs, cohort.data))
    columns = ["challenge", "task", "title", "label", "studies", *COUNTS, *PAPER_COUNTS, "data"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(PAPER_COUNTS, "Int64"))


def _studies(cohort: Cohort, task: Task) -> str:
    """Return the studies that a cohort's labels are of, in the task's order: those at hand that are not held out."""
    present = {study for names in cohort.samples["study"].unique() for study in names.split("/")}
    return ", ".join([study for study in (*task.studies, *POCKET_STUDIES, PDX) if study in present])


def supplementary_table_1(flows: pd.DataFrame) -> pd.DataFrame:
    """Return each study after its own selection rules, beside the paper's counts, from `Results.flows`."""
    last = flows.drop_duplicates(["task", "branch"], keep="last")
    last = last.rename(columns={"branch": "study", "step": "last_rule"})
    theirs = studies().rename(columns=dict(zip(COUNTS, PAPER_COUNTS, strict=True)))
    tables = []
    for task, part in last.groupby("task", sort=False):
        table = theirs.merge(part, on="study")
        held_out = table["study"].isin(TASKS[str(task)].held_out(set(part["study"])))
        role = np.where(table["study"] == PDX, "test", np.where(held_out, "external", "training"))
        tables.append(table.assign(role=role))
    columns = ["study", "disease_model", "label", "role", "last_rule", "tissues", *COUNTS, *PAPER_COUNTS, "data"]
    table = pd.concat(tables).drop_duplicates("study", ignore_index=True)[columns]
    return table.astype(dict.fromkeys(PAPER_COUNTS, "Int64"))


def supplementary_table_2(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the summary of task 1b; beside real data with the paper's models that are not among ours (n_splits 0)."""
    table = summary(scores[scores["task"] == "1b"])
    if set(table["data"]) != {"real"}:
        return table
    theirs = published("suppl. 2").rename(columns={"mean": "published_mean", "sd": "published_sd"})
    theirs = theirs[~theirs["model"].isin(table["model"])].assign(n_splits=0, data="real").reindex(columns=SCORES)
    return pd.concat([theirs, table.astype({"n_splits": int})], ignore_index=True)


def supplementary_table_7(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the scores on xenografts drug by drug: mean and SD over the subsets, beside the paper's (task 5b)."""
    rows = scores[(scores["perturbation"] != "") & (scores["test_set"] >= 0) & (scores["split"] == XENOGRAFTS)]
    keys = ["task", "perturbation", "model", "level", "metric", "data"]
    values = models_only(rows).groupby(keys, sort=False)["value"].agg(mean="mean", sd="std", n_splits="count")
    table = beside_paper(values.reset_index(), published("suppl. 7"), ["task", "perturbation", "model", "metric"])
    return table[["task", "perturbation", *SCORES[1:]]].rename(columns={"perturbation": "drug"})


def _additional(results: Results) -> pd.DataFrame:
    order = {group: position for position, group in enumerate(REFERENCES)}
    scores = results.ablations[results.ablations["group"].isin(order)]
    scores = scores.sort_values("group", key=lambda groups: groups.map(order), kind="stable")
    return comparisons.ablation_table(scores, list(order))


def _variants(results: Results, group: str, named: str = "strategy") -> pd.DataFrame:
    return comparisons.ablation_table(results.ablations, [group], named)


def _choice(results: Results) -> pd.DataFrame:
    return comparisons.choice(results.inner, results.candidates).assign(data=results.inner["data"].iloc[0])


def external_candidates(results: Results) -> pd.DataFrame:
    """Return candidates against LEAP within the screen and against external studies, by each kind of score.

    Returns
    -------
    DataFrame
        task, study ("this screen", or an external one), score, candidate, mean, difference (to LEAP) with its
        interval, n_perturbations, n_splits, data.
    """
    within = results.candidates[results.candidates["task"].isin(results.external_candidates["task"])]
    scores = pd.concat([within.assign(study="this screen"), results.external_candidates], ignore_index=True)
    scores = scores[scores["metric"] != "mse"]
    columns = ["candidate", "mean", "difference", "low", "high", "n_perturbations", "n_splits", "data"]
    frames = []
    for (study, metric), part in scores.groupby(["study", "metric"], sort=False):
        table = comparisons.gains(part.assign(seconds=np.nan), metric=str(metric))
        frames.append(table.assign(study=str(study), score=printing.METRICS[str(metric)]))
    table = pd.concat(frames, ignore_index=True)[["task", "study", "score", *columns]]
    return table.sort_values(["task", "study", "score"], kind="stable")


TABLES: dict[str, tuple[str, Callable[[Results], pd.DataFrame]]] = {
    "table_1": ("cohorts", lambda results: table_1(results.cohorts)),
    "supplementary_table_1": ("flows", lambda results: supplementary_table_1(results.flows)),
    "supplementary_table_2": ("scores", lambda results: supplementary_table_2(results.scores)),
    "supplementary_table_3": ("scores", lambda results: summary(results.all_scores)),
    "supplementary_table_4": ("ablations", partial(_variants, group=STEPS, named="name")),
    "supplementary_table_5": ("ablations", partial(_variants, group="ensembles")),
    "supplementary_table_6": ("ablations", partial(_variants, group="tuning")),
    "supplementary_table_7": ("scores", lambda results: supplementary_table_7(results.scores)),
    "comparisons": ("scores", lambda results: results.comparisons),
    "claims": ("scores", claims),
    "data_preparation": ("flows", lambda results: results.flows.drop(columns="data")),
    "ablations_additional": ("ablations", _additional),
    "domain_shift": ("harmonised", lambda results: comparisons.domain_shift(results.harmonised)),
    "beyond_leap": ("candidates", lambda results: comparisons.gains_table(results.candidates, results.times)),
    "beyond_leap_external": ("external_candidates", external_candidates),
    "beyond_leap_choice": ("inner", _choice),
    "general_sensitivity": ("sensitivity", lambda results: results.sensitivity),
}
"""Each table's name, the part of the results that it rests on, and what makes it a tidy frame."""


def tidy(name: str, results: Results) -> pd.DataFrame:
    """Return a table of `TABLES` as a tidy frame; an InputError where it has no results, which says what makes them."""
    name = name.replace(" ", "_")
    if name not in TABLES:
        raise InputError(f"table {name!r} is unknown: use one of {', '.join(TABLES)}")
    part, make = TABLES[name]
    frame = make(results) if len(getattr(results, part)) else pd.DataFrame()
    if frame.empty:
        raise InputError(f"{name.replace('_', ' ')} has no results: {results.why(part)}")
    return frame


def table(name: str, results: Results, digits: int = printing.DIGITS, **kept: Any) -> Styler:
    """Save a table as CSV and return it as people read it.

    Parameters
    ----------
    name : str
        Such as "table 1" or "supplementary table 3", see `TABLES`.
    results : Results
    digits : int
        Decimals of scores.
    **kept
        Rows to show, by column: `task=["1a", "2a"]`, `level="normalised"`; the CSV holds all.
    """
    frame = tidy(name, results)
    save_table(frame, results.profile.name, name.replace(" ", "_"))
    for column, values in kept.items():
        if column not in frame:
            raise InputError(f"{name} has no column {column!r}: use one of {', '.join(map(str, frame))}")
        frame = frame[frame[column].isin([values] if isinstance(values, str) else list(values))]
    return printing.styled(name.replace(" ", "_"), frame, digits)


def save_tables(results: Results, digits: int = printing.DIGITS) -> list[Path]:
    """Write every table that has results as CSV and LaTeX, and all of them as one workbook."""
    frames = {}
    for name in TABLES:
        try:
            frames[name] = tidy(name, results)
        except InputError:
            continue  # `results.missing` says why
    if not frames:
        raise InputError("there is no table to write: run notebooks 01 to 06 first")
    profile = results.profile.name
    paths = [save_table(frame, profile, name) for name, frame in frames.items()]
    printed = {name: printing.styled(name, frame, digits) for name, frame in frames.items()}
    return [*paths, printing.save_workbook(printed, profile), *printing.save_latex(printed, profile)]


def save_table(table: pd.DataFrame, profile: str, name: str) -> Path:
    """Write a table to `figures/<profile>/tables/<name>.csv`."""
    path = Layout(profile).tables / f"{name}.csv"
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)
    return path
