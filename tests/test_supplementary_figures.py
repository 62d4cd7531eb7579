import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from leaplib import figures
from tests.frames import make_scores, points, written

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def scores():
    return make_scores()


@pytest.fixture
def flow():
    rows = [
        ("DepMap 23Q4", "screened lines", 100, 30, 3000),
        ("DepMap 23Q4", "with expression", 90, 30, 2700),
    ]
    return pd.DataFrame(rows, columns=["branch", "step", "samples", "perturbations", "pairs"])


def test_members_of_leap(scores):
    fig, drawn = figures.supplementary_figure_5(scores, "1a")
    assert list(dict.fromkeys(drawn["name"])) == ["PS-LASSO r1", "PS-LASSO r2", "PS-LASSO r3", "LEAP"]
    for name, rows in drawn.groupby("name"):
        assert sorted(points(fig.axes[0], name)[:, 1]) == sorted(rows["value"])
    assert "simulated data" not in written(fig)
    assert "simulated data" in written(figures.supplementary_figure_5(scores.assign(data="simulated"), "1a")[0])


def test_flowcharts_of_several_tasks(flow):
    several = pd.concat([flow.assign(branch=name) for name in ("GDSC v2", "GDSC v1", "CCLE")])
    union = flow.assign(branch="all", pairs=[5000, 4000])
    flows = {"1a": flow, "2a": pd.concat([several, union]), "4b": pd.concat([flow, union])}
    fig, drawn = figures.supplementary_figure_1(flows, data={"1a": "simulated"})
    assert [len(ax.patches) for ax in fig.axes] == [2, 8, 4]
    assert len(drawn) == 14 and set(drawn["panel"]) == {"A", "B", "C"}
    assert written(fig).count("simulated data") == 1
    assert "CCLE\n(external validation)" in written(fig)
    assert figures.supplementary_figure_1({"1a": flow})[0].get_size_inches()[0] * 25.4 == pytest.approx(89)


@pytest.mark.parametrize("flows", [{}, {"1a": pd.DataFrame()}])
def test_flowcharts_of_nothing(flows):
    assert "no data" in written(figures.supplementary_figure_1(flows)[0])


@pytest.mark.parametrize("case", ["empty", "bare", "one model", "one split", "nan"])
def test_odd_scores_do_not_break_a_figure(scores, case):
    frame = {
        "empty": scores.head(0),
        "bare": pd.DataFrame(),
        "one model": scores[scores["model"] == "LEAP"],
        "one split": scores[scores["split"] == "holdout-1"],
        "nan": scores.assign(value=np.nan),
    }[case]
    made = [figures.supplementary_figure_5(frame, "1a")]
    for fig, drawn in made:
        fig.canvas.draw()
        assert "panel" in drawn
        if case in ("empty", "bare", "nan"):
            assert "no data" in written(fig)
