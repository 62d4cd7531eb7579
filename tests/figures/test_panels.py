"""Panels show the values of their frames, and say what is missing."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from leaplib.base.errors import InputError
from leaplib.figures import panels, style
from tests.frames import points


def texts(ax):
    return [text.get_text() for text in ax.texts]


def lines(ax):
    return {line.get_label(): line for line in ax.lines}


def box(ax, model):
    """Outline of a model's box: a tint of its colour."""
    face = style.tint(style.COLOURS[model], 0.85)
    return next(patch for patch in ax.patches if to_hex(patch.get_facecolor()) == face).get_path().vertices


@pytest.mark.parametrize("published", [None, pd.DataFrame({"model": ["LEAP"], "mean": [0.35], "sd": [0.02]})])
def test_points_boxes_and_published_marks_are_the_frames_values_side_by_side(ax, values, published):
    assert panels.model_boxes(ax, values.sample(frac=1, random_state=0), published) is ax
    assert [label.get_text() for label in ax.get_xticklabels()] == ["Tissue mean", "PS-KNN", "PS-LASSO", "LEAP"]
    medians = {round(line.get_ydata()[0], 9) for line in ax.lines if line.get_linewidth() > 1}
    for place, (model, rows) in enumerate(values.groupby("model", sort=False)):
        across, up = box(ax, model).T
        assert (up.min(), up.max()) == pytest.approx(tuple(rows["value"].quantile([0.25, 0.75])))
        assert round(rows["value"].median(), 9) in medians
        found = points(ax, model)
        assert sorted(found[:, 1]) == sorted(rows["value"])
        assert found[np.argsort(found[:, 0]), 1].tolist() == rows["value"].tolist()  # splits stand in their order
        assert place - 0.5 < found[:, 0].min() and found[:, 0].max() < across.min() and across.max() < place + 0.5
    assert ax.get_ylim()[0] < values["value"].min() and ax.get_ylim()[1] > values["value"].max()
    if published is not None:
        assert across.max() < ax.containers[0][0].get_xdata()[0] < 3.5


def test_published_marks_stand_at_mean_and_sd(ax, values):
    found = {"model": ["LEAP", "PS-KNN", "PP-MLP"], "mean": [0.35, 0.25, 0.3], "sd": [0.02, np.nan, 0]}
    published = pd.DataFrame(found)
    panels.model_boxes(ax, values, published)
    marks, _, (bars,) = ax.containers[0]
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert [labels[round(x)] for x in marks.get_xdata()] == ["LEAP", "PS-KNN", "PP-MLP"]
    assert list(marks.get_ydata()) == [0.35, 0.25, 0.3]
    np.testing.assert_allclose([end[:, 1] for end in bars.get_segments()], [[0.33, 0.37], [0.25, 0.25], [0.3, 0.3]])
    assert ax.get_legend().get_texts()[0].get_text() == "published mean ± SD"


def test_fewer_values_than_others_are_counted_and_none_keep_their_place(ax, values):
    few = values[(values["model"] != "PS-KNN") | (values["split"] == "holdout-0")]
    few = few.assign(value=few["value"].where(few["model"] != "PS-LASSO"))
    panels.model_boxes(ax, few)
    assert texts(ax) == ["n = 1", "no data"] and len(ax.get_xticklabels()) == 4


def test_one_model_one_split(ax, values):
    panels.model_boxes(ax, values.tail(1))
    assert len(points(ax, "LEAP")) == 1 and not ax.patches
    low, high = ax.get_xlim()
    assert high - low > panels.MIN_PLACES and (low + high) / 2 == pytest.approx(0, abs=0.2)


def test_label_reproducibility_stands_apart_and_its_median_runs_through(ax, values):
    labels = values[values["model"] == "LEAP"].assign(model=style.REPRODUCIBILITY, value=[0.1, 0.2, 0.25, np.nan])
    panels.model_boxes(ax, pd.concat([labels, values]))
    assert [label.get_text() for label in ax.get_xticklabels()][-1] == style.REPRODUCIBILITY
    assert set(lines(ax)["_median reproducibility"].get_ydata()) == {0.2}
    assert set(lines(ax)["_controls"].get_xdata()) == {0.5} and set(lines(ax)["_reproducibility"].get_xdata()) == {3.5}


