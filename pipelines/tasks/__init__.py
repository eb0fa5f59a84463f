"""One file a model: its data sets, how it is built, fed and judged."""

from collections.abc import Callable
from typing import Protocol

import keras
import tensorflow as tf

from pipelines.config import RunConfig
from pipelines.tasks.light_gcn import LightGCNTask
from pipelines.tasks.mult_vae import MultVAETask
from pipelines.tasks.neu_mf import NeuMFTask


class Task(Protocol):
    """One run's data and model. Made from its `RunConfig` and the folder with the data sets.

    Attributes:
        steps_per_epoch: optimizer steps an epoch.
        elements_per_epoch: elements of `batches` an epoch; one can be the numbers of many steps.
        select: the validation metric by which the epoch is chosen, the higher the better.
    """

    steps_per_epoch: int
    elements_per_epoch: int
    select: str

    def __init__(self, config: RunConfig, data_dir: str | None) -> None: ...

    def build_model(self) -> keras.Model:
        """Returns the compiled model, built, with its initial masks."""

    def batches(self, first_epoch: int) -> tf.data.Dataset:
        """Returns the training batches from an epoch (from 0) to the end of the run."""

    def evaluator(self, model: keras.Model) -> Callable[[str], dict[str, float]]:
        """Returns a function from "validation" or "test" to the users' mean metrics."""


TASKS: dict[str, type[Task]] = {
    "multvae": MultVAETask,
    "lightgcn": LightGCNTask,
    "neumf": NeuMFTask,
}

__all__ = ["TASKS", "Task"]
