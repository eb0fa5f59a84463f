"""One file a model: its data sets, how it is built, fed and judged."""

from typing import Any, Protocol

import keras

from pipelines.config import RunConfig
from pipelines.run_state import RunState
from pipelines.tasks.dlrm import DLRMTask
from pipelines.tasks.light_gcn import LightGCNTask
from pipelines.tasks.mult_vae import MultVAETask
from pipelines.tasks.neu_mf import NeuMFTask


class Task(Protocol):
    """One run's data and model. Made from its `RunConfig` and the folder with the data sets."""

    def __init__(self, config: RunConfig, data_dir: str | None) -> None: ...

    def build_model(self) -> keras.Model:
        """Returns the compiled model, built, with its initial masks."""

    def train(self, model: keras.Model, state: RunState) -> dict[str, Any]:
        """Trains, or does what is left of it; returns what the result says of it.

        "validation" and "test" are metrics, "steps" the number of optimizer steps.
        """


TASKS: dict[str, type[Task]] = {
    "multvae": MultVAETask,
    "lightgcn": LightGCNTask,
    "neumf": NeuMFTask,
    "dlrm": DLRMTask,
}

__all__ = ["TASKS", "Task"]
