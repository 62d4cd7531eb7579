import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from IPython.display import Image, Markdown

from leaplib.base.errors import InputError
from leaplib.base.files import sha256, write_text
from leaplib.base.layout import Layout
from leaplib.base.store import key_of, save_frame
from leaplib.cohorts.prepare import saved_flow
from leaplib.figures import redraw
from leaplib.profiles import get_profile
from leaplib.representation import pretraining
from leaplib.runs import ablations
from leaplib.runs.recipes import RECIPES, code_of
from leaplib.tasks import get_task
from tests.frames import make_scores, make_subset_scores, points

pytestmark = pytest.mark.usefixtures("home")
SMOKE = get_profile("smoke")


def save_scores(scores):
    """Write scores where `leaplib.runs.engine` does."""
    for (task, model, member, split, data), rows in scores.groupby(["task", "model", "member", "split", "data"]):
        name = model if member < 0 else f"{model} r{member}"
        models = [RECIPES[model].model] if model in RECIPES else ["Training mean"]
        configuration = {"task": asdict(get_task(task)), "model": model, "member": member, "split": split, "data": data,
                         "cohort": "c", "models": models, "code": code_of(*models),
                         "representations": None}  # fmt: skip
        write_text(Layout("smoke").cohort(task) / "cohort.json", json.dumps({"hash": "c", "data": data}))
        path = Layout("smoke").scores(task, split, name)
        save_frame(rows[["level", "perturbation", "test_set", "metric", "value"]], path, configuration)


@pytest.fixture
def ablated(monkeypatch):
    """Scores of variants of the tasks put into it, as `load_variants` finds them."""
    there = set()

    def load(profile, task, variants):
        if task not in there:
            raise InputError(f"no ablations of task {task}")
        rows = [(task, v.group, v.name, "LEAP", -1, f"holdout-{i}", "per_perturbation", p, -1 if p else 0, "spearman",
                 0.3 + i / 100 + place / 10, "simulated", "")
                for place, v in enumerate(variants) for i in range(2) for p in ("", "a", "b", "c")]  # fmt: skip
        return pd.DataFrame(rows, columns=ablations.COLUMNS)

    monkeypatch.setattr(ablations, "load_variants", load)
    return there


def test_a_figure_is_drawn_from_saved_scores_alone_and_saved():
    scores = pd.concat([make_scores("2a"), make_scores("4b", data="simulated")])
    save_scores(scores)
    saved = redraw.Saved("smoke")
    shown = redraw.figure("figure_3", saved)
    assert shown.data == (Layout("smoke").figures / "figure_3.png").read_bytes() and shown.alt == "figure_3"
    assert shown.width == round(183 / 25.4 * 150)
    fig, _ = redraw.FIGURES["figure_3"].draw(saved)
    for ax, task in zip(fig.axes, ("2a", "4b"), strict=False):
        rows = scores[(scores["task"] == task) & (scores["model"] == "LEAP") & (scores["perturbation"] == "")]
        means = rows[(rows["metric"] == "spearman") & (rows["level"] == "per_perturbation")].groupby("split")["value"]
        assert sorted(points(ax, "LEAP")[:, 1]) == pytest.approx(sorted(means.mean()))
    (row,) = redraw.summary(saved).to_dict("records")
    assert (row["figure"], row["tasks"], row["data"]) == ("figure_3", "2a, 4b", "simulated") and row["seconds"] > 0
    drawn = pd.read_csv(Layout("smoke").figures / "figure_3.csv")
    assert set(drawn["task"]) == {"2a", "4b"}
    assert {path.suffix for path in Layout("smoke").figures.iterdir()} == {".pdf", ".svg", ".png", ".csv"}


@pytest.mark.parametrize("name", [name for name in redraw.FIGURES if name != "figure_1"])
def test_what_is_missing_is_left_out_with_its_command(name):
    saved = redraw.Saved("smoke")
    found = redraw.figure(name, saved)
    command = f"leap run --profile smoke --notebooks {redraw.FIGURES[name].notebook}"
    assert isinstance(found, Markdown) and f"`{command}` makes them" in found.data
    assert redraw.summary(saved)["file"].tolist() == [f"left out: {command}"]
    assert not list(Layout("smoke").figures.glob("*"))


def test_published_values_alone_are_no_figure():
    save_scores(make_scores("4a"))
    saved = redraw.Saved("smoke")
    assert isinstance(redraw.figure("figure_2", saved), Markdown)
    assert isinstance(redraw.figure("supplementary_figure_5", saved), Markdown)


