from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from leaplib.base.errors import InputError
from leaplib.figures import draw, pages, style
from leaplib.results.scores import split_values
from leaplib.tasks import POCKET, TASKS
from tests.frames import MEANS, SPLITS, make_scores, make_subset_scores, points, written


@pytest.fixture
def scores():
    return make_scores()


@pytest.fixture
def published():
    rows = [
        ("1a", "LEAP", 0.35, 0.02),
        ("1a", "PS-KNN", 0.22, 0.01),
        ("1a", "PP-tDNN", 0.28, 0.01),
        ("2a", "LEAP", 0.4, 0.1),
    ]
    frame = pd.DataFrame(rows, columns=["task", "model", "mean", "sd"])
    return frame.assign(level="per_perturbation", metric="spearman")


@pytest.fixture
def xenografts(monkeypatch):
    task = replace(TASKS["2a"], id="5a", challenge=3, title="Drug response, xenografts", design="xenograft")
    monkeypatch.setitem(TASKS, "5a", task)


def test_figure_2_draws_its_frame(scores, published):
    fig, drawn = pages.figure_2(scores, "1a", published)
    boxes, scatter = fig.axes
    ours = drawn[(drawn["panel"] == "A") & (drawn["source"] == "this run")]
    assert set(ours["model"]) == set(MEANS)
    for model, rows in ours.groupby("model"):
        assert len(rows) == len(SPLITS)
        assert sorted(points(boxes, model)[:, 1]) == sorted(rows["value"])
    theirs = drawn[drawn["source"] == "published"]
    marks = boxes.containers[0][0]
    assert list(marks.get_ydata()) == list(theirs["value"]) == [0.35, 0.22]
    wide = drawn[drawn["panel"] == "B"].pivot_table(index="perturbation", columns="model", values="value")
    assert set(wide) == {"LEAP", "PP-MLP"}
    drawn_points = {tuple(row) for row in np.asarray(points(scatter, "perturbations"))}
    assert drawn_points == {tuple(row) for row in wide[["PP-MLP", "LEAP"]].to_numpy()}
    assert boxes.get_title(loc="left") == "Task 1a: gene dependency, unseen cell lines\nn = 3 splits, 12 genes"
    assert scatter.get_title(loc="left") == "Task 1a: LEAP against PP-MLP\nn = 12 genes, mean of 3 splits"
    assert {"A", "B"} <= set(written(fig)) and "Spearman" in boxes.get_ylabel()
    other, _ = pages.figure_2(scores, "1a", best_rival="PS-KNN", size=(120, 60))
    assert other.axes[1].get_xlabel().startswith("PS-KNN")
    assert other.get_size_inches()[0] * 25.4 == pytest.approx(120)


@pytest.mark.parametrize(("kinds", "task"), [
    ({"1b": "real", "2a": "real"}, "1b"), ({"1b": "simulated", "2a": "real"}, "2a"), ({"1b": "simulated"}, "1b"),
    ({"1b": "simulated", "2a": "simulated"}, "2a"), ({"2a": "simulated"}, "2a")])  # fmt: skip
def test_figure_2_is_of_the_papers_task_where_that_is_real(kinds, task):
    scores = pd.concat([make_scores(name, data) for name, data in kinds.items()])
    fig, drawn = pages.figure_2(scores)
    assert set(drawn["task"]) == {task}
    assert all(ax.get_title(loc="left").startswith(f"Task {task}") for ax in fig.axes)


def test_figure_3_draws_its_frame_on_every_panel(published):
    tasks = ("1a", "2a", "3a", "4a", "4b")
    fig, drawn = pages.figure_3(pd.concat([make_scores(task) for task in tasks]), published)
    for ax, (letter, rows) in zip(fig.axes, drawn.groupby("panel"), strict=False):
        assert ax.get_title(loc="left")[5:7] == rows["task"].iloc[0] and letter in [t.get_text() for t in ax.texts]
        ours = rows[rows["source"] == "this run"]
        for model, values in ours.groupby("model"):
            assert sorted(points(ax, model)[:, 1]) == sorted(values["value"])
        theirs = rows[rows["source"] == "published"]["value"].tolist()
        assert [list(bars[0].get_ydata()) for bars in ax.containers] == ([theirs] if theirs else [])
    assert list(drawn["panel"].unique()) == list("ABCDF")


