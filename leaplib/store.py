"""Results on disk: frames that carry their provenance, whole or absent, found again by key."""

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from leaplib.errors import DAMAGE, InputError, first_line
from leaplib.files import atomic_path

PACKAGES = ("leaplib", "numpy", "numba", "pandas", "scipy", "scikit-learn", "torch")


def key_of(configuration: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a configuration: the same key, the same result."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True, default=str).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of what a result depends on."""
    return {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}


def save_frame(frame: pd.DataFrame, path: Path, configuration: Mapping[str, Any]) -> Path:
    """Write a frame with its configuration, key and package versions in the file's metadata."""
    provenance = {"key": key_of(configuration), "configuration": configuration, "versions": versions()}
    table = pa.Table.from_pandas(frame)
    metadata = {**(table.schema.metadata or {}), b"leap": json.dumps(provenance, default=str).encode()}
    with atomic_path(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary)
    return path


def provenance(path: Path) -> dict[str, Any] | None:
    """Return what `save_frame` recorded, or None where there is no readable result."""
    if not path.exists():
        return None
    try:
        recorded = json.loads((pq.read_schema(path).metadata or {})[b"leap"])
    except DAMAGE:
        return None  # truncated or foreign: as good as absent, the run writes it again
    return recorded if isinstance(recorded, dict) and {"key", "configuration"} <= set(recorded) else None


def is_done(path: Path, configuration: Mapping[str, Any]) -> bool:
    """Tell whether a file holds the result of just this configuration."""
    recorded = provenance(path)
    return recorded is not None and recorded["key"] == key_of(configuration)


def load_frame(path: Path) -> pd.DataFrame:
    """Read a frame; a missing or damaged file is an InputError that says how to make it again."""
    try:
        with open(path, "rb") as handle:  # given a folder, pandas would unite what is in it
            return pd.read_parquet(handle)
    except DAMAGE as error:
        raise InputError(
            f"{path}: cannot be read ({first_line(error)}): delete it and run the notebook or `leap run` again"
        ) from error
