"""Boxes and arrows, a unit of the Axes a millimetre on the page: the data preparation, and LEAP itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import FancyBboxPatch, Polygon, Rectangle

from leaplib.figures import style

Point = tuple[float, float]


def _text(ax: Axes, x: float, y: float, text: str, size: float = 5.5, **look: str | float) -> None:
    settings = {"ha": "center", "va": "center", "linespacing": 1.1} | look
    ax.text(x, y, text, fontsize=size, **settings)  # type: ignore[arg-type]


def _arrow(ax: Axes, tail: Point, head: Point, colour: str = style.MUTED) -> None:
    shape = "-|>,head_length=0.22,head_width=0.11"
    ax.annotate("", head, tail, arrowprops={"arrowstyle": shape, "linewidth": 0.6, "color": colour, "shrinkA": 0,
                                            "shrinkB": 0})  # fmt: skip


def _box(ax: Axes, corner: Point, wide: float, high: float, rounding: float, **look: str | float) -> None:
    shape = f"round,pad=0,rounding_size={rounding}"
    ax.add_patch(FancyBboxPatch(corner, wide, high, boxstyle=shape, **look))  # type: ignore[arg-type]


# The data preparation: what is left after each selection rule.

UNION = "all"
MINUS = "−"  # noqa: RUF001
STEPS = ("branch", "step", "samples", "perturbations", "pairs")
RULE_LINE, COUNT_LINE = 2.35, 2.15  # a line of 5.5 pt, of 5 pt
PADDING, MIN_GAP, HEADING, BUS, TITLE = 2.6, 4.2, 6.0, 2.4, 11.0
BOX_WIDTH = 0.9  # of a column
ARROW_AT = 0.14  # where an arrow leaves a box, as a share of a column


def branches(flow: pd.DataFrame) -> list[str]:
    """Return the branches but the union, in the order of the frame."""
    return [str(name) for name in style.checked(flow, STEPS)["branch"].unique() if name != UNION]


def _counts(row: pd.Series, perturbation_name: str, sign: str = "") -> str:
    """Return "1 sample, 1,539 genes, 2,000 responses" of the counts in a row, each of which does not break."""
    names = {"samples": "samples", "perturbations": perturbation_name, "pairs": "responses"}
    counts = [style.counted(int(row[column]), name) for column, name in names.items() if column in row]
    return ", ".join(sign + count.replace(" ", "\u00a0") for count in counts)


def _steps(rows: pd.DataFrame, before: pd.DataFrame, column_mm: float, perturbation_name: str) -> pd.DataFrame:
    """Return the texts of a branch's boxes: rule, counts, and what the rule removed; `before` is what enters."""
    wide = column_mm * BOX_WIDTH - 2
    lost = -pd.concat([before, rows])[list(STEPS[2:])].astype(float).diff().iloc[len(before) :]
    removed = ["" if gone.isna().all() else _counts(gone[gone > 0], perturbation_name, MINUS) or "none removed"
               for _, gone in lost.iterrows()]  # fmt: skip
    counts = [_counts(row, perturbation_name) for _, row in rows.iterrows()]
    texts = {"rule": [style.wrap(rule, wide, 5.5) for rule in rows["step"]],
             "counts": [style.wrap(count, wide, 5) for count in counts],
             "removed": [style.wrap(text, wide - column_mm * ARROW_AT, 5) for text in removed]}  # fmt: skip
    return pd.DataFrame(texts, dtype=object).assign(level=range(len(rows)))


