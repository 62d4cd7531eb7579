"""Tables of the ablations: means, published values, paired tests, and what is said of them."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from leaplib.base.errors import InputError
from leaplib.figures import figures
from leaplib.results import ablation_tables as tables
from leaplib.results.published import published_ablations
from leaplib.runs.ablations import COLUMNS
from leaplib.runs.variants import NUMBER, REFERENCES, TUNING, steps

NAMES = [step.name for step in steps()]
SPLITS = [f"holdout-{i}" for i in range(10)]
N = 20  # perturbations


def make_scores(group="steps", names=NAMES, gains=None, task="1a", data="real", splits=tuple(SPLITS), left_out=(),
                sd=0.002):  # fmt: skip
    """Scores of variants whose difference to the first is `gains`, the same for each perturbation but for noise."""
    rng = np.random.default_rng(3)
    base = rng.normal(0.3, 0.1, (N, len(splits)))
    rows = []
    for number, name in enumerate(names):
        key = (task, group, name, "LEAP" if number else "PS-LASSO", -1)
        if name in left_out:
            rows.append((*key, "", "per_perturbation", "", 0, "spearman", np.nan, data, "not run: GDSC not at hand"))
            continue
        values = base + (gains[number] if gains else 0) + rng.normal(0, sd, base.shape)
        for column, split in enumerate(splits):
            rows += [(*key, split, "per_perturbation", f"p{p}", -1, "spearman", values[p, column], data, "")
                     for p in range(N)]  # fmt: skip
            for test_set in (0, 1):  # their mean counts
                value = values[:, column].mean() + (0.5 - test_set)
                rows.append((*key, split, "per_perturbation", "", test_set, "spearman", value, data, ""))
            rows.append((*key, split, "per_perturbation", "", 0, "pearson", 0.5, data, ""))
            rows.append((*key, split, "overall", "", 0, "spearman", 0.9, data, ""))
    return pd.DataFrame(rows, columns=COLUMNS)


def spearman_rows(table):
    return table.query("level == 'per_perturbation' and metric == 'spearman'").reset_index(drop=True)


def matrix(scores, name):
    part = scores[(scores["variant"] == name) & (scores["perturbation"] != "")]
    return part.pivot(index="perturbation", columns="split", values="value").to_numpy()


def test_steps_are_summarised_and_each_is_tested_against_the_one_before():
    scores = make_scores(gains=[0, 0.05, *[0.05] * 6, 0.07])
    table = tables.supplementary_table_4(scores)
    assert table.columns.tolist()[:2] == ["step", "name"]
    assert len(table) == 9 * 3
    rows = spearman_rows(table)
    assert rows["step"].tolist() == list(range(1, 10))
    assert rows["name"].tolist() == NAMES
    values = [matrix(scores, name) for name in NAMES]
    np.testing.assert_allclose(rows["mean"], [v.mean() for v in values])
    np.testing.assert_allclose(rows["sd"], [v.mean(axis=0).std(ddof=1) for v in values])
    assert rows["compared_with"].tolist()[1:] == NAMES[:-1]
    assert pd.isna(rows["compared_with"][0])
    difference = values[1] - values[0]
    assert rows["difference"][1] == pytest.approx(difference.mean())
    p = [stats.wilcoxon((b - a).mean(axis=1)).pvalue for a, b in pairwise(values)]
    np.testing.assert_allclose(rows["p_perturbations"][1:], p)
    order = np.argsort(p)
    holm = np.empty(8)
    holm[order] = np.minimum(np.maximum.accumulate(np.array(p)[order] * np.arange(8, 0, -1)), 1)
    np.testing.assert_allclose(rows["p_perturbations_holm"][1:], holm)
    of_splits = difference.mean(axis=0)
    t = of_splits.mean() / np.sqrt((1 / 10 + 0.25) * of_splits.var(ddof=1))  # Nadeau and Bengio: 20% / 80%
    assert rows["p_splits"][1] == pytest.approx(2 * stats.t.sf(abs(t), 9))
    other = table.query("metric == 'pearson' or level == 'overall'")
    assert other[tables.TESTS].isna().all(axis=None)


def test_published_values_stand_beside_real_data_of_the_same_task_only():
    rows = spearman_rows(tables.supplementary_table_4(make_scores()))
    assert rows["published_mean"].tolist() == [0.2821, 0.3224, 0.322, 0.3213, 0.3193, 0.3178, 0.3177, 0.3208, 0.3319]
    assert rows["published_sd"].tolist() == [0.0138, 0.0126, 0.0133, 0.0137, 0.0133, 0.0133, 0.0134, 0.0134, 0.0138]
    for other in (make_scores(data="simulated"), make_scores(task="2a")):
        table = tables.supplementary_table_4(other)
        assert table["published_mean"].isna().all()
    names = ["5 models on one representation", "25 models on one representation", "LEAP"]
    five = tables.supplementary_table_5(make_scores("ensembles", names))
    assert spearman_rows(five)["published_mean"].tolist() == [0.3208, 0.3221, 0.3319]
    pearson = five.query("metric == 'pearson'")["published_mean"].to_numpy()
    np.testing.assert_allclose(pearson, [np.nan, 0.335, 0.3447])
    names = [variant.name for variant in TUNING]
    six = tables.supplementary_table_6(make_scores("tuning", names, task="4a", splits=("Lung", "Skin", "Bone")))
    assert spearman_rows(six)["published_mean"].tolist() == [0.1645, 0.1695, 0.1627]
    assert six.query("metric == 'pearson'")["published_mean"].tolist() == [0.1749, 0.1794, 0.1719]


def test_published_ablations_are_tidy():
    frame = published_ablations()
    assert len(frame) == 9 + (1 + 3 + 3) + 2 * 3 * 3
    assert not frame.duplicated(["group", "task", "number", "level", "metric"]).any()
    assert frame.notna().all(axis=None)


def test_a_step_that_was_not_run_says_so_and_the_next_follows_on_the_last_that_was():
    scores = make_scores(left_out=(NAMES[2], NAMES[5]))
    rows = spearman_rows(tables.supplementary_table_4(scores))
    assert rows["step"].tolist() == list(range(1, 10))
    assert rows.loc[rows["note"] != "", "step"].tolist() == [3, 6]
    gone = rows[rows["note"] != ""]
    assert gone[["mean", "sd", "difference"]].isna().all(axis=None)
    assert gone["n_splits"].tolist() == [0, 0]
    assert rows.set_index("step")["compared_with"][[4, 7]].tolist() == [NAMES[1], NAMES[4]]
    text = tables.ablation_verdict(tables.supplementary_table_4(scores), "1a")
    assert f"Left out: step 3 ({NAMES[2]}), not run: GDSC not at hand; step 6" in text


def test_unseen_tissues_do_not_overlap_and_get_the_plain_t_test():
    names = [variant.name for variant in TUNING]
    scores = make_scores("tuning", names, [0, 0.01, 0.01], "3a", splits=("Lung", "Skin", "Bone"))
    rows = spearman_rows(tables.supplementary_table_6(scores))
    before, after = (matrix(scores, name).mean(axis=0) for name in names[:2])
    assert rows["p_splits"][1] == pytest.approx(stats.ttest_rel(after, before).pvalue)


def test_additions_are_compared_with_the_reference_of_their_group():
    group = "Representation"
    scores = make_scores(group, ["PCA", "autoencoder", "DAMAE"], task="2a")
    rows = spearman_rows(tables.additional_table(scores))
    assert rows["name"].tolist() == ["PCA", "autoencoder", "DAMAE"]
    assert rows["compared_with"].fillna("").tolist() == ["DAMAE", "DAMAE", ""]
    assert set(REFERENCES) >= {group, NUMBER}


def test_no_scores_of_a_group_are_an_error():
    with pytest.raises(InputError, match="no scores of tuning: run these variants first"):
        tables.supplementary_table_6(make_scores())


BOTH = "Difference supported over perturbations and over splits"
PERTURBATIONS = "Difference supported over perturbations, but not shown to hold for other samples"
SPLITS_ALONE = "Difference supported over splits, but not in most perturbations"
NONE = "No evidence of a difference, which is not evidence of none"


def parts_of(text):
    return {line[2:].split(":")[0]: line for line in text.splitlines() if line.startswith("- ")}


def test_the_verdict_follows_the_numbers():
    gains = [0, 0.05, *[0.05] * 6, 0.03]
    text = tables.ablation_verdict(tables.supplementary_table_4(make_scores(gains=gains, sd=0.01)), "1a")
    assert "**Task 1a** (real data, 10 splits, 20 perturbations). Step 1 (PP-LGBM) scores 0." in text
    lines = parts_of(text)
    supported = lines[BOTH]
    assert "step 2 (PS-LASSO instead of PP-LGBM) against PP-LGBM (+0.05" in supported
    assert "better in 20 of 20 perturbations, p < 0.001, and in 10 of 10 splits, p < 0.001" in supported
    assert "in the paper +0.0403" in supported
    assert "step 9 (mean over DAMAEs: LEAP) against mean of the 5 fold models (-0.02" in supported
    assert "step 5" in lines[NONE]
    assert "step 2" not in lines[NONE]
    assert "the test over splits sees" not in text
    # The same gain the other way round turns the sign.
    worse = tables.ablation_verdict(tables.supplementary_table_4(make_scores(gains=[0, -0.05, *[-0.05] * 7])), "1a")
    assert "against PP-LGBM (-0.0498; better in 0 of 20" in parts_of(worse)[BOTH]


def test_with_two_splits_one_test_alone_is_half_a_support():
    scores = make_scores(gains=[0, 0.05, *[0.05] * 7], splits=("holdout-0", "holdout-1"), sd=0.05)
    text = tables.ablation_verdict(tables.supplementary_table_4(scores), "1a")
    lines = parts_of(text)
    assert "step 2" in lines[PERTURBATIONS]
    assert BOTH not in lines
    assert "With 2 splits the test over splits sees little more than large, steady differences." in text


def test_a_gain_in_few_perturbations_that_every_split_shows_is_said_to_be_one():
    scores = make_scores("Hidden layer", ["with hidden layer", "without hidden layer"], task="2a", sd=0)
    few = (scores["variant"] == "without hidden layer") & scores["perturbation"].isin(["p0", "p1"])
    split = scores["split"].str[-1:].replace("", "0").astype(int)
    scores.loc[few, "value"] += 0.2 + 0.01 * split[few]
    text = tables.ablation_verdict(tables.additional_table(scores), "2a", "Hidden layer")
    assert list(parts_of(text)) == [SPLITS_ALONE]
    assert '"without hidden layer" against with hidden layer (+0.02' in text
    assert "better in 2 of 20 perturbations, p = 0.500, and in 10 of 10 splits, p < 0.001" in text


def test_a_reference_that_is_best_is_said_to_be():
    scores = make_scores("Representation", ["PCA", "autoencoder", "DAMAE"], [0, 0, 0.1], task="2a")
    text = tables.ablation_verdict(tables.additional_table(scores), "2a", "Representation")
    assert '10 splits, 20 perturbations). "DAMAE" scores 0.' in text
    assert ", the most of all." in text


def test_a_single_split_has_no_test_over_splits():
    text = tables.ablation_verdict(tables.supplementary_table_4(make_scores(splits=("holdout-0",))), "1a")
    assert "in 0 of 1 splits, p not defined" in text or "in 1 of 1 splits, p not defined" in text


def test_frames_for_figures_hold_every_split():
    scores = make_scores(left_out=(NAMES[2],))
    frame = tables.steps_frame(scores)
    assert len(frame) == 8 * 10
    assert frame["step"].unique().tolist() == [1, 2, 4, 5, 6, 7, 8, 9]
    assert frame.groupby("step")["p_value"].nunique().loc[2:].eq(1).all()
    _, drawn = figures.supplementary_figure_4(frame)
    assert len(drawn) == len(frame)
    n_perturbations = len(matrix(scores, NAMES[0]))
    assert (frame["n_perturbations"] == n_perturbations).all()
    representations = make_scores("Representation", ["PCA", "DAMAE"], task="2a")
    numbers = make_scores(NUMBER, ["1", "2", "10"], task="2a")
    alone = make_scores("Batch correction", ["none", "ComBat"], task="2a", left_out=("ComBat",))
    both = pd.concat([representations, numbers, alone])
    assert tables.bars_frame(both)["group"].unique().tolist() == ["Representation (task 2a)"]
    assert (tables.bars_frame(both)["n_perturbations"] == n_perturbations).all()
    assert tables.number_frame(both)["number"].unique().tolist() == [1, 2, 10]
    assert (tables.number_frame(both)["n_perturbations"] == n_perturbations).all()
    value = tables.number_frame(both).query("number == 10 and split == 'holdout-3'")["value"].item()
    assert value == pytest.approx(matrix(numbers, "10")[:, SPLITS.index("holdout-3")].mean())


def test_what_people_read_has_one_row_a_variant():
    text = tables.readable(tables.supplementary_table_4(make_scores(left_out=(NAMES[2],))))
    assert len(text) == 9
    assert text.index.names == ["task", "step", "name"]
    assert text["paper"].iloc[0] == "0.2821 (0.0138)"
    assert text["note"].iloc[2] == "not run: GDSC not at hand"
    assert text["perturbations won"].iloc[1].endswith("of 20")
    simulated = tables.readable(tables.supplementary_table_4(make_scores(data="simulated")))
    assert "paper" not in simulated
