"""Work on the rows of a table, a block of rows at a time."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import tensorflow as tf

from tfdsl import masks

Tensor: TypeAlias = tf.Tensor

MOST_ROWS = 1 << 14  # in a block: what is between fits a cache


def apply(
    fn: Callable[[Sequence[Tensor], Tensor], Tensor | tuple[Tensor, ...]],
    parts: Sequence[Tensor],
    seed: Tensor,
    dtypes: tf.DType | tuple[tf.DType, ...],
) -> Tensor | tuple[Tensor, ...]:
    """Returns what `fn` makes of a table's rows, block after block, put together again.

    What is between needs the memory of a block, not of a table. Blocks are as large as each other,
    and the last is filled up with zeros.

    Args:
        fn: takes the parts of a block and a seed of its own; returns one tensor or several, of as
            many rows.
        parts: tensors (rows, ...), each of as many rows.
        seed: uint32 scalar.
        dtypes: of what `fn` returns.
    """
    rows = parts[0].shape[0]
    n_blocks = -(-rows // MOST_ROWS)
    if n_blocks <= 1:
        return fn(parts, seed)
    size = -(-rows // n_blocks)

    def cut(part: Tensor) -> Tensor:
        padding = [[0, n_blocks * size - rows], *[[0, 0]] * (part.shape.rank - 1)]
        return tf.reshape(tf.pad(part, padding), [n_blocks, size, *part.shape[1:]])

    made = tf.map_fn(
        lambda block: fn(block[1:], masks.fold_seed(seed, block[0])),
        (tf.range(n_blocks), *map(cut, parts)),
        fn_output_signature=dtypes,
    )
    return tf.nest.map_structure(lambda x: tf.reshape(x, [-1, *x.shape[2:]])[:rows], made)
