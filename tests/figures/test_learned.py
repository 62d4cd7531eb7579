import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from leaplib.figures import learned, style


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
    learned.learning_curves(ax, frame)
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
    learned.codes(ax, samples)
    drawn = {c.get_label(): c.get_offsets() for c in ax.collections}
    assert len(drawn) == learned.N_GROUPS + 1
    assert sum(len(points) for points in drawn.values()) == len(samples)
    np.testing.assert_array_equal(drawn["tissue 00 (30)"], samples.loc[samples["group"] == "tissue 00", ["x", "y"]])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[0] == "tissue 00 (30)" and labels[-1] == f"other ({sum(range(4, 16))})"
    looks = {(tuple(c.get_facecolor()[0]), len(c.get_paths()[0].vertices)) for c in ax.collections}
    assert len(looks) == len(drawn)
