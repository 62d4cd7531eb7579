"""What all figures share: page sizes, type, one colour per model, letters, notes and files.

Looks live in `leap.mplstyle`. To adapt every figure, change `SETTINGS` (matplotlib rcParams laid over
the style) or `COLOURS`, e.g. ``style.SETTINGS["font.family"] = "serif"`` or ``style.COLOURS["LEAP"] = "black"``;
to adapt some, draw them within `adapted`.
"""

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from leaplib.base.errors import InputError
from leaplib.base.store import atomic_path
from leaplib.tasks import data_words

STYLE = Path(__file__).with_name("leap.mplstyle")
SETTINGS: dict[str, Any] = {}
TYPE = ("font.size", "axes.titlesize", "axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize",
        "legend.title_fontsize")  # fmt: skip

MM_PER_INCH = 25.4
POINTS_PER_MM = 72 / MM_PER_INCH
ONE_COLUMN, TWO_COLUMNS, MAX_HEIGHT = 89, 183, 247  # mm

# Lightness (CIE L*) rises in even steps from 17 to 89, so that greys differ; hues stay apart under the three
# colour-vision deficiencies. LEAP and its kin are blue, and models of one algorithm share a hue.
COLOURS = {
    "PP-LGBM": "#61207E",
    "PP-tDNN": "#F68B0B",
    "PP-MLP": "#CF2D28",
    "PS-KNN": "#2F9354",
    "PS-LGBM": "#B47FC9",
    "PS-TCRP": "#F4E253",
    "PS-TCRP (10-shot)": "#FFF3B8",
    "PS-LASSO": "#92D1FA",
    "PS-RIDGE": "#1FD08F",
    "LEAP": "#015C9F",
    "LEAP+": "#022959",
    "Training mean": "#E3E3E3",
    "Tissue mean": "#BDBDBD",
    "LEAP (shuffled labels)": "#8F8F8F",
}
CONTROLS = ("Training mean", "Tissue mean", "LEAP (shuffled labels)")
RHO = "Spearman's ρ"  # noqa: RUF001
REPRODUCIBILITY = "Label reproducibility"  # no model: what the training studies' own measurements tell
MODELS = tuple(name for name in COLOURS if name not in CONTROLS)
ORDER = (*CONTROLS, *MODELS)
SHORT = {"LEAP (shuffled labels)": "LEAP, shuffled", "PS-TCRP (10-shot)": "PS-TCRP, 10-shot"}  # for tick labels
REPRESENTATIONS = ("#472A7A", "#2A6390", "#1E8F7A", "#63B548", "#D8C21A")

INK, MUTED, FAINT, PALE = "#222222", "#666666", "#BBBBBB", "#F2F2F2"
NOTE = "#B3400A"

P = ParamSpec("P")
R = TypeVar("R")


def context() -> AbstractContextManager[None]:
    """Return a context in which figures take on the style and `SETTINGS`."""
    return plt.style.context([STYLE, SETTINGS])


