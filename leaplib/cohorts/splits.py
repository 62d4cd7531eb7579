"""Splits: frozen, named, saved to disk, the same for every model and every rerun."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit

from leaplib.base.errors import InputError, first_line
from leaplib.base.layout import slug
from leaplib.base.store import load_frame, save_frame, sha256
from leaplib.cohorts.cohort import Cohort, check_unique
from leaplib.tasks import Task

N_FOLDS = 5
SEED = 0  # of holdouts, folds, left-out samples and shuffled labels
N_LEFT_OUT = 10
N_SUBSETS = 10  # of the xenografts
XENOGRAFTS = "PDX"
INNER = ", inner "  # between the name of a split and the number of a fold of its training set
SHARE = "share "  # behind INNER, and before the share of the training set that is left
OWN, OWN_COLUMNS = "own ", ["split", "sample", "part"]  # splits of a user's file: their names begin so; its columns
COLUMNS = ["split", "role", "sample", "number"]  # in the file


@dataclass(frozen=True)
class Split:
    """One division of samples into training and test set.

    Parameters
    ----------
    name : str
        "holdout-0" ..., the unseen tissue, or "PDX".
    train, test : Index
        Sample ids, disjoint.
    folds : Series
        Tuning fold (from 0) of each training sample.
    left_out : list of Index
        Challenges ii and iii: for each test set, the samples of the target that it leaves out (those
        that a few-shot model is fine-tuned on, withheld from all models). Empty: one test set, all of `test`.

    Raises
    ------
    InputError
        When a sample is on both sides, or the folds do not cover the training set.
    """

    name: str
    train: pd.Index
    test: pd.Index
    folds: pd.Series
    left_out: tuple[pd.Index, ...] = ()

    def __post_init__(self) -> None:
        both = self.train.intersection(self.test)
        if len(both):
            raise InputError(f"split {self.name!r}: sample {both[0]!r} is in training and test set")
        if not self.folds.index.equals(self.train):
            raise InputError(f"split {self.name!r}: the folds do not match the training samples")
        if not set(chain.from_iterable(self.left_out)) <= set(self.test):
            raise InputError(f"split {self.name!r}: a test set leaves out a sample that is not a test sample")

    def test_sets(self) -> list[pd.Index]:
        """Return the samples of each test set."""
        return [self.test.difference(held, sort=False) for held in self.left_out] or [self.test]


def random_folds(n_samples: int, seed: int) -> np.ndarray:
    """Return the tuning fold (0 to 4) of each of `n_samples` samples, at random."""
    if n_samples < N_FOLDS:
        raise InputError(f"{n_samples} training samples: at least {N_FOLDS} are needed for tuning")
    folds = np.empty(n_samples, dtype=int)
    for fold, (_, held) in enumerate(KFold(N_FOLDS, shuffle=True, random_state=seed).split(np.arange(n_samples))):
        folds[held] = fold
    return folds


def tuning_folds(samples: pd.Index, seed: int, groups: pd.Series | None = None) -> pd.Series:
    """Assign training samples to 5 tuning folds.

    Parameters
    ----------
    samples : Index
    seed : int
        Order of the samples in plain folds; grouped folds are balanced by size and need none.
    groups : Series, optional
        Group (tissue) of each sample; a group is never divided between folds. With fewer than 5
        groups there are as many folds as groups.

    Returns
    -------
    Series of int, by sample
    """
    if groups is None:
        return pd.Series(random_folds(len(samples), seed), index=samples, name="fold")
    labels = _groups_of(samples, groups)
    folds = pd.Series(-1, index=samples, name="fold")
    for fold, (_, held) in enumerate(GroupKFold(min(N_FOLDS, labels.nunique())).split(samples, groups=labels)):
        folds.iloc[held] = fold
    return folds


def tissue_folds(samples: pd.Index, tissue: pd.Series) -> pd.Series:
    """Assign training samples to one tuning fold a tissue (leave-one-tissue-out; paper, suppl. table 6).

    Parameters
    ----------
    samples : Index
    tissue : Series
        Tissue of each sample; further samples are ignored.

    Returns
    -------
    Series of int, by sample
        Folds are numbered in the order of the tissues' names.

    Raises
    ------
    InputError
        When a sample has no tissue, or all have the same.
    """
    folds = pd.factorize(_groups_of(samples, tissue), sort=True)[0]
    return pd.Series(folds, index=samples, name="fold")


def _groups_of(samples: pd.Index, groups: pd.Series) -> pd.Series:
    """Return the group of each sample; raise InputError where one has none, or all have the same."""
    if not isinstance(groups, pd.Series):
        raise InputError(f"groups: expected a Series by sample, got {type(groups).__name__}")
    check_unique(groups.index, "sample", "groups")
    labels = groups.reindex(samples)
    if labels.isna().any():
        raise InputError(f"sample {labels.index[labels.isna()][0]!r} has no group: every training sample needs one")
    if labels.nunique() < 2:
        raise InputError("grouped folds need at least 2 groups: leave `groups` out or give more")
    return labels


def holdouts(samples: pd.Index, n_splits: int, seed: int = SEED) -> list[Split]:
    """Random 80/20 holdouts by sample (challenge i)."""
    shuffle = ShuffleSplit(n_splits, test_size=0.2, random_state=seed)
    splits = []
    for number, (train, test) in enumerate(shuffle.split(samples)):
        ids = samples[np.sort(train)]
        splits.append(Split(f"holdout-{number}", ids, samples[np.sort(test)], tuning_folds(ids, seed + number)))
    return splits


def largest_tissues(samples: pd.DataFrame, n_tissues: int = 0, min_samples: int = 0) -> list[str]:
    """Return the tissues with most samples, largest first; ties go by name.

    Parameters
    ----------
    samples : DataFrame
        With the column tissue.
    n_tissues : int
        How many; 0: all.
    min_samples : int
        Samples that a tissue needs.
    """
    counts = samples["tissue"].value_counts().rename_axis("tissue").reset_index(name="n")
    counts = counts[counts["n"] >= min_samples].sort_values(["n", "tissue"], ascending=[False, True])
    return counts["tissue"].head(n_tissues or len(counts)).tolist()


def unseen_tissues(cohort: Cohort, tissues: Sequence[str], n_test_sets: int, seed: int = SEED) -> list[Split]:
    """Each tissue in turn as the test set, tuning folds grouped by tissue (challenge ii).

    Each split carries `n_test_sets` test sets that leave 10 random samples of the tissue out.
    """
    tissue_of = cohort.samples["tissue"]
    splits = []
    for number, tissue in enumerate(tissues):
        test = tissue_of.index[tissue_of == tissue]
        train = tissue_of.index[tissue_of != tissue]
        held = _left_out(test, n_test_sets, [seed, number], f"tissue {tissue!r}")
        splits.append(Split(tissue, train, test, tuning_folds(train, seed, tissue_of), held))
    return splits


def _left_out(test: pd.Index, n_test_sets: int, seed: Any, what: str) -> tuple[pd.Index, ...]:
    """Return the random samples that each test set leaves out."""
    if len(test) <= N_LEFT_OUT:
        raise InputError(f"{what}: {len(test)} test samples: more than {N_LEFT_OUT} are needed")
    rng = np.random.default_rng(seed)
    return tuple(test[np.sort(rng.choice(len(test), N_LEFT_OUT, replace=False))] for _ in range(n_test_sets))


def unseen_disease_model(cohort: Cohort, seed: int = SEED) -> Split:
    """All cell lines as the training set, all xenografts as the test set (challenge iii).

    The split carries 10 test sets, each without 10 random xenografts.
    """
    model = cohort.samples["disease_model"]
    train, test = model.index[model == "cell line"], model.index[model != "cell line"]
    held = _left_out(test, N_SUBSETS, seed, f"{cohort.name}: xenografts")
    return Split(XENOGRAFTS, train, test, tuning_folds(train, seed), held)


def make_splits(cohort: Cohort, task: Task, n_splits: int, n_test_sets: int, seed: int = SEED) -> list[Split]:
    """Return the splits that a task's design asks for."""
    if task.design == "holdout":
        return holdouts(cohort.expression.index, n_splits, seed)
    if task.design == "xenograft":
        return [unseen_disease_model(cohort, seed)]
    tissues = largest_tissues(cohort.samples, task.n_tissues, task.min_tissue)
    if not tissues:
        raise InputError(f"task {task.id}: no tissue has {task.min_tissue} samples")
    check_names(tissues)
    return unseen_tissues(cohort, tissues, n_test_sets, seed)


