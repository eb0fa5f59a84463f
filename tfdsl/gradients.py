"""Small operations on gradients, which are tensors or `tf.IndexedSlices` (rows of a table)."""

from collections.abc import Sequence
from typing import TypeAlias

import tensorflow as tf

Gradient: TypeAlias = tf.Tensor | tf.IndexedSlices


def all_finite(gradients: Sequence[Gradient]) -> tf.Tensor:
    """Returns a boolean scalar: is no entry of any gradient infinite or not a number?"""
    return tf.reduce_all(tf.stack([_is_finite(g) for g in gradients]))


def _is_finite(gradient: Gradient) -> tf.Tensor:
    values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
    if values.shape.rank < 2:
        return tf.reduce_all(tf.math.is_finite(values))
    # A product with zeros is 0 for finite entries, NaN for others, and runs at the speed of a
    # matrix product, where XLA on a CPU reduces one entry a cycle: a fifth of a training step.
    rows = tf.reshape(values, [-1, values.shape[-1]])
    zeros = tf.zeros([values.shape[-1]], values.dtype)
    return tf.reduce_all(tf.math.is_finite(tf.linalg.matvec(rows, zeros)))


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
