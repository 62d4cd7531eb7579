"""What is said follows from the numbers: on a task, on candidates, and on the choice among them."""

import numpy as np
import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.results import tables
from leaplib.results.comparisons import gains, interval
from leaplib.results.printing import cells_of, styled
from leaplib.results.verdicts import VERDICTS, verdict
from tests.frames import make_scores, results_of

SPLITS = [f"holdout-{i}" for i in range(4)]


def on_task(values, splits=("holdout-0", "holdout-1"), data="real"):
    """What is said of task 2a where models have these values on splits; "PS-LASSO 1" is its second member."""
    rows = []
    for name, per_split in values.items():
        model, _, member = name.partition(" r")
        key = (model, int(member or -1))
        rows += [("2a", *key, split, "per_perturbation", "", 0, "spearman", value, data)
                 for split, value in zip(splits, per_split, strict=True)]  # fmt: skip
    scores = pd.DataFrame(rows, columns=make_scores().columns)
    return verdict(results_of(scores=scores), "task 2a")


MODELS = {"LEAP": (0.4, 0.6), "PS-LASSO r0": (0.3, 0.5), "PS-LASSO r1": (0.2, 0.7), "PS-KNN": (0.1, 0.1),
          "Tissue mean": (0.2, 0.2), "LEAP (shuffled labels)": (0.01, 0.01)}  # fmt: skip


def test_a_task_s_verdict_counts_the_splits_that_leap_wins():
    text = on_task(MODELS)
    assert "above PS-LASSO in 2 of 2 holdouts" in text and "0.400 to 0.450" in text and "of 0.500." in text
    assert "The paper reports: LEAP 0.350, PP-LGBM 0.335" in text and "Other models" not in text
    more = on_task(MODELS | {"PP-MLP": (0.1, 0.7), "PS-LGBM": (0.3, 0.2)}, data="simulated")
    assert "Other models: PP-MLP 0.400, PS-LGBM 0.250; LEAP is above PP-MLP in 1 of 2 holdouts." in more
    assert "The paper" not in more


def test_what_is_missing_is_a_dash_and_is_not_compared():
    assert "PS-KNN reaches \N{EN DASH}." in on_task(MODELS | {"PS-KNN": (np.nan, np.nan)})
    assert "in 1 of 1 holdouts, and PS-KNN" in on_task(MODELS | {"PS-LASSO r0": (0.3, np.nan)})
    assert "(on 1 of 2)" in on_task(MODELS | {"LEAP": (0.4, np.nan)})
    nothing = "**Task 2a**: LEAP has no results (failed, or not run), and there is nothing to compare."
    assert on_task(MODELS | {"LEAP": (np.nan, np.nan)}) == nothing
    assert verdict(results_of(scores=make_scores("1a")), "task 2a") == nothing


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


def test_a_table_has_gains_costs_and_goals(times):
    more = MEANS | {"mean of LEAP and LEAP+": 0.43, "ridge on codes": 0.41}
    scores = pd.concat([make(more), make(MEANS, "1a")])
    table = tables.gains_table(scores, times)
    pd.testing.assert_frame_equal(table.drop(columns=["core_seconds", "goal"]), gains(scores).drop(columns="seconds"))
    cost = table[table["task"] == "2a"].set_index("candidate")["core_seconds"].to_dict()
    assert cost == pytest.approx({"LEAP": 11.5, "PS-LASSO": 5, "PS-RIDGE": 1, "LEAP+": 3, "ridge on codes": 2,
                                  "mean of LEAP and LEAP+": 14.5})  # fmt: skip
    assert table.loc[table["task"] == "1a", "core_seconds"].isna().all()  # the log does not know it
    assert table.groupby("task")["goal"].first().to_dict() == pytest.approx({"2a": 0.05, "1a": np.nan}, nan_ok=True)
    text = cells_of(styled("beyond_leap", table)).set_index(["Task", "Candidate"])
    row = text.loc[("2a", "LEAP+")]
    difference = table.set_index(["task", "candidate"]).loc[("2a", "LEAP+"), "difference"]
    assert row["Difference"] == f"{difference:+.4f}" and row["Goal"] == "+5.0%"
    assert (row["Perturbations won"], row["Splits won"], row["Core-seconds"]) == ("20 of 20", "4 of 4", "3")
    assert text.loc[("2a", "LEAP"), "Difference"] == "" and text.loc[("2a", "PS-LASSO"), "Goal"] == ""


@pytest.mark.parametrize(("lasso", "ridge", "said"), [
    (0.38, 0.42, "More than the whole gain is had without any autoencoder"),
    (0.38, 0.40, "Without any autoencoder no difference to LEAP is shown"),
    (0.36, 0.39, "75% of the gain is had without any autoencoder"),
    (0.38, 0.37, "The gain is not had without the autoencoders"),
    (0.40, 0.42, "itself not told from chance here, and PS-RIDGE **is better than LEAP** without any autoencoder."),
    (0.41, 0.40, "itself not told from chance here, and PS-RIDGE is not told from LEAP either."),
    (0.41, 0.38, "itself not told from chance here, and PS-RIDGE **is worse than LEAP**: autoencoders help."),
])  # fmt: skip
def test_what_follows_for_the_autoencoders(lasso, ridge, said):
    scores = make({"LEAP": 0.40, "PS-LASSO": lasso, "PS-RIDGE": ridge}, data="simulated", noise=2e-4)
    text = told("autoencoders 2a", scores)
    assert said in text and text.startswith("**Task 2a**, drug response, unseen cell lines (simulated data).")
    values = scores[scores["metric"] == "spearman"].pivot(index=["candidate", "perturbation"], columns="split",
                                                          values="value")  # fmt: skip
    pairs = {"LEAP's gain: ": ("LEAP", "PS-LASSO"), "to PS-LASSO ": ("PS-RIDGE", "PS-LASSO"),
             "to LEAP ": ("PS-RIDGE", "LEAP")}  # fmt: skip
    for words, (one, other) in pairs.items():
        apart = (values.loc[one] - values.loc[other]).to_numpy()
        low, high = interval(apart.mean(axis=0))
        assert f"{words}{apart.mean():+.4f} [{low:+.4f}, {high:+.4f}]" in text


