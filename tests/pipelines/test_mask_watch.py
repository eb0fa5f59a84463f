import keras
import numpy as np
import pytest
from scipy import sparse

import tfdsl
from pipelines import mask_watch
from pipelines.mask_watch import MaskWatch, Places
from tfdsl.layers import SparseEmbedding, mask_of


def model(algorithm):
    made = keras.Sequential([keras.Input((2,), dtype="int32"), SparseEmbedding(40, 4)])
    made.compile(tfdsl.SparseOptimizer("sgd", algorithm) if algorithm else "sgd", "mse")
    made.optimizer.build(made.trainable_variables)
    return made, made.layers[0].embeddings


def test_density_is_of_groups_of_equal_size_by_popularity():
    _, table = model(None)
    mask = np.zeros((40, 4), bool)
    mask[10:20] = True  # the ten most popular of those at 5 to 25, and all their entries
    mask_of(table).assign(mask)
    popularity = np.arange(20) * ((np.arange(20) >= 5) & (np.arange(20) < 15)) + 1
    place = Places("users", table, 0, 5, popularity)
    assert mask_watch.density_by_popularity(place) == [0] * 5 + [1] * 5


def test_columns_are_looked_at_as_rows_are():
    _, table = model(None)
    mask_of(table).assign(np.tile([True, False, False, True], (40, 1)))
    place = Places("items", table, 1, 0, np.array([3, 1, 0, 2]))
    # Ascending: the third, second, fourth, first.
    assert mask_watch.density_by_popularity(place) == [0, 0, 1, 1]


def test_a_look_tells_what_stayed_and_what_was_ever_active():
    made, table = model(tfdsl.DSL(0.25, total_steps=10))
    watch = MaskWatch(made, [Places("users", table, 0, 0, np.arange(40))])
    watch.begin()
    watch.look(1, 7)
    (sparse_weight,) = made.optimizer.sparse_weights
    mask = sparse_weight.mask.numpy()
    moved = np.roll(mask, 1, axis=1)
    sparse_weight.set_mask(moved)
    watch.look(2, 14)
    first, second = watch.records
    assert (first["epoch"], first["step"], first["overlap"]) == (1, 7, 1.0)
    assert first["exploration"] == pytest.approx(0.25)
    assert second["overlap"] == pytest.approx((mask & moved).sum() / mask.sum(), abs=1e-5)
    assert second["exploration"] == pytest.approx((mask | moved).mean(), abs=1e-5)
    assert np.mean(second["density"]["users"]) == pytest.approx(0.25, abs=1e-4)


def test_a_dense_model_has_no_records():
    made, table = model(None)
    watch = MaskWatch(made, [Places("users", table, 0, 0, np.arange(40))])
    watch.begin()
    watch.look(1, 1)
    assert watch.records == []


def test_interactions_are_counted():
    users, items = mask_watch.counts(sparse.csr_array(np.array([[1, 1, 0], [0, 1, 0]])))
    assert users.tolist() == [2, 1]
    assert items.tolist() == [1, 2, 0]
