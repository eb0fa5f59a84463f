"""Finding the best items for a query: TensorFlow Recommenders' top-k layers, and a plain one."""

import dataclasses
import functools
import math
import os
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

Tensor: TypeAlias = tf.Tensor
Search: TypeAlias = Callable[[Tensor, int, Tensor | None], tuple[Tensor, Tensor]]

INDEXES = ("brute_force", "streaming", "scann")
_BLOCK = 8192  # items that "streaming" scores at once
_LEAST = 16  # items that "scann" can put into clusters
_FEW = 10_000  # items that "scann" looks at all of


@dataclasses.dataclass(frozen=True)
class Candidates:
    """Items' vectors, whose dot product with a query is their score.

    Attributes:
        n: how many items.
        table: returns all vectors, float32 (items, width); called in every request.
        open: called in every request: returns a function from item numbers, int64, to their
            vectors, float32 (numbers, width).
        values: all vectors, if the search is to store them itself.
    """

    n: int
    table: Callable[[], Tensor]
    open: Callable[[], Callable[[Tensor], Tensor]]
    values: np.ndarray | None = None

    @classmethod
    def of(cls, values: np.ndarray) -> "Candidates":
        """Returns vectors that the search is to store, float32 (items, width)."""
        return cls(
            len(values),
            lambda: tf.constant(values),
            lambda: functools.partial(tf.gather, tf.constant(values)),
            values,
        )


