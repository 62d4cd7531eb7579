"""The quantitative claims of the paper, as data: see `leaplib.results.claims` for rules and verdicts."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from leaplib.models.table import FEW_SHOT
from leaplib.results import measures
from leaplib.results.claims import Claim
from leaplib.results.external import SUFFIX
from leaplib.results.measures import OVERALL, PER_PERTURBATION, TCRP
from leaplib.results.published import OMICSRPZ, STATED, XENOGRAFTS, published_ablations, published_scores
from leaplib.tasks import TASKS

CELL_LINES, ABLATION = "Results, cell lines", "Results, ensembling"
TISSUES, MODELS, DISCUSSION = "Results, unseen tissues", "Results, disease models", "Discussion"
METHODS, TABLE_1, TABLE_3, TABLE_7 = "Methods", "Table 1", "Suppl. table 3", "Suppl. table 7"
MAIN = ("1a", "2a", "3a", "4a", "5a")
NO_NUMBER = np.nan

_PUBLISHED: dict[tuple[str, ...], float] = {
    (row["task"], row["level"], row["metric"], row["model"]): row["mean"]
    for row in published_scores().to_dict("records")
}
_VARIANTS: dict[tuple, float] = {
    (row["group"], row["task"], row["number"], row["metric"]): row["mean"]
    for row in published_ablations().to_dict("records")
}
_STEP_PAIRS = tuple((after, after - 1) for after in range(2, 10))


def reported(task: str, model: str = "LEAP", level: str = PER_PERTURBATION) -> float:
    """Return a mean Spearman correlation that the paper reports."""
    return _PUBLISHED[task, level, "spearman", model]


def reported_margin(task: str, level: str = PER_PERTURBATION) -> float:
    """Return how far the paper reports LEAP above the best of the other models of a task; NaN where it does not."""
    table = {key[3]: value for key, value in _PUBLISHED.items() if key[:3] == (task, level, "spearman")}
    others = [value for model, value in table.items() if model != "LEAP" and not model.startswith(OMICSRPZ)]
    return table["LEAP"] - max(others) if others else NO_NUMBER


def reported_gain(group: str, task: str, after: int, before: int) -> float:
    """Return the relative gain of one variant over another that the paper reports."""
    return _VARIANTS[group, task, after, "spearman"] / _VARIANTS[group, task, before, "spearman"] - 1


def _gain(task: str, section: str, key: str) -> Claim:
    text = f"LEAP's relative gain over PP-LGBM, task {task}"
    return Claim(text, section, STATED[key], partial(measures.gain, task=task, model="LEAP", other="PP-LGBM"), "gain")


def _first(task: str, section: str, level: str = PER_PERTURBATION) -> Claim:
    text = f"LEAP above all other models{', over all pairs' if level == OVERALL else ''}, task {task}"
    measure = partial(measures.margin, task=task, level=level)
    return Claim(text, section, reported_margin(task, level), measure, "order")


def _score(task: str, section: str, level: str = PER_PERTURBATION) -> Claim:
    text = f"LEAP's Spearman correlation {'over all pairs' if level == OVERALL else 'per perturbation'}, task {task}"
    return Claim(text, section, reported(task, level=level), partial(measures.score, task=task, level=level), "value")


def _specific(task: str) -> Claim:
    published = reported(task, "PS-LASSO") - reported(task, "PP-LGBM")
    measure = partial(measures.difference, task=task, model="PS-LASSO", other="PP-LGBM")
    text = f"a model a perturbation (PS-LASSO) above one of all (PP-LGBM), task {task}"
    return Claim(text, DISCUSSION, published, measure, "order")


def _step(text: str, group: str, task: str, pair: tuple[int, int], published: float, rule: str) -> Claim:
    measure = partial(measures.step_gain, task=task, group=group, after=pair[0], before=pair[1])
    return Claim(text, ABLATION, published, measure, rule)


def _gap(text: str, task: str, pairs: Sequence[tuple[int, int]]) -> Claim:
    first, *others = (reported_gain("steps", "1a", *pair) for pair in pairs)
    measure = partial(measures.step_gap, task=task, group="steps", pairs=tuple(pairs))
    return Claim(text, ABLATION, first - max(others), measure, "order")


def _ablations(task: str) -> list[Claim]:
    """Return the claims on the ablation, which the paper makes of task 1a."""
    at = ", task 1a" if task == "1a" else f", task {task} in place of 1a"
    return [
        _step(f"gain of PS-LASSO instead of PP-LGBM{at}", "steps", task, (2, 1), STATED["gain of PS-LASSO"], "gain"),
        _gap(f"PS-LASSO instead of PP-LGBM is the largest step{at}", task, _STEP_PAIRS),
        _step(f"gain of averaging 5 fold models{at}", "steps", task, (8, 7), STATED["gain of 5 regressors"], "gain"),
        _step(f"gain of averaging over 5 DAMAEs{at}", "steps", task, (9, 8), STATED["gain of 5 representations"],
              "gain"),
        _gap(f"averaging over DAMAEs gains more than over folds{at}", task, ((9, 8), (8, 7))),
        _step(f"gain of 25 regressors on one representation over 5{at}", "ensembles", task, (2, 1),
              STATED["gain of 25 regressors, at most"], "at most"),
        _step(f"LEAP above 25 regressors on one representation{at}", "ensembles", task, (3, 2),
              reported_gain("ensembles", "1a", 3, 2), "order"),
        _step(f"a DAMAE that sees all samples loses less than 1%{at}", "steps", task, (5, 4),
              -STATED["loss by pretraining on all lines, at most"], "at least"),
        _step(f"no gain by scaler and DAMAE that see all sources{at}", "steps", task, (7, 3),
              STATED["gain by pretraining on all samples, at most"], "at most"),
        Claim(f"LEAP above each of its representations{at}", ABLATION, NO_NUMBER,
              partial(measures.above_members, task=task), "order"),
    ]  # fmt: skip


def _won(task: str) -> Claim:
    published = 1 - STATED[f"tissues that LEAP does not win, {task}"] / STATED[f"tissues, {task}"]
    text = f"share of tissues in which LEAP is above all other models, task {task}"
    return Claim(text, TISSUES, published, partial(measures.splits_won, task=task), "share")


def _gap_of_gains(tasks: Sequence[str], others: Sequence[str]) -> Claim:
    ours, theirs = ([STATED[_GAINS[task]] for task in part] for part in (tasks, others))
    text = (
        f"gains over PP-LGBM larger on unseen tissues ({', '.join(tasks)}) than on unseen lines ({', '.join(others)})"
    )
    measure = partial(measures.gap_of_gains, tasks=tuple(tasks), others=tuple(others))
    return Claim(text, TISSUES, min(ours) - max(theirs), measure, "order")


_GAINS = {"1b": "gain over OmicsRPZ, 1b"} | {task: f"gain over PP-LGBM, {task}" for task in ("1a", "2a", "3a", "4a")}


def _drug(drug: str) -> Claim:
    measure = partial(measures.by_drug, task="5b", drug=drug)
    return Claim(f"LEAP's Spearman correlation, {drug}, task 5b", TABLE_7, XENOGRAFTS[drug][0][0], measure, "value")


def _needs_autoencoders(task: str) -> Claim:
    """Return what has to hold if LEAP's lead is to be credited to its autoencoders; the paper did not look."""
    where = " external validation" if task.endswith(SUFFIX) else ""
    text = f"autoencoders needed: LEAP above a ridge regression on the genes, task {task.removesuffix(SUFFIX)}{where}"
    return Claim(text, ABLATION, NO_NUMBER, partial(measures.above, task=task, other="PS-RIDGE"), "order")


