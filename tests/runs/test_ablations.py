"""The ablations: variants as data, what they may see, and their runner."""

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.base.metrics import spearman
from leaplib.cohorts.splits import Split, tuning_folds
from leaplib.models.lasso import PSLasso
from leaplib.profiles import get_profile
from leaplib.representation.pretraining import Representations
from leaplib.results.comparisons import split_values
from leaplib.runs import engine, features
from leaplib.runs.engine import TaskRun
from leaplib.runs.experiment import load_scores, load_variants, run, run_variants
from leaplib.runs.recipes import (
    CORRECTION,
    DAMAES,
    LAYER,
    NUMBER,
    OWN,
    REFERENCES,
    STEPS,
    TRAINING,
    TUNING,
    Recipe,
    additions_of,
    corrections_of,
    ensembles_of,
    not_run,
    resolve,
    steps,
    steps_of,
)
from leaplib.tasks import get_task
from tests.conftest import tiny

TINY = tiny(24, 12, 6, n_ablation_splits=1, n_test_sets=3, max_perturbations=5, n_identity_genes=30, n_averaged=4,
            simulated_lines=220, simulated_genes=150)  # fmt: skip
GENES, DRUGS, TISSUES = get_task("1a"), get_task("2a"), replace(get_task("4a"), n_tissues=2, min_samples_per_tissue=8)
ONE_SOURCE = [OWN]


@pytest.fixture(scope="module")
def scores(shared_home):
    """The nine steps with all three sources, and the regressors of supplementary table 5."""
    return run_variants(TINY, GENES, steps_of(TINY, GENES) + ensembles_of(TINY, GENES))


@pytest.fixture
def alone(monkeypatch):
    """Only the task's own source is at hand."""
    everything = features.origins_of
    monkeypatch.setattr(engine, "_runs", {})
    monkeypatch.setattr(features, "origins_of", lambda *a: everything(*a)[:1])


def value(scores, group, name):
    rows = scores[(scores["group"] == group) & (scores["variant"] == name) & (scores["perturbation"] == "")]
    return rows.query("level == 'per_perturbation' and metric == 'spearman'")["value"].mean()


@pytest.fixture(scope="module")
def setting(shared_home):
    """Sources, a split and a recipe that sees the training set alone."""
    run = TaskRun(TINY, GENES)
    return run.sources, run.ablation_splits[0], resolve(steps()[2], run.roles).seen()


def encode(setting, sources=None, **changes):
    known, split, recipe = setting
    return features.encode(sources or known, replace(recipe, **changes), split, 0, 60, "cpu", dict(TINY.damae))


# ---- variants


def test_each_step_changes_what_its_name_says_and_nothing_else():
    changed = [
        {field.name for field in fields(Recipe) if getattr(a, field.name) != getattr(b, field.name)} - {"name"}
        for a, b in pairwise(steps())
    ]
    assert changed == [{"model"}, {"genes"}, {"scaling"}, {"pretraining"}, *[{"scaling", "pretraining"}] * 2,
                       {"ensemble"}, {"n_representations"}]  # fmt: skip
    first, last = steps()[0], steps()[-1]
    assert (first.model, first.genes, first.scaling, first.pretraining, first.ensemble, first.n_representations) == (
        "PP-LGBM", "own", "training set", "training set", "refit", 1)  # fmt: skip
    assert (last.model, last.genes, last.scaling, last.pretraining, last.ensemble, last.n_representations) == (
        "PS-LASSO", "all", "third", "third", "folds", None)  # fmt: skip


def test_a_choice_of_genes_is_left_where_the_simulated_cohort_has_few(monkeypatch):
    assert steps_of(TINY, GENES)[0].n_genes is None
    assert steps_of(replace(TINY, n_genes=150), GENES)[0].n_genes == 75
    assert steps_of(replace(get_profile("demo")), DRUGS)[0].n_genes is None  # real


def test_a_variant_with_an_unknown_setting_is_refused():
    with pytest.raises(InputError, match="scaling 'test set' is unknown: use one of training set, own, second, third"):
        Recipe("g", "v", scaling="test set")


