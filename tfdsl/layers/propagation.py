"""Propagation over a graph: multiplication with the symmetrically normalised adjacency matrix.

No sparse product and no reduction is in it. Every row of the matrix is a sum of a few dozen
gathered rows at most, written out term by term, so that XLA makes one vectorised loop of it,
gathers included. Longer rows are cut into chunks, whose sums are the terms of the next level.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfdsl import checks, gradients, indices

# Terms of a sum on each level, the last also on all further ones. One width a level makes few
# kernels, which a GPU is paid for with padding: 1.4 terms an edge on LightGCN's graphs.
WIDTHS = (24, 8, 16)
GATHERS = ("float32", "bfloat16")


def bipartite(indptr: Any, columns: Any, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns row starts and columns of the graph between rows and columns of a CSR matrix.

    Its nodes are the rows, then the columns; every entry is an edge, stored in both directions.
    """
    n_rows = len(indptr) - 1
    rows = np.repeat(np.arange(n_rows), np.diff(indptr))
    columns = np.asarray(columns) + n_rows
    sources, targets = np.concatenate([rows, columns]), np.concatenate([columns, rows])
    starts = np.bincount(sources, minlength=n_rows + n_columns).cumsum()
    return np.concatenate([[0], starts]), targets[np.lexsort((targets, sources))]


class Level(NamedTuple):
    """Sums of rows of one table, each part an int32 array [sums, terms] of row numbers.

    `done` sums are whole rows of the product; `partial` ones are the next level's table. Every
    table ends with a row of zeros more, which pads.
    """

    done: Any
    partial: Any


class Plan(NamedTuple):
    """How a product is computed, on rows that stand in the order in which it makes them.

    `place` says where each node's row stands, [nodes]; `nodes` whose row stands at each place,
    [nodes + 1]: after all nodes comes a row of zeros, for which any node stands.
    """

    levels: list[Level]
    place: np.ndarray
    nodes: np.ndarray


