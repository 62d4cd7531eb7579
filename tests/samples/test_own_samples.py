import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leaplib import InputError, PSRidge
from leaplib.__main__ import main
from leaplib.base.metrics import score, spearman
from leaplib.cohorts.prepare import load_cohort
from leaplib.cohorts.splits import holdouts, tuning_folds
from leaplib.figures import pages
from leaplib.profiles import PROFILES, get_profile
from leaplib.samples.own_samples import OwnModel, fit_tables, lines_needed
from leaplib.tasks import get_task

TINY = replace(get_profile("smoke"), n_representations=2, n_genes=150, simulated_genes=300,
               max_perturbations=6, damae={"n_hidden": 32, "n_components": 16, "learning_rate": 1e-3, "batch_size": 64,
                                           "max_epochs": 25})  # fmt: skip


@pytest.fixture(scope="module")
def tables(simulation):
    screen = simulation.dependencies
    lines = screen.expression.index[:-2]
    varied = screen.dependency.columns[screen.dependency.std() > 0.21][:6]
    return screen.expression.loc[lines], screen.dependency.loc[lines, varied]


@pytest.fixture(scope="module")
def fitted(tables):
    x, y = tables
    return fit_tables(x.iloc[:250], y.iloc[:240], TINY)


@pytest.fixture(scope="module")
def folder(fitted, tmp_path_factory):
    return fitted[0].save(tmp_path_factory.mktemp("models") / "own")


def predicted(model, x, **settings):
    frame, _ = model.predict(x, **settings)
    return frame.pivot(index="sample", columns="perturbation", values="prediction").loc[x.index]


def test_it_predicts_lines_it_has_not_seen(tables, fitted):
    x, y = (table.iloc[250:] for table in tables)
    model, notes = fitted
    assert notes[0] == "expression: 250 samples x 300 genes, log2(TPM+1) (detected)"
    frame, notes = model.predict(x)
    assert list(frame) == ["sample", "perturbation", "prediction", "lower", "upper", "spread", "distance",
                           "applicability", "biomarkers", "note"]  # fmt: skip
    assert len(frame) == len(x) * 6 and frame.notna().all(axis=None)
    assert np.nanmean(spearman(y.to_numpy(), predicted(model, x)[y.columns].to_numpy())) > 0.25
    truth = y.stack()[pd.MultiIndex.from_frame(frame[["sample", "perturbation"]])].to_numpy()
    assert 0.8 < ((frame["lower"] <= truth) & (truth <= frame["upper"])).mean() < 0.98
    assert (frame["prediction"].between(frame["lower"], frame["upper"])).all()
    name = frame["perturbation"].iloc[0]
    top = model.biomarkers[model.biomarkers["perturbation"] == name].head(5)
    signed = [f"{row.gene} {'+' if row.weight > 0 else '-'}" for row in top.itertuples()]
    assert frame["biomarkers"].iloc[0] == "; ".join(signed)


def test_a_folder_gives_the_model_back(fitted, folder, tables):
    x = tables[0].iloc[250:]
    pd.testing.assert_frame_equal(OwnModel.load(folder).predict(x)[0], fitted[0].predict(x)[0])
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".json", ".parquet", ".safetensors"}


def test_units_genes_with_numbers_and_empty_cells(fitted, tables, monkeypatch):
    x, model = tables[0].iloc[250:], fitted[0]
    expected = predicted(model, x)
    pd.testing.assert_frame_equal(predicted(model, 2**x - 1), expected, atol=1e-5)
    pd.testing.assert_frame_equal(predicted(model, 2**x - 1, units="tpm"), expected, atol=1e-5)
    holes = x.mask(np.random.default_rng(0).random(x.shape) < 0.02)
    frame, notes = model.predict(holes)
    assert any(note.startswith("warning: ") and "empty cells" in note for note in notes)
    assert frame["prediction"].notna().all()
    outlier = x.head(3) * 0 + np.random.default_rng(1).permutation(np.repeat([0.1, 14.5], 150))
    with pytest.raises(InputError, match="does not resemble the training samples"):
        model.predict(outlier)
    older = replace(model, reference=replace(model.reference, usual={}))  # as folders of 0.7.0, which keep less
    frame, notes = older.predict(outlier)
    assert frame["applicability"].max() < model.predict(x)[0]["applicability"].median()
    monkeypatch.setattr("leaplib.samples.own_samples.FAR", 1.1)
    assert "3 of 3 samples are far from the training set (applicability below 1.1)" in older.predict(outlier)[1][-1]


def test_what_does_not_join_is_left_out_and_told(tables):
    x, y = tables
    y = y.iloc[:100].rename(index={y.index[0]: "stranger"})
    y["few"] = [1.0] * 9 + [np.nan] * 91
    x = x.iloc[:110].copy()
    x.iloc[:50, 0] = np.nan
    x.iloc[3, 1] = np.nan
    model, notes = fit_tables(x, y, TINY, where=("x.csv", "y.csv"))
    told = "\n".join(notes)
    assert "y.csv: 99 samples x 6 perturbations" in told
    assert "warning: x.csv: 1 genes with over 20% empty cells are left out" in told
    assert "warning: x.csv: 1 empty cells take the gene's mean" in told
    assert "warning: y.csv: 1 perturbations with fewer than 10 labels" in told
    assert "warning: y.csv: 1 samples have no expression" in told
    assert model.estimator.folds_.index.tolist() == y.index[1:].tolist()


