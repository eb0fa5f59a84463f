"""Small operations on gradients, which are tensors or `tf.IndexedSlices` (rows of a table)."""

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import tensorflow as tf

Gradient: TypeAlias = tf.Tensor | tf.IndexedSlices


_SMALL = 1 << 20  # entries; the gradients of most layers


def all_finite(gradients: Sequence[Gradient]) -> tf.Tensor:
    """Returns a boolean scalar: is no entry of any gradient infinite or not a number?"""
    values = [g.values if isinstance(g, tf.IndexedSlices) else g for g in gradients]
    if _has_gpu():
        # There each gradient's check is two kernels that last longer to start than to run: small
        # gradients are put one after the other, and checked as one.
        small = [v for v in values if (v.shape.num_elements() or 0) <= _SMALL]
        values = [v for v in values if (v.shape.num_elements() or 0) > _SMALL]
        for dtype in dict.fromkeys(v.dtype for v in small):
            rows = [tf.reshape(v, [-1]) for v in small if v.dtype == dtype]
            values.append(tf.concat(rows, axis=0))
    return tf.reduce_all(tf.stack([_is_finite(v) for v in values]))


def _is_finite(values: tf.Tensor) -> tf.Tensor:
    if values.shape.rank < 2 or _has_gpu():
        return tf.reduce_all(tf.math.is_finite(values))
    # A product with zeros is 0 for finite entries, NaN for others, and runs at the speed of a
    # matrix product, where XLA on a CPU reduces one entry a cycle: a fifth of a training step.
    rows = tf.reshape(values, [-1, values.shape[-1]])
    zeros = tf.zeros([values.shape[-1]], values.dtype)
    return tf.reduce_all(tf.math.is_finite(tf.linalg.matvec(rows, zeros)))


def _has_gpu() -> bool:
    return bool(tf.config.list_logical_devices("GPU"))


def sum_rows(rows: tf.Tensor, at: tf.Tensor, n: int | tf.Tensor) -> tf.Tensor:
    """Returns the (n, width) table whose row i is the sum of the rows with `at` i.

    The same bits whatever the order, which on a GPU changes from run to run: rows are added as
    64-bit integers, in steps of 2**-(59 - log2 rows) of the largest entry or less (and not less
    than 2**-120). All entries are NaN if one of `rows` is not finite.

    Args:
        rows: float32 (rows, width).
        at: integers (rows,), each in 0..n-1.
        n: rows of the table.
    """
    largest, count = tf.reduce_max(tf.abs(rows)), tf.cast(tf.shape(rows)[0], tf.float32)
    # A power of two, so that scaling is exact, and one with which no sum reaches 2**62.
    scale = _power_of_two(tf.minimum(60 - _exponent(count) - _exponent(largest), 120))
    total = tf.math.unsorted_segment_sum(tf.cast(tf.round(rows * scale), tf.int64), at, n)
    poison = tf.where(_is_finite(rows), 0.0, float("nan"))  # integers cannot say it
    return tf.cast(total, tf.float32) / scale + poison


def unique_rows(gradient: Gradient, shape: Sequence[int]) -> Gradient:
    """Returns the same gradient of a weight of that shape; rows that occur again are summed.

    Optimizers add rows that occur again in an order that a GPU does not fix. (Of float64 this sum
    does not fix it either.)
    """
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    ids, places = tf.unique(gradient.indices)
    rows, dtype = tf.reshape(gradient.values, [-1, math.prod(shape[1:])]), gradient.dtype
    if dtype == tf.float64:
        total = tf.math.unsorted_segment_sum(rows, places, tf.size(ids))
    else:
        total = tf.cast(sum_rows(tf.cast(rows, tf.float32), places, tf.size(ids)), dtype)
    return tf.IndexedSlices(tf.reshape(total, [-1, *shape[1:]]), ids, gradient.dense_shape)


def take_rows(table: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
    """Returns the rows `at` names, integers of any shape, of a (n, width) table, float32.

    As `tf.gather`, but the gradient is dense and the same bits every time: see `sum_rows`.
    """
    n, width = table.shape

    @tf.custom_gradient
    def apply(table: tf.Tensor) -> tuple[tf.Tensor, Any]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return sum_rows(tf.reshape(upstream, [-1, width]), tf.reshape(at, [-1]), n)

        return tf.gather(table, at), gradient

    return apply(tf.cast(tf.convert_to_tensor(table), tf.float32))


def _exponent(x: tf.Tensor) -> tf.Tensor:
    """Returns the e of the least 2**e above x > 0, int32; -126 for all below 2**-126."""
    return tf.bitwise.right_shift(tf.bitcast(x, tf.int32), 23) - 126


def _power_of_two(exponent: tf.Tensor) -> tf.Tensor:
    """Returns 2**exponent, float32, for -126..127, without `pow`, which may miss the last bit."""
    return tf.bitcast(tf.bitwise.left_shift(exponent + 127, 23), tf.float32)


def on_mask(gradient: Gradient, mask: tf.Tensor | None) -> Gradient:
    """Returns the gradient of the active weights: zero off the mask, all of it without one."""
    if mask is None:
        # A copy, not the tensor itself: Keras reduces gradients together over the replicas and
        # wants them from one graph, and inside a branch those on a mask are of the branch's.
        return tf.identity(gradient)
    if isinstance(gradient, tf.IndexedSlices):
        rows = tf.gather(mask, gradient.indices)
        values = tf.where(rows, gradient.values, tf.zeros_like(gradient.values))
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    return tf.where(mask, gradient, tf.zeros_like(gradient))


def add_to(variable: tf.Tensor, gradient: Gradient) -> tf.Tensor:
    """Returns the dense sum of a tensor and a gradient of its shape."""
    if isinstance(gradient, tf.IndexedSlices):
        return tf.tensor_scatter_nd_add(variable, gradient.indices[:, None], gradient.values)
    return variable + gradient
