import dataclasses

import numpy as np
import pytest
from real_data import FOLDER, needs

from data import catalog
from data.errors import DataError
from pipelines import citeulike

CONTENT = "2 4 0\n2 1 2\n1 3\n"


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Three users and five items in the place of CiteULike's."""
    counts = {"users": 3, "items": 5, "interactions": 5}
    entry = dataclasses.replace(catalog.get(citeulike.NAME), counts=counts, pairs_sha256={})
    monkeypatch.setitem(catalog.CATALOG, citeulike.NAME, entry)
    (tmp_path / citeulike.NAME).mkdir()
    (tmp_path / citeulike.NAME / "users.dat").write_text(CONTENT)
    return tmp_path


def test_lines_become_users(tiny):
    pairs = citeulike.read(tiny)
    assert pairs.users.tolist() == [0, 0, 1, 1, 2]
    assert pairs.items.tolist() == [4, 0, 1, 2, 3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONTENT[:-2], "line 3: 0 items where the line's first number says 1"),
        (CONTENT[:-4], "line 2, is its last: expected 3, one a user: the file is cut short"),
        (CONTENT + "0\n", "line 4: expected 3 lines, one a user"),
        (CONTENT[:-4] + "0\n", "line 3, is its last: it has 4 interactions, the official cite"),
        (CONTENT[:-2] + "5\n", r"line 3: item 5 is not in 0\.\.4"),
        (CONTENT[:-2] + "-3\n", "line 3: '1 -3' is not a line of non-negative whole numbers"),
    ],
)
def test_a_damaged_file_is_refused_by_its_line(tiny, content, message):
    (tiny / citeulike.NAME / "users.dat").write_text(content)
    with pytest.raises(DataError, match=f"users.dat, {message}"):
        citeulike.read(tiny)


@needs(citeulike.NAME)
def test_real_data_held_out_by_users():
    split = citeulike.load_fold_in(FOLDER)
    assert split.train.shape[0] == 7_947 - 1_000
    assert split.train.shape[1] == split.n_items <= 25_975
    other = citeulike.load_fold_in(FOLDER, seed=0)
    assert other.train.shape[0] == split.train.shape[0]
    assert other.train.nnz != split.train.nnz


@needs(citeulike.NAME)
def test_real_data_with_two_items_of_every_user_left_out():
    split = citeulike.load_leave_one_out(FOLDER)
    assert split.train.shape == (7_947, 25_975)
    assert split.train.nnz + len(split.validation.users) + len(split.test.users) == 134_860
    whole = split.train + split.left_out("validation") + split.left_out("test")
    assert whole.max() == 1
    for asked in (split.validation, split.test):
        rows = np.repeat(asked.users, 99)
        assert whole[rows, asked.items[:, 1:].ravel()].sum() == 0
