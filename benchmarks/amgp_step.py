"""What AMGP's pruned stretch saves: a DLRM training step with neurons pruned over a dense one.

    python -m benchmarks.amgp_step

Whole training steps (look-up, both MLPs forward and backward, SGD) compiled by XLA, at keep 0.5,
of the DLRM of Criteo Kaggle's public script and of a wide one; 26 tables of 1,000 rows. Dense is
the same model under plain SGD. Steps of each alternate, so that all meet the same disturbances; a
figure is the median of the turns, a ratio the median of the turns' ratios. FLOPs are those of the
matrix products that XLA's optimised program has, with the branches it takes. "Rest" is the step
with all but one neuron of each hidden layer pruned: what no pruning of neurons saves (the look-up
and its update, the interaction, SGD on full-size kernels, the check of gradients).
"""

import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import flags

import tfdsl
from pipelines import command_line, environment
from pipelines.costs import hlo
from tfdsl import checks
from tfdsl.models import DLRM

SIZES: dict[str, dict[str, Any]] = {
    "criteo": {},
    "wide": {"width": 64, "bottom": (1024, 512), "top": (1024, 1024, 512)},
}
_FIELDS, _ROWS, _KEEP = 26, 1000, 0.5
_SIZES = flags.DEFINE_list("sizes", list(SIZES), f"Which of {', '.join(SIZES)}.")
_BATCHES = flags.DEFINE_list("batch_sizes", ["128", "4096"], "Rows a step.")
_TURNS = flags.DEFINE_integer("turns", 9, "Turns of each.", lower_bound=1)
_OUT = flags.DEFINE_string("out", None, "JSON file for the figures.")

Step = Callable[..., tf.Tensor]


def _step(size: dict[str, Any], optimizer: keras.optimizers.Optimizer) -> Step:
    model = DLRM([_ROWS] * _FIELDS, **size)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer, loss=loss, jit_compile=True)
    model.optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=True)
    def step(dense: tf.Tensor, categorical: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        return model.train_step(((dense, categorical), labels))["loss"]

    return step


def _data(batch_size: int) -> tuple[tf.Tensor, ...]:
    draw = np.random.default_rng(0)
    return (
        tf.constant(draw.normal(size=(batch_size, 13)), tf.float32),
        tf.constant(draw.integers(0, _ROWS, (batch_size, _FIELDS)), tf.int32),
        tf.constant(draw.random((batch_size, 1)) < 0.25, tf.float32),
    )


def _milliseconds(step: Step, data: tuple[tf.Tensor, ...], n: int) -> float:
    started = time.perf_counter()
    for _ in range(n):
        loss = step(*data)
    loss.numpy()
    return 1e3 * (time.perf_counter() - started) / n


def _measure(size: dict[str, Any], batch_size: int) -> dict[str, Any]:
    pruning = tfdsl.StructuredPruning(_KEEP, prune_step=0)
    emptying = tfdsl.StructuredPruning(1e-6, prune_step=0)
    steps = {
        "dense": _step(size, keras.optimizers.SGD(0.1)),
        "pruned": _step(size, tfdsl.SparseOptimizer(keras.optimizers.SGD(0.1), pruning)),
        "rest": _step(size, tfdsl.SparseOptimizer(keras.optimizers.SGD(0.1), emptying)),
    }
    data, n = _data(batch_size), max(1, 4096 // batch_size)
    for step in steps.values():
        _milliseconds(step, data, n)  # compiles
    turns = [{k: _milliseconds(s, data, n) for k, s in steps.items()} for _ in range(_TURNS.value)]
    flops = {kind: hlo.matmul_flops(step, *data)[0] for kind, step in steps.items()}
    return {
        "flops": flops,
        "flops_ratio": flops["pruned"] / flops["dense"],
        "milliseconds": {kind: [turn[kind] for turn in turns] for kind in steps},
        "time_ratio": float(np.median([turn["pruned"] / turn["dense"] for turn in turns])),
    }


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    for size in _SIZES.value:
        checks.choice("sizes", size, SIZES)
    environment.prepare()
    made = environment.describe()
    print(f"{', '.join(made['gpus']) or made['processor']}, {made['cores']} cores", flush=True)
    results = {}
    for size in _SIZES.value:
        for batch_size in map(int, _BATCHES.value):
            one = results[f"{size}-{batch_size}"] = _measure(SIZES[size], batch_size)
            dense, pruned, rest = (np.median(values) for values in one["milliseconds"].values())
            print(
                f"{size}, batch {batch_size}: {dense:.2f} ms dense, {pruned:.2f} ms pruned, "
                f"{rest:.2f} ms rest, {one['time_ratio']:.3f}; MLP FLOPs {one['flops_ratio']:.3f}",
                flush=True,
            )
    if _OUT.value:
        content = {"keep": _KEEP, "results": results, "environment": made}
        pathlib.Path(_OUT.value).write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    command_line.run(main, "python -m benchmarks.amgp_step --help")
