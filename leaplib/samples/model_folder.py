"""Model folders: what a user fits and keeps, as safetensors, JSON and parquet, versioned and checked on load."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from leaplib.base.errors import InputError
from leaplib.base.files import atomic_folder, sha256, write_text
from leaplib.base.store import versions

FORMAT, VERSION = "leaplib.model", 1
RECORD = "model.json"
SUFFIXES = (".safetensors", ".json", ".parquet")


def write_folder(folder: str | Path, content: Mapping[str, Any], fill: Callable[[Path], None]) -> Path:
    """Write a model folder: whole, or not at all.

    Parameters
    ----------
    folder : str or Path
        A model folder that is there is replaced; any other folder with files in it is left alone.
    content : mapping
        What `model.json` shall say beside format, version, packages and the checksums of all files.
    fill : callable
        Writes the files into the folder that it is given.

    Raises
    ------
    InputError
        When the folder is there and holds something else, or cannot be written.
    """
    folder = check_target(folder)
    try:
        with atomic_folder(folder) as temporary:
            fill(temporary)
            files = {path.relative_to(temporary).as_posix(): sha256(path)
                     for path in sorted(temporary.rglob("*")) if path.is_file()}  # fmt: skip
            record = {"format": FORMAT, "version": VERSION, **content, "packages": versions(), "files": files}
            write_text(temporary / RECORD, json.dumps(record, indent=1))
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}): choose another folder") from error
    return folder


def check_target(folder: str | Path) -> Path:
    """Refuse to replace what is no model folder."""
    folder = Path(folder)
    if folder.exists() and not (folder.is_dir() and ((folder / RECORD).is_file() or not any(folder.iterdir()))):
        raise InputError(f"{folder}: is there and no model folder: choose another folder")
    return folder


def read_record(folder: str | Path) -> dict[str, Any]:
    """Return `model.json` after checking format, version and every file.

    Raises
    ------
    InputError
        When there is no model, it was written by a newer leaplib, or a file is missing, changed or foreign.
    """
    folder = Path(folder)
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        kind, version, files = record["format"], int(record["version"]), dict(record["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        remedy = "give a folder that `leap fit` wrote"
        raise InputError(f"{folder}: no model folder, or its {RECORD} is damaged: {remedy}") from error
    if kind != FORMAT:
        raise InputError(f"{folder}: its format is {kind!r}, not {FORMAT!r}: give a folder that `leap fit` wrote")
    if version > VERSION:
        raise InputError(f"{folder}: format version {version} is newer than {VERSION}, the newest that this leaplib "
                         "reads: update leaplib")  # fmt: skip
    for name, checksum in files.items():
        _check(folder, name, checksum)
    return record


def _check(folder: Path, name: str, checksum: str) -> None:
    """Refuse a file that is missing, changed, of another kind, or outside the folder."""
    path = folder / name
    if path.suffix not in SUFFIXES or not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{folder}: {RECORD} lists {name!r}, which is no file of a model: fit the model again")
    if not path.is_file():
        raise InputError(f"{path}: is missing: copy the whole model folder, or fit the model again")
    if sha256(path) != checksum:
        raise InputError(f"{path}: is damaged or was changed (its checksum differs): copy the model folder again")
