"""PubChem, from a server on this machine that can be told how to fail."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pandas as pd
import pytest

from leaplib.__main__ import main
from leaplib.base.errors import InputError
from leaplib.sources import pubchem
from leaplib.sources.pubchem import find_smiles

OLD, NEW = pubchem.PROPERTIES
COMPOUNDS = {
    "Erlotinib": [{"CID": 176870, NEW: "COCCO"}],
    "Imatinib": [{"CID": 5291, OLD: "CC1=C"}],
    "Nutlin-3a (-)": [{"CID": 11433190, NEW: "CC(C)O"}, {"CID": 216345, NEW: "CCO"}],
    "a/b & c=d µ": [{"CID": 1, NEW: "C"}],
}
BUSY = {"Fault": {"Code": "PUGREST.ServerBusy", "Message": "Too many requests or server too busy"}}
NOT_FOUND = {"Fault": {"Code": "PUGREST.NotFound", "Message": "No CID found"}}


@dataclass
class World:
    """A small PubChem and a clock that only its sleepers move.

    `answers` are used up one a request, then the server answers soundly. An answer is (status, body, headers), or
    "cut": the connection is closed without one.
    """

    folder: Path
    address: str = ""
    answers: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    waits: list = field(default_factory=list)
    times: list = field(default_factory=list)
    now: float = 1000.0

    @property
    def cache(self) -> Path:
        return self.folder / "smiles.jsonl"

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def find(self, *names: str, **options) -> pd.DataFrame:
        options = {"base_url": self.address, "clock": lambda: self.now, "sleep": self.sleep, **options}
        return find_smiles(names, self.folder, **options)

    def refused(self, *names: str, match: str) -> str:
        """Expect an InputError of one line that names the drug and says what to do."""
        with pytest.raises(InputError, match=match) as caught:
            self.find(*names)
        text = str(caught.value)
        assert "\n" not in text and "run it again later" in text and str(self.cache) in text, text
        return text


class Handler(BaseHTTPRequestHandler):
    world: World

    def log_message(self, *args) -> None:
        pass

    def do_POST(self) -> None:
        world = self.world
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        (name,) = parse_qs(body)["name"]
        world.asked.append(name)
        world.times.append(world.now)
        answer = world.answers.pop(0) if world.answers else self.sound(name)
        if answer == "cut":
            self.close_connection = True
            return
        status, content, headers = answer
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(data)

    def sound(self, name: str) -> tuple:
        if self.path != "/compound/name/property/CanonicalSMILES,ConnectivitySMILES/JSON":
            return 400, {"Fault": {"Code": "PUGREST.BadRequest", "Message": self.path}}, {}
        if name not in COMPOUNDS:
            return 404, NOT_FOUND, {}
        return 200, {"PropertyTable": {"Properties": COMPOUNDS[name]}}, {}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    here = World(tmp_path / "pubchem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"world": here}))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    here.address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield here
    server.shutdown()
    server.server_close()


def test_names_and_what_becomes_of_them(world: World) -> None:
    frame = world.find("Erlotinib", " Imatinib ", "Nutlin-3a (-)", "Unobtainium", "a/b & c=d µ", "Erlotinib")
    assert list(frame) == ["name", "cid", "smiles", "how"]
    assert frame["name"].tolist() == ["Erlotinib", "Imatinib", "Nutlin-3a (-)", "Unobtainium", "a/b & c=d µ"]
    assert frame["how"].tolist() == ["found", "found", "several", "no match", "found"]
    assert frame["cid"].fillna(-1).tolist() == [176870, 5291, 11433190, -1, 1]  # of several the first
    assert frame["smiles"].fillna("").tolist() == ["COCCO", "CC1=C", "CC(C)O", "", "C"]
    assert str(frame["cid"].dtype) == "Int64" and frame["smiles"].isna().sum() == 1
    assert world.asked == frame["name"].tolist()


def test_a_second_run_asks_nothing_again(world: World) -> None:
    first = world.find("Erlotinib", "Unobtainium")
    world.asked.clear()
    pd.testing.assert_frame_equal(world.find("Erlotinib", "Unobtainium"), first)
    assert world.asked == []
    assert world.find("Imatinib", "Erlotinib")["name"].tolist() == ["Imatinib", "Erlotinib"]
    assert world.asked == ["Imatinib"]
    assert [json.loads(line)["name"] for line in world.cache.read_text().splitlines()] == [
        "Erlotinib", "Unobtainium", "Imatinib",
    ]  # fmt: skip


def test_at_most_five_requests_a_second(world: World) -> None:
    world.find(*[f"drug {i}" for i in range(12)])
    gaps = [later - earlier for earlier, later in zip(world.times, world.times[1:], strict=False)]
    assert gaps == pytest.approx([0.2] * 11)
    world.times.clear()
    world.find("x", "y", rate=0.5)
    assert world.times[1] - world.times[0] == pytest.approx(2)
    for rate in (0, -1, 6):
        with pytest.raises(InputError, match="at most 5"):
            world.find("z", rate=rate)


@pytest.mark.parametrize("status", [503, 429, 504])
def test_a_busy_server_is_asked_again_after_longer_and_longer_waits(world: World, status: int) -> None:
    world.answers = [(status, BUSY, {})] * 3
    assert world.find("Erlotinib")["cid"].tolist() == [176870]
    assert world.asked == ["Erlotinib"] * 4 and world.waits == [1, 2, 4]


def test_the_wait_that_the_server_asks_for_is_kept_within_limits(world: World) -> None:
    world.answers = [(503, b"busy", {"Retry-After": "7"}), (503, BUSY, {"Retry-After": "9999"})]
    world.find("Erlotinib")
    assert world.waits == [7, 60]


def test_a_server_that_stays_busy(world: World) -> None:
    world.find("Imatinib")
    world.answers = [(503, BUSY, {})] * 99
    text = world.refused("Imatinib", "Erlotinib", match=r"'Erlotinib': HTTP 503 \(busy\), 6 times from http")
    assert "1 answers are kept" in text and world.asked.count("Erlotinib") == 6
    assert world.waits[-5:] == [1, 2, 4, 8, 16]  # and none after the last attempt
    world.answers.clear()
    assert world.find("Erlotinib")["how"].tolist() == ["found"]  # a failure is not kept


def test_a_server_that_dies_half_way(world: World) -> None:
    whole = (200, {"PropertyTable": {"Properties": COMPOUNDS["Erlotinib"]}}, {})
    world.answers = [whole, (404, NOT_FOUND, {}), *["cut"] * 99]
    text = world.refused("Erlotinib", "Unobtainium", "Imatinib", match=r"'Imatinib': no connection .*, 6 times")
    assert "2 answers are kept" in text
    world.answers.clear()
    world.asked.clear()
    assert world.find("Erlotinib", "Unobtainium", "Imatinib")["how"].tolist() == ["found", "no match", "found"]
    assert world.asked == ["Imatinib"]


def test_a_run_that_is_killed_leaves_whole_lines(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(path, text):
        if "Imatinib" in text:
            raise KeyboardInterrupt
        return written(path, text)

    written = pubchem.write_text
    monkeypatch.setattr(pubchem, "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        world.find("Erlotinib", "Imatinib")
    monkeypatch.undo()
    assert [path.name for path in world.folder.iterdir()] == ["smiles.jsonl"]
    assert json.loads(world.cache.read_text()) == {
        "name": "Erlotinib",
        "cid": 176870,
        "smiles": "COCCO",
        "how": "found",
    }


def test_an_answer_that_is_cut_is_asked_for_again(world: World) -> None:
    world.answers = [(200, b'{"PropertyTable": ', {"Content-Length": "500", "Connection": "close"}), "cut"]
    assert world.find("Erlotinib")["cid"].tolist() == [176870]
    assert len(world.asked) == 3


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        ((200, b"<!DOCTYPE html><html>Sign in</html>", {}), "an answer without CID and SMILES .*DOCTYPE"),
        ((200, b"", {}), "an answer without CID and SMILES"),
        ((200, [1, 2], {}), "an answer without CID and SMILES"),
        ((200, {"PropertyTable": {"Properties": []}}, {}), "an answer without CID and SMILES"),
        ((200, {"PropertyTable": {"Properties": [{"CID": 5}]}}, {}), "an answer without CID and SMILES"),
        ((200, {"PropertyTable": {"Properties": [{NEW: "C"}]}}, {}), "an answer without CID and SMILES"),
        ((404, b"<html>no such page</html>", {}), "HTTP 404 Not Found from"),
        ((404, {"Fault": {"Code": "PUGREST.BadRequest", "Message": "no"}}, {}), "HTTP 404 .*PUGREST.BadRequest: no"),
        ((400, {"Fault": {"Code": "PUGREST.BadRequest", "Message": "no"}}, {}), "HTTP 400 .*PUGREST.BadRequest: no"),
        ((500, b"broken", {}), "HTTP 500"),
        ((403, b"<html>robot?</html>", {}), "HTTP 403 Forbidden"),
    ],
)
def test_other_answers_are_errors_and_not_kept(world: World, answer, match: str) -> None:
    world.answers = [answer]
    world.refused("Erlotinib", match=f"'Erlotinib': {match}")
    assert world.asked == ["Erlotinib"] and not world.cache.exists()
    assert world.find("Erlotinib")["how"].tolist() == ["found"]


def test_no_server_and_no_address(world: World) -> None:
    world.address = "http://127.0.0.1:9"
    world.refused("Erlotinib", match="no connection")
    world.address = "nowhere"
    world.refused("Erlotinib", match="the address cannot be used")


@pytest.mark.parametrize("names", [["Erlotinib", ""], ["Erlotinib", "  "], ["Erlotinib", float("nan")]])
def test_empty_names(world: World, names: list) -> None:
    with pytest.raises(InputError, match="name 2 is empty or no text"):
        world.find(*names)
    assert world.asked == []


@pytest.mark.parametrize(
    "line", ["{", "[1]", '{"name": "x"}', '{"name": "x", "cid": 1, "smiles": "C", "how": "?"}', "3"]
)
def test_a_damaged_file_of_answers(world: World, line: str) -> None:
    world.find("Erlotinib")
    world.cache.write_text(world.cache.read_text() + line + "\n")
    with pytest.raises(InputError, match=r"smiles\.jsonl: line 2 is no answer of PubChem: delete the line"):
        world.find("Erlotinib")
    world.cache.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"smiles\.jsonl: cannot be read as text"):
        world.find("Erlotinib")


def test_the_command(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("LEAP_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(pubchem.find_smiles, "__defaults__", (world.address, 5.0, lambda: world.now, world.sleep))
    (tmp_path / "names.txt").write_text("\ufeffErlotinib\n\n Unobtainium\r\n", encoding="utf-8")
    assert main(["data", "pubchem", str(tmp_path / "names.txt")]) == 0
    out = capsys.readouterr().out
    assert out == "name,cid,smiles,how\nErlotinib,176870,COCCO,found\nUnobtainium,,,no match\n"
    assert (tmp_path / "data" / "raw" / "pubchem" / "smiles.jsonl").is_file()


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "holds no name"), (b"\n \n", "holds no name"), (b"\xff\xfe", "text")]
)
def test_bad_files_of_names(tmp_path: Path, home, capsys, content: bytes, message: str) -> None:
    (tmp_path / "names.txt").write_bytes(content)
    assert main(["data", "pubchem", str(tmp_path / "names.txt")]) == 2
    error = capsys.readouterr().err
    assert message in error and "one name a line" in error and error.count("\n") == 1
    assert main(["data", "pubchem", str(tmp_path / "absent.txt")]) == 2