NAMES = {"own": "GDSC", "second": "DepMap", "third": "PDX Encyclopedia"}


@pytest.mark.parametrize(
    ("present", "left_out"),
    [
        (("own", "second", "third"), {}),
        (("own",), {3: "DepMap and PDX Encyclopedia", 6: "DepMap", 7: "DepMap and PDX Encyclopedia"}),
        (("own", "third"), {6: "DepMap"}),
        (("own", "second"), {7: "PDX Encyclopedia"}),
    ],
)
def test_steps_whose_source_is_absent_are_not_run(present, left_out):
    found = not_run(steps(), NAMES, present)
    numbers = dict(enumerate(steps(), start=1))
    assert found == {numbers[k]: f"not run: {absent} not at hand" for k, absent in left_out.items()}


def test_a_variant_is_brought_down_to_the_sources_at_hand():
    last = resolve(steps()[-1], ["own"])
    assert (last.genes, last.scaling, last.pretraining) == (OWN, OWN, OWN)
    assert resolve(steps()[0], ["own"]).scaling == TRAINING
    assert resolve(steps()[6], ["own", "second"]).scaling == "second"
    assert resolve(corrections_of(TINY, GENES)[2], ["own"]).correction == "together"


# ---- what is seen


def test_sources_are_those_of_the_same_kind_of_data(shared_home):
    names = [source.name for source in features.sources_of(TINY, GENES)]
    assert names == ["DepMap", "GDSC", "PDX Encyclopedia"]
    assert [source.name for source in features.sources_of(TINY, DRUGS)] == ["GDSC", "DepMap", "PDX Encyclopedia"]
    with pytest.raises(InputError, match="no ablations for its pool 'xenografts'"):
        features.sources_of(TINY, get_task("5a"))


def test_real_data_are_not_joined_with_simulated_ones(monkeypatch, shared_home):
    real = {("dependencies-22q4", False): "real"}
    monkeypatch.setattr(features, "data_kind", lambda profile, name: real.get((name, profile.simulated), "simulated"))
    found = features.sources_of(replace(TINY, simulated=False), get_task("1b"))
    assert [source.name for source in found] == ["DepMap"]


def test_joined_sources_share_genes_and_no_sample_name(setting):
    sources, split, recipe = setting
    table, domain = features.joined(sources)
    assert table.index.is_unique
    assert domain.value_counts().to_dict() == {source.role: len(source.expression) for source in sources}
    assert table.index[-1] == f"PDX Encyclopedia: {sources[2].expression.index[-1]}"
    np.testing.assert_allclose(table.mean(axis=1), 0, atol=1e-5)  # GDSC is z-scored, so all are
    alone, _ = features.joined(sources[:1])
    pd.testing.assert_frame_equal(alone, sources[0].expression, check_names=False)
    sizes = {scope: len(features.seen(table, domain, scope, split)) for scope in (TRAINING, OWN, "second", "third")}
    lengths = np.cumsum([len(source.expression) for source in sources])
    assert sizes == {TRAINING: len(split.train), OWN: lengths[0], "second": lengths[1], "third": lengths[2]}
    assert [source.role for source in features.within(sources, recipe)] == ["own"]
    assert len(features.within(sources, replace(recipe, pretraining="second"))) == 2


def absurd(sources, samples):
    """Sources whose expression of some samples is absurd, in whichever source they occur."""
    rng = np.random.default_rng(0)
    spoilt = []
    for source in sources:
        expression = source.expression.copy()
        rows = expression.index[source.line.isin(samples)]
        expression.loc[rows] = 1e3 * rng.random((len(rows), expression.shape[1]), dtype=np.float32)
        spoilt.append(replace(source, expression=expression))
    return spoilt


def test_a_line_is_known_by_its_depmap_id_where_it_has_one():
    names = pd.Index(["A549", "HeLa", "new"], name="line")
    samples = pd.DataFrame({"depmap_id": ["ACH-2", None]}, index=["HeLa", "A549"])
    assert features.lines_of(names, samples).to_dict() == {"A549": "A549", "HeLa": "ACH-2", "new": "new"}
    assert features.lines_of(names, samples.drop(columns="depmap_id")).tolist() == ["A549", "HeLa", "new"]


