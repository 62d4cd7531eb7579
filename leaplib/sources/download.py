"""Downloads of the manifest's files: resumed, checked, and whole or absent.

`pooch` holds the frame: it writes beside the target, compares the checksum, and moves a file into place only if
that is right. It cannot resume, retry on a refusal or tell a page from a file. That is done here, by the
downloader that it is handed: what has come of a file stays beside the target as `.<file>.part`, where the next
attempt or the next call goes on.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pooch
import requests
from requests.adapters import HTTPAdapter

from leaplib.base.errors import InputError
from leaplib.base.progress import byte_bar
from leaplib.sources.manifest import is_safe

if TYPE_CHECKING:
    from leaplib.sources.manifest import Source

FIGSHARE_API = "https://api.figshare.com/v2"
ATTEMPTS = 5
MAX_WAIT = 60  # seconds; a server that asks for more is asked again by the next call
TIMEOUT = (20, 60)  # seconds to connect, and between two packets
CHUNK = 1 << 16  # what a broken connection costs at most
MAX_API_BYTES = 16 << 20
PASSING = (202, 403, 408, 425, 429)  # figshare answers 202 or 403 to those it takes for robots, for a while
PAGE_STARTS = (b"<!doctype html", b"<html")
# "identity": a length and a range count bytes of the file, not of a compressed form of it.
HEADERS = {"User-Agent": "leaplib", "Accept-Encoding": "identity"}

Found = TypeVar("Found")

pooch.get_logger().setLevel("WARNING")  # its caller says what is fetched


class _Again(Exception):
    """The attempt failed in a way that may pass; `wait` is what the server asks for, in seconds, or 0."""

    def __init__(self, reason: str, wait: int = 0):
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Offer:
    """What a provider offers.

    Parameters
    ----------
    url : str
        The file's address.
    checksum : str
        As pooch writes it ("md5:..." or "sha256:..."), empty when none is known.
    size : int
        Bytes, 0 when unknown.
    """

    url: str
    checksum: str = ""
    size: int = 0


def download(source: "Source", say: Callable[[str], None] = print) -> bool:
    """Bring a file to its place in data/raw.

    Parameters
    ----------
    source : Source
        Of kind "download".
    say : callable
        Takes a line before each further attempt.

    Returns
    -------
    bool
        Whether its checksum was known, and so compared.

    Raises
    ------
    InputError
        When the file cannot be had, is not the one that is expected, or cannot be written. What lay at
        the target stays as it was.
    """
    offer = _offer(source, say)
    target = source.target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(
            offer.url,
            known_hash=offer.checksum or None,
            fname=target.name,
            path=target.parent,
            downloader=_Downloader(source, offer, say),
        )
    except InputError:
        raise
    except OSError as error:
        reason, mend = error.strerror or "no permission", "check permissions and disk space"
        raise InputError(f"{target.parent}: cannot be written ({reason}): {mend}") from error
    except ValueError as error:  # pooch's word for a checksum that differs
        raise _refusal(source, offer.url, "what came has a wrong checksum; try once more, then") from error
    return bool(offer.checksum)


def _offer(source: "Source", say: Callable[[str], None]) -> Offer:
    """Return what the manifest says, made complete by figshare's list where the article is known."""
    stated = f"sha256:{source.sha256}" if source.sha256 else f"md5:{source.md5}" if source.md5 else ""
    if not source.article:
        return Offer(source.url, stated)
    api = f"{FIGSHARE_API}/articles/{source.article}/versions/{source.version}"
    listed = _listed(source, api, _retrying(lambda: _read_json(source, api), source, api, say))
    md5 = listed.get("computed_md5") or listed.get("supplied_md5") or ""
    if source.md5 and md5 and md5.lower() != source.md5.lower():
        reason = f"the provider's file has changed (md5 {md5}, the manifest says {source.md5})"
        raise _refusal(source, api, reason)
    checksum = stated or (f"md5:{md5}" if md5 else "")
    size = listed.get("size")
    return Offer(listed.get("download_url") or source.url, checksum, size if isinstance(size, int) else 0)


