"""A sound file of every format that is read, and its reader; the malformed ones are made from these."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import openpyxl

from leaplib.sources import depmap, studies
from leaplib.sources.psets import read_pset
from leaplib.sources.screens import Study
from leaplib.sources.xenografts import read_pdx

from ..sources import test_depmap, test_psets, test_studies, test_xenografts

Change = Callable[[bytes], bytes]


def ccle(folder: Path) -> Path:
    rows = [test_studies.ccle_row(), test_studies.ccle_row(drug="Lapatinib", area="3.5")]
    return test_studies.ccle(folder, *rows, test_studies.ccle_row("A_B", "T-T", area="1.5"))


def prism(folder: Path) -> Path:
    rows = [test_studies.prism_row(), test_studies.prism_row(line="ACH-000002", auc="0.9")]
    return test_studies.prism(folder, *rows, test_studies.prism_row(line="ACH-000003", auc="1.1", name="imatinib"))


def of_depmap(table: object, name: str) -> Callable[[Path], Path]:
    return lambda folder: test_depmap.write(folder, table, name)


SOUND: dict[str, Callable[[Path], Path]] = {
    "gdsc": lambda f: test_studies.gdsc(f, [test_studies.gdsc_row(), test_studies.gdsc_row(line="T-T", auc=0.5)]),
    "ccle": ccle,
    "prism": prism,
    "ctrp": test_studies.ctrp,
    "pset": lambda folder: test_psets.write(folder, test_psets.Parts(old=False)),
    "old pset": lambda folder: test_psets.write(folder, test_psets.Parts(old=True)),
    "pdx": lambda folder: test_xenografts.workbook(folder, test_xenografts.content()),
    "models": of_depmap(test_depmap.models(3).to_csv(index=False), "models.csv"),
    "expression": of_depmap(test_depmap.EXPRESSION, "expression.csv"),
    "dependency": of_depmap(test_depmap.DEPENDENCY, "dependency.csv"),
    "effect": of_depmap(test_depmap.EFFECT, "effect.csv"),
}


def records(read: Callable[..., Study], **options: str) -> Callable[[Path], object]:
    return lambda path: read(path, **options).records


READERS: dict[str, Callable[[Path], object]] = {
    "gdsc": records(studies.read_gdsc, study="GDSC v2"),
    "ccle": records(studies.read_ccle),
    "prism": records(studies.read_prism),
    "ctrp": records(studies.read_ctrp),
    "pset": records(read_pset, study="GDSC v2"),
    "old pset": records(read_pset, study="GDSC v2"),
    "pdx": partial(read_pdx, drugs=test_xenografts.PAIR),
    "models": depmap.read_models,
    "expression": partial(depmap.read_matrix, kind="expression"),
    "dependency": partial(depmap.read_matrix, kind="gene dependency"),
    "effect": partial(depmap.read_matrix, kind="gene effect"),
}
TABLES = ["ccle", "prism", "models", "expression", "dependency", "effect"]
ARCHIVES = ["gdsc", "ctrp", "pset", "old pset", "pdx"]


def edit(kind: str, change: Change) -> Callable[[Path], Path]:
    """Return a maker of the sound file of a kind with other bytes."""

    def make(folder: Path) -> Path:
        path = SOUND[kind](folder)
        before = path.read_bytes()
        path.write_bytes(change(before))
        assert path.read_bytes() != before
        return path

    return make


def swap(kind: str, old: str, new: str, times: int = 1) -> Callable[[Path], Path]:
    """Return a maker of the sound file of a kind with other text."""

    def change(data: bytes) -> bytes:
        assert old.encode() in data, (kind, old)
        return data.replace(old.encode(), new.encode(), times)

    return edit(kind, change)


def cell(kind: str, sheet: int, row: int, column: int, value: object) -> Callable[[Path], Path]:
    """Return a maker of a workbook with another cell; all count from 1."""

    def make(folder: Path) -> Path:
        path = SOUND[kind](folder)
        book = openpyxl.load_workbook(path)
        book.worksheets[sheet - 1].cell(row, column).value = value
        book.save(path)
        return path

    return make


def folder_in_place(kind: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = SOUND[kind](folder)
        path.unlink()
        path.mkdir()
        return path

    return make


def damaged(data: bytes, seed: int) -> bytes:
    """Return bytes that are cut, or of which some are others, as by a bad disk."""
    rng = np.random.default_rng(seed)
    if seed % 3 == 0:
        return data[: int(rng.integers(1, len(data)))]
    changed = bytearray(data)
    for place in rng.integers(0, len(data), 1 + seed % 4):
        changed[place] = int(rng.integers(256))
    return bytes(changed)
