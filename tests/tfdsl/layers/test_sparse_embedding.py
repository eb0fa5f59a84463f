import keras
import numpy as np
import pytest
import tensorflow as tf

from tfdsl.layers import SparseEmbedding, mask_of

IDS = np.array([[1, 3, 3], [0, 5, 1]])
TABLE = np.arange(24.0, dtype=np.float32).reshape(6, 4)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_outputs_equal_those_of_embedding(dtype):
    dense, sparse = (
        layer(6, 4, dtype=dtype) for layer in (keras.layers.Embedding, SparseEmbedding)
    )
    dense.build()
    sparse.build()
    sparse.embeddings.assign(dense.embeddings)
    np.testing.assert_array_equal(tf.cast(sparse(IDS), tf.float32), tf.cast(dense(IDS), tf.float32))


def test_the_mask_of_zero_ids_equals_that_of_embedding():
    layers = [layer(6, 4, mask_zero=True) for layer in (keras.layers.Embedding, SparseEmbedding)]
    dense, sparse = (layer.compute_mask(IDS) for layer in layers)
    np.testing.assert_array_equal(sparse, dense)


def test_the_table_has_a_mask():
    layer = SparseEmbedding(6, 4)
    layer.build()
    assert mask_of(layer.embeddings) is layer.embeddings_mask
    assert layer.embeddings_mask.shape == (6, 4)


@pytest.mark.parametrize("xla", [False, True], ids=["graph", "xla"])
def test_the_gradient_is_of_the_rows_looked_up_only(xla):
    layer = SparseEmbedding(6, 4)
    layer.build()

    @tf.function(jit_compile=xla, autograph=False)
    def gradient(ids):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(ids))
        slices = tape.gradient(loss, layer.embeddings.value)
        assert isinstance(slices, tf.IndexedSlices)
        return slices.values, slices.indices

    values, indices = gradient(tf.constant(IDS))
    np.testing.assert_array_equal(indices, IDS.ravel())
    np.testing.assert_array_equal(values, np.ones((6, 4)))


@pytest.mark.parametrize("weights", [TABLE, [TABLE]], ids=["array", "list"])
def test_the_weights_argument_sets_the_table(weights):
    layer = SparseEmbedding(6, 4, weights=weights)
    np.testing.assert_array_equal(layer.embeddings, TABLE)
    np.testing.assert_array_equal(layer(IDS), TABLE[IDS])
    assert bool(tf.reduce_all(layer.embeddings_mask.value))


def test_building_twice_makes_one_table():
    layer = SparseEmbedding(6, 4)
    layer.build()
    layer.build((None, 3))
    assert [w.name for w in layer.weights] == ["embeddings", "embeddings_mask"]


def test_a_layer_survives_its_configuration():
    layer = SparseEmbedding(6, 4, mask_zero=True, embeddings_constraint="unit_norm")
    again = SparseEmbedding.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    again.build()
    assert isinstance(again.embeddings.constraint.inner, keras.constraints.UnitNorm)


def test_lora_is_refused_when_the_layer_is_made():
    with pytest.raises(ValueError, match=r"'low' takes no LoRA, received rank 2.*lora_rank"):
        SparseEmbedding(6, 4, lora_rank=2, name="low")


def test_lora_is_refused_when_the_layer_is_built():
    layer = SparseEmbedding(6, 4, name="low")
    layer.build()
    weights = len(layer.weights)
    with pytest.raises(ValueError, match="'low' takes no LoRA, received rank 3"):
        layer.enable_lora(3)
    assert len(layer.weights) == weights
