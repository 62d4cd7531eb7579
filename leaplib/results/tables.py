"""The paper's tables beside ours, from saved results alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from leaplib.base.files import atomic_path
from leaplib.base.layout import Layout
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.selection import PDX
from leaplib.cohorts.splits import XENOGRAFTS
from leaplib.models.table import CONTROLS, names
from leaplib.results.external import REPRODUCIBILITY
from leaplib.results.published import published_scores, published_xenografts
from leaplib.results.scores import models_only, split_values
from leaplib.tasks import TASKS, Task

MISSING = "\N{EN DASH}"
ORDER = [REPRODUCIBILITY, *CONTROLS.values(), *names()]


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Return mean and SD over splits beside the published values (supplementary tables 2 and 3).

    Returns
    -------
    DataFrame
        task, model, level, metric, mean, sd, n_splits, data, published_mean, published_sd. SD is the sample
        SD over splits (NaN for a single one); the training mean's per-perturbation correlations are 0
        by definition.
    """
    values = models_only(split_values(scores)).groupby(["task", "model", "level", "metric", "data"], as_index=False)[
        "value"
    ]
    table = values.agg(mean="mean", sd="std", n_splits="count")
    published = published_scores().rename(columns={"mean": "published_mean", "sd": "published_sd"})
    table = table.merge(published, how="left", on=["task", "model", "level", "metric"])
    rank = {model: position for position, model in enumerate(ORDER)}
    table = table.sort_values(["task", "level", "metric", "model"], key=lambda column: column.map(rank).fillna(-1)
                              if column.name == "model" else column, kind="stable", ignore_index=True)  # fmt: skip
    columns = ["task", "model", "level", "metric", "mean", "sd", "n_splits", "data", "published_mean", "published_sd"]
    return table[columns]


