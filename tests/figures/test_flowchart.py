import pandas as pd
import pytest

from leaplib.figures import flowchart, style


@pytest.fixture
def wide():
    return style.figure(183, 120)[1]


def texts(ax):
    return [text.get_text().replace("\n", " ") for text in ax.texts if text.get_text()]


def test_a_box_a_step_with_its_counts(wide, flow):
    flowchart.flowchart(wide, flow, perturbation_name="drugs")
    assert len(wide.patches) == len(flow)
    found = texts(wide)
    for row in flow.itertuples():
        assert row.step in found
        assert f"{row.samples} samples, {row.perturbations} drugs, {row.pairs:,} responses" in found


def test_what_each_step_removed(wide, flow):
    flowchart.flowchart(wide, flow, perturbation_name="drugs")
    found = texts(wide)
    minus = flowchart.MINUS
    assert f"{minus}10 samples, {minus}300 responses" in found
    assert f"{minus}10 samples, {minus}1 drug, {minus}500 responses" in found
    assert f"{minus}600 responses" in found  # measured in both studies
    assert f"{minus}1 sample, {minus}30 drugs, {minus}3,800 responses" in found


def test_the_union_lies_below_the_longest_branch(flow):
    plan = flowchart.Plan(flow, 40)
    tops = [top for top, _ in plan.levels]
    assert len(tops) == 5 and tops == sorted(tops)
    assert [len(steps) for steps in plan.columns.values()] == [3, 2]
    for (top, height), (below, _) in zip(plan.levels, plan.levels[1:], strict=False):
        assert top + height + flowchart.MIN_GAP <= below + 1e-9


def test_external_branches_do_not_enter_the_union(wide, flow):
    flowchart.flowchart(wide, flow, external=["GDSC v1"])
    assert "GDSC v1 (external validation)" in texts(wide)
    assert flowchart.Plan(flow, 40, external=["GDSC v1"]).joined == [0]
    assert not wide.lines  # no branches to lead together


def test_a_step_that_removes_nothing_of_a_single_branch(wide, flow):
    flowchart.flowchart(wide, flow.iloc[[0, 0]])
    assert "none removed" in texts(wide) and len(wide.patches) == 2


def test_no_data(wide):
    flowchart.flowchart(wide, pd.DataFrame())
    assert texts(wide) == ["no data"]
    assert flowchart.page_height(pd.DataFrame(), 40) > 0


def test_texts_stay_in_their_boxes(flow):
    rule = "drugs in at least 25 lines of each of the 10 largest tissues"
    flow.loc[flow.index[-1], "step"] = rule
    column = 36
    fig, ax = style.figure(2 * column + 2, flowchart.page_height(flow, column))
    with style.context():
        flowchart.flowchart(ax, flow)
        fig.canvas.draw()
    boxes = [patch.get_window_extent() for patch in ax.patches]
    inside = [text for text in ax.texts if text.get_text() and text.get_horizontalalignment() == "center"][2:]
    found = 0
    for text in inside:
        extent = text.get_window_extent()
        if text.get_fontweight() != "bold":
            found += 1
            corners = [(extent.x0, extent.y0), (extent.x1, extent.y1)]
            assert any(all(box.contains(*corner) for corner in corners) for box in boxes), text.get_text()
    assert found >= 2 * len(flow) - 2
