"""What `SparseOptimizer` asks of whoever manages masks or neurons."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import keras
import tensorflow as tf

from tfdsl import gradients

Tensor: TypeAlias = tf.Tensor
Pairs: TypeAlias = Sequence[tuple[gradients.Gradient | None, keras.Variable]]


class Updates(Protocol):
    """All that one optimizer does beside the inner optimizer's step.

    Attributes:
        has_begun: whether `begin` has found the weights initialized.
        made_masks: whether `begin` made the first masks.
    """

    has_begun: bool
    made_masks: bool

    @property
    def is_dense(self) -> bool:
        """Whether there is nothing to decide, now and later."""

    def begin(self) -> None:
        """Brings the weights into the state they start from, unless they are in one; eagerly."""

    def forget(self) -> None:
        """Forgets what was before the weights as they are now."""

    def is_due(self) -> Tensor | None:
        """Says, before a step, whether an update follows it; None where one never does."""

    def step(self, pairs: Pairs, apply: Callable[[Pairs], None]) -> None:
        """Takes the inner optimizer's step, `apply`."""

    def update(self, pairs: Pairs, step: Any) -> None:
        """Updates, after the inner optimizer's step; `step` is the number of steps done."""


def is_due(
    updates: Callable[[Tensor], Tensor], iteration: keras.Variable, several: int | None
) -> Tensor:
    """Says, before a step, whether `updates` follow it.

    Args:
        updates: says it of an optimizer step.
        iteration: number of steps done; batches, where gradients are accumulated.
        several: batches of an optimizer step; None for one.
    """
    step = iteration.value + 1
    if not several:
        return updates(step)
    return tf.equal(step % several, 0) & updates(step // several)
