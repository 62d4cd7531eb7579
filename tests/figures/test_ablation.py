import numpy as np
import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.figures import ablation

VALUES = {"PP-LGBM": [0.27, 0.28, 0.29], "PS-LASSO": [0.31, 0.33, 0.35], "LEAP": [0.32, 0.35, 0.35]}


@pytest.fixture
def steps():
    """Three steps on three splits, rows shuffled."""
    rows = [(step, name, f"holdout-{i}", value) for step, (name, values) in enumerate(VALUES.items(), start=1)
            for i, value in enumerate(values)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["step", "name", "split", "value"])
    frame["p_value"] = frame["step"].map({1: np.nan, 2: 0.0004, 3: 0.2})
    frame["published_mean"] = frame["step"].map({1: 0.2821, 2: np.nan, 3: 0.3319})
    return frame.assign(published_sd=0.01).sample(frac=1, random_state=0)


def drawn(ax, label):
    return next(c for c in ax.collections if c.get_label() == f"_{label}")


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_a_row_shows_points_mean_and_one_sd(ax, steps):
    assert ablation.spread(ax, steps.sort_values("step"), title="t", xlabel="x") is ax
    for row, (name, values) in enumerate(VALUES.items()):
        points = drawn(ax, name).get_offsets()
        assert sorted(points[:, 0]) == values and set(points[:, 1]) == {row}
        ((start, end),) = drawn(ax, f"SD {name}").get_segments()
        middle, sd = np.mean(values), np.std(values, ddof=1)
        np.testing.assert_allclose([start[0], end[0]], [middle - sd, middle + sd])
        assert drawn(ax, f"mean {name}").get_segments()[0][0][0] == pytest.approx(middle)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(VALUES)
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first row is at the top
    assert (ax.get_xlabel(), ax.get_title(loc="left")) == ("x", "t")


def test_differences_fill_the_axis_rather_than_start_at_zero(ax, steps):
    ablation.steps(ax, steps)
    low, high = ax.get_xlim()
    assert 0.2 < low < 0.27 and 0.35 < high < 0.4


def test_steps_stand_in_order_with_their_changes(ax, steps):
    ablation.steps(ax, steps, title="t")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["1  PP-LGBM", "2  PS-LASSO", "3  LEAP"]
    assert texts(ax) == ["+0.0500 ***", "+0.0100", "change"]
    assert [text.xy[1] for text in ax.texts[:2]] == [1, 2]
    joined = next(line for line in ax.lines if line.get_label() == "_means")
    np.testing.assert_allclose(joined.get_xdata(), [0.28, 0.33, 0.34])
    assert ablation.STAR_NOTE in ax.get_xlabel()


@pytest.mark.parametrize(("p_value", "stars"), [
    (0.051, ""), (0.049, " *"), (0.011, " *"), (0.009, " **"), (0.0011, " **"), (0.0009, " ***")
])  # fmt: skip
def test_stars(ax, steps, p_value, stars):
    ablation.steps(ax, steps.assign(p_value=p_value))
    assert texts(ax)[1] == "+0.0100" + stars


def test_a_fall_has_a_minus_and_no_p_values_need_no_note(ax, steps):
    ablation.steps(ax, steps.assign(value=-steps["value"], p_value=np.nan))
    assert texts(ax)[1] == "−0.0100"  # noqa: RUF001
    assert ablation.STAR_NOTE not in ax.get_xlabel()


def test_changes_are_paired_by_split(steps):
    few = steps[(steps["step"] != 2) | (steps["split"] != "holdout-0")]
    np.testing.assert_allclose(ablation.changes(few), [np.nan, 0.055, 0.01])
    apart = steps.assign(split=steps["split"] + steps["step"].astype(str))
    assert ablation.changes(apart).isna().all()


def test_published_marks_stand_under_their_row(ax, steps):
    ablation.steps(ax, steps)
    (container,) = ax.containers
    assert list(container[0].get_xdata()) == [0.2821, 0.3319]
    np.testing.assert_allclose(container[0].get_ydata(), np.array([0, 2]) + ablation.SHIFT)
    ends = [segment[:, 0] for segment in container[2][0].get_segments()]
    np.testing.assert_allclose(ends, [[0.2721, 0.2921], [0.3219, 0.3419]])
    ax.clear()
    ablation.steps(ax, steps, published=False)
    assert not ax.containers and ax.get_legend() is None


def test_a_step_without_values_keeps_its_row(ax, steps):
    ablation.steps(ax, steps.assign(value=steps["value"].where(steps["step"] != 2), published_mean=np.nan))
    assert len(ax.get_yticklabels()) == 3
    assert texts(ax) == ["no data"] and ax.texts[0].xy[1] == 1


def test_a_single_split_has_no_line_of_spread(ax, steps):
    ablation.steps(ax, steps[steps["split"] == "holdout-1"])
    assert not [c for c in ax.collections if c.get_label().startswith("_SD")]
    assert texts(ax)[:2] == ["+0.0500 ***", "+0.0200"]


def test_long_names_need_higher_rows():
    low, high = ablation.row_height(pd.Series(["PCA"])), ablation.row_height(pd.Series(["PCA", "long name " * 9]))
    assert high >= 2 * low


def test_by_number_draws_means_and_a_band_of_one_sd(ax):
    rows = [(number, f"s{i}", 0.3 + 0.01 * number + 0.02 * i) for number in (2, 1, 10) for i in range(3)]
    frame = pd.DataFrame(rows, columns=["number", "split", "value"])
    ablation.by_number(ax, frame, title="t", xlabel="x", ylabel="y")
    line = next(line for line in ax.lines if line.get_label() == "mean")
    np.testing.assert_allclose(line.get_xydata(), [[1, 0.33], [2, 0.34], [10, 0.42]])
    band = next(c for c in ax.collections if c.get_label() == "SD over splits").get_paths()[0].vertices
    np.testing.assert_allclose(sorted(set(band[band[:, 0] == 10][:, 1].round(9))), [0.40, 0.44])
    assert list(ax.get_xticks()) == [1, 2, 10]
    ax.clear()
    ablation.by_number(ax, frame[frame["split"] == "s0"])
    assert [c.get_label() for c in ax.collections] == ["split"]


@pytest.mark.parametrize("draw", [ablation.spread, ablation.steps, ablation.by_number])
def test_nothing_to_draw_and_missing_columns(ax, steps, draw):
    frame = steps.assign(number=1)
    for nothing in (pd.DataFrame(), frame.assign(value=np.nan)):
        ax.clear()
        draw(ax, nothing)
        assert texts(ax) == ["no data"]
    with pytest.raises(InputError, match="'split'"):
        draw(ax, frame.drop(columns="split"))
