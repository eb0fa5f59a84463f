"""The synthetic click stream as clicks, by the same steps as Criteo's own rows."""

import numpy as np

from data import criteo_like
from data.criteo_figures import TABLE_ROWS
from pipelines.clicks import ClickData, Clicks, transform_integers
from pipelines.criteo import N_DAYS

_ROWS_PER_DAY = 6_548_660  # as many as Criteo's days have


def load(rows_per_day: int = 0, n_days: int = N_DAYS) -> ClickData:
    """Draws the days of `data.criteo_like`, seed 0.

    Numbers are log(1 + max(x, 0)), and 0 where missing; id 0 of a category means missing, the
    others are the raw id plus 1.

    Args:
        rows_per_day: rows of each day; 0 for as many as Criteo's days have.
        n_days: number of days.
    """
    n_rows = rows_per_day or _ROWS_PER_DAY
    days = [_clicks(criteo_like.day(number, n_rows)) for number in range(n_days)]
    return ClickData(days, tuple(rows + 1 for rows in TABLE_ROWS), days[0].dense.shape[1])


def _clicks(day: criteo_like.CriteoLikeDay) -> Clicks:
    ids = (day.categories + 1).astype(np.int32)
    return Clicks(transform_integers(day.integers), ids, day.labels)
