import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.figures import groups, style


def dots(ax, name):
    return next(c for c in ax.collections if c.get_label() == f"_{name}")


@pytest.fixture
def frame():
    rows = [("lung", "LEAP", 0.3, 0.1), ("lung", "PS-KNN", 0.2, 0.05), ("skin", "LEAP", 0.4, 0.2),
            ("skin", "PS-KNN", 0.1, np.nan), ("bone", "PS-KNN", 0.15, 0.001)]  # fmt: skip
    return pd.DataFrame(rows, columns=["group", "model", "value", "width"])


def test_groups_fall_with_leap_and_those_without_it_come_last(frame):
    more = pd.DataFrame({"group": ["liver"], "model": ["PS-KNN"], "value": [0.9]})
    assert groups.group_order(pd.concat([frame, more])) == ["skin", "lung", "liver", "bone"]
    assert groups.group_order(frame, "PS-KNN") == ["lung", "bone", "skin"]


def test_a_point_stands_in_its_group_and_is_as_large_as_its_interval(ax, frame):
    order = ["skin", "lung", "bone"]
    assert groups.points(ax, frame, order, 0.2, title="t", ylabel="y") is ax
    for name, rows in frame.groupby("model"):
        places = dots(ax, name).get_offsets()
        assert [order[round(x)] for x in places[:, 0]] == list(rows["group"])
        assert list(places[:, 1]) == list(rows["value"])
        assert style.to_hex(dots(ax, name).get_facecolor()[0]) == style.COLOURS[name].lower()
    np.testing.assert_allclose(dots(ax, "LEAP").get_sizes(), [groups.LARGEST / 2, groups.LARGEST])
    np.testing.assert_allclose(dots(ax, "PS-KNN").get_sizes(), [groups.LARGEST / 4, groups.SMALLEST, groups.SMALLEST])
    assert (dots(ax, "PS-KNN").get_offsets()[0, 0] < dots(ax, "LEAP").get_offsets()[0, 0]) and ax.get_ylabel() == "y"


@pytest.mark.parametrize("n_models", [1, 2, 12])
def test_models_stay_within_their_group_and_apart(ax, n_models):
    names = list(style.ORDER)[:n_models]
    frame = pd.DataFrame([(g, m, 0.1, 0.1) for g in "ab" for m in names], columns=["group", "model", "value", "width"])
    groups.points(ax, frame, ["a", "b"], 0.1)
    across = np.array([dots(ax, name).get_offsets()[0, 0] for name in style.model_order(names)])
    assert (np.diff(across) > 0.05).all() and np.abs(across).max() < 0.45
    assert across.mean() == pytest.approx(0)


def test_means_have_bars_of_one_sd(ax):
    frame = pd.DataFrame({"group": ["a", "b"], "model": "LEAP", "value": [0.3, -0.2], "sd": [0.05, np.nan]})
    groups.points(ax, frame, ["a", "b"], title="t", ylabel="y")
    assert list(dots(ax, "LEAP").get_offsets()[:, 1]) == [0.3, -0.2]
    (_, _, (lines,)) = ax.containers[0]
    np.testing.assert_allclose(lines.get_segments()[0][:, 1], [0.25, 0.35])
    assert any(line.get_label() == "_zero" for line in ax.lines)
    np.testing.assert_array_equal(dots(ax, "LEAP").get_sizes(), groups.MIDDLE)  # no interval is known


@pytest.mark.parametrize(("names", "level"), [
    (["Lung", "Central Nervous System"], True),
    ([f"Gastrointestinal {i}" for i in range(18)], False),
])  # fmt: skip
def test_labels_slant_only_where_they_must(names, level):
    fig, ax = style.figure(183, 60)
    frame = pd.DataFrame({"group": names, "model": "LEAP", "value": 0.1, "width": 0.1})
    groups.points(ax, frame, names, 0.1)
    labels = ax.get_xticklabels()
    assert [label.get_text().replace("\n", " ") for label in labels] == names
    assert [label.get_rotation() == 0 for label in labels] == [level] * len(names)
    plt.close(fig)


def test_the_legend_explains_models_and_sizes():
    fig, _ = style.figure(183, 60)
    groups.legend(fig, ["LEAP", "PS-KNN", "LEAP"], 0.083, absent=["PS-KNN"])
    models, sizes = fig.legends
    assert [text.get_text() for text in models.get_texts()] == ["PS-KNN (no data)", "LEAP"]
    widths = [float(text.get_text()) for text in sizes.get_texts()]
    assert widths == [0.02, 0.04, 0.08]
    drawn = [handle.get_markersize() ** 2 for handle in sizes.legend_handles]
    np.testing.assert_allclose(drawn, groups.areas(pd.Series(widths), 0.083))
    groups.legend(plt.figure(), ["LEAP"], 0)
    assert len(plt.gcf().legends) == 1
    groups.legend(plt.figure(), [])
    assert not plt.gcf().legends


def test_nothing_to_draw_and_missing_columns(ax, frame):
    groups.points(ax, pd.DataFrame(), [])
    assert [text.get_text() for text in ax.texts] == ["no data"]
    with pytest.raises(InputError, match="'model'"):
        groups.points(ax, frame.drop(columns="model"), [])


def test_the_legend_reads_row_by_row():
    fig, _ = style.figure(183, 60)
    names = list(style.ORDER)[:11]
    groups.legend(fig, names, 0.1)
    fig.canvas.draw()
    texts = fig.legends[0].get_texts()
    across = sorted(texts, key=lambda t: (-round(t.get_window_extent().y0), t.get_window_extent().x0))
    assert [text.get_text() for text in across] == names
    assert fig.legends[0].get_title().get_text() == "from left to right in each group"
