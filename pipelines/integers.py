"""Text files of whole numbers, read by the block and vectorised; a bad one is refused by line."""

import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from data.errors import DataError

REMEDY = "get the data set again"
_BLOCK = 1 << 24  # bytes parsed at once: bounds memory
_MAX_DIGITS = 18  # more may not fit into int64
_SEPARATORS = b" \t\r"


class Integers(NamedTuple):
    """The numbers of a file in their order; `lines` says on which line each stands, from 1."""

    values: np.ndarray
    lines: np.ndarray
    n_lines: int

    @property
    def is_first(self) -> np.ndarray:
        """Which numbers are the first of their line, bool [numbers]."""
        return np.diff(self.lines, prepend=0) > 0


def read(path: pathlib.Path, ignored: bytes = b"") -> Integers:
    """Reads a file of non-negative whole numbers separated by blanks or tabs.

    Args:
        path: the file.
        ignored: other characters that may stand between numbers, such as b"(,)".

    Raises:
        DataError: the file is missing or empty, or holds anything else than digits, blanks and
            line ends (so also a minus sign), an empty line, or a number of more than 18 digits.
            The message names file and line.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing; {REMEDY}")
    blank = bytes.maketrans(ignored, b" " * len(ignored))
    values, lines, n_lines = [], [], 0
    for block in _blocks(path):
        block_values, block_lines, block_n = _parse(path, block.translate(blank), n_lines)
        values.append(block_values)
        lines.append(block_lines)
        n_lines += block_n
    if not n_lines:
        raise DataError(f"{path} is empty; {REMEDY}")
    return Integers(np.concatenate(values), np.concatenate(lines), n_lines)


def _blocks(path: pathlib.Path) -> Iterator[bytes]:
    """Yields the file in pieces that end where a line ends."""
    with path.open("rb") as file:
        rest = b""
        while block := file.read(_BLOCK):
            end = block.rfind(b"\n") + 1
            if end:
                yield rest + block[:end]
                rest = block[end:]
            else:
                rest += block
        if rest:
            yield rest + b"\n"


def _parse(path: pathlib.Path, block: bytes, before: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Returns the block's numbers, their lines, and how many lines it has."""
    text = np.frombuffer(block, np.uint8)
    digit = (text >= ord("0")) & (text <= ord("9"))
    newline = text == ord("\n")
    other = ~(digit | newline | np.isin(text, np.frombuffer(_SEPARATORS, np.uint8)))
    # Where a number starts, and the place after its end; a block never starts inside one.
    edges = np.flatnonzero(np.diff(digit, prepend=False, append=False))
    starts, ends = edges[::2], edges[1::2]
    line_ends = np.flatnonzero(newline)
    if other.any():
        place = int(np.argmax(other))
    elif (ends - starts > _MAX_DIGITS).any():
        place = int(starts[np.argmax(ends - starts > _MAX_DIGITS)])
    else:
        lines = np.searchsorted(line_ends, starts)
        counts = np.bincount(lines, minlength=len(line_ends))
        if counts.all():
            values = np.fromstring(block, np.int64, sep=" ")
            return values, (lines + before + 1).astype(np.int32), len(line_ends)
        place = int(line_ends[np.argmin(counts)])
    number = int(np.searchsorted(line_ends, place))
    line = block[line_ends[number - 1] + 1 if number else 0 : line_ends[number]]
    raise DataError(
        f"{path}, line {before + number + 1}: {_show(line)} is not a line of non-negative whole "
        f"numbers of at most {_MAX_DIGITS} digits; {REMEDY}"
    )


def _show(line: bytes) -> str:
    text = line.decode("latin-1")
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
