"""MovieLens 100K with times and profiles: who rated what and when, and what is known of both."""

import dataclasses
import os
import pathlib
import re

import numpy as np

from data.errors import DataError
from pipelines import id_pairs, integers
from pipelines.integers import REMEDY

_COLUMNS = ("user", "item", "rating", "timestamp")
_MAX_RATING = 5
# The data set's README: 19 September 1997 to 22 April 1998; a day more, for time zones.
_TIMES = (874_540_800, 893_376_000)
_OCCUPATIONS = (
    *("administrator", "artist", "doctor", "educator", "engineer", "entertainment", "executive"),
    *("healthcare", "homemaker", "lawyer", "librarian", "marketing", "none", "other"),
    *("programmer", "retired", "salesman", "scientist", "student", "technician", "writer"),
)
_USER = re.compile(r"(\d{1,3})\|([FM])\|(\w+)\|([0-9A-Z]{5})")
_USER_FIELDS = "id|age|gender|occupation|zip code of 5 characters"
_N_GENRES = 19
_ITEM = re.compile(
    rf"[^|]+\|(?:\d{{1,2}}-[A-Z][a-z][a-z]-(19\d\d))?\|[^|]*\|[^|]*((?:\|[01]){{{_N_GENRES}}})"
)
_ITEM_FIELDS = f"id|title|day-Mon-19xx or nothing|video date|URL, and {_N_GENRES} flags 0 or 1"

# Rows of the tables of gender, occupation, zip code's first character and decade of release; as in
# the tables of users and items, row 0 is for what is not known.
_N_ZIPS = 12
TABLE_ROWS = (3, len(_OCCUPATIONS) + 1, _N_ZIPS, 11)


@dataclasses.dataclass(frozen=True, eq=False)
class Ratings:
    """What the files hold, in their order; of the profiles, row i is that of id i, row 0 is zeros.

    Attributes:
        users: Ids from 1, int64 [ratings].
        items: Ids from 1, int64 [ratings].
        ratings: 1 to 5, int64 [ratings].
        times: Seconds since 1970, int64 [ratings].
        user_categories: Gender, occupation, first character of the zip code, int32 [users + 1, 3].
        user_numbers: Age, in decades from 35 years, float32 [users + 1, 1].
        item_categories: Decade of release, int32 [items + 1, 1].
        item_numbers: Year of release, in decades from 1990 (0 if unknown), and genres, float32
            [items + 1, 20].
    """

    users: np.ndarray
    items: np.ndarray
    ratings: np.ndarray
    times: np.ndarray
    user_categories: np.ndarray
    user_numbers: np.ndarray
    item_categories: np.ndarray
    item_numbers: np.ndarray


def read(folder: str | os.PathLike[str]) -> Ratings:
    """Reads `u.data`, `u.user` and `u.item`.

    Raises:
        DataError: If a file is missing, empty or cut short, or a line has another number of
            fields, a field that is no number where one belongs or is out of its range, a user or
            item that is not in the other files, or a (user, item) that occurred before. The
            message names the file and the line.
    """
    folder = pathlib.Path(folder)
    user_categories, user_numbers = _read_users(folder / "u.user")
    item_categories, item_numbers = _read_items(folder / "u.item")
    n_users, n_items = len(user_numbers) - 1, len(item_numbers) - 1
    columns = _read_ratings(folder / "u.data", n_users, n_items)
    return Ratings(*columns, user_categories, user_numbers, item_categories, item_numbers)


def _read_ratings(path: pathlib.Path, n_users: int, n_items: int) -> np.ndarray:
    """The file's columns, int64 [4, ratings]."""
    table = integers.read(path)
    widths = np.bincount(table.lines - 1, minlength=table.n_lines)
    if (widths != len(_COLUMNS)).any():
        line = int(np.argmax(widths != len(_COLUMNS)))
        cut = " (the last: is the file cut short?)" if line + 1 == table.n_lines else ""
        raise DataError(
            f"{path}, line {line + 1}{cut}: {widths[line]} fields, expected {len(_COLUMNS)} "
            f"({' '.join(_COLUMNS)}); {REMEDY}"
        )
    columns = table.values.reshape(table.n_lines, len(_COLUMNS)).T
    ranges = ((1, n_users), (1, n_items), (1, _MAX_RATING), _TIMES)
    for name, column, (least, most) in zip(_COLUMNS, columns, ranges, strict=True):
        bad = (column < least) | (column > most)
        if bad.any():
            line = int(np.argmax(bad))
            raise DataError(
                f"{path}, line {line + 1}: {name} {column[line]} is not in {least}..{most}; "
                f"{REMEDY}"
            )
    users, items = columns[:2]
    again = id_pairs.repeated(users * (n_items + 1) + items)
    if again.any():
        line = int(np.argmax(again))
        raise DataError(
            f"{path}, line {line + 1}: user {users[line]} rated item {items[line]} in an earlier "
            f"line already; {REMEDY}"
        )
    return columns


def _read_users(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """`user_categories` and `user_numbers` of `Ratings`."""
    categories, numbers = [(0, 0, 0)], [(0.0,)]
    for number, (age, gender, occupation, zip_code) in _profiles(path, _USER, _USER_FIELDS):
        if occupation not in _OCCUPATIONS:
            raise DataError(f"{path}, line {number}: unknown occupation {occupation!r}; {REMEDY}")
        place = int(zip_code[0]) + 1 if zip_code[0].isdigit() else _N_ZIPS - 1  # not in the US
        categories.append(("FM".index(gender) + 1, _OCCUPATIONS.index(occupation) + 1, place))
        numbers.append(((int(age) - 35) / 10,))
    return np.array(categories, np.int32), np.array(numbers, np.float32)


def _read_items(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """`item_categories` and `item_numbers` of `Ratings`."""
    categories, numbers = [(0,)], [(0.0,) * (1 + _N_GENRES)]
    for _, (year, flags) in _profiles(path, _ITEM, _ITEM_FIELDS):
        categories.append(((int(year) - 1900) // 10 + 1 if year else 0,))
        genres = (float(flag) for flag in flags[1:].split("|"))
        numbers.append(((int(year) - 1990) / 10 if year else 0.0, *genres))
    return np.array(categories, np.int32), np.array(numbers, np.float32)


def _profiles(
    path: pathlib.Path, pattern: re.Pattern[str], fields: str
) -> list[tuple[int, tuple[str, ...]]]:
    """Each line's number, which is the id it begins with, and what `pattern` found after it."""
    if not path.is_file():
        raise DataError(f"{path} is missing; {REMEDY}")
    text = path.read_text(encoding="latin-1")
    lines = text.removesuffix("\n").split("\n")
    profiles = []
    for number, line in enumerate(lines, start=1):
        first, _, rest = line.partition("|")
        found = pattern.fullmatch(rest)
        if first != str(number) or found is None:
            cut = " (the last: is the file cut short?)" if number == len(lines) else ""
            raise DataError(
                f"{path}, line {number}{cut}: {line[:80]!r} is not {fields}, with id {number}; "
                f"{REMEDY}"
            )
        profiles.append((number, found.groups()))
    return profiles