def test_the_rival_is_neither_member_nor_control(scores):
    assert pages.best_other_model(split_values(scores, "per_perturbation", "spearman")) == "PP-MLP"
    labels = scores[scores["model"] == "LEAP"].assign(model=style.REPRODUCIBILITY, value=0.9)
    values = split_values(pd.concat([scores, labels]), "per_perturbation", "spearman")
    assert pages.best_other_model(values) == "PP-MLP"
    few = scores[scores["model"].isin(["LEAP", "PS-LASSO", "Tissue mean"])]
    assert pages.best_other_model(split_values(few, "per_perturbation", "spearman")) == "other model"
    assert "no data" in written(pages.figure_2(few, "1a")[0])


def test_published_models_that_were_not_run_appear_on_request(scores, published):
    for asked in (False, True):
        fig, drawn = pages.figure_2(scores, "1a", published, reported_only=asked)
        labels = [label.get_text() for label in fig.axes[0].get_xticklabels()]
        assert ("PP-tDNN" in labels) == ("PP-tDNN" in set(drawn["model"])) == asked


def test_the_first_representation_stands_for_ps_lasso(scores):
    _, drawn = pages.figure_2(scores, "1a")
    got = drawn[(drawn["panel"] == "A") & (drawn["model"] == "PS-LASSO")]["value"]
    values = split_values(scores, "per_perturbation", "spearman")
    first = values[(values["model"] == "PS-LASSO") & (values["member"] == 0)]["value"]
    assert list(got) == list(first)


def test_figure_3_has_a_panel_a_task_and_keeps_the_papers_letters(published):
    scores = pd.concat([make_scores("4b"), make_scores("2a"), make_scores("1a", data="simulated")])
    fig, drawn = pages.figure_3(scores, published)
    assert dict(drawn.groupby("task")["panel"].first()) == {"1a": "A", "2a": "B", "4b": "F"}
    assert [text for text in written(fig) if len(text) == 1] == ["A", "B", "F"]
    titles = [ax.get_title(loc="left")[:7] for ax in fig.axes if ax.get_title(loc="left")]
    assert titles == ["Task 1a", "Task 2a", "Task 4b"]
    assert "3 unseen tissues, 12 drugs" in fig.axes[2].get_title(loc="left")


def test_figure_3_counts_subsets_of_xenografts(xenografts):
    scores = make_subset_scores()
    fig, drawn = pages.figure_3(scores)
    values = split_values(scores, "per_perturbation", "spearman")
    subsets = style.counted(values["split"].nunique(), "subsets of PDX")
    assert fig.axes[0].get_title(loc="left") == f"Task 5a: drug response, xenografts\nn = {subsets}, 5 drugs"
    assert set(drawn["panel"]) == {"E"} and "E" in written(fig)
    for model, rows in values.groupby("model"):
        assert sorted(points(fig.axes[0], model)[:, 1]) == sorted(rows["value"])


def test_only_panels_on_simulated_data_say_so():
    scores = pd.concat([make_scores("1a", data="simulated"), make_scores("2a")])
    fig, _ = pages.figure_3(scores)
    notes = [[text.get_text() for text in ax.texts if "simulated" in text.get_text()] for ax in fig.axes]
    assert notes == [["simulated data"], []]
    assert written(pages.figure_2(scores, "1a")[0]).count("simulated data") == 2


def test_figure_3_names_what_makes_a_simulated_task_real_where_others_are():
    scores = pd.concat([make_scores("1a", POCKET), make_scores("2a"), make_scores("5a", data="simulated")])
    fig, drawn = pages.figure_3(scores, left_out={"1a": "this", "5a": "`leap data fetch pdxe`"})
    assert set(drawn["task"]) == {"1a", "2a"} and POCKET in written(fig)
    assert fig.get_supxlabel().startswith("E  Task 5a:") and "fetch pdxe` makes it real" in fig.get_supxlabel()
    alone = scores[scores["task"] == "5a"]
    assert set(pages.figure_3(alone, left_out={"5a": "that"})[1]["task"]) == {"5a"}  # or nothing would be left


def test_no_published_value_stands_beside_the_pocket(published):
    _, drawn = pages.figure_3(pd.concat([make_scores("1a", POCKET), make_scores("2a")]), published)
    assert set(drawn.loc[drawn["source"] == "published", "task"]) == {"2a"}


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
        pages.figure_2(frame, "1a"),
        pages.figure_3(frame),
    ]
    for fig, drawn in made:
        fig.canvas.draw()
        assert "panel" in drawn
        if case in ("empty", "bare", "nan"):
            assert "no data" in written(fig)


def test_figure_1_counts_its_stages():
    fig, drawn = pages.figure_1()
    assert dict(zip(drawn["stage"], drawn["number"], strict=True))["5 × 5 Lasso regressors"] == 25  # noqa: RUF001
    assert fig.get_size_inches()[0] * 25.4 == pytest.approx(183)


