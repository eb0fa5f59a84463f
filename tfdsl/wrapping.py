"""A Keras optimizer around another one: what Keras asks of it, the inner one answers."""

from typing import Any

import keras


class WrappingOptimizer(keras.optimizers.Optimizer):
    """An optimizer with an `inner_optimizer`, which has step count, learning rate and loss scale.

    Variables of its own are saved with it; the inner optimizer's, which Keras finds as an
    attribute, after them.

    Args:
        inner_optimizer: a Keras optimizer.
        name: name of the optimizer.
    """

    def __init__(self, inner_optimizer: keras.optimizers.Optimizer, name: str | None) -> None:
        super().__init__(learning_rate=0.0, name=name)
        self.inner_optimizer = inner_optimizer

    @property
    def own_variables(self) -> list[keras.Variable]:
        """State that the inner optimizer has not."""
        return list(super().variables)

    @property
    def variables(self) -> list[keras.Variable]:
        """All state: this optimizer's own variables, then the inner optimizer's."""
        return self.own_variables + self.inner_optimizer.variables

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

    def apply_gradients(self, grads_and_vars: Any) -> Any:
        """Takes one step; returns `iterations`, as Keras's optimizers do."""
        super().apply_gradients(grads_and_vars)
        return self.iterations

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """Excludes variables from the inner optimizer's weight decay; before `build`."""
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

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

    def save_own_variables(self, store: Any) -> None:
        """Saves this optimizer's own variables; Keras saves the inner optimizer after it."""
        for i, variable in enumerate(self.own_variables):
            store[str(i)] = variable.numpy()
