"""The report of a profile's run: executed notebooks, figures and tables as linked pages that load nothing from afar.

And the executed notebooks that a release keeps beside the code: read without running, small enough for a code host to
show.
"""

import base64
import io
import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import bleach
import nbformat
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from PIL import Image
from traitlets.config import Config

import leaplib
from leaplib.base import store
from leaplib.base.errors import InputError, first_line
from leaplib.base.layout import Layout, home
from leaplib.base.store import atomic_folder, sweep
from leaplib.profiles import get_profile
from leaplib.runs.notebooks import find_notebooks, notebook_folder, number_of
from leaplib.runs.records import model_times
from leaplib.sources import manifest
from leaplib.tasks import POCKET

TEMPLATES = Path(__file__).with_name("templates")
GENERATOR = '<meta name="generator" content="leap report">'  # marks a folder that a report may replace
KINDS = ("csv", "pdf", "png", "svg", "tex", "xlsx")
MAX_ROWS = 2000  # of a table on a page; its CSV has them all
TAGS = {"a", "b", "br", "caption", "code", "col", "colgroup", "div", "em", "h1", "h2", "h3", "h4", "hr", "i", "li",
        "ol", "p", "pre", "small", "span", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead",
        "tr", "u", "ul"}  # fmt: skip
LINK = re.compile(r"https?://|mailto:|\d\d_\w+\.html$")  # to the web, or to a notebook's page
ATTRIBUTES = {"*": ["class", "id"], "a": lambda tag, name, value: name == "href" and bool(LINK.match(value)),
              "td": ["colspan", "rowspan"], "th": ["colspan", "rowspan", "scope"]}  # fmt: skip
# What an output may show, in this order: no scripts and widgets, which need a kernel or the network.
SHOWN = ["text/html", "text/markdown", "image/png", "image/jpeg", "text/plain"]
STYLE = re.compile(r"<style[^>]*>(.*?)</style>", re.DOTALL)  # as pandas' Styler puts before a table
MOST_BYTES = 1_500_000  # of a notebook that is kept beside the code: code hosts show no larger ones
COLOURS = (256, Image.Quantize.MAXCOVERAGE)  # of its pictures, rare ones too: a model keeps its own