def plan(
    flow: pd.DataFrame, column_mm: float, perturbation_name: str = "perturbations", external: Sequence[str] = ()
) -> pd.DataFrame:
    """Return a row a box of a flowchart: its texts, and where it stands (mm from the top).

    Parameters
    ----------
    flow : DataFrame
        Columns branch, step, samples, perturbations, pairs, in order. The branch "all" follows on the
        union of the others; without these there is nothing to unite and it stands alone.
    column_mm : float
        Width of a branch.
    perturbation_name : str
        What to call perturbations, in the plural.
    external : sequence of str
        Branches that do not enter the union.

    Returns
    -------
    DataFrame
        branch, rule, counts, removed, column (that of the union lies between those of the branches that enter it),
        level (which the branches share; the union's come after the longest branch), top, height (of the level), own
        (height of the box), final (the last of all).
    """
    flow, names = style.checked(flow, STEPS), branches(flow)
    joined = [name for name in names if name not in external]
    entering = flow[flow["branch"].isin(joined)].groupby("branch", sort=False).tail(1)
    if len(entering) > 1:  # studies overlap, so that only responses can be summed
        entering = entering[["pairs"]].sum().to_frame().T.reindex(columns=list(STEPS))
    parts = {name: _steps(flow[flow["branch"] == name], flow.head(0), column_mm, perturbation_name) for name in names}
    union = _steps(flow[flow["branch"] == UNION], entering, column_mm, perturbation_name)
    union["level"] += max((len(part) for part in parts.values()), default=0)
    middle = (names.index(joined[0]) + names.index(joined[-1])) / 2 if joined else 0.0
    placed = [part.assign(branch=name, column=float(names.index(name))) for name, part in parts.items()]
    boxes = pd.concat([*placed, union.assign(branch=UNION, column=middle)], ignore_index=True)
    ends = boxes["branch"].isin([UNION, *external]) | union.empty
    boxes["final"] = ends & (boxes["level"] == boxes.groupby("branch")["level"].transform("max"))
    lines = boxes[["rule", "counts", "removed"]].apply(lambda texts: texts.str.count("\n") + 1)
    boxes["own"] = PADDING + RULE_LINE * lines["rule"] + COUNT_LINE * lines["counts"]
    gap = (1.4 + COUNT_LINE * lines["removed"]).clip(lower=MIN_GAP).where(boxes["removed"] != "", 0.0)
    gap += BUS * (boxes.index == len(boxes) - len(union)) * (len(joined) > 1)
    levels = boxes.assign(gap=gap).groupby("level")[["gap", "own"]].max()
    tops = HEADING + levels["gap"].cumsum() + levels["own"].cumsum() - levels["own"]
    return boxes.assign(top=boxes["level"].map(tops), height=boxes["level"].map(levels["own"]))


def chart_height(boxes: pd.DataFrame) -> float:
    """Return the height in mm that a planned chart needs, without its title."""
    return float((boxes["top"] + boxes["height"]).max()) + 1 if len(boxes) else HEADING


def flowchart(
    ax: Axes,
    flow: pd.DataFrame,
    *,
    perturbation_name: str = "perturbations",
    external: Sequence[str] = (),
    min_height: float = 0.0,
) -> Axes:
    """Draw one column a branch and one box a step, with the counts left and what each step removed.

    Parameters
    ----------
    ax : Axes
    flow, perturbation_name, external
        As in `plan`.
    min_height : float
        Millimetres that the Axes stand for at least, so that charts side by side have one scale.

    Returns
    -------
    Axes
    """
    ax.set_axis_off()
    if flow.empty:
        return style.no_data(ax)
    names = branches(flow)
    n_columns = max(len(names), 1)
    wide = style.width_mm(ax) / n_columns
    boxes = plan(flow, wide, perturbation_name, external)
    ax.set(xlim=(0, n_columns * wide), ylim=(max(chart_height(boxes), min_height), 0))
    for column, name in enumerate(names):
        heading = f"{name}\n(external validation)" if name in external else name
        _text(ax, (column + 0.5) * wide, HEADING - 1, heading, 6, fontweight="bold", va="bottom")
    bottoms = (boxes["top"] + boxes["height"]).groupby(boxes["level"]).first()
    entering = boxes[~boxes["branch"].isin([UNION, *external])].groupby("column")["level"].max()
    box: Any
    for box in boxes.itertuples():
        _step(ax, box, wide)
        if not box.removed:
            continue
        x, above = (box.column + ARROW_AT) * wide, bottoms[box.level - 1]
        if len(entering) > 1 and box.branch == UNION and box.level == entering.max() + 1:
            x, above = (box.column + 0.5) * wide, above + BUS  # lines lead the branches into the union
            for foot, level in zip((entering.index + 0.5) * wide, entering, strict=True):
                ax.plot([foot, foot, x], [bottoms[level], above, above], color=style.INK, linewidth=0.6)
        _arrow(ax, (x, above), (x, box.top), style.INK)
        _text(ax, x + 1.2, (above + box.top) / 2, box.removed, 5, color=style.MUTED, ha="left")
    return ax


