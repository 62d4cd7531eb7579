"""What the pan-perturbation models share: the representation of the perturbations."""

import numpy as np
from sklearn.decomposition import PCA

from leaplib.base.errors import InputError
from leaplib.models.base import Training


def require_fingerprints(data: Training, model: str) -> np.ndarray:
    """Return the fingerprints (L x bits); without them, an InputError that names the model."""
    if data.fingerprints is None:
        raise InputError(f"{model} needs fingerprints: give `fingerprints` (perturbations x bits) to `fit`")
    return data.fingerprints


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
