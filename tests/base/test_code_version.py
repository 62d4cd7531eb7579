"""Which results become stale when a module is edited: a result's key holds the code of its stage and all before it."""

import shutil
from pathlib import Path

import pytest

import leaplib
from leaplib.base import code_version as module
from leaplib.base.code_version import code_version
from leaplib.runs.recipes import code_of

PACKAGE = Path(leaplib.__file__).parent
STAGES = {
    "cohort": "leaplib.cohorts.prepare",
    "representation": "leaplib.representation.pretraining",
    "codes of an ablation": "leaplib.runs.features",
    "features of a candidate": "leaplib.runs.features",
}
MODELS = ("PS-KNN", "PS-LASSO", "LEAP", "PS-RIDGE", "LEAP+", "PS-LGBM", "PP-LGBM", "PP-tDNN", "PS-TCRP")
ALL = {*STAGES, *MODELS}
EVERY = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the package whose modules may be edited."""
    shutil.copytree(PACKAGE, tmp_path / "leaplib", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "PACKAGE", tmp_path / "leaplib")
    forget()
    yield tmp_path / "leaplib"
    forget()


def forget():
    code_version.cache_clear()


def versions():
    forget()
    found = {stage: code_version(name) for stage, name in STAGES.items()}
    return found | {name: code_of("PS-LASSO" if name == "LEAP" else name) for name in MODELS}


def stale_after(path, line):
    before, text = versions(), path.read_text()
    path.write_text(f"{text}\n{line}\n")
    after = versions()
    path.write_text(text)
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize("name", [name for name in EVERY if name.startswith(("sources/", "cohorts/"))])
def test_a_mended_reader_makes_the_cohort_stale_and_every_result_on_it(copy, name):
    """But for what brings files alone: their checksums tell what they hold."""
    assert stale_after(copy / name, "EDITED = 1") == (set() if name == "sources/download.py" else ALL)


@pytest.mark.parametrize("name", [name for name in EVERY if name.startswith("representation/")])
def test_what_makes_representations_makes_them_stale_and_all_models_but_no_cohort(copy, name):
    """PS-RIDGE and LEAP+ too: their genes are chosen and standardised there."""
    assert stale_after(copy / name, "EDITED = 1") >= {"representation", *MODELS}
    assert "cohort" not in stale_after(copy / name, "EDITED = 1")


@pytest.mark.parametrize(
    ("name", "stale"),
    [("knn", {"PS-KNN"}), ("ridge", {"PS-RIDGE"}), ("kernel", {"LEAP+"}), ("lgbm", {"PS-LGBM", "PP-LGBM"}),
     ("networks", {"PP-tDNN"}), ("tcrp", {"PS-TCRP"})],
)  # fmt: skip
def test_an_edited_model_makes_its_own_results_stale(copy, name, stale):
    found = stale_after(copy / f"models/{name}.py", "EDITED = 1")
    assert stale <= found and not found & {*STAGES, "PS-LASSO", "LEAP"} - stale


def test_the_lasso_is_leaps_too_and_metrics_and_folds_are_everyones(copy):
    assert {"PS-LASSO", "LEAP"} <= stale_after(copy / "models/lasso_path.py", "EDITED = 1")
    for name in ("base/metrics.py", "models/base.py", "models/tuning.py"):
        assert set(MODELS) <= stale_after(copy / name, "EDITED = 1") | {"PS-KNN"}, name


@pytest.mark.parametrize(
    "name", [name for name in EVERY if name.startswith(("results/", "figures/", "samples/", "report/", "__main__"))]
)
def test_what_is_read_off_results_makes_none_stale(copy, name):
    assert stale_after(copy / name, "EDITED = 1") == set()


@pytest.mark.parametrize("line", ["# why", "", "\n\n"])
def test_comments_and_layout_make_nothing_stale(copy, line):
    assert stale_after(copy / "sources/studies.py", line) == set()


def test_docstrings_make_nothing_stale_and_code_within_functions_does(copy):
    before, path = versions(), copy / "sources/studies.py"
    text = path.read_text()
    path.write_text(text.replace('"""', '"""More. ', 1))
    assert versions() == before
    path.write_text(text + '\n\ndef more():\n    """Say."""\n')
    one = versions()
    path.write_text(text + '\n\ndef more():\n    """Say more."""\n')
    assert versions() == one != before


def test_names_taken_from_a_package_bring_the_module_that_defines_them(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PACKAGE", tmp_path)
    (tmp_path / "room").mkdir()
    (tmp_path / "room/__init__.py").write_text("from leaplib.room.inner import f\n")
    (tmp_path / "room/inner.py").write_text("def f():\n    return 1\n")
    (tmp_path / "model.py").write_text("def g():\n    from leaplib.room import f\n\n    return f()\n")
    forget()
    before = code_version("leaplib.model")
    (tmp_path / "room/inner.py").write_text("def f():\n    return 2\n")
    forget()
    assert code_version("leaplib.model") != before
    forget()
