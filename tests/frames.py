"""Score frames for the tests of figures, and what is found on a figure."""

import re

import numpy as np
import pandas as pd
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

from leaplib.base.layout import Layout
from leaplib.base.store import load_frame
from leaplib.figures import style
from leaplib.results.external import SENSITIVITY_COLUMNS
from leaplib.results.load import Results
from leaplib.runs.experiment import ABLATION_COLUMNS, CANDIDATE_COLUMNS
from leaplib.runs.recipes import steps

SPLITS = ["holdout-0", "holdout-1", "holdout-2"]
MEANS = {
    "Training mean": 0.0,
    "Tissue mean": 0.05,
    "PS-KNN": 0.2,
    "PP-MLP": 0.3,
    "PS-LASSO": 0.32,
    "LEAP": 0.33,
}

STEP_NAMES, HOLDOUTS = [step.name for step in steps()], [f"holdout-{i}" for i in range(10)]

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


def variant_scores(group="steps", names=STEP_NAMES, gains=None, task="1a", data="real", splits=HOLDOUTS, left_out=(),
                   sd=0.002):  # fmt: skip
    """Scores of variants whose difference to the first is `gains`, the same for each perturbation but for noise."""
    rng = np.random.default_rng(3)
    base = rng.normal(0.3, 0.1, (20, len(splits)))
    rows = []
    for number, name in enumerate(names):
        key = (task, group, name, "LEAP" if number else "PS-LASSO", -1)
        if name in left_out:
            rows.append((*key, "", "per_perturbation", "", 0, "spearman", np.nan, data, "not run: GDSC not at hand"))
            continue
        values = base + (gains[number] if gains else 0) + rng.normal(0, sd, base.shape)
        for column, split in enumerate(splits):
            rows += [(*key, split, "per_perturbation", f"p{p}", -1, "spearman", values[p, column], data, "")
                     for p in range(20)]  # fmt: skip
            for test_set in (0, 1):  # their mean counts
                value = values[:, column].mean() + (0.5 - test_set)
                rows.append((*key, split, "per_perturbation", "", test_set, "spearman", value, data, ""))
            rows.append((*key, split, "per_perturbation", "", 0, "pearson", 0.5, data, ""))
            rows.append((*key, split, "overall", "", 0, "spearman", 0.9, data, ""))
    return pd.DataFrame(rows, columns=ABLATION_COLUMNS)


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


def load_predictions(profile, task, split, model):
    """The saved predictions of a model on a split."""
    return load_frame(Layout(profile.name).prediction(task, split, model))


def results_of(profile="paper", **parts):
    """Results that hold these parts alone, whatever is saved."""
    nothing = {"scores": COLUMNS, "external": ["study", *COLUMNS], "harmonised": COLUMNS,
               "ablations": ABLATION_COLUMNS, "sensitivity": SENSITIVITY_COLUMNS,
               "external_candidates": ["study", *CANDIDATE_COLUMNS],
               "flows": ["task", "branch", "step", "samples", "perturbations", "data"],
               "candidates": CANDIDATE_COLUMNS, "inner": CANDIDATE_COLUMNS, "cohorts": [],
               "times": ["task", "split", "model", "seconds", "core_seconds"]}  # fmt: skip
    return Results(profile, **{part: pd.DataFrame(columns=columns) for part, columns in nothing.items()} | parts)


def written(fig):
    return [text.get_text() for ax in fig.axes for text in ax.texts]


def points(ax, model):
    """Places of the points that are drawn in a model's colour."""
    places = []
    for drawn in (found for found in ax.collections if isinstance(found, PathCollection)):
        faces = np.broadcast_to(drawn.get_facecolor(), (len(drawn.get_offsets()), 4))
        chosen = [to_hex(face) == style.colour(model).lower() for face in faces]
        places.append(np.asarray(drawn.get_offsets())[np.array(chosen, dtype=bool)])
    return np.concatenate(places)


def printed_size(folder, name):
    """Width and height in mm of a saved figure that is fit for print: text to edit, no pixels in vectors, 300 dpi."""
    files = {suffix: (folder / f"{name}.{suffix}").read_bytes() for suffix in ("pdf", "svg", "png")}
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", files["pdf"]).groups()
    size = np.array([float(points) / 72 * 25.4 for points in box])
    assert b"/Type3" not in files["pdf"] and b"/Subtype /Type0" in files["pdf"] and b"CreationDate" not in files["pdf"]
    fonts = re.findall(rb"/Subtype /(CIDFontType\d|Type1|TrueType)", files["pdf"])
    assert fonts and set(fonts) == {b"CIDFontType2"}  # TrueType outlines
    svg = files["svg"].decode()
    in_svg = [float(re.search(rf'{side}="([\d.]+)pt"', svg).group(1)) / 72 * 25.4 for side in ("width", "height")]
    np.testing.assert_allclose(in_svg, size, atol=1e-2)
    assert svg.count("<text") > 5 and not re.search(r"<(image|use[^>]*#[A-Z]\w+Sans)", svg) and "<dc:date>" not in svg
    pixels = [int.from_bytes(files["png"][place : place + 4], "big") for place in (16, 20)]
    np.testing.assert_allclose(pixels, size / 25.4 * 300, atol=1)
    return size