def _counts() -> list[Claim]:
    """Return the counts of Table 1; that of task 5b has none."""
    return [
        Claim(f"{what}, task {task.id}", TABLE_1, float(published),
              partial(measures.count, task=task.id, column=what), "count")
        for task in TASKS.values() if task.paper_samples
        for what, published in (("samples", task.paper_samples), ("perturbations", task.paper_perturbations))
    ]  # fmt: skip


CLAIMS: tuple[Claim, ...] = (
    *(_gain(task, TISSUES if task in ("3a", "4a") else CELL_LINES, key) for task, key in _GAINS.items()),
    *(_first(task, CELL_LINES) for task in ("1b", "1a", "2a", f"2a{SUFFIX}")),
    _first("1b", CELL_LINES, OVERALL),
    *(_first(task, TISSUES) for task in ("3a", "4a", "3b", "4b")),
    _first("5a", MODELS),
    Claim("share of the main tasks on which LEAP is above all other models", DISCUSSION,
          STATED["tasks that LEAP wins, share"], partial(measures.tasks_won, tasks=MAIN), "share"),
    Claim("LEAP above the other models beyond chance (largest p), tasks 1a and 1b", "Introduction",
          STATED["level of significance"], partial(measures.largest_p, tasks=("1a", "1b")), "at most"),
    Claim("hours of LEAP's regressors, task 1a", CELL_LINES, STATED["hours of LEAP, at most"],
          partial(measures.hours, task="1a", model="LEAP"), "at most"),
    Claim("PP-LGBM's hours by LEAP's, task 1a", CELL_LINES,
          STATED["hours of PP-LGBM"] / STATED["hours of LEAP, at most"],
          partial(measures.times_as_fast, task="1a", other="PP-LGBM"), "factor"),
    Claim("hours of the DAMAEs, task 1a", CELL_LINES, STATED["hours of five DAMAEs, at most"],
          partial(measures.pretraining_hours, task="1a"), "at most"),
    *(claim for task in ("1a", "2a") for claim in _ablations(task)),
    *(_needs_autoencoders(task) for task in ("1a", "2a", f"2a{SUFFIX}", "3a", "3b", "4a", "4b", "5a")),
    _won("3a"),
    _won("4a"),
    _step("gain of folds grouped by tissue, task 4a", "tuning", "4a", (2, 1), STATED["gain of grouped folds, 4a"],
          "gain"),
    _step("no gain of folds grouped by tissue, task 3a", "tuning", "3a", (2, 1),
          STATED["gain of grouped folds, 3a, at most"], "at most"),
    _gap_of_gains(("3a", "4a"), ("1b", "1a", "2a")),
    _gap_of_gains(("4a",), ("2a",)),
    Claim("no gain of PS-TCRP by fine-tuning on 10 xenografts, task 5a", MODELS, STATED["gain of fine-tuning, at most"],
          partial(measures.difference, task="5a", model=TCRP + FEW_SHOT, other=TCRP), "at most"),
    *(_score(task, DISCUSSION) for task in ("1a", "2a")),
    *(_score(task, TABLE_3, OVERALL) for task in ("1a", "2a", "3a", "4a")),
    Claim("reproducibility between studies, at least", DISCUSSION, STATED["reproducibility, lowest"],
          partial(measures.reproducibility, task="2a"), "at least"),
    Claim("reproducibility between studies, at most", DISCUSSION, STATED["reproducibility, highest"],
          partial(measures.reproducibility, task="2a"), "at most"),
    Claim("LEAP as good as the reproducibility between studies allows", DISCUSSION, STATED["LEAP less reproducibility"],
          partial(measures.above_reproducibility, task="2a"), "close"),
    *(_specific(task) for task in ("1a", "2a", "3a", "4a")),
    *(Claim(f"score over all pairs of a model that knows no sample, as a share of LEAP's, task {task}", DISCUSSION,
            STATED["overall score without expression, share"],
            partial(measures.training_mean_share, task=task), "value") for task in ("1a", "2a")),
    *(_drug(drug) for drug in XENOGRAFTS),
    Claim("lines dropped for want of RNA-seq, task 1a", METHODS, STATED["lines without expression"],
          partial(measures.lost, task="1a", step="with expression"), "count"),
    Claim("outliers dropped, task 1a", METHODS, STATED["outliers"],
          partial(measures.lost, task="1a", step="without outliers (PCA)"), "count"),
    *_counts(),
)  # fmt: skip
