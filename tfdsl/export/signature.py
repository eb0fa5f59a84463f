"""The inputs of an exported model."""

import re
from typing import Any

import keras
import tensorflow as tf


def signature_of(model: keras.Model, given: Any = None) -> Any:
    """Returns a model's inputs as a structure of `tf.TensorSpec`, each with a name of its own.

    A name is that of the spec, the input layer, or the dict's key, with "_" for each character that
    no Python name has; else "inputs" of one alone, and "input_0", "input_1", ... of several.

    The inputs are those of `given`; else of models of `tfdsl.models` what `input_signature` says;
    of Sequential and functional models their inputs; of others that take one tensor the shape they
    were built for, float32, with a batch of any size.

    Args:
        model: built.
        given: a structure of `tf.TensorSpec`, `keras.KerasTensor` or `keras.InputSpec`.

    Raises:
        ValueError: the inputs are not known.
    """
    if given is None:
        given = getattr(model, "input_signature", None)
    if given is None:
        given = _symbolic(model)
    if given is None:
        given = _built_for(model)
    leaves = keras.tree.flatten_with_path(given)
    specs: list[tf.TensorSpec] = []
    for place, (path, leaf) in enumerate(leaves):
        name = _name(path, leaf) or ("inputs" if len(leaves) == 1 else f"input_{place}")
        if name in {spec.name for spec in specs}:
            name = f"{name}_{place}"
        specs.append(tf.TensorSpec(leaf.shape, getattr(leaf, "dtype", None) or "float32", name))
    return keras.tree.pack_sequence_as(given, specs)


def _name(path: tuple[Any, ...], leaf: Any) -> str | None:
    """Returns the name that somebody has given an input; Keras's own ones count what was made."""
    name = getattr(leaf, "name", None)
    if name and not re.fullmatch(r"(keras_tensor|input_layer)(_\d+)?", name):
        return _python_name(str(name).split(":")[0])
    keys = [key for key in path if isinstance(key, str)]
    return _python_name(keys[-1]) if keys else None


def _python_name(name: str) -> str:
    """Returns a name that an argument can have, which is what TensorFlow makes of it."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return plain if plain[:1].isalpha() else f"arg_{plain}"


def _symbolic(model: keras.Model) -> Any:
    """Returns the inputs of a Sequential or functional model; None of another."""
    if isinstance(model, keras.Sequential):
        return model.inputs[0] if model.built else None
    try:
        return model.input
    except AttributeError:  # a subclassed model that was never called with symbols
        return None


def _built_for(model: keras.Model) -> Any:
    shape = (model.get_build_config() or {}).get("input_shape")
    if not isinstance(shape, tuple | list) or not all(
        n is None or isinstance(n, int) for n in shape
    ):
        raise ValueError(
            f"The inputs of the model {model.name!r} are not known. Pass input_signature, such as "
            "[tf.TensorSpec((None, 20), tf.float32), tf.TensorSpec((None, 2), tf.int64)]."
        )
    return tf.TensorSpec((None, *shape[1:]), tf.float32)