@pytest.fixture
def pairs():
    return pd.DataFrame({"perturbation": list("abcde"), "PS-KNN": [0.1, 0.2, 0.3, 0.4, np.nan],
                         "LEAP": [0.2, 0.3, 0.35, 0.3, 0.9]})  # fmt: skip


def test_scatter_draws_pairs_and_says_how_many_lie_above(ax, pairs):
    panels.perturbation_scatter(ax, pairs, "PS-KNN", "LEAP")
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), pairs.dropna()[["PS-KNN", "LEAP"]])
    assert texts(ax) == ["LEAP higher\n3 (75%)", "PS-KNN higher\n1 (25%)"]
    assert ax.get_xlim() == ax.get_ylim() and (ax.get_xlabel()[:6], ax.get_ylabel()[:4]) == ("PS-KNN", "LEAP")
    assert list(ax.get_xticks()) == list(ax.get_yticks()) and len(ax.get_xticks()) <= 8
    np.testing.assert_array_equal(*lines(ax)["_diagonal"].get_data())


def test_members_are_joined_by_split_beside_what_is_published(ax):
    names = ["PS-LASSO r1", "PS-LASSO r2", "LEAP"]
    frame = pd.DataFrame([(name, split, 10 * i + j) for i, name in enumerate(names) for j, split in enumerate("ab")],
                         columns=["name", "split", "value"])  # fmt: skip
    marks = pd.DataFrame({"name": ["LEAP", "scVI"], "mean": [0.35, 0.1], "sd": [0.01, 0.01]})
    panels.members(ax, frame, marks)
    assert [list(line.get_ydata()) for line in ax.lines if line.get_label() == "_split"] == [[0, 10, 20], [1, 11, 21]]
    np.testing.assert_array_equal(points(ax, "LEAP"), [[2, 20], [2, 21]])
    np.testing.assert_array_equal(points(ax, "PS-LASSO"), [[0, 0], [0, 1], [1, 10], [1, 11]])
    means = next(drawn for drawn in ax.collections if hasattr(drawn, "get_segments"))
    assert [segment[0][1] for segment in means.get_segments()] == [0.5, 10.5, 20.5]
    assert [label.get_text() for label in ax.get_xticklabels()] == names
    bars = ax.containers[0][0]
    assert list(bars.get_ydata()) == [0.35] and 2.27 < bars.get_xdata()[0] < 2.5


@pytest.fixture
def by_group():
    rows = [("lung", "LEAP", 0.3, 0.1), ("lung", "PS-KNN", 0.2, 0.05), ("skin", "LEAP", 0.4, 0.2),
            ("skin", "PS-KNN", 0.1, np.nan), ("bone", "PS-KNN", 0.15, 0.001)]  # fmt: skip
    return pd.DataFrame(rows, columns=["group", "model", "value", "width"])


def test_groups_fall_with_leap_and_those_without_it_come_last(by_group):
    more = pd.DataFrame({"group": ["liver"], "model": ["PS-KNN"], "value": [0.9]})
    assert panels.group_order(pd.concat([by_group, more])) == ["skin", "lung", "liver", "bone"]


def test_a_point_stands_in_its_group_and_is_as_large_as_its_interval(ax, by_group):
    order = ["skin", "lung", "bone"]
    panels.points(ax, by_group, order, 0.2, ylabel="y")
    for name, rows in by_group.groupby("model"):
        places = points(ax, name)
        assert [order[round(x)] for x in places[:, 0]] == list(rows["group"])
        assert list(places[:, 1]) == list(rows["value"])
    areas = [0.05, np.nan, 0.001, 0.1, 0.2]
    expected = np.fmax(np.array(areas) / 0.2 * panels.LARGEST, panels.SMALLEST)
    np.testing.assert_allclose(ax.collections[-1].get_sizes(), expected)
    assert ax.get_ylabel() == "y"


