"""Ids of categories from their values: hashing, or the frequent values of the training rows."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

MISSING, RARE = 0, 1  # ids; with hashing only the first is one

# From values, uint32 [rows, fields], and which are missing, bool, to ids, int32.
Encode: TypeAlias = Callable[[np.ndarray, np.ndarray], np.ndarray]


def hashed(values: np.ndarray, missing: np.ndarray, n_rows: int) -> np.ndarray:
    """Returns int32 ids, 1 + h % (n_rows - 1), 0 where missing; all [rows, fields].

    h is the finalizer of MurmurHash3 (32 bits; A. Appleby, public domain) of
    value + 0x9E3779B9 * field modulo 2**32, where the field counts from 1.
    """
    h = values + np.arange(1, values.shape[1] + 1, dtype=np.uint32) * np.uint32(0x9E3779B9)
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    ids = (h % np.uint32(n_rows - 1)).astype(np.int32) + 1
    ids[missing] = MISSING
    return ids


def count(values: np.ndarray) -> np.ndarray:
    """Returns how often each of the values, uint32 [n], occurs: uint64, see `ValueCounts`."""
    return _summed(values.astype(np.uint64) << np.uint64(32) | np.uint64(1))


class ValueCounts:
    """Sums how often one field's values occur; counts are value * 2**32 + count, by value."""

    def __init__(self) -> None:
        self._sums = np.empty(0, np.uint64)
        self._waiting: list[np.ndarray] = []

    def add(self, counts: np.ndarray) -> None:
        """Adds what `count` returned."""
        self._waiting.append(counts)
        # Only when they are as many as those summed, so that few are sorted often.
        if sum(map(len, self._waiting)) > max(len(self._sums), 1 << 16):
            self.total()

    def total(self) -> np.ndarray:
        """Returns the counts of all that was added, uint64 [distinct values]."""
        self._sums = _summed(np.concatenate([self._sums, *self._waiting]))
        self._waiting = []
        return self._sums


def frequent(counts: np.ndarray, max_rows: int, min_count: int) -> np.ndarray:
    """Returns the values that get ids of their own, uint32, in the order of their ids.

    They are those that occur `min_count` times or more, by falling count, ties by rising value, as
    many as a table of `max_rows` rows holds.

    Args:
        counts: what `ValueCounts.total` returned.
        max_rows: ids at most, with those of `MISSING` and `RARE`.
        min_count: see above.
    """
    values = (counts >> np.uint64(32)).astype(np.uint32)
    times = (counts & np.uint64(2**32 - 1)).astype(np.int64)
    order = np.argsort(-times, kind="stable")  # the values rise already
    return values[order[times[order] >= min_count]][: max_rows - RARE - 1]


class Lookup:
    """Turns values into ids by a vocabulary, as `Encode` says.

    Args:
        known: for each field what `frequent` returned.
    """

    def __init__(self, known: list[np.ndarray]) -> None:
        orders = [np.argsort(values) for values in known]
        self._known = [values[order] for values, order in zip(known, orders, strict=True)]
        self._ids = [(order + RARE + 1).astype(np.int32) for order in orders]

    def __call__(self, values: np.ndarray, missing: np.ndarray) -> np.ndarray:
        """Returns ids, int32 [rows, fields], of values, uint32, and which are missing, bool."""
        ids = np.full(values.shape, RARE, np.int32)
        for field, (known, known_ids) in enumerate(zip(self._known, self._ids, strict=True)):
            if len(known):
                column = values[:, field]
                place = np.minimum(np.searchsorted(known, column), len(known) - 1)
                ids[:, field] = np.where(known[place] == column, known_ids[place], RARE)
        ids[missing] = MISSING
        return ids


def _summed(counts: np.ndarray) -> np.ndarray:
    """Adds the counts of equal values, and sorts them by value."""
    counts = np.sort(counts)
    values = counts >> np.uint64(32)
    first = np.flatnonzero(np.diff(values, prepend=values[:1] + np.uint64(1)))
    if not len(first):
        return counts
    sums = np.add.reduceat(counts & np.uint64(2**32 - 1), first)
    return values[first] << np.uint64(32) | sums
