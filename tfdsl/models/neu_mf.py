"""NeuMF: matrix factorisation beside a small network, on users' and items' embeddings."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfdsl import checks, gradients
from tfdsl.layers import SparseEmbedding
from tfdsl.layers.packed_table import PackedTable
from tfdsl.models import philox
from tfdsl.models.ranking import RankingModel, check_ids, check_pairs
from tfdsl.seeds import Seed

PARTS = ("gmf", "mlp")


@keras.saving.register_keras_serializable(package="tfdsl")
class NeuMF(RankingModel):
    """NeuMF: GMF (a product of embeddings) and an MLP on embeddings of its own, then one layer.

    Input: (users, items), integers (batch,) and (batch, n); output: logits, (batch, n).

    Reference: He et al., 2017, "Neural Collaborative Filtering", WWW, arXiv 1708.05031. Defaults
    are those of the published DSL.

    Args:
        n_users: users are 0 to n_users - 1.
        n_items: items are 0 to n_items - 1.
        factors: width of GMF's embeddings.
        mlp_factors: width of the MLP's embeddings.
        hidden: outputs of the MLP's layers.
        dropout: share of each MLP layer's input that is dropped in training.
        regularization: r in the loss r / 2 * (squared norms of a pair's four embeddings), mean of
            all pairs of the batch.
        sparse: whose tables are sparse: "gmf", "mlp" (as in the published DSL), or both.
        storage: of those, "dense" or "packed", see `SparseEmbedding`; so are `density` and
            `candidates`.
        density: share of active entries of packed tables.
        candidates: how many entries of each row of packed tables may be grown next.
        seed: seed of initial weights and dropout.

    Raises:
        ValueError: an argument outside its range.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        factors: int = 16,
        mlp_factors: int = 16,
        hidden: tuple[int, ...] = (32, 16, 8),
        dropout: float = 0.2,
        regularization: float = 0.0,
        sparse: tuple[str, ...] = ("mlp",),
        storage: str = "dense",
        density: float | None = None,
        candidates: int = 8,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.n_users = n_users = checks.count("n_users", n_users)
        self.n_items = n_items = checks.count("n_items", n_items)
        self.factors = factors = checks.count("factors", factors)
        self.mlp_factors = mlp_factors = checks.count("mlp_factors", mlp_factors)
        self.hidden = hidden = checks.counts("hidden", hidden)
        self.dropout = checks.number("dropout", dropout, "[0, 1)")
        self.regularization = checks.number("regularization", regularization, "[0, inf)")
        self.sparse = checks.choices("sparse", sparse, PARTS)
        self.storage, self.density, self.candidates = storage, density, candidates
        self.seed = checks.seed(seed)
        self._seed = Seed(seed)
        self.batches = self.add_weight(
            shape=(), initializer="zeros", dtype="int64", trainable=False, name="batches"
        )
        self.gmf_user = self._table("gmf_user", n_users, factors, 1)
        self.gmf_item = self._table("gmf_item", n_items, factors, 2)
        self.mlp_user = self._table("mlp_user", n_users, mlp_factors, 3)
        self.mlp_item = self._table("mlp_item", n_items, mlp_factors, 4)
        self.network: list[keras.layers.Dense] = []
        width = 2 * mlp_factors
        for place, units in enumerate(hidden):
            layer = self._dense(units, width, f"hidden_{place}", "relu", 10 + place)
            self.network.append(layer)
            # tf.train.Checkpoint finds attributes of a Keras model, but not what lists hold.
            setattr(self, layer.name, layer)
            width = units
        self.head = self._dense(1, factors + width, "output", None, 9)
        self.built = True

    def _table(self, name: str, n: int, width: int, place: int) -> keras.layers.Embedding:
        kind, kwargs = keras.layers.Embedding, {}
        if name[:3] in self.sparse:
            kind, kwargs = SparseEmbedding, self._how_sparse()
        initializer = keras.initializers.RandomNormal(stddev=0.01, seed=self.seed + place)
        layer = kind(n, width, embeddings_initializer=initializer, name=name, **kwargs)
        layer.build()
        return layer

    def _how_sparse(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("storage", "density", "candidates")}

    def _dense(
        self, units: int, width: int, name: str, activation: str | None, place: int
    ) -> keras.layers.Dense:
        initializer = keras.initializers.GlorotUniform(seed=self.seed + place)
        layer = keras.layers.Dense(
            units, activation=activation, kernel_initializer=initializer, name=name
        )
        layer.build((None, width))
        return layer

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Returns logits, (batch, n)."""
        users, items = check_pairs(inputs, self.n_users, self.n_items)
        users = users[:, None]
        # Without a gradient the layers look up themselves, in an export as they are stored.
        rows = _rows if training else lambda layer, at: layer(at)
        factors = rows(self.gmf_user, users), rows(self.gmf_item, items)
        halves = rows(self.mlp_user, users), rows(self.mlp_item, items)
        x = ops.concatenate([ops.broadcast_to(halves[0], ops.shape(halves[1])), halves[1]], axis=-1)
        if training:
            self.batches.assign_add(1)
        if training and self.regularization:
            # A user's rows have one place where items' have n: the mean weighs them alike.
            every = [ops.cast(rows, "float32") for rows in (*factors, *halves)]
            squares = sum(ops.mean(ops.sum(ops.square(rows), -1)) for rows in every)
            self.add_loss(self.regularization / 2 * squares)
        for place, layer in enumerate(self.network):
            if training and self.dropout:
                x = philox.drop(x, self.dropout, philox.fold(self._seed, place, self.batches))
            x = layer(x)
        x = ops.concatenate([factors[0] * factors[1], x], axis=-1)
        return self.head(x)[..., 0]

    def scorer(self) -> Callable[[Any], tf.Tensor]:
        """Returns a compiled function from users, integers (batch,), to (batch, items) scores."""

        def score(of: Any) -> tf.Tensor:
            of = check_ids("users", of, self.n_users)
            # XLA's loop over users cannot be of none.
            return self._compiled_scores(of) if of.shape[0] != 0 else tf.zeros((0, self.n_items))

        return score

    @functools.cached_property
    def _compiled_scores(self) -> Callable[[Any], tf.Tensor]:
        return tf.function(self.all_scores, jit_compile=True, autograph=False)

    def all_scores(self, of: tf.Tensor) -> tf.Tensor:
        """Returns scores of all items for users, integers (batch,), float32 (batch, items).

        The first layer is linear in a pair's user and item, so it takes each once.
        """
        gmf_user, gmf_item, mlp_user, mlp_item = (
            tf.convert_to_tensor(layer.embeddings.value)
            for layer in (self.gmf_user, self.gmf_item, self.mlp_user, self.mlp_item)
        )
        of_gmf, of_mlp = tf.split(self.head.kernel, [self.factors, -1])
        scores = (tf.gather(gmf_user, of) * of_gmf[:, 0]) @ tf.transpose(gmf_item)
        kernel = self.network[0].kernel if self.network else of_mlp
        of_users, of_items = tf.split(kernel, 2)
        halves = tf.gather(mlp_user, of) @ of_users, mlp_item @ of_items

        def of_user(half: tf.Tensor) -> tf.Tensor:
            x = half + halves[1]
            if not self.network:
                return x[:, 0]
            x = self.network[0].activation(x + self.network[0].bias)
            for layer in self.network[1:]:
                x = layer.activation(x @ layer.kernel + layer.bias)
            return tf.linalg.matvec(x, of_mlp[:, 0])

        # User by user: what is between fits into a cache, and memory does not grow with users.
        return scores + tf.map_fn(of_user, halves[0]) + self.head.bias

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        names = ("n_users", "n_items", "factors", "mlp_factors", "hidden", "dropout")
        own = {name: getattr(self, name) for name in (*names, "regularization", "sparse", "seed")}
        return super().get_config() | own | self._how_sparse()


def _rows(layer: keras.layers.Embedding, at: Any) -> Any:
    """Returns what the layer does; the gradient is dense, and the same bits on a GPU every time.

    Dense also because Keras squares the parts of `tf.IndexedSlices` one by one, which makes Adam's
    second moment of a row that a batch has many times too small.
    """
    at, table = ops.cast(at, "int32"), layer.embeddings
    if isinstance(table, PackedTable):
        rows = table.rows(at, gradients.take_rows)
    else:
        rows = gradients.take_rows(table.value, at)
    return ops.cast(rows, layer.compute_dtype)
