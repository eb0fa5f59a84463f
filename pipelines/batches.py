"""Batches of users, a pure function of (seed, epoch), and their items as dense 0/1 rows."""

import numpy as np
import tensorflow as tf
from scipy import sparse

_ROWS = 1024  # users whose rows are dense at once, while they are packed


def user_batches(
    n_users: int, batch_size: int, seed: int, first_epoch: int, epochs: int
) -> tf.data.Dataset:
    """Yields the users of each batch: every user once an epoch, epoch after epoch.

    The order within an epoch depends on (seed, epoch) alone, so a run that starts again at an
    epoch sees the batches it would have seen. The last users that do not fill a batch sit the
    epoch out (other ones each time): all batches have one shape, and XLA compiles one step.

    Args:
        n_users: users there are.
        batch_size: users a batch.
        seed: seed of the order.
        first_epoch: epoch of the first batch, from 0.
        epochs: epoch after the last.

    Returns:
        A dataset of `steps_per_epoch(n_users, batch_size) * (epochs - first_epoch)` batches, int32
        [batch_size].

    Raises:
        ValueError: fewer users than a batch holds.
    """
    steps_per_epoch(n_users, batch_size)  # raises where there is none

    def users_of(epoch: tf.Tensor) -> tf.data.Dataset:
        users = tf.range(n_users)
        order = tf.random.experimental.stateless_shuffle(users, tf.stack([seed, epoch]))
        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size, drop_remainder=True)

    return tf.data.Dataset.range(first_epoch, epochs).flat_map(users_of)


def steps_per_epoch(n_users: int, batch_size: int) -> int:
    """Returns the number of full batches in one epoch.

    Raises:
        ValueError: there is none, as there are fewer users than a batch holds.
    """
    if n_users < batch_size:
        raise ValueError(f"{n_users} users do not fill a batch of {batch_size}; use a smaller one.")
    return n_users // batch_size


class UserRows:
    """Makes dense rows of users, for an autoencoder: on the host or inside a compiled step.

    All users' rows are kept, a bit an entry, where the rows are made: a batch of them is read and
    spread out by elementwise operations alone, and the host sends nothing but the users' numbers.

    Args:
        matrix: CSR [users, items], not 0 where the user has the item.
        batch_size: users a batch.

    Attributes:
        step_shape: shape of what a batch is made of, see `tfdsl.models.sampled.SampledModel`.
    """

    def __init__(self, matrix: sparse.csr_array, batch_size: int) -> None:
        n_users, self.n_items = matrix.shape
        self.step_shape = (batch_size,)
        blocks = (matrix[start : start + _ROWS] for start in range(0, n_users, _ROWS))
        bits = [np.packbits(block.toarray() != 0, axis=1, bitorder="little") for block in blocks]
        with tf.init_scope():
            self._bits = tf.constant(np.concatenate(bits))

    def __call__(self, users: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns (row, row) of the users, integers [batch]: both float32 [batch, items]."""
        places = tf.constant(np.arange(8), tf.uint8)
        bits = tf.bitwise.right_shift(tf.gather(self._bits, users)[:, :, None], places) & 1
        wide = tf.reshape(tf.cast(bits, tf.float32), [-1, 8 * self._bits.shape[1]])
        rows = wide[:, : self.n_items]  # the last byte may have more
        return rows, rows
