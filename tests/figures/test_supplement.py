from itertools import product

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from leaplib.base.errors import InputError
from leaplib.figures import groups, style, supplement
from tests.frames import COLUMNS, make_scores, make_subset_scores, points, written


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
    fig, drawn = supplement.supplementary_figure_2(scores, "1a", published)
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
    simulated, _ = supplement.supplementary_figure_2(scores.assign(data="simulated"), "1a", published)
    assert written(simulated).count("simulated data") == 2 and marks(simulated.axes[0]) == []


@pytest.fixture
def external(scores):
    labels = scores[scores["model"] == "LEAP"].assign(model="Label reproducibility")
    labels["value"] = labels["value"] - np.linspace(-0.1, 0.15, len(labels))
    return pd.concat([scores, labels]).assign(task="2a", study="CCLE")


def test_external_validation(external):
    fig, drawn = supplement.supplementary_figure_3(external)
    boxes, scatter = fig.axes
    assert boxes.get_title(loc="left") == "Task 2a: external validation by CCLE\nn = 3 splits, 12 drugs"
    assert scatter.get_title(loc="left").startswith("Task 2a: LEAP against label reproducibility\nn = 12 drugs")
    part = external
    single = part[part["perturbation"] != ""].groupby(["perturbation", "model"])["value"].mean().unstack()
    wanted = single[["Label reproducibility", "LEAP"]].to_numpy()
    assert {tuple(row) for row in points(scatter, "perturbations")} == {tuple(row) for row in wanted}
    above = (single["LEAP"] > single["Label reproducibility"]).sum()
    assert f"LEAP higher\n{above} ({above / 12:.0%})" in written(fig)
    means = part[(part["perturbation"] == "") & (part["level"] == "per_perturbation") & (part["metric"] == "spearman")]
    labels = means[means["model"] == "Label reproducibility"].groupby("split")["value"].mean()
    line = next(line for line in boxes.lines if line.get_label() == "_median reproducibility")
    assert line.get_ydata()[0] == pytest.approx(labels.median())
    assert set(drawn["study"]) == {"CCLE"}
    simulated, _ = supplement.supplementary_figure_3(external.assign(data="simulated"))
    assert written(simulated).count("simulated data") == 2
    two = pd.concat([external, external.assign(study="CTRP", value=external["value"] - 0.1)])
    fig, drawn = supplement.supplementary_figure_3(two)
    assert [ax.get_title(loc="left").partition("\n")[0] for ax in fig.axes[::2]] == [
        f"Task 2a: external validation by {study}" for study in ("CCLE", "CTRP")
    ]
    assert drawn.groupby("study")["value"].mean().diff()["CTRP"] == pytest.approx(-0.1)


def test_members_of_leap(scores):
    fig, drawn = supplement.supplementary_figure_5(scores, "1a")
    assert list(dict.fromkeys(drawn["name"])) == ["PS-LASSO r1", "PS-LASSO r2", "PS-LASSO r3", "LEAP"]
    for name, rows in drawn.groupby("name"):
        assert sorted(points(fig.axes[0], name)[:, 1]) == sorted(rows["value"])
    assert "simulated data" not in written(fig)
    assert "simulated data" in written(supplement.supplementary_figure_5(scores.assign(data="simulated"), "1a")[0])


def test_members_beside_published_values_where_real(scores):
    published = pd.DataFrame({"task": "1a", "model": ["LEAP", "PS-LASSO", "PS-KNN"], "metric": "spearman",
                              "level": "per_perturbation", "mean": [0.35, 0.32, 0.2], "sd": 0.01})  # fmt: skip
    fig, drawn = supplement.supplementary_figure_5(scores, published=published)
    assert marks(fig.axes[0]) == [[0.35, 0.32]]
    theirs = drawn[drawn["source"] == "published"].set_index("name")["value"]
    assert theirs.to_dict() == {"LEAP": 0.35, "PS-LASSO r1": 0.32}
    fig, drawn = supplement.supplementary_figure_5(scores.assign(data="simulated"), published=published)
    assert marks(fig.axes[0]) == [] and set(drawn["source"]) == {"this run"}


