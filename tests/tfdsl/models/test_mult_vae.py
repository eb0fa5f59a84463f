import keras
import numpy as np
import pytest
import tensorflow as tf

from tfdsl.layers import mask_of
from tfdsl.models import MultinomialLikelihood, MultVAE


def small(**kwargs):
    model = MultVAE(n_items=12, hidden=6, latent=3, **kwargs)
    model.build((4, 12))
    return model


def rows(seed=0):
    return (np.random.default_rng(seed).random((4, 12)) < 0.3).astype("float32")


def test_the_loss_is_the_negative_log_probability_of_the_users_items():
    logits = tf.constant([[0.0, 0.0, 0.0, 0.0], [np.log(3.0), 0.0, 0.0, 0.0]])
    items = tf.constant([[1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    # First user: 2 * log 4; second: -log(3 / 6).
    expected = (2 * np.log(4.0) + np.log(2.0)) / 2
    np.testing.assert_allclose(MultinomialLikelihood()(items, logits), expected, rtol=1e-6)


def test_all_kernels_have_masks_and_biases_only_on_request():
    assert sum(mask_of(w) is not None for w in small().trainable_weights) == 4
    masked = small(sparse_bias=True).trainable_weights
    assert all(mask_of(w) is not None for w in masked)
    assert len(masked) == 8


def test_scores_do_not_depend_on_chance_but_training_outputs_do():
    model, x = small(), rows()
    np.testing.assert_array_equal(model(x), model(x))
    assert not np.array_equal(model(x, training=True), model(x, training=True))


def test_a_user_without_items_gets_finite_scores():
    assert np.isfinite(small()(np.zeros((1, 12), "float32"))).all()


def test_the_divergence_rises_with_the_batches_to_its_full_weight():
    model, x = small(beta=0.5, anneal_steps=2, dropout=0.0), rows()
    hidden = model.encoder_hidden(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12))
    latent = model.encoder_latent(hidden).numpy()
    mean, log_variance = latent[:, :3], latent[:, 3:]
    kl = 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance).sum(1).mean()
    for share in (0.5, 1.0, 1.0):
        model(x, training=True)
        np.testing.assert_allclose(model.losses[0], 0.5 * share * kl, rtol=1e-5)


def test_equal_seeds_give_equal_models_and_draws():
    first, second, other = small(seed=1), small(seed=1), small(seed=2)
    x = rows()
    np.testing.assert_array_equal(first(x, training=True), second(x, training=True))
    assert not np.array_equal(first(x), other(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_items": 0}, "`n_items`.*received 0"),
        ({"latent": 2.5}, "`latent`.*received 2.5"),
        ({"anneal_steps": 0}, "`anneal_steps`.*received 0"),
        ({"dropout": 1.0}, "`dropout`.*received 1.0"),
        ({"beta": -1.0}, "`beta`.*received -1.0"),
    ],
)
def test_a_bad_argument_is_refused_with_its_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultVAE(**({"n_items": 5} | arguments))


def test_a_model_survives_saving(tmp_path):
    model, x = small(sparse_bias=True), rows()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(x), model(x))
    assert again.get_config() == model.get_config()


def test_a_saved_model_goes_on_with_the_same_bits(tmp_path):
    model, x = small(), rows()
    model.compile("adam", loss=MultinomialLikelihood())
    model.fit(x, x, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for one in (model, again):
        one.fit(x, x, epochs=2, shuffle=False, verbose=0)
    for ours, theirs in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
