"""Turns a user's dense model into the same model with sparse layers."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from tfdsl.copying import anew, carry_over, layers_inside, listed_layers
from tfdsl.layers.masking import mask_of
from tfdsl.layers.sparse_dense import SparseDense
from tfdsl.layers.sparse_embedding import SparseEmbedding

_SPARSE = {keras.layers.Dense: SparseDense, keras.layers.Embedding: SparseEmbedding}
_construction = threading.RLock()
_under_way: list[list[Any]] = []  # what each construction under way has made; they nest


def sparsify(model: keras.Model) -> keras.Model:
    """Returns a copy of a model in which every Dense and Embedding layer has a mask.

    The copy has the same architecture and computes the same; the model given is left as it was.
    New masks are ones until the copy is compiled with a `SparseOptimizer`; what is sparse already
    keeps its mask. Weights, what preprocessing layers have learned, and what is frozen are copied;
    the state of random numbers is not. Works for Sequential, functional and subclassed models,
    nested ones and layers inside layers included; a subclassed model (or layer) needs what Keras
    itself needs to save it: constructor arguments that Keras can write down, or a `get_config`.
    Layers that derive from Dense or Embedding are left alone: give them a mask with
    `tfdsl.layers.add_mask`.

    A `.weights.h5` file of the dense model does not load into the copy, which has masks as well:
    load it into the dense model, then sparsify that.

    Args:
        model: a Keras model, built or not.

    Returns:
        The sparse model; not compiled.

    Raises:
        ValueError: the model has no Dense or Embedding layer and no mask, has such a layer with
            LoRA, or cannot be copied.

    Example:
        model = tfdsl.sparsify(keras.Sequential([keras.layers.Dense(10)]))
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"sparsify takes a keras.Model; received {model!r}.")
    layers = layers_inside(model)
    for layer in layers:
        if type(layer) in _SPARSE and layer.lora_rank:
            raise ValueError(
                f"The layer {layer.name!r} has LoRA of rank {layer.lora_rank}, which trains small "
                "dense matrices beside a frozen kernel, so nothing is left to train sparse. Save "
                "the weights, which merges the matrices into the kernel, load them into the same "
                "model without lora_rank, and sparsify that."
            )
    try:
        with _as_made(layers), _sparse_construction() as made:
            copy = anew(model)
    except (NotImplementedError, TypeError) as error:
        # Keras raises the one where a class needs a get_config, a constructor the other.
        raise ValueError(
            f"The model {model.name!r} ({type(model).__name__}) cannot be copied: {error} "
            "Give its class a get_config (Keras needs one to save it as well), or build it with "
            "tfdsl.layers.SparseDense and SparseEmbedding."
        ) from error
    if not {id(layer) for layer in made} <= {id(layer) for layer in listed_layers(copy)}:
        copy.__class__ = _sparsified(type(copy))
    carry_over(model, copy)
    if not any(isinstance(x, tuple(_SPARSE.values())) for x in layers_inside(copy)) and not any(
        mask_of(w) is not None for w in copy.weights
    ):
        raise ValueError(
            f"The model {model.name!r} has no Dense or Embedding layer to make sparse. Give your "
            "own layers masks with tfdsl.layers.add_mask."
        )
    return copy


@contextmanager
def _sparse_construction() -> Iterator[list[Any]]:
    """While it lasts, whoever makes a Dense or Embedding layer gets the sparse one; lists them.

    That is what reaches every layer: those a subclassed model makes in its constructor, those in
    lists, and those inside other layers.
    """

    def redirect(dense: Any, sparse: Any) -> Any:
        def __new__(cls: Any, *args: Any, **kwargs: Any) -> Any:
            chosen = sparse if cls is dense else cls
            layer = super(dense, chosen).__new__(chosen, *args, **kwargs)
            if chosen is not cls:
                for made in _under_way:
                    made.append(layer)
            return layer

        return __new__

    with _construction:
        if not _under_way:
            for dense, sparse in _SPARSE.items():
                dense.__new__ = redirect(dense, sparse)
        _under_way.append([])
        try:
            yield _under_way[-1]
        finally:
            _under_way.pop()
            if not _under_way:
                for dense in _SPARSE:
                    del dense.__new__


class Sparsified:
    """Added to the class of a sparsified model whose own constructors make dense layers.

    Its `.keras` file says "this model, made sparse", and restores it so.
    """

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration of the dense model."""
        with _as_made([self]):
            model = keras.saving.serialize_keras_object(self)
        model.pop("compile_config", None)  # Keras writes and restores it for the whole
        return {"model": model}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Makes the model with sparse layers."""
        with _sparse_construction():
            model = keras.saving.deserialize_keras_object(config["model"], custom_objects)
        model.__class__ = _sparsified(type(model))
        return model


@contextmanager
def _as_made(layers: Iterable[Any]) -> Iterator[None]:
    """While it lasts, sparsified models are what their dense class makes, and none is compiled."""
    models = [layer for layer in layers if isinstance(layer, keras.Model)]
    before = [(model, type(model), model.compiled) for model in models]
    for model in models:
        if isinstance(model, Sparsified):
            model.__class__ = type(model).__mro__[2]
        model.compiled = False
    try:
        yield
    finally:
        for model, own_class, compiled in before:
            model.__class__, model.compiled = own_class, compiled


def _sparsified(dense_class: type) -> type:
    """Returns the class of a sparsified `dense_class`; every one answers to one saved name."""
    made = type(dense_class.__name__, (Sparsified, dense_class), {"__doc__": dense_class.__doc__})
    return keras.saving.register_keras_serializable(package="tfdsl", name="Sparsified")(made)


keras.saving.register_keras_serializable(package="tfdsl", name="Sparsified")(Sparsified)
