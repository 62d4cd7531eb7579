import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaplib.base.errors import InputError
from leaplib.sources.identifiers import (
    DrugIndex,
    LineIndex,
    drug_synonyms,
    normalise_drug,
    normalise_line,
    structure_key,
)
from leaplib.sources.wheels import read_passports

from .conftest import SMILES, World


@pytest.mark.parametrize(
    ("name", "key"),
    [("NCI-H2029", "NCIH2029"), ("nci h2029", "NCIH2029"), ("Hs 578.T", "HS578T"), ("SK-N-BE(2)", "SKNBE2"),
     ("NIH:OVCAR-3", "NIHOVCAR3"), ("786-O", "786O"), ("PC-3_[JPC-3]", "PC3JPC3"), ("A-375, second vial", "A375"),
     ("Ishikawa (Heraklio) 02 ER-", "ISHIKAWAHERAKLIO02ER"), ("TGF\u03b2-1", "TGFBETA1"), ("\u0393-9", "GAMMA9"),
     ("K\u00f6ln-1", "KOLN1"), ("\uff21\uff11", "A1"), ("NCI\u2010H2029", "NCIH2029"), (" T-T ", "TT"), ("---", "---")],
)  # fmt: skip
def test_normalise_line(name: str, key: str) -> None:
    assert normalise_line(name) == key


@pytest.mark.parametrize(
    ("name", "key"),
    [("PLX-4720", "PLX4720"), ("torin2", "TORIN2"), ("Torin 2", "TORIN2"), ("GSK-LSD1-2HCl ", "GSKLSD1"),
     ("Ispinesib Mesylate", "ISPINESIB"), ("imatinib mesylate hydrate", "IMATINIB"), ("17\u03b1-X", "17ALPHAX"),
     ("Nutlin-3a (-)", "NUTLIN3AMINUS"), ("(+)-JQ1", "PLUSJQ1"), ("Bleomycin (50 \u00b5M)", "BLEOMYCIN50UM"),
     ("Podophyllotoxin bromide", "PODOPHYLLOTOXINBROMIDE"), ("fludarabine phosphate", "FLUDARABINEPHOSPHATE"),
     ("sodium", "SODIUM"), ("123138", "123138"), ("***", "***")],
)  # fmt: skip
def test_normalise_drug(name: str, key: str) -> None:
    assert normalise_drug(name) == key


@given(st.text(max_size=30))
def test_normalising_twice_is_normalising_once_and_never_fails(name: str) -> None:
    once = normalise_line(name)
    assert normalise_line(once) == once
    assert isinstance(normalise_drug(name), str)


@pytest.mark.parametrize(
    ("name", "synonyms"),
    [("Brivanib, BMS-540215", ["BRIVANIB", "BMS540215"]), ("ascorbate (vitamin C)", ["ASCORBATE", "VITAMINC"]),
     *((name, []) for name in ("Bleomycin (50 uM)", "Nutlin-3a (-)", "KRAS (G12C) Inhibitor-12", "(5Z)-7-Oxozeaenol",
                               "BAY-MPS-combo 2 (paclitaxel 1 uM)", "Erlotinib"))],
)  # fmt: skip
def test_drug_synonyms(name: str, synonyms: list[str]) -> None:
    assert drug_synonyms(name) == synonyms


@pytest.fixture
def index(world: World) -> LineIndex:
    return LineIndex(read_passports())


@pytest.mark.parametrize(
    ("raw", "canonical", "how"),
    [*((name, name, "exact") for name in ("T-T", "TT", "KM-H2", "KMH-2", "ML-1", "ML-1 (SIDM08)")),
     ("SIDM08", "ML-1 (SIDM08)", "exact"), ("ACH-000561", "T-T", "exact"), ("TT_OESOPHAGUS", "T-T", "exact"),
     (" CAL-120 ", "CAL-120", "exact"), ("ML1", "ML-1", "normalised"), ("Cal 120", "CAL-120", "normalised"),
     ("tdott", "T-T", "synonym"), ("mtc tt", "TT", "synonym"), ("H2869", "NCI-H2869", "synonym"),
     ("lung-h2029", "NCI-H2029", "synonym")],
)  # fmt: skip
def test_a_line_is_found(index: LineIndex, raw: str, canonical: str, how: str) -> None:
    row = index.match([raw, raw], "here")
    assert row.to_dict("records") == [{"raw": raw, "canonical": canonical, "how": how}]
    frame = index.match(["HeLa", "H1", ""], "here")
    assert frame["how"].tolist() == ["unmatched"] * 3 and frame["canonical"].isna().all()


