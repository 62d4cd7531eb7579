"""Where things lie: one place that knows the folders."""

import hashlib
import os
from pathlib import Path

PLAIN, LONGEST = " -+/()", 60  # signs within a name, and characters, that a file name can do without


def home() -> Path:
    """Return the folder that holds `data/`, `figures/` and `notebooks/executed/`.

    The environment variable LEAP_HOME, else the checkout that this package runs from, else the
    current folder.
    """
    if os.environ.get("LEAP_HOME"):
        return Path(os.environ["LEAP_HOME"])
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "notebooks").is_dir() else Path.cwd()


def data_folder() -> Path:
    """Return the data folder: the environment variable LEAP_DATA, else `data/` in `home()`."""
    return Path(os.environ["LEAP_DATA"]) if os.environ.get("LEAP_DATA") else home() / "data"


class Layout:
    """The folders of one profile; `data` is the data folder, where not the usual one.

    Attributes
    ----------
    processed, results : Path
        Cohorts and splits; representations, predictions and scores.
    figures, tables : Path
        Figures, each with the CSV it draws, and tables.
    executed, report : Path
        Executed notebooks, and HTML pages of the run.
    """

    def __init__(self, profile: str, data: Path | None = None):
        self.profile, data = profile, data or data_folder()
        self.processed, self.results = data / "processed" / profile, data / "results" / profile
        self.figures = home() / "figures" / profile
        self.tables = self.figures / "tables"
        self.executed = home() / "notebooks" / "executed" / profile
        self.report = home() / "report" / profile

    def cohort(self, task: str) -> Path:
        """Folder of a task's cohort."""
        return self.processed / f"task_{task}"

    def prediction(self, task: str, split: str, model: str) -> Path:
        """File of a model's predictions on one split."""
        return self.results / "predictions" / task / slug(split) / f"{slug(model)}.parquet"

    def scores(self, task: str, split: str, model: str) -> Path:
        """File of a model's scores on one split."""
        return self.results / "scores" / task / slug(split) / f"{slug(model)}.parquet"


def slug(name: str) -> str:
    """Return a name as a file name: lower case, words joined by hyphens, + as a word (LEAP+ is not LEAP).

    Letters and digits are all that is taken over, so that no name leads to another folder. Where a name holds other
    signs than those of "PS-LASSO r0", "LEAP (10-shot)" or "CNS/Brain", or is too long for a file, a checksum tells it
    apart from names that look alike.
    """
    words = "-".join("".join(c if c.isalnum() else " " for c in name.lower().replace("+", " plus ")).split())
    if words and len(words) <= LONGEST and all(c.isalnum() or c in PLAIN for c in name):
        return words
    return f"{words[:LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}".lstrip("-")
