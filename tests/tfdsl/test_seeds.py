import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

import tfdsl
from tfdsl import masks
from tfdsl.models import BPRLoss, LightGCN, MultVAE, NeuMF
from tfdsl.seeds import Seed


def test_seeds_are_made_as_masks_make_them():
    step = tf.constant(7, tf.int64)
    for value in (0, 3, 2**31 - 1):
        assert Seed(value).fold(step, 2) == masks.fold_seed(value, step, 2)


def mult_vae(seed):
    model = MultVAE(40, hidden=8, latent=4, seed=seed)
    model.build((None, 40))
    return model, tfdsl.models.MultinomialLikelihood(), np.eye(16, 40, dtype="float32")


def neu_mf(seed):
    pairs = np.arange(16), np.stack([np.arange(16), np.arange(16) + 1], 1)
    labels = np.tile([1.0, 0.0], (16, 1))
    return NeuMF(20, 30, factors=4, mlp_factors=4, hidden=(8,), seed=seed), "mse", (pairs, labels)


def light_gcn(seed):
    graph = sparse.eye_array(20, 30, format="csr")
    pairs = np.arange(16), np.stack([np.arange(16), np.arange(16) + 1], 1)
    labels = np.tile([1.0, 0.0], (16, 1))
    return LightGCN(graph, width=8, seed=seed), BPRLoss(), (pairs, labels)


def programs(make, algorithm, seed, density):
    """Returns what XLA is given for the first masks and for a training step, and the masks."""
    keras.utils.clear_session()  # else names count what was made before
    model, loss, data = make(seed)
    more = {} if algorithm is tfdsl.StaticSparse else {"update_interval": 2, "total_steps": 9}
    optimizer = tfdsl.SparseOptimizer("adam", algorithm(density, seed=seed, **more))
    model.compile(optimizer, loss)
    optimizer.build(model.trainable_variables)
    found = optimizer.sparse_weights
    densities = [tf.constant(one.density, tf.float64) for one in found]
    weights, zero = [tf.constant(one.weight) for one in found], tf.constant(0, tf.int64)

    @tf.function(jit_compile=True)
    def first_masks(weights, step, densities):
        return optimizer.algorithm.initial_masks(weights, step, densities)

    data = (data, data) if make is mult_vae else data
    step = tf.function(model.train_step, jit_compile=True)
    texts = [
        first_masks.experimental_get_compiler_ir(weights, zero, densities)("hlo"),
        step.experimental_get_compiler_ir(tf.nest.map_structure(tf.constant, data))("hlo"),
    ]
    # Those of functions count nevertheless.
    texts = [re.sub(r"_\d+", "_", text) for text in texts]
    return texts, [np.asarray(one.mask) for one in found]


@pytest.mark.parametrize(
    ("make", "algorithm"),
    [
        (mult_vae, tfdsl.DSL),
        (mult_vae, tfdsl.RigL),
        (mult_vae, tfdsl.StaticSparse),
        (neu_mf, tfdsl.DSL),
        (light_gcn, tfdsl.SET),
    ],
)
def test_all_seeds_and_densities_share_their_compiled_programs(make, algorithm):
    made = [programs(make, algorithm, *case) for case in ((0, 0.2), (1, 0.2), (0, 0.1))]
    for place in (0, 1):
        assert len({texts[place] for texts, _ in made}) == 1
    for _, other in made[1:]:
        assert any((ours != theirs).any() for ours, theirs in zip(made[0][1], other, strict=True))
