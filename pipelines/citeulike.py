"""CiteULike (citeulike-t): users' libraries of articles, for held-out users and leave-one-out."""

import os

from scipy import sparse

from data import catalog, fetch
from pipelines import fold_in, id_pairs, interactions, leave_one_out, pair_files
from pipelines.fold_in import FoldInSplit
from pipelines.leave_one_out import LeaveOneOut

NAME = "citeulike-t"


def read(data_dir: str | os.PathLike[str] | None = None, in_order: bool = False) -> id_pairs.Pairs:
    """Finds, reads and checks `users.dat`; ids are the file's own.

    Args:
        data_dir: folder with the data sets' folders, or None for the cache.
        in_order: whether the order of a user's items counts, and is checked too.

    Raises:
        DataError: it cannot be found, downloaded or read, or is not what the catalogue knows.
    """
    path = fetch.locate(NAME, data_dir) / "users.dat"
    counts = catalog.get(NAME).counts
    pairs = pair_files.read_counted_rows(path, counts["users"], counts["items"])
    id_pairs.check_content(path, pairs, NAME, "")
    if in_order:
        id_pairs.check_order(path.parent, (pairs.users, pairs.items), NAME)
    return pairs


def load_fold_in(
    data_dir: str | os.PathLike[str] | None = None, seed: int = fold_in.SEED
) -> FoldInSplit:
    """Reads it and holds 500 + 500 users out; see `read` and `fold_in.split`."""
    pairs = read(data_dir)
    return fold_in.split(pairs.users, pairs.items, seed=seed)


def load_leave_one_out(data_dir: str | os.PathLike[str] | None = None) -> LeaveOneOut:
    """Reads it and leaves two items of every user out; see `read` and `leave_one_out.split_off`.

    The data has no times: which items are left out is drawn.
    """
    counts = catalog.get(NAME).counts
    pairs = read(data_dir)
    had = interactions.to_matrix(pairs.users, pairs.items, (counts["users"], counts["items"]))
    rest, test = leave_one_out.split_off(had, seed=98765)
    train, validation = leave_one_out.split_off(rest, had, seed=98766)
    return LeaveOneOut(sparse.csr_array(train), validation, test)
