"""First masks from spectral factors."""

import builtins

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

import tfdsl
from pipelines.sampling import TripleSampler
from tfdsl import initial
from tfdsl.layers import mask_of


def blocks(n_groups=4, users=20, items=15):
    """Groups of users who have all items of their own group."""
    return sparse.csr_array(sparse.block_diag([np.ones((users, items), "f4")] * n_groups))


def test_factors_are_seeded_and_of_unit_scores():
    pairs = sparse.random_array((60, 40), density=0.2, format="csr", rng=0)
    one, two = (initial.Spectral(pairs, seed=3).factors(8) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    scores = initial.Spectral(pairs).scores("nodes", (100, 8))
    np.testing.assert_allclose(np.linalg.norm(scores, axis=1), 1.0, rtol=1e-5)


def test_a_rotation_gives_each_group_a_coordinate_of_its_own():
    users, items = initial.Spectral(blocks()).factors(4)
    both = np.abs(np.concatenate([users, items]))
    largest = both.argmax(1)
    assert (np.sort(both, 1)[:, -2] < 1e-3 * both.max(1)).all()
    of_users, of_items = largest[:80].reshape(4, 20), largest[80:].reshape(4, 15)
    assert (of_users == of_users[:, :1]).all()
    np.testing.assert_array_equal(of_users[:, 0], of_items[:, 0])
    assert sorted(of_users[:, 0]) == [0, 1, 2, 3]


def test_weights_of_users_of_items_and_of_both_are_told_apart():
    init = initial.Spectral(blocks())
    assert init.scores("a", (140, 6)).shape == (140, 6)
    assert init.scores("b", (80, 6)).shape == (80, 6)
    kernel = init.scores("c", (6, 60))
    np.testing.assert_array_equal(kernel.T, init.scores("d", (60, 6)))
    assert init.scores("e", (33, 6)) is None
    assert init.scores("f", (60,)) is None


@pytest.mark.parametrize("granularity", ["entry", "row"])
def test_a_model_begins_with_the_largest(granularity):
    pairs = blocks()
    model = tfdsl.models.LightGCN(pairs, width=4)
    init = initial.Spectral(pairs)
    algorithm = tfdsl.DSL(
        0.25, init=init, granularity=granularity, update_interval=5, total_steps=100
    )
    model.compile(tfdsl.SparseOptimizer("adam", algorithm), loss=tfdsl.models.BPRLoss())
    model.optimizer.build(model.trainable_variables)
    mask = mask_of(model.nodes.embeddings).numpy()
    scores = np.abs(init.scores("nodes/embeddings", (140, 4)))
    assert mask.sum() == 140
    np.testing.assert_array_equal(mask.argmax(1), scores.argmax(1))
    assert (model.nodes.embeddings.numpy() != 0).sum() == 140


def test_without_interactions_it_is_saved_and_cannot_be_asked():
    init = initial.Spectral(blocks(), seed=5)
    algorithm = tfdsl.DSL(0.25, init=init, total_steps=100)
    again = tfdsl.DSL.from_config(algorithm.get_config())
    assert again.init.seed == 5
    assert again.init.scores("a", (140, 6)) is None
    with pytest.raises(ValueError, match="has no interactions"):
        again.init.factors(6)


def test_beyond_the_rank_what_is_active_is_drawn():
    pairs = blocks(users=5, items=4)  # of rank 4
    model = tfdsl.models.LightGCN(pairs, width=24)
    algorithm = tfdsl.StaticSparse(1 / 3, init=initial.Spectral(pairs), granularity="row")
    model.compile(tfdsl.SparseOptimizer("adam", algorithm), loss=tfdsl.models.BPRLoss())
    model.optimizer.build(model.trainable_variables)
    mask = mask_of(model.nodes.embeddings).numpy()
    assert set(mask.sum(1)) == {8}
    assert mask.any(0).all()


def test_what_rows_are_can_be_said():
    same = sparse.csr_array(np.tril(np.ones((12, 12), "f4")))  # as many users as items
    users, items = initial.Spectral(same).factors(3)
    told = initial.Spectral(same, rows={"a/items": "items"})
    as_users, as_items = (np.abs(told.scores(path, (12, 3))) for path in ("b", "a/items"))
    np.testing.assert_array_equal(as_users.argmax(1), np.abs(users).argmax(1))
    np.testing.assert_array_equal(as_items.argmax(1), np.abs(items).argmax(1))
    with pytest.raises(ValueError, match="`rows` must be one of nodes, users, items"):
        initial.Spectral(same, rows={"a": "words"})


def test_without_scikit_learn_it_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("sklearn"):
            raise ImportError("No module named 'sklearn'", name="sklearn")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'pip install "tfdsl\[spectral\]"'):
        initial.Spectral(blocks()).factors(4)


def test_an_autoencoder_has_scores_at_both_ends_and_inner_masks_are_drawn(tmp_path):
    pairs = blocks()
    model = tfdsl.models.MultVAE(60, hidden=16, latent=8)
    model.build((2, 60))
    algorithm = tfdsl.DSL(0.25, init=tfdsl.Spectral(pairs), total_steps=1000)
    model.compile(
        tfdsl.SparseOptimizer("adam", algorithm), loss=tfdsl.models.MultinomialLikelihood()
    )
    rows = pairs.toarray()
    model.fit(rows, rows, epochs=1, verbose=0)
    weights = model.optimizer.sparse_weights
    ends = [s for s in weights if 60 in s.weight.shape]
    assert len(ends) == 2 < len(weights)
    for sparse_weight in weights:
        assert sparse_weight.mask.numpy().sum() == round(0.25 * sparse_weight.mask.numpy().size)
    for sparse_weight in ends:
        mask = sparse_weight.mask.numpy()
        of_items = (mask if mask.shape[0] == 60 else mask.T).reshape(4, 15, 16).astype(int)
        # The four groups' own factors: those of one group have one in common at least.
        assert (of_items.sum(1).max(1) == 15).all()
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for one, other in zip(weights, again.optimizer.sparse_weights, strict=True):
        np.testing.assert_array_equal(one.mask, other.mask)


