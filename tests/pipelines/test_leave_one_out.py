import numpy as np
import pytest

from pipelines import interactions, leave_one_out


def matrix(rows, n_items):
    users = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    items = np.array([item for row in rows for item in row], int)
    return interactions.to_matrix(users, items, (len(rows), n_items))


def random_rows(n_users=40, n_items=30, seed=0):
    rng = np.random.default_rng(seed)
    return [np.flatnonzero(rng.random(n_items) < 0.3).tolist() for _ in range(n_users)]


def test_one_item_of_every_user_goes_and_comes_back_among_items_he_has_not():
    had = matrix(random_rows(), 30)
    rest, asked = leave_one_out.split_off(had, n_negatives=10)
    left_out = had - rest
    for user, items in zip(asked.users, asked.items, strict=True):
        assert left_out[[user]].indices.tolist() == [items[0]]
        assert len(set(items.tolist())) == 11
        assert not set(items[1:].tolist()) & set(had[[user]].indices.tolist())
    assert rest.nnz == had.nnz - len(asked.users)


def test_a_user_with_one_item_keeps_it():
    rest, asked = leave_one_out.split_off(matrix([[1], [0, 2], []], 5), n_negatives=2)
    assert asked.users.tolist() == [1]
    assert rest[[0]].indices.tolist() == [1]


def test_negatives_avoid_all_that_a_user_ever_had():
    had = matrix([[0, 1, 2, 3]], 6)
    rest, _ = leave_one_out.split_off(had, n_negatives=2)
    for seed in range(5):
        _, asked = leave_one_out.split_off(rest, had, n_negatives=2, seed=seed)
        assert sorted(asked.items[0, 1:].tolist()) == [4, 5]


def test_too_few_negatives_are_refused():
    with pytest.raises(ValueError, match="User 0 lacks 2 of the 6 items, fewer than the 3"):
        leave_one_out.split_off(matrix([[0, 1, 2, 3]], 6), n_negatives=3)


def test_negatives_are_drawn_evenly():
    had = matrix([[1, 2, 5]] * 3000, 8)
    rng = np.random.default_rng(0)
    negatives = leave_one_out.draw_negatives(had, np.arange(3000), 2, rng)
    counts = np.bincount(negatives.ravel(), minlength=8)
    assert counts[[1, 2, 5]].sum() == 0
    assert (abs(counts[[0, 3, 4, 6, 7]] - 1200) < 5 * np.sqrt(1200)).all()


def test_the_last_two_items_in_the_order_given_are_left_out():
    users = np.array([1, 0, 0, 1, 0, 1, 1, 2, 2])
    items = np.array([5, 3, 4, 1, 0, 2, 7, 6, 8])
    split = leave_one_out.split_last(users, items, n_negatives=3)
    assert split.test.users.tolist() == split.validation.users.tolist() == [0, 1]
    assert split.test.items[:, 0].tolist() == [0, 7]
    assert split.validation.items[:, 0].tolist() == [4, 2]
    np.testing.assert_array_equal(split.test.items[:, 1:], split.validation.items[:, 1:])
    assert [split.train[[u]].indices.tolist() for u in range(3)] == [[3], [1, 5], [6, 8]]


def test_what_is_left_out_is_a_matrix_too():
    split = leave_one_out.split_last(np.array([0, 0, 0, 1]), np.array([2, 1, 0, 3]), n_negatives=1)
    assert split.left_out("test").toarray().tolist() == [[1, 0, 0, 0], [0, 0, 0, 0]]
