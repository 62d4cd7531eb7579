"""Tables as people have them, given to `leap fit` and `leap predict`: right numbers, or one line that names the cause.

The control: 60 lines x 2,000 genes, log2(TPM+1), four drugs that each depend on two genes, PS-RIDGE, 20 new lines.
"""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leaplib import InputError
from leaplib.profiles import get_profile
from leaplib.samples.own_samples import fit_to_folder, predict_to_file
from leaplib.samples.tables import read_table, refuse_overwriting

PROFILE = replace(get_profile("smoke"), n_genes=500)
N, N_TRAIN, P = 80, 60, 2000
RNG = np.random.default_rng(0)
LINES = [str(905930 + 37 * i) for i in RNG.permutation(N)]
GENES = [f"GENE{i}" for i in range(P)]


def control() -> tuple[pd.DataFrame, pd.DataFrame]:
    programmes = RNG.normal(size=(N, 4)) @ (RNG.normal(size=(4, P)) * (RNG.random((4, P)) < 0.2))
    tpm = 2 ** np.clip(RNG.uniform(0, 8, P) + programmes + RNG.normal(0, 0.5, (N, P)), 0, None) - 1
    x = pd.DataFrame(np.log2(tpm / tpm.sum(axis=1, keepdims=True) * 1e6 + 1), LINES, GENES)
    z = (x - x.mean()) / x.std()
    strong = z.columns[(np.abs(programmes).std(axis=0) > 1)]
    drugs = {f"drug {d}": 0.5 + 0.1 * z[strong[2 * d]] - 0.1 * z[strong[2 * d + 1]] for d in range(4)}
    return x, pd.DataFrame(drugs) + RNG.normal(0, 0.02, (N, 4))


X, Y = control()
NEW, TRUTH = X.iloc[N_TRAIN:], Y.iloc[N_TRAIN:]
X, Y = X.iloc[:N_TRAIN], Y.iloc[:N_TRAIN].sample(frac=1, random_state=0)
TPM, SD = 2**NEW - 1, X.std()
LENGTH, DEPTH = RNG.lognormal(0, 0.7, P), RNG.uniform(2e7, 6e7, (len(NEW), 1))
COUNTS = (TPM * 20).mul(1.0)  # of equal lengths: 2e7 a sample, with decimals
Z = NEW.sub(NEW.mean(axis=1), axis=0).div(NEW.std(axis=1, ddof=0), axis=0)
BY_GENE = (NEW - X.mean()) / X.std().clip(lower=0.1)


def csv(table: pd.DataFrame, name: str = "new.csv", **options: object) -> Callable[[Path], Path]:
    return lambda folder: (table.to_csv(folder / name, **options), folder / name)[1]


def text(change: Callable[[str], str]) -> Callable[[Path], Path]:
    return lambda folder: ((folder / "new.csv").write_text(change(NEW.to_csv())), folder / "new.csv")[1]


def parquet(table: pd.DataFrame, **options: object) -> Callable[[Path], Path]:
    return lambda folder: (table.to_parquet(folder / "new.parquet", **options), folder / "new.parquet")[1]


def depmap(table: pd.DataFrame) -> pd.DataFrame:
    """As DepMap writes expression since 24Q4: rows are sequencings, some of them no default entries."""
    table = pd.concat([table, table.iloc[:5] + 1])
    ids = pd.DataFrame({"SequencingID": [f"CDS-{i:06d}" for i in range(len(table))],
                        "ModelID": [f"ACH-{name}" for name in table.index],
                        "IsDefaultEntryForModel": ["Yes"] * (len(table) - 5) + ["No"] * 5,
                        "ModelConditionID": [f"MC-{i:06d}-a" for i in range(len(table))],
                        "IsDefaultEntryForMC": "Yes"})  # fmt: skip
    genes = table.reset_index(drop=True).rename(columns=lambda gene: f"{gene} ({gene[4:]}1)")
    return pd.concat([ids, genes], axis=1)


def custom(table: pd.DataFrame) -> pd.DataFrame:
    """As DepMap's custom downloads: lineages beside the ids."""
    names = [f"L{i}" if i else "697" for i in range(len(table))]
    ids = {"depmap_id": [f"ACH-{name}" for name in table.index], "cell_line_display_name": names, "lineage_1": "Lung"}
    return pd.concat([pd.DataFrame(ids | {"lineage_4": ""}), table.reset_index(drop=True)], axis=1)


def some(rows: int, other: pd.DataFrame, table: pd.DataFrame = NEW) -> pd.DataFrame:
    """Return a table of which the last rows are in another unit."""
    return pd.concat([table.iloc[:-rows], other.iloc[-rows:]])


