"""Small models and short runs of them that several test files look at."""

import keras
import numpy as np
from keras import ops

import tfdsl
from tfdsl.layers import SparseDense, mask_of

MODES = ("eager", "graph", "xla")
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
STEPS, BATCH = 12, 4
MODE = {
    "eager": {"run_eagerly": True},
    "graph": {"jit_compile": False},
    "xla": {"jit_compile": True},
}
_rng = np.random.default_rng(0)
X = _rng.normal(size=(STEPS * BATCH, 6)).astype(np.float32)
Y = _rng.normal(size=(STEPS * BATCH, 3)).astype(np.float32)


def dsl(density=0.25, **kwargs):
    return tfdsl.DSL(density, **({"update_interval": 3, "total_steps": STEPS} | kwargs))


def small_model(layer=SparseDense):
    return keras.Sequential([keras.Input((6,)), layer(8, activation="tanh"), layer(3)])


def compiled(inner="adam", algorithm=None, mode="graph", **kwargs):
    model = small_model()
    optimizer = tfdsl.SparseOptimizer(inner, dsl() if algorithm is None else algorithm)
    model.compile(optimizer, loss="mse", **MODE[mode], **kwargs)
    if mode == "eager":  # or the first gradients are of dense weights, and a warning says so
        model.optimizer.build(model.trainable_variables)
    return model


def fit(model, start=0, stop=STEPS, **kwargs):
    rows = slice(start * BATCH, stop * BATCH)
    return model.fit(X[rows], Y[rows], batch_size=BATCH, shuffle=False, **({"verbose": 0} | kwargs))


def masked(model):
    return [w for w in model.trainable_weights if mask_of(w) is not None]


def masks_of(model):
    return [mask_of(w).numpy() for w in masked(model)]


def values(variables):
    return [ops.convert_to_numpy(v.value).copy() for v in variables]


def assert_equal(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_sparse(model, counts=(12, 6)):
    """P1 and P2: the budget is met exactly, and all weights off the mask are exactly zero."""
    for weight, mask, n in zip(masked(model), masks_of(model), counts, strict=True):
        assert mask.sum() == n
        assert (weight.numpy()[~mask] == 0.0).all()
