"""Choosing among the candidates of `leaplib.beyond.trials` without a look at any test sample: nested cross-validation.

The training set of a split is divided as the task divides all samples: each tuning fold in turn is held out (a fold of
tissues for unseen tissues), and candidates are tuned, fitted and averaged on the others alone. What is best on the
folds held out is the choice; the split's own test set then tells what the choice is worth.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from leaplib.beyond.trials import CANDIDATES, REFERENCE, Beyond, checked_candidates
from leaplib.errors import InputError
from leaplib.profiles import Profile, get_profile
from leaplib.running.task_run import TaskRun
from leaplib.splits import SEED, Split, tuning_folds
from leaplib.tasks import Task, get_task

INNER = ", inner "


def inner_splits(split: Split, groups: pd.Series | None = None, n_inner: int | None = None) -> list[Split]:
    """Divide the training set of a split: each of its tuning folds in turn is the test set.

    Parameters
    ----------
    split : Split
    groups : Series, optional
        Tissue of each sample: new tuning folds are grouped by it, as those of the split are for unseen tissues.
    n_inner : int, optional
        Only the first so many folds; by default all.

    Returns
    -------
    list of Split
        With tuning folds of their own; the split's test samples are in none.
    """
    found = []
    for fold in sorted(split.folds.unique())[:n_inner]:
        held = (split.folds == fold).to_numpy()
        train = split.train[~held]
        folds = tuning_folds(train, SEED, groups)
        found.append(Split(f"{split.name}{INNER}{fold}", train, split.train[held], folds))
    return found


def nested_scores(profile: Profile | str, task: Task | str, candidates: Sequence[str] = tuple(CANDIDATES),
                  n_splits: int | None = None, n_inner: int | None = None, device: str = "auto",
                  force: bool = False) -> pd.DataFrame:  # fmt: skip
    """Score candidates within the training sets of a task's splits; what is done already is not computed again.

    Representations are those of the task's pool, as LEAP's are: no response reaches them.

    Parameters
    ----------
    profile, task, candidates, n_splits, device, force
        As `leaplib.beyond.trials.compare_candidates`.
    n_inner : int, optional
        Folds of each training set that are held out; by default all.

    Returns
    -------
    DataFrame
        As `leaplib.beyond.trials.compare_candidates`; `split` is "holdout-0, inner 0" ....
    """
    checked_candidates(candidates)
    profile = get_profile(profile) if isinstance(profile, str) else profile
    run = TaskRun(profile, get_task(task) if isinstance(task, str) else task, device)
    if run.task.design == "xenograft":
        raise InputError(f"task {run.task.id}: its training set holds no xenografts to choose on: use another task")
    groups = run.cohort.samples["tissue"] if run.task.design == "tissue" else None
    splits = [inner for split in run.splits[:n_splits] for inner in inner_splits(split, groups, n_inner)]
    return Beyond(run).scores(candidates, splits, f"choosing, task {run.task.id}", force)


def choice(inner: pd.DataFrame, test: pd.DataFrame | None = None) -> pd.DataFrame:
    """Rank candidates by what they gain on LEAP within the training sets, the mean over tasks.

    Parameters
    ----------
    inner : DataFrame
        As `nested_scores`, of one or several tasks, LEAP among the candidates.
    test : DataFrame, optional
        As `leaplib.beyond.trials.compare_candidates`. Only the splits count whose training sets `inner` is
        from: the test samples of others are among those chosen on.

    Returns
    -------
    DataFrame
        candidate, rank (1: chosen), inner_gain (relative to LEAP, mean over tasks), and of each task inner_<task> and,
        where it was given, test_<task> (mean Spearman correlations); best first.

    Raises
    ------
    InputError
        Where LEAP is not among the candidates, or a task lacks some that another has.
    """
    own = inner["split"].str.partition(INNER)[0].unique()
    wide = {"inner": _means(inner)} | ({} if test is None else {"test": _means(test[test["split"].isin(own)])})
    if REFERENCE not in wide["inner"].index:
        raise InputError(f"no scores of {REFERENCE}: add it to the candidates")
    missing = wide["inner"].isna().any(axis=1)
    if missing.any():
        raise InputError(f"candidate {wide['inner'].index[missing][0]!r} lacks scores of a task: choose on the same")
    relative = wide["inner"] / wide["inner"].loc[REFERENCE] - 1
    columns = [means.reindex(wide["inner"].index).add_prefix(f"{name}_") for name, means in wide.items()]
    table = pd.concat([relative.mean(axis=1).rename("inner_gain"), *columns], axis=1)
    table = table.sort_values("inner_gain", ascending=False).reset_index()
    return table.rename_axis(columns=None).assign(rank=np.arange(1, len(table) + 1))[
        ["candidate", "rank", *table.columns[1:]]]  # fmt: skip


def readable_choice(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as `choice` as people read it."""
    scores = [str(column) for column in table.columns[3:]]
    words = {"inner": "within training sets", "test": "on their test sets"}
    named = {column: f"task {column.partition('_')[2]}, {words[column.partition('_')[0]]}" for column in scores}
    text = pd.DataFrame({"rank": table["rank"], "gain on LEAP there": table["inner_gain"].map("{:+.1%}".format)})
    for column, name in named.items():
        text[name] = table[column].map("{:.4f}".format)
    return text.set_index(pd.Index(table["candidate"], name="candidate"))


def _means(scores: pd.DataFrame) -> pd.DataFrame:
    """Return mean Spearman correlations over perturbations, then splits: candidates x tasks."""
    values = scores[scores["metric"] == "spearman"].groupby(["candidate", "task", "split"], sort=False)["value"].mean()
    return values.groupby(["candidate", "task"], sort=False).mean().unstack("task")


def choice_verdict(table: pd.DataFrame, name: str = "LEAP+") -> str:
    """Return, as Markdown, whether a candidate is what would have been chosen, from a table as `choice`."""
    rows = table.set_index("candidate")
    best, own = rows.iloc[0].to_dict(), rows.loc[name].to_dict()
    if own["rank"] == 1:
        text = f"Within the training sets **{name} is the best** of {len(rows)} candidates"
    else:
        text = (f"Within the training sets {name} is **number {own['rank']:.0f} of {len(rows)}**; "
                f"{rows.index[0]} is the best ({_gains(best)})")  # fmt: skip
    return f"{text}: {_gains(own)}.{_afterwards(rows, name)}"


def _gains(row: Mapping[Any, Any]) -> str:
    return f"{row['inner_gain']:+.1%} on LEAP there"


def _afterwards(rows: pd.DataFrame, name: str) -> str:
    """Say how the choice and the named candidate do on the test sets."""
    tasks = [name.removeprefix("test_") for name in map(str, rows.columns) if name.startswith("test_")]
    parts = []
    for task in tasks:
        scores = rows[f"test_{task}"]
        level = scores.loc[REFERENCE]
        names = list(dict.fromkeys([rows.index[0], name]))
        told = " and ".join(f"{one} {scores.loc[one] / level - 1:+.1%}" for one in names)
        parts.append(f" On the test samples of task {task}, which the choice did not see: {told}.")
    return "".join(parts)
