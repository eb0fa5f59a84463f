import criteo_days
import numpy as np
import pytest


@pytest.fixture
def first():
    return criteo_days.day(0)


def head_share(column, n):
    return np.sort(np.unique(column, return_counts=True)[1])[::-1][:n].sum() / len(column)


@pytest.mark.parametrize(
    ("field", "top", "top_10", "top_100"),
    [
        (1, 0.5032, 0.9092, 0.9912),
        (3, 0.0392, 0.1860, 0.3211),  # the most frequent value is the missing one
        (4, 0.0543, 0.2506, 0.4229),  # the missing one is among the next nine
        (7, 0.0096, 0.0678, 0.2767),
        (9, 0.8850, 1.0, 1.0),
        (10, 0.2675, 0.3270, 0.4696),
        (17, 0.4254, 1.0, 1.0),
        (20, 0.4135, 1.0, 1.0),
        (22, 0.8172, 1.0, 1.0),
        (26, 0.4135, 0.5727, 0.7124),
    ],
)
def test_head_shares_are_criteos(first, field, top, top_10, top_100):
    column = first.categories[:, field - 1]
    shares = [head_share(column, n) for n in (1, 10, 100)]
    # Sampling error as above; and of many equally rare values those drawn more often count.
    assert shares == pytest.approx([top, top_10, top_100], abs=0.01)


@pytest.mark.parametrize(
    ("field", "distinct"),
    [(1, 484), (3, 35_104), (4, 20_746), (7, 7_220), (10, 9_833), (13, 2_732), (26, 8_167)],
)
def test_tails_have_as_many_distinct_values_as_criteos(first, field, distinct):
    assert len(np.unique(first.categories[:, field - 1])) == pytest.approx(distinct, rel=0.04)


def test_every_value_of_the_smallest_tables_occurs(first):
    assert np.unique(first.categories[:, 8]).tolist() == [0, 1, 2]
    # A missing value is one of the four rows.
    assert np.unique(first.categories[:, 19]).tolist() == [-1, 0, 1, 2]


@pytest.mark.parametrize(
    ("field", "quantiles"),
    [
        (1, [0, 0, 1, 3, 15, 44]),
        (2, [-1, 0, 3, 37, 556, 2167]),
        (3, [1, 2, 7, 20, 94, 306]),
        (5, [4, 299, 2792, 10536, 51316, 302726]),
        (10, [0, 0, 0, 1, 2, 2]),
        (12, [0, 0, 0, 1, 4, 12]),
    ],
)
def test_quantiles_of_integers_are_criteos(first, field, quantiles):
    column = first.integers[:, field - 1]
    measured = np.nanquantile(column, [0.05, 0.25, 0.5, 0.75, 0.95, 0.99], method="lower")
    assert measured == pytest.approx(quantiles, rel=0.15, abs=1)


def test_only_the_second_integer_is_negative_in_a_tenth_of_rows(first):
    negative = (first.integers < 0).mean(axis=0)
    assert negative[1] == pytest.approx(0.1, abs=0.005)
    assert np.flatnonzero(negative).tolist() == [1]
