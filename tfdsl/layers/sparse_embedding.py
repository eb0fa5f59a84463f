"""An Embedding layer whose table is sparse: whole and with a mask, or packed."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfdsl import checks, schedules
from tfdsl.layers.masking import add_mask
from tfdsl.layers.packed_table import PackedTable
from tfdsl.layers.without_lora import WithoutLora

STORAGES = ("dense", "packed")


@keras.saving.register_keras_serializable(package="tfdsl")
class SparseEmbedding(WithoutLora, keras.layers.Embedding):
    """`keras.layers.Embedding` whose table is sparse, trained by a `SparseOptimizer`.

    With storage="dense" the table is whole, and has a mask. It is zero off its mask, so a look-up
    needs no mask and the gradient stays `tf.IndexedSlices` of the rows that were looked up.

    With storage="packed" active values alone are stored, beside their columns, and so are the
    optimizer's moments: training takes memory as the density does. It is for algorithms with
    `granularity="row"` and this density, and those that change masks grow among as many
    `candidates`; what they do is then the same with either storage. Another optimizer trains the
    active entries that the table began with. The first table is made whole, in the host's memory,
    and thinned.

    Args:
        *args: as for `keras.layers.Embedding`, but no LoRA.
        storage: "dense" or "packed".
        density: share of active entries, of a packed table.
        candidates: how many entries of each row may be grown next, of a packed table.
        **kwargs: as for `keras.layers.Embedding`; of a packed table `embeddings_regularizer` is of
            the active values, and `embeddings_constraint` and `weights` are not taken.

    Example:
        layer = tfdsl.layers.SparseEmbedding(input_dim=1000, output_dim=64)

    Raises:
        ValueError: `lora_rank` is given, or `weights` of another shape; an argument outside its
            range; of a packed table when it is built, fewer rows than columns.

    Input shape: (batch, ...) of integers below input_dim. Output shape: (batch, ..., output_dim).
    """

    # Embedding writes a fixed list of variables; Layer writes all there are, masks included.
    save_own_variables = keras.layers.Layer.save_own_variables
    load_own_variables = keras.layers.Layer.load_own_variables

    def __init__(
        self,
        *args: Any,
        storage: str = "dense",
        density: float | None = None,
        candidates: int = 8,
        weights: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.storage = checks.choice("storage", storage, STORAGES)
        self.density: float | None = density
        self.candidates = checks.count("candidates", candidates)
        self._packed: PackedTable | None = None
        if storage == "packed":
            self._check_packed(weights)
        elif density is not None:
            raise ValueError(
                f"The density of a table with storage='dense' is its optimizer's algorithm's; "
                f"received density={density!r}. Leave it out."
            )
        if weights is not None:
            # Not left to Embedding, which knows of one weight only.
            self.build()
            table = np.asarray(weights[0] if isinstance(weights, list) else weights)
            if table.shape != self.embeddings.shape:
                raise ValueError(
                    f"`weights` must be a table of shape {self.embeddings.shape}; received shape "
                    f"{table.shape}."
                )
            self._embeddings.assign(table)

    def _check_packed(self, weights: Any) -> None:
        self.density = checks.number("density", self.density, schedules.SHARE)
        if weights is not None or self.embeddings_constraint is not None:
            raise ValueError(
                "A packed table takes no `weights`, which say nothing of what is active, and no "
                "`embeddings_constraint`, which needs whole rows. Use layer.embeddings.assign("
                "table, mask) for the former, storage='dense' for the latter."
            )

    def build(self, input_shape: Any = None) -> None:
        """Creates the table and its mask."""
        if self.built:
            return
        if self.storage == "packed":
            assert self.density is not None
            self._packed = PackedTable(
                self,
                (self.input_dim, self.output_dim),
                self.embeddings_initializer,
                self.density,
                self.candidates,
                self.embeddings_regularizer,
            )
            self.built = True
            return
        super().build(input_shape)
        add_mask(self, self.embeddings)

    @property
    def embeddings(self) -> keras.Variable | PackedTable:
        """The table; of a packed one what stands for it: see `layers.packed_table`."""
        return super().embeddings if self._packed is None else self._packed

    def call(self, inputs: Any) -> Any:
        """Returns rows of the table."""
        if self._packed is None:
            return super().call(inputs)
        ids = tf.convert_to_tensor(inputs)
        ids = ids if ids.dtype in (tf.int32, tf.int64) else tf.cast(ids, tf.int32)
        return tf.cast(self._packed.rows(ids), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        own = {name: getattr(self, name) for name in ("storage", "density", "candidates")}
        return super().get_config() | own
