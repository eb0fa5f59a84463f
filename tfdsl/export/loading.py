"""An export as the sparse Keras model it was made of."""

import os
import pathlib
import re
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfdsl import copying
from tfdsl.export import folder, light_gcn, packing
from tfdsl.layers.masking import mask_of
from tfdsl.layers.mlp import PrunableMLP, mlp_of
from tfdsl.layers.packed_table import is_growth, table_of


def load_packed(
    path: str | os.PathLike[str], custom_objects: dict[str, Any] | None = None
) -> keras.Model:
    """Returns the model that `saved_model` has exported, with equal weights and masks.

    It can be trained on: compile it. What an export leaves behind is as in a new model: counters of
    batches, the optimizer, what pruned neurons had (they are zero). Values that were stored in 16
    bits are rounded. Nothing but numbers and the configuration is read, and no code is run (Keras's
    safe mode is on).

    Args:
        path: the folder.
        custom_objects: classes of the model that are not registered with Keras, by name.

    Raises:
        ValueError: the folder is no such export, or is damaged; the model cannot be made from its
            configuration.
    """
    manifest = folder.read(path)
    if manifest.get("kind") != "model":
        raise ValueError(
            f"{path} is an export for serving alone ({manifest.get('kind')}). Load the model from "
            "its .keras file, or from an export by tfdsl.export.saved_model."
        )
    made = manifest["model"]
    if "config" not in made:
        raise ValueError(f"The export {path} holds no model, only its outputs: {made['error']}")
    model = _made_of(made, custom_objects, path)
    _check_complete(path, model, manifest["weights"])
    reader = tf.train.load_checkpoint(str(pathlib.Path(path) / "variables" / "variables"))
    for entry in manifest["weights"]:
        arrays = {name: reader.get_tensor(key) for name, key in entry["arrays"].items()}
        packed = packing.Packed(
            entry["form"],
            tuple(entry["stored_shape"]),
            entry["dtype"],
            arrays,
            entry["width"],
            entry["block"],
        )
        if entry["index"] is not None:
            _assign(model.weights[entry["index"]], *packed.unpack(), path=entry["path"])
        elif entry["path"] == light_gcn.GRAPH:
            model.set_graph(*packed.pattern())
    for layer in copying.layers_inside(model):
        if hasattr(layer, "finalize_state") and layer.built:
            layer.finalize_state()  # what its call reads is made from its weights
    return model


def _made_of(made: dict[str, Any], custom_objects: dict[str, Any] | None, path: Any) -> keras.Model:
    try:
        model = keras.saving.deserialize_keras_object(made["config"], custom_objects)
        if not model.built and made["build"]:
            model.build_from_config(made["build"])
    except Exception as error:  # what Keras raises, and whatever else a class of one's own does
        raise ValueError(
            f"The model cannot be made from the configuration in {path}: {_reason(error)}"
        ) from error
    return model


def _reason(error: Exception) -> str:
    # Keras's messages have many lines and the whole configuration; what it met first is the cause.
    unknown = re.search(r"Could not locate (.+?)\.", str(error))
    if unknown:
        return f"{unknown[1]} is not registered with Keras; pass it in `custom_objects`."
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    return f"{type(cause).__name__}: {' '.join(str(cause).split())[:300]}"


def _check_complete(path: Any, model: keras.Model, entries: list[dict[str, Any]]) -> None:
    there = {entry["index"] for entry in entries}
    if max((place for place in there if place is not None), default=0) >= len(model.weights):
        raise ValueError(
            f"The model made from the configuration in {path} has {len(model.weights)} weights, "
            "fewer than were exported: its class has changed."
        )
    masks = {id(mask_of(weight)) for weight in model.weights}
    for place, weight in enumerate(model.weights):
        # Numbers that are no counters: learned, whether trained on or frozen now.
        is_learned = keras.backend.is_float_dtype(weight.dtype) and len(weight.shape) > 0
        if is_growth(weight):
            continue
        if is_learned and place not in there and id(weight) not in masks:
            raise ValueError(
                f"The export {path} does not hold the weight {weight.path!r}, which inference does "
                "not read as it is. Export with storage='packed', or load the .keras file."
            )


def _assign(weight: keras.Variable, value: np.ndarray, mask: np.ndarray, path: str) -> None:
    table = table_of(weight)
    if table is not None:
        table.assign(value, mask)
        return
    mlp = mlp_of(weight)
    if mlp is not None and value.shape != tuple(weight.shape):
        _prune(mlp, weight, value.shape)
        whole = np.zeros(weight.shape, value.dtype)
        whole[tuple(slice(n) for n in value.shape)] = value
        value = whole
    if value.shape != tuple(weight.shape):
        raise ValueError(
            f"The weight {path!r} was exported with shape {value.shape}, and the model made from "
            f"the export's configuration has {tuple(weight.shape)}: its class has changed."
        )
    weight.assign(value)
    variable = mask_of(weight)
    if variable is not None:
        variable.assign(mask)


def _prune(mlp: PrunableMLP, weight: keras.Variable, shape: tuple[int, ...]) -> None:
    """Says that the layer is pruned to what was exported of one of its hidden biases."""
    places = [place for place, bias in enumerate(mlp.biases[:-1]) if bias is weight]
    if places:
        kept = list(mlp.n_kept)
        kept[places[0]] = shape[0]
        mlp.is_pruned.assign(False)
        mlp.set_n_kept(kept)
        mlp.is_pruned.assign(True)
