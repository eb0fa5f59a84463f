"""Seeds that a compiled program is given, and that are no part of it.

Models that differ in nothing but their seed are one program then, and XLA's persistent cache has it
for the second of them. TensorFlow writes what a function captures into the program where it is
small, so that a seed is kept as a longer tensor, each element of which is the seed.
"""

import tensorflow as tf

from tfdsl import masks

_LENGTH = 256  # TensorFlow writes tensors of up to 128 elements into the program


class Seed:
    """A seed from which others are made; a constant of no graph.

    Args:
        value: 0 to 2**32 - 1.
    """

    def __init__(self, value: int) -> None:
        with tf.init_scope():  # a model may be made while a function is traced
            self._kept = tf.fill([_LENGTH], tf.constant(value, tf.uint32))

    def fold(self, *parts: tf.Tensor | int) -> tf.Tensor:
        """Returns what `masks.fold_seed` makes of the seed and then `parts`, a uint32 scalar."""
        return masks.fold_seed(self._kept[0], *parts)