def test_figures_by_tissue_and_by_drug():
    save_scores(pd.concat([make_scores("4a"), make_subset_scores("5a", models=("LEAP", "PS-KNN"))]))
    saved = redraw.Saved("smoke")
    for name, task in (("supplementary_figure_6", "4a"), ("supplementary_figure_8", "5a")):
        assert isinstance(redraw.figure(name, saved), Image)
        assert saved.log[-1]["tasks"] == task


def test_additions_stand_before_corrections_of_each_task(ablated):
    ablated |= {"1a", "2a"}
    saved = redraw.Saved("smoke")
    redraw.figure("ablations_additional", saved)
    fig, _ = redraw.FIGURES["ablations_additional"].draw(saved)
    titles = [ax.get_title(loc="left").split("\n")[0] for ax in fig.axes]
    alone = ("Representation", "Corruption", "Hidden layer", "Pretraining")
    assert titles == [
        *(f"{group} (task 2a)" for group in alone),
        *(f"Batch correction (task {t})" for t in ("1a", "2a")),
    ]
    assert saved.log[-1]["data"] == "simulated"


def test_steps_of_the_tasks_that_are_there(ablated):
    ablated.add("2a")
    redraw.figure("supplementary_figure_4", saved := redraw.Saved("smoke"))
    fig, _ = redraw.FIGURES["supplementary_figure_4"].draw(saved)
    assert len(fig.axes) == 1 and saved.log[-1]["tasks"] == "2a"
    assert sorted(points(fig.axes[0], "2  PS-LASSO instead of PP-LGBM")[:, 0]) == pytest.approx([0.4, 0.41])


def test_numbers_of_representations(ablated):
    ablated.add("2a")
    numbers, _ = redraw.FIGURES["ablations_number_of_damaes"].draw(redraw.Saved("smoke"))
    line = next(line for line in numbers.axes[0].lines if line.get_label() == "mean")
    assert np.diff(line.get_ydata()) == pytest.approx(0.1) and list(line.get_xdata()) == list(range(1, 11))


def test_flowcharts_need_no_cohort_but_its_counts():
    rows = [("PDX Encyclopedia", "treated", 9, 20, 5, 40), ("all", "joined", 9, 20, 5, 40)]
    flow = pd.DataFrame(rows, columns=["branch", "step", "tissues", "samples", "perturbations", "pairs"])
    for task in redraw.FLOWS:
        with pytest.raises(InputError, match=f"task {task}: no cohort in .* run notebook 01"):
            saved_flow(SMOKE, get_task(task))
        folder = Layout("smoke").cohort(task)
        folder.mkdir(parents=True)
        flow.to_csv(folder / "flow.csv", index=False)
        (folder / "cohort.json").write_text(json.dumps({"data": "real" if task == "2a" else "simulated"}))
        files = {name: sha256(folder / name) for name in ("flow.csv", "cohort.json")}
        (folder / "preparation.json").write_text(json.dumps({"files": files, "checksum": key_of({"files": files})}))
    saved = redraw.Saved("smoke")
    redraw.figure("supplementary_figure_1", saved)
    drawn = pd.read_csv(Layout("smoke").figures / "supplementary_figure_1.csv")
    assert drawn.groupby("task")["step"].apply(list).to_dict() == {
        "1a": ["treated", "joined"], "2a": ["treated", "joined"], "5a": ["treated"]}  # fmt: skip
    assert drawn.groupby("task")["data"].first().to_dict() == {"1a": "simulated", "2a": "real", "5a": "simulated"}


def test_nothing_is_trained_or_computed_for_what_was_not_saved():
    with pytest.raises(InputError, match=r"no DAMAEs in .* run notebook 02"):
        pretraining.saved_embedding(SMOKE, get_task("2a"))
    with pytest.raises(InputError, match=r"no DAMAEs in .* run notebook 02"):
        pretraining.learning_curves(SMOKE, get_task("2a"))
    with pytest.raises(InputError, match=r"no results of task 2a in .*: run `leap run --profile smoke`"):
        redraw.Saved("smoke").external()
    assert not list(Layout("smoke").results.rglob("*.parquet"))


def test_a_damaged_file_is_named():
    save_scores(make_scores("2a"))
    path = Layout("smoke").scores("2a", "holdout-0", "LEAP")
    path.write_bytes(b"PAR1")
    found = redraw.figure("figure_2", redraw.Saved("smoke"))
    assert isinstance(found, Markdown) and path.name in found.data


def test_an_unknown_figure_is_refused():
    with pytest.raises(InputError, match="figure 'figure_9' is unknown: use one of figure_1, figure_2"):
        redraw.figure("figure_9", redraw.Saved("smoke"))
