"""Flowchart of the data preparation: what is left after each selection rule (supplementary figure 1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from leaplib.figures import style

UNION = "all"
MINUS = "−"  # noqa: RUF001
COLUMNS = ("branch", "step", "samples", "perturbations", "pairs")

# Millimetres on the page.
RULE_LINE, COUNT_LINE = 2.35, 2.15  # a line of 5.5 pt, of 5 pt
PADDING, MIN_GAP, HEADING, BUS = 2.6, 4.2, 6.0, 2.4
TITLE = 11.0
BOX_WIDTH = 0.9  # of a column
ARROW_AT = 0.14  # where an arrow leaves a box, as a share of a column


@dataclass(frozen=True)
class Step:
    """One box: the rule, what is left after it, and what it removed, each broken into lines."""

    rule: str
    counts: str
    removed: str = ""

    @property
    def height(self) -> float:
        """Height of the box in mm."""
        return PADDING + RULE_LINE * (self.rule.count("\n") + 1) + COUNT_LINE * (self.counts.count("\n") + 1)

    @property
    def gap(self) -> float:
        """Room above the box for what the step removed, in mm."""
        return max(MIN_GAP, 1.4 + COUNT_LINE * (self.removed.count("\n") + 1)) if self.removed else 0.0


def branches(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the steps of each branch but the union, in the order of the frame."""
    steps = style.checked(frame, COLUMNS)
    return {str(name): rows for name, rows in steps.groupby("branch", sort=False) if name != UNION}


def page_height(frame: pd.DataFrame, column_mm: float, perturbation_name: str = "perturbations") -> float:
    """Return the height in mm that a chart needs with columns of a width, title included."""
    return Plan(frame, column_mm, perturbation_name).height + TITLE


class Plan:
    """The texts of a chart, and where its boxes stand (mm from the top).

    Attributes
    ----------
    columns : dict of str to list of Step
        The branches.
    union : list of Step
        What follows on them; without branches there is nothing to unite and it stands alone.
    levels : list of (top, height)
        Boxes of the branches share levels; the union's come after the longest branch.
    joined : list of int
        Branches that enter the union.
    height : float
    """

    def __init__(self, frame: pd.DataFrame, column_mm: float, perturbation_name: str = "perturbations",
                 external: Sequence[str] = ()) -> None:  # fmt: skip
        self.column_mm = column_mm
        self.names = {"samples": "samples", "perturbations": perturbation_name, "pairs": "responses"}
        parts = branches(frame)
        rows = style.checked(frame, COLUMNS)
        rows = rows[rows["branch"] == UNION]
        self.joined = [i for i, name in enumerate(parts) if name not in external]
        self.columns = {name: self.steps(part) for name, part in parts.items()}
        united = [part.iloc[-1] for name, part in parts.items() if name not in external]
        self.union = self.steps(rows, united)
        self.longest = max((len(steps) for steps in self.columns.values()), default=0)
        self.levels = self.place()
        self.height = sum(self.levels[-1]) + 1 if self.levels else HEADING

    @property
    def middle(self) -> float:
        """Column of the union: between the branches that enter it."""
        return (min(self.joined) + max(self.joined)) / 2 if self.joined else 0.0

    def steps(self, rows: pd.DataFrame, before: Sequence[pd.Series] = ()) -> list[Step]:
        """Return the boxes of a branch; `before` are the last steps of the branches that enter it."""
        found = []
        wide = self.column_mm * BOX_WIDTH - 2
        for _, row in rows.iterrows():
            counts = ", ".join(count(row[column], name) for column, name in self.names.items())
            lost = style.wrap(self.removed(before, row), wide - self.column_mm * ARROW_AT, 5) if before else ""
            found.append(Step(style.wrap(str(row["step"]), wide, 5.5), style.wrap(counts, wide, 5), lost))
            before = [row]
        return found

    def removed(self, before: Sequence[pd.Series], after: pd.Series) -> str:
        """Return what a step took away, in words; of studies that overlap, only responses can be summed."""
        columns = self.names if len(before) == 1 else {"pairs": self.names["pairs"]}
        lost = {name: sum(int(row[column]) for row in before) - int(after[column]) for column, name in columns.items()}
        texts = [f"{MINUS}{count(number, name)}" for name, number in lost.items() if number]
        return ", ".join(texts) or "none removed"

    def place(self) -> list[tuple[float, float]]:
        """Return top and height of each level."""
        rows = [
            [steps[level] for steps in self.columns.values() if level < len(steps)] for level in range(self.longest)
        ]
        rows += [[step] for step in self.union]
        levels, top = [], HEADING
        for level, steps in enumerate(rows):
            top += max(step.gap for step in steps) + (BUS if level == self.longest and len(self.joined) > 1 else 0)
            levels.append((top, max(step.height for step in steps)))
            top += levels[-1][1]
        return levels


def count(number: float, name: str) -> str:
    """Return "1 sample" or "1,539 genes", with a space that does not break."""
    return f"{int(number):,}\u00a0{name.removesuffix('s') if number == 1 else name}"


