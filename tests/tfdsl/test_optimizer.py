import functools
import itertools
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_runs import (
    BATCH,
    MODE,
    MODES,
    PRECISIONS,
    STEPS,
    X,
    Y,
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
from tfdsl.layers import SparseDense, SparseEmbedding


class Watch(keras.callbacks.Callback):
    """Checks P1 and P2 after every batch that Keras reports, and keeps the masks."""

    def __init__(self):
        super().__init__()
        self.masks = []

    def on_train_batch_end(self, batch, logs=None):
        assert_sparse(self.model)
        self.masks.append(masks_of(self.model))

    @property
    def n_changes(self):
        pairs = itertools.pairwise(self.masks)
        return sum(any((a != b).any() for a, b in zip(*pair, strict=True)) for pair in pairs)


@functools.cache
def watched(mode, precision):
    """One training run; several tests look at it."""
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy(precision)
    try:
        model, watch = compiled(mode=mode), Watch()
    finally:
        keras.config.set_dtype_policy("float32")
    model.optimizer.build(model.trainable_variables)
    fit(model, callbacks=[watch])
    return types.SimpleNamespace(model=model, watch=watch)


# ---- P1, P2, P3 -----------------------------------------------------------------------------


SLOW = "mixed_bfloat16"  # as the other mixed one, but that the loss is not scaled


@pytest.mark.parametrize(
    "precision", [pytest.param(p, marks=[pytest.mark.slow] * (p == SLOW)) for p in PRECISIONS]
)
@pytest.mark.parametrize("mode", MODES)
def test_every_step_leaves_weights_sparse_and_the_budget_exact(mode, precision):
    run = watched(mode, precision)
    assert len(run.watch.masks) == STEPS
    assert run.watch.n_changes >= 2
    scaled = isinstance(run.model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "mixed_float16")


@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_masks_and_weights_are_the_same_as_eagerly(mode):
    run, eager = watched(mode, "float32"), watched("eager", "float32")
    for ours, theirs in zip(run.watch.masks, eager.watch.masks, strict=True):
        assert_equal(ours, theirs)
    for ours, theirs in zip(run.model.weights, eager.model.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_masks_change_at_due_steps_only():
    masks = watched("graph", "float32").watch.masks
    changes = {
        step
        for step, (a, b) in enumerate(itertools.pairwise(masks), start=2)
        if any((x != y).any() for x, y in zip(a, b, strict=True))
    }
    assert changes <= {3, 6, 9, 12}
    assert 3 in changes


INNER = {
    "weight decay, clipping and a learning-rate schedule": lambda: keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(0.1, STEPS), weight_decay=0.1, global_clipnorm=0.1
    ),
    "EMA": lambda: keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5),
    "EMA that overwrites": lambda: keras.optimizers.Adam(
        0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2
    ),
    "accumulation": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2),
}


@pytest.mark.parametrize(
    "inner", [pytest.param(name, marks=[pytest.mark.slow] * (name == "EMA")) for name in INNER]
)
def test_weights_stay_sparse_with_what_the_inner_optimizer_brings(inner):
    model, watch = compiled(INNER[inner](), mode="xla"), Watch()
    before = masks_of(model)
    fit(model, callbacks=[watch])
    assert watch.n_changes >= (1 if inner == "accumulation" else 2)
    assert any((a != b).any() for a, b in zip(before, masks_of(model), strict=True))
    assert_sparse(model)  # after Keras finalized the weights as well


def test_weights_stay_sparse_with_several_steps_per_execution():
    model, watch = compiled(mode="xla", steps_per_execution=4), Watch()
    fit(model, callbacks=[watch])
    assert len(watch.masks) == STEPS // 4
    assert watch.n_changes >= 1
    assert_equal(masks_of(model), watched("xla", "float32").watch.masks[-1])


@pytest.mark.parametrize("xla", [False, True], ids=["graph", "xla"])
def test_weights_stay_sparse_in_a_custom_training_loop(xla):
    model = small_model()
    optimizer = tfdsl.SparseOptimizer("adam", dsl())
    optimizer.build(model.trainable_variables)
    start = masks_of(model)

    @tf.function(jit_compile=xla)
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
        return loss

    for i in range(STEPS):
        step(X[i * BATCH :][:BATCH], Y[i * BATCH :][:BATCH])
        assert_sparse(model)
    assert any((a != b).any() for a, b in zip(start, masks_of(model), strict=True))
    assert int(optimizer.iterations) == STEPS


