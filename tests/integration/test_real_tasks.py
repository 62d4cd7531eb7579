"""Tasks on real measurements in their providers' form: xenografts and RNAi gene effects; in small."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from leaplib.cohorts import prepare as data
from leaplib.cohorts.splits import make_splits
from leaplib.profiles import get_profile
from leaplib.results import tables
from leaplib.runs.experiment import run
from leaplib.sources import manifest
from leaplib.tasks import get_task

from . import providers

SMALL = replace(
    get_profile("paper"), name="small", n_splits=2, n_shuffled=1, n_test_sets=5, max_perturbations=20, n_genes=200,
    n_representations=2,
    damae={"n_hidden": 32, "n_components": 32, "learning_rate": 1e-3, "batch_size": 256, "max_epochs": 5},
)  # fmt: skip
MODELS = ["ps-knn", "ps-lasso", "leap"]


@pytest.fixture(scope="module")
def pdx(real_home):
    providers.write_pdx(manifest.get_source("pdxe").target)
    return run(SMALL, ["5a"], MODELS)


def test_xenografts_of_the_encyclopedia_meet_gdsc(pdx):
    cohort, flow = data.load_cohort(SMALL, get_task("5a"))
    model = cohort.samples["disease_model"]
    counts = cohort.response[model == "xenograft"].notna().sum()
    assert counts.to_dict() == {"Cetuximab": 66, "Erlotinib": 25, "Tamoxifen": 38, "Trametinib": 35, "Paclitaxel": 62}
    assert cohort.expression.shape[1] == 269 and cohort.data == "real"
    assert (cohort.response[model == "cell line"].notna().sum() > 800).all()
    assert flow["pairs"].iloc[-1] == 226
    published = pd.read_csv(providers.PDX_RESPONSE, sep="\t").query("Treatment == 'erlotinib'").set_index("Model")
    treated = cohort.response.loc[model == "xenograft", "Erlotinib"].dropna()
    np.testing.assert_allclose(treated, -published.loc[treated.index, "BestResponse"].astype(float))


def test_every_output_on_xenografts_says_real_and_shows_the_controls(pdx):
    assert set(pdx["data"]) == {"real"}
    table = tables.supplementary_table_7(pdx)
    means = {"Training mean", "Tissue mean", "Mean effects"}
    expected = {"PS-KNN", "PS-LASSO", "LEAP", "LEAP (shuffled labels)", *means}
    assert set(table["model"]) == expected and (table["n_splits"] == 10).all()
    # Erlotinib was given to lung tumours alone, so that their mean says nothing.
    erlotinib = table.query("drug == 'Erlotinib' and metric == 'spearman'").set_index("model")["mean"]
    assert erlotinib["Tissue mean"] == 0 and erlotinib["LEAP"] != 0


@pytest.fixture(scope="module")
def effects(real_home):
    providers.write_effects(genes=600)
    task = replace(get_task("3b"), design="holdout", n_perturbations=20)
    return task, run(SMALL, [task], MODELS)


def test_gene_effects_of_demeter2_are_read_through_depmap_s_files(effects):
    task, scores = effects
    cohort, flow = data.load_cohort(SMALL, task)
    assert set(scores["data"]) == {"real"} and cohort.data == "real" and cohort.label == "gene effect"
    assert flow["step"].tolist()[:2] == ["screened lines", "with expression"] and len(cohort.samples) == 115
    gene = cohort.response.columns[0]
    raw = pd.read_parquet(providers.DEMETER2, columns=["ModelID", gene]).dropna(subset="ModelID").set_index("ModelID")
    np.testing.assert_allclose(cohort.response[gene], raw.loc[cohort.response.index, gene], rtol=1e-3)
    assert cohort.samples["tissue"].notna().all()


def test_unseen_tissues_of_the_gene_effects_are_those_that_are_large_enough(effects):
    cohort = data.load_cohort(SMALL, effects[0])[0]
    splits = make_splits(cohort, replace(get_task("3b"), min_tissue=13), 2, 5)
    counts = cohort.samples["tissue"].value_counts()
    assert {split.name for split in splits} == set(counts.index[counts >= 13])
