"""Training in two stages: offline on the first days, then recurring, day by day.

Offline is an endless shuffle of the first days' rows, for a known number of steps. Then every later
day is predicted before it is trained on, once, as a service that is trained every night meets it.
Nothing is chosen on the way: what is reported is what training ends with.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from pipelines.clicks import Batch, ClickData, Rows
from pipelines.command_line import say
from pipelines.config import RunConfig
from pipelines.run_state import RunState
from tfdsl.click_evaluation import evaluate_clicks

_PIECES = 10  # of the offline stage: after each the state is saved, whatever a run's numbers
_BATCH = 4096  # rows predicted at once
AT_ONCE = 50  # steps an execution


class _Piece(NamedTuple):
    """Steps between two savings; in the recurring stage those of a day, numbered from 0."""

    stage: str
    day: int | None
    rows: Rows
    first_step: int
    steps: int


class Stages:
    """Both stages of a run.

    Args:
        config: the run.
        data: its rows by day.

    Attributes:
        offline_steps: optimizer steps of the offline stage.
        recurring_steps: those after it.

    Raises:
        ValueError: no day is left for the recurring stage, or a day of it has fewer rows than a
            batch.
    """

    def __init__(self, config: RunConfig, data: ClickData) -> None:
        self.config = config
        n_days = config.settings["offline_days"]
        self.split = data.split(n_days)
        self.later = dict(list(enumerate(data.days))[n_days:])
        for name, rows in {"offline": self.split.train, **self.later}.items():
            if len(rows) < config.batch_size:
                what = name if isinstance(name, str) else f"day {name}"
                raise ValueError(
                    f"{len(rows)} rows ({what}) do not fill a batch of {config.batch_size}; use a "
                    "smaller one."
                )
        self.offline_steps = config.epochs * (len(self.split.train) // config.batch_size)
        # The last day is predicted only: no day is left to see what training on it does.
        self.recurring_steps = sum(
            len(rows) // config.batch_size for rows in list(self.later.values())[:-1]
        )

    def train(self, model: keras.Model, state: RunState) -> dict[str, Any]:
        """Trains, or does what is left of it.

        Returns:
            "validation" and "test", metrics after the offline stage; "days", the metrics of each
            later day before it was trained on; "steps" and "recurring_steps"; "step_milliseconds",
            the mean time of a training step, offline, without the first ones, which are compiled.
        """
        predict = _predictor(model)
        execute = _Executions(model)
        progress = state.restore() or {"done": 0, "days": [], "timed_steps": 0, "timed_seconds": 0}
        if progress["done"]:
            say(f"{self.config.key}: goes on after {state.rows[-1]}")
        for number, piece in enumerate(self._pieces()):
            if number < progress["done"]:
                continue
            started = time.perf_counter()
            if piece.day is not None:
                metrics = _judge(predict, piece.rows)
                progress["days"].append({"day": piece.day} | metrics)
            loss = self._fit(execute, piece) if piece.steps else None
            row = {"stage": piece.stage, "day": piece.day}
            row |= {"step": int(model.optimizer.iterations), "loss": loss}
            if piece.stage == "offline":
                metrics = _judge(predict, self.split.validation)
                progress["timed_steps"] += execute.steps
                progress["timed_seconds"] += execute.seconds
                if piece.first_step + piece.steps == self.offline_steps:
                    progress["validation"] = metrics
                    progress["test"] = _judge(predict, self.split.test)
            state.rows.append(row | metrics)
            state.write_rows()
            # After the rows: whoever goes on from a checkpoint finds those before it written.
            progress["done"] = number + 1
            state.seconds += time.perf_counter() - started
            state.save(progress)
            at = piece.stage if piece.day is None else f"day {piece.day}"
            say(f"{self.config.key}: {at}, step {row['step']}, logloss {metrics['logloss']:.4f}")
        milliseconds = 1e3 * progress["timed_seconds"] / max(progress["timed_steps"], 1)
        return {
            **{name: progress[name] for name in ("validation", "test", "days")},
            "steps": self.offline_steps,
            "recurring_steps": self.recurring_steps,
            "step_milliseconds": round(milliseconds, 4),
        }

    def _pieces(self) -> Iterator[_Piece]:
        edges = np.linspace(0, self.offline_steps, _PIECES + 1).round().astype(int).tolist()
        for first, end in itertools.pairwise(edges):
            if end > first:
                yield _Piece("offline", None, self.split.train, first, end - first)
        last = max(self.later)
        for day, rows in self.later.items():
            steps = 0 if day == last else len(rows) // self.config.batch_size
            yield _Piece("recurring", day, rows, 0, steps)

    def _fit(self, execute: "_Executions", piece: _Piece) -> float:
        batches = piece.rows.batches(
            self.config.batch_size, self.config.seed, piece.first_step, piece.steps, at_once=AT_ONCE
        )
        return execute(batches, piece.steps)


class _Executions:
    """Trains with batches, `AT_ONCE` steps an execution, and times them.

    An execution is one XLA program, so that a GPU does not wait for the host between its steps.

    Attributes:
        steps: that were timed in the last call: all but those of the very first execution, in
            which the program is compiled.
        seconds: how long those took.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._is_compiled = False
        self.steps, self.seconds = 0, 0.0

        @tf.function(jit_compile=True)
        def execute(batches: Batch, n: tf.Tensor) -> None:
            def step(place: tf.Tensor) -> tuple[tf.Tensor]:
                model.train_step(tf.nest.map_structure(lambda x: x[place], batches))
                return (place + 1,)

            tf.while_loop(lambda place: place < n, step, (tf.constant(0),))

        self._execute = execute

    def __call__(self, batches: tf.data.Dataset, steps: int) -> float:
        """Takes the steps and returns their mean loss."""
        self._model.reset_metrics()
        self.steps, started = steps, time.perf_counter()
        for element in batches:
            n = min(steps, AT_ONCE)
            self._execute(element, tf.constant(n))
            steps -= n
            if not self._is_compiled:
                self._loss()  # waits for it
                self._is_compiled = True
                self.steps, started = steps, time.perf_counter()
        loss = self._loss()
        self.seconds = time.perf_counter() - started
        return loss

    def _loss(self) -> float:
        return float(self._model.get_metrics_result()["loss"])


def _predictor(model: keras.Model) -> Callable[..., tf.Tensor]:
    # Not by XLA: the last batch of a day has a shape of its own, and would be compiled.
    return tf.function(lambda *inputs: model(inputs, training=False), reduce_retracing=True)


def _judge(predict: Callable[..., tf.Tensor], rows: Rows) -> dict[str, float]:
    logits, labels = [], []
    for inputs, clicked in rows.batches(_BATCH, keep_rest=True):
        logits.append(predict(*inputs))
        labels.append(clicked)
    return evaluate_clicks(tf.concat(logits, 0), tf.concat(labels, 0))
