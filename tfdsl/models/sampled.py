"""Training on batches that are made inside the compiled step, many steps in one execution."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


class SampledModel(keras.Model):
    """A model that can make the batches of its training itself.

    Without a sampler it trains on batches, as any Keras model does. With one it trains on what
    the sampler makes a batch of, a step each: the step's number, or, where the sampler has a
    `step_shape`, integers of that shape. Many of them at once are as many steps in one execution,
    so that a GPU never waits for the host:

        model.sampler = sampler  # step -> (inputs, labels), tensor operations alone
        model.compile(..., jit_compile=True)
        model.fit(tf.data.Dataset.range(100_000).batch(100))

    The sampler is not saved with the model: set it again on one that was loaded.
    """

    _sampler: Callable[[tf.Tensor], tuple[Any, Any]] | None = None

    @property
    def sampler(self) -> Callable[[tf.Tensor], tuple[Any, Any]] | None:
        """What makes the batch of a step, inside the step; None: `fit` is given batches."""
        return self._sampler

    @sampler.setter
    def sampler(self, sampler: Callable[[tf.Tensor], tuple[Any, Any]] | None) -> None:
        self._sampler = sampler
        self.train_function = None  # the compiled one draws with the sampler before

    def train_step(self, data: Any) -> dict[str, Any]:
        """Takes a step on data; or, with a sampler, a step on each batch that it makes.

        Raises:
            ValueError: the model has a sampler, and the data is not what it makes batches of.
        """
        if self.sampler is None:
            return super().train_step(data)
        take, make = super().train_step, self.sampler
        steps = _steps(data, getattr(make, "step_shape", ()))

        def step(place: tf.Tensor) -> tuple[tf.Tensor]:
            take(make(steps[place]))
            return (place + 1,)

        # One loop for all of them, inside what is compiled: the host's own, as Keras's
        # steps_per_execution has it, waits for the GPU after each.
        n_steps = tf.shape(steps)[0]
        tf.while_loop(lambda place: place < n_steps, step, (tf.constant(0),))
        return self.get_metrics_result()


def _steps(data: Any, shape: tuple[int, ...]) -> tf.Tensor:
    """Returns what `fit` has read, if that is what batches are made of: (steps, *shape)."""
    steps, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
    fits = labels is None and weights is None and not isinstance(steps, tuple | list | dict)
    if fits:
        steps = tf.convert_to_tensor(steps)
        fits = steps.dtype.is_integer and (
            # Keras forgets the rank where a later fit has another.
            steps.shape.rank is None
            or steps.shape[1:].is_compatible_with(shape)
            or steps.shape.is_compatible_with(shape)
        )
    if not fits:
        taken = (
            f"what the sampler makes batches of alone, integers {('steps', *shape)}"
            if shape
            else "the numbers of steps alone, integers (steps,), such as "
            "tf.data.Dataset.range(1000).batch(100)"
        )
        raise ValueError(
            f"This model has a sampler, so it trains on {taken}; received other data. Set "
            "`model.sampler = None` to train on batches."
        )
    return tf.reshape(steps, [-1, *shape])
