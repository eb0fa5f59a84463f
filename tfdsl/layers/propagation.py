"""Propagation over a graph: multiplication with the symmetrically normalised adjacency matrix.

No sparse product and no reduction is in it. Every row of the matrix is a sum of a few dozen
gathered rows at most, written out term by term, so that XLA makes one vectorised loop of it,
gathers included. Longer rows are cut into chunks, whose sums are the terms of the next level.
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfdsl import indices, schedules

# Chunks are padded to one of these numbers of terms: more widths, less padding, more kernels.
WIDTHS = (1, 2, 4, 8, 12, 16, 24, 32)
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
    """Sums of rows of one table: each bucket is an int32 array [sums, terms] of row numbers.

    `done` sums are whole rows of the product; `partial` ones are the next level's table. The
    table's last row is zero and pads.
    """

    done: list[np.ndarray]
    partial: list[np.ndarray]


class Plan(NamedTuple):
    """How a product is computed, on rows that stand in the order in which it makes them.

    `place` says where each node's row stands, [nodes]; `nodes` whose row stands at each place,
    [nodes + 1]: after all nodes comes a row of zeros, for which any node stands.
    """

    levels: list[Level]
    place: np.ndarray
    nodes: np.ndarray


def plan(indptr: np.ndarray, columns: np.ndarray, widths: tuple[int, ...] = WIDTHS) -> Plan:
    """Cuts the rows of a CSR matrix of ones into sums of at most `widths[-1]` terms."""
    n_nodes = len(indptr) - 1
    starts, lengths = np.asarray(indptr[:-1], np.int64), np.diff(indptr).astype(np.int64)
    place = np.full(n_nodes, -1, np.int64)
    rows = np.flatnonzero(lengths)
    starts, lengths = starts[rows], lengths[rows]
    terms, n_table, n_done = np.asarray(columns, np.int64), n_nodes, 0
    levels = []
    while len(rows):
        whole = lengths <= widths[-1]
        done, order = _buckets(terms, n_table, starts[whole], lengths[whole], widths)
        place[rows[whole][order]] = n_done + np.arange(whole.sum())
        n_done += int(whole.sum())
        rows, starts, lengths = rows[~whole], starts[~whole], lengths[~whole]
        # All chunks but a row's last are full, so that only the last has terms that pad.
        n_chunks = -(-lengths // widths[-1])
        first = np.cumsum(n_chunks) - n_chunks
        owner = np.repeat(np.arange(len(rows)), n_chunks)
        nth = np.arange(len(owner)) - first[owner]
        begin = nth * widths[-1]
        length = np.minimum(lengths[owner] - begin, widths[-1])
        partial, order = _buckets(terms, n_table, starts[owner] + begin, length, widths)
        levels.append(Level(done, partial))
        terms = np.empty(len(owner), np.int64)
        terms[order] = np.arange(len(owner))
        starts, lengths, n_table = first, n_chunks, len(owner)
    place[place < 0] = n_done + np.arange((place < 0).sum())
    if levels:
        moved = np.append(place, n_nodes)  # the row that pads stays last
        first_level = Level(*([moved[bucket] for bucket in part] for part in levels[0]))
        levels[0] = Level(*([bucket.astype(np.int32) for bucket in part] for part in first_level))
    return Plan(levels, place.astype(np.int32), np.append(np.argsort(place), 0).astype(np.int32))


def _buckets(
    terms: np.ndarray,
    n_table: int,
    starts: np.ndarray,
    lengths: np.ndarray,
    widths: tuple[int, ...],
) -> tuple[list[np.ndarray], np.ndarray]:
    """Returns the sums by number of terms, and their order: the i-th made is order[i]."""
    fitting = np.searchsorted(widths, lengths)
    order = np.argsort(fitting, kind="stable")
    buckets = []
    for kind, chosen in enumerate(
        np.split(order, np.searchsorted(fitting[order], range(1, len(widths))))
    ):
        if len(chosen):
            column = np.arange(widths[kind])
            at = np.minimum(starts[chosen, None] + column, len(terms) - 1)
            bucket = np.where(column < lengths[chosen, None], terms[at], n_table)
            buckets.append(bucket.astype(np.int32))
    return buckets, order


class Propagation:
    """x -> A x, with A = D^-1/2 (adjacency) D^-1/2 of an undirected graph; its own gradient.

    A is symmetric, so the gradient of the product is the product of the gradient. Isolated nodes
    get zeros. Sums are taken in a fixed order: the same bits every time on one device.

    Args:
        indptr: row starts of the graph's adjacency matrix in CSR form, [nodes + 1].
        columns: column of each stored entry, [edges]; both directions of every edge are stored.
        gather: dtype in which neighbours' rows are read, "float32" or "bfloat16"; sums are float32.
        widths: ascending numbers of terms that sums are padded to.

    Raises:
        ValueError: the matrix is not square or not symmetric, or an unknown dtype.

    Reference: He et al., 2020, "LightGCN", SIGIR, arXiv 2002.02126, equation 8.
    """

    def __init__(
        self,
        indptr: Any,
        columns: Any,
        gather: str = "float32",
        widths: tuple[int, ...] = WIDTHS,
    ) -> None:
        if gather not in GATHERS:
            raise ValueError(f"`gather` must be one of {', '.join(GATHERS)}; received {gather!r}.")
        indptr, columns = np.asarray(indptr), np.asarray(columns)
        _check(indptr, columns)
        self.n_nodes = len(indptr) - 1
        self.gather = tf.as_dtype(gather)
        made = plan(indptr, columns, widths)
        degrees = np.append(np.diff(indptr), 0)[made.nodes]
        degrees[-1] = 0
        scale = np.zeros(len(degrees), np.float32)
        scale[degrees > 0] = degrees[degrees > 0] ** -0.5
        self._levels = [
            Level(*([indices.store(bucket) for bucket in part] for part in level))
            for level in made.levels
        ]
        self._place, self._nodes = indices.store(made.place), indices.store(made.nodes)
        with tf.init_scope():
            self._scale = tf.constant(scale[:, None])

    def __call__(self, x: Any) -> tf.Tensor:
        """Returns A x, float32, for x of shape (nodes, width)."""
        return _own_gradient(self._propagated, tf.convert_to_tensor(x))

    def mean(self, x: Any, layers: int) -> tf.Tensor:
        """Returns the mean of x, A x, ... A^layers x, float32, for x of shape (nodes, width)."""
        return _own_gradient(lambda x: self._mean(x, layers), tf.convert_to_tensor(x))

    # Inside, rows stand in the plan's order, so that sums need not be put anywhere. Entries of A
    # are the scale of their row times that of their column, so no weight is gathered: rows are
    # scaled before they are added up, and the sum is.

    def _propagated(self, x: tf.Tensor) -> tf.Tensor:
        rows = self._scale * tf.gather(x, indices.load(self._nodes))
        product = self._product(tf.cast(rows, self.gather), None, tf.float32)
        return tf.gather(product, indices.load(self._place))

    def _mean(self, x: tf.Tensor, layers: int) -> tf.Tensor:
        if not layers:
            return tf.identity(x)
        # Horner's scheme, x + A(x + A(x + ...)), on scaled rows; in a loop, so that XLA compiles
        # one product and not one a layer.
        own = self._scale * tf.gather(x, indices.load(self._nodes))
        rows = tf.cast(own, self.gather)
        if layers > 1:
            _, rows = tf.while_loop(
                lambda layer, rows: layer < layers - 1,
                lambda layer, rows: (layer + 1, self._product(rows, own, self.gather)),
                (tf.constant(0), rows),
            )
        product = self._product(rows, None, tf.float32)
        return (x + tf.gather(product, indices.load(self._place))) / (layers + 1)

    def _product(self, rows: tf.Tensor, own: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        """Returns `scale * sums of neighbours' rows`, or with `own` scaled again and added to it.

        The result has a last row of zeros, as `rows` has.
        """
        width, finished = rows.shape[1], []
        for level in self._levels:
            finished += [_sum(rows, bucket) for bucket in level.done]
            if level.partial:
                parts = [_sum(rows, bucket) for bucket in level.partial]
                rows = tf.cast(tf.concat([*parts, tf.zeros([1, width])], axis=0), self.gather)
        isolated = self.n_nodes + 1 - sum(bucket.shape[0] for bucket in finished)
        product = self._scale * tf.concat([*finished, tf.zeros([isolated, width])], axis=0)
        if own is not None:
            product = own + self._scale * product
        return tf.cast(product, dtype)


def _own_gradient(function: Any, x: tf.Tensor) -> tf.Tensor:
    """Applies a symmetric linear map: its gradient is the map itself."""

    @tf.custom_gradient
    def apply(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
        return function(x), function

    return apply(x)


def _sum(table: tf.Tensor, terms: tf.Tensor) -> tf.Tensor:
    """Returns the sums of a table's rows that `terms` [sums, terms] names, float32."""
    terms = indices.load(terms)
    total = tf.cast(tf.gather(table, terms[:, 0]), tf.float32)
    for place in range(1, terms.shape[1]):
        total += tf.cast(tf.gather(table, terms[:, place]), tf.float32)
    return total


def _check(indptr: np.ndarray, columns: np.ndarray) -> None:
    n_nodes = schedules.check_count("nodes", len(indptr) - 1)
    if indptr[-1] != len(columns) or (np.diff(indptr) < 0).any():
        raise ValueError(
            f"`indptr` must rise from 0 to the number of entries, {len(columns)}; it ends with "
            f"{indptr[-1]}."
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
