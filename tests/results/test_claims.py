"""Claims: each rule on made-up numbers, each measure on made-up results, and the list held against the paper."""

import ast
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leaplib.results import claims, evidence, measures
from leaplib.results.claim_list import CLAIMS, reported, reported_gain, reported_margin
from leaplib.results.claims import (
    DIRECTION,
    FAILS,
    HOLDS,
    RULES,
    UNTESTED,
    Claim,
    claims_table,
    conclusion,
    print_claims,
)
from leaplib.results.evidence import SCORE_COLUMNS, Evidence
from leaplib.results.external import REPRODUCIBILITY
from leaplib.results.measures import Finding, UntestedError
from leaplib.results.published import STATED
from leaplib.runs.ablations import COLUMNS as ABLATION_COLUMNS
from leaplib.runs.ablations import NOT_YET
from leaplib.tasks import TASKS

MODELS = {"PP-LGBM": 0.25, "PP-tDNN": 0.24, "PP-MLP": 0.26, "PS-KNN": 0.2, "PS-LGBM": 0.27, "PS-LASSO": 0.3,
          "LEAP": 0.35, "PS-TCRP": 0.22, "PS-TCRP (10-shot)": 0.21}  # fmt: skip
SPLITS = ("s0", "s1", "s2")
N = 20


def scores(task="1a", data="real", splits=SPLITS, overall=0.7, seed=0, **means):
    """Scores whose mean over each split is exactly a model's; PS-LASSO has two members."""
    design = TASKS[task.partition(" ")[0]].design
    wanted = {name: mean for name, mean in MODELS.items() if design != "holdout" or "TCRP" not in name}
    wanted |= {"Training mean": 0.0} | {name.replace("_", "-"): mean for name, mean in means.items()}
    rng, rows = np.random.default_rng(seed), []
    for model, mean in wanted.items():
        for member in (0, 1) if model == "PS-LASSO" else (-1,):
            for split in splits:
                noise = rng.normal(0, 0.01, N)
                values = mean - 0.01 * max(member, 0) + noise - noise.mean()
                key = (task, model, member, split)
                rows += [(*key, "per_perturbation", f"p{i}", -1, "spearman", v, data) for i, v in enumerate(values)]
                rows.append((*key, "per_perturbation", "", 0, "spearman", values.mean(), data))
                share = 0.98 if model == "Training mean" else 0.8 + mean
                rows.append((*key, "overall", "", 0, "spearman", overall * share, data))
    return pd.DataFrame(rows, columns=SCORE_COLUMNS)


def ablations(means, task="1a", group="steps", data="real", notes=None):
    rows = []
    for number, mean in enumerate(means, start=1):
        key = (task, group, f"variant {number}", "LEAP", -1)
        if note := (notes or {}).get(number):
            rows.append((*key, "", "per_perturbation", "", 0, "spearman", np.nan, data, note))
            continue
        rows += [(*key, split, "per_perturbation", "", 0, "spearman", mean + shift, data, "")
                 for split, shift in (("s0", 0.01), ("s1", -0.01))]  # fmt: skip
        rows += [(*key, split, "overall", "", 0, "spearman", 9.0, data, "") for split in ("s0", "s1")]
    return pd.DataFrame(rows, columns=ABLATION_COLUMNS)


def row(claim, **parts):
    return claim.row(Evidence(**parts))


def by_text(text):
    (found,) = [claim for claim in CLAIMS if claim.claim == text]
    return found


# ---- the rules


