"""What pan-perturbation models share: principal components of fingerprints in place of thousands of bits."""

import numpy as np
from sklearn.decomposition import PCA

from leaplib.errors import InputError
from leaplib.regressors.base import Training


def require_fingerprints(data: Training, model: str) -> np.ndarray:
    """Return the fingerprints (L x bits); without them, an InputError that names the model."""
    if data.fingerprints is None:
        raise InputError(f"{model} needs fingerprints: give `fingerprints` (perturbations x bits) to `fit`")
    return data.fingerprints


def fingerprint_components(fingerprints: np.ndarray, n_components: int = 500) -> np.ndarray:
    """Return the principal components of fingerprints.

    Parameters
    ----------
    fingerprints : array, L x bits
    n_components : int
        At most; there are no more than L - 1, nor than bits.

    Returns
    -------
    array, L x c
        Largest variance first, centred; signs are fixed, so that the same input gives the same output.
    """
    n, bits = fingerprints.shape
    if n < 2:
        raise InputError(f"{n} perturbation(s): fingerprints tell perturbations apart only where there are two")
    pca = PCA(min(n_components, n - 1, bits), svd_solver="full")
    return pca.fit_transform(np.asarray(fingerprints, dtype=np.float64))
