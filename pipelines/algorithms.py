"""The algorithms by the names that configurations have for them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import tfdsl
from pipelines.protocols import PublishedDSL

if TYPE_CHECKING:
    from pipelines.config import RunConfig

# From the run and its number of steps to what SparseOptimizer takes.
Make: TypeAlias = Callable[["RunConfig", int], Any]


def _shared(config: "RunConfig") -> dict[str, Any]:
    return {
        "density": config.density,
        "distribution": config.distribution,
        "init": "bernoulli" if "bernoulli" in config.quirks else "exact",
        "optimizer_state": config.optimizer_state,
        "seed": config.seed,
    }


def _dynamic(config: "RunConfig", total_steps: int) -> dict[str, Any]:
    interval = config.update_interval
    return _shared(config) | {"update_interval": interval, "total_steps": total_steps}


def _dsl(config: "RunConfig", total_steps: int) -> tfdsl.DSL:
    published = "shrinking_budget" in config.quirks
    return (PublishedDSL if published else tfdsl.DSL)(**_dynamic(config, total_steps))


def _neurons(config: "RunConfig") -> dict[str, Any]:
    return {
        "keep": config.density,
        "importance": config.settings["importance"],
        "seed": config.seed,
    }


def _amgp(config: "RunConfig", total_steps: int) -> tfdsl.AlternateGrowthPruning:
    names = ("cycles", "pruned_share", "final_share", "grow")
    return tfdsl.AlternateGrowthPruning(
        **_neurons(config),
        **{name: config.settings[name] for name in names},
        total_steps=total_steps,
        optimizer_state=config.optimizer_state,
    )


def _prune_once(config: "RunConfig", total_steps: int) -> tfdsl.StructuredPruning:
    return tfdsl.StructuredPruning(**_neurons(config), prune_step=max(total_steps // 2, 1))


# Of masks on weights.
MASKS: dict[str, Make] = {
    "dsl": _dsl,
    "set": lambda config, steps: tfdsl.SET(**_dynamic(config, steps)),
    "rigl": lambda config, steps: tfdsl.RigL(**_dynamic(config, steps)),
    "static": lambda config, steps: tfdsl.StaticSparse(**_shared(config)),
    "gradual": lambda config, steps: tfdsl.GradualMagnitude(**_dynamic(config, steps)),
    "oneshot": lambda config, steps: tfdsl.OneShotMagnitude(
        **_shared(config), prune_step=max(steps // 2, 1)
    ),
}
# Of whole neurons.
NEURONS: dict[str, Make] = {"amgp": _amgp, "prune_once": _prune_once}
ALGORITHMS = MASKS | NEURONS
# Without any: the model itself, and one that was made smaller.
DENSE = ("dense", "narrow")
