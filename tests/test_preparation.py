from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from leaplib.data import describe_lost
from leaplib.errors import InputError
from leaplib.preparation import first_study, median_of_repeats, pca_outliers, prepare_dependencies, prepare_drugs
from leaplib.tasks import get_task


def record(line, drug, study, aac):
    return {"line": line, "drug": drug, "study": study, "aac": aac}


def test_repeats_become_their_median_within_a_study_only():
    records = pd.DataFrame([record("a", "x", "S1", v) for v in (0.1, 0.2, 0.9)] + [record("a", "x", "S2", 0.7)])
    merged = median_of_repeats(records)
    assert merged.set_index("study")["aac"].to_dict() == {"S1": 0.2, "S2": 0.7}


def test_the_first_study_wins_whatever_the_order_of_records():
    records = pd.DataFrame(
        [record("a", "x", "late", 0.1), record("a", "x", "early", 0.5), record("b", "x", "late", 0.3)]
    )
    for order in ([0, 1, 2], [2, 1, 0]):
        chosen = first_study(records.iloc[order], ("early", "late")).set_index("line")
        assert chosen["aac"].to_dict() == {"a": 0.5, "b": 0.3}


def test_the_two_outliers_and_no_others_are_found(simulation):
    rna = simulation.dependencies.expression
    assert set(pca_outliers(rna)) == set(rna.index[-2:])
    assert len(pca_outliers(rna.iloc[:-2])) == 0


def test_every_drug_rule_is_applied_and_counted(simulation):
    screen, task = simulation.drugs, get_task("2a")
    cohort, flow = prepare_drugs(screen, task)
    lines = cohort.samples.index
    assert lines.isin(screen.expression.index).all()
    assert cohort.samples["tissue"].notna().all()
    assert not set(lines) & set(pca_outliers(screen.expression))
    assert (cohort.response.notna().sum() >= 75).all()
    assert cohort.response.columns.isin(screen.smiles.index).all()
    assert list(cohort.fingerprints.index) == list(cohort.response.columns)
    last = flow.iloc[-1]
    assert (last["samples"], last["perturbations"], last["pairs"]) == (*cohort.response.shape, cohort.n_pairs)
    for _, steps in flow[flow["branch"] != "all"].groupby("branch"):
        assert (steps["pairs"].diff().dropna() <= 0).all()
        assert steps["pairs"].iloc[-1] < steps["pairs"].iloc[0]


def test_values_follow_priority_and_median(simulation):
    """One value of the cohort, worked out by hand from the records."""
    cohort, _ = prepare_drugs(simulation.drugs, get_task("2a"))
    records = simulation.drugs.responses
    for line, drug in [
        (cohort.response.index[0], cohort.response.columns[0]),
        (cohort.response.index[50], cohort.response.columns[7]),
    ]:
        pair = records[(records["line"] == line) & (records["drug"] == drug)]
        for study in ("GDSC v2", "GDSC v1"):
            values = pair.loc[pair["study"] == study, "aac"]
            if len(values):
                break
        expected = values.median() if len(values) else np.nan
        np.testing.assert_allclose(cohort.response.loc[line, drug], expected)


def test_the_external_study_is_counted_but_not_used(simulation):
    task = get_task("2a")
    cohort, flow = prepare_drugs(simulation.drugs, task)
    assert "CCLE" in set(flow["branch"])
    screen = simulation.drugs
    silent = replace(screen, responses=screen.responses.assign(
        aac=screen.responses["aac"].where(screen.responses["study"] != "CCLE", 0.5)))  # fmt: skip
    pd.testing.assert_frame_equal(prepare_drugs(silent, task)[0].response, cohort.response)


def test_auc_is_the_complement_of_aac_and_each_tissue_is_large_enough(simulation):
    task = replace(get_task("4b"), n_tissues=5, min_samples_per_tissue=10)
    cohort, _ = prepare_drugs(simulation.drugs, task)
    records = median_of_repeats(simulation.drugs.responses).query("study == 'GDSC v1'")
    aac = records.set_index(["line", "drug"])["aac"]
    line, drug = cohort.response.stack().index[0]
    np.testing.assert_allclose(cohort.response.loc[line, drug], 1 - aac[(line, drug)])
    counts = cohort.response.notna().groupby(cohort.samples["tissue"]).sum()
    top = cohort.samples["tissue"].value_counts().index[:5]
    assert (counts.loc[top] >= 10).all(axis=None)


def test_dependencies_need_variation(simulation):
    cohort, flow = prepare_dependencies(simulation.dependencies, get_task("1a"))
    assert (cohort.response.std() > 0.21).all()
    assert flow["perturbations"].iloc[-1] < flow["perturbations"].iloc[0]
    assert flow["samples"].is_monotonic_decreasing
    assert flow["samples"].nunique() == 4  # without expression, without tissue and outliers each remove some


def test_impossible_rules_are_named(simulation):
    with pytest.raises(InputError, match="at least 9999 lines"):
        prepare_drugs(simulation.drugs, replace(get_task("2a"), min_samples=9999))
    with pytest.raises(InputError, match="study 'PRISM' has no responses"):
        prepare_drugs(simulation.drugs, replace(get_task("2a"), studies=("PRISM",)))
    with pytest.raises(InputError, match="SD of the dependency"):
        prepare_dependencies(simulation.dependencies, replace(get_task("1a"), min_sd=9.0))


def test_what_is_lost_is_listed_by_name():
    lost = pd.DataFrame({
        "study": ["S1", "S1", "S2"], "what": ["line", "line", "drug"], "raw": ["beta", "Alpha", "X-1"],
        "reason": ["no expression", "no expression", "no structure"],
    })  # fmt: skip
    assert describe_lost(lost) == (
        "- **S1**, 2 lines, no expression: Alpha, beta.\n- **S2**, 1 drug, no structure: X-1."
    )
    assert "Every cell line" in describe_lost(lost.iloc[:0])
