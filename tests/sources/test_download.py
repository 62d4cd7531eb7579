"""Downloads, from a server on this machine that can be told how to fail."""

import gzip
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from leaplib.__main__ import main
from leaplib.base.errors import InputError
from leaplib.sources import download, manifest, status
from leaplib.sources.download import fetch, fetch_all

BODY = bytes(range(256)) * 40
HALF = len(BODY) // 2
PAGE = b"\n<!DOCTYPE html><html>Are you a robot?</html>"


@dataclass
class Shop:
    """A server's one file, and how it answers: `answers` are used up one a request, then it serves soundly.

    An answer is a status, or a number of bytes after which the connection is cut ("cut"), or a body ("body").
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
        entry = {"name": "it", "kind": "download", "file": "folder/file.csv", "url": url or f"{self.address}/files/7"}
        entry |= {"release": "r", "licence": "l", "page": "the page", **keys}
        lines = [f"{key} = {json.dumps(value)}" for key, value in entry.items()]
        text = "\n".join(["[[source]]", *lines, 'enables = ["1a"]', ""])
        (self.data / manifest.MANIFEST).write_text(text)


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
        return self.serve(answer.get("body", shop.body), answer.get("cut"))

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
    monkeypatch.setattr(download.time, "sleep", here.waits.append)
    here.offer()
    yield here
    server.shutdown()
    server.server_close()


def md5(body: bytes = BODY) -> str:
    return hashlib.md5(body).hexdigest()


def refused(shop: Shop, message: str) -> str:
    """Fetch; the error names the file, the URL and the way by hand, in one line."""
    with pytest.raises(InputError, match=message) as error:
        fetch("it", say=lambda _: None)
    text = str(error.value)
    assert "folder/file.csv" in text and "http" in text and "\n" not in text
    assert f"(the page) and put it at {shop.target}" in text
    return text


def test_a_file_is_fetched_and_quietly_in_batch(shop: Shop, capfd: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setenv("LEAP_BATCH", "1")
    assert main(["data", "fetch", "it"]) == 0
    assert shop.target.read_bytes() == BODY and shop.left() == ["file.csv"]
    out, err = capfd.readouterr()
    assert out == "it: folder/file.csv fetched (no checksum is known)\n" and err == ""
    assert status()["state"].tolist() == ["present"]


def test_a_person_at_a_terminal_sees_a_bar(shop: Shop, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.delenv("LEAP_BATCH", raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    fetch("it")
    assert "file.csv" in capsys.readouterr().err


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_known_checksum_is_compared_and_a_bad_file_replaced(shop: Shop, algorithm: str) -> None:
    said: list[str] = []
    shop.offer(**{algorithm: hashlib.new(algorithm, BODY).hexdigest()})
    shop.target.parent.mkdir(parents=True)
    shop.target.write_bytes(b"altered")
    assert fetch("it", say=said.append) == [shop.target]
    assert (
        said[0].endswith("wrong checksum: fetching it again") and said[1] == "it: folder/file.csv fetched and verified"
    )
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
    fetch("it", say=lambda _: None)
    assert shop.target.read_bytes() == BODY and "Range" not in shop.asked[1][1]


def test_a_file_that_is_there_counts(shop: Shop) -> None:
    shop.target.parent.mkdir(parents=True)
    shop.target.write_bytes(b"by hand")
    assert fetch("it") == [shop.target] and not shop.asked


@pytest.mark.parametrize("code", [202, 403, 429, 500, 503])
def test_a_refusal_that_passes_is_waited_out(shop: Shop, code: int) -> None:
    said: list[str] = []
    shop.answers = [{"status": code}, {"status": code}]
    fetch("it", say=said.append)
    assert shop.target.read_bytes() == BODY and shop.waits == [1, 2]
    assert f"the server answers {code}; trying again in 1 s" in said[0]


def test_a_server_may_say_how_long_to_wait_within_bounds(shop: Shop) -> None:
    shop.answers = [{"status": 429, "headers": {"Retry-After": seconds}} for seconds in ("7", "86400", "tomorrow")]
    fetch("it", say=lambda _: None)
    assert shop.waits == [7, download.MAX_WAIT, 4]


def test_a_refusal_that_lasts_ends_in_an_error(shop: Shop) -> None:
    shop.answers = [{"status": 403}] * 99
    refused(shop, "the server answers 403, 5 times")
    assert len(shop.asked) == download.ATTEMPTS and len(shop.waits) == download.ATTEMPTS - 1


@pytest.mark.parametrize(("code", "says"), [(404, r"does not have it \(404\)"), (401, "answers 401")])
def test_a_refusal_that_does_not_pass_is_an_error_at_once(shop: Shop, code: int, says: str) -> None:
    shop.answers = [{"status": code}]
    refused(shop, says)
    assert len(shop.asked) == 1 and shop.left() == []


def test_a_server_that_is_not_there(shop: Shop) -> None:
    shop.offer(url="http://127.0.0.1:9/file")
    refused(shop, "the connection failed")
    assert len(shop.waits) == download.ATTEMPTS - 1


def test_a_truncated_body_is_noticed_and_resumed(shop: Shop) -> None:
    shop.answers = [{"cut": HALF}]
    fetch("it", say=lambda _: None)
    assert shop.target.read_bytes() == BODY and shop.left() == ["file.csv"]
    assert shop.asked[1][1]["Range"] == f"bytes={HALF}-" and shop.asked[1][1]["If-Range"] == '"one"'


def test_the_next_call_goes_on_where_a_server_died(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    shop.answers = [{"cut": HALF}]
    refused(shop, "connection")
    assert not shop.target.exists() and len(shop.left()) == 1
    fetch("it")
    assert shop.asked[1][1]["Range"] == f"bytes={HALF}-"
    assert shop.target.read_bytes() == BODY and shop.left() == ["file.csv"]


def test_a_server_without_ranges_starts_again(shop: Shop) -> None:
    shop.ranges, shop.answers = False, [{"cut": HALF}]
    fetch("it", say=lambda _: None)
    assert shop.target.read_bytes() == BODY and len(shop.asked) == 2


def test_a_file_that_changed_meanwhile_starts_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    shop.answers = [{"cut": HALF}]
    refused(shop, "connection")
    shop.etag, shop.body = '"two"', BODY[::-1] + b"more"
    fetch("it")
    assert shop.target.read_bytes() == shop.body


@pytest.mark.parametrize(("known", "resumed"), [(True, True), (False, False)])
def test_without_a_tag_only_a_checksum_allows_to_resume(shop: Shop, known: bool, resumed: bool) -> None:
    shop.etag = ""
    shop.offer(**({"md5": md5()} if known else {}))
    shop.answers = [{"cut": HALF}]
    fetch("it", say=lambda _: None)
    assert ("Range" in shop.asked[1][1]) is resumed and "If-Range" not in shop.asked[1][1]
    assert shop.target.read_bytes() == BODY


def test_a_part_that_the_server_cannot_continue_is_dropped(shop: Shop) -> None:
    shop.offer(md5=md5())
    shop.target.parent.mkdir(parents=True)
    shop.target.with_name(".file.csv.%22one%22.part").write_bytes(BODY + b"too long")
    fetch("it", say=lambda _: None)
    assert shop.target.read_bytes() == BODY and shop.left() == ["file.csv"]


@pytest.mark.parametrize(("mime", "body"), [("text/html; charset=utf-8", BODY), ("text/csv", PAGE)])
def test_a_page_instead_of_the_file_is_refused_by_its_type_or_its_first_bytes(shop: Shop, mime, body) -> None:
    shop.mime, shop.body = mime, body
    refused(shop, "a web page")
    assert len(shop.asked) == 1 and shop.left() == []


def test_an_empty_answer_is_no_file(shop: Shop) -> None:
    shop.body = b""
    refused(shop, "the answer is empty, 5 times")
    assert not shop.target.exists()


def test_only_https_but_for_this_machine(shop: Shop) -> None:
    shop.answers = [{"status": 302, "headers": {"Location": "http://example.org/file.csv"}}]
    refused(shop, "https only")
    assert not shop.target.exists()


def test_a_full_disk_is_bad_input(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download, "byte_bar", full)
    with pytest.raises(InputError, match="No space left on device"):
        fetch("it")
    assert not shop.target.exists()


def listed(shop: Shop, **keys: object) -> dict:
    """figshare's entry of the file."""
    entry = {"id": 7, "name": "file.csv", "size": len(BODY), "computed_md5": md5()}
    return {**entry, "download_url": f"{shop.address}/elsewhere/7", **keys}


