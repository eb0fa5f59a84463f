"""All sparse weights of one optimizer: their first masks, what growth looks at, their new masks."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from tfdsl import gradients
from tfdsl.algorithms import Algorithm
from tfdsl.layers.masking import mask_of
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
        masked = [v for v in variables if mask_of(v) is not None]
        if not masked:
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
        densities = algorithm.densities([tuple(v.shape) for v in masked])
        self.weights: list[SparseWeight] = []
        for weight, density in zip(masked, densities, strict=True):
            if algorithm.is_dense(density):
                continue  # nothing to decide
            own = [s for s in slots if s.weight is weight and s.variable.shape == weight.shape]
            sparse = SparseWeight(
                weight=weight,
                mask=mask_of(weight),
                density=density,
                ever_active=add_slot(weight, "ever_active", "bool"),
                accumulated=(
                    add_slot(weight, "accumulated_gradient", weight.dtype) if self._sums else None
                ),
                candidates=(
                    add_slot(weight, "candidates", "bool") if algorithm.candidates else None
                ),
                slots=own,
            )
            if "momentum" in signals and sparse.momentum is None:
                raise ValueError(
                    f"grow='momentum' needs an inner optimizer with a momentum, such as Adam "
                    f"or SGD(momentum=0.9); received {inner.name!r}."
                )
            self.weights.append(sparse)
        each = [sparse.density for sparse in self.weights]
        self._initial_masks = _compiled(functools.partial(algorithm.initial_masks, densities=each))
        self._next_masks = _compiled(functools.partial(algorithm.next_masks, densities=each))
        self._draw_candidates = _compiled(algorithm.draw_candidates)
        self.has_begun = False
        self.made_masks = False

    @property
    def is_dense(self) -> bool:
        """Whether there is nothing to decide: every weight's density is 1."""
        return not self.weights

    def begin(self) -> None:
        """Makes the first masks, unless the weights have masks of their own; eagerly."""
        with tf.init_scope():
            if not all(bool(s.weight.value.is_initialized()) for s in self.weights):
                # Keras builds an unbuilt model while it traces the first step. TensorFlow then
                # initializes the weights and traces again, and that is when masks can be made.
                return
            self.has_begun = True
            if not self.weights:
                return
            new = [sparse.mask.value for sparse in self.weights]
            # Masks of ones alone do not say that there was no step: a density can rise to 1.
            never = not any(bool(tf.reduce_any(s.ever_active.value)) for s in self.weights)
            if never and all(bool(tf.reduce_all(mask)) for mask in new):
                weights = [tf.convert_to_tensor(s.weight) for s in self.weights]
                # The step as an argument: XLA would evaluate random numbers of a known seed
                # while it compiles, entry by entry.
                step = tf.constant(0, tf.int64)
                new = self._initial_masks(weights, step, priors=self._priors())
                self.made_masks = True
            for sparse, mask in zip(self.weights, new, strict=True):
                sparse.set_mask(mask)
            # Loaded with the weights, if they are not new.
            candidates = [s.candidates for s in self.weights if s.candidates is not None]
            if not any(bool(tf.reduce_any(one.value)) for one in candidates):
                self._renew_candidates(self._iteration.value)

    def _renew_candidates(self, step: Any) -> None:
        """Draws which entries may be grown next."""
        if self._algorithm.candidates is None:
            return
        active = [sparse.mask.value for sparse in self.weights]
        new = self._draw_candidates(active, tf.cast(step, tf.int64))
        for sparse, candidates in zip(self.weights, new, strict=True):
            sparse.candidates.assign(candidates)

    def _priors(self) -> list[Tensor | None] | None:
        """Returns the scores of first masks, one a weight, where the algorithm has some."""
        init = self._algorithm.init
        if isinstance(init, str):
            return None
        found: list[Tensor | None] = []
        for weight in [sparse.weight for sparse in self.weights]:
            scores = init.scores(weight.path, tuple(weight.shape))
            if scores is not None and np.shape(scores) != tuple(weight.shape):
                raise ValueError(
                    f"`init` must have scores of a weight's shape; {weight.path!r} has shape "
                    f"{tuple(weight.shape)}, received scores of shape {np.shape(scores)}."
                )
            found.append(None if scores is None else tf.constant(scores, tf.float32))
        return found

    def forget(self) -> None:
        """Forgets what was ever active: masks of ones are of a model before its first step then."""
        for sparse in self.weights:
            sparse.ever_active.assign(tf.zeros_like(sparse.ever_active.value))
            if sparse.candidates is not None:
                sparse.candidates.assign(tf.zeros_like(sparse.candidates.value))

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
            gradient = grads.get(id(sparse.weight))
            total = total if gradient is None else gradients.add_to(total, gradient)
            sparse.accumulated.assign(total)
        if self._algorithm.optimizer_state != "mask":
            return pairs
        masks = {id(sparse.weight): sparse.mask.value for sparse in self.weights}
        return [(g if g is None else gradients.on_mask(g, masks.get(id(v))), v) for g, v in pairs]

    def update(self, pairs: Pairs, step: Any) -> None:
        """Replaces the masks after the inner optimizer's step.

        Args:
            pairs: the gradients of the step, as they came, and their variables.
            step: number of optimizer steps done.
        """
        by_weight = {id(v): g for g, v in pairs}
        states = [
            sparse.state(
                self._growth_gradient(sparse, by_weight.get(id(sparse.weight))),
                with_momentum="momentum" in self._algorithm.signals,
            )
            for sparse in self.weights
        ]
        new = self._next_masks(states, tf.cast(step, tf.int64))
        for sparse, mask in zip(self.weights, new, strict=True):
            sparse.renew_moments(mask, self._algorithm.optimizer_state)
            sparse.set_mask(mask)
            if self._sums_all:
                sparse.accumulated.assign(tf.zeros_like(sparse.accumulated.value))
        self._renew_candidates(step)

    def _growth_gradient(self, sparse: SparseWeight, gradient: Any) -> Tensor | None:
        """Returns the dense gradient a weight is judged by; None if none is asked for."""
        if not self._algorithm.signals & {"gradient", "accumulated_gradient"}:
            return None
        if self._sums:
            return sparse.accumulated.value
        zeros = tf.zeros_like(sparse.weight.value)
        return zeros if gradient is None else gradients.add_to(zeros, gradient)


def _compiled(fn: Any) -> Any:
    # By XLA in any case: the masks are then the same bits in every mode, and an update outside XLA
    # costs no more than inside.
    return tf.function(fn, jit_compile=True, autograph=False)
