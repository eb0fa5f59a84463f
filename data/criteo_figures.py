"""Criteo's figures, and values of one field drawn with them; nothing here is a row of Criteo's."""

import functools
import math
from typing import NamedTuple

import numpy as np


class Integer(NamedTuple):
    """One integer field: `quantiles` of its present values at `LEVELS`."""

    missing: float
    negative: float
    quantiles: tuple[int, int, int, int, int, int, int]


class Categorical(NamedTuple):
    """One categorical field.

    `heads` are the shares of all rows that its 1, 10, 100 and 1000 most frequent values have, a
    missing value being one of them; left out where the sample has no more values than that. Beyond
    the last, popularity falls by a power law with exponent `tail`, fitted so that 80,000 rows have
    as many distinct values as the sample; set by hand where there are fewer than 30 rows.
    """

    rows: int
    missing: float
    heads: tuple[float, ...]
    tail: float


CLICK_RATE = 0.256  # published of the Kaggle challenge's 45,840,617 rows

# Source: aggregates of the Criteo Kaggle display advertising data. Table sizes are the published
# ones, used by the DLRM reference scripts, where a missing value has a row too; the other columns
# were measured on samples of 8,000 rows (integers) and 80,000 rows (categories).
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
INTEGERS = (
    Integer(0.4515, 0.0, (0, 0, 1, 3, 15, 44, 214)),
    Integer(0.0, 0.1, (-1, 0, 3, 37, 556, 2167, 18522)),
    Integer(0.2025, 0.0, (1, 2, 7, 20, 94, 306, 65535)),
    Integer(0.2034, 0.0, (0, 2, 4, 10, 28, 44, 280)),
    Integer(0.0495, 0.0, (4, 299, 2792, 10536, 51316, 302726, 1618112)),
    Integer(0.2518, 0.0, (0, 10, 41, 131, 590, 1742, 12167)),
    Integer(0.0497, 0.0, (0, 0, 3, 10, 57, 189, 1658)),
    Integer(0.0011, 0.0, (0, 2, 7, 20, 42, 48, 547)),
    Integer(0.0497, 0.0, (1, 10, 42, 124, 502, 1228, 5639)),
    Integer(0.4515, 0.0, (0, 0, 0, 1, 2, 2, 4)),
    Integer(0.0497, 0.0, (0, 0, 1, 2, 8, 22, 79)),
    Integer(0.7768, 0.0, (0, 0, 0, 1, 4, 12, 98)),
    Integer(0.2034, 0.0, (0, 2, 5, 13, 38, 72, 770)),
)
CATEGORIES = (
    Categorical(1460, 0.0, (0.5032, 0.9092, 0.9912), 1.68),
    Categorical(583, 0.0, (0.1265, 0.429, 0.8681), 3.75),
    Categorical(10131227, 0.0392, (0.0392, 0.186, 0.3211, 0.4825), 1.05),
    Categorical(2202608, 0.0392, (0.0543, 0.2506, 0.4229, 0.6304), 1.25),
    Categorical(305, 0.0, (0.6703, 0.9789, 0.9996), 0.5),
    Categorical(24, 0.1373, (0.4643, 0.9999), 4.0),
    Categorical(12517, 0.0, (0.0096, 0.0678, 0.2767, 0.6739), 2.01),
    Categorical(633, 0.0, (0.592, 0.9568, 0.9978), 1.54),
    Categorical(3, 0.0, (0.885,), 0.5),
    Categorical(93145, 0.0, (0.2675, 0.327, 0.4696, 0.744), 1.68),
    Categorical(5683, 0.0, (0.0212, 0.1064, 0.3769, 0.8339), 3.0),
    Categorical(8351593, 0.0392, (0.0392, 0.1861, 0.3382, 0.5057), 1.06),
    Categorical(3194, 0.0, (0.0231, 0.1239, 0.4268, 0.8881), 3.27),
    Categorical(27, 0.0, (0.3639, 0.9865), 4.0),
    Categorical(14992, 0.0, (0.0203, 0.104, 0.4249, 0.8566), 2.31),
    Categorical(5461306, 0.0392, (0.0392, 0.1864, 0.3718, 0.56), 1.12),
    Categorical(10, 0.0, (0.4254,), 2.0),
    Categorical(5652, 0.0, (0.0538, 0.2329, 0.6435, 0.965), 2.89),
    Categorical(2173, 0.4135, (0.4135, 0.8287, 0.9227, 0.9972), 0.5),
    Categorical(4, 0.4135, (0.4135,), 0.5),
    Categorical(7046547, 0.0392, (0.0392, 0.1861, 0.3545, 0.5285), 1.08),
    Categorical(18, 0.8172, (0.8172, 1.0), 4.0),
    Categorical(15, 0.0, (0.4441, 0.9953), 4.0),
    Categorical(286181, 0.0392, (0.0735, 0.3813, 0.5878, 0.7932), 1.48),
    Categorical(105, 0.4135, (0.4135, 0.9301), 5.13),
    Categorical(142572, 0.4135, (0.4135, 0.5727, 0.7124, 0.8597), 1.45),
)
TABLE_ROWS: tuple[int, ...] = tuple(field.rows for field in CATEGORIES)

