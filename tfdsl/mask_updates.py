"""All sparse weights of one optimizer: their first masks, what growth looks at, their new masks."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from tfdsl import distributions, gradients, initial, schedules
from tfdsl.algorithms import Algorithm
from tfdsl.compiling import compiled
from tfdsl.layers.masking import is_table, mask_of
from tfdsl.layers.packed_table import PackedTable, is_growth, table_of
from tfdsl.packed_weight import PackedWeight
from tfdsl.slots import Slot
from tfdsl.sparse_weight import SparseWeight
from tfdsl.updates import Pairs, is_due

Tensor: TypeAlias = tf.Tensor


class MaskUpdates:
    """What `SparseOptimizer` does to masks; `weights` lists those the algorithm manages.

    Args:
        algorithm: decides on the masks.
        inner: the optimizer that steps the weights, built.
        variables: the trainable weights.
        slots: the inner optimizer's slots.
        add_slot: makes a variable of a weight's shape, by weight, name and dtype.

    Raises:
        ValueError: no weight has a mask; or growth by momentum, and the inner optimizer has none.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        inner: keras.optimizers.Optimizer,
        variables: Sequence[keras.Variable],
        slots: Sequence[Slot],
        add_slot: Callable[[keras.Variable, str, str], keras.Variable],
    ) -> None:
        found = [(v, w) for v in variables if (w := _sparse(v)) is not None]
        if not found:
            raise ValueError(
                "None of the model's trainable weights has a mask, so there is nothing to train "
                "sparse. Use tfdsl.sparsify(model), or tfdsl.layers.SparseDense and "
                "SparseEmbedding, before compiling the model."
            )
        self._algorithm = algorithm
        self._iteration = next(v for v in inner.variables if v.name == "iteration")
        self._several = inner.gradient_accumulation_steps
        signals = algorithm.signals
        self._sums_all = "accumulated_gradient" in signals
        # Whether growth needs gradients of more batches than the last.
        self._sums = self._sums_all or bool("gradient" in signals and self._several)
        if "momentum" in signals and not any(s.name == "momentum" for s in slots):
            raise ValueError(
                f"grow='momentum' needs an inner optimizer with a momentum, such as Adam or "
                f"SGD(momentum=0.9); received {inner.name!r}."
            )
        densities = _densities(algorithm, [weight for _, weight in found])
        self.weights: list[SparseWeight | PackedWeight] = []
        for (variable, weight), density in zip(found, densities, strict=True):
            if algorithm.is_dense(density):
                continue  # nothing to decide
            own = [s for s in slots if s.weight is variable]
            self.weights.append(
                PackedWeight(algorithm, weight, density, len(self.weights), own, add_slot)
                if isinstance(weight, PackedTable)
                else SparseWeight.of(algorithm, weight, density, self._sums, own, add_slot)
            )
        # What has a mask of its own is decided together, packed tables one by one.
        self._masked = [sparse for sparse in self.weights if isinstance(sparse, SparseWeight)]
        self._packed = [sparse for sparse in self.weights if isinstance(sparse, PackedWeight)]
        places = [self.weights.index(sparse) for sparse in self._masked]
        given = {"places": places, "in_rows": [sparse.in_rows for sparse in self._masked]}
        self._initial_masks = compiled(algorithm.initial_masks, **given)
        each = [sparse.density for sparse in self._masked]
        self._next_masks = compiled(algorithm.next_masks, densities=each, **given)
        self._growing = [sparse for sparse in self._masked if sparse.candidates is not None]
        places = [self.weights.index(sparse) for sparse in self._growing]
        self._draw_candidates = compiled(algorithm.draw_candidates, places=places)
        self.has_begun = False
        self.made_masks = False

    @property
    def is_dense(self) -> bool:
        """Whether there is nothing to decide: every weight's density is 1."""
        return not self.weights

    def begin(self) -> None:
        """Makes the first masks, unless the weights have masks of their own; eagerly."""
        with tf.init_scope():
            if not all(sparse.is_initialized for sparse in self.weights):
                # Keras builds an unbuilt model while it traces the first step. TensorFlow then
                # initializes the weights and traces again, and that is when masks can be made.
                return
            self.has_begun = True
            if not self.weights:
                return
            # Masks of ones alone do not say that there was no step: a density can rise to 1.
            never = not any(sparse.has_past for sparse in self.weights)
            if never and all(sparse.is_new for sparse in self.weights):
                self._make_masks()
                self.made_masks = True
            for sparse in self.weights:
                sparse.begin()
            step = tf.cast(self._iteration.value, tf.int64)
            for packed in self._packed:
                packed.draw_candidates(step)
            # Loaded with the weights, if they are not new.
            if not any(sparse.has_candidates for sparse in self._growing):
                self._renew_candidates(step)

    def _renew_candidates(self, step: Tensor) -> None:
        """Draws which entries of weights with masks may be grown next."""
        if not self._growing:
            return
        new = self._draw_candidates([sparse.mask.value for sparse in self._growing], step)
        for sparse, candidates in zip(self._growing, new, strict=True):
            sparse.candidates.assign(candidates)

    def _make_masks(self) -> None:
        # Steps and densities as arguments: XLA would evaluate what it knows of random numbers while
        # it compiles, entry by entry; and all densities share a program.
        step = tf.constant(0, tf.int64)
        if self._masked:
            first = [tf.convert_to_tensor(sparse.weight) for sparse in self._masked]
            priors, budgets = (
                [of(sparse) for sparse in self._masked] for of in (self._prior, self._row_budgets)
            )
            densities = [tf.constant(sparse.density, tf.float64) for sparse in self._masked]
            new = self._initial_masks(first, step, densities, priors, budgets=budgets)
            for sparse, mask, scores in zip(self._masked, new, priors, strict=True):
                sparse.set_mask(mask)
                self._make_first_values(sparse, scores)
        for packed in self._packed:
            packed.make_mask(self._prior(packed), step, self._row_budgets(packed))

    def _make_first_values(self, sparse: SparseWeight, scores: Tensor | None) -> None:
        first_values = self._algorithm.first_values
        # What begins dense begins as it was drawn.
        if first_values == "keep" or is_table(sparse.weight) or sparse.is_new:
            return
        sparse.rescale()
        if first_values == "scores" and scores is not None:
            if not np.isfinite(scores).all():
                raise ValueError(
                    f"Scores that are first values must be finite; `init` has others of "
                    f"{sparse.weight.path!r}. Use first_values='rescale'."
                )
            sparse.take_scores(scores)

    def _prior(self, sparse: SparseWeight | PackedWeight) -> Tensor | None:
        """Returns the scores of a weight's first mask, where the algorithm has some."""
        init, weight = self._algorithm.init, sparse.weight
        scores = None if isinstance(init, str) else init.scores(weight.path, tuple(weight.shape))
        if scores is not None and np.shape(scores) != tuple(weight.shape):
            raise ValueError(
                f"`init` must have scores of a weight's shape; {weight.path!r} has shape "
                f"{tuple(weight.shape)}, received scores of shape {np.shape(scores)}."
            )
        return None if scores is None else tf.constant(scores, tf.float32)

    def _row_budgets(self, sparse: SparseWeight | PackedWeight) -> Tensor | None:
        """Returns how many active entries each row of a weight has, where `init` says it."""
        algorithm, weight = self._algorithm, sparse.weight
        shape = tuple(weight.shape)
        total = int(distributions.budget(math.prod(shape), sparse.density))
        budgets = initial.row_budgets(algorithm.init, weight.path, shape, total)
        if budgets is None:
            return None
        in_rows = isinstance(sparse, PackedWeight) or sparse.in_rows
        if not in_rows or not isinstance(algorithm.density, schedules.Constant):
            raise ValueError(
                f"`init` gives the rows of {weight.path!r} budgets of their own: use "
                f"granularity='row' and a constant density; received {algorithm!r}."
            )
        return tf.constant(budgets, tf.int32)

    def forget(self) -> None:
        """Forgets what was ever active: masks of ones are of a model before its first step then."""
        for sparse in self.weights:
            sparse.forget()

    def is_due(self) -> Tensor | None:
        """Says, before a step, whether an update follows it; None where one never does."""
        updates = self._algorithm.updates
        if updates is None or not self.weights:
            return None
        return is_due(updates, self._iteration, self._several)

    def step(self, pairs: Pairs, apply: Callable[[Pairs], None]) -> None:
        """Takes the inner optimizer's step; weights off their masks are zero after it."""
        apply(self._seen(pairs))
        # Weights are by their constraints; moving averages have none.
        for sparse in self.weights:
            sparse.mask_averages()

    def _seen(self, pairs: Pairs) -> Pairs:
        """Adds to the accumulated gradients; returns the gradients the inner optimizer gets."""
        grads = {id(v): g for g, v in pairs}
        for sparse in self.weights if self._sums else []:
            total = sparse.accumulated.value
            if not self._sums_all:
                # Only the batches of one optimizer step count together.
                begins = tf.equal(self._iteration.value % self._several, 0)
                total = tf.where(begins, tf.zeros_like(total), total)
            gradient = grads.get(id(sparse.watched))
            total = total if gradient is None else gradients.add_to(total, gradient)
            sparse.accumulated.assign(total)
        if self._algorithm.optimizer_state != "mask":
            return pairs
        masks = {id(sparse.weight): sparse.mask.value for sparse in self._masked}
        return [(g if g is None else gradients.on_mask(g, masks.get(id(v))), v) for g, v in pairs]

    def update(self, pairs: Pairs, step: Any) -> None:
        """Replaces the masks after the inner optimizer's step.

        Args:
            pairs: the gradients of the step, as they came, and their variables.
            step: number of optimizer steps done.
        """
        by_weight, step = {id(v): g for g, v in pairs}, tf.cast(step, tf.int64)
        judged = {
            sparse: self._growth_gradient(sparse, by_weight.get(id(sparse.watched)))
            for sparse in self.weights
        }
        for packed in self._packed:
            packed.update(judged[packed], step)
        if self._masked:
            with_momentum = "momentum" in self._algorithm.signals
            states = [sparse.state(judged[sparse], with_momentum) for sparse in self._masked]
            new = self._next_masks(states, step)
            for sparse, mask in zip(self._masked, new, strict=True):
                sparse.renew_moments(mask, self._algorithm.optimizer_state)
                sparse.set_mask(mask)
        for summed in self.weights if self._sums_all else []:
            summed.accumulated.assign(tf.zeros_like(summed.accumulated.value))
        self._renew_candidates(step)

    def _growth_gradient(self, sparse: SparseWeight | PackedWeight, gradient: Any) -> Tensor | None:
        """Returns the dense gradient a weight is judged by; None if none is asked for."""
        if not self._algorithm.signals & {"gradient", "accumulated_gradient"}:
            return None
        if self._sums:
            return sparse.accumulated.value
        zeros = tf.zeros_like(sparse.watched.value)
        return zeros if gradient is None else gradients.add_to(zeros, gradient)


