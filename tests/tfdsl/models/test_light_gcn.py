import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

import tfdsl
from pipelines.sampling import TripleSampler
from tests.helpers.packed_tables import algorithm_of
from tfdsl.layers import mask_of
from tfdsl.models import BPRLoss, LightGCN, NeuMF

GRAPH = sparse.csr_array((np.random.default_rng(0).random((30, 20)) < 0.2).astype(np.float32))
USERS = np.arange(30)
ITEMS = np.tile(np.arange(20), (30, 1))


def trained(steps=40, sampling="device", xla=False, at_once=7, **arguments):
    keras.utils.set_random_seed(1)
    model = LightGCN(GRAPH, width=8, **arguments)
    optimizer = tfdsl.SparseOptimizer(
        keras.optimizers.Adam(0.05), tfdsl.DSL(0.25, update_interval=5, total_steps=steps)
    )
    model.compile(optimizer, loss=BPRLoss(), jit_compile=xla)
    model.optimizer.build(model.trainable_variables)
    sampler = TripleSampler(GRAPH, 32, seed=2)
    if sampling == "host":
        fed = sampler.dataset(0, steps)
    else:
        model.sampler, fed = sampler, tf.data.Dataset.range(steps).batch(at_once)
    history = model.fit(fed, verbose=0)
    return model, history.history["loss"][0]


def test_embeddings_are_means_over_neighbourhoods():
    model = LightGCN(GRAPH, width=8, layers=2)
    adjacency = np.zeros((50, 50))
    adjacency[:30, 30:] = GRAPH.toarray()
    adjacency += adjacency.T
    scale = np.maximum(adjacency.sum(axis=1), 1) ** -0.5
    a = scale[:, None] * adjacency * scale
    own = model.nodes.embeddings.numpy()
    expected = (own + a @ own + a @ a @ own) / 3
    np.testing.assert_allclose(model.embeddings(), expected, atol=1e-6)
    scores = expected[:30] @ expected[30:].T
    np.testing.assert_allclose(model((USERS, ITEMS)), scores, atol=1e-6)
    np.testing.assert_allclose(model.scorer()(USERS), scores, atol=1e-6)


def test_without_layers_it_is_matrix_factorisation():
    model = LightGCN(GRAPH, width=8, layers=0)
    table = model.nodes.embeddings.numpy()
    np.testing.assert_allclose(model((USERS, ITEMS)), table[:30] @ table[30:].T, atol=1e-6)


def test_the_loss_is_bpr_and_half_the_squares_of_the_batch_rows():
    model = LightGCN(GRAPH, width=8, layers=1, regularization=0.3)
    users, items = np.array([3, 4]), np.array([[1, 2], [5, 6]])
    model.compile("sgd", loss=BPRLoss())
    labels = np.array([[1.0, 0.0]] * 2)
    scores = model((users, items)).numpy()
    table = model.nodes.embeddings.numpy()
    rows = np.concatenate([table[users], table[30 + items.ravel()]])
    expected = np.log1p(np.exp(scores[:, 1] - scores[:, 0])).mean()
    expected += 0.3 * (rows**2).sum() / 2 / 2
    loss = model.train_on_batch((users, items), labels)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_it_learns_on_a_constant_budget():
    model, _ = trained(300, xla=True)
    mask = mask_of(model.nodes.embeddings).numpy()
    assert mask.sum() == round(0.25 * mask.size)
    assert (model.nodes.embeddings.numpy()[~mask] == 0).all()
    scores, had = model.scorer()(USERS).numpy(), GRAPH.toarray() > 0
    better = scores[:, :, None] > scores[:, None, :]  # user, item he has, item he has not
    assert better[had[:, :, None] & ~had[:, None, :]].mean() > 0.8


@pytest.mark.slow
def test_host_and_device_sampling_train_the_same():
    (host, host_loss), (device, device_loss) = (trained(sampling=s) for s in ("host", "device"))
    assert host_loss == device_loss
    np.testing.assert_array_equal(host.nodes.embeddings, device.nodes.embeddings)


