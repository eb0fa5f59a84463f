"""What the runs of a table cost: each configuration alone, in a process of its own.

A run's folder gets costs.json: the configuration and the environment, and

    step_ms         of a training step, mask updates among them: the median over turns, measured
                    while no other configuration is (others may compile, and take a first step)
    peak_bytes      of training: on a GPU what TensorFlow has allocated at most, else what the
                    process's resident memory has grown by
    training_flops  of a step, "theoretical" and "realised"; see `pipelines.costs.flops`
    ranking_flops   of the scores of all items for a user, likewise
    packed_bytes    of the trained weights in an export, at the density that the run ends at
"""

import dataclasses
import functools
import math
import pathlib
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tfdsl
from pipelines import environment, files
from pipelines.command_line import say
from pipelines.config import RunConfig
from pipelines.costs import flops, hlo, machine, memory
from pipelines.processes import Processes
from pipelines.tasks import TASKS
from tfdsl.algorithms import spectral
from tfdsl.report import sparse_optimizer_of

_TURNS = 3
_UPDATES = 2  # that the masks have in a turn, or would have


def measure_grid(
    grid: Sequence[RunConfig], folder: pathlib.Path, data_dir: str | None, jobs: int = 1
) -> None:
    """Measures runs.

    Args:
        grid: the runs, all with data that is here.
        folder: holds a folder for each run, named by its key.
        data_dir: folder with the data sets, or None for the cache.
        jobs: how many are got ready at once; their steps are taken one after the other.

    Raises:
        FailedCallError: one had no memory twice.
        OSError: processes were stopped or lost their GPU twice, and none has ended in between.
    """
    if not grid:
        return
    # Of several GPUs one: on another kind of GPU a row would compare nothing.
    with Processes(functools.partial(measure, data_dir=data_dir), grid, jobs, 1) as processes:
        for place, config in enumerate(grid):
            costs = processes.result(place)
            files.write_record(folder / config.key / "costs.json", costs)
            say(f"[{place + 1}/{len(grid)}] {config.key}: {costs['step_ms']:.3g} ms a step")


def measure(config: RunConfig, data_dir: str | None) -> dict[str, Any]:
    """Measures one run of a model that is trained by epochs, in this process.

    Raises:
        ValueError: the configuration does not fit the data, or its model is trained otherwise.
        DataError: the data cannot be had or is damaged.
    """
    environment.prepare()
    task: Any = TASKS[config.model](config, data_dir)
    if not hasattr(task, "work"):
        raise ValueError(f"Costs are measured of models trained by epochs; not of {config.model}.")
    before = memory.used()
    model = task.build_model()
    step_ms = _step_ms(task, model)
    peak = memory.used(peak=True) - (0 if environment.gpus() else before)
    work = task.work(model)
    theoretical = flops.theoretical(model, work, task.steps_per_epoch * config.epochs)
    realised = _realised(task, model, flops.of_graph(work))
    return {
        "config": config.to_dict(),
        "environment": environment.describe(),
        "step_ms": float(np.median(step_ms)),
        "turns_ms": step_ms,
        "peak_bytes": peak,
        "training_flops": {"theoretical": theoretical["training"], "realised": realised[0]},
        "ranking_flops": {"theoretical": theoretical["ranking"], "realised": realised[1]},
        "packed_bytes": packed_bytes(config, data_dir, model),
    }


class _Clock(keras.callbacks.Callback):
    """Keeps the time at the end of every epoch, when all of its steps are done."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Waits for the last step."""
        int(self.model.optimizer.iterations)
        self.times.append(time.perf_counter())


def _step_ms(task: Any, model: keras.Model) -> list[float]:
    """Returns milliseconds a step, of each turn."""
    config, per_epoch = task.config, task.elements_per_epoch
    at_once = task.steps_per_epoch // per_epoch
    there = config.epochs * per_epoch
    interval = config.update_interval or there * at_once // spectral.UPDATES
    window = min(math.ceil(_UPDATES * interval / at_once), there // (_TURNS + 1))
    window, clock = max(window, 1), _Clock()
    model.fit(task.batches(0), steps_per_epoch=1, shuffle=False, verbose=0)  # compiles
    with machine.alone():
        model.fit(
            task.batches(0).repeat(),
            steps_per_epoch=window,
            epochs=_TURNS + 1,  # the first waits for its data
            callbacks=[clock],
            shuffle=False,
            verbose=0,
        )
    return [float(1e3 * seconds / (window * at_once)) for seconds in np.diff(clock.times)]


def _realised(task: Any, model: Any, of_graph: dict[str, float]) -> tuple[float, float]:
    """Returns the FLOPs of a training step, and of ranking for a user, as they are computed."""

    @tf.function(jit_compile=True)
    def step(data: Any) -> tf.Tensor:
        return model.train_step(data)["loss"]

    element = next(iter(task.batches(0)))
    data = element[:1] if getattr(model, "sampler", None) else element
    score, inputs, n_users = task.ranker(model)
    ranking = tf.function(score, jit_compile=True)
    return (
        hlo.matmul_flops(step, data)[1] + of_graph["training"],
        hlo.matmul_flops(ranking, inputs)[1] / n_users + of_graph["ranking"],
    )


def packed_bytes(config: RunConfig, data_dir: str | None, model: keras.Model) -> int:
    """Returns the bytes of a run's weights in an export, at the density that it ends at.

    Args:
        config: the run.
        data_dir: folder with the data sets, or None for the cache.
        model: of the run, as it begins.
    """
    optimizer = sparse_optimizer_of(model)
    if optimizer and optimizer.algorithm.first_density > config.density:
        config = dataclasses.replace(config, algorithm="static")  # as sparse as it will be
        model = TASKS[config.model](config, data_dir).build_model()
    trained = {weight.path for weight in model.trainable_weights}  # and no graph
    with tempfile.TemporaryDirectory() as folder:
        rows = tfdsl.export.saved_model(model, f"{folder}/export").rows
    return sum(row.bytes for row in rows if row.path in trained)
