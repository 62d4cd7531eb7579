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
from typing import Any, Concatenate, ParamSpec

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from leaplib.base.errors import InputError
from leaplib.tasks import data_words

STYLE = Path(__file__).with_name("leap.mplstyle")
SETTINGS: dict[str, Any] = {}
TYPE = ("font.size", "axes.titlesize", "axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize",
        "legend.title_fontsize")  # fmt: skip

MM_PER_INCH = 25.4
ONE_COLUMN, TWO_COLUMNS, MAX_HEIGHT = 89, 183, 247  # mm

# Lightness (CIE L*) rises in even steps from 17 to 89, so that greys differ; hues stay apart under the three
# colour-vision deficiencies. LEAP and its kin are blue, and models of one algorithm share a hue.
LOOKS = pd.read_csv(Path(__file__).with_name("colours.csv"), index_col="model")
COLOURS = {str(model): str(colour) for model, colour in LOOKS["colour"].items()}
CONTROLS = tuple(LOOKS.index[LOOKS["control"]])
RHO = "Spearman's ρ"  # noqa: RUF001
REPRODUCIBILITY = "Label reproducibility"  # no model: what the training studies' own measurements tell
MODELS = tuple(LOOKS.index[~LOOKS["control"]])
SHORT = {"LEAP (shuffled labels)": "LEAP, shuffled", "PS-TCRP (10-shot)": "PS-TCRP, 10-shot"}  # for tick labels
REPRESENTATIONS = ("#472A7A", "#2A6390", "#1E8F7A", "#63B548", "#D8C21A")

INK, MUTED, FAINT, PALE = "#222222", "#666666", "#BBBBBB", "#F2F2F2"
NOTE = "#B3400A"
DASHED = (0, (4, 2))

P = ParamSpec("P")
Drawn = tuple[Figure, pd.DataFrame]


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


def styled(draw: Callable[P, Drawn]) -> Callable[P, Drawn]:
    """Make a function that returns (figure, what it draws) draw all of it under the style."""

    @wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Drawn:
        with context():
            fig, drawn = draw(*args, **kwargs)
            fig.draw_without_rendering()  # ticks are made on the first drawing
        return fig, drawn

    return wrapped


def panel(*columns: str) -> Callable[[Callable[Concatenate[Axes, pd.DataFrame, P], None]],
                                     Callable[Concatenate[Axes, pd.DataFrame, P], Axes]]:  # fmt: skip
    """Make a function that draws a frame with these columns on Axes a panel: a frame that lacks one is refused.

    The panel returns the Axes. Where the frame has no value in the last column, it says "no data" and draws nothing.
    """

    def decorate(draw: Callable[Concatenate[Axes, pd.DataFrame, P], None]) -> Any:
        @wraps(draw)
        def wrapped(ax: Axes, frame: pd.DataFrame, *args: P.args, **kwargs: P.kwargs) -> Axes:
            if checked(frame, columns)[columns[-1]].isna().all():
                return no_data(ax)
            draw(ax, frame, *args, **kwargs)
            return ax

        return wrapped

    return decorate


def colour(model: str) -> str:
    """Return a model's colour; a member ("PS-LASSO r3") has its model's, an unknown name a neutral one."""
    return COLOURS.get(re.sub(r" r\d+$", "", model), MUTED)


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
    order = {name: place for place, name in enumerate([*CONTROLS, None, *MODELS, REPRODUCIBILITY])}
    return sorted(dict.fromkeys(names), key=lambda name: order.get(name, order[None]))


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


def width_mm(ax: Axes) -> float:
    """Return the width of an Axes on the page as the layout stands now."""
    page = ax.get_figure(root=True)
    assert page is not None
    if (layout := page.get_layout_engine()) is not None:
        layout.execute(page)  # nothing need be drawn for it
    return ax.get_window_extent().width / page.dpi * MM_PER_INCH