def _densities(
    algorithm: Algorithm, weights: Sequence[keras.Variable | PackedTable]
) -> list[float]:
    """Returns the density each weight is to end at: packed tables have their own.

    Raises:
        ValueError: packed tables have more or fewer active entries than the algorithm has for them.
    """
    asked = algorithm.densities([tuple(weight.shape) for weight in weights])
    own = [
        w.density if isinstance(w, PackedTable) else d for w, d in zip(weights, asked, strict=True)
    ]
    packed = [place for place, weight in enumerate(weights) if isinstance(weight, PackedTable)]
    sizes = {place: math.prod(weights[place].shape) for place in packed}
    totals = [
        sum(int(distributions.budget(size, of[place])) for place, size in sizes.items())
        for of in (asked, own)
    ]
    if abs(totals[0] - totals[1]) > len(packed):  # each is rounded
        paths = ", ".join(repr(weights[place].path) for place in packed)
        share = [total / sum(sizes.values()) for total in totals]
        raise ValueError(
            f"The packed tables {paths} are of density {share[1]:.6g}; the algorithm's for them is "
            f"{share[0]:.6g}. Give both the same density."
        )
    return own


def _sparse(variable: keras.Variable) -> keras.Variable | PackedTable | None:
    """Returns what a variable is the trained part of: a weight with a mask, or a packed table."""
    if is_growth(variable):
        return None
    return variable if mask_of(variable) is not None else table_of(variable)