def test_ambiguity_is_an_error_that_lists_all(index: LineIndex) -> None:
    with pytest.raises(InputError) as error:
        index.match(["CAL-120", "KMH2", "t t"], "my table")
    text = str(error.value)
    assert text.startswith("my table: ambiguous lines") and "\n" not in text
    assert (
        "'KMH2' may be KM-H2 (SIDM04) or KMH-2 (SIDM05)" in text and "'t t' may be T-T (SIDM03) or TT (SIDM02)" in text
    )
    assert index.match(["KMH2"], "here", {"KMH2": "KM-H2"})["how"].tolist() == ["settled"]


@pytest.mark.parametrize("names", [["CAL-120", "CAL120", "TT"], ["TT", "CAL-120", "CAL-120 "]])
def test_two_names_for_one_line_are_an_error_that_lists_both(index: LineIndex, names: list[str]) -> None:
    with pytest.raises(InputError, match=r"my table: several names for one cell line: CAL-120 \(CAL-120, CAL"):
        index.match(names, "my table")


def drugs(*studies: list[str], smiles: dict[str, str] = SMILES) -> pd.DataFrame:
    names = dict(zip(("first", "second"), studies, strict=False))
    return DrugIndex(pd.Series(smiles, dtype=str)).match(names).set_index("raw")


def test_names_of_one_molecule_are_one_drug() -> None:
    frame = drugs(["17-AAG", "GSK2110183B"], ["Tanespimycin", "Afuresertib"])
    assert frame["canonical"].tolist() == ["Tanespimycin", "Afuresertib", "Afuresertib", "Tanespimycin"]
    frame = drugs(["AB-1"], ["AB1"], smiles={"AB-1": "C[C@H](O)F", "AB1": "CC(O)F"})  # with and without stereochemistry
    assert frame["canonical"].unique().tolist() == ["AB-1"]
    assert drugs(["Doxorubicin"], ["Epirubicin"])["canonical"].tolist() == ["Doxorubicin", "Epirubicin"]  # isomers


def test_structures_are_found_by_any_spelling() -> None:
    frame = drugs(["PLX4720", "Venotoclax", "Venetoclax", "X, Afuresertib", "plx-4720 ", "unheard of"])
    assert frame.sort_index()["how"].tolist() == [
        "normalised", "exact", "settled", "synonym", "normalised", "unmatched"]  # fmt: skip
    assert frame.loc["Venotoclax", "canonical"] == "Venetoclax"
    assert frame.loc["PLX4720", "canonical"] == frame.loc["plx-4720 ", "canonical"]
    assert frame["smiles"].isna().tolist() == [name == "unheard of" for name in frame.index]


def test_names_without_structure_join_by_name_alone() -> None:
    frame = drugs(["Nutlin-3a (-)", "Bleomycin (10 uM)", "AB-1"], ["Nutlin-3", "Bleomycin (50 uM)", "ab 1 HCl"])
    assert frame["canonical"].nunique() == 5
    assert frame.loc["ab 1 HCl", "canonical"] == "AB-1"


def test_a_synonym_meets_the_drug_that_bears_it() -> None:
    frame = drugs(["Brivanib, BMS-540215", "***"], ["brivanib", "+++"])
    assert frame["canonical"].to_dict()["Brivanib, BMS-540215"] == "brivanib"
    assert frame["canonical"].nunique() == 3


def test_one_name_on_two_molecules_is_an_error() -> None:
    with pytest.raises(InputError, match="SMILES: one drug name for different molecules: 'AB-1' and 'AB1'"):
        drugs([], smiles={"AB-1": "CCO", "AB1": "CCN"})
    with pytest.raises(InputError, match=r"'Old, AB1'.*'Old' and 'AB1'"):
        drugs(["Old, AB1"], smiles={"Old": "CCO", "AB1": "CCN"})
    with pytest.raises(InputError, match="different molecules: 'AB1' and 'Other, AB1'"):
        drugs(["AB1", "Other, AB1"], smiles={"AB1": "CCO", "Other, AB1": "CCN"})


def test_structure_key() -> None:
    assert structure_key("CCN.Cl", "x") == structure_key("NCC", "x") == structure_key("CC[NH3+].[Cl-]", "x")
    assert structure_key("N.N.Cl[Pt]Cl", "x") != structure_key("Cl[Pt]Cl", "x")
    with pytest.raises(InputError, match="drug 'x': its SMILES 'CC\\(' cannot be parsed"):
        structure_key("CC(", "x")
    for nothing in ("", "no molecule", None, 7.0):
        with pytest.raises(InputError, match=r"drug 'x': its SMILES .* cannot be parsed"):
            structure_key(nothing, "x")
