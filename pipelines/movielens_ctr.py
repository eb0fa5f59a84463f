"""MovieLens 100K as clicks: a rating of 4 or 5 is one; real data for recurring training.

Days are parts of equally many ratings in order of time. A row holds what was known before its day
began: who the user is, what the film is, and how both fared on earlier days.
"""

import dataclasses
import os

import numpy as np

from data import catalog, fetch
from data.errors import DataError
from pipelines import id_pairs, movielens_100k
from pipelines.clicks import ClickData, Clicks
from pipelines.integers import REMEDY

_CLICK = 4  # the least rating that counts as a click
_PRIOR = 5  # ratings with everybody's click rate that each user and item begins with


def load(data_dir: str | os.PathLike[str] | None = None, n_days: int = 10) -> ClickData:
    """Finds, reads, counts and splits MovieLens 100K; see `split`.

    Args:
        data_dir: Directory that contains the folder `ml-100k`; without it the data set is taken
            from the cache, or downloaded (see `data.fetch.locate`).
        n_days: Number of parts.

    Raises:
        DataError: If it cannot be found, downloaded or read, or is not what the catalogue knows.
        ValueError: If `n_days` is below 2 or above the number of ratings.
    """
    folder = fetch.locate("ml-100k", data_dir)
    ratings = movielens_100k.read(folder)
    expected = catalog.get("ml-100k").counts
    for file, what, count in (
        ("u.data", "interactions", len(ratings.users)),
        ("u.user", "users", len(ratings.user_numbers) - 1),
        ("u.item", "items", len(ratings.item_numbers) - 1),
    ):
        if count != expected[what]:
            raise DataError(
                f"{folder / file}, line {count}, is its last: the official ml-100k has "
                f"{expected[what]} {what}, one a line: lines are missing or were added; {REMEDY}"
            )
    id_pairs.check_order(folder, dataclasses.astuple(ratings), "ml-100k")
    return split(ratings, n_days)


def split(ratings: movielens_100k.Ratings, n_days: int) -> ClickData:
    """Makes days of equally many ratings, in order of time and, within a second, of the file.

    Categories are user, item, gender, occupation, first character of the zip code and decade of
    release, with 0 for unknown. Numbers are age, year, 19 genres, and for user and then item the
    click rate on all earlier days less everybody's, and log(1 + ratings) there. Nothing in a row
    depends on a rating of its own or of a later day.

    Raises:
        ValueError: If `n_days` is below 2 or above the number of ratings.
    """
    if not 2 <= n_days <= len(ratings.users):
        raise ValueError(
            f"n_days must be from 2 to {len(ratings.users)}, the number of ratings; received "
            f"{n_days}"
        )
    user_past = _Past(len(ratings.user_numbers))
    item_past = _Past(len(ratings.item_numbers))
    days = []
    for rows in np.array_split(np.argsort(ratings.times, kind="stable"), n_days):
        users, items = ratings.users[rows], ratings.items[rows]
        labels = (ratings.ratings[rows] >= _CLICK).astype(np.float32)
        categories = [users[:, None], items[:, None]]
        categories += [ratings.user_categories[users], ratings.item_categories[items]]
        dense = [ratings.user_numbers[users], ratings.item_numbers[items]]
        dense += [user_past.numbers(users), item_past.numbers(items)]
        categorical = np.concatenate(categories, axis=1).astype(np.int32)
        days.append(Clicks(np.concatenate(dense, axis=1), categorical, labels))
        user_past.add(users, labels)
        item_past.add(items, labels)
    sizes = (len(ratings.user_numbers), len(ratings.item_numbers))
    table_rows = (*sizes, *movielens_100k.TABLE_ROWS)
    return ClickData(tuple(days), table_rows, n_dense=days[0].dense.shape[1])


class _Past:
    """Clicks and ratings of each id up to the day before."""

    def __init__(self, n_ids: int) -> None:
        self._clicks = np.zeros(n_ids)
        self._ratings = np.zeros(n_ids)

    def numbers(self, ids: np.ndarray) -> np.ndarray:
        """Returns click rates less everybody's, and log counts, float32 [ids, 2]."""
        base = self._clicks.sum() / max(self._ratings.sum(), 1)
        # (clicks + prior * base) / (ratings + prior) - base
        excess = (self._clicks - base * self._ratings) / (self._ratings + _PRIOR)
        return np.stack([excess, np.log1p(self._ratings)], axis=1)[ids].astype(np.float32)

    def add(self, ids: np.ndarray, labels: np.ndarray) -> None:
        self._clicks += np.bincount(ids, labels, minlength=len(self._clicks))
        self._ratings += np.bincount(ids, minlength=len(self._ratings))
