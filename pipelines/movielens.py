"""MovieLens 1M: reads the ratings as interactions and splits them by user.

Every rating counts, whatever its value: DSL applies no threshold.
"""

import io
import os
import pathlib

import numpy as np

from data import catalog, fetch
from data.errors import DataError
from pipelines import fold_in, interactions

_MAX_USER = 6040  # ids as the data set's README gives them
_MAX_MOVIE = 3952
_MAX_RATING = 5
# The second is the first without its last column; some mirrors carry only that.
_COLUMNS = {
    "ratings.dat": ("user", "movie", "rating", "timestamp"),
    "ratings_without_timestamps.dat": ("user", "movie", "rating"),
}
_REMEDY = "get the data set again"


def read_ml1m(folder: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Reads `ratings.dat`, or `ratings_without_timestamps.dat` where that is missing.

    Returns:
        User ids (1 to 6040) and movie ids (1 to 3952), int32, one entry a rating, in the file's
        order.

    Raises:
        DataError: If there is neither file, or the file is empty, cut short, or has a line with
            a field that is no whole number, an id or rating out of range, or a (user, movie)
            that occurred before. The message names the file and the line.
    """
    folder = pathlib.Path(folder)
    path = next((folder / name for name in _COLUMNS if (folder / name).is_file()), None)
    if path is None:
        raise DataError(f"{folder} has no file {' or '.join(_COLUMNS)}; {_REMEDY}")
    columns = _COLUMNS[path.name]
    table = _parse(path, columns)
    for column, largest in enumerate((_MAX_USER, _MAX_MOVIE, _MAX_RATING)):
        bad = (table[:, column] < 1) | (table[:, column] > largest)
        if bad.any():
            line = int(np.argmax(bad))
            raise DataError(
                f"{path}, line {line + 1}: {columns[column]} {table[line, column]} is not in "
                f"1..{largest}; {_REMEDY}"
            )
    users, movies = table[:, 0], table[:, 1]
    again = interactions.repeated(users * (_MAX_MOVIE + 1) + movies)
    if again.any():
        line = int(np.argmax(again))
        raise DataError(
            f"{path}, line {line + 1}: user {users[line]} rated movie {movies[line]} in an "
            f"earlier line already; {_REMEDY}"
        )
    return users.astype(np.int32), movies.astype(np.int32)


def load_ml1m(data_dir: str | os.PathLike[str] | None = None) -> fold_in.FoldInSplit:
    """Finds, reads, counts and splits MovieLens 1M: 5,040 training users, 500 + 500 held out.

    Args:
        data_dir: Directory that contains the folder `ml-1m`; without it the data set is taken
            from the cache, or downloaded (see `data.fetch.locate`).

    Raises:
        DataError: If it cannot be found, downloaded or read, or its counts are not those of the
            catalogue.
    """
    folder = fetch.locate("ml-1m", data_dir)
    users, items = read_ml1m(folder)
    expected = catalog.get("ml-1m").counts
    counts = {
        "interactions": len(users),
        "users": len(np.unique(users)),
        "items": len(np.unique(items)),
    }
    for what, count in counts.items():
        if count != expected[what]:
            raise DataError(
                f"{folder} has {count} {what}, the official MovieLens 1M has {expected[what]}: "
                f"the file is incomplete or changed; delete it and {_REMEDY}"
            )
    return fold_in.split(users, items)


def _parse(path: pathlib.Path, columns: tuple[str, ...]) -> np.ndarray:
    """The file as an int64 table with one row a line and one column a name in `columns`."""
    text = path.read_text(encoding="latin-1")
    if text.strip():  # loadtxt only warns of a file without numbers
        try:
            table = np.loadtxt(
                io.StringIO(text.replace("::", "\t")),
                dtype=np.int64,
                delimiter="\t",
                comments=None,
                ndmin=2,
            )
        except ValueError:
            raise DataError(_fault(path, text, columns)) from None
        # loadtxt skips empty lines, which would shift the line numbers of later messages.
        n_lines = text.count("\n") + (not text.endswith("\n"))
        if table.shape == (n_lines, len(columns)):
            return table
    raise DataError(_fault(path, text, columns))


def _fault(path: pathlib.Path, text: str, columns: tuple[str, ...]) -> str:
    """Says what is wrong with the first bad line; slow, so only called when there is one."""
    lines = text.removesuffix("\n").split("\n")
    for number, line in enumerate(lines, start=1):
        fields = line.split("::")
        if len(fields) != len(columns):
            cut = " (the last: is the file cut short?)" if number == len(lines) else ""
            return (
                f"{path}, line {number}{cut}: {line[:80]!r} has {len(fields)} fields, expected "
                f"{len(columns)} ({'::'.join(columns)}); {_REMEDY}"
            )
        for name, field in zip(columns, fields, strict=True):
            # Longer ones do not fit into int64.
            if not (field.isascii() and field.isdigit() and len(field) < 19):
                return (
                    f"{path}, line {number}: {name} {field[:80]!r} is no whole number of fewer "
                    f"than 19 digits; {_REMEDY}"
                )
    return f"{path} cannot be read as {'::'.join(columns)}; {_REMEDY}"
