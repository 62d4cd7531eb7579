"""The reader of the PDX Encyclopedia, on small workbooks in its format and on the real tables where at hand."""

import datetime
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.sources.xenografts import DRUGS, TISSUES, read_pdx, read_pdx_response

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
PAIR = ("Cetuximab", "Erlotinib")
METRICS = [
    "Model", "Treatment", "Treatment target", "Treatment type", "BestResponse", "Day_BestResponse",
    "BestAvgResponse", "Day_BestAvgResponse", "TimeToDouble", "Day_Last", "ResponseCategory",
]  # fmt: skip
VOLUMES = ["Model", "Tumor Type", "Treatment", "Volume (mm3)", "body weight (g)", "Days Post T0"]


def arm(model="X-1004", treatment="cetuximab", best: object = -54.3, average: object = 10):
    return [model, treatment, "EGFR", "combo" if "+" in treatment else "single", best, 12, average, 26, 26, 26, "PR"]


def content() -> dict[str, list[list[object]]]:
    """The sheets of a sound workbook, the header first."""
    return {
        "RNAseq_fpkm": [
            ["Sample", "X-1004", "X-1027", "X-9999"],
            ["TP53", 0, 1, 3],
            [datetime.datetime(2015, 3, 1), 5, 5, 5],
            ["2-Mar", 5, 5, 5],
            ["ERBB2", 7.0, "15", 0.5],
            [None, None, None, None],
        ],
        "PCT raw data": [
            list(VOLUMES),
            ["X-1004", "CRC", "cetuximab", 200, 22, 0],
            ["X-1004", "CRC", "cetuximab", 90, 22, 12],
            ["X-1027", "NSCLC", "cetuximab", 200, 22, 0],
            ["X-2000", "XYZ", "erlotinib", 200, 22, 0],
            [None, None, "note", None, None, None],
        ],
        "PCT curve metrics": [
            list(METRICS),
            arm(),
            arm(treatment="BYL719 + cetuximab", best=-90),
            arm(treatment='figitumumab"', best=4),
            arm(treatment="untreated", best=300),
            arm("X-1027", " Cetuximab", 120.5),
            arm("X-2000", "erlotinib", -100),
            [None] * 11,
        ],
    }


