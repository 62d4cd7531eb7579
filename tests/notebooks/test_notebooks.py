"""The notebooks: their form, the runner's errors, and a whole run of the smoke profile."""

import ast
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from leaplib.__main__ import main
from leaplib.errors import InputError
from leaplib.notebooks import NotebookError, check_parameters, find_notebooks, run_notebook

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9]*.ipynb"))
FIGURES = ["figure_1", "figure_2", "figure_3", "supplementary_figure_1", "supplementary_figure_5",
           "damae_learning_curves", "damae_codes", "supplementary_figure_4", "ablations_additional",
           "ablations_number_of_damaes"]  # fmt: skip
TABLES = ["table_1", "supplementary_table_1", "supplementary_table_3", "supplementary_table_4",
          "supplementary_table_5", "supplementary_table_6", "ablations_additional"]  # fmt: skip


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
    check_parameters(path, {"profile": "smoke", "device": "cpu", "force": False})
    first = next(cell for cell in code if "parameters" in cell.metadata.get("tags", []))
    assert first.source.startswith("profile = ")


def write(folder, cells, tagged=True):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    if tagged:
        notebook.cells[0].metadata["tags"] = ["parameters"]
    (folder / "notebooks").mkdir(exist_ok=True)
    path = folder / "notebooks" / "50_test.ipynb"
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


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_there_with_its_data(smoke_run, name):
    folder = smoke_run / "figures/smoke"
    for suffix in ("pdf", "svg", "png"):
        assert (folder / f"{name}.{suffix}").stat().st_size > 2000
    assert len(pd.read_csv(folder / f"{name}.csv"))


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_there_and_says_simulated(smoke_run, name):
    table = pd.read_csv(smoke_run / f"figures/smoke/tables/{name}.csv")
    assert set(table["data"]) == {"simulated"}
    assert table.notna().any().any()


def test_leap_beats_its_rivals_and_shuffled_labels_are_worth_nothing(smoke_run):
    table = pd.read_csv(smoke_run / "figures/smoke/tables/supplementary_table_3.csv")
    part = table[(table["level"] == "per_perturbation") & (table["metric"] == "spearman")]
    mean = part.pivot(index="task", columns="model", values="mean")
    assert set(mean.index) == {"1a", "2a", "4b"}
    assert (mean["LEAP"] > mean["PS-KNN"]).all()
    assert (mean["LEAP"] > mean["PS-LASSO"] - 0.02).all()
    assert (mean["LEAP"] > mean["Tissue mean"]).all()
    assert mean["LEAP (shuffled labels)"].abs().max() < 0.2


def test_every_saved_figure_is_shown_in_its_notebook(smoke_run):
    for path in (smoke_run / "notebooks/executed/smoke").glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code" and "figures.save(" in cell.source:
                shown = [output for output in cell.outputs if "image/png" in output.get("data", {})]
                assert len(shown) == 1, f"{path.name}: {cell.source}"


def test_no_notebook_prints_a_warning_or_a_progress_bar(smoke_run):
    for path in (smoke_run / "notebooks/executed/smoke").glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            streams = [output for output in cell.get("outputs", []) if output.output_type == "stream"]
            assert not [s.text for s in streams if s.name == "stderr"], path.name