def _listed(source: "Source", api: str, answer: object) -> dict:
    """Find the file in figshare's answer, by the id in the manifest's URL, else by its name."""
    files = answer.get("files") if isinstance(answer, dict) else None
    files = [file for file in files if isinstance(file, dict)] if isinstance(files, list) else []
    number = source.url.rstrip("/").rsplit("/", 1)[-1]
    for key, wanted in (("id", number), ("name", source.target.name)):
        for file in files:
            if str(file.get(key)) == wanted:
                return file
    raise _refusal(source, api, f"figshare does not list it ({len(files)} files)")


def _read_json(source: "Source", url: str) -> object:
    """Read a short JSON answer."""
    with _answer(source, url, {}) as response:
        text = b"".join(_bounded(response.iter_content(CHUNK), MAX_API_BYTES, source, url))
    try:
        return json.loads(text)
    except ValueError as error:
        raise _refusal(source, url, "the answer is not JSON") from error


@dataclass(frozen=True)
class _Part:
    """What has come of a file, and beside it the tag by which a server knows that its file is still the same."""

    path: Path

    @property
    def tag(self) -> Path:
        return self.path.with_name(self.path.name + ".tag")

    def size(self) -> int:
        """Return how many bytes can be kept; without a tag none can."""
        return self.path.stat().st_size if self.path.is_file() and self.tag.is_file() else 0

    def headers(self) -> dict[str, str]:
        """Ask for the rest, or for the whole file if it has changed meanwhile."""
        size = self.size()
        if not size:
            return {}
        tag = self.tag.read_text(encoding="latin-1")
        return {"Range": f"bytes={size}-", **({"If-Range": tag} if tag else {})}

    def start(self, response: requests.Response, checked: bool) -> None:
        """Begin anew; without a tag of the server's only a checksum can tell parts of two files apart."""
        etag = response.headers.get("ETag", "")
        tag = response.headers.get("Last-Modified", "") if etag.startswith("W/") or not etag else etag
        self.drop()
        if (tag or checked) and not _encoded(response):
            self.tag.write_text(tag, encoding="latin-1")

    def drop(self) -> None:
        """Remove all."""
        self.path.unlink(missing_ok=True)
        self.tag.unlink(missing_ok=True)


class _Downloader:
    """What pooch calls to fetch a file: resumes, and tries again.

    Parameters
    ----------
    source : Source
    offer : Offer
    say : callable
        Takes a line before each further attempt.
    """

    def __init__(self, source: "Source", offer: Offer, say: Callable[[str], None]):
        self.source, self.offer, self.say = source, offer, say
        self.part = _Part(source.target.with_name(f".{source.target.name}.part"))

    def __call__(self, url: str, output_file: str, caller: object) -> None:
        """Fetch `url` to `output_file`, which pooch then checks."""
        _retrying(lambda: self.attempt(url), self.source, url, self.say)
        os.replace(self.part.path, output_file)
        self.part.drop()

    def attempt(self, url: str) -> None:
        """Ask for what is missing and write it behind what is there."""
        asked = self.part.size()
        with _answer(self.source, url, self.part.headers()) as response:
            if not _continues(response, asked):
                self.part.drop()
                raise _Again("the part that is here cannot be continued")
            begin = asked if response.status_code == 206 else 0
            total = self.total(response, url)
            if not begin:
                self.part.start(response, bool(self.offer.checksum))
            try:
                self.write(response, begin, total)
            except InputError:  # a page, or more than was announced: nothing of it is kept
                self.part.drop()
                raise
        size = self.part.path.stat().st_size
        if total and size != total:
            raise _Again(f"the connection ended after {size} of {total} bytes")

    def total(self, response: requests.Response, url: str) -> int:
        """Return the size of the whole file, 0 when it is not known."""
        if response.status_code == 206:
            stated = response.headers["Content-Range"].rpartition("/")[2]
        else:
            stated = "" if _encoded(response) else response.headers.get("Content-Length", "")
        size, expected, most = int(stated) if stated.isdecimal() else 0, self.offer.size, self.source.limit
        if size > most or (size and expected and size != expected):
            self.part.drop()
            limit = f"{expected} are expected" if 0 < expected <= most else f"more than {most}"
            raise _refusal(self.source, url, f"the server sends {size} bytes, {limit}")
        return size or expected

    def write(self, response: requests.Response, begin: int, total: int) -> None:
        """Write the body from byte `begin` on."""
        most = min(total or self.source.limit, self.source.limit) - begin
        chunks = _bounded(response.iter_content(CHUNK), most, self.source, response.url)
        first = next(chunks, b"")
        if not first:
            raise _Again("the answer is empty")
        if not begin and first.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(PAGE_STARTS):
            raise _page(self.source, response.url)
        # Not opened for appending: two calls at once then write the same bytes to the same places.
        with (
            open(self.part.path, "r+b" if begin else "wb") as handle,
            byte_bar(self.source.target.name, begin, total) as bar,
        ):
            handle.seek(begin)
            while first:
                bar.update(handle.write(first))
                first = next(chunks, b"")


