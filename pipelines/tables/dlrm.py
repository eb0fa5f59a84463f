"""DLRM in two stages: AMGP beside dense, a model pruned once, and one that is always small."""

from typing import Any

from pipelines.config import RunConfig
from pipelines.tables.base import Options, Table

# As DLRM's public script for Criteo Kaggle trains: one pass, batches of 128, SGD at 0.1.
_SCRIPT: dict[str, Any] = {"epochs": 1, "batch_size": 128, "learning_rate": 0.1}
_METRICS = ("logloss", "normalized_entropy", "auc")
_NOTES = (
    "keep is the share of each hidden layer's neurons that stays: in amgp's pruned stretches (3 "
    "cycles, 0.7 of each pruned, the last tenth at full size), in prune_once from the middle of "
    "the offline stage on for good, in narrow from the beginning."
)


def _table(
    name: str, data: str, title: str, budgets: dict[str, dict[str, Any]], notes: str = ""
) -> Table:
    def grid(options: Options) -> list[RunConfig]:
        algorithms = ("amgp", "prune_once", "narrow")
        cases = [("dense", 1.0), *((a, keep) for keep in (0.5, 0.25) for a in algorithms)]
        return options.grid("dlrm", cases, data=data, **_SCRIPT | budgets[options.budget])

    return Table(
        f"amgp-{name}",
        f"DLRM, {title}, offline and recurring training",
        grid,
        _METRICS,
        f"{notes}{_NOTES}",
        tuple(budgets),
        seeds=3,
        kind="stages",
        suits_cpu=True,
    )


TABLES = (
    _table(
        "criteo-like",
        "criteo-like",
        "synthetic clicks at Criteo's shape",
        {
            "short": {"settings": {"rows_per_day": 250_000}},
            "long": {"settings": {"rows_per_day": 1_000_000}},
            "full": {"settings": {"rows_per_day": 0}},
        },
        "The clicks are synthetic; the teacher that drew them has a logloss of 0.45 to 0.47. ",
    ),
    _table(
        "ml100k",
        "ml-100k",
        "MovieLens-100K, ratings of 4 and 5 as clicks",
        # Chosen by validation of the dense model, seeds 0 and 1, among this, and rates of 0.1, 0.03
        # and 0.01 that stay, with 5 and 15 passes.
        {"short": {"epochs": 5, "final_learning_rate": 5e-3, "settings": {"offline_days": 6}}},
    ),
    _table(
        "criteo",
        "criteo-kaggle",
        "Criteo Kaggle",
        {
            "short": {"settings": {"rows_per_day": 250_000, "max_rows": 100_000}},
            "full": {"settings": {"max_rows": 100_000}},
        },
    ),
)
