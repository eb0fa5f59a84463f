"""What a model computes when it serves, as one function that reads stored weights."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfdsl import copying
from tfdsl.export import light_gcn
from tfdsl.export.weights import Weights
from tfdsl.layers import PrunableMLP, SparseDense, SparseEmbedding
from tfdsl.layers.packed_table import PackedTable
from tfdsl.models import LightGCN

Call = Callable[..., Any]


def tables_of(model: keras.Model) -> list[keras.Variable | PackedTable]:
    """Returns the tables of a model's Embedding layers."""
    layers = copying.layers_inside(model)
    return [layer.embeddings for layer in layers if isinstance(layer, keras.layers.Embedding)]


def function_of(model: keras.Model, weights: Weights, signature: Any) -> Any:
    """Returns the model's inference as a `tf.function` that reads `weights` alone.

    Layers that look rows up or multiply ask the stored form for it; whatever else reads a weight
    gets it unpacked. The function takes the leaves of `signature` by their names, and returns a
    dict of outputs.

    Args:
        model: built.
        weights: what the function reads; it is traced here, so that all it reads is stored then.
        signature: a structure of `tf.TensorSpec` with names, as the model takes its inputs.
    """
    leaves = keras.tree.flatten(signature)

    @tf.function(input_signature=leaves, autograph=False)
    def serve(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        packed = keras.tree.pack_sequence_as(signature, list(inputs))
        with reading(model, weights):
            outputs = model(packed, training=False)
        return _named(outputs)

    try:
        serve.get_concrete_function()
    except (TypeError, AttributeError, AssertionError, IndexError) as error:
        raise ValueError(
            f"The model {model.name!r} cannot be called with one structure of its inputs, "
            f"{signature}: {error}"
        ) from error
    return serve


@contextlib.contextmanager
def reading(model: keras.Model, weights: Weights) -> Iterator[None]:
    """While it lasts, the model computes with stored weights."""
    with _Reading(weights), _serving_calls(model, weights), _stored_tables(model, weights):
        yield


class _Reading(keras.StatelessScope):
    """While it lasts, Keras variables have the values of stored weights."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(initialize_variables=False)
        self._weights = weights

    def get_current_value(self, variable: keras.Variable) -> tf.Tensor | None:
        """Returns the stored weight's value; None for the variable's own while it is stored."""
        return self._weights.value_of(variable)

    def add_update(self, update: tuple[keras.Variable, Any]) -> None:
        """Refuses."""
        raise ValueError(
            f"The model changes its weight {update[0].path!r} when it predicts, which an export "
            "does not do. Change it in training alone."
        )


def _embedding(layer: keras.layers.Embedding, weights: Weights) -> Call:
    def call(inputs: Any, **_: Any) -> Any:
        ids = tf.convert_to_tensor(inputs)
        ids = ids if ids.dtype in (tf.int32, tf.int64) else tf.cast(ids, tf.int32)
        return ops.cast(weights.of(layer.embeddings).rows(ids), layer.compute_dtype)

    return call


def _dense(layer: SparseDense, weights: Weights) -> Call:
    def call(inputs: Any, **_: Any) -> Any:
        x = weights.of(layer.kernel).product(tf.convert_to_tensor(inputs))
        x = x if layer.bias is None else ops.add(x, layer.bias)
        return x if layer.activation is None else layer.activation(x)

    return call


def _mlp(layer: PrunableMLP, weights: Weights) -> Call:
    def call(inputs: Any, **_: Any) -> Any:
        x = tf.convert_to_tensor(inputs)
        for kernel, bias, activation in zip(
            layer.kernels, layer.biases, layer.activations, strict=True
        ):
            x = weights.of(kernel).product(x)
            x = activation(ops.add(x, ops.cast(weights.of(bias).value(), x.dtype)))
        return x

    return call


# By the method that is replaced, so that a subclass with a call of its own keeps it.
_CALLS: dict[Any, Callable[[Any, Weights], Call]] = {
    keras.layers.Embedding.call: _embedding,
    SparseEmbedding.call: _embedding,
    SparseDense.call: _dense,
    PrunableMLP.call: _mlp,
    LightGCN.call: light_gcn.call,
}


@contextlib.contextmanager
def _serving_calls(model: keras.Model, weights: Weights) -> Iterator[None]:
    """While it lasts, layers that know a better way to compute with a stored weight take it."""
    layers = [
        (layer, _CALLS[type(layer).call])
        for layer in copying.layers_inside(model)
        if type(layer).call in _CALLS and "call" not in vars(layer) and not _is_of_keras(layer)
    ]
    for layer, make in layers:
        # Past Keras's own, which tracks what is set.
        object.__setattr__(layer, "call", make(layer, weights))
    try:
        yield
    finally:
        for layer, _ in layers:
            object.__delattr__(layer, "call")


@contextlib.contextmanager
def _stored_tables(model: keras.Model, weights: Weights) -> Iterator[None]:
    """While it lasts, the whole of a packed table is what is stored of it."""
    tables = [table for table in tables_of(model) if isinstance(table, PackedTable)]
    for table in tables:
        table.stored = lambda table=table: weights.value_of(table)
    try:
        yield
    finally:
        for table in tables:
            table.stored = None


def _is_of_keras(layer: Any) -> bool:
    """Whether it is a Dense that is not ours, or a table with LoRA or quantized."""
    if isinstance(layer, SparseDense | SparseEmbedding):
        return False
    if isinstance(layer, keras.layers.Embedding):
        return bool(layer.lora_enabled) or layer.quantization_mode is not None
    return isinstance(layer, keras.layers.Dense)


def _named(outputs: Any) -> dict[str, tf.Tensor]:
    """Returns the outputs by name: a dict's own, else output_0, output_1 ... as Keras's exports."""
    if isinstance(outputs, dict):
        return {str(name): tf.convert_to_tensor(value) for name, value in outputs.items()}
    leaves = keras.tree.flatten(outputs)
    return {f"output_{place}": tf.convert_to_tensor(leaf) for place, leaf in enumerate(leaves)}
