"""Top-k evaluation: every user's ranking of all items he has not seen, or of a sample."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from tfdsl import checks
from tfdsl.csr import CSRMatrix, check_csr

Tensor: TypeAlias = tf.Tensor
Score: TypeAlias = Callable[[Any], Tensor]


def evaluate(
    score: Score,
    seen: CSRMatrix,
    relevant: CSRMatrix,
    ks: Sequence[int] = (20, 50),
    batch_size: int = 500,
    standard_errors: bool = False,
) -> dict[str, float]:
    """Ranks the whole catalogue for every user and returns the means of `top_k_metrics`.

    Users with no relevant item are neither scored nor counted in the means. Items a user has seen
    are never recommended; one that is relevant as well cannot be found and counts as missed.
    Equal scores rank the item of lower number first. At most `batch_size` rows are dense at any
    time, and every batch has the same shape (the last is filled up with its last user), so that
    the ranking, and `score` if it is a `tf.function`, is traced once.

    Args:
        score: takes the row numbers of some users, int64 [batch], and returns their scores,
            [batch, n_items], the higher the better. It looks up itself what a model needs:
            fold-in rows, user ids.
        seen: what the users had, CSR [users, n_items], such as a `scipy.sparse.csr_array`.
        relevant: what they are asked for, CSR of the same shape.
        ks: lengths of the recommended list.
        batch_size: users ranked at once.
        standard_errors: whether to return these too.

    Returns:
        Mean over users of every metric of `top_k_metrics`, for every k; under its name with "_se"
        the standard error of that mean, as other users of the same kind would have it: the standard
        deviation over users / sqrt(users), NaN for one user.

    Raises:
        ValueError: k outside 1..n_items, matrices that are not CSR or of unequal shape, no user
            with a relevant item, scores of another shape or not finite.

    Example:
        def score(rows):
            return model(fold_in[rows].toarray(), training=False)

        evaluate(score, seen=fold_in, relevant=held_out, ks=(20, 50))
    """
    _check(seen, relevant, ks)
    users = np.flatnonzero(np.diff(relevant.indptr))
    if not len(users):
        raise ValueError(
            f"None of the {relevant.shape[0]} users has a relevant item, so there is nothing to "
            "evaluate; check the split."
        )
    size = min(checks.count("batch_size", batch_size), len(users))
    parts = []
    for start in range(0, len(users), size):
        rows = users[start : start + size]
        padded = np.pad(rows, (0, size - len(rows)), mode="edge")
        scores = tf.convert_to_tensor(score(padded))
        if scores.shape != (size, relevant.shape[1]):
            raise ValueError(
                f"`score` must return one score an item for each of {size} users, shape "
                f"({size}, {relevant.shape[1]}); received shape {tuple(scores.shape)}."
            )
        entries = (_entries(matrix, padded) for matrix in (seen, relevant))
        values, finite = _rank(scores, *entries, tuple(ks))
        if not finite.numpy().all():
            row = padded[np.argmin(finite.numpy())]
            raise ValueError(
                f"The scores of user row {row} are not finite, so they cannot be ranked; look "
                "for a diverged training run or an input that is not a number."
            )
        parts.append({name: value.numpy()[: len(rows)] for name, value in values.items()})
    of_users = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return _means(of_users, standard_errors)


def evaluate_sampled(
    score: Callable[[Any, Any], Tensor],
    users: Any,
    items: Any,
    ks: Sequence[int] = (10,),
    batch_size: int = 500,
    standard_errors: bool = False,
) -> dict[str, float]:
    """Ranks one relevant item of each user among sampled others ("leave one out").

    Of equal scores the relevant item's ranks last, so that scores that are all alike find
    nothing. Where it occurs among the others as well, that one is not counted. Sampled metrics
    can order models differently than those of the whole catalogue (Krichene and Rendle 2020,
    "On Sampled Metrics for Item Recommendation", KDD): use `evaluate` beside it.

    Args:
        score: takes users, integer [batch], and items, integer [batch, n], and returns their
            scores, [batch, n]; every batch has the same shape.
        users: integer [users].
        items: integer [users, n]; the first of each user is the relevant one.
        ks: lengths of the list.
        batch_size: users ranked at once.
        standard_errors: whether to return these too; see `evaluate`.

    Returns:
        `sampled_hit_rate@k` and `sampled_ndcg@k` for every k: means over users of whether the
        relevant item is among the first k, and of 1 / log2(rank + 1) if it is.

    Raises:
        ValueError: no user, k outside 1..n, scores of another shape or not finite.

    Reference: He et al., 2017, "Neural Collaborative Filtering", WWW, arXiv 1708.05031.
    """
    users, items = np.asarray(users), np.asarray(items)
    if items.ndim != 2 or users.shape != items.shape[:1] or not len(users):
        raise ValueError(
            f"`users` must be [users] and `items` [users, n], with at least one user; received "
            f"shapes {users.shape} and {items.shape}."
        )
    for k in ks:
        _check_k(k, items.shape[1])
    size = min(checks.count("batch_size", batch_size), len(users))
    ranks = []
    for start in range(0, len(users), size):
        rows = np.minimum(np.arange(start, start + size), len(users) - 1)
        scores = tf.convert_to_tensor(score(users[rows], items[rows])).numpy()
        if scores.shape != items[rows].shape:
            raise ValueError(
                f"`score` must return one score an item, shape {items[rows].shape}; received "
                f"shape {scores.shape}."
            )
        if not np.isfinite(scores).all():
            raise ValueError(
                "Some scores are not finite, so they cannot be ranked; look for a diverged "
                "training run or an input that is not a number."
            )
        above = (scores[:, 1:] >= scores[:, :1]) & (items[rows, 1:] != items[rows, :1])
        ranks.append(1 + above.sum(axis=1)[: len(users) - start])
    rank = np.concatenate(ranks)
    of_users = {}
    for k in ks:
        of_users[f"sampled_hit_rate@{k}"] = rank <= k
        of_users[f"sampled_ndcg@{k}"] = np.where(rank <= k, 1 / np.log2(rank + 1), 0)
    return _means(of_users, standard_errors)


def _means(of_users: dict[str, np.ndarray], standard_errors: bool) -> dict[str, float]:
    means = {name: float(values.mean(dtype=np.float64)) for name, values in of_users.items()}
    if not standard_errors:
        return means
    errors = {
        f"{name}_se": float(values.std(ddof=1, dtype=np.float64) / np.sqrt(len(values)))
        if len(values) > 1
        else float("nan")
        for name, values in of_users.items()
    }
    return means | errors


def top_k_metrics(hits: Tensor, n_relevant: Tensor, k: int) -> dict[str, Tensor]:
    """Returns each user's metrics of the first `k` items of his ranking; a pure function.

    Relevance is 0 or 1. A user with no relevant item gets 0 everywhere. With h the number of
    hits among the first k, r the number of relevant items and the gain of rank i (from 1)
    1 / log2(i + 1):
    - `recall@k`: h / r;
    - `truncated_recall@k`: h / min(k, r), which can reach 1 for every user; the "recall" of Liang
      et al. 2018 (arXiv 1802.05814) and of the published DSL code;
    - `ndcg@k`: gains of the hits over those of min(k, r) hits at the top (Jarvelin and
      Kekalainen 2002);
    - `hit_rate@k`: whether h > 0.

    Args:
        hits: whether the item at each rank is relevant, bool [users, at least k].
        n_relevant: number of relevant items, integer [users].
        k: how many ranks count.

    Returns:
        float32 [users] by name.

    Raises:
        ValueError: k is below 1 or more than the ranks given.
    """
    _check_k(k, hits.shape[1])
    hits = tf.cast(hits[:, :k], tf.float32)
    found = tf.reduce_sum(hits, axis=1)
    reachable = tf.minimum(n_relevant, tf.cast(k, n_relevant.dtype))
    gains = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(gains)])
    # Not a matrix product, which a GPU may round to TensorFloat-32's ten bits.
    gained = tf.reduce_sum(hits * tf.constant(gains, tf.float32), axis=1)
    return {
        f"recall@{k}": tf.math.divide_no_nan(found, tf.cast(n_relevant, tf.float32)),
        f"truncated_recall@{k}": tf.math.divide_no_nan(found, tf.cast(reachable, tf.float32)),
        f"ndcg@{k}": tf.math.divide_no_nan(
            gained, tf.gather(tf.constant(ideal, tf.float32), reachable)
        ),
        f"hit_rate@{k}": tf.minimum(found, 1.0),
    }


@tf.function(autograph=False, reduce_retracing=True)
def _rank(
    scores: Tensor, seen: Tensor, relevant: Tensor, ks: tuple[int, ...]
) -> tuple[dict[str, Tensor], Tensor]:
    """Returns the metrics of a batch, and whether each user's scores are finite.

    What users have seen and are asked for comes as entries, [n, 2], and is spread out where the
    scores are: a batch of masks is too much to hand to a GPU.
    """
    scores = tf.cast(scores, tf.float32)
    finite = tf.reduce_all(tf.math.is_finite(scores), axis=1)
    lowest = tf.constant(-np.inf, tf.float32)
    lows = tf.fill([tf.shape(seen)[0]], lowest)
    best, items = tf.math.top_k(tf.tensor_scatter_nd_update(scores, seen, lows), max(ks))
    ones = tf.ones([tf.shape(relevant)[0]])
    is_relevant = tf.tensor_scatter_nd_update(tf.zeros_like(scores), relevant, ones)
    # Who has seen nearly everything gets seen items in his list: they are no hits.
    hits = (tf.gather(is_relevant, items, batch_dims=1) > 0) & (best > lowest)
    n_relevant = tf.math.count_nonzero(is_relevant, axis=1, dtype=tf.int32)
    values: dict[str, Tensor] = {}
    for k in ks:
        values |= top_k_metrics(hits, n_relevant, k)
    return values, finite


def _entries(matrix: CSRMatrix, rows: Any) -> Tensor:
    """Returns the stored entries of some rows, int32 [n, 2]: place in `rows`, column."""
    starts, counts = matrix.indptr[rows], np.diff(matrix.indptr)[rows]
    place = np.repeat(np.arange(len(rows)), counts)
    first = np.cumsum(counts) - counts
    at = np.arange(len(place)) + np.repeat(starts - first, counts)
    # A tensor, so that batches of other lengths are not traced again.
    return tf.constant(np.stack([place, matrix.indices[at]], axis=1), tf.int32)


def _check(seen: CSRMatrix, relevant: CSRMatrix, ks: Sequence[int]) -> None:
    for name, matrix in (("seen", seen), ("relevant", relevant)):
        check_csr(name, matrix)
    if tuple(seen.shape) != tuple(relevant.shape):
        raise ValueError(
            f"`seen` and `relevant` must have one row a user and one column an item, both alike; "
            f"received shapes {seen.shape} and {relevant.shape}."
        )
    if not isinstance(ks, Sequence) or not ks:
        raise ValueError(
            f"`ks` must be a list of at least one length, such as (20, 50); received {ks!r}."
        )
    for k in ks:
        _check_k(k, seen.shape[1])


def _check_k(k: int, n_items: int) -> None:
    if checks.count("k", k) > n_items:
        raise ValueError(f"`k` must not be more than the {n_items} items there are; received {k}.")