def test_samples_without_a_response_are_pretrained_on(tables):
    x, y = tables
    alone, with_more = (fit_tables(x.iloc[:n], y.iloc[:40], TINY)[0] for n in (40, 60))
    means = [model.estimator.representations_.scaler.mean_ for model in (alone, with_more)]
    genes = means[0].index.intersection(means[1].index)
    np.testing.assert_allclose(means[1][genes], x.iloc[:60][genes].mean(), rtol=1e-5)
    assert not np.allclose(means[0][genes], means[1][genes], rtol=1e-3)
    assert with_more.estimator.folds_.index.equals(x.index[:40])


@pytest.fixture
def files(tables, tmp_path, monkeypatch):
    monkeypatch.setitem(PROFILES, "smoke", TINY)
    monkeypatch.chdir(tmp_path)
    x, y = tables
    x.iloc[:250].rename(columns=lambda gene: f"{gene} (12)").to_csv("x.csv")
    y.iloc[:250].to_csv("y.tsv", sep="\t")
    x.iloc[250:].to_parquet("new.parquet")
    return tmp_path


FIT = ["fit", "--expression", "x.csv", "--response", "y.tsv", "--profile", "smoke", "--device", "cpu"]


def test_the_commands(files, capsys):
    assert main([*FIT, "--out", "model", "--seed", "1"]) == 0
    assert "250 samples x 300 genes, log2(TPM+1) (detected)" in capsys.readouterr().out
    for suffix in ("csv", "tsv", "parquet"):
        new = ["--model", "model", "--expression", "new.parquet", "--out", f"p.{suffix}"]
        assert main(["predict", *new]) == 0
        assert "intervals of 90%" in capsys.readouterr().out
    exact = pd.read_parquet("p.parquet")
    for read in (pd.read_csv("p.csv"), pd.read_csv("p.tsv", sep="\t")):
        np.testing.assert_allclose(read["upper"], exact["upper"], rtol=1e-5)
    assert len(exact) == 52 * 6
    folds = OwnModel.load("model").estimator.folds_
    assert folds.equals(tuning_folds(folds.index, 1)) and not folds.equals(tuning_folds(folds.index, 0))


def test_groups_keep_tissues_whole(files):
    names = pd.read_csv("x.csv", index_col=0).index
    groups = pd.Series([f"tissue {i % 7}" for i in range(len(names))], names, name="group").rename_axis("sample")
    groups.to_csv("groups.csv")
    assert main([*FIT, "--groups", "groups.csv", "--model", "ps-ridge", "--out", "model"]) == 0
    folds = OwnModel.load("model").estimator.folds_
    assert (folds.groupby(groups[folds.index]).nunique() == 1).all() and folds.nunique() == 5


def test_a_task_in_one_command(home, files, capsys):
    assert main(["fit", "--task", "4b", "--profile", "smoke", "--out", f"{files}/task"]) == 0
    assert "(simulated data)" in capsys.readouterr().out
    model = OwnModel.load(files / "task")
    assert model.about["source"] == ["task 4b"] and model.about["label"] == "AUC"
    tissue = load_cohort(TINY, get_task("4b"))[0].samples["tissue"].loc[model.estimator.folds_.index]
    assert (model.estimator.folds_.groupby(tissue).nunique() == 1).all()  # calibrated for unseen tissues


TABLES = "fit --expression x.csv --response y.tsv"
BAD = [  # what a table can do wrong stands in the grid
    ("fit", "give --expression and --response, or --task"),
    ("fit --expression x.csv", "give --expression and --response, or --task"),
    (f"{TABLES} --task 2a", "one of the two ways"),
    ("fit --expression none.csv --response y.tsv", "none.csv: cannot be read"),
    (f"{TABLES} --model magic", "model 'magic' is unknown"),
    ("fit --expression x.csv --response empty.tsv", "no perturbation has 10 labels"),
    ("fit --task 9z", "task '9z' is unknown"),
    ("fit --task 2a --groups y.tsv", "a task has its own tissues"),
    (f"{TABLES} --groups y.tsv", "lacks the column 'sample'"),
    (f"{TABLES} --groups one.csv", "all samples are of one group"),
    ("fit --task 2a --profile huge", "profile 'huge' is unknown"),
    ("predict --out p.xlsx", "unknown kind of table '.xlsx'"),
    ("predict --out taken.csv", "is a folder"),
    ("predict --model none", "none: no model folder"),
    ("predict --level 90", "level 90.0: it must lie between 0 and 1"),
    ("predict --match combat", "match 'combat' is unknown"),
    ("predict --max-missing 2", "max-missing 2.0: it must be a share"),
]


