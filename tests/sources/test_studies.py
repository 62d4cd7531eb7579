"""Readers of the studies' own files, on small files in their formats and on real ones where they are at hand."""

import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.sources import manifest, wheels
from leaplib.sources.studies import available, read_ccle, read_ctrp, read_gdsc, read_prism, read_study

from .rds import S4, Frame, write_rds

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"

GDSC_HEADER = ["DATASET", "NLME_RESULT_ID", "NLME_CURVE_ID", "COSMIC_ID", "CELL_LINE_NAME", "SANGER_MODEL_ID",
               "TCGA_DESC", "DRUG_ID", "DRUG_NAME", "PUTATIVE_TARGET", "PATHWAY_NAME", "COMPANY_ID", "WEBRELEASE",
               "MIN_CONC", "MAX_CONC", "LN_IC50", "AUC", "RMSE", "Z_SCORE"]  # fmt: skip
CCLE_HEADER = ("CCLE Cell Line Name,Primary Cell Line Name,Compound,Target,Doses (uM),Activity Data (median),"
               "Activity SD,Num Data,FitType,EC50 (uM),IC50 (uM),Amax,ActArea")  # fmt: skip
PRISM_HEADER = ("broad_id,depmap_id,ccle_name,screen_id,upper_limit,lower_limit,slope,r2,auc,ec50,ic50,name,moa,target,"
                "disease.area,indication,smiles,phase,passed_str_profiling,row_name")  # fmt: skip
CTRP = {
    "v20.data.curves_post_qc.txt": (
        "experiment_id\tconc_pts_fit\tfit_num_param\tarea_under_curve\tmaster_cpd_id\n"
        "1\t16\t3\t7.5\t10\n1\t16\t3\t18\t11\n2\t16\t3\t3\t10\n3\t16\t3\t6\t10\n1\t16\t3\t9\t12\n"
    ),
    "v20.meta.per_experiment.txt": (
        "experiment_id\trun_id\texperiment_date\tmaster_ccl_id\n1\t1a\t20120501\t100\n1\t1b\t20120502\t100\n"
        "2\t2\t20120503\t100\n3\t3\t20120504\t101\n"
    ),
    "v20.meta.per_cell_line.txt": "master_ccl_id\tccl_name\n100\tCAL-120\n101\tTT\n",
    "v20.meta.per_compound.txt": (
        "master_cpd_id\tcpd_name\tbroad_cpd_id\tcpd_smiles\n10\terlotinib\tBRD-1\tCCO\n11\t\"BRD5, dimer\"\tBRD-2\t\n"
        "12\tnavitoclax:PLX-4032 (1:1 mol/mol)\tBRD-3\tCC.CN\n"
    ),
}  # fmt: skip


def gdsc_row(line="CAL-120", drug_id=1, drug="Erlotinib", auc: object = 0.75, dataset="GDSC2"):
    known = {"DATASET": dataset, "CELL_LINE_NAME": line, "DRUG_ID": drug_id, "DRUG_NAME": drug, "AUC": auc}
    return [{"SANGER_MODEL_ID": "SIDM01", "LN_IC50": 2.5, **known}.get(column) for column in GDSC_HEADER]


def gdsc(folder: Path, rows, header=GDSC_HEADER) -> Path:
    book = openpyxl.Workbook()
    book.active.title = "Fitted dose response"
    for row in [header, *rows]:
        book.active.append(row)
    book.save(folder / "GDSC2.xlsx")
    return folder / "GDSC2.xlsx"


def write(folder: Path, name: str, text: str | bytes) -> Path:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


def ccle(folder: Path, *rows: str, header: str = CCLE_HEADER) -> Path:
    return write(folder, "ccle.csv", "\n".join([header, *rows]) + "\n")


def ccle_row(line="22RV1_PROSTATE", name="22Rv1", drug="AEW541", area="2") -> str:
    return f'{line},{name},{drug},IGF1R,".0025,8",".94,-71","1,2",8,Sigmoid,,2.3,-71.6,{area}'


def prism(folder: Path, *rows: str, header: str = PRISM_HEADER) -> Path:
    return write(folder, "prism.csv", "\n".join([header, *rows]) + "\n")


