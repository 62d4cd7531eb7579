"""What `import leaplib as lp` has."""

import subprocess
import sys

import pytest

import leaplib as lp


@pytest.mark.parametrize("name", lp.__all__)
def test_every_public_name_is_there_and_documented(name):
    found = getattr(lp, name)
    assert name.isupper() or (found.__doc__ or "").strip()
    assert name in dir(lp)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'leep'"):
        lp.leep  # noqa: B018


def test_the_package_itself_loads_nothing_heavy():
    code = "import sys, leaplib; print(sorted({'torch', 'matplotlib', 'pandas', 'lightgbm'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_names_and_objects_say_the_same():
    assert lp.get_profile("smoke") is lp.get_profile(lp.PROFILES["smoke"])
    assert lp.get_task("2a") is lp.get_task(lp.TASKS["2a"])