def workbook(folder: Path, sheets: dict[str, list[list[object]]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(folder / "pdx.xlsx")
    return folder / "pdx.xlsx"


def changed(folder: Path, sheet: str, row: int, column: int, value: object) -> Path:
    """Return a workbook with one other cell; row and column count from 1."""
    sheets = content()
    sheets[sheet][row - 1][column - 1] = value
    return workbook(folder, sheets)


def refused(path: Path, *parts: str) -> None:
    with pytest.raises(InputError) as error:
        read_pdx(path, PAIR)
    text = str(error.value)
    assert str(path) in text and "\n" not in text and all(part in text for part in parts), text
    assert "leap data fetch pdxe" in text or "as published" in text, text


def test_read(tmp_path: Path) -> None:
    pdx = read_pdx(workbook(tmp_path, content()), PAIR)
    assert pdx.expression.index.tolist() == ["X-1004", "X-1027", "X-9999"]
    assert pdx.expression.columns.tolist() == ["TP53", "ERBB2"]  # what a spreadsheet turned into dates is left out
    assert (pdx.expression.dtypes == np.float32).all()
    expected = [[0, 3], [1, 4], [2, np.log2(1.5)]]
    np.testing.assert_allclose(pdx.expression, expected, rtol=1e-6)
    # A tumour that shrank by 54.3% responds; one that grew by 120.5% does not; combinations are not counted.
    assert pdx.response.columns.tolist() == ["Cetuximab", "Erlotinib"]
    assert pdx.response["Cetuximab"].dropna().to_dict() == {"X-1004": 54.3, "X-1027": -120.5}
    assert pdx.response["Erlotinib"].dropna().to_dict() == {"X-2000": 100}
    assert (pdx.response.index.name, pdx.response.columns.name, pdx.expression.columns.name) == ("pdx", "drug", "gene")
    samples = pdx.samples
    assert samples.index.tolist() == ["X-1004", "X-1027", "X-2000", "X-9999"]
    assert samples["tumor_type"].fillna("").tolist() == ["CRC", "NSCLC", "XYZ", ""]
    assert samples["tissue"].fillna("").tolist() == ["Large Intestine", "Lung", "", ""]
    assert samples["expression"].tolist() == [True, True, False, True]
    assert samples["response"].tolist() == [True, True, True, False]


def test_a_tumour_type_beside_the_arms_goes_first(tmp_path: Path) -> None:
    sheets = content()
    del sheets["PCT raw data"]
    kinds = ["Tumor Type", "GC", "GC", "GC", "GC", "CM", "BRCA", None]
    for row, kind in zip(sheets["PCT curve metrics"], kinds, strict=True):
        row.append(kind)
    tissue = read_pdx(workbook(tmp_path, sheets), PAIR).samples["tissue"]
    assert tissue.dropna().to_dict() == {"X-1004": "Stomach", "X-1027": "Skin", "X-2000": "Breast"}


def test_the_responses_alone(tmp_path: Path) -> None:
    book = workbook(tmp_path, content())
    text = tmp_path / "metrics.txt"
    rows = [["" if cell is None else str(cell) for cell in row] for row in content()["PCT curve metrics"]]
    text.write_text("\n".join("\t".join(row) for row in rows) + "\n")
    expected = read_pdx(book, PAIR).response
    pd.testing.assert_frame_equal(read_pdx_response(book, PAIR), expected)
    pd.testing.assert_frame_equal(read_pdx_response(text, PAIR), expected)
    text.write_text(text.read_text().replace("-54.3", "-54,3"))
    with pytest.raises(InputError, match=r"metrics.txt: row 2, column 'BestResponse': '-54,3' has a decimal comma"):
        read_pdx_response(text, PAIR)


GENES, ARMS = "RNAseq_fpkm", "PCT curve metrics"


@pytest.mark.parametrize(
    ("sheet", "row", "column", "value", "part"),
    [
        (GENES, 1, 1, "Gene", "the first column is 'Gene', not 'Sample'"),
        (GENES, 1, 3, "X-1004", "the PDX 'X-1004' is there twice"),
        (GENES, 5, 1, "TP53", "row 5: the gene 'TP53' is there twice"),
        (GENES, 5, 2, "7,0", "row 5 (PDX X-1004), column 'ERBB2': '7,0' has a decimal comma"),
        (GENES, 5, 3, -1, "row 5 (PDX X-1027), column 'ERBB2': -1 is not a finite number from 0"),
        (GENES, 2, 4, None, "row 2 (PDX X-9999), column 'TP53'"),
        (GENES, 2, 4, "nan", "row 2 (PDX X-9999), column 'TP53'"),
        (GENES, 2, 4, "inf", "row 2 (PDX X-9999), column 'TP53'"),
        (ARMS, 1, 1, "PDX", "lacks the column 'Model': has PDX, Treatment"),
        (ARMS, 1, 5, "Best", "lacks the column 'BestResponse'"),
        (ARMS, 1, 2, "BestResponse", "lacks the column 'Treatment'"),
        (ARMS, 1, 4, "BestResponse", "the column 'BestResponse' is there twice"),
        (ARMS, 2, 1, None, "row 2, column 'Model' is empty"),
        (ARMS, 2, 5, "-54,3", "row 2, column 'BestResponse': '-54,3' has a decimal comma"),
        (ARMS, 2, 5, "PR", "row 2, column 'BestResponse': 'PR' is not a finite number"),
        (ARMS, 2, 5, None, "row 2, column 'BestResponse'"),
        (ARMS, 2, 5, -100.5, "row 2, column 'BestResponse': '-100.5'"),
        (ARMS, 6, 1, "X-1004", "row 6 repeats an earlier row (Model X-1004, drug cetuximab)"),
        ("PCT raw data", 1, 2, "Type", "lacks the column 'Tumor Type'"),
        ("PCT raw data", 3, 2, "GC", "row 3, column 'Tumor Type': X-1004 has two tumour types"),
    ],
)
def test_a_bad_cell_is_named(tmp_path: Path, sheet: str, row: int, column: int, value: object, part: str) -> None:
    refused(changed(tmp_path, sheet, row, column, value), f"sheet {sheet!r}", part)


@pytest.mark.parametrize("sheet", ["RNAseq_fpkm", "PCT raw data", "PCT curve metrics"])
def test_a_missing_or_empty_sheet_is_named(tmp_path: Path, sheet: str) -> None:
    sheets = content()
    refused(workbook(tmp_path, {**sheets, sheet: sheets[sheet][:1]}), f"sheet {sheet!r}", "no ")
    refused(workbook(tmp_path, {**sheets, sheet: []}), f"sheet {sheet!r}")
    del sheets[sheet]
    refused(workbook(tmp_path, sheets), f"lacks the sheet {sheet!r}: has ")


def test_bad_files(tmp_path: Path) -> None:
    path = workbook(tmp_path, content())
    whole = path.read_bytes()
    html = b"\n<html><title>Redirect</title></html>"
    for data, part in (
        (b"", "the file is empty"),
        (html, "a web page"),
        (b"Model\n", "no xlsx"),
        (whole[:999], "no xlsx"),
    ):
        path.write_bytes(data)
        refused(path, part)
    refused(tmp_path / "absent.xlsx", "cannot be read")
    for data, part in ((html, "a web page"), (b"Model\tDrug\nA\tB\n", "lacks the column 'Treatment', 'BestResponse'")):
        path.write_bytes(data)
        with pytest.raises(InputError, match=part):
            read_pdx_response(path, PAIR)


def test_a_drug_without_an_arm_of_its_own_is_named(tmp_path: Path) -> None:
    path = workbook(tmp_path, content())
    for drug in ("Tamoxifen", "BYL719"):  # the latter is there in a combination only
        with pytest.raises(InputError, match=f"no arm with '{drug}' alone: check the name of the drug"):
            read_pdx(path, [drug])


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame, Path]:
    """The real expression, the real arms with other drugs, and the real text export."""
    names = ["pdxe_expression_481genes_log2fpkm.parquet", "pdxe_response.csv",
             "nm.3954-S2_PCT_curve_metrics_common_samples.txt"]  # fmt: skip
    missing = [name for name in names if not (SHARED / name).is_file()]
    if missing:
        pytest.skip(f"no real data: {', '.join(missing)}")
    return pd.read_parquet(SHARED / names[0]), pd.read_csv(SHARED / names[1]), SHARED / names[2]


def test_real_responses(tables) -> None:
    expression, arms, text = tables
    response = read_pdx_response(text)
    both = response[response.index.isin(expression.index)]
    expected = {"Cetuximab": 66, "Erlotinib": 25, "Tamoxifen": 38, "Trametinib": 35, "Paclitaxel": 62}
    assert both.notna().sum().to_dict() == expected and list(response) == list(DRUGS)
    arms = arms.dropna(subset="BestResponse")
    for drug in DRUGS:
        other = arms[arms["drug"].str.lower() == drug.lower()].set_index("patient.id")["BestResponse"]
        ours = response[drug].dropna()
        assert set(other.index) <= set(ours.index)
        np.testing.assert_allclose(-ours[other.index], other)


def test_a_workbook_of_the_real_tables_gives_them_back(tables, tmp_path: Path) -> None:
    expression, _, text = tables
    logs, codes = expression.drop(columns="tissue"), expression["tissue"]
    fpkm = (np.exp2(logs.astype(float)) - 1).clip(lower=0).T
    table = pd.read_csv(text, sep="\t")
    sheets = {
        "RNAseq_fpkm": [["Sample", *fpkm.columns], *fpkm.reset_index().to_numpy().tolist()],
        "PCT curve metrics": [list(table.columns), *table.astype(object).to_numpy().tolist()],
        "PCT raw data": [VOLUMES[:2], *([model, code] for model, code in codes.items())],
    }  # fmt: skip
    pdx = read_pdx(workbook(tmp_path, sheets))
    np.testing.assert_allclose(pdx.expression, logs, atol=1e-5)
    assert pdx.expression.columns.tolist() == list(logs) and pdx.expression.index.tolist() == list(logs.index)
    pd.testing.assert_frame_equal(pdx.response, read_pdx_response(text))
    assert pdx.samples["expression"].sum() == 140
    measured = pdx.samples[pdx.samples["expression"]]
    assert measured["tissue"].equals(codes.reindex(measured.index).map(TISSUES).rename("tissue"))
    assert measured["tissue"].notna().all()