def test_a_bad_command_is_one_line_and_writes_nothing(home, files, folder, capsys):
    y = pd.read_csv("y.tsv", sep="\t", index_col=0)
    (y * np.nan).to_csv("empty.tsv", sep="\t")
    pd.Series("a", y.index, name="group").rename_axis("sample").to_csv("one.csv")
    (files / "taken.csv").mkdir()
    before = sorted(files.rglob("*"))
    usual = {"fit": {"--profile": "smoke", "--out": "model"},
             "predict": {"--model": str(folder), "--expression": "new.parquet", "--out": "p.csv"}}  # fmt: skip
    for arguments, message in BAD:
        more = usual[arguments.split()[0]].items()
        assert main([*arguments.split(), *(part for pair in more if pair[0] not in arguments for part in pair)]) == 2
        error = capsys.readouterr().err
        assert re.search(message, error) and error.startswith("leap: ") and error.count("\n") == 1, error
        assert sorted(files.rglob("*")) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "version 2, and this leaplib reads .* up to version 1: update leaplib"),
        ({"format": "other.model"}, "its format is 'other.model'"),
        ({"files": {"../../secret.json": "0" * 64}}, "no file of a model"),
        ({"files": {"weights.pkl": "0" * 64}}, "no file of a model"),
    ],
)
def test_a_foreign_record_is_refused(fitted, tmp_path, changes, message):
    path = fitted[0].save(tmp_path / "model") / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(InputError, match=message):
        OwnModel.load(path.parent)


def test_a_damaged_or_missing_file_is_named(fitted, tmp_path):
    for name in ("estimator/member_0/model.safetensors", "scores.parquet", "model.json"):
        path = fitted[0].save(tmp_path / name.replace("/", "-")) / name
        for damage in (lambda path: path.write_bytes(path.read_bytes()[:-20]), Path.unlink):
            damage(path)
            with pytest.raises(InputError, match=name):
                OwnModel.load(tmp_path / name.replace("/", "-"))


def test_a_model_replaces_a_model_and_nothing_else(fitted, tmp_path):
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.txt").write_text("years of work")
    for target in (tmp_path / "papers", tmp_path / "papers" / "thesis.txt"):
        with pytest.raises(InputError, match=r"no model folder, .* choose another folder"):
            fitted[0].save(target)
    assert (tmp_path / "papers" / "thesis.txt").read_text() == "years of work"
    for _ in range(2):
        OwnModel.load(fitted[0].save(tmp_path / "model"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "papers"]


@pytest.mark.parametrize("model", ["ps-ridge", "leap-plus"])
def test_the_other_models_are_fitted_kept_and_explained_alike(tables, tmp_path, model):
    x, y = tables
    fitted, _ = fit_tables(x.iloc[:250], y.iloc[:250], TINY, model=model)
    new = x.iloc[250:]
    frame, _ = fitted.predict(new)
    truth = y.stack()[pd.MultiIndex.from_frame(frame[["sample", "perturbation"]])].to_numpy()
    assert 0.8 < ((frame["lower"] <= truth) & (truth <= frame["upper"])).mean() < 0.98
    assert (fitted.biomarkers["stability"] > 0).any() and frame["biomarkers"].str.len().gt(0).all()
    assert (fitted.calibration.usual == 0).all()  # one representation: errors in the unit of the response
    each = fitted.estimator.predict_each(new)
    assert each.shape == (1, 5, 52, 6)
    np.testing.assert_allclose(each.mean(axis=(0, 1)), fitted.estimator.predict(new))
    pd.testing.assert_frame_equal(OwnModel.load(fitted.save(tmp_path / "kept")).predict(new)[0], frame)


def test_other_kinds_of_model_are_refused_on_load(folder):
    for place, message in ((folder / "estimator", "holds a LEAP, not a PSRidge"), (folder, "not a saved PSRidge")):
        with pytest.raises(InputError, match=message):
            PSRidge.load(place)


def test_lines_needed_are_scored_on_one_tables_own_holdouts(tables):
    x, y = tables[0], tables[1].rename(index=str)
    found = lines_needed(x, y, TINY, ("ps-ridge",), (0.2, 1.0), n_splits=2)
    assert set(found["model"]) == {"PS-RIDGE"} and found["n_train"].max() == int(0.8 * len(y))
    split = holdouts(y.index, 2)[1]
    model = PSRidge(n_genes=TINY.n_genes).fit(x.loc[split.train], y.loc[split.train],
                                              unlabelled=x.drop(index=split.train))  # fmt: skip
    expected = score(y.loc[split.test], model.predict(x.loc[split.test]))
    rows = found[(found["share"] == 1) & (found["split"] == "holdout-1") & (found["metric"] == "spearman")]
    assert rows["value"].tolist() == pytest.approx([expected.query("metric == 'spearman'")["value"].mean()])
    means = found[found["metric"] == "spearman"].groupby("share")["value"].mean()
    assert means[1.0] > means[0.2]
    fig, drawn = pages.lines_needed(found)
    assert len(drawn) == 2 and "2 splits" in fig.axes[0].get_title(loc="left")
    with pytest.raises(InputError, match="model 'forest' is unknown"):
        lines_needed(x, y, TINY, ("forest",))
