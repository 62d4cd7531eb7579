"""A figure by its name: drawn from saved results alone, in seconds, and saved with what it draws."""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

from leaplib.base.errors import InputError
from leaplib.base.layout import Layout, home
from leaplib.base.store import atomic_path
from leaplib.cohorts.prepare import data_kind, fetching
from leaplib.figures import pages, style
from leaplib.representation import pretraining
from leaplib.results.comparisons import bars_frame, gains_table, number_frame, steps_frame
from leaplib.results.load import Results
from leaplib.results.reference import reference, write_readme
from leaplib.results.tables import save_table, tidy
from leaplib.sources import depmap
from leaplib.tasks import POCKET, get_task

FLOWS = {"1a": None, "2a": None, "5a": "PDX Encyclopedia"}  # a task a screen, and its only branch shown (None: all)
REFERENCE_FIGURES = (
    "figure_2",
    "figure_3",
    "critical_difference",
    *(f"supplementary_figure_{number}" for number in (3, 5, 6, 7)),
)
WITH_FRAMES = ("figure_3", "supplementary_figure_6", "supplementary_figure_7")  # around tasks without results
REFERENCE_TABLES = ("supplementary_table_3", "supplementary_table_5", "claims")
DOTS = 200  # a PNG's, an inch, where it is kept beside the code
DRUGS = get_task("2a")  # of pretraining, external validation and additional ablations


OPTIONS: dict[str, Callable[[Results], Any]] = {
    "published": lambda results: results.published,
    "reported_only": lambda results: True,
    "left_out": lambda results: {task: fetching(get_task(task).screen) for task in results.tasks},
}


class Page(NamedTuple):
    """The notebooks that make a figure's results, its page, what it draws of them, which of `OPTIONS` it takes."""

    notebooks: str
    draw: Callable[..., style.Drawn]
    part: str = "scores"  # of the results, which says why there is nothing
    frame: Callable[[Results], Any] | None = None  # the part itself by default
    options: tuple[str, ...] = ()


def _flows(results: Results) -> dict[str, pd.DataFrame]:
    flows = results.flows
    lacking = sorted(FLOWS.keys() - set(flows["task"]))
    if lacking:
        raise InputError(results.why("flows") or f"task {lacking[0]}: no cohort")
    parts = {task: flows[flows["task"] == task].drop(columns="task") for task in FLOWS}
    return {task: part if FLOWS[task] is None else part[part["branch"] == FLOWS[task]] for task, part in parts.items()}


def _curves(results: Results) -> pd.DataFrame:
    curves = pretraining.learning_curves(results.profile, DRUGS)
    return curves.assign(data=data_kind(results.profile, DRUGS.screen))


def _codes(results: Results) -> pd.DataFrame:
    codes = pretraining.code_map(pretraining.saved_embedding(results.profile, DRUGS))
    return codes.assign(data=data_kind(results.profile, DRUGS.screen))


def _bars(results: Results) -> pd.DataFrame:
    corrections_last = results.ablations.sort_values("group", key=lambda g: g == "Batch correction", kind="stable")
    return bars_frame(corrections_last)


def _gains(results: Results) -> pd.DataFrame:
    return gains_table(results.candidates, results.times) if len(results.candidates) else pd.DataFrame()


def _agreement(results: Results) -> pd.DataFrame:
    if data_kind(results.profile, get_task("3a").screen) != POCKET:
        raise InputError("tasks 1a and 3a do not rest on the gene effects that it is about")
    return depmap.agreement()


BESIDE = ("published", "reported_only")
FIGURES = {
    "figure_1": Page("00", pages.figure_1, frame=lambda r: pd.DataFrame()),
    "figure_2": Page("03", pages.figure_2, options=BESIDE),
    "figure_3": Page("03,04,05", pages.figure_3, options=("published", "left_out")),
    "supplementary_figure_1": Page("01", pages.supplementary_figure_1, "flows", _flows),
    "supplementary_figure_2": Page("03", pages.supplementary_figure_2, options=BESIDE),
    "supplementary_figure_3": Page("03", pages.supplementary_figure_3, "external"),
    "supplementary_figure_4": Page("06", pages.supplementary_figure_4, "ablations", lambda r: steps_frame(r.ablations)),
    "supplementary_figure_5": Page("03", pages.supplementary_figure_5, options=("published",)),
    "supplementary_figure_6": Page("04", pages.supplementary_figure_6),
    "supplementary_figure_7": Page("04", pages.supplementary_figure_7),
    "critical_difference": Page("08", pages.critical_difference),
    "two_laboratories": Page("04", pages.two_laboratories, frame=_agreement),
    "supplementary_figure_8": Page("05", pages.supplementary_figure_8),
    "damae_learning_curves": Page("02", pages.learning_curves, frame=_curves),
    "damae_codes": Page("02", pages.codes, frame=_codes),
    "ablations_additional": Page("06", pages.ablation_bars, "ablations", _bars),
    "ablations_number_of_damaes": Page(
        "06", pages.number_of_representations, "ablations", lambda r: number_frame(r.ablations)
    ),
    "lines_needed": Page("10", pages.lines_needed, "curves"),
    "general_sensitivity": Page("10", pages.general_sensitivity, "sensitivity"),
    "beyond_leap": Page("10", pages.beyond_leap, "candidates", _gains),
}