def _step(ax: Axes, box: Any, wide: float) -> None:
    """Draw one box: the rule, and what is left after it; the last one of all stands out."""
    blue, middle = style.COLOURS["LEAP"], (box.column + 0.5) * wide
    face, edge = (style.tint(blue, 0.14), blue) if box.final else ("white", style.MUTED)
    _box(ax, (middle - BOX_WIDTH / 2 * wide, box.top), BOX_WIDTH * wide, box.height, 1.2, facecolor=face,
         edgecolor=edge, linewidth=0.9 if box.final else 0.5)  # fmt: skip
    between = box.top + (box.height - box.own + PADDING) / 2 + RULE_LINE * (box.rule.count("\n") + 1)
    _text(ax, middle, between - 0.2, box.rule, va="bottom")
    _text(ax, middle, between + 0.2, box.counts, 5, va="top", color=style.MUTED)


# The scheme of LEAP.

WIDTH, HEIGHT = 183.0, 88.0
N_FOLDS, N_WEIGHTS = 5, 16
LANES = (71.0, 57.5, 44.0, 30.5, 17.0)  # middle of the lane of each representation
MIDDLE = LANES[2]
HIGH = 8.5  # of what stands in a lane
STRIP = HIGH * 0.14  # height of one fold's strip

# Heading of each stage; where it begins, how wide it is, and how many there are of it for one perturbation.
STAGES = {
    "Gene\nexpression": (5.5, 16.0, 1),
    "5 DAMAEs,\n5 random seeds": (31.5, 16.0, 5),
    "5 learned\nrepresentations": (57.0, 10.0, 5),
    "5-fold cross-\nvalidation": (77.0, 12.0, 5),
    "5 × 5 Lasso\nregressors": (94.0, 16.0, 25),  # noqa: RUF001
    "Average\nover folds": (115.5, 6.4, 5),
    "Average over\nrepresentations": (137.5, 4.4, 1),
    "Predicted\nresponse": (155.0, 22.0, 1),
}
EXPRESSION, DAMAE, CODE, FOLDS, LASSO, FOLD_MEAN, MEAN, PREDICTION = (left for left, _, _ in STAGES.values())
MEMBER = 126.5  # the prediction from one representation
TABLE_WIDE, DAMAE_WIDE, CODE_WIDE, FOLDS_WIDE, LASSO_WIDE, _, _, PREDICTION_WIDE = (w for _, w, _ in STAGES.values())


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
    for step in (1.8, 0.9, 0.0):  # a stack of cards: what stands on them is done for each perturbation
        _box(ax, (FOLDS - 3 + step, 7.5 - step), MEAN + 12.4 - FOLDS, 70.5, 1.5, zorder=0.5 - step / 10,
             facecolor="#F8F8F8", edgecolor=style.FAINT, linewidth=0.5)  # fmt: skip
    for heading, (left, wide, _) in STAGES.items():
        for number, line in enumerate(heading.split("\n")):  # one text a line keeps the baselines level
            _text(ax, left + wide / 2, 84.2 - 2.7 * number, line, 6, fontweight="bold", va="baseline")
    _expression(ax, random)
    for number, lane in enumerate(LANES):
        _lane(ax, style.representation_colour(number), number, lane, random)
    _prediction(ax, random)
    _labels(ax, random)
    return ax