COSMIC = NEW.rename_axis("COSMIC_ID").reset_index().astype({"COSMIC_ID": int})
NAMED = pd.concat([pd.DataFrame({"line": "L" + NEW.index}), NEW.reset_index(drop=True)], axis=1)
TURNED = NEW.T.rename_axis("gene_name").reset_index().set_index("gene_name", drop=False)
GAPS = NEW.iloc[:, 300:].mask((np.arange(len(NEW)) == 4)[:, None] & (np.arange(P - 300) < 200))
EVERY = {n: np.arange(P) % n > 0 for n in (2, 10)}  # genes but every nth
LIKE_TRAINING = NEW.where(NEW.iloc[2, 5] != NEW, 4.8e11)

RIGHT, CLOSE = 1e-5, 0.5  # the largest difference from the control's predictions, in SDs of a drug
NO_INDEX, ROWS = "'GENE0', holds values such as", "numbers the rows, and 'COSMIC_ID'"
TRANSPOSE = "are the rows: transpose"
SCALE = "neither counts|no log2|another scale"
LAST = NEW.index[-3]
LOG2 = np.log2(TPM.where(TPM > 0))
COUNTED = pd.concat([pd.Series(range(len(NEW)), name="Unnamed: 0"), COSMIC], axis=1)
LEVELS = np.sort(NEW, axis=1).mean(axis=0)
LEVELLED = pd.DataFrame(LEVELS[NEW.rank(axis=1, method="first").to_numpy(dtype=int) - 1], NEW.index, NEW.columns)
Case = tuple[Callable[[Path], Path], float | str]
PREDICT: dict[str, Case | tuple[Callable[[Path], Path], float | str, dict[str, object]]] = {
    # what names the samples
    "names as decimals": (csv(NEW.set_axis(NEW.index.astype(float), axis=0)), RIGHT),
    "row numbers beside ids": (csv(COSMIC), ROWS),
    "row numbers of a larger table beside ids": (parquet(COSMIC.set_index(RNG.permutation(len(NEW)) + 9)), ROWS),
    "ids in parquet without an index": (parquet(COSMIC), RIGHT),
    "saved without its index": (csv(NEW, index=False), NO_INDEX),
    "counts saved without their index": (csv(COUNTS.round().astype(int), index=False), "'GENE0'"),
    "a sample twice": (csv(pd.concat([NEW, NEW.head(1)])), f"sample '{NEW.index[0]}' stands more than once"),
    "row numbers beside names": (csv(NAMED), RIGHT),
    "row numbers twice beside ids": (csv(COUNTED), ROWS),
    # units
    "TPM": (csv(TPM), RIGHT),
    "counts": (csv(COUNTS.round()), 0.05),
    "estimated counts": (csv(COUNTS), RIGHT),
    "estimated counts, declared TPM": (csv(COUNTS), "no TPM, which have totals of", {"units": "tpm"}),
    "TPM that add up to 5e8": (csv(TPM * 500), "neither counts, TPM"),
    "log10": (csv(NEW * np.log10(2)), SCALE),
    "log10, declared": (csv(NEW * np.log10(2)), SCALE, {"units": "log"}),
    "log10, matched": (csv(NEW * np.log10(2)), CLOSE, {"match": "quantile"}),
    "ln": (csv(NEW * np.log(2)), SCALE),
    "ln(CP10k+1)": (csv(np.log1p(TPM / 100)), SCALE),
    "log2 of counts": (csv(np.log2(COUNTS + 1)), SCALE),
    "log2 of counts, matched": (csv(np.log2(COUNTS + 1)), CLOSE, {"match": "quantile"}),
    "VST": (csv(np.log2(COUNTS + 60)), "log2 of counts, VST"),
    "log2(TPM+0.001)": (csv(np.log2(TPM + 0.001)), RIGHT),
    "corrected for batches": (csv(NEW - 0.05), "declare --units log"),
    "corrected for batches, declared": (csv(NEW - 0.05), CLOSE, {"units": "log"}),
    "z-scores of genes": (csv(BY_GENE), "z-scores|z-scores of genes over samples"),
    "z-scores of genes, matched": (csv(BY_GENE), "gene by gene", {"units": "z-score", "match": "quantile"}),
    "z-scores declared log": (csv(Z), "no log2", {"units": "log"}),
    "TPM declared log": (csv(TPM), "no log2.*declare counts or tpm", {"units": "log"}),
    "log declared counts": (csv(NEW), "no counts.*declare log", {"units": "counts"}),
    "logs and TPM": (csv(some(3, TPM)), rf"different units, TPM \(3: {LAST}, "),
    "logs and log10": (csv(some(3, NEW * np.log10(2))), rf"sample '{LAST}'"),
    "log2(TPM), empty for 0, declared log": (csv(LOG2), "without \\+ 1", {"units": "log"}),
    "gaps filled with -9999, declared log": (
        csv(NEW.replace(LIKE_TRAINING.iloc[2, 6], -9999)),
        "mend",
        {"units": "log"},
    ),
    "ranks": (csv(NEW.rank(axis=1, method="first")), "ranks: give"),
    "quantile-normalised": (csv(LEVELLED), "warning: .*quantile-normalised"),
    "one absurd cell": (csv(LIKE_TRAINING), rf"sample '{NEW.index[2]}': .*'GENE5'"),
    # missing genes
    "half of the genes 0": (csv(NEW * EVERY[2]), "in every sample: above the limit of 20%"),
    "half of the genes 0 in one sample": (csv(NEW.head(1) * EVERY[2]), "above the limit of 20%"),
    "one sample": (csv(NEW.iloc[[9]]), RIGHT),
    "a tenth of the genes 0 in one sample": (csv(NEW.iloc[[9]] * EVERY[10]), "genes are 0 in every sample"),
    "a tenth of the genes 0": (csv(NEW * EVERY[10]), "genes are 0 in every sample"),
    "gaps of columns and cells": (csv(GAPS), rf"sample '{NEW.index[4]}': .*above the limit"),
    # what is no table of samples, or only nearly
    "DepMap": (csv(depmap(NEW)), RIGHT),
    "DepMap, parquet": (parquet(depmap(NEW)), RIGHT),
    "DepMap's custom download": (csv(custom(NEW), index=False), RIGHT),
    "genes as rows": (csv(NEW.T), TRANSPOSE),
    "genes as rows, two columns of names": (csv(TURNED), TRANSPOSE),
    "a title": (text(lambda t: "Downloaded on Monday\n\n" + t), RIGHT),
    "a comment": (text(lambda t: "# log2(TPM+1), 20 lines, by hand\n" + t), RIGHT),
    "trailing commas": (text(lambda t: t.replace("\n", ",\n")), RIGHT),
    "trailing commas but in the header": (text(lambda t: t.replace("\n", ",\n").replace(",\n", "\n", 1)), RIGHT),
    "blank rows and columns": (text(lambda t: t.replace("\n", ",,\n") + "," * (P + 2) + "\n\n"), RIGHT),
    "decimal commas": (csv(NEW, name="new.tsv", sep="\t", decimal=","), "is not a number.*decimal point"),
    "semicolons": (csv(NEW, sep=";", decimal=","), "semicolons"),
    "rows of totals, means and SDs": (
        csv(pd.concat([NEW, NEW.agg(["sum", "mean", "std"]).set_axis(["Total", "Mean", "SD"])])),
        "row 'Total' holds the sum of the others",
    ),
    "underscores": (text(lambda t: t.replace(",5.8", ",5_8", 1)), "'5_8.*' is not a number"),
    "no header": (csv(NEW, header=False), "no names of columns"),
}