@contextmanager
def adapted(settings: Mapping[str, Any] | None = None, colours: Mapping[str, str] | None = None, *,
            type_size: float | None = None) -> Iterator[None]:  # fmt: skip
    """Draw figures otherwise within a `with` block: afterwards all is as it was.

    Parameters
    ----------
    settings : mapping, optional
        matplotlib rcParams, laid over `SETTINGS`.
    colours : mapping, optional
        Colours by model, in place of those of `COLOURS`.
    type_size : float, optional
        Size in points of titles, labels, ticks and legends.
    """
    before = dict(SETTINGS), dict(COLOURS)
    SETTINGS.update({} if type_size is None else dict.fromkeys(TYPE, type_size))
    SETTINGS.update(settings or {})
    COLOURS.update(colours or {})
    try:
        yield
    finally:
        for used, kept in zip((SETTINGS, COLOURS), before, strict=True):
            used.clear()
            used.update(kept)


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Make a function that returns (figure, frame) draw all of it under the style."""

    @wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with context():
            result = draw(*args, **kwargs)
            result[0].draw_without_rendering()  # type: ignore[index]  # ticks are made on the first drawing
        return result

    return wrapped


def colour(model: str) -> str:
    """Return a model's colour; a member ("PS-LASSO r3") has its model's, an unknown name a neutral one."""
    return COLOURS.get(model) or COLOURS.get(re.sub(r" r\d+$", "", model), MUTED)


def representation_colour(number: int) -> str:
    """Return the colour of a representation (0, 1, ...); after the fifth they repeat."""
    return REPRESENTATIONS[number % len(REPRESENTATIONS)]


def tint(colour: str, share: float) -> str:
    """Return a colour mixed with white: `share` 1 is the colour itself, 0 is white."""
    red, green, blue = (1 - share * (1 - channel) for channel in to_rgb(colour))
    return to_hex((red, green, blue))


def model_order(names: Iterable[str]) -> list[str]:
    """Return distinct names in the order of every figure.

    Controls, unknown names as they come, models, and last the reproducibility of the labels.
    """
    given = list(dict.fromkeys(names))
    others = [name for name in given if name not in COLOURS and name != REPRODUCIBILITY]
    return [*(n for n in CONTROLS if n in given), *others, *(n for n in (*MODELS, REPRODUCIBILITY) if n in given)]


def figure(width_mm: float = TWO_COLUMNS, height_mm: float = 60, *, mosaic: Any = None,
           **subplots: Any) -> tuple[Figure, Any]:  # fmt: skip
    """Make a figure of a size on the printed page, with constrained layout.

    Parameters
    ----------
    width_mm, height_mm : float
        At most 183 x 247; one column is 89 wide.
    mosaic : str or list, optional
        As in `matplotlib.pyplot.subplot_mosaic`.
    **subplots
        Passed to `matplotlib.pyplot.subplots` (or `subplot_mosaic`).

    Returns
    -------
    Figure
    Axes, array of Axes, or dict of Axes by name for a mosaic
    """
    if not (0 < width_mm <= TWO_COLUMNS and 0 < height_mm <= MAX_HEIGHT):
        raise InputError(f"a figure of {width_mm} x {height_mm} mm: use at most {TWO_COLUMNS} x {MAX_HEIGHT} mm")
    subplots |= {"figsize": (width_mm / MM_PER_INCH, height_mm / MM_PER_INCH), "layout": "constrained"}
    with context(), plt.rc_context({"figure.max_open_warning": 0}):  # a report opens them all
        return plt.subplots(**subplots) if mosaic is None else plt.subplot_mosaic(mosaic, **subplots)


def size_mm(ax: Axes) -> tuple[float, float]:
    """Return width and height of an Axes on the page as the layout stands now."""
    page = ax.get_figure(root=True)
    assert page is not None
    page.draw_without_rendering()
    box = ax.get_window_extent()
    return box.width / page.dpi * MM_PER_INCH, box.height / page.dpi * MM_PER_INCH


def wrap(text: str, width_mm: float, size: float) -> str:
    """Break a text into lines that fit a width at a type size in points; \u00a0 does not break."""
    fits = max(int(width_mm / (0.6 * size / POINTS_PER_MM)), 8)
    lines = [line for part in text.split("\n") for line in textwrap.wrap(part, fits, break_long_words=False)]
    return "\n".join(lines).replace("\u00a0", " ")


def _title_top(ax: Axes) -> float:
    """Return how far above the Axes its title reaches, in points."""
    title = ax.title if ax.title.get_text() else ax._left_title  # type: ignore[attr-defined]
    lines = title.get_text().count("\n") + 1 if title.get_text() else 0
    return 4 + 1.25 * lines * float(title.get_fontsize())


def panel_letter(ax: Axes, letter: str, offset: float = -22) -> Annotation:
    """Write a panel's letter (8 pt bold) left of its title; give the title first.

    Parameters
    ----------
    ax : Axes
    letter : str
    offset : float
        Points from the left end of the Axes.
    """
    return ax.annotate(letter, (0, 1), (offset, _title_top(ax)), xycoords="axes fraction",
                       textcoords="offset points", fontsize=8, fontweight="bold", ha="left", va="top",
                       annotation_clip=False)  # fmt: skip


def data_note(target: Axes | Figure, data: str) -> Annotation | None:
    """Say visibly that a panel rests on data that are not real; real data need no note.

    Parameters
    ----------
    target : Axes or Figure
        Of a figure, its first Axes get the note. Give the title first: the note stands above it.
    data : str
        "real", or what to say, e.g. "simulated".
    """
    if data == "real":
        return None
    ax = target.axes[0] if isinstance(target, Figure) else target
    frame = {"boxstyle": "round,pad=0.25", "facecolor": "#FFF3E6", "edgecolor": NOTE, "linewidth": 0.5}
    return ax.annotate(data_words(data), (1, 1), (0, _title_top(ax) + 1.5), xycoords="axes fraction",
                       textcoords="offset points", fontsize=6, fontweight="bold", color=NOTE, ha="right",
                       va="bottom", annotation_clip=False, bbox=frame)  # fmt: skip


def no_data(ax: Axes, why: str = "") -> Axes:
    """Mark a panel that has nothing to show; where it is told why, in an empty frame."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=bool(why), color=FAINT)
    ax.text(0.5, 0.5, why or "no data", transform=ax.transAxes, ha="center", va="center", color=MUTED)
    return ax


