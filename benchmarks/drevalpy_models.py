"""Models of DrEval's package drevalpy on the folds of tasks 2a and 4a, scored by our code, beside ours.

    python3.11 -m venv dreval && dreval/bin/pip install torch==2.13.0    # first: other builds of torch are larger
    dreval/bin/pip install drevalpy==1.6.0 lightgbm -e .
    dreval/bin/python benchmarks/drevalpy_models.py --tasks 2a,4a --splits 2 --models ElasticNet,MultiViewLightGBM

drevalpy is no dependency of leaplib, hence the environment of its own. Without it, or with `--models ""`, nothing is
trained, and the table is of what is saved (`data/results/paper/benchmarks/drevalpy/`, a file a task, split and model).

drevalpy trains, tunes and predicts by its own functions: hyperparameters from its own grid by the RMSE on one fifth of
the training lines (the first of the split's tuning folds: lines in 2a, whole tissues in 4a; a quarter of it stops
models early), then a fit on all of them; labels are standardised by its `response_transformation`. Of a grid that
also has mutations only the points on expression alone are taken, and `--grid 0,2` takes some of these, by number.

It is handed the expression of the 978 genes that vary most over the training lines, in place of its list of 978
landmark genes, which it downloads, and Morgan fingerprints folded to the bits that the model asks for (128 unless it
says so). "PS-RIDGE, 978 genes" is ours on the same genes. `--drugs N` takes a random subset of the drugs: drevalpy's
models are trained on it, and all are scored on it.

Our scores are those of the predictions in `data/results/paper/`, else those of `data/reference/`, which has no
normalised scores. All are over all test lines of a split.
"""

import argparse
import contextlib
import copy
import io
import json
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import leaplib as lp
from leaplib.base.compute import machine
from leaplib.base.errors import InputError
from leaplib.base.layout import Layout, slug
from leaplib.base.metrics import normalised, score
from leaplib.base.store import is_done, load_frame, provenance, save_frame, write_text
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.splits import SEED, Split
from leaplib.models.naive import MeanEffects, TissueMean, TrainingMean
from leaplib.models.ridge import DualRidge
from leaplib.results.comparisons import interval, paired_test, ratio_of
from leaplib.results.printing import markdown

try:
    from drevalpy.datasets.dataset import DrugResponseDataset, FeatureDataset, split_early_stopping_data
    from drevalpy.experiment import hpam_tune, train_and_predict
    from drevalpy.models import MODEL_FACTORY
    from sklearn.preprocessing import StandardScaler
except ImportError as error:
    MODEL_FACTORY, FeatureDataset, WHY = {}, object, str(error)

N_GENES, N_BITS = 978, 128
VIEWS = ["gene_expression"]
MODES = {"2a": "LCO", "4a": "LTO"}  # drevalpy's names for unseen lines and unseen tissues
CONTROLS = {"Training mean": TrainingMean, "Tissue mean": TissueMean, "Mean effects": MeanEffects}
OURS = {"PS-KNN": "PS-KNN", "PS-LASSO": "PS-LASSO r0", "LEAP": "LEAP", "PS-RIDGE": "PS-RIDGE", "LEAP+": "LEAP+"}
SAME_GENES = f"PS-RIDGE, {N_GENES} genes"
BEST = "LEAP+"  # that the others are compared with
METRICS = ["spearman", "pearson", "normalised"]
COLUMNS = ["perturbation", "metric", "value"]


