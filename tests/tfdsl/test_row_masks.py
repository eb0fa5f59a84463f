"""Choices in every row at once, beside NumPy's row by row."""

import numpy as np
import pytest
import tensorflow as tf

from tfdsl import masks


def in_rows(scores, among, n, seed=3):
    fn = tf.function(
        lambda s, a, n: masks.keep_highest(a, s, n, masks.fold_seed(seed)), jit_compile=True
    )
    eager = masks.keep_highest(
        tf.constant(among), tf.constant(scores), tf.constant(n), masks.fold_seed(seed)
    )
    compiled = fn(tf.constant(scores), tf.constant(among), tf.constant(n))
    np.testing.assert_array_equal(eager, compiled)
    return eager.numpy()


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_each_row_keeps_its_highest_and_as_many_as_it_is_asked_for(seed, ties):
    draw = np.random.default_rng(seed)
    scores = draw.random((37, 11)).astype("f4")
    if ties:
        scores = np.round(scores * 3).astype("f4")
    among = draw.random((37, 11)) < 0.6
    n = draw.integers(0, 12, 37).astype("i4")
    kept = in_rows(scores, among, n)
    assert not (kept & ~among).any()
    np.testing.assert_array_equal(kept.sum(1), np.minimum(n, among.sum(1)))
    for row in range(37):
        left_out = among[row] & ~kept[row]
        if kept[row].any() and left_out.any():
            assert scores[row][kept[row]].min() >= scores[row][left_out].max()


def test_ties_are_drawn_by_the_seed_and_not_by_place():
    scores, among = np.zeros((400, 10), "f4"), np.ones((400, 10), bool)
    n = np.full(400, 3, "i4")
    drawn = in_rows(scores, among, n)
    assert (drawn.sum(1) == 3).all()
    assert drawn.sum(0).min() > 80  # 120 on average
    assert (drawn != in_rows(scores, among, n, seed=4)).any()


def test_growing_adds_to_each_row():
    draw = np.random.default_rng(0)
    mask, scores = draw.random((20, 8)) < 0.3, draw.random((20, 8)).astype("f4")
    n = draw.integers(0, 9, 20).astype("i4")
    grown = masks.grow_highest(
        tf.constant(mask), tf.constant(scores), tf.constant(n), masks.fold_seed(1)
    ).numpy()
    assert (grown | mask == grown).all()
    np.testing.assert_array_equal(grown.sum(1), np.minimum(mask.sum(1) + n, 8))
