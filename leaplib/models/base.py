"""What all regressors share: checked input, frames in and frames out, and files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.utils.validation import check_is_fitted

from leaplib.base.errors import DAMAGE, InputError, first_line
from leaplib.base.matrices import LARGEST, numeric
from leaplib.base.store import atomic_path, key_of, sha256, write_text
from leaplib.cohorts.cohort import check_unique

AnEstimator = TypeVar("AnEstimator", bound=BaseEstimator)


def as_matrix(X: Any, what: str) -> np.ndarray:
    """Return a two-dimensional float array; missing or infinite values are an InputError naming the row."""
    values = numeric(X, what)
    if values.ndim != 2:
        raise InputError(f"{what}: {values.ndim} dimension(s): give a table of samples x features")
    if not values.size:
        raise InputError(f"{what}: a table of {values.shape[0]} x {values.shape[1]}: give at least one of either")
    bad = np.flatnonzero(~(np.abs(values) <= LARGEST).all(axis=1))
    if len(bad):
        row = X.index[bad[0]] if isinstance(X, pd.DataFrame) else int(bad[0])
        raise InputError(f"{what}: sample {row!r} has missing or infinite values: mend it or drop the sample")
    return values


def as_labels(Y: Any, n_samples: int) -> tuple[np.ndarray, pd.Index]:
    """Return labels as a float array (NaN: not measured) and the names of the perturbations.

    Raises
    ------
    InputError
        When the number of samples differs, a value is no number or infinite, or a perturbation is there twice or has
        no label at all.
    """
    values = numeric(Y, "labels")
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or not values.shape[1]:
        raise InputError(f"labels of shape {values.shape}: give a table of samples x perturbations")
    frame = Y if isinstance(Y, pd.DataFrame) else pd.DataFrame(values)
    check_unique(frame.columns, "perturbation", "labels")
    if len(values) != n_samples:
        raise InputError(
            f"{len(values)} rows of labels for {n_samples} samples: give one row a sample, in the same order"
        )
    infinite = np.abs(values) > LARGEST
    if infinite.any():
        row, column = np.argwhere(infinite)[0]
        where = f"perturbation {frame.columns[column]!r}: infinite label of sample {frame.index[row]!r}"
        raise InputError(f"{where}: mend it or make it missing (NaN)")
    empty = np.isnan(values).all(axis=0)
    if empty.any():
        raise InputError(f"perturbation {frame.columns[empty][0]!r} has no measured label: drop it")
    return values, frame.columns


def as_groups(groups: Any, n_samples: int) -> np.ndarray | None:
    """Return the group (tissue) of each sample as an array of strings, or None where there are none."""
    if groups is None:
        return None
    values = pd.Series(list(np.asarray(groups, dtype=object).reshape(np.shape(groups) or (1,))), dtype=object)
    if len(values) != n_samples or np.ndim(groups) != 1:
        raise InputError(f"{len(values)} groups for {n_samples} samples: give one a sample, in the same order")
    if values.isna().any():
        raise InputError(f"sample number {int(values.isna().argmax())} has no group: every training sample needs one")
    return values.astype(str).to_numpy()


def as_folds(folds: Any, n_samples: int) -> np.ndarray | None:
    """Return the tuning fold of each sample, or None where there are none.

    Raises
    ------
    InputError
        When there is not one whole number a sample, or the folds are not numbered from 0, at least two, without gaps.
    """
    if folds is None:
        return None
    values = numeric(folds, "tuning folds")
    if values.shape != (n_samples,) or not (values == np.rint(values)).all():
        raise InputError(f"tuning folds of shape {values.shape} for {n_samples} samples: give a whole number a sample")
    if values.min() < 0:
        raise InputError(f"tuning folds are numbered from 0, but one is {values.min():g}: number them anew")
    if not np.array_equal(np.unique(values), np.arange(max(2, values.max() + 1 if values.max() < n_samples else 0))):
        raise InputError("tuning folds: one without samples, or a single one: number two or more without gaps")
    return values.astype(int)


def as_fingerprints(fingerprints: Any, perturbations: pd.Index) -> np.ndarray | None:
    """Return the fingerprints of the perturbations, in their order; a missing one is an InputError."""
    if fingerprints is None:
        return None
    bits = numeric(fingerprints, "fingerprints")
    if bits.ndim != 2 or not bits.shape[1]:
        raise InputError(f"fingerprints of shape {bits.shape}: give a table of perturbations x bits")
    frame = pd.DataFrame(bits, index=fingerprints.index if isinstance(fingerprints, pd.DataFrame) else None)
    check_unique(frame.index, "perturbation", "fingerprints")
    absent = perturbations.difference(frame.index, sort=False)
    if len(absent):
        raise InputError(f"perturbation {absent[0]!r} has no fingerprint ({len(absent)} such): add it or drop it")
    values = frame.loc[perturbations].to_numpy(dtype=np.float64)
    bad = ~(np.abs(values) <= LARGEST).all(axis=1)
    if bad.any():
        raise InputError(f"perturbation {perturbations[bad][0]!r}: its fingerprint has missing values: mend or drop it")
    return values


def fingerprint_components(fingerprints: np.ndarray, n_components: int = 500) -> np.ndarray:
    """Return the principal components of the perturbations' fingerprints.

    Parameters
    ----------
    fingerprints : array, L x bits
    n_components : int
        Components wanted. There are no more than the centred fingerprints have dimensions, at most L - 1: what
        lies beyond is rounding, by which a tree could tell equal fingerprints apart.

    Returns
    -------
    array, L x c
        Of each component the bit that weighs most weighs positively, so that signs do not depend on the solver.
        Where all fingerprints are equal, one column of zeros.
    """
    bits = np.asarray(fingerprints, dtype=np.float64)
    rank = int(np.linalg.matrix_rank(bits - bits.mean(axis=0)))
    if rank == 0:
        return np.zeros((len(bits), 1))
    return PCA(min(n_components, rank), svd_solver="full").fit_transform(bits)


def patterns(measured: np.ndarray) -> np.ndarray:
    """Return a number for each column of a mask, from 0: equal where columns are."""
    return np.unique([column.tobytes() for column in measured.T], return_inverse=True)[1]


def seen(known: pd.Index, wanted: Sequence[Any] | None) -> pd.Index:
    """Return the perturbations that are asked for (None: all); one that is not known is an InputError."""
    if wanted is None:
        return known
    unknown = pd.Index(wanted).difference(known, sort=False)
    if len(unknown):
        raise InputError(
            f"perturbation {unknown[0]!r} was not among those that the model was fitted on ({len(unknown)} such): "
            "fit it with labels of this perturbation, or leave it out"
        )
    return pd.Index(wanted)


def rebuilt(cls: type[AnEstimator], name: str, parameters: Mapping[str, Any], folder: Path) -> AnEstimator:
    """Return a model as it was before it was fitted; an InputError where it is of another class or version."""
    if name != cls.__name__:
        raise InputError(f"{folder}: holds a {name}, not a {cls.__name__}: load it with its own class")
    try:
        return cls(**parameters)
    except TypeError as error:
        raise InputError(f"{folder}: saved by another version of leaplib ({error}): fit and save it again") from error


@dataclass(frozen=True)
class Training:
    """What a model is fitted on, as arrays.

    Parameters
    ----------
    X : array, n x p
    Y : array, n x L
        NaN where not measured.
    groups : array of str, n, optional
        Tissue of each sample.
    fingerprints : array, L x f, optional
        Raw fingerprint of each perturbation.
    """

    X: np.ndarray
    Y: np.ndarray
    groups: np.ndarray | None = None
    fingerprints: np.ndarray | None = None

    def rows(self, keep: np.ndarray) -> "Training":
        """Return some of the samples (mask or positions)."""
        groups = None if self.groups is None else self.groups[keep]
        return replace(self, X=self.X[keep], Y=self.Y[keep], groups=groups)

    def components(self, model: str, n_components: int) -> np.ndarray:
        """Return the principal components of the fingerprints; without any, an InputError that names the model."""
        if self.fingerprints is None:
            raise InputError(f"{model} needs fingerprints: give `fingerprints` (perturbations x bits) to `fit`")
        return fingerprint_components(self.fingerprints, n_components)

    def columns(self, part: slice) -> "Training":
        """Return some of the perturbations."""
        fingerprints = None if self.fingerprints is None else self.fingerprints[part]
        return replace(self, Y=self.Y[:, part], fingerprints=fingerprints)


def _checksum(folder: Path, meta: Mapping[str, Any]) -> str:
    """Return the checksum of a saved model: of its description and its arrays."""
    return key_of({**meta, "arrays": sha256(folder / "model.safetensors")})


class Regressor(BaseEstimator):
    """A model of all perturbations.

    Subclasses give `_fit(data, folds)` and `_predict(X)` on arrays, and `_arrays()` and `_restore(arrays)`
    for `save` and `load`. Whatever a model does not need of what `fit` is given it leaves alone, so that
    all models are called alike.
    """

    def fit(self, X: Any, Y: Any, folds: Any = None, groups: Any = None, fingerprints: Any = None) -> "Regressor":
        """Fit all perturbations.

        Parameters
        ----------
        X : DataFrame or array, samples x features
            Finite.
        Y : DataFrame or array, samples x perturbations
            NaN where not measured; rows as in X.
        folds : Series or array of int, optional
            Tuning fold of each sample (0 to K - 1), for models that tune; by default five random folds.
        groups : Series or array, optional
            Tissue of each sample, for models that learn from tissues (PS-TCRP).
        fingerprints : DataFrame or array, perturbations x bits, optional
            For pan-perturbation models; a frame may list further perturbations, in any order.

        Raises
        ------
        InputError
            When the tables do not fit each other or hold values that cannot be used.
        """
        values = as_matrix(X, "features")
        if isinstance(X, pd.DataFrame) and isinstance(Y, pd.DataFrame) and not X.index.equals(Y.index):
            raise InputError("features and labels list different samples: align their rows first")
        labels, self.perturbations_ = as_labels(Y, len(values))
        self.n_features_in_ = values.shape[1]
        bits = as_fingerprints(fingerprints, self.perturbations_)
        data = Training(values, labels, as_groups(groups, len(values)), bits)
        self._fit(data, as_folds(folds, len(values)))
        return self

    def predict(self, X: Any, perturbations: Sequence[Any] | None = None) -> pd.DataFrame:
        """Return predictions, samples x perturbations.

        Parameters
        ----------
        X : DataFrame or array, samples x features
        perturbations : sequence, optional
            Some of those that the model was fitted on; by default all.

        Raises
        ------
        InputError
            For a perturbation that the model has not seen, or features that it cannot take.
        """
        check_is_fitted(self)
        columns = seen(self.perturbations_, perturbations)
        values = self._values(X)
        index = X.index if isinstance(X, pd.DataFrame) else None
        found = pd.DataFrame(self._predict(values), index=index, columns=self.perturbations_)
        found = found if perturbations is None else found[columns]
        if not np.isfinite(found.to_numpy()).all():
            raise InputError("predictions are not finite: bring features and labels to mean 0 and SD 1, and fit again")
        return found

    def _values(self, X: Any) -> np.ndarray:
        """Return features as an array with the columns that the model was fitted on."""
        values = as_matrix(X, "features")
        if values.shape[1] != self.n_features_in_:
            raise InputError(f"features: {values.shape[1]} columns, but the model was fitted on {self.n_features_in_}")
        return values

    def save(self, folder: str | Path) -> Path:
        """Write the fitted model: `model.safetensors` and, last, `model.json`; no pickle."""
        check_is_fitted(self)
        folder = Path(folder)
        with atomic_path(folder / "model.safetensors") as temporary:
            temporary.write_bytes(save({name: np.ascontiguousarray(a) for name, a in self._arrays().items()}))
        meta = {"model": type(self).__name__, "parameters": self.get_params(), "n_features": self.n_features_in_,
                "perturbations": self.perturbations_.tolist()}  # fmt: skip
        write_text(folder / "model.json", json.dumps(meta | {"checksum": _checksum(folder, meta)}, indent=1))
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> "Regressor":
        """Read a model of this class that `save` wrote; predictions are equal to the bit.

        Raises
        ------
        InputError
            When a file is missing, damaged or changed, or the model is of another class.
        """
        folder = Path(folder)
        try:
            meta = json.loads((folder / "model.json").read_text(encoding="utf-8"))
            recorded, name = meta.pop("checksum"), meta["model"]
            arrays = load_file(folder / "model.safetensors")
            whole = recorded == _checksum(folder, meta)
        except (*DAMAGE, SafetensorError) as error:
            raise InputError(f"{folder}: not a saved model ({first_line(error)}): save it again") from error
        if not whole:
            raise InputError(f"{folder}: its files do not belong together, or one was changed: save the model again")
        model = rebuilt(cls, name, meta["parameters"], folder)
        model.n_features_in_, model.perturbations_ = meta["n_features"], pd.Index(meta["perturbations"])
        model._restore(arrays)
        return model

    def work(self, n_train: int, n_pairs: int, n_test: int, n_perturbations: int) -> float:
        """Return how much a fit and its predictions take, in millions of a unit of the model's own.

        Parameters
        ----------
        n_train, n_test, n_perturbations : int
            Training samples, test samples and perturbations.
        n_pairs : int
            Measured (sample, perturbation) pairs of the training set.
        """
        raise NotImplementedError

    def _fit(self, data: Training, folds: np.ndarray | None) -> None:
        raise NotImplementedError

    def _predict(self, X: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _arrays(self) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def _restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        raise NotImplementedError


def average(predictions: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the unweighted mean of prediction frames (samples x perturbations) with the same labels."""
    first = predictions[0]
    total = np.zeros(first.shape)
    for frame in predictions:  # one after the other: np.mean would hold all of them once more
        if not (frame.index.equals(first.index) and frame.columns.equals(first.columns)):
            raise InputError("predictions to average differ in their samples or perturbations")
        total += frame.to_numpy(dtype=np.float64)
    total /= len(predictions)
    return pd.DataFrame(total, index=first.index, columns=first.columns, copy=False)
