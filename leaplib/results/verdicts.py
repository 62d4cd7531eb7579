"""What results say, in a small table and a few sentences that follow from the numbers: `verdict(results, "task 2a")`.

A difference is told where its 95% interval over splits excludes 0 and it is larger than what another set of DAMAEs
changes (`leaplib.results.comparisons.told`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from leaplib.base.errors import InputError
from leaplib.results import external
from leaplib.results.claims import DIRECTION, FAILS, HOLDS, UNTESTED, claims, rivals, thinned
from leaplib.results.comparisons import APART, BETTER, REFERENCE, REPRESENTATION_SPREAD, WORSE, choice, told
from leaplib.results.load import Results
from leaplib.results.printing import number, percent, with_interval
from leaplib.results.tables import ablation_table, by_split, domain_shift, gains_table
from leaplib.runs.recipes import REFERENCES
from leaplib.tasks import data_words, get_task

MISSING = "\N{EN DASH}"
SHUFFLED = "LEAP (shuffled labels)"
TOLD = ("A difference is told where its 95% interval over splits excludes 0 and it is larger than "
        f"{REPRESENTATION_SPREAD:g}, which is what another set of DAMAEs makes.")  # fmt: skip


def verdict(results: Results, about: str) -> str:
    """Return, as Markdown, what the results say about something, and what they do not.

    Parameters
    ----------
    results : Results
    about : str
        "task 1a 2a" (one or several), "external 2a", "ablations 1a", "ensembles 1a", "tuning 3a", "additions",
        "autoencoders 2a 4a", "beyond 2a 4a", "candidates 2a", "choice", "domains" or "claims".
    """
    subject, _, task = about.partition(" ")
    if subject not in VERDICTS:
        raise InputError(f"a verdict about {about!r} is unknown: use one of {', '.join(VERDICTS)}, with a task")
    part, tell = VERDICTS[subject]
    if not len(getattr(results, part)):
        return f"**{about.capitalize()}**: no results, and nothing to tell. {results.why(part)}"
    return tell(results, task)


def _markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a table; what is missing is an en dash."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] * len(names), *([row.get(name) or MISSING for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _score(value: float | None) -> str:
    return MISSING if pd.isna(value) else f"{value:.3f}"


def _sentence(name: str, found: Mapping[str, str], other: str) -> str:
    """Say on which tasks something is better, worse or not told from another, by what is found on each."""
    words = {BETTER: f"better than {other}", WORSE: f"worse than {other}", APART: f"not told from {other}"}
    parts = [f"{words[kind]} on task {', '.join(task for task in found if found[task] == kind)}"
             for kind in words if kind in found.values()]  # fmt: skip
    return f"**{name}** is {'; '.join(parts)}." if parts else f"**{name}** has no results."


# ---- models


def _tasks(results: Results, tasks: str) -> str:
    """Say how LEAP compares with the best of the paper's other models on some tasks."""
    rows, found = [], {}
    for task in tasks.split():
        part = results.scores[results.scores["task"] == task]
        means = by_split(part).mean() if len(part) else pd.Series(dtype=float)
        compared = results.comparisons.query("task == @task and study == ''").set_index("model").to_dict("index")
        others = means.reindex([name for name in rivals(task) if name in compared]).dropna()
        row = {"task": task, "LEAP": _score(means.get(REFERENCE))}
        if len(others):
            best = str(others.idxmax())
            found[task] = told(compared[best])
            row |= {"best other model of the paper": f"{best} {others[best]:.3f}",
                    "LEAP less it": with_interval(compared[best], 3)}  # fmt: skip
        rows.append(row | {name: _score(means.get(name)) for name in ("PS-RIDGE", "LEAP+", "Tissue mean", SHUFFLED)}
                    | {"splits": part.loc[part["model"] == REFERENCE, "split"].nunique(),
                       "data": next(iter(part["data"]), "")})  # fmt: skip
    settings = thinned(results.profile)
    caution = f"Models are {settings}: their order here is no verdict on the paper's." if settings else ""
    text = _sentence("LEAP", found, "the best of the paper's other models")
    return f"{_markdown(rows)}\n\n{text} {TOLD} {caution}".strip()


