"""What an export computes once, when it is loaded, and does not write."""

import hashlib

import tensorflow as tf

from tfdsl.export.stored import Stored


class AtLoad(tf.saved_model.experimental.TrackableResource):
    """A tensor that is computed and kept when the SavedModel is loaded; see `compute`.

    Args:
        shape: of the tensor.
        dtype: of it.
        parts: what it is computed from. Equal parts give one name, and what is loaded under one
            name is one tensor.
    """

    def __init__(self, shape: tuple[int, ...], dtype: tf.DType, *parts: Stored) -> None:
        super().__init__()
        self.shape, self._dtype = shape, dtype
        digest = hashlib.sha256(type(self).__name__.encode())
        for part in parts:
            for name, array in sorted(part.arrays.items()):
                digest.update(name.encode() + array.numpy().tobytes())
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
        super().__init__(stored.shape, stored.weight_dtype, stored)
        self.stored = stored

    def compute(self) -> tf.Tensor:
        """Returns the weight, of its shape, zero off its mask."""
        return self.stored.value()

    def product(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the product of x, (..., inputs), with the weight, (inputs, outputs)."""
        return tf.tensordot(x, tf.cast(self.value(), x.dtype), 1)
