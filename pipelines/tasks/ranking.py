"""What tasks share whose models train on sampled triples."""

from typing import Any

import keras
from scipy import sparse

from tfdsl.models import RankingModel

_MOST_AT_ONCE = 100


def steps_per_epoch(train: sparse.csr_array, batch_size: int) -> int:
    """Returns the number of full batches of interactions in an epoch.

    Raises:
        ValueError: there is none, as there are fewer interactions than a batch holds.
    """
    if train.nnz < batch_size:
        raise ValueError(
            f"{train.nnz} interactions do not fill a batch of {batch_size}; use a smaller one."
        )
    return int(train.nnz // batch_size)


def feed(task: Any, model: RankingModel, loss: keras.losses.Loss) -> RankingModel:
    """Compiles a task's model and builds its optimizer; returns the model.

    With sampling "device" the compiled step draws its own triples, and the host hands over the
    numbers of as many steps at once as divide an epoch.
    """
    config = task.config
    if config.settings["sampling"] == "device":
        model.sampler = task.sampler
    optimizer = config.optimizer(task.steps_per_epoch * config.epochs)
    at_once = next(n for n in range(_MOST_AT_ONCE, 0, -1) if task.steps_per_epoch % n == 0)
    model.compile(optimizer, loss=loss, jit_compile=True, steps_per_execution=at_once)
    optimizer.build(model.trainable_variables)
    return model
