"""Downloads, from a server on this machine that can be told how to fail."""

import gzip
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from leaplib.__main__ import main
from leaplib.base.errors import InputError
from leaplib.sources import download, manifest
from leaplib.sources.download import fetch, fetch_all
from leaplib.sources.manifest import status

from .conftest import entry

BODY = bytes(range(256)) * 40
HALF = len(BODY) // 2
PAGE = b"\n<!DOCTYPE html><html>Are you a robot?</html>"


@dataclass
class Shop:
    """A server's one file, and how it answers: `answers` are used up one a request, then it serves soundly.

    An answer is a status, with its headers, or the number of bytes after which the connection is cut.
    """

    data: Path
    address: str = ""
    body: bytes = BODY
    ranges: bool = True
    etag: str = '"one"'
    mime: str = "text/csv"
    length: bool = True
    headers: dict = field(default_factory=dict)
    api: object = None
    answers: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    waits: list = field(default_factory=list)

    @property
    def target(self) -> Path:
        return self.data / "raw" / "folder" / "file.csv"

    def left(self) -> list[str]:
        return sorted(path.name for path in self.target.parent.iterdir())

    def offer(self, url: str = "", **keys: str | int) -> None:
        """Write the manifest."""
        known = {"name": "it", "kind": "download", "file": "folder/file.csv", "url": url or f"{self.address}/files/7"}
        (self.data / manifest.MANIFEST).write_text(entry(**known | {"page": "the page"} | keys))


class Handler(BaseHTTPRequestHandler):
    shop: Shop

    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:
        shop = self.shop
        shop.asked.append((self.path, dict(self.headers)))
        if self.path.startswith("/v2/"):
            return self.reply(200, json.dumps(shop.api).encode(), {"Content-Type": "application/json"})
        answer = shop.answers.pop(0) if shop.answers else {}
        if "status" in answer:
            return self.reply(answer["status"], b"no", answer.get("headers", {}))
        return self.serve(shop.body, answer.get("cut"))

    def serve(self, body: bytes, cut: int | None) -> None:
        shop = self.shop
        headers = {"Content-Type": shop.mime, **({"ETag": shop.etag} if shop.etag else {}), **shop.headers}
        begin, same = 0, self.headers.get("If-Range", shop.etag) == shop.etag
        if shop.ranges and same and "Range" in self.headers:
            begin = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if begin >= len(body):
                return self.reply(416, b"", {})
            headers["Content-Range"] = f"bytes {begin}-{len(body) - 1}/{len(body)}"
        self.reply(206 if "Content-Range" in headers else 200, body[begin:], headers, cut)

    def reply(self, code: int, body: bytes, headers: dict, cut: int | None = None) -> None:
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key, value)
        if self.shop.length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut])


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    here = Shop(tmp_path / "data")
    here.data.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"shop": here}))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    here.address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("LEAP_DATA", str(here.data))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "FIGSHARE_API", f"{here.address}/v2")
    monkeypatch.setattr(download, "CHUNK", 1 << 10)
    monkeypatch.setattr("urllib3.util.retry.time.sleep", here.waits.append)
    here.offer()
    yield here
    server.shutdown()
    server.server_close()


def md5(body: bytes = BODY) -> str:
    return hashlib.md5(body).hexdigest()


def refused(shop: Shop, message: str) -> str:
    """Fetch; the error names the file, the URL and the way by hand, in one line."""
    with pytest.raises(InputError, match=message) as error:
        fetch("it", say=str)
    text = str(error.value)
    assert "folder/file.csv" in text and "http" in text and "\n" not in text
    assert f"(the page) and put it at {shop.target}" in text
    return text


def arrives(shop: Shop) -> None:
    """Fetch; the whole file comes, and nothing beside it."""
    assert fetch("it", say=str) == [shop.target]
    assert shop.target.read_bytes() == shop.body and shop.left() == ["file.csv"]


def test_a_file_is_fetched_once_and_quietly_in_batch(shop: Shop, capfd, monkeypatch) -> None:
    monkeypatch.setenv("LEAP_BATCH", "1")
    assert main(["data", "fetch", "it"]) == 0
    assert capfd.readouterr() == ("it: folder/file.csv fetched (no checksum is known)\n", "")
    assert status()["state"].tolist() == ["present"]
    arrives(shop)
    assert len(shop.asked) == 1
    shop.target.unlink()
    monkeypatch.delenv("LEAP_BATCH")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)  # a person sees a bar
    assert main(["data", "fetch", "it"]) == 0 and "file.csv" in capfd.readouterr().err


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_known_checksum_is_compared_and_a_bad_file_replaced(shop: Shop, algorithm: str) -> None:
    said: list[str] = []
    shop.offer(**{algorithm: hashlib.new(algorithm, BODY).hexdigest()})
    shop.target.parent.mkdir(parents=True)
    shop.target.write_bytes(b"altered")
    fetch("it", say=said.append)
    assert said == [
        "it: folder/file.csv has a wrong checksum: fetching it again",
        "it: folder/file.csv fetched and verified",
    ]
    assert status()["state"].tolist() == ["verified"] and shop.target.read_bytes() == BODY