def _curve(ax: Axes, tail: Point, head: Point, colour: str = style.MUTED, arrow: bool = False) -> None:
    """Draw a line that leaves and arrives level."""
    t = np.linspace(0, 1, 40)
    x, y = tail[0] + (head[0] - tail[0]) * t, tail[1] + (head[1] - tail[1]) * t**2 * (3 - 2 * t)
    ax.plot(x, y, color=colour, linewidth=0.6, solid_capstyle="butt")
    if arrow:
        _arrow(ax, (x[-4], y[-4]), head, colour)


def _cells(
    ax: Axes, corner: Point, wide: float, high: float, values: np.ndarray, colours: Sequence[str], edge: str = "white"
) -> None:
    """Draw cells of a table, values from 0 to 1 between two colours, as vectors."""
    shades = LinearSegmentedColormap.from_list("shades", list(colours))
    rows, columns = (np.linspace(0, size, n + 1) for size, n in zip((high, wide), values.shape, strict=True))
    ax.pcolormesh(corner[0] + columns, corner[1] + rows, values, cmap=shades, vmin=0, vmax=1, edgecolor=edge,
                  linewidth=0.25, antialiased=True)  # fmt: skip


def _table(ax: Axes, corner: Point, wide: float, high: float, values: np.ndarray, colour: str) -> None:
    """Draw a small heat map of values from 0 to 1 in tints of a colour, in a frame."""
    _cells(ax, corner, wide, high, 0.08 + 0.87 * values, ("white", colour))
    ax.add_patch(Rectangle(corner, wide, high, fill=False, edgecolor=style.INK, linewidth=0.5))


def _mean(ax: Axes, left: float, y: float, colour: str) -> None:
    """Draw an average as a pill."""
    _box(ax, (left, y - 1.5), 6.4, 3, 1.5, facecolor="white", edgecolor=colour, linewidth=0.9, zorder=3)
    _text(ax, left + 3.2, y - 0.1, "mean", 5, zorder=4)


def _expression(ax: Axes, random: np.random.Generator) -> None:
    """Draw the expression table, training samples above unseen ones, and the lines to the autoencoders."""
    programmes = np.kron(random.random((5, 4)), np.ones((3, 3)))
    values = np.clip(0.65 * programmes + 0.35 * random.random(programmes.shape), 0, 1)
    _table(ax, (EXPRESSION, 34), TABLE_WIDE, 30, values[4:], style.INK)
    _table(ax, (EXPRESSION, 22), TABLE_WIDE, 11, values[:4], style.INK)
    _text(ax, EXPRESSION - 2, 49, "training samples", rotation=90)
    _text(ax, EXPRESSION - 2, 27.5, "unseen", rotation=90)
    _text(ax, EXPRESSION + TABLE_WIDE / 2, 19.8, "genes")
    for lane in LANES:
        _curve(ax, (EXPRESSION + TABLE_WIDE + 0.6, MIDDLE), (DAMAE - 0.5, lane), arrow=True)


