"""Results with gaps, since something failed: figures show them, and no number stands in their place."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from leaplib.base.metrics import METRICS
from leaplib.figures import pages, supplement
from leaplib.models.table import CONTROLS
from leaplib.results.published import published_scores
from tests.frames import make_scores, written

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


@pytest.mark.parametrize("model, splits", [("LEAP", SPLITS), ("PS-KNN", SPLITS[:1])])
def test_figures_show_gaps(scores, model, splits):
    found, published = failed(scores, model, splits), published_scores()
    fig, _ = pages.figure_2(found, "2a", best_rival="PS-KNN")
    texts = [text.get_text() for ax in fig.axes for text in ax.texts]
    assert ("no data" if len(splits) == 2 else "n = 1") in texts
    if len(splits) == 1:
        assert "mean of 1 split" in fig.axes[1].get_title(loc="left")
    pages.figure_3(found, published)
    supplement.supplementary_figure_2(found, "1b", published, reported_only=True)
    supplement.supplementary_figure_5(found, "2a", published)


def test_a_scatter_is_over_the_splits_of_both(scores):
    part = failed(scores[scores["task"] == "2a"], "PS-KNN", SPLITS[:1])
    _, ax = plt.subplots()
    drawn = pages.scatter(ax, part, "2a", "PS-KNN")
    assert "mean of 1 split" in ax.get_title(loc="left") and len(drawn)


@pytest.mark.parametrize("draw, there, absent", [
    (pages.figure_3, ("2a", "4a"), ["DepMap 23Q4", "DepMap 23Q4", "PDX Encyclopedia", ""]),
    (supplement.supplementary_figure_6, ("4a",), ["DepMap 23Q4"]),
    (supplement.supplementary_figure_7, ("4b",), ["DepMap 18Q3", "DepMap 18Q3"]),
])  # fmt: skip
def test_tasks_without_results_are_left_out_or_empty_frames_that_say_what_is_missing(draw, there, absent):
    scores = pd.concat([make_scores(task, "real") for task in there])
    fig, drawn = draw(scores, frames=True)
    said = [text for text in written(fig) if text.startswith("no results on real data")]
    assert said == [
        f"no results on real data:\n{f'{source} is not at hand' if source else 'not run yet'}" for source in absent
    ]
    assert set(drawn["task"]) == set(there)
    letters = [text for text in written(fig) if len(text) == 1]
    assert sorted(letters) == list("ABCDEF")[: len(letters)] and len(letters) == len(fig.axes)
    assert not any("not at hand" in text for text in written(draw(scores)[0]))


def test_a_count_of_few_splits_stands_above_the_published_mark():
    scores = make_scores("2a", "real").query("model != 'PP-MLP' or split == 'holdout-0'")
    published = published_scores()
    mark = published.query(
        "task == '2a' and model == 'PP-MLP' and level == 'per_perturbation' and metric == 'spearman'"
    )
    fig, _ = pages.figure_2(scores, "2a", published)
    [count] = [text for text in fig.axes[0].texts if text.get_text() == "n = 1"]
    assert count.xy[1] >= (mark["mean"] + mark["sd"]).item()
