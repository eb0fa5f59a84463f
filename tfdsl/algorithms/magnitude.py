"""Algorithms that start dense and prune by magnitude; what is pruned stays pruned."""

from typing import Any, TypeAlias

import keras
import tensorflow as tf

from tfdsl import checks, masks, schedules
from tfdsl.algorithms.base import Algorithm
from tfdsl.algorithms.criteria import WeightState

Tensor: TypeAlias = tf.Tensor


class _MagnitudePruning(Algorithm):
    """Keeps each weight's `budget` largest entries among those still active."""

    updates: schedules.UpdateSchedule

    def update(self, state: WeightState, budget: Tensor, step: Tensor, seed: Tensor) -> Tensor:
        """Drops the smallest entries until `budget` are left."""
        return masks.keep_highest(state.mask, tf.abs(state.weight), budget, seed)


@keras.saving.register_keras_serializable(package="tfdsl")
class OneShotMagnitude(_MagnitudePruning):
    """Trains dense, prunes everything at one step, then tunes what is left.

    Args:
        density: share of active weights after pruning, a number in (0, 1].
        prune_step: the optimizer step after which the smallest weights go. To prune a model that
            is trained already, use `StaticSparse(init="magnitude")`.
        **kwargs: `distribution`, `granularity`, `optimizer_state`, `seed`, see `Algorithm`.
    """

    def __init__(self, density: float, *, prune_step: int, **kwargs: Any) -> None:
        if isinstance(density, schedules.Schedule) or schedules.is_tfmot(density):
            raise ValueError(
                f"OneShotMagnitude prunes at one step, so its density must be a number in (0, 1]; "
                f"received {density!r}. Use GradualMagnitude for a schedule."
            )
        checks.number("density", density, schedules.SHARE)
        self.prune_step = checks.count("prune_step", prune_step)
        self.final_density = density
        super().__init__(
            schedules.Linear(1.0, density, end=prune_step, begin=prune_step - 1), **kwargs
        )
        self.updates = schedules.UpdateSchedule(1, begin=prune_step, end=prune_step)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "density": self.final_density,
            "prune_step": self.prune_step,
        }


@keras.saving.register_keras_serializable(package="tfdsl")
class GradualMagnitude(_MagnitudePruning):
    """Prunes a dense model little by little to the final density.

    The density falls from 1 along a cubic between two steps (Zhu & Gupta, 2017, "To prune, or
    not to prune", arXiv 1710.01878).

    Args:
        density: share of active weights at the end, in (0, 1]; or a schedule, which then says
            how the density goes. A tfmot pruning schedule also says when to prune.
        update_interval: optimizer steps between two prunings.
        total_steps: length of the training run in optimizer steps; needed for a number.
        begin: first step at which weights may go.
        end: no pruning after this step, at which the final density is reached; for a number it is
            three quarters of `total_steps` unless given, so that the last quarter tunes what is
            left, for a schedule there is none.
        **kwargs: `distribution`, `granularity`, `init`, `first_values`, `optimizer_state`, `seed`,
            see `Algorithm`; `init`, for schedules that start below 1, is "magnitude" unless given.
    """

    def __init__(
        self,
        density: float | schedules.Schedule,
        *,
        update_interval: int = 100,
        total_steps: int | None = None,
        begin: int = 0,
        end: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.total_steps = total_steps
        if total_steps is not None:
            checks.count("total_steps", total_steps)
        is_tfmot = schedules.is_tfmot(density)
        if is_tfmot:
            density, self.updates = schedules.from_tfmot(density)
        elif isinstance(density, schedules.Schedule):
            self.updates = schedules.UpdateSchedule(update_interval, begin, end)
        else:
            final = schedules.get("density", density).final
            if end is None and total_steps is not None:
                end = max(total_steps * 3 // 4, 1)
            self.updates = schedules.UpdateSchedule(update_interval, begin, end)
            density = self._cubic(final)
        super().__init__(density, **({"init": "magnitude"} | kwargs))
        if self.first_density < self.density.final:
            raise ValueError(
                f"GradualMagnitude prunes and never grows, so its density cannot rise; received "
                f"{density!r}. Use SET, RigL or DSL for a schedule that rises."
            )
        if not is_tfmot:  # whose own steps are taken as they are
            self._check_arrival(total_steps)

    def _cubic(self, final: float) -> schedules.Schedule:
        begin, end, interval = self.updates.begin, self.updates.end, self.updates.interval
        if end is None:
            raise ValueError(
                "GradualMagnitude needs `total_steps` (or `end`), the number of optimizer steps "
                "to come, to know how fast to prune; received None."
            )
        # The last pruning may come before `end`: the curve must be at its foot by then.
        last = end - (end - begin) % interval
        if last <= begin:
            raise ValueError(
                f"GradualMagnitude would never prune: with update_interval={interval} no pruning "
                f"comes after step {begin} and up to step {end}. Use a smaller update_interval."
            )
        return schedules.Cubic(1.0, final, end=last, begin=begin)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "update_interval": self.updates.interval,
            "total_steps": self.total_steps,
            "begin": self.updates.begin,
            "end": self.updates.end,
        }