def other_names(sources):
    """The second source with names of its own for the lines that it shares with the first."""
    second = sources[1]
    names = pd.Index([f"ACH-{i:06d}" for i in range(len(second.expression))])
    renamed = replace(second, expression=second.expression.set_axis(names), line=second.line.set_axis(names))
    return [sources[0], renamed, *sources[2:]]


def test_a_test_line_of_another_name_chooses_no_genes_either(setting):
    sources, split, recipe = setting
    sources = other_names(sources)
    genes = [features.choose_genes(s, recipe, 60, split) for s in (sources, absurd(sources, split.test))]
    assert genes[0].equals(genes[1])
    shown = replace(recipe, scaling=OWN)
    genes = [features.choose_genes(s, shown, 60, split) for s in (sources, absurd(sources, split.test))]
    assert not genes[0].equals(genes[1])


@pytest.mark.parametrize("genes", ["own", "all"])
def test_test_expression_changes_nothing_that_is_inductive(setting, genes):
    """Genes, scaler and autoencoder know the training set alone: the codes of training samples keep every bit."""
    sources, split, _ = setting
    spoilt = absurd(sources, split.test)
    before, after = encode(setting, genes=genes), encode(setting, spoilt, genes=genes)
    pd.testing.assert_frame_equal(before.loc[split.train], after.loc[split.train], check_exact=True)
    assert not np.allclose(before.loc[split.test], after.loc[split.test])
    # The same alteration does reach what is not inductive, by each of the three ways.
    for change in ({"scaling": OWN}, {"pretraining": OWN}):
        before, after = encode(setting, genes=genes, **change), encode(setting, spoilt, genes=genes, **change)
        assert not np.allclose(before.loc[split.train], after.loc[split.train])


def test_the_guard_refuses_test_samples(setting):
    sources, split, recipe = setting
    table, domain = features.joined(sources[:1])
    leaky = Split("leaky", split.train, split.test, split.folds)
    object.__setattr__(leaky, "train", split.train.append(split.test[:2]))
    with pytest.raises(InputError, match=rf"test sample '{split.test[0]}' is among those .*\(2 such\)"):
        features.seen(table, domain, TRAINING, leaky)
    with pytest.raises(InputError, match="though the variant is inductive"):
        features.choose_genes(sources, recipe, 60, leaky)
    assert len(features.seen(table, domain, OWN, leaky)) == len(table)


def test_codes_are_those_of_leaps_representations_where_settings_coincide(setting):
    sources, *_ = setting
    own = sources[0].expression
    expected = Representations.fit(own, [0], 60, "cpu", **dict(TINY.damae)).transform(own)[0]
    found = encode(setting, sources[:1], genes=OWN, scaling=OWN, pretraining=OWN)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    before = encode(setting, scaling="third", pretraining="third")
    for how in ("per domain", "combat"):  # a batch correction acts on the joined sources
        after = encode(setting, scaling="third", pretraining="third", correction=how)
        assert after.index.equals(before.index) and not np.allclose(before, after)


# ---- the runner


def test_all_steps_run_with_three_sources_and_differ(scores):
    values = [value(scores, "steps", step.name) for step in steps()]
    assert set(scores["note"]) == {""}
    assert len(set(np.round(values, 10))) == 9
    assert values[-1] > values[0]
    assert scores["split"].unique().tolist() == ["holdout-0"]  # n_ablation_splits = 1
    assert set(scores["data"]) == {"simulated"}
    assert scores.query("group == 'steps'").groupby("variant", sort=False)["model"].first().tolist() == [
        "PP-LGBM", *["PS-LASSO"] * 7, "LEAP"]  # fmt: skip


