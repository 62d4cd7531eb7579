import numpy as np
import pandas as pd
import pytest

from leaplib.figures import comparison, style


def texts(ax):
    return [text.get_text() for text in ax.texts]


def points(ax, label):
    return next(c for c in ax.collections if c.get_label() == f"_{label}").get_offsets()


def test_points_and_boxes_are_the_frames_values(ax, values):
    assert comparison.model_boxes(ax, values.sample(frac=1, random_state=0)) is ax
    for model, rows in values.groupby("model"):
        assert sorted(points(ax, model)[:, 1]) == sorted(rows["value"])
        box = next(patch for patch in ax.patches if patch.get_label() == f"_{model}")
        heights = box.get_path().vertices[:, 1]
        assert heights.min() == pytest.approx(rows["value"].quantile(0.25))
        assert np.max(heights[:4]) == pytest.approx(rows["value"].quantile(0.75))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["Tissue mean", "PS-KNN", "PS-LASSO", "LEAP"]
    medians = {round(line.get_ydata()[0], 9) for line in ax.lines if line.get_linewidth() > 1}
    assert {round(median, 9) for median in values.groupby("model")["value"].median()} <= medians


def test_every_point_is_in_range_and_zero_is_drawn_only_there(ax, values):
    comparison.model_boxes(ax, values)
    low, high = ax.get_ylim()
    assert low < values["value"].min() and high > values["value"].max()
    assert (low < 0) == any(line.get_label() == "_zero" for line in ax.lines)
    ax.clear()
    comparison.model_boxes(ax, values.assign(value=values["value"] - 0.1))
    assert any(line.get_label() == "_zero" for line in ax.lines)


def test_published_marks_stand_at_mean_and_sd_beside_the_box(ax, values):
    published = pd.DataFrame(
        {"model": ["LEAP", "PS-KNN", "PP-MLP"], "mean": [0.35, 0.25, 0.3], "sd": [0.02, np.nan, 0]}
    )
    comparison.model_boxes(ax, values, published)
    (bars,) = ax.containers
    marks, _, (lines,) = bars
    assert list(marks.get_ydata()) == [0.35, 0.25, 0.3]
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert [labels[round(x)] for x in marks.get_xdata()] == ["LEAP", "PS-KNN", "PP-MLP"]
    ends = [segment[:, 1] for segment in lines.get_segments()]
    np.testing.assert_allclose(ends, [[0.33, 0.37], [0.25, 0.25], [0.3, 0.3]])
    assert (points(ax, "LEAP")[:, 0] < marks.get_xdata()[0]).all()
    assert ax.get_legend().get_texts()[0].get_text() == "published mean ± SD"


def test_counts_are_written(ax, values):
    few = values[(values["model"] != "PS-KNN") | (values["split"] == "holdout-0")]
    comparison.model_boxes(ax, few, title="Task 1a", n_perturbations=1539, perturbation_name="genes")
    assert ax.get_title(loc="left") == "Task 1a\nn = 4 splits, 1,539 genes"
    assert texts(ax) == ["n = 1"]


@pytest.mark.parametrize(("number", "plural", "text"), [
    (1, "genes", "1 gene"),
    (1539, "genes", "1,539 genes"),
    (1, "subsets of PDX", "1 subset of PDX"),
    (10, "subsets of PDX", "10 subsets of PDX"),
])  # fmt: skip
def test_counted(number, plural, text):
    assert style.counted(number, plural) == text


@pytest.mark.parametrize("frame", [pd.DataFrame(), "nan"])
def test_nothing_to_draw_says_no_data(ax, values, frame):
    frame = values.assign(value=np.nan) if isinstance(frame, str) else frame
    comparison.model_boxes(ax, frame)
    assert texts(ax) == ["no data"]
    ax.clear()
    comparison.members(ax, frame.rename(columns={"model": "name"}))
    assert texts(ax) == ["no data"]


def test_one_model_one_split(ax, values):
    comparison.model_boxes(ax, values.tail(1), title="one")
    assert ax.get_title(loc="left") == "one\nn = 1 split"
    assert len(points(ax, "LEAP")) == 1
    assert not ax.patches
    low, high = ax.get_xlim()
    assert high - low > comparison.MIN_PLACES and (low + high) / 2 == pytest.approx(0, abs=0.2)
    assert style.to_hex(ax.collections[0].get_facecolor()[0]) == style.COLOURS["LEAP"].lower()


def test_a_model_without_values_keeps_its_place(ax, values):
    comparison.model_boxes(ax, values.assign(value=values["value"].where(values["model"] != "PS-KNN")))
    assert len(ax.get_xticklabels()) == 4
    assert texts(ax) == ["no data"]


