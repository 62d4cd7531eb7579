"""Structures of drugs by name, from PubChem (PUG REST, https://pubchem.ncbi.nlm.nih.gov/docs/pug-rest).

One request a name, at most five a second, as PubChem asks. Every answer is kept in a file, so that a run
that was stopped goes on where it was and no name is asked for twice.
"""

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import requests

from leaplib.base.errors import InputError
from leaplib.base.files import write_text
from leaplib.base.progress import progress
from leaplib.sources.download import session_for

PUG = "https://pubchem.ncbi.nlm.nih.gov/rest/pug"
# PubChem renamed the first to the second in 2025: SMILES without stereochemistry and isotopes.
PROPERTIES = ("CanonicalSMILES", "ConnectivitySMILES")
CACHE = "smiles.jsonl"
COLUMNS = ["name", "cid", "smiles", "how"]
HOW = ("found", "no match", "several")
RATE = 5.0  # requests a second that PubChem allows
ATTEMPTS = 6
BUSY = (429, 503, 504)  # 503 is "PUGREST.ServerBusy", 504 "PUGREST.Timeout"
MAX_WAIT = 60.0  # seconds between two attempts
TIMEOUT = (20, 60)  # seconds to connect, and between two packets
MOST_BYTES = 1 << 20  # of an answer; a compound takes some hundred


