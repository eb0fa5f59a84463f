"""Who had what, as sparse rows: readers for the usual text formats, and splits within users.

Every reader refuses a damaged file with one line that names file and line; `check_content` compares
what was read with what the catalogue knows. That tells no more of a wrong line than which is the
last, where a file was cut short, so it comes after the checks that name the line.
"""

import dataclasses
import hashlib
import pathlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy import sparse

from data import catalog
from data.errors import DataError
from pipelines import integers
from pipelines.integers import REMEDY
from tfdsl.csr import check_csr


@dataclasses.dataclass(frozen=True, eq=False)
class Interactions:
    """Interactions of known users, split within each user; matrices are [users, items] ones.

    Attributes:
        train: What models are trained on.
        validation: What they are selected by; taken out of the training part.
        test: What is reported.
    """

    train: sparse.csr_array
    validation: sparse.csr_array
    test: sparse.csr_array

    @property
    def n_users(self) -> int:
        """Number of users, the height of every matrix."""
        return int(self.train.shape[0])

    @property
    def n_items(self) -> int:
        """Number of items, the width of every matrix."""
        return int(self.train.shape[1])

    @property
    def fitted(self) -> sparse.csr_array:
        """Training and validation together: what is not recommended again in the test."""
        return sparse.csr_array(self.train + self.validation)


class Pairs(NamedTuple):
    """(user, item) pairs in a file's order, int32 [pairs], and the line of each, from 1.

    `n_lines` is how many lines the file has: the last ones may be of users without items.
    """

    users: np.ndarray
    items: np.ndarray
    lines: np.ndarray
    n_lines: int


def read_adjacency(path: pathlib.Path, n_users: int, n_items: int) -> Pairs:
    """Reads LightGCN's format: a line a user, `user item item ...`.

    Raises:
        DataError: see `integers.read`; also an id out of range, a user on two lines, or an item
            twice on one.
    """
    table = integers.read(path)
    first = table.is_first
    owners = table.values[first]
    users = owners[table.lines - 1][~first]
    lines = table.lines[~first]
    pairs = _checked(path, users, table.values[~first], lines, table.n_lines, n_users, n_items)
    _refuse(path, owners >= n_users, np.arange(1, len(owners) + 1), "user", owners, n_users)
    again = repeated(owners)
    if again.any():
        line = int(np.argmax(again))
        raise DataError(
            f"{path}, line {line + 1}: user {owners[line]} has a line above already; {REMEDY}"
        )
    return pairs


def read_counted_rows(path: pathlib.Path, n_users: int, n_items: int) -> Pairs:
    """Reads CiteULike's format: line u is user u - 1's, `count item item ...`.

    Raises:
        DataError: see `integers.read`; also a count that is not that of the items on its line
            (such as on a line that was cut short), more or fewer lines than users, an id out of
            range, or an item twice.
    """
    table = integers.read(path)
    first = table.is_first
    counts = np.bincount(table.lines - 1, minlength=table.n_lines) - 1
    wrong = counts != table.values[first]
    if wrong.any():
        line = int(np.argmax(wrong))
        raise DataError(
            f"{path}, line {line + 1}: {counts[line]} items where the line's first number says "
            f"{table.values[first][line]}; {REMEDY}"
        )
    check_lines(path, table.n_lines, n_users, "user")
    lines = table.lines[~first]
    items = table.values[~first]
    return _checked(path, lines - 1, items, lines, table.n_lines, n_users, n_items)


def read_columns(path: pathlib.Path, n_columns: int, n_users: int, n_items: int) -> Pairs:
    """Reads NCF's rating format: `user item rating ...`, tabs between; the first two count.

    Args:
        path: the file.
        n_columns: how many columns every line has.
        n_users: user ids are below it.
        n_items: item ids are below it.

    Raises:
        DataError: see `integers.read`; also a line with more or fewer columns, an id out of
            range, or a pair that occurs twice.
    """
    table = integers.read(path)
    widths = np.bincount(table.lines - 1, minlength=table.n_lines)
    if (widths != n_columns).any():
        line = int(np.argmax(widths != n_columns))
        raise DataError(
            f"{path}, line {line + 1}: {widths[line]} columns, expected {n_columns}; {REMEDY}"
        )
    columns = table.values.reshape(table.n_lines, n_columns)
    lines = np.arange(1, table.n_lines + 1, dtype=np.int32)
    return _checked(path, columns[:, 0], columns[:, 1], lines, table.n_lines, n_users, n_items)


