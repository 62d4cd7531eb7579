"""Executed notebooks that are kept for readers: made of a finished run, and never of other code than they show."""

import base64
import io
import json
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

import leaplib
from leaplib.__main__ import main
from leaplib.base.errors import InputError
from leaplib.report.report import render

FOLDER = Path(__file__).parents[2] / "notebooks"


def stale(sources, copies):
    """What readers would be told that is not so: copies that are absent, too many, too large or of other code."""
    found = [f"{name}: no copy" if name in sources else f"{name}: no source" for name in set(sources) ^ set(copies)]
    for name in set(sources) & set(copies):
        source, copy = (nbformat.read(of[name], as_version=4) for of in (sources, copies))
        code = [[cell.source for cell in book.cells if cell.cell_type == "code"] for book in (source, copy)]
        found += [f"{name}: other code"] if code[0] != code[1] else []
        version = copy.metadata.get("leaplib", {}).get("version")
        found += [f"{name}: version {version}"] if version != leaplib.__version__ else []
        found += [f"{name}: too large"] if copies[name].stat().st_size >= 1_500_000 else []
        found += [f"{name}: no outputs"] if not any(cell.get("outputs") for cell in copy.cells) else []
    return sorted(found)


def by_name(folder):
    return {path.name: path for path in folder.glob("[0-9]*.ipynb")}


def test_copies_are_those_of_the_notebooks():
    copies = by_name(FOLDER / "rendered")
    if not copies:
        pytest.skip("notebooks/rendered is empty: `make release` fills it after `make run`")
    assert stale(by_name(FOLDER), copies) == [], "run `make run` and `make release` again"
    links = (FOLDER.parent / "README.md").read_text()
    assert all(f": notebooks/rendered/{name}\n" in links for name in copies)


@pytest.fixture
def run(home):
    """A home with a notebook that was run, as papermill leaves it."""
    code = ["profile = 'demo'", "print(1)"]
    source = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in code])
    source.cells[0].metadata["tags"] = ["parameters"]
    executed = home / "notebooks/executed/demo/50_test.ipynb"
    executed.parent.mkdir(parents=True)
    nbformat.write(source, home / "notebooks/50_test.ipynb")
    injected = nbformat.v4.new_code_cell("profile = 'demo'", metadata={"tags": ["injected-parameters"]})
    pixels = np.random.default_rng(0).integers(0, 255, (1200, 1600, 1), dtype=np.uint8).repeat(3, axis=2)  # grey
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    picture = {"image/png": base64.b64encode(content.getvalue()).decode()}
    source.cells.insert(1, injected)
    source.cells[2].outputs = [nbformat.v4.new_output("display_data", picture),
                               nbformat.v4.new_output("stream", text=f"saved {home}/figures/demo/figure.pdf\n")]  # fmt: skip
    source.cells[2].metadata["papermill"] = {"start_time": "2026"}
    source.metadata["papermill"] = {"output_path": str(executed)}
    nbformat.write(source, executed)
    (home / "figures/gallery").mkdir(parents=True)
    (home / "figures/demo").mkdir()
    (home / "figures/gallery/figure_2.png").write_bytes(b"before")
    (home / "figures/demo/figure_2.png").write_bytes(b"after")
    return home


def test_a_release_keeps_notebooks_with_their_outputs_small_and_without_the_machine(run, capsys):
    executed = run / "notebooks/executed/demo/50_test.ipynb"
    assert executed.stat().st_size > 1_500_000
    assert main(["release", "--profile", "demo"]) == 0
    copies = by_name(run / "notebooks/rendered")
    assert stale(by_name(run / "notebooks"), copies) == []
    copy = copies["50_test.ipynb"]
    text = copy.read_text()
    assert "papermill" not in text and str(run) not in text and "saved figures/demo/figure.pdf" in text
    assert json.loads(text)["metadata"]["leaplib"] == {"version": leaplib.__version__, "profile": "demo"}
    image = nbformat.read(copy, as_version=4).cells[1].outputs[0].data["image/png"]
    with Image.open(io.BytesIO(base64.b64decode(image))) as shown:
        assert 300 <= shown.width < 1600 and shown.width / shown.height == pytest.approx(4 / 3, abs=0.01)
    assert (run / "figures/gallery/figure_2.png").read_bytes() == b"after"
    assert str(copy) in capsys.readouterr().out


def test_a_copy_that_went_stale_is_told(run, monkeypatch):
    render("demo")
    sources, copies = by_name(run / "notebooks"), by_name(run / "notebooks/rendered")
    source = nbformat.read(sources["50_test.ipynb"], as_version=4)
    source.cells[1].source = "print(2)"
    nbformat.write(source, sources["50_test.ipynb"])
    monkeypatch.setattr(leaplib, "__version__", "9.9.9")
    told = stale(sources, copies)
    assert told[0] == "50_test.ipynb: other code" and told[1].startswith("50_test.ipynb: version 0.")
    with pytest.raises(InputError, match=r"of another version of 50_test\.ipynb: run `leap run --profile demo"):
        render("demo")


def test_a_notebook_that_failed_or_was_not_run_is_not_kept(run):
    executed = run / "notebooks/executed/demo/50_test.ipynb"
    book = nbformat.read(executed, as_version=4)
    book.cells[2].outputs = [nbformat.v4.new_output("error", ename="E", evalue="e", traceback=[])]
    nbformat.write(book, executed)
    for told in ("failed, or is of another version", "is not there: run `leap run --profile demo` first"):
        with pytest.raises(InputError, match=told):
            render("demo")
        executed.unlink(missing_ok=True)
    assert not (run / "notebooks/rendered").exists()
