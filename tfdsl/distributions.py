"""How one budget of weights is shared among tensors.

A distribution turns shapes and a density into one density a tensor. "global" shares nothing out:
all tensors compete for one budget, and only the algorithm, which sees the scores, can divide it.
"""

import math
from collections.abc import Sequence

import tensorflow as tf

from tfdsl import checks, schedules

Shape = tuple[int, ...]

DISTRIBUTIONS = ("uniform", "erk", "global")
USERS = 0.9  # share of a graph's weights that users' rows do best with, by our trials


def densities(distribution: str, shapes: Sequence[Shape], density: float) -> list[float]:
    """Returns the density of each tensor.

    Args:
        distribution: "uniform", "erk" (Erdos-Renyi-kernel) or "global".
        shapes: one shape a tensor.
        density: share of all entries to be active, in (0, 1].

    Raises:
        ValueError: unknown distribution.
    """
    checks.choice("distribution", distribution, DISTRIBUTIONS)
    if distribution == "erk" and density < 1.0:
        return _erdos_renyi_kernel(shapes, density)
    return [density] * len(shapes)


def density_at(
    step: tf.Tensor, density: float | tf.Tensor, schedule: schedules.Schedule
) -> tf.Tensor:
    """Returns the density that a weight has at a step, a float64 scalar.

    Every weight goes its own way to its own final density, in step with the schedule: what it has
    off its mask is its part of what all have off theirs on the way down, and what is on it its part
    of what is on theirs on the way up.

    Args:
        step: int64 scalar.
        density: that the weight is to end at.
        schedule: of the density of all.
    """
    density = tf.convert_to_tensor(density, tf.float64)
    if isinstance(schedule, schedules.Constant):
        return density
    now, final = tf.cast(schedule(step), tf.float64), schedule.final
    rising = density * now / final
    falling = 1.0 - (1.0 - density) * (1.0 - now) / (1.0 - final) if final < 1.0 else rising
    share = tf.where(now < final, rising, falling)
    # To the last bit, also where XLA divides by multiplying: halves are rounded to even.
    return tf.where(tf.equal(now, final), density, share)


def budget(size: int, density: tf.Tensor | float) -> tf.Tensor:
    """Returns how many of `size` entries are active at `density`: the nearest number, 1 at least.

    An int32 scalar. Halves go to the even neighbour, as Python's `round` does.
    """
    # Not tf.cast, which takes a Python number for float32 first and moves halves.
    exact = size * tf.convert_to_tensor(density, tf.float64)
    return tf.maximum(tf.cast(tf.round(exact), tf.int32), 1)


def row_budgets(total: tf.Tensor, rows: int) -> tf.Tensor:
    """Returns how many of `total` entries each of `rows` rows has: as many, but for the rest.

    Rows that have one more are spread evenly, and a smaller total gives no row more. int32 (rows,).
    """
    # A permutation without a sort: multiples of a number without a common divisor, near the golden
    # ratio, modulo the number of rows.
    stride = next(n for n in range(max(round(0.618 * rows), 1), 2 * rows) if math.gcd(n, rows) == 1)
    place = tf.range(rows, dtype=tf.int64) * stride % rows
    total = tf.cast(total, tf.int64)
    return tf.cast((total + rows - 1 - place) // rows, tf.int32)


def users_budget(share: float, total: int, shape: tuple[int, int], width: int) -> int:
    """Returns how many of a graph's entries are in users' rows, the rest being in items'.

    That is their share, but for what does not fit into their rows or the items'.

    Args:
        share: in (0, 1).
        total: how many entries users and items have together.
        shape: numbers of users and items.
        width: of their rows.
    """
    n_users, n_items = shape
    return max(min(round(share * total), n_users * width), total - n_items * width)


def _erdos_renyi_kernel(shapes: Sequence[Shape], density: float) -> list[float]:
    """Densities proportional to sum(shape) / prod(shape), capped at 1 (RigL, arXiv 1911.11134).

    Small tensors get more than large ones. A tensor whose share would pass 1 becomes dense and
    the rest of the budget is shared again among the others, until none passes 1.
    """
    sizes = [math.prod(shape) for shape in shapes]
    raw = [sum(shape) / size for shape, size in zip(shapes, sizes, strict=True)]
    dense: set[int] = set()
    while len(dense) < len(shapes):
        others = [i for i in range(len(shapes)) if i not in dense]
        left = density * sum(sizes) - sum(sizes[i] for i in dense)
        scale = left / sum(raw[i] * sizes[i] for i in others)
        full = {i for i in others if scale * raw[i] >= 1.0}
        if not full:
            return [1.0 if i in dense else scale * raw[i] for i in range(len(shapes))]
        dense |= full
    return [1.0] * len(shapes)