@pytest.mark.parametrize(("kinds", "task"), [
    ({"1a": "real", "2a": "real"}, "1a"), ({"1a": "simulated", "2a": "real"}, "2a"),
    ({"1a": "simulated", "2a": "simulated"}, "2a"), ({"1a": "simulated"}, "1a"), ({}, None)])  # fmt: skip
def test_members_are_those_of_the_papers_task_where_it_is_real(kinds, task):
    scores = pd.concat([make_scores(name, data) for name, data in kinds.items()] or [make_scores().head(0)])
    _, drawn = supplement.supplementary_figure_5(scores)
    assert set(drawn.get("task", [])) == ({task} if task else set())


def test_flowcharts_of_several_tasks(flow):
    several = pd.concat([flow.assign(branch=name) for name in ("GDSC v2", "GDSC v1", "CCLE")])
    union = flow.assign(branch="all", pairs=[5000, 4000])
    flows = {"1a": flow, "2a": pd.concat([several, union]), "4b": pd.concat([flow, union])}
    fig, drawn = supplement.supplementary_figure_1(flows, data={"1a": "simulated"})
    assert [len(ax.patches) for ax in fig.axes] == [2, 8, 4]
    assert len(drawn) == 14 and set(drawn["panel"]) == {"A", "B", "C"}
    assert written(fig).count("simulated data") == 1
    assert "CCLE\n(external validation)" in written(fig)
    assert supplement.supplementary_figure_1({"1a": flow})[0].get_size_inches()[0] * 25.4 == pytest.approx(89)


def test_flowcharts_of_all_screens_fit_a_page(flow):
    """As many steps and studies as there are with all data at hand."""
    texts = [
        "records",
        "with expression",
        "with a tissue of origin",
        "without outliers (PCA)",
        "drugs with a structure",
        "median of repeats",
        "profile demo: 30 drawn at random, 10 of them among those of the external study",
    ]
    steps = pd.concat([flow.iloc[[0]].assign(step=text, samples=1019 - i, pairs=1_568_222 - 20_000 * i)
                       for i, text in enumerate(texts)])  # fmt: skip
    studies = ["GDSC v2", "GDSC v1", "CCLE", "CTRP", "PRISM"]
    several = pd.concat([*(steps.head(6).assign(branch=name) for name in studies), steps.tail(3).assign(branch="all")])
    flows = {"1a": steps, "2a": several, "5a": flow.assign(branch="PDX Encyclopedia")}
    fig, drawn = supplement.supplementary_figure_1(flows)
    assert drawn.drop_duplicates("panel").set_index("panel")["task"].to_dict() == {"A": "1a", "B": "5a", "C": "2a"}
    assert fig.get_size_inches()[1] * 25.4 <= 247.001
    fig.canvas.draw()
    for ax in fig.axes:
        boxes = [patch.get_window_extent() for patch in ax.patches]
        inside = [
            text.get_window_extent()
            for text in ax.texts
            if any(box.containsx(_middle(text)[0]) and box.containsy(_middle(text)[1]) for box in boxes)
        ]
        assert len(inside) == 2 * len(boxes)  # rule and counts
        for extent in inside:
            box = next(box for box in boxes if box.contains(*(extent.p0 + extent.p1) / 2))
            assert box.y0 <= extent.y0 + 1 and extent.y1 <= box.y1 + 1 and box.x0 <= extent.x0 and extent.x1 <= box.x1
    headings = [text for text in written(fig) if "external" in text and "drawn" not in text]
    assert headings == ["PRISM\n(external validation)"]  # CCLE takes its place only where it is absent


def _middle(text):
    extent = text.get_window_extent()
    return (extent.p0 + extent.p1) / 2


@pytest.mark.parametrize("flows", [{}, {"1a": pd.DataFrame()}])
def test_flowcharts_of_nothing(flows):
    assert "no data" in written(supplement.supplementary_figure_1(flows)[0])


TISSUES = ("Lung", "Skin", "Bone")


