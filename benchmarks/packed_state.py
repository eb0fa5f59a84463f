"""Tables that are stored packed while they are trained, beside the same with masks, and dense ones.

    python -m benchmarks.packed_state --out=FILE

At density 0.1, DSL by rows with accumulated gradients among 8 candidates, Adam; "gradual" is what
prunes by magnitude and has the whole table first. "lightgcn" is LightGCN at Gowalla's size on a
random graph of as many interactions, which propagates whole rows however they are stored; "towers"
the dot product of a user's and an item's row, of tables of --rows rows each. State is the bytes of
the tables' variables and the optimizer's; the peak is of a process of its own, less that of a small
model, as benchmarks.memory has it. Steps take turns in one process a model, ten of each storage
without an update of its masks and ten with one: a figure is the median over the turns, a ratio the
median of the ratios of turns side by side, an update what the ten steps with one take longer. On a
GPU the processes are begun at once; what is timed is timed alone.
"""

import json
import os
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import flags
from scipy import sparse

import tfdsl
from benchmarks import own_process
from data import catalog
from pipelines import command_line, environment, files
from pipelines.costs import machine
from pipelines.costs.memory import used
from tfdsl.layers import SparseEmbedding
from tfdsl.models import BPRLoss, LightGCN

_DENSITY, _CANDIDATES, _WIDTH = 0.1, 8, 64
_STEPS = 10  # a turn, and in training up to the peak from update to update
_NEVER = 10**6
STORAGES = ("dense", "gradual", "masked", "packed")
_SIZES = ("small", "full")
_WAYS = [("dense", _NEVER), *((way, n) for way in STORAGES[1:] for n in (_NEVER, _STEPS))]
_ROWS = flags.DEFINE_integer("rows", 500_000, "Rows of each of the towers' tables.")
_TURNS = flags.DEFINE_integer("turns", 15, "Turns of each storage.", lower_bound=1)
_OUT = flags.DEFINE_string("out", None, "JSON file for the figures.")
_WORKER = flags.DEFINE_string("worker", None, "Of this program's own processes: what it measures.")

_RNG = np.random.default_rng(0)


def _kwargs(storage: str) -> dict[str, Any]:
    if storage != "packed":
        return {}
    return {"storage": "packed", "density": _DENSITY, "candidates": _CANDIDATES}


def _lightgcn(storage: str, small: bool) -> tuple[keras.Model, Any]:
    counts = catalog.get("gowalla").counts
    shape, n = (counts["users"], counts["items"]), counts["train_interactions"]
    if small:
        shape, n = (100, 200), 2_000
    pairs = _RNG.integers(0, shape, (n, 2))
    graph = sparse.csr_array((np.ones(n, np.float32), pairs.T), shape=shape)
    return LightGCN(graph, width=_WIDTH, **_kwargs(storage)), shape


def _towers(storage: str, small: bool) -> tuple[keras.Model, Any]:
    rows = 200 if small else _ROWS.value
    users, items = keras.Input((), dtype="int32"), keras.Input((2,), dtype="int32")
    initializer = keras.initializers.RandomNormal(stddev=0.01, seed=1)
    of_users, of_items = (
        SparseEmbedding(rows, _WIDTH, embeddings_initializer=initializer, **_kwargs(storage))(ids)
        for ids in (users, items)
    )
    scores = keras.ops.sum(keras.ops.expand_dims(of_users, 1) * of_items, axis=-1)
    return keras.Model((users, items), scores), (rows, rows)


_MODELS: dict[str, Callable[[str, bool], tuple[keras.Model, Any]]] = {
    "lightgcn": _lightgcn,
    "towers": _towers,
}


def _compiled(
    kind: str, storage: str, small: bool, interval: int = _STEPS
) -> tuple[keras.Model, Any]:
    """Returns a model that is ready to be trained, and a batch."""
    keras.utils.set_random_seed(0)
    model, (n_users, n_items) = _MODELS[kind](storage, small)
    optimizer = keras.optimizers.Adam(1e-3)
    if storage != "dense":
        optimizer = tfdsl.SparseOptimizer(optimizer, _algorithm(storage, interval))
    model.compile(optimizer, loss=BPRLoss(), jit_compile=True)
    optimizer.build(model.trainable_variables)
    draw = np.random.default_rng(1)
    users, items = draw.integers(0, n_users, 1024), draw.integers(0, n_items, (1024, 2))
    batch = (tf.constant(users, tf.int32), tf.constant(items, tf.int32))
    return model, (batch, tf.constant(np.tile(np.float32([1, 0]), (1024, 1))))


def _algorithm(storage: str, interval: int) -> tfdsl.algorithms.Algorithm:
    updates = {"update_interval": interval, "total_steps": 10 * _NEVER}
    if storage == "gradual":
        return tfdsl.GradualMagnitude(_DENSITY, **updates)
    return tfdsl.DSL(
        _DENSITY,
        granularity="row",
        candidates=_CANDIDATES,
        grow="accumulated_gradient",
        optimizer_state="reset",
        **updates,
    )