@pytest.mark.parametrize(
    ("rule", "ours", "published", "verdict"),
    [
        ("gain", 0.17, 0.16, HOLDS), ("gain", 0.24, 0.16, HOLDS), ("gain", 0.25, 0.16, DIRECTION),
        ("gain", 0.07, 0.16, DIRECTION), ("gain", -0.001, 0.16, FAILS), ("gain", -0.001, 0.001, FAILS),
        ("gain", 0.019, 0.01, HOLDS), ("gain", 0.021, 0.01, DIRECTION),
        ("order", 0.001, 0.2, HOLDS), ("order", 0.001, np.nan, HOLDS), ("order", 0.0, 0.2, FAILS),
        ("order", -0.1, -0.1, FAILS),
        ("value", 0.36, 0.35, HOLDS), ("value", 0.40, 0.35, DIRECTION), ("value", -0.1, 0.35, FAILS),
        ("value", -0.2, -0.27, DIRECTION), ("value", 0.31, 0.35, DIRECTION),
        ("close", 0.04, 0.0, HOLDS), ("close", -0.04, 0.0, HOLDS), ("close", 0.06, 0.0, FAILS),
        ("close", -0.06, 0.0, FAILS),
        ("count", 1019, 1019, HOLDS), ("count", 1035, 1019, HOLDS), ("count", 1050, 1019, DIRECTION),
        ("count", 930, 1019, DIRECTION), ("count", 900, 1019, FAILS), ("count", 1200, 1019, FAILS),
        ("at most", 0.05, 0.05, HOLDS), ("at most", 0.051, 0.05, FAILS),
        ("at least", 0.2, 0.2, HOLDS), ("at least", 0.19, 0.2, FAILS),
        ("factor", 18, 35, HOLDS), ("factor", 17, 35, DIRECTION), ("factor", 0.9, 35, FAILS),
        ("share", 0.8, 0.8, HOLDS), ("share", 0.7, 0.8, DIRECTION), ("share", 0.5, 0.8, FAILS),
    ],
)  # fmt: skip
def test_rules(rule, ours, published, verdict):
    found = Finding(ours, "real", "")
    assert RULES[rule](found, published) == verdict
    assert Claim("c", "s", published, lambda _: found, rule).row(Evidence())["verdict"] == verdict
    assert (
        Claim("c", "s", published, lambda _: replace(found, data="mixed"), rule).row(Evidence())["verdict"] == UNTESTED
    )


def test_an_order_within_its_interval_holds_in_direction_alone():
    assert RULES["order"](Finding(0.1, "real", "", low=-0.01), 0.1) == DIRECTION
    assert RULES["order"](Finding(0.1, "real", "", low=0.01), 0.1) == HOLDS
    assert RULES["order"](Finding(-0.1, "real", "", low=0.01), 0.1) == FAILS


def test_the_rules_are_written_with_their_tolerances():
    text = claims.__doc__
    for name in ("GAIN_LEAST", "VALUE", "CLOSE"):
        assert f"{getattr(claims, name):g} (`{name}`)" in text
    for name in ("GAIN_SHARE", "COUNT", "COUNT_ROUGH", "FACTOR_SHARE"):
        assert f"{100 * getattr(claims, name):g}%" in text
        assert f"(`{name}`)" in text
    assert all(f"\n{rule} " in text for rule in RULES)


# ---- what is not testable


@pytest.mark.parametrize("data", ["simulated", "mixed"])
def test_on_simulated_data_the_number_is_given_and_the_claim_is_not_testable(data):
    claim = by_text("LEAP's relative gain over PP-LGBM, task 1a")
    table = scores(data="simulated")
    if data == "mixed":
        table.loc[table["model"] == "LEAP", "data"] = "real"
    found = row(claim, scores=table)
    assert found["ours"] == pytest.approx(0.35 / 0.25 - 1)
    assert found["difference"] == pytest.approx(0.4 - 0.17)
    assert (found["data"], found["verdict"], found["note"]) == (data, UNTESTED, f"{data} data")


def test_what_was_not_run_is_not_testable_and_says_why():
    claim = by_text("LEAP above all other models, task 1a")
    lacking = scores()[lambda t: t["model"] != "PP-MLP"]
    found = row(claim, scores=lacking)
    assert (found["verdict"], found["data"], found["note"]) == (UNTESTED, "none", "task 1a has no results of PP-MLP")
    assert np.isnan(found["ours"])
    assert row(claim)["note"] == "task 1a has no results"
    table = claims_table(Evidence(), CLAIMS)
    assert set(table["verdict"]) == {UNTESTED}
    assert table["ours"].isna().all()
    assert (table["note"] != "").all()


# ---- the measures


