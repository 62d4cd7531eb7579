"""The reader of R's files: on what R itself wrote, and on what the tests' own writer writes."""

import gzip
import lzma
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leaplib.base.errors import InputError
from leaplib.sources.psets import Node, read_rds
from leaplib.sources.tabular import Place

from .rds import S4, Environment, Factor, Frame, Latin1, Matrix, data_frame, serialise, write_rds

VALUE = S4(
    "Thing",
    {
        "number": np.array([1.5, np.nan, -np.inf]),
        "whole": np.array([3, -(2**31)], dtype=np.int32),
        "flag": np.array([True, False]),
        "text": ["a", None, "µ", Latin1("µ"), "NA", ""],
        "factor": Factor(["b", None, "a", "b"]),
        "list": {"number": np.array([2.0]), "inner": {"text": "x"}},
        "plain": [np.array([2.0])],
        "place": Environment({"number": Matrix(np.arange(6.0).reshape(2, 3)), "text": "y"}),
        "frame": Frame({"text": ["a", "b"], "number": np.array([1.0, 2.0]), "whole": np.array([1, 2])}, ["r1", "r2"]),
        "unnamed": Frame({"text": Factor(["a", "b", "a"]), "objects": [["x"], ["y"], ["z"]]}),
        "numbered": Frame({"text": ["a", "b"]}, [7, 5]),
        "bioc": data_frame({"text": ["a", "b"]}, 2),
        "bioc_named": data_frame({"text": ["a", "b"]}, 2, ["r1", "r2"]),
    },
)


def read(folder: Path, value: object = VALUE, version: int = 3) -> Node:
    return read_rds(Place(write_rds(folder / "file.rds", value, version), "pset-ccle"))


def test_the_writer_writes_what_r_writes() -> None:
    import rdata

    # R 4.1.3: saveRDS(data.frame(class = factor(c("a", "b", "b")), value = 1:3), version = 2)
    theirs = gzip.decompress((rdata.TESTDATA_PATH / "test_dataframe.rds").read_bytes())
    frame = Frame({"class": Factor(["a", "b", "b"]), "value": np.array([1, 2, 3], dtype=np.int32)})
    header = 14  # the version of R among it
    assert serialise(frame, version=2)[header:] == theirs[header:]


def test_a_file_of_r(tmp_path: Path) -> None:
    import rdata

    path = tmp_path / "file.rds"
    path.write_bytes((rdata.TESTDATA_PATH / "test_dataframe.rds").read_bytes())
    frame = read_rds(Place(path, "pset-ccle")).table()
    expected = pd.DataFrame({"class": ["a", "b", "b"], "value": [1.0, 2.0, 3.0]}, index=["1", "2", "3"])
    pd.testing.assert_frame_equal(frame, expected, check_dtype=False)


@pytest.mark.parametrize("version", [2, 3])
def test_vectors(tmp_path: Path, version: int) -> None:
    node = read(tmp_path, version=version)
    assert node.kind == "S4" and node.classes == ("Thing",)
    np.testing.assert_array_equal(node.child("number").vector(), [1.5, np.nan, -np.inf])
    np.testing.assert_array_equal(node.child("whole").vector(), [3, np.nan])
    np.testing.assert_array_equal(node.child("flag").vector(), [1, 0])
    assert node.child("text").vector().tolist() == ["a", None, "µ", "µ", "NA", ""]
    assert pd.Series(node.child("factor").vector()).fillna("").tolist() == ["b", "", "a", "b"]


def test_lists_and_environments(tmp_path: Path) -> None:
    node = read(tmp_path)
    assert list(node.child("list").members) == ["number", "inner"]
    inner = node.child("list").child("inner")
    assert inner.child("text").vector().tolist() == ["x"] and inner.place.part == "list$inner"
    assert set(node.child("place").members) == {"number", "text"}
    np.testing.assert_array_equal(node.child("place").child("number").matrix(), [[0, 1, 2], [3, 4, 5]])
    assert list(node.child("plain").members) == [] and "number" not in node.child("plain")
    assert node.child("none", "text").place.part == "text"


@pytest.mark.parametrize("hashed", [True, False])
def test_environments_of_both_kinds(tmp_path: Path, hashed: bool) -> None:
    node = read(tmp_path, Environment({"one": "x", "two": "y"}, hashed))
    assert list(node.members) == ["one", "two"] and node.child("two").vector().tolist() == ["y"]


