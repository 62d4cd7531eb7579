from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.cohorts.prepare import describe_lost
from leaplib.cohorts.selection import (
    first_study,
    median_of_repeats,
    pca_outliers,
    prepare_dependencies,
    prepare_drugs,
    prepare_external,
    prepare_xenografts,
)
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


def test_an_outlier_of_the_drug_screen_is_left_out(simulation):
    screen, task = simulation.drugs, get_task("2a")
    line = prepare_drugs(screen, task)[0].response.index[3]
    expression = screen.expression.copy()
    expression.loc[line] *= 30
    cohort, _ = prepare_drugs(replace(screen, expression=expression), task)
    assert line not in cohort.response.index


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
    assert "PRISM" in set(flow["branch"])
    screen = simulation.drugs
    silent = replace(screen, responses=screen.responses.assign(
        aac=screen.responses["aac"].where(screen.responses["study"] != "PRISM", 0.5)))  # fmt: skip
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
    with pytest.raises(InputError, match=r"none of its studies \(PRISM 2\) is at hand: the data are of CCLE, CTRP"):
        prepare_drugs(simulation.drugs, replace(get_task("2a"), studies=("PRISM 2",)))
    with pytest.raises(InputError, match="SD of the gene dependency above 9"):
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


@pytest.mark.parametrize(("task", "there", "studies", "external"), [
    ("2a", ["GDSC v1", "CCLE", "PRISM", "CTRP"], ("GDSC v1", "CCLE", "CTRP"), ("PRISM",)),  # as in the paper
    ("2a", ["CCLE", "GDSC v1", "GDSC v2"], ("GDSC v2", "GDSC v1"), ("CCLE",)),
    ("4a", ["CTRP", "CCLE", "GDSC v2"], ("GDSC v2",), ("CCLE", "CTRP")),
    ("4b", ["CCLE", "GDSC v1", "PRISM", "GDSC v2"], ("GDSC v1",), ("PRISM", "CCLE")),
    ("5a", ["CCLE", "GDSC v1", "CTRP"], ("GDSC v1", "CCLE", "CTRP"), ()),
])  # fmt: skip
def test_studies_are_trained_on_or_held_out_by_what_is_there(task, there, studies, external):
    found = get_task(task).with_studies(there)
    assert (found.studies, found.external) == (studies, external)
    assert get_task(task).held_out(there) == external and not set(studies) & set(external)


def test_external_responses_are_those_of_drugs_in_enough_common_lines(simulation):
    screen, task = simulation.drugs, get_task("2a")
    cohort, _ = prepare_drugs(screen, task)
    external, flow = prepare_external(screen, task, cohort)
    records = median_of_repeats(screen.responses.query("study == 'PRISM'"))
    wide = records.pivot(index="line", columns="drug", values="aac")
    common = wide.loc[wide.index.isin(cohort.response.index), wide.columns.isin(cohort.response.columns)]
    found = external.pivot(index="line", columns="drug", values="response")
    expected = common[common.columns[common.notna().sum() >= 15]].dropna(how="all")
    pd.testing.assert_frame_equal(found, expected, check_names=False)
    assert set(flow["branch"]) == {"PRISM"} and flow["pairs"].is_monotonic_decreasing
    few = common["drug-13"].dropna().index[:14]
    here = (screen.responses["study"] == "PRISM") & (screen.responses["drug"] == "drug-13")
    rare = screen.responses[~here | screen.responses["line"].isin(few)]
    fewer = prepare_external(replace(screen, responses=rare), task, cohort)[0]
    assert "drug-13" in set(external["drug"]) and "drug-13" not in set(fewer["drug"])
    alone, _ = prepare_external(replace(screen, responses=rare.query("study == 'GDSC v1'")), task, cohort)
    assert alone.empty
    several, flow = prepare_external(
        replace(screen, responses=screen.responses.query("study != 'PRISM'")), task, cohort
    )
    assert set(several["study"]) == set(flow["branch"]) == {"CCLE", "CTRP"}
    low = prepare_external(screen, get_task("4b"), cohort)[0].query("study == 'PRISM'").set_index(["line", "drug"])
    high = external.set_index(["line", "drug"])["response"]
    np.testing.assert_allclose(low["response"], 1 - high[low.index])  # in the unit of the task's label


def test_genes_are_ranked_by_spread_or_by_standard_score(simulation):
    screen = simulation.effects
    by_spread, _ = prepare_dependencies(screen, replace(get_task("3b"), n_perturbations=7, ranking="sd"))
    by_score, flow = prepare_dependencies(screen, replace(get_task("3b"), n_perturbations=7))
    everything = prepare_dependencies(screen, replace(get_task("3b"), n_perturbations=0))[0].response
    assert set(by_spread.response) == set(everything.std().nlargest(7).index)
    standard = ((everything - everything.mean()) / everything.std()).abs().max()
    assert set(by_score.response) == set(standard.nlargest(7).index)
    assert flow["perturbations"].iloc[-1] == 7 and "standard score" in flow["step"].iloc[-1]
    assert list(by_score.response) == [gene for gene in everything if gene in by_score.response]


def test_xenografts_join_cell_lines_on_common_genes_and_drugs(simulation):
    task = get_task("5a")
    cohort, flow = prepare_xenografts(simulation.drugs, simulation.xenografts, task)
    model = cohort.samples["disease_model"]
    assert list(cohort.response) == list(task.drugs)
    tumours = model.index[model == "xenograft"]
    given = simulation.xenografts.response
    expected = given[given.notna().any(axis=1)]
    pd.testing.assert_frame_equal(cohort.response.loc[tumours], expected, check_names=False)
    lines = cohort.response.loc[model.index[model == "cell line"]]
    assert lines.min().min() >= 0 and lines.max().max() <= 1
    np.testing.assert_allclose(cohort.expression.mean(axis=1), 0, atol=1e-4)  # z-scored over the common genes
    assert flow.query("branch == 'PDX Encyclopedia'")["samples"].iloc[-1] == len(tumours)


def test_an_antibody_has_an_empty_fingerprint_and_stays(simulation):
    screen = replace(simulation.drugs, smiles=simulation.drugs.smiles.drop("Cetuximab"))
    cohort, _ = prepare_xenografts(screen, simulation.xenografts, get_task("5a"))
    assert not cohort.fingerprints.loc["Cetuximab"].any() and cohort.fingerprints.loc["Erlotinib"].any()


def test_drugs_of_the_xenografts_are_found_under_other_spellings(simulation):
    responses = simulation.drugs.responses.replace({"drug": {"Erlotinib": "erlotinib hydrochloride"}})
    screen = replace(simulation.drugs, responses=responses)
    cohort, _ = prepare_xenografts(screen, simulation.xenografts, get_task("5a"))
    assert "Erlotinib" in cohort.response and cohort.response["Erlotinib"].notna().sum() > 50


def test_xenografts_without_a_common_drug_or_gene_are_refused(simulation):
    task, pdx = get_task("5a"), simulation.xenografts
    with pytest.raises(InputError, match="no study tested any of Nothing"):
        prepare_xenografts(simulation.drugs, pdx, replace(task, drugs=("Nothing",)))
    other = replace(pdx, expression=pdx.expression.add_prefix("ENSG"))
    with pytest.raises(InputError, match="no gene in common"):
        prepare_xenografts(simulation.drugs, other, task)
