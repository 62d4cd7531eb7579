"""Writes R objects as R's saveRDS does (binary, big-endian), after the manual "R Internals", section 1.8."""

import gzip
import struct
from collections import namedtuple
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

SYMBOL, PAIRS, ENVIRONMENT, CHAR, LOGICAL, INTEGER, REAL, TEXT, LIST, S4_TYPE = 1, 2, 4, 9, 10, 13, 14, 16, 19, 25
EMPTY_ENVIRONMENT, NULL, REFERENCE = 242, 254, 255
OBJECT, ATTRIBUTES, TAG = 1 << 8, 1 << 9, 1 << 10
ASCII, UTF8, LATIN1, IS_S4 = 64 << 12, 8 << 12, 4 << 12, 16 << 12
NA_INTEGER = -(2**31)
NA_REAL = bytes.fromhex("7ff00000000007a2")


Factor = namedtuple("Factor", "values")
Environment = namedtuple("Environment", ("members", "hashed"), defaults=(True,))
Matrix = namedtuple("Matrix", "values")
Latin1 = namedtuple("Latin1", "text")
Class = namedtuple("Class", ("name", "package"))


@dataclass
class Frame:
    """A data.frame; without names of rows R writes their number alone."""

    columns: Mapping[str, object]
    rows: Sequence[str] | Sequence[int] | None = None


@dataclass
class S4:
    name: str
    slots: Mapping[str, object] = field(default_factory=dict)
    package: str = "PharmacoGx"


def data_frame(columns: Mapping[str, object], n: int, rows: Sequence[str] | None = None) -> S4:
    """Bioconductor's DataFrame."""
    slots = {
        "rownames": list(rows) if rows else None,
        "nrows": np.array([n], dtype=np.int32),
        "listData": dict(columns),
    }
    return S4("DFrame", slots | {"elementType": "ANY", "metadata": []}, "S4Vectors")


class Writer:
    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.known: dict[object, int] = {}

    def integers(self, *values: int) -> None:
        self.parts.append(struct.pack(f">{len(values)}i", *values))

    def pairs(self, pairs: Mapping[str, object]) -> None:
        for name, value in pairs.items():
            self.integers(PAIRS | TAG)
            self.symbol(name)
            self.write(value)
        self.integers(NULL)

    def symbol(self, name: str) -> None:
        """A symbol is written once, then its number."""
        if name in self.known:
            self.integers(self.known[name] << 8 | REFERENCE)
            return
        self.known[name] = len(self.known) + 1
        self.integers(SYMBOL)
        self.char(name)

    def char(self, text: str | Latin1 | None) -> None:
        if text is None:
            self.integers(CHAR, -1)
            return
        if isinstance(text, Latin1):
            data, flag = text.text.encode("latin-1"), LATIN1
        else:
            data, flag = text.encode(), ASCII if text.isascii() else UTF8
        self.integers(CHAR | flag, len(data))
        self.parts.append(data)

    def texts(self, texts: Sequence, attributes: Mapping[str, object] | None = None) -> None:
        self.integers(TEXT | (ATTRIBUTES if attributes else 0), len(texts))
        for text in texts:
            self.char(text)
        if attributes:
            self.pairs(attributes)

    def array(self, values: np.ndarray, attributes: Mapping[str, object] | None = None, flags: int = 0) -> None:
        flags |= ATTRIBUTES if attributes else 0
        kind = {"b": LOGICAL, "i": INTEGER, "f": REAL}[values.dtype.kind]
        self.integers(kind | flags, values.size)
        flat = values.ravel(order="F")
        if kind == REAL:
            self.parts += [NA_REAL if np.isnan(value) else struct.pack(">d", value) for value in flat]
        else:
            self.integers(*map(int, flat))
        if attributes:
            self.pairs(attributes)

    def items(self, items: Sequence, attributes: Mapping[str, object] | None = None, flags: int = 0) -> None:
        self.integers(LIST | flags | (ATTRIBUTES if attributes else 0), len(items))
        for item in items:
            self.write(item)
        if attributes:
            self.pairs(attributes)

    def frame(self, frame: Frame) -> None:
        columns = list(frame.columns.values())
        rows: object = frame.rows
        if rows is None:
            n = len(getattr(columns[0], "values", columns[0])) if columns else 0
            rows = np.array([NA_INTEGER, -n], dtype=np.int32)
        elif rows and isinstance(rows[0], int):
            rows = np.array(rows, dtype=np.int32)
        named = {"names": list(frame.columns), "class": "data.frame", "row.names": rows}
        self.items(columns, named, OBJECT)

    def environment(self, value: Environment) -> None:
        if id(value) in self.known:
            self.integers(self.known[id(value)] << 8 | REFERENCE)
            return
        self.known[id(value)] = len(self.known) + 1
        self.integers(ENVIRONMENT, 0, EMPTY_ENVIRONMENT)
        if value.hashed:
            self.integers(NULL, LIST, len(value.members) + 1, NULL)  # no frame, and a table whose first bucket is empty
            for name, member in value.members.items():
                self.pairs({name: member})
        else:
            self.pairs(value.members)
            self.integers(NULL)
        self.integers(NULL)

    def write(self, value: object) -> None:
        match value:
            case None:
                self.integers(NULL)
            case str():
                self.texts([value])
            case dict():
                self.items(list(value.values()), {"names": list(value)} if value else None)
            case list() if value and all(isinstance(text, str | Latin1 | None) for text in value):
                self.texts(value)
            case list():
                self.items(value)
            case np.ndarray():
                self.array(value)
            case Matrix():
                self.array(value.values, {"dim": np.array(value.values.shape, dtype=np.int32)})
            case Factor():
                levels = sorted({text for text in value.values if text is not None})
                codes = [NA_INTEGER if text is None else levels.index(text) + 1 for text in value.values]
                self.array(np.array(codes, dtype=np.int32), {"levels": levels, "class": "factor"}, OBJECT)
            case Frame():
                self.frame(value)
            case Environment():
                self.environment(value)
            case S4():
                self.integers(S4_TYPE | OBJECT | ATTRIBUTES | IS_S4)
                self.pairs({**value.slots, "class": Class(value.name, value.package)})
            case Class():
                self.texts([value.name], {"package": value.package})
            case _:
                raise TypeError(f"no way to write {value!r}")


def serialise(value: object, version: int = 3) -> bytes:
    """Return what R's serialize() does, without compression."""
    writer = Writer()
    writer.parts.append(b"X\n")
    if version == 3:
        writer.integers(3, 0x40003, 0x30500, 5)
        writer.parts.append(b"UTF-8")
    else:
        writer.integers(2, 0x30602, 0x20300)
    writer.write(value)
    return b"".join(writer.parts)


def write_rds(path: Path, value: object, version: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(serialise(value, version), compresslevel=1))
    return path
