"""A Dense layer with a mask on its kernel."""

from typing import Any

import keras

from tfdsl import checks
from tfdsl.layers.masking import add_mask
from tfdsl.layers.without_lora import WithoutLora


@keras.saving.register_keras_serializable(package="tfdsl")
class SparseDense(WithoutLora, keras.layers.Dense):
    """`keras.layers.Dense` whose kernel has a mask, trained sparse by a `SparseOptimizer`.

    Args:
        *args: as for `keras.layers.Dense`, but no LoRA.
        sparse_bias: whether the bias has a mask too (the published DSL masks it; it saves next
            to nothing).
        **kwargs: as for `keras.layers.Dense`.

    Example:
        layer = tfdsl.layers.SparseDense(64, activation="relu")

    Raises:
        ValueError: `lora_rank` is given, or an argument is outside its range.

    Input shape: (batch, ..., input_dim). Output shape: (batch, ..., units).
    """

    # Dense writes a fixed list of variables; Layer writes all there are, masks included.
    save_own_variables = keras.layers.Layer.save_own_variables
    load_own_variables = keras.layers.Layer.load_own_variables

    def __init__(self, *args: Any, sparse_bias: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        checks.count("units", self.units)  # Dense takes True
        self.sparse_bias = checks.flag("sparse_bias", sparse_bias)

    def build(self, input_shape: Any) -> None:
        """Creates kernel, bias and masks for inputs of `input_shape`."""
        super().build(input_shape)
        add_mask(self, self.kernel)
        if self.sparse_bias and self.use_bias:
            add_mask(self, self.bias)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return super().get_config() | {"sparse_bias": self.sparse_bias}
