"""Spectral factors of interactions, turned so that each row has few large coordinates."""

import hashlib
import math
import os
import pathlib
import tempfile
import warnings
import zipfile
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
        cache: a folder in which what was made is kept, or None.

    Raises:
        ImportError: there is no scikit-learn.
    """
    try:
        import sklearn
    except ImportError as error:
        raise ImportError(
            'Spectral needs scikit-learn: pip install "tfdsl[spectral]".', name=error.name
        ) from error
    if cache is None:
        return _turned(interactions, width, rotation, seed)
    made_with = _REVISION, np.__version__, scipy.__version__, sklearn.__version__
    of = repr((made_with, interactions.shape, width, rotation, seed))
    digest = hashlib.sha256(of.encode())
    for part in (interactions.indptr, interactions.indices):
        digest.update(np.asarray(part, np.int64).tobytes())
    path = pathlib.Path(cache) / f"{digest.hexdigest()}.npz"
    found = _kept(path, tuple((n, width) for n in interactions.shape))
    if found is None:
        found = _turned(interactions, width, rotation, seed)
        _keep(path, found)
    return found


def _kept(path: pathlib.Path, shapes: tuple[tuple[int, int], ...]) -> Factors | None:
    """Returns what a file has; None where there is none, or one that is damaged."""
    try:
        with path.open("rb") as file, np.load(file) as found:
            users, items = found["users"], found["items"]
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    fits = (users.shape, items.shape) == shapes and users.dtype == items.dtype == np.float32
    return (users, items) if fits else None


def _keep(path: pathlib.Path, made: Factors) -> None:
    """Writes a file whole or not at all: other processes may look for it."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            try:
                np.savez(file, users=made[0], items=made[1])
                file.close()
                os.replace(file.name, path)
            except OSError:
                os.unlink(file.name)
                raise
    except OSError as error:
        warnings.warn(f"Spectral factors are not kept in {path.parent}: {error}", stacklevel=2)


def _turned(interactions: Any, width: int, rotation: str, seed: int) -> Factors:
    left, right = _singular_vectors(interactions, width, seed)
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


def _singular_vectors(interactions: Any, width: int, seed: int) -> Factors:
    """Returns the leading singular vectors of normalised interactions, filled up with zeros."""
    from scipy import sparse
    from sklearn.utils.extmath import randomized_svd

    shape = tuple(interactions.shape)
    ones = np.ones(len(interactions.indices))
    matrix = sparse.csr_array((ones, interactions.indices, interactions.indptr), shape)
    by_user, by_item = (np.maximum(matrix.sum(axis=axis), 1) ** -0.5 for axis in (1, 0))
    normalised = sparse.diags_array(by_user) @ matrix @ sparse.diags_array(by_item)
    rank = min(width, *shape)
    left, sizes, right = randomized_svd(normalised, rank, random_state=seed)
    there = sizes > 1e-6  # of at most 1; vectors of none are noise
    left, right = left * there, right * there[:, None]
    missing = [(0, 0), (0, width - rank)]
    return np.pad(left, missing), np.pad(right.T, missing)
