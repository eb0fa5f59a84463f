import functools
import itertools
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import tfdsl
from tfdsl.layers import SparseDense, SparseEmbedding, mask_of

MODES = ("eager", "graph", "xla")
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
STEPS, BATCH = 12, 4
MODE = {
    "eager": {"run_eagerly": True},
    "graph": {"jit_compile": False},
    "xla": {"jit_compile": True},
}
_rng = np.random.default_rng(0)
X = _rng.normal(size=(STEPS * BATCH, 6)).astype(np.float32)
Y = _rng.normal(size=(STEPS * BATCH, 3)).astype(np.float32)


def dsl(density=0.25, **kwargs):
    return tfdsl.DSL(density, **({"update_interval": 3, "total_steps": STEPS} | kwargs))


def small_model(layer=SparseDense):
    return keras.Sequential([keras.Input((6,)), layer(8, activation="tanh"), layer(3)])


def compiled(inner="adam", algorithm=None, mode="graph", **kwargs):
    model = small_model()
    optimizer = tfdsl.SparseOptimizer(inner, dsl() if algorithm is None else algorithm)
    model.compile(optimizer, loss="mse", **MODE[mode], **kwargs)
    if mode == "eager":  # or the first gradients are of dense weights, and a warning says so
        model.optimizer.build(model.trainable_variables)
    return model


def fit(model, start=0, stop=STEPS, **kwargs):
    rows = slice(start * BATCH, stop * BATCH)
    return model.fit(X[rows], Y[rows], batch_size=BATCH, shuffle=False, **({"verbose": 0} | kwargs))


def masked(model):
    return [w for w in model.trainable_weights if mask_of(w) is not None]


def masks_of(model):
    return [mask_of(w).numpy() for w in masked(model)]


def values(variables):
    return [ops.convert_to_numpy(v.value).copy() for v in variables]


