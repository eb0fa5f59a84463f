"""How each model ranks items, from stored weights."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from tfdsl.export import light_gcn, serving
from tfdsl.export.search import Candidates, Search, best_of, search_of
from tfdsl.export.weights import Weights
from tfdsl.models import LightGCN, MultVAE, NeuMF

Tensor: TypeAlias = tf.Tensor


@dataclasses.dataclass(frozen=True)
class Ranker:
    """Ranks items for users.

    Attributes:
        n_items: how many there are.
        n_users: how many there are; None if a user is his history.
        rank: (users, k, seen) -> (scores, item numbers), both (users, k), see `search_of`. Users
            are int64 (batch,), or 0/1 rows of what they had, float32 (batch, n_items).
    """

    n_items: int
    n_users: int | None
    rank: Search


def ranker_of(model: keras.Model, weights: Weights, index: str, k: int, most: int) -> Ranker:
    """Returns how a model ranks items; see `search_of` for the arguments.

    Raises:
        ValueError: the model ranks nothing, or not by dot products, which the index needs.
        ImportError: see `search_of`.
    """
    for kind, make in _RANKERS.items():
        if isinstance(model, kind):
            return make(model, weights, index, k, most)
    names = ", ".join(kind.__name__ for kind in _RANKERS)
    raise ValueError(
        f"retrieval takes a model that ranks items for a user ({names}); received "
        f"{type(model).__name__}. Use tfdsl.export.saved_model."
    )


def _light_gcn(model: LightGCN, weights: Weights, index: str, k: int, most: int) -> Ranker:
    values = None
    if weights.is_plain and index != "streaming":  # the search stores the items' half itself
        table = np.asarray(keras.ops.convert_to_numpy(model.embeddings()))
        values = table[model.n_users :]
        candidates = Candidates.of(values)
        rows = weights.add("users", table[: model.n_users]).rows
    else:
        nodes = light_gcn.embeddings(model, weights)
        rows = nodes.rows
        candidates = Candidates(
            model.n_items,
            table=lambda: nodes.value()[model.n_users :],
            open=lambda: lambda of: rows(of + model.n_users),
        )
    search, held = search_of(index, candidates, k, most)
    weights.hold(held, "items", values)

    def rank(users: Tensor, k: int, seen: Tensor | None) -> tuple[Tensor, Tensor]:
        return search(rows(users), k, seen)

    return Ranker(model.n_items, model.n_users, rank)


def _mult_vae(model: MultVAE, weights: Weights, index: str, k: int, most: int) -> Ranker:
    # The last layer is a dot product with an item's weights and, by a 1 beside the query, its bias.
    kernel, bias = model.decoder_items.kernel, model.decoder_items.bias

    def table() -> Tensor:
        vectors = tf.transpose(tf.cast(weights.of(kernel).value(), tf.float32))
        biases = tf.cast(weights.of(bias).value(), tf.float32)[:, None]
        return tf.concat([vectors, biases], axis=1)

    def opened() -> Callable[[Tensor], Tensor]:
        whole = table()
        return lambda of: tf.gather(whole, of)

    values = None
    candidates = Candidates(model.n_items, table, opened)
    if weights.is_plain and index != "streaming":
        values = np.concatenate([kernel.numpy().T, bias.numpy()[:, None]], axis=1)
        candidates = Candidates.of(values)
    search, held = search_of(index, candidates, k, most)
    weights.hold(held, "items", values)

    def rank(histories: Tensor, k: int, seen: Tensor | None) -> tuple[Tensor, Tensor]:
        with serving.reading(model, weights):
            vectors = tf.cast(model.user_vectors(histories), tf.float32)
        ones = tf.ones([tf.shape(vectors)[0], 1])
        return search(tf.concat([vectors, ones], axis=1), k, seen)

    return Ranker(model.n_items, None, rank)


def _neu_mf(model: NeuMF, weights: Weights, index: str, k: int, most: int) -> Ranker:
    if index != "brute_force":
        raise ValueError(
            f"NeuMF's scores are no dot products, which index={index!r} needs. Use 'brute_force'."
        )

    def rank(users: Tensor, k: int, seen: Tensor | None) -> tuple[Tensor, Tensor]:
        with serving.reading(model, weights):
            scores = model.all_scores(users)
        return best_of(scores, k, seen)

    return Ranker(model.n_items, model.n_users, rank)


_RANKERS: dict[type, Callable[[Any, Weights, str, int, int], Ranker]] = {
    LightGCN: _light_gcn,
    MultVAE: _mult_vae,
    NeuMF: _neu_mf,
}