def test_gains_orders_and_scores():
    e = Evidence(scores=scores())
    assert measures.gain(e, "1a", "LEAP", "PP-LGBM").value == pytest.approx(0.4)
    found = measures.margin(e, "1a")
    assert found.value == pytest.approx(0.05)  # above PS-LASSO, the best of the others
    assert 0.03 < found.low < 0.05
    assert found.n == "3 splits, 20 perturbations"
    assert measures.score(e, "1a").value == pytest.approx(0.35)
    assert measures.difference(e, "1a", "PS-LASSO", "PP-LGBM").value == pytest.approx(0.05)
    assert measures.above_members(e, "1a").value == pytest.approx(0.05)
    overall = measures.margin(e, "1a", measures.OVERALL)
    assert overall.value == pytest.approx(0.7 * 0.05)
    assert np.isnan(overall.low)
    assert measures.training_mean_share(e, "1a").value == pytest.approx(0.98 / 1.15)


def test_leap_behind_any_model_is_an_order_that_does_not_hold():
    claim = by_text("LEAP above all other models, task 1a")
    assert row(claim, scores=scores())["verdict"] == HOLDS
    specific = by_text("a model a perturbation (PS-LASSO) above one of all (PP-LGBM), task 1a")
    assert row(specific, scores=scores())["ours"] == pytest.approx(0.05)
    assert row(specific, scores=scores(PP_LGBM=0.31))["verdict"] == FAILS
    behind = scores(PP_MLP=0.36)
    assert row(claim, scores=behind)["verdict"] == FAILS
    assert row(by_text("LEAP's relative gain over PP-LGBM, task 1a"), scores=scores(PP_LGBM=0.36))["verdict"] == FAILS


def test_models_that_the_paper_lacks_are_no_rivals_in_its_claims():
    ahead = scores(**{"PS-RIDGE": 0.5})
    assert row(by_text("LEAP above all other models, task 1a"), scores=ahead)["verdict"] == HOLDS
    assert measures.largest_p(Evidence(scores=ahead), ("1a",)).value < 0.05


def test_gains_are_of_the_splits_that_both_ran_on():
    lacking = scores()
    lacking.loc[(lacking["model"] == "LEAP") & (lacking["split"] == "s2"), "value"] = 5.0
    lacking = lacking[~((lacking["model"] == "PP-LGBM") & (lacking["split"] == "s2"))]
    found = measures.gain(Evidence(scores=lacking), "1a", "LEAP", "PP-LGBM")
    assert found.value == pytest.approx(0.4)
    assert found.n.startswith("2 splits")
    with pytest.raises(UntestedError, match="not above 0"):
        measures.gain(Evidence(scores=scores(PP_LGBM=-0.1)), "1a", "LEAP", "PP-LGBM")


def test_tissues_and_tasks_won():
    one_lost = scores("4a", splits=tuple("abcd"))
    rows = (one_lost["model"] == "PP-MLP") & (one_lost["split"] == "b") & (one_lost["perturbation"] == "")
    one_lost.loc[rows, "value"] = 0.9
    e = Evidence(scores=pd.concat([one_lost, scores("1a", PS_KNN=0.4)]))
    assert measures.splits_won(e, "4a").value == 0.75
    assert row(by_text("share of tissues in which LEAP is above all other models, task 4a"), scores=one_lost)[
        "published"] == pytest.approx(0.8)  # fmt: skip
    won = measures.tasks_won(Evidence(scores=pd.concat([scores("4a"), scores("1a", PS_KNN=0.4)])), ("4a", "1a"))
    assert (won.value, won.n, won.data) == (0.5, "2 tasks", "real")


def test_gains_on_tissues_against_gains_on_lines():
    parts = [scores("3a", PP_LGBM=0.2), scores("4a", PP_LGBM=0.175), scores("1a"), scores("2a", data="simulated")]
    found = measures.gap_of_gains(Evidence(scores=pd.concat(parts)), ("3a", "4a"), ("1a", "2a"))
    assert found.value == pytest.approx(0.75 - 0.4)
    assert found.data == "mixed"


