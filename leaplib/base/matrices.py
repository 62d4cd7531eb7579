"""Tables of samples x genes as the transformers take them: checked, and with the genes of training in their order."""

from typing import Any

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError, first_line

LARGEST = 1e15  # no measurement comes near; sums of squares still fit single precision


def numeric(table: Any, what: str) -> np.ndarray:
    """Return a table as an array of float64, NaN where values are missing.

    Raises
    ------
    InputError
        When it holds text, dates or complex numbers, or its rows are of unequal lengths.
    """
    try:
        values = np.asarray(table)
        text = values.dtype.kind == "O" and any(isinstance(value, str) for value in values.flat)
        if text or values.dtype.kind in "cmMSU":
            raise TypeError(f"some are {'text' if text else values.dtype}")
        return values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{what}: expected a table of numbers ({first_line(error)}): leave other columns out"
        ) from error


def finite_matrix(X: pd.DataFrame | np.ndarray) -> np.ndarray:
    """Return X as a float32 matrix, samples x genes.

    Raises
    ------
    InputError
        If X is not a matrix of numbers, repeats a gene, or holds a missing or infinite value, whose sample and gene
        are named.
    """
    _refuse_repeats(X)
    values = numeric(X, "X")
    if values.ndim != 2 or values.size == 0:
        raise InputError(f"X must be a matrix, samples x genes, but has the shape {values.shape}")
    fits = np.abs(values) <= LARGEST
    if not fits.all():
        sample, gene = np.argwhere(~fits)[0]
        if isinstance(X, pd.DataFrame):
            sample, gene = X.index[sample], X.columns[gene]
        raise InputError(f"X has a missing or infinite value (sample {sample}, gene {gene}): drop or fill it")
    return values.astype(np.float32, order="C")


def _refuse_repeats(X: pd.DataFrame | np.ndarray) -> None:
    """Raise for a frame with two columns of one name."""
    if isinstance(X, pd.DataFrame) and X.columns.has_duplicates:
        raise InputError(f"X has the gene {X.columns[X.columns.duplicated()][0]!r} twice: drop one of the columns")


def in_order(X: pd.DataFrame | np.ndarray, model: Any) -> pd.DataFrame | np.ndarray:
    """Return X with the genes that the model was fitted on, in their order; other columns of a frame are left out.

    Raises
    ------
    InputError
        If genes are missing (they are named), or the number of columns is another.
    """
    name = type(model).__name__
    _refuse_repeats(X)
    if isinstance(X, pd.DataFrame) and hasattr(model, "feature_names_in_"):
        missing = [str(gene) for gene in model.feature_names_in_ if gene not in X.columns]
        if missing:
            raise InputError(f"{len(missing)} genes of the {name} are missing: {', '.join(missing[:10])}")
        return X.loc[:, list(model.feature_names_in_)]
    if np.ndim(X) == 2 and np.shape(X)[1] != model.n_features_in_:
        raise InputError(f"X has {np.shape(X)[1]} genes, the {name} was trained on {model.n_features_in_}")
    return X
