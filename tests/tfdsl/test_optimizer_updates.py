import keras
import numpy as np
import pytest
import tensorflow as tf
from small_runs import (
    assert_equal,
    assert_sparse,
    compiled,
    dsl,
    fit,
    masks_of,
    small_model,
    values,
)

import tfdsl
from tfdsl.layers import SparseDense, mask_of

# ---- one weight, by hand --------------------------------------------------------------------


class Vector(keras.layers.Layer):
    def build(self, input_shape):
        self.w = self.add_weight(shape=(4,), name="w")
        tfdsl.layers.add_mask(self, self.w)

    def call(self, x):
        return x * self.w


def one_weight(inner, algorithm):
    """A weight [2, 1, 0, 0] with its first two entries active, and an optimizer built for it."""
    model = keras.Sequential([keras.Input((4,)), Vector()])
    weight = model.trainable_weights[0]
    mask_of(weight).assign([True, True, False, False])
    weight.assign([2.0, 1.0, 0.0, 0.0])
    optimizer = tfdsl.SparseOptimizer(inner, algorithm)
    optimizer.build([weight])
    return model, weight, optimizer


def swap(**kwargs):
    """At step 2, entry 1 (the smaller weight) goes and entry 3 (the steeper gradient) comes."""
    return tfdsl.SET(0.5, update_interval=2, update_ratio=0.5, grow="gradient", **kwargs)


GRADIENT = [0.1, 0.1, 0.2, 0.4]


@pytest.mark.parametrize(
    ("policy", "is_zero"),
    [
        ("keep", [False, False, False, False]),
        ("mask", [False, True, True, True]),
        ("reset", [False, False, False, True]),
    ],
)
def test_moments_follow_the_policy_at_an_update(policy, is_zero):
    _, weight, optimizer = one_weight("adam", swap(optimizer_state=policy))
    for _ in range(2):
        optimizer.apply([tf.constant(GRADIENT)], [weight])
    np.testing.assert_array_equal(mask_of(weight), [True, False, False, True])
    moments = optimizer.sparse_weights[0].moments
    assert [slot.name for slot in moments] == ["momentum", "velocity"]
    for slot in moments:
        np.testing.assert_array_equal(slot.variable.numpy() == 0.0, is_zero)


def test_masked_moments_are_those_of_active_weights_between_updates():
    _, weight, optimizer = one_weight("adam", swap(optimizer_state="mask"))
    optimizer.apply([tf.constant(GRADIENT)], [weight])
    for slot in optimizer.sparse_weights[0].moments:
        np.testing.assert_array_equal(slot.variable.numpy() != 0.0, [True, True, False, False])


def test_a_reset_moment_starts_where_the_inner_optimizer_starts_it():
    inner = keras.optimizers.Adagrad(0.1, initial_accumulator_value=0.25)
    _, weight, optimizer = one_weight(inner, swap(optimizer_state="reset"))
    for _ in range(2):
        optimizer.apply([tf.constant(GRADIENT)], [weight])
    (slot,) = optimizer.sparse_weights[0].moments
    np.testing.assert_allclose(slot.variable, [0.27, 0.27, 0.33, 0.25], rtol=1e-5)


def test_a_grown_weight_starts_at_zero_and_a_kept_one_takes_its_step():
    _, weight, optimizer = one_weight(keras.optimizers.SGD(1.0), swap())
    for _ in range(2):
        optimizer.apply([tf.constant(GRADIENT)], [weight])
    np.testing.assert_allclose(weight, [1.8, 0.0, 0.0, 0.0], rtol=1e-6)
    np.testing.assert_array_equal(mask_of(weight), [True, False, False, True])


def test_a_weight_dropped_and_grown_at_once_keeps_its_value():
    _, weight, optimizer = one_weight(keras.optimizers.SGD(1.0), swap())
    for _ in range(2):
        optimizer.apply([tf.constant([0.1, 0.3, 0.0, 0.0])], [weight])
    np.testing.assert_allclose(weight, [1.8, 0.4, 0.0, 0.0], rtol=1e-6)
    np.testing.assert_array_equal(mask_of(weight), [True, True, False, False])


def test_ever_active_remembers_what_was_dropped():
    _, weight, optimizer = one_weight("sgd", swap())
    for _ in range(2):
        optimizer.apply([tf.constant(GRADIENT)], [weight])
    ever = optimizer.sparse_weights[0].ever_active
    np.testing.assert_array_equal(ever, [True, True, False, True])


def test_accumulated_gradients_of_all_steps_since_the_last_update_decide():
    # The last batch alone would grow 3; the sum of both grows 2, and then starts anew.
    _, weight, optimizer = one_weight(
        keras.optimizers.SGD(0.01),
        tfdsl.SET(0.5, update_interval=2, update_ratio=0.5, grow="accumulated_gradient"),
    )
    optimizer.apply([tf.constant([0.0, 0.0, 5.0, 0.0])], [weight])
    optimizer.apply([tf.constant([0.0, 0.0, 0.0, 1.0])], [weight])
    np.testing.assert_array_equal(mask_of(weight), [True, False, True, False])
    np.testing.assert_array_equal(optimizer.sparse_weights[0].accumulated, np.zeros(4))


