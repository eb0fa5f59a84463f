"""Exact choices in every row of a matrix at once; see `tfdsl.masks` for what they promise."""

from typing import NamedTuple, TypeAlias

import tensorflow as tf

Tensor: TypeAlias = tf.Tensor


class _Cuts(NamedTuple):
    """Of each row: `n_above` <= k keys lie above `key`; where they are fewer, those equal tie."""

    key: Tensor
    n_above: Tensor


def highest(keys: Tensor, k: Tensor, draws: Tensor) -> Tensor:
    """Returns a mask of each row's k highest keys; of all that are not 0 where there are fewer.

    Args:
        keys: uint32 (rows, width); 0 is never chosen.
        k: int32 (rows,), not negative.
        draws: uint32 like `keys`, distinct; decide between equal keys.
    """
    cuts = _find_cuts(keys, k)
    missing = k - cuts.n_above
    ties = keys == cuts.key[:, None]  # eligible ones: no cut is 0
    draw = tf.where(ties, draws, tf.constant(0, tf.uint32))
    second = _find_cuts(draw, missing)
    is_last = (draw == second.key[:, None]) & (second.n_above < missing)[:, None]
    drawn = (draw > second.key[:, None]) | is_last
    # One key of the draw may be 0, which is above no cut: where all ties are wanted none is drawn.
    drawn = tf.where((missing < count(ties))[:, None], drawn, ties)
    return (keys > cuts.key[:, None]) | drawn


def _find_cuts(keys: Tensor, k: Tensor) -> _Cuts:
    """Finds the cut for the k highest keys of every row, by bisection: 32 counts of all."""
    rows, one = keys.shape[0], tf.constant(1, tf.uint32)

    def narrow(turn: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, ...]:
        half = tf.bitwise.right_shift(high - low, one)
        probe = low + tf.maximum(half, one)  # never `low`, which nothing is asked of
        up = count(keys > probe[:, None]) > k
        return turn + 1, tf.where(up, probe, low), tf.where(up, high, probe)

    ends = tf.zeros([rows], tf.uint32), tf.fill([rows], tf.constant(0xFFFFFFFF, tf.uint32))
    _, _, high = tf.while_loop(lambda turn, low, high: turn < 32, narrow, (tf.constant(0), *ends))
    return _Cuts(high, count(keys > high[:, None]))


def count(mask: Tensor) -> Tensor:
    """Returns the number of active entries of each row of a matrix, int32 (rows,)."""
    return tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