def _lane(ax: Axes, colour: str, number: int, lane: float, random: np.random.Generator) -> None:
    """Draw an autoencoder, the representation that it makes, its regressors, and the average over them."""
    half, narrow, middle = HIGH / 2, HIGH * 0.2, DAMAE + DAMAE_WIDE / 2
    for side in (-1, 1):
        outer, inner = middle + side * DAMAE_WIDE / 2, middle + side * 1.3
        corners = [(outer, lane + half), (inner, lane + narrow), (inner, lane - narrow), (outer, lane - half)]
        ax.add_patch(Polygon(corners, facecolor=style.tint(colour, 0.3), edgecolor=colour, linewidth=0.6))
    ax.add_patch(Rectangle((middle - 0.8, lane - narrow), 1.6, 2 * narrow, facecolor=colour, linewidth=0))
    _text(ax, middle, lane + half - 0.3, f"seed {number + 1}", 5)
    _arrow(ax, (middle + DAMAE_WIDE / 2 + 0.6, lane), (CODE - 0.5, lane))
    _table(ax, (CODE, lane - half), CODE_WIDE, HIGH, random.random((6, 7)), colour)
    _arrow(ax, (CODE + CODE_WIDE + 0.6, lane), (FOLDS - 0.5, lane))
    for fold, held_out in enumerate(np.eye(N_FOLDS)):
        y = lane + HIGH * (0.4 - 0.2 * fold)
        low, shades = y - STRIP / 2, (style.tint(colour, 0.35), style.INK)
        _cells(ax, (FOLDS, low), FOLDS_WIDE, STRIP, held_out[None], shades, "#F8F8F8")
        _arrow(ax, (FOLDS + FOLDS_WIDE + 0.3, y), (LASSO - 0.4, y))
        chosen = np.isin(range(N_WEIGHTS), random.choice(N_WEIGHTS, 4, replace=False))
        _cells(ax, (LASSO, low), LASSO_WIDE, STRIP, chosen[None].astype(float), ("white", colour), style.MUTED)
        _curve(ax, (LASSO + LASSO_WIDE + 0.4, y), (FOLD_MEAN, lane), colour)
    _mean(ax, FOLD_MEAN, lane, colour)
    _arrow(ax, (FOLD_MEAN + 6.6, lane), (MEMBER - 0.3, lane))
    _table(ax, (MEMBER, lane - half), 2, HIGH, random.random((4, 1)), colour)
    _curve(ax, (MEMBER + 2.4, lane), (MEAN, MIDDLE), colour)


def _prediction(ax: Axes, random: np.random.Generator) -> None:
    """Draw the average over representations and the predicted table, one perturbation marked."""
    blue, high = style.COLOURS["LEAP"], 22.0
    corner = (PREDICTION, MIDDLE - high / 2)
    _mean(ax, MEAN, MIDDLE, blue)
    _arrow(ax, (MEAN + 6.7, MIDDLE), (PREDICTION - 0.8, MIDDLE), blue)
    _table(ax, corner, PREDICTION_WIDE, high, random.random((4, 8)), blue)
    marked = Rectangle(corner, PREDICTION_WIDE / 8, high, fill=False, edgecolor=style.NOTE, linewidth=1.2, zorder=3)
    ax.add_patch(marked)
    _text(ax, PREDICTION + PREDICTION_WIDE / 2, corner[1] - 2.2, "perturbations")
    _text(ax, PREDICTION + PREDICTION_WIDE + 2, MIDDLE, "unseen samples", rotation=90)


def _labels(ax: Axes, random: np.random.Generator) -> None:
    """Explain marks under the lanes, and draw the observed response that enters from below."""
    below, middle = LANES[-1] - HIGH / 2 - 2.2, FOLDS + FOLDS_WIDE / 2
    for x, text, fill in ((FOLDS, "held out", style.INK), (LASSO, "weight not zero", style.REPRESENTATIONS[4])):
        ax.add_patch(Rectangle((x, below - 0.6), 1.2, 1.2, facecolor=fill, linewidth=0))
        _text(ax, x + 2, below - 0.1, text, 5, ha="left")
    _text(ax, MEMBER + 1, LANES[0] + HIGH / 2 + 1.6, "PS-LASSO", 5)
    _text(ax, MEAN + 3.2, MIDDLE - 3.6, "LEAP", 6, fontweight="bold", color=style.COLOURS["LEAP"])
    _table(ax, (FOLDS, 1.2), FOLDS_WIDE, 2.2, random.random((1, 11)), style.NOTE)
    _arrow(ax, (middle, 3.8), (middle, 9.2), style.NOTE)
    observed = "observed response of the training samples to one perturbation"
    _text(ax, FOLDS + FOLDS_WIDE + 1.5, 2.2, observed, ha="left")
    _text(ax, MEAN + 7.6, below - 0.1, "for each perturbation", ha="right", color=style.MUTED, fontweight="bold")
