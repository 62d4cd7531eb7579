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


def test_environment_and_pyproject_name_the_same_packages_and_conda_forge_is_the_only_channel():
    lines = (ROOT / "environment.yml").read_text().splitlines()
    assert lines[lines.index("channels:") + 1 : lines.index("dependencies:")] == ["  - conda-forge", "  - nodefaults"]
    start = lines.index("  - pip:")
    listed = {name(line.removeprefix("  - ")) for line in lines[lines.index("dependencies:") + 1 : start]} - ONLY_CONDA
    by_pip = {name(line.removeprefix("      - ")) for line in lines[start + 1 :]}
    assert {CONDA.get(package, package) for package in listed} | by_pip == declared()
    assert by_pip == BY_PIP


def test_the_lock_pins_every_declared_package_but_torch_and_has_checksums_of_all():
    text = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"^([A-Za-z0-9._-]+)==[0-9A-Za-z.]+((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", text, re.M)
    assert len(pins) == text.count("==")
    assert {name(package) for package, _ in pins} >= declared() - {"torch"}
    assert "torch" not in {package for package, _ in pins}  # its builds differ
    assert '"torch==2.13.0"' in (ROOT / "pyproject.toml").read_text()
