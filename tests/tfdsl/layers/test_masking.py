import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import tfdsl
from tfdsl.layers import Masked, SparseDense, SparseEmbedding, add_mask, mask_of


@keras.saving.register_keras_serializable(package="tests")
class Scale(keras.layers.Layer):
    """A user's own layer with a mask."""

    def build(self, input_shape):
        self.scale = self.add_weight(shape=input_shape[1:], name="scale", initializer="ones")
        add_mask(self, self.scale)

    def call(self, x):
        return x * self.scale


# Each: a model's input, and its layers.
LAYERS = {
    "SparseDense": lambda: [keras.Input((5,)), SparseDense(4, activation="relu", sparse_bias=True)],
    "SparseEmbedding": lambda: [
        keras.Input((3,), dtype="int32"),
        SparseEmbedding(9, 4),
        keras.layers.Flatten(),
    ],
    "own layer": lambda: [keras.Input((5,)), Scale()],
}
INPUTS = {"SparseEmbedding": np.arange(6).reshape(2, 3)}
KINDS = pytest.mark.parametrize("kind", LAYERS)


def inputs(kind):
    return INPUTS.get(kind, np.linspace(-1.0, 1.0, 10, dtype=np.float32).reshape(2, 5))


def sparse_model(kind):
    """A model whose weights are sparse, as training leaves them."""
    model = keras.Sequential(LAYERS[kind]())
    for number, weight in enumerate(model.trainable_weights):
        mask = np.random.default_rng(number).random(weight.shape) < 0.5
        mask_of(weight).assign(mask)
        weight.assign(np.where(mask, np.random.default_rng(number).normal(size=weight.shape), 0.0))
    return model


def state(model):
    return {v.path: ops.convert_to_numpy(v.value) for v in model.variables}


def assert_same(model, other, kind):
    ours, theirs = list(state(model).values()), list(state(other).values())
    assert len(ours) == len(theirs)
    assert any(x.dtype == bool and not x.all() for x in theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(model(inputs(kind)), other(inputs(kind)))


# ---- P4 -------------------------------------------------------------------------------------


@KINDS
def test_a_layer_and_its_masks_survive_a_keras_file(kind, tmp_path):
    model = sparse_model(kind)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert_same(model, again, kind)
    for a, b in zip(model.layers, again.layers, strict=True):
        assert a.get_config() == b.get_config()


@KINDS
def test_a_layer_and_its_masks_survive_a_weights_file(kind, tmp_path):
    model, other = sparse_model(kind), keras.Sequential(LAYERS[kind]())
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    assert_same(model, other, kind)


@KINDS
def test_a_layer_and_its_masks_survive_a_tensorflow_checkpoint(kind, tmp_path):
    model, other = sparse_model(kind), keras.Sequential(LAYERS[kind]())
    path = tf.train.Checkpoint(model=model).write(str(tmp_path / "checkpoint"))
    status = tf.train.Checkpoint(model=other).read(path)
    status.assert_existing_objects_matched()
    assert_same(model, other, kind)


@KINDS
def test_a_layers_saved_model_gives_the_same_outputs(kind, tmp_path):
    model = sparse_model(kind)
    model.export(tmp_path / "saved", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "saved"))
    x = tf.cast(inputs(kind), model.inputs[0].dtype)
    np.testing.assert_allclose(served.serve(x), model(x), rtol=1e-6, atol=1e-6)


@KINDS
def test_a_loaded_layer_is_masked_by_its_own_mask(kind, tmp_path):
    sparse_model(kind).save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for weight in again.trainable_weights:
        kept = ops.convert_to_numpy(weight.constraint(ops.ones_like(weight)))
        np.testing.assert_array_equal(kept != 0, ops.convert_to_numpy(mask_of(weight).value))


# ---- add_mask -------------------------------------------------------------------------------


def test_a_mask_is_made_of_ones_beside_its_weight():
    layer = Scale()
    layer.build((None, 5))
    mask = mask_of(layer.scale)
    assert mask.shape == layer.scale.shape
    assert mask.dtype == "bool"
    assert bool(ops.all(mask))
    assert layer.scale_mask is mask
    assert [v.name for v in layer.non_trainable_weights] == ["scale_mask"]


def test_a_weight_without_a_mask_has_none():
    layer = keras.layers.Dense(3, kernel_constraint="non_neg")
    layer.build((None, 2))
    assert mask_of(layer.kernel) is None
    assert mask_of(layer.bias) is None


