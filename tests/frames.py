"""Score frames for the tests of figures, and what is found on a figure."""

import numpy as np
import pandas as pd

SPLITS = ["holdout-0", "holdout-1", "holdout-2"]
MEANS = {
    "Training mean": 0.0,
    "Tissue mean": 0.05,
    "PS-KNN": 0.2,
    "PP-MLP": 0.3,
    "PS-LASSO": 0.32,
    "LEAP": 0.33,
}

COLUMNS = ["task", "model", "member", "split", "level", "perturbation", "test_set", "metric", "value", "data"]


def make_scores(task="1a", data="real", models=tuple(MEANS), splits=tuple(SPLITS)):
    """Scores as `load_scores` returns them: two test sets a split, 12 perturbations."""
    rng = np.random.default_rng(len(task))
    rows = []
    for model in models:
        for member in range(3) if model == "PS-LASSO" else [-1]:
            for split in splits:
                key = (task, model, member, split, "per_perturbation")
                rows += [
                    (*key, "", test_set, "spearman", MEANS[model] + rng.normal(0, 0.01), data) for test_set in (0, 1)
                ]
                rows += [(*key, f"p{p}", -1, "spearman", MEANS[model] + rng.normal(0, 0.1), data) for p in range(12)]
                rows += [(*key, "", 0, "mse", 9.0, data), (*key[:4], "overall", "", 0, "spearman", 0.9, data)]
    return pd.DataFrame(rows, columns=COLUMNS)


def make_subset_scores(task="5a", data="real", models=tuple(MEANS), n_subsets=10, n_drugs=5):
    """Scores on xenografts: one split, and each drug over all of it (test set -1) and in each subset."""
    rng = np.random.default_rng(5)
    rows = []
    for model in models:
        key = (task, model, -1, "PDX", "per_perturbation")
        for drug in range(n_drugs):
            values = MEANS[model] + 0.1 * drug + rng.normal(0, 0.05, n_subsets)
            rows += [(*key, f"drug {drug}", i, "spearman", value, data) for i, value in enumerate(values)]
            rows += [(*key, f"drug {drug}", -1, "spearman", 9.0, data)]
            rows += [(*key, f"drug {drug}", i, "pearson", 7.0, data) for i in range(n_subsets)]
        rows += [(*key, "", i, "spearman", rng.normal(MEANS[model], 0.02), data) for i in range(n_subsets)]
    return pd.DataFrame(rows, columns=COLUMNS)


def written(fig):
    return [text.get_text() for ax in fig.axes for text in ax.texts]


def points(ax, label):
    return next(c for c in ax.collections if c.get_label() == f"_{label}").get_offsets()
