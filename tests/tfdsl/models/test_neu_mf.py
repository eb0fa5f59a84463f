import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

import tfdsl
from pipelines.sampling import TripleSampler
from tests.helpers.packed_tables import algorithm_of
from tfdsl.layers import mask_of
from tfdsl.models import NeuMF

HAD = sparse.csr_array((np.random.default_rng(0).random((30, 20)) < 0.2).astype(np.float32))
USERS = np.arange(30)
ITEMS = np.tile(np.arange(20), (30, 1))


def trained(steps=60, xla=False, algorithm=None, **arguments):
    keras.utils.set_random_seed(1)
    model = NeuMF(30, 20, **arguments)
    algorithm = algorithm or tfdsl.DSL(0.25, update_interval=5, total_steps=steps)
    model.compile(
        tfdsl.SparseOptimizer(keras.optimizers.Adam(0.02), algorithm),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=xla,
    )
    model.sampler = TripleSampler(HAD, 32, seed=2, n_negatives=4)
    model.fit(tf.data.Dataset.range(steps).batch(10), verbose=0)
    return model


def test_logits_are_those_of_gmf_and_mlp_together():
    model = NeuMF(30, 20, factors=3, mlp_factors=4, hidden=(5, 2))
    names = ("gmf_user", "gmf_item", "mlp_user", "mlp_item")
    gmf_user, gmf_item, mlp_user, mlp_item = (
        getattr(model, name).embeddings.numpy() for name in names
    )
    x = np.concatenate([mlp_user[[7]], mlp_item[[9]]], axis=1)
    for layer in model.network:
        x = np.maximum(x @ layer.kernel.numpy() + layer.bias.numpy(), 0)
    x = np.concatenate([gmf_user[[7]] * gmf_item[[9]], x], axis=1)
    expected = x @ model.head.kernel.numpy() + model.head.bias.numpy()
    np.testing.assert_allclose(model((np.array([7]), np.array([[9]]))), expected, rtol=1e-5)


@pytest.mark.parametrize("hidden", [(), (5,), (32, 16, 8)])
def test_the_scorer_scores_every_item(hidden):
    model = NeuMF(30, 20, hidden=hidden)
    for weight in model.trainable_weights:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    np.testing.assert_allclose(model.scorer()(USERS), model((USERS, ITEMS)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        model.scorer()([3, 1]), model((USERS, ITEMS)).numpy()[[3, 1]], atol=1e-4
    )


def test_a_tensorflow_checkpoint_holds_every_weight(tmp_path):
    model, other = NeuMF(30, 20), NeuMF(30, 20, seed=1)
    path = tf.train.Checkpoint(model).save(tmp_path / "state")
    tf.train.Checkpoint(other).restore(path).assert_consumed()
    for ours, theirs in zip(other.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_dropout_is_for_training():
    model = NeuMF(30, 20, dropout=0.5)
    plain = model((USERS, ITEMS)).numpy()
    np.testing.assert_array_equal(model((USERS, ITEMS)), plain)
    assert (model((USERS, ITEMS), training=True).numpy() != plain).any()


def test_regularization_adds_the_squares_of_the_rows_in_use_in_training():
    model = NeuMF(30, 20, factors=3, mlp_factors=4, dropout=0.0, regularization=0.5)
    users, items = np.array([7, 8]), np.array([[9, 1, 2], [0, 1, 3]])
    model((users, items))
    assert model.losses == []
    model((users, items), training=True)
    squares = [
        (getattr(model, f"{part}_{side}").embeddings.numpy()[ids] ** 2).sum(-1).mean()
        for part in ("gmf", "mlp")
        for side, ids in (("user", users), ("item", items))
    ]
    np.testing.assert_allclose(model.losses, [0.25 * sum(squares)], rtol=1e-5)


@pytest.mark.parametrize(
    "sparse_parts", [("mlp",), pytest.param(("gmf", "mlp"), marks=pytest.mark.slow)]
)
def test_it_learns_on_a_constant_budget(sparse_parts):
    model = trained(250, xla=True, sparse=sparse_parts, hidden=(8,))
    masks = [mask_of(w) for w in model.trainable_weights if mask_of(w) is not None]
    assert len(masks) == 2 * len(sparse_parts)
    assert all(m.numpy().sum() == round(0.25 * m.numpy().size) for m in masks)
    scores, had = model.scorer()(USERS).numpy(), HAD.toarray() > 0
    assert scores[had].mean() > scores[~had].mean() + 1


@pytest.mark.slow
def test_it_trains_in_mixed_precision():
    losses = []
    for policy in ("mixed_bfloat16", "float32"):
        keras.config.set_dtype_policy(policy)
        try:
            model = trained(regularization=1e-3, hidden=(8,))
        finally:
            keras.config.set_dtype_policy("float32")
        losses.append(model.history.history["loss"][0])
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def test_adam_sees_the_whole_gradient_of_a_row_that_a_batch_has_often():
    keras.utils.set_random_seed(1)
    model = NeuMF(3, 4, dropout=0.0, sparse=())
    model.compile(keras.optimizers.Adam(0.1), loss=keras.losses.BinaryCrossentropy(True))
    users, items = np.zeros(8, np.int32), np.tile([[1, 2]], (8, 1))
    labels = np.tile([[1.0, 0.0]], (8, 1))
    with tf.GradientTape() as tape:
        loss = model.compute_loss(y=labels, y_pred=model((users, items), training=True))
    gradient = tape.gradient(loss, model.gmf_item.embeddings.value)
    model.train_on_batch((users, items), labels)
    slots = {v.path: v for v in model.optimizer.variables}
    (second,) = (v for path, v in slots.items() if "gmf_item" in path and "velocity" in path)
    np.testing.assert_allclose(second, 0.001 * np.square(gradient), rtol=1e-4)


@pytest.mark.slow
def test_a_saved_model_goes_on_with_the_same_bits(tmp_path):
    model = trained(hidden=(8,))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for one in (model, again):
        one.sampler = TripleSampler(HAD, 32, seed=2, n_negatives=4)
        one.fit(tf.data.Dataset.range(60, 70), verbose=0)
    for ours, theirs in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_packed_tables_train_as_those_with_masks():
    algorithm = algorithm_of(density=0.25, candidates=3, update_interval=5, total_steps=60)
    packed = {"storage": "packed", "density": 0.25, "candidates": 3}
    ours, theirs = (
        trained(20, algorithm=algorithm, hidden=(8,), regularization=1e-3, **how)
        for how in ({}, packed)
    )
    for name in ("mlp_user", "mlp_item"):
        one, other = (getattr(model, name).embeddings for model in (ours, theirs))
        np.testing.assert_array_equal(mask_of(other), mask_of(one))
        np.testing.assert_allclose(other, one, atol=1e-6)
    np.testing.assert_allclose(theirs.scorer()(USERS), ours.scorer()(USERS), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_users": 0}, "`n_users`.*received 0"),
        ({"n_items": 0}, "`n_items`.*received 0"),
        ({"factors": 0}, "`factors`.*received 0"),
        ({"mlp_factors": 1.5}, "`mlp_factors`.*received 1.5"),
        ({"hidden": (8, 0)}, "`hidden`.*received 0"),
        ({"dropout": 1.0}, "`dropout`.*received 1.0"),
        ({"regularization": -1.0}, "`regularization`.*received -1.0"),
        ({"sparse": ("gnf",)}, "`sparse`.*gmf, mlp; received"),
    ],
)
def test_a_bad_argument_is_refused_with_its_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        NeuMF(**({"n_users": 3, "n_items": 4} | arguments))
