"""Shuffling without a list: a pseudo-random permutation, computed place by place."""

import tensorflow as tf

from tfdsl import masks

_ROUNDS = 40


def shuffled(places: tf.Tensor, n: int, seed: tf.Tensor) -> tf.Tensor:
    """Returns where a permutation of 0..n-1 puts `places`.

    The swap-or-not shuffle: every round pairs the places at random and swaps each pair or not
    (Hoang, Morris and Rogaway, 2012, "An Enciphering Scheme Based on a Card Shuffle", CRYPTO).
    Integer arithmetic only, the same on every device, and no loop that a GPU must ask the host
    about.

    Args:
        places: integers in 0..n-1, any shape.
        n: how many places there are, below 2**30.
        seed: uint32, a scalar or of the shape of `places`: which permutation.

    Returns:
        int32, of the shape of `places`.
    """
    x, count = tf.cast(places, tf.int32), tf.constant(n, tf.uint32)
    for round_ in range(_ROUNDS):
        shift = tf.cast(masks.fold_seed(masks.fork(seed, 2 * round_)) % count, tf.int32)
        partner = shift - x
        partner = tf.where(partner < 0, partner + n, partner)
        # Of both the same, so that both swap or neither does.
        higher = tf.cast(tf.maximum(x, partner), tf.uint32)
        coin = masks.fold_seed(masks.fork(seed, 2 * round_ + 1) ^ higher) % 2
        x = tf.where(coin > 0, partner, x)
    return x
