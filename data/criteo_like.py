"""A synthetic click stream at Criteo's real shape; none of its rows is Criteo's.

Real are the figures of `criteo_figures`: table sizes, head and missing shares, quantiles. Made
up are the categories' numbers, how fields depend on each other (not at all, except that fields with
the same missing share miss together) and who clicks: a planted teacher network, whose click
probabilities come with the rows, so that the best possible log loss and AUC are known. From day to
day the teacher and the popular categories move. Numbers measured on it are called synthetic.
"""

import functools
from typing import NamedTuple

import numpy as np

from data.criteo_figures import CATEGORIES, INTEGERS, draw_categories, draw_integers
from data.criteo_teacher import Teacher

_BLOCK = 1 << 14  # rows drawn at once: bounds memory, and a shorter day is a longer one's beginning
_ROWS, _REFERENCE = 0, 1  # what a random stream is for; the next are `criteo_teacher`'s
_REFERENCE_BLOCKS = 2


class CriteoLikeDay(NamedTuple):
    """The rows of one synthetic day.

    Attributes:
        integers: Raw values, float32 [rows, 13]; NaN where missing.
        categories: Raw ids, int64 [rows, 26], from 0 to the field's `TABLE_ROWS` less 1; -1 where
            missing.
        labels: 1 for a click, else 0; float32 [rows].
        probabilities: The teacher's click probability, from which the label was drawn, float32
            [rows]: no model predicts better.
    """

    integers: np.ndarray
    categories: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray


def day(number: int, n_rows: int, seed: int = 0, drift: float = 0.02) -> CriteoLikeDay:
    """Draws day `number` of the synthetic stream; the same arguments give the same rows.

    The first rows of a day do not depend on how many are drawn. About 25.6 % are clicks. The
    teacher's own AUC is about 0.80 and its log loss 0.45 to 0.47, on every day.

    Args:
        number: The day, from 0.
        n_rows: Rows to draw; real days have 6.5 million.
        seed: Whole number from 0 to 2**32 - 1; another one gives another teacher and
            other rows, with the same popularity of categories.
        drift: Share of the teacher's variance that is renewed from a day to the next, and share of
            each large table's popularity ranks that pass to another, rare category. From 0, where
            all days are alike, to below 1.

    Raises:
        ValueError: If an argument is out of range.
    """
    _check(number, seed, drift)
    if n_rows < 1:
        raise ValueError(f"n_rows must be 1 or more, received {n_rows}")
    result = CriteoLikeDay(
        np.empty((n_rows, len(INTEGERS)), np.float32),
        np.empty((n_rows, len(CATEGORIES)), np.int64),
        np.empty(n_rows, np.float32),
        np.empty(n_rows, np.float32),
    )
    teacher = _teacher(number, seed, drift)
    for block, start in enumerate(range(0, n_rows, _BLOCK)):
        rng = np.random.default_rng([seed, _ROWS, number, block])
        integers, categories = _draw(rng, number, drift)
        probabilities = teacher(integers, categories)
        labels = rng.random(_BLOCK) < probabilities
        for whole, part in zip(result, (integers, categories, labels, probabilities), strict=True):
            whole[start : start + _BLOCK] = part[: n_rows - start]
    return result


def click_probability(
    integers: np.ndarray,
    categories: np.ndarray,
    number: int,
    seed: int = 0,
    drift: float = 0.02,
) -> np.ndarray:
    """Returns what the teacher of day `number` gives rows of that or another day, float32 [rows].

    Args:
        integers: As in `CriteoLikeDay`, [rows, 13].
        categories: As in `CriteoLikeDay`, [rows, 26].
        number: The teacher's day.
        seed: As in `day`.
        drift: As in `day`.

    Raises:
        ValueError: If an argument is out of range, or a shape is not as above.
    """
    _check(number, seed, drift)
    shapes = (len(integers), len(INTEGERS)), (len(integers), len(CATEGORIES))
    if (integers.shape, categories.shape) != shapes:
        raise ValueError(
            f"integers and categories must be of shapes {shapes[0]} and {shapes[1]}, received "
            f"{integers.shape} and {categories.shape}"
        )
    teacher = _teacher(number, seed, drift)
    result = np.empty(len(integers), np.float32)
    for start in range(0, len(integers), _BLOCK):
        rows = slice(start, start + _BLOCK)
        result[rows] = teacher(integers[rows], categories[rows])
    return result


def _check(number: int, seed: int, drift: float) -> None:
    if number < 0:
        raise ValueError(f"number must be 0 or more, received {number}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be from 0 to 2**32 - 1, received {seed}")
    if not 0 <= drift < 1:
        raise ValueError(f"drift must be in [0, 1), received {drift}")


@functools.lru_cache(maxsize=64)
def _teacher(number: int, seed: int, drift: float) -> Teacher:
    rng = np.random.default_rng([seed, _REFERENCE, number])
    blocks = [_draw(rng, number, drift) for _ in range(_REFERENCE_BLOCKS)]
    integers, categories = (np.concatenate(arrays) for arrays in zip(*blocks, strict=True))
    return Teacher(number, seed, drift, integers, categories)


def _draw(rng: np.random.Generator, number: int, drift: float) -> tuple[np.ndarray, np.ndarray]:
    """One block of raw values, float32 [block, 13], and raw ids, int64 [block, 26]."""
    shares = sorted({field.missing for field in (*INTEGERS, *CATEGORIES)})
    is_missing = {share: rng.random(_BLOCK) < share for share in shares}
    integers = np.empty((len(INTEGERS), _BLOCK), np.float32)
    for column, field in zip(integers, INTEGERS, strict=True):
        column[:] = draw_integers(rng, field, _BLOCK)
        column[is_missing[field.missing]] = np.nan
    categories = np.empty((len(CATEGORIES), _BLOCK), np.int64)
    for place, (column, field) in enumerate(zip(categories, CATEGORIES, strict=True)):
        column[:] = draw_categories(rng, place, _BLOCK, number * drift)
        column[is_missing[field.missing]] = -1
    return integers.T, categories.T
