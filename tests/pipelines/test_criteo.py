import re

import numpy as np
import pytest
from criteo_lines import GOOD, assert_days, assert_same, hashed, plain, random_lines, read

from data import catalog
from data.errors import DataError
from pipelines import criteo, stored_clicks


@pytest.mark.parametrize(("end", "last"), [("\n", "\n"), ("\n", ""), ("\r\n", "\r\n")])
def test_days_have_the_rows_that_a_plain_parser_finds(written, end, last):
    lines = random_lines(200)
    data = criteo.load(written(lines, end, last), max_rows=50)
    assert [len(day) for day in data.days] == [29, 29, 29, 29, 28, 28, 28]
    assert data.table_rows == (50,) * 26
    assert data.n_dense == 13
    assert_days(data, lines, lambda value, field: hashed(value, field, 50))


@pytest.mark.parametrize(("max_rows", "min_count"), [(1000, 4), (9, 1)])
def test_the_vocabulary_is_of_what_is_frequent_in_the_training_days(written, max_rows, min_count):
    lines = random_lines(200)
    folder = written(lines)
    data = criteo.load(folder, vocabulary="cut", max_rows=max_rows, min_count=min_count)
    known = []
    for field in range(26):
        counts = {}
        for line in lines[:172]:  # the last day has 28
            text = line.split("\t")[14 + field]
            if text:
                counts[int(text, 16)] = counts.get(int(text, 16), 0) + 1
        often = [value for value, count in counts.items() if count >= min_count]
        known.append(sorted(often, key=lambda value: (-counts[value], value))[: max_rows - 2])
    assert data.table_rows == tuple(2 + len(values) for values in known)

    def to_id(value, field):
        values = known[field - 1]
        return 2 + values.index(value) if value in values else 1

    assert_days(data, lines, to_id)
    stored = np.load(folder / criteo.NAME / "cache" / f"cut-{max_rows}-{min_count}/vocabulary.npz")
    assert stored["C26"].tolist() == known[25]


def test_the_last_day_is_test_and_then_validation(written):
    lines = random_lines(7 * 5)
    data = criteo.load(written(lines), max_rows=50)
    for rows, expected in (
        (data.split().train, lines[:30]),
        (data.split().test, lines[30:33]),
        (data.split().validation, lines[33:]),
    ):
        assert_same(read(rows), plain(expected, lambda value, field: hashed(value, field, 50)))


def test_days_are_equal_parts_of_the_official_number_of_lines():
    starts = criteo.day_starts(catalog.get(criteo.NAME).counts["rows"])
    assert np.diff(starts).tolist() == [6_548_660] * 4 + [6_548_659] * 3
    assert criteo.day_starts(9).tolist() == [0, 2, 4, 5, 6, 7, 8, 9]


def test_fewer_lines_than_days_leave_days_empty(written):
    data = criteo.load(written(random_lines(3)), max_rows=50)
    assert [len(day) for day in data.days] == [1, 1, 1, 0, 0, 0, 0]
    assert len(data.split().train) == 3


def test_bad_lines_up_to_the_share_are_left_out_with_a_warning(written):
    lines = random_lines(70)
    bad = [*lines[:8], "x", *lines[9:30], GOOD + "\t", *lines[31:]]
    folder = written(bad)
    message = r"train\.txt, line 9: 1 columns, expected 40; 2 of 70 lines are bad, a share of 0\.0"
    for _ in range(2):  # when the cache is made, and when it is there
        with pytest.warns(UserWarning, match=message):
            data = criteo.load(folder, max_rows=50, bad_share=2 / 70)
    # The other lines stay in the days that their numbers give them.
    assert [len(day) for day in data.days] == [9, 10, 10, 9, 10, 10, 10]
    assert_same(
        read(data.days[1]),
        plain(lines[10:20], lambda value, field: hashed(value, field, 50)),
    )


@pytest.mark.parametrize("vocabulary", criteo.VOCABULARIES)
@pytest.mark.parametrize("cached", [False, True])
def test_more_bad_lines_than_the_share_are_refused(written, vocabulary, cached):
    lines = random_lines(70)
    folder = written([*lines[:10], "x", *lines[11:30], GOOD + "\t", *lines[31:]])
    path = re.escape(str(folder / criteo.NAME / criteo.FILE))
    if cached:
        with pytest.warns(UserWarning, match="2 of 70 lines are bad"):
            criteo.load(folder, vocabulary=vocabulary, bad_share=0.1)
    with pytest.raises(
        DataError,
        match=f"^{path}, line 11: 1 columns.*2 of 70 lines are bad.*more than bad_share=0.02;",
    ):
        criteo.load(folder, vocabulary=vocabulary, bad_share=0.02)
    left = list((folder / criteo.NAME / "cache").iterdir())
    assert len(left) == (1 if cached else 0)


def test_an_empty_a_short_and_a_long_file_are_refused(written):
    lines = random_lines(9)
    for content, rows, message in (
        ([], 9, "train.txt is empty"),
        (lines[:8], 9, "train.txt, line 8, is its last: expected 9"),
        (lines, 8, "train.txt, line 9: expected 8 lines"),
    ):
        with pytest.raises(DataError, match=message):
            criteo.load(written(content, rows=rows))
    folder = written(lines)
    (folder / criteo.NAME / criteo.FILE).unlink()
    with pytest.raises(DataError, match=r"train\.txt is missing"):
        criteo.load(folder)


def test_a_file_without_line_ends_is_refused(written):
    with pytest.raises(DataError, match="is its last: expected 9"):
        criteo.load(written(["x" * 20_000], rows=9))


def test_training_rows_are_shuffled_each_once_an_epoch_and_can_be_resumed(written, monkeypatch):
    monkeypatch.setattr(stored_clicks, "WINDOW_ROWS", 32)
    data = criteo.load(written(random_lines(147)), max_rows=10**9)
    in_order = [ids.tobytes() for ids in read(data.split().train)[2]]
    assert len(set(in_order)) == 126
    every = [ids.numpy() for (_, ids), _ in data.split().train.batches(18, seed=2, steps=14)]
    epochs = [[ids.tobytes() for ids in np.concatenate(every[i : i + 7])] for i in (0, 7)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(in_order)
    assert epochs[0] != epochs[1] != in_order != epochs[0]
    resumed = data.split().train.batches(18, seed=2, first_step=6, steps=3)
    for ((_, ids), _), expected in zip(resumed, every[6:9], strict=True):
        np.testing.assert_array_equal(ids, expected)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"vocabulary": "all"}, "`vocabulary` must be one of hash, cut; received 'all'"),
        ({"max_rows": 1}, "`max_rows` must be a whole number of at least 2"),
        ({"min_count": 0}, "`min_count` must be a whole number of at least 1"),
        ({"bad_share": 1.0}, r"`bad_share` must be in \[0, 1\); received 1.0"),
        ({"workers": -1}, "`workers` must be a whole number of at least 1"),
    ],
)
def test_arguments_outside_their_range_are_refused(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        criteo.load(tmp_path, **wrong)
