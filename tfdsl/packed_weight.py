"""One packed table with all that belongs to it, and how its rows change places."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from tfdsl import row_blocks, row_masks
from tfdsl.algorithms import Algorithm, WeightState
from tfdsl.compiling import compiled
from tfdsl.layers.packed_table import PackedMask, PackedTable
from tfdsl.packed_rows import bits_of, mask_from, ranked_columns, spread, taken, with_bits
from tfdsl.slots import AVERAGE, Slot

Tensor: TypeAlias = tf.Tensor


class PackedWeight:
    """One packed table that the algorithm manages.

    Its rows are unpacked a block at a time, the algorithm decides as it would on a whole table, and
    what it grows takes the places of what it drops.

    Args:
        algorithm: decides.
        table: the table.
        density: its own.
        place: of the table among all the algorithm manages, a part of the seed.
        slots: the inner optimizer's, of the table's values.
        add_slot: makes a variable of a shape, by the table, name, dtype and shape.

    Raises:
        ValueError: the algorithm is none that a packed table can have.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        table: PackedTable,
        density: float,
        place: int,
        slots: Sequence[Slot],
        add_slot: Callable[..., keras.Variable],
    ) -> None:
        _check(algorithm, table)
        self.weight, self.density, self._place = table, density, place
        self._algorithm = algorithm
        shape = tuple(table.values.shape)
        self.slots = [slot for slot in slots if tuple(slot.variable.shape) == shape]
        n_bytes = -(-table.width // 8)
        self._ever = add_slot(table, "ever_active", "uint8", (shape[0], n_bytes))
        given = {"densities": [density], "places": [place], "in_rows": [True]}
        self._first_masks = compiled(algorithm.initial_masks, **given)
        self._next, self._drawn = compiled(self._update_rows), compiled(self._draw_rows)

    # ---- what it shares with a weight that has a mask ----------------------------------------

    @property
    def watched(self) -> keras.Variable:
        """What has the gradients that growth looks at."""
        return self.weight.growth

    @property
    def accumulated(self) -> keras.Variable:
        """Where those are added up."""
        return self.weight.growth

    @property
    def mask(self) -> PackedMask:
        """Which entries are active."""
        return self.weight.mask

    @property
    def ever_active(self) -> "EverActive":
        """Which entries were ever active."""
        return EverActive(self._ever, self.weight.width)

    @property
    def has_past(self) -> bool:
        """Whether there was a mask before."""
        return bool(tf.reduce_any(self._ever.value > 0))

    @property
    def is_initialized(self) -> bool:
        """Whether the variables have values."""
        return bool(self.weight.values.value.is_initialized())

    @property
    def is_new(self) -> bool:
        """Whether no mask was chosen for it, and nothing learned."""
        return self.weight.is_new()

    def make_mask(self, prior: Tensor | None, step: Tensor, budgets: Tensor | None = None) -> None:
        """Makes the first mask, in the host's memory: the table is whole on the way.

        Args:
            prior: scores of entries, of the table's shape, where there are some.
            step: int64 scalar.
            budgets: how many active entries each row is to have, where `init` says it.

        Raises:
            ValueError: rows are to have other numbers of active entries than the table has places.
        """
        if budgets is not None:
            raise ValueError(
                f"The rows of the packed table {self.weight.path!r} have as many active entries "
                "as each other, and its `init` gives them budgets of their own, as "
                "Spectral(users=...) does; leave that out, or use tables of users and of items, "
                "as LightGCN(users=...) does, or storage='dense'."
            )
        with tf.device("CPU:0"):
            (mask,) = self._first_masks(
                [self.weight.initial()],
                tf.identity(step),
                priors=[None if prior is None else tf.identity(prior)],
            )
            self.weight.begin_with(mask)

    def begin(self) -> None:
        """Begins with the mask as it is."""
        self._ever.assign(with_bits(self._ever.value, self.weight.mask.value))

    def draw_candidates(self, step: Tensor) -> None:
        """Draws which entries may be grown next, where none are drawn yet.

        Args:
            step: int64 scalar, number of optimizer steps done.
        """
        table = self.weight
        has_some = tf.reduce_any(table.candidate_columns < table.width)
        if self._algorithm.candidates is not None and not bool(has_some):
            active = table.active_columns
            table.set_columns(active, self._drawn(active, step))

    def forget(self) -> None:
        """Forgets what was ever active, and the candidates."""
        self._ever.assign(tf.zeros_like(self._ever.value))
        self.weight.set_columns(self.weight.active_columns)

    def mask_averages(self) -> None:
        """Nothing: all that is averaged is active."""

    def update(self, gradient: Tensor | None, step: Tensor) -> None:
        """Drops and grows.

        Args:
            gradient: of the candidates, (rows, candidates); None where growth asks for none.
            step: int64 scalar, number of optimizer steps done.
        """
        table = self.weight
        if gradient is None:
            gradient = tf.zeros_like(table.growth.value)
        active, candidates, is_new, ever = self._next(
            table.values.value,
            table.active_columns,
            table.candidate_columns,
            gradient,
            self._ever.value,
            step,
        )
        table.set_columns(active, candidates)
        self._ever.assign(ever)
        table.values.assign(_renewed(table.values.value, is_new, 0))
        for slot in self.slots:
            if slot.is_moment or slot.name == AVERAGE:
                first = slot.initial() if slot.is_moment else 0
                slot.variable.assign(_renewed(slot.variable.value, is_new, first))

    # ---- block by block ----------------------------------------------------------------------

    def _seed(self, step: Tensor) -> Tensor:
        return self._algorithm.seed_of(step, self._place)

    def _draw_rows(self, active: Tensor, step: Tensor) -> Tensor:
        def of_block(parts: Sequence[Tensor], seed: Tensor) -> Tensor:
            return self._draw(mask_from(parts[0], self.weight.width), step, seed)

        made: Tensor = row_blocks.apply(of_block, [active], self._seed(step), tf.int32)
        return made

    def _draw(self, mask: Tensor, step: Tensor, seed: Tensor) -> Tensor:
        n = tf.fill([mask.shape[0]], self.weight.candidates)
        drawn = self._algorithm.candidates_of(WeightState(mask, mask), n, step, seed)
        return ranked_columns(drawn, self.weight.candidates)

    def _update_rows(self, *arguments: Tensor) -> tuple[Tensor, ...]:
        """Returns columns of active entries and candidates, which places are new, ever active."""
        *parts, step = arguments
        width = self.weight.width

        def of_block(parts: Sequence[Tensor], seed: Tensor) -> tuple[Tensor, ...]:
            values, active, candidates, gradient, ever = parts
            mask = mask_from(active, width)
            state = WeightState(
                weight=spread(values, active, width),
                mask=mask,
                ever_active=bits_of(ever, width),
                gradient=spread(gradient, candidates, width),
                candidates=mask_from(candidates, width),
            )
            budget = row_masks.count(mask)
            new = self._algorithm.update(state, budget, step, seed)
            # As many grow as are dropped: the n-th of those takes the place of the n-th of these.
            is_dropped = taken(~new, active)
            n_dropped = tf.cumsum(tf.cast(is_dropped, tf.int32), axis=1)
            grown = ranked_columns(new & ~mask, min(candidates.shape[1], active.shape[1]))
            for place in range(grown.shape[1]):
                takes = is_dropped & (n_dropped == place + 1)
                active = tf.where(takes, grown[:, place, None], active)
            return active, self._draw(new, step, seed), is_dropped, with_bits(ever, new)

        dtypes = (tf.int32, tf.int32, tf.bool, tf.uint8)
        made: tuple[Tensor, ...] = row_blocks.apply(of_block, parts, self._seed(step), dtypes)
        return made


class EverActive:
    """Which entries of a packed table were ever active; a bit each."""

    def __init__(self, bits: keras.Variable, width: int) -> None:
        self._variable, self._width = bits, width

    @property
    def value(self) -> Tensor:
        """The entries as a mask, (rows, width)."""
        return bits_of(self._variable.value, self._width)

    def numpy(self) -> np.ndarray:
        """Returns the mask."""
        mask: np.ndarray = self.value.numpy()
        return mask


def _check(algorithm: Algorithm, table: PackedTable) -> None:
    if not algorithm.has_rows(True) or algorithm.init == "bernoulli":
        raise ValueError(
            f"The rows of the packed table {table.path!r} have as many active entries as each "
            f"other: its algorithm must have granularity='row' or 'embedding_row', and an exact "
            f"init; received granularity={algorithm.granularity!r}, init={algorithm.init!r}."
        )
    if algorithm.updates is not None and algorithm.candidates != table.candidates:
        raise ValueError(
            f"The packed table {table.path!r} has {table.candidates} candidates a row; its "
            f"algorithm must grow among as many, or never change its masks: received candidates="
            f"{algorithm.candidates}."
        )
    unknown = algorithm.signals & {"momentum"} or getattr(algorithm, "drop", None) == "taylor"
    if unknown or algorithm.optimizer_state == "keep":
        raise ValueError(
            f"Of what is not active a packed table knows its candidates' gradients alone: use "
            f"drop='magnitude', another grow than 'momentum', and optimizer_state='reset' or "
            f"'mask'; received {algorithm!r}."
        )


def _renewed(values: Tensor, is_new: Tensor, first: Any) -> Tensor:
    return tf.where(is_new, tf.cast(first, values.dtype), values)
