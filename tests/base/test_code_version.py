import textwrap

import pytest

from leaplib.base import code_version
from leaplib.models.table import code_of


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules in place of leaplib's: model imports base, and files, which is silent."""
    for function in (code_version.code_version, code_version._tree):
        function.cache_clear()
    monkeypatch.setattr(code_version, "PACKAGE", tmp_path)
    write(tmp_path, "__init__", "")
    write(tmp_path, "files", "x = 1")
    write(tmp_path, "data", "x = 1")
    write(tmp_path, "base", "def f():\n    return 1")
    write(tmp_path, "model", '"""Doc."""\nfrom leaplib.base import f\nfrom leaplib import files, data\n\ny = f()')
    yield tmp_path
    for function in (code_version.code_version, code_version._tree):
        function.cache_clear()


def write(folder, name, text):
    (folder / f"{name}.py").write_text(textwrap.dedent(text) + "\n")
    code_version.code_version.cache_clear()
    code_version._tree.cache_clear()


def version(**options):
    return code_version.code_version("leaplib.model", **options)


@pytest.mark.parametrize(
    ("name", "text", "counts"),
    [("model", "from leaplib.base import f\nfrom leaplib import files, data\n# why\ny = f()", False),
     ("model", "from leaplib.base import f\nfrom leaplib import files, data\ny = f() + 1", True),
     ("base", 'def f():\n    """Say."""\n    return 1', False), ("base", "def f():\n    return 2", True),
     ("files", "x = 2", False), ("data", "x = 2", False)],
)  # fmt: skip
def test_code_counts_comments_docstrings_and_places_do_not(package, name, text, counts):
    before = version()
    write(package, name, text)
    assert (version() != before) == counts


def test_a_module_that_counts_alone_does_so_without_what_it_imports(package):
    write(package, "hub", "from leaplib.model import y\nz = y")
    found = code_version.code_version("leaplib.base", alone=("leaplib.hub",))
    write(package, "model", "y = 5")
    assert code_version.code_version("leaplib.base", alone=("leaplib.hub",)) == found
    write(package, "hub", "from leaplib.model import y\nz = y + 1")
    assert code_version.code_version("leaplib.base", alone=("leaplib.hub",)) != found


def test_results_depend_on_what_brings_models_together(monkeypatch):
    """A change of how few-shot labels are scaled, or members averaged, makes earlier results stale."""
    before, code = {name: code_of(name) for name in ("PS-KNN", "LEAP")}, code_version._code
    for module in ("leaplib.runs.task_run", "leaplib.models.leap"):
        code_version.code_version.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(code_version, "_code", lambda name, changed=module: code(name) + "x" * (name == changed))
            assert all(code_of(name) != before[name] for name in before)
    code_version.code_version.cache_clear()


def test_code_that_prepares_data_counts_where_it_is_asked_for(package):
    before = version(prepares=True)
    write(package, "data", "x = 2")
    assert version(prepares=True) != before


def test_models_depend_on_their_own_code():
    assert code_of("PS-LASSO r3") == code_of("PS-LASSO") == code_of("LEAP") == code_of("LEAP (shuffled labels)")
    assert code_of("PS-TCRP (10-shot)") == code_of("PS-TCRP")
    assert len({code_of(name) for name in ("PS-KNN", "PS-LASSO", "PS-LGBM", "PS-TCRP", "PP-MLP", "PS-RIDGE")}) == 6


def test_imports_are_followed_through_packages():
    found = code_version._closure(("leaplib.models.lasso",))
    solvers = {"leaplib.models.lasso_path", "leaplib.models.lasso_newton"}
    assert solvers | {"leaplib.models.tuning", "leaplib.base.metrics"} <= found
    assert "leaplib.models.knn" not in found
    assert not found & {"leaplib.base.files", "leaplib.cohorts.prepare"}
