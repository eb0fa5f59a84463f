import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import exported_models
from tfdsl.export.signature import signature_of


def names(signature):
    return [(spec.name, tuple(spec.shape), spec.dtype.name) for spec in tf.nest.flatten(signature)]


def test_models_of_ours_say_their_inputs():
    assert names(signature_of(exported_models.mult_vae()[0])) == [("items", (None, 50), "float32")]
    assert names(signature_of(exported_models.neu_mf()[0])) == [
        ("users", (None,), "int64"),
        ("items", (None, None), "int64"),
    ]
    assert names(signature_of(exported_models.dlrm()[0])) == [
        ("dense", (None, 13), "float32"),
        ("categorical", (None, 3), "int64"),
    ]


def test_inputs_of_a_functional_model_have_their_layers_names():
    assert names(signature_of(exported_models.functional()[0])) == [
        ("words", (None, 2), "string"),
        ("numbers", (None, 3), "float32"),
    ]


def test_inputs_without_a_name_are_numbered_whatever_was_made_before():
    keras.Input((1,))
    one, other = keras.Input((2,)), keras.Input((3,))
    model = keras.Model([one, other], keras.layers.Concatenate()([one, other]))
    assert [name for name, *_ in names(signature_of(model))] == ["input_0", "input_1"]
    single = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert names(signature_of(single)) == [("inputs", (None, 2), "float32")]


def test_a_subclassed_model_of_one_tensor_has_the_shape_it_was_built_for():
    class Own(keras.Model):
        def call(self, inputs):
            return keras.tree.flatten(inputs)[0]

    model = Own()
    with pytest.raises(ValueError, match=r"are not known. Pass input_signature"):
        signature_of(model)
    model(np.ones((4, 2)))
    assert names(signature_of(model)) == [("inputs", (None, 2), "float32")]
    several = Own()
    several({"a": np.ones((4, 2)), "b": np.ones((4, 2))})
    with pytest.raises(ValueError, match=r"are not known. Pass input_signature"):
        signature_of(several)


def test_a_given_signature_is_taken():
    given = [tf.TensorSpec((None, 2), tf.int32, "x"), keras.InputSpec("float16", (None, 3))]
    model = exported_models.mult_vae()[0]
    assert names(signature_of(model, given)) == [
        ("x", (None, 2), "int32"),
        ("input_1", (None, 3), "float16"),
    ]
