"""One run of one configuration: trains, selects on validation, reports on test, can go on.

A run folder holds:
    config.json      the configuration
    metrics.csv      one row an evaluation: epoch, step, loss, validation metrics
    checkpoint/      the state after the last evaluation, until the run is done
    result.json      written last: a folder with it is a finished run
"""

import csv
import io
import json
import pathlib
import shutil
import sys
import time
from typing import Any

import keras
import tensorflow as tf
from absl import app, flags, logging

import tfdsl
from data.errors import DataError
from pipelines import environment, files
from pipelines.config import RunConfig
from pipelines.vae_task import VaeTask

TASKS = {"multvae": VaeTask}
SELECT = "ndcg@20"


def run(config: RunConfig, folder: pathlib.Path, data_dir: str | None = None) -> dict[str, Any]:
    """Runs a configuration, or what is left of it, and returns its result.

    Args:
        config: what to run.
        folder: the run's own folder. If it holds a result of this configuration, nothing is run;
            if it holds a checkpoint, the run goes on there.
        data_dir: folder with the data sets, or None for the cache.

    Raises:
        ValueError: the folder belongs to another configuration.
        DataError: the data cannot be had or is damaged.
    """
    known = files.read_json(folder / "config.json")
    if known not in (None, config.to_dict()):
        raise ValueError(
            f"{folder} holds a run with another configuration; use another folder or remove it."
        )
    result = files.read_json(folder / "result.json")
    if result is not None:
        return result
    task = TASKS[config.model](config, data_dir)
    files.write_json(folder / "config.json", config.to_dict())
    model = task.build_model()
    progress = _Progress(config, folder, model, task.evaluator(model))
    progress.restore()
    if progress.epoch < config.epochs:
        model.fit(
            task.batches(progress.epoch),
            initial_epoch=progress.epoch,
            epochs=config.epochs,
            steps_per_epoch=task.steps_per_epoch,
            callbacks=[progress],
            shuffle=False,
            verbose=0,
        )
    result = {
        "config": config.to_dict(),
        "best_epoch": progress.best["epoch"],
        "validation": progress.best["validation"],
        "test": progress.best["test"],
        "report": tfdsl.report(model).to_dict(),
        "steps": task.steps_per_epoch * config.epochs,
        "seconds": round(progress.seconds, 1),
        "environment": environment.describe(),
    }
    files.write_json(folder / "result.json", result)
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    return result


class _Progress(keras.callbacks.Callback):
    """Evaluates every few epochs, keeps the best, and saves enough to go on from there."""

    def __init__(
        self, config: RunConfig, folder: pathlib.Path, model: keras.Model, evaluate: Any
    ) -> None:
        super().__init__()
        self.config, self.folder, self.evaluate = config, folder, evaluate
        self.best: dict[str, Any] = {}
        self.rows: list[dict[str, Any]] = []
        self.epoch, self.seconds = 0, 0.0
        self.progress_json = tf.Variable("", trainable=False)
        # By position, and all of them: TensorFlow's own walk over a model's attributes misses
        # the state of Keras's seed generators.
        variables = [v.value for v in (*model.variables, *model.optimizer.variables)]
        checkpoint = tf.train.Checkpoint(variables=variables, progress=self.progress_json)
        self.manager = tf.train.CheckpointManager(checkpoint, folder / "checkpoint", max_to_keep=1)

    def restore(self) -> None:
        """Takes up the state of an interrupted run, if there is one."""
        if self.manager.latest_checkpoint is None:
            return
        self.manager.restore_or_initialize()
        state = json.loads(self.progress_json.numpy().decode())
        self.epoch, self.seconds = state["epoch"], state["seconds"]
        self.best, self.rows = state["best"], state["rows"]
        _say(f"{self.config.key}: goes on after epoch {self.epoch}")

    def on_train_begin(self, logs: Any = None) -> None:
        """Starts the clock."""
        self.started = time.perf_counter() - self.seconds

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Evaluates and saves at every `evaluate_every`-th epoch and at the last."""
        done = epoch + 1
        if done % self.config.evaluate_every and done != self.config.epochs:
            return
        validation = self.evaluate("validation")
        if not self.best or validation[SELECT] > self.best["validation"][SELECT]:
            # Test users are looked at when validation says so; nothing is chosen by them.
            test = self.evaluate("test")
            self.best = {"epoch": done, "validation": validation, "test": test}
        self.epoch, self.seconds = done, time.perf_counter() - self.started
        step = int(self.model.optimizer.iterations)
        self.rows.append({"epoch": done, "step": step, "loss": logs["loss"], **validation})
        self._save()
        _say(
            f"{self.config.key}: epoch {done}/{self.config.epochs}, loss {logs['loss']:.2f}, "
            f"validation {SELECT} {validation[SELECT]:.4f} (best {self.best['epoch']}), "
            f"{self.seconds:.0f} s"
        )

    def _save(self) -> None:
        table = io.StringIO()
        writer = csv.DictWriter(table, list(self.rows[0]))
        writer.writeheader()
        writer.writerows(self.rows)
        files.write_text(self.folder / "metrics.csv", table.getvalue())
        state = {name: getattr(self, name) for name in ("epoch", "seconds", "best", "rows")}
        self.progress_json.assign(json.dumps(state))
        self.manager.save()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


_FLAGS = {
    "data": (flags.DEFINE_string, "synthetic", "Data set: synthetic or ml-1m."),
    "model": (flags.DEFINE_string, "multvae", "Model."),
    "algorithm": (flags.DEFINE_string, "dsl", "dense, dsl, set, rigl, static, gradual, oneshot."),
    "density": (flags.DEFINE_float, 0.1, "Share of active weights; 1.0 with dense."),
    "epochs": (flags.DEFINE_integer, 200, "Passes over the training users."),
    "batch_size": (flags.DEFINE_integer, 16, "Users a step."),
    "learning_rate": (flags.DEFINE_float, 1e-3, "Adam's learning rate."),
    "update_interval": (flags.DEFINE_integer, 100, "Steps between two mask updates."),
    "optimizer_state": (flags.DEFINE_string, "reset", "keep, mask or reset."),
    "distribution": (flags.DEFINE_string, "uniform", "uniform, erk or global."),
    "anneal_steps": (flags.DEFINE_integer, 200_000, "Steps until the KL term is full."),
    "evaluate_every": (flags.DEFINE_integer, 5, "Epochs between two evaluations."),
    "seed": (flags.DEFINE_integer, 0, "Seed of everything random."),
}


def main(argv: list[str]) -> None:
    """Runs the configuration that the flags describe."""
    logging.set_verbosity(logging.WARNING)  # TensorFlow reports every checkpoint it writes
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected argument: {argv[1]}")
    try:
        config = RunConfig(**{name: flags.FLAGS[name].value for name in _FLAGS})
        folder = pathlib.Path(flags.FLAGS.run_dir or f"runs/single/{config.key}")
        result = run(config, folder, flags.FLAGS.data_dir)
    except (ValueError, DataError) as error:
        sys.exit(f"error: {error}")
    for name, value in result["test"].items():
        print(f"{name}: {value:.4f}")
    print(f"run folder: {folder}")


if __name__ == "__main__":
    for _name, (_define, _default, _help) in _FLAGS.items():
        _define(_name, _default, _help)
    flags.DEFINE_string("data_dir", None, "Folder with the data sets; downloaded if not given.")
    flags.DEFINE_string("run_dir", None, "The run's folder (default: runs/single/<its key>).")
    app.run(main)