def test_accumulated_batches_count_as_one_step_and_grow_by_their_sum():
    # The last batch alone would grow entry 2; the sum of both grows entry 3.
    _, weight, optimizer = one_weight(
        keras.optimizers.SGD(0.1, gradient_accumulation_steps=2),
        tfdsl.SET(0.5, update_interval=1, update_ratio=0.5, grow="gradient"),
    )
    optimizer.apply([tf.constant([0.0, 0.0, -5.0, 2.0])], [weight])
    np.testing.assert_array_equal(mask_of(weight), [True, True, False, False])
    optimizer.apply([tf.constant([0.0, 0.0, 5.0, 2.0])], [weight])
    np.testing.assert_array_equal(mask_of(weight), [True, False, False, True])


def test_momentum_growth_uses_the_inner_optimizers_momentum():
    inner = keras.optimizers.SGD(0.01, momentum=0.9)
    algorithm = tfdsl.SET(0.5, update_interval=2, update_ratio=0.5, grow="momentum")
    _, weight, optimizer = one_weight(inner, algorithm)
    optimizer.apply([tf.constant([0.0, 0.0, 5.0, 0.0])], [weight])
    optimizer.apply([tf.constant([0.0, 0.0, 0.0, 1.0])], [weight])
    np.testing.assert_array_equal(mask_of(weight), [True, False, True, False])


def test_pruning_leaves_the_model_dense_until_its_step():
    model = small_model()
    optimizer = tfdsl.SparseOptimizer("sgd", tfdsl.OneShotMagnitude(0.25, prune_step=2))
    optimizer.build(model.trainable_variables)
    grads = [tf.zeros(v.shape) for v in model.trainable_variables]
    optimizer.apply(grads)
    assert_sparse(model, counts=(48, 24))
    kernel = model.layers[0].kernel.numpy()
    optimizer.apply(grads)
    assert_sparse(model)
    np.testing.assert_array_equal(
        model.layers[0].kernel,
        np.where(np.abs(kernel) >= np.sort(np.abs(kernel.flat))[-12], kernel, 0),
    )


def test_a_moving_average_is_zero_off_the_mask():
    inner = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
    _, weight, optimizer = one_weight(inner, swap())
    for _ in range(2):
        optimizer.apply([tf.constant(GRADIENT)], [weight])
    (average,) = optimizer.sparse_weights[0].averages
    np.testing.assert_array_equal(average.numpy() != 0.0, [True, False, False, False])
    optimizer.finalize_variable_values([weight])
    np.testing.assert_array_equal(weight.numpy() != 0.0, [True, False, False, False])


def test_a_weight_without_a_gradient_keeps_its_value():
    model = small_model()
    optimizer = tfdsl.SparseOptimizer("sgd", dsl())
    optimizer.build(model.trainable_variables)
    before = values(model.trainable_variables)
    grads = [tf.ones(v.shape) for v in model.trainable_variables[:2]] + [None, None]
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply(grads, model.trainable_variables)
    after = values(model.trainable_variables)
    assert_equal(after[2:], before[2:])
    assert (after[0] != before[0]).any()


# ---- initial masks --------------------------------------------------------------------------


def test_an_erk_budget_is_met_over_all_weights_together():
    # 215.6 weights by 69 to 51, the sums of the shapes: 124.0 and 91.6.
    model = keras.Sequential(
        [keras.Input((20,)), SparseDense(49, use_bias=False), SparseDense(2, use_bias=False)]
    )
    algorithm = tfdsl.StaticSparse(0.2, distribution="erk")
    tfdsl.SparseOptimizer("sgd", algorithm).build(model.trainable_variables)
    assert [mask.sum() for mask in masks_of(model)] == [124, 92]


def test_an_erk_budget_with_a_dense_weight_is_met_over_all_weights_together():
    # 2020 weights in all: the small tensor is dense, the large one has the other 1920.
    model = keras.Sequential(
        [keras.Input((100,)), SparseDense(100, use_bias=False), SparseDense(1, use_bias=False)]
    )
    tfdsl.SparseOptimizer("sgd", tfdsl.StaticSparse(0.2, distribution="erk")).build(
        model.trainable_variables
    )
    assert [mask.sum() for mask in masks_of(model)] == [1920, 100]


def test_a_sparse_model_keeps_its_masks_when_a_new_optimizer_is_built():
    model = compiled()
    fit(model)
    before = values(model.weights)
    other = tfdsl.SparseOptimizer("sgd", tfdsl.SET(0.5, seed=9))
    other.build(model.trainable_variables)
    assert_equal(values(model.weights), before)
    for sparse, mask in zip(other.sparse_weights, masks_of(model), strict=True):
        np.testing.assert_array_equal(sparse.ever_active, mask)


def test_building_twice_changes_nothing():
    model = small_model()
    optimizer = tfdsl.SparseOptimizer("adam", dsl())
    optimizer.build(model.trainable_variables)
    before = values(model.weights)
    optimizer.build(model.trainable_variables)
    assert_equal(values(model.weights), before)
