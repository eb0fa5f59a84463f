import numpy as np
import pytest

from data import catalog
from data.errors import DataError
from pipelines import id_pairs
from pipelines.id_pairs import Pairs


def test_a_test_pair_that_is_a_training_pair_is_refused(tmp_path):
    train = Pairs(np.array([0, 1]), np.array([2, 3]), np.array([1, 2]), 2)
    test = Pairs(np.array([0, 1]), np.array([3, 3]), np.array([1, 2]), 2)
    with pytest.raises(DataError, match="line 2: user 1 has item 3 in the training part already"):
        id_pairs.refuse_overlap(tmp_path / "test.txt", train, test, 5)


def test_other_content_than_the_catalogues_is_refused(tmp_path, monkeypatch):
    pairs = Pairs(np.array([0, 1]), np.array([2, 3]), np.array([1, 2]), 3)
    turned = Pairs(pairs.users[::-1], pairs.items[::-1], pairs.lines, 3)
    entry = catalog.get("gowalla")
    known = {"train": id_pairs.digest(pairs)}
    entry = catalog.dataclasses.replace(
        entry,
        counts={"train_interactions": 2, "test_interactions": 9, "interactions": 1},
        pairs_sha256=known,
    )
    monkeypatch.setitem(catalog.CATALOG, "gowalla", entry)
    path = tmp_path / "train.txt"
    id_pairs.check_content(path, pairs, "gowalla", "train")
    id_pairs.check_content(path, turned, "gowalla", "train")
    other = Pairs(pairs.users, np.array([2, 4]), pairs.lines, 3)
    with pytest.raises(DataError, match=r"other inter.* the official gowalla.*on line 3"):
        id_pairs.check_content(path, other, "gowalla", "train")
    with pytest.raises(DataError, match=r"line 3, is its last: it has 2 .*gowalla has 9: .*cut"):
        id_pairs.check_content(path, pairs, "gowalla", "test")
    with pytest.raises(DataError, match=r"train\.txt has 2 inter.*gowalla has 1: .*were added"):
        id_pairs.check_content(path, pairs, "gowalla", "")