def wrap(text: str, width_mm: float, size: float) -> str:
    """Break a text into lines that fit a width at a type size in points; \u00a0 does not break."""
    fits = max(int(width_mm * 72 / MM_PER_INCH / (0.6 * size)), 8)
    lines = [line for part in text.split("\n") for line in textwrap.wrap(part, fits, break_long_words=False)]
    return "\n".join(lines).replace("\u00a0", " ")


def head(ax: Axes, title: str, letter: str = "", data: str = "real", offset: float = -24) -> None:
    """Write a panel's title, its letter (8 pt bold) left of it, and above both that its data are not real.

    Parameters
    ----------
    ax : Axes
    title : str
    letter : str
        "" where the panel stands alone.
    data : str
        "real", or what the note says, e.g. "simulated".
    offset : float
        Where the letter begins, in points from the left end of the Axes.
    """
    size = float(ax.set_title(title, loc="left").get_fontsize())
    top = 4 + 1.25 * size * (title.count("\n") + 1 if title else 0)  # points above the Axes
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False,
                             "fontweight": "bold"}  # fmt: skip
    if letter:
        ax.annotate(letter, (0, 1), (offset, top), fontsize=8, ha="left", va="top", **place)
    if data != "real":
        frame = {"boxstyle": "round,pad=0.25", "facecolor": "#FFF3E6", "edgecolor": NOTE, "linewidth": 0.5}
        ax.annotate(data_words(data), (1, 1), (0, top + 1.5), fontsize=6, color=NOTE, ha="right", va="bottom",
                    bbox=frame, **place)  # fmt: skip


def no_data(ax: Axes, why: str = "") -> Axes:
    """Mark a panel that has nothing to show; where it is told why, in an empty frame."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=bool(why), color=FAINT)
    ax.text(0.5, 0.5, why or "no data", transform=ax.transAxes, ha="center", va="center", color=MUTED)
    return ax


def published(ax: Axes, x: Any, y: Any, **sd: pd.Series) -> None:
    """Draw published means, with their SDs (`xerr` or `yerr`) where these are given."""
    bars: dict[str, Any] = {name: values.fillna(0) for name, values in sd.items()}
    mark: dict[str, Any] = {"markersize": 2.6, "markerfacecolor": "white", "markeredgewidth": 0.6}
    ax.errorbar(x, y, **bars, **mark, fmt="D", color=INK, elinewidth=0.6, capsize=1.2, capthick=0.5, zorder=4,
                label="published mean ± SD")  # fmt: skip


def boxes(ax: Axes, places: Sequence[float], values: Sequence[pd.Series], width: float, faces: Sequence[str]) -> None:
    """Draw boxes of quartiles, each filled with its colour ("none": empty)."""
    thin: dict[str, Any] = {"color": INK, "linewidth": 0.5}
    lines: dict[str, Any] = {"medianprops": thin | {"linewidth": 1.1}, "whiskerprops": thin, "capprops": thin}
    drawn = ax.boxplot([part.to_numpy() for part in values], positions=places, widths=width, manage_ticks=False,
                       showfliers=False, patch_artist=True, boxprops={"edgecolor": INK, "linewidth": 0.5},
                       **lines)  # fmt: skip
    for box, face in zip(drawn["boxes"], faces, strict=True):
        box.set_facecolor(face)


def slanted(ax: Axes, names: Sequence[str]) -> None:
    """Name places on the x axis, in slanting labels without ticks."""
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    ax.tick_params(axis="x", length=0)


def counted(number: int, plural: str) -> str:
    """Return "1 split", "1,539 genes" or "1 subset of PDX"."""
    noun, of, rest = plural.partition(" of ")
    return f"{number:,} {noun.removesuffix('s') if number == 1 else noun}{of}{rest}"


def checked(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return these columns of a frame; an empty frame may lack them, any other gets an InputError."""
    if frame.empty:
        return frame.reindex(columns=list(columns))
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise InputError(f"the frame to plot lacks column {missing[0]!r}: it has {', '.join(map(str, frame.columns))}")
    return frame[list(columns)]
