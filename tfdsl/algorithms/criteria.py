"""What makes a weight worth keeping or growing: one score an entry, the higher the better."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import tensorflow as tf

from tfdsl import masks

Tensor: TypeAlias = tf.Tensor


class WeightState(NamedTuple):
    """What an algorithm sees of one weight: tensors of the weight's shape.

    The weight alone when initial masks are asked for; `gradient` and `momentum` only if the
    algorithm's `signals` name them; `prior`, scores that first masks are made by, where the
    algorithm's `init` has them; `candidates`, the entries that may be grown, where it draws some.
    """

    weight: Tensor
    mask: Tensor = None
    ever_active: Tensor = None
    gradient: Tensor | None = None
    momentum: Tensor | None = None
    prior: Tensor | None = None
    candidates: Tensor | None = None

    def map(self, fn: Callable[[Tensor], Tensor]) -> "WeightState":
        """Returns the state with `fn` applied to every tensor that is there."""
        return WeightState(*(x if x is None else fn(x) for x in self))

    @staticmethod
    def join(states: Sequence["WeightState"]) -> "WeightState":
        """Returns several flat states as one."""
        columns = zip(*states, strict=True)
        return WeightState(*(None if x[0] is None else tf.concat(x, 0) for x in columns))


def _magnitude(state: WeightState) -> Tensor:
    return tf.abs(state.weight)


def _taylor(state: WeightState) -> Tensor:
    # The loss changes by about w * dL/dw if w goes (Molchanov et al., 2017, arXiv 1611.06440).
    return tf.abs(state.weight * state.gradient)


def _gradient(state: WeightState, seed: Tensor) -> Tensor:
    return tf.abs(state.gradient)


def _momentum(state: WeightState, seed: Tensor) -> Tensor:
    return tf.abs(state.momentum)


def _random(state: WeightState, seed: Tensor) -> Tensor:
    return masks.random_scores(tuple(state.mask.shape), seed)


def _random_unfired(state: WeightState, seed: Tensor) -> Tensor:
    return masks.prefer(_random(state, seed), ~state.ever_active)


DROP: dict[str, Callable[[WeightState], Tensor]] = {
    "magnitude": _magnitude,
    "taylor": _taylor,
}
GROW: dict[str, Callable[[WeightState, Tensor], Tensor]] = {
    "gradient": _gradient,
    "accumulated_gradient": _gradient,
    "momentum": _momentum,
    "random": _random,
    "random_unfired": _random_unfired,
}


def signals(drop: str, grow: str) -> frozenset[str]:
    """Says what the optimizer must provide beside weight and mask."""
    needed = {grow} & {"gradient", "accumulated_gradient", "momentum"}
    if drop == "taylor" and not needed & {"gradient", "accumulated_gradient"}:
        needed.add("gradient")
    return frozenset(needed)
