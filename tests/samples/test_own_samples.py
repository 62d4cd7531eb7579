import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from leaplib import InputError
from leaplib.__main__ import main
from leaplib.base.metrics import spearman
from leaplib.profiles import PROFILES, get_profile
from leaplib.samples import own_samples
from leaplib.samples.own_samples import OwnModel, fit_tables

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


def test_biomarkers_are_named_with_their_sign(fitted, tables):
    model = fitted[0]
    frame, _ = model.predict(tables[0].iloc[250:252])
    name = frame["perturbation"].iloc[0]
    top = model.biomarkers[model.biomarkers["perturbation"] == name].head(5)
    expected = "; ".join(
        f"{gene} {'+' if weight > 0 else '-'}" for gene, weight in zip(top["gene"], top["weight"], strict=True)
    )
    assert frame["biomarkers"].iloc[0] == expected


def test_a_folder_gives_the_model_back_to_the_bit(fitted, folder, tables):
    x = tables[0].iloc[250:]
    pd.testing.assert_frame_equal(OwnModel.load(folder).predict(x)[0], fitted[0].predict(x)[0])
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".json", ".parquet", ".safetensors"}


def test_units_genes_with_numbers_and_empty_cells(fitted, tables):
    x, model = tables[0].iloc[250:], fitted[0]
    expected = predicted(model, x)
    pd.testing.assert_frame_equal(predicted(model, 2**x - 1), expected, atol=1e-5)
    pd.testing.assert_frame_equal(predicted(model, 2**x - 1, units="tpm"), expected, atol=1e-5)
    holes = x.mask(np.random.default_rng(0).random(x.shape) < 0.02)
    frame, notes = model.predict(holes)
    assert any(note.startswith("warning: ") and "empty cells" in note for note in notes)
    assert frame["prediction"].notna().all()
    outlier = x.head(3) * 0 + np.random.default_rng(1).permutation(30 * np.linspace(0, 1, 300))
    frame, notes = model.predict(outlier)
    assert notes[-1] == "warning: 3 of 3 samples are far from the training set (applicability below 0.05)"


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


def test_samples_without_a_response_are_pretrained_on(tables, monkeypatch):
    seen = {}
    monkeypatch.setattr(own_samples.LEAP, "fit", lambda self, X, Y, unlabelled, groups: seen.update(u=unlabelled, x=X))
    monkeypatch.setattr(own_samples.OwnModel, "of", lambda *parts: None)
    fit_tables(tables[0].iloc[:60], tables[1].iloc[:40], TINY)
    assert list(seen["u"].index) == list(tables[0].index[40:60]) and len(seen["x"]) == 40


@pytest.fixture
def files(tables, tmp_path, monkeypatch):
    monkeypatch.setitem(PROFILES, "smoke", TINY)
    x, y = tables
    x.iloc[:250].rename(columns=lambda gene: f"{gene} (12)").to_csv(tmp_path / "x.csv")
    y.iloc[:250].to_csv(tmp_path / "y.tsv", sep="\t")
    x.iloc[250:].to_parquet(tmp_path / "new.parquet")
    return tmp_path


def test_the_commands(files, fitted, tables, capsys):
    arguments = ["--expression", f"{files}/x.csv", "--response", f"{files}/y.tsv", "--profile", "smoke"]
    assert main(["fit", *arguments, "--out", f"{files}/model", "--device", "cpu"]) == 0
    assert "250 samples x 300 genes, log2(TPM+1) (detected)" in capsys.readouterr().out
    for suffix in ("csv", "tsv", "parquet"):
        out = files / f"p.{suffix}"
        assert (
            main(["predict", "--model", f"{files}/model", "--expression", f"{files}/new.parquet", "--out", str(out)])
            == 0
        )
    texts = [pd.read_csv(files / "p.csv"), pd.read_csv(files / "p.tsv", sep="\t")]
    pd.testing.assert_frame_equal(*texts)
    exact = pd.read_parquet(files / "p.parquet")
    np.testing.assert_allclose(texts[0]["upper"], exact["upper"], rtol=1e-5)
    assert len(exact) == 52 * 6
    captured = capsys.readouterr()
    assert "intervals of 90%" in captured.out


def test_another_seed_is_another_model(files):
    arguments = ["fit", "--expression", f"{files}/x.csv", "--response", f"{files}/y.tsv", "--profile", "smoke", "--out"]
    for seed in (0, 1):
        assert main([*arguments, f"{files}/seed{seed}", "--seed", str(seed)]) == 0
    first, second = (OwnModel.load(files / f"seed{seed}").estimator for seed in (0, 1))
    assert first.random_state == 0 and not first.folds_.equals(second.folds_)


def test_groups_keep_tissues_whole(files):
    names = pd.read_csv(files / "x.csv", index_col=0).index
    groups = pd.Series([f"tissue {i % 7}" for i in range(len(names))], names, name="group").rename_axis("sample")
    groups.to_csv(files / "groups.csv")
    arguments = ["fit", "--expression", f"{files}/x.csv", "--response", f"{files}/y.tsv", "--profile", "smoke"]
    assert main([*arguments, "--groups", f"{files}/groups.csv", "--model", "ps-ridge", "--out", f"{files}/model"]) == 0
    folds = OwnModel.load(files / "model").estimator.folds_
    assert (folds.groupby(groups[folds.index]).nunique() == 1).all() and folds.nunique() == 5


