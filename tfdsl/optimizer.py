"""The hook in the training step: any Keras optimizer, and masks that change as it goes."""

import functools
import warnings
from collections.abc import Sequence
from typing import Any, Self

import keras
import tensorflow as tf
from keras import ops

from tfdsl import gradients, replicas
from tfdsl.algorithms import Algorithm, NeuronPruning
from tfdsl.layers.packed_table import is_growth
from tfdsl.mask_updates import MaskUpdates
from tfdsl.neuron_updates import NeuronUpdates
from tfdsl.packed_weight import PackedWeight
from tfdsl.slots import Slot, recorded
from tfdsl.sparse_weight import SparseWeight
from tfdsl.updates import Pairs, Updates
from tfdsl.wrapping import WrappingOptimizer


@keras.saving.register_keras_serializable(package="tfdsl")
class SparseOptimizer(WrappingOptimizer):
    """Trains sparse weights: an inner optimizer's step, then, when due, new masks.

    Every `apply` does, in the graph and in this order:
    1. if any gradient is not finite: nothing at all, but `skipped_steps` counts it;
    2. the inner optimizer's step; weights off their mask are zero after it;
    3. if the algorithm's schedule says so: new masks, new weights at zero, moments by the
       algorithm's `optimizer_state`.

    When it is built (Keras does that at the start of `fit`) it makes the initial masks of all
    masked weights, unless one of them is sparse already: a sparse model keeps its masks. Masks of
    ones in a file loaded after that make the model dense again. In eager mode (`run_eagerly=True`
    or a loop) call `build(model.trainable_variables)` before the first step: Keras builds an
    optimizer only after it has taken gradients, which then are of dense weights (a warning says
    so). With mixed precision Keras puts its `LossScaleOptimizer` around it, which is the right
    order. Where nothing is sparse (density 1) every step is the inner optimizer's own, to the bit
    also under XLA, and non-finite gradients go through as they do in Keras.

    Args:
        inner_optimizer: a Keras optimizer, not built yet, or the name of one. Learning rate,
            weight decay, clipping, gradient accumulation and EMA are its own.
        algorithm: what decides on the masks, such as `tfdsl.DSL`; or on the neurons of the model's
            `PrunableMLP` layers, such as `tfdsl.AlternateGrowthPruning`.
        name: name of the optimizer.

    Example:
        model.compile(
            tfdsl.SparseOptimizer(
                "adam", tfdsl.DSL(density=0.2, update_interval=1000, total_steps=50_000)
            ),
            loss="mse",
        )

    Raises:
        ValueError: when made, for an inner optimizer that is built or that scales the loss;
            when built, if no weight has a mask (or neurons), or in the scope of a `tf.distribute`
            strategy other than Mirrored-, MultiWorkerMirrored- and OneDeviceStrategy; when applied,
            for other variables than it was built for.
    """

    def __init__(
        self,
        inner_optimizer: str | keras.optimizers.Optimizer,
        algorithm: Algorithm | NeuronPruning,
        name: str | None = None,
    ) -> None:
        try:
            inner = keras.optimizers.get(inner_optimizer)
        except KeyError:  # Keras's answer to a dict that is no configuration
            inner = None
        if inner is None or isinstance(inner, SparseOptimizer):
            raise ValueError(
                f"`inner_optimizer` must be one of Keras's own optimizers or its name, such as "
                f"'adam'; received {inner_optimizer!r}."
            )
        if isinstance(inner, keras.optimizers.LossScaleOptimizer):
            raise ValueError(
                "SparseOptimizer belongs inside LossScaleOptimizer, where it sees unscaled "
                "gradients; received a LossScaleOptimizer as its inner optimizer. Use "
                "LossScaleOptimizer(SparseOptimizer(...))."
            )
        if inner.built:
            raise ValueError(
                f"The inner optimizer {inner.name!r} is built for other variables already; pass "
                "a new one, for example inner_optimizer='adam'."
            )
        if not isinstance(algorithm, Algorithm | NeuronPruning):
            raise ValueError(
                f"`algorithm` must be a tfdsl algorithm such as tfdsl.DSL(density=0.2, "
                f"total_steps=10_000); received {algorithm!r}."
            )
        super().__init__(inner, name)
        self.algorithm = algorithm
        self._n_when_new = len(self.own_variables)
        self._updates: Any = None  # Updates, once built

    # ---- building ---------------------------------------------------------------------------

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Builds the inner optimizer for `variables` and makes their initial masks.

        Raises:
            ValueError: no variable has a mask (or neurons).
        """
        if self.built:
            return
        replicas.check_strategy(variables, self.inner_optimizer.variables[0])
        with tf.init_scope(), recorded(self.inner_optimizer) as slots:
            self.inner_optimizer.build(_stepped(variables))
            self.skipped_steps = self.add_variable((), "zeros", "int64", name="skipped_steps")
            self._updates = self._updates_of(variables, slots)
            super().build(list(variables))
        self._updates.begin()

    def _updates_of(self, variables: Sequence[keras.Variable], slots: Sequence[Slot]) -> Updates:
        if isinstance(self.algorithm, NeuronPruning):
            return NeuronUpdates(self.algorithm, self.inner_optimizer, variables, slots)
        inner, algorithm = self.inner_optimizer, self.algorithm
        return MaskUpdates(algorithm, inner, variables, slots, self._add_slot)

    def _add_slot(
        self, weight: Any, name: str, dtype: str, shape: tuple[int, ...] | None = None
    ) -> keras.Variable:
        path = weight.path.replace("/", "_")
        shape = tuple(weight.shape) if shape is None else shape
        return self.add_variable(shape, "zeros", dtype, name=f"{path}_{name}")

    # ---- one step ---------------------------------------------------------------------------

    @tf.autograph.experimental.do_not_convert
    def apply(
        self,
        grads: Sequence[gradients.Gradient | None],
        trainable_variables: Sequence[keras.Variable] | None = None,
    ) -> None:
        """Takes one training step; see the class.

        Args:
            grads: one gradient a variable; None where there is none.
            trainable_variables: the variables, in the gradients' order; those the optimizer was
                built with if None.
        """
        if not grads:
            return
        variables = (
            self._trainable_variables if trainable_variables is None else trainable_variables
        )
        replicas.with_sums(lambda sums: self._apply(sums, variables), grads, variables)

    def _apply(
        self,
        grads: Sequence[gradients.Gradient | None],
        trainable_variables: Sequence[keras.Variable],
    ) -> None:
        is_first = not self.built
        self.build(trainable_variables)
        if is_first and self._updates.made_masks and tf.executing_eagerly():
            warnings.warn(
                "The initial masks are made only now, after the gradients of the first step were "
                "taken: those are of dense weights. In eager mode (run_eagerly=True, or a loop of "
                "your own) call `optimizer.build(model.trainable_variables)` before the first "
                "step.",
                stacklevel=6,
            )
        known = {id(v) for v in self._trainable_variables}
        unknown = [v.path for v in trainable_variables if id(v) not in known]
        if unknown:
            raise ValueError(
                f"The optimizer {self.name!r} is built for other variables already; received "
                f"{', '.join(unknown)}. Make a new SparseOptimizer for them."
            )
        if len(grads) != len(trainable_variables):
            raise ValueError(
                f"Every variable needs its gradient (None where there is none); received "
                f"{len(grads)} for {len(trainable_variables)} variables."
            )
        if not self._updates.has_begun:
            self._updates.begin()
        if self._updates.is_dense:
            # Dense: Keras's own bits, which XLA gives only where it compiles the same program.
            self._take(list(zip(grads, trainable_variables, strict=True)))
            return
        pairs = list(zip(grads, trainable_variables, strict=True))
        present = [g for g, _ in pairs if g is not None]
        if not present:
            self._take(pairs)  # which says what is wrong
            return
        finite = gradients.all_finite(present)
        due = self._updates.is_due()
        # Counted out here: a branch that assigns nothing costs XLA no copy of the variables, if
        # it comes first. (XLA works in place when what one branch passes through is written in
        # a later one only; the same is why step and update are two conditionals, not one.)
        self.skipped_steps.assign_add(tf.cast(~finite, tf.int64))
        ops.cond(~finite, _nothing, lambda: self._updates.step(pairs, self._take))
        if due is not None:
            update = functools.partial(self._updates.update, pairs, self.iterations)
            ops.cond(~(finite & due), _nothing, update)

    def _take(self, pairs: Pairs) -> None:
        pairs = [(gradient, v) for gradient, v in pairs if not is_growth(v)]
        with replicas.merged():
            self.inner_optimizer.apply(*zip(*pairs, strict=True))

    # ---- what Keras asks an optimizer -------------------------------------------------------

    @property
    def sparse_weights(self) -> list[SparseWeight | PackedWeight]:
        """The weights whose masks the algorithm manages; empty before `build`."""
        return list(self._updates.weights) if isinstance(self._updates, MaskUpdates) else []

    def finalize_variable_values(self, var_list: Sequence[keras.Variable]) -> None:
        """Gives the weights their final values, at the end of `fit`: their EMA, if one is kept."""
        self.inner_optimizer.finalize_variable_values(_stepped(var_list))

    def load_own_variables(self, store: Any) -> None:
        """Loads what `save_own_variables` saved."""
        own = self.own_variables
        has_past = len(store.keys()) == len(own)
        if has_past:
            for i, variable in enumerate(own):
                variable.assign(store[str(i)])
        elif len(store.keys()) > self._n_when_new:  # else saved before its first step
            warnings.warn(
                f"Not loaded: what SparseOptimizer {self.name!r} knew of the weights' past "
                f"(the saved one has {len(store.keys())} variables of its own, this one "
                f"{len(own)}: another algorithm). Exploration is counted from here.",
                stacklevel=2,
            )
        # What is active now has been active; and a model saved before its first step has masks of
        # ones, which is when masks are made.
        if self._updates is not None:
            if not has_past:
                self._updates.forget()
            self._updates.begin()

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            "name": self.name,
            "inner_optimizer": keras.saving.serialize_keras_object(self.inner_optimizer),
            "algorithm": keras.saving.serialize_keras_object(self.algorithm),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Makes an equal optimizer from `get_config`'s result."""
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in ("inner_optimizer", "algorithm")
        }
        return cls(name=config["name"], **parts)


def _stepped(variables: Sequence[keras.Variable]) -> list[keras.Variable]:
    """Returns those that the inner optimizer knows: packed tables add up gradients in others."""
    return [v for v in variables if not is_growth(v)]


def _nothing() -> None:
    pass
