"""All prunable MLPs of one optimizer: their neurons go and come back after its steps."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import tensorflow as tf
from keras import ops

from tfdsl import masks
from tfdsl.algorithms import NeuronPruning
from tfdsl.layers.mlp import PrunableMLP, mlp_of
from tfdsl.slots import Slot
from tfdsl.updates import Pairs, is_due

Tensor: TypeAlias = tf.Tensor
# By layer: the new order of its neurons, before and behind a kernel; None where it stays.
_Orders: TypeAlias = list[Tensor | None]


class NeuronUpdates:
    """What `SparseOptimizer` does to neurons.

    Args:
        algorithm: decides on the neurons.
        inner: the optimizer that steps the weights, built.
        variables: the trainable weights.
        slots: the inner optimizer's slots.

    Raises:
        ValueError: no weight is of a `PrunableMLP`, not all weights of one are trained, or the
            inner optimizer has moments of other shapes than the weights'.
    """

    made_masks = False

    def __init__(
        self,
        algorithm: NeuronPruning,
        inner: keras.optimizers.Optimizer,
        variables: Sequence[keras.Variable],
        slots: Sequence[Slot],
    ) -> None:
        self._algorithm = algorithm
        self._iteration = next(v for v in inner.variables if v.name == "iteration")
        self._several = inner.gradient_accumulation_steps
        found = {id(mlp): mlp for mlp in map(mlp_of, variables) if mlp is not None}
        self.mlps: list[PrunableMLP] = list(found.values())
        if not self.mlps:
            raise ValueError(
                "None of the model's trainable weights is of a tfdsl.layers.PrunableMLP, so there "
                "are no neurons to prune. Build the model with it, or use an algorithm that masks "
                "weights, such as tfdsl.DSL."
            )
        trained = {id(v) for v in variables}
        for mlp in self.mlps:
            if not all(id(w) in trained for w in (*mlp.kernels, *mlp.biases)):
                raise ValueError(
                    f"Neurons of {mlp.name!r} cannot be pruned: some of its weights are not "
                    "trained by this optimizer. Train all of them, or none."
                )
        known = {id(s.variable) for s in slots if s.variable.shape == s.weight.shape}
        unknown = [v.name for v in inner.variables if id(v) not in known and len(v.shape)]
        if unknown:
            raise ValueError(
                f"Neurons cannot be pruned under {inner.name!r}: it keeps {unknown[0]!r}, which is "
                "not of a weight's shape, so pruned neurons would go on to change it. Use an "
                "optimizer such as SGD or Adam."
            )
        self._slots = {id(v): [s for s in slots if s.weight is v] for v in variables}
        # What an inner optimizer changes where there is no gradient has to be put back.
        self._drifts = bool(inner.weight_decay) or inner.use_ema or any(s.is_moment for s in slots)
        self.has_begun = False
        self._orders = tf.function(self._new_orders, jit_compile=True, autograph=False)

    @property
    def is_dense(self) -> bool:
        """Whether there is nothing to decide."""
        return all(mlp.n_kept == mlp.units[:-1] for mlp in self.mlps)

    def begin(self) -> None:
        """Tells the layers their small sizes; eagerly. Prunes, if that comes before step 1."""
        with tf.init_scope():
            if not all(bool(mlp.is_pruned.value.is_initialized()) for mlp in self.mlps):
                return  # Keras builds the model while it traces a step, and traces again
            for mlp in self.mlps:
                mlp.set_n_kept([self._algorithm.n_kept(n) for n in mlp.units[:-1]])
            self.has_begun = True
            at_start = 0 in self._algorithm.updates.prune and not int(self._iteration.numpy())
            if at_start and not any(bool(mlp.is_pruned.numpy()) for mlp in self.mlps):
                self._prune({}, tf.constant(0, tf.int64))

    def forget(self) -> None:
        """Does nothing: the layers themselves hold what is pruned."""

    def is_due(self) -> Tensor:
        """Says, before a step, whether a switch follows it."""
        return is_due(self._algorithm.updates, self._iteration, self._several)

    def step(self, pairs: Pairs, apply: Callable[[Pairs], None]) -> None:
        """Takes the inner optimizer's step; what is pruned stays as it is."""
        if not self._drifts:
            apply(pairs)
            return
        before = [
            (variable, mlp.is_active(weight), tf.identity(variable.value))
            for mlp in self.mlps
            for weight in (*mlp.kernels, *mlp.biases)
            for variable in (weight, *(s.variable for s in self._moments(weight)))
        ]
        apply(pairs)
        for variable, is_active, old in before:
            variable.assign(tf.where(is_active, variable.value, old))

    def update(self, pairs: Pairs, step: Any) -> None:
        """Prunes neurons, or grows them back; after the inner optimizer's step.

        Args:
            pairs: the gradients of the step and their variables.
            step: number of optimizer steps done.
        """
        step = tf.cast(step, tf.int64)
        by_weight = {id(v): g for g, v in pairs}
        ops.cond(
            self._algorithm.updates.prunes(step),
            lambda: self._prune(by_weight, step),
            lambda: self._grow(step),
        )

    def _prune(self, by_weight: dict[int, Any], step: Tensor) -> None:
        weights, grads = [], []
        for mlp in self.mlps:
            kernels = [tf.convert_to_tensor(kernel) for kernel in mlp.kernels]
            given = [by_weight.get(id(kernel)) for kernel in mlp.kernels]
            weights.append(kernels)
            grads.append(
                [tf.zeros_like(k) if g is None else g for k, g in zip(kernels, given, strict=True)]
            )
        for mlp, orders in zip(self.mlps, self._orders(weights, grads, step), strict=True):
            self._reorder(mlp, [None, *orders, None])
            mlp.is_pruned.assign(True)

    def _new_orders(
        self, weights: list[list[Tensor]], grads: list[list[Tensor]], step: Tensor
    ) -> list[list[Tensor]]:
        # By XLA in any case, so that sums, and with them the choice, are the same in every mode.
        return [
            [
                self._algorithm.order(
                    kernels[place],
                    kernels[place + 1],
                    gradients[place + 1],
                    self._algorithm.seed_of(step, number, place),
                )
                for place in range(len(kernels) - 1)
            ]
            for number, (kernels, gradients) in enumerate(zip(weights, grads, strict=True))
        ]

    def _reorder(self, mlp: PrunableMLP, orders: _Orders) -> None:
        """Gives neurons, with all that optimizers know of them, other places."""
        for place, (kernel, bias) in enumerate(zip(mlp.kernels, mlp.biases, strict=True)):
            rows, columns = orders[place], orders[place + 1]
            for weight, axes in ((kernel, (rows, columns)), (bias, (columns,))):
                for variable in (weight, *(s.variable for s in self._slots[id(weight)])):
                    if variable.shape == weight.shape:
                        variable.assign(_moved(variable.value, *axes))
        for variable, order in zip(mlp.orders, orders[1:-1], strict=True):
            moved = tf.gather(tf.bitcast(variable.value, tf.int32), order)
            variable.assign(tf.bitcast(moved, tf.uint32))

    def _grow(self, step: Tensor) -> None:
        for number, mlp in enumerate(self.mlps):
            for place, (kernel, bias) in enumerate(zip(mlp.kernels, mlp.biases, strict=True)):
                if self._algorithm.optimizer_state == "reset":
                    for weight in (kernel, bias):
                        is_active = mlp.is_active(weight)
                        for slot in self._moments(weight):
                            slot.variable.assign(
                                tf.where(is_active, slot.variable.value, slot.initial())
                            )
                if self._algorithm.grow == "fresh":
                    seed = self._algorithm.seed_of(step, number, place)
                    self._renew(mlp, place, seed)
        for mlp in self.mlps:
            mlp.is_pruned.assign(False)

    def _renew(self, mlp: PrunableMLP, place: int, seed: Tensor) -> None:
        """Draws weights into neurons that come back; those out of them, and biases, are zero."""
        kernel, bias = mlp.kernels[place], mlp.biases[place]
        sizes = (*mlp.n_kept, mlp.units[-1])
        comes_back = tf.range(mlp.units[place]) >= sizes[place]
        draws = masks.random_scores(tuple(kernel.shape), masks.fork(seed, 21))
        limit = (6.0 / sum(kernel.shape)) ** 0.5
        fresh = limit * (tf.cast(draws, tf.float32) * 2.0**-30 - 1.0)
        old = tf.where(mlp.is_active(kernel), kernel.value, tf.zeros_like(kernel.value))
        kernel.assign(tf.where(comes_back[None, :], tf.cast(fresh, kernel.dtype), old))
        bias.assign(tf.where(comes_back, tf.zeros_like(bias.value), bias.value))

    def _moments(self, weight: keras.Variable) -> list[Slot]:
        return [
            slot
            for slot in self._slots[id(weight)]
            if slot.is_moment and slot.variable.shape == weight.shape
        ]


def _moved(x: Tensor, *axes: Tensor | None) -> Tensor:
    """Returns a matrix or vector with rows and columns in new orders."""
    orders = [tf.range(n) if at is None else at for n, at in zip(x.shape, axes, strict=True)]
    places = orders[0] if len(orders) == 1 else orders[0][:, None] * x.shape[1] + orders[1]
    # Flat: for a gather along columns XLA would turn the matrix over, in every step.
    return tf.gather(tf.reshape(x, [-1]), places)
