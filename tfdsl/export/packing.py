"""Packed forms of a weight: only its active entries, and where they are, as NumPy arrays.

- whole: every entry; of a sparse weight also which zeros are active.
- rows: the active entries row by row, with their columns, in the narrowest type that holds them
  (CSR). Where a row starts is the start of its block of rows, 32 or 64 bits, and an offset in the
  block of 8 or 16: with a start of 32 bits for each row, a table of 64 columns at density 0.1 would
  take an eighth more. Rows of a table are its own, so that some can be read alone; other weights
  are cut into rows of 256 entries, so that a column takes 8 bits.
- bitmap: the active entries, and one bit for every entry of the weight.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

VALUES = ("float32", "bfloat16", "float16")


@dataclasses.dataclass(frozen=True)
class Packed:
    """A weight in one form.

    Attributes:
        form: "whole", "rows" or "bitmap".
        shape: of the weight.
        dtype: of the weight, such as "float32"; that of the stored values can be shorter.
        arrays: what is stored, by name.
        width: "rows" alone: columns of a row.
        block: "rows" alone: rows of a block, a power of two.
    """

    form: str
    shape: tuple[int, ...]
    dtype: str
    arrays: dict[str, np.ndarray]
    width: int = 1
    block: int = 1

    @property
    def size(self) -> int:
        """Entries of the weight."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays.values())

    def unpack(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the weight in its own dtype, zero off its mask, and the mask.

        Raises:
            ValueError: the arrays do not belong together.
        """
        values = self.arrays["values"].astype(self.dtype).reshape(-1)
        mask = _PLACES[self.form](self)
        n = len(mask) if self.form == "whole" else np.count_nonzero(mask)
        if len(mask) != self.size or n != len(values):
            raise ValueError(
                f"The packed weight of shape {self.shape} has {len(values)} values for {n} places."
            )
        weight = values if self.form == "whole" else np.zeros(self.size, values.dtype)
        if self.form != "whole":
            weight[mask] = values
        return weight.reshape(self.shape), mask.reshape(self.shape)

    def pattern(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns row starts and columns, int64, of the form "rows"."""
        bases = np.repeat(self.arrays["bases"].astype(np.int64), self.block)
        offsets = self.arrays["offsets"].astype(np.int64)
        return bases[: len(offsets)] + offsets, self.arrays["columns"].astype(np.int64)


def pack(
    weight: np.ndarray,
    mask: np.ndarray | None = None,
    form: str = "whole",
    values: str = "float32",
    is_table: bool = False,
) -> Packed:
    """Returns the weight in one form.

    Args:
        weight: entries off the mask are not stored, whatever they are.
        mask: booleans of the weight's shape; None for all ones.
        form: "whole", "rows" or "bitmap".
        values: dtype that values of a float32 weight are stored in; others keep their own.
        is_table: whether rows are to be read alone, by number.

    Raises:
        ValueError: a value is too large for the dtype.
    """
    mask = np.ones(weight.shape, bool) if mask is None else mask
    stored, dtype = _shortened(weight, values), str(weight.dtype)
    if form == "whole":
        return _whole(stored, mask, dtype)
    if form == "rows":
        return _rows(stored, mask, dtype, weight.shape[-1] if is_table else _WIDTH)
    return _bitmap(stored, mask, dtype)


def pack_pattern(indptr: np.ndarray, columns: np.ndarray, n_columns: int) -> Packed:
    """Returns the stored entries of a CSR matrix in the form "rows", without values."""
    block, bases, offsets = _blocks(np.asarray(indptr, np.int64))
    arrays = {
        "columns": np.asarray(columns).astype(np.min_scalar_type(n_columns - 1)),
        "bases": bases,
        "offsets": offsets,
    }
    return Packed("rows", (len(indptr) - 1, n_columns), "float32", arrays, n_columns, block)


def _shortened(weight: np.ndarray, values: str) -> np.ndarray:
    if weight.dtype != np.float32 or values == "float32":
        return weight
    with np.errstate(over="ignore"):
        # NumPy itself has no bfloat16.
        short = weight.astype(tf.as_dtype(values).as_numpy_dtype)
    if (np.isfinite(weight) & ~np.isfinite(short)).any():
        raise ValueError(
            f"A weight of {np.abs(weight[np.isfinite(weight)]).max():g} is too large for {values}. "
            "Use values='bfloat16', which has float32's range, or 'float32'."
        )
    return short


def _whole(weight: np.ndarray, mask: np.ndarray, dtype: str) -> Packed:
    kept = np.where(mask, weight, np.zeros((), weight.dtype))
    arrays = {"values": kept}
    if not mask.all():  # an active entry can be 0, as one is when it is grown
        arrays["zeros"] = np.flatnonzero(mask & (kept == 0))
    return Packed("whole", weight.shape, dtype, arrays)


def _rows(weight: np.ndarray, mask: np.ndarray, dtype: str, width: int) -> Packed:
    places = np.flatnonzero(mask)
    n_rows = -(-mask.size // width)
    starts = np.append(0, np.cumsum(np.bincount(places // width, minlength=n_rows)))
    block, bases, offsets = _blocks(starts)
    arrays = {
        "values": weight[mask],
        "columns": (places % width).astype(np.min_scalar_type(width - 1)),
        "bases": bases,
        "offsets": offsets,
    }
    return Packed("rows", weight.shape, dtype, arrays, width, block)


def _blocks(starts: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """Returns the smallest of `_in_blocks`."""
    blocks = [_in_blocks(starts, kind) for kind in (np.uint8, np.uint16, np.uint32)]
    return min(blocks, key=lambda one: one[1].nbytes + one[2].nbytes)


def _in_blocks(starts: np.ndarray, kind: Any) -> tuple[int, np.ndarray, np.ndarray]:
    """Returns the most rows a block can have, the blocks' starts, and rows' offsets from them."""
    block = 1
    while block < len(starts) and _offsets(starts, 2 * block).max() <= np.iinfo(kind).max:
        block *= 2
    wide = np.uint64 if starts[-1] >= 2**32 else np.uint32
    return block, starts[::block].astype(wide), _offsets(starts, block).astype(kind)


def _offsets(starts: np.ndarray, block: int) -> np.ndarray:
    return starts - np.repeat(starts[::block], block)[: len(starts)]


def _bitmap(weight: np.ndarray, mask: np.ndarray, dtype: str) -> Packed:
    arrays = {"values": weight[mask], "bits": np.packbits(mask, bitorder="little")}
    return Packed("bitmap", weight.shape, dtype, arrays)


def _places_of_whole(packed: Packed) -> np.ndarray:
    if "zeros" not in packed.arrays:
        return np.ones(packed.size, bool)
    mask = packed.arrays["values"].reshape(-1) != 0
    mask[packed.arrays["zeros"]] = True
    return mask


def _places_of_rows(packed: Packed) -> np.ndarray:
    starts, columns = packed.pattern()
    counts = np.diff(starts)
    mask = np.zeros(len(counts) * packed.width, bool)
    if (counts >= 0).all() and counts.sum() == len(columns):
        mask[np.repeat(np.arange(len(counts)), counts) * packed.width + columns] = True
    return mask[: packed.size]


def _places_of_bitmap(packed: Packed) -> np.ndarray:
    bits = np.unpackbits(packed.arrays["bits"], bitorder="little")
    return bits[: packed.size].astype(bool)


_WIDTH = 256
_PLACES: dict[str, Callable[[Packed], np.ndarray]] = {
    "whole": _places_of_whole,
    "rows": _places_of_rows,
    "bitmap": _places_of_bitmap,
}