def roles(split: Split, response: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the measured pairs (line, drug, response) to train on, to tune on and to test on."""
    held = split.folds == split.folds.min()
    lines = {"train": split.train[~held], "validation": split.train[held], "test": split.test}
    wide = {role: response.loc[rows].rename_axis(index="line", columns="drug") for role, rows in lines.items()}
    return {role: part.stack().dropna().rename("response").reset_index() for role, part in wide.items()}


def folded(fingerprints: pd.DataFrame, n_bits: int) -> pd.DataFrame:
    """Return Morgan fingerprints of fewer bits, of which ours are a multiple: each is on where one of those is."""
    bits = fingerprints.to_numpy(dtype=np.float32).reshape(len(fingerprints), -1, n_bits).max(axis=1)
    return pd.DataFrame(bits, index=fingerprints.index)


def genes_of(split: Split, expression: pd.DataFrame) -> pd.DataFrame:
    """Return the expression of the genes that vary most over the training lines."""
    return expression[expression.loc[split.train].var().nlargest(N_GENES).index].astype(np.float32)


# ---- drevalpy


class Features(FeatureDataset):
    """Their table of features, looked up and scaled at once, not pair by pair and line by line, which takes minutes."""

    def copy(self) -> "Features":
        """Return a copy, of this class."""
        return Features(copy.deepcopy(self.features), self.meta_info)

    def get_feature_matrix(self, view: str, identifiers: np.ndarray) -> np.ndarray:
        """Return the features of lines or drugs, in single precision."""
        names, places = np.unique(identifiers, return_inverse=True)
        return np.stack([self.features[name][view] for name in names]).astype(np.float32)[places]

    def transform_features(self, ids: np.ndarray, transformer: Any, view: str) -> None:
        """Transform the features of some."""
        for name, row in zip(ids, transformer.transform(self.get_feature_matrix(view, ids)), strict=True):
            self.features[name][view] = row

    def fit_transform_features(self, train_ids: np.ndarray, transformer: Any, view: str) -> Any:
        """Fit a transformer on some, and transform the features of all."""
        transformer.fit(self.get_feature_matrix(view, train_ids))
        self.transform_features(self.identifiers, transformer, view)
        return transformer


def features(frame: pd.DataFrame, view: str) -> Features:
    return Features({str(name): {view: row} for name, row in zip(frame.index, frame.to_numpy(), strict=True)})


def grid_of(name: str, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Return points of the model's own grid that need expression alone; by default all."""
    points = MODEL_FACTORY[name].get_hyperparameter_set()
    only = [p for p in points if p.get("view_configs", {}).get("cell_line_views", VIEWS) == VIEWS]
    return [only[number] for number in numbers or range(len(only))]


def fitted(model: Any, grid: list[dict], pairs: dict[str, pd.DataFrame], tissue: pd.Series, mode: str) -> pd.Series:
    """Tune and train a model, and return its predictions of the test pairs."""
    data = {role: DrugResponseDataset(part["response"].to_numpy(float), part["line"].to_numpy(str),
                                      part["drug"].to_numpy(str), tissues=tissue[part["line"]].to_numpy(str))
            for role, part in pairs.items()}  # fmt: skip
    shared: dict[str, Any] = {"path_data": "", "response_transformation": StandardScaler()}
    train, validation, stopping = data["train"], data["validation"], None
    if model.early_stopping:
        validation, stopping = split_early_stopping_data(validation, mode)
    best = hpam_tune(model, train, validation, grid, early_stopping_dataset=stopping, **shared)
    train.add_rows(validation)
    train.shuffle(random_state=SEED)
    np.random.seed(SEED)  # noqa: NPY002 (their forests draw from it)
    found = train_and_predict(model, best, train_dataset=train, prediction_dataset=data["test"],
                              early_stopping_dataset=stopping, **shared)  # fmt: skip
    model.chosen = best
    return pd.Series(found.predictions, index=pd.MultiIndex.from_arrays([found.cell_line_ids, found.drug_ids]))


def predicted(name: str, grid: list[dict], cohort: Cohort, split: Split, task: str) -> tuple[pd.DataFrame, list]:
    """Return predictions, test lines x drugs, and the hyperparameters chosen: once, or for each drug."""
    model = MODEL_FACTORY[name]()
    bits = folded(cohort.fingerprints, grid[0].get("n_bits", N_BITS))
    lines = features(genes_of(split, cohort.expression), "gene_expression")
    drugs = None if model.is_single_drug_model else features(bits, "fingerprints")
    pairs, found, chosen = roles(split, cohort.response), [], []
    each = [[drug] for drug in cohort.response] if drugs is None else [list(cohort.response)]
    for some in each:
        model = MODEL_FACTORY[name]()
        model.load_cell_line_features = lambda *_, **__: lines
        model.load_drug_features = lambda *_, **__: drugs
        part = {role: rows[rows["drug"].isin(some)] for role, rows in pairs.items()}
        found.append(fitted(model, grid, part, cohort.samples["tissue"], MODES[task]))
        chosen.append(model.chosen)
    return pd.concat(found).unstack().reindex(index=split.test, columns=cohort.response.columns), chosen


def run(names: Sequence[str], task: str, cohort: Cohort, splits: Sequence[Split], numbers: Sequence[int]) -> None:
    """Train what is not saved yet, and save predictions, and beside them what they took and the hyperparameters."""
    for split in splits:
        for name in names:
            grid, path = grid_of(name, numbers), path_of(task, cohort, split, name)
            about = {"cohort": cohort.hash, "split": split.name, "model": name, "grid": grid, "drevalpy": "1.6.0"}
            if is_done(path, about):
                continue
            start, started = time.process_time(), time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found, chosen = predicted(name, grid, cohort, split, task)
            took = {"core_seconds": time.process_time() - start, "seconds": time.perf_counter() - started}
            write_text(path.with_suffix(".json"), json.dumps(took | machine("cpu") | {"chosen": chosen}, indent=1))
            save_frame(found, path, about)
            print(f"{task} {split.name} {name}: {took['core_seconds']:.0f} core-seconds", flush=True)


def path_of(task: str, cohort: Cohort, split: Split, name: str) -> Path:
    folder = Layout("paper").results / "benchmarks" / "drevalpy" / f"{task}-{len(cohort.perturbations)}-drugs"
    return folder / slug(split.name) / f"{name}.parquet"


# ---- scores


def scores_of(task: str, cohort: Cohort, splits: Sequence[Split], whole: Cohort) -> pd.DataFrame:
    """Return the scores of all models that are there: model, split, about, perturbation ("" of all), metric, value.

    `whole` has all drugs: our predictions are of it, and so are the mean effects.
    """
    frames = []
    for split in splits:
        there, truth, samples = set(), cohort.response.loc[split.test], cohort.samples
        effects = MeanEffects().fit(samples.loc[split.train], whole.response.loc[split.train])
        effects = effects.predict(samples.loc[split.test])
        for name, about, prediction in predictions(task, cohort, split, whole):
            each = score(truth, prediction, cohort.label)
            above = normalised(truth, prediction.astype(np.float32), effects).assign(perturbation="")
            above = above[above["metric"] == "pearson"].assign(metric="normalised")
            found = pd.concat([each[each["metric"].isin(METRICS)], above])[COLUMNS]
            frames.append(found.assign(model=name, split=split.name, about=about))
            there.add(name)
        frames.append(from_reference(task, cohort, split, set(OURS) - there))
    return pd.concat(frames, ignore_index=True)


def predictions(task: str, cohort: Cohort, split: Split, whole: Cohort) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield name, what is to be said, and predictions of the controls, of ours, and of those of drevalpy's models."""
    samples = cohort.samples
    for name, control in CONTROLS.items():
        model = control().fit(samples.loc[split.train], whole.response.loc[split.train])
        yield name, "control", model.predict(samples.loc[split.test])
    for name, saved in OURS.items():
        path = Layout("paper").prediction(task, split.name, saved)
        if about_of(path).get("cohort") == whole.hash:
            yield name, "ours", load_frame(path)[cohort.response.columns]
    X = genes_of(split, cohort.expression)
    X = (X - X.loc[split.train].mean()) / X.loc[split.train].std()
    ridge = DualRidge().fit(X.loc[split.train], cohort.response.loc[split.train], split.folds)
    yield SAME_GENES, "ours", ridge.predict(X.loc[split.test])
    for path in sorted(path_of(task, cohort, split, "").parent.glob("*.parquet")):
        about = about_of(path)
        if about.get("cohort") == cohort.hash:
            yield path.stem, f"drevalpy, {len(about['grid'])} in the grid", load_frame(path)


def about_of(path: Path) -> dict[str, Any]:
    return (provenance(path) or {"configuration": {}})["configuration"]


def from_reference(task: str, cohort: Cohort, split: Split, names: set[str]) -> pd.DataFrame:
    """Return scores of ours from `data/reference/`, without normalised ones."""
    rows = lp.reference().scores.query("task == @task and split == @split.name and member <= 0 and test_set == -1")
    rows = rows[rows["model"].isin(names) & rows["metric"].isin(METRICS)]
    return rows[rows["perturbation"].isin(cohort.response.columns)][["model", "split", *COLUMNS]].assign(about="ours")


def table_of(task: str, scores: pd.DataFrame) -> pd.DataFrame:
    """Return one row a model: means over splits, with intervals, and how much less than the best of ours it is."""
    values = scores.groupby(["model", "metric", "split"], sort=False)["value"].mean()
    wide = {name: part.pivot(index="perturbation", columns="split", values="value")
            for name, part in scores[scores["metric"] == "spearman"].groupby("model", sort=False)}  # fmt: skip
    rows = []
    for name, about in scores.drop_duplicates("model")[["model", "about"]].itertuples(index=False):
        row = {"task": task, "model": name, "about": about, "splits": wide[name].shape[1], "drugs": len(wide[name])}
        for metric in METRICS:
            of_splits = values[name].get(metric, pd.Series(dtype=float)).to_numpy()
            row[metric] = of_splits.mean() if len(of_splits) else np.nan
            row[f"{metric}_low"], row[f"{metric}_high"] = interval(of_splits, ratio_of(task))
        if name != BEST:
            row |= {f"behind_{key}": value for key, value in paired_test(wide[BEST], wide[name]).items()}
            of_drugs = (wide[BEST] - wide[name]).mean(axis=1).dropna().to_numpy()
            row["behind_drugs_low"], row["behind_drugs_high"] = interval(of_drugs, 0.0)
        rows.append(row)
    return pd.DataFrame(rows)


def printed(table: pd.DataFrame) -> str:
    """Return the table as Markdown: the interval of the difference is over drugs."""
    rows = []
    for row in table.to_dict("records"):
        means = {metric: "" if np.isnan(row[metric]) else f"{row[metric]:.3f}" for metric in METRICS}
        less = "" if row["model"] == BEST else "{:+.3f} [{:+.3f}, {:+.3f}]".format(
            row["behind_difference"], row["behind_drugs_low"], row["behind_drugs_high"])  # fmt: skip
        won = "" if row["model"] == BEST else f"{row['behind_perturbations_won']:.0f} of {row['drugs']}"
        rows.append({key: str(row[key]) for key in ("task", "model", "about", "splits")} | means
                    | {f"{BEST} less it": less, f"drugs {BEST} wins": won})  # fmt: skip
    return markdown(rows, missing="")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="2a,4a")
    parser.add_argument("--splits", type=int, default=2, help="the first so many of each task; 0: all")
    parser.add_argument("--models", default="ElasticNet,SingleDrugElasticNet", help="drevalpy's names; may be empty")
    parser.add_argument("--grid", default="", help="only these points of the grid, such as 0,2; one: no tuning")
    parser.add_argument("--drugs", type=int, default=0, help="only so many drugs, drawn at random; 0: all")
    parser.add_argument("--csv", type=Path, help="where to save the table, with its intervals over splits")
    options = parser.parse_args()
    names = [name for name in options.models.split(",") if name]
    if names and not MODEL_FACTORY:
        print(f"drevalpy cannot be imported ({WHY}), so that none of its models is run: see the top of this script")
        names = []
    unknown = [name for name in names if name not in MODEL_FACTORY]
    if unknown:
        raise InputError(f"drevalpy has no model {unknown[0]!r}: choose from {', '.join(MODEL_FACTORY)}")
    tables = []
    for task in options.tasks.split(","):
        whole, splits = lp.cohort("paper", task), lp.splits("paper", task)[: options.splits or None]
        drugs = np.random.default_rng(SEED).permutation(whole.response.columns)[: options.drugs or None]
        cohort = whole.subset(perturbations=pd.Index(sorted(drugs)))
        run(names, task, cohort, splits, [int(number) for number in options.grid.split(",") if number])
        tables.append(table_of(task, scores_of(task, cohort, splits, whole)))
    table = pd.concat(tables, ignore_index=True)
    if options.csv:
        write_text(options.csv, table.to_csv(index=False))
    print(printed(table))


if __name__ == "__main__":
    main()
