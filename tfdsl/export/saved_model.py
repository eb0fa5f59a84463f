"""A model as a SavedModel whose size follows its density."""

import os
from typing import Any

import keras
import tensorflow as tf

from tfdsl import checks, copying
from tfdsl.export import folder, packing, serving, signature, weights
from tfdsl.export.report import ExportReport


def saved_model(
    model: keras.Model,
    path: str | os.PathLike[str],
    storage: str = "packed",
    values: str = "float32",
    kernels: str = "rows",
    unpack: str = "request",
    input_signature: Any = None,
    overwrite: bool = False,
) -> ExportReport:
    """Writes a model's inference as a SavedModel that is as small as the model is sparse.

    It is loaded by `tf.saved_model.load`, TensorFlow Serving and whatever else reads SavedModels,
    without tfdsl and Keras. Keep what `tf.saved_model.load` returns for as long as its function is
    used: what is unpacked or propagated when it is loaded is gone with it. Its one signature,
    "serving_default", takes the model's inputs by name and returns its outputs, named as a dict's
    keys or output_0, output_1, ... Outputs are the model's own, but for the order in which a
    product is summed up. Weights with values off their mask are refused.

    Every weight that inference reads is written once, in one of these forms; whatever only training
    needs (masks, counters, the optimizer) stays behind:

    - "whole": all entries.
    - "rows": active entries, their columns in 8 bits (16, 32 if a table is wider than 256), and
      where rows start, in little more than 8 bits. A row of a table is unpacked when it is looked
      up, never the whole table; a kernel is unpacked for each product, or, in products of few rows
      at low density, multiplied entry by entry; see `unpack`.
    - "bitmap": active entries, and one bit an entry. Never chosen by itself: where it is smaller it
      is also slower on CPUs. The report has its size.

    Of the MLPs of a model with pruned neurons, kernels of those in use are written. Of a LightGCN
    "dense" writes the propagated table, which averaging over neighbours has filled in; "packed" the
    table before that, and the graph: it is propagated when it is loaded.

    Args:
        model: a built Keras model; one without masks is written whole.
        path: the folder to write; for TensorFlow Serving a number in the folder of the model.
        storage: "packed": of each weight with a mask the smaller of whole and packed; "dense": all
            whole.
        values: dtype of the values of float32 matrices and tables: "float32", "bfloat16" or
            "float16". They are float32 again when they are read.
        kernels: how packed weights are stored that are no tables: "rows", or "bitmap", which is
            smaller above density 0.125 (by 8 % at 0.2, 15 % at 0.5) and several times slower to
            unpack.
        unpack: when kernels are unpacked: "request": for each, which keeps them small in memory and
            is slow for a few rows at a time; "load": once, when the SavedModel is loaded: small on
            disk alone, and as fast as "dense".
        input_signature: the model's inputs, a structure of `tf.TensorSpec`; needed of subclassed
            models whose inputs are not float32.
        overwrite: whether an export that is at `path` is replaced, with all that was put into its
            folder since.

    Returns:
        What was written, by weight.

    Raises:
        ValueError: an argument outside its range, a model that is not built, whose inputs are not
            known, that cannot be called with them, or that changes its weights when it predicts, a
            weight with values off its mask or too large for `values`.
        FileExistsError: there is something at `path`, and not `overwrite`.

    Example:
        print(tfdsl.export.saved_model(model, "served/1", values="bfloat16"))
    """
    checks.choice("storage", storage, weights.STORAGES)
    checks.choice("values", values, packing.VALUES)
    checks.choice("kernels", kernels, weights.KERNELS)
    checks.choice("unpack", unpack, weights.UNPACK)
    if not isinstance(model, keras.Model):
        raise ValueError(f"saved_model takes a keras.Model; received {model!r}.")
    if not model.built:
        raise ValueError(
            f"The model {model.name!r} has no weights yet. Train it, or call it on one batch."
        )
    with folder.written(path, overwrite) as (partial, manifest):
        tables = serving.tables_of(model)
        stored = weights.Weights(model, storage, values, kernels, tables, unpack)
        module = tf.Module()
        module.serve = serving.function_of(
            model, stored, signature.signature_of(model, input_signature)
        )
        for layer in copying.layers_inside(model):
            if hasattr(layer, "adapt") and layer.built:  # what it learned is in the function too
                stored.keep_state(layer)
        module.weights, module.others = stored.stored, stored.others
        # What a function reads besides weights: tables of look-up layers.
        module.layers = [
            layer for layer in copying.layers_inside(model) if hasattr(layer, "lookup_table")
        ]
        tf.saved_model.save(module, str(partial), signatures={"serving_default": module.serve})
        manifest |= {
            "kind": "model",
            "storage": storage,
            "values": values,
            "weights": stored.entries,
            "model": _config(model),
        }
    return ExportReport.of(path, stored.rows)


def _config(model: keras.Model) -> dict[str, Any]:
    """Returns what makes the model anew, or why nothing does."""
    try:
        config = keras.saving.serialize_keras_object(model)
    except (NotImplementedError, TypeError, ValueError) as error:
        # What Keras raises for a class that it cannot write down: it is served all the same.
        return {"error": " ".join(str(error).split())}
    config.pop("compile_config", None)
    return {"config": config, "build": model.get_build_config()}
