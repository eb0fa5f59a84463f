"""Between whole rows of a table, and what is stored of them: values and columns, and bits."""

from typing import TypeAlias

import tensorflow as tf

from tfdsl import row_blocks

Tensor: TypeAlias = tf.Tensor


def spread(values: Tensor, columns: Tensor, width: int) -> Tensor:
    """Returns rows (..., width) with `values` (..., k) at `columns`, int32, and zeros elsewhere."""
    whole = tf.zeros([*values.shape[:-1], width], values.dtype) if not values.shape[-1] else None
    # Not a scatter, which is one entry after the other on a CPU and unordered on a GPU.
    for place in range(values.shape[-1]):
        hit = columns[..., place, None] == tf.range(width)
        part = tf.where(hit, values[..., place, None], tf.zeros([], values.dtype))
        whole = part if whole is None else whole + part
    return whole


def mask_from(columns: Tensor, width: int) -> Tensor:
    """Returns the mask (rows, width) that is true at `columns`, int32 (rows, n)."""
    return spread(tf.ones(columns.shape, tf.int32), columns, width) > 0


def ranked_columns(mask: Tensor, n: int) -> Tensor:
    """Returns the columns of the active entries of each row, int32 (rows, n), then the width."""
    width = mask.shape[1]
    rank = tf.where(mask, tf.cumsum(tf.cast(mask, tf.int32), axis=1), 0)
    places = [
        tf.reduce_min(tf.where(rank == place + 1, tf.range(width), width), axis=1)
        for place in range(n)
    ]
    return tf.stack(places, axis=1) if places else tf.zeros([mask.shape[0], 0], tf.int32)


def columns_of(mask: Tensor, n: int) -> Tensor:
    """Returns `ranked_columns`; of many rows a block at a time."""
    seed = tf.constant(0, tf.uint32)
    made: Tensor = row_blocks.apply(
        lambda parts, _: ranked_columns(parts[0], n), [mask], seed, tf.int32
    )
    return made


def taken(rows: Tensor, columns: Tensor) -> Tensor:
    """Returns the entries of rows (..., width) at `columns`; zero, or false, at the width."""
    width = rows.shape[-1]
    batch_dims = columns.shape.rank - 1
    found = tf.gather(rows, tf.minimum(columns, width - 1), batch_dims=batch_dims)
    return tf.where(columns < width, found, tf.zeros([], rows.dtype))


def bits_of(packed: Tensor, width: int) -> Tensor:
    """Returns the first bits of each row of bytes, lowest first, as booleans (rows, width)."""
    powers = tf.constant([1 << bit for bit in range(8)], tf.uint8)
    bits = tf.bitwise.bitwise_and(packed[:, :, None], powers) > 0
    return tf.reshape(bits, [packed.shape[0], -1])[:, :width]


def with_bits(packed: Tensor, mask: Tensor) -> Tensor:
    """Returns rows of bits with those of a mask (rows, width) set too."""
    width = mask.shape[1]
    padded = tf.pad(mask, [[0, 0], [0, -width % 8]])
    powers = tf.constant([1 << bit for bit in range(8)], tf.int32)
    octets = tf.reshape(tf.cast(padded, tf.int32), [mask.shape[0], -1, 8])
    added = tf.cast(tf.reduce_sum(octets * powers, axis=2), tf.uint8)
    return tf.bitwise.bitwise_or(packed, added)
