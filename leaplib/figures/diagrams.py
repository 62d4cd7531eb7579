"""Boxes and arrows, a unit of the Axes a millimetre on the page: the data preparation, and LEAP itself."""

from collections.abc import Sequence
from pathlib import Path
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


def plan(flow: pd.DataFrame, column_mm: float, perturbation_name: str, external: Sequence[str] = ()) -> pd.DataFrame:
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


def flowchart(ax: Axes, flow: pd.DataFrame, perturbation_name: str, external: Sequence[str] = (),
              min_height: float = 0.0) -> Axes:  # fmt: skip
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


# The scheme of LEAP: what is drawn, and where, stands in `scheme.csv`.

WIDTH, HEIGHT = 183.0, 88.0
LANES = (71.0, 57.5, 44.0, 30.5, 17.0)  # middle of the lane of each representation
MIDDLE = LANES[2]
STRIP, BETWEEN = 1.19, 1.7  # height of one fold's strip, and from one to the next
FOLDS, WEIGHTS = 5, 16
COLOURS = {"ink": style.INK, "muted": style.MUTED, "faint": style.FAINT, "note": style.NOTE,
           "last lane": style.REPRESENTATIONS[-1]}  # fmt: skip


def marks() -> pd.DataFrame:
    """Return the marks of the scheme, a row each, in the order of drawing.

    Returns
    -------
    DataFrame
        part ("lane": once a representation, heights from the middle of its lane), kind, x, y, x2, y2 (from one corner
        or end to the other; no height: the middle of the page), colour, text (of a table: its rows and columns), size
        in points, number (of a heading: how many there are of it for one perturbation), ha, va, weight, rotation.
    """
    return pd.read_csv(Path(__file__).with_name("scheme.csv"))


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
    for part, rows in marks().groupby("part", sort=False):
        for number, lane in enumerate(LANES if part == "lane" else (0.0,)):
            known = COLOURS | {"LEAP": style.COLOURS["LEAP"], "lane": style.representation_colour(number)}
            placed = rows.assign(y=(rows["y"] + lane).fillna(MIDDLE), y2=(rows["y2"] + lane).fillna(MIDDLE))
            for mark in placed.itertuples():
                _mark(ax, mark, known[str(mark.colour)], number, random)
    return ax


def _mark(ax: Axes, mark: Any, colour: str, number: int, random: np.random.Generator) -> None:
    """Draw one mark of the scheme in a lane of this number."""
    tail, head = (mark.x, mark.y), (mark.x2, mark.y2)
    wide, high = mark.x2 - mark.x, mark.y2 - mark.y
    match mark.kind:
        case "text" | "heading":
            look = {"color": colour, "ha": mark.ha, "va": mark.va, "fontweight": mark.weight, "rotation": mark.rotation}
            for line, text in enumerate(mark.text.split("|")):  # one text a line keeps the baselines level
                _text(ax, mark.x, mark.y - 2.7 * line, text.format(number + 1), mark.size, **look)
        case "card":  # of a stack: what stands on them is done for each perturbation
            _box(ax, tail, wide, high, 1.5, facecolor="#F8F8F8", edgecolor=colour, linewidth=0.5, zorder=0.5)
        case "arrow":
            _arrow(ax, tail, head, colour)
        case "curve" | "curved arrow":
            _curve(ax, tail, head, colour, arrow=mark.kind == "curved arrow")
        case "fill":
            ax.add_patch(Rectangle(tail, wide, high, facecolor=colour, linewidth=0))
        case "frame":
            ax.add_patch(Rectangle(tail, wide, high, fill=False, edgecolor=colour, linewidth=1.2, zorder=3))
        case "mean":
            _box(ax, (mark.x, mark.y - 1.5), 6.4, 3, 1.5, facecolor="white", edgecolor=colour, linewidth=0.9, zorder=3)
            _text(ax, mark.x + 3.2, mark.y - 0.1, "mean", 5, zorder=4)
        case "table":
            _table(ax, tail, wide, high, random.random([int(n) for n in mark.text.split()]), colour)
        case "expression":  # training samples above unseen ones
            programmes = np.kron(random.random((5, 4)), np.ones((3, 3)))
            values = np.clip(0.65 * programmes + 0.35 * random.random(programmes.shape), 0, 1)
            _table(ax, (mark.x, mark.y + 12), wide, high - 12, values[4:], colour)
            _table(ax, tail, wide, 11, values[:4], colour)
        case "autoencoder":
            _autoencoder(ax, tail, wide, high, colour)
        case "folds":
            _folds(ax, tail, head, colour, random)