@pytest.fixture
def by_tissue():
    """Two tasks, three tissues, 40 test sets; the mean falls from tissue to tissue, Pearson's the other way."""
    rng = np.random.default_rng(3)
    rows = []
    for task, model, (place, tissue) in product(("3a", "4b"), ("Tissue mean", "PS-LASSO", "LEAP"), enumerate(TISSUES)):
        for metric, sign in (("spearman", -1), ("pearson", 1)):
            middle = 0.3 + sign * 0.05 * place
            key = (task, model, 0 if model == "PS-LASSO" else -1, tissue, "per_perturbation")
            values = rng.normal(middle, 0.02 * (1 + place), 40)
            rows += [(*key, "", i, metric, value, "real") for i, value in enumerate(values)]
            rows += [(*key, f"p{p}", -1, metric, 5.0, "real") for p in range(7)]
            rows += [(task, "PS-LASSO", 1, *key[3:], "", i, metric, 7.0, "real") for i in range(40)]  # a member of LEAP
            rows += [(*key[:4], "overall", "", 0, metric, 9.0, "real")]
    return pd.DataFrame(rows, columns=COLUMNS)


def expected_interval(scores, task, tissue, model, metric):
    rows = scores[(scores["task"] == task) & (scores["split"] == tissue) & (scores["model"] == model)]
    rows = rows[(rows["metric"] == metric) & (rows["level"] == "per_perturbation") & (rows["perturbation"] == "")]
    rows = rows[rows["member"] <= 0]
    low, middle, high = np.percentile(rows["value"], [2.5, 50, 97.5])
    return middle, high - low


def test_tissues_show_medians_and_intervals(by_tissue):
    fig, drawn = supplement.supplementary_figure_6(by_tissue, ("3a", "4b"))
    assert list(drawn["panel"].unique()) == ["A", "B"] and set(drawn["metric"]) == {"spearman"}
    for row in drawn.itertuples():
        assert (row.value, row.width) == pytest.approx(
            expected_interval(by_tissue, row.task, row.group, row.model, "spearman")
        )
    for ax, letter in zip(fig.axes, "AB", strict=True):
        assert [label.get_text() for label in ax.get_xticklabels()] == list(TISSUES)
        for model, rows in drawn[drawn["panel"] == letter].groupby("model"):
            assert sorted(points(ax, model)[:, 1]) == sorted(rows["value"])
    assert "n = 3 unseen tissues, 7 drugs, 40 test sets" in fig.axes[1].get_title(loc="left")
    sizes = next(c for c in fig.axes[0].collections if c.get_label() == "_LEAP").get_sizes()
    assert sizes[0] < sizes[-1]
    sizes = [c.get_sizes() for ax in fig.axes for c in ax.collections if str(c.get_label()).startswith("_")]
    ratio = np.sort(np.concatenate(sizes)) / np.sort(drawn["width"])  # one scale for all panels
    np.testing.assert_allclose(ratio, groups.LARGEST / drawn["width"].max())
    assert "simulated data" not in written(fig)


def test_tissues_by_both_correlations_in_one_order(by_tissue):
    fig, drawn = supplement.supplementary_figure_7(by_tissue, ("3b", "4b"))
    assert [text for text in written(fig) if len(text) == 1] == ["C", "D"]  # the paper's letters, 3b being absent
    for ax, name in zip(fig.axes, ("Spearman", "Pearson"), strict=True):
        assert ax.get_ylabel().startswith(name)
        assert [label.get_text() for label in ax.get_xticklabels()] == list(TISSUES)
    for row in drawn.itertuples():
        assert row.metric == {"C": "spearman", "D": "pearson"}[row.panel]
        wanted = expected_interval(by_tissue, "4b", row.group, row.model, row.metric)
        assert (row.value, row.width) == pytest.approx(wanted)


