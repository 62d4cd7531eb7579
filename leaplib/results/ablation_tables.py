"""Tables of the ablations from their scores: means, the paired tests behind each comparison, and what they support."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.results.published import published_ablations
from leaplib.results.statistics import TEST_SHARE, holm, paired_test
from leaplib.results.tables import mean_sd
from leaplib.runs.variants import NUMBER, REFERENCES, STEPS
from leaplib.tasks import get_task

LEVEL = 0.05  # of significance, after Holm's correction within a group
FEW = 5  # splits, below which a test over them says little
KEYS = ["task", "group", "name", "level", "metric"]
TESTS = ["compared_with", "difference", "n_perturbations", "perturbations_won", "p_perturbations",
         "p_perturbations_holm", "splits_won", "p_splits", "p_splits_holm"]  # fmt: skip
COLUMNS = ["task", "model", "level", "metric", "mean", "sd", "n_splits", "data", "published_mean", "published_sd",
           *TESTS, "note"]  # fmt: skip


def supplementary_table_4(scores: pd.DataFrame) -> pd.DataFrame:
    """Return supplementary table 4: the nine steps, each compared with the one before it that was run.

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.runs.experiment.run_variants`.

    Returns
    -------
    DataFrame
        step, name, then `COLUMNS`: mean and sample SD over splits (published ones only beside real data); the
        columns of the paired test (`statistics.paired_test`; Holm within the task) on rows of Spearman's
        correlation per perturbation alone, and compare over all test samples of a split, where means are those
        over its test sets; `note` says why a step was not run.
    """
    table = _table(scores, [STEPS])
    return table.rename(columns={"number": "step"})[["step", "name", *COLUMNS]]


def supplementary_table_5(scores: pd.DataFrame) -> pd.DataFrame:
    """Return supplementary table 5, regressors on one representation against LEAP: strategy, then as table 4."""
    return _table(scores, ["ensembles"]).rename(columns={"name": "strategy"})[["strategy", *COLUMNS]]


def supplementary_table_6(scores: pd.DataFrame) -> pd.DataFrame:
    """Return supplementary table 6, LEAP tuned on other folds: strategy, then as table 4."""
    return _table(scores, ["tuning"]).rename(columns={"name": "strategy"})[["strategy", *COLUMNS]]


def additional_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the comparisons that the paper lacks: group, name, then as table 4; each with its group's reference."""
    return _table(scores, [group for group in REFERENCES if group in set(scores["group"])])[["group", "name", *COLUMNS]]


def split_means(scores: pd.DataFrame) -> pd.DataFrame:
    """Return one value a split: the mean over its test sets.

    Returns
    -------
    DataFrame
        task, group, name, model, level, metric, data, split, value; variants in their order.
    """
    rows = scores[(scores["perturbation"] == "") & (scores["note"] == "")].rename(columns={"variant": "name"})
    keys = ["task", "group", "name", "model", "level", "metric", "data", "split"]
    return rows.groupby(keys, sort=False)["value"].mean().reset_index()


def _table(scores: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    """Return means, published values and paired tests of some groups, one row a variant, level and metric."""
    rows = scores[scores["group"].isin(groups)]
    if rows.empty:
        raise InputError(f"no scores of {', '.join(groups) or 'any group'}: run these variants first")
    keys = ["task", "group", "name", "model", "level", "metric", "data"]
    means = split_means(rows).groupby(keys, sort=False)["value"].agg(mean="mean", sd="std", n_splits="count")
    left_out = rows[rows["note"] != ""].rename(columns={"variant": "name"})[[*keys, "note"]]
    table = pd.concat([means.reset_index(), left_out.assign(n_splits=0)]).fillna({"note": ""})
    order = rows.drop_duplicates(["task", "group", "variant"])[["task", "group", "variant"]]
    order = order.assign(number=order.groupby(["task", "group"], sort=False).cumcount() + 1)
    order = order.rename(columns={"variant": "name"}).assign(place=np.arange(len(order)))
    table = table.merge(order, on=["task", "group", "name"]).merge(_published(), how="left", on=[
        "group", "task", "number", "level", "metric"])  # fmt: skip
    table.loc[table["data"] != "real", ["published_mean", "published_sd"]] = np.nan
    table = table.merge(compare(rows), how="left", on=KEYS)
    return table.sort_values("place", kind="stable", ignore_index=True)


def _published() -> pd.DataFrame:
    return published_ablations().rename(columns={"mean": "published_mean", "sd": "published_sd"})


def compare(scores: pd.DataFrame) -> pd.DataFrame:
    """Test each variant against the one before it in its group, or against the group's reference (`REFERENCES`).

    Returns
    -------
    DataFrame
        `KEYS` (of Spearman's correlation per perturbation), then `TESTS`; Holm within task and group.
    """
    found = []
    run = scores[scores["note"] == ""]
    for task, group in dict.fromkeys(zip(run["task"], run["group"], strict=True)):
        part = run[(run["task"] == task) & (run["group"] == group)]
        share = TEST_SHARE if get_task(task).design == "holdout" else None
        frames = {name: _by_perturbation(part[part["variant"] == name]) for name in dict.fromkeys(part["variant"])}
        tests = [{"name": name, "compared_with": other, **paired_test(*both, share)}
                 for name, other in _pairs(list(frames), REFERENCES.get(group))
                 if (both := _shared(frames[name], frames[other]))]  # fmt: skip
        if tests:
            found.append(_corrected(pd.DataFrame(tests)).assign(task=task, group=group))
    empty = pd.DataFrame(columns=["task", "group", "name", *TESTS])
    table = pd.concat(found, ignore_index=True) if found else empty
    return table.assign(level="per_perturbation", metric="spearman")[[*KEYS, *TESTS]]


def _pairs(names: list[str], reference: str | None) -> Iterable[tuple[str, str]]:
    """Return which variant is compared with which."""
    if reference is None:
        return zip(names[1:], names, strict=False)
    return [(name, reference) for name in names if name != reference and reference in names]


def _by_perturbation(scores: pd.DataFrame) -> pd.DataFrame:
    """Return Spearman's correlation over all test samples, perturbations x splits."""
    rows = scores[(scores["perturbation"] != "") & (scores["test_set"] == -1) & (scores["metric"] == "spearman")]
    return rows.pivot(index="perturbation", columns="split", values="value")


def _shared(a: pd.DataFrame, b: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return two variants' scores on the splits that both have, or None where they share no score."""
    a, b = a.align(b, join="inner")
    return None if (a - b).isna().all(axis=None) else (a, b)


def _corrected(tests: pd.DataFrame) -> pd.DataFrame:
    """Add p-values after Holm's correction."""
    return tests.assign(**{f"{p}_holm": holm(tests[p].to_numpy()) for p in ("p_perturbations", "p_splits")})


def steps_frame(scores: pd.DataFrame) -> pd.DataFrame:
    """Return what `leaplib.figures.figures.supplementary_figure_4` draws: p-values over perturbations (Holm)."""
    table = supplementary_table_4(scores).query("level == 'per_perturbation' and metric == 'spearman'")
    table = table.rename(columns={"p_perturbations_holm": "p_value"})
    table = table[["task", "step", "name", "data", "p_value", "published_mean", "published_sd"]]
    values = _drawn(scores[scores["group"] == STEPS])[["task", "name", "split", "value", "n_perturbations"]]
    return table.merge(values, on=["task", "name"])


def bars_frame(scores: pd.DataFrame) -> pd.DataFrame:
    """Return what `leaplib.figures.figures.ablation_bars` draws: the additions that have something to be compared with.

    The number of DAMAEs has a figure of its own.
    """
    values = _drawn(scores[scores["group"].isin(REFERENCES) & (scores["group"] != NUMBER)])
    values = values.assign(group=values["group"] + " (task " + values["task"] + ")")
    values = values[values.groupby("group")["name"].transform("nunique") > 1]
    return values[["task", "group", "name", "split", "value", "n_perturbations", "data"]].reset_index(drop=True)


def number_frame(scores: pd.DataFrame) -> pd.DataFrame:
    """Return what `leaplib.figures.figures.number_of_representations` draws."""
    values = _drawn(scores[scores["group"] == NUMBER])
    values = values.assign(number=values["name"].astype(int))
    return values[["task", "number", "split", "value", "n_perturbations", "data"]].reset_index(drop=True)


def _drawn(scores: pd.DataFrame) -> pd.DataFrame:
    """Return Spearman's correlation of each variant and split, and of how many perturbations it is the mean."""
    single = scores[(scores["perturbation"] != "") & (scores["metric"] == "spearman") & scores["value"].notna()]
    keys = ["task", "group", "variant", "split"]
    counts = single.groupby(keys)["perturbation"].nunique().rename("n_perturbations").reset_index()
    values = split_means(scores).query("level == 'per_perturbation' and metric == 'spearman'")
    return values.merge(counts.rename(columns={"variant": "name"}), how="left", on=["task", "group", "name", "split"])


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of the ablations as people read it: Spearman's correlation per perturbation, one row a variant."""
    rows = table[(table["level"] == "per_perturbation") & (table["metric"] == "spearman")]
    keys = [column for column in ("task", "group", "step", "name", "strategy") if column in rows]
    text = rows[keys].assign(
        Spearman=[mean_sd(mean, sd) for mean, sd in zip(rows["mean"], rows["sd"], strict=True)],
        paper=[mean_sd(mean, sd) for mean, sd in zip(rows["published_mean"], rows["published_sd"], strict=True)],
        against=rows["compared_with"].fillna(""),
        difference=[_signed(value) for value in rows["difference"]],
        perturbations=[_won(*values) for values in rows[["perturbations_won", "n_perturbations"]].to_numpy()],
        p_perturbations=[_p(value) for value in rows["p_perturbations_holm"]],
        splits=[_won(*values) for values in rows[["splits_won", "n_splits"]].to_numpy()],
        p_splits=[_p(value) for value in rows["p_splits_holm"]],
        data=rows["data"],
        note=rows["note"],
    )
    names = {"perturbations": "perturbations won", "p_perturbations": "p over perturbations", "splits": "splits won",
             "p_splits": "p over splits"}  # fmt: skip
    filled = [column for column in text if (text[column] != "").any()]
    return text[filled].rename(columns=names).set_index(keys)


def _signed(value: float) -> str:
    return "" if pd.isna(value) else f"{value:+.4f}"


def _won(won: float, of: float) -> str:
    return "" if pd.isna(won) else f"{won:.0f} of {of:.0f}"


def _p(value: float, sign: str = "") -> str:
    if pd.isna(value):
        return "" if not sign else "not defined"
    return "< 0.001" if value < 0.001 else f"{sign}{value:.3f}"


def ablation_verdict(table: pd.DataFrame, task: str, group: str | None = None) -> str:
    """Return, as Markdown, what the comparisons of a task support and what they do not, from these numbers alone.

    Parameters
    ----------
    table : DataFrame
        A table of this module.
    task : str
    group : str, optional
        Of `additional_table`.
    """
    rows = table[(table["task"] == task) & (table["level"] == "per_perturbation") & (table["metric"] == "spearman")]
    rows = rows if group is None else rows[rows["group"] == group]
    rows = rows.rename(columns={"strategy": "name"})
    run, tested = rows[rows["note"] == ""], rows[rows["compared_with"].notna()]
    text = f"**Task {task}{f', {group}' if group else ''}** ({rows['data'].iloc[0]} data"
    if tested.empty:
        return f"{text}). Nothing to compare: {_listed(_left_out(rows))}."
    text += f", {_count(run['n_splits'].max(), 'split')}, {_count(tested['n_perturbations'].max(), 'perturbation')}). "
    text += _ends(run)
    over = [tested[name] < LEVEL for name in ("p_perturbations_holm", "p_splits_holm")]
    kinds = (
        ("Difference supported over perturbations and over splits", over[0] & over[1]),
        ("Difference supported over perturbations, but not shown to hold for other samples", over[0] & ~over[1]),
        ("Difference supported over splits, but not in most perturbations", over[1] & ~over[0]),
        ("No evidence of a difference, which is not evidence of none", ~over[0] & ~over[1]),
    )
    items = [f"{kind}: {_listed(_told(tested[which], run))}." for kind, which in kinds if which.any()]
    items += [_power(tested)] if tested["n_splits"].max() < FEW else []
    items += [f"Left out: {_listed(_left_out(rows))}."] if (rows["note"] != "").any() else []
    return "\n".join([text, "", *(f"- {item}" for item in items)])


def _ends(run: pd.DataFrame) -> str:
    """Return the scores of the first and last variant or, where there is a reference, of it and of the best."""
    name = REFERENCES.get(run["group"].iloc[0]) if "group" in run else None
    places = (0, -1) if name is None else (run["name"].eq(name).argmax(), run["mean"].argmax())
    first, last = (run.to_dict("records")[place] for place in places)
    rest = "the most of all" if first["name"] == last["name"] else f"{_name(last)} {last['mean']:.3f}"
    text = f"{_name(first)} scores {first['mean']:.3f}, {rest}."
    return text[0].upper() + text[1:]


def _told(tests: pd.DataFrame, run: pd.DataFrame) -> list[str]:
    """Return each comparison in words, and what the paper found where the data are real."""
    published = run.set_index("name")["published_mean"]
    items = []
    for row in tests.to_dict("records"):
        p = [f", p {_p(row[name], '= ')}" for name in ("p_perturbations_holm", "p_splits_holm")]
        theirs = published[row["name"]] - published[row["compared_with"]]
        items.append(
            f"{_name(row)} against {row['compared_with']} ({row['difference']:+.4f}; better in "
            f"{_won(row['perturbations_won'], row['n_perturbations'])} perturbations{p[0]}, and in "
            f"{_won(row['splits_won'], row['n_splits'])} splits{p[1]}"
            + (f"; in the paper {theirs:+.4f})" if pd.notna(theirs) else ")")
        )
    return items


def _name(row: Mapping[Any, Any]) -> str:
    return f"step {row['step']} ({row['name']})" if "step" in row else f'"{row["name"]}"'


def _left_out(rows: pd.DataFrame) -> list[str]:
    return [f"{_name(row)}, {row['note']}" for row in rows[rows["note"] != ""].to_dict("records")]


def _power(tested: pd.DataFrame) -> str:
    """Return what few splits do not allow."""
    n = _count(tested["n_splits"].max(), "split")
    return f"With {n} the test over splits sees little more than large, steady differences."


def _count(number: float, what: str) -> str:
    return f"{number:.0f} {what}{'' if number == 1 else 's'}"


def _listed(items: list[str]) -> str:
    return "; ".join(items) or "nothing"
