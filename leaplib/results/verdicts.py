"""What results say, in words that follow from the numbers alone: `verdict(results, "task 2a")`."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from leaplib.base.errors import InputError
from leaplib.models.table import names
from leaplib.results import external
from leaplib.results.claims import HOLDS, UNTESTED, claims
from leaplib.results.comparisons import REFERENCE, choice, gains
from leaplib.results.load import Results
from leaplib.results.printing import number, percent, with_interval
from leaplib.results.published import published
from leaplib.results.scores import split_values
from leaplib.results.tables import ablation_table, by_split, domain_shift, gains_table
from leaplib.runs.ablations import REFERENCES
from leaplib.tasks import TASKS, data_words, get_task

MISSING = "\N{EN DASH}"
LEVEL, FEW = 0.05, 5  # of significance after Holm's correction; splits, below which a test over them says little
Row = Mapping[Any, Any]


def verdict(results: Results, about: str) -> str:
    """Return, as Markdown, what the results say about something, and what they do not.

    Parameters
    ----------
    results : Results
    about : str
        "task 2a", "external 2a", "ablations 1a", "ensembles 1a", "tuning 3a", "additions", "autoencoders 2a",
        "candidates 2a", "choice", "goal 2a", "beyond" (all tasks together), "domains" or "claims".
    """
    subject, _, task = about.partition(" ")
    if subject not in VERDICTS:
        raise InputError(f"a verdict about {about!r} is unknown: use one of {', '.join(VERDICTS)}, with a task")
    part, tell = VERDICTS[subject]
    if not len(getattr(results, part)):
        return f"**{about.capitalize()}**: no results, and nothing to tell. {results.why(part)}"
    return tell(results, task)


# ---- models on a task


def _task(results: Results, task: str) -> str:
    """Say how the models compare on a task; what is missing is an en dash."""
    part = results.scores[results.scores["task"] == task]
    wide = by_split(part).dropna(how="all") if len(part) else pd.DataFrame()
    if "LEAP" not in wide or wide["LEAP"].isna().all():
        return f"**Task {task}**: LEAP has no results (failed, or not run), and there is nothing to compare."
    splits = {"tissue": "unseen tissues", "xenograft": "overlapping subsets"}.get(TASKS[task].design, "holdouts")
    values = split_values(part, "per_perturbation", "spearman")
    members = values[values["model"] == "PS-LASSO"].groupby("member")["value"].mean().dropna()
    n = wide["LEAP"].count()
    fewer = "" if n == len(wide) else f" (on {n} of {len(wide)})"

    def mean(model: str) -> str:
        return _score(wide[model].mean() if model in wide else None)

    def won(other: str) -> str:
        both = wide[["LEAP", other]].dropna() if other in wide else wide.head(0).assign(**{other: None})
        return f"{(both['LEAP'] > both[other]).sum()} of {len(both)} {splits}"

    text = (
        f"**Task {task}** ({data_words(part['data'].iloc[0])}, {len(wide)} {splits}). LEAP reaches a mean "
        f"per-perturbation Spearman correlation of {mean('LEAP')}{fewer}. Its {len(members)} members alone reach "
        f"{_score(members.min())} to {_score(members.max())} (PS-LASSO in the tables: {mean('PS-LASSO')}); LEAP is "
        f"above PS-LASSO in {won('PS-LASSO')}, and PS-KNN reaches {mean('PS-KNN')}. Of the controls, the tissue mean "
        f"reaches {mean('Tissue mean')} and LEAP on shuffled labels {mean('LEAP (shuffled labels)')}."
    )
    other = [name for name in names() if name in wide and name not in ("LEAP", "PS-LASSO", "PS-KNN")]
    others = wide[other].mean().dropna()
    if len(others):
        best = str(others.idxmax())
        text += f" Other models: {_scores(others)}; LEAP is above {best} in {won(best)}."
    theirs = published("suppl.").query("task == @task and metric == 'spearman' and level == 'per_perturbation'")
    paper = theirs[theirs["table"].isin(["suppl. 2", "suppl. 3"])].set_index("model")["mean"]
    if len(paper) and part["data"].iloc[0] == "real":
        ordered = paper.reindex(["LEAP", *paper.index.difference(["LEAP"], sort=False)])
        text += f" The paper reports: {_scores(ordered)}."
    return text


def _score(value: float | None) -> str:
    return MISSING if pd.isna(value) else f"{value:.3f}"


def _scores(values: pd.Series) -> str:
    return ", ".join(f"{model} {value:.3f}" for model, value in values.items())


# ---- ablations


def _ablations(results: Results, task: str, groups: list[str]) -> str:
    """Say what the comparisons of variants of a task support and what they do not."""
    scores = results.ablations[results.ablations["task"] == task]
    rows = ablation_table(scores, groups).query("level == 'per_perturbation' and metric == 'spearman'")
    run, tested = rows[rows["note"] == ""], rows[rows["compared_with"].notna()]
    left_out = "; ".join(f"{_name(row)}, {row['note']}" for row in rows[rows["note"] != ""].to_dict("records"))
    named = f", {groups[0]}" if groups[0] in REFERENCES else ""
    text = f"**Task {task}{named}** ({data_words(rows['data'].iloc[0])}"
    if tested.empty:
        return f"{text}). Nothing to compare: {left_out or 'nothing'}."
    text += f", {_count(run['n_splits'].max(), 'split')}, {_count(tested['n_perturbations'].max(), 'perturbation')}). "
    many, again = (tested[f"p_{what}_holm"] < LEVEL for what in ("perturbations", "splits"))
    kinds = (
        ("Difference supported over perturbations and over splits", many & again),
        ("Difference supported over perturbations, but not shown to hold for other samples", many & ~again),
        ("Difference supported over splits, but not in most perturbations", again & ~many),
        ("No evidence of a difference, which is not evidence of none", ~many & ~again),
    )
    theirs = run.set_index("name")["published_mean"]
    items = [f"{kind}: {'; '.join(_compared(row, theirs) for row in tested[which].to_dict('records'))}."
             for kind, which in kinds if which.any()]  # fmt: skip
    if tested["n_splits"].max() < FEW:
        n = _count(tested["n_splits"].max(), "split")
        items.append(f"With {n} the test over splits sees little more than large, steady differences.")
    items += [f"Left out: {left_out}."] if left_out else []
    return "\n".join([text + _ends(run, REFERENCES.get(groups[0])), "", *(f"- {item}" for item in items)])


def _ends(run: pd.DataFrame, reference: str | None) -> str:
    """Return the scores of the first and last variant or, where there is a reference, of it and of the best."""
    places = (0, -1) if reference is None else (run["name"].eq(reference).argmax(), run["mean"].argmax())
    first, last = (run.to_dict("records")[place] for place in places)
    rest = "the most of all" if first["name"] == last["name"] else f"{_name(last)} {last['mean']:.3f}"
    text = f"{_name(first)} scores {first['mean']:.3f}, {rest}."
    return text[0].upper() + text[1:]


def _compared(row: Row, theirs: pd.Series) -> str:
    """Return a comparison in words, and what the paper found where the data are real."""
    p = [f"p {'not defined' if pd.isna(value) else '< 0.001' if value < 0.001 else f'= {value:.3f}'}"
         for value in (row["p_perturbations_holm"], row["p_splits_holm"])]  # fmt: skip
    paper = theirs[row["name"]] - theirs[row["compared_with"]]
    return (
        f"{_name(row)} against {row['compared_with']} ({row['difference']:+.4f}; better in "
        f"{row['perturbations_won']:.0f} of {row['n_perturbations']:.0f} perturbations, {p[0]}, and in "
        f"{row['splits_won']:.0f} of {row['n_splits']:.0f} splits, {p[1]}"
        + (f"; in the paper {paper:+.4f})" if pd.notna(paper) else ")")
    )


def _name(row: Row) -> str:
    return f"step {row['step']} ({row['name']})" if "step" in row else f'"{row["name"]}"'


def _count(number: float, what: str) -> str:
    return f"{number:.0f} {what}{'' if number == 1 else 's'}"


def _additions(results: Results, task: str) -> str:
    """Say what each comparison that the paper lacks supports."""
    rows = results.ablations[results.ablations["group"].isin(REFERENCES)]
    pairs = rows[["task", "group"]].drop_duplicates().to_numpy()
    return "\n\n".join(_ablations(results, one, [group]) for one, group in pairs if task in ("", one))


# ---- candidates on the way to LEAP+


def _autoencoders(results: Results, task: str) -> str:
    """Say whether LEAP's gain over PS-LASSO needs the autoencoders."""
    part = results.candidates[results.candidates["task"] == task]
    part = part[part["candidate"].isin([REFERENCE, "PS-LASSO", "PS-RIDGE"])]
    over = gains(part, "PS-LASSO")
    if over["mean"].isna().any():
        return _no_verdict(task, over)
    leap, lasso, ridge = over.set_index("candidate").loc[[REFERENCE, "PS-LASSO", "PS-RIDGE"]].to_dict("records")
    against = gains(part).set_index("candidate").loc["PS-RIDGE"].to_dict()
    return (
        f"{_head(task, leap)} LEAP scores {leap['mean']:.3f}, PS-LASSO {lasso['mean']:.3f} (LEAP's "
        f"gain: {with_interval(leap)}), and PS-RIDGE on the genes, without an autoencoder, {ridge['mean']:.3f} (to "
        f"PS-LASSO {with_interval(ridge)}, to LEAP {with_interval(against)}). {_needed(leap, ridge, against)}"
    )


