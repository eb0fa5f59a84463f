"""Random numbers of models: Philox, as a function of (seed, step) alone.

The step is a weight of the model, which is saved and loaded with it in every format; the state of
Keras's own seed generators is not. And Keras leaves the choice of generator to XLA, whose own is
tens of times slower on a CPU: dropping out a batch took longer than the rest of a training step.
"""

from typing import Any

import tensorflow as tf
from keras import ops

from tfdsl.seeds import Seed

_PLACES = 1024  # more than a model has


def fold(seed: Seed, place: int, step: Any) -> tf.Tensor:
    """Returns what `drop` and `normal` draw from, int32 (2,): other for every place and step.

    And for every replica of a strategy, the first of which draws as one device does.

    Args:
        seed: the model's.
        place: which of the model's draws.
        step: integer scalar.
    """
    context = tf.distribute.get_replica_context()
    replica = 0 if context is None else context.replica_id_in_sync_group
    key = tf.bitcast(seed.fold(place + _PLACES * replica), tf.int32)
    return tf.stack([key, tf.cast(step, tf.int32)])


def drop(x: Any, rate: float, seed: tf.Tensor) -> Any:
    """Dropout: sets a share `rate` of x to zero and scales up the rest."""
    draws = tf.random.stateless_uniform(tf.shape(x), seed, alg="philox")
    return ops.where(draws >= rate, x / (1.0 - rate), ops.zeros_like(x))


def normal(x: Any, seed: tf.Tensor) -> Any:
    """Returns standard normal draws of x's shape, float32."""
    return tf.random.stateless_normal(tf.shape(x), seed, alg="philox")
