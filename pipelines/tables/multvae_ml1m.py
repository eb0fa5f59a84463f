"""MultVAE on MovieLens-1M, held-out users: density x algorithm."""

from typing import Any

from pipelines.config import RunConfig
from pipelines.tables.base import Options, Table

# "short" fits the grid into half an hour on two cores: batches of 32 cost little more than 16,
# since a step of Adam over all weights takes much of the time. The KL term is at its full weight
# when they end (validation NDCG was the same or better than with a slower rise).
_BUDGETS: dict[str, dict[str, Any]] = {
    "short": {"epochs": 60, "batch_size": 32, "update_interval": 100, "anneal_steps": 10_000},
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
