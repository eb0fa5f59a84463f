"""What is used of SciPy's CSR matrices: the library itself does not need SciPy."""

from typing import Any, Protocol

import numpy as np


class CSRMatrix(Protocol):
    """A matrix in SciPy's CSR format; a stored entry counts whatever its value."""

    indptr: Any
    indices: Any
    shape: Any


def check_csr(name: str, matrix: Any) -> None:
    """Raises ValueError unless the matrix is in CSR format, each column id in 0..columns-1.

    The message names the argument. Column ids may be in any order and occur twice in a row.
    """
    # A square matrix in CSC format has as many row as column starts, so the format is asked.
    if getattr(matrix, "format", "csr") != "csr" or not hasattr(matrix, "indptr"):
        raise ValueError(
            f"`{name}` must be a matrix in CSR format; received {type(matrix).__name__}. Pass a "
            "scipy.sparse.csr_array (any SciPy matrix has .tocsr())."
        )
    # SciPy does not compare them with the shape where a matrix is made from its parts.
    columns = np.asarray(matrix.indices)[: matrix.indptr[-1]]
    n_columns = matrix.shape[1]
    if len(columns) and not (columns.min() >= 0 and columns.max() < n_columns):
        wrong = columns[(columns < 0) | (columns >= n_columns)][0]
        raise ValueError(
            f"`{name}` must have column ids in 0..{n_columns - 1}, as its shape "
            f"{tuple(matrix.shape)} says; received {wrong}."
        )
