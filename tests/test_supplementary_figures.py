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


def marks(ax):
    """Heights of the published marks."""
    return [list(container[0].get_ydata()) for container in ax.containers]


def test_per_perturbation_and_overall(scores):
    scores.loc[scores["level"] == "overall", "value"] = np.arange((scores["level"] == "overall").sum()) / 100
    published = pd.DataFrame({"task": "1a", "model": ["LEAP", "LEAP", "PS-TCRP"], "metric": "spearman",
                              "level": ["per_perturbation", "overall", "overall"], "mean": [0.35, 0.66, 0.5],
                              "sd": [0.02, np.nan, 0.01]})  # fmt: skip
    fig, drawn = figures.supplementary_figure_2(scores, "1a", published)
    rows = scores[(scores["perturbation"] == "") & (scores["metric"] == "spearman") & (scores["member"] <= 0)]
    for ax, letter, level in zip(fig.axes, "AB", ("per_perturbation", "overall"), strict=True):
        expected = rows[rows["level"] == level].groupby(["model", "split"])["value"].mean()
        ours = drawn[(drawn["panel"] == letter) & (drawn["source"] == "this run")]
        assert (ours["level"] == level).all()
        pd.testing.assert_series_equal(ours.set_index(["model", "split"])["value"].sort_index(), expected)
        for model, values in expected.groupby("model"):
            assert sorted(points(ax, model)[:, 1]) == sorted(values)
    assert [marks(ax) for ax in fig.axes] == [[[0.35]], [[0.66]]]
    assert "per perturbation" in fig.axes[0].get_ylabel() and "overall" in fig.axes[1].get_ylabel()
    simulated, _ = figures.supplementary_figure_2(scores.assign(data="simulated"), "1a", published)
    assert written(simulated).count("simulated data") == 2 and marks(simulated.axes[0]) == []


@pytest.fixture
def external(scores):
    labels = scores[scores["model"] == "LEAP"].assign(model="Label reproducibility")
    labels["value"] = labels["value"] - np.linspace(-0.1, 0.15, len(labels))
    return pd.concat([make_scores("2a"), pd.concat([scores, labels]).assign(task="2a external")])


def test_external_validation(external):
    published = pd.DataFrame({"task": ["2a external", "2a"], "model": "LEAP", "metric": "spearman",
                              "level": "per_perturbation", "mean": [0.31, 0.35], "sd": 0.01})  # fmt: skip
    fig, drawn = figures.supplementary_figure_3(external, published)
    boxes, scatter = fig.axes
    assert boxes.get_title(loc="left") == "Task 2a: external validation\nn = 3 splits, 12 drugs"
    assert scatter.get_title(loc="left").startswith("Task 2a: LEAP against label reproducibility\nn = 12 drugs")
    part = external[external["task"] == "2a external"]
    single = part[part["perturbation"] != ""].groupby(["perturbation", "model"])["value"].mean().unstack()
    wanted = single[["Label reproducibility", "LEAP"]].to_numpy()
    assert {tuple(row) for row in points(scatter, "perturbations")} == {tuple(row) for row in wanted}
    above = (single["LEAP"] > single["Label reproducibility"]).sum()
    assert f"LEAP higher\n{above} ({above / 12:.0%})" in written(fig)
    means = part[(part["perturbation"] == "") & (part["level"] == "per_perturbation") & (part["metric"] == "spearman")]
    labels = means[means["model"] == "Label reproducibility"].groupby("split")["value"].mean()
    line = next(line for line in boxes.lines if line.get_label() == "_median reproducibility")
    assert line.get_ydata()[0] == pytest.approx(labels.median())
    assert marks(boxes) == [[0.31]]
    assert set(drawn["task"]) == {"2a external"}


def test_external_validation_on_simulated_data(external):
    fig, _ = figures.supplementary_figure_3(external.assign(data="simulated"))
    assert written(fig).count("simulated data") == 2


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
    made = [
        figures.supplementary_figure_2(frame, "1a"),
        figures.supplementary_figure_3(frame.assign(task="1a external"), task="1a"),
        figures.supplementary_figure_5(frame, "1a"),
    ]
    for fig, drawn in made:
        fig.canvas.draw()
        assert "panel" in drawn
        if case in ("empty", "bare", "nan"):
            assert "no data" in written(fig)
