"""What each part of DSL does: one run, and runs in which one thing is otherwise."""

from typing import Any

from pipelines.config import RunConfig
from pipelines.tables import light_gcn, mult_vae, neu_mf
from pipelines.tables.base import Options, Table

DENSITY = 0.2
_NOTES = "Every row but the first has the first one's configuration but for what it names."


def _settings(**settings: Any) -> dict[str, Any]:
    return {"algorithm_settings": settings}


def _cases(interval: int) -> list[tuple[Any, ...]]:
    """Returns the rows; `interval` is the number of steps between two updates of the first."""
    changes: list[dict[str, Any]] = [
        {},
        *(
            _settings(grow=grow)
            for grow in ("random", "random_unfired", "momentum", "accumulated_gradient")
        ),
        _settings(drop="taylor"),
        {"update_interval": max(interval // 4, 1)},
        {"update_interval": interval * 4},
        *(_settings(update_ratio=ratio) for ratio in (0.1, 0.3, 0.8)),
        *(_settings(annealing=annealing) for annealing in ("constant", "linear")),
        *(_settings(update_share=share) for share in (0.25, 0.75)),
        *(_settings(init=init) for init in ("bernoulli", "magnitude")),
        *({"distribution": distribution} for distribution in ("erk", "global")),
        *({"optimizer_state": state} for state in ("keep", "mask")),
    ]
    # "static": the first masks stay.
    return [*(("dsl", DENSITY, own) for own in changes), ("static", DENSITY), ("dense", 1.0)]


def _table(name: str, of: Table) -> Table:
    def grid(options: Options) -> list[RunConfig]:
        if options.protocol != "clean":
            raise ValueError(
                f"Tables of parts have the protocol clean alone; received {options.protocol!r}."
            )
        config = of.grid(Options(options.budget))[0]
        names = ("data", "epochs", "batch_size", "learning_rate", "final_learning_rate")
        fields = {field: getattr(config, field) for field in (*names, "evaluate_every", "settings")}
        interval = config.update_interval
        fields["update_interval"] = interval
        return options.grid(config.model, _cases(interval), **fields)

    title = f"The parts of DSL: {of.title}, density {DENSITY:g}"
    metrics, at_once = of.metrics[:2], of.at_once
    return Table(
        name, title, grid, metrics, _NOTES, of.budgets, seeds=3, kind="parts", at_once=at_once
    )


TABLES = tuple(
    _table(f"parts-{table.name}", table)
    for module in (mult_vae, light_gcn, neu_mf)
    for table in module.TABLES
    if table.name in ("multvae-ml1m", "multvae-citeulike", "lightgcn-gowalla", "neumf-ml1m")
)
