"""Random malformed tables for every estimator: an InputError of one line or finite predictions, never NaN."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy import sparse

from leaplib import DAMAE, LEAP
from leaplib.base.errors import InputError
from leaplib.models.naive import TissueMean, TrainingMean

from .test_saved import MODELS

pytestmark = pytest.mark.usefixtures("one_thread")
N, P, L = 14, 3, 2
SAMPLES, DRUGS = [f"line {i}" for i in range(N)], [f"drug {j}" for j in range(L)]
Spoiler = Callable[[pd.DataFrame], Any]
few = settings(max_examples=15, phases=[Phase.generate])


def put(value: object, row: int = 1, column: int = 1) -> Spoiler:
    """Put a value into one cell."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.copy() if isinstance(value, float) else frame.astype(object)
        frame.iloc[row, column] = value
        return frame

    return change


def fill(value: object) -> Spoiler:
    return lambda frame: frame.assign(**{str(frame.columns[1]): value})


def rows(frame: pd.DataFrame) -> np.ndarray:
    return np.indices(frame.shape)[0]


TABLES: dict[str, Spoiler] = {
    "sound": lambda f: f,
    "an array": lambda f: f.to_numpy(),
    "objects": lambda f: f.astype(object),
    "text of numbers": lambda f: f.astype(str),
    "truth values": lambda f: f > 0,
    "whole numbers": lambda f: (f * 9).round().astype(int),
    "NaN": put(np.nan),
    "NA": put(pd.NA),
    "infinite": put(np.inf),
    "1e300": put(1e300),
    "large": lambda f: f * 1e12,
    "text": put("high"),
    "a list in a cell": lambda f: f.astype(object).map(lambda value: [value]),
    "a column of dates": fill(pd.Timestamp("2020-03-01")),
    "a column of NaN": fill(np.nan),
    "constant": lambda f: f * 0 + 1,
    "a constant column": fill(7.0),
    "equal columns": lambda f: f.assign(**{str(f.columns[1]): f.iloc[:, 0]}),
    "complex": lambda f: f * 1j,
    "categories": lambda f: f.round().astype("category"),
    "no rows": lambda f: f.iloc[:0],
    "no columns": lambda f: f.iloc[:, :0],
    "nothing": lambda f: None,
    "a dictionary": lambda f: {"a": [1, 2]},
    "one row": lambda f: f.iloc[:1],
    "one column": lambda f: f.iloc[:, :1],
    "a Series": lambda f: f.iloc[:, 0],
    "three dimensions": lambda f: f.to_numpy()[None],
    "rows of unequal lengths": lambda f: [[1.0], [1.0, 2.0]] * (len(f) // 2),
    "transposed": lambda f: f.T,
    "sparse": lambda f: sparse.csr_array(f.to_numpy()),
    "turned": lambda f: f.iloc[::-1],
    "equal names of rows": lambda f: f.set_axis(["x"] * len(f)),
    "equal names of columns": lambda f: f.set_axis(["x"] * f.shape[1], axis=1),
    "mixed names of columns": lambda f: f.set_axis([7, *f.columns[1:]], axis=1),
    "two levels of columns": lambda f: f.set_axis(pd.MultiIndex.from_product([["a"], range(f.shape[1])]), axis=1),
}
LABELS: dict[str, Spoiler] = TABLES | {
    "nothing measured": lambda f: f * np.nan,
    "measured once": lambda f: f.mask(rows(f) != 5),
    "measured in one fold": lambda f: f.mask(rows(f) % 5 != 2),
    "measured in all folds but one": lambda f: f.mask(rows(f) % 5 == 2),
    "a perturbation measured once": lambda f: f.mask((np.indices(f.shape)[1] == 1) & (rows(f) > 0)),
}
VECTORS: dict[str, Callable[[np.ndarray], Any]] = {
    "sound": lambda v: v,
    "none": lambda v: None,
    "a list": lambda v: v.tolist(),
    "a Series": lambda v: pd.Series(v, index=SAMPLES),
    "too few": lambda v: v[:-1],
    "all equal": lambda v: v * 0,
    "all different": lambda v: np.arange(len(v)),
    "minus one": lambda v: v * 0 - 1,
    "with a gap": lambda v: v * 2,
    "fractions": lambda v: v + 0.5,
    "NaN": lambda v: np.where(v == 1, np.nan, v),
    "infinite": lambda v: np.where(v == 1, np.inf, v),
    "text": lambda v: v.astype(str),
    "two columns": lambda v: np.stack([v, v], axis=1),
    "dates": lambda v: pd.to_datetime(v, unit="D"),
}
FINGERPRINTS = {
    name: TABLES[name] for name in TABLES if name not in ("two levels of columns", "mixed names of columns")
}


def spoilt(spoilers: Mapping[str, Callable]) -> st.SearchStrategy[str]:
    """Draw a spoiler; sound more often than not, or hardly anything would get past the first check."""
    return st.just("sound") | st.just("sound") | st.sampled_from(list(spoilers))


def sound() -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray, np.ndarray, pd.DataFrame]:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(N, P)), index=SAMPLES, columns=["A", "B", "C"])
    Y = pd.DataFrame(rng.normal(size=(N, L)), index=SAMPLES, columns=DRUGS)
    return X, Y, np.arange(N) % 5, np.arange(N) % 2, pd.DataFrame(np.eye(L, 4), index=DRUGS, columns=list("abcd"))


