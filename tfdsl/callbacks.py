"""Observers of training: they write down what happens and never change it."""

import csv
import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfdsl import checks
from tfdsl.algorithms import NeuronPruning
from tfdsl.optimizer import SparseOptimizer
from tfdsl.report import report, sparse_optimizer_of

_FIRST = ("epoch", "step", "density", "active", "exploration", "skipped_steps")


class SparsityLogger(keras.callbacks.Callback):
    """Writes down a model's sparsity as it trains, for a spreadsheet and for TensorBoard.

    At the end of an epoch `log_dir/sparsity.csv` gets one row: the epoch (from 0, as in Keras),
    the optimizer's step, the masked weights' density, active entries and exploration rate (see
    `tfdsl.report`), the steps skipped for a gradient that was not finite (those a
    `LossScaleOptimizer` skips by itself not among them), and the density of every masked weight
    under its path. TensorBoard gets the same as scalars `sparsity/<name>` over epochs.

    A run that goes on at epoch n keeps the rows before n and replaces the others, so a killed and
    resumed run has each epoch once; so does, from epoch 0, a second `fit` into the same folder.
    TensorBoard keeps the points of both. The file is replaced as a whole, never half-written.

    Args:
        log_dir: folder; made if there is none.
        every: write after every so many epochs.

    Example:
        model.fit(dataset, callbacks=[tfdsl.callbacks.SparsityLogger("logs")])

    Raises:
        ValueError: when made, for `every` below 1 or what is no path; when training starts, if the
            model is not compiled with a `SparseOptimizer` that makes masks; when it goes on, if the
            log has other columns or is damaged.
    """

    def __init__(self, log_dir: str | os.PathLike[str], every: int = 1) -> None:
        super().__init__()
        if not isinstance(log_dir, str | os.PathLike) or not str(log_dir):
            raise ValueError(f"`log_dir` must be a folder's path; received {log_dir!r}.")
        self.log_dir = Path(log_dir)
        self.every = checks.count("every", every)
        self._start: int | None = None
        self._rows: list[list[str]] | None = None
        self._writer: Any = None

    @property
    def path(self) -> Path:
        """The file written."""
        return self.log_dir / "sparsity.csv"

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Checks the optimizer."""
        self._optimizer()
        self._start = self._rows = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Reads the rows of earlier epochs; only now is it known where a resumed run goes on."""
        if self._start is None:
            self._start = epoch
            # Keras builds some models in their first step: those are opened after it.
            if self.model.built:
                self._open(self._start)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes one row and its scalars."""
        if (epoch + 1) % self.every:
            return
        rows = self._rows or self._open(epoch if self._start is None else self._start)
        values = self._values(epoch)
        rows.append(["" if value is None else str(value) for value in values.values()])
        new = self.path.with_suffix(".csv.new")
        with new.open("w", newline="") as file:
            csv.writer(file).writerows(rows)
        new.replace(self.path)
        with self._writer.as_default(step=epoch):
            for name, value in values.items():
                if name != "epoch" and value is not None:
                    tf.summary.scalar(f"sparsity/{name}", value)
        self._writer.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the event file."""
        if self._writer is not None:
            self._writer.close()

    def _open(self, start: int) -> list[list[str]]:
        """Opens both logs of a run from epoch `start` on; returns the header and the rows kept."""
        self.log_dir.mkdir(parents=True, exist_ok=True)
        header = list(self._values(start))
        kept: list[list[str]] = []
        if start > 0 and self.path.exists():
            old, rows = self._read()
            if old != header:
                raise ValueError(
                    f"{self.path} is the log of another model, with the columns {old}; this "
                    f"one's are {header}. Choose another log_dir, or give the model a name: Keras "
                    "numbers those without one."
                )
            kept = [row for row in rows if int(row[0]) < start]
        self._writer = tf.summary.create_file_writer(str(self.log_dir))
        self._rows = [header, *kept]
        return self._rows

    def _read(self) -> tuple[list[str], list[list[str]]]:
        """Returns the header and the rows of the file: numbers, as many, of epoch after epoch."""
        try:
            with self.path.open(newline="", encoding="utf-8") as file:
                header, *rows = csv.reader(file)
            if not header or any(len(row) != len(header) for row in rows):
                raise ValueError("a row of another length")
            for row in rows:
                if not all(math.isfinite(float(value or 0)) for value in row):
                    raise ValueError("a value that is no number")
            epochs = [int(row[0]) for row in rows]
            if epochs != sorted(set(epochs)) or min(epochs, default=0) < 0:
                raise ValueError("epochs that do not follow one another")
        except (OSError, ValueError, csv.Error) as error:
            raise ValueError(
                f"{self.path} is damaged ({error}). Remove it, and the log goes on without the "
                "epochs before, or choose another log_dir."
            ) from None
        return header, rows

    def _optimizer(self) -> SparseOptimizer:
        optimizer = sparse_optimizer_of(self.model)
        if optimizer is None:
            raise ValueError(
                "SparsityLogger logs the masks of a tfdsl.SparseOptimizer; the model is compiled "
                f"with {self.model.optimizer!r}."
            )
        if isinstance(optimizer.algorithm, NeuronPruning):
            raise ValueError(
                f"SparsityLogger logs masks, and {type(optimizer.algorithm).__name__} prunes "
                "neurons; tfdsl.report(model) says how many are in use."
            )
        return optimizer

    def _values(self, epoch: int) -> dict[str, int | float | None]:
        """Returns the row of now, by column."""
        optimizer, now = self._optimizer(), report(self.model)
        first = (
            epoch,
            int(optimizer.iterations.numpy()),
            now.density,
            now.active,
            now.exploration,
            int(optimizer.skipped_steps.numpy()) if optimizer.built else 0,
        )
        values: dict[str, int | float | None] = dict(zip(_FIRST, first, strict=True))
        # Keras lets two weights of a subclassed model have the same path.
        times: Counter[str] = Counter()
        for row in now.rows:
            if row.masked:
                times[row.path] += 1
                again = f"#{times[row.path]}" if times[row.path] > 1 else ""
                values[row.path + again] = row.density
        return values
