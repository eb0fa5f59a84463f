"""The algorithms by the names that configurations have for them."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import tfdsl
from pipelines.protocols import PublishedDSL
from tfdsl import checks, schedules
from tfdsl.algorithms import criteria
from tfdsl.algorithms.base import GRANULARITIES, INITS

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


def _scheduled(config: "RunConfig", total_steps: int) -> dict[str, Any]:
    interval = config.update_interval
    return _shared(config) | {"update_interval": interval, "total_steps": total_steps}


def _dynamic(config: "RunConfig", total_steps: int) -> dict[str, Any]:
    given: dict[str, Any] = dict(config.algorithm_settings)
    annealing = ANNEALING.get(given.pop("annealing", ""))
    if annealing:
        given["update_ratio"] = annealing(given.get("update_ratio", 0.5), total_steps)
    if "update_share" in given:
        given["update_end"] = max(round(given.pop("update_share") * total_steps), 1)
    return _scheduled(config, total_steps) | given


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


# How an update ratio goes down from its first value; DSL's own is "cosine".
ANNEALING: dict[str, Callable[[float, int], schedules.Schedule]] = {
    "constant": lambda first, steps: schedules.Constant(first),
    "linear": lambda first, steps: schedules.Linear(first, 0.005, steps),
    "cosine": lambda first, steps: schedules.Cosine(first, 0.005, steps),
}
# What runs of the algorithms `DYNAMIC` can set, with an example each. What is not given is as the
# algorithm has it. `update_share`: the share of all steps after which masks stay as they are.
DYNAMIC = ("dsl", "set", "rigl")
ALGORITHM_SETTINGS: dict[str, Any] = {
    "drop": "magnitude",
    "grow": "gradient",
    "update_ratio": 0.5,
    "annealing": "cosine",
    "update_share": 1.0,
    "init": "exact",
    "granularity": "entry",
}


def check_settings(algorithm: str, given: dict[str, Any]) -> None:
    """Checks the settings of a run's algorithm.

    Raises:
        ValueError: it has none, an unknown name, or a value that it cannot have.
    """
    if given and algorithm not in DYNAMIC:
        raise ValueError(
            f"`algorithm_settings` are of {', '.join(DYNAMIC)}; received {given!r} for "
            f"{algorithm!r}."
        )
    for name, value in given.items():
        checks.choice("algorithm_settings", name, ALGORITHM_SETTINGS)
        if name == "annealing":
            checks.choice(name, value, ANNEALING)
        elif name in ("update_ratio", "update_share"):
            checks.number(name, value, "(0, 1]")
        else:
            known = {
                "drop": criteria.DROP,
                "grow": criteria.GROW,
                "init": INITS,
                "granularity": GRANULARITIES,
            }
            checks.choice(name, value, known[name])


# Of masks on weights.
MASKS: dict[str, Make] = {
    "dsl": _dsl,
    "set": lambda config, steps: tfdsl.SET(**_dynamic(config, steps)),
    "rigl": lambda config, steps: tfdsl.RigL(**_dynamic(config, steps)),
    "static": lambda config, steps: tfdsl.StaticSparse(**_shared(config)),
    "gradual": lambda config, steps: tfdsl.GradualMagnitude(**_scheduled(config, steps)),
    "oneshot": lambda config, steps: tfdsl.OneShotMagnitude(
        **_shared(config), prune_step=max(steps // 2, 1)
    ),
}
# Of whole neurons.
NEURONS: dict[str, Make] = {"amgp": _amgp, "prune_once": _prune_once}
ALGORITHMS = MASKS | NEURONS
# Without any: the model itself, and one that was made smaller.
DENSE = ("dense", "narrow")


@dataclasses.dataclass(frozen=True)
class Baseline:
    """Another library's pruning, of one model; see `pipelines.baselines`.

    Attributes:
        model: that it is there for.
        program: module that runs it, in a process of its own.
        library: package that it needs.
        note: what readers of a table must know of it.
    """

    model: str
    program: str
    library: str
    note: str


BASELINES = {
    "tfmot": Baseline(
        model="multvae",
        program="pipelines.baselines.tfmot_mult_vae",
        library="tensorflow-model-optimization",
        note=(
            "tfmot is gradual magnitude pruning by tensorflow-model-optimization of the same model "
            "in tf_keras, with the same schedule and other random numbers."
        ),
    )
}
