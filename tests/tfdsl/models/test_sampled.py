import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

import tfdsl
from tfdsl.models import BPRLoss, LightGCN, MultinomialLikelihood, MultVAE


@pytest.fixture
def model():
    model = LightGCN(sparse.csr_array(np.eye(4, 5, dtype=np.float32)), width=2)
    model.compile("sgd", loss=BPRLoss())
    return model


def draw_user(user):
    """A sampler that draws one user, his item, and the item no one has."""
    return lambda step: ((tf.constant([user]), tf.constant([[user, 4]])), tf.constant([[1.0, 0]]))


def test_another_sampler_counts_from_the_next_fit_on(model):
    before = model.nodes.embeddings.numpy()
    model.sampler = draw_user(0)
    model.fit(tf.data.Dataset.range(2).batch(2), verbose=0)
    half = model.nodes.embeddings.numpy()
    model.sampler = draw_user(3)
    model.fit(tf.data.Dataset.range(2).batch(2), verbose=0)
    after = model.nodes.embeddings.numpy()
    assert (half[0] != before[0]).any() and (half[3] == before[3]).all()
    assert (after[0] == half[0]).all() and (after[3] != half[3]).any()
    model.sampler = None
    model.fit(*draw_user(1)(0), verbose=0)
    assert (model.nodes.embeddings.numpy()[1] != after[1]).any()


@pytest.mark.parametrize(
    "data",
    [
        (np.arange(4), np.arange(4)),
        draw_user(0)(0),
        (np.linspace(0, 1, 4),),
        (np.arange(4).reshape(2, 2),),
    ],
)
def test_with_a_sampler_it_takes_numbers_of_steps_alone(model, data):
    model.sampler = draw_user(0)
    with pytest.raises(ValueError, match=r"trains on the numbers of steps alone"):
        model.fit(*data, verbose=0)


def test_numbers_of_steps_may_be_an_array(model):
    model.sampler = draw_user(0)
    model.fit(np.arange(4), batch_size=2, verbose=0)
    model.train_on_batch(np.arange(2))
    model.train_on_batch(3)
    model.fit(tf.data.Dataset.range(3), verbose=0)
    assert int(model.optimizer.iterations) == 10


class Rows:
    """Makes a step's batch of the numbers of two users, on whatever rows there are."""

    step_shape = (2,)

    def __init__(self, rows):
        self.rows = tf.constant(rows)

    def __call__(self, users):
        batch = tf.gather(self.rows, users)
        return batch, batch


ROWS = np.eye(6, 7, dtype=np.float32) + np.eye(6, 7, 1, dtype=np.float32)
USERS = np.array([[0, 3], [5, 1], [2, 4], [3, 0]], np.int32)


def mult_vae(jit_compile):
    keras.utils.set_random_seed(0)
    model = MultVAE(7, hidden=5, latent=3, anneal_steps=10)
    model.build((2, 7))
    algorithm = tfdsl.DSL(density=0.5, update_interval=2, total_steps=16)
    model.compile(
        tfdsl.SparseOptimizer(keras.optimizers.Adam(1e-2), algorithm),
        loss=MultinomialLikelihood(),
        jit_compile=jit_compile,
    )
    return model


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_model_of_rows_trains_on_what_rows_are_made_of(jit_compile):
    fed, drawing = mult_vae(jit_compile), mult_vae(jit_compile)
    made = ROWS[USERS.ravel()]
    expected = fed.fit(made, made, batch_size=2, epochs=2, shuffle=False, verbose=0)
    drawing.sampler = Rows(ROWS)
    found = drawing.fit(tf.data.Dataset.from_tensors(USERS), epochs=2, verbose=0)
    assert int(drawing.optimizer.iterations) == 8
    np.testing.assert_allclose(found.history["loss"], expected.history["loss"], rtol=1e-5)
    for one, other in zip(drawing.variables, fed.variables, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-6)


def test_one_step_of_several_numbers_needs_no_axis_of_steps():
    model = mult_vae(False)
    model.sampler = Rows(ROWS)
    model.train_on_batch(USERS)
    model.train_on_batch(USERS[0])
    assert int(model.optimizer.iterations) == 5


@pytest.mark.parametrize("data", [np.arange(3), np.arange(6).reshape(2, 3), USERS.astype("f4")])
def test_what_the_sampler_makes_no_batches_of_is_refused(data):
    model = mult_vae(False)
    model.sampler = Rows(ROWS)
    with pytest.raises(ValueError, match=r"alone, integers \('steps', 2\); received other data"):
        model.train_on_batch(data)
