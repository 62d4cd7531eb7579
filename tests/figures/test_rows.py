import numpy as np
import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.figures import rows, style
from tests.frames import points

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


def texts(ax):
    return [text.get_text() for text in ax.texts]


def names(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def test_a_row_shows_points_mean_and_one_sd(ax, steps):
    assert rows.spread(ax, steps.sort_values("step"), "x") is ax
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
    rows.steps(ax, steps)
    assert names(ax) == ["1  PP-LGBM", "2  PS-LASSO", "3  LEAP"]
    assert [(text.get_text(), text.xy[1]) for text in ax.texts] == [
        ("+0.0500 ***", 1),
        ("+0.0100", 2),
        ("change", -0.9),
    ]
    joined = next(line for line in ax.lines if line.get_label() == "_means")
    np.testing.assert_allclose(joined.get_xdata(), [0.28, 0.33, 0.34])
    assert rows.STAR_NOTE in ax.get_xlabel()
    (marks, _, (bars,)) = ax.containers[0]
    np.testing.assert_allclose(marks.get_xydata(), [[0.2821, rows.SHIFT], [0.3319, 2 + rows.SHIFT]])
    np.testing.assert_allclose([end[:, 0] for end in bars.get_segments()], [[0.2721, 0.2921], [0.3219, 0.3419]])
    ax.clear()
    rows.steps(ax, steps, published=False)
    assert not ax.containers and ax.get_legend() is None


@pytest.mark.parametrize(("p_value", "stars"), [
    (0.051, ""), (0.049, " *"), (0.011, " *"), (0.009, " **"), (0.0011, " **"), (0.0009, " ***")
])  # fmt: skip
def test_stars(ax, steps, p_value, stars):
    rows.steps(ax, steps.assign(p_value=p_value))
    assert texts(ax)[1] == "+0.0100" + stars


def test_a_fall_has_a_minus_and_no_p_values_need_no_note(ax, steps):
    rows.steps(ax, steps.assign(value=-steps["value"], p_value=np.nan))
    assert texts(ax)[1] == "−0.0100"  # noqa: RUF001
    assert rows.STAR_NOTE not in ax.get_xlabel()


def test_changes_are_paired_by_split(steps):
    few = steps[(steps["step"] != 2) | (steps["split"] != "holdout-0")]
    np.testing.assert_allclose(rows.changes(few), [np.nan, 0.055, 0.01])
    apart = steps.assign(split=steps["split"] + steps["step"].astype(str))
    assert rows.changes(apart).isna().all()


def test_a_step_without_values_keeps_its_row_and_a_single_split_has_no_spread(ax, steps):
    rows.steps(ax, steps.assign(value=steps["value"].where(steps["step"] != 2), published_mean=np.nan))
    assert len(names(ax)) == 3 and [(text.get_text(), text.xy[1]) for text in ax.texts] == [("no data", 1)]
    ax.clear()
    rows.steps(ax, steps[steps["split"] == "holdout-1"])
    assert not segments(ax, "_SD") and texts(ax)[:2] == ["+0.0500 ***", "+0.0200"]


def test_long_names_need_higher_rows():
    assert rows.height(pd.Series(["PCA", "long name " * 9])) >= 4 * rows.height(pd.Series(["PCA"]))


def test_gains_are_dots_with_intervals_beside_zero(ax, gains):
    rows.gains(ax, gains)
    for row, (name, difference, low, high) in enumerate(gains.itertuples(index=False)):
        np.testing.assert_allclose(points(ax, name), [[difference, row]])
        np.testing.assert_allclose(segments(ax, "_intervals")[row], [[low, row], [high, row]])
    assert {line.get_label(): line.get_xdata()[0] for line in ax.lines} == {"LEAP": 0}
    assert names(ax) == list(gains["candidate"])


def test_gains_without_a_difference_or_an_interval(ax, gains):
    gains.loc[0, ["low", "high"]] = np.nan
    gains.loc[1, "difference"] = np.nan
    rows.gains(ax, gains)
    assert len(points(ax, "LEAP+")) == 1 and len(points(ax, "PS-RIDGE")) == 0
    assert [segment[0][1] for segment in segments(ax, "_intervals")] == [2]
    assert [(text.get_text(), text.xy[1]) for text in ax.texts] == [("no data", 1)] and len(names(ax)) == 3


def test_by_number_draws_means_and_a_band_of_one_sd(ax):
    found = [(number, f"s{i}", 0.3 + 0.01 * number + 0.02 * i) for number in (2, 1, 10) for i in range(3)]
    frame = pd.DataFrame(found, columns=["number", "split", "value"])
    rows.by_number(ax, frame, xlabel="x", ylabel="y")
    line = next(line for line in ax.lines if line.get_label() == "mean")
    np.testing.assert_allclose(line.get_xydata(), [[1, 0.33], [2, 0.34], [10, 0.42]])
    band = next(c for c in ax.collections if c.get_label() == "SD over splits").get_paths()[0].vertices
    np.testing.assert_allclose(sorted(set(band[band[:, 0] == 10][:, 1].round(9))), [0.40, 0.44])
    assert list(ax.get_xticks()) == [1, 2, 10]
    ax.clear()
    rows.by_number(ax, frame[frame["split"] == "s0"])
    assert [c.get_label() for c in ax.collections] == ["split"]


def test_labels_have_a_full_dot_for_the_first_kind_alone(ax):
    frame = pd.DataFrame({"model": ["LEAP", "PS-KNN"] * 2, "labels": ["measured"] * 2 + ["without"] * 2,
                          "mean": [0.4, 0.3, 0.2, 0.1]})  # fmt: skip
    rows.labels(ax, frame)
    full, empty = ax.collections
    assert full.get_offsets().tolist() == [[0.4, 0], [0.3, 1]] and empty.get_offsets().tolist() == [[0.2, 0], [0.1, 1]]
    assert style.to_hex(empty.get_facecolor()[0]) == "#ffffff" and len(points(ax, "LEAP")) == 1
    assert [full.get_label(), empty.get_label()] == ["measured", "without"]


@pytest.mark.parametrize(("draw", "column"), [
    (rows.spread, "split"), (rows.steps, "split"), (rows.by_number, "split"), (rows.gains, "low"), (rows.labels, "mean")
])  # fmt: skip
def test_nothing_to_draw_and_missing_columns(ax, steps, gains, draw, column):
    frame = gains if draw is rows.gains else steps.assign(number=1, model="LEAP", labels="a", mean=steps["value"])
    for nothing in (pd.DataFrame(), frame.assign(value=np.nan, difference=np.nan, mean=np.nan)):
        ax.clear()
        draw(ax, nothing)
        assert texts(ax) == ["no data"]
    with pytest.raises(InputError, match=f"'{column}'"):
        draw(ax, frame.drop(columns=column))
