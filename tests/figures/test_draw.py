import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from IPython.display import Markdown
from matplotlib.figure import Figure

from leaplib.base.errors import InputError
from leaplib.base.layout import Layout
from leaplib.figures import draw, style
from leaplib.results.load import Results
from leaplib.runs.experiment import ABLATION_COLUMNS
from tests.frames import make_scores, make_subset_scores, points, printed_size

pytestmark = pytest.mark.usefixtures("home")


def variants(task, groups):
    """Scores of variants, as `Results.ablations`."""
    rows = [(task, group, name, "LEAP", -1, f"holdout-{i}", "per_perturbation", p, -1 if p else 0, "spearman",
             0.3 + i / 100 + place / 10, "simulated", "")
            for group, names in groups.items() for place, name in enumerate(names)
            for i in range(2) for p in ("", "a", "b", "c")]  # fmt: skip
    return pd.DataFrame(rows, columns=ABLATION_COLUMNS)


def csv(name):
    return pd.read_csv(Layout("smoke").figures / f"{name}.csv")


def test_a_figure_is_drawn_of_results_saved_and_returned():
    scores = pd.concat([make_scores("2a"), make_scores("4b")])
    fig = draw.figure("Figure 3", Results("smoke", scores=scores), size=(183, 90))
    assert isinstance(fig, Figure) and fig.get_size_inches()[1] * 25.4 == pytest.approx(90)
    assert not plt.fignum_exists(getattr(fig, "number", -1))  # a notebook shows it once
    for ax, task in zip(fig.axes, ("2a", "4b"), strict=False):
        rows = scores[(scores["task"] == task) & (scores["model"] == "LEAP") & (scores["perturbation"] == "")]
        means = rows[(rows["metric"] == "spearman") & (rows["level"] == "per_perturbation")].groupby("split")["value"]
        assert sorted(points(ax, "LEAP")[:, 1]) == pytest.approx(sorted(means.mean()))
    assert set(csv("figure_3")["task"]) == {"2a", "4b"}
    folder = Layout("smoke").figures
    assert {path.name for path in folder.iterdir()} == {f"figure_3.{kind}" for kind in ("pdf", "svg", "png", "csv")}
    table = draw.drawn(Results("smoke")).set_index("figure")
    assert table.loc["figure_3"].tolist() == ["2a, 4b", "real", str(folder / "figure_3.pdf")]
    assert table.loc["figure_2", "file"] == "left out: leap run --profile smoke --notebooks 03"


def test_what_is_missing_is_left_out_with_its_command():
    results = Results("smoke", ["2a"])
    for name, page in draw.FIGURES.items():
        found = draw.figure(name, results) if name != "figure_1" else None  # which rests on no results
        command = f"`leap run --profile smoke --notebooks {page.notebooks}` makes them"
        assert found is None or (isinstance(found, Markdown) and command in found.data), name
    assert not list(Layout("smoke").figures.glob("*")) and not list(Layout("smoke").results.rglob("*.parquet"))


def test_published_values_alone_are_no_figure():
    results = Results("smoke", scores=make_scores("4a"))
    assert isinstance(draw.figure("figure 2", results), Markdown)
    assert isinstance(draw.figure("supplementary figure 5", results), Markdown)


def test_what_cannot_be_read_is_named():
    results = Results("smoke")
    path = Layout("smoke").scores("2a", "holdout-0", "LEAP")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1")
    found = draw.figure("figure 2", results)
    assert isinstance(found, Markdown) and path.name in found.data


def test_figures_by_tissue_and_by_drug():
    scores = pd.concat([make_scores("4a"), make_subset_scores("5a", models=("LEAP", "PS-KNN"))])
    for number, task in ((6, "4a"), (8, "5a")):
        assert isinstance(draw.figure(f"supplementary figure {number}", Results("smoke", scores=scores)), Figure)
        assert set(csv(f"supplementary_figure_{number}")["task"]) == {task}


def test_additions_stand_before_corrections_of_each_task():
    corrections = {"Batch correction": ["none", "ComBat"]}
    additions = {"Representation": ["PCA", "DAMAE"], "Number of DAMAEs": [str(n) for n in range(1, 11)]}
    frame = pd.concat([variants("1a", corrections), variants("2a", corrections | additions)])
    results = Results("smoke", ablations=frame)
    fig = draw.figure("ablations additional", results)
    titles = [ax.get_title(loc="left").split("\n")[0] for ax in fig.axes]
    assert titles == ["Representation (task 2a)", *(f"Batch correction (task {task})" for task in ("1a", "2a"))]
    fig = draw.figure("ablations number of damaes", results)
    assert "number of its representations (task 2a)\nn = 2 splits" in fig.axes[0].get_title(loc="left")
    line = next(line for line in fig.axes[0].lines if line.get_label() == "mean")
    assert np.diff(line.get_ydata()) == pytest.approx(0.1) and list(line.get_xdata()) == list(range(1, 11))


def test_flowcharts_show_one_task_a_screen():
    rows = [("PDX Encyclopedia", "treated", 9, 20, 5, 40), ("all", "joined", 9, 20, 5, 40)]
    flow = pd.DataFrame(rows, columns=["branch", "step", "tissues", "samples", "perturbations", "pairs"])
    kinds = {"1a": "simulated", "2a": "real", "3a": "real", "5a": "simulated"}
    flows = pd.concat([flow.assign(task=task, data=kind) for task, kind in kinds.items()])
    draw.figure("supplementary_figure_1", Results("smoke", flows=flows))
    drawn = csv("supplementary_figure_1")
    steps = {"1a": ["treated", "joined"], "2a": ["treated", "joined"], "5a": ["treated"]}
    assert drawn.groupby("task")["step"].apply(list).to_dict() == steps
    assert drawn.groupby("task")["data"].first().to_dict() == {task: kinds[task] for task in steps}


def test_an_unknown_figure_is_refused():
    with pytest.raises(InputError, match="figure 'figure 9' is unknown: use one of figure_1, figure_2"):
        draw.figure("figure 9", Results("smoke"))


def test_what_is_saved_is_fit_for_print_and_the_same_twice():
    fig, ax = style.figure(89, 61)
    ax.plot([0, 1], [0, 1])
    frame = pd.DataFrame({"x": [0, 1], "y": [0, 1]})
    paths = draw.save_figure(fig, frame, "smoke", "sub/name")
    before = [path.read_bytes() for path in paths]
    assert [path.name for path in paths] == ["name.pdf", "name.svg", "name.png", "name.csv"]
    assert printed_size(Layout("smoke").figures / "sub", "name") == pytest.approx([89, 61], abs=1e-3)
    pd.testing.assert_frame_equal(pd.read_csv(paths[3]), frame)
    paths[1].unlink()  # or the PDF would be left as it is
    draw.save_figure(fig, frame, "smoke", "sub/name")
    assert [path.read_bytes() for path in paths] == before and fig.get_layout_engine() is not None
    ax.set_title("another")
    draw.save_figure(fig, frame, "smoke", "sub/name")
    assert not {path.read_bytes() for path in paths[:3]} & set(before)
