"""MovieLens 1M as NCF split it: each user's last item by time is the test, with 99 negatives.

Reference: He et al., 2017, "Neural Collaborative Filtering", WWW, arXiv 1708.05031.
"""

import os
import pathlib

import numpy as np
from scipy import sparse

from data import catalog, fetch
from data.errors import DataError
from pipelines import id_pairs, integers, interactions, leave_one_out, pair_files
from pipelines.integers import REMEDY
from pipelines.leave_one_out import N_NEGATIVES, Candidates, LeaveOneOut

NAME = "ml-1m-ncf"
# The second is the first without its last column, the timestamp; some mirrors carry only that.
_TRAIN = {"ml-1m.train.rating": 4, "ml-1m.train.rating.notime": 3}


def load(data_dir: str | os.PathLike[str] | None = None) -> LeaveOneOut:
    """Finds, reads and checks the split.

    The item to select the model by is drawn from each user's training items by
    `leave_one_out.split_off`, since one form of the training file has no times.

    Args:
        data_dir: folder with the data sets' folders, or None for the cache.

    Raises:
        DataError: it cannot be found, downloaded or read, a test pair is a training pair too, a
            negative is an item the user has, or it is not what the catalogue knows.
    """
    folder = fetch.locate(NAME, data_dir)
    counts = catalog.get(NAME).counts
    shape = (counts["users"], counts["items"])
    path = next((folder / name for name in _TRAIN if (folder / name).is_file()), None)
    if path is None:
        raise DataError(f"{folder} has no file {' or '.join(_TRAIN)}; {REMEDY}")
    train = pair_files.read_columns(path, _TRAIN[path.name], *shape)
    test_path = folder / "ml-1m.test.rating"
    test = pair_files.read_columns(test_path, 4, *shape)
    # First, since it names the line: such a pair is also none that the catalogue knows.
    id_pairs.refuse_overlap(test_path, train, test, shape[1])
    id_pairs.check_content(path, train, NAME, "train")
    id_pairs.check_content(test_path, test, NAME, "test")
    matrix = interactions.to_matrix(train.users, train.items, shape)
    negatives = _negatives(folder / "ml-1m.test.negative", train, test, shape[1])
    asked = Candidates(test.users, np.concatenate([test.items[:, None], negatives], axis=1))
    had = sparse.csr_array(matrix + interactions.to_matrix(test.users, test.items, shape))
    left, validation = leave_one_out.split_off(matrix, had)
    return LeaveOneOut(left, validation, asked)


def _negatives(
    path: pathlib.Path, train: id_pairs.Pairs, test: id_pairs.Pairs, n_items: int
) -> np.ndarray:
    """Reads lines `(user,item) negative negative ...`, one a line of the test file.

    In NCF's own file 156 lines list the test item itself among the negatives; whoever ranks them
    counts it once.
    """
    table = integers.read(path, ignored=b"(,)")
    widths = np.bincount(table.lines - 1, minlength=table.n_lines)
    expected = 2 + N_NEGATIVES
    if (widths != expected).any():
        line = int(np.argmax(widths != expected))
        raise DataError(
            f"{path}, line {line + 1}: {widths[line]} numbers, expected {expected}: "
            f"(user,item) and {N_NEGATIVES} negatives; {REMEDY}"
        )
    rows = table.values.reshape(-1, expected)
    id_pairs.check_lines(path, len(rows), len(test.users), "test pair")
    own = (rows[:, 0] == test.users) & (rows[:, 1] == test.items)
    if not own.all():
        line = int(np.argmin(own))
        raise DataError(
            f"{path}, line {line + 1}: ({rows[line, 0]},{rows[line, 1]}) is not that line's test "
            f"pair ({test.users[line]},{test.items[line]}); {REMEDY}"
        )
    users = np.repeat(test.users, N_NEGATIVES)
    lines = np.repeat(np.arange(1, len(rows) + 1), N_NEGATIVES)
    items = rows[:, 2:].ravel()
    if (items >= n_items).any():
        place = int(np.argmax(items >= n_items))
        raise DataError(
            f"{path}, line {lines[place]}: item {items[place]} is not in 0..{n_items - 1}; {REMEDY}"
        )
    pairs = id_pairs.Pairs(users, items.astype(np.int32), lines, table.n_lines)
    id_pairs.refuse_overlap(path, train, pairs, n_items)
    id_pairs.check_content(path, pairs, NAME, "negative")
    return rows[:, 2:].astype(np.int32)
