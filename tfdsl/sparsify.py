"""Turns a user's dense model into the same model with sparse layers."""

import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from tfdsl.layers.masking import mask_of
from tfdsl.layers.sparse_dense import SparseDense
from tfdsl.layers.sparse_embedding import SparseEmbedding

_SPARSE = {keras.layers.Dense: SparseDense, keras.layers.Embedding: SparseEmbedding}
_construction = threading.RLock()


def sparsify(model: keras.Model) -> keras.Model:
    """Returns a copy of a model in which every Dense and Embedding layer has a mask.

    The copy has the same architecture and the same weights; the model given is left as it was.
    All masks are ones, so that it computes the same, until it is compiled with a
    `SparseOptimizer`. Works for Sequential, functional and subclassed models, nested ones and
    layers inside layers included; a subclassed model (or layer) needs what Keras itself needs to
    save it: constructor arguments that Keras can write down, or a `get_config`. Layers that
    derive from Dense or Embedding are left alone: give them a mask with
    `tfdsl.layers.add_mask`.

    Args:
        model: a Keras model, built or not.

    Returns:
        The sparse model; not compiled.

    Raises:
        ValueError: the model has no Dense or Embedding layer, or cannot be copied.

    Example:
        model = tfdsl.sparsify(keras.Sequential([keras.layers.Dense(10)]))
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"sparsify takes a keras.Model; received {model!r}.")
    try:
        with _sparse_construction() as made:
            copy = _copy(model)
    except (NotImplementedError, TypeError) as error:
        raise ValueError(
            f"The model {model.name!r} ({type(model).__name__}) cannot be copied: {error} "
            "Give its class a get_config (Keras needs one to save it as well), or build it with "
            "tfdsl.layers.SparseDense and SparseEmbedding."
        ) from error
    if not made:
        raise ValueError(
            f"The model {model.name!r} has no Dense or Embedding layer to make sparse. Give your "
            "own layers masks with tfdsl.layers.add_mask."
        )
    if not {id(layer) for layer in made} <= {id(layer) for layer in _listed_layers(copy)}:
        copy.__class__ = _sparsified(type(copy))
    if model.built and not copy.built:
        copy.build_from_config(model.get_build_config())
    _copy_weights(model, copy)
    return copy


@contextmanager
def _sparse_construction() -> Iterator[list[Any]]:
    """While it lasts, whoever makes a Dense or Embedding layer gets the sparse one; lists them.

    That is what reaches every layer: those a subclassed model makes in its constructor, those in
    lists, and those inside other layers.
    """
    made: list[Any] = []

    def redirect(dense: Any, sparse: Any) -> Any:
        def __new__(cls: Any, *args: Any, **kwargs: Any) -> Any:
            chosen = sparse if cls is dense else cls
            layer = super(dense, chosen).__new__(chosen, *args, **kwargs)
            if chosen is sparse:
                made.append(layer)
            return layer

        return __new__

    with _construction:
        for dense, sparse in _SPARSE.items():
            dense.__new__ = redirect(dense, sparse)
        try:
            yield made
        finally:
            for dense in _SPARSE:
                del dense.__new__


def _copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copies weights by their order, which construction has kept, past the masks."""
    masks = {id(mask_of(w)) for w in target.weights if mask_of(w) is not None}
    new = [w for w in target.weights if id(w) not in masks]
    old = source.weights
    if [w.shape for w in old] != [w.shape for w in new]:
        raise ValueError(
            f"The copy of model {source.name!r} has other weights than the model: its "
            "constructor does not make the same layers twice. Build it with "
            "tfdsl.layers.SparseDense and SparseEmbedding instead."
        )
    for a, b in zip(old, new, strict=True):
        b.assign(a)


def _copy(model: keras.Model) -> keras.Model:
    # Keras clones layer by layer where a configuration lists them, which asks of custom layers
    # no registration; other models are made anew by their own constructor.
    if _lists_layers(model):
        return keras.models.clone_model(model, clone_function=_copy_layer, recursive=True)
    config = model.get_config()
    takes = inspect.signature(type(model)).parameters
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in takes.values()):
        # Keras writes down a name and a dtype that such a constructor does not take.
        config = {name: value for name, value in config.items() if name in takes}
    return type(model).from_config(config)


def _copy_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    # A Lambda has no state, and Keras will not make a Python lambda from a configuration.
    if isinstance(layer, keras.layers.Lambda):
        return layer
    return type(layer).from_config(layer.get_config())


def _lists_layers(model: keras.Model) -> bool:
    """Whether the configuration names the layers (Sequential, functional) or makes them."""
    return "layers" in model.get_config()


def _listed_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns the layers that the model's configuration names, nested models' included."""
    if not _lists_layers(model):
        return []
    inner = [_listed_layers(x) for x in model.layers if isinstance(x, keras.Model)]
    return [*model.layers, *(layer for layers in inner for layer in layers)]


class Sparsified:
    """Added to the class of a sparsified model whose own constructors make dense layers.

    Its `.keras` file says "this model, made sparse", and restores it so.
    """

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration of the dense model."""
        sparse_class, self.__class__ = type(self), type(self).__mro__[2]
        try:
            model = keras.saving.serialize_keras_object(self)
        finally:
            self.__class__ = sparse_class
        model.pop("compile_config", None)  # Keras writes and restores it for the whole
        return {"model": model}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Makes the model with sparse layers."""
        with _sparse_construction():
            model = keras.saving.deserialize_keras_object(config["model"], custom_objects)
        model.__class__ = _sparsified(type(model))
        return model


def _sparsified(dense_class: type) -> type:
    """Returns the class of a sparsified `dense_class`; every one answers to one saved name."""
    made = type(dense_class.__name__, (Sparsified, dense_class), {"__doc__": dense_class.__doc__})
    return keras.saving.register_keras_serializable(package="tfdsl", name="Sparsified")(made)


keras.saving.register_keras_serializable(package="tfdsl", name="Sparsified")(Sparsified)