def inner_splits(split: Split, groups: pd.Series | None = None, n_inner: int | None = None) -> list[Split]:
    """Divide the training set of a split: each of its tuning folds in turn is the test set (nested cross-validation).

    Parameters
    ----------
    split : Split
    groups : Series, optional
        Tissue of each sample: new tuning folds are grouped by it, as those of the split are for unseen tissues.
    n_inner : int, optional
        Only the first so many folds; by default all.

    Returns
    -------
    list of Split
        With tuning folds of their own; the split's test samples are in none.
    """
    found = []
    for fold in sorted(split.folds.unique())[:n_inner]:
        held = (split.folds == fold).to_numpy()
        train = split.train[~held]
        folds = tuning_folds(train, SEED, groups)
        found.append(Split(f"{split.name}{INNER}{fold}", train, split.train[held], folds))
    return found


def thinned(split: Split, share: float, response: pd.DataFrame, groups: pd.Series | None = None) -> Split:
    """Leave a share of the training set of a split, at random; a smaller share lies within a larger one.

    The first few samples that were tested with a perturbation stay, one for each tuning fold, so that there is
    something to learn of all of them.

    Parameters
    ----------
    split : Split
    share : float
        Above 0, at most 1; of 1 the split itself is returned.
    response : DataFrame, samples x perturbations
    groups : Series, optional
        As in `inner_splits`.
    """
    if not 0 < share <= 1:
        raise InputError(f"a share of {share:g} of the training samples: use more than 0 and at most 1")
    if share == 1:
        return split
    order = np.random.default_rng(SEED).permutation(len(split.train))
    tested = response.loc[split.train].notna().to_numpy()[order]
    first = (tested & (tested.cumsum(axis=0) <= N_FOLDS)).any(axis=1)
    kept = (np.arange(len(order)) < round(share * len(order))) | first
    train = split.train[np.sort(order[kept])]
    return replace(split, name=f"{split.name}{INNER}{SHARE}{share:g}", train=train,
                   folds=tuning_folds(train, SEED, groups))  # fmt: skip


