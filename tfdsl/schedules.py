"""When masks change, and by how much: `step -> bool` and `step -> number`.

Steps count the optimizer's updates from 1: step t is the t-th update. Schedules are called with
an integer tensor inside the training step, so they are written in tensor operations.
"""

import math
import numbers
from typing import Any, Protocol, Self, TypeAlias, runtime_checkable

import keras
import tensorflow as tf

from tfdsl import checks

Tensor: TypeAlias = tf.Tensor

SHARE = "(0, 1]"  # densities, and shares that are to stay or to move


class Serializable:
    """Saves and restores an object by its constructor's arguments, kept as attributes."""

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        # What every subclass says for itself.
        raise NotImplementedError(f"{type(self).__name__} needs get_config, to be saved.")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Makes an equal object from `get_config`'s result."""
        return cls(**config)

    def __repr__(self) -> str:
        if type(self).get_config is Serializable.get_config:
            return super().__repr__()
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


@keras.saving.register_keras_serializable(package="tfdsl")
class UpdateSchedule(Serializable):
    """Says at which steps the masks change: at `begin` and every `interval` steps from there.

    Args:
        interval: steps between two updates, at least 1.
        begin: no update before this step, nor before step 1.
        end: no update after this step; `None` for no end.

    Raises:
        ValueError: `interval` below 1, or `end` before `begin`.
    """

    def __init__(self, interval: int, begin: int = 0, end: int | None = None) -> None:
        self.interval = checks.count("update_interval", interval)
        self.begin = checks.count("begin", begin, least=0)
        self.end = end if end is None else checks.count("end", end)
        if self.end is not None and self.end < self.begin:
            raise ValueError(
                f"An update schedule cannot end before it begins; received begin={begin}, "
                f"end={end}."
            )

    def __call__(self, step: Tensor) -> Tensor:
        """Returns a boolean scalar: do the masks change at this step?"""
        due = tf.equal((step - self.begin) % self.interval, 0) & (step >= max(self.begin, 1))
        return due if self.end is None else due & (step <= self.end)

    def last(self, total_steps: int | None = None) -> int | None:
        """Returns the last step at which the masks change; 0 for never, None if there is no end.

        Args:
            total_steps: length of the training; None if unknown.
        """
        ends = [end for end in (self.end, total_steps) if end is not None]
        if not ends:
            return None
        return max(min(ends) - (min(ends) - self.begin) % self.interval, 0)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"interval": self.interval, "begin": self.begin, "end": self.end}


