"""DLRM: click prediction from dense features and looked-up categories, on prunable MLPs."""

from collections.abc import Sequence
from typing import Any

import keras
import keras_rs
import numpy as np
import tensorflow as tf
from keras import ops

from tfdsl import checks
from tfdsl.layers import PrunableMLP, SparseEmbedding


@keras.saving.register_keras_serializable(package="tfdsl")
class DLRM(keras.Model):
    """DLRM: a bottom MLP of dense features, dot products with categories' embeddings, a top MLP.

    Input: (dense, categorical), float (batch, n_dense) and integer (batch, tables); output: logits
    of a click, (batch, 1). The interaction is all dot products of two different ones among the
    bottom MLP's output and the embeddings, beside the bottom MLP's output.

    Neurons of the MLPs' hidden layers can be pruned and grown back (`AlternateGrowthPruning`); the
    tables can be trained sparse instead (`sparse_tables=True` and such as `DSL`).

    Reference: Naumov et al., 2019, "Deep Learning Recommendation Model for Personalization and
    Recommendation Systems", arXiv 1906.00091. Defaults are the sizes of its public script for
    Criteo Kaggle: 13-512-256-64-16, embeddings of 16, 367-512-256-1.

    Args:
        table_rows: for each categorical field how many rows its table has. Ids are taken modulo
            them, so that ids from a vocabulary are themselves, and hashes are hashed to rows.
        n_dense: dense features.
        width: width of the embeddings, and of the bottom MLP's output.
        bottom: hidden layers of the bottom MLP.
        top: hidden layers of the top MLP.
        max_rows: no table has more rows than that (the script's --max-ind-range); None for no
            limit.
        sparse_tables: whether the tables have a mask. They are one variable, so its budget is
            shared by all fields.
        seed: seed of the initial weights.

    Raises:
        ValueError: an argument outside its range; the message repeats it.

    Example:
        model = tfdsl.models.DLRM(table_rows=[1000] * 26)
        model.compile(
            tfdsl.SparseOptimizer(
                keras.optimizers.SGD(0.1), tfdsl.AlternateGrowthPruning(total_steps=10_000)
            ),
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
            jit_compile=True,
        )
    """

    def __init__(
        self,
        table_rows: Sequence[int],
        n_dense: int = 13,
        width: int = 16,
        bottom: Sequence[int] = (512, 256, 64),
        top: Sequence[int] = (512, 256),
        max_rows: int | None = None,
        sparse_tables: bool = False,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table_rows = checks.counts("table_rows", table_rows)
        if not self.table_rows:
            raise ValueError("`table_rows` must name the ids of at least one field; received none.")
        self.n_dense = n_dense = checks.count("n_dense", n_dense)
        self.width = width = checks.count("width", width)
        self.max_rows = max_rows if max_rows is None else checks.count("max_rows", max_rows)
        self.bottom = checks.counts("bottom", bottom)
        self.top = checks.counts("top", top)
        self.sparse_tables = checks.flag("sparse_tables", sparse_tables)
        self.seed = checks.seed(seed)
        self._rows = np.minimum(self.table_rows, max_rows or max(self.table_rows))
        self._starts = np.cumsum(self._rows) - self._rows
        # All tables are one, so that a batch is one look-up.
        kind = SparseEmbedding if sparse_tables else keras.layers.Embedding
        self.tables = kind(
            int(self._rows.sum()), width, embeddings_initializer=self._initial_tables, name="tables"
        )
        self.bottom_mlp = self._mlp((*self.bottom, width), "relu", "bottom")
        self.top_mlp = self._mlp((*self.top, 1), None, "top")
        self.interaction = keras_rs.layers.DotInteraction()
        n_vectors = len(self.table_rows) + 1
        self.tables.build()
        self.bottom_mlp.build((None, n_dense))
        self.top_mlp.build((None, width + n_vectors * (n_vectors - 1) // 2))
        self.built = True

    def _mlp(self, units: Sequence[int], last: str | None, name: str) -> PrunableMLP:
        activations = [*["relu"] * (len(units) - 1), last]
        seed = self.seed + (1000 if name == "top" else 0)
        initializer = keras.initializers.GlorotNormal(seed=seed)
        return PrunableMLP(units, activations, kernel_initializer=initializer, name=name)

    def _initial_tables(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Returns draws uniform in +-1 / sqrt(rows of the table), as the public script's."""
        draws = keras.random.uniform(shape, -1.0, 1.0, dtype=dtype, seed=self.seed)
        return draws * ops.convert_to_tensor(
            np.repeat(self._rows**-0.5, self._rows)[:, None], dtype
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Returns logits, (batch, 1)."""
        dense, categorical = inputs
        for name, x, n in (
            ("dense", dense, self.n_dense),
            ("categorical", categorical, len(self.table_rows)),
        ):
            if len(x.shape) != 2 or x.shape[1] not in (n, None):
                raise ValueError(
                    f"`{name}` must have shape (batch, {n}); received {tuple(x.shape)}."
                )
        # The remainder comes first: ids can be hashes of 64 bits.
        ids = ops.cast(ops.cast(categorical, "int64") % self._rows, "int32")
        rows = self.tables(ids + self._starts.astype(np.int32))
        low = self.bottom_mlp(dense)
        products = self.interaction([low, *ops.unstack(rows, axis=1)])
        return self.top_mlp(ops.concatenate([low, products], axis=1))

    @property
    def input_signature(self) -> tuple[tf.TensorSpec, tf.TensorSpec]:
        """What an export takes: (dense, categorical)."""
        n = len(self.table_rows)
        return (
            tf.TensorSpec((None, self.n_dense), tf.float32, "dense"),
            tf.TensorSpec((None, n), tf.int64, "categorical"),
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        names = ("table_rows", "n_dense", "width", "bottom", "top", "max_rows", "sparse_tables")
        return super().get_config() | {name: getattr(self, name) for name in (*names, "seed")}
