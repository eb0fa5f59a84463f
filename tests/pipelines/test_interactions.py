import numpy as np
import pytest
from scipy import sparse

from pipelines import interactions


def random_matrix(n_users=50, n_items=30, density=0.3, seed=0):
    users, items = np.nonzero(np.random.default_rng(seed).random((n_users, n_items)) < density)
    return interactions.to_matrix(users, items, (n_users, n_items))


def test_a_share_of_every_users_items_is_held_out():
    matrix = random_matrix()
    rest, taken = interactions.hold_out(matrix, 0.25, seed=3)
    assert (rest + taken != matrix).nnz == 0
    degrees = np.diff(matrix.indptr)
    least = np.minimum(np.maximum(degrees - 1, 0), 1)
    expected = np.maximum(np.rint(0.25 * degrees), least)
    np.testing.assert_array_equal(np.diff(taken.indptr), expected)


def test_a_matrix_by_columns_is_refused():
    with pytest.raises(ValueError, match="`matrix` must be a matrix in CSR format"):
        interactions.hold_out(sparse.csc_array(np.eye(4, dtype=np.float32)))


def test_what_is_held_out_does_not_depend_on_how_items_are_stored():
    matrix = random_matrix()
    backwards = matrix.copy()
    for start, end in zip(matrix.indptr, matrix.indptr[1:], strict=False):
        backwards.indices[start:end] = matrix.indices[start:end][::-1]
    backwards = sparse.csr_array((matrix.data, backwards.indices, matrix.indptr), matrix.shape)
    before = backwards.indices.copy()
    for part, expected in zip(
        interactions.hold_out(backwards, 0.25), interactions.hold_out(matrix, 0.25), strict=True
    ):
        assert (part != expected).nnz == 0
    np.testing.assert_array_equal(backwards.indices, before)


def test_every_user_with_two_items_has_one_held_out_and_keeps_one():
    matrix = sparse.csr_array(np.tri(9, 8, -1, dtype=np.float32))  # users with 0 to 8 items
    rest, taken = interactions.hold_out(matrix, 0.1)
    np.testing.assert_array_equal(np.diff(taken.indptr), [0, 0, 1, 1, 1, 1, 1, 1, 1])
    rest, taken = interactions.hold_out(matrix, 0.5)
    np.testing.assert_array_equal(np.diff(taken.indptr), [0, 0, 1, 2, 2, 2, 3, 4, 4])
    assert (np.diff(rest.indptr) + np.diff(taken.indptr) == np.arange(9)).all()


def test_what_is_held_out_is_a_function_of_the_seed_and_drawn_evenly():
    matrix = random_matrix(n_users=2000, n_items=12, density=1.0)
    first, again, other = (interactions.hold_out(matrix, 0.25, seed=s)[1] for s in (3, 3, 4))
    assert (first != again).nnz == 0
    assert (first != other).nnz > 0
    counts = first.sum(axis=0)
    assert counts.sum() == 2000 * 3
    assert (abs(counts - 500) < 5 * np.sqrt(500 * 0.75)).all()


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match=r"`share` must be in \[0, 1\); received"):
        interactions.hold_out(random_matrix(), share)


def test_nothing_is_held_out_with_a_share_of_zero():
    matrix = random_matrix()
    rest, taken = interactions.hold_out(matrix, 0.0)
    assert taken.nnz == 0
    assert (rest != matrix).nnz == 0
