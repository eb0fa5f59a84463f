"""A small stream of clicks that depend on the rows, and small runs of DLRM on it."""

import numpy as np

from pipelines.clicks import ClickData, Clicks
from pipelines.config import RunConfig

TABLE_ROWS = (7, 5)
N_DENSE = 3
SETTINGS = {"width": 4, "bottom": "8", "top": "10-6", "offline_days": 3, "optimizer": "adam"}
CONFIG = RunConfig(
    data="tiny",
    model="dlrm",
    algorithm="amgp",
    density=0.5,
    epochs=3,
    batch_size=16,
    learning_rate=0.03,
    settings=SETTINGS,
)


def data(sizes=(70, 64, 65, 90, 50, 40)):
    """Days of those sizes."""
    return ClickData([_day(n, number) for number, n in enumerate(sizes)], TABLE_ROWS, N_DENSE)


def _day(n, number):
    rng = np.random.default_rng(number)
    dense = rng.normal(size=(n, N_DENSE)).astype(np.float32)
    categorical = rng.integers(0, TABLE_ROWS, (n, len(TABLE_ROWS))).astype(np.int32)
    logits = dense[:, 0] + categorical[:, 0] - 3
    labels = (rng.random(n) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    return Clicks(dense, categorical, labels)