def test_the_largest_p_is_1_where_leap_is_behind():
    e = Evidence(scores=pd.concat([scores("1a"), scores("1b")]))
    found = measures.largest_p(e, ("1a", "1b"))
    assert found.value == e.comparisons["p_holm"].max() < 0.05
    assert measures.largest_p(Evidence(scores=scores("1a", PS_KNN=0.5)), ("1a",)).value == 1.0


STEPS = (0.28, 0.32, 0.32, 0.32, 0.318, 0.317, 0.316, 0.32, 0.332)


def test_steps_of_the_ablation():
    e = Evidence(ablations=ablations(STEPS))
    assert measures.step_gain(e, "1a", "steps", 2, 1).value == pytest.approx(0.32 / 0.28 - 1)
    gap = measures.step_gap(e, "1a", "steps", ((9, 8), (8, 7)))
    assert gap.value == pytest.approx(0.332 / 0.32 - 0.32 / 0.316)
    verdicts = claims_table(e, [claim for claim in CLAIMS if "ensembling" in claim.section]).set_index("claim")[
        "verdict"
    ]
    assert verdicts["gain of PS-LASSO instead of PP-LGBM, task 1a"] == HOLDS
    assert verdicts["PS-LASSO instead of PP-LGBM is the largest step, task 1a"] == HOLDS
    assert verdicts["gain of averaging 5 fold models, task 1a"] == HOLDS
    assert verdicts["gain of averaging over 5 DAMAEs, task 1a"] == HOLDS
    assert verdicts["a DAMAE that sees all samples loses less than 1%, task 1a"] == HOLDS
    assert verdicts["no gain by scaler and DAMAE that see all sources, task 1a"] == HOLDS
    worse = Evidence(ablations=ablations((0.28, 0.281, 0.32, 0.32, 0.31, 0.317, 0.33, 0.32, 0.321)))
    verdicts = claims_table(worse, [claim for claim in CLAIMS if "ensembling" in claim.section]).set_index("claim")[
        "verdict"
    ]
    assert verdicts["gain of PS-LASSO instead of PP-LGBM, task 1a"] == DIRECTION
    assert verdicts["PS-LASSO instead of PP-LGBM is the largest step, task 1a"] == FAILS
    assert verdicts["gain of averaging 5 fold models, task 1a"] == FAILS
    assert verdicts["a DAMAE that sees all samples loses less than 1%, task 1a"] == FAILS
    assert verdicts["no gain by scaler and DAMAE that see all sources, task 1a"] == FAILS


def test_a_step_whose_source_is_absent_is_stood_for_and_one_that_was_not_run_yet_is_not():
    absent = dict.fromkeys((3, 6, 7), "not run: GDSC not at hand")
    e = Evidence(ablations=ablations(STEPS, notes=absent))
    found = measures.step_gain(e, "1a", "steps", 8, 7)
    assert found.value == pytest.approx(0.32 / 0.318 - 1)
    assert found.n.endswith("5 in place of 7")
    with pytest.raises(UntestedError, match=r"ablation of task 1a \(steps\): 3 or 7 was not run"):
        measures.step_gain(e, "1a", "steps", 7, 3)
    assert measures.step_gap(e, "1a", "steps", ((2, 1), (3, 2), (9, 8))).value == pytest.approx(
        0.32 / 0.28 - 0.332 / 0.32
    )
    with pytest.raises(UntestedError, match="nothing to compare with"):
        measures.step_gap(e, "1a", "steps", ((2, 1), (3, 2)))
    later = Evidence(ablations=ablations(STEPS, notes={7: NOT_YET}))
    with pytest.raises(UntestedError, match="7 or 8 was not run"):
        measures.step_gain(later, "1a", "steps", 8, 7)


def test_regressors_on_one_representation_and_tuning():
    table = pd.concat([ablations((0.32, 0.3225, 0.332), group="ensembles"),
                       ablations((0.16, 0.165, 0.16), task="4a", group="tuning"),
                       ablations((0.16, 0.165, 0.16), task="3a", group="tuning")])  # fmt: skip
    verdicts = claims_table(Evidence(ablations=table), CLAIMS).set_index("claim")["verdict"]
    assert verdicts["gain of 25 regressors on one representation over 5, task 1a"] == HOLDS
    assert verdicts["LEAP above 25 regressors on one representation, task 1a"] == HOLDS
    assert verdicts["gain of folds grouped by tissue, task 4a"] == HOLDS
    assert verdicts["no gain of folds grouped by tissue, task 3a"] == FAILS


