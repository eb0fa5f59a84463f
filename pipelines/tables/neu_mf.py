"""NeuMF, one item a user left out: density x algorithm."""

from typing import Any

from pipelines.config import RunConfig
from pipelines.tables.base import METHODS, Options, Table, cases

# "short": wider than published, with fewer steps, more negatives and weight decay on embeddings,
# chosen by validation on ML-1M among a handful of settings.
_BUDGETS: dict[str, dict[str, Any]] = {
    "short": {
        "epochs": 20,
        "batch_size": 1024,
        "learning_rate": 1e-3,
        "final_learning_rate": 1e-5,
        "update_interval": 200,
        "evaluate_every": 2,
        "settings": {
            "factors": 64,
            "mlp_factors": 64,
            "dropout": 0.0,
            "regularization": 2e-3,
            "negatives": 8,
        },
    },
    "full": {"epochs": 200, "batch_size": 512, "learning_rate": 1e-4, "update_interval": 2000},
}
_NOTES = (
    "sampled_ metrics rank the item left out among 99 (published protocol: 100) others, the rest "
    "among all items that the user had not in training; masks are on the MLP's two tables; narrow "
    "is a dense model whose tables there have as many weights as the sparse ones have active, to a "
    "whole column."
)


def _table(name: str, data: str, title: str) -> Table:
    def grid(options: Options) -> list[RunConfig]:
        return options.grid("neumf", cases(METHODS), data=data, **_BUDGETS[options.budget])

    metrics = ("sampled_hit_rate@10", "sampled_ndcg@10", "hit_rate@10", "ndcg@10")
    return Table(name, f"NeuMF, {title}, leave one out", grid, metrics, _NOTES, seeds=3)


TABLES = (
    _table("neumf-ml1m", "ml-1m", "MovieLens-1M"),
    _table("neumf-citeulike", "citeulike-t", "CiteULike (citeulike-t)"),
)