def read_splits(path: str | Path, cohort: Cohort, task: Task, n_test_sets: int) -> list[Split]:
    """Read splits of one's own from a CSV file (split, sample, part: train or test), and check them for leaks.

    Samples that are not in the cohort are left out with a warning. Tuning folds, and for unseen tissues the samples
    that a test set leaves out, are made as for the task's own splits. A split is called after the file and its
    content, "own FILE 1a2b3c4d, inner SPLIT", so that its results stand apart.

    Raises
    ------
    InputError
        Names file, split and sample: of a sample on both sides, a tissue on both sides of a split of unseen tissues,
        another part, too few samples, or another file.
    """
    if task.design == "xenograft":
        raise InputError(f"{path}: task {task.id} tests on xenografts: give splits for unseen lines or tissues")
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as CSV ({first_line(error)})") from error
    if rows.empty or not set(OWN_COLUMNS) <= set(rows):
        raise InputError(f"{path}: has no rows of the columns {', '.join(OWN_COLUMNS)}: these it needs")
    rows = rows[OWN_COLUMNS].drop_duplicates()
    others = rows[~rows["part"].isin(["train", "test"])]
    if len(others):
        split, sample, part = others.iloc[0]
        raise InputError(f"{path}: split {split!r}, sample {sample!r}: part {part!r} is neither 'train' nor 'test'")
    unknown = rows.loc[~rows["sample"].isin(cohort.samples.index), "sample"].unique()
    if len(unknown):
        warnings.warn(f"{path}: {len(unknown)} samples are not in task {task.id}, such as {unknown[0]!r}, and are left "
                      "out", RuntimeWarning, stacklevel=2)  # fmt: skip
    parts = {str(name): part for name, part in rows.groupby("split", sort=False)}
    check_names(list(parts), f"{path}: splits ")
    mark = f"{OWN}{Path(path).stem} {sha256(Path(path))[:8]}"
    return [_own_split(f"{path}: split {name!r}", f"{mark}{INNER}{name}", part, cohort, task, n_test_sets)
            for name, part in parts.items()]  # fmt: skip


