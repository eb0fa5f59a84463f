"""What is kept of a run while it goes on: its rows of metrics, and a place to go on from."""

import csv
import io
import json
import pathlib
from typing import Any

import keras
import tensorflow as tf

from pipelines import files


class RunState:
    """Writes a run's metrics.csv and checkpoint.

    Args:
        folder: the run's folder.
        model: compiled and built, as are its optimizer's variables.

    Attributes:
        rows: those of metrics.csv, by column.
        variables: all that the model and its optimizer keep.
        seconds: time the run took up to its last checkpoint; kept by whoever trains.
    """

    def __init__(self, folder: pathlib.Path, model: keras.Model) -> None:
        self.folder = folder
        self.rows: list[dict[str, Any]] = []
        self.seconds = 0.0
        self._state = tf.Variable("", trainable=False)
        # By position, and all of them: TensorFlow's own walk over a model's attributes misses
        # the state of Keras's seed generators.
        self.variables = [v.value for v in (*model.variables, *model.optimizer.variables)]
        checkpoint = tf.train.Checkpoint(variables=self.variables, progress=self._state)
        self._manager = tf.train.CheckpointManager(checkpoint, folder / "checkpoint", max_to_keep=1)

    def restore(self) -> dict[str, Any] | None:
        """Takes up the state of an interrupted run and returns what `save` was given, or None."""
        if self._manager.latest_checkpoint is None:
            return None
        self._manager.restore_or_initialize()
        state: dict[str, Any] = json.loads(self._state.numpy().decode())
        self.rows, self.seconds = state["rows"], state["seconds"]
        progress: dict[str, Any] = state["progress"]
        return progress

    def write_rows(self) -> None:
        """Writes metrics.csv, with all columns of all rows; a row without one has it empty."""
        table = io.StringIO()
        writer = csv.DictWriter(table, list(dict.fromkeys(n for row in self.rows for n in row)))
        writer.writeheader()
        writer.writerows(self.rows)
        files.write_text(self.folder / "metrics.csv", table.getvalue())

    def save(self, progress: dict[str, Any]) -> None:
        """Saves the model, its optimizer, rows, seconds, and `progress`, which JSON takes."""
        state = {"rows": self.rows, "seconds": self.seconds, "progress": progress}
        self._state.assign(json.dumps(state))
        self._manager.save()
