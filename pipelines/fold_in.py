"""Splits users, not pairs ("strong generalisation"): the evaluation of MultVAE.

A model is trained on some users; for a user it never saw it gets a part of the items (fold-in)
and is asked for the others (held out).
"""

import dataclasses

import numpy as np
from scipy import sparse

from pipelines.interactions import select

SEED = 98765  # of the users held out in runs of all seeds
# After a data set's name: the users held out are drawn by the run's seed.
BY_SEED = "-by-seed"


@dataclasses.dataclass(frozen=True, eq=False)
class HeldOutUsers:
    """Users a model is not trained on; both matrices are [users, n_items], float32 ones.

    Attributes:
        fold_in: What the model is given.
        held_out: What it is asked for. A user with too few items has an empty row here and is
            kept, so that rows of the two matrices stay together; a metric must leave it out.
    """

    fold_in: sparse.csr_array
    held_out: sparse.csr_array


@dataclasses.dataclass(frozen=True, eq=False)
class FoldInSplit:
    """Training, validation and test users over one set of items.

    Attributes:
        item_ids: Original id of each column, ascending; [n_items].
        train: [train users, n_items], float32 ones.
        validation: Users to select the model with.
        test: Users to report on.
    """

    item_ids: np.ndarray
    train: sparse.csr_array
    validation: HeldOutUsers
    test: HeldOutUsers

    @property
    def n_items(self) -> int:
        """Number of items, the width of every matrix."""
        return len(self.item_ids)


def split(
    users: np.ndarray,
    items: np.ndarray,
    n_validation: int = 500,
    n_test: int = 500,
    held_out_share: float = 0.2,
    seed: int = SEED,
) -> FoldInSplit:
    """Splits interactions by user, reproducibly from `seed`; the order of the pairs is irrelevant.

    User ids, ascending, are permuted; the last `n_test` are the test users, the `n_validation`
    before them the validation users, the others train; rows are in that order. Items that no
    training user has are dropped. Then for each validation user and each test user, in order,
    `int(held_out_share * n)` of the user's n remaining items are drawn to be held out. With few
    items that is none, and with no remaining item both rows are empty: such users stay in the
    matrices.

    Args:
        users: User id of each pair, integer, [pairs].
        items: Item id of each pair, integer, [pairs]; no pair occurs twice.
        n_validation: Number of validation users.
        n_test: Number of test users.
        held_out_share: Share of a held-out user's items to be predicted, in (0, 1).
        seed: Of `numpy.random.default_rng`.

    Raises:
        ValueError: If an argument is out of range, the arrays do not fit together, a pair occurs
            twice, or no user is left to train on.
    """
    users, items = np.asarray(users), np.asarray(items)
    _check(users, items, n_validation, n_test, held_out_share)
    rng = np.random.default_rng(seed)
    user_ids, user_index = np.unique(users, return_inverse=True)
    n_train = len(user_ids) - n_validation - n_test
    if n_train < 1:
        raise ValueError(
            f"{len(user_ids)} users are too few for n_validation={n_validation} and "
            f"n_test={n_test}: at least one must be left to train on; lower them"
        )
    row = np.argsort(rng.permutation(user_ids))[user_index]
    item_ids = np.unique(items[row < n_train])
    known = np.isin(items, item_ids)
    row = row[known].astype(np.int32)  # int32: half the memory of the default index type
    column = np.searchsorted(item_ids, items[known]).astype(np.int32)
    shape = (len(user_ids), len(item_ids))
    pairs = sparse.csr_array((np.ones(len(row), np.float32), (row, column)), shape=shape)
    pairs.sum_duplicates()  # there are none; it also sorts each row's items, which are drawn from
    return FoldInSplit(
        item_ids=item_ids,
        train=pairs[:n_train],
        validation=_hold_out(pairs[n_train : n_train + n_validation], held_out_share, rng),
        test=_hold_out(pairs[n_train + n_validation :], held_out_share, rng),
    )


def _hold_out(
    pairs: sparse.csr_array, held_out_share: float, rng: np.random.Generator
) -> HeldOutUsers:
    held_out = np.zeros(pairs.nnz, dtype=bool)
    for start, end in zip(pairs.indptr[:-1], pairs.indptr[1:], strict=True):
        n = int(end - start)
        held_out[start + rng.choice(n, int(held_out_share * n), replace=False)] = True
    return HeldOutUsers(fold_in=select(pairs, ~held_out), held_out=select(pairs, held_out))


def _check(
    users: np.ndarray, items: np.ndarray, n_validation: int, n_test: int, held_out_share: float
) -> None:
    if users.ndim != 1 or users.shape != items.shape:
        raise ValueError(
            f"users and items must be two vectors of one length, received shapes {users.shape} "
            f"and {items.shape}"
        )
    for name, ids in (("users", users), ("items", items)):
        if not np.issubdtype(ids.dtype, np.integer):
            raise ValueError(f"{name} must hold integer ids, received dtype {ids.dtype}")
    for name, number in (("n_validation", n_validation), ("n_test", n_test)):
        if number < 1:
            raise ValueError(f"{name} must be 1 or more, received {number}")
    if not 0 < held_out_share < 1:
        raise ValueError(f"held_out_share must be in (0, 1), received {held_out_share}")
    order = np.lexsort((items, users))
    repeated = (np.diff(users[order]) == 0) & (np.diff(items[order]) == 0)
    if repeated.any():
        first = order[np.argmax(repeated)]
        raise ValueError(
            f"user {users[first]} and item {items[first]} occur together more than once; pass "
            "every pair once"
        )