def xenografts(**means):
    table = scores("5a", splits=("PDX",), **means)
    drugs = pd.DataFrame([("5b", "LEAP", -1, "PDX", "per_perturbation", "Erlotinib", i, "spearman", value, "real")
                          for i, value in ((-1, 9.0), (0, 0.5), (1, 0.6))], columns=SCORE_COLUMNS)  # fmt: skip
    return pd.concat([table, drugs])


def test_xenografts():
    e = Evidence(scores=xenografts())
    assert measures.by_drug(e, "5b", "Erlotinib").value == pytest.approx(0.55)  # not the row over all xenografts
    verdicts = claims_table(e, CLAIMS).set_index("claim")["verdict"]
    assert verdicts["LEAP's Spearman correlation, Erlotinib, task 5b"] == HOLDS
    assert verdicts["LEAP's Spearman correlation, Cetuximab, task 5b"] == UNTESTED
    tuned = "no gain of PS-TCRP by fine-tuning on 10 xenografts, task 5a"
    assert verdicts[tuned] == HOLDS
    better = scores("5a", splits=("PDX",))
    better.loc[better["model"] == "PS-TCRP (10-shot)", "value"] += 0.2
    assert row(by_text(tuned), scores=better)["verdict"] == FAILS


def external(study, leap):
    table = scores("2a external", data="real")
    label = table[table["model"] == "PS-KNN"].assign(model=REPRODUCIBILITY)
    label["value"] += 0.02
    table.loc[table["model"] == "LEAP", "value"] += leap - 0.35
    return {
        "scores": pd.concat([table, label]),
        "flows": pd.DataFrame({"task": ["2a"], "branch": [study], "step": [""]}),
    }


def test_reproducibility_is_tested_against_the_papers_study_alone():
    close = by_text("LEAP as good as the reproducibility between studies allows")
    low, high = (by_text(f"reproducibility between studies, at {what}") for what in ("least", "most"))
    e = external("PRISM", 0.25)
    assert row(close, **e)["ours"] == pytest.approx(0.03)
    assert [row(claim, **e)["verdict"] for claim in (close, low, high)] == [HOLDS] * 3
    assert row(close, **external("PRISM", 0.35))["verdict"] == FAILS
    other = row(close, **external("CCLE", 0.25))
    assert (other["verdict"], other["note"]) == (UNTESTED, "another study than PRISM")
    assert other["ours"] == pytest.approx(0.03)
    found = row(by_text("LEAP above all other models, task 2a external"), **external("CCLE", 0.35))
    assert found["verdict"] == HOLDS
    assert found["n"].endswith("20 perturbations of CCLE")


def flow(task, *rows):
    return pd.DataFrame([(task, *values) for values in rows],
                        columns=["task", "branch", "step", "samples", "perturbations"])  # fmt: skip


def counts(task, studies, data="real"):
    return pd.DataFrame({"task": [task], "studies": [studies], "data": [data]})


def test_counts_are_those_of_the_rules_not_of_a_profiles_draw():
    genes = flow("1a", ("DepMap 23Q4", "screened lines", 1100, 17000), ("DepMap 23Q4", "with expression", 1021, 17000),
                 ("DepMap 23Q4", "without outliers (PCA)", 1019, 17000), ("DepMap 23Q4", "genes with SD", 1019, 1600),
                 ("all", "profile demo: 30 drawn at random", 1019, 30))  # fmt: skip
    e = {"flows": genes, "counts": counts("1a", "DepMap 23Q4")}
    assert row(by_text("samples, task 1a"), **e)["verdict"] == HOLDS
    found = row(by_text("perturbations, task 1a"), **e)
    assert (found["ours"], found["published"], found["verdict"]) == (1600, 1539, DIRECTION)
    assert row(by_text("lines dropped for want of RNA-seq, task 1a"), **e)["ours"] == 79
    assert row(by_text("outliers dropped, task 1a"), **e)["ours"] == 2
    assert row(by_text("outliers dropped, task 1a"), **e)["verdict"] == HOLDS


