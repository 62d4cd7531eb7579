import numpy as np
import pandas as pd
import pytest

from leaplib import tables
from leaplib.published import published_scores


def rows(
    task, model, split, value, test_set=0, member=-1, level="per_perturbation", metric="spearman", perturbation=""
):
    return {"task": task, "model": model, "member": member, "split": split, "level": level, "metric": metric,
            "perturbation": perturbation, "test_set": test_set, "value": value, "data": "real"}  # fmt: skip


@pytest.fixture
def scores():
    table = []
    for split, (leap, first, second) in {"holdout-0": (0.4, 0.3, 0.2), "holdout-1": (0.6, 0.5, 0.7)}.items():
        table += [rows("2a", "LEAP", split, leap), rows("2a", "PS-LASSO", split, first, member=0),
                  rows("2a", "PS-LASSO", split, second, member=1), rows("2a", "PS-KNN", split, 0.1),
                  rows("2a", "Tissue mean", split, 0.2), rows("2a", "LEAP (shuffled labels)", split, 0.01),
                  rows("2a", "LEAP", split, 99.0, test_set=-1, perturbation="drug")]  # fmt: skip
    return pd.DataFrame(table)


def test_summary_is_mean_and_sd_over_splits_beside_the_paper(scores):
    table = tables.summary(scores).set_index("model")
    assert table.loc["LEAP", "mean"] == pytest.approx(0.5)
    assert table.loc["LEAP", "sd"] == pytest.approx(np.std([0.4, 0.6], ddof=1))
    assert table.loc["LEAP", "n_splits"] == 2
    assert table.loc["LEAP", "published_mean"] == 0.3504
    assert table.loc["PS-LASSO", "mean"] == pytest.approx(0.4)  # the first representation alone
    assert table.index[-1] == "LEAP"


def test_test_sets_are_averaged_within_a_split_first():
    table = [rows("4b", "LEAP", "Lung", v, test_set=i) for i, v in enumerate([0.1, 0.2, 0.3])]
    table += [rows("4b", "LEAP", "Skin", 0.6)]
    result = tables.summary(pd.DataFrame(table)).iloc[0]
    assert result["mean"] == pytest.approx(0.4)
    assert result["n_splits"] == 2
    assert np.isnan(result["published_mean"])


def test_verdict_counts_the_splits_that_leap_wins(scores):
    text = tables.verdict(scores, "2a")
    assert "above PS-LASSO in 2 of 2 holdouts" in text
    assert "0.500" in text
    assert "The paper reports: LEAP 0.350, PP-LGBM 0.335" in text
    assert "Other models" not in text
    assert "0.400 to 0.450" in text


def test_verdict_names_the_other_models_and_the_best_of_them(scores):
    others = [rows("2a", model, split, value) for model, values in {"PP-MLP": (0.1, 0.7), "PS-LGBM": (0.3, 0.2)}.items()
              for split, value in zip(("holdout-0", "holdout-1"), values, strict=True)]  # fmt: skip
    text = tables.verdict(pd.concat([scores, pd.DataFrame(others)]), "2a")
    assert "Other models: PP-MLP 0.400, PS-LGBM 0.250; LEAP is above PP-MLP in 1 of 2 holdouts." in text


def test_mean_sd():
    assert tables.mean_sd(0.35044, 0.01194) == "0.3504 (0.0119)"
    assert tables.mean_sd(0.5, np.nan) == "0.5000"
    assert tables.mean_sd(np.nan, np.nan) == ""


def test_published_values_are_those_of_the_paper():
    table = published_scores().set_index(["task", "model", "level", "metric"])
    assert table.loc[("1a", "PP-LGBM", "per_perturbation", "spearman"), ["mean", "sd"]].tolist() == [0.2844, 0.0177]
    assert table.loc[("4a", "LEAP", "per_perturbation", "pearson"), "mean"] == 0.1794
    assert table.loc[("3a", "LEAP", "overall", "spearman"), "mean"] == 0.6443
    assert not table.index.duplicated().any()
