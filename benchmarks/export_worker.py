"""Loads SavedModels with TensorFlow alone, as a server does, and measures: benchmarks/export.py.

Called by path with one argument, a JSON file: what to do. Prints JSON.
"""

import gc
import json
import pathlib
import sys
import tempfile
import time
from typing import Any

import numpy as np
import tensorflow as tf

_LEAST = 5  # calls of a turn, whatever they take


def _resident() -> int:
    """Returns the bytes of this process that are in memory."""
    gc.collect()
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def _arguments(function: Any, inputs: dict[str, np.ndarray], n: int) -> dict[str, tf.Tensor]:
    """Returns the first n rows of the inputs, by the names that this export gives them."""
    specs = function.structured_input_signature[1]
    by_kind = {array.dtype.kind: array for array in inputs.values()}
    return {
        name: tf.constant(by_kind[np.dtype(spec.dtype.as_numpy_dtype).kind][:n], spec.dtype)
        for name, spec in specs.items()
    }


def _start() -> None:
    """Has TensorFlow take what it takes once, by a SavedModel of one number."""
    module = tf.Module()
    module.number = tf.Variable(1.0)
    module.add = tf.function(lambda x: {"sum": x + module.number}, [tf.TensorSpec([], tf.float32)])
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=module.add)
        tf.saved_model.load(folder).signatures["serving_default"](x=tf.constant(1.0))


def _memory(folder: str, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, float]:
    _start()
    before, started = _resident(), time.perf_counter()
    loaded = tf.saved_model.load(folder)
    seconds = time.perf_counter() - started
    after = _resident()
    function = loaded.signatures[signature]
    function(**_arguments(function, inputs, 1))
    return {
        "load_seconds": seconds,
        "loaded": after - before,
        "used": _resident() - before,
        "variables": sum(v.shape.num_elements() * v.dtype.size for v in function.variables),
    }


def _latency(
    folders: dict[str, str],
    signature: str,
    inputs: dict[str, np.ndarray],
    batches: dict[str, int],
    turns: int,
    seconds: float,
) -> dict[str, dict[str, list[float]]]:
    """Returns milliseconds of each call, by export and batch size; exports take turns.

    A turn is so many calls (by batch size), or as many as fit into some seconds.
    """
    loaded = {name: tf.saved_model.load(folder) for name, folder in folders.items()}
    functions = {name: one.signatures[signature] for name, one in loaded.items()}
    times: dict[str, dict[str, list[float]]] = {name: {} for name in folders}
    for size, n_calls in batches.items():
        fed = {name: _arguments(f, inputs, int(size)) for name, f in functions.items()}
        for name, function in functions.items():
            function(**fed[name])
            times[name][size] = []
        for _ in range(turns):
            for name, function in functions.items():
                end = time.perf_counter() + seconds
                for place in range(n_calls):
                    started = time.perf_counter()
                    if place >= _LEAST and started > end:
                        break
                    outputs = function(**fed[name])
                    next(iter(outputs.values())).numpy()
                    times[name][size].append(1e3 * (time.perf_counter() - started))
    return times


def main() -> None:
    """Does what the file says."""
    task = json.loads(pathlib.Path(sys.argv[1]).read_text())
    inputs = dict(np.load(task["inputs"]))
    if task["what"] == "memory":
        found: Any = _memory(task["folder"], task["signature"], inputs)
    else:
        names = ("folders", "batches", "turns", "seconds")
        found = _latency(signature=task["signature"], inputs=inputs, **{n: task[n] for n in names})
    print(json.dumps(found))


if __name__ == "__main__":
    main()