@pytest.mark.slow
def test_bfloat16_gathers_train_nearly_the_same():
    exact, rough = (trained(gather=dtype)[1] for dtype in ("float32", "bfloat16"))
    assert rough == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_a_dtype_policy_leaves_its_float32_as_it_is(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = LightGCN(GRAPH, width=8, regularization=0.3)
    finally:
        keras.config.set_dtype_policy("float32")
    plain = LightGCN(GRAPH, width=8, regularization=0.3)
    losses = []
    for one in (model, plain):
        one.nodes.embeddings.assign(np.random.default_rng(3).normal(0, 0.1, (50, 8)))
        one.compile(keras.optimizers.SGD(1.0), loss=BPRLoss())
        labels = np.array([[1.0, 0.0]] * 30)
        losses.append(float(one.train_on_batch((USERS, ITEMS[:, :2]), labels)))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    np.testing.assert_allclose(model.nodes.embeddings, plain.nodes.embeddings, atol=1e-6)
    assert model((USERS, ITEMS)).dtype == model.scorer()(USERS).dtype == "float32"


@pytest.mark.parametrize(
    ("users", "items", "message"),
    [
        ([30], [[0]], r"`users` must be in 0\.\.29; received 30"),
        ([-1], [[0]], r"`users` must be in 0\.\.29; received -1"),
        ([0], [[0, 20]], r"`items` must be in 0\.\.19; received 20"),
        (np.array([2**32 + 3]), [[0]], "`users`.*received 4294967299"),
        ([0.5], [[0]], "`users` must be integers; received float32"),
    ],
)
@pytest.mark.parametrize("kind", [LightGCN, NeuMF])
def test_ids_that_are_not_there_are_refused(kind, users, items, message):
    model = kind(GRAPH) if kind is LightGCN else kind(30, 20)
    with pytest.raises(ValueError, match=message):
        model.call((users, items))
    if "users" in message:
        with pytest.raises(ValueError, match=message):
            model.scorer()(users)


def test_without_its_graph_it_says_so():
    copy = keras.models.clone_model(LightGCN(GRAPH, width=8))
    for use in (lambda: copy((USERS, ITEMS)), copy.scorer, lambda: copy.save_assets(".")):
        with pytest.raises(ValueError, match="This LightGCN has no graph"):
            use()


def test_sparsify_copies_the_graph():
    model = LightGCN(GRAPH, width=8)
    copy = tfdsl.sparsify(model)
    np.testing.assert_array_equal(copy.scorer()(USERS), model.scorer()(USERS))


def test_a_saved_model_has_its_graph_and_goes_on(tmp_path):
    model, _ = trained()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.scorer()(USERS), model.scorer()(USERS))
    for one in (model, again):
        one.sampler = TripleSampler(GRAPH, 32, seed=2)
        one.fit(tf.data.Dataset.range(40, 50), verbose=0)
    np.testing.assert_array_equal(again.nodes.embeddings, model.nodes.embeddings)


@pytest.mark.slow
def test_a_packed_table_trains_as_one_with_a_mask(tmp_path):
    models = []
    packed_table = {"storage": "packed", "density": 0.25, "users": None, "candidates": 3}
    for how in ({}, packed_table):
        model = LightGCN(GRAPH, width=8, **how)
        algorithm = algorithm_of(density=0.25, candidates=3, update_interval=5, total_steps=40)
        optimizer = tfdsl.SparseOptimizer(keras.optimizers.Adam(0.05), algorithm)
        model.compile(optimizer, loss=BPRLoss())
        model.sampler = TripleSampler(GRAPH, 32, seed=2)
        model.fit(tf.data.Dataset.range(20).batch(10), verbose=0)
        models.append(model)
    dense, packed = models
    np.testing.assert_array_equal(mask_of(packed.nodes.embeddings), mask_of(dense.nodes.embeddings))
    np.testing.assert_allclose(packed.nodes.embeddings, dense.nodes.embeddings, atol=1e-6)
    packed.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.scorer()(USERS), packed.scorer()(USERS))


def test_packed_tables_of_users_and_items_share_a_budget(tmp_path):
    algorithm = tfdsl.SpectralDSL(0.2, GRAPH, users=0.7, candidates=3, total_steps=40)
    model = LightGCN(GRAPH, width=8, storage="packed", density=0.2, users=0.7, candidates=3)
    model.compile(tfdsl.SparseOptimizer(keras.optimizers.Adam(0.05), algorithm), loss=BPRLoss())
    model.sampler = TripleSampler(GRAPH, 32, seed=2)
    n_rows = sum(GRAPH.shape)
    of_users = round(0.7 * round(0.2 * 8 * n_rows))
    budgets = [of_users, round(0.2 * 8 * n_rows) - of_users]
    for _ in range(2):  # at first, and after updates
        model.optimizer.build(model.trainable_variables)
        masks = [mask_of(table.embeddings).numpy() for table in model.tables]
        assert [mask.sum() for mask in masks] == budgets
        assert all(np.ptp(mask.sum(axis=1)) <= 1 for mask in masks)
        values = [table.embeddings.numpy() for table in model.tables]
        assert all((value[~mask] == 0).all() for value, mask in zip(values, masks, strict=True))
        history = model.fit(tf.data.Dataset.range(20).batch(10), verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.scorer()(USERS), model.scorer()(USERS))
    assert tfdsl.report(again).density == pytest.approx(0.2, abs=1e-3)


def test_packed_tables_begin_as_one_would_and_other_densities_are_refused():
    how = {"width": 8, "storage": "packed", "density": 0.5}
    largest = [np.abs(table.embeddings.numpy()).max() for table in LightGCN(GRAPH, **how).tables]
    one = np.abs(LightGCN(GRAPH, users=None, **how).nodes.embeddings.numpy()).max()
    np.testing.assert_allclose(largest, one, rtol=0.1)
    model = LightGCN(GRAPH, **how)
    optimizer = tfdsl.SparseOptimizer("adam", tfdsl.SpectralDSL(0.4, GRAPH, total_steps=40))
    with pytest.raises(ValueError, match=r"'users/embeddings', 'items/.* of density 0.5.* is 0.4"):
        optimizer.build(model.trainable_variables)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"users": 1.0}, "`users` must be a number in"),
        ({"interactions": None}, "needs the interactions"),
        ({"interactions": GRAPH.tocsc()}, "`interactions` must be a matrix in CSR format"),
        ({"width": 0}, "`width`.*received 0"),
        ({"layers": -1}, "`layers`.*received -1"),
        ({"regularization": -0.1}, "`regularization`.*received -0.1"),
        ({"regularization": float("nan")}, "`regularization`.*received nan"),
        ({"gather": "int8"}, "`gather`.*received 'int8'"),
    ],
)
def test_a_bad_argument_is_refused_with_its_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        LightGCN(**({"interactions": GRAPH} | arguments))
