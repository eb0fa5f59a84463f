import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

import tfdsl
from tests.helpers import exported_models
from tfdsl.export import saved_model

DRAW = np.random.default_rng(0)


def served(path, users, items):
    loaded = tf.saved_model.load(str(path))
    function = loaded.signatures["serving_default"]
    users, items = tf.constant(users, tf.int64), tf.constant(items, tf.int64)
    return function(users=users, items=items)["output_0"].numpy()


def every_pair(model):
    users = np.arange(model.n_users)
    return users, np.tile(np.arange(model.n_items), (model.n_users, 1))


@pytest.mark.parametrize("storage", ["dense", "packed"])
@pytest.mark.parametrize(("layers", "gather"), [(0, "float32"), (3, "float32"), (2, "bfloat16")])
def test_scores_are_the_models_own(tmp_path, storage, layers, gather):
    links = sparse.random_array((40, 30), density=0.1, format="lil", rng=1)
    links[:, 7], links[5] = 0, 0  # nobody's item, and nothing's user
    model = tfdsl.models.LightGCN(links.tocsr(), width=16, layers=layers, gather=gather)
    exported_models.masked(model, 0.3)
    saved_model(model, tmp_path / "a", storage=storage)
    pairs = every_pair(model)
    np.testing.assert_allclose(served(tmp_path / "a", *pairs), model(pairs), atol=1e-6)


def test_columns_in_any_order_and_twice_are_as_in_the_model(tmp_path):
    indptr, columns = np.array([0, 3, 3, 5]), np.array([3, 0, 3, 2, 1])
    graph = sparse.csr_array((np.ones(5), columns, indptr), shape=(3, 4))
    model = exported_models.masked(tfdsl.models.LightGCN(graph, width=8), 0.5)
    saved_model(model, tmp_path / "a")
    pairs = every_pair(model)
    np.testing.assert_allclose(served(tmp_path / "a", *pairs), model(pairs), atol=1e-6)
    other = tfdsl.export.load_packed(tmp_path / "a")
    np.testing.assert_array_equal(other.graph[1], columns)


@pytest.mark.parametrize("storage", ["dense", "packed"])
@pytest.mark.parametrize(("user", "item"), [(60, 0), (-1, 0), (0, 50), (0, -1)])
def test_ids_that_are_not_there_are_refused(tmp_path_factory, storage, user, item):
    path = tmp_path_factory.getbasetemp() / f"light_gcn_{storage}"
    if not path.exists():
        saved_model(exported_models.light_gcn()[0], path, storage=storage)
    with pytest.raises(tf.errors.InvalidArgumentError):
        served(path, [user], [[item]])


def test_packed_takes_the_graph_and_the_active_entries_alone(tmp_path):
    graph = sparse.random_array((3000, 2000), density=0.005, format="csr", rng=0)
    model = exported_models.masked(tfdsl.models.LightGCN(graph, width=64), 0.1)
    dense = saved_model(model, tmp_path / "a", storage="dense")
    packed = saved_model(model, tmp_path / "b")
    assert {row.path for row in packed.rows} == {"graph", "nodes/embeddings"}
    assert packed.rows[0].bytes < 2.2 * graph.nnz
    assert packed.weight_bytes < 0.2 * dense.weight_bytes
    assert not [f for f in (tmp_path / "b").rglob("*") if f.stat().st_size > 300_000]


def test_two_exports_in_one_process_keep_their_own_tables(tmp_path):
    first, second = (exported_models.light_gcn()[0] for _ in range(2))
    second.nodes.embeddings.assign(2 * second.nodes.embeddings)
    functions = []
    for name, model in (("a", first), ("b", second)):
        saved_model(model, tmp_path / name)
        functions.append(tf.saved_model.load(str(tmp_path / name)))
    users, items = tf.constant([0, 1], tf.int64), tf.constant([[0], [1]], tf.int64)
    one, two = (
        f.signatures["serving_default"](users=users, items=items)["output_0"] for f in functions
    )
    np.testing.assert_allclose(two, 4 * one, rtol=1e-5)