def test_an_own_layer_trains_sparse():
    model = keras.Sequential([keras.Input((8,)), Scale()])
    optimizer = tfdsl.SparseOptimizer("sgd", tfdsl.StaticSparse(0.25))
    optimizer.build(model.trainable_variables)
    optimizer.apply([ops.ones((8,))])
    assert np.count_nonzero(model.layers[0].scale) == 2


def test_a_second_mask_is_refused():
    layer = Scale()
    layer.build((None, 5))
    with pytest.raises(ValueError, match="has a mask already"):
        add_mask(layer, layer.scale)


def test_a_mask_on_a_scalar_is_refused():
    layer = keras.layers.Layer()
    weight = layer.add_weight(shape=(), name="temperature")
    with pytest.raises(ValueError, match="temperature"):
        add_mask(layer, weight)


@pytest.mark.parametrize("value", [3, np.ones((2, 2)), tf.ones((2, 2)), tf.Variable([1.0])])
def test_a_mask_on_anything_but_a_weight_is_refused(value):
    with pytest.raises(ValueError, match=r"received .*layer\.add_weight") as error:
        add_mask(keras.layers.Layer(), value)
    assert " ".join(repr(value).split()) in str(error.value)


def test_a_mask_on_integers_is_refused():
    layer = keras.layers.Layer()
    weight = layer.add_weight(shape=(3,), dtype="int32", name="counts")
    with pytest.raises(ValueError, match=r"received the weight '.*counts' of dtype int32\. Make"):
        add_mask(layer, weight)


def test_a_mask_on_a_weight_that_is_not_trained_is_refused():
    layer = keras.layers.Layer()
    weight = layer.add_weight(shape=(3,), trainable=False, name="mean")
    with pytest.raises(ValueError, match=r"mean', which is not\. Make it.*trainable=True"):
        add_mask(layer, weight)


@pytest.mark.parametrize("make", [Scale, lambda **kwargs: SparseDense(3, **kwargs)])
def test_a_frozen_layer_can_be_built_and_thawed(make):
    layer = make(trainable=False)
    layer.build((None, 5))
    assert not layer.trainable_weights
    layer.trainable = True
    assert mask_of(layer.trainable_weights[0]) is not None


# ---- the constraint -------------------------------------------------------------------------


def test_a_weight_off_its_mask_becomes_zero_even_if_it_is_not_a_number():
    mask = keras.Variable([True, False, False], dtype="bool", trainable=False)
    np.testing.assert_array_equal(Masked(mask)(tf.constant([2.0, 3.0, np.nan])), [2.0, 0.0, 0.0])


def test_the_weights_own_constraint_is_still_applied():
    layer = SparseDense(3, kernel_constraint="non_neg")
    layer.build((None, 2))
    layer.kernel_mask.assign([[True, True, False], [True, True, True]])
    bound = layer.kernel.constraint(tf.constant([[-1.0, 2.0, 3.0], [4.0, -5.0, 6.0]]))
    np.testing.assert_array_equal(bound, [[0.0, 2.0, 0.0], [4.0, 0.0, 6.0]])


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adagrad", "ftrl", "lion"])
def test_a_plain_keras_optimizer_keeps_a_sparse_layer_sparse(optimizer):
    layer = SparseDense(3, kernel_constraint="non_neg")
    layer.build((None, 4))
    mask = np.arange(12).reshape(4, 3) % 2 == 0
    layer.kernel_mask.assign(mask)
    layer.kernel.assign(np.where(mask, 0.5, 0.0))
    optimizer = keras.optimizers.get(optimizer)
    for sign in (1.0, -1.0, 1.0):
        optimizer.apply([sign * tf.ones((4, 3)), tf.ones((3,))], [layer.kernel, layer.bias])
    kernel = ops.convert_to_numpy(layer.kernel.value)
    assert (kernel[~mask] == 0.0).all()
    assert (kernel >= 0.0).all()


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "inside SparseOptimizer"])
def test_a_moving_average_is_masked_inside_a_sparse_optimizer_only(inside):
    optimizer = keras.optimizers.Adam(0.1, use_ema=True)
    if inside:
        optimizer = tfdsl.SparseOptimizer(optimizer, tfdsl.StaticSparse(0.5))
    model = keras.Sequential([keras.Input((5,)), SparseDense(4)])
    model.layers[0].kernel_mask.assign(np.arange(20).reshape(5, 4) % 2 == 0)
    model.compile(optimizer, loss="mse", jit_compile=False)
    model.fit(np.ones((4, 5)), np.ones((4, 4)), epochs=2, verbose=0)
    kernel, mask = (w.numpy() for w in (model.layers[0].kernel, model.layers[0].kernel_mask))
    assert (kernel[~mask] == 0.0).all() == inside
