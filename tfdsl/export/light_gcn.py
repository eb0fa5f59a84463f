"""LightGCN's embeddings in an export: propagated before it is written, or when it is loaded."""

from collections.abc import Callable
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from tfdsl.export.at_load import AtLoad
from tfdsl.export.stored import Stored, StoredRows
from tfdsl.export.weights import Weights
from tfdsl.models import LightGCN

GRAPH = "graph"
_COLUMNS = 16  # that are propagated at once


class Table(Protocol):
    """Something with rows."""

    def rows(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns some rows, float32."""

    def value(self) -> tf.Tensor:
        """Returns all rows, float32."""


def embeddings(model: LightGCN, weights: Weights) -> Table:
    """Returns the table of propagated embeddings, users first.

    What is stored is, of "dense" storage, the propagated table, which averaging over neighbours has
    filled in; else the table before it, and the graph, and it is propagated when it is loaded.
    """
    if weights.storage == "dense":
        return weights.add("nodes/propagated", _numpy(model.embeddings()))
    graph = weights.pattern(GRAPH, *model.graph, model.n_items)
    tables = []
    for table in model.tables:
        stored = weights.of(table.embeddings)
        assert isinstance(stored, Stored)  # a table is not unpacked
        tables.append(stored)
    propagated = Propagated(tables, graph, model.n_layers, model.gather)
    weights.others.append(propagated)
    return propagated


class Propagated(AtLoad):
    """The propagated table.

    Args:
        tables: the table before, (users + items, width), or its users' and its items' part.
        graph: the interactions, a pattern (users, items).
        layers: how often it is propagated.
        gather: dtype of what is passed on, see `LightGCN`.
    """

    def __init__(self, tables: list[Stored], graph: StoredRows, layers: int, gather: str) -> None:
        shape = (sum(graph.shape), tables[0].shape[1])
        super().__init__(shape, tf.float32, [*tables, graph], (layers, gather))
        self.tables, self.graph = tables, graph
        self._layers, self._gather = layers, tf.as_dtype(gather)

    def compute(self) -> tf.Tensor:
        """Returns the mean of x, A x, A A x, ..., in the order of sums that `Propagation` has.

        A few columns at a time, one after the other: what is needed on the way is as large as
        several tables.
        """
        parts = [tf.cast(table.value(), tf.float32) for table in self.tables]
        whole = parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)
        users, items = tf.unstack(self.graph.coordinates(), axis=1)
        degrees = [
            tf.math.unsorted_segment_sum(tf.ones_like(ids, tf.float32), ids, n)
            for ids, n in zip((users, items), self.graph.shape, strict=True)
        ]
        degree = tf.cast(tf.concat(degrees, axis=0), tf.float64)[:, None]
        is_linked = degree > 0
        scale = tf.where(is_linked, tf.cast(degree**-0.5, tf.float32), 0)
        matrix = tf.raw_ops.SparseTensorToCSRSparseMatrix(
            indices=tf.stack([users, items], axis=1),
            values=tf.ones_like(users, tf.float32),
            dense_shape=tf.constant(self.graph.shape, tf.int64),
        )
        blocks: list[tf.Tensor] = []
        for first in range(0, self.tables[0].shape[1], _COLUMNS):
            with tf.control_dependencies(blocks[-1:]):
                own = tf.identity(whole[:, first : first + _COLUMNS])
                total = self._sum_of_layers(matrix, scale, own)
                blocks.append(tf.where(is_linked, total, own) / (self._layers + 1))
        return tf.concat(blocks, axis=1)

    def _sum_of_layers(self, matrix: tf.Tensor, scale: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
        n_users = self.graph.shape[0]
        scaled = scale * own
        rows = tf.cast(scaled, self._gather)
        for _ in range(self._layers):
            passed = tf.cast(rows, tf.float32)
            sums = [
                tf.raw_ops.SparseMatrixMatMul(a=matrix, b=passed[n_users:]),
                tf.raw_ops.SparseMatrixMatMul(a=matrix, b=passed[:n_users], transpose_a=True),
            ]
            product = scale * tf.concat(sums, axis=0)
            rows = tf.cast(scaled + scale * product, self._gather)
        return tf.math.divide_no_nan(tf.cast(rows, tf.float32), scale)


def call(model: LightGCN, weights: Weights) -> Callable[..., Any]:
    """Returns what the model computes, from stored embeddings."""

    def scores(inputs: Any, **_: Any) -> tf.Tensor:
        rows = weights.once(model, lambda: embeddings(model, weights)).rows
        users, items = (tf.cast(ids, tf.int64) for ids in inputs)
        # Users and items have one table: the next row is somebody else's.
        users, items = _known(users, model.n_users), _known(items, model.n_items)
        return tf.linalg.matvec(rows(items + model.n_users), rows(users))

    return scores


def _known(ids: tf.Tensor, n: int) -> tf.Tensor:
    checks = [tf.debugging.assert_non_negative(ids), tf.debugging.assert_less(ids, np.int64(n))]
    with tf.control_dependencies(checks):
        return tf.identity(ids)


def _numpy(x: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(x))