def supplementary_table_2(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the summary of task 1b; beside real data with the paper's models that are not among ours (n_splits 0)."""
    table = summary(scores[scores["task"] == "1b"])
    if set(table["data"]) != {"real"}:
        return table
    published = published_scores().query("task == '1b'")
    published = published[~published["model"].isin(table["model"])]
    published = published.rename(columns={"mean": "published_mean", "sd": "published_sd"})
    return pd.concat([published.assign(n_splits=0, data="real"), table], ignore_index=True)[list(table.columns)]


def readable(table: pd.DataFrame, level: str = "per_perturbation") -> pd.DataFrame:
    """Return a summary as people read it: one row a model, "mean (SD)" a metric, the published value beside."""
    part = table[table["level"] == level]
    text = part.assign(
        ours=[mean_sd(mean, sd) for mean, sd in zip(part["mean"], part["sd"], strict=True)],
        paper=[mean_sd(mean, sd) for mean, sd in zip(part["published_mean"], part["published_sd"], strict=True)],
    )
    text["paper"] = text["paper"].where(text["data"] == "real", "")  # nothing to compare simulated data with
    wide = text.pivot(index=["task", "model"], columns="metric", values="ours")
    wide = wide.reindex(columns=["spearman", "pearson", "mse"]).fillna("").loc[:, lambda t: (t != "").any()]
    spearman = text[text["metric"] == "spearman"].set_index(["task", "model"])
    wide = wide.assign(paper=spearman["paper"], splits=spearman["n_splits"], data=spearman["data"])
    names = {"spearman": "Spearman", "pearson": "Pearson", "mse": "MSE", "paper": "Spearman in the paper"}
    return wide.loc[spearman.index].rename(columns=names).rename_axis(columns=None)


def by_split(scores: pd.DataFrame) -> pd.DataFrame:
    """Return per-perturbation Spearman correlations, splits (or tissues) x models."""
    part = models_only(split_values(scores, "per_perturbation", "spearman"))
    wide = part.pivot(index=["task", "split"], columns="model", values="value")
    return wide[[model for model in ORDER if model in wide]].rename_axis(columns=None)


def verdict(scores: pd.DataFrame, task: str) -> str:
    """Return, in a few sentences, how the models compare on a task, from these scores alone.

    What is missing is an en dash, and what is compared with it is left out.
    """
    part = scores[scores["task"] == task]
    wide = by_split(part).dropna(how="all") if len(part) else pd.DataFrame()
    if "LEAP" not in wide or wide["LEAP"].isna().all():
        return f"**Task {task}**: LEAP has no results (failed, or not run), and there is nothing to compare."
    mean = wide.mean()
    members = _member_means(part)
    splits = {"tissue": "unseen tissues", "xenograft": "overlapping subsets"}.get(TASKS[task].design, "holdouts")
    least, most = (MISSING, MISSING) if members.empty else (f"{members.min():.3f}", f"{members.max():.3f}")
    text = (
        f"**Task {task}** ({part['data'].iloc[0]} data, {len(wide)} {splits}). LEAP reaches a mean per-perturbation "
        f"Spearman correlation of {_value(mean, 'LEAP')}{_fewer(wide, 'LEAP')}. Its {len(members)} members alone reach "
        f"{least} to {most} (PS-LASSO in the tables: {_value(mean, 'PS-LASSO')}); LEAP is above PS-LASSO in "
        f"{_won(wide, 'PS-LASSO', splits)}, and PS-KNN reaches {_value(mean, 'PS-KNN')}. Of the controls, the tissue "
        f"mean reaches {_value(mean, 'Tissue mean')} and LEAP on shuffled labels "
        f"{_value(mean, 'LEAP (shuffled labels)')}."
    )
    return text + _others(wide, splits) + _reported(part, task)


def _member_means(scores: pd.DataFrame) -> pd.Series:
    """Return the mean over splits of each member of LEAP that has results."""
    singles = split_values(scores, "per_perturbation", "spearman").query("model == 'PS-LASSO'")
    return singles.groupby("member")["value"].mean().dropna()


def _others(wide: pd.DataFrame, splits: str) -> str:
    """Return a sentence on models that are neither LEAP's nor controls."""
    mean = wide.mean().dropna()
    others = [model for model in names() if model in mean and model not in ("LEAP", "PS-LASSO", "PS-KNN")]
    if not others:
        return ""
    best = str(mean[others].idxmax())
    return f" Other models: {_listed(mean, others)}; LEAP is above {best} in {_won(wide, best, splits)}."


def _reported(scores: pd.DataFrame, task: str) -> str:
    """Return a sentence on what the paper reports, beside real data."""
    published = published_scores().query("task == @task and metric == 'spearman' and level == 'per_perturbation'")
    paper = published.set_index("model")["mean"]
    if paper.empty or scores["data"].iloc[0] != "real":
        return ""
    return f" The paper reports: {_listed(paper, ['LEAP', *paper.index.difference(['LEAP'], sort=False)])}."


def _won(wide: pd.DataFrame, other: str, splits: str) -> str:
    """Return "2 of 3 holdouts": in how many of those that both have results on LEAP is above another model."""
    both = wide[["LEAP", other]].dropna() if other in wide else wide.head(0)
    return f"{int((both['LEAP'] > both[other]).sum()) if len(both) else 0} of {len(both)} {splits}"


def _value(values: pd.Series, name: str) -> str:
    """Return a number with three decimals, an en dash where there is none."""
    return MISSING if pd.isna(values.get(name)) else f"{values[name]:.3f}"


def _fewer(wide: pd.DataFrame, model: str) -> str:
    """Return " (on 2 of 3)" where a model has results on some splits alone."""
    n = wide[model].count()
    return "" if n == len(wide) else f" (on {n} of {len(wide)})"


def _listed(values: pd.Series, models: Sequence[str]) -> str:
    """Return "LEAP 0.350, PS-LASSO 0.339"."""
    return ", ".join(f"{model} {values[model]:.3f}" for model in models)


def mean_sd(mean: float, sd: float, digits: int = 4) -> str:
    """Return "0.3504 (0.0119)", or "369595 (338536)" of thousands; without an SD or a mean where there is none."""
    if pd.isna(mean):
        return ""
    digits = digits if abs(mean) < 1000 else 0
    return f"{mean:.{digits}f}" if pd.isna(sd) else f"{mean:.{digits}f} ({sd:.{digits}f})"


def supplementary_table_7(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the scores on xenografts drug by drug: mean and SD over the subsets, beside the paper's (task 5b).

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.results.scores.load_scores`; other tasks than 5a and 5b are left out.

    Returns
    -------
    DataFrame
        task, drug, model, level, metric, mean, sd, n_splits, data, published_mean, published_sd.
    """
    rows = scores[(scores["perturbation"] != "") & (scores["test_set"] >= 0) & (scores["split"] == XENOGRAFTS)]
    keys = ["task", "perturbation", "model", "level", "metric", "data"]
    values = models_only(rows).groupby(keys, sort=False)["value"].agg(mean="mean", sd="std", n_splits="count")
    table = pd.DataFrame(values).reset_index().rename(columns={"perturbation": "drug"})
    table = table.merge(published_xenografts(), how="left", on=["task", "model", "drug", "metric"])
    simulated = table["data"] != "real"
    table.loc[simulated, ["published_mean", "published_sd"]] = np.nan
    return table[["task", "drug", "model", "level", "metric", "mean", "sd", "n_splits", "data", "published_mean",
                  "published_sd"]]  # fmt: skip


COUNTS = ("samples", "perturbations", "pairs")


def table_1(cohorts: Mapping[str, Cohort]) -> pd.DataFrame:
    """Return table 1: the tasks, with the counts of this run beside the paper's, missing where it gives none."""
    rows = []
    for task_id, cohort in cohorts.items():
        task = TASKS[task_id]
        rows.append({
            "challenge": task.challenge, "task": task.id, "title": task.title, "label": task.label,
            "studies": _studies(cohort, task) if cohort.data == "real" else "simulated cohort",
            "samples": len(cohort.samples), "perturbations": cohort.response.shape[1], "pairs": cohort.n_pairs,
            **{f"paper_{what}": getattr(task, f"paper_{what}") or pd.NA for what in COUNTS}, "data": cohort.data,
        })  # fmt: skip
    return pd.DataFrame(rows).astype(dict.fromkeys([f"paper_{what}" for what in COUNTS], "Int64"))


def _studies(cohort: Cohort, task: Task) -> str:
    """Return the studies that a cohort's labels are of, in the task's order: those at hand that are not held out."""
    present = {study for names in cohort.samples["study"].unique() for study in names.split("/")}
    return ", ".join([study for study in (*task.studies, PDX) if study in present])


# Supplementary table 1 of the paper: samples, perturbations, pairs.
STUDIES = {
    "DepMap 23Q4": ("cell line", "gene dependency", 1019, 1539, 1_568_222),
    "DepMap 22Q4": ("cell line", "gene dependency", 893, 1223, 1_092_139),
    "DepMap 18Q3": ("cell line", "gene effect", 335, 469, 156_646),
    "GDSC v1": ("cell line", "AAC", 976, 343, 284_823),
    "GDSC v2": ("cell line", "AAC", 800, 176, 127_053),
    "CTRP": ("cell line", "AAC", 820, 544, 346_032),
    "CCLE": ("cell line", "AAC", 473, 24, 10_757),
    "PRISM": ("cell line", "AAC", 476, 254, 644_437),
    PDX: ("xenograft", "minus best change of tumour volume (%)", 140, 5, 227),
}


def supplementary_table_1(flows: Mapping[str, pd.DataFrame], data: Mapping[str, str]) -> pd.DataFrame:
    """Return supplementary table 1: each study after its own selection rules, beside the paper's counts.

    Parameters
    ----------
    flows : mapping of task id to DataFrame
        Counts after each rule, as `leaplib.cohorts.prepare.load_cohort` returns them.
    data : mapping of task id to {"real", "simulated"}
    """
    rows: dict[str, dict] = {}
    for task, flow in flows.items():
        for study, (model, label, samples, perturbations, pairs) in STUDIES.items():
            steps = flow[flow["branch"] == study]
            if steps.empty or study in rows:
                continue
            last = steps.iloc[-1]
            rows[study] = {
                "study": study, "disease_model": model, "label": label,
                "role": _role(study, task, flow), "last_rule": last["step"],
                "tissues": last["tissues"], "samples": last["samples"], "perturbations": last["perturbations"],
                "pairs": last["pairs"], "paper_samples": samples, "paper_perturbations": perturbations,
                "paper_pairs": pairs, "data": data[task],
            }  # fmt: skip
    return pd.DataFrame(list(rows.values()))


def _role(study: str, task: str, flow: pd.DataFrame) -> str:
    """Return what a study is for: xenografts are tested on, and the first external study that is there validates."""
    held_out = next((other for other in TASKS[task].external if (flow["branch"] == other).any()), None)
    return "test" if study == PDX else "external" if study == held_out else "training"


def data_preparation(flows: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the counts after each selection rule of every task: task, branch, step, tissues, samples, ...."""
    frames = [flow.assign(task=task) for task, flow in flows.items()]
    table = pd.concat(frames, ignore_index=True)
    return table[["task", *(column for column in table if column != "task")]]


def save_table(table: pd.DataFrame, profile: str, name: str) -> Path:
    """Write a table to `figures/<profile>/tables/<name>.csv`."""
    path = Layout(profile).tables / f"{name}.csv"
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)
    return path
