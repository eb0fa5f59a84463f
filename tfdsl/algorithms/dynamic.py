"""Algorithms that move a constant budget: drop some active weights, grow as many others."""

from typing import Any, TypeAlias

import keras
import tensorflow as tf

from tfdsl import checks, masks, row_masks, schedules
from tfdsl.algorithms import criteria
from tfdsl.algorithms.base import Algorithm
from tfdsl.algorithms.criteria import WeightState

Tensor: TypeAlias = tf.Tensor


class DynamicSparse(Algorithm):
    """Every `update_interval` steps drops a share of each weight's active entries and regrows it.

    At step t, ceil(ratio(t) * active) entries of lowest drop score go; as many of highest grow
    score come, the dropped ones among the candidates: one that is dropped and grown at once keeps
    its value, every other one starts at 0. Where rows have budgets it is so in every row, and
    ratio(t) * active is rounded up or down at random, so that it is met on average: of a dozen
    entries, rounding up would move far too many. The number of active entries stays exactly the
    same whatever the scores are, also where they are all zero.

    Args:
        density: see `Algorithm`.
        update_interval: optimizer steps between two updates of the masks.
        total_steps: length of the training run in optimizer steps; what the ratio is annealed
            over.
        update_ratio: share of the active entries that move, in (0, 1]. A number is where the
            algorithm's own annealing starts; a schedule is taken as it is.
        update_end: no update after this step, which leaves time for one at least; `None` for no
            end.
        drop: "magnitude" (|w|) or "taylor" (|w * dL/dw|).
        grow: "gradient" (|dL/dw| of the step's batch), "accumulated_gradient" (absolute sum of
            the gradients since the last update), "momentum" (the inner optimizer's first
            moment), "random", or "random_unfired" (at random, never active entries first).
        candidates: None: all inactive entries compete to grow; a number: as many of each row, drawn
            at random after every update, and no others. Nothing need be known of the others then,
            so that a table can be stored packed while it is trained. For rows with budgets and a
            constant density; of a weight without such rows all compete.
        **kwargs: `distribution`, `granularity`, `init`, `first_values`, `optimizer_state`, `seed`,
            see `Algorithm`.
    """

    def __init__(
        self,
        density: float | schedules.Schedule,
        *,
        update_interval: int = 100,
        total_steps: int | None = None,
        update_ratio: float | schedules.Schedule = 0.3,
        update_end: int | None = None,
        drop: str = "magnitude",
        grow: str = "gradient",
        candidates: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(density, **kwargs)
        if candidates is not None:
            checks.count("candidates", candidates)
            if not self.has_rows(True) or not isinstance(self.density, schedules.Constant):
                raise ValueError(
                    f"`candidates` are of rows that all keep their budgets: use granularity='row' "
                    f"or 'embedding_row' and a constant density; received candidates={candidates}, "
                    f"granularity={self.granularity!r}, density={density!r}."
                )
        self.candidates = candidates
        if total_steps is not None:
            checks.count("total_steps", total_steps)
        self.total_steps = total_steps
        self.updates: schedules.UpdateSchedule = schedules.UpdateSchedule(
            update_interval, end=update_end
        )
        self.ratio = schedules.get("update_ratio", update_ratio)
        with tf.init_scope():
            first = float(self.ratio(tf.constant(0, tf.int64)))
        for end in (first, self.ratio.final):
            if not 0.0 <= end <= 1.0:
                raise ValueError(
                    f"`update_ratio` must stay in [0, 1]; received {update_ratio!r}, which goes to "
                    f"{end}."
                )
        self._ratio_config = schedules.to_config(update_ratio, self.ratio)
        if self.ratio is not update_ratio:  # a number
            self.ratio = self._anneal(self.ratio.final)
        self.drop = checks.choice("drop", drop, criteria.DROP)
        self.grow = checks.choice("grow", grow, criteria.GROW)
        self.signals = criteria.signals(drop, grow)
        if self.grow == "momentum" and self.optimizer_state == "mask":
            raise ValueError(
                "`grow='momentum'` needs the momentum of inactive weights, which "
                "`optimizer_state='mask'` keeps at zero; use optimizer_state='reset' or 'keep'."
            )
        if self.updates.last() == 0:
            raise ValueError(
                f"{type(self).__name__} would never change its masks: the first update comes at "
                f"step `update_interval`, and none after `update_end`; received update_interval="
                f"{update_interval}, update_end={update_end} (total_steps={total_steps}). Use a "
                "smaller update_interval, or StaticSparse."
            )
        self._check_arrival(total_steps)

    def _anneal(self, initial: float) -> schedules.Schedule:
        """Returns the algorithm's own schedule of the ratio, which starts at `initial`."""
        return schedules.Constant(initial)

    def _anneal_by_cosine(self, initial: float, final: float, end: int | None) -> schedules.Cosine:
        if end is None:
            raise ValueError(
                f"{type(self).__name__} anneals its update ratio over the whole run and needs "
                "`total_steps`, the number of optimizer steps to come; received None."
            )
        return schedules.Cosine(initial, final, end)

    def update(self, state: WeightState, budget: Tensor, step: Tensor, seed: Tensor) -> Tensor:
        """Drops and grows; see the class."""
        staying = tf.minimum(self._count(state.mask), budget)
        in_rows = bool(staying.shape.rank)
        ratio = tf.cast(self._share_to_move(step, in_rows), tf.float64)
        if in_rows:
            moving = _share_of_rows(staying, ratio, masks.fork(seed, 7))
        else:
            moving = tf.cast(tf.math.ceil(ratio * tf.cast(staying, tf.float64)), tf.int32)
        if state.candidates is not None:
            moving = tf.minimum(moving, self._count(state.candidates & ~state.mask))
        keeping = staying - moving
        scores = criteria.DROP[self.drop](state)
        kept = masks.keep_highest(state.mask, scores, keeping, masks.fork(seed, 4))
        scores = criteria.GROW[self.grow](state, masks.fork(seed, 5))
        among, seed = state.candidates, masks.fork(seed, 6)
        if among is not None:
            among &= ~state.mask  # what is dropped waits until it is drawn
        return masks.grow_highest(kept, scores, budget - keeping, seed, among)

    def _share_to_move(self, step: Tensor, in_rows: bool) -> Tensor:
        """Returns the share of the active entries, or of each row's, that moves at `step`."""
        del in_rows
        return self.ratio(step)

    def _budget(self, state: WeightState, density: float | Tensor, step: Tensor) -> Tensor:
        if state.mask is None or not isinstance(self.density, schedules.Constant):
            return super()._budget(state, density, step)
        # What is active now: a model that came with masks of its own keeps its budget.
        return self._count(state.mask)

    def _count(self, mask: Tensor) -> Tensor:
        return row_masks.count(mask) if mask.shape.rank == 2 else masks.count(mask)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "update_interval": self.updates.interval,
            "total_steps": self.total_steps,
            "update_ratio": self._ratio_config,
            "update_end": self.updates.end,
            "drop": self.drop,
            "grow": self.grow,
            "candidates": self.candidates,
        }