def test_regressors_on_one_representation_are_averaged_over_cross_validations(scores):
    assert value(scores, "ensembles", "LEAP") == value(scores, "steps", steps()[-1].name)
    five = value(scores, "ensembles", "5 models on one representation")
    assert five == value(scores, "steps", "mean of the 5 fold models")
    run = TaskRun(TINY, GENES)
    variant, split = resolve(ensembles_of(TINY, GENES)[1], run.roles), run.splits[0]
    codes, labels = run.codes(variant.parts(run.n)[0], split), run.cohort.response
    found = [
        PSLasso().fit(codes.loc[split.train], labels.loc[split.train], folds).predict(codes.loc[split.test]).to_numpy()
        for folds in (split.folds, *(tuning_folds(split.train, 1000 * repeat) for repeat in (1, 2, 3, 4)))
    ]
    truth = labels.loc[split.test].to_numpy()
    expected = np.nanmean(spearman(truth, np.mean(found, axis=0)))
    assert value(scores, "ensembles", "25 models on one representation") == pytest.approx(expected, abs=1e-6)


def test_with_one_source_the_last_steps_are_ps_lasso_and_leap(shared_home, alone):
    found = run_variants(TINY, DRUGS, steps_of(TINY, DRUGS))
    names = [step.name for step in steps()]
    notes = found.drop_duplicates("variant").set_index("variant")["note"]
    assert notes.index.tolist() == names
    assert [names.index(name) + 1 for name in notes.index[notes != ""]] == [3, 6, 7]
    assert notes[names[5]] == "not run: DepMap not at hand"
    assert found.loc[found["note"] != "", "value"].isna().all()
    run(TINY, [DRUGS], ["ps-lasso", "leap"])
    ordinary = split_values(load_scores(TINY, ["2a"]), "per_perturbation", "spearman").query("split == 'holdout-0'")
    ordinary = ordinary[ordinary["member"] <= 0].set_index("model")["value"]
    assert value(found, "steps", names[-1]) == pytest.approx(ordinary["LEAP"], abs=1e-9)
    assert value(found, "steps", names[-2]) == pytest.approx(ordinary["PS-LASSO"], abs=1e-9)
    assert value(found, "steps", names[4]) != ordinary["PS-LASSO"]  # refit instead of the fold models


def test_what_the_tasks_own_run_predicted_is_not_computed_again(tmp_path, monkeypatch, alone):
    monkeypatch.setenv("LEAP_HOME", str(tmp_path))
    run(TINY, [DRUGS], ["leap"])
    monkeypatch.setattr(TaskRun, "_fit", None)
    found = run_variants(TINY, DRUGS, steps_of(TINY, DRUGS)[-1:])
    assert found["value"].notna().all() and set(found["note"]) == {""}


def test_refit_and_fold_models_predict_from_the_same_representation(shared_home, alone):
    run = TaskRun(TINY, DRUGS)
    refit, folds = (resolve(step, run.roles) for step in (steps()[4], steps()[7]))
    split = run.splits[0]
    codes, labels = run.embedding.codes[0], run.cohort.response.loc[split.train]
    for variant, ensemble in ((refit, "refit"), (folds, "folds")):
        model = PSLasso(ensemble=ensemble).fit(codes.loc[split.train], labels, split.folds)
        expected = model.predict(codes.loc[split.test])
        (part,) = variant.parts(run.n)
        np.testing.assert_allclose(run.result(split, part), expected, rtol=1e-5, atol=1e-6)


def test_additions_run_and_share_what_is_equal(shared_home, alone):
    found = run_variants(TINY, DRUGS, additions_of(TINY) + corrections_of(TINY, DRUGS))
    damae = value(found, "Representation", "DAMAE")
    for group, name in REFERENCES.items():
        assert (value(found, group, name) == damae) == (group != LAYER)
    assert value(found, LAYER, DAMAES) == value(found, NUMBER, str(TINY.n_representations))
    one_seed = found[~found["group"].isin([NUMBER, CORRECTION, LAYER])].query("perturbation == '' and note == ''")
    one_seed = one_seed.query("level == 'per_perturbation' and metric == 'spearman'").set_index("variant")["value"]
    assert len(set(np.round(one_seed, 10))) == len(one_seed) - 3  # DAMAE is there four times
    assert "expression as it is, 30 genes" in one_seed.index
    notes = found.loc[found["note"] != "", ["variant", "note"]].to_numpy().tolist()
    missing = "not run: DepMap and PDX Encyclopedia not at hand"
    assert notes == [["each source standardised", missing], ["ComBat", missing]]