def test_tissues_with_few_test_sets_or_values(by_tissue):
    by_tissue.loc[by_tissue["model"] == "LEAP", "data"] = "simulated"
    by_tissue.loc[by_tissue["model"] == "PS-LASSO", "value"] = np.nan
    few = by_tissue[(by_tissue["model"] != "Tissue mean") | (by_tissue["test_set"] < 10)]
    fig, drawn = supplement.supplementary_figure_6(few, ("3a",))
    assert "10 to 40 test sets" in fig.axes[0].get_title(loc="left")
    assert written(fig).count("simulated data") == 1
    assert "PS-LASSO (no data)" in [text.get_text() for text in fig.legends[0].get_texts()]
    assert drawn[drawn["model"] == "PS-LASSO"]["value"].isna().all()
    fig, drawn = supplement.supplementary_figure_6(by_tissue[by_tissue["test_set"] <= 0], ("3a",))
    assert drawn["width"].isna().all() and len(fig.legends) == 1


LONG_TISSUES = ["Lung", "Central Nervous System", "Ovary/Fallopian Tube", "Peripheral Nervous System", "Skin", "Bowel",
                "Esophagus/Stomach", "Bladder/Urinary Tract", "Head and Neck",
                *(f"Tissue {i}" for i in range(9))]  # fmt: skip


@pytest.mark.parametrize(("name", "n_tissues"), [("6", 18), ("7", 10)])
def test_twelve_models_and_all_tissues_fit_the_page(name, n_tissues):
    rng = np.random.default_rng(0)
    rows = [(task, model, -1, tissue, "per_perturbation", "", i, metric, rng.normal(0.2, 0.1), "simulated")
            for task in ("3a", "4b") for model in [*style.ORDER][:12] for tissue in LONG_TISSUES[:n_tissues]
            for i in range(3) for metric in ("spearman", "pearson")]  # fmt: skip
    scores = pd.DataFrame(rows, columns=COLUMNS)
    fig, _ = getattr(supplement, f"supplementary_figure_{name}")(scores, ("3a", "4b"))
    fig.canvas.draw()
    assert min(text.get_fontsize() for text in fig.findobj(Text) if text.get_text().strip()) >= 6
    models, sizes = (legend.get_window_extent() for legend in fig.legends)
    assert models.x1 < sizes.x0 and models.x0 >= 0 and sizes.x1 <= fig.bbox.x1
    for ax in fig.axes:
        assert max(models.y1, sizes.y1) <= ax.get_tightbbox().y0 and ax.get_tightbbox().x0 >= 0
        labels = ax.get_xticklabels()
        slope = np.sin(np.radians(labels[0].get_rotation()))
        for label in labels:
            label.set_rotation(0)
            assert label.get_window_extent().height <= ax.bbox.width / n_tissues * slope, label.get_text()


def test_drugs_show_mean_and_sd_over_subsets():
    scores = make_subset_scores()
    fig, drawn = supplement.supplementary_figure_8(scores)
    (ax,) = fig.axes
    single = scores[(scores["perturbation"] != "") & (scores["test_set"] >= 0) & (scores["metric"] == "spearman")]
    wide = single.pivot(index=["perturbation", "model"], columns="test_set", values="value")
    assert len(drawn) == len(wide) and (drawn["n"] == 10).all()
    for row in drawn.itertuples():
        values = wide.loc[(row.group, row.model)].to_numpy()
        assert (row.value, row.sd) == pytest.approx((values.mean(), values.std(ddof=1)))
    for model, rows in drawn.groupby("model"):
        assert sorted(points(ax, model)[:, 1]) == sorted(rows["value"])
    leap = drawn[drawn["model"] == "LEAP"].sort_values("value", ascending=False)
    assert [label.get_text() for label in ax.get_xticklabels()] == list(leap["group"])
    assert "simulated data" not in written(fig)


def test_drugs_of_one_subset_or_simulated():
    fig, drawn = supplement.supplementary_figure_8(make_subset_scores(n_subsets=1, data="simulated"))
    assert drawn["sd"].isna().all() and "simulated data" in written(fig)
    none, drawn = supplement.supplementary_figure_8(make_scores("5a"))  # nothing by subset
    assert "no data" in written(none) and drawn.empty


