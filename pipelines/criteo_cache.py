"""The cache of Criteo's text: a folder with a file of blocks for each day, made in parallel."""

import contextlib
import functools
import os
import pathlib
import platform
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from data.errors import DataError
from pipelines import files, text_ranges, vocabularies
from pipelines.clicks import transform_integers
from pipelines.criteo_text import N_DENSE, N_FIELDS, BadLines, parse_chunks
from pipelines.id_pairs import check_lines
from pipelines.integers import REMEDY
from pipelines.stored_clicks import BlockWriter, StoredClicks, pack
from pipelines.text_ranges import Range, Threads


class Cache(NamedTuple):
    """What a cache holds.

    Attributes:
        days: The rows of each day.
        table_rows: Rows of each categorical field's table.
        bad_lines: How many lines were left out.
        first_bad_line: (line, reason) of the first of them, from 0; None where there is none.
    """

    days: list[StoredClicks]
    table_rows: tuple[int, ...]
    bad_lines: int
    first_bad_line: tuple[int, str] | None


def read(folder: pathlib.Path, made_from: dict[str, Any]) -> Cache | None:
    """Returns a cache; None where there is none, of something else, or damaged.

    Args:
        folder: the cache.
        made_from: all that decides its content, as JSON has it.
    """
    try:
        made = files.read_record(folder / "made.json")
        if made is None or made["made_from"] != made_from:
            return None
        days = [
            StoredClicks.open(folder / _day_file(day), n_rows, N_DENSE, N_FIELDS)
            for day, n_rows in enumerate(made["rows"])
        ]
        return Cache(days, tuple(made["table_rows"]), made["bad_lines"], made["first_bad_line"])
    except (DataError, KeyError):  # damaged, or of another version
        return None


def make(
    path: pathlib.Path,
    folder: pathlib.Path,
    made_from: dict[str, Any],
    day_starts: np.ndarray,
    bad_share: float,
    workers: int,
) -> None:
    """Parses the file into `folder`, which appears when it is complete.

    Args:
        path: the text.
        folder: the cache; what else was there is replaced.
        made_from: as for `read`; of its `parameters` are `vocabulary`, `max_rows`, `min_count`.
        day_starts: the line, from 0, with which each day begins, and how many lines there are.
        bad_share: up to which share of the lines bad ones are left out.
        workers: threads that parse.

    Raises:
        DataError: the file is empty or has another number of lines, or too many bad ones.
    """
    parameters, n_lines = made_from["parameters"], int(day_starts[-1])
    with _staging(folder) as staging, Threads(workers) as threads:
        ranges = text_ranges.cut(path, threads)
        if not ranges[-1].next_line:
            raise DataError(f"{path} is empty; {REMEDY}")
        check_lines(path, ranges[-1].next_line, n_lines, "row")
        part = staging / "part"
        part.mkdir()
        if parameters["vocabulary"] == "cut":
            bad = BadLines(path, bad_share, n_lines)
            counts = _count(ranges, int(day_starts[-2]), bad, threads)
            known = [
                vocabularies.frequent(field, parameters["max_rows"], parameters["min_count"])
                for field in counts
            ]
            np.savez(part / "vocabulary.npz", **{f"C{i}": v for i, v in enumerate(known, 1)})
            encode: vocabularies.Encode = vocabularies.Lookup(known)
            table_rows = [vocabularies.RARE + 1 + len(values) for values in known]
        else:
            encode = functools.partial(vocabularies.hashed, n_rows=parameters["max_rows"])
            table_rows = [parameters["max_rows"]] * N_FIELDS
        bad = BadLines(path, bad_share, n_lines)
        rows = _write(ranges, day_starts, bad, threads, encode, part)
        made = {"made_from": made_from, "rows": rows, "table_rows": table_rows}
        made |= {"bad_lines": bad.count, "first_bad_line": bad.first}
        files.write_record(part / "made.json", made)
        if folder.exists():  # made from something else, or damaged
            folder.rename(staging / "old")
        try:
            part.rename(folder)
        except OSError:
            # Another process may have made the same meanwhile; its cache serves as well.
            if read(folder, made_from) is None:
                raise


def remove_stale(folder: pathlib.Path) -> None:
    """Removes what killed processes of this computer left of making the cache."""
    for staging in folder.parent.glob(f".{folder.name}.{platform.node()}.*"):
        process = staging.name.split(".")[-2]
        if not pathlib.Path("/proc", process).exists():
            shutil.rmtree(staging, ignore_errors=True)  # another process may remove it as well


@contextlib.contextmanager
def _staging(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder named after this process that is removed in the end, for `remove_stale` to know."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside the cache, so that the last step is a rename within one file system.
    prefix = f".{folder.name}.{platform.node()}.{os.getpid()}."
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder.parent) as staging:
        yield pathlib.Path(staging)


def _write(
    ranges: list[Range],
    day_starts: np.ndarray,
    bad: BadLines,
    threads: Threads,
    encode: vocabularies.Encode,
    folder: pathlib.Path,
) -> list[int]:
    """Writes a file for each day into `folder` and returns the days' numbers of rows."""
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(BlockWriter(folder / _day_file(day)))
            for day in range(len(day_starts) - 1)
        ]
        results = threads.map(functools.partial(_encode_range, encode), ranges)
        for (rows, lines, bad_lines), at in zip(results, ranges, strict=True):
            bad.add(bad_lines, at.first_line, at.next_line)
            edges = np.searchsorted(at.first_line + lines, day_starts[1:-1])
            for writer, piece in zip(writers, np.split(rows, edges), strict=True):
                writer.write(piece)
        return [writer.n_rows for writer in writers]


def _encode_range(
    encode: vocabularies.Encode, at: Range
) -> tuple[np.ndarray, np.ndarray, list[tuple[int, str]]]:
    """Returns a range's good rows as they are written, their lines in it, and the bad ones."""
    rows, lines, bad = [], [], []
    for parsed in parse_chunks(at.read()):
        dense = transform_integers(parsed.integers)
        rows.append(pack(dense, encode(parsed.values, parsed.missing), parsed.labels))
        lines.append(parsed.lines)
        bad += parsed.bad
    return np.concatenate(rows), np.concatenate(lines), bad


def _count(ranges: list[Range], n_train: int, bad: BadLines, threads: Threads) -> list[np.ndarray]:
    """Returns how often each field's values occur in the first `n_train` lines."""
    ranges = [at for at in ranges if at.first_line < n_train]
    sums = [vocabularies.ValueCounts() for _ in range(N_FIELDS)]
    results = threads.map(functools.partial(_count_range, n_train), ranges)
    for (counts, bad_lines), at in zip(results, ranges, strict=True):
        bad.add(bad_lines, at.first_line, at.next_line)
        for field, field_counts in zip(sums, counts, strict=True):
            field.add(field_counts)
    return [field.total() for field in sums]


def _count_range(n_train: int, at: Range) -> tuple[list[np.ndarray], list[tuple[int, str]]]:
    """Returns each field's counts in the range's lines before `n_train`, and all its bad lines."""
    pieces, bad = [], []
    for parsed in parse_chunks(at.read()):
        counts = at.first_line + parsed.lines < n_train
        pieces.append((parsed.values[counts], parsed.missing[counts]))
        bad += parsed.bad
    values, missing = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
    counts = [vocabularies.count(values[~missing[:, i], i]) for i in range(N_FIELDS)]
    return counts, bad


def _day_file(day: int) -> str:
    return f"day{day}.tfrecord"
