"""Small models with one table, stored dense or packed, that are otherwise the same."""

import keras
import numpy as np

import tfdsl
from tfdsl.layers import SparseEmbedding, mask_of

ROWS, WIDTH, DENSITY, CANDIDATES = 40, 12, 0.3, 3  # three or four active entries a row
_DRAW = np.random.default_rng(0)
X = _DRAW.integers(0, ROWS, (240, 2))
Y = np.sin(1.0 * X.sum(axis=1))[:, None]
STORAGES = ("dense", "packed")


def layer_of(storage, rows=ROWS, **kwargs):
    if storage == "packed":
        kwargs = {"density": DENSITY, "candidates": CANDIDATES} | kwargs
    initializer = keras.initializers.RandomNormal(seed=3)
    return SparseEmbedding(
        rows, WIDTH, embeddings_initializer=initializer, storage=storage, **kwargs
    )


def algorithm_of(**kwargs):
    own = {"grow": "accumulated_gradient", "update_interval": 4, "update_ratio": 0.5}
    own |= {"granularity": "row", "candidates": CANDIDATES, "optimizer_state": "reset"}
    return tfdsl.DSL(**({"density": DENSITY, "total_steps": 60} | own | kwargs))


def model_of(storage, inner="adam", algorithm=None, jit_compile=False, **kwargs):
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(1)
    initializer = keras.initializers.GlorotUniform(seed=5)
    layers = [
        layer_of(storage, name="table", **kwargs),
        keras.layers.Flatten(),
        keras.layers.Dense(1, kernel_initializer=initializer, name="dense"),
    ]
    model = keras.Sequential(layers, name="model")
    model.build((None, 2))
    optimizer = tfdsl.SparseOptimizer(inner, algorithm or algorithm_of())
    model.compile(optimizer, loss="mse", jit_compile=jit_compile)
    return model


def fit(model, epochs=1, batch=20):
    return model.fit(X, Y, batch_size=batch, epochs=epochs, verbose=0, shuffle=False)


def table_and_mask(model):
    table = model.layers[0].embeddings
    return table.numpy(), mask_of(table).numpy()


def assert_alike(one, other, atol=1e-6):
    """Asserts that the tables of two models have the same masks, and values but for rounding."""
    (values, mask), (others, other_mask) = table_and_mask(one), table_and_mask(other)
    np.testing.assert_array_equal(mask, other_mask)
    np.testing.assert_allclose(values, others, atol=atol)
