"""What a run is: everything that decides its numbers, and nothing else."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable
from typing import Any

import keras

import tfdsl
from pipelines import protocols
from pipelines.algorithms import (
    ALGORITHM_SETTINGS,
    ALGORITHMS,
    BASELINES,
    DENSE,
    MASKS,
    NEURONS,
    REVISIONS,
    Training,
    check_settings,
)
from tfdsl import checks, distributions
from tfdsl.algorithms.base import OPTIMIZER_STATES
from tfdsl.csr import CSRMatrix
from tfdsl.distributions import DISTRIBUTIONS

# What runs of one model can set beside what all can, and what holds if they do not.
SETTINGS: dict[str, dict[str, Any]] = {
    "multvae": {"anneal_steps": 200_000},
    "lightgcn": {
        "width": 64,
        "layers": 3,
        "regularization": 1e-4,
        "gather": "float32",
        "uniform": "interactions",
        "sampling": "device",
    },
    "neumf": {
        "factors": 16,
        "mlp_factors": 16,
        "dropout": 0.2,
        "regularization": 0.0,
        "negatives": 4,
        "sampling": "device",
    },
    "dlrm": {
        "width": 16,
        "bottom": "512-256-64",
        "top": "512-256",
        "max_rows": 10_000,
        "rows_per_day": 0,
        "offline_days": 4,
        "optimizer": "sgd",
        "cycles": 3,
        "pruned_share": 0.7,
        "final_share": 0.1,
        "importance": "magnitude",
        "grow": "restore",
    },
}
OPTIMIZERS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {
    # PyTorch's epsilon, as all published settings are for it. Keras's is ten times as large,
    # which is not small beside the gradients of one row of a table in a large batch.
    "adam": functools.partial(keras.optimizers.Adam, epsilon=1e-8),
    "sgd": keras.optimizers.SGD,
}


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """One training run. Two runs with equal configurations give equal numbers on one machine.

    Attributes:
        data: data set, a key of the `DATA` of the model's task.
        model: name of the model, a key of `SETTINGS`.
        algorithm: "dense"; "narrow", a dense model of as many whole neurons or columns as come
            nearest to the parameters of a sparse one of that density (DLRM: of as many neurons);
            a key of `ALGORITHMS`; or one of `BASELINES`.
        density: share of active weights in the masked tensors, or with the algorithms `NEURONS`
            of neurons that stay in each hidden layer; 1.0 for "dense".
        seed: seed of weights, masks, batches, dropout; 0 to 2**31 - 1.
        epochs: passes over the training users (MultVAE) or interactions (DLRM: in the offline
            stage; days after it are trained on once).
        batch_size: users, or interactions, a step.
        learning_rate: the optimizer's: Adam's, or what the model's setting `optimizer` names.
        final_learning_rate: what it falls to, along a cosine over all steps; None: it stays.
        update_interval: optimizer steps between two updates of the masks; None, of "spectral" only:
            its own, of which there are 20.
        optimizer_state: what becomes of moments; see `tfdsl.algorithms.Algorithm`. "keep" is the
            quirk "warm_moments". Without a meaning for "dense".
        distribution: how the budget is shared among tensors.
        algorithm_settings: what the algorithm does otherwise than by itself; see
            `pipelines.algorithms.ALGORITHM_SETTINGS`.
        evaluate_every: epochs between two evaluations on the validation part (DLRM: no meaning,
            as no epoch is chosen).
        protocol: "clean" or "published".
        quirks: quirks of the published code that are switched on; see `pipelines.protocols`.
        settings: the model's own; the `SETTINGS` of the model that are not given are filled in.

    Raises:
        ValueError: a value that no run can have. Whether there is such data for the model is
            checked by `pipelines.train.run`.
    """

    data: str
    model: str
    algorithm: str
    density: float
    seed: int = 0
    epochs: int = 200
    batch_size: int = 16
    learning_rate: float = 1e-3
    final_learning_rate: float | None = None
    update_interval: int | None = 100
    optimizer_state: str = "reset"
    distribution: str = "uniform"
    algorithm_settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    evaluate_every: int = 5
    protocol: str = "clean"
    quirks: tuple[str, ...] = ()
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        checks.choice("model", self.model, SETTINGS)
        own = SETTINGS[self.model]
        for name in self.settings:
            checks.choice("settings", name, own)
        object.__setattr__(self, "settings", own | self.settings)
        for name in ("epochs", "batch_size", "evaluate_every"):
            checks.count(name, getattr(self, name))
        if self.update_interval is not None or self.algorithm != "spectral":
            checks.count("update_interval", self.update_interval)
        checks.seed(self.seed)
        checks.number("learning_rate", self.learning_rate, "(0, inf)")
        if self.final_learning_rate is not None:
            most = f"(0, {self.learning_rate!r}]"
            checks.number("final_learning_rate", self.final_learning_rate, most)
        checks.number("density", self.density, "(0, 1]")
        checks.choice("algorithm", self.algorithm, (*DENSE, *ALGORITHMS, *BASELINES))
        check_settings(self.algorithm, self.algorithm_settings)
        checks.choice("optimizer_state", self.optimizer_state, OPTIMIZER_STATES)
        checks.choice("distribution", self.distribution, DISTRIBUTIONS)
        if (self.algorithm == "dense") != (self.density == 1.0):
            raise ValueError(
                f"Density 1.0 goes with the algorithm 'dense' and with no other; received "
                f"{self.algorithm!r} at density {self.density}."
            )
        checks.choice("optimizer", self.settings.get("optimizer", "adam"), OPTIMIZERS)
        if self.algorithm in NEURONS and self.model != "dlrm":
            known = ", ".join((*DENSE, *MASKS))
            raise ValueError(
                f"{self.algorithm!r} prunes neurons, which only dlrm can; {self.model} can be "
                f"trained with {known}."
            )
        is_spectral = "spectral" in (self.algorithm, self.algorithm_settings.get("init"))
        if is_spectral and self.model == "dlrm":
            raise ValueError(
                "Spectral first masks are of users' interactions with items, which dlrm's clicks "
                f"are not; received algorithm={self.algorithm!r}, {self.algorithm_settings}."
            )
        if "storage" in self.algorithm_settings and self.model not in ("lightgcn", "neumf"):
            raise ValueError(
                f"`storage` is of tables of users and items, which lightgcn and neumf have; "
                f"received it for {self.model}."
            )
        if "users" in self.algorithm_settings and self.model != "lightgcn":
            raise ValueError(
                "`users` is of a table of users and items together, which lightgcn has; received "
                f"{self.algorithm_settings} for {self.model}."
            )
        if self.tables and not self.tables["candidates"]:
            raise ValueError("A packed table is grown among `candidates`; received 0, for all.")
        baseline = BASELINES.get(self.algorithm)
        if baseline and baseline.model != self.model:
            raise ValueError(
                f"{self.algorithm!r} is there for {baseline.model} alone; received {self.model!r}."
            )
        protocols.check(self.protocol, self.quirks, self.model)
        if "warm_moments" in self.quirks and self.optimizer_state != "keep":
            raise ValueError(
                f"The quirk warm_moments is optimizer_state='keep'; received "
                f"{self.optimizer_state!r}."
            )

    @property
    def key(self) -> str:
        """Name of the run's folder: readable, and different for every configuration."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        if self.algorithm in REVISIONS:
            text += f" revision {REVISIONS[self.algorithm](self)}"
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        return f"{self.model}-{self.data}-{self.algorithm}-d{self.density:g}-s{self.seed}-{digest}"

    def to_dict(self) -> dict[str, Any]:
        """Returns the configuration as JSON takes it."""
        return dataclasses.asdict(self) | {"quirks": list(self.quirks)}

    @property
    def tables(self) -> dict[str, Any]:
        """How sparse tables are stored, as `tfdsl.layers.SparseEmbedding` takes it."""
        given = self.algorithm_settings
        if given.get("storage", "dense") == "dense":
            return {}
        candidates = given.get("candidates", ALGORITHM_SETTINGS["candidates"])
        own = {"storage": "packed", "density": self.density, "candidates": candidates}
        if self.model == "lightgcn":
            most = distributions.USERS if self.algorithm == "spectral" else None
            own["users"] = given.get("users", most) or None
        return own

    def optimizer(
        self, total_steps: int, interactions: CSRMatrix | None = None
    ) -> keras.optimizers.Optimizer:
        """Returns the run's optimizer for a training of that many steps on those interactions."""
        rate = self.learning_rate
        if self.final_learning_rate is not None:
            share = self.final_learning_rate / rate
            rate = keras.optimizers.schedules.CosineDecay(rate, total_steps, alpha=share)
        inner = OPTIMIZERS[self.settings.get("optimizer", "adam")](rate)
        if self.algorithm in DENSE:
            return inner
        training = Training(total_steps, interactions)
        return tfdsl.SparseOptimizer(inner, ALGORITHMS[self.algorithm](self, training))
