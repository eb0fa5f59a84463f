import numpy as np
import pytest
from scipy import sparse

from pipelines.batches import steps_per_epoch, user_batches


def matrix(n_users=10, n_items=7):
    dense = np.random.default_rng(0).random((n_users, n_items)) < 0.4
    dense[:, 0] = True
    return sparse.csr_array(dense.astype("float32"))


def batches(*args):
    return [x.numpy() for x, _ in user_batches(*args)]


def test_an_epoch_holds_every_user_once():
    users = matrix()
    rows = np.concatenate(batches(users, 5, 0, 0, 1))
    assert sorted(map(tuple, rows)) == sorted(map(tuple, users.toarray()))


def test_target_is_the_input():
    for x, y in user_batches(matrix(), 5, 0, 0, 1):
        np.testing.assert_array_equal(x, y)


def test_epochs_differ_in_order_and_seeds_too():
    users = matrix(64)
    first, second = batches(users, 64, 0, 0, 2)
    (other,) = batches(users, 64, 1, 0, 1)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_a_run_that_starts_at_a_later_epoch_sees_the_same_batches():
    users = matrix()
    np.testing.assert_array_equal(batches(users, 3, 0, 0, 4)[6:], batches(users, 3, 0, 2, 4))


def test_users_that_do_not_fill_a_batch_sit_out():
    users = matrix()
    assert steps_per_epoch(users, 4) == 2
    assert [len(b) for b in batches(users, 4, 0, 0, 1)] == [4, 4]


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(ValueError, match="10 users do not fill a batch of 11"):
        user_batches(matrix(), 11, 0, 0, 1)
    with pytest.raises(ValueError, match="10 users do not fill a batch of 11"):
        steps_per_epoch(matrix(), 11)