def assert_equal(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_sparse(model, counts=(12, 6)):
    """P1 and P2: the budget is met exactly, and all weights off the mask are exactly zero."""
    for weight, mask, n in zip(masked(model), masks_of(model), counts, strict=True):
        assert mask.sum() == n
        assert (weight.numpy()[~mask] == 0.0).all()


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


@pytest.mark.parametrize("precision", PRECISIONS)
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


@pytest.mark.parametrize("inner", INNER)
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
    model = watched("graph", "float32").model
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


# ---- P4 -------------------------------------------------------------------------------------


def everything(model):
    return values(model.variables) + values(model.optimizer.variables)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A run of 12 steps, saved in every format after 7, just after a change of masks."""
    keras.utils.set_random_seed(1)
    folder = tmp_path_factory.mktemp("interrupted")
    model = compiled(mode="xla")
    fit(model, 0, 7)
    model.save(folder / "model.keras")
    model.save_weights(folder / "model.weights.h5")
    checkpoint = tf.train.Checkpoint(model=model).write(str(folder / "checkpoint"))
    at_7 = everything(model)
    fit(model, 7, STEPS)
    return types.SimpleNamespace(
        folder=folder, checkpoint=checkpoint, at_7=at_7, at_12=everything(model)
    )


def test_a_run_resumed_from_a_keras_file_ends_with_the_same_bits(interrupted):
    model = keras.models.load_model(interrupted.folder / "model.keras")
    assert_equal(everything(model), interrupted.at_7)
    fit(model, 7, STEPS)
    assert_equal(everything(model), interrupted.at_12)


def test_a_run_resumed_from_a_weights_file_ends_with_the_same_bits(interrupted):
    model = compiled(mode="xla")
    model.optimizer.build(model.trainable_variables)
    model.load_weights(interrupted.folder / "model.weights.h5")
    assert_equal(everything(model), interrupted.at_7)
    fit(model, 7, STEPS)
    assert_equal(everything(model), interrupted.at_12)


def test_a_run_resumed_from_a_tensorflow_checkpoint_ends_with_the_same_bits(interrupted):
    model = compiled(mode="xla")
    model.optimizer.build(model.trainable_variables)
    status = tf.train.Checkpoint(model=model).read(interrupted.checkpoint)
    status.assert_existing_objects_matched()
    assert_equal(everything(model), interrupted.at_7)
    fit(model, 7, STEPS)
    assert_equal(everything(model), interrupted.at_12)


def test_a_run_that_was_killed_and_backed_up_ends_with_the_same_bits(tmp_path):
    class Killed(Exception):
        pass

    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise Killed

    def run(*callbacks):
        keras.utils.set_random_seed(1)
        model = compiled(mode="eager")
        fit(model, 0, 2, epochs=3, callbacks=list(callbacks))
        return everything(model)

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    whole = run()
    with pytest.raises(Killed):
        run(backup(), Kill())
    assert_equal(run(backup()), whole)


def test_a_model_saved_before_its_first_step_becomes_sparse_when_it_is_loaded_and_fitted(tmp_path):
    compiled().save(tmp_path / "model.keras")
    with pytest.warns(UserWarning, match="Skipping variable loading"):  # as for any optimizer
        model = keras.models.load_model(tmp_path / "model.keras")
    fit(model, 0, 1)
    assert_sparse(model)


def test_state_of_another_algorithm_is_left_out_with_a_warning(tmp_path):
    model = compiled(algorithm=dsl(grow="accumulated_gradient"))
    fit(model, 0, 4)
    model.save_weights(tmp_path / "model.weights.h5")
    other = compiled()
    fit(other, 0, 1)
    with pytest.warns(UserWarning, match="another algorithm"):
        other.load_weights(tmp_path / "model.weights.h5")
    assert_equal(masks_of(other), masks_of(model))
    fit(other, 4, 5)
    for sparse in other.optimizer.sparse_weights:
        assert (sparse.ever_active.numpy() >= sparse.mask.numpy()).all()


def test_an_optimizer_survives_its_configuration():
    inner = keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.01)
    optimizer = tfdsl.SparseOptimizer(inner, dsl(seed=5), name="mine")
    config = keras.saving.serialize_keras_object(optimizer)
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == optimizer.get_config()
    assert isinstance(again.inner_optimizer, keras.optimizers.SGD)
    assert isinstance(again.algorithm, tfdsl.DSL)
    assert again.name == "mine"


# ---- P8 -------------------------------------------------------------------------------------


def test_a_model_without_a_mask_is_refused_with_the_remedy():
    model = small_model(keras.layers.Dense)
    with pytest.raises(ValueError, match=r"has a mask.*tfdsl\.sparsify\(model\)"):
        tfdsl.SparseOptimizer("adam", dsl()).build(model.trainable_variables)


def test_an_inner_optimizer_that_is_built_is_refused_by_name():
    inner = keras.optimizers.Adam(name="used")
    inner.build(small_model().trainable_variables)
    with pytest.raises(ValueError, match=r"'used' is built"):
        tfdsl.SparseOptimizer(inner, dsl())


def test_an_inner_loss_scale_optimizer_is_refused_with_the_remedy():
    inner = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    with pytest.raises(ValueError, match=r"LossScaleOptimizer\(SparseOptimizer"):
        tfdsl.SparseOptimizer(inner, dsl())


@pytest.mark.parametrize("inner", [None, tfdsl.SparseOptimizer("adam", dsl())])
def test_no_inner_optimizer_or_a_sparse_one_is_refused(inner):
    with pytest.raises(ValueError, match=r"`inner_optimizer` must be .*received (None|<)"):
        tfdsl.SparseOptimizer(inner, dsl())


def test_variables_the_optimizer_is_not_built_for_are_refused_by_name():
    model, other = small_model(), small_model()
    optimizer = tfdsl.SparseOptimizer("adam", dsl())
    optimizer.build(model.trainable_variables)
    weights = other.trainable_variables
    with pytest.raises(ValueError, match=rf"other variables already; received {weights[0].path}"):
        optimizer.apply([tf.zeros(w.shape) for w in weights], weights)


def test_a_missing_gradient_is_refused_with_the_numbers():
    model = small_model()
    optimizer = tfdsl.SparseOptimizer("adam", dsl())
    optimizer.build(model.trainable_variables)
    with pytest.raises(ValueError, match="received 1 for 4 variables"):
        optimizer.apply([tf.zeros([6, 8])], model.trainable_variables)


def test_replicas_are_refused_in_one_line():
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = small_model()
        with pytest.raises(ValueError, match=r"replicas yet; received .*MirroredStrategy"):
            tfdsl.SparseOptimizer("adam", dsl()).build(model.trainable_variables)


@pytest.mark.parametrize("algorithm", [None, "dsl", tfdsl.DSL, 0.2])
def test_anything_but_an_algorithm_is_refused_with_its_value(algorithm):
    with pytest.raises(ValueError) as error:
        tfdsl.SparseOptimizer("adam", algorithm)
    assert f"received {algorithm!r}" in str(error.value)


def test_an_unknown_inner_optimizer_is_refused():
    with pytest.raises(ValueError, match="adamant"):
        tfdsl.SparseOptimizer("adamant", dsl())


def test_momentum_growth_without_a_momentum_is_refused_by_name():
    optimizer = tfdsl.SparseOptimizer("rmsprop", tfdsl.SET(0.5, grow="momentum"))
    with pytest.raises(ValueError, match=r"grow='momentum'.*received 'rm_?sprop'"):
        optimizer.build(small_model().trainable_variables)