def test_a_wrong_checksum_is_refused_and_leaves_what_was_there(shop: Shop) -> None:
    shop.offer(md5=md5(b"another"))
    refused(shop, "wrong checksum")
    assert shop.left() == []
    shop.target.write_bytes(b"older")
    refused(shop, "wrong checksum")
    assert shop.target.read_bytes() == b"older" and shop.left() == ["file.csv"]


def test_a_body_that_is_packed_for_the_way_is_unpacked_and_not_continued(shop: Shop) -> None:
    packed = gzip.compress(BODY)
    shop.headers = {"Content-Encoding": "gzip"}
    shop.body, shop.answers = packed, [{"cut": len(packed) // 2}]
    fetch("it", say=str)
    assert shop.target.read_bytes() == BODY and "Range" not in shop.asked[1][1]


@pytest.mark.parametrize("code", [202, 403, 429])
def test_a_refusal_that_passes_is_waited_out_within_bounds(shop: Shop, code: int) -> None:
    shop.answers = [{"status": code, "headers": {"Retry-After": seconds}} for seconds in ("7", "86400")]
    arrives(shop)
    assert len(shop.asked) == 3 and (code != 429 or shop.waits == [7, 60])


def test_a_refusal_that_lasts_and_a_server_that_is_not_there_are_errors(shop: Shop) -> None:
    for code, n_asked in ((403, download.ATTEMPTS), (404, 1)):
        shop.answers, shop.asked = [{"status": code}] * 99, []
        refused(shop, f"the server answers {code}")
        assert len(shop.asked) == n_asked and shop.left() == []
    shop.waits.clear()
    shop.offer(url="http://127.0.0.1:9/file")
    refused(shop, "the connection failed")
    assert len(shop.waits) == download.ATTEMPTS - 2  # the first time it is asked again at once


@pytest.mark.parametrize("calls", [1, 2])
def test_a_truncated_body_is_noticed_and_resumed_at_once_or_by_the_next_call(shop: Shop, monkeypatch, calls) -> None:
    shop.answers = [{"cut": HALF}]
    if calls == 2:
        with monkeypatch.context() as patch:
            patch.setattr(download, "ATTEMPTS", 1)
            refused(shop, "connection")
        assert not shop.target.exists() and len(shop.left()) == 1
    arrives(shop)
    assert shop.asked[1][1]["Range"] == f"bytes={HALF}-" and shop.asked[1][1]["If-Range"] == '"one"'


@pytest.mark.parametrize("changed", [False, True])
def test_without_ranges_or_where_the_file_changed_it_starts_again(shop: Shop, monkeypatch, changed: bool) -> None:
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    shop.answers = [{"cut": HALF}]
    refused(shop, "connection")
    shop.ranges = changed
    if changed:
        shop.etag, shop.body = '"two"', BODY[::-1] + b"more"
    arrives(shop)


@pytest.mark.parametrize("known", [True, False])
def test_without_a_tag_only_a_checksum_allows_to_resume(shop: Shop, known: bool) -> None:
    shop.etag, shop.answers = "", [{"cut": HALF}]
    shop.offer(**({"md5": md5()} if known else {}))
    arrives(shop)
    assert ("Range" in shop.asked[1][1]) is known and "If-Range" not in shop.asked[1][1]
    if known:  # a part that the server cannot continue is dropped
        shop.target.unlink()
        shop.target.with_name(".file.csv.%22one%22.part").write_bytes(BODY + b"too long")
        arrives(shop)


@pytest.mark.parametrize(
    ("mime", "body", "says"),
    [("text/html; charset=utf-8", BODY, "a web page"), ("text/csv", PAGE, "a web page"), ("text/csv", b"", "5 times")],
)
def test_a_page_by_its_type_or_its_first_bytes_and_nothing_are_no_file(shop: Shop, mime, body, says) -> None:
    shop.mime, shop.body = mime, body
    refused(shop, says)
    assert len(shop.asked) == (1 if body else download.ATTEMPTS) and not shop.target.exists()


def test_a_full_disk_is_bad_input(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download, "byte_bar", full)
    with pytest.raises(InputError, match="No space left on device"):
        fetch("it")
    assert not shop.target.exists()


def offer_article(shop: Shop, manifest_keys: dict | None = None, **keys: object) -> None:
    """Write the manifest, and figshare's list with its entry of the file."""
    shop.offer(article="12", version="3", **(manifest_keys or {}))
    entry = {"id": 7, "name": "file.csv", "size": len(BODY), "computed_md5": md5()}
    entry |= {"download_url": f"{shop.address}/elsewhere/7", **keys}
    shop.api = {"files": [{"id": 6, "name": "another.csv"}, entry]}


@pytest.mark.parametrize("number", [7, 8], ids=["by id", "by name, where the id is new"])
def test_figshare_s_list_states_address_and_md5(shop: Shop, number: int) -> None:
    said: list[str] = []
    offer_article(shop, id=number)
    fetch("it", say=said.append)
    assert [path for path, _ in shop.asked] == ["/v2/articles/12/versions/3", "/elsewhere/7"]
    assert said == ["it: folder/file.csv fetched and verified"] and shop.target.read_bytes() == BODY


def test_what_differs_from_figshare_s_list_is_refused(shop: Shop) -> None:
    offer_article(shop, computed_md5=md5(b"another"))
    refused(shop, "wrong checksum")
    offer_article(shop, size=5)
    refused(shop, f"sends {len(BODY)} bytes, 5 are expected")
    shop.length = False
    refused(shop, "more than the 5 bytes")
    offer_article(shop)
    shop.answers = [{"cut": HALF}]  # shorter than listed, which no length says
    arrives(shop)
    assert shop.asked[-1][1]["Range"] == f"bytes={HALF}-"


def test_an_md5_that_changed_and_a_list_without_the_file_are_told_before_anything_is_fetched(shop: Shop) -> None:
    offer_article(shop, {"md5": md5()}, computed_md5="f" * 32)
    assert md5() in refused(shop, f"the provider's file has changed \\(md5 {'f' * 32}")
    for shop.api in ({"files": []}, {"message": "no such article"}, None, {"files": ["x"]}):
        refused(shop, "figshare does not list it")
    assert len(shop.asked) == 5


# ---- all at once


def offer_several(shop: Shop, **urls: str) -> None:
    """Write a manifest of several files, of which a and c are a group."""
    groups = {"a": {"group": "pair"}, "c": {"group": "pair"}}
    entries = [
        entry(name, kind="download", file=f"{name}.csv", url=url, page=f"page of {name}", **groups.get(name, {}))
        for name, url in urls.items()
    ]
    (shop.data / manifest.MANIFEST).write_text("\n".join(entries))


def test_all_is_told_with_its_size_then_fetched_and_what_fails_is_returned(shop: Shop) -> None:
    sound = f"{shop.address}/files/7"
    offer_several(shop, a=sound, b="http://127.0.0.1:9/file", c=sound)
    said: list[str] = []
    asked: list[str] = []
    failed = fetch_all(lambda question: asked.append(question) or True, said.append)
    assert "in all 3 files, 0 MB and 1 of a size not told" in asked[0] and "GB are free" in asked[0]
    assert said[:2] == ["pair: 2 files, 0 MB", "b: 1 file, 1 of a size not told"]
    assert all((shop.data / "raw" / f"{name}.csv").read_bytes() == BODY for name in "ac")
    assert len(failed) == 1 and "page of b" in failed[0] and str(shop.data / "raw" / "b.csv") in failed[0]
    fetch_all(lambda question: asked.append(question) or False, said.append)
    assert asked[1].startswith("in all 1 file") and said[-1].endswith("Nothing is fetched")


def test_all_needs_room_and_a_word_and_leaves_all_as_it_is_without(shop: Shop, monkeypatch, capsys) -> None:
    offer_several(shop, a=f"{shop.address}/files/7")
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert main(["data", "fetch", "all"]) == 2 and "give --yes" in capsys.readouterr().err
    usage = download.shutil.disk_usage(shop.data)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage._replace(free=len(BODY) - 1))
    assert main(["data", "fetch", "all", "--yes"]) == 2 and "make room" in capsys.readouterr().err
    assert not (shop.data / "raw" / "a.csv").exists()
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    assert main(["data", "fetch", "all", "--yes"]) == 0 and (shop.data / "raw" / "a.csv").read_bytes() == BODY


def test_no_more_than_three_connections_are_open_at_once(shop: Shop, monkeypatch) -> None:
    offer_several(shop, **{f"g{i}": f"{shop.address}/files/7" for i in range(7)})
    open_now, most, bar = list[int](), list[int](), download.byte_bar

    @contextmanager
    def counted(*args) -> Iterator[object]:
        open_now.append(1)
        most.append(len(open_now))
        threading.Event().wait(0.05)
        with bar(*args) as shown:
            yield shown
        open_now.pop()

    monkeypatch.setattr(download, "byte_bar", counted)
    assert fetch_all(lambda _: True, str) == [] and 2 <= max(most) <= 3
