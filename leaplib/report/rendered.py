"""Executed notebooks that are kept beside the code: read without running, small enough for a code host to show."""

import base64
import io
from pathlib import Path

import nbformat
from PIL import Image

import leaplib
from leaplib.base.errors import InputError
from leaplib.base.layout import Layout, home
from leaplib.base.store import atomic_folder
from leaplib.runs.notebooks import find_notebooks, notebook_folder, number_of

MOST_BYTES = 1_500_000  # of a copy: code hosts show no larger ones
COLOURS = 128  # of its pictures


def render(profile: str) -> list[Path]:
    """Copy the executed notebooks of a finished run to `notebooks/rendered/`, where they are read without running.

    Copies say the version and profile of the run, have smaller pictures and name no folder of the machine.

    Raises
    ------
    InputError
        When a notebook was not run to its end, or is another than the one that was run.
    """
    about, folder = {"version": leaplib.__version__, "profile": profile}, notebook_folder() / "rendered"
    paths = find_notebooks()
    with atomic_folder(folder) as new:
        for path in paths:
            copy = _rendered(path, Layout(profile).executed / path.name)
            copy.metadata["leaplib"] = about
            nbformat.write(_small(copy), new / path.name)
    return [folder / path.name for path in paths]


def _rendered(path: Path, executed: Path) -> nbformat.NotebookNode:
    """Return the executed copy of a notebook without what papermill adds to it."""
    if not executed.is_file():
        raise InputError(f"{executed}: is not there: run `leap run --profile {executed.parent.name}` first")
    copy, source = (nbformat.read(file, as_version=4) for file in (executed, path))
    copy.cells = [cell for cell in copy.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    code = [[cell.source for cell in book.cells if cell.cell_type == "code"] for book in (copy, source)]
    outputs = [output for cell in copy.cells for output in cell.get("outputs", [])]
    if code[0] != code[1] or any(output.output_type == "error" for output in outputs):
        raise InputError(f"{executed}: failed, or is of another version of {path.name}: run `leap run --profile "
                         f"{executed.parent.name} --notebooks {number_of(path)}` again")  # fmt: skip
    copy.metadata.pop("papermill", None)
    for cell in copy.cells:
        cell.metadata = {name: value for name, value in cell.metadata.items() if name == "tags"}
    return nbformat.reads(nbformat.writes(copy).replace(f"{home()}/", ""), as_version=4)


def _small(copy: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Make the pictures of a notebook smaller, in colours and then in size, until all of it is below `MOST_BYTES`."""
    pictures = [output.data for cell in copy.cells for output in cell.get("outputs", [])
                if "image/png" in output.get("data", {})]  # fmt: skip
    originals = [Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB") for data in pictures]
    for share in (1.0, 0.8, 0.64, 0.5, 0.4, 0.32):
        for data, image in zip(pictures, originals, strict=True):
            size, content = [round(share * side) for side in image.size], io.BytesIO()
            image.resize(size, Image.Resampling.LANCZOS).quantize(COLOURS).save(content, "PNG", optimize=True)
            data["image/png"] = base64.b64encode(content.getvalue()).decode()
        if len(nbformat.writes(copy).encode()) < MOST_BYTES:
            return copy
    raise InputError(f"a notebook's outputs are larger than {MOST_BYTES:,} bytes: show less in it")
