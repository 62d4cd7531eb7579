"""The reader of the PDX Encyclopedia, on small workbooks in its format."""

import datetime
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from leaplib.base.errors import InputError
from leaplib.sources.xenografts import read_pdx

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


def test_a_drug_without_an_arm_of_its_own_is_named(tmp_path: Path) -> None:
    path = workbook(tmp_path, content())
    for drug in ("Tamoxifen", "BYL719"):  # the latter is there in a combination only
        with pytest.raises(InputError, match=f"no arm with '{drug}' alone: check the name of the drug"):
            read_pdx(path, [drug])