def test_eager_fit_warns_that_its_first_gradients_are_of_dense_weights():
    with pytest.warns(UserWarning, match=r"call `optimizer\.build"):
        model = small_model()
        model.compile(tfdsl.SparseOptimizer("adam", dsl()), loss="mse", run_eagerly=True)
        fit(model, 0, 1)


def test_steps_are_counted_and_weight_decay_excluded_as_in_keras():
    model = small_model()
    inner = keras.optimizers.AdamW(0.01, weight_decay=0.5)
    optimizer = tfdsl.SparseOptimizer(inner, dsl())
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(model.trainable_variables)
    bias = model.trainable_variables[1]
    bias.assign(tf.ones_like(bias))
    pairs = [(tf.zeros(v.shape), v) for v in model.trainable_variables]
    assert int(optimizer.apply_gradients(pairs)) == 1
    assert int(optimizer.apply_gradients(pairs)) == 2
    np.testing.assert_array_equal(bias, np.ones(8))


def test_a_learning_rate_scheduler_callback_sets_the_inner_learning_rate():
    model = compiled(keras.optimizers.SGD(0.1), mode="eager")
    fit(model, 0, 2, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 0.025)])
    assert float(model.optimizer.inner_optimizer.learning_rate) == pytest.approx(0.025)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.025)


# ---- P5 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_gradient_that_is_not_finite_changes_nothing_but_is_counted(mode):
    model = keras.Sequential(
        [keras.Input((3,), dtype="int32"), SparseEmbedding(5, 4), SparseDense(2)]
    )
    optimizer = tfdsl.SparseOptimizer(
        keras.optimizers.Adam(0.1), dsl(update_interval=1, grow="accumulated_gradient")
    )
    optimizer.build(model.trainable_variables)

    def apply(rows, kernel, bias):
        table = tf.IndexedSlices(rows, tf.constant([1, 1, 4]), tf.constant([5, 4]))
        optimizer.apply([table, kernel, bias], model.trainable_variables)

    if mode != "eager":
        apply = tf.function(apply, jit_compile=mode == "xla", autograph=False)
    everything = [v for v in model.variables + optimizer.variables if v.name != "skipped_steps"]
    good = [tf.ones([3, 4]), tf.ones([4, 2]), tf.ones([2])]

    def assert_skipped(part, value, count):
        bad = [x.numpy() for x in good]
        bad[part].flat[-1] = value
        before = values(everything)
        apply(*map(tf.constant, bad))
        assert_equal(values(everything), before)
        assert int(optimizer.skipped_steps) == count

    assert_skipped(0, np.nan, 1)  # before the first step
    apply(*good)
    assert int(optimizer.iterations) == 1
    assert int(optimizer.skipped_steps) == 1
    count = 1
    for part in range(3):
        for value in (np.nan, np.inf, -np.inf):
            count += 1
            assert_skipped(part, value, count)
    before = values(everything)
    apply(*good)
    assert int(optimizer.iterations) == 2
    assert any((a != b).any() for a, b in zip(values(everything), before, strict=True))


# ---- P7 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("inner", ["adam", "momentum", "nesterov", "rmsprop", "lion"])
def test_density_one_gives_the_bits_of_plain_keras(mode, inner):
    results = []
    make = {
        "adam": lambda: keras.optimizers.Adam(0.01),
        "momentum": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
        "nesterov": lambda: keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
        "rmsprop": lambda: keras.optimizers.RMSprop(0.01),
        "lion": lambda: keras.optimizers.Lion(0.01),
    }[inner]
    for layer in (keras.layers.Dense, SparseDense):
        keras.utils.set_random_seed(1)
        model = small_model(layer)
        optimizer = make()
        if layer is SparseDense:
            optimizer = tfdsl.SparseOptimizer(optimizer, dsl(1.0))
        model.compile(optimizer, loss="mse", **MODE[mode])
        fit(model, epochs=2)
        results.append(values(model.trainable_variables))
    if inner == "rmsprop" and mode == "xla":
        # XLA rounds a division by what stands around it, here the mask.
        for ours, theirs in zip(*results, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    else:
        assert_equal(*results)
