import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from leaplib.__main__ import main
from leaplib.base.compute import machine
from leaplib.base.errors import InputError
from leaplib.figures import draw
from leaplib.results import reference as stored
from leaplib.results.comparisons import split_values, summary
from leaplib.results.external import external_scores
from leaplib.results.load import Results
from leaplib.runs.experiment import run
from leaplib.runs.records import read_log
from leaplib.tasks import get_task
from tests.runs.test_experiment import TINY

PAPER = replace(TINY, name="paper", max_perturbations=9, n_shuffled=0, damae={**TINY.damae, "max_epochs": 4})
DRUGS = get_task("2a")
TISSUES = replace(get_task("4b"), n_tissues=2, min_samples_per_tissue=12)
KEYS = ["task", "model", "member", "split", "level", "perturbation", "test_set", "metric", "data"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A home where a small run was made under the paper's name, on simulated data, and exported."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEAP_HOME", str(folder))
        patch.delenv("LEAP_DATA", raising=False)
        run(PAPER, [DRUGS], ["ps-knn", "leap"])
        run(PAPER, [TISSUES], ["ps-knn", "leap"])
        stored.export_reference(folder, data="simulated")
        yield folder


@pytest.fixture
def exported(ran, home):
    shutil.copytree(ran / "data/reference", home / "data/reference")
    return home


def assert_close(one, other):
    one, other = (frame.sort_values(KEYS, ignore_index=True)[[*KEYS, "value"]] for frame in (one, other))
    pd.testing.assert_frame_equal(one, other, check_dtype=False, rtol=0, atol=1e-6)


def test_what_is_exported_is_what_the_run_found(ran, exported, monkeypatch):
    found = stored.reference()
    monkeypatch.setenv("LEAP_HOME", str(ran))
    scores = Results(PAPER, ["2a", "4b"]).scores
    assert_close(found.scores[found.scores["task"] == "2a"], scores[scores["task"] == "2a"])
    for task in (DRUGS, TISSUES):
        expected = external_scores(PAPER, task)
        for study, part in found.external[found.external["task"] == task.id].groupby("study"):
            assert_close(part, expected[expected["study"] == study])
    assert set(found.external["task"] + " " + found.external["study"]) == {"2a PRISM", "4b CTRP", "4b PRISM"}
    pd.testing.assert_frame_equal(summary(found.scores), summary(scores), rtol=0, atol=1e-6)
    # of unseen tissues the test sets that figures draw are there, of the rest their means
    drawn = "level == 'per_perturbation' and metric in ('spearman', 'pearson') and member <= 0"
    tissues = [frame[frame["task"] == "4b"] for frame in (found.scores, scores)]
    assert_close(*(frame.query(drawn) for frame in tissues))
    assert len(tissues[0]) < len(tissues[1])


def test_each_row_tells_what_it_is_made_of_and_what_it_took(ran, exported, monkeypatch):
    rows = stored.reference_provenance()
    damaes = rows[rows["model"] == "DAMAE"]
    assert list(damaes["member"]) == [0, 1] and set(damaes["precision"]) == {"float32"}
    assert (damaes["core_seconds"] > 0).all() and json.loads(damaes["settings"].iloc[0])["n_hidden"] == 32
    models = rows[rows["model"] != "DAMAE"].set_index(["task", "model", "member", "split"])
    scores = stored.reference().scores
    assert set(models.index) == set(scores[list(models.index.names)].itertuples(index=False, name=None))
    row = models.loc[("2a", "PS-LASSO", 1, "holdout-1")]
    monkeypatch.setenv("LEAP_HOME", str(ran))
    entry = read_log("paper").query("task == '2a' and split == 'holdout-1' and model == 'PS-LASSO r1'").iloc[-1]
    assert row["core_seconds"] == entry["core_seconds"] and row["processor"] == machine()["processor"] != ""
    assert row["precision"] == "float32" and models.loc[("2a", "Tissue mean", -1, "holdout-1"), "precision"] == ""
    assert json.loads(row["settings"]) == {"number": 1, "settings": {}}
    assert len(row["cohort"]) == 64 and row["version"] and "numpy" in row["packages"] and row["commit"] == ""


def test_times_are_those_of_the_run(ran, exported, monkeypatch):
    times = stored.reference().times
    monkeypatch.setenv("LEAP_HOME", str(ran))
    expected = Results(PAPER).times
    order = ["task", "split", "model", "seconds"]
    for frame in (times, expected):
        frame["model"] = frame["model"].str.replace("DAMAE r", "DAMAE", regex=False)
    pd.testing.assert_frame_equal(times.sort_values(order, ignore_index=True),
                                  expected.sort_values(order, ignore_index=True))  # fmt: skip


def test_rows_are_added_or_replaced_and_no_other_is_lost(ran, exported, tmp_path_factory):
    before = {path: path.read_bytes() for path in exported.rglob("*.parquet")}
    later = tmp_path_factory.mktemp("later")
    shutil.copytree(ran, later, dirs_exist_ok=True)
    for path in (later / "data/results/paper/scores").rglob("*.parquet"):
        if path.stem != "ps-knn" or "holdout-1" not in path.parts:
            path.unlink()
    known = stored.reference_provenance()
    stored.export_reference(later, data="simulated")
    assert {path: path.read_bytes() for path in exported.rglob("*.parquet")} == before
    pd.testing.assert_frame_equal(stored.reference_provenance(), known)
    (exported / "data/reference/2a/ps-knn.parquet").unlink()
    stored.export_reference(later, data="simulated")
    values = split_values(stored.reference().scores.query("model == 'PS-KNN' and task == '2a'"))
    assert set(values["split"]) == {"holdout-1"}
    stored.export_reference(ran, data="simulated")
    assert {path: path.read_bytes() for path in exported.rglob("*.parquet")} == before


def test_other_data_are_not_mixed_in(ran, exported, monkeypatch):
    path = exported / "data/reference/provenance.csv"
    rows = stored.reference_provenance()
    other = rows[rows["model"] == "PS-KNN"].assign(model="PS-OTHER", cohort="0" * 64)
    pd.concat([rows, other]).to_csv(path, index=False)
    with pytest.raises(InputError, match=r"has PS-OTHER on task 2a of other data: remove .*2a and its rows"):
        stored.export_reference(ran, data="simulated")


def test_simulated_results_are_no_reference(ran, home, capsys):
    assert main(["reference", "export", "--from", str(ran)]) == 2
    assert "no results of real data" in capsys.readouterr().err
    assert not (home / "data").exists()
    with pytest.raises(InputError, match="`leap reference export` writes them"):
        stored.reference()


def test_a_damaged_file_is_named(exported):
    path = exported / "data/reference/4b/leap.parquet"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"4b/leap\.parquet: cannot be read"):
        stored.reference()


