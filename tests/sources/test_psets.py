"""The reader of PharmacoSets, on small ones of both generations."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.sources.psets import RNASEQ, STUDIES, read_pset

from .rds import S4, Environment, Factor, Frame, Matrix, data_frame, write_rds

ROWS = [f"experiment {i}" for i in range(5)]
# TPM of genes x runs; TP53 is there twice, and one row has no symbol.
TPM = np.array([[0.0, 3, 7, 1], [15, 0, 31, 1], [1, 1, 0, 1], [5, 5, 5, 5], [0, 0, 1, 1]])
SYMBOLS = ["TP53", "RET", "TP53", None, "CALCA"]
RUNS = ["NCI-H2029", "CAL-120", "NCI-H2029", None]


@dataclass
class Parts:
    """What goes into a PSet; `old` says with which names."""

    old: bool
    name: str = "GDSC_v2"
    lines: list = field(default_factory=lambda: ["CAL-120", "CAL-120", "TT", "NCI-H2029", "TT"])
    drugs: list = field(default_factory=lambda: ["Erlotinib", "Erlotinib", "Erlotinib", "Nutlin-3", "Nutlin-3"])
    aac: list = field(default_factory=lambda: [0.25, 0.5, 0, 1, np.nan])
    rows: list = field(default_factory=lambda: list(ROWS))
    treatments: dict = field(default_factory=lambda: {"smiles": ["CCO///CCN", None, ""], "inchikey.smiles": ["x"] * 3})
    tpm: np.ndarray | None = field(default_factory=TPM.copy)
    expression_set: bool = False

    def profile(self) -> S4:
        """RNA-seq, as a SummarizedExperiment or an ExpressionSet."""
        logs = Matrix(np.log2(self.tpm + 0.001))
        runs = {"runid": ["a", "b", "c", "d"], "cellid" if self.old else "sampleid": RUNS}
        genes = {"gene_id": list("abcde"), "gene_name": SYMBOLS}
        if self.expression_set:
            tables = [Frame(runs, list("abcd")), Frame(genes, list("abcde"))]
            meta = [S4("AnnotatedDataFrame", {"data": table}) for table in tables]
            values = Environment({"exprs": logs, "se.exprs": Matrix(np.zeros((5, 4)))})
            return S4("ExpressionSet", {"assayData": values, "phenoData": meta[0], "featureData": meta[1]}, "Biobase")
        assays = S4("SimpleList", {"listData": {"exprs": logs, "se.exprs": Matrix(np.zeros((5, 4)))}}, "S4Vectors")
        held = {".xData": Environment({"data": assays})} if self.old else {"data": assays}
        slots = {"colData": data_frame(runs, 4, list("abcd")), "assays": S4("Assays", held), "NAMES": list("abcde")}
        return S4("SummarizedExperiment", slots | {"elementMetadata": data_frame(genes, 5)}, "SummarizedExperiment")

    def build(self) -> S4:
        line, drug = ("cellid", "drugid") if self.old else ("sampleid", "treatmentid")
        info = Frame(
            {"dose": np.arange(5.0), line: Factor(self.lines) if self.old else self.lines, drug: self.drugs}, ROWS
        )
        profiles = Frame({"ic50_recomputed": np.zeros(len(self.rows)), "aac_recomputed": np.array(self.aac)}, self.rows)
        responses = {"info": info, "raw": Matrix(np.zeros((5, 4))), "profiles": profiles}
        slots = {
            "drug" if self.old else "treatment": Frame(self.treatments, ["Erlotinib", "Nutlin-3", "JQ1"]),
            "annotation": {"name": self.name, "dateCreated": "today"},
            "molecularProfiles": {} if self.tpm is None else {"rna": S4("Other"), RNASEQ: self.profile()},
            "datasetType": "sensitivity",
            "sensitivity" if self.old else "treatmentResponse": responses,
        }
        return S4("PharmacoSet", slots)


def write(folder: Path, parts: Parts) -> Path:
    return write_rds(folder / "pset.rds", parts.build(), version=2 if parts.old else 3)


@pytest.fixture(params=[True, False], ids=["old", "new"])
def parts(request) -> Parts:
    return Parts(old=request.param)


def refused(path: Path, *texts: str, study: str = "GDSC v2") -> None:
    """Expect an InputError of one line that holds all texts."""
    with pytest.raises(InputError) as caught:
        read_pset(path, study)
    text = str(caught.value)
    assert str(path) in text and "\n" not in text and all(part in text for part in texts), text
    assert "leap data fetch pset-" in text, text


def records(path: Path, study: str = "GDSC v2") -> pd.DataFrame:
    return read_pset(path, study).records


def test_responses(tmp_path: Path, parts: Parts) -> None:
    frame = records(write(tmp_path, parts))
    assert list(frame) == ["study", "line", "drug", "aac"] and frame.index.tolist() == [0, 1, 2, 3]
    assert set(frame["study"]) == {"GDSC v2"}
    assert frame["line"].tolist() == ["CAL-120", "CAL-120", "TT", "NCI-H2029"]  # repeats are kept
    assert frame["drug"].tolist() == ["Erlotinib", "Erlotinib", "Erlotinib", "Nutlin-3"]
    assert frame["aac"].tolist() == [0.25, 0.5, 0, 1]


def test_percent_and_fractions_give_the_same(tmp_path: Path, parts: Parts) -> None:
    frame = records(write(tmp_path, parts))
    parts.aac = [25, 50, 0, 100, np.nan]
    pd.testing.assert_frame_equal(records(write(tmp_path, parts)), frame)
    parts.aac = [0.001, 0.002, 0, 0.0005, 1 + 1e-9]  # weak effects are not taken for percent
    assert records(write(tmp_path, parts))["aac"].tolist() == [0.001, 0.002, 0, 0.0005, 1]


@pytest.mark.parametrize(
    ("aac", "text"),
    [
        ([0.25, 0.5, 0, -0.2, 0.1], "row experiment 3, column 'aac_recomputed': -0.2 is not a finite number"),
        ([25, 50, 3, 140, 1], "row experiment 3, column 'aac_recomputed': 140.0 is not a finite number from -1 to 101"),
        ([0.25, 0.5, np.inf, 1, 1], "row experiment 2, column 'aac_recomputed': inf"),
        ([np.nan] * 5, "no experiment has a line, a drug and a number in 'aac_recomputed'"),
    ],
)
def test_areas_out_of_range(tmp_path: Path, parts: Parts, aac: list, text: str) -> None:
    parts.aac = aac
    refused(write(tmp_path, parts), "profiles", text)


def test_one_percentage_among_fractions_is_refused(tmp_path: Path) -> None:
    n = 20
    frames = [
        Frame({"sampleid": ["A"] * n, "treatmentid": ["B"] * n}),
        Frame({"aac_recomputed": np.array([0.5] * 19 + [50])}),
    ]
    value = Parts(old=False).build()
    value.slots["treatmentResponse"] = dict(zip(("info", "profiles"), frames, strict=True))
    refused(write_rds(tmp_path / "pset.rds", value), "row 20, column 'aac_recomputed': 50.0", "from -0.01 to 1.01")


def test_areas_as_text_and_rows_of_profiles_in_another_order(tmp_path: Path, parts: Parts) -> None:
    value = parts.build()
    responses = value.slots["sensitivity" if parts.old else "treatmentResponse"]
    responses["profiles"].columns["aac_recomputed"] = ["0.25", "0.5", "0", "1", None]
    assert records(write_rds(tmp_path / "pset.rds", value))["aac"].tolist() == [0.25, 0.5, 0, 1]
    parts.rows, parts.aac = ROWS[::-1], [np.nan, 1, 0, 0.5, 0.25]
    assert records(write(tmp_path, parts))["aac"].tolist() == [0.25, 0.5, 0, 1]


def test_mixtures_and_experiments_without_ids_are_left_out(tmp_path: Path, parts: Parts) -> None:
    parts.lines[0] = None
    parts.drugs[1:3] = ["Navitoclax:PLX-4720 (1:1 Mol/Mol)", "Erlotinib///Nutlin-3"]
    frame = records(write(tmp_path, parts))
    assert frame[["line", "drug", "aac"]].to_numpy().tolist() == [["NCI-H2029", "Nutlin-3", 1]]


def test_smiles(tmp_path: Path, parts: Parts) -> None:
    smiles = read_pset(write(tmp_path, parts), "GDSC v2").smiles
    assert (smiles.name, smiles.index.name) == ("smiles", "drug")
    assert smiles.to_dict() == {"Erlotinib": "CCO"}
    parts.treatments = {"cpd_smiles": ["C, CC", "CC", "C"]}
    assert read_pset(write(tmp_path, parts), "GDSC v2").smiles["Erlotinib"] == "C"
    parts.treatments = {"FDA": np.array([True, True, False])}
    assert read_pset(write(tmp_path, parts), "GDSC v2").smiles.empty


@pytest.mark.parametrize("expression_set", [True, False])
def test_expression(tmp_path: Path, parts: Parts, expression_set: bool) -> None:
    parts.expression_set = expression_set
    frame = read_pset(write(tmp_path, parts), "GDSC v2").expression
    assert frame is not None and (frame.index.name, frame.columns.name) == ("line", "gene")
    assert frame.index.tolist() == ["CAL-120", "NCI-H2029"] and list(frame) == ["TP53", "RET", "CALCA"]
    assert set(frame.dtypes) == {np.dtype("float32")}
    # NCI-H2029 was sequenced twice: (log2(0 + 1) + log2(7 + 1)) / 2 and so on; the first TP53 is the louder one.
    np.testing.assert_allclose(frame, [[2, 0, 0], [1.5, 4.5, 0.5]], atol=1e-6)


def test_the_louder_of_two_genes_with_one_symbol_stays_wherever_it_is(tmp_path: Path, parts: Parts) -> None:
    parts.tpm = TPM[[2, 1, 0, 3, 4]]
    frame = read_pset(write(tmp_path, parts), "GDSC v2").expression
    assert frame is not None and list(frame) == ["RET", "TP53", "CALCA"]
    np.testing.assert_allclose(frame["TP53"], [2, 1.5], atol=1e-6)
    parts.tpm = None
    assert read_pset(write(tmp_path, parts), "GDSC v2").expression is None


@pytest.mark.parametrize(
    ("tpm", "text"),
    [
        (TPM + 1, "no value is below 0: this is not log2(TPM + 0.001)"),
        (TPM * 1e6, "lies between -9.98 and 20"),
        (np.where(TPM == 31, np.nan, TPM), "lies between -9.98 and 20"),
        (TPM[:, :3], "has (5, 3) genes and runs, and its tables describe (5, 4)"),
    ],
)
def test_expression_of_another_unit_or_shape(tmp_path: Path, parts: Parts, tpm: np.ndarray, text: str) -> None:
    parts.tpm = tpm
    refused(write(tmp_path, parts), RNASEQ, "exprs", text)


@pytest.mark.parametrize(
    ("name", "study"),
    [("GDSC_v1", "GDSC v1"), ("GDSC1", "GDSC v1"), ("GDSC_2020(v1-8.2)", "GDSC v1"), ("GDSC_v2", "GDSC v2"),
     ("GDSC_2020(v2-8.2)", "GDSC v2"), ("GDSC_v2_8.2", "GDSC v2"), ("CCLE", "CCLE"), ("CCLE_2015", "CCLE"),
     ("CTRPv2", "CTRP"), ("CTRPv2_2015", "CTRP"), ("PRISM", "PRISM"), ("PRISM_2020", "PRISM"),
     *((name, "") for name in ("GDSC1000", "GDSC", "gCSI", "FIMM", ""))],
)  # fmt: skip
def test_the_name_must_be_that_of_the_study(tmp_path: Path, name: str, study: str) -> None:
    path = write(tmp_path, Parts(old=True, name=name))
    for other in STUDIES:
        if study == other:
            assert set(records(path, study)["study"]) == {study}
        else:
            refused(path, "annotation$name", f"the PSet is {name!r}, not that of {other}", study=other)


@pytest.mark.parametrize(
    ("new", "old"),
    [("treatmentResponse", "sensitivity"), ("treatment", "drug"), ("annotation", ""), ("molecularProfiles", "")],
)
def test_a_missing_slot_is_named(tmp_path: Path, parts: Parts, new: str, old: str) -> None:
    value = parts.build()
    del value.slots[old if parts.old and old else new]
    refused(write_rds(tmp_path / "pset.rds", value), "lacks", repr(new), "has ")


def test_a_missing_column_is_named(tmp_path: Path, parts: Parts) -> None:
    value = parts.build()
    del value.slots["molecularProfiles"][RNASEQ].slots["elementMetadata"].slots["listData"]["gene_name"]
    refused(write_rds(tmp_path / "pset.rds", value), "lacks the column 'gene_name': has gene_id")
    del value.slots["sensitivity" if parts.old else "treatmentResponse"]["profiles"].columns["aac_recomputed"]
    refused(write_rds(tmp_path / "pset.rds", value), "profiles: lacks the column 'aac_recomputed': has ic50_recomputed")


def test_objects_of_another_make(tmp_path: Path) -> None:
    path = tmp_path / "pset.rds"
    refused(write_rds(path, S4("RadioSet")), "holds no PharmacoSet but an object of R's RadioSet")
    refused(write_rds(path, Frame({"aac_recomputed": np.array([1.0])})), "an object of R's data.frame")
    for slot, what in (("treatmentResponse", "TreatmentResponseExperiment"), ("molecularProfiles", "MultiAssay")):
        value = Parts(old=False).build()
        value.slots[slot] = S4(what)
        refused(write_rds(path, value), f"{slot}: is a {what}, not the list")
