"""Spearman, Pearson, mean squared error and AUROC of responders over samples x perturbations, with missing labels.

A pair counts where the truth is measured (not NaN). Degenerate cases are decided here, once for all:

- A constant prediction scores 0 (Spearman, Pearson): it orders nothing.
- A constant truth, and so one with fewer than two measured samples, has no correlation: NaN, which the means
  over perturbations leave out. The mean squared error is NaN only where nothing is measured.
- Constant means that the measured values span at most 16 rounding errors of the largest of them, in the
  precision that they came in: what rounding adds to a constant is not an order.
- A prediction that is NaN or infinite where the truth is measured is a failure of the model, hence an error.
- Ties share the mean of their ranks.
- Responders are the best tenth of a perturbation's measured samples by truth, rounded up, and all that tie with the
  last of them. With fewer than two responders, or fewer others than responders, their AUROC is NaN; that of a constant
  prediction is 0.5. Which end is the best follows from the label (`LOW_RESPONDS`).
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError

ROUNDING_ERRORS = 16
BLOCK = 2**15  # values worked on at once
RESPONDERS, MIN_RESPONDERS = 10, 2  # one in so many responds; fewer than so many are no group
LOW_RESPONDS = ("AUC", "gene effect")
"""Labels that are low where a sample responds; all others (AAC, 1 - AUC, gene dependency) are high there."""


def spearman(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of each perturbation.

    Parameters
    ----------
    truth : array, (..., n, L)
        n samples x L perturbations, NaN where not measured.
    prediction : array, (..., n, L)
        Leading dimensions (grid points, test sets) are broadcast between the two.

    Returns
    -------
    array of float64, (..., L)
        In [-1, 1]; 0 for a constant prediction, NaN for a constant or missing truth.

    Raises
    ------
    InputError
        If shapes do not fit, the truth is infinite, or a prediction of a measured pair is not finite.
    """
    return _by_blocks(truth, prediction, _centred_ranks, _centred_ranks, _cosine)


def pearson(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each perturbation; arguments, result and errors as in `spearman`."""
    return _by_blocks(truth, prediction, _centred, _centred, _cosine)


def auroc(truth: np.ndarray, prediction: np.ndarray, low_responds: bool = False) -> np.ndarray:
    """Area under the ROC curve of each perturbation: how well predictions tell its responders from other samples.

    Arguments and errors as in `spearman`; `low_responds` where low labels are responses.

    Returns
    -------
    array of float64, (..., L)
        In [0, 1]; 0.5 for a constant prediction, NaN where responders are too few or too many (see above).
    """
    if low_responds:
        truth, prediction = -np.asarray(truth, dtype=float), -np.asarray(prediction, dtype=float)
    return _by_blocks(truth, prediction, _responders, _centred_ranks, _area)


def mse(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Mean squared error of each perturbation, in squared units of the label.

    Arguments and errors as in `spearman`; NaN where nothing is measured.
    """
    truth, prediction = _checked(truth, prediction)
    squares = np.square(np.subtract(prediction, truth, dtype=np.float64))
    n = (~np.isnan(truth)).sum(-2)
    return np.where(n, np.fmax(squares, 0).sum(-2) / np.maximum(n, 1), np.nan)  # fmax: NaN counts as 0


METRICS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "spearman": spearman, "pearson": pearson, "mse": mse, "auroc": auroc}  # fmt: skip
OVERALL = ("spearman", "pearson", "mse")
"""Metrics that are also taken over all pairs at once; responders are those of one perturbation."""


def metrics_of(label: str) -> dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]:
    """Return `METRICS` for a label (`leaplib.tasks.Task.label`)."""
    return METRICS | ({"auroc": partial(auroc, low_responds=True)} if label in LOW_RESPONDS else {})


def overall(truth: pd.DataFrame | np.ndarray, prediction: pd.DataFrame | np.ndarray) -> dict[str, float]:
    """Return the metrics over all measured pairs at once (`OVERALL`).

    Parameters
    ----------
    truth, prediction : DataFrame or array, n x L
        Rows and columns of frames are matched by name.
    """
    truth, prediction = _aligned(truth, prediction)
    measured = ~np.isnan(truth)
    pairs = truth[measured][:, None], prediction[measured][:, None]
    return {name: float(METRICS[name](*pairs)[0]) for name in OVERALL}


