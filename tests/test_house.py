"""The house stays thin, and data flow one way."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def house():
    spec = importlib.util.spec_from_file_location("house", ROOT / "benchmarks" / "house.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def modules(house):
    return {house.name_of(path): house.imports(path) for path in (ROOT / "leaplib").rglob("*.py")}


def test_no_module_imports_from_a_higher_room(house, modules):
    assert house.upward(modules) == []


def test_no_modules_import_each_other_in_circles(house, modules):
    assert house.circles(modules) == []


def test_the_measure_sees_upward_imports_and_circles(house):
    wrong = {"leaplib.base.a": {"leaplib.models.b"}, "leaplib.models.b": {"leaplib.models.c"},
             "leaplib.models.c": {"leaplib.models.b"}}  # fmt: skip
    assert house.upward(wrong) == ["leaplib.base.a -> leaplib.models.b"]
    assert house.circles(wrong) == ["leaplib.models.b, leaplib.models.c"]


def test_code_lines_leave_out_comments_blank_lines_and_docstrings(house, tmp_path):
    path = tmp_path / "module.py"
    path.write_text('"""Doc."""\n\n# why\nx = (1,\n     2)\n\n\ndef f():\n    """Say\n    more."""\n    return "a"\n')
    assert house.code_lines(path) == 4


def test_the_readme_is_short(house):
    found = house.measure()
    for name in ("README, bytes", "README, longest line"):
        assert found[name] <= house.GOALS[name], name