def _versus(names: Sequence[str]) -> Callable[[Results, str], str]:
    """Return what says how candidates compare with LEAP on some tasks, by default all."""

    def tell(results: Results, tasks: str) -> str:
        table = gains_table(results.candidates, results.times)
        table = table[table["task"].isin(tasks.split())] if tasks else table
        rows = []
        for task, part in table.groupby("task", sort=False):
            found = part.set_index("candidate").to_dict("index")
            row = {"task": task, "LEAP": _score(found[REFERENCE]["mean"])}
            for name in [name for name in names if name in found]:
                row |= {name: _score(found[name]["mean"]), f"{name} less LEAP": with_interval(found[name], 3)}
            rows.append(row | {"data": part["data"].iloc[0]})
        told_apart = table[table["difference"].notna()]
        texts = [_sentence(name, {row["task"]: told(row) for row in told_apart.to_dict("records")
                                  if row["candidate"] == name}, "LEAP") for name in names]  # fmt: skip
        return f"{_markdown(rows)}\n\n{' '.join(texts)} {TOLD}"

    return tell


# ---- variants and candidates


def _sorted_out(rows: pd.DataFrame, names: pd.Series, than: str) -> list[str]:
    """Return an item each for what is better, not told apart, and worse."""
    kinds = rows.apply(told, axis=1)
    words = {BETTER: f"Better than {than}", APART: "Not told apart", WORSE: f"Worse than {than}"}
    return [f"- {words[kind]}: "
            + "; ".join(f"{name} ({value:+.4f})" for name, value in zip(names[kinds == kind],
                        rows.loc[kinds == kind, "difference"], strict=True)) + "."
            for kind in words if (kinds == kind).any()]  # fmt: skip


def _ablations(results: Results, task: str, groups: list[str]) -> str:
    """Say which variants of a task are better than what they are compared with."""
    table = ablation_table(results.ablations[results.ablations["task"] == task], groups)
    rows = table.query("level == 'per_perturbation' and metric == 'spearman'")
    tested, reference = rows[rows["compared_with"].notna()], REFERENCES.get(groups[0])
    names = "step " + rows["step"].astype(str) + ", " + rows["name"] if "step" in rows else rows["name"]
    left_out = "; ".join((names + ", " + rows["note"])[rows["note"] != ""])
    about = f"**Task {task}{f', {groups[0]}' if reference else ''}** ({data_words(rows['data'].iloc[0])}, " \
            f"{rows['n_splits'].max():.0f} splits)"  # fmt: skip
    than = f'"{reference}"' if reference else "the one before"
    items = _sorted_out(tested, names[tested.index], than) if len(tested) else []
    items += [f"- Left out: {left_out}."] if left_out else []
    return "\n".join([f"{about}:", "", *items] if items else [f"{about}. Nothing to compare."])


def _additions(results: Results, task: str) -> str:
    """Say what each comparison that the paper lacks supports."""
    rows = results.ablations[results.ablations["group"].isin(REFERENCES)]
    pairs = rows[["task", "group"]].drop_duplicates().to_numpy()
    return "\n\n".join(_ablations(results, one, [group]) for one, group in pairs if task in ("", one))


def _of(groups: Iterable[str]) -> Callable[[Results, str], str]:
    return lambda results, task: _ablations(results, task, list(groups))


def _candidates(results: Results, task: str) -> str:
    """Say which candidates won and which lost against LEAP on a task."""
    table = gains_table(results.candidates, results.times)
    task = task or table["task"].iloc[0]
    rows = table[(table["task"] == task) & (table["candidate"] != REFERENCE)]
    compared, failed = rows[rows["difference"].notna()], rows.loc[rows["mean"].isna(), "candidate"]
    title = get_task(task).title
    head = f"**Task {task}**, {title[0].lower()}{title[1:]} ({data_words(rows['data'].iloc[0])})"
    if compared.empty:
        return f"{head}. **No verdict**: LEAP, or all others, failed."
    items = _sorted_out(compared, compared["candidate"], REFERENCE)
    items += [f"- **Failed**: {'; '.join(failed)}."] if len(failed) else []
    return "\n".join([f"{head}, {len(rows)} candidates beside LEAP:", "", *items])


