import re

import numpy as np
import pytest
from real_data import FOLDER, needs
from scipy import sparse

from data import catalog
from data.errors import DataError
from pipelines import id_pairs, ncf

TRAIN = "0\t1\t5\n0\t2\t4\n1\t0\t3\n1\t3\t3\n"
TEST = "0\t3\t4\t978300760\n1\t2\t5\t978300760\n"
PAIRS = {
    "train": ([0, 0, 1, 1], [1, 2, 0, 3]),
    "test": ([0, 1], [3, 2]),
    "negative": ([0, 0, 1, 1], [4, 5, 4, 2]),
}
NEGATIVE = "(0,3)\t4\t5\n(1,2)\t4\t2\n"  # as in NCF's own, the second has the test item itself


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Two users and eight items in the place of NCF's split, with two negatives each."""
    counts, known = {"users": 2, "items": 8}, {}
    for part, (users, items) in PAIRS.items():
        pairs = id_pairs.Pairs(np.array(users), np.array(items), np.arange(len(users)), 0)
        counts[f"{part}_interactions"], known[part] = len(users), id_pairs.digest(pairs)
    entry = catalog.dataclasses.replace(catalog.get(ncf.NAME), counts=counts, pairs_sha256=known)
    monkeypatch.setitem(catalog.CATALOG, ncf.NAME, entry)
    monkeypatch.setattr(ncf, "N_NEGATIVES", 2)
    split_off = ncf.leave_one_out.split_off
    monkeypatch.setattr(ncf.leave_one_out, "split_off", lambda m, had: split_off(m, had, 2))
    folder = tmp_path / ncf.NAME
    folder.mkdir()
    (folder / "ml-1m.train.rating.notime").write_text(TRAIN)
    (folder / "ml-1m.test.rating").write_text(TEST)
    (folder / "ml-1m.test.negative").write_text(NEGATIVE)
    return tmp_path


def test_the_test_is_ncfs_and_validation_is_drawn_from_training(tiny):
    split = ncf.load(tiny)
    assert split.test.items.tolist() == [[3, 4, 5], [2, 4, 2]]
    left_out = split.left_out("validation")
    assert (split.train + left_out).toarray()[:, :4].tolist() == [[0, 1, 1, 0], [1, 0, 0, 1]]
    assert left_out.sum(axis=1).tolist() == [1, 1]
    had = (split.train + left_out + split.left_out("test")).toarray()
    for user, items in zip(split.validation.users, split.validation.items, strict=True):
        assert had[user, items[0]] == 1
        assert not had[user, items[1:]].any()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("ml-1m.test.negative", NEGATIVE[:-3], "line 2: 3 numbers, expected 4"),
        ("ml-1m.test.negative", NEGATIVE[:10], "line 1, is its last: expected 2, one a test pair"),
        ("ml-1m.test.negative", NEGATIVE + "(1,2)\t4\t2\n", "line 3: expected 2 lines, one a test"),
        ("ml-1m.test.negative", "(0,3)\t4\t5\n(1,2)\t4\t6\n", "has other inter.*last, on line 2"),
        ("ml-1m.test.negative", "(0,3)\t4\t5\n(1,3)\t4\t2\n", r"line 2: \(1,3\) is not that"),
        ("ml-1m.test.negative", "(0,3)\t4\t5\n(1,2)\t4\t8\n", r"line 2: item 8 is not in 0\.\.7"),
        ("ml-1m.test.negative", "(0,3)\t4\t1\n(1,2)\t4\t5\n", "line 1: user 0 has item 1 in the"),
        ("ml-1m.test.rating", "0\t1\t4\t1\n1\t2\t5\t1\n", "line 1: user 0 has item 1 in the tr"),
        ("ml-1m.test.rating", TEST + "1\t3\t5\t1\n", "line 3: user 1 has item 3 in the training"),
        ("ml-1m.test.rating", TEST[:16], "line 1, is its last: it has 1 interactions, the offi"),
        ("ml-1m.test.rating", TEST[:20], "line 2: 2 columns, expected 4"),
        (
            "ml-1m.test.rating",
            TEST.replace("3", "x", 1),
            "line 1: .* is not a line of non-negative",
        ),
        (
            "ml-1m.train.rating.notime",
            TRAIN[:-6],
            "line 3, is its last: it has 3 interactions, the",
        ),
        ("ml-1m.train.rating.notime", TRAIN + "1\t7\t3\n", "has 5 inter.*has 4: .* were added"),
        ("ml-1m.train.rating.notime", TRAIN[:-4] + "8\t3\n", r"line 4: item 8 is not in 0\.\.7"),
    ],
)
def test_a_damaged_file_is_refused(tiny, file, content, message):
    (tiny / ncf.NAME / file).write_text(content)
    path = re.escape(str(tiny / ncf.NAME / file))
    with pytest.raises(DataError, match=f"^{path}(, | ){message}"):
        ncf.load(tiny)


def test_a_folder_without_ratings_is_refused_naming_both_files(tiny):
    (tiny / ncf.NAME / "ml-1m.train.rating.notime").unlink()
    with pytest.raises(DataError, match=r"no file ml-1m\.train\.rating or ml-1m\.train\.rating"):
        ncf.load(tiny)


@needs(ncf.NAME)
def test_real_data_is_as_published():
    split = ncf.load(FOLDER)
    assert split.train.shape == (6_040, 3_706)
    assert split.train.nnz == 994_169 - 6_040
    assert split.test.items.shape == split.validation.items.shape == (6_040, 100)
    known = sparse.csr_array(split.train + split.left_out("validation"))
    rows = np.repeat(split.test.users, 100)
    assert known[rows, split.test.items.ravel()].sum() == 0
