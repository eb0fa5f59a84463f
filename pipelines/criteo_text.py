"""Criteo's text: many lines are parsed at once, bad ones are found and named.

A line has 40 columns with tabs between: the label (0 or 1), 13 whole numbers, 26 categories of 8
lowercase hexadecimal digits; numbers and categories may be missing (an empty field).
"""

import pathlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from data.errors import DataError
from pipelines.integers import REMEDY

N_DENSE, N_FIELDS = 13, 26
CHUNK_BYTES = 1 << 19  # parsed at once: what NumPy makes of them stays in a processor's cache
_N_COLUMNS = 1 + N_DENSE + N_FIELDS
_SPACE = 8  # bytes before a chunk, so that the 8 bytes before any place can be read
_INTEGER = re.compile(rb"-?[0-9]{1,18}")  # more digits may not fit into int64
_CATEGORY = re.compile(rb"[0-9a-f]{8}")
# By number of digits: which bytes of a little-endian word are its last ones.
_LAST_BYTES = np.array([2**64 - 2 ** (64 - 8 * n) for n in range(9)], np.uint64)


class Parsed(NamedTuple):
    """The good lines of a piece of text, and the bad ones.

    Attributes:
        labels: uint8 [rows], 0 or 1.
        integers: float64 [rows, 13], NaN where missing.
        values: uint32 [rows, 26], 0 where missing.
        missing: bool [rows, 26], of `values`.
        lines: int64 [rows], which line of the text each is, from 0.
        bad: (line, reason) of each line that is none.
    """

    labels: np.ndarray
    integers: np.ndarray
    values: np.ndarray
    missing: np.ndarray
    lines: np.ndarray
    bad: list[tuple[int, str]]


def parse(text: bytes) -> Parsed:
    """Parses whole lines, the last with its line end; LF and CRLF are the same.

    All lines at once by arithmetic on words of 8 characters; one that is not confirmed so is read
    again by itself, which says what is wrong with it or that nothing is.
    """
    padded = np.frombuffer(b"\0" * _SPACE + text, np.uint8)
    plain = padded[_SPACE:]
    separators = np.flatnonzero(plain < ord("\n") + 1)  # tab is 9, line end is 10
    kinds = plain[separators]
    is_end = kinds == ord("\n")
    line_ends = separators[is_end]
    line_starts = np.concatenate([[0], line_ends[:-1] + 1])
    n_lines = len(line_ends)
    even = len(separators) == n_lines * _N_COLUMNS and is_end[_N_COLUMNS - 1 :: _N_COLUMNS].all()
    wide = np.ones(n_lines, bool)
    if not even or (kinds < ord("\t")).any():
        line_of = np.cumsum(is_end) - is_end
        wide = np.bincount(line_of, minlength=n_lines) == _N_COLUMNS
        wide[line_of[kinds < ord("\t")]] = False
        separators = separators[wide[line_of]]
    ends = separators.reshape(-1, _N_COLUMNS)
    starts = np.empty_like(ends)
    starts[:, 0] = line_starts[wide]
    starts[:, 1:] = ends[:, :-1] + 1
    ends[:, -1] -= plain[ends[:, -1] - 1] == ord("\r")
    lengths = ends - starts

    labels = plain[starts[:, 0]] - ord("0")
    fine = (lengths[:, 0] == 1) & (labels < 2)
    # Places in one row: NumPy is four times as fast with it, and lets other threads run.
    words = np.ndarray(len(padded) - _SPACE + 1, "S8", padded, strides=1)[ends.ravel()]
    words = words.view("<u8").reshape(ends.shape)
    is_number, is_category = slice(1, 1 + N_DENSE), slice(1 + N_DENSE, None)
    numbers, good = _whole_numbers(
        words[:, is_number], lengths[:, is_number], plain[starts[:, is_number]] == ord("-")
    )
    fine &= good.all(axis=1)
    missing = lengths[:, is_category] == 0
    values, good = _hexadecimals(words[:, is_category])
    fine &= (missing | (good & (lengths[:, is_category] == 8))).all(axis=1)
    values[missing] = 0
    parsed = Parsed(labels, numbers, values, missing, np.flatnonzero(wide), [])
    if fine.all() and len(ends) == n_lines:
        return parsed
    good_lines = np.zeros(n_lines, bool)
    good_lines[parsed.lines[fine]] = True
    again = {
        int(line): _parse_line(text[line_starts[line] : line_ends[line]])
        for line in np.flatnonzero(~good_lines)
    }
    return _with(Parsed(*(array[fine] for array in parsed[:-1]), []), again)


def parse_chunks(text: bytes) -> Iterator[Parsed]:
    """Parses as `parse` does, by the chunk; lines count from the text's first."""
    at, before = 0, 0
    while at < len(text):
        end = text.rfind(b"\n", at, at + CHUNK_BYTES) + 1 or text.find(b"\n", at) + 1
        parsed = parse(text[at:end])
        bad = [(before + line, reason) for line, reason in parsed.bad]
        yield parsed._replace(lines=parsed.lines + before, bad=bad)
        at, before = end, before + len(parsed.lines) + len(bad)