def plan(indptr: np.ndarray, columns: np.ndarray, widths: tuple[int, ...] = WIDTHS) -> Plan:
    """Cuts the rows of a CSR matrix of ones into sums of at most `widths[level]` terms."""
    n_nodes = len(indptr) - 1
    place = np.empty(n_nodes, np.int64)
    rows, n_placed = np.arange(n_nodes), 0
    starts, lengths = np.asarray(indptr[:-1], np.int64), np.diff(indptr).astype(np.int64)
    terms, pad = np.asarray(columns, np.int64), n_nodes
    levels: list[Level] = []
    while len(rows):
        width = min(widths[min(len(levels), len(widths) - 1)], max(int(lengths.max()), 1))
        n_chunks = np.maximum(-(-lengths // width), 1)  # an isolated node's is a sum of nothing
        order = np.argsort(n_chunks > 1, kind="stable")
        rows, starts, lengths, n_chunks = (of[order] for of in (rows, starts, lengths, n_chunks))
        n_done = int((n_chunks == 1).sum())
        place[rows[:n_done]] = n_placed + np.arange(n_done)
        n_placed += n_done
        first = np.cumsum(n_chunks) - n_chunks
        owner = np.repeat(np.arange(len(rows)), n_chunks)
        nth = np.arange(len(owner)) - first[owner]
        at = (nth * width)[:, None] + np.arange(width)
        real = at < lengths[owner, None]
        sums = np.full(at.shape, pad, np.int64)
        sums[real] = terms[(starts[owner, None] + at)[real]]
        levels.append(Level(sums[:n_done], sums[n_done:]))
        terms, pad = np.arange(len(owner) - n_done), len(owner) - n_done
        rows, starts, lengths = rows[n_done:], first[n_done:] - n_done, n_chunks[n_done:]
    moved = np.append(place, n_nodes)  # the row that pads stays last
    levels[0] = Level(*(moved[part] for part in levels[0]))
    levels = [Level(*(part.astype(np.int32) for part in level)) for level in levels]
    return Plan(levels, place.astype(np.int32), np.append(np.argsort(place), 0).astype(np.int32))


class Propagation:
    """x -> A x, with A = D^-1/2 (adjacency) D^-1/2 of an undirected graph; its own gradient.

    A is symmetric, so the gradient of the product is the product of the gradient. Isolated nodes
    get zeros. Sums are taken in a fixed order: the same bits every time on one device.

    Args:
        indptr: row starts of the graph's adjacency matrix in CSR form, [nodes + 1].
        columns: column of each stored entry, [edges]; both directions of every edge are stored.
        gather: dtype of rows that are read and passed on, "float32" or "bfloat16", which halves
            the bytes; sums are float32.
        widths: how many terms a sum has on each level; the last holds for all further levels.

    Raises:
        ValueError: the matrix is not square or not symmetric, an unknown dtype, or unfit widths.

    Reference: He et al., 2020, "LightGCN", SIGIR, arXiv 2002.02126, equation 8.
    """

    def __init__(
        self,
        indptr: Any,
        columns: Any,
        gather: str = "float32",
        widths: tuple[int, ...] = WIDTHS,
    ) -> None:
        checks.choice("gather", gather, GATHERS)
        widths = checks.counts("widths", widths)
        if not widths or widths[-1] < 2:
            raise ValueError(f"`widths` must be 1 or more, the last 2 or more; received {widths}.")
        indptr, columns = np.asarray(indptr), np.asarray(columns)
        _check(indptr, columns)
        self.n_nodes = len(indptr) - 1
        self.gather = tf.as_dtype(gather)
        made = plan(indptr, columns, widths)
        degrees = np.append(np.diff(indptr), 0)[made.nodes]
        degrees[-1] = 0
        scale = np.zeros(len(degrees), np.float32)
        scale[degrees > 0] = degrees[degrees > 0] ** -0.5
        self._levels = [Level(*(indices.store(part) for part in level)) for level in made.levels]
        self._place, self._nodes = indices.store(made.place), indices.store(made.nodes)
        with tf.init_scope():
            self._scale = tf.constant(scale[:, None])

    # Inside, rows stand in the plan's order, so that sums need not be put anywhere. Entries of A
    # are the scale of their row times that of their column, so no weight is gathered: rows are
    # scaled before they are added up, and the sum is.

    @property
    def n_terms(self) -> int:
        """Rows that a product reads: one an edge, partial sums, and what pads."""
        return sum(math.prod(part.shape) for level in self._levels for part in level)

    def __call__(self, x: Any) -> tf.Tensor:
        """Returns A x, float32, for x of shape (nodes, width) and any float dtype.

        Raises:
            ValueError: x has another shape.
        """

        @tf.custom_gradient
        def apply(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
            return self._propagated(x), self._propagated

        return apply(self._table(x))

    def mean(self, x: Any, layers: int, nodes: Any = None) -> tf.Tensor:
        """Returns rows of the mean of x, A x, ... A^layers x, float32.

        Args:
            x: (nodes, width), any float dtype.
            layers: how often to propagate at most.
            nodes: integers of any shape, whose rows to return; all nodes in their order if None.

        Raises:
            ValueError: x has another shape, or a number of layers below 0.
        """
        x, layers = self._table(x), checks.count("layers", layers, least=0)
        place = indices.load(self._place)
        places = place if nodes is None else tf.gather(place, nodes)

        def all_rows(own: tf.Tensor) -> tf.Tensor:
            return tf.gather(self._mean(own, layers), place)

        def in_order(x: tf.Tensor) -> tf.Tensor:
            return tf.gather(x, indices.load(self._nodes))

        @tf.custom_gradient
        def apply(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
            def gradient(upstream: tf.Tensor) -> tf.Tensor:
                if nodes is None:
                    return all_rows(in_order(upstream))
                rows, at = tf.reshape(upstream, [-1, x.shape[1]]), tf.reshape(places, [-1])
                return all_rows(gradients.sum_rows(rows, at, self.n_nodes + 1))

            return tf.gather(self._mean(in_order(x), layers), places), gradient

        return apply(x)

    def _table(self, x: Any) -> tf.Tensor:
        x = tf.convert_to_tensor(x)
        if x.shape.rank != 2 or x.shape[0] not in (None, self.n_nodes):
            raise ValueError(
                f"`x` must have one row for each of the graph's {self.n_nodes} nodes, shape "
                f"({self.n_nodes}, width); received shape {tuple(x.shape)}."
            )
        return tf.cast(x, tf.float32)

    def _propagated(self, x: tf.Tensor) -> tf.Tensor:
        rows = self._scale * tf.gather(x, indices.load(self._nodes))
        product = self._product(tf.cast(rows, self.gather))
        return tf.gather(product, indices.load(self._place))

    def _mean(self, own: tf.Tensor, layers: int) -> tf.Tensor:
        """Returns the mean for rows in the plan's order, in that order."""
        if not layers:
            return own
        # Horner's scheme, x + A(x + A(x + ...)), on scaled rows, and their scale taken off again.
        # All in a loop: XLA compiles one product, and what it makes of it stays as it is.
        scaled = self._scale * own
        _, rows = tf.while_loop(
            lambda layer, rows: layer < layers,
            lambda layer, rows: (
                layer + 1,
                tf.cast(scaled + self._scale * self._product(rows), self.gather),
            ),
            (tf.constant(0), tf.cast(scaled, self.gather)),
        )
        total = tf.math.divide_no_nan(tf.cast(rows, tf.float32), self._scale)
        return tf.where(self._scale > 0, total, own) / (layers + 1)

    def _product(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns `scale * sums of neighbours' rows`, float32; its last row is zeros as `rows`'."""
        table, finished = rows, []
        for level in self._levels:
            finished.append(_sum(table, level.done))
            table = _padded([_sum(table, level.partial)], self.gather)
        return self._scale * _padded(finished, tf.float32)


def _padded(parts: list[tf.Tensor], dtype: tf.DType) -> tf.Tensor:
    """Returns a table of all parts' rows and the row of zeros."""
    # Also the barrier without which XLA would compute a sum again wherever it is a term.
    zeros = tf.zeros([1, parts[0].shape[1]], parts[0].dtype)
    return tf.cast(tf.concat([*parts, zeros], axis=0), dtype)


def _sum(table: tf.Tensor, terms: tf.Tensor) -> tf.Tensor:
    """Returns the sums of a table's rows that `terms` [sums, terms] names, float32."""
    terms = indices.load(terms)
    total = tf.cast(tf.gather(table, terms[:, 0]), tf.float32)
    for place in range(1, terms.shape[1]):
        total += tf.cast(tf.gather(table, terms[:, place]), tf.float32)
    return total


def _check(indptr: np.ndarray, columns: np.ndarray) -> None:
    n_nodes = checks.count("nodes", len(indptr) - 1)
    kinds = {indptr.dtype.kind, columns.dtype.kind if len(columns) else "i"}
    if not kinds <= {"i", "u"} or indptr[0] or indptr[-1] != len(columns):
        rises = False
    else:
        rises = bool((np.diff(indptr.astype(np.int64)) >= 0).all())
    if not rises:
        raise ValueError(
            f"`indptr` and `columns` must be integers, `indptr` rising from 0 to the number of "
            f"entries, {len(columns)}; received {indptr.dtype} {indptr} and {columns.dtype}."
        )
    if len(columns) and not 0 <= columns.min() <= columns.max() < n_nodes:
        raise ValueError(
            f"The adjacency matrix must be square: columns must be in 0..{n_nodes - 1}; received "
            f"{columns.min()} to {columns.max()}."
        )
    rows = np.repeat(np.arange(n_nodes), np.diff(indptr))
    ahead = np.lexsort((columns, rows))
    back = np.lexsort((rows, columns))
    if (rows[ahead] != columns[back]).any() or (columns[ahead] != rows[back]).any():
        raise ValueError(
            "The adjacency matrix must be symmetric: every edge must be stored in both "
            "directions; received an edge in one only."
        )
