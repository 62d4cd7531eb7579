"""Malformed files of the studies, of DepMap, of xenografts and of gene sets: each is refused in one clear line.

Every kind of damage is tried on one reader of each parser; what only one reader can know, on that reader.
"""

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest

from leaplib.base.errors import InputError

from ..sources import test_depmap, test_psets, test_studies, test_xenografts
from ..sources.rds import Matrix, write_rds
from .checks import Case, each, refused
from .sound import ARCHIVES, READERS, SOUND, TABLES, Change, cell, damaged, edit, folder_in_place, swap


def lines_of(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True)


def with_every_row(addition: bytes) -> Change:
    """Lengthen all rows but the header."""
    return lambda data: b"".join([line if n == 0 else line.rstrip(b"\n") + addition + b"\n"
                                  for n, line in enumerate(lines_of(data))])  # fmt: skip


OF_ALL: dict[str, Change] = {
    "empty": lambda data: b"",
    "UTF-16": lambda data: data.decode().encode("utf-16"),
    "a picture": lambda data: b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8,
    "compressed": gzip.compress,
}
OF_TEXT: dict[str, Change] = {
    "NULs inside": lambda data: data[:-6] + b"\0\0" + data[-6:],
    "bytes of no encoding at the end": lambda data: data + bytes([255, 0, 254, 129]) * 9,
    "a line of three million letters": lambda data: data + b"x" * 3_000_000 + b"\n",
}
OF_TABLES: dict[str, Change] = {
    "the header alone": lambda data: lines_of(data)[0],
    "no header": lambda data: b"".join(lines_of(data)[1:]),
    "cut inside the last row": lambda data: data[: data.rstrip().rindex(b"\n") + 12],
    "a row with more fields than the header": lambda data: data + data.splitlines()[-1] + b",\t,\t9,\t9,\t9,\t\n",
    "a quotation mark that never ends": lambda data: data.replace(b"\n", b'\n"', 1),
    "a web page": lambda data: b"<!doctype html><html><body>" + data + b"</body></html>",
    "a title above the header": lambda data: b"Downloaded on Monday\n\n" + data,
    "every row longer than the header": with_every_row(b",9"),
    "semicolons between fields": lambda data: data.replace(b",", b";"),
    "tabs between fields": lambda data: data.replace(b",", b"\t"),
}

ONE_EACH = [kind for kind in SOUND if kind not in ("old pset", "dependency", "effect")]  # of the parsers
GENERIC = [
    Case(kind, name, edit(kind, change))
    for kind in ONE_EACH
    for name, change in OF_ALL.items()
    if not (name == "compressed" and kind == "pset") and not (name == "UTF-16" and kind in ARCHIVES)
]
GENERIC += [Case(kind, name, edit(kind, change)) for kind in ("ccle", "expression") for name, change in OF_TEXT.items()]
GENERIC += [Case(kind, name, edit(kind, change)) for kind in TABLES for name, change in OF_TABLES.items()]
GENERIC += [Case(kind, "a folder in its place", folder_in_place(kind)) for kind in ONE_EACH]
GENERIC += [Case(kind, "absent", lambda folder: folder / "nothing.csv") for kind in ONE_EACH]
GENERIC += [Case(kind, f"that of {other}", SOUND[other]) for kind in ONE_EACH for other in ONE_EACH if kind != other]


@each(GENERIC)
def test_what_goes_wrong_with_any_file(case: Case, tmp_path: Path) -> None:
    path = case.make(tmp_path)
    refused(lambda: READERS[case.kind](path), tmp_path, str(path))


def rds(**changes: object) -> Callable[[Path], Path]:
    """Return a maker of a PSet with other parts."""
    return lambda folder: test_psets.write(folder, replace(test_psets.Parts(old=False), **changes))


def slots(change: Callable[[dict], None]) -> Callable[[Path], Path]:
    """Return a maker of a PSet with other slots."""

    def make(folder: Path) -> Path:
        pset = test_psets.Parts(old=False).build()
        change(pset.slots)
        return write_rds(folder / "pset.rds", pset)

    return make


def archive(member: str, old: str, new: str) -> Callable[[Path], Path]:
    """Return a maker of CTRP's archive with other text in a member."""
    assert old in test_studies.CTRP[member]
    return lambda folder: test_studies.ctrp(folder, {member: test_studies.CTRP[member].replace(old, new, 1)})


