"""A disk that is full or that refuses: one line, exit code 1, and the same command goes on once there is room."""

import errno
import os
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from leaplib.__main__ import main
from tests.faults import injection
from tests.faults.injection import COMMAND, at, command, full_disk, points, read_only, refuse, resumed, run

NOBODY = 65534


def refused(ended, why):
    """Check that a run stopped at once, with one line that says why and what to do."""
    assert ended.code == 1
    assert ended.err.startswith("leap: ")
    assert f"cannot be written ({why})" in ended.err
    assert "the same command then goes on" in ended.err
    assert ended.err.count("\n") == 1


POINTS = [
    ("os.replace", 1, full_disk),
    ("os.replace", 15, full_disk),
    ("pathlib.Path.mkdir", 3, full_disk),
    ("pathlib.Path.write_bytes", 5, full_disk),
    ("pathlib.Path.write_text", 3, full_disk),
    ("leaplib.runs.records.os.write", 3, full_disk),
    ("os.replace", 20, refuse(errno.EDQUOT)),
    ("pathlib.Path.write_bytes", 12, refuse(errno.EIO)),
    ("os.replace", 22, read_only),
]


@pytest.mark.parametrize("target, number, deed", points(POINTS, fast=(4, 6)))
def test_a_disk_that_refuses_from_some_write_on(home, undisturbed, target, number, deed):
    ended = run(home, fault=at(target, number, deed, ever_after=True))
    assert "Errno" not in ended.err
    refused(ended, next(text for text in map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS))
                        if text in ended.err))  # fmt: skip
    resumed(home, undisturbed)


@pytest.mark.parametrize("size", points([(2000,), (7000,), (9000,), (15000,)], fast=(3,)))
def test_files_that_may_not_grow(home, undisturbed, size):
    """The kernel itself refuses to write on."""

    def limited(patch):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    refused(run(home, fault=limited), os.strerror(errno.EFBIG))
    resumed(home, undisturbed)


@pytest.mark.faults
def test_a_log_line_that_was_cut_off_spoils_no_other(home, undisturbed):
    whole = os.write

    def half(handle, text):
        return whole(handle, text[: len(text) // 2])

    ended = run(home, fault=lambda patch: patch.setattr("leaplib.runs.records.os.write", half))
    refused(ended, os.strerror(errno.ENOSPC))
    resumed(home, undisturbed)


@pytest.fixture
def small_disk(as_root, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.faults
def test_a_disk_that_is_really_full(small_disk, tmp_path, undisturbed):
    home = small_disk / "home"
    home.mkdir()
    refused(run(home), os.strerror(errno.ENOSPC))
    roomy = Path(shutil.copytree(home, tmp_path / "roomy"))
    resumed(roomy, undisturbed)


def _as_nobody(folder):
    """Return what makes a process one that may not write to a folder, and lock its files in one of its own."""

    def fault(patch):
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        patch.setattr("tempfile.tempdir", str(folder))

    return fault


@pytest.fixture
def foreign_home(whole):
    """A copy of the home that others may read and nobody may write to; its folder for temporary files is open."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        home = injection.copied(whole, Path(folder) / "home")
        (home / "tmp").mkdir()
        yield home
        _allow(home)


def _forbid(home):
    for path in home.rglob("*"):
        os.chmod(path, 0o555 if path.is_dir() else 0o444)
    os.chmod(home, 0o777)  # for what the process writes to its terminal
    os.chmod(home / "tmp", 0o777)


def _allow(home):
    for path in [home, *home.rglob("*")]:
        os.chmod(path, 0o777 if path.is_dir() else 0o666)


@pytest.mark.parametrize("gone", points([("scores/2a/holdout-0/leap.parquet",), ("run_log.jsonl",)], fast=()))
def test_a_folder_that_is_read_only(foreign_home, undisturbed, gone):
    path = foreign_home / "data/results/tiny" / gone
    path.unlink()
    if gone == "run_log.jsonl":
        path.with_name("scores").joinpath("2a/holdout-0/ps-knn.parquet").unlink()
    _forbid(foreign_home)
    refused(run(foreign_home, fault=_as_nobody(foreign_home / "tmp")), os.strerror(errno.EACCES))
    _allow(foreign_home)
    resumed(foreign_home, undisturbed)


@pytest.mark.faults
def test_a_read_only_folder_with_all_results_can_be_shown(foreign_home):
    _forbid(foreign_home)
    ended = run(foreign_home, lambda: main(COMMAND), fault=_as_nobody(foreign_home / "tmp"))
    assert (ended.code, ended.err) == (0, "")
    assert "LEAP" in ended.out


@pytest.mark.faults
def test_a_folder_for_temporary_files_that_refuses(home, undisturbed):
    def fault(patch):
        patch.setattr("tempfile.tempdir", None)
        patch.setattr("tempfile._get_default_tempdir", _none_usable)

    ended = run(home, fault=fault)
    assert ended.code == 1
    assert "No usable temporary directory" in ended.err
    assert ended.err.count("\n") == 1
    resumed(home, undisturbed)


def _none_usable(*arguments, **named):
    raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")


@pytest.mark.faults
def test_a_folder_for_locks_that_cannot_be_made(home, undisturbed, tmp_path):
    (tmp_path / "full").touch()

    def fault(patch):
        patch.setattr("tempfile.tempdir", str(tmp_path / "full" / "gone"))

    ended = run(home, command, fault)
    assert ended.code == 1
    assert ended.err.count("\n") == 1
    resumed(home, undisturbed)