def test_a_task_in_one_command(home, files, capsys):
    assert main(["fit", "--task", "4b", "--profile", "smoke", "--out", f"{files}/task"]) == 0
    assert "(simulated data)" in capsys.readouterr().out
    model = OwnModel.load(files / "task")
    assert model.about["source"] == ["task 4b"] and model.about["label"] == "AUC"
    cohort = pd.read_parquet(home / "data/processed/smoke/task_4b/samples.parquet")
    tissue = cohort["tissue"].loc[model.estimator.folds_.index]
    assert (model.estimator.folds_.groupby(tissue).nunique() == 1).all()  # calibrated for unseen tissues


BAD_FIT = {
    "no table": ([], "give --expression and --response, or --task"),
    "half": (["--expression", "x.csv"], "give --expression and --response, or --task"),
    "both ways": (["--expression", "x.csv", "--response", "y.tsv", "--task", "2a"], "one of the two ways"),
    "no file": (["--expression", "none.csv", "--response", "y.tsv"], "none.csv: cannot be read"),
    "model": (["--expression", "x.csv", "--response", "y.tsv", "--model", "magic"], "model 'magic' is unknown"),
    "units": (["--expression", "x.csv", "--response", "y.tsv", "--units", "fpkm"], "units 'fpkm' are unknown"),
    "wrong units": (["--expression", "big.csv", "--response", "y.tsv", "--units", "log"], "declare counts or tpm"),
    "no overlap": (["--expression", "x.csv", "--response", "alien.tsv"], "0 samples are in .*x.csv too"),
    "no labels": (["--expression", "x.csv", "--response", "empty.tsv"], "no perturbation has 10 labels"),
    "task": (["--task", "9z"], "task '9z' is unknown"),
    "groups of a task": (["--task", "2a", "--groups", "y.tsv"], "a task has its own tissues"),
    "groups": (["--expression", "x.csv", "--response", "y.tsv", "--groups", "y.tsv"], "lacks the column 'sample'"),
    "no group": (["--expression", "x.csv", "--response", "y.tsv", "--groups", "few.csv"], "has no group"),
    "profile": (["--task", "2a", "--profile", "huge"], "profile 'huge' is unknown"),
}


@pytest.mark.parametrize("case", BAD_FIT)
def test_a_bad_fit_is_one_line_and_writes_nothing(home, files, capsys, case, monkeypatch):
    monkeypatch.chdir(files)
    pd.read_csv("x.csv", index_col=0).mul(100).to_csv("big.csv")
    y = pd.read_csv("y.tsv", sep="\t", index_col=0)
    y.rename(index=lambda name: "other " + name).to_csv("alien.tsv", sep="\t")
    (y * np.nan).to_csv("empty.tsv", sep="\t")
    pd.Series(list("abab"), y.index[:4], name="group").rename_axis("sample").to_csv("few.csv")
    before = sorted(files.rglob("*"))
    arguments, message = BAD_FIT[case]
    arguments = arguments if "--profile" in arguments else [*arguments, "--profile", "smoke"]
    assert main(["fit", *arguments, "--out", "model"]) == 2
    assert_one_line(capsys, message)
    assert sorted(files.rglob("*")) == before


def assert_one_line(capsys, message):
    error = capsys.readouterr().err
    assert pd.Series([error]).str.contains(message).all(), error
    assert error.startswith("leap: ") and error.count("\n") == 1


BAD_PREDICT = {
    "suffix": (["--out", "p.xlsx"], "unknown kind of table '.xlsx'"),
    "folder": (["--out", "taken.csv"], "is a folder"),
    "model": (["--model", "none"], "none: no model folder"),
    "level": (["--level", "90"], "level 90.0: it must lie between 0 and 1"),
    "match": (["--match", "combat"], "match 'combat' is unknown"),
    "few for a domain": (["--expression", "few.csv", "--match", "domain"], "3 samples are too few"),
    "missing genes": (["--expression", "half.csv"], "genes are missing, .* more than the limit of 20%"),
    "other genes": (["--expression", "alien.csv"], "174 of the model's 174 genes are missing"),
    "transposed": (["--expression", "turned.csv"], "genes are the rows: transpose"),
    "z-scores": (["--expression", "z.csv"], "z-scores, but the model was trained on log2"),
    "no values": (["--expression", "gap.csv"], "has no values: drop it"),
    "share": (["--max-missing", "2"], "max-missing 2.0: it must be a share"),
}


