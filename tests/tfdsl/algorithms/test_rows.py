"""Budgets of rows: granularity="row"."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from masks_of_rows import SHAPE, after, first, state

import tfdsl
from tfdsl import (
    DSL,
    SET,
    GradualMagnitude,
    RigL,
    StaticSparse,
    distributions,
    schedules,
)
from tfdsl.algorithms import WeightState
from tfdsl.layers import mask_of


@pytest.mark.parametrize("rows", [1, 2, 3, 10, 97, 1000])
def test_rows_share_a_total_to_within_one_and_a_smaller_one_gives_none_more(rows):
    before = np.full(rows, 100)
    for total in reversed(range(0, 4 * rows + 1, max(rows // 7, 1))):
        budgets = distributions.row_budgets(tf.constant(total), rows).numpy()
        assert budgets.sum() == total
        assert budgets.max() - budgets.min() <= 1
        assert (budgets <= before).all()
        before = budgets


def test_rows_that_have_one_more_are_spread():
    budgets = distributions.row_budgets(tf.constant(300), 1000).numpy()
    assert all(25 <= part.sum() <= 35 for part in budgets.reshape(10, 100))


@pytest.mark.parametrize("init", ["exact", "magnitude"])
@pytest.mark.parametrize("density", [0.06, 0.125, 0.3, 0.99])
def test_first_masks_have_the_budget_and_every_row_its_share(init, density):
    (mask,) = first(StaticSparse(density, granularity="row", init=init), SHAPE)
    assert mask.sum() == round(density * 400)
    assert set(mask.sum(1)) <= {int(density * 8), int(density * 8) + 1}


def test_of_a_kernel_it_is_the_longer_side_and_a_vector_is_one_row():
    wide, vector = first(StaticSparse(0.25, granularity="row"), (8, 40), (40,))
    assert set(wide.sum(0)) == {2}
    assert vector.sum() == 10


@pytest.mark.parametrize(("make", "density"), [(DSL, 0.2), (SET, 0.25), (RigL, 0.2)])
def test_updates_keep_every_rows_budget_and_move_on_average_the_ratio(make, density):
    algorithm = make(density, granularity="row", update_ratio=0.25, total_steps=10**6)
    update = tf.function(algorithm.next_masks, jit_compile=True, autograph=False)
    (mask,) = first(algorithm, SHAPE)
    budgets, moved = mask.sum(1), 0
    for step in range(1, 41):
        now = state(mask, step)
        (new,) = update([now], tf.constant(step, tf.int64))
        if step < 3:
            np.testing.assert_array_equal(new, after(algorithm, now, step))
        np.testing.assert_array_equal(new.numpy().sum(1), budgets)
        moved += (mask & ~new.numpy()).sum()
        mask = new.numpy()
    # A quarter goes; some of it is among the steepest at once and comes back.
    assert 0.15 < moved / 40 / budgets.sum() <= 0.27


def test_only_a_rows_own_entries_compete():
    mask, weight, gradient = np.zeros((5, 4), bool), np.zeros((5, 4), "f4"), np.zeros((5, 4), "f4")
    mask[:2, :2] = True
    weight[:2, :2] = [[1, 2], [100, 200]]
    gradient[:2, 2:] = [[5, 4], [0.2, 0.1]]
    now = WeightState(*map(tf.constant, (weight, mask, mask, gradient)))
    half = schedules.Linear(0.5, 0.5, end=1)
    by_row = DSL(0.2, granularity="row", update_ratio=half, total_steps=100)
    by_entry = DSL(0.2, update_ratio=half, total_steps=100)
    assert after(by_row, now, 1)[:2].tolist() == [[0, 1, 1, 0], [0, 1, 1, 0]]
    assert after(by_entry, now, 1)[:2].tolist() == [[0, 0, 1, 1], [1, 1, 0, 0]]


def test_a_density_that_falls_and_rises_is_every_rows():
    falling = schedules.Linear(0.9, 0.25, end=6)
    rising = schedules.Linear(0.25, 0.9, end=6)
    for density in (falling, rising):
        algorithm = SET(density, granularity="row", update_interval=1, total_steps=10)
        (mask,) = first(algorithm, SHAPE)
        for step in range(1, 9):
            mask = after(algorithm, state(mask, step), step)
            assert mask.sum() == round(float(density(step)) * 400)
            assert mask.sum(1).max() - mask.sum(1).min() <= 1


def test_gradual_pruning_takes_from_every_row():
    algorithm = GradualMagnitude(0.25, granularity="row", update_interval=1, total_steps=12)
    mask = np.ones(SHAPE, bool)
    for step in range(1, 12):
        new = after(algorithm, state(mask, step), step)
        assert not (new & ~mask).any()
        mask = new
    assert set(mask.sum(1)) == {2}


def test_a_model_is_trained_saved_and_loaded_with_it(tmp_path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [tfdsl.layers.SparseEmbedding(30, 10), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    algorithm = DSL(0.3, granularity="row", update_interval=3, total_steps=24)
    model.compile(tfdsl.SparseOptimizer("adam", algorithm), loss="mse", jit_compile=True)
    ids = np.random.default_rng(0).integers(0, 30, (64, 2))
    model.fit(ids, ids.sum(1) / 30.0, batch_size=16, epochs=3, verbose=0)
    mask = mask_of(model.layers[0].embeddings)
    np.testing.assert_array_equal(mask.numpy().sum(1), 3)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.optimizer.algorithm.granularity == "row"
    np.testing.assert_array_equal(mask_of(again.layers[0].embeddings), mask)


def test_it_is_refused_where_all_weights_compete_and_under_other_names():
    with pytest.raises(ValueError, match=r"granularity='entry'.*received granularity='row'"):
        DSL(0.3, granularity="row", distribution="global", total_steps=100)
    with pytest.raises(ValueError, match="`granularity` must be one of entry, row"):
        DSL(0.3, granularity="column", total_steps=100)


def trained_in(granularity, jit_compile=False):
    """Returns masks of a table and of a kernel, first ones and after two updates; and candidates.

    The kernel has as many rows as the table.
    """
    keras.utils.set_random_seed(0)
    table = tfdsl.layers.SparseEmbedding(40, 16)
    kernel = tfdsl.layers.SparseDense(12, use_bias=False)
    ids, rows = keras.Input((), dtype="int32"), keras.Input((40,))
    outputs = keras.layers.Concatenate()([table(ids), kernel(rows)])
    model = keras.Model([ids, rows], outputs)
    candidates = None if granularity == "entry" else 4
    algorithm = DSL(
        0.25,
        granularity=granularity,
        candidates=candidates,
        update_interval=2,
        total_steps=8,
        optimizer_state="reset",
    )
    model.compile(tfdsl.SparseOptimizer("adam", algorithm), loss="mse", jit_compile=jit_compile)
    model.optimizer.build(model.trainable_variables)
    weights = table.embeddings, kernel.kernel
    masks = [mask_of(weight).numpy() for weight in weights]
    draw = np.random.default_rng(0)
    data = [np.arange(40), draw.normal(size=(40, 40)).astype("f4")]
    targets = draw.normal(size=(40, 28)).astype("f4")
    model.fit(data, targets, batch_size=10, verbose=0)
    masks += [mask_of(weight).numpy() for weight in weights]
    drawn = {w.weight.path: w.candidates for w in model.optimizer.sparse_weights}
    return masks, [drawn[weight.path] for weight in weights]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_rows_of_tables_alone_can_have_budgets(jit_compile):
    (table, kernel, later_table, later_kernel), drawn = trained_in("embedding_row", jit_compile)
    assert (table.sum(axis=1) == 4).all() and (later_table.sum(axis=1) == 4).all()
    assert (later_table != table).any() and (later_kernel != kernel).any()
    assert kernel.sum() == later_kernel.sum() == round(0.25 * kernel.size)
    for mask in (kernel, later_kernel):
        assert len(set(mask.sum(axis=1))) > 2
    assert drawn[0].numpy().any() and drawn[1] is None


def test_a_table_is_as_with_rows_then_and_a_kernel_as_without():
    mixed, rows, entries = (trained_in(g)[0] for g in ("embedding_row", "row", "entry"))
    np.testing.assert_array_equal(mixed[0], rows[0])
    np.testing.assert_array_equal(mixed[1], entries[1])
    np.testing.assert_array_equal(mixed[2], rows[2])
    np.testing.assert_array_equal(mixed[3], entries[3])
