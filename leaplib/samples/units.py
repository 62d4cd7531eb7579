"""Units of a user's expression: recognised by the values, and brought to a log scale."""

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError

USER_UNITS = ("auto", "counts", "tpm", "log", "z-score")
LOG_LIMIT = 40.0  # log2 of more than a million million: no log scale reaches it
NAMES = {"counts": "counts", "tpm": "TPM", "log": "log2(TPM+1)", "z-score": "z-scores"}


def detect_units(expression: pd.DataFrame, where: str) -> str:
    """Tell what a table of expression holds.

    Negative values with samples of mean about 0 and SD about 1 are z-scores; values of more than 40 are linear,
    counts where all are whole numbers and TPM otherwise; else they are log2(TPM+1).

    Parameters
    ----------
    expression : DataFrame, samples x genes
        NaN where missing.
    where : str
        File to name in messages.

    Returns
    -------
    {"counts", "tpm", "log", "z-score"}

    Raises
    ------
    InputError
        Where the values fit none of them, and should be declared.
    """
    values = expression.to_numpy()
    whole = bool((values == np.round(values))[~np.isnan(values)].all())
    if np.nanmin(values) < 0:
        mean, sd = np.nanmean(values, axis=1), np.nanstd(values, axis=1)
        if np.median(np.abs(mean)) < 0.5 and 0.5 < np.median(sd) < 2:
            return "z-score"
        raise InputError(
            f"{where}: negative values, and no z-scores of samples: give log2(TPM+1), or declare the units"
        )
    if np.nanmax(values) > LOG_LIMIT:
        return "counts" if whole else "tpm"
    if whole:
        raise InputError(f"{where}: small whole numbers may be counts or rounded logarithms: declare the units")
    return "log"


def to_log(expression: pd.DataFrame, units: str, where: str) -> pd.DataFrame:
    """Return expression as log2(TPM+1); z-scores stay as they are.

    Counts become log2(CPM+1), counts per million of the sample's total: without the lengths of the genes there are
    no TPM.

    Parameters
    ----------
    expression : DataFrame, samples x genes
    units : {"counts", "tpm", "log", "z-score"}
    where : str
        File to name in messages.

    Raises
    ------
    InputError
        When values cannot be in these units; names the sample.
    """
    if units == "z-score":
        return expression
    negative = (expression < 0).any(axis=1)
    if negative.any():
        raise InputError(f"{where}: sample {expression.index[negative][0]!r} has negative values, which {NAMES[units]} "
                         "never are: declare other units")  # fmt: skip
    if units == "log":
        return _checked_log(expression, where)
    if units == "tpm":
        return pd.DataFrame(np.log2(expression + 1))
    total = expression.sum(axis=1)
    if (total <= 0).any():
        raise InputError(f"{where}: sample {expression.index[total <= 0][0]!r} has no counts: drop it")
    return pd.DataFrame(np.log2(expression.div(total, axis=0) * 1e6 + 1))


def _checked_log(expression: pd.DataFrame, where: str) -> pd.DataFrame:
    high = (expression > LOG_LIMIT).any(axis=1)
    if high.any():
        raise InputError(f"{where}: sample {expression.index[high][0]!r} has values above {LOG_LIMIT:g}, too much for "
                         "a log scale: declare counts or tpm")  # fmt: skip
    return expression
