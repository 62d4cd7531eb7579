import numpy as np

from leaplib.models.tuning import best_per_perturbation


def test_the_best_mean_over_folds_wins_and_ties_go_to_the_first():
    scores = np.array([[[0.9, 0.2, 0.1], [0.4, 0.2, 0.5]], [[0.0, 0.2, np.nan], [0.6, 0.2, np.nan]]])
    assert best_per_perturbation(scores).tolist() == [1, 0, 1]


def test_without_any_usable_fold_the_first_is_taken():
    assert best_per_perturbation(np.full((5, 10, 1), np.nan)).tolist() == [0]


def test_rounding_noise_does_not_break_a_tie():
    scores = np.array([[[0.3], [0.3 + 1e-16]]])
    assert best_per_perturbation(scores).tolist() == [0]
