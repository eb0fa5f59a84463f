"""One item a user left out ("leave one out"), to be found among items the user does not have."""

import dataclasses

import numpy as np
from scipy import sparse

from pipelines import interactions

N_NEGATIVES = 99


@dataclasses.dataclass(frozen=True, eq=False)
class Candidates:
    """For each of some users a list of items to rank, of which the first is the one left out.

    Attributes:
        users: int32 [users].
        items: int32 [users, 1 + negatives]; the user has none of the negatives, but for the first
            item itself, which may occur again and then counts once.
    """

    users: np.ndarray
    items: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Training interactions, CSR [users, items], and what is asked for.

    Attributes:
        train: what models are trained on, float32 ones.
        validation: what they are selected by.
        test: what is reported.
    """

    train: sparse.csr_array
    validation: Candidates
    test: Candidates

    def left_out(self, part: str) -> sparse.csr_array:
        """Returns the items left out in "validation" or "test" as a matrix like `train`."""
        asked: Candidates = getattr(self, part)
        return interactions.to_matrix(asked.users, asked.items[:, 0], self.train.shape)


def split_off(
    matrix: sparse.csr_array,
    had: sparse.csr_array | None = None,
    n_negatives: int = N_NEGATIVES,
    seed: int = 98765,
) -> tuple[sparse.csr_array, Candidates]:
    """Takes one item out of every user's, of users who have at least two.

    `numpy.random.default_rng(seed).random` gives every interaction a number, users in order and
    items ascending; the smallest of a user's is taken out. The same generator then draws that
    user's negatives, users in order, without replacement, among the items he never had.

    Args:
        matrix: what to take items out of, CSR [users, items], items ascending within a user.
        had: all that users ever had; `matrix` if None.
        n_negatives: how many negatives stand beside each item taken out.
        seed: of all draws.

    Returns:
        What is left of the matrix, and what to rank.

    Raises:
        ValueError: a user lacks fewer than `n_negatives` items.
    """
    rng = np.random.default_rng(seed)
    draws, degrees = rng.random(matrix.nnz), np.diff(matrix.indptr)
    owners = np.repeat(np.arange(matrix.shape[0]), degrees)
    order = np.lexsort((draws, owners))
    users = np.flatnonzero(degrees >= 2).astype(np.int32)
    chosen = np.zeros(matrix.nnz, bool)
    chosen[order[matrix.indptr[users]]] = True
    positives = matrix.indices[chosen].astype(np.int32)
    negatives = draw_negatives(matrix if had is None else had, users, n_negatives, rng)
    items = np.concatenate([positives[:, None], negatives], axis=1)
    return interactions.select(matrix, ~chosen), Candidates(users, items)


def split_last(
    users: np.ndarray, items: np.ndarray, n_negatives: int = N_NEGATIVES + 1, seed: int = 98765
) -> LeaveOneOut:
    """Leaves out the last item of every user for the test, the one before for validation.

    Which is last is the order of the pairs. Both ask for them among the same negatives, drawn from
    `numpy.random.default_rng(seed)`, users in order, without replacement, among the items they
    never had. Users with fewer than three items are trained on alone.

    Args:
        users: int [pairs], from 0.
        items: int [pairs], from 0; no pair occurs twice.
        n_negatives: how many negatives a user has.
        seed: of all draws.

    Raises:
        ValueError: a user lacks fewer than `n_negatives` items.
    """
    had = interactions.to_matrix(users, items)
    order = np.argsort(users, kind="stable")
    degrees = np.diff(had.indptr)
    ends = np.cumsum(degrees)
    asked = np.flatnonzero(degrees >= 3).astype(np.int32)
    negatives = draw_negatives(had, asked, n_negatives, np.random.default_rng(seed))
    last = {part: order[ends[asked] - back] for part, back in (("test", 1), ("validation", 2))}
    trained = np.ones(len(users), bool)
    for places in last.values():
        trained[places] = False
    train = interactions.to_matrix(users[trained], items[trained], had.shape)
    candidates = {
        part: Candidates(asked, np.concatenate([items[places][:, None], negatives], axis=1))
        for part, places in last.items()
    }
    return LeaveOneOut(train, **candidates)


def draw_negatives(
    matrix: sparse.csr_array, users: np.ndarray, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Returns for each user `n` different items he does not have, int32 [users, n].

    Raises:
        ValueError: a user lacks fewer than `n` items.
    """
    negatives = np.empty((len(users), n), np.int32)
    for place, user in enumerate(users):
        had = matrix.indices[matrix.indptr[user] : matrix.indptr[user + 1]]
        lacking = matrix.shape[1] - len(had)
        if lacking < n:
            raise ValueError(
                f"User {user} lacks {lacking} of the {matrix.shape[1]} items, fewer than the {n} "
                "negatives asked for."
            )
        # The r-th item he lacks: before the j-th of his items there are had[j] - j of them.
        ranks = rng.choice(lacking, n, replace=False)
        negatives[place] = ranks + np.searchsorted(had - np.arange(len(had)), ranks, side="right")
    return negatives
