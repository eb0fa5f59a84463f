import numpy as np
import pytest
from criteo_days import N_ROWS

from data import criteo_like
from data.criteo_figures import TABLE_ROWS


def test_shapes_types_and_ranges_are_criteos(first):
    assert first.integers.shape == (N_ROWS, 13) and first.integers.dtype == np.float32
    assert first.categories.shape == (N_ROWS, 26) and first.categories.dtype == np.int64
    assert first.labels.shape == (N_ROWS,) and first.labels.dtype == np.float32
    assert first.probabilities.shape == (N_ROWS,) and first.probabilities.dtype == np.float32
    assert set(np.unique(first.labels)) == {0, 1}
    present = first.integers[~np.isnan(first.integers)]
    assert (present == np.rint(present)).all()
    assert len(TABLE_ROWS) == 26 and sum(TABLE_ROWS) == 33_762_577
    assert (first.categories >= -1).all()
    assert (first.categories < TABLE_ROWS).all()


def test_arguments_alone_decide(first):
    again = criteo_like.day(0, N_ROWS)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, again, strict=True))
    for other in (criteo_like.day(0, 1000, seed=1), criteo_like.day(1, 1000)):
        assert not np.array_equal(first.categories[:1000], other.categories)
        assert not np.array_equal(first.integers[:1000], other.integers, equal_nan=True)
        assert not np.array_equal(first.labels[:1000], other.labels)


@pytest.mark.parametrize("n_rows", [1, 16_384, 16_385])
def test_shorter_day_is_the_beginning_of_a_longer_one(first, n_rows):
    short = criteo_like.day(0, n_rows)
    assert all(
        np.array_equal(a, b[:n_rows], equal_nan=True) for a, b in zip(short, first, strict=True)
    )


def test_shares_of_missing_values_are_criteos(first):
    # Four standard deviations of a share of 0.5 are 0.007.
    integers = np.isnan(first.integers).mean(axis=0)
    expected = [0.4515, 0, 0.2025, 0.2034, 0.0495, 0.2518, 0.0497, 0.0011, 0.0497, 0.4515, 0.0497]
    assert integers == pytest.approx([*expected, 0.7768, 0.2034], abs=0.007)
    categories = (first.categories == -1).mean(axis=0)
    expected = np.zeros(26)
    expected[[2, 3, 11, 15, 20, 23]] = 0.0392
    expected[[18, 19, 24, 25]] = 0.4135
    expected[[5, 21]] = 0.1373, 0.8172
    assert categories == pytest.approx(expected, abs=0.007)


def test_click_probability_is_that_of_the_day(first):
    again = criteo_like.click_probability(first.integers, first.categories, number=0)
    assert again == pytest.approx(first.probabilities, abs=1e-5)


def test_drift_moves_popular_categories_of_large_tables_only(first, tenth):
    def popular(day, field):
        values, counts = np.unique(day.categories[:, field - 1], return_counts=True)
        return set(values[np.argsort(-counts)][:50])

    # 9 days at 0.02 a day: 18 % of the popular are others; sampling alone exchanges a few.
    kept = len(popular(first, 10) & popular(tenth, 10))
    assert 30 <= kept <= 44
    assert popular(first, 23) == popular(tenth, 23)


def test_without_drift_days_are_other_rows_of_the_same_kind():
    first, later = criteo_like.day(0, 40_000, drift=0.0), criteo_like.day(9, 40_000, drift=0.0)
    assert not np.array_equal(first.categories, later.categories)
    old = criteo_like.click_probability(later.integers, later.categories, number=0, drift=0.0)
    # Both are calibrated, on different rows.
    assert old == pytest.approx(later.probabilities, abs=0.03)
    common = [np.bincount(day.categories[:, 9], minlength=93145).argmax() for day in (first, later)]
    assert common[0] == common[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"number": -1}, "number.*received -1"),
        ({"n_rows": 0}, "n_rows.*received 0"),
        ({"seed": -1}, "seed.*received -1"),
        ({"seed": 2**32}, "seed.*received 4294967296"),
        ({"drift": 1.0}, "drift.*received 1.0"),
        ({"drift": float("nan")}, "drift.*received nan"),
    ],
)
def test_nonsense_arguments_are_refused_with_the_value_received(arguments, message):
    with pytest.raises(ValueError, match=message):
        criteo_like.day(**{"number": 0, "n_rows": 1, **arguments})


def test_wrong_shapes_are_refused(first):
    with pytest.raises(ValueError, match=r"\(5, 13\) and \(5, 26\), received \(5, 13\) and \(4,"):
        criteo_like.click_probability(first.integers[:5], first.categories[:4], number=0)