def test_counts_without_all_studies_or_with_xenografts():
    drugs = flow("2a", ("GDSC v2", "records", 969, 284), ("all", "drugs in at least 75 lines", 946, 408))
    found = row(by_text("samples, task 2a"), flows=drugs, counts=counts("2a", "GDSC v2, GDSC v1"))
    assert (found["ours"], found["verdict"], found["note"]) == (946, UNTESTED, "without CCLE and CTRP")
    mice = flow("5a", ("all", "drugs of the xenografts", 1390, 5), ("PDX Encyclopedia", "with expression", 140, 5))
    found = row(by_text("samples, task 5a"), flows=mice, counts=counts("5a", ", ".join(TASKS["5a"].studies)))
    assert (found["ours"], found["verdict"]) == (1390, HOLDS)


def test_hours_come_from_the_run_log():
    log = pd.DataFrame({"task": "1a", "split": "s0", "seconds": [1800.0, 900.0, 900.0, 9 * 3600.0],
                        "model": ["PS-LASSO r0", "PS-LASSO r1", "LEAP", "PP-LGBM"]})  # fmt: skip
    e = {"log": log, "scores": scores()}
    assert row(by_text("hours of LEAP's regressors, task 1a"), **e)["ours"] == 1.0
    assert row(by_text("hours of LEAP's regressors, task 1a"), **e)["verdict"] == HOLDS
    found = row(by_text("PP-LGBM's hours by LEAP's, task 1a"), **e)
    assert (found["ours"], found["verdict"]) == (9.0, DIRECTION)
    without = row(by_text("PP-LGBM's hours by LEAP's, task 1a"), log=log[:3], scores=scores())
    assert without["note"] == "the run log has no PP-LGBM on task 1a"


def test_hours_of_the_damaes_come_from_the_run_log_of_their_pool():
    log = pd.DataFrame({"task": ["dependencies"] * 2 + ["drugs"], "split": "", "seconds": [1800.0, 5400.0, 9e9],
                        "model": "DAMAE"})  # fmt: skip
    found = row(by_text("hours of the DAMAEs, task 1a"), log=log, scores=scores())
    assert (found["ours"], found["verdict"]) == (2.0, FAILS)
    assert row(by_text("hours of the DAMAEs, task 1a"), log=log[1:], scores=scores())["ours"] == 1.5
    without = row(by_text("hours of the DAMAEs, task 1a"), log=log[2:], scores=scores())
    assert without["note"] == "the run log has no DAMAE of dependencies"


# ---- the list


def test_the_list_is_long_and_its_rows_are_distinct():
    assert len(CLAIMS) >= 35
    assert len({claim.claim for claim in CLAIMS}) == len(CLAIMS)
    assert all(claim.rule in RULES for claim in CLAIMS)
    assert all(np.isfinite(claim.published) for claim in CLAIMS if claim.rule != "order")


def test_no_number_of_a_claim_is_typed():
    """Published values come from `leaplib.results.published` and `leaplib.tasks`: the list holds no decimal."""
    tree = ast.parse((Path(evidence.__file__).parent / "claim_list.py").read_text(encoding="utf-8"))
    assert not [
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, float)
    ]
    made = claims_table(Evidence(scores=scores()), CLAIMS).set_index("claim")
    other = claims_table(Evidence(scores=scores(LEAP=0.5)), CLAIMS).set_index("claim")
    found = made["ours"].notna()
    assert found.sum() >= 5
    moved = (made["ours"] != other["ours"])[found & made.index.str.startswith("LEAP")]
    assert moved.all()  # ours follow the evidence
    assert (made["published"].fillna(0) == other["published"].fillna(0)).all()


