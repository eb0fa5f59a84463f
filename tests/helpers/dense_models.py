"""Dense models of every kind, for `sparsify`."""

import keras
import numpy as np
import pytest

from tfdsl.layers import mask_of

layers = keras.layers
X = np.linspace(-1.0, 1.0, 20, dtype=np.float32).reshape(4, 5)


@keras.saving.register_keras_serializable(package="tests")
class Tower(layers.Layer):
    """A layer that makes layers of its own, in a list."""

    def __init__(self, widths=(4, 3), **kwargs):
        super().__init__(**kwargs)
        self.widths = widths
        self.steps = [layers.Dense(width, activation="tanh") for width in widths]

    def build(self, input_shape):
        for step in self.steps:
            step.build(input_shape)
            input_shape = step.compute_output_shape(input_shape)

    def call(self, x):
        for step in self.steps:
            x = step(x)
        return x

    def get_config(self):
        return super().get_config() | {"widths": self.widths}


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
    """A model with layers as attributes, in a list, and inside a layer."""

    def __init__(self, width=4, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.first = layers.Dense(width)
        self.more = [layers.Dense(width), layers.Dropout(0.5)]
        self.tower = Tower()

    def build(self, input_shape):
        self.first.build(input_shape)
        hidden = (*input_shape[:-1], self.width)
        self.more[0].build(hidden)
        self.tower.build(hidden)

    def call(self, x):
        x = self.first(x)
        for layer in self.more:
            x = layer(x)
        return self.tower(x)

    def get_config(self):
        return super().get_config() | {"width": self.width}


def sequential():
    return keras.Sequential([layers.Input((5,)), layers.Dense(4), layers.ReLU(), layers.Dense(2)])


def functional():
    shared = layers.Dense(3, name="shared")
    inner = keras.Sequential([layers.Input((3,)), layers.Dense(3)], name="inner")
    x = layers.Input((5,))
    left = inner(shared(x))
    right = shared(layers.Dense(5)(x))
    return keras.Model(x, layers.Concatenate()([left, right]))


def composite():
    return keras.Sequential([layers.Input((5,)), Tower(), layers.Dense(2)])


def subclassed():
    model = Subclassed()
    model.build((None, 5))
    return model


# Each with its number of Dense layers.
MODELS = {
    "sequential": (sequential, 2),
    "functional": (functional, 3),
    "composite": (composite, 3),
    "subclassed": (subclassed, 4),
}
KINDS = pytest.mark.parametrize("kind", MODELS)


def n_masks(model):
    return sum(mask_of(w) is not None for w in model.trainable_weights)


def flat_layers(model):
    return [x for x in model._flatten_layers() if isinstance(x, layers.Dense | layers.Embedding)]
