"""Tables from saved results: each a tidy frame by name, saved as CSV, and shown as people read it."""

from collections.abc import Callable, Sequence
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
from leaplib.results import printing
from leaplib.results.claims import claims
from leaplib.results.comparisons import TESTS, choice, compare_variants, gains
from leaplib.results.load import Results
from leaplib.results.printing import METRICS, ORDER
from leaplib.results.published import RENAMED, published, published_scores
from leaplib.results.scores import models_only, split_values, variant_values
from leaplib.runs.experiment import MOST_MEMBERS
from leaplib.runs.recipes import CANDIDATES, NUMBER, REFERENCES, STEPS
from leaplib.tasks import HARMONISE, POCKET, POCKET_STUDIES, TASKS, Task

PAPER = ["published_mean", "published_sd"]
SCORES = ["task", "model", "level", "metric", "mean", "sd", "n_splits", "data", *PAPER]
COUNTS = ("samples", "perturbations", "pairs")
STUDIES = {
    "DepMap 23Q4": ("cell line", "gene dependency", 1019, 1539, 1_568_222),
    "DepMap 22Q4": ("cell line", "gene dependency", 893, 1223, 1_092_139),
    **dict.fromkeys(POCKET_STUDIES, ("cell line", "minus gene effect", pd.NA, pd.NA, pd.NA)),
    "DepMap 18Q3": ("cell line", "gene effect", 335, 469, 156_646),
    "GDSC v1": ("cell line", "AAC", 976, 343, 284_823),
    "GDSC v2": ("cell line", "AAC", 800, 176, 127_053),
    "CTRP": ("cell line", "AAC", 820, 544, 346_032),
    "CCLE": ("cell line", "AAC", 473, 24, 10_757),
    "PRISM": ("cell line", "AAC", 476, 254, 644_437),
    PDX: ("xenograft", "minus best change of tumour volume (%)", 140, 5, 227),
}
"""Supplementary table 1 of the paper: disease model, label, samples, perturbations, pairs."""


def table_1(cohorts: dict[str, Cohort]) -> pd.DataFrame:
    """Return the tasks, with the counts of this run beside the paper's, missing where it gives none."""
    rows = []
    for task, cohort in ((TASKS[name], cohort) for name, cohort in cohorts.items()):
        about = {name: getattr(task, name) for name in ("challenge", "id", "title")} | {"label": cohort.label}
        studies = "simulated cohort" if cohort.data == "simulated" else _studies(cohort, task)
        ours = (len(cohort.samples), cohort.response.shape[1], cohort.n_pairs)
        theirs = {f"paper_{what}": getattr(task, f"paper_{what}") or pd.NA for what in COUNTS}
        rows.append(
            about | {"studies": studies} | dict(zip(COUNTS, ours, strict=True)) | theirs | {"data": cohort.data}
        )
    table = pd.DataFrame(rows).astype(dict.fromkeys([f"paper_{what}" for what in COUNTS], "Int64"))
    return table.rename(columns={"id": "task"})


def _studies(cohort: Cohort, task: Task) -> str:
    """Return the studies that a cohort's labels are of, in the task's order: those at hand that are not held out."""
    present = {study for names in cohort.samples["study"].unique() for study in names.split("/")}
    return ", ".join([study for study in (*task.studies, *POCKET_STUDIES, PDX) if study in present])


