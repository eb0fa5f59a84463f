import numpy as np
import pytest

from data import criteo_like as stream
from data.criteo_figures import TABLE_ROWS
from pipelines import criteo_like
from pipelines.clicks import transform_integers


def test_days_are_those_of_the_stream_with_zero_for_missing():
    data = criteo_like.load(rows_per_day=300, n_days=3)
    assert [len(day) for day in data.days] == [300] * 3
    assert (data.n_dense, data.table_rows) == (13, tuple(n + 1 for n in TABLE_ROWS))
    raw = stream.day(2, 300)
    day = data.days[2]
    np.testing.assert_array_equal(day.labels, raw.labels)
    np.testing.assert_array_equal(day.dense, transform_integers(raw.integers))
    missing = raw.categories < 0
    assert missing.any()
    np.testing.assert_array_equal(day.categorical == 0, missing)
    np.testing.assert_array_equal(day.categorical[~missing], raw.categories[~missing] + 1)
    assert (day.categorical < data.table_rows).all()


def test_all_rows_are_as_many_as_criteos_days_have(monkeypatch):
    asked = []
    monkeypatch.setattr(stream, "day", lambda number, n_rows: asked.append(n_rows))
    with pytest.raises(AttributeError):  # of the day that is none
        criteo_like.load()
    assert asked == [6_548_660]
