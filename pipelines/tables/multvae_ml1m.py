"""MultVAE on MovieLens-1M, held-out users: density x algorithm."""

from typing import Any

from pipelines.config import RunConfig
from pipelines.tables.base import Options, Table

# "short" sees each user as often as it can within a few minutes on two cores: larger batches
# make a step of Adam over all weights, which is what takes the time, serve more users.
_BUDGETS: dict[str, dict[str, Any]] = {
    "short": {"epochs": 80, "batch_size": 64, "update_interval": 50, "anneal_steps": 50_000},
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
            **_BUDGETS[options.budget],
        )
        for algorithm, density in [("dense", 1.0), *sparse]
        for seed in options.seeds
    ]


TABLE = Table("multvae-ml1m", "MultVAE, MovieLens-1M, held-out users", _grid)
