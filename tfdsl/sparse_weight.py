"""One sparse weight with all that belongs to it, and what is done to it when its mask changes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import keras
import tensorflow as tf
from keras import ops

from tfdsl.algorithms import Algorithm, WeightState, rows
from tfdsl.layers.masking import is_table, mask_of
from tfdsl.slots import AVERAGE, Slot

Tensor: TypeAlias = tf.Tensor


@dataclass(eq=False)
class SparseWeight:
    """One weight that the algorithm manages, with all that belongs to it.

    Where `in_rows`, its rows have budgets of their own.
    """

    weight: keras.Variable
    mask: keras.Variable
    density: float
    in_rows: bool
    ever_active: keras.Variable
    accumulated: Any
    candidates: Any
    slots: list[Slot]

    @classmethod
    def of(
        cls,
        algorithm: Algorithm,
        weight: keras.Variable,
        density: float,
        sums: bool,
        slots: Sequence[Slot],
        add_slot: Callable[..., keras.Variable],
    ) -> Self:
        """Returns a weight that has a mask, and makes what belongs to it.

        Args:
            algorithm: decides on the mask.
            weight: has a mask.
            density: that the algorithm has for it.
            sums: whether gradients are added up.
            slots: the inner optimizer's, of the weight.
            add_slot: makes a variable of a weight's shape, by weight, name and dtype.
        """
        in_rows = algorithm.has_rows(is_table(weight))
        has_candidates = algorithm.candidates is not None and in_rows
        return cls(
            weight=weight,
            mask=mask_of(weight),
            density=density,
            in_rows=in_rows,
            ever_active=add_slot(weight, "ever_active", "bool"),
            accumulated=add_slot(weight, "accumulated_gradient", weight.dtype) if sums else None,
            candidates=add_slot(weight, "candidates", "bool") if has_candidates else None,
            slots=[slot for slot in slots if slot.variable.shape == weight.shape],
        )

    @property
    def watched(self) -> keras.Variable:
        """What has the gradients that growth looks at."""
        return self.weight

    @property
    def has_past(self) -> bool:
        """Whether there was a mask before."""
        return bool(tf.reduce_any(self.ever_active.value))

    @property
    def has_candidates(self) -> bool:
        """Whether candidates are drawn."""
        return self.candidates is not None and bool(tf.reduce_any(self.candidates.value))

    @property
    def is_initialized(self) -> bool:
        """Whether the variables have values."""
        return bool(self.weight.value.is_initialized())

    @property
    def is_new(self) -> bool:
        """Whether no mask was chosen for it: masks are made of ones."""
        return bool(tf.reduce_all(self.mask.value))

    def begin(self) -> None:
        """Begins with the mask as it is."""
        self.set_mask(self.mask.value)

    def forget(self) -> None:
        """Forgets what was ever active, and the candidates."""
        self.ever_active.assign(tf.zeros_like(self.ever_active.value))
        if self.candidates is not None:
            self.candidates.assign(tf.zeros_like(self.candidates.value))

    @property
    def moments(self) -> list[Slot]:
        """The inner optimizer's moments of this weight."""
        return [slot for slot in self.slots if slot.is_moment]

    @property
    def averages(self) -> list[keras.Variable]:
        """The inner optimizer's moving average of this weight, if it keeps one."""
        return [slot.variable for slot in self.slots if slot.name == AVERAGE]

    @property
    def momentum(self) -> keras.Variable | None:
        """The inner optimizer's first moment of this weight, if it has one by that name."""
        return next((slot.variable for slot in self.slots if slot.name == "momentum"), None)

    def state(self, gradient: Tensor | None, with_momentum: bool) -> WeightState:
        """Returns what an algorithm sees of the weight as it is now."""
        return WeightState(
            weight=tf.convert_to_tensor(self.weight),
            mask=tf.convert_to_tensor(self.mask),
            ever_active=tf.convert_to_tensor(self.ever_active),
            gradient=gradient,
            momentum=tf.convert_to_tensor(self.momentum) if with_momentum else None,
            candidates=None if self.candidates is None else self.candidates.value,
        )

    def renew_moments(self, mask: Tensor, optimizer_state: str) -> None:
        """Prepares the moments for a new mask, by the algorithm's policy; before `set_mask`."""
        if optimizer_state == "keep":
            return
        old = tf.convert_to_tensor(self.mask)
        stays = mask if optimizer_state == "mask" else ~(mask & ~old)
        for slot in self.moments:
            slot.variable.assign(tf.where(stays, slot.variable.value, slot.initial()))

    def set_mask(self, mask: Tensor) -> None:
        """Replaces the mask; weight and moving average are zero off it from now on."""
        self.mask.assign(mask)
        self.ever_active.assign(tf.logical_or(self.ever_active.value, mask))
        self.weight.assign(_where(mask, self.weight))
        self.mask_averages()

    def rescale(self) -> None:
        """Makes first values as much larger as their mask leaves fewer."""
        self.weight.assign(rows.rescaled(self.weight.value, self.mask.value, self.in_rows))

    def take_scores(self, scores: Tensor) -> None:
        """Makes first values of scores, of the weight's shape, as large as they are themselves."""
        scores = ops.where(self.mask, scores, 0)
        self.weight.assign(rows.of_scores(self.weight.value, scores, self.in_rows))

    def mask_averages(self) -> None:
        """Sets the moving average to zero off the mask."""
        for average in self.averages:
            average.assign(_where(self.mask, average))


def _where(mask: Any, variable: keras.Variable) -> Tensor:
    return ops.where(mask, variable, ops.zeros_like(variable))
