"""What profiles do less of, and what is kept for notebooks that ask for the same."""

import pandas as pd
import pytest

from leaplib.base.layout import Layout
from leaplib.cohorts.prepare import most_perturbations
from leaplib.profiles import PROFILES
from leaplib.results.load import Results
from leaplib.runs import experiment
from leaplib.runs.recipes import CANDIDATES, COMPARED, ablations_of, candidates_of
from leaplib.tasks import TASKS


def test_what_a_profile_leaves_out_is_there_in_the_papers():
    known = {variant.name for _, variants in ablations_of(PROFILES["paper"]) for variant in variants} | set(CANDIDATES)
    for profile in PROFILES.values():
        assert set(profile.leaves_out) <= known
        assert not set(profile.leaves_out) & {*COMPARED, *candidates_of(profile)}
        names = [variant.name for _, variants in ablations_of(profile) for variant in variants]
        assert not set(names) & set(profile.leaves_out)
        assert str(profile.n_averaged) in names and str(profile.n_averaged + 1) not in names
    assert not PROFILES["paper"].leaves_out and candidates_of(PROFILES["paper"]) == tuple(CANDIDATES)


@pytest.mark.parametrize(("profile", "task", "most"), [
    ("demo", "1b", 10), ("demo", "5a", 10), ("demo", "2a", 24), ("smoke", "1b", 8), ("paper", "1b", None),
])  # fmt: skip
def test_fewer_perturbations_where_data_are_simulated(home, profile, task, most):
    assert most_perturbations(PROFILES[profile], TASKS[task]) == most


def test_what_was_put_together_is_found_until_a_file_changes(home, monkeypatch):
    calls = []

    def loaded(profile, tasks):
        calls.append(tasks)
        return pd.DataFrame({"task": tasks, "value": [float(len(calls))]})

    monkeypatch.setattr(experiment, "load_scores", loaded)
    for _ in range(2):
        assert Results("smoke", ["2a"]).scores["value"].tolist() == [1.0]
    written = Layout("smoke").results / "scores" / "2a" / "holdout-0" / "leap.parquet"
    written.parent.mkdir(parents=True)
    written.write_bytes(b"other")
    assert Results("smoke", ["2a"]).scores["value"].tolist() == [2.0]
    assert calls == [["2a"], ["2a"]]
