"""Structured sparsity: which hidden neurons of an MLP are pruned, and when they grow back."""

import math
from collections.abc import Sequence
from typing import Any, Self, TypeAlias

import keras
import tensorflow as tf

from tfdsl import checks, masks, schedules
from tfdsl.seeds import Seed

Tensor: TypeAlias = tf.Tensor

IMPORTANCES = ("magnitude", "taylor")
GROWS = ("restore", "fresh")
NEURON_STATES = ("keep", "reset")


class Switches:
    """Says after which steps neurons are pruned and after which they grow back.

    Args:
        prune: steps, ascending.
        grow: steps, ascending; none of `prune`.
    """

    def __init__(self, prune: Sequence[int], grow: Sequence[int] = ()) -> None:
        self.prune, self.grow = tuple(prune), tuple(grow)

    def __call__(self, step: Tensor) -> Tensor:
        """Returns a boolean scalar: is there a switch after this step?"""
        return self.prunes(step) | _is_one_of(step, self.grow)

    def prunes(self, step: Tensor) -> Tensor:
        """Returns a boolean scalar: are neurons pruned after this step?"""
        return _is_one_of(step, self.prune)

    def pruned_steps(self, n_steps: int) -> int:
        """Returns how many of the first `n_steps` steps are taken with neurons pruned."""
        total = 0
        for begin in self.prune:
            end = min((step for step in self.grow if step > begin), default=n_steps)
            total += max(min(end, n_steps) - begin, 0)
        return total


class NeuronPruning(schedules.Serializable):
    """What AMGP and pruning once share: how many neurons stay, and which.

    In every hidden layer of every `tfdsl.layers.PrunableMLP` ceil(keep * n) of n neurons stay,
    those of highest importance; outputs of the last layer are never pruned.

    Args:
        keep: share of each hidden layer's neurons that stays, in (0, 1].
        importance: of a neuron: "magnitude", the product of the L2 norms of its incoming and of
            its outgoing weights; "taylor", the first-order change of the loss when its output is
            set to zero, |sum of outgoing weight * its gradient| in the last batch (Molchanov et
            al., 2017, "Pruning Convolutional Neural Networks for Resource Efficient Inference",
            ICLR, arXiv 1611.06440).
        seed: whole number; decides between neurons of equal importance.

    Raises:
        ValueError: an argument outside its range; the message repeats it.
    """

    updates: Switches
    grow = "restore"
    optimizer_state = "keep"

    def __init__(self, keep: float, importance: str = "magnitude", seed: int = 0) -> None:
        self.keep = checks.number("keep", keep, schedules.SHARE)
        checks.choice("importance", importance, IMPORTANCES)
        self.importance = importance
        self.seed = checks.seed(seed)
        self._seed = Seed(seed)

    def seed_of(self, step: Tensor, *places: int) -> Tensor:
        """Returns the seed of a step (int64 scalar) and a layer's places, a uint32 scalar."""
        return self._seed.fold(step, *places)

    def n_kept(self, n: int) -> int:
        """Returns how many of a layer's `n` neurons stay."""
        return max(math.ceil(round(self.keep * n, 6)), 1)  # 0.1 * 30 is a bit more than 3

    def order(
        self, incoming: Tensor, outgoing: Tensor, gradient: Tensor | None, seed: Tensor
    ) -> Tensor:
        """Returns a layer's neurons in the order in which they are to stand: those that stay first.

        Args:
            incoming: weights into the layer, (inputs, n).
            outgoing: weights out of it, (n, outputs).
            gradient: the loss's with respect to `outgoing`; "magnitude" needs none.
            seed: uint32 scalar.

        Returns:
            int32 (n,), a permutation; within those that stay, and within the others, ascending.
        """
        n = incoming.shape[1]
        if self.importance == "taylor":
            scores = tf.abs(tf.reduce_sum(outgoing * gradient, axis=1))
        else:
            scores = tf.norm(incoming, axis=0) * tf.norm(outgoing, axis=1)
        # Bits of floats that are not negative have their order, and NaN a place in it. A layer has
        # thousands of neurons at most, so all pairs are compared, which compiles fast.
        bits = tf.bitcast(tf.cast(scores, tf.float32), tf.int32)
        key = tf.cast(bits, tf.int64) * 2**31 + tf.cast(masks.random_scores((n,), seed), tf.int64)
        first = tf.range(n)[:, None] < tf.range(n)
        ahead = (key[:, None] > key) | ((key[:, None] == key) & first)
        stays = tf.math.count_nonzero(ahead, axis=0, dtype=tf.int32) < self.n_kept(n)
        before = tf.cumsum(tf.cast(stays, tf.int32))
        place = tf.where(stays, before - 1, self.n_kept(n) + tf.range(n) - before)
        return tf.scatter_nd(place[:, None], tf.range(n), [n])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"keep": self.keep, "importance": self.importance, "seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Makes an equal algorithm from `get_config`'s result."""
        return cls(**config)