def _continues(response: requests.Response, begin: int) -> bool:
    """Tell whether an answer is a whole file, or goes on exactly at byte `begin`."""
    if response.status_code == 206:
        return response.headers.get("Content-Range", "").startswith(f"bytes {begin}-") and not _encoded(response)
    return response.status_code == 200


def _encoded(response: requests.Response) -> bool:
    """Tell whether the body is compressed for the way, so that its bytes are not the file's."""
    return response.headers.get("Content-Encoding", "identity").lower() != "identity"


def _bounded(chunks: Iterator[bytes], limit: int, source: "Source", url: str) -> Iterator[bytes]:
    """Pass chunks on, up to `limit` bytes in all."""
    seen = 0
    for chunk in chunks:
        seen += len(chunk)
        if seen > limit:
            raise _refusal(source, url, f"the server sends more than the {limit} bytes that are expected")
        yield chunk


class _Unencrypted(HTTPAdapter):
    """Unencrypted HTTP: for this machine alone, and never where an encrypted address redirects to it."""

    def __init__(self, asked: str):
        super().__init__()
        self.local = asked.startswith("http://") and is_safe(asked)

    def send(self, request: requests.PreparedRequest, *args, **options) -> requests.Response:
        """Send a request to this machine."""
        if not (self.local and is_safe(request.url or "")):
            raise requests.exceptions.InvalidSchema(f"{request.url} is not encrypted (https only)")
        return super().send(request, *args, **options)


def session_for(url: str) -> requests.Session:
    """Return a session that asks `url`, and what it redirects to, over https alone, this machine apart."""
    session = requests.Session()
    session.mount("http://", _Unencrypted(url))
    return session


@contextmanager
def _answer(source: "Source", url: str, headers: dict[str, str]) -> Iterator[requests.Response]:
    """Yield the answer to a GET: 200, 206 or 416 (no such range); all else raises."""
    with (
        session_for(url) as session,
        session.get(url, headers={**HEADERS, **headers}, stream=True, timeout=TIMEOUT) as response,
    ):
        status = response.status_code
        if status in PASSING or status >= 500:
            stated = response.headers.get("Retry-After", "")
            raise _Again(f"the server answers {status}", int(stated) if stated.isdecimal() else 0)
        if status in (404, 410):
            raise _refusal(source, url, f"the server does not have it ({status})")
        if status not in (200, 206, 416):
            raise _refusal(source, url, f"the server answers {status}")
        if status != 416 and response.headers.get("Content-Type", "").lower().startswith("text/html"):
            raise _page(source, url)
        yield response


def _retrying(action: Callable[[], Found], source: "Source", url: str, say: Callable[[str], None]) -> Found:
    """Call `action` until it works, at most ATTEMPTS times, with longer and longer waits."""
    for attempt in range(ATTEMPTS):
        try:
            return action()
        except (_Again, requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            reason = str(error) if isinstance(error, _Again) else f"the connection failed ({type(error).__name__})"
            if attempt == ATTEMPTS - 1:
                raise _refusal(source, url, f"{reason}, {ATTEMPTS} times; try again later, then") from error
            wait = min(getattr(error, "wait", 0) or 2**attempt, MAX_WAIT)
            say(f"{source.name}: {reason}; trying again in {wait} s")
            time.sleep(wait)
        except requests.RequestException as error:
            raise _refusal(source, url, f"the address cannot be used ({error})") from error
    raise AssertionError("the last attempt returns or raises")


def _page(source: "Source", url: str) -> InputError:
    """Say that a web page came, as from a login, a block or a check for robots."""
    return _refusal(source, url, "a web page (HTML) came instead of the file")


def _refusal(source: "Source", url: str, reason: str) -> InputError:
    """Name the file, the URL and the way to get it by hand."""
    return InputError(f"{source.name}: {source.file} not fetched from {url}: {reason}: {source.by_hand}")
