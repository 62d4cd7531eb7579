import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.figures import gains, style


@pytest.fixture
def frame():
    rows = [("LEAP+", 0.03, 0.02, 0.045), ("PS-RIDGE", 0.01, -0.002, 0.02), ("PS-LASSO", -0.02, -0.03, -0.015)]
    return pd.DataFrame(rows, columns=["candidate", "difference", "low", "high"])


def drawn(ax, label):
    return next((c for c in ax.collections if c.get_label() == f"_{label}"), None)


def uprights(ax):
    return {line.get_label(): list(line.get_xdata()) for line in ax.lines}


def test_dots_intervals_zero_and_goal_are_the_frame_s(ax, frame):
    assert gains.gains(ax, frame, goal=0.025, title="t", xlabel="x") is ax
    for row, (name, difference, low, high) in enumerate(frame.itertuples(index=False)):
        np.testing.assert_allclose(drawn(ax, name).get_offsets(), [[difference, row]])
        np.testing.assert_allclose(drawn(ax, f"interval {name}").get_segments(), [[[low, row], [high, row]]])
        assert plt.matplotlib.colors.to_hex(drawn(ax, name).get_facecolor()[0]) == style.COLOURS[name].lower()
    assert uprights(ax) == {"LEAP": [0, 0], "goal": [0.025, 0.025]}
    assert [label.get_text() for label in ax.get_yticklabels()] == list(frame["candidate"])
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first row is at the top
    assert ax.get_title(loc="left") == "t"
    assert ax.get_xlabel() == "x\n(dots: mean; lines: 95% interval; dashed: the goal)"


def test_without_a_goal_none_is_drawn_or_explained(ax, frame):
    gains.gains(ax, frame.head(1))
    assert uprights(ax) == {"LEAP": [0, 0]}
    assert "goal" not in ax.get_xlabel()
    assert len(ax.get_yticklabels()) == 1


def test_rows_without_a_difference_or_an_interval(ax, frame):
    frame.loc[0, ["low", "high"]] = np.nan
    frame.loc[1, "difference"] = np.nan
    gains.gains(ax, frame)
    assert drawn(ax, "interval LEAP+") is None and drawn(ax, "LEAP+") is not None
    assert drawn(ax, "PS-RIDGE") is None
    assert [(text.get_text(), text.xy[1]) for text in ax.texts] == [("no data", 1)]
    assert len(ax.get_yticklabels()) == 3


def test_nothing_to_draw_and_missing_columns(ax, frame):
    for nothing in (pd.DataFrame(), frame.assign(difference=np.nan)):
        ax.clear()
        gains.gains(ax, nothing, goal=0.1)
        assert [text.get_text() for text in ax.texts] == ["no data"] and not ax.lines
    with pytest.raises(InputError, match="'low'"):
        gains.gains(ax, frame.drop(columns="low"))


def test_long_names_need_higher_rows():
    assert gains.row_height(pd.Series(["LEAP", "long name " * 9])) >= 2 * gains.row_height(pd.Series(["LEAP"]))
