"""MultVAE on MovieLens-1M, held-out users: density x algorithm."""

from typing import Any

from pipelines.config import RunConfig
from pipelines.tables.base import Options, Table

# "short" fits the grid into half an hour on two cores, also slow ones: most of a step is Adam's,
# whatever the batch, so the batch is large. With DSL at density 0.1 and three seeds, batches of 32,
# more epochs and higher learning rates moved validation NDCG by less than the seeds did.
_BUDGETS: dict[str, dict[str, Any]] = {
    "short": {"epochs": 50, "batch_size": 64, "update_interval": 50, "anneal_steps": 4_000},
    "full": {"epochs": 200, "batch_size": 16, "update_interval": 100, "anneal_steps": 200_000},
}


def _grid(options: Options) -> list[RunConfig]:
    sparse = [(a, d) for d in (0.5, 0.2, 0.1) for a in ("dsl", "set", "static")]
    return [
        RunConfig(
            data="ml-1m",
            model="multvae",
            algorithm=algorithm,
            density=density,
            seed=seed,
            protocol=options.protocol,
            quirks=options.active_quirks,
            optimizer_state=options.optimizer_state,
            **_BUDGETS[options.budget],
        )
        for algorithm, density in [("dense", 1.0), *sparse]
        for seed in options.seeds
    ]


TABLE = Table("multvae-ml1m", "MultVAE, MovieLens-1M, held-out users", _grid)
