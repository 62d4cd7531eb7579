from itertools import combinations

import pandas as pd
import pytest

from leaplib.figures import diagrams, style


@pytest.fixture
def wide():
    return style.figure(183, 120)[1]


def texts(ax):
    return [text.get_text().replace("\n", " ") for text in ax.texts if text.get_text()]


def test_a_box_a_step_with_its_counts_and_what_it_removed(wide, flow):
    assert diagrams.flowchart(wide, flow, "drugs") is wide
    assert len(wide.patches) == len(flow)
    found, minus = texts(wide), diagrams.MINUS
    for row in flow.itertuples():
        assert row.step in found
        assert f"{row.samples} samples, {row.perturbations} drugs, {row.pairs:,} responses" in found
    assert [text for text in found if text.startswith(minus)] == [
        f"{minus}10 samples, {minus}300 responses",
        f"{minus}100 responses",
        f"{minus}10 samples, {minus}1 drug, {minus}500 responses",
        f"{minus}600 responses",  # measured in both studies
        f"{minus}1 sample, {minus}30 drugs, {minus}3,800 responses",
    ]


def test_the_union_lies_below_the_longest_branch_and_between_those_that_enter(flow):
    boxes = diagrams.plan(flow, 40, "genes")
    levels = boxes.groupby("level")[["top", "height"]].first()
    assert list(boxes["level"]) == [0, 1, 2, 0, 1, 3, 4] and list(boxes["column"]) == [0, 0, 0, 1, 1, 0.5, 0.5]
    below = levels["top"].shift(-1) - levels["top"] - levels["height"]
    assert (below.dropna() >= diagrams.MIN_GAP - 1e-9).all() and (boxes["own"] <= boxes["height"]).all()
    assert list(boxes.index[boxes["final"]]) == [6]


def test_external_branches_do_not_enter_the_union(wide, flow):
    diagrams.flowchart(wide, flow, "genes", external=["GDSC v1"])
    assert "GDSC v1 (external validation)" in texts(wide)
    assert not wide.lines  # no branches to lead together
    boxes = diagrams.plan(flow, 40, "genes", external=["GDSC v1"])
    assert list(boxes.loc[boxes["branch"] == diagrams.UNION, "column"]) == [0, 0]
    assert list(boxes.index[boxes["final"]]) == [4, 6]


@pytest.mark.parametrize("rows", [[0, 0], [5, 6]])
def test_a_branch_or_the_union_alone(wide, flow, rows):
    diagrams.flowchart(wide, flow.iloc[rows], "genes")
    assert ("none removed" in texts(wide)) == (rows == [0, 0]) and len(wide.patches) == 2


def test_no_data(wide):
    diagrams.flowchart(wide, pd.DataFrame(), "genes")
    assert texts(wide) == ["no data"]
    assert diagrams.chart_height(diagrams.plan(pd.DataFrame(), 40, "genes")) > 0


def test_the_scheme_has_five_representations_and_folds_and_its_texts_do_not_overlap():
    fig, ax = style.figure(diagrams.WIDTH, diagrams.HEIGHT)
    with style.context():
        fig.set_layout_engine("constrained", w_pad=0, h_pad=0)
        assert diagrams.scheme(ax) is ax
        fig.canvas.draw()
    written = texts(ax)
    assert [text for text in written if text.startswith("seed")] == [f"seed {i}" for i in range(1, 6)]
    assert written.count("mean") == 6
    shapes = [mesh.get_array().shape for mesh in ax.collections]
    assert shapes.count((1, 5)) == 25 and shapes.count((1, 16)) == 25  # folds, weights
    extents = [(text.get_text(), text.get_window_extent()) for text in ax.texts if text.get_text()]
    for name, box in extents:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= fig.bbox.x1 and box.y1 <= fig.bbox.y1, name
    for (name, box), (other, second) in combinations(extents, 2):
        assert not box.padded(-1).overlaps(second), (name, other)