def _needed(leap: Row, ridge: Row, against: Row) -> str:
    """Return what follows for LEAP's gain: `leap` and `ridge` against PS-LASSO, `against` is PS-RIDGE against LEAP."""
    if not leap["low"] > 0:
        found = _told(against, "**is better than LEAP** without any autoencoder",
                      "**is worse than LEAP**: autoencoders help", "is not told from LEAP either")  # fmt: skip
        return f"LEAP's gain over PS-LASSO is itself not told from chance here, and PS-RIDGE {found}."
    rest = "**The gain is not had without the autoencoders**: here they earn their keep."
    if ridge["low"] > 0:
        share = ridge["difference"] / leap["difference"]
        rest = f"**{share:.0%} of the gain is had without any autoencoder**; the rest is LEAP's own."
    more = ("**More than the whole gain is had without any autoencoder**, so that it cannot be credited to them: "
            "a ridge regression on all genes does better than the average over autoencoders.")  # fmt: skip
    none = ("**Without any autoencoder no difference to LEAP is shown**: its gain over PS-LASSO is no evidence "
            "that autoencoders help.")  # fmt: skip
    return _told(against, more, rest, none)


def _told(row: Row, better: str, worse: str, neither: str) -> str:
    """Return which of three holds of an interval: above 0, below 0, or neither."""
    return better if row["low"] > 0 else worse if row["high"] < 0 else neither


