"""Figure 1: LEAP, drawn by code; a unit of the Axes is a millimetre on the page."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import FancyBboxPatch, Polygon, Rectangle
from matplotlib.typing import ColorType

from leaplib.figures import style

WIDTH, HEIGHT = 183.0, 88.0
N_FOLDS = 5
LANES = (71.0, 57.5, 44.0, 30.5, 17.0)  # middle of the lane of each representation
MIDDLE = LANES[2]
HIGH = 8.5  # of what stands in a lane
FOLD_OFFSETS = tuple(HIGH * (0.4 - 0.2 * fold) for fold in range(N_FOLDS))
STRIP = HIGH * 0.14  # height of one fold's strip

# Left ends of the stages, and how wide they are.
EXPRESSION, DAMAE, CODE, FOLDS, LASSO = 5.5, 31.5, 57.0, 77.0, 94.0
FOLD_MEAN, MEMBER, MEAN, PREDICTION = 115.5, 126.5, 137.5, 155.0
TABLE_WIDE, DAMAE_WIDE, CODE_WIDE, FOLDS_WIDE, LASSO_WIDE, PREDICTION_WIDE = (
    16.0,
    16.0,
    10.0,
    12.0,
    16.0,
    22.0,
)

# Heading of each stage, and how many there are of it for one perturbation.
STAGES = {
    "Gene\nexpression": 1,
    "5 DAMAEs,\n5 random seeds": 5,
    "5 learned\nrepresentations": 5,
    "5-fold cross-\nvalidation": 5,
    "5 × 5 Lasso\nregressors": 25,  # noqa: RUF001
    "Average\nover folds": 5,
    "Average over\nrepresentations": 1,
    "Predicted\nresponse": 1,
}

Point = tuple[float, float]


def scheme(ax: Axes) -> Axes:
    """Draw LEAP from the expression table to the predicted response.

    Parameters
    ----------
    ax : Axes
        Best 183 x 88 mm; the scheme keeps its proportions in any other.

    Returns
    -------
    Axes
    """
    ax.set(xlim=(0, WIDTH), ylim=(0, HEIGHT), aspect="equal")
    ax.set_axis_off()
    random = np.random.default_rng(5)
    _frame(ax)
    _headings(ax)
    _expression(ax, random)
    for number, lane in enumerate(LANES):
        _representation(ax, number, lane, random)
        _regressors(ax, number, lane, random)
        _member(ax, number, lane, random)
    _prediction(ax, random)
    _labels(ax, random)
    return ax


def _text(ax: Axes, x: float, y: float, text: str, size: float = 5.5, **kwargs: object) -> None:
    settings = {"ha": "center", "va": "center", "linespacing": 1.15} | kwargs
    ax.text(x, y, text, fontsize=size, **settings)  # type: ignore[arg-type]


def _arrow(ax: Axes, tail: Point, head: Point, colour: str = style.MUTED) -> None:
    properties = {"arrowstyle": "-|>,head_length=0.22,head_width=0.11", "linewidth": 0.6, "color": colour,
                  "shrinkA": 0, "shrinkB": 0}  # fmt: skip
    ax.annotate("", head, tail, arrowprops=properties)


def _curve(ax: Axes, tail: Point, head: Point, colour: str = style.MUTED, arrow: bool = False) -> None:
    """Draw a line that leaves and arrives level."""
    t = np.linspace(0, 1, 40)
    x = tail[0] + (head[0] - tail[0]) * t
    y = tail[1] + (head[1] - tail[1]) * t**2 * (3 - 2 * t)
    ax.plot(x, y, color=colour, linewidth=0.6, solid_capstyle="butt")
    if arrow:
        _arrow(ax, (x[-4], y[-4]), head, colour)


def _table(ax: Axes, corner: Point, size: Point, values: np.ndarray, colour: str) -> None:
    """Draw a small heat map of values from 0 to 1 in tints of a colour, as vector cells."""
    shades = LinearSegmentedColormap.from_list("tints", ["white", colour])(0.08 + 0.87 * values)
    high, wide = size[1] / values.shape[0], size[0] / values.shape[1]
    cells = [Rectangle((corner[0] + wide * column, corner[1] + high * row), wide, high)
             for row, column in np.ndindex(values.shape)]  # fmt: skip
    _cells(ax, cells, shades.reshape(-1, 4), "white")
    ax.add_patch(Rectangle(corner, *size, fill=False, edgecolor=style.INK, linewidth=0.5))


def _cells(ax: Axes, cells: Sequence[Rectangle], fills: Sequence[ColorType] | np.ndarray, edge: str) -> None:
    """Draw cells of a table as one artist: hundreds of their own would take a second."""
    ax.add_collection(PatchCollection(cells, facecolor=fills, edgecolor=edge, linewidth=0.25), autolim=False)


def _mean(ax: Axes, left: float, y: float, colour: str) -> None:
    """Draw an average as a pill of 6.4 mm."""
    ax.add_patch(FancyBboxPatch((left, y - 1.5), 6.4, 3, boxstyle="round,pad=0,rounding_size=1.5",
                                facecolor="white", edgecolor=colour, linewidth=0.9, zorder=3))  # fmt: skip
    _text(ax, left + 3.2, y - 0.1, "mean", 5, zorder=4)


def _frame(ax: Axes) -> None:
    """Draw a stack of cards: what stands on them is done for each perturbation."""
    for step in (1.8, 0.9, 0.0):
        card = FancyBboxPatch((FOLDS - 3 + step, 7.5 - step), MEAN + 12.4 - FOLDS, 70.5, linewidth=0.5,
                              boxstyle="round,pad=0,rounding_size=1.5", zorder=0.5 - step / 10,
                              facecolor="#F8F8F8", edgecolor=style.FAINT)  # fmt: skip
        ax.add_patch(card)


def _headings(ax: Axes) -> None:
    """Name the stages above the lanes."""
    stages = ((EXPRESSION, TABLE_WIDE), (DAMAE, DAMAE_WIDE), (CODE, CODE_WIDE), (FOLDS, FOLDS_WIDE),
              (LASSO, LASSO_WIDE), (FOLD_MEAN, 6.4), (MEAN, 4.4), (PREDICTION, PREDICTION_WIDE))  # fmt: skip
    for (left, wide), heading in zip(stages, STAGES, strict=True):
        for number, line in enumerate(heading.split("\n")):  # one text a line keeps the baselines level
            _text(ax, left + wide / 2, 84.2 - 2.7 * number, line, 6, fontweight="bold", va="baseline")


def _expression(ax: Axes, random: np.random.Generator) -> None:
    """Draw the expression table, training samples above unseen ones, and the lines to the autoencoders."""
    programmes = np.kron(random.random((5, 4)), np.ones((3, 3)))
    values = np.clip(0.65 * programmes + 0.35 * random.random(programmes.shape), 0, 1)
    _table(ax, (EXPRESSION, 34), (TABLE_WIDE, 30), values[4:], style.INK)
    _table(ax, (EXPRESSION, 22), (TABLE_WIDE, 11), values[:4], style.INK)
    _text(ax, EXPRESSION - 2, 49, "training samples", rotation=90)
    _text(ax, EXPRESSION - 2, 27.5, "unseen", rotation=90)
    _text(ax, EXPRESSION + TABLE_WIDE / 2, 19.8, "genes")
    for lane in LANES:
        _curve(ax, (EXPRESSION + TABLE_WIDE + 0.6, MIDDLE), (DAMAE - 0.5, lane), arrow=True)


def _representation(ax: Axes, number: int, lane: float, random: np.random.Generator) -> None:
    """Draw an autoencoder, its seed, and the representation that it makes."""
    colour, half, narrow = style.representation_colour(number), HIGH / 2, HIGH * 0.2
    middle = DAMAE + DAMAE_WIDE / 2
    for side in (-1, 1):
        outer, inner = middle + side * DAMAE_WIDE / 2, middle + side * 1.3
        corners = [(outer, lane + half), (inner, lane + narrow), (inner, lane - narrow), (outer, lane - half)]
        ax.add_patch(Polygon(corners, facecolor=style.tint(colour, 0.3), edgecolor=colour, linewidth=0.6))
    ax.add_patch(Rectangle((middle - 0.8, lane - narrow), 1.6, 2 * narrow, facecolor=colour, linewidth=0))
    _text(ax, middle, lane + half - 0.3, f"seed {number + 1}", 5)
    _arrow(ax, (middle + DAMAE_WIDE / 2 + 0.6, lane), (CODE - 0.5, lane))
    _table(ax, (CODE, lane - half), (CODE_WIDE, HIGH), random.random((6, 7)), colour)
    _arrow(ax, (CODE + CODE_WIDE + 0.6, lane), (FOLDS - 0.5, lane))


def _regressors(ax: Axes, number: int, lane: float, random: np.random.Generator) -> None:
    """Draw the divisions into folds, the held-out one dark, and the sparse regressor of each."""
    colour, wide = style.representation_colour(number), FOLDS_WIDE / N_FOLDS
    for fold, offset in enumerate(FOLD_OFFSETS):
        y = lane + offset
        for part in range(N_FOLDS):
            fill = style.INK if part == fold else style.tint(colour, 0.35)
            ax.add_patch(
                Rectangle((FOLDS + wide * part, y - STRIP / 2), wide - 0.2, STRIP, facecolor=fill, linewidth=0)
            )
        _arrow(ax, (FOLDS + FOLDS_WIDE + 0.3, y), (LASSO - 0.4, y))
        chosen = random.choice(16, 4, replace=False)
        weights = [Rectangle((LASSO + place, y - STRIP / 2), 1, STRIP) for place in range(16)]
        _cells(ax, weights, [colour if place in chosen else "white" for place in range(16)], style.MUTED)
        _curve(ax, (LASSO + LASSO_WIDE + 0.4, y), (FOLD_MEAN, lane), colour)


def _member(ax: Axes, number: int, lane: float, random: np.random.Generator) -> None:
    """Draw the average over folds, the prediction that it gives, and its way to the last average."""
    colour = style.representation_colour(number)
    _mean(ax, FOLD_MEAN, lane, colour)
    _arrow(ax, (FOLD_MEAN + 6.6, lane), (MEMBER - 0.3, lane))
    _table(ax, (MEMBER, lane - HIGH / 2), (2, HIGH), random.random((4, 1)), colour)
    _curve(ax, (MEMBER + 2.4, lane), (MEAN, MIDDLE), colour)


def _prediction(ax: Axes, random: np.random.Generator) -> None:
    """Draw the average over representations and the predicted table, one perturbation marked."""
    blue, high = style.COLOURS["LEAP"], 22.0
    corner = (PREDICTION, MIDDLE - high / 2)
    _mean(ax, MEAN, MIDDLE, blue)
    _arrow(ax, (MEAN + 6.7, MIDDLE), (PREDICTION - 0.8, MIDDLE), blue)
    _table(ax, corner, (PREDICTION_WIDE, high), random.random((4, 8)), blue)
    ax.add_patch(
        Rectangle(corner, PREDICTION_WIDE / 8, high, fill=False, edgecolor=style.NOTE, linewidth=1.2, zorder=3)
    )
    _text(ax, PREDICTION + PREDICTION_WIDE / 2, corner[1] - 2.2, "perturbations")
    _text(ax, PREDICTION + PREDICTION_WIDE + 2, MIDDLE, "unseen samples", rotation=90)


def _labels(ax: Axes, random: np.random.Generator) -> None:
    """Explain marks under the lanes, and draw the observed response that enters from below."""
    below, middle = LANES[-1] - HIGH / 2 - 2.2, FOLDS + FOLDS_WIDE / 2
    for x, text, fill in (
        (FOLDS, "held out", style.INK),
        (LASSO, "weight not zero", style.REPRESENTATIONS[4]),
    ):
        ax.add_patch(Rectangle((x, below - 0.6), 1.2, 1.2, facecolor=fill, linewidth=0))
        _text(ax, x + 2, below - 0.1, text, 5, ha="left")
    _text(ax, MEMBER + 1, LANES[0] + HIGH / 2 + 1.6, "PS-LASSO", 5)
    _text(ax, MEAN + 3.2, MIDDLE - 3.6, "LEAP", 6, fontweight="bold", color=style.COLOURS["LEAP"])
    _table(ax, (FOLDS, 1.2), (FOLDS_WIDE, 2.2), random.random((1, 11)), style.NOTE)
    _arrow(ax, (middle, 3.8), (middle, 9.2), style.NOTE)
    observed = "observed response of the training samples to one perturbation"
    _text(ax, FOLDS + FOLDS_WIDE + 1.5, 2.2, observed, ha="left")
    repeated = {"ha": "right", "color": style.MUTED, "fontweight": "bold"}
    _text(ax, MEAN + 7.6, below - 0.1, "for each perturbation", **repeated)  # type: ignore[arg-type]
