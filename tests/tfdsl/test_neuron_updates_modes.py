"""AMGP through the hook in every mode: compiled, traced before, resumed, several steps at once."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_mlps import X, Y, make, places, train

import tfdsl
from tfdsl.layers import PrunableMLP


def test_steps_are_the_optimizers_where_gradients_are_accumulated():
    inner = keras.optimizers.Adam(gradient_accumulation_steps=2)
    algorithm = tfdsl.AlternateGrowthPruning(0.5, total_steps=10, cycles=2, final_share=0.2)
    model, mlp = make(algorithm, inner)
    states = train(model)
    at = places(model, mlp.is_pruned)
    prune, grow = algorithm.updates.prune, algorithm.updates.grow
    expected = [n for p, g in zip(prune, grow, strict=True) for n in range(2 * p, 2 * g)]
    assert [batch for batch, state in states.items() if state[at]] == expected


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_it_prunes_in_mixed_precision_and_in_several_steps_an_execution(precision):
    keras.config.set_dtype_policy(precision)
    try:
        inner = keras.optimizers.LossScaleOptimizer(
            tfdsl.SparseOptimizer("adam", tfdsl.StructuredPruning(0.5, prune_step=6)),
            initial_scale=4.0,
        )
        model, mlp = make(None, inner, steps_per_execution=4)
        states = train(model)
    finally:
        keras.config.set_dtype_policy("float32")
    at = places(model, mlp.is_pruned)
    assert [bool(states[step][at]) for step in (4, 8, 12)] == [False, True, True]
    kernel = places(model, mlp.kernels[1])
    outside = np.ones((8, 6), bool)
    outside[:4, :3] = False
    np.testing.assert_array_equal(states[8][kernel][outside], states[20][kernel][outside])
    assert (states[8][kernel][:4, :3] != states[20][kernel][:4, :3]).any()


def test_what_was_traced_before_training_sees_what_is_pruned():
    model, mlp = make(tfdsl.StructuredPruning(0.25, prune_step=3))
    model.compile(
        tfdsl.SparseOptimizer("adam", tfdsl.StructuredPruning(0.25, prune_step=3)),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=False,
    )  # which nobody has built
    model.evaluate(X[0], Y[0], verbose=0)
    model.predict(X[0], verbose=0)
    train(model)
    assert bool(mlp.is_pruned.numpy())
    np.testing.assert_allclose(model.predict(X[0], verbose=0), model(X[0]), rtol=1e-4, atol=1e-6)
    loss = float(model.loss(Y[0], model(X[0])))
    assert model.evaluate(X[0], Y[0], verbose=0) == pytest.approx(loss, rel=1e-5)


def test_weights_that_are_pruned_can_be_given_to_a_model_that_was_traced():
    small, _ = make(tfdsl.StructuredPruning(0.25, prune_step=3), "sgd")
    train(small)
    model, _ = make(None, "sgd")
    model.predict(X[0], verbose=0)
    model.set_weights(small.get_weights())
    found, expected = (m.predict(X[0], verbose=0) for m in (model, small))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_every_mode_makes_the_same_choice():
    orders = []
    for compiled in ({"jit_compile": True}, {}, {"run_eagerly": True}):
        model, mlp = make(**compiled)
        train(model)
        orders.append([o.numpy().tolist() for o in mlp.orders])
    assert orders[0] == orders[1] == orders[2]
    assert orders[0][0] != sorted(orders[0][0])


def test_with_all_kept_it_is_the_inner_optimizer_to_the_bit():
    algorithm = tfdsl.AlternateGrowthPruning(1.0, total_steps=20, cycles=2, final_share=0.2)
    xla = {"jit_compile": True}
    (ours, mlp), (plain, dense) = make(algorithm, **xla), make(None, **xla)
    train(ours)
    train(plain)
    for a, b in zip(mlp.kernels, dense.kernels, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_switch_compiles_nothing():
    model, _ = make(jit_compile=True)
    model.train_function = None
    traces, step = [], model.train_step

    def counted(data):
        traces.append(1)
        return step(data)

    model.train_step = counted
    train(model)
    assert len(traces) == 1


@pytest.mark.parametrize(
    "kind", ["model.keras", pytest.param("checkpoint", marks=pytest.mark.slow)]
)
def test_a_run_that_stops_inside_a_pruned_stretch_goes_on_with_the_same_bits(kind, tmp_path):
    model, _ = make()
    train(model, end=12)
    path = str(tmp_path / kind)
    if kind == "model.keras":
        model.save(path)
        again = keras.models.load_model(path)
    else:
        again, _ = make()
        saved = tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(path)
        tf.train.Checkpoint(model=again, optimizer=again.optimizer).restore(saved)
    assert bool(again.layers[-1].is_pruned.numpy())
    whole, parts = train(model, 12)[20], train(again, 12)[20]
    for ours, theirs in zip(parts, whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_model_that_is_built_by_its_first_step_is_pruned_as_well():
    model = keras.Sequential([PrunableMLP([8, 6, 1], ["relu", "relu", None])])
    optimizer = tfdsl.SparseOptimizer("sgd", tfdsl.StructuredPruning(0.5, prune_step=0))
    model.compile(optimizer, loss=keras.losses.BinaryCrossentropy(from_logits=True))
    train(model, end=2)
    assert model.layers[0].n_kept == (4, 3)
    assert bool(model.layers[0].is_pruned.numpy())