def _own_split(at: str, name: str, rows: pd.DataFrame, cohort: Cohort, task: Task, n_test_sets: int) -> Split:
    """Return a split of a file, of samples of the cohort in its order; `at` is where errors are."""
    both = rows.loc[rows["sample"].duplicated(), "sample"]
    if len(both):
        raise InputError(f"{at}: sample {both.iloc[0]!r} is in training and test set: leave it in one of them")
    tissue = cohort.samples["tissue"]
    train, test = (tissue[tissue.index.isin(rows.loc[rows["part"] == part, "sample"])] for part in ("train", "test"))
    if len(train) < N_FOLDS or len(test) < 2:
        raise InputError(f"{at}: {len(train)} training and {len(test)} test samples are in task {task.id}: at least "
                         f"{N_FOLDS} and 2 are needed, with names such as {tissue.index[0]!r}")  # fmt: skip
    if task.design != "tissue":
        return Split(name, train.index, test.index, tuning_folds(train.index, SEED))
    divided = test[test.isin(train)]
    if len(divided):
        raise InputError(f"{at}: sample {divided.index[0]!r} is a test sample of tissue {divided.iloc[0]!r}, of which "
                         f"others are in the training set: task {task.id} is about unseen tissues")  # fmt: skip
    held = _left_out(test.index, n_test_sets, SEED, at)
    try:
        folds = tuning_folds(train.index, SEED, tissue)
    except InputError as error:  # of tissues that are not known, or but one
        raise InputError(f"{at}: {error}") from error
    return Split(name, train.index, test.index, folds, held)


def check_names(names: Sequence[str], where: str = "") -> None:
    """Raise an InputError where two names would share a file of results: the later run would overwrite the earlier."""
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(slug(name), name)
        if other != name:
            problem = f"{other!r} and {name!r} differ in case or punctuation alone, and would share their files"
            raise InputError(f"{where}{problem}: give both one name, or tell them apart by a letter or digit")


def save_splits(splits: Sequence[Split], path: str | Path, identity: Mapping[str, Any] | None = None) -> Path:
    """Write splits to one parquet file: rows (split, role, sample, number).

    `role` is train (number: tuning fold), test (0) or left_out (number: test set). `identity` says what they are
    of, for `leaplib.base.store.is_done`.
    """
    rows = []
    for split in splits:
        rows += [(split.name, "train", sample, fold) for sample, fold in split.folds.items()]
        rows += [(split.name, "test", sample, 0) for sample in split.test]
        rows += [(split.name, "left_out", sample, i) for i, held in enumerate(split.left_out) for sample in held]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return save_frame(frame, Path(path), identity or {})


def load_splits(path: str | Path) -> list[Split]:
    """Read the splits that `save_splits` wrote; a file that is damaged or holds something else is an InputError."""
    frame = load_frame(Path(path))
    if frame.columns.tolist() != COLUMNS:
        raise InputError(f"{path}: holds no splits: delete it, and the next run makes it again")
    return [_split(str(name), rows) for name, rows in frame.groupby("split", sort=False)]


def _split(name: str, rows: pd.DataFrame) -> Split:
    """Return the split that rows of the table describe."""
    roles = dict(list(rows.groupby("role")))
    train = roles["train"].set_index("sample")["number"].rename("fold").rename_axis(None)
    held = roles.get("left_out", rows.head(0)).groupby("number")["sample"]
    test = pd.Index(roles["test"]["sample"].to_list())
    return Split(name, train.index, test, train, tuple(pd.Index(part.to_list()) for _, part in held))
