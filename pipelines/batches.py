"""Batches of users as dense 0/1 rows, a pure function of (seed, epoch)."""

import numpy as np
import tensorflow as tf
from scipy import sparse


def user_batches(
    matrix: sparse.csr_array, batch_size: int, seed: int, first_epoch: int, epochs: int
) -> tf.data.Dataset:
    """Yields (row, row) pairs for an autoencoder: every user once an epoch, epoch after epoch.

    The order within an epoch depends on (seed, epoch) alone, so a run that starts again at an
    epoch sees the batches it would have seen. The last users that do not fill a batch sit the
    epoch out (other ones each time): all batches have one shape, and XLA compiles one step.

    Args:
        matrix: [users, items], ones where the user has the item.
        batch_size: users a batch.
        seed: seed of the order.
        first_epoch: epoch of the first batch, from 0.
        epochs: epoch after the last.

    Returns:
        A dataset of `steps_per_epoch(matrix, batch_size) * (epochs - first_epoch)` pairs of
        float32 [batch_size, items].

    Raises:
        ValueError: fewer users than a batch holds.
    """
    n_users, n_items = matrix.shape
    steps_per_epoch(matrix, batch_size)  # raises where there is none
    items = tf.RaggedTensor.from_row_splits(
        matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64), validate=False
    )

    def users_of(epoch: tf.Tensor) -> tf.data.Dataset:
        users = tf.range(n_users)
        order = tf.random.experimental.stateless_shuffle(users, tf.stack([seed, epoch]))
        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size, drop_remainder=True)

    def rows_of(users: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        batch = tf.gather(items, users)
        places = tf.stack([batch.value_rowids(), batch.values], axis=1)
        ones = tf.ones_like(batch.values, tf.float32)
        rows = tf.ensure_shape(
            tf.scatter_nd(places, ones, [batch_size, n_items]), [batch_size, n_items]
        )
        return rows, rows

    order = tf.data.Dataset.range(first_epoch, epochs).flat_map(users_of)
    return order.map(rows_of, num_parallel_calls=2).prefetch(8)


def steps_per_epoch(matrix: sparse.csr_array, batch_size: int) -> int:
    """Returns the number of full batches in one epoch.

    Raises:
        ValueError: there is none, as there are fewer users than a batch holds.
    """
    n_users = int(matrix.shape[0])
    if n_users < batch_size:
        raise ValueError(f"{n_users} users do not fill a batch of {batch_size}; use a smaller one.")
    return n_users // batch_size
