"""Masks as pure functions of tensors: which entries of a weight are active.

Everything here is exact and deterministic. A count that is asked for is the count that comes
back, whatever ties there are, and the same arguments give the same bits on every device, eagerly,
in a graph and under XLA, because entries are compared as integers only.

Two primitives carry every algorithm: `keep_highest`, which drops, and `grow_highest`. Scores are
either non-negative floats (magnitudes) or the integers of `random_scores`. Among equal scores the
choice is pseudo-random, a function of the seed: with "lowest index first" a table's zero
gradients would always grow its first rows.
"""

import math
from typing import NamedTuple, TypeAlias

import tensorflow as tf

from tfdsl import row_masks

Tensor: TypeAlias = tf.Tensor

_SAMPLE = 4096  # entries looked at to guess where a threshold lies
_LANES = 8  # sums run side by side in a count
_SAMPLE_FROM = 16 * _SAMPLE  # below this size a guess costs more than it saves


def count(mask: Tensor) -> Tensor:
    """Returns the number of active entries as an int32 scalar."""
    return _count_true(_in_lanes(mask))


def keep_highest(mask: Tensor, scores: Tensor, n: Tensor | int, seed: Tensor) -> Tensor:
    """Returns `mask` with only its `n` active entries of highest score: the lowest are dropped.

    Args:
        mask: boolean, any shape.
        scores: same shape; non-negative floats or `random_scores`.
        n: int scalar, all active entries stay where there are no more; or such a number for each
            row of a matrix, (rows,).
        seed: uint32 scalar from `fold_seed`; decides between equal scores.
    """
    return _highest(scores, mask, n, seed)


def grow_highest(
    mask: Tensor, scores: Tensor, n: Tensor | int, seed: Tensor, among: Tensor | None = None
) -> Tensor:
    """Returns `mask` with the `n` inactive entries of highest score added.

    Args:
        mask: boolean, any shape.
        scores: same shape; non-negative floats or `random_scores`.
        n: int scalar, all inactive entries come where there are fewer; or such a number for each
            row of a matrix, (rows,).
        seed: uint32 scalar from `fold_seed`; decides between equal scores.
        among: boolean, same shape: the only entries to choose from; all if None.
    """
    inactive = ~mask if among is None else ~mask & among
    return mask | _highest(scores, inactive, n, seed)


def highest_mask(scores: Tensor, n: Tensor | int, seed: Tensor) -> Tensor:
    """Returns a mask of exactly the `n` entries of highest score; (rows,): of each row."""
    return _highest(scores, tf.ones_like(scores, tf.bool), n, seed)


def random_mask(shape: tuple[int, ...], n: Tensor | int, seed: Tensor) -> Tensor:
    """Returns a mask of exactly `n` entries drawn without replacement; (rows,): of each row."""
    return highest_mask(random_scores(shape, seed), n, seed)


def bernoulli_mask(shape: tuple[int, ...], density: Tensor | float, seed: Tensor) -> Tensor:
    """Returns a mask whose entries are active independently with probability `density`."""
    draws = tf.cast(_distinct_keys(shape, seed), tf.float64) / 2.0**32
    return draws < tf.cast(density, tf.float64)


def random_scores(shape: tuple[int, ...], seed: Tensor) -> Tensor:
    """Returns uint32 scores in pseudo-random order, a function of `seed` and position alone."""
    return _shift_right(_distinct_keys(shape, seed), 1)


def prefer(scores: Tensor, preferred: Tensor) -> Tensor:
    """Returns `random_scores` rearranged so that every preferred entry ranks above the others."""
    return _shift_right(scores, 1) | tf.where(preferred, _u32(1 << 30), _u32(0))


def fold_seed(*parts: Tensor | int) -> Tensor:
    """Returns one uint32 seed from several integers (a user's seed, the step, a tensor's place)."""
    seed = _u32(0)
    for part in parts:
        seed = _mix(seed * _u32(0x9E3779B9) + tf.cast(part, tf.uint32) + _u32(0x85EBCA6B))
    return seed


def fork(seed: Tensor, tag: int) -> Tensor:
    """Returns another seed for another use of the same one; cheaper than `fold_seed`."""
    return seed ^ _u32(tag * 0x9E3779B9 % 2**32)


def _highest(scores: Tensor, among: Tensor, k: Tensor | int, seed: Tensor) -> Tensor:
    """Returns exactly the k highest entries of `among`; all of them where there are fewer."""
    # Bit patterns of non-negative floats have the floats' order. Key 0 means "not eligible".
    bits = scores if scores.dtype == tf.uint32 else _float_bits(scores)
    shape = tuple(bits.shape)
    eligible = tf.where(among, bits + _u32(1), _u32(0))
    k = tf.maximum(tf.cast(k, tf.int32), 0)
    if k.shape.rank:
        return row_masks.highest(eligible, k, _distinct_keys(shape, fork(seed, 1)))
    keys = _in_lanes(eligible)
    cut = _find_cut(keys, k)
    missing = k - cut.n_above

    def settle_ties() -> Tensor:
        ties = keys == cut.key  # eligible ones: no cut is 0
        # The keys of the draw are distinct, so that one entry at most stands at the second cut.
        # One key may be 0, which is above no cut: where all ties are wanted nothing is drawn.
        draw = tf.where(ties, _in_lanes(_distinct_keys(shape, fork(seed, 1))), _u32(0))
        second = _find_cut(draw, missing)
        drawn = (draw > second.key) | ((draw == second.key) & (second.n_above < missing))
        return (keys > cut.key) | tf.where(missing < _count_true(ties), drawn, ties)

    chosen = tf.cond(missing > 0, settle_ties, lambda: keys > cut.key)
    return tf.reshape(tf.reshape(chosen, [-1])[: math.prod(shape)], shape)


