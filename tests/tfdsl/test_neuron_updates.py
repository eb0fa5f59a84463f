"""AMGP through the hook: neurons leave after a step and come back after another."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_mlps import AMGP, GROW, PRUNE, X, Y, make, places, train

import tfdsl


def test_the_stretches_are_those_of_the_schedule_and_the_end_is_full_size():
    model, mlp = make()
    states = train(model)
    at = places(model, mlp.is_pruned)
    pruned = [step for step, state in states.items() if state[at]]
    assert pruned == [*range(PRUNE[0], GROW[0]), *range(PRUNE[1], GROW[1])]
    assert mlp.n_kept == (4, 3)


@pytest.mark.parametrize("inner", ["sgd", "ema", "adam", "adamw", "rmsprop"])
def test_what_is_pruned_is_frozen_with_its_moments(inner):
    ema = keras.optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=2)
    model, mlp = make(inner=ema if inner == "ema" else inner)
    states = train(model)
    moments = [s.variable for w in (mlp.kernels[1],) for s in model.optimizer._updates._moments(w)]
    assert len(moments) == {"sgd": 0, "ema": 0, "adam": 2, "adamw": 2, "rmsprop": 1}[inner]
    for variable in (mlp.kernels[1], *moments):
        at = places(model, variable)
        before, after = states[PRUNE[0]][at], states[GROW[0]][at]
        outside = np.ones(before.shape, bool)
        outside[:4, :3] = False
        np.testing.assert_array_equal(before[outside], after[outside])
        assert (before[:4, :3] != after[:4, :3]).any()
        later = states[GROW[0] + 1][at]
        assert (later[outside] != after[outside]).any()


def test_pruning_moves_the_most_important_first_and_leaves_the_function_of_all():
    model, mlp = make()
    states = train(model, end=PRUNE[0] - 1)
    full = model(X[0]).numpy()
    kernels = [k.numpy() for k in mlp.kernels]
    norms = np.linalg.norm(kernels[0], axis=0) * np.linalg.norm(kernels[1], axis=1)
    model.optimizer._updates._prune({}, tf.constant(1, tf.int64))
    stay = np.sort(np.argsort(norms)[-4:])
    np.testing.assert_array_equal(mlp.orders[0].numpy()[:4], stay)
    np.testing.assert_array_equal(mlp.kernels[0].numpy()[:, :4], kernels[0][:, stay])
    assert (model(X[0]).numpy() != full).any()
    mlp.is_pruned.assign(False)
    np.testing.assert_allclose(model(X[0]), full, rtol=1e-4, atol=1e-5)
    assert states


def test_all_that_optimizers_know_moves_with_its_neurons():
    inner = keras.optimizers.Adam(use_ema=True, gradient_accumulation_steps=2)
    model, mlp = make(inner=inner)
    train(model, end=PRUNE[0] - 1)
    updates = model.optimizer._updates
    pairs = [(w, s.variable) for w in mlp.trainable_weights for s in updates._slots[id(w)]]
    assert len(pairs) == 4 * len(mlp.trainable_weights)  # two moments, average, accumulator
    before = [(w.numpy().ravel(), m.numpy().ravel()) for w, m in pairs]
    updates._prune({}, tf.constant(1, tf.int64))
    moved = False
    for (weight, moment), (old, old_moment) in zip(pairs, before, strict=True):
        ours = sorted(zip(weight.numpy().ravel(), moment.numpy().ravel(), strict=True))
        assert ours == sorted(zip(old, old_moment, strict=True))
        moved |= bool((weight.numpy().ravel() != old).any())
    assert moved


@pytest.mark.parametrize("grow", ["restore", "fresh"])
def test_what_comes_back(grow):
    algorithm = tfdsl.AlternateGrowthPruning(
        0.5, total_steps=20, cycles=2, final_share=0.2, grow=grow, optimizer_state="reset"
    )
    model, mlp = make(algorithm)
    train(model, end=GROW[0] - 1)
    small, before = model(X[0]).numpy(), mlp.kernels[1].numpy()
    updates = model.optimizer._updates
    moments = [s.variable for s in updates._moments(mlp.kernels[1])]
    updates._grow(tf.constant(GROW[0], tf.int64))
    after = mlp.kernels[1].numpy()
    np.testing.assert_array_equal(after[:4, :3], before[:4, :3])
    for moment in moments:
        assert (moment.numpy()[4:] == 0).all() and (moment.numpy()[:, 3:] == 0).all()
        assert (moment.numpy()[:4, :3] != 0).any()
    if grow == "restore":
        np.testing.assert_array_equal(after, before)
        return
    np.testing.assert_allclose(model(X[0]), small, rtol=1e-5, atol=1e-6)
    assert (after[4:, :3] == 0).all()
    limit = (6 / sum(after.shape)) ** 0.5
    assert 0.5 * limit < np.abs(after[:, 3:]).max() <= limit
    assert (after[:, 3:] != before[:, 3:]).all()
    assert (mlp.biases[1].numpy()[3:] == 0).all()


def test_a_gradient_that_is_not_finite_changes_nothing_and_the_switch_waits_for_no_one():
    x = X.copy()
    x[4, 0, 0] = np.nan
    model, mlp = make()
    states = train(model, x=x)
    own = [places(model, v) for v in (*mlp.weights, *model.optimizer.inner_optimizer.variables)]
    for at in own:
        np.testing.assert_array_equal(states[4][at], states[5][at])
    assert int(model.optimizer.skipped_steps.numpy()) == 1
    at = places(model, mlp.is_pruned)  # the optimizer's steps count, not the batches
    assert next(s for s in states if states[s][at]) == PRUNE[0]
    assert not states[GROW[0] + 1][at] and states[GROW[0]][at]


def test_pruned_once_it_stays_small():
    model, mlp = make(tfdsl.StructuredPruning(0.5, prune_step=3))
    states = train(model)
    at = places(model, mlp.is_pruned)
    assert [bool(states[s][at]) for s in (1, 2, 3, 20)] == [False, False, True, True]


def test_small_from_the_start():
    model, mlp = make(tfdsl.StructuredPruning(0.5, prune_step=0))
    assert bool(mlp.is_pruned.numpy())
    states = train(model, end=2)
    at = places(model, mlp.kernels[1])
    np.testing.assert_array_equal(states[1][at][4:], states[2][at][4:])


def test_taylor_decides_by_the_gradient_of_the_step():
    algorithm = tfdsl.StructuredPruning(0.5, prune_step=1, importance="taylor")
    model, mlp = make(algorithm, inner=keras.optimizers.SGD(1e-20))
    kernel = tf.convert_to_tensor(mlp.kernels[1])
    with tf.GradientTape() as tape:
        loss = model.compute_loss(y=Y[0], y_pred=model(X[0]))
    gradient = tape.gradient(loss, mlp.kernels[1].value)
    scores = np.abs(np.sum(kernel * gradient, axis=1))
    train(model, end=1)
    np.testing.assert_array_equal(mlp.orders[0].numpy()[:4], np.sort(np.argsort(scores)[-4:]))


def test_a_model_without_neurons_to_prune_is_refused():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)])
    optimizer = tfdsl.SparseOptimizer("sgd", AMGP)
    with pytest.raises(ValueError, match=r"of a tfdsl\.layers\.PrunableMLP"):
        optimizer.build(model.trainable_variables)


def test_a_layer_that_is_trained_in_part_is_refused():
    _, mlp = make()
    optimizer = tfdsl.SparseOptimizer("sgd", AMGP)
    with pytest.raises(ValueError, match="some of its weights are not trained"):
        optimizer.build(mlp.kernels)


def test_an_optimizer_that_knows_only_rows_and_columns_is_refused():
    with pytest.raises(ValueError, match=r"under 'adafactor': it keeps '\w+', which is not of"):
        make(inner="adafactor")
