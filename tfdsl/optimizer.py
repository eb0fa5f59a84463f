"""The hook in the training step: any Keras optimizer, and masks that change as it goes."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

import keras
import tensorflow as tf
from keras import ops

from tfdsl import gradients
from tfdsl.algorithms import Algorithm
from tfdsl.layers.masking import mask_of
from tfdsl.schedules import UpdateSchedule
from tfdsl.slots import Slot, recorded
from tfdsl.sparse_weight import SparseWeight

Tensor: TypeAlias = tf.Tensor


@dataclass(eq=False)
class _Plan:
    """What `build` found out. One plain object, so that Keras does not track what is in it."""

    weights: list[SparseWeight] = field(default_factory=list)
    iteration: Any = None
    masks_made: bool = False
    initial_masks: Any = None
    next_masks: Any = None


@keras.saving.register_keras_serializable(package="tfdsl")
class SparseOptimizer(keras.optimizers.Optimizer):
    """Trains sparse weights: an inner optimizer's step, then, when due, new masks.

    Every `apply` does, in the graph and in this order:
    1. if any gradient is not finite: nothing at all, but `skipped_steps` counts it;
    2. the inner optimizer's step; weights off their mask are zero after it;
    3. if the algorithm's schedule says so: new masks, new weights at zero, moments by the
       algorithm's `optimizer_state`.

    When it is built (Keras does that at the start of `fit`) it makes the initial masks of all
    masked weights, unless one of them is sparse already: a sparse model keeps its masks. Load
    dense weights before that; masks of ones in a file loaded later make the model dense. In an
    eager loop call `build(model.trainable_weights)` before the first gradients are taken, or those
    are of dense weights. With mixed precision Keras puts its `LossScaleOptimizer` around it, which
    is the right order.

    Args:
        inner_optimizer: a Keras optimizer, not built yet, or the name of one. Learning rate,
            weight decay, clipping, gradient accumulation and EMA are its own.
        algorithm: what decides on the masks, such as `tfdsl.DSL`.
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
            when built, if no weight has a mask.
    """

    def __init__(
        self,
        inner_optimizer: str | keras.optimizers.Optimizer,
        algorithm: Algorithm,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate=0.0, name=name)
        inner = keras.optimizers.get(inner_optimizer)
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
        if not isinstance(algorithm, Algorithm):
            raise ValueError(
                f"`algorithm` must be a tfdsl algorithm such as tfdsl.DSL(density=0.2, "
                f"total_steps=10_000); received {algorithm!r}."
            )
        self.inner_optimizer = inner
        self.algorithm = algorithm
        self._plan = _Plan()

    # ---- building ---------------------------------------------------------------------------

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Builds the inner optimizer for `variables` and makes their initial masks.

        Raises:
            ValueError: no variable has a mask.
        """
        if self.built:
            return
        masked = [v for v in variables if mask_of(v) is not None]
        if not masked:
            raise ValueError(
                "None of the model's trainable weights has a mask, so there is nothing to train "
                "sparse. Use tfdsl.sparsify(model), or tfdsl.layers.SparseDense and "
                "SparseEmbedding, before compiling the model."
            )
        with tf.init_scope(), recorded(self.inner_optimizer) as slots:
            self.inner_optimizer.build(list(variables))
            self.skipped_steps = self.add_variable((), "zeros", "int64", name="skipped_steps")
            self._plan = self._make_plan(masked, slots)
            super().build(list(variables))
        self._make_masks()

    def _make_plan(self, masked: list[keras.Variable], slots: list[Slot]) -> _Plan:
        densities = self.algorithm.densities([tuple(v.shape) for v in masked])
        weights = []
        for weight, density in zip(masked, densities, strict=True):
            if density == 1.0:
                continue  # dense for good: nothing to decide
            own = [s for s in slots if s.weight is weight and s.variable.shape == weight.shape]
            weights.append(
                SparseWeight(
                    weight=weight,
                    mask=mask_of(weight),
                    density=density,
                    ever_active=self._slot(weight, "ever_active", "bool"),
                    accumulated=(
                        self._slot(weight, "accumulated_gradient", weight.dtype)
                        if self._accumulates
                        else None
                    ),
                    slots=own,
                )
            )
        if "momentum" in self.algorithm.signals:
            for sparse in weights:
                if sparse.momentum is None:
                    raise ValueError(
                        f"grow='momentum' needs an inner optimizer with a momentum, such as Adam "
                        f"or SGD(momentum=0.9); received {self.inner_optimizer.name!r}."
                    )
        iteration = next(v for v in self.inner_optimizer.variables if v.name == "iteration")
        own_densities = [sparse.density for sparse in weights]

        def compiled(fn: Any) -> Any:
            # By XLA in any case: the masks are then the same bits in every mode, and an update
            # outside XLA costs no more than inside.
            fn = functools.partial(fn, densities=own_densities)
            return tf.function(fn, jit_compile=True, autograph=False)

        return _Plan(
            weights=weights,
            iteration=iteration,
            initial_masks=compiled(self.algorithm.initial_masks),
            next_masks=compiled(self.algorithm.next_masks),
        )

    def _slot(self, weight: keras.Variable, name: str, dtype: str) -> keras.Variable:
        path = weight.path.replace("/", "_")
        return self.add_variable(weight.shape, "zeros", dtype, name=f"{path}_{name}")

    @property
    def _accumulates(self) -> bool:
        """Whether growth needs gradients of more batches than the last."""
        signals = self.algorithm.signals
        several = self.inner_optimizer.gradient_accumulation_steps
        return "accumulated_gradient" in signals or bool("gradient" in signals and several)

    def _make_masks(self) -> None:
        """Makes the initial masks, unless the weights have masks of their own."""
        with tf.init_scope():
            if not all(bool(s.weight.value.is_initialized()) for s in self._plan.weights):
                # Keras builds an unbuilt model while it traces the first step. TensorFlow then
                # initializes the weights and traces again, and that is when masks can be made.
                return
            self._plan.masks_made = True
            if not self._plan.weights:
                return
            new = [sparse.mask.value for sparse in self._plan.weights]
            if all(bool(tf.reduce_all(mask)) for mask in new):
                weights = [tf.convert_to_tensor(s.weight) for s in self._plan.weights]
                # The step as an argument: XLA would evaluate random numbers of a known seed
                # while it compiles, entry by entry.
                new = self._plan.initial_masks(weights, tf.constant(0, tf.int64))
            for sparse, mask in zip(self._plan.weights, new, strict=True):
                sparse.set_mask(mask)

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
        if trainable_variables is None:
            trainable_variables = self._trainable_variables
        self.build(trainable_variables)
        if not self._plan.masks_made:
            self._make_masks()
        pairs = list(zip(grads, trainable_variables, strict=True))
        present = [g for g, _ in pairs if g is not None]
        if not present:
            self.inner_optimizer.apply(*zip(*pairs, strict=True))  # which says what is wrong
            return
        finite = gradients.all_finite(present)
        # Counted out here: a branch that assigns nothing costs XLA no copy of the variables.
        self.skipped_steps.assign_add(tf.cast(~finite, tf.int64))

        def skip() -> None:
            pass

        def train() -> None:
            self._train(pairs)

        def train_and_update() -> None:
            signals = self._growth_gradients(pairs)
            self._train(pairs)
            self._update(signals)

        updates = self.algorithm.updates
        if updates is None or not self._plan.weights:
            ops.switch(tf.where(finite, 1, 0), [skip, train])
        else:
            # One switch, not an update nested in a step, so that XLA works in place.
            case = tf.where(finite, tf.where(self._is_due(updates), 2, 1), 0)
            ops.switch(case, [skip, train, train_and_update])

    def _is_due(self, updates: UpdateSchedule) -> Tensor:
        step = self._plan.iteration.value + 1
        several = self.inner_optimizer.gradient_accumulation_steps
        if not several:
            return updates(step)
        return tf.equal(step % several, 0) & updates(step // several)

    def _train(self, pairs: list[tuple[Any, keras.Variable]]) -> None:
        """The inner optimizer's step; weights stay zero off their masks by their constraints."""
        self._accumulate(pairs)
        grads = [g for g, _ in pairs]
        if self.algorithm.optimizer_state == "mask":
            masks = {id(sparse.weight): sparse.mask.value for sparse in self._plan.weights}
            grads = [g if g is None else gradients.on_mask(g, masks.get(id(v))) for g, v in pairs]
        self.inner_optimizer.apply(grads, [v for _, v in pairs])
        for sparse in self._plan.weights:
            sparse.mask_averages()

    def _accumulate(self, pairs: list[tuple[Any, keras.Variable]]) -> None:
        if not self._accumulates:
            return
        sums = self._growth_gradients(pairs)
        several = self.inner_optimizer.gradient_accumulation_steps
        if "accumulated_gradient" not in self.algorithm.signals:
            # Only the batches of one optimizer step count together.
            ends = tf.equal((self._plan.iteration.value + 1) % several, 0)
            sums = [tf.where(ends, tf.zeros_like(x), x) for x in sums]
        for sparse, total in zip(self._plan.weights, sums, strict=True):
            sparse.accumulated.assign(total)

    def _growth_gradients(self, pairs: list[tuple[Any, keras.Variable]]) -> list[Tensor | None]:
        """Returns the dense gradient each sparse weight is judged by; None if none is asked for."""
        if not self.algorithm.signals & {"gradient", "accumulated_gradient"}:
            return [None] * len(self._plan.weights)
        by_weight = {id(v): g for g, v in pairs}
        sums = []
        for sparse in self._plan.weights:
            if sparse.accumulated is None:
                total = tf.zeros_like(sparse.weight.value)
            else:
                total = sparse.accumulated.value
            gradient = by_weight.get(id(sparse.weight))
            sums.append(total if gradient is None else gradients.add_to(total, gradient))
        return sums

    def _update(self, signals: list[Tensor | None]) -> None:
        """Replaces the masks; `signals` are the gradients from before the step."""
        weights = self._plan.weights
        states = [
            sparse.state(signal, with_momentum="momentum" in self.algorithm.signals)
            for sparse, signal in zip(weights, signals, strict=True)
        ]
        step = tf.cast(self.inner_optimizer.iterations, tf.int64)
        for sparse, mask in zip(weights, self._plan.next_masks(states, step), strict=True):
            sparse.renew_moments(mask, self.algorithm.optimizer_state)
            sparse.set_mask(mask)
            if "accumulated_gradient" in self.algorithm.signals:
                sparse.accumulated.assign(tf.zeros_like(sparse.accumulated.value))

    # ---- what Keras asks an optimizer -------------------------------------------------------

    @property
    def sparse_weights(self) -> list[SparseWeight]:
        """The weights the algorithm manages; empty before `build`."""
        return list(self._plan.weights)

    @property
    def variables(self) -> list[keras.Variable]:
        """All state: this optimizer's own variables, then the inner optimizer's."""
        return super().variables + self.inner_optimizer.variables

    @property
    def iterations(self) -> Any:
        """Completed steps of the inner optimizer; skipped ones do not count."""
        return self.inner_optimizer.iterations

    @property
    def learning_rate(self) -> Any:
        """The inner optimizer's learning rate; can be set."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value

    @property
    def loss_scale_factor(self) -> float | None:
        """The inner optimizer's static loss scale; can be set."""
        inner = getattr(self, "inner_optimizer", None)
        return None if inner is None else inner.loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, value: float | None) -> None:
        # Keras's base class sets it before there is an inner optimizer.
        if hasattr(self, "inner_optimizer"):
            self.inner_optimizer.loss_scale_factor = value

    def scale_loss(self, loss: Any) -> Any:
        """Returns the loss scaled as the inner optimizer wants it."""
        return self.inner_optimizer.scale_loss(loss)

    def finalize_variable_values(self, var_list: Sequence[keras.Variable]) -> None:
        """Gives the weights their final values, at the end of `fit`: their EMA, if one is kept."""
        self.inner_optimizer.finalize_variable_values(var_list)

    def save_own_variables(self, store: Any) -> None:
        """Saves this optimizer's own variables; Keras saves the inner optimizer after it."""
        for i, variable in enumerate(super().variables):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Loads what `save_own_variables` saved."""
        own = super().variables
        if len(store.keys()) == len(own):
            for i, variable in enumerate(own):
                variable.assign(store[str(i)])
        # A model saved before its first step has masks of ones: make them at the next step.
        self._plan.masks_made = False

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