@pytest.mark.parametrize("case", BAD_PREDICT)
def test_a_bad_prediction_is_one_line_and_writes_nothing(files, folder, tables, capsys, case, monkeypatch):
    monkeypatch.chdir(files)
    (files / "taken.csv").mkdir()
    x = tables[0].iloc[250:]
    x.head(3).to_csv("few.csv")
    x.iloc[:, :150].to_csv("half.csv")
    x.add_prefix("other").to_csv("alien.csv")
    x.T.to_csv("turned.csv")
    x.sub(x.mean(axis=1), axis=0).div(x.std(axis=1), axis=0).to_csv("z.csv")
    x.mask(x.index.to_series() == x.index[4]).to_csv("gap.csv")
    before = sorted(files.rglob("*"))
    arguments, message = BAD_PREDICT[case]
    defaults = {"--model": str(folder), "--expression": "new.parquet", "--out": "p.csv"}
    for name, value in defaults.items():
        arguments = arguments if name in arguments else [*arguments, name, value]
    assert main(["predict", *arguments]) == 2
    assert_one_line(capsys, message)
    assert sorted(files.rglob("*")) == before


def damaged(folder, how):
    record = json.loads((folder / "model.json").read_text())
    if how == "newer":
        record["version"] = 2
    if how == "foreign":
        record["format"] = "other.model"
    if how == "outside":
        record["files"]["../../secret.json"] = "0" * 64
    if how == "pickle":
        record["files"]["weights.pkl"] = "0" * 64
    (folder / "model.json").write_text(json.dumps(record))
    if how == "changed":
        with open(folder / "estimator/member_0/model.safetensors", "r+b") as handle:
            handle.seek(-3, 2)
            handle.write(b"abc")
    if how == "cut off":
        path = folder / "scores.parquet"
        path.write_bytes(path.read_bytes()[:-20])
    if how == "missing":
        (folder / "estimator/damae_1.json").unlink()
    if how == "no record":
        (folder / "model.json").write_text("{")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("newer", "format version 2 is newer than 1.*update leaplib"),
        ("foreign", "its format is 'other.model'"),
        ("outside", "no file of a model"),
        ("pickle", "no file of a model"),
        ("changed", "model.safetensors: is damaged or was changed"),
        ("cut off", "scores.parquet: is damaged or was changed"),
        ("missing", "damae_1.json: is missing"),
        ("no record", "no model folder, or its model.json is damaged"),
    ],
)
def test_a_damaged_folder_is_refused(fitted, tmp_path, how, message):
    folder = fitted[0].save(tmp_path / "model")
    damaged(folder, how)
    with pytest.raises(InputError, match=message):
        OwnModel.load(folder)


def test_a_model_replaces_a_model_and_nothing_else(fitted, tmp_path):
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.txt").write_text("years of work")
    for target in (tmp_path / "papers", tmp_path / "papers" / "thesis.txt"):
        with pytest.raises(InputError, match="is there and no model folder"):
            fitted[0].save(target)
    assert (tmp_path / "papers" / "thesis.txt").read_text() == "years of work"
    for _ in range(2):
        OwnModel.load(fitted[0].save(tmp_path / "model"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "papers"]


def test_ps_ridge_is_fitted_kept_and_explained_alike(tables, tmp_path):
    x, y = tables
    model, _ = fit_tables(x.iloc[:250], y.iloc[:250], TINY, model="ps-ridge")
    new, ridge = x.iloc[250:], model.estimator
    frame, _ = model.predict(new)
    each = ridge.predict_each(new)
    assert each.shape == (1, 5, 52, 6)
    np.testing.assert_allclose(each.mean(axis=(0, 1)), ridge.predict(new))
    weights = ridge.gene_weights(new, list(y.columns[[4, 1]]))
    np.testing.assert_allclose(weights.mean(axis=0), ridge.coef_[y.columns[[4, 1]]])
    truth = y.stack()[pd.MultiIndex.from_frame(frame[["sample", "perturbation"]])].to_numpy()
    assert 0.8 < ((frame["lower"] <= truth) & (truth <= frame["upper"])).mean() < 0.98
    assert (model.calibration.usual == 0).all()  # one representation: errors in the unit of the response
    pd.testing.assert_frame_equal(OwnModel.load(model.save(tmp_path / "ridge")).predict(new)[0], frame)


def test_leap_plus_is_fitted_kept_and_explained_alike(tables, tmp_path):
    x, y = tables
    model, _ = fit_tables(x.iloc[:250], y.iloc[:250], TINY, model="leap-plus")
    frame, _ = model.predict(x.iloc[250:])
    truth = y.stack()[pd.MultiIndex.from_frame(frame[["sample", "perturbation"]])].to_numpy()
    assert 0.8 < ((frame["lower"] <= truth) & (truth <= frame["upper"])).mean() < 0.98
    assert (model.biomarkers["stability"] > 0).any() and frame["biomarkers"].str.len().gt(0).all()
    pd.testing.assert_frame_equal(OwnModel.load(model.save(tmp_path / "plus")).predict(x.iloc[250:])[0], frame)


def test_other_kinds_of_model_are_refused_on_load(folder):
    with pytest.raises(InputError, match="holds a LEAP, not a PSRidge"):
        own_samples.PSRidge.load(folder / "estimator")
    with pytest.raises(InputError, match="not a saved PSRidge"):
        own_samples.PSRidge.load(folder)
