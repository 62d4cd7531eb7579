import numpy as np
import pandas as pd
import pytest

from leaplib.results import verdicts
from leaplib.results.comparisons import bootstrap_interval, gains

SPLITS = [f"holdout-{i}" for i in range(4)]


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


MEANS = {"LEAP": 0.40, "PS-LASSO": 0.38, "PS-RIDGE": 0.41, "LEAP+": 0.44}


def test_a_table_has_gains_costs_and_goals(times):
    more = MEANS | {"mean of LEAP and LEAP+": 0.43, "ridge on codes": 0.41}
    scores = pd.concat([make(more), make(MEANS, "1a")])
    table = verdicts.gains_table(scores, times)
    pd.testing.assert_frame_equal(table.drop(columns=["core_seconds", "goal"]), gains(scores).drop(columns="seconds"))
    cost = table[table["task"] == "2a"].set_index("candidate")["core_seconds"].to_dict()
    assert cost == pytest.approx({"LEAP": 11.5, "PS-LASSO": 5, "PS-RIDGE": 1, "LEAP+": 3, "ridge on codes": 2,
                                  "mean of LEAP and LEAP+": 14.5})  # fmt: skip
    assert table.loc[table["task"] == "1a", "core_seconds"].isna().all()  # the log does not know it
    assert table.groupby("task")["goal"].first().to_dict() == pytest.approx({"2a": 0.05, "1a": np.nan}, nan_ok=True)
    text = verdicts.readable(table)
    row = text.loc[("2a", "LEAP+")]
    difference = table.set_index(["task", "candidate"]).loc[("2a", "LEAP+"), "difference"]
    assert row["difference to LEAP"].startswith(f"{difference:+.4f} [") and row["goal"] == "+5.0%"
    assert (row["won"], row["splits won"], row["core-seconds"]) == ("20 of 20", "4 of 4", "3.00")
    assert text.loc[("2a", "LEAP"), "difference to LEAP"] == "" and text.loc[("2a", "PS-LASSO"), "goal"] == ""


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
    text = verdicts.autoencoder_verdict(scores, "2a")
    assert said in text and text.startswith("**Task 2a**, drug response, unseen cell lines (simulated data).")
    values = scores[scores["metric"] == "spearman"].pivot(index=["candidate", "perturbation"], columns="split",
                                                          values="value")  # fmt: skip
    pairs = {"LEAP's gain: ": ("LEAP", "PS-LASSO"), "to PS-LASSO ": ("PS-RIDGE", "PS-LASSO"),
             "to LEAP ": ("PS-RIDGE", "LEAP")}  # fmt: skip
    for words, (one, other) in pairs.items():
        apart = (values.loc[one] - values.loc[other]).to_numpy()
        low, high = bootstrap_interval(apart)
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
    table = verdicts.gains_table(make({"LEAP": 0.40, "LEAP+": plus}, task, noise=noise), times)
    text = verdicts.goal_verdict(table, task)
    assert chance in text and ("goal" in text) == (goal is not None) and (goal is None or goal in text)
    row = table.set_index("candidate").loc["LEAP+"]
    assert f"or {row['gain']:+.1%} of LEAP" in text and f"in {row['perturbations_won']} of 20 perturbations" in text
    assert ("3.00 core-seconds a split, LEAP 11.50" in text) == (task == "2a")


def test_candidates_are_sorted_into_winners_and_losers(times):
    table = verdicts.gains_table(make(MEANS | {"ridge on codes": 0.40}), times)
    lines = verdicts.candidates_verdict(table, "2a").splitlines()
    assert lines[0].endswith("4 candidates beside LEAP:")
    names = [[item.rpartition(" (")[0] for item in line.partition(": ")[2].split("; ")] for line in lines[2:]]
    assert names == [["LEAP+", "PS-RIDGE"], ["ridge on codes"], ["PS-LASSO"]]
    few = verdicts.gains_table(make({"LEAP": 0.4, "LEAP+": 0.45}), times)
    assert verdicts.candidates_verdict(few, "2a").endswith("- Worse than LEAP, beyond chance: none.")


def test_all_tasks_together_real_ones_apart(times):
    worse, equal = MEANS | {"PS-RIDGE": 0.39, "LEAP+": 0.47}, MEANS | {"PS-RIDGE": 0.40, "LEAP+": 0.40}
    scores = [make(MEANS, "2a"), make(worse, "4a"), make(equal, "1a", "simulated", 2e-4)]
    real, simulated = verdicts.conclusion(verdicts.gains_table(pd.concat(scores), times)).split("\n")
    assert real == ("- **Real data** (task 2a, 4a). PS-RIDGE, without autoencoders, is better than LEAP on 1 of 2 "
                    "tasks, worse on 1, not told from it on 0: they help on task 4a. LEAP+ is better than LEAP on 2 of "
                    "2 tasks, worse on 0, not told from it on 0; it reaches 2 of 2 goals (2a, 4a).")  # fmt: skip
    assert simulated.startswith("- **Simulated data** (task 1a). ") and "nothing here shows that they are" in simulated
    assert "not told from it on 1: " in simulated and "goals" not in simulated


def test_every_goal_is_of_a_known_task_and_every_compared_candidate_known():
    assert set(verdicts.COMPARED) <= set(verdicts.CANDIDATES)
    assert verdicts.GOALS == {"2a": 0.05, "3b": 0.15, "4a": 0.15, "4b": 0.15}


def test_what_failed_is_a_gap_and_no_number(times):
    scores = make(MEANS | {"ridge on codes": 0.41})
    one = scores["candidate"] == "ridge on codes"
    table = verdicts.gains_table(scores.assign(value=scores["value"].where(~one)), times)
    row = table.set_index("candidate").loc["ridge on codes"]
    assert table["candidate"].iloc[-1] == "ridge on codes" and row[["mean", "difference", "gain", "low"]].isna().all()
    shown = verdicts.readable(table).loc[("2a", "ridge on codes")]
    assert shown[["Spearman", "difference to LEAP", "won"]].tolist() == ["", "", ""]
    text = verdicts.candidates_verdict(table, "2a")
    assert text.endswith("- **Failed**: ridge on codes.") and text.count("ridge on codes") == 1
    assert "LEAP+ scores 0.4" in verdicts.goal_verdict(table, "2a")
    for name in ("LEAP", "LEAP+"):
        failed = scores.assign(value=scores["value"].where(scores["candidate"] != name))
        table = verdicts.gains_table(failed, times)
        assert f"**No verdict**: {name} failed" in verdicts.goal_verdict(table, "2a")
        assert "better than LEAP on 0 of 0 tasks" in verdicts.conclusion(table)
    assert "**No verdict**: LEAP failed" in verdicts.candidates_verdict(verdicts.gains_table(
        scores.assign(value=scores["value"].where(scores["candidate"] != "LEAP")), times), "2a")  # fmt: skip
    lasso = scores.assign(value=scores["value"].where(scores["candidate"] != "PS-LASSO"))
    assert "**No verdict**: PS-LASSO failed" in verdicts.autoencoder_verdict(lasso, "2a")


def test_a_candidate_that_failed_on_one_split_is_compared_on_the_others(times):
    scores = make(MEANS)
    lost = (scores["candidate"] == "LEAP+") & (scores["split"] == SPLITS[0])
    row = gains(scores.assign(value=scores["value"].where(~lost))).set_index("candidate").loc["LEAP+"]
    rest = gains(scores[scores["split"] != SPLITS[0]]).set_index("candidate").loc["LEAP+"]
    assert row["n_splits"] == 3
    assert row["difference"] == pytest.approx(rest["difference"])
