"""Readers of the usual text formats of pairs of ids.

Each refuses a damaged file with one line that names file and line; `id_pairs.check_content` then
compares what was read with what the catalogue knows.
"""

import pathlib

import numpy as np

from data.errors import DataError
from pipelines import id_pairs, integers
from pipelines.id_pairs import Pairs
from pipelines.integers import REMEDY


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
    again = id_pairs.repeated(owners)
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
    id_pairs.check_lines(path, table.n_lines, n_users, "user")
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
    again = id_pairs.repeated(users * np.int64(n_items) + items)
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
