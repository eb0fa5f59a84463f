import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

import tfdsl
from tests.helpers import exported_models
from tests.helpers.exported_models import GRAPH, N_ITEMS, N_USERS
from tfdsl.export import folder, retrieval

K = 7
HAD = np.zeros((N_USERS, N_ITEMS), bool)
HAD[GRAPH.nonzero()] = True
USER_NAMES = [f"user {number}" for number in range(N_USERS)]
ITEM_NAMES = [f"item {number}" for number in range(N_ITEMS)]
KINDS = {
    "propagated": ("light_gcn", {}),
    "propagated when loaded": ("light_gcn", {"storage": "packed"}),
    "block by block": ("light_gcn", {"storage": "packed", "index": "streaming"}),
    "propagated, block by block": ("light_gcn", {"index": "streaming"}),
    "in 16 bits": ("light_gcn", {"values": "bfloat16"}),
    "by a network": ("neu_mf", {"storage": "packed"}),
    "by a history": ("mult_vae", {}),
    "by a history, packed": ("mult_vae", {"storage": "packed", "index": "streaming"}),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Returns, by kind, the model and what was loaded, with names for users and items."""
    made = {}

    def serve(kind):
        if kind not in made:
            name, arguments = KINDS[kind]
            model, _ = exported_models.MODELS[name]()
            path = tmp_path_factory.mktemp("served") / "1"
            is_history = name == "mult_vae"
            users = {} if is_history else {"users": USER_NAMES}
            graph = None if is_history else GRAPH
            retrieval(model, graph, path, K, items=ITEM_NAMES, **users, **arguments)
            made[kind] = model, tf.saved_model.load(str(path))
        return made[kind]

    return serve


def histories():
    """Returns what each user had, by name, in rows filled up with ""."""
    longest = HAD.sum(axis=1).max()
    names = [[ITEM_NAMES[i] for i in np.flatnonzero(row)] for row in HAD]
    return tf.constant([row + [""] * (longest - len(row)) for row in names])


def answer(model, loaded, signature):
    """Returns the served items' numbers and scores, and all scores of the model."""
    if isinstance(model, tfdsl.models.MultVAE):
        found = loaded.signatures[signature](history=histories())
        scores = np.asarray(model(HAD.astype("f4")))
    else:
        found = loaded.signatures[signature](users=tf.constant(USER_NAMES))
        scores = model.scorer()(np.arange(N_USERS)).numpy()
    names = found["items"].numpy().astype(str)
    numbers = np.vectorize(ITEM_NAMES.index)(names)
    return numbers, found["scores"].numpy(), scores


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("signature", ["serving_default", "unseen"])
def test_the_best_items_are_found_by_name(served, kind, signature):
    numbers, found, scores = answer(*served(kind), signature)
    if signature == "unseen":
        scores = np.where(HAD, -np.inf, scores)
        assert not np.take_along_axis(HAD, numbers, axis=1).any()
    tolerance = 1e-4 if kind == "in 16 bits" else 1e-6
    best = np.sort(scores, axis=1)[:, ::-1][:, :K]
    np.testing.assert_allclose(found, best, atol=tolerance)
    own = np.take_along_axis(scores, numbers, axis=1)
    np.testing.assert_allclose(own, best, atol=tolerance)
    assert all(len(set(row)) == K for row in numbers)


def test_it_is_what_evaluation_ranks(served):
    model, loaded = served("propagated")
    numbers, *_ = answer(model, loaded, "unseen")
    relevant = sparse.csr_array(~HAD & (np.random.default_rng(0).random(HAD.shape) < 0.1))
    expected = tfdsl.evaluation.evaluate(model.scorer(), GRAPH, relevant, ks=(K,))
    hits = np.take_along_axis(relevant.toarray(), numbers, axis=1).sum(axis=1)
    n = relevant.toarray().sum(axis=1)
    assert expected[f"recall@{K}"] == pytest.approx((hits[n > 0] / n[n > 0]).mean(), abs=1e-6)


@pytest.mark.parametrize("kind", ["propagated", "propagated when loaded", "by a network"])
def test_a_user_who_is_not_known_is_refused_by_name(served, kind):
    _, loaded = served(kind)
    with pytest.raises(tf.errors.InvalidArgumentError, match="nobody"):
        loaded.signatures["serving_default"](users=tf.constant(["user 1", "nobody"]))


def test_items_of_a_history_that_are_not_known_are_left_out(served):
    _, loaded = served("by a history")
    serve = loaded.signatures["unseen"]
    plain = serve(history=tf.constant([["item 3", "item 9"]]))
    more = serve(history=tf.constant([["what", "item 9", "item 3", "item 3", ""]]))
    np.testing.assert_array_equal(plain["items"], more["items"])
    nothing = serve(history=tf.constant([[]], tf.string))
    assert np.isfinite(nothing["scores"]).all()


def test_no_request_gives_no_answer(served):
    _, loaded = served("propagated when loaded")
    found = loaded.signatures["unseen"](users=tf.constant([], tf.string))
    assert found["items"].shape == (0, K)


def test_who_has_seen_nearly_all_gets_the_few_that_are_left(tmp_path):
    had = np.ones((3, 20), bool)
    had[0, 4], had[1, 5:8] = False, False
    model = tfdsl.models.LightGCN(sparse.csr_array(had * 1.0), width=8)
    retrieval(exported_models.masked(model, 0.5), sparse.csr_array(had), tmp_path / "a", 4)
    loaded = tf.saved_model.load(str(tmp_path / "a"))
    found = loaded.signatures["unseen"](users=tf.constant([0, 1, 2], tf.int64))
    assert found["items"].numpy()[0].tolist() == [4, -1, -1, -1]
    assert sorted(found["items"].numpy()[1]) == [-1, 5, 6, 7]
    assert np.isinf(found["scores"].numpy()).sum(axis=1).tolist() == [3, 1, 4]


def test_numbers_are_ids_where_none_are_given_and_any_integers_can_be(tmp_path):
    model, _ = exported_models.light_gcn()
    retrieval(model, None, tmp_path / "a", 3)
    ids = 10**12 + np.arange(N_ITEMS)
    retrieval(model, None, tmp_path / "b", 3, users=np.arange(N_USERS) * 7, items=ids)
    plain, named = (tf.saved_model.load(str(tmp_path / name)) for name in "ab")
    assert list(plain.signatures) == ["serving_default"]
    one = plain.signatures["serving_default"](users=tf.constant([5], tf.int64))
    other = named.signatures["serving_default"](users=tf.constant([35], tf.int64))
    np.testing.assert_array_equal(one["items"].numpy() + 10**12, other["items"])
    with pytest.raises(tf.errors.InvalidArgumentError, match="60"):
        plain.signatures["serving_default"](users=tf.constant([60], tf.int64))


def test_packed_holds_the_graph_once_though_it_is_what_was_seen(tmp_path):
    graph = sparse.random_array((3000, 2000), density=0.005, format="csr", rng=0)
    model = exported_models.masked(tfdsl.models.LightGCN(graph, width=64), 0.1)
    dense = retrieval(model, graph, tmp_path / "a")
    packed = retrieval(model, graph, tmp_path / "b", storage="packed")
    assert [row.path for row in packed.rows] == ["graph", "nodes/embeddings"]
    assert packed.weight_bytes < 0.2 * dense.weight_bytes
    assert packed.bytes < 0.25 * dense.bytes
    assert folder.read(tmp_path / "b")["kind"] == "retrieval"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 51}, "`k` must be at most the 50 items; received 51"),
        ({"k": 0}, "`k` must be"),
        ({"index": "tree"}, "`index` must be one of brute_force, streaming, scann"),
        ({"items": ["a"] * N_ITEMS}, "`items` must be different ids"),
        ({"items": ["a"]}, "`items` must be 50 ids"),
        ({"items": ["a", *range(49)]}, "all of them integers, all strings or all bytes"),
        ({"items": range(-1, 49)}, "`items` must not have the id -1"),
        ({"items": ["", *map(str, range(49))]}, "`items` must not have the id ''"),
        ({"items": np.arange(2**63, 2**63 + 50, dtype="u8")}, "`items` must fit into 64 bits"),
        ({"users": [0.5] * N_USERS}, "`users` must be 60 ids in the order"),
        ({"interactions": GRAPH[:5]}, r"one row a user and one column an item, \(60, 50\)"),
        ({"index": "scann", "storage": "packed"}, "storage='dense'"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, arguments, message):
    model, _ = exported_models.light_gcn()
    with pytest.raises(ValueError, match=message):
        retrieval(model, path=tmp_path / "a", **({"interactions": GRAPH} | arguments))
    assert not list(tmp_path.iterdir())


def test_models_that_do_not_rank_or_not_so_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"ranks items for a user .*; received DLRM"):
        retrieval(exported_models.dlrm()[0], None, tmp_path / "a")
    with pytest.raises(ValueError, match=r"no dot products, which index='streaming' needs"):
        retrieval(exported_models.neu_mf()[0], None, tmp_path / "a", index="streaming")
    with pytest.raises(ValueError, match=r"MultVAE knows a user by the history"):
        retrieval(exported_models.mult_vae()[0], GRAPH, tmp_path / "a")
    assert not list(tmp_path.iterdir())
