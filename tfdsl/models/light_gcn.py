"""LightGCN: users' and items' embeddings, averaged over neighbourhoods of their graph."""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfdsl import checks, distributions
from tfdsl.csr import CSRMatrix, check_csr
from tfdsl.layers import Propagation, SparseEmbedding
from tfdsl.layers.propagation import GATHERS, bipartite
from tfdsl.models import node_tables
from tfdsl.models.ranking import RankingModel, check_ids, check_pairs

_GRAPH_FILE = "graph.npz"


@keras.saving.register_keras_serializable(package="tfdsl")
class LightGCN(RankingModel):
    """LightGCN: one table of users and items, propagated over the graph of their interactions.

    Input: (users, items), integers (batch,) and (batch, n); output: scores, (batch, n). With E the
    table (users first) and A the normalised adjacency matrix, a node's embedding is its row of the
    mean of E, A E, A A E ...; a score is the dot product of two of them. The table has a mask and
    is the only weight; packed it is two tables, of users and of items. All is computed and returned
    in float32, also where a policy such as "mixed_bfloat16" is set: `gather` says what may be
    shorter.

    Reference: He et al., 2020, "LightGCN: Simplifying and Powering Graph Convolution Network for
    Recommendation", SIGIR, arXiv 2002.02126. Defaults are those of the published DSL.

    Args:
        interactions: the graph: CSR [users, items], such as a `scipy.sparse.csr_array`; a stored
            entry is an edge, whatever its value. None only while a saved model is loaded.
        shape: (users, items), if `interactions` is None.
        width: width of the embeddings.
        layers: number of propagations, 0 for matrix factorisation.
        regularization: r in the loss r / 2 * (squared norms of the batch's rows of E) / batch.
        gather: dtype of rows while they are propagated, "float32" or "bfloat16".
        storage: of the table, "dense" or "packed", see `SparseEmbedding`; so are `density` and
            `candidates`. What is propagated is whole either way.
        density: share of active entries of a packed table.
        users: share of those that users' rows have, in (0, 1); None: one table, of whose rows all
            have as many. Of a table with a mask the algorithm says it, see `Spectral`.
        candidates: how many entries of each row of a packed table may be grown next.
        seed: seed of the initial table.

    Raises:
        ValueError: an argument outside its range, or neither graph nor shape.

    Example:
        model = tfdsl.models.LightGCN(interactions)  # scipy.sparse.csr_array [users, items]
        model.compile(
            # Gradients are small here: Keras's own epsilon, 1e-7, would slow the training.
            tfdsl.SparseOptimizer(
                keras.optimizers.Adam(1e-3, epsilon=1e-8),
                tfdsl.DSL(density=0.2, total_steps=20_000),
            ),
            loss=tfdsl.models.BPRLoss(),
            jit_compile=True,
        )
    """

    nodes: SparseEmbedding | None = None

    def __init__(
        self,
        interactions: CSRMatrix | None = None,
        shape: tuple[int, int] | None = None,
        width: int = 64,
        layers: int = 3,
        regularization: float = 1e-4,
        gather: str = "float32",
        storage: str = "dense",
        density: float | None = None,
        users: float | None = distributions.USERS,
        candidates: int = 8,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        # A mixed policy would round the whole table before it is propagated, and gain nothing.
        dtype = keras.dtype_policies.get(kwargs.pop("dtype", None)).variable_dtype
        super().__init__(dtype=dtype, **kwargs)
        if interactions is not None:
            check_csr("interactions", interactions)
            own = tuple(interactions.shape)
            if shape not in (None, own, list(own)):
                raise ValueError(
                    f"`shape` must be that of the interactions, {own}; received {shape}."
                )
            shape = own
        if not isinstance(shape, tuple | list) or len(shape) != 2:
            raise ValueError(
                "LightGCN needs the interactions, its graph, as a scipy.sparse.csr_array "
                f"[users, items]; received shape {shape}."
            )
        self.n_users, self.n_items = (checks.count("shape", n) for n in shape)
        self.width = checks.count("width", width)
        self.n_layers = checks.count("layers", layers, least=0)
        self.regularization = checks.number("regularization", regularization, "[0, inf)")
        self.gather = checks.choice("gather", gather, GATHERS)
        self.seed = checks.seed(seed)
        self.users = None if users is None else checks.number("users", users, "(0, 1)")
        self.storage, self.density, self.candidates = storage, density, candidates
        made = node_tables.make(
            (self.n_users, self.n_items),
            self.width,
            storage,
            density,
            self.users,
            self.seed,
            candidates=candidates,
            dtype=dtype,
        )
        if len(made) == 1:
            (self.nodes,) = made
        else:
            self.user_nodes, self.item_nodes = made
        self._propagation: Propagation | None = None
        if interactions is not None:
            self.set_graph(interactions.indptr, interactions.indices)
        self.built = True

    def set_graph(self, indptr: Any, indices: Any) -> None:
        """Sets the interactions, as row starts and columns of a CSR matrix [users, items]."""
        self._indptr, self._indices = np.asarray(indptr, np.int64), np.asarray(indices, np.int32)
        both = bipartite(self._indptr, self._indices, self.n_items)
        self._propagation = Propagation(*both, self.gather)

    @property
    def tables(self) -> tuple[SparseEmbedding, ...]:
        """The tables that are trained: `nodes`; or `user_nodes` and `item_nodes`."""
        return (self.user_nodes, self.item_nodes) if self.nodes is None else (self.nodes,)

    @property
    def graph(self) -> tuple[np.ndarray, np.ndarray]:
        """The interactions, as row starts and columns of a CSR matrix [users, items]."""
        _ = self.propagation  # raises where there is none
        return self._indptr, self._indices

    @property
    def propagation(self) -> Propagation:
        """Multiplication with A.

        Raises:
            ValueError: the model was made without interactions, such as by
                `keras.models.clone_model`, and not loaded from a file that has them.
        """
        if self._propagation is None:
            raise ValueError(
                "This LightGCN has no graph, since its configuration holds none: make the model "
                "with LightGCN(interactions), or load one that was saved."
            )
        return self._propagation

    def embeddings(self, nodes: Any = None) -> Any:
        """Returns the embeddings of all nodes, users first: (users + items, width).

        Or of those that `nodes`, integers of any shape, names; an item's number comes after users'.
        """
        return self.propagation.mean(node_tables.whole(self.tables), self.n_layers, nodes)

    def scorer(self) -> Callable[[Any], tf.Tensor]:
        """Returns a compiled function from users, integers (batch,), to (batch, items) scores."""
        rows = self._compiled_embeddings()
        users, items = rows[: self.n_users], rows[self.n_users :]
        return lambda of: _products(users, items, check_ids("users", of, self.n_users))

    @functools.cached_property
    def _compiled_embeddings(self) -> Callable[[], tf.Tensor]:
        return tf.function(self.embeddings, jit_compile=True, autograph=False)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Returns scores, (batch, n)."""
        users, items = check_pairs(inputs, self.n_users, self.n_items)
        nodes = ops.concatenate([users[:, None], items + self.n_users], axis=1)
        if training and self.regularization:
            own = node_tables.rows_of(self.tables, self.n_users, users, items)
            own = ops.cast(own, "float32")
            squares = ops.sum(ops.square(own), axis=(1, 2))
            self.add_loss(self.regularization / 2 * ops.mean(squares))
        rows = self.embeddings(nodes)
        return ops.sum(rows[:, :1] * rows[:, 1:], axis=-1)

    def save_assets(self, inner_path: str) -> None:
        """Writes the graph into a `.keras` file."""
        indptr, indices = self.graph
        path = pathlib.Path(inner_path) / _GRAPH_FILE
        np.savez_compressed(path, indptr=indptr, indices=indices)

    def load_assets(self, inner_path: str) -> None:
        """Reads the graph from a `.keras` file."""
        with np.load(pathlib.Path(inner_path) / _GRAPH_FILE) as graph:
            self.set_graph(graph["indptr"], graph["indices"])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, but for the graph, which is an asset."""
        return super().get_config() | {
            "shape": (self.n_users, self.n_items),
            "width": self.width,
            "layers": self.n_layers,
            "regularization": self.regularization,
            "gather": self.gather,
            "storage": self.storage,
            "density": self.density,
            "users": self.users,
            "candidates": self.candidates,
            "seed": self.seed,
        }


@tf.function(jit_compile=True, autograph=False)
def _products(users: tf.Tensor, items: tf.Tensor, of: tf.Tensor) -> tf.Tensor:
    return tf.matmul(tf.gather(users, of), items, transpose_b=True)
