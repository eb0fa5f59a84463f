"""What all algorithms share: density, budget, initial masks, and which tensors compete."""

import math
from collections.abc import Sequence
from typing import Any, Self, TypeAlias

import tensorflow as tf

from tfdsl import checks, distributions, initial, masks, schedules
from tfdsl.algorithms import grouping
from tfdsl.algorithms.criteria import WeightState
from tfdsl.seeds import Seed

Tensor: TypeAlias = tf.Tensor

INITS = ("exact", "bernoulli", "magnitude")
GRANULARITIES = ("entry", "row", "embedding_row")
FIRST_VALUES = ("keep", "rescale", "scores")
OPTIMIZER_STATES = ("keep", "mask", "reset")


class Algorithm(schedules.Serializable):
    """Answers two questions: which masks to begin with, and which masks come next.

    Both answers are pure functions of tensors. A new algorithm overrides `update`, "given one
    weight's state and its budget: the next mask", and sets `updates` to say when.

    Args:
        density: share of active weights, in (0, 1]; or a schedule of it (`tfdsl.schedules`, or a
            pruning schedule of tensorflow-model-optimization, of which only `GradualMagnitude`
            also takes the steps to prune at).
        distribution: how the budget is shared among tensors: "uniform", "erk" or "global".
        granularity: "entry": all of a weight's entries compete for its budget; "row": every row of
            a table has as many active entries as every other, to within one, or as its `init` has
            row budgets, at all times (of a kernel: every row or every column, whichever are more),
            and only a row's own compete; "embedding_row": rows in the tables of embedding layers,
            entries in all other weights.
        init: initial mask: "exact" (random, exactly round(density * size) entries), "bernoulli"
            (random, each entry by itself, so that only the expected count is the budget; this
            is the published code's way and the one exception from exact counts), "magnitude"
            (the largest initial weights), or an object that has scores of entries, such as
            `tfdsl.Spectral(interactions)`, whose highest are active; weights that it knows nothing
            of have an exact one.
        first_values: what becomes of the values of a weight that gets its first mask: "keep" (they
            stay as they are, for all algorithms as published), "rescale" (those of kernels are
            multiplied by sqrt(size / active), of each row where rows have budgets, so that sums
            over the weight are as large as if it were dense: see Evci et al., 2022, "Gradient Flow
            in Sparse Neural Networks and How Lottery Tickets Win", AAAI, arXiv 2010.03533; tables
            of embedding layers, whose rows are looked up and not added up, keep theirs), "scores"
            (of kernels that `init` has scores of, these, as large in all, or in each row, as
            "rescale" makes what was drawn; of others as "rescale"). A weight that begins dense
            stays as it is. For weights that are as their initializer drew them, not for those of a
            trained model.
        optimizer_state: what becomes of the inner optimizer's moments: "keep" (the optimizer
            sees dense gradients, so that grown weights start with warm moments), "mask" (it sees
            the gradients of active weights only and the moments of inactive ones are at their
            starting value), "reset" (dense gradients; moments of weights that are grown start
            anew).
        seed: whole number; same seed, same masks.

    Raises:
        ValueError: an argument outside its range; the message repeats it.
    """

    updates: schedules.UpdateSchedule | None = None
    candidates: int | None = None
    signals: frozenset[str] = frozenset()

    def __init__(
        self,
        density: float | schedules.Schedule,
        *,
        distribution: str = "uniform",
        granularity: str = "entry",
        init: str | initial.InitialScores = "exact",
        first_values: str = "keep",
        optimizer_state: str = "keep",
        seed: int = 0,
    ) -> None:
        given, density = density, schedules.get("density", density)
        with tf.init_scope():
            self.first_density = float(density(tf.constant(0, tf.int64)))
        for end in (density.final, self.first_density):
            checks.number("density", end, schedules.SHARE)
        if isinstance(init, type) or not isinstance(init, initial.InitialScores):
            checks.choice("init", init, INITS)
        checks.choice("granularity", granularity, GRANULARITIES)
        if first_values == "scores" and isinstance(init, str):
            raise ValueError(
                "first_values='scores' takes the scores of an `init` that has some, such as "
                f"tfdsl.Spectral(interactions); received init={init!r}."
            )
        if distribution == "global" and (granularity != "entry" or not isinstance(init, str)):
            raise ValueError(
                f"distribution='global' lets all entries of all weights compete, so it goes with "
                f"granularity='entry' and a named init; received granularity={granularity!r}, "
                f"init={init!r}."
            )
        checks.choice("optimizer_state", optimizer_state, OPTIMIZER_STATES)
        distributions.densities(distribution, [], density.final)  # raises if unknown
        self.density = density
        self._density_config = schedules.to_config(given, density)
        self.distribution = distribution
        self.granularity = granularity
        self.init = init
        self.first_values = checks.choice("first_values", first_values, FIRST_VALUES)
        self.optimizer_state = optimizer_state
        self.seed = checks.seed(seed)
        self._seed = Seed(seed)

    def update(self, state: WeightState, budget: Tensor, step: Tensor, seed: Tensor) -> Tensor:
        """Returns the next mask of one weight.

        Args:
            state: the weight as it is now, as flat tensors; where rows have budgets matrices, and
                of many rows no more than a block of them at a time.
            budget: int32 scalar, how many entries the next mask has; or each row, (rows,).
            step: int64 scalar, the optimizer's step, counted from 1.
            seed: uint32 scalar, different for every weight and step.
        """
        # Not abstract for Python: StaticSparse, without `updates`, never comes here.
        raise NotImplementedError

    def seed_of(self, step: Tensor, *places: int) -> Tensor:
        """Returns the seed of a step (int64 scalar) and a weight's place, a uint32 scalar."""
        return self._seed.fold(step, *places)

    def densities(self, shapes: Sequence[tuple[int, ...]]) -> list[float]:
        """Returns the density each weight is to end at."""
        return distributions.densities(self.distribution, shapes, self.density.final)

    def has_rows(self, is_table: bool) -> bool:
        """Says whether the rows of a weight have budgets of their own.

        Args:
            is_table: whether it is an embedding layer's table.
        """
        return self.granularity == "row" or (self.granularity == "embedding_row" and is_table)

    def is_dense(self, density: float) -> bool:
        """Says whether a weight that is to end at `density` is dense from the first step on."""
        return density == 1.0 and self.first_density >= self.density.final

    def _check_arrival(self, total_steps: int | None) -> None:
        """Raises ValueError if the masks are updated for the last time before the schedule ends."""
        end = getattr(self.density, "end", 0)
        last = None if self.updates is None else self.updates.last(total_steps)
        if last is not None and last < end:
            raise ValueError(
                f"{type(self).__name__} would not reach its final density: the density's schedule "
                f"ends at step {end}, and the masks change for the last time at step {last}; "
                f"received {self.density!r} and updates {self.updates!r}, total_steps="
                f"{total_steps}. Let the schedule end earlier, or update more often or longer."
            )

    def initial_masks(
        self,
        weights: Sequence[Tensor],
        step: Tensor | int = 0,
        densities: Sequence[float | Tensor] | None = None,
        priors: Sequence[Tensor | None] | None = None,
        places: Sequence[int] | None = None,
        budgets: Sequence[Tensor | None] | None = None,
        in_rows: Sequence[bool] | None = None,
    ) -> list[Tensor]:
        """Returns the masks to begin with, one a weight, of the weight's shape.

        Args:
            weights: float tensors.
            step: int64 scalar; a density schedule's place, and part of the seed.
            densities: what each weight is to end at; shared out among `weights` if None.
            priors: of each weight the scores of `init`, of its shape, or None.
            places: of these weights among all that are managed, a part of their seeds; None if
                they are all.
            budgets: of each weight how many active entries its rows have, int32 (rows,), where
                `init` says it; None where the density does.
            in_rows: of each weight whether its rows have budgets, see `has_rows`; None if none is
                an embedding layer's table.
        """
        priors, budgets = (of or [None] * len(weights) for of in (priors, budgets))
        states = [
            WeightState(weight, prior=prior) for weight, prior in zip(weights, priors, strict=True)
        ]
        if densities is None:
            densities = self.densities([tuple(weight.shape) for weight in weights])
        shares = list(zip(densities, budgets, strict=True))
        step = tf.cast(step, tf.int64)
        return grouping.each(self, self._initial, states, step, shares, places, in_rows)

    def next_masks(
        self,
        states: Sequence[WeightState],
        step: Tensor,
        densities: Sequence[float] | None = None,
        places: Sequence[int] | None = None,
        in_rows: Sequence[bool] | None = None,
    ) -> list[Tensor]:
        """Returns the masks after `step` (int64 scalar), one a weight; see `initial_masks`."""
        if densities is None:
            densities = self.densities([tuple(state.weight.shape) for state in states])
        return grouping.each(self, self._next, states, step, densities, places, in_rows)

    def draw_candidates(
        self,
        active: Sequence[Tensor],
        step: Tensor | int,
        places: Sequence[int] | None = None,
    ) -> list[Tensor]:
        """Returns which entries may be grown at the update after `step`: `candidates` of each row.

        Args:
            active: masks, one a weight whose rows have budgets.
            step: int64 scalar, a part of the seed.
            places: see `initial_masks`.
        """
        states = [WeightState(mask, mask) for mask in active]
        n, in_rows = [self.candidates] * len(states), [True] * len(states)
        step = tf.cast(step, tf.int64)
        return grouping.each(self, self._candidates, states, step, n, places, in_rows)

    def _candidates(self, state: WeightState, n: int, step: Tensor, seed: Tensor) -> Tensor:
        of_rows = tf.fill([state.mask.shape[0]], n)
        return grouping.in_blocks(self.candidates_of, state, of_rows, step, seed)

    def candidates_of(self, state: WeightState, n: Tensor, step: Tensor, seed: Tensor) -> Tensor:
        """Returns `n` inactive entries of each row, (rows,), drawn at random, as a mask.

        Args:
            state: with the mask, (rows, width).
            n: int32 (rows,); all are drawn where there are no more.
            step: int64 scalar.
            seed: as `update` has for the same weight and step.
        """
        seed = masks.fork(seed, 8)
        scores = masks.random_scores(tuple(state.mask.shape), seed)
        return masks.grow_highest(state.mask, scores, n, masks.fork(seed, 1)) & ~state.mask

    def _initial(
        self, state: WeightState, share: tuple[Any, Tensor | None], step: Tensor, seed: Tensor
    ) -> Tensor:
        density, budget = share
        if budget is None:
            budget = self._budget(state, density, step)
        return grouping.in_blocks(self._first, state, budget, step, seed)

    def _first(self, state: WeightState, budget: Tensor, step: Tensor, seed: Tensor) -> Tensor:
        shape = tuple(state.weight.shape)
        if state.prior is not None:
            return masks.highest_mask(tf.abs(state.prior), budget, seed)
        if self.init == "magnitude":
            return masks.highest_mask(tf.abs(state.weight), budget, seed)
        if self.init == "bernoulli":
            # Rows have their own, and those that fill a block up none.
            share = budget[:, None] / shape[1] if budget.shape.rank else budget / shape[0]
            return masks.bernoulli_mask(shape, share, seed)
        return masks.random_mask(shape, budget, seed)

    def _next(self, state: WeightState, density: float, step: Tensor, seed: Tensor) -> Tensor:
        return grouping.in_blocks(
            self.update, state, self._budget(state, density, step), step, seed
        )

    def _budget(self, state: WeightState, density: float | Tensor, step: Tensor) -> Tensor:
        """Returns how many entries are active at `step` in a weight that ends at `density`."""
        share = distributions.density_at(step, density, self.density)
        total = distributions.budget(math.prod(state.weight.shape), share)
        if state.weight.shape.rank == 1:
            return total
        return distributions.row_budgets(total, state.weight.shape[0])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            "density": self._density_config,
            "distribution": self.distribution,
            "granularity": self.granularity,
            "init": schedules.object_to_config(self.init),
            "first_values": self.first_values,
            "optimizer_state": self.optimizer_state,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Makes an equal algorithm from `get_config`'s result."""
        return cls(**{name: schedules.from_config(value) for name, value in config.items()})
