"""A table that is stored packed while it is trained: of every row its active values alone."""

from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfdsl import distributions, masks, row_blocks
from tfdsl.compiling import compiled
from tfdsl.packed_rows import columns_of, mask_from, ranked_columns, spread, taken

Tensor: TypeAlias = tf.Tensor
Take: TypeAlias = Callable[[Any, Tensor], Tensor]

_SEED = 0x7AB1E  # of the columns a table has before an optimizer chooses them


class PackedTable:
    """A table (rows, width) of which every row has as many active entries, to within one.

    It stands where a layer's table stands: it has a shape, a path and a value, which is the whole
    table and differentiable, but it is three of the layer's variables:
    - `values`, trainable, (rows, k): the active entries, in no order;
    - `columns`, (rows, k + candidates), in one byte each where the width allows: where those are,
      and where the row's candidates are, the entries that may be grown next. A row that has fewer
      has the width for a column: a place that is free;
    - `growth`, trainable, (rows, candidates): zeros that stand for the candidates' values, so that
      these have gradients. A `SparseOptimizer` takes no steps on them, but adds up gradients there.

    Args:
        layer: which gets the variables.
        shape: (rows, width).
        initializer: of the whole table, of which the active entries are kept.
        density: share of active entries.
        candidates: how many each row has.
        regularizer: of `values`.

    Raises:
        ValueError: the shape has fewer rows than columns, or the initializer has other values every
            time it is asked.
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        shape: tuple[int, int],
        initializer: keras.initializers.Initializer,
        density: float,
        candidates: int,
        regularizer: Any = None,
    ) -> None:
        rows, self.width = self.shape = shape
        if rows < self.width:
            raise ValueError(
                f"A packed table must have at least as many rows as columns; received the shape "
                f"{shape}. Use storage='dense'."
            )
        self.density, self.candidates = density, candidates
        self.path = f"{layer.path}/embeddings"
        self.dtype = layer.variable_dtype
        self._initializer = initializer
        self._whole = compiled(_spread, width=self.width)
        # What stands for it while it is exported.
        self.stored: Callable[[], Tensor | None] | None = None
        with tf.init_scope():
            self._check_repeats()
            self._make(layer, regularizer)

    def _make(self, layer: keras.layers.Layer, regularizer: Any) -> None:
        rows, empty = self.shape[0], tf.constant(self.width)
        budget = distributions.budget(rows * self.width, self.density)
        budgets = distributions.row_budgets(budget, rows)
        self.k = int(tf.reduce_max(budgets))
        self._columns_of = compiled(columns_of, n=self.k)
        # The seed as an argument: XLA would draw while it compiles, entry by entry.
        columns = compiled(self._first_columns)(budgets, masks.fold_seed(_SEED))
        values = self._of_initial(columns)

        def add(name: str, value: Any, dtype: str, **kwargs: Any) -> keras.Variable:
            made = layer.add_weight(
                shape=tuple(value.shape),
                initializer=lambda *_, **__: tf.convert_to_tensor(value),
                dtype=dtype,
                name=f"embeddings_{name}",
                **kwargs,
            )
            # As an attribute too: tf.train.Checkpoint finds a layer's variables by those.
            setattr(layer, made.name, made)
            return made

        own = {"regularizer": regularizer, "constraint": _Values(self)}
        self.values = add("values", values, self.dtype, **own)
        dtype = next(name for name in ("uint8", "uint16") if self.width <= np.iinfo(name).max)
        both = tf.concat([columns, tf.fill([rows, self.candidates], empty)], axis=1)
        self.columns = add("columns", tf.cast(both, dtype), dtype, trainable=False)
        zeros = tf.zeros([rows, self.candidates], self.dtype)
        self.growth = add("growth", zeros, self.dtype, constraint=_Growth(self))

    def _check_repeats(self) -> None:
        one, other = (self._initializer((2, self.width), dtype=self.dtype) for _ in range(2))
        if not bool(ops.all(ops.equal(one, other))):
            raise ValueError(
                f"A packed table's initializer must have the same values every time, or none could "
                f"say later what an entry began with; received {self._initializer!r}. Give it a "
                f"number for a seed."
            )

    # ---- what a table is asked --------------------------------------------------------------

    @property
    def value(self) -> Tensor:
        """The whole table, (rows, width), with a gradient; of an export what is stored there."""
        stored = None if self.stored is None else self.stored()
        return self._own_value() if stored is None else stored

    def rows(self, ids: Tensor, take: Take = tf.gather) -> Tensor:
        """Returns some rows, (..., width).

        Args:
            ids: integers of any shape.
            take: how rows of a trainable variable are taken; what decides on the gradient's form.
        """
        columns = tf.gather(self.columns.value, ids)
        return _spread(
            take(self.values.value, ids), take(self.growth.value, ids), columns, self.width
        )

    @property
    def parts(self) -> tuple[keras.Variable, ...]:
        """The layer's variables that it is."""
        return self.values, self.columns, self.growth

    @property
    def mask(self) -> "PackedMask":
        """Which entries are active."""
        return PackedMask(self)

    def numpy(self) -> np.ndarray:
        """Returns the whole table."""
        whole: np.ndarray = self._own_value().numpy()
        return whole

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.numpy(), dtype)

    def _own_value(self) -> Tensor:
        return self._whole(self.values.value, self.growth.value, self.columns.value)

    def assign(self, table: Any, mask: Any) -> None:
        """Gives the table other active entries and their values; candidates are none then.

        Args:
            table: floats, (rows, width).
            mask: booleans, (rows, width), of no row more than it can hold.

        Raises:
            ValueError: other shapes, or a row with more active entries.
        """
        table, mask = np.asarray(table), np.asarray(mask)
        if table.shape != self.shape or mask.shape != self.shape or mask.dtype != bool:
            raise ValueError(
                f"{self.path!r} takes a table and a boolean mask of shape {self.shape}; received "
                f"shapes {table.shape} and {mask.shape}, and the mask's dtype {mask.dtype}."
            )
        most = int(np.count_nonzero(mask, axis=1).max())
        if most > self.k:
            raise ValueError(
                f"A row of {self.path!r} holds {self.k} active entries; received a mask with a row "
                f"of {most}. Use a higher density."
            )
        self.set_columns(self._columns_of(tf.constant(mask)))
        self.values.assign(taken(tf.constant(table, self.dtype), self.active_columns))
        self.growth.assign(tf.zeros_like(self.growth.value))

    # ---- what an optimizer asks -------------------------------------------------------------

    @property
    def active_columns(self) -> Tensor:
        """Columns of `values`, int32 (rows, k); the width where a place is free."""
        return tf.cast(self.columns.value[:, : self.k], tf.int32)

    @property
    def candidate_columns(self) -> Tensor:
        """Columns of `growth`, int32 (rows, candidates); the width where there is none."""
        return tf.cast(self.columns.value[:, self.k :], tf.int32)

    def set_columns(self, active: Tensor, candidates: Tensor | None = None) -> None:
        """Says where entries are; values are left as they are."""
        if candidates is None:
            candidates = tf.fill([active.shape[0], self.candidates], self.width)
        both = tf.concat([active, candidates], axis=1)
        self.columns.assign(tf.cast(both, self.columns.dtype))

    def initial(self) -> Tensor:
        """Returns the whole table as the initializer makes it, in the host's memory."""
        with tf.device("CPU:0"):
            return tf.convert_to_tensor(self._initializer(self.shape, dtype=self.dtype))

    def is_new(self) -> bool:
        """Says whether every active entry has its initial value."""
        first = self._of_initial(self.active_columns)
        return bool(tf.reduce_all(first == self.values.value))

    def begin_with(self, mask: Tensor) -> None:
        """Gives the table the active entries of `mask`, with their initial values."""
        self.set_columns(self._columns_of(mask))
        self.values.assign(self._of_initial(self.active_columns))

    def _of_initial(self, columns: Tensor) -> Tensor:
        with tf.device("CPU:0"):
            return taken(self.initial(), tf.identity(columns))

    def _first_columns(self, budgets: Tensor, seed: Tensor) -> Tensor:
        def of_block(parts: Any, seed: Tensor) -> Tensor:
            mask = masks.random_mask((parts[0].shape[0], self.width), parts[0], seed)
            return ranked_columns(mask, self.k)

        made: Tensor = row_blocks.apply(of_block, [budgets], seed, tf.int32)
        return made


