"""A rehearsal: what is said of held-out lines follows from the file of predictions and from labels not seen."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from leaplib import profiles
from leaplib.base.layout import Layout
from leaplib.cohorts.prepare import cohort, splits
from leaplib.samples import rehearsal
from leaplib.samples.own_samples import OwnModel


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEAP_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("LEAP_DATA", raising=False)
        tiny = replace(
            profiles.get_profile("smoke"), name="tiny", n_representations=1, n_genes=60, max_perturbations=4,
            simulated_lines=220, simulated_genes=120,
            damae={"n_hidden": 16, "n_components": 8, "learning_rate": 1e-3, "batch_size": 64, "max_epochs": 4},
        )  # fmt: skip
        patch.setitem(profiles.PROFILES, "tiny", tiny)
        yield rehearsal.rehearse("tiny", n_unseen=1, device="cpu")


def test_the_model_learnt_from_no_held_out_line(played):
    split = splits("tiny", "2a")[0]
    assert list(played.new.index) == list(split.test) and list(played.training) == list(split.train)
    assert set(played.model.estimator.folds_.index) == set(split.train)
    largest = cohort("tiny", "2a").samples["tissue"].value_counts().index[0]
    assert list(played.unseen.index) == [largest]


def test_predictions_are_those_of_the_saved_model_on_the_saved_file(played):
    folder = Layout("tiny").results / "own_samples"
    table = pd.read_csv(folder / "new_lines.csv", index_col=0)
    again, _ = OwnModel.load(folder / "model").predict(table)
    np.testing.assert_allclose(played.predictions["prediction"], again["prediction"], atol=1e-6)  # as written


def test_relative_responses_and_correlations(played):
    response = cohort("tiny", "2a").response
    row = played.predictions.dropna(subset="measured").iloc[5]
    known = response.loc[played.training, row["perturbation"]]
    assert row["measured"] == response.loc[row["sample"], row["perturbation"]]
    assert row["relative"] == pytest.approx((row["prediction"] - known.mean()) / known.std())
    one = played.predictions[played.predictions["perturbation"] == row["perturbation"]].dropna(subset="measured")
    expected = spearmanr(one["measured"], one["prediction"]).statistic
    assert played.by_perturbation()[row["perturbation"]] == pytest.approx(expected)
    one = played.predictions[played.predictions["sample"] == row["sample"]].dropna(subset="measured")
    expected = spearmanr(one["measured_relative"], one["relative"]).statistic
    assert played.by_line()[row["sample"]] == pytest.approx(expected)


def test_what_is_best_comes_first(played):
    drug = played.promising()
    lines = played.of("perturbation", drug)
    assert lines["prediction"].is_monotonic_decreasing and set(lines.index) == set(played.new.index)
    drugs = played.of("sample", played.new.index[0])
    assert drugs["relative"].is_monotonic_decreasing and drug in drugs.index


def test_intervals_are_counted_on_held_out_responses(played):
    table = played.intervals().set_index("perturbation")
    name = table.index[0]
    rows = played.predictions[played.predictions["perturbation"] == name].dropna(subset="measured")
    inside = rows["measured"].between(rows["lower"], rows["upper"])
    assert table.loc[name, "covered"] == pytest.approx(inside.mean()) and table.loc[name, "n"] == len(rows)
    known = cohort("tiny", "2a").response.loc[played.training, name]
    middle = known.quantile(0.95) - known.quantile(0.05)
    assert table.loc[name, "without"] == pytest.approx(middle / known.std())
    told = played.answer(name)
    held = (table["covered"] * table["n"]).sum() / table["n"].sum()
    assert f"hold {held:.0%} of the responses" in told and played.unseen.index[0] in told


def test_a_table_without_a_tenth_of_the_genes_gives_nearly_the_same(played):
    table, said = played.imperfect()
    assert list(table.index) == ["none", "domain"]
    assert (table["against the full table"] > 0.8).all()
    assert any("genes are missing" in note for note in said)
