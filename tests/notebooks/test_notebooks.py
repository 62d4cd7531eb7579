"""The notebooks: their form, the runner's errors, and a whole run of the smoke profile."""

import ast
import json
import re
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

import leaplib
from leaplib.__main__ import main
from leaplib.base.errors import InputError
from leaplib.figures import draw
from leaplib.results.load import Results
from leaplib.runs.notebooks import (
    NotebookError,
    check_parameters,
    find_notebooks,
    key_of_notebook,
    run_notebook,
    run_notebooks,
)
from leaplib.runs.records import log
from leaplib.tasks import TASKS
from tests.frames import printed_size

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9]*.ipynb"))
PAPER = ["figure_1", "figure_2", "figure_3", *(f"supplementary_figure_{number}" for number in range(1, 9))]
REDRAWN = [*PAPER, "damae_learning_curves", "damae_codes", "ablations_additional", "ablations_number_of_damaes"]
FIGURES = [*REDRAWN, "critical_difference", "lines_needed", "beyond_leap", "general_sensitivity"]  # of a notebook behind the one that draws all of before
TABLES = ["table_1", *(f"supplementary_table_{number}" for number in range(1, 8)), "ablations_additional",
          "domain_shift", "beyond_leap", "beyond_leap_choice"]  # fmt: skip
WIDTHS = (89, 120, 140, 183)  # mm


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_form(path):
    cells = nbformat.read(path, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert cells[0].cell_type == "markdown"
    assert cells[0].source.startswith("# ")
    assert not any(cell.outputs or cell.execution_count for cell in code)
    for cell in code:
        assert len(cell.source.splitlines()) <= 12
        assert not [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.FunctionDef | ast.Lambda)]
    assert len([line for cell in code for line in cell.source.splitlines() if line.strip()]) <= 60
    if path.stem[:2] not in ("00", "07"):  # they answer no question: what is there, and pictures
        headings = [cell.source for cell in cells[1:6] if cell.cell_type == "markdown"]
        assert headings[0].startswith("## Answer")
    check_parameters(path, {"profile": "smoke", "device": "cpu", "force": False})
    first = next(cell for cell in code if "parameters" in cell.metadata.get("tags", []))
    assert first.source.startswith("profile = ")


def write(folder, cells, tagged=True, name="50_test"):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    if tagged:
        notebook.cells[0].metadata["tags"] = ["parameters"]
    (folder / "notebooks").mkdir(exist_ok=True)
    path = folder / "notebooks" / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return path


def test_a_missing_parameters_cell_and_an_unknown_parameter_are_errors(home):
    path = write(home, ["profile = 'demo'"], tagged=False)
    with pytest.raises(InputError, match="0 cells are tagged 'parameters'"):
        run_notebook(path, "smoke")
    path = write(home, ["profile = 'demo'"])
    with pytest.raises(InputError, match="unknown parameter 'speed': it takes profile"):
        run_notebook(path, "smoke", speed=3)
    assert not list((home / "notebooks").glob("executed/**/*.ipynb"))


def test_a_failing_cell_is_named_and_its_copy_kept(home):
    path = write(home, ["profile = 'demo'\ndevice = 'cpu'\nforce = False", "print(profile)", "1 / 0"])
    with pytest.raises(NotebookError, match=r"50_test\.ipynb, cell 3: ZeroDivisionError: division by zero"):
        run_notebook(path, "smoke")
    executed = nbformat.read(home / "notebooks/executed/smoke/50_test.ipynb", as_version=4)
    assert any("smoke" in str(cell.get("outputs")) for cell in executed.cells)
    assert main(["run", "--profile", "smoke", "--notebooks", "50"]) == 1


@pytest.mark.parametrize("kind", ["removed", "without ipykernel", "with another leaplib"])
def test_kernels_are_of_the_interpreter_that_runs_leap(home, monkeypatch, kind):
    spec, other = home / "jupyter/kernels/python3", home / "other"
    for folder in (spec, other / "leaplib"):
        folder.mkdir(parents=True)
    (other / "leaplib/__init__.py").write_text("stale = True")
    (other / "ipykernel_launcher.py").write_text("raise ImportError")
    python = str(home / "gone/bin/python") if kind == "removed" else sys.executable
    how = ["-I", str(other / "ipykernel_launcher.py")] if kind == "without ipykernel" else ["-m", "ipykernel_launcher"]
    found = {"argv": [python, *how, "-f", "{connection_file}"], "display_name": "Python 3", "language": "python",
             "env": {"PYTHONPATH": str(other)} if kind == "with another leaplib" else {}}  # fmt: skip
    (spec / "kernel.json").write_text(json.dumps(found))
    monkeypatch.setenv("JUPYTER_PATH", str(home / "jupyter"))
    said = "import sys, leaplib; print(sys.executable, leaplib.__file__)"
    run_notebook(write(home, ["profile = 'demo'", said]), "smoke")
    cells = nbformat.read(home / "notebooks/executed/smoke/50_test.ipynb", as_version=4).cells
    assert cells[-1].outputs[0].text.split() == [sys.executable, leaplib.__file__]