@pytest.mark.parametrize(("plus", "task", "noise", "chance", "goal"), [
    (0.44, "2a", 0.001, "whole interval is above 0", "5% is **reached**, by the whole interval."),
    (0.4205, "2a", 0.01, "whole interval is above 0", "5% is **reached**, though the interval reaches below it."),
    (0.41, "2a", 0.001, "whole interval is above 0", "5% is **missed**."),
    (0.44, "4a", 0.001, "whole interval is above 0", "15% is **missed**."),
    (0.47, "3b", 0.001, "whole interval is above 0", "15% is **reached**, by the whole interval."),
    (0.40, "1a", 0.05, "the interval holds 0", None),
    (0.35, "4b", 0.001, "whole interval is below 0", "15% is **missed**."),
])  # fmt: skip
def test_goals_are_held_against_the_interval(plus, task, noise, chance, goal, times):
    scores = make({"LEAP": 0.40, "LEAP+": plus}, task, noise=noise)
    text = told(f"goal {task}", scores, times)
    assert chance in text and ("goal" in text) == (goal is not None) and (goal is None or goal in text)
    row = gains(scores).set_index("candidate").loc["LEAP+"]
    assert f"or {row['gain']:+.1%} of LEAP" in text and f"in {row['perturbations_won']} of 20 perturbations" in text
    assert ("3.00 core-seconds a split, LEAP 11.50" in text) == (task == "2a")


def test_candidates_are_sorted_into_winners_and_losers():
    lines = told("candidates 2a", make(MEANS | {"ridge on codes": 0.40})).splitlines()
    assert lines[0].endswith("4 candidates beside LEAP:")
    names = [[item.rpartition(" (")[0] for item in line.partition(": ")[2].split("; ")] for line in lines[2:]]
    assert names == [["LEAP+", "PS-RIDGE"], ["ridge on codes"], ["PS-LASSO"]]
    few = told("candidates 2a", make({"LEAP": 0.4, "LEAP+": 0.45}))
    assert few.endswith("- Worse than LEAP, beyond chance: none.")


def test_all_tasks_together_real_ones_apart():
    worse, equal = MEANS | {"PS-RIDGE": 0.39, "LEAP+": 0.47}, MEANS | {"PS-RIDGE": 0.40, "LEAP+": 0.40}
    scores = [make(MEANS, "2a"), make(worse, "4a"), make(equal, "1a", "simulated", 2e-4)]
    real, simulated = told("beyond", pd.concat(scores)).split("\n")
    assert real == ("- **Real data** (task 2a, 4a). PS-RIDGE, without autoencoders, is better than LEAP on 1 of 2 "
                    "tasks, worse on 1, not told from it on 0: they help on task 4a. LEAP+ is better than LEAP on 2 of "
                    "2 tasks, worse on 0, not told from it on 0; it reaches 2 of 2 goals (2a, 4a).")  # fmt: skip
    assert simulated.startswith("- **Simulated data** (task 1a). ") and "nothing here shows that they are" in simulated
    assert "not told from it on 1: " in simulated and "goals" not in simulated


def test_what_failed_is_a_gap_and_no_number(times):
    scores = make(MEANS | {"ridge on codes": 0.41})

    def without(name):
        return scores.assign(value=scores["value"].where(scores["candidate"] != name))

    shown = cells_of(styled("beyond_leap", tables.gains_table(without("ridge on codes"), times))).iloc[-1]
    assert shown["Candidate"] == "ridge on codes"
    assert shown[["Mean", "Difference", "Perturbations won"]].tolist() == ["", "", ""]
    text = told("candidates 2a", without("ridge on codes"))
    assert text.endswith("- **Failed**: ridge on codes.") and text.count("ridge on codes") == 1
    assert "LEAP+ scores 0.4" in told("goal 2a", without("ridge on codes"))
    for name in ("LEAP", "LEAP+"):
        assert f"**No verdict**: {name} failed" in told("goal 2a", without(name))
        assert "better than LEAP on 0 of 0 tasks" in told("beyond", without(name))
    assert "**No verdict**: LEAP failed" in told("candidates 2a", without("LEAP"))
    assert "**No verdict**: PS-LASSO failed" in told("autoencoders 2a", without("PS-LASSO"))


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
    assert "**LEAP+ is the best** of 3 candidates: +20.0%" in text and "LEAP+ +20.0%." in text
    other, _ = chosen(inner, test, "PS-RIDGE")
    assert "PS-RIDGE is **number 2 of 3**; LEAP+ is the best (+20.0% on LEAP there): +10.0%" in other
    assert "task 2a, which the choice did not see: LEAP+ +20.0% and PS-RIDGE +10.0%." in other
    assert shown.columns.tolist() == ["Candidate", "Rank", "Gain on LEAP there", "Inner 2a", "Test 2a", "Data"]
    assert shown.iloc[0].tolist() == ["LEAP+", 1, "+20.0%", "0.2400", "0.3600", "real"]
    failed, shown = chosen(inner | {"LEAP+": np.nan}, test)
    assert failed == "**No verdict** within the training sets: LEAP+ failed there."
    assert shown.iloc[-1].tolist() == ["LEAP+", 3, "", "", "0.3600", "real"]
