"""Small models with masks at density 0.1, and inputs for them by the names an export has."""

import keras
import numpy as np
from scipy import sparse

import tfdsl

N_USERS, N_ITEMS = 60, 50
RNG = np.random.default_rng(0)
GRAPH = sparse.random_array((N_USERS, N_ITEMS), density=0.1, format="csr", rng=0)
USERS, ITEMS = RNG.integers(0, N_USERS, 20), RNG.integers(0, N_ITEMS, (20, 4))
CLICKS = {"dense": RNG.normal(size=(9, 13)), "categorical": RNG.integers(0, 9000, (9, 3))}


def masked(model, density=0.1):
    """Gives the model's weights masks of its own, without an optimizer, which would compile."""
    draw = np.random.default_rng(1)
    for weight in model.trainable_weights:
        mask = tfdsl.layers.mask_of(weight)
        if mask is not None:
            mask.assign(draw.random(weight.shape) < density)
            weight.assign(np.where(mask, weight.numpy(), 0))
    return model


def mult_vae():
    model = tfdsl.models.MultVAE(N_ITEMS, hidden=40, latent=12, sparse_bias=True)
    model.build((None, N_ITEMS))
    return masked(model), {"items": RNG.random((7, N_ITEMS)) < 0.1}


def neu_mf():
    model = tfdsl.models.NeuMF(N_USERS, N_ITEMS, sparse=("gmf", "mlp"))
    return masked(model), {"users": USERS, "items": ITEMS}


def light_gcn(gather="float32"):
    model = tfdsl.models.LightGCN(GRAPH, width=16, gather=gather)
    return masked(model), {"users": USERS, "items": ITEMS}


def dlrm():
    sizes = {"bottom": (24, 12), "top": (20, 10)}
    model = tfdsl.models.DLRM([50, 3000, 7], sparse_tables=True, **sizes)
    return masked(model), CLICKS


def pruned_dlrm():
    model = tfdsl.models.DLRM([50, 3000, 7], bottom=(24, 12), top=(20, 10))
    for mlp in (model.bottom_mlp, model.top_mlp):
        mlp.set_n_kept([units // 2 for units in mlp.units[:-1]])
        mlp.is_pruned.assign(True)
    return model, CLICKS


def functional():
    words = keras.Input((2,), dtype="string", name="words")
    numbers = keras.Input((3,), name="numbers")
    lookup = keras.layers.StringLookup(vocabulary=["a", "b", "c"])
    x = keras.layers.Flatten()(keras.layers.Embedding(5, 30)(lookup(words)))
    x = keras.layers.Concatenate()([x, numbers])
    x = keras.layers.BatchNormalization()(keras.layers.Dense(300, activation="relu")(x))
    outputs = {"two": keras.layers.Dense(2)(x), "one": keras.layers.Dense(1)(x)}
    model = tfdsl.sparsify(keras.Model([words, numbers], outputs))
    inputs = {"words": np.array([["a", "c"], ["d", "b"]]), "numbers": np.ones((2, 3))}
    return masked(model), inputs


MODELS = {
    "mult_vae": mult_vae,
    "neu_mf": neu_mf,
    "light_gcn": light_gcn,
    "dlrm": dlrm,
    "pruned_dlrm": pruned_dlrm,
    "functional": functional,
}


def outputs(model, inputs):
    """Returns the model's own outputs by name."""
    tensors = [keras.ops.convert_to_tensor(as_fed(name, x)) for name, x in inputs.items()]
    found = model(tensors[0] if len(tensors) == 1 else tuple(tensors), training=False)
    found = found if isinstance(found, dict) else {"output_0": found}
    return {name: np.asarray(value) for name, value in found.items()}


def as_fed(name, x):
    """Returns an input in the dtype that the export takes."""
    return x.astype({"i": "int64", "U": object}.get(x.dtype.kind, "float32"))
