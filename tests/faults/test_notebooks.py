"""Notebooks that fail and kernels that die: the other notebooks go on, and the same command finishes afterwards."""

import json
import os

import nbformat
import pytest

from leaplib.__main__ import main
from tests.faults.injection import at, full_disk, run

pytestmark = pytest.mark.faults
PARAMETERS = 'profile = "demo"\ndevice = "auto"\n'
DIES = """import os, pathlib, signal
mark = pathlib.Path({mark!r})
if not mark.exists():
    mark.touch()
    os.kill(os.getpid(), signal.SIGKILL)
print("survived")"""
RAISES = """import pathlib
mark = pathlib.Path({mark!r})
if not mark.exists():
    mark.touch()
    raise ValueError("a cell that fails\\nin two lines")
print("survived")"""


@pytest.fixture
def notebooks(home):
    """Three notebooks: what is in the first is for a test to say."""

    def write(code):
        folder = home / "notebooks"
        folder.mkdir(parents=True)
        for name, source in {"00_first": code.format(mark=str(home / "mark")), "20_second": "print('second')",
                             "21_third": "print('third')"}.items():  # fmt: skip
            cells = [nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
                     nbformat.v4.new_code_cell(source)]  # fmt: skip
            nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / f"{name}.ipynb")

    return write


def command():
    return main(["run", "--profile", "tiny"])


def output(home, name):
    cells = nbformat.read(home / "notebooks/executed/tiny" / f"{name}.ipynb", as_version=4).cells
    return "".join(part.get("text", "") for part in cells[-1].get("outputs", []))


@pytest.mark.parametrize("code, line", [
    (DIES, "00_first.ipynb: its kernel died (killed, or out of memory): run it again"),
    (RAISES, "00_first.ipynb, cell 2: ValueError: a cell that fails"),
])  # fmt: skip
def test_the_other_notebooks_go_on(home, notebooks, code, line):
    notebooks(code)
    ended = run(home, command)
    assert ended.code == 1
    assert "1 failed" in ended.err
    assert f"  {line}" in ended.err
    assert "[1/3] 00_first.ipynb ... failed" in ended.out
    assert output(home, "20_second") == "second\n"
    assert output(home, "21_third") == "third\n"
    (kept,) = (home / "data/results/tiny/failures").iterdir()
    record = json.loads(kept.read_text())
    assert record["job"] == "notebook 00_first"
    assert "Traceback" in record["traceback"]
    again = run(home, command)
    # A kernel that is told to stop may say so itself, on whatever it was started with.
    said = [line for line in again.err.splitlines() if not line.startswith("[IPKernelApp]")]
    assert (again.code, said) == (0, [])
    assert output(home, "00_first") == "survived\n"
    assert os.listdir(home / "data/results/tiny/failures") == []


def test_a_kernel_that_does_not_start(home, notebooks):
    notebooks("print('survived')")

    def install(patch):
        patch.setattr("papermill.execute_notebook", lambda *a, **k: (_ for _ in ()).throw(
            RuntimeError("Kernel died before replying to kernel_info")))  # fmt: skip

    ended = run(home, command, install)
    assert ended.code == 1
    assert ended.err.count("Kernel died before replying") == 3
    assert run(home, command).code == 0
    assert output(home, "00_first") == "survived\n"


def test_a_disk_that_is_full_when_a_notebook_is_saved(home, notebooks):
    notebooks("print('survived')")
    ended = run(home, command, at("os.replace", 1, full_disk, ever_after=True))
    assert ended.code == 1
    assert ended.err.startswith("leap: ")
    assert "No space left on device" in ended.err
    assert run(home, command).code == 0
