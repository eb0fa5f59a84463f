"""SpectralDSL: what it does otherwise than DSL, and that it can be given otherwise."""

import keras
import numpy as np
import pytest
from scipy import sparse

import tfdsl
from tfdsl import DSL, Spectral, SpectralDSL
from tfdsl.layers import mask_of

# Three groups of users who like a group of items each.
GROUPS = np.kron(np.eye(3), np.ones((8, 6)))
PAIRS = sparse.csr_array(GROUPS * (np.random.default_rng(0).random(GROUPS.shape) < 0.8))


def test_it_is_dsl_with_other_defaults():
    algorithm = SpectralDSL(0.25, PAIRS, total_steps=1000, seed=3)
    assert isinstance(algorithm, DSL)
    assert (algorithm.granularity, algorithm.candidates) == ("embedding_row", 8)
    assert (algorithm.grow, algorithm.optimizer_state) == ("accumulated_gradient", "reset")
    assert (algorithm.updates.interval, algorithm.updates.end) == (50, None)
    assert algorithm.get_config()["update_end"] == "auto"
    assert float(algorithm.ratio(0)) == pytest.approx(0.3)
    assert float(algorithm.ratio(1000)) == pytest.approx(0.005)
    assert algorithm.init.interactions is PAIRS
    assert (algorithm.init.seed, algorithm.init.users) == (3, 0.9)


def test_each_can_be_given():
    init = Spectral(PAIRS, rotation="none")
    algorithm = SpectralDSL(
        0.25, init=init, total_steps=100, update_interval=7, grow="random", candidates=None
    )
    assert algorithm.init is init
    assert (algorithm.updates.interval, algorithm.grow, algorithm.candidates) == (7, "random", None)
    assert SpectralDSL(0.25, PAIRS, total_steps=10).updates.interval == 1


def moved(density, units=10, **kwargs):
    """Returns the steps at which the masks of a kernel and of a table's rows change."""
    ids = keras.Input((1,), dtype="int32")
    rows = tfdsl.layers.SparseEmbedding(40, units)(ids)
    kernel = tfdsl.layers.SparseDense(units, use_bias=False)
    model = keras.Model(ids, kernel(keras.layers.Flatten()(rows)))
    algorithm = SpectralDSL(density, init="exact", total_steps=100, **kwargs)
    model.compile(tfdsl.SparseOptimizer("adam", algorithm), loss="mse", jit_compile=True)
    model.optimizer.build(model.trainable_variables)
    watched = kernel.kernel, model.layers[1].embeddings
    masks, steps = [mask_of(weight).numpy() for weight in watched], ([], [])
    values = np.random.default_rng(0).random((100, units), dtype=np.float32)
    for step in range(100):
        model.train_on_batch(np.arange(40)[:, None], np.resize(values[step], (40, units)))
        for place, weight in enumerate(watched):
            mask = mask_of(weight).numpy()
            assert mask.sum() == masks[place].sum()
            if (mask != masks[place]).any():
                steps[place].append(step + 1)
            masks[place] = mask
    return steps


@pytest.mark.parametrize(("density", "updates"), [(0.8, 0), (0.3, 2), (0.2, 4)])
def test_masks_of_kernels_stop_and_those_of_rows_go_on(density, updates):
    kernel, table = moved(density)
    assert kernel == [5, 10, 15, 20][:updates]
    assert table[: updates + 1] == [5, 10, 15, 20, 25][: updates + 1]
    assert table[-1] > 50


def test_an_end_that_is_given_is_of_all_masks():
    kernel, table = moved(0.2, update_end=60, grow="random")
    assert kernel[-1] == table[-1] == 60
    kernel, table = moved(0.2, update_end=None, grow="random")
    assert kernel[-1] > 60 < table[-1]


def test_users_have_a_share_of_their_own_where_rows_can_have_budgets():
    for density, kwargs, share in [
        (0.25, {"users": 0.6}, 0.6),
        (0.25, {"users": None}, None),
        (0.25, {"granularity": "entry", "candidates": None}, None),
        (tfdsl.schedules.Linear(0.5, 0.25, 50), {"candidates": None}, None),
        (tfdsl.schedules.Constant(0.25), {}, 0.9),
    ]:
        assert SpectralDSL(density, PAIRS, total_steps=100, **kwargs).init.users == share
    with pytest.raises(ValueError, match=r"`users` must be a number in \(0, 1\); received 'most'"):
        SpectralDSL(0.25, PAIRS, total_steps=100, users="most")


def test_interactions_or_first_masks_are_needed_and_not_both():
    with pytest.raises(ValueError, match="received None"):
        SpectralDSL(0.25, total_steps=100)
    with pytest.raises(ValueError, match="received both"):
        SpectralDSL(0.25, PAIRS, init="exact", total_steps=100)


@pytest.mark.parametrize("storage", ["dense", "packed"])
def test_users_and_items_of_a_group_begin_in_the_same_places(storage, tmp_path):
    how = {"storage": "packed", "density": 1 / 3} if storage == "packed" else {}
    model = tfdsl.models.LightGCN(PAIRS, width=3, layers=1, users=4 / 7, **how)
    algorithm = SpectralDSL(1 / 3, PAIRS, users=4 / 7, total_steps=100)  # as many an item
    model.compile(tfdsl.SparseOptimizer("adam", algorithm), loss=tfdsl.models.BPRLoss())
    model.optimizer.build(model.trainable_variables)
    mask = np.concatenate([mask_of(table.embeddings).numpy() for table in model.tables])
    assert (mask.sum(axis=1) == 1).all()
    users, items = mask[:24].argmax(axis=1), mask[24:].argmax(axis=1)
    together = users[:, None] == items[None]
    np.testing.assert_array_equal(together, GROUPS > 0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    masks = [mask_of(table.embeddings).numpy() for table in again.tables]
    np.testing.assert_array_equal(np.concatenate(masks), mask)
    assert again.optimizer.algorithm.get_config() == algorithm.get_config()