def fitted(folder: Path, x: pd.DataFrame = X, y: pd.DataFrame = Y, **settings: object) -> list[str]:
    for table, name in ((x, "x.csv"), (y, "y.csv")):
        if not (folder / name).exists():
            table.to_csv(folder / name)
    paths = str(folder / "x.csv"), str(folder / "y.csv")
    return fit_to_folder(folder / "own", PROFILE, *paths, model="ps-ridge", device="cpu", **settings)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("control")
    fitted(folder)
    return folder / "own"


def predicted(model: Path, path: Path, **settings: object) -> tuple[pd.DataFrame, str]:
    notes = predict_to_file(model, str(path), path.with_name("predicted.parquet"), **settings)
    frame = pd.read_parquet(path.with_name("predicted.parquet"))
    return frame.pivot(index="sample", columns="perturbation", values="prediction"), "\n".join(notes)


@pytest.fixture(scope="module")
def right(model, tmp_path_factory) -> pd.DataFrame:
    path = csv(NEW)(tmp_path_factory.mktemp("right"))
    found, _ = predicted(model, path)
    assert found.loc[TRUTH.index].corrwith(TRUTH, method="spearman").min() > 0.6
    return found.loc[NEW.index]


@pytest.mark.parametrize("case", PREDICT)
def test_new_samples(case, model, right, tmp_path):
    make, expected, *settings = PREDICT[case]
    path = make(tmp_path)
    try:
        found, notes = predicted(model, path, **(settings[0] if settings else {}))
    except InputError as error:
        assert isinstance(expected, str), error
        assert str(path) in str(error)
        assert re.search(expected, str(error).replace(str(path), "")), error
        return
    if isinstance(expected, str):
        assert re.search(expected, notes + " ".join(found.index)), notes
        expected = CLOSE
    found.index = found.index.str.removeprefix("ACH-").str.removeprefix("L")
    names = NEW.index[[9]] if len(found) == 1 else NEW.index
    np.testing.assert_allclose(found.loc[names] / 0.14, right.loc[names] / 0.14, atol=expected)


