"""A small MLP whose neurons are pruned, and short runs of it."""

import keras
import numpy as np
import tensorflow as tf

import tfdsl
from tfdsl.layers import PrunableMLP

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 16, 5)).astype(np.float32)
Y = (X[:, :, :1] * X[:, :, 1:2] > 0).astype(np.float32)
AMGP = tfdsl.AlternateGrowthPruning(0.5, total_steps=20, cycles=2, final_share=0.2)
PRUNE, GROW = AMGP.updates.prune, AMGP.updates.grow  # (2, 10), (8, 16)


def make(algorithm=AMGP, inner="adam", **compiled):
    keras.utils.set_random_seed(2)
    inputs = keras.Input((5,))
    initializer = keras.initializers.GlorotUniform(seed=1)
    mlp = PrunableMLP([8, 6, 1], ["relu", "relu", None], kernel_initializer=initializer)
    model = keras.Model(inputs, mlp(inputs))
    optimizer = algorithm and tfdsl.SparseOptimizer(inner, algorithm)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer or inner, loss=loss, **({"jit_compile": False} | compiled))
    model.optimizer.build(model.trainable_variables)
    return model, mlp


def train(model, first=0, end=20, x=X):
    """Trains on batches first .. end - 1 and returns the state after each, by number of steps."""
    states = {}

    class After(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            variables = (*model.variables, *model.optimizer.variables)
            states[first + batch + 1] = [v.numpy() for v in variables]

    data = tf.data.Dataset.from_tensor_slices((x[first:end], Y[first:end]))
    model.fit(data, verbose=0, callbacks=[After()])
    return states


def places(model, variable):
    everything = (*model.variables, *model.optimizer.variables)
    return next(i for i, v in enumerate(everything) if v is variable)