def test_label_reproducibility_stands_apart_and_its_median_runs_through(ax, values):
    labels = values[values["model"] == "LEAP"].assign(model=style.REPRODUCIBILITY, value=[0.1, 0.2, 0.25, np.nan])
    comparison.model_boxes(ax, pd.concat([labels, values]))
    assert [label.get_text() for label in ax.get_xticklabels()][-1] == style.REPRODUCIBILITY
    lines = {line.get_label(): line for line in ax.lines}
    assert set(lines["_median reproducibility"].get_ydata()) == {0.2}
    assert set(lines["_controls"].get_xdata()) == {0.5} and set(lines["_reproducibility"].get_xdata()) == {3.5}
    ax.clear()
    comparison.model_boxes(ax, values)
    assert "_median reproducibility" not in {line.get_label() for line in ax.lines}


@pytest.fixture
def pairs():
    return pd.DataFrame({"perturbation": list("abcde"), "PS-KNN": [0.1, 0.2, 0.3, 0.4, np.nan],
                         "LEAP": [0.2, 0.3, 0.35, 0.3, 0.9]})  # fmt: skip


def test_scatter_draws_pairs_and_says_how_many_lie_above(ax, pairs):
    comparison.perturbation_scatter(ax, pairs, "PS-KNN", "LEAP", perturbation_name="drugs", mean_over="2 splits")
    np.testing.assert_array_equal(points(ax, "perturbations"), pairs.dropna()[["PS-KNN", "LEAP"]])
    assert texts(ax) == ["LEAP higher\n3 (75%)", "PS-KNN higher\n1 (25%)"]
    assert ax.get_title(loc="left") == "n = 4 drugs, mean of 2 splits"
    assert ax.get_xlim() == ax.get_ylim()
    assert list(ax.get_xticks()) == list(ax.get_yticks()) and len(ax.get_xticks()) <= 8
    diagonal = next(line for line in ax.lines if line.get_label() == "_diagonal")
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())


@pytest.mark.parametrize("rows", [0, 1, 4])
def test_scatter_of_few_or_equal_points(ax, pairs, rows):
    frame = pairs.head(rows).assign(LEAP=0.3, **{"PS-KNN": 0.3})
    comparison.perturbation_scatter(ax, frame, "PS-KNN", "LEAP")
    assert ("no data" in texts(ax)) == (rows == 0)
    if rows:
        assert texts(ax) == ["LEAP higher\n0 (0%)", "PS-KNN higher\n0 (0%)"]


def test_members_are_joined_by_split(ax):
    frame = pd.DataFrame(
        [(name, split, 10 * i + j) for i, name in enumerate(["PS-LASSO r1", "PS-LASSO r2", "LEAP"])
         for j, split in enumerate("ab")], columns=["name", "split", "value"])  # fmt: skip
    comparison.members(ax, frame)
    assert ax.get_title(loc="left") == "n = 2 splits\nlines: splits; bars: means"
    joined = [list(line.get_ydata()) for line in ax.lines if line.get_label() == "_split"]
    assert joined == [[0, 10, 20], [1, 11, 21]]
    np.testing.assert_array_equal(points(ax, "LEAP"), [[2, 20], [2, 21]])
    assert style.to_hex(ax.collections[0].get_facecolor()[0]) == style.COLOURS["PS-LASSO"].lower()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["PS-LASSO r1", "PS-LASSO r2", "LEAP"]


@pytest.mark.parametrize("published", [None, pd.DataFrame({"model": ["LEAP"], "mean": [0.35], "sd": [0.02]})])
def test_points_boxes_and_published_marks_stand_beside_each_other(ax, values, published):
    comparison.model_boxes(ax, values, published)
    for place, model in enumerate(["Tissue mean", "PS-KNN", "PS-LASSO", "LEAP"]):
        box = next(patch for patch in ax.patches if patch.get_label() == f"_{model}").get_path().vertices[:, 0]
        across = points(ax, model)[:, 0]
        assert place - 0.5 < across.min() and across.max() < box.min() and box.max() < place + 0.5
        face = next(c for c in ax.collections if c.get_label() == f"_{model}").get_facecolor()
        assert {style.to_hex(colour) for colour in face} == {style.COLOURS[model].lower()}
    if published is not None:
        assert box.max() < ax.containers[0][0].get_xdata()[0] < 3.5


def test_published_members_stand_beside_theirs(ax):
    frame = pd.DataFrame(
        [(name, split, 0.3) for name in ("PS-LASSO r1", "LEAP") for split in "ab"], columns=["name", "split", "value"]
    )
    marks = pd.DataFrame({"name": ["LEAP", "scVI"], "mean": [0.35, 0.1], "sd": [0.01, 0.01]})
    comparison.members(ax, frame, marks)
    (bars,) = ax.containers
    assert list(bars[0].get_ydata()) == [0.35] and 1.27 < bars[0].get_xdata()[0] < 1.5
    assert ax.get_legend().get_texts()[0].get_text() == "published mean ± SD"
