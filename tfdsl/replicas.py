"""One training step over the replicas of a `tf.distribute` strategy.

Gradients are summed over the replicas once, before anything is decided. What follows, whether they
are finite, the step, and the new masks, is then computed once and assigned to every replica, so
that replicas cannot drift apart.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from tfdsl import gradients
from tfdsl.gradients import Gradient

_SPREAD = tf.distribute.DistributedValues
_KNOWN = (
    tf.distribute.MirroredStrategy,
    tf.distribute.MultiWorkerMirroredStrategy,
    tf.distribute.OneDeviceStrategy,
)


def check_strategy(variables: Sequence[keras.Variable], own: keras.Variable) -> None:
    """Raises ValueError where an optimizer cannot work with replicas.

    Args:
        variables: what it is to train.
        own: one of its own variables.
    """
    if isinstance(own.value, _SPREAD) != any(isinstance(v.value, _SPREAD) for v in variables):
        raise ValueError(
            "Model and optimizer are not both made in the same `strategy.scope()`. Make the model, "
            "the SparseOptimizer and its inner optimizer inside of it."
        )
    strategy = tf.distribute.get_strategy()
    if tf.distribute.has_strategy() and not isinstance(strategy, _KNOWN):
        raise ValueError(
            f"SparseOptimizer works with {', '.join(known.__name__ for known in _KNOWN)}; received "
            f"the strategy {type(strategy).__name__}. Use one of those."
        )


def with_sums(
    apply: Callable[[Sequence[Gradient | None]], None],
    grads: Sequence[Gradient | None],
    variables: Sequence[keras.Variable],
) -> None:
    """Calls `apply` once with the sums of the replicas' gradients; without replicas, with those.

    Args:
        apply: takes gradients.
        grads: one a variable, or None.
        variables: of which those are.

    Raises:
        RuntimeError: it is called outside of `strategy.run`.
    """
    if not tf.distribute.has_strategy():
        apply(grads)
        return
    context = tf.distribute.get_replica_context()
    if context is None:
        raise RuntimeError(
            "SparseOptimizer takes the gradients of each replica: call `apply` inside of "
            "`strategy.run`."
        )
    present = [place for place, gradient in enumerate(grads) if gradient is not None]

    def merged(strategy: tf.distribute.Strategy, of_replicas: list[Any]) -> None:
        sums: list[Gradient | None] = [None] * len(grads)
        for place, total in zip(present, _sums(strategy, of_replicas), strict=True):
            sums[place] = gradients.unique_rows(total, variables[place].shape)
        apply(sums)

    context.merge_call(merged, args=([grads[place] for place in present],))


def _sums(strategy: tf.distribute.Strategy, of_replicas: list[Any]) -> list[Gradient]:
    if not of_replicas:
        return []
    pairs = [(one, one if isinstance(one, _SPREAD) else one.device) for one in of_replicas]
    reduced = strategy.extended.batch_reduce_to(tf.distribute.ReduceOp.SUM, pairs)
    return [strategy.experimental_local_results(one)[0] for one in reduced]


@contextmanager
def merged() -> Iterator[None]:
    """Lets Keras's optimizers work on what is merged already; nothing without a strategy.

    They merge replicas themselves unless the strategy says that it goes without; then they take
    gradients as summed, and update the variables of all replicas.
    """
    context = tf.distribute.get_replica_context()
    if context is not None:
        yield
        return
    extended = tf.distribute.get_strategy().extended
    # Private to TensorFlow; tests/tfdsl/test_replicas.py says when that has changed.
    extended._use_merge_call = lambda: False
    try:
        yield
    finally:
        del extended._use_merge_call
