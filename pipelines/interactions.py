"""Who had what, as sparse rows, and splits within users."""

import dataclasses

import numpy as np
from scipy import sparse

from tfdsl.csr import check_csr


@dataclasses.dataclass(frozen=True, eq=False)
class Interactions:
    """Interactions of known users, split within each user; matrices are [users, items] ones.

    Attributes:
        train: What models are trained on.
        validation: What they are selected by; taken out of the training part.
        test: What is reported.
    """

    train: sparse.csr_array
    validation: sparse.csr_array
    test: sparse.csr_array

    @property
    def n_users(self) -> int:
        """Number of users, the height of every matrix."""
        return int(self.train.shape[0])

    @property
    def n_items(self) -> int:
        """Number of items, the width of every matrix."""
        return int(self.train.shape[1])

    @property
    def fitted(self) -> sparse.csr_array:
        """Training and validation together: what is not recommended again in the test."""
        return sparse.csr_array(self.train + self.validation)


def hold_out(
    matrix: sparse.csr_array, share: float = 0.1, seed: int = 98765
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Takes a share of every user's items out, reproducibly from `seed`.

    Of a user's n items, in ascending order however they are stored, those with the smallest of n
    draws of `numpy.random.default_rng(seed).random` are taken; users draw one after the other.
    Taken are round(share * n) items (halves to the even number), at least one, so that users with
    few items count as much as others in what is chosen by them; but none of a user's only item,
    and none at all with a share of 0.

    Returns:
        What is left and what was taken, both of the matrix's shape.

    Raises:
        ValueError: the share is not in [0, 1), or the matrix is not CSR.
    """
    if not 0.0 <= share < 1.0:
        raise ValueError(f"`share` must be in [0, 1); received {share!r}.")
    check_csr("matrix", matrix)
    if not matrix.has_sorted_indices:
        matrix = matrix.sorted_indices()  # a copy
    draws = np.random.default_rng(seed).random(matrix.nnz)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((draws, rows))
    rank = np.empty(matrix.nnz, np.int64)
    rank[order] = np.arange(matrix.nnz)
    degrees = np.diff(matrix.indptr)
    least = np.minimum(degrees - 1, 1) if share else 0
    taken = rank - matrix.indptr[rows] < np.maximum(np.rint(share * degrees), least)[rows]
    return select(matrix, ~taken), select(matrix, taken)


def select(matrix: sparse.csr_array, chosen: np.ndarray) -> sparse.csr_array:
    """Returns the stored entries where `chosen`, bool [entries], as a matrix of the same shape."""
    before = np.concatenate([[0], np.cumsum(chosen)]).astype(matrix.indptr.dtype)
    content = (matrix.data[chosen], matrix.indices[chosen], before[matrix.indptr])
    return sparse.csr_array(content, shape=matrix.shape)


def to_matrix(
    users: np.ndarray, items: np.ndarray, shape: tuple[int, int] | None = None
) -> sparse.csr_array:
    """Returns pairs as a matrix of float32 ones, items ascending within each user.

    Without a shape it is as high and wide as the highest ids ask for.
    """
    matrix = sparse.csr_array((np.ones(len(users), np.float32), (users, items)), shape=shape)
    matrix.sort_indices()
    return matrix