class _Cut(NamedTuple):
    """`n_above` <= k keys lie above `key`; where they are fewer than k, those equal to it tie."""

    key: Tensor
    n_above: Tensor


def _find_cut(lanes: Tensor, k: Tensor) -> _Cut:
    """Finds the cut for the k highest of the keys in `lanes` by counting, without a sort.

    A bracket (low, high] around the k-th highest key shrinks by interpolation on the counts
    (some ten counts, where keys are spread evenly) and by bisection (never more than 32 more).
    On large tensors the first two probes are a sample's quantiles. The result does not depend on
    the path taken.
    """
    low, n_low = _u32(0), tf.size(lanes)
    high, n_high = _u32(0xFFFFFFFF), tf.constant(0)
    probes = _sample_probes(lanes, k)

    def going(turn: Tensor, low: Tensor, high: Tensor, n_low: Tensor, n_high: Tensor) -> Tensor:
        return (n_high < k) & (high - low > _u32(1))

    def narrow(
        turn: Tensor, low: Tensor, high: Tensor, n_low: Tensor, n_high: Tensor
    ) -> tuple[Tensor, ...]:
        span = high - low
        share = (tf.cast(n_low - k, tf.float32) + 0.5) / tf.cast(n_low - n_high, tf.float32)
        step = tf.cast(tf.cast(span, tf.float32) * share, tf.uint32)
        bisect = (turn > 12) | tf.equal(turn % 3, 2)
        probe = low + tf.where(bisect, _shift_right(span, 1), step)
        if probes.shape[0]:  # run eagerly, a gather from nothing fails
            probe = tf.where(turn < 0, tf.gather(probes, tf.maximum(-1 - turn, 0)), probe)
        probe = tf.clip_by_value(probe, low + _u32(1), high - _u32(1))
        n_probe = _count_true(lanes > probe)
        # Equality closes the bracket from above: `probe` itself is then a cut without ties.
        up = n_probe > k
        return (
            turn + 1,
            tf.where(up, probe, low),
            tf.where(up, high, probe),
            tf.where(up, n_probe, n_low),
            tf.where(up, n_high, n_probe),
        )

    first = tf.constant(-int(probes.shape[0]))
    state = (first, low, high, n_low, n_high)
    _, _, high, _, n_high = tf.while_loop(going, narrow, state)
    return _Cut(high, n_high)


def _in_lanes(x: Tensor) -> Tensor:
    """Returns the entries as `_LANES` rows, filled up with zeros."""
    flat = tf.reshape(x, [-1])
    return tf.reshape(tf.pad(flat, [[0, -flat.shape[0] % _LANES]]), [_LANES, -1])


def _count_true(lanes: Tensor) -> Tensor:
    # Rows are added up first: XLA's loop for a plain sum to a scalar waits for each addition
    # before the next, and takes more than twice as long on a CPU.
    return tf.reduce_sum(tf.add_n([tf.cast(row, tf.int32) for row in tf.unstack(lanes)]))


def _sample_probes(keys: Tensor, k: Tensor) -> Tensor:
    """Guesses two keys with the cut between them; none for small tensors."""
    size = math.prod(keys.shape)
    if size < _SAMPLE_FROM:
        return tf.zeros([0], tf.uint32)
    stride = size // _SAMPLE
    sample = tf.sort(tf.reshape(keys, [-1])[:: stride if stride % 2 else stride - 1])
    n = sample.shape[0]
    share = tf.cast(k, tf.float32) / size
    centre = n * (1.0 - share)
    margin = 3.0 * tf.sqrt(n * share * (1.0 - share)) + 2.0
    places = tf.clip_by_value(tf.cast([centre - margin, centre + margin], tf.int32), 0, n - 1)
    guesses = tf.maximum(tf.gather(sample, places), _u32(1))
    # One below the lower guess: where both fall on one value, it is a tie and the search is over.
    return guesses - tf.constant([1, 0], tf.uint32)


def _float_bits(scores: Tensor) -> Tensor:
    # abs turns -0.0 into 0.0; half precision widens without loss.
    return tf.bitcast(tf.abs(tf.cast(scores, tf.float32)), tf.uint32)


def _distinct_keys(shape: tuple[int, ...], seed: Tensor) -> Tensor:
    """Returns distinct pseudo-random uint32 keys: a seeded bijection of each entry's position."""
    size = math.prod(shape)
    place = tf.reshape(tf.cast(tf.range(size, dtype=tf.int64), tf.uint32), shape)
    # Three rounds with two derived seeds: one round alone would give, for any two seeds, the
    # same set of positions up to an exclusive or.
    keys = _mix(place ^ seed) + fork(seed, 2)
    return _mix(_mix(keys) ^ fork(seed, 3))


def _mix(x: Tensor) -> Tensor:
    """A bijection of uint32 with good avalanche (constants of C. Wellons' "lowbias32")."""
    x = x ^ _shift_right(x, 16)
    x = x * _u32(0x7FEB352D)
    x = x ^ _shift_right(x, 15)
    x = x * _u32(0x846CA68B)
    return x ^ _shift_right(x, 16)


def _shift_right(x: Tensor, n: int) -> Tensor:
    return tf.bitwise.right_shift(x, _u32(n))


def _u32(value: int) -> Tensor:
    return tf.constant(value, tf.uint32)
