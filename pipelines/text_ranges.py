"""A large text file by ranges of whole lines, which threads work on at the same time."""

import collections
import concurrent.futures
import itertools
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

RANGE_BYTES = 1 << 22  # of a range: bounds memory


class Range(NamedTuple):
    """Whole lines of a file.

    Attributes:
        path: The file.
        start: Its first byte.
        stop: The byte after its last.
        first_line: Its first line, from 0.
        next_line: The line after its last.
    """

    path: pathlib.Path
    start: int
    stop: int
    first_line: int
    next_line: int

    def read(self) -> bytes:
        """Returns its text, with a line end after the file's last line too."""
        return _read(self.path, self.start, self.stop)


class Threads:
    """Threads that do jobs, to be used in `with`.

    Args:
        workers: how many.
    """

    def __init__(self, workers: int) -> None:
        self._pool = concurrent.futures.ThreadPoolExecutor(workers)
        self._ahead = 2 * workers

    def __enter__(self) -> "Threads":
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def map(self, job: Callable[..., Any], tasks: Iterable[Any]) -> Iterator[Any]:
        """Yields the results in the order of the tasks; few wait at a time, to bound memory."""
        waiting: collections.deque[concurrent.futures.Future[Any]] = collections.deque()
        for task in tasks:
            waiting.append(self._pool.submit(job, task))
            if len(waiting) > self._ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def cut(path: pathlib.Path, threads: Threads) -> list[Range]:
    """Returns the file's ranges, which end where a line ends.

    A line longer than `RANGE_BYTES` is taken for several.
    """
    size, edges = path.stat().st_size, [0]
    with path.open("rb") as file:
        for place in range(RANGE_BYTES, size, RANGE_BYTES):
            file.seek(place - 1)
            file.readline(RANGE_BYTES)  # bounded, as what is no text may have no line ends
            if edges[-1] < file.tell() < size:
                edges.append(file.tell())
    spans = list(itertools.pairwise([*edges, size]))
    counts = threads.map(lambda span: _read(path, *span).count(b"\n"), spans)
    lines = itertools.pairwise([0, *itertools.accumulate(counts)])
    return [Range(path, *span, *at) for span, at in zip(spans, lines, strict=True)]


def _read(path: pathlib.Path, start: int, stop: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        text = file.read(stop - start)
    return text if text.endswith(b"\n") or not text else text + b"\n"