def offer_article(shop: Shop, *files: dict, **keys: str) -> None:
    shop.offer(article="12", version="3", **keys)
    shop.api = {"files": [{"id": 6, "name": "another.csv"}, *files]}


@pytest.mark.parametrize("number", [7, 8], ids=["by id", "by name, where the id is new"])
def test_figshare_s_list_states_address_and_md5(shop: Shop, number: int) -> None:
    said: list[str] = []
    offer_article(shop, listed(shop, id=number))
    fetch("it", say=said.append)
    assert [path for path, _ in shop.asked] == ["/v2/articles/12/versions/3", "/elsewhere/7"]
    assert said == ["it: folder/file.csv fetched and verified"] and shop.target.read_bytes() == BODY


def test_what_differs_from_figshare_s_list_is_refused(shop: Shop) -> None:
    offer_article(shop, listed(shop, computed_md5=md5(b"another")))
    refused(shop, "wrong checksum")
    offer_article(shop, listed(shop, size=5))
    refused(shop, f"sends {len(BODY)} bytes, 5 are expected")
    shop.length = False
    refused(shop, "more than the 5 bytes")
    assert not shop.target.exists()


def test_a_body_shorter_than_figshare_s_list_says_is_noticed_without_a_length(shop: Shop) -> None:
    offer_article(shop, listed(shop))
    shop.length = False
    shop.answers = [{"cut": HALF}]
    fetch("it", say=lambda _: None)
    assert shop.target.read_bytes() == BODY and shop.asked[2][1]["Range"] == f"bytes={HALF}-"


