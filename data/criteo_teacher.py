"""Who clicks in the synthetic stream: a planted network that changes from day to day."""

import math

import numpy as np

from data.criteo_figures import CLICK_RATE, INTEGERS, TABLE_ROWS

_WALK, _HALVES = 2, 3  # what a random stream is for; those before are `criteo_like`'s
_FACTORS = 4  # uniform ones of variance 1 a category: the 16-bit quarters of a 64-bit hash
_PAIRS = 4  # products of a sum over some fields with a sum over the others
_HIDDEN = 16
_N_FACTORS = len(TABLE_ROWS) * _FACTORS
_WIDTH = _N_FACTORS + 2 * len(INTEGERS)
_PART_WEIGHTS = (0.7, 0.5, 0.5)  # of the linear, pairwise and hidden parts of a logit
_LOGIT_SCALE = 1.4  # gives the AUC of `criteo_like.day`


class Teacher:
    """A network from rows to click probabilities; calibrated on rows of its day.

    The logit is a sum of three parts, each of mean 0 and of a variance that `_PART_WEIGHTS` sets
    on that day: a linear one; products of weighted sums over two halves of the fields, which are
    interactions of all pairs across; and one of a hidden layer of tanh units.

    Args:
        number: The day, from 0.
        seed: As in `criteo_like.day`.
        drift: As in `criteo_like.day`.
        integers: Raw values of the rows of its day, float32 [rows, 13], NaN where missing.
        categories: Their raw ids, int64 [rows, 26], -1 where missing.
    """

    def __init__(
        self, number: int, seed: int, drift: float, integers: np.ndarray, categories: np.ndarray
    ) -> None:
        self._seed = seed
        self._weights, self._output = _walk(number, seed, drift)
        parts = self._parts(integers, categories)
        self._mean = parts.mean(axis=1, keepdims=True)
        self._gain = _LOGIT_SCALE * np.array(_PART_WEIGHTS, np.float32)
        self._gain /= parts.std(axis=1)
        logits = self._logits(parts)
        low, high = -10.0, 10.0
        while high - low > 1e-6:  # the mean probability rises with the bias
            bias = (low + high) / 2
            low, high = (low, bias) if _sigmoid(logits + bias).mean() > CLICK_RATE else (bias, high)
        self._bias = np.float32(low)

    def __call__(self, integers: np.ndarray, categories: np.ndarray) -> np.ndarray:
        """Returns the click probabilities of raw rows as above, float32 [rows]."""
        return _sigmoid(self._logits(self._parts(integers, categories)) + self._bias)

    def _parts(self, integers: np.ndarray, categories: np.ndarray) -> np.ndarray:
        sums = _features(integers, categories, self._seed) @ self._weights
        left, right = sums[:, 1 : 1 + _PAIRS], sums[:, 1 + _PAIRS : 1 + 2 * _PAIRS]
        hidden = np.tanh(1.5 * sums[:, 1 + 2 * _PAIRS :]) @ self._output
        return np.stack([sums[:, 0], (left * right).sum(axis=1), hidden])

    def _logits(self, parts: np.ndarray) -> np.ndarray:
        return self._gain @ (parts - self._mean)


def _walk(number: int, seed: int, drift: float) -> tuple[np.ndarray, np.ndarray]:
    """First and output weights of a day: `number` steps of a stationary random walk from day 0."""
    weights = np.zeros((_WIDTH, 1 + 2 * _PAIRS + _HIDDEN))
    output = np.zeros(_HIDDEN)
    for step in range(number + 1):
        rng = np.random.default_rng([seed, _WALK, step])
        keep, renew = (math.sqrt(1 - drift), math.sqrt(drift)) if step else (0.0, 1.0)
        weights = keep * weights + renew * rng.standard_normal(weights.shape)
        output = keep * output + renew * rng.standard_normal(output.shape)
    # Categories of a large table are seldom seen: they matter less, or little could be learnt.
    scale = np.array([1 / math.log10(10 + rows) for rows in TABLE_ROWS] + [1.0] * len(INTEGERS))
    is_left = np.tile(np.arange(len(scale)) % 2 == 0, (_PAIRS, 1))
    is_left = np.random.default_rng([seed, _HALVES]).permuted(is_left, axis=1)
    fields = np.arange(len(scale))
    n_tables = len(TABLE_ROWS)
    fields = np.concatenate([np.repeat(fields[:n_tables], _FACTORS), np.tile(fields[n_tables:], 2)])
    weights *= scale[fields, None] / np.linalg.norm(scale[fields])
    weights[:, 1 : 1 + _PAIRS] *= is_left.T[fields]
    weights[:, 1 + _PAIRS : 1 + 2 * _PAIRS] *= ~is_left.T[fields]
    return weights.astype(np.float32), output.astype(np.float32)


def _features(integers: np.ndarray, categories: np.ndarray, seed: int) -> np.ndarray:
    """What the teacher sees, float32 [rows, _WIDTH]: factors, scaled logs, which are missing."""
    result = np.empty((len(integers), _WIDTH), np.float32)
    fields = np.arange(len(TABLE_ROWS), dtype=np.uint64) << np.uint64(40)
    salt = (seed * 0x9E3779B97F4A7C15 + 1) % 2**64
    bits = np.ascontiguousarray(categories).astype(np.uint64) + fields + np.uint64(salt)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # SplitMix64
        bits ^= bits >> np.uint64(shift)
        bits *= np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    quarters = bits.astype("<u8", copy=False).view("<u2")
    np.multiply(quarters, np.float32(math.sqrt(12) / 65535), out=result[:, :_N_FACTORS])
    result[:, :_N_FACTORS] -= np.float32(math.sqrt(3))
    missing = np.isnan(integers)
    result[:, _N_FACTORS + len(INTEGERS) :] = missing
    for j, field in enumerate(INTEGERS):
        low = -1 if field.negative else 0
        logs = np.log1p(np.array(field.quantiles) - low)
        # A normal distribution's 5th and 95th percentiles are 3.29 standard deviations apart.
        spread = (logs[4] - logs[0]) / 3.29
        scaled = (np.log1p(integers[:, j] - low) - logs[2]) / spread
        result[:, _N_FACTORS + j] = np.where(missing[:, j], 0, np.clip(scaled, -3, 3))
    return result


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    result: np.ndarray = 1 / (1 + np.exp(-logits))
    return result
