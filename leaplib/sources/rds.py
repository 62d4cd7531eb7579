"""R's own files (.rds): objects that are walked by name and converted only where something is asked for.

`rdata` parses the file into R's records and evaluates nothing; functions, calls and environments stay inert. Its
conversion is used for vectors alone: of the whole object it would convert raw measurements of some gigabytes too, and
stop at data frames with columns that it does not know. Its unpacking, which knows no bounds, is not used.
"""

import bz2
import gzip
import io
import lzma
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from leaplib.sources.tabular import CHUNK, Place, check_columns, check_file, refusing_damage

if TYPE_CHECKING:
    from rdata.parser import RObject

NUMBERS = ("REAL", "INT", "LGL")
PACKED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
BINARY = b"X\n"  # how all files begin that saveRDS writes unless it is asked for text


def read_rds(place: Place) -> "Node":
    """Return the object of an .rds file; nothing in it is executed.

    The file is unpacked in memory, up to what the manifest allows. Numbers take their size twice; each cell of text
    takes some 500 bytes and 10 microseconds (measured on a written file), so that a study of several 100,000
    experiments takes gigabytes and minutes.
    """
    check_file(place)
    from rdata.parser import DEFAULT_ALTREP_MAP, parse_data  # slow to load

    left = place.limit

    def bounded(make: Callable) -> Callable:
        """Bound a vector such as 1:n, of which the file states n alone."""

        def checked(state: "RObject") -> Any:
            nonlocal left
            left -= 8 * int(abs(state.value[0]))
            if left < 0:
                raise ValueError("compact vectors longer than the manifest allows")
            return make(state)

        return checked

    makers = {name: bounded(make) if name.startswith(b"compact") else make for name, make in DEFAULT_ALTREP_MAP.items()}
    with refusing_damage(place, "no .rds file of R that can be read"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # parts that rdata leaves out are no loss here
        data = _unpacked(place.path.read_bytes(), place.limit)
        if not data.startswith(BINARY):
            raise ValueError("not R's binary format")
        return Node(parse_data(data, altrep_constructor_dict=makers).object, place)


def _unpacked(data: bytes, limit: int) -> bytes:
    """Return data as they were before gzip, bzip2 or xz packed them."""
    unpack = next((unpack for start, unpack in PACKED.items() if data.startswith(start)), None)
    if unpack is None:
        return data
    found = bytearray()
    with unpack(io.BytesIO(data)) as handle:
        while piece := handle.read(CHUNK):
            found += piece
            if len(found) > limit:
                raise ValueError(f"it unpacks to more than the {limit:,} bytes that are expected")
    return bytes(found)


def _converted(raw: "RObject") -> Any:
    """Return a vector as `rdata` gives it."""
    from rdata.conversion import SimpleConverter

    return SimpleConverter(default_encoding="utf-8").convert(raw)


def _pairs(raw: "RObject | None") -> Iterator[tuple[str, "RObject"]]:
    """Yield the named elements of a pair list."""
    while raw is not None and raw.info.type.name == "LIST":
        if raw.tag is not None:
            yield _converted(raw.tag.referenced_object or raw.tag), raw.value[0]
        raw = raw.value[1]


@dataclass(frozen=True)
class Node:
    """An R object and where it lies.

    Parameters
    ----------
    raw : RObject
        As `rdata` parses it.
    place : Place
        The file; its part is the way to the object ("sensitivity$info").
    """

    raw: "RObject"
    place: Place

    @property
    def kind(self) -> str:
        """R's type: "S4", "VEC" (a list), "REAL", "STR" ..."""
        return self.raw.info.type.name

    @property
    def classes(self) -> tuple[str, ...]:
        """What R's class() says, empty for plain vectors and lists."""
        return tuple(map(str, _converted(self._attributes["class"]))) if "class" in self._attributes else ()

    @cached_property
    def _attributes(self) -> dict[str, "RObject"]:
        return dict(_pairs(self.raw.attributes))

    @cached_property
    def members(self) -> dict[str, "RObject"]:
        """The slots of an S4 object, the named elements of a list or of an environment."""
        if self.kind == "S4":
            return self._attributes
        if self.kind == "ENV":
            tables = self.raw.value.hash_table
            buckets = tables.value if tables.info.type.name == "VEC" else []
            return dict(pair for pairs in [self.raw.value.frame, *buckets] for pair in _pairs(pairs))
        if self.kind == "VEC" and "names" in self._attributes:
            return dict(zip(map(str, _converted(self._attributes["names"])), self.raw.value, strict=True))
        return dict(_pairs(self.raw))

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def child(self, *names: str) -> "Node":
        """Return the first of these members that is there; none of them is an InputError that lists what is."""
        for name in names:
            if name in self.members:
                raw = self.members[name]
                part = f"{self.place.part}${name}" if self.place.part else name
                return Node(raw.referenced_object or raw, self.place.within(part))
        has = ", ".join(self.members) or "nothing"
        raise self.place.error(f"lacks {' or '.join(map(repr, names))}: has {has[:300]}")

    def vector(self) -> np.ndarray:
        """Return numbers as float, text and factors as objects; R's NA is None or NaN."""
        if self.kind not in ("STR", *NUMBERS):
            raise self.place.error(f"is no vector of text or numbers ({self.kind})")
        found = _converted(self.raw)
        if self.kind == "STR" or isinstance(found, pd.Categorical):
            return np.asarray(found, dtype=object)
        return np.ma.filled(np.ma.asarray(found, dtype=float), np.nan)

    def matrix(self) -> np.ndarray:
        """Return a matrix of numbers, rows x columns."""
        if self.kind not in NUMBERS or self.vector().ndim != 2:
            raise self.place.error("is no matrix of numbers")
        return self.vector()

    def table(self, *choices: Sequence[str]) -> pd.DataFrame:
        """Return columns of a data.frame or of Bioconductor's DataFrame: of each choice the first that is there.

        Without choices all columns of text and numbers. The index holds the row names, or counts from 1.
        """
        data = self.child("listData") if "listData" in self else self
        if data is self and "data.frame" not in self.classes:
            raise self.place.error(f"is no data frame but {' '.join(self.classes) or self.kind}")
        columns = [next((name for name in names if name in data), names[0]) for names in choices]
        columns = columns or [name for name in data.members if data.child(name).kind in ("STR", *NUMBERS)]
        check_columns(list(data.members), columns, self.place)
        values = {column: data.child(column).vector() for column in columns}
        index = self._row_names(len(next(iter(values.values()), ())))
        for column, value in values.items():
            if len(value) != len(index):
                raise self.place.error(f"column {column!r} has {len(value)} values for {len(index)} rows")
        return pd.DataFrame(values, index=index)

    def _row_names(self, n: int) -> pd.Index:
        """Return the names of `n` rows; unnamed rows are counted, in a data.frame R writes NA, -n for them."""
        if "row.names" not in self._attributes and "rownames" not in self:
            raise self.place.error("has no row names")
        names = self.child("rownames") if "rownames" in self else Node(self._attributes["row.names"], self.place)
        values = self.child("nrows").vector() if names.kind == "NILVALUE" else names.vector()
        if names.kind == "STR" or (names.kind != "NILVALUE" and not (len(values) == 2 and np.isnan(values[0]))):
            return pd.Index(values if names.kind == "STR" else values.astype(int)).astype(str)
        stated = int(abs(values[-1]))
        if stated != n:  # a wrong number of rows is not believed, however large
            raise self.place.error(f"a column has {n} values for {stated} rows")
        return pd.RangeIndex(1, n + 1).astype(str)