def _beyond(results: Results, task: str) -> str:
    """Say what all tasks say together, those on real and on simulated data apart."""
    return "\n".join(_of_kind(part, str(kind)) for kind, part in _gains(results).groupby("data", sort=False))


def _gains(results: Results) -> pd.DataFrame:
    return gains_table(results.candidates, results.times)


def _of_kind(table: pd.DataFrame, kind: str) -> str:
    told = table[table["difference"].notna()]  # what failed tells nothing
    ridge, plus = (told[told["candidate"] == name] for name in ("PS-RIDGE", "LEAP+"))
    worse = ridge.loc[ridge["high"] < 0, "task"]
    needed = f"they help on task {', '.join(worse)}" if len(worse) else "**nothing here shows that they are needed**"
    aimed = plus[plus["goal"].notna()]
    reached = aimed.loc[aimed["gain"] >= aimed["goal"], "task"]
    goals = f"; it reaches {len(reached)} of {len(aimed)} goals ({', '.join(reached) or 'none'})" if len(aimed) else ""
    tasks, words = ", ".join(table["task"].unique()), data_words(kind)
    return (
        f"- **{words[0].upper()}{words[1:]}** (task {tasks}). PS-RIDGE, without autoencoders, is {_counted(ridge)}: "
        f"{needed}. LEAP+ is {_counted(plus)}{goals}."
    )