LONG = Y.rename_axis("line").melt(ignore_index=False, var_name="drug").reset_index()
FIT: dict[str, tuple[pd.DataFrame, pd.DataFrame, str]] = {
    "other names": (X, Y.rename(index="L{}".format), rf"y.csv: 0 samples .*'L\d+, .*x.csv has '{X.index[0]}"),
    "row numbers beside ids": (X.rename_axis("COSMIC_ID").reset_index(), Y, "x.csv: the first column numbers the rows"),
    "response saved without its index": (X, Y.reset_index(drop=True).set_index("drug 0"), "'drug 0', holds values"),
    "a long table": (X, LONG.set_index("line"), "y.csv: a long table"),
    "genes as rows": (X.T, Y, "x.csv: .*are the rows: transpose"),
    "drugs as rows": (X, Y.T, "y.csv: .*are the rows: transpose"),
    "log10": (X * np.log10(2), Y, "x.csv: sample .*ln, log10 or FPKM"),
    "z-scores of genes": ((X - X.mean()) / X.std().clip(lower=0.1), Y, "x.csv: (z-scores of genes|sample)"),
    "logs and TPM": (some(3, 2**X - 1, X), Y, "x.csv: samples of different units"),
}


@pytest.mark.parametrize("case", FIT)
def test_tables_to_fit(case, tmp_path):
    *tables, message = FIT[case]
    with pytest.raises(InputError, match=message):
        fitted(tmp_path, *tables)
    assert not (tmp_path / "own").exists()


def test_whole_numbers_join_however_they_are_written_and_ids_are_no_perturbations(tmp_path, monkeypatch):
    """The tables that reach the estimator are those of the control."""
    seen: dict[str, pd.DataFrame] = {}

    class Reached(Exception):
        pass

    class Estimator:
        def fit(self, x, y, **more):
            seen.update(x=x, y=y)
            raise Reached

    monkeypatch.setattr("leaplib.samples.own_samples.make", lambda *settings: Estimator())
    floats = Y.set_axis(Y.index.astype(float), axis=0).rename_axis("COSMIC_ID")
    with pytest.raises(Reached):
        fitted(tmp_path, X, floats.assign(depmap_id="ACH-1", sample_id=range(N_TRAIN)))
    pd.testing.assert_frame_equal(seen["x"], X, check_names=False)
    pd.testing.assert_frame_equal(seen["y"], Y.loc[X.index], check_names=False)


def test_no_command_overwrites_what_it_reads(model, tmp_path):
    new = csv(NEW)(tmp_path)
    (tmp_path / "link.csv").symlink_to(new)
    (tmp_path / "folder").mkdir()
    before = new.read_bytes()
    ways = (new, tmp_path / "folder" / ".." / "new.csv", tmp_path / "link.csv")
    for source in ways:
        for out in ways:
            with pytest.raises(InputError, match="choose another"):
                predict_to_file(model, str(source), out)
    with pytest.raises(InputError, match="lies in the model's folder"):
        predict_to_file(model, str(new), model / "genes.parquet")
    kept = tmp_path / "kept"
    shutil.copytree(model, kept)
    for table, name in ((X, "x.csv"), (Y, "y.csv")):
        table.to_csv(kept / name)
    with pytest.raises(InputError, match=r"holds '[xy].csv', which is no file of a model"):
        fit_to_folder(kept, PROFILE, str(kept / "x.csv"), str(kept / "y.csv"), model="ps-ridge", device="cpu")
    with pytest.raises(InputError, match="is the input"):
        refuse_overwriting(kept, kept / "x.csv")
    assert new.read_bytes() == before and (kept / "x.csv").exists()


def test_numbers_of_rows_for_names_are_told_and_a_sample_may_be_called_mean(tmp_path):
    for table, told in ((NEW.reset_index(drop=True), True), (NEW, False)):
        notes = read_table(csv(table)(tmp_path)).attrs["notes"]
        assert told == any(note.startswith("warning: ") and "named by numbers of rows" in note for note in notes)
    assert "mean" in read_table(csv(NEW.rename(index={NEW.index[9]: "mean"}))(tmp_path)).index


def test_errors_about_groups_name_their_file(tmp_path):
    groups = pd.Series("Lung", X.index[:9], name="group").rename_axis("sample")
    groups.to_csv(tmp_path / "groups.csv")
    with pytest.raises(InputError, match=r"groups.csv: sample '\d+' has no group \(51 such"):
        fitted(tmp_path, groups=str(tmp_path / "groups.csv"))
