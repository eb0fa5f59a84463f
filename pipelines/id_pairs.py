"""Pairs of ids as a file has them, and whether they are those that the catalogue knows.

That compares the whole, and tells no more of a wrong line than which is the last, where a file was
cut short; so it comes after the checks that name the line, of the readers in `pair_files`.
"""

import hashlib
import pathlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from data import catalog
from data.errors import DataError
from pipelines.integers import REMEDY


class Pairs(NamedTuple):
    """(user, item) pairs in a file's order, int32 [pairs], and the line of each, from 1.

    `n_lines` is how many lines the file has: the last ones may be of users without items.
    """

    users: np.ndarray
    items: np.ndarray
    lines: np.ndarray
    n_lines: int


def check_lines(path: pathlib.Path, n_lines: int, expected: int, one_a: str) -> None:
    """Raises DataError unless the file has as many lines as expected, `one_a` thing each."""
    if n_lines < expected:
        raise DataError(
            f"{path}, line {n_lines}, is its last: expected {expected}, one a {one_a}: the file is "
            f"cut short or changed; {REMEDY}"
        )
    if n_lines > expected:
        raise DataError(
            f"{path}, line {expected + 1}: expected {expected} lines, one a {one_a}; {REMEDY}"
        )


def check_content(path: pathlib.Path, pairs: Pairs, name: str, part: str) -> None:
    """Raises DataError if the pairs are not those that the catalogue knows, in whatever order.

    The message names the last line, where a file that was cut short ends; with too many pairs it
    names none, since any may be the one too many.

    Args:
        path: the file they were read from.
        pairs: what was read.
        name: key of the catalogue.
        part: which of the data set's parts it is: "train", "test", or "" for all there is.
    """
    entry = catalog.get(name)
    what = f"{part}_interactions" if part else "interactions"
    count, expected = len(pairs.users), entry.counts[what]
    if count < expected:
        raise DataError(
            f"{path}, line {pairs.n_lines}, is its last: it has {count} interactions, the official "
            f"{name} has {expected}: the file is cut short or changed; {REMEDY}"
        )
    if count > expected:
        raise DataError(
            f"{path} has {count} interactions, the official {name} has {expected}: lines or items "
            f"were added to the file; {REMEDY}"
        )
    known = entry.pairs_sha256.get(part)
    if known is not None and digest(pairs) != known:
        raise DataError(
            f"{path} has other interactions than the official {name}: a number in it is changed, "
            f"or its last, on line {pairs.n_lines}, is cut short; {REMEDY}"
        )


def check_order(folder: pathlib.Path, arrays: Iterable[np.ndarray], name: str) -> None:
    """Raises DataError if a reader's arrays are not those that the catalogue knows, in their order.

    Args:
        folder: where they were read from.
        arrays: what was read.
        name: key of the catalogue.
    """
    known = catalog.get(name).content_sha256
    if known is not None and digest_of(arrays) != known:
        raise DataError(
            f"{folder} has other numbers than the official {name}, or in another order: a file is "
            f"changed; {REMEDY}"
        )


def digest_of(arrays: Iterable[np.ndarray]) -> str:
    """Returns the SHA-256 of numbers, little-endian, array after array."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    return found.hexdigest()


def digest(pairs: Pairs) -> str:
    """Returns the SHA-256 of the pairs, little-endian int32, sorted by user, then item."""
    order = np.lexsort((pairs.items, pairs.users))
    table = np.stack([pairs.users[order], pairs.items[order]], axis=1)
    return digest_of([table.astype(np.int32)])


def refuse_overlap(path: pathlib.Path, train: Pairs, test: Pairs, n_items: int) -> None:
    """Raises DataError if a pair of `test`, read from `path`, is one of `train`."""
    both = np.isin(*(p.users.astype(np.int64) * n_items + p.items for p in (test, train)))
    if both.any():
        place = int(np.argmax(both))
        raise DataError(
            f"{path}, line {test.lines[place]}: user {test.users[place]} has item "
            f"{test.items[place]} in the training part already; {REMEDY}"
        )


def repeated(keys: np.ndarray) -> np.ndarray:
    """Says of each key, [keys], whether it occurred before; bool [keys]."""
    again = np.ones(len(keys), bool)
    again[np.unique(keys, return_index=True)[1]] = False
    return again
