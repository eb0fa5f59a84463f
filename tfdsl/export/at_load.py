"""What an export computes once, when it is loaded, and does not write."""

import hashlib
from typing import Any

import tensorflow as tf

from tfdsl.export.stored import Stored


class AtLoad(tf.saved_model.experimental.TrackableResource):
    """A tensor that is computed and kept when the SavedModel is loaded; see `compute`.

    Args:
        shape: of the tensor.
        dtype: of it.
        parts: the stored weights that it is computed from.
        settings: what else decides on it. What is loaded under one name is one tensor, so
            everything that is equal gives one name, and nothing else does.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: tf.DType, parts: list[Stored], settings: Any = None
    ) -> None:
        super().__init__()
        self.shape, self._dtype = shape, dtype
        digest = hashlib.sha256(repr((type(self).__name__, shape, dtype, settings)).encode())
        for part in parts:
            digest.update(repr((type(part).__name__, part.shape, part.width, part.block)).encode())
            for name, array in sorted(part.arrays.items()):
                digest.update(repr((name, array.shape, array.dtype)).encode())
                digest.update(array.numpy().tobytes())
        self._name = f"tfdsl_{digest.hexdigest()[:32]}"

    def compute(self) -> tf.Tensor:
        """Returns the tensor."""
        raise NotImplementedError  # not abstract for Python: TensorFlow's class has its metaclass

    def value(self) -> tf.Tensor:
        """Returns the tensor."""
        read = tf.raw_ops.ReadVariableOp(resource=self.resource_handle, dtype=self._dtype)
        return tf.ensure_shape(read, self.shape)

    def rows(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the rows that `ids`, integers of any shape, names."""
        return tf.raw_ops.ResourceGather(
            resource=self.resource_handle, indices=ids, dtype=self._dtype
        )

    # What TensorFlow calls when the SavedModel is loaded, by its names.

    def _create_resource(self) -> tf.Tensor:
        return tf.raw_ops.VarHandleOp(dtype=self._dtype, shape=self.shape, shared_name=self._name)

    def _initialize(self) -> None:
        tf.raw_ops.AssignVariableOp(resource=self.resource_handle, value=self.compute())

    def _destroy_resource(self) -> None:
        tf.raw_ops.DestroyResourceOp(resource=self.resource_handle)


class Unpacked(AtLoad):
    """A packed weight, unpacked when it is loaded.

    Args:
        stored: the weight.
    """

    def __init__(self, stored: Stored) -> None:
        super().__init__(stored.shape, stored.weight_dtype, [stored])
        self.stored = stored

    def compute(self) -> tf.Tensor:
        """Returns the weight, of its shape, zero off its mask."""
        return self.stored.value()

    def product(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the product of x, (..., inputs), with the weight, (inputs, outputs)."""
        return tf.tensordot(x, tf.cast(self.value(), x.dtype), 1)