def build_report(profile_name: str, out: str | Path | None = None) -> Path:
    """Build the report of a profile and return its index page.

    Parameters
    ----------
    profile_name : str
    out : str or Path, optional
        Folder; `report/<profile>/` at home by default. An older report there is replaced whole, once the new one is
        complete.

    Raises
    ------
    InputError
        Where there is nothing to report, a file of the run cannot be read, or `out` is a folder with other things.
    """
    profile, layout = get_profile(profile_name), Layout(profile_name)
    executed = sorted(path for path in layout.executed.glob("*.ipynb") if not path.name.startswith("."))
    figures, tables = _outputs(layout.figures), _outputs(layout.tables)
    if not (executed or figures or tables):
        raise InputError(
            f"nothing to report: no executed notebooks in {layout.executed}, no figures or tables in "
            f"{layout.figures}: run `leap run --profile {profile_name}` first"
        )
    target = Path(out) if out is not None else layout.report
    check_target(target)
    sweep(target.parent)
    notebooks = [_notebook(path, profile_name) for path in executed]
    frames = {name: read_csv(files["csv"]) for name, files in tables.items() if "csv" in files}
    drawn = {name: read_csv(files["csv"]) for name, files in figures.items() if "csv" in files}
    shown = {name: data_of(frame) for name, frame in (drawn | frames).items()}
    pages: list[tuple[str, str, str, dict[str, Any]]] = [
        ("index", "index.html", f"What the {profile_name} run found",
         {"notebooks": notebooks, "figures": figures, "tables": tables, "data": shown, "absent": _absent(executed),
          "built": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", **_facts(profile_name, frames.get("claims"))}),
        *(("notebook", f"notebooks/{notebook['name']}.html", notebook["title"], {"notebook": notebook})
          for notebook in notebooks),
        *(("table", f"tables/{name}.html", words(name), {"table": _html(frame), "n_rows": len(frame),
                                                        "data": data_of(frame), "files": tables[name]})
          for name, frame in frames.items()),
    ]  # fmt: skip
    templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
                            trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    templates.filters |= {"address": quote, "words": words}
    addresses = ["", *(address for _, address, _, _ in pages), ""]
    with atomic_folder(target) as folder:
        for name in ("notebooks", "figures", "tables"):
            (folder / name).mkdir()
        shutil.copyfile(TEMPLATES / "style.css", folder / "style.css")
        for place, (template, address, title, values) in enumerate(pages):
            values |= {"previous": addresses[place], "next": addresses[place + 2], "root": "../" * address.count("/")}
            page = templates.get_template(f"{template}.html.j2").render(title=title, profile=profile, **values)
            (folder / address).write_text(page, encoding="utf-8")
        for name, outputs in (("figures", figures), ("tables", tables)):
            for path in (path for files in outputs.values() for path in files.values()):
                shutil.copyfile(path, folder / name / path.name)
    return target / "index.html"


def check_target(target: Path) -> None:
    """Raise InputError unless a folder can be made or replaced: it is absent, empty or an older report."""
    blocked = next((path for path in (target, *target.parents) if path.exists() and not path.is_dir()), None)
    if blocked is not None:
        raise InputError(f"{blocked}: a file, not a folder: choose another folder with --out")
    index = target / "index.html"
    ours = index.is_file() and GENERATOR in index.read_text(encoding="utf-8", errors="replace")[:2000]
    if target.is_dir() and any(target.iterdir()) and not ours:
        raise InputError(f"{target}: holds other things than a report: choose another folder with --out")


def _outputs(folder: Path) -> dict[str, dict[str, Path]]:
    """Return the files of figures or tables, by name and kind: the paper's first, in its order."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.glob("*")):
        if path.is_file() and not path.name.startswith(".") and path.suffix[1:] in KINDS:
            found.setdefault(path.stem, {})[path.suffix[1:]] = path
    return {name: found[name] for name in sorted(found, key=_place)}


def _place(name: str) -> tuple[int, int, str]:
    numbered = re.fullmatch(r"(supplementary_)?(?:figure|table)_(\d+)", name)
    return (int(bool(numbered[1])), int(numbered[2]), name) if numbered else (2, 0, name)


# ---- notebooks


def _notebook(path: Path, profile: str) -> dict[str, Any]:
    """Return an executed notebook as a page's parts: name, title, question, took, failed, body, style."""
    try:
        notebook = nbformat.read(path, as_version=4)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, nbformat.ValidationError) as error:
        command = f"leap run --profile {profile} --notebooks {number_of(path)}"
        raise InputError(f"{path}: no readable notebook ({first_line(error)}): run `{command}` again") from error
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    question = re.search(r"\*\*Question\.\*\*\s*(.+?)(?:\n\s*\n|\Z)", text, re.DOTALL)
    run, style = notebook.metadata.get("papermill", {}), _take_styles(notebook)
    took = f"{timedelta(seconds=round(run['duration']))}" if run.get("duration") is not None else ""
    body = _exporter().from_notebook_node(notebook, {"metadata": {"name": path.stem}})[0]
    body = re.sub(r"<code>(\d\d_\w+)</code>", r'<a href="\1.html"><code>\1</code></a>', body)
    return {"name": path.stem, "title": _plain(title[1]) if title else path.stem, "style": style, "body": body,
            "question": _plain(question[1]) if question else "", "took": took,
            "failed": bool(run.get("exception"))}  # fmt: skip


def _exporter() -> HTMLExporter:
    """Return nbconvert's exporter of cells alone; what could run or load something is shown nowhere."""
    config = Config()
    config.NbConvertBase.display_data_priority = SHOWN
    config.SanitizeHTML.enabled = False  # it cleans Markdown before it is HTML: the filter cleans what comes out
    exporter = HTMLExporter(config=config, template_name="classic", template_file="cells.html.j2",
                            extra_template_paths=[str(TEMPLATES)], exclude_anchor_links=True)  # fmt: skip
    exporter.sanitize_html = True
    exporter.register_filter("clean_html", clean)
    return exporter


def clean(html: str) -> str:
    """Return HTML with tables, text and links to pages as they are, all else as text."""
    pages = re.sub(r'href="(\d\d_\w+)\.ipynb"', r'href="\1.html"', html)
    return bleach.clean(pages, tags=TAGS, attributes=ATTRIBUTES)


def _outputs_of(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def _take_styles(notebook: NotebookNode) -> str:
    """Take the style sheets of tables out of a notebook's outputs, and return those that style a table alone."""
    found = []
    for data in [output.data for output in _outputs_of(notebook) if "text/html" in output.get("data", {})]:
        html = "".join(data["text/html"])
        found += STYLE.findall(html)
        data["text/html"] = STYLE.sub("", html)
    return "\n".join(sheet for sheet in found if "#T_" in sheet and not re.search(r"[\\@<]|url", sheet, re.IGNORECASE))


def _absent(executed: Sequence[Path]) -> list[str]:
    """Return the names of the numbered notebooks that have no executed copy."""
    try:
        return [path.stem for path in find_notebooks() if path.name not in {path.name for path in executed}]
    except InputError:
        return []  # outside a checkout there are no numbered notebooks to miss


# ---- tables, facts, words


def read_csv(path: Path) -> pd.DataFrame:
    """Read a figure's or a table's CSV ("NA" is a text); one that is none is an InputError."""
    try:
        return pd.read_csv(path, keep_default_na=False, na_values=[""], low_memory=False)
    except (OSError, ValueError) as error:
        mend = "delete it and run its notebook again"
        raise InputError(f"{path}: no readable table ({first_line(error)}): {mend}") from error


def data_of(frame: pd.DataFrame) -> str:
    """Return "simulated", "partly simulated", the pocket of gene effects, or "" where the column `data` says none."""
    values = set(frame["data"].dropna().astype(str)) if "data" in frame else set()
    said = [POCKET] if POCKET in values else []
    if values & {"simulated", "mixed"}:
        said.append("simulated" if values == {"simulated"} else "partly simulated")
    return "; ".join(said)


def _html(frame: pd.DataFrame) -> str:
    """Return a frame as an HTML table, its texts escaped."""
    return frame.head(MAX_ROWS).to_html(index=False, na_rep="", border=0, float_format="{:.4g}".format)


def _facts(profile: str, claims: pd.DataFrame | None) -> dict[str, Any]:
    """Return what the index says beside the outputs: claims, data, versions, run times."""
    status, files = manifest.status(), ["source", "file", "state", "enables"]
    here, claims = status["state"] != "missing", pd.DataFrame(columns=["verdict"]) if claims is None else claims
    times = model_times(profile)
    table = times.pivot_table(index="model", columns="task", values="seconds", aggfunc="sum").reset_index()
    verdicts = claims["verdict"].fillna("no verdict").value_counts().to_dict() if "verdict" in claims else {}
    return {"verdicts": verdicts, "claims": _html(claims) if len(claims) else "",
            "present": _html(status.loc[here, files]), "missing": _html(status.loc[~here, [*files, "how"]]),
            "n_missing": int((~here).sum()), "times": _html(table) if len(times) else "",
            "versions": _html(pd.DataFrame(store.versions().items(), columns=["package", "version"]))}  # fmt: skip


def words(name: str) -> str:
    """Return a file's name as words: "Supplementary figure 4"."""
    text = re.sub("^damae", "DAMAE", name.replace("_", " ").strip())
    return text[:1].upper() + text[1:]


def _plain(markdown: str) -> str:
    """Return a line of Markdown without emphasis, code marks and link targets."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    return re.sub(r"\*\*|`", "", " ".join(text.split()))


# ---- what a release keeps


def render(profile: str) -> list[Path]:
    """Copy the executed notebooks of a finished run to `notebooks/rendered/`, where they are read without running.

    Copies say the version and profile of the run, have smaller pictures and name no folder of the machine.

    Raises
    ------
    InputError
        When a notebook was not run to its end, or is another than the one that was run.
    """
    folder, paths = notebook_folder() / "rendered", find_notebooks()
    with atomic_folder(folder) as new:
        for path in paths:
            copy = _rendered(path, Layout(profile).executed / path.name)
            copy.metadata["leaplib"] = {"version": leaplib.__version__, "profile": profile}
            nbformat.write(_small(copy), new / path.name)
    return [folder / path.name for path in paths]


def _rendered(path: Path, executed: Path) -> NotebookNode:
    """Return the executed copy of a notebook without what papermill adds to it."""
    if not executed.is_file():
        raise InputError(f"{executed}: is not there: run `leap run --profile {executed.parent.name}` first")
    copy, source = (nbformat.read(file, as_version=4) for file in (executed, path))
    copy.cells = [cell for cell in copy.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    code = [[cell.source for cell in book.cells if cell.cell_type == "code"] for book in (copy, source)]
    if code[0] != code[1] or any(output.output_type == "error" for output in _outputs_of(copy)):
        raise InputError(f"{executed}: failed, or is of another version of {path.name}: run `leap run --profile "
                         f"{executed.parent.name} --notebooks {number_of(path)}` again")  # fmt: skip
    copy.metadata.pop("papermill", None)
    for cell in copy.cells:
        cell.metadata = {name: value for name, value in cell.metadata.items() if name == "tags"}
    return nbformat.reads(nbformat.writes(copy).replace(f"{home()}/", ""), as_version=4)


def _small(copy: NotebookNode) -> NotebookNode:
    """Make the pictures of a notebook smaller, in colours and then in size, until all of it is below `MOST_BYTES`."""
    pictures = [output.data for output in _outputs_of(copy) if "image/png" in output.get("data", {})]
    originals = [Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB") for data in pictures]
    for share in (1.0, 0.8, 0.64, 0.5, 0.4, 0.32):
        for data, image in zip(pictures, originals, strict=True):
            size, content = [round(share * side) for side in image.size], io.BytesIO()
            image.resize(size, Image.Resampling.LANCZOS).quantize(*COLOURS).save(content, "PNG", optimize=True)
            data["image/png"] = base64.b64encode(content.getvalue()).decode()
        if len(nbformat.writes(copy).encode()) < MOST_BYTES:
            return copy
    raise InputError(f"a notebook's outputs are larger than {MOST_BYTES:,} bytes: show less in it")
