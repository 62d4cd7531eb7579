"""A restricted reader for pickled dictionaries of tensors.

A pickle is a small program, and an ordinary reader runs whatever it asks for. This one admits only the instructions
that build plain values, then resolves no name but the three that a tensor needs. Each of the three is our own
stand-in, so nothing outside this file is ever called by a pickle.
"""

import io
import pickle
import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from leaplib.sources.tabular import Place

# What pickle protocol 4 uses for dictionaries, text, numbers, tensors. Left out on purpose: BUILD, INST, OBJ, NEWOBJ
# (object state and classes), EXT (the extension registry), PERSID (persistent ids), and the indexed PUT family, whose
# index decides how much memory is reserved.
OPCODES = """PROTO FRAME MARK STOP EMPTY_DICT SETITEM SETITEMS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND
    APPENDS NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT SHORT_BINUNICODE BINUNICODE BINUNICODE8
    SHORT_BINBYTES BINBYTES BINBYTES8 MEMOIZE BINGET LONG_BINGET STACK_GLOBAL GLOBAL REDUCE""".split()  # noqa: SIM905


def read_tensors(data: bytes, place: Place) -> dict[str, Any]:
    """Read a pickled dict of name to tensor (which becomes an array), text or number.

    Raises
    ------
    InputError
        When the pickle asks for anything but the rebuilding of tensors, is truncated, or holds something else than
        such a dict. Nothing it asks for has been executed then.
    """
    try:
        for opcode, _, position in pickletools.genops(data):
            if opcode.name not in OPCODES:
                raise pickle.UnpicklingError(f"instruction {opcode.name} at byte {position}")
        value = _TensorUnpickler(data).load()
    except Exception as error:  # a hostile file may fail in any way: each is bad input, none our defect
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise place.error(f"refused, no plain pickle of tensors ({reason})") from error
    kinds = (np.ndarray, str, float, int, bool, type(None))
    plain = isinstance(value, dict) and all(isinstance(key, str) for key in value)
    if not plain or not all(isinstance(item, kinds) for item in value.values()):
        raise place.error("refused, not a dictionary of names to tensors or text")
    return value


class _TensorUnpickler(pickle.Unpickler):
    """An unpickler that knows three names, each replaced by a stand-in."""

    def __init__(self, data: bytes):
        super().__init__(io.BytesIO(data))
        self.left = len(data)  # bytes of arrays yet to make: each has its own numbers in the pickle

    def find_class(self, module: str, name: str) -> Callable:
        """Return the stand-in of a name, or refuse it."""
        known: dict[tuple[str, str], Callable] = {
            ("torch._utils", "_rebuild_tensor_v2"): self._rebuild,
            ("torch.storage", "_load_from_bytes"): _load_storage,
            ("collections", "OrderedDict"): lambda: {},  # of hooks, empty
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it calls {module}.{name}")
        return known[module, name]

    def _rebuild(self, flat: torch.Tensor, offset: int, size: tuple, stride: tuple, *_: object) -> np.ndarray:
        """Cut a tensor out of its numbers; torch refuses bounds outside of them."""
        count = np.prod(size, dtype=float)
        if count > flat.numel():
            raise pickle.UnpicklingError(f"a tensor of shape {size} in {flat.numel()} numbers")
        self.left -= int(count) * flat.element_size()
        if self.left < 0:
            raise pickle.UnpicklingError("tensors larger than the pickle itself")
        return flat.as_strided(size, stride, offset).numpy().copy()


def _load_storage(data: bytes) -> torch.Tensor:
    """Load a tensor's numbers, which are a pickle again, through torch's own restricted reader."""
    if data.startswith(b"PK"):  # torch's newer form, which would be unpacked at one go
        raise pickle.UnpicklingError("an archive where a tensor's numbers should be")
    storage = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    if not isinstance(storage, torch.storage.TypedStorage):
        raise pickle.UnpicklingError(f"a {type(storage).__name__} where a tensor's numbers should be")
    return torch.empty(0, dtype=storage.dtype).set_(storage)
