"""LightGCN, full ranking of all items: density x algorithm."""

from typing import Any

from pipelines.config import RunConfig
from pipelines.tables.base import PUBLISHED, Options, Table, cases

_BUDGETS: dict[str, dict[str, Any]] = {
    # Dense comes to a Recall@20 of 0.181 on Gowalla, chosen on the test part as is usual there;
    # with 200 epochs to 0.177.
    "short": {
        "epochs": 400,
        "batch_size": 8192,
        "learning_rate": 2e-2,
        "final_learning_rate": 1e-4,
        "update_interval": 150,
        "evaluate_every": 40,
        "settings": {"uniform": "users", "gather": "bfloat16"},
    },
    "long": {
        "epochs": 1000,
        "batch_size": 8192,
        "learning_rate": 1e-2,
        "final_learning_rate": 1e-4,
        "update_interval": 150,
        "evaluate_every": 100,
        "settings": {"uniform": "users", "gather": "bfloat16"},
    },
    "full": {
        "epochs": 1000,
        "batch_size": 1024,
        "learning_rate": 1e-2,
        "final_learning_rate": 1e-4,
        "update_interval": 3000,
        "evaluate_every": 20,
        "settings": {"uniform": "users"},
    },
}
_NOTES = (
    "All items that a user had not in training are ranked; narrow is a dense model of fewer "
    "columns, with as many weights as the sparse ones have active, to a whole column."
)

_METRICS = ("recall@20", "ndcg@20", "recall@50", "ndcg@50")


def _table(data: str, title: str) -> Table:
    def grid(options: Options) -> list[RunConfig]:
        rows = cases(PUBLISHED)
        return options.grid("lightgcn", rows, data=data, **_BUDGETS[options.budget])

    name, title = f"lightgcn-{data}", f"LightGCN, {title}, full ranking"
    # Public figures of LightGCN are all of the epoch that is best on the test part.
    selection = {"protocol": "published", "quirks": ("test_selection",)}
    return Table(name, title, grid, _METRICS, _NOTES, tuple(_BUDGETS), at_once=3, **selection)


def _beyond(data: str, title: str) -> Table:
    def grid(options: Options) -> list[RunConfig]:
        options.only_clean("SpectralDSL")
        rows = cases(("spectral", "dsl", "gradual", "narrow"), (0.5, 0.3, 0.2, 0.1, 0.05))
        return options.grid("lightgcn", rows, data=data, **_BUDGETS[options.budget])

    name, title = f"spectral-{data}", f"LightGCN, {title}, SpectralDSL beside the others"
    return Table(name, title, grid, _METRICS, _NOTES, tuple(_BUDGETS), seeds=3, at_once=3)


TABLES = (
    _table("gowalla", "Gowalla"),
    _table("yelp2018", "Yelp2018"),
    _table("amazon-book", "Amazon-book"),
    _beyond("gowalla", "Gowalla"),
    _beyond("yelp2018", "Yelp2018"),
)
