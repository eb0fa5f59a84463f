"""Masks that never change."""

from typing import Any

import keras

from tfdsl import schedules
from tfdsl.algorithms.base import Algorithm


@keras.saving.register_keras_serializable(package="tfdsl")
class StaticSparse(Algorithm):
    """Keeps the initial masks: the baseline that moving weights must beat.

    With `init="magnitude"` it prunes a trained model once and keeps it sparse while it is tuned.

    Args:
        density: share of active weights, in (0, 1]; a schedule must be constant.
        **kwargs: `distribution`, `granularity`, `init`, `first_values`, `optimizer_state`, `seed`,
            see `Algorithm`.
    """

    def __init__(self, density: float | schedules.Schedule, **kwargs: Any) -> None:
        super().__init__(density, **kwargs)
        if not isinstance(self.density, schedules.Constant):
            raise ValueError(
                f"StaticSparse never changes its masks, so its density must be a number or a "
                f"constant schedule; received {density!r}. Use GradualMagnitude or SET."
            )
