"""Pages are made of the values that they are given, say what these rest on, and stand gaps."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from leaplib.base.errors import InputError
from leaplib.figures import pages, panels, style
from leaplib.figures.draw import save_figure
from leaplib.results.comparisons import published_scores, split_values
from leaplib.tasks import POCKET
from tests.frames import COLUMNS, MEANS, make_scores, make_subset_scores, points, printed_size, written


def title(ax):
    return ax.get_title(loc="left")


def titles(fig):
    return [title(ax) for ax in fig.axes]


def letters(fig):
    return [text for text in written(fig) if len(text) == 1]


def marks(ax):
    """Heights of the published marks."""
    return [list(container[0].get_ydata()) for container in ax.containers]


@pytest.fixture
def scores():
    return make_scores()


@pytest.fixture
def published():
    rows = [("1a", "LEAP", 0.35, 0.02), ("1a", "PS-KNN", 0.22, 0.01), ("1a", "PP-tDNN", 0.28, 0.01),
            ("1a", "PS-LASSO", 0.32, 0.01), ("2a", "LEAP", 0.4, 0.1)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["task", "model", "mean", "sd"])
    return frame.assign(level="per_perturbation", metric="spearman")


def test_figure_1_counts_its_stages():
    fig, drawn = pages.figure_1()
    assert dict(zip(drawn["stage"], drawn["number"], strict=True))["5 × 5 Lasso regressors"] == 25  # noqa: RUF001
    assert fig.get_size_inches()[0] * 25.4 == pytest.approx(183)


def test_figure_2_draws_its_frame(scores, published):
    fig, drawn = pages.figure_2(scores, "1a", published)
    boxes, scatter = fig.axes
    ours = drawn[(drawn["panel"] == "A") & (drawn["source"] == "this run")]
    assert set(ours["model"]) == set(MEANS)
    values = split_values(scores, "per_perturbation", "spearman").query("member <= 0")  # the first of LEAP's members
    for model, rows in values.groupby("model"):
        assert sorted(points(boxes, model)[:, 1]) == sorted(rows["value"]) == sorted(
            ours.loc[ours["model"] == model, "value"])  # fmt: skip
    assert marks(boxes) == [drawn.loc[drawn["source"] == "published", "value"].tolist()] == [[0.35, 0.22, 0.32]]
    wide = drawn[drawn["panel"] == "B"].pivot_table(index="perturbation", columns="model", values="value")
    assert set(wide) == {"LEAP", "PP-MLP"}
    np.testing.assert_array_equal(np.sort(scatter.collections[0].get_offsets(), axis=0),
                                  np.sort(wide[["PP-MLP", "LEAP"]], axis=0))  # fmt: skip
    assert titles(fig) == ["Task 1a: gene dependency, unseen cell lines\nn = 3 splits, 12 genes",
                           "Task 1a: LEAP against PP-MLP\nn = 12 genes, mean of 3 splits"]  # fmt: skip
    assert letters(fig) == ["A", "B"] and "Spearman" in boxes.get_ylabel()


def test_figure_2_against_another_rival_in_another_size_and_beside_models_not_run(scores, published):
    fig, drawn = pages.figure_2(scores, "1a", published, best_rival="PS-KNN", reported_only=True, size=(120, 60))
    assert fig.axes[1].get_xlabel().startswith("PS-KNN")
    assert fig.get_size_inches()[0] * 25.4 == pytest.approx(120)
    assert "PP-tDNN" in [label.get_text() for label in fig.axes[0].get_xticklabels()]
    assert "PP-tDNN" in set(drawn["model"])


def test_the_critical_difference_has_a_panel_a_task_and_its_pairs_beside_it():
    scores = pd.concat([make_scores("2a"), make_scores("1a", "simulated")])
    fig, drawn = pages.critical_difference(scores)
    assert [name.split(":")[0] for name in titles(fig)] == ["Task 1a", "Task 2a"]
    assert all("n = 3 splits, 12" in name and "Friedman's p < 0.001" in name for name in titles(fig))
    assert len(drawn) == 12 and letters(fig) == ["A", "B"] and "simulated data" in written(fig)


@pytest.mark.parametrize(("kinds", "second", "fifth"), [
    ({"1b": "real", "2a": "real"}, "1b", "2a"), ({"1b": "simulated", "2a": "real"}, "2a", "2a"),
    ({"1a": "real", "2a": "real"}, "2a", "1a"), ({"1a": "simulated", "2a": "simulated"}, "2a", "2a"),
    ({"1a": "simulated", "1b": "simulated"}, "1b", "1a")])  # fmt: skip
def test_figures_are_of_the_papers_task_where_that_is_real(kinds, second, fifth):
    scores = pd.concat([make_scores(name, data) for name, data in kinds.items()])
    fig, drawn = pages.figure_2(scores)
    assert set(drawn["task"]) == {second} and all(name.startswith(f"Task {second}") for name in titles(fig))
    assert set(pages.supplementary_figure_5(scores)[1]["task"]) == {fifth}


def test_the_rival_is_the_best_pan_perturbation_model_or_else_no_member_or_control(scores):
    labels = scores[scores["model"] == "LEAP"].assign(model=style.REPRODUCIBILITY, value=0.9)
    values = split_values(pd.concat([scores, labels]), "per_perturbation", "spearman")
    values.loc[values["model"] == "PS-KNN", "value"] = 0.8
    assert pages.best_rival_of(values) == "PP-MLP"
    assert pages.best_rival_of(values[~values["model"].str.startswith("PP-")]) == "PS-KNN"
    few = scores[scores["model"].isin(["LEAP", "PS-LASSO", "Tissue mean"])]
    assert pages.best_rival_of(split_values(few, "per_perturbation", "spearman")) == "other model"
    assert "no data" in written(pages.figure_2(few, "1a")[0])


def test_figure_3_has_a_panel_a_task_and_keeps_the_papers_letters(published):
    scores = pd.concat([make_scores("4b"), make_scores("2a"), make_scores("1a", data="simulated")])
    fig, drawn = pages.figure_3(scores, published)
    assert dict(drawn.groupby("task")["panel"].first()) == {"1a": "A", "2a": "B", "4b": "F"}
    assert letters(fig) == ["A", "B", "F"]
    assert [name[:7] for name in titles(fig)] == ["Task 1a", "Task 2a", "Task 4b", ""]
    assert "3 unseen tissues, 12 drugs" in title(fig.axes[2])
    for ax, (_, rows) in zip(fig.axes, drawn.groupby("panel"), strict=False):
        for model, values in rows[rows["source"] == "this run"].groupby("model"):
            assert sorted(points(ax, model)[:, 1]) == sorted(values["value"])
    assert [marks(ax) for ax in fig.axes] == [[], [[0.4]], [], []]  # nothing published beside simulated data
    notes = [[text.get_text() for text in ax.texts if "simulated" in text.get_text()] for ax in fig.axes]
    assert notes == [["simulated data"], [], [], []]


def test_figure_3_counts_subsets_of_xenografts():
    fig, drawn = pages.figure_3(make_subset_scores())
    assert titles(fig)[0] == "Task 5a: drug response, xenografts\nn = 10 subsets of PDX, 5 drugs"
    assert set(drawn["panel"]) == {"E"} == set(letters(fig))


def test_figure_3_names_what_makes_a_simulated_task_real_where_others_are(published):
    scores = pd.concat([make_scores("1a", POCKET), make_scores("2a"), make_scores("5a", data="simulated")])
    fig, drawn = pages.figure_3(scores, published, left_out={"1a": "this", "5a": "`leap data fetch pdxe`"})
    assert set(drawn["task"]) == {"1a", "2a"} and POCKET in written(fig)
    assert set(drawn.loc[drawn["source"] == "published", "task"]) == {"2a"}  # none beside the pocket
    assert fig.get_supxlabel().startswith("E  Task 5a:") and "fetch pdxe` makes it real" in fig.get_supxlabel()
    alone = scores[scores["task"] == "5a"]
    assert set(pages.figure_3(alone, left_out={"5a": "that"})[1]["task"]) == {"5a"}  # or nothing would be left


@pytest.mark.parametrize("draw, there, absent", [
    (pages.figure_3, ("2a", "4a"), ["DepMap 23Q4", "DepMap 23Q4", "PDX Encyclopedia", ""]),
    (pages.supplementary_figure_6, ("4a",), ["DepMap 23Q4"]),
    (pages.supplementary_figure_7, ("4b",), ["DepMap 18Q3", "DepMap 18Q3"]),
])  # fmt: skip
def test_tasks_without_results_are_left_out_or_empty_frames_that_say_what_is_missing(draw, there, absent):
    scores = pd.concat([make_scores(task, "real") for task in there])
    fig, drawn = draw(scores, frames=True)
    said = [text.partition(":\n")[2] for text in written(fig) if text.startswith("no results on real data")]
    assert said == [f"{source} is not at hand" if source else "not run yet" for source in absent]
    assert set(drawn["task"]) == set(there)
    assert sorted(letters(fig)) == list("ABCDEF")[: len(fig.axes)]
    assert not any("not at hand" in text for text in written(draw(scores)[0]))


@pytest.mark.parametrize("make, frame", [
    (pages.learning_curves, {"representation": 0, "epoch": [1, 2], "train_loss": 2.0, "validation_loss": [2.0, 1.5]}),
    (pages.codes, {"x": [0.0, 1.0], "y": [1.0, 0.0], "group": ["lung", "unknown"]}),
])  # fmt: skip
def test_pretraining_figures(make, frame):
    frame = pd.DataFrame(frame).assign(data="simulated")
    fig, drawn = make(frame)
    pd.testing.assert_frame_equal(drawn.drop(columns="panel"), frame)
    assert "simulated data" in written(fig) and "simulated data" not in written(make(frame.assign(data="real"))[0])
    assert make is pages.learning_curves or title(fig.axes[0]).endswith("n = 2 samples of 1 tissue")
    assert "no data" in written(make(frame.head(0))[0])


def test_two_laboratories_stand_row_by_row():
    frame = pd.DataFrame({"tissue": ["Lung", "Lung", "Skin", "Skin"], "other": ["Bone", "Lung"] * 2,
                          "value": [-0.1, 0.4, 0.2, 0.05], "level": [0.8, 0.9, 0.85, 0.7], "n_genes": 9})  # fmt: skip
    fig, drawn = pages.two_laboratories(frame)
    assert [text.get_text() for text in fig.axes[0].texts] == ["-0.10", "0.40", "0.20", "0.05"]
    assert "n = 9 genes" in title(fig.axes[0]) and "0.70 to 0.90" in title(fig.axes[0])
    assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == ["Lung", "Skin"]
    assert set(drawn["data"]) == {POCKET}


def test_alternatives_have_a_panel_a_group():
    rows = [(group, name, f"holdout-{i}", 0.3 + 0.01 * i, data) for name in ("b", "a") for i in range(3)
            for group, data in (("Noise", "real"), ("PCA", "simulated"))]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["group", "name", "split", "value", "data"])
    frame = frame.assign(task="2a", n_perturbations=30)
    fig, drawn = pages.ablation_bars(frame)
    counts = "n = 3 splits, 30 drugs; bars: means; blue lines: SD over splits"
    assert titles(fig) == [f"Noise\n{counts}", f"PCA\n{counts}"]
    assert [[label.get_text() for label in ax.get_yticklabels()] for ax in fig.axes] == [["b", "a"]] * 2
    assert written(fig) == ["A", "B", "simulated data"]
    expected = frame.sort_values("group", kind="stable", ignore_index=True)
    pd.testing.assert_frame_equal(drawn.drop(columns="panel"), expected, check_like=True)
    assert drawn.groupby("panel")["group"].unique().map(list).to_dict() == {"A": ["Noise"], "B": ["PCA"]}
    assert written(pages.ablation_bars(frame[frame["group"] == "Noise"])[0]) == []


def make_gains(tasks=("1a", "2a")):
    """Gains of three candidates, on task 2a of four; the second task is simulated."""
    gaps = {"LEAP+": 0.03, "LEAP": 0.0, "PS-LASSO": -0.02, "ridge on codes": -0.03}
    rows = [(task, name, 0.4 + gap, gap, gap - 0.01, gap + 0.02, 30, 3, data)
            for task, data in zip(tasks, ("real", "simulated"), strict=False)
            for name, gap in gaps.items() if task == "2a" or name != "ridge on codes"]  # fmt: skip
    return pd.DataFrame(rows, columns=["task", "candidate", "mean", "difference", "low", "high", "n_perturbations",
                                       "n_splits", "data"])  # fmt: skip


def test_beyond_leap_draws_its_frame():
    frame = make_gains()
    fig, drawn = pages.beyond_leap(frame)
    said = [name.replace("\n", ": ").split(": ", 2)[0::2] for name in titles(fig)]
    assert said == [
        ["Task 2a", "n = 3 splits, 30 drugs; LEAP: 0.400"],
        ["Task 1a", "n = 3 splits, 30 genes; LEAP: 0.400"],
    ]
    assert written(fig) == ["A", "simulated data", "B"]
    assert drawn.groupby("panel")["task"].unique().map(list).to_dict() == {"A": ["2a"], "B": ["1a"]}
    expected = frame[frame["candidate"] != "LEAP"].sort_values("task", ascending=False, kind="stable")
    pd.testing.assert_frame_equal(drawn.drop(columns="panel"), expected.reset_index(drop=True))
    assert points(fig.axes[1], "LEAP+").tolist() == [[0.03, 0]]


def test_beyond_leap_of_one_task():
    fig, _ = pages.beyond_leap(make_gains(["4a"]))
    assert len(fig.axes) == 1 and written(fig) == [] and "3 unseen tissues" in title(fig.axes[0])
    fig, _ = pages.beyond_leap(make_gains(["5a"]).assign(n_splits=1), size=(89, 60))
    assert "n = 1 set of all PDX, 30 drugs" in title(fig.axes[0])


def test_general_sensitivity_within_and_outside(home):
    models = ["General sensitivity", "LEAP"]
    kinds = ["as measured", "without general sensitivity", "without growth rate"]
    rows = [("2a", study, where, kind, model, 0.1 * len(where) + 0.01 * len(kind), 9, 3, "real")
            for study, places in (("", ["within"]), ("CCLE", ["within", "outside"]), ("CTRP", ["within", "outside"]))
            for where in places for kind in kinds for model in models]  # fmt: skip
    columns = ["task", "study", "where", "labels", "model", "mean", "n_perturbations", "n_splits", "data"]
    frame = pd.DataFrame(rows, columns=columns)
    fig, drawn = pages.general_sensitivity(frame)
    within = "Task 2a: this screen\nn = 3 splits, 9 drugs"
    assert titles(fig)[::2] == [within, within]
    assert [name.partition(" by ")[2][:4] for name in titles(fig)[1::2]] == ["CCLE", "CTRP"]
    assert len(drawn) == 24 and set(drawn["study"]) == {"CCLE", "CTRP"}
    dots = fig.axes[1].collections
    assert [dot.get_label() for dot in dots] == kinds == [text.get_text() for text in fig.legends[0].get_texts()]
    np.testing.assert_allclose(dots[0].get_offsets()[:, 0], 0.1 * 7 + 0.01 * len(kinds[0]))
    left, right = (ax.xaxis.label.get_window_extent() for ax in fig.axes[-2:])
    legend = fig.legends[0].get_window_extent()
    assert left.x1 < right.x0 and right.x1 <= fig.bbox.x1 and legend.y0 >= 0 and legend.y1 <= left.y0 + 1
    fig, drawn = pages.general_sensitivity(frame.assign(data="simulated"))
    save_figure(fig, drawn, "smoke", "general_sensitivity")
    assert printed_size(home / "figures/smoke", "general_sensitivity")[0] == pytest.approx(183, abs=1e-3)
    assert written(fig).count("simulated data") == 4


@pytest.fixture
def branch():
    rows = [("DepMap 23Q4", "screened lines", 100, 30, 3000), ("DepMap 23Q4", "with expression", 90, 30, 2700)]
    return pd.DataFrame(rows, columns=["branch", "step", "samples", "perturbations", "pairs"])


def test_flowcharts_of_several_tasks(branch):
    several = pd.concat([branch.assign(branch=name) for name in ("GDSC v2", "GDSC v1", "CCLE")])
    union = branch.assign(branch="all", pairs=[5000, 4000])
    flows = {"1a": branch.assign(data="simulated"), "2a": pd.concat([several, union]), "4b": pd.concat([branch, union])}
    fig, drawn = pages.supplementary_figure_1(flows)
    assert [len(ax.patches) for ax in fig.axes] == [2, 8, 4]
    assert len(drawn) == 14 and drawn.groupby("panel")["data"].unique().map(list).to_dict() == {
        "A": ["simulated"], "B": ["real"], "C": ["real"]}  # fmt: skip
    assert written(fig).count("simulated data") == 1 and "CCLE\n(external validation)" in written(fig)
    assert pages.supplementary_figure_1({"1a": branch})[0].get_size_inches()[0] * 25.4 == pytest.approx(89)


def test_flowcharts_of_all_screens_fit_a_page_and_their_boxes(branch):
    """As many steps and studies as there are with all data at hand."""
    long = "profile demo: 30 drawn at random, 10 of them among those of the external study"
    rules = ["records", "with expression", "with a tissue of origin", "without outliers (PCA)",
             "drugs with a structure", "median of repeats", long]  # fmt: skip
    steps = pd.concat([branch.iloc[[0]].assign(step=text, samples=1019 - i, pairs=1_568_222 - 20_000 * i)
                       for i, text in enumerate(rules)])  # fmt: skip
    studies = ["GDSC v2", "GDSC v1", "CCLE", "CTRP", "PRISM"]
    several = pd.concat([*(steps.head(6).assign(branch=name) for name in studies), steps.tail(3).assign(branch="all")])
    flows = {"1a": steps, "2a": several, "5a": branch.assign(branch="PDX Encyclopedia")}
    fig, drawn = pages.supplementary_figure_1(flows)
    assert drawn.drop_duplicates("panel").set_index("panel")["task"].to_dict() == {"A": "1a", "B": "5a", "C": "2a"}
    assert fig.get_size_inches()[1] * 25.4 <= 247.001
    for ax in fig.axes:
        boxes = [patch.get_window_extent() for patch in ax.patches]
        extents = [text.get_window_extent() for text in ax.texts]
        pairs = [(box, e) for box in boxes for e in extents if box.contains(*(e.p0 + e.p1) / 2)]
        assert len(pairs) == 2 * len(boxes)  # rule and counts
        for box, e in pairs:
            assert box.y0 <= e.y0 + 1 and e.y1 <= box.y1 + 1 and box.x0 <= e.x0 and e.x1 <= box.x1
    headings = [text for text in written(fig) if "external" in text and "drawn" not in text]
    assert headings == ["PRISM\n(external validation)"]  # CCLE takes its place only where it is absent


@pytest.mark.parametrize("flows", [{}, {"1a": pd.DataFrame()}])
def test_flowcharts_of_nothing(flows):
    assert "no data" in written(pages.supplementary_figure_1(flows)[0])


def test_per_perturbation_and_overall(scores):
    scores.loc[scores["level"] == "overall", "value"] = np.arange((scores["level"] == "overall").sum()) / 100
    published = pd.DataFrame({"task": "1a", "model": ["LEAP", "LEAP", "PS-TCRP"], "metric": "spearman",
                              "level": ["per_perturbation", "overall", "overall"], "mean": [0.35, 0.66, 0.5],
                              "sd": [0.02, np.nan, 0.01]})  # fmt: skip
    fig, drawn = pages.supplementary_figure_2(scores, "1a", published)
    rows = scores[(scores["perturbation"] == "") & (scores["metric"] == "spearman") & (scores["member"] <= 0)]
    for ax, letter, level in zip(fig.axes, "AB", ("per_perturbation", "overall"), strict=True):
        expected = rows[rows["level"] == level].groupby(["model", "split"])["value"].mean()
        ours = drawn[(drawn["panel"] == letter) & (drawn["source"] == "this run")]
        assert (ours["level"] == level).all() and level.replace("_", " ") in ax.get_ylabel()
        pd.testing.assert_series_equal(ours.set_index(["model", "split"])["value"].sort_index(), expected)
    assert [marks(ax) for ax in fig.axes] == [[[0.35]], [[0.66]]]


@pytest.fixture
def external(scores):
    labels = scores[scores["model"] == "LEAP"].assign(model="Label reproducibility")
    labels["value"] = labels["value"] - np.linspace(-0.1, 0.15, len(labels))
    return pd.concat([scores, labels]).assign(task="2a", study="CCLE")


def test_external_validation_has_a_row_a_study(external):
    two = pd.concat([external, external.assign(study="CTRP", value=external["value"] - 0.1)])
    fig, drawn = pages.supplementary_figure_3(two)
    assert letters(fig) == list("ABCD")
    about = "Task 2a: external validation by {}\nn = 3 splits, 12 drugs"
    assert titles(fig)[::2] == [about.format(study) for study in ("CCLE", "CTRP")]
    assert title(fig.axes[1]).startswith("Task 2a: LEAP against label reproducibility\nn = 12 drugs")
    single = external[external["perturbation"] != ""].groupby(["perturbation", "model"])["value"].mean().unstack()
    wanted = single[["Label reproducibility", "LEAP"]].to_numpy()
    assert {tuple(row) for row in fig.axes[1].collections[0].get_offsets()} == {tuple(row) for row in wanted}
    assert drawn.groupby("study")["value"].mean().diff()["CTRP"] == pytest.approx(-0.1)


def test_steps_have_a_panel_a_task():
    rng = np.random.default_rng(1)
    rows = [(task, step, name, f"holdout-{i}", 0.3 + 0.01 * step + rng.normal(0, 0.01), data, np.nan, 0.3, 0.01)
            for task, data in (("2a", "real"), ("1a", "simulated"))
            for step, name in enumerate(("PP-LGBM", "PS-LASSO", "LEAP"), start=1) for i in range(4)]  # fmt: skip
    columns = ["task", "step", "name", "split", "value", "data", "p_value", "published_mean", "published_sd"]
    frame = pd.DataFrame(rows, columns=columns).assign(n_perturbations=30)
    fig, drawn = pages.supplementary_figure_4(frame)
    assert [name.partition("\n")[2] for name in titles(fig)] == [
        f"n = 4 splits, 30 {what}; bars: means; blue lines: SD over splits" for what in ("drugs", "genes")]  # fmt: skip
    assert letters(fig) == ["A", "B"] and written(fig).count("simulated data") == 1
    assert [len(ax.containers) for ax in fig.axes] == [1, 0]  # nothing published beside simulated data
    means = frame.groupby(["task", "step"])["value"].mean().unstack()
    got = drawn.groupby(["task", "step"])["change"].first().unstack()
    np.testing.assert_allclose(got.to_numpy(), means.diff(axis=1).to_numpy())
    one, _ = pages.supplementary_figure_4(frame[frame["task"] == "2a"])
    assert letters(one) == []


def test_members_of_leap_beside_published_values_where_real(scores, published):
    fig, drawn = pages.supplementary_figure_5(scores, published=published)
    names = ["PS-LASSO r1", "PS-LASSO r2", "PS-LASSO r3", "LEAP"]
    assert list(dict.fromkeys(drawn["name"])) == names == [label.get_text() for label in fig.axes[0].get_xticklabels()]
    about = "Task 1a: gene dependency, unseen cell lines\nn = 3 splits, 12 genes\nlines: splits; bars: means"
    assert titles(fig) == [about]
    assert marks(fig.axes[0]) == [[0.35, 0.32]]
    theirs = drawn[drawn["source"] == "published"].set_index("name")["value"]
    assert theirs.to_dict() == {"LEAP": 0.35, "PS-LASSO r1": 0.32}
    fig, drawn = pages.supplementary_figure_5(scores.assign(data="simulated"), published=published)
    assert marks(fig.axes[0]) == [] and set(drawn["source"]) == {"this run"} and "simulated data" in written(fig)


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


@pytest.mark.parametrize(("draw", "tasks", "lettered"), [
    (pages.supplementary_figure_6, ("3a", "4b"), {"A": ("3a", "spearman"), "B": ("4b", "spearman")}),
    (pages.supplementary_figure_7, ("3b", "4b"), {"C": ("4b", "spearman"), "D": ("4b", "pearson")}),
])  # fmt: skip
def test_tissues_show_medians_and_intervals_in_one_order(by_tissue, draw, tasks, lettered):
    fig, drawn = draw(by_tissue, tasks)
    assert letters(fig) == list(lettered)  # the paper's, 3b being absent
    for row in drawn.itertuples():
        assert (row.task, row.metric) == lettered[row.panel]
        of = by_tissue.query("task == @row.task and split == @row.group and model == @row.model and member <= 0")
        of = of.query("metric == @row.metric and level == 'per_perturbation' and perturbation == ''")
        low, middle, high = np.percentile(of["value"], [2.5, 50, 97.5])
        assert (row.value, row.width) == pytest.approx((middle, high - low))
    for ax, letter in zip(fig.axes, lettered, strict=True):
        assert [label.get_text() for label in ax.get_xticklabels()] == list(TISSUES)
        assert ax.get_ylabel().lower().startswith(lettered[letter][1])
        assert "n = 3 unseen tissues, 7 " in title(ax) and title(ax).endswith(", 40 test sets")
        for model, rows in drawn[drawn["panel"] == letter].groupby("model"):
            assert sorted(points(ax, model)[:, 1]) == sorted(rows["value"])
    sizes = np.concatenate([ax.collections[0].get_sizes() for ax in fig.axes])
    ratio = np.sort(sizes) / np.sort(drawn["width"])  # one scale for all panels
    np.testing.assert_allclose(ratio, panels.LARGEST / drawn["width"].max())


def test_tissues_with_few_test_sets_or_values(by_tissue):
    by_tissue.loc[by_tissue["model"] == "LEAP", "data"] = "simulated"
    by_tissue.loc[by_tissue["model"] == "PS-LASSO", "value"] = np.nan
    few = by_tissue[(by_tissue["model"] != "Tissue mean") | (by_tissue["test_set"] < 10)]
    fig, drawn = pages.supplementary_figure_6(few, ("3a",))
    assert "10 to 40 test sets" in title(fig.axes[0]) and written(fig).count("simulated data") == 1
    assert "PS-LASSO (no data)" in [text.get_text() for text in fig.legends[0].get_texts()]
    fig, drawn = pages.supplementary_figure_6(by_tissue[by_tissue["test_set"] <= 0], ("3a",))
    assert drawn["width"].isna().all() and len(fig.legends) == 1


LONG_TISSUES = ["Lung", "Central Nervous System", "Ovary/Fallopian Tube", "Peripheral Nervous System", "Skin", "Bowel",
                "Esophagus/Stomach", "Bladder/Urinary Tract", "Head and Neck",
                *(f"Tissue {i}" for i in range(9))]  # fmt: skip


@pytest.mark.parametrize(("draw", "n_tissues"), [
    (pages.supplementary_figure_6, 18), (pages.supplementary_figure_7, 10)])  # fmt: skip
def test_twelve_models_and_all_tissues_fit_the_page(draw, n_tissues):
    rng = np.random.default_rng(0)
    rows = [(task, model, -1, tissue, "per_perturbation", "", i, metric, rng.normal(0.2, 0.1), "simulated")
            for task in ("3a", "4b") for model in [*style.CONTROLS, *style.MODELS][:12]
            for tissue in LONG_TISSUES[:n_tissues] for i in range(3) for metric in ("spearman", "pearson")]  # fmt: skip
    fig, _ = draw(pd.DataFrame(rows, columns=COLUMNS), ("3a", "4b"))
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


def test_drugs_show_mean_and_sd_over_subsets_by_falling_value_of_leap():
    scores = make_subset_scores()
    fig, drawn = pages.supplementary_figure_8(scores)
    single = scores[(scores["perturbation"] != "") & (scores["test_set"] >= 0) & (scores["metric"] == "spearman")]
    wide = single.pivot(index=["perturbation", "model"], columns="test_set", values="value")
    assert len(drawn) == len(wide) and (drawn["n"] == 10).all()
    for row in drawn.itertuples():
        values = wide.loc[(row.group, row.model)].to_numpy()
        assert (row.value, row.sd) == pytest.approx((values.mean(), values.std(ddof=1)))
    leap = drawn[drawn["model"] == "LEAP"].sort_values("value", ascending=False)
    assert [label.get_text() for label in fig.axes[0].get_xticklabels()] == list(leap["group"])
    fig, drawn = pages.supplementary_figure_8(make_subset_scores(n_subsets=1, data="simulated"))
    assert drawn["sd"].isna().all() and "simulated data" in written(fig)
    none, drawn = pages.supplementary_figure_8(make_scores("5a"))  # nothing by subset
    assert "no data" in written(none) and drawn.empty


BY_SCORES = {
    "2": lambda frame: pages.figure_2(frame, "1a"),
    "3": pages.figure_3,
    "S2": lambda frame: pages.supplementary_figure_2(frame, "1a"),
    "S3": lambda frame: pages.supplementary_figure_3(frame.assign(study="CCLE"), task="1a"),
    "S5": lambda frame: pages.supplementary_figure_5(frame, "1a"),
    "S6": lambda frame: pages.supplementary_figure_6(frame, ("1a",)),
    "S7": lambda frame: pages.supplementary_figure_7(frame, ("1a", "2a")),
    "S8": lambda frame: pages.supplementary_figure_8(frame, "1a"),
}
BY_ROWS = (pages.ablation_bars, pages.number_of_representations, pages.beyond_leap, pages.general_sensitivity,
           pages.supplementary_figure_4)  # fmt: skip


@pytest.mark.parametrize("name", BY_SCORES)
@pytest.mark.parametrize("case", ["empty", "bare", "one model", "one split", "nan", "one left out"])
def test_odd_scores_do_not_break_a_figure(scores, name, case):
    frame = {
        "empty": scores.head(0),
        "bare": pd.DataFrame(),
        "one model": scores[scores["model"] == "LEAP"],
        "one split": scores[scores["split"] == "holdout-1"],
        "nan": scores.assign(value=np.nan),
        "one left out": scores[(scores["model"] != "PS-KNN") | (scores["split"] == "holdout-1")],
    }[case]
    fig, drawn = BY_SCORES[name](frame)
    assert "panel" in drawn
    assert ("no data" in written(fig)) >= (case in ("empty", "bare", "nan"))
    if case == "empty":
        with pytest.raises(InputError, match="'test_set'"):
            BY_SCORES[name](scores.drop(columns="test_set"))


@pytest.mark.parametrize("draw", BY_ROWS)
def test_rows_of_nothing_say_no_data(draw):
    fig, drawn = draw(pd.DataFrame())
    assert "no data" in written(fig) and drawn.empty
    with pytest.raises(InputError, match="lacks column 'task'"):
        draw(pd.DataFrame({"model": ["LEAP"]}))


def test_a_scatter_is_over_the_splits_of_both(scores):
    gone = (scores["model"] == "PS-KNN") & (scores["split"] == "holdout-0")
    gaps = scores[gone & (scores["perturbation"] == "")].assign(value=np.nan)
    fig, drawn = pages.figure_2(pd.concat([scores[~gone], gaps]), "1a", best_rival="PS-KNN")
    assert title(fig.axes[1]).endswith("mean of 2 splits") and "n = 2" in written(fig)
    both = scores[(scores["split"] != "holdout-0") & (scores["model"] == "LEAP") & (scores["perturbation"] == "p0")]
    leap = drawn[(drawn["panel"] == "B") & (drawn["model"] == "LEAP") & (drawn["perturbation"] == "p0")]
    assert leap["value"].item() == pytest.approx(both["value"].mean())


def test_a_count_of_few_splits_stands_above_the_published_mark():
    scores = make_scores("2a", "real").query("model != 'PP-MLP' or split == 'holdout-0'")
    published = published_scores()
    mark = published.query("task == '2a' and model == 'PP-MLP' and level == 'per_perturbation'")
    mark = mark[mark["metric"] == "spearman"]
    fig, _ = pages.figure_2(scores, "2a", published)
    [count] = [text for text in fig.axes[0].texts if text.get_text() == "n = 1"]
    assert count.xy[1] >= (mark["mean"] + mark["sd"]).item()


def test_text_sizes_and_positions_on_the_page(scores, published):
    for fig, _ in (pages.figure_1(), pages.figure_2(scores, "1a", published), pages.figure_3(scores, published)):
        for text in fig.findobj(Text):
            if text.get_text().strip() and text.get_visible() and text.axes and text.axes.axison:
                assert 5 <= text.get_fontsize() <= 8
                box = text.get_window_extent()
                assert box.x0 >= -1 and box.x1 <= fig.bbox.x1 + 1 and box.y1 <= fig.bbox.y1 + 1, text.get_text()
