import numpy as np
import pytest
from scipy import sparse

from data import catalog
from data.errors import DataError
from pipelines import interactions
from pipelines.interactions import Pairs


def write(tmp_path, content):
    path = tmp_path / "pairs.txt"
    path.write_text(content)
    return path


def random_matrix(n_users=50, n_items=30, density=0.3, seed=0):
    users, items = np.nonzero(np.random.default_rng(seed).random((n_users, n_items)) < density)
    return interactions.to_matrix(users, items, (n_users, n_items))


def test_adjacency_lines_become_pairs_in_their_order(tmp_path):
    pairs = interactions.read_adjacency(write(tmp_path, "2 4 0\n0 1\n1\n"), 3, 5)
    assert pairs.users.tolist() == [2, 2, 0]
    assert pairs.items.tolist() == [4, 0, 1]
    assert pairs.lines.tolist() == [1, 1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0 1\n3 1\n", "line 2: user 3 is not in 0..2"),
        ("0 1\n3\n", "line 2: user 3 is not in 0..2"),
        ("0 1\n1 5\n", "line 2: item 5 is not in 0..4"),
        ("0 1\n1 2 3 2\n", "line 2: user 1 has item 2 twice"),
        ("0 1\n0 2\n", "line 2: user 0 has a line above already"),
        ("0 1\n1 -2\n", "line 2: '1 -2' is not a line of non-negative whole numbers"),
    ],
)
def test_bad_adjacency_is_refused_with_file_and_line(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(DataError) as refused:
        interactions.read_adjacency(path, 3, 5)
    assert str(refused.value).startswith(f"{path}, {message}")
    assert str(refused.value).endswith("get the data set again")


def test_counted_rows_become_pairs(tmp_path):
    pairs = interactions.read_counted_rows(write(tmp_path, "2 4 0\n0\n1 3\n"), 3, 5)
    assert pairs.users.tolist() == [0, 0, 2]
    assert pairs.items.tolist() == [4, 0, 3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1 2\n", "line 1, is its last: expected 2, one a user"),
        ("1 2\n0\n0\n", "line 3: expected 2 lines, one a user"),
        ("1 2\n3 1 2\n", "line 2: 2 items where the line's first number says 3"),
        ("1 2\n1 5\n", "line 2: item 5 is not in 0..4"),
        ("2 3 3\n0\n", "line 1: user 0 has item 3 twice"),
    ],
)
def test_bad_counted_rows_are_refused_with_file_and_line(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(DataError) as refused:
        interactions.read_counted_rows(path, 2, 5)
    assert str(refused.value).startswith(f"{path}, {message}")
    assert str(refused.value).endswith("get the data set again")


def test_columns_become_pairs(tmp_path):
    pairs = interactions.read_columns(write(tmp_path, "1\t4\t5\n0\t2\t3\n"), 3, 2, 5)
    assert pairs.users.tolist() == [1, 0]
    assert pairs.items.tolist() == [4, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0\t1\t5\n1\t2\n", "line 2: 2 columns, expected 3"),
        ("0\t1\t5\n2\t2\t1\n", "line 2: user 2 is not in 0..1"),
        ("0\t1\t5\n0\t1\t4\n", "line 2: user 0 has item 1 twice"),
    ],
)
def test_bad_columns_are_refused_with_file_and_line(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        interactions.read_columns(write(tmp_path, content), 3, 2, 5)


def test_a_test_pair_that_is_a_training_pair_is_refused(tmp_path):
    train = Pairs(np.array([0, 1]), np.array([2, 3]), np.array([1, 2]), 2)
    test = Pairs(np.array([0, 1]), np.array([3, 3]), np.array([1, 2]), 2)
    with pytest.raises(DataError, match="line 2: user 1 has item 3 in the training part already"):
        interactions.refuse_overlap(tmp_path / "test.txt", train, test, 5)


def test_other_content_than_the_catalogues_is_refused(tmp_path, monkeypatch):
    pairs = Pairs(np.array([0, 1]), np.array([2, 3]), np.array([1, 2]), 3)
    turned = Pairs(pairs.users[::-1], pairs.items[::-1], pairs.lines, 3)
    entry = catalog.get("gowalla")
    known = {"train": interactions.digest(pairs)}
    entry = catalog.dataclasses.replace(
        entry,
        counts={"train_interactions": 2, "test_interactions": 9, "interactions": 1},
        pairs_sha256=known,
    )
    monkeypatch.setitem(catalog.CATALOG, "gowalla", entry)
    path = tmp_path / "train.txt"
    interactions.check_content(path, pairs, "gowalla", "train")
    interactions.check_content(path, turned, "gowalla", "train")
    other = Pairs(pairs.users, np.array([2, 4]), pairs.lines, 3)
    with pytest.raises(DataError, match=r"other inter.* the official gowalla.*on line 3"):
        interactions.check_content(path, other, "gowalla", "train")
    with pytest.raises(DataError, match=r"line 3, is its last: it has 2 .*gowalla has 9: .*cut"):
        interactions.check_content(path, pairs, "gowalla", "test")
    with pytest.raises(DataError, match=r"train\.txt has 2 inter.*gowalla has 1: .*were added"):
        interactions.check_content(path, pairs, "gowalla", "")


def test_a_file_cut_before_its_first_pair_is_refused_by_line(tmp_path):
    pairs = interactions.read_adjacency(write(tmp_path, "0\n1\n"), 3, 5)
    with pytest.raises(DataError, match="line 2, is its last: it has 0 interactions"):
        interactions.check_content(tmp_path / "pairs.txt", pairs, "gowalla", "train")


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