def flowchart(ax: Axes, frame: pd.DataFrame, *, perturbation_name: str = "perturbations", title: str = "",
              external: Sequence[str] = (), min_height: float = 0.0) -> Axes:  # fmt: skip
    """Draw one column a branch and one box a step, with the counts left and what each step removed.

    Parameters
    ----------
    ax : Axes
        Of at least `page_height(frame, width of a column)` millimetres; smaller ones are squeezed.
    frame : DataFrame
        Columns branch, step, samples, perturbations, pairs, in order. The branch "all" follows on the
        union of the others.
    perturbation_name : str
        What to call perturbations, in the plural.
    title : str
    external : sequence of str
        Branches that do not enter the union.
    min_height : float
        Millimetres that the Axes stand for at least, so that charts side by side have one scale.

    Returns
    -------
    Axes
    """
    n_columns = max(len(branches(frame)), 1)
    ax.set_axis_off()
    width = style.size_mm(ax)[0]
    ax.set_title(style.wrap(title, width - 2, 6.5), loc="left")
    if frame.empty:
        return style.no_data(ax)
    plan = Plan(frame, width / n_columns, perturbation_name, external)
    ax.set(xlim=(0, n_columns), ylim=(max(plan.height, min_height), 0))
    for column, (name, steps) in enumerate(plan.columns.items()):
        enters = column in plan.joined
        _heading(ax, column, name if enters else f"{name}\n(external validation)")
        _column(ax, plan, column, 0, steps, ends=not (plan.union and enters))
    if plan.union:
        _join(ax, plan)
        _column(ax, plan, plan.middle, plan.longest, plan.union, ends=True)
    return ax


def _heading(ax: Axes, column: float, text: str) -> None:
    ax.text(column + 0.5, HEADING - 1, text, fontweight="bold", ha="center", va="bottom", linespacing=1.1)


def _column(ax: Axes, plan: Plan, column: float, start: int, steps: Sequence[Step], ends: bool) -> None:
    """Draw the boxes of a branch from level `start` down, and the arrows between them."""
    for level, step in enumerate(steps, start):
        _box(ax, plan, column, level, step, final=ends and step is steps[-1])
        if level > start or (step.removed and len(plan.joined) == 1):
            tail, head = sum(plan.levels[level - 1]), plan.levels[level][0]
            x = column + ARROW_AT
            _point(ax, (x, tail), (x, head))
            _removed(ax, x + 1.2 / plan.column_mm, (tail + head) / 2, step.removed)


def _box(ax: Axes, plan: Plan, column: float, level: int, step: Step, final: bool) -> None:
    """Draw one box: the rule, and what is left after it; the last one of all stands out."""
    top, height = plan.levels[level]
    blue = style.COLOURS["LEAP"]
    face, edge_colour = (style.tint(blue, 0.14), blue) if final else ("white", style.MUTED)
    shape = f"round,pad=0,rounding_size={1.2 / plan.column_mm}"
    left = column + (1 - BOX_WIDTH) / 2
    box = FancyBboxPatch((left, top), BOX_WIDTH, height, boxstyle=shape, mutation_aspect=plan.column_mm)
    box.set(facecolor=face, edgecolor=edge_colour, linewidth=0.9 if final else 0.5)
    ax.add_patch(box)
    edge = top + (height - step.height + PADDING) / 2 + RULE_LINE * (step.rule.count("\n") + 1)
    ax.text(column + 0.5, edge - 0.2, step.rule, fontsize=5.5, ha="center", va="bottom", linespacing=1.1)
    ax.text(
        column + 0.5,
        edge + 0.2,
        step.counts,
        fontsize=5,
        ha="center",
        va="top",
        linespacing=1.1,
        color=style.MUTED,
    )


def _removed(ax: Axes, x: float, y: float, text: str) -> None:
    ax.text(x, y, text, fontsize=5, color=style.MUTED, ha="left", va="center", linespacing=1.1)


def _point(ax: Axes, tail: tuple[float, float], head: tuple[float, float]) -> None:
    look: Mapping[str, object] = {"arrowstyle": "-|>,head_length=0.25,head_width=0.12", "linewidth": 0.6,
                                  "color": style.INK, "shrinkA": 0, "shrinkB": 0}  # fmt: skip
    ax.annotate("", head, tail, arrowprops=dict(look))


def _join(ax: Axes, plan: Plan) -> None:
    """Lead the last boxes of several branches into the first of the union; one branch needs but an arrow."""
    if len(plan.joined) < 2:
        return
    top = plan.levels[plan.longest][0]
    bus = sum(plan.levels[plan.longest - 1]) + BUS
    middle = plan.middle + 0.5
    lengths = [len(steps) for steps in plan.columns.values()]
    line = {"color": style.INK, "linewidth": 0.6, "solid_capstyle": "projecting"}
    for column in plan.joined:
        foot = sum(plan.levels[lengths[column] - 1])
        ax.plot([column + 0.5] * 2, [foot, bus], **line)  # type: ignore[arg-type]
    ax.plot([min(plan.joined) + 0.5, max(plan.joined) + 0.5], [bus, bus], **line)  # type: ignore[arg-type]
    _point(ax, (middle, bus), (middle, top))
    _removed(ax, middle + 1.2 / plan.column_mm, (bus + top) / 2, plan.union[0].removed)
