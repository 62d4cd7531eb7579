"""rdata's parser of R's binary format, with bounds on what a few bytes of a file may ask for."""

from collections.abc import Callable, Mapping
from typing import Any

from rdata.parser import RObject
from rdata.parser._parser import DEFAULT_ALTREP_MAP, RObjectInfo
from rdata.parser._xdr import ParserXDR

COMPACT = (b"compact_intseq", b"compact_realseq")  # a vector such as 1:n, of which the file states n alone


def parse(data: bytes, limit: int, most_records: int) -> RObject:
    """Return the object in the body of an .rds file (what follows "X" and a new line).

    Raises
    ------
    ValueError
        When compact vectors are longer than `limit` bytes together, or there are more than `most_records` records.
    """
    return _Parser(memoryview(data), limit, most_records).parse_all().object


class _Parser(ParserXDR):
    """The parser, counting what it makes."""

    def __init__(self, data: memoryview, limit: int, most_records: int):
        super().__init__(data, expand_altrep=True, altrep_constructor_dict=_bounded(limit))
        self.size, self.records, self.most_records = len(data), 0, most_records

    def parse_R_object(self, *args: Any, **options: Any) -> RObject:
        """Parse a record and those within it."""
        self.records += 1
        if self.records > self.most_records:
            raise ValueError(f"it holds more than {self.most_records:,} records")
        return super().parse_R_object(*args, **options)

    def _parse_bytecode(self, reference_list: Any, bytecode_rep_list: Any = None) -> Any:
        """Parse a compiled function, which begins with the number of its parts that repeat."""
        if bytecode_rep_list is None:
            at = self.file.tell()
            repeated = self.parse_int()
            self.file.seek(at)
            if repeated > self.size:
                raise ValueError(f"a compiled function with {repeated:,} repeated parts")
        return super()._parse_bytecode(reference_list, bytecode_rep_list)


def _bounded(limit: int) -> Mapping[bytes, Callable[[RObject], tuple[RObjectInfo, Any]]]:
    """Return what makes compact vectors long, up to `limit` bytes in one file."""
    left = limit

    def bounded(make: Callable) -> Callable:
        def checked(state: RObject) -> tuple[RObjectInfo, Any]:
            nonlocal left
            left -= 8 * int(abs(state.value[0]))
            if left < 0:
                raise ValueError(f"compact vectors beyond {limit:,} bytes")
            return make(state)

        return checked

    return {name: bounded(make) if name in COMPACT else make for name, make in DEFAULT_ALTREP_MAP.items()}