class PackedMask:
    """The mask of a packed table, as it is now."""

    def __init__(self, table: PackedTable) -> None:
        self._table = table
        self.shape = table.shape

    @property
    def value(self) -> Tensor:
        """The mask, (rows, width)."""
        return mask_from(self._table.active_columns, self._table.width)

    def numpy(self) -> np.ndarray:
        """Returns the mask."""
        mask: np.ndarray = self.value.numpy()
        return mask

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.numpy(), dtype)


class _Values(keras.constraints.Constraint):
    """Keeps free places at zero; by it a variable's table is found."""

    def __init__(self, table: PackedTable) -> None:
        self.table = table

    def __call__(self, w: Any) -> Any:
        return tf.where(self.table.active_columns < self.table.width, w, tf.zeros_like(w))


class _Growth(_Values):
    """Undoes the steps of an optimizer that does not know what `growth` is for."""

    def __call__(self, w: Any) -> Any:
        return tf.zeros_like(w)


def table_of(weight: Any) -> PackedTable | None:
    """Returns the packed table that a variable is the values or the growth of; None if of none."""
    constraint = getattr(weight, "constraint", None)
    return constraint.table if isinstance(constraint, _Values) else None


def is_growth(weight: Any) -> bool:
    """Says whether a variable is the growth of a packed table."""
    return isinstance(getattr(weight, "constraint", None), _Growth)


def _spread(values: Tensor, growth: Tensor, columns: Tensor, width: int) -> Tensor:
    """Returns whole rows; candidates are zero, and have gradients."""
    columns, k = tf.cast(columns, tf.int32), values.shape[-1]

    @tf.custom_gradient
    def apply(values: Tensor, growth: Tensor) -> tuple[Tensor, Any]:
        def gradient(upstream: Tensor) -> tuple[Tensor, Tensor]:
            found = taken(upstream, columns)
            return found[..., :k], found[..., k:]

        return spread(values, columns[..., :k], width), gradient

    return apply(values, growth)
