import keras
import numpy as np
import pytest
import tensorflow as tf

from tfdsl.layers import PrunableMLP
from tfdsl.layers.mlp import mlp_of

X = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
MODES = {
    "eager": lambda f: f,
    "graph": tf.function,
    "xla": lambda f: tf.function(f, jit_compile=True),
}


def make(n_kept=None, **arguments):
    initializer = keras.initializers.GlorotUniform(seed=3)
    arguments = {"units": [8, 6, 2], "activations": ["relu", "tanh", None]} | arguments
    layer = PrunableMLP(**arguments, kernel_initializer=initializer)
    layer.build((None, 5))
    for bias in layer.biases:
        bias.assign(np.random.default_rng(1).normal(size=bias.shape))
    if n_kept:
        layer.set_n_kept(n_kept)
    return layer


def dense_of(layer, sizes=(8, 6, 2)):
    """The stack of Dense with the first neurons of each layer."""
    model, width = keras.Sequential([keras.Input((5,))]), 5
    for place, n in enumerate(sizes):
        dense = keras.layers.Dense(n, activation=layer.activations[place])
        model.add(dense)
        kernel, bias = layer.kernels[place].numpy(), layer.biases[place].numpy()
        dense.set_weights([kernel[:width, :n], bias[:n]])
        width = n
    return model


@pytest.mark.parametrize("mode", MODES)
def test_grown_it_is_a_stack_of_dense_to_the_bit(mode):
    layer = make()
    np.testing.assert_array_equal(MODES[mode](layer)(X), MODES[mode](dense_of(layer))(X))


@pytest.mark.parametrize("mode", MODES)
def test_pruned_it_is_the_stack_of_its_first_neurons(mode):
    layer = make((4, 3))
    run = MODES[mode](layer)
    np.testing.assert_allclose(run(X), dense_of(layer)(X), rtol=1e-5)
    layer.is_pruned.assign(True)
    np.testing.assert_allclose(run(X), dense_of(layer, (4, 3, 2))(X), rtol=1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("traced_with", [(8, 6), (4, 3)])
def test_what_was_traced_for_other_sizes_is_right(mode, traced_with):
    layer = make(traced_with)
    run = MODES[mode](layer)
    run(X)
    layer.set_n_kept((2, 5))
    for is_pruned, sizes in ((True, (2, 5, 2)), (False, (8, 6, 2))):
        layer.is_pruned.assign(is_pruned)
        np.testing.assert_allclose(run(X), dense_of(layer, sizes)(X), rtol=1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("traced_with", [(8, 6), (4, 3)])
def test_what_is_pruned_gets_no_gradient(mode, traced_with):
    layer = make(traced_with)
    small = dense_of(layer, (4, 3, 2))

    def gradients(of, weights):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(of(X) ** 2)
        return tape.gradient(loss, weights)

    weights = [v.value for pair in zip(layer.kernels, layer.biases, strict=True) for v in pair]
    run = MODES[mode](lambda: gradients(layer, weights))
    run()
    layer.set_n_kept((4, 3))
    layer.is_pruned.assign(True)
    ours = run()
    theirs = gradients(small, [v.value for v in small.trainable_weights])
    for weight, grad, expected in zip(layer.trainable_weights, ours, theirs, strict=True):
        inside = tuple(slice(n) for n in expected.shape)
        np.testing.assert_allclose(grad.numpy()[inside], expected, rtol=1e-4, atol=1e-6)
        used = np.zeros(weight.shape, bool)
        used[inside] = True
        assert (grad.numpy()[~used] == 0).all()
        np.testing.assert_array_equal(layer.is_active(weight), used)


def test_grown_every_entry_is_in_use():
    layer = make((4, 3))
    assert all(tf.reduce_all(layer.is_active(w)) for w in layer.trainable_weights)


def test_a_weight_knows_its_layer():
    layer, other = make(), keras.layers.Dense(3)
    other.build((None, 5))
    assert all(mlp_of(w) is layer for w in layer.trainable_weights)
    assert mlp_of(other.kernel) is None
    with pytest.raises(ValueError, match="is no kernel or bias"):
        layer.is_active(other.kernel)


def test_a_switch_compiles_nothing():
    layer, traces = make((4, 3)), []

    @tf.function(jit_compile=True)
    def run(x):
        traces.append(1)
        return layer(x)

    for is_pruned in (False, True, False, True):
        layer.is_pruned.assign(is_pruned)
        run(X)
    assert len(traces) == 1


def test_mixed_precision_computes_in_the_short_type():
    layer = make((4, 3), dtype="mixed_bfloat16")
    for is_pruned in (False, True):
        layer.is_pruned.assign(is_pruned)
        assert layer(X).dtype == "bfloat16"
        sizes = (4, 3, 2) if is_pruned else (8, 6, 2)
        np.testing.assert_allclose(
            tf.cast(layer(X), "float32"), dense_of(layer, sizes)(X), atol=0.1
        )


@pytest.mark.parametrize("kind", ["model.keras", "model.weights.h5", "checkpoint"])
def test_it_is_saved_and_loaded_while_pruned(kind, tmp_path):
    def build():
        inputs = keras.Input((5,))
        return keras.Model(inputs, make()(inputs))

    model, path = build(), str(tmp_path / kind)
    layer = model.layers[-1]
    layer.set_n_kept((4, 3))
    layer.is_pruned.assign(True)
    layer.kernels[0].assign(layer.kernels[0] * 2)
    again = build()
    if kind == "model.keras":
        model.save(path)
        again = keras.models.load_model(path)
    elif kind == "checkpoint":
        tf.train.Checkpoint(again).restore(tf.train.Checkpoint(model).save(path)).assert_consumed()
    else:
        model.save_weights(path)
        again.load_weights(path)
    assert again.layers[-1].n_kept == (4, 3)
    np.testing.assert_array_equal(again(X), model(X))


def test_seeded_kernels_of_one_shape_differ():
    layer = PrunableMLP([5, 5, 5], kernel_initializer=keras.initializers.GlorotUniform(seed=1))
    layer.build((None, 5))
    again = PrunableMLP([5, 5, 5], kernel_initializer=keras.initializers.GlorotUniform(seed=1))
    again.build((None, 5))
    assert (layer.kernels[0].numpy() != layer.kernels[1].numpy()).any()
    np.testing.assert_array_equal(layer.kernels[1], again.kernels[1])


@pytest.mark.parametrize(
    ("make_it", "message"),
    [
        (lambda: PrunableMLP([]), "at least one layer; received none"),
        (lambda: PrunableMLP([4, 0]), "`units`.*received 0"),
        (lambda: PrunableMLP(5), "`units` must be a list of whole numbers; received 5"),
        (lambda: PrunableMLP([4]).build((None, None)), r"last axis.*received the shape \(None, No"),
        (lambda: PrunableMLP([4, 2], ["relu"]), "one for each of 2; received 1"),
        (lambda: make((4,)), r"at most the units \(8, 6\).*received \(4,\)"),
        (lambda: make((9, 6)), r"at most the units \(8, 6\).*received \(9, 6\)"),
        (lambda: make((0, 6)), "`n_kept`.*received 0"),
    ],
)
def test_a_bad_argument_is_refused_with_its_value(make_it, message):
    with pytest.raises(ValueError, match=message):
        make_it()


def test_what_is_pruned_cannot_change_its_size():
    layer = make((4, 3))
    layer.is_pruned.assign(True)
    layer.set_n_kept((4, 3))
    with pytest.raises(ValueError, match=r"is pruned to \(4, 3\) neurons now.*with \(2, 3\)"):
        layer.set_n_kept((2, 3))