def begin(ax: Axes, values: pd.Series, *title: str) -> bool:
    """Write a panel's title, a line an argument, and tell whether there is nothing to draw: it is marked then."""
    ax.set_title("\n".join(filter(None, title)), loc="left")
    if nothing := bool(values.isna().all()):
        no_data(ax)
    return nothing


def published(ax: Axes, x: Any, y: Any, xerr: pd.Series | None = None, yerr: pd.Series | None = None) -> None:
    """Draw published means, with their SDs where these are given."""
    bars = {name: sd.fillna(0) for name, sd in (("xerr", xerr), ("yerr", yerr)) if sd is not None}
    lines = {"elinewidth": 0.6, "capsize": 1.2, "capthick": 0.5, "zorder": 4}
    mark = {"markersize": 2.6, "markerfacecolor": "white", "markeredgewidth": 0.6}
    ax.errorbar(x, y, **bars, fmt="D", color=INK, **mark, **lines, label="published mean ± SD")  # type: ignore[arg-type]


def box(ax: Axes, place: float, values: pd.Series, width: float, face: str | None = None, label: str = "") -> None:
    """Draw one box of quartiles, filled with a colour or empty."""
    thin = {"color": INK, "linewidth": 0.5}
    look: dict[str, Any] = {"whiskerprops": thin, "capprops": thin, "boxprops": thin, "showfliers": False}
    if face:
        look |= {"patch_artist": True, "boxprops": {"facecolor": face, "edgecolor": INK, "linewidth": 0.5}}
    drawn = ax.boxplot(
        [values.to_numpy()],
        positions=[place],
        widths=width,
        manage_ticks=False,
        medianprops={"color": INK, "linewidth": 1.1},
        **look,
    )
    drawn["boxes"][0].set_label(label)


def slanted(ax: Axes, names: Sequence[str]) -> None:
    """Name places on the x axis, in slanting labels without ticks."""
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    ax.tick_params(axis="x", length=0)


def counted(number: int, plural: str) -> str:
    """Return "1 split", "1,539 genes" or "1 subset of PDX"."""
    noun, of, rest = plural.partition(" of ")
    return f"{number:,} {noun.removesuffix('s') if number == 1 else noun}{of}{rest}"


def counts(splits: int, split_name: str, n_perturbations: int | None, perturbation_name: str) -> str:
    """Return "n = 10 splits, 1,539 genes"."""
    known = [] if n_perturbations is None else [counted(n_perturbations, perturbation_name)]
    return "n = " + ", ".join([counted(splits, split_name), *known])


def checked(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return these columns of a frame; an empty frame may lack them, any other gets an InputError."""
    if frame.empty:
        return frame.reindex(columns=list(columns))
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise InputError(f"the frame to plot lacks column {missing[0]!r}: it has {', '.join(map(str, frame.columns))}")
    return frame[list(columns)]


def save_figure(fig: Figure, data: pd.DataFrame, folder: str | Path, name: str) -> list[Path]:
    """Save a figure as PDF, SVG and PNG, and what it draws as CSV; the same figure gives the same bytes.

    Parameters
    ----------
    fig : Figure
    data : DataFrame
        What is drawn.
    folder : str or Path
    name : str
        File name without suffix.

    Returns
    -------
    list of Path
        The four files.
    """
    metadata: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
    paths = {kind: Path(folder) / f"{name}.{kind}" for kind in (*metadata, "csv")}
    engine = fig.get_layout_engine()
    with context():
        if fig.stale:  # else its layout stands
            fig.draw_without_rendering()
        fig.set_layout_engine(None)  # one layout for all three formats, and one drawing each: "none" would draw twice
        for kind, entries in metadata.items():
            with atomic_path(paths[kind]) as temporary:
                fig.savefig(temporary, format=kind, metadata=entries)
        fig.set_layout_engine(engine)
    with atomic_path(paths["csv"]) as temporary:
        data.to_csv(temporary, index=False, lineterminator="\n")
    return list(paths.values())
