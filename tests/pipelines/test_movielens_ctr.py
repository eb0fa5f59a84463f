import math

import movielens_files
import numpy as np
import pytest
from movielens_files import RATINGS, START
from real_data import FOLDER, needs

from data.errors import DataError
from pipelines import movielens_100k, movielens_ctr


@pytest.fixture
def folder(tmp_path):
    movielens_files.write(tmp_path)
    return tmp_path


def days(folder, n_days):
    return movielens_ctr.split(movielens_100k.read(folder), n_days)


def test_rows_are_in_order_of_time_and_then_of_the_file(folder):
    data = days(folder, 2)
    assert [day.categorical[:, :2].tolist() for day in data.days] == [
        [[2, 3], [1, 3]],
        [[1, 1], [3, 3]],
    ]


def test_ratings_of_the_same_second_stay_in_the_order_of_the_file(folder):
    # Enough for NumPy's default sort, which keeps the order of few, to mix them up.
    (folder / "u.user").write_text("".join(f"{i}|25|M|other|85711\n" for i in range(1, 501)))
    users = np.random.default_rng(0).permutation(500) + 1
    (folder / "u.data").write_text("".join(f"{u}\t1\t5\t{START + u % 2}\n" for u in users))
    rows = np.concatenate([day.categorical[:, 0] for day in days(folder, 4).days])
    assert rows.tolist() == [*users[users % 2 == 0], *users[users % 2 == 1]]


def test_ratings_of_four_and_five_are_clicks(folder):
    (folder / "u.data").write_text(
        "".join(f"{1 + r // 4}\t{1 + r % 3}\t{r}\t{START + r}\n" for r in range(1, 6))
    )
    data = days(folder, 5)
    assert [day.labels.tolist() for day in data.days] == [[0], [0], [0], [1], [1]]


@pytest.mark.parametrize(("n_days", "sizes"), [(2, [2, 2]), (3, [2, 1, 1]), (4, [1, 1, 1, 1])])
def test_days_have_equally_many_rows(folder, n_days, sizes):
    assert [len(day) for day in days(folder, n_days).days] == sizes


def test_categories_are_numbered_from_one_below_their_tables_rows(folder):
    data = days(folder, 4)
    rows = np.concatenate([day.categorical for day in data.days])
    # User, item, gender (F, M), occupation (20th and 14th of the alphabet, then the 21st), zip code
    # (1 more than its digit; 11 for a letter), decade (the 1900s are 1).
    assert rows.tolist() == [
        [2, 3, 1, 14, 11, 8],
        [1, 3, 2, 20, 9, 8],
        [1, 1, 2, 20, 9, 10],
        [3, 3, 2, 21, 1, 8],
    ]
    assert rows.dtype == np.int32
    assert data.table_rows == (4, 4, 3, 22, 12, 11)


def test_film_without_a_date_has_the_unknown_decade_and_no_year(folder):
    (folder / "u.data").write_text(f"1\t2\t5\t{START}\n2\t2\t5\t{START}\n")
    day = days(folder, 2).days[0]
    assert day.categorical[0, 5] == 0
    assert day.dense[0, 1] == 0
    assert day.dense[0, 2:21].tolist() == [1] + [0] * 18


def test_numbers_are_age_year_and_genres(folder):
    data = days(folder, 4)
    rows = np.concatenate([day.dense for day in data.days])
    assert data.n_dense == rows.shape[1] == 25
    assert rows[:, 0] == pytest.approx([1.0, -1.0, -1.0, -2.8])
    assert rows[:, 1] == pytest.approx([-1.9, -1.9, 0.5, -1.9])
    assert rows[2, 2:21].tolist() == [0] * 18 + [1]


def test_past_is_that_of_earlier_days_only(folder):
    first, second = days(folder, 2).days
    assert (first.dense[:, 21:] == 0).all()
    # On the first day half the ratings were clicks; user 1 had one that was none, item 3 two of
    # which one was; with 5 ratings at a half added, user 1 is at 2.5 / 6.
    one, two = math.log(2), math.log(3)
    assert second.dense[0, 21:] == pytest.approx([2.5 / 6 - 0.5, one, 0, 0])
    assert second.dense[1, 21:] == pytest.approx([0, 0, 0, two])


def test_later_ratings_change_no_number_of_an_earlier_row(folder):
    before = days(folder, 4).days
    (folder / "u.data").write_text(
        RATINGS.replace("3\t3\t5", "3\t3\t1").replace("1\t1\t4", "1\t1\t1")
    )
    after = days(folder, 4).days
    for day in range(3):
        assert np.array_equal(before[day].dense, after[day].dense)
    assert not np.array_equal(before[3].dense, after[3].dense)


@pytest.mark.parametrize("change", ["windows", "no last"])
def test_windows_line_ends_and_a_missing_last_one_are_accepted(folder, change):
    expected = days(folder, 2)
    for path in folder.iterdir():
        content = path.read_bytes()
        path.write_bytes(
            content.replace(b"\n", b"\r\n") if change == "windows" else content.rstrip(b"\n")
        )
    for before, after in zip(expected.days, days(folder, 2).days, strict=True):
        assert np.array_equal(before.categorical, after.categorical)
        assert np.array_equal(before.dense, after.dense)


@pytest.mark.parametrize("n_days", [1, 5])
def test_days_that_would_be_empty_or_alone_are_refused(folder, n_days):
    with pytest.raises(ValueError, match=f"from 2 to 4.*received {n_days}"):
        days(folder, n_days)


def test_other_counts_than_the_official_are_refused(folder):
    folder = folder.rename(folder.parent / "ml-100k")
    with pytest.raises(DataError, match=r"u\.data, line 4, is its last.*100000 interactions"):
        movielens_ctr.load(folder.parent)


@needs("ml-100k")
def test_real_data_is_read_whole_and_in_order():
    data = movielens_ctr.load(FOLDER)
    assert [len(day) for day in data.days] == [10_000] * 10
    assert data.table_rows == (944, 1683, 3, 22, 12, 11)
    # 55,375 of the ratings are 4 or 5.
    assert sum(day.labels.sum() for day in data.days) == 55_375
    rows = np.concatenate([day.categorical for day in data.days])
    assert rows[0, :2].tolist() == [259, 255] and rows[-1, :2].tolist() == [729, 272]
    assert (rows.max(axis=0) < data.table_rows).all()
    assert len(np.unique(rows[:, 0])) == 943 and len(np.unique(rows[:, 1])) == 1682
    # How a film fared before says how it fares today: far more clicks in the upper half.
    day = data.days[-1]
    upper = day.dense[:, 23] > np.median(day.dense[:, 23])
    assert day.labels[upper].mean() > day.labels[~upper].mean() + 0.2