def test_number_of_damaes_averages_the_first_members(shared_home, alone):
    found = run_variants(TINY, DRUGS, additions_of(TINY)[-4:])
    run = TaskRun(TINY, DRUGS)
    variant, split = resolve(additions_of(TINY)[-1], run.roles), run.splits[0]
    members = [run.result(split, part).to_numpy() for part in variant.parts(run.n)]
    truth = run.cohort.response.loc[split.test].to_numpy()
    for n in (1, 2, 4):
        expected = np.nanmean(spearman(truth, np.mean(members[:n], axis=0)))
        assert value(found, NUMBER, str(n)) == pytest.approx(expected, abs=1e-6)


def test_tuning_folds_are_plain_grouped_or_one_a_tissue(shared_home):
    found = run_variants(TINY, TISSUES, TUNING)
    own = TaskRun(TINY, TISSUES)
    split, tissue = own.splits[0], own.cohort.samples["tissue"]
    assert found["split"].unique().tolist() == [split.name for split in own.splits]
    plain, grouped, single = (own.folds(variant, split) for variant in TUNING)
    assert tissue.loc[split.train].groupby(plain).nunique().min() > 1
    assert grouped.equals(split.folds)
    per_fold = tissue.loc[split.train].groupby(single)
    assert (per_fold.nunique() == 1).all()
    assert per_fold.ngroups == tissue.loc[split.train].nunique() > 5
    run(TINY, [TISSUES], ["leap"])
    leap = split_values(load_scores(TINY, ["4a"]), "per_perturbation", "spearman").query("model == 'LEAP'")["value"]
    assert value(found, "tuning", "5-fold grouped by tissue") == pytest.approx(leap.mean())
    assert len({round(value(found, "tuning", variant.name), 10) for variant in TUNING}) == 3


def test_two_variants_of_one_name_are_refused(shared_home):
    with pytest.raises(InputError, match="two variants of group 'steps' have the name 'PP-LGBM'"):
        run_variants(TINY, GENES, [*steps(), steps()[0]])


def test_saved_variants_are_loaded_without_computing_and_a_forced_run_computes_all(scores, monkeypatch):
    variants = steps_of(TINY, GENES) + ensembles_of(TINY, GENES)
    made, encode_one = [], engine.features.encode
    with monkeypatch.context() as patch:
        for name in ("encode", "pool_of", "screen_of", "xenograft_screen"):  # no expression is read, and no screen
            patch.setattr(features, name, None)
        patch.setattr(engine, "score_split", None)
        patch.setattr(TaskRun, "predict", None)
        patch.setattr(TaskRun, "embedding", None)
        pd.testing.assert_frame_equal(run_variants(TINY, GENES, variants), scores)
    monkeypatch.setattr(features, "encode", lambda *a: made.append(1) or encode_one(*a))
    rows = scores[(scores["group"] == STEPS) & (scores["variant"] == variants[4].name)].reset_index(drop=True)
    pd.testing.assert_frame_equal(run_variants(TINY, GENES, variants[4:5], force=True), rows)
    assert made == [1]


def test_variants_without_saved_scores_say_so(scores, alone):
    steps = steps_of(TINY, GENES)
    wider = replace(TINY, n_ablation_splits=2)  # its second split was not run
    assert load_variants(wider, GENES, steps[:2])["split"].unique().tolist() == ["holdout-0"]
    other = replace(steps[1], name="other", n_genes=17)
    notes = load_variants(TINY, GENES, [*steps[1:3], other]).groupby("variant")["note"].first()
    assert notes[[steps[1].name, "other"]].tolist() == ["", "not run yet"]
    assert notes[steps[2].name].startswith("not run: ")  # its sources are not at hand
    command = "run `leap run --profile smoke --notebooks 06`"
    with pytest.raises(InputError, match=f"of task 1a are of other data, settings or version: {command}"):
        load_variants(TINY, GENES, [other])
    with pytest.raises(InputError, match=f"the ablations of task 1b were not run: {command}"):
        load_variants(TINY, get_task("1b"), steps)
