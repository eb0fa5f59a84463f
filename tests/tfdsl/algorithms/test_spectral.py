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
    assert (algorithm.updates.interval, algorithm.updates.end) == (50, 150)
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
    assert algorithm.updates.end is None
    assert SpectralDSL(0.25, PAIRS, total_steps=100, update_end=60).updates.end == 60
    assert SpectralDSL(0.25, PAIRS, total_steps=100, update_end=None).updates.end is None


@pytest.mark.parametrize(
    ("density", "updates"), [(0.8, 0), (0.51, 0), (0.3, 2), (0.2, 4), (0.1, 9), (0.05, 19)]
)
def test_masks_change_as_often_as_there_are_inactive_weights_for_an_active_one(density, updates):
    algorithm = SpectralDSL(density, PAIRS, total_steps=200)
    assert sum(bool(algorithm.updates(step)) for step in range(1, 201)) == updates


def test_masks_of_few_weights_and_of_densities_that_change_never_stop():
    assert SpectralDSL(0.04, PAIRS, total_steps=200).updates.end is None
    rising = tfdsl.schedules.Linear(0.2, 0.6, 50)
    assert SpectralDSL(rising, PAIRS, total_steps=200, candidates=None).updates.end is None


def test_no_updates_leave_the_first_masks_as_they_are():
    model = keras.Sequential([keras.Input((6,)), tfdsl.layers.SparseDense(10)])
    algorithm = SpectralDSL(0.75, init="exact", total_steps=40)
    model.compile(tfdsl.SparseOptimizer("adam", algorithm), loss="mse", jit_compile=True)
    model.optimizer.build(model.trainable_variables)
    kernel = model.layers[-1].kernel
    before = mask_of(kernel).numpy()
    assert before.sum() == 45
    pairs = np.random.default_rng(0).random((2, 40, 10), dtype=np.float32)
    model.fit(pairs[0, :, :6], pairs[1], batch_size=1, epochs=1, verbose=0)
    np.testing.assert_array_equal(mask_of(kernel).numpy(), before)
    assert (kernel.numpy()[~before] == 0).all()


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