def figure(name: str, results: Results, **options: Any) -> Figure | Markdown:
    """Draw a figure of a profile's saved results, save it (PDF, SVG, PNG, CSV) and return it for a notebook to show.

    Parameters
    ----------
    name : str
        Of `FIGURES`, such as "figure 2" or "damae codes".
    results : Results
    **options
        Of the page (`leaplib.figures.pages`), such as size or task.

    Returns
    -------
    Figure or Markdown
        Where results are missing, a line with the command that makes them; nothing is saved then.
    """
    key = name.lower().replace(" ", "_")
    if key not in FIGURES:
        raise InputError(f"figure {name!r} is unknown: use one of {', '.join(FIGURES)}")
    page = FIGURES[key]
    try:
        given = {name: OPTIONS[name](results) for name in page.options}
        frame = page.frame(results) if page.frame else getattr(results, page.part)
        fig, drawn = page.draw(frame, **given | options)
        if _ours(drawn).empty and not options.get("frames"):
            plt.close(fig)
            raise InputError(results.why(page.part) or "nothing is saved")
    except InputError as error:
        return Markdown(f"*Left out: its results are missing.* {error}: `{_command(results, page)}` makes them.")
    save_figure(fig, drawn, results.profile.name, key)
    return fig


def save_figure(fig: Figure, data: pd.DataFrame, profile_name: str, name: str) -> list[Path]:
    """Save a figure as PDF, SVG and PNG, and what it draws as CSV, and close it; the same figure gives the same bytes.

    Parameters
    ----------
    fig : Figure
    data : DataFrame
        What is drawn.
    profile_name : str
        Files go to its folder of figures.
    name : str
        File name without suffix.

    Returns
    -------
    list of Path
        The four files.
    """
    metadata: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "png": {}, "pdf": {"CreationDate": None}}
    paths = {kind: Layout(profile_name).figures / f"{name}.{kind}" for kind in ("pdf", "svg", "png", "csv")}
    engine, before = fig.get_layout_engine(), paths["svg"].read_bytes() if paths["svg"].is_file() else b""
    with style.context(), ExitStack() as files:
        if fig.stale:  # else its layout stands
            fig.draw_without_rendering()
        fig.set_layout_engine(None)  # one layout for all three formats, and one drawing each: "none" would draw twice
        written: dict[str, Path] = {}
        for kind, entries in metadata.items():
            if kind == "pdf" and paths["pdf"].is_file() and written["svg"].read_bytes() == before:
                continue  # the slowest of the three would show the same
            # Put in place in the reverse order: an SVG that is new tells that the PDF is.
            written[kind] = files.enter_context(atomic_path(paths[kind]))
            fig.savefig(written[kind], format=kind, metadata=entries)
        fig.set_layout_engine(engine)
    with atomic_path(paths["csv"]) as temporary:
        data.to_csv(temporary, index=False, lineterminator="\n")
    plt.close(fig)  # a notebook shows it by naming it, once
    return list(paths.values())


def draw_reference() -> list[Path]:
    """Draw figures and tables of the reference results into `figures/paper/`, and write the README's table of them.

    Returns
    -------
    list of Path
        What was written.
    """
    results, layout = reference(), Layout("paper")
    with style.adapted({"savefig.dpi": DOTS}):
        options = {"frames": True}
        shown = {name: figure(name, results, **options if name in WITH_FRAMES else {}) for name in REFERENCE_FIGURES}
    for name, what in shown.items():
        if isinstance(what, Markdown):
            raise InputError(f"{name.replace('_', ' ')}: {results.why(FIGURES[name].part) or 'no reference results'}")
    tables = [save_table(tidy(name, results), "paper", name) for name in REFERENCE_TABLES]
    return [*(layout.figures / f"{name}.pdf" for name in shown), *tables, write_readme(results)]


def fill_gallery(profile: str) -> list[Path]:
    """Renew the pictures of `figures/gallery/`, out of the reference's figures where they are there, else a run's."""
    paths = sorted((home() / "figures/gallery").glob("*.png"))
    for path in paths:
        sources = [Layout(name).figures / path.name for name in ("paper", profile)]
        found = [source for source in sources if source.is_file()]
        if not found:
            raise InputError(f"{sources[-1]}: is not there: run `leap run --profile {profile}` first")
        with atomic_path(path) as temporary:
            shutil.copyfile(found[0], temporary)
    return paths


def drawn(results: Results) -> pd.DataFrame:
    """Return what is drawn of a profile: figure, tasks, data, file (or the command that makes what is missing)."""
    found = []
    for name, page in FIGURES.items():
        path = Layout(results.profile.name).figures / f"{name}.csv"
        if path.exists():
            drawn = _ours(pd.read_csv(path, keep_default_na=False, low_memory=False))
            tasks = ", ".join(drawn["task"].unique()) if "task" in drawn else ""
            kinds = "; ".join(drawn["data"].unique()) if "data" in drawn else ""
            found.append((name, tasks, kinds, str(path.with_suffix(".pdf"))))
        else:
            found.append((name, "", "", f"left out: {_command(results, page)}"))
    return pd.DataFrame(found, columns=["figure", "tasks", "data", "file"])


def _ours(drawn: pd.DataFrame) -> pd.DataFrame:
    """Return what is drawn without published values."""
    return drawn[drawn["source"] == "this run"] if "source" in drawn else drawn


def _command(results: Results, page: Page) -> str:
    return f"leap run --profile {results.profile.name} --notebooks {page.notebooks}"
