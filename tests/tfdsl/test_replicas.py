"""Two replicas on two virtual CPU devices: they never differ, and decide as one device does."""

import functools

import keras
import numpy as np
import pytest
import small_mlps
import tensorflow as tf
from keras import ops
from scipy import sparse
from small_runs import X, Y, assert_equal, assert_sparse, dsl, masks_of, small_model

import tfdsl
from tests.helpers.packed_tables import algorithm_of
from tfdsl.layers import SparseDense, SparseEmbedding, mask_of
from tfdsl.models import BPRLoss, LightGCN, NeuMF, philox
from tfdsl.seeds import Seed

BATCH = 8  # of both replicas together


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@functools.cache  # TensorFlow confuses the sums of two strategies of one process
def strategy():
    several = len(tf.config.list_logical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy([f"{'GPU' if several else 'CPU'}:{n}" for n in (0, 1)])


def one_device():
    return tf.distribute.get_strategy()


def copies(model):
    """Returns every variable's value on each replica."""
    variables = [v.value for v in (*model.variables, *model.optimizer.variables)]
    return list(
        zip(*([part.numpy() for part in _parts(variable)] for variable in variables), strict=True)
    )


def _parts(variable):
    return getattr(variable, "values", (variable,))


def trained(scope, inner="adam", algorithm=None, epochs=6, make=small_model, data=(X, Y), **extra):
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(1)
    with scope.scope():
        model = make()
        optimizer = tfdsl.SparseOptimizer(
            keras.optimizers.get(inner if isinstance(inner, str | dict) else inner()),
            dsl(total_steps=40) if algorithm is None else algorithm,
        )
        model.compile(optimizer, **({"loss": "mse", "jit_compile": False} | extra))
    model.fit(*data, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0)
    return model


def assert_equal_copies(model):
    first, *others = copies(model)
    assert len(others) == 1
    for other in others:
        assert_equal(first, other)


@pytest.mark.parametrize(
    ("inner", "algorithm"),
    [
        slow("adam", {}),
        slow("adam", {"optimizer_state": "mask"}),
        slow("adam", {"optimizer_state": "reset", "grow": "accumulated_gradient"}),
        slow({"class_name": "Adam", "config": {"gradient_accumulation_steps": 2}}, {}),
        slow({"class_name": "AdamW", "config": {"use_ema": True, "global_clipnorm": 0.5}}, {}),
        slow({"class_name": "SGD", "config": {"momentum": 0.9}}, {"grow": "momentum"}),
    ],
)
def test_replicas_hold_the_same_bits_and_the_masks_of_one_device(inner, algorithm):
    algorithm = dsl(total_steps=40, **algorithm)
    ours = trained(strategy(), inner, algorithm)
    alone = trained(one_device(), inner, algorithm)
    assert_equal_copies(ours)
    assert_sparse(ours)
    assert int(ours.optimizer.iterations.numpy()) == int(alone.optimizer.iterations.numpy())
    assert_equal(masks_of(ours), masks_of(alone))
    for mine, its in zip(ours.weights, alone.weights, strict=True):
        np.testing.assert_allclose(mine.numpy(), its.numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_hundreds_of_updates_leave_the_replicas_equal():
    algorithm = tfdsl.DSL(0.25, update_interval=1, total_steps=300)
    model = trained(strategy(), algorithm=algorithm, epochs=50)
    assert int(model.optimizer.iterations.numpy()) == 300
    assert_equal_copies(model)
    assert_sparse(model)


def test_sums_of_exact_numbers_give_the_weights_of_one_device_to_the_bit():
    # Sums of small integers times powers of two have no rounding, in whatever order.
    draw = np.random.default_rng(0)
    data = draw.integers(-2, 3, (8, 6)).astype("f4"), draw.integers(-2, 3, (8, 3)).astype("f4")

    def linear():
        start = keras.initializers.Constant(0.5)
        return keras.Sequential([keras.Input((6,)), SparseDense(3, kernel_initializer=start)])

    algorithm = dsl(update_interval=1, total_steps=4)
    loss = keras.losses.MeanSquaredError(reduction="sum")
    options = {"algorithm": algorithm, "epochs": 3, "make": linear, "data": data, "loss": loss}
    ours, alone = (
        trained(scope, lambda: keras.optimizers.SGD(2.0**-5), **options)
        for scope in (strategy(), one_device())
    )
    assert_equal_copies(ours)
    # A replica's sum is scaled by the number of replicas, a power of two.
    assert_equal(masks_of(ours), masks_of(alone))


def test_rows_of_tables_from_both_replicas_are_added_up():
    ids = np.random.default_rng(0).integers(0, 5, (48, 4))  # the same rows on both, and twice

    def table():
        layers = [SparseEmbedding(9, 6), keras.layers.Flatten(), SparseDense(3)]
        return keras.Sequential([keras.Input((4,), dtype="int32"), *layers])

    # Not Adam, which makes a step of a last bit where a sum is zero but for its order.
    options = {"make": table, "data": (ids, Y), "algorithm": dsl(total_steps=40)}
    ours, alone = (trained(scope, "sgd", **options) for scope in (strategy(), one_device()))
    assert_equal_copies(ours)
    assert_equal(masks_of(ours), masks_of(alone))
    for mine, its in zip(ours.weights, alone.weights, strict=True):
        np.testing.assert_allclose(mine.numpy(), its.numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_packed_tables_have_the_rows_of_one_device():
    ids = np.random.default_rng(0).integers(0, 5, (48, 4))

    def table():
        layers = [SparseEmbedding(9, 6, storage="packed", density=0.5, candidates=2)]
        layers += [keras.layers.Flatten(), SparseDense(3)]
        return keras.Sequential([keras.Input((4,), dtype="int32"), *layers])

    algorithm = algorithm_of(density=0.5, candidates=2, total_steps=40)
    options = {"make": table, "data": (ids, Y), "algorithm": algorithm}
    ours, alone = (trained(scope, "sgd", **options) for scope in (strategy(), one_device()))
    assert_equal_copies(ours)
    one, other = (model.layers[0].embeddings for model in (ours, alone))
    np.testing.assert_array_equal(mask_of(one), mask_of(other))
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


GRAPH = sparse.csr_array((np.random.default_rng(0).random((20, 30)) < 0.2).astype("f4"))
USERS, ITEMS = (np.random.default_rng(1).integers(0, n, (80, 2)).astype("i4") for n in (20, 30))
CLICKS = (np.random.default_rng(2).random((80, 1)) < 0.3).astype("f4")
OF_MODELS = {
    "LightGCN": (
        lambda: LightGCN(GRAPH, width=4),
        ((USERS[:, 0], ITEMS), np.tile(np.float32([1, 0]), (80, 1))),
        BPRLoss(),
    ),
    "NeuMF": (
        lambda: NeuMF(20, 30, factors=4, mlp_factors=4, hidden=(4,), dropout=0.0),
        ((USERS[:, 0], ITEMS[:, :1]), CLICKS),
        keras.losses.BinaryCrossentropy(from_logits=True),
    ),
}


@pytest.mark.parametrize("name", ["NeuMF", slow("LightGCN")])
def test_models_of_ids_train_on_replicas_as_on_one_device(name):
    make, data, loss = OF_MODELS[name]
    options = {"make": make, "data": data, "loss": loss, "epochs": 2}
    ours, alone = (trained(scope, **options) for scope in (strategy(), one_device()))
    assert_equal_copies(ours)
    assert_equal(masks_of(ours), masks_of(alone))


def test_replicas_draw_noise_of_their_own():
    one = np.ones((2, 50), "f4")

    @tf.function
    def noises():
        return strategy().run(lambda: philox.normal(one, philox.fold(Seed(3), 1, 7)))

    first, second = (part.numpy() for part in strategy().experimental_local_results(noises()))
    # A GPU's logarithm has other last bits.
    np.testing.assert_allclose(first, philox.normal(one, philox.fold(Seed(3), 1, 7)), rtol=1e-6)
    assert (first != second).all()


def test_a_gradient_that_is_not_finite_on_one_replica_changes_none():
    model = trained(strategy(), epochs=1)
    before = copies(model)
    rows = X[:BATCH].copy()
    rows[-1] = np.nan  # of the second replica alone
    model.fit(rows, Y[:BATCH], batch_size=BATCH, verbose=0)
    for old, new in zip(before, copies(model), strict=True):
        changed = [i for i, (a, b) in enumerate(zip(old, new, strict=True)) if (a != b).any()]
        variables = (*model.variables, *model.optimizer.variables)
        assert [variables[i].name for i in changed] == ["skipped_steps"]
    assert int(model.optimizer.skipped_steps.numpy()) == 1


@pytest.mark.slow
def test_mixed_precision_steps_on_replicas():
    keras.config.set_dtype_policy("mixed_float16")
    model = trained(strategy(), epochs=4)
    assert_equal_copies(model)
    assert_sparse(model)
    assert int(model.optimizer.inner_optimizer.iterations.numpy()) > 0


@pytest.mark.slow
def test_neurons_come_and_go_on_replicas_as_on_one_device():
    def run(scope):
        keras.utils.clear_session(free_memory=False)
        with scope.scope():
            model, mlp = small_mlps.make()
        states = small_mlps.train(model)
        return model, mlp, states

    model, mlp, ours = run(strategy())
    _, _, alone = run(one_device())
    assert_equal_copies(model)
    flags = [
        [bool(state[small_mlps.places(model, mlp.is_pruned)]) for state in states.values()]
        for states in (ours, alone)
    ]
    assert flags[0] == flags[1]
    assert set(flags[0]) == {True, False}
    for mine, its in zip(ours[20], alone[20], strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-3, atol=1e-5)


def test_a_loop_of_ones_own_trains_on_replicas():
    scope = strategy()
    keras.utils.set_random_seed(1)
    with scope.scope():
        model = small_model()
        optimizer = tfdsl.SparseOptimizer("adam", dsl(total_steps=40))
        optimizer.build(model.trainable_variables)

    def step(x, y):
        with tf.GradientTape() as tape:
            loss = ops.sum((model(x) - y) ** 2) / BATCH
        weights = model.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)

    @tf.function
    def steps(x, y):
        scope.run(step, args=(x, y))

    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH)
    for x, y in scope.experimental_distribute_dataset(data):
        steps(x, y)
    model.optimizer = optimizer
    assert_equal_copies(model)
    assert_sparse(model)
    assert int(optimizer.iterations.numpy()) == 6


@pytest.mark.slow
def test_what_replicas_have_trained_goes_on_alone(tmp_path):
    model = trained(strategy(), epochs=2)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_equal([v.numpy() for v in loaded.variables], [v.numpy() for v in model.variables])
    loaded.fit(X, Y, batch_size=BATCH, verbose=0)
    assert_sparse(loaded)


@pytest.mark.slow
def test_at_density_1_replicas_train_as_keras_does():
    def dense():
        return small_model(keras.layers.Dense)

    ours = trained(strategy(), algorithm=tfdsl.StaticSparse(1.0))
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(1)
    with strategy().scope():
        theirs = dense()
        theirs.compile("adam", loss="mse", jit_compile=False)
    theirs.fit(X, Y, batch_size=BATCH, epochs=6, shuffle=False, verbose=0)
    weights = [w.numpy() for w in ours.weights if w.dtype != "bool"]
    assert_equal(weights, [w.numpy() for w in theirs.weights])


def test_a_strategy_with_other_variables_is_refused_by_name():
    with tf.distribute.experimental.CentralStorageStrategy(["CPU:0", "CPU:1"]).scope():
        model = small_model()
        optimizer = tfdsl.SparseOptimizer("adam", dsl())
        with pytest.raises(ValueError, match=r"received the strategy CentralStorageStrategy"):
            optimizer.build(model.trainable_variables)


def test_an_optimizer_from_outside_of_the_scope_is_refused():
    optimizer = tfdsl.SparseOptimizer("adam", dsl())
    with strategy().scope():
        model = small_model()
        with pytest.raises(ValueError, match=r"inside of it"):
            optimizer.build(model.trainable_variables)


def test_gradients_outside_of_a_replica_are_refused():
    with strategy().scope():
        model = small_model()
        optimizer = tfdsl.SparseOptimizer("adam", dsl())
        optimizer.build(model.trainable_variables)
        gradients = [tf.zeros(w.shape) for w in model.trainable_variables]
        with pytest.raises(RuntimeError, match=r"inside of `strategy\.run`"):
            optimizer.apply(gradients, model.trainable_variables)


def test_a_mask_is_on_every_replica():
    with strategy().scope():
        model = small_model()
    for weight in model.trainable_weights:
        mask = mask_of(weight)
        assert mask is None or len(_parts(mask.value)) == 2
