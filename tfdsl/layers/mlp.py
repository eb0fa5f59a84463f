"""A multi-layer perceptron whose hidden neurons leave and come back, so that compute falls."""

import itertools
import weakref
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfdsl import checks

_owners: "weakref.WeakValueDictionary[int, PrunableMLP]" = weakref.WeakValueDictionary()


@keras.saving.register_keras_serializable(package="tfdsl")
class PrunableMLP(keras.layers.Layer):
    """A stack of Dense layers whose hidden neurons a `SparseOptimizer` can prune and grow back.

    Grown, it computes what the stack does, to the bit. Pruned, it computes with the first neurons
    of every hidden layer alone, small dense products of slices of the kernels, so FLOPs and time
    fall with the share kept. Which neurons those are is free to choose, since a hidden layer's can
    change places without a change of the function: whoever prunes puts those to keep first, once,
    and no step has to gather them. Both sizes are compiled once, in the branches of
    one conditional, so that a switch compiles nothing. Kernels are of full size at all times:
    neurons that are pruned keep their values, get no gradient, and change nothing.

    `tfdsl.AlternateGrowthPruning` and `tfdsl.StructuredPruning` prune it; under other optimizers it
    stays at the size it has. What was traced before it was known how many neurons are to stay (an
    `evaluate` before `fit`) is as right as what was traced later, but computes pruned ones at full
    size, with zeros; `compile` again to make it small.

    Args:
        units: outputs of each layer. The last one's are never pruned.
        activations: of each layer, names or functions; one alone is that of all.
        kernel_initializer: of each kernel; one with a seed has seed, seed + 1, ... in each layer.
        bias_initializer: of each bias.

    Raises:
        ValueError: no layer, units below 1, or another number of activations than of layers.

    Example:
        mlp = tfdsl.layers.PrunableMLP([512, 256, 1], ["relu", "relu", None])

    Input shape: (..., input_dim). Output shape: (..., units[-1]).

    Attributes:
        kernels: trainable weights, (inputs, units) a layer.
        biases: trainable weights, (units,) a layer.
        orders: of each hidden layer, the number each neuron was made with, uint32 (units,).
        is_pruned: boolean scalar, whether it is small now.
    """

    def __init__(
        self,
        units: Sequence[int],
        activations: Any = "relu",
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = checks.counts("units", units)
        if not self.units:
            raise ValueError("`units` must name the outputs of at least one layer; received none.")
        several = isinstance(activations, Sequence) and not isinstance(activations, str)
        given = list(activations) if several else [activations] * len(self.units)
        if len(given) != len(self.units):
            raise ValueError(
                f"`activations` must be one for all layers or one for each of {len(self.units)}; "
                f"received {len(given)}."
            )
        self.activations = [keras.activations.get(activation) for activation in given]
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)

    def build(self, input_shape: Any) -> None:
        """Creates the weights for inputs of `input_shape`."""
        self.kernels: list[keras.Variable] = []
        self.biases: list[keras.Variable] = []
        self.orders: list[keras.Variable] = []
        width = input_shape[-1]
        if width is None:
            raise ValueError(
                f"The last axis of the inputs of {self.name!r} must be known; received the shape "
                f"{input_shape}."
            )
        for place, units in enumerate(self.units):
            kernel, bias = self.kernel_initializer, self.bias_initializer
            self.kernels.append(self._add("kernel", place, (width, units), kernel))
            self.biases.append(self._add("bias", place, (units,), bias))
            width = units
        for place, units in enumerate(self.units[:-1]):
            order = self.add_weight(
                shape=(units,),
                initializer=lambda shape, dtype: ops.cast(ops.arange(shape[0]), dtype),
                dtype="uint32",
                trainable=False,
                name=f"order_{place}",
            )
            setattr(self, order.name, order)
            self.orders.append(order)
        self.is_pruned = self.add_weight(
            shape=(), initializer="zeros", dtype="bool", trainable=False, name="is_pruned"
        )
        # Which sizes the small form has; a file tells whoever loads it.
        self.n_active = self.add_weight(
            shape=(len(self.orders),),
            initializer=lambda shape, dtype: ops.convert_to_tensor(self.units[:-1], dtype),
            dtype="uint32",
            trainable=False,
            name="n_active",
        )
        super().build(input_shape)

    def _add(
        self, name: str, place: int, shape: tuple[int, ...], initializer: Any
    ) -> keras.Variable:
        if isinstance(initializer, keras.initializers.Initializer):
            config = initializer.get_config()
            if isinstance(config.get("seed"), int):
                initializer = type(initializer)(**config | {"seed": config["seed"] + place})
        weight = self.add_weight(shape=shape, initializer=initializer, name=f"{name}_{place}")
        # As an attribute too: tf.train.Checkpoint finds a layer's variables by their attributes.
        setattr(self, weight.name, weight)
        _owners[id(weight)] = self
        return weight

    # ---- what decides on neurons asks for -----------------------------------------------------

    def set_n_kept(self, n_kept: Sequence[int]) -> None:
        """Says how many neurons of each hidden layer are active while it is pruned.

        To be called before anything is compiled: sizes are part of a program.

        Raises:
            ValueError: not one number for each hidden layer, more than there are, or others than
                the layer is pruned to now.
        """
        n_kept = checks.counts("n_kept", n_kept)
        if len(n_kept) != len(self.units) - 1 or any(
            k > n for k, n in zip(n_kept, self.units, strict=False)
        ):
            raise ValueError(
                f"`n_kept` must be at most the units {self.units[:-1]} of each hidden layer; "
                f"received {n_kept}."
            )
        if bool(self.is_pruned.numpy()) and n_kept != self.n_kept:
            raise ValueError(
                f"The layer {self.name!r} is pruned to {self.n_kept} neurons now, so it cannot go "
                f"on with {n_kept}. Use the same `keep`."
            )
        self.n_active.assign(np.array(n_kept, np.uint32))

    @property
    def n_kept(self) -> tuple[int, ...]:
        """Active neurons of each hidden layer while it is pruned."""
        with tf.init_scope():  # a number, also while a step is traced
            if not bool(self.n_active.value.is_initialized()):
                return self.units[:-1]
            return tuple(int(n) for n in self.n_active.numpy())

    def is_active(self, weight: keras.Variable) -> tf.Tensor:
        """Returns which entries of a kernel or bias are in use now, bool, of the weight's shape."""
        before = tf.ones([self.kernels[0].shape[0]], tf.bool)
        for kernel, bias, active in zip(self.kernels, self.biases, self._active(), strict=True):
            if weight is bias:
                return active
            if weight is kernel:
                return before[:, None] & active
            before = active
        raise ValueError(f"{weight.path!r} is no kernel or bias of the layer {self.name!r}.")

    def _small_shapes(self) -> list[tuple[int, int]]:
        """Returns the shape of each layer's kernel while it is pruned."""
        sizes = (self.kernels[0].shape[0], *self.n_kept, self.units[-1])
        return list(itertools.pairwise(sizes))

    # ---- computing ----------------------------------------------------------------------------

    def _active(self) -> list[tf.Tensor]:
        """Returns which neurons of each layer are in use now, bool (units,), by the variables."""
        n_active = [*tf.unstack(tf.cast(self.n_active.value, tf.int32)), self.units[-1]]
        return [
            ~self.is_pruned.value | (tf.range(n) < active)
            for n, active in zip(self.units, n_active, strict=True)
        ]

    def call(self, inputs: Any) -> Any:
        """Returns the last layer's outputs, (..., units[-1])."""
        # Read out here: what a branch reads itself it also copies, for the gradient.
        kernels = [tf.convert_to_tensor(kernel) for kernel in self.kernels]
        biases = [tf.convert_to_tensor(bias) for bias in self.biases]
        active = self._active()
        if self.n_kept == self.units[:-1]:
            return self._stack(inputs, kernels, biases, active)

        def small() -> Any:
            shapes = self._small_shapes()
            cut = [k[:rows, :columns] for k, (rows, columns) in zip(kernels, shapes, strict=True)]
            ends = [b[:columns] for b, (_, columns) in zip(biases, shapes, strict=True)]
            return self._stack(inputs, cut, ends)

        # Sizes are part of a program, but weights of another size can be loaded afterwards.
        is_same = tf.reduce_all(self.n_active.value == np.array(self.n_kept, np.uint32))
        is_small = self.is_pruned.value & is_same
        return ops.cond(is_small, small, lambda: self._stack(inputs, kernels, biases, active))

    def _stack(
        self,
        x: Any,
        kernels: Sequence[Any],
        biases: Sequence[Any],
        active: Sequence[Any] | None = None,
    ) -> Any:
        last = len(kernels) - 1
        for place, activation in enumerate(self.activations):
            x = activation(ops.add(ops.matmul(x, kernels[place]), biases[place]))
            if active is not None and place < last:
                x = tf.where(active[place], x, tf.zeros_like(x))
        return x

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Returns the shape of the output."""
        return (*input_shape[:-1], self.units[-1])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "units": self.units,
            "activations": [keras.activations.serialize(a) for a in self.activations],
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }


def mlp_of(weight: keras.Variable) -> PrunableMLP | None:
    """Returns the `PrunableMLP` that a weight is a kernel or bias of; None if of none."""
    owner = _owners.get(id(weight))
    return owner if owner is not None and any(weight is w for w in owner.weights) else None
