"""Candidates for growth: some of a row's inactive entries."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from masks_of_rows import SHAPE, after, drawn, first, state, with_candidates

import tfdsl
from tfdsl import DSL, schedules
from tfdsl.layers import mask_of


def test_candidates_are_as_many_inactive_entries_of_each_row_drawn_anew():
    algorithm = with_candidates(3)
    (mask,) = first(algorithm, SHAPE)
    one, same, other = (drawn(algorithm, mask, step) for step in (5, 5, 6))
    assert not (one & mask).any()
    assert set(one.sum(1)) == {3}
    np.testing.assert_array_equal(one, same)
    assert 0.2 < (one & other).sum() / one.sum() < 0.8  # a half, of six
    full = np.ones(SHAPE, bool)
    full[:, 0] = False
    assert set(drawn(algorithm, full).sum(1)) == {1}


def test_only_candidates_are_grown_and_what_is_dropped_waits():
    algorithm = with_candidates(2, update_ratio=schedules.Linear(1.0, 1.0, end=1))
    (mask,) = first(algorithm, SHAPE)
    candidates = drawn(algorithm, mask)
    now = state(mask, 1)._replace(candidates=tf.constant(candidates))
    new = after(algorithm, now, 1)
    np.testing.assert_array_equal(new, candidates)  # both go, and both others come
    only = with_candidates(1, update_ratio=schedules.Linear(1.0, 1.0, end=1))
    candidates = drawn(only, mask)
    new = after(only, state(mask, 1)._replace(candidates=tf.constant(candidates)), 1)
    assert (new & candidates).sum() == 50
    np.testing.assert_array_equal(new.sum(1), mask.sum(1))


def test_an_optimizer_draws_candidates_after_every_update_and_keeps_them(tmp_path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [tfdsl.layers.SparseEmbedding(30, 10), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    algorithm = DSL(0.3, granularity="row", candidates=3, update_interval=4, total_steps=24)
    model.compile(tfdsl.SparseOptimizer("adam", algorithm), loss="mse")
    x, y = np.arange(30)[:, None], np.arange(30.0)[:, None]
    seen, optimizer = [], model.optimizer
    for _ in range(6):  # two of three steps
        before = mask_of(model.layers[0].embeddings).numpy() if seen else None
        model.fit(x, y, batch_size=15, epochs=1, verbose=0)
        (sparse,) = optimizer.sparse_weights
        mask, candidates = sparse.mask.numpy(), sparse.candidates.numpy()
        assert not (mask & candidates).any()
        assert set(candidates.sum(1)) == {3}
        if seen and len(seen) % 2:  # steps 4, 8, 12
            assert not (mask & ~before & ~seen[-1]).any()
            assert (mask != before).any()
            assert (candidates != seen[-1]).any()
        elif seen:
            np.testing.assert_array_equal(candidates, seen[-1])
        seen.append(candidates)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.optimizer.algorithm.candidates == 3
    np.testing.assert_array_equal(again.optimizer.sparse_weights[0].candidates, candidates)


def test_candidates_are_of_rows_of_one_budget():
    with pytest.raises(ValueError, match=r"use granularity='row'.*granularity='entry'"):
        DSL(0.3, candidates=3, total_steps=100)
    with pytest.raises(ValueError, match="constant density"):
        rising = schedules.Linear(0.1, 0.3, end=50)
        DSL(rising, granularity="row", candidates=3, total_steps=100)
