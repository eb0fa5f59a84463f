"""Training by epochs: every few of them are judged on validation, and the best is reported."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from pipelines.command_line import say
from pipelines.config import RunConfig
from pipelines.costs.flops import Work
from pipelines.mask_watch import MaskWatch, Places
from pipelines.run_state import RunState
from tfdsl import distributions, schedules
from tfdsl.algorithms import NeuronPruning
from tfdsl.report import sparse_optimizer_of


class EpochTask(Protocol):
    """One run's data and model, trained epoch by epoch; see `pipelines.tasks.Task`.

    Attributes:
        config: the run.
        steps_per_epoch: optimizer steps an epoch.
        elements_per_epoch: elements of `batches` an epoch; one can be the numbers of many steps.
        select: the validation metric by which the epoch is chosen, the higher the better.
    """

    config: RunConfig
    steps_per_epoch: int
    elements_per_epoch: int
    select: str

    def batches(self, first_epoch: int) -> tf.data.Dataset:
        """Returns the training batches from an epoch (from 0) to the end of the run."""

    def evaluator(self, model: keras.Model) -> Callable[[str], dict[str, float]]:
        """Returns a function from "validation" or "test" to the users' mean metrics."""

    def work(self, model: keras.Model) -> Work:
        """Returns what passes through the model in a training step, and to rank for a user."""

    def ranker(self, model: keras.Model) -> tuple[Callable[[Any], Any], Any, int]:
        """Returns what scores all items, an input of it, and how many users that is of."""

    def places(self, model: keras.Model) -> Sequence[Places]:
        """Returns which rows and columns of the model's masked weights are whose."""

    def train(self, model: keras.Model, state: RunState) -> dict[str, Any]:
        """Trains, or does what is left of it.

        Returns:
            "best_epoch", its "validation" and "test" metrics, "steps", and "masks", the records of
            a `MaskWatch`.
        """
        watch = MaskWatch(model, self.places(model))
        progress = Progress(self.config, state, self.evaluator(model), self.select, watch)
        if progress.epoch < self.config.epochs:
            model.fit(
                self.batches(progress.epoch),
                initial_epoch=progress.epoch,
                epochs=self.config.epochs,
                steps_per_epoch=self.elements_per_epoch,
                callbacks=[progress],
                shuffle=False,
                verbose=0,
            )
        best = progress.best
        return {
            "best_epoch": best["epoch"],
            "validation": best["validation"],
            "test": best["test"],
            "steps": self.steps_per_epoch * self.config.epochs,
            "masks": watch.records,
        }


class Progress(keras.callbacks.Callback):
    """Writes a row an epoch; evaluates every few epochs, keeps the best and saves the state.

    The best is one of those at the run's own density: see `is_as_sparse_as_it_will_be`.

    Args:
        config: the run.
        state: the run's; what it has of an interrupted run is taken up.
        evaluate: "validation" or "test" -> metrics.
        select: the validation metric by which the epoch is chosen.
        watch: looks at the masks at each evaluation.
    """

    def __init__(
        self,
        config: RunConfig,
        state: RunState,
        evaluate: Callable[[str], dict[str, float]],
        select: str,
        watch: MaskWatch,
    ) -> None:
        super().__init__()
        self.config, self.state, self.evaluate = config, state, evaluate
        self.select, self.watch = select, watch
        progress = state.restore() or {"epoch": 0, "best": {}, "masks": []}
        watch.records.extend(progress["masks"])
        self.epoch: int = progress["epoch"]
        self.best: dict[str, Any] = progress["best"]
        if self.epoch:
            say(f"{config.key}: goes on after epoch {self.epoch}")

    def on_train_begin(self, logs: Any = None) -> None:
        """Starts the clock."""
        self.watch.begin()
        self.started = time.perf_counter() - self.state.seconds

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Adds a row; evaluates and saves at every `evaluate_every`-th epoch and at the last."""
        done, step = epoch + 1, int(self.model.optimizer.iterations)
        row = {"epoch": done, "step": step, "loss": logs["loss"]}
        self.state.rows.append(row)
        evaluated = done % self.config.evaluate_every == 0 or done == self.config.epochs
        if evaluated:
            validation = self.evaluate("validation")
            row |= validation
            if is_as_sparse_as_it_will_be(self.model) or done == self.config.epochs:
                self._select(done, validation)
            self.watch.look(done, step)
        self.state.write_rows()
        if evaluated:
            # After the rows: whoever goes on from a checkpoint finds those before it written.
            self.epoch, self.state.seconds = done, time.perf_counter() - self.started
            self.state.save({"epoch": done, "best": self.best, "masks": self.watch.records})
            say(
                f"{self.config.key}: epoch {done}/{self.config.epochs}, loss {logs['loss']:.4g}, "
                f"validation {self.select} {validation[self.select]:.4f} "
                f"(best {self.best.get('epoch', 'not yet')}), {self.state.seconds:.0f} s"
            )

    def _select(self, epoch: int, validation: dict[str, float]) -> None:
        if not self.best or validation[self.select] > self.best["validation"][self.select]:
            # Test users are looked at when validation says so; nothing is chosen by them.
            test = self.evaluate("test")
            self.best = {"epoch": epoch, "validation": validation, "test": test}


def is_as_sparse_as_it_will_be(model: keras.Model) -> bool:
    """Says whether the masks have come down to the density the algorithm ends at.

    What prunes on the way has the metrics of a denser model until then, which are not its own.
    """
    optimizer = sparse_optimizer_of(model)
    if optimizer is None or isinstance(optimizer.algorithm, NeuronPruning):
        return True
    if isinstance(optimizer.algorithm.density, schedules.Constant):
        return True
    weights = optimizer.sparse_weights
    active = sum(int(np.count_nonzero(sparse.mask.numpy())) for sparse in weights)
    budgets = [distributions.budget(sparse.mask.numpy().size, sparse.density) for sparse in weights]
    # A global budget is rounded once, these are rounded weight by weight.
    return active <= sum(int(budget) for budget in budgets) + len(weights)
