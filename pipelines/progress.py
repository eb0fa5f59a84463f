"""What is kept while a run goes on: its metrics, its best epoch, and a place to go on from."""

import csv
import io
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from pipelines import files
from pipelines.command_line import say
from pipelines.config import RunConfig


class Progress(keras.callbacks.Callback):
    """Writes metrics.csv; evaluates every few epochs, keeps the best and saves the state.

    Args:
        config: the run.
        folder: the run's folder.
        model: compiled and built, as are its optimizer's variables.
        evaluate: "validation" or "test" -> metrics.
        select: the validation metric by which the epoch is chosen.
    """

    def __init__(
        self,
        config: RunConfig,
        folder: pathlib.Path,
        model: keras.Model,
        evaluate: Callable[[str], dict[str, float]],
        select: str,
    ) -> None:
        super().__init__()
        self.config, self.folder, self.evaluate = config, folder, evaluate
        self.select = select
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
        say(f"{self.config.key}: goes on after epoch {self.epoch}")

    def on_train_begin(self, logs: Any = None) -> None:
        """Starts the clock."""
        self.started = time.perf_counter() - self.seconds

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Adds a row; evaluates and saves at every `evaluate_every`-th epoch and at the last."""
        done, step = epoch + 1, int(self.model.optimizer.iterations)
        row = {"epoch": done, "step": step, "loss": logs["loss"]}
        self.rows.append(row)
        evaluated = done % self.config.evaluate_every == 0 or done == self.config.epochs
        if evaluated:
            validation = self.evaluate("validation")
            row |= validation
            self._select(done, validation)
        self._write_rows()
        if evaluated:
            # After the rows: whoever goes on from a checkpoint finds those before it written.
            self.epoch, self.seconds = done, time.perf_counter() - self.started
            self._save()
            say(
                f"{self.config.key}: epoch {done}/{self.config.epochs}, loss {logs['loss']:.4g}, "
                f"validation {self.select} {validation[self.select]:.4f} "
                f"(best {self.best['epoch']}), {self.seconds:.0f} s"
            )

    def _select(self, epoch: int, validation: dict[str, float]) -> None:
        if not self.best or validation[self.select] > self.best["validation"][self.select]:
            # Test users are looked at when validation says so; nothing is chosen by them.
            test = self.evaluate("test")
            self.best = {"epoch": epoch, "validation": validation, "test": test}

    def _write_rows(self) -> None:
        table = io.StringIO()
        names = dict.fromkeys(name for row in self.rows for name in row)
        writer = csv.DictWriter(table, list(names))  # empty where a row has no such name
        writer.writeheader()
        writer.writerows(self.rows)
        files.write_text(self.folder / "metrics.csv", table.getvalue())

    def _save(self) -> None:
        state = {name: getattr(self, name) for name in ("epoch", "seconds", "best", "rows")}
        self.progress_json.assign(json.dumps(state))
        self.manager.save()
