"""Rows of clicks in TFRecord files: blocks of rows, written once and read in any order."""

import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from data.errors import DataError
from pipelines.clicks import Batch, Rows, permutation

BLOCK_ROWS = 1024  # rows a record
WINDOW_ROWS = 64 * BLOCK_ROWS  # rows shuffled together, from blocks all over the data
_FRAME = 16  # bytes that TFRecord adds to a record: its length and two checksums
_WORD = 4  # bytes a field


@dataclasses.dataclass(frozen=True, eq=False)
class StoredClicks(Rows):
    """Rows in files that `BlockWriter` wrote, read as they are needed.

    An epoch has the blocks in an order that its seed decides; of those rows every `WINDOW_ROWS`
    are one window, and are permuted as (seed, window) decides. So a batch has rows of up to 64
    places of the data, and to begin anywhere takes one window.

    Attributes:
        paths: The files.
        blocks: int64 [blocks, 4], for each its file, its byte there, the first of its rows that
            counts, and how many count.
        n_dense: How many numbers a row has.
        n_categorical: How many categories a row has.
    """

    paths: tuple[str, ...]
    blocks: np.ndarray
    n_dense: int
    n_categorical: int

    @classmethod
    def open(
        cls, path: pathlib.Path, n_rows: int, n_dense: int, n_categorical: int
    ) -> "StoredClicks":
        """Returns the rows of one file.

        Raises:
            DataError: there is no file of that many rows.
        """
        first = np.arange(0, n_rows, BLOCK_ROWS)
        counts = np.minimum(n_rows - first, BLOCK_ROWS)
        row_bytes = _WORD * (n_dense + n_categorical + 1)
        sizes = counts * row_bytes + _FRAME
        found = path.stat().st_size if path.is_file() else 0
        if found != sizes.sum() or not path.is_file():
            raise DataError(
                f"{path} has {found} bytes, expected {sizes.sum()} of {n_rows} rows; delete its "
                "folder, and it is made again"
            )
        zero = np.zeros_like(first)
        blocks = np.stack([zero, np.cumsum(sizes) - sizes, zero, counts], axis=1)
        return cls((str(path),), blocks, n_dense, n_categorical)

    def __len__(self) -> int:
        return int(self.blocks[:, 3].sum())

    def part(self, start: int, stop: int) -> "StoredClicks":
        """See `Rows`."""
        ends = np.cumsum(self.blocks[:, 3])
        begins = ends - self.blocks[:, 3]
        low, high = np.maximum(begins, start), np.minimum(ends, stop)
        blocks = self.blocks.copy()
        blocks[:, 2] += low - begins
        blocks[:, 3] = high - low
        return dataclasses.replace(self, blocks=blocks[high > low])

    def joined(self, others: Sequence["StoredClicks"]) -> "StoredClicks":
        """See `Rows`."""
        every = [self, *others]
        before = itertools.accumulate((len(rows.paths) for rows in every[:-1]), initial=0)
        blocks = [
            rows.blocks + np.array([n, 0, 0, 0]) for rows, n in zip(every, before, strict=True)
        ]
        paths = tuple(path for rows in every for path in rows.paths)
        return dataclasses.replace(self, paths=paths, blocks=np.concatenate(blocks))

    def in_order(self, start: tf.Tensor) -> tf.data.Dataset:
        """See `Rows`."""
        return self._rows(tf.range(len(self.blocks)), start)

    def epoch(self, seed: tf.Tensor, start: tf.Tensor) -> tf.data.Dataset:
        """See `Rows`."""
        first = start // WINDOW_ROWS
        order = permutation(len(self.blocks), seed, -1)
        windows = self._rows(order, first * WINDOW_ROWS).rebatch(WINDOW_ROWS)

        def permuted(number: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
            order = permutation(tf.shape(rows)[0], seed, number)
            seen = tf.where(number == first, start % WINDOW_ROWS, 0)
            return tf.gather(rows, order[seen:])

        return windows.enumerate(first).map(permuted, num_parallel_calls=2, deterministic=True)

    def columns(self) -> Callable[[tf.Tensor], Batch]:
        """See `Rows`."""

        def unpack(rows: tf.Tensor) -> Batch:
            dense, categorical, labels = tf.split(rows, [self.n_dense, self.n_categorical, 1], 1)
            return (tf.bitcast(dense, tf.float32), categorical), tf.bitcast(labels, tf.float32)

        return unpack

    @property
    def _words(self) -> int:
        return self.n_dense + self.n_categorical + 1

    def _rows(self, order: tf.Tensor, start: tf.Tensor) -> tf.data.Dataset:
        """Returns the blocks in `order` from their row `start` on, int32 [rows, words] each."""
        blocks = tf.gather(tf.constant(self.blocks), order)
        edges = tf.concat([[0], tf.cumsum(blocks[:, 3])], 0)
        first = tf.searchsorted(edges[1:], start[None], side="right")[0]
        seen = start - edges[first]
        begun = blocks[first : first + 1] + tf.stack([0, 0, seen, -seen])
        blocks = tf.concat([begun, blocks[first + 1 :]], 0)
        paths = tf.constant(self.paths)
        record = _FRAME + BLOCK_ROWS * self._words * _WORD

        def read(block: tf.Tensor) -> tf.data.Dataset:
            # The public class reads a file from its beginning; the operation below it from a byte.
            records = tf.raw_ops.TFRecordDatasetV2(
                filenames=paths[block[0]][None],
                compression_type="",
                buffer_size=record,
                byte_offsets=block[1][None],
                metadata="",
            )
            records = tf.data.experimental.from_variant(records, tf.TensorSpec([], tf.string))

            def decode(text: tf.Tensor) -> tf.Tensor:
                rows = tf.reshape(tf.io.decode_raw(text, tf.int32), [-1, self._words])
                return rows[block[2] : block[2] + block[3]]

            return records.take(1).map(decode)

        return tf.data.Dataset.from_tensor_slices(blocks).interleave(
            read, cycle_length=4, num_parallel_calls=2, deterministic=True
        )


class BlockWriter:
    """Writes rows into a TFRecord file, `BLOCK_ROWS` of them a record, as raw bytes.

    A row is its numbers, its ids and its label, 4 bytes each, little-endian, so that a record is
    decoded by one `tf.io.decode_raw`. To be used in `with`; the last record may be shorter.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._writer = tf.io.TFRecordWriter(str(path))
        self._rest: list[np.ndarray] = []
        self.n_rows = 0

    def __enter__(self) -> "BlockWriter":
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None and self._rest:
            self._records(np.concatenate(self._rest))
        self._writer.close()

    def write(self, rows: np.ndarray) -> None:
        """Writes what `pack` returned."""
        self.n_rows += len(rows)
        self._rest.append(rows)
        if sum(map(len, self._rest)) >= BLOCK_ROWS:
            rows = np.concatenate(self._rest)
            whole = len(rows) // BLOCK_ROWS * BLOCK_ROWS
            self._records(rows[:whole])
            self._rest = [rows[whole:]]

    def _records(self, rows: np.ndarray) -> None:
        for first in range(0, len(rows), BLOCK_ROWS):
            self._writer.write(rows[first : first + BLOCK_ROWS].astype("<i4").tobytes())


def pack(dense: np.ndarray, categorical: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns rows as `BlockWriter` takes them, int32 [rows, d + c + 1], floats by their bits."""
    numbers = [np.asarray(c, np.float32).view(np.int32) for c in (dense, labels[:, None])]
    return np.concatenate([numbers[0], categorical.astype(np.int32), numbers[1]], axis=1)
