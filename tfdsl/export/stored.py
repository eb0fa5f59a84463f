"""Packed weights inside a SavedModel: variables, and how TensorFlow computes with them.

Only operations that every TensorFlow server has, and none that XLA must compile: a server need not
have it. Which operations was found by timing them: to spread or number entries, `scatter_nd` and
`cumsum` take several times as long as what stands here.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from tfdsl.export.packing import Packed

Tensor: TypeAlias = tf.Tensor

# Rows of x times density, up to which a product goes entry by entry. Beyond, unpacking the weight,
# a cost that rows share, and multiplying it whole was faster on two cores, for kernels of
# 600 x 3,668 and 600 x 40,981 at densities of 0.01 to 0.2.
_BY_ENTRIES = 0.06


class Stored(tf.Module):
    """A packed weight, as variables; in its own dtype wherever it is read.

    Args:
        packed: the weight.
        name: of the weight, for its variables' names.
    """

    def __init__(self, packed: Packed, name: str) -> None:
        super().__init__()
        self.shape, self.size = packed.shape, packed.size
        self.weight_dtype = tf.as_dtype(packed.dtype)
        self.width, self.block = packed.width, packed.block
        self.arrays = {
            key: tf.Variable(array, trainable=False, name=f"{name}/{key}")
            for key, array in packed.arrays.items()
        }

    def value(self) -> Tensor:
        """Returns the weight, of its shape, zero off its mask."""
        return tf.cast(self.arrays["values"], self.weight_dtype)

    def rows(self, ids: Tensor) -> Tensor:
        """Returns the rows of a table that `ids`, integers of any shape, names."""
        return tf.cast(tf.gather(self.arrays["values"], ids), self.weight_dtype)

    def product(self, x: Tensor) -> Tensor:
        """Returns the product of x, (..., inputs), with the weight, (inputs, outputs)."""
        return tf.tensordot(x, tf.cast(self.value(), x.dtype), 1)


class StoredRows(Stored):
    """A weight as its rows' active entries and their columns."""

    def __init__(self, packed: Packed, name: str) -> None:
        super().__init__(packed, name)
        longest = int(np.diff(packed.pattern()[0]).max(initial=0))
        self._power = (max(longest, self.width, 1) - 1).bit_length()

    def value(self) -> Tensor:
        """Returns the weight, of its shape, zero off its mask."""
        return tf.reshape(_spread(self._values(), self._places(), self.size), self.shape)

    def rows(self, ids: Tensor) -> Tensor:
        """Returns the rows of a table that `ids`, integers of any shape, names."""

        def values(entries: Tensor) -> Tensor:
            return tf.cast(tf.gather(self.arrays["values"], entries), self.weight_dtype)

        return self._looked_up(ids, values)

    def marks(self, ids: Tensor) -> Tensor:
        """Returns which entries the rows have, bool; of a pattern."""
        return self._looked_up(ids, lambda entries: tf.ones_like(entries, tf.bool))

    def _looked_up(self, ids: Tensor, values: Callable[[Tensor], Tensor]) -> Tensor:
        flat = tf.cast(tf.reshape(ids, [-1]), tf.int64)
        starts, ends = tf.unstack(self._starts(tf.stack([flat, flat + 1])))
        entries = _ranges(starts, ends)
        columns = tf.cast(tf.gather(self.arrays["columns"], entries), tf.int64)
        places = self._multiples(ends - starts) + columns
        table = _spread(values(entries), places, tf.size(flat, tf.int64) * self.width)
        return tf.reshape(table, tf.concat([tf.shape(ids), [self.width]], axis=0))

    def product(self, x: Tensor) -> Tensor:
        """Returns the product of x, (..., inputs), with the weight, (inputs, outputs)."""
        inputs, outputs = self.shape
        few = int(_BY_ENTRIES * self.size / max(self.arrays["values"].shape[0], 1))
        if not few or x.dtype not in (tf.float32, tf.float64):
            return super().product(x)
        matrix = tf.reshape(x, [-1, inputs])

        def by_entries() -> Tensor:
            places = self._places()
            # A half more keeps rounding off; integers would be divided one by one.
            rows = tf.cast((tf.cast(places, tf.float64) + 0.5) / outputs, tf.int64)
            at = tf.stack([rows, places - rows * outputs], axis=1)
            product = tf.raw_ops.SparseTensorDenseMatMul(
                a_indices=at,
                a_values=tf.cast(self._values(), x.dtype),
                a_shape=tf.constant(self.shape, tf.int64),
                b=matrix,
                adjoint_a=True,
                adjoint_b=True,
            )
            return tf.transpose(product)

        product = tf.cond(
            tf.shape(matrix)[0] <= few,
            by_entries,
            lambda: tf.matmul(matrix, tf.cast(self.value(), x.dtype)),
        )
        return tf.reshape(product, tf.concat([tf.shape(x)[:-1], [outputs]], axis=0))

    def coordinates(self) -> Tensor:
        """Returns row and column of every entry, int64 (entries, 2)."""
        return tf.stack([self._rows() // self.width, self._columns()], axis=1)

    def _values(self) -> Tensor:
        return tf.cast(self.arrays["values"], self.weight_dtype)

    def _places(self) -> Tensor:
        """Returns the place of every entry in the flat weight."""
        return self._rows() + self._columns()

    def _rows(self) -> Tensor:
        """Returns where the row of every entry begins in the flat weight."""
        n_rows = self.arrays["offsets"].shape[0] - 1
        starts = self._starts(tf.range(n_rows + 1, dtype=tf.int64))
        return self._multiples(starts[1:] - starts[:-1])

    def _multiples(self, counts: Tensor) -> Tensor:
        """Returns `row * width` as often as a row counts, row by row."""
        # Ranges far enough from each other that their higher bits are the row.
        step = 1 << self._power
        firsts = tf.range(0, tf.size(counts, tf.int64) * step, step)
        each = _ranges(firsts, firsts + counts)
        if self.width == step:
            return tf.bitwise.bitwise_and(each, np.int64(-step))
        return tf.bitwise.right_shift(each, np.int64(self._power)) * self.width

    def _columns(self) -> Tensor:
        return tf.cast(self.arrays["columns"], tf.int64)

    def _starts(self, rows: Tensor) -> Tensor:
        """Returns where in the entries some rows start; the row after the last one is the end."""
        blocks = tf.bitwise.right_shift(rows, np.int64(self.block.bit_length() - 1))
        bases = tf.gather(self.arrays["bases"], blocks)
        offsets = tf.gather(self.arrays["offsets"], rows)
        return tf.cast(bases, tf.int64) + tf.cast(offsets, tf.int64)


class StoredBitmap(Stored):
    """A weight as its active entries and one bit an entry."""

    def value(self) -> Tensor:
        """Returns the weight, of its shape, zero off its mask."""
        is_active = tf.gather(tf.constant(_BITS, tf.bool), tf.cast(self.arrays["bits"], tf.int32))
        places = tf.where(tf.reshape(is_active, [-1])[: self.size])[:, 0]
        values = tf.cast(self.arrays["values"], self.weight_dtype)
        return tf.reshape(_spread(values, places, self.size), self.shape)

    def rows(self, ids: Tensor) -> Tensor:
        """Returns the rows of a table that `ids`, integers of any shape, names."""
        return tf.gather(self.value(), ids)


_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")


def store(packed: Packed, name: str) -> Stored:
    """Returns a packed weight as variables."""
    kinds = {"whole": Stored, "rows": StoredRows, "bitmap": StoredBitmap}
    return kinds[packed.form](packed, name)


def _ranges(starts: Tensor, ends: Tensor) -> Tensor:
    """Returns the numbers from each start to its end, one range after the other."""
    one = tf.ones([], starts.dtype)
    return tf.raw_ops.RaggedRange(starts=starts, limits=ends, deltas=one).rt_dense_values


def _spread(values: Tensor, places: Tensor, n: int | Tensor) -> Tensor:
    """Returns n entries, zero but for the values, which stand at their places."""
    return tf.raw_ops.SparseToDense(
        sparse_indices=places,
        output_shape=tf.reshape(tf.cast(n, tf.int64), [1]),
        sparse_values=values,
        default_value=tf.zeros([], values.dtype),
        validate_indices=False,
    )
