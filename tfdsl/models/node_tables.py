"""LightGCN's weights: a table of users and items, or, packed, one of each."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfdsl import checks, distributions, schedules
from tfdsl.layers import SparseEmbedding


def make(
    shape: tuple[int, int],
    width: int,
    storage: str,
    density: float | None,
    users: float | None,
    seed: int,
    **kwargs: Any,
) -> tuple[SparseEmbedding, ...]:
    """Returns one table of users and items, users first; or a table of users and one of items.

    They are two where they are packed and `users` says which share of the weights is users': rows
    of a packed table have one length. Both begin with what one would, of other random numbers.

    Args:
        shape: numbers of users and items.
        width: of all rows.
        storage: "dense" or "packed".
        density: share of active entries, of packed tables.
        users: see `distributions.users_budget`.
        seed: of the initial values.
        **kwargs: more of `SparseEmbedding`'s.
    """
    rows = sum(shape)
    if storage != "packed" or users is None:
        initializers: Sequence[Any] = [keras.initializers.GlorotUniform(seed=seed)]
        parts = [("nodes", rows, density)]
    else:
        density = checks.number("density", density, schedules.SHARE)
        total = int(distributions.budget(rows * width, density))
        of_users = distributions.users_budget(users, total, shape, width)
        sizes = [n * width for n in shape]
        budgets = (of_users, total - of_users)
        names = ("users", "items")
        parts = [
            (name, n, budget / size)
            for name, n, budget, size in zip(names, shape, budgets, sizes, strict=True)
        ]
        limit = math.sqrt(6 / (rows + width))  # Glorot's, of a table of both
        initializers = [
            keras.initializers.RandomUniform(-limit, limit, seed=seed + place) for place in (0, 1)
        ]
    tables = []
    for (name, n, own), initializer in zip(parts, initializers, strict=True):
        table = SparseEmbedding(
            n,
            width,
            embeddings_initializer=initializer,
            storage=storage,
            density=own,
            name=name,
            **kwargs,
        )
        table.build()
        tables.append(table)
    return tuple(tables)


def whole(tables: Sequence[SparseEmbedding]) -> Any:
    """Returns all rows, users first."""
    values = [table.embeddings.value for table in tables]
    return values[0] if len(values) == 1 else ops.concatenate(values, axis=0)


def rows_of(tables: Sequence[SparseEmbedding], n_users: int, users: Any, items: Any) -> Any:
    """Returns rows of users (batch,) and items (batch, n): (batch, 1 + n, width)."""
    if len(tables) == 1:
        return tables[0](ops.concatenate([users[:, None], items + n_users], axis=1))
    return ops.concatenate([tables[0](users[:, None]), tables[1](items)], axis=1)