@pytest.mark.parametrize("n_models", [1, 2, 12])
def test_models_stay_within_their_group_in_order_and_apart(ax, n_models):
    names = [*style.CONTROLS, *style.MODELS][:n_models]
    frame = pd.DataFrame([(g, m, 0.1, 0.1) for g in "ab" for m in names], columns=["group", "model", "value", "width"])
    panels.points(ax, frame, ["a", "b"], 0.1)
    across = np.array([points(ax, name)[0, 0] for name in names])
    assert (np.diff(across) > 0.05).all() and np.abs(across).max() < 0.45 and across.mean() == pytest.approx(0)


def test_means_have_bars_of_one_sd(ax):
    frame = pd.DataFrame({"group": ["a", "b"], "model": "LEAP", "value": [0.3, -0.2], "sd": [0.05, np.nan]})
    panels.points(ax, frame, ["a", "b"])
    (_, _, (bars,)) = ax.containers[0]
    np.testing.assert_allclose(bars.get_segments()[0][:, 1], [0.25, 0.35])
    assert "_zero" in lines(ax)
    np.testing.assert_array_equal(ax.collections[-1].get_sizes(), panels.MIDDLE)  # no interval is known


@pytest.mark.parametrize(("names", "level"), [
    (["Lung", "Central Nervous System"], True),
    ([f"Gastrointestinal {i}" for i in range(18)], False),
])  # fmt: skip
def test_labels_slant_only_where_they_must(names, level):
    _, ax = style.figure(183, 60)
    panels.points(ax, pd.DataFrame({"group": names, "model": "LEAP", "value": 0.1, "width": 0.1}), names, 0.1)
    labels = ax.get_xticklabels()
    assert [label.get_text().replace("\n", " ") for label in labels] == names
    assert [label.get_rotation() == 0 for label in labels] == [level] * len(names)


def test_the_legend_reads_row_by_row_and_explains_sizes():
    fig, _ = style.figure(183, 60)
    names = [*style.CONTROLS, *style.MODELS][:11]
    values = pd.DataFrame({"model": names, "value": [np.nan, *[0.1] * 10]})
    panels.legend(fig, values, 0.083)
    fig.canvas.draw()
    models, sizes = fig.legends
    across = sorted(models.get_texts(), key=lambda t: (-round(t.get_window_extent().y0), t.get_window_extent().x0))
    assert [text.get_text() for text in across] == [f"{names[0]} (no data)", *names[1:]]
    widths = [float(text.get_text()) for text in sizes.get_texts()]
    assert widths == [0.02, 0.04, 0.08]
    drawn = [handle.get_markersize() ** 2 for handle in sizes.legend_handles]
    np.testing.assert_allclose(drawn, panels.areas(pd.Series(widths), 0.083))
    for frame, n_legends in ((values, 1), (values.assign(value=np.nan), 0)):
        panels.legend(plt.figure(), frame)
        assert len(plt.gcf().legends) == n_legends


@pytest.mark.parametrize(("draw", "column"), [
    (panels.model_boxes, "model"), (lambda ax, frame: panels.perturbation_scatter(ax, frame, "value", "sd"), "sd"),
    (lambda ax, frame: panels.members(ax, frame, pd.DataFrame()), "name"), (panels.spread, "split"),
    (lambda ax, frame: panels.points(ax, frame, []), "group"), (panels.steps, "p_value"), (panels.by_number, "number"),
    (panels.gains, "low"), (panels.labels, "labels"),
])  # fmt: skip
def test_nothing_to_draw_says_no_data_and_a_missing_column_is_named(ax, values, steps, draw, column):
    numbers = dict.fromkeys(["sd", "step", "p_value", "published_mean", "published_sd", "number", "low"], 1.0)
    frame = values.assign(group="a", perturbation="p", name="n", candidate="c", labels="l", high=1.0, **numbers)
    for nothing in (pd.DataFrame(), frame.assign(value=np.nan, difference=np.nan, mean=np.nan)):
        ax.clear()
        draw(ax, nothing)
        assert texts(ax) == ["no data"]
    with pytest.raises(InputError, match=f"lacks column '{column}'"):
        draw(ax, frame.assign(difference=1.0, mean=1.0).drop(columns=column))