def normalised(truth: pd.DataFrame, prediction: pd.DataFrame, effects: pd.DataFrame) -> pd.DataFrame:
    """Return the correlations over all measured pairs of what truth and prediction have above the mean effects.

    What tells perturbations and lines apart on average counts for nothing: a prediction that equals the mean effects
    scores 0, rounding aside (DrEval, Nature Communications 17:4238, 2026).

    Parameters
    ----------
    truth, prediction, effects : DataFrame, samples x perturbations
        Matched by name; the last two may hold more. `effects`: as `leaplib.models.naive.MeanEffects` predicts.

    Returns
    -------
    DataFrame
        metric (spearman and pearson), value.
    """
    effects, prediction = effects.loc[truth.index, truth.columns], prediction.loc[truth.index, truth.columns]
    rounding = ROUNDING_ERRORS * np.finfo(prediction.to_numpy().dtype).eps * effects.abs()
    above = prediction - effects
    found = overall(truth - effects, above.where(above.abs() > rounding, 0.0))
    return pd.DataFrame([(name, found[name]) for name in ("spearman", "pearson")], columns=["metric", "value"])


def score(truth: pd.DataFrame, prediction: pd.DataFrame, label: str = "AAC") -> pd.DataFrame:
    """Return the metrics of each perturbation as a tidy frame.

    Parameters
    ----------
    truth, prediction : DataFrame, samples x perturbations
        Matched by name; the prediction may hold more rows and columns than the truth.
    label : str
        What the truth is: it tells which samples respond.

    Returns
    -------
    DataFrame
        Columns perturbation, metric, value and n (measured samples).

    Raises
    ------
    InputError
        If the prediction lacks samples or perturbations of the truth, or as in `spearman`.
    """
    values, predicted = _aligned(truth, prediction)
    n = (~np.isnan(values)).sum(0)
    frames = []
    for name, metric in metrics_of(label).items():
        columns = {"perturbation": truth.columns, "metric": name, "value": metric(values, predicted), "n": n}
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def _aligned(truth: pd.DataFrame | np.ndarray,
             prediction: pd.DataFrame | np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return both as arrays, the prediction's rows and columns in the truth's order."""
    if isinstance(truth, pd.DataFrame) and isinstance(prediction, pd.DataFrame):
        for what, wanted, given in (("samples", truth.index, prediction.index),
                                    ("perturbations", truth.columns, prediction.columns)):  # fmt: skip
            if not (wanted.is_unique and given.is_unique):
                raise InputError(f"{what} occur twice: names must be unique in truth and prediction")
            missing = wanted.difference(given)
            if len(missing):
                names = ", ".join(map(str, missing[:5]))
                raise InputError(f"the prediction lacks {len(missing)} {what}: {names}")
        prediction = prediction.reindex(index=truth.index, columns=truth.columns)
    return _checked(np.asarray(truth), np.asarray(prediction))


def _checked(truth: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as floating-point arrays that fit each other and hold what they should."""
    truth, prediction = (values if values.dtype.kind == "f" else values.astype(np.float64)
                         for values in (np.asarray(truth), np.asarray(prediction)))  # fmt: skip
    if truth.ndim < 2 or prediction.ndim < 2 or truth.shape[-2:] != prediction.shape[-2:]:
        raise InputError(f"truth {truth.shape} and prediction {prediction.shape} must both be (..., samples, "
                         "perturbations) of the same size")  # fmt: skip
    try:
        np.broadcast_shapes(truth.shape, prediction.shape)
    except ValueError:
        raise InputError(f"leading dimensions of {truth.shape} and {prediction.shape} do not fit") from None
    if np.isinf(truth).any():
        raise InputError("the truth has infinite values: NaN stands for a missing label")
    if (~np.isfinite(prediction) & ~np.isnan(truth)).any():
        raise InputError("the prediction is NaN or infinite where a label was measured: the model has failed")
    return truth, prediction


def _by_blocks(truth: np.ndarray, prediction: np.ndarray, of_truth: Callable, of_prediction: Callable,
               joined: Callable) -> np.ndarray:  # fmt: skip
    """Join what is made of truth and prediction, in blocks of perturbations that fit the cache."""
    truth, prediction = _checked(truth, prediction)
    precisions = np.finfo(truth.dtype).eps, np.finfo(prediction.dtype).eps
    truth = truth.astype(np.float64)
    lead = np.broadcast_shapes(truth.shape[:-2], prediction.shape[:-2])
    result = np.empty((*lead, truth.shape[-1]))
    truths = np.broadcast_to(truth, (*lead, *truth.shape[-2:]))
    predictions = np.broadcast_to(prediction, (*lead, *prediction.shape[-2:]))
    width = max(1, BLOCK // max(1, truth.shape[-2]))
    for start in range(0, truth.shape[-1], width):
        part = slice(start, start + width)
        shared = of_truth(truth[:, part], precisions[0]) if truth.ndim == 2 else None
        for index in np.ndindex(lead):
            known, predicted = truths[index][:, part], predictions[index][:, part]
            one = shared or of_truth(known, precisions[0])
            other = of_prediction(predicted + 0 * known, precisions[1])  # NaN where the truth is
            result[index][part] = joined(*one, *other)
    return result


def _cosine(truth: np.ndarray, constant_truth: np.ndarray, prediction: np.ndarray,
            constant: np.ndarray) -> np.ndarray:  # fmt: skip
    """Return the cosine of each column of two centred matrices, and the degenerate cases as decided."""
    truths, predictions = (np.einsum("nl,nl->l", side, side) for side in (truth, prediction))
    size = np.sqrt(truths) * np.sqrt(predictions)
    cosine = np.einsum("nl,nl->l", truth, prediction) / np.where(constant | constant_truth, 1, size)
    return np.where(constant_truth, np.nan, np.where(constant, 0, cosine.clip(-1, 1)))


def _area(chosen: np.ndarray, pairs: np.ndarray, ranks: np.ndarray, constant: np.ndarray) -> np.ndarray:
    """Return the AUROC of each column: one half, and by how much responders rank above others."""
    above = np.einsum("nl,nl->l", chosen, ranks) / np.where(pairs, pairs, 1)  # sums of halves are exact in any order
    return np.where(pairs == 0, np.nan, np.where(constant, 0.5, 0.5 + above))


def _responders(values: np.ndarray, precision: float) -> tuple[np.ndarray, np.ndarray]:
    """Return 1 where a sample responds, else 0, and the pairs of responders and others; 0 where there are no groups."""
    n, ordered = (~np.isnan(values)).sum(0), np.sort(values, axis=0)  # NaN comes last
    low, cut, high = (np.take_along_axis(ordered, np.maximum(place, 0)[None], 0)[0]
                      for place in (0 * n, n - -(-n // RESPONDERS), n - 1))  # fmt: skip
    chosen = values >= cut
    responders = chosen.sum(0)
    too_few = (responders < MIN_RESPONDERS) | (n - responders < responders)
    return chosen.astype(float), np.where(too_few | _constant(low, high, precision), 0, responders * (n - responders))


def _centred(values: np.ndarray, precision: float) -> tuple[np.ndarray, np.ndarray]:
    """Return values less their mean, 0 where NaN, and which perturbations are constant."""
    measured = ~np.isnan(values)
    low = np.fmin.reduce(values, axis=0, initial=np.inf)
    high = np.fmax.reduce(values, axis=0, initial=-np.inf)
    constant = _constant(low, high, precision)
    filled = np.where(measured, values, 0)
    mean = filled.sum(0) / np.maximum(measured.sum(0), 1)
    unit = 1 / np.where(constant, 1, high - low)  # so that squares neither overflow nor vanish
    return (filled - mean) * unit * measured, constant


def _centred_ranks(values: np.ndarray, precision: float) -> tuple[np.ndarray, np.ndarray]:
    """Return mean ranks less their mean, 0 where values are NaN, and which perturbations are constant."""
    rows = np.fmin(np.ascontiguousarray(values.T), np.inf)  # inf for NaN: it comes last too, but sorts faster
    measured = rows < np.inf
    n_perturbations, n_samples = rows.shape
    n_measured, starts = measured.sum(1), n_samples * np.arange(n_perturbations)
    order = rows.argsort(axis=1) + starts[:, None]
    ordered = rows.ravel()[order]
    begins = np.ones(ordered.shape, dtype=bool)  # the first of a group of ties
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.flatnonzero(begins)
    sizes = np.diff(first, append=begins.size)
    ranks = np.empty(begins.size)
    ranks[order.ravel()] = np.repeat(first + (sizes - 1) / 2, sizes)
    centred = ranks.reshape(ordered.shape) - (starts + (n_measured - 1) / 2)[:, None]
    low, high = ordered[:, 0], ordered.ravel()[starts + np.maximum(n_measured, 1) - 1]
    return (centred * measured).T, _constant(low, high, precision)


def _constant(low: np.ndarray, high: np.ndarray, precision: float) -> np.ndarray:
    """Tell which ranges are empty (infinite or NaN) or hold rounding only."""
    with np.errstate(invalid="ignore"):
        return ~(high - low > ROUNDING_ERRORS * precision * np.maximum(abs(low), abs(high)))
