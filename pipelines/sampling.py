"""Training triples (user, item he has, item he has not) as a pure function of (seed, step)."""

import numpy as np
import tensorflow as tf
from scipy import sparse

from pipelines.shuffling import shuffled
from tfdsl import checks, indices, masks
from tfdsl.csr import check_csr
from tfdsl.seeds import Seed

UNIFORM = ("interactions", "users")
_BITS = 31  # of masks.random_scores


class TripleSampler:
    """Draws triples for pairwise ranking: the same bits for the same (seed, step), anywhere.

    Steps are the batches of one endless stream of epochs, each shuffled anew: what is drawn comes
    equally often in every epoch, and an epoch may end inside a batch. Integer arithmetic only, so
    that tf.data on the host and a compiled step on a GPU draw the same. No draw is ever rejected:
    a negative is the r-th of the items the user does not have, found by bisection in his sorted
    items, so none is false and all are equally likely (to 2**-31).

    Args:
        matrix: training interactions, CSR [users, items].
        batch_size: triples a step.
        seed: seed of all draws.
        uniform: "interactions": an epoch has every pair once; "users": it has every user with items
            equally often, about as many times as a user has items on average, each time with one
            of his items at random (as the code of LightGCN's and DSL's authors in effect does).
        n_negatives: negatives a pair.
        fixed_negatives: int [users, n], n at least 1, items; if given, a pair's negatives are
            always its user's n, and `n_negatives` does not count.

    Raises:
        ValueError: an argument outside its range, a matrix that is not CSR or has column ids
            outside its shape, fixed negatives of another shape or type or that are no items, no
            interaction, or a user who has every item.
    """

    def __init__(
        self,
        matrix: sparse.csr_array,
        batch_size: int,
        seed: int,
        uniform: str = "interactions",
        n_negatives: int = 1,
        fixed_negatives: np.ndarray | None = None,
    ) -> None:
        checks.choice("uniform", uniform, UNIFORM)
        checks.count("batch_size", batch_size)
        checks.count("n_negatives", n_negatives)
        checks.seed(seed)
        check_csr("matrix", matrix)
        matrix = matrix.sorted_indices()  # a copy
        matrix.sum_duplicates()
        degrees = np.diff(matrix.indptr)
        if not matrix.nnz:
            raise ValueError("There is no interaction to draw from; check the training part.")
        if degrees.max() >= matrix.shape[1]:
            raise ValueError(
                f"User {int(np.argmax(degrees))} has all {matrix.shape[1]} items, so there is no "
                "negative to draw; leave the user out."
            )
        self.batch_size, self.seed, self.uniform = batch_size, seed, uniform
        self._seed = Seed(seed)
        self.n_negatives, self.n_items, self.n_pairs = n_negatives, matrix.shape[1], matrix.nnz
        active = np.flatnonzero(degrees)
        self.n_active = len(active)
        self._starts, self._items = indices.store(matrix.indptr), indices.store(matrix.indices)
        self._owners = indices.store(np.repeat(np.arange(matrix.shape[0]), degrees))
        self._active = indices.store(active)
        if fixed_negatives is not None:
            _check_fixed(np.asarray(fixed_negatives), *matrix.shape)
        self._fixed = None if fixed_negatives is None else indices.store(fixed_negatives)
        # Enough halvings for the longest row; a row of n entries has n + 1 answers.
        self._halvings = int(degrees.max()).bit_length()

    def __call__(self, step: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]:
        """Returns ((users, items), labels) of a step, as `model.fit` takes them.

        Users are int32 [batch]; items int32 [batch, 1 + negatives], the positive first; labels
        float32 [batch, 1 + negatives], 1 for it.
        """
        seed = self._seed.fold(step)
        if self.uniform == "interactions":
            place = self._in_epochs(step, self.n_pairs)
            users = _at(self._owners, place)
        else:
            visits = self.n_pairs // self.n_active
            users = _at(self._active, self._in_epochs(step, self.n_active * visits) // visits)
            start, end = _at(self._starts, users), _at(self._starts, users + 1)
            draws = masks.random_scores((self.batch_size,), masks.fork(seed, 12))
            place = start + _below(draws, end - start)
        if self._fixed is not None:
            negatives = _at(self._fixed, users)
        else:
            shape = (self.batch_size, self.n_negatives)
            draws = masks.random_scores(shape, masks.fork(seed, 13))
            negatives = self._fresh_negatives(users, draws)
        items = tf.concat([_at(self._items, place)[:, None], negatives], axis=1)
        labels = np.zeros(items.shape, np.float32)
        labels[:, 0] = 1.0
        return (users, items), tf.constant(labels)

    def _in_epochs(self, step: tf.Tensor, n: int) -> tf.Tensor:
        """Returns a step's batch of 0..n-1, each of which comes once an epoch; int32 [batch]."""
        number = tf.cast(step, tf.int64) * self.batch_size + tf.range(
            self.batch_size, dtype="int64"
        )
        epoch = masks.fork(self._seed.fold(number // n), 11)
        return shuffled(number % n, n, epoch)

    def _fresh_negatives(self, users: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        """Returns an item a draw that the user does not have; [batch, negatives]."""
        start, end = _at(self._starts, users)[:, None], _at(self._starts, users + 1)[:, None]
        rank = _below(draws, self.n_items - (end - start))
        # Before the j-th of a user's items there are items[j] - j that he does not have. Find
        # how many of his items come before the non-item of the rank drawn.
        low, high = tf.broadcast_to(start, rank.shape), tf.broadcast_to(end, rank.shape)
        for _ in range(self._halvings):
            middle = (low + high) // 2
            lacking = _at(self._items, tf.minimum(middle, self.n_pairs - 1)) - (middle - start)
            right = (low < high) & (lacking <= rank)
            low, high = tf.where(right, middle + 1, low), tf.where(right, high, middle)
        return rank + low - start

    def dataset(self, first_step: int, end_step: int) -> tf.data.Dataset:
        """Returns the triples of the steps from `first_step` to before `end_step`, as tf.data.

        A model that has this sampler draws the same itself, from the numbers of the steps.
        """
        numbers = tf.data.Dataset.range(first_step, end_step)
        return numbers.map(self, num_parallel_calls=2, deterministic=True).prefetch(8)


def _check_fixed(fixed: np.ndarray, n_users: int, n_items: int) -> None:
    if fixed.ndim != 2 or len(fixed) != n_users or not fixed.shape[1]:
        raise ValueError(
            f"`fixed_negatives` must have shape [{n_users} users, 1 or more]; received shape "
            f"{fixed.shape}."
        )
    if not np.issubdtype(fixed.dtype, np.integer):
        raise ValueError(f"`fixed_negatives` must be integers; received {fixed.dtype}.")
    if fixed.min() < 0 or fixed.max() >= n_items:
        wrong = fixed[(fixed < 0) | (fixed >= n_items)][0]
        raise ValueError(f"`fixed_negatives` must be in 0..{n_items - 1}; received {wrong}.")


def _at(stored: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    return tf.gather(indices.load(stored), places)


def _below(draws: tf.Tensor, limits: tf.Tensor | int) -> tf.Tensor:
    """Turns 31-bit draws into int32 below `limits`."""
    wide = tf.cast(draws, tf.uint64) * tf.cast(limits, tf.uint64)
    return tf.cast(tf.bitwise.right_shift(wide, tf.constant(_BITS, tf.uint64)), tf.int32)
