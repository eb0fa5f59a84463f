"""How a model is copied: the same architecture anew, then all it has learned."""

import inspect
import tempfile
from collections.abc import Iterator
from typing import Any

import keras

from tfdsl.layers.masking import mask_of

Layer = keras.layers.Layer
_LOOKUPS = (
    keras.layers.StringLookup,
    keras.layers.IntegerLookup,
    keras.layers.TextVectorization,
)


def anew(layer: Any) -> Any:
    """Returns a new layer or model of the same architecture, its vocabularies, and new weights."""
    # A Lambda has no state, and Keras will not make a Python lambda from a configuration.
    if isinstance(layer, keras.layers.Lambda):
        return layer
    # Keras clones layer by layer where a configuration lists them, which asks of custom layers
    # no registration; other models are made anew by their own constructor.
    if lists_layers(layer):
        return keras.models.clone_model(layer, clone_function=anew, recursive=True)
    config = layer.get_config()
    takes = inspect.signature(type(layer)).parameters
    if isinstance(layer, keras.Model) and not any(
        p.kind is inspect.Parameter.VAR_KEYWORD for p in takes.values()
    ):
        # Keras writes down a name and a dtype that such a constructor does not take.
        config = {name: value for name, value in config.items() if name in takes}
    copy = type(layer).from_config(config)
    for ours, theirs in _twins(layer, copy):
        if type(ours) is type(theirs):
            _carry_adapted(ours, theirs)
    return copy


def carry_over(source: keras.Model, target: keras.Model) -> None:
    """Gives a model made by `anew` the state of its source: weights, masks, what is frozen.

    Raises:
        ValueError: the two have different weights.
    """
    for ours, theirs in _twins(source, target):
        config = ours.get_build_config() if ours.built and not theirs.built else None
        if config:
            theirs.build_from_config(config)
    twins = [(a, b) for a, b in _twins(source, target) if a is not b]
    weights = _paired_weights(source, target)
    for ours, theirs in twins:
        if type(ours) is type(theirs):
            _carry_state(ours, theirs)
    for a, b in weights:
        b.assign(a)
        old, new = mask_of(a), mask_of(b)
        if old is not None and new is not None:
            new.assign(old)
    # A layer hands its flag down to those inside it: each round one more level stays right.
    for _ in twins:
        for ours, theirs in [(a, b) for a, b in twins if a.trainable != b.trainable]:
            theirs.trainable = ours.trainable
    for a, b in weights:
        b.trainable = a.trainable


def layers_inside(model: Any) -> list[Any]:
    """Returns a model and all layers in it, however deep."""
    return [layer for layer, _ in _twins(model, model)]


def listed_layers(model: Any) -> list[Any]:
    """Returns the layers that the model's configuration names, nested models' included."""
    if not lists_layers(model):
        return []
    inner = [listed_layers(layer) for layer in model.layers]
    return [*model.layers, *(layer for layers in inner for layer in layers)]


def lists_layers(layer: Any) -> bool:
    """Whether it is a model whose configuration names its layers (Sequential, functional)."""
    if not isinstance(layer, keras.Model):
        return False
    # Another model may call a number or a list of sizes its "layers".
    layers = layer.get_config().get("layers")
    return isinstance(layers, list) and all(
        isinstance(each, dict) and "class_name" in each for each in layers
    )


def _twins(source: Any, target: Any, seen: set[int] | None = None) -> Iterator[tuple[Any, Any]]:
    """Yields each layer of a model beside the one in the same place of its copy, outer ones first.

    A place is an attribute, a key or an index, as it is for Keras in a file.
    """
    seen = set() if seen is None else seen
    if id(source) in seen or not isinstance(source, Layer | dict | list | tuple):
        return
    seen.add(id(source))
    if isinstance(source, Layer) and isinstance(target, Layer):
        yield source, target
        source, target = vars(source), vars(target)
    children: Any = ()
    if isinstance(source, dict) and isinstance(target, dict):
        # Keras's own attributes last: they are in the order in which layers were made.
        names = sorted(source, key=lambda name: str(name).startswith("_"))
        children = [(source[name], target[name]) for name in names if name in target]
    elif isinstance(source, list | tuple) and isinstance(target, list | tuple):
        children = list(zip(source, target, strict=False))
    for ours, theirs in children:
        yield from _twins(ours, theirs, seen)


def _paired_weights(
    source: keras.Model, target: keras.Model
) -> list[tuple[keras.Variable, keras.Variable]]:
    """Returns the weights of both by their order, which construction has kept, past the masks."""
    old, new = _past_masks(source), _past_masks(target)
    if [w.shape for w in old] != [w.shape for w in new] or any(
        mask_of(a) is not None and mask_of(b) is None for a, b in zip(old, new, strict=True)
    ):
        raise ValueError(
            f"The copy of model {source.name!r} has other weights than the model: its "
            "constructor does not make the same layers twice. Build it with "
            "tfdsl.layers.SparseDense and SparseEmbedding instead."
        )
    return list(zip(old, new, strict=True))


def _past_masks(model: keras.Model) -> list[keras.Variable]:
    masks = {id(mask_of(w)) for w in model.weights if mask_of(w) is not None}
    return [w for w in model.weights if id(w) not in masks]


def _carry_adapted(source: Any, target: Any) -> None:
    """Copies what `adapt` has taught a layer that no weight holds; output shapes depend on it."""
    if isinstance(source, keras.layers.Discretization):
        target.bin_boundaries = source.bin_boundaries
    if not isinstance(source, _LOOKUPS) or not source.get_vocabulary(include_special_tokens=False):
        return
    vocabulary = source.get_vocabulary()
    # Not by their asset, a text file: a term with a line break would come back as two.
    weights = _stored(source).get("idf_weights")
    target.set_vocabulary(
        vocabulary, idf_weights=None if weights is None else weights[: len(vocabulary)]
    )


def _carry_state(source: Any, target: Any) -> None:
    """Copies what a layer writes to a file in its own way, such as what it derives from weights."""
    if isinstance(source, _LOOKUPS):
        return
    if type(source).load_own_variables is not Layer.load_own_variables:
        target.load_own_variables(_stored(source))
    if hasattr(source, "load_assets"):
        with tempfile.TemporaryDirectory() as folder:
            source.save_assets(folder)
            target.load_assets(folder)


def _stored(layer: Any) -> dict[str, Any]:
    store: dict[str, Any] = {}
    layer.save_own_variables(store)
    return {name: keras.ops.convert_to_numpy(value) for name, value in store.items()}