@runtime_checkable
class Schedule(Protocol):
    """A number that changes over training; `final` is the value it ends at.

    One that has `end`, the step from which on it is `final`, is checked against the updates.
    """

    @property
    def final(self) -> float:
        """The value after the last step of the schedule."""

    def __call__(self, step: Tensor) -> Tensor:
        """Returns the value at `step`, a scalar."""

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, by which it is saved with a model."""


class _Ramp(Serializable):
    """Goes from `initial` to `final` between the steps `begin` and `end`; constant outside."""

    def __init__(self, initial: float, final: float, end: int, begin: int = 0) -> None:
        self.initial = checks.number("initial", initial, "(-inf, inf)")
        self.final = checks.number("final", final, "(-inf, inf)")
        self.begin = checks.count("begin", begin, least=0)
        self.end = checks.count("end", end)
        if self.end <= self.begin:
            raise ValueError(
                f"A schedule must end after it begins; received begin={begin}, end={end}."
            )

    def __call__(self, step: Tensor) -> Tensor:
        done = tf.cast(step - self.begin, tf.float64) / (self.end - self.begin)
        left = self._share_left(tf.clip_by_value(done, 0.0, 1.0))
        value = self.final + (self.initial - self.final) * left
        # To the last bit: XLA divides by multiplying, and would not quite arrive.
        return tf.where(step >= self.end, tf.constant(self.final, tf.float64), value)

    def _share_left(self, done: Tensor) -> Tensor:
        """Maps the share of the way done, in [0, 1], to the share of the change to come."""
        raise NotImplementedError  # what every subclass says for itself

    def get_config(self) -> dict[str, Any]:
        return {
            "initial": self.initial,
            "final": self.final,
            "end": self.end,
            "begin": self.begin,
        }


@keras.saving.register_keras_serializable(package="tfdsl")
class Linear(_Ramp):
    """A straight line from `initial` at step `begin` to `final` at step `end`."""

    def _share_left(self, done: Tensor) -> Tensor:
        return 1.0 - done


@keras.saving.register_keras_serializable(package="tfdsl")
class Cosine(_Ramp):
    """Half a cosine wave: (1 + cos(pi * t / T)) / 2, as DSL and RigL anneal their update ratio."""

    def _share_left(self, done: Tensor) -> Tensor:
        return (1.0 + tf.cos(math.pi * done)) / 2.0


@keras.saving.register_keras_serializable(package="tfdsl")
class Cubic(_Ramp):
    """(1 - t / T)^3, the curve of gradual pruning (Zhu & Gupta, 2017, arXiv 1710.01878)."""

    def _share_left(self, done: Tensor) -> Tensor:
        return (1.0 - done) ** 3


@keras.saving.register_keras_serializable(package="tfdsl")
class Constant(Serializable):
    """The same value at every step."""

    def __init__(self, value: float) -> None:
        self.value = checks.number("value", value, "(-inf, inf)")

    @property
    def final(self) -> float:
        """The value."""
        return self.value

    def __call__(self, step: Tensor) -> Tensor:
        """Returns the value."""
        return tf.constant(self.value, tf.float64)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"value": self.value}


@keras.saving.register_keras_serializable(package="tfdsl")
class Polynomial(_Ramp):
    """(1 - t / T)^power; what tfmot calls PolynomialDecay."""

    def __init__(
        self, initial: float, final: float, end: int, begin: int = 0, power: float = 3.0
    ) -> None:
        super().__init__(initial, final, end, begin)
        self.power = checks.number("power", power, "(0, inf)")

    def _share_left(self, done: Tensor) -> Tensor:
        return (1.0 - done) ** self.power

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return super().get_config() | {"power": self.power}


def get(name: str, value: Any) -> Schedule:
    """Returns a schedule: the one given, a tfmot schedule's density, or a constant for a share.

    Raises:
        ValueError: neither a number in (0, 1] nor a schedule; `name` is in the message.
    """
    if is_tfmot(value):
        return from_tfmot(value)[0]
    if isinstance(value, Schedule):
        return value
    if callable(value):
        raise ValueError(
            f"A schedule has `final` and `get_config` (see tfdsl.schedules.Schedule); `{name}` "
            f"received {value!r}, which lacks one."
        )
    return Constant(checks.number(name, value, SHARE, instead=" or a schedule (tfdsl.schedules)"))


def to_config(given: Any, schedule: Schedule) -> Any:
    """Returns what `from_config` needs: the number if one was given, else the schedule's own."""
    if isinstance(given, numbers.Real):
        return float(given)
    return keras.saving.serialize_keras_object(schedule)


def object_to_config(value: Any) -> Any:
    """Returns what `from_config` needs of a name or of an object with `get_config`."""
    return value if isinstance(value, str) else keras.saving.serialize_keras_object(value)


def from_config(config: Any) -> Any:
    """Returns the object that `to_config` described; anything but a dictionary as it is."""
    return keras.saving.deserialize_keras_object(config) if isinstance(config, dict) else config


def is_tfmot(value: object) -> bool:
    """Says whether `value` is a pruning schedule of tensorflow-model-optimization."""
    return type(value).__module__.startswith("tensorflow_model_optimization")


def from_tfmot(schedule: Any) -> tuple[Schedule, UpdateSchedule]:
    """Turns a tfmot sparsity schedule into a density schedule and an update schedule.

    tfmot itself is not imported (it would switch the whole process to Keras 2): the schedule's
    own configuration is read, so that the result trains under XLA and is saved with the model.

    Raises:
        ValueError: the schedule is neither PolynomialDecay nor ConstantSparsity.
    """
    name, config = type(schedule).__name__, schedule.get_config()["config"]
    # A negative end_step means "never".
    end = config["end_step"] if config["end_step"] >= 0 else None
    updates = UpdateSchedule(config["frequency"], config["begin_step"], end)
    if name == "ConstantSparsity":
        return Constant(1.0 - config["target_sparsity"]), updates
    if name == "PolynomialDecay":
        initial, final = 1.0 - config["initial_sparsity"], 1.0 - config["final_sparsity"]
        ramp = Polynomial(initial, final, config["end_step"], config["begin_step"], config["power"])
        return ramp, updates
    raise ValueError(
        f"Of tfmot's schedules, PolynomialDecay and ConstantSparsity are understood; received "
        f"{name}. Write it as a tfdsl.schedules object."
    )
