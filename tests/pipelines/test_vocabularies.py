import numpy as np
import pytest
from criteo_lines import hashed

from pipelines import vocabularies


def test_a_field_is_hashed_as_the_documentation_says():
    values = np.zeros((2, 26), np.uint32)
    values[0] = [0x05DB9164 + field for field in range(26)]
    missing = np.zeros((2, 26), bool)
    missing[1, 3] = True
    ids = vocabularies.hashed(values, missing, 1000)
    assert ids.dtype == np.int32
    assert ids[0].tolist() == [hashed(0x05DB9164 + i, i + 1, 1000) for i in range(26)]
    assert ids[1, 3] == 0
    assert ids[1, 4] == hashed(0, 5, 1000)  # 00000000 is a value
    assert len(set(ids[1].tolist())) > 20  # the same value in other fields


# By falling count and then by rising value: 7 four times, 2 and 5 twice, 9 once.
VALUES = np.uint32([5, 7, 7, 2, 9, 7, 2, 5, 7])


@pytest.mark.parametrize(
    ("max_rows", "min_count", "expected"),
    [(100, 1, [7, 2, 5, 9]), (100, 2, [7, 2, 5]), (4, 1, [7, 2]), (2, 1, []), (100, 5, [])],
)
def test_the_most_frequent_values_get_ids_by_falling_count(max_rows, min_count, expected):
    counts = vocabularies.ValueCounts()
    for piece in np.split(VALUES, [2, 2, 6]):
        counts.add(vocabularies.count(piece))
    known = vocabularies.frequent(counts.total(), max_rows, min_count)
    assert known.dtype == np.uint32
    assert known.tolist() == expected
    values = np.uint32([[2], [3], [7], [9], [0], [2**32 - 1]])
    missing = values == 0
    ids = vocabularies.Lookup([known])(values, missing)
    assert ids.dtype == np.int32
    wanted = [2 + expected.index(v) if v in expected else 1 for v in (2, 3, 7, 9)]
    assert ids[:, 0].tolist() == [*wanted, 0, 1]


def test_many_counts_are_summed_as_few_are():
    values = np.random.default_rng(0).integers(2**32 - 70_000, 2**32, 300_000).astype(np.uint32)
    counts = vocabularies.ValueCounts()
    for piece in np.array_split(values, 10):
        counts.add(vocabularies.count(piece))
    known, times = np.unique(values, return_counts=True)
    assert counts.total().tolist() == [
        (value << 32) + n for value, n in zip(known.tolist(), times.tolist(), strict=True)
    ]
