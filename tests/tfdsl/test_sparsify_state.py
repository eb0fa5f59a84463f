import pathlib

import keras
import numpy as np
import pytest
from dense_models import X

import tfdsl

layers = keras.layers


# ---- what layers know that is no weight ------------------------------------------------------

WORDS = np.array([["a"], ["b c"], ["b c"], ["two\nlines"], ["never seen"]])
NUMBERS = np.array([[1.0], [4.0], [9.0], [30.0], [2.0]], np.float32)


def adapted(layer, data):
    layer.adapt(data)
    return layer


# Each: makes the layer, and what it is adapted to and called with.
PREPROCESSING = {
    "normalization": (layers.Normalization, NUMBERS),
    "discretization": (lambda: layers.Discretization(num_bins=3, output_mode="one_hot"), NUMBERS),
    "string": (lambda: layers.StringLookup(output_mode="one_hot"), WORDS),
    "integer": (lambda: layers.IntegerLookup(output_mode="multi_hot"), NUMBERS.astype(int)),
    "tf-idf": (lambda: layers.StringLookup(output_mode="tf_idf"), WORDS),
    "padded": (
        lambda: layers.StringLookup(output_mode="tf_idf", max_tokens=9, pad_to_max_tokens=True),
        WORDS,
    ),
    "text": (lambda: layers.TextVectorization(output_mode="count"), WORDS),
    "given": (lambda: layers.StringLookup(vocabulary=["a", "b c"], output_mode="one_hot"), WORDS),
}


@keras.saving.register_keras_serializable(package="tests")
class Preprocessed(keras.Model):
    def __init__(self, what):
        super().__init__()
        self.what = what
        self.before = PREPROCESSING[what][0]()
        self.dense = layers.Dense(2)

    def call(self, x):
        return self.dense(self.before(x))

    def get_config(self):
        return {"what": self.what}


def preprocessed(what, form):
    make, data = PREPROCESSING[what]
    inputs = layers.Input((1,), dtype="string" if data is WORDS else data.dtype.name)
    if form == "subclassed":
        model = Preprocessed(what)
        if what != "given":
            model.before.adapt(data[:4])
        model(keras.ops.convert_to_tensor(data))
        return model
    before = make() if what == "given" else adapted(make(), data[:4])
    if form == "sequential":
        return keras.Sequential([inputs, before, layers.Dense(2)])
    if form == "unbuilt":
        return keras.Sequential([before, layers.Dense(2)])
    return keras.Model(inputs, layers.Dense(2)(before(inputs)))


@pytest.mark.parametrize("form", ["sequential", "functional", "subclassed"])
@pytest.mark.parametrize("what", PREPROCESSING)
def test_what_a_preprocessing_layer_has_learned_is_copied(what, form):
    model = preprocessed(what, form)
    x = keras.ops.convert_to_tensor(PREPROCESSING[what][1])
    expected = model(x)
    sparse = tfdsl.sparsify(model)
    np.testing.assert_array_equal(sparse(x), expected)
    np.testing.assert_array_equal(model(x), expected)
    assert not {id(v) for v in sparse.variables} & {id(v) for v in model.variables}


@pytest.mark.parametrize("what", PREPROCESSING)
def test_what_a_layer_has_learned_is_copied_before_the_model_is_built(what):
    model = preprocessed(what, "unbuilt")
    x = keras.ops.convert_to_tensor(PREPROCESSING[what][1])
    sparse = tfdsl.sparsify(model)
    np.testing.assert_array_equal(sparse.layers[0](x), model.layers[0](x))


@pytest.mark.parametrize("arguments", [{}, {"num_oov_indices": 0}, {"output_mode": "tf_idf"}])
def test_a_layer_that_is_not_adapted_yet_can_be_later(arguments):
    model = keras.Sequential([layers.StringLookup(**arguments), layers.Dense(2)])
    table = tfdsl.sparsify(model).layers[0]
    table.adapt(WORDS)
    assert table.vocabulary_size() >= 4


def test_state_that_a_layer_writes_into_files_is_copied():
    @keras.saving.register_keras_serializable(package="tests")
    class Remembers(layers.Layer):
        words = ""

        def call(self, x):
            return x * len(self.words)

        def save_assets(self, folder):
            pathlib.Path(folder, "words").write_text(self.words)

        def load_assets(self, folder):
            self.words = pathlib.Path(folder, "words").read_text()

    model = keras.Sequential([layers.Input((5,)), Remembers(), layers.Dense(2)])
    model.layers[0].words = "four"
    np.testing.assert_array_equal(tfdsl.sparsify(model)(X), model(X))


def test_batch_normalization_is_copied_not_shared():
    model = keras.Sequential([layers.Input((5,)), layers.BatchNormalization(), layers.Dense(2)])
    model(X, training=True)
    sparse = tfdsl.sparsify(model)
    np.testing.assert_array_equal(sparse(X), model(X))
    before = model.layers[0].moving_mean.numpy()
    sparse(X + 3.0, training=True)
    np.testing.assert_array_equal(model.layers[0].moving_mean, before)


def test_a_seed_stays():
    model = keras.Sequential([layers.Input((5,)), layers.Dropout(0.5, seed=3), layers.Dense(2)])
    assert tfdsl.sparsify(model).layers[0].seed == 3
