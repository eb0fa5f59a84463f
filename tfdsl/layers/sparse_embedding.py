"""An Embedding layer with a mask on its table."""

from typing import Any

import keras
import numpy as np

from tfdsl.layers.masking import add_mask
from tfdsl.layers.without_lora import WithoutLora


@keras.saving.register_keras_serializable(package="tfdsl")
class SparseEmbedding(WithoutLora, keras.layers.Embedding):
    """`keras.layers.Embedding` whose table has a mask, trained sparse by a `SparseOptimizer`.

    The table is zero off its mask, so a look-up needs no mask and the gradient stays
    `tf.IndexedSlices` of the rows that were looked up.

    Args:
        *args: as for `keras.layers.Embedding`, but no LoRA.
        **kwargs: as for `keras.layers.Embedding`.

    Example:
        layer = tfdsl.layers.SparseEmbedding(input_dim=1000, output_dim=64)

    Raises:
        ValueError: `lora_rank` is given, or `weights` of another shape.

    Input shape: (batch, ...) of integers below input_dim. Output shape: (batch, ..., output_dim).
    """

    # Embedding writes a fixed list of variables; Layer writes all there are, masks included.
    save_own_variables = keras.layers.Layer.save_own_variables
    load_own_variables = keras.layers.Layer.load_own_variables

    def __init__(self, *args: Any, weights: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if weights is not None:
            # Not left to Embedding, which knows of one weight only.
            self.build()
            table = np.asarray(weights[0] if isinstance(weights, list) else weights)
            if table.shape != self.embeddings.shape:
                raise ValueError(
                    f"`weights` must be a table of shape {self.embeddings.shape}; received shape "
                    f"{table.shape}."
                )
            self.embeddings.assign(table)

    def build(self, input_shape: Any = None) -> None:
        """Creates the table and its mask."""
        if self.built:
            return
        super().build(input_shape)
        add_mask(self, self.embeddings)
