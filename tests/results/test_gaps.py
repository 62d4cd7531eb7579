"""Results with gaps, since something failed: tables and figures show them, and no number stands in their place."""

import numpy as np
import pandas as pd
import pytest

from leaplib.base.metrics import METRICS
from leaplib.figures import figures, pages
from leaplib.models.table import CONTROLS, names
from leaplib.results import comparisons, latex, print_tables, tables
from leaplib.results.published import published_scores
from leaplib.results.scores import load_scores
from leaplib.runs import failures
from leaplib.runs.scoring import UNPREPARED

MODELS = [*CONTROLS.values(), "PS-KNN", "PP-LGBM", "PS-LASSO", "LEAP"]
SPLITS = ["holdout-0", "holdout-1"]
COLUMNS = ["task", "model", "member", "split", "level", "perturbation", "test_set", "metric", "value", "data"]


def rows(task, model, split, rng):
    single = [("per_perturbation", f"drug-{number}", -1) for number in range(6)]
    means = [(level, "", 0) for level in ("per_perturbation", "overall")]
    member = 0 if model == "PS-LASSO" else -1
    return [(task, model, member, split, *where, metric, rng.random(), "simulated")
            for metric in METRICS for where in [*single, *means]]  # fmt: skip


@pytest.fixture
def scores(rng):
    found = [
        row for task in ("1b", "2a") for model in MODELS for split in SPLITS for row in rows(task, model, split, rng)
    ]
    return pd.DataFrame(found, columns=COLUMNS)


def failed(scores, model, splits=SPLITS):
    """Return scores in which a model failed on some splits, as `load_scores` gives them."""
    gone = (scores["model"] == model) & scores["split"].isin(splits)
    gaps = scores[gone & (scores["perturbation"] == "")].assign(value=np.nan)
    return pd.concat([scores[~gone], gaps], ignore_index=True)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("splits", [SPLITS[:1], SPLITS])
def test_tables_show_gaps(scores, model, splits):
    found = failed(scores, model, splits)
    summary = tables.summary(found)
    row = summary.query("task == '2a' and model == @model and metric == 'spearman' and level == 'overall'").iloc[0]
    assert row["n_splits"] == 2 - len(splits)
    assert np.isnan(row["mean"]) == (len(splits) == 2)
    readable = tables.readable(summary).loc[("2a", model)]
    assert (readable["Spearman"] == "") == (len(splits) == 2)
    assert readable["splits"] == 2 - len(splits)
    printed = print_tables.print_table("supplementary_table_3", summary)
    cells = printed.cells.query("task == '2a' and model == @model").iloc[0]
    assert cells["splits"] == 2 - len(splits)
    text = "".join([latex.latex(printed), tables.verdict(found, "2a"), print_tables.styled(printed).to_html()])
    assert "nan" not in text.lower().replace("tenant", "")
    compared = comparisons.compare_models(found, n_resamples=20)
    assert not compared[["difference", "n_splits"]].isna().any(axis=None)
    assert "nan" not in latex.latex(print_tables.print_table("comparisons", compared)).lower()


def test_the_verdict_counts_the_splits_that_both_have(scores):
    text = tables.verdict(failed(scores, "PS-KNN"), "2a")
    assert "PS-KNN reaches \N{EN DASH}." in text
    text = tables.verdict(failed(scores, "PS-LASSO", SPLITS[1:]), "2a")
    assert " of 1 holdouts, and PS-KNN" in text
    assert "(on 1 of 2)" in tables.verdict(failed(scores, "LEAP", SPLITS[1:]), "2a")
    nothing = "**Task 2a**: LEAP has no results (failed, or not run), and there is nothing to compare."
    assert tables.verdict(failed(scores, "LEAP"), "2a") == nothing
    assert tables.verdict(scores[scores["task"] == "1b"], "2a") == nothing


@pytest.mark.parametrize("model, splits", [("LEAP", SPLITS), ("PS-KNN", SPLITS[:1])])
def test_figures_show_gaps(scores, model, splits):
    found, published = failed(scores, model, splits), published_scores()
    fig, _ = figures.figure_2(found, "2a", best_rival="PS-KNN")
    texts = [text.get_text() for ax in fig.axes for text in ax.texts]
    assert ("no data" if len(splits) == 2 else "n = 1") in texts
    if len(splits) == 1:
        assert "mean of 1 split" in fig.axes[1].get_title(loc="left")
    figures.figure_3(found, published)
    figures.supplementary_figure_2(found, "1b", published, reported_only=True)
    figures.supplementary_figure_5(found, "2a", published)


def test_a_scatter_is_over_the_splits_of_both(scores):
    part = failed(scores[scores["task"] == "2a"], "PS-KNN", SPLITS[:1])
    assert set(pages._of_both(part, "PS-KNN")["split"]) == {"holdout-1"}


def test_failures_are_gaps_in_what_is_loaded(home):
    failures.record(
        "smoke", failures.Failure("fit 2a holdout-1 PS-TCRP", "key", "E: e", "", {}, "2a", "holdout-1", "PS-TCRP")
    )
    failures.record("smoke", failures.failure_of(failures.preparing("1a"), "", ValueError("no"), "1a"))
    partly = failures.Failure("fit 2a holdout-1 LEAP", "key", "E: e", "", {"drug": "E"}, "2a", "holdout-1", "LEAP")
    failures.record("smoke", partly)
    found = load_scores("smoke")
    assert found["value"].isna().all()
    assert set(found.loc[found["task"] == "2a", "model"]) == {"PS-TCRP", "PS-TCRP (10-shot)"}
    prepared = found[found["task"] == "1a"]
    assert set(prepared["split"]) == {UNPREPARED}
    assert {"LEAP", *CONTROLS.values()} <= set(prepared["model"]) <= {*names(), *CONTROLS.values()}
    assert set(found["data"]) == {"simulated"}
    assert (tables.summary(found)["n_splits"] == 0).all()
