import keras
import numpy as np
import pytest
import tensorflow as tf

from tfdsl.layers import SparseDense, mask_of

X = np.linspace(-1.0, 1.0, 2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"activation": "relu", "use_bias": False}, {"dtype": "mixed_float16"}],
    ids=["plain", "relu", "mixed"],
)
@pytest.mark.parametrize("x", [X, X[:, 0]], ids=["rank 3", "rank 2"])
def test_outputs_equal_those_of_dense(arguments, x):
    dense, sparse = keras.layers.Dense(5, **arguments), SparseDense(5, **arguments)
    dense.build(x.shape)
    sparse.build(x.shape)
    for ours, theirs in zip(sparse.trainable_weights, dense.weights, strict=True):
        ours.assign(theirs)
    np.testing.assert_array_equal(sparse(x), dense(x))


def test_the_same_seed_gives_the_same_initial_weights_as_dense():
    kernels = []
    for kind in (keras.layers.Dense, SparseDense):
        keras.utils.set_random_seed(3)
        layer = kind(5)
        layer.build((None, 4))
        kernels.append(layer.kernel.numpy())
    np.testing.assert_array_equal(*kernels)


def test_the_kernel_has_a_mask_and_the_bias_none():
    layer = SparseDense(5)
    layer.build((None, 4))
    assert mask_of(layer.kernel) is layer.kernel_mask
    assert layer.kernel_mask.shape == (4, 5)
    assert mask_of(layer.bias) is None


def test_a_sparse_bias_has_a_mask():
    layer = SparseDense(5, sparse_bias=True)
    layer.build((None, 4))
    assert mask_of(layer.bias) is layer.bias_mask
    assert layer.bias_mask.shape == (5,)


def test_a_sparse_bias_without_a_bias_is_no_bias():
    layer = SparseDense(5, sparse_bias=True, use_bias=False)
    layer.build((None, 4))
    assert [w.name for w in layer.weights] == ["kernel", "kernel_mask"]


def test_the_gradient_is_dense_off_the_mask_too():
    layer = SparseDense(2, use_bias=False)
    layer.build((None, 4))
    layer.kernel_mask.assign(np.eye(4, 2, dtype=bool))
    layer.kernel.assign(np.eye(4, 2))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(tf.ones((1, 4))))
    np.testing.assert_array_equal(tape.gradient(loss, layer.kernel.value), np.ones((4, 2)))


def test_a_layer_survives_its_configuration():
    layer = SparseDense(5, activation="tanh", sparse_bias=True, kernel_constraint="non_neg")
    layer.build((None, 4))
    again = SparseDense.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert again.sparse_bias
    again.build((None, 4))
    assert isinstance(mask_of(again.bias), keras.Variable)
    assert isinstance(again.kernel.constraint.inner, keras.constraints.NonNeg)


def test_lora_is_refused_when_the_layer_is_made():
    with pytest.raises(ValueError, match=r"'low' takes no LoRA, received rank 2.*lora_rank"):
        SparseDense(5, lora_rank=2, name="low")


def test_lora_is_refused_when_the_layer_is_built():
    layer = SparseDense(5, name="low")
    layer.build((None, 4))
    weights = len(layer.weights)
    with pytest.raises(ValueError, match="'low' takes no LoRA, received rank 3"):
        layer.enable_lora(3)
    assert len(layer.weights) == weights
