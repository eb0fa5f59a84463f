import dataclasses

import numpy as np
import pytest

from data import synthetic
from pipelines import fold_in


@pytest.fixture(scope="module")
def pairs():
    return synthetic.interactions(n_users=60, n_items=40, n_groups=4, mean_items=10)


@pytest.fixture(scope="module")
def split(pairs):
    return fold_in.split(*pairs, n_validation=10, n_test=20)


def items_of(pairs):
    users, items = pairs
    return {int(user): set(items[users == user].tolist()) for user in np.unique(users)}


def row_items(split, matrix, row):
    return set(split.item_ids[matrix[[row]].indices].tolist())


def test_rows_follow_the_stated_rule(pairs, split):
    # The rule of the docstring, written out user by user with plain sets.
    owned = items_of(pairs)
    rng = np.random.default_rng(98765)
    permuted = rng.permutation(np.unique(pairs[0])).tolist()
    train, validation, test = permuted[:30], permuted[30:40], permuted[40:]
    known = set().union(*(owned[user] for user in train))
    assert split.item_ids.tolist() == sorted(known)
    for row, user in enumerate(train):
        assert row_items(split, split.train, row) == owned[user]
    for part, users in ((split.validation, validation), (split.test, test)):
        for row, user in enumerate(users):
            items = np.array(sorted(owned[user] & known))
            n = len(items)
            held_out = set(items[rng.choice(n, int(0.2 * n), replace=False)].tolist())
            assert row_items(split, part.held_out, row) == held_out
            assert row_items(split, part.fold_in, row) == set(items.tolist()) - held_out


def test_matrices_are_float32_ones_of_equal_width(split):
    heights = {"train": 30, "validation": 10, "test": 20}
    matrices = {
        "train": [split.train],
        "validation": [split.validation.fold_in, split.validation.held_out],
        "test": [split.test.fold_in, split.test.held_out],
    }
    for name, parts in matrices.items():
        for matrix in parts:
            assert matrix.format == "csr"
            assert matrix.shape == (heights[name], split.n_items)
            assert matrix.dtype == np.float32
            assert (matrix.data == 1).all()
            assert matrix.has_canonical_format


def test_order_of_the_pairs_is_irrelevant(pairs, split):
    order = np.random.default_rng(0).permutation(len(pairs[0]))
    shuffled = fold_in.split(pairs[0][order], pairs[1][order], n_validation=10, n_test=20)
    assert (shuffled.train != split.train).nnz == 0
    assert (shuffled.test.held_out != split.test.held_out).nnz == 0


def test_another_seed_holds_out_other_pairs(pairs, split):
    other = fold_in.split(*pairs, n_validation=10, n_test=20, seed=1)
    assert (other.train != split.train[:, : other.n_items]).nnz > 0


def test_items_unseen_in_training_are_dropped_and_emptied_users_are_kept():
    # Whoever is held out has only an item of their own, unknown to the training users.
    users = np.arange(6)
    result = fold_in.split(users, users * 100, n_validation=2, n_test=1)
    assert result.n_items == 3
    assert result.train.nnz == 3
    for part, height in ((result.validation, 2), (result.test, 1)):
        assert part.fold_in.shape == part.held_out.shape == (height, 3)
        assert part.fold_in.nnz == part.held_out.nnz == 0


def test_user_with_too_few_items_keeps_them_all_for_the_fold_in():
    users, items = np.repeat(np.arange(8), 4), np.tile(np.arange(4), 8)
    result = fold_in.split(users, items, n_validation=2, n_test=2)
    assert result.test.held_out.nnz == 0
    assert result.test.fold_in.nnz == 8


def test_held_out_share_is_rounded_down_for_each_user():
    users, items = np.repeat(np.arange(8), 7), np.tile(np.arange(7), 8)
    result = fold_in.split(users, items, n_validation=2, n_test=2, held_out_share=0.5)
    assert result.test.held_out.sum(axis=1).tolist() == [3, 3]
    assert result.test.fold_in.sum(axis=1).tolist() == [4, 4]


def test_split_cannot_be_changed(split):
    with pytest.raises(dataclasses.FrozenInstanceError):
        split.train = None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_test": 50}, "60 users.*n_validation=10.*n_test=50"),
        ({"n_validation": 0}, "n_validation.*received 0"),
        ({"n_test": -1}, "n_test.*received -1"),
        ({"held_out_share": 0.0}, "held_out_share.*received 0.0"),
        ({"held_out_share": 1.0}, "held_out_share.*received 1.0"),
    ],
)
def test_arguments_out_of_range_are_refused_with_the_value_received(pairs, arguments, message):
    with pytest.raises(ValueError, match=message):
        fold_in.split(*pairs, **({"n_validation": 10, "n_test": 10} | arguments))


@pytest.mark.parametrize(
    ("users", "items", "message"),
    [
        ([1, 2, 3], [1, 2], r"\(3,\).*\(2,\)"),
        ([[1, 2, 3]], [[1, 2, 3]], r"\(1, 3\)"),
        ([1.0, 2.0, 3.0], [1, 2, 3], "users.*float64"),
        ([1, 2, 3], ["a", "b", "c"], "items.*<U1"),
        ([1, 2, 3, 7, 7], [1, 2, 3, 9, 9], "user 7 and item 9"),
        ([1, 2], [1, 2], "2 users are too few"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(users, items, message):
    with pytest.raises(ValueError, match=message):
        fold_in.split(np.array(users), np.array(items), n_validation=1, n_test=1)
