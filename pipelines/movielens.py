"""MovieLens 1M: reads the ratings as interactions and splits them by user.

Every rating counts, whatever its value: DSL applies no threshold.
"""

import io
import os
import pathlib

import numpy as np

from data import fetch
from data.errors import DataError
from pipelines import fold_in, id_pairs

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
    path = _file(pathlib.Path(folder))
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
    again = id_pairs.repeated(users * (_MAX_MOVIE + 1) + movies)
    if again.any():
        line = int(np.argmax(again))
        raise DataError(
            f"{path}, line {line + 1}: user {users[line]} rated movie {movies[line]} in an "
            f"earlier line already; {_REMEDY}"
        )
    return users.astype(np.int32), movies.astype(np.int32)


def load_ml1m(
    data_dir: str | os.PathLike[str] | None = None, in_order: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Finds, reads and checks MovieLens 1M; returns what `read_ml1m` does.

    Args:
        data_dir: Directory that contains the folder `ml-1m`; without it the data set is taken
            from the cache, or downloaded (see `data.fetch.locate`).
        in_order: Whether the order of its lines counts, and is checked too.

    Raises:
        DataError: If it cannot be found, downloaded or read, or is not what the catalogue knows.
    """
    folder = fetch.locate("ml-1m", data_dir)
    users, items = read_ml1m(folder)
    lines = np.arange(1, len(users) + 1)
    id_pairs.check_content(
        _file(folder), id_pairs.Pairs(users, items, lines, len(users)), "ml-1m", ""
    )
    if in_order:
        id_pairs.check_order(folder, (users, items), "ml-1m")
    return users, items


def load_fold_in(
    data_dir: str | os.PathLike[str] | None = None, seed: int = fold_in.SEED
) -> fold_in.FoldInSplit:
    """Reads it and holds 500 + 500 users out; see `load_ml1m` and `fold_in.split`."""
    return fold_in.split(*load_ml1m(data_dir), seed=seed)


def _file(folder: pathlib.Path) -> pathlib.Path:
    path = next((folder / name for name in _COLUMNS if (folder / name).is_file()), None)
    if path is None:
        raise DataError(f"{folder} has no file {' or '.join(_COLUMNS)}; {_REMEDY}")
    return path


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