def test_an_md5_that_changed_is_told_before_anything_is_fetched(shop: Shop) -> None:
    offer_article(shop, listed(shop, computed_md5="f" * 32), md5=md5())
    assert md5() in refused(shop, f"the provider's file has changed \\(md5 {'f' * 32}")
    assert len(shop.asked) == 1


@pytest.mark.parametrize("answer", [{"files": []}, {"message": "no such article"}, [], None, {"files": ["x"]}])
def test_a_list_without_the_file_is_refused(shop: Shop, answer: object) -> None:
    offer_article(shop)
    shop.api = answer
    refused(shop, "figshare does not list it")


# ---- all at once


def offer_groups(shop: Shop, **urls: str) -> None:
    """Write a manifest of groups of one file each."""
    entries = []
    for name, url in urls.items():
        keys = {"name": name, "group": f"group-{name}", "kind": "download", "file": f"{name}.csv", "url": url}
        keys |= {"release": "r", "licence": "l", "page": f"page of {name}"}
        entries.append(
            "\n".join(["[[source]]", *(f"{k} = {json.dumps(v)}" for k, v in keys.items()), 'enables = ["1a"]'])
        )
    (shop.data / manifest.MANIFEST).write_text("\n\n".join(entries))


def test_all_is_told_with_its_size_then_fetched_and_what_fails_is_returned(shop: Shop) -> None:
    sound = f"{shop.address}/files/7"
    offer_groups(shop, a=sound, b="http://127.0.0.1:9/file", c=sound)
    said: list[str] = []
    asked: list[str] = []
    failed = fetch_all(lambda question: asked.append(question) or True, said.append)
    assert "3 files, 0 MB and 1 of a size not told in all" in asked[0] and "GB are free" in asked[0]
    assert said[:3] == [
        "group-a: 1 files, 0 MB",
        "group-b: 1 files, 0 MB and 1 of a size not told",
        "group-c: 1 files, 0 MB",
    ]
    for name in "ac":
        assert (shop.data / "raw" / f"{name}.csv").read_bytes() == BODY
    assert len(failed) == 1 and "page of b" in failed[0] and str(shop.data / "raw" / "b.csv") in failed[0]
    asked.clear()
    fetch_all(lambda question: asked.append(question) or False, said.append)
    assert asked[0].startswith("1 files") and said[-1].endswith("Nothing is fetched")


def test_all_needs_room_and_a_word_and_leaves_all_as_it_is_without(shop: Shop, monkeypatch, capsys) -> None:
    offer_groups(shop, a=f"{shop.address}/files/7")
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert main(["data", "fetch", "all"]) == 2 and "give --yes" in capsys.readouterr().err
    usage = download.shutil.disk_usage(shop.data)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage._replace(free=len(BODY) - 1))
    assert main(["data", "fetch", "all", "--yes"]) == 2 and "make room" in capsys.readouterr().err
    assert not (shop.data / "raw" / "a.csv").exists()
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    assert main(["data", "fetch", "all", "--yes"]) == 0 and (shop.data / "raw" / "a.csv").read_bytes() == BODY


def test_no_more_than_three_connections_are_open_at_once(shop: Shop, monkeypatch) -> None:
    offer_groups(shop, **{f"g{i}": f"{shop.address}/files/7" for i in range(7)})
    open_now, most, guard, write = [0], [0], threading.Lock(), download._Download.write

    def counted(*args) -> None:
        with guard:
            open_now[0] += 1
            most[0] = max(most[0], open_now[0])
        threading.Event().wait(0.05)
        write(*args)
        with guard:
            open_now[0] -= 1

    monkeypatch.setattr(download._Download, "write", counted)
    assert fetch_all(lambda _: True, lambda _: None) == [] and 2 <= most[0] <= 3