def _counted(rows: pd.DataFrame) -> str:
    """Return "better than LEAP on 3 of 6 tasks, worse on 0, not told from it on 3"."""
    better, worse = (rows["low"] > 0).sum(), (rows["high"] < 0).sum()
    rest = len(rows) - better - worse
    return f"better than LEAP on {better} of {len(rows)} tasks, worse on {worse}, not told from it on {rest}"


def _goal(results: Results, task: str, name: str = "LEAP+") -> str:
    """Say how LEAP+ does against LEAP on a task and against the goal, where there is one."""
    table = _gains(results)
    rows = table[(table["task"] == task) & table["candidate"].isin([name, REFERENCE])].set_index("candidate")
    if rows["mean"].isna().any():
        return _no_verdict(task, rows.reset_index())
    row, leap = rows.loc[name].to_dict(), rows.loc[REFERENCE].to_dict()
    chance = _told(row, "the whole interval is above 0", "the whole interval is below 0",
                   "the interval holds 0: no difference is shown")  # fmt: skip
    text = (
        f"{_head(task, row)} {name} scores {row['mean']:.3f}, LEAP {leap['mean']:.3f}: {with_interval(row)}, or "
        f"{percent(row['gain']) or 'no share'} of LEAP; {chance}. Better in {row['perturbations_won']} of "
        f"{row['n_perturbations']} perturbations."
    )
    if pd.notna(row["goal"]) and pd.notna(row["gain"]):
        sure = row["low"] > row["goal"] * leap["mean"]
        found = (
            "**missed**" if row["gain"] < row["goal"] else
            "**reached**, by the whole interval" if sure else "**reached**, though the interval reaches below it"
        )  # fmt: skip
        text += f" The goal of {row['goal']:.0%} is {found}."
    if pd.notna(row["core_seconds"]) and pd.notna(leap["core_seconds"]):
        text += (f" It takes {row['core_seconds']:.2f} core-seconds a split, LEAP {leap['core_seconds']:.2f}, its "
                 "autoencoders not counted.")  # fmt: skip
    return text


def _candidates(results: Results, task: str) -> str:
    """Say which candidates won and which lost against LEAP."""
    table = _gains(results)
    part = table[table["task"] == (task or table["task"].iloc[0])]
    task, rows = part["task"].iloc[0], part[part["candidate"] != REFERENCE]
    if part.loc[part["candidate"] == REFERENCE, "mean"].isna().all():
        return _no_verdict(task, part)
    kinds = (
        ("Better than LEAP, beyond chance", rows["low"] > 0),
        ("Not told from LEAP", ~(rows["low"] > 0) & ~(rows["high"] < 0) & rows["mean"].notna()),
        ("Worse than LEAP, beyond chance", rows["high"] < 0),
    )
    items = []
    for kind, which in kinds:
        pairs = rows.loc[which, ["candidate", "difference"]].to_numpy()
        items.append(f"- {kind}: {'; '.join(f'{name} ({value:+.4f})' for name, value in pairs) or 'none'}.")
    failed = rows.loc[rows["mean"].isna(), "candidate"]
    items += [f"- **Failed**: {'; '.join(failed)}."] if len(failed) else []
    return "\n".join([f"{_head(task, part.iloc[0].to_dict())} {len(rows)} candidates beside LEAP:", "", *items])


def _no_verdict(task: str, rows: pd.DataFrame) -> str:
    failed = ", ".join(rows.loc[rows["mean"].isna(), "candidate"])
    return f"{_head(task, rows.iloc[0].to_dict())} **No verdict**: {failed} failed, and has no scores."


def _head(task: str, row: Row) -> str:
    title = get_task(task).title
    return f"**Task {task}**, {title[0].lower()}{title[1:]} ({data_words(row['data'])})."


