"""Which results become stale when a module is edited: a result's key holds the code of its stage and all before it."""

import shutil
from pathlib import Path

import pytest

import leaplib
from leaplib.base import store as module
from leaplib.base.store import code_version
from leaplib.runs.recipes import code_of

PACKAGE = Path(leaplib.__file__).parent
STAGES = {
    "cohort": "leaplib.cohorts.prepare",
    "representation": "leaplib.representation.pretraining",
    "codes of an ablation": "leaplib.runs.features",
}
MODELS = ("PS-KNN", "PS-LASSO", "LEAP", "PS-RIDGE", "LEAP+", "PS-LGBM", "PP-LGBM", "PP-tDNN", "PS-TCRP")
OWN = {"knn": {"PS-KNN"}, "ridge": {"PS-RIDGE", "LEAP+"}, "trees": {"PS-LGBM", "PP-LGBM"},
       "networks": {"PP-tDNN"}, "tcrp": {"PS-TCRP"}, "lasso": {"PS-LASSO", "LEAP"}}  # fmt: skip
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


def stale_after(path, before, line="EDITED = 1"):
    text = path.read_text()
    path.write_text(f"{text}\n{line}\n")
    after = versions()
    path.write_text(text)
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize("room", ["sources", "cohorts", "representation"])
def test_an_edited_room_makes_stale_what_builds_on_it(copy, room):
    """Of sources, all but what brings files: checksums tell what they hold. Genes are chosen with representations."""
    before = versions()
    for name in [name for name in EVERY if name.startswith(f"{room}/")]:
        stale = stale_after(copy / name, before)
        if room == "representation":
            assert stale >= {"representation", *MODELS} and "cohort" not in stale, name
        else:
            assert stale == (set() if name == "sources/download.py" else ALL), name


def test_rooms_that_show_results_make_none_stale(copy):
    before = versions()
    for name in [name for name in EVERY if name.startswith(("results/", "figures/", "samples/", "report/"))]:
        (copy / name).write_text((copy / name).read_text() + "\nEDITED = 1\n")
    assert versions() == before


def test_an_edited_model_makes_its_own_results_stale_and_what_all_use_those_of_all(copy):
    before = versions()
    for name, own in OWN.items():
        stale = stale_after(copy / f"models/{name}.py", before)
        assert own <= stale and not stale & {*STAGES, "PS-LASSO", "LEAP"} - own, name
    for name in ("base/metrics.py", "models/base.py", "models/tuning.py", "models/naive.py"):
        assert set(MODELS) <= stale_after(copy / name, before) | {"PS-KNN"}, name
    assert stale_after(copy / "sources/studies.py", before, "# why\n\n") == set()
    assert stale_after(copy / "sources/genes.toml", before) == ALL


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
