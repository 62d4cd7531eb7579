import os

import pytest

from leaplib import profiles
from tests.faults import injection


@pytest.fixture(autouse=True, scope="session")
def tiny():
    """A profile for runs that take a second or two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(profiles.PROFILES, "tiny", injection.TINY)
        patch.setenv("LEAP_JOBS", "1")
        yield


@pytest.fixture(scope="session")
def whole(tiny, tmp_path_factory):
    """The home of a run that nothing disturbed. It ran in this process, so that forked ones find all imported."""
    home = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEAP_HOME", str(home))
        patch.delenv("LEAP_DATA", raising=False)
        assert injection.command() == 0
    return home


@pytest.fixture(scope="session")
def undisturbed(whole):
    """What it left."""
    return injection.snapshot(whole)


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def copy(whole, home):
    """A copy of the undisturbed run's home, to be damaged."""
    return injection.copied(whole, home)


@pytest.fixture
def as_root():
    if os.geteuid() != 0:
        pytest.skip("needs the right to mount")