def _choice(results: Results, name: str) -> str:
    """Say whether LEAP+, or another candidate, is what would have been chosen within the training sets."""
    rows, name = choice(results.inner, results.candidates).set_index("candidate"), name or "LEAP+"
    failed = rows.index[rows["inner_gain"].isna() & rows.index.isin([REFERENCE, name])]
    if len(failed):
        return f"**No verdict** within the training sets: {' and '.join(failed)} failed there."
    first, rank = str(rows.index[0]), list(rows.index).index(name) + 1
    there = {one: f"{percent(rows['inner_gain'][one])} on LEAP there" for one in (first, name)}
    text = f"Within the training sets **{name} is the best** of {len(rows)} candidates"
    if rank > 1:
        text = (
            f"Within the training sets {name} is **number {rank} of {len(rows)}**; {first} is the best ({there[first]})"
        )
    text = f"{text}: {there[name]}."
    for task in [column.removeprefix("test_") for column in map(str, rows) if column.startswith("test_")]:
        share = rows[f"test_{task}"] / rows[f"test_{task}"][REFERENCE] - 1
        told = " and ".join(f"{one} {percent(share[one]) or 'failed'}" for one in there)
        text += f" On the test samples of task {task}, which the choice did not see: {told}."
    return text


# ---- domains, external validation and claims


def _domains(results: Results, task: str) -> str:
    """Say how much it matters how cell lines and xenografts are brought together."""
    table = domain_shift(results.harmonised)
    leap = table[table["model"] == "LEAP"].set_index("harmonise")["mean"]
    return (f"LEAP on task 5a: {_scores(leap)}; the paper's way is *together*, and the largest difference is "
            f"{leap.max() - leap.min():.3f}.")  # fmt: skip


def _external(results: Results, task: str) -> str:
    return external.counts(results.profile, get_task(task))


def _claims(results: Results, _: str) -> str:
    """Say how many claims hold, which do not and why others cannot be tested."""
    table = claims(results)
    counts, tested = table["verdict"].value_counts(), table[table["verdict"] != UNTESTED]
    hold, direction, fail = (counts.get(name, 0) for name in ("holds", "holds in direction", "does not hold"))
    text = (f"Of {len(table)} claims, {len(tested)} can be tested on real data: {hold} hold, {direction} hold in "
            f"direction alone, {fail} do not hold.")  # fmt: skip
    items = []
    for row in tested[tested["verdict"] != HOLDS].to_dict("records"):
        theirs = "" if pd.isna(row["published"]) else f"the paper has {number(row['published'], 3)}, "
        items.append(f"- **{row['verdict'].capitalize()}**: {row['claim']} ({row['section']}): {theirs}this run "
                     f"{number(row['ours'], 3)} ({row['n']}).")  # fmt: skip
    reasons = table[table["verdict"] == UNTESTED]["note"].value_counts()
    if len(reasons):
        listed = "; ".join(f"{reason} ({count})" for reason, count in reasons.items())
        items.append(f"- **Not testable here**, {reasons.sum()} claims: {listed}.")
    return "\n".join([text, "", *items])


def _of(groups: Iterable[str]) -> Callable[[Results, str], str]:
    return lambda results, task: _ablations(results, task, list(groups))


VERDICTS: dict[str, tuple[str, Callable[[Results, str], str]]] = {
    "task": ("scores", _task),
    "external": ("external", _external),
    "ablations": ("ablations", _of(["steps"])),
    "ensembles": ("ablations", _of(["ensembles"])),
    "tuning": ("ablations", _of(["tuning"])),
    "additions": ("ablations", _additions),
    "autoencoders": ("candidates", _autoencoders),
    "candidates": ("candidates", _candidates),
    "choice": ("inner", _choice),
    "goal": ("candidates", _goal),
    "beyond": ("candidates", _beyond),
    "domains": ("harmonised", _domains),
    "claims": ("scores", _claims),
}
"""What a verdict can be about, the part of the results that it rests on, and what tells it."""
