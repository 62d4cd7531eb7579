"""What fails is recorded and the rest goes on: nothing else differs from a run in which nothing failed."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leaplib.__main__ import main
from leaplib.base.layout import slug
from leaplib.runs.engine import TaskRun
from tests.faults import injection
from tests.faults.injection import COMMAND, points, resumed, run

RESULTS = Path("data/results/tiny")
SPLIT = "2a/holdout-0"
MEMBERS = ["PS-LASSO r0", "PS-LASSO r1"]
RESTS_ON_LASSO = ["LEAP", "LEAP (shuffled labels)", *MEMBERS]


def failing(model, perturbation=None):
    """Return a fault: a model cannot be fitted, or not on one perturbation."""

    def install(patch):
        original = TaskRun._fit

        def fit(self, recipe, split, labels):
            if recipe.model == model and (perturbation is None or perturbation in labels):
                raise ArithmeticError("made to fail\nin two lines")
            return original(self, recipe, split, labels)

        patch.setattr(TaskRun, "_fit", fit)

    return install


def frame(home, kind, model):
    return pd.read_parquet(home / RESULTS / kind / SPLIT / f"{slug(model)}.parquet")


def records(home):
    return {record["job"]: record for record in map(json.loads, map(Path.read_text, sorted(
        (home / RESULTS / "failures").glob("*.json"))))}  # fmt: skip


@pytest.fixture(scope="session")
def bad(whole):
    """The perturbation that fails."""
    return frame(whole, "predictions", "LEAP").columns[2]


def equal_bytes(a, b):
    assert a.index.equals(b.index)
    assert a.to_numpy().tobytes() == b.to_numpy().tobytes()


def test_one_perturbation_that_fails(home, whole, undisturbed, bad):
    ended = run(home, fault=failing("PS-LASSO", bad))
    assert ended.code == 1
    assert "4 failed, and are missing in tables and figures (tracebacks: " in ended.err
    assert f"  fit 2a holdout-0 PS-LASSO r1, perturbation {bad} alone: ArithmeticError: made to fail\n" in ended.err
    assert ended.err.count("\n") == 6
    for model in injection.FITS:
        found, expected = (frame(place, "predictions", model) for place in (home, whole))
        if model in RESTS_ON_LASSO:
            assert found[bad].isna().all()
            assert not found.drop(columns=bad).isna().any(axis=None)
        else:
            equal_bytes(found[[bad]], expected[[bad]])
        equal_bytes(found.drop(columns=bad), expected.drop(columns=bad))
    single, expected = (scores[scores["perturbation"] != ""] for scores in
                        (frame(home, "scores", "LEAP"), frame(whole, "scores", "LEAP")))  # fmt: skip
    failed = single["perturbation"] == bad
    assert single["value"].isna().equals(failed)
    equal_bytes(single.loc[~failed, ["value"]], expected.loc[~failed, ["value"]])
    found = records(home)
    assert sorted(found) == sorted(f"fit 2a holdout-0 {model}" for model in RESTS_ON_LASSO)
    assert all(list(record["perturbations"]) == [bad] for record in found.values())
    assert 'raise ArithmeticError("made to fail' in found["fit 2a holdout-0 PS-LASSO r0"]["traceback"]
    resumed(home, undisturbed, {f"fit 2a holdout-0 {model}" for model in RESTS_ON_LASSO})


@pytest.mark.faults
@pytest.mark.parametrize("loss", ["removed", "damaged"])
def test_what_failed_is_tried_again_even_without_its_record(home, undisturbed, bad, loss):
    """A run killed between results and record leaves such gaps."""
    assert run(home, fault=failing("PS-LASSO", bad)).code == 1
    for path in (home / RESULTS / "failures").glob("*.json"):
        if loss == "removed":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:30])
    jobs = {f"fit 2a holdout-0 {model}" for model in RESTS_ON_LASSO}
    resumed(home, undisturbed, jobs)


@pytest.mark.parametrize("model, others", points([("PS-KNN", []), ("PS-LASSO", RESTS_ON_LASSO)], fast=()))
def test_a_model_that_fails(home, whole, undisturbed, model, others):
    ended = run(home, fault=failing(model))
    assert ended.code == 1
    jobs = {f"fit 2a holdout-0 {name}" for name in (others or [model])}
    assert set(records(home)) == jobs
    assert all(f"  {job}: " in ended.err for job in jobs)
    missing = [slug(name) for name in (others or [model])]
    for name in injection.FITS:
        path = home / RESULTS / "predictions" / SPLIT / f"{slug(name)}.parquet"
        assert path.exists() == (slug(name) not in missing)
        if path.exists():
            assert path.read_bytes() == undisturbed[str(path.relative_to(home))]
    if others:
        assert records(home)["fit 2a holdout-0 LEAP"]["error"].endswith(
            "not tried: fit 2a holdout-0 PS-LASSO r0 failed"
        )
    row = next(line for line in ended.out.splitlines() if line.strip().startswith(model))
    assert row.split()[1:] == ["0", "simulated"]  # no number, of no split
    resumed(home, undisturbed, jobs)


@pytest.mark.faults
def test_an_autoencoder_that_fails_is_trained_once_and_what_needs_it_is_not_tried(home, undisturbed):
    def install(patch):
        patch.setattr(
            "leaplib.representation.pretraining.Representations.fit", lambda *a, **k: tried.append(1) or 1 / 0
        )

    tried = []
    ended = run(home, fault=install)
    assert ended.code == 1
    found = records(home)
    needing = [name for name in injection.FITS if "mean" not in name and name != "LEAP"]
    assert {record["error"] for job, record in found.items() if job.startswith("pretrain")} == {
        "ZeroDivisionError: division by zero"}  # fmt: skip
    assert all("not tried: pretrain drugs-simulated DAMAE 0 failed" in found[f"fit 2a holdout-0 {name}"]["error"]
               for name in needing)  # fmt: skip
    resumed(home, undisturbed, {f"fit 2a holdout-0 {name}" for name in [*needing, "LEAP"]} | {
        f"pretrain drugs-simulated DAMAE {seed}" for seed in range(2)})  # fmt: skip


@pytest.mark.faults
def test_a_task_that_cannot_be_prepared(home, tmp_path):
    both = ("run", "--profile", "tiny", "--tasks", "2a,1a", "--models", "ps-knn", "--device", "cpu")

    def install(patch):
        from leaplib.cohorts import prepare as data

        prepare = data.prepare

        def fails(profile, task):
            if task.id == "2a":
                raise KeyError("column that is not there")
            return prepare(profile, task)

        patch.setattr("leaplib.cohorts.prepare.prepare", fails)

    ended = run(home, lambda: main(both), install)
    assert ended.code == 1
    assert "1 failed" in ended.err
    assert "  prepare 2a: KeyError: 'column that is not there'\n" in ended.err
    record = records(home)["prepare 2a"]
    assert "in fails" in record["traceback"]
    assert "1a   Training mean" in ended.out
    assert "2a   Training mean" in ended.out  # with a gap
    assert not list((home / RESULTS / "scores/2a").rglob("*"))
    batch = run(home, lambda: main(both), lambda patch: patch.setenv("LEAP_BATCH", "1"))
    assert "prepare 2a: KeyError" in batch.err
    again = run(home, lambda: main(both))
    assert (again.code, again.err) == (0, "")
    assert records(home) == {}
    other = tmp_path / "other"
    assert run(other, lambda: main(both)).code == 0
    injection.assert_same(injection.snapshot(home), injection.snapshot(other))


def test_bad_input_still_stops_a_run(home):
    ended = run(home, lambda: main((*COMMAND[:-1], "tpu")))
    assert (ended.code, ended.out) == (2, "")
    assert np.char.count(ended.err, "\n") == 1
    assert os.listdir(home) == []