def supplementary_table_1(flows: pd.DataFrame) -> pd.DataFrame:
    """Return each study after its own selection rules, beside the paper's counts, from `Results.flows`."""
    last = flows.drop_duplicates(["task", "branch"], keep="last").set_index("branch")
    rows = []
    for task, part in last.groupby("task", sort=False):
        held_out = TASKS[str(task)].held_out(part.index)
        for study, (model, label, *counts) in STUDIES.items():
            if study not in part.index:
                continue
            row = part.loc[study]
            role = "test" if study == PDX else "external" if study in held_out else "training"
            rows.append({"study": study, "disease_model": model, "label": label, "role": role, "last_rule": row["step"]}
                        | row[["tissues", *COUNTS]].to_dict()
                        | {f"paper_{what}": count for what, count in zip(COUNTS, counts, strict=True)}
                        | {"data": row["data"]})  # fmt: skip
    return pd.DataFrame(rows).drop_duplicates("study", ignore_index=True)


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Return mean and sample SD over splits beside the published values: `SCORES`, and the study where scores say it.

    The study is "" within the task's own screen; beside scores against external studies there is nothing published.
    The training mean's correlations per perturbation are 0 by definition.
    """
    values = models_only(split_values(scores))
    study = ["study"] if "study" in values else []
    groups = values.groupby([*study, "task", "model", "level", "metric", "data"], as_index=False)["value"]
    table = groups.agg(mean="mean", sd="std", n_splits="count")
    keys = ["task", "model", "level", "metric"]
    table = table.merge(published_scores().rename(columns=RENAMED), how="left", on=keys)
    if study:
        table.loc[table["study"] != "", PAPER] = np.nan
    table.loc[table["data"] == POCKET, PAPER] = np.nan  # of other lines, genes and units
    rank = table["model"].map(dict(zip(ORDER, range(len(ORDER)), strict=True))).fillna(-1)
    order = table.assign(rank=rank).sort_values(["task", *study, "level", "metric", "rank"], kind="stable").index
    return table.loc[order, ["task", *study, *SCORES[1:]]].reset_index(drop=True)


def supplementary_table_2(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the summary of task 1b; beside real data with the paper's models that are not among ours (n_splits 0)."""
    table = summary(scores[scores["task"] == "1b"])
    if set(table["data"]) != {"real"}:
        return table
    theirs = published("suppl. 2").rename(columns=RENAMED).assign(n_splits=0, data="real")
    theirs = theirs[~theirs["model"].isin(table["model"])].reindex(columns=SCORES)
    return pd.concat([theirs, table.astype({"n_splits": int})], ignore_index=True)