def test_pretraining_figures():
    curves = pd.DataFrame(
        {"representation": 0, "epoch": [1, 2], "train_loss": [2.0, 1.0], "validation_loss": [2.0, 1.5]}
    )
    samples = pd.DataFrame({"x": [0.0, 1.0], "y": [1.0, 0.0], "group": ["lung", "skin"]})
    for make, frame in ((pages.learning_curves, curves), (pages.codes, samples)):
        fig, drawn = make(frame, data="simulated")
        pd.testing.assert_frame_equal(drawn, frame.assign(data="simulated"))
        assert "simulated data" in written(fig)
        assert "simulated data" in written(make(frame.assign(data="simulated"))[0])
        assert "simulated data" not in written(make(frame)[0])
        assert "no data" in written(make(frame.head(0))[0])


def test_alternatives_have_a_panel_a_group():
    rows = [(group, name, f"holdout-{i}", 0.3 + 0.01 * i, data) for name in ("b", "a") for i in range(3)
            for group, data in (("Noise", "real"), ("PCA", "simulated"))]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["group", "name", "split", "value", "data"])
    frame = frame.assign(task="2a", n_perturbations=30)
    fig, drawn = pages.ablation_bars(frame)
    counts = "n = 3 splits, 30 drugs; bars: means; lines: SD"
    assert [ax.get_title(loc="left").split("\n") for ax in fig.axes] == [["Noise", counts], ["PCA", counts]]
    assert [[label.get_text() for label in ax.get_yticklabels()] for ax in fig.axes] == [["b", "a"]] * 2
    assert sorted(points(fig.axes[0], "a")[:, 0]) == [0.3, 0.31, 0.32]
    assert written(fig) == ["A", "B", "simulated data"]
    pd.testing.assert_frame_equal(drawn.drop(columns="panel"), frame, check_like=True)
    assert list(drawn["panel"].unique()) == ["A", "B"]
    assert written(pages.ablation_bars(frame[frame["group"] == "Noise"])[0]) == []
    assert written(pages.ablation_bars(pd.DataFrame())[0]) == ["no data"]
    with pytest.raises(InputError, match="'name'"):
        pages.ablation_bars(frame.drop(columns="name"))


def test_number_of_representations():
    rows = [(number, f"holdout-{i}", 0.3 + number / 100 + i / 10) for number in (1, 2, 3) for i in range(2)]
    frame = pd.DataFrame(rows, columns=["number", "split", "value"])
    frame = frame.assign(data="simulated", task="1a", n_perturbations=12)
    fig, drawn = pages.number_of_representations(frame)
    title = "LEAP by the number of its representations (task 1a)\nn = 2 splits, 12 genes"
    assert fig.axes[0].get_title(loc="left") == title
    line = next(line for line in fig.axes[0].lines if line.get_label() == "mean")
    np.testing.assert_allclose(line.get_ydata(), frame.groupby("number")["value"].mean())
    assert written(fig) == ["simulated data"]
    pd.testing.assert_frame_equal(drawn.drop(columns="panel"), frame, check_like=True)
    assert written(pages.number_of_representations(pd.DataFrame())[0]) == ["no data"]
    with pytest.raises(InputError, match="'number'"):
        pages.number_of_representations(frame.drop(columns="number"))


def make_gains(tasks=("1a", "2a")):
    """Gains of three candidates, on task 2a of four; the second task is simulated."""
    gaps = {"LEAP+": 0.03, "LEAP": 0.0, "PS-LASSO": -0.02, "ridge on codes": -0.03}
    rows = [(task, name, 0.4 + gap, gap, gap - 0.01, gap + 0.02, 30, 3, data)
            for task, data in zip(tasks, ("real", "simulated"), strict=False)
            for name, gap in gaps.items() if task == "2a" or name != "ridge on codes"]  # fmt: skip
    columns = ["task", "candidate", "mean", "difference", "low", "high", "n_perturbations", "n_splits", "data"]
    return pd.DataFrame(rows, columns=columns)


def test_beyond_leap_draws_its_frame():
    frame = make_gains()
    fig, drawn = pages.beyond_leap(frame)
    assert [ax.get_title(loc="left") for ax in fig.axes] == [
        "Task 2a: drug response, unseen cell lines\nn = 3 splits, 30 drugs; LEAP: 0.400",
        "Task 1a: gene dependency, unseen cell lines\nn = 3 splits, 30 genes; LEAP: 0.400"]  # fmt: skip
    for ax, task in zip(fig.axes, ("2a", "1a"), strict=True):
        rows = frame[(frame["task"] == task) & (frame["candidate"] != "LEAP")]
        for place, row in enumerate(rows.itertuples()):
            assert points(ax, row.candidate).tolist() == [[row.difference, place]]
    assert written(fig) == ["A", "simulated data", "B"]
    assert drawn.groupby("panel")["task"].unique().map(list).to_dict() == {"A": ["2a"], "B": ["1a"]}
    expected = frame[frame["candidate"] != "LEAP"].sort_values("task", ascending=False, kind="stable")
    pd.testing.assert_frame_equal(drawn.drop(columns="panel"), expected.reset_index(drop=True))
    assert fig.get_size_inches()[0] * 25.4 == pytest.approx(183)


