"""What a report shows of a profile's run: executed notebooks, figures, tables and run times, as they are found."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from leaplib.base.errors import InputError
from leaplib.base.layout import Layout
from leaplib.profiles import Profile, get_profile
from leaplib.report.notebook_pages import NotebookPage, read_pages
from leaplib.report.report_tables import data_of, read_csv
from leaplib.results.print_tables import TITLES
from leaplib.runs.notebooks import find_notebooks
from leaplib.runs.run_log import model_times

FIGURE_KINDS, TABLE_KINDS = ("pdf", "svg", "png", "csv"), ("csv", "xlsx", "tex")


@dataclass(frozen=True)
class Output:
    """A figure or a table.

    Parameters
    ----------
    name : str
        File name without suffix.
    files : dict of str to Path
        Its files by kind ("csv", "png", ...).
    notebooks : sequence of NotebookPage
        All of the run, in which it looks for its caption and its makers.
    """

    name: str
    files: dict[str, Path]
    notebooks: Sequence[NotebookPage] = ()

    @property
    def title(self) -> str:
        """The name as words: "Supplementary figure 4"."""
        words = re.sub("^damae", "DAMAE", self.name.replace("_", " ").strip())
        return words[:1].upper() + words[1:]

    @property
    def caption(self) -> str:
        """A printed table's title, or what the last notebook's heading that names it says after the colon, or ""."""
        if self.name in TITLES:
            return TITLES[self.name]
        kind, _, number = self.title.rpartition(" ")
        for heading in [heading for page in self.notebooks for heading in page.headings][::-1]:
            named, _, words = heading.partition(": ")
            numbers = re.fullmatch(rf"{re.escape(kind)}s? ([\d, and]+)", named, re.IGNORECASE)
            if words and numbers and number in re.findall(r"\d+", numbers[1]):
                return words[:1].upper() + words[1:]
        return ""

    @property
    def makers(self) -> list[NotebookPage]:
        """The notebooks whose code names it."""
        return [page for page in self.notebooks if f'"{self.name}"' in page.code]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The CSV; an empty frame where there is none."""
        return read_csv(self.files["csv"]) if "csv" in self.files else pd.DataFrame()

    @property
    def data(self) -> str:
        """What its CSV says of the data; where it says nothing, the note on the figure's face (text in the SVG)."""
        if "data" in self.frame or "svg" not in self.files:
            return data_of(self.frame)
        drawn = self.files["svg"].read_text(encoding="utf-8", errors="replace")
        return "simulated" if ">simulated data<" in drawn else ""


@dataclass(frozen=True)
class Run:
    """All that the report shows of one profile.

    Parameters
    ----------
    profile : Profile
    notebooks : list of NotebookPage
    absent : list of str
        Names of the notebooks that have no executed copy.
    figures, tables : list of Output
    times : DataFrame or None
        As `time_table`; None where there is no run log.
    """

    profile: Profile
    notebooks: list[NotebookPage]
    absent: list[str]
    figures: list[Output]
    tables: list[Output]
    times: pd.DataFrame | None

    @property
    def claims(self) -> Output | None:
        """The table of claims, where there is one."""
        return next((table for table in self.tables if table.name == "claims" and "csv" in table.files), None)


def collect(profile_name: str) -> Run:
    """Find what there is of a profile's run.

    Raises
    ------
    InputError
        For an unknown profile, a file that cannot be read, or where there is nothing at all; the message says what
        to run.
    """
    profile, layout = get_profile(profile_name), Layout(profile_name)
    paths = sorted(path for path in layout.executed.glob("*.ipynb") if not path.name.startswith("."))
    notebooks = read_pages(paths, profile_name)
    figures = _outputs(layout.figures, FIGURE_KINDS, notebooks)
    tables = _outputs(layout.tables, TABLE_KINDS, notebooks)
    if not (notebooks or figures or tables):
        raise InputError(
            f"nothing to report: no executed notebooks in {layout.executed}, no figures or tables in "
            f"{layout.figures}: run `leap run --profile {profile_name}` first"
        )
    return Run(
        profile,
        notebooks,
        _absent({path.stem for path in paths}),
        figures,
        tables,
        time_table(profile_name),
    )


def _absent(executed: set[str]) -> list[str]:
    """Return the names of the numbered notebooks that have no executed copy."""
    try:
        return [path.stem for path in find_notebooks() if path.stem not in executed]
    except InputError:
        return []  # outside a checkout there are no numbered notebooks to miss


def _outputs(folder: Path, kinds: Sequence[str], notebooks: Sequence[NotebookPage]) -> list[Output]:
    """Return the outputs in a folder: those of the paper in their order, supplementary ones next, then the others."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.glob("*")):
        if path.is_file() and not path.name.startswith(".") and path.suffix[1:] in kinds:
            found.setdefault(path.stem, {})[path.suffix[1:]] = path
    return sorted((Output(name, files, notebooks) for name, files in found.items()), key=_place)


def _place(output: Output) -> tuple[int, int, str]:
    numbered = re.fullmatch(r"(supplementary_)?(?:figure|table)_(\d+)", output.name)
    if not numbered:
        return 2, 0, output.name
    return int(bool(numbered[1])), int(numbered[2]), output.name


def time_table(profile: str) -> pd.DataFrame | None:
    """Return how long the models took: model, a column a task, all tasks; seconds over all splits, last run of each.

    The members of LEAP ("PS-LASSO r3") are summed under their model; DAMAEs stand under their pool. None where
    nothing was logged.
    """
    jobs = model_times(profile)
    if jobs.empty:
        return None
    unreadable = jobs.attrs["unreadable"]
    jobs["model"] = jobs["model"].str.replace(r" r\d+$", "", regex=True)
    table = jobs.pivot_table(index="model", columns="task", values="seconds", aggfunc="sum")
    table["all tasks"] = table.sum(axis=1)
    table = table.sort_values("all tasks", ascending=False)
    table.loc["all models"] = table.sum()
    table = table.round(1).rename_axis(columns=None).reset_index()
    table.attrs["unreadable"] = unreadable
    return table
