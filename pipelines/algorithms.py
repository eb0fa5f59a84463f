"""The algorithms by the names that configurations have for them."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import tfdsl
from pipelines import sharing
from pipelines.protocols import PublishedDSL
from tfdsl import checks, distributions, schedules
from tfdsl.algorithms import criteria
from tfdsl.algorithms.base import FIRST_VALUES, GRANULARITIES, INITS
from tfdsl.csr import CSRMatrix
from tfdsl.factors import ROTATIONS
from tfdsl.layers.sparse_embedding import STORAGES

if TYPE_CHECKING:
    from pipelines.config import RunConfig


class Training(NamedTuple):
    """What algorithms are told of a training.

    Attributes:
        steps: how long it is.
        interactions: what is trained on, CSR [users, items]; None of a model without.
    """

    steps: int
    interactions: CSRMatrix | None = None


# From the run and its training to what SparseOptimizer takes.
Make: TypeAlias = Callable[["RunConfig", Training], Any]


def _shared(config: "RunConfig") -> dict[str, Any]:
    return {
        "density": config.density,
        "distribution": config.distribution,
        "init": "bernoulli" if "bernoulli" in config.quirks else "exact",
        "optimizer_state": config.optimizer_state,
        "seed": config.seed,
    }


def _scheduled(config: "RunConfig", training: Training) -> dict[str, Any]:
    every = {} if config.update_interval is None else {"update_interval": config.update_interval}
    return _shared(config) | every | {"total_steps": training.steps}


def _given(config: "RunConfig", training: Training, **own: Any) -> dict[str, Any]:
    given: dict[str, Any] = own | config.algorithm_settings
    given.pop("storage", None)
    own = {name: given.pop(name) for name in OF_SPECTRAL if name in given}
    if given.get("init") == "spectral":
        if "users" in own:
            own["users"] = own["users"] or None
        cache = sharing.factors_folder()
        given["init"] = tfdsl.Spectral(training.interactions, seed=config.seed, cache=cache, **own)
    return given


def _static(config: "RunConfig", training: Training) -> tfdsl.StaticSparse:
    return tfdsl.StaticSparse(**_shared(config) | _given(config, training))


def _dynamic(config: "RunConfig", training: Training, **own: Any) -> dict[str, Any]:
    given = _given(config, training, **own)
    if "candidates" in given:
        given["candidates"] = given["candidates"] or None
    annealing = ANNEALING.get(given.pop("annealing", ""))
    if annealing:
        given["update_ratio"] = annealing(given.get("update_ratio", 0.5), training.steps)
    if "update_share" in given:
        given["update_end"] = max(round(given.pop("update_share") * training.steps), 1)
    return _scheduled(config, training) | given


def _dsl(config: "RunConfig", training: Training) -> tfdsl.DSL:
    published = "shrinking_budget" in config.quirks
    return (PublishedDSL if published else tfdsl.DSL)(**_dynamic(config, training))


def _spectral(config: "RunConfig", training: Training) -> tfdsl.SpectralDSL:
    # By rows users have most of what there is, as by SpectralDSL itself.
    by_rows = config.algorithm_settings.get("granularity") != "entry"
    users = {"users": distributions.USERS} if by_rows else {}
    return tfdsl.SpectralDSL(**_dynamic(config, training, init="spectral", **users))


def _begins_with_scores(config: "RunConfig") -> bool:
    """Whether kernels of a run of "spectral" begin with scores without being told so."""
    given = config.algorithm_settings
    is_told = "first_values" in given or given.get("init", "spectral") != "spectral"
    return config.model == "multvae" and not is_told


def _neurons(config: "RunConfig") -> dict[str, Any]:
    return {
        "keep": config.density,
        "importance": config.settings["importance"],
        "seed": config.seed,
    }


def _amgp(config: "RunConfig", training: Training) -> tfdsl.AlternateGrowthPruning:
    names = ("cycles", "pruned_share", "final_share", "grow")
    return tfdsl.AlternateGrowthPruning(
        **_neurons(config),
        **{name: config.settings[name] for name in names},
        total_steps=training.steps,
        optimizer_state=config.optimizer_state,
    )


def _prune_once(config: "RunConfig", training: Training) -> tfdsl.StructuredPruning:
    return tfdsl.StructuredPruning(**_neurons(config), prune_step=max(training.steps // 2, 1))


# How an update ratio goes down from its first value; DSL's own is "cosine".
ANNEALING: dict[str, Callable[[float, int], schedules.Schedule]] = {
    "constant": lambda first, steps: schedules.Constant(first),
    "linear": lambda first, steps: schedules.Linear(first, 0.005, steps),
    "cosine": lambda first, steps: schedules.Cosine(first, 0.005, steps),
}
# What runs of the algorithms `DYNAMIC` can set, with an example each; "static" can set the first
# masks, `FIRST`. What is not given is as the algorithm has it. `update_share`: the share of all
# steps after which masks stay as they are; `candidates`: 0 for all that are inactive; `rotation`
# and `users`: of spectral first masks, 0 for users and items alike; `storage`: of sparse tables,
# see `tfdsl.layers.SparseEmbedding`.
DYNAMIC = ("dsl", "set", "rigl", "spectral")
# How often what an algorithm does by itself was changed, since there were runs of it: a part of
# their keys, so that those of before are not taken for finished ones of now.
REVISIONS: dict[str, Callable[["RunConfig"], int]] = {
    "spectral": lambda config: 2 if _begins_with_scores(config) else 1,
}
OF_SPECTRAL = ("rotation", "users")
FIRST = ("init", "first_values", *OF_SPECTRAL, "granularity")
ALGORITHM_SETTINGS: dict[str, Any] = {
    "drop": "magnitude",
    "grow": "gradient",
    "update_ratio": 0.5,
    "annealing": "cosine",
    "update_share": 1.0,
    "init": "exact",
    "first_values": "keep",
    "rotation": "varimax",
    "users": 0.8,
    "granularity": "entry",
    "candidates": 8,
    "storage": "dense",
}


def check_settings(algorithm: str, given: dict[str, Any]) -> None:
    """Checks the settings of a run's algorithm.

    Raises:
        ValueError: it has none, an unknown name, or a value that it cannot have.
    """
    if given and algorithm not in (*DYNAMIC, "static"):
        raise ValueError(
            f"`algorithm_settings` are of {', '.join(DYNAMIC)}, static; received {given!r} for "
            f"{algorithm!r}."
        )
    is_spectral = given.get("init", "spectral" if algorithm == "spectral" else "") == "spectral"
    if not is_spectral and set(given) & set(OF_SPECTRAL):
        raise ValueError(
            f"{', '.join(OF_SPECTRAL)} are of spectral first masks, init=spectral; received "
            f"{given!r} for {algorithm!r}."
        )
    if given.get("first_values") == "scores" and not is_spectral:
        raise ValueError(
            f"first_values=scores are those of init=spectral; received {given!r} for {algorithm!r}."
        )
    for name, value in given.items():
        known = FIRST if algorithm == "static" else ALGORITHM_SETTINGS
        checks.choice("algorithm_settings", name, known)
        if name == "annealing":
            checks.choice(name, value, ANNEALING)
        elif name == "users":
            checks.number(name, value, "[0, 1)")
        elif name in ("update_ratio", "update_share"):
            checks.number(name, value, "(0, 1]")
        elif name == "candidates":
            checks.count(name, value, least=0)
        else:
            choices = {
                "drop": criteria.DROP,
                "grow": criteria.GROW,
                "init": (*INITS, "spectral"),
                "first_values": FIRST_VALUES,
                "rotation": ROTATIONS,
                "granularity": GRANULARITIES,
                "storage": STORAGES,
            }
            checks.choice(name, value, choices[name])


# Of masks on weights.
MASKS: dict[str, Make] = {
    "dsl": _dsl,
    "set": lambda config, training: tfdsl.SET(**_dynamic(config, training)),
    "rigl": lambda config, training: tfdsl.RigL(**_dynamic(config, training)),
    "static": _static,
    "gradual": lambda config, training: tfdsl.GradualMagnitude(**_scheduled(config, training)),
    "oneshot": lambda config, training: tfdsl.OneShotMagnitude(
        **_shared(config), prune_step=max(training.steps // 2, 1)
    ),
    "spectral": _spectral,
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
