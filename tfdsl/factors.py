"""Spectral factors of interactions, turned so that each row has few large coordinates."""

import math
from typing import Any

import numpy as np
import scipy

ROTATIONS = ("varimax", "none")
_MOST_ROWS = 24_000  # that a rotation is found by: more change it little, and cost more
_MOST_TURNS = 30
_REVISION = 1  # one more where factors become others: kept ones are not taken then

Factors = tuple[np.ndarray, np.ndarray]


def spectral_factors(
    interactions: Any, width: int, rotation: str, seed: int, cache: str | None = None
) -> Factors:
    """Returns factors of users and of items, float32 [users, width] and [items, width].

    Args:
        interactions: CSR [users, items]; a stored entry is an interaction, whatever its value.
        width: how many coordinates.
        rotation: one of `ROTATIONS`.
        seed: of the randomised SVD.
        cache: a folder in which joblib keeps what was made, or None.

    Raises:
        ImportError: there is no scikit-learn.
    """
    try:
        import joblib  # which comes with scikit-learn
        import sklearn
    except ImportError as error:
        raise ImportError(
            'Spectral needs scikit-learn: pip install "tfdsl[spectral]".', name=error.name
        ) from error
    parts = interactions.indices, interactions.indptr, tuple(interactions.shape)
    # joblib sees neither what `_turned` calls nor what it is made with.
    by = _REVISION, np.__version__, scipy.__version__, sklearn.__version__
    turned = joblib.Memory(cache, verbose=0).cache(_turned)
    found: Factors = turned(*parts, width, rotation, seed, by)
    return found


def _turned(
    indices: np.ndarray,
    indptr: np.ndarray,
    shape: tuple[int, int],
    width: int,
    rotation: str,
    seed: int,
    by: tuple[Any, ...],
) -> Factors:
    del by  # tells kept factors apart
    left, right = _singular_vectors(indices, indptr, shape, width, seed)
    both = np.concatenate([left, right])
    if rotation == "varimax":
        rows = unit_rows(both)[:: math.ceil(len(both) / _MOST_ROWS)]
        # In half the time of float64.
        both = both @ varimax(rows.astype(np.float32))
    both = both.astype(np.float32)
    return both[: len(left)], both[len(left) :]


def varimax(rows: np.ndarray) -> np.ndarray:
    """Returns the rotation [width, width] of rows [n, width] that makes their entries uneven.

    It maximises the sum over columns of the variance of squared entries, by a fixed point's
    iteration: the rotation nearest to the criterion's gradient, again and again.
    """
    rotation, before = np.eye(rows.shape[1], dtype=rows.dtype), 0.0
    for _ in range(_MOST_TURNS):
        turned = rows @ rotation
        gradient = rows.T @ (turned**3 - turned * (turned**2).mean(axis=0))
        left, sizes, right = np.linalg.svd(gradient)
        rotation, criterion = left @ right, float(sizes.sum())
        if criterion < before * (1 + 1e-5):
            break
        before = criterion
    return rotation


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Returns rows of length 1, but for those of zeros."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _singular_vectors(
    indices: np.ndarray, indptr: np.ndarray, shape: tuple[int, int], width: int, seed: int
) -> Factors:
    """Returns the leading singular vectors of normalised interactions, filled up with zeros."""
    from scipy import sparse
    from sklearn.utils.extmath import randomized_svd

    matrix = sparse.csr_array((np.ones(len(indices)), indices, indptr), shape)
    by_user, by_item = (np.maximum(matrix.sum(axis=axis), 1) ** -0.5 for axis in (1, 0))
    normalised = sparse.diags_array(by_user) @ matrix @ sparse.diags_array(by_item)
    rank = min(width, *shape)
    left, sizes, right = randomized_svd(normalised, rank, random_state=seed)
    there = sizes > 1e-6  # of at most 1; vectors of none are noise
    left, right = left * there, right * there[:, None]
    missing = [(0, 0), (0, width - rank)]
    return np.pad(left, missing), np.pad(right.T, missing)
