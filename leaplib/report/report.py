"""The report of a profile's run: linked HTML pages that stand alone in a folder and load nothing from elsewhere."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from leaplib import sources
from leaplib.base import store
from leaplib.base.errors import InputError
from leaplib.base.files import atomic_folder, sweep
from leaplib.base.layout import Layout
from leaplib.report.notebook_pages import TEMPLATES
from leaplib.report.report_parts import Output, Run, collect
from leaplib.report.report_tables import VERDICTS, html_table, readable
from leaplib.report.svg import harmless

GENERATOR = '<meta name="generator" content="leap report">'  # marks a folder that a report may replace
THUMBNAIL = (900, 900)  # pixels, twice the size on the page: sharp on fine screens


@dataclass(frozen=True)
class Page:
    """A page's title and its address from the report's folder."""

    title: str
    address: str


def build_report(profile_name: str, out: str | Path | None = None) -> Path:
    """Build the report of a profile and return its index page.

    Parameters
    ----------
    profile_name : str
    out : str or Path, optional
        Folder; `report/<profile>/` in `leaplib.base.layout.home()` by default. An older report there is replaced whole,
        once the new one is complete.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        Where there is nothing to report, a file of the run cannot be read, or `out` is a folder with other things.
    """
    run = collect(profile_name)
    target = Path(out) if out is not None else Layout(profile_name).report
    check_target(target)
    sweep(target.parent)
    with atomic_folder(target) as folder:
        Builder(run, folder).write()
    return target / "index.html"


def check_target(target: Path) -> None:
    """Check that a folder can be made or replaced: it is absent, empty or an older report.

    Raises
    ------
    InputError
        When it is not.
    """
    blocked = next((path for path in (target, *target.parents) if path.exists() and not path.is_dir()), None)
    if blocked is not None:
        raise InputError(f"{blocked}: a file, not a folder: choose another folder with --out")
    if not target.is_dir() or not any(target.iterdir()):
        return
    index = target / "index.html"
    if not (index.is_file() and GENERATOR in index.read_text(encoding="utf-8", errors="replace")[:2000]):
        raise InputError(f"{target}: holds other things than a report: choose another folder with --out")


class Builder:
    """Writes the pages of a run into a folder.

    Parameters
    ----------
    run : Run
    folder : Path
        Empty.
    """

    def __init__(self, run: Run, folder: Path):
        self.run, self.folder = run, folder
        self.templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
                                     trim_blocks=True, lstrip_blocks=True)  # fmt: skip
        self.templates.filters |= {"address": quote, "duration": duration, "numbers": numbers}
        self.pages = [
            Page("Index", "index.html"),
            *(Page(page.title, f"notebooks/{page.name}.html") for page in run.notebooks),
            *(Page(table.title, f"tables/{table.name}.html") for table in run.tables if "csv" in table.files),
        ]

    def write(self) -> None:
        """Write all pages and the files that they show."""
        shutil.copyfile(TEMPLATES / "style.css", self.folder / "style.css")
        self._notebooks()
        thumbnails = {figure.name: self._figure(figure) for figure in self.run.figures}
        for table in self.run.tables:
            self._table(table)
        self._render("index.html.j2", self.pages[0], run=self.run, thumbnails=thumbnails, **self._facts())

    def _render(self, template: str, page: Page, **values: Any) -> None:
        """Write a page: its own values and its place among the others."""
        place = self.pages.index(page)
        before, after = self.pages[place - 1 : place], self.pages[place + 1 : place + 2]
        html = self.templates.get_template(template).render(
            page=page, root="../" * page.address.count("/"), profile=self.run.profile,
            previous=before[0] if before else None, next=after[0] if after else None, **values,
        )  # fmt: skip
        path = self.folder / page.address
        path.parent.mkdir(exist_ok=True)
        path.write_text(html, encoding="utf-8")

    def _page(self, address: str) -> Page:
        return next(page for page in self.pages if page.address == address)

    def _notebooks(self) -> None:
        for notebook in self.run.notebooks:
            self._render("notebook.html.j2", self._page(f"notebooks/{notebook.name}.html"), notebook=notebook)
            for name, content in notebook.images.items():
                path = self.folder / "notebooks" / name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)

    def _figure(self, figure: Output) -> str | None:
        """Copy a figure's files and return the address of its thumbnail; None where it has no PNG."""
        self._copy(figure, "figures")
        if "png" not in figure.files:
            return None
        address = f"figures/thumbnails/{figure.name}.png"
        (self.folder / address).parent.mkdir(exist_ok=True)
        save_thumbnail(figure.files["png"], self.folder / address)
        return address

    def _table(self, table: Output) -> None:
        """Copy a table's files and write its page where there is a CSV to show."""
        self._copy(table, "tables")
        if "csv" in table.files:
            self._render("table.html.j2", self._page(f"tables/{table.name}.html"), table=table,
                         readable=readable(table.frame), tidy=html_table(table.frame))  # fmt: skip

    def _copy(self, output: Output, folder: str) -> None:
        (self.folder / folder).mkdir(exist_ok=True)
        for kind, path in output.files.items():
            if kind == "svg":
                (self.folder / folder / path.name).write_bytes(harmless(path.read_bytes()))
            else:
                shutil.copyfile(path, self.folder / folder / path.name)

    def _facts(self) -> dict[str, Any]:
        """Return what the index says beside the outputs: claims, data, versions, run times."""
        status = sources.status()
        status["size"] = [f"{size / 1e6:,.1f} MB" if size else "" for size in status["size"]]
        here = status["state"] != "missing"
        claims, times = self.run.claims, self.run.times
        versions = pd.DataFrame(store.versions().items(), columns=["package", "version"])
        return {
            "claims": html_table(verdict_first(claims.frame)) if claims else None,
            "verdicts": count_verdicts(claims.frame) if claims else [],
            "present": html_table(status.loc[here, ["source", "file", "state", "size", "enables"]]),
            "missing": html_table(status.loc[~here, ["source", "file", "size", "enables", "how"]]),
            "versions": html_table(versions),
            "times": html_table(times.map(_seconds)) if times is not None else None,
            "unreadable": times.attrs["unreadable"] if times is not None else 0,
            "built": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        }


