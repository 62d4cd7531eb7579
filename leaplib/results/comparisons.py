"""Scores brought to one value a split, beside the paper's, and methods compared on the same perturbations and splits.

Methods are models, variants of an ablation, or candidates for LEAP+. Two questions, two tests. *Is one better on most
perturbations?* Wilcoxon's signed-rank test over perturbations. *Would it be better again on other samples?* A paired
t-test over splits and, for the size of the difference, the 95% interval of the same t. Random holdouts share most of
their training samples, so that their differences are no independent draws, and the variance is corrected for it
(`interval`); unseen tissues do not overlap, and take the plain t. A single split has no interval (NaN), and neither
have xenografts: their subsets are of one split.

References
----------
Conover (1999), Practical nonparametric statistics, third edition, section 5.8.
Demsar (2006), Statistical comparisons of classifiers over multiple data sets, JMLR 7.
Holm (1979), A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6(2).
Nadeau and Bengio (2003), Inference for the generalization error, Machine Learning 52(3).
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from leaplib.base.errors import InputError
from leaplib.cohorts.splits import INNER, XENOGRAFTS
from leaplib.models.table import CONTROLS, names
from leaplib.runs.experiment import MOST_MEMBERS
from leaplib.runs.recipes import CANDIDATES, NUMBER, REFERENCES, STEPS
from leaplib.tasks import HARMONISE, POCKET, TASKS, get_task

REFERENCE = "LEAP"
REPRODUCIBILITY = "Label reproducibility"
ORDER = [REPRODUCIBILITY, *CONTROLS.values(), *names()]
"""Of models in tables: the yardstick of external validation, controls, models."""
MEAN = ("per_perturbation", "spearman")
"""The level and metric that most is about: Spearman's correlation per perturbation."""
CRITERION = ("spearman", "pearson", "auroc")
"""What candidates are chosen by, written down before they were scored: the mean of what they gain in each."""
TEST_TO_TRAINING = {"holdout": 0.2 / 0.8, "tissue": 0.0, "xenograft": np.nan}
"""By the design of a task, how large a test set is by its training set; 0: they do not overlap, NaN: one split."""
REPRESENTATION_SPREAD = 0.002
"""What two sets of five DAMAEs may differ by in LEAP's mean Spearman correlation over the holdouts of task 2a.

Twice what was measured: three disjoint sets gave 0.3667, 0.3670 and 0.3677 (SD 0.0005;
`benchmarks/representation_spread.py`). No sentence, order or verdict rests on a smaller difference, which may turn with
the seeds or the processor.
"""
LEVEL = 0.95  # of intervals
BETTER, WORSE, APART = "better", "worse", "not told apart"
PAPER = ["published_mean", "published_sd"]
SCORES = ["task", "model", "level", "metric", "mean", "sd", "n_splits", "data", *PAPER]
WON = ["perturbations_won", "n_perturbations", "splits_won", "n_splits"]
COLUMNS = ["task", "study", "model", "difference", "low", "high", "p", "p_holm", "p_splits", *WON, "data"]
GAINS = ["task", "candidate", "mean", "gain", "difference", "low", "high", "p", "p_splits", *WON, "seconds", "data"]
RANKS = ["task", "model", "other", "rank", "other_rank", "p", "p_holm", "p_friedman", "n_perturbations", "n_splits",
         "data"]  # fmt: skip
TESTS = ["compared_with", "difference", "low", "high", "n_perturbations", "perturbations_won", "p_perturbations",
         "p_perturbations_holm", "splits_won", "p_splits", "p_splits_holm"]  # fmt: skip


# ---- one value a split, or a perturbation


def split_values(scores: pd.DataFrame, level: str | None = None, metric: str | None = None) -> pd.DataFrame:
    """Return one value a split: the mean over its test sets of the mean over perturbations.

    On xenografts there is one split, and each of its test sets counts as one: "subset 0" ....

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.runs.experiment.load_scores`, or of variants (`leaplib.runs.experiment.load_variants`).
    level, metric : str, optional
        Only these; all by default.

    Returns
    -------
    DataFrame
        task, study, group and variant (where scores say it), model, member, level, metric, split, data, value.
    """
    wanted = {"perturbation": "", "level": level, "metric": metric}
    asked = [scores[name] == value for name, value in wanted.items() if value is not None]
    rows = _subsets(scores[np.logical_and.reduce(asked)])
    return _mean_by(rows, ["level", "metric", "split", "data"])


