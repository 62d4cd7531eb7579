from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from leaplib import beyond
from leaplib.beyond import CANDIDATES, Beyond, compare_candidates, gains, smoothed
from leaplib.errors import InputError
from leaplib.jobs import notebook_jobs
from leaplib.models import CONTROLS
from leaplib.profiles import get_profile
from leaplib.regressors import DualRidge
from leaplib.regressors.plus import rank_scores
from leaplib.task_run import TaskRun
from leaplib.tasks import get_task

TINY = replace(
    get_profile("smoke"), n_splits=2, n_test_sets=5, max_perturbations=6, n_genes=120, n_representations=2,
    simulated_lines=260, simulated_genes=300,
    damae={"n_hidden": 32, "n_components": 16, "learning_rate": 1e-3, "batch_size": 64, "max_epochs": 15},
)  # fmt: skip


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEAP_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("LEAP_DATA", raising=False)
        yield compare_candidates(TINY, "2a", device="cpu")


def test_every_candidate_has_a_score_of_each_perturbation_and_split(scores):
    counts = scores.groupby(["candidate", "metric"]).size()
    assert set(scores["candidate"]) == set(CANDIDATES) and (counts == 2 * 6).all()
    assert set(scores["metric"]) == {"spearman", "pearson"} and set(scores["data"]) == {"simulated"}
    assert scores["value"].notna().all() and (scores["seconds"] >= 0).all()


def test_candidates_are_what_their_names_say(scores):
    run = TaskRun(TINY, get_task("2a"), "cpu")
    tried, split = Beyond(run), run.splits[1]
    labels = run.cohort.response.loc[split.train]
    leap, ridge = (run.result(split, name) for name in ("LEAP", "PS-RIDGE"))
    mean = tried.predict(CANDIDATES["mean of LEAP and PS-RIDGE"], split)
    np.testing.assert_allclose(mean, (leap + ridge) / 2, atol=1e-6)
    np.testing.assert_allclose(tried.predict(CANDIDATES["PS-LASSO"], split), run.result(split, "PS-LASSO r0"))
    rank = tried.predict(CANDIDATES["ridge on rank scores"], split)
    genes = run.expression[1]
    model = DualRidge().fit(genes.loc[split.train], rank_scores(labels.to_numpy()), split.folds)
    np.testing.assert_allclose(rank, model.predict(genes.loc[split.test]))
    codes = tried.features["codes"]
    assert codes.shape[1] == 2 * 16 and tried.features["more genes"].shape[1] == 240
    np.testing.assert_allclose(codes.std(ddof=0), 1, rtol=1e-5)
    ranked = tried.features["ranked genes"]
    np.testing.assert_allclose(ranked.mean(), 0, atol=1e-9)
    truth, drug = run.cohort.response.loc[split.test], labels.columns[2]
    rows = scores.query("candidate == 'ridge on rank scores' and metric == 'spearman' and perturbation == @drug")
    expected = spearmanr(truth[drug], rank[drug], nan_policy="omit").statistic
    assert rows.set_index("split")["value"][split.name] == pytest.approx(expected)


def test_smoothing_averages_with_the_projection():
    rng = np.random.default_rng(0)
    labels, prediction = pd.DataFrame(rng.normal(2, 3, (30, 4))), pd.DataFrame(rng.normal(2, 3, (5, 4)))
    np.testing.assert_allclose(smoothed(prediction, labels, 4), prediction)
    mean, sd = labels.mean(), labels.std(ddof=0)
    leading = np.linalg.eigh(np.corrcoef(labels.T))[1][:, -1:]
    expected = (
        (prediction - mean) / sd @ (np.eye(4) + leading @ leading.T) / 2
    ).to_numpy() * sd.to_numpy() + mean.to_numpy()
    np.testing.assert_allclose(smoothed(prediction, labels, 1), expected)


def test_the_notebook_needs_no_other_models(scores):
    jobs = notebook_jobs(replace(TINY, tasks=("2a", "5b")), ["10"], "cpu")
    fits = {job.where["model"] for job in jobs if job.kind == "fit"}
    members = {f"PS-LASSO r{number}" for number in range(2)}
    assert fits == {"LEAP", *members, "PS-RIDGE", "LEAP+", *CONTROLS.values()}
    assert {job.task.id for job in jobs} == {"2a"}
    both = notebook_jobs(replace(TINY, tasks=("2a",)), ["03", "10"], "cpu")
    assert len({job.id for job in both}) == len(both) > len(jobs)


def test_a_second_run_computes_nothing(scores, monkeypatch):
    monkeypatch.setattr(Beyond, "predict", lambda *a: pytest.fail("computed again"))
    pd.testing.assert_frame_equal(compare_candidates(TINY, "2a", device="cpu"), scores)


def test_gains_are_paired_and_sorted(scores):
    table = gains(scores)
    assert table["mean"].is_monotonic_decreasing and len(table) == len(CANDIDATES)
    assert table.columns[:4].tolist() == ["task", "candidate", "mean", "gain"]
    values = scores[scores["metric"] == "spearman"].groupby(["candidate", "split"])["value"].mean().unstack()
    row = table.set_index("candidate").loc["PS-RIDGE"]
    difference = values.loc["PS-RIDGE"] - values.loc["LEAP"]
    assert row["difference"] == pytest.approx(difference.mean())
    assert row["gain"] == pytest.approx(difference.mean() / values.loc["LEAP"].mean())
    assert (row["splits_won"], row["n_splits"]) == ((difference > 0).sum(), 2)
    assert row["low"] < row["difference"] < row["high"]
    assert table.set_index("candidate").loc["LEAP", "difference"] == 0


def test_unknown_candidates_and_a_missing_reference_are_named(scores):
    with pytest.raises(InputError, match="candidate 'magic' is unknown: use one of LEAP; PS-LASSO; PS-RIDGE"):
        compare_candidates(TINY, "2a", ["magic"])
    with pytest.raises(InputError, match="task 2a: no scores of LEAP"):
        gains(scores[scores["candidate"] != "LEAP"])


def test_names_are_files_of_their_own():
    assert len({beyond.slug(name) for name in CANDIDATES}) == len(CANDIDATES)
