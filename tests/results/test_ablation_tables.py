"""Tables of the ablations: means, published values, paired tests, and what is said of them."""

import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from leaplib.base.errors import InputError
from leaplib.results import comparisons, tables
from leaplib.results.claims import verdict
from leaplib.results.comparisons import TESTS, holm, published
from leaplib.results.printing import cells_of, styled
from leaplib.runs.recipes import NUMBER, STEPS, TUNING
from tests.frames import HOLDOUTS, STEP_NAMES, results_of, variant_scores

ENSEMBLES = ["5 models on one representation", "25 models on one representation", "LEAP"]
TUNED = [variant.name for variant in TUNING]
TISSUES = ("Lung", "Skin", "Bone")


def spearman_rows(name, scores):
    table = tables.tidy(name, results_of(ablations=scores))
    return table.query("level == 'per_perturbation' and metric == 'spearman'").reset_index(drop=True)


def told(about, scores):
    return verdict(results_of(ablations=scores), about)


def matrix(scores, name):
    part = scores[(scores["variant"] == name) & (scores["perturbation"] != "")]
    return part.pivot(index="perturbation", columns="split", values="value").to_numpy()


def test_steps_are_summarised_and_each_is_tested_against_the_one_before():
    scores = variant_scores(gains=[0, 0.05, *[0.05] * 6, 0.07])
    table = tables.tidy("supplementary table 4", results_of(ablations=scores))
    assert table.columns.tolist()[:2] == ["step", "name"] and len(table) == 9 * 3
    rows = spearman_rows("supplementary table 4", scores)
    assert rows["step"].tolist() == list(range(1, 10)) and rows["name"].tolist() == STEP_NAMES
    values = [matrix(scores, name) for name in STEP_NAMES]
    np.testing.assert_allclose(rows["mean"], [v.mean() for v in values])
    np.testing.assert_allclose(rows["sd"], [v.mean(axis=0).std(ddof=1) for v in values])
    assert pd.isna(rows["compared_with"][0]) and rows["compared_with"].tolist()[1:] == STEP_NAMES[:-1]
    difference = values[1] - values[0]
    assert rows["difference"][1] == pytest.approx(difference.mean())
    p = [stats.wilcoxon((b - a).mean(axis=1)).pvalue for a, b in pairwise(values)]
    np.testing.assert_allclose(rows["p_perturbations"][1:], p)
    np.testing.assert_allclose(rows["p_perturbations_holm"][1:], holm(np.array(p)))
    of_splits = difference.mean(axis=0)
    t = of_splits.mean() / np.sqrt((1 / 10 + 0.25) * of_splits.var(ddof=1))  # Nadeau and Bengio: 20% / 80%
    assert rows["p_splits"][1] == pytest.approx(2 * stats.t.sf(abs(t), 9))
    assert table.query("metric == 'pearson' or level == 'overall'")[TESTS].isna().all(axis=None)


def test_published_values_stand_beside_real_data_of_the_same_task_only():
    rows = spearman_rows("supplementary table 4", variant_scores())
    assert rows["published_mean"].tolist() == [0.2821, 0.3224, 0.322, 0.3213, 0.3193, 0.3178, 0.3177, 0.3208, 0.3319]
    assert rows["published_sd"].tolist() == [0.0138, 0.0126, 0.0133, 0.0137, 0.0133, 0.0133, 0.0134, 0.0134, 0.0138]
    for other in (variant_scores(data="simulated"), variant_scores(task="2a")):
        assert spearman_rows("supplementary table 4", other)["published_mean"].isna().all()
    five = tables.tidy("supplementary table 5", results_of(ablations=variant_scores("ensembles", ENSEMBLES)))
    pearson = five.query("metric == 'pearson'")["published_mean"].to_numpy()
    np.testing.assert_allclose(pearson, [np.nan, 0.335, 0.3447])
    six = spearman_rows("supplementary table 6", variant_scores("tuning", TUNED, task="4a", splits=TISSUES))
    assert six["strategy"].tolist() == TUNED and six["published_mean"].tolist() == [0.1645, 0.1695, 0.1627]
    frame = published("suppl.").dropna(subset="number")
    assert len(frame) == 9 + (1 + 3 + 3) + 2 * 3 * 3
    assert not frame.duplicated(["group", "task", "number", "level", "metric"]).any()


def test_a_step_that_was_not_run_says_so_and_the_next_follows_on_the_last_that_was():
    scores = variant_scores(left_out=(STEP_NAMES[2], STEP_NAMES[5]))
    rows = spearman_rows("supplementary table 4", scores)
    gone = rows[rows["note"] != ""]
    assert gone["step"].tolist() == [3, 6] and gone["n_splits"].tolist() == [0, 0]
    assert gone[["mean", "sd", "difference"]].isna().all(axis=None)
    assert rows.set_index("step")["compared_with"][[4, 7]].tolist() == [STEP_NAMES[1], STEP_NAMES[4]]
    assert f"Left out: step 3, {STEP_NAMES[2]}, not run: GDSC not at hand; step 6" in told("ablations 1a", scores)


