import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from pipelines.batches import UserRows, steps_per_epoch, user_batches


def batches(*args):
    return [users.numpy() for users in user_batches(*args)]


def test_an_epoch_holds_every_user_once():
    assert sorted(np.concatenate(batches(10, 5, 0, 0, 1))) == list(range(10))


def test_epochs_differ_in_order_and_seeds_too():
    first, second = batches(64, 64, 0, 0, 2)
    (other,) = batches(64, 64, 1, 0, 1)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_a_run_that_starts_at_a_later_epoch_sees_the_same_batches():
    np.testing.assert_array_equal(batches(10, 3, 0, 0, 4)[6:], batches(10, 3, 0, 2, 4))


def test_users_that_do_not_fill_a_batch_sit_out():
    assert steps_per_epoch(10, 4) == 2
    assert [len(b) for b in batches(10, 4, 0, 0, 1)] == [4, 4]


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(ValueError, match="10 users do not fill a batch of 11"):
        user_batches(10, 11, 0, 0, 1)
    with pytest.raises(ValueError, match="10 users do not fill a batch of 11"):
        steps_per_epoch(10, 11)


@pytest.mark.parametrize("n_items", [1, 7, 8, 17])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_rows_are_those_of_the_matrix(n_items, jit_compile):
    dense = np.random.default_rng(0).random((1500, n_items)) < 0.4
    make = UserRows(sparse.csr_array(dense.astype("float32")), 4)
    users = tf.constant([3, 1499, 0, 1024])
    rows, targets = tf.function(make, jit_compile=jit_compile)(users)
    assert rows.dtype == targets.dtype == tf.float32
    np.testing.assert_array_equal(rows, dense[users.numpy()])
    np.testing.assert_array_equal(targets, rows)


def test_an_entry_of_any_value_is_a_one_and_a_stored_zero_is_none():
    matrix = sparse.csr_array(([5.0, 0.0, -1.0], ([0, 0, 1], [0, 1, 2])), shape=(2, 3))
    rows, _ = UserRows(matrix, 2)(tf.constant([0, 1]))
    np.testing.assert_array_equal(rows, [[1, 0, 0], [0, 0, 1]])