def perturbation_values(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return one value a perturbation: the mean over splits, all test samples of each.

    Returns
    -------
    DataFrame
        task, study (where scores say it), model, member, perturbation, data, value.
    """
    rows = scores[(scores["perturbation"] != "") & (scores["test_set"] == -1) & (scores["metric"] == metric)]
    return _mean_by(rows, ["perturbation", "data"])


def _mean_by(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    of = [key for key in ("task", "study", "group", "variant", "model", "member") if key in rows]
    return rows.groupby([*of, *keys], sort=False)["value"].mean().reset_index()


def _subsets(rows: pd.DataFrame) -> pd.DataFrame:
    """Name each subset of the xenografts as a split."""
    numbered = "subset " + rows["test_set"].astype(str)
    return rows.assign(split=rows["split"].where(rows["split"] != XENOGRAFTS, numbered))


def models_only(values: pd.DataFrame) -> pd.DataFrame:
    """Leave out the members of LEAP but the first, which stands for PS-LASSO."""
    return values[values["member"] <= 0]


def by_split(scores: pd.DataFrame) -> pd.DataFrame:
    """Return per-perturbation Spearman correlations, splits (or tissues) x models."""
    wide = models_only(split_values(scores, *MEAN)).pivot(index=["task", "split"], columns="model", values="value")
    return wide[[model for model in ORDER if model in wide]].rename_axis(columns=None)


# ---- beside the paper's values


def published(table: str = "suppl.") -> pd.DataFrame:
    """Return means and SDs over splits that the paper reports (arXiv 2502.15646v1), as `published.csv` holds them.

    Parameters
    ----------
    table : {"suppl. 2", "suppl. 3", "suppl. 4", "suppl. 5", "suppl. 6", "suppl. 7"}
        The paper's; or the start of a name. M-KNN and S-LGBM of table 2 are PS-KNN and PP-LGBM. Some cells of table 3
        lie outside their row in the paper's text; each has one place where it fits. `number` counts the variants of a
        group from 1.
    """
    empty = {"number": "", "mean": "", "sd": ""}
    everything = pd.read_csv(Path(__file__).with_name("published.csv"), keep_default_na=False, na_values=empty)
    return everything[everything["table"].str.startswith(table)].reset_index(drop=True)


def published_scores() -> pd.DataFrame:
    """Return the published scores of models (tables 2 and 3): task, model, level, metric, mean, sd."""
    found = pd.concat([published("suppl. 2"), published("suppl. 3")], ignore_index=True)
    return found[["task", "model", "level", "metric", "mean", "sd"]]


def beside_paper(table: pd.DataFrame, theirs: pd.DataFrame, on: list[str],
                 other: pd.Series | None = None) -> pd.DataFrame:  # fmt: skip
    """Add the paper's mean and SD to rows with the same keys; none to `other` rows, by default those not on real data.

    Parameters
    ----------
    table, theirs : DataFrame
        Ours, and some of `published`.
    on : list of str
        The keys.
    other : Series of bool, optional
        Rows whose scores are no counterpart of the paper's, in the order of `table`.
    """
    theirs = theirs.rename(columns={"mean": PAPER[0], "sd": PAPER[1]})[[*on, *PAPER]]
    other = (table["data"] != "real") if other is None else other
    table = table.merge(theirs, how="left", on=on)
    table.loc[other.to_numpy(), PAPER] = np.nan
    return table


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Return mean and sample SD over splits beside the published values: `SCORES`, and the study where scores say it.

    The study is "" within the task's own screen; beside scores against external studies there is nothing published.
    The training mean's correlations per perturbation are 0 by definition.
    """
    values = models_only(split_values(scores))
    study = ["study"] if "study" in values else []
    groups = values.groupby([*study, "task", "model", "level", "metric", "data"])["value"]
    table = groups.agg(mean="mean", sd="std", n_splits="count").reset_index()
    other = table["data"] == POCKET  # of other lines, genes and units
    if scores["split"].str.contains(INNER).any():  # of other splits
        other = other | True
    other = other | (table["study"] != "") if study else other
    table = beside_paper(table, published_scores(), ["task", "model", "level", "metric"], other)
    rank = table["model"].map({model: rank for rank, model in enumerate(ORDER)}).fillna(-1)
    table = table.assign(rank=rank).sort_values(["task", *study, "level", "metric", "rank"], kind="stable")
    return table[["task", *study, *SCORES[1:]]].reset_index(drop=True)


def domain_shift(scores: pd.DataFrame) -> pd.DataFrame:
    """Return models under each way to bring cell lines and xenografts together: harmonise, model, data, mean, sd.

    Of the mean Spearman correlation over drugs, over subsets of the xenografts; the task "5a combat" is 5a with ComBat.
    """
    values = models_only(split_values(scores, *MEAN))
    ways = values["task"].str.partition(" ")[2].replace("", HARMONISE[0])
    kept = values.loc[ways != HARMONISE[0], "model"].unique()
    values = values.assign(harmonise=pd.Categorical(ways, HARMONISE, ordered=True))[values["model"].isin(kept)]
    groups = values.groupby(["harmonise", "model", "data"], sort=False, observed=True)["value"]
    table = groups.agg(mean="mean", sd="std").reset_index().sort_values("harmonise", kind="stable", ignore_index=True)
    return table.astype({"harmonise": str})


# ---- two methods


def paired_test(a: pd.DataFrame, b: pd.DataFrame, ratio: float = TEST_TO_TRAINING["holdout"]) -> dict[str, float]:
    """Compare the scores of method `a` with those of method `b`.

    Parameters
    ----------
    a, b : DataFrame, perturbations x splits
        Larger is better; matched by name. A pair of which either is missing is left out.
    ratio : float
        As in `interval`.

    Returns
    -------
    dict
        difference (mean over splits of the mean of a - b over perturbations) with low and high (its `interval`);
        n_perturbations, perturbations_won, p_perturbations (two-sided, without differences of 0); n_splits,
        splits_won, p_splits (two-sided). NaN where something is not defined; empty where they share no score.
    """
    a, b = a.align(b, join="inner")
    apart = a.astype(float) - b.astype(float)
    if np.isinf(apart.to_numpy()).any():
        raise InputError("scores to compare: a score is infinite")
    of_perturbations, of_splits = (apart.mean(axis=axis).dropna().to_numpy() for axis in (1, 0))
    if not len(of_splits):
        return {}
    changed = of_perturbations[of_perturbations != 0]
    low, high = interval(of_splits, ratio)
    error = _error(of_splits, ratio)
    t = abs(of_splits.mean()) / error if error else np.nan
    return {
        "difference": float(of_splits.mean()),
        "low": low,
        "high": high,
        "n_perturbations": len(of_perturbations),
        "perturbations_won": int((of_perturbations > 0).sum()),
        "p_perturbations": float(stats.wilcoxon(changed).pvalue) if len(changed) else np.nan,
        "n_splits": len(of_splits),
        "splits_won": int((of_splits > 0).sum()),
        "p_splits": float(2 * stats.t.sf(t, len(of_splits) - 1)),
    }


def interval(differences: np.ndarray, ratio: float = TEST_TO_TRAINING["holdout"]) -> tuple[float, float]:
    """Return the 95% interval of the mean difference over splits, corrected for overlap (Nadeau and Bengio 2003).

    The variance of the mean of n differences is taken as (1 / n + ratio) times that of the differences, with n - 1
    degrees of freedom. Measured on two equally good learners (least squares on halves of the features, 100 to 400
    samples, seven settings, 1,500 to 4,000 data sets each): it covers 0 in 91% to 95% with 10 holdouts and in 94% to
    95% with 3, where the plain t covers it in 67% to 74% and in 90% to 92%.

    Parameters
    ----------
    differences : array, one value a split
    ratio : float
        Size of a test set by that of its training set; 0 where test sets do not overlap, NaN where there is no
        interval (`TEST_TO_TRAINING`).

    Returns
    -------
    low, high : float
        NaN with a single split.
    """
    if ratio < 0:
        raise InputError(f"the size of a test set by that of its training set cannot be {ratio}")
    half = _error(differences, ratio) * stats.t.ppf((1 + LEVEL) / 2, len(differences) - 1)
    return float(differences.mean() - half), float(differences.mean() + half)


def _error(differences: np.ndarray, ratio: float) -> float:
    """Return the standard error of the mean over splits; 0 where they are equal but for rounding."""
    n = len(differences)
    if n < 2:
        return np.nan
    equal = np.ptp(differences) <= 1e-12 * np.abs(differences).max()
    return float(np.sqrt((1 / n + ratio) * differences.var(ddof=1) * (not equal)))


def ratio_of(task: str) -> float:
    """Return `TEST_TO_TRAINING` of a task, such as "5a combat"."""
    return TEST_TO_TRAINING[get_task(task.partition(" ")[0]).design]


def told(row: Mapping[Any, Any]) -> str:
    """Return what a difference with its interval tells: "better", "worse" or "not told apart".

    The interval excludes 0 and the difference is larger than `REPRESENTATION_SPREAD`; without an interval nothing is
    told.
    """
    if abs(row["difference"]) <= REPRESENTATION_SPREAD:
        return APART
    return BETTER if row["low"] > 0 else WORSE if row["high"] < 0 else APART


def holm(p: np.ndarray) -> np.ndarray:
    """Return p-values adjusted by Holm's procedure; NaN is no test, and stays."""
    adjusted = np.full(len(p), np.nan)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]  # NaN comes last
    adjusted[order] = np.minimum(np.maximum.accumulate(np.arange(len(order), 0, -1) * p[order]), 1.0)
    return adjusted