def test_beyond_leap_of_one_task_of_nothing_and_of_gaps():
    fig, _ = pages.beyond_leap(make_gains(["4a"]).query("candidate in ['LEAP', 'LEAP+']"))
    assert len(fig.axes) == 1 and written(fig) == [] and fig.get_size_inches()[0] * 25.4 == pytest.approx(120)
    assert "3 unseen tissues" in fig.axes[0].get_title(loc="left")
    fig, _ = pages.beyond_leap(make_gains(["5a"]).assign(n_splits=1), size=(89, 60))
    assert "n = 1 set of all PDX, 30 drugs" in fig.axes[0].get_title(loc="left")
    assert written(pages.beyond_leap(pd.DataFrame())[0]) == ["no data"]
    assert written(pages.beyond_leap(make_gains(["1a"]).assign(difference=np.nan))[0]) == ["no data"]
    gap = make_gains(["1a"])
    gap.loc[0, ["difference", "low", "high"]] = np.nan
    assert written(pages.beyond_leap(gap)[0]) == ["no data"]
    with pytest.raises(InputError, match="'low'"):
        pages.beyond_leap(gap.drop(columns="low"))


def test_a_saved_figure_is_the_same_twice_and_its_csv_is_what_is_drawn(scores, published, tmp_path, monkeypatch):
    monkeypatch.setenv("LEAP_HOME", str(tmp_path))
    read = []
    for _ in range(2):
        fig, drawn = pages.figure_2(scores, "1a", published)
        paths = draw.save_figure(fig, drawn, "smoke", "figure_2")
        read.append([path.read_bytes() for path in paths])
    assert read[0] == read[1]
    folder = tmp_path / "figures" / "smoke"
    assert [path.parent for path in paths] == [folder] * 4
    assert {path.suffix for path in paths} == {".pdf", ".svg", ".png", ".csv"}
    pd.testing.assert_frame_equal(pd.read_csv(paths[-1]), drawn.reset_index(drop=True), check_dtype=False)
    svg = (folder / "figure_2.svg").read_text()
    assert "Task 1a: gene dependency, unseen cell lines</text>" in svg and ">PS-LASSO</text>" in svg


def test_text_sizes_and_positions_on_the_page(scores, published):
    for fig, _ in (
        pages.figure_1(),
        pages.figure_2(scores, "1a", published),
        pages.figure_3(scores, published),
    ):
        fig.canvas.draw()
        for text in fig.findobj(Text):
            if text.get_text().strip() and text.get_visible() and text.axes and text.axes.axison:
                assert 5 <= text.get_fontsize() <= 8
                box = text.get_window_extent()
                assert box.x0 >= -1 and box.x1 <= fig.bbox.x1 + 1 and box.y1 <= fig.bbox.y1 + 1, text.get_text()


def test_general_sensitivity_within_and_outside():
    models, kinds = ["General sensitivity", "LEAP"], ["as measured", "without general sensitivity"]
    rows = [("2a", study, where, kind, model, 0.1 * len(where) + 0.01 * len(kind), 9, 3, "real")
            for study, places in (("", ["within"]), ("CCLE", ["within", "outside"]), ("CTRP", ["within", "outside"]))
            for where in places for kind in kinds for model in models]  # fmt: skip
    columns = ["task", "study", "where", "labels", "model", "mean", "n_perturbations", "n_splits", "data"]
    fig, drawn = pages.general_sensitivity(pd.DataFrame(rows, columns=columns))
    titles = [ax.get_title(loc="left").partition("\n")[0] for ax in fig.axes]
    shared = ["Task 2a: this screen", "Task 2a: measured by CCLE"]
    assert titles == [*shared, shared[0], "Task 2a: measured by CTRP"]
    assert len(drawn) == 16 and set(drawn["study"]) == {"CCLE", "CTRP"}
    dots = fig.axes[1].collections
    assert [dot.get_label() for dot in dots] == kinds
    np.testing.assert_allclose(dots[0].get_offsets()[:, 0], 0.1 * 7 + 0.01 * len(kinds[0]))
