"""What is said follows from the numbers: on a task, on candidates, and on the choice among them."""

import re

import numpy as np
import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.results import comparisons, tables
from leaplib.results.claims import VERDICTS, verdict
from leaplib.results.comparisons import gains, interval
from leaplib.results.printing import cells_of, styled
from tests.frames import make_scores, results_of

SPLITS = [f"holdout-{i}" for i in range(4)]


def cells(text):
    """The first table in a verdict, by its first column."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[2:]}


def on_task(noise=0.001, task="2a", data="real", profile="paper", **means):
    """What is said of task 2a where models have these means; splits differ by noise."""
    rng, rows = np.random.default_rng(0), []
    for model, mean in means.items():
        for split in SPLITS:
            values = mean + rng.normal(0, noise) + np.linspace(-0.01, 0.01, 20)
            key = (task, model.replace("_", "-"), 0 if model == "PS_LASSO" else -1, split, "per_perturbation")
            rows += [(*key, f"p{i}", -1, "spearman", value, data) for i, value in enumerate(values)]
            rows.append((*key, "", 0, "spearman", values.mean(), data))
    scores = pd.DataFrame(rows, columns=make_scores().columns)
    return verdict(results_of(profile, scores=scores), f"task {task} 4a")


def test_a_task_is_told_against_the_best_of_the_papers_other_models():
    means = {"LEAP": 0.36, "PS_LASSO": 0.34, "PS_KNN": 0.30, "PS_RIDGE": 0.38}
    text = on_task(**means)
    row = cells(text)["2a"]
    assert row["best other model of the paper"].startswith("PS-LASSO 0.34") and row["splits"] == "4"
    assert re.fullmatch(r"\+0\.0\d\d \[\+0\.0\d\d, \+0\.0\d\d\]", row["LEAP less it"]) and row["data"] == "real"
    assert float(row["PS-RIDGE"]) == pytest.approx(0.38, abs=0.002) and row["LEAP+"] == "\N{EN DASH}"
    assert "**LEAP** is better than the best of the paper's other models on task 2a. A difference is told" in text
    assert cells(text)["4a"]["LEAP"] == "\N{EN DASH}" and "4a" not in text.split("**LEAP** is")[1]
    assert "not told from the best of the paper's other models on task 2a" in on_task(0.05, **means)
    assert "worse than the best" in on_task(**means | {"PS_KNN": 0.4})
    # The interval is narrow and above 0, but another set of DAMAEs may turn what is smaller than their spread.
    assert "not told from the best" in on_task(1e-5, LEAP=0.3415, PS_LASSO=0.34)
    assert "no verdict on the paper's" in on_task(profile="demo", **means) and "no verdict" not in text


def test_every_verdict_says_when_there_is_nothing_and_an_unknown_one_is_an_error():
    for about in VERDICTS:
        assert f"**{about.capitalize()} 2a**: no results" in verdict(results_of(), f"{about} 2a")
    with pytest.raises(InputError, match="a verdict about 'weather' is unknown: use one of task, external"):
        verdict(results_of(), "weather")


def make(means, task="2a", data="real", noise=0.002):
    """Scores of 20 perturbations on four splits, their differences all but constant."""
    rng = np.random.default_rng(0)
    level = rng.normal(0, 0.1, (20, 4))
    rows = [(task, name, split, f"p{p}", metric, mean + level[p, s] + rng.normal(0, noise), 2.0, data)
            for name, mean in means.items() for s, split in enumerate(SPLITS) for p in range(20)
            for metric in ("spearman", "pearson")]  # fmt: skip
    columns = ["task", "candidate", "split", "perturbation", "metric", "value", "seconds", "data"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture
def times():
    rows = [(task, split, model, seconds, seconds) for task in ("2a", "4a") for split in SPLITS[:2]
            for model, seconds in (("PS-LASSO r0", 5.0), ("PS-LASSO r1", 6.0), ("LEAP", 0.5), ("PS-RIDGE", 1.0),
                                   ("LEAP+", 3.0), ("PS-LGBM", 99.0))]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["task", "split", "model", "seconds", "core_seconds"])
    frame.loc[frame["task"] == "4a", "core_seconds"] *= 10
    return frame


def told(about, scores, times=None):
    parts = {"candidates": scores} | ({} if times is None else {"times": times})
    return verdict(results_of(**parts), about)


MEANS = {"LEAP": 0.40, "PS-LASSO": 0.38, "PS-RIDGE": 0.41, "LEAP+": 0.44}


def test_a_table_has_gains_and_costs(times):
    more = MEANS | {"mean of LEAP and LEAP+": 0.43, "ridge on codes": 0.41}
    scores = pd.concat([make(more), make(MEANS, "1a")])
    table = comparisons.gains_table(scores, times)
    pd.testing.assert_frame_equal(table.drop(columns="core_seconds"), gains(scores).drop(columns="seconds"))
    of = table["task"].map(table[table["candidate"] == "LEAP"].set_index("task")["mean"])
    assert table["gain"].to_numpy() == pytest.approx((table["difference"] / of).to_numpy())
    cost = table[table["task"] == "2a"].set_index("candidate")["core_seconds"].to_dict()
    assert cost == pytest.approx({"LEAP": 11.5, "PS-LASSO": 5, "PS-RIDGE": 1, "LEAP+": 3, "ridge on codes": 2,
                                  "mean of LEAP and LEAP+": 14.5})  # fmt: skip
    assert table.loc[table["task"] == "1a", "core_seconds"].isna().all()  # the log does not know it
    text = cells_of(styled("beyond_leap", table)).set_index(["Task", "Candidate"])
    row = text.loc[("2a", "LEAP+")]
    difference = table.set_index(["task", "candidate"]).loc[("2a", "LEAP+"), "difference"]
    assert row["Difference"] == f"{difference:+.4f}"
    assert (row["Perturbations won"], row["Splits won"], row["Core-seconds"]) == ("20 of 20", "4 of 4", "3")
    assert text.loc[("2a", "LEAP"), "Difference"] == ""
    assert text.loc[("2a", "PS-LASSO"), "P over splits"] != "" and text.loc[("2a", "LEAP"), "P over splits"] == ""


def test_tasks_stand_in_one_table_and_what_is_told_of_them_in_a_sentence():
    scores = [make(MEANS), make(MEANS | {"PS-RIDGE": 0.401}, "4a"), make(MEANS | {"LEAP+": 0.3}, "1a", "simulated")]
    text = told("autoencoders", pd.concat(scores))
    values = scores[0][scores[0]["metric"] == "spearman"].pivot(index=["candidate", "perturbation"], columns="split",
                                                                values="value")  # fmt: skip
    apart = (values.loc["PS-RIDGE"] - values.loc["LEAP"]).to_numpy()
    low, high = interval(apart.mean(axis=0))
    row = cells(text)["2a"]
    assert row["PS-RIDGE less LEAP"] == f"{apart.mean():+.3f} [{low:+.3f}, {high:+.3f}]" and row["LEAP"] == "0.412"
    assert "**PS-LASSO** is worse than LEAP on tasks 2a, 4a, 1a." in text
    assert "**PS-RIDGE** is better than LEAP on tasks 2a, 1a; not told from LEAP on task 4a." in text
    assert set(cells(told("autoencoders 4a", pd.concat(scores)))) == {"4a"}
    beyond = told("beyond 2a 1a", pd.concat(scores))
    assert "**LEAP+** is better than LEAP on task 2a; worse than LEAP on task 1a." in beyond
    assert cells(beyond)["1a"]["data"] == "simulated" and "goal" not in beyond


def test_the_best_candidate_is_told_against_the_simplest():
    head = "**Task 2a**, drug response, unseen cell lines (real data): of {} candidates **{}** has the highest mean, 0."
    text = told("candidates 2a", make(MEANS))
    assert text.startswith(head.format(4, "LEAP+"))
    assert re.search(r"It is better than PS-RIDGE: \+0\.0(29|30|31) \[\+0\.0\d\d, \+0\.0\d\d\]\.$", text)
    assert text.count("0.") == 4  # its mean, difference and interval alone
    assert "not told from PS-RIDGE" in told("candidates 2a", make(MEANS | {"LEAP+": 0.4115}))
    ahead = told("candidates 2a", make(MEANS | {"PS-RIDGE": 0.45}))
    assert ahead.startswith(head.format(4, "PS-RIDGE")) and "It is better than LEAP: +0.05" in ahead
    assert "It is better than LEAP: +0.04" in told("candidates 2a", make({"LEAP": 0.40, "LEAP+": 0.44}))
    assert "It is better than PS-LASSO: +0.02" in told("candidates 2a", make({"LEAP": 0.40, "PS-LASSO": 0.38}))
    one = make(MEANS)[lambda rows: rows["split"] == SPLITS[0]]
    assert re.search(r"It is not told from PS-RIDGE: \+0\.03\d\.$", told("candidates 2a", one))


def test_what_failed_is_a_gap_and_no_number(times):
    scores = make(MEANS | {"ridge on codes": 0.41})

    def without(name):
        return scores.assign(value=scores["value"].where(scores["candidate"] != name))

    shown = cells_of(styled("beyond_leap", comparisons.gains_table(without("ridge on codes"), times))).iloc[-1]
    assert shown["Candidate"] == "ridge on codes"
    assert shown[["Mean", "Difference", "Perturbations won"]].tolist() == ["", "", ""]
    text = told("candidates 2a", without("ridge on codes"))
    assert text.endswith(" **Failed**: ridge on codes.") and text.count("ridge on codes") == 1
    for name in ("LEAP", "LEAP+"):
        text = told("beyond", without(name))
        assert "**LEAP+** has no results." in text and cells(text)["2a"]["LEAP+ less LEAP"] == "\N{EN DASH}"
    assert "**No verdict**: LEAP, or all others, failed" in told("candidates 2a", without("LEAP"))


def chosen(inner, test=None, name=""):
    """What is said of a choice, by mean scores within training sets and on test sets, and the table as it is read."""

    def frame(values, split):
        rows = [("2a", candidate, split, f"p{p}", "spearman", value, 0.0, "real")
                for candidate, value in values.items() for p in range(3)]  # fmt: skip
        return pd.DataFrame(rows, columns=make(MEANS).columns)

    results = results_of(inner=frame(inner, "holdout-0, inner 0"), candidates=frame(test or inner, "holdout-0"))
    shown = cells_of(styled("beyond_leap_choice", tables.tidy("beyond leap choice", results)))
    return verdict(results, f"choice {name}".strip()), shown


def test_the_choice_is_told_with_what_came_of_it():
    inner, test = {"LEAP": 0.2, "LEAP+": 0.24, "PS-RIDGE": 0.22}, {"LEAP": 0.3, "LEAP+": 0.36, "PS-RIDGE": 0.33}
    text, shown = chosen(inner, test)
    assert "**LEAP+** gains most on LEAP, of 3 candidates: +0.040" in text and text.endswith("LEAP+: +20.0%.")
    other, _ = chosen(inner, test, "PS-RIDGE")
    assert "PS-RIDGE is number 2, behind it: +0.020." in other and other.endswith("did not see, PS-RIDGE: +10.0%.")
    assert "number 2, not told from it" in chosen(inner | {"PS-RIDGE": 0.2385}, test, "PS-RIDGE")[0]
    assert shown.columns.tolist() == ["Candidate", "Rank", "Gain on LEAP there", "Inner 2a", "Test 2a", "Data"]
    assert shown.iloc[0].tolist() == ["LEAP+", 1, "+0.0400", "0.2400", "0.3600", "real"]
    failed, shown = chosen(inner | {"LEAP+": np.nan}, test)
    assert failed == "**No verdict** within the training sets: LEAP+ failed there."
    assert shown.iloc[-1].tolist() == ["LEAP+", 3, "", "", "0.3600", "real"]