def prism_row(broad="BRD-1", line="ACH-000001", screen="HTS002", auc="0.6", name="erlotinib", passed="TRUE") -> str:
    middle = f'{auc},,,{name},"EGFR inhibitor","EGFR, ERBB2",oncology,,"CCO, CCO.Cl",Launched'
    return f"{broad},{line},CAL120_BREAST,{screen},1,0.2,1,0.9,{middle},{passed},{line}"


def ctrp(folder: Path, changes: dict[str, str | bytes | None] | None = None, inside: str = "") -> Path:
    with zipfile.ZipFile(folder / "ctrp.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {"README.txt": "other", **CTRP, **(changes or {})}.items():
            if text is not None:
                archive.writestr(inside + name, text)
    return folder / "ctrp.zip"


def test_gdsc(tmp_path: Path) -> None:
    rows = [gdsc_row(), gdsc_row(drug_id=2, auc=0.5), gdsc_row(line="T-T", drug=123, auc=1), [None] * 19]
    frame = read_gdsc(gdsc(tmp_path, rows), "GDSC v2").records
    assert frame.columns.tolist() == ["study", "line", "drug", "aac"]
    assert frame["aac"].tolist() == [0.25, 0.5, 0]  # both drug ids of the repeat are kept
    assert frame["line"].tolist() == ["CAL-120", "CAL-120", "T-T"]
    assert frame["drug"].tolist() == ["Erlotinib", "Erlotinib", "123"]
    assert set(frame["study"]) == {"GDSC v2"} and frame.index.tolist() == [0, 1, 2]


def test_a_workbook_that_states_a_wrong_size_is_read_whole(tmp_path: Path) -> None:
    path = gdsc(tmp_path, [gdsc_row(), gdsc_row(line="B")])
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet] = parts[sheet].replace(b'<dimension ref="A1:S3"', b'<dimension ref="A1:A1"')
    assert b"A1:A1" in parts[sheet]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    assert len(read_gdsc(path, "GDSC v2").records) == 2


def test_ccle(tmp_path: Path) -> None:
    rows = [ccle_row(), ccle_row(drug="Lapatinib", area="8.4"), ccle_row("A_B", "NA", area="-0.1")]
    frame = read_ccle(ccle(tmp_path, *rows)).records
    assert frame.to_numpy().tolist() == [
        ["CCLE", "22Rv1", "AEW541", 0.25],
        ["CCLE", "22Rv1", "Lapatinib", 1.0],
        ["CCLE", "NA", "AEW541", 0.0],
    ]


def test_prism(tmp_path: Path) -> None:
    path = prism(
        tmp_path,
        prism_row(auc="0.6"),
        prism_row(screen="MTS010", auc="0.7"),  # counts instead of the row above
        prism_row(broad="BRD-2", screen="MTS010", auc="0.5"),  # another batch in the same screen: kept
        prism_row(line="ACH-000002", auc="1.25"),  # grows faster than without the drug
        prism_row(line="ACH-000003_FAILED_STR", passed="FALSE"),
        prism_row(line="ACH-000004", screen="MTS005", name="", auc="0.1"),
        prism_row(line="ACH-000005", screen="MTS006", auc=""),
        prism_row(line="ACH-000006", screen="NEW1", auc="0.9"),
    )
    study = read_prism(path)
    frame = study.records
    assert frame.columns.tolist() == ["study", "line", "drug", "aac"]
    assert frame["line"].tolist() == ["ACH-000001", "ACH-000001", "ACH-000002", "ACH-000006"]
    assert frame["aac"].tolist() == pytest.approx([0.3, 0.5, 0, 0.1])
    assert set(frame["drug"]) == {"erlotinib"} and set(frame["study"]) == {"PRISM"}
    assert study.smiles.to_dict() == {"erlotinib": "CCO"}