def test_one_model_on_one_drug_or_tissue(by_tissue):
    fig, drawn = supplement.supplementary_figure_8(make_subset_scores(models=("LEAP",), n_drugs=1))
    assert len(drawn) == 1 and points(fig.axes[0], "LEAP")[:, 1] == drawn["value"].to_numpy()
    one = by_tissue[(by_tissue["split"] == "Lung") & (by_tissue["model"] == "LEAP")]
    fig, drawn = supplement.supplementary_figure_7(one)
    assert [points(ax, "LEAP")[:, 1].tolist() for ax in fig.axes] == [[value] for value in drawn["value"]]
    assert all("1 unseen tissue, 7 drugs" in ax.get_title(loc="left") for ax in fig.axes)


@pytest.fixture
def ablation():
    """Two tasks of three steps on four splits; the second on simulated data."""
    rng = np.random.default_rng(1)
    rows = [(task, step, name, f"holdout-{i}", 0.3 + 0.01 * step + rng.normal(0, 0.01), data, np.nan, 0.3, 0.01)
            for task, data in (("1a", "real"), ("2a", "simulated"))
            for step, name in enumerate(("PP-LGBM", "PS-LASSO", "LEAP"), start=1) for i in range(4)]  # fmt: skip
    columns = ["task", "step", "name", "split", "value", "data", "p_value", "published_mean", "published_sd"]
    return pd.DataFrame(rows, columns=columns).assign(n_perturbations=30)


def test_steps_have_a_panel_a_task(ablation):
    fig, drawn = supplement.supplementary_figure_4(ablation)
    assert [text for text in written(fig) if len(text) == 1] == ["A", "B"]
    titles = [ax.get_title(loc="left").split("\n") for ax in fig.axes]
    assert titles[0] == [
        "Task 1a: gene dependency, unseen cell lines",
        "n = 4 splits, 30 genes; bars: means; lines: SD",
    ]
    assert titles[1][1] == "n = 4 splits, 30 drugs; bars: means; lines: SD"
    assert [len(ax.containers) for ax in fig.axes] == [1, 0]  # nothing published beside simulated data
    assert [[t.get_text() for t in ax.texts].count("simulated data") for ax in fig.axes] == [0, 1]
    means = ablation.groupby(["task", "step"])["value"].mean().unstack()
    got = drawn.groupby(["task", "step"])["change"].first().unstack()
    np.testing.assert_allclose(got.to_numpy(), means.diff(axis=1).to_numpy())
    for ax, letter in zip(fig.axes, "AB", strict=True):
        rows = drawn[(drawn["panel"] == letter) & (drawn["step"] == 2)]
        assert sorted(points(ax, "2  PS-LASSO")[:, 0]) == sorted(rows["value"])


@pytest.mark.parametrize("case", ["bare", "one task", "one split", "nan"])
def test_odd_steps_do_not_break_the_figure(ablation, case):
    frame = {
        "bare": pd.DataFrame(),
        "one task": ablation[ablation["task"] == "1a"],
        "one split": ablation[ablation["split"] == "holdout-1"],
        "nan": ablation.assign(value=np.nan),
    }[case]
    fig, drawn = supplement.supplementary_figure_4(frame)
    assert ("no data" in written(fig)) == (case in ("bare", "nan"))
    assert len(drawn) == len(frame) and ("A" in written(fig)) == (case in ("one split", "nan"))
    with pytest.raises(InputError, match="'p_value'"):
        supplement.supplementary_figure_4(ablation.drop(columns="p_value"))


def test_missing_columns_are_named(scores):
    for name in ("2", "3", "5", "6", "7", "8"):
        with pytest.raises(InputError, match="'test_set'"):
            getattr(supplement, f"supplementary_figure_{name}")(scores.drop(columns="test_set"))


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
        supplement.supplementary_figure_2(frame, "1a"),
        supplement.supplementary_figure_3(frame.assign(study="CCLE"), task="1a"),
        supplement.supplementary_figure_5(frame, "1a"),
        supplement.supplementary_figure_6(frame, ("1a",)),
        supplement.supplementary_figure_7(frame, ("1a", "2a")),
        supplement.supplementary_figure_8(frame.assign(test_set=0), "1a"),
    ]
    for fig, drawn in made:
        fig.canvas.draw()
        assert "panel" in drawn
        if case in ("empty", "bare", "nan"):
            assert "no data" in written(fig)
