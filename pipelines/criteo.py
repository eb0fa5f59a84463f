"""Criteo's Kaggle Display Advertising data: the text is parsed once, in parallel, into a cache.

Its lines are in order of time over seven days, but none says its day: days are equal parts by
number of lines, the first ones a line longer where seven does not divide it, as in DLRM's reference
script. What a line holds is in `criteo_text`.
"""

import os
import pathlib
import warnings
from typing import Any

import numpy as np

from data import catalog, fetch
from data.errors import DataError
from pipelines import criteo_cache
from pipelines.clicks import ClickData
from pipelines.criteo_text import N_DENSE, BadLines
from pipelines.integers import REMEDY
from tfdsl import checks

NAME = "criteo-kaggle"
FILE = "train.txt"
N_DAYS = 7
VOCABULARIES = ("hash", "cut")
_FORMAT = 1  # of the cache: to be raised when what is written changes


def load(
    data_dir: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    vocabulary: str = "hash",
    max_rows: int = 100_000,
    min_count: int = 10,
    bad_share: float = 1e-4,
    workers: int | None = None,
) -> ClickData:
    """Returns the seven days, from the cache, which is made where there is none of this file.

    In both vocabularies id 0 means missing. "hash": every other value has the id
    1 + h % (max_rows - 1), see `vocabularies.hashed`. "cut": id 1 stands for the values that occur
    less than `min_count` times in the training days (all but the last); the others have ids from 2
    by falling count, ties by rising value, up to `max_rows` ids; those without one have id 1. The
    values in order of their ids are in the cache's `vocabulary.npz`, C1 to C26.

    Args:
        data_dir: directory with the folder `criteo-kaggle`; see `data.fetch.locate`.
        cache_dir: where the cache is; None for `cache` in the data set's folder. It holds a folder
            for each vocabulary, about 7.4 GB of the whole file.
        vocabulary: "hash" or "cut".
        max_rows: rows of each field's table with "hash", at most as many with "cut".
        min_count: see above.
        bad_share: bad lines are left out, with a warning, up to this share of all lines.
        workers: threads that parse; None for as many as there are cores. Results do not depend
            on it. Threads do, as NumPy lets others run while it works on arrays.

    Raises:
        DataError: the file is missing, empty, has fewer or more lines than the catalogue says, or
            more bad ones than `bad_share`. The message names the line.
        ValueError: an argument outside its range.
    """
    checks.choice("vocabulary", vocabulary, VOCABULARIES)
    checks.count("max_rows", max_rows, least=2)
    if max_rows > 2**31:
        raise ValueError(f"`max_rows` must be at most 2**31; received {max_rows}.")
    checks.count("min_count", min_count)
    if not 0.0 <= bad_share < 1.0:
        raise ValueError(f"`bad_share` must be in [0, 1); received {bad_share!r}.")
    workers = len(os.sched_getaffinity(0)) if workers is None else checks.count("workers", workers)
    path = fetch.locate(NAME, data_dir) / FILE
    if not path.is_file():
        raise DataError(f"{path} is missing; {REMEDY}")
    parameters: dict[str, Any] = {"vocabulary": vocabulary, "max_rows": max_rows}
    if vocabulary == "cut":
        parameters["min_count"] = min_count
    state = path.stat()
    source = {"name": FILE, "bytes": state.st_size, "mtime_ns": state.st_mtime_ns}
    made_from = {"source": source, "parameters": parameters, "format": _FORMAT}
    cache = pathlib.Path(cache_dir).expanduser() if cache_dir is not None else path.parent / "cache"
    folder = cache / "-".join(map(str, parameters.values()))
    starts = day_starts(catalog.get(NAME).counts["rows"])
    criteo_cache.remove_stale(folder)
    made = criteo_cache.read(folder, made_from)
    if made is None:
        criteo_cache.make(path, folder, made_from, starts, bad_share, workers)
        made = criteo_cache.read(folder, made_from)
    if made is None:
        raise DataError(f"{folder} was changed while it was read; delete it and load again")
    n_lines = int(starts[-1])
    bad = BadLines(path, bad_share, n_lines, made.bad_lines, made.first_bad_line)
    bad.check(n_lines)
    if bad.count:
        warnings.warn(f"{bad}; left out", stacklevel=2)
    return ClickData(made.days, made.table_rows, N_DENSE)


def day_starts(n_lines: int) -> np.ndarray:
    """Returns the line, from 0, with which each day begins, and `n_lines`; int64 [8]."""
    days = np.arange(N_DAYS + 1)
    return days * (n_lines // N_DAYS) + np.minimum(days, n_lines % N_DAYS)
