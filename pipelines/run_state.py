"""What is kept of a run while it goes on: its rows of metrics, and a place to go on from."""

import csv
import io
import json
import pathlib
import re
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from pipelines import checkpoints, files


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
        self._checkpoint = tf.train.Checkpoint(variables=self.variables, progress=self._state)
        # Two, for one may turn out to be damaged.
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, folder / "checkpoint", max_to_keep=2
        )

    def restore(self) -> dict[str, Any] | None:
        """Takes up the state of an interrupted run and returns what `save` was given, or None.

        A checkpoint that is damaged or cut short is left out with a warning, and the one before it
        taken, or none.

        Raises:
            ValueError: it is of other variables.
        """
        for path in checkpoints.newest_first(self.folder / "checkpoint"):
            damage = checkpoints.damage(path)
            if damage is None:
                self._restore(path)
                state: dict[str, Any] = json.loads(self._state.numpy().decode())
                self.rows, self.seconds = state["rows"], state["seconds"]
                progress: dict[str, Any] = state["progress"]
                return progress
            warnings.warn(
                f"The checkpoint {path} is damaged and left out ({damage}). The run goes on from "
                "the one before it, or from its beginning.",
                stacklevel=2,
            )
        return None

    def _restore(self, path: pathlib.Path) -> None:
        try:
            self._checkpoint.restore(str(path)).assert_consumed()
        # TensorFlow's, each many lines long.
        except (AssertionError, ValueError, tf.errors.InvalidArgumentError):
            raise ValueError(
                f"The checkpoint {path} is another model's; use another folder, or remove this one."
            ) from None

    def write_rows(self) -> None:
        """Writes metrics.csv."""
        write_metrics(self.folder / "metrics.csv", self.rows)

    def save(self, progress: dict[str, Any]) -> None:
        """Saves the model, its optimizer, rows, seconds, and `progress`, which JSON takes.

        Raises:
            OSError: it cannot be written, as where the disk is full; what was saved before stays.
        """
        state = {"rows": self.rows, "seconds": self.seconds, "progress": progress}
        self._state.assign(json.dumps(state))
        try:
            self._manager.save()
        except tf.errors.OpError as error:
            reason = re.sub(r"\{\{.*?\}\}", "", error.message).strip().rstrip(".")
            raise OSError(
                f"The state of the run could not be written to {self.folder / 'checkpoint'}: "
                f"{reason}. What was written before is kept: mend that (where the disk is full, "
                "make room), and the same command goes on from there."
            ) from error


def write_metrics(path: pathlib.Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes rows as CSV, with all columns of all rows; a row without one has it empty."""
    table = io.StringIO()
    writer = csv.DictWriter(table, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    files.write_text(path, table.getvalue())