def _curve(ax: Axes, tail: Point, head: Point, colour: str, arrow: bool = False) -> None:
    """Draw a line that leaves and arrives level."""
    t = np.linspace(0, 1, 40)
    x, y = tail[0] + (head[0] - tail[0]) * t, tail[1] + (head[1] - tail[1]) * t**2 * (3 - 2 * t)
    ax.plot(x, y, color=colour, linewidth=0.6, solid_capstyle="butt")
    if arrow:
        _arrow(ax, (x[-4], y[-4]), head, colour)


def _cells(
    ax: Axes, corner: Point, wide: float, high: float, values: np.ndarray, colours: Sequence[str], edge: str
) -> None:
    """Draw cells of a table, values from 0 to 1 between two colours, as vectors."""
    shades = LinearSegmentedColormap.from_list("shades", list(colours))
    rows, columns = (np.linspace(0, size, n + 1) for size, n in zip((high, wide), values.shape, strict=True))
    ax.pcolormesh(corner[0] + columns, corner[1] + rows, values, cmap=shades, vmin=0, vmax=1, edgecolor=edge,
                  linewidth=0.25, antialiased=True)  # fmt: skip


def _table(ax: Axes, corner: Point, wide: float, high: float, values: np.ndarray, colour: str) -> None:
    """Draw a small heat map of values from 0 to 1 in tints of a colour, in a frame."""
    _cells(ax, corner, wide, high, 0.08 + 0.87 * values, ("white", colour), "white")
    ax.add_patch(Rectangle(corner, wide, high, fill=False, edgecolor=style.INK, linewidth=0.5))


def _autoencoder(ax: Axes, corner: Point, wide: float, high: float, colour: str) -> None:
    """Draw an encoder, its code, and a decoder."""
    middle, lane, narrow = corner[0] + wide / 2, corner[1] + high / 2, high / 5
    for side in (-1, 1):
        outer, inner = middle + side * wide / 2, middle + side * 1.3
        ends = [(outer, lane + high / 2), (inner, lane + narrow), (inner, lane - narrow), (outer, lane - high / 2)]
        ax.add_patch(Polygon(ends, facecolor=style.tint(colour, 0.3), edgecolor=colour, linewidth=0.6))
    ax.add_patch(Rectangle((middle - 0.8, lane - narrow), 1.6, 2 * narrow, facecolor=colour, linewidth=0))


def _folds(ax: Axes, tail: Point, head: Point, colour: str, random: np.random.Generator) -> None:
    """Draw the divisions into folds, the held-out one dark, each's weights, and the way to their mean."""
    lasso, shades = tail[0] + 17, (style.tint(colour, 0.35), style.INK)
    for fold, held_out in enumerate(np.eye(FOLDS)):
        y = tail[1] + BETWEEN * (2 - fold)
        _cells(ax, (tail[0], y - STRIP / 2), 12, STRIP, held_out[None], shades, "#F8F8F8")
        _arrow(ax, (tail[0] + 12.3, y), (lasso - 0.4, y))
        chosen = np.isin(range(WEIGHTS), random.choice(WEIGHTS, 4, replace=False)).astype(float)
        _cells(ax, (lasso, y - STRIP / 2), 16, STRIP, chosen[None], ("white", colour), style.MUTED)
        _curve(ax, (lasso + 16.4, y), head, colour)