def test_a_notebook_is_run_again_only_where_it_may_show_something_else(home, monkeypatch):
    """Two side by side: each counts its executions in a file, and leaves a figure."""
    marks = [home / f"mark{number}" for number in (51, 52)]
    for number, mark in zip((51, 52), marks, strict=True):
        figure = home / f"figures/smoke/figure_{number}.csv"
        figure.parent.mkdir(parents=True, exist_ok=True)
        lines = f"open({str(mark)!r}, 'a').write('x'); open({str(figure)!r}, 'w').write('drawn')"
        write(home, ["profile = 'demo'", lines], name=f"{number}_test")

    def counts(force=False):
        _, failed = run_notebooks("smoke", ["51", "52"], jobs=2, force=force)
        assert not failed
        return [len(mark.read_text()) for mark in marks]

    assert counts() == [1, 1]
    assert counts() == [1, 1]
    assert counts(force=True) == [2, 2]
    (home / "figures/smoke/figure_51.csv").unlink()
    write(home, ["profile = 'demo'", f"open({str(marks[1])!r}, 'a').write('xx')"], name="52_test")
    assert counts() == [3, 4]
    values = {"profile": "smoke"}
    path = home / "notebooks/51_test.ipynb"
    before = key_of_notebook(path, values)
    assert key_of_notebook(path, {"profile": "smoke", "device": "cpu"}) != before
    with monkeypatch.context() as edited:
        edited.setattr("leaplib.runs.notebooks.package_version", lambda: "other")
        assert key_of_notebook(path, values) != before
    log("smoke", job="a")  # something was computed
    assert key_of_notebook(path, values) != before


def test_notebooks_are_found_by_number(home):
    write(home, ["profile = 'demo'"])
    assert [path.name for path in find_notebooks(["50"])] == ["50_test.ipynb"]
    with pytest.raises(InputError, match="notebook '51' is unknown: use some of 50"):
        find_notebooks(["51"])


@pytest.fixture(scope="module")
def smoke_run(tmp_path_factory):
    """All notebooks once, in an empty home, as `leap run --profile smoke` runs them."""
    folder = tmp_path_factory.mktemp("smoke")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEAP_HOME", str(folder))
        patch.delenv("LEAP_DATA", raising=False)
        assert main(["run", "--profile", "smoke"]) == 0
        yield folder


def test_every_notebook_has_an_executed_copy(smoke_run):
    copies = sorted(path.name for path in (smoke_run / "notebooks/executed/smoke").glob("*.ipynb"))
    assert copies == [path.name for path in NOTEBOOKS]
    assert not list(smoke_run.rglob("*.part*"))


def test_all_declared_figures_are_all_there_are(smoke_run):
    assert sorted(path.stem for path in (smoke_run / "figures/smoke").glob("*.csv")) == sorted(FIGURES)
    assert set(draw.FIGURES) - {"two_laboratories"} == set(FIGURES)  # of real gene effects alone


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_there_with_its_data_and_fit_for_print(smoke_run, name):
    folder = smoke_run / "figures/smoke"
    width, height = printed_size(folder, name)
    assert min(abs(width - wide) for wide in WIDTHS) < 1e-3 and height < 247.001
    drawn = pd.read_csv(folder / f"{name}.csv")
    assert len(drawn)
    if name != "figure_1":
        assert set(drawn["data"].dropna()) == {"simulated"}
        assert ">simulated data</text>" in (folder / f"{name}.svg").read_text()


@pytest.mark.parametrize("name", ["figure_2", "supplementary_figure_1", "supplementary_figure_3",
                                  "supplementary_figure_4", "damae_codes"])  # fmt: skip
def test_the_same_results_give_the_same_bytes(smoke_run, name, monkeypatch):
    monkeypatch.setenv("LEAP_HOME", str(smoke_run))
    monkeypatch.delenv("LEAP_DATA", raising=False)
    paths = [smoke_run / f"figures/smoke/{name}.{suffix}" for suffix in ("pdf", "svg", "png", "csv")]
    before = [path.read_bytes() for path in paths]
    paths[1].unlink()  # or the PDF would be left as it is
    draw.figure(name, Results("smoke"))
    assert [path.read_bytes() for path in paths] == before


def test_no_figure_is_left_out(smoke_run):
    cells = nbformat.read(smoke_run / "notebooks/executed/smoke/07_figures.ipynb", as_version=4).cells
    said = [output["data"]["text/markdown"] for cell in cells for output in cell.get("outputs", [])
            if "text/markdown" in output.get("data", {})]  # fmt: skip
    assert len(said) == 1 and re.match(r"\d+ of \d+ figures show data", said[0])


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_there_and_says_simulated(smoke_run, name):
    table = pd.read_csv(smoke_run / f"figures/smoke/tables/{name}.csv")
    assert set(table["data"]) == {"simulated"}
    assert table.notna().any().any()


def test_leap_beats_its_rivals_and_shuffled_labels_are_worth_nothing(smoke_run):
    table = pd.read_csv(smoke_run / "figures/smoke/tables/supplementary_table_3.csv")
    part = table[(table["level"] == "per_perturbation") & (table["metric"] == "spearman")].fillna({"study": ""})
    assert set(part["task"] + " " + part["study"]) >= {*(f"{task} " for task in TASKS), "2a PRISM", "4b CTRP"}
    mean = part[part["study"] == ""].pivot(index="task", columns="model", values="mean")
    lines = mean.drop(index=["5a", "5b"])  # chance on five drugs in xenografts is wide
    assert (lines["LEAP"] > lines["PS-KNN"]).all()
    assert (mean["LEAP"] > mean["PS-LASSO"] - 0.02).all()
    assert (mean["LEAP"] > mean["Tissue mean"]).all()
    assert mean["LEAP (shuffled labels)"].abs().max() < 0.2


def test_every_saved_figure_is_shown_in_its_notebook_without_warnings_or_progress_bars(smoke_run):
    for path in (smoke_run / "notebooks/executed/smoke").glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            outputs = cell.get("outputs", [])
            assert not [output.text for output in outputs if output.get("name") == "stderr"], path.name
            draws = "lp.save_figure(" in cell.source or "lp.figure(" in cell.source
            if cell.cell_type == "code" and draws and "two laboratories" not in cell.source:  # of real effects alone
                shown = [output for output in outputs if "image/png" in output.get("data", {})]
                assert len(shown) == 1, f"{path.name}: {cell.source}"