def find_smiles(
    names: Iterable[str],
    folder: str | Path,
    base_url: str = PUG,
    rate: float = RATE,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> pd.DataFrame:
    """Look drugs up by name.

    Parameters
    ----------
    names : iterable of str
        Spelled as they are; blanks around a name and repeats do not count.
    folder : str or Path
        Where answers are kept, in smiles.jsonl. Delete the file to ask anew.
    base_url : str
        Address of PUG REST.
    rate : float
        Requests a second at most; PubChem allows 5.
    clock, sleep : callable
        Give and pass seconds.

    Returns
    -------
    DataFrame, one row a name
        name; cid (PubChem's number of the compound), smiles (without stereochemistry), both missing where
        there is no match; how ("found" | "no match" | "several": the name stands for several compounds, and
        the first, PubChem's best match, was taken).

    Raises
    ------
    InputError
        When a name is empty, the rate is too high, PubChem is out of reach, still busy after several attempts,
        or answers something else, or the file of answers is damaged. What was found before is kept.
    """
    if not 0 < rate <= RATE:
        raise InputError(f"PubChem: a rate of {rate:g} requests a second: use more than 0 and at most {RATE:g}")
    wanted = _clean(names)
    cache = Path(folder) / CACHE
    known = _read(cache)
    client = _Client(base_url, rate, clock, sleep)
    for name in progress([name for name in wanted if name not in known], "PubChem"):
        try:
            known[name] = client.find(name)
        except InputError as error:
            raise InputError(f"{error}; {len(known)} answers are kept in {cache}") from error
        # Written anew as a whole: some kilobytes, and a run that is killed leaves no half line.
        write_text(cache, "".join(json.dumps(entry) + "\n" for entry in known.values()))
    frame = pd.DataFrame([known[name] for name in wanted], columns=COLUMNS)
    return frame.astype({"name": "str", "cid": "Int64", "smiles": "str", "how": "str"})


def read_names(path: str | Path) -> list[str]:
    """Read names of drugs from a text file, one a line; blank lines do not count."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text: give a file with one name a line") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names or not all(name.isprintable() for name in names):
        raise InputError(f"{path}: holds no name, or what is no text: give a file with one name a line")
    return names


def _clean(names: Iterable[str]) -> list[str]:
    """Return each name once, without blanks around it."""
    wanted = [name.strip() if isinstance(name, str) else "" for name in names]
    odd = [number for number, name in enumerate(wanted, start=1) if not name or not name.isprintable()]
    if odd:
        raise InputError(f"PubChem: name {odd[0]} is empty or no text: leave it out")
    return list(dict.fromkeys(wanted))


def _read(cache: Path) -> dict[str, dict]:
    """Return the answers of earlier runs by name."""
    try:
        lines = cache.read_text(encoding="utf-8").splitlines() if cache.exists() else []
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{cache}: cannot be read as text: delete it, and PubChem is asked anew") from error
    known = {}
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not _is_answer(entry):
            raise InputError(f"{cache}: line {number} is no answer of PubChem: delete the line")
        known[entry["name"]] = entry
    return known


def _is_answer(entry: object) -> bool:
    """Tell whether an entry of the file of answers is what is kept there."""
    if not (isinstance(entry, dict) and list(entry) == COLUMNS and entry["how"] in HOW):
        return False
    unmatched = entry["cid"] is None and entry["smiles"] is None
    return isinstance(entry["name"], str) and (
        unmatched or (isinstance(entry["cid"], int) and 0 < entry["cid"] < 2**63 and isinstance(entry["smiles"], str))
    )


class _Client:
    """Asks PubChem in its own pace."""

    def __init__(
        self, base_url: str, rate: float, clock: Callable[[], float], sleep: Callable[[float], object]
    ) -> None:
        self._url = f"{base_url}/compound/name/property/{','.join(PROPERTIES)}/JSON"
        self._pause, self._clock, self._sleep = 1 / rate, clock, sleep
        self._next = -float("inf")
        self._session = session_for(base_url)

    def find(self, name: str) -> dict:
        """Return the answer for a name, as it is kept."""
        response, text = self._ask(name)
        content = _content(text)
        if response.status_code == 404 and content.get("Fault", {}).get("Code") == "PUGREST.NotFound":
            return dict(zip(COLUMNS, (name, None, None, "no match"), strict=True))
        if response.status_code != 200:
            raise self._error(name, f"HTTP {response.status_code} {response.reason}{_said(content)}")
        try:
            matches = content["PropertyTable"]["Properties"]
            cid, smiles = int(matches[0]["CID"]), matches[0].get(PROPERTIES[0]) or matches[0][PROPERTIES[1]]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise self._error(
                name, f"an answer without CID and SMILES ({text[:80].decode(errors='replace')!r})"
            ) from error
        return dict(zip(COLUMNS, (name, cid, smiles, "several" if len(matches) > 1 else "found"), strict=True))

    def _ask(self, name: str) -> tuple[requests.Response, bytes]:
        """Send the request until PubChem is no longer busy; return the answer and its body."""
        for attempt in range(1, ATTEMPTS + 1):
            self._keep_pace()
            try:
                # By POST: in an address, a slash within a name would part it.
                response = self._session.post(self._url, data={"name": name}, timeout=TIMEOUT, stream=True)
                text = self._body(name, response)
                if response.status_code not in BUSY:
                    return response, text
                reason, asked = f"HTTP {response.status_code} (busy)", response.headers.get("Retry-After", "")
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                reason, asked = f"no connection ({type(error).__name__})", ""
            except requests.RequestException as error:
                raise self._error(name, f"the address cannot be used ({error})") from error
            if attempt < ATTEMPTS:
                self._sleep(min(float(asked) if asked.isdigit() else 2.0 ** (attempt - 1), MAX_WAIT))
        raise self._error(name, f"{reason}, {ATTEMPTS} times")

    def _body(self, name: str, response: requests.Response) -> bytes:
        """Return the bytes of an answer, up to a limit."""
        with response:
            text = b""
            for piece in response.iter_content(1 << 14):
                text += piece
                if len(text) > MOST_BYTES:
                    raise self._error(name, f"an answer of more than {MOST_BYTES:,} bytes")
        return text

    def _keep_pace(self) -> None:
        """Wait until the next request may be sent."""
        wait = self._next - self._clock()
        if wait > 0:
            self._sleep(wait)
        self._next = self._clock() + self._pause

    def _error(self, name: str, reason: str) -> InputError:
        """Name the drug, the address and what to do."""
        text = " ".join(reason.split())
        return InputError(f"PubChem, {name!r}: {text} from {self._url}: run it again later, or leave the name out")


def _content(text: bytes) -> dict:
    """Return the JSON object of an answer, empty when it is none, as a web page."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _said(content: dict) -> str:
    """Return PubChem's own words about a failure."""
    fault = content.get("Fault", {})
    return f" ({fault.get('Code')}: {fault.get('Message')})" if fault else ""
