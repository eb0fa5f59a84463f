"""What is used of SciPy's CSR matrices: the library itself does not need SciPy."""

from typing import Any, Protocol


class CSRMatrix(Protocol):
    """A matrix in SciPy's CSR format; a stored entry counts whatever its value."""

    indptr: Any
    indices: Any
    shape: Any


def check_csr(name: str, matrix: Any) -> None:
    """Raises ValueError, naming the argument, unless the matrix is in CSR format."""
    # A square matrix in CSC format has as many row as column starts, so the format is asked.
    if getattr(matrix, "format", "csr") != "csr" or not hasattr(matrix, "indptr"):
        raise ValueError(
            f"`{name}` must be a matrix in CSR format; received {type(matrix).__name__}. Pass a "
            "scipy.sparse.csr_array (any SciPy matrix has .tocsr())."
        )
