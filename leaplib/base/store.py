"""Results on disk: frames that carry their provenance, whole or absent, found again by key."""

import hashlib
import json
import platform
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from leaplib.base.errors import DAMAGE, InputError, first_line
from leaplib.base.files import atomic_path

MOST_BYTES = 8 << 30  # of a frame: some hundred times the largest of a run
CHECKSUM, NO_CHECKSUM = "sha256 of the file", "0" * 64
_SEAL = re.compile(rb'("sha256 of the file": ")[0-9a-f]{64}')
PACKAGES = ("leaplib", "numpy", "numba", "pandas", "scipy", "scikit-learn", "torch")


def key_of(configuration: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a configuration: the same key, the same result."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True, default=str).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of what a result depends on."""
    return {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}


def save_frame(frame: pd.DataFrame, path: Path, configuration: Mapping[str, Any],
               without: Iterable[str] = ()) -> Path:  # fmt: skip
    """Write a frame with its configuration, key and package versions in the file's metadata.

    `without` names perturbations that the frame should have results of, and has not: see `missing_of`.
    """
    provenance = {"key": key_of(configuration), "configuration": configuration, "versions": versions()}
    provenance |= {"file": path.name}
    provenance |= {"without": names} if (names := list(without)) else {}
    provenance |= {CHECKSUM: NO_CHECKSUM}
    table = pa.Table.from_pandas(frame)
    metadata = {**(table.schema.metadata or {}), b"leap": json.dumps(provenance, default=str).encode()}
    content = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), content)
    with atomic_path(path) as temporary:
        temporary.write_bytes(_sealed(content.getvalue().to_pybytes()))
    return path


def _sealed(content: bytes) -> bytes:
    """Write the checksum of a whole file, made while zeros stand in its place, into the file."""
    return _SEAL.sub(rb"\g<1>" + hashlib.sha256(content).hexdigest().encode(), content)


def _read(path: Path) -> bytes:
    """Return a file's content; a single wrong byte of it, wherever, is a ValueError."""
    content = path.read_bytes()
    if _sealed(_SEAL.sub(rb"\g<1>" + NO_CHECKSUM.encode(), content)) != content or not _SEAL.search(content):
        raise ValueError("not as it was written")
    return content


def provenance(path: Path) -> dict[str, Any] | None:
    """Return what `save_frame` recorded, or None where there is no readable result."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return _provenance(path, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(maxsize=65536)
def _provenance(path: Path, *identity: int) -> dict[str, Any] | None:
    """Read all of a file, so that a single wrong byte is found, and remember what it recorded."""
    try:
        metadata = pq.read_schema(pa.BufferReader(_read(path))).metadata or {}
        recorded = json.loads(metadata[b"leap"])
    except (pa.ArrowException, *DAMAGE):
        return None  # truncated, altered or foreign: as good as absent, the run writes it again
    if not isinstance(recorded, dict) or not {"key", "configuration"} <= set(recorded):
        return None
    return recorded if recorded.get("file") == path.name else None  # else a copy of another


def is_done(path: Path, configuration: Mapping[str, Any]) -> bool:
    """Tell whether a file holds, whole, the result of just this configuration."""
    recorded = provenance(path)
    return recorded is not None and recorded["key"] == key_of(configuration)


def _table(content: bytes) -> pa.Table:
    """Return the table that a parquet file holds; a few bytes can ask for any amount of memory, so it is bounded."""
    with pq.ParquetFile(pa.BufferReader(content)) as file:
        about = file.metadata
        stated = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
        needed = max(stated, 8 * about.num_rows * about.num_columns)
    if needed > MOST_BYTES:
        raise ValueError(f"{about.num_rows:,} rows x {about.num_columns:,} columns, {needed:,} bytes, are too many")
    return pq.read_table(pa.BufferReader(content))


def missing_of(path: Path) -> list[str]:
    """Return the perturbations that a saved frame lacks, since they failed."""
    return (provenance(path) or {}).get("without", [])


def load_frame(path: Path) -> pd.DataFrame:
    """Read a frame; a missing or damaged file is an InputError that says how to make it again."""
    try:
        return _table(_read(path)).to_pandas()
    except (pa.ArrowException, *DAMAGE) as error:
        raise InputError(
            f"{path}: cannot be read ({first_line(error)}): run the notebook or `leap run` again, which makes it anew"
        ) from error