def _share_of_rows(counts: Tensor, share: Tensor, seed: Tensor) -> Tensor:
    """Returns the share of each row's count, rounded up or down at random, on average exact.

    A row has a dozen entries, so that rounding up would never move fewer than one of them. In
    whole numbers, which are the same everywhere.
    """
    draws = masks.random_scores(tuple(counts.shape), seed)  # 31 bits
    draws = tf.cast(tf.bitwise.right_shift(draws, tf.constant(15, tf.uint32)), tf.int64)
    parts = tf.cast(tf.round(share * 2.0**16), tf.int64)
    return tf.cast((tf.cast(counts, tf.int64) * parts + draws) // 2**16, tf.int32)


@keras.saving.register_keras_serializable(package="tfdsl")
class SET(DynamicSparse):
    """Sparse Evolutionary Training: grows at random, a constant ratio.

    Reference: Mocanu et al., 2018, "Scalable training of artificial neural networks with adaptive
    sparse connectivity inspired by network science", arXiv 1707.04780.
    """

    def __init__(self, density: float | schedules.Schedule, **kwargs: Any) -> None:
        super().__init__(density, **({"grow": "random"} | kwargs))


@keras.saving.register_keras_serializable(package="tfdsl")
class RigL(DynamicSparse):
    """RigL: grows by gradient; the ratio falls to 0 by a cosine and updates end at 75 %.

    Defaults are the paper's: ratio 0.3, an update every 100 steps until three quarters of
    training, ERK distribution, moments masked.

    Reference: Evci et al., 2020, "Rigging the Lottery", arXiv 1911.11134.
    """

    def __init__(
        self,
        density: float | schedules.Schedule,
        *,
        total_steps: int | None = None,
        update_end: int | None = None,
        **kwargs: Any,
    ) -> None:
        if update_end is None and total_steps is not None:
            update_end = max(checks.count("total_steps", total_steps) * 3 // 4, 1)
        defaults = {"distribution": "erk", "optimizer_state": "mask"}
        super().__init__(
            density, total_steps=total_steps, update_end=update_end, **(defaults | kwargs)
        )

    def _anneal(self, initial: float) -> schedules.Schedule:
        return self._anneal_by_cosine(initial, 0.0, self.updates.end)


@keras.saving.register_keras_serializable(package="tfdsl")
class DSL(DynamicSparse):
    """Dynamic Sparse Learning: grows by gradient, moves half the weights at first, never stops.

    The ratio falls from 0.5 to 0.005 by a cosine over `total_steps`. Defaults are the paper's rule,
    but for the initial masks, which are exact here (`init="bernoulli"` gives the published way).

    Reference: Wang et al., 2024, "Dynamic Sparse Learning: A Novel Paradigm for Efficient
    Recommendation", WSDM, arXiv 2402.02855.
    """

    def __init__(
        self,
        density: float | schedules.Schedule,
        *,
        update_ratio: float | schedules.Schedule = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(density, update_ratio=update_ratio, **kwargs)

    def _anneal(self, initial: float) -> schedules.Schedule:
        return self._anneal_by_cosine(initial, 0.005, self.total_steps)