def hold_out(
    matrix: sparse.csr_array, share: float = 0.1, seed: int = 98765
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Takes a share of every user's items out, reproducibly from `seed`.

    Of a user's n items, in ascending order however they are stored, those with the smallest of n
    draws of `numpy.random.default_rng(seed).random` are taken; users draw one after the other.
    Taken are round(share * n) items (halves to the even number), at least one, so that users with
    few items count as much as others in what is chosen by them; but none of a user's only item,
    and none at all with a share of 0.

    Returns:
        What is left and what was taken, both of the matrix's shape.

    Raises:
        ValueError: the share is not in [0, 1), or the matrix is not CSR.
    """
    if not 0.0 <= share < 1.0:
        raise ValueError(f"`share` must be in [0, 1); received {share!r}.")
    check_csr("matrix", matrix)
    if not matrix.has_sorted_indices:
        matrix = matrix.sorted_indices()  # a copy
    draws = np.random.default_rng(seed).random(matrix.nnz)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((draws, rows))
    rank = np.empty(matrix.nnz, np.int64)
    rank[order] = np.arange(matrix.nnz)
    degrees = np.diff(matrix.indptr)
    least = np.minimum(degrees - 1, 1) if share else 0
    taken = rank - matrix.indptr[rows] < np.maximum(np.rint(share * degrees), least)[rows]
    return select(matrix, ~taken), select(matrix, taken)


def select(matrix: sparse.csr_array, chosen: np.ndarray) -> sparse.csr_array:
    """Returns the stored entries where `chosen`, bool [entries], as a matrix of the same shape."""
    before = np.concatenate([[0], np.cumsum(chosen)]).astype(matrix.indptr.dtype)
    content = (matrix.data[chosen], matrix.indices[chosen], before[matrix.indptr])
    return sparse.csr_array(content, shape=matrix.shape)


def to_matrix(
    users: np.ndarray, items: np.ndarray, shape: tuple[int, int] | None = None
) -> sparse.csr_array:
    """Returns pairs as a matrix of float32 ones, items ascending within each user.

    Without a shape it is as high and wide as the highest ids ask for.
    """
    matrix = sparse.csr_array((np.ones(len(users), np.float32), (users, items)), shape=shape)
    matrix.sort_indices()
    return matrix


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


def _checked(
    path: pathlib.Path,
    users: np.ndarray,
    items: np.ndarray,
    lines: np.ndarray,
    n_lines: int,
    n_users: int,
    n_items: int,
) -> Pairs:
    _refuse(path, users >= n_users, lines, "user", users, n_users)
    _refuse(path, items >= n_items, lines, "item", items, n_items)
    again = repeated(users * np.int64(n_items) + items)
    if again.any():
        place = int(np.argmax(again))
        raise DataError(
            f"{path}, line {lines[place]}: user {users[place]} has item {items[place]} twice; "
            f"{REMEDY}"
        )
    return Pairs(users.astype(np.int32), items.astype(np.int32), lines, n_lines)


def _refuse(
    path: pathlib.Path,
    wrong: np.ndarray,
    lines: np.ndarray,
    what: str,
    ids: np.ndarray,
    limit: int,
) -> None:
    if wrong.any():
        place = int(np.argmax(wrong))
        raise DataError(
            f"{path}, line {lines[place]}: {what} {ids[place]} is not in 0..{limit - 1}; {REMEDY}"
        )


def repeated(keys: np.ndarray) -> np.ndarray:
    """Says of each key, [keys], whether it occurred before; bool [keys]."""
    again = np.ones(len(keys), bool)
    again[np.unique(keys, return_index=True)[1]] = False
    return again
