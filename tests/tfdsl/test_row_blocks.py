"""Many rows, a block of them at a time."""

import numpy as np
import tensorflow as tf
from masks_of_rows import SHAPE, after, drawn, first, state, with_candidates

from tfdsl import row_blocks


def test_many_rows_are_worked_on_block_by_block(monkeypatch):
    algorithm = with_candidates(2, update_ratio=0.5)
    (mask,) = first(algorithm, SHAPE)
    monkeypatch.setattr(row_blocks, "MOST_ROWS", 16)  # 4 blocks of 13, the last filled up
    (mask,) = first(algorithm, SHAPE)
    candidates = drawn(algorithm, mask)
    assert set(mask.sum(1)) == set(candidates.sum(1)) == {2}
    assert any((mask[:13] != mask[at : at + 13]).any() for at in (13, 26))
    now = state(mask, 1)._replace(candidates=tf.constant(candidates))
    compiled = tf.function(algorithm.next_masks, jit_compile=True, autograph=False)
    new = after(algorithm, now, 1)
    np.testing.assert_array_equal(new, compiled([now], tf.constant(1, tf.int64))[0])
    assert set(new.sum(1)) == {2}
    assert 20 < (new & ~mask).sum() < 80  # of 100, a half


def test_blocks_are_put_together_in_order(monkeypatch):
    monkeypatch.setattr(row_blocks, "MOST_ROWS", 4)
    x = tf.range(22)[:, None]
    seed = tf.constant(3, tf.uint32)
    twice, seeds = row_blocks.apply(
        lambda parts, seed: (2 * parts[0], tf.fill([4], seed)), [x], seed, (tf.int32, tf.uint32)
    )
    np.testing.assert_array_equal(twice, 2 * x)
    assert len(set(seeds.numpy())) == 6