def test_lines_join_models_that_are_not_told_apart(ax):
    names = ["LEAP", "PS-RIDGE", "PS-LASSO", "PS-KNN"]
    alike = {("LEAP", "PS-RIDGE"), ("PS-RIDGE", "PS-LASSO")}
    rows = [(a, b, 1 + i, 2 + i + j, 0.5 if (a, b) in alike else 0.01)
            for i, a in enumerate(names) for j, b in enumerate(names[i + 1 :])]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["model", "other", "rank", "other_rank", "p_holm"])
    panels.mean_ranks(ax, frame.sample(frac=1, random_state=0))
    assert [label.get_text() for label in ax.get_yticklabels()] == names and ax.yaxis_inverted()
    assert [tuple(np.round(line.get_ydata())) for line in ax.lines] == [(0, 1), (1, 2)]
    assert {line.get_xdata()[0] > 4 for line in ax.lines} == {True}
    assert [points(ax, name)[0, 0] for name in names] == [1, 2, 3, 4]


def test_curves_rise_with_the_lines_and_bars_are_intervals(ax):
    frame = pd.DataFrame({"model": ["PS-RIDGE", "PS-RIDGE", "LEAP"], "n_train": [200, 100, 100],
                          "mean": [0.3, 0.2, 0.1], "low": [0.28, 0.15, np.nan],
                          "high": [0.32, 0.25, np.nan]})  # fmt: skip
    panels.by_lines(ax, frame)
    ridge, leap = ax.containers
    assert ridge.get_label() == "PS-RIDGE" and to_hex(leap[0].get_color()) == style.COLOURS["LEAP"].lower()
    assert list(ridge[0].get_ydata()) == [0.2, 0.3]
    np.testing.assert_allclose([bar[:, 1] for bar in ridge[2][0].get_segments()], [[0.15, 0.25], [0.28, 0.32]])
    assert ax.get_xlim()[0] == 0 and ax.get_xlabel() == "Training lines"


VALUES = {"PP-LGBM": [0.27, 0.28, 0.29], "PS-LASSO": [0.31, 0.33, 0.35], "LEAP": [0.32, 0.35, 0.35]}


@pytest.fixture
def steps():
    """Three steps on three splits, rows shuffled."""
    found = [(step, name, f"holdout-{i}", value) for step, (name, values) in enumerate(VALUES.items(), start=1)
             for i, value in enumerate(values)]  # fmt: skip
    frame = pd.DataFrame(found, columns=["step", "name", "split", "value"])
    frame["p_value"] = frame["step"].map({1: np.nan, 2: 0.0004, 3: 0.2})
    frame["published_mean"] = frame["step"].map({1: 0.2821, 2: np.nan, 3: 0.3319})
    return frame.assign(published_sd=0.01).sample(frac=1, random_state=0)


@pytest.fixture
def gains():
    found = [("LEAP+", 0.03, 0.02, 0.045), ("PS-RIDGE", 0.01, -0.002, 0.02), ("PS-LASSO", -0.02, -0.03, -0.015)]
    return pd.DataFrame(found, columns=["candidate", "difference", "low", "high"])


def segments(ax, label):
    return next((c.get_segments() for c in ax.collections if c.get_label() == label), [])


