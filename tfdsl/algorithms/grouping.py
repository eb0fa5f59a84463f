"""What is decided of one weight, for all of them: each by itself, or all as one, or row by row."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import tensorflow as tf

from tfdsl import row_blocks
from tfdsl.algorithms import rows
from tfdsl.algorithms.criteria import WeightState

if TYPE_CHECKING:
    from tfdsl.algorithms.base import Algorithm

Tensor: TypeAlias = tf.Tensor

_WeightFn = Callable[[WeightState, Any, Tensor, Tensor], Tensor]
_BudgetFn = Callable[[WeightState, Tensor, Tensor, Tensor], Tensor]


def each(
    algorithm: "Algorithm",
    fn: _WeightFn,
    states: Sequence[WeightState],
    step: Tensor,
    shares: Sequence[Any],
    places: Sequence[int] | None = None,
    in_rows: Sequence[bool] | None = None,
) -> list[Tensor]:
    """Returns what `fn` makes of each weight, of its shape; of all joined for a global budget.

    Args:
        algorithm: whose weights they are.
        fn: of a state, flat or in rows; its share; step; and a seed of its own.
        states: one a weight, of its shape.
        step: int64 scalar.
        shares: one a weight; for a global budget the first is that of all.
        places: of these weights among all that are managed; None if they are all.
        in_rows: of each weight whether its rows have budgets; None if none is an embedding layer's
            table.
    """
    shapes = [tuple(state.weight.shape) for state in states]
    in_rows = [algorithm.has_rows(False)] * len(states) if in_rows is None else in_rows
    flat = [
        state.map(rows.rows if by_row else rows.flat)
        for state, by_row in zip(states, in_rows, strict=True)
    ]
    if algorithm.distribution == "global":
        joined = fn(WeightState.join(flat), shares[0], step, algorithm.seed_of(step))
        parts = tf.split(joined, [math.prod(shape) for shape in shapes])
    else:
        places = range(len(flat)) if places is None else places
        parts = [
            fn(state, share, step, algorithm.seed_of(step, place))
            for place, state, share in zip(places, flat, shares, strict=True)
        ]
    return [
        rows.unrows(mask, shape) if by_row else tf.reshape(mask, shape)
        for mask, shape, by_row in zip(parts, shapes, in_rows, strict=True)
    ]


def in_blocks(
    fn: _BudgetFn, state: WeightState, budget: Tensor, step: Tensor, seed: Tensor
) -> Tensor:
    """Returns what `fn` makes of a weight; of many rows, of a block of them at a time."""
    if not budget.shape.rank:
        return fn(state, budget, step, seed)
    there = [name for name, part in state._asdict().items() if part is not None]

    def of_block(parts: Sequence[Tensor], seed: Tensor) -> Tensor:
        block = dict(zip(there, parts[1:], strict=True))
        return fn(WeightState(**block), parts[0], step, seed)

    return row_blocks.apply(
        of_block, [budget, *(getattr(state, name) for name in there)], seed, tf.bool
    )
