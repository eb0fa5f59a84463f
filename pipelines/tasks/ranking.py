"""What tasks share whose models train on sampled triples."""

import math
from typing import Any

import keras
import tensorflow as tf
from scipy import sparse

from pipelines.config import RunConfig
from pipelines.epochs import EpochTask
from pipelines.sampling import TripleSampler
from tfdsl import checks
from tfdsl.models import RankingModel

SAMPLING = ("host", "device")
MOST_AT_ONCE = 100  # steps between two looks at the clock, the keyboard and the callbacks


class RankingTask(EpochTask):
    """How a run's triples are drawn and handed to its model.

    Args:
        config: the run.
        train: training interactions, CSR [users, items].
        **drawing: more of `TripleSampler`'s arguments.

    Raises:
        ValueError: fewer interactions than a batch holds, or an unknown sampling; see also
            `TripleSampler`.
    """

    def __init__(self, config: RunConfig, train: sparse.csr_array, **drawing: Any) -> None:
        checks.choice("sampling", config.settings["sampling"], SAMPLING)
        if train.nnz < config.batch_size:
            raise ValueError(
                f"{train.nnz} interactions do not fill a batch of {config.batch_size}; use a "
                "smaller one."
            )
        self.config, self._train = config, train
        # At least every pair once, and a whole number of executions, however many steps that is.
        steps = train.nnz / config.batch_size
        executions = math.ceil(steps / MOST_AT_ONCE)
        self.steps_at_once = math.ceil(steps / executions)
        self.steps_per_epoch = executions * self.steps_at_once
        self.on_device = config.settings["sampling"] == "device"
        self.elements_per_epoch = executions if self.on_device else self.steps_per_epoch
        self.sampler = TripleSampler(train, config.batch_size, config.seed, **drawing)

    def width(self, full: int) -> int:
        """Returns the width of a masked table; narrow ones have as many weights as are active."""
        if self.config.algorithm != "narrow":
            return full
        return max(round(self.config.density * full), 1)

    def batches(self, first_epoch: int) -> tf.data.Dataset:
        """Returns the training batches from an epoch (from 0) to the end of the run."""
        steps = (n * self.steps_per_epoch for n in (first_epoch, self.config.epochs))
        if self.on_device:
            return tf.data.Dataset.range(*steps).batch(self.steps_at_once, drop_remainder=True)
        return self.sampler.dataset(*steps)

    def compiled(self, model: RankingModel, loss: keras.losses.Loss) -> RankingModel:
        """Compiles the model, builds its optimizer, and returns it.

        With sampling "device" the compiled step draws its own triples, of many steps at once.
        """
        steps = self.steps_per_epoch * self.config.epochs
        optimizer = self.config.optimizer(steps, self._train)
        if self.on_device:
            model.sampler = self.sampler
            model.compile(optimizer, loss=loss, jit_compile=True)
        else:
            at_once = self.steps_at_once
            model.compile(optimizer, loss=loss, jit_compile=True, steps_per_execution=at_once)
        optimizer.build(model.trainable_variables)
        return model
