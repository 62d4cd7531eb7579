"""The reader of R's files: on what R itself wrote, and on what the tests' own writer writes."""

import gzip
import lzma
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdata

from leaplib.base.errors import InputError
from leaplib.sources.psets import Node, read_rds
from leaplib.sources.tabular import Place

from . import rds
from .rds import S4, Environment, Factor, Frame, Latin1, Matrix, data_frame, serialise, write_rds

SHARED = Environment({"text": "y"})
VALUE = S4(
    "Thing",
    {
        "number": np.array([1.5, np.nan, -np.inf]),
        "whole": np.array([3, -(2**31)], dtype=np.int32),
        "flag": np.array([True, False]),
        "text": ["a", None, "µ", Latin1("µ"), "NA", ""],
        "factor": Factor(["b", None, "a", "b"]),
        "list": {"number": np.array([2.0]), "inner": {"text": "x"}, "shared": SHARED},
        "plain": [np.array([2.0])],
        "place": Environment({"number": Matrix(np.arange(6.0).reshape(2, 3)), "text": "y"}),
        "unhashed": Environment({"one": "x", "two": "y"}, hashed=False),
        "again": SHARED,
        "frame": Frame({"text": ["a", "b"], "number": np.array([1.0, 2.0]), "whole": np.array([1, 2])}, ["r1", "r2"]),
        "unnamed": Frame({"text": Factor(["a", "b", "a"]), "objects": [["x"], ["y"], ["z"]]}),
        "numbered": Frame({"text": ["a", "b"]}, [7, 5]),
        "bioc": data_frame({"text": ["a", "b"]}, 2),
        "bioc_named": data_frame({"text": ["a", "b"]}, 2, ["r1", "r2"]),
        "unequal": Frame({"a": ["x", "y"], "b": ["x"]}, ["1", "2"]),
    },
)


@pytest.fixture(params=[2, 3])
def node(tmp_path: Path, request) -> Node:
    return read_rds(Place(write_rds(tmp_path / "file.rds", VALUE, request.param), "pset-ccle"))


def test_a_file_of_r_is_read_and_the_writer_writes_what_r_writes(tmp_path: Path) -> None:
    # R 4.1.3: saveRDS(data.frame(class = factor(c("a", "b", "b")), value = 1:3), version = 2)
    theirs = (rdata.TESTDATA_PATH / "test_dataframe.rds").read_bytes()
    frame = Frame({"class": Factor(["a", "b", "b"]), "value": np.array([1, 2, 3], dtype=np.int32)})
    assert serialise(frame, version=2)[14:] == gzip.decompress(theirs)[14:]  # behind the version of R
    (tmp_path / "file.rds").write_bytes(theirs)
    found = read_rds(Place(tmp_path / "file.rds", "pset-ccle")).table()
    expected = pd.DataFrame({"class": ["a", "b", "b"], "value": [1.0, 2.0, 3.0]}, index=["1", "2", "3"])
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_vectors_lists_and_environments(node: Node) -> None:
    assert node.kind == "S4" and node.classes == ("Thing",)
    for name, values in {"number": [1.5, np.nan, -np.inf], "whole": [3, np.nan], "flag": [1, 0]}.items():
        np.testing.assert_array_equal(node.child(name).vector(), values)
    assert node.child("text").vector().tolist() == ["a", None, "µ", "µ", "NA", ""]
    assert pd.Series(node.child("factor").vector()).fillna("").tolist() == ["b", "", "a", "b"]
    inner = node.child("list").child("inner")
    assert inner.child("text").vector().tolist() == ["x"] and inner.place.part == "list$inner"
    np.testing.assert_array_equal(node.child("place").child("number").matrix(), [[0, 1, 2], [3, 4, 5]])
    assert set(node.child("place").members) == {"number", "text"}
    assert node.child("unhashed").child("two").vector().tolist() == ["y"]
    for place in (node.child("list").child("shared"), node.child("again")):  # one object in two places
        assert place.child("text").vector().tolist() == ["y"]
    assert list(node.child("plain").members) == [] and "number" not in node.child("plain")
    assert node.child("none", "text").place.part == "text"


def test_tables(node: Node) -> None:
    frame = node.child("frame").table()
    assert frame.reset_index().to_numpy().tolist() == [["r1", "a", 1, 1], ["r2", "b", 2, 2]]
    assert list(node.child("frame").table(["whole"], ["none", "text"])) == ["whole", "text"]
    unnamed = node.child("unnamed").table()  # a column of objects is none of text or numbers
    assert unnamed.reset_index().to_numpy().tolist() == [["1", "a"], ["2", "b"], ["3", "a"]]
    rows = {name: node.child(name).table().index.tolist() for name in ("numbered", "bioc", "bioc_named")}
    assert rows == {"numbered": ["7", "5"], "bioc": ["1", "2"], "bioc_named": ["r1", "r2"]}


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
        (lambda n: n.child("unequal").table(), "column 'b' has 1 values for 2 rows"),
    ],
)
def test_what_is_not_there_is_named(node: Node, ask, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        ask(node)
    assert "leap data fetch pset-ccle" in str(caught.value)


def test_files_that_are_no_rds_or_cut_anywhere(tmp_path: Path) -> None:
    path, plain = tmp_path / "file.rds", serialise(VALUE)
    whole = gzip.compress(plain)
    bad = [gzip.compress(b"line,drug\n"), gzip.compress(b""), whole[:200] + bytes(50) + whole[250:]]
    for data in (*bad, lzma.compress(plain)[:-20], *(plain[:length] for length in range(30, len(plain), 7))):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"no \.rds file.*leap data fetch pset-ccle") as caught:
            read_rds(Place(path, "pset-ccle"))
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    path.write_bytes(plain)
    assert read_rds(Place(path, "pset-ccle")).classes == ("Thing",)


def test_nothing_is_executed(tmp_path: Path) -> None:
    """A call in the file stays a record: R's `file.create(...)`, as a promise to be evaluated."""
    path, target, writer = tmp_path / "file.rds", tmp_path / "created", rds.Writer()
    writer.parts.append(b"X\n")
    writer.integers(2, 0x30602, 0x20300, rds.LIST | rds.ATTRIBUTES, 1, 6)  # a list of one call
    writer.symbol("file.create")
    writer.integers(rds.PAIRS)
    writer.write(str(target))
    writer.integers(rds.NULL)
    writer.pairs({"names": "call"})
    path.write_bytes(b"".join(writer.parts))
    assert read_rds(Place(path, "pset-ccle")).child("call").kind == "LANG" and not target.exists()
