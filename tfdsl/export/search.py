"""Finding the best items for a query: TensorFlow Recommenders' top-k layers, and a plain one."""

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

Tensor: TypeAlias = tf.Tensor
Search: TypeAlias = Callable[[Tensor, Any], tuple[Tensor, Tensor]]

INDEXES = ("brute_force", "streaming", "scann")
_BLOCK = 8192  # items that "streaming" scores at once


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


def search_of(index: str, candidates: Candidates, k: int) -> tuple[Search, list[Any]]:
    """Returns a function (queries, n) -> (scores, item numbers), best first, and what it holds.

    Scores are (queries, n), numbers int64. Of equal scores the lower number is first, but for
    "scann". "brute_force" is one product with all candidates, by a layer if it is to store them;
    "streaming" takes them block by block, so that only a block's scores are in memory; "scann" is
    approximate.

    Args:
        index: which.
        candidates: among what.
        k: the most that "scann" is asked for.

    Raises:
        ImportError: TensorFlow Recommenders, or for "scann" its wheel, is not there.
    """
    if index == "scann":
        return _scann(_layers(), candidates, k)
    if index == "brute_force" and candidates.values is None:
        return _product(candidates), []  # the layer would keep another table than there is
    if index == "brute_force":
        layer = _layers().BruteForce(k=k).index(tf.constant(candidates.values))
        return _numbered(layer), layer.weights
    layer = _layers().Streaming(k=k)

    def search(queries: Tensor, n: Any) -> tuple[Tensor, Tensor]:
        rows = candidates.open()

        def numbered_rows(block: Tensor) -> tuple[Tensor, Tensor]:
            of = tf.range(block * _BLOCK, tf.minimum((block + 1) * _BLOCK, candidates.n))
            return of, rows(of)

        blocks = tf.data.Dataset.range(-(-candidates.n // _BLOCK)).map(numbered_rows)
        return _numbered(layer.index_from_dataset(blocks))(queries, n)

    return search, layer.weights


def _product(candidates: Candidates) -> Search:
    def search(queries: Tensor, n: Any) -> tuple[Tensor, Tensor]:
        scores, numbers = tf.math.top_k(tf.matmul(queries, candidates.table(), transpose_b=True), n)
        return scores, tf.cast(numbers, tf.int64)

    return search


def _numbered(layer: Any) -> Search:
    def search(queries: Tensor, n: Any) -> tuple[Tensor, Tensor]:
        scores, numbers = layer(queries, k=n)
        return scores, tf.cast(numbers, tf.int64)

    return search


def _scann(layers: Any, candidates: Candidates, k: int) -> tuple[Search, list[Any]]:
    if candidates.values is None:
        raise ValueError(
            "ScaNN keeps its own form of float32 vectors. Use storage='dense' and "
            "values='float32', or index='streaming'."
        )
    try:
        layer = layers.ScaNN(k=k).index(tf.constant(candidates.values))
    except ImportError as error:
        raise ImportError(
            f"index='scann' needs the package scann, built for this TensorFlow, {tf.__version__}: "
            "pip install scann. index='brute_force' and 'streaming' need nothing, and are exact."
        ) from error
    return _numbered(layer), [layer]


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
