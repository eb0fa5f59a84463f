"""Large integer constants of compiled programs, kept where the program runs.

TensorFlow keeps int32 tensors in host memory, so that a compiled step on a GPU would fetch a
graph's adjacency anew every time; it does not do so with uint32.
"""

from typing import Any

import numpy as np
import tensorflow as tf


def store(indices: Any) -> tf.Tensor:
    """Returns non-negative indices below 2**31 as a constant of no graph; `load` reads it."""
    with tf.init_scope():  # a model may be made while a function is traced
        return tf.constant(np.asarray(indices).astype(np.uint32))


def load(stored: tf.Tensor) -> tf.Tensor:
    """Returns what `store` was given, int32."""
    return tf.bitcast(stored, tf.int32)
