"""How a weight and its mask belong together: the mask is the weight's constraint.

Keras applies a variable's constraint after every step of any optimizer. So a masked weight is
zero off its mask whichever optimizer trains it, and whoever holds the weight finds its mask. (An
optimizer with `use_ema=True` averages values from before the constraint and writes them back at
the end of `fit`: it belongs inside a `SparseOptimizer`, which masks the average.)
"""

from typing import Any

import keras
from keras import ops

from tfdsl.layers.packed_table import PackedTable


class Masked(keras.constraints.Constraint):
    """Sets a weight to zero off its mask, after the weight's own constraint if it had one.

    Args:
        mask: boolean variable of the weight's shape.
        inner: the constraint the weight had before, or None.
        is_table: whether the weight is an embedding layer's table.
    """

    def __init__(self, mask: keras.Variable, inner: Any = None, is_table: bool = False) -> None:
        self.mask = mask
        self.inner = inner
        self.is_table = is_table

    def __call__(self, w: Any) -> Any:
        """Returns `w` on the mask and 0 elsewhere (also where `w` is not a number)."""
        w = w if self.inner is None else self.inner(w)
        return ops.where(self.mask, w, ops.zeros_like(w))


def add_mask(layer: keras.layers.Layer, weight: keras.Variable) -> keras.Variable:
    """Gives one of a layer's weights a mask; call it in the layer's `build`.

    The mask is a boolean, non-trainable weight of the layer, of the weight's shape, all ones until
    a `SparseOptimizer` is built, and the layer's attribute `<weight's name>_mask`. It is saved and
    loaded with the layer. (A subclass of Keras's Dense, EinsumDense or Embedding must also take
    `save_own_variables` and `load_own_variables` from `keras.layers.Layer`: those layers write a
    fixed list of weights of their own.) A weights file of the layer without masks does not load
    into it; for a whole model, load the file into the dense model, then `tfdsl.sparsify` that.

    Example:
        class Scale(keras.layers.Layer):
            def build(self, input_shape):
                self.scale = self.add_weight(shape=input_shape[1:], name="scale")
                tfdsl.layers.add_mask(self, self.scale)

    Args:
        layer: the layer that owns the weight, not yet built.
        weight: a trainable floating-point weight of the layer; in a layer frozen by
            `trainable=False` any floating-point weight.

    Returns:
        The mask.

    Raises:
        ValueError: the weight is not such a weight, is a scalar, or has a mask already.
    """
    if not isinstance(weight, keras.Variable):
        raise ValueError(
            f"add_mask takes a weight of the layer {layer.name!r}, a keras.Variable; received "
            f"{' '.join(repr(weight).split())}. Make one with layer.add_weight(shape=...)."
        )
    if not keras.backend.is_float_dtype(weight.dtype):
        raise ValueError(
            f"Only a floating-point weight can be sparse; received the weight {weight.path!r} of "
            f"dtype {weight.dtype}. Make it with layer.add_weight(..., dtype='float32')."
        )
    # In a frozen layer Keras makes every weight not trainable, until the layer is thawed.
    if layer.trainable and not weight.trainable:
        raise ValueError(
            f"Only a trainable weight can be sparse; received the weight {weight.path!r}, which "
            "is not. Make it with layer.add_weight(..., trainable=True), or give it no mask."
        )
    if len(weight.shape) == 0:
        raise ValueError(f"A scalar cannot be sparse; received the weight {weight.path!r}.")
    if mask_of(weight) is not None:
        raise ValueError(f"The weight {weight.path!r} has a mask already.")
    mask = layer.add_weight(
        shape=weight.shape,
        initializer="ones",
        dtype="bool",
        trainable=False,
        name=f"{weight.name}_mask",
    )
    # As an attribute too: tf.train.Checkpoint finds a layer's variables by their attributes.
    setattr(layer, mask.name, mask)
    is_table = isinstance(layer, keras.layers.Embedding)
    weight.constraint = Masked(mask, weight.constraint, is_table)
    return mask


def mask_of(weight: keras.Variable | PackedTable) -> keras.Variable | None:
    """Returns the mask of a weight, or None where it has none; of a packed table one to read."""
    if isinstance(weight, PackedTable):
        return weight.mask
    constraint = getattr(weight, "constraint", None)
    return constraint.mask if isinstance(constraint, Masked) else None


def is_table(weight: keras.Variable | PackedTable) -> bool:
    """Says whether a weight that has a mask is an embedding layer's table."""
    if isinstance(weight, PackedTable):
        return True
    return bool(getattr(getattr(weight, "constraint", None), "is_table", False))