def _state(model: keras.Model, storage: str) -> int:
    """Returns the bytes of the variables of model and optimizer; of dense ones without masks."""
    variables = [*model.variables, *model.optimizer.variables]
    own = [v for v in variables if not (storage == "dense" and v.dtype == "bool")]
    return sum(int(np.prod(v.shape)) * tf.as_dtype(v.dtype).size for v in own)


def _work(kind: str, storage: str, size: str) -> dict[str, float]:
    environment.prepare()
    model, batch = _compiled(kind, storage, size == "small")
    built = used(peak=True)
    model.fit(tf.data.Dataset.from_tensors(batch).repeat(30), epochs=1, verbose=0)
    return {"built": built, "peak": used(peak=True), "state": _state(model, storage)}


def _times(kind: str) -> list[Any]:
    """Returns of each storage and interval of updates these and the seconds of each turn."""
    environment.prepare()
    runs = {}
    for storage, interval in _WAYS:
        model, (x, y) = _compiled(kind, storage, small=False, interval=interval)

        def step(model: keras.Model = model, x: Any = x, y: Any = y) -> tf.Tensor:
            return model.train_step((x, y))["loss"]

        runs[storage, interval] = tf.function(step, jit_compile=True)
        runs[storage, interval]()  # compiles
    found: dict[tuple[str, int], list[float]] = {way: [] for way in _WAYS}
    with machine.alone():
        for turn in range(_TURNS.value + 1):
            for way, run in runs.items():
                start = time.perf_counter()
                for _ in range(_STEPS):
                    loss = run()
                float(loss)
                if turn:  # the first one was up to a half off, either way
                    found[way].append(time.perf_counter() - start)
    return [[*way, seconds] for way, seconds in found.items()]


def _ask(workers: Sequence[str]) -> list[Any]:
    # On a CPU they would share its cores.
    at_once = len(os.sched_getaffinity(0)) if environment.gpus() else 1
    words = [f"--rows={_ROWS.value}", f"--turns={_TURNS.value}"]
    many = [[f"--worker={worker}", *words] for worker in workers]
    return own_process.ask_all("benchmarks.packed_state", many, at_once)


def _measured() -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the times of each model, and the memory of each, its storages and sizes."""
    times = _ask([f"{kind}/times" for kind in _MODELS])  # before others use the GPU
    sizes = [f"{kind}/{s}/{size}" for kind in _MODELS for s in STORAGES for size in _SIZES]
    memory = _ask(sizes)
    return dict(zip(_MODELS, times, strict=True)), dict(zip(sizes, memory, strict=True))


def _report(kind: str, timed: list[Any], memory: dict[str, Any]) -> dict[str, Any]:
    times = {(storage, interval): np.array(seconds) for storage, interval, seconds in timed}
    results: dict[str, Any] = {}
    for storage in STORAGES:
        small, full = (memory[f"{kind}/{storage}/{size}"] for size in _SIZES)
        own_times = times[storage, _NEVER]
        results[storage] = own = {
            "state": full["state"],
            "peak": full["peak"] - small["peak"],
            "built": full["built"] - small["built"],
            "step_ms": float(np.median(own_times)) / _STEPS * 1e3,
            "step_of_dense": float(np.median(own_times / times["dense", _NEVER])),
            "step_of_masked": float(np.median(own_times / times["masked", _NEVER])),
        }
        for name in ("state", "peak"):
            own[f"{name}_of_dense"] = own[name] / results["dense"][name]
        text = (
            f"{kind}, {storage}: state {own['state'] / 1e6:.1f} MB, {own['state_of_dense']:.3f} of "
            f"dense; peak {own['peak'] / 1e6:.0f} MB, {own['peak_of_dense']:.3f}; a step "
            f"{own['step_ms']:.2f} ms, {own['step_of_dense']:.2f} of dense"
        )
        if storage != "dense":
            own["update_ms"] = float(np.median(times[storage, _STEPS] - own_times)) * 1e3
            text += f", {own['step_of_masked']:.2f} of masked; an update {own['update_ms']:.1f} ms"
        print(text, flush=True)
    return results


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    if _WORKER.value:
        kind, *what = _WORKER.value.split("/")
        print(json.dumps(_times(kind) if what == ["times"] else _work(kind, *what)))
        return
    made = environment.describe()
    print(f"{', '.join(made['gpus']) or made['processor']}, {made['cores']} cores", flush=True)
    times, memory = _measured()
    results = {kind: _report(kind, times[kind], memory) for kind in _MODELS}
    if _OUT.value:
        content = {"results": results, "environment": made, "density": _DENSITY}
        files.write_json(pathlib.Path(_OUT.value), content)


if __name__ == "__main__":
    command_line.run(main, "python -m benchmarks.packed_state --help")
