"""MultVAE on the embedded synthetic data: no download, a few minutes on two cores."""

from pipelines.config import RunConfig
from pipelines.tables.base import Options, Table


def _grid(options: Options) -> list[RunConfig]:
    cases = [("dense", 1.0), ("dsl", 0.5), ("dsl", 0.2), ("dsl", 0.1), ("static", 0.1)]
    return [
        RunConfig(
            data="synthetic",
            model="multvae",
            algorithm=algorithm,
            density=density,
            seed=seed,
            epochs=40 if options.budget == "short" else 120,
            batch_size=50,
            update_interval=20,
            anneal_steps=4_000,
            protocol=options.protocol,
            quirks=options.active_quirks,
            optimizer_state=options.optimizer_state,
        )
        for algorithm, density in cases
        for seed in options.seeds
    ]


TABLE = Table("multvae-synthetic", "MultVAE, synthetic data with planted taste groups", _grid)