def test_variants_that_were_not_run_say_so(exported):
    rows = stored.reference().ablations
    assert set(rows["task"]) == {"2a"} and set(rows["note"]) == {"not run yet"}
    assert set(rows.loc[rows["group"] == "ensembles", "variant"]) == {"LEAP", "5 models on one representation",
                                                                      "25 models on one representation"}  # fmt: skip


README = "# Title\n\n<!-- results: written by `make figures` -->\nformer\n<!-- end of results -->\n\nrest\n"


def test_figures_tables_and_the_readme_are_made_of_the_reference_alone(exported, capsys, monkeypatch):
    """Of its figures two: that all are drawn of what is kept holds `tests/integration/test_kept_results.py`."""
    monkeypatch.setattr(draw, "REFERENCE_FIGURES", ("figure_2", "supplementary_figure_7"))
    (exported / "README.md").write_text(README)
    assert main(["reference", "draw"]) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.stem for path in paths] == [*draw.REFERENCE_FIGURES, *draw.REFERENCE_TABLES, "README"]
    for path in paths[: len(draw.REFERENCE_FIGURES)]:
        assert all(path.with_suffix(suffix).stat().st_size for suffix in (".pdf", ".svg", ".csv"))
        with Image.open(path.with_suffix(".png")) as image:
            assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
    shown = pd.read_csv(exported / "figures/paper/figure_2.csv").query("panel == 'A' and source == 'this run'")
    means = {"Training mean", "Tissue mean", "Mean effects"}
    assert set(shown["model"]) == {*means, "PS-KNN", "PS-LASSO", "LEAP"}
    text = (exported / "README.md").read_text()
    assert text.startswith("# Title\n\n<!--") and text.endswith("<!-- end of results -->\n\nrest\n")
    table = summary(stored.reference().scores).query("level == 'per_perturbation' and metric == 'spearman'")
    mean, sd = table.set_index(["task", "model"]).loc[("2a", "PS-KNN"), ["mean", "sd"]]
    [line] = [line for line in text.splitlines() if line.startswith("| PS-KNN |")]
    assert line.split(" | ")[1] == f"{mean:.3f} ({sd:.3f})"
    assert "9 drugs (2a)" in text and "2 holdouts and 2 tissues" in text and "former" not in text
    stored.write_readme(stored.reference())
    assert (exported / "README.md").read_text() == text


def test_a_model_that_was_not_run_on_all_splits_says_so(exported):
    found = stored.reference()
    found.scores = found.scores[(found.scores["model"] != "PS-KNN") | (found.scores["split"] == "holdout-0")]
    assert "| PS-KNN | 1/2: " in stored.readme_table(found)


def test_a_readme_without_marks_stays_as_it_is(exported):
    (exported / "README.md").write_text("# Title\n")
    with pytest.raises(InputError, match=r"README\.md: has no lines <!-- results"):
        stored.write_readme(stored.reference())
    assert (exported / "README.md").read_text() == "# Title\n"
