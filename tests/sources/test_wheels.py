import zipfile
from pathlib import Path

import pytest

from leaplib.base.errors import InputError
from leaplib.sources.wheels import read_csv, read_member, read_text


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    target = tmp_path / "small.whl"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("a/table.csv", "name,value\nNA,1\n,2\n")
        opened.writestr("a/text.txt", "plain text " * 50)
        opened.writestr("a/latin.txt", "caf\xe9".encode("latin-1"))
        opened.writestr("a/ragged.csv", "a,b\n1,2\n1,2,3\n")
        opened.writestr("a/empty.csv", "")
    return target


def test_members_are_read(archive: Path) -> None:
    assert read_member(archive, "a/text.txt").startswith(b"plain text")
    frame = read_csv(archive, "a/table.csv", ["value", "name"])
    assert frame.columns.tolist() == ["value", "name"]
    assert frame["name"].tolist()[0] == "NA" and frame["name"].isna().tolist() == [False, True]


def test_a_missing_member(archive: Path) -> None:
    with pytest.raises(InputError, match=r"a/none\.txt is not in the archive"):
        read_member(archive, "a/none.txt")


def test_a_changed_byte_inside_a_member(archive: Path) -> None:
    data = bytearray(archive.read_bytes())
    at = data.index(b"a/text.txt") + len("a/text.txt") + 4
    data[at] ^= 0xFF
    archive.write_bytes(bytes(data))
    with pytest.raises(InputError, match="damaged"):
        read_member(archive, "a/text.txt")


@pytest.mark.parametrize("keep", [0, 10, 200])
def test_a_truncated_archive(archive: Path, keep: int) -> None:
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(InputError, match="no zip archive, or a damaged one"):
        read_member(archive, "a/text.txt")


def test_no_archive_or_a_folder(tmp_path: Path) -> None:
    for target in (tmp_path / "none.whl", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_member(target, "a")


@pytest.mark.parametrize(
    ("member", "columns", "message"),
    [
        ("a/table.csv", ["name", "colour", "size"], "lacks the column 'colour', 'size': has name, value"),
        ("a/ragged.csv", ["a"], "not a CSV table"),
        ("a/empty.csv", ["a"], "not a CSV table"),
        ("a/latin.txt", ["a"], "not UTF-8"),
    ],
)
def test_bad_tables(archive: Path, member: str, columns: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read_csv(archive, member, columns)
    assert "\n" not in str(error.value)


def test_text_that_is_no_utf8(archive: Path) -> None:
    with pytest.raises(InputError, match="not UTF-8"):
        read_text(archive, "a/latin.txt")
