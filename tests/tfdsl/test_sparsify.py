import keras
import numpy as np
import pytest
from dense_models import (
    KINDS,
    MODELS,
    Subclassed,
    X,
    flat_layers,
    functional,
    n_masks,
    sequential,
    subclassed,
)

import tfdsl
from tfdsl.layers import SparseDense, SparseEmbedding, mask_of

layers = keras.layers


@KINDS
def test_every_dense_layer_gets_a_mask_and_the_outputs_stay(kind):
    make, n_dense = MODELS[kind]
    model = make()
    sparse = tfdsl.sparsify(model)
    assert n_masks(sparse) == n_dense
    assert all(isinstance(layer, SparseDense) for layer in flat_layers(sparse))
    np.testing.assert_array_equal(sparse(X), model(X))


@KINDS
def test_the_model_given_is_left_as_it_was(kind):
    model = MODELS[kind][0]()
    before = [w.numpy() for w in model.weights]
    sparse = tfdsl.sparsify(model)
    for weight in sparse.trainable_weights:
        weight.assign(weight * 0.0)
    assert n_masks(model) == 0
    assert all(type(layer) is layers.Dense for layer in flat_layers(model))
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


@KINDS
def test_a_sparsified_model_survives_a_keras_file(kind, tmp_path):
    sparse = tfdsl.sparsify(MODELS[kind][0]())
    optimizer = tfdsl.SparseOptimizer("sgd", tfdsl.StaticSparse(0.5))
    optimizer.build(sparse.trainable_variables)
    sparse.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert len(again.weights) == len(sparse.weights)
    for ours, theirs in zip(again.weights, sparse.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert n_masks(again) == MODELS[kind][1]
    assert any(w.dtype == "bool" and not w.numpy().all() for w in again.weights)
    np.testing.assert_array_equal(again(X), sparse(X))


@KINDS
def test_a_sparsified_model_survives_being_saved_twice(kind, tmp_path):
    sparse = tfdsl.sparsify(MODELS[kind][0]())
    for name in ("a.keras", "b.keras"):
        sparse.save(tmp_path / name)
        sparse = keras.models.load_model(tmp_path / name)
    assert n_masks(sparse) == MODELS[kind][1]


def test_a_sparsified_subclassed_model_trains_and_survives_compiled(tmp_path):
    sparse = tfdsl.sparsify(subclassed())
    optimizer = tfdsl.SparseOptimizer("sgd", tfdsl.StaticSparse(0.5))
    sparse.compile(optimizer, loss="mse", jit_compile=False)
    sparse.fit(X, np.zeros((4, 3), np.float32), verbose=0)
    sparse.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(again.optimizer, tfdsl.SparseOptimizer)
    np.testing.assert_array_equal(again(X), sparse(X))
    for ours, theirs in zip(again.optimizer.variables, optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_shared_layer_stays_shared():
    sparse = tfdsl.sparsify(functional())
    assert len([w for w in sparse.trainable_weights if w.name == "kernel"]) == 3


def test_an_embedding_becomes_sparse():
    model = keras.Sequential([layers.Input((3,)), layers.Embedding(7, 4, mask_zero=True)])
    sparse = tfdsl.sparsify(model)
    (table,) = sparse.layers
    assert isinstance(table, SparseEmbedding)
    assert table.mask_zero
    ids = np.array([[0, 1, 6]])
    np.testing.assert_array_equal(sparse(ids), model(ids))


def test_a_model_that_is_not_built_becomes_sparse_when_it_is():
    sparse = tfdsl.sparsify(keras.Sequential([layers.Dense(4), layers.Dense(2)]))
    assert not sparse.built
    sparse.build((None, 5))
    assert n_masks(sparse) == 2


def test_a_subclassed_model_that_is_not_built_becomes_sparse_when_it_is():
    sparse = tfdsl.sparsify(Subclassed())
    sparse(X)
    assert n_masks(sparse) == 4


def test_a_lambda_layer_is_kept():
    model = keras.Sequential(
        [layers.Input((5,)), layers.Lambda(lambda x: 2.0 * x), layers.Dense(2)]
    )
    np.testing.assert_array_equal(tfdsl.sparsify(model)(X), model(X))


def test_a_class_derived_from_dense_is_left_alone():
    class OwnDense(layers.Dense):
        pass

    sparse = tfdsl.sparsify(keras.Sequential([layers.Input((5,)), OwnDense(4), layers.Dense(2)]))
    assert [type(layer) for layer in sparse.layers] == [OwnDense, SparseDense]


def test_layer_names_and_arguments_stay():
    model = keras.Sequential(
        [
            layers.Input((5,)),
            layers.Dense(
                4, activation="relu", use_bias=False, kernel_regularizer="l2", name="mine"
            ),
        ]
    )
    (layer,) = tfdsl.sparsify(model).layers
    assert layer.get_config() | {"sparse_bias": None} == (
        model.layers[0].get_config() | {"sparse_bias": None}
    )


def test_frozen_layers_stay_frozen():
    model = sequential()
    model.layers[0].trainable = False
    sparse = tfdsl.sparsify(model)
    assert [layer.trainable for layer in sparse.layers] == [False, True, True]


@keras.saving.register_keras_serializable(package="tests")
class Freezable(keras.Model):
    """Frozen after its construction, as a subclassed model is."""

    def __init__(self):
        super().__init__()
        self.inner = Subclassed()
        self.last = layers.Dense(2)

    def build(self, input_shape):
        self.inner.build(input_shape)
        self.last.build((*input_shape[:-1], 3))

    def call(self, x):
        return self.last(self.inner(x))


FREEZE = {
    "one": lambda m: [(m.last, False)],
    "a model": lambda m: [(m.inner, False)],
    "all but one inside": lambda m: [(m.inner.tower, False), (m.inner.tower.steps[1], True)],
    "outer only": lambda m: [(m.inner, False), (m.inner.first, True), (m.inner.tower, True)],
    "a weight": lambda m: [(m.last.bias, False)],
    "everything": lambda m: [(m, False), (m.last, True)],
}


@pytest.mark.parametrize("what", FREEZE)
def test_what_is_frozen_in_a_subclassed_model_stays_frozen(what):
    model = Freezable()
    model.build((None, 5))
    for part, trainable in FREEZE[what](model):
        part.trainable = trainable
    sparse = tfdsl.sparsify(model)
    masks = {id(mask_of(w)) for w in sparse.weights}
    assert [w.trainable for w in sparse.weights if id(w) not in masks] == [
        w.trainable for w in model.weights
    ]
    assert len(sparse.trainable_weights) == len(model.trainable_weights)
    ours, theirs = ([x.trainable for x in m._flatten_layers()] for m in (sparse, model))
    assert ours == theirs


def test_layers_made_afterwards_are_keras_own():
    tfdsl.sparsify(sequential())
    assert type(layers.Dense(3)) is layers.Dense
    assert type(layers.Embedding(3, 2)) is layers.Embedding
    assert "__new__" not in vars(layers.Dense)


def test_layers_made_after_an_error_are_keras_own():
    with pytest.raises(ValueError):
        tfdsl.sparsify(_broken())
    assert type(layers.Dense(3)) is layers.Dense
    assert "__new__" not in vars(layers.Embedding)


class _OnlyOnce(keras.Model):
    made = 0

    def __init__(self, width):
        super().__init__()
        if _OnlyOnce.made:
            raise TypeError("one is enough")
        _OnlyOnce.made += 1
        self.width = width
        self.only = layers.Dense(width)

    def get_config(self):
        return {"width": self.width}


def _broken():
    _OnlyOnce.made = 0
    return _OnlyOnce(3)


def test_a_model_that_cannot_be_copied_is_refused_by_name_and_with_a_remedy():
    with pytest.raises(ValueError) as error:
        tfdsl.sparsify(_broken())
    assert "_OnlyOnce" in str(error.value)
    assert "get_config" in str(error.value)


def test_a_model_without_such_layers_is_refused():
    model = keras.Sequential([layers.Input((5,)), layers.ReLU()], name="empty")
    with pytest.raises(ValueError, match=r"'empty' has no Dense or Embedding layer.*add_mask"):
        tfdsl.sparsify(model)


@pytest.mark.parametrize("value", [None, "model", 3])
def test_anything_but_a_model_is_refused_with_its_value(value):
    with pytest.raises(ValueError, match=f"received {value!r}"):
        tfdsl.sparsify(value)


def test_a_model_whose_copy_has_other_weights_is_refused():
    class Growing(keras.Model):
        width = 2

        def __init__(self):
            super().__init__()
            Growing.width += 1
            self.only = layers.Dense(Growing.width)

        def build(self, input_shape):
            self.only.build(input_shape)

        def call(self, x):
            return self.only(x)

    model = Growing()
    model.build((None, 5))
    with pytest.raises(ValueError, match="other weights than the model"):
        tfdsl.sparsify(model)


# ---- the rest --------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [False, True], ids=["argument", "enable_lora"])
def test_a_layer_with_lora_is_refused_and_the_remedy_works(late, tmp_path):
    def make(rank=None):
        return keras.Sequential([layers.Input((5,)), layers.Dense(4, lora_rank=rank, name="low")])

    model = make() if late else make(2)
    if late:
        model.layers[0].enable_lora(2)
    model.layers[0].lora_kernel_b.assign(np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"'low' has LoRA of rank 2.*without lora_rank"):
        tfdsl.sparsify(model)
    model.save_weights(tmp_path / "model.weights.h5")
    merged = make()
    merged.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(tfdsl.sparsify(merged)(X), model(X), rtol=1e-5)


def test_the_copy_is_not_compiled_and_the_model_stays_so():
    model = sequential()
    model.compile("sgd", loss="mse")
    assert not tfdsl.sparsify(model).compiled
    assert model.compiled


def test_dense_weights_in_a_file_are_loaded_before_sparsify(tmp_path):
    model, other = sequential(), sequential()
    model.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(ValueError):
        tfdsl.sparsify(other).load_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(tfdsl.sparsify(other)(X), model(X))
