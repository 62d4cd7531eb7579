"""What the gains of `leaplib.runs.candidates` say: costs and goals beside, in words that follow from the numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from leaplib.results.comparisons import gains
from leaplib.runs.candidates import CANDIDATES, COMPARED, REFERENCE
from leaplib.tasks import get_task

__all__ = ["COMPARED"]
GOALS = {"2a": 0.05, "3b": 0.15, "4a": 0.15, "4b": 0.15}
"""How much better than LEAP a successor should be, relative to it."""


def gains_table(scores: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    """Return the gains with what they cost and what was aimed at.

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.runs.experiment.run_candidates`, of one or several tasks, LEAP among the candidates.
    times : DataFrame
        As `leaplib.runs.run_log.model_times`.

    Returns
    -------
    DataFrame
        As `leaplib.results.comparisons.gains`, with core_seconds (a split, fits of LEAP's members
        included, what makes the features not; NaN where the log does not know) in place of seconds, and goal
        (relative; NaN: none).
    """
    table = gains(scores)
    seconds = [_core_seconds(row["candidate"], row["task"], row["seconds"], times) for row in table.to_dict("records")]
    table = table.assign(seconds=seconds).rename(columns={"seconds": "core_seconds"})
    return table.assign(goal=table["task"].map(GOALS).astype(float))


def _core_seconds(name: str, task: str, seconds: float, times: pd.DataFrame) -> float:
    """Return what a candidate takes on a split: what the log tells of the runs' own models, else what was measured."""
    candidate = CANDIDATES[name]
    if candidate.mean_of:
        return sum(_core_seconds(part, task, 0.0, times) for part in candidate.mean_of)
    if candidate.estimator is not None:
        return seconds
    models = times["model"].astype(str)
    if name == REFERENCE:
        wanted = models.eq(name) | models.str.startswith("PS-LASSO r")
    else:
        wanted = models.eq("PS-LASSO r0" if name == "PS-LASSO" else name)
    fits = times[wanted & times["task"].eq(task)]
    return float(fits.groupby("split")["core_seconds"].sum().mean()) if len(fits) else np.nan


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of gains as people read it: a row a candidate, differences with their intervals."""
    text = pd.DataFrame({
        "Spearman": table["mean"].map(_score),
        "difference to LEAP": [_difference(row) for row in table.to_dict("records")],
        "gain": table["gain"].map(_percent),
        "goal": table["goal"].map(_percent),
        "won": [_of(*pair) for pair in zip(table["perturbations_won"], table["n_perturbations"], strict=True)],
        "splits won": [_of(*pair) for pair in zip(table["splits_won"], table["n_splits"], strict=True)],
        "core-seconds": table["core_seconds"].map(lambda value: "" if pd.isna(value) else f"{value:.2f}"),
        "data": table["data"],
    })  # fmt: skip
    text.loc[table["candidate"] == REFERENCE, ["difference to LEAP", "gain", "goal", "won", "splits won"]] = ""
    text.loc[table["candidate"] == "PS-LASSO", "goal"] = ""  # none that was to be better
    return text.set_index(pd.MultiIndex.from_frame(table[["task", "candidate"]]))


def autoencoder_verdict(scores: pd.DataFrame, task: str) -> str:
    """Return, as Markdown, whether LEAP's gain over PS-LASSO needs the autoencoders, from these scores alone.

    Parameters
    ----------
    scores : DataFrame
        As `leaplib.runs.experiment.run_candidates`, with LEAP, PS-LASSO and PS-RIDGE.
    task : str
    """
    part = scores[scores["task"] == task]
    over = gains(part, "PS-LASSO").set_index("candidate")
    leap, lasso, ridge = (over.loc[name].to_dict() for name in (REFERENCE, "PS-LASSO", "PS-RIDGE"))
    if over["mean"].isna().any():
        return _no_verdict(task, over.reset_index())
    against = gains(part).set_index("candidate").loc["PS-RIDGE"].to_dict()
    return (f"{_head(task, leap)} LEAP scores {leap['mean']:.3f}, PS-LASSO {lasso['mean']:.3f} (LEAP's "
            f"gain: {_difference(leap)}), and PS-RIDGE on the genes, without an autoencoder, {ridge['mean']:.3f} (to "
            f"PS-LASSO {_difference(ridge)}, to LEAP {_difference(against)}). "
            f"{_conclusion(leap, ridge, against)}")  # fmt: skip


def _conclusion(leap: Mapping[Any, Any], ridge: Mapping[Any, Any], against: Mapping[Any, Any]) -> str:
    """Return what follows for LEAP's gain: `leap` and `ridge` against PS-LASSO, `against` is PS-RIDGE against LEAP."""
    if not leap["low"] > 0:
        return f"LEAP's gain over PS-LASSO is itself not told from chance here, and PS-RIDGE {_against_leap(against)}."
    if against["low"] > 0:
        return ("**More than the whole gain is had without any autoencoder**, so that it cannot be credited to them: "
                "a ridge regression on all genes does better than the average over autoencoders.")  # fmt: skip
    if not against["high"] < 0:
        return ("**Without any autoencoder no difference to LEAP is shown**: its gain over PS-LASSO is no evidence "
                "that autoencoders help.")  # fmt: skip
    if ridge["low"] > 0:
        share = ridge["difference"] / leap["difference"]
        return f"**{share:.0%} of the gain is had without any autoencoder**; the rest is LEAP's own."
    return "**The gain is not had without the autoencoders**: here they earn their keep."


def _against_leap(row: Mapping[Any, Any]) -> str:
    if row["low"] > 0:
        return "**is better than LEAP** without any autoencoder"
    return "**is worse than LEAP**: autoencoders help" if row["high"] < 0 else "is not told from LEAP either"


def conclusion(table: pd.DataFrame) -> str:
    """Return, as Markdown, what all tasks say together, those on real and on simulated data apart.

    Parameters
    ----------
    table : DataFrame
        As `gains_table`.
    """
    return "\n".join(_of_kind(part, str(kind)) for kind, part in table.groupby("data", sort=False))


def _of_kind(table: pd.DataFrame, kind: str) -> str:
    told = table[table["difference"].notna()]  # what failed tells nothing
    ridge, plus = (told[told["candidate"] == name] for name in ("PS-RIDGE", "LEAP+"))
    worse = ridge.loc[ridge["high"] < 0, "task"]
    needed = f"they help on task {', '.join(worse)}" if len(worse) else "**nothing here shows that they are needed**"
    aimed = plus[plus["goal"].notna()]
    reached = aimed.loc[aimed["gain"] >= aimed["goal"], "task"]
    goals = f"; it reaches {len(reached)} of {len(aimed)} goals ({', '.join(reached) or 'none'})" if len(aimed) else ""
    tasks = ", ".join(table["task"].unique())
    return (f"- **{kind.capitalize()} data** (task {tasks}). PS-RIDGE, without autoencoders, is {_counted(ridge)}: "
            f"{needed}. LEAP+ is {_counted(plus)}{goals}.")  # fmt: skip


def _counted(rows: pd.DataFrame) -> str:
    """Return "better than LEAP on 3 of 6 tasks, worse on 0, not told from it on 3"."""
    better, worse = int((rows["low"] > 0).sum()), int((rows["high"] < 0).sum())
    rest = len(rows) - better - worse
    return f"better than LEAP on {better} of {len(rows)} tasks, worse on {worse}, not told from it on {rest}"


def goal_verdict(table: pd.DataFrame, task: str, name: str = "LEAP+") -> str:
    """Return, as Markdown, how a candidate does against LEAP on a task and against the goal, where there is one.

    Parameters
    ----------
    table : DataFrame
        As `gains_table`.
    task : str
    name : str
    """
    rows = table[table["task"] == task].set_index("candidate")
    if rows.loc[[name, REFERENCE], "mean"].isna().any():
        return _no_verdict(task, rows.loc[[name, REFERENCE]].reset_index())
    row, leap = rows.loc[name].to_dict(), rows.loc[REFERENCE].to_dict()
    text = (f"{_head(task, row)} {name} scores {row['mean']:.3f}, LEAP {leap['mean']:.3f}: {_difference(row)}, or "
            f"{_percent(row['gain']) or 'no share'} of LEAP; {_beyond_chance(row)}. Better in "
            f"{row['perturbations_won']} of {row['n_perturbations']} perturbations.")  # fmt: skip
    return text + _goal(row, leap["mean"]) + _cost(row["core_seconds"], leap["core_seconds"])


def _goal(row: Mapping[Any, Any], level: float) -> str:
    """Return a sentence on the goal: `level` is LEAP's score."""
    if pd.isna(row["goal"]) or pd.isna(row["gain"]):
        return ""
    if row["gain"] < row["goal"]:
        return f" The goal of {row['goal']:.0%} is **missed**."
    sure = row["low"] > row["goal"] * level
    return f" The goal of {row['goal']:.0%} is **reached**" + (
        ", by the whole interval." if sure else ", though the interval reaches below it."
    )


def _cost(own: float, leap: float) -> str:
    if pd.isna(own) or pd.isna(leap):
        return ""
    return f" It takes {own:.2f} core-seconds a split, LEAP {leap:.2f}, its autoencoders not counted."


def candidates_verdict(table: pd.DataFrame, task: str) -> str:
    """Return, as Markdown, which candidates won and which lost against LEAP, from a table as `gains_table`."""
    part = table[table["task"] == task]
    if part.loc[part["candidate"] == REFERENCE, "mean"].isna().all():
        return _no_verdict(task, part)
    rows = part[part["candidate"] != REFERENCE]
    kinds = (
        ("Better than LEAP, beyond chance", rows["low"] > 0),
        ("Not told from LEAP", ~(rows["low"] > 0) & ~(rows["high"] < 0) & rows["mean"].notna()),
        ("Worse than LEAP, beyond chance", rows["high"] < 0),
    )
    found = [f"- {kind}: {_listed(rows[which])}." for kind, which in kinds]
    failed = rows.loc[rows["mean"].isna(), "candidate"]
    found += [f"- **Failed**: {'; '.join(failed)}."] if len(failed) else []
    return "\n".join([f"{_head(task, rows.iloc[0].to_dict())} {len(rows)} candidates beside LEAP:", "", *found])


def _no_verdict(task: str, rows: pd.DataFrame) -> str:
    """Say that there is no verdict on a task, for what failed."""
    failed = rows.loc[rows["mean"].isna(), "candidate"]
    return f"{_head(task, rows.iloc[0].to_dict())} **No verdict**: {', '.join(failed)} failed, and has no scores."


def _listed(rows: pd.DataFrame) -> str:
    items = [f"{name} ({_signed(value)})" for name, value in zip(rows["candidate"], rows["difference"], strict=True)]
    return "; ".join(items) or "none"


def _head(task: str, row: Mapping[Any, Any]) -> str:
    title = get_task(task).title
    return f"**Task {task}**, {title[0].lower()}{title[1:]} ({row['data']} data)."


def _beyond_chance(row: Mapping[Any, Any]) -> str:
    if row["low"] > 0:
        return "the whole interval is above 0"
    return "the whole interval is below 0" if row["high"] < 0 else "the interval holds 0: no difference is shown"


def _difference(row: Mapping[Any, Any]) -> str:
    """Return "+0.0123 [+0.0045, +0.0200]"."""
    if pd.isna(row["difference"]):
        return ""
    interval = "" if pd.isna(row["low"]) else f" [{_signed(row['low'])}, {_signed(row['high'])}]"
    return _signed(row["difference"]) + interval


def _of(won: int, n: int) -> str:
    return f"{won} of {n}" if n else ""


def _score(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.4f}"


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _percent(value: float) -> str:
    return "" if pd.isna(value) else f"{value:+.1%}"