def _choice(results: Results, name: str) -> str:
    """Say whether LEAP+, or another candidate, is what would have been chosen within the training sets."""
    rows, name = choice(results.inner, results.candidates).set_index("candidate"), name or "LEAP+"
    failed = rows.index[rows["inner_gain"].isna() & rows.index.isin([REFERENCE, name])]
    if len(failed):
        return f"**No verdict** within the training sets: {' and '.join(failed)} failed there."
    first, rank = str(rows.index[0]), rows["rank"][name]
    gain = rows["inner_gain"]
    text = (
        f"Within the training sets **{first}** gains most on LEAP, of {len(rows)} candidates: {gain[first]:+.3f} in "
        "the mean of Spearman, Pearson and the AUROC of responders."
    )
    if rank > 1:
        close = "not told from it" if gain[first] - gain[name] <= REPRESENTATION_SPREAD else "behind it"
        text += f" {name} is number {rank}, {close}: {gain[name]:+.3f}."
    for test in map(str, rows.filter(like="test_")):
        share = percent(rows[test][name] / rows[test][REFERENCE] - 1) or "failed"
        text += f" On the test samples of task {test[5:]}, which the choice did not see, {name}: {share}."
    return text


# ---- domains, external validation and claims


def _domains(results: Results, task: str) -> str:
    """Say how much it matters how cell lines and xenografts are brought together."""
    table = domain_shift(results.harmonised)
    leap = table[table["model"] == REFERENCE].set_index("harmonise")["mean"]
    row = {str(how): _score(mean) for how, mean in leap.items()}
    return (f"{_markdown([row])}\n\nLEAP on task 5a by the way to join domains: the largest difference is "
            f"{leap.max() - leap.min():.3f}, and one split has no interval.")  # fmt: skip


def _external(results: Results, task: str) -> str:
    return external.counts(results.profile, get_task(task))


def _claims(results: Results, _: str) -> str:
    """Say how many claims hold, which do not and why others cannot be tested."""
    table = claims(results)
    counts, tested = table["verdict"].value_counts(), table[table["verdict"] != UNTESTED]
    hold, direction, fail = (counts.get(name, 0) for name in (HOLDS, DIRECTION, FAILS))
    text = (f"Of {len(table)} claims, {len(tested)} can be tested here: {hold} hold, {direction} hold in direction "
            f"alone, {fail} do not hold.")  # fmt: skip
    rows = [{"verdict": row["verdict"], "claim": row["claim"], "paper": number(row["published"], 3),
             "this run": number(row["ours"], 3), "of": row["n"]}
            for row in tested[tested["verdict"] != HOLDS].to_dict("records")]  # fmt: skip
    reasons = table[table["verdict"] == UNTESTED]["note"].value_counts()
    why = [{"not testable here, since": reason, "claims": n} for reason, n in reasons.items()]
    return "\n\n".join([text, *(_markdown(part) for part in (rows, why) if part)])


VERDICTS: dict[str, tuple[str, Callable[[Results, str], str]]] = {
    "task": ("scores", _tasks),
    "external": ("external", _external),
    "ablations": ("ablations", _of(["steps"])),
    "ensembles": ("ablations", _of(["ensembles"])),
    "tuning": ("ablations", _of(["tuning"])),
    "additions": ("ablations", _additions),
    "autoencoders": ("candidates", _versus(["PS-LASSO", "PS-RIDGE"])),
    "candidates": ("candidates", _candidates),
    "choice": ("inner", _choice),
    "beyond": ("candidates", _versus(["LEAP+"])),
    "domains": ("harmonised", _domains),
    "claims": ("scores", _claims),
}
"""What a verdict can be about, the part of the results that it rests on, and what tells it."""
