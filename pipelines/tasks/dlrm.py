"""DLRM on clicks by day: its data, its model, and its two stages."""

import functools
from collections.abc import Callable
from typing import Any

import keras

from pipelines import criteo, criteo_like, movielens_ctr
from pipelines.algorithms import MASKS
from pipelines.clicks import ClickData
from pipelines.config import RunConfig
from pipelines.costs.stages import training_flops
from pipelines.run_state import RunState
from pipelines.stages import Stages
from tfdsl import checks
from tfdsl.algorithms import StructuredPruning
from tfdsl.models import DLRM

# From the folder with the data sets, the most rows of a table, and the rows wanted of a day (0 for
# all of them).
DATA: dict[str, Callable[[str | None, int, int], ClickData]] = {
    "criteo-like": lambda data_dir, max_rows, n_rows: criteo_like.load(n_rows),
    "ml-100k": lambda data_dir, max_rows, n_rows: _first(movielens_ctr.load(data_dir), n_rows),
    "criteo-kaggle": lambda data_dir, max_rows, n_rows: _first(
        criteo.load(data_dir, max_rows=max_rows), n_rows
    ),
}


class DLRMTask:
    """One run's data and model; see `pipelines.tasks.Task`.

    Raises:
        ValueError: no such data set, or a setting that does not fit it.
        DataError: the data cannot be had or is damaged.
    """

    def __init__(self, config: RunConfig, data_dir: str | None) -> None:
        self.config, settings = config, config.settings
        self.hidden = {name: _units(name, settings[name]) for name in ("bottom", "top")}
        checks.count("rows_per_day", settings["rows_per_day"], least=0)
        self.data = _load(config.data, data_dir, settings["max_rows"], settings["rows_per_day"])
        self.stages = Stages(config, self.data)

    def build_model(self) -> keras.Model:
        """Returns the compiled model, built, with its initial masks."""
        config, settings = self.config, self.config.settings
        keras.utils.set_random_seed(config.seed)
        hidden = self.hidden
        if config.algorithm == "narrow":
            n_kept = StructuredPruning(config.density, prune_step=0).n_kept
            hidden = {name: [n_kept(n) for n in units] for name, units in hidden.items()}
        model = DLRM(
            self.data.table_rows,
            n_dense=self.data.n_dense,
            width=settings["width"],
            **hidden,
            max_rows=settings["max_rows"],
            sparse_tables=config.algorithm in MASKS,
            seed=config.seed,
        )
        optimizer = config.optimizer(self.stages.offline_steps)
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        model.compile(optimizer, loss)
        optimizer.build(model.trainable_variables)
        return model

    def train(self, model: keras.Model, state: RunState) -> dict[str, Any]:
        """Trains, or does what is left of it; see `Stages.train`; "training_flops" beside it."""
        trained = self.stages.train(model, state)
        batch = next(iter(self.stages.split.train.batches(self.config.batch_size, steps=1)))
        n = (trained["steps"], trained["steps"] + trained["recurring_steps"])
        return trained | {"training_flops": training_flops(model, batch, *n)}


def _units(name: str, text: str) -> list[int]:
    try:
        return [int(n) for n in text.split("-")] if text else []
    except ValueError:
        raise ValueError(
            f"The setting {name} names hidden layers, such as 512-256; received {text!r}."
        ) from None


def _first(data: ClickData, n_rows: int) -> ClickData:
    """Returns the first rows of each day; all for 0."""
    if not n_rows:
        return data
    days = [day.part(0, min(n_rows, len(day))) for day in data.days]
    return ClickData(days, data.table_rows, data.n_dense)


@functools.cache
def _load(name: str, data_dir: str | None, max_rows: int, rows_per_day: int) -> ClickData:
    # Cached: the runs of a table share their data.
    checks.choice("data", name, DATA)
    return DATA[name](data_dir, max_rows, rows_per_day)
