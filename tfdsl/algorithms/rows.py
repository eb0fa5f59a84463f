"""A weight as what its budgets are of: all of its entries, or rows with budgets of their own."""

import math
from typing import TypeAlias

import tensorflow as tf

Tensor: TypeAlias = tf.Tensor


def flat(x: Tensor) -> Tensor:
    """Returns a weight as a vector."""
    return tf.reshape(x, [-1])


def rows(x: Tensor) -> Tensor:
    """Returns a weight as a matrix whose rows have budgets of their own.

    A table's rows; of a kernel rows or columns, whichever are more: in the first and the last layer
    of an autoencoder those are the items. A vector is one row.
    """
    x = tf.reshape(x, [-1, x.shape[-1]])
    return tf.transpose(x) if _is_turned(x.shape) else x


def unrows(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Returns a weight of that shape from what `rows` made of it."""
    return tf.reshape(tf.transpose(x) if _is_turned(shape) else x, shape)


def rescaled(weight: Tensor, mask: Tensor, by_row: bool) -> Tensor:
    """Returns a weight, 0 off its mask, times sqrt(size / active), its own or each row's.

    The squares of what is left of random entries then add up to what all did, on average. A row
    without an active entry stays 0.
    """
    shape = tuple(weight.shape)
    parts = rows(mask) if by_row else flat(mask)[None]
    active = tf.reduce_sum(tf.cast(parts, tf.int32), axis=1, keepdims=True)
    scale = tf.sqrt(parts.shape[1] / tf.maximum(active, 1))  # of integers: float64
    by = tf.broadcast_to(tf.cast(scale, weight.dtype), parts.shape)
    return weight * (unrows(by, shape) if by_row else tf.reshape(by, shape))


def of_scores(weight: Tensor, scores: Tensor, by_row: bool) -> Tensor:
    """Returns scores as large as a weight: the same sum of squares, in all or in each row.

    Both are 0 off the mask; what has no score keeps its value, and its part of the sum.
    """
    shape = tuple(weight.shape)
    split = rows if by_row else lambda x: flat(x)[None]
    # Sums in float64: rounded to the weight's dtype they are the same on every device.
    drawn, scored = (split(tf.cast(x, tf.float64)) for x in (weight, scores))
    has_none = tf.equal(scored, 0.0)
    replaced = tf.where(has_none, tf.zeros_like(drawn), drawn)
    wanted, there = (tf.reduce_sum(x**2, axis=1, keepdims=True) for x in (replaced, scored))
    scaled = scored * tf.sqrt(tf.math.divide_no_nan(wanted, there))
    values = tf.cast(tf.where(has_none, drawn, scaled), weight.dtype)
    return unrows(values, shape) if by_row else tf.reshape(values, shape)


def _is_turned(shape: tuple[int, ...]) -> bool:
    return 1 < math.prod(shape[:-1]) < shape[-1]