def _tests(scores: pd.DataFrame, by: str, metric: str, pairs: Iterable[tuple[str, str]], task: str) -> pd.DataFrame:
    """Test pairs of methods, named in the column `by`, where both have scores: name, and `TESTS` with n_splits.

    Scores are over all test samples of a split; a subset of the xenografts is a split.
    """
    rows = scores[scores["metric"] == metric]
    if "test_set" in rows:
        of = np.where(rows["split"] == XENOGRAFTS, rows["test_set"] >= 0, rows["test_set"] == -1)
        rows = _subsets(rows[(rows["perturbation"] != "") & of])
    wide = {name: part.pivot(index="perturbation", columns="split", values="value") for name, part in rows.groupby(by)}
    found = []
    for name, other in pairs:
        test = paired_test(wide[name], wide[other], ratio_of(task)) if {name, other} <= set(wide) else {}
        found += [{"name": name, "compared_with": other} | test] if test else []
    table = pd.DataFrame(found, columns=["name", *(name for name in TESTS if "_holm" not in name), "n_splits"])
    adjusted = {f"{p}_holm": holm(table[p].to_numpy(dtype=float)) for p in ("p_perturbations", "p_splits")}
    return table.assign(**adjusted)


# ---- models


def compare_models(scores: pd.DataFrame, reference: str = REFERENCE, metric: str = "spearman") -> pd.DataFrame:
    """Compare a model with each other one, on each task and against each study that scores name.

    Controls are left out, and what shares no score with the model.

    Returns
    -------
    DataFrame
        `COLUMNS`: difference (reference - model) with its interval; the signed-rank test's p, after Holm's correction
        within task and study in p_holm; the p over splits; how many perturbations and splits the reference wins, of
        those with both scores.
    """
    tables = [pd.DataFrame(columns=COLUMNS)]
    scores = scores if "study" in scores else scores.assign(study="")
    pairs = [(reference, name) for name in names() if name != reference]
    for (task, study), part in models_only(scores).groupby(["task", "study"], sort=False):
        table = _tests(part, "model", metric, pairs, str(task)).drop(columns="name")
        words = {"compared_with": "model", "p_perturbations": "p", "p_perturbations_holm": "p_holm"}
        table = table.rename(columns=words).assign(task=str(task), study=str(study), data=part["data"].iloc[0])
        tables += [table[COLUMNS]] if len(table) else []
    return pd.concat(tables[1:] or tables, ignore_index=True)


