"""What every refusal has to be: an InputError of one line that names the culprit and what to do; nothing is written."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from leaplib.base.errors import InputError

# What to do is said in the imperative, after a colon, a comma or "or".
REMEDY = re.compile(
    r"(: |, |; |or )(`leap|add|align|check|choose|correct|delete|download|drop|expected|fit|get|give|keep|leave|load"
    r"|lower|make|mend|merge|name|put|remove|rename|restore|run|save|set|shorten|take|train|use|write)\b"
)
LONGEST = 2500  # characters of a message: some lines on a screen


@dataclass(frozen=True)
class Case:
    """One malformed input.

    Parameters
    ----------
    kind : str
        Which reader it is for.
    name : str
        What is wrong with it.
    make : callable
        Makes it in a folder and returns its path.
    says : tuple of str
        What the message must hold: the row, column, sample ...
    """

    kind: str
    name: str
    make: Callable[[Path], Path]
    says: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


def each(cases: Sequence[Case]) -> pytest.MarkDecorator:
    """Run a test on every case, by its name."""
    names = [str(case) for case in cases]
    assert len(set(names)) == len(names)
    return pytest.mark.parametrize("case", cases, ids=names)


def content(folder: Path) -> dict[str, tuple[int, str]]:
    """Return what a folder holds: size and checksum of every file, by path."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def is_clear(text: str) -> bool:
    """Tell whether a message is one line of printable characters, not too long, with a remedy."""
    return text.isprintable() and len(text) <= LONGEST and bool(REMEDY.search(text))


def refused(action: Callable[[], object], folder: Path, *says: str) -> None:
    """Expect an InputError, clear, that holds all parts; `folder` stays as it is."""
    before = content(folder)
    with pytest.raises(InputError) as caught:
        action()
    text = str(caught.value)
    assert is_clear(text), text[:3000]
    assert all(part in text for part in says), (says, text)
    assert content(folder) == before