def supplementary_table_7(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the scores on xenografts drug by drug: mean and SD over the subsets, beside the paper's (task 5b)."""
    rows = scores[(scores["perturbation"] != "") & (scores["test_set"] >= 0) & (scores["split"] == XENOGRAFTS)]
    keys = ["task", "perturbation", "model", "level", "metric", "data"]
    values = models_only(rows).groupby(keys, sort=False)["value"].agg(mean="mean", sd="std", n_splits="count")
    theirs = published("suppl. 7").rename(columns=RENAMED)[["task", "perturbation", "model", "metric", *PAPER]]
    table = values.reset_index().merge(theirs, how="left", on=["task", "perturbation", "model", "metric"])
    table.loc[table["data"] != "real", PAPER] = np.nan
    return table[["task", "perturbation", *SCORES[1:]]].rename(columns={"perturbation": "drug"})


def by_split(scores: pd.DataFrame) -> pd.DataFrame:
    """Return per-perturbation Spearman correlations, splits (or tissues) x models."""
    part = models_only(split_values(scores, "per_perturbation", "spearman"))
    wide = part.pivot(index=["task", "split"], columns="model", values="value")
    return wide[[model for model in ORDER if model in wide]].rename_axis(columns=None)


def ablation_table(scores: pd.DataFrame, groups: Sequence[str], named: str = "name") -> pd.DataFrame:
    """Return means, published values (beside real data) and paired tests of groups of variants.

    Parameters
    ----------
    scores : DataFrame
        As `Results.ablations`.
    groups : sequence of str
    named : str
        What the names of variants are called.

    Returns
    -------
    DataFrame
        The columns of `SCORES` and, on rows of Spearman's correlation per perturbation, of the paired tests, which are
        over all test samples of a split where means are over its test sets; `note` says why a variant was not run.
    """
    rows = scores[scores["group"].isin(groups)].rename(columns={"variant": "name"})
    if rows.empty:
        raise InputError(f"no scores of {', '.join(groups) or 'any group'}: run these variants first")
    keys = ["task", "group", "name", "model", "level", "metric", "data"]
    means = variant_values(rows).groupby(keys, sort=False)["value"].agg(mean="mean", sd="std", n_splits="count")
    left_out = rows.loc[rows["note"] != "", [*keys, "note"]].assign(n_splits=0)
    table = pd.concat([means.reset_index(), left_out]).fillna({"note": ""})
    order = rows.drop_duplicates(["task", "group", "name"])[["task", "group", "name"]].reset_index(drop=True)
    order = order.assign(number=order.groupby(["task", "group"]).cumcount() + 1, place=order.index)
    on = ["task", "group", "number", "level", "metric"]
    theirs = published("suppl.").rename(columns=RENAMED).dropna(subset="number").astype({"number": int})[[*on, *PAPER]]
    table = table.merge(order, on=["task", "group", "name"]).merge(theirs, how="left", on=on)
    table.loc[table["data"] != "real", PAPER] = np.nan
    tests = compare_variants(scores[scores["group"].isin(groups)])
    table = table.merge(tests, how="left", on=["task", "group", "name", "level", "metric"])
    first = ["group"] if len(groups) > 1 or groups[0] in REFERENCES else ["number"] if groups == [STEPS] else []
    table = table.sort_values("place", kind="stable", ignore_index=True)
    table = table[[*first, "name", *SCORES[:8], *PAPER, *TESTS, "note"]]
    return table.rename(columns={"number": "step", "name": named})


def steps_frame(scores: pd.DataFrame) -> pd.DataFrame:
    """Return what supplementary figure 4 draws: the steps by split, p-values over perturbations (Holm)."""
    table = ablation_table(scores, [STEPS]).query("level == 'per_perturbation' and metric == 'spearman'")
    table = table.rename(columns={"p_perturbations_holm": "p_value"})
    table = table[["task", "step", "name", "data", "p_value", *PAPER]]
    values = _drawn(scores[scores["group"] == STEPS])[["task", "name", "split", "value", "n_perturbations"]]
    return table.merge(values, on=["task", "name"])


def bars_frame(scores: pd.DataFrame) -> pd.DataFrame:
    """Return what the figure of the additional comparisons draws: those with something to be compared with."""
    values = _drawn(scores[scores["group"].isin(REFERENCES) & (scores["group"] != NUMBER)])
    values = values.assign(group=values["group"] + " (task " + values["task"] + ")")
    values = values[values.groupby("group")["name"].transform("nunique") > 1]
    return values[["task", "group", "name", "split", "value", "n_perturbations", "data"]].reset_index(drop=True)


def number_frame(scores: pd.DataFrame) -> pd.DataFrame:
    """Return what the figure of LEAP by its number of representations draws."""
    values = _drawn(scores[scores["group"] == NUMBER])
    values = values.assign(number=values["name"].astype(int))
    return values[["task", "number", "split", "value", "n_perturbations", "data"]].reset_index(drop=True)


def _drawn(scores: pd.DataFrame) -> pd.DataFrame:
    """Return Spearman's correlation of each variant and split, and of how many perturbations it is the mean."""
    single = scores[(scores["perturbation"] != "") & (scores["metric"] == "spearman") & scores["value"].notna()]
    single = single.rename(columns={"variant": "name"})
    keys = ["task", "group", "name", "split"]
    counts = single.groupby(keys)["perturbation"].nunique().rename("n_perturbations").reset_index()
    values = variant_values(scores).query("level == 'per_perturbation' and metric == 'spearman'")
    return values.merge(counts, how="left", on=keys)


def gains_table(scores: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    """Return the gains of candidates with what they cost.

    Parameters
    ----------
    scores, times : DataFrame
        As `Results.candidates` and `Results.times`.

    Returns
    -------
    DataFrame
        As `leaplib.results.comparisons.gains`, with core_seconds (a split, fits of LEAP's members included, what makes
        the features not; NaN where the log does not know) in place of seconds.
    """
    table = gains(scores)
    seconds = [_core_seconds(row["candidate"], row["task"], row["seconds"], times) for row in table.to_dict("records")]
    return table.assign(seconds=seconds).rename(columns={"seconds": "core_seconds"})


def _core_seconds(name: str, task: str, seconds: float, times: pd.DataFrame) -> float:
    """Return what a candidate takes on a split: what the log tells of the runs' own models, else what was measured."""
    candidate = CANDIDATES[name]
    if not candidate.mean_of:
        return seconds
    members = {part.label for model in candidate.mean_of for part in model.parts(MOST_MEMBERS)}
    wanted = times["model"].isin({*members, *(model.label for model in candidate.mean_of)})
    fits = times[wanted & times["task"].eq(task)]
    return float(fits.groupby("split")["core_seconds"].sum().mean()) if len(fits) else np.nan


def domain_shift(scores: pd.DataFrame) -> pd.DataFrame:
    """Return models under each way to bring cell lines and xenografts together: harmonise, model, data, mean, sd.

    Of the mean Spearman correlation over drugs, over subsets of the xenografts; the task "5a combat" is 5a with ComBat.
    """
    values = models_only(split_values(scores, "per_perturbation", "spearman"))
    ways = values["task"].str.partition(" ")[2].replace("", HARMONISE[0])
    kept = values.loc[ways != HARMONISE[0], "model"].unique()
    values = values.assign(harmonise=pd.Categorical(ways, HARMONISE, ordered=True))[values["model"].isin(kept)]
    groups = values.groupby(["harmonise", "model", "data"], sort=False, observed=True)["value"]
    table = groups.agg(mean="mean", sd="std").reset_index().sort_values("harmonise", kind="stable", ignore_index=True)
    return table.astype({"harmonise": str})


def _data_preparation(results: Results) -> pd.DataFrame:
    return results.flows.drop(columns="data")


def _additional(results: Results) -> pd.DataFrame:
    order = {group: position for position, group in enumerate(REFERENCES)}
    scores = results.ablations[results.ablations["group"].isin(order)]
    scores = scores.sort_values("group", key=lambda groups: groups.map(order), kind="stable")
    return ablation_table(scores, list(order))


def _variants(group: str, named: str = "name") -> Callable[[Results], pd.DataFrame]:
    return lambda results: ablation_table(results.ablations, [group], named)


def _choice(results: Results) -> pd.DataFrame:
    return choice(results.inner, results.candidates).assign(data=results.inner["data"].iloc[0])


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
    columns = ["task", "candidate", "mean", "difference", "low", "high", "n_perturbations", "n_splits", "data"]
    frames = []
    for (study, metric), part in scores.groupby(["study", "metric"], sort=False):
        if metric != "mse":
            table = gains(part.assign(seconds=np.nan), metric=str(metric))[columns]
            frames.append(table.assign(study=str(study), score=METRICS[str(metric)]))
    table = pd.concat(frames, ignore_index=True)
    return table[["task", "study", "score", *columns[1:]]].sort_values(["task", "study", "score"], kind="stable")


TABLES: dict[str, tuple[str, Callable[[Results], pd.DataFrame]]] = {
    "table_1": ("cohorts", lambda results: table_1(results.cohorts)),
    "supplementary_table_1": ("flows", lambda results: supplementary_table_1(results.flows)),
    "supplementary_table_2": ("scores", lambda results: supplementary_table_2(results.scores)),
    "supplementary_table_3": ("scores", lambda results: summary(results.all_scores)),
    "supplementary_table_4": ("ablations", _variants(STEPS)),
    "supplementary_table_5": (
        "ablations",
        _variants("ensembles", "strategy"),
    ),
    "supplementary_table_6": ("ablations", _variants("tuning", "strategy")),
    "supplementary_table_7": ("scores", lambda results: supplementary_table_7(results.scores)),
    "comparisons": ("scores", lambda results: results.comparisons),
    "claims": ("scores", claims),
    "data_preparation": ("flows", _data_preparation),
    "ablations_additional": ("ablations", _additional),
    "domain_shift": ("harmonised", lambda results: domain_shift(results.harmonised)),
    "beyond_leap": ("candidates", lambda results: gains_table(results.candidates, results.times)),
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
        Rows to show, by column: `task=["1a", "2a"]`, `level="overall"`; the CSV holds all.
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