def names(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def test_a_row_shows_points_mean_and_one_sd(ax, steps):
    assert panels.spread(ax, steps.sort_values("step"), "x") is ax
    places = next(c for c in ax.collections if c.get_label() == "_splits").get_offsets()
    for row, values in enumerate(VALUES.values()):
        assert sorted(places[places[:, 1] == row][:, 0]) == values
        middle, sd = np.mean(values), np.std(values, ddof=1)
        np.testing.assert_allclose(segments(ax, "_SD")[row], [[middle - sd, row], [middle + sd, row]])
        assert segments(ax, "_mean")[row][0][0] == pytest.approx(middle)
    assert names(ax) == list(VALUES) and ax.get_xlabel() == "x"
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first row is at the top
    low, high = ax.get_xlim()
    assert 0.2 < low < 0.27 and 0.35 < high < 0.4  # differences fill the axis rather than start at zero


def test_steps_stand_in_order_with_their_changes_and_published_marks_under_them(ax, steps):
    panels.steps(ax, steps)
    assert names(ax) == ["1  PP-LGBM", "2  PS-LASSO", "3  LEAP"]
    said = [(text.get_text(), text.xy[1]) for text in ax.texts]
    assert said == [("+0.0500 ***", 1), ("+0.0100", 2), ("change", -0.9)]
    joined = next(line for line in ax.lines if line.get_label() == "_means")
    np.testing.assert_allclose(joined.get_xdata(), [0.28, 0.33, 0.34])
    assert panels.STAR_NOTE in ax.get_xlabel()
    (marks, _, (bars,)) = ax.containers[0]
    np.testing.assert_allclose(marks.get_xydata(), [[0.2821, panels.SHIFT], [0.3319, 2 + panels.SHIFT]])
    np.testing.assert_allclose([end[:, 0] for end in bars.get_segments()], [[0.2721, 0.2921], [0.3219, 0.3419]])
    ax.clear()
    panels.steps(ax, steps, published=False)
    assert not ax.containers and ax.get_legend() is None


@pytest.mark.parametrize(("p_value", "stars"), [
    (np.nan, ""), (0.051, ""), (0.049, " *"), (0.011, " *"), (0.009, " **"), (0.0011, " **"), (0.0009, " ***")
])  # fmt: skip
def test_stars(ax, steps, p_value, stars):
    panels.steps(ax, steps.assign(p_value=p_value, value=-steps["value"]))
    assert texts(ax)[1] == "\N{MINUS SIGN}0.0100" + stars
    assert (panels.STAR_NOTE in ax.get_xlabel()) == pd.notna(p_value)


def test_changes_are_paired_by_split(steps):
    few = steps[(steps["step"] != 2) | (steps["split"] != "holdout-0")]
    np.testing.assert_allclose(panels.changes(few), [np.nan, 0.055, 0.01])
    apart = steps.assign(split=steps["split"] + steps["step"].astype(str))
    assert panels.changes(apart).isna().all()


def test_a_step_without_values_keeps_its_row_and_a_single_split_has_no_spread(ax, steps):
    panels.steps(ax, steps.assign(value=steps["value"].where(steps["step"] != 2), published_mean=np.nan))
    assert len(names(ax)) == 3 and [(text.get_text(), text.xy[1]) for text in ax.texts] == [("no data", 1)]
    ax.clear()
    panels.steps(ax, steps[steps["split"] == "holdout-1"])
    assert not segments(ax, "_SD") and texts(ax)[:2] == ["+0.0500 ***", "+0.0200"]


def test_long_names_need_higher_rows():
    assert panels.height(pd.Series(["PCA", "long name " * 9])) >= 4 * panels.height(pd.Series(["PCA"]))


def test_gains_are_dots_with_intervals_beside_zero(ax, gains):
    panels.gains(ax, gains)
    for row, (name, difference, low, high) in enumerate(gains.itertuples(index=False)):
        np.testing.assert_allclose(points(ax, name), [[difference, row]])
        np.testing.assert_allclose(segments(ax, "_intervals")[row], [[low, row], [high, row]])
    assert {line.get_label(): line.get_xdata()[0] for line in ax.lines} == {"LEAP": 0}
    assert names(ax) == list(gains["candidate"])


def test_gains_without_a_difference_or_an_interval(ax, gains):
    gains.loc[0, ["low", "high"]] = np.nan
    gains.loc[1, "difference"] = np.nan
    panels.gains(ax, gains)
    assert len(points(ax, "LEAP+")) == 1 and len(points(ax, "PS-RIDGE")) == 0
    assert [segment[0][1] for segment in segments(ax, "_intervals")] == [2]
    assert [(text.get_text(), text.xy[1]) for text in ax.texts] == [("no data", 1)] and len(names(ax)) == 3


def test_by_number_draws_means_and_a_band_of_one_sd(ax):
    found = [(number, f"s{i}", 0.3 + 0.01 * number + 0.02 * i) for number in (2, 1, 10) for i in range(3)]
    frame = pd.DataFrame(found, columns=["number", "split", "value"])
    panels.by_number(ax, frame)
    line = next(line for line in ax.lines if line.get_label() == "mean")
    np.testing.assert_allclose(line.get_xydata(), [[1, 0.33], [2, 0.34], [10, 0.42]])
    band = next(c for c in ax.collections if c.get_label() == "SD over splits").get_paths()[0].vertices
    np.testing.assert_allclose(sorted(set(band[band[:, 0] == 10][:, 1].round(9))), [0.40, 0.44])
    assert list(ax.get_xticks()) == [1, 2, 10]
    ax.clear()
    panels.by_number(ax, frame[frame["split"] == "s0"])
    assert [c.get_label() for c in ax.collections] == ["split"]


def test_labels_have_a_full_dot_for_the_first_kind_alone(ax):
    frame = pd.DataFrame({"model": ["LEAP", "PS-KNN"] * 2, "labels": ["measured"] * 2 + ["without"] * 2,
                          "mean": [0.4, 0.3, 0.2, 0.1]})  # fmt: skip
    panels.labels(ax, frame)
    full, empty = ax.collections
    assert full.get_offsets().tolist() == [[0.4, 0], [0.3, 1]] and empty.get_offsets().tolist() == [[0.2, 0], [0.1, 1]]
    assert style.to_hex(empty.get_facecolor()[0]) == "#ffffff" and len(points(ax, "LEAP")) == 1
    assert [full.get_label(), empty.get_label()] == ["measured", "without"]


@pytest.fixture
def curves():
    epochs = np.arange(1, 6)
    return pd.concat([
        pd.DataFrame({"representation": k, "epoch": epochs, "train_loss": 1 / epochs + k,
                      "validation_loss": (epochs - 3) ** 2 + k}) for k in range(3)
    ])  # fmt: skip


@pytest.mark.parametrize("validated", [True, False])
def test_curves_are_the_frames(ax, curves, validated):
    frame = curves if validated else curves.assign(validation_loss=np.nan)
    panels.learning_curves(ax, frame)
    for number, rows in frame.groupby("representation"):
        own = [line for line in ax.lines if to_hex(line.get_color()) == style.representation_colour(number).lower()]
        training, validation, best = own
        np.testing.assert_array_equal(training.get_xydata(), rows[["epoch", "train_loss"]])
        np.testing.assert_array_equal(validation.get_xydata(), rows[["epoch", "validation_loss"]])
        assert np.isfinite(best.get_ydata()).all() == validated and (
            not validated or list(best.get_xydata()[0]) == [3, number]
        )
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert [name for name in names if name.startswith("DAMAE")] == ["DAMAE 1", "DAMAE 2", "DAMAE 3"]


def test_the_largest_groups_look_different_and_others_are_pooled(ax):
    groups = [f"tissue {i:02d}" for i in range(27) for _ in range(30 - i)]
    samples = pd.DataFrame({"x": np.arange(len(groups)), "y": 1.0, "group": groups})
    panels.codes(ax, samples)
    drawn = {c.get_label(): c.get_offsets() for c in ax.collections}
    assert len(drawn) == panels.N_GROUPS + 1
    assert sum(len(points) for points in drawn.values()) == len(samples)
    np.testing.assert_array_equal(drawn["tissue 00 (30)"], samples.loc[samples["group"] == "tissue 00", ["x", "y"]])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[0] == "tissue 00 (30)" and labels[-1] == f"other ({sum(range(4, 16))})"
    looks = {(tuple(c.get_facecolor()[0]), len(c.get_paths()[0].vertices)) for c in ax.collections}
    assert len(looks) == len(drawn)
