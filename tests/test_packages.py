"""The three lists of packages name the same ones."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONDA = {"pytorch": "torch"}
ONLY_CONDA = {"python", "pip", "make"}
BY_PIP = {"gseapy"}  # conda-forge has none


def name(requirement):
    return re.split(r"[=<>!~ ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [r for group in project["optional-dependencies"].values() for r in group]
    return {name(r) for r in project["dependencies"] + extras}


def test_environment_and_pyproject_name_the_same_packages():
    lines = (ROOT / "environment.yml").read_text().splitlines()
    start = lines.index("  - pip:")
    listed = {name(line.removeprefix("  - ")) for line in lines[lines.index("dependencies:") + 1 : start]} - ONLY_CONDA
    by_pip = {name(line.removeprefix("      - ")) for line in lines[start + 1 :]}
    assert {CONDA.get(package, package) for package in listed} | by_pip == declared()
    assert by_pip == BY_PIP


def test_the_lock_pins_every_declared_package():
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and line[0] != "#"]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9A-Za-z.]+", line) for line in lines)
    assert declared() <= {name(line) for line in lines}
    assert "torch==2.13.0" in lines


def test_conda_forge_is_the_only_channel():
    text = (ROOT / "environment.yml").read_text()
    assert re.findall(r"channels:\n((?:  - .*\n)+)", text) == ["  - conda-forge\n  - nodefaults\n"]