def test_an_object_that_stands_in_two_places_is_found_in_both(tmp_path: Path) -> None:
    shared = Environment({"text": "y"})
    node = read(tmp_path, {"one": shared, "two": shared})
    assert node.child("two").child("text").vector().tolist() == ["y"]


def test_tables(tmp_path: Path) -> None:
    node = read(tmp_path)
    frame = node.child("frame").table()
    assert frame.index.tolist() == ["r1", "r2"] and list(frame) == ["text", "number", "whole"]
    assert frame["text"].tolist() == ["a", "b"] and frame["number"].tolist() == [1, 2]
    assert list(node.child("frame").table(["whole"], ["none", "text"])) == ["whole", "text"]
    unnamed = node.child("unnamed").table()
    assert unnamed.index.tolist() == ["1", "2", "3"] and unnamed["text"].tolist() == ["a", "b", "a"]
    assert list(unnamed) == ["text"]  # a column of objects is none of text or numbers
    assert node.child("numbered").table().index.tolist() == ["7", "5"]
    assert node.child("bioc").table().index.tolist() == ["1", "2"]
    assert node.child("bioc_named").table().loc["r2", "text"] == "b"


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda n: n.child("x", "y"), r"file.rds: lacks 'x' or 'y': has number, whole"),
        (lambda n: n.child("list").child("x"), "list: lacks 'x': has number, inner"),
        (lambda n: n.child("text").child("x"), "text: lacks 'x': has nothing"),
        (lambda n: n.child("list").vector(), r"list: is no vector of text or numbers \(VEC\)"),
        (lambda n: n.child("number").matrix(), "number: is no matrix of numbers"),
        (lambda n: n.child("list").table(), "list: is no data frame but VEC"),
        (lambda n: n.table(), "is no data frame but Thing"),
        (lambda n: n.child("frame").table(["x"]), "frame: lacks the column 'x': has text, number, whole"),
        (lambda n: n.child("unnamed").table(["objects"]), "is no vector of text or numbers"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, ask, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        ask(read(tmp_path))
    assert "leap data fetch pset-ccle" in str(caught.value)


def test_columns_of_unequal_length_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="column 'b' has 1 values for 2 rows"):
        read(tmp_path, Frame({"a": ["x", "y"], "b": ["x"]}, ["1", "2"])).table()


def refused(path: Path, data: bytes, part: str) -> None:
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_rds(Place(path, "pset-ccle"))
    text = str(caught.value)
    assert str(path) in text and part in text and "\n" not in text and "leap data fetch pset-ccle" in text


def test_files_that_are_no_rds(tmp_path: Path) -> None:
    path, whole = tmp_path / "file.rds", gzip.compress(serialise(VALUE))
    for data in (gzip.compress(b"line,drug\n"), gzip.compress(b""), whole[:200] + bytes(50) + whole[250:],
                 lzma.compress(serialise(VALUE))[:-20]):  # fmt: skip
        refused(path, data, "no .rds file")


def test_a_file_cut_anywhere_is_refused_or_lacks_nothing(tmp_path: Path) -> None:
    path, whole = tmp_path / "file.rds", serialise(VALUE)
    for length in range(30, len(whole), 7):
        refused(path, whole[:length], "file.rds")
    path.write_bytes(whole)
    assert read_rds(Place(path, "pset-ccle")).classes == ("Thing",)


def test_nothing_is_executed(tmp_path: Path) -> None:
    """A call in the file stays a record: R's `file.create(...)`, as a promise to be evaluated."""
    from . import rds

    target = tmp_path / "created"
    writer = rds.Writer()
    writer.parts.append(b"X\n")
    writer.integers(2, 0x30602, 0x20300)
    writer.integers(rds.LIST | rds.ATTRIBUTES, 1)
    writer.integers(6)  # a call
    writer.symbol("file.create")
    writer.integers(rds.PAIRS)
    writer.write(str(target))
    writer.integers(rds.NULL)
    writer.pairs({"names": "call"})
    path = tmp_path / "file.rds"
    path.write_bytes(b"".join(writer.parts))
    node = read_rds(Place(path, "pset-ccle"))
    assert node.child("call").kind == "LANG" and not target.exists()