def curve_means(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of each model by the share of the training samples, with its 95% interval over splits.

    Scores are as `leaplib.runs.experiment.load_curves`; intervals are corrected as those of whole training sets, whose
    overlap is larger (`interval`).

    Returns
    -------
    DataFrame
        task, model, share, n_train (mean over splits), mean, low, high, n_splits, data.
    """
    keys, rows = ["task", "model", "share"], []
    for key, part in scores[scores["metric"] == MEAN[1]].groupby(keys, sort=False):
        values, task = part["value"].dropna().to_numpy(), str(part["task"].iloc[0])
        ratio = ratio_of(task) if task in TASKS else TEST_TO_TRAINING["holdout"]
        low, high = interval(values, ratio) if len(values) > 1 else (np.nan, np.nan)
        mean = float(values.mean()) if len(values) else np.nan
        rows.append((*key, part["n_train"].mean(), mean, low, high, len(values), part["data"].iloc[0]))
    return pd.DataFrame(rows, columns=[*keys, "n_train", "mean", "low", "high", "n_splits", "data"])


def ranks(scores: pd.DataFrame) -> pd.DataFrame:
    """Rank all models of each task on each perturbation: Friedman's test, and Conover's of each pair after it.

    A perturbation's score is its mean over the splits on which all models have one; controls are left out, and tasks
    with fewer than three models.

    Returns
    -------
    DataFrame
        `RANKS`, a row a pair, the better model first: mean ranks (1: best on all perturbations), p (two-sided, t with
        (perturbations - 1) x (models - 1) degrees of freedom), p_holm (within task), p_friedman.
    """
    tables = [pd.DataFrame(columns=RANKS)]
    rows = models_only(scores[scores["model"].isin(names()) & (scores["perturbation"] != "")])
    rows = rows[(rows["test_set"] == -1) & (rows["metric"] == MEAN[1])]
    for task, part in rows.groupby("task", sort=False):
        wide = part.pivot(index=["perturbation", "split"], columns="model", values="value")
        shared = wide.dropna(axis=1, how="all").dropna().reset_index("split")
        values = shared.drop(columns="split").groupby("perturbation").mean()
        (n, k), found = values.shape, values.rank(axis=1, ascending=False)
        if n < 2 or k < 3:
            continue
        sums = found.sum().sort_values()
        error = np.sqrt(2 * (n * np.square(found.to_numpy()).sum() - np.square(sums).sum()) / ((n - 1) * (k - 1)))
        pairs = [(a, b) for place, a in enumerate(sums.index) for b in sums.index[place + 1 :]]
        apart = np.array([sums[b] - sums[a] for a, b in pairs])
        t = np.divide(apart, error, out=np.where(apart > 0, np.inf, 0.0), where=error > 0)
        p = 2 * stats.t.sf(t, (n - 1) * (k - 1))
        about = {"task": task, "p_friedman": stats.friedmanchisquare(*values.to_numpy().T).pvalue, "n_perturbations": n,
                 "n_splits": shared["split"].nunique(), "data": part["data"].iloc[0]}  # fmt: skip
        table = pd.DataFrame(pairs, columns=["model", "other"]).assign(p=p, p_holm=holm(p), **about)
        places = sums / n
        table = table.assign(rank=table["model"].map(places), other_rank=table["other"].map(places))
        tables.append(table[RANKS])
    return pd.concat(tables[1:] or tables, ignore_index=True)


# ---- variants of an ablation


def compare_variants(scores: pd.DataFrame) -> pd.DataFrame:
    """Test each variant against the one before it in its group, or against the group's reference (`REFERENCES`).

    Returns
    -------
    DataFrame
        task, group, name, level, metric (Spearman's correlation per perturbation), `TESTS`; Holm within task and group.
    """
    tables = [pd.DataFrame(columns=["task", "group", "name", *TESTS])]
    for (task, group), part in scores[scores["note"] == ""].groupby(["task", "group"], sort=False):
        variants, reference = list(part["variant"].unique()), REFERENCES.get(str(group))
        pairs = [(name, reference or before) for before, name in zip(["", *variants], variants, strict=False)]
        pairs = [(name, other) for name, other in pairs if other and name != other]
        table = _tests(part, "variant", MEAN[1], pairs, str(task)).assign(task=str(task), group=str(group))
        tables += [table[list(tables[0])]] if len(table) else []
    table = pd.concat(tables[1:] or tables, ignore_index=True).assign(level=MEAN[0], metric=MEAN[1])
    return table[["task", "group", "name", "level", "metric", *TESTS]]


def variant_values(scores: pd.DataFrame) -> pd.DataFrame:
    """Return one value a variant and split, as `split_values`, of those that were run: task, group, name, ...."""
    return split_values(scores[scores["note"] == ""]).rename(columns={"variant": "name"})


def ablation_table(scores: pd.DataFrame, groups: Sequence[str], named: str = "name") -> pd.DataFrame:
    """Return means, published values (beside real data) and paired tests of groups of variants.

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.results.load.Results.ablations`.
    groups : sequence of str
    named : str
        What the names of variants are called.

    Returns
    -------
    DataFrame
        The columns of `SCORES` and, on rows of Spearman's correlation per perturbation, of the paired tests, which are
        over all test samples of a split where means are over its test sets; `note` says why a variant was not run.
    """
    scores = scores[scores["group"].isin(groups)]
    if scores.empty:
        raise InputError(f"no scores of {', '.join(groups) or 'any group'}: run these variants first")
    keys = ["task", "group", "name", "model", "level", "metric", "data"]
    rows = scores.rename(columns={"variant": "name"})
    means = variant_values(scores).groupby(keys, sort=False)["value"].agg(mean="mean", sd="std", n_splits="count")
    left_out = rows.loc[rows["note"] != "", [*keys, "note"]].assign(n_splits=0)
    table = pd.concat([means.reset_index(), left_out]).fillna({"note": ""})
    order = rows[["task", "group", "name"]].drop_duplicates(ignore_index=True)
    order = order.assign(number=order.groupby(["task", "group"]).cumcount() + 1, place=order.index)
    theirs = published().dropna(subset="number").astype({"number": int})
    table = table.merge(order, on=["task", "group", "name"])
    table = beside_paper(table, theirs, ["task", "group", "number", "level", "metric"])
    table = table.merge(compare_variants(scores), how="left", on=["task", "group", "name", "level", "metric"])
    first = ["group"] if len(groups) > 1 or groups[0] in REFERENCES else ["number"] if groups == [STEPS] else []
    table = table.sort_values("place", kind="stable", ignore_index=True)
    table = table[[*first, "name", *SCORES[:8], *PAPER, *TESTS, "note"]]
    return table.rename(columns={"number": "step", "name": named})


def steps_frame(scores: pd.DataFrame) -> pd.DataFrame:
    """Return what supplementary figure 4 draws: the steps by split, p-values over perturbations (Holm)."""
    table = ablation_table(scores, [STEPS]).query("level == 'per_perturbation' and metric == 'spearman'")
    table = table.rename(columns={"p_perturbations_holm": "p_value"})
    values = _drawn(scores[scores["group"] == STEPS])[["task", "name", "split", "value", "n_perturbations"]]
    return table[["task", "step", "name", "data", "p_value", *PAPER]].merge(values, on=["task", "name"])


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
    single = scores[(scores["perturbation"] != "") & (scores["metric"] == MEAN[1]) & scores["value"].notna()]
    keys = ["task", "group", "name", "split"]
    counts = single.rename(columns={"variant": "name"}).groupby(keys)["perturbation"].nunique()
    values = variant_values(scores).query("level == 'per_perturbation' and metric == 'spearman'")
    return values.merge(counts.rename("n_perturbations").reset_index(), how="left", on=keys)


# ---- candidates for LEAP+


def gains(scores: pd.DataFrame, metric: str = "spearman", reference: str = REFERENCE) -> pd.DataFrame:
    """Compare candidates with one of them, LEAP by default.

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.runs.experiment.run_candidates`, of one or several tasks.
    metric : {"spearman", "pearson", "auroc"}
    reference : str
        The candidate that others are compared with.

    Returns
    -------
    DataFrame
        `GAINS`: mean, gain (relative to the reference), difference with its interval, p of the signed-rank test and
        over splits, how many are won, seconds (a split); best first. NaN where either failed.
    """
    tables = []
    for task, part in scores.groupby("task", sort=False):
        rows = part[part["metric"] == metric]
        candidates = rows["candidate"].unique()
        if reference not in candidates:
            raise InputError(f"task {task}: no scores of {reference}: add it to the candidates")
        tests = _tests(rows, "candidate", metric, [(name, reference) for name in candidates], str(task))
        splits = rows.groupby(["candidate", "split"], sort=False)["value"].mean()
        means = splits.groupby("candidate", sort=False).mean()
        seconds = part.drop_duplicates(["candidate", "split"]).groupby("candidate")["seconds"].mean()
        table = tests.set_index("name").rename(columns={"p_perturbations": "p"}).reindex(candidates)
        table = table.assign(mean=means, seconds=seconds, task=task, data=part["data"].iloc[0])
        table = table.fillna(dict.fromkeys(WON, 0)).astype(dict.fromkeys(WON, int))
        table["gain"] = table["difference"] / means[reference] if means[reference] > 0 else np.nan
        table = table.rename_axis("candidate").reset_index().reindex(columns=GAINS)
        tables.append(table.sort_values("mean", ascending=False, kind="stable"))
    return pd.concat(tables, ignore_index=True)


def gains_table(scores: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    """Return the gains of candidates with what they cost.

    Parameters
    ----------
    scores, times : DataFrame
        As `leaplib.results.load.Results.candidates` and `.times`.

    Returns
    -------
    DataFrame
        As `gains`, with core_seconds (a split, fits of LEAP's members included, what makes the features not; NaN where
        the log does not know) in place of seconds.
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


def choice(inner: pd.DataFrame, test: pd.DataFrame | None = None) -> pd.DataFrame:
    """Rank candidates by what they gain on LEAP within the training sets (nested cross-validation), mean over tasks.

    Each tuning fold of a training set in turn was held out, and candidates were tuned, fitted and averaged on the
    others alone; what is best on the folds held out is the choice, and no test sample had a say in it.

    Parameters
    ----------
    inner : DataFrame
        As `leaplib.runs.experiment.run_candidates` within training sets.
    test : DataFrame, optional
        As there, on test sets. Only the splits count whose training sets `inner` is from: the test samples of
        others are among those chosen on.

    Returns
    -------
    DataFrame
        candidate, rank (1: chosen), inner_gain (over LEAP: the mean over tasks and the scores of `CRITERION`), and of
        each task inner_<task> and, where it was given, test_<task> (mean Spearman correlations); best first, those
        that failed (NaN) last.
    """
    own = inner["split"].str.partition(INNER)[0].unique()
    within = _means(inner)
    if REFERENCE not in within.index:
        raise InputError(f"no scores of {REFERENCE}: add it to the candidates")
    lacking = [name for name, part in inner.groupby("candidate") if part["task"].nunique() < inner["task"].nunique()]
    if lacking:
        raise InputError(f"candidate {lacking[0]!r} lacks scores of a task: choose on the same")
    table = within.add_prefix("inner_")
    if test is not None:
        same = test["split"].isin(own) & test["task"].isin(inner["task"])
        table = table.join(_means(test[same]).add_prefix("test_"))
    scored = [_means(inner, metric) for metric in CRITERION if (inner["metric"] == metric).any()]
    gained = [(values - values.loc[REFERENCE]).mean(axis=1, skipna=False) for values in scored]
    table.insert(0, "inner_gain", pd.concat(gained, axis=1).mean(axis=1, skipna=False))
    table = table.sort_values("inner_gain", ascending=False)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table.rename_axis(columns=None).reset_index()


def _means(scores: pd.DataFrame, metric: str = "spearman") -> pd.DataFrame:
    """Return the means of a score over perturbations, then splits: candidates x tasks; NaN if one failed."""
    values = scores[scores["metric"] == metric].groupby(["candidate", "task", "split"], sort=False)["value"].mean()
    return values.groupby(["candidate", "task"], sort=False).agg(lambda part: part.mean(skipna=False)).unstack("task")
