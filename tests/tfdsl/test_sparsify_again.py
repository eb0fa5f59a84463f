import keras
import numpy as np
from dense_models import KINDS, MODELS, X, n_masks, sequential, subclassed

import tfdsl
from tfdsl.layers import SparseDense, mask_of

layers = keras.layers


# ---- models that are sparse already ----------------------------------------------------------


def half_sparse(model):
    """Gives every mask some zeros, as training does."""
    for weight in model.weights:
        if mask_of(weight) is not None:
            mask = np.arange(np.prod(weight.shape)).reshape(weight.shape) % 2 == 0
            mask_of(weight).assign(mask)
            weight.assign(np.where(mask, weight, 0.0))
    return model


def assert_equal_weights(ours, theirs):
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(a, b)


@KINDS
def test_a_sparse_model_keeps_its_masks(kind, tmp_path):
    sparse = half_sparse(tfdsl.sparsify(MODELS[kind][0]()))
    again = tfdsl.sparsify(sparse)
    assert n_masks(again) == MODELS[kind][1]
    assert_equal_weights(again, sparse)
    np.testing.assert_array_equal(again(X), sparse(X))
    again.save(tmp_path / "model.keras")
    assert_equal_weights(keras.models.load_model(tmp_path / "model.keras"), sparse)
    assert "__new__" not in vars(layers.Dense)


def test_a_sparse_model_inside_a_dense_one_keeps_its_masks(tmp_path):
    inner = half_sparse(tfdsl.sparsify(subclassed()))
    model = keras.Sequential([layers.Input((5,)), inner, layers.Dense(2)])
    sparse = tfdsl.sparsify(model)
    assert n_masks(sparse) == 5
    np.testing.assert_array_equal(sparse(X), model(X))
    sparse.save(tmp_path / "model.keras")
    assert_equal_weights(keras.models.load_model(tmp_path / "model.keras"), sparse)


def test_dense_layers_beside_sparse_ones_get_masks():
    model = keras.Sequential(
        [layers.Input((5,)), SparseDense(4, sparse_bias=True), layers.Dense(2)]
    )
    half_sparse(model)
    sparse = tfdsl.sparsify(model)
    assert n_masks(sparse) == 3
    assert sparse.layers[1].kernel_mask.numpy().all()
    assert not sparse.layers[0].kernel_mask.numpy().all()
    assert_equal_weights(sparse.layers[0], model.layers[0])
    np.testing.assert_array_equal(sparse(X), model(X))


def test_a_model_that_sparsifies_a_part_of_itself_can_be_sparsified():
    class Partly(keras.Model):
        def __init__(self):
            super().__init__()
            self.part = tfdsl.sparsify(sequential())
            self.last = layers.Dense(2)

        def build(self, input_shape):
            self.last.build((None, 2))

        def call(self, x):
            return self.last(self.part(x))

    model = Partly()
    model.build((None, 5))
    sparse = tfdsl.sparsify(model)
    assert n_masks(sparse) == 3
    np.testing.assert_array_equal(sparse(X), model(X))