_HEAD_SLOPE = 0.6  # of log share over log rank up to the first head, where the top value is missing
_ROUNDING = 5e-5  # of the shares: one that is 1.0000 leaves this for rarer values
_TURNOVER_FROM = 1000  # values; the popular ones of a smaller table stay the same
_GOLDEN = (math.sqrt(5) - 1) / 2


def draw_integers(rng: np.random.Generator, field: Integer, n_rows: int) -> np.ndarray:
    """Draws present values of an integer field, whole numbers, float64 [rows]."""
    levels, logs, low = _integer_knots(field)
    return np.rint(np.expm1(np.interp(rng.random(n_rows), levels, logs))) + low


def draw_categories(
    rng: np.random.Generator, place: int, n_rows: int, turnover: float
) -> np.ndarray:
    """Draws present values of a categorical field, raw ids from 0, int64 [rows].

    Args:
        rng: What they are drawn with.
        place: Which of `CATEGORIES` the field is.
        n_rows: How many.
        turnover: How many times each popularity rank of a large table has passed to another
            category, on average.
    """
    field = CATEGORIES[place]
    log_shares, log_ranks = _rank_knots(field)
    n_values = field.rows - (field.missing > 0)
    ranks = np.exp(np.interp(np.log1p(-rng.random(n_rows)), log_shares, log_ranks))
    ranks = np.minimum(np.ceil(ranks).astype(np.int64) - 1, n_values - 1)
    if n_values >= _TURNOVER_FROM:
        # Every rank has its own time of the turnover, spread evenly over ranks.
        phase = ranks * _GOLDEN + place * math.sqrt(2)
        phase -= np.floor(phase)
        turns = (turnover + phase).astype(np.int64)
        ranks = (ranks + turns * int(n_values * _GOLDEN)) % n_values
    # Multiplying by a number without common factor is a permutation of 0 .. n_values - 1.
    return ranks * _coprime(n_values) % n_values


@functools.cache
def _integer_knots(field: Integer) -> tuple[np.ndarray, np.ndarray, int]:
    """Levels, log(1 + value - low) there, and low: what the inverse CDF interpolates."""
    if not field.negative:
        return np.array((0.0, *LEVELS)), np.log1p((0, *field.quantiles)), 0
    above = [(p, v) for p, v in zip(LEVELS, field.quantiles, strict=True) if p > field.negative]
    levels, values = zip((0, -1), (field.negative, -1), (field.negative, 0), *above, strict=True)
    return np.array(levels), np.log1p(np.array(values) + 1), -1


@functools.cache
def _rank_knots(field: Categorical) -> tuple[np.ndarray, np.ndarray]:
    """Logs of the shares of the r most frequent present values, and logs of r, both ascending."""
    present = 1 - field.missing
    gone = int(field.missing > 0)  # a missing value is one of the ten most frequent, always
    n_values = field.rows - gone
    knots = [
        (top - gone, min((share - field.missing) / present, 1 - _ROUNDING))
        for top, share in zip((1, 10, 100, 1000), field.heads, strict=False)
    ]
    if field.heads[0] == field.missing:  # it is the most frequent: nothing is known of the next
        del knots[0]
        rank, share = knots[0] if knots else (n_values, 1.0)
        knots.insert(0, (1, share * rank**-_HEAD_SLOPE))
    elif gone:
        knots[0] = (1, field.heads[0] / present)
    rank, share = knots[-1]
    ranks = np.geomspace(rank, n_values, 33)[1:]
    falling = 1 - field.tail
    beyond = (ranks**falling - rank**falling) / (float(n_values) ** falling - rank**falling)
    head_ranks, head_shares = zip(*knots, strict=True)
    log_shares = np.log([*head_shares, *(share + (1 - share) * beyond)])
    return log_shares, np.log([*head_ranks, *ranks])


@functools.cache
def _coprime(n: int) -> int:
    """A number near the golden section of n that has no factor in common with it."""
    return next(k for k in range(int(n * _GOLDEN), n + 1) if math.gcd(k, n) == 1)