@keras.saving.register_keras_serializable(package="tfdsl")
class StructuredPruning(NeuronPruning):
    """Prunes neurons once, for good: the contrast to `AlternateGrowthPruning`.

    Args:
        keep: share of each hidden layer's neurons that stays, in (0, 1].
        prune_step: the optimizer step after which the others go; 0 for before the first.
        **kwargs: `importance`, `seed`, see `NeuronPruning`.
    """

    def __init__(self, keep: float, *, prune_step: int, **kwargs: Any) -> None:
        super().__init__(keep, **kwargs)
        self.prune_step = checks.count("prune_step", prune_step, least=0)
        if not prune_step and self.importance == "taylor":
            raise ValueError(
                "importance='taylor' needs the gradients of a step, and there is none before "
                "prune_step=0. Use 'magnitude', or a later step."
            )
        self.updates = Switches([self.prune_step])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return super().get_config() | {"prune_step": self.prune_step}


@keras.saving.register_keras_serializable(package="tfdsl")
class AlternateGrowthPruning(NeuronPruning):
    """AMGP: alternates stretches of training at full size and pruned, and ends at full size.

    The training run is cycles of equal length, each a stretch at full size and then a pruned one,
    and a last stretch at full size. At the end of a pruned stretch all neurons come back. Defaults
    and details are this project's: the paper's abstract says no more than that growth and
    structured pruning alternate and that capacity is not lost. A model that is pruned already (one
    that was saved so) is small until the first switch.

    Reference: Du et al., 2021, "Alternate Model Growth and Pruning for Efficient Training of
    Recommendation Systems", ICMLA, arXiv 2105.01064.

    Args:
        keep: share of each hidden layer's neurons that stays in a pruned stretch, in (0, 1].
        total_steps: length of the training run in optimizer steps.
        cycles: number of cycles.
        pruned_share: share of each cycle that is pruned, in (0, 1).
        final_share: share of the run that is the last stretch at full size, in [0, 1).
        grow: with what neurons come back: "restore", the values they had when they were pruned;
            "fresh", incoming weights drawn anew (Glorot uniform), outgoing ones and bias zero, so
            that the function does not change.
        optimizer_state: what becomes of the moments of neurons that come back, frozen meanwhile:
            "keep", or "reset" to their starting value. (The masks' "mask", no moments off the
            mask, has no meaning here: pruned neurons are none of the product.)
        **kwargs: `importance`, `seed`, see `NeuronPruning`.

    Raises:
        ValueError: an argument outside its range, or a stretch of no step.

    Example:
        tfdsl.SparseOptimizer("adam", tfdsl.AlternateGrowthPruning(keep=0.5, total_steps=50_000))
    """

    def __init__(
        self,
        keep: float = 0.5,
        *,
        total_steps: int,
        cycles: int = 3,
        pruned_share: float = 0.7,
        final_share: float = 0.1,
        grow: str = "restore",
        optimizer_state: str = "keep",
        **kwargs: Any,
    ) -> None:
        super().__init__(keep, **kwargs)
        self.total_steps = checks.count("total_steps", total_steps)
        self.cycles = checks.count("cycles", cycles)
        checks.number("pruned_share", pruned_share, "(0, 1)")
        checks.number("final_share", final_share, "[0, 1)")
        checks.choice("grow", grow, GROWS)
        checks.choice("optimizer_state", optimizer_state, NEURON_STATES)
        self.pruned_share, self.final_share = pruned_share, final_share
        self.grow, self.optimizer_state = grow, optimizer_state
        end = total_steps - round(final_share * total_steps)
        ends = [round(end * (cycle + 1) / cycles) for cycle in range(cycles)]
        begins = [0, *ends[:-1]]
        prune = [
            a + round((1.0 - pruned_share) * (b - a)) for a, b in zip(begins, ends, strict=True)
        ]
        if any(not a < p < b for a, p, b in zip(begins, prune, ends, strict=True)):
            raise ValueError(
                f"total_steps={total_steps} is too short for cycles={cycles} with "
                f"pruned_share={pruned_share} and final_share={final_share}: every stretch needs a "
                "step."
            )
        self.updates = Switches(prune, ends)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        names = ("total_steps", "cycles", "pruned_share", "final_share", "grow", "optimizer_state")
        return super().get_config() | {name: getattr(self, name) for name in names}


def _is_one_of(step: Tensor, steps: Sequence[int]) -> Tensor:
    return tf.reduce_any(tf.equal(tf.cast(step, tf.int64), tf.constant(steps, tf.int64)))
