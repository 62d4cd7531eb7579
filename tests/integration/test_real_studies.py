"""Drug studies on real measurements in their providers' form: CTRP beside GDSC and CCLE."""

from dataclasses import replace

import pandas as pd
import pytest
from scipy.stats import spearmanr

from leaplib.cohorts import prepare as data
from leaplib.profiles import get_profile
from leaplib.results import external
from leaplib.sources import manifest
from leaplib.tasks import get_task

from . import providers

SMALL = replace(get_profile("paper"), name="small", n_splits=2, max_perturbations=20)


@pytest.fixture(scope="module", autouse=True)
def ctrp(real_home):
    providers.write_ctrp(manifest.get_source("ctrp-v2").target)


def test_ctrp_joins_gdsc_by_name_and_ccle_validates():
    task = replace(get_task("2a"), external=("CCLE",))  # by default CTRP is held out too
    cohort, flow = data.load_cohort(SMALL, task)
    held_out = data.load_external(SMALL, task)["CCLE"]
    union = flow.query("step == 'drugs in at least 75 lines'").iloc[0]
    assert (union["samples"], union["perturbations"]) == (956, 751)
    assert set(flow["branch"]) == {"GDSC v2", "GDSC v1", "CTRP", "CCLE", "all"}
    assert held_out.shape[1] >= 5 and held_out.index.isin(cohort.samples.index).all()
    table = external.reproducibility(SMALL, task).set_index("perturbation")
    assert table["spearman"].mean() > 0.3
    for drug in table.index:
        both = pd.concat([held_out[drug], cohort.response[drug]], axis=1, join="inner").dropna()
        assert table.loc[drug, "spearman"] == pytest.approx(spearmanr(*both.to_numpy().T)[0])


def test_rna_seq_takes_the_place_of_the_microarray_once_depmap_is_there_too():
    providers.write_effects(genes=500)
    providers.write_ctrp(manifest.get_source("ctrp-v2").target, drugs=20)
    cohort, _ = data.load_cohort(SMALL, get_task("2a"))
    assert (cohort.unit, cohort.platform) == ("log2(TPM+1)", "RNA-seq (DepMap 23Q4)")
    assert cohort.expression.shape == (len(cohort.samples), 500)
    line, gene = cohort.samples.index[0], cohort.expression.columns[0]
    rna = pd.read_parquet(providers.RNA_SEQ, columns=[gene])
    model_id = cohort.samples.loc[line, "depmap_id"]
    assert cohort.expression.loc[line, gene] == pytest.approx(rna.loc[model_id, gene], rel=1e-3)