def verdict_first(claims: pd.DataFrame) -> pd.DataFrame:
    """Return the claims with the verdict beside the claim: on a phone the first two columns are seen."""
    first = [column for column in ("claim", "verdict") if column in claims]
    return claims[[*first, *claims.columns.difference(first, sort=False)]]


def count_verdicts(claims: pd.DataFrame) -> list[tuple[str, str, int]]:
    """Return (verdict, style, count) of the claims, the known verdicts first, in their order."""
    if "verdict" not in claims:
        return []
    counts = claims["verdict"].fillna("no verdict").value_counts()
    order = [*(verdict for verdict in VERDICTS if verdict in counts), *counts.index.difference(list(VERDICTS))]
    return [(verdict, VERDICTS.get(verdict, ""), int(counts[verdict])) for verdict in order]


def save_thumbnail(source: Path, target: Path) -> None:
    """Write a smaller copy of a PNG, on white.

    Raises
    ------
    InputError
        When the file is no image.
    """
    try:
        with Image.open(source, formats=["PNG"]) as image:  # other formats may call other programs
            page = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{source}: no readable image: delete it and run its notebook again") from error
    page.thumbnail(THUMBNAIL)
    page.convert("RGB").save(target, optimize=True)


def duration(seconds: float | None) -> str:
    """Return "21 s", "1 min 27 s" or "2 h 05 min"; "" for None."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _seconds(value: Any) -> Any:
    """Return a measured time with one decimal; all else as it is."""
    return f"{value:,.1f}" if isinstance(value, float) and not pd.isna(value) else value


def numbers(names: Sequence[str]) -> str:
    """Return the numbers of notebooks as `leap run --notebooks` takes them."""
    return ",".join(name.split("_")[0] for name in names)
