import dataclasses

import numpy as np
import pytest
from real_data import FOLDER, needs

from data import catalog
from data.errors import DataError
from pipelines import id_pairs, lightgcn_splits, pair_files

TRAIN, TEST = "0 1 2 3\n1 0 4\n2 3\n", "0 4\n1 1 2\n"


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A data set of three users and five items in the place of Gowalla."""
    counts = {"users": 3, "items": 5, "train_interactions": 6, "test_interactions": 3}
    folder = tmp_path / "gowalla"
    folder.mkdir()
    known = {}
    for part, content in (("train", TRAIN), ("test", TEST)):
        path = folder / f"{part}.txt"
        path.write_text(content)
        known[part] = id_pairs.digest(pair_files.read_adjacency(path, 3, 5))
    entry = dataclasses.replace(catalog.get("gowalla"), counts=counts, pairs_sha256=known)
    monkeypatch.setitem(catalog.CATALOG, "gowalla", entry)
    return tmp_path


def test_the_three_parts_share_no_pair(tiny):
    split = lightgcn_splits.load("gowalla", tiny, validation_share=0.5)
    dense = [m.toarray() for m in (split.train, split.validation, split.test)]
    assert [int(m.sum()) for m in dense] == [3, 3, 3]
    assert sum(dense).max() == 1
    np.testing.assert_array_equal(split.fitted.toarray(), dense[0] + dense[1])
    assert (split.n_users, split.n_items) == (3, 5)


def test_without_validation_all_training_items_are_trained_on(tiny):
    split = lightgcn_splits.load("gowalla", tiny, validation_share=0.0)
    assert (split.train.nnz, split.validation.nnz) == (6, 0)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("train.txt", TRAIN[:-4], "train.txt, line 2, is its last: it has 5 interactions, the"),
        ("train.txt", TRAIN[:-3], "train.txt, line 3, is its last: it has 5 interactions, the"),
        ("train.txt", TRAIN[:-2] + "x\n", "train.txt, line 3: '2 x' is not a line of"),
        ("train.txt", "0 1 2 3\n1 0 4\n2 -3\n", "train.txt, line 3: '2 -3' is not a line of"),
        ("train.txt", "0 1 2 3\n1 0 4\n2 3 4\n", "train.txt has 7 interactions, .* were added"),
        ("train.txt", "0 1 2 3\n1 0 4\n2 2\n", "train.txt has other inter.*last, on line 3, is"),
        ("test.txt", "0 4\n1 1\n", "test.txt, line 2, is its last: it has 2 interactions, the"),
        ("test.txt", "0 4\n", "test.txt, line 1, is its last: it has 1 interactions, the"),
        ("train.txt", TRAIN[:-1], None),  # a missing line end is no damage
        ("test.txt", "0 3\n1 1 2\n", "test.txt, line 1: user 0 has item 3 in the training part"),
        ("test.txt", "0 4\n1 1 2\n2 3\n", "test.txt, line 3: user 2 has item 3 in the training"),
        ("test.txt", "0 5\n1 1 2\n", "test.txt, line 1: item 5 is not in 0..4"),
    ],
)
def test_a_damaged_file_is_refused(tiny, file, content, message):
    (tiny / "gowalla" / file).write_text(content)
    if message is None:
        assert lightgcn_splits.load("gowalla", tiny).test.nnz == 3
        return
    with pytest.raises(DataError, match=message):
        lightgcn_splits.load("gowalla", tiny)


@needs("yelp2018")
def test_a_file_cut_within_its_last_number_is_refused(tmp_path):
    (tmp_path / "yelp2018").mkdir()
    for part in ("train.txt", "test.txt"):
        text = (FOLDER / "yelp2018" / part).read_text()
        (tmp_path / "yelp2018" / part).write_text(text[:-2] if part == "test.txt" else text)
    with pytest.raises(
        DataError, match=r"test\.txt has other inter.* its last, on line \d+, is cut"
    ):
        lightgcn_splits.load("yelp2018", tmp_path)


@needs("gowalla")
def test_real_gowalla_is_as_published():
    split = lightgcn_splits.load("gowalla", FOLDER)
    assert split.train.shape == split.test.shape == (29_858, 40_981)
    assert (split.fitted.nnz, split.test.nnz) == (810_128, 217_242)
    expected = np.rint(0.1 * np.diff(split.fitted.indptr))  # all users have 8 or more
    np.testing.assert_array_equal(np.diff(split.validation.indptr), expected)


@needs("yelp2018")
def test_real_yelp2018_is_as_published():
    split = lightgcn_splits.load("yelp2018", FOLDER, validation_share=0.0)
    assert split.train.shape == (31_668, 38_048)
    assert (split.train.nnz, split.test.nnz) == (1_237_259, 324_147)