def test_sentences_agree_with_the_papers_own_tables():
    percent = partial(pytest.approx, abs=0.0101)  # the paper rounds before it divides
    assert reported("1b") / reported("1b", "PP-LGBM") - 1 == percent(STATED["gain over OmicsRPZ, 1b"])
    for task in ("1a", "2a", "3a", "4a"):
        assert reported(task) / reported(task, "PP-LGBM") - 1 == percent(STATED[f"gain over PP-LGBM, {task}"])
    assert reported_gain("steps", "1a", 2, 1) == percent(STATED["gain of PS-LASSO"])
    assert reported_gain("steps", "1a", 8, 7) == percent(STATED["gain of 5 regressors"])
    assert reported_gain("steps", "1a", 9, 8) == percent(STATED["gain of 5 representations"])
    assert reported_gain("ensembles", "1a", 2, 1) < STATED["gain of 25 regressors, at most"]
    assert 0 > reported_gain("steps", "1a", 5, 4) > -STATED["loss by pretraining on all lines, at most"]
    assert reported_gain("tuning", "4a", 2, 1) == percent(STATED["gain of grouped folds, 4a"])
    assert reported_gain("tuning", "3a", 2, 1) <= STATED["gain of grouped folds, 3a, at most"]
    assert reported_margin("1a") == pytest.approx(0.3319 - 0.3208)
    assert reported_margin("1b") == pytest.approx(0.2975 - 0.2566)  # models of another paper are left out
    assert np.isnan(reported_margin("5a"))


# ---- what people read


def test_the_printed_claims_carry_their_verdicts_colour():
    table = claims_table(Evidence(scores=scores()), CLAIMS)
    printed = print_claims(table)
    assert printed.colours.tolist() == [claims.COLOURS[verdict] for verdict in table["verdict"]]
    assert printed.cells.columns[-1] == "verdict"
    cells = printed.cells.set_index("claim")
    assert cells.loc["samples, task 1a", "published"] == "1,019"
    gain = cells.loc["LEAP's relative gain over PP-LGBM, task 1a"]
    assert (gain["published"], gain["ours"], gain["difference"]) == ("0.170", "0.400", "+0.230")
    assert cells.loc["LEAP above all other models, task 5a", "published"] == ""


def test_the_conclusion_counts_and_names():
    table = claims_table(Evidence(scores=scores(PP_MLP=0.36)), CLAIMS)
    text = conclusion(table)
    tested = table[table["verdict"] != UNTESTED]
    assert text.startswith(f"Of {len(CLAIMS)} claims, {len(tested)} can be tested on real data: "
                           f"{(tested['verdict'] == HOLDS).sum()} hold,")  # fmt: skip
    assert (
        "- **Does not hold**: LEAP above all other models, task 1a (Results, cell lines): the paper has 0.011, " in text
    )
    assert "this run -0.010 (3 splits, 20 perturbations)." in text
    assert "task 3a has no results (" in text
    assert f"**Not testable here**, {len(table) - len(tested)} claims:" in text


# ---- what the paper did not look at


def test_autoencoders_are_needed_only_where_leap_is_above_a_ridge_regression_without_them():
    claim = by_text("autoencoders needed: LEAP above a ridge regression on the genes, task 1a")
    above, level, below = (row(claim, scores=scores(PS_RIDGE=mean)) for mean in (0.30, 0.3499, 0.36))
    assert above["ours"] == pytest.approx(0.05) and above["verdict"] == HOLDS and np.isnan(above["published"])
    assert level["ours"] == pytest.approx(0.0001) and level["verdict"] == DIRECTION
    assert below["ours"] == pytest.approx(-0.01) and below["verdict"] == FAILS
    assert row(claim, scores=scores())["note"] == "task 1a has no results of PS-RIDGE"
    simulated = row(claim, scores=scores(PS_RIDGE=0.3, data="simulated"))
    assert simulated["verdict"] == UNTESTED and simulated["ours"] == pytest.approx(0.05)


def test_the_margin_over_the_paper_s_models_leaves_ours_out():
    claim = by_text("LEAP above all other models, task 1a")
    assert row(claim, scores=scores(PS_RIDGE=0.4))["ours"] == pytest.approx(0.05)
