"""MultVAE on held-out users: density x algorithm."""

from typing import Any

from pipelines.algorithms import BASELINES
from pipelines.config import RunConfig
from pipelines.tables.base import METHODS, SPECTRAL, Options, Table, cases

# "short" fits a run into two or three minutes on two cores, also slow ones: most of a step is
# Adam's, whatever the batch, so the batch is large. With DSL at density 0.1 and three seeds,
# batches of 32, more epochs and higher learning rates moved validation NDCG by less than seeds did.
_SHORT = {
    "epochs": 50,
    "batch_size": 64,
    "update_interval": 50,
    "settings": {"anneal_steps": 4_000},
}
_FULL = {"epochs": 200, "batch_size": 16, "update_interval": 100}
_METRICS = ("ndcg@20", "recall@20", "truncated_recall@20", "recall@50")
_NOTES = "recall@k divides by all held-out items, truncated_recall@k by at most k of them."
NARROW = "narrow is a dense model with as many weights as the sparse ones have active."
_METHODS = (*METHODS[:-1], *BASELINES, METHODS[-1])
# What SpectralDSL does by itself, named: there are runs from before it did.
VALUES = {"first_values": "scores"}
_SPECTRAL = SPECTRAL | {"algorithm_settings": VALUES}


def _synthetic(options: Options) -> list[RunConfig]:
    cases = [("dense", 1.0), ("dsl", 0.5), ("dsl", 0.2), ("dsl", 0.1), ("static", 0.1)]
    budget: dict[str, Any] = {
        "epochs": 40 if options.budget == "short" else 120,
        "batch_size": 50,
        "update_interval": 20,
        "settings": {"anneal_steps": 4_000},
    }
    return options.grid("multvae", cases, data="synthetic", **budget)


def _real(data: str) -> Table:
    def grid(options: Options) -> list[RunConfig]:
        budget: dict[str, Any] = _SHORT if options.budget == "short" else _FULL
        rows = cases(_METHODS, spectral=_SPECTRAL)
        return options.grid("multvae", rows, data=data, **budget)

    short, title = {
        "ml-1m": ("ml1m", "MovieLens-1M"),
        "citeulike-t": ("citeulike", "CiteULike (citeulike-t)"),
    }[data]
    notes = f"{_NOTES} {NARROW}"
    return Table(
        f"multvae-{short}", f"MultVAE, {title}, held-out users", grid, _METRICS, notes, seeds=3
    )


TABLES = (
    Table(
        "multvae-synthetic",
        "MultVAE, synthetic data with planted taste groups",
        _synthetic,
        _METRICS,
        _NOTES,
        suits_cpu=True,
    ),
    _real("ml-1m"),
    _real("citeulike-t"),
)