def test_unseen_tissues_do_not_overlap_and_get_the_plain_t_test():
    scores = variant_scores("tuning", TUNED, [0, 0.01, 0.01], "3a", splits=TISSUES)
    before, after = (matrix(scores, name).mean(axis=0) for name in TUNED[:2])
    expected = stats.ttest_rel(after, before).pvalue
    assert spearman_rows("supplementary table 6", scores)["p_splits"][1] == pytest.approx(expected)


def test_additions_are_compared_with_the_reference_of_their_group():
    scores = variant_scores("Representation", ["PCA", "autoencoder", "DAMAE"], [0, 0, 0.1], task="2a")
    rows, text = spearman_rows("ablations additional", scores), told("additions", scores)
    assert text.startswith("**Task 2a, Representation** (real data, 10 splits):")
    assert re.search(r'- Worse than "DAMAE": PCA \(-0.\d{4}\); autoencoder \(-0.\d{4}\)\.$', text)
    assert rows["group"].unique().tolist() == ["Representation"]
    assert rows["name"].tolist() == ["PCA", "autoencoder", "DAMAE"]
    assert rows["compared_with"].fillna("").tolist() == ["DAMAE", "DAMAE", ""]
    with pytest.raises(InputError, match="no scores of tuning: run these variants first"):
        comparisons.ablation_table(scores, ["tuning"])


def parts_of(text):
    return {line[2:].split(":")[0]: line for line in text.splitlines() if line.startswith("- ")}


def test_the_verdict_follows_the_numbers():
    scores = variant_scores(gains=[0, 0.05, *[0.05] * 6, 0.03], sd=0.005, left_out=(STEP_NAMES[2],))
    text = told("ablations 1a", scores)
    lines = parts_of(text)
    assert text.startswith("**Task 1a** (real data, 10 splits):")
    assert "step 2, PS-LASSO instead of PP-LGBM (+0.05" in lines["Better than the one before"]
    assert "step 9, mean over DAMAEs: LEAP (-0.0" in lines["Worse than the one before"]
    assert "step 5" in lines["Not told apart"] and "step 2" not in lines["Not told apart"]
    assert lines["Left out"] == "- Left out: step 3, genes of all sources, not run: GDSC not at hand."
    one = told("ablations 1a", variant_scores(gains=[0, 0.05, *[0.05] * 7], splits=HOLDOUTS[:1]))
    assert list(parts_of(one)) == ["Not told apart"]  # a single split has no interval


def test_frames_for_figures_hold_every_split():
    scores = variant_scores(left_out=(STEP_NAMES[2],))
    frame = comparisons.steps_frame(scores)
    assert frame.groupby("step").size().to_dict() == dict.fromkeys((1, 2, 4, 5, 6, 7, 8, 9), 10)
    assert frame.groupby("step")["p_value"].nunique().loc[2:].eq(1).all() and (frame["n_perturbations"] == 20).all()
    representations = variant_scores("Representation", ["PCA", "DAMAE"], task="2a")
    numbers = variant_scores(NUMBER, ["1", "2", "10"], task="2a")
    alone = variant_scores("Batch correction", ["none", "ComBat"], task="2a", left_out=("ComBat",))
    both = pd.concat([representations, numbers, alone])
    assert comparisons.bars_frame(both)["group"].unique().tolist() == ["Representation (task 2a)"]
    drawn = comparisons.number_frame(both)
    assert drawn["number"].unique().tolist() == [1, 2, 10] and (drawn["n_perturbations"] == 20).all()
    value = drawn.query("number == 10 and split == 'holdout-3'")["value"].item()
    assert value == pytest.approx(matrix(numbers, "10")[:, HOLDOUTS.index("holdout-3")].mean())


def test_what_people_read_has_one_row_a_variant_with_its_test():
    scores = variant_scores(left_out=(STEP_NAMES[2],))
    shown = cells_of(styled("supplementary_table_4", comparisons.ablation_table(scores, [STEPS])))
    assert shown["Step"].tolist() == list(range(1, 10)) and shown["Spearman, paper"][0] == "0.2821 (0.0138)"
    assert shown["Note"].tolist() == ["", "", "not run: GDSC not at hand", *[""] * 6]
    assert shown["Spearman"][2] == "" and shown["Against"][1] == "PP-LGBM"
    assert shown["Perturbations won"][1].endswith("of 20") and shown["Splits won"][1].endswith("of 10")
    assert not shown.isin(["nan", "nan of 10"]).any(axis=None) and shown["Splits won"][0] == ""