@pytest.mark.parametrize("inside", ["", "CTRPv2.0_2015_ctd2_ExpandedDataset/"])
def test_ctrp(tmp_path: Path, inside: str) -> None:
    path = ctrp(tmp_path, inside=inside)
    before = sorted(tmp_path.iterdir())
    study = read_ctrp(path)
    assert study.records.to_numpy().tolist() == [
        ["CTRP", "CAL-120", "erlotinib", 0.5],
        ["CTRP", "CAL-120", "BRD5, dimer", 0.0],  # an area of 18 is beyond no effect
        ["CTRP", "CAL-120", "erlotinib", 0.8],
        ["CTRP", "TT", "erlotinib", 0.6],
    ]
    assert study.smiles.to_dict() == {"erlotinib": "CCO"}
    assert sorted(tmp_path.iterdir()) == before  # nothing was unpacked


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of raw files, under the manifest of the checkout without its checksums."""
    text = (Path(__file__).resolve().parents[2] / "data" / "sources.toml").read_text()
    sums = ("sha256", "md5")
    write(tmp_path, manifest.MANIFEST, "\n".join(line for line in text.splitlines() if not line.startswith(sums)))
    monkeypatch.setenv("LEAP_DATA", str(tmp_path))
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


def pset(folder: Path, name: str, aac: float) -> None:
    """Put a PSet with one experiment into its place."""
    info = Frame({"sampleid": ["CAL-120"], "treatmentid": ["Erlotinib"]}, ["1"])
    responses = {"info": info, "profiles": Frame({"aac_recomputed": np.array([aac])}, ["1"])}
    target = {"CCLE": "CCLE", "CTRPv2": "CTRPv2", "GDSC_v2": "GDSC2"}[name]
    slots = {"annotation": {"name": name}, "treatmentResponse": responses, "molecularProfiles": {}}
    value = S4("PharmacoSet", slots | {"treatment": Frame({"smiles": ["CCO"]}, ["Erlotinib"])})
    write_rds(folder / "psets" / f"{target}.rds", value)


def read(study: str) -> pd.DataFrame:
    found = read_study(study)
    assert found is not None
    return found.records


def test_a_pset_goes_before_the_study_s_own_table(raw: Path) -> None:
    table = ccle(raw, ccle_row()).rename(raw / "CCLE_NP24.2009_Drug_data_2015.02.24.csv")
    pset(raw, "CCLE", 0.75)
    pset(raw, "GDSC_v2", 0.5)
    assert available("CCLE") == "pset-ccle" and available("GDSC v2") == "pset-gdsc2" and available("GDSC v1") is None
    assert read("GDSC v2").to_numpy().tolist() == [["GDSC v2", "CAL-120", "Erlotinib", 0.5]]
    assert read("CCLE").to_numpy().tolist() == [["CCLE", "CAL-120", "Erlotinib", 0.75]]
    table.unlink()
    assert read("CCLE")["aac"].tolist() == [0.75]


def test_a_damaged_pset_is_an_error_even_where_the_table_is_there(raw: Path) -> None:
    ccle(raw, ccle_row()).rename(raw / "CCLE_NP24.2009_Drug_data_2015.02.24.csv")
    pset(raw, "CTRPv2", 0.75)
    (raw / "psets" / "CTRPv2.rds").rename(raw / "psets" / "CCLE.rds")
    with pytest.raises(InputError, match=r"CCLE.rds: .*the PSet is 'CTRPv2', not that of CCLE.*pset-ccle"):
        read("CCLE")


def test_without_a_file_there_is_no_study_and_an_unknown_one_is_refused(raw: Path) -> None:
    assert read_study("CTRP") is None and read_study("PRISM") is None
    with pytest.raises(InputError, match="study 'CGP' is unknown: use some of GDSC v2, GDSC v1, CCLE, CTRP, PRISM"):
        available("CGP")


def test_old_letters_are_read(tmp_path: Path) -> None:
    path = ccle(tmp_path, ccle_row(drug="Drug \u00b5"))
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1"))
    assert read_ccle(path).records["drug"].tolist() == ["Drug \u00b5"]


def test_real_ccle_equals_the_copy_in_the_wheel(real: Path) -> None:
    path = SHARED / "CCLE_NP24.2009_Drug_data_2015.02.24.csv"
    if not path.is_file():
        pytest.skip(f"no real data: {path.name} is absent")
    ours = read_ccle(path).records.set_index(["line", "drug"])["aac"]
    assert ours.index.is_unique and ours["1321N1", "AEW541"] == pytest.approx(0.7124 / 8)
    wheel = wheels.read_response("CCLE").set_index(["line", "drug"])["aac"]
    pd.testing.assert_series_equal(ours.sort_index(), wheel.sort_index(), check_exact=False)