def search_of(
    index: str, candidates: Candidates, k: int, most: int = 0
) -> tuple[Search, list[Any]]:
    """Returns a function (queries, k, seen) -> (scores, item numbers), and what it holds.

    `seen` is bool (queries, items), or None: items that are left out; where fewer than k are left,
    scores end in -inf. Scores are (queries, k), best first, numbers int64; of equal scores the
    lower number is first, but for "scann". "brute_force" is one product with all candidates, by a
    layer if it is to store them; "streaming" takes them block by block, so that only a block's
    scores are in memory; "scann" is approximate, and may find fewer.

    Args:
        index: which.
        candidates: among what.
        k: what it is asked for.
        most: how many items a user has seen at most, as far as it is known.

    Raises:
        ImportError: TensorFlow Recommenders, or for "scann" its wheel, is not there.
    """
    if index == "scann":
        return _scann(_layers(), candidates, k, most)
    if index == "brute_force" and candidates.values is None:
        return _product(candidates.table), []  # the layer would keep another table than there is
    if index == "brute_force":
        return _brute_force(_layers(), candidates, k)
    layer = _layers().Streaming(k=k)

    def search(queries: Tensor, k: int, seen: Tensor | None) -> tuple[Tensor, Tensor]:
        rows = candidates.open()

        def numbered_rows(block: Tensor) -> tuple[Tensor, Tensor]:
            of = tf.range(block * _BLOCK, tf.minimum((block + 1) * _BLOCK, candidates.n))
            return of, rows(of)

        blocks = tf.data.Dataset.range(-(-candidates.n // _BLOCK)).map(numbered_rows)
        return _filtered(layer.index_from_dataset(blocks))(queries, k, seen)

    return search, layer.weights


def best_of(scores: Tensor, k: int, seen: Tensor | None) -> tuple[Tensor, Tensor]:
    """Returns the best scores and their numbers, as a search does, of those of all items."""
    scores, numbers = tf.math.top_k(scores if seen is None else _left_out(scores, seen), k)
    return scores, tf.cast(numbers, tf.int64)


def _left_out(scores: Tensor, seen: Tensor) -> Tensor:
    return tf.where(seen, tf.constant(-np.inf, scores.dtype), scores)


def _product(table: Callable[[], Tensor]) -> Search:
    def search(queries: Tensor, k: int, seen: Tensor | None) -> tuple[Tensor, Tensor]:
        return best_of(tf.matmul(queries, table(), transpose_b=True), k, seen)

    return search


def _brute_force(layers: Any, candidates: Candidates, k: int) -> tuple[Search, list[Any]]:
    layer = layers.BruteForce(k=k).index(tf.constant(candidates.values))
    (table,) = (weight for weight in layer.weights if weight.dtype.is_floating)
    among_all, among_rest = _filtered(layer), _product(lambda: table)

    def search(queries: Tensor, k: int, seen: Tensor | None) -> tuple[Tensor, Tensor]:
        # The layer would have to be asked for as many more as the user who has seen most.
        return (among_all if seen is None else among_rest)(queries, k, seen)

    return search, layer.weights


def _filtered(layer: Any) -> Search:
    """Returns the search of a layer, which knows nothing of what is seen: it is asked for more."""

    def search(queries: Tensor, k: int, seen: Tensor | None) -> tuple[Tensor, Tensor]:
        if seen is None:
            scores, numbers = layer(queries, k=k)
            return scores, tf.cast(numbers, tf.int64)
        most = tf.reduce_max(tf.math.count_nonzero(seen, axis=1, dtype=tf.int32))
        # Of no queries, `most` is the least integer.
        n = tf.minimum(k + tf.maximum(most, 0), tf.shape(seen)[1])
        scores, numbers = layer(queries, k=n)
        numbers = tf.cast(numbers, tf.int64)
        scores, at = tf.math.top_k(_left_out(scores, tf.gather(seen, numbers, batch_dims=1)), k)
        return scores, tf.gather(numbers, at, batch_dims=1)

    return search


def _scann(layers: Any, candidates: Candidates, k: int, most: int) -> tuple[Search, list[Any]]:
    if candidates.values is None:
        raise ValueError(
            "ScaNN keeps its own form of float32 vectors. Use storage='dense' and "
            "values='float32', or index='streaming'."
        )
    if candidates.n < _LEAST:
        raise ValueError(
            f"ScaNN needs at least {_LEAST} items; received {candidates.n}. Use 'brute_force'."
        )
    # The layer's own 100 leaves are too many for a hundred items, and without reordering the best
    # of its short codes it finds 0.90 of Gowalla's best 20 (of spectral factors), with it 0.99.
    n_leaves = math.isqrt(candidates.n)
    n_searched = -(-n_leaves // 4) if candidates.n > _FEW else n_leaves
    try:
        layer = layers.ScaNN(
            k=k,
            num_leaves=n_leaves,
            num_leaves_to_search=n_searched,
            num_reordering_candidates=min(candidates.n, max(10 * k, k + most)),
        ).index(tf.constant(candidates.values))
    except ImportError as error:
        raise ImportError(
            f"index='scann' needs the package scann, built for this TensorFlow, {tf.__version__}: "
            "pip install scann. index='brute_force' and 'streaming' need nothing, and are exact."
        ) from error

    def found(queries: Tensor, k: Any) -> tuple[Tensor, Tensor]:
        # What it does not find is item 0 with a score of NaN, or not there.
        scores, numbers = layer(queries, k=k)
        scores = tf.where(tf.math.is_nan(scores), -np.inf, scores)
        missing = [[0, 0], [0, tf.maximum(k - tf.shape(scores)[1], 0)]]
        return tf.pad(scores, missing, constant_values=-np.inf), tf.pad(numbers, missing)

    return _filtered(found), [layer]


def _layers() -> Any:
    """Returns TensorFlow Recommenders' top-k layers.

    They are of Keras 2, as what `tf.keras` is in this process from then on, unless it was Keras 3
    before; `import keras` stays Keras 3.
    """
    before = os.environ.get("TF_USE_LEGACY_KERAS")
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    try:
        from tensorflow_recommenders.layers import factorized_top_k
    except ModuleNotFoundError as error:
        raise ImportError(
            f"A retrieval export needs {error.name}: pip install 'tfdsl[tfrs]'."
        ) from error
    except tf.errors.OpError as error:
        raise ImportError(
            "TensorFlow Recommenders loads the package scann that is installed, which is not built "
            f"for TensorFlow {tf.__version__}: install one that is, or uninstall it. ({error})"
        ) from error
    except (ImportError, AttributeError, TypeError) as error:
        raise ImportError(
            "TensorFlow Recommenders needs tf.keras to be Keras 2, and it has been used as Keras 3 "
            "here ('import keras' is no matter). Set TF_USE_LEGACY_KERAS=1 before TensorFlow is "
            "imported, or export in a process that does not use tf.keras."
        ) from error
    finally:
        if before is None:
            del os.environ["TF_USE_LEGACY_KERAS"]
        else:
            os.environ["TF_USE_LEGACY_KERAS"] = before
    return factorized_top_k
