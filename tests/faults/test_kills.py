"""Killed at any moment, the same command goes on where it stopped."""

import pytest

from tests.faults import injection
from tests.faults.injection import KILLED, at, kill, points, resumed, run

N_RENAMES = 40  # files of a run, each of which is renamed into place
FAST_RENAMES = (2, 22)


@pytest.mark.parametrize("number", points([(number,) for number in range(1, N_RENAMES + 1)], fast=FAST_RENAMES))
def test_killed_before_a_file_is_renamed_into_place(home, undisturbed, number):
    assert run(home, fault=at("os.replace", number, kill)).code == KILLED
    resumed(home, undisturbed)


def test_the_points_above_are_all_that_there_are(home, undisturbed):
    ended = run(home, fault=at("os.replace", N_RENAMES + 1, kill))
    assert ended.code == 0
    injection.assert_same(injection.snapshot(home), undisturbed)


MOMENTS = [
    ("leaplib.cohorts.prepare.Cohort.save", 1, True),
    ("torch.optim.Adam.step", 40, True),
    ("leaplib.representation.pretraining.save_frame", 4, False),
    ("leaplib.runs.engine.save_frame", 8, False),
    ("leaplib.runs.pool.log", 1, False),
    ("leaplib.runs.pool.log", 5, True),
    ("leaplib.runs.pool.forget", 3, False),
    ("leaplib.results.tables.summary", 1, False),
    ("leaplib.results.tables.save_table", 1, False),
]


@pytest.mark.parametrize("target, number, after", points(MOMENTS, fast=(4,)))
def test_killed_at_a_moment(home, undisturbed, target, number, after):
    assert run(home, fault=at(target, number, kill, after)).code == KILLED
    resumed(home, undisturbed)