class BadLines:
    """Counts bad lines and refuses the file when they are too many.

    Args:
        path: the file.
        share: how many are not too many, of all its lines.
        n_lines: how many lines it has.
        count: how many bad ones are known already.
        first: (line, reason) of the first of those, from 0.
    """

    def __init__(
        self,
        path: pathlib.Path,
        share: float,
        n_lines: int,
        count: int = 0,
        first: tuple[int, str] | None = None,
    ) -> None:
        self.path, self.share, self.n_lines = path, share, n_lines
        self.count, self.first = count, first

    def __str__(self) -> str:
        assert self.first is not None
        line, reason = self.first
        return (
            f"{self.path}, line {line + 1}: {reason}; {self.count} of {self.n_lines} lines are "
            f"bad, a share of {self.count / self.n_lines:.2g}"
        )

    def add(self, bad: list[tuple[int, str]], first_line: int, read: int) -> None:
        """Counts the bad lines of a range, numbered from its own first line.

        Args:
            bad: (line, reason) of each.
            first_line: the range's first line.
            read: the lines up to the range's end.

        Raises:
            DataError: they are too many.
        """
        if bad and self.first is None:
            self.first = (first_line + bad[0][0], bad[0][1])
        self.count += len(bad)
        self.check(read)

    def check(self, read: int) -> None:
        """Raises DataError where there are too many among the `read` lines so far."""
        if self.count > self.share * self.n_lines:
            where = "" if read == self.n_lines else f" within the first {read}"
            raise DataError(f"{self}{where}, more than bad_share={self.share:g}; {REMEDY}")


def _whole_numbers(
    words: np.ndarray, lengths: np.ndarray, negative: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Reads the number before each field's end, and says where it is one of up to 8 digits.

    Args:
        words: uint64 [rows, fields], the 8 characters before the end, the last one highest.
        lengths: characters of the field; NaN is returned for one without.
        negative: bool, whether it begins with a minus sign.
    """
    n_digits = lengths - negative
    digits = (words ^ _each(ord("0"))) & _LAST_BYTES[np.minimum(n_digits, 8)]
    # A digit plus 0x76 stays below 0x80.
    good = ((digits + _each(0x76)) | digits) & _each(0x80) == 0
    good &= (n_digits <= 8) & ((n_digits > 0) | (lengths == 0))
    numbers = _joined(digits, 10).astype(np.float64)
    np.negative(numbers, out=numbers, where=negative)
    numbers[lengths == 0] = np.nan
    return numbers, good


def _hexadecimals(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reads 8 lowercase hexadecimal digits, uint32, and says where there are such."""
    digits = (words & _each(0x0F)) + (words >> np.uint64(6) & _each(1)) * np.uint64(9)
    is_letter = (digits + _each(6)) >> np.uint64(4) & _each(1)
    # Spelled again they are the same only if they were such digits.
    spelled = digits + _each(ord("0")) + is_letter * np.uint64(ord("a") - ord("0") - 10)
    good = (spelled == words) & (digits & _each(0xF0) == 0)
    return _joined(digits, 16).astype(np.uint32), good


def _joined(digits: np.ndarray, base: int) -> np.ndarray:
    """Returns the number of 8 digits, a byte each, the first lowest: pairs, fours, all."""
    for bits, lanes in ((8, 0x00FF00FF00FF00FF), (16, 0x0000FFFF0000FFFF), (32, 0xFFFFFFFF)):
        times = np.uint64(base ** (bits // 8))
        digits = (digits * times + (digits >> np.uint64(bits))) & np.uint64(lanes)
    return digits


def _each(byte: int) -> np.uint64:
    """Returns a word of 8 times that byte."""
    return np.uint64(0x0101010101010101 * byte)


def _parse_line(line: bytes) -> tuple[Any, ...] | str:
    """Returns what `Parsed` has of a line, but for its number; or what is wrong with it."""
    fields = line.removesuffix(b"\r").split(b"\t")
    if len(fields) != _N_COLUMNS:
        return f"{len(fields)} columns, expected {_N_COLUMNS}"
    label, integers, categories = fields[0], fields[1 : 1 + N_DENSE], fields[1 + N_DENSE :]
    if label not in (b"0", b"1"):
        return f"label {_show(label)} is not 0 or 1"
    for i, field in enumerate(integers, 1):
        if field and not _INTEGER.fullmatch(field):
            return f"I{i} {_show(field)} is no whole number of at most 18 digits"
    for i, field in enumerate(categories, 1):
        if field and not _CATEGORY.fullmatch(field):
            return f"C{i} {_show(field)} is not 8 lowercase hexadecimal digits"
    numbers = [float(field) if field else np.nan for field in integers]
    values = [int(field or b"0", 16) for field in categories]
    return int(label), numbers, values, [not field for field in categories]


def _with(parsed: Parsed, again: dict[int, tuple[Any, ...] | str]) -> Parsed:
    """Puts lines that `_parse_line` has read among the others."""
    bad = [(line, row) for line, row in again.items() if isinstance(row, str)]
    odd = [(*row, line) for line, row in again.items() if not isinstance(row, str)]
    if not odd:
        return parsed._replace(bad=bad)
    lines = np.concatenate([parsed.lines, [row[-1] for row in odd]])
    order = np.argsort(lines)
    columns = zip(parsed[:-1], zip(*odd, strict=True), strict=True)
    return Parsed(*(np.concatenate([a, np.array(b, a.dtype)])[order] for a, b in columns), bad)


def _show(field: bytes) -> str:
    text = field.decode("latin-1")
    return repr(text if len(text) <= 40 else f"{text[:40]}...")