def holds(action: Callable[[], Any]) -> None:
    """Expect finite values, or an InputError of one printable line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            values = np.asarray(action())
        except InputError as error:
            assert str(error) and str(error).isprintable()
            return
    assert values.dtype.kind == "f" and values.ndim == 2 and values.size and np.isfinite(values).all()


@pytest.mark.parametrize("name", MODELS)
def test_regressors(name: str) -> None:
    @few
    @given(spoilt(TABLES), spoilt(LABELS), spoilt(VECTORS), spoilt(VECTORS), spoilt(FINGERPRINTS), spoilt(TABLES))
    def run(x: str, y: str, fold: str, group: str, bits: str, new: str) -> None:
        X, Y, folds, groups, fingerprints = sound()
        parts = VECTORS[fold](folds), VECTORS[group](groups), FINGERPRINTS[bits](fingerprints)
        holds(lambda: MODELS[name]().fit(TABLES[x](X), LABELS[y](Y), *parts).predict(TABLES[new](X)))

    run()


@pytest.mark.parametrize("name", ["PS-KNN", "PS-LASSO", "PS-LGBM", "PS-RIDGE", "LEAP+"])
@pytest.mark.parametrize("part", ["X", "Y", "new", "folds"])
def test_every_spoiler_alone(name: str, part: str) -> None:
    """The cheap models on all of them, so that none depends on what is drawn."""
    X, Y, folds, groups, fingerprints = sound()
    for spoil in {"X": TABLES, "Y": LABELS, "new": TABLES, "folds": VECTORS}[part].values():
        table = spoil({"X": X, "Y": Y, "new": X, "folds": folds}[part])
        parts = {"X": X, "Y": Y, "new": X, "folds": folds, part: table}
        holds(lambda parts=parts: MODELS[name]().fit(parts["X"], parts["Y"], parts["folds"], groups, fingerprints)
              .predict(parts["new"]))  # fmt: skip


@few
@given(spoilt(TABLES), spoilt(LABELS), spoilt(VECTORS), st.booleans())
def test_means(x: str, y: str, tissue: str, named: bool) -> None:
    X, Y, _, groups, _ = sound()
    table, labels, tissues = TABLES[x](X), LABELS[y](Y), VECTORS[tissue](groups)
    if named and isinstance(table, pd.DataFrame) and np.shape(tissues) == (len(table),):
        table = table.assign(tissue=np.asarray(tissues))
    for model in (TrainingMean(), TissueMean()):
        holds(lambda model=model: model.fit(table, labels).predict(table))


@settings(few, max_examples=25)
@given(spoilt(TABLES), spoilt(LABELS), spoilt(TABLES), spoilt(VECTORS), spoilt(TABLES))
def test_leap(x: str, y: str, more: str, group: str, new: str) -> None:
    X, Y, _, groups, _ = sound()
    further = TABLES[more](X.rename(index=lambda name: f"new {name}"))
    tissues = VECTORS[group](groups)
    tissues = pd.Series(tissues, index=SAMPLES) if np.shape(tissues) == (N,) else tissues
    model = LEAP(1, 3, device="cpu", damae={"n_hidden": 3, "n_components": 2, "max_epochs": 2}, n_alphas=2)
    holds(lambda: model.fit(TABLES[x](X), LABELS[y](Y), further, tissues).predict(TABLES[new](X)))


@few
@given(spoilt(TABLES), spoilt(TABLES))
def test_damae(x: str, new: str) -> None:
    X = sound()[0]
    holds(lambda: DAMAE(3, 2, max_epochs=2, device="cpu").fit(TABLES[x](X)).transform(TABLES[new](X)))
