"""Which items for this user: a SavedModel that answers with the ids a service has."""

import numbers
import os
from collections.abc import Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from tfdsl import checks
from tfdsl.csr import CSRMatrix, check_csr
from tfdsl.export import folder, packing, rankers, search, serving, weights
from tfdsl.export.report import ExportReport
from tfdsl.export.stored import StoredRows

Tensor: TypeAlias = tf.Tensor


def retrieval(
    model: keras.Model,
    interactions: CSRMatrix | None,
    path: str | os.PathLike[str],
    k: int = 20,
    index: str = "brute_force",
    storage: str = "dense",
    values: str = "float32",
    users: Sequence[Any] | None = None,
    items: Sequence[Any] | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Writes a SavedModel that answers which `k` items are best for a user.

    It is read without tfdsl and Keras. Keep what `tf.saved_model.load` returns for as long as its
    functions are used. Its signatures return "items" and "scores", both (batch, k), best first:

    - "serving_default": among all items;
    - "unseen": without those of `interactions`, or of the history that is given. Where fewer than
      k are left, scores end in -inf, and items in -1 or "".

    They take "users", ids (batch,); one that is not known is refused, by its name. Of a MultVAE,
    who knows users by what they had, they take "history", item ids (batch, any length), shorter
    ones filled up with -1 or ""; ids that are not known are left out.

    Args:
        model: LightGCN, NeuMF, or MultVAE.
        interactions: what users had, CSR [users, items]; None leaves "unseen" out. Not for a
            MultVAE.
        path: the folder to write; for TensorFlow Serving a number in the folder of the model.
        k: length of the list.
        index: "brute_force": one product with all items; "streaming": block by block, in less
            memory, slower; "scann": approximate (it may find fewer than k too), with the package
            scann here and wherever it is served. The layers are TensorFlow Recommenders'; where the
            vectors are packed, short, or propagated when loaded, "brute_force" needs none. NeuMF's
            scores are no dot products, so it takes "brute_force" alone.
        storage: "dense" is there at once: of a LightGCN the propagated table. "packed" is smallest
            on disk: the table before that and the graph, which is propagated when it is loaded;
            kernels are unpacked then.
        values: dtype of stored values, see `saved_model`.
        users: the users' ids, integers or strings, in the order of their numbers; None for those.
        items: the items' ids; none is -1 or "".
        overwrite: whether an export that is at `path` is replaced.

    Returns:
        What was written.

    Raises:
        ValueError: an argument outside its range, such as ids of another number, or a model that
            ranks nothing.
        ImportError: TensorFlow Recommenders (`pip install 'tfdsl[tfrs]'`) or scann is not there.
        FileExistsError: there is something at `path`, and not `overwrite`.

    Example:
        tfdsl.export.retrieval(model, train, "served/1", k=10, items=item_names)
        served = tf.saved_model.load("served/1")
        served.signatures["unseen"](users=tf.constant([3], tf.int64))
    """
    checks.choice("index", index, search.INDEXES)
    checks.choice("storage", storage, weights.STORAGES)
    checks.choice("values", values, packing.VALUES)
    if not isinstance(model, keras.Model) or not model.built:
        raise ValueError(f"retrieval takes a built keras.Model; received {model!r}.")
    with folder.written(path, overwrite) as (partial, manifest):
        stored = weights.Weights(
            model, storage, values, "rows", serving.tables_of(model), unpack="load"
        )
        if interactions is not None:
            check_csr("interactions", interactions)
        most = 0 if interactions is None else int(np.diff(interactions.indptr).max(initial=0))
        k = checks.count("k", k)
        ranker = rankers.ranker_of(model, stored, index, k, most)
        if k > ranker.n_items:
            raise ValueError(f"`k` must be at most the {ranker.n_items} items; received {k}.")
        asked = _Users(ranker, stored, interactions, users, items)
        names = _Names(ranker.n_items, items)
        module = tf.Module()
        module.functions = {
            name: _function(ranker, asked, names, k, unseen)
            for name, unseen in (("serving_default", False), ("unseen", True))
            if not unseen or asked.has_seen
        }
        module.weights, module.others = stored.stored, [*stored.others, asked, names]
        tf.saved_model.save(module, str(partial), signatures=module.functions)
        manifest |= {
            "kind": "retrieval",
            "index": index,
            "k": k,
            "storage": storage,
            "values": values,
            "weights": stored.entries,
        }
    return ExportReport.of(path, stored.rows)


_ID_KINDS = (numbers.Integral, str, bytes)


def _function(
    ranker: rankers.Ranker, asked: "_Users", names: "_Names", k: int, unseen: bool
) -> Any:
    def retrieve(given: Tensor) -> dict[str, Tensor]:
        users = asked.numbers(given)
        scores, numbers = ranker.rank(users, k, asked.seen(users) if unseen else None)
        scores, numbers = (tf.ensure_shape(x, (None, k)) for x in (scores, numbers))
        numbers = tf.where(scores > -np.inf, numbers, np.int64(-1))
        return {"items": names.of(numbers), "scores": scores}

    function = tf.function(retrieve, input_signature=[asked.spec], autograph=False)
    function.get_concrete_function()
    return function


class _Users(tf.Module):
    """From the users of a request to what a ranker takes, and to what they have seen."""

    def __init__(
        self,
        ranker: rankers.Ranker,
        stored: weights.Weights,
        interactions: CSRMatrix | None,
        users: Sequence[Any] | None,
        items: Sequence[Any] | None,
    ) -> None:
        super().__init__()
        self._n_items = ranker.n_items
        self._is_history = ranker.n_users is None
        if self._is_history and (interactions is not None or users is not None):
            raise ValueError(
                f"A {stored.model_name} knows a user by the history that is asked with: pass "
                "interactions=None, and no `users`."
            )
        ids = items if self._is_history else users
        n = ranker.n_items if ranker.n_users is None else ranker.n_users
        self._numbers = _numbers_of("items" if self._is_history else "users", ids, n)
        shape = (None, None) if self._is_history else (None,)
        dtype = tf.int64 if self._numbers is None else self._numbers.key_dtype
        self.spec = tf.TensorSpec(shape, dtype, "history" if self._is_history else "users")
        self._n = n
        self._seen: StoredRows | None = None
        if interactions is not None:
            self._seen = _pattern(stored, interactions, (n, ranker.n_items))

    @property
    def has_seen(self) -> bool:
        """Whether it is known what users have seen."""
        return self._is_history or self._seen is not None

    def numbers(self, given: Tensor) -> Tensor:
        """Returns users' numbers, or their histories as 0/1 rows."""
        numbers = given if self._numbers is None else self._numbers.lookup(given)
        is_known = (numbers >= 0) & (numbers < self._n)
        if self._is_history:
            return self._marked(tf.where(is_known)[:, 0], tf.boolean_mask(numbers, is_known), given)
        unknown = tf.boolean_mask(given, ~is_known)
        check = tf.debugging.Assert(
            tf.reduce_all(is_known), ["Unknown users:", unknown], summarize=10
        )
        with tf.control_dependencies([check]):
            return tf.identity(numbers)

    def seen(self, users: Tensor) -> Tensor:
        """Returns what the users that `numbers` has returned have seen, bool (batch, items)."""
        if self._seen is None:
            return users > 0
        return self._seen.marks(users)

    def _marked(self, rows: Tensor, columns: Tensor, given: Tensor) -> Tensor:
        n = tf.shape(given, tf.int64)[0]
        marks = tf.raw_ops.SparseToDense(
            sparse_indices=rows * self._n_items + columns,
            output_shape=tf.reshape(n * self._n_items, [1]),
            sparse_values=tf.ones_like(rows, tf.float32),
            default_value=0.0,
            validate_indices=False,
        )
        return tf.reshape(marks, [n, self._n_items])


class _Names(tf.Module):
    """From items' numbers to their ids."""

    def __init__(self, n: int, items: Sequence[Any] | None) -> None:
        super().__init__()
        self._ids = None
        if items is not None:
            ids = _ids("items", items, n)
            missing = type(ids[0])() if ids.dtype == object else -1
            if missing in ids:
                raise ValueError(
                    f"`items` must not have the id {missing!r}, which stands for no item."
                )
            self._ids = tf.Variable(np.append(ids, missing), trainable=False)
        self._n = n

    def of(self, numbers: Tensor) -> Tensor:
        """Returns the ids of items; a number of -1 is no item."""
        if self._ids is None:
            return numbers
        return tf.gather(self._ids, tf.where(numbers >= 0, numbers, np.int64(self._n)))


def _pattern(
    stored: weights.Weights, interactions: CSRMatrix, shape: tuple[int, int]
) -> StoredRows:
    if tuple(interactions.shape) != shape:
        raise ValueError(
            f"`interactions` must have one row a user and one column an item, {shape}; received "
            f"{tuple(interactions.shape)}."
        )
    return stored.pattern("seen", interactions.indptr, interactions.indices, shape[1])


def _ids(name: str, ids: Sequence[Any], n: int) -> np.ndarray:
    given = list(ids.tolist() if isinstance(ids, np.ndarray) else ids) if np.ndim(ids) == 1 else []
    kinds = [kind for kind in _ID_KINDS if all(isinstance(one, kind) for one in given)]
    if len(given) != n or not kinds or any(isinstance(one, bool) for one in given):
        raise ValueError(
            f"`{name}` must be {n} ids in the order of their numbers, all of them integers, all "
            f"strings or all bytes; received {len(given)}, {given[:3] or ids!r} ..."
        )
    if len(set(given)) != n:
        raise ValueError(f"`{name}` must be different ids; received some twice.")
    if numbers.Integral not in kinds:
        return np.array(given, object)
    least, most = min(given), max(given)
    if least < -(2**63) or most >= 2**63:
        raise ValueError(f"`{name}` must fit into 64 bits; received {least} and {most}.")
    return np.array(given, np.int64)


def _numbers_of(name: str, ids: Sequence[Any] | None, n: int) -> tf.lookup.StaticHashTable | None:
    if ids is None:
        return None
    keys = tf.constant(_ids(name, ids, n))
    initializer = tf.lookup.KeyValueTensorInitializer(keys, tf.range(n, dtype=tf.int64))
    return tf.lookup.StaticHashTable(initializer, default_value=-1)
