import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from pipelines.sampling import UNIFORM, TripleSampler


def random_matrix(n_users=60, n_items=40, seed=0):
    rng = np.random.default_rng(seed)
    share = rng.random((n_users, 1)) ** 2  # users with few items, and with nearly all
    dense = rng.random((n_users, n_items)) < share
    dense[5], dense[7], dense[:, 3] = False, True, False
    return sparse.csr_array(dense.astype(np.float32))


MATRIX = random_matrix()
DENSE = MATRIX.toarray() > 0


@pytest.mark.parametrize("uniform", UNIFORM)
@pytest.mark.parametrize("negatives", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_positives_are_the_users_and_no_negative_is(uniform, negatives):
    sampler = TripleSampler(MATRIX, 200, 3, uniform, negatives)
    for step in range(30):
        (users, items), labels = sampler(tf.constant(step, tf.int64))
        assert items.shape == labels.shape == (200, 1 + negatives)
        had = DENSE[users.numpy()[:, None], items.numpy()]
        np.testing.assert_array_equal(had, labels.numpy().astype(bool))


def test_every_negative_is_found_that_brute_force_finds():
    sampler = TripleSampler(MATRIX, 1, 0)
    for user in np.flatnonzero(DENSE.any(axis=1)):
        lacking = np.flatnonzero(~DENSE[user])
        # One draw in the middle of each of the equal parts of 0 .. 2**31 that stand for an item.
        draws = (2 * np.arange(len(lacking)) + 1) * 2**31 // (2 * len(lacking))
        users = tf.fill([len(lacking)], np.int32(user))
        found = sampler._fresh_negatives(users, tf.constant(draws[:, None].astype(np.uint32)))
        np.testing.assert_array_equal(found[:, 0], lacking)


@pytest.mark.parametrize("uniform", UNIFORM)
def test_draws_are_uniform_over_what_they_say(uniform):
    sampler = TripleSampler(MATRIX, 5000, 1, uniform)
    counts = np.zeros(DENSE.shape)
    for step in range(20):
        (users, items), _ = sampler(tf.constant(step))
        np.add.at(counts, (users.numpy(), items.numpy()[:, 0]), 1)
    degrees = np.maximum(DENSE.sum(axis=1, keepdims=True), 1)
    share = DENSE / (DENSE.sum() if uniform == "interactions" else degrees)
    expected = 100_000 * share / share.sum()
    assert (counts[~DENSE] == 0).all()
    assert (abs(counts - expected) <= 6 * np.sqrt(expected) + 1e-9).all()


@pytest.mark.parametrize("batch_size", [7, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("uniform", UNIFORM)
def test_an_epoch_has_every_pair_once_or_every_user_equally_often(uniform, batch_size):
    active = DENSE.any(axis=1)
    visits = DENSE.sum() // active.sum()
    length = DENSE.sum() if uniform == "interactions" else visits * active.sum()
    draw = tf.function(TripleSampler(MATRIX, batch_size, 4, uniform))
    batches = [draw(tf.constant(step))[0] for step in range(-(-2 * length // batch_size))]
    users, items = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    for epoch in (slice(length), slice(length, 2 * length)):
        counts = np.zeros(DENSE.shape, int)
        np.add.at(counts, (users[epoch], items[epoch, 0]), 1)
        if uniform == "interactions":
            np.testing.assert_array_equal(counts, DENSE)
        else:
            np.testing.assert_array_equal(counts.sum(axis=1), visits * active)
    assert (users[:length] != users[length : 2 * length]).any()


def test_a_batch_is_a_function_of_seed_and_step():
    def draw(seed, step, wrap=lambda f: f):
        return wrap(TripleSampler(MATRIX, 50, seed))(tf.constant(step, tf.int64))[0][1].numpy()

    first = draw(3, 7)
    for wrap in (tf.function, lambda f: tf.function(f, jit_compile=True)):
        np.testing.assert_array_equal(draw(3, 7, wrap), first)
    assert (draw(3, 8) != first).any()
    assert (draw(4, 7) != first).any()


def test_the_host_draws_what_the_device_draws():
    sampler = TripleSampler(MATRIX, 50, 3)
    drawn = sampler.dataset(4, 7)
    for number, ((users, items), labels) in zip(range(4, 7), drawn, strict=True):
        (own_users, own_items), own_labels = sampler(tf.constant(number))
        np.testing.assert_array_equal(users, own_users)
        np.testing.assert_array_equal(items, own_items)
        np.testing.assert_array_equal(labels, own_labels)


def test_fixed_negatives_are_their_users():
    fixed = np.arange(120).reshape(60, 2) % 40
    sampler = TripleSampler(MATRIX, 50, 3, fixed_negatives=fixed)
    (users, items), labels = sampler(tf.constant(0))
    np.testing.assert_array_equal(items[:, 1:], fixed[users.numpy()])
    assert labels.shape == (50, 3)


def test_an_item_stored_twice_counts_once():
    starts, items = np.array([0, 3, 6]), np.array([1, 1, 4, 0, 2, 2])
    twice = sparse.csr_array((np.ones(6, np.float32), items, starts), shape=(2, 6))
    once = sparse.csr_array(twice.toarray())
    for step in range(20):
        ours, theirs = (TripleSampler(m, 16, seed=1)(tf.constant(step)) for m in (twice, once))
        np.testing.assert_array_equal(ours[0][1], theirs[0][1])


def full_user():
    dense = DENSE.copy()
    dense[9] = True
    return sparse.csr_array(dense.astype(np.float32))


def fixed_as(shape, value=0):
    """The argument, with `value` for the last negative of the last user."""
    negatives = np.zeros(shape, type(value))
    if negatives.size:
        negatives.flat[-1] = value
    return {"fixed_negatives": negatives}


SQUARE = sparse.csr_array(np.eye(4, dtype=np.float32))
WIDE = sparse.csr_array((np.ones(2, np.float32), np.array([0, 4]), np.array([0, 1, 2])), (2, 4))


@pytest.mark.parametrize(
    ("matrix", "arguments", "message"),
    [
        (full_user(), {}, "User 9 has all 40 items"),
        (sparse.csr_array((3, 4), dtype=np.float32), {}, "no interaction"),
        (MATRIX, {"uniform": "items"}, "`uniform`.*interactions, users; received 'items'"),
        (MATRIX, {"batch_size": 0}, "`batch_size`.*received 0"),
        (MATRIX, {"n_negatives": 0}, "`n_negatives`.*received 0"),
        (MATRIX, {"seed": -1}, "`seed`.*received -1"),
        (MATRIX.tocsc(), {}, "`matrix` must be a matrix in CSR format; received csc_array"),
        (SQUARE.tocsc(), {}, "`matrix` must be a matrix in CSR format; received csc_array"),
        (WIDE, {}, r"`matrix` must have column ids in 0\.\.3.*received 4"),
        (MATRIX, fixed_as((59, 2)), r"`fixed_negatives`.*\[60 users, 1 or more\].*\(59, 2\)"),
        (MATRIX, fixed_as((61, 2)), r"`fixed_negatives`.*received shape \(61, 2\)"),
        (MATRIX, fixed_as((60, 0)), r"`fixed_negatives`.*received shape \(60, 0\)"),
        (MATRIX, fixed_as((60,)), r"`fixed_negatives`.*received shape \(60,\)"),
        (MATRIX, fixed_as((60, 2), 1.0), "`fixed_negatives` must be integers; received float64"),
        (MATRIX, fixed_as((60, 2), True), "`fixed_negatives` must be integers; received bool"),
        (MATRIX, fixed_as((60, 2), -1), r"`fixed_negatives` must be in 0\.\.39; received -1"),
        (MATRIX, fixed_as((60, 2), 40), r"`fixed_negatives` must be in 0\.\.39; received 40"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(matrix, arguments, message):
    with pytest.raises(ValueError, match=message):
        TripleSampler(matrix, **({"batch_size": 10, "seed": 0} | arguments))
