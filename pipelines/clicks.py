"""Rows of clicks as batches: numbers, ids of categories and labels, by day.

A batch is a pure function of (seed, step), so that a run that starts again at a step sees what it
would have seen.
"""

import abc
import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from tfdsl import checks, masks

Batch: TypeAlias = tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]  # (dense, categorical), labels


class Rows(abc.ABC):
    """Rows in an order; a kind of them says where they are kept and how they are shuffled."""

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @abc.abstractmethod
    def part(self, start: int, stop: int) -> "Rows":
        """Returns the rows from `start` to before `stop`."""

    @abc.abstractmethod
    def joined(self, others: Sequence[Any]) -> "Rows":
        """Returns these rows and then those of the others, which are of the same kind."""

    @abc.abstractmethod
    def in_order(self, start: tf.Tensor) -> tf.data.Dataset:
        """Returns the rows from `start` on, int64 [], some of them an element."""

    @abc.abstractmethod
    def epoch(self, seed: tf.Tensor, start: tf.Tensor) -> tf.data.Dataset:
        """Returns as `in_order` does, but the rows are shuffled as `seed`, uint32 [], decides."""

    @abc.abstractmethod
    def columns(self) -> Callable[[tf.Tensor], Batch]:
        """Returns what makes a batch of as many rows as `in_order` and `epoch` give them."""

    def batches(
        self,
        batch_size: int,
        seed: int | None = None,
        first_step: int = 0,
        steps: int | None = None,
        keep_rest: bool = False,
        at_once: int | None = None,
    ) -> tf.data.Dataset:
        """Returns rows by the batch, ((dense, categorical), labels).

        They are float32 [batch, d], int32 [batch, c] and float32 [batch, 1]; with `at_once` they
        have an axis of that length more, before the others.

        Args:
            batch_size: rows a batch.
            seed: with one the rows are an endless stream of epochs, each shuffled anew, where an
                epoch may end inside a batch; without one they come in order and once.
            first_step: number of the first batch; those before it are not read.
            steps: how many batches at most; None for all there are.
            keep_rest: without a seed, whether the last rows that do not fill a batch come too.
            at_once: with a seed, how many batches are one element; the last one goes on beyond
                `steps`.

        Raises:
            ValueError: an argument outside its range, or there is no row.
        """
        checks.count("batch_size", batch_size)
        checks.count("first_step", first_step, least=0)
        if seed is not None:
            checks.seed(seed)
        if steps is not None:
            checks.count("steps", steps)
        if at_once is not None:
            checks.count("at_once", at_once)
            if seed is None:
                raise ValueError("`at_once` needs a `seed`: only an endless stream fills elements.")
        n, first = len(self), first_step * batch_size
        if not n:
            raise ValueError("There is no row to make batches of; check which days were chosen.")
        if seed is None:
            rows = self.in_order(tf.constant(min(first, n), tf.int64))
        else:

            def epoch(number: tf.Tensor) -> tf.data.Dataset:
                start = tf.where(number == first // n, tf.constant(first % n, tf.int64), 0)
                return self.epoch(masks.fold_seed(seed, number), start)

            rows = tf.data.Dataset.range(first // n, tf.int64.max).flat_map(epoch)
        drop_rest = seed is not None or not keep_rest
        elements = rows.rebatch(batch_size * (at_once or 1), drop_remainder=drop_rest)
        elements = elements if steps is None else elements.take(math.ceil(steps / (at_once or 1)))
        elements = elements.map(self.columns(), num_parallel_calls=2, deterministic=True)
        if at_once is not None:
            shape = [at_once, batch_size, -1]
            elements = elements.map(
                lambda *parts: tf.nest.map_structure(lambda x: tf.reshape(x, shape), parts)
            )
        return elements.prefetch(4)


@dataclasses.dataclass(frozen=True, eq=False)
class Clicks(Rows):
    """Rows in memory, for small data sets.

    Attributes:
        dense: float32 [rows, d].
        categorical: int32 [rows, c].
        labels: float32 [rows], 0 or 1.

    Raises:
        ValueError: an array of another type or with another number of rows.
    """

    dense: np.ndarray
    categorical: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        for name, n_axes, dtype in (
            ("dense", 2, np.float32),
            ("categorical", 2, np.int32),
            ("labels", 1, np.float32),
        ):
            array = getattr(self, name)
            if array.dtype != dtype or array.ndim != n_axes or len(array) != len(self.labels):
                raise ValueError(
                    f"`{name}` must be {np.dtype(dtype)} of {n_axes} axes and as many rows as "
                    f"there are labels, {len(self.labels)}; received {array.dtype} of shape "
                    f"{array.shape}."
                )

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, start: int, stop: int) -> "Clicks":
        """See `Rows`."""
        at = slice(start, stop)
        return Clicks(self.dense[at], self.categorical[at], self.labels[at])

    def joined(self, others: Sequence["Clicks"]) -> "Clicks":
        """See `Rows`."""
        every = [self, *others]
        return Clicks(
            *(np.concatenate([getattr(c, f.name) for c in every]) for f in dataclasses.fields(self))
        )

    def in_order(self, start: tf.Tensor) -> tf.data.Dataset:
        """See `Rows`."""
        return tf.data.Dataset.from_tensors(tf.range(start, len(self)))

    def epoch(self, seed: tf.Tensor, start: tf.Tensor) -> tf.data.Dataset:
        """See `Rows`."""
        return tf.data.Dataset.from_tensors(permutation(len(self), seed)[start:])

    def columns(self) -> Callable[[tf.Tensor], Batch]:
        """See `Rows`."""
        # Made here, so that they are no part of the graph.
        columns = [tf.constant(c) for c in (self.dense, self.categorical, self.labels[:, None])]

        def gather(places: tf.Tensor) -> Batch:
            dense, categorical, labels = (tf.gather(column, places) for column in columns)
            return (dense, categorical), labels

        return gather


@dataclasses.dataclass(frozen=True, eq=False)
class ClickData:
    """A data set of clicks by day.

    Attributes:
        days: The rows of each day, `Clicks` or `StoredClicks`, in order of time.
        table_rows: Rows of each categorical field's table; the field's ids are below it.
        n_dense: How many numbers a row has.
    """

    days: Sequence[Rows]
    table_rows: tuple[int, ...]
    n_dense: int

    def split(self, n_days: int | None = None) -> "ClickSplit":
        """Returns the first `n_days` days to train on, and halves of the next to judge on.

        None is for all days but the last, as in DLRM's script.

        Raises:
            ValueError: there are not more days than that.
        """
        n_days = len(self.days) - 1 if n_days is None else checks.count("n_days", n_days)
        if n_days >= len(self.days):
            raise ValueError(
                f"`n_days` must leave one of the {len(self.days)} days to judge on; received "
                f"{n_days}."
            )
        train = self.days[0].joined(self.days[1:n_days])
        judged = self.days[n_days]
        middle = (len(judged) + 1) // 2
        return ClickSplit(train, judged.part(0, middle), judged.part(middle, len(judged)))


class ClickSplit(NamedTuple):
    """Rows to train on, and rows of the day after them.

    Attributes:
        train: Those of the first days.
        test: The first half of the next day, with its middle row, as in DLRM's script.
        validation: The second half of that day.
    """

    train: Rows
    test: Rows
    validation: Rows


def transform_integers(values: np.ndarray) -> np.ndarray:
    """Returns log(1 + max(x, 0)) as float32, and 0 where `values` is NaN (missing): DLRM's."""
    return np.log1p(np.fmax(values, 0.0)).astype(np.float32)


def permutation(n: int | tf.Tensor, seed: tf.Tensor, number: int | tf.Tensor = 0) -> tf.Tensor:
    """Returns 0..n-1, int32 [n], in the order that (seed, number) decides, whole numbers."""
    seeds = tf.stack([tf.cast(seed, tf.int64), tf.cast(number, tf.int64)])
    return tf.random.experimental.stateless_shuffle(tf.range(n), seeds)