def test_scores_of_another_shape_are_refused():
    class Wrong(initial.Spectral):
        def scores(self, path, shape):
            return np.ones((3, 3))

    pairs = blocks()
    model = tfdsl.models.LightGCN(pairs, width=4)
    algorithm = tfdsl.StaticSparse(0.5, init=Wrong(pairs))
    model.compile(tfdsl.SparseOptimizer("adam", algorithm), loss=tfdsl.models.BPRLoss())
    with pytest.raises(ValueError, match=r"scores of a weight's shape.*received.*\(3, 3\)"):
        model.optimizer.build(model.trainable_variables)


def test_a_class_in_place_of_an_object_is_refused():
    with pytest.raises(ValueError, match=r"`init` must be one of .*Spectral"):
        tfdsl.StaticSparse(0.5, init=initial.Spectral)


def test_users_keep_their_share_of_a_table_of_nodes():
    pairs = blocks()  # 80 users, 60 items
    algorithm = tfdsl.SpectralDSL(
        0.2, pairs, users=0.75, total_steps=40, update_interval=5, candidates=2
    )
    model = tfdsl.models.LightGCN(pairs, width=6)
    model.compile(tfdsl.SparseOptimizer("adam", algorithm), loss=tfdsl.models.BPRLoss())
    model.optimizer.build(model.trainable_variables)
    model.sampler = TripleSampler(pairs, 32, seed=2)
    for _ in range(2):  # at first, and after updates of the masks
        active = np.sum(mask_of(model.nodes.embeddings), axis=1)
        assert (active[:80].sum(), active[80:].sum()) == (126, 168 - 126)
        for part in (active[:80], active[80:]):
            assert part.max() - part.min() <= 1
        model.fit(tf.data.Dataset.range(20).batch(20), verbose=0)


@pytest.mark.parametrize(("users", "of_users"), [(0.75, 126), (0.01, 2), (0.99, 166)])
def test_a_share_is_met_to_the_entry(users, of_users):
    budgets = initial.Spectral(blocks(), users=users).row_budgets("nodes", (140, 6), 168)
    assert (budgets[:80].sum(), budgets[80:].sum()) == (of_users, 168 - of_users)


def test_a_packed_table_has_no_rows_of_different_lengths():
    pairs = blocks()
    how = {"storage": "packed", "density": 0.5, "candidates": 2}
    model = tfdsl.models.LightGCN(pairs, width=6, users=None, **how)
    algorithm = tfdsl.SpectralDSL(0.5, pairs, users=0.75, candidates=2, total_steps=40)
    optimizer = tfdsl.SparseOptimizer("adam", algorithm)
    with pytest.raises(ValueError, match="as many active entries as each other, and its `init`"):
        optimizer.build(model.trainable_variables)


def test_what_does_not_fit_in_the_rows_of_some_is_the_others():
    init = initial.Spectral(blocks(), users=0.9)
    assert np.unique(init.row_budgets("nodes", (140, 6), 600)).tolist() == [2, 6]
    init = initial.Spectral(blocks(), users=0.1)
    assert init.row_budgets("nodes", (140, 6), 600)[:80].sum() == 600 - 60 * 6
    for shape in [(80, 6), (60, 6), (140,), (33, 6)]:
        assert init.row_budgets("table", shape, 10) is None
    assert initial.Spectral(blocks()).row_budgets("nodes", (140, 6), 600) is None


class OfRows:
    def __init__(self, budgets):
        self.budgets = budgets

    def scores(self, path, shape):
        return None

    def row_budgets(self, path, shape, total):
        return self.budgets

    def get_config(self):
        return {}


@pytest.mark.parametrize(
    ("budgets", "kwargs", "message"),
    [
        ([1, 2, 0], {}, "must be 4 integers from 0 to 2 that make 4 for"),
        ([3, 1, 0, 0], {}, "received array"),
        ([1, 1, 1, 0], {}, "received array"),
        ([1.0, 1.0, 1.0, 1.0], {}, "received array"),
        ([2, 1, 1, 0], {"granularity": "entry"}, "use granularity='row' and a constant density"),
        (
            [2, 1, 1, 0],
            {"density": tfdsl.schedules.Linear(1.0, 0.5, end=4)},
            "use granularity='row' and a constant density",
        ),
    ],
)
def test_budgets_of_rows_that_cannot_be_are_refused(budgets, kwargs, message):
    given = {"density": 0.5, "granularity": "row", "update_interval": 4} | kwargs
    optimizer = tfdsl.SparseOptimizer("adam", tfdsl.SET(init=OfRows(budgets), **given))
    model = keras.Sequential([tfdsl.layers.SparseDense(2, use_bias=False)])
    model.build((None, 4))
    with pytest.raises(ValueError, match=message):
        optimizer.build(model.trainable_variables)


@pytest.mark.parametrize(
    ("shape", "rows"), [((4, 2), 4), ((2, 4), 4), ((5,), 1), ((1, 5), 1), ((2, 3, 4), 6)]
)
def test_rows_are_those_that_masks_have(shape, rows):
    total = 2 * rows
    init = OfRows([2] * rows)
    assert initial.row_budgets(init, "w", shape, total).tolist() == [2] * rows
    algorithm = tfdsl.StaticSparse(0.5, granularity="row")
    (mask,) = algorithm.initial_masks([tf.zeros(shape)], budgets=[tf.fill([rows], 2)])
    assert mask.numpy().sum() == total
