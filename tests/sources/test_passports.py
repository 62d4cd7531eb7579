import pytest

from leaplib.base.errors import InputError
from leaplib.sources import passports, read_passports

from .conftest import PASSPORTS, World


def test_the_list(world: World) -> None:
    frame = read_passports()
    assert len(frame) == 12 and frame.index.is_unique and frame.index.name == "line"
    line = frame.loc["NCI-H2029"]
    assert line["synonyms"] == ["H2029", "LUNG H2029"]
    assert (line["depmap_id"], line["cosmic_id"]) == ("ACH-1", "1;2")
    assert frame.loc["CAL-120", "synonyms"] == []
    assert frame.loc["NA", "model_id"] == "SIDM12"


def test_of_two_models_with_one_name_the_screened_one_keeps_it(world: World) -> None:
    frame = read_passports()
    assert frame.loc["ML-1", "tissue"] == "Thyroid"
    assert frame.loc["ML-1 (SIDM08)", "tissue"] == "Myeloid"


def test_names_that_no_model_has_a_better_claim_to_all_bear_their_id(world: World) -> None:
    both = PASSPORTS.replace("Acute Myeloid Leukemia,,,,,False", "Acute Myeloid Leukemia,,,,,True")
    world.change("cy", {passports.MEMBER: both})
    assert {"ML-1 (SIDM07)", "ML-1 (SIDM08)"} <= set(read_passports().index)


def test_blood_is_split(world: World) -> None:
    tissue = read_passports()["tissue"]
    assert tissue[["KM-H2", "MY-M12", "HC-1"]].tolist() == ["Lymphoid", "Myeloid", "Lymphoid"]
    assert tissue["CAL-120"] == "Breast"
    assert tissue[["NA"]].isna().all()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cancer_type_detail", "detail", "lacks the column 'cancer_type_detail'"),
        ("SIDM02,", "SIDM01,", r"row 3 has no name, or no or a repeated model_id \(SIDM01\)"),
        ("SIDM03,T-T", "SIDM03,", "row 4 has no name"),
        ("SIDM03,T-T", ",T-T", "row 4 has no name"),
    ],
)
def test_a_bad_list(world: World, old: str, new: str, message: str) -> None:
    world.change("cy", {passports.MEMBER: PASSPORTS.replace(old, new)})
    with pytest.raises(InputError, match=message):
        read_passports()
