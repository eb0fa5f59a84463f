"""SparseEmbedding(storage="packed"): what it holds, looks up and refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.packed_tables import CANDIDATES, DENSITY, ROWS, WIDTH, layer_of
from tfdsl.layers import SparseEmbedding, mask_of

IDS = np.array([[1, 3, 3], [0, 5, 39]])


@pytest.fixture
def layer():
    made = layer_of("packed")
    made.build()
    return made


def masks_and_candidates(table):
    mask = np.zeros(table.shape, bool)
    mask[:, :3] = True
    candidates = np.full((ROWS, CANDIDATES), WIDTH)
    candidates[:, 0] = 7
    return mask, tf.constant(candidates, tf.int32)


def test_it_begins_with_the_initial_values_of_as_many_entries_of_each_row(layer):
    table, mask = layer.embeddings.numpy(), mask_of(layer.embeddings).numpy()
    assert mask.sum() == round(DENSITY * ROWS * WIDTH)
    assert set(mask.sum(axis=1)) == {3, 4}
    whole = keras.initializers.RandomNormal(seed=3)((ROWS, WIDTH)).numpy()
    np.testing.assert_array_equal(table, np.where(mask, whole, 0))
    assert len({tuple(np.flatnonzero(row)) for row in mask}) > ROWS / 2  # drawn
    assert layer.embeddings.is_new()


def test_it_takes_the_bytes_of_what_is_active(layer):
    assert [(v.shape, v.dtype) for v in layer.embeddings.parts] == [
        ((ROWS, 4), "float32"),
        ((ROWS, 4 + CANDIDATES), "uint8"),
        ((ROWS, CANDIDATES), "float32"),
    ]
    assert layer.embeddings.values.trainable
    assert not layer.embeddings.columns.trainable


@pytest.mark.parametrize(("width", "dtype"), [(255, "uint8"), (256, "uint16")])
def test_columns_are_as_wide_as_needed(width, dtype):
    wide = SparseEmbedding(width, width, storage="packed", density=0.01, candidates=2)
    wide.build()
    assert wide.embeddings.columns.dtype == dtype
    mask = mask_of(wide.embeddings).numpy()
    assert mask.sum() == round(0.01 * width**2)


@pytest.mark.parametrize("xla", [False, True], ids=["eager", "xla"])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_look_ups_are_rows_of_the_table(dtype, xla):
    made = layer_of("packed", dtype=dtype)
    look_up = tf.function(made, jit_compile=True, autograph=False) if xla else made
    rows = look_up(tf.constant(IDS))
    assert rows.dtype == made.compute_dtype
    expected = tf.cast(made.embeddings.numpy()[IDS], made.compute_dtype)
    np.testing.assert_array_equal(tf.cast(rows, "float32"), tf.cast(expected, "float32"))
    np.testing.assert_array_equal(made(IDS.astype("f4")), rows)


def test_gradients_are_those_of_the_whole_table(layer):
    table = layer.embeddings
    mask, candidates = masks_and_candidates(table)
    table.assign(np.random.default_rng(0).normal(size=table.shape).astype("f4"), mask)
    table.set_columns(table.active_columns, candidates)
    whole = tf.Variable(table.numpy())
    weights = tf.constant(np.random.default_rng(1).normal(size=(2, 3, WIDTH)).astype("f4"))

    def losses(rows):
        return tf.reduce_sum(weights * tf.sin(rows))

    with tf.GradientTape(persistent=True) as tape:
        looked_up = losses(layer(IDS))
        of_whole = losses(tf.gather(table.value, IDS))
        expected = losses(tf.gather(whole, IDS))
    expected = tf.convert_to_tensor(tape.gradient(expected, whole)).numpy()
    parts = [table.values.value, table.growth.value]
    for loss, kind in ((looked_up, tf.IndexedSlices), (of_whole, tf.Tensor)):
        values, growth = tape.gradient(loss, parts)
        assert isinstance(values, kind)
        values, growth = (tf.convert_to_tensor(g).numpy() for g in (values, growth))
        np.testing.assert_allclose(values[:, :3], expected[:, :3], atol=1e-6)
        np.testing.assert_array_equal(values[:, 3], 0)  # a free place
        np.testing.assert_allclose(growth[:, 0], expected[:, 7], atol=1e-6)
        np.testing.assert_array_equal(growth[:, 1:], 0)


def test_another_optimizer_trains_what_is_active_and_nothing_else(layer):
    model = keras.Sequential([layer, keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile(keras.optimizers.AdamW(0.1), loss="mse")
    before, mask = layer.embeddings.numpy(), mask_of(layer.embeddings).numpy()
    model.fit(np.arange(ROWS)[:, None], np.arange(ROWS)[:, None], verbose=0, epochs=2)
    after = layer.embeddings.numpy()
    np.testing.assert_array_equal(mask_of(layer.embeddings).numpy(), mask)
    assert (after != before)[mask].all()
    assert not after[~mask].any()
    assert not layer.embeddings.growth.numpy().any()
    free = layer.embeddings.active_columns.numpy() == WIDTH
    assert not layer.embeddings.values.numpy()[free].any()
    assert not layer.embeddings.is_new()


def test_it_is_given_a_table_and_a_mask(layer):
    table = layer.embeddings
    values = np.random.default_rng(0).normal(size=table.shape).astype("f4")
    mask = values > np.partition(values, -4, axis=1)[:, [-4]]  # three a row
    table.assign(values, mask)
    np.testing.assert_array_equal(table.numpy(), np.where(mask, values, 0))
    np.testing.assert_array_equal(table.mask.numpy(), mask)
    for wrong in (values[:5], mask[:5]), (values, mask[:5]), (values, mask.astype(int)):
        with pytest.raises(ValueError, match="takes a table and a boolean mask"):
            table.assign(*wrong)
    with pytest.raises(ValueError, match="holds 4 active entries; received a mask with a row of 1"):
        table.assign(values, np.ones_like(mask))


def test_it_is_saved_and_loaded(layer, tmp_path):
    model = keras.Sequential([keras.Input((2,), dtype="int32"), layer])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.layers[0].embeddings.numpy(), layer.embeddings.numpy())
    checkpoint = tf.train.Checkpoint(layer).save(str(tmp_path / "checkpoint"))
    other = layer_of("packed")
    other.build()
    other.embeddings.assign(np.zeros((ROWS, WIDTH), "f4"), np.zeros((ROWS, WIDTH), bool))
    tf.train.Checkpoint(other).restore(checkpoint).assert_consumed()
    np.testing.assert_array_equal(other.embeddings.numpy(), layer.embeddings.numpy())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"density": None}, "`density` must be a number"),
        ({"density": 0.0}, "`density` must be a number"),
        ({"weights": np.ones((ROWS, WIDTH))}, "takes no `weights`"),
        ({"embeddings_constraint": "unit_norm"}, "no `embeddings_constraint`"),
        ({"rows": WIDTH - 1}, "at least as many rows as columns"),
        ({"lora_rank": 2}, "takes no LoRA"),
    ],
)
def test_what_a_packed_table_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        layer_of("packed", **arguments).build()


def test_its_initializer_has_the_same_values_every_time():
    drawing = keras.initializers.RandomNormal(seed=keras.random.SeedGenerator(1))
    made = SparseEmbedding(
        ROWS, WIDTH, embeddings_initializer=drawing, storage="packed", density=0.2
    )
    with pytest.raises(ValueError, match="same values every time"):
        made.build()


def test_a_table_with_a_mask_has_no_density_of_its_own():
    with pytest.raises(ValueError, match=r"Leave it out.|received density=0.5"):
        SparseEmbedding(ROWS, WIDTH, density=0.5)
