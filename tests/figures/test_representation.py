import numpy as np
import pandas as pd
import pytest

from leaplib.figures import representation


@pytest.fixture
def curves():
    epochs = np.arange(1, 6)
    return pd.concat([
        pd.DataFrame({"representation": k, "epoch": epochs, "train_loss": 1 / epochs + k,
                      "validation_loss": (epochs - 3) ** 2 + k}) for k in range(3)
    ])  # fmt: skip


def test_curves_are_the_frames(ax, curves):
    representation.learning_curves(ax, curves)
    lines = {line.get_label(): line for line in ax.lines}
    for number, rows in curves.groupby("representation"):
        np.testing.assert_array_equal(lines[f"_training {number}"].get_ydata(), rows["train_loss"])
        np.testing.assert_array_equal(lines[f"_validation {number}"].get_ydata(), rows["validation_loss"])
        np.testing.assert_array_equal(lines[f"_validation {number}"].get_xdata(), rows["epoch"])
    best = [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines if line.get_label() == "_best"]
    assert best == [(3, 0), (3, 1), (3, 2)]
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert [name for name in names if name.startswith("DAMAE")] == ["DAMAE 1", "DAMAE 2", "DAMAE 3"]


def test_curves_without_validation(ax, curves):
    representation.learning_curves(ax, curves.assign(validation_loss=np.nan))
    assert not [line for line in ax.lines if line.get_label() == "_best"]


@pytest.mark.parametrize("draw", [representation.learning_curves, representation.codes])
def test_no_data(ax, draw):
    draw(ax, pd.DataFrame())
    assert [text.get_text() for text in ax.texts] == ["no data"]


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    groups = [f"tissue {i:02d}" for i in range(27) for _ in range(30 - i)]
    return pd.DataFrame({"x": rng.normal(size=len(groups)), "y": rng.normal(size=len(groups)), "group": groups})


def test_smallest_groups_are_pooled(ax, samples):
    representation.codes(ax, samples, n_groups=10)
    drawn = {c.get_label(): c.get_offsets() for c in ax.collections}
    assert len(drawn) == 11
    assert sum(len(points) for points in drawn.values()) == len(samples)
    np.testing.assert_array_equal(drawn["tissue 00 (30)"], samples.loc[samples["group"] == "tissue 00", ["x", "y"]])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[0] == "tissue 00 (30)" and labels[-1].startswith("other (")
    assert ax.get_title(loc="left") == f"n = {len(samples)} samples of 27 tissues"


def test_no_two_groups_look_the_same(ax, samples):
    representation.codes(ax, samples, n_groups=18)
    looks = {(tuple(c.get_facecolor()[0]), len(c.get_paths()[0].vertices)) for c in ax.collections}
    assert len(looks) == 19