def without_sheet(name: str) -> Callable[[Path], Path]:
    sheets = {key: rows for key, rows in test_xenografts.content().items() if key != name}
    return lambda folder: test_xenografts.workbook(folder, sheets)


def table(kind: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], Path]:
    """Return a maker of a matrix of DepMap with other values or names."""
    frames = {"expression": test_depmap.EXPRESSION, "dependency": test_depmap.DEPENDENCY, "effect": test_depmap.EFFECT}
    return lambda folder: test_depmap.write(folder, change(frames[kind].copy()), f"{kind}.csv")


def renamed_gene(symbol: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda frame: frame.rename(columns={"RET (5979)": f"{symbol} (5979)"})


def chart_sheet(folder: Path) -> Path:
    book = openpyxl.load_workbook(SOUND["pdx"](folder))
    del book["RNAseq_fpkm"]
    book.create_chartsheet("RNAseq_fpkm")
    book.save(folder / "pdx.xlsx")
    return folder / "pdx.xlsx"


CURVES, EXPERIMENTS = "v20.data.curves_post_qc.txt", "v20.meta.per_experiment.txt"
LINES, COMPOUNDS = "v20.meta.per_cell_line.txt", "v20.meta.per_compound.txt"
SPECIFIC = [
    Case("gdsc", "an AUC in percent", cell("gdsc", 1, 2, 17, 75), ("row 2", "'AUC'", "75")),
    Case("gdsc", "a formula that failed", cell("gdsc", 1, 3, 17, "#DIV/0!"), ("row 3", "'AUC'")),
    Case("gdsc", "no name of a line", cell("gdsc", 1, 2, 5, None), ("row 2", "'CELL_LINE_NAME'")),
    Case("gdsc", "a column twice", cell("gdsc", 1, 1, 16, "AUC"), ("'AUC'", "twice")),
    Case("gdsc", "a column under another name", cell("gdsc", 1, 1, 17, "auc"), ("lacks the column 'AUC'",)),
    Case("gdsc", "the other data set", cell("gdsc", 1, 3, 1, "GDSC1"), ("row 3", "'DATASET'")),
    Case("gdsc", "one row twice", lambda f: test_studies.gdsc(f, [test_studies.gdsc_row()] * 2), ("row 3 repeats",)),
    Case("gdsc", "a sheet without anything", lambda f: test_studies.gdsc(f, [], header=[]), ("lacks the column",)),
    Case("ccle", "an area of 50", swap("ccle", "3.5", "50"), ("row 3", "'ActArea'", "50")),
    Case("ccle", "text in a number", swap("ccle", "3.5", "three"), ("row 3", "'ActArea'", "'three'")),
    Case("ccle", "a decimal comma", swap("ccle", "3.5", '"3,5"'), ("row 3", "'ActArea'", "decimal comma")),
    Case("ccle", "a line and drug twice", swap("ccle", "Lapatinib", "AEW541"), ("row 3", "AEW541")),
    Case("ccle", "a column twice", swap("ccle", "Amax", "ActArea"), ("'ActArea'", "twice")),
    Case("ccle", "no name of a drug", swap("ccle", "Lapatinib", " "), ("row 3", "'Compound'")),
    Case("ccle", "a number with an escape sequence", swap("ccle", "3.5", "\x1b[31m3"), ("row 3", "'ActArea'")),
    Case("prism", "AUC in percent", edit("prism", lambda d: d.replace(b"0.6,", b"60,").replace(b"0.9,,", b"90,,")
                                        .replace(b"1.1,", b"110,")), ("'auc'",)),
    Case("prism", "a negative AUC", swap("prism", "1.1", "-1.1"), ("row 4", "'auc'")),
    Case("prism", "no line passed", swap("prism", "TRUE", "no", 9), ("'passed_str_profiling'",)),
    Case("prism", "a measurement twice", edit("prism", lambda d: d + lines_of(d)[-1]), ("row 5 repeats",)),
    Case("ctrp", "areas as fractions", lambda f: test_studies.ctrp(f, {CURVES: test_studies.CTRP[CURVES].replace(
        "\t7.5\t", "\t0.5\t").replace("\t18\t", "\t1\t").replace("\t3\t10", "\t0.3\t10").replace("\t6\t", "\t0.4\t")
        .replace("\t9\t", "\t0.9\t")}), (CURVES, "'area_under_curve'")),
    Case("ctrp", "a missing member", lambda f: test_studies.ctrp(f, {LINES: None}), (LINES,)),
    Case("ctrp", "a member in UTF-16", lambda f: test_studies.ctrp(f, {LINES: test_studies.CTRP[LINES].encode(
        "utf-16")}), (LINES,)),
    Case("ctrp", "a member of a header alone", lambda f: test_studies.ctrp(f, {COMPOUNDS: test_studies.CTRP[
        COMPOUNDS].splitlines()[0]}), (COMPOUNDS,)),
    Case("ctrp", "an experiment that is not described", archive(EXPERIMENTS, "\n3\t3", "\n9\t3"),
         (CURVES, "row 5", "experiment_id")),
    Case("ctrp", "a line with two names", archive(LINES, "101\tTT", "100\tTT"), ("100", "'ccl_name'")),
    Case("ctrp", "a curve twice", archive(CURVES, "\n1\t16\t3\t18\t11", "\n1\t16\t3\t7.5\t10"), (CURVES, "row 3")),
    Case("pset", "experiments that do not fit", rds(rows=[f"other {i}" for i in range(5)]), ("profiles",)),
    Case("pset", "drugs that are text", slots(lambda s: s.update(treatment="none")), ("treatment",)),
    Case("pset", "an annotation without names", slots(lambda s: s.update(annotation=[np.zeros(1)])), ("annotation",)),
    Case("pset", "areas that are text", slots(lambda s: s["treatmentResponse"]["profiles"].columns.update(
        aac_recomputed=list("abcde"))), ("'aac_recomputed'",)),
    Case("pset", "columns of unequal lengths", slots(lambda s: s["treatmentResponse"]["profiles"].columns.update(
        aac_recomputed=np.zeros(4))), ("'aac_recomputed'", "4 values")),
    Case("pset", "an experiment twice", slots(lambda s: [s["treatmentResponse"][part].__dict__.update(
        rows=["experiment 1"] * 5) for part in ("info", "profiles")]), ("experiment 1",)),
    Case("pset", "a drug twice in the list of drugs", slots(lambda s: s["treatment"].__dict__.update(
        rows=["JQ1", "JQ1", "JQ2"])), ("treatment", "JQ1")),
    Case("pset", "an RNA-seq profile that is a matrix", slots(lambda s: s["molecularProfiles"].update(
        {test_psets.RNASEQ: Matrix(np.zeros((2, 2)))})), (test_psets.RNASEQ,)),
    Case("pdx", "a negative FPKM", cell("pdx", 1, 5, 2, -7.0), ("X-1004", "ERBB2", "-7")),
    Case("pdx", "a missing FPKM", cell("pdx", 1, 5, 3, None), ("X-1027", "ERBB2")),
    Case("pdx", "a gene twice", cell("pdx", 1, 5, 1, "TP53"), ("'TP53'", "twice")),
    Case("pdx", "a PDX twice", cell("pdx", 1, 1, 3, "X-1004"), ("'X-1004'", "twice")),
    Case("pdx", "a column without a name", cell("pdx", 1, 1, 3, None), ("'RNAseq_fpkm'",)),
    Case("pdx", "nothing but dates for genes", lambda f: test_xenografts.workbook(f, {**test_xenografts.content(),
        "RNAseq_fpkm": [["Sample", "X-1004"], ["1-Mar", 5], [pd.Timestamp("2015-03-01").to_pydatetime(), 5]]}),
         ("no gene",)),
    Case("pdx", "PDX as rows", lambda f: test_xenografts.workbook(f, {**test_xenografts.content(),
        "RNAseq_fpkm": [["PDX", "TP53", "RET"], ["X-1004", 5, 1]]}), ("'PDX'", "'Sample'")),
    Case("pdx", "no sheet of expression", without_sheet("RNAseq_fpkm"), ("'RNAseq_fpkm'",)),
    Case("pdx", "a chart for the sheet of expression", chart_sheet),
    Case("pdx", "no sheet of responses", without_sheet("PCT curve metrics"), ("'PCT curve metrics'",)),
    Case("pdx", "no tumour types", without_sheet("PCT raw data"), ("'PCT raw data'",)),
    Case("pdx", "a volume below nothing", cell("pdx", 3, 2, 5, -140), ("row 2", "'BestResponse'")),
    Case("pdx", "an arm twice", cell("pdx", 3, 6, 1, "X-1004"), ("row 6", "X-1004")),
    Case("pdx", "two tumour types of one PDX", cell("pdx", 2, 3, 2, "CM"), ("X-1004", "two tumour types")),
    Case("pdx", "one of the drugs is not there", cell("pdx", 3, 7, 2, "imatinib"), ("'Treatment'", "'Erlotinib'")),
    Case("models", "a line twice", swap("models", "ACH-000002", "ACH-000001"), ("'ACH-000001'",)),
    Case("models", "a line without ModelID", swap("models", "ACH-000002", ""), ("ModelID",)),
    Case("models", "another id", swap("models", "ACH-000002", "SIDM00002"), ("'SIDM00002'",)),
    Case("models", "a column twice", swap("models", "PatientID", "ModelID"), ("'ModelID'", "twice")),
    Case("models", "no lineage", swap("models", "OncotreeLineage", "Lineage"), ("'OncotreeLineage'",)),
    Case("expression", "a negative TPM", table("expression", lambda f: f.mask(f == f.iloc[1, 1], -1.0)),
         ("'ACH-000002'", "'RET'", "-1")),
    Case("expression", "an infinite value", table("expression", lambda f: f.mask(f == f.iloc[1, 1], np.inf)),
         ("'ACH-000002'", "'RET'", "inf")),
    Case("expression", "a missing value", table("expression", lambda f: f.mask(f == f.iloc[1, 1])),
         ("'ACH-000002'", "'RET'")),
    Case("expression", "TPM without logarithm", table("expression", lambda f: 2**f), ("log2(TPM + 1)",)),
    Case("expression", "nothing but zeros", table("expression", lambda f: f * 0), ("expression",)),
    Case("expression", "text in a number", table("expression", lambda f: f.astype(object).mask(
        f == f.iloc[1, 1], "high")), ("'RET (5979)'", "high")),
    Case("expression", "a decimal comma", table("expression", lambda f: f.astype(object).mask(
        f == f.iloc[1, 1], "3,5")), ("'RET (5979)'", "comma")),
    Case("expression", "a column twice", table("expression", lambda f: f.rename(columns={
        "RET (5979)": "TP53 (7157)"})), ("'TP53 (7157)'", "twice")),
    Case("expression", "a date for a gene", table("expression", renamed_gene("1-Mar")), ("'1-Mar (5979)' is a date",)),
    Case("expression", "a line twice", table("expression", lambda f: f.rename(index={"ACH-000002": "ACH-000001"})),
         ("'ACH-000001'",)),
    Case("expression", "names for ids", table("expression", lambda f: f.rename(index={"ACH-000002": "HeLa"})),
         ("'HeLa'",)),
    Case("expression", "no ids", table("expression", lambda f: f.reset_index(drop=True)), ("in the column of lines",)),
    Case("dependency", "an infinite value", table("dependency", lambda f: f.mask(f == f.iloc[1, 1], np.inf)),
         ("'ACH-000002'", "'RET'", "inf")),
    Case("effect", "an infinite value", table("effect", lambda f: f.mask(f == f.iloc[1, 1], -np.inf)),
         ("'ACH-000002'", "'RET'", "-inf")),
]  # fmt: skip


@each(SPECIFIC)
def test_what_goes_wrong_with_this_file(case: Case, tmp_path: Path) -> None:
    path = case.make(tmp_path)
    refused(lambda: READERS[case.kind](path), tmp_path, str(path), *case.says)


HARMLESS: dict[str, Change] = {
    "byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "line ends of Windows": lambda data: data.replace(b"\n", b"\r\n"),
    "no last line end": lambda data: data.rstrip(b"\n"),
}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("name", HARMLESS)
def test_what_editors_do_to_text_is_harmless(kind: str, name: str, tmp_path: Path) -> None:
    path = SOUND[kind](tmp_path)
    expected = READERS[kind](path)
    path.write_bytes(HARMLESS[name](path.read_bytes()))
    assert READERS[kind](path).equals(expected)


@pytest.mark.parametrize("kind", ARCHIVES)
def test_a_damaged_archive_is_refused_or_reads_the_same(kind: str, tmp_path: Path) -> None:
    """Some bytes carry no data (dates, comments): then nothing changes. Anything else is refused by name."""
    path = SOUND[kind](tmp_path)
    sound = path.read_bytes()
    unpacked = gzip.decompress(sound) if "pset" in kind else sound
    n_refused = 0
    for seed in range(60):
        data = damaged(unpacked, seed)
        path.write_bytes(gzip.compress(data, 1) if "pset" in kind else data)
        try:
            READERS[kind](path)
        except InputError as error:
            n_refused += 1
            assert str(path) in str(error) and str(error).isprintable(), str(error)
    assert n_refused > 20
