"""Executed notebooks as HTML: text and outputs in full, code folded away, images as files beside, no network."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import bleach
import nbformat
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

from leaplib.base.errors import InputError, first_line
from leaplib.report.svg import harmless

TEMPLATES = Path(__file__).with_name("templates")
# What an output may show, in this order; scripts and widgets, which need a kernel or the network, are left out.
SHOWN = ["text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/plain"]
TAGS = {"a", "b", "br", "caption", "code", "col", "colgroup", "div", "em", "h1", "h2", "h3", "h4", "hr", "i", "li",
        "ol", "p", "pre", "small", "span", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead",
        "tr", "u", "ul"}  # fmt: skip
ABSOLUTE = ("https://", "http://", "mailto:")
STYLE = re.compile(r"\s*(?:<div>\s*)?(<style[^>]*>(.*?)</style>)", re.DOTALL)


@dataclass(frozen=True)
class NotebookPage:
    """One executed notebook, ready for a page.

    Parameters
    ----------
    name : str
        File name without suffix, such as "03_unseen_cell_lines".
    title, question : str
        The first heading, and what follows "**Question.**" ("" where there is none).
    headings : tuple of str
        All headings, in order.
    code : str
        The source of all code cells.
    seconds : float or None
        How long it ran; None where the notebook does not say.
    failed : bool
        Whether the run stopped in it.
    body : str
        The cells as HTML, escaped and cleaned.
    images : dict of str to bytes
        The files that `body` shows, by path beside the page.
    """

    name: str
    title: str
    question: str
    headings: tuple[str, ...]
    code: str
    seconds: float | None
    failed: bool
    body: str
    images: dict[str, bytes]


def read_pages(paths: Sequence[Path], profile: str) -> list[NotebookPage]:
    """Convert executed notebooks; where their text names one of them, it links to its page.

    Parameters
    ----------
    paths : sequence of Path
    profile : str
        For the command in the error.

    Raises
    ------
    InputError
        When a file is no notebook; the message says which command makes it again.
    """
    exporter = Exporter({path.stem for path in paths})
    return [_page(path.stem, _read(path, profile), exporter) for path in paths]


def _page(name: str, notebook: NotebookNode, exporter: "Exporter") -> NotebookPage:
    headings = _label_images(notebook)
    files = {"unique_key": name, "output_files_dir": f"{name}_files", "metadata": {"name": name}}
    body, resources = exporter.from_notebook_node(notebook, files)
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    question = re.search(r"\*\*Question\.\*\*\s*(.+?)(?:\n\s*\n|\Z)", text, re.DOTALL)
    run = notebook.metadata.get("papermill", {})
    return NotebookPage(
        name=name,
        title=headings[0] if headings else name,
        question=_plain(question[1]) if question else "",
        headings=tuple(headings),
        code="\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code"),
        seconds=run.get("duration"),
        failed=bool(run.get("exception")),
        body=body,
        images={path: harmless(data) if path.endswith(".svg") else data for path, data in resources["outputs"].items()},
    )


def _read(path: Path, profile: str) -> NotebookNode:
    """Read a notebook without the cells in which papermill points at a failure: the page says it itself."""
    try:
        notebook = nbformat.read(path, as_version=4)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, nbformat.ValidationError) as error:
        command = f"leap run --profile {profile} --notebooks {path.name.split('_')[0]}"
        raise InputError(f"{path}: no readable notebook ({first_line(error)}): run `{command}` again") from error
    marks = {"papermill-error-cell-tag"}
    notebook.cells = [cell for cell in notebook.cells if not marks & set(cell.metadata.get("tags", []))]
    return notebook


def _label_images(notebook: NotebookNode) -> list[str]:
    """Give each code cell the heading above it as its images' alternative text, and return all headings."""
    headings: list[str] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            headings += [_plain(line) for line in re.findall(r"^#+\s+(.+)$", cell.source, re.MULTILINE)]
        else:
            cell.metadata["alt"] = headings[-1] if headings else "Output"
    return headings


def _plain(markdown: str) -> str:
    """Return a line of Markdown without emphasis, code marks and link targets."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    return re.sub(r"\*\*|`", "", " ".join(text.split()))


class Exporter(HTMLExporter):
    """nbconvert's HTML exporter with the template and the filters of this report."""

    def __init__(self, known: set[str]):
        super().__init__(template_name="base", template_file="cells.html.j2", extra_template_paths=[str(TEMPLATES)])
        self.register_filter("markdown", lambda text: to_html(text, known))
        self.register_filter("clean", clean)
        self.register_filter("address", quote)

    @property
    def default_config(self) -> Any:
        """Settings of nbconvert's parts: what is shown, and that images become files."""
        config = super().default_config
        config.NbConvertBase.display_data_priority = SHOWN
        config.ExtractOutputPreprocessor.enabled = True
        config.ExtractOutputPreprocessor.extract_output_types = {kind for kind in SHOWN if kind.startswith("image/")}
        return config


def to_html(markdown: str, known: set[str] | None = None) -> str:
    """Return Markdown as HTML; HTML in it becomes text, and links lead to pages of the report or to the web."""
    return MarkdownWithMath(renderer=_Renderer(known or set())).render(markdown)


class _Renderer(IPythonRenderer):
    """Markdown to HTML: escapes, links notebooks that are named, and loads nothing."""

    def __init__(self, known: set[str]):
        super().__init__(escape=True, allow_harmful_protocols=False, exclude_anchor_links=True)
        self.known = known

    def link(self, text: str, url: str, title: str | None = None) -> str:
        """Link to the web or to a notebook's page; a link to anything else stays text."""
        name = Path(url).name.removesuffix(".ipynb")
        target = f"{quote(name)}.html" if name in self.known else url if url.startswith(ABSOLUTE) else None
        return f'<a href="{escape(target)}">{text}</a>' if target else text

    def codespan(self, text: str) -> str:
        """Link the name of a notebook to its page."""
        html = super().codespan(text)
        return f'<a href="{quote(text)}.html">{html}</a>' if text in self.known else html

    def block_mermaidjs(self, code: str) -> str:
        """Show a diagram's code: nothing here draws it, and nbconvert does not escape it."""
        return self.block_code(code)

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """Show the words of an image: its file is not part of an executed notebook."""
        return str(escape(text))


def clean(html: str) -> str:
    """Return an output's HTML with tables and text as they are and all else turned to text.

    The style sheet that pandas' Styler puts in front stays when it loads nothing; that of plain frames, which are
    styled by the page, goes.
    """
    found = STYLE.match(html)
    sheet = ""
    if found:
        html = html.replace(found[1], "", 1)
        harmless = "#T_" in found[2] and not re.search(r"[\\@<]|url", found[2], re.IGNORECASE)
        sheet = f"<style>{found[2]}</style>" if harmless else ""
    attributes = {"*": ["class", "id"], "td": ["colspan", "rowspan"], "th": ["colspan", "rowspan", "scope"],
                  "a": lambda tag, name, value: name == "href" and value.startswith(ABSOLUTE)}  # fmt: skip
    return sheet + bleach.clean(html, tags=TAGS, attributes=attributes)
